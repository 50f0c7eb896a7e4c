/* test_store_log_fault.c: logs of steps when files or the database fail, and by profile [D3]. */
#include "store/test/counting_vfs.h"
#include "store/test/log_test.h"

/* ---- faults ---- */

/* Calls for three logs: 5 each, and the folder. */
#define FILE_CALLS (3 * 5 + 1)

/* One round: three logs, of which the first replaces one, with the n-th call of the disk failing.
 * False: there was no n-th. */
static bool fault_round(struct bench *bench, size_t n, int number, bool for_good)
{
	struct result before, results[3];
	bool fired;

	exec(store_handle(bench->outside), "DELETE FROM step_logs WHERE step_id > 1");
	log_text(bench, 1, "before", &before);
	work_off(bench);
	assert_int_equal(before.code, STORE_OK);

	disk_arm(bench->disk, n, number, for_good);
	for (int i = 0; i < 3; i++)
		log_text(bench, i + 1, "after", &results[i]);
	work_off(bench);
	fired = bench->disk->fired;
	disk_arm(bench->disk, 0, 0, false);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(results[i].count, 1);
		if (results[i].code == STORE_OK) {
			assert_log(bench, i + 1, "after");
			continue;
		}
		assert_int_equal(results[i].code, number == ENOSPC ? STORE_ERR_FULL : STORE_ERR_IO);
		assert_false(results[i].indeterminate);
		if (!strstr(results[i].message, FOLDER) ||
		    !strstr(results[i].message, strerror(number)))
			fail_msg("%s", results[i].message);
		if (i == 0)
			assert_log(bench, 1, "before");
		else
			assert_no_log(bench, i + 1);
	}
	/* Removing the old file comes after the results. */
	if (fired && n <= FILE_CALLS)
		assert_true(results[0].code != STORE_OK || results[1].code != STORE_OK ||
			    results[2].code != STORE_OK);
	return fired;
}

/* Each call of the disk fails, once and for good: the row never points to a file that is missing or
 * different, the log that was there stays, each result comes once and says what failed, and when
 * the disk is well again, so is the service, which has not opened its database again for it. [D3]
 */
static void test_every_call_fails(void **state)
{
	struct bench bench = bench_open(folder_of(state), STORE_PROFILE_ARCHIVAL, 3, true);
	struct store_service_state what;

	bench.disk->watch = watch;
	bench.disk->watch_context = &bench;
	for (int i = 0; i < 2; i++) {
		size_t n = 1;

		while (fault_round(&bench, n, i == 0 ? EIO : ENOSPC, i == 1))
			n++;
		/* An old file, and the folder again. */
		assert_int_equal(n - 1, FILE_CALLS + 2);
	}
	store_service_state(bench.service, &what);
	assert_int_equal(what.reopened, 0);
	assert_int_equal(what.log_count, 0);
	assert_true(what.commands_failed > 0);
	bench_close(&bench);
}

/* A failed fsync is not tried again on the same file: the next attempt is another file. [D3] */
static void test_failed_sync_is_final(void **state)
{
	struct bench bench = bench_open(folder_of(state), STORE_PROFILE_ARCHIVAL, 1, true);
	struct result result;
	char failed[256] = "";

	disk_arm(bench.disk, 3, EIO, false);
	log_text(&bench, 1, "text", &result);
	work_off(&bench);
	assert_int_equal(result.code, STORE_ERR_IO);
	log_text(&bench, 1, "text", &result);
	work_off(&bench);
	assert_int_equal(result.code, STORE_OK);
	for (size_t i = 0; i < bench.disk->call_count; i++) {
		const struct disk_call *call = &bench.disk->calls[i];

		if (call->op != DISK_SYNC)
			continue;
		assert_string_not_equal(call->path, failed);
		snprintf(failed, sizeof(failed), "%s", call->path);
	}
	assert_log(&bench, 1, "text");
	bench_close(&bench);
}

/* What a round of faults of the database has met. */
struct met {
	unsigned stored;    /* in doubt, and the row turned out to be there */
	unsigned forgotten; /* in doubt, and it was not */
};

/*
 * One round: a log that replaces one, with the n-th write or sync of the database failing. False:
 * there was no n-th. Nobody looks meanwhile if `alone` is set: then the service's connections are
 * the only ones, and when it opens the store again, SQLite goes by the WAL and not by its index in
 * shared memory, so that a commit whose sync failed is found to be there.
 */
