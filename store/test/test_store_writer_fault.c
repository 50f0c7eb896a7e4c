/*
 * test_store_writer_fault.c: a service whose disk fails. The n-th operation that changes the disk
 * is made to fail, once or for good from then on, with an I/O error or a full disk, for n = 1, 2, …
 * until there is no n-th any more. Three groups of commands run meanwhile; afterwards the file is
 * opened by a plain store, which says what is there.
 */
#include "store/test/counting_vfs.h"
#include "store/test/service_test.h"

/* More than any sweep below needs; reaching it means that a sweep does not end. */
#define SWEEP_MAX 600

struct setup {
	const char *name;
	struct store_pragma pragmas[4];
	size_t pragma_count;
	bool for_good;
	bool is_full;
};

static const struct setup setups[] = {
    {"once", {{"page_size", "4096"}}, 1, false, false},
    {"for good", {{"page_size", "4096"}}, 1, true, false},
    {"spilling, once", {{"page_size", "512"}, {"cache_size", "2"}}, 2, false, false},
    {"spilling, for good", {{"page_size", "512"}, {"cache_size", "2"}}, 2, true, false},
    {"checkpoints, once", {{"page_size", "4096"}, {"wal_autocheckpoint", "4"}}, 2, false, false},
    {"full, once", {{"page_size", "4096"}}, 1, false, true},
    {"full, for good", {{"page_size", "4096"}}, 1, true, true},
    {"full, spilling, once", {{"page_size", "512"}, {"cache_size", "2"}}, 2, false, true},
    {"rollback journal, once",
     {{"page_size", "4096"}, {"journal_mode", "delete"}, {"synchronous", "extra"}},
     3,
     false,
     false},
};
#define SETUP_COUNT (sizeof(setups) / sizeof(setups[0]))

enum { GROUPS = 3, PER_GROUP = 4, BATCH = 3, TASKS = GROUPS * PER_GROUP };

/* The third command of each group repeats the second. */
static bool is_repeat(int i)
{
	return i % PER_GROUP == 2;
}

static void tasks_fill(struct task *tasks)
{
	for (int i = 0; i < TASKS; i++) {
		const int of = is_repeat(i) ? i - 1 : i;

		task_fill(&tasks[i], "a", of * BATCH, BATCH);
	}
}

/* How many events of the task are in the file. */
static int64_t task_events(struct store *store, const struct task *task)
{
	char sql[160];

	snprintf(sql, sizeof(sql),
		 "SELECT count(*) FROM events WHERE server_id = 'a' AND position BETWEEN %" PRId64
		 " AND %" PRId64,
		 task->first, task->first + (int64_t)task->count - 1);
	return query_int(store_handle(store), sql);
}

static void complain(const struct setup *setup, long n, int i, const struct task *task,
		     int64_t events)
{
	fail_msg("%s, fault at %ld: command %d got %s%s (%s), and %" PRId64
		 " of its events are there",
		 setup->name, n, i, store_code_name(task->code),
		 task->err.indeterminate ? ", indeterminate" : "", task->err.message, events);
}

/* What each result promised, against what is there. */
static void tasks_check(const struct setup *setup, long n, struct store *store,
			const struct task *tasks)
{
	assert_query_text(store_handle(store), "PRAGMA integrity_check", "ok");
	for (int i = 0; i < TASKS; i++) {
		const struct task *task = &tasks[i];
		const int64_t events = task_events(store, task);
		/* Of the two that are the same, one is told that it is there already. */
		const bool twin_is_there = (is_repeat(i) && tasks[i - 1].code == STORE_OK) ||
					   (is_repeat(i + 1) && tasks[i + 1].code == STORE_OK);
		bool right = events == 0 || events == BATCH;

		assert_int_equal(task->done_count, 1);
		if (task->code == STORE_OK || task->code == STORE_ERR_DUPLICATE)
			right = events == BATCH;
		else if (!task->err.indeterminate && !twin_is_there)
			right = events == 0 || (is_repeat(i) && tasks[i - 1].err.indeterminate) ||
				(is_repeat(i + 1) && tasks[i + 1].err.indeterminate);
		if (!right)
			complain(setup, n, i, task, events);
	}
}

