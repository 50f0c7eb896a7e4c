/*
 * store.c: the life of a handle, and its transactions.
 *
 * Opening goes from what cannot harm to what writes, and stops at the first complaint:
 *
 *   arguments ─> file opened ─> schema compared, reading only ─> settings ─> migrations ─>
 * statements │ └─ refused: P8, the file keeps its bytes
 *
 * The comparison comes before the settings because PRAGMA journal_mode=WAL already writes. A handle
 * whose disk failed it stops (P6): SQLite would go on, but after a failed fsync the kernel may have
 * dropped the pages and report success the next time, so that only a fresh open, with recovery from
 * the WAL's own checksums, tells what is there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/internal.h"

static const struct store_options options_default;

/* Puts the path before the message, which the functions below this one do not know. */
static void error_add_path(struct store_error *err, const char *path)
{
	char prefix[256];
	size_t size;
	int used;

	if (!err)
		return;
	used = snprintf(prefix, sizeof(prefix), "%.200s: ", path);
	if (used <= 0)
		return;
	size = (size_t)used;
	memmove(err->message + size, err->message, sizeof(err->message) - size);
	memcpy(err->message, prefix, size);
	err->message[sizeof(err->message) - 1] = '\0';
}

static enum store_code path_check(const char *path, struct store_error *err)
{
	if (!path)
		return store_error_set(err, STORE_ERR_INVALID, 0, "the path is NULL");
	if (path[0] == '\0' || strcmp(path, ":memory:") == 0)
		return store_error_set(err, STORE_ERR_IN_MEMORY, 0,
				       "'%s' is no file: a database in memory or a temporary one "
				       "cannot have a WAL, and nothing in it is durable",
				       path);
	/* Builds of SQLite differ in whether they take this for a URI; its parameters can switch
	 * off locking. */
	if (strncmp(path, "file:", 5) == 0)
		return store_error_set(err, STORE_ERR_INVALID, 0,
				       "the path is a file name, not a URI; for a file of that "
				       "name write './%.200s'",
				       path);
	return STORE_OK;
}

static enum store_code options_check(const struct store_options *options, struct store_error *err)
{
	if (options->busy_timeout_ms < -1)
		return store_error_set(err, STORE_ERR_INVALID, 0, "a busy timeout of %d ms",
				       options->busy_timeout_ms);
	if (!options->migrations && options->migration_count > 0)
		return store_error_set(err, STORE_ERR_INVALID, 0,
				       "migration_count is %zu and migrations is NULL",
				       options->migration_count);
	return store_pragmas_check(options, err);
}

/*
 * Closes a connection without moving the WAL into the database: whoever was refused has no business
 * doing that, and after an I/O error the WAL is what recovery needs. A WAL without a frame was made
 * by this connection's reading, and goes away with it.
 */
static void connection_discard(sqlite3 *db)
{
	sqlite3_file *wal = NULL;
	sqlite3_int64 size_bytes = 0;

	if (!db)
		return;
	if (sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal) == SQLITE_OK &&
	    wal && wal->pMethods && wal->pMethods->xFileSize(wal, &size_bytes) == SQLITE_OK &&
	    size_bytes > 0)
		sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_close_v2(db);
}

/*
 * The patience of one store_open(). Time is counted as it is slept away, so that no clock decides
 * anything.
 */
struct patience {
	int left_ms;
	size_t round;
};

/* Sleeps a little, longer each time; 0 once patience is at its end. A busy handler of SQLite's. */
static int patience_wait(void *context, int handler_round)
{
	static const int delays_ms[] = {1, 2, 5, 10, 20, 50, 100};
	const size_t last = sizeof(delays_ms) / sizeof(delays_ms[0]) - 1;
	struct patience *patience = context;
	int delay_ms;

	/* SQLite counts for each lock anew; the patience is for all of them. */
	(void)handler_round;
	if (patience->left_ms == 0)
		return 0;
	delay_ms = delays_ms[patience->round < last ? patience->round : last];
	if (delay_ms > patience->left_ms)
		delay_ms = patience->left_ms;
	patience->left_ms -= delay_ms;
	patience->round++;
	sqlite3_sleep(delay_ms);
	return 1;
}

static enum store_code connection_open(const char *path, struct patience *patience,
				       sqlite3 **ret_db, struct store_error *err)
{
	enum store_code code = STORE_OK;
	const char *name;
	sqlite3 *db = NULL;
	int rc;

	rc = sqlite3_open_v2(
	    path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc != SQLITE_OK) {
		if (db)
			rc = sqlite3_extended_errcode(db);
		code = store_error_set_sqlite(err, db, rc, "cannot open");
		goto out;
	}
	sqlite3_extended_result_codes(db, 1);
	sqlite3_busy_handler(db, patience_wait, patience);
	name = sqlite3_db_filename(db, "main");
	if (!name || name[0] == '\0') {
		code = store_error_set(err, STORE_ERR_IN_MEMORY, 0, "the database has no file");
		goto out;
	}
	/* SQLite opens a file that it may not write as read-only, and says nothing. */
	if (sqlite3_db_readonly(db, "main") == 1) {
		code = store_error_set(err, STORE_ERR_READ_ONLY, 0,
				       "the file cannot be opened for writing");
		goto out;
	}
	*ret_db = db;
	db = NULL;
out:
	sqlite3_close_v2(db);
	return code;
}

