'use strict';

/*
 * Draws what is to be seen of a story's timeline, on either of two surfaces with the same four
 * calls: SVG while a few hundred marks are in sight, canvas above. Colours are names of CSS
 * properties, so that a style sheet, and nothing here, knows what light and dark are.
 *
 *   axis          positions
 *   bands         transactions
 *   program       promises as flags, other outputs, statements
 *   one lane each mark; under it the bracket of the sync that covers it; missing syncs, dashed
 */

const AXIS = 22, BAND = 22, PROGRAM = 34, LANE = 62, MARK = 22, FOOT = 6;
/* Above the marks of a lane there is room for a line of words. */
const MARK_TOP = 21;
const SVG_MARKS_MAX = 250;

const PAINTS = {
	grid: {stroke: '--line', width: 1}, text: {fill: '--muted'}, strong: {fill: '--text'},
	durable: {fill: '--t-durable'}, kept: {fill: '--t-kept'},
	lost: {fill: '--bg', stroke: '--t-lost', width: 1.75},
	'lost-cross': {stroke: '--t-lost', width: 1.75},
	torn: {fill: '--bg', stroke: '--t-torn', width: 1.5}, 'torn-part': {fill: '--t-torn'},
	damaged: {fill: '--t-torn-soft', stroke: '--t-torn', width: 1.5},
	'damaged-crack': {stroke: '--t-torn', width: 1.75},
	unasked: {fill: '--bg', stroke: '--t-unasked', width: 1.5, dash: '3 2'},
	'unasked-dot': {fill: '--t-unasked'},
	after: {fill: '--bg', stroke: '--t-after', width: 1}, none: {fill: '--t-after'},
	shade: {fill: '--t-shade'}, crash: {stroke: '--t-crash', width: 2},
	'crash-flag': {fill: '--t-crash'}, 'crash-text': {fill: '--bg'},
	barrier: {stroke: '--t-barrier', width: 2.5}, cover: {stroke: '--t-barrier', width: 1.25},
	failed: {stroke: '--t-lost', width: 2.5, dash: '2 2'},
	missing: {stroke: '--t-missing', width: 2, dash: '4 3'}, 'missing-fill': {fill: '--t-missing-soft'},
	'missing-text': {fill: '--t-missing'},
	flag: {fill: '--t-flag'}, pole: {stroke: '--t-flag', width: 1.5},
	tick: {stroke: '--muted', width: 1}, statement: {fill: '--muted'},
	setting: {fill: '--t-missing'},
	'band-present': {fill: '--t-band', stroke: '--t-band-line', width: 1},
	'band-gone': {fill: '--t-lost-soft', stroke: '--t-lost', width: 1},
	'band-partly': {fill: '--t-torn-soft', stroke: '--t-torn', width: 1},
	'band-unknown': {fill: '--t-band', stroke: '--t-unasked', width: 1, dash: '3 2'},
	'band-later': {fill: '--bg', stroke: '--t-after', width: 1}, 'band-text': {fill: '--t-lost'},
	'band-label': {fill: '--t-lost-soft'},
	chosen: {stroke: '--accent', width: 2}, hair: {stroke: '--accent', width: 1},
	dark: {fill: '--t-on-fill'},
};

function svgSurface(root) {
	const parts = document.createDocumentFragment();
	const add = (tag, paint, properties) => {
		const element = document.createElementNS(SVG, tag), p = PAINTS[paint];

		for (const [name, value] of Object.entries(properties))
			element.setAttribute(name, value);
		element.style.fill = p.fill ? `var(${p.fill})` : 'none';
		if (p.stroke) {
			element.style.stroke = `var(${p.stroke})`;
			element.style.strokeWidth = p.width;
			if (p.dash)
				element.style.strokeDasharray = p.dash;
		}
		parts.append(element);
		return element;
	};

	return {
		rect: (paint, x, y, width, height, radius) =>
			void add('rect', paint, {x, y, width, height, rx: radius || 0}),
		line: (paint, x1, y1, x2, y2) => void add('line', paint, {x1, y1, x2, y2}),
		polygon: (paint, points) => void add('polygon', paint, {points: points.join(' ')}),
		text(paint, x, y, text, align) {
			const element = add('text', paint, {x, y, 'text-anchor': align || 'start'});

			element.textContent = text;
		},
		finish: () => root.replaceChildren(parts),
	};
}

