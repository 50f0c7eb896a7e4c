/*
 * store.workflow: executions of steps with artifacts and log files (store/workflow.h), through the
 * queue, the buffer and the writer of logs, many in flight, with a migration half way.
 *
 * A round is so many executions at once, in three waves, each of which waits for its results:
 *
 *   1. one command each: the execution, running, with its steps
 *   2. a log for each step, a file of its own; artifacts through the buffer
 *   3. one command each: the execution, completed
 *
 * so that a completed execution has all its steps, artifacts and logs, after any crash. A worker
 * that was killed takes up the executions that are not completed before it begins new ones. Saving
 * is idempotent, so what an I/O error has failed is saved again.
 */
#include "harness/drive/workload_service.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/prng.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 64, ID_SIZE = 48, LOG_LINE = 32, ATTEMPTS = 3 };

static const struct workload_param params[] = {
    {"executions", 1, 1000000, 4, "executions to run", 10},
    {"steps", 1, STEPS_MAX, 2, "steps of one", 0},
    {"log", 0, 1 << 20, 160, "bytes of a step's log; 0: no logs", 0},
    {"in_flight", 1, WORKLOAD_IN_FLIGHT_MAX / STEPS_MAX * 8, 2, "executions at once", 5},
    {"migrate", 0, 1, 1, "1: the newer program takes over half way; 0: it runs from the start", 0},
    WORKLOAD_WAL_BYTES,
    WORKLOAD_FAIL_SYNC,
};

static const char *const defects[] = {"file-never-synced", "folder-never-synced"};

struct run;

/* One execution, and what is in flight of it. */
struct execution {
	struct run *run;
	int64_t number;
	char id[ID_SIZE];
	struct workload_operation begin, artifact, complete;
	struct workload_operation logs[STEPS_MAX];
	int64_t step_ids[STEPS_MAX];
};

struct run {
	struct workload_service w;
	char worker[16];
	size_t step_count, log_bytes, in_flight;
	int64_t last; /* number of the last execution, of this worker, ever */
	struct execution *executions;
	char *text; /* of a log */
	char folder[256];
};

/* ---- what the commands save ---------------------------------------------------------------- */

static struct store_execution row_of(const struct execution *x, enum store_status status)
{
	bool is_done = status == STORE_STATUS_COMPLETED;

	return (struct store_execution){
	    .execution_id = x->id,
	    .name = "nightly",
	    .command = "make all",
	    .working_directory = "/srv/work",
	    .status = status,
	    .has_exit_code = is_done,
	    .created_us = x->number,
	    .started_us = x->number,
	    .completed_us = is_done ? x->number + 1 : 0,
	    .total_steps = (int64_t)x->run->step_count,
	    .completed_steps = is_done ? (int64_t)x->run->step_count : 0,
	    .current_step_index = -1,
	};
}

static enum store_code begin(struct store *store, void *ctx, struct store_error *e)
{
	struct execution *x = ctx;
	struct store_execution row = row_of(x, STORE_STATUS_RUNNING);
	struct store_step steps[STEPS_MAX];
	char names[STEPS_MAX][32];

	for (size_t i = 0; i < x->run->step_count; i++) {
		(void)snprintf(names[i], sizeof names[i], "step %zu", i);
		steps[i] = (struct store_step){
		    .execution_id = x->id,
		    .step_index = (int64_t)i,
		    .name = names[i],
		    .status = STORE_STATUS_RUNNING,
		    .started_us = x->number,
		};
	}
	struct store_workflow_batch batch = {
	    .executions = &row,
	    .execution_count = 1,
	    .steps = steps,
	    .step_count = x->run->step_count,
	    .ret_step_ids = x->step_ids,
	};
	return store_workflow(store, &batch, e);
}

static enum store_code save_artifact(struct store *store, void *ctx, struct store_error *e)
{
	struct execution *x = ctx;
	struct store_artifact artifact = {
	    .execution_id = x->id,
	    .name = "report",
	    .path = "out/report.html",
	    .size_bytes = x->number,
	    .media_type = "text/html",
	    .created_us = x->number,
	};

	return store_artifacts(store, &artifact, 1, e);
}

static enum store_code complete(struct store *store, void *ctx, struct store_error *e)
{
	struct execution *x = ctx;
	struct store_execution row = row_of(x, STORE_STATUS_COMPLETED);

	return store_executions(store, &row, 1, e);
}

/* ---- a round ------------------------------------------------------------------------------- */

/* The text of a log: lines that say whose it is. */
static void make_log(struct run *r, const struct execution *x, size_t step)
{
	char line[LOG_LINE + ID_SIZE];
	int n = snprintf(line, sizeof line, "%s step %zu went well\n", x->id, step);

	for (size_t at = 0; at < r->log_bytes; at++)
		r->text[at] = line[at % (size_t)n];
}

enum wave { WAVE_BEGIN, WAVE_MIDDLE, WAVE_COMPLETE, WAVES };

/* Submits what one execution has in a wave and is not kept yet. */
static int submit_wave(struct run *r, struct execution *x, enum wave wave, bool first,
		       struct err *err)
{
	int rc = 0;

