/*
 * test_store_maintain.c: vacuum, optimize, checks [C5].
 */
#include "store/test/counting_vfs.h"
#include "store/test/store_test.h"

static off_t file_size(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : -1;
}

static struct store *open_vacuum(const struct folder *folder, const char *auto_vacuum)
{
	const struct store_pragma pragmas[] = {{"page_size", "512"}, {"auto_vacuum", auto_vacuum}};
	const struct store_options options = {
	    .pragmas = pragmas,
	    .pragma_count = 2,
	    .busy_timeout_ms = -1,
	};

	return open_with(folder->store, &options);
}

static void assert_ok(enum store_code code, const struct store_error *err)
{
	if (code != STORE_OK)
		fail_msg("%s: %s", store_code_name(code), err->message);
}

static int64_t free_pages(struct store *store)
{
	return query_int(store_handle(store), "PRAGMA freelist_count");
}

/* Many pages that become free. */
static void make_free_pages(struct store *store)
{
	append_ok(store, "a", 0, 20);
	exec(store_handle(store), "CREATE TABLE filler (x); WITH RECURSIVE n (i) AS (SELECT 1 UNION"
				  " ALL SELECT i + 1 FROM n WHERE i < 200)"
				  " INSERT INTO filler SELECT zeroblob(400) FROM n");
	exec(store_handle(store), "DROP TABLE filler");
	assert_true(free_pages(store) > 100);
}

/* [C5] An incremental vacuum frees as many pages as it is told, says how many are left, and the
 * file is shorter after a checkpoint; 0 is all of them. */
static void test_vacuum_step(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_vacuum(folder, "incremental");
	struct store_error err = {0};
	uint32_t remaining = 99999;
	int64_t before;
	off_t bytes;

	make_free_pages(store);
	assert_ok(store_checkpoint(store, STORE_CHECKPOINT_TRUNCATE, NULL, &err), &err);
	before = free_pages(store);
	bytes = file_size(folder->store);
	assert_ok(store_vacuum_step(store, 10, &remaining, &err), &err);
	assert_int_equal(remaining, before - 10);
	assert_int_equal(free_pages(store), remaining);
	assert_ok(store_vacuum_step(store, 0, &remaining, &err), &err);
	assert_int_equal(remaining, 0);
	assert_ok(store_vacuum_step(store, UINT32_MAX, NULL, &err), &err);
	assert_ok(store_checkpoint(store, STORE_CHECKPOINT_TRUNCATE, NULL, &err), &err);
	assert_true(file_size(folder->store) <= bytes - 512 * before);
	assert_int_equal(event_count(store), 20);
	assert_query_text(store_handle(store), "PRAGMA integrity_check", "ok");
	store_close(store);
}

/* [C5] On a database with another auto_vacuum, pages cannot be freed in steps, and that is said. */
static void test_vacuum_step_needs_incremental(void **state)
{
	static const char *const others[] = {"none", "full"};
	const struct folder *folder = folder_of(state);

	for (size_t i = 0; i < 2; i++) {
		struct store_error err = {0};
		struct store *store;
		uint32_t remaining = 77;

		folder_empty(folder);
		store = open_vacuum(folder, others[i]);
		assert_int_equal(store_vacuum_step(store, 1, &remaining, &err), STORE_ERR_SETTING);
		assert_non_null(strstr(err.message, folder->store));
		assert_int_equal(remaining, 77);
		append_ok(store, "a", 0, 1);
		store_close(store);
	}
	assert_int_equal(store_vacuum_step(NULL, 1, NULL, NULL), STORE_ERR_INVALID);
}

static enum store_code vacuum_inside(struct store *store, void *context, struct store_error *err)
{
	(void)context;
	return store_vacuum(store, err);
}

/* [C5] A vacuum makes the file as short as its contents, keeps every event, and leaves no log;
 * refused inside a transaction; busy while somebody writes. */
