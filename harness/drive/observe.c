/* See observe.h. */
#include "harness/drive/observe.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/vfs.h"
#include "harness/drive/sqlite_memory.h"
#include "harness/drive/watch.h"

#include <ctype.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* locking_mode changes how the first read recovers; some pragmas take effect only before the
 * database exists; then the others. */
static int pragma_rank(const char *key)
{
	static const char *const before[] = {"page_size", "auto_vacuum", "encoding"};

	if (strcasecmp(key, "locking_mode") == 0)
		return 0;
	for (size_t i = 0; i < sizeof before / sizeof before[0]; i++)
		if (strcasecmp(key, before[i]) == 0)
			return 1;
	return 2;
}

void observer_configure(void)
{
	/* Has no effect, and does no harm, once SQLite is initialised. */
	(void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	sqlite_memory_configure();
}

void observer_init(struct observer *o, const struct subject *subject,
		   const struct probe_list *probes)
{
	const struct kv_list *pragmas = &subject->pragmas;

	memset(o, 0, sizeof *o);
	o->subject = subject;
	o->probes = probes;
	o->outside = outside_create(subject->database);
	o->pragma_sql =
	    xcalloc(pragmas->count * (1 + subject->attached_count), sizeof *o->pragma_sql);
	o->pragma_page_count_sql = xcalloc(pragmas->count * (1 + subject->attached_count),
					   sizeof *o->pragma_page_count_sql);
	for (int rank = 0; rank < 3; rank++) {
		for (size_t i = 0; i < pragmas->count; i++) {
			const struct kv *p = &pragmas->items[i];
			if (pragma_rank(p->key) != rank)
				continue;
			if (strcasecmp(p->key, "locking_mode") == 0 &&
			    strcasecmp(p->value, "exclusive") == 0)
				o->one_connection = true;
			for (size_t f = 0; f < 1 + subject->attached_count; f++) {
				char *schema = quote_identifier(subject_schema(subject, f));
				/* A hyphen in a value (UTF-16le) needs quotes; a number may not
				 * have them. */
				const char *quote = isalpha((unsigned char)p->value[0]) ? "'" : "";
				if (rank == 1)
					o->pragma_page_count_sql[o->pragma_count] =
					    xasprintf("PRAGMA %s.page_count", schema);
				o->pragma_sql[o->pragma_count++] =
				    xasprintf("PRAGMA %s.%s = %s%s%s", schema, p->key, quote,
					      p->value, quote);
				free(schema);
			}
		}
		if (rank == 0)
			o->pragma_early_count = o->pragma_count;
	}
	/* The cheapest statement that needs a read transaction, which is what makes SQLite
	 * recover. */
	o->read_count = 1 + subject->attached_count;
	o->read_sql = xcalloc(o->read_count, sizeof *o->read_sql);
	for (size_t f = 0; f < o->read_count; f++) {
		char *schema = quote_identifier(subject_schema(subject, f));
		o->read_sql[f] = xasprintf("PRAGMA %.200s.schema_version", schema);
		free(schema);
	}
}

void observer_pragmas_first(struct observer *o)
{
	o->pragma_early_count = o->pragma_count;
}

void observer_release(struct observer *o)
{
	for (size_t i = 0; i < o->pragma_count; i++)
		free(o->pragma_sql[i]);
	for (size_t i = 0; i < o->pragma_count; i++)
		free(o->pragma_page_count_sql[i]);
	free(o->pragma_page_count_sql);
	free(o->pragma_sql);
	for (size_t i = 0; i < o->read_count; i++)
		free(o->read_sql[i]);
	free(o->read_sql);
	outside_free(o->outside);
	memset(o, 0, sizeof *o);
}

/* Runs a statement to its end; rows are dropped. */
static int run_sql(sqlite3 *db, const char *sql, struct observation *o)
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return observation_fail(o, db, rc, sql);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		;
	if (rc != SQLITE_DONE)
		(void)observation_fail(o, db, rc, sql);
	(void)sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? 0 : rc;
}

