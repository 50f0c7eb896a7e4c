/*
 * test_store_pool.c: readers that threads take in turn and give back.
 */
#include <pthread.h>

#include "store/internal.h"
#include "store/test/service_test.h"

static struct store *reader_take(struct store_service *service)
{
	struct store_error err = {0};
	struct store *reader = NULL;

	if (store_service_reader_take(service, &reader, &err) != STORE_OK)
		fail_msg("%s: %s", store_code_name(err.code), err.message);
	assert_non_null(reader);
	return reader;
}

/* A service with events 0 to 9 of server a in it. */
static struct store_service *service_with_events(const char *path,
						 const struct store_service_options *options)
{
	struct store_service *service = service_open(path, options);
	struct task task;

	task_submit(service, task_fill(&task, "a", 0, 10));
	if (options->manual)
		writer_step(service);
	return service;
}

/* [B6] Readers are opened when they are first taken, handed out in turn, and are different ones
 * while they are out. */
static void test_in_turn(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	struct store_service_options options = manual_options(&time);
	struct store_service *service;
	struct store *readers[3];

	options.reader_count = 3;
	service = service_with_events(folder->store, &options);
	assert_int_equal(service_state(service).readers_open, 0);
	for (int i = 0; i < 3; i++) {
		readers[i] = reader_take(service);
		assert_int_equal(event_count(readers[i]), 10);
		store_service_reader_give(service, readers[i]);
		assert_int_equal(service_state(service).readers_open, i + 1);
		assert_int_equal(service_state(service).readers_taken, 0);
	}
	for (int i = 0; i < 6; i++) {
		struct store *reader = reader_take(service);

		assert_ptr_equal(reader, readers[i % 3]);
		store_service_reader_give(service, reader);
	}
	for (int i = 0; i < 3; i++)
		assert_ptr_equal(reader_take(service), readers[i]);
	assert_int_equal(service_state(service).readers_taken, 3);
	/* The next one in turn is out; one that came back is not. */
	store_service_reader_give(service, readers[1]);
	assert_ptr_equal(reader_take(service), readers[1]);
	for (int i = 0; i < 3; i++)
		store_service_reader_give(service, readers[i]);
	assert_int_equal(service_state(service).readers_replaced, 0);
	service_close(service);
}

/* [B6] Twice the cores are the default. */
static void test_default_count(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	const struct store_service_options options = manual_options(&time);
	struct store_service *service = service_with_events(folder->store, &options);
	const long count = sysconf(_SC_NPROCESSORS_ONLN) * 2;
	struct store *readers[STORE_READER_COUNT_MAX];
	struct store_error err;
	struct store *none = NULL;

	if (count > 64)
		skip();
	for (long i = 0; i < count; i++)
		readers[i] = reader_take(service);
	assert_int_equal(store_service_reader_take(service, &none, &err), STORE_ERR_POOL_EXHAUSTED);
	for (long i = 0; i < count; i++)
		store_service_reader_give(service, readers[i]);
	service_close(service);
}

/* [B6] A reader cannot write, neither through the library nor by SQL. */
static void test_reader_cannot_write(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	const struct store_service_options options = manual_options(&time);
	struct store_service *service = service_with_events(folder->store, &options);
	struct store *reader = reader_take(service);
	struct store_error err = {0};

	assert_int_equal(append_range(reader, "b", 0, 1, &err), STORE_ERR_READ_ONLY);
	assert_int_equal(
	    sqlite3_exec(store_handle(reader), "CREATE TABLE mine (x)", NULL, NULL, NULL),
	    SQLITE_READONLY);
	store_service_reader_give(service, reader);
	service_close(service);
}

/* [B6] An empty pool says that it is exhausted, how many are out, and how long it waited. */
static void test_exhausted(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *const untouched = (struct store *)(void *)state;

	for (int manual = 0; manual < 2; manual++) {
		struct store_service_options options = {.manual = manual};
		struct store_service *service;
		struct store *readers[2];
		struct store *none = untouched;
		struct store_error err = {0};

		folder_empty(folder);
		options.reader_count = 2;
		options.reader_timeout_ms = 30;
		service = service_open(folder->store, &options);
		readers[0] = reader_take(service);
		readers[1] = reader_take(service);
		assert_int_equal(store_service_reader_take(service, &none, &err),
				 STORE_ERR_POOL_EXHAUSTED);
		assert_ptr_equal(none, untouched);
		assert_int_equal(err.code, STORE_ERR_POOL_EXHAUSTED);
		assert_non_null(strstr(err.message, "pool exhausted"));
		assert_non_null(strstr(err.message, "2 of 2"));
		assert_non_null(strstr(err.message, "30 ms"));
		assert_non_null(strstr(err.message, folder->store));
		store_service_reader_give(service, readers[0]);
		assert_ptr_equal(reader_take(service), readers[0]);
		store_service_reader_give(service, readers[0]);
		store_service_reader_give(service, readers[1]);
		service_close(service);
	}
}

