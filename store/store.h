/*
 * store.h: a durable store in one SQLite file. The one header to include; it ends by including the
 * others, each of which is about one subject:
 *
 *   store.h         promises, errors, opening, transactions; events (the archival store)
 *   service.h       one store for many threads: write queue, group commit, readers, checkpointer
 *   upkeep.h        checkpoints by hand, backups, maintenance, statistics
 *   files.h         the files outside SQLite, as a table of functions
 *   conversation.h  conversations, messages, tool uses
 *   filesystem.h    nodes, blobs with reference counts, rename
 *   workflow.h      executions, steps, artifacts, log files
 *
 * A file holds one of the four schemas (enum store_schema). An event belongs to a server, has a
 * position in that server's sequence, a time, a kind and a payload. Events are appended in batches,
 * a batch is one transaction, and nothing is ever changed or deleted. These headers are the whole
 * contract; the library includes sqlite3.h and libc, nothing else, uses SQLite's default VFS, keeps
 * no global state, and never prints or exits.
 *
 *
 * What a returned STORE_OK means
 *
 * "Kill" is the end of a process by SIGKILL or a crash, with the operating system living on.
 * "Power loss" is the end of everything but what the disk had made durable. The promises assume a
 * disk that keeps what fsync returned for, and a profile without overrides (struct store_pragma).
 *
 *   P1  Kill, every profile: when store_event() or store_events() has returned STORE_OK, every
 *       event of that call is in the store whatever is killed afterwards, and whenever.
 *   P2  Power loss, archival: the same.
 *   P3  Power loss, balanced: the store opens and holds a prefix of the batches in the order in
 *       which they were committed. Acknowledged batches can be missing, the newest first, back to
 *       the last checkpoint.
 *   P4  Power loss, bulk: nothing is promised, not even a file that opens. It is for loading what
 *       can be loaded again.
 *   P5  A batch is in the store whole or not at all: at every moment, for every reader, after a
 *       kill in every profile, after power loss in archival and balanced.
 *   P6  A call that failed left nothing of its batch, unless store_error.indeterminate is set. Then
 *       the commit itself met an error, and only store_reopen() settles whether the whole batch is
 *       there or nothing of it, for good: look for it then. After that, and after any I/O error
 *       inside a transaction, the handle has stopped (STORE_ERR_STOPPED): nothing is acknowledged
 *       until store_reopen(), or closing and opening, has let SQLite recover.
 *   P7  A migration and its row in schema_version are one transaction, to which P1 to P6 apply:
 *       what is found is the old version, whole, or the new one, whole.
 *   P8  A file that store_open() refuses because of what is in it (not a database, not a store, a
 *       newer schema, a changed migration) keeps its bytes, its journal mode and its WAL. Where a
 *       crashed writer left a WAL, its index (-shm) may be rebuilt; where it left a hot rollback
 *       journal, SQLite cannot read the file before it has rolled it back.
 *   P9  store_open() returned STORE_OK: every setting of the profile and of the overrides was read
 *       back from SQLite and stands; the schema is the last version of the list.
 *   P10 Power loss, archival and balanced: what a handle found when it was opened is durable, also
 *       what a killed or failed process had written and never got an answer for. SQLite recovers
 *       from the kernel's cache, and after a failed fsync the cache holds pages that no later fsync
 *       writes; so where there is a WAL, store_open() writes its bytes again and syncs them.
 *   P11 A log file that a row of step_logs names exists and is whole, after a kill in every
 *       profile, after power loss whenever the row is there (workflow.h).
 *   P12 A backup is under its final name only when it is whole, verified and durable; when
 *       store_backup() has returned STORE_OK, it is there, after a kill or power loss (upkeep.h).
 *   P13 A result that a service delivers is STORE_OK only after the commit: P1 to P4 hold from then
 *       on. Each accepted command gets one result (service.h).
 *
 * Profiles do not mix: P2 and P3 speak of a file that was written under that profile, or a stronger
 * one, since it was last checkpointed and synced. P1 to P3 follow from SQLite's documentation of
 * WAL and of PRAGMA synchronous: FULL syncs the WAL at every commit, NORMAL only at checkpoints,
 * OFF never.
 *
 * Threads: a store, with its cursors, is used by one thread at a time; which thread may change.
 * Different stores, also on the same file, are independent and may be used in parallel. SQLite must
 * have been built thread-safe for that (SQLITE_THREADSAFE 1 or 2). Many threads on one store:
 * service.h.
 *
 *
 * The tables of events, for programs that look from outside (version 4)
 *
 *   events          seq            INTEGER PRIMARY KEY: 1, 2, … in the order of commit
 *                   event_id       TEXT, unique
 *                   server_id      TEXT
 *                   position       INTEGER >= 0, strictly increasing per server in order of commit
 *                   time_us        INTEGER, microseconds since 1970-01-01 UTC
 *                   kind           TEXT
 *                   payload        BLOB
 *                   checksum       INTEGER, store_event_checksum() as a signed 64-bit number
 *                   batch_id       INTEGER, the seq of the batch's first event
 *                   batch_count    INTEGER, events in the batch: its seqs are batch_id to
 *                                  batch_id + batch_count - 1
 *                   payload_bytes  INTEGER (from version 3)
 *   dead_letters    seq            INTEGER PRIMARY KEY, of an event that could not be read
 *   (version 4)     reason         TEXT
 *                   noted_us       INTEGER, from store_options.clock_us
 *   schema_version  version        INTEGER PRIMARY KEY: 1, 2, … without a gap
 *                   digest         TEXT, of the migration's SQL
 *                   name           TEXT
 *                   applied_us     INTEGER, from store_options.clock_us
 *
 * From version 2 on, triggers refuse to delete an event or to change a column up to batch_count.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api.h"

STORE_API_BEGIN

struct sqlite3;
struct store;
struct store_cursor;
struct store_files;

/* ---- errors ---- */

