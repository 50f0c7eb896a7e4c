/*
 * The writer process of the real kills: reads its job, waits until all writers are let go, works,
 * and reports every promise at once. See kill.h and kill_internal.h.
 *
 * It is the same program executed again, not only forked, so that a library given by LD_PRELOAD
 * (libfaketime, another SQLite) is in place before SQLite asks it anything.
 *
 * A promise is reported after the call that gave it has returned, by one write(2) of less than
 * PIPE_BUF bytes: a kill leaves the whole record in the pipe or nothing of it.
 *
 * Clients wait for each other as applications do: a transaction that meets SQLITE_BUSY is rolled
 * back and begun again. Random numbers (`:r`) are a function of seed, client and
 * transaction, so that a writer which goes on where another was killed draws the same ones.
 */
#include "harness/drive/kill.h"
#include "harness/drive/kill_internal.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/prng.h"
#include "harness/drive/observe.h"
#include "harness/drive/workload.h"
#include "store/store.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
	BUSY_TIMEOUT_MS = 1000,
	BUSY_RETRIES_MAX = 30, /* each after the timeout, or at once where SQLite sees a deadlock */
	BUSY_PAUSE_US = 1000,
};

_Static_assert(KILL_RECORD_SIZE_MAX <= PIPE_BUF, "a record is written whole or not at all");

struct writer {
	struct kill_job job;
	struct observer observer;
	int out;
	char impure[KILL_TEXT_SIZE];
	pthread_mutex_t reporting; /* a workload may report from any thread */
};

struct client {
	const struct kill_client *spec;
	sqlite3 *db;
	struct kill_position at;
};

/* ---- reports ---- */

static void report(struct writer *w, const struct kill_record *r)
{
	struct buf b;

	buf_init(&b);
	kill_record_encode(r, &b);
	(void)pthread_mutex_lock(&w->reporting);
	/* Nobody is there to be told that this failed: without its parent a writer ends. */
	if (write(w->out, b.data, b.size) != (ssize_t)b.size)
		_exit(1);
	(void)pthread_mutex_unlock(&w->reporting);
	buf_release(&b);
}

static void report_failure(struct writer *w, const struct err *err)
{
	struct kill_record r = {.type = KILL_RECORD_FAILED, .code = err->code};

	(void)snprintf(r.text, sizeof r.text, "%s", err->message);
	report(w, &r);
}

static void report_text(void *ctx, const char *text)
{
	struct kill_record r = {.type = KILL_RECORD_TEXT};

	ASSERT_OP(strlen(text), <, KILL_TEXT_SIZE);
	(void)snprintf(r.text, sizeof r.text, "%s", text);
	report(ctx, &r);
}

/* ---- connections ---- */

static int sql_failed(const struct writer *w, int line, sqlite3 *db, struct err *err)
{
	return err_set(err, ERR_INPUT, "%s:%d: %s", w->job.path, line, sqlite3_errmsg(db));
}

static int run_sql(const struct writer *w, sqlite3 *db, const char *sql, struct err *err)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return err_set(err, ERR_INPUT, "%s: %s: %s", w->job.path, sql, sqlite3_errmsg(db));
	return 0;
}

static int load_extension(const struct writer *w, sqlite3 *db, const char *file, struct err *err)
{
	char *message = NULL;
	int rc = 0;

	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL);
	if (sqlite3_load_extension(db, file, NULL, &message) != SQLITE_OK)
		rc = err_set(err, ERR_INPUT, "%s: @load %s: %s", w->job.path, file,
			     message == NULL ? "failed" : message);
	sqlite3_free(message);
	return rc;
}

static bool is_busy(sqlite3 *db)
{
	int rc = sqlite3_errcode(db) & 0xff;

	return rc == SQLITE_BUSY || rc == SQLITE_LOCKED;
}

/* Extensions, attached files, pragmas. Processes that start together are in each other's way here:
 * to set a journal mode takes a lock, for which SQLite does not always wait. */
static int prepare_connection(struct writer *w, sqlite3 *db, struct err *err)
{
	const struct subject *s = w->job.subject;
	int rc = 0;

	for (size_t i = 0; i < s->load_count && rc == 0; i++)
		rc = load_extension(w, db, s->loads[i], err);
	for (size_t i = 0; i < s->attached_count && rc == 0; i++) {
		char *name = quote_identifier(s->attached[i].name);
		char *sql = sqlite3_mprintf("ATTACH %Q AS %s", s->attached[i].file, name);

		rc = run_sql(w, db, sql, err);
		sqlite3_free(sql);
		free(name);
	}
	for (size_t i = 0; i < w->observer.pragma_count && rc == 0; i++) {
		unsigned retries = 0;

		while ((rc = run_sql(w, db, w->observer.pragma_sql[i], err)) != 0 && is_busy(db) &&
		       retries++ < BUSY_RETRIES_MAX)
			(void)usleep(BUSY_PAUSE_US);
	}
	return rc;
}

