/*
 * test_store_transaction.c: transactions that callers put together, the savepoints inside them, the
 * cache of statements, and opening again after an error.
 */
#include "store/internal.h"
#include "store/test/counting_vfs.h"
#include "store/test/store_test.h"

/* Two batches; the second may be made to fail, and its failure to be passed on. */
struct two {
	int64_t second_first; /* position of the second batch */
	bool pass_on;
	enum store_code second;
};

static enum store_code append_two(struct store *store, void *context, struct store_error *err)
{
	struct two *two = context;
	enum store_code code = append_range(store, "a", 10, 3, err);

	if (code != STORE_OK)
		return code;
	two->second = append_range(store, "a", two->second_first, 3, err);
	return two->pass_on ? two->second : STORE_OK;
}

/* [A4] What is written inside one transaction is one commit, and costs one sync. */
static void test_two_batches_are_one_commit(void **state)
{
	const struct folder *folder = folder_of(state);
	struct two two = {.second_first = 20, .pass_on = true};
	struct store_error err;
	struct store *store;

	counting_vfs_install();
	store = open_with(folder->store, NULL);
	append_ok(store, "a", 0, 3);
	counting_vfs_reset();
	assert_int_equal(store_transaction(store, append_two, &two, &err), STORE_OK);
	assert_int_equal(counting_vfs.sync_count, 1);
	assert_int_equal(event_count(store), 9);
	store_close(store);
	counting_vfs_remove();
}

/* [A4] A part that fails leaves nothing of its own, and the rest of the transaction stands. */
static void test_failed_part_leaves_nothing(void **state)
{
	const struct folder *folder = folder_of(state);
	struct two two = {.second_first = 11, .pass_on = false};
	struct store *store = open_with(folder->store, NULL);
	struct store_error err;

	assert_int_equal(store_transaction(store, append_two, &two, &err), STORE_OK);
	assert_int_equal(two.second, STORE_ERR_DUPLICATE);
	assert_int_equal(event_count(store), 3);
	store_close(store);
}

/* [A4] An error that work passes on undoes everything, and the error is work's. */
static void test_error_undoes_the_transaction(void **state)
{
	const struct folder *folder = folder_of(state);
	struct two two = {.second_first = 11, .pass_on = true};
	struct store *store = open_with(folder->store, NULL);
	struct store_error err;

	assert_int_equal(store_transaction(store, append_two, &two, &err), STORE_ERR_DUPLICATE);
	assert_int_equal(err.code, STORE_ERR_DUPLICATE);
	assert_int_equal(err.index, 0);
	assert_int_equal(event_count(store), 0);
	append_ok(store, "a", 0, 1);
	store_close(store);
}

static enum store_code fill_the_disk(struct store *store, void *context, struct store_error *err)
{
	struct sample sample;
	struct store_event event = *sample_fill(&sample, "b", 1);
	static const char payload[64 * 1024];
	enum store_code code = append_range(store, "a", 0, 3, err);

	*(enum store_code *)context = code;
	if (code != STORE_OK)
		return code;
	event.payload = payload;
	event.payload_bytes = sizeof(payload);
	*(enum store_code *)context = store_event(store, &event, err);
	/* The failure is swallowed on purpose. */
	return STORE_OK;
}

/*
 * [A4] When SQLite has rolled the whole transaction back because of one part, the transaction
 * cannot succeed, whatever work says; when it has undone the part alone, the rest stands. Nothing
 * between.
 */
static void test_full_disk_inside(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	enum store_code part = STORE_OK;
	struct store_error err;
	enum store_code code;

	append_ok(store, "z", 0, 1);
	exec(store_handle(store), "PRAGMA max_page_count = 14");
	code = store_transaction(store, fill_the_disk, &part, &err);
	assert_int_equal(part, STORE_ERR_FULL);
	assert_int_equal(event_count(store), code == STORE_OK ? 4 : 1);
	assert_true(code == STORE_OK || code == STORE_ERR_FULL);
	exec(store_handle(store), "PRAGMA max_page_count = 1000");
	append_ok(store, "c", 0, 1);
	store_close(store);
}

static enum store_code append_in_nested(struct store *store, void *context, struct store_error *err)
{
	struct two two = {.second_first = 11, .pass_on = true};

