'use strict';

/*
 * A story, sorted for drawing. Operations and the statements between them stand in one list, `ops`:
 * a statement is an operation of the kind 'statement' that changes no file. The place on the axis is
 * the index, not the position: positions have gaps where locks are left out.
 *
 *   statements  indexes of the statements
 *   lanes    one for each file, and for each target of a missing sync that is no file of the story
 *   fates    of each operation in the crash state that is looked at; index into FATES
 *   barriers a successful sync: its end, and the operations that it made durable
 *   crash    a place on the axis: 12 is between the operations 11 and 12, 11.5 in the middle of 11
 */

const FATES = ['none', 'after', 'durable', 'kept', 'unasked', 'damaged', 'torn', 'lost'];

const FATE_WORDS = {
	durable: 'durable: a sync had covered it, so it cannot be lost',
	kept: 'pending, and on the disk',
	lost: 'pending, and not on the disk',
	torn: 'pending, and only partly on the disk',
	damaged: 'was on the disk, and a write beside it, which was torn, damaged it',
	unasked: 'pending, and nobody looked: this state stands for both',
	after: 'after the crash: it never happened',
	none: 'changes no file',
};

/* The same in a word or two. */
const FATE_NAMES = {durable: 'durable', kept: 'kept', lost: 'lost', torn: 'torn', damaged: 'damaged',
		    unasked: 'not asked',
		    after: 'after', none: ''};

const PENDING = ['kept', 'lost', 'torn', 'damaged', 'unasked'];

const KIND_WORDS = {
	'create': 'creates', 'write': 'writes', 'truncate': 'sets the size of', 'rename': 'renames',
	'unlink': 'deletes', 'link': 'links', 'sync-begin': 'begins to sync', 'sync-end': 'has synced',
	'dirsync-begin': 'begins to sync the folder', 'dirsync-end': 'has synced the folder',
	'ack': 'acknowledges', 'mark': 'notes', 'output': 'puts out', 'hole': 'was not recorded',
};

function isSyncEnd(op) {
	return op.kind === 'sync-end' || op.kind === 'dirsync-end';
}

function storyLanes(story) {
	const lanes = story.files.map((file, i) => ({file: i, path: file.path, role: file.role}));
	const order = (lane) => (lane.role === 'directory' ? 1 : 0);

	for (const m of story.missing) {
		if (m.target && !lanes.some((lane) => lane.path === m.target))
			lanes.push({file: -1, path: m.target,
				    role: m.directory ? 'directory' : 'other'});
	}
	lanes.sort((a, b) => order(a) - order(b));
	return lanes;
}

function storyBarriers(ops, laneOf) {
	const covers = new Map(), barriers = [];

	ops.forEach((op, i) => {
		if (op.synced_by === 0 || laneOf[i] < 0)
			return;
		const c = covers.get(op.synced_by) || {first: i, count: 0, top: laneOf[i],
						       bottom: laneOf[i]};

		c.count++;
		c.top = Math.min(c.top, laneOf[i]);
		c.bottom = Math.max(c.bottom, laneOf[i]);
		covers.set(op.synced_by, c);
	});
	ops.forEach((op, i) => {
		if (!isSyncEnd(op))
			return;
		const c = covers.get(op.position), lane = laneOf[i];

		barriers.push({end: i, lane, failed: op.failed, first: c ? c.first : i,
			       count: c ? c.count : 0,
			       top: c ? Math.min(c.top, lane) : lane,
			       bottom: c ? Math.max(c.bottom, lane) : lane});
	});
	return barriers;
}

/* A statement is shown on one line, however it was written. */
function sqlOf(statement) {
	return (statement.sql || '').trim().replace(/\s+/g, ' ');
}

/* Operations and statements in one order. A statement comes behind the operation whose position it
 * has. */
function storyItems(story) {
	const crashed = (position) => story.crash > 0 && position >= story.crash;
	const statements = story.statements.map((st, n) => ({
		position: st.position, kind: 'statement', statement: n, file: null, process: st.process,
		thread: 0, connection: st.connection, offset: 0, size: 0, words: sqlOf(st),
		transaction: st.transaction, fate: crashed(st.position) ? 'after' : 'none', parts: 0,
		parts_kept: 0, synced_by: 0, failed: false}));
	const place = (op) => 2 * op.position + (op.kind === 'statement' ? 1 : 0);

	return [...story.ops, ...statements].sort((a, b) => place(a) - place(b));
}

