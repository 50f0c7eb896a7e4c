/*
 * What the reader says of b-trees is what SQLite says of the same databases: every rowid of every
 * table, in order, and the number of entries of every index, for all page sizes, with overflow
 * pages and reserved bytes. Damaged pages are refused or read within their bounds.
 */
#include "faultinject/base/buf.h"
#include "faultinject/base/prng.h"
#include "faultinject/format/btree.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct database {
	sqlite3 *db;
	uint8_t *bytes; /* SQLite's */
	sqlite3_int64 size;
	struct database_header header;
};

static void run(sqlite3 *db, const char *sql)
{
	char *message = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", sql, message);
}

static void make(uint32_t page_size, int reserved, struct database *ret)
{
	char *sql = xasprintf("PRAGMA page_size = %u", page_size);

	assert_int_equal(sqlite3_open(":memory:", &ret->db), SQLITE_OK);
	run(ret->db, sql);
	free(sql);
	assert_int_equal(
	    sqlite3_file_control(ret->db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved),
	    SQLITE_OK);
	run(ret->db,
	    "CREATE TABLE t(id INTEGER PRIMARY KEY, v);"
	    "CREATE TABLE w(k PRIMARY KEY, v) WITHOUT ROWID;"
	    "CREATE INDEX t_v ON t(v);"
	    "CREATE TABLE none(x);"
	    "WITH RECURSIVE n(i) AS (VALUES(-500) UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
	    " INSERT INTO t SELECT i * i * i * 77, printf('%0*d', abs(i) % 40, i) FROM n;"
	    "INSERT INTO t VALUES (9223372036854775807, zeroblob(200000));"
	    "INSERT INTO t VALUES (-9223372036854775808, zeroblob(700));"
	    "INSERT INTO w SELECT id, v FROM t;"
	    "DELETE FROM t WHERE id % 5 = 1;");
	ret->bytes = sqlite3_serialize(ret->db, "main", &ret->size, 0);
	assert_non_null(ret->bytes);
	assert_true(database_header_read(ret->bytes, (size_t)ret->size, &ret->header));
}

static void drop(struct database *d)
{
	sqlite3_free(d->bytes);
	assert_int_equal(sqlite3_close(d->db), SQLITE_OK);
}

static int64_t ask(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	int64_t v = sqlite3_column_int64(stmt, 0);
	(void)sqlite3_finalize(stmt);
	return v;
}

/* What SQLite returns, row by row, and what stands in the tree. */
struct compare {
	const struct database *d;
	sqlite3_stmt *rows; /* rowid, and the bytes of the record's text or blob */
	uint64_t entries;
};

static void compare_row(struct compare *c, const struct btree_cell *cell)
{
	assert_int_equal(sqlite3_step(c->rows), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int64(c->rows, 0), cell->rowid);
	uint64_t bytes = (uint64_t)sqlite3_column_int64(c->rows, 1);
	/* A header of 3 to 5 bytes stands before the value. */
	assert_true(cell->payload_size >= bytes + 3 && cell->payload_size <= bytes + 6);
	assert_true((cell->overflow != 0) == (cell->local_size < cell->payload_size));
	uint64_t left = cell->payload_size - cell->local_size;
	uint32_t page = cell->overflow;
	while (left > 0) {
		uint32_t room = c->d->header.usable_size - OVERFLOW_HEADER_SIZE;
		assert_true(page > 1 &&
			    page * (uint64_t)c->d->header.page_size <= (uint64_t)c->d->size);
		page = get_be32(c->d->bytes + (page - 1) * (size_t)c->d->header.page_size);
		left -= left < room ? left : room;
	}
	assert_int_equal(page, 0);
}

static void compare_tree(struct compare *c, uint32_t number)
{
	struct btree_page p;
	struct btree_cell cell;

	assert_true(btree_page_read(c->d->bytes + (number - 1) * (size_t)c->d->header.page_size,
				    number, &c->d->header, &p));
	for (uint32_t i = 0; i < p.cell_count; i++) {
		assert_true(btree_cell_read(&p, i, &cell));
		if (!btree_is_leaf(&p))
			compare_tree(c, cell.left_child);
		c->entries += p.kind != BTREE_TABLE_INTERIOR;
		if (p.kind == BTREE_TABLE_LEAF && c->rows != NULL)
			compare_row(c, &cell);
	}
	if (!btree_is_leaf(&p))
		compare_tree(c, p.right_child);
}

static uint32_t root_of(sqlite3 *db, const char *name)
{
	char *sql = xasprintf("SELECT rootpage FROM sqlite_schema WHERE name = '%s'", name);
	uint32_t root = (uint32_t)ask(db, sql);

	free(sql);
	return root;
}

