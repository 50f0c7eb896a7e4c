/*
 * backup.c: copies of a store [C4].
 *
 *   begin ──> COPY ──step…──> VERIFY ──step──> DONE            `path`.part, then `path`
 *              │ the first step takes the snapshot
 *              └─ error, or close: the part is removed, `path` is what it was
 *
 * The snapshot. sqlite3_backup_step() opens a read transaction for each step unless one is open
 * already, and starts over when that transaction finds that somebody else has written
 * (sqlite3BackupRestart() in pager_reset()). With a read transaction held from the first step on it
 * never asks, never starts over, and copies one moment; in WAL mode writers do not wait for it.
 *
 * The order of what reaches the disk, which is P12:
 *
 *   1  pages into `path`.part             the backup's connection, journal_mode=MEMORY: no journal
 *   2  fsync of the part                  its commit, because synchronous=FULL
 *   3  the part is read again, compared   backup_verify.c
 *   4  rename to `path`                   files->rename
 *   5  fsync of the folder                files->sync_folder
 *
 * A power loss before 5 leaves `path` as it was or the new copy, whole because of 2; the part may
 * be anything, and the next backup replaces it.
 *
 * A log or a journal that stands beside `path` would be taken for the new copy's by whoever opens
 * it, and be replayed into it (https://www.sqlite.org/howtocorrupt.html, 1.4): such a path is
 * refused.
 *
 * The cold copy takes the bytes of the file by the connection's own descriptor: a second one, when
 * it is closed, drops the POSIX locks of the whole process (the same page, 2.2).
 *
 * It does not keep two backups to one path from getting into each other's way.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/upkeep_internal.h"

#define PAGES_PER_STEP_DEFAULT 256
#define PATH_BYTES_MAX	       4000
#define CHUNK_BYTES	       65536
#define COLD_ATTEMPTS	       3

enum phase {
	PHASE_COPY,
	PHASE_VERIFY,
	PHASE_DONE,
	PHASE_FAILED,
};

/* The names of a copy, and where it is put. */
struct target {
	char *path;
	char *part;
	char *folder;
	const struct store_files *files;
};

struct store_backup {
	struct store *store;
	struct target target;
	int pages_per_step;
	enum phase phase;
	bool snapshot; /* the store is in a read transaction of ours */
	sqlite3 *part_db;
	sqlite3_backup *copy;
	uint32_t pages_total;
};

/* ---- names ---- */

static void target_release(struct target *target)
{
	sqlite3_free(target->path);
	sqlite3_free(target->part);
	sqlite3_free(target->folder);
	*target = (struct target){0};
}

/* Whether SQLite would open the store's own file, or one that belongs to it, under that path. */
static bool is_own_file(const struct store *store, const char *path)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	const char *own = sqlite3_db_filename(store->db, "main");
	char full[PATH_BYTES_MAX + 200];
	const char *ending;
	struct stat file;

	if (strcmp(path, store->path) == 0 ||
	    (store->file_is_known && stat(path, &file) == 0 && file.st_ino == store->file_inode &&
	     file.st_dev == store->file_device))
		return true;
	if (!vfs || !own || vfs->mxPathname + 1 > (int)sizeof(full) ||
	    (vfs->xFullPathname(vfs, path, (int)sizeof(full), full) & 0xff) != SQLITE_OK ||
	    strncmp(full, own, strlen(own)) != 0)
		return false;
	ending = full + strlen(own);
	return ending[0] == '\0' || strcmp(ending, "-wal") == 0 || strcmp(ending, "-shm") == 0 ||
	       strcmp(ending, "-journal") == 0;
}

static enum store_code target_init(struct target *target, const struct store *store,
				   const char *path, const struct store_backup_options *options,
				   struct store_error *err)
{
	const char *slash;
	size_t size;

	if (!path || path[0] == '\0')
		return store_error_at(err, store, STORE_ERR_INVALID, 0,
				      "the path of the backup is %s", path ? "empty" : "NULL");
	size = strlen(path);
	slash = strrchr(path, '/');
	if (size > PATH_BYTES_MAX || path[size - 1] == '/')
		return store_error_at(err, store, STORE_ERR_INVALID, 0,
				      "'%.200s' cannot be the name of a backup", path);
	target->files = options && options->files ? options->files : store_files_posix();
	target->path = sqlite3_mprintf("%s", path);
	target->part = sqlite3_mprintf("%s.part", path);
	if (!slash)
		target->folder = sqlite3_mprintf(".");
	else
		target->folder =
		    sqlite3_mprintf("%.*s", slash == path ? 1 : (int)(slash - path), path);
	if (!target->path || !target->part || !target->folder) {
		target_release(target);
		return store_error_at(err, store, STORE_ERR_NO_MEMORY, 0, "no memory for a backup");
	}
	/* The part, too: somebody may look at one that was left over. */
	if (is_own_file(store, target->path) || is_own_file(store, target->part)) {
		target_release(target);
		return store_error_at(err, store, STORE_ERR_INVALID, 0,
				      "a backup onto the store itself, or onto a file of it");
	}
	return STORE_OK;
}