function canvasSurface(canvas, width, height) {
	const ratio = window.devicePixelRatio || 1, context = canvas.getContext('2d');
	const style = getComputedStyle(canvas), colors = new Map();
	const color = (name) => {
		if (!colors.has(name))
			colors.set(name, style.getPropertyValue(name).trim());
		return colors.get(name);
	};
	const paintPath = (paint) => {
		const p = PAINTS[paint];

		if (p.fill) {
			context.fillStyle = color(p.fill);
			context.fill();
		}
		if (p.stroke) {
			context.strokeStyle = color(p.stroke);
			context.lineWidth = p.width;
			context.setLineDash(p.dash ? p.dash.split(' ').map(Number) : []);
			context.stroke();
		}
	};

	if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
		canvas.width = Math.round(width * ratio);
		canvas.height = Math.round(height * ratio);
	}
	context.setTransform(ratio, 0, 0, ratio, 0, 0);
	context.clearRect(0, 0, width, height);
	context.font = `11px ${style.fontFamily}`;
	return {
		rect(paint, x, y, w, height_, radius) {
			const p = PAINTS[paint];

			if (!p.stroke && !radius) {
				context.fillStyle = color(p.fill);
				context.fillRect(x, y, w, height_);
				return;
			}
			context.beginPath();
			if (radius && context.roundRect)
				context.roundRect(x, y, w, height_, radius);
			else
				context.rect(x, y, w, height_);
			paintPath(paint);
		},
		line(paint, x1, y1, x2, y2) {
			context.beginPath();
			context.moveTo(x1, y1);
			context.lineTo(x2, y2);
			paintPath(paint);
		},
		polygon(paint, points) {
			context.beginPath();
			points.forEach(([x, y]) => context.lineTo(x, y));
			context.closePath();
			paintPath(paint);
		},
		text(paint, x, y, text, align) {
			context.fillStyle = color(PAINTS[paint].fill);
			context.textAlign = align === 'middle' ? 'center' : align || 'start';
			context.fillText(text, x, y);
		},
		finish() {},
	};
}

function timelineHeight(model) {
	return AXIS + model.bandRows * BAND + PROGRAM + model.lanes.length * LANE + FOOT;
}

function laneTop(model, lane) {
	return AXIS + model.bandRows * BAND + PROGRAM + lane * LANE;
}

/* About as many characters as there is room for, at 6.6 pixels each. */
function fitting(text, width) {
	const shown = visible(text), room = Math.floor(width / 6.6);

	return shown.length <= room ? shown : room < 3 ? '' : shown.slice(0, room - 1) + '…';
}

/* A mark too narrow for a shape of its own: what is lost is open in the middle, what is torn has its
 * lower half gone, and where nobody looked there is only the middle. */
function paintNarrow(on, fate, x, y, width) {
	switch (fate) {
	case 'lost':
		on.rect('crash-flag', x, y, width, 7);
		on.rect('crash-flag', x, y + MARK - 7, width, 7);
		break;
	case 'torn':
		on.rect('torn-part', x, y, width, MARK / 2 + 1);
		break;
	case 'damaged':
		on.rect('torn-part', x, y, width, MARK / 2 - 2);
		on.rect('torn-part', x, y + MARK / 2 + 2, width, MARK / 2 - 2);
		break;
	case 'unasked':
		on.rect('unasked-dot', x, y + 7, width, MARK - 14);
		break;
	case 'after':
		on.rect('none', x, y + 8, width, MARK - 16);
		break;
	default:
		on.rect(fate, x, y, width, MARK);
	}
}

