/*
 * store.clock: what a clock must not do to a program that writes. Events go through the queue and
 * the buffer of a service with a small log, and each bears the time of day, while @clock moves
 * that: also between two events of one batch, inside the open transaction.
 *
 * What a run sees of waiting it writes down as events of its own, so that invariants can judge it,
 * in a recording as in a process that was killed. Each is a text "NUMBER ..." of its kind:
 *
 *   kind    written                                   the number
 *   data    in batches                                position of the event before it, as the
 *                                                     program finds it: "order by sequence"
 *   flush   after each batch that went through the    milliseconds until it was written, without
 *           buffer                                    anybody asking
 *   lock    once, a lock held by another connection   milliseconds until SQLite gave up
 *   busy    the same                                  milliseconds until the store gave up
 *   rest    half way, and at the end                  0: the last that is written for a while
 *   log     after that                                bytes in the log that nobody checkpoints
 *   order   at the end                                events that a reader of the store is given
 *                                                     out of order
 *
 * Milliseconds are real ones: in a process they are asked of the kernel itself, which libfaketime
 * does not stand in front of; in a recording they are the service's counted clock. What does not
 * come within LIMIT_MS never comes: the number is then LIMIT_MS, and the run goes on without.
 */
#include "harness/drive/workload_service.h"

#include "faultinject/base/buf.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	LIMIT_MS = 10000,
	EVENTS_MAX = 64,
	PAYLOAD_MAX = 65536,
	ID_SIZE = 64,
	SERVER_SIZE = 32,
	NOTE_SIZE = 96,
	/* What the program asks of the service. */
	BUFFER_MS = 20,
	INTERVAL_MS = 200,
	PATIENCE_MS = 20,
	BLOCKER_PATIENCE_MS = 5000, /* real writers beside it hold the lock for moments */
	/* Connections of a recording. */
	CONNECTION_BLOCKER = WORKLOAD_BACKUP,
	CONNECTION_SECOND = WORKLOAD_BACKUP + 1,
};

static const struct workload_param params[] = {
    {"batches", 1, 1000000, 6, "batches to write; every second one goes through the buffer", 6},
    {"events", 2, EVENTS_MAX, 3, "events in a batch", 0},
    {"payload", 32, PAYLOAD_MAX, 64, "bytes of payload of an event", 0},
    WORKLOAD_WAL_BYTES,
};

static const char *const defects[] = {"ack-before-commit", "order-by-time", "waits-by-wall-clock",
				      "never-checkpoints"};

struct run {
	struct workload_service w;
	const struct workload_env *env;
	char server[SERVER_SIZE];
	int64_t position; /* last accepted */
	size_t event_count, payload_bytes;
	struct err failed; /* the clock could not be moved; of the writer's thread */
};

/* Some events in one command. */
struct batch {
	struct run *run;
	int64_t first; /* position */
	size_t count;
	char note[NOTE_SIZE]; /* of a note; "" for data */
	const char *kind;
	char *payload; /* owned; payload_bytes for each event */
	struct workload_operation operation;
};

/* ---- time ---------------------------------------------------------------------------------- */

static int64_t wall_us(const struct run *r)
{
	return r->env->clock_us != NULL ? r->env->clock_us(r->env->ctx) : 1700000000000000;
}

static void move_clock(struct run *r)
{
	struct err err = ERR_INIT;

	if (r->env->clock_move != NULL && r->env->clock_move(r->env->ctx, &err) != 0 &&
	    r->failed.code == 0)
		r->failed = err;
}

static int64_t elapsed_ms(const struct run *r)
{
	struct timespec now;

	if (!r->env->threads)
		return r->w.clock_ns / 1000000;
	if (syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now) != 0)
		return 0;
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void pause_1_ms(struct run *r)
{
	const struct timespec pause = {.tv_nsec = 1000000};

	if (r->env->threads)
		(void)nanosleep(&pause, NULL);
	else
		r->w.clock_ns += 1000000;
}

static int64_t at_most(int64_t ms)
{
	return ms < LIMIT_MS ? ms : LIMIT_MS;
}