/* Refuses a path beside which a file of that ending stands. */
static enum store_code no_neighbour(const struct target *target, const char *ending,
				    struct store_error *err)
{
	char *name = sqlite3_mprintf("%s%s", target->path, ending);
	enum store_code code = STORE_OK;
	size_t got = 0;
	char byte;
	int number;

	if (!name)
		return store_error_set(err, STORE_ERR_NO_MEMORY, 0, "no memory for a path");
	number = target->files->read(target->files->context, name, 0, &byte, 1, &got);
	if (number == 0)
		code = store_error_set(err, STORE_ERR_EXISTS, 0,
				       "%.300s is there: somebody uses the file of that name as a "
				       "database, and the copy would be taken for it",
				       name);
	else if (number != ENOENT)
		code = store_error_set_file(err, number, name, "cannot see whether it is there");
	sqlite3_free(name);
	return code;
}

static enum store_code no_neighbours(const struct target *target, struct store_error *err)
{
	enum store_code code = no_neighbour(target, "-wal", err);

	return code == STORE_OK ? no_neighbour(target, "-journal", err) : code;
}

/* ENOENT is success: it is not there. */
static int part_remove(const struct target *target)
{
	int number = target->files->remove(target->files->context, target->part);

	return number == ENOENT ? 0 : number;
}

/* Checks the target, and takes away what a crash has left of an earlier backup. */
static enum store_code target_prepare(const struct target *target, struct store_error *err)
{
	enum store_code code = no_neighbours(target, err);
	int number;

	if (code != STORE_OK)
		return code;
	number = part_remove(target);
	if (number == 0)
		return STORE_OK;
	return store_error_set_file(err, number, target->part,
				    "cannot remove what is left of an earlier backup");
}

/* The copy gets its name, for good. It is durable and verified. */
static enum store_code target_publish(const struct target *target, struct store_error *err)
{
	const struct store_files *files = target->files;
	enum store_code code = no_neighbours(target, err);
	int number;

	if (code != STORE_OK)
		return code;
	number = files->rename(files->context, target->part, target->path);
	if (number != 0)
		return store_error_set_file(err, number, target->path,
					    "the copy cannot get its name");
	number = files->sync_folder(files->context, target->folder);
	if (number != 0)
		return store_error_set_file(err, number, target->folder,
					    "the copy has its name, which may not last: the folder "
					    "cannot be synced");
	return STORE_OK;
}

/* ---- the part, as a database ---- */

/* A setting of the part's connection that must stand. */
static enum store_code part_set(sqlite3 *db, const char *set, const char *get, const char *wanted,
				struct store_error *err)
{
	sqlite3_stmt *stmt = NULL;
	const char *answer = NULL;
	enum store_code code = STORE_OK;
	int rc;

	rc = sqlite3_exec(db, set, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(db, get, -1, &stmt, NULL);
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, db, rc, "%s", set);
	if (sqlite3_step(stmt) == SQLITE_ROW)
		answer = (const char *)sqlite3_column_text(stmt, 0);
	if (!answer || sqlite3_stricmp(answer, wanted) != 0)
		code =
		    store_error_set(err, STORE_ERR_SETTING, 0, "%s did not take on the copy", set);
	sqlite3_finalize(stmt);
	return code;
}

static enum store_code part_open(struct store_backup *backup, struct store_error *err)
{
	enum store_code code;
	int64_t fullfsync = 0;
	char *uri;
	int rc;

