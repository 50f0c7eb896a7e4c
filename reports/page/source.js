'use strict';

/* The scenario, opened at the lines that matter, and links to its lines. */

const CONTEXT_LINES = 3;

/* Which lines are open: those involved and a few around them; where none is, the statements of the
 * transactions that the finding is about; or else the beginning. */
function openLines(model) {
	const lines = model.story.source, near = new Uint8Array(lines.length);
	const open = (i) => near.fill(1, Math.max(0, i - CONTEXT_LINES), i + CONTEXT_LINES + 1);

	lines.forEach((line, i) => line.involved && open(i));
	if (!near.includes(1)) {
		for (const i of model.suspects.flatMap((n) => model.statementsOf(n)))
			open(lineOf(model.story.statements[model.ops[i].statement].source) - 1);
	}
	if (!near.includes(1))
		near.fill(1, 0, 12);
	return near;
}

/* The line that "orders.sql:2" names, or one that there never is. */
function lineOf(where) {
	const number = /:(\d{1,9})$/.exec(where || '');

	return number ? Number(number[1]) : -CONTEXT_LINES - 1;
}

function sourceUnfold(list, gap) {
	for (const line of list.querySelectorAll(`.folded[data-gap="${gap}"]`))
		line.classList.remove('folded');
	const item = list.querySelector(`.gap[data-gap="${gap}"]`);

	if (item)
		item.remove();
}

function sourceLines(model, selection) {
	const story = model.story, lines = story.source;

	if (lines.length === 0)
		return null;
	const near = openLines(model), indexAtLine = new Map();

	for (const i of model.statements) {
		const line = lineOf(story.statements[model.ops[i].statement].source);

		/* Of several times that it ran, that of a transaction that is wrong. */
		if (!indexAtLine.has(line) || (model.suspects.includes(model.ops[i].transaction - 1) &&
		    !model.suspects.includes(model.ops[indexAtLine.get(line)].transaction - 1)))
			indexAtLine.set(line, i);
	}
	const lineElement = (i, gap) => {
		const index = indexAtLine.get(i + 1);
		const number = index !== undefined
			? h('button', {type: 'button', class: 'line-number', 'aria-label': `line ${i + 1}: show ` +
				'it in the timeline', onclick: () => selection.go(index)}, String(i + 1))
			: h('span', {class: 'line-number'}, String(i + 1));

		return h('li', {class: `line${lines[i].involved ? ' involved' : ''}` +
			`${/^\s*--/.test(lines[i].text) ? ' comment' : ''}${gap > 0 ? ' folded' : ''}`,
		'data-line': i + 1, 'data-gap': gap > 0 ? gap : null, tabindex: '-1'}, number,
		h('code', {}, clipped(lines[i].text, 1000) || ' '),
		lines[i].involved ? h('span', {class: 'offscreen'}, ' (involved)') : null);
	};
	const list = h('ol', {class: 'source'});
	let gaps = 0;

	for (let i = 0; i < lines.length;) {
		if (near[i]) {
			list.append(lineElement(i++, 0));
			continue;
		}
		const from = i, gap = ++gaps;

		while (i < lines.length && !near[i])
			i++;
		list.append(h('li', {class: 'gap', 'data-gap': gap}, h('button', {type: 'button', onclick: () => {
			sourceUnfold(list, gap);
			list.querySelector(`[data-line="${from + 1}"]`).focus();
		}}, `${plural(i - from, 'line')} more`)));
		for (let n = from; n < i; n++)
			list.append(lineElement(n, gap));
	}
	return h('figure', {class: 'source-figure'}, h('figcaption', {},
		clipped(story.source_path || 'scenario', 300)),
	h('div', {class: 'source-box', tabindex: '0', role: 'region', 'aria-label': 'the scenario'}, list));
}

/* "orders.sql:2", which leads to that line of the scenario where it is shown. */
function lineLink(story, where) {
	const number = lineOf(where);

	if (number < 1 || number > story.source.length)
		return h('span', {class: 'muted where'}, clipped(baseName(where), 200));
	return h('button', {type: 'button', class: 'op-link where', onclick() {
		const line = document.querySelector(`.source [data-line="${number}"]`);

		if (line) {
			sourceUnfold(line.parentElement, line.dataset.gap);
			line.scrollIntoView({block: 'center'});
			line.focus({preventScroll: true});
		}
	}}, clipped(baseName(where), 200));
}
