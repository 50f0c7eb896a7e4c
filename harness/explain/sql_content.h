/*
 * What SQL sees of the databases of a case, row by row, for people: the schema, the rows of each
 * ordinary table, user_version and application_id. Two contents are compared to tell what a
 * transaction changed, and what a crash took away.
 *
 * A row is known by its rowid; one of a table without rowids by its values, so that a changed one
 * is a row that is gone and another that came. Values are hashed, and shown as type, size and hash
 * unless data is to be shown. Reading is bounded: `cut` names the tables that were not read to
 * their end.
 *
 * Does not see: what lies in virtual tables beyond their shadow tables; TEMP.
 */
#ifndef EXPLAIN_SQL_CONTENT_H
#define EXPLAIN_SQL_CONTENT_H

#include "faultinject/base/hash.h"
#include "harness/case/subject.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SQL_CONTENT_TABLES_MAX = 1000,
	SQL_CONTENT_VALUES_SIZE_MAX = 400, /* bytes of the text of a row */
};

struct sqlite3;

struct sql_content_row {
	size_t table;	 /* index into tables */
	int64_t key;	 /* rowid, or a hash of the values */
	uint64_t values; /* hash */
	char *where;	 /* owned; "table orders, rowid 2" */
	char *text;	 /* owned; the values */
	uint16_t *ends;	 /* owned; where each column ends in it, as far as it goes; NULL: none */
	size_t end_count;
};

struct sql_content_table {
	char *name; /* owned; "orders", "side.orders" */
	char *what; /* owned; of a failure: what SQLite said; NULL: it could be read */
	uint64_t row_count;
	bool is_schema, cut;
};

struct sql_content {
	struct sql_content_table *tables; /* owned; in the order of files and names */
	size_t table_count, table_cap;
	struct sql_content_row *rows; /* owned; by table, key and values */
	size_t row_count, row_cap;
};

struct sql_content_limits {
	uint64_t table_rows_max; /* of a table */
	uint64_t *rows_left;	 /* of all that is read; counted down */
	bool show_data;
};

/* Reads what `db` sees. Failures of SQLite are part of the content. The caller releases *ret. */
void sql_content_read(struct sqlite3 *db, const struct subject *s,
		      const struct sql_content_limits *limits, struct sql_content *ret);
void sql_content_release(struct sql_content *c); /* accepts a zeroed one */

/* Something was not read: its rows cannot be compared. */
bool sql_content_is_cut(const struct sql_content *c);

/* Tells each row of which the two differ, in the order of tables and keys: `a` or `b` is NULL where
 * it has no such row. Tables that one of them could not read, or not to the end, are left out. */
void sql_content_differ(const struct sql_content *a, const struct sql_content *b,
			void (*tell)(void *ctx, const struct sql_content_table *table,
				     const struct sql_content_row *a,
				     const struct sql_content_row *b),
			void *ctx);

/* The values of `row` without those that `other`, the same row elsewhere, has too: "..." (one
 * character) stands for them. `other` may be NULL: all of them. Owned by the caller. */
char *sql_content_difference(const struct sql_content_row *row,
			     const struct sql_content_row *other);

/* Has it this very row, with these values? */
bool sql_content_has(const struct sql_content *c, const struct sql_content_table *table,
		     const struct sql_content_row *row);

#endif
