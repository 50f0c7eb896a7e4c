/*
 * What a writer process of the real kills does: clients of a scenario, a workload, @setup, or the
 * reference. See kill.h and kill_internal.h.
 *
 * Clients wait for each other as applications do: a transaction that meets SQLITE_BUSY is rolled
 * back and begun again. Random numbers (`:r`) are a function of seed, client and
 * transaction, so that a writer which goes on where another was killed draws the same ones.
 */
#include "harness/drive/kill_internal.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/prng.h"
#include "harness/drive/observe.h"
#include "harness/drive/workload.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
	BUSY_RETRIES_MAX = 30, /* each after the timeout, or at once where SQLite sees a deadlock */
	BUSY_PAUSE_US = 1000,
};

struct client {
	const struct kill_client *spec;
	sqlite3 *db;
	struct kill_position at;
};

static void report_text(void *ctx, const char *text)
{
	struct kill_record r = {.type = KILL_RECORD_TEXT};
	struct err err = ERR_INIT;

	ASSERT_OP(strlen(text), <, KILL_TEXT_SIZE);
	(void)snprintf(r.text, sizeof r.text, "%s", text);
	kill_report(ctx, &r);
	if (kill_clock_move(NULL, &err) == 0)
		return;
	/* A round without the clock that it was to have proves nothing. */
	r = (struct kill_record){.type = KILL_RECORD_FAILED, .code = err.code};
	(void)snprintf(r.text, sizeof r.text, "%s", err.message);
	kill_report(ctx, &r);
	_exit(1);
}

static int sql_failed(const struct kill_process *w, int line, sqlite3 *db, struct err *err)
{
	return err_set(err, ERR_INPUT, "%s:%d: %s", w->job->path, line, sqlite3_errmsg(db));
}

static int disconnect(struct kill_process *w, sqlite3 *db, struct err *err)
{
	if (sqlite3_close(db) != SQLITE_OK)
		return err_set(err, ERR_INPUT, "%s: cannot close a connection: %s", w->job->path,
			       sqlite3_errmsg(db));
	return 0;
}

/* ---- setup ---- */

static int run_setup(struct kill_process *w, struct err *err)
{
	const struct statement_list *list = &w->job->setup;
	sqlite3 *db;
	int rc = kill_connect(w, true, &db, err);

	if (rc != 0)
		return rc;
	for (size_t i = 0; i < list->count && rc == 0; i++)
		if (sqlite3_exec(db, list->items[i].sql, NULL, NULL, NULL) != SQLITE_OK)
			rc = sql_failed(w, list->items[i].line, db, err);
	if (rc == 0 && !sqlite3_get_autocommit(db))
		rc = err_set(err, ERR_INPUT, "%s: @setup ends inside a transaction", w->job->path);
	if (rc != 0) {
		(void)sqlite3_close(db);
		return rc;
	}
	return disconnect(w, db, err);
}

/* ---- clients ---- */

static void bind_parameters(const struct kill_process *w, sqlite3_stmt *stmt,
			    const struct client *c, struct prng *random)
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
			(void)sqlite3_bind_int64(stmt, i, (sqlite3_int64)w->job->subject->seed);
		else if (strcmp(name, ":r") == 0)
			(void)sqlite3_bind_int64(stmt, i, (sqlite3_int64)(prng_next(random) >> 1));
	}
}

enum outcome { DONE, BUSY, FAILED };

