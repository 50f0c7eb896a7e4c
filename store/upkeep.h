/*
 * upkeep.h: checkpoints by hand, backups, maintenance, statistics. Included by store.h.
 *
 * All of it works on a `struct store` and follows its rule: one thread at a time. With a service
 * (service.h), take a store of your own with store_open() for these, or run them as a command
 * where "inside a command" is allowed below.
 */
#ifndef STORE_UPKEEP_H
#define STORE_UPKEEP_H

#include "api.h"

#ifndef STORE_STORE_H
#error "include store.h, which includes this file"
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

STORE_API_BEGIN

/* ---- checkpoints ---- */

struct store_checkpoint_result {
	uint32_t frames_in_log; /* when it ran; 0 after TRUNCATE, and where there is no WAL */
	uint32_t frames_moved;	/* of these, those that are in the database now */
	bool busy;	      /* somebody was in the way: not all that the mode asks for is done */
	uint64_t duration_ns; /* monotonic */
};

/*
 * Moves what is in the WAL into the database (https://www.sqlite.org/c3ref/wal_checkpoint_v2.html).
 * Being busy is a result, not an error; modes other than PASSIVE wait for readers and writers as
 * long as the busy timeout allows, and hold the write lock meanwhile. TRUNCATE is for quiet times,
 * and after loading much. Open cursors of `store` are parked. Errors: STORE_ERR_INVALID (inside a
 * transaction or command), _BUSY (a backup is open on this handle), _READ_ONLY, _STOPPED, _IO,
 * _FULL, _NO_MEMORY, _SQLITE. After an I/O error the store has stopped.
 */
enum store_code store_checkpoint(struct store *store, enum store_checkpoint_mode mode,
				 struct store_checkpoint_result *ret_result,
				 struct store_error *err);

/* ---- backups ---- */

struct store_backup;

struct store_backup_options {
	uint32_t pages_per_step; /* 0 is 256 */
	/* By which a left-over is removed and the finished copy gets its name, and by which a cold
	 * copy is written; NULL is store_files_posix(). A path has to mean the same to them as to
	 * SQLite's default VFS, which writes the other copies and reads them all. */
	const struct store_files *files;
};

struct store_backup_progress {
	uint32_t pages_total;
	uint32_t pages_remaining;
	bool done; /* the copy is verified, durable, and has its name: P12 */
};

/*
 * A copy of one moment of the store, taken in steps while writers go on: the moment is that of the
 * first step, whose snapshot is held until the end, so that the WAL cannot be begun anew meanwhile.
 * It is made as `path`.part, which SQLite's commit syncs; it is then verified (integrity_check, and
 * every row of every table compared with the snapshot), renamed to `path`, and the folder is
 * synced. A file that is there under that name stays what it was until then. A `path`.part that is
 * there is what a crash has left, and is removed: one backup to a path at a time.
 *
 * _begin moves the backup to *ret_backup, which the caller owns and frees by store_backup_close(),
 * before the store. It first tries a TRUNCATE checkpoint, without waiting for anybody, unless the
 * store is a reader of a pool. STORE_ERR_EXISTS: beside `path` there is a -wal or a -journal, which
 * whoever opens the copy would take for the copy's.
 * _step copies pages_per_step pages; after the last pages one more step verifies and publishes,
 * which takes as long as reading both databases. An error ends the backup (STORE_ERR_VERIFY: the
 * copy is not what the original is) and removes the part; under `path` is what was there, or the
 * new copy, whole, if it was the folder that could not be synced.
 * _close before it is done cancels: the part is removed, `path` untouched.
 *
 * Until it has ended this handle only reads: functions that write answer STORE_ERR_BUSY, and
 * store_reopen() STORE_ERR_INVALID. Open cursors are parked by the first step and at the end.
 */
enum store_code store_backup_begin(struct store *store, const char *path,
				   const struct store_backup_options *options,
				   struct store_backup **ret_backup, struct store_error *err);
enum store_code store_backup_step(struct store_backup *backup,
				  struct store_backup_progress *ret_progress,
				  struct store_error *err);
void store_backup_close(struct store_backup *backup);

