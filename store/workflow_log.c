/*
 * workflow_log.c: the rows of step logs, and the files that they name [D3].
 *
 * The rule behind P11 is that the file of a name never changes: a name carries a number that the
 * database has handed out once, so that no writer, in this process or another, and before or after
 * a crash, makes a second file of that name that a row could already point to. What a row names was
 * durable before the row was; and what it names is removed only after another row is durable in its
 * place. In between, and after a crash in between, the old name stands in step_logs_old.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/workflow_internal.h"

bool store_log_name(char *ret_name, int64_t step_id, int64_t number)
{
	const int size = snprintf(ret_name, STORE_LOG_NAME_BYTES_MAX + 1,
				  "step-%" PRId64 "-%" PRId64 ".log", step_id, number);

	return size > 0 && size <= STORE_LOG_NAME_BYTES_MAX;
}

char *store_log_path(const char *folder, const char *name, const char *suffix)
{
	const size_t size = strlen(folder) + strlen(name) + strlen(suffix) + 2;
	char *path = malloc(size);

	if (path)
		snprintf(path, size, "%s/%s%s", folder, name, suffix);
	return path;
}

/* ---- rows ---- */

/* Fills *ret_log from columns file_name, bytes, checksum, written_us; false: no row of ours. */
static bool log_row_read(sqlite3_stmt *stmt, int64_t step_id, struct store_step_log *ret_log)
{
	const char *name = (const char *)sqlite3_column_text(stmt, 0);
	const int name_bytes = sqlite3_column_bytes(stmt, 0);
	const int64_t bytes = sqlite3_column_int64(stmt, 1);

	/* A name with a slash in it would lead out of the folder. */
	if (!name || name_bytes < 1 || name_bytes > STORE_LOG_NAME_BYTES_MAX ||
	    strlen(name) != (size_t)name_bytes || strchr(name, '/') || bytes < 0 ||
	    bytes > STORE_LOG_BYTES_MAX)
		return false;
	memset(ret_log, 0, sizeof(*ret_log));
	memcpy(ret_log->file_name, name, (size_t)name_bytes);
	ret_log->step_id = step_id;
	ret_log->bytes = (uint64_t)bytes;
	ret_log->checksum = (uint64_t)sqlite3_column_int64(stmt, 2);
	ret_log->written_us = sqlite3_column_int64(stmt, 3);
	return true;
}

/* *ret_found: whether the step has a log. */
static enum store_code log_row_find(struct store *store, int64_t step_id,
				    struct store_step_log *ret_log, bool *ret_found,
				    struct store_error *err)
{
	enum store_code code;
	sqlite3_stmt *stmt;
	int rc;

	code = store_statement(
	    store,
	    "SELECT file_name, bytes, checksum, written_us FROM step_logs WHERE step_id = ?1",
	    &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = sqlite3_bind_int64(stmt, 1, step_id);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW && !log_row_read(stmt, step_id, ret_log))
		code = store_error_at(err, store, STORE_ERR_CORRUPT, 0,
				      "the log of step %" PRId64
				      " has a value that this library does not write",
				      step_id);
	else if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		code =
		    store_error_set_sqlite(err, store->db, rc, "the log of step %" PRId64, step_id);
	sqlite3_reset(stmt);
	if (code == STORE_OK)
		*ret_found = rc == SQLITE_ROW;
	return code;
}

enum store_code store_step_log_find(struct store *store, int64_t step_id,
				    struct store_step_log *ret_log, struct store_error *err)
{
	struct store_step_log log;
	enum store_code code;
	bool found = false;

	code = store_workflow_ready(store, STORE_WORKFLOW_VERSION_LOGS, err);
	if (code == STORE_OK && !ret_log)
		code = store_error_at(err, store, STORE_ERR_INVALID, 0, "ret_log is NULL");
	if (code == STORE_OK)
		code = log_row_find(store, step_id, &log, &found, err);
	if (code != STORE_OK)
		return code;
	if (!found)
		return store_error_at(err, store, STORE_ERR_NOT_FOUND, 0,
				      "step %" PRId64 " has no log", step_id);
	*ret_log = log;
	return STORE_OK;
}

/* Runs a statement that has one parameter, a text. */
static int run_with_text(sqlite3_stmt *stmt, const char *text)
{
	int rc = sqlite3_bind_text(stmt, 1, text, -1, SQLITE_STATIC);

	if (rc == SQLITE_OK)
		rc = store_run(stmt);
	sqlite3_clear_bindings(stmt);
	return rc;
}

static int log_row_run(sqlite3_stmt *stmt, const struct store_step_log *log)
{
	int rc = sqlite3_bind_int64(stmt, 1, log->step_id);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(stmt, 2, log->file_name, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 3, (int64_t)log->bytes);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 4, (int64_t)log->checksum);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 5, log->written_us);
	if (rc == SQLITE_OK)
		rc = store_run(stmt);
	sqlite3_clear_bindings(stmt);
	return rc;
}

