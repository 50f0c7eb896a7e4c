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

/* The profiles that promise something after a power cut. */
static const enum store_profile durable_profiles[] = {STORE_PROFILE_ARCHIVAL,
						      STORE_PROFILE_BALANCED};

static void durable_wal_keep(const struct folder *folder, char *ret_path, size_t size)
{
	snprintf(ret_path, size, "%s/durable-wal", folder->path);
	counting_vfs_keep_wal(ret_path);
}

/* The events that a power cut at this moment would leave: in the database, to which nothing is
 * moved meanwhile, and in what is durable of the WAL. */
static int64_t events_after_power_cut(const struct folder *folder)
{
	char cut[256];
	char cut_wal[256];
	struct bytes bytes;
	sqlite3 *db = NULL;
	int64_t count;

	snprintf(cut, sizeof(cut), "%s/cut.db", folder->path);
	snprintf(cut_wal, sizeof(cut_wal), "%s/cut.db-wal", folder->path);
	bytes = file_bytes(folder->store);
	file_write(cut, bytes.data, bytes.size);
	free(bytes.data);
	bytes = file_bytes(counting_vfs.durable_wal);
	file_write(cut_wal, bytes.data, bytes.size);
	free(bytes.data);
	assert_int_equal(sqlite3_open_v2(cut, &db, SQLITE_OPEN_READWRITE, counting_vfs.base->zName),
			 SQLITE_OK);
	count = query_int(db, "SELECT count(*) FROM events");
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return count;
}

/* Makes the last call of the next commit fail, once: its sync, or where it has none a write. */
static void fail_the_next_commit(struct store *store, int64_t position)
{
	counting_vfs_reset();
	append_ok(store, "a", position, 1);
	counting_vfs.fault_at = 2 * counting_vfs.effect_count;
}

/* A commit that fails, and what follows from it. */
static void settle_a_failed_commit(const struct folder *folder, enum store_profile profile,
				   bool other_connection)
{
	const struct store_options options = {.profile = profile};
	const bool archival = profile == STORE_PROFILE_ARCHIVAL;
	struct store_error err = {0};
	struct store *other = NULL;
	struct store *recovered;
	struct store *store;
	char command[1024];
	char durable[256];
	char code[16];
	char copy[256];
	int64_t kept;

	counting_vfs_install();
	durable_wal_keep(folder, durable, sizeof(durable));
	store = open_with(folder->store, &options);
	append_ok(store, "a", 0, 3);
	/* While another connection lives, SQLite does not recover when this one opens. */
	if (other_connection)
		other = open_with(folder->store, &options);
	fail_the_next_commit(store, 3);
	assert_int_equal(append_range(store, "a", 4, 1, &err), STORE_ERR_IO);
	assert_int_equal(err.sqlite_code, archival ? SQLITE_IOERR_FSYNC : SQLITE_IOERR_WRITE);
	assert_true(err.indeterminate);
	assert_non_null(strstr(err.message, "store.db"));
	snprintf(code, sizeof(code), "[%d]", err.sqlite_code);
	assert_non_null(strstr(err.message, code));
	assert_int_equal(append_range(store, "a", 5, 1, &err), STORE_ERR_STOPPED);

	counting_vfs_reset();
	assert_int_equal(store_reopen(store, &err), STORE_OK);
	/* The WAL has been written again and synced, then settled by a commit. */
	assert_true(counting_vfs.sync_count >= 2);
	kept = event_count(store);
	assert_true(kept == 4 || kept == 5);
	if (other)
		assert_int_equal(event_count(other), kept);
	assert_int_equal(events_after_power_cut(folder), kept);
	append_ok(store, "b", 0, 1);
	if (archival)
		assert_int_equal(events_after_power_cut(folder), kept + 1);
	else
		assert_true(events_after_power_cut(folder) >= kept);
	store_close(other);
	counting_vfs_keep_wal(NULL);

	/* Recovery from the files alone, as after a kill: same answer. */
	snprintf(copy, sizeof(copy), "%s/copy.db", folder->path);
	snprintf(command, sizeof(command), "cp %s %s && cp %s %s-wal", folder->store, copy,
		 folder->wal, copy);
	assert_int_equal(system(command), 0);
	recovered = open_with(copy, NULL);
	assert_int_equal(event_count(recovered), kept + 1);
	store_close(recovered);
	store_close(store);
	counting_vfs_remove();
}

/*
 * [D5] P10: After a failed commit nothing is acknowledged until the store has been reopened; then
 * the doubtful batch is there or not, for good: another process, the next open, and a power cut see
 * the same, whether commits are synced or not.
 */
static void test_reopen_settles_a_failed_commit(void **state)
{
	const struct folder *folder = folder_of(state);

	for (int i = 0; i < 4; i++) {
		folder_empty(folder);
		settle_a_failed_commit(folder, durable_profiles[i / 2], i % 2);
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

/* P10: opening a store whose writer was killed writes its WAL again and syncs it, so that a power
 * cut takes nothing away that was seen; without a WAL nothing is written. Where commits are not
 * synced, too. */
static void test_open_makes_the_wal_durable(void **state)
{
	const struct folder *folder = folder_of(state);

	for (size_t i = 0; i < sizeof(durable_profiles) / sizeof(durable_profiles[0]); i++) {
		const struct store_options options = {.profile = durable_profiles[i]};
		char durable[256];
		struct store *store;
		pid_t child;

		folder_empty(folder);
		counting_vfs_keep_wal(NULL);
		child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			store = open_with(folder->store, &options);
			append_ok(store, "a", 0, 3);
			_exit(0);
		}
		assert_int_equal(child_wait(child), 0);
		assert_true(file_exists(folder->wal));
		counting_vfs_install();
		durable_wal_keep(folder, durable, sizeof(durable));
		store = open_with(folder->store, &options);
		assert_int_equal(counting_vfs.sync_count, 1);
		assert_true(counting_vfs.write_count >= 1);
		assert_int_equal(event_count(store), 3);
		assert_int_equal(events_after_power_cut(folder), 3);
		counting_vfs_keep_wal(NULL);
		store_close(store);
		counting_vfs_reset();
		store = open_with(folder->store, &options);
		assert_int_equal(counting_vfs.effect_count, 0);
		store_close(store);
		counting_vfs_remove();
	}
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