/* The defect "waits-by-wall-clock": what the service takes for a monotonic clock. */
static int64_t wall_as_monotonic(void *ctx)
{
	const struct workload_service *w = ctx;

	return w->env->clock_us == NULL ? 0 : w->env->clock_us(w->env->ctx) * 1000;
}

/* ---- writing ------------------------------------------------------------------------------- */

/* The position of the event before those that are being written. */
static int64_t predecessor(const struct run *r, struct store *store)
{
	const char *sql = workload_planted(r->env, "order-by-time")
			      ? "SELECT position FROM events WHERE server_id = ?1 "
				"ORDER BY time_us DESC, position DESC LIMIT 1"
			      : "SELECT max(position) FROM events WHERE server_id = ?1";
	struct err ignored = ERR_INIT;
	int64_t position = -1;

	(void)workload_query_number(store_handle(store), sql, r->server, &position, &ignored);
	return position;
}

static void write_payload(const struct batch *b, size_t i, int64_t before)
{
	char *text = b->payload + i * b->run->payload_bytes;
	int n = snprintf(text, b->run->payload_bytes, "%" PRId64 " stands before, ", before);

	memset(text + n, 'x', b->run->payload_bytes - (size_t)n);
}

/* `work` of a command: the transaction is open. It may run more than once. */
static enum store_code append(struct store *store, void *ctx, struct store_error *e)
{
	struct batch *b = ctx;
	struct run *r = b->run;
	struct store_event events[EVENTS_MAX];
	char ids[EVENTS_MAX][ID_SIZE];
	int64_t before = b->note[0] == '\0' ? predecessor(r, store) : 0;

	for (size_t i = 0; i < b->count; i++) {
		int64_t position = b->first + (int64_t)i;

		if (i > 0)
			move_clock(r);
		(void)snprintf(ids[i], sizeof ids[i], "%s/%" PRId64, r->server, position);
		events[i] = (struct store_event){
		    .event_id = ids[i],
		    .server_id = r->server,
		    .position = position,
		    .time_us = wall_us(r),
		    .kind = b->kind,
		    .payload = b->note,
		    .payload_bytes = strlen(b->note),
		};
		if (b->note[0] != '\0')
			continue;
		write_payload(b, i, i == 0 ? before : position - 1);
		events[i].payload = b->payload + i * r->payload_bytes;
		events[i].payload_bytes = r->payload_bytes;
	}
	enum store_code code = store_events(store, events, b->count, e);

	move_clock(r);
	/* The planted defect: the caller is told while the transaction is still open. */
	if (code == STORE_OK && workload_planted(r->env, "ack-before-commit"))
		r->env->ack(r->env->ctx, b->operation.ack);
	return code;
}

static void batch_init(struct run *r, struct batch *b, size_t count, const char *kind)
{
	*b = (struct batch){.run = r, .first = r->position + 1, .count = count, .kind = kind};
	b->payload = xcalloc(count, r->payload_bytes);
	b->operation.work = append;
	b->operation.context = b;
	r->position += (int64_t)count;
	(void)snprintf(b->operation.ack, sizeof b->operation.ack, "%s %" PRId64, r->server,
		       r->position);
}

/* After its result was delivered. */
static int settle(struct run *r, struct err *err)
{
	int rc = workload_service_settle(&r->w, err);

	if (rc == 0 && r->failed.code != 0) {
		*err = r->failed;
		rc = err->code;
	}
	return rc;
}

static int write_note(struct run *r, const char *kind, int64_t number, const char *what,
		      struct err *err)
{
	struct batch b;
	int rc;

	batch_init(r, &b, 1, kind);
	(void)snprintf(b.note, sizeof b.note, "%" PRId64 " %s", number, what);
	rc = workload_service_submit(&r->w, &b.operation, err);
	if (rc == 0)
		rc = settle(r, err);
	free(b.payload);
	return rc;
}

static bool all_delivered(struct run *r)
{
	bool all;

	(void)pthread_mutex_lock(&r->w.mutex);
	all = r->w.delivered == r->w.submitted;
	(void)pthread_mutex_unlock(&r->w.mutex);
	return all;
}