/* Inside the transaction. replace: the step has a row, which names the file old. */
static enum store_code log_row_write(struct store *store, const struct store_step_log *log,
				     bool replace, const char *old, struct store_error *err)
{
	static const char insert_sql[] =
	    "INSERT INTO step_logs (step_id, file_name, bytes, checksum, written_us)"
	    " VALUES (?1, ?2, ?3, ?4, ?5)";
	static const char update_sql[] =
	    "UPDATE step_logs SET file_name = ?2, bytes = ?3, checksum = ?4, written_us = ?5"
	    " WHERE step_id = ?1";
	static const char old_sql[] = "INSERT INTO step_logs_old (file_name) VALUES (?1)";
	enum store_code code;
	sqlite3_stmt *stmt;
	int rc;

	code = store_statement(store, replace ? update_sql : insert_sql, &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = log_row_run(stmt, log);
	if (rc == SQLITE_OK && replace) {
		code = store_statement(store, old_sql, &stmt, err);
		if (code != STORE_OK)
			return code;
		rc = run_with_text(stmt, old);
	}
	if (rc == SQLITE_CONSTRAINT_FOREIGNKEY)
		return store_error_at(err, store, STORE_ERR_NOT_FOUND, rc,
				      "there is no step %" PRId64 " for a log", log->step_id);
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, store->db, rc, "the log of step %" PRId64,
					      log->step_id);
	return STORE_OK;
}

enum store_code store_step_log_put(struct store *store, const struct store_step_log *log,
				   char *ret_old, bool *ret_removable, struct store_error *err)
{
	struct store_step_log before;
	enum store_code code;
	bool replace = false;

	ret_old[0] = '\0';
	*ret_removable = false;
	code = store_workflow_ready(store, STORE_WORKFLOW_VERSION_LOGS, err);
	if (code == STORE_OK)
		code = store_begin(store, err);
	if (code != STORE_OK)
		return code;
	code = log_row_find(store, log->step_id, &before, &replace, err);
	if (code == STORE_OK && replace) {
		memcpy(ret_old, before.file_name, sizeof(before.file_name));
		code = store_commits_are_durable(store, ret_removable, err);
	}
	if (code == STORE_OK)
		code = log_row_write(store, log, replace, ret_old, err);
	return store_finish(store, code, err);
}

enum store_code store_log_numbers_take(struct store *store, int64_t count, int64_t *ret_first,
				       struct store_error *err)
{
	enum store_code code;
	sqlite3_stmt *stmt;
	int64_t next = 0;
	int rc;

	code = store_workflow_ready(store, STORE_WORKFLOW_VERSION_LOGS, err);
	if (code == STORE_OK)
		code = store_begin(store, err);
	if (code != STORE_OK)
		return code;
	code = store_statement(store,
			       "UPDATE log_numbers SET next = next + ?1 WHERE only = 1 AND"
			       " typeof(next) = 'integer' AND next < 9223372036854775807 - ?1",
			       &stmt, err);
	if (code != STORE_OK)
		goto out;
	rc = sqlite3_bind_int64(stmt, 1, count);
	if (rc == SQLITE_OK)
		rc = store_run(stmt);
	if (rc == SQLITE_OK && sqlite3_changes(store->db) != 1) {
		code = store_error_at(err, store, STORE_ERR_CORRUPT, 0,
				      "log_numbers has no number for a log");
		goto out;
	}
	if (rc == SQLITE_OK) {
		code = store_statement(store, "SELECT next FROM log_numbers WHERE only = 1", &stmt,
				       err);
		if (code != STORE_OK)
			goto out;
		rc = sqlite3_step(stmt);
		next = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
		sqlite3_reset(stmt);
	}
	if (rc != SQLITE_ROW)
		code = store_error_set_sqlite(err, store->db, rc, "cannot number a log");
out:
	code = store_finish(store, code, err);
	if (code == STORE_OK)
		*ret_first = next - count;
	return code;
}

/* ---- old files ---- */

/* The text, or the number as a text, that a pragma of the connection answers. Not from the cache:
 * SQLite may put the answer into the statement when it is prepared. */
static int pragma_read(sqlite3 *db, const char *sql, char *ret_text, size_t size)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(stmt, 0);

		snprintf(ret_text, size, "%s", text ? text : "");
		rc = SQLITE_OK;
	}
	sqlite3_finalize(stmt);
	return rc;
}

enum store_code store_commits_are_durable(struct store *store, bool *ret_durable,
					  struct store_error *err)
{
	char mode[16] = "";
	char synchronous[16] = "";
	int rc;

