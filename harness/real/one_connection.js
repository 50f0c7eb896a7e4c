// better-sqlite3 as its README uses it.
//
//     one_connection.js DATABASE [PRAGMA...]
//
// Six commits: the table, the index, three single inserts, a batch in db.transaction().
'use strict';
const Database = require('better-sqlite3');

const db = new Database(process.argv[2]);
for (const pragma of process.argv.slice(3))
	db.pragma(pragma);
db.exec('CREATE TABLE cat(name TEXT PRIMARY KEY, age INTEGER)');
db.exec('CREATE INDEX cat_by_age ON cat(age)');
const insert = db.prepare('INSERT INTO cat(name, age) VALUES (?, ?)');
for (const name of ['Joey', 'Sally', 'Junior'])
	insert.run(name, name.length);
const insertMany = db.transaction((cats) => {
	for (const cat of cats)
		insert.run(cat.name, cat.age);
});
insertMany(Array.from({length: 50}, (_, i) => ({name: `cat ${i}`, age: i})));
db.close();