static struct store_service_options setup_options(const struct setup *setup, struct test_time *time)
{
	struct store_service_options options = manual_options(time);

	options.store.pragmas = setup->pragmas;
	options.store.pragma_count = setup->pragma_count;
	options.retry.count_max = 2;
	return options;
}

/* The bytes of a new store, so that not every run has to make one. */
static struct bytes store_template(const struct folder *folder, const struct setup *setup)
{
	struct test_time time = {0};
	const struct store_service_options options = setup_options(setup, &time);

	folder_empty(folder);
	service_close(service_open(folder->store, &options));
	return file_bytes(folder->store);
}

/* One run with a fault at n; returns whether it fired. */
static bool run(const struct folder *folder, const struct setup *setup, struct bytes template,
		long n)
{
	struct test_time time = {0};
	const struct store_service_options options = setup_options(setup, &time);
	struct store_service_state seen;
	struct store_service *service;
	struct task tasks[TASKS];
	struct task last;
	struct store *store;
	bool fired;

	folder_empty(folder);
	file_write(folder->store, template.data, template.size);
	service = service_open(folder->store, &options);
	tasks_fill(tasks);
	counting_vfs_reset();
	counting_vfs.fault_at = n;
	counting_vfs.fault_for_good = setup->for_good;
	counting_vfs.fault_is_full = setup->is_full;
	for (int i = 0; i < TASKS; i++) {
		task_submit(service, &tasks[i]);
		if (i % PER_GROUP == PER_GROUP - 1)
			writer_step(service);
	}
	fired = counting_vfs.fault_count > 0;
	counting_vfs_reset();

	/* What failed once is over when the third group has run, but for its own results; the disk
	 * that failed for good is well again. The service goes on without being told. */
	task_submit(service, task_fill(&last, "b", 0, 1));
	writer_step(service);
	assert_task(&last, STORE_OK);
	seen = service_state(service);
	assert_false(seen.stopped);
	assert_int_equal(seen.commands_done, TASKS + 1);
	for (int i = 0; i < TASKS; i++) {
		if (!fired)
			assert_task(&tasks[i], is_repeat(i) ? STORE_ERR_DUPLICATE : STORE_OK);
		/* Nothing indeterminate and nothing stopped without opening the store again. */
		if (tasks[i].err.indeterminate || tasks[i].code == STORE_ERR_IO)
			assert_true(seen.reopened > 0);
		/* What met a full disk with neighbours around it has had a second chance alone; a
		 * duplicate of what may be lost was looked at again. */
		if (!setup->for_good && tasks[i].code == STORE_ERR_FULL)
			assert_true(tasks[i].err.indeterminate);
		if (!setup->for_good && is_repeat(i))
			assert_false(tasks[i].err.indeterminate);
		/* The reason, not that there was one. */
		if (tasks[i].code == STORE_ERR_STOPPED)
			complain(setup, n, i, &tasks[i], 0);
	}
	service_close(service);

	store = open_with(folder->store, NULL);
	tasks_check(setup, n, store, tasks);
	assert_int_equal(
	    query_int(store_handle(store), "SELECT count(*) FROM events WHERE server_id = 'b'"), 1);
	store_close(store);
	return fired;
}

/* [C2] [D5] Whatever operation fails: what was answered with OK is there, what failed is not, what
 * is indeterminate is there whole or not at all, and the service goes on. */
static void test_sweep(void **state)
{
	const struct folder *folder = folder_of(state);

	counting_vfs_install();
	for (size_t i = 0; i < SETUP_COUNT; i++) {
		const struct bytes template = store_template(folder, &setups[i]);
		long n = 1;

		while (run(folder, &setups[i], template, n)) {
			n++;
			assert_true(n < SWEEP_MAX);
		}
		assert_true(n > 5);
		free(template.data);
	}
	counting_vfs_remove();
}

/* [D5] While the disk fails, every command gets the reason, nothing is acknowledged, and each step
 * with work tries to open the store again. */
