/*
 * What the reader says of a record is what SQLite's columns say of the row: every type, the limits
 * of every width of integer. Of a record that is cut, it says what is there. Free pages and pointer
 * maps are those that SQLite has.
 */
#include "faultinject/base/buf.h"
#include "faultinject/format/btree.h"
#include "faultinject/format/record.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void run(sqlite3 *db, const char *sql)
{
	char *message = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", sql, message);
}

static sqlite3_int64 ask(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	sqlite3_int64 v = sqlite3_column_int64(stmt, 0);
	(void)sqlite3_finalize(stmt);
	return v;
}

static void assert_column(sqlite3_stmt *stmt, int i, const struct record_value *v)
{
	static const int types[] = {[RECORD_NULL] = SQLITE_NULL,
				    [RECORD_INTEGER] = SQLITE_INTEGER,
				    [RECORD_REAL] = SQLITE_FLOAT,
				    [RECORD_TEXT] = SQLITE_TEXT,
				    [RECORD_BLOB] = SQLITE_BLOB};
	double real;

	assert_int_equal(sqlite3_column_type(stmt, i), types[v->type]);
	if (v->type == RECORD_INTEGER) {
		assert_true(sqlite3_column_int64(stmt, i) == v->integer);
	} else if (v->type == RECORD_REAL) {
		memcpy(&real, &v->integer, sizeof real);
		assert_true(sqlite3_column_double(stmt, i) == real);
	} else if (v->type != RECORD_NULL) {
		assert_int_equal(v->here, v->size);
		assert_int_equal(sqlite3_column_bytes(stmt, i), v->size);
		if (v->size > 0)
			assert_memory_equal(sqlite3_column_blob(stmt, i), v->bytes, v->size);
	}
}

/* A cut record has the same columns up to the cut, and a value that is cut is the last one. */
static void check_cuts(const uint8_t *bytes, size_t size)
{
	for (size_t cut = 0; cut < size; cut++) {
		uint8_t *part = xmalloc(cut + 1);
		struct record all, some;
		struct record_value whole, v;

		memcpy(part, bytes, cut);
		assert_true(record_read(bytes, size, &all));
		if (record_read(part, cut, &some))
			while (record_next(&some, &v)) {
				assert_true(record_next(&all, &whole));
				assert_int_equal(v.type, whole.type);
				assert_int_equal(v.size, whole.size);
				if (v.type == RECORD_INTEGER)
					assert_true(v.integer == whole.integer);
				if (v.here == v.size)
					continue;
				assert_int_equal(v.here, (size_t)(part + cut - v.bytes));
				assert_false(record_next(&some, &v));
				break;
			}
		free(part);
	}
}