static bool database_round(struct bench *bench, long n, bool for_good, bool alone, struct met *met)
{
	struct result before, after, again;
	struct store_step_log log;
	bool fired;
	int count;

	log_text(bench, 1, "before", &before);
	work_off(bench);
	assert_int_equal(before.code, STORE_OK);
	count = disk_count(bench->disk);
	if (alone)
		bench_look_away(bench);

	counting_vfs_reset();
	counting_vfs.fault_at = n;
	counting_vfs.fault_for_good = for_good;
	log_text(bench, 1, "after", &after);
	work_off(bench);
	fired = counting_vfs.fault_count > 0;
	counting_vfs_reset();
	work_off(bench);
	if (alone)
		bench_look(bench, STORE_PROFILE_ARCHIVAL);
	assert_rows_whole(bench);
	assert_int_equal(bench->row_count, 1);
	assert_int_equal(after.count, 1);
	if (after.code == STORE_OK) {
		assert_log(bench, 1, "after");
	} else if (!after.indeterminate) {
		assert_log(bench, 1, "before");
		assert_int_equal(disk_count(bench->disk), count);
	} else {
		assert_code(store_step_log_find(bench->outside, 1, &log, NULL), STORE_OK, NULL);
		met->stored += log.bytes == strlen("after");
		met->forgotten += log.bytes == strlen("before");
	}

	log_text(bench, 1, "again", &again);
	work_off(bench);
	assert_int_equal(again.count, 1);
	assert_int_equal(again.code, STORE_OK);
	assert_log(bench, 1, "again");
	return fired;
}

/* Each write and sync of the database fails, once and for good: whatever has become of the row, its
 * file is there and whole, the result comes once, and where the commit is in doubt, no file is
 * removed. [D3] [D5] */
static void test_database_fails(void **state)
{
	struct bench bench = bench_open(folder_of(state), STORE_PROFILE_ARCHIVAL, 1, true);
	struct store_service_state what;
	struct met met = {0, 0};

	bench.disk->watch = watch;
	bench.disk->watch_context = &bench;
	for (unsigned i = 0; i < 4; i++) {
		long n = 1;

		while (database_round(&bench, n, (i & 1) != 0, (i & 2) != 0, &met))
			n++;
		assert_true(n > 3);
	}
	store_service_state(bench.service, &what);
	assert_true(what.reopened > 0);
	assert_true(met.stored > 0);
	assert_true(met.forgotten > 0);
	bench_close(&bench);
}

/* ---- profiles ---- */

/* In balanced a power cut can bring a replaced row back: its file stays until a checkpoint has made
 * the replacement durable, which store_logs_sweep() sees to, and not before readers let it. [D3] */
static void test_balanced_keeps_old_files(void **state)
{
	struct bench bench = bench_open(folder_of(state), STORE_PROFILE_BALANCED, 1, true);
	struct result result;
	struct store_error err = {0};
	sqlite3 *reader = NULL;
	size_t count = 99;

	log_text(&bench, 1, "old", &result);
	work_off(&bench);
	assert_int_equal(sqlite3_open(bench.folder->store, &reader), SQLITE_OK);
	exec(reader, "BEGIN; SELECT * FROM steps");
	log_text(&bench, 1, "new", &result);
	work_off(&bench);
	assert_int_equal(result.code, STORE_OK);
	assert_log(&bench, 1, "new");
	assert_true(disk_holds(bench.disk, FOLDER "/step-1-1.log", 3, disk_checksum("old", 3)));

	assert_code(store_logs_sweep(bench.outside, FOLDER, &count, &err), STORE_ERR_BUSY, &err);
	assert_int_equal(count, 99);
	assert_true(disk_holds(bench.disk, FOLDER "/step-1-1.log", 3, disk_checksum("old", 3)));
	assert_int_equal(sqlite3_close(reader), SQLITE_OK);
	/* A file that cannot be removed stays on the list. */
	disk_arm(bench.disk, 1, EACCES, false);
	assert_int_not_equal(store_logs_sweep(bench.outside, FOLDER, &count, &err), STORE_OK);
	assert_code(store_logs_sweep(bench.outside, FOLDER, &count, &err), STORE_OK, &err);
	assert_int_equal(count, 1);
	assert_int_equal(disk_count(bench.disk), 1);
	assert_code(store_logs_sweep(bench.outside, FOLDER, &count, &err), STORE_OK, &err);
	assert_int_equal(count, 0);
	assert_log(&bench, 1, "new");
	bench_close(&bench);
}

/* In bulk no commit is durable, so no old file is removed. */
static void test_bulk_keeps_old_files(void **state)
{
	struct bench bench = bench_open(folder_of(state), STORE_PROFILE_BULK, 1, true);
	struct result result;
	struct store_error err = {0};

	log_text(&bench, 1, "old", &result);
	work_off(&bench);
	log_text(&bench, 1, "new", &result);
	work_off(&bench);
	assert_int_equal(disk_count(bench.disk), 2);
	assert_code(store_logs_sweep(bench.outside, FOLDER, NULL, &err), STORE_ERR_SETTING, &err);
	assert_int_equal(disk_count(bench.disk), 2);
	bench_close(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_every_call_fails),     TEST(test_failed_sync_is_final),
	    TEST(test_database_fails),	     TEST(test_balanced_keeps_old_files),
	    TEST(test_bulk_keeps_old_files),
	};

	counting_vfs_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