static int open_database(const struct observer *o, sqlite3 **ret_db, struct observation *ret)
{
	const struct subject *s = o->subject;
	sqlite3 *db = NULL;
	int rc =
	    sqlite3_open_v2(s->database, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);

	if (rc != SQLITE_OK) {
		(void)observation_fail(ret, db, rc, "open");
		goto out;
	}
	(void)sqlite3_extended_result_codes(db, 1);
	watch_connection(db);
	/* Closing would otherwise checkpoint, and write. */
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	for (size_t i = 0; i < s->load_count && rc == SQLITE_OK; i++) {
		char *message = NULL;
		(void)sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL);
		rc = sqlite3_load_extension(db, s->loads[i], NULL, &message);
		if (rc != SQLITE_OK)
			(void)observation_fail(ret, db, rc, "load extension");
		sqlite3_free(message);
	}
	if (rc == SQLITE_OK && (rc = outside_register(o->outside, db)) != SQLITE_OK)
		(void)observation_fail(ret, db, rc, "functions");
	for (size_t i = 0; i < s->attached_count && rc == SQLITE_OK; i++) {
		char *name = quote_identifier(s->attached[i].name);
		char *sql = sqlite3_mprintf("ATTACH %Q AS %s", s->attached[i].file, name);
		rc = run_sql(db, sql, ret);
		sqlite3_free(sql);
		free(name);
	}
out:
	if (rc != SQLITE_OK) {
		observer_close(db);
		return rc;
	}
	*ret_db = db;
	return 0;
}

/* Some pragmas are for a database that does not exist yet. Of one that does, auto_vacuum would be
 * written again by every connection, and no recovery would ever leave things as they are. */
static bool applies(const struct observer *o, sqlite3 *db, size_t pragma)
{
	sqlite3_stmt *stmt = NULL;
	bool empty = true;

	if (o->pragma_page_count_sql[pragma] == NULL)
		return true;
	if (sqlite3_prepare_v2(db, o->pragma_page_count_sql[pragma], -1, &stmt, NULL) ==
		SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW)
		empty = sqlite3_column_int64(stmt, 0) == 0;
	(void)sqlite3_finalize(stmt);
	return empty;
}

/* The connection whose end is the end of its recovery. */
static sqlite3 *recovering;

sqlite3 *observer_recover(const struct observer *o, struct observation *ret)
{
	sqlite3 *db = NULL;

	fi_vfs_call_limit(OBSERVE_CALLS_MAX);
	watch_begin();
	sqlite_memory_begin();
	if (open_database(o, &db, ret) != 0)
		goto failed;
	for (size_t i = 0; i < o->pragma_early_count; i++)
		if (applies(o, db, i) && run_sql(db, o->pragma_sql[i], ret) != 0)
			goto failed;
	for (size_t i = 0; i < o->read_count; i++)
		if (run_sql(db, o->read_sql[i], ret) != 0)
			goto failed;
	recovering = db;
	return db;
failed:
	observer_close(db);
	sqlite_memory_end();
	return NULL;
}

void observer_close(sqlite3 *db)
{
	if (db == NULL)
		return;
	ASSERT_OP(sqlite3_close(db), ==, SQLITE_OK);
	if (db == recovering) {
		recovering = NULL;
		sqlite_memory_end();
	}
}

/* ---- probes -------------------------------------------------------------------------------- */

static void run_probe(sqlite3 *db, const char *sql, struct probe_result *r)
{
	sqlite3_stmt *stmt = NULL;
	size_t cap = 0, type_cap = 0, cells = 0;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK) {
		r->column_count = (size_t)sqlite3_column_count(stmt);
		while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
			if (r->row_count == PROBE_ROWS_MAX) {
				r->cut = true;
				rc = SQLITE_DONE;
				break;
			}
			for (size_t i = 0; i < r->column_count; i++) {
				r->cells = xgrow(r->cells, cells, &cap, sizeof *r->cells);
				r->types = xgrow(r->types, cells, &type_cap, 1);
				/* The type first: reading as text converts. */
				r->types[cells] = "?irtbn"[sqlite3_column_type(stmt, (int)i)];
				const char *text = (const char *)sqlite3_column_text(stmt, (int)i);
				r->cells[cells++] = text == NULL ? NULL : xstrdup(text);
			}
			r->row_count++;
		}
	}
	if (rc != SQLITE_DONE && rc != SQLITE_OK) {
		r->rc = sqlite3_extended_errcode(db);
		r->error = xstrdup(sqlite3_errmsg(db));
	}
	(void)sqlite3_finalize(stmt);
}

