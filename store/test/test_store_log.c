/* test_store_log.c: logs of steps: order of calls, rows, reading, limits, threads [D3]. */
#include "store/test/log_test.h"

/* ---- order ---- */

/* For many logs together: every file is created, written, synced and closed before the first gets
 * its name, all have their names before the one sync of the folder, and no row is there before it;
 * the results come after the commit, which is one. [D3] */
static void test_order_of_calls(void **state)
{
	enum { COUNT = 50 };
	struct bench bench = bench_open(folder_of(state), STORE_PROFILE_ARCHIVAL, COUNT, true);
	struct result results[COUNT];
	struct store_service_state before, after;
	const struct disk_call *calls = bench.disk->calls;
	char texts[COUNT][32];
	size_t count = 0, at;

	bench.disk->watch = watch;
	bench.disk->watch_context = &bench;
	for (int i = 0; i < COUNT; i++) {
		snprintf(texts[i], sizeof(texts[i]), "log of step %d", i + 1);
		log_text(&bench, i + 1, texts[i], &results[i]);
	}
	at = bench.disk->call_count;
	assert_int_equal(store_service_log_step(bench.service, &count, NULL), STORE_OK);
	assert_int_equal(count, COUNT);
	assert_int_equal(bench.disk->call_count, at + 5 * COUNT + 1);
	for (size_t i = 0; i < COUNT; i++) {
		static const enum disk_op ops[] = {DISK_CREATE, DISK_WRITE, DISK_SYNC, DISK_CLOSE};
		char name[64], part[80];

		snprintf(name, sizeof(name), FOLDER "/step-%zu-%zu.log", i + 1, i + 1);
		snprintf(part, sizeof(part), "%s.part", name);
		for (size_t j = 0; j < 4; j++) {
			assert_int_equal(calls[at + 4 * i + j].op, ops[j]);
			assert_string_equal(calls[at + 4 * i + j].path, part);
		}
		assert_int_equal(calls[at + (size_t)4 * COUNT + i].op, DISK_RENAME);
		assert_string_equal(calls[at + (size_t)4 * COUNT + i].path, name);
	}
	assert_int_equal(calls[at + (size_t)5 * COUNT].op, DISK_SYNC_FOLDER);
	assert_string_equal(calls[at + (size_t)5 * COUNT].path, FOLDER);
	/* The last look was at the sync of the folder. */
	assert_int_equal(bench.row_count, 0);
	assert_int_equal(results[0].count, 0);

	store_service_state(bench.service, &before);
	assert_int_equal(store_service_writer_step(bench.service, NULL, NULL), STORE_OK);
	store_service_state(bench.service, &after);
	assert_int_equal(after.groups_committed, before.groups_committed + 1);
	assert_rows_whole(&bench);
	assert_int_equal(bench.row_count, COUNT);
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(results[i].count, 1);
		assert_int_equal(results[i].code, STORE_OK);
		assert_log(&bench, i + 1, texts[i]);
	}
	bench_close(&bench);
}

/* A log that replaces one gets a file of its own; the old file is whole until the new row is
 * committed, and is gone, with its place in step_logs_old, soon after. [D3] */
static void test_replaced(void **state)
{
	struct bench bench = bench_open(folder_of(state), STORE_PROFILE_ARCHIVAL, 1, true);
	struct result first, second, third;
	struct store_error err = {0};

	bench.disk->watch = watch;
	bench.disk->watch_context = &bench;
	log_text(&bench, 1, "first", &first);
	work_off(&bench);
	/* Two for one step in one group. */
	log_text(&bench, 1, "", &second);
	log_text(&bench, 1, "third", &third);
	store_service_log_step(bench.service, NULL, NULL);
	assert_log(&bench, 1, "first");
	store_service_writer_step(bench.service, NULL, NULL);
	assert_log(&bench, 1, "third");
	assert_int_equal(
	    query_int(store_handle(bench.outside), "SELECT count(*) FROM step_logs_old"), 2);
	assert_int_equal(disk_count(bench.disk), 3);
	work_off(&bench);
	assert_int_equal(first.count + second.count + third.count, 3);
	assert_int_equal(second.code, STORE_OK);
	assert_int_equal(
	    query_int(store_handle(bench.outside), "SELECT count(*) FROM step_logs_old"), 0);
	assert_int_equal(disk_count(bench.disk), 1);
	/* An empty log is a log. */
	log_text(&bench, 1, "", &second);
	work_off(&bench);
	assert_log(&bench, 1, "");

	/* What was replaced just before the end is removed by the next service. */
	assert_int_equal(disk_count(bench.disk), 1);
	log_text(&bench, 1, "fourth", &second);
	assert_code(store_service_close(bench.service, &err), STORE_OK, &err);
	assert_int_equal(second.count, 1);
	assert_int_equal(second.code, STORE_OK);
	assert_int_equal(disk_count(bench.disk), 2);
	bench_open_service(&bench, STORE_PROFILE_ARCHIVAL, true);
	log_text(&bench, 1, "fifth", &second);
	work_off(&bench);
	assert_log(&bench, 1, "fifth");
	assert_int_equal(disk_count(bench.disk), 1);
	assert_int_equal(
	    query_int(store_handle(bench.outside), "SELECT count(*) FROM step_logs_old"), 0);
	bench_close(&bench);
}