/* Every code with its text: X(code, text). */
#define STORE_CODES(X)                                                                             \
	X(STORE_OK, "no error")                                                                    \
	X(STORE_ERR_INVALID, "invalid argument")                                                   \
	X(STORE_ERR_INVALID_EVENT, "invalid event")                                                \
	X(STORE_ERR_DUPLICATE, "the event is in the store already")                                \
	X(STORE_ERR_ORDER, "the position is not above the server's last")                          \
	X(STORE_ERR_IN_MEMORY, "a store needs a file")                                             \
	X(STORE_ERR_CANNOT_OPEN, "cannot open the file")                                           \
	X(STORE_ERR_READ_ONLY, "the file is read-only")                                            \
	X(STORE_ERR_NOT_A_DATABASE, "the file is not an SQLite database")                          \
	X(STORE_ERR_NOT_A_STORE, "the database is not such a store")                               \
	X(STORE_ERR_SETTING, "a setting did not take")                                             \
	X(STORE_ERR_SCHEMA_NEWER, "the store belongs to a newer program")                          \
	X(STORE_ERR_SCHEMA_CHANGED, "an applied migration has been changed")                       \
	X(STORE_ERR_SCHEMA_BROKEN, "the schema is not what its version says")                      \
	X(STORE_ERR_MIGRATION, "a migration failed")                                               \
	X(STORE_ERR_BUSY, "the lock was not free in time")                                         \
	X(STORE_ERR_IO, "input/output error")                                                      \
	X(STORE_ERR_FULL, "the disk is full")                                                      \
	X(STORE_ERR_CORRUPT, "the database is corrupt")                                            \
	X(STORE_ERR_CORRUPT_EVENT, "the stored event is corrupt")                                  \
	X(STORE_ERR_NOT_FOUND, "there is no such thing in the store")                              \
	X(STORE_ERR_EXISTS, "it is in the store already")                                          \
	X(STORE_ERR_NOT_EMPTY, "the folder is not empty")                                          \
	X(STORE_ERR_NOT_A_FOLDER, "it is not a folder")                                            \
	X(STORE_ERR_CYCLE, "a folder cannot be moved into itself")                                 \
	X(STORE_ERR_QUEUE_FULL, "the write queue is full")                                         \
	X(STORE_ERR_POOL_EXHAUSTED, "no reader was free in time")                                  \
	X(STORE_ERR_CANCELLED, "cancelled by the caller")                                          \
	X(STORE_ERR_CLOSED, "the service is being closed")                                         \
	X(STORE_ERR_VERIFY, "the copy is not what the original is")                                \
	X(STORE_ERR_NO_MEMORY, "out of memory")                                                    \
	X(STORE_ERR_STOPPED, "the store has stopped after an error: close it and open it again")   \
	X(STORE_ERR_SQLITE, "SQLite reported an error")

