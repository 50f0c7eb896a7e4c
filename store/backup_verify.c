/*
 * backup_verify.c: whether a copy is what the original is [C4].
 *
 * The copy is opened by `immutable=1`: SQLite then reads the file alone, takes no lock, and neither
 * wants nor makes a log beside it, although the copied header says WAL
 * (https://www.sqlite.org/uri.html#uriimmutable). It is opened anew, so that nothing is answered
 * from the cache of the connection that wrote it.
 *
 * An integrity check looks at the structure and does not see a payload whose bytes have changed. So
 * rows are not only counted: both sides are read in step, and every value is compared. It reads
 * both databases once more; it cannot see what the kernel's cache hides from it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/upkeep_internal.h"

#define TABLES                                                                                     \
	"SELECT name FROM main.sqlite_master WHERE type = 'table' AND rootpage > 0"                \
	" ORDER BY name"
#define SCHEMA "SELECT type, name, tbl_name, rootpage, sql FROM main.sqlite_master"

char *store_file_uri(const char *path, const char *query)
{
	static const char digits[] = "0123456789ABCDEF";
	/* An absolute path stands behind an empty host, for one that begins with two slashes would
	 * otherwise be taken for the name of a host. */
	const char *scheme = path[0] == '/' ? "file://" : "file:";
	char *uri = sqlite3_malloc64(strlen(scheme) + 3 * strlen(path) + 1 + strlen(query) + 1);
	char *at = uri;

	if (!uri)
		return NULL;
	at = stpcpy(at, scheme);
	for (const char *c = path; *c; c++) {
		const unsigned byte = (unsigned char)*c;

		if ((*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') ||
		    (*c >= 'a' && *c <= 'z') || strchr("/._-", *c) != NULL) {
			*at++ = *c;
			continue;
		}
		*at++ = '%';
		*at++ = digits[byte >> 4];
		*at++ = digits[byte & 15];
	}
	*at++ = '?';
	memcpy(at, query, strlen(query) + 1);
	return uri;
}

/* An error while reading the copy: one that its bytes are to blame for is the verdict. */
static enum store_code copy_error(sqlite3 *copy, int rc, const char *what, struct store_error *err)
{
	enum store_code code = store_error_set_sqlite(err, copy, rc, "%s", what);

	if (code != STORE_ERR_IO && code != STORE_ERR_NO_MEMORY && code != STORE_ERR_CANNOT_OPEN)
		code = STORE_ERR_VERIFY;
	/* A file that is too short is no failure of the disk. */
	if (rc == SQLITE_IOERR_SHORT_READ)
		code = STORE_ERR_VERIFY;
	if (err)
		err->code = code;
	return code;
}

static enum store_code integrity(sqlite3 *copy, const char *part, struct store_error *err)
{
	sqlite3_stmt *stmt = NULL;
	enum store_code code = STORE_OK;
	const char *text;
	int rc;

	rc = sqlite3_prepare_v2(copy, "PRAGMA integrity_check(1)", -1, &stmt, NULL);
	if (rc != SQLITE_OK)
		return copy_error(copy, rc, "cannot check the copy", err);
	rc = sqlite3_step(stmt);
	text = (const char *)sqlite3_column_text(stmt, 0);
	if (rc != SQLITE_ROW || !text)
		code = copy_error(copy, rc, "cannot check the copy", err);
	else if (strcmp(text, "ok") != 0)
		code = store_error_set(err, STORE_ERR_VERIFY, 0,
				       "%.200s: the copy is damaged: %.200s", part, text);
	sqlite3_finalize(stmt);
	return code;
}

static bool same_value(sqlite3_stmt *a, sqlite3_stmt *b, int column)
{
	int type = sqlite3_column_type(a, column);
	int size;

	if (type != sqlite3_column_type(b, column))
		return false;
	switch (type) {
	case SQLITE_NULL:
		return true;
	case SQLITE_INTEGER:
		return sqlite3_column_int64(a, column) == sqlite3_column_int64(b, column);
	case SQLITE_FLOAT: {
		const double x = sqlite3_column_double(a, column);
		const double y = sqlite3_column_double(b, column);
		uint64_t x_bits;
		uint64_t y_bits;

		memcpy(&x_bits, &x, sizeof(x));
		memcpy(&y_bits, &y, sizeof(y));
		return x_bits == y_bits;
	}
	default: {
		const void *x = sqlite3_column_blob(a, column);
		const void *y = sqlite3_column_blob(b, column);

		size = sqlite3_column_bytes(a, column);
		return size == sqlite3_column_bytes(b, column) &&
		       (size == 0 || (x && y && memcmp(x, y, (size_t)size) == 0));
	}
	}
}