/* Which operations and statements each transaction has: [first, last] by index. */
function storySpans(story, ops, indexAt) {
	const spans = story.transactions.map(() => null);

	ops.forEach((op, i) => {
		const span = spans[op.transaction - 1];

		if (op.transaction > 0 && span !== undefined)
			spans[op.transaction - 1] = span ? [span[0], i] : [i, i];
	});
	return spans.map((span, n) => {
		const t = story.transactions[n];
		const from = span ? span[0] : indexAt(Math.max(1, t.begin || t.first_write || t.end) - 1) + 1;
		const end = Math.max(t.end, t.first_write, t.begin);

		return [from, Math.max(from, span ? span[1] : 0, end > 0 ? indexAt(end) : 0)];
	});
}

/* Rows for bands that overlap, so that none hides another; the last row takes what is left. */
const BAND_ROWS_MAX = 4;

function storyBands(story, spans) {
	const ends = [];

	return story.transactions.map((t, i) => {
		const [from, to] = spans[i];
		let row = ends.findIndex((end) => end < from);

		if (row < 0)
			row = ends.length < BAND_ROWS_MAX ? ends.length : BAND_ROWS_MAX - 1;
		ends[row] = Math.max(ends[row] === undefined ? -1 : ends[row], to);
		return {index: i, from, to, row, transaction: t};
	});
}

function isWrong(t) {
	return t.presence !== 'present' && t.presence !== 'later';
}

/* The transactions that the finding is about: those that are not as they should be; where all are,
 * those that were under way when the power failed, or else the last one before. And those that the
 * lines belong to which the story calls involved, each by its first run. */
function storySuspects(story) {
	const numbers = [...story.transactions.keys()], at = (n) => story.transactions[n];
	const wrong = numbers.filter((n) => isWrong(at(n)));
	const begun = numbers.filter((n) => {
		const begin = at(n).begin || at(n).first_write;

		return at(n).presence !== 'later' && begin > 0 && begin <= story.crash;
	});
	const open = begun.filter((n) => !at(n).acked || at(n).end === 0 || at(n).end > story.crash);
	const found = new Set(wrong.length > 0 ? wrong : open.length > 0 ? open : begun.slice(-1));
	const covered = new Set(story.statements.filter((st) => found.has(st.transaction - 1))
		.map((st) => lineOf(st.source)));

	for (const st of story.statements) {
		const line = lineOf(st.source);

		if (st.transaction > 0 && at(st.transaction - 1) && story.source[line - 1] &&
		    story.source[line - 1].involved && !covered.has(line)) {
			found.add(st.transaction - 1);
			covered.add(line);
		}
	}
	return [...found].sort((a, b) => a - b);
}

