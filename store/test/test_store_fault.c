/*
 * test_store_fault.c: kills and failing disks (P1, P5, P6, P7): the n-th operation that changes the
 * disk is made to fail or to be the last one, for n = 1, 2, … until there is no n-th any more.
 *
 * The operations that do happen happen on real files, and what was not synced is still there
 * afterwards: this is the end of a process, not of the power.
 */
#include "store/test/counting_vfs.h"
#include "store/test/store_test.h"

/* More than any sweep below needs; reaching it means that a sweep does not end. */
#define SWEEP_MAX 2000

/* Settings under which the sweeps run; small pages and caches, so that transactions spill. */
struct setup {
	const char *name;
	struct store_pragma pragmas[4];
	size_t pragma_count;
};

static const struct setup setups[] = {
    {"wal", {{"page_size", "512"}}, 1},
    {"wal, checkpoints", {{"page_size", "512"}, {"wal_autocheckpoint", "4"}}, 2},
    {"delete, spilling",
     {{"page_size", "512"},
      {"journal_mode", "delete"},
      {"synchronous", "full"},
      {"cache_size", "2"}},
     4},
    {"wal, spilling", {{"page_size", "512"}, {"cache_size", "2"}}, 2},
    {"delete", {{"page_size", "512"}, {"journal_mode", "delete"}, {"synchronous", "extra"}}, 3},
};
/* `make check-long` tries all of them, `make check` the first three. */
static size_t setup_count(void)
{
	return getenv("STORE_TEST_LONG") ? sizeof(setups) / sizeof(setups[0]) : 3;
}

static struct store_options setup_options(const struct setup *setup)
{
	struct store_options options = {0};

	options.pragmas = setup->pragmas;
	options.pragma_count = setup->pragma_count;
	options.clock_us = clock_fixed;
	options.busy_timeout_ms = 100;
	return options;
}

/* How many of the server's events are there; asserts that no batch is there in part. */
static int64_t count_whole_batches(struct store *store, const char *server_id)
{
	char sql[128];

	assert_query_text(store_handle(store), "PRAGMA integrity_check", "ok");
	assert_int_equal(query_int(store_handle(store),
				   "SELECT count(*) FROM (SELECT 1 FROM events GROUP BY batch_id"
				   " HAVING count(*) <> max(batch_count))"),
			 0);
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM events WHERE server_id = '%s'", server_id);
	return query_int(store_handle(store), sql);
}

enum { BATCH = 16 };

/* [A4] P1, P5: a writer killed at any operation leaves acknowledged batches, only whole ones. */
static void test_kill_while_appending(void **state)
{
	const struct folder *folder = folder_of(state);

	for (size_t i = 0; i < setup_count(); i++) {
		struct store_options options = setup_options(&setups[i]);
		long n = 1;
		int status = COUNTING_VFS_EXIT_STATUS;

		for (; status == COUNTING_VFS_EXIT_STATUS; n++) {
			int64_t acked = 0;
			int64_t kept;
			int acks[2];
			pid_t child;
			char byte;

			assert_true(n < SWEEP_MAX);
			folder_empty(folder);
			assert_int_equal(pipe(acks), 0);
			child = fork();
			assert_true(child >= 0);
			if (child == 0) {
				struct store *store;

				counting_vfs_install();
				store = open_with(folder->store, &options);
				counting_vfs_reset();
				counting_vfs.fault_at = n;
				counting_vfs.fault_kills = true;
				for (int64_t batch = 0; batch < 3; batch++) {
					append_ok(store, "a", batch * BATCH, BATCH);
					if (write(acks[1], "a", 1) != 1)
						_exit(1);
				}
				store_close(store);
				_exit(0);
			}
			close(acks[1]);
			while (read(acks[0], &byte, 1) == 1)
				acked++;
			close(acks[0]);
			status = child_wait(child);
			assert_true(status == COUNTING_VFS_EXIT_STATUS || status == 0);

			struct store *store = open_with(folder->store, &options);

			kept = count_whole_batches(store, "a");
			if (kept < acked * BATCH || kept > (acked + 1) * BATCH)
				fail_msg("%s, killed at %ld: %" PRId64
					 " batches acknowledged, %" PRId64 " events kept",
					 setups[i].name, n, acked, kept);
			append_ok(store, "a", 3 * BATCH, 1);
			store_close(store);
		}
		assert_true(n > 5);
	}
}

