/*
 * statement.c: the prepared statements of a connection, so that SQL is compiled once.
 *
 * Statements are static texts of this library with parameters for all that comes from a caller, and
 * are known by their address. There are at most STORE_STATEMENT_COUNT_MAX; the one that was used
 * least recently gives way, so a store that does one kind of work compiles nothing after its first
 * call, and one that does every kind stays bounded.
 */
#include "store/internal.h"

static struct store_statement *statement_find(struct store *store, const char *sql)
{
	for (size_t i = 0; i < store->statement_count; i++) {
		if (store->statements[i].sql == sql)
			return &store->statements[i];
	}
	return NULL;
}

/* A slot for one more, emptied if it was in use. */
static struct store_statement *statement_slot(struct store *store)
{
	struct store_statement *slot;

	if (store->statement_count < STORE_STATEMENT_COUNT_MAX)
		return &store->statements[store->statement_count++];
	slot = &store->statements[0];
	for (size_t i = 1; i < store->statement_count; i++) {
		if (store->statements[i].used_at < slot->used_at)
			slot = &store->statements[i];
	}
	sqlite3_finalize(slot->stmt);
	return slot;
}

enum store_code store_statement(struct store *store, const char *sql, sqlite3_stmt **ret_stmt,
				struct store_error *err)
{
	struct store_statement *found = statement_find(store, sql);
	sqlite3_stmt *stmt = NULL;
	enum store_code code;
	int rc;

	if (!found) {
		rc = sqlite3_prepare_v2(store->db, sql, -1, &stmt, NULL);
		if (rc != SQLITE_OK) {
			code = store_error_set_sqlite(err, store->db, rc,
						      "the schema is not what its version says");
			if (code == STORE_ERR_SQLITE) {
				code = STORE_ERR_SCHEMA_BROKEN;
				if (err)
					err->code = code;
			}
			return code;
		}
		found = statement_slot(store);
		found->sql = sql;
		found->stmt = stmt;
	}
	found->used_at = ++store->statement_uses;
	sqlite3_reset(found->stmt);
	sqlite3_clear_bindings(found->stmt);
	*ret_stmt = found->stmt;
	return STORE_OK;
}

enum store_code store_statement_take(struct store *store, const char *sql, sqlite3_stmt **ret_stmt,
				     struct store_error *err)
{
	enum store_code code = store_statement(store, sql, ret_stmt, err);
	struct store_statement *taken;

	if (code != STORE_OK)
		return code;
	taken = statement_find(store, sql);
	store->statement_count--;
	*taken = store->statements[store->statement_count];
	return STORE_OK;
}

void store_statement_give(struct store *store, const char *sql, sqlite3_stmt *stmt)
{
	struct store_statement *slot;

	/* Of several that were taken at once one is kept. */
	if (!stmt || statement_find(store, sql)) {
		sqlite3_finalize(stmt);
		return;
	}
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	slot = statement_slot(store);
	slot->sql = sql;
	slot->stmt = stmt;
	slot->used_at = ++store->statement_uses;
}

void store_statements_release(struct store *store)
{
	for (size_t i = 0; i < store->statement_count; i++)
		sqlite3_finalize(store->statements[i].stmt);
	store->statement_count = 0;
}

int store_query_number(sqlite3 *db, const char *sql, int64_t *ret_number)
{
	sqlite3_stmt *stmt = NULL;
	int64_t number = 0;
	bool found = false;
	int rc;

	rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
	if (rc != SQLITE_OK)
		return rc;
	if (sqlite3_step(stmt) == SQLITE_ROW) {
		found = true;
		number = sqlite3_column_int64(stmt, 0);
	}
	rc = sqlite3_finalize(stmt);
	if (rc == SQLITE_OK && found)
		*ret_number = number;
	return rc;
}