/* Equal observations get equal ids. */
static void identify(struct observation *o)
{
	uint64_t h = hash64(o->failed, strlen(o->failed), (uint64_t)o->rc);

	h = hash_mix(h, o->hung);
	h = hash_mix(h, hash64(o->files, o->file_count * sizeof *o->files, 0));
	for (size_t i = 0; i < o->probe_count; i++) {
		const struct probe_result *r = &o->probes[i];
		h = hash_mix(h, (uint64_t)r->rc);
		h = hash_mix(h, r->row_count);
		for (size_t k = 0; k < r->row_count * r->column_count; k++)
			h = hash_mix(h, r->cells[k] == NULL
					    ? 1
					    : hash64(r->cells[k], strlen(r->cells[k]), 2));
	}
	o->id = h;
}

sqlite3 *observer_connect(const struct observer *o, sqlite3 *recovered, struct observation *ret)
{
	const struct subject *s = o->subject;
	sqlite3 *db = recovered;

	ret->file_count = 1 + s->attached_count;
	ASSERT_OP(ret->file_count, <=, OBSERVED_FILES_MAX);
	if (ret->rc != 0 || recovered == NULL)
		return NULL;
	for (size_t i = o->pragma_early_count; i < o->pragma_count; i++)
		if (applies(o, recovered, i) && run_sql(recovered, o->pragma_sql[i], ret) != 0)
			return NULL;
	if (!o->one_connection && open_database(o, &db, ret) != 0)
		return NULL;
	for (size_t i = 0; i < s->open_count; i++)
		if (run_sql(db, s->open[i], ret) != 0)
			goto failed;
	for (size_t i = 0; i < o->read_count; i++)
		if (run_sql(db, o->read_sql[i], ret) != 0)
			goto failed;
	return db;
failed:
	if (db != recovered)
		observer_close(db);
	return NULL;
}

void observer_read(const struct observer *o, sqlite3 *db, const struct digest_reuse *reuse,
		   struct observation *ret)
{
	for (size_t f = 0; f < ret->file_count && ret->rc == 0; f++)
		digest_file(db, subject_schema(o->subject, f), f, reuse, ret);
	if (ret->rc == 0 && o->probes != NULL && o->probes->count > 0) {
		ret->probe_count = o->probes->count;
		ret->probes = xcalloc(ret->probe_count, sizeof *ret->probes);
		outside_defer(o->outside, true);
		for (size_t i = 0; i < ret->probe_count; i++) {
			struct probe_result *r = &ret->probes[i];
			(void)outside_take_called(o->outside);
			run_probe(db, o->probes->items[i].sql, r);
			if (!outside_take_called(o->outside))
				continue;
			probe_result_release(r);
			*r = (struct probe_result){.outside = true};
		}
		outside_defer(o->outside, false);
	}
}

void observer_read_outside(const struct observer *o, sqlite3 *db, struct observation *ret)
{
	for (size_t i = 0; i < ret->probe_count; i++) {
		struct probe_result *r = &ret->probes[i];
		if (!r->outside)
			continue;
		probe_result_release(r);
		*r = (struct probe_result){.outside = true};
		run_probe(db, o->probes->items[i].sql, r);
	}
}

void observer_settle(struct observation *o)
{
	o->hung = fi_vfs_call_count() > OBSERVE_CALLS_MAX || watch_hung();
	identify(o);
}

void observer_disconnect(sqlite3 *recovered, sqlite3 *db, struct observation *ret)
{
	if (db != recovered)
		observer_close(db);
	observer_settle(ret);
}

void observer_observe(const struct observer *o, sqlite3 *recovered, struct observation *ret)
{
	sqlite3 *db = observer_connect(o, recovered, ret);

	if (db != NULL) {
		observer_read(o, db, NULL, ret);
		observer_read_outside(o, db, ret);
	}
	observer_disconnect(recovered, db, ret);
}
