/*
 * test_store_busy.c: waiting for somebody else's lock, and saying whose it was.
 */
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "store/internal.h"
#include "store/test/service_test.h"

/*
 * A process that takes a lock when it is told to, and lets go when it is told to or after a time.
 * It is started before this process opens the store: a child that inherits SQLite's knowledge of an
 * open file believes that it holds its parent's locks.
 */
struct holder {
	pid_t pid;
	int tell; /* a byte: take the lock; closed: the end */
	int hear; /* a byte: it is taken */
};

/* sql takes the lock; the holder lets go after hold_ms, or if that is 0 when it is told. */
static struct holder holder_start(const char *path, const char *sql, unsigned hold_ms)
{
	struct holder holder = {0};
	int hear[2], tell[2];
	char byte;

	assert_int_equal(pipe(hear), 0);
	assert_int_equal(pipe(tell), 0);
	holder.pid = fork();
	assert_true(holder.pid >= 0);
	if (holder.pid == 0) {
		sqlite3 *db = NULL;

		close(tell[1]);
		if (read(tell[0], &byte, 1) != 1 || sqlite3_open(path, &db) != SQLITE_OK ||
		    sqlite3_busy_timeout(db, 10000) != SQLITE_OK ||
		    sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK ||
		    write(hear[1], "t", 1) != 1)
			_exit(1);
		if (hold_ms > 0)
			usleep(hold_ms * 1000);
		else if (read(tell[0], &byte, 1) != 0)
			_exit(2);
		_exit(sqlite3_close(db) == SQLITE_OK ? 0 : 3);
	}
	close(hear[1]);
	close(tell[0]);
	holder.tell = tell[1];
	holder.hear = hear[0];
	return holder;
}

/* Returns when it has the lock. */
static void holder_lock(const struct holder *holder)
{
	char byte;

	assert_int_equal(write(holder->tell, "l", 1), 1);
	assert_int_equal(read(holder->hear, &byte, 1), 1);
}

static void holder_end(const struct holder *holder)
{
	close(holder->tell);
	assert_int_equal(child_wait(holder->pid), 0);
	close(holder->hear);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The clause that names the process, where the operating system tells. */
static void assert_names(const char *message, pid_t pid)
{
	char clause[64];

	if (!file_exists("/proc/locks"))
		return;
	snprintf(clause, sizeof(clause), "process %ld (", (long)pid);
	if (!strstr(message, clause))
		fail_msg("'%s' does not name process %ld", message, (long)pid);
}

/* [C3] The default is 30 seconds, for a store and for every connection of a service. */
static void test_default_timeout(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);

	assert_int_equal(STORE_BUSY_TIMEOUT_DEFAULT_MS, 30000);
	assert_int_equal(store->busy_timeout_ms, 30000);
	store_close(store);
}

/* [C3] Pauses grow from a millisecond to a tenth of a second, together as long as the patience; a
 * new wait has its patience anew. */
static void test_backoff(void **state)
{
	struct store_patience patience = {.anew = true, .limit_ms = 25};
	const int left_ms[] = {24, 22, 17, 7, 0};

	(void)state;
	for (int again = 0; again < 2; again++) {
		for (int round = 0; round < 5; round++) {
			assert_int_equal(store_busy_wait(&patience, round), 1);
			assert_int_equal(patience.left_ms, left_ms[round]);
		}
		assert_int_equal(store_busy_wait(&patience, 5), 0);
	}
	patience = (struct store_patience){.left_ms = 3};
	assert_int_equal(store_busy_wait(&patience, 0), 1);
	assert_int_equal(store_busy_wait(&patience, 0), 1);
	assert_int_equal(store_busy_wait(&patience, 0), 0);
}

/* [C3] Another process holds the write lock for longer than the timeout: not before the timeout the
 * call fails, and its error names the process. */