	uri = store_file_uri(backup->target.part, "mode=rwc");
	if (!uri)
		return store_error_set(err, STORE_ERR_NO_MEMORY, 0, "no memory for a path");
	rc = sqlite3_open_v2(uri, &backup->part_db,
			     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI |
				 SQLITE_OPEN_NOMUTEX,
			     NULL);
	sqlite3_free(uri);
	if (rc != SQLITE_OK) {
		if (backup->part_db)
			rc = sqlite3_extended_errcode(backup->part_db);
		code = store_error_set_sqlite(err, backup->part_db, rc, "cannot create the copy");
		store_error_add_path(err, NULL, backup->target.part);
		return code;
	}
	sqlite3_extended_result_codes(backup->part_db, 1);
	code = part_set(backup->part_db, "PRAGMA synchronous=FULL", "PRAGMA synchronous", "2", err);
	/* No journal beside the part: what a crash leaves of it is thrown away. */
	if (code == STORE_OK)
		code = part_set(backup->part_db, "PRAGMA journal_mode=MEMORY",
				"PRAGMA journal_mode", "memory", err);
	rc = store_query_number(backup->store->db, "PRAGMA fullfsync", &fullfsync);
	if (code == STORE_OK && rc == SQLITE_OK && fullfsync)
		code =
		    part_set(backup->part_db, "PRAGMA fullfsync=ON", "PRAGMA fullfsync", "1", err);
	return code;
}

/* ---- in steps ---- */

enum store_code store_backup_begin(struct store *store, const char *path,
				   const struct store_backup_options *options,
				   struct store_backup **ret_backup, struct store_error *err)
{
	struct store_backup *backup = NULL;
	enum store_code code;
	uint32_t pages;

	if (!store || !ret_backup)
		return store_error_set(err, STORE_ERR_INVALID, 0, "store or ret_backup is NULL");
	code = store_upkeep_check(store, false, err);
	if (code != STORE_OK)
		return code;
	backup = calloc(1, sizeof(*backup));
	if (!backup)
		return store_error_at(err, store, STORE_ERR_NO_MEMORY, 0, "no memory for a backup");
	pages = options ? options->pages_per_step : 0;
	if (pages == 0)
		pages = PAGES_PER_STEP_DEFAULT;
	backup->pages_per_step = pages > INT32_MAX ? INT32_MAX : (int)pages;
	code = target_init(&backup->target, store, path, options, err);
	if (code != STORE_OK)
		goto out;
	code = target_prepare(&backup->target, err);
	if (code != STORE_OK) {
		target_release(&backup->target);
		goto out;
	}
	/* The snapshot will keep the log from being begun anew, so that it had better be short.
	 * Nobody is waited for: that it is busy is no obstacle. */
	if (!store->read_only)
		code = store_checkpoint_patiently(store, STORE_CHECKPOINT_TRUNCATE, 0, NULL, err);
	if (code != STORE_OK) {
		target_release(&backup->target);
		goto out;
	}
	backup->store = store;
	store->backing_up = true;
	code = part_open(backup, err);
	if (code != STORE_OK)
		goto out;
	*ret_backup = backup;
	backup = NULL;
out:
	store_backup_close(backup);
	return code;
}

/* Holds the store's present for the time of the backup. */
static enum store_code snapshot_take(struct store_backup *backup, struct store_error *err)
{
	sqlite3 *db = backup->store->db;
	int64_t version = 0;
	int rc;

	/* A cursor may hold an older present. */
	store_cursors_park(backup->store);
	rc = sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
	if (rc == SQLITE_OK) {
		backup->snapshot = true;
		/* BEGIN does not read; this does, and the moment is now. */
		rc = store_query_number(db, "PRAGMA main.schema_version", &version);
	}
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, db, rc, "cannot take a snapshot");
	return STORE_OK;
}

/* Lets the store go. */
static void snapshot_end(struct store_backup *backup)
{
	if (backup->snapshot) {
		store_cursors_park(backup->store);
		sqlite3_exec(backup->store->db, "COMMIT", NULL, NULL, NULL);
	}
	backup->snapshot = false;
	if (backup->store)
		backup->store->backing_up = false;
}

static enum store_code step_copy(struct store_backup *backup,
				 struct store_backup_progress *progress, struct store_error *err)
{
	enum store_code code;
	int rc;

