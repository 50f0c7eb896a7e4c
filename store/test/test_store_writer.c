/*
 * test_store_writer.c: the queue with its one writer. What needs no threads is tested without them:
 * the steps are the same, and every run is too.
 */
#include <pthread.h>
#include <semaphore.h>

#include "store/test/counting_vfs.h"
#include "store/test/service_test.h"

/* ---- order, groups, results ---- */

enum { GROUP = 20 };

/* [C1] Commands run, and their results come, in the order in which they were accepted; a second run
 * does the same. */
static void test_order(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	struct store_service_options options = manual_options(&time);

	for (int run = 0; run < 2; run++) {
		struct store_service *service;
		struct task tasks[GROUP];
		unsigned counter = 0;

		folder_empty(folder);
		options.group_count_max = 7;
		service = service_open(folder->store, &options);
		for (int i = 0; i < GROUP; i++) {
			task_fill(&tasks[i], "a", i, 1)->counter = &counter;
			task_submit(service, &tasks[i]);
		}
		assert_int_equal(service_state(service).queue_count, GROUP);
		assert_int_equal(writer_step(service), 7);
		assert_int_equal(writer_step(service), 7);
		assert_int_equal(writer_step(service), 6);
		assert_int_equal(writer_step(service), 0);
		for (unsigned i = 0; i < GROUP; i++) {
			assert_task(&tasks[i], STORE_OK);
			assert_int_equal(tasks[i].number, i);
		}
		assert_int_equal(service_state(service).groups_committed, 3);
		assert_int_equal(service_state(service).commands_done, GROUP);
		assert_int_equal(service_state(service).commands_failed, 0);
		service_close(service);
		assert_int_equal(events_in_file(folder->store, "a"), GROUP);
	}
}

/* [C2] Commands that wait cost one transaction and one sync together. */
static void test_group_costs_one_sync(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	const struct store_service_options options = manual_options(&time);
	struct store_service *service;
	struct task tasks[GROUP];

	counting_vfs_install();
	service = service_open(folder->store, &options);
	/* The first commit to a new WAL also syncs its header. */
	task_submit(service, task_fill(&tasks[0], "b", 0, 1));
	writer_step(service);
	counting_vfs_reset();
	for (int i = 0; i < GROUP; i++)
		task_submit(service, task_fill(&tasks[i], "a", i * 3, 3));
	assert_int_equal(counting_vfs.sync_count, 0);
	assert_int_equal(writer_step(service), GROUP);
	assert_int_equal(counting_vfs.sync_count, 1);
	for (int i = 0; i < GROUP; i++)
		assert_task(&tasks[i], STORE_OK);
	service_close(service);
	assert_int_equal(events_in_file(folder->store, "a"), GROUP * 3);
	counting_vfs_remove();
}

/* [C2] A command that fails leaves nothing, keeps its own error, and fails no neighbour. */
static void test_neighbours(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	const struct store_service_options options = manual_options(&time);
	struct store_service *service = service_open(folder->store, &options);
	struct task tasks[5];

	task_submit(service, task_fill(&tasks[0], "a", 0, 4));
	task_submit(service, task_fill(&tasks[1], "a", 2, 4)); /* position 2 is there already */
	task_submit(service, task_fill(&tasks[2], "b", 0, 4));
	task_submit(service, task_fill(&tasks[3], "", 0, 1)); /* no server */
	task_submit(service, task_fill(&tasks[4], "a", 4, 2));
	assert_int_equal(writer_step(service), 5);
	assert_task(&tasks[0], STORE_OK);
	assert_task(&tasks[1], STORE_ERR_DUPLICATE);
	assert_int_equal(tasks[1].err.index, 0);
	assert_task(&tasks[2], STORE_OK);
	assert_task(&tasks[3], STORE_ERR_INVALID_EVENT);
	assert_task(&tasks[4], STORE_OK);
	assert_int_equal(service_state(service).groups_committed, 1);
	assert_int_equal(service_state(service).commands_failed, 2);
	assert_int_equal(events_in_file(folder->store, "a"), 6);
	assert_int_equal(events_in_file(folder->store, "b"), 4);
	service_close(service);
}

