'use strict';
/*
 * The side that is written for Node: the same work with better-sqlite3.
 *
 *     node better_sqlite3.js MODULE JSON
 *
 * MODULE is the folder of the installed package; JSON an object with
 *
 *   row        'append', 'read' or 'version'
 *   folder     where its database goes
 *   sql        what `store-bench sql` printed: schema, insert, by_id, digest
 *   settings   pragmas by name, in the order in which they are set; what they then are is printed
 *   payload_bytes, laps
 *   batch_count, server_run, batches    of 'append', as the arguments of `store-bench append`
 *   event_count, reads                  of 'read'
 *
 * It prints an object like the one that store-bench prints for the row. Statements are prepared
 * once, batches are immediate transactions of `db.transaction()`, a single event is a bare INSERT.
 * Nothing is computed for `checksum`, which is 0.
 */
const path = require('path');

const [modulePath, text] = process.argv.slice(2);
const Database = require(path.resolve(modulePath));
const args = JSON.parse(text);

function fail(message) {
	process.stderr.write(`better_sqlite3.js: ${message}\n`);
	process.exit(1);
}

const MASK = (1n << 64n) - 1n;

/* The ids of main.c. */
function mix(number) {
	number = (number * 0x9e3779b97f4a7c15n) & MASK;
	number = ((number ^ (number >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
	number = ((number ^ (number >> 27n)) * 0x94d049bb133111ebn) & MASK;
	return number ^ (number >> 31n);
}

function eventId(number) {
	const n = BigInt(number);
	return mix(2n * n).toString(16).padStart(16, '0') +
	       mix(2n * n + 1n).toString(16).padStart(16, '0');
}

function eventsMake(first, count, run, payload) {
	const events = [];
	for (let number = first; number < first + count; number++)
		events.push({
			eventId: eventId(number),
			serverId: `server-${Math.floor(number / run) % 8}`,
			position: number,
			timeUs: 1700000000000000 + number * 1000,
			kind: 'message',
			payload,
		});
	return events;
}

function payloadMake(size) {
	const payload = Buffer.alloc(size);
	for (let i = 0; i < size; i++)
		payload[i] = Number(mix(BigInt(i)) & 0xffn);
	return payload;
}

function open(name) {
	const db = new Database(path.join(args.folder, name));
	const settings = {};
	for (const [pragma, value] of Object.entries(args.settings)) {
		db.pragma(`${pragma}=${value}`);
		settings[pragma] = String(db.pragma(pragma, {simple: true}));
	}
	if (db.prepare('SELECT count(*) FROM sqlite_schema').pluck().get() === 0)
		for (const sql of args.sql.schema)
			db.exec(sql);
	return {db, settings};
}

function seconds(begin) {
	return Number(process.hrtime.bigint() - begin) / 1e9;
}

function append() {
	const {db, settings} = open('node.db');
	const insert = db.prepare(args.sql.insert);
	const payload = payloadMake(args.payload_bytes);
	const lapEvents = args.batches * args.batch_count;
	const laps = [];
	let seq = 1;

	function one(event, batchId) {
		insert.run(seq++, event.eventId, event.serverId, event.position, event.timeUs, event.kind,
			event.payload, 0, batchId, args.batch_count, event.payload.length);
	}
	const batch = db.transaction((events, first) => {
		const batchId = seq;
		for (let i = first; i < first + args.batch_count; i++)
			one(events[i], batchId);
	}).immediate;

	for (let lap = 0; lap <= args.laps; lap++) {
		const events = eventsMake(lap * lapEvents, lapEvents, args.server_run, payload);
		const begin = process.hrtime.bigint();
		if (args.batch_count === 1)
			for (const event of events)
				one(event, seq);
		else
			for (let i = 0; i < events.length; i += args.batch_count)
				batch(events, i);
		if (lap > 0)
			laps.push(seconds(begin));
	}
	const digest = db.prepare(args.sql.digest).pluck().get();
	db.close();
	return {events: lapEvents, laps, settings, digest};
}

function read() {
	const {db, settings} = open('node-read.db');
	const insert = db.prepare(args.sql.insert);
	const byId = db.prepare(args.sql.by_id);
	const payload = payloadMake(args.payload_bytes);
	const events = eventsMake(0, args.event_count, 1000, payload);
	const laps = [];
	let sum = 0, expected = 0;

	db.transaction(() => {
		events.forEach((e, i) => insert.run(i + 1, e.eventId, e.serverId, e.position, e.timeUs,
			e.kind, e.payload, 0, 1, args.event_count, e.payload.length));
	}).immediate();
	for (let lap = 0; lap <= args.laps; lap++) {
		const begin = process.hrtime.bigint();
		for (let i = 0; i < args.reads; i++)
			sum += byId.get(events[i * 7919 % args.event_count].eventId).position;
		if (lap > 0)
			laps.push(seconds(begin));
		for (let i = 0; i < args.reads; i++)
			expected += events[i * 7919 % args.event_count].position;
	}
	if (sum !== expected)
		fail('it read other events than it asked for');
	db.close();
	return {reads: args.reads, laps, settings};
}

function version() {
	const db = new Database(':memory:');
	const sqlite = db.prepare('SELECT sqlite_version()').pluck().get();
	db.close();
	return {sqlite, node: process.version,
		version: require(path.resolve(modulePath, 'package.json')).version};
}

const rows = {append, read, version};
if (!Object.hasOwn(rows, args.row))
	fail(`'${args.row}' is no row`);
process.stdout.write(JSON.stringify(rows[args.row]()) + '\n');