static void test_stopped_until_the_disk_is_well(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	struct store_service_options options = manual_options(&time);
	struct store_service *service;
	struct store *reader = NULL;
	struct store_error err;
	struct task tasks[4];

	counting_vfs_install();
	options.retry = (struct store_retry){.count_max = 3, .delay_first_ms = 8, .seed = 1};
	service = service_open(folder->store, &options);
	task_submit(service, task_fill(&tasks[0], "a", 0, 1));
	writer_step(service);
	assert_task(&tasks[0], STORE_OK);
	counting_vfs_reset();
	counting_vfs.fault_at = 1;
	counting_vfs.fault_for_good = true;
	/* This one meets the error; the next step finds the store broken. */
	task_submit(service, task_fill(&tasks[1], "a", 1, 1));
	writer_step(service);
	assert_task(&tasks[1], STORE_ERR_IO);
	assert_int_equal(time.sleep_count, 0);
	task_submit(service, task_fill(&tasks[2], "a", 2, 1));
	assert_int_equal(store_service_writer_step(service, NULL, &err), STORE_ERR_IO);
	assert_task(&tasks[2], STORE_ERR_IO);
	assert_false(tasks[2].err.indeterminate);
	/* Pauses grow, each between half and all of its delay. */
	assert_int_equal(time.sleep_count, 3);
	for (uint32_t i = 0; i < 3; i++)
		assert_in_range(time.sleeps_ms[i], 4u << i, 8u << i);
	assert_true(service_state(service).stopped);
	assert_int_equal(service_state(service).reopened, 0);
	assert_int_equal(store_service_reader_take(service, &reader, &err), STORE_ERR_STOPPED);
	/* Without work no attempt is made. */
	assert_int_equal(writer_step(service), 0);
	assert_int_equal(time.sleep_count, 3);

	counting_vfs_reset();
	task_submit(service, task_fill(&tasks[3], "a", 3, 1));
	writer_step(service);
	assert_task(&tasks[3], STORE_OK);
	assert_false(service_state(service).stopped);
	assert_int_equal(service_state(service).reopened, 1);
	assert_int_equal(store_service_reader_take(service, &reader, &err), STORE_OK);
	assert_true(event_count(reader) >= 2);
	store_service_reader_give(service, reader);
	service_close(service);
	counting_vfs_remove();
}

/* [D5] The store is not opened again while a reader of the pool is out; once it is back, it is. */
static void test_reader_in_the_way(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	const struct store_service_options options = manual_options(&time);
	struct store_service *service;
	struct store *reader = NULL;
	struct store_error err;
	struct task tasks[3];

	counting_vfs_install();
	service = service_open(folder->store, &options);
	assert_int_equal(store_service_reader_take(service, &reader, &err), STORE_OK);
	counting_vfs_reset();
	counting_vfs.fault_at = 1;
	task_submit(service, task_fill(&tasks[0], "a", 0, 1));
	writer_step(service);
	assert_task(&tasks[0], STORE_ERR_IO);
	task_submit(service, task_fill(&tasks[1], "a", 1, 1));
	writer_step(service);
	assert_task(&tasks[1], STORE_ERR_STOPPED);
	assert_non_null(strstr(tasks[1].err.message, "1 are out"));
	store_service_reader_give(service, reader);
	task_submit(service, task_fill(&tasks[2], "a", 2, 1));
	writer_step(service);
	assert_task(&tasks[2], STORE_OK);
	service_close(service);
	counting_vfs_remove();
}

/* [D5] A file that was moved away under the service is noticed before anything more is written; it
 * is not created anew, and found again when it is back. */
static void test_file_moved_away(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	const struct store_service_options options = manual_options(&time);
	struct store_service *service = service_open(folder->store, &options);
	struct task tasks[3];
	char away[256];

	snprintf(away, sizeof(away), "%s/away.db", folder->path);
	task_submit(service, task_fill(&tasks[0], "a", 0, 1));
	writer_step(service);
	assert_task(&tasks[0], STORE_OK);
	assert_int_equal(rename(folder->store, away), 0);
	task_submit(service, task_fill(&tasks[1], "a", 1, 1));
	writer_step(service);
	assert_task(&tasks[1], STORE_ERR_CANNOT_OPEN);
	assert_false(file_exists(folder->store));
	assert_true(service_state(service).stopped);
	assert_int_equal(rename(away, folder->store), 0);
	task_submit(service, task_fill(&tasks[2], "a", 2, 1));
	writer_step(service);
	assert_task(&tasks[2], STORE_OK);
	assert_int_equal(events_in_file(folder->store, "a"), 2);
	service_close(service);
}

