/* SQL of a stranger's program is told without what is data in it. */
#include "harness/explain/story_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect(const char *sql, const char *expected)
{
	char *told = story_without_literals(sql);

	assert_string_equal(told, expected);
	free(told);
}

/* Texts, numbers, BLOBs and comments go; names and parameters stay. */
static void test_literals(void **state)
{
	(void)state;
	expect("INSERT INTO t(a,b) VALUES ('it''s secret', 12.5e3)",
	       "INSERT INTO t(a,b) VALUES (?, ?)");
	expect("SELECT x'c0ffee', X'00', -.5, 0x1F FROM t2 WHERE c3 = ?1 AND d = :name",
	       "SELECT ?, ?, -?, ? FROM t2 WHERE c3 = ?1 AND d = :name");
	expect("DELETE FROM t /* for mr smith */ WHERE id=7 -- the one",
	       "DELETE FROM t  WHERE id=? ");
	expect("", "");
}

/* What is in double quotes is a name after a word that takes one, and a text elsewhere. */
static void test_quotes(void **state)
{
	(void)state;
	expect("UPDATE \"my t\" SET v = \"secret\" WHERE [a b] = `c`",
	       "UPDATE \"my t\" SET v = ? WHERE [a b] = `c`");
	expect("SELECT * FROM \"s\".\"t\"", "SELECT * FROM \"s\".\"t\"");
	expect("SELECT \"a\"\"b\" FROM t", "SELECT ? FROM t");
}

/* A statement that was cut in a literal has no end of it. */
static void test_cut(void **state)
{
	(void)state;
	expect("INSERT INTO t VALUES ('sec", "INSERT INTO t VALUES (?");
	expect("SELECT 1 /* sec", "SELECT ? ");
	expect("SELECT x'", "SELECT ?");
	expect("SELECT a FROM [t", "SELECT a FROM [t");
}

/* What a PRAGMA of SQLite's sets is a setting; what another one holds may be a key or a name. */
static void test_pragmas(void **state)
{
	(void)state;
	expect("PRAGMA cache_size=-4000", "PRAGMA cache_size=-4000");
	expect("pragma \"main\".synchronous = 'full';", "pragma \"main\".synchronous = 'full';");
	expect("PRAGMA wal_checkpoint(TRUNCATE) -- mr smith", "PRAGMA wal_checkpoint(TRUNCATE) ");
	expect("PRAGMA key='secret'", "PRAGMA key=?");
	expect("PRAGMA temp_store_directory='/home/smith'", "PRAGMA temp_store_directory=?");
	expect("PRAGMA synchronous='fu ll'", "PRAGMA synchronous=?");
	expect("PRAGMA synchronous=1; SELECT 7", "PRAGMA synchronous=?; SELECT ?");
	expect("PRAGMAsynchronous=1", "PRAGMAsynchronous=?");
}

static void expect_pragma(const char *sql, const char *name, const char *value)
{
	struct story_pragma p = {.name = "x", .value = "x"};

	if (name == NULL) {
		assert_false(story_pragma_read(sql, &p));
		assert_string_equal(p.name, "x");
		return;
	}
	assert_true(story_pragma_read(sql, &p));
	assert_string_equal(p.name, name);
	assert_string_equal(p.value, value);
}

/* A PRAGMA that sets something is read, however it is written; one that asks is none. */
static void test_pragma_read(void **state)
{
	(void)state;
	expect_pragma("PRAGMA synchronous=NORMAL", "synchronous", "NORMAL");
	expect_pragma("  pragma  [a] . `synchronous`\t(1) ;", "synchronous", "1");
	expect_pragma("PRAGMA journal_mode = \"wal\" /* why */", "journal_mode", "wal");
	expect_pragma("PRAGMA synchronous", NULL, NULL);
	expect_pragma("PRAGMA synchronous(1", NULL, NULL);
	expect_pragma("PRAGMA synchronous(1;", NULL, NULL);
	expect_pragma("PRAGMA synchronous=", NULL, NULL);
	expect_pragma("PRAGMA synchronous='1", NULL, NULL);
	expect_pragma("PRAGMA a.b.c=1", NULL, NULL);
	expect_pragma("PRAGMA synchronous=1 2", NULL, NULL);
	expect_pragma("PRAGMA aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=1", NULL, NULL);
	expect_pragma("SELECT 1", NULL, NULL);
	expect_pragma("", NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pragmas),  cmocka_unit_test(test_pragma_read),
	    cmocka_unit_test(test_literals), cmocka_unit_test(test_quotes),
	    cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
