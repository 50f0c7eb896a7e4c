/*
 * test_store_strategy.c: automatic checkpoints [B3]: what each built-in strategy decides in which
 * state, who wins among several, and what the checkpointer makes of it: on a manual service with a
 * clock of the test's, then with its thread.
 */
#include "store/test/counting_vfs.h"
#include "store/test/store_test.h"
#include "store/upkeep_internal.h"

#define KIB UINT64_C(1024)

/* Nothing that is decided; a number no mode has. */
#define NOTHING ((enum store_checkpoint_mode)9)

/* A state in short: thresholds are 100 KiB and 1000 ms. */
struct row {
	uint64_t used_kib;
	uint64_t waiting_kib;
	uint64_t since_checkpoint_ms;
	uint64_t since_commit_ms;
	uint64_t commits;
	uint32_t queue_count;
	uint32_t readers_taken;
	enum store_checkpoint_mode append_log;
	enum store_checkpoint_mode high_concurrency;
	enum store_checkpoint_mode low_latency;
};

#define PASSIVE	 STORE_CHECKPOINT_PASSIVE
#define RESTART	 STORE_CHECKPOINT_RESTART
#define TRUNCATE STORE_CHECKPOINT_TRUNCATE

static const struct row rows[] = {
    /* used waiting since-checkpoint since-commit commits queue readers */
    /* Nothing in the log. */
    {0, 0, 5000, 5000, 0, 0, 0, NOTHING, NOTHING, NOTHING},
    /* Little and young; a commit a moment ago. */
    {24, 24, 10, 1, 3, 0, 0, NOTHING, NOTHING, NOTHING},
    {24, 24, 999, 1, 3, 5, 2, NOTHING, NOTHING, NOTHING},
    /* A quarter of the threshold: low_latency alone, while nobody waits. */
    {25, 25, 10, 1, 3, 0, 0, NOTHING, NOTHING, PASSIVE},
    {25, 25, 10, 1, 3, 1, 0, NOTHING, NOTHING, NOTHING},
    {99, 99, 10, 1, 3, 0, 2, NOTHING, NOTHING, PASSIVE},
    /* The threshold, whether readers are there or not. */
    {100, 100, 10, 1, 3, 0, 0, PASSIVE, PASSIVE, PASSIVE},
    {100, 100, 10, 1, 3, 9, 7, PASSIVE, PASSIVE, NOTHING},
    /* The same log after it was moved: nothing is left to do. */
    {100, 0, 10, 1, 0, 0, 0, NOTHING, NOTHING, NOTHING},
    /* The interval. */
    {1, 1, 1000, 1, 1, 0, 0, PASSIVE, PASSIVE, PASSIVE},
    {1, 1, 1000, 1, 1, 4, 1, PASSIVE, PASSIVE, NOTHING},
    {1, 0, 1000, 1, 0, 0, 0, NOTHING, NOTHING, NOTHING},
    /* Quiet: a quarter of the interval without a commit, and nobody there. */
    {1, 1, 10, 249, 1, 0, 0, NOTHING, NOTHING, NOTHING},
    {1, 1, 10, 250, 1, 0, 0, TRUNCATE, NOTHING, TRUNCATE},
    {1, 0, 10, 250, 0, 0, 0, TRUNCATE, NOTHING, TRUNCATE},
    {1, 1, 10, 250, 1, 1, 0, NOTHING, NOTHING, NOTHING},
    {1, 1, 10, 250, 1, 0, 1, NOTHING, NOTHING, NOTHING},
    /* Readers have kept it from being moved, or from being begun anew. */
    {399, 399, 10, 1, 9, 0, 3, PASSIVE, PASSIVE, PASSIVE},
    {400, 400, 10, 1, 9, 0, 3, TRUNCATE, RESTART, PASSIVE},
    {400, 400, 10, 1, 9, 6, 3, TRUNCATE, RESTART, PASSIVE},
    {400, 0, 10, 1, 9, 6, 3, TRUNCATE, RESTART, NOTHING},
    /* A RESTART has succeeded, and nobody has committed since. */
    {400, 0, 10, 1, 0, 0, 3, TRUNCATE, NOTHING, NOTHING},
};

