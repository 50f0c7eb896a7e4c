/*
 * internal.h: what the files of the store share with each other and with nobody else.
 *
 *   error.c           codes, texts, the translation of SQLite's codes
 *   pragma.c          the settings: profiles, overrides, setting and reading back
 *   schema.c          the machinery of migrations and schema_version; schema_*.c the lists
 *   store.c           open, reopen, close
 *   repair.c          what is visible is made durable (P10)
 *   transaction.c     begin, commit, roll back; savepoints inside a transaction
 *   statement.c       the cache of prepared statements; single questions
 *   busy.c            patience with locks, and who holds one
 *   files.c           the files of the operating system
 *   event.c           validity and checksum of an event
 *   append.c          store_event, store_events
 *   read.c            cursors; dead_letters.c what they could not read
 *   conversation*.c   filesystem*.c   workflow*.c   the other schemas
 *   checkpoint.c      backup*.c   maintain.c   statistics.c   upkeep.h; upkeep_internal.h
 *   service*.c        service.h; service_internal.h says what is where
 */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include <sqlite3.h>
#include <sys/types.h>

#include "store/store.h"

/* Of the WAL's file (https://www.sqlite.org/fileformat2.html#walformat). */
enum {
	STORE_WAL_HEADER_BYTES = 32,
	STORE_FRAME_HEADER_BYTES = 24, /* before each page */
};

/* Prepared statements of a connection; the one that was used least recently gives way. */
#define STORE_STATEMENT_COUNT_MAX 64

struct store_statement {
	const char *sql; /* static */
	sqlite3_stmt *stmt;
	uint64_t used_at; /* counts uses */
};

/*
 * Patience with a lock: time is counted as it is slept away, so that no clock decides anything.
 * Its address is the context of store_busy_wait(), SQLite's busy handler.
 */
struct store_patience {
	int left_ms;
	size_t round; /* pauses made */
	/* Whether each wait that SQLite begins (round 0 of the handler) begins with limit_ms anew;
	 * otherwise left_ms is for all of them together, as while a store is being opened. */
	bool anew;
	int limit_ms;
};

struct store {
	sqlite3 *db; /* NULL when it could not be reopened */
	char *path;
	/* The file as SQLite knows it, absolute, and, where it is one of the operating system's,
	 * which one it is; NULL before the store has been opened for the first time. */
	char *file;
	bool file_is_known;
	dev_t file_device;
	ino_t file_inode;
	/* As the caller gave them, with copies of the pragmas. */
	struct store_options options;
	int version;
	int busy_timeout_ms;
	struct store_patience patience; /* for the transaction, or the opening, that is under way */
	bool read_only;			/* of a pool */
	bool backing_up;		/* holds a snapshot for a backup: it cannot write */
	/* A checkpoint when the WAL has so many frames; 0: none; -1: not known yet. */
	int autocheckpoint_frames;
	int checkpoint_failed_by; /* SQLite's code of the last one that met an I/O error, or 0 */
	/* SQLite's code of the error after which no call is served any more, or 0 (P6). */
	int stopped_by;
	/* Transactions that are open: 0 none, 1 a transaction, n with n - 1 savepoints inside. */
	unsigned depth;
	/* Why SQLite gave the open transaction up by itself, or 0. */
	int rolled_back_by;
	/* What need not be asked again as long as nobody else has changed the file: whether
	 * committed_counter is SQLite's counter of changes behind this handle's last commit; and
	 * the seq of the next event, 0 where it is not known. A rollback forgets both. */
	bool committed;
	unsigned committed_counter;
	int64_t seq_next;
	/* Open cursors, in no particular order, linked through cursor->next. */
	struct store_cursor *cursors;
	struct store_statement statements[STORE_STATEMENT_COUNT_MAX];
	size_t statement_count;
	uint64_t statement_uses;
};

/* ---- error.c: both return the code, so that a failure is reported and returned in one line ----
 */