static void test_vacuum(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_vacuum(folder, "none");
	struct store *writer = open_vacuum(folder, "none");
	struct store_error err = {0};
	struct store_cursor *cursor = NULL;
	struct store_record record;
	bool found;
	int64_t before;

	make_free_pages(store);
	before = query_int(store_handle(store), "PRAGMA page_count");
	assert_int_equal(store_transaction(store, vacuum_inside, NULL, &err), STORE_ERR_INVALID);
	assert_int_equal(store_vacuum(NULL, &err), STORE_ERR_INVALID);
	exec(store_handle(writer), "BEGIN IMMEDIATE");
	assert_int_equal(store_vacuum(store, &err), STORE_ERR_BUSY);
	exec(store_handle(writer), "ROLLBACK");
	store_close(writer);

	assert_int_equal(store_cursor_open_by_server(store, "a", 0, 100, &cursor, NULL), STORE_OK);
	assert_int_equal(store_cursor_next(cursor, &record, &found, NULL), STORE_OK);
	assert_ok(store_vacuum(store, &err), &err);
	assert_int_equal(store_cursor_next(cursor, &record, &found, NULL), STORE_OK);
	assert_int_equal(record.event.position, 1);
	store_cursor_close(cursor);
	assert_int_equal(free_pages(store), 0);
	assert_true(query_int(store_handle(store), "PRAGMA page_count") < before - 100);
	assert_int_equal(file_size(folder->wal), 0);
	assert_int_equal(event_count(store), 20);
	store_close(store);
}

/* [C5] Whatever call of a vacuum fails: an error is returned, an I/O error stops the store, and
 * afterwards every event is there. */
static void test_vacuum_fails(void **state)
{
	const struct folder *folder = folder_of(state);
	long n = 1;

	counting_vfs_install();
	for (;; n++) {
		struct store_error err = {0};
		enum store_code code;
		struct store *store;
		bool fired;

		assert_true(n < 1000);
		folder_empty(folder);
		store = open_vacuum(folder, "none");
		append_ok(store, "a", 0, 20);
		counting_vfs_reset();
		counting_vfs.fault_at = n;
		code = store_vacuum(store, &err);
		fired = counting_vfs.fault_count > 0;
		counting_vfs_reset();
		if (fired && code == STORE_OK)
			fail_msg("call %ld failed, and nobody said so", n);
		if (code == STORE_ERR_IO) {
			assert_int_equal(append_range(store, "b", 0, 1, &err), STORE_ERR_STOPPED);
			assert_ok(store_reopen(store, &err), &err);
		}
		append_ok(store, "b", 0, 1);
		assert_int_equal(event_count(store), 21);
		assert_query_text(store_handle(store), "PRAGMA integrity_check", "ok");
		store_close(store);
		if (!fired)
			break;
	}
	assert_true(n > 10);
	counting_vfs_remove();
}

/* [C5] optimize with all analyses every table with rows and leaves the connection's limit as it
 * was, from the SQLite on that has one; the store opens afterwards, for SQLite's own tables are no
 * foreign ones. */
static void test_optimize(void **state)
{
	const bool has_limit = sqlite3_libversion_number() >= 3032000;
	const struct folder *folder = folder_of(state);
	struct store *store = open_vacuum(folder, "none");
	struct store_error err = {0};

	append_ok(store, "a", 0, 50);
	exec(store_handle(store), "PRAGMA analysis_limit=17");
	assert_ok(store_optimize(store, false, &err), &err);
	assert_ok(store_optimize(store, true, &err), &err);
	if (has_limit)
		assert_int_equal(query_int(store_handle(store), "PRAGMA analysis_limit"), 17);
	assert_true(query_int(store_handle(store),
			      "SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'events'") > 0);
	assert_int_equal(store_optimize(NULL, true, &err), STORE_ERR_INVALID);
	store_close(store);
	store = open_vacuum(folder, "none");
	append_ok(store, "a", 50, 1);
	assert_int_equal(event_count(store), 51);
	store_close(store);
}