static int connect_database(struct writer *w, sqlite3 **ret_db, struct err *err)
{
	const char *path = w->job.subject->database;
	sqlite3 *db = NULL;
	int rc = 0;

	if (sqlite3_open(path, &db) != SQLITE_OK)
		rc = err_set(err, ERR_INPUT, "%s: cannot open the database: %s", w->job.path,
			     sqlite3_errmsg(db));
	if (rc == 0) {
		(void)sqlite3_extended_result_codes(db, 1);
		(void)sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
		rc = prepare_connection(w, db, err);
	}
	if (rc != 0) {
		(void)sqlite3_close(db);
		return rc;
	}
	*ret_db = db;
	return 0;
}

static int disconnect(struct writer *w, sqlite3 *db, struct err *err)
{
	if (sqlite3_close(db) != SQLITE_OK)
		return err_set(err, ERR_INPUT, "%s: cannot close a connection: %s", w->job.path,
			       sqlite3_errmsg(db));
	return 0;
}

/* ---- setup ---- */

static int run_setup(struct writer *w, struct err *err)
{
	const struct statement_list *list = &w->job.setup;
	sqlite3 *db;
	int rc = connect_database(w, &db, err);

	if (rc != 0)
		return rc;
	for (size_t i = 0; i < list->count && rc == 0; i++)
		if (sqlite3_exec(db, list->items[i].sql, NULL, NULL, NULL) != SQLITE_OK)
			rc = sql_failed(w, list->items[i].line, db, err);
	if (rc == 0 && !sqlite3_get_autocommit(db))
		rc = err_set(err, ERR_INPUT, "%s: @setup ends inside a transaction", w->job.path);
	if (rc != 0) {
		(void)sqlite3_close(db);
		return rc;
	}
	return disconnect(w, db, err);
}

/* ---- clients ---- */

static void bind_parameters(const struct writer *w, sqlite3_stmt *stmt, const struct client *c,
			    struct prng *random)
{
	for (int i = sqlite3_bind_parameter_count(stmt); i > 0; i--) {
		const char *name = sqlite3_bind_parameter_name(stmt, i);

		if (name == NULL)
			continue;
		if (strcmp(name, ":i") == 0)
			(void)sqlite3_bind_int64(stmt, i, c->at.repetition);
		else if (strcmp(name, ":client") == 0)
			(void)sqlite3_bind_text(stmt, i, c->spec->name, -1, SQLITE_STATIC);
		else if (strcmp(name, ":seed") == 0)
			(void)sqlite3_bind_int64(stmt, i, (sqlite3_int64)w->job.subject->seed);
		else if (strcmp(name, ":r") == 0)
			(void)sqlite3_bind_int64(stmt, i, (sqlite3_int64)(prng_next(random) >> 1));
	}
}

enum outcome { DONE, BUSY, FAILED };

static enum outcome run_statement(const struct writer *w, const struct client *c,
				  const struct statement *st, struct prng *random, bool *ret_failed,
				  struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(c->db, st->sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK) {
		bind_parameters(w, stmt, c, random);
		while (sqlite3_step(stmt) == SQLITE_ROW)
			;
		rc = sqlite3_finalize(stmt);
	}
	*ret_failed = rc != SQLITE_OK;
	if (rc == SQLITE_OK)
		return DONE;
	if (!is_busy(c->db) && st->may_fail) {
		/* A failed statement ends its transaction; the rest of it is skipped. */
		if (!sqlite3_get_autocommit(c->db))
			(void)sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
		return DONE;
	}
	(void)sql_failed(w, st->line, c->db, err);
	(void)err_context(err, "client '%s'", c->spec->name);
	return is_busy(c->db) ? BUSY : FAILED;
}

/* What follows a transaction that a failed statement ended belongs to it. */
static void skip_rest(struct client *c)
{
	const struct statement_list *list = &c->spec->statements;

	while (c->at.statement < list->count &&
	       strncasecmp(list->items[c->at.statement].sql, "BEGIN", 5) != 0)
		c->at.statement++;
}

/* Statements up to the end of a transaction, once. *ret_done after the last repetition. */
static enum outcome try_turn(struct writer *w, struct client *c, bool *ret_done, struct err *err)
{
	const struct statement_list *list = &c->spec->statements;
	struct prng random;

