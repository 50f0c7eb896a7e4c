'use strict';

/* The data of the page, addresses within it, and the commands that its numbers come from. */

function readJson(id) {
	const element = document.getElementById(id);

	return element ? JSON.parse(element.textContent) : null;
}

const DATA = readJson('data');
const RESULT = DATA.result;
const WORDS = DATA.words;

const stories = new Map();

/* Parsed when it is first looked at, because a page can hold a hundred; null: it is not here. */
function storyOf(c, v) {
	const id = `story-${WORDS[c].index}-${v}`;

	if (!stories.has(id))
		stories.set(id, readJson(id));
	return stories.get(id);
}

function hasStory(c, v) {
	return document.getElementById(`story-${WORDS[c].index}-${v}`) !== null;
}

/* "main.db" of "/db/main.db". */
function baseName(path) {
	return path.slice(path.lastIndexOf('/') + 1) || path;
}

/* The part of a case id behind the first '@' that follows the scenario: model and settings. */
function variantOf(c) {
	return c.id.startsWith(c.scenario + '@') ? c.id.slice(c.scenario.length + 1) : c.id;
}

/* The settings that the id names, as [key, value]. */
function settingsOf(c) {
	const open = c.id.indexOf('[', Math.max(0, c.id.indexOf('@')));

	if (open < 0 || !c.id.endsWith(']'))
		return [];
	return c.id.slice(open + 1, -1).split(',').map((pair) => pair.split('=')[0])
		.filter((key) => typeof c.config[key] === 'string')
		.map((key) => [key, c.config[key]]);
}

/* ---- addresses: #/ and #/case/ID and #/case/ID/TOKEN, and ?key=value behind each ---- */

function addressOf(id, token) {
	return '#/case/' + encodeURIComponent(id) + (token ? '/' + encodeURIComponent(token) : '');
}

function addressRead() {
	const [path, query] = location.hash.slice(1).split('?', 2);
	const parts = path.split('/').slice(1).map((part) => {
		try {
			return decodeURIComponent(part);
		} catch (e) {
			return part; /* a '%' that nobody escaped: no case has that id then */
		}
	});

	return {path, parts, query: new URLSearchParams(query || '')};
}

/* Notes what is looked at in the address, without a step in the browser's history. */
function addressNote(changes) {
	const {path, query} = addressRead();

	for (const [key, value] of Object.entries(changes)) {
		if (value === null || value === undefined || value === '')
			query.delete(key);
		else
			query.set(key, value);
	}
	const text = query.toString();

	history.replaceState(null, '', '#' + (path || '/') + (text ? '?' + text : ''));
}

/* ---- commands ---- */

/* The command that makes one case again: that of the run, and what picks the case. An option that
 * stands twice counts as it stands last. */
function caseCommand(i) {
	const c = RESULT.cases[i];

	if (RESULT.command === 'explain' || RESULT.command === 'replay' || DATA.again === null)
		return c.violations[0] && c.violations[0].token
			? replayCommand(c.violations[0].token) : runCommand();
	switch (RESULT.command) {
	case 'run':
	case 'mutate':
	case 'kill':
	case 'matrix':
		return DATA.again_program ? runCommand() : `${DATA.again} --case ${quoted(c.id)}`;
	default:
		return DATA.again + (c.model ? ` --model ${quoted(c.model)}` : '') + DATA.again_program;
	}
}

/* The command that makes the whole run again. */
function runCommand() {
	return DATA.again === null ? `plugpull ${RESULT.command}` : DATA.again + DATA.again_program;
}

/* From inside the folder of the report, where the case files are. */
function caseFile(token) {
	return `cases/${token}.ppcase`;
}

function replayCommand(token) {
	return `plugpull replay ${quoted(caseFile(token))}`;
}

function explainCommand(token) {
	return `plugpull explain ${quoted(caseFile(token))}`;
}

function shrinkCommand(token) {
	return `plugpull shrink ${quoted(caseFile(token))}`;
}
