/*
 * maintain.c: giving space back, statistics for the planner, checks [C5].
 *
 * What leaves the log large behind it (store_vacuum writes the whole database into it) ends with a
 * TRUNCATE checkpoint. That one may find a reader in the way; then the log stays, and the work is
 * done all the same.
 *
 * It runs nothing by itself: when to do which is the caller's, or the service's.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "store/upkeep_internal.h"

/* Rows of an index that ANALYZE looks at; the documentation asks for 100 to 1000
 * (https://www.sqlite.org/lang_analyze.html). */
#define ANALYSIS_LIMIT "1000"

#define PROBLEM_COUNT_DEFAULT 100

enum { AUTO_VACUUM_INCREMENTAL = 2 };

enum store_code store_upkeep_check(const struct store *store, bool writes, struct store_error *err)
{
	enum store_code code;

	code = store_check_running(store, err);
	if (code != STORE_OK)
		return code;
	if (writes && store->read_only)
		return store_error_at(err, store, STORE_ERR_READ_ONLY, 0,
				      "this store was opened for reading");
	if (store->backing_up)
		return store_error_at(err, store, STORE_ERR_BUSY, 0,
				      "a backup holds a snapshot on this store: close it first");
	if (store->depth > 0 || !sqlite3_get_autocommit(store->db))
		return store_error_at(err, store, STORE_ERR_INVALID, 0,
				      "a transaction is open on this store");
	return STORE_OK;
}

int store_snapshot_begin(sqlite3 *db)
{
	return sqlite3_exec(db, "SAVEPOINT store_snapshot", NULL, NULL, NULL);
}

void store_snapshot_end(sqlite3 *db)
{
	sqlite3_exec(db, "RELEASE store_snapshot", NULL, NULL, NULL);
}

/* Runs a pragma or command to its end, whatever rows it returns. */
static enum store_code run_to_end(struct store *store, const char *sql, const char *what,
				  struct store_error *err)
{
	int rc = sqlite3_exec(store->db, sql, NULL, NULL, NULL);

	if (rc == SQLITE_OK)
		return STORE_OK;
	return store_error_set_sqlite(err, store->db, rc, "%s", what);
}

static enum store_code ask(struct store *store, const char *sql, int64_t *ret_number,
			   struct store_error *err)
{
	int rc = store_query_number(store->db, sql, ret_number);

	if (rc == SQLITE_OK)
		return STORE_OK;
	return store_error_set_sqlite(err, store->db, rc, "%s", sql);
}

/* ---- vacuum ---- */

static enum store_code vacuum_some(struct store *store, uint32_t page_count_max,
				   int64_t *ret_remaining, struct store_error *err)
{
	enum store_code code;
	int64_t mode = 0;
	char sql[64];

	code = ask(store, "PRAGMA auto_vacuum", &mode, err);
	if (code != STORE_OK)
		return code;
	if (mode != AUTO_VACUUM_INCREMENTAL)
		return store_error_at(err, store, STORE_ERR_SETTING, 0,
				      "the database has auto_vacuum=%" PRId64
				      ", not incremental; it is chosen before the first table, or "
				      "by a full vacuum",
				      mode);
	snprintf(sql, sizeof(sql), "PRAGMA incremental_vacuum(%" PRIu32 ")", page_count_max);
	/* It frees a page each time that it is stepped, and must be stepped to its end. */
	code = run_to_end(store, sql, "cannot free pages", err);
	if (code != STORE_OK)
		return code;
	return ask(store, "PRAGMA freelist_count", ret_remaining, err);
}

enum store_code store_vacuum_step(struct store *store, uint32_t page_count_max,
				  uint32_t *ret_remaining, struct store_error *err)
{
	enum store_code code;
	int64_t remaining = 0;

	if (!store)
		return store_error_set(err, STORE_ERR_INVALID, 0, "the store is NULL");
	/* The pragma takes 0 and whatever is no positive int for "all". */
	if (page_count_max > INT32_MAX)
		page_count_max = INT32_MAX;
	code = store_begin(store, err);
	if (code != STORE_OK)
		return code;
	code = vacuum_some(store, page_count_max, &remaining, err);
	code = store_finish(store, code, err);
	if (code == STORE_OK && ret_remaining)
		*ret_remaining = (uint32_t)remaining;
	return code;
}

enum store_code store_vacuum(struct store *store, struct store_error *err)
{
	enum store_code code;

	if (!store)
		return store_error_set(err, STORE_ERR_INVALID, 0, "the store is NULL");
	code = store_upkeep_check(store, true, err);
	if (code != STORE_OK)
		return code;
	store_cursors_park(store);
	code = run_to_end(store, "VACUUM", "cannot vacuum", err);
	if (code != STORE_OK) {
		/* Its commit syncs the log like any other: P6. That the rebuilt file may be found
		 * there after a crash does no harm, for it holds the same rows. */
		if (code == STORE_ERR_IO)
			store->stopped_by = sqlite3_extended_errcode(store->db);
		return code;
	}
	/* All of the database stands in the log now. */
	return store_checkpoint(store, STORE_CHECKPOINT_TRUNCATE, NULL, err);
}

/* ---- optimize ---- */

static enum store_code optimize_now(struct store *store, bool all, struct store_error *err)
{
	int64_t limit_before = 0;
	enum store_code code;
	char sql[64];

