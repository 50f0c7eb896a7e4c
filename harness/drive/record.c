/*
 * See record.h. Everything that is recorded is a function of scenario, case and seed: one thread,
 * one virtual machine, turns in the order in which the clients stand in the file.
 */
#include "harness/drive/record.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/base/prng.h"
#include "faultinject/disk.h"
#include "faultinject/trace_image.h"
#include "faultinject/vfs.h"
#include "harness/case/version.h"
#include "harness/drive/observe.h"
#include "harness/drive/plant.h"
#include "harness/drive/statements.h"
#include "harness/drive/watch.h"
#include "harness/drive/workload.h"
#include "harness/drive/workload_files.h"

#include <ctype.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	BUSY_TIMEOUT_MS = 1000,	 /* of the virtual clock */
	WORKLOAD_CONNECTION = 2, /* the first number of a workload's; @setup is 1 */
};

struct recording {
	const struct scenario *scenario;
	const struct case_spec *spec;
	const struct subject *subject;
	struct observer observer; /* for its list of pragmas */
	struct disk *disk;
	struct storage *storage;
	char *skip_reason;
};

struct client_run {
	const struct scenario_client *client;
	sqlite3 *db;
	uint16_t connection;
	uint32_t repetition;
	size_t next;	    /* statement */
	const char *opener; /* the statement that began the open transaction */
	struct prng random;
};

static void act_as(struct recording *r, uint32_t process, uint16_t connection)
{
	r->storage->actor = (struct storage_actor){(uint16_t)process, 1, connection};
}

/* `client` is NULL outside of a client's section. */
static int sql_failed(const struct recording *r, int line, const char *client, sqlite3 *db,
		      struct err *err)
{
	char who[128] = "";

	if (client != NULL)
		(void)snprintf(who, sizeof who, "client '%.100s': ", client);
	if (watch_stopped())
		return err_set(err, ERR_INTERRUPTED, "%s:%d: %sstopped", r->scenario->path, line,
			       who);
	return err_set(err, ERR_INPUT, "%s:%d: %s%s", r->scenario->path, line, who,
		       watch_hung() ? "the statement does not end" : sqlite3_errmsg(db));
}

/* Some settings are answered with what they became; one that did not take makes the case
 * impossible, which is not the scenario's fault. */
static void check_setting(struct recording *r, const char *sql, const char *answer)
{
	const char *wanted = kv_find(&r->subject->pragmas, "journal_mode");

	if (r->skip_reason == NULL && strstr(sql, ".journal_mode =") != NULL && wanted != NULL &&
	    strcasecmp(wanted, answer) != 0)
		r->skip_reason =
		    xasprintf("journal_mode=%s did not take: SQLite answers '%s'", wanted, answer);
}

static int apply_pragma(struct recording *r, sqlite3 *db, const char *sql, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
			check_setting(r, sql, (const char *)sqlite3_column_text(stmt, 0));
	if (sqlite3_finalize(stmt) != SQLITE_OK || (rc != SQLITE_OK && rc != SQLITE_DONE))
		return err_set(err, ERR_INPUT, "%s: %s: %s", r->scenario->path, sql,
			       sqlite3_errmsg(db));
	return 0;
}

/* A connection of the scenario: extensions, attached files, pragmas. */
static int connect(struct recording *r, sqlite3 **ret_db, struct err *err)
{
	const struct subject *s = r->subject;
	sqlite3 *db = NULL;
	int rc = 0;

	if (sqlite3_open(s->database, &db) != SQLITE_OK) {
		rc = err_set(err, ERR_INPUT, "%s: cannot open the database: %s", r->scenario->path,
			     sqlite3_errmsg(db));
		goto out;
	}
	(void)sqlite3_extended_result_codes(db, 1);
	watch_connection(db);
	(void)sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
	for (size_t i = 0; i < s->load_count && rc == 0; i++) {
		char *message = NULL;
		(void)sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL);
		if (sqlite3_load_extension(db, s->loads[i], NULL, &message) != SQLITE_OK)
			rc = err_set(err, ERR_INPUT, "%s: @load %s: %s", r->scenario->path,
				     s->loads[i], message == NULL ? "failed" : message);
		sqlite3_free(message);
	}
	for (size_t i = 0; i < s->attached_count && rc == 0; i++) {
		char *name = quote_identifier(s->attached[i].name);
		char *sql = sqlite3_mprintf("ATTACH %Q AS %s", s->attached[i].file, name);
		rc = apply_pragma(r, db, sql, err);
		sqlite3_free(sql);
		free(name);
	}
	for (size_t i = 0; i < r->observer.pragma_count && rc == 0; i++)
		rc = apply_pragma(r, db, r->observer.pragma_sql[i], err);
