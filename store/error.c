/*
 * error.c: codes, texts, and the one place where SQLite's result codes become the store's.
 *
 * It is deliberately like the harness's own err, and does not share a line with it: the store is
 * lifted out and linked alone.
 */
#include <stdarg.h>
#include <stdio.h>

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

static void error_init(struct store_error *err, enum store_code code, int sqlite_code)
{
	err->code = code;
	err->sqlite_code = sqlite_code;
	err->index = STORE_INDEX_NONE;
	err->indeterminate = false;
}

enum store_code store_error_set(struct store_error *err, enum store_code code, int sqlite_code,
				const char *format, ...)
{
	va_list args;

	if (!err)
		return code;
	error_init(err, code, sqlite_code);
	va_start(args, format);
	vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	return code;
}

enum store_code store_error_set_sqlite(struct store_error *err, sqlite3 *db, int rc,
				       const char *format, ...)
{
	enum store_code code = store_code_from_sqlite(rc);
	const char *reason;
	size_t size;
	int used;
	va_list args;

	if (!err)
		return code;
	error_init(err, code, rc);
	va_start(args, format);
	used = vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	size = used < 0 ? 0 : (size_t)used;
	if (size >= sizeof(err->message))
		return code;
	/* The connection's message is more precise, but only while it is about this very code. */
	reason = db && sqlite3_extended_errcode(db) == rc ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
	snprintf(err->message + size, sizeof(err->message) - size, ": %s", reason);
	return code;
}
