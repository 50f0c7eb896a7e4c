/*
 * plugpull.so, a loadable extension of SQLite: records from inside a program, through its own SQL,
 * where `plugpull record` cannot (a statically linked SQLite shell, a language whose process is
 * started by somebody else), or when only SQLite's part of a program is wanted.
 *
 *     $ sqlite3
 *     sqlite> .load ./plugpull
 *     sqlite> SELECT plugpull_record('app.log');
 *     sqlite> .open app.db
 *     sqlite> INSERT INTO t VALUES (1);
 *     sqlite> SELECT plugpull_ack('row 1');
 *     sqlite> .quit
 *     $ plugpull explore app.log
 *
 * Load first, then record, then open: a connection keeps the VFS that it was opened with, so one
 * that was there before is not seen, the loading one neither. The same in Python:
 *
 *     loader = sqlite3.connect(':memory:')
 *     loader.enable_load_extension(True)
 *     loader.load_extension('./plugpull')
 *     loader.execute("SELECT plugpull_record('app.log')")
 *     db = sqlite3.connect('app.db')
 *
 *     plugpull_record(FILE)   records from now on what this process does to the databases that it
 *                             opens from now on, into FILE, which must be new. Answers its name
 *     plugpull_stop()         ends that; all databases must be closed. Not needed before the end of
 *                             the process
 *     plugpull_ack(TEXT)      a promise: what was committed is kept. After COMMIT, and before
 *                             anybody is told (record/plugpull.h). An error inside a transaction,
 *                             where nothing is committed
 *     plugpull_mark(TEXT)     a note; promises nothing. Both answer 1 when it was noted and 0 when
 *                             nobody records
 *
 * Every connection that is opened after the loading has these functions. When the environment has
 * PLUGPULL_RECORDING, the extension records into that file from its loading on, and makes it if it
 * is not there: so several processes record into one log. In a process that the LD_PRELOAD recorder
 * watches already nothing is recorded twice: then only the functions for notes do something.
 *
 * The statements that recorded connections run are noted, too, without the values of parameters.
 * SQLite has room for one listener (sqlite3_trace_v2()): a program that sets its own is heard no
 * longer.
 *
 * What is not seen: vfs_record.h.
 */
#include "faultinject/base/err.h"
#include "faultinject/record/log.h"
#include "faultinject/record/plugpull.h"
#include "faultinject/vfs_record.h"

#include <link.h>
#include <sqlite3ext.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

SQLITE_EXTENSION_INIT1

#define EXPORTED   __attribute__((visibility("default")))
#define PRELOADED  "/libplugpull-record.so"
#define NOT_LOADED "the connection was opened before the extension was loaded"

enum { TRACE_V2_SINCE = 3014000 };

static bool is_preloaded; /* the LD_PRELOAD recorder is in this process */

static int look_for_recorder(struct dl_phdr_info *object, size_t size, void *found)
{
	(void)size;
	if (object->dlpi_name != NULL && strstr(object->dlpi_name, PRELOADED) != NULL)
		*(bool *)found = true;
	return 0;
}

/* A connection to a file that the recording VFS does not serve. */
static bool is_connection_blind(sqlite3 *db)
{
	const char *name = sqlite3_db_filename(db, "main");
	sqlite3_vfs *vfs = NULL;

	if (name == NULL || name[0] == '\0')
		return false;
	return sqlite3_file_control(db, "main", SQLITE_FCNTL_VFS_POINTER, &vfs) != SQLITE_OK ||
	       vfs == NULL || strcmp(vfs->zName, FI_VFS_RECORD_NAME) != 0;
}

/* ---- SQL functions ---- */

static void record(sqlite3_context *context, int count, sqlite3_value **values)
{
	const char *path = (const char *)sqlite3_value_text(values[0]);
	struct err err = ERR_INIT;

	(void)count;
	if (path == NULL || path[0] == '\0')
		sqlite3_result_error(context, "plugpull_record: a file name is needed", -1);
	else if (is_preloaded)
		sqlite3_result_error(context,
				     "plugpull_record: plugpull records this process "
				     "already",
				     -1);
	else if (is_connection_blind(sqlite3_context_db_handle(context)))
		sqlite3_result_error(
		    context,
		    "plugpull_record: " NOT_LOADED ", so it cannot be recorded: "
		    "load it in a connection to ':memory:', then open the database",
		    -1);
	else if (fi_record_start(path, FI_RECORD_NEW, &err) != 0)
		sqlite3_result_error(context, err.message, -1);
	else
		sqlite3_result_value(context, values[0]);
}

static void stop(sqlite3_context *context, int count, sqlite3_value **values)
{
	struct err err = ERR_INIT;

	(void)count;
	(void)values;
	if (fi_record_stop(&err) != 0)
		sqlite3_result_error(context, err.message, -1);
	else
		sqlite3_result_int(context, 1);
}

