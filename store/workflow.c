/*
 * workflow.c: executions, steps and artifacts into the store, all of a batch or nothing [D2].
 *
 * A row that is there already is changed in place. INSERT OR REPLACE would delete it and insert
 * another, which takes a step's number away from its log and fails on foreign keys; UPSERT does
 * what is wanted, but SQLite has it only from 3.24 on. So it is UPDATE, and INSERT if that has
 * found nothing, under the write lock that the transaction holds from its beginning.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/workflow_internal.h"

static const char *const status_texts[] = {
#define STATUS_TEXT(status, text) [status] = (text),
    STORE_STATUSES(STATUS_TEXT)
#undef STATUS_TEXT
};
#define STATUS_COUNT (sizeof(status_texts) / sizeof(status_texts[0]))

const char *store_status_text(enum store_status status)
{
	return (unsigned)status < STATUS_COUNT ? status_texts[status] : NULL;
}

bool store_status_parse(const char *text, enum store_status *ret_status)
{
	for (unsigned i = 0; i < STATUS_COUNT; i++) {
		if (strcmp(status_texts[i], text) == 0) {
			*ret_status = (enum store_status)i;
			return true;
		}
	}
	return false;
}

enum store_code store_workflow_ready(const struct store *store, int version_min,
				     struct store_error *err)
{
	enum store_code code;

	if (!store)
		return store_error_set(err, STORE_ERR_INVALID, 0, "the store is NULL");
	code = store_check_running(store, err);
	if (code != STORE_OK)
		return code;
	return store_need_schema(store, STORE_SCHEMA_WORKFLOW, version_min, err);
}

/* A row of the batch, for messages. */
struct place {
	const struct store *store;
	const char *kind;
	size_t index;
	struct store_error *err;
};

static enum store_code place_error(const struct place *at, enum store_code code)
{
	if (at->err)
		at->err->index = at->index;
	return code;
}

static enum store_code complain(const struct place *at, const char *field, const char *complaint)
{
	store_error_at(at->err, at->store, STORE_ERR_INVALID, 0, "%s %zu of the batch: %s %s",
		       at->kind, at->index, field, complaint);
	return place_error(at, STORE_ERR_INVALID);
}

static enum store_code row_failed(const struct place *at, int rc)
{
	return place_error(at, store_error_set_sqlite(at->err, at->store->db, rc,
						      "%s %zu of the batch", at->kind, at->index));
}

/* A step or an artifact could not be saved. */
static enum store_code child_failed(const struct place *at, int rc, const char *execution_id)
{
	if (rc != SQLITE_CONSTRAINT_FOREIGNKEY)
		return row_failed(at, rc);
	store_error_at(at->err, at->store, STORE_ERR_NOT_FOUND, rc,
		       "%s %zu of the batch: there is no execution '%s'", at->kind, at->index,
		       execution_id);
	return place_error(at, STORE_ERR_NOT_FOUND);
}

/* ---- validity ---- */

/* A text and what is asked of it. */
struct field {
	const char *name;
	const char *text;
	size_t bytes_max;
	bool null_allowed;
	bool empty_allowed;
};

static enum store_code fields_check(const struct place *at, const struct field *fields,
				    size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct field *field = &fields[i];
		const char *complaint;

		if (!field->text && field->null_allowed)
			continue;
		complaint =
		    store_text_complaint(field->text, field->bytes_max, field->empty_allowed, NULL);
		if (complaint)
			return complain(at, field->name, complaint);
	}
	return STORE_OK;
}
#define FIELD_COUNT(fields) (sizeof(fields) / sizeof((fields)[0]))

static enum store_code number_check(const struct place *at, const char *field, int64_t number,
				    int64_t minimum)
{
	return number >= minimum ? STORE_OK : complain(at, field, "is too small");
}

static enum store_code status_check(const struct place *at, enum store_status status)
{
	return store_status_text(status) ? STORE_OK : complain(at, "status", "is unknown");
}