	code = ask(store, "PRAGMA analysis_limit", &limit_before, err);
	if (code == STORE_OK)
		code = run_to_end(store, "PRAGMA analysis_limit=" ANALYSIS_LIMIT,
				  "cannot limit the analysis", err);
	if (code == STORE_OK)
		code = run_to_end(store, all ? "ANALYZE main" : "PRAGMA main.optimize",
				  "cannot optimize", err);
	snprintf(sql, sizeof(sql), "PRAGMA analysis_limit=%" PRId64, limit_before);
	sqlite3_exec(store->db, sql, NULL, NULL, NULL);
	return code;
}

enum store_code store_optimize(struct store *store, bool all, struct store_error *err)
{
	enum store_code code;

	if (!store)
		return store_error_set(err, STORE_ERR_INVALID, 0, "the store is NULL");
	code = store_begin(store, err);
	if (code != STORE_OK)
		return code;
	return store_finish(store, optimize_now(store, all, err), err);
}

/* ---- check ---- */

/* Who hears of problems, and how many there were. */
struct problems {
	uint32_t count;
	uint32_t count_max;
	void (*report)(void *context, const char *problem);
	void *context;
};

static void problem_add(struct problems *problems, const char *text)
{
	if (problems->count == problems->count_max)
		return;
	problems->count++;
	if (problems->report)
		problems->report(problems->context, text);
}

/* SQLite puts all that it has found in the b-trees into one text, a line each, under a title. */
static void problem_add_lines(struct problems *problems, const char *text)
{
	while (*text) {
		size_t size = strcspn(text, "\n");
		char line[256];

		snprintf(line, sizeof(line), "%.*s", size > INT_MAX ? INT_MAX : (int)size, text);
		if (size > 0 && strncmp(line, "***", 3) != 0)
			problem_add(problems, line);
		text += size;
		text += strspn(text, "\n");
	}
}

/* A database that cannot even be checked has a problem; any other error is one of the check. */
static int problem_of_check(struct problems *problems, sqlite3 *db, int rc)
{
	enum store_code code = store_code_from_sqlite(rc);

	if (code != STORE_ERR_CORRUPT && code != STORE_ERR_NOT_A_DATABASE)
		return rc;
	problem_add(problems, sqlite3_errmsg(db));
	return SQLITE_OK;
}

static int check_integrity(sqlite3 *db, struct problems *problems)
{
	sqlite3_stmt *stmt = NULL;
	char sql[64];
	int rc;

	snprintf(sql, sizeof(sql), "PRAGMA main.integrity_check(%" PRIu32 ")", problems->count_max);
	rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
	if (rc != SQLITE_OK)
		return problem_of_check(problems, db, rc);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(stmt, 0);

		if (!text) {
			rc = SQLITE_NOMEM;
			break;
		}
		if (strcmp(text, "ok") != 0)
			problem_add_lines(problems, text);
	}
	if (rc == SQLITE_DONE)
		rc = SQLITE_OK;
	if (rc != SQLITE_OK)
		rc = problem_of_check(problems, db, rc);
	sqlite3_finalize(stmt);
	return rc;
}

static int check_foreign_keys(sqlite3 *db, struct problems *problems)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	rc = sqlite3_prepare_v2(db, "PRAGMA main.foreign_key_check", -1, &stmt, NULL);
	if (rc != SQLITE_OK)
		return problem_of_check(problems, db, rc);
	while (problems->count < problems->count_max && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		const char *child = (const char *)sqlite3_column_text(stmt, 0);
		const char *parent = (const char *)sqlite3_column_text(stmt, 2);
		char row[32] = "a row";
		char line[256];

		if (sqlite3_column_type(stmt, 1) != SQLITE_NULL)
			snprintf(row, sizeof(row), "row %" PRId64,
				 (int64_t)sqlite3_column_int64(stmt, 1));
		snprintf(line, sizeof(line), "%s of %s names a row of %s that is not there", row,
			 child ? child : "?", parent ? parent : "?");
		problem_add(problems, line);
	}
	if (rc == SQLITE_DONE || rc == SQLITE_ROW)
		rc = SQLITE_OK;
	if (rc != SQLITE_OK)
		rc = problem_of_check(problems, db, rc);
	sqlite3_finalize(stmt);
	return rc;
}

enum store_code store_check(struct store *store, uint32_t problem_count_max,
			    void (*report)(void *context, const char *problem), void *context,
			    bool *ret_ok, struct store_error *err)
{
	struct problems problems = {
	    .count_max = problem_count_max > 0 ? problem_count_max : PROBLEM_COUNT_DEFAULT,
	    .report = report,
	    .context = context,
	};
	enum store_code code;
	int rc;

	if (!store || !ret_ok)
		return store_error_set(err, STORE_ERR_INVALID, 0, "store or ret_ok is NULL");
	code = store_check_running(store, err);
	if (code != STORE_OK)
		return code;
	if (problems.count_max > INT32_MAX)
		problems.count_max = INT32_MAX;
	/* Both checks look at one moment. */
	rc = store_snapshot_begin(store->db);
	if (rc == SQLITE_OK) {
		rc = check_integrity(store->db, &problems);
		if (rc == SQLITE_OK && problems.count < problems.count_max)
			rc = check_foreign_keys(store->db, &problems);
		if (rc != SQLITE_OK)
			code = store_error_set_sqlite(err, store->db, rc, "cannot check");
		store_snapshot_end(store->db);
	} else {
		code = store_error_set_sqlite(err, store->db, rc, "cannot check");
	}
	if (code == STORE_OK)
		*ret_ok = problems.count == 0;
	return code;
}