static enum outcome run_statement(const struct kill_process *w, const struct client *c,
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
	if (!kill_is_busy(c->db) && st->may_fail) {
		/* A failed statement ends its transaction; the rest of it is skipped. */
		if (!sqlite3_get_autocommit(c->db))
			(void)sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
		return DONE;
	}
	(void)sql_failed(w, st->line, c->db, err);
	(void)err_context(err, "client '%s'", c->spec->name);
	return kill_is_busy(c->db) ? BUSY : FAILED;
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
static enum outcome try_turn(struct kill_process *w, struct client *c, bool *ret_done,
			     struct err *err)
{
	const struct statement_list *list = &c->spec->statements;
	struct prng random;

	prng_init(&random, prng_mix(prng_mix(w->job->subject->seed) + c->spec->index) + c->at.turn,
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

		if (was_open && kill_clock_move(NULL, err) != 0)
			return FAILED;
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

static int client_turn(struct kill_process *w, struct client *c, bool *ret_done, struct err *err)
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
static int run_clients(struct kill_process *w, struct err *err)
{
	struct client *clients = xcalloc(w->job->client_count, sizeof *clients);
	int rc = 0;

	for (size_t i = 0; i < w->job->client_count && rc == 0; i++) {
		clients[i] =
		    (struct client){.spec = &w->job->clients[i], .at = w->job->clients[i].from};
		rc = kill_connect(w, true, &clients[i].db, err);
	}
	for (bool busy = true; busy && rc == 0;) {
		busy = false;
		for (size_t i = 0; i < w->job->client_count && rc == 0; i++) {
			struct kill_record r = {.type = KILL_RECORD_TURN,
						.client = clients[i].spec->index};
			bool done = false;

			rc = client_turn(w, &clients[i], &done, err);
			if (rc != 0 || done)
				continue;
			busy = true;
			r.position = clients[i].at;
			kill_report(w, &r);
		}
	}
	for (size_t i = 0; i < w->job->client_count; i++) {
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
	struct kill_process *writer;
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
static int connect_reference(struct kill_process *w, sqlite3 **ret_db, struct err *err)
{
	int rc = kill_connect(w, true, ret_db, err);

	for (size_t i = 0; i < sizeof impures / sizeof impures[0] && rc == 0; i++) {
		impures[i].writer = w;
		(void)sqlite3_create_function_v2(*ret_db, impures[i].name,
						 impures[i].argument_count, SQLITE_UTF8,
						 &impures[i], call_impure, NULL, NULL, NULL);
	}
	return rc;
}

static int report_state(struct kill_process *w, const struct client *c, struct err *err)
{
	struct kill_record r = {.type = KILL_RECORD_STATE, .position = c->at};
	struct observation o = {0};

	/* The state is what the client itself sees between its transactions, and looking at it must
	 * not change the client's connection. */
	struct observer look = *w->observer;

	look.one_connection = true;
	look.pragma_count = look.pragma_early_count = 0;
	observer_observe(&look, c->db, &o);
	if (o.rc != 0) {
		(void)err_set(err, ERR_INPUT, "%s: %s", w->job->path, o.failed);
		observation_release(&o);
		return err->code;
	}
	r.file_count = (uint32_t)o.file_count;
	for (size_t f = 0; f < o.file_count; f++)
		r.states[f] = o.files[f].state;
	observation_release(&o);
	kill_report(w, &r);
	return 0;
}

static int run_reference(struct kill_process *w, struct err *err)
{
	struct client c = {.spec = &w->job->clients[0], .at = w->job->clients[0].from};
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
		if (rc == 0 && w->job->reopen) {
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
		kill_report(w, &r);
		return 0;
	}
	return rc;
}

/* ---- workloads ---- */

static int run_workload(struct kill_process *w, struct err *err)
{
	const struct workload *workload = workload_find(w->job->workload);
	struct workload_env env = {
	    .database = w->job->subject->database,
	    .pragmas = &w->job->subject->pragmas,
	    .params = &w->job->params,
	    .plant = w->job->plant,
	    .seed = w->job->seed,
	    .worker = w->job->worker,
	    .files = kill_files(w->log, w->job->plant),
	    .threads = true,
	    .ack = report_text,
	    .clock_us = kill_clock_has_plan() ? kill_clock_us : NULL,
	    .clock_move = kill_clock_has_plan() ? kill_clock_move : NULL,
	    .ctx = w,
	};

	if (workload == NULL)
		return err_set(err, ERR_HARNESS, "there is no workload '%s'", w->job->workload);
	return workload->run(&env, err);
}

/* ---- all of it ---- */

int kill_writer_work(struct kill_process *w, struct err *err)
{
	switch (w->job->role) {
	case KILL_ROLE_SETUP:
		return run_setup(w, err);
	case KILL_ROLE_REFERENCE:
		if (w->job->client_count != 1)
			return err_set(err, ERR_HARNESS, "a reference has one client");
		return run_reference(w, err);
	case KILL_ROLE_WRITER:
	case KILL_ROLE_READER:
	case KILL_ROLE_CHECKPOINTER:
		break;
	}
	return w->job->workload != NULL ? run_workload(w, err) : run_clients(w, err);
}
