/*
 * error.c: codes, texts, and the one place where SQLite's result codes become the store's.
 *
 * It is deliberately like the harness's own err, and does not share a line with it: the store is
 * lifted out and linked alone.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "store/internal.h"

const char *store_code_name(enum store_code code)
{
	switch (code) {
#define STORE_CODE_NAME(code_, text_)                                                              \
	case code_:                                                                                \
		return #code_;
		STORE_CODES(STORE_CODE_NAME)
#undef STORE_CODE_NAME
	}
	return "STORE_ERR_UNKNOWN";
}

const char *store_code_text(enum store_code code)
{
	switch (code) {
#define STORE_CODE_TEXT(code_, text_)                                                              \
	case code_:                                                                                \
		return text_;
		STORE_CODES(STORE_CODE_TEXT)
#undef STORE_CODE_TEXT
	}
	return "unknown error code";
}

enum store_code store_code_from_sqlite(int rc)
{
	/* Running out of memory inside an I/O method is not the disk's fault. */
	if (rc == SQLITE_IOERR_NOMEM)
		return STORE_ERR_NO_MEMORY;
	switch (rc & 0xff) {
	case SQLITE_OK:
		return STORE_OK;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return STORE_ERR_BUSY;
	case SQLITE_CANTOPEN:
		return STORE_ERR_CANNOT_OPEN;
	case SQLITE_READONLY:
		return STORE_ERR_READ_ONLY;
	case SQLITE_NOTADB:
		return STORE_ERR_NOT_A_DATABASE;
	case SQLITE_IOERR:
		return STORE_ERR_IO;
	case SQLITE_FULL:
		return STORE_ERR_FULL;
	case SQLITE_CORRUPT:
		return STORE_ERR_CORRUPT;
	case SQLITE_NOMEM:
		return STORE_ERR_NO_MEMORY;
	default:
		return STORE_ERR_SQLITE;
	}
}

/* Appends to the message, cut to fit. */
static void message_append(struct store_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void message_append(struct store_error *err, const char *format, ...)
{
	size_t used = strlen(err->message);
	va_list args;

	va_start(args, format);
	vsnprintf(err->message + used, sizeof(err->message) - used, format, args);
	va_end(args);
}

static void message_append_args(struct store_error *err, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static void message_append_args(struct store_error *err, const char *format, va_list args)
{
	size_t used = strlen(err->message);

	vsnprintf(err->message + used, sizeof(err->message) - used, format, args);
}

static void error_init(struct store_error *err, enum store_code code, int sqlite_code)
{
	err->code = code;
	err->sqlite_code = sqlite_code;
	err->index = STORE_INDEX_NONE;
	err->indeterminate = false;
	err->message[0] = '\0';
}

enum store_code store_error_set(struct store_error *err, enum store_code code, int sqlite_code,
				const char *format, ...)
{
	va_list args;

	if (!err)
		return code;
	error_init(err, code, sqlite_code);
	va_start(args, format);
	message_append_args(err, format, args);
	va_end(args);
	if (sqlite_code != 0)
		message_append(err, " [%d]", sqlite_code);
	return code;
}

enum store_code store_error_at(struct store_error *err, const struct store *store,
			       enum store_code code, int sqlite_code, const char *format, ...)
{
	va_list args;

	if (!err)
		return code;
	error_init(err, code, sqlite_code);
	message_append(err, "%.200s: ", store->path);
	va_start(args, format);
	message_append_args(err, format, args);
	va_end(args);
	if (sqlite_code != 0)
		message_append(err, " [%d]", sqlite_code);
	return code;
}

/* What SQLite calls the file of a connection, or NULL. */
static const char *file_of(sqlite3 *db)
{
	const char *path = db ? sqlite3_db_filename(db, "main") : NULL;

	return path && path[0] ? path : NULL;
}

enum store_code store_error_set_sqlite(struct store_error *err, sqlite3 *db, int rc,
				       const char *format, ...)
{
	enum store_code code = store_code_from_sqlite(rc);
	const char *path = file_of(db);
	const char *reason;
	va_list args;

	if (!err)
		return code;
	error_init(err, code, rc);
	/* The connection's message is more precise, but only while it is about this very code. */
	reason = db && sqlite3_extended_errcode(db) == rc ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
	if (path)
		message_append(err, "%.200s: ", path);
	va_start(args, format);
	message_append_args(err, format, args);
	va_end(args);
	message_append(err, ": %s [%d]", reason, rc);
	return code;
}

enum store_code store_error_set_file(struct store_error *err, int number, const char *path,
				     const char *what)
{
	enum store_code code;

	switch (number) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		code = STORE_ERR_FULL;
		break;
	case ENOMEM:
		code = STORE_ERR_NO_MEMORY;
		break;
	case ENOENT:
	case ENOTDIR:
	case EISDIR:
	case EACCES:
	case EPERM:
	case EMFILE:
	case ENFILE:
	case ENAMETOOLONG:
		code = STORE_ERR_CANNOT_OPEN;
		break;
	case EROFS:
		code = STORE_ERR_READ_ONLY;
		break;
	default:
		code = STORE_ERR_IO;
		break;
	}
	return store_error_set(err, code, 0, "%.200s: %s: %s", path, what, strerror(number));
}

void store_error_add_path(struct store_error *err, sqlite3 *db, const char *path)
{
	const char *named = file_of(db);
	char prefix[256];
	size_t size;
	int used;

	if (!err || (named && strncmp(err->message, named, strlen(named)) == 0) ||
	    strncmp(err->message, path, strlen(path)) == 0)
		return;
	used = snprintf(prefix, sizeof(prefix), "%.200s: ", path);
	if (used <= 0)
		return;
	size = (size_t)used;
	memmove(err->message + size, err->message, sizeof(err->message) - size);
	memcpy(err->message, prefix, size);
	err->message[sizeof(err->message) - 1] = '\0';
}