static enum store_code execution_check(const struct place *at, const struct store_execution *row)
{
	const struct field fields[] = {
	    {"execution_id", row->execution_id, STORE_ID_BYTES_MAX, false, false},
	    {"name", row->name, STORE_WORKFLOW_NAME_BYTES_MAX, false, false},
	    {"command", row->command, STORE_WORKFLOW_TEXT_BYTES_MAX, false, true},
	    {"working_directory", row->working_directory, STORE_WORKFLOW_PATH_BYTES_MAX, false,
	     true},
	    {"error_message", row->error_message, STORE_WORKFLOW_TEXT_BYTES_MAX, true, true},
	    {"environment", row->environment, STORE_WORKFLOW_TEXT_BYTES_MAX, true, true},
	    {"user_name", row->user_name, STORE_WORKFLOW_NAME_BYTES_MAX, true, true},
	    {"tags", row->tags, STORE_WORKFLOW_TEXT_BYTES_MAX, true, true},
	    {"metadata", row->metadata, STORE_WORKFLOW_TEXT_BYTES_MAX, true, true},
	};
	enum store_code code = fields_check(at, fields, FIELD_COUNT(fields));

	if (code == STORE_OK)
		code = status_check(at, row->status);
	if (code == STORE_OK)
		code = number_check(at, "total_steps", row->total_steps, 0);
	if (code == STORE_OK)
		code = number_check(at, "completed_steps", row->completed_steps, 0);
	if (code == STORE_OK)
		code = number_check(at, "current_step_index", row->current_step_index, -1);
	return code;
}

static enum store_code step_check(const struct place *at, const struct store_step *row)
{
	const struct field fields[] = {
	    {"execution_id", row->execution_id, STORE_ID_BYTES_MAX, false, false},
	    {"name", row->name, STORE_WORKFLOW_NAME_BYTES_MAX, false, false},
	    {"error_message", row->error_message, STORE_WORKFLOW_TEXT_BYTES_MAX, true, true},
	    {"metadata", row->metadata, STORE_WORKFLOW_TEXT_BYTES_MAX, true, true},
	};
	enum store_code code = fields_check(at, fields, FIELD_COUNT(fields));

	if (code == STORE_OK)
		code = status_check(at, row->status);
	if (code == STORE_OK)
		code = number_check(at, "step_index", row->step_index, 0);
	return code;
}

static enum store_code artifact_check(const struct place *at, const struct store_artifact *row)
{
	const struct field fields[] = {
	    {"execution_id", row->execution_id, STORE_ID_BYTES_MAX, false, false},
	    {"name", row->name, STORE_WORKFLOW_NAME_BYTES_MAX, false, false},
	    {"path", row->path, STORE_WORKFLOW_PATH_BYTES_MAX, false, false},
	    {"media_type", row->media_type, STORE_WORKFLOW_MEDIA_BYTES_MAX, false, true},
	};
	enum store_code code = fields_check(at, fields, FIELD_COUNT(fields));

	if (code == STORE_OK)
		code = number_check(at, "size_bytes", row->size_bytes, 0);
	return code;
}

static enum store_code count_check(const struct store *store, const char *kind, const void *rows,
				   size_t count, size_t *left, struct store_error *err)
{
	if (!rows && count > 0)
		return store_error_at(err, store, STORE_ERR_INVALID, 0, "%zu %ss are NULL", count,
				      kind);
	if (count > *left)
		return store_error_at(err, store, STORE_ERR_INVALID, 0,
				      "a batch of more than %d rows", STORE_WORKFLOW_COUNT_MAX);
	*left -= count;
	return STORE_OK;
}

static enum store_code batch_check(const struct store *store,
				   const struct store_workflow_batch *batch,
				   struct store_error *err)
{
	struct place at = {.store = store, .err = err};
	size_t left = STORE_WORKFLOW_COUNT_MAX;
	enum store_code code;

