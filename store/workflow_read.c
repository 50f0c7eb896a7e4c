/*
 * workflow_read.c: executions, steps and artifacts out of the store, row by row to a visitor.
 *
 * The texts of a row are SQLite's own memory, good until the statement moves, which it does when
 * the visitor has returned. The order is an index's wherever there is one, so that nothing is
 * collected before the first row is shown.
 */
#include <inttypes.h>

#include "store/workflow_internal.h"

/* Reads columns in their order, and remembers what was wrong. */
struct reader {
	sqlite3_stmt *stmt;
	int column;
	bool corrupt;
	bool no_memory;
};

static const char *read_optional(struct reader *reader)
{
	const int column = reader->column++;
	const char *text;

	if (sqlite3_column_type(reader->stmt, column) == SQLITE_NULL)
		return NULL;
	text = (const char *)sqlite3_column_text(reader->stmt, column);
	if (!text)
		reader->no_memory = true;
	return text;
}

static const char *read_text(struct reader *reader)
{
	const char *text = read_optional(reader);

	if (!text)
		reader->corrupt = true;
	return text;
}

/* *ret_present (may be NULL: it has to be there) says whether it is not NULL, which reads as 0. */
static int64_t read_number(struct reader *reader, bool *ret_present)
{
	const int column = reader->column++;
	const bool present = sqlite3_column_type(reader->stmt, column) != SQLITE_NULL;

	if (ret_present)
		*ret_present = present;
	else if (!present)
		reader->corrupt = true;
	return sqlite3_column_int64(reader->stmt, column);
}

static int64_t read_time(struct reader *reader)
{
	bool present;

	return read_number(reader, &present);
}

static enum store_status read_status(struct reader *reader)
{
	const char *text = read_text(reader);
	enum store_status status = STORE_STATUS_PENDING;

	if (text && !store_status_parse(text, &status))
		reader->corrupt = true;
	return status;
}

static enum store_code reader_code(const struct reader *reader, const struct store *store,
				   const char *kind, struct store_error *err)
{
	if (reader->no_memory)
		return store_error_at(err, store, STORE_ERR_NO_MEMORY, 0, "no memory for %s", kind);
	if (reader->corrupt)
		return store_error_at(err, store, STORE_ERR_CORRUPT, 0,
				      "%s has a value that this library does not write", kind);
	return STORE_OK;
}

/* Shows the row that the statement stands on; *ret_go_on is the visitor's answer. */
typedef enum store_code show(struct store *store, sqlite3_stmt *stmt, const void *visitor,
			     bool *ret_go_on, struct store_error *err);

/* Steps to the end, or until somebody has had enough. *ret_count: rows shown. */
static enum store_code visit_rows(struct store *store, sqlite3_stmt *stmt, show *show_row,
				  const void *visitor, uint64_t *ret_count, struct store_error *err)
{
	enum store_code code = STORE_OK;
	bool go_on = true;
	int rc = SQLITE_ROW;

	while (code == STORE_OK && go_on) {
		rc = sqlite3_step(stmt);
		if (rc != SQLITE_ROW)
			break;
		(*ret_count)++;
		code = show_row(store, stmt, visitor, &go_on, err);
	}
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		code = store_error_set_sqlite(err, store->db, rc, "cannot read");
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return code;
}

/* ---- executions ---- */

struct execution_visitor {
	store_visit_execution *visit;
	void *context;
};

static enum store_code show_execution(struct store *store, sqlite3_stmt *stmt, const void *opaque,
				      bool *ret_go_on, struct store_error *err)
{
	const struct execution_visitor *visitor = opaque;
	struct reader reader = {.stmt = stmt};
	struct store_execution_row row = {0};
	enum store_code code;

	row.execution.execution_id = read_text(&reader);
	row.execution.name = read_text(&reader);
	row.execution.command = read_text(&reader);
	row.execution.working_directory = read_text(&reader);
	row.execution.status = read_status(&reader);
	row.execution.exit_code = (int)read_number(&reader, &row.execution.has_exit_code);
	row.execution.error_message = read_optional(&reader);
	row.execution.created_us = read_number(&reader, NULL);
	row.execution.started_us = read_time(&reader);
	row.execution.completed_us = read_time(&reader);
	row.execution.environment = read_optional(&reader);
	row.execution.user_name = read_optional(&reader);
	row.execution.tags = read_optional(&reader);
	row.execution.metadata = read_optional(&reader);
	row.execution.total_steps = read_number(&reader, NULL);
	row.execution.completed_steps = read_number(&reader, NULL);
	row.execution.current_step_index = read_number(&reader, NULL);
	row.step_count = read_number(&reader, NULL);
	code = reader_code(&reader, store, "an execution", err);
	if (code == STORE_OK)
		*ret_go_on = visitor->visit(visitor->context, &row);
	return code;
}

