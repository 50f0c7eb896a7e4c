'use strict';

/* The page of a case: the verdict first, then the commands, then the story of one violation. */

function findingTabs(c, i, v) {
	if (c.violations.length < 2)
		return null;
	return h('nav', {class: 'findings', 'aria-label': 'findings of this case'},
		c.violations.slice(0, 60).map((violation, n) => h('a', {
			href: addressOf(c.id, violation.token || String(n)),
			'aria-current': n === v ? 'page' : null,
			class: `finding-tab grade-${violation.grade || 'none'}`},
		gradeShape(violation.grade), h('span', {class: 'finding-oracle'}, clipped(violation.oracle, 60)),
		h('span', {class: 'finding-message'}, clipped(violation.message, 90)),
		violation.waived ? h('span', {class: 'tag'}, 'waived') : null)),
		c.violations.length > 60 ? h('span', {class: 'muted'},
			`${grouped(c.violations.length - 60)} more in result.json`) : null);
}

function caseFacts(c, i) {
	const required = c.expected ? `exactly ${c.expected}` : c.required;

	return facts([
		['verdict', `${c.verdict}: ${clipped(WORDS[i].sentence, 1000)}`],
		['required', required],
		['covered', [`${WORDS[i].extent}: `, sourced(WORDS[i].coverage, WORDS[i].coverage,
			caseSource(i, WORDS[i].coverage,
			`${TERMS['crash points']} ${TERMS.recoveries}`))]],
		['states', c.states && c.states.length > 6 ? grouped(c.states) : null],
		['commits', `${grouped(c.commits)} in the recorded run`],
		['can lose', c.lost_acked_max > 0 ? plural(c.lost_acked_max, 'acknowledged commit') : null],
	], 'facts');
}

function environment(c, i, story) {
	const config = Object.entries(c.config).filter(([, value]) => typeof value === 'string');

	return section('environment', 'Case and environment', caseFacts(c, i), facts([
		['case', longText(c.id, 300)],
		['scenario', WORDS[i].file || c.scenario ? longText(WORDS[i].file || c.scenario, 300) : null],
		['title', WORDS[i].title],
		['disk model', c.model ? [h('b', {}, clipped(c.model, 160)), story && story.model_words
			? `: ${clipped(story.model_words, 600)}` : ''] : null],
		['settings', config.length > 0 ? h('ul', {class: 'settings'}, config.map(([key, value]) =>
			h('li', {}, h('code', {}, `${clipped(key, 100)}=${clipped(value, 200)}`)))) : null],
		['SQLite', clipped((story && story.sqlite) || RESULT.sqlite.version || '', 160)],
		['plugpull', (story && story.plugpull) || RESULT.plugpull],
	]), c.not_applicable.map((n) => h('p', {class: 'muted'},
		`not applicable: ${clipped(n.oracle, 100)} (${clipped(n.reason, 600)})`)),
	folded('This case as JSON', () => rawJson(c)),
	story ? folded('This story as JSON', () => rawJson(story)) : null);
}

/* Of a violation without a story: what the result knows. */
function bareViolation(violation) {
	return section('wrong', 'What is wrong', h('p', {class: 'finding'},
		h('b', {}, clipped(violation.oracle, 60)), ': ', clipped(violation.message, 4000)),
	violation.token ? [h('p', {class: 'muted'}, 'Its story is not in this page; it is told by'),
		commandLine(explainCommand(violation.token))] : null);
}

function lintPart(c) {
	return !c.lint ? null : section('lint', 'Syncs that are missing',
		h('ul', {class: 'missing'}, c.lint.map((l) => h('li', {}, h('p', {}, clipped(l.message, 1000)),
			h('p', {class: 'muted'}, `${plural(l.count, 'time')} [${clipped(l.rule, 80)}]`)))));
}