/* [B6] A broken reader is replaced: one that has stopped, when it is taken; one with a transaction
 * left open, when it comes back. */
static void test_broken_is_replaced(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	struct store_service_options options = manual_options(&time);
	struct store_service *service;
	struct store *reader;

	options.reader_count = 1;
	service = service_with_events(folder->store, &options);
	reader = reader_take(service);
	reader->stopped_by = SQLITE_IOERR;
	store_service_reader_give(service, reader);
	reader = reader_take(service);
	assert_int_equal(service_state(service).readers_replaced, 1);
	assert_int_equal(event_count(reader), 10);

	exec(store_handle(reader), "BEGIN");
	assert_int_equal(event_count(reader), 10);
	store_service_reader_give(service, reader);
	assert_int_equal(service_state(service).readers_replaced, 2);
	reader = reader_take(service);
	assert_int_equal(event_count(reader), 10);
	store_service_reader_give(service, reader);

	service_close(service);
}

/* [B6] A reader whose file is no longer the one under the name is not handed out; once the file is
 * back, there is one. */
static void test_moved_is_refused(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	struct store_service_options options = manual_options(&time);
	struct store_service *service;
	struct store *reader;
	struct store_error err;
	char away[256];

	options.reader_count = 1;
	service = service_with_events(folder->store, &options);
	reader = reader_take(service);
	snprintf(away, sizeof(away), "%s.away", folder->store);
	store_service_reader_give(service, reader);
	assert_int_equal(rename(folder->store, away), 0);
	assert_int_equal(store_service_reader_take(service, &reader, &err), STORE_ERR_CANNOT_OPEN);
	assert_false(file_exists(folder->store));
	assert_int_equal(rename(away, folder->store), 0);
	reader = reader_take(service);
	assert_int_equal(event_count(reader), 10);
	store_service_reader_give(service, reader);
	service_close(service);
}

/* [B6] A store that a newer program has migrated is not read with the old statements. */
static void test_migrated_is_refused(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	struct store_service_options options = manual_options(&time);
	struct store_service *service;
	struct store *reader;
	struct store_error err;

	options.reader_count = 1;
	service = service_with_events(folder->store, &options);
	reader = reader_take(service);
	store_service_reader_give(service, reader);
	exec_on_file(folder->store, "INSERT INTO schema_version (version, digest, name, applied_us)"
				    " SELECT max(version) + 1, digest, 'newer', 0"
				    " FROM schema_version");
	assert_int_equal(store_service_reader_take(service, &reader, &err), STORE_ERR_SCHEMA_NEWER);
	assert_int_equal(service_state(service).readers_taken, 0);
	assert_int_equal(service_state(service).readers_open, 0);
	service_close(service);
}

/* [B6] A reader that comes back half way through a cursor or a statement lets go of its snapshot,
 * and the cursor answers that it is over. */
