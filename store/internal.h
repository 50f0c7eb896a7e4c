/*
 * internal.h: what the files of the store share with each other and with nobody else.
 *
 *   error.c    codes, texts, the translation of SQLite's codes
 *   pragma.c   the settings: profiles, overrides, setting and reading back
 *   schema.c   the migrations and schema_version
 *   store.c    open, close, transactions
 *   event.c    validity and checksum of an event
 *   append.c   store_event, store_events
 *   read.c     cursors
 */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include <sqlite3.h>

#include "store/store.h"

struct store {
	sqlite3 *db;
	int version;
	int busy_timeout_ms;
	/* SQLite's code of the error after which no call is served any more, or 0 (P6). */
	int stopped_by;
	/* Open cursors, in no particular order, linked through cursor->next. */
	struct store_cursor *cursors;
	sqlite3_stmt *begin;
	sqlite3_stmt *commit;
	sqlite3_stmt *rollback;
	sqlite3_stmt *version_max;
	sqlite3_stmt *seq_next;
	sqlite3_stmt *position_last;
	sqlite3_stmt *find;
	sqlite3_stmt *insert;
};

/* ---- error.c: both return the code, so that a failure is reported and returned in one line ----
 */

enum store_code store_error_set(struct store_error *err, enum store_code code, int sqlite_code,
				const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The code follows from rc; the message is the text given, a colon, and SQLite's own message. */
enum store_code store_error_set_sqlite(struct store_error *err, sqlite3 *db, int rc,
				       const char *format, ...)
    __attribute__((format(printf, 4, 5)));

enum store_code store_code_from_sqlite(int rc);

/* ---- pragma.c ---- */

/* Whether profile and overrides are well-formed; touches nothing. */
enum store_code store_pragmas_check(const struct store_options *options, struct store_error *err);

/* Sets what profile and overrides ask for, and reads each one back. */
enum store_code store_pragmas_apply(sqlite3 *db, const struct store_options *options,
				    struct store_error *err);

/* ---- schema.c ---- */

/* Whether the list is well-formed. */
enum store_code store_schema_check_list(const struct store_migration *migrations, size_t count,
					struct store_error *err);

/* Compares the database with the list without writing; a new, empty database is version 0. */
enum store_code store_schema_inspect(sqlite3 *db, const struct store_migration *migrations,
				     size_t count, int *ret_version, struct store_error *err);

/* Applies what is missing, each migration in its own transaction. */
enum store_code store_schema_migrate(sqlite3 *db, const struct store_options *options,
				     const struct store_migration *migrations, size_t count,
				     struct store_error *err);

/* ---- store.c ---- */

/* STORE_ERR_STOPPED if the handle has stopped. */
enum store_code store_check_running(const struct store *store, struct store_error *err);

/* Takes the write lock, waiting as long as the busy timeout allows. */
enum store_code store_begin(struct store *store, struct store_error *err);

/* Commits; after an error nothing is left open, and the handle has stopped if P6 wants it. */
enum store_code store_commit(struct store *store, struct store_error *err);

/* Gives the transaction up. Its cause is in err already, which is not changed. */
void store_rollback(struct store *store, enum store_code cause);

/* Steps a statement that returns no row, and resets it. Returns SQLite's extended code. */
int store_run(sqlite3_stmt *stmt);

/* ---- event.c ---- */

/* Fills err with the index; the index is STORE_INDEX_NONE for an event outside a batch. */
enum store_code store_event_check(const struct store_event *event, size_t index,
				  struct store_error *err);

/* STORE_ERR_INVALID unless text is one that an event's id or server could be. */
enum store_code store_id_check(const char *text, const char *what, struct store_error *err);

/* FNV-1a, 64 bits, continued from state. */
#define STORE_FNV_START UINT64_C(0xcbf29ce484222325)
uint64_t store_fnv(uint64_t state, const void *bytes, size_t size);

/* ---- read.c ---- */

/* Ends the statements of all cursors, which resume behind their last event. */
void store_cursors_park(struct store *store);

/* Takes the cursors' statements away, for good. */
void store_cursors_orphan(struct store *store);

#endif