#define EXECUTION_COLUMNS                                                                          \
	"SELECT execution_id, name, command, working_directory, status, exit_code, error_message," \
	" created_us, started_us, completed_us, environment, user_name, tags, metadata,"           \
	" total_steps, completed_steps, current_step_index, "
/* Programs of version 1 and 2 have no column for it. */
#define STEPS_COUNTED "(SELECT count(*) FROM steps AS s WHERE s.execution_id = e.execution_id)"
#define BY_ID	      " FROM executions AS e WHERE execution_id = ?1"
#define BY_TIME                                                                                    \
	" FROM executions AS e WHERE created_us >= ?1 AND created_us <= ?2 ORDER BY created_us, "  \
	"seq"
#define BY_STATUS                                                                                  \
	" FROM executions AS e WHERE status = ?3 AND created_us >= ?1 AND created_us <= ?2"        \
	" ORDER BY created_us, seq"

/* By version (from STORE_WORKFLOW_VERSION_COUNT on, or before), then by how they are looked for. */
enum lookup { LOOKUP_BY_ID, LOOKUP_BY_TIME, LOOKUP_BY_STATUS };

static const char *execution_sql(const struct store *store, enum lookup lookup)
{
	static const char *const sql[][2] = {
	    [LOOKUP_BY_ID] = {EXECUTION_COLUMNS STEPS_COUNTED BY_ID,
			      EXECUTION_COLUMNS "step_count" BY_ID},
	    [LOOKUP_BY_TIME] = {EXECUTION_COLUMNS STEPS_COUNTED BY_TIME,
				EXECUTION_COLUMNS "step_count" BY_TIME},
	    [LOOKUP_BY_STATUS] = {EXECUTION_COLUMNS STEPS_COUNTED BY_STATUS,
				  EXECUTION_COLUMNS "step_count" BY_STATUS},
	};

	return sql[lookup][store->version >= STORE_WORKFLOW_VERSION_COUNT];
}

static enum store_code visit_check(const struct store *store, bool has_visitor,
				   struct store_error *err)
{
	enum store_code code = store_workflow_ready(store, 1, err);

	if (code == STORE_OK && !has_visitor)
		code = store_error_at(err, store, STORE_ERR_INVALID, 0, "visit is NULL");
	return code;
}

enum store_code store_execution_find(struct store *store, const char *execution_id,
				     store_visit_execution *visit, void *context,
				     struct store_error *err)
{
	const struct execution_visitor visitor = {visit, context};
	sqlite3_stmt *stmt;
	uint64_t count = 0;
	enum store_code code;
	int rc;

	code = visit_check(store, visit != NULL, err);
	if (code == STORE_OK)
		code = store_id_check(execution_id, "execution_id", err);
	if (code == STORE_OK)
		code = store_statement(store, execution_sql(store, LOOKUP_BY_ID), &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = sqlite3_bind_text(stmt, 1, execution_id, -1, SQLITE_STATIC);
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, store->db, rc, "cannot read");
	code = visit_rows(store, stmt, show_execution, &visitor, &count, err);
	if (code == STORE_OK && count == 0)
		code = store_error_at(err, store, STORE_ERR_NOT_FOUND, 0,
				      "there is no execution '%s'", execution_id);
	return code;
}

static enum store_code executions_visit(struct store *store, enum lookup lookup, const char *status,
					int64_t first_us, int64_t last_us,
					const struct execution_visitor *visitor,
					struct store_error *err)
{
	sqlite3_stmt *stmt;
	uint64_t count = 0;
	enum store_code code;
	int rc;

	code = store_statement(store, execution_sql(store, lookup), &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = sqlite3_bind_int64(stmt, 1, first_us);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 2, last_us);
	if (rc == SQLITE_OK && status)
		rc = sqlite3_bind_text(stmt, 3, status, -1, SQLITE_STATIC);
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, store->db, rc, "cannot read");
	return visit_rows(store, stmt, show_execution, visitor, &count, err);
}

enum store_code store_executions_by_time(struct store *store, int64_t created_first_us,
					 int64_t created_last_us, store_visit_execution *visit,
					 void *context, struct store_error *err)
{
	const struct execution_visitor visitor = {visit, context};
	enum store_code code = visit_check(store, visit != NULL, err);

	if (code != STORE_OK)
		return code;
	return executions_visit(store, LOOKUP_BY_TIME, NULL, created_first_us, created_last_us,
				&visitor, err);
}