	if (wave == WAVE_BEGIN && (first || x->begin.code != STORE_OK))
		return workload_service_submit(&r->w, &x->begin, err);
	if (wave == WAVE_COMPLETE && (first || x->complete.code != STORE_OK))
		return workload_service_submit(&r->w, &x->complete, err);
	if (wave != WAVE_MIDDLE)
		return 0;
	if (first || x->artifact.code != STORE_OK)
		rc = workload_service_buffer(&r->w, &x->artifact, err);
	for (size_t i = 0; i < r->step_count && r->log_bytes > 0 && rc == 0; i++) {
		if (!first && x->logs[i].code == STORE_OK)
			continue;
		make_log(r, x, i);
		rc = workload_service_log(&r->w, x->step_ids[i], r->text, r->log_bytes, &x->logs[i],
					  err);
	}
	return rc;
}

static bool wave_is_kept(const struct run *r, const struct execution *x, enum wave wave)
{
	if (wave == WAVE_BEGIN)
		return x->begin.code == STORE_OK;
	if (wave == WAVE_COMPLETE)
		return x->complete.code == STORE_OK;
	for (size_t i = 0; i < r->step_count && r->log_bytes > 0; i++)
		if (x->logs[i].code != STORE_OK)
			return false;
	return x->artifact.code == STORE_OK;
}

static int run_wave(struct run *r, size_t count, enum wave wave, struct err *err)
{
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		bool kept = true;
		int rc = 0;
		for (size_t i = 0; i < count && rc == 0; i++)
			rc = submit_wave(r, &r->executions[i], wave, attempt == 0, err);
		if (rc == 0)
			rc = workload_service_settle(&r->w, err);
		if (rc != 0)
			return rc;
		for (size_t i = 0; i < count; i++)
			kept = kept && wave_is_kept(r, &r->executions[i], wave);
		if (kept)
			return 0;
	}
	return err_set(err, ERR_SQLITE, "store: after %d attempts an operation still fails",
		       ATTEMPTS);
}

static void prepare(struct run *r, struct execution *x, int64_t number)
{
	*x = (struct execution){
	    .run = r,
	    .number = number,
	    .begin = {.work = begin, .context = x},
	    .artifact = {.work = save_artifact, .context = x},
	    .complete = {.work = complete, .context = x},
	};
	(void)snprintf(x->id, sizeof x->id, "%s/%08lld", r->worker, (long long)number);
	(void)snprintf(x->begin.ack, sizeof x->begin.ack, "begun:%s %lld", r->worker,
		       (long long)number);
	(void)snprintf(x->complete.ack, sizeof x->complete.ack, "completed:%s %lld", r->worker,
		       (long long)number);
	for (size_t i = 0; i < r->step_count; i++) {
		long long position = (long long)(number - 1) * (long long)r->step_count;
		(void)snprintf(x->logs[i].ack, sizeof x->logs[i].ack, "logged:%s %lld", r->worker,
			       position + (long long)i + 1);
	}
}

/* Reads the logs of an execution back, through a reader: the store compares each with its row. */
static int read_back(struct run *r, const struct execution *x, struct err *err)
{
	struct store *reader = NULL;
	int rc = workload_service_reader(&r->w, &reader, err);

	for (size_t i = 0; i < r->step_count && rc == 0 && r->log_bytes > 0; i++) {
		struct store_error e;
		void *text = NULL;
		size_t bytes = 0;
		enum store_code code =
		    store_log_read(reader, r->folder, x->step_ids[i], NULL, &text, &bytes, &e);
		make_log(r, x, i);
		if (code != STORE_OK)
			rc = workload_store_failed(code, &e, err);
		else if (bytes != r->log_bytes || memcmp(text, r->text, bytes) != 0)
			rc = err_set(err, ERR_SQLITE, "store: the log of step %lld is another one",
				     (long long)x->step_ids[i]);
		store_log_free(text);
	}
	workload_service_give(&r->w, reader);
	return rc;
}

static int run_round(struct run *r, size_t count, struct err *err)
{
	int rc = 0;

	for (enum wave wave = WAVE_BEGIN; wave < WAVES && rc == 0; wave++)
		rc = run_wave(r, count, wave, err);
	if (rc == 0)
		rc = read_back(r, &r->executions[count - 1], err);
	return rc;
}

static int run_executions(struct run *r, int64_t count, struct err *err)
{
	const struct workload_env *env = r->w.env;
	int rc = 0;

	while (count > 0 && rc == 0) {
		size_t n = 0;
		if (env->stop != NULL && env->stop(env->ctx))
			return 0;
		for (; n < r->in_flight && count > 0; n++, count--)
			prepare(r, &r->executions[n], ++r->last);
		rc = run_round(r, n, err);
	}
	return rc;
}