enum store_code store_error_set(struct store_error *err, enum store_code code, int sqlite_code,
				const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The same with the store's path in front. */
enum store_code store_error_at(struct store_error *err, const struct store *store,
			       enum store_code code, int sqlite_code, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* The code follows from rc; the message is the database's file, a colon, the text given, a colon,
 * SQLite's own message, and rc in brackets. */
enum store_code store_error_set_sqlite(struct store_error *err, sqlite3 *db, int rc,
				       const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A failure of struct store_files: number is an errno. */
enum store_code store_error_set_file(struct store_error *err, int number, const char *path,
				     const char *what);

/* Puts the path before the message unless the message names the file of db (may be NULL) already.
 */
void store_error_add_path(struct store_error *err, sqlite3 *db, const char *path);

enum store_code store_code_from_sqlite(int rc);

/* ---- busy.c ---- */

/* Sleeps a little, longer each time; 0 once patience is at its end. */
int store_busy_wait(void *patience, int round);

/* Who holds a lock of the database or of its WAL: "process 12 (name) holds it", as far as the
 * operating system tells; otherwise "". */
void store_lock_holder(const char *path, char *ret_text, size_t size);

/* ---- pragma.c ---- */

/* Whether profile and overrides are well-formed; touches nothing. */
enum store_code store_pragmas_check(const struct store_options *options, struct store_error *err);

/* Sets what profile and overrides ask for, and reads each one back. reader: only the settings of a
 * connection that cannot write. */
enum store_code store_pragmas_apply(sqlite3 *db, const struct store_options *options, bool reader,
				    struct store_error *err);

/* Whether the caller has set it in place of the profile. */
bool store_pragma_is_set(const struct store_options *options, const char *name);

/* ---- schema.c ---- */

/* Whether the list is well-formed. */
enum store_code store_schema_check_list(const struct store_migration *migrations, size_t count,
					struct store_error *err);

/* Compares the database with the list without writing; a new, empty database is version 0. */
enum store_code store_schema_inspect(sqlite3 *db, const struct store_migration *migrations,
				     size_t count, int *ret_version, struct store_error *err);

/* STORE_ERR_SCHEMA_BROKEN unless the tables of the schema are there, whose list may be a caller's.
 */
enum store_code store_schema_probe(sqlite3 *db, enum store_schema schema, struct store_error *err);

/* Applies what is missing, each migration in its own transaction. */
enum store_code store_schema_migrate(sqlite3 *db, const struct store_options *options,
				     const struct store_migration *migrations, size_t count,
				     struct store_error *err);

/* The built-in lists. */
extern const struct store_migration store_migrations_events[];
extern const size_t store_migrations_events_count;
extern const struct store_migration store_migrations_conversations[];
extern const size_t store_migrations_conversations_count;
extern const struct store_migration store_migrations_filesystem[];
extern const size_t store_migrations_filesystem_count;
extern const struct store_migration store_migrations_workflow[];
extern const size_t store_migrations_workflow_count;

/* STORE_ERR_INVALID unless the store was opened for that schema, at that version or later. */
enum store_code store_need_schema(const struct store *store, enum store_schema schema,
				  int version_min, struct store_error *err);

/* "events", "conversations", …; static. */
const char *store_schema_name(enum store_schema schema);

/* ---- store.c ---- */

/* A read-only store on a file that a writing store of the same options has open. */
enum store_code store_open_reader(const char *path, const struct store_options *options,
				  struct store **ret_store, struct store_error *err);

/* Microseconds since 1970 by the store's clock. */
int64_t store_now_us(const struct store_options *options);

/* ---- repair.c ---- */

/*
 * Makes what the connection sees durable: writes the bytes of the WAL again and syncs them, under
 * the write lock; not where synchronous is OFF. settle: commits once more behind it, so that
 * nothing that is in the file and is not seen can come back, also after a kill. Does nothing where
 * there is no WAL.
 */
enum store_code store_repair(sqlite3 *db, bool settle, struct store_error *err);

/* ---- transaction.c ---- */

/* STORE_ERR_STOPPED if the handle has stopped. */
enum store_code store_check_running(const struct store *store, struct store_error *err);

/* Begins a transaction and takes the write lock, waiting as long as the busy timeout allows; inside
 * a transaction, a savepoint. Parks cursors. */
enum store_code store_begin(struct store *store, struct store_error *err);

/* Ends what store_begin() began; after an error nothing of it is left, and the handle has stopped
 * if P6 wants it. */
enum store_code store_commit(struct store *store, struct store_error *err);

/* Gives it up. Its cause is in err already, which is not changed. */
void store_rollback(struct store *store, enum store_code cause);

/* The end of a function that writes: commits if code is STORE_OK, otherwise rolls back; returns
 * what the function returns. */
enum store_code store_finish(struct store *store, enum store_code code, struct store_error *err);

/* The same for what a caller's function has returned. */
enum store_code store_finish_work(struct store *store, enum store_code code,
				  struct store_error *err);

/* Steps a statement that returns no row, and resets it. Returns SQLite's extended code. */
int store_run(sqlite3_stmt *stmt);

/* Binds a text of the caller's, which must stay until the bindings are cleared; NULL as NULL. */
static inline int store_bind_text(sqlite3_stmt *stmt, int parameter, const char *text)
{
	return sqlite3_bind_text(stmt, parameter, text, -1, SQLITE_STATIC);
}

/* ---- statement.c ---- */

/*
 * The prepared statement of sql, which must be static: it is known by its address. It is reset and
 * has no bindings, is borrowed, and stays valid while fewer than STORE_STATEMENT_COUNT_MAX others
 * are asked for. The user resets it before the transaction ends, so that it holds no snapshot.
 */
enum store_code store_statement(struct store *store, const char *sql, sqlite3_stmt **ret_stmt,
				struct store_error *err);

/*
 * The same for one that stays in use between calls: it leaves the cache and is the caller's until
 * it is given back, with the same sql, while the connection is the same. NULL is allowed.
 */
enum store_code store_statement_take(struct store *store, const char *sql, sqlite3_stmt **ret_stmt,
				     struct store_error *err);
void store_statement_give(struct store *store, const char *sql, sqlite3_stmt *stmt);

void store_statements_release(struct store *store);

/* The number that a query or a pragma answers; one with no answer leaves *ret_number alone. Returns
 * SQLite's extended code. */
int store_query_number(sqlite3 *db, const char *sql, int64_t *ret_number);

/* ---- event.c ---- */

/* Fills err with the index; the index is STORE_INDEX_NONE for an event outside a batch. */
enum store_code store_event_check(const struct store_event *event, size_t index,
				  struct store_error *err);

/* STORE_ERR_INVALID unless text is one that an event's id or server could be. */
enum store_code store_id_check(const char *text, const char *what, struct store_error *err);

/* Why text is not 1 to bytes_max bytes of UTF-8, as a static text, or NULL. It may be empty if
 * empty_allowed; the length goes to *ret_bytes (may be NULL). */
const char *store_text_complaint(const char *text, size_t bytes_max, bool empty_allowed,
				 size_t *ret_bytes);

/* FNV-1a, 64 bits, continued from state. */
#define STORE_FNV_START UINT64_C(0xcbf29ce484222325)
uint64_t store_fnv(uint64_t state, const void *bytes, size_t size);

/* ---- read.c ---- */

/* Ends the statements of all cursors, which resume behind their last event. */
void store_cursors_park(struct store *store);

/* Takes the cursors' statements away, for good. */
void store_cursors_orphan(struct store *store);

#endif