/* [C2] A group in which every command fails commits nothing, and writes nothing. */
static void test_group_of_failures(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	const struct store_service_options options = manual_options(&time);
	struct store_service *service;
	struct task tasks[2];

	counting_vfs_install();
	service = service_open(folder->store, &options);
	counting_vfs_reset();
	task_submit(service, task_fill(&tasks[0], "", 0, 1));
	task_submit(service, task_fill(&tasks[1], "", 1, 1));
	assert_int_equal(writer_step(service), 2);
	assert_task(&tasks[0], STORE_ERR_INVALID_EVENT);
	assert_task(&tasks[1], STORE_ERR_INVALID_EVENT);
	assert_int_equal(counting_vfs.effect_count, 0);
	assert_int_equal(service_state(service).groups_committed, 0);
	service_close(service);
	counting_vfs_remove();
}

/* What a result finds when it is delivered. */
struct witness {
	struct task task;
	const char *path;
	int64_t seen;
	long syncs;
};

static void witness_done(void *context, enum store_code code, const struct store_error *err)
{
	struct witness *witness = context;

	task_done(&witness->task, code, err);
	assert_true((err == NULL) == (code == STORE_OK));
	witness->seen = events_in_file(witness->path, "a");
	witness->syncs = counting_vfs.sync_count;
}

/* The test's commands hand over the witness, which begins with its task. */
static enum store_code witness_work(struct store *store, void *context, struct store_error *err)
{
	struct witness *witness = context;

	return task_work(store, &witness->task, err);
}

/* [C2] When the first result of a group is delivered, all of the group is committed and synced:
 * another connection sees it. */
static void test_result_after_commit(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	const struct store_service_options options = manual_options(&time);
	struct store_service *service;
	struct witness witnesses[4];

	counting_vfs_install();
	service = service_open(folder->store, &options);
	counting_vfs_reset();
	for (int i = 0; i < 4; i++) {
		struct witness *w = &witnesses[i];

		*w = (struct witness){.path = folder->store};
		task_fill(&w->task, "a", i == 2 ? 1 : i * 2, 2); /* the third is a duplicate */
		w->task.command = (struct store_command){witness_work, witness_done, w};
		task_submit(service, &w->task);
	}
	assert_int_equal(events_in_file(folder->store, "a"), 0);
	writer_step(service);
	for (int i = 0; i < 4; i++) {
		assert_task(&witnesses[i].task, i == 2 ? STORE_ERR_DUPLICATE : STORE_OK);
		assert_int_equal(witnesses[i].seen, 6);
		assert_true(witnesses[i].syncs > 0);
	}
	service_close(service);
	counting_vfs_remove();
}

static enum store_code fail_silently(struct store *store, void *context, struct store_error *err)
{
	(void)store;
	(void)context;
	(void)err;
	return STORE_ERR_CANCELLED;
}

/* [C1] A work that fails without a reason gives a result with its code and that code's text. */
static void test_failure_without_reason(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	const struct store_service_options options = manual_options(&time);
	struct store_service *service = service_open(folder->store, &options);
	struct task task;

	task_fill(&task, "a", 0, 1);
	task.command.work = fail_silently;
	task_submit(service, &task);
	writer_step(service);
	assert_task(&task, STORE_ERR_CANCELLED);
	assert_non_null(strstr(task.err.message, folder->store));
	service_close(service);
}

/* ---- a transaction that SQLite gives up ---- */

static enum store_code limit_pages(struct store *store, void *context, struct store_error *err)
{
	char sql[64];

	(void)context;
	(void)err;
	snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %" PRId64,
		 query_int(store_handle(store), "PRAGMA page_count") + 4);
	exec(store_handle(store), sql);
	return STORE_OK;
}

