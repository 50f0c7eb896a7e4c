/*
 * log_test.h: a service whose logs go to a disk in memory, for the tests of logs.
 *
 * The disk knows what a crash would leave. Before each of its calls, and after each step of the
 * service, every row of step_logs is held against that: this is what "after a crash at any moment"
 * means in these tests. Everything is static inline, because each test is a program by itself.
 */
#ifndef STORE_TEST_LOG_TEST_H
#define STORE_TEST_LOG_TEST_H

#include "store/test/memory_disk.h"
#include "store/test/store_test.h"

#define FOLDER "logs"

static inline void assert_code(enum store_code got, enum store_code wanted,
			       const struct store_error *err)
{
	if (got != wanted)
		fail_msg("%s, not %s: %s", store_code_name(got), store_code_name(wanted),
			 err->message);
}

/* A service over a disk in memory, and a connection that looks from outside. */
struct bench {
	const struct folder *folder;
	struct disk *disk;
	struct store_service *service;
	struct store *outside;
	sqlite3_stmt *rows;
	int64_t row_count;
};

/* Every log that a row names, now or after power loss, is there and whole. Nothing is asked while
 * nobody looks. */
static inline void assert_rows_whole(struct bench *bench)
{
	if (!bench->rows)
		return;
	bench->row_count = 0;
	while (sqlite3_step(bench->rows) == SQLITE_ROW) {
		char path[256];

		snprintf(path, sizeof(path), FOLDER "/%s", sqlite3_column_text(bench->rows, 1));
		if (!disk_holds(bench->disk, path, (size_t)sqlite3_column_int64(bench->rows, 2),
				(uint64_t)sqlite3_column_int64(bench->rows, 3)))
			fail_msg("a crash now leaves step %d without its log %s",
				 sqlite3_column_int(bench->rows, 0), path);
		bench->row_count++;
	}
	sqlite3_reset(bench->rows);
}

static inline void watch(void *context, enum disk_op op)
{
	(void)op;
	assert_rows_whole(context);
}

static inline void bench_open_service(struct bench *bench, enum store_profile profile, bool manual)
{
	const struct store_service_options options = {
	    .store = {.schema = STORE_SCHEMA_WORKFLOW,
		      .profile = profile,
		      .clock_us = clock_fixed,
		      .files = &bench->disk->files},
	    .log_folder = FOLDER,
	    .retry = {.count_max = 1, .delay_first_ms = 1, .delay_max_ms = 1},
	    .manual = manual,
	};
	struct store_error err = {0};

	assert_code(store_service_open(bench->folder->store, &options, &bench->service, &err),
		    STORE_OK, &err);
}

static inline enum store_code add_steps(struct store *store, size_t count, struct store_error *err)
{
	const struct store_execution execution = {.execution_id = "e",
						  .name = "e",
						  .command = "",
						  .working_directory = "",
						  .current_step_index = -1};
	struct store_step *steps = calloc(count, sizeof(*steps));
	enum store_code code;

	if (!steps)
		abort();
	for (size_t i = 0; i < count; i++)
		steps[i] =
		    (struct store_step){.execution_id = "e", .step_index = (int64_t)i, .name = "s"};
	code = store_executions(store, &execution, 1, err);
	if (code == STORE_OK)
		code = store_steps(store, steps, count, NULL, err);
	free(steps);
	return code;
}

/* Opens the connection that looks from outside, and closes it. */
static inline void bench_look(struct bench *bench, enum store_profile profile)
{
	const struct store_options options = {
	    .schema = STORE_SCHEMA_WORKFLOW, .profile = profile, .files = &bench->disk->files};

	bench->outside = open_with(bench->folder->store, &options);
	assert_int_equal(
	    sqlite3_prepare_v2(store_handle(bench->outside),
			       "SELECT step_id, file_name, bytes, checksum FROM step_logs", -1,
			       &bench->rows, NULL),
	    SQLITE_OK);
}

static inline void bench_look_away(struct bench *bench)
{
	sqlite3_finalize(bench->rows);
	store_close(bench->outside);
	bench->rows = NULL;
	bench->outside = NULL;
}

/* With steps 1 to step_count. */
static inline struct bench bench_open(const struct folder *folder, enum store_profile profile,
				      size_t step_count, bool manual)
{
	struct bench bench = {.folder = folder, .disk = disk_new()};
	struct store_error err = {0};

	bench_look(&bench, profile);
	assert_code(add_steps(bench.outside, step_count, &err), STORE_OK, &err);
	bench_open_service(&bench, profile, manual);
	return bench;
}

static inline void bench_close(struct bench *bench)
{
	struct store_error err = {0};

	bench->disk->watch = NULL;
	assert_code(store_service_close(bench->service, &err), STORE_OK, &err);
	assert_rows_whole(bench);
	bench_look_away(bench);
	disk_free(bench->disk);
}

/* What was delivered for a log. */
struct result {
	unsigned count;
	enum store_code code;
	bool indeterminate;
	char message[STORE_MESSAGE_BYTES];
};

static inline void take_result(void *context, enum store_code code, const struct store_error *err)
{
	struct result *result = context;

	result->count++;
	result->code = code;
	if ((code == STORE_OK) != (err == NULL))
		abort();
	if (err) {
		if (err->code != code)
			abort();
		result->indeterminate = err->indeterminate;
		memcpy(result->message, err->message, sizeof(result->message));
	}
}

static inline void log_text(struct bench *bench, int64_t step_id, const char *text,
			    struct result *result)
{
	struct store_error err = {0};

	memset(result, 0, sizeof(*result));
	assert_code(store_service_log(bench->service, step_id, text, strlen(text), take_result,
				      result, &err),
		    STORE_OK, &err);
	assert_int_equal(result->count, 0);
}

/* Everything that can be done by hand now. */
static inline void work_off(struct bench *bench)
{
	for (unsigned i = 0; i < 6; i++) {
		store_service_log_step(bench->service, NULL, NULL);
		assert_rows_whole(bench);
		store_service_writer_step(bench->service, NULL, NULL);
		assert_rows_whole(bench);
	}
}

static inline void assert_log(struct bench *bench, int64_t step_id, const char *expected)
{
	struct store_step_log log;
	struct store_error err = {0};
	size_t bytes = 0;
	void *text = NULL;

	assert_code(store_log_read(bench->outside, FOLDER, step_id, &log, &text, &bytes, &err),
		    STORE_OK, &err);
	assert_int_equal(bytes, strlen(expected));
	assert_memory_equal(text, expected, bytes);
	assert_int_equal(log.step_id, step_id);
	assert_int_equal(log.bytes, bytes);
	assert_true(log.checksum == disk_checksum(expected, bytes));
	assert_int_equal(log.written_us, clock_fixed(NULL));
	store_log_free(text);
}

static inline void assert_no_log(struct bench *bench, int64_t step_id)
{
	struct store_step_log log;
	struct store_error err = {0};

	assert_code(store_step_log_find(bench->outside, step_id, &log, &err), STORE_ERR_NOT_FOUND,
		    &err);
}

#endif