enum store_code {
#define STORE_CODE_ENUM(code, text) code,
	STORE_CODES(STORE_CODE_ENUM)
#undef STORE_CODE_ENUM
};

#define STORE_MESSAGE_BYTES 512
#define STORE_INDEX_NONE    SIZE_MAX

/*
 * What went wrong. Filled by a function that returns anything but STORE_OK, untouched otherwise;
 * nothing in it is allocated. Wherever a function takes one, NULL is allowed.
 */
struct store_error {
	enum store_code code;
	/* SQLite's extended result code, or 0 where SQLite was not the one to complain. */
	int sqlite_code;
	/* Index of the offending event in the batch, or STORE_INDEX_NONE. */
	size_t index;
	/* Whether the batch or migration may be found, whole, after the next open: see P6. */
	bool indeterminate;
	/* A sentence that names the file, and ends with SQLite's extended code in brackets where
	 * sqlite_code is not 0; cut to fit. */
	char message[STORE_MESSAGE_BYTES];
};

/* The code's name ("STORE_ERR_BUSY") and its text; static strings, also for unknown codes. */
const char *store_code_name(enum store_code code);
const char *store_code_text(enum store_code code);

/* ---- opening ---- */

enum store_profile {
	STORE_PROFILE_ARCHIVAL, /* WAL, synchronous=FULL: P2 */
	STORE_PROFILE_BALANCED, /* WAL, synchronous=NORMAL: P3 */
	STORE_PROFILE_BULK,	/* WAL, synchronous=OFF, 64 MiB cache, rare checkpoints: P4 */
};

/*
 * One step of the schema: SQL that takes version i to version i + 1. It runs inside a transaction
 * that is not its own: BEGIN, COMMIT and ROLLBACK in it are refused.
 */
struct store_migration {
	const char *name; /* for people, may be renamed */
	const char *sql;  /* never changes once it has been released */
};

/* What a file holds. Each has a list of migrations, and functions that work on no other. */
enum store_schema {
	STORE_SCHEMA_EVENTS,
	STORE_SCHEMA_CONVERSATIONS, /* conversation.h */
	STORE_SCHEMA_FILESYSTEM,    /* filesystem.h */
	STORE_SCHEMA_WORKFLOW,	    /* workflow.h */
};

/*
 * The list of a schema that the library was built with, oldest first, and its length (ret_count may
 * be NULL). A prefix of it makes store_open() behave as the program of that version did; a longer
 * list may begin with it. NULL and 0 for a number that is no schema.
 */
const struct store_migration *store_migrations(enum store_schema schema, size_t *ret_count);

/*
 * A setting in place of the profile's. Its name is one of
 *   page_size auto_vacuum locking_mode synchronous fullfsync checkpoint_fullfsync journal_mode
 *   foreign_keys cache_size mmap_size temp_store secure_delete wal_autocheckpoint
 *   journal_size_limit
 * and its value is written as for PRAGMA, upper or lower case: a number, or a word ("wal", "full",
 * "on"). Anything else is STORE_ERR_INVALID before a file is touched; a value that SQLite did not
 * take over (a page size that an existing database does not have) is STORE_ERR_SETTING. Overriding
 * journal_mode, synchronous or locking_mode replaces the profile's promises by SQLite's own for
 * those settings. Automatic checkpoints are made by the library, at the same moments as SQLite's,
 * because those drop their errors: asked on store_handle(), wal_autocheckpoint is 0. A reader of a
 * service's pool gets foreign_keys, cache_size, mmap_size and temp_store, also those of the
 * profile; the others mean nothing to a connection that cannot write.
 */
struct store_pragma {
	const char *name;
	const char *value;
};

/* The library works with this SQLite and later ones, as sqlite3_libversion_number() has it: 3.16.0
 * (closing without a checkpoint, which P6 and P8 need). With an older one store_open() says so. */
#define STORE_SQLITE_VERSION_MIN 3016000