static enum store_code append_large(struct store *store, void *context, struct store_error *err)
{
	static char payload[100000];
	const struct task *task = context;
	struct sample sample;
	struct store_event event = *sample_fill(&sample, task->server_id, task->first);

	event.payload = payload;
	event.payload_bytes = sizeof(payload);
	return store_event(store, &event, err);
}

/* [C2] A command at which SQLite rolls the whole transaction back fails alone: the others run
 * again. */
static void test_command_that_ends_the_transaction(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	const struct store_service_options options = manual_options(&time);
	struct store_service *service = service_open(folder->store, &options);
	struct task tasks[4];
	struct store_error err;

	assert_int_equal(store_service_call(service, limit_pages, NULL, &err), STORE_OK);
	task_submit(service, task_fill(&tasks[0], "a", 0, 2));
	task_fill(&tasks[1], "a", 2, 1)->command.work = append_large;
	task_submit(service, &tasks[1]);
	task_submit(service, task_fill(&tasks[2], "a", 1, 2)); /* a duplicate */
	task_submit(service, task_fill(&tasks[3], "a", 3, 2));
	assert_int_equal(writer_step(service), 4);
	assert_task(&tasks[0], STORE_OK);
	assert_task(&tasks[1], STORE_ERR_FULL);
	assert_false(tasks[1].err.indeterminate);
	assert_task(&tasks[2], STORE_ERR_DUPLICATE);
	assert_task(&tasks[3], STORE_OK);
	assert_int_equal(events_in_file(folder->store, "a"), 4);
	assert_int_equal(service_state(service).reopened, 0);
	service_close(service);
}

/* ---- the bound ---- */

/* [C1] A full queue that fails says so at once; what was refused gets no result. */
static void test_full_queue_fails(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	struct store_service_options options = manual_options(&time);
	struct store_service *service;
	struct store_error err = {0};
	struct task tasks[3];

	options.queue_count_max = 2;
	options.when_full = STORE_WHEN_FULL_FAIL;
	service = service_open(folder->store, &options);
	for (int i = 0; i < 3; i++)
		task_fill(&tasks[i], "a", i, 1);
	task_submit(service, &tasks[0]);
	task_submit(service, &tasks[1]);
	assert_int_equal(store_service_submit(service, &tasks[2].command, &err),
			 STORE_ERR_QUEUE_FULL);
	assert_int_equal(err.code, STORE_ERR_QUEUE_FULL);
	assert_non_null(strstr(err.message, "2 commands"));
	assert_int_equal(writer_step(service), 2);
	assert_int_equal(tasks[2].done_count, 0);
	task_submit(service, &tasks[2]);
	service_close(service);
	for (int i = 0; i < 3; i++)
		assert_task(&tasks[i], STORE_OK);
}

/* [C1] A full queue that blocks is worked off by the caller of a manual service. */
static void test_full_queue_is_worked_off(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	struct store_service_options options = manual_options(&time);
	struct store_service *service;
	struct task tasks[7];

	options.queue_count_max = 3;
	service = service_open(folder->store, &options);
	for (int i = 0; i < 7; i++)
		task_submit(service, task_fill(&tasks[i], "a", i, 1));
	assert_int_equal(service_state(service).queue_count, 1);
	assert_int_equal(service_state(service).queue_count_max_seen, 3);
	for (int i = 0; i < 6; i++)
		assert_task(&tasks[i], STORE_OK);
	assert_int_equal(tasks[6].done_count, 0);
	service_close(service);
	assert_task(&tasks[6], STORE_OK);
}

/* A gate in the writer's way. */
struct gate {
	sem_t inside;
	sem_t open;
};

static enum store_code gate_work(struct store *store, void *context, struct store_error *err)
{
	struct gate *gate = context;

	(void)store;
	(void)err;
	sem_post(&gate->inside);
	sem_wait(&gate->open);
	return STORE_OK;
}