	code =
	    count_check(store, "execution", batch->executions, batch->execution_count, &left, err);
	if (code == STORE_OK)
		code = count_check(store, "step", batch->steps, batch->step_count, &left, err);
	if (code == STORE_OK)
		code = count_check(store, "artifact", batch->artifacts, batch->artifact_count,
				   &left, err);
	at.kind = "execution";
	for (at.index = 0; at.index < batch->execution_count && code == STORE_OK; at.index++)
		code = execution_check(&at, &batch->executions[at.index]);
	at.kind = "step";
	for (at.index = 0; at.index < batch->step_count && code == STORE_OK; at.index++)
		code = step_check(&at, &batch->steps[at.index]);
	at.kind = "artifact";
	for (at.index = 0; at.index < batch->artifact_count && code == STORE_OK; at.index++)
		code = artifact_check(&at, &batch->artifacts[at.index]);
	return code;
}

/* ---- rows ---- */

/* Binds parameters in their order; the first error stays. */
struct binder {
	sqlite3_stmt *stmt;
	int parameter;
	int rc;
};

/* NULL is bound as NULL. The text is the caller's: bindings are cleared before the call returns. */
static void bind_text(struct binder *bind, const char *text)
{
	bind->parameter++;
	if (bind->rc == SQLITE_OK)
		bind->rc = store_bind_text(bind->stmt, bind->parameter, text);
}

static void bind_number(struct binder *bind, int64_t number, bool present)
{
	bind->parameter++;
	if (bind->rc != SQLITE_OK)
		return;
	bind->rc = present ? sqlite3_bind_int64(bind->stmt, bind->parameter, number)
			   : sqlite3_bind_null(bind->stmt, bind->parameter);
}

static void bind_time(struct binder *bind, int64_t time_us)
{
	bind_number(bind, time_us, time_us != 0);
}

static int execution_run(sqlite3_stmt *stmt, const struct store_execution *row)
{
	struct binder bind = {.stmt = stmt, .rc = SQLITE_OK};

	bind_text(&bind, row->execution_id);
	bind_text(&bind, row->name);
	bind_text(&bind, row->command);
	bind_text(&bind, row->working_directory);
	bind_text(&bind, store_status_text(row->status));
	bind_number(&bind, row->exit_code, row->has_exit_code);
	bind_text(&bind, row->error_message);
	bind_number(&bind, row->created_us, true);
	bind_time(&bind, row->started_us);
	bind_time(&bind, row->completed_us);
	bind_text(&bind, row->environment);
	bind_text(&bind, row->user_name);
	bind_text(&bind, row->tags);
	bind_text(&bind, row->metadata);
	bind_number(&bind, row->total_steps, true);
	bind_number(&bind, row->completed_steps, true);
	bind_number(&bind, row->current_step_index, true);
	if (bind.rc == SQLITE_OK)
		bind.rc = store_run(stmt);
	sqlite3_clear_bindings(stmt);
	return bind.rc;
}

static enum store_code executions_save(struct store *store,
				       const struct store_workflow_batch *batch,
				       struct store_error *err)
{
	static const char update_sql[] =
	    "UPDATE executions SET name = ?2, command = ?3, working_directory = ?4, status = ?5,"
	    " exit_code = ?6, error_message = ?7, created_us = ?8, started_us = ?9,"
	    " completed_us = ?10, environment = ?11, user_name = ?12, tags = ?13, metadata = ?14,"
	    " total_steps = ?15, completed_steps = ?16, current_step_index = ?17"
	    " WHERE execution_id = ?1";
	static const char insert_sql[] =
	    "INSERT INTO executions (execution_id, name, command, working_directory, status,"
	    " exit_code, error_message, created_us, started_us, completed_us, environment,"
	    " user_name, tags, metadata, total_steps, completed_steps, current_step_index)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";
	struct place at = {.store = store, .kind = "execution", .err = err};
	sqlite3_stmt *update;
	sqlite3_stmt *insert;
	enum store_code code;