static void test_error_names_the_process(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct store_options options = {.busy_timeout_ms = 200};
	const struct holder holder = holder_start(folder->store, "BEGIN IMMEDIATE", 0);
	struct store *store = open_with(folder->store, &options);
	struct store_error err = {0};
	int64_t since_ms;

	holder_lock(&holder);
	since_ms = now_ms();
	assert_int_equal(append_range(store, "a", 0, 1, &err), STORE_ERR_BUSY);
	assert_true(now_ms() - since_ms >= 199);
	assert_names(err.message, holder.pid);
	assert_non_null(strstr(err.message, "200 ms"));
	holder_end(&holder);
	append_ok(store, "a", 0, 1);
	store_close(store);
}

/* [C3] In a rollback mode, too, and through a link to the file. */
static void test_error_names_the_process_through_a_link(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct {
		struct store_pragma mode;
		const char *takes;
	} cases[] = {
	    {{"journal_mode", "wal"}, "BEGIN IMMEDIATE"},
	    {{"journal_mode", "delete"}, "BEGIN IMMEDIATE"},
	    {{"journal_mode", "delete"}, "BEGIN EXCLUSIVE"},
	};
	struct store_error err = {0};
	char link[256];

	snprintf(link, sizeof(link), "%s.link", folder->store);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct store_options options = {
		    .busy_timeout_ms = -1, .pragmas = &cases[i].mode, .pragma_count = 1};
		const struct holder holder = holder_start(folder->store, cases[i].takes, 0);
		struct store *store;

		folder_empty(folder);
		store_close(open_with(folder->store, &options));
		assert_int_equal(symlink(folder->store, link), 0);
		store = open_with(link, &options);
		holder_lock(&holder);
		assert_int_equal(append_range(store, "a", 0, 1, &err), STORE_ERR_BUSY);
		assert_names(err.message, holder.pid);
		holder_end(&holder);
		store_close(store);
	}
}

/* [C3] When it is a connection of the same process, the error says that. */
static void test_error_names_this_process(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct store_options options = {.busy_timeout_ms = -1};
	struct store *store = open_with(folder->store, &options);
	struct store_error err = {0};
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(folder->store, &db), SQLITE_OK);
	exec(db, "BEGIN IMMEDIATE");
	assert_int_equal(append_range(store, "a", 0, 1, &err), STORE_ERR_BUSY);
	if (file_exists("/proc/locks"))
		assert_non_null(strstr(err.message, "another connection of this process"));
	/* Looking has not dropped the lock. */
	assert_int_equal(append_range(store, "a", 0, 1, &err), STORE_ERR_BUSY);
	if (file_exists("/proc/locks"))
		assert_non_null(strstr(err.message, "another connection of this process"));
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	append_ok(store, "a", 0, 1);
	store_close(store);
}

/* Nobody holds anything, or there is no such file: the text is empty. */
static void test_nobody(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	char text[128] = "untouched";

	store_lock_holder(folder->store, text, sizeof(text));
	assert_string_equal(text, "");
	store_lock_holder("/nowhere/at/all", text, sizeof(text));
	assert_string_equal(text, "");
	store_close(store);
}

/* [C3] A lock that is given up before the timeout is waited for: nobody gets an error. */
static void test_lock_given_up_in_time(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct store_service_options options = {.store = {.busy_timeout_ms = 20000}};
	const struct holder holder = holder_start(folder->store, "BEGIN IMMEDIATE", 150);
	struct store_service *service = service_open(folder->store, &options);
	struct task tasks[10];

	holder_lock(&holder);
	for (int i = 0; i < 10; i++)
		task_submit(service, task_fill(&tasks[i], "a", i, 1));
	service_close(service);
	for (int i = 0; i < 10; i++)
		assert_task(&tasks[i], STORE_OK);
	holder_end(&holder);
	assert_int_equal(events_in_file(folder->store, "a"), 10);
}

/* [C3] [D4] A service tries again as often as its policy says, with pauses that double and are
 * drawn from the seed; then every command of the group is told who holds the lock. */
