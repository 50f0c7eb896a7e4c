'use strict';

/*
 * The operations, and the statements between them, as a table, of which only the rows in sight are in
 * the page, and the details of the one that is chosen. On paper there is a window around the crash.
 */

/* On a narrow window what an operation is stands on lines of its own. */
const ROW_HEIGHT = 30, ROW_HEIGHT_NARROW = 68;
const ROWS_EXTRA = 6;
const ROWS_PRINTED = 300;
const narrowWindow = matchMedia('(max-width: 720px)');

function fateShape(fate) {
	const parts = {
		durable: [['rect', {x: 1.5, y: 3, width: 13, height: 10, rx: 2, class: 'full'}]],
		kept: [['rect', {x: 1.5, y: 3, width: 13, height: 10, rx: 2, class: 'full'}]],
		lost: [['rect', {x: 2, y: 3.5, width: 12, height: 9, rx: 2, class: 'ring'}],
			['path', {d: 'M3 12L13 4M3 4l10 8', class: 'ring'}]],
		torn: [['rect', {x: 2, y: 3.5, width: 12, height: 9, rx: 2, class: 'ring'}],
			['path', {d: 'M2 3.5h7l-2 2.3 2 2.2-2 2.2 2 2.3H2z', class: 'full'}]],
		damaged: [['rect', {x: 2, y: 3.5, width: 12, height: 9, rx: 2, class: 'ring'}],
			['path', {d: 'M8 3.5L6.4 6.6 9.4 9 8 12.5', class: 'ring'}]],
		unasked: [['rect', {x: 2, y: 3.5, width: 12, height: 9, rx: 2, class: 'ring dashed'}],
			['circle', {cx: 8, cy: 8, r: 1.3, class: 'full'}]],
		after: [['rect', {x: 2, y: 3.5, width: 12, height: 9, rx: 2, class: 'ring'}]],
		none: [],
	};

	return s('svg', {viewBox: '0 0 16 16', class: `shape fate-${fate}`, 'aria-hidden': 'true'},
		parts[fate].map(([tag, properties]) => s(tag, properties)));
}

