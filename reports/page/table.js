'use strict';

/*
 * The table of cases: filters, search, sorting. What is chosen stands in the address, so that a
 * view can be handed on. Only what is shown is in the page: a step of rows, and more on demand.
 */

const ROWS_STEP = 200;
const VERDICT_ORDER = ['error', 'violated', 'inconclusive', 'held', 'skipped'];
const GRADE_ORDER = ['corrupt', 'torn', 'consistent', 'durable'];

const SORTS = {
	verdict: (c) => VERDICT_ORDER.indexOf(c.verdict) * 10 + gradeRank(c.grade),
	grade: (c) => gradeRank(c.grade) * 10 + VERDICT_ORDER.indexOf(c.verdict),
	lost: (c) => -c.lost_acked_max,
	points: (c) => -c.crash_points,
	states: (c) => (c.states ? -Number(c.states) : 1),
	recoveries: (c) => -c.recoveries,
	id: (c) => c.id,
};

function gradeRank(grade) {
	const at = GRADE_ORDER.indexOf(grade);

	return at < 0 ? GRADE_ORDER.length : at;
}

/* What a number means, and the command that counts it again. */
function caseSource(i, what, meaning) {
	return () => [h('p', {}, sentence(what, 300), meaning ? ` ${meaning}` : ''),
		h('p', {class: 'muted'}, 'This counts it again, from where the run was started:'),
		commandLine(caseCommand(i))];
}

function caseNumber(i, value, what) {
	return sourced(value, `${value} ${what}`, caseSource(i, `${value} ${what}`, TERMS[what]));
}

function caseRow(i) {
	const c = RESULT.cases[i];

	return h('tr', {'data-case': i},
		h('td', {class: `verdict-${c.verdict}`}, h('span', {class: 'verdict'},
			verdictShape(c.verdict), c.verdict)),
		h('td', {}, c.grade ? gradeChip(c.grade) : h('span', {class: 'muted'}, '–')),
		h('td', {class: 'id'}, h('a', {href: addressOf(c.id)}, clipped(c.id, 300)),
			c.violations.some((v) => v.waived) ? [' ', h('span', {class: 'tag'}, 'waived')] : null,
			c.verdict === 'held' && c.violations.length === 0 ? null
				: h('span', {class: 'why'}, clipped(WORDS[i].sentence, 300))),
		h('td', {class: 'number'}, c.lost_acked_max > 0
			? caseNumber(i, grouped(c.lost_acked_max), 'acknowledged commits can be lost')
			: h('span', {class: 'muted'}, '0')),
		h('td', {class: 'number'}, caseNumber(i, grouped(c.rounds === undefined ? c.crash_points
			: c.rounds), c.rounds === undefined ? 'crash points' : 'rounds')),
		h('td', {class: 'number'}, c.states ? caseNumber(i, rounded(c.states), 'states')
			: h('span', {class: 'muted'}, '–')),
		h('td', {class: 'number'}, caseNumber(i, grouped(c.recoveries), 'recoveries')),
		h('td', {}, h('span', {class: `extent ${WORDS[i].extent}`}, WORDS[i].extent)));
}

function chips(name, values, chosen, choose) {
	return h('div', {class: 'chips', role: 'group', 'aria-label': name},
		values.map(([value, count, icon]) => h('button', {type: 'button', class: 'filter',
			'aria-pressed': String(chosen === value),
			onclick: () => choose(chosen === value ? '' : value)},
		icon ? icon() : null, clipped(value, 40), h('span', {class: 'count'}, grouped(count)))));
}

function countBy(keyOf) {
	const counts = new Map();

	for (const c of RESULT.cases)
		counts.set(keyOf(c), (counts.get(keyOf(c)) || 0) + 1);
	return counts;
}

