'use strict';

/* Words of the page that nobody can know, and what they mean: a click beside the word says it. */

const ORACLES = {
	history: 'holds what is there after a crash against the states that the run itself went through, ' +
		'and against what had been acknowledged by the crash',
	recovery: 'wants the database to be opened, recovered and read without an error',
	integrity: 'runs PRAGMA integrity_check',
	invariant: 'runs the queries behind @invariant, none of which may return a row',
	batch: 'counts the rows of each batch of @batch',
	order: 'looks for gaps in the column of @order',
	schema: 'holds the schema against @schema-version',
	leftovers: 'looks for a journal that is left behind when recovery is through',
	'second-open': 'recovers a second time, and wants to see the same content',
	writable: 'writes to the recovered database and reads it from another connection',
	'own-check': "is the test's own check",
	liveness: 'wants recovery to end',
};

const TERMS = {
	acknowledged: 'The program was told, or said, that the commit is kept: from then on no crash may ' +
		'take it away.',
	recovery: 'One recovery: a disk as a crash may leave it is made, and SQLite opens it. It stands for ' +
		'every disk that SQLite cannot tell from it.',
	'crash points': 'Moments of the run at which the power is cut; one stands for all at which the disk is ' +
		'the same.',
	states: 'Disks that a power failure may leave: any of what no sync had covered can be there or not.',
	recoveries: 'Times that SQLite was made to recover. Each stands for all states that it cannot tell ' +
		'apart, so these cover the states.',
	rounds: 'Times that real processes were started, killed and checked.',
	commits: 'Commits in the recorded run.',
	'exhaustive cases': 'Cases of which every state at every crash point was covered.',
	'acknowledged commits can be lost': 'The most that one crash state has lost of what had been ' +
		'acknowledged.',
	caught: 'Mistakes put into the run on purpose, which it noticed.',
	redundant: 'Mistakes put into the run on purpose, which are proved to do no harm.',
	missed: 'Mistakes put into the run on purpose, which nobody noticed.',
	fate: 'What became of an operation in this crash state.',
	'stands for': 'Recovery reads the same in all of these states, so what is found in one is found in ' +
		'each of them.',
};

/* A word, with a sentence behind it. */
function term(word, meaning, name) {
	const button = sourced(word, `${typeof word === 'string' ? word : name}: what it means`,
		() => h('p', {}, sentence(meaning, 600)));

	button.classList.add('term');
	return button;
}

function oracleTerm(oracle) {
	return term(oracle, 'An oracle judges what is there after crash and recovery. ' +
		(Object.hasOwn(ORACLES, oracle) ? `This one ${ORACLES[oracle]}` : ''));
}

function gradeTerm(grade) {
	return term(gradeChip(grade), grade
		? `${grade}: ${GRADE_MEANING[grade]}. The grades, the best first: ${GRADES.join(', ')}`
		: 'This finding is outside the scale of grades: no commit is lost by it yet', grade || 'no grade');
}
