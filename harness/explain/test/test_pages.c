/*
 * What is said of a page is what SQLite says of it: its own dbstat table for the pages of trees,
 * the schema for their names, freelist_count for the free ones; in every format that a database can
 * have, and after any change.
 */
#include "faultinject/base/buf.h"
#include "faultinject/base/prng.h"
#include "faultinject/format/btree.h"
#include "harness/explain/pages.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void run(sqlite3 *db, const char *sql)
{
	char *message = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", sql, message);
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

/* ---- a database as bytes ---- */

struct image {
	uint8_t *bytes; /* SQLite's, or ours */
	uint64_t size;
	struct page_source source;
};

static const uint8_t *image_page(void *ctx, uint32_t number)
{
	const struct image *i = ctx;
	uint64_t at = (number - 1) * (uint64_t)i->source.page_size;

	return at + i->source.page_size <= i->size ? i->bytes + at : NULL;
}

static void take(sqlite3 *db, struct image *ret)
{
	sqlite3_int64 size;

	ret->bytes = sqlite3_serialize(db, "main", &size, 0);
	assert_non_null(ret->bytes);
	ret->size = (uint64_t)size;
	ret->source = (struct page_source){.page = image_page, .ctx = ret};
	ret->source.page_size = (uint32_t)ask(db, "PRAGMA page_size");
	ret->source.page_count = (uint32_t)(ret->size / ret->source.page_size);
}

static bool look(struct pages *p, const struct image *i)
{
	uint64_t visits = 1 << 24;

	return pages_look(p, &i->source, &visits);
}

/* ---- what SQLite says ---- */

static const char stat_sql[] =
    "SELECT s.pageno, s.pagetype, s.path, coalesce(m.type || ' ' || m.name, 'the schema')"
    " FROM dbstat s LEFT JOIN sqlite_schema m ON m.name = s.name";

/* Every page that dbstat has is what it says; all others are free, or what their number says, and
 * as many are free as SQLite counts. */
static void compare(sqlite3 *db, const struct pages *p, const struct image *image)
{
	uint32_t count = image->source.page_count, seen = 0, free_count = 0;
	bool *is_known = xcalloc((size_t)count + 1, sizeof *is_known);
	struct database_header h;
	sqlite3_stmt *stmt;

	assert_true(database_header_read(image->bytes, image->size, &h));
	assert_int_equal(sqlite3_prepare_v2(db, stat_sql, -1, &stmt, NULL), SQLITE_OK);
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		uint32_t number = (uint32_t)sqlite3_column_int(stmt, 0);
		const char *type = (const char *)sqlite3_column_text(stmt, 1);
		const char *path = (const char *)sqlite3_column_text(stmt, 2);
		const char *tree = (const char *)sqlite3_column_text(stmt, 3);
		bool root = strcmp(path, "/") == 0, leaf = strcmp(type, "leaf") == 0;
		enum page_kind kind;

		if (strcmp(type, "overflow") == 0)
			kind = PAGE_OVERFLOW;
		else if (root)
			kind = leaf ? PAGE_ONLY : PAGE_ROOT;
		else
			kind = leaf ? PAGE_LEAF : PAGE_INTERIOR;
		assert_int_equal(pages_kind(p, number), kind);
		assert_string_equal(pages_tree(p, number), tree);
		assert_false(is_known[number]);
		is_known[number] = true;
		seen++;
	}
	assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
	for (uint32_t n = 1; n <= count; n++) {
		enum page_kind kind = pages_kind(p, n);

		if (is_known[n])
			continue;
		if (n == database_lock_page(&h))
			assert_int_equal(kind, PAGE_LOCK);
		else if (h.auto_vacuum && database_is_pointer_map(&h, n))
			assert_int_equal(kind, PAGE_POINTER_MAP);
		else
			assert_true(kind == PAGE_FREE || kind == PAGE_FREE_TRUNK);
		free_count += kind == PAGE_FREE || kind == PAGE_FREE_TRUNK;
	}
	assert_int_equal(free_count, ask(db, "PRAGMA freelist_count"));
	assert_true(seen > 0);
	free(is_known);
}

