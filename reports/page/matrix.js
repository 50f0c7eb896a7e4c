'use strict';

/*
 * The cases as a grid. Two kinds: where a scenario has been run under every journal mode and every
 * level of synchronous (`matrix`), a table of these two for each scenario and model; otherwise
 * scenarios down, models across, and in each cell the settings that make the difference.
 */

/* A cell has no more than this many settings by name; where there are more, shapes alone. */
const NAMED_MAX = 6;
const GRID_ROWS_MAX = 300;

function caseLabel(c, i) {
	const grade = c.grade || (c.verdict === 'skipped' || c.verdict === 'error' ? c.verdict
										  : 'no grade');

	return `${clipped(c.id, 200)}: ${c.verdict}, ${grade}` +
		(c.lost_acked_max ? `, loses up to ${plural(c.lost_acked_max, 'acknowledged commit')}`
				  : '') + `. ${clipped(WORDS[i].sentence, 300)}`;
}

/* What a case is on a grid: its grade, or why there is none. A red corner: it counts against the
 * run. */
function caseMark(c, i, name) {
	const bad = c.verdict === 'violated' || c.verdict === 'error' || c.verdict === 'inconclusive';
	const grade = c.grade || c.verdict;

	return h('a', {class: `case-mark grade-${c.grade || 'none'}${bad ? ' bad' : ''}`,
		       href: addressOf(c.id), title: caseLabel(c, i)},
	h('span', {class: 'offscreen'}, name === null ? caseLabel(c, i) : `${clipped(c.id, 200)}: `),
	c.grade ? gradeShape(c.grade) : verdictShape(c.verdict),
		name === null ? null : h('span', {class: 'name'}, clipped(name || grade, 40)),
		c.lost_acked_max > 0
			? h('span', {class: 'loss'}, `−${grouped(c.lost_acked_max)}`) : null,
		c.grade && !c.exhaustive && c.grade !== 'corrupt'
			? h('span', {class: 'open'}, '*') : null);
}

/* Keys whose value is not the same in all of these cases. */
function varyingKeys(indexes) {
	const keys = new Map();

	for (const i of indexes) {
		for (const [key, value] of settingsOf(RESULT.cases[i])) {
			if (!keys.has(key))
				keys.set(key, new Set());
			keys.get(key).add(value);
		}
	}
	return [...keys].filter(([, values]) => values.size > 1).map(([key]) => key).sort();
}

function groupBy(indexes, keyOf) {
	const groups = new Map();

	for (const i of indexes) {
		const key = keyOf(RESULT.cases[i]);

		if (!groups.has(key))
			groups.set(key, []);
		groups.get(key).push(i);
	}
	return groups;
}

/* The values of a key, in the order in which they come first. */
function valuesOf(indexes, key) {
	return [...new Set(indexes.map((i) => RESULT.cases[i].config[key] || ''))];
}

function twoAxes(indexes, down, across, caption) {
	const columns = valuesOf(indexes, across);
	const rows = groupBy(indexes, (c) => c.config[down] || '');

	return h('div', {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption},
		h('table', {class: 'grid axes'},
			h('caption', {}, caption),
			h('thead', {}, h('tr', {},
				h('th', {scope: 'col', class: 'corner'},
					h('span', {}, down), h('span', {}, across)),
				columns.map((value) => h('th', {scope: 'col'}, value || '–')))),
			h('tbody', {}, [...rows].map(([value, cells]) => h('tr', {},
				h('th', {scope: 'row'}, value || '–'),
				columns.map((column) => h('td', {}, cells
					.filter((i) => (RESULT.cases[i].config[across] || '') === column)
					.map((i) => caseMark(RESULT.cases[i], i, ''))))))))); 
}

/* Scenarios that were run with these two settings varying, and nothing else but the model. */
function settingsGrids(indexes) {
	const grids = [], left = [];

	for (const [scenario, ofScenario] of groupBy(indexes, (c) => c.scenario)) {
		const keys = varyingKeys(ofScenario);
		const full = keys.length === 2 && ofScenario.length >= 6;

		if (!full) {
			left.push(...ofScenario);
			continue;
		}
		const across = keys.includes('synchronous') ? 'synchronous' : keys[1];
		const down = keys.find((key) => key !== across);

		for (const [model, ofModel] of groupBy(ofScenario, (c) => c.model || ''))
			grids.push(twoAxes(ofModel, down, across,
				clipped(scenario, 120) + (model ? ` on ${clipped(model, 80)}` : '')));
	}
	return {grids, left};
}

function modelsGrid(indexes) {
	const models = [...new Set(indexes.map((i) => RESULT.cases[i].model || 'kill'))];
	const scenarios = [...groupBy(indexes, (c) => c.scenario)];
	const shown = scenarios.slice(0, GRID_ROWS_MAX);

	const cell = (cells, keys) => {
		const named = keys.length > 0 && cells.length <= NAMED_MAX;

		return cells.map((i) => {
			const c = RESULT.cases[i];
			const name = keys.map((key) => c.config[key]).filter(Boolean).join(' ');

			return caseMark(c, i, keys.length === 0 ? '' : named ? name : null);
		});
	};

	return [h('div', {class: 'scroll', tabindex: '0', role: 'region',
			  'aria-label': 'scenarios and models'},
		h('table', {class: 'grid'},
			h('thead', {}, h('tr', {}, h('th', {scope: 'col'}, 'scenario'),
				models.map((model) => h('th', {scope: 'col'}, clipped(model, 60))))),
			h('tbody', {}, shown.map(([scenario, cases]) => {
				const keys = varyingKeys(cases);
				const title = WORDS[cases[0]].title;

				return h('tr', {},
					h('th', {scope: 'row'}, h('span', {class: 'scenario'},
						clipped(scenario, 120)),
					title ? h('span', {class: 'about'}, clipped(title, 160)) : null),
					models.map((model) => h('td', {}, h('div', {class: 'marks'},
						cell(cases.filter((i) =>
							(RESULT.cases[i].model || 'kill') === model),
						keys)))));
			})))),
	scenarios.length > shown.length
		? h('p', {class: 'muted'}, `${plural(scenarios.length - shown.length, 'scenario')} more ` +
			'in the table of cases.') : null];
}

function matrixOf(indexes) {
	const {grids, left} = settingsGrids(indexes);

	return [left.length > 0 ? modelsGrid(left) : null,
		grids.length > 0 ? h('div', {class: 'grids'}, grids) : null];
}