static struct store_wal_state state_of(const struct row *row)
{
	return (struct store_wal_state){
	    .wal_bytes = row->used_kib * KIB,
	    .wal_bytes_used = row->used_kib * KIB,
	    .wal_bytes_waiting = row->waiting_kib * KIB,
	    .page_size_bytes = 4096,
	    .since_checkpoint_ms = row->since_checkpoint_ms,
	    .since_commit_ms = row->since_commit_ms,
	    .commits_since_checkpoint = row->commits,
	    .queue_count = row->queue_count,
	    .readers_taken = row->readers_taken,
	    .wal_bytes_max = 100 * KIB,
	    .interval_ms = 1000,
	};
}

static enum store_checkpoint_mode decision(const struct store_strategy *strategies, size_t count,
					   const struct store_wal_state *state)
{
	enum store_checkpoint_mode mode = NOTHING;
	bool checkpoint = false;

	if (!store_strategy_choose(strategies, count, state, &checkpoint, &mode))
		assert_false(checkpoint);
	return checkpoint ? mode : NOTHING;
}

/* [B3] Each built-in strategy decides as its table says. */
static void test_tables(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct store_wal_state now = state_of(&rows[i]);
		const struct {
			const struct store_strategy *strategy;
			enum store_checkpoint_mode expected;
		} each[] = {
		    {store_strategy_append_log(), rows[i].append_log},
		    {store_strategy_high_concurrency(), rows[i].high_concurrency},
		    {store_strategy_low_latency(), rows[i].low_latency},
		};

		for (size_t j = 0; j < 3; j++) {
			enum store_checkpoint_mode got = decision(each[j].strategy, 1, &now);

			if (got != each[j].expected)
				fail_msg("row %zu, %s: %d, not %d", i, each[j].strategy->name,
					 (int)got, (int)each[j].expected);
		}
	}
	assert_string_equal(store_strategy_append_log()->name, "append_log");
	assert_string_equal(store_strategy_high_concurrency()->name, "high_concurrency");
	assert_string_equal(store_strategy_low_latency()->name, "low_latency");
	assert_int_equal(store_strategy_append_log()->priority, 0);
}

/* [B3] Thresholds that mean "never" are never reached by a sum that overflows. */
static void test_no_overflow(void **state)
{
	struct store_wal_state now = state_of(&rows[19]);

	(void)state;
	now.wal_bytes_max = INT64_MAX;
	now.interval_ms = UINT64_MAX;
	assert_int_equal(decision(store_strategy_append_log(), 1, &now), NOTHING);
	assert_int_equal(decision(store_strategy_high_concurrency(), 1, &now), NOTHING);
}

/* ---- a strategy of the caller's ---- */

struct opinion {
	bool answers;
	bool checkpoint;
	enum store_checkpoint_mode mode;
	size_t asked;
	struct store_wal_state seen;
};

static bool opinion_decide(void *context, const struct store_wal_state *state, bool *ret_checkpoint,
			   enum store_checkpoint_mode *ret_mode)
{
	struct opinion *opinion = context;

	opinion->asked++;
	opinion->seen = *state;
	*ret_checkpoint = opinion->checkpoint;
	*ret_mode = opinion->mode;
	return opinion->answers;
}

/* [B3] All are asked; of those that answer the highest priority wins, wherever it stands in the
 * list; of equal ones the first; an answer may silence those below. */
static void test_priorities(void **state)
{
	struct opinion full = {true, true, STORE_CHECKPOINT_FULL, 0, {0}};
	struct opinion restart = {true, true, RESTART, 0, {0}};
	struct opinion silence = {true, false, RESTART, 0, {0}};
	struct opinion nothing = {false, true, TRUNCATE, 0, {0}};
	const struct store_wal_state now = state_of(&rows[6]);
	struct store_strategy list[4] = {
	    {"nothing", 9, opinion_decide, &nothing},
	    {"low", -5, opinion_decide, &full},
	    *store_strategy_append_log(),
	    {"same", 0, opinion_decide, &restart},
	};

	(void)state;
	assert_int_equal(decision(list, 4, &now), PASSIVE);
	list[1].priority = 1;
	assert_int_equal(decision(list, 4, &now), STORE_CHECKPOINT_FULL);
	list[3].priority = 2;
	assert_int_equal(decision(list, 4, &now), RESTART);
	list[3].context = &silence;
	assert_int_equal(decision(list, 4, &now), NOTHING);
	assert_int_equal(nothing.asked, 4);
	assert_int_equal(full.asked, 4);
	assert_int_equal(decision(list, 1, &now), NOTHING);
	assert_int_equal(decision(NULL, 0, &now), NOTHING);
}

