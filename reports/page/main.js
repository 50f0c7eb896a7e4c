'use strict';

/* Which page is shown, and the keys of every page. */

const current = {told: null, path: null, i: -1, v: -1, printing: false};

function violationOf(c, token) {
	if (!token)
		return 0;
	const at = c.violations.findIndex((violation) => violation.token === token);

	return at >= 0 ? at : /^\d+$/.test(token) && Number(token) < c.violations.length ? Number(token) : -1;
}

function show() {
	const {path, parts} = addressRead(), app = document.getElementById('app');
	const first = current.path === null;
	let elements, i = -1, v = -1;

	if (path === current.path && parts[0] === 'case')
		return; /* only what is looked at has changed */
	popoverClose();
	if (current.told)
		current.told.close();
	current.told = null;
	if (parts[0] === 'case' && parts[1] !== undefined) {
		i = RESULT.cases.findIndex((c) => c.id === parts[1]);
		if (i < 0 && /^\d+$/.test(parts[1]) && Number(parts[1]) < RESULT.cases.length)
			i = Number(parts[1]);
		v = i < 0 ? -1 : violationOf(RESULT.cases[i], parts[2]);
		if (i < 0 || v < 0)
			elements = noCasePage(parts.slice(1).join(' '));
		else {
			const page = casePage(i, v);

			elements = page.elements;
			current.told = page.told;
		}
	} else
		elements = runPage();
	Object.assign(current, {path, i, v});
	app.replaceChildren(...[h('a', {class: 'skip', href: '#main', onclick(e) {
		e.preventDefault();
		document.getElementById('main').focus();
	}}, 'to the content'), elements].flat());
	if (current.told)
		current.told.start();
	if (!first) {
		window.scrollTo(0, 0);
		document.getElementById('main').focus({preventScroll: true});
		if (i < 0 && location.hash.includes('?'))
			document.getElementById('cases').scrollIntoView();
	}
}

/* In the case that is shown, the finding before or behind this one. */
function findingStep(by) {
	const c = RESULT.cases[current.i], next = c && c.violations[current.v + by];

	if (next)
		location.hash = addressOf(c.id, next.token || String(current.v + by));
}

document.addEventListener('keydown', (e) => {
	const typing = e.target.matches && e.target.matches('input, textarea');

	if (e.key === 'Escape') {
		const owner = popover.owner;

		popoverClose();
		if (owner) {
			popover.quiet = true;
			owner.focus();
			popover.quiet = false;
		}
		if (!owner && typing)
			e.target.blur();
		return;
	}
	if (typing || e.ctrlKey || e.metaKey || e.altKey || document.querySelector('dialog'))
		return;
	const actions = {
		'?': helpOpen, t: themeNext,
		u: () => void (location.hash = '#/'),
		'/': () => document.getElementById('search') && document.getElementById('search').focus(),
		j: () => caseTableStep(1), k: () => caseTableStep(-1),
		n: () => findingStep(1), p: () => findingStep(-1),
	};

	if (current.told && current.told.key(e))
		e.preventDefault();
	else if (e.key in actions) {
		e.preventDefault();
		actions[e.key]();
	}
});

document.body.append(h('div', {id: 'news', class: 'offscreen', role: 'status'}));
window.addEventListener('hashchange', show);
/* A canvas has no style sheet for paper: it is painted once more, and the table is laid out. */
function printing(on) {
	if (on === current.printing)
		return;
	current.printing = on;
	popoverClose();
	if (on) {
		for (const details of document.querySelectorAll('details.long'))
			details.open = true;
	}
	if (current.told)
		current.told.print(on);
}

window.addEventListener('beforeprint', () => printing(true));
window.addEventListener('afterprint', () => printing(false));
matchMedia('print').addEventListener('change', (e) => printing(e.matches));
show();