#define STORE_BUSY_TIMEOUT_DEFAULT_MS 30000

/*
 * Zero everywhere is the default, and the default is the safest. Borrowed until open returns,
 * except migrations, files and the contexts, which must live until store_close().
 */
struct store_options {
	enum store_profile profile;
	enum store_schema schema;
	/* How long to wait for another writer; 0 is STORE_BUSY_TIMEOUT_DEFAULT_MS, -1 not at all.
	 * A service waits so long in each of the attempts that its retry policy allows. */
	int busy_timeout_ms;
	/* Applied in the library's order, whatever theirs; of two with one name the later counts.
	 */
	const struct store_pragma *pragmas;
	size_t pragma_count;
	/* NULL is the schema's list of store_migrations(), then migration_count must be 0. */
	const struct store_migration *migrations;
	size_t migration_count;
	/* Microseconds since 1970-01-01 UTC; NULL is the real clock. Called wherever a time
	 * is stored that no caller gives: of migrations, dead letters, log files. */
	int64_t (*clock_us)(void *context);
	void *clock_context;
	/* Log files go through these; NULL is store_files_posix(). */
	const struct store_files *files;
	/* Whether a payload can be decoded: asked for each event that is read and has the right
	 * checksum. False, with a reason of up to STORE_REASON_BYTES_MAX bytes in ret_reason, makes
	 * it a dead letter. NULL takes every payload. */
	bool (*decode)(void *context, const char *kind, const void *payload, size_t payload_bytes,
		       char *ret_reason);
	void *decode_context;
};

#define STORE_PRAGMA_COUNT_MAX 32
#define STORE_REASON_BYTES_MAX 127

/*
 * Opens the store at path, creates the file if there is none, brings the schema to the last version
 * of the list, and moves the handle to *ret_store: the caller owns it and frees it by
 * store_close(). path is a file name, never a URI. options may be NULL.
 *
 * A store that is up to date is not written to, but for its WAL, if it has one (P10), for which the
 * write lock is taken. Several processes may open, create and migrate the same store at once.
 *
 * Errors: STORE_ERR_INVALID, _IN_MEMORY (":memory:" or "": no WAL, nothing durable),
 * _CANNOT_OPEN (missing folder, a folder, no permission), _READ_ONLY, _NOT_A_DATABASE,
 * _NOT_A_STORE (somebody else's tables), _SETTING, _SCHEMA_NEWER, _SCHEMA_CHANGED,
 * _SCHEMA_BROKEN, _MIGRATION, _BUSY, _IO, _FULL, _CORRUPT, _NO_MEMORY, _SQLITE.
 */
enum store_code store_open(const char *path, const struct store_options *options,
			   struct store **ret_store, struct store_error *err);

/*
 * Closes the store; NULL is allowed. What was acknowledged does not depend on it. The last handle
 * of a file checkpoints the WAL and removes it, except on a store that has stopped, whose WAL is
 * left for the next open to recover from. Cursors that are still open answer STORE_ERR_INVALID from
 * then on and must still be closed. The caller finalizes its own statements on store_handle()
 * first.
 */
void store_close(struct store *store);

/*
 * Opens the same store again, in place, after it has stopped (P6): closes the connection without
 * touching the WAL, opens it as store_open() did, and commits once, so that what the failed
 * transaction left is settled: from here on it is there, durably, or will never be. Cursors are
 * orphaned as by store_close(). On failure the store stays stopped and this may be called again;
 * only store_close() is allowed beside it. It never creates a file, and refuses another one that
 * has taken the name (STORE_ERR_CANNOT_OPEN). Also allowed on a store that has not stopped, outside
 * of a transaction. Errors: those of store_open(), STORE_ERR_INVALID.
 */
enum store_code store_reopen(struct store *store, struct store_error *err);

/* The path that the store was opened with; borrowed until store_close(). */
const char *store_path(const struct store *store);

/*
 * The SQLite connection, for instrumentation and for reading; owned by the store, valid until
 * store_close() or store_reopen(). Do not leave a transaction open on it while calling the store,
 * and do not change its settings. NULL on a store that has stopped and could not be reopened.
 */
struct sqlite3 *store_handle(struct store *store);

/* The version of the schema that this handle reads and writes: the length of its list. */
int store_schema_version(const struct store *store);