	prng_init(&random, prng_mix(prng_mix(w->job.subject->seed) + c->spec->index) + c->at.turn,
		  "workload");
	for (;;) {
		if (c->at.statement == list->count) {
			c->at.statement = 0;
			c->at.repetition++;
		}
		if (c->at.repetition > c->spec->repeat) {
			*ret_done = true;
			return DONE;
		}
		const struct statement *st = &list->items[c->at.statement++];
		bool was_open = !sqlite3_get_autocommit(c->db);
		bool failed = false;
		enum outcome outcome = run_statement(w, c, st, &random, &failed, err);

		if (outcome != DONE)
			return outcome;
		if (!sqlite3_get_autocommit(c->db))
			continue;
		c->at.turn++;
		if (was_open && failed)
			skip_rest(c);
		return DONE;
	}
}

static int client_turn(struct writer *w, struct client *c, bool *ret_done, struct err *err)
{
	struct kill_position begin = c->at;

	for (unsigned retries = 0;; retries++) {
		enum outcome outcome = try_turn(w, c, ret_done, err);

		if (outcome == DONE)
			return 0;
		if (!sqlite3_get_autocommit(c->db))
			(void)sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
		if (outcome == FAILED || retries == BUSY_RETRIES_MAX)
			return err->code;
		c->at = begin;
		(void)usleep(BUSY_PAUSE_US);
	}
}

/* A client that ends inside a transaction is refused when the scenario is recorded; here its last
 * transaction is simply not there. */
static int run_clients(struct writer *w, struct err *err)
{
	struct client *clients = xcalloc(w->job.client_count, sizeof *clients);
	int rc = 0;

	for (size_t i = 0; i < w->job.client_count && rc == 0; i++) {
		clients[i] =
		    (struct client){.spec = &w->job.clients[i], .at = w->job.clients[i].from};
		rc = connect_database(w, &clients[i].db, err);
	}
	for (bool busy = true; busy && rc == 0;) {
		busy = false;
		for (size_t i = 0; i < w->job.client_count && rc == 0; i++) {
			struct kill_record r = {.type = KILL_RECORD_TURN,
						.client = clients[i].spec->index};
			bool done = false;

			rc = client_turn(w, &clients[i], &done, err);
			if (rc != 0 || done)
				continue;
			busy = true;
			r.position = clients[i].at;
			report(w, &r);
		}
	}
	for (size_t i = 0; i < w->job.client_count; i++) {
		if (rc == 0)
			rc = disconnect(w, clients[i].db, err);
		else
			(void)sqlite3_close(clients[i].db);
	}
	free(clients);
	return rc;
}

/* ---- reference ---- */

/* SQL functions that answer differently each time. Who calls one cannot be compared with a second
 * run. */
struct impure {
	const char *name;
	int argument_count;
	struct writer *writer;
};

static struct impure impures[] = {
    {"random", 0, NULL},       {"randomblob", 1, NULL},	       {"current_time", 0, NULL},
    {"current_date", 0, NULL}, {"current_timestamp", 0, NULL}, {"date", -1, NULL},
    {"time", -1, NULL},	       {"datetime", -1, NULL},	       {"julianday", -1, NULL},
    {"unixepoch", -1, NULL},   {"strftime", -1, NULL},
};

static void call_impure(sqlite3_context *context, int count, sqlite3_value **values)
{
	const struct impure *f = sqlite3_user_data(context);

	(void)count;
	(void)values;
	(void)snprintf(f->writer->impure, sizeof f->writer->impure, "%s()", f->name);
	sqlite3_result_error(context, "answers differently each time", -1);
}

/* Functions of the same name on the connection are called instead of SQLite's own, wherever they
 * stand: in triggers and default values too, which no look at the statement would show. */
static int connect_reference(struct writer *w, sqlite3 **ret_db, struct err *err)
{
	int rc = connect_database(w, ret_db, err);

	for (size_t i = 0; i < sizeof impures / sizeof impures[0] && rc == 0; i++) {
		impures[i].writer = w;
		(void)sqlite3_create_function_v2(*ret_db, impures[i].name,
						 impures[i].argument_count, SQLITE_UTF8,
						 &impures[i], call_impure, NULL, NULL, NULL);
	}
	return rc;
}

static int report_state(struct writer *w, const struct client *c, struct err *err)
{
	struct kill_record r = {.type = KILL_RECORD_STATE, .position = c->at};
	struct observation o = {0};

	/* The state is what the client itself sees between its transactions, and looking at it must
	 * not change the client's connection. */
	struct observer look = w->observer;

	look.one_connection = true;
	look.pragma_count = look.pragma_early_count = 0;
	observer_observe(&look, c->db, &o);
	if (o.rc != 0) {
		(void)err_set(err, ERR_INPUT, "%s: %s", w->job.path, o.failed);
		observation_release(&o);
		return err->code;
	}
	r.file_count = (uint32_t)o.file_count;
	for (size_t f = 0; f < o.file_count; f++)
		r.states[f] = o.files[f].state;
	observation_release(&o);
	report(w, &r);
	return 0;
}