out:
	if (rc != 0) {
		(void)sqlite3_close(db);
		return rc;
	}
	*ret_db = db;
	return 0;
}

/* Closing may checkpoint and delete the log; that is part of what the processes did. */
static int disconnect(struct recording *r, sqlite3 *db, struct err *err)
{
	if (db != NULL && sqlite3_close(db) != SQLITE_OK)
		return err_set(err, ERR_INPUT, "%s: cannot close a connection: %s",
			       r->scenario->path, sqlite3_errmsg(db));
	return 0;
}

/* Returns the name of a parameter that means nothing, or NULL. */
static const char *bind_parameters(sqlite3_stmt *stmt, struct client_run *c, uint64_t seed)
{
	for (int i = sqlite3_bind_parameter_count(stmt); i > 0; i--) {
		const char *name = sqlite3_bind_parameter_name(stmt, i);
		if (name == NULL)
			return "?";
		if (strcmp(name, ":i") == 0)
			(void)sqlite3_bind_int64(stmt, i, c->repetition);
		else if (strcmp(name, ":client") == 0)
			(void)sqlite3_bind_text(stmt, i, c->client->name, -1, SQLITE_STATIC);
		else if (strcmp(name, ":seed") == 0)
			(void)sqlite3_bind_int64(stmt, i, (sqlite3_int64)seed);
		else if (strcmp(name, ":r") == 0)
			(void)sqlite3_bind_int64(stmt, i,
						 (sqlite3_int64)(prng_next(&c->random) >> 1));
		else
			return name;
	}
	return NULL;
}

static int run_setup_statement(struct recording *r, sqlite3 *db, const struct statement *st,
			       struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, st->sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK && sqlite3_bind_parameter_count(stmt) > 0) {
		(void)sqlite3_finalize(stmt);
		return err_set(err, ERR_INPUT, "%s:%d: @setup takes no parameters",
			       r->scenario->path, st->line);
	}
	if (rc == SQLITE_OK) {
		while (sqlite3_step(stmt) == SQLITE_ROW)
			;
		rc = sqlite3_finalize(stmt);
	}
	return rc == SQLITE_OK ? 0 : sql_failed(r, st->line, NULL, db, err);
}

static int run_setup(struct recording *r, struct err *err)
{
	const struct statement_list *list = &r->scenario->setup;
	sqlite3 *db;
	int rc;

	act_as(r, 1, 1);
	rc = connect(r, &db, err);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < list->count && rc == 0; i++) {
		statements_at(r->scenario->path, list->items[i].line);
		rc = run_setup_statement(r, db, &list->items[i], err);
		if (rc != 0)
			break;
		if (sqlite3_get_autocommit(db))
			disk_note(r->disk, OP_ACK, "");
	}
	statements_at(NULL, 0);
	if (rc == 0 && !sqlite3_get_autocommit(db))
		rc = err_set(err, ERR_INPUT, "%s:%d: @setup ends inside a transaction",
			     r->scenario->path, list->items[list->count - 1].line);
	if (rc != 0) {
		(void)sqlite3_close(db);
		return rc;
	}
	return disconnect(r, db, err);
}

/* Runs one statement of a client. */
static int run_statement(struct recording *r, struct client_run *c, const struct statement *st,
			 bool *ret_failed, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(c->db, st->sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK) {
		const char *unknown = bind_parameters(stmt, c, r->subject->seed);
		if (unknown != NULL) {
			(void)err_set(err, ERR_INPUT,
				      "%s:%d: unknown parameter '%s' (there are :i, :client, :seed "
				      "and :r)",
				      r->scenario->path, st->line, unknown);
			(void)sqlite3_finalize(stmt);
			return ERR_INPUT;
		}
		while (sqlite3_step(stmt) == SQLITE_ROW)
			;
		rc = sqlite3_finalize(stmt);
	}
	*ret_failed = rc != SQLITE_OK;
	if (rc == SQLITE_OK)
		return 0;
	if (!st->may_fail)
		return sql_failed(r, st->line, c->client->name, c->db, err);
	/* A failed statement ends its transaction; the rest of it is skipped. */
	if (!sqlite3_get_autocommit(c->db))
		(void)sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
	return 0;
}