	code = store_statement(store, update_sql, &update, err);
	if (code == STORE_OK)
		code = store_statement(store, insert_sql, &insert, err);
	if (code != STORE_OK)
		return code;
	for (; at.index < batch->execution_count; at.index++) {
		const struct store_execution *row = &batch->executions[at.index];
		int rc = execution_run(update, row);

		if (rc == SQLITE_OK && sqlite3_changes(store->db) == 0)
			rc = execution_run(insert, row);
		if (rc != SQLITE_OK)
			return row_failed(&at, rc);
	}
	return STORE_OK;
}

static int step_run(sqlite3_stmt *stmt, const struct store_step *row)
{
	struct binder bind = {.stmt = stmt, .rc = SQLITE_OK};

	bind_text(&bind, row->execution_id);
	bind_number(&bind, row->step_index, true);
	bind_text(&bind, row->name);
	bind_text(&bind, store_status_text(row->status));
	bind_number(&bind, row->exit_code, row->has_exit_code);
	bind_text(&bind, row->error_message);
	bind_time(&bind, row->started_us);
	bind_time(&bind, row->completed_us);
	bind_text(&bind, row->metadata);
	if (bind.rc == SQLITE_OK)
		bind.rc = store_run(stmt);
	sqlite3_clear_bindings(stmt);
	return bind.rc;
}

/* The step's number, or 0 if there is none. */
static int step_find(sqlite3_stmt *find, const struct store_step *row, int64_t *ret_step_id)
{
	struct binder bind = {.stmt = find, .rc = SQLITE_OK};

	bind_text(&bind, row->execution_id);
	bind_number(&bind, row->step_index, true);
	if (bind.rc == SQLITE_OK)
		bind.rc = sqlite3_step(find);
	*ret_step_id = bind.rc == SQLITE_ROW ? sqlite3_column_int64(find, 0) : 0;
	sqlite3_reset(find);
	sqlite3_clear_bindings(find);
	return bind.rc == SQLITE_ROW || bind.rc == SQLITE_DONE ? SQLITE_OK : bind.rc;
}

static enum store_code steps_save(struct store *store, const struct store_workflow_batch *batch,
				  int64_t *step_ids, struct store_error *err)
{
	static const char find_sql[] =
	    "SELECT step_id FROM steps WHERE execution_id = ?1 AND step_index = ?2";
	static const char update_sql[] =
	    "UPDATE steps SET name = ?3, status = ?4, exit_code = ?5, error_message = ?6,"
	    " started_us = ?7, completed_us = ?8, metadata = ?9"
	    " WHERE execution_id = ?1 AND step_index = ?2";
	static const char insert_sql[] =
	    "INSERT INTO steps (execution_id, step_index, name, status, exit_code, error_message,"
	    " started_us, completed_us, metadata) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
	struct place at = {.store = store, .kind = "step", .err = err};
	sqlite3_stmt *find;
	sqlite3_stmt *update;
	sqlite3_stmt *insert;
	enum store_code code;

	code = store_statement(store, find_sql, &find, err);
	if (code == STORE_OK)
		code = store_statement(store, update_sql, &update, err);
	if (code == STORE_OK)
		code = store_statement(store, insert_sql, &insert, err);
	if (code != STORE_OK)
		return code;
	for (; at.index < batch->step_count; at.index++) {
		const struct store_step *row = &batch->steps[at.index];
		int64_t step_id = 0;
		int rc = step_find(find, row, &step_id);

		if (rc == SQLITE_OK)
			rc = step_run(step_id != 0 ? update : insert, row);
		if (rc != SQLITE_OK)
			return child_failed(&at, rc, row->execution_id);
		if (step_ids)
			step_ids[at.index] =
			    step_id != 0 ? step_id : sqlite3_last_insert_rowid(store->db);
	}
	return STORE_OK;
}

static int artifact_run(sqlite3_stmt *stmt, const struct store_artifact *row)
{
	struct binder bind = {.stmt = stmt, .rc = SQLITE_OK};

	bind_text(&bind, row->execution_id);
	bind_text(&bind, row->name);
	bind_text(&bind, row->path);
	bind_number(&bind, row->size_bytes, true);
	bind_text(&bind, row->media_type);
	bind_number(&bind, row->created_us, true);
	if (bind.rc == SQLITE_OK)
		bind.rc = store_run(stmt);
	sqlite3_clear_bindings(stmt);
	return bind.rc;
}

