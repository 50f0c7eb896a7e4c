'use strict';

/* The page of a run: the verdict, what failed, the cases as a grid and as a table, coverage. */

const FAILED_MAX = 8;
const LIST_MAX = 200;

function sum(numberOf) {
	return RESULT.cases.reduce((total, c) => total + BigInt(numberOf(c) || 0), 0n);
}

function indexesWhere(test) {
	return [...RESULT.cases.keys()].filter((i) => test(RESULT.cases[i], i));
}

/* Where states were left out, a crash may lose more than was found. */
function lostWords(lost) {
	const whole = RESULT.cases.every((c) => c.verdict !== 'violated' || c.exhaustive);

	return whole ? `up to ${plural(lost, 'acknowledged commit')}`
		: `${plural(lost, 'acknowledged commit')} or more`;
}

/* The cases of which a finding does not count. */
function isWaived() {
	return indexesWhere((c) => c.violations.some((v) => v.waived));
}

function waivedSentence(all, held) {
	const waived = isWaived();
	const lost = Math.max(0, ...waived.map((i) => RESULT.cases[i].lost_acked_max));

	return (all === 1 ? 'The case counts as held only because of a waiver'
		: `${held === all ? 'All' : grouped(held) + ' of'} ${plural(all, 'case')} count as held, ` +
		  `${grouped(waived.length)} of them only because of a waiver`) +
		(lost > 0 ? `: a crash can lose up to ${plural(lost, 'acknowledged commit')}.` : '.');
}

function waivers() {
	const waived = isWaived();

	return waived.length === 0 ? null : section('waived', 'Waived',
		h('ul', {class: 'reasons'}, waived.slice(0, LIST_MAX).flatMap((i) =>
			RESULT.cases[i].violations.filter((v) => v.waived).map((v) => h('li', {},
				h('a', {href: addressOf(RESULT.cases[i].id, v.token)}, clipped(RESULT.cases[i].id, 160)),
				` ${clipped(v.oracle, 60)}, as far as ${clipped(v.waived.allowed, 40)}, until ` +
				`${clipped(v.waived.until, 40)}: ${clipped(v.waived.reason, 400)}`)))),
		waived.length > LIST_MAX
			? h('p', {class: 'muted'}, `${plural(waived.length - LIST_MAX, 'case')} more.`) : null);
}

/* The verdict in a sentence for somebody who has never seen one. */
function runSentence() {
	const all = RESULT.cases.length + DATA.cases_left_out;
	const count = (verdict) => RESULT.cases.filter((c) => c.verdict === verdict).length;
	const cases = plural(all, 'case'), held = count('held');
	const lost = Math.max(0, ...RESULT.cases.map((c) => c.verdict === 'violated'
		? c.lost_acked_max : 0));

	if (all === 0)
		return 'No case ran, so nothing is known.';
	const broken = grouped(count('violated')) + (count('violated') === 1 ? ' does' : ' do') +
		' not keep what ' + (count('violated') === 1 ? 'it' : 'they') + ' must';

	switch (RESULT.verdict) {
	case 'violated':
		return (all === 1 ? 'The case does not keep what it must' : `Of ${cases}, ${broken}`) +
			(lost > 0 ? `; a crash can lose ${lostWords(lost)}.` : '.');
	case 'error':
		return `${grouped(count('error'))} of ${cases} could not be finished, so nothing is known ` +
			`of ${count('error') === 1 ? 'it' : 'them'}` +
			(count('violated') > 0 ? `; of the others, ${broken}.` : '.');
	case 'inconclusive':
		return held > 0
			? `${grouped(held)} of ${cases} held, and ${grouped(count('inconclusive'))} ` +
			  'could not be decided.'
			: 'Nothing was found, and not enough was covered to say that it held.';
	default:
		if (RESULT.command === 'matrix' && RESULT.cases.every((c) => c.required === null))
			return `${cases} explored; nothing was required of them.`;
		if (isWaived().length > 0)
			return waivedSentence(all, held);
		return all === 1 ? 'The case keeps what it must, in every crash that was covered.'
			: `${held === all ? 'All' : grouped(held) + ' of'} ${cases} keep what they must` +
			  (held === all ? '.' : '; the others were skipped.');
	}
}

/* Cases of one scenario that fail alike are one item: the first of them, and how many more. */
function failureItem(cases) {
	const i = cases[0], c = RESULT.cases[i];
	const worst = c.violations.find((v) => !v.waived) || c.violations[0];

	return h('li', {},
		c.grade ? gradeChip(c.grade)
			: h('span', {class: `chip verdict-${c.verdict}`}, h('span', {class: 'verdict'},
				verdictShape(c.verdict), c.verdict)),
		h('div', {}, h('a', {class: 'failure-id', href: addressOf(c.id, worst && worst.token)},
			clipped(c.id, 300)),
		h('p', {}, clipped(WORDS[i].sentence, 500), worst ? h('span', {class: 'muted'},
			` · ${clipped(worst.oracle, 60)}: `, clipped(worst.message, 400)) : null),
		worst && worst.token ? commandLine(replayCommand(worst.token)) : null,
		cases.length === 1 ? null : h('p', {class: 'alike'}, 'also ',
			cases.slice(1, 7).map((other, n) => [n > 0 ? ', ' : '',
				h('a', {href: addressOf(RESULT.cases[other].id)},
					settingsOf(RESULT.cases[other]).map(([, value]) =>
						clipped(value, 40)).join(' ') || variantOf(RESULT.cases[other]))]),
			cases.length > 7 ? ` and ${grouped(cases.length - 7)} more` : '')));
}

