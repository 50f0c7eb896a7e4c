// better-sqlite3 in worker threads, each with a connection of its own, as its manual advises.
//
//     workers.js DATABASE [PRAGMA...]
//
// The table, and three commits of each of two workers: 7 commits.
'use strict';
const {Worker, isMainThread, workerData} = require('worker_threads');
const Database = require('better-sqlite3');

function connect() {
	const db = new Database(process.argv[2]);
	for (const pragma of process.argv.slice(3))
		db.pragma(pragma);
	return db;
}

const db = connect();
if (isMainThread) {
	db.exec('CREATE TABLE job(name TEXT PRIMARY KEY, result TEXT)');
	for (const name of ['a', 'b'])
		new Worker(__filename, {workerData: name, argv: process.argv.slice(2)});
} else {
	const insert = db.prepare('INSERT INTO job VALUES (?, ?)');
	const work = db.transaction((i) => insert.run(`${workerData} ${i}`, 'x'.repeat(600)));
	for (let i = 0; i < 3; i++)
		work.immediate(i);
}
db.close();