	rc = pragma_read(store->db, "PRAGMA synchronous", synchronous, sizeof(synchronous));
	if (rc == SQLITE_OK)
		rc = pragma_read(store->db, "PRAGMA journal_mode", mode, sizeof(mode));
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, store->db, rc, "cannot read the settings");
	/* 2 is FULL, 3 is EXTRA. In DELETE mode FULL does not sync the folder of the journal, whose
	 * return takes the last commit back. */
	if (strcmp(mode, "wal") == 0 || strcmp(mode, "truncate") == 0 ||
	    strcmp(mode, "persist") == 0)
		*ret_durable = synchronous[0] == '2' || synchronous[0] == '3';
	else
		*ret_durable = strcmp(mode, "delete") == 0 && synchronous[0] == '3';
	return STORE_OK;
}

enum store_code store_log_old_list(struct store *store, struct store_log_names *ret_names,
				   struct store_error *err)
{
	enum store_code code;
	sqlite3_stmt *stmt;
	size_t count = 0;
	int rc = SQLITE_ROW;

	code = store_statement(store, "SELECT file_name FROM step_logs_old ORDER BY file_name",
			       &stmt, err);
	if (code != STORE_OK)
		return code;
	while (count < STORE_LOG_OLD_COUNT_MAX && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(stmt, 0);
		const int bytes = sqlite3_column_bytes(stmt, 0);

		/* What this library has not written is no file of its own. */
		if (!name || bytes < 1 || bytes > STORE_LOG_NAME_BYTES_MAX ||
		    strlen(name) != (size_t)bytes || strchr(name, '/'))
			continue;
		memcpy(ret_names->names[count++], name, (size_t)bytes + 1);
	}
	sqlite3_reset(stmt);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return store_error_set_sqlite(err, store->db, rc, "cannot read step_logs_old");
	ret_names->count = count;
	return STORE_OK;
}

enum store_code store_log_old_forget(struct store *store, const struct store_log_names *names,
				     struct store_error *err)
{
	enum store_code code;
	sqlite3_stmt *stmt;
	int rc = SQLITE_OK;

	code = store_begin(store, err);
	if (code != STORE_OK)
		return code;
	code = store_statement(store, "DELETE FROM step_logs_old WHERE file_name = ?1", &stmt, err);
	for (size_t i = 0; i < names->count && code == STORE_OK; i++) {
		rc = run_with_text(stmt, names->names[i]);
		if (rc != SQLITE_OK)
			code = store_error_set_sqlite(err, store->db, rc, "step_logs_old");
	}
	return store_finish(store, code, err);
}

/*
 * Makes the commits durable that can be seen now. Whoever wrote them may have had a weaker profile
 * than this handle has, so that in WAL mode only a checkpoint tells: it syncs the WAL before it
 * moves anything out of it.
 */
static enum store_code settle(struct store *store, struct store_error *err)
{
	struct store_checkpoint_result result;
	char mode[16] = "";
	char synchronous[16] = "";
	enum store_code code;
	bool durable = false;
	int rc;

	rc = pragma_read(store->db, "PRAGMA synchronous", synchronous, sizeof(synchronous));
	if (rc == SQLITE_OK)
		rc = pragma_read(store->db, "PRAGMA journal_mode", mode, sizeof(mode));
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, store->db, rc, "cannot read the settings");
	if (strcmp(mode, "wal") != 0 || synchronous[0] == '0') {
		code = store_commits_are_durable(store, &durable, err);
		if (code == STORE_OK && !durable)
			code = store_error_at(err, store, STORE_ERR_SETTING, 0,
					      "with these settings power loss can take a commit "
					      "back, and an old log with it");
		return code;
	}
	code = store_checkpoint(store, STORE_CHECKPOINT_PASSIVE, &result, err);
	if (code != STORE_OK)
		return code;
	if (result.busy || result.frames_moved < result.frames_in_log)
		return store_error_at(err, store, STORE_ERR_BUSY, 0,
				      "readers or a writer keep the checkpoint from moving "
				      "everything");
	return STORE_OK;
}

/* Removes files; those that are gone already are no error. */
static enum store_code names_remove(const struct store_files *files, const char *folder,
				    const struct store_log_names *names, struct store_error *err)
{
	int number;

	for (size_t i = 0; i < names->count; i++) {
		char *path = store_log_path(folder, names->names[i], "");

		if (!path)
			return store_error_set(err, STORE_ERR_NO_MEMORY, 0, "no memory for a path");
		number = files->remove(files->context, path);
		if (number != 0 && number != ENOENT) {
			enum store_code code =
			    store_error_set_file(err, number, path, "cannot remove");

			free(path);
			return code;
		}
		free(path);
	}
	/* Otherwise the files could come back after their names have been forgotten. */
	number = files->sync_folder(files->context, folder);
	if (number != 0)
		return store_error_set_file(err, number, folder, "cannot sync the folder");
	return STORE_OK;
}

