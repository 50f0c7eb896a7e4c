/* See statements.h. */
#include "harness/drive/statements.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

enum { TRACE_V2_SINCE = 3014000 };

/* SQLite's automatic extensions have no context, so there is one listener in a process. */
static struct {
	struct trace *trace;
	const struct storage *storage;
	char source[TRACE_SQL_MAX + 1];
} listener;

static int on_statement(unsigned event, void *ctx, void *stmt, void *text)
{
	const char *sql = text;

	(void)event;
	(void)ctx;
	(void)stmt;
	/* A comment is how SQLite tells that a trigger begins. */
	if (listener.trace == NULL || sql == NULL || strncmp(sql, "--", 2) == 0)
		return 0;
	trace_add_statement(listener.trace, &(struct trace_statement){
						.process = listener.storage->actor.process,
						.thread = listener.storage->actor.thread,
						.connection = listener.storage->actor.connection,
						.source = listener.source,
						.sql = sql,
					    });
	return 0;
}

static int on_open(sqlite3 *db, char **ret_message, const struct sqlite3_api_routines *api)
{
	(void)ret_message;
	(void)api;
	return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, on_statement, NULL);
}

/* What sqlite3_auto_extension() takes: it calls the function as an extension's entry point. */
typedef void auto_extension_fn(void);

void statements_begin(struct trace *t, const struct storage *storage)
{
	if (sqlite3_libversion_number() < TRACE_V2_SINCE)
		return;
	listener.trace = t;
	listener.storage = storage;
	listener.source[0] = '\0';
	(void)sqlite3_auto_extension((auto_extension_fn *)(void *)on_open);
}

void statements_end(void)
{
	if (listener.storage == NULL)
		return;
	(void)sqlite3_cancel_auto_extension((auto_extension_fn *)(void *)on_open);
	memset(&listener, 0, sizeof listener);
}

void statements_at(const char *path, int line)
{
	listener.source[0] = '\0';
	if (path != NULL)
		(void)snprintf(listener.source, sizeof listener.source, "%s:%d", path, line);
}
