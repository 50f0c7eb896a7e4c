/* See workload_service.h. */
#include "harness/drive/workload_service.h"

#include "faultinject/base/buf.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLOCK_STEP_NS = 1000 * 1000, OPEN_ATTEMPTS = 3, SETTLE_ROUNDS_MAX = 100000 };

/* ---- time ---------------------------------------------------------------------------------- */

static int64_t fixed_clock(void *ctx)
{
	(void)ctx;
	return 1700000000000000;
}

static int64_t counting_clock(void *ctx)
{
	struct workload_service *w = ctx;

	w->clock_ns += CLOCK_STEP_NS;
	return w->clock_ns;
}

static void counting_sleep(void *ctx, uint32_t delay_ms)
{
	struct workload_service *w = ctx;

	w->clock_ns += (int64_t)delay_ms * 1000 * 1000;
}

/* ---- opening and closing ------------------------------------------------------------------- */

int workload_store_failed(enum store_code code, const struct store_error *e, struct err *err)
{
	return err_set(err, ERR_SQLITE, "store: %s: %s", store_code_name(code), e->message);
}

int workload_store_usable(struct err *err)
{
	if (sqlite3_libversion_number() >= STORE_SQLITE_VERSION_MIN)
		return 0;
	return err_set(err, ERR_SQLITE, "the store needs SQLite 3.16.0 or later; this is %s",
		       sqlite3_libversion());
}

struct store_options workload_store_options(const struct workload_env *env,
					    enum store_schema schema, size_t migration_count,
					    struct store_pragma **ret_pragmas)
{
	const struct kv_list *pragmas = env->pragmas;
	struct store_pragma *list = xcalloc(pragmas->count, sizeof *list);

	for (size_t i = 0; i < pragmas->count; i++)
		list[i] = (struct store_pragma){pragmas->items[i].key, pragmas->items[i].value};
	*ret_pragmas = list;
	return (struct store_options){
	    .schema = schema,
	    .pragmas = list,
	    .pragma_count = pragmas->count,
	    .migrations = store_migrations(schema, NULL),
	    .migration_count = migration_count,
	    .clock_us = env->clock_us != NULL ? env->clock_us : fixed_clock,
	    .clock_context = env->ctx,
	    .files = env->files,
	};
}

bool workload_planted(const struct workload_env *env, const char *defect)
{
	return env->plant != NULL && strcmp(env->plant, defect) == 0;
}

static int sync_nothing(void *ctx, void *file)
{
	(void)ctx;
	(void)file;
	return 0;
}

static int sync_no_folder(void *ctx, const char *folder)
{
	(void)ctx;
	(void)folder;
	return 0;
}

void workload_service_init(struct workload_service *w, const struct workload_env *env,
			   enum store_schema schema, int64_t fail_sync)
{
	*w = (struct workload_service){.env = env, .schema = schema};
	w->migrations = store_migrations(schema, &w->migration_count);
	w->files = env->files;
	if (workload_planted(env, "file-never-synced") ||
	    workload_planted(env, "folder-never-synced")) {
		w->unsynced = *env->files;
		if (workload_planted(env, "file-never-synced"))
			w->unsynced.sync = sync_nothing;
		else
			w->unsynced.sync_folder = sync_no_folder;
		w->files = &w->unsynced;
	}
	(void)pthread_mutex_init(&w->mutex, NULL);
	(void)pthread_cond_init(&w->settled, NULL);
	if (fail_sync > 0 && env->fail_sync != NULL) {
		(void)env->fail_sync(env->ctx, (uint32_t)fail_sync, NULL);
		w->may_fail = true;
	}
}

void workload_service_release(struct workload_service *w)
{
	(void)store_service_close(w->service, NULL);
	(void)pthread_mutex_destroy(&w->mutex);
	(void)pthread_cond_destroy(&w->settled);
}

int workload_service_open(struct workload_service *w, size_t migration_count,
			  const struct store_service_options *base, struct err *err)
{
	struct store_service_options options = {0};
	struct store_pragma *pragmas;
	struct store_error e;
	enum store_code code;
	int attempts = w->may_fail ? OPEN_ATTEMPTS : 1;

	if (base != NULL)
		options = *base;
	options.store = workload_store_options(w->env, w->schema, migration_count, &pragmas);
	options.store.files = w->files;
	if (!w->env->threads) {
		options.manual = true;
		options.monotonic_ns = counting_clock;
		options.sleep_ms = counting_sleep;
	}
	if (w->monotonic_ns != NULL)
		options.monotonic_ns = w->monotonic_ns;
	options.time_context = w;
	options.retry.seed = w->env->seed;
	workload_connection(w->env, WORKLOAD_WRITER);
	do
		code = store_service_open(w->env->database, &options, &w->service, &e);
	while (code != STORE_OK && --attempts > 0);
	free(pragmas);
	return code == STORE_OK ? 0 : workload_store_failed(code, &e, err);
}

int workload_service_close(struct workload_service *w, struct err *err)
{
	struct store_service *service = w->service;
	struct store_error e;
	enum store_code code;

	w->service = NULL;
	workload_connection(w->env, WORKLOAD_WRITER);
	code = store_service_close(service, &e);
	return code == STORE_OK || w->may_fail ? 0 : workload_store_failed(code, &e, err);
}

/* ---- operations ---------------------------------------------------------------------------- */

