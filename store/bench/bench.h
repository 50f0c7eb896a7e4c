/*
 * bench.h: what the store's measurements share: made-up events, the side that is written by hand
 * against sqlite3.h, a clock, and the JSON that they print.
 *
 * They are one program, `store-bench ROW ARGUMENTS`, that prints the numbers of one row as a JSON
 * object; run.py makes a table of them. docs/benchmarks.md says what each row means. Two sides of a
 * row take turns in one process, a slice of the work each, so that whatever else the machine does
 * falls on both. A measurement checks its own answer and fails when that is wrong.
 */
#ifndef STORE_BENCH_BENCH_H
#define STORE_BENCH_BENCH_H

#include <sqlite3.h>

#include "store/store.h"

/* Ends the program with the message on standard error; a measurement has nobody to return it to. */
_Noreturn void store_bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the program unless the code is STORE_OK. */
void store_bench_ok(enum store_code code, const struct store_error *err);

double store_bench_seconds(void); /* of a clock that only goes forward */

/* An argument that must be a whole number from 1 to max. */
size_t store_bench_number(const char *text, size_t max);

/* "full" is the archival profile, "normal" the balanced one; anything else ends the program. */
enum store_profile store_bench_profile(const char *text);

/* Frames after which every side checkpoints, which is SQLite's default. */
#define STORE_BENCH_AUTOCHECKPOINT "1000"

/* Opens FOLDER/NAME.db as a store; `autocheckpoint` is the value of wal_autocheckpoint. */
struct store *store_bench_open(const char *folder, const char *name, enum store_profile profile,
			       const char *autocheckpoint);

/* ---- events ---- */

#define STORE_BENCH_SERVERS	8
#define STORE_BENCH_ID_BYTES	33
#define STORE_BENCH_THREADS_MAX 256
#define STORE_BENCH_EVENTS_MAX	STORE_BATCH_COUNT_MAX

/* The id of event `number`: 32 hexadecimal digits that come in no order, as those of a UUID. */
void store_bench_id(uint64_t number, char ret_id[STORE_BENCH_ID_BYTES]);

/* Events number_first, …; their positions are their numbers. */
struct store_bench_events {
	struct store_event *items;
	char (*ids)[STORE_BENCH_ID_BYTES];
	unsigned char *payload; /* one for all */
	size_t count;
};

/*
 * The server changes with each `run` events. The caller releases the result.
 */
void store_bench_events_make(struct store_bench_events *ret_events, uint64_t number_first,
			     size_t count, size_t run, size_t payload_bytes);
void store_bench_events_release(struct store_bench_events *events);

/* ---- the side that is written by hand (hand.c) ---- */

/* What a program would do without the store: one connection, statements prepared once. */
struct store_bench_hand {
	sqlite3 *db;
	sqlite3_stmt *begin, *insert, *commit, *by_id, *range;
	int64_t seq_next; /* it is the only writer, and counts */
	bool checksum;	  /* whether it computes one; otherwise it binds 0 */
};

/* SQL that the hand-written side and better_sqlite3.js share. */
extern const char store_bench_insert_sql[];
extern const char store_bench_by_id_sql[];
extern const char store_bench_range_sql[];
/* One text that says what is in the table, but for the checksums. */
extern const char store_bench_digest_sql[];

/* The names of the settings that both sides must agree in, ended by NULL; wal_autocheckpoint is
 * one, too, but a store does that itself, and SQLite then says 0. */
extern const char *const store_bench_settings[];

/* What a pragma or any query answers first, as text. */
void store_bench_ask(sqlite3 *db, const char *sql, char *ret_text, size_t size);
void store_bench_setting(sqlite3 *db, const char *name, char *ret_text, size_t size);

/*
 * Opens FOLDER/NAME.db with the settings that `like` has, reads them back, and creates the tables
 * of the event store with its indexes and triggers unless they are there.
 */
void store_bench_hand_open(struct store_bench_hand *ret_hand, const char *folder, const char *name,
			   sqlite3 *like);
void store_bench_hand_close(struct store_bench_hand *hand);

/* A batch in a transaction of its own. */
void store_bench_hand_batch(struct store_bench_hand *hand, const struct store_event *events,
			    size_t count);

/* One event by a bare INSERT, which is its own transaction. */
void store_bench_hand_single(struct store_bench_hand *hand, const struct store_event *event);

/*
 * One event in a transaction of its own on a database that others write to as well: seq is left to
 * SQLite, and batch_id is 0.
 */
void store_bench_hand_one_of_many(struct store_bench_hand *hand, const struct store_event *event);

/* ---- JSON ---- */

void store_bench_json_text(const char *text);

/* "settings": {…}, of that store's connection, with STORE_BENCH_AUTOCHECKPOINT. */
void store_bench_json_settings(sqlite3 *db);

/* The rows. Each prints its JSON object. */
void store_bench_sql(int argc, char **argv);
void store_bench_append(int argc, char **argv);
void store_bench_read(int argc, char **argv);
void store_bench_readers(int argc, char **argv);
void store_bench_producers(int argc, char **argv);
void store_bench_checkpoint(int argc, char **argv);

#endif
