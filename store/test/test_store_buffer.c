/*
 * test_store_buffer.c: the buffer in front of the queue, which acknowledges nothing.
 */
#include "store/test/service_test.h"

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

enum { MANY = 120 };

/* [D1] The buffer goes to the queue at 50 commands by default, in order; before that nothing of it
 * is queued, done or stored. */
static void test_flushes_at_count(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	const struct store_service_options options = manual_options(&time);
	struct store_service *service = service_open(folder->store, &options);
	struct task tasks[MANY];
	unsigned counter = 0;

	for (int i = 0; i < MANY; i++) {
		task_fill(&tasks[i], "a", i, 1)->counter = &counter;
		task_buffer(service, &tasks[i]);
		assert_int_equal(service_state(service).buffer_count, (i + 1) % 50);
		assert_int_equal(service_state(service).queue_count, (i + 1) / 50 * 50);
	}
	assert_int_equal(writer_step(service), 100);
	assert_int_equal(writer_step(service), 0);
	for (unsigned i = 0; i < 100; i++) {
		assert_task(&tasks[i], STORE_OK);
		assert_int_equal(tasks[i].number, i);
	}
	assert_int_equal(tasks[100].done_count, 0);
	assert_int_equal(events_in_file(folder->store, "a"), 100);
	service_close(service);
	for (int i = 100; i < MANY; i++)
		assert_task(&tasks[i], STORE_OK);
	assert_int_equal(events_in_file(folder->store, "a"), MANY);
}

/* [D1] The buffer goes to the queue when its oldest command has waited a second by default. */
static void test_flushes_after_time(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {.now_ns = 5};
	const struct store_service_options options = manual_options(&time);
	struct store_service *service = service_open(folder->store, &options);
	struct task tasks[3];

	assert_int_equal(flush_step(service), 0);
	time.now_ns += INT64_C(3000000000);
	task_buffer(service, task_fill(&tasks[0], "a", 0, 1));
	assert_int_equal(flush_step(service), 0);
	time.now_ns += INT64_C(600000000);
	task_buffer(service, task_fill(&tasks[1], "a", 1, 1));
	time.now_ns += INT64_C(399999999);
	assert_int_equal(flush_step(service), 0);
	time.now_ns += 1;
	assert_int_equal(flush_step(service), 2);
	assert_int_equal(service_state(service).queue_count, 2);
	/* The next one has a second of its own. */
	task_buffer(service, task_fill(&tasks[2], "a", 2, 1));
	time.now_ns += INT64_C(999999999);
	assert_int_equal(flush_step(service), 0);
	service_close(service);
}

/* [D1] A flush moves the buffer at once, and what is submitted afterwards is behind it. */
static void test_flush(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	const struct store_service_options options = manual_options(&time);
	struct store_service *service = service_open(folder->store, &options);
	struct task tasks[4];
	unsigned counter = 0;

	for (int i = 0; i < 4; i++)
		task_fill(&tasks[i], "a", i, 1)->counter = &counter;
	task_buffer(service, &tasks[0]);
	task_buffer(service, &tasks[1]);
	assert_int_equal(store_service_flush(service, NULL), STORE_OK);
	assert_int_equal(service_state(service).buffer_count, 0);
	task_submit(service, &tasks[2]);
	assert_int_equal(store_service_flush(service, NULL), STORE_OK);
	task_submit(service, &tasks[3]);
	assert_int_equal(writer_step(service), 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_task(&tasks[i], STORE_OK);
		assert_int_equal(tasks[i].number, i);
	}
	service_close(service);
}

/* [D1] [C1] What is due and has no room in the queue keeps its place: nothing that comes later
 * overtakes it, and the writer makes room without being asked. */
static void test_due_keeps_its_place(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	struct store_service_options options = manual_options(&time);
	struct store_service *service;
	struct task tasks[8];
	unsigned counter = 0;

	options.queue_count_max = 3;
	options.buffer_count = 2;
	service = service_open(folder->store, &options);
	for (int i = 0; i < 8; i++)
		task_fill(&tasks[i], "a", i, 1)->counter = &counter;
	task_submit(service, &tasks[0]);
	task_submit(service, &tasks[1]);
	task_buffer(service, &tasks[2]);
	task_buffer(service, &tasks[3]);
	assert_int_equal(service_state(service).queue_count, 3);
	assert_int_equal(service_state(service).buffer_count, 1);
	task_submit(service, &tasks[4]);
	task_buffer(service, &tasks[5]);
	task_buffer(service, &tasks[6]);
	assert_int_equal(store_service_flush(service, NULL), STORE_OK);
	task_buffer(service, &tasks[7]);
	service_close(service);
	for (unsigned i = 0; i < 8; i++) {
		assert_task(&tasks[i], STORE_OK);
		assert_int_equal(tasks[i].number, i);
	}
}

/* [D1] [C1] With "fail at once" a full buffer before a full queue refuses, and keeps what it has.
 */
static void test_full(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	struct store_service_options options = manual_options(&time);
	struct store_service *service;
	struct store_error err = {0};
	struct task tasks[4];

	options.queue_count_max = 1;
	options.buffer_count = 2;
	options.when_full = STORE_WHEN_FULL_FAIL;
	service = service_open(folder->store, &options);
	for (int i = 0; i < 4; i++)
		task_fill(&tasks[i], "a", i, 1);
	for (int i = 0; i < 3; i++)
		task_buffer(service, &tasks[i]);
	assert_int_equal(store_service_buffer(service, &tasks[3].command, &err),
			 STORE_ERR_QUEUE_FULL);
	assert_true(err.message[0] != '\0');
	service_close(service);
	for (int i = 0; i < 3; i++)
		assert_task(&tasks[i], STORE_OK);
	assert_int_equal(tasks[3].done_count, 0);
}

/* [D1] With threads, a command alone in the buffer is done after its time, without a call. */
static void test_flusher_thread(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct store_service_options options = {.buffer_after_ms = 20};
	struct store_service *service = service_open(folder->store, &options);
	struct task tasks[2];

	for (int i = 0; i < 2; i++) {
		task_buffer(service, task_fill(&tasks[i], "a", i, 1));
		for (int wait = 0; wait < 1000; wait++) {
			if (service_state(service).commands_done == (uint64_t)i + 1)
				break;
			usleep(5000);
		}
		assert_int_equal(service_state(service).commands_done, i + 1);
	}
	service_close(service);
	assert_task(&tasks[0], STORE_OK);
	assert_task(&tasks[1], STORE_OK);
}

/* [D1] Killed before the result, a buffered command is lost: the buffer is no promise. */
static void test_kill_loses_the_buffer(void **state)
{
	const struct folder *folder = folder_of(state);
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		struct test_time time = {0};
		const struct store_service_options options = manual_options(&time);
		struct store_service *service = service_open(folder->store, &options);
		struct task tasks[2];

		task_submit(service, task_fill(&tasks[0], "a", 0, 1));
		writer_step(service);
		task_buffer(service, task_fill(&tasks[1], "a", 1, 1));
		_exit(tasks[0].done_count == 1 && tasks[1].done_count == 0 ? 0 : 1);
	}
	assert_int_equal(child_wait(child), 0);
	assert_int_equal(events_in_file(folder->store, "a"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_flushes_at_count),
	    TEST(test_flushes_after_time),
	    TEST(test_flush),
	    TEST(test_due_keeps_its_place),
	    TEST(test_full),
	    TEST(test_flusher_thread),
	    TEST(test_kill_loses_the_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