/* ---- a manual service ---- */

static int64_t fake_ns;

static int64_t fake_now(void *context)
{
	(void)context;
	return fake_ns;
}

static void fake_sleep(void *context, uint32_t delay_ms)
{
	(void)context;
	fake_ns += (int64_t)delay_ms * 1000000;
}

static struct store_service_options manual_options(void)
{
	static const struct store_pragma pragmas[] = {{"page_size", "512"}};

	fake_ns = INT64_C(5000000000);
	return (struct store_service_options){
	    .store = {.pragmas = pragmas, .pragma_count = 1, .clock_us = clock_fixed},
	    .manual = true,
	    .monotonic_ns = fake_now,
	    .sleep_ms = fake_sleep,
	    .wal_bytes_max = 20 * KIB,
	    .interval_ms = 10000,
	};
}

static struct store_service *service_ok(const struct folder *folder,
					const struct store_service_options *options)
{
	struct store_service *service = NULL;
	struct store_error err = {0};

	if (store_service_open(folder->store, options, &service, &err) != STORE_OK)
		fail_msg("%s: %s", store_code_name(err.code), err.message);
	return service;
}

static enum store_code work_append(struct store *store, void *context, struct store_error *err)
{
	int64_t *position = context;

	return append_range(store, "a", *position, 10, err);
}

static void append_by(struct store_service *service, int64_t position)
{
	struct store_error err = {0};

	if (store_service_call(service, work_append, &position, &err) != STORE_OK)
		fail_msg("%s: %s", store_code_name(err.code), err.message);
}

/* Checkpoints made by one step. */
static size_t step(struct store_service *service)
{
	struct store_error err = {0};
	size_t count = 99;

	if (store_service_checkpoint_step(service, &count, &err) != STORE_OK)
		fail_msg("%s: %s", store_code_name(err.code), err.message);
	return count;
}

static off_t file_size(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : -1;
}

/* [B3] The log is checkpointed when it reaches the threshold, not before, and not again before it
 * has reached it once more; its file does not grow without end. */
static void test_size(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct store_service_options options = manual_options();
	struct store_service *service = service_ok(folder, &options);
	struct store_service_state now;
	int64_t position = 0;
	size_t checkpoints = 0;

	step(service);
	for (int i = 0; i < 60; i++) {
		const off_t before = file_size(folder->wal);
		size_t made;

		append_by(service, position += 10);
		made = step(service);
		if (made > 0 && checkpoints == 0)
			assert_true(file_size(folder->wal) >= (off_t)(20 * KIB));
		if (made == 0 && checkpoints == 0)
			assert_true(before < (off_t)(20 * KIB));
		checkpoints += made;
		assert_int_equal(step(service), 0);
	}
	assert_true(checkpoints >= 3);
	assert_true(checkpoints <= 30);
	assert_true(file_size(folder->wal) < (off_t)(40 * KIB));
	store_service_state(service, &now);
	assert_int_equal(now.checkpoints, checkpoints);
	assert_int_equal(now.checkpoints_busy, 0);
	assert_int_equal(store_service_close(service, NULL), STORE_OK);
}

/* [B3] A small log is checkpointed after the interval, by the monotonic clock; when it has been
 * quiet, it is cut to nothing, and then there is nothing more to do. */