static const char fill[] =
    "CREATE TABLE t(id INTEGER PRIMARY KEY, v);"
    "CREATE TABLE w(k PRIMARY KEY, v) WITHOUT ROWID;"
    "CREATE INDEX t_v ON t(v);"
    "CREATE TABLE u(a UNIQUE, b, PRIMARY KEY(b, a));"
    "CREATE TABLE none(x); CREATE VIEW seen AS SELECT * FROM t;"
    "CREATE TRIGGER fires AFTER INSERT ON none BEGIN DELETE FROM u; END;"
    "CREATE TABLE gone(x);"
    "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 1500)"
    " INSERT INTO t SELECT i, printf('%0*d', i % 60, i) FROM n;"
    "INSERT INTO gone SELECT v FROM t;"
    "INSERT INTO t VALUES (100000, zeroblob(150000)), (100001, zeroblob(700));"
    "INSERT INTO w SELECT id, v FROM t; INSERT INTO u SELECT id, v FROM t;"
    "DELETE FROM t WHERE id % 3 = 1 AND id < 900;";

static sqlite3 *make(const char *pragmas)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	run(db, pragmas);
	run(db, fill);
	return db;
}

/* Tables, indexes, WITHOUT ROWID, overflow, freelist: for all page sizes, with and without pointer
 * maps, in all encodings; also when another database was looked at before. */
static void test_formats(void **state)
{
	static const char *const formats[] = {"auto_vacuum=none", "auto_vacuum=full",
					      "auto_vacuum=incremental",
					      "auto_vacuum=none; PRAGMA encoding='UTF-16le'",
					      "auto_vacuum=none; PRAGMA encoding='UTF-16be'"};
	struct pages *p = pages_create();

	(void)state;
	for (size_t f = 0; f < sizeof formats / sizeof *formats; f++)
		for (int page_size = 512; page_size <= 65536; page_size *= f == 0 ? 2 : 8) {
			char *pragmas =
			    xasprintf("PRAGMA page_size=%d; PRAGMA %s", page_size, formats[f]);
			sqlite3 *db = make(pragmas);
			struct image image;

			run(db, "DROP TABLE gone");
			take(db, &image);
			pages_changed(p, 0);
			assert_true(look(p, &image));
			compare(db, p, &image);
			sqlite3_free(image.bytes);
			assert_int_equal(sqlite3_close(db), SQLITE_OK);
			free(pragmas);
		}
	pages_free(p);
}

/* Reading again only what has changed comes to the same as reading all, after every one of many
 * changes to content and schema. */
static void test_changes(void **state)
{
	static const char *const changes[] = {
	    "INSERT INTO t SELECT max(id) + 1, zeroblob(abs(random() % 3000)) FROM t",
	    "DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY random() LIMIT 40)",
	    "UPDATE t SET v = printf('%0*d', abs(random()) % 500, id) WHERE id % 50 = 3",
	    "CREATE TABLE IF NOT EXISTS more(a, b UNIQUE)",
	    "DROP TABLE IF EXISTS more",
	    "DELETE FROM w WHERE k % 7 = 2",
	    "INSERT OR REPLACE INTO w SELECT id, v FROM t LIMIT 60",
	    "DROP INDEX IF EXISTS t_v",
	    "CREATE INDEX IF NOT EXISTS t_v ON t(v)",
	    /* Rows of the schema whose names go on in an overflow page. */
	    "CREATE TABLE IF NOT EXISTS long_name_long_name_long_name_long_name_long_name("
	    "x, CHECK(x <> 'and a definition that is long enough for the row to leave no more than "
	    "the least on its page, which are thirty-nine bytes where a page has five hundred and "
	    "twelve; that is the end of the first half, and this is the second, which is as long "
	    "as the first, or a little longer, as long as it has to be, so that with the name, "
	    "which stands there three times, it comes to more than a page and some bytes'))",
	    "DROP TABLE IF EXISTS long_name_long_name_long_name_long_name_long_name",
	    "PRAGMA incremental_vacuum(20)",
	};

	(void)state;
	for (int vacuum = 0; vacuum < 3; vacuum++) {
		char *pragmas = xasprintf("PRAGMA page_size=512; PRAGMA auto_vacuum=%d", vacuum);
		struct prng prng;
		sqlite3 *db;
		struct pages *p = pages_create();
		struct image now, before = {.size = 0};

		prng_init(&prng, 7, "pages");
		db = make(pragmas);
		for (int i = 0; i < 60; i++) {
			uint32_t page_size;

			run(db, changes[prng_below(&prng, sizeof changes / sizeof *changes)]);
			take(db, &now);
			page_size = now.source.page_size;
			for (uint64_t at = 0; at < now.size; at += page_size)
				if (at >= before.size ||
				    memcmp(now.bytes + at, before.bytes + at, page_size) != 0)
					pages_changed(p, (uint32_t)(at / page_size) + 1);
			now.source.ctx = &now;
			assert_true(look(p, &now));
			compare(db, p, &now);
			sqlite3_free(before.bytes);
			before = now;
		}
		sqlite3_free(before.bytes);
		pages_free(p);
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
		free(pragmas);
	}
}