static enum store_code artifacts_save(struct store *store, const struct store_workflow_batch *batch,
				      struct store_error *err)
{
	static const char update_sql[] =
	    "UPDATE artifacts SET path = ?3, size_bytes = ?4, media_type = ?5, created_us = ?6"
	    " WHERE execution_id = ?1 AND name = ?2";
	static const char insert_sql[] =
	    "INSERT INTO artifacts (execution_id, name, path, size_bytes, media_type, created_us)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
	struct place at = {.store = store, .kind = "artifact", .err = err};
	sqlite3_stmt *update;
	sqlite3_stmt *insert;
	enum store_code code;

	code = store_statement(store, update_sql, &update, err);
	if (code == STORE_OK)
		code = store_statement(store, insert_sql, &insert, err);
	if (code != STORE_OK)
		return code;
	for (; at.index < batch->artifact_count; at.index++) {
		const struct store_artifact *row = &batch->artifacts[at.index];
		int rc = artifact_run(update, row);

		if (rc == SQLITE_OK && sqlite3_changes(store->db) == 0)
			rc = artifact_run(insert, row);
		if (rc != SQLITE_OK)
			return child_failed(&at, rc, row->execution_id);
	}
	return STORE_OK;
}

/* ---- batches ---- */

enum store_code store_workflow(struct store *store, const struct store_workflow_batch *batch,
			       struct store_error *err)
{
	int64_t *step_ids = NULL;
	enum store_code code;

	code = store_workflow_ready(store, 1, err);
	if (code != STORE_OK)
		return code;
	if (!batch)
		return store_error_at(err, store, STORE_ERR_INVALID, 0, "the batch is NULL");
	code = batch_check(store, batch, err);
	if (code != STORE_OK)
		return code;
	if (batch->execution_count == 0 && batch->step_count == 0 && batch->artifact_count == 0)
		return STORE_OK;
	/* The caller's array stays as it is until the rows are committed. */
	if (batch->ret_step_ids && batch->step_count > 0) {
		step_ids = calloc(batch->step_count, sizeof(*step_ids));
		if (!step_ids)
			return store_error_at(err, store, STORE_ERR_NO_MEMORY, 0,
					      "no memory for the numbers of %zu steps",
					      batch->step_count);
	}
	code = store_begin(store, err);
	if (code != STORE_OK)
		goto out;
	if (batch->execution_count > 0)
		code = executions_save(store, batch, err);
	if (code == STORE_OK && batch->step_count > 0)
		code = steps_save(store, batch, step_ids, err);
	if (code == STORE_OK && batch->artifact_count > 0)
		code = artifacts_save(store, batch, err);
	code = store_finish(store, code, err);
	if (code == STORE_OK && step_ids)
		memcpy(batch->ret_step_ids, step_ids, batch->step_count * sizeof(*step_ids));
out:
	free(step_ids);
	return code;
}

enum store_code store_executions(struct store *store, const struct store_execution *executions,
				 size_t execution_count, struct store_error *err)
{
	const struct store_workflow_batch batch = {
	    .executions = executions,
	    .execution_count = execution_count,
	};

	return store_workflow(store, &batch, err);
}

enum store_code store_steps(struct store *store, const struct store_step *steps, size_t step_count,
			    int64_t *ret_step_ids, struct store_error *err)
{
	const struct store_workflow_batch batch = {
	    .steps = steps,
	    .step_count = step_count,
	    .ret_step_ids = ret_step_ids,
	};

	return store_workflow(store, &batch, err);
}

enum store_code store_artifacts(struct store *store, const struct store_artifact *artifacts,
				size_t artifact_count, struct store_error *err)
{
	const struct store_workflow_batch batch = {
	    .artifacts = artifacts,
	    .artifact_count = artifact_count,
	};

	return store_workflow(store, &batch, err);
}