/* Holds the writer until gate_open(). */
static void gate_close(struct store_service *service, struct gate *gate)
{
	const struct store_command command = {gate_work, NULL, gate};

	sem_init(&gate->inside, 0, 0);
	sem_init(&gate->open, 0, 0);
	assert_int_equal(store_service_submit(service, &command, NULL), STORE_OK);
	sem_wait(&gate->inside);
}

static void gate_open(struct gate *gate)
{
	sem_post(&gate->open);
}

struct blocked {
	struct store_service *service;
	struct task task;
	sem_t accepted;
};

static void *blocked_submit(void *context)
{
	struct blocked *blocked = context;

	store_service_submit(blocked->service, &blocked->task.command, NULL);
	sem_post(&blocked->accepted);
	return NULL;
}

/* [C1] A producer that finds the queue full waits, and goes on when there is room. */
static void test_full_queue_blocks(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct store_service_options options = {.queue_count_max = 1};
	struct store_service *service = service_open(folder->store, &options);
	struct blocked blocked = {.service = service};
	struct gate gate;
	struct task task;
	pthread_t thread;

	gate_close(service, &gate);
	task_submit(service, task_fill(&task, "a", 0, 1));
	task_fill(&blocked.task, "a", 1, 1);
	sem_init(&blocked.accepted, 0, 0);
	assert_int_equal(pthread_create(&thread, NULL, blocked_submit, &blocked), 0);
	usleep(50000);
	assert_int_equal(sem_trywait(&blocked.accepted), -1);
	gate_open(&gate);
	assert_int_equal(pthread_join(thread, NULL), 0);
	service_close(service);
	assert_task(&task, STORE_OK);
	assert_task(&blocked.task, STORE_OK);
}

/* ---- from inside ---- */

/* A result that submits, and does what it must not. */
struct inside {
	struct task task;
	struct task more[3];
	struct store_service *service;
	enum store_code submitted[3];
	enum store_code called, closed, stepped;
};

static void inside_done(void *context, enum store_code code, const struct store_error *err)
{
	struct inside *inside = context;

	task_done(&inside->task, code, err);
	inside->called = store_service_call(inside->service, fail_silently, NULL, NULL);
	inside->closed = store_service_close(inside->service, NULL);
	inside->stepped = store_service_writer_step(inside->service, NULL, NULL);
	for (int i = 0; i < 3; i++) {
		task_fill(&inside->more[i], "a", 10 + i, 1);
		inside->submitted[i] =
		    store_service_submit(inside->service, &inside->more[i].command, NULL);
	}
}

static enum store_code inside_work(struct store *store, void *context, struct store_error *err)
{
	struct inside *inside = context;

	return task_work(store, &inside->task, err);
}

/* [C1] A result may submit; where it would have to wait for the writer, which is itself, it is told
 * that the queue is full, and calls that cannot end there are refused. */
static void test_submit_from_done(void **state)
{
	const struct folder *folder = folder_of(state);

	for (int manual = 0; manual < 2; manual++) {
		const struct store_service_options options = {.queue_count_max = 2,
							      .manual = manual};
		struct inside inside = {0};

		folder_empty(folder);
		inside.service = service_open(folder->store, &options);
		task_fill(&inside.task, "a", 0, 1);
		inside.task.command = (struct store_command){inside_work, inside_done, &inside};
		task_submit(inside.service, &inside.task);
		if (manual)
			writer_step(inside.service);
		else
			assert_int_equal(
			    store_service_call(inside.service, fail_silently, NULL, NULL),
			    STORE_ERR_CANCELLED);
		assert_task(&inside.task, STORE_OK);
		assert_int_equal(inside.called, STORE_ERR_INVALID);
		assert_int_equal(inside.closed, STORE_ERR_INVALID);
		assert_int_equal(inside.stepped, STORE_ERR_INVALID);
		service_close(inside.service);
		/* With threads the call above may have had one of the two places. */
		assert_int_equal(inside.submitted[0], STORE_OK);
		if (manual)
			assert_int_equal(inside.submitted[1], STORE_OK);
		assert_int_equal(inside.submitted[2], STORE_ERR_QUEUE_FULL);
		assert_task(&inside.more[0], STORE_OK);
		assert_int_equal(inside.more[2].done_count, 0);
	}
}