/* ---- transactions ---- */

/*
 * Runs work in one transaction: what it writes by functions of this library becomes one commit, all
 * of it or nothing (P5, P6). A function that fails inside leaves nothing of its own, and work may
 * go on; if work returns anything but STORE_OK, the whole transaction is rolled back and that is
 * returned. May be nested: the inner one is then a savepoint. Errors: those of work, and of
 * store_events() for begin and commit. An error STORE_ERR_IO of work's own making (sqlite_code 0)
 * does not stop the store.
 */
enum store_code store_transaction(struct store *store,
				  enum store_code (*work)(struct store *store, void *context,
							  struct store_error *err),
				  void *context, struct store_error *err);

/* ---- appending events ---- */

#define STORE_ID_BYTES_MAX	255
#define STORE_KIND_BYTES_MAX	63
#define STORE_PAYLOAD_BYTES_MAX (64 * 1024 * 1024)
#define STORE_BATCH_COUNT_MAX	(1024 * 1024)

/*
 * An event. Texts are NUL-terminated, valid UTF-8, and 1 to STORE_ID_BYTES_MAX
 * (STORE_KIND_BYTES_MAX) bytes long without the NUL. payload may be NULL if payload_bytes is 0.
 */
struct store_event {
	const char *event_id;
	const char *server_id;
	int64_t position; /* >= 0, above every position of that server; may skip some */
	int64_t time_us;
	const char *kind;
	const void *payload;
	size_t payload_bytes;
};

/*
 * Appends one event: a batch of one.
 */
enum store_code store_event(struct store *store, const struct store_event *event,
			    struct store_error *err);

/*
 * Appends a batch in a single transaction, which costs a single sync in the archival profile. All
 * of it or nothing (P5, P6); what STORE_OK means is P1 to P4. An empty batch does nothing and
 * succeeds. The events are borrowed until the call returns.
 *
 * All events are checked for validity first, then appended in order; the first that fails ends the
 * call, and err->index names it: STORE_ERR_INVALID_EVENT, STORE_ERR_DUPLICATE (its id, or its
 * server and position, is in the store or earlier in the batch), STORE_ERR_ORDER.
 * Other errors: STORE_ERR_INVALID (also: the caller has left a transaction open on
 * store_handle()), _BUSY (somebody else held the write lock for longer than the timeout),
 * _SCHEMA_NEWER (another program has migrated the store since it was opened), _STOPPED, _IO, _FULL,
 * _CORRUPT, _NO_MEMORY, _SQLITE.
 */
enum store_code store_events(struct store *store, const struct store_event *events,
			     size_t event_count, struct store_error *err);

/*
 * The checksum that is stored with an event: FNV-1a, 64 bits, over event_id, server_id, position,
 * time_us, kind and payload in this order; texts and payload are preceded by their length, and all
 * numbers are 8 bytes, little-endian. The event must be valid.
 */
uint64_t store_event_checksum(const struct store_event *event);

/* ---- reading ---- */

/* An event as stored. Pointers are borrowed from the cursor until its next call or its close. */
struct store_record {
	struct store_event event;
	int64_t seq;
	int64_t batch_id;
	int64_t batch_count;
};

/*
 * Cursors. Each moves to *ret_cursor, which the caller owns and closes. All hold one event in
 * memory at a time, whatever the size of the result; bounds are inclusive, and a range that is
 * empty is no error. Any number may be open at once.
 *
 *   _by_id      the event with that id
 *   _by_server  events of a server, by position
 *   _by_time    events of all servers, by time; those of one time in the order of commit
 *
 * A cursor sees one snapshot of the store, taken by its first store_cursor_next(), until it ends or
 * this handle appends: an append lets go of the snapshot, and the cursor goes on in the store as it
 * then is, behind the last event that it returned. While a snapshot is held, checkpoints cannot
 * reset the WAL: a cursor is not to be left lying half read.
 *
 * Errors: STORE_ERR_INVALID, _STOPPED, _NO_MEMORY, _SQLITE.
 */
enum store_code store_cursor_open_by_id(struct store *store, const char *event_id,
					struct store_cursor **ret_cursor, struct store_error *err);
