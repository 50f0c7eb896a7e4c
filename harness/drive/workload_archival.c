/*
 * store.archival: the archival event store under its own promise, "an acknowledged event is never
 * lost". Batches of events go through store_events(); half way the store is closed and opened again
 * by a newer program, whose last migration then runs over a populated table.
 *
 * Pragmas of the case override the store's archival profile, so the same program can be shown with
 * settings that keep its promise and with settings that do not.
 */
#include "harness/drive/workload_service.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/prng.h"
#include "store/store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct workload_param params[] = {
    {"batches", 1, 1000000, 20, "batches to write", 20},
    {"events", 1, 1000, 5, "events in a batch", 0},
    {"payload", 0, 65536, 64, "bytes of payload of an event", 0},
    {"migrate", 0, 1, 1, "1: the newer program takes over half way; 0: it runs from the start", 0},
    WORKLOAD_FAIL_SYNC,
};

static const char *const defects[] = {
    "ack-before-commit", "batch-in-two-transactions",	  "batch-backwards",
    "size-later",	 "migration-outside-transaction", "version-row-before-ddl",
};

enum {
	SERVER_SIZE = 32,
	EVENT_ID_SIZE = 64,
	/* What the older program knows: the next migration changes every event that is there. */
	VERSION_BEFORE = 2,
};

struct archive {
	const struct workload_env *env;
	struct store *store;
	char server[SERVER_SIZE];
	int64_t position; /* last written */
	bool writing;	  /* a batch, as opposed to opening */
	bool may_fail;	  /* a sync was asked to fail */
	size_t event_count, payload_bytes;
	struct store_event *events; /* one batch; owned with its strings */
	char (*ids)[EVENT_ID_SIZE];
	uint8_t *payload;
	struct prng random;
};

static bool planted(const struct archive *a, const char *defect)
{
	return workload_planted(a->env, defect);
}

static void acknowledge(const struct archive *a, int64_t position)
{
	char text[SERVER_SIZE + 24];

	(void)snprintf(text, sizeof text, "%s %lld", a->server, (long long)position);
	a->env->ack(a->env->ctx, text);
}

/* The defect "ack-before-commit": the promise goes out while the transaction is still open. */
static int early_ack(void *ctx)
{
	struct archive *a = ctx;

	/* The transactions of store_open() promise no event. */
	if (a->writing)
		acknowledge(a, a->position + (int64_t)a->event_count);
	return 0;
}

static int open_store(struct archive *a, size_t migration_count, struct err *err)
{
	struct store_pragma *pragmas;
	struct store_options options =
	    workload_store_options(a->env, STORE_SCHEMA_EVENTS, migration_count, &pragmas);
	struct store_error e;
	enum store_code code = store_open(a->env->database, &options, &a->store, &e);

	/* As a program would whose disk has hiccupped while it started. */
	if (code == STORE_ERR_IO && a->may_fail)
		code = store_open(a->env->database, &options, &a->store, &e);
	free(pragmas);
	if (code != STORE_OK) {
		a->store = NULL;
		return workload_store_failed(code, &e, err);
	}
	if (planted(a, "ack-before-commit"))
		(void)sqlite3_commit_hook(store_handle(a->store), early_ack, a);
	return 0;
}

/* A writer that was killed goes on after its last event that is there. */
static int find_position(struct archive *a, struct err *err)
{
	return workload_query_number(store_handle(a->store),
				     "SELECT max(position) FROM events WHERE server_id = ?1",
				     a->server, &a->position, err);
}

static void make_batch(struct archive *a)
{
	prng_bytes(&a->random, a->payload, a->event_count * a->payload_bytes);
	for (size_t i = 0; i < a->event_count; i++) {
		int64_t position = a->position + 1 + (int64_t)i;
		(void)snprintf(a->ids[i], sizeof a->ids[i], "%s/%lld", a->server,
			       (long long)position);
		a->events[i] = (struct store_event){
		    .event_id = a->ids[i],
		    .server_id = a->server,
		    .position = position,
		    .time_us = a->env->clock_us != NULL ? a->env->clock_us(a->env->ctx)
							: 1700000000000000 + position * 1000,
		    .kind = position % 3 == 0 ? "message" : "reaction",
		    .payload = a->payload + i * a->payload_bytes,
		    .payload_bytes = a->payload_bytes,
		};
	}
}