/* One operation that changes a file: square for content, diamond for names and sizes. */
function paintMark(on, model, i, x, width, top) {
	const op = model.ops[i], fate = model.fate(i);
	const y = top + MARK_TOP, w = Math.max(1.5, Math.min(width - (width > 6 ? 3 : width > 3 ? 1 : 0), 120));
	const left = x + (width - w) / 2, middle = x + width / 2;

	if (w < 7) {
		paintNarrow(on, fate, left, y, w);
		return;
	}
	if (op.kind !== 'write') {
		const r = Math.min(MARK / 2 + 1, w / 2 + 2), cy = y + MARK / 2;
		const diamond = (n) => [[middle, cy - n], [middle + n, cy], [middle, cy + n],
			[middle - n, cy]];

		on.polygon(fate, diamond(r));
		if (fate === 'lost') {
			on.line('lost-cross', middle - r / 2.6, cy - r / 2.6, middle + r / 2.6, cy + r / 2.6);
			on.line('lost-cross', middle + r / 2.6, cy - r / 2.6, middle - r / 2.6, cy + r / 2.6);
		} else if (fate === 'unasked')
			on.rect('unasked-dot', middle - 1.5, cy - 1.5, 3, 3, 1.5);
		else if (fate === 'torn')
			on.polygon('torn-part', [[middle, cy - r], [middle, cy + r], [middle - r, cy]]);
		return;
	}
	on.rect(fate, left, y, w, MARK, 3);
	if (fate === 'torn') {
		const part = op.parts > 0 ? Math.min(0.85, Math.max(0.15, op.parts_kept / op.parts)) : 0.5;
		const edge = left + w * part, tooth = Math.min(3, w / 6);

		on.polygon('torn-part', [[left, y], [edge + tooth, y], [edge - tooth, y + MARK / 4],
			[edge + tooth, y + MARK / 2], [edge - tooth, y + MARK * 3 / 4],
			[edge + tooth, y + MARK], [left, y + MARK]]);
	} else if (fate === 'lost') {
		on.line('lost-cross', left + 1, y + MARK - 1, left + w - 1, y + 1);
		if (w < 40)
			on.line('lost-cross', left + 1, y + 1, left + w - 1, y + MARK - 1);
	} else if (fate === 'damaged') {
		/* A crack from top to bottom: it was whole. */
		on.line('damaged-crack', middle, y, middle - 2.5, y + MARK * 0.4);
		on.line('damaged-crack', middle - 2.5, y + MARK * 0.4, middle + 2.5, y + MARK * 0.6);
		on.line('damaged-crack', middle + 2.5, y + MARK * 0.6, middle, y + MARK);
	} else if (fate === 'unasked' && w < 34)
		on.rect('unasked-dot', middle - 1.5, y + MARK / 2 - 1.5, 3, 3, 1.5);
	if (w >= 34 && fate !== 'lost' && fate !== 'torn' && fate !== 'damaged')
		on.text(fate === 'durable' || fate === 'kept' ? 'dark'
			: fate === 'after' ? 'text' : 'strong', middle, y + MARK / 2 + 4,
		fitting(opShort(op), w - 4), 'middle');
}

/* Where an operation is narrower than a pixel and a half: the gravest fate in each column. */
function paintColumns(on, model, view, width) {
	const columns = model.lanes.map(() => new Uint8Array(Math.ceil(width) + 1));
	const first = Math.max(0, Math.floor(view.from));
	const last = Math.min(model.count, Math.ceil(view.from + view.span));

	for (let i = first; i < last; i++) {
		if (model.laneOf[i] < 0 || model.fates[i] === 0)
			continue;
		const x = Math.max(0, Math.floor((i - view.from) * view.scale));
		const column = columns[model.laneOf[i]];

		if (model.fates[i] > column[x])
			column[x] = model.fates[i];
	}
	columns.forEach((column, lane) => {
		for (let x = 0; x < column.length; x++) {
			if (column[x] === 0)
				continue;
			const from = x;

			while (x + 1 < column.length && column[x + 1] === column[from])
				x++;
			paintNarrow(on, FATES[column[from]], from, laneTop(model, lane) + MARK_TOP, x - from + 1);
		}
	});
}