static bool begins_with(const char *sql, const char *word)
{
	size_t n = strlen(word);

	return strncasecmp(sql, word, n) == 0 && !isalnum((unsigned char)sql[n]) && sql[n] != '_';
}

/* The last word of a statement, without what ends it: the name of a savepoint. */
static size_t last_word(const char *sql, const char **ret_word)
{
	size_t end = strlen(sql), begin;

	while (end > 0 && !isalnum((unsigned char)sql[end - 1]) && sql[end - 1] != '_')
		end--;
	for (begin = end; begin > 0; begin--)
		if (!isalnum((unsigned char)sql[begin - 1]) && sql[begin - 1] != '_')
			break;
	*ret_word = sql + begin;
	return end - begin;
}

/* Does `sql` end the transaction that `opener` (BEGIN, or a SAVEPOINT outside of one) began? */
static bool ends_transaction(const char *sql, const char *opener)
{
	const char *a, *b;

	if (begins_with(sql, "COMMIT") || begins_with(sql, "END") ||
	    (begins_with(sql, "ROLLBACK") && strcasestr(sql, " TO ") == NULL))
		return true;
	if (!begins_with(sql, "RELEASE") || !begins_with(opener, "SAVEPOINT"))
		return false;
	size_t n = last_word(sql, &a);
	return n == last_word(opener, &b) && strncasecmp(a, b, n) == 0;
}

/* One turn: statements up to the end of a transaction. *ret_done after the last repetition. */
static int client_turn(struct recording *r, struct client_run *c, bool *ret_done, struct err *err)
{
	const struct statement_list *list = &c->client->statements;

	act_as(r, c->client->process, c->connection);
	for (;;) {
		if (c->next == list->count) {
			c->next = 0;
			c->repetition++;
		}
		if (c->repetition > c->client->repeat) {
			*ret_done = true;
			return 0;
		}
		const struct statement *st = &list->items[c->next++];
		bool was_open = !sqlite3_get_autocommit(c->db);
		bool failed = false;
		if (was_open)
			fi_vfs_clock_move();
		statements_at(r->scenario->path, st->line);
		int rc = run_statement(r, c, st, &failed, err);
		statements_at(NULL, 0);
		if (rc != 0)
			return rc;
		if (!was_open)
			c->opener = st->sql;
		if (!sqlite3_get_autocommit(c->db))
			continue;
		/* A read promises nothing, and history knows which transactions wrote; a statement
		 * that failed has promised nothing either. */
		if (!failed)
			disk_note(r->disk, OP_ACK, "");
		/* The rest of a transaction that a failed statement ended belongs to it. */
		while (was_open && failed && c->next < list->count)
			if (ends_transaction(list->items[c->next++].sql, c->opener))
				break;
		return 0;
	}
}

static int run_clients(struct recording *r, struct err *err)
{
	const struct scenario *s = r->scenario;
	struct client_run *runs = xcalloc(s->client_count, sizeof *runs);
	int rc = 0;

	for (size_t i = 0; i < s->client_count && rc == 0; i++) {
		runs[i] = (struct client_run){
		    .client = &s->clients[i], .connection = (uint16_t)(i + 2), .repetition = 1};
		prng_init(&runs[i].random, prng_mix(r->subject->seed) + i, "workload");
		act_as(r, s->clients[i].process, runs[i].connection);
		rc = connect(r, &runs[i].db, err);
	}
	for (bool busy = true; busy && rc == 0 && r->skip_reason == NULL;) {
		busy = false;
		for (size_t i = 0; i < s->client_count && rc == 0; i++) {
			bool done = false;
			rc = client_turn(r, &runs[i], &done, err);
			busy = busy || !done;
		}
	}
	for (size_t i = 0; i < s->client_count; i++) {
		act_as(r, s->clients[i].process, runs[i].connection);
		if (rc == 0 && !sqlite3_get_autocommit(runs[i].db))
			rc = err_set(err, ERR_INPUT, "%s:%d: client '%s' ends inside a transaction",
				     s->path, s->clients[i].line, s->clients[i].name);
		if (rc == 0)
			rc = disconnect(r, runs[i].db, err);
		else
			(void)sqlite3_close(runs[i].db);
	}
	free(runs);
	return rc;
}

