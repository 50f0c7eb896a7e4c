/*
 * store.c: the life of a handle.
 *
 * Opening goes from what cannot harm to what writes, and stops at the first complaint:
 *
 *   arguments ─> file opened ─> schema compared, reading only ─> settings ─> WAL made durable ─>
 *                                │                                            migrations
 *                                └─ refused: P8, the file keeps its bytes
 *
 * The comparison comes before the settings because PRAGMA journal_mode=WAL already writes. Opening
 * again after an error (P6) goes the same way with the same options, and settles the WAL.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "store/internal.h"

static const struct store_options options_default;

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
	if (!store_migrations(options->schema, NULL))
		return store_error_set(err, STORE_ERR_INVALID, 0, "unknown schema %d",
				       (int)options->schema);
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
		(void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_close_v2(db);
}

/*
 * Whether the file that the store was opened on is still there, before it is opened again: SQLite
 * would make a new one, and take the WAL beside it for its own, or delete it. Files that are not
 * the operating system's have no number to compare.
 */
static enum store_code file_check(const struct store *store, struct store_error *err)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	struct stat file;
	int exists = 0;
	int rc = vfs->xAccess(vfs, store->file, SQLITE_ACCESS_EXISTS, &exists);

	if (rc != SQLITE_OK)
		return store_error_at(err, store, store_code_from_sqlite(rc), rc,
				      "cannot look for the file: %s", sqlite3_errstr(rc));
	if (!exists)
		return store_error_at(err, store, STORE_ERR_CANNOT_OPEN, 0,
				      "the file is gone, and is not created anew");
	if (store->file_is_known && stat(store->file, &file) == 0 &&
	    (file.st_ino != store->file_inode || file.st_dev != store->file_device))
		return store_error_at(err, store, STORE_ERR_CANNOT_OPEN, 0,
				      "another file has taken the name");
	return STORE_OK;
}

/* Remembers the file that has been opened for the first time. */
static enum store_code file_remember(struct store *store, sqlite3 *db, struct store_error *err)
{
	struct stat file;

	if (store->file)
		return STORE_OK;
	store->file = strdup(sqlite3_db_filename(db, "main"));
	if (!store->file)
		return store_error_at(err, store, STORE_ERR_NO_MEMORY, 0, "out of memory");
	store->file_is_known = stat(store->file, &file) == 0;
	if (store->file_is_known) {
		store->file_device = file.st_dev;
		store->file_inode = file.st_ino;
	}
	return STORE_OK;
}

static enum store_code connection_open(const char *path, struct store_patience *patience,
				       bool reader, bool again, sqlite3 **ret_db,
				       struct store_error *err)
{
	const int writer = SQLITE_OPEN_READWRITE | (again ? 0 : SQLITE_OPEN_CREATE);
	const int flags = reader ? SQLITE_OPEN_READONLY : writer;
	enum store_code code = STORE_OK;
	const char *name;
	sqlite3 *db = NULL;
	int number;
	int rc;

	rc = sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc != SQLITE_OK) {
		if (db)
			rc = sqlite3_extended_errcode(db);
		number = db ? sqlite3_system_errno(db) : 0;
		code = store_error_set_sqlite(err, db, rc, "cannot open%s%s", number ? ": " : "",
					      number ? strerror(number) : "");
		goto out;
	}
	sqlite3_extended_result_codes(db, 1);
	sqlite3_busy_handler(db, store_busy_wait, patience);
	name = sqlite3_db_filename(db, "main");
	if (!name || name[0] == '\0') {
		code = store_error_set(err, STORE_ERR_IN_MEMORY, 0, "the database has no file");
		goto out;
	}
	/* SQLite opens a file that it may not write as read-only, and says nothing. */
	if (!reader && sqlite3_db_readonly(db, "main") == 1) {
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

/*
 * The automatic checkpoint. SQLite's own does the same and drops the error: after a failed sync the
 * next one would overwrite the database although the log that could repair it is not on the disk
 * (docs/findings.md, 19). The commit that came before is as durable as it was without the
 * checkpoint, so the error is the next call's.
 */
static int autocheckpoint(void *context, sqlite3 *db, const char *schema, int frame_count)
{
	struct store *store = context;
	int rc;

	if (frame_count < store->autocheckpoint_frames)
		return SQLITE_OK;
	rc = sqlite3_wal_checkpoint_v2(db, schema, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	if (store_code_from_sqlite(rc) != STORE_ERR_IO)
		return SQLITE_OK;
	store->checkpoint_failed_by = rc;
	if (store->db && store->stopped_by == 0)
		store->stopped_by = rc;
	return SQLITE_OK;
}

static enum store_code autocheckpoint_take_over(struct store *store, sqlite3 *db,
						struct store_error *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc = SQLITE_OK;

	/* Once taken over, SQLite says that there is none. */
	if (store->autocheckpoint_frames < 0) {
		rc = sqlite3_prepare_v2(db, "PRAGMA wal_autocheckpoint", -1, &stmt, NULL);
		if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
			store->autocheckpoint_frames = sqlite3_column_int(stmt, 0);
		rc = sqlite3_finalize(stmt);
	}
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, db, rc, "cannot read wal_autocheckpoint");
	if (store->autocheckpoint_frames > 0)
		sqlite3_wal_hook(db, autocheckpoint, store);
	return STORE_OK;
}

/*
 * Makes the names of the database and of its WAL durable. SQLite syncs the folder after the first
 * sync of a WAL, never for the database, and its unix VFS ignores it when that fails; so a promise
 * would hang on a failure that nobody reports; and a checkpoint may overwrite the database long
 * before anybody asks. A folder that may not be read, or a file system that has no such sync, is
 * left to SQLite.
 */
static enum store_code folder_sync(const struct store *store, sqlite3 *db, struct store_error *err)
{
	const struct store_files *files = store->options.files;
	char *folder;
	char *slash;
	int number;
	int rc;

	/* The WAL is made by the first connection that reads. */
	rc = sqlite3_exec(db, "SELECT 1 FROM sqlite_master", NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, db, rc, "cannot read the schema");
	/* Where the path leads through a link, the file's folder is another one. */
	folder = strdup(sqlite3_db_filename(db, "main"));
	if (!folder)
		return store_error_at(err, store, STORE_ERR_NO_MEMORY, 0, "out of memory");
	slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder] = '\0';
	number = files->sync_folder(files->context, slash ? folder : ".");
	free(folder);
	switch (number) {
	case 0:
	case EACCES:
	case EPERM:
	case EINVAL:
	case ENOTSUP:
		return STORE_OK;
	default:
		return store_error_set_file(err, number, store->path,
					    "cannot make the name durable");
	}
}