function paintAxis(on, model, view, width, height) {
	const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];
	const step = steps.find((n) => n * view.scale >= 56) || 10000;
	const first = Math.max(0, Math.ceil(view.from / step) * step);
	const flag = (model.crash - view.from) * view.scale; /* takes the place of numbers */

	for (let at = first; at < Math.min(model.count, view.from + view.span); at += step) {
		let i = at; /* statements have no number: the next operation that has one */

		while (i < at + step - 1 && i + 1 < model.count && model.ops[i].kind === 'statement')
			i++;
		const x = (i + 0.5 - view.from) * view.scale;

		if (model.ops[i].kind === 'statement')
			continue;
		if (x > 14 && x < width - 14 && Math.abs(x - flag) > 70)
			on.text('text', x, 14, grouped(model.ops[i].position), 'middle');
		on.line('grid', x, AXIS - 4, x, AXIS);
	}
	for (let lane = 0; lane <= model.lanes.length; lane++) {
		const y = Math.round(laneTop(model, lane)) + 0.5;

		on.line('grid', 0, y, width, y);
	}
	on.line('grid', 0, AXIS + 0.5, width, AXIS + 0.5);
}

const BAND_WORDS = {present: '', gone: ' gone', partly: ' partly there', unknown: ' never was so',
		    later: ' not begun'};

/* The numbers of transactions that are wrong are always to be read, however narrow the band: where
 * several are too near to each other, as 12–14. `labels`: [[x, first, last, y]], by x. */
function paintNumbers(on, labels, width) {
	const words = (label) => (label[1] === label[2] ? `${label[1]}` : `${label[1]}–${label[2]}`);
	const room = (label) => words(label).length * 7 + 6, shown = [];

	for (const label of labels) {
		const last = shown[shown.length - 1];

		if (last && last[3] === label[3] && label[0] < last[0] + room(last) + 2)
			last[2] = label[2];
		else
			shown.push([...label]);
	}
	for (const label of shown) {
		const x = Math.max(0, Math.min(label[0], width - room(label)));

		on.rect('band-label', x, label[3], room(label), BAND - 5, 3);
		on.text('band-text', x + room(label) / 2, label[3] + 12.5, words(label), 'middle');
	}
}

function paintBands(on, model, view, width) {
	const labels = [];

	for (const band of model.bands) {
		const from = (band.from - view.from) * view.scale;
		const to = (band.to + 1 - view.from) * view.scale;

		if (to < 0 || from > width)
			continue;
		const left = Math.max(-4, from + 1), w = Math.max(2, Math.min(width + 4, to - 1) - left);
		const y = AXIS + band.row * BAND + 3, t = band.transaction;
		/* What is there of it is known of the case's own state alone. */
		const presence = model.own || t.presence === 'later' ? t.presence : 'present';
		const text = fitting(`${t.number}${BAND_WORDS[presence]}${t.changes ? ` · ${t.changes}` : ''}`,
			w - 8);

		on.rect(`band-${presence}`, left, y, w, BAND - 5, 3);
		if (text.startsWith(`${t.number} `) || text === `${t.number}`)
			on.text('strong', Math.max(left, 0) + 5, y + 12.5, text);
		else if (isWrong(t) && model.own)
			labels.push([left, t.number, t.number, y]);
		else
			on.text('strong', Math.max(left, 0) + 5, y + 12.5, fitting(`${t.number}`, w - 4));
	}
	paintNumbers(on, labels, width);
}

function paintProgram(on, model, view, first, last) {
	const y = AXIS + model.bandRows * BAND, narrow = view.scale < 6;

	for (let i = first; i < last; i++) {
		const op = model.ops[i], x = (i + 0.5 - view.from) * view.scale;

		if (op.kind === 'statement') {
			const r = narrow ? 1.5 : 3.5, cy = y + PROGRAM - 9;

			if (op.transaction === 0)
				on.polygon('setting', [[x, cy - r - 2], [x + r + 1.5, cy], [x, cy + r + 2],
					[x - r - 1.5, cy]]);
			else if (view.scale >= 2)
				on.rect('statement', x - r, cy - r, 2 * r, 2 * r, 1);
		} else if (model.isPromise(i)) {
			on.line('pole', x, y + 4, x, y + PROGRAM - 3);
			if (!narrow)
				on.polygon('flag', [[x, y + 4], [x + 11, y + 8.5], [x, y + 13]]);
		} else if (model.laneOf[i] < 0)
			on.line('tick', x, y + 14, x, y + PROGRAM - 3);
	}
}

