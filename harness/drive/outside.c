/*
 * See outside.h.
 *
 * A file is opened as a main database, the one kind that every VFS opens without making anything of
 * it, and whose closing os_unix does without dropping the locks that other connections hold on the
 * same file. No lock is taken. A database is opened with immutable=1: SQLite then takes no locks,
 * looks for no journal and no WAL, and makes none.
 */
#include "harness/drive/outside.h"

#include "faultinject/base/buf.h"
#include "harness/drive/watch.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
	CHUNK_SIZE = 1 << 16,
	IMMUTABLE_SINCE = 3008005, /* https://www.sqlite.org/changes.html */
};

struct outside {
	char *database; /* owned */
	bool deferred, called;
	void (*look)(void *ctx, bool begins);
	void *ctx;
};

struct outside *outside_create(const char *database)
{
	struct outside *o = xcalloc(1, sizeof *o);

	o->database = xstrdup(database);
	return o;
}

void outside_free(struct outside *o)
{
	if (o == NULL)
		return;
	free(o->database);
	free(o);
}

void outside_defer(struct outside *o, bool deferred)
{
	o->deferred = deferred;
}

bool outside_take_called(struct outside *o)
{
	bool called = o->called;

	o->called = false;
	return called;
}

void outside_watch(struct outside *o, void (*look)(void *ctx, bool begins), void *ctx)
{
	o->look = look;
	o->ctx = ctx;
}

/* ---- names ---- */

static bool is_allowed(const char *name)
{
	for (;;) {
		size_t n = strcspn(name, "/");

		if (n == 0 || (n == 1 && name[0] == '.') || (n == 2 && memcmp(name, "..", 2) == 0))
			return false;
		if (name[n] == '\0')
			return true;
		name += n + 1;
	}
}

/*
 * A path as SQLite hands it to xOpen for a main database: four zero bytes before it and two behind,
 * which is where sqlite3_uri_parameter() looks for parameters
 * (https://www.sqlite.org/c3ref/create_filename.html). The caller frees *ret_memory.
 */
static int make_path(const struct outside *o, sqlite3_vfs *vfs, const char *name, char **ret_memory,
		     const char **ret_path)
{
	enum { BEFORE = 4, AFTER = 2 };
	size_t room = (size_t)vfs->mxPathname + 1;
	char *memory = xcalloc(BEFORE + room + AFTER, 1), *path = memory + BEFORE;
	int rc = vfs->xFullPathname(vfs, o->database, (int)room, path);
	char *slash = strrchr(path, '/');

	/* SQLITE_OK_SYMLINK is none: the folder is what counts. */
	if ((rc & 0xff) == SQLITE_OK &&
	    (slash == NULL || (size_t)(slash + 1 - path) + strlen(name) + 1 > room))
		rc = SQLITE_CANTOPEN;
	if ((rc & 0xff) != SQLITE_OK) {
		free(memory);
		return rc;
	}
	memset(slash + 1, 0, room - (size_t)(slash + 1 - path));
	memcpy(slash + 1, name, strlen(name) + 1);
	*ret_memory = memory;
	*ret_path = path;
	return SQLITE_OK;
}

/* ---- files ---- */

struct file {
	char *memory; /* of the path; owned */
	const char *path;
	sqlite3_file *handle; /* owned */
	sqlite3_int64 size;
};

static void file_close(struct file *f)
{
	if (f->handle != NULL && f->handle->pMethods != NULL)
		(void)f->handle->pMethods->xClose(f->handle);
	free(f->handle);
	free(f->memory);
	*f = (struct file){0};
}

/* SQLITE_OK with *ret_there false when there is no such file. file_close() in any case. */
static int file_open(const struct outside *o, const char *name, struct file *f, bool *ret_there)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	uint8_t first;
	int flags, error;
	int rc = make_path(o, vfs, name, &f->memory, &f->path);

	*ret_there = false;
	if (rc != SQLITE_OK)
		return rc;
	f->handle = xcalloc(1, (size_t)vfs->szOsFile);
	errno = 0;
	rc =
	    vfs->xOpen(vfs, f->path, f->handle, SQLITE_OPEN_READONLY | SQLITE_OPEN_MAIN_DB, &flags);
	if (rc != SQLITE_OK) {
		error = vfs->xGetLastError == NULL ? 0 : vfs->xGetLastError(vfs, 0, NULL);
		return error == ENOENT || error == ENOTDIR ? SQLITE_OK : rc;
	}
	*ret_there = true;
	rc = f->handle->pMethods->xFileSize(f->handle, &f->size);
	/* os_unix says of a file of one byte that it is empty (ticket 3260). */
	if (rc == SQLITE_OK && f->size == 0) {
		rc = f->handle->pMethods->xRead(f->handle, &first, 1, 0);
		f->size = rc == SQLITE_OK;
		if (rc == SQLITE_IOERR_SHORT_READ)
			rc = SQLITE_OK;
	}
	return rc;
}