static void test_snapshots_are_let_go(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	const struct store_service_options options = manual_options(&time);
	struct store_service *service = service_with_events(folder->store, &options);
	struct store *reader = reader_take(service);
	struct store_cursor *cursor = NULL;
	struct store_record record;
	struct store_error err;
	sqlite3_stmt *stmt = NULL;
	bool found = false;
	int busy = 1;
	sqlite3 *db = NULL;

	assert_int_equal(store_cursor_open_by_server(reader, "a", 0, 9, &cursor, &err), STORE_OK);
	assert_int_equal(store_cursor_next(cursor, &record, &found, &err), STORE_OK);
	assert_true(found);
	assert_int_equal(
	    sqlite3_prepare_v2(store_handle(reader), "SELECT seq FROM events", -1, &stmt, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	store_service_reader_give(service, reader);
	assert_int_equal(store_cursor_next(cursor, &record, &found, &err), STORE_ERR_INVALID);
	store_cursor_close(cursor);

	/* Nobody is in the way of a checkpoint that needs all readers gone. */
	assert_int_equal(sqlite3_open(folder->store, &db), SQLITE_OK);
	busy = (int)query_int(db, "PRAGMA wal_checkpoint(TRUNCATE)");
	assert_int_equal(busy, 0);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	sqlite3_finalize(stmt);
	service_close(service);
}

/* [B6] Giving back twice, or what is not of this pool, changes nothing; a reader that is kept is
 * named when the service is closed. */
static void test_misuse(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	const struct store_service_options options = manual_options(&time);
	struct store_service *service = service_with_events(folder->store, &options);
	struct store *foreign = open_with(folder->store, NULL);
	struct store *reader = reader_take(service);
	struct store_error err = {0};

	store_service_reader_give(service, foreign);
	assert_int_equal(service_state(service).readers_taken, 1);
	assert_int_equal(event_count(foreign), 10);
	store_service_reader_give(service, reader);
	store_service_reader_give(service, reader);
	assert_int_equal(service_state(service).readers_taken, 0);
	reader_take(service);
	assert_int_equal(store_service_close(service, &err), STORE_ERR_INVALID);
	assert_non_null(strstr(err.message, "1 readers"));
	store_close(foreign);
}

enum { READERS = 8, ROUNDS = 40 };

struct reading {
	struct store_service *service;
	unsigned failed;
};

/* What a reader sees grows, and is whole batches of ten. */
static void *reading_run(void *context)
{
	struct reading *reading = context;
	int64_t last = 0;

	for (int i = 0; i < ROUNDS; i++) {
		struct store *reader = NULL;
		int64_t count;

		if (store_service_reader_take(reading->service, &reader, NULL) != STORE_OK) {
			reading->failed++;
			continue;
		}
		count = event_count(reader);
		reading->failed += count < last || count % 10 != 0;
		last = count;
		store_service_reader_give(reading->service, reader);
	}
	return NULL;
}

/* [B6] More threads than readers take turns beside the writer: each waits until one comes back. */
static void test_many_readers(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct store_service_options options = {.reader_count = 3,
						      .reader_timeout_ms = 60000};
	struct store_service *service = service_open(folder->store, &options);
	struct reading readings[READERS];
	pthread_t threads[READERS];
	struct task tasks[ROUNDS];

	for (int i = 0; i < READERS; i++) {
		readings[i] = (struct reading){.service = service};
		assert_int_equal(pthread_create(&threads[i], NULL, reading_run, &readings[i]), 0);
	}
	for (int i = 0; i < ROUNDS; i++)
		task_submit(service, task_fill(&tasks[i], "a", i * 10, 10));
	for (int i = 0; i < READERS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(readings[i].failed, 0);
	}
	assert_true(service_state(service).readers_open <= 3);
	assert_int_equal(service_state(service).readers_replaced, 0);
	service_close(service);
	for (int i = 0; i < ROUNDS; i++)
		assert_task(&tasks[i], STORE_OK);
}

/* What an I/O error in the middle of a command does to a store, without a disk that fails. */
static enum store_code break_store(struct store *store, void *context, struct store_error *err)
{
	(void)context;
	(void)err;
	store->stopped_by = SQLITE_IOERR;
	return STORE_ERR_IO;
}

/* [B6] [D5] While threads read, the store is opened again and again: the readers come back, are
 * closed, and are opened anew; every command gets its own result. */
static void test_opened_again_beside_readers(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct store_service_options options = {.reader_count = 3,
						      .reader_timeout_ms = 60000};
	struct store_service *service = service_open(folder->store, &options);
	struct reading readings[READERS];
	pthread_t threads[READERS];
	struct task tasks[ROUNDS];

	for (int i = 0; i < READERS; i++) {
		readings[i] = (struct reading){.service = service};
		assert_int_equal(pthread_create(&threads[i], NULL, reading_run, &readings[i]), 0);
	}
	for (int i = 0; i < ROUNDS; i++) {
		task_submit(service, task_fill(&tasks[i], "a", i * 10, 10));
		if (i % 8 == 5)
			assert_int_equal(store_service_call(service, break_store, NULL, NULL),
					 STORE_ERR_IO);
	}
	for (int i = 0; i < READERS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(readings[i].failed, 0);
	}
	assert_true(service_state(service).reopened >= 4);
	service_close(service);
	for (int i = 0; i < ROUNDS; i++)
		assert_task(&tasks[i], STORE_OK);
	assert_int_equal(events_in_file(folder->store, "a"), ROUNDS * 10);
}

static enum store_code append_one(struct store *store, void *context, struct store_error *err)
{
	(void)context;
	return append_range(store, "b", 0, 1, err);
}

/* [B6] [D5] A thread that keeps a reader while it waits for a result does not wait for itself: it
 * is told that the reader is in the way. */
static void test_kept_reader_is_no_deadlock(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct store_service_options options = {.reader_count = 2, .reader_timeout_ms = 60};
	struct store_service *service = service_open(folder->store, &options);
	struct store *reader = reader_take(service);
	struct store_error err = {0};

	assert_int_equal(store_service_call(service, break_store, NULL, &err), STORE_ERR_IO);
	assert_int_equal(store_service_call(service, append_one, NULL, &err), STORE_ERR_STOPPED);
	assert_non_null(strstr(err.message, "1 are out"));
	store_service_reader_give(service, reader);
	assert_int_equal(store_service_call(service, append_one, NULL, &err), STORE_OK);
	reader = reader_take(service);
	assert_int_equal(event_count(reader), 1);
	store_service_reader_give(service, reader);
	service_close(service);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_in_turn),
	    TEST(test_default_count),
	    TEST(test_reader_cannot_write),
	    TEST(test_exhausted),
	    TEST(test_broken_is_replaced),
	    TEST(test_moved_is_refused),
	    TEST(test_migrated_is_refused),
	    TEST(test_snapshots_are_let_go),
	    TEST(test_misuse),
	    TEST(test_many_readers),
	    TEST(test_opened_again_beside_readers),
	    TEST(test_kept_reader_is_no_deadlock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