function caseTable() {
	const query = addressRead().query;
	const view = {verdict: query.get('verdict') || '', grade: query.get('grade') || '',
		      model: query.get('model') || '', text: query.get('q') || '',
		      sort: Object.hasOwn(SORTS, query.get('sort')) ? query.get('sort') : 'verdict',
		      up: query.get('up') === '1', rows: ROWS_STEP};
	const verdicts = countBy((c) => c.verdict), grades = countBy((c) => c.grade || 'none');
	const models = countBy((c) => c.model || 'kill');
	const choices = h('div', {class: 'choices'});
	const search = h('input', {type: 'search', id: 'search', placeholder: 'Search cases',
				   'aria-label': 'search cases', value: view.text, autocomplete: 'off',
				   spellcheck: 'false'});
	const none = h('p', {class: 'no-hits', hidden: true}, 'No case is like that. ',
		h('button', {type: 'button', class: 'plain', onclick: () => {
			search.value = '';
			update({verdict: '', grade: '', model: '', text: ''});
			search.focus();
		}}, 'Clear search and filters'));
	const body = h('tbody', {}), more = h('p', {class: 'more'});
	const count = h('p', {class: 'muted count-line', role: 'status'});

	const matches = (i) => {
		const c = RESULT.cases[i];
		const words = view.text.toLowerCase().split(/\s+/).filter(Boolean);
		const text = words.length === 0 ? '' : [c.id, c.reason, WORDS[i].sentence,
			WORDS[i].title, ...c.violations.map((v) => `${v.oracle} ${v.message} ${v.token}`)]
			.join(' ').toLowerCase();

		return (view.verdict === '' || c.verdict === view.verdict) &&
			(view.grade === '' || (c.grade || 'none') === view.grade) &&
			(view.model === '' || (c.model || 'kill') === view.model) &&
			words.every((word) => text.includes(word));
	};
	const columns = [['verdict', 'verdict'], ['grade', 'grade'], ['id', 'case'],
		['lost', 'can lose', 'number'], ['points', RESULT.command === 'kill' ? 'rounds'
			: 'crash points', 'number'],
		['states', 'states', 'number'], ['recoveries', 'recoveries', 'number'],
		[null, 'covered']];
	const head = h('tr', {});

	const update = (changes) => {
		Object.assign(view, {rows: ROWS_STEP}, changes);
		addressNote({verdict: view.verdict, grade: view.grade, model: view.model, q: view.text,
			     sort: view.sort === 'verdict' ? '' : view.sort, up: view.up ? '1' : ''});
		draw();
	};
	const draw = () => {
		const focused = document.activeElement && choices.contains(document.activeElement) &&
			document.activeElement.tagName === 'BUTTON'
			? document.activeElement.textContent : null;

		popoverClose();
		choices.replaceChildren(
			chips('verdict', VERDICT_ORDER.filter((v) => verdicts.has(v))
				.map((v) => [v, verdicts.get(v), () => verdictShape(v)]),
			view.verdict, (verdict) => update({verdict})),
			grades.size > 1 ? chips('grade', [...GRADE_ORDER, 'none']
				.filter((g) => grades.has(g))
				.map((g) => [g, grades.get(g), () => gradeShape(g)]),
			view.grade, (grade) => update({grade})) : '',
			models.size > 1 ? chips('model', [...models].map(([m, n]) => [m, n]),
				view.model, (model) => update({model})) : '');
		for (const button of choices.querySelectorAll('button')) {
			if (focused !== null && button.textContent === focused)
				button.focus();
		}
		head.replaceChildren(...columns.map(([key, title, name]) => h('th', {scope: 'col',
			class: name, 'aria-sort': key !== view.sort ? null
				: view.up ? 'descending' : 'ascending'},
		key === null ? title : h('button', {type: 'button', class: 'sort', onclick: () => {
			update({sort: key, up: view.sort === key && !view.up});
			head.querySelector('[aria-sort] button').focus();
		}}, title, s('svg', {viewBox: '0 0 8 8', 'aria-hidden': 'true'},
			s('path', {d: 'M1 2.5l3 3 3-3'}))))));
		const key = SORTS[view.sort], found = [...RESULT.cases.keys()].filter(matches);
		const order = (a, b) => {
			const x = key(RESULT.cases[a]), y = key(RESULT.cases[b]);

			return (x < y ? -1 : x > y ? 1 : 0) * (view.up ? -1 : 1) || a - b;
		};

		found.sort(order);
		body.replaceChildren(...found.slice(0, view.rows).map(caseRow));
		none.hidden = found.length > 0 || RESULT.cases.length === 0;
		count.textContent = found.length === RESULT.cases.length
			? plural(found.length, 'case')
			: `${grouped(found.length)} of ${plural(RESULT.cases.length, 'case')}`;
		more.replaceChildren(found.length > view.rows
			? h('button', {type: 'button', class: 'plain', onclick: () => {
				view.rows += ROWS_STEP;
				draw();
			}}, `Show ${grouped(Math.min(ROWS_STEP, found.length - view.rows))} more`) : '');
	};

	search.addEventListener('input', () => update({text: search.value}));
	draw();
	return [h('div', {class: 'filters'}, search, choices), count, h('div', {class: 'scroll', tabindex: '0', role: 'region',
					  'aria-label': 'table of cases'},
		h('table', {class: 'cases'}, h('thead', {}, head), body)), none, more];
}

/* j and k: the links of the table, one by one. */
function caseTableStep(step) {
	const links = [...document.querySelectorAll('.cases td.id a')];
	const at = links.indexOf(document.activeElement);
	const next = links[Math.max(0, Math.min(links.length - 1, at < 0 ? 0 : at + step))];

	if (next)
		next.focus();
}
