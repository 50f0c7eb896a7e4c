'use strict';

/* The story of a violation: what is wrong, where it comes from, what happened, what would fix it. */

/* The parts of two values that are not the same: what they share at either end is left plain. */
function differing(a, b) {
	const split = (text) => visible(text).match(/[A-Za-z0-9_#.]+|\s+|[^A-Za-z0-9_#.\s]/g) || [];
	const x = split(a), y = split(b);
	let start = 0, end = 0;

	while (start < x.length && start < y.length && x[start] === y[start])
		start++;
	while (end < x.length - start && end < y.length - start &&
	       x[x.length - 1 - end] === y[y.length - 1 - end])
		end++;
	const marked = (parts, tag) => [parts.slice(0, start).join(''),
		parts.length - end > start
			? h(tag, {}, parts.slice(start, parts.length - end).join('')) : null,
		parts.slice(parts.length - end).join('')];

	return [marked(x, 'del'), marked(y, 'ins')];
}

function rowsTable(story) {
	if (story.rows.length === 0)
		return null;
	return [h('div', {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'rows that differ'},
		h('table', {class: 'rows stacked', role: 'table'},
			h('thead', {role: 'rowgroup'}, h('tr', {role: 'row'}, ['where', 'expected', 'found'].map((title) =>
				h('th', {scope: 'col', role: 'columnheader'}, title)))),
			h('tbody', {role: 'rowgroup'}, story.rows.map((row) => {
				const both = row.expected !== null && row.found !== null;
				const [expected, found] = both ? differing(row.expected, row.found)
					: [row.expected, row.found];

				return h('tr', {role: 'row'}, h('th', {scope: 'row', role: 'rowheader'}, clipped(row.where, 300)),
					h('td', {class: 'expected', role: 'cell', 'data-label': 'expected'}, expected === null
						? h('span', {class: 'absent'}, 'no such row') : expected),
					h('td', {class: `found${row.found === null ? ' gone' : ''}`, role: 'cell',
						 'data-label': 'found'},
						found === null ? h('span', {class: 'absent'}, 'not there') : found));
			})))),
	h('p', {class: 'muted'}, story.rows_against ? `Held against ${clipped(story.rows_against, 300)}.` : '',
		story.rows_left_out > 0 ? ` ${plural(story.rows_left_out, 'more row')} differ.` : ''),
	story.rows.some((row) => HIDDEN.test(row.expected || '') || HIDDEN.test(row.found || ''))
		? h('p', {class: 'muted'}, 'Values are shown as type, size and hash, so that this page can be ' +
			'passed on; run with ', h('code', {}, '--show-data'), ' to see them.') : null];
}

/* A value as type, size and hash: "text(10 bytes, #8ef226c0)". */
const HIDDEN = /\(\d+ bytes?, #[0-9a-f]{8}\)/;

const SUSPECTS_MAX = 12;

/* What is to be said of a transaction, as the state of the case has it. */
function transactionWords(model, selection, t) {
	const promised = (words) => [words, opLink(model, selection, t.ack)];

	if (t.presence === 'later')
		return ' had not begun when the power failed';
	if (!isWrong(t))
		return [' is ', h('b', {}, 'there'), t.changes ? `: it ${clipped(t.changes, 300)}` : '',
			t.acked ? promised('. It was acknowledged by ')
				: '. The power failed before it was acknowledged'];
	return [' is ', h('b', {class: 'wrong-word'}, t.presence === 'partly' ? 'there in some of its files only'
		: t.presence === 'unknown' ? 'in a state that never was' : 'gone'),
	t.changes ? `: it ${clipped(t.changes, 300)}` : '',
	t.ack ? promised(t.acked ? ', and was acknowledged by ' : ', and would have been acknowledged by ')
		: ', and was never acknowledged'];
}

/* The transactions that the finding is about, and their SQL. */
function transactionsList(model, selection) {
	const story = model.story, shown = model.suspects.slice(0, SUSPECTS_MAX);

	if (shown.length === 0)
		return null;
	return [h('ul', {class: 'wrong'}, shown.map((n) => h('li', {},
		h('p', {}, h('b', {}, `transaction ${story.transactions[n].number}`),
			transactionWords(model, selection, story.transactions[n]), '.'),
		sqlList(model, selection, n, -1)))),
	model.suspects.length > shown.length ? h('p', {class: 'muted'},
		`${plural(model.suspects.length - shown.length, 'more transaction')} in the timeline.`) : null,
	settingsBefore(model, selection)];
}

/* Settings that decide what these transactions could lose, as far as the story names them. */
function settingsBefore(model, selection) {
	const settings = model.statements.filter((i) => model.story.statements[model.ops[i].statement].setting);

	return settings.length === 0 ? null : [h('p', {class: 'muted'}, 'Set before:'),
		h('ol', {class: 'sql'}, settings.slice(0, SQL_MAX).map((i) => {
			const statement = model.story.statements[model.ops[i].statement];

			return h('li', {class: 'setting'}, h('button', {type: 'button', class: 'sql-line',
				onclick: () => selection.go(i)}, h('code', {}, clipped(model.ops[i].words, 600))), ' ',
			statement.source ? [lineLink(model.story, statement.source), ' '] : null,
			h('span', {class: 'muted'}, ranBetween(model, selection, i)));
		}))];
}

/* [between, and] of a sync that is missing. */
function missingPlace(model, selection, m) {
	return ['between ', opLink(model, selection, m.after),
		m.before ? [' and ', opLink(model, selection, m.before)] : ''];
}

/* The places of one rule are one item. */
function missingList(model, selection) {
	const story = model.story, groups = new Map();

	for (const m of story.missing) {
		const key = JSON.stringify([m.rule, m.target, m.matters, m.together]);

		groups.set(key, [...(groups.get(key) || []), m]);
	}
	if (story.missing.length === 0 && !story.allowed)
		return null;
	return [story.allowed ? h('p', {class: 'allowed'}, linked(model, selection, sentence(story.allowed, 600)))
		: null,
	story.missing.length === 0 ? null : h('ul', {class: 'missing'}, [...groups.values()].map((all) =>
		h('li', {class: all[0].matters ? 'matters' : ''},
			h('p', {}, linked(model, selection, sentence(all[0].message, 1000))),
			h('p', {class: 'muted'}, 'It would have to be ', missingPlace(model, selection, all[0]), '.',
				all.length > 1 ? [' The same is missing ', all.slice(1).map((m, n) => [n > 0 ? ', ' : '',
					h('span', {class: 'place'}, missingPlace(model, selection, m))]), '.'] : '',
				all[0].together ? ' Only with the missing syncs of all rules together is it known that ' +
					'this violation is not found any more.'
				: all[0].matters === null ? ' Whether it matters here is not known: no run shows it.'
				: all[0].matters ? all.length > 1
					? ` With it at all ${all.length} places, this violation is not found any more.`
					: ' With it, this violation is not found any more.'
					: ' This violation is found with it, too.',
				all[0].rule ? ` [${clipped(all[0].rule, 80)}]` : '')))),
	story.missing_left_out > 0 ? h('p', {class: 'muted'},
		`${plural(story.missing_left_out, 'more place')} of the run.`) : null];
}

/* Whether the case would hold with a fix: nothing is lost any more, or the grade that its proof ends
 * with is all that is asked for. */
function fixHolds(fix, required) {
	const grades = (fix.proof || '').match(/\b(durable|consistent|torn|corrupt)\b/g);

	return fix.fixed || (GRADES.indexOf(required) > 0 && grades !== null &&
		GRADES.indexOf(grades[grades.length - 1]) <= GRADES.indexOf(required));
}

function fixesList(model, selection, required) {
	const story = model.story;

	if (story.fixes.length === 0 && !story.fixes_words)
		return null;
	return [story.fixes.map((fix) => {
		const holds = fixHolds(fix, required);

		return h('div', {class: `fix ${holds ? 'holds' : 'better'}`},
			h('p', {class: 'fix-what'}, verdictShape(holds ? 'held' : 'better'),
				holds ? null : h('span', {class: 'tag'}, 'better, not fixed'), holds ? null : ' ',
				h('b', {}, linked(model, selection, clipped(fix.what, 400))),
				fix.where ? [' in ', lineLink(story, fix.where)] : null),
			fix.proof ? h('p', {class: 'muted'}, sentence(`Proved: ${fix.proof}`, 400)) : null,
			fix.command ? commandLine(fix.command) : null);
	}),
	story.fixes_words ? h('p', {class: 'muted'}, sentence(story.fixes_words, 1000)) : null];
}

function recoveryPart(model, selection) {
	const story = model.story;

	if (story.recovery.length === 0 && story.decisions.length === 0)
		return null;
	return section('recovery', 'What recovery read and decided', ownNote(),
		story.recovery.length > 0 ? h('ol', {class: 'steps'}, story.recovery.map((line) =>
			h('li', {}, linked(model, selection, sentence(line, 1000))))) : null,
		story.decisions.length > 0 ? h('div', {class: 'scroll', tabindex: '0', role: 'region',
						       'aria-label': 'what the disk answered'},
		h('table', {class: 'plain-table stacked', role: 'table'},
			h('thead', {role: 'rowgroup'}, h('tr', {role: 'row'}, ['recovery asked', 'the disk had',
				'of the answers'].map((title) => h('th', {scope: 'col', role: 'columnheader'}, title)))),
			h('tbody', {role: 'rowgroup'}, story.decisions.map((d) => h('tr', {role: 'row'},
				h('td', {role: 'cell', 'data-label': 'asked'}, clipped(d.question, 300)),
				h('td', {role: 'cell', 'data-label': 'had'},
					linked(model, selection, clipped(d.words || '', 300))),
				h('td', {class: 'muted answer', role: 'cell', 'data-label': 'answer'}, d.answer === 0
					? `the newest of ${grouped(d.of)}`
					: `number ${grouped(d.answer + 1)} of ${grouped(d.of)}, newest first`)))))) : null);
}

function legend(model) {
	const box = h('p', {class: 'legend'});
	const draw = () => {
		const counts = FATES.map(() => 0);

		model.fates.forEach((fate, i) => {
			counts[fate] += model.ops[i].kind === 'statement' ? 0 : 1;
		});
		box.replaceChildren(...['durable', 'kept', 'lost', 'torn', 'damaged', 'unasked', 'after']
			.filter((fate) => counts[FATES.indexOf(fate)] > 0)
			.map((fate) => h('span', {title: FATE_WORDS[fate]}, fateShape(fate),
				fate === 'after' ? 'after the crash' : FATE_NAMES[fate],
				h('span', {class: 'count'}, grouped(counts[FATES.indexOf(fate)])))),
		model.story.missing.some((m) => model.laneOfMissing(m) >= 0)
			? h('span', {class: 'legend-missing'}, s('svg', {viewBox: '0 0 16 16', class: 'shape',
				'aria-hidden': 'true'}, s('path', {d: 'M8 1v14', class: 'dash'})),
			'sync missing') : '',
		h('span', {class: 'legend-sync'}, s('svg', {viewBox: '0 0 16 16', class: 'shape',
			'aria-hidden': 'true'}, s('path', {d: 'M12.5 1v14M2 9v4h10.5', class: 'bar-line'})),
		'sync, and what it covers'),
		h('span', {class: 'legend-ack'}, s('svg', {viewBox: '0 0 16 16', class: 'shape',
			'aria-hidden': 'true'}, s('path', {d: 'M4 1v14', class: 'bar-line'}),
		s('path', {d: 'M4 1.5l9 4-9 4z', class: 'full'})), term('acknowledged', TERMS.acknowledged)),
		model.statements.some((i) => model.ops[i].transaction > 0) ? h('span', {class: 'legend-statement'},
			s('svg', {viewBox: '0 0 16 16', class: 'shape', 'aria-hidden': 'true'},
				s('rect', {x: 4, y: 4, width: 8, height: 8, class: 'full'})), 'statement') : '',
		model.statements.some((i) => model.ops[i].transaction === 0) ? h('span', {class: 'legend-setting'},
			s('svg', {viewBox: '0 0 16 16', class: 'shape', 'aria-hidden': 'true'},
				s('path', {d: 'M8 2l6 6-6 6-6-6z', class: 'full'})),
			'statement of no transaction') : '');
	};

	draw();
	return {element: box, draw};
}

/* Stands where a part does not follow the slider; shown only while that makes a difference. */
function ownNote() {
	return h('p', {class: 'own-note'}, "Of the case's own crash state, not of the one on the slider.");
}

/*
 * The whole story. Returns {banner, elements, start, close, key}: start() after they are in the page,
 * close() before they go, key(e) for the keys of the page, print(on) around printing. The banner
 * belongs under the headline.
 */
function makeStory(story, required) {
	const model = storyModel(story), selection = makeSelection(), query = addressRead().query;
	const timeline = makeTimeline(model, selection), operations = makeOperations(model, selection);
	const details = h('div', {class: 'details', 'aria-live': 'polite'});
	const key = legend(model);
	const otherWords = h('span', {});
	const banner = h('div', {class: 'notice other', role: 'status', hidden: true},
		h('p', {}, h('b', {}, 'You look at another crash state: '), otherWords, ' ',
			h('button', {type: 'button', class: 'op-link', onclick: () => states.own()},
				'Back to this case')));
	const drawDetails = (i) => details.replaceChildren(h('div', {}, i < 0
		? h('p', {class: 'muted'}, 'Choose an operation, in the timeline or in the table.')
		: opDetails(model, selection, i)));
	const states = makeStates(model, selection, (state, own) => {
		const other = !own && story.states.some((one) => one.this_one);

		model.look(state);
		banner.hidden = !other;
		otherWords.textContent = `${stateName(state)}: ${sentence(state.outcome, 300)}`;
		document.documentElement.classList.toggle('elsewhere', other);
		timeline.repaint();
		operations.redraw();
		key.draw();
		drawDetails(selection.chosen);
		addressNote({state: states ? states.at() : null});
	});

	selection.listen((i, source) => {
		drawDetails(i);
		if (source !== 'start')
			addressNote({op: i < 0 ? null : opName(model.ops[i])});
	});
	drawDetails(-1);

	const rows = rowsTable(story), wrong = transactionsList(model, selection);
	const source = sourceLines(model, selection);
	const missing = missingList(model, selection), fixes = fixesList(model, selection, required);
	const crashWords = story.crash_words ? linked(model, selection, sentence(story.crash_words, 600)) : null;

	return {
		banner,
		elements: [
			h('div', {class: source ? 'columns' : ''},
				section('wrong', 'What is wrong', ownNote(), h('p', {class: 'finding'},
					story.oracle ? [oracleTerm(clipped(story.oracle, 60)), ': '] : '',
					linked(model, selection, clipped(story.message || '', 1000))), wrong, rows),
				source ? section('source', 'Where it comes from', ownNote(), source) : null),
			missing || fixes ? h('div', {class: missing && fixes ? 'columns' : ''},
				missing ? section('missing', 'Why the disk may do this', ownNote(), missing) : null,
				fixes ? section('fixes', story.fixes.length > 0 &&
					!story.fixes.some((fix) => fixHolds(fix, required)) ? 'What helps'
					: 'What fixes it', ownNote(), fixes) : null) : null,
			section('happened', 'What happened',
				crashWords ? h('p', {class: 'crash-words'}, crashWords) : null,
				story.again > 0 ? h('p', {class: 'notice'}, 'Power failed a second time, after ',
					plural(story.again, 'operation'), ' of the recovery.') : null,
				states ? states.element : null, key.element, timeline.element,
				h('div', {class: 'under'}, operations.element, details)),
			recoveryPart(model, selection),
		],
		start() {
			operations.start();
			if (states)
				states.start(Number(query.get('state')) || 0);
			const asked = opNamed(model, query.get('op'));

			selection.choose(asked >= 0 ? asked : keyOperation(model), 'start');
		},
		close() {
			document.documentElement.classList.remove('elsewhere');
			timeline.close();
			operations.close();
			if (states)
				states.close();
		},
		print(on) {
			operations.print(on);
			timeline.paintNow();
		},
		key(e) {
			if (states && (e.key === '[' || e.key === ']')) {
				states.step(e.key === ']' ? 1 : -1);
				return true;
			}
			if (states && e.key === 'o') {
				states.own();
				return true;
			}
			return timeline.key(e);
		},
		timeline, model, selection,
	};
}