static void test_time(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_service_options options = manual_options();
	struct store_service *service;

	options.strategies = store_strategy_high_concurrency();
	options.strategy_count = 1;
	service = service_ok(folder, &options);
	append_by(service, 10);
	assert_int_equal(step(service), 0);
	fake_ns += INT64_C(9999) * 1000000;
	assert_int_equal(step(service), 0);
	fake_ns += 1000000;
	assert_int_equal(step(service), 1);
	fake_ns += INT64_C(20000) * 1000000;
	assert_int_equal(step(service), 0);
	append_by(service, 20);
	assert_int_equal(step(service), 1);
	assert_true(file_size(folder->wal) > 0);
	assert_int_equal(store_service_close(service, NULL), STORE_OK);

	options.strategies = NULL;
	options.strategy_count = 0;
	service = service_ok(folder, &options);
	append_by(service, 30);
	fake_ns += INT64_C(2499) * 1000000;
	assert_int_equal(step(service), 0);
	fake_ns += 1000000;
	assert_int_equal(step(service), 1);
	assert_int_equal(file_size(folder->wal), 0);
	fake_ns += INT64_C(60000) * 1000000;
	assert_int_equal(step(service), 0);
	assert_int_equal(store_service_close(service, NULL), STORE_OK);
}

/* [B3] A reader in the way: the checkpoint is counted as busy, and is tried again after a pause,
 * not at once; when the reader has gone, all is moved. */
static void test_no_spinning(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct store_service_options options = manual_options();
	struct store_service *service = service_ok(folder, &options);
	struct store_service_state now;
	sqlite3 *reader = NULL;

	append_by(service, 10);
	assert_int_equal(sqlite3_open(folder->store, &reader), SQLITE_OK);
	exec(reader, "BEGIN; SELECT count(*) FROM events");
	for (int i = 2; i < 12; i++)
		append_by(service, i * 10);
	assert_int_equal(step(service), 1);
	for (int i = 0; i < 50; i++)
		assert_int_equal(step(service), 0);
	fake_ns += INT64_C(624) * 1000000;
	assert_int_equal(step(service), 0);
	fake_ns += 1000000;
	assert_int_equal(step(service), 1);
	store_service_state(service, &now);
	assert_int_equal(now.checkpoints, 2);
	assert_int_equal(now.checkpoints_busy, 2);
	exec(reader, "COMMIT");
	assert_int_equal(sqlite3_close(reader), SQLITE_OK);
	fake_ns += INT64_C(625) * 1000000;
	assert_int_equal(step(service), 1);
	store_service_state(service, &now);
	assert_int_equal(now.checkpoints_busy, 2);
	assert_int_equal(store_service_close(service, NULL), STORE_OK);
}

/* [B3] A strategy of the caller's sees the true state, wins by its priority, and silences. */
static void test_callers_strategy(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_service_options options = manual_options();
	struct opinion opinion = {true, false, PASSIVE, 0, {0}};
	const struct store_strategy list[2] = {*store_strategy_append_log(),
					       {"mine", 3, opinion_decide, &opinion}};
	struct store_service *service;
	struct store *reader = NULL;

	options.strategies = list;
	options.strategy_count = 2;
	service = service_ok(folder, &options);
	for (int i = 0; i < 20; i++)
		append_by(service, i * 10);
	fake_ns += INT64_C(7) * 1000000;
	assert_int_equal(store_service_reader_take(service, &reader, NULL), STORE_OK);
	assert_int_equal(step(service), 0);
	assert_int_equal(opinion.asked, 1);
	assert_int_equal(opinion.seen.wal_bytes, file_size(folder->wal));
	assert_true(opinion.seen.wal_bytes_waiting > 20 * KIB);
	assert_int_equal(opinion.seen.page_size_bytes, 512);
	assert_int_equal(opinion.seen.commits_since_checkpoint, 20);
	assert_int_equal(opinion.seen.since_commit_ms, 7);
	assert_int_equal(opinion.seen.since_checkpoint_ms, 7);
	assert_int_equal(opinion.seen.readers_taken, 1);
	assert_int_equal(opinion.seen.queue_count, 0);
	assert_int_equal(opinion.seen.wal_bytes_max, 20 * KIB);
	assert_int_equal(opinion.seen.interval_ms, 10000);
	assert_false(opinion.seen.last_was_incomplete);
	store_service_reader_give(service, reader);

	opinion.checkpoint = true;
	opinion.mode = TRUNCATE;
	fake_ns += INT64_C(3) * 1000000;
	assert_int_equal(step(service), 1);
	assert_int_equal(file_size(folder->wal), 0);
	append_by(service, 1000);
	fake_ns += INT64_C(5) * 1000000;
	opinion.answers = false;
	assert_int_equal(step(service), 0);
	assert_int_equal(opinion.seen.since_checkpoint_ms, 5);
	assert_int_equal(opinion.seen.commits_since_checkpoint, 1);
	assert_int_equal(store_service_close(service, NULL), STORE_OK);
}