static enum store_code statement_prepare(struct store *store, const char *sql,
					 sqlite3_stmt **ret_stmt, struct store_error *err)
{
	enum store_code code;
	int rc = sqlite3_prepare_v2(store->db, sql, -1, ret_stmt, NULL);

	if (rc == SQLITE_OK)
		return STORE_OK;
	code = store_error_set_sqlite(err, store->db, rc, "the schema is not a store's");
	if (code == STORE_ERR_SQLITE) {
		code = STORE_ERR_SCHEMA_BROKEN;
		if (err)
			err->code = code;
	}
	return code;
}

static enum store_code statements_prepare(struct store *store, struct store_error *err)
{
	/* A program of version 1 or 2 does not know the column that version 3 added. */
	const char *insert =
	    store->version >= 3
		? "INSERT INTO events (seq, event_id, server_id, position, time_us, kind,"
		  " payload, checksum, batch_id, batch_count, payload_bytes)"
		  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, length(?7))"
		: "INSERT INTO events (seq, event_id, server_id, position, time_us, kind,"
		  " payload, checksum, batch_id, batch_count)"
		  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
	const struct {
		const char *sql;
		sqlite3_stmt **stmt;
	} wanted[] = {
	    {"BEGIN IMMEDIATE", &store->begin},
	    {"COMMIT", &store->commit},
	    {"ROLLBACK", &store->rollback},
	    {"SELECT max(version) FROM schema_version", &store->version_max},
	    {"SELECT coalesce(max(seq), 0) + 1 FROM events", &store->seq_next},
	    {"SELECT coalesce(max(position), -1) FROM events WHERE server_id = ?1",
	     &store->position_last},
	    {"SELECT 1 FROM events WHERE event_id = ?1"
	     " UNION ALL SELECT 1 FROM events WHERE server_id = ?2 AND position = ?3",
	     &store->find},
	    {insert, &store->insert},
	};

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		enum store_code code = statement_prepare(store, wanted[i].sql, wanted[i].stmt, err);

		if (code != STORE_OK)
			return code;
	}
	return STORE_OK;
}

/* From a connection that has touched nothing to one whose settings and schema are right. */
static enum store_code connection_prepare(sqlite3 *db, const struct store_options *options,
					  const struct store_migration *migrations, size_t count,
					  struct store_error *err)
{
	enum store_code code;
	int version = 0;

	code = store_schema_inspect(db, migrations, count, &version, err);
	if (code != STORE_OK)
		return code;
	code = store_pragmas_apply(db, options, err);
	if (code != STORE_OK)
		return code;
	if (version == (int)count)
		return STORE_OK;
	return store_schema_migrate(db, options, migrations, count, err);
}

/*
 * Prepares until nobody is in the way. SQLite does not call the busy handler wherever it meets a
 * lock: of two connections that switch a new database to WAL at once, one fails at once. Every step
 * can be repeated.
 */
static enum store_code connection_prepare_patiently(sqlite3 *db,
						    const struct store_options *options,
						    const struct store_migration *migrations,
						    size_t count, struct patience *patience,
						    struct store_error *err)
{
	struct store_error attempt = {0};
	enum store_code code;

	do {
		code = connection_prepare(db, options, migrations, count, &attempt);
	} while (code == STORE_ERR_BUSY && patience_wait(patience, 0));
	if (code != STORE_OK && err)
		*err = attempt;
	return code;
}

/* Everything but the connection, which its caller closes in the way that it needs. */
static void store_release(struct store *store)
{
	store_cursors_orphan(store);
	sqlite3_finalize(store->begin);
	sqlite3_finalize(store->commit);
	sqlite3_finalize(store->rollback);
	sqlite3_finalize(store->version_max);
	sqlite3_finalize(store->seq_next);
	sqlite3_finalize(store->position_last);
	sqlite3_finalize(store->find);
	sqlite3_finalize(store->insert);
	free(store);
}

enum store_code store_open(const char *path, const struct store_options *options,
			   struct store **ret_store, struct store_error *err)
{
	const struct store_migration *migrations;
	struct store *store = NULL;
	enum store_code code;
	struct patience patience = {0};
	sqlite3 *db = NULL;
	size_t count;

