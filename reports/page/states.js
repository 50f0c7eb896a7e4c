'use strict';

/*
 * The crash states of a crash point, as a strip: one cell for those that recovery could not tell
 * apart, sorted by what came of them. Moving along the strip shows what was on the disk in each.
 */

/* Worst first; a state that nobody objected to stands at the end. */
function stateRank(state) {
	if (state.oracle === null)
		return 10;
	const at = GRADE_ORDER.indexOf(state.grade);

	return at < 0 ? 5 : at;
}

function stateName(state) {
	return state.oracle === null ? 'nothing lost' : state.grade || `other: ${state.oracle}`;
}

function stateGroups(states) {
	const order = [...states.keys()].sort((a, b) => stateRank(states[a]) - stateRank(states[b]) ||
		(states[a].outcome < states[b].outcome ? -1 : states[a].outcome > states[b].outcome ? 1 : a - b));
	const groups = [];

	order.forEach((index, at) => {
		const name = stateName(states[index]), last = groups[groups.length - 1];

		if (last && last.name === name)
			last.states.push(index);
		else
			groups.push({name, at, grade: states[index].oracle === null ? 'durable'
				: states[index].grade, states: [index]});
	});
	return {order, groups};
}

function exact(count) {
	return /^[0-9]+$/.test(count || '') ? BigInt(count) : 0n;
}

function statesCount(count) {
	return `${rounded(count)} ${count === '1' ? 'state' : 'states'}`;
}

function sumOf(states) {
	return states.reduce((n, state) => n + exact(state.count), 0n);
}

/* How many states there are, how many recoveries cover them, and what of both is not shown; every
 * number adds up with the others. */
function statesWords(story) {
	const recoveries = story.states_recoveries || story.states.length + story.states_left_out;
	const total = story.states_total && /^[0-9]+$/.test(story.states_total) ? BigInt(story.states_total)
		: null, shown = sumOf(story.states);
	const words = [total === null ? '' : [statesCount(String(total)), ', ']];
	const left = total === null ? 0n : total - shown;
	const looked = term(plural(recoveries, 'recovery', 'recoveries'), TERMS.recovery);

	words.push(looked, '. ');
	if (left <= 0n && story.states_left_out === 0)
		return [...words, 'All are shown.'];
	words.push(`Shown are ${rounded(String(shown))} of these states`, story.states_left_out > 0
		? `, of ${grouped(recoveries - story.states_left_out)} recoveries` : '', '; ');
	words.push(left > 0n ? `the other ${rounded(String(left))}` : 'others');
	words.push(story.states_left_out > 0
		? `, of ${plural(story.states_left_out, 'recovery', 'recoveries')}, are counted only.`
		: ' were not looked at.');
	return words;
}

