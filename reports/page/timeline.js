'use strict';

/*
 * The timeline: what is in sight of a story's model (lanes.js), how one moves in it, and what is
 * chosen. It draws (paint.js) at most once a frame, and only what is in sight.
 *
 * selection: {chosen, choose(i), go(i), listen(f)}, shared with the list of operations and the details.
 * go() is for links: whoever shows the operations comes into sight and takes the focus.
 */

const SCALE_MAX = 96;
const START_OPS = 48;

function makeSelection() {
	const listeners = [];

	return {
		chosen: -1,
		choose(i, source) {
			if (i === this.chosen)
				return;
			this.chosen = i;
			listeners.forEach((f) => f(i, source));
		},
		go(i) {
			this.chosen = i;
			listeners.forEach((f) => f(i, 'link'));
		},
		listen: (f) => void listeners.push(f),
	};
}

/* Where to begin: around the crash, with what is pending and the transactions that the finding is
 * about, as far as there is room. */
function startView(model) {
	const spans = model.suspects.map((n) => model.spans[n][0]);
	const wanted = [...model.pending.slice(0, 1), ...spans,
		...model.story.missing.map((m) => model.indexAt(m.after))]
		.map((i) => model.crash - i + 5).filter((n) => n < 3 * START_OPS);
	const left = Math.max(START_OPS / 2, ...wanted);

	return {from: model.crash - left, span: left + START_OPS / 4};
}