	if (!backup->copy) {
		code = snapshot_take(backup, err);
		if (code != STORE_OK)
			return code;
		backup->copy =
		    sqlite3_backup_init(backup->part_db, "main", backup->store->db, "main");
		if (!backup->copy)
			return store_error_set_sqlite(err, backup->part_db,
						      sqlite3_extended_errcode(backup->part_db),
						      "cannot begin the copy");
	}
	rc = sqlite3_backup_step(backup->copy, backup->pages_per_step);
	progress->pages_total = (uint32_t)sqlite3_backup_pagecount(backup->copy);
	progress->pages_remaining = (uint32_t)sqlite3_backup_remaining(backup->copy);
	backup->pages_total = progress->pages_total;
	if (rc == SQLITE_OK)
		return STORE_OK;
	if (rc != SQLITE_DONE)
		return store_error_set_sqlite(err, backup->part_db, rc, "cannot copy");
	/* The commit of the copy has synced it. */
	rc = sqlite3_backup_finish(backup->copy);
	backup->copy = NULL;
	if (rc == SQLITE_OK) {
		rc = sqlite3_close(backup->part_db);
		if (rc == SQLITE_OK)
			backup->part_db = NULL;
	}
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, backup->part_db, rc, "cannot finish the copy");
	backup->phase = PHASE_VERIFY;
	return STORE_OK;
}

static enum store_code step_verify(struct store_backup *backup,
				   struct store_backup_progress *progress, struct store_error *err)
{
	enum store_code code;

	progress->pages_total = backup->pages_total;
	code = store_backup_verify(backup->store->db, backup->target.part, err);
	if (code != STORE_OK)
		return code;
	snapshot_end(backup);
	code = target_publish(&backup->target, err);
	if (code == STORE_OK) {
		backup->phase = PHASE_DONE;
		progress->done = true;
	}
	return code;
}

/* Ends what is under way; the part goes unless it has become the copy. */
static void backup_end(struct store_backup *backup)
{
	sqlite3_backup_finish(backup->copy);
	backup->copy = NULL;
	sqlite3_close_v2(backup->part_db);
	backup->part_db = NULL;
	snapshot_end(backup);
	/* After a failed rename it is still there; after a failed sync of the folder it is not. */
	if (backup->phase != PHASE_DONE && backup->target.part)
		part_remove(&backup->target);
	target_release(&backup->target);
}

enum store_code store_backup_step(struct store_backup *backup,
				  struct store_backup_progress *ret_progress,
				  struct store_error *err)
{
	struct store_backup_progress progress = {0};
	enum store_code code;

	if (!backup)
		return store_error_set(err, STORE_ERR_INVALID, 0, "the backup is NULL");
	switch (backup->phase) {
	case PHASE_COPY:
		code = step_copy(backup, &progress, err);
		break;
	case PHASE_VERIFY:
		code = step_verify(backup, &progress, err);
		break;
	case PHASE_DONE:
		progress.pages_total = backup->pages_total;
		progress.done = true;
		code = STORE_OK;
		break;
	default:
		return store_error_set(err, STORE_ERR_INVALID, 0,
				       "the backup has ended with an error");
	}
	if (code != STORE_OK) {
		backup_end(backup);
		backup->phase = PHASE_FAILED;
		return code;
	}
	if (ret_progress)
		*ret_progress = progress;
	return STORE_OK;
}

void store_backup_close(struct store_backup *backup)
{
	if (!backup)
		return;
	if (backup->phase != PHASE_FAILED)
		backup_end(backup);
	free(backup);
}

enum store_code
store_backup(struct store *store, const char *path, const struct store_backup_options *options,
	     bool (*progress)(void *context, const struct store_backup_progress *progress),
	     void *context, struct store_error *err)
{
	struct store_backup_progress now = {0};
	struct store_backup *backup = NULL;
	enum store_code code;

	code = store_backup_begin(store, path, options, &backup, err);
	while (code == STORE_OK && !now.done) {
		code = store_backup_step(backup, &now, err);
		if (code == STORE_OK && progress && !progress(context, &now) && !now.done)
			code = store_error_at(err, store, STORE_ERR_CANCELLED, 0,
					      "the backup to '%.200s' was cancelled", path);
	}
	store_backup_close(backup);
	return code;
}

/* ---- cold ---- */

/* An error of SQLite's on the store's own file, while it is read: the store stops (P6). */
static enum store_code source_error(struct store *store, int rc, struct store_error *err)
{
	enum store_code code = store_error_set_sqlite(err, store->db, rc, "cannot read the file");

	if (code == STORE_ERR_IO && store->stopped_by == 0)
		store->stopped_by = rc;
	return code;
}

/* The bytes of the database file into the part, which is synced. */
static enum store_code bytes_copy(struct store *store, sqlite3_file *source, uint64_t size_bytes,
				  const struct target *target, unsigned char *chunk,
				  struct store_error *err)
{
	const struct store_files *files = target->files;
	enum store_code code = STORE_OK;
	void *file = NULL;
	int number;