static void test_service_gives_up(void **state)
{
	const struct folder *folder = folder_of(state);
	uint32_t pauses[2][6];

	for (int run = 0; run < 2; run++) {
		struct test_time time = {0};
		struct store_service_options options = manual_options(&time);
		struct store_service *service;
		struct holder holder;
		struct task tasks[3];

		folder_empty(folder);
		options.retry = (struct store_retry){
		    .count_max = 6, .delay_first_ms = 100, .delay_max_ms = 1000, .seed = 7};
		holder = holder_start(folder->store, "BEGIN IMMEDIATE", 0);
		service = service_open(folder->store, &options);
		holder_lock(&holder);
		for (int i = 0; i < 3; i++)
			task_submit(service, task_fill(&tasks[i], "a", i, 1));
		writer_step(service);
		assert_int_equal(time.sleep_count, 6);
		for (uint32_t i = 0; i < 6; i++) {
			const uint32_t all = i < 4 ? 100u << i : 1000;

			assert_in_range(time.sleeps_ms[i], all / 2, all);
			pauses[run][i] = time.sleeps_ms[i];
		}
		for (int i = 0; i < 3; i++) {
			assert_task(&tasks[i], STORE_ERR_BUSY);
			assert_names(tasks[i].err.message, holder.pid);
			assert_false(tasks[i].err.indeterminate);
		}
		assert_int_equal(service_state(service).reopened, 0);
		holder_end(&holder);
		/* Nothing has stayed behind: the next command goes through. */
		task_submit(service, task_fill(&tasks[0], "a", 0, 1));
		writer_step(service);
		assert_task(&tasks[0], STORE_OK);
		service_close(service);
	}
	assert_memory_equal(pauses[0], pauses[1], sizeof(pauses[0]));
}

struct release {
	struct holder holder;
	int after;
};

static void release_after(void *context)
{
	struct release *release = context;

	if (--release->after == 0)
		holder_end(&release->holder);
}

/* [D4] A lock that is given up between two attempts is no error. */
static void test_service_tries_again(void **state)
{
	const struct folder *folder = folder_of(state);
	struct release release = {holder_start(folder->store, "BEGIN IMMEDIATE", 0), 3};
	struct test_time time = {.on_sleep = release_after, .context = &release};
	struct store_service_options options = manual_options(&time);
	struct store_service *service = service_open(folder->store, &options);
	struct task tasks[2];

	holder_lock(&release.holder);
	task_submit(service, task_fill(&tasks[0], "a", 0, 1));
	task_submit(service, task_fill(&tasks[1], "a", 1, 1));
	writer_step(service);
	assert_task(&tasks[0], STORE_OK);
	assert_task(&tasks[1], STORE_OK);
	assert_int_equal(time.sleep_count, 3);
	service_close(service);
}

/* [D4] What will not pass is not tried again: a store that a newer program has migrated. */
static void test_permanent_errors(void **state)
{
	const struct folder *folder = folder_of(state);
	struct test_time time = {0};
	const struct store_service_options options = manual_options(&time);
	struct store_service *service = service_open(folder->store, &options);
	struct task tasks[2];

	exec_on_file(folder->store, "INSERT INTO schema_version (version, digest, name, applied_us)"
				    " SELECT max(version) + 1, digest, 'newer', 0"
				    " FROM schema_version");
	task_submit(service, task_fill(&tasks[0], "a", 0, 1));
	task_submit(service, task_fill(&tasks[1], "a", 1, 1));
	writer_step(service);
	assert_task(&tasks[0], STORE_ERR_SCHEMA_NEWER);
	assert_task(&tasks[1], STORE_ERR_SCHEMA_NEWER);
	assert_int_equal(time.sleep_count, 0);
	service_close(service);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_default_timeout),		 TEST(test_backoff),
	    TEST(test_error_names_the_process),	 TEST(test_error_names_the_process_through_a_link),
	    TEST(test_error_names_this_process), TEST(test_nobody),
	    TEST(test_lock_given_up_in_time),	 TEST(test_service_gives_up),
	    TEST(test_service_tries_again),	 TEST(test_permanent_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