function makeTimeline(model, selection) {
	const view = Object.assign({scale: 1}, startView(model));
	const svg = s('svg', {class: 'marks', 'aria-hidden': 'true'});
	const canvas = h('canvas', {class: 'marks', 'aria-hidden': 'true'});
	const overview = h('canvas', {class: 'overview', 'aria-hidden': 'true'});
	const frame = h('div', {class: 'overview-frame', 'aria-hidden': 'true'});
	const field = h('div', {class: 'field', tabindex: '0', role: 'group',
				'aria-label': 'timeline of the operations around the crash; arrow keys move, ' +
					'plus and minus zoom. The table of operations below says the same.'},
		svg, canvas);
	const height = timelineHeight(model);
	let width = 0, hover = -1, asked = 0;
	const measured = {frames: 0, surface: ''}; /* what tests look at */

	const clamp = () => {
		view.span = Math.max(width / SCALE_MAX, Math.min(view.span, Math.max(model.count + 4, 8)));
		view.from = Math.max(-2, Math.min(view.from, model.count + 2 - view.span));
		view.scale = width / view.span;
	};
	const paint = () => {
		asked = 0;
		if (width === 0)
			return;
		const inSight = Math.min(model.count, view.span);
		const useSvg = inSight <= SVG_MARKS_MAX;
		const on = useSvg ? svgSurface(svg) : canvasSurface(canvas, width, height);

		svg.style.display = useSvg ? '' : 'none';
		canvas.style.display = useSvg ? 'none' : '';
		paintTimeline(on, model, view, width, height, selection.chosen, hover);
		frame.style.left = `${100 * Math.max(0, view.from) / model.count}%`;
		frame.style.width = `${100 * Math.min(1, view.span / model.count)}%`;
		measured.frames++;
		measured.surface = useSvg ? 'svg' : 'canvas';
	};
	const repaint = () => {
		if (asked === 0)
			asked = requestAnimationFrame(paint);
	};
	const paintOverview = () => {
		const box = overview.clientWidth;

		if (box === 0 || model.count === 0)
			return;
		const on = canvasSurface(overview, box, 26), columns = new Uint8Array(box);

		for (let i = 0; i < model.count; i++) {
			const x = Math.min(box - 1, Math.floor(i * box / model.count));
			const end = Math.max(x + 1, Math.floor((i + 1) * box / model.count));

			for (let at = x; at < end; at++)
				columns[at] = Math.max(columns[at], model.fates[i]);
		}
		for (let x = 0; x < box; x++) {
			const from = x;

			while (x + 1 < box && columns[x + 1] === columns[from])
				x++;
			if (columns[from] > 0)
				paintNarrow(on, FATES[columns[from]], from, 2, x - from + 1);
		}
		const crash = model.crash * box / model.count;

		on.line('crash', crash, 0, crash, 26);
	};
	const update = () => {
		clamp();
		repaint();
	};
	const resize = () => {
		if (field.clientWidth === width)
			return;
		width = field.clientWidth;
		svg.setAttribute('width', width);
		svg.setAttribute('height', height);
		canvas.style.width = `${width}px`;
		canvas.style.height = `${height}px`;
		update();
		paintOverview();
	};

	/* ---- moving ---- */

	const zoom = (factor, at) => {
		const centre = at === undefined ? (selection.chosen >= view.from &&
			selection.chosen < view.from + view.span ? selection.chosen + 0.5
			: view.from + view.span / 2) : at;
		const span = Math.max(width / SCALE_MAX, Math.min(view.span * factor, model.count + 4));

		view.from = centre - (centre - view.from) * span / view.span;
		view.span = span;
		update();
	};
	const pan = (by) => {
		view.from += by;
		update();
	};
	const reveal = (i) => {
		const margin = Math.min(view.span / 4, 6);

		if (i < view.from + margin)
			view.from = i - margin;
		else if (i + 1 > view.from + view.span - margin)
			view.from = i + 1 - view.span + margin;
		update();
	};
	const toCrash = () => {
		Object.assign(view, startView(model));
		update();
	};
	const fit = () => {
		Object.assign(view, {from: -1, span: model.count + 2});
		update();
	};
	const step = (by, list) => {
		const from = selection.chosen < 0 ? Math.ceil(model.crash) : selection.chosen;
		let next = from + by;

		if (list) {
			const at = by > 0 ? list.find((i) => i > from)
				: [...list].reverse().find((i) => i < from);

			next = at === undefined ? from : at;
		}
		selection.choose(Math.max(0, Math.min(model.count - 1, next)), 'timeline');
	};

	/* Keys that nothing else on the page has a use for work everywhere. */
	const anywhere = {
		ArrowLeft: (e) => (e.shiftKey ? pan(-view.span / 6) : step(-1)),
		ArrowRight: (e) => (e.shiftKey ? pan(view.span / 6) : step(1)),
		'+': () => zoom(1 / 1.5), '=': () => zoom(1 / 1.5), '-': () => zoom(1.5),
		'0': fit, c: toCrash,
	};
	const here = {
		ArrowUp: () => step(-1, model.pending), ArrowDown: () => step(1, model.pending),
		Home: () => selection.choose(0, 'timeline'),
		End: () => selection.choose(model.count - 1, 'timeline'),
	};
	/* What scrolls sideways has a use for the arrows itself. */
	const scrolls = (e) => {
		const box = e.target.closest && e.target.closest('.scroll, code, pre');

		return box !== null && box !== undefined && box.scrollWidth > box.clientWidth + 1;
	};
	const key = (e, keys) => {
		if (e.ctrlKey || e.metaKey || e.altKey || !Object.hasOwn(keys, e.key) || model.count === 0 ||
		    (e.key.startsWith('Arrow') && scrolls(e)))
			return false;
		keys[e.key](e);
		return true;
	};

	field.addEventListener('keydown', (e) => {
		if (key(e, here))
			e.preventDefault();
	});
	field.addEventListener('wheel', (e) => {
		const box = field.getBoundingClientRect();

		if (e.ctrlKey || e.metaKey) {
			e.preventDefault();
			zoom(Math.exp(Math.max(-60, Math.min(60, e.deltaY)) / 120),
				view.from + (e.clientX - box.left) / view.scale);
			return;
		}
		const by = e.shiftKey && e.deltaX === 0 ? e.deltaY : e.deltaX;

		if (by !== 0) {
			e.preventDefault();
			pan(by / view.scale);
		}
	}, {passive: false});

	/* The operation at a place: in its lane, and where many share a pixel, a pending one first. */
	const hit = (x, y) => {
		const at = view.from + x / view.scale, reach = Math.max(0.5, 4 / view.scale);
		const lane = Math.floor((y - laneTop(model, 0)) / LANE);
		let best = -1, bestWorth = 0;

		for (let i = Math.max(0, Math.floor(at - reach)); i <= at + reach && i < model.count; i++) {
			const worth = (model.laneOf[i] === lane ? 1000 : 0) + model.fates[i] * 10 -
				Math.abs(i + 0.5 - at) / reach;
			const near = view.scale >= 8 ? Math.floor(at) === i : true;

			if (near && (best < 0 || worth > bestWorth)) {
				best = i;
				bestWorth = worth;
			}
		}
		return best;
	};
	const pointers = new Map();
	let drag = null;

	field.addEventListener('pointerdown', (e) => {
		if (e.button !== 0)
			return;
		pointers.set(e.pointerId, e.clientX);
		drag = {x: e.clientX, from: view.from, moved: false};
	});
	field.addEventListener('pointermove', (e) => {
		const box = field.getBoundingClientRect();

		if (!pointers.has(e.pointerId)) {
			const i = hit(e.clientX - box.left, e.clientY - box.top);

			if (i !== hover) {
				hover = i;
				field.title = i < 0 ? '' : clipped(opSentence(model, i), 300);
				repaint();
			}
			return;
		}
		if (pointers.size === 2) {
			const [a, b] = [...pointers.values()], before = Math.abs(a - b);

			pointers.set(e.pointerId, e.clientX);
			const [c, d] = [...pointers.values()], after = Math.abs(c - d);

			if (before > 0 && after > 0)
				zoom(before / after, view.from + ((c + d) / 2 - box.left) / view.scale);
			drag.moved = true;
			return;
		}
		if (Math.abs(e.clientX - drag.x) > 4 && !drag.moved) {
			drag.moved = true;
			field.setPointerCapture(e.pointerId);
		}
		if (drag.moved) {
			view.from = drag.from - (e.clientX - drag.x) / view.scale;
			update();
		}
	});
	const release = (e) => {
		if (!pointers.delete(e.pointerId) || e.type === 'pointercancel' || drag.moved)
			return;
		const box = field.getBoundingClientRect();

		selection.choose(hit(e.clientX - box.left, e.clientY - box.top), 'timeline');
	};

	field.addEventListener('pointerup', release);
	field.addEventListener('pointercancel', release);
	field.addEventListener('pointerleave', () => {
		hover = -1;
		repaint();
	});
	const overviewTo = (e) => {
		const box = overview.getBoundingClientRect();

		view.from = (e.clientX - box.left) / box.width * model.count - view.span / 2;
		update();
	};

	overview.addEventListener('pointerdown', (e) => {
		overview.setPointerCapture(e.pointerId);
		overviewTo(e);
	});
	overview.addEventListener('pointermove', (e) => {
		if (e.buttons & 1)
			overviewTo(e);
	});

	selection.listen((i, source) => {
		if (i >= 0)
			reveal(i);
		repaint();
		if (source === 'link') {
			element.scrollIntoView({block: 'center'});
			field.focus({preventScroll: true});
		}
	});
	const observer = new ResizeObserver(resize);

	observer.observe(field);
	const again = () => {
		repaint();
		paintOverview();
	};

	document.addEventListener('themechange', again);
	field.style.height = `${height}px`;

	const tool = (text, label, action) => h('button', {type: 'button', class: 'tool',
		'aria-label': /\w/.test(text) ? `${text}: ${label}` : label, title: label,
		onclick: action}, text);
	const labels = h('div', {class: 'lane-labels', 'aria-hidden': 'true'},
		h('div', {class: 'lane-top'}, h('span', {class: 'label-bands'}, 'transactions'),
			h('span', {class: 'label-program'}, 'program')),
		model.lanes.map((lane) => h('div', {class: 'lane-label', title: visible(lane.path)},
			h('span', {class: 'lane-name'}, clipped(lane.role === 'directory' ? lane.path
				: baseName(lane.path), 60)),
			h('span', {class: 'lane-role'}, lane.role))));

	labels.style.setProperty('--top', `${laneTop(model, 0)}px`);
	labels.style.setProperty('--bands', `${AXIS}px`);
	labels.style.setProperty('--program', `${AXIS + model.bandRows * BAND}px`);
	const element = h('div', {class: 'timeline'},
			h('div', {class: 'timeline-head'}, h('div', {class: 'overview-box'}, overview, frame),
				h('div', {class: 'timeline-tools'}, tool('−', 'zoom out', () => zoom(1.5)),
					tool('+', 'zoom in', () => zoom(1 / 1.5)),
					tool('crash', 'go there', toCrash),
					tool('all', 'every operation', fit))),
			h('div', {class: 'timeline-body'}, labels, field));

	return {
		element, repaint: again, model, view, measured,
		key: (e) => key(e, anywhere),
		/* At once, because a printer does not wait for the next frame. */
		paintNow() {
			width = field.clientWidth;
			svg.setAttribute('width', width);
			canvas.style.width = `${width}px`;
			clamp();
			paint();
			paintOverview();
		},
		close() {
			observer.disconnect();
			document.removeEventListener('themechange', again);
		},
	};
}