enum store_code store_executions_by_status(struct store *store, enum store_status status,
					   int64_t created_first_us, int64_t created_last_us,
					   store_visit_execution *visit, void *context,
					   struct store_error *err)
{
	const struct execution_visitor visitor = {visit, context};
	const char *text = store_status_text(status);
	enum store_code code = visit_check(store, visit != NULL, err);

	if (code != STORE_OK)
		return code;
	if (!text)
		return store_error_at(err, store, STORE_ERR_INVALID, 0, "status %d is unknown",
				      (int)status);
	return executions_visit(store, LOOKUP_BY_STATUS, text, created_first_us, created_last_us,
				&visitor, err);
}

/* ---- steps and artifacts ---- */

/* Shows what a statement finds for one execution. */
static enum store_code children_visit(struct store *store, const char *sql,
				      const char *execution_id, show *show_row, const void *visitor,
				      struct store_error *err)
{
	sqlite3_stmt *stmt;
	uint64_t count = 0;
	enum store_code code;
	int rc;

	code = store_id_check(execution_id, "execution_id", err);
	if (code == STORE_OK)
		code = store_statement(store, sql, &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = sqlite3_bind_text(stmt, 1, execution_id, -1, SQLITE_STATIC);
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, store->db, rc, "cannot read");
	return visit_rows(store, stmt, show_row, visitor, &count, err);
}

struct step_visitor {
	store_visit_step *visit;
	void *context;
};

static enum store_code show_step(struct store *store, sqlite3_stmt *stmt, const void *opaque,
				 bool *ret_go_on, struct store_error *err)
{
	const struct step_visitor *visitor = opaque;
	struct reader reader = {.stmt = stmt};
	struct store_step_row row = {0};
	enum store_code code;

	row.step_id = read_number(&reader, NULL);
	row.step.execution_id = read_text(&reader);
	row.step.step_index = read_number(&reader, NULL);
	row.step.name = read_text(&reader);
	row.step.status = read_status(&reader);
	row.step.exit_code = (int)read_number(&reader, &row.step.has_exit_code);
	row.step.error_message = read_optional(&reader);
	row.step.started_us = read_time(&reader);
	row.step.completed_us = read_time(&reader);
	row.step.metadata = read_optional(&reader);
	code = reader_code(&reader, store, "a step", err);
	if (code == STORE_OK)
		*ret_go_on = visitor->visit(visitor->context, &row);
	return code;
}

enum store_code store_steps_of(struct store *store, const char *execution_id,
			       store_visit_step *visit, void *context, struct store_error *err)
{
	static const char sql[] =
	    "SELECT step_id, execution_id, step_index, name, status, exit_code, error_message,"
	    " started_us, completed_us, metadata FROM steps WHERE execution_id = ?1"
	    " ORDER BY step_index";
	const struct step_visitor visitor = {visit, context};
	enum store_code code = visit_check(store, visit != NULL, err);

	if (code != STORE_OK)
		return code;
	return children_visit(store, sql, execution_id, show_step, &visitor, err);
}

struct artifact_visitor {
	store_visit_artifact *visit;
	void *context;
};

static enum store_code show_artifact(struct store *store, sqlite3_stmt *stmt, const void *opaque,
				     bool *ret_go_on, struct store_error *err)
{
	const struct artifact_visitor *visitor = opaque;
	struct reader reader = {.stmt = stmt};
	struct store_artifact row = {0};
	enum store_code code;

	row.execution_id = read_text(&reader);
	row.name = read_text(&reader);
	row.path = read_text(&reader);
	row.size_bytes = read_number(&reader, NULL);
	row.media_type = read_text(&reader);
	row.created_us = read_number(&reader, NULL);
	code = reader_code(&reader, store, "an artifact", err);
	if (code == STORE_OK)
		*ret_go_on = visitor->visit(visitor->context, &row);
	return code;
}

enum store_code store_artifacts_of(struct store *store, const char *execution_id,
				   store_visit_artifact *visit, void *context,
				   struct store_error *err)
{
	static const char sql[] =
	    "SELECT execution_id, name, path, size_bytes, media_type, created_us FROM artifacts"
	    " WHERE execution_id = ?1 ORDER BY name";
	const struct artifact_visitor visitor = {visit, context};
	enum store_code code = visit_check(store, visit != NULL, err);

	if (code != STORE_OK)
		return code;
	return children_visit(store, sql, execution_id, show_artifact, &visitor, err);
}