/* The scenario's own questions must be questions: what they wrote would look like the subject's
 * doing. Asked once on the recorded database, as it is at the end. */
static int check_queries(struct recording *r, struct err *err)
{
	const struct scenario *s = r->scenario;
	struct trace *scratch = trace_create(fi_vfs_default_device(), "scratch");
	sqlite3 *db = NULL;
	int rc = connect(r, &db, err);

	if (rc == 0 && outside_register(r->observer.outside, db) != SQLITE_OK)
		rc = err_set(err, ERR_SQLITE, "%s: %s", s->path, sqlite3_errmsg(db));
	disk_record(r->disk, scratch);
	for (size_t i = 0; i < s->open.count && rc == 0; i++) {
		size_t before = scratch->op_count;
		if (sqlite3_exec(db, s->open.items[i].sql, NULL, NULL, NULL) != SQLITE_OK)
			rc = sql_failed(r, s->open.items[i].line, NULL, db, err);
		for (size_t p = before; p < scratch->op_count && rc == 0; p++)
			if (scratch->ops[p].kind == OP_WRITE)
				rc = err_set(err, ERR_INPUT, "%s:%d: @open writes to the database",
					     s->path, s->open.items[i].line);
	}
	for (size_t i = 0; i < s->invariant_count && rc == 0; i++) {
		const struct scenario_invariant *v = &s->invariants[i];
		sqlite3_stmt *stmt = NULL;
		if (sqlite3_prepare_v2(db, v->sql, -1, &stmt, NULL) != SQLITE_OK) {
			/* A table may be gone by now; what is no SQL at all will never be. */
			if (strstr(sqlite3_errmsg(db), "syntax error") != NULL ||
			    strstr(sqlite3_errmsg(db), "incomplete input") != NULL)
				rc = sql_failed(r, v->line, NULL, db, err);
		} else if (!sqlite3_stmt_readonly(stmt)) {
			rc = err_set(err, ERR_INPUT, "%s:%d: the query of @invariant writes",
				     s->path, v->line);
		}
		(void)sqlite3_finalize(stmt);
	}
	disk_record(r->disk, NULL);
	(void)sqlite3_close(db);
	trace_free(scratch);
	return rc;
}

static void workload_ack(void *ctx, const char *text)
{
	struct recording *r = ctx;

	(void)text;
	disk_note(r->disk, OP_ACK, "");
	fi_vfs_clock_move();
}

static int64_t workload_clock_us(void *ctx)
{
	(void)ctx;
	return fi_vfs_clock_us();
}

static int workload_clock_move(void *ctx, struct err *err)
{
	(void)ctx;
	(void)err; /* this one can always be moved */
	fi_vfs_clock_move();
	return 0;
}

static int workload_fail_sync(void *ctx, uint32_t nth, const char *suffix)
{
	struct recording *r = ctx;

	if (suffix != NULL && strlen(suffix) > DISK_SUFFIX_MAX)
		return EINVAL;
	disk_fail_sync(r->disk, nth, suffix);
	return 0;
}

static void workload_acts(void *ctx, uint16_t number)
{
	act_as(ctx, 1, (uint16_t)(WORKLOAD_CONNECTION + number));
}