	if (store_transaction(store, append_two, &two, err) != STORE_ERR_DUPLICATE)
		return STORE_ERR_INVALID;
	two.second_first = 20;
	(void)context;
	return store_transaction(store, append_two, &two, err);
}

/* A transaction inside another is a part of it. */
static void test_nested(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);

	assert_int_equal(store_transaction(store, append_in_nested, NULL, NULL), STORE_OK);
	assert_int_equal(event_count(store), 6);
	store_close(store);
}

static int statement_count(sqlite3 *db)
{
	int count = 0;

	for (sqlite3_stmt *stmt = sqlite3_next_stmt(db, NULL); stmt;
	     stmt = sqlite3_next_stmt(db, stmt))
		count++;
	return count;
}

/* [C7] Statements are compiled once, and there are never more than the bound. */
static void test_statements_are_cached_and_bounded(void **state)
{
	static char texts[STORE_STATEMENT_COUNT_MAX * 2][32];
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	sqlite3_stmt *first = NULL;
	sqlite3_stmt *again = NULL;
	int count;

	append_ok(store, "a", 0, 1);
	count = statement_count(store_handle(store));
	for (int64_t i = 1; i < 20; i++)
		append_ok(store, "a", i, 1);
	assert_int_equal(statement_count(store_handle(store)), count);

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		snprintf(texts[i], sizeof(texts[i]), "SELECT %zu", i);
		assert_int_equal(store_statement(store, texts[i], &first, NULL), STORE_OK);
		assert_int_equal(store_statement(store, texts[i], &again, NULL), STORE_OK);
		assert_ptr_equal(first, again);
	}
	assert_int_equal(statement_count(store_handle(store)), STORE_STATEMENT_COUNT_MAX);
	append_ok(store, "a", 20, 1);
	store_close(store);
}

/* [C7] No text of a caller's is SQL: what looks like it is stored as it is. */
static void test_text_is_never_sql(void **state)
{
	static const char hostile[] = "x'); DROP TABLE events; --";
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct store_event event = {
	    .event_id = hostile, .server_id = hostile, .position = 1, .kind = hostile};
	struct store_record record;
	struct store_cursor *cursor = NULL;
	bool found = false;

	assert_int_equal(store_event(store, &event, NULL), STORE_OK);
	assert_int_equal(store_cursor_open_by_server(store, hostile, 0, 9, &cursor, NULL),
			 STORE_OK);
	assert_int_equal(store_cursor_next(cursor, &record, &found, NULL), STORE_OK);
	assert_true(found);
	assert_string_equal(record.event.event_id, hostile);
	assert_string_equal(record.event.kind, hostile);
	store_cursor_close(cursor);
	store_close(store);
}

/* Makes the sync of the next commit fail, once. */
static void fail_the_next_commit(struct store *store, int64_t position)
{
	counting_vfs_reset();
	append_ok(store, "a", position, 1);
	counting_vfs.fault_at = 2 * counting_vfs.effect_count;
}

/*
 * [D5] After a failed sync nothing is acknowledged until the store has been reopened; then the
 * doubtful batch is there or not, for good: another process, and the next open, see the same.
 */
static void test_reopen_settles_a_failed_commit(void **state)
{
	const struct folder *folder = folder_of(state);

	for (int other_connection = 0; other_connection < 2; other_connection++) {
		struct store_error err = {0};
		struct store *store;
		struct store *other = NULL;
		int64_t kept;

		folder_empty(folder);
		counting_vfs_install();
		store = open_with(folder->store, NULL);
		append_ok(store, "a", 0, 3);
		/* While another connection lives, SQLite does not recover when this one opens. */
		if (other_connection)
			other = open_with(folder->store, NULL);
		fail_the_next_commit(store, 3);
		assert_int_equal(append_range(store, "a", 4, 1, &err), STORE_ERR_IO);
		assert_int_equal(err.sqlite_code, SQLITE_IOERR_FSYNC);
		assert_true(err.indeterminate);
		assert_non_null(strstr(err.message, "store.db"));
		assert_non_null(strstr(err.message, "1034"));
		assert_int_equal(append_range(store, "a", 5, 1, &err), STORE_ERR_STOPPED);

		counting_vfs_reset();
		assert_int_equal(store_reopen(store, &err), STORE_OK);
		/* The WAL has been written again and synced, then settled by a commit. */
		assert_true(counting_vfs.sync_count >= 2);
		kept = event_count(store);
		assert_true(kept == 4 || kept == 5);
		if (other)
			assert_int_equal(event_count(other), kept);
		append_ok(store, "b", 0, 1);
		store_close(other);

		/* Recovery from the files alone, as after a kill: same answer. */
		{
			char copy[256];
			char command[1024];
			struct store *recovered;

			snprintf(copy, sizeof(copy), "%s/copy.db", folder->path);
			snprintf(command, sizeof(command), "cp %s %s && cp %s %s-wal",
				 folder->store, copy, folder->wal, copy);
			assert_int_equal(system(command), 0);
			recovered = open_with(copy, NULL);
			assert_int_equal(event_count(recovered), kept + 1);
			store_close(recovered);
		}
		store_close(store);
		counting_vfs_remove();
	}
}