/* ---- arguments ---- */

/* [C1] NULL and out-of-range arguments are refused, with a sentence, and accept nothing. */
static void test_arguments(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_service *const untouched = (struct store_service *)(void *)state;
	const struct store_strategy undecided = {.name = "undecided"};
	const struct store_pragma exclusive[] = {{"locking_mode", "normal"},
						 {"Locking_Mode", "EXCLUSIVE"}};
	const struct store_service_options wrong[] = {
	    {.queue_count_max = STORE_QUEUE_COUNT_MAX + 1},
	    {.group_count_max = STORE_QUEUE_COUNT_MAX + 1},
	    {.reader_count = STORE_READER_COUNT_MAX + 1},
	    {.buffer_count = STORE_QUEUE_COUNT_MAX + 1},
	    {.reader_timeout_ms = -2},
	    {.when_full = (enum store_when_full)2},
	    {.wal_bytes_max = UINT64_MAX},
	    {.interval_ms = UINT64_MAX},
	    {.strategy_count = 1},
	    {.strategies = &undecided},
	    {.strategies = &undecided, .strategy_count = 1},
	    {.strategies = &undecided, .strategy_count = STORE_STRATEGY_COUNT_MAX + 1},
	    {.retry = {.count_max = UINT32_MAX}},
	    {.retry = {.delay_max_ms = UINT32_MAX}},
	    {.store = {.busy_timeout_ms = -2}},
	    {.store = {.profile = (enum store_profile)99}},
	    {.store = {.pragmas = exclusive, .pragma_count = 2}},
	};
	const struct store_pragma shared[] = {{"locking_mode", "exclusive"},
					      {"locking_mode", "normal"}};
	const struct store_service_options right = {
	    .store = {.pragmas = shared, .pragma_count = 2}};
	const struct store_command no_work = {0};
	struct store_service *service = untouched;
	struct store_error err = {0};
	size_t count = 77;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		err.message[0] = '\0';
		assert_int_equal(store_service_open(folder->store, &wrong[i], &service, &err),
				 STORE_ERR_INVALID);
		assert_true(err.message[0] != '\0');
		assert_ptr_equal(service, untouched);
	}
	assert_int_equal(folder_count(folder), 0);
	assert_int_equal(store_service_open(NULL, NULL, &service, &err), STORE_ERR_INVALID);
	assert_int_equal(store_service_open(folder->store, NULL, NULL, &err), STORE_ERR_INVALID);
	assert_int_equal(store_service_open(":memory:", NULL, &service, &err), STORE_ERR_IN_MEMORY);
	assert_int_equal(store_service_close(NULL, &err), STORE_OK);

	service = service_open(folder->store, &right);
	assert_int_equal(store_service_submit(service, NULL, &err), STORE_ERR_INVALID);
	assert_int_equal(store_service_submit(service, &no_work, &err), STORE_ERR_INVALID);
	assert_int_equal(store_service_submit(NULL, &no_work, NULL), STORE_ERR_INVALID);
	assert_int_equal(store_service_call(service, NULL, NULL, &err), STORE_ERR_INVALID);
	assert_int_equal(store_service_call(NULL, fail_silently, NULL, &err), STORE_ERR_INVALID);
	assert_int_equal(store_service_buffer(service, NULL, &err), STORE_ERR_INVALID);
	assert_int_equal(store_service_buffer(NULL, &no_work, &err), STORE_ERR_INVALID);
	assert_int_equal(store_service_flush(NULL, &err), STORE_ERR_INVALID);
	assert_int_equal(store_service_reader_take(service, NULL, &err), STORE_ERR_INVALID);
	assert_int_equal(store_service_reader_take(NULL, NULL, &err), STORE_ERR_INVALID);
	store_service_reader_give(service, NULL);
	store_service_reader_give(NULL, NULL);
	assert_int_equal(store_service_vacuum(NULL, &err), STORE_ERR_INVALID);
	store_service_state(NULL, NULL);
	/* Its threads do the steps. */
	assert_int_equal(store_service_writer_step(service, &count, &err), STORE_ERR_INVALID);
	assert_int_equal(store_service_flush_step(service, &count, &err), STORE_ERR_INVALID);
	assert_int_equal(store_service_checkpoint_step(service, &count, &err), STORE_ERR_INVALID);
	assert_int_equal(store_service_log_step(service, &count, &err), STORE_ERR_INVALID);
	assert_int_equal(store_service_writer_step(NULL, &count, &err), STORE_ERR_INVALID);
	assert_int_equal(count, 77);
	service_close(service);
}

