'use strict';

/*
 * Elements, texts, and what every part of the page does with them. Data reaches the page through
 * text nodes and attributes alone; nothing here or elsewhere parses HTML.
 */

const SVG = 'http://www.w3.org/2000/svg';

/* Characters that a reader cannot see, or that make a line read differently from what it says:
 * controls, U+FEFF, and those of Unicode TR 9 that turn its direction. */
const INVISIBLE = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/* A text with such characters spelt out. */
function visible(text) {
	return String(text).replace(INVISIBLE,
		(c) => '\\u{' + c.codePointAt(0).toString(16) + '}');
}

/* At most `max` characters of it, for lists; the whole text stands elsewhere. */
function clipped(text, max) {
	const shown = visible(text);

	return shown.length > max ? shown.slice(0, max - 1) + '…' : shown;
}

/* No text of a report needs more; whoever shows more on demand makes a text node of it. */
const TEXT_MAX = 4000;

/* A text of the story as a sentence of its own: with a capital, where its first word is a word and
 * no name of a file, and with a full stop. */
function sentence(text, max) {
	const shown = clipped(text, max);
	const begun = /^[a-z]+[ ,]/.test(shown) ? shown[0].toUpperCase() + shown.slice(1) : shown;

	return /[.!?…:]$/.test(begun) || begun === '' ? begun : begun + '.';
}

function fill(element, properties, children) {
	for (const [name, value] of Object.entries(properties || {})) {
		if (value === null || value === undefined || value === false)
			continue;
		if (name.startsWith('on'))
			element.addEventListener(name.slice(2), value);
		else
			element.setAttribute(name, value === true ? '' : value);
	}
	for (const child of children.flat(Infinity)) {
		if (child === null || child === undefined || child === false)
			continue;
		element.append(child instanceof Node ? child : clipped(child, TEXT_MAX));
	}
	return element;
}

/* h('p', {class: 'x', onclick: f}, 'text', element, [more]) */
function h(tag, properties, ...children) {
	return fill(document.createElement(tag), properties, children);
}

function s(tag, properties, ...children) {
	return fill(document.createElementNS(SVG, tag), properties, children);
}

/* "1 state", "2 states"; digits in groups of three, by a narrow blank that breaks no line. */
function grouped(n) {
	return String(n).replace(/\B(?=(\d{3})+(?!\d))/g, '\u202f');
}

function plural(n, one, many) {
	return grouped(n) + ' ' + (String(n) === '1' ? one : many || one + 's');
}

/* A count of states, an exact decimal string: as it stands up to nine digits, otherwise 1.2e29. */
function rounded(count) {
	if (!/^[0-9]+$/.test(count))
		return clipped(count, 40);
	if (count.length <= 9)
		return grouped(count);
	const mantissa = Math.round(Number(count.slice(0, 3)) / 10);

	return mantissa === 100 ? `1.0e${count.length}`
				: `${(mantissa / 10).toFixed(1)}e${count.length - 1}`;
}

/* An argument of a POSIX shell. */
function quoted(argument) {
	return /^[A-Za-z0-9_\-.,/:=@%+]+$/.test(argument)
		? argument : "'" + argument.replaceAll("'", "'\\''") + "'";
}

/* Polite news for people who hear the page. */
function announce(text) {
	document.getElementById('news').textContent = text;
}

function copyText(text, button) {
	const done = (word) => {
		button.classList.add('done');
		announce(word);
		setTimeout(() => button.classList.remove('done'), 1500);
	};
	/* Where the clipboard is closed to files, a selection in a text field still copies. */
	const otherwise = () => {
		const field = h('textarea', {class: 'offscreen', readonly: true});

		field.value = text;
		document.body.append(field);
		field.select();
		const copied = document.execCommand('copy');

		field.remove();
		button.focus();
		done(copied ? 'copied' : 'not copied: the browser does not allow it');
	};

	if (navigator.clipboard && window.isSecureContext)
		navigator.clipboard.writeText(text).then(() => done('copied'), otherwise);
	else
		otherwise();
}

function copyButton(text, what) {
	const button = h('button', {class: 'copy', type: 'button',
				    'aria-label': `copy ${what || 'the command'}`},
		s('svg', {viewBox: '0 0 16 16', 'aria-hidden': 'true'},
			s('path', {class: 'sheets', d: 'M5.5 5.5h7v8h-7zM3.5 10.5h-1v-8h7v1'}),
			s('path', {class: 'tick', d: 'M3 8.5l3.5 3.5L13 4.5'})));

	button.addEventListener('click', () => copyText(text, button));
	return button;
}

/* A command, as one would type it, and a button that copies it. */
function commandLine(command, label) {
	return h('div', {class: 'command'},
		label ? h('span', {class: 'label'}, label) : null,
		h('code', {tabindex: '0'}, clipped(command, 2000)),
		copyButton(command));
}

/*
 * Grades and verdicts: a shape, a letter-like glyph and a colour each, so that none of the three
 * is needed. All stand on a grid of 16.
 */
const GRADE_SHAPES = {
	durable: [['path', {d: 'M8 1.5a6.5 6.5 0 1 1 0 13a6.5 6.5 0 1 1 0-13z', class: 'full'}],
		['path', {d: 'M5 8.2l2.2 2.3 4-4.6', class: 'cut'}]],
	consistent: [['circle', {cx: 8, cy: 8, r: 5.75, class: 'ring'}],
		['path', {d: 'M8 2.25a5.75 5.75 0 0 0 0 11.5z', class: 'full'}]],
	torn: [['path', {d: 'M2.5 2.5h5.2l-1.6 3.6 2.4 2-2 3 1 2.4H2.5z', class: 'full'}],
		['path', {d: 'M10 2.5h3.5v11H9.8l-1-2.4 2-3-2.4-2z', class: 'ring'}]],
	corrupt: [['path', {d: 'M5 1.5h6L14.5 5v6L11 14.5H5L1.5 11V5z', class: 'full'}],
		['path', {d: 'M5.3 5.3l5.4 5.4M10.7 5.3l-5.4 5.4', class: 'cut'}]],
	none: [['path', {d: 'M3 8h10', class: 'ring'}]],
};