/* [A2] P7: a migration killed at any operation leaves a version, whole, with every event. */
static void test_kill_while_migrating(void **state)
{
	const struct folder *folder = folder_of(state);

	for (size_t i = 0; i < setup_count(); i++) {
		bool seen[EVENTS_VERSION + 1] = {false};
		long n = 1;
		int status = COUNTING_VFS_EXIT_STATUS;

		for (; status == COUNTING_VFS_EXIT_STATUS; n++) {
			struct store_options options = setup_options(&setups[i]);
			struct store *store;
			sqlite3 *db = NULL;
			int64_t version;
			pid_t child;

			assert_true(n < SWEEP_MAX);
			folder_empty(folder);
			options.migrations = store_migrations(STORE_SCHEMA_EVENTS, NULL);
			options.migration_count = 1;
			store = open_with(folder->store, &options);
			append_ok(store, "a", 0, BATCH);
			store_close(store);
			options.migrations = NULL;
			options.migration_count = 0;
			child = fork();
			assert_true(child >= 0);
			if (child == 0) {
				counting_vfs_install();
				counting_vfs.fault_at = n;
				counting_vfs.fault_kills = true;
				open_with(folder->store, &options);
				_exit(0);
			}
			status = child_wait(child);

			/* The tables say the same version as schema_version does. */
			assert_int_equal(sqlite3_open(folder->store, &db), SQLITE_OK);
			version = query_int(db, "SELECT max(version) FROM schema_version");
			assert_in_range(version, 1, EVENTS_VERSION);
			seen[version] = true;
			assert_int_equal(query_int(db, "SELECT count(*) FROM schema_version"),
					 version);
			assert_int_equal(query_int(db, "SELECT count(*) FROM sqlite_master"
						       " WHERE type = 'trigger'"),
					 version >= 2 ? 2 : 0);
			assert_int_equal(query_int(db, "SELECT count(*) FROM sqlite_master"
						       " WHERE name = 'events_by_kind'"),
					 version >= 3 ? 1 : 0);
			assert_int_equal(query_int(db, "SELECT count(*) FROM"
						       " pragma_table_info('events')"
						       " WHERE name = 'payload_bytes'"),
					 version >= 3 ? 1 : 0);
			if (version >= 3)
				assert_int_equal(
				    query_int(db, "SELECT count(*) FROM events"
						  " WHERE payload_bytes <> length(payload)"),
				    0);
			assert_int_equal(sqlite3_close(db), SQLITE_OK);

			store = open_with(folder->store, &options);
			assert_int_equal(count_whole_batches(store, "a"), BATCH);
			append_ok(store, "a", BATCH, 1);
			store_close(store);
		}
		/* The sweep has really cut between the versions. */
		for (size_t v = 1; v <= EVENTS_VERSION; v++)
			assert_true(seen[v]);
	}
}

/* [A2] P7: a new store whose making was killed at any operation is made by the next open. */
static void test_kill_while_creating(void **state)
{
	const struct folder *folder = folder_of(state);

	for (size_t i = 0; i < setup_count(); i++) {
		struct store_options options = setup_options(&setups[i]);
		int status = COUNTING_VFS_EXIT_STATUS;

		for (long n = 1; status == COUNTING_VFS_EXIT_STATUS; n++) {
			struct store *store;
			pid_t child;

			assert_true(n < SWEEP_MAX);
			folder_empty(folder);
			child = fork();
			assert_true(child >= 0);
			if (child == 0) {
				counting_vfs_install();
				counting_vfs.fault_at = n;
				counting_vfs.fault_kills = true;
				open_with(folder->store, &options);
				_exit(0);
			}
			status = child_wait(child);
			store = open_with(folder->store, &options);
			append_ok(store, "a", 1, 1);
			assert_int_equal(count_whole_batches(store, "a"), 1);
			store_close(store);
		}
	}
}

/* What a failing operation looks like. */
struct fault {
	bool for_good;
	bool is_full;
};

static const struct fault faults[] = {
    {false, false},
    {true, false},
    {false, true},
    {true, true},
};
#define FAULT_COUNT (sizeof(faults) / sizeof(faults[0]))

static void fault_arm(const struct fault *fault, long n)
{
	counting_vfs_reset();
	counting_vfs.fault_at = n;
	counting_vfs.fault_for_good = fault->for_good;
	counting_vfs.fault_is_full = fault->is_full;
}

/* One append under a fault, and what the next open finds. Returns whether the fault was met. */
static bool append_under_fault(const struct folder *folder, const struct setup *setup,
			       const struct fault *fault, long n)
{
	struct store_options options = setup_options(setup);
	struct store_error err = {0};
	struct store *store;
	enum store_code code;
	int64_t kept;
	bool met;

	folder_empty(folder);
	store = open_with(folder->store, &options);
	append_ok(store, "a", 0, 5);
	fault_arm(fault, n);
	code = append_range(store, "b", 0, BATCH, &err);
	met = counting_vfs.fault_count > 0;
	if (code != STORE_OK) {
		assert_true(code == STORE_ERR_IO || code == STORE_ERR_FULL);
		assert_int_equal(err.code, code);
		if (err.indeterminate || code == STORE_ERR_IO) {
			struct store_cursor *cursor = NULL;

			assert_int_equal(append_range(store, "c", 0, 1, NULL), STORE_ERR_STOPPED);
			assert_int_equal(store_cursor_open_by_id(store, "a-0", &cursor, NULL),
					 STORE_ERR_STOPPED);
		}
	}
	store_close(store);
	counting_vfs_reset();

	store = open_with(folder->store, &options);
	assert_int_equal(count_whole_batches(store, "a"), 5);
	kept = count_whole_batches(store, "b");
	if (code == STORE_OK)
		assert_int_equal(kept, BATCH);
	else if (!err.indeterminate)
		assert_int_equal(kept, 0);
	else
		assert_true(kept == 0 || kept == BATCH);
	assert_int_equal(count_whole_batches(store, "c"), 0);
	append_ok(store, "d", 0, 1);
	store_close(store);
	return met;
}