/* ---- the end ---- */

/* [C1] Closing delivers a result for everything that was accepted, once; also for the buffer. */
static void test_close_delivers(void **state)
{
	const struct folder *folder = folder_of(state);
	enum { MANY = 200 };

	for (int manual = 0; manual < 2; manual++) {
		struct store_service_options options = {.manual = manual};
		struct store_service *service;
		struct task tasks[MANY];
		struct task buffered;

		folder_empty(folder);
		options.group_count_max = 30;
		service = service_open(folder->store, &options);
		for (int i = 0; i < MANY; i++)
			task_submit(service, task_fill(&tasks[i], "a", i, 1));
		task_fill(&buffered, "b", 0, 1);
		assert_int_equal(store_service_buffer(service, &buffered.command, NULL), STORE_OK);
		service_close(service);
		for (int i = 0; i < MANY; i++)
			assert_task(&tasks[i], STORE_OK);
		assert_task(&buffered, STORE_OK);
		assert_int_equal(events_in_file(folder->store, "a"), MANY);
		assert_false(file_exists(folder->wal));
	}
}

/* [C1] A result that submits while the service is being closed is told so. */
static void test_submit_while_closing(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	const struct store_service_options options = manual_options(&time);
	struct inside inside = {0};

	inside.service = service_open(folder->store, &options);
	task_fill(&inside.task, "a", 0, 1);
	inside.task.command = (struct store_command){inside_work, inside_done, &inside};
	task_submit(inside.service, &inside.task);
	service_close(inside.service);
	assert_task(&inside.task, STORE_OK);
	assert_int_equal(inside.submitted[0], STORE_ERR_CLOSED);
	assert_int_equal(inside.more[0].done_count, 0);
}

/* ---- many threads ---- */

enum { PRODUCERS = 64, COMMANDS = 100 };

struct producer {
	struct store_service *service;
	char server_id[16];
	int64_t next;
	struct task tasks[COMMANDS];
	unsigned failed;
};

static enum store_code producer_work(struct store *store, void *context, struct store_error *err)
{
	struct producer *producer = context;

	return append_range(store, producer->server_id, producer->next, 1, err);
}

/* Every tenth command is waited for, the others are submitted or buffered. */
static void *producer_run(void *context)
{
	struct producer *producer = context;

	for (int i = 0; i < COMMANDS; i++) {
		struct task *task = task_fill(&producer->tasks[i], producer->server_id, i, 1);

		if (i % 10 == 9) {
			producer->next = i;
			producer->failed += store_service_call(producer->service, producer_work,
							       producer, NULL) != STORE_OK;
		} else {
			producer->failed += store_service_submit(producer->service, &task->command,
								 NULL) != STORE_OK;
		}
	}
	return NULL;
}

