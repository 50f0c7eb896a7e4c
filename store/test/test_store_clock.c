/*
 * test_store_clock.c: clocks that are not what they should be. The time of day is written down and
 * decides nothing; a monotonic clock that goes back, stands still or jumps ahead delays nothing for
 * longer than it was to be delayed.
 */
#include <pthread.h>
#include <time.h>

#include "store/test/service_test.h"

#define DAY_NS	   (INT64_C(86400) * 1000000000)
#define MS_NS	   INT64_C(1000000)
#define PATIENCE_S 20

static void task_buffer(struct store_service *service, struct task *task)
{
	struct store_error err = {0};

	if (store_service_buffer(service, &task->command, &err) != STORE_OK)
		fail_msg("%s: %s", store_code_name(err.code), err.message);
}

static size_t flush_step(struct store_service *service)
{
	size_t count = 77;

	assert_int_equal(store_service_flush_step(service, &count, NULL), STORE_OK);
	return count;
}

static size_t checkpoint_step(struct store_service *service)
{
	size_t count = 77;

	assert_int_equal(store_service_checkpoint_step(service, &count, NULL), STORE_OK);
	return count;
}

/* [D1] What waits in the buffer while the clock goes back a day waits a second, as ever, and not a
 * day and a second. */
static void test_flush_after_clock_went_back(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {.now_ns = 10 * DAY_NS};
	const struct store_service_options options = manual_options(&time);
	struct store_service *service = service_open(folder->store, &options);
	struct task tasks[2];

	task_buffer(service, task_fill(&tasks[0], "a", 0, 1));
	time.now_ns += 400 * MS_NS;
	assert_int_equal(flush_step(service), 0);
	time.now_ns -= DAY_NS;
	assert_int_equal(flush_step(service), 0);
	time.now_ns += 599 * MS_NS;
	assert_int_equal(flush_step(service), 0);
	time.now_ns += MS_NS;
	assert_int_equal(flush_step(service), 1);
	/* Ahead, it is believed. */
	task_buffer(service, task_fill(&tasks[1], "a", 1, 1));
	time.now_ns += 3650 * DAY_NS;
	assert_int_equal(flush_step(service), 1);
	service_close(service);
	assert_task(&tasks[1], STORE_OK);
}

/* [B3] A clock that goes back a day delays no checkpoint: a log that is not large is still moved
 * when the interval is over. */
static void test_checkpoint_after_clock_went_back(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {.now_ns = 10 * DAY_NS};
	struct store_service_options options = manual_options(&time);
	struct store_service *service;
	struct task task;

	options.strategies = store_strategy_high_concurrency();
	options.strategy_count = 1;
	options.interval_ms = 10000;
	service = service_open(folder->store, &options);
	task_submit(service, task_fill(&task, "a", 0, 10));
	writer_step(service);
	time.now_ns += 4000 * MS_NS;
	assert_int_equal(checkpoint_step(service), 0);
	time.now_ns -= DAY_NS;
	assert_int_equal(checkpoint_step(service), 0);
	time.now_ns += 5999 * MS_NS;
	assert_int_equal(checkpoint_step(service), 0);
	time.now_ns += MS_NS;
	assert_int_equal(checkpoint_step(service), 1);
	service_close(service);
}

static int64_t frozen_ns(void *context)
{
	(void)context;
	return 5 * DAY_NS;
}

static int64_t wall_us;

static int64_t wall_by_hand(void *context)
{
	(void)context;
	return wall_us;
}

/* Waits, by the kernel's time, until the question is answered with yes. */
static bool becomes(bool (*question)(void *context), void *context)
{
	const struct timespec pause = {.tv_nsec = 2 * MS_NS};
	struct timespec begin, now;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		if (question(context))
			return true;
		nanosleep(&pause, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - begin.tv_sec < PATIENCE_S);
	return false;
}

static bool buffer_is_empty(void *context)
{
	struct store_service_state state = service_state(context);

	return state.buffer_count == 0 && state.queue_count == 0 && state.commands_done > 0;
}