struct reports {
	size_t count;
	char first[256];
	char last[256];
};

static void report(void *context, const char *problem)
{
	struct reports *reports = context;

	if (reports->count == 0)
		snprintf(reports->first, sizeof(reports->first), "%s", problem);
	snprintf(reports->last, sizeof(reports->last), "%s", problem);
	reports->count++;
}

/* [C5] A sound store has no problem; inside a transaction it can be checked, too. */
static void test_check_sound(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_vacuum(folder, "none");
	struct reports reports = {0};
	struct store_error err = {0};
	bool ok = false;

	append_ok(store, "a", 0, 50);
	assert_ok(store_check(store, 0, report, &reports, &ok, &err), &err);
	assert_true(ok);
	assert_int_equal(reports.count, 0);
	assert_int_equal(store_check(store, 0, report, &reports, NULL, &err), STORE_ERR_INVALID);
	exec(store_handle(store), "BEGIN IMMEDIATE");
	ok = false;
	assert_ok(store_check(store, 0, NULL, NULL, &ok, &err), &err);
	assert_true(ok);
	assert_false(sqlite3_get_autocommit(store_handle(store)));
	exec(store_handle(store), "ROLLBACK");
	append_ok(store, "a", 50, 1);
	store_close(store);
}

/* [C5] Rows that name what is not there are found, one problem each, and no more than were asked
 * for. */
static void test_check_foreign_keys(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_vacuum(folder, "none");
	struct reports reports = {0};
	struct store_error err = {0};
	bool ok = true;

	append_ok(store, "a", 0, 10);
	exec_on_file(folder->store,
		     "PRAGMA foreign_keys=OFF; CREATE TABLE parent (id INTEGER PRIMARY KEY);"
		     "CREATE TABLE child (id INTEGER PRIMARY KEY, p REFERENCES parent);"
		     "INSERT INTO child VALUES (1, 7), (2, 8), (3, NULL), (4, 9)");
	assert_ok(store_check(store, 0, report, &reports, &ok, &err), &err);
	assert_false(ok);
	assert_int_equal(reports.count, 3);
	assert_string_equal(reports.first,
			    "row 1 of child names a row of parent that is not there");
	assert_string_equal(reports.last, "row 4 of child names a row of parent that is not there");
	reports.count = 0;
	ok = true;
	assert_ok(store_check(store, 2, report, &reports, &ok, &err), &err);
	assert_false(ok);
	assert_int_equal(reports.count, 2);
	store_close(store);
}

/* [C5] Pages that were overwritten are problems with a text each, not an error of the check. */
static void test_check_damage(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_vacuum(folder, "none");
	struct reports reports = {0};
	struct store_error err = {0};
	struct bytes bytes;
	bool ok = true;

	append_ok(store, "a", 0, 100);
	append_ok(store, "b", 0, 100);
	store_close(store);
	bytes = file_bytes(folder->store);
	assert_true(bytes.size > 40 * 512);
	for (size_t page = 20; page < 40; page += 5)
		memset(bytes.data + page * 512, 0xee, 512);
	file_write(folder->store, bytes.data, bytes.size);
	free(bytes.data);
	store = open_vacuum(folder, "none");
	assert_ok(store_check(store, 0, report, &reports, &ok, &err), &err);
	assert_false(ok);
	assert_true(reports.count >= 3);
	assert_null(strchr(reports.first, '\n'));
	assert_null(strstr(reports.first, "***"));
	assert_true(reports.first[0] != '\0');
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_vacuum_step),
	    TEST(test_vacuum_step_needs_incremental),
	    TEST(test_vacuum),
	    TEST(test_vacuum_fails),
	    TEST(test_optimize),
	    TEST(test_check_sound),
	    TEST(test_check_foreign_keys),
	    TEST(test_check_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
