/* What real kills leave behind: nothing, also after an interrupt, under libfaketime, and when the
 * harness is killed itself. This program is its own writer, as plugpull is. */
#include "harness/drive/test/kill_help.h"

#include "harness/drive/gate.h"

#include <ctype.h>
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#ifdef PLUGPULL_COVERAGE
extern void __gcov_dump(void);
#endif

enum { PATIENCE_MS = 30000, SOON_MS = 300 };

/* Processes of a session. */
static int session_size(pid_t session)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	int count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		char path[300], text[512] = "";
		int id = 0;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
		FILE *f = fopen(path, "r");

		if (f == NULL)
			continue;
		(void)fgets(text, sizeof text, f);
		(void)fclose(f);
		/* "PID (NAME) STATE PPID PGRP SESSION ..."; a zombie is no process any more. */
		const char *end = strrchr(text, ')');
		char process_state = 'Z';

		if (end != NULL && sscanf(end + 1, " %c %*d %*d %d", &process_state, &id) == 2)
			count += id == session && process_state != 'Z';
	}
	(void)closedir(dir);
	return count;
}

/* ---- the clock ---- */

/* With libfaketime some rounds have a clock that steps, and the writers see it; without it
 * that is told. Its shared memory is swept. */
static void test_clock(void **state)
{
	char *faketime = kill_find_faketime();
	struct kill_options options = {.seed = 1, .rounds_max = 64, .faketime = faketime};
	struct kill_outcome o;

	(void)state;
	kill_test_run(ARCHIVE "-- @workload store.archival batches=6 events=4\n", &options, &o);
	assert_int_equal(o.rc, 0);
	if (o.c->verdict != CASE_HELD)
		kill_test_show(o.c);
	assert_int_equal(o.c->verdict, CASE_HELD);
	if (!kill_can_fake_time())
		assert_true(
		    kill_test_note(o.c, "clock rounds left out: this build has a sanitizer"));
	else if (faketime == NULL)
		assert_true(
		    kill_test_note(o.c, "clock rounds left out: libfaketime is not installed"));
	else
		assert_true(kill_test_note(o.c, "2 rounds ran with a stepping clock"));
	result_release(&o.result);
	options.faketime = NULL;
	options.rounds_max = 1;
	kill_test_run(ARCHIVE "-- @workload store.archival batches=2 events=2\n", &options, &o);
	assert_true(kill_test_note(o.c, "clock rounds left out"));
	result_release(&o.result);
	free(faketime);
	kill_test_nothing_left();
}

/* ---- interruption ---- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
	(void)signal_number;
	interrupted = 1;
}

static bool is_interrupted(void *ctx)
{
	(void)ctx;
	return interrupted != 0;
}

/* A harness in a session of its own, which runs until somebody ends it. */
static pid_t start_harness(const char *text)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	struct kill_options options = {
	    .seed = 1,
	    .deadline_ns = gate_now_ns() + 60000000000u,
	    .stop = is_interrupted,
	};
	struct kill_outcome o;

	(void)setsid();
	(void)signal(SIGINT, on_interrupt);
	options.faketime = kill_can_fake_time() ? kill_find_faketime() : NULL;
	kill_test_run(text, &options, &o);
	int status = o.rc == 0 && o.c->verdict == CASE_INCONCLUSIVE &&
			     strstr(o.c->reason, "interrupted") != NULL
			 ? 0
			 : 1;
#ifdef PLUGPULL_COVERAGE
	__gcov_dump();
#endif
	_exit(status);
}

/* Waits until the session has at least (or at most) so many processes. */
static bool wait_for_session(pid_t session, int count, bool at_least, int patience_ms)
{
	for (int ms = 0; ms < patience_ms; ms += 5) {
		int size = session_size(session);

		if (at_least ? size >= count : size <= count)
			return true;
		(void)usleep(5000);
	}
	return false;
}

/* Interrupted at many moments, from the recording to the middle of a round: what is known is
 * returned, and nothing is left. */
static void test_interrupt(void **state)
{
	(void)state;
	for (unsigned ms = 50; ms <= 1200; ms += 230) {
		int status = 0;
		pid_t pid =
		    start_harness(ARCHIVE "-- @workload store.archival batches=200 events=4\n");

		(void)usleep(ms * 1000);
		assert_int_equal(kill(pid, SIGINT), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		assert_int_equal(session_size(pid), 0);
		kill_test_nothing_left();
	}
}

/* A harness that is killed itself takes its writers with it: also one that is busy, and would not
 * notice for a second that nobody reads its pipe any more. */
static void test_harness_killed(void **state)
{
	int status = 0;
	pid_t pid = start_harness("-- @scenario busy\n-- @client c\n"
				  "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c "
				  "WHERE i < 5000000) SELECT max(i) FROM c;\n");

	(void)state;
	assert_true(wait_for_session(pid, 2, true, PATIENCE_MS));
	/* Well inside its query. */
	(void)usleep(100000);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_true(wait_for_session(pid, 0, false, SOON_MS));
}

/* ---- the writer's own door ---- */

/* The environment variable can be set by anybody: without a job behind it the process says no. */
static void test_no_job(void **state)
{
	static const char *const values[] = {"", "nonsense", "0", "100 101 102", "-1 -1 -1"};

	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		int status = 0;
		pid_t pid = fork();

		if (pid == 0) {
			char *variable = xasprintf("%s=%s", KILL_ENVIRONMENT, values[i]);
			char *const environment[] = {variable, NULL};
			char *const arguments[] = {(char *)"writer", NULL};

			(void)execve("/proc/self/exe", arguments, environment);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_true(WEXITSTATUS(status) == 1 || WEXITSTATUS(status) == 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_clock), cmocka_unit_test(test_interrupt),
	    cmocka_unit_test(test_no_job),
	    cmocka_unit_test(test_harness_killed), /* leaves a folder, so it comes last */
	};

	if (kill_is_writer())
		return kill_writer_main();
	return cmocka_run_group_tests(tests, kill_test_make_folder, kill_test_remove_folder);
}
