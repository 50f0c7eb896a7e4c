/*
 * Connections that a check opens, so that those which it leaves open can be closed: a check that
 * finds an error in the middle tends to return at once, and the next state needs a machine on which
 * nothing is open.
 *
 * SQLite tells of a connection when it opens (automatic extension), and when it closes: then it
 * destroys the SQL function that was registered there.
 */
#include "harness/library/run.h"

#include "faultinject/base/buf.h"

#include <sqlite3.h>
#include <stdlib.h>

static struct {
	sqlite3 **items;
	size_t count, cap;
} known;

static void forget(void *db)
{
	for (size_t i = 0; i < known.count; i++)
		if (known.items[i] == db)
			known.items[i] = NULL;
}

static void never_called(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	sqlite3_result_null(context);
}

static int remember(sqlite3 *db, char **ret_message, const struct sqlite3_api_routines *api)
{
	(void)ret_message;
	(void)api;
	known.items = xgrow(known.items, known.count, &known.cap, sizeof(sqlite3 *));
	known.items[known.count++] = db;
	/* Where it fails, `forget` is called at once. */
	(void)sqlite3_create_function_v2(db, "plugpull_closes", 0, SQLITE_UTF8, db, never_called,
					 NULL, NULL, forget);
	return SQLITE_OK;
}

void run_connections_begin(void)
{
	known.count = 0;
	(void)sqlite3_auto_extension((void (*)(void))remember);
}

size_t run_connections_end(void)
{
	size_t left = 0;

	(void)sqlite3_cancel_auto_extension((void (*)(void))remember);
	for (size_t i = 0; i < known.count; i++) {
		sqlite3 *db = known.items[i];
		sqlite3_stmt *stmt;

		if (db == NULL)
			continue;
		left++;
		while ((stmt = sqlite3_next_stmt(db, NULL)) != NULL)
			(void)sqlite3_finalize(stmt);
		(void)sqlite3_close(db);
	}
	free(known.items);
	known.items = NULL;
	known.count = known.cap = 0;
	return left;
}