/* [C1] [C2] Commands of many threads each get one result; those of one thread keep their order. */
static void test_many_producers(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct store_service_options options = {.queue_count_max = 40,
						      .store.clock_us = clock_fixed};
	static struct producer producers[PRODUCERS];
	struct store_service *service = service_open(folder->store, &options);
	struct store_service_state seen;
	pthread_t threads[PRODUCERS];

	memset(producers, 0, sizeof(producers));
	for (int i = 0; i < PRODUCERS; i++) {
		producers[i].service = service;
		snprintf(producers[i].server_id, sizeof(producers[i].server_id), "s%d", i);
		assert_int_equal(pthread_create(&threads[i], NULL, producer_run, &producers[i]), 0);
	}
	for (int i = 0; i < PRODUCERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	/* The last of each was waited for, and all are in order: so all are done. */
	seen = service_state(service);
	assert_int_equal(seen.commands_done, PRODUCERS * COMMANDS);
	assert_int_equal(seen.commands_failed, 0);
	assert_true(seen.queue_count_max_seen <= 40);
	assert_true(seen.groups_committed < PRODUCERS * COMMANDS);
	service_close(service);
	for (int i = 0; i < PRODUCERS; i++) {
		assert_int_equal(producers[i].failed, 0);
		for (int c = 0; c < COMMANDS; c++) {
			if (c % 10 != 9)
				assert_task(&producers[i].tasks[c], STORE_OK);
		}
		/* Positions only rise: had one been overtaken, it would have failed. */
		assert_int_equal(events_in_file(folder->store, producers[i].server_id), COMMANDS);
	}
}

/* ---- between groups ---- */

/* [C5] [C1] A vacuum runs between two groups, in its turn, and the service goes on. */
static void test_vacuum_between_groups(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	const struct store_service_options options = manual_options(&time);
	struct store_service *service = service_open(folder->store, &options);
	struct store_error err = {0};
	struct task tasks[3];

	task_submit(service, task_fill(&tasks[0], "a", 0, 1));
	task_submit(service, task_fill(&tasks[1], "a", 1, 1));
	if (store_service_vacuum(service, &err) != STORE_OK)
		fail_msg("%s", err.message);
	assert_task(&tasks[0], STORE_OK);
	assert_task(&tasks[1], STORE_OK);
	assert_int_equal(service_state(service).groups_committed, 1);
	task_submit(service, task_fill(&tasks[2], "a", 2, 1));
	writer_step(service);
	assert_task(&tasks[2], STORE_OK);
	service_close(service);
}

/* [B3] SQLite's own checkpoints are off in a service, and on when the caller asks for them. */
static void test_automatic_checkpoints(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct store_pragma wanted = {"wal_autocheckpoint", "100"};

	for (int asked = 0; asked < 2; asked++) {
		struct test_time time = {0};
		struct store_service_options options = manual_options(&time);
		struct store_service *service;
		struct stat database;
		struct task task;

		folder_empty(folder);
		options.store.pragmas = asked ? &wanted : NULL;
		options.store.pragma_count = asked ? 1 : 0;
		service = service_open(folder->store, &options);
		/* 60 times 100 kB: more than the 1000 pages of SQLite's default. */
		for (int i = 0; i < 60; i++) {
			task_fill(&task, "a", i, 1)->command.work = append_large;
			task_submit(service, &task);
			writer_step(service);
			assert_task(&task, STORE_OK);
		}
		assert_int_equal(stat(folder->store, &database), 0);
		assert_true((database.st_size > 1000000) == (asked == 1));
		service_close(service);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_order),
	    TEST(test_group_costs_one_sync),
	    TEST(test_neighbours),
	    TEST(test_group_of_failures),
	    TEST(test_result_after_commit),
	    TEST(test_failure_without_reason),
	    TEST(test_command_that_ends_the_transaction),
	    TEST(test_full_queue_fails),
	    TEST(test_full_queue_is_worked_off),
	    TEST(test_full_queue_blocks),
	    TEST(test_submit_from_done),
	    TEST(test_arguments),
	    TEST(test_close_delivers),
	    TEST(test_submit_while_closing),
	    TEST(test_many_producers),
	    TEST(test_vacuum_between_groups),
	    TEST(test_automatic_checkpoints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