/* ---- rows ---- */

/* A step that is not there is the log's own result; its neighbours are stored, and its file is
 * removed again. */
static void test_no_such_step(void **state)
{
	struct bench bench = bench_open(folder_of(state), STORE_PROFILE_ARCHIVAL, 1, true);
	struct result good, bad, negative;

	log_text(&bench, 99, "bad", &bad);
	log_text(&bench, 1, "good", &good);
	log_text(&bench, INT64_MIN, "bad", &negative);
	work_off(&bench);
	assert_int_equal(bad.count, 1);
	assert_int_equal(bad.code, STORE_ERR_NOT_FOUND);
	assert_non_null(strstr(bad.message, "99"));
	assert_int_equal(negative.code, STORE_ERR_NOT_FOUND);
	assert_int_equal(good.code, STORE_OK);
	assert_log(&bench, 1, "good");
	assert_int_equal(disk_count(bench.disk), 1);
	bench_close(&bench);
}

/* A file that is not what its row says is never handed out. [D3] */
static void test_read_verifies(void **state)
{
	struct bench bench = bench_open(folder_of(state), STORE_PROFILE_ARCHIVAL, 1, true);
	const struct store_files *files = &bench.disk->files;
	struct result result;
	struct store_error err = {0};
	void *text = &result, *file;
	size_t bytes = 77;
	static const char *const wrong[] = {"tExt", "tex", "texts", ""};

	log_text(&bench, 1, "text", &result);
	work_off(&bench);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(files->create(files->context, FOLDER "/step-1-1.log", &file), 0);
		assert_int_equal(files->write(files->context, file, wrong[i], strlen(wrong[i])), 0);
		assert_int_equal(files->close(files->context, file), 0);
		assert_code(store_log_read(bench.outside, FOLDER, 1, NULL, &text, &bytes, &err),
			    STORE_ERR_VERIFY, &err);
		assert_non_null(strstr(err.message, "step-1-1.log"));
	}
	assert_int_equal(files->remove(files->context, FOLDER "/step-1-1.log"), 0);
	assert_code(store_log_read(bench.outside, FOLDER, 1, NULL, &text, &bytes, &err),
		    STORE_ERR_VERIFY, &err);
	disk_arm(bench.disk, 1, EIO, false);
	assert_code(store_log_read(bench.outside, FOLDER, 1, NULL, &text, &bytes, &err),
		    STORE_ERR_IO, &err);
	assert_ptr_equal(text, &result);
	assert_int_equal(bytes, 77);
	/* A row that would lead out of the folder is not followed. */
	exec(store_handle(bench.outside), "UPDATE step_logs SET file_name = '../x'");
	assert_code(store_log_read(bench.outside, FOLDER, 1, NULL, &text, &bytes, &err),
		    STORE_ERR_CORRUPT, &err);
	exec(store_handle(bench.outside), "DELETE FROM step_logs");
	bench_close(&bench);
}

struct replacing {
	struct bench *bench;
	bool done;
};

/* Replaces the log that is about to be read. */
static void replace_before_read(void *context, enum disk_op op)
{
	struct replacing *replacing = context;
	struct result result;

	if (op != DISK_READ || replacing->done)
		return;
	replacing->done = true;
	log_text(replacing->bench, 1, "new", &result);
	work_off(replacing->bench);
	assert_int_equal(result.code, STORE_OK);
}