function storyModel(story) {
	const ops = storyItems(story), count = ops.length, lanes = storyLanes(story);
	const laneOfFile = new Map(lanes.map((lane, i) => [lane.file, i]));
	const laneOf = new Int32Array(count), fates = new Uint8Array(count), own = new Uint8Array(count);
	const statements = [...ops.keys()].filter((i) => ops[i].kind === 'statement');
	const real = [...ops.keys()].filter((i) => ops[i].kind !== 'statement');
	const promises = new Set(story.transactions.map((t) => t.ack).filter((ack) => ack > 0));

	/* The index of the last operation at or before a position; -1: there is none. */
	const indexAt = (position) => {
		let low = 0, high = real.length;

		while (low < high) {
			const middle = (low + high) >> 1;

			if (ops[real[middle]].position <= position)
				low = middle + 1;
			else
				high = middle;
		}
		return low > 0 ? real[low - 1] : -1;
	};

	ops.forEach((op, i) => {
		laneOf[i] = op.file === null || !laneOfFile.has(op.file) ? -1 : laneOfFile.get(op.file);
		own[i] = fates[i] = FATES.indexOf(op.fate);
	});
	const isPending = (i) => PENDING.includes(ops[i].fate);
	const pending = [...ops.keys()].filter(isPending);
	/* Statements before the operation that the power fails behind are before the crash, too. */
	const before = ops.findIndex((op) => op.position > story.crash ||
		(op.position === story.crash && op.kind === 'statement'));
	const after = before < 0 ? count : before;
	const spans = storySpans(story, ops, indexAt), bands = storyBands(story, spans);

	return {
		story, ops, count, lanes, laneOf, fates, indexAt, pending, bands, spans, statements,
		own: true, suspects: storySuspects(story),
		barriers: storyBarriers(ops, laneOf),
		bandRows: Math.max(1, ...bands.map((band) => band.row + 1)),
		crash: story.cut && after > 0 ? after - 0.5 : after,
		/* Of a transaction, by its index in the story. */
		statementsOf: (n) => statements.filter((i) => ops[i].transaction === n + 1),
		isPromise: (i) => ops[i].kind === 'ack' || (ops[i].kind !== 'statement' &&
			promises.has(ops[i].position)),
		indexOf(position) {
			const i = indexAt(position);

			return i >= 0 && ops[i].position === position ? i : -1;
		},
		laneOfMissing(m) {
			return lanes.findIndex((lane) => lane.path === m.target);
		},
		/* Shows another crash state: its fates, where it names them; null is the case's own. */
		look(state) {
			fates.set(own);
			this.own = state === null || state.this_one;
			if (state === null || state.this_one)
				return;
			for (const i of pending)
				fates[i] = FATES.indexOf('unasked');
			for (const f of state.fates) {
				const i = this.indexOf(f.position);

				if (i >= 0 && isPending(i))
					fates[i] = FATES.indexOf(f.fate);
			}
		},
		fate(i) {
			return FATES[fates[i]];
		},
	};
}

/* What an operation is, in a few words: "page 5, leaf of table orders". */
function opWords(op) {
	return op.words || op.kind.replace('-', ' ');
}

/* The same, to fit into a mark: "page 5". */
function opShort(op) {
	return opWords(op).split(/[,;(]/)[0];
}

function opSentence(model, i) {
	const op = model.ops[i], lane = model.laneOf[i];
	const file = lane >= 0 ? ` ${baseName(model.lanes[lane].path)}` : '';
	const fate = model.fate(i);

	if (op.kind === 'statement')
		return `statement, behind operation ${op.position}: ${op.words}`;
	return `operation ${op.position}: ` +
		(op.words && op.kind !== 'write' ? op.words
			: `${KIND_WORDS[op.kind] || op.kind}${file}${op.words ? `: ${op.words}` : ''}`) +
		(op.failed ? ', which failed' : '') + (model.isPromise(i) && op.kind !== 'ack'
		? ', which promises what was committed before' : '') +
		(fate === 'none' ? '' : `; ${FATE_WORDS[fate]}`);
}

/* How the address calls it: the position, or s and the number of the statement. */
function opName(op) {
	return op.kind === 'statement' ? `s${op.statement + 1}` : String(op.position);
}

function opNamed(model, name) {
	const statement = /^s(\d{1,7})$/.exec(name || '');

	return statement ? model.ops.findIndex((op) => op.kind === 'statement' && op.statement === Number(statement[1]) - 1)
		: model.indexOf(Number(name));
}

/* The statement that an operation is the doing of, as an index; -1: it is not known. */
function runningAt(model, i) {
	const op = model.ops[i];
	let found = -1;

	if (op.kind === 'statement')
		return i;
	for (const at of model.statements) {
		const other = model.ops[at], until = model.story.statements[other.statement].until;

		if (other.position >= op.position)
			break;
		if (other.process === op.process && other.connection === op.connection)
			found = until > 0 ? until >= op.position ? at : -1
				: op.transaction > 0 && other.transaction === op.transaction ? at : -1;
	}
	return found;
}

/* The operation to look at first: the first write that the first wrong transaction has lost, or any
 * that is lost or torn; where nothing is, the last pending one, or the last before the crash. */
function keyOperation(model) {
	const hurt = model.pending.filter((i) => ['lost', 'torn', 'damaged'].includes(model.ops[i].fate));
	const first = model.suspects.map((n) => hurt.find((i) => model.ops[i].transaction === n + 1))
		.find((i) => i !== undefined);
	const last = model.pending.length > 0 ? model.pending[model.pending.length - 1]
		: model.indexAt(model.story.crash);

	return first !== undefined ? first : hurt.length > 0 ? hurt[0] : last;
}