static int file_hash(const struct file *f, uint64_t *ret_hash)
{
	/* http://www.isthe.com/chongo/tech/comp/fnv/ */
	const uint64_t basis = UINT64_C(0xcbf29ce484222325), prime = UINT64_C(0x100000001b3);
	uint8_t *chunk = xmalloc(CHUNK_SIZE);
	uint64_t h = basis;
	int rc = f->size > OUTSIDE_FILE_BYTES_MAX ? SQLITE_TOOBIG : SQLITE_OK;

	for (sqlite3_int64 at = 0; at < f->size && rc == SQLITE_OK; at += CHUNK_SIZE) {
		int n = f->size - at < CHUNK_SIZE ? (int)(f->size - at) : CHUNK_SIZE;

		rc = f->handle->pMethods->xRead(f->handle, chunk, n, at);
		for (int i = 0; i < n && rc == SQLITE_OK; i++)
			h = (h ^ chunk[i]) * prime;
	}
	free(chunk);
	*ret_hash = h;
	return rc;
}

/* ---- databases ---- */

/* "file:" and the path, with what means something in a URI escaped; owned by the caller. */
static char *make_uri(const char *path)
{
	struct buf b;

	buf_init(&b);
	buf_printf(&b, "file:");
	for (; *path != '\0'; path++)
		if (strchr("%?#", *path) != NULL)
			buf_printf(&b, "%%%02X", (unsigned)(unsigned char)*path);
		else
			buf_append(&b, path, 1);
	buf_printf(&b, "?immutable=1");
	char *uri = xstrdup(buf_str(&b));
	buf_release(&b);
	return uri;
}

/* What is wrong with the database, owned by the caller, or NULL. */
static char *find_problem(const char *path)
{
	char *uri = make_uri(path), *problem = NULL;
	sqlite3_stmt *stmt = NULL;
	sqlite3 *db = NULL;
	int rc = sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);

	if (rc == SQLITE_OK) {
		watch_connection(db);
		rc = sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &stmt, NULL);
	}
	if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(stmt, 0);
		if (text == NULL || strcmp(text, "ok") != 0)
			problem = xstrdup(text == NULL ? "no answer" : text);
	} else {
		problem = xstrdup(sqlite3_errmsg(db));
	}
	(void)sqlite3_finalize(stmt);
	(void)sqlite3_close(db);
	free(uri);
	return problem;
}

/* ---- the functions ---- */

static void failed(sqlite3_context *context, const char *name, const char *what, int code)
{
	char *text = xasprintf("the file '%s' %s", name, what);

	sqlite3_result_error(context, text, -1);
	if (code != SQLITE_OK)
		sqlite3_result_error_code(context, code);
	free(text);
}

static void give_bytes(sqlite3_context *context, const char *name, const struct file *f, bool there)
{
	(void)name;
	if (there)
		sqlite3_result_int64(context, f->size);
}

static void give_hash(sqlite3_context *context, const char *name, const struct file *f, bool there)
{
	uint64_t hash;
	int rc;

	if (!there)
		return;
	rc = file_hash(f, &hash);
	if (rc == SQLITE_OK)
		sqlite3_result_int64(context, (sqlite3_int64)hash);
	else
		failed(context, name, "cannot be read", rc);
}

static void give_problem(sqlite3_context *context, const char *name, const struct file *f,
			 bool there)
{
	if (sqlite3_libversion_number() < IMMUTABLE_SINCE) {
		failed(context, name, "cannot be looked at: that needs SQLite 3.8.5", SQLITE_OK);
	} else if (!there) {
		sqlite3_result_text(context, "no such file", -1, SQLITE_STATIC);
	} else if (f->size == 0) {
		/* To SQLite that is a database, with nothing in it. */
		sqlite3_result_text(context, "empty file", -1, SQLITE_STATIC);
	} else {
		char *problem = find_problem(f->path);
		if (problem != NULL)
			sqlite3_result_text(context, problem, -1, SQLITE_TRANSIENT);
		free(problem);
	}
}

static void call(sqlite3_context *context, sqlite3_value *value,
		 void (*give)(sqlite3_context *, const char *, const struct file *, bool))
{
	struct outside *o = sqlite3_user_data(context);
	const char *name = (const char *)sqlite3_value_text(value);
	struct file f = {0};
	bool there;
	int rc;

	o->called = true;
	if (o->deferred) {
		sqlite3_result_error(context, "deferred", -1);
		return;
	}
	if (name == NULL)
		return;
	if (strlen(name) != (size_t)sqlite3_value_bytes(value) || !is_allowed(name)) {
		failed(context, name, "is not one below the folder of the database", SQLITE_OK);
		return;
	}
	if (o->look != NULL)
		o->look(o->ctx, true);
	rc = file_open(o, name, &f, &there);
	if (rc == SQLITE_OK)
		give(context, name, &f, there);
	else
		failed(context, name, "cannot be opened", rc);
	file_close(&f);
	if (o->look != NULL)
		o->look(o->ctx, false);
}

static void call_bytes(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	call(context, values[0], give_bytes);
}

static void call_hash(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	call(context, values[0], give_hash);
}

static void call_problem(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	call(context, values[0], give_problem);
}

int outside_register(struct outside *o, sqlite3 *db)
{
	static const struct {
		const char *name;
		void (*call)(sqlite3_context *, int, sqlite3_value **);
	} functions[] = {
	    {"plugpull_file_bytes", call_bytes},
	    {"plugpull_file_fnv1a64", call_hash},
	    {"plugpull_database_problem", call_problem},
	};
	int rc = SQLITE_OK;

	for (size_t i = 0; i < sizeof functions / sizeof functions[0] && rc == SQLITE_OK; i++)
		rc = sqlite3_create_function(db, functions[i].name, 1, SQLITE_UTF8, o,
					     functions[i].call, NULL, NULL);
	return rc;
}
