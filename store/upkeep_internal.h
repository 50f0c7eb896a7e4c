/*
 * upkeep_internal.h: what the files of the upkeep share with each other.
 *
 *   checkpoint.c    store_checkpoint; a look at the WAL
 *   strategy.c      the built-in strategies, and choosing among several
 *   checkpointer.c  the checkpointer's step (service_internal.h)
 *   backup.c        backups; backup_verify.c whether a copy is what the original is
 *   maintain.c      vacuum, optimize, check
 *   statistics.c    store_statistics
 */
#ifndef STORE_UPKEEP_INTERNAL_H
#define STORE_UPKEEP_INTERNAL_H

#include "store/internal.h"

/* ---- maintain.c ---- */

/* Whether the store may be looked after now: it runs, no transaction is open on it, no backup holds
 * a snapshot; and it can write, if writes is set. */
enum store_code store_upkeep_check(const struct store *store, bool writes, struct store_error *err);

/* A snapshot for several questions: a savepoint, so that it can also stand inside a transaction.
 * The end cannot fail in a way that matters to one who has only read. */
int store_snapshot_begin(sqlite3 *db);
void store_snapshot_end(sqlite3 *db);

/* ---- checkpoint.c ---- */

/* store_checkpoint() that waits for others for so long. */
enum store_code store_checkpoint_patiently(struct store *store, enum store_checkpoint_mode mode,
					   int patience_ms,
					   struct store_checkpoint_result *ret_result,
					   struct store_error *err);

/* Bytes of the log; all 0 where there is none, as in the modes of a rollback journal. */
struct store_wal_look {
	uint64_t file_bytes;
	uint64_t used_bytes;	/* committed frames, moved or not; the rest of the file is old */
	uint64_t waiting_bytes; /* committed frames that are not in the database yet */
	uint64_t page_size_bytes;
};

/*
 * What is in the log, without moving anything and without a lock: the frames are read from the
 * index in shared memory, whose layout is documented (https://www.sqlite.org/walformat.html). They
 * are for deciding, not for counting: the next moment they are others. A connection in
 * locking_mode=exclusive shares no index: used_bytes and waiting_bytes are 0.
 */
enum store_code store_wal_look(struct store *store, struct store_wal_look *ret_look,
			       struct store_error *err);

/* The size of a file of the main database by its connection's own descriptor, for
 * SQLITE_FCNTL_FILE_POINTER or _JOURNAL_POINTER; 0 where that file is not open. To open the file
 * anew and close it would drop the locks of this process
 * (https://www.sqlite.org/howtocorrupt.html, 2.2). */
int store_file_size(sqlite3 *db, int pointer, uint64_t *ret_bytes);

/* ---- strategy.c ---- */

/*
 * Asks all; of those that answer the one with the highest priority wins, of equal ones the first.
 * Returns it, or NULL when none answered; the outputs are filled only with an answer.
 */
const struct store_strategy *store_strategy_choose(const struct store_strategy *strategies,
						   size_t count,
						   const struct store_wal_state *state,
						   bool *ret_checkpoint,
						   enum store_checkpoint_mode *ret_mode);

/* ---- backup_verify.c ---- */

/*
 * STORE_ERR_VERIFY unless the copy passes an integrity check and holds the same tables with the
 * same rows as the snapshot that is open on source, compared value by value. Opens the copy's file
 * for itself, as it is on disk, and leaves nothing beside it.
 */
enum store_code store_backup_verify(sqlite3 *source, const char *part, struct store_error *err);

/* The URI of a file, percent-encoded, with that query behind it; NULL: no memory. The caller frees
 * it by sqlite3_free(). */
char *store_file_uri(const char *path, const char *query);

#endif