function makeOperations(model, selection) {
	const rows = h('div', {class: 'op-rows', role: 'rowgroup'});
	const space = h('div', {class: 'op-space'}, rows);
	const box = h('div', {class: 'op-box', tabindex: '0', role: 'table', 'aria-label': 'operations',
			      'aria-colcount': '4'},
	h('div', {role: 'rowgroup', class: 'op-head-group'},
		h('div', {role: 'row', class: 'op-row op-head', 'aria-rowindex': '1'},
			['op', 'file', 'what', 'fate'].map((title) =>
				h('span', {role: 'columnheader'}, title)))), space);
	const printNote = h('p', {class: 'muted print-only'});
	let shown = null; /* indexes, or null for all */
	let first = -1, last = -1, height = ROW_HEIGHT, onPaper = false;

	const count = () => (shown === null ? model.count : shown.length);
	const at = (row) => (shown === null ? row : shown[row]);
	const rowOf = (i) => {
		if (shown === null)
			return i;
		const next = shown.findIndex((x) => x >= i);

		return next < 0 ? shown.length - 1 : next;
	};
	const rowElement = (row) => {
		const i = at(row), op = model.ops[i], lane = model.laneOf[i], fate = model.fate(i);
		const crash = i + 1 > model.crash && i <= model.crash;
		const statement = op.kind === 'statement';
		const element = h('div', {role: 'row', class: `op-row fate-row-${fate}` +
			`${statement ? ` op-statement${op.transaction === 0 ? ' op-setting' : ''}` : ''}` +
			`${i === selection.chosen ? ' chosen' : ''}${crash ? ' first-after' : ''}`,
		'aria-rowindex': row + 2, 'aria-selected': i === selection.chosen ? 'true' : null,
		'data-op': i},
		h('span', {role: 'cell', class: 'op-position'}, statement ? '' : grouped(op.position)),
		h('span', {role: 'cell', class: 'op-file'}, statement ? 'statement' : lane < 0
			? model.isPromise(i) ? 'promise' : ''
			: clipped(baseName(model.lanes[lane].path), 40)),
		h('span', {role: 'cell', class: 'op-words'}, statement
			? h('code', {}, clipped(op.words, 160)) : clipped(opWords(op), 160),
		op.failed ? ' (failed)' : ''),
		h('span', {role: 'cell', class: 'op-fate'}, fateShape(fate), FATE_NAMES[fate]));

		element.style.top = `${row * height}px`;
		element.style.height = onPaper ? 'auto' : `${height}px`;
		return element;
	};
	const fill_ = (from, to) => rows.replaceChildren(...Array.from({length: Math.max(0, to - from)},
		(_, n) => rowElement(from + n)));
	const draw = (force) => {
		if (onPaper)
			return;
		const from = Math.max(0, Math.floor(box.scrollTop / height) - ROWS_EXTRA);
		const to = Math.min(count(), Math.ceil((box.scrollTop + box.clientHeight) / height) +
			ROWS_EXTRA);

		if (!force && from === first && to === last)
			return;
		first = from;
		last = to;
		fill_(from, to);
	};
	const layout = () => {
		height = narrowWindow.matches ? ROW_HEIGHT_NARROW : ROW_HEIGHT;
		box.setAttribute('aria-rowcount', count() + 1);
		space.style.height = `${count() * height}px`;
		draw(true);
	};
	const reveal = (i) => {
		const top = rowOf(i) * height, room = box.clientHeight - 2 * height;

		if (top < box.scrollTop || top > box.scrollTop + room)
			box.scrollTop = Math.max(0, top - room / 2);
	};
	/* All of it, or the rows around the crash and how many are not there. */
	const print = (on) => {
		onPaper = on;
		if (!on) {
			layout();
			return;
		}
		const centre = rowOf(Math.floor(model.crash));
		const from = Math.max(0, Math.min(centre - ROWS_PRINTED * 2 / 3, count() - ROWS_PRINTED));
		const to = Math.min(count(), from + ROWS_PRINTED), left = count() - (to - from);

		space.style.height = 'auto';
		fill_(Math.floor(from), Math.floor(to));
		printNote.textContent = left > 0 ? `Printed are the ${grouped(to - from)} rows around the ` +
			`crash; ${grouped(left)} more are left out.` : `All ${plural(count(), 'row')}.`;
	};

	box.addEventListener('scroll', () => draw(false), {passive: true});
	space.addEventListener('click', (e) => {
		const row = e.target.closest('[data-op]');

		if (row)
			selection.choose(Number(row.dataset.op), 'list');
	});
	box.addEventListener('keydown', (e) => {
		const by = {ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10}[e.key];

		if (by === undefined || count() === 0 || e.ctrlKey || e.metaKey || e.altKey)
			return;
		e.preventDefault();
		const row = selection.chosen < 0 ? rowOf(Math.floor(model.crash)) : rowOf(selection.chosen) + by;

		selection.choose(at(Math.max(0, Math.min(count() - 1, row))), 'list');
	});
	selection.listen((i) => {
		if (i >= 0)
			reveal(i);
		draw(true);
	});
	const observer = new ResizeObserver(() => {
		if (!onPaper)
			layout();
	});

	observer.observe(box);
	const show = (which) => {
		shown = which === 'pending' ? model.pending
			: which === 'syncs' ? [...model.ops.keys()].filter((i) => isSyncEnd(model.ops[i]))
				: which === 'statements' ? model.statements : null;
		box.scrollTop = 0;
		layout();
		reveal(selection.chosen >= 0 ? selection.chosen : Math.floor(model.crash));
	};
	const choices = [['all', 'all', model.count], ['pending', 'pending', model.pending.length],
		['syncs', 'syncs', model.barriers.length],
		['statements', 'statements', model.statements.length]].filter(([, , n], k) => k < 3 || n > 0);
	const chooser = h('div', {class: 'chips', role: 'group', 'aria-label': 'operations shown'},
		choices.map(([which, word, n]) => h('button', {type: 'button', class: 'filter',
			'aria-pressed': String(which === 'all'), onclick(e) {
				for (const button of chooser.children)
					button.setAttribute('aria-pressed', String(button === e.currentTarget));
				show(which);
			}}, word, h('span', {class: 'count'}, grouped(n)))));

	return {
		element: h('div', {class: 'operations'}, h('div', {class: 'op-choose'},
			h('h3', {}, 'Operations'), chooser), box, printNote,
		model.story.ops_left_out > 0 ? h('p', {class: 'muted'},
			`${plural(model.story.ops_left_out, 'operation')} further from the crash are not in ` +
			'this page; ', h('code', {}, 'plugpull trace show'), ' prints all.') : null),
		start() {
			layout();
			reveal(selection.chosen >= 0 ? selection.chosen : Math.floor(model.crash));
		},
		redraw: () => draw(true), print,
		close: () => observer.disconnect(),
	};
}

/* ---- the details of one operation ---- */

function sectors(op, fate) {
	const max = 64;

	if (op.parts < 2 || fate !== 'torn')
		return null;
	return h('div', {class: 'sectors', role: 'img',
			 'aria-label': `${op.parts_kept} of ${op.parts} sectors are on the disk`},
	Array.from({length: Math.min(op.parts, max)}, (_, n) =>
		h('span', {class: n < op.parts_kept * Math.min(op.parts, max) / op.parts ? 'on' : 'off'})),
	h('span', {class: 'muted'}, `${op.parts_kept} of ${op.parts} sectors are on the disk`));
}

function opLink(model, selection, position, text) {
	const i = model.indexOf(position);

	if (i < 0)
		return text || `op ${grouped(position)}`;
	return h('button', {type: 'button', class: 'op-link', onclick: () => selection.go(i)},
		text || `op ${grouped(position)}`);
}

/* A text of the story; where it names an operation that is here, a link to it. */
function linked(model, selection, text) {
	const parts = [], pattern = /\b(?:op|ops|operation|operations) (\d{1,15})\b/g;
	let from = 0, found;

	while ((found = pattern.exec(text)) !== null && parts.length < 40) {
		parts.push(text.slice(from, found.index),
			opLink(model, selection, Number(found[1]), found[0]));
		from = pattern.lastIndex;
	}
	return [...parts, text.slice(from)];
}

