/*
 * transaction.c: transactions, and savepoints inside them.
 *
 *   depth 0 ──begin──> 1 ──begin──> 2 …      BEGIN IMMEDIATE, then SAVEPOINT for each level
 *           <─commit──   <─commit──          COMMIT, RELEASE
 *           <─rollback─  <─rollback─         ROLLBACK, ROLLBACK TO and RELEASE
 *
 * Every function that writes begins and finishes one, so that it is a transaction of its own when
 * it is called alone, and a part of its caller's inside store_transaction() or a service's command.
 *
 * Some errors (a full disk, no memory, an I/O error) make SQLite roll the whole transaction back at
 * once, whatever the level. rolled_back_by remembers that until depth is 0 again: what was done at
 * outer levels is gone, so they cannot succeed.
 *
 * A handle whose disk failed it stops (P6): SQLite would go on, but after a failed fsync the kernel
 * has dropped the pages from the list of those to be written and reports success the next time, so
 * that only store_reopen() tells what is there, and makes it durable.
 */
#include <inttypes.h>
#include <stdio.h>

#include "store/internal.h"

int store_run(sqlite3_stmt *stmt)
{
	int rc = sqlite3_step(stmt);

	sqlite3_reset(stmt);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

/* Runs a statement of this file's; an error of preparing it is its result. */
static int run_sql(struct store *store, const char *sql)
{
	sqlite3_stmt *stmt;

	if (store_statement(store, sql, &stmt, NULL) != STORE_OK)
		return sqlite3_extended_errcode(store->db);
	return store_run(stmt);
}

enum store_code store_check_running(const struct store *store, struct store_error *err)
{
	if (store->stopped_by == 0)
		return STORE_OK;
	return store_error_at(err, store, STORE_ERR_STOPPED, store->stopped_by,
			      "the store has stopped after an error (%s): %sstore_reopen() it, or "
			      "close it and open it again",
			      sqlite3_errstr(store->stopped_by),
			      (store->stopped_by & 0xff) == SQLITE_FULL ? "free some space, then "
									: "");
}

/*
 * SQLite's counter of the changes of the file that this connection has made or met
 * (https://www.sqlite.org/c3ref/c_fcntl_begin_atomic_write.html). False where SQLite does not tell,
 * which it does from 3.23.0 on.
 */
static bool change_counter(struct store *store, unsigned *ret_counter)
{
#ifdef SQLITE_FCNTL_DATA_VERSION
	return sqlite3_file_control(store->db, "main", SQLITE_FCNTL_DATA_VERSION, ret_counter) ==
	       SQLITE_OK;
#else
	(void)store;
	(void)ret_counter;
	return false;
#endif
}

/* Whether the last change of the file was the last commit of this handle. In a transaction only:
 * outside of one the connection has not looked. */
static bool is_as_committed(struct store *store)
{
	unsigned counter = 0;

	return store->committed && change_counter(store, &counter) &&
	       counter == store->committed_counter;
}

/* An open handle may have been overtaken: its statements no longer fit the tables then. */
static enum store_code version_check(struct store *store, struct store_error *err)
{
	sqlite3_stmt *stmt;
	int64_t version = 0;
	enum store_code code;
	int rc;

	code = store_statement(store, "SELECT max(version) FROM schema_version", &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		version = sqlite3_column_int64(stmt, 0);
	sqlite3_reset(stmt);
	if (rc != SQLITE_ROW)
		return store_error_set_sqlite(err, store->db, rc, "cannot read schema_version");
	if (version > store->version)
		return store_error_at(err, store, STORE_ERR_SCHEMA_NEWER, 0,
				      "another program has migrated the store to version %" PRId64
				      ", this one knows %d",
				      version, store->version);
	return STORE_OK;
}

static enum store_code begin_failed(struct store *store, int rc, struct store_error *err)
{
	char holder[128] = "";

	if (rc == SQLITE_BUSY_SNAPSHOT)
		return store_error_at(err, store, STORE_ERR_BUSY, rc,
				      "a statement of the caller's on store_handle() still reads "
				      "an older state of the store");
	if (store_code_from_sqlite(rc) != STORE_ERR_BUSY)
		return store_error_set_sqlite(err, store->db, rc, "cannot begin a transaction");
	store_lock_holder(store->path, holder, sizeof(holder));
	return store_error_at(
	    err, store, STORE_ERR_BUSY, rc, "the write lock was not free within %d ms: %s",
	    store->busy_timeout_ms, holder[0] ? holder : "another connection or process holds it");
}

static enum store_code begin_outermost(struct store *store, struct store_error *err)
{
	enum store_code code;
	int rc;

	if (!sqlite3_get_autocommit(store->db))
		return store_error_at(err, store, STORE_ERR_INVALID, 0,
				      "the caller has left a transaction open on store_handle()");
	/* A cursor's snapshot would keep this connection from becoming the writer. */
	store_cursors_park(store);
	rc = run_sql(store, "BEGIN IMMEDIATE");
	if (rc != SQLITE_OK)
		return begin_failed(store, rc, err);
	store->depth = 1;
	store->rolled_back_by = 0;
	/* What was true then is true now. */
	if (is_as_committed(store))
		return STORE_OK;
	store->seq_next = 0;
	code = version_check(store, err);
	if (code != STORE_OK)
		store_rollback(store, code);
	return code;
}

/*
 * Notices that the open transaction is gone: a failed read can roll it back, too, and nobody calls
 * store_rollback() for a read. What is done after that would be transactions of its own.
 */
static void loss_notice(struct store *store)
{
	int rc;

	if (store->depth == 0 || store->rolled_back_by != 0 || !sqlite3_get_autocommit(store->db))
		return;
	rc = sqlite3_extended_errcode(store->db);
	store->rolled_back_by = rc != SQLITE_OK ? rc : SQLITE_ABORT_ROLLBACK;
	if (store_code_from_sqlite(rc) == STORE_ERR_IO && store->stopped_by == 0)
		store->stopped_by = rc;
}

static enum store_code loss_report(struct store *store, struct store_error *err)
{
	int rc = store->rolled_back_by;
	enum store_code code = store_code_from_sqlite(rc);

	return store_error_at(err, store, code, rc,
			      "SQLite has rolled the whole transaction back: %s",
			      sqlite3_errstr(rc));
}

enum store_code store_begin(struct store *store, struct store_error *err)
{
	enum store_code code = store_check_running(store, err);
	int rc;

	if (code != STORE_OK)
		return code;
	if (store->read_only)
		return store_error_at(err, store, STORE_ERR_READ_ONLY, 0,
				      "this store was opened for reading");
	if (store->backing_up)
		return store_error_at(err, store, STORE_ERR_BUSY, 0,
				      "a backup holds a snapshot on this store: close it first, "
				      "or write through another one");
	if (store->depth == 0)
		return begin_outermost(store, err);
	loss_notice(store);
	if (store->rolled_back_by != 0)
		return loss_report(store, err);
	rc = run_sql(store, "SAVEPOINT store_part");
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, store->db, rc, "cannot begin a savepoint");
	store->depth++;
	return STORE_OK;
}

/*
 * A busy commit (a reader in the way, in the rollback modes) and a violated constraint come before
 * anything is final. Any other error may have come after the commit record had been written whole:
 * a failed sync, a full disk while the last frame is repeated to fill a sector, no memory for the
 * index of the WAL.
 */
static enum store_code commit_outermost(struct store *store, struct store_error *err)
{
	int rc = run_sql(store, "COMMIT");
	enum store_code code;

	if (rc == SQLITE_OK) {
		store->depth = 0;
		store->committed = change_counter(store, &store->committed_counter);
		return STORE_OK;
	}
	code = store_error_set_sqlite(err, store->db, rc, "cannot commit");
	if ((rc & 0xff) != SQLITE_BUSY && (rc & 0xff) != SQLITE_CONSTRAINT) {
		store->stopped_by = rc;
		if (err)
			err->indeterminate = true;
	}
	store_rollback(store, code);
	return code;
}

enum store_code store_commit(struct store *store, struct store_error *err)
{
	enum store_code code;
	int rc;

	loss_notice(store);
	if (store->rolled_back_by != 0) {
		code = loss_report(store, err);
		store_rollback(store, code);
		return code;
	}
	if (store->depth == 1)
		return commit_outermost(store, err);
	rc = run_sql(store, "RELEASE store_part");
	if (rc == SQLITE_OK) {
		store->depth--;
		return STORE_OK;
	}
	code = store_error_set_sqlite(err, store->db, rc, "cannot release a savepoint");
	store_rollback(store, code);
	return code;
}

void store_rollback(struct store *store, enum store_code cause)
{
	int rc = SQLITE_OK;

	store->committed = false;
	store->seq_next = 0;
	if (cause == STORE_ERR_IO && store->stopped_by == 0)
		store->stopped_by = SQLITE_IOERR;
	loss_notice(store);
	if (sqlite3_get_autocommit(store->db)) {
		/* SQLite was faster. */
		rc = SQLITE_OK;
	} else if (store->depth > 1) {
		rc = run_sql(store, "ROLLBACK TO store_part");
		if (rc == SQLITE_OK)
			rc = run_sql(store, "RELEASE store_part");
	} else {
		rc = run_sql(store, "ROLLBACK");
	}
	if (rc != SQLITE_OK && store->stopped_by == 0)
		store->stopped_by = rc;
	if (store->depth > 0)
		store->depth--;
	if (store->depth == 0)
		store->rolled_back_by = 0;
}

enum store_code store_finish(struct store *store, enum store_code code, struct store_error *err)
{
	if (code == STORE_OK)
		return store_commit(store, err);
	store_rollback(store, code);
	return code;
}

enum store_code store_finish_work(struct store *store, enum store_code code,
				  struct store_error *err)
{
	/* An I/O error of the caller's own is none of this database. */
	if (code == STORE_ERR_IO && err && err->sqlite_code == 0) {
		store_rollback(store, STORE_ERR_CANCELLED);
		return code;
	}
	return store_finish(store, code, err);
}

enum store_code store_transaction(struct store *store,
				  enum store_code (*work)(struct store *store, void *context,
							  struct store_error *err),
				  void *context, struct store_error *err)
{
	enum store_code code;

	if (!store || !work)
		return store_error_set(err, STORE_ERR_INVALID, 0, "store or work is NULL");
	code = store_begin(store, err);
	if (code != STORE_OK)
		return code;
	code = work(store, context, err);
	return store_finish_work(store, code, err);
}