static void test_trees(void **state)
{
	(void)state;
	for (uint32_t size = DATABASE_PAGE_SIZE_MIN; size <= DATABASE_PAGE_SIZE_MAX; size *= 2) {
		for (int reserved = 0; reserved <= 32; reserved += 32) {
			struct database d;
			make(size, reserved, &d);
			assert_int_equal(d.header.page_size, size);
			assert_int_equal(d.header.usable_size, size - (uint32_t)reserved);
			struct compare c = {.d = &d};
			assert_int_equal(
			    sqlite3_prepare_v2(d.db, "SELECT id, length(v) FROM t NOT INDEXED", -1,
					       &c.rows, NULL),
			    SQLITE_OK);
			compare_tree(&c, root_of(d.db, "t"));
			assert_int_equal(sqlite3_step(c.rows), SQLITE_DONE);
			(void)sqlite3_finalize(c.rows);
			assert_int_equal(c.entries, ask(d.db, "SELECT count(*) FROM t"));
			static const char *const trees[][2] = {
			    {"t_v", "t"}, {"w", "w"}, {"none", "none"}};
			for (size_t i = 0; i < 3; i++) {
				struct compare index = {.d = &d};
				char *sql = xasprintf("SELECT count(*) FROM %s", trees[i][1]);
				compare_tree(&index, root_of(d.db, trees[i][0]));
				assert_int_equal(index.entries, ask(d.db, sql));
				free(sql);
			}
			struct compare schema = {.d = &d};
			compare_tree(&schema, 1);
			assert_int_equal(schema.entries,
					 ask(d.db, "SELECT count(*) FROM sqlite_schema"));
			drop(&d);
		}
	}
}

static void test_varints(void **state)
{
	static const struct {
		uint8_t bytes[9];
		size_t size;
		uint64_t value;
	} cases[] = {
	    {{0}, 1, 0},
	    {{0x7f}, 1, 127},
	    {{0x81, 0x00}, 2, 128},
	    {{0x80, 0x01}, 2, 1},
	    {{0xff, 0x7f}, 2, 16383},
	    {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 9, UINT64_MAX},
	    {{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x05}, 9, 5},
	    {{0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}, 9, UINT64_C(1) << 57},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		uint64_t v = 42;
		const uint8_t *b = cases[i].bytes;
		assert_int_equal(varint_read(b, b + cases[i].size, &v), cases[i].size);
		assert_true(v == cases[i].value);
		for (size_t cut = 0; cut < cases[i].size; cut++)
			assert_int_equal(varint_read(b, b + cut, &v), 0);
	}
}

static void test_headers(void **state)
{
	uint8_t page[DATABASE_HEADER_SIZE] = "SQLite format 3";
	struct database_header h;

	(void)state;
	page[16] = 0x10;
	assert_true(database_header_read(page, sizeof page, &h));
	assert_int_equal(h.page_size, 4096);
	assert_false(database_header_read(page, sizeof page - 1, &h));
	page[16] = 0;
	page[17] = 1;
	assert_true(database_header_read(page, sizeof page, &h));
	assert_int_equal(h.page_size, 65536);
	page[16] = 2;
	page[17] = 0;
	page[20] = 32;
	assert_true(database_header_read(page, sizeof page, &h));
	assert_int_equal(h.usable_size, 480);
	page[20] = 33; /* less than SQLite allows */
	assert_false(database_header_read(page, sizeof page, &h));
	page[20] = 0;
	page[17] = 1; /* no power of two */
	assert_false(database_header_read(page, sizeof page, &h));
	page[16] = 1; /* 256 */
	page[17] = 0;
	assert_false(database_header_read(page, sizeof page, &h));
	page[16] = 0x10;
	page[3] = 'X';
	assert_false(database_header_read(page, sizeof page, &h));
}

/* Whatever stands on a page, a cell is on it. */
static void test_damage(void **state)
{
	struct database d;
	struct prng random;
	uint64_t read = 0, refused = 0;

	(void)state;
	make(512, 0, &d);
	prng_init(&random, 1, "pages");
	uint8_t *page = malloc(512); /* exactly: a sanitizer sees what is read behind it */
	assert_non_null(page);
	for (int i = 0; i < 20000; i++) {
		struct btree_page p;
		struct btree_cell cell;
		uint32_t number = 1 + (uint32_t)prng_below(&random, (uint64_t)d.size / 512);
		memcpy(page, d.bytes + (number - 1) * (size_t)512, 512);
		for (uint64_t n = prng_below(&random, 8); n > 0; n--)
			page[prng_below(&random, prng_below(&random, 2) == 0 ? 64 : 512)] =
			    (uint8_t)prng_next(&random);
		if (!btree_page_read(page, number, &d.header, &p)) {
			refused++;
			continue;
		}
		for (uint32_t k = 0; k < p.cell_count; k++) {
			if (!btree_cell_read(&p, k, &cell)) {
				refused++;
				continue;
			}
			read++;
			if (cell.local != NULL)
				assert_true(cell.local >= page &&
					    cell.local + cell.local_size <= page + 512);
		}
	}
	free(page);
	drop(&d);
	assert_true(read > 10000);
	assert_true(refused > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_trees),
	    cmocka_unit_test(test_varints),
	    cmocka_unit_test(test_headers),
	    cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