/* What opening needs to know. */
struct opening {
	struct store *store;
	const struct store_options *options;
	const struct store_migration *migrations;
	size_t count;
	bool reader;
	bool settle;
};

/* From a connection that has touched nothing to one whose settings and schema are right. */
static enum store_code connection_prepare(sqlite3 *db, const struct opening *opening,
					  struct store_error *err)
{
	enum store_code code;
	int version = 0;

	code = store_schema_inspect(db, opening->migrations, opening->count, &version, err);
	if (code != STORE_OK)
		return code;
	code = store_pragmas_apply(db, opening->options, opening->reader, err);
	if (code != STORE_OK)
		return code;
	if (opening->reader) {
		if (version == (int)opening->count)
			return STORE_OK;
		return store_error_set(err, STORE_ERR_SCHEMA_BROKEN, 0,
				       "the store has version %d, and a reader cannot take it to "
				       "%zu",
				       version, opening->count);
	}
	code = autocheckpoint_take_over(opening->store, db, err);
	if (code == STORE_OK)
		code = folder_sync(opening->store, db, err);
	if (code == STORE_OK)
		code = store_repair(db, opening->settle, err);
	if (code != STORE_OK || version == (int)opening->count)
		return code;
	return store_schema_migrate(db, opening->options, opening->migrations, opening->count, err);
}

/*
 * Prepares until nobody is in the way. SQLite does not call the busy handler wherever it meets a
 * lock: of two connections that switch a new database to WAL at once, one fails at once. Every step
 * can be repeated.
 */
static enum store_code connection_prepare_patiently(sqlite3 *db, const struct opening *opening,
						    struct store_patience *patience,
						    struct store_error *err)
{
	struct store_error attempt = {0};
	enum store_code code;

	do {
		code = connection_prepare(db, opening, &attempt);
	} while (code == STORE_ERR_BUSY && store_busy_wait(patience, 0));
	if (code != STORE_OK && err)
		*err = attempt;
	return code;
}

/* Fills store->db. */
static enum store_code store_connect(struct store *store, bool settle, struct store_error *err)
{
	struct opening opening = {
	    .store = store,
	    .options = &store->options,
	    .migrations = store->options.migrations,
	    .count = store->options.migration_count,
	    .reader = store->read_only,
	    .settle = settle,
	};
	enum store_code code;
	sqlite3 *db = NULL;

	if (!opening.migrations)
		opening.migrations = store_migrations(store->options.schema, &opening.count);
	code = store_schema_check_list(opening.migrations, opening.count, err);
	if (code != STORE_OK)
		goto out;
	store->version = (int)opening.count;
	store->autocheckpoint_frames = -1;
	store->checkpoint_failed_by = 0;
	store->patience = (struct store_patience){.left_ms = store->busy_timeout_ms};
	if (store->file)
		code = file_check(store, err);
	if (code == STORE_OK)
		code = connection_open(store->file ? store->file : store->path, &store->patience,
				       store->read_only, store->file != NULL, &db, err);
	if (code == STORE_OK)
		code = connection_prepare_patiently(db, &opening, &store->patience, err);
	if (code != STORE_OK)
		goto out;
	code = store_schema_probe(db, store->options.schema, err);
	if (code == STORE_OK)
		code = file_remember(store, db, err);
	if (code == STORE_OK && store->checkpoint_failed_by != 0)
		code = store_error_set_sqlite(err, db, store->checkpoint_failed_by,
					      "a checkpoint failed");
	if (code != STORE_OK)
		goto out;
	store->patience = (struct store_patience){.anew = true, .limit_ms = store->busy_timeout_ms};
	store->db = db;
	db = NULL;
out:
	if (code != STORE_OK)
		store_error_add_path(err, db, store->path);
	connection_discard(db);
	return code;
}