	if (!options)
		options = &options_default;
	if (!ret_store)
		return store_error_set(err, STORE_ERR_INVALID, 0, "ret_store is NULL");
	code = path_check(path, err);
	if (code != STORE_OK)
		return code;
	code = options_check(options, err);
	if (code != STORE_OK)
		return code;
	migrations = options->migrations;
	count = options->migration_count;
	if (!migrations)
		migrations = store_migrations(&count);
	code = store_schema_check_list(migrations, count, err);
	if (code != STORE_OK)
		return code;

	store = calloc(1, sizeof(*store));
	if (!store)
		return store_error_set(err, STORE_ERR_NO_MEMORY, 0, "out of memory");
	store->version = (int)count;
	store->busy_timeout_ms = options->busy_timeout_ms;
	if (store->busy_timeout_ms == 0)
		store->busy_timeout_ms = STORE_BUSY_TIMEOUT_DEFAULT_MS;
	else if (store->busy_timeout_ms < 0)
		store->busy_timeout_ms = 0;

	patience.left_ms = store->busy_timeout_ms;
	code = connection_open(path, &patience, &db, err);
	if (code != STORE_OK)
		goto out;
	code = connection_prepare_patiently(db, options, migrations, count, &patience, err);
	if (code != STORE_OK)
		goto out;
	sqlite3_busy_timeout(db, store->busy_timeout_ms);
	store->db = db;
	code = statements_prepare(store, err);
	if (code != STORE_OK)
		goto out;
	*ret_store = store;
	store = NULL;
	db = NULL;
out:
	if (code != STORE_OK)
		error_add_path(err, path);
	if (store)
		store_release(store);
	connection_discard(db);
	return code;
}

void store_close(struct store *store)
{
	sqlite3 *db;
	bool stopped;

	if (!store)
		return;
	db = store->db;
	stopped = store->stopped_by != 0;
	store_release(store);
	if (stopped)
		connection_discard(db);
	else
		sqlite3_close_v2(db);
}

struct sqlite3 *store_handle(struct store *store)
{
	return store->db;
}

int store_schema_version(const struct store *store)
{
	return store->version;
}

int store_run(sqlite3_stmt *stmt)
{
	int rc = sqlite3_step(stmt);

	sqlite3_reset(stmt);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

enum store_code store_check_running(const struct store *store, struct store_error *err)
{
	if (store->stopped_by == 0)
		return STORE_OK;
	return store_error_set(err, STORE_ERR_STOPPED, store->stopped_by,
			       "the store has stopped after an error (%s): close it and open it "
			       "again",
			       sqlite3_errstr(store->stopped_by));
}

enum store_code store_begin(struct store *store, struct store_error *err)
{
	int rc;

	if (!sqlite3_get_autocommit(store->db))
		return store_error_set(err, STORE_ERR_INVALID, 0,
				       "the caller has left a transaction open on store_handle()");
	rc = store_run(store->begin);
	if (rc == SQLITE_OK)
		return STORE_OK;
	if (rc == SQLITE_BUSY_SNAPSHOT)
		return store_error_set(err, STORE_ERR_BUSY, rc,
				       "a statement of the caller's on store_handle() still reads "
				       "an older state of the store");
	if (store_code_from_sqlite(rc) == STORE_ERR_BUSY)
		return store_error_set(err, STORE_ERR_BUSY, rc,
				       "the write lock was not free within %d ms: another "
				       "connection or process holds it",
				       store->busy_timeout_ms);
	return store_error_set_sqlite(err, store->db, rc, "cannot begin a transaction");
}

enum store_code store_commit(struct store *store, struct store_error *err)
{
	int rc = store_run(store->commit);
	enum store_code code;
	bool determinate;

	if (rc == SQLITE_OK)
		return STORE_OK;
	code = store_error_set_sqlite(err, store->db, rc, "cannot commit");
	/*
	 * A busy commit (a reader in the way, in the rollback modes) and a violated constraint come
	 * before anything is final. Any other error may have come after the commit record had been
	 * written whole: a failed sync, a full disk while the last frame is repeated to fill a
	 * sector, no memory for the index of the WAL.
	 */
	determinate = (rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_CONSTRAINT;
	if (!determinate) {
		store->stopped_by = rc;
		if (err)
			err->indeterminate = true;
	}
	store_rollback(store, code);
	return code;
}

void store_rollback(struct store *store, enum store_code cause)
{
	int rc = SQLITE_OK;

	if (cause == STORE_ERR_IO && store->stopped_by == 0)
		store->stopped_by = SQLITE_IOERR;
	/* Some errors have made SQLite roll back already. */
	if (!sqlite3_get_autocommit(store->db))
		rc = store_run(store->rollback);
	if (rc != SQLITE_OK && store->stopped_by == 0)
		store->stopped_by = rc;
}