/* Into the buffer, and then nothing until it is written. */
static int write_buffered(struct run *r, struct batch *b, int64_t *ret_ms, struct err *err)
{
	int64_t begin_ms = elapsed_ms(r), ms;
	int rc = workload_service_buffer(&r->w, &b->operation, err);

	if (rc != 0)
		return rc;
	do {
		if (!r->env->threads)
			workload_service_step(&r->w);
		pause_1_ms(r);
		ms = elapsed_ms(r) - begin_ms;
	} while (!all_delivered(r) && ms < LIMIT_MS);
	*ret_ms = at_most(ms);
	return settle(r, err);
}

static int write_batch(struct run *r, bool buffered, struct err *err)
{
	int64_t waited_ms = 0;
	struct batch b;
	int rc;

	batch_init(r, &b, r->event_count, "data");
	if (buffered) {
		rc = write_buffered(r, &b, &waited_ms, err);
	} else {
		rc = workload_service_submit(&r->w, &b.operation, err);
		if (rc == 0)
			rc = settle(r, err);
	}
	free(b.payload);
	if (rc == 0 && buffered)
		rc = write_note(r, "flush", waited_ms, "ms in the buffer", err);
	return rc;
}

/* ---- locks --------------------------------------------------------------------------------- */

/* The defect "waits-by-wall-clock" again: patience until a time of day. */
struct deadline {
	struct run *run;
	int64_t until_us, begin_ms;
};

static int wait_until_deadline(void *ctx, int round)
{
	struct deadline *d = ctx;

	if (round == 0) {
		d->begin_ms = elapsed_ms(d->run);
		d->until_us = wall_us(d->run) + PATIENCE_MS * 1000;
		move_clock(d->run);
	}
	pause_1_ms(d->run);
	return wall_us(d->run) < d->until_us && elapsed_ms(d->run) - d->begin_ms < LIMIT_MS;
}

static int sql_failed(sqlite3 *db, struct err *err)
{
	return err_set(err, ERR_SQLITE, "store: %s", sqlite3_errmsg(db));
}