static bool log_is_empty(void *context)
{
	const struct folder *folder = context;
	struct stat log;

	return stat(folder->wal, &log) == 0 && log.st_size == 0;
}

/* [D1] [B3] With a clock that stands still the threads still flush, and still checkpoint: what they
 * have waited counts as time. */
static void test_threads_with_frozen_clock(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct store_service_options options = {
	    .store = {.clock_us = clock_fixed},
	    .monotonic_ns = frozen_ns,
	    .buffer_after_ms = 30,
	    .interval_ms = 200,
	};
	struct store_service *service = service_open(folder->store, &options);
	struct task task;

	task_buffer(service, task_fill(&task, "a", 0, 10));
	assert_true(becomes(buffer_is_empty, service));
	assert_true(becomes(log_is_empty, *state));
	service_close(service);
	assert_task(&task, STORE_OK);
}

/* [B2] With a clock that stands still, who waits for a reader gives up after the time that he was
 * ready to wait. */
static void test_pool_with_frozen_clock(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct store_service_options options = {
	    .store = {.clock_us = clock_fixed},
	    .monotonic_ns = frozen_ns,
	    .reader_count = 1,
	    .reader_timeout_ms = 40,
	};
	struct store_service *service = service_open(folder->store, &options);
	struct store *reader = NULL, *second = NULL;
	struct timespec begin, end;
	struct store_error err = {0};

	assert_int_equal(store_service_reader_take(service, &reader, NULL), STORE_OK);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	alarm(PATIENCE_S); /* without an end there would be no failure either */
	assert_int_equal(store_service_reader_take(service, &second, &err),
			 STORE_ERR_POOL_EXHAUSTED);
	alarm(0);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_true((end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000 >=
		    39);
	store_service_reader_give(service, reader);
	service_close(service);
}

/* [P5] Events are in the order of their positions, whatever the times say that were written with
 * them, and however the time of day jumps between two openings of the store. */
static void test_order_is_not_time(void **state)
{
	static const int64_t days[] = {20000, 19999, 23650, 20000, 20000};
	const struct folder *folder = folder_of(state);
	const struct store_options options = {.clock_us = wall_by_hand};
	struct store_cursor *cursor = NULL;
	struct store *store = NULL;
	struct store_record read;
	int64_t position = 0;

	for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
		struct store_event events[3];
		char ids[3][16];

		wall_us = days[i] * 86400 * 1000000;
		assert_int_equal(store_open(folder->store, &options, &store, NULL), STORE_OK);
		for (int e = 0; e < 3; e++) {
			position++;
			snprintf(ids[e], sizeof(ids[e]), "e%d", (int)position);
			events[e] = (struct store_event){
			    .event_id = ids[e],
			    .server_id = "a",
			    .position = position,
			    .time_us = wall_us - e,
			    .kind = "message",
			    .payload = "x",
			    .payload_bytes = 1,
			};
		}
		assert_int_equal(store_events(store, events, 3, NULL), STORE_OK);
		store_close(store);
	}
	assert_int_equal(store_open(folder->store, &options, &store, NULL), STORE_OK);
	assert_int_equal(store_cursor_open_by_server(store, "a", 1, INT64_MAX, &cursor, NULL),
			 STORE_OK);
	for (int64_t i = 1; i <= position; i++) {
		bool more = false;

		assert_int_equal(store_cursor_next(cursor, &read, &more, NULL), STORE_OK);
		assert_true(more);
		assert_int_equal(read.event.position, i);
	}
	store_cursor_close(cursor);
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_flush_after_clock_went_back, folder_setup,
					    folder_teardown),
	    cmocka_unit_test_setup_teardown(test_checkpoint_after_clock_went_back, folder_setup,
					    folder_teardown),
	    cmocka_unit_test_setup_teardown(test_threads_with_frozen_clock, folder_setup,
					    folder_teardown),
	    cmocka_unit_test_setup_teardown(test_pool_with_frozen_clock, folder_setup,
					    folder_teardown),
	    cmocka_unit_test_setup_teardown(test_order_is_not_time, folder_setup, folder_teardown),
	};

	return cmocka_run_group_tests_name("store clock", tests, NULL, NULL);
}