static void assert_words(const struct pages *p, uint32_t number, const char *expected)
{
	struct buf words = {0};

	assert_int_equal(pages_words(p, number, &words), expected[0] != 0);
	assert_string_equal(buf_str(&words), expected);
	buf_release(&words);
}

/* The words of each kind. A name keeps to one line, whatever the schema says, and is cut. */
static void test_words(void **state)
{
	struct pages *p = pages_create();
	struct image image;
	sqlite3 *db;
	struct buf all = {0};

	(void)state;
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	run(db, "PRAGMA page_size=512; PRAGMA auto_vacuum=full;"
		"CREATE TABLE 'a\nb\x1b\xe2\x80\xae\xff'(x); CREATE TABLE "
		"\"\xc3\xa4\xf0\x9f\x94\x8c\"(x)");
	take(db, &image);
	assert_true(look(p, &image));
	assert_words(p, 0, "");
	assert_words(p, 1, "header and schema");
	assert_words(p, 2, "pointer map");
	assert_words(p, 3, "only page of table a?b???");
	assert_words(p, 4, "only page of table \xc3\xa4\xf0\x9f\x94\x8c");
	assert_words(p, 5, "");
	assert_words(p, UINT32_MAX, "");
	sqlite3_free(image.bytes);
	pages_free(p);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);

	/* A name of 100 bytes, rows, an overflow page, and two free pages. */
	char *sql = xasprintf("PRAGMA page_size=512; CREATE TABLE t(x); CREATE TABLE gone(x);"
			      "INSERT INTO gone VALUES (zeroblob(900)); CREATE TABLE '%0100d'(x);"
			      "INSERT INTO t VALUES (zeroblob(500)), (1); DROP TABLE gone;",
			      0);
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	run(db, sql);
	free(sql);
	p = pages_create();
	take(db, &image);
	assert_true(look(p, &image));
	for (uint32_t n = 1; n <= image.source.page_count; n++) {
		(void)pages_words(p, n, &all);
		buf_printf(&all, ";");
	}
	assert_string_equal(buf_str(&all),
			    "header and root of the schema;only page of table t;free page;"
			    "trunk of the freelist;only page of table "
			    "0000000000000000000000000000000000000000000000000000000000000...;"
			    "leaf of the schema;overflow page of table t;");
	buf_release(&all);
	sqlite3_free(image.bytes);
	pages_free(p);
	pages_free(NULL);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Damage is read within bounds, claims no page twice, and ends. */
static void test_damage(void **state)
{
	sqlite3 *db = make("PRAGMA page_size=512; PRAGMA auto_vacuum=incremental");
	struct prng prng;
	struct image image;

	(void)state;
	prng_init(&prng, 3, "pages");
	take(db, &image);
	struct image damaged = image;
	damaged.source.ctx = &damaged;
	damaged.bytes = xmalloc(image.size);
	for (int round = 0; round < 300; round++) {
		struct pages *p = pages_create();

		memcpy(damaged.bytes, image.bytes, image.size);
		for (int k = 0; k < 40; k++) {
			uint64_t page = prng_below(&prng, image.source.page_count);
			uint64_t at = page * 512 + prng_below(&prng, k % 2 == 0 ? 16 : 512);

			damaged.bytes[at] = (uint8_t)prng_below(&prng, 256);
		}
		memcpy(damaged.bytes, image.bytes, 32);
		/* One that is claimed again and again would use up all visits. */
		assert_true(look(p, &damaged));
		for (uint32_t n = 1; n <= image.source.page_count; n++) {
			struct buf words = {0};

			(void)pages_words(p, n, &words);
			buf_release(&words);
		}
		pages_free(p);
	}
	free(damaged.bytes);
	sqlite3_free(image.bytes);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* A walk that may visit no more pages says so, and leaves the rest unknown. */
static void test_visits(void **state)
{
	sqlite3 *db = make("PRAGMA page_size=512");
	struct image image;

	(void)state;
	take(db, &image);
	for (uint64_t visits = 0; visits < 40; visits += 13) {
		struct pages *p = pages_create();
		uint64_t left = visits, known = 0;

		assert_false(pages_look(p, &image.source, &left));
		assert_int_equal(left, 0);
		for (uint32_t n = 1; n <= image.source.page_count; n++)
			known += pages_kind(p, n) != PAGE_UNKNOWN;
		assert_true(known <= visits && (visits == 0 || known > 0));
		pages_free(p);
	}
	sqlite3_free(image.bytes);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_formats), cmocka_unit_test(test_changes),
	    cmocka_unit_test(test_words),   cmocka_unit_test(test_damage),
	    cmocka_unit_test(test_visits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