/* The seq that the next event will have, which is the id of its batch. */
static int64_t next_seq(sqlite3 *db)
{
	sqlite3_stmt *stmt = NULL;
	int64_t seq = 0;

	if (sqlite3_prepare_v2(db, "SELECT coalesce(max(seq), 0) + 1 FROM events", -1, &stmt,
			       NULL) == SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW)
		seq = sqlite3_column_int64(stmt, 0);
	(void)sqlite3_finalize(stmt);
	return seq;
}

/* The second transaction of the defect "size-later", where the events have a size already. */
static int write_sizes(sqlite3 *db, int64_t batch)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_exec(db, "COMMIT; BEGIN IMMEDIATE", NULL, NULL, NULL);

	if (rc == SQLITE_OK &&
	    sqlite3_prepare_v2(
		db, "UPDATE events SET payload_bytes = length(payload) WHERE batch_id = ?1", -1,
		&stmt, NULL) == SQLITE_OK) {
		(void)sqlite3_bind_int64(stmt, 1, batch);
		(void)sqlite3_step(stmt);
		rc = sqlite3_finalize(stmt);
	}
	return rc;
}

/* The defects "batch-in-two-transactions" (the rows say that they are one batch),
 * "batch-backwards" (the second half first) and "size-later" (a second transaction). */
static int write_in_two(struct archive *a, struct err *err)
{
	static const char sql[] =
	    "INSERT INTO events (event_id, server_id, position, time_us, kind, payload, "
	    "checksum, batch_id, batch_count) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
	sqlite3 *db = store_handle(a->store);
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
	bool backwards = planted(a, "batch-backwards"), later = planted(a, "size-later");
	size_t half = a->event_count / 2, first = backwards ? a->event_count - half : half;
	int64_t batch = 0;

	for (size_t k = 0; k < a->event_count && rc == SQLITE_OK; k++) {
		size_t i = backwards ? (k + half) % a->event_count : k;
		const struct store_event *e = &a->events[i];
		if (k == 0 || (k == first && !later))
			rc =
			    sqlite3_exec(db, k == 0 ? "BEGIN IMMEDIATE" : "COMMIT; BEGIN IMMEDIATE",
					 NULL, NULL, NULL);
		if (k == 0)
			batch = next_seq(db);
		(void)sqlite3_bind_text(stmt, 1, e->event_id, -1, SQLITE_STATIC);
		(void)sqlite3_bind_text(stmt, 2, e->server_id, -1, SQLITE_STATIC);
		(void)sqlite3_bind_int64(stmt, 3, e->position);
		(void)sqlite3_bind_int64(stmt, 4, e->time_us);
		(void)sqlite3_bind_text(stmt, 5, e->kind, -1, SQLITE_STATIC);
		(void)sqlite3_bind_blob64(stmt, 6, e->payload, e->payload_bytes, SQLITE_STATIC);
		(void)sqlite3_bind_int64(stmt, 7, (sqlite3_int64)store_event_checksum(e));
		(void)sqlite3_bind_int64(stmt, 8, batch);
		(void)sqlite3_bind_int64(stmt, 9, (sqlite3_int64)a->event_count);
		if (rc == SQLITE_OK)
			(void)sqlite3_step(stmt);
		rc = rc == SQLITE_OK ? sqlite3_reset(stmt) : rc;
	}
	(void)sqlite3_finalize(stmt);
	if (rc == SQLITE_OK && later)
		rc = write_sizes(db, batch);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : err_set(err, ERR_SQLITE, "store: %s", sqlite3_errmsg(db));
}

/*
 * What a program does after a failed sync: it opens the store again, which settles whether the
 * batch is there, and looks. A batch that is there is durable (P6, P10), and may be acknowledged;
 * one that is not is written again.
 */
static int write_again(struct archive *a, struct err *err)
{
	int64_t last = a->position + (int64_t)a->event_count;
	struct store_error e;
	enum store_code code = store_reopen(a->store, &e);

	if (code != STORE_OK)
		return workload_store_failed(code, &e, err);
	int rc = find_position(a, err);
	if (rc != 0 || a->position == last) {
		a->position = last - (int64_t)a->event_count;
		return rc;
	}
	code = store_events(a->store, a->events, a->event_count, &e);
	return code == STORE_OK ? 0 : workload_store_failed(code, &e, err);
}

static int write_batch(struct archive *a, struct err *err)
{
	struct store_error e;
	enum store_code code;
	int rc;

	if (planted(a, "batch-in-two-transactions") || planted(a, "batch-backwards") ||
	    planted(a, "size-later")) {
		rc = write_in_two(a, err);
		return rc != 0 && a->may_fail ? write_again(a, err) : rc;
	}
	code = store_events(a->store, a->events, a->event_count, &e);
	if ((code == STORE_ERR_IO || code == STORE_ERR_STOPPED) && a->may_fail)
		return write_again(a, err);
	return code == STORE_OK ? 0 : workload_store_failed(code, &e, err);
}

