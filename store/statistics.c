/*
 * statistics.c: what the database and this connection's cache hold [C8]. One snapshot for all that
 * is in the database; the sizes of the files are those of the moment at which they are asked for.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/upkeep_internal.h"

static int ask(sqlite3 *db, const char *sql, uint64_t *ret_number)
{
	int64_t number = 0;
	int rc = store_query_number(db, sql, &number);

	if (rc == SQLITE_OK)
		*ret_number = (uint64_t)number;
	return rc;
}

/* A counter of the connection: 32 bits wide, and it wraps. */
static int ask_connection(sqlite3 *db, int counter, uint64_t *ret_number)
{
	int highest = 0;
	int now = 0;
	int rc = sqlite3_db_status(db, counter, &now, &highest, 0);

	if (rc == SQLITE_OK)
		*ret_number = (uint32_t)now;
	return rc;
}

/* Counts the rows of one table. Its name comes from the schema. */
static int count_rows(sqlite3 *db, const char *name, uint64_t *ret_count)
{
	char *sql = sqlite3_mprintf("SELECT count(*) FROM main.\"%w\"", name);
	int rc = SQLITE_NOMEM;

	if (sql)
		rc = ask(db, sql, ret_count);
	sqlite3_free(sql);
	return rc;
}

/* Tables that have rows of their own: not views, not virtual tables, not SQLite's. */
static int count_tables(sqlite3 *db, struct store_statistics *statistics)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	rc = sqlite3_prepare_v2(db,
				"SELECT name FROM main.sqlite_master WHERE type = 'table'"
				" AND rootpage > 0 AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
				" ORDER BY name",
				-1, &stmt, NULL);
	while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(stmt, 0);
		size_t at = statistics->table_count;

		rc = SQLITE_OK;
		if (at == STORE_TABLES_MAX) {
			statistics->tables_left_out = true;
			break;
		}
		if (!name) {
			rc = SQLITE_NOMEM;
			break;
		}
		snprintf(statistics->tables[at].name, sizeof(statistics->tables[at].name), "%s",
			 name);
		rc = count_rows(db, name, &statistics->tables[at].row_count);
		statistics->table_count++;
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int gather(struct store *store, bool with_rows, struct store_statistics *statistics)
{
	struct sqlite3 *db = store->db;
	int rc;

	rc = ask(db, "PRAGMA main.page_count", &statistics->page_count);
	if (rc == SQLITE_OK)
		rc = ask(db, "PRAGMA main.page_size", &statistics->page_size_bytes);
	if (rc == SQLITE_OK)
		rc = ask(db, "PRAGMA main.freelist_count", &statistics->freelist_count);
	if (rc == SQLITE_OK && with_rows)
		rc = count_tables(db, statistics);
	if (rc == SQLITE_OK)
		rc = store_file_size(db, SQLITE_FCNTL_FILE_POINTER, &statistics->database_bytes);
	if (rc == SQLITE_OK)
		rc = ask_connection(db, SQLITE_DBSTATUS_CACHE_HIT, &statistics->cache_hits);
	if (rc == SQLITE_OK)
		rc = ask_connection(db, SQLITE_DBSTATUS_CACHE_MISS, &statistics->cache_misses);
	if (rc == SQLITE_OK)
		rc = ask_connection(db, SQLITE_DBSTATUS_CACHE_USED, &statistics->cache_bytes);
	statistics->statements_cached = store->statement_count;
	return rc;
}

enum store_code store_statistics(struct store *store, bool with_rows,
				 struct store_statistics *ret_statistics, struct store_error *err)
{
	struct store_statistics statistics = {0};
	struct store_wal_look look;
	enum store_code code;
	int rc;

	if (!store || !ret_statistics)
		return store_error_set(err, STORE_ERR_INVALID, 0,
				       "store or ret_statistics is NULL");
	code = store_check_running(store, err);
	if (code == STORE_OK)
		code = store_wal_look(store, &look, err);
	if (code != STORE_OK)
		return code;
	statistics.wal_bytes = look.file_bytes;
	if (look.file_bytes > STORE_WAL_HEADER_BYTES)
		statistics.wal_frames = (look.file_bytes - STORE_WAL_HEADER_BYTES) /
					(look.page_size_bytes + STORE_FRAME_HEADER_BYTES);
	rc = store_snapshot_begin(store->db);
	if (rc == SQLITE_OK) {
		rc = gather(store, with_rows, &statistics);
		if (rc != SQLITE_OK)
			code = store_error_set_sqlite(err, store->db, rc, "no statistics");
		store_snapshot_end(store->db);
	} else {
		code = store_error_set_sqlite(err, store->db, rc, "no statistics");
	}
	if (code == STORE_OK)
		*ret_statistics = statistics;
	return code;
}