static void note(sqlite3_context *context, const char *word, sqlite3_value *value)
{
	const char *text = (const char *)sqlite3_value_text(value);
	int told;

	if (text == NULL)
		text = "";
	if (fi_record_note(word, text)) {
		sqlite3_result_int(context, 1);
		return;
	}
	told = plugpull_tell(word, text);
	if (told < 0)
		sqlite3_result_error(context, "the file that PLUGPULL_MARK names cannot be written",
				     -1);
	else
		sqlite3_result_int(context, told);
}

static void mark(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	note(context, "mark", values[0]);
}

static void ack(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	if (!sqlite3_get_autocommit(sqlite3_context_db_handle(context)))
		sqlite3_result_error(context,
				     "plugpull_ack: a transaction is open, so nothing is "
				     "committed; call it after COMMIT",
				     -1);
	else
		note(context, "ack", values[0]);
}

/* ---- statements ---- */

static int on_statement(unsigned event, void *db, void *stmt, void *text)
{
	const char *sql = text;

	(void)event;
	(void)stmt;
	/* A comment is how SQLite tells that a trigger begins. */
	if (sql != NULL && strncmp(sql, "--", 2) != 0)
		fi_record_statement(db, sql);
	return 0;
}

/* Only of connections that are recorded, and have a file. A program that sets a trace of its own
 * takes ours away. */
static void listen_to(sqlite3 *db)
{
	const char *name = sqlite3_db_filename(db, "main");

	if (sqlite3_libversion_number() >= TRACE_V2_SINCE && !is_preloaded && name != NULL &&
	    name[0] != '\0' && !is_connection_blind(db))
		(void)sqlite3_trace_v2(db, SQLITE_TRACE_STMT, on_statement, db);
}

/* ---- every connection ---- */

static int add_functions(sqlite3 *db, char **ret_message, const sqlite3_api_routines *api)
{
	static const struct {
		const char *name;
		int count;
		void (*function)(sqlite3_context *, int, sqlite3_value **);
	} functions[] = {{"plugpull_record", 1, record},
			 {"plugpull_stop", 0, stop},
			 {"plugpull_ack", 1, ack},
			 {"plugpull_mark", 1, mark}};
	int rc = SQLITE_OK;

	(void)ret_message;
	(void)api;
	for (size_t i = 0; i < sizeof functions / sizeof *functions && rc == SQLITE_OK; i++)
		rc = sqlite3_create_function(db, functions[i].name, functions[i].count,
					     SQLITE_UTF8 | SQLITE_DIRECTONLY, NULL,
					     functions[i].function, NULL, NULL);
	listen_to(db);
	return rc;
}

/* ---- loading ---- */

/* Records from here on when the environment says so. */
static int join_recording(sqlite3 *db, struct err *err)
{
	const char *path = getenv(RECLOG_ENVIRONMENT);

	if (path == NULL || path[0] == '\0' || is_preloaded || fi_record_is_running())
		return 0;
	if (fi_record_start(path, FI_RECORD_JOIN, err) != 0)
		return err_context(err, RECLOG_ENVIRONMENT);
	if (is_connection_blind(db))
		fi_record_trouble("a database is not recorded: " NOT_LOADED);
	return 0;
}

static int load(sqlite3 *db, char **ret_message)
{
	struct err err = ERR_INIT;

	(void)dl_iterate_phdr(look_for_recorder, &is_preloaded);
	if (fi_record_install(&err) != 0 || join_recording(db, &err) != 0) {
		*ret_message = sqlite3_mprintf("plugpull: %s", err.message);
		return SQLITE_ERROR;
	}
	int rc = add_functions(db, NULL, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_auto_extension((void (*)(void))add_functions);
	return rc == SQLITE_OK ? SQLITE_OK_LOAD_PERMANENTLY : rc;
}

/* Two SQLite libraries in one process would share what this file keeps of one. */
static int begin(sqlite3 *db, char **ret_message, const sqlite3_api_routines *api)
{
	static const char why[] = "plugpull: another SQLite library of this process has loaded it";

	if (sqlite3_api != NULL && sqlite3_api != api) {
		char *message = api->malloc(sizeof why);

		if (message != NULL)
			memcpy(message, why, sizeof why);
		*ret_message = message;
		return SQLITE_ERROR;
	}
	SQLITE_EXTENSION_INIT2(api);
	return load(db, ret_message);
}

int sqlite3_plugpull_init(sqlite3 *db, char **ret_message, const sqlite3_api_routines *api);
int sqlite3_extension_init(sqlite3 *db, char **ret_message, const sqlite3_api_routines *api);

EXPORTED int sqlite3_plugpull_init(sqlite3 *db, char **ret_message, const sqlite3_api_routines *api)
{
	return begin(db, ret_message, api);
}

/* The name that SQLite tries first, whatever the file is called. */
EXPORTED int sqlite3_extension_init(sqlite3 *db, char **ret_message,
				    const sqlite3_api_routines *api)
{
	return begin(db, ret_message, api);
}