/* Ends the connection, in one of the two ways. */
static void store_disconnect(struct store *store, bool discard)
{
	store_cursors_orphan(store);
	store_statements_release(store);
	if (discard)
		connection_discard(store->db);
	else
		sqlite3_close_v2(store->db);
	store->db = NULL;
	store->depth = 0;
	store->rolled_back_by = 0;
	store->committed = false;
	store->seq_next = 0;
}

static void store_free(struct store *store)
{
	struct store_pragma *pragmas = (struct store_pragma *)(uintptr_t)store->options.pragmas;

	for (size_t i = 0; pragmas && i < store->options.pragma_count; i++) {
		free((char *)(uintptr_t)pragmas[i].name);
		free((char *)(uintptr_t)pragmas[i].value);
	}
	free(pragmas);
	free(store->path);
	free(store->file);
	free(store);
}

/* A store without a connection; the options are known to be well-formed. NULL: no memory. */
static struct store *store_create(const char *path, const struct store_options *options)
{
	struct store *store = calloc(1, sizeof(*store));
	struct store_pragma *pragmas;

	if (!store)
		return NULL;
	store->options = *options;
	store->path = strdup(path);
	pragmas = calloc(options->pragma_count + 1, sizeof(*pragmas));
	store->options.pragmas = pragmas;
	for (size_t i = 0; pragmas && i < options->pragma_count; i++) {
		pragmas[i].name = strdup(options->pragmas[i].name);
		pragmas[i].value = strdup(options->pragmas[i].value);
		if (!pragmas[i].name || !pragmas[i].value)
			goto fail;
	}
	if (!store->path || !pragmas)
		goto fail;
	if (!store->options.files)
		store->options.files = store_files_posix();
	store->busy_timeout_ms = options->busy_timeout_ms;
	if (store->busy_timeout_ms == 0)
		store->busy_timeout_ms = STORE_BUSY_TIMEOUT_DEFAULT_MS;
	else if (store->busy_timeout_ms < 0)
		store->busy_timeout_ms = 0;
	return store;
fail:
	store_free(store);
	return NULL;
}

static enum store_code open_any(const char *path, const struct store_options *options, bool reader,
				struct store **ret_store, struct store_error *err)
{
	struct store *store;
	enum store_code code;

	if (!options)
		options = &options_default;
	if (!ret_store)
		return store_error_set(err, STORE_ERR_INVALID, 0, "ret_store is NULL");
	if (sqlite3_libversion_number() < STORE_SQLITE_VERSION_MIN)
		return store_error_set(err, STORE_ERR_SQLITE, 0,
				       "the library needs SQLite 3.16.0 or later, and runs with %s",
				       sqlite3_libversion());
	code = path_check(path, err);
	if (code == STORE_OK)
		code = options_check(options, err);
	if (code != STORE_OK)
		return code;
	store = store_create(path, options);
	if (!store)
		return store_error_set(err, STORE_ERR_NO_MEMORY, 0, "%.200s: out of memory", path);
	store->read_only = reader;
	code = store_connect(store, false, err);
	if (code != STORE_OK) {
		store_free(store);
		return code;
	}
	*ret_store = store;
	return STORE_OK;
}

enum store_code store_open(const char *path, const struct store_options *options,
			   struct store **ret_store, struct store_error *err)
{
	return open_any(path, options, false, ret_store, err);
}

enum store_code store_open_reader(const char *path, const struct store_options *options,
				  struct store **ret_store, struct store_error *err)
{
	return open_any(path, options, true, ret_store, err);
}

enum store_code store_reopen(struct store *store, struct store_error *err)
{
	enum store_code code;

	if (!store)
		return store_error_set(err, STORE_ERR_INVALID, 0, "the store is NULL");
	if (store->depth > 0 || store->backing_up)
		return store_error_at(err, store, STORE_ERR_INVALID, 0,
				      "a transaction or a backup is under way");
	store_disconnect(store, true);
	/* Until it has succeeded. */
	if (store->stopped_by == 0)
		store->stopped_by = SQLITE_CANTOPEN;
	code = store_connect(store, true, err);
	if (code == STORE_OK)
		store->stopped_by = 0;
	return code;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	store_disconnect(store, store->stopped_by != 0);
	store_free(store);
}

const char *store_path(const struct store *store)
{
	return store ? store->path : NULL;
}

struct sqlite3 *store_handle(struct store *store)
{
	return store ? store->db : NULL;
}

int store_schema_version(const struct store *store)
{
	return store ? store->version : 0;
}

int64_t store_now_us(const struct store_options *options)
{
	struct timespec now;

	if (options->clock_us)
		return options->clock_us(options->clock_context);
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