function caseMutants(c, i) {
	return !c.mutants ? null : section('mutants', 'Mutants',
		h('p', {}, ['caught', 'redundant', 'missed'].map((part) =>
			`${grouped(c.score[part])} ${part}`).join(', ')),
		mutantTable(c.mutants.map((m) => [m, i])));
}

function trail(c) {
	return [h('span', {class: 'then', 'aria-hidden': 'true'}, '/'),
		h('a', {href: '#/'}, `${RESULT.command}`),
		h('span', {class: 'then', 'aria-hidden': 'true'}, '/'),
		h('span', {class: 'here', 'aria-current': 'page'}, clipped(c.id, 120))];
}

const NOTES_MAX = 20;

function waivedNotice(waived) {
	return h('p', {class: 'notice waived'}, h('b', {}, 'Waived'), ` until ${clipped(waived.until, 40)}, ` +
		`as far as ${clipped(waived.allowed, 40)}: ${sentence(waived.reason, 400)} ` +
		'It does not count against the run. ', h('span', {class: 'muted'}, '(plugpull.waivers)'));
}

/* What each command is for stands beside it. */
function caseCommands(token) {
	const one = (command, name, what) => h('div', {class: 'command-row'}, commandLine(command, name),
		h('span', {class: 'muted'}, what));

	return h('div', {class: 'commands'},
		one(replayCommand(token), 'replay', 'makes this crash again, and recovers from it'),
		one(explainCommand(token), 'explain', 'tells this story in the terminal'),
		one(shrinkCommand(token), 'shrink', 'makes the smallest case that fails in the same way'),
		h('p', {class: 'muted'}, 'To be run in the folder of this report.'));
}

function casePage(i, v) {
	const c = RESULT.cases[i], violation = c.violations[v] || null;
	const story = violation ? storyOf(i, v) : null;
	const told = story ? makeStory(story, c.expected || c.required) : null;
	const grade = violation ? violation.grade : c.grade;
	const token = violation && violation.token;
	const words = (story && story.verdict) || (c.verdict === 'held' && !violation
		? `It holds: ${WORDS[i].sentence}` : WORDS[i].sentence);

	document.title = `${clipped(c.id, 100)}: ${c.verdict}`;
	return {told, elements: [bar(trail(c)),
		h('main', {id: 'main', tabindex: '-1', class: 'case'},
			h('div', {class: `hero verdict-${c.verdict}`},
				h('p', {class: 'eyebrow'}, h('span', {class: 'verdict'}, verdictShape(c.verdict),
					c.verdict), grade || violation ? gradeTerm(grade) : null,
				violation ? h('span', {class: 'muted'}, 'found by the oracle ',
					oracleTerm(clipped(violation.oracle, 60))) : null),
				h('h1', {class: words.length > 150 ? 'long' : null}, sentence(words, 1000)),
				WORDS[i].title ? h('p', {class: 'about'}, clipped(WORDS[i].title, 300)) : null,
			),
			told ? told.banner : null,
			h('div', {class: `hero more verdict-${c.verdict}`},
				violation && violation.waived ? waivedNotice(violation.waived) : null,
				(c.notes || []).slice(0, NOTES_MAX).map((note) =>
					h('p', {class: 'note-line'}, sentence(note, 1000))),
				token ? caseCommands(token)
					: commandLine(caseCommand(i), 'this case again'),
				violation ? gradeScale() : null),
			findingTabs(c, i, v),
			told ? told.elements : violation ? bareViolation(violation) : null,
			told && story.missing.length > 0 ? null : lintPart(c), caseMutants(c, i),
			environment(c, i, story))]};
}

function noCasePage(id) {
	document.title = 'plugpull: no such case';
	return [bar(null), h('main', {id: 'main', tabindex: '-1'}, h('div', {class: 'hero'},
		h('h1', {}, 'No such case in this report'), h('p', {class: 'foreign'}, clipped(id, 300)),
		h('p', {}, h('a', {href: '#/'}, 'All cases'))))];
}