function failures() {
	const failed = indexesWhere((c) => c.verdict === 'violated' || c.verdict === 'error');

	failed.sort((a, b) => SORTS.verdict(RESULT.cases[a]) - SORTS.verdict(RESULT.cases[b]) || a - b);
	if (failed.length === 0)
		return null;
	const groups = [...groupBy(failed, (c) => JSON.stringify([c.scenario, c.model, c.verdict, c.grade,
		c.violations.length > 0 ? c.violations[0].oracle : c.reason])).values()];

	return section('failed', 'What failed',
		h('ol', {class: 'failures'}, groups.slice(0, FAILED_MAX).map(failureItem)),
		groups.length > FAILED_MAX ? h('p', {class: 'muted'},
			`${grouped(groups.length - FAILED_MAX)} more in the `,
			h('a', {href: '#/?verdict=violated'}, 'table'), '.') : null);
}

/* ---- coverage ---- */

function stat(value, label, note) {
	return h('div', {class: 'stat'},
		h('dt', {}, label),
		h('dd', {}, sourced(value, `${value} ${label}`, () => [
			h('p', {}, `${value} ${label}, of all cases. `, TERMS[label] || ''),
			h('p', {class: 'muted'}, 'This counts them again, from where the run was started:'),
			commandLine(runCommand())]),
		note ? h('span', {class: 'note'}, note) : null));
}

function coverage() {
	const exhaustive = RESULT.cases.filter((c) => c.exhaustive).length;
	const rounds = sum((c) => c.rounds), states = sum((c) => c.states);

	return section('coverage', 'What was covered',
		h('dl', {class: 'stats'},
			rounds > 0n ? stat(grouped(rounds), 'rounds') : null,
			rounds > 0n && RESULT.command === 'kill' ? null
				: stat(grouped(sum((c) => c.crash_points)), 'crash points'),
			states > 0n ? stat(rounded(String(states)), 'states',
				String(states).length > 9 ? 'exact in result.json' : null) : null,
			stat(grouped(sum((c) => c.recoveries)), 'recoveries'),
			stat(grouped(sum((c) => c.commits)), 'commits'),
			stat(`${grouped(exhaustive)} of ${grouped(RESULT.cases.length)}`,
				'exhaustive cases')));
}

/* What stands between this run and a proof, by reason. */
function uncovered() {
	const groups = new Map();
	const add = (reason, i) => {
		if (!groups.has(reason))
			groups.set(reason, []);
		groups.get(reason).push(i);
	};

	RESULT.cases.forEach((c, i) => {
		if (c.verdict === 'skipped')
			add(`skipped: ${c.reason || 'this combination cannot run'}`, i);
		else if (c.verdict === 'error')
			add(`error: ${c.reason || 'the case was not finished'}`, i);
		else if (c.verdict === 'inconclusive')
			add(`inconclusive: ${c.reason || 'not every state was covered'}`, i);
		else if (!c.exhaustive && c.rounds !== undefined)
			add('sampled: real processes were killed at chosen moments, which proves nothing ' +
				'about the moments between', i);
		else if (!c.exhaustive && c.grade === 'corrupt')
			add('partial: a corrupt state ends its crash point, because nothing worse can be ' +
				'found there', i);
		else if (!c.exhaustive)
			add(`${WORDS[i].extent}: ${c.reason || 'some states were left out'}`, i);
		for (const n of c.not_applicable)
			add(`not applicable: ${n.oracle}: ${n.reason}`, i);
		for (const note of (c.notes || []).filter((n) => !n.startsWith('waived until ')))
			add(`note: ${note}`, i);
	});
	const shown = [...groups].slice(0, LIST_MAX);

	return section('uncovered', 'What was not covered',
		shown.length === 0
			? h('p', {}, 'Nothing: every state of every crash point of every case.')
			: h('ul', {class: 'reasons'}, shown.map(([reason, cases]) => h('li', {},
				h('span', {class: 'reason'}, clipped(reason, 500)), ' ',
				cases.length <= 3
					? cases.map((i, n) => [n > 0 ? ', ' : '',
						h('a', {href: addressOf(RESULT.cases[i].id)},
							clipped(RESULT.cases[i].id, 160))])
					: folded(plural(cases.length, 'case'), () => h('ul', {},
						cases.slice(0, LIST_MAX).map((i) => h('li', {},
							h('a', {href: addressOf(RESULT.cases[i].id)},
								clipped(RESULT.cases[i].id, 160))))))))),
		groups.size > shown.length
			? h('p', {class: 'muted'}, `${grouped(groups.size - shown.length)} more reasons.`) : null,
		DATA.cases_left_out > 0 ? h('p', {}, `${plural(DATA.cases_left_out, 'case')} left out of ` +
			'this page for size; all are in result.json.') : null);
}

