/*
 * service_test.h: what the service's tests share: commands that remember what became of them, and a
 * clock that only moves when it is told to.
 */
#ifndef STORE_TEST_SERVICE_TEST_H
#define STORE_TEST_SERVICE_TEST_H

#include "store/test/store_test.h"

/* A command that appends a batch, and its result. */
struct task {
	struct store_command command;
	const char *server_id;
	int64_t first;
	size_t count;
	/* The result; done_count says how often there was one. */
	unsigned done_count;
	enum store_code code;
	struct store_error err;
	/* Counts the results of all tasks that share it; the task keeps the number it got. */
	unsigned *counter;
	unsigned number;
};

static inline enum store_code task_work(struct store *store, void *context, struct store_error *err)
{
	const struct task *task = context;

	return append_range(store, task->server_id, task->first, task->count, err);
}

static inline void task_done(void *context, enum store_code code, const struct store_error *err)
{
	struct task *task = context;

	task->done_count++;
	task->code = code;
	if (err)
		task->err = *err;
	if (task->counter)
		task->number = (*task->counter)++;
}

/* The task appends count events of the server from position first on. */
static inline struct task *task_fill(struct task *task, const char *server_id, int64_t first,
				     size_t count)
{
	*task = (struct task){
	    .command = {task_work, task_done, task},
	    .server_id = server_id,
	    .first = first,
	    .count = count,
	};
	return task;
}

static inline void task_submit(struct store_service *service, struct task *task)
{
	struct store_error err = {0};

	if (store_service_submit(service, &task->command, &err) != STORE_OK)
		fail_msg("%s: %s", store_code_name(err.code), err.message);
}

/* Asserts that there was one result, and which. */
static inline void assert_task(const struct task *task, enum store_code code)
{
	assert_int_equal(task->done_count, 1);
	if (task->code != code)
		fail_msg("%s, not %s: %s", store_code_name(task->code), store_code_name(code),
			 task->err.message);
	if (code != STORE_OK) {
		assert_int_equal(task->err.code, code);
		assert_true(task->err.message[0] != '\0');
	}
}

/* Time for a manual service. */
struct test_time {
	int64_t now_ns;
	uint32_t sleeps_ms[64];
	size_t sleep_count;
	/* Called in each pause; may be NULL. */
	void (*on_sleep)(void *context);
	void *context;
};

static inline int64_t test_time_ns(void *context)
{
	const struct test_time *time = context;

	return time->now_ns;
}

static inline void test_time_sleep(void *context, uint32_t delay_ms)
{
	struct test_time *time = context;

	if (time->sleep_count < sizeof(time->sleeps_ms) / sizeof(time->sleeps_ms[0]))
		time->sleeps_ms[time->sleep_count] = delay_ms;
	time->sleep_count++;
	time->now_ns += (int64_t)delay_ms * 1000000;
	if (time->on_sleep)
		time->on_sleep(time->context);
}

static inline struct store_service *service_open(const char *path,
						 const struct store_service_options *options)
{
	struct store_service *service = NULL;
	struct store_error err = {0};

	if (store_service_open(path, options, &service, &err) != STORE_OK)
		fail_msg("%s: %s", store_code_name(err.code), err.message);
	assert_non_null(service);
	return service;
}

static inline struct store_service_options manual_options(struct test_time *time)
{
	struct store_service_options options = {.manual = true};

	options.store.clock_us = clock_fixed;
	options.store.busy_timeout_ms = -1;
	options.monotonic_ns = test_time_ns;
	options.sleep_ms = test_time_sleep;
	options.time_context = time;
	return options;
}

static inline void service_close(struct store_service *service)
{
	struct store_error err = {0};

	if (store_service_close(service, &err) != STORE_OK)
		fail_msg("%s: %s", store_code_name(err.code), err.message);
}

static inline size_t writer_step(struct store_service *service)
{
	size_t count = 0;

	store_service_writer_step(service, &count, NULL);
	return count;
}

static inline struct store_service_state service_state(struct store_service *service)
{
	struct store_service_state state;

	store_service_state(service, &state);
	return state;
}

/* The events of a server in the file, as another connection sees them. */
static inline int64_t events_in_file(const char *path, const char *server_id)
{
	char sql[128];
	sqlite3 *db = NULL;
	int64_t count;

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM events WHERE server_id = '%s'", server_id);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	count = query_int(db, sql);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return count;
}

#endif
