/*
 * test_store_statistics.c: numbers about a store [C8], each against another way to get it.
 */
#include "store/test/store_test.h"

static uint64_t file_size(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static struct store_statistics statistics_ok(struct store *store, bool with_rows)
{
	struct store_statistics statistics;
	struct store_error err = {0};

	memset(&statistics, 0xee, sizeof(statistics));
	if (store_statistics(store, with_rows, &statistics, &err) != STORE_OK)
		fail_msg("%s: %s", store_code_name(err.code), err.message);
	return statistics;
}

/* [C8] Pages, free pages, sizes of the files and frames of the log are those of the files. */
static void test_sizes(void **state)
{
	static const struct store_pragma pragmas[] = {{"page_size", "1024"},
						      {"wal_autocheckpoint", "0"}};
	const struct store_options options = {.pragmas = pragmas, .pragma_count = 2};
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, &options);
	struct store_statistics s;

	append_ok(store, "a", 0, 100);
	exec(store_handle(store), "CREATE TABLE filler (x); INSERT INTO filler VALUES "
				  "(zeroblob(20000)); DROP TABLE filler");
	s = statistics_ok(store, false);
	assert_int_equal(s.page_size_bytes, 1024);
	assert_int_equal(s.database_bytes, file_size(folder->store));
	assert_int_equal(s.wal_bytes, file_size(folder->wal));
	assert_int_equal(s.wal_frames * (1024 + 24) + 32, s.wal_bytes);
	assert_true(s.freelist_count >= 19);
	assert_int_equal(s.table_count, 0);
	assert_false(s.tables_left_out);

	assert_int_equal(store_checkpoint(store, STORE_CHECKPOINT_TRUNCATE, NULL, NULL), STORE_OK);
	s = statistics_ok(store, false);
	assert_int_equal(s.wal_bytes, 0);
	assert_int_equal(s.wal_frames, 0);
	assert_int_equal(s.database_bytes, file_size(folder->store));
	assert_int_equal(s.page_count * 1024, s.database_bytes);
	store_close(store);
}

/* [C8] The cache's counters are those of this connection: a second reading hits, the first after
 * opening misses; statements are counted. */
static void test_cache(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct store_statistics first;
	struct store_statistics second;

	append_ok(store, "a", 0, 100);
	store_close(store);
	store = open_with(folder->store, NULL);
	assert_int_equal(event_count(store), 100);
	first = statistics_ok(store, true);
	assert_true(first.cache_misses > 0);
	assert_true(first.cache_bytes > 4096);
	second = statistics_ok(store, true);
	assert_true(second.cache_hits > first.cache_hits);
	assert_int_equal(second.cache_misses, first.cache_misses);
	append_ok(store, "a", 100, 1);
	assert_true(statistics_ok(store, false).statements_cached > first.statements_cached);
	store_close(store);
}

/* [C8] Rows are counted table by table, in the order of names, whatever the name; SQLite's own
 * tables and views are none. */
static void test_tables(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct store_statistics s;
	bool quoted = false;
	bool events = false;

	append_ok(store, "a", 0, 30);
	exec(store_handle(store), "CREATE TABLE \"a\"\"b; DROP TABLE events\" (x);"
				  "INSERT INTO \"a\"\"b; DROP TABLE events\" VALUES (1), (2);"
				  "CREATE TABLE sqliteX (x); CREATE VIEW v AS SELECT 1; ANALYZE");
	s = statistics_ok(store, true);
	assert_int_equal(s.table_count,
			 query_int(store_handle(store),
				   "SELECT count(*) FROM sqlite_master WHERE type = 'table'"
				   " AND substr(name, 1, 7) <> 'sqlite_'"));
	for (size_t i = 0; i < s.table_count; i++) {
		assert_true(i == 0 || strcmp(s.tables[i - 1].name, s.tables[i].name) < 0);
		assert_true(strncmp(s.tables[i].name, "sqlite_", 7) != 0);
		if (strcmp(s.tables[i].name, "a\"b; DROP TABLE events") == 0) {
			quoted = true;
			assert_int_equal(s.tables[i].row_count, 2);
		}
		if (strcmp(s.tables[i].name, "events") == 0) {
			events = true;
			assert_int_equal(s.tables[i].row_count, 30);
		}
	}
	assert_true(quoted);
	assert_true(events);
	store_close(store);
}

/* [C8] More tables than there is room for are left out, and that is said; a long name is cut. */
static void test_many_tables(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct store_statistics s;
	char sql[200];

	s = statistics_ok(store, true);
	for (size_t i = s.table_count; i < STORE_TABLES_MAX; i++) {
		snprintf(sql, sizeof(sql), "CREATE TABLE a%02zu%0100d (x)", i, 0);
		exec(store_handle(store), sql);
	}
	s = statistics_ok(store, true);
	assert_int_equal(s.table_count, STORE_TABLES_MAX);
	assert_false(s.tables_left_out);
	assert_int_equal(strlen(s.tables[0].name), STORE_NAME_BYTES_MAX);
	exec(store_handle(store), "CREATE TABLE zzz (x)");
	s = statistics_ok(store, true);
	assert_int_equal(s.table_count, STORE_TABLES_MAX);
	assert_true(s.tables_left_out);
	store_close(store);
}

/* [C8] Statistics can be had inside a transaction, see what it has written, and leave it open; no
 * snapshot stays behind; wrong arguments are refused. */
static void test_transaction(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct store_statistics s;
	struct store_error err = {0};

	append_ok(store, "a", 0, 1);
	exec(store_handle(store), "BEGIN IMMEDIATE; CREATE TABLE fresh (x)");
	s = statistics_ok(store, true);
	assert_string_equal(s.tables[s.table_count - 2].name, "fresh");
	exec(store_handle(store), "ROLLBACK");
	statistics_ok(store, true);
	assert_true(sqlite3_get_autocommit(store_handle(store)));
	assert_int_equal(store_checkpoint(store, STORE_CHECKPOINT_TRUNCATE, NULL, NULL), STORE_OK);
	assert_int_equal(file_size(folder->wal), 0);
	assert_int_equal(store_statistics(NULL, false, &s, &err), STORE_ERR_INVALID);
	assert_int_equal(store_statistics(store, false, NULL, &err), STORE_ERR_INVALID);
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_sizes),	    TEST(test_cache),	    TEST(test_tables),
	    TEST(test_many_tables), TEST(test_transaction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