	number = files->create(files->context, target->part, &file);
	if (number != 0)
		return store_error_set_file(err, number, target->part, "cannot create the copy");
	for (uint64_t at = 0; at < size_bytes && code == STORE_OK && number == 0;) {
		uint64_t left = size_bytes - at;
		int size = left < CHUNK_BYTES ? (int)left : CHUNK_BYTES;
		int rc = source->pMethods->xRead(source, chunk, size, (sqlite3_int64)at);

		if (rc != SQLITE_OK)
			code = source_error(store, rc, err);
		else
			number = files->write(files->context, file, chunk, (size_t)size);
		at += (uint64_t)size;
	}
	if (code == STORE_OK && number == 0)
		number = files->sync(files->context, file);
	if (number != 0)
		code = store_error_set_file(err, number, target->part, "cannot write the copy");
	number = files->close(files->context, file);
	if (code == STORE_OK && number != 0)
		code = store_error_set_file(err, number, target->part, "cannot close the copy");
	return code;
}

/* With the write lock held, and nothing in the log: the file is the database. */
static enum store_code cold_copy(struct store *store, const struct target *target,
				 struct store_error *err)
{
	unsigned char *chunk = NULL;
	sqlite3_file *source = NULL;
	int64_t page_count = 0;
	int64_t page_size_bytes = 0;
	uint64_t size_bytes;
	enum store_code code;
	int rc;

	rc = store_query_number(store->db, "PRAGMA main.page_count", &page_count);
	if (rc == SQLITE_OK)
		rc = store_query_number(store->db, "PRAGMA main.page_size", &page_size_bytes);
	if (rc == SQLITE_OK)
		rc = sqlite3_file_control(store->db, "main", SQLITE_FCNTL_FILE_POINTER, &source);
	if (rc != SQLITE_OK)
		return source_error(store, rc, err);
	size_bytes = (uint64_t)page_count * (uint64_t)page_size_bytes;
	chunk = malloc(CHUNK_BYTES);
	if (!chunk)
		return store_error_at(err, store, STORE_ERR_NO_MEMORY, 0, "no memory for a backup");
	code = bytes_copy(store, source, size_bytes, target, chunk, err);
	if (code == STORE_OK)
		code = store_backup_verify(store->db, target->part, err);
	free(chunk);
	return code;
}

/*
 * Empties the log, and takes the write lock while it is empty. Somebody may commit between the two,
 * so it is tried again.
 */
static enum store_code cold_begin(struct store *store, struct store_error *err)
{
	struct store_checkpoint_result result = {0};
	enum store_code code;

	for (int attempt = 0; attempt < COLD_ATTEMPTS; attempt++) {
		struct store_wal_look look = {0};

		code = store_checkpoint(store, STORE_CHECKPOINT_TRUNCATE, &result, err);
		if (code != STORE_OK)
			return code;
		if (result.busy)
			break;
		code = store_begin(store, err);
		if (code != STORE_OK)
			return code;
		code = store_wal_look(store, &look, err);
		if (code == STORE_OK && look.file_bytes == 0)
			return STORE_OK;
		store_rollback(store, STORE_OK);
		if (code != STORE_OK)
			return code;
	}
	return store_error_at(
	    err, store, STORE_ERR_BUSY, SQLITE_BUSY, "the WAL cannot be emptied: %s",
	    result.busy ? "a reader or a writer is in the way" : "others go on writing");
}

enum store_code store_backup_cold(struct store *store, const char *path,
				  const struct store_backup_options *options,
				  struct store_error *err)
{
	struct target target = {0};
	enum store_code code;

	if (!store)
		return store_error_set(err, STORE_ERR_INVALID, 0, "the store is NULL");
	code = store_upkeep_check(store, true, err);
	if (code != STORE_OK)
		return code;
	code = target_init(&target, store, path, options, err);
	if (code != STORE_OK)
		return code;
	code = target_prepare(&target, err);
	if (code != STORE_OK)
		goto out;
	code = cold_begin(store, err);
	if (code != STORE_OK)
		goto out;
	code = cold_copy(store, &target, err);
	/* Nothing was written; what went wrong with the copy is no business of the store's. */
	store_rollback(store, STORE_OK);
	if (code == STORE_OK)
		code = target_publish(&target, err);
	if (code != STORE_OK)
		part_remove(&target);
out:
	target_release(&target);
	return code;
}