const SQL_MAX = 12;

/* The statements of a transaction, in order; `running`: the index of one that is marked, or -1. */
function sqlList(model, selection, n, running) {
	const all = model.statementsOf(n);
	const line = (i) => {
		const statement = model.story.statements[model.ops[i].statement];

		return h('li', {class: i === running ? 'running' : null},
			h('button', {type: 'button', class: 'sql-line', title: 'show it in the timeline',
				     onclick: () => selection.go(i)}, h('code', {}, clipped(model.ops[i].words, 600))),
			statement.source ? [' ', lineLink(model.story, statement.source)] : null,
			i === running ? h('b', {class: 'running-word'}, ' runs here') : null);
	};

	if (all.length === 0)
		return null;
	return [h('ol', {class: 'sql'}, all.slice(0, SQL_MAX).map(line)),
		all.length > SQL_MAX ? folded(plural(all.length - SQL_MAX, 'more statement'),
			() => h('ol', {class: 'sql'}, all.slice(SQL_MAX, 500).map(line))) : null];
}

/* Of a statement: the operations that it stands between. */
function ranBetween(model, selection, i) {
	const real = (n) => model.ops[n] && model.ops[n].kind !== 'statement';
	let before = i, after = i;

	while (before >= 0 && !real(before))
		before--;
	while (after < model.count && !real(after))
		after++;
	return [before >= 0 ? ['after ', opLink(model, selection, model.ops[before].position)] : '',
		before >= 0 && after < model.count ? ' and ' : '',
		after < model.count ? ['before ', opLink(model, selection, model.ops[after].position)] : ''];
}

function statementDetails(model, selection, i) {
	const op = model.ops[i], statement = model.story.statements[op.statement];
	const t = model.story.transactions[op.transaction - 1];

	return [h('h3', {}, h('span', {class: 'muted'}, 'statement'), ' ', h('code', {}, clipped(op.words, 1000))),
		statement.setting ? h('p', {class: 'setting-line'}, 'It decides what a commit of this connection ' +
			'makes durable.') : null,
		facts([
			['ran', ranBetween(model, selection, i)],
			['source', statement.source ? lineLink(model.story, statement.source) : null],
			['by', `process ${op.process}, connection ${op.connection}`],
			['transaction', t ? [`${t.number}`, t.changes ? `: ${clipped(t.changes, 200)}` : '',
				sqlList(model, selection, op.transaction - 1, i)]
				: 'none that wrote'],
		])];
}

function opDetails(model, selection, i) {
	const story = model.story, op = model.ops[i], fate = model.fate(i), lane = model.laneOf[i];

	if (op.kind === 'statement')
		return statementDetails(model, selection, i);
	const t = story.transactions[op.transaction - 1], running = runningAt(model, i);
	const ranged = op.kind === 'write', statement = running < 0 ? null
		: story.statements[model.ops[running].statement];
	const own = op.fate === fate;

	return [h('h3', {}, h('span', {class: 'muted'}, `op ${grouped(op.position)}`), ' ',
		clipped(opWords(op), 300)),
	h('p', {class: `fate-line fate-row-${fate}`}, fateShape(fate), model.isPromise(i)
		? [op.kind === 'ack' ? 'the commit is acknowledged'
			: 'a promise: it says that what was committed before is kept',
		fate === 'after' ? '; after the crash, it never happened' : ''] : FATE_WORDS[fate],
	story.cut && op.position === story.crash
		? `; power failed after ${plural(story.cut_bytes, 'byte')} of it` : ''),
	own ? sectors(op, fate) : null,
	facts([
		['file', lane < 0 ? null : clipped(model.lanes[lane].path, 300)],
		['does', op.kind.replace('-', ' ') + (op.failed ? ', which failed' : '')],
		['bytes', ranged ? `${grouped(op.offset)} to ${grouped(op.offset + op.size - 1)} ` +
			`(${grouped(op.size)})` : op.kind === 'truncate' ? `size ${grouped(op.size)}` : null],
		['by', `process ${op.process}, thread ${op.thread}` +
			(op.connection ? `, connection ${op.connection}` : '')],
		['transaction', t ? [`${t.number}`, t.changes ? `: ${clipped(t.changes, 200)}` : '',
			t.ack ? [', acknowledged by ', opLink(model, selection, t.ack)] : ', not acknowledged',
			sqlList(model, selection, op.transaction - 1, running)]
			: null],
		['statement', !t && statement ? [h('button', {type: 'button', class: 'sql-line',
			onclick: () => selection.go(running)}, h('code', {}, clipped(model.ops[running].words, 400))),
		statement.source ? [' ', lineLink(story, statement.source)] : null] : null],
		['synced by', op.synced_by ? opLink(model, selection, op.synced_by)
			: PENDING.includes(op.fate) ? 'nothing before the crash' : null],
	])];
}