/* A log that is replaced between its row and its file being read is read as the new one. [D3] */
static void test_replaced_while_read(void **state)
{
	struct bench bench = bench_open(folder_of(state), STORE_PROFILE_ARCHIVAL, 1, true);
	struct replacing replacing = {.bench = &bench};
	struct result result;

	log_text(&bench, 1, "old", &result);
	work_off(&bench);
	bench.disk->watch = replace_before_read;
	bench.disk->watch_context = &replacing;
	assert_log(&bench, 1, "new");
	assert_true(replacing.done);
	assert_int_equal(disk_count(bench.disk), 1);
	bench_close(&bench);
}

/* ---- numbers ---- */

/* Two services on one store and one folder never use one name, nor does one after a store that was
 * set back to an older copy. [D3] */
static void test_names_are_used_once(void **state)
{
	struct bench bench = bench_open(folder_of(state), STORE_PROFILE_ARCHIVAL, 2, true);
	struct bench other = bench;
	struct result mine, theirs;
	struct store_error err = {0};

	bench.disk->watch = watch;
	bench.disk->watch_context = &bench;
	bench_open_service(&other, STORE_PROFILE_ARCHIVAL, true);
	for (int i = 0; i < 5; i++) {
		log_text(&bench, 1, "mine", &mine);
		log_text(&other, 1, "theirs", &theirs);
		store_service_log_step(other.service, NULL, NULL);
		store_service_log_step(bench.service, NULL, NULL);
		work_off(&other);
		work_off(&bench);
		assert_int_equal(mine.code, STORE_OK);
		assert_int_equal(theirs.code, STORE_OK);
		assert_log(&bench, 1, "mine");
	}
	for (int i = 0; i < bench.disk->name_count; i++) {
		size_t renamed = 0;

		for (size_t j = 0; j < bench.disk->call_count; j++)
			renamed +=
			    bench.disk->calls[j].op == DISK_RENAME &&
			    strcmp(bench.disk->calls[j].path, bench.disk->names[i].path) == 0;
		assert_true(renamed <= 1);
	}
	assert_code(store_service_close(other.service, &err), STORE_OK, &err);
	bench_close(&bench);
}

/* Numbers that cannot be had are every waiting log's result, and no file is touched. */
static void test_no_numbers(void **state)
{
	struct bench bench = bench_open(folder_of(state), STORE_PROFILE_ARCHIVAL, 2, true);
	struct result results[2];
	size_t calls = bench.disk->call_count;

	exec(store_handle(bench.outside), "UPDATE log_numbers SET next = 9223372036854775807");
	log_text(&bench, 1, "a", &results[0]);
	log_text(&bench, 2, "b", &results[1]);
	work_off(&bench);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(results[i].count, 1);
		assert_int_equal(results[i].code, STORE_ERR_CORRUPT);
	}
	assert_int_equal(bench.disk->call_count, calls);
	exec(store_handle(bench.outside), "UPDATE log_numbers SET next = 7");
	log_text(&bench, 1, "a", &results[0]);
	work_off(&bench);
	assert_int_equal(results[0].code, STORE_OK);
	assert_log(&bench, 1, "a");
	bench_close(&bench);
}

/* ---- arguments ---- */

/* No log_folder, one that is missing, another schema, a NULL text, one that is too long, one that
 * is 1 GB, a closed service. */
static void test_arguments(void **state)
{
	const struct folder *folder = folder_of(state);
	struct bench bench = bench_open(folder, STORE_PROFILE_ARCHIVAL, 1, true);
	struct store_service_options options = {
	    .store = {.schema = STORE_SCHEMA_WORKFLOW, .files = &bench.disk->files},
	    .manual = true,
	};
	struct store_service *service = NULL;
	struct store_error err = {0};
	struct result result = {0};

	assert_code(store_service_log(NULL, 1, "x", 1, NULL, NULL, &err), STORE_ERR_INVALID, &err);
	assert_code(store_service_log(bench.service, 1, NULL, 1, NULL, NULL, &err),
		    STORE_ERR_INVALID, &err);
	assert_code(store_service_log(bench.service, 1, "x", STORE_LOG_BYTES_MAX + 1, take_result,
				      &result, &err),
		    STORE_ERR_INVALID, &err);
	assert_code(
	    store_service_log(bench.service, 1, "x", (size_t)1 << 30, take_result, &result, NULL),
	    STORE_ERR_INVALID, &err);
	assert_code(store_service_log(bench.service, 1, NULL, 0, NULL, NULL, &err), STORE_OK, &err);
	work_off(&bench);
	assert_log(&bench, 1, "");
	assert_int_equal(result.count, 0);

	assert_code(store_service_open(folder->store, &options, &service, &err), STORE_OK, &err);
	assert_code(store_service_log(service, 1, "x", 1, take_result, &result, &err),
		    STORE_ERR_INVALID, &err);
	assert_non_null(strstr(err.message, "log_folder"));
	assert_code(store_service_log_step(service, NULL, &err), STORE_OK, &err);
	assert_code(store_service_close(service, &err), STORE_OK, &err);
	service = NULL;
	options.log_folder = "";
	assert_int_equal(store_service_open(folder->store, &options, &service, &err),
			 STORE_ERR_INVALID);
	options.log_folder = "/nowhere/at/all";
	options.store.files = NULL;
	assert_int_equal(store_service_open(folder->store, &options, &service, &err),
			 STORE_ERR_CANNOT_OPEN);
	assert_non_null(strstr(err.message, "/nowhere/at/all"));
	assert_null(service);
	bench_close(&bench);
}