/* Two sides of a comparison. */
struct pair {
	sqlite3 *source;
	sqlite3 *copy;
	const char *part;
};

/* Runs the same query on both sides and compares all rows. name is what the query is about. */
static enum store_code same_rows(const struct pair *pair, const char *sql, const char *name,
				 struct store_error *err)
{
	sqlite3_stmt *theirs = NULL;
	sqlite3_stmt *ours = NULL;
	enum store_code code = STORE_OK;
	int64_t row = 0;
	int source_rc;
	int copy_rc;

	source_rc = sqlite3_prepare_v2(pair->source, sql, -1, &theirs, NULL);
	if (source_rc != SQLITE_OK) {
		code = store_error_set_sqlite(err, pair->source, source_rc, "cannot read '%.100s'",
					      name);
		goto out;
	}
	copy_rc = sqlite3_prepare_v2(pair->copy, sql, -1, &ours, NULL);
	if (copy_rc != SQLITE_OK) {
		code = copy_error(pair->copy, copy_rc, "cannot read the copy", err);
		goto out;
	}
	for (;;) {
		bool same = true;

		source_rc = sqlite3_step(theirs);
		copy_rc = sqlite3_step(ours);
		if (source_rc != SQLITE_ROW && source_rc != SQLITE_DONE) {
			code = store_error_set_sqlite(err, pair->source, source_rc,
						      "cannot read '%.100s'", name);
			goto out;
		}
		if (copy_rc != SQLITE_ROW && copy_rc != SQLITE_DONE) {
			code = copy_error(pair->copy, copy_rc, "cannot read the copy", err);
			goto out;
		}
		if (source_rc != copy_rc) {
			code = store_error_set(
			    err, STORE_ERR_VERIFY, 0, "%.200s: the copy has %s rows of '%.100s'",
			    pair->part, copy_rc == SQLITE_ROW ? "more" : "fewer", name);
			goto out;
		}
		if (source_rc == SQLITE_DONE)
			goto out;
		row++;
		for (int i = 0; i < sqlite3_column_count(theirs) && same; i++)
			same = same_value(theirs, ours, i);
		if (!same) {
			code = store_error_set(err, STORE_ERR_VERIFY, 0,
					       "%.200s: row %" PRId64
					       " of '%.100s' is another in the copy",
					       pair->part, row, name);
			goto out;
		}
	}
out:
	sqlite3_finalize(theirs);
	sqlite3_finalize(ours);
	return code;
}

static enum store_code same_tables(const struct pair *pair, struct store_error *err)
{
	sqlite3_stmt *tables = NULL;
	enum store_code code;
	int rc;

	code = same_rows(pair, SCHEMA, "sqlite_master", err);
	if (code != STORE_OK)
		return code;
	rc = sqlite3_prepare_v2(pair->source, TABLES, -1, &tables, NULL);
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, pair->source, rc, "cannot list the tables");
	while (code == STORE_OK && (rc = sqlite3_step(tables)) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(tables, 0);
		/* NOT INDEXED: the planners of both sides could choose differently. */
		char *sql =
		    name ? sqlite3_mprintf("SELECT * FROM main.\"%w\" NOT INDEXED", name) : NULL;

		if (sql)
			code = same_rows(pair, sql, name, err);
		else
			code = store_error_set(err, STORE_ERR_NO_MEMORY, 0, "no memory to compare");
		sqlite3_free(sql);
	}
	if (code == STORE_OK && rc != SQLITE_DONE)
		code = store_error_set_sqlite(err, pair->source, rc, "cannot list the tables");
	sqlite3_finalize(tables);
	return code;
}

enum store_code store_backup_verify(sqlite3 *source, const char *part, struct store_error *err)
{
	struct pair pair = {.source = source, .part = part};
	enum store_code code;
	char *uri;
	int rc;

	uri = store_file_uri(part, "mode=ro&immutable=1");
	if (!uri)
		return store_error_set(err, STORE_ERR_NO_MEMORY, 0, "no memory for a path");
	rc = sqlite3_open_v2(uri, &pair.copy,
			     SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_extended_result_codes(pair.copy, 1);
		code = integrity(pair.copy, part, err);
		if (code == STORE_OK)
			code = same_tables(&pair, err);
	} else {
		code = store_error_set_sqlite(err, pair.copy, rc, "cannot open the copy");
	}
	sqlite3_close_v2(pair.copy);
	sqlite3_free(uri);
	return code;
}