static int run_reference(struct writer *w, struct err *err)
{
	struct client c = {.spec = &w->job.clients[0], .at = w->job.clients[0].from};
	int rc = connect_reference(w, &c.db, err);

	if (rc != 0)
		return rc;
	rc = report_state(w, &c, err);
	for (bool done = false; rc == 0;) {
		rc = client_turn(w, &c, &done, err);
		if (rc != 0 || done || w->impure[0] != '\0')
			break;
		rc = report_state(w, &c, err);
		if (c.at.turn > KILL_REFERENCE_TURNS_MAX)
			break;
		if (rc == 0 && w->job.reopen) {
			rc = disconnect(w, c.db, err);
			c.db = NULL;
			if (rc == 0)
				rc = connect_reference(w, &c.db, err);
		}
	}
	(void)sqlite3_close(c.db);
	if (w->impure[0] != '\0') {
		struct kill_record r = {.type = KILL_RECORD_IMPURE};

		(void)snprintf(r.text, sizeof r.text, "%s", w->impure);
		report(w, &r);
		return 0;
	}
	return rc;
}

/* ---- workloads ---- */

static int run_workload(struct writer *w, struct err *err)
{
	const struct workload *workload = workload_find(w->job.workload);
	struct workload_env env = {
	    .database = w->job.subject->database,
	    .pragmas = &w->job.subject->pragmas,
	    .params = &w->job.params,
	    .plant = w->job.plant,
	    .seed = w->job.seed,
	    .worker = w->job.worker,
	    .files = store_files_posix(),
	    .threads = true,
	    .ack = report_text,
	    .ctx = w,
	};

	if (workload == NULL)
		return err_set(err, ERR_HARNESS, "there is no workload '%s'", w->job.workload);
	return workload->run(&env, err);
}

/* ---- the process ---- */

bool kill_is_writer(void)
{
	return getenv(KILL_ENVIRONMENT) != NULL;
}

static int read_job(int fd, struct kill_job *ret_job, struct err *err)
{
	struct buf text;
	ssize_t n;
	int rc = 0;

	buf_init(&text);
	do {
		buf_reserve(&text, PIPE_BUF);
		n = read(fd, text.data + text.size, PIPE_BUF);
		if (n > 0)
			text.size += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0)
		rc = err_set(err, ERR_HARNESS, "cannot read a job: %s", strerror(errno));
	else
		rc = kill_job_decode((const char *)text.data, text.size, ret_job, err);
	buf_release(&text);
	(void)close(fd);
	return rc;
}

/* All writers begin together: when the other end is closed. */
static void wait_for_start(int fd)
{
	char byte;

	while (read(fd, &byte, 1) < 0 && errno == EINTR)
		;
	(void)close(fd);
}

static int work(struct writer *w, struct err *err)
{
	switch (w->job.role) {
	case KILL_ROLE_SETUP:
		return run_setup(w, err);
	case KILL_ROLE_REFERENCE:
		if (w->job.client_count != 1)
			return err_set(err, ERR_HARNESS, "a reference has one client");
		return run_reference(w, err);
	case KILL_ROLE_WRITER:
		break;
	}
	return w->job.workload != NULL ? run_workload(w, err) : run_clients(w, err);
}

int kill_writer_main(void)
{
	const char *fds = getenv(KILL_ENVIRONMENT);
	struct writer w = {.reporting = PTHREAD_MUTEX_INITIALIZER};
	struct kill_record started = {.type = KILL_RECORD_STARTED};
	struct kill_record done = {.type = KILL_RECORD_DONE};
	struct err err = ERR_INIT;
	int job, go, rc;

	/* /proc/self/exe was executed, and names the process "exe". */
	(void)prctl(PR_SET_NAME, "plugpull-writer");
	if (fds == NULL || sscanf(fds, "%d %d %d", &job, &go, &w.out) != 3)
		return err_exit_code(ERR_USAGE);
	rc = read_job(job, &w.job, &err);
	if (rc == 0)
		rc = fi_vfs_kill_register(&err);
	if (rc != 0)
		goto out;
	observer_init(&w.observer, w.job.subject, NULL);
	started.clock = (int64_t)time(NULL);
	report(&w, &started);
	wait_for_start(go);
	fi_vfs_kill_arm(w.job.plan);
	rc = work(&w, &err);
	done.counts = fi_vfs_kill_counts();
out:
	if (rc == 0)
		report(&w, &done);
	else
		report_failure(&w, &err);
	observer_release(&w.observer);
	kill_job_release(&w.job);
	return rc == 0 ? 0 : 1;
}
