/* Contents of databases, and what they differ in. */
#include "faultinject/base/buf.h"
#include "harness/explain/sql_content.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static sqlite3 *open_with(const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	return db;
}

static void read_of(sqlite3 *db, uint64_t table_rows, uint64_t *rows_left, bool show_data,
		    struct sql_content *ret)
{
	struct subject *s = subject_create();
	const struct sql_content_limits limits = {table_rows, rows_left, show_data};

	sql_content_read(db, s, &limits, ret);
	subject_free(s);
}

static void tell(void *ctx, const struct sql_content_table *table, const struct sql_content_row *a,
		 const struct sql_content_row *b)
{
	buf_printf(ctx, "%s%s|%s|%s\n", table->is_schema ? "schema: " : "",
		   a != NULL ? a->where : b->where, a == NULL ? "-" : a->text,
		   b == NULL ? "-" : b->text);
}

/* What the second SQL adds to the first differs as expected. */
static void expect(const char *first, const char *second, bool show_data, const char *expected)
{
	uint64_t left = 1000;
	sqlite3 *db = open_with(first);
	struct sql_content a, b;
	struct buf said;

	buf_init(&said);
	read_of(db, 100, &left, show_data, &a);
	assert_int_equal(sqlite3_exec(db, second, NULL, NULL, NULL), SQLITE_OK);
	read_of(db, 100, &left, show_data, &b);
	sql_content_differ(&a, &b, tell, &said);
	assert_string_equal(buf_str(&said), expected);
	buf_release(&said);
	sql_content_release(&a);
	sql_content_release(&b);
	(void)sqlite3_close(db);
}

/* Rows are known by their rowid, whatever its name, and those without by their values. */
static void test_differ(void **state)
{
	(void)state;
	expect("CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES(1,'a'),(2,'b')",
	       "DELETE FROM t WHERE id=1; UPDATE t SET v='c'; INSERT INTO t VALUES(7,NULL)", true,
	       "table t, rowid 1|id 1, v 'a'|-\n"
	       "table t, rowid 2|id 2, v 'b'|id 2, v 'c'\n"
	       "table t, rowid 7|-|id 7, v NULL\n");
	expect("CREATE TABLE t(_rowid_, rowid)", "INSERT INTO t VALUES(5, x'00ff')", true,
	       "table t, rowid 1|-|_rowid_ 5, rowid x'00ff'\n");
	expect("CREATE TABLE w(k PRIMARY KEY) WITHOUT ROWID", "INSERT INTO w VALUES('k')", true,
	       "table w, a row|-|k 'k'\n");
	expect("SELECT 1", "CREATE TABLE n(x); PRAGMA user_version=3", true,
	       "schema: schema, table n|-|table n\nuser_version|user_version 0|user_version 3\n");
}

/* Without being asked to, no value is shown: type, size and hash are, as in messages. */
static void test_masked(void **state)
{
	(void)state;
	expect("CREATE TABLE t(v)", "INSERT INTO t VALUES('secret')", false,
	       "table t, rowid 1|-|v text(6 bytes, #c0366fbd)\n");
}

/* Reading ends where it has to, and what was not read is not compared. */
static void test_limits(void **state)
{
	sqlite3 *db = open_with("CREATE TABLE t(v); INSERT INTO t VALUES(1),(2),(3)");
	uint64_t left = 1000;
	struct sql_content a, b;
	struct buf said;

	(void)state;
	buf_init(&said);
	read_of(db, 2, &left, false, &a);
	assert_true(sql_content_is_cut(&a));
	assert_int_equal(left, 1000 - 3); /* two rows, and one of the schema */
	left = 2;
	read_of(db, 100, &left, false, &b);
	assert_true(sql_content_is_cut(&b));
	assert_int_equal(left, 0);
	sql_content_differ(&a, &b, tell, &said);
	assert_int_equal(said.size, 0);
	buf_release(&said);
	sql_content_release(&a);
	sql_content_release(&b);
	(void)sqlite3_close(db);
}

/* Of a row that is elsewhere, too, only the columns that differ are told. */
static void test_difference(void **state)
{
	static const char *const values[][2] = {
	    {"1, 'a', 'b', 'c', 'd'", "a 1, b 'a', c 'b', d 'c', e 'd'"},
	    {"1, 'a', 'x', 'c', 'd'", "\xe2\x80\xa6, c 'x', \xe2\x80\xa6"},
	    {"1, 'y', 'x', 'c', 'z'", "\xe2\x80\xa6, b 'y', c 'x', \xe2\x80\xa6, e 'z'"},
	};
	sqlite3 *db = open_with("CREATE TABLE t(a INTEGER PRIMARY KEY, b, c, d, e);"
				"INSERT INTO t VALUES (1, 'a', 'b', 'c', 'd');");
	uint64_t left = 1000;
	struct sql_content first, now;

	(void)state;
	read_of(db, 100, &left, true, &first);
	for (size_t i = 0; i < 3; i++) {
		char *sql = xasprintf("REPLACE INTO t VALUES (%s)", values[i][0]);
		assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
		read_of(db, 100, &left, true, &now);
		/* The schema and the two numbers come before and behind. */
		const struct sql_content_row *a = NULL, *b = NULL;
		for (size_t k = 0; k < now.row_count; k++)
			if (strcmp(now.rows[k].where, "table t, rowid 1") == 0)
				b = &now.rows[k];
		for (size_t k = 0; k < first.row_count; k++)
			if (strcmp(first.rows[k].where, "table t, rowid 1") == 0)
				a = &first.rows[k];
		assert_non_null(a);
		assert_non_null(b);
		char *told = sql_content_difference(b, a);
		assert_string_equal(told, values[i][1]);
		free(told);
		told = sql_content_difference(b, NULL);
		assert_string_equal(told, b->text);
		free(told);
		sql_content_release(&now);
		free(sql);
	}
	sql_content_release(&first);
	(void)sqlite3_close(db);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_difference),
	    cmocka_unit_test(test_differ),
	    cmocka_unit_test(test_masked),
	    cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