/*
 * All of it in one call. progress is called after each step and cancels by returning false
 * (STORE_ERR_CANCELLED); may be NULL.
 */
enum store_code
store_backup(struct store *store, const char *path, const struct store_backup_options *options,
	     bool (*progress)(void *context, const struct store_backup_progress *progress),
	     void *context, struct store_error *err);

/*
 * A cold copy: a TRUNCATE checkpoint, then the bytes of the database file, with the write lock held
 * so that nobody changes them; written as `path`.part, synced, verified, renamed, the folder synced
 * (P12), with the errors of the other kind. STORE_ERR_BUSY when others keep the WAL from being
 * emptied. Not inside a transaction.
 */
enum store_code store_backup_cold(struct store *store, const char *path,
				  const struct store_backup_options *options,
				  struct store_error *err);

/* ---- maintenance ---- */

/*
 * Frees up to page_count_max pages (0: all) of a database with auto_vacuum=incremental, in a
 * transaction of its own. *ret_remaining (may be NULL): pages still free. STORE_ERR_SETTING on a
 * database that has another auto_vacuum.
 */
enum store_code store_vacuum_step(struct store *store, uint32_t page_count_max,
				  uint32_t *ret_remaining, struct store_error *err);

/*
 * Rebuilds the database file. Needs the write lock for as long as it takes, and free disk space of
 * the size of the database twice. What it changes is as atomic and durable as a commit. It ends
 * with a TRUNCATE checkpoint, as all of the database stands in the WAL then; a reader in the way of
 * that is no error. Not inside a transaction or command. After an I/O error the store has stopped.
 */
enum store_code store_vacuum(struct store *store, struct store_error *err);

/* The same on the writer's connection of a service, between two groups: the writer pauses. Waits.
 */
enum store_code store_service_vacuum(struct store_service *service, struct store_error *err);

/*
 * PRAGMA optimize; with all set ANALYZE of every table. Both look at about 1,000 rows of each
 * index, and write what they find in a transaction. Allowed inside a command. SQLite before 3.32.0
 * knows no such limit: whatever is analysed is then read whole, with the write lock held. Before
 * 3.18.0 there is no PRAGMA optimize: without all, nothing is done, and STORE_OK returned.
 */
enum store_code store_optimize(struct store *store, bool all, struct store_error *err);

/*
 * PRAGMA integrity_check and foreign_key_check, of one snapshot. *ret_ok false is an answer, not an
 * error, also where the database is too damaged to be checked. report is called once for each
 * problem found, at most problem_count_max times (0: 100), with a line that is its until it
 * returns; it may be NULL, and must not call the store. Allowed inside a command and on a reader.
 */
enum store_code store_check(struct store *store, uint32_t problem_count_max,
			    void (*report)(void *context, const char *problem), void *context,
			    bool *ret_ok, struct store_error *err);

/* ---- statistics ---- */

#define STORE_TABLES_MAX     64
#define STORE_NAME_BYTES_MAX 63

struct store_statistics {
	uint64_t page_count;
	uint64_t page_size_bytes;
	uint64_t freelist_count; /* pages */
	uint64_t wal_frames;	 /* that the WAL file has room for, used or not */
	uint64_t cache_hits;	 /* of this connection since it was opened */
	uint64_t cache_misses;
	uint64_t cache_bytes;
	uint64_t database_bytes; /* file sizes */
	uint64_t wal_bytes;
	uint64_t statements_cached;
	size_t table_count;   /* of `tables` that are filled */
	bool tables_left_out; /* there were more than STORE_TABLES_MAX */
	struct {
		char name[STORE_NAME_BYTES_MAX + 1];
		uint64_t row_count;
	} tables[STORE_TABLES_MAX];
};

/*
 * with_rows: count the rows of every table but SQLite's own and virtual ones, in the order of their
 * names, which reads all of them; otherwise table_count is 0. A longer name is cut. Allowed inside
 * a command and on a reader.
 */
enum store_code store_statistics(struct store *store, bool with_rows,
				 struct store_statistics *ret_statistics, struct store_error *err);

STORE_API_END

#endif