/* The queue of logs is bounded in number and bytes; a caller who chose so is told at once, another
 * has it worked off; close leaves no accepted log without a result. */
static void test_bounded(void **state)
{
	struct bench bench = bench_open(folder_of(state), STORE_PROFILE_ARCHIVAL, 1, true);
	struct store_service_options options = {
	    .store = {.schema = STORE_SCHEMA_WORKFLOW, .files = &bench.disk->files},
	    .log_folder = FOLDER,
	    .when_full = STORE_WHEN_FULL_FAIL,
	    .manual = true,
	};
	struct store_service *service = NULL;
	struct store_service_state what;
	struct store_error err = {0};
	struct result result = {0};
	char *large = calloc(1, STORE_LOG_BYTES_MAX);
	unsigned accepted = 0;

	assert_non_null(large);
	assert_code(store_service_open(bench.folder->store, &options, &service, &err), STORE_OK,
		    &err);
	for (; accepted < 2; accepted++)
		assert_code(store_service_log(service, 1, large, STORE_LOG_BYTES_MAX, take_result,
					      &result, &err),
			    STORE_OK, &err);
	assert_code(store_service_log(service, 1, "x", 1, take_result, &result, &err),
		    STORE_ERR_QUEUE_FULL, &err);
	for (; accepted < STORE_LOG_QUEUE_COUNT_MAX; accepted++)
		assert_code(store_service_log(service, 1, "", 0, take_result, &result, &err),
			    STORE_OK, &err);
	assert_code(store_service_log(service, 1, "", 0, take_result, &result, &err),
		    STORE_ERR_QUEUE_FULL, &err);
	store_service_state(service, &what);
	assert_int_equal(what.log_count, STORE_LOG_QUEUE_COUNT_MAX);
	assert_int_equal(result.count, 0);
	assert_code(store_service_close(service, &err), STORE_OK, &err);
	assert_int_equal(result.count, accepted);
	assert_int_equal(result.code, STORE_OK);

	/* This one blocks, which by hand is to work: */
	memset(&result, 0, sizeof(result));
	for (unsigned i = 0; i <= STORE_LOG_QUEUE_COUNT_MAX; i++)
		assert_code(store_service_log(bench.service, 1, "", 0, take_result, &result, &err),
			    STORE_OK, &err);
	store_service_state(bench.service, &what);
	assert_true(what.log_count <= STORE_LOG_QUEUE_COUNT_MAX);
	work_off(&bench);
	for (unsigned i = 0; i < 16; i++)
		work_off(&bench);
	assert_int_equal(result.count, STORE_LOG_QUEUE_COUNT_MAX + 1);
	free(large);
	bench_close(&bench);
}

/* ---- threads ---- */

#define PRODUCER_COUNT 4
#define LOG_COUNT      60

struct producer {
	struct bench *bench;
	int64_t step_id;
	struct result results[LOG_COUNT];
	pthread_t thread;
	size_t refused;
};

static void *produce(void *context)
{
	struct producer *producer = context;
	char text[64];

	for (int i = 0; i < LOG_COUNT; i++) {
		snprintf(text, sizeof(text), "log %d of step %" PRId64, i, producer->step_id);
		if (store_service_log(producer->bench->service, producer->step_id, text,
				      strlen(text), take_result, &producer->results[i],
				      NULL) != STORE_OK)
			producer->refused++;
	}
	return NULL;
}

/* With threads no call of the files is made by a thread that logs; each log gets one result, and
 * each step ends with its last log. [D3] */