/* [D5] Another file under the name is not opened: SQLite would apply the WAL of the first to it. */
static void test_file_replaced(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	const struct store_service_options options = manual_options(&time);
	struct store_service *service = service_open(folder->store, &options);
	struct store *reader = NULL;
	struct store_error err;
	struct task tasks[2];
	struct bytes other;
	char path[256];

	snprintf(path, sizeof(path), "%s/other.db", folder->path);
	store_close(open_with(path, NULL));
	other = file_bytes(path);
	task_submit(service, task_fill(&tasks[0], "a", 0, 1));
	writer_step(service);
	assert_task(&tasks[0], STORE_OK);
	assert_true(file_exists(folder->wal));
	assert_int_equal(rename(path, folder->store), 0);
	assert_int_equal(store_service_reader_take(service, &reader, &err), STORE_ERR_CANNOT_OPEN);
	task_submit(service, task_fill(&tasks[1], "a", 1, 1));
	writer_step(service);
	assert_task(&tasks[1], STORE_ERR_CANNOT_OPEN);
	assert_non_null(strstr(tasks[1].err.message, "another file"));
	assert_int_equal(store_service_close(service, NULL), STORE_ERR_STOPPED);
	assert_file_unchanged(folder->store, other);
}

/* [D4] What will not pass is not tried again: a store that was migrated by a newer program before
 * it could be opened again. */
static void test_permanent_error_of_reopening(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	const struct store_service_options options = manual_options(&time);
	struct store_service *service;
	struct task tasks[2];

	counting_vfs_install();
	service = service_open(folder->store, &options);
	counting_vfs_reset();
	counting_vfs.fault_at = 1;
	task_submit(service, task_fill(&tasks[0], "a", 0, 1));
	writer_step(service);
	assert_task(&tasks[0], STORE_ERR_IO);
	exec_on_file(folder->store, "INSERT INTO schema_version (version, digest, name, applied_us)"
				    " SELECT max(version) + 1, digest, 'newer', 0"
				    " FROM schema_version");
	task_submit(service, task_fill(&tasks[1], "a", 1, 1));
	writer_step(service);
	assert_task(&tasks[1], STORE_ERR_SCHEMA_NEWER);
	assert_int_equal(time.sleep_count, 0);
	assert_int_equal(store_service_close(service, NULL), STORE_ERR_STOPPED);
	counting_vfs_remove();
}

/* [D5] A service that is closed while its store is stopped says so, after every result. */
static void test_close_while_stopped(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	const struct store_service_options options = manual_options(&time);
	struct store_service *service;
	struct store_error err = {0};
	struct task task;
	const char *found;
	char ending[32];

	counting_vfs_install();
	service = service_open(folder->store, &options);
	counting_vfs_reset();
	counting_vfs.fault_at = 1;
	counting_vfs.fault_for_good = true;
	task_submit(service, task_fill(&task, "a", 0, 1));
	assert_int_equal(store_service_close(service, &err), STORE_ERR_STOPPED);
	assert_int_equal(err.code, STORE_ERR_STOPPED);
	assert_true(err.sqlite_code != 0);
	/* SQLite's code ends the message, and is in it once. */
	snprintf(ending, sizeof(ending), "[%d]", err.sqlite_code);
	found = strstr(err.message, ending);
	assert_non_null(found);
	assert_string_equal(found, ending);
	assert_task(&task, STORE_ERR_IO);
	counting_vfs_remove();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_sweep),
	    TEST(test_stopped_until_the_disk_is_well),
	    TEST(test_reader_in_the_way),
	    TEST(test_file_moved_away),
	    TEST(test_file_replaced),
	    TEST(test_permanent_error_of_reopening),
	    TEST(test_close_while_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