/* [B3] A PASSIVE checkpoint for which no bytes wait is not done, whoever asks for it, nor counted;
 * TRUNCATE still has something to do then. */
static void test_nothing_waits(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_service_options options = manual_options();
	struct opinion opinion = {true, true, PASSIVE, 0, {0}};
	const struct store_strategy mine = {"mine", 0, opinion_decide, &opinion};
	struct store_service *service;
	struct store_service_state now;

	options.strategies = &mine;
	options.strategy_count = 1;
	service = service_ok(folder, &options);
	append_by(service, 10);
	assert_int_equal(step(service), 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(step(service), 0);
	assert_int_equal(opinion.asked, 4);
	assert_true(opinion.seen.wal_bytes_used > 0);
	assert_int_equal(opinion.seen.wal_bytes_waiting, 0);
	store_service_state(service, &now);
	assert_int_equal(now.checkpoints, 1);
	append_by(service, 20);
	assert_int_equal(step(service), 1);
	opinion.mode = TRUNCATE;
	assert_int_equal(step(service), 1);
	assert_int_equal(file_size(folder->wal), 0);
	assert_int_equal(store_service_close(service, NULL), STORE_OK);
}

/* [B3] An I/O error of a checkpoint has the writer open the store again before anything more is
 * acknowledged; then checkpoints go on, on a connection that is new, too. */
static void test_io_error(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_service_options options = manual_options();
	struct store_service *service;
	struct store_service_state now;
	struct store_error err = {0};
	size_t count = 99;
	long n = 1;

	options.wal_bytes_max = 4 * KIB;
	counting_vfs_install();
	for (;; n++) {
		enum store_code code;

		folder_empty(folder);
		service = service_ok(folder, &options);
		step(service);
		for (int i = 0; i < 3; i++)
			append_by(service, i * 10);
		counting_vfs_reset();
		counting_vfs.fault_at = n;
		code = store_service_checkpoint_step(service, &count, &err);
		counting_vfs.fault_at = 0;
		if (counting_vfs.fault_count == 0) {
			assert_int_equal(code, STORE_OK);
			assert_int_equal(count, 1);
			break;
		}
		assert_int_equal(code, STORE_ERR_IO);
		assert_int_equal(count, 0);
		/* Not before the writer has opened the store again. */
		fake_ns += INT64_C(700) * 1000000;
		assert_int_equal(step(service), 0);
		store_service_state(service, &now);
		assert_int_equal(now.reopened, 0);
		append_by(service, 1000);
		store_service_state(service, &now);
		assert_int_equal(now.reopened, 1);
		assert_int_equal(step(service), 1);
		assert_int_equal(store_service_close(service, NULL), STORE_OK);
	}
	assert_true(n > 5);
	assert_int_equal(store_service_close(service, NULL), STORE_OK);
	counting_vfs_remove();
}

/* [B3] With threads nobody steps: the log of a busy service stays near its threshold, and that of a
 * quiet one is cut to nothing. */
static void test_thread(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_service_options options = manual_options();
	struct store_service *service;
	struct store_service_state now;

	options.manual = false;
	options.monotonic_ns = NULL;
	options.sleep_ms = NULL;
	options.interval_ms = 400;
	service = service_ok(folder, &options);
	for (int i = 0; i < 100; i++)
		append_by(service, i * 10);
	/* The count follows the checkpoint. */
	for (int i = 0; i < 1000; i++) {
		store_service_state(service, &now);
		if (now.checkpoints > 0 && file_size(folder->wal) == 0)
			break;
		usleep(10000);
	}
	assert_int_equal(file_size(folder->wal), 0);
	assert_true(now.checkpoints > 0);
	assert_int_equal(store_service_close(service, NULL), STORE_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_tables),
	    cmocka_unit_test(test_no_overflow),
	    cmocka_unit_test(test_priorities),
	    TEST(test_size),
	    TEST(test_time),
	    TEST(test_no_spinning),
	    TEST(test_callers_strategy),
	    TEST(test_nothing_waits),
	    TEST(test_io_error),
	    TEST(test_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