const VERDICT_SHAPES = {
	held: [['path', {d: 'M2.5 8.6l3.6 3.7L13.5 4', class: 'ring'}]],
	violated: [['path', {d: 'M3.5 3.5l9 9M12.5 3.5l-9 9', class: 'ring'}]],
	inconclusive: [['path', {d: 'M5 5.6C5 1.6 11.2 1.8 11 5.5 10.9 7.8 8 7.6 8 10.2M8 12.4v1.6',
		class: 'ring'}]],
	error: [['path', {d: 'M8 2v8M8 12.2v1.8', class: 'ring'}]],
	skipped: [['path', {d: 'M3 8h10', class: 'ring'}]],
	/* Of a fix: an arrow upwards. */
	better: [['path', {d: 'M8 13.5V3M3.5 7.5L8 3l4.5 4.5', class: 'ring'}]],
};

const GRADES = ['durable', 'consistent', 'torn', 'corrupt'];

const GRADE_MEANING = {
	durable: 'every acknowledged commit is there',
	consistent: 'a legal state, but acknowledged commits can be gone',
	torn: 'a state that never existed',
	corrupt: 'cannot be opened, or fails a check',
};

function shape(kind, name, shapes) {
	return s('svg', {viewBox: '0 0 16 16', class: `shape ${kind}-${name}`, 'aria-hidden': 'true'},
		(shapes[name] || []).map(([tag, properties]) => s(tag, properties)));
}

function gradeShape(grade) {
	return shape('grade', grade || 'none', GRADE_SHAPES);
}

function gradeChip(grade) {
	return h('span', {class: `chip grade-${grade || 'none'}`}, gradeShape(grade),
		grade || 'no grade');
}

function verdictShape(verdict) {
	return shape('verdict', verdict, VERDICT_SHAPES);
}

/* ---- the one popover of the page: the command behind a number ---- */

const popover = {element: null, owner: null, timer: 0, pinned: false, top: 0,
		 quiet: false};

function popoverClose() {
	clearTimeout(popover.timer);
	if (!popover.element)
		return;
	const {element, owner} = popover;

	/* First, because removing what has the focus calls this again. */
	popover.element = popover.owner = null;
	popover.pinned = false;
	owner.setAttribute('aria-expanded', 'false');
	element.remove();
}

function popoverOpen(owner, make, pinned) {
	if (popover.owner === owner) {
		popover.pinned = popover.pinned || pinned;
		return;
	}
	popoverClose();
	const element = h('div', {class: 'popover', role: 'group', 'aria-label': 'where this is from'},
		make());

	/* Beside its owner in the order of the page, so that Tab goes from one into the other. */
	owner.after(element);
	popover.element = element;
	popover.owner = owner;
	popover.pinned = pinned;
	owner.setAttribute('aria-expanded', 'true');
	const at = owner.getBoundingClientRect(), size = element.getBoundingClientRect();
	popover.top = at.top;
	const left = Math.max(8, Math.min(at.left, window.innerWidth - size.width - 8));
	const below = at.bottom + 6 + size.height <= window.innerHeight || at.top < size.height + 8;

	element.style.left = `${left}px`;
	element.style.top = `${below ? at.bottom + 6 : at.top - size.height - 6}px`;
	const leave = () => {
		popover.timer = setTimeout(() => {
			const inside = popover.element && (popover.element.matches(':hover') ||
				popover.element.contains(document.activeElement));

			if (!popover.pinned && !inside)
				popoverClose();
		}, 200);
	};

	element.addEventListener('mouseleave', leave);
	element.addEventListener('focusout', (e) => {
		if (!element.contains(e.relatedTarget) && e.relatedTarget !== owner)
			popoverClose();
	});
	owner.addEventListener('mouseleave', leave, {once: true});
}

/*
 * A number, or other text, that says where it is from: hovering, focusing or clicking it shows what
 * make() returns.
 */
function sourced(content, label, make) {
	const button = h('button', {class: 'sourced', type: 'button', 'aria-expanded': 'false',
				    'aria-label': label}, content);

	button.addEventListener('mouseenter', () => {
		clearTimeout(popover.timer);
		popover.timer = setTimeout(() => popoverOpen(button, make, false), 250);
	});
	button.addEventListener('mouseleave', () => {
		if (popover.owner !== button)
			clearTimeout(popover.timer);
	});
	button.addEventListener('click', () => {
		clearTimeout(popover.timer);
		if (popover.owner === button && popover.pinned)
			popoverClose();
		else
			popoverOpen(button, make, true);
	});
	button.addEventListener('focus', () => {
		if (button.matches(':focus-visible') && !popover.quiet)
			popoverOpen(button, make, false);
	});
	button.addEventListener('blur', (e) => {
		if (popover.owner === button && !popover.pinned &&
		    !popover.element.contains(e.relatedTarget))
			popoverClose();
	});
	return button;
}

document.addEventListener('pointerdown', (e) => {
	if (popover.element && !popover.element.contains(e.target) &&
	    !popover.owner.contains(e.target))
		popoverClose();
});
window.addEventListener('scroll', () => {
	/* It stands still while its owner moves away. */
	if (popover.element && Math.abs(popover.owner.getBoundingClientRect().top - popover.top) > 4)
		popoverClose();
}, {passive: true, capture: true});