/* `look(state)` is called with the state that is chosen. null: there is nothing to choose from. */
function makeStates(model, selection, look) {
	const story = model.story, states = story.states;

	if (states.length === 0)
		return null;
	const {order, groups} = stateGroups(states);
	const own = order.findIndex((index) => states[index].this_one);
	let at = Math.max(0, own);
	const cells = order.map((index) => h('span', {
		class: `state grade-${states[index].oracle === null ? 'durable' : states[index].grade || 'none'}` +
			(states[index].this_one ? ' own' : '')}));
	const strip = h('div', {class: 'strip', role: 'slider', tabindex: '0', 'aria-valuemin': '1',
				'aria-valuemax': String(order.length), 'aria-label': 'crash state'}, cells);
	const heading = h('div', {class: 'strip-groups'});
	const outcome = h('div', {class: 'state-outcome', 'aria-live': 'polite'});

	for (const group of groups) {
		const total = sumOf(group.states.map((index) => states[index]));
		const label = h('span', {class: `strip-group grade-${group.grade || 'none'}`},
			h('span', {class: 'strip-label'}, gradeShape(group.grade), group.name, ' ',
				h('span', {class: 'muted'}, rounded(String(total)))));

		label.style.flexGrow = String(group.states.length);
		label.title = `${group.name}: ${plural(String(total), 'state')}`;
		heading.append(label);
	}
	/* Where the strip has no room for the name of a group, all names stand in a line instead. */
	const labels = () => {
		heading.classList.remove('apart');
		if ([...heading.children].some((label) => label.firstChild.scrollWidth > label.clientWidth + 1))
			heading.classList.add('apart');
	};
	const observer = new ResizeObserver(labels);

	observer.observe(strip);
	const choose = (next) => {
		at = Math.max(0, Math.min(order.length - 1, next));
		const state = states[order[at]];

		cells.forEach((cell, n) => cell.classList.toggle('at', n === at));
		strip.setAttribute('aria-valuenow', String(at + 1));
		strip.setAttribute('aria-valuetext', `${at + 1} of ${order.length}, ${stateName(state)}: ` +
			clipped(state.outcome, 300));
		outcome.replaceChildren(
			h('div', {class: 'state-line'},
				state.oracle === null ? h('span', {class: 'chip grade-durable'},
					gradeShape('durable'), 'nothing lost') : gradeChip(state.grade),
				h('span', {class: 'state-words'}, linked(model, selection, sentence(state.outcome, 600)))),
			h('p', {class: 'muted'}, `${grouped(at + 1)} of ${grouped(order.length)} on the strip, `,
				term('stands for', TERMS['stands for']), ' ',
				sourced(statesCount(state.count || '0'), statesCount(state.count || '0'),
					() => [h('p', {}, `Exactly ${plural(state.count, 'state')}: disks that a power ` +
						'failure may leave here and that recovery cannot tell apart. This explores ' +
						'the crash point again, and lists them as data:'),
					commandLine(story.token ? `${explainCommand(story.token)} --json -`
						: story.replay || runCommand())]),
				state.this_one ? h('b', {}, ' · the state of this case') : ''));
		look(state, at === own);
	};

	strip.addEventListener('keydown', (e) => {
		const big = Math.max(1, Math.round(order.length / 10));
		const next = {ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1,
			      PageUp: at + big, PageDown: at - big, Home: 0, End: order.length - 1}[e.key];

		if (next === undefined || e.ctrlKey || e.metaKey || e.altKey)
			return;
		e.preventDefault();
		e.stopPropagation();
		choose(next);
	});
	const fromPointer = (e) => {
		const box = strip.getBoundingClientRect();

		choose(Math.floor((e.clientX - box.left) / box.width * order.length));
	};

	strip.addEventListener('pointerdown', (e) => {
		if (e.button !== 0)
			return;
		strip.setPointerCapture(e.pointerId);
		fromPointer(e);
	});
	strip.addEventListener('pointermove', (e) => {
		if (strip.hasPointerCapture(e.pointerId))
			fromPointer(e);
	});
	const button = (label, text, action) => h('button', {type: 'button', class: 'tool',
		'aria-label': /\w/.test(text) ? `${text}: ${label}` : label, title: label,
		onclick: action}, text);

	return {
		element: h('div', {class: 'states'},
			h('div', {class: 'states-head'}, h('h3', {}, 'The crash states at this point'),
				h('span', {class: 'muted'}, statesWords(story)),
				h('span', {class: 'tools'},
					button('previous state', '‹', () => choose(at - 1)),
					button('next state', '›', () => choose(at + 1)),
					own >= 0 ? button('the state of this case', 'own', () => choose(own)) : null)),
			heading, strip, outcome),
		step: (by) => choose(at + by),
		own: () => own >= 0 && choose(own),
		start: (n) => choose(Number.isInteger(n) && n >= 1 && n <= order.length ? n - 1 : Math.max(0, own)),
		at: () => (at === own ? null : at + 1),
		close: () => observer.disconnect(),
	};
}