static int write_batches(struct archive *a, int64_t count, struct err *err)
{
	const struct workload_env *env = a->env;

	for (int64_t i = 0; i < count; i++) {
		int rc = 0;
		if (env->stop != NULL && env->stop(env->ctx))
			return 0;
		make_batch(a);
		a->writing = true;
		rc = write_batch(a, err);
		if (rc != 0)
			return rc;
		a->writing = false;
		a->position += (int64_t)a->event_count;
		acknowledge(a, a->position);
	}
	return 0;
}

/* The defects "migration-outside-transaction" (each statement commits by itself, then the version
 * row) and "version-row-before-ddl" (the version row commits first). The handle is of the older
 * program, which cannot go on afterwards. */
static int migrate_in_pieces(struct archive *a, const struct store_migration *migration,
			     size_t version, struct err *err)
{
	sqlite3 *db = store_handle(a->store);
	char *row =
	    sqlite3_mprintf("INSERT INTO schema_version (version, digest, name, applied_us) "
			    "VALUES (%d, '', %Q, 0)",
			    (int)version, migration->name);
	bool row_first = planted(a, "version-row-before-ddl");
	int rc = sqlite3_exec(db, row_first ? row : migration->sql, NULL, NULL, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, row_first ? migration->sql : row, NULL, NULL, NULL);
	sqlite3_free(row);
	return rc == SQLITE_OK ? 0 : err_set(err, ERR_SQLITE, "store: %s", sqlite3_errmsg(db));
}

static int run_with_migration(struct archive *a, int64_t batches, struct err *err)
{
	size_t all;
	const struct store_migration *migrations = store_migrations(STORE_SCHEMA_EVENTS, &all);
	int rc = open_store(a, VERSION_BEFORE, err);

	if (rc == 0)
		rc = write_batches(a, batches / 2, err);
	if (rc == 0 &&
	    (planted(a, "migration-outside-transaction") || planted(a, "version-row-before-ddl")))
		return migrate_in_pieces(a, &migrations[VERSION_BEFORE], VERSION_BEFORE + 1, err);
	store_close(a->store);
	a->store = NULL;
	if (rc == 0)
		rc = open_store(a, all, err);
	if (rc == 0)
		rc = write_batches(a, batches - batches / 2, err);
	return rc;
}

static int archival_run(const struct workload_env *env, struct err *err)
{
	const struct workload *w = &workload_archival;
	int64_t batches = workload_param(w, env->params, "batches");
	struct archive a = {
	    .env = env,
	    .event_count = (size_t)workload_param(w, env->params, "events"),
	    .payload_bytes = (size_t)workload_param(w, env->params, "payload"),
	};
	int rc;

	if (workload_store_usable(err) != 0)
		return err->code;
	(void)snprintf(a.server, sizeof a.server, "server-%u", env->worker);
	prng_init(&a.random, env->seed + env->worker, "workload");
	int64_t fail_sync = workload_param(w, env->params, "fail_sync");
	if (fail_sync > 0 && env->fail_sync != NULL) {
		(void)env->fail_sync(env->ctx, (uint32_t)fail_sync, NULL);
		a.may_fail = true;
	}
	a.events = xcalloc(a.event_count, sizeof *a.events);
	a.ids = xcalloc(a.event_count, sizeof *a.ids);
	a.payload = xcalloc(a.event_count, a.payload_bytes + 1);
	if (workload_param(w, env->params, "migrate") == 1) {
		rc = run_with_migration(&a, batches, err);
	} else {
		size_t all;
		(void)store_migrations(STORE_SCHEMA_EVENTS, &all);
		rc = open_store(&a, all, err);
		if (rc == 0)
			rc = find_position(&a, err);
		if (rc == 0)
			rc = write_batches(&a, batches, err);
	}
	store_close(a.store);
	free(a.events);
	free(a.ids);
	free(a.payload);
	return rc;
}

const struct workload workload_archival = {
    .name = "store.archival",
    .summary = "batches of events into the archival store, with a migration on the way",
    .params = params,
    .param_count = sizeof params / sizeof params[0],
    .defects = defects,
    .defect_count = sizeof defects / sizeof defects[0],
    .promise_sql = "SELECT server_id, count(*), min(position), max(position) FROM events "
		   "GROUP BY server_id ORDER BY server_id",
    .run = archival_run,
};