enum store_code store_cursor_open_by_server(struct store *store, const char *server_id,
					    int64_t position_first, int64_t position_last,
					    struct store_cursor **ret_cursor,
					    struct store_error *err);
enum store_code store_cursor_open_by_time(struct store *store, int64_t time_first_us,
					  int64_t time_last_us, struct store_cursor **ret_cursor,
					  struct store_error *err);

/*
 * Moves to the next event. *ret_found says whether there was one; *ret_record is filled only then.
 * After the end it goes on saying that there is none.
 *
 * A row that does not match its checksum or its types, or that store_options.decode refuses, is no
 * event: it becomes a dead letter (below), and the cursor goes on behind it. In a store before
 * version 4, which has no table for them, it is STORE_ERR_CORRUPT_EVENT instead; the message names
 * its seq, and the next call goes on behind it. After any other error (_BUSY, _IO, _CORRUPT,
 * _NO_MEMORY, _SQLITE) the next call tries the same event again.
 */
enum store_code store_cursor_next(struct store_cursor *cursor, struct store_record *ret_record,
				  bool *ret_found, struct store_error *err);

/* Frees the cursor; NULL is allowed. */
void store_cursor_close(struct store_cursor *cursor);

/* ---- dead letters ---- */

/*
 * An event that could not be read: STORE_ERR_CORRUPT_EVENT with its reason. The row stays in
 * events, which are never changed or deleted, and is met again by the next cursor that comes by; it
 * is noted once.
 */
struct store_dead_letter {
	int64_t seq;
	int64_t noted_us; /* 0 until it has been noted */
	char reason[STORE_REASON_BYTES_MAX + 1];
};

/* What a cursor holds at most. */
#define STORE_DEAD_LETTERS_HELD_MAX 64

/* How many dead letters the cursor has met, noted ones too. NULL is allowed: 0. */
uint64_t store_cursor_dead_count(const struct store_cursor *cursor);

/*
 * A cursor holds the dead letters that it has met. Of a store that can write, it notes them in
 * dead_letters when it holds STORE_DEAD_LETTERS_HELD_MAX, at its end, and when it is closed (before
 * its store is): one transaction, which like an append lets go of the snapshots of this handle's
 * cursors, and is left out where all are noted already. Reading does not wait or fail for that:
 * what cannot be noted at once, because somebody else writes or the disk is full, stays with the
 * cursor, which tries again on the next occasion. What it has no room for is only counted. Inside a
 * transaction or a command nothing is noted, so that it cannot fail for that either. Only an error
 * that leaves a commit in doubt, or of the disk, stops the store here as everywhere (P6).
 *
 * This takes up to letter_count_max of those that are held, oldest first, away from the cursor, and
 * returns how many. It is for a reader of a service's pool, which cannot write: submit a command
 * that calls store_dead_letters(); and for one who reads inside a transaction, and wants them in
 * it. After the end, 0 says that everything has been noted or taken, unless more than fit were met
 * in between.
 */
size_t store_cursor_dead_letters(struct store_cursor *cursor, struct store_dead_letter *ret_letters,
				 size_t letter_count_max);

/*
 * Notes dead letters in one transaction; those that are noted already keep their reason and time.
 * noted_us is not read, but taken from the clock. Waits for the write lock like every function that
 * writes, unless all are noted already. Errors: those of store_events(); STORE_ERR_NOT_FOUND where
 * there is no event of that seq, with err->index.
 */
enum store_code store_dead_letters(struct store *store, const struct store_dead_letter *letters,
				   size_t letter_count, struct store_error *err);

/*
 * Up to letter_count_max of the noted dead letters behind seq_after (INT64_MIN: from the first), by
 * seq. *ret_count < letter_count_max: that was the end. Otherwise go on with the last seq. Errors:
 * STORE_ERR_INVALID (also before version 4), _STOPPED, _BUSY, _IO, _CORRUPT, _NO_MEMORY, _SQLITE.
 */
enum store_code store_dead_letters_list(struct store *store, int64_t seq_after,
					struct store_dead_letter *ret_letters,
					size_t letter_count_max, size_t *ret_count,
					struct store_error *err);

STORE_API_END

#include "files.h"

#include "service.h"

#include "upkeep.h"

#include "conversation.h"
#include "filesystem.h"
#include "workflow.h"

#endif