/* ---- mutants ---- */

const MUTATION_WORDS = {missed: 'nobody noticed', redundant: 'proved to do no harm',
			caught: 'noticed'};

function mutantRow(m, i) {
	return h('tr', {}, h('td', {class: 'short'}, h('span', {class: `mutation ${m.result}`}, m.result)),
		h('td', {}, clipped(m.name, 200)), h('td', {class: 'short'}, m.kind),
		h('td', {class: 'number'}, caseNumber(i, grouped(m.recoveries), 'recoveries')),
		h('td', {}, m.found ? clipped(m.found, 400) : ''),
		h('td', {class: 'id'}, h('a', {href: addressOf(RESULT.cases[i].id)},
			clipped(RESULT.cases[i].id, 160))));
}

function mutantTable(rows) {
	return h('div', {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'table of mutants'},
		h('table', {class: 'plain-table'}, h('thead', {}, h('tr', {},
			['result', 'mutant', 'kind', 'recoveries', 'found', 'case'].map((title) =>
				h('th', {scope: 'col'}, title)))),
		h('tbody', {}, rows.slice(0, LIST_MAX).map(([m, i]) => mutantRow(m, i)))),
		rows.length > LIST_MAX ? h('p', {class: 'muted'}, `${grouped(rows.length - LIST_MAX)} more in ` +
			'result.json.') : null);
}

function mutants() {
	if (!RESULT.score)
		return null;
	const rows = [];

	RESULT.cases.forEach((c, i) => (c.mutants || []).forEach((m) => rows.push([m, i])));
	const total = RESULT.score.caught + RESULT.score.redundant + RESULT.score.missed;
	const parts = ['caught', 'redundant', 'missed'].filter((part) => RESULT.score[part] > 0);
	const meter = h('div', {class: 'meter', role: 'img', 'aria-label': parts.map((part) =>
		`${RESULT.score[part]} ${part}`).join(', ')},
	parts.map((part) => {
		const piece = h('span', {class: part});

		piece.style.flexGrow = String(RESULT.score[part] / total);
		return piece;
	}));
	const missed = rows.filter(([m]) => m.result === 'missed');

	return section('mutants', 'Would a mistake be noticed?', meter,
		h('dl', {class: 'stats'}, ['caught', 'redundant', 'missed'].map((part) =>
			stat(grouped(RESULT.score[part]), part, MUTATION_WORDS[part]))),
		missed.length > 0 ? mutantTable(missed) : null,
		folded(`All ${plural(rows.length, 'mutant')}`, () => mutantTable(rows)));
}

/* ---- the page ---- */

function storiesLeftOut() {
	const left = (readJson('stories') || {left_out: 0}).left_out;
	const first = RESULT.cases.flatMap((c, i) => c.violations.map((v, n) => [v, i, n]))
		.find(([v, i, n]) => v.token && !hasStory(i, n));

	return left === 0 ? null : h('p', {class: 'notice'},
		`${plural(left, 'story', 'stories')} left out of this page for size; each is told by `,
		h('code', {}, first ? explainCommand(first[0].token) : 'plugpull explain TOKEN'), '.');
}

function runPage() {
	document.title = `plugpull ${RESULT.command}: ${RESULT.verdict}`;
	return [bar(null), h('main', {id: 'main', tabindex: '-1', class: 'run'},
		h('div', {class: `hero verdict-${RESULT.verdict}`},
			h('p', {class: 'eyebrow'}, h('span', {class: 'verdict'},
				verdictShape(RESULT.verdict), RESULT.verdict),
			h('span', {class: 'muted'}, `plugpull ${RESULT.command}`)),
			h('h1', {}, runSentence()),
			h('p', {class: 'counts'}, RESULT.interrupted ? 'Interrupted; so far ' : '', DATA.counts,
				'. Seed ', DATA.seed, ', plugpull ', RESULT.plugpull,
				RESULT.sqlite.version ? `, SQLite ${clipped(RESULT.sqlite.version, 60)}` : '', '.'),
			commandLine(runCommand(), 'this run again'),
			gradeScale(), storiesLeftOut()),
		failures(),
		RESULT.cases.length > 1 ? section('matrix', 'Cases at a glance',
			matrixOf([...RESULT.cases.keys()]),
			h('p', {class: 'key'}, '−n: so many acknowledged commits can be lost. ',
				'*: not exhaustive, and could be worse. ',
				h('span', {class: 'bad-key'}, 'Framed'), ': counts against the run.')) : null,
		section('cases', 'Cases', caseTable()),
		waivers(), mutants(), coverage(), uncovered(),
		h('footer', {}, h('p', {class: 'muted'}, `plugpull ${RESULT.plugpull}`,
			RESULT.sqlite.source_id ? `, SQLite ${clipped(RESULT.sqlite.version || '', 60)} ` +
				clipped(RESULT.sqlite.source_id, 160) : '')))];
}