/* The executions that a worker which was killed had begun and not completed, a round at a time. */
static int take_up(struct run *r, struct err *err)
{
	static const char sql[] =
	    "SELECT CAST(substr(execution_id, instr(execution_id, '/') + 1) AS INTEGER) "
	    "FROM executions WHERE substr(execution_id, 1, instr(execution_id, '/') - 1) = ?1 "
	    "AND status = 'running' ORDER BY 1 LIMIT ?2";
	size_t n = 0;

	do {
		struct store *reader = NULL;
		sqlite3_stmt *stmt = NULL;
		int rc = workload_service_reader(&r->w, &reader, err);
		if (rc != 0)
			return rc;
		rc = workload_query_number(
		    store_handle(reader),
		    "SELECT max(CAST(substr(execution_id, instr(execution_id, '/') + 1) "
		    "AS INTEGER)) FROM executions "
		    "WHERE substr(execution_id, 1, instr(execution_id, '/') - 1) = ?1",
		    r->worker, &r->last, err);
		n = 0;
		if (rc == 0 &&
		    sqlite3_prepare_v2(store_handle(reader), sql, -1, &stmt, NULL) == SQLITE_OK) {
			(void)sqlite3_bind_text(stmt, 1, r->worker, -1, SQLITE_STATIC);
			(void)sqlite3_bind_int64(stmt, 2, (sqlite3_int64)r->in_flight);
			while (sqlite3_step(stmt) == SQLITE_ROW)
				prepare(r, &r->executions[n++], sqlite3_column_int64(stmt, 0));
		}
		if (sqlite3_finalize(stmt) != SQLITE_OK && rc == 0)
			rc = err_set(err, ERR_SQLITE, "store: %s",
				     sqlite3_errmsg(store_handle(reader)));
		workload_service_give(&r->w, reader);
		if (rc == 0 && n > 0)
			rc = run_round(r, n, err);
		if (rc != 0)
			return rc;
	} while (n > 0);
	return 0;
}

static int workflow_run(const struct workload_env *env, struct err *err)
{
	const struct workload *w = &workload_workflow;
	const char *slash = strrchr(env->database, '/');
	int64_t count = workload_param(w, env->params, "executions");
	bool migrates = workload_param(w, env->params, "migrate") == 1;
	struct run r = {
	    .step_count = (size_t)workload_param(w, env->params, "steps"),
	    .log_bytes = (size_t)workload_param(w, env->params, "log"),
	    .in_flight = (size_t)workload_param(w, env->params, "in_flight"),
	};
	struct store_service_options base = {
	    .log_folder = r.folder,
	    .queue_count_max = WORKLOAD_IN_FLIGHT_MAX,
	    .wal_bytes_max = (uint64_t)workload_param(w, env->params, "wal_bytes"),
	};
	int rc = workload_store_usable(err);

	if (rc != 0)
		return rc;
	(void)snprintf(r.worker, sizeof r.worker, "worker-%u", env->worker);
	(void)snprintf(r.folder, sizeof r.folder, "%.*s",
		       slash == NULL || slash == env->database ? 1 : (int)(slash - env->database),
		       slash == NULL ? "." : env->database);
	workload_service_init(&r.w, env, STORE_SCHEMA_WORKFLOW,
			      workload_param(w, env->params, "fail_sync"));
	r.executions = xcalloc(r.in_flight, sizeof *r.executions);
	r.text = xcalloc(r.log_bytes + 1, 1);
	if (migrates) {
		rc = workload_service_open(&r.w, r.w.migration_count - 1, &base, err);
		if (rc == 0)
			rc = run_executions(&r, count / 2, err);
		if (rc == 0)
			rc = workload_service_close(&r.w, err);
		count -= count / 2;
	}
	if (rc == 0)
		rc = workload_service_open(&r.w, r.w.migration_count, &base, err);
	if (rc == 0 && !migrates)
		rc = take_up(&r, err);
	if (rc == 0)
		rc = run_executions(&r, count, err);
	if (rc == 0)
		rc = workload_service_close(&r.w, err);
	workload_service_release(&r.w);
	free(r.executions);
	free(r.text);
	return rc;
}

#define WORKER "substr(execution_id, 1, instr(execution_id, '/') - 1)"
#define NUMBER "CAST(substr(execution_id, instr(execution_id, '/') + 1) AS INTEGER)"

const struct workload workload_workflow = {
    .name = "store.workflow",
    .summary = "executions, steps, artifacts and log files, many in flight, with a migration",
    .params = params,
    .param_count = sizeof params / sizeof params[0],
    .defects = defects,
    .defect_count = sizeof defects / sizeof defects[0],
    .promise_sql = "SELECT 'begun:' || " WORKER ", count(*), min(" NUMBER "), max(" NUMBER ") "
		   "FROM executions GROUP BY 1 UNION ALL "
		   "SELECT 'completed:' || " WORKER ", count(*), min(" NUMBER "), max(" NUMBER ") "
		   "FROM executions WHERE status = 'completed' GROUP BY 1 UNION ALL "
		   "SELECT 'logged:' || " WORKER ", count(*), min((" NUMBER " - 1) * total_steps + "
		   "step_index + 1), max((" NUMBER " - 1) * total_steps + step_index + 1) "
		   "FROM step_logs JOIN steps USING (step_id) JOIN executions USING (execution_id) "
		   "GROUP BY 1",
    .run = workflow_run,
};
