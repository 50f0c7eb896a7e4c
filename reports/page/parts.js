'use strict';

/* Parts that both pages have: the bar on top, sections, the scale of grades. */

const THEMES = ['system', 'light', 'dark'];

function themeNow() {
	return document.documentElement.dataset.theme || 'system';
}

function themeSet(theme) {
	if (theme === 'system')
		delete document.documentElement.dataset.theme;
	else
		document.documentElement.dataset.theme = theme;
	try {
		localStorage.setItem('plugpull-theme', theme);
	} catch (e) {
		/* It lasts as long as the page does, then. */
	}
	schemeApply();
}

function themeNext() {
	const next = THEMES[(THEMES.indexOf(themeNow()) + 1) % THEMES.length];

	themeSet(next);
	announce(`${next} colours`);
	return next;
}

function themeButton() {
	const label = () => `colours: ${themeNow()}`;
	const button = h('button', {class: 'quiet', type: 'button', 'aria-label': label(),
				    title: 'light, dark, or as the system has it (t)'},
		s('svg', {viewBox: '0 0 16 16', 'aria-hidden': 'true', class: 'icon'},
			s('circle', {cx: 8, cy: 8, r: 6}),
			s('path', {class: 'full', d: 'M8 2a6 6 0 0 1 0 12z'})),
		h('span', {class: 'theme-name'}, themeNow()));

	button.addEventListener('click', themeNext);
	const update = () => {
		button.setAttribute('aria-label', label());
		button.querySelector('.theme-name').textContent = themeNow();
	};

	document.addEventListener('themechange', update);
	return button;
}

function bar(trail) {
	return h('header', {class: 'bar'},
		h('nav', {'aria-label': 'where you are'},
			h('a', {class: 'mark', href: '#/'}, s('svg', {viewBox: '0 0 16 16',
				'aria-hidden': 'true', class: 'icon'},
			s('path', {d: 'M5.5 1.5v4M10.5 1.5v4M3.5 5.5h9v2.5a4.5 4.5 0 0 1-9 0zM8 12.5v3'})),
			'plugpull'),
			trail),
		h('div', {class: 'tools'}, themeButton(),
			h('button', {class: 'quiet', type: 'button', onclick: () => helpOpen(),
				     'aria-label': 'keys and help', title: 'keys and help (?)'}, '?')));
}

function section(id, title, ...children) {
	return h('section', {id, 'aria-labelledby': `${id}-title`},
		h('h2', {id: `${id}-title`}, title), ...children);
}

function gradeScale() {
	return h('p', {class: 'scale'}, 'Grades, the best first: ',
		GRADES.map((grade, i) => [i > 0 ? h('span', {class: 'then', 'aria-hidden': 'true'}, '›')
						: null,
		h('span', {class: 'step'}, gradeShape(grade), h('b', {}, grade), ' ',
			GRADE_MEANING[grade])]));
}

/* [[term, content], ...]; what has no content is left out. */
function facts(pairs, name) {
	return h('dl', {class: name || 'facts'}, pairs
		.filter(([, content]) => content !== null && content !== undefined && content !== '')
		.map(([term, content]) => [h('dt', {}, term), h('dd', {}, content)]));
}

/* Long texts of other people: the beginning, and the whole on demand. */
function longText(text, max) {
	if (text.length <= max)
		return h('span', {class: 'foreign'}, text);
	return h('details', {class: 'long'}, h('summary', {class: 'foreign'}, clipped(text, max)),
		h('span', {class: 'foreign'}, new Text(visible(text))));
}

function folded(title, make) {
	const details = h('details', {class: 'fold'}, h('summary', {}, title));

	details.addEventListener('toggle', () => {
		if (details.open && details.children.length === 1)
			details.append(make());
	});
	return details;
}

function rawJson(value) {
	const text = JSON.stringify(value, null, 2);
	const shown = new Text(clipped(text, 200000));

	return h('div', {class: 'raw'}, copyButton(text, 'the JSON'),
		h('pre', {tabindex: '0'}, shown));
}

/* ---- help ---- */

const KEYS = [
	['Everywhere', [['?', 'this help'], ['t', 'colours: system, light, dark'],
		['u', 'up to the page of the run'], ['Esc', 'close what is open']]],
	['Page of a run', [['/', 'search the cases'], ['j  k', 'next, previous case in the table'],
		['Enter', 'open it']]],
	['Page of a case', [['[  ]', 'previous, next crash state'], ['o', 'the state of the case itself'],
		['n  p', 'next, previous finding']]],
	['Timeline, from anywhere on the page', [['←  →', 'previous, next operation'], ['+  −', 'zoom'],
		['Shift ←  →', 'pan'], ['c', 'to the crash'], ['0', 'everything']]],
	['In the timeline', [['↑  ↓', 'previous, next pending write'], ['Home  End', 'first, last operation']]],
	['On the strip of crash states', [['←  →', 'previous, next'], ['PgUp  PgDn', 'a tenth of them'],
		['Home  End', 'first, last']]],
];

function helpOpen() {
	const dialog = h('dialog', {class: 'help', 'aria-labelledby': 'help-title'},
		h('div', {class: 'help-head'}, h('h2', {id: 'help-title'}, 'Keys'),
			h('button', {class: 'quiet', type: 'button', 'aria-label': 'close',
				     onclick: () => dialog.close()}, '×')),
		h('div', {class: 'keys'}, KEYS.map(([title, keys]) => h('div', {},
			h('h3', {}, title),
			h('dl', {}, keys.map(([key, what]) => [
				h('dt', {}, key.split('  ').map((k) => h('kbd', {}, k))),
				h('dd', {}, what)]))))),
		h('p', {class: 'muted'}, 'Numbers with a dotted line say where they are from: hover, ',
			'focus or click them. The mouse wheel zooms the timeline while Ctrl is down, ',
			'and pans it sideways; dragging pans, too.'));

	if (document.querySelector('dialog'))
		return;
	dialog.addEventListener('close', () => dialog.remove());
	dialog.addEventListener('click', (e) => {
		if (e.target === dialog)
			dialog.close();
	});
	document.body.append(dialog);
	dialog.showModal();
}