function paintBarriers(on, model, view, width, dense) {
	for (const b of model.barriers) {
		const x = (b.end + 0.5 - view.from) * view.scale;
		const from = (b.first - view.from) * view.scale;

		if (x < -10 || from > width || b.lane < 0)
			continue;
		const top = laneTop(model, b.top) + 5, bottom = laneTop(model, b.bottom) + LANE - 7;

		on.line(b.failed ? 'failed' : 'barrier', x, top, x, bottom);
		if (b.count === 0 || dense)
			continue;
		const y = laneTop(model, b.lane) + LANE - 9;

		on.line('cover', Math.max(-5, from + 2), y, x, y);
		on.line('cover', from + 2, y - 4, from + 2, y);
	}
}

function paintMissing(on, model, view, width) {
	const named = [];

	for (const m of model.story.missing) {
		const lane = model.laneOfMissing(m);

		if (lane < 0)
			continue;
		const from = (model.indexAt(m.after) + 1 - view.from) * view.scale;
		const to = (m.before ? model.indexAt(m.before) : model.count) - view.from;
		const x = Math.max(from + 2, Math.min((from + to * view.scale) / 2, from + 14));

		if (from > width || to * view.scale < -40)
			continue;
		const y = laneTop(model, lane);

		on.rect('missing-fill', from, y + 4, Math.max(4, to * view.scale - from), LANE - 8, 3);
		on.line('missing', x, y + 3, x, y + LANE - 4);
		/* On the side where the line of the crash does not run through it, nor the frame end. */
		const crash = (model.crash - view.from) * view.scale - x;
		const aside = (crash > 0 && crash < 84 && x > 90) || x > width - 80;

		/* Where several are missing at nearly one place, one name does for them. */
		const begin = aside ? x - 84 : x, end = aside ? x : x + 84;

		if (named[lane] !== undefined && begin < named[lane])
			continue;
		named[lane] = end;
		on.text('missing-text', x + (aside ? -6 : 6), y + 15,
			m.matters ? 'sync missing' : 'no sync', aside ? 'end' : 'start');
	}
}

function paintCrash(on, model, view, width, height) {
	const x = (model.crash - view.from) * view.scale;

	if (x < width)
		on.rect('shade', Math.max(0, x), AXIS, width - Math.max(0, x), height - AXIS);
	if (x < -60 || x > width + 60)
		return;
	const left = Math.max(2, Math.min(x - 46, width - 94));

	on.line('crash', x, AXIS - 2, x, height);
	on.rect('crash-flag', left, 2, 92, AXIS - 5, 3);
	on.text('crash-text', left + 46, 14.5, 'power fails here', 'middle');
}

/* Everything; `view`: {from, span, scale}, `chosen` and `hover`: indexes or -1. */
function paintTimeline(on, model, view, width, height, chosen, hover) {
	const first = Math.max(0, Math.floor(view.from) - 1);
	const last = Math.min(model.count, Math.ceil(view.from + view.span) + 1);
	const dense = view.scale < 1.5;

	paintAxis(on, model, view, width, height);
	paintBands(on, model, view, width);
	paintMissing(on, model, view, width);
	paintBarriers(on, model, view, width, view.scale < 3);
	if (dense)
		paintColumns(on, model, view, width);
	else {
		for (let i = first; i < last; i++) {
			if (model.laneOf[i] >= 0 && model.fates[i] !== 0)
				paintMark(on, model, i, (i - view.from) * view.scale, view.scale,
					laneTop(model, model.laneOf[i]));
		}
	}
	if (view.scale >= 0.5)
		paintProgram(on, model, view, first, last);
	paintCrash(on, model, view, width, height);
	for (const [i, paint] of [[hover, 'hair'], [chosen, 'chosen']]) {
		if (i < 0)
			continue;
		const x = (i + 0.5 - view.from) * view.scale, lane = model.laneOf[i];

		on.line('hair', x, AXIS, x, height);
		if (paint !== 'chosen')
			continue;
		const w = Math.max(6, view.scale), y = lane < 0
			? AXIS + model.bandRows * BAND + 2 : laneTop(model, lane) + MARK_TOP - 3;

		on.rect('chosen', x - w / 2 - 0.5, y, w + 1, lane < 0 ? PROGRAM - 4 : MARK + 6, 5);
	}
	on.finish();
}