static int run_workload(struct recording *r, struct err *err)
{
	const struct workload *w = workload_find(r->scenario->workload);
	struct workload_files files;
	struct workload_env env = {
	    .database = r->subject->database,
	    .pragmas = &r->spec->config,
	    .params = &r->spec->workload_params,
	    .plant = r->scenario->plant,
	    .seed = r->subject->seed,
	    .ack = workload_ack,
	    .fail_sync = workload_fail_sync,
	    .connection = workload_acts,
	    .clock_us = r->scenario->clock == NULL ? NULL : workload_clock_us,
	    .clock_move = r->scenario->clock == NULL ? NULL : workload_clock_move,
	    .ctx = r,
	};

	ASSERT(w != NULL);
	workload_files_init(&files, r->disk);
	env.files = &files.table;
	workload_connection(&env, 0);
	int rc = w->run(&env, err);
	ASSERT_OP(files.open_count, ==, 0);
	if (rc == 0 && disk_fail_sync_pending(r->disk))
		rc = err_set(err, ERR_INPUT, "workload %s: a sync was to fail, and there was none",
			     w->name);
	disk_fail_sync(r->disk, 0, NULL);
	if (rc != 0) {
		err->code = ERR_INPUT;
		return err_context(err, "%s:%d", r->scenario->path, r->scenario->workload_line);
	}
	return 0;
}

/* What the trace makes of the files, against what the program made of them. */
struct comparison {
	const struct trace_image *image;
	struct err *err;
	int rc;
};

static void compare_file(void *ctx, const char *path, const uint8_t *data, uint64_t size)
{
	struct comparison *c = ctx;
	uint64_t traced_size = 0, at = 0;
	const uint8_t *traced = trace_image_file(c->image, path, &traced_size);

	if (c->rc != 0)
		return;
	if (traced == NULL) {
		c->rc =
		    err_set(c->err, ERR_HARNESS, "the recording has a hole: it lacks '%s'", path);
		return;
	}
	while (at < size && at < traced_size && data[at] == traced[at])
		at++;
	if (at < size || at < traced_size)
		c->rc = err_set(c->err, ERR_HARNESS,
				"the recording has a hole: '%s' has other bytes from %llu on", path,
				(unsigned long long)at);
}

static int check_trace(const struct trace *t, struct disk *disk, struct err *err)
{
	struct trace_image *image = trace_image_create(t);
	struct comparison c = {.image = image, .err = err};

	disk_each(disk, compare_file, &c);
	trace_image_free(image);
	return c.rc;
}

int record_case(const struct scenario *s, const struct case_spec *spec,
		const struct subject *subject, struct trace **ret_trace, char **ret_skip_reason,
		struct err *err)
{
	struct recording r = {.scenario = s, .spec = spec, .subject = subject};
	struct trace_device device = fi_vfs_default_device();
	char *producer =
	    xasprintf("plugpull " PLUGPULL_VERSION ", SQLite %s", sqlite3_libversion());
	struct trace *t = trace_create(device, producer);
	int rc = 0;

	free(producer);
	r.disk = disk_create();
	r.storage = disk_storage(r.disk);
	observer_init(&r.observer, subject, NULL);
	fi_vfs_boot(r.storage, prng_mix(subject->seed), device);
	fi_vfs_clock_plan(fi_clock_find(s->clock));
	fi_vfs_call_limit(0);
	watch_begin();
	if (s->has_setup && s->setup_crash) {
		disk_record(r.disk, t);
		statements_begin(t, r.storage);
	}
	if (s->has_setup)
		rc = run_setup(&r, err);
	if (rc == 0 && !(s->has_setup && s->setup_crash)) {
		disk_record(r.disk, t);
		statements_begin(t, r.storage);
	}
	if (rc == 0 && r.skip_reason == NULL)
		rc = s->workload != NULL ? run_workload(&r, err) : run_clients(&r, err);
	disk_record(r.disk, NULL);
	statements_end();
	if (rc == 0 && r.skip_reason == NULL && s->plant != NULL) {
		struct trace *planted = plant_in_trace(s->plant, t, NULL);
		if (planted != NULL) {
			trace_free(t);
			t = planted;
		}
	}
	if (rc == 0 && r.skip_reason == NULL)
		rc = check_trace(t, r.disk, err);
	if (rc == 0 && r.skip_reason == NULL)
		rc = check_queries(&r, err);
	ASSERT_OP(fi_vfs_open_count(), ==, 0);
	observer_release(&r.observer);
	disk_free(r.disk);
	if (rc != 0 || r.skip_reason != NULL) {
		trace_free(t);
		*ret_skip_reason = r.skip_reason;
		if (rc != 0) {
			free(r.skip_reason);
			*ret_skip_reason = NULL;
		}
		return rc;
	}
	*ret_skip_reason = NULL;
	*ret_trace = t;
	return 0;
}