enum store_code store_logs_sweep(struct store *store, const char *log_folder, size_t *ret_count,
				 struct store_error *err)
{
	struct store_log_names *names = NULL;
	enum store_code code;
	size_t count = 0;

	code = store_workflow_ready(store, STORE_WORKFLOW_VERSION_LOGS, err);
	if (code != STORE_OK)
		return code;
	if (!log_folder || log_folder[0] == '\0')
		return store_error_at(err, store, STORE_ERR_INVALID, 0, "there is no log_folder");
	if (store->depth > 0)
		return store_error_at(err, store, STORE_ERR_INVALID, 0,
				      "inside a transaction nothing is durable yet");
	names = calloc(1, sizeof(*names));
	if (!names)
		return store_error_at(err, store, STORE_ERR_NO_MEMORY, 0, "no memory for a sweep");
	for (;;) {
		code = store_log_old_list(store, names, err);
		if (code != STORE_OK || names->count == 0)
			break;
		code = settle(store, err);
		if (code == STORE_OK)
			code = names_remove(store->options.files, log_folder, names, err);
		if (code == STORE_OK)
			code = store_log_old_forget(store, names, err);
		if (code != STORE_OK)
			break;
		count += names->count;
	}
	free(names);
	if (code == STORE_OK && ret_count)
		*ret_count = count;
	return code;
}

/* ---- reading ---- */

/* Reads the file of that row. *ret_missing is set, and nothing else done, if it is not there. */
static enum store_code log_file_read(const struct store *store, const char *path,
				     const struct store_step_log *log, void **ret_text,
				     bool *ret_missing, struct store_error *err)
{
	const struct store_files *files = store->options.files;
	const size_t size = (size_t)log->bytes;
	/* One byte more, to notice a file that is too long. */
	unsigned char *text = malloc(size + 1);
	enum store_code code = STORE_OK;
	size_t got = 0;
	int number;

	if (!text)
		return store_error_at(err, store, STORE_ERR_NO_MEMORY, 0,
				      "no memory for a log of %zu bytes", size);
	number = files->read(files->context, path, 0, text, size + 1, &got);
	if (number == ENOENT)
		*ret_missing = true;
	else if (number != 0)
		code = store_error_set_file(err, number, path, "cannot read");
	else if (got != size)
		code = store_error_set(err, STORE_ERR_VERIFY, 0,
				       "%.200s: the log of step %" PRId64 " has %s than %zu bytes",
				       path, log->step_id, got < size ? "less" : "more", size);
	else if (store_fnv(STORE_FNV_START, text, size) != log->checksum)
		code = store_error_set(err, STORE_ERR_VERIFY, 0,
				       "%.200s: the log of step %" PRId64
				       " does not match its checksum",
				       path, log->step_id);
	else {
		*ret_text = text;
		text = NULL;
	}
	free(text);
	return code;
}

enum store_code store_log_read(struct store *store, const char *log_folder, int64_t step_id,
			       struct store_step_log *ret_log, void **ret_text, size_t *ret_bytes,
			       struct store_error *err)
{
	char missed[STORE_LOG_NAME_BYTES_MAX + 1] = "";
	struct store_step_log log;
	enum store_code code = STORE_OK;
	bool missing;
	char *path;

	if (!store)
		return store_error_set(err, STORE_ERR_INVALID, 0, "the store is NULL");
	if (!log_folder || log_folder[0] == '\0' || !ret_text || !ret_bytes)
		return store_error_at(err, store, STORE_ERR_INVALID, 0,
				      "log_folder, ret_text or ret_bytes is NULL");
	do {
		missing = false;
		code = store_step_log_find(store, step_id, &log, err);
		if (code != STORE_OK)
			return code;
		path = store_log_path(log_folder, log.file_name, "");
		if (!path)
			return store_error_at(err, store, STORE_ERR_NO_MEMORY, 0,
					      "no memory for a path");
		code = log_file_read(store, path, &log, ret_text, &missing, err);
		/* A file that was there a moment ago has been replaced: then the row has another
		 * name by now. Each turn is somebody's new log. */
		if (missing && strcmp(missed, log.file_name) == 0) {
			missing = false;
			code = store_error_set(err, STORE_ERR_VERIFY, 0,
					       "%.200s: the log of step %" PRId64 " is missing",
					       path, step_id);
		}
		memcpy(missed, log.file_name, sizeof(missed));
		free(path);
	} while (missing);
	if (code != STORE_OK)
		return code;
	*ret_bytes = (size_t)log.bytes;
	if (ret_log)
		*ret_log = log;
	return STORE_OK;
}

void store_log_free(void *text)
{
	free(text);
}