static void delivered(void *ctx, enum store_code code, const struct store_error *e)
{
	struct workload_operation *o = ctx;
	struct workload_service *w = o->owner;

	/* Before anybody can take the operation back. */
	if (code == STORE_OK && o->ack[0] != '\0' && w->env->threads)
		w->env->ack(w->env->ctx, o->ack);
	(void)pthread_mutex_lock(&w->mutex);
	o->code = code;
	if (code == STORE_OK)
		w->ack_pending = w->ack_pending || o->ack[0] != '\0';
	else if (w->failed.code == 0 && !w->may_fail)
		(void)workload_store_failed(code, e, &w->failed);
	w->delivered++;
	(void)pthread_cond_broadcast(&w->settled);
	(void)pthread_mutex_unlock(&w->mutex);
}

static struct store_command command_of(struct workload_service *w, struct workload_operation *o)
{
	o->owner = w;
	return (struct store_command){o->work, delivered, o};
}

/* `work` of a command is handed the operation, whose own context it wants. */
static enum store_code run_operation(struct store *store, void *ctx, struct store_error *e)
{
	struct workload_operation *o = ctx;

	return o->work(store, o->context, e);
}

static int accepted(struct workload_service *w, enum store_code code, const struct store_error *e,
		    struct err *err)
{
	if (code != STORE_OK)
		return workload_store_failed(code, e, err);
	w->submitted++;
	return 0;
}

int workload_service_submit(struct workload_service *w, struct workload_operation *o,
			    struct err *err)
{
	struct store_command command = command_of(w, o);
	struct store_error e;

	command.work = run_operation;
	return accepted(w, store_service_submit(w->service, &command, &e), &e, err);
}

int workload_service_buffer(struct workload_service *w, struct workload_operation *o,
			    struct err *err)
{
	struct store_command command = command_of(w, o);
	struct store_error e;

	command.work = run_operation;
	return accepted(w, store_service_buffer(w->service, &command, &e), &e, err);
}

int workload_service_log(struct workload_service *w, int64_t step_id, const void *text,
			 size_t text_bytes, struct workload_operation *o, struct err *err)
{
	struct store_error e;
	enum store_code code;

	o->owner = w;
	code = store_service_log(w->service, step_id, text, text_bytes, delivered, o, &e);
	return accepted(w, code, &e, err);
}

/* ---- the driver ---------------------------------------------------------------------------- */

static int failure(struct workload_service *w, struct err *err)
{
	int rc;

	(void)pthread_mutex_lock(&w->mutex);
	rc = w->failed.code == 0 ? 0 : err_set(err, w->failed.code, "%s", w->failed.message);
	(void)pthread_mutex_unlock(&w->mutex);
	return rc;
}

static void wait_for_threads(struct workload_service *w)
{
	(void)store_service_flush(w->service, NULL);
	(void)pthread_mutex_lock(&w->mutex);
	while (w->delivered < w->submitted)
		(void)pthread_cond_wait(&w->settled, &w->mutex);
	(void)pthread_mutex_unlock(&w->mutex);
}

/* What the steps answer was delivered to those whom it concerns. */
void workload_service_step(struct workload_service *w)
{
	struct store_service *s = w->service;

	workload_connection(w->env, WORKLOAD_WRITER);
	(void)store_service_log_step(s, NULL, NULL);
	(void)store_service_flush_step(s, NULL, NULL);
	(void)store_service_writer_step(s, NULL, NULL);
	if (w->ack_pending)
		w->env->ack(w->env->ctx, "");
	w->ack_pending = false;
}

int workload_service_settle(struct workload_service *w, struct err *err)
{
	if (w->env->threads) {
		wait_for_threads(w);
		return failure(w, err);
	}
	(void)store_service_flush(w->service, NULL);
	for (int i = 0; w->delivered < w->submitted; i++) {
		if (i == SETTLE_ROUNDS_MAX)
			return err_set(err, ERR_SQLITE, "store: %llu operations get no result",
				       (unsigned long long)(w->submitted - w->delivered));
		workload_service_step(w);
	}
	workload_connection(w->env, WORKLOAD_CHECKPOINTER);
	(void)store_service_checkpoint_step(w->service, NULL, NULL);
	workload_connection(w->env, WORKLOAD_WRITER);
	return failure(w, err);
}

int workload_service_reader(struct workload_service *w, struct store **ret_reader, struct err *err)
{
	struct store_error e;
	enum store_code code;

	workload_connection(w->env, WORKLOAD_READER);
	code = store_service_reader_take(w->service, ret_reader, &e);
	return code == STORE_OK ? 0 : workload_store_failed(code, &e, err);
}

void workload_service_give(struct workload_service *w, struct store *reader)
{
	store_service_reader_give(w->service, reader);
	workload_connection(w->env, WORKLOAD_WRITER);
}

int workload_run_sql(const struct workload_env *env, const char *sql, struct err *err)
{
	sqlite3 *db = NULL;
	int rc;

	workload_connection(env, WORKLOAD_BACKUP);
	rc = sqlite3_open(env->database, &db);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		(void)err_set(err, ERR_SQLITE, "store: %s", sqlite3_errmsg(db));
	(void)sqlite3_close(db);
	workload_connection(env, WORKLOAD_WRITER);
	return rc == SQLITE_OK ? 0 : ERR_SQLITE;
}

int workload_query_number(struct sqlite3 *db, const char *sql, const char *text,
			  int64_t *ret_number, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int64_t number = 0;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK && text != NULL)
		rc = sqlite3_bind_text(stmt, 1, text, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		number = sqlite3_column_int64(stmt, 0);
	rc = sqlite3_finalize(stmt);
	if (rc != SQLITE_OK)
		return err_set(err, ERR_SQLITE, "store: %s", sqlite3_errmsg(db));
	*ret_number = number;
	return 0;
}
