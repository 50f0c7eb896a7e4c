/* SQLite on the heap that is emptied after each recovery. */
#include "harness/drive/observe.h"
#include "harness/drive/sqlite_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sqlite3.h>
#include <string.h>

#include <cmocka.h>

static sqlite3 *open_memory(void)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	return db;
}

static void run(sqlite3 *db, const char *sql, int expected)
{
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), expected);
}

static int64_t number(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt = NULL;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	int64_t n = sqlite3_column_int64(stmt, 0);
	assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
	return n;
}

#define FILL                                                                                       \
	"CREATE TABLE t(x); WITH RECURSIVE c(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM c "      \
	"WHERE i < 500) INSERT INTO t SELECT hex(randomblob(i)) FROM c"

/* A connection that is still open when the recovery ends goes on undisturbed, whatever later
 * recoveries do. */
static void test_an_open_connection_survives(void **state)
{
	(void)state;
	sqlite_memory_begin();
	sqlite3 *kept = open_memory();
	run(kept, FILL, SQLITE_OK);
	int64_t sum = number(kept, "SELECT sum(length(x)) FROM t");
	sqlite_memory_end();
	for (int i = 0; i < 5; i++) {
		sqlite_memory_begin();
		sqlite3 *db = open_memory();
		run(db, FILL, SQLITE_OK);
		assert_int_equal(number(kept, "SELECT sum(length(x)) FROM t"), sum);
		run(kept, "INSERT INTO t VALUES ('')", SQLITE_OK);
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
		sqlite_memory_end();
	}
	assert_int_equal(number(kept, "SELECT sum(length(x)) FROM t"), sum);
	assert_int_equal(number(kept, "SELECT count(*) FROM t"), 505);
	assert_int_equal(sqlite3_close(kept), SQLITE_OK);
}

/* A recovery that wants too much is told that there is no memory, and the next one has it all. */
static void test_a_recovery_is_bounded(void **state)
{
#if defined(__SANITIZE_ADDRESS__)
	(void)state;
	skip(); /* the sanitizer's own memory is used */
#else
	(void)state;
	for (int i = 0; i < 2; i++) {
		sqlite_memory_begin();
		sqlite3 *db = open_memory();
		/* A blob of 0.4 GB and its text of 0.8 GB. */
		run(db, "SELECT hex(zeroblob(400000000))", SQLITE_NOMEM);
		run(db, FILL, SQLITE_OK);
		assert_int_equal(number(db, "SELECT count(*) FROM t"), 500);
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
		sqlite_memory_end();
	}
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_an_open_connection_survives),
	    cmocka_unit_test(test_a_recovery_is_bounded),
	};

	observer_configure();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