/* [D5] A store that cannot be reopened stays stopped, says so, and can be reopened later. */
static void test_reopen_can_be_tried_again(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_error err = {0};
	struct store *store;

	counting_vfs_install();
	store = open_with(folder->store, NULL);
	append_ok(store, "a", 0, 3);
	fail_the_next_commit(store, 3);
	counting_vfs.fault_for_good = true;
	assert_int_equal(append_range(store, "a", 4, 1, &err), STORE_ERR_IO);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(store_reopen(store, &err), STORE_ERR_IO);
		assert_non_null(strstr(err.message, "store.db"));
		assert_int_equal(append_range(store, "a", 5, 1, &err), STORE_ERR_STOPPED);
	}
	counting_vfs_reset();
	assert_int_equal(store_reopen(store, &err), STORE_OK);
	append_ok(store, "b", 0, 1);
	store_close(store);
	counting_vfs_remove();
}

/* P10: opening a store whose writer was killed writes its WAL again and syncs it; without a WAL
 * nothing is written. */
static void test_open_makes_the_wal_durable(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		store = open_with(folder->store, NULL);
		append_ok(store, "a", 0, 3);
		_exit(0);
	}
	assert_int_equal(child_wait(child), 0);
	assert_true(file_exists(folder->wal));
	counting_vfs_install();
	store = open_with(folder->store, NULL);
	assert_int_equal(counting_vfs.sync_count, 1);
	assert_true(counting_vfs.write_count >= 1);
	assert_int_equal(event_count(store), 3);
	store_close(store);
	counting_vfs_reset();
	store = open_with(folder->store, NULL);
	assert_int_equal(counting_vfs.effect_count, 0);
	store_close(store);
	counting_vfs_remove();
}

/* A store of one schema is refused as a store of another, and says which it is. */
static void test_schemas_do_not_mix(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_options options = {.schema = STORE_SCHEMA_WORKFLOW};
	struct store_error err;

	store_close(open_with(folder->store, NULL));
	err = assert_open_fails(folder->store, &options, STORE_ERR_NOT_A_STORE);
	assert_non_null(strstr(err.message, "events"));
	options.schema = (enum store_schema)77;
	assert_open_fails(folder->store, &options, STORE_ERR_INVALID);
}

/* Functions of one schema say no on a store of another. */
static void test_functions_know_their_schema(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_options options = {.schema = STORE_SCHEMA_FILESYSTEM};
	struct store *store = open_with(folder->store, &options);
	struct store_error err;

	assert_int_equal(append_range(store, "a", 0, 1, &err), STORE_ERR_INVALID);
	assert_non_null(strstr(err.message, "file system"));
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_two_batches_are_one_commit),
	    TEST(test_failed_part_leaves_nothing),
	    TEST(test_error_undoes_the_transaction),
	    TEST(test_full_disk_inside),
	    TEST(test_nested),
	    TEST(test_statements_are_cached_and_bounded),
	    TEST(test_text_is_never_sql),
	    TEST(test_reopen_settles_a_failed_commit),
	    TEST(test_reopen_can_be_tried_again),
	    TEST(test_open_makes_the_wal_durable),
	    TEST(test_schemas_do_not_mix),
	    TEST(test_functions_know_their_schema),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