/* [A4] P6: whatever fails during an append is reported, and means what the error says. */
static void test_failing_disk_while_appending(void **state)
{
	const struct folder *folder = folder_of(state);

	counting_vfs_install();
	for (size_t i = 0; i < setup_count(); i++) {
		for (size_t j = 0; j < FAULT_COUNT; j++) {
			long n = 1;

			while (append_under_fault(folder, &setups[i], &faults[j], n)) {
				n++;
				assert_true(n < SWEEP_MAX);
			}
			assert_true(n > 3);
		}
	}
	counting_vfs_remove();
}

/* [A2] P7: whatever fails while opening and migrating is reported, and the next open gets there. */
static void test_failing_disk_while_migrating(void **state)
{
	const struct folder *folder = folder_of(state);

	counting_vfs_install();
	for (size_t i = 0; i < setup_count(); i++) {
		for (size_t j = 0; j < FAULT_COUNT; j++) {
			bool met = true;

			for (long n = 1; met; n++) {
				struct store_options options = setup_options(&setups[i]);
				struct store_error err = {0};
				struct store *store = NULL;
				enum store_code code;

				assert_true(n < SWEEP_MAX);
				folder_empty(folder);
				options.migrations = store_migrations(STORE_SCHEMA_EVENTS, NULL);
				options.migration_count = 1;
				store = open_with(folder->store, &options);
				append_ok(store, "a", 0, BATCH);
				store_close(store);
				options.migrations = NULL;
				options.migration_count = 0;

				fault_arm(&faults[j], n);
				store = NULL;
				code = store_open(folder->store, &options, &store, &err);
				met = counting_vfs.fault_count > 0;
				if (code != STORE_OK) {
					assert_null(store);
					assert_true(code == STORE_ERR_IO ||
						    code == STORE_ERR_FULL ||
						    code == STORE_ERR_CANNOT_OPEN);
				}
				store_close(store);
				counting_vfs_reset();

				store = open_with(folder->store, &options);
				assert_int_equal(count_whole_batches(store, "a"), BATCH);
				assert_int_equal(
				    query_int(store_handle(store),
					      "SELECT max(version) FROM schema_version"),
				    EVENTS_VERSION);
				store_close(store);
			}
		}
	}
	counting_vfs_remove();
}

/* P6: a sync that fails at the commit stops the handle; reopened, the store is whole and works. */
static void test_failed_sync_stops_the_handle(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_error err = {0};
	struct store_cursor *cursor = NULL;
	struct store_record record;
	struct store *store;
	bool found = false;
	int64_t kept;

	counting_vfs_install();
	store = open_with(folder->store, NULL);
	append_ok(store, "a", 0, 3);
	assert_int_equal(store_cursor_open_by_server(store, "a", 0, 10, &cursor, NULL), STORE_OK);
	assert_int_equal(store_cursor_next(cursor, &record, &found, NULL), STORE_OK);
	/* In the steady state the sync is the last operation of a commit; find it. */
	counting_vfs_reset();
	append_ok(store, "a", 3, 1);
	fault_arm(&faults[0], counting_vfs.effect_count);
	assert_int_equal(append_range(store, "a", 4, 1, &err), STORE_ERR_IO);
	assert_int_equal(err.sqlite_code, SQLITE_IOERR_FSYNC);
	assert_true(err.indeterminate);
	counting_vfs_reset();
	/* The disk is well again, and the handle still says no. */
	assert_int_equal(append_range(store, "a", 5, 1, &err), STORE_ERR_STOPPED);
	assert_int_equal(err.sqlite_code, SQLITE_IOERR_FSYNC);
	assert_int_equal(store_cursor_next(cursor, &record, &found, &err), STORE_ERR_STOPPED);
	store_cursor_close(cursor);
	counting_vfs_reset();
	store_close(store);
	/* Closing has not moved the doubtful WAL into the database. */
	assert_int_equal(counting_vfs.effect_count, 0);
	assert_true(file_exists(folder->wal));
	counting_vfs_remove();

	store = open_with(folder->store, NULL);
	kept = count_whole_batches(store, "a");
	assert_true(kept == 4 || kept == 5);
	append_ok(store, "a", 10, 1);
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_kill_while_appending),	     TEST(test_kill_while_migrating),
	    TEST(test_kill_while_creating),	     TEST(test_failing_disk_while_appending),
	    TEST(test_failing_disk_while_migrating), TEST(test_failed_sync_stops_the_handle),
	};

	/* Thousands of small stores: what a sync costs is not what is tested here. */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