static void test_off_the_callers_thread(void **state)
{
	struct bench bench =
	    bench_open(folder_of(state), STORE_PROFILE_ARCHIVAL, PRODUCER_COUNT, false);
	struct producer *producers = calloc(PRODUCER_COUNT, sizeof(*producers));
	const size_t opened = disk_calls(bench.disk);
	struct store_error err = {0};
	size_t calls;

	assert_non_null(producers);
	assert_int_equal(store_service_log_step(bench.service, NULL, &err), STORE_ERR_INVALID);
	for (int i = 0; i < PRODUCER_COUNT; i++) {
		producers[i].bench = &bench;
		producers[i].step_id = i + 1;
		assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]),
				 0);
	}
	for (int i = 0; i < PRODUCER_COUNT; i++)
		pthread_join(producers[i].thread, NULL);
	assert_code(store_service_close(bench.service, &err), STORE_OK, &err);
	calls = bench.disk->call_count;
	assert_true(calls > opened);
	for (int i = 0; i < PRODUCER_COUNT; i++) {
		char last[64];

		assert_int_equal(producers[i].refused, 0);
		for (int j = 0; j < LOG_COUNT; j++) {
			assert_int_equal(producers[i].results[j].count, 1);
			assert_int_equal(producers[i].results[j].code, STORE_OK);
		}
		for (size_t j = opened; j < calls; j++) {
			assert_false(pthread_equal(bench.disk->calls[j].thread, pthread_self()));
			assert_false(
			    pthread_equal(bench.disk->calls[j].thread, producers[i].thread));
		}
		snprintf(last, sizeof(last), "log %d of step %d", LOG_COUNT - 1, i + 1);
		assert_log(&bench, i + 1, last);
	}
	free(producers);
	bench_open_service(&bench, STORE_PROFILE_ARCHIVAL, true);
	bench_close(&bench);
}

/* ---- real files ---- */

/* The same with the files of the operating system, and a service that has threads. [D3] */
static void test_real_files(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct store_service_options options = {
	    .store = {.schema = STORE_SCHEMA_WORKFLOW, .clock_us = clock_fixed},
	    .log_folder = folder->path,
	};
	const struct store_options of_store = options.store;
	struct store_service *service = NULL;
	struct store_error err = {0};
	struct result results[3] = {0};
	struct store_step_log log;
	struct store *store = open_with(folder->store, &of_store);
	static const char text[] = "line\n\0\xff line";
	char path[256];
	size_t bytes = 0, count = 99;
	void *got = NULL;

	assert_code(add_steps(store, 2, &err), STORE_OK, &err);
	assert_code(store_service_open(folder->store, &options, &service, &err), STORE_OK, &err);
	assert_code(store_service_log(service, 1, "old", 3, take_result, &results[0], &err),
		    STORE_OK, &err);
	assert_code(
	    store_service_log(service, 1, text, sizeof(text), take_result, &results[1], &err),
	    STORE_OK, &err);
	assert_code(
	    store_service_log(service, 3, text, sizeof(text), take_result, &results[2], &err),
	    STORE_OK, &err);
	assert_code(store_service_close(service, &err), STORE_OK, &err);
	assert_int_equal(results[0].code, STORE_OK);
	assert_int_equal(results[1].code, STORE_OK);
	assert_int_equal(results[2].code, STORE_ERR_NOT_FOUND);
	assert_code(store_log_read(store, folder->path, 1, &log, &got, &bytes, &err), STORE_OK,
		    &err);
	assert_int_equal(bytes, sizeof(text));
	assert_memory_equal(got, text, sizeof(text));
	store_log_free(got);
	snprintf(path, sizeof(path), "%s/%s", folder->path, log.file_name);
	assert_true(file_exists(path));
	assert_code(store_logs_sweep(store, folder->path, &count, &err), STORE_OK, &err);
	assert_true(count <= 1);
	snprintf(path, sizeof(path), "%s/step-1-1.log", folder->path);
	assert_false(file_exists(path));
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_order_of_calls),
	    TEST(test_replaced),
	    TEST(test_no_such_step),
	    TEST(test_read_verifies),
	    TEST(test_replaced_while_read),
	    TEST(test_names_are_used_once),
	    TEST(test_no_numbers),
	    TEST(test_arguments),
	    TEST(test_bounded),
	    TEST(test_off_the_callers_thread),
	    TEST(test_real_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