/* Somebody else's transaction; the caller closes *ret_db whatever this returns. */
static int hold_lock(struct run *r, sqlite3 **ret_db, struct err *err)
{
	workload_connection(r->env, CONNECTION_BLOCKER);
	if (sqlite3_open(r->env->database, ret_db) != SQLITE_OK ||
	    sqlite3_busy_timeout(*ret_db, BLOCKER_PATIENCE_MS) != SQLITE_OK ||
	    sqlite3_exec(*ret_db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
		return sql_failed(*ret_db, err);
	return 0;
}

/* Milliseconds until SQLite says that the database is locked. */
static int wait_for_lock(struct run *r, int64_t *ret_ms, struct err *err)
{
	struct deadline deadline = {.run = r};
	sqlite3 *db = NULL;
	int rc = 0;

	workload_connection(r->env, CONNECTION_SECOND);
	if (sqlite3_open(r->env->database, &db) != SQLITE_OK) {
		rc = sql_failed(db, err);
		goto out;
	}
	if (workload_planted(r->env, "waits-by-wall-clock"))
		(void)sqlite3_busy_handler(db, wait_until_deadline, &deadline);
	else
		(void)sqlite3_busy_timeout(db, PATIENCE_MS);
	move_clock(r);
	int64_t begin_ms = elapsed_ms(r);
	int code = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

	*ret_ms = at_most(elapsed_ms(r) - begin_ms);
	if (code == SQLITE_OK)
		rc = err_set(err, ERR_SQLITE, "store: two connections hold one lock");
	else if ((code & 0xff) != SQLITE_BUSY)
		rc = sql_failed(db, err);
out:
	(void)sqlite3_close(db);
	return rc;
}

/* Milliseconds until the store says that it is busy. */
static int wait_as_store(struct run *r, struct store *second, int64_t *ret_ms, struct err *err)
{
	struct store_event event = {
	    .event_id = "never",
	    .server_id = r->server,
	    .position = r->position + 1,
	    .kind = "never",
	};
	struct store_error e;

	workload_connection(r->env, CONNECTION_SECOND);
	move_clock(r);
	int64_t begin_ms = elapsed_ms(r);
	enum store_code code = store_events(second, &event, 1, &e);

	*ret_ms = at_most(elapsed_ms(r) - begin_ms);
	if (code == STORE_OK)
		return err_set(err, ERR_SQLITE, "store: two connections hold one lock");
	return code == STORE_ERR_BUSY ? 0 : workload_store_failed(code, &e, err);
}

static int open_second(struct run *r, struct store **ret_store, struct err *err)
{
	struct store_pragma *pragmas;
	struct store_options options =
	    workload_store_options(r->env, STORE_SCHEMA_EVENTS, r->w.migration_count, &pragmas);
	struct store_error e;

	workload_connection(r->env, CONNECTION_SECOND);
	enum store_code code = store_open(r->env->database, &options, ret_store, &e);

	free(pragmas);
	return code == STORE_OK ? 0 : workload_store_failed(code, &e, err);
}

static int meet_locks(struct run *r, struct err *err)
{
	int64_t lock_ms = 0, busy_ms = 0;
	struct store *second = NULL;
	sqlite3 *blocker = NULL;
	int rc = open_second(r, &second, err);

	if (rc == 0) {
		(void)sqlite3_busy_timeout(store_handle(second), PATIENCE_MS);
		rc = hold_lock(r, &blocker, err);
	}
	if (rc == 0)
		rc = wait_for_lock(r, &lock_ms, err);
	if (rc == 0)
		rc = wait_as_store(r, second, &busy_ms, err);
	workload_connection(r->env, CONNECTION_BLOCKER);
	(void)sqlite3_close(blocker);
	workload_connection(r->env, CONNECTION_SECOND);
	store_close(second);
	workload_connection(r->env, WORKLOAD_WRITER);
	if (rc == 0)
		rc = write_note(r, "lock", lock_ms, "ms until SQLite gave up", err);
	if (rc == 0)
		rc = write_note(r, "busy", busy_ms, "ms until the store gave up", err);
	return rc;
}

/* ---- checkpoints and order ----------------------------------------------------------------- */

static bool never(void *context, const struct store_wal_state *state, bool *ret_checkpoint,
		  enum store_checkpoint_mode *ret_mode)
{
	(void)context;
	(void)state;
	(void)ret_mode;
	*ret_checkpoint = false;
	return true;
}

static int64_t log_bytes(sqlite3 *db)
{
	sqlite3_file *log = NULL;
	sqlite3_int64 size = 0;

	if (sqlite3_exec(db, "SELECT 1 FROM sqlite_master", NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) != SQLITE_OK ||
	    log == NULL || log->pMethods == NULL ||
	    log->pMethods->xFileSize(log, &size) != SQLITE_OK)
		return 0;
	return size;
}

static uint64_t checkpoints_done(struct run *r)
{
	struct store_service_state state;

	store_service_state(r->w.service, &state);
	return state.checkpoints - state.checkpoints_busy;
}

/* Something is written, and then nothing; the log must be moved into the database before long. It
 * is enough that this service's checkpointer has done it once: another process may be writing. And
 * it must have a reason: a checkpointer that has found the log empty sleeps until its own service
 * commits, whatever another process leaves in the log. */
static int await_checkpoint(struct run *r, struct err *err)
{
	uint64_t done = checkpoints_done(r);
	int rc = write_note(r, "rest", 0, "is written after this", err);
	int64_t begin_ms = elapsed_ms(r), bytes;
	sqlite3 *db = NULL;

	if (rc != 0)
		return rc;
	workload_connection(r->env, WORKLOAD_READER);
	if (sqlite3_open_v2(r->env->database, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK) {
		(void)sql_failed(db, err);
		(void)sqlite3_close(db);
		return err->code;
	}
	for (;;) {
		workload_connection(r->env, WORKLOAD_READER);
		bytes = log_bytes(db);
		if (checkpoints_done(r) > done)
			bytes = 0;
		if (bytes == 0 || elapsed_ms(r) - begin_ms >= LIMIT_MS)
			break;
		workload_connection(r->env, WORKLOAD_CHECKPOINTER);
		if (!r->env->threads)
			(void)store_service_checkpoint_step(r->w.service, NULL, NULL);
		pause_1_ms(r);
	}
	workload_connection(r->env, WORKLOAD_READER);
	(void)sqlite3_close(db);
	workload_connection(r->env, WORKLOAD_WRITER);
	return write_note(r, "log", bytes, "bytes are left in the log", err);
}

static int check_order(struct run *r, struct err *err)
{
	struct store_cursor *cursor = NULL;
	struct store_record record;
	struct store *reader = NULL;
	struct store_error e;
	int64_t expected = 1, wrong = 0;
	bool found = true;
	int rc = workload_service_reader(&r->w, &reader, err);

	if (rc != 0)
		return rc;
	enum store_code code =
	    workload_planted(r->env, "order-by-time")
		? store_cursor_open_by_time(reader, INT64_MIN, INT64_MAX, &cursor, &e)
		: store_cursor_open_by_server(reader, r->server, 1, INT64_MAX, &cursor, &e);

	while (code == STORE_OK && found) {
		code = store_cursor_next(cursor, &record, &found, &e);
		if (code != STORE_OK || !found || strcmp(record.event.server_id, r->server) != 0)
			continue;
		wrong += record.event.position != expected++;
	}
	store_cursor_close(cursor);
	workload_service_give(&r->w, reader);
	if (code != STORE_OK)
		return workload_store_failed(code, &e, err);
	return write_note(r, "order", wrong, "events are read out of order", err);
}

/* ---- the run ------------------------------------------------------------------------------- */

/* A writer that was killed goes on after its last event that is there. */
static int find_position(struct run *r, struct err *err)
{
	struct store *reader = NULL;
	int rc = workload_service_reader(&r->w, &reader, err);

	if (rc != 0)
		return rc;
	rc = workload_query_number(store_handle(reader),
				   "SELECT max(position) FROM events WHERE server_id = ?1",
				   r->server, &r->position, err);
	workload_service_give(&r->w, reader);
	return rc;
}

static int open_service(struct run *r, struct err *err)
{
	static const struct store_strategy idle = {.name = "never", .decide = never};
	struct store_service_options options = {
	    .wal_bytes_max = (uint64_t)workload_param(&workload_clock, r->env->params, "wal_bytes"),
	    .interval_ms = INTERVAL_MS,
	    .buffer_after_ms = BUFFER_MS,
	};

	if (workload_planted(r->env, "never-checkpoints")) {
		options.strategies = &idle;
		options.strategy_count = 1;
	}
	if (workload_planted(r->env, "waits-by-wall-clock"))
		r->w.monotonic_ns = wall_as_monotonic;
	return workload_service_open(&r->w, r->w.migration_count, &options, err);
}

static int run_all(struct run *r, struct err *err)
{
	int64_t batches = workload_param(&workload_clock, r->env->params, "batches");
	int rc = open_service(r, err);

	if (rc == 0)
		rc = find_position(r, err);
	for (int64_t i = 0; i < batches && rc == 0; i++) {
		if (r->env->stop != NULL && r->env->stop(r->env->ctx))
			break;
		rc = write_batch(r, i % 2 == 1, err);
		if (rc == 0 && i == 0)
			rc = meet_locks(r, err);
		if (rc == 0 && i == batches / 2)
			rc = await_checkpoint(r, err);
	}
	if (rc == 0)
		rc = check_order(r, err);
	if (rc == 0)
		rc = await_checkpoint(r, err);
	return rc == 0 ? workload_service_close(&r->w, err) : rc;
}

static int clock_run(const struct workload_env *env, struct err *err)
{
	struct run r = {
	    .env = env,
	    .event_count = (size_t)workload_param(&workload_clock, env->params, "events"),
	    .payload_bytes = (size_t)workload_param(&workload_clock, env->params, "payload"),
	};

	if (workload_store_usable(err) != 0)
		return err->code;
	(void)snprintf(r.server, sizeof r.server, "server-%u", env->worker);
	workload_service_init(&r.w, env, STORE_SCHEMA_EVENTS, 0);
	int rc = run_all(&r, err);

	workload_service_release(&r.w);
	return rc;
}

const struct workload workload_clock = {
    .name = "store.clock",
    .summary = "events through queue and buffer while the time of day is moved (@clock)",
    .params = params,
    .param_count = sizeof params / sizeof params[0],
    .defects = defects,
    .defect_count = sizeof defects / sizeof defects[0],
    .promise_sql = "SELECT server_id, count(*), min(position), max(position) FROM events "
		   "GROUP BY server_id ORDER BY server_id",
    .run = clock_run,
};