static void test_columns(void **state)
{
	sqlite3 *db;
	sqlite3_stmt *stmt;
	sqlite3_int64 size;
	struct database_header h;
	struct btree_page page;

	(void)state;
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	run(db,
	    "PRAGMA page_size=65536; CREATE TABLE t(a, b, c, d);"
	    "INSERT INTO t VALUES (NULL, 0, 1, -1), (2, 127, 128, -128), (-129, 32767, 32768, "
	    "-32769),"
	    " (8388607, 8388608, -8388608, -8388609), (2147483647, 2147483648, -2147483649, 1.5),"
	    " (140737488355327, 140737488355328, -140737488355329, -1e300),"
	    " (9223372036854775807, -9223372036854775808, '', x''),"
	    " ('text', x'00ff00', printf('%0100d', 1), zeroblob(9000)), (0.0, 1.0, 2.0, 'end');"
	    "INSERT INTO t(a) VALUES ('short'); ALTER TABLE t ADD COLUMN e;");
	uint8_t *bytes = sqlite3_serialize(db, "main", &size, 0);
	assert_true(database_header_read(bytes, (size_t)size, &h));
	assert_true(btree_page_read(bytes + h.page_size, 2, &h, &page));
	assert_int_equal(
	    sqlite3_prepare_v2(db, "SELECT a, b, c, d FROM t ORDER BY rowid", -1, &stmt, NULL),
	    SQLITE_OK);
	assert_int_equal(page.cell_count, 10);
	for (uint32_t i = 0; i < page.cell_count; i++) {
		struct btree_cell cell;
		struct record r;
		struct record_value v;

		assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
		assert_true(btree_cell_read(&page, i, &cell));
		assert_int_equal(cell.overflow, 0);
		assert_true(record_read(cell.local, cell.local_size, &r));
		for (int c = 0; c < 4; c++) {
			assert_true(record_next(&r, &v));
			assert_column(stmt, c, &v);
		}
		assert_false(record_next(&r, &v));
		if (cell.local_size < 1000)
			check_cuts(cell.local, cell.local_size);
	}
	assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
	sqlite3_free(bytes);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Types that are not used, headers that are not all there or longer than they say. */
static void test_records_refused(void **state)
{
	static const uint8_t unused[] = {3, 1, 10, 5}, longer[] = {9, 1, 2}, zero[] = {0, 1};
	static const uint8_t split[] = {2, 0x81, 0, 5}, big[] = {3, 0xff, 0x7f, 'x'};
	struct record r;
	struct record_value v;

	(void)state;
	assert_false(record_read(unused, 0, &r));
	assert_true(record_read(unused, sizeof unused, &r));
	assert_true(record_next(&r, &v));
	assert_false(record_next(&r, &v));
	assert_false(record_read(longer, sizeof longer, &r));
	assert_false(record_read(zero, sizeof zero, &r));
	assert_true(record_read(split, sizeof split, &r));
	assert_false(record_next(&r, &v));
	assert_true(record_read(big, sizeof big, &r));
	assert_true(record_next(&r, &v));
	assert_int_equal(v.size, (0x3fff - 13) / 2);
	assert_int_equal(v.here, 1);
	assert_false(record_next(&r, &v));
}

/* The freelist has as many pages as SQLite counts, and with auto-vacuum every pointer map has an
 * entry that says so of each root (type 1). */
static void test_free_pages(void **state)
{
	(void)state;
	for (int vacuum = 0; vacuum <= 2; vacuum += 2) {
		char *sql =
		    xasprintf("PRAGMA page_size=512; PRAGMA auto_vacuum=%d; CREATE TABLE t(x);"
			      "CREATE TABLE u(x); INSERT INTO t VALUES (zeroblob(150000));"
			      "INSERT INTO u VALUES (1); DROP TABLE t;",
			      vacuum);
		sqlite3 *db;
		sqlite3_int64 size;
		struct database_header h;
		struct free_trunk trunk;
		uint64_t count = 0;

		assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
		run(db, sql);
		free(sql);
		uint8_t *bytes = sqlite3_serialize(db, "main", &size, 0);
		assert_true(database_header_read(bytes, (size_t)size, &h));
		for (uint32_t at = h.free_trunk; at != 0; at = trunk.next) {
			assert_true(free_trunk_read(bytes + (at - 1) * 512, &h, &trunk));
			count += 1 + trunk.leaf_count;
		}
		assert_true(count > 250);
		assert_int_equal(count, ask(db, "PRAGMA freelist_count"));
		assert_int_equal(h.auto_vacuum, vacuum != 0);
		if (vacuum != 0) {
			uint32_t root = (uint32_t)ask(db, "SELECT rootpage FROM sqlite_schema");
			uint32_t map = root;

			while (!database_is_pointer_map(&h, map))
				map--;
			assert_int_equal(bytes[(map - 1) * 512 + 5 * (root - map - 1)], 1);
			assert_true(database_is_pointer_map(&h, 2));
			assert_true(database_is_pointer_map(&h, 2 + 512 / 5 + 1));
			assert_false(database_is_pointer_map(&h, 3));
			assert_false(database_is_pointer_map(&h, 1));
		}
		sqlite3_free(bytes);
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
	}
	/* The one that would be the lock-byte page is the page behind it. */
	struct database_header h = {.page_size = 1024, .usable_size = 1024};
	assert_int_equal(database_lock_page(&h), 1048577);
	for (h.usable_size = 1024; (1048577 - 2) % (h.usable_size / 5 + 1) != 0; h.usable_size--)
		assert_true(h.usable_size > 480);
	assert_false(database_is_pointer_map(&h, 1048577));
	assert_true(database_is_pointer_map(&h, 1048578));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_columns),
	    cmocka_unit_test(test_records_refused),
	    cmocka_unit_test(test_free_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
