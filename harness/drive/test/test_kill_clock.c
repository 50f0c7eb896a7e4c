/* Real kills under a clock that is moved, and what that leaves in shared
 * memory. This program is its own writer, as plugpull is. Without libfaketime
 * most of it says so and passes. */
#include "harness/drive/test/kill_help.h"

#include "faultinject/base/buf.h"
#include "harness/drive/gate.h"
#include "harness/drive/kill_clock.h"

#include <dirent.h>
#include <fcntl.h>
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

enum { PATIENCE_MS = 20000 };

#define NUMBER "CAST(CAST(payload AS TEXT) AS INTEGER)"
#define CLOCK_SCENARIO(plan, plant)                                                                \
	ARCHIVE "-- @clock " plan "\n-- @kill checkpointers=0\n" plant                             \
		"-- @workload store.clock batches=2 events=2\n"                                    \
		"-- @invariant \"the one before is known\"\n"                                      \
		"SELECT 1 FROM events WHERE kind = 'data' AND " NUMBER " <> position - 1;\n"       \
		"-- @invariant \"nothing waits for ever\"\n"                                       \
		"SELECT 1 FROM events WHERE kind IN ('flush', 'lock', 'busy') "                    \
		"AND " NUMBER " >= 10000;\n"                                                       \
		"-- @invariant \"the log is checkpointed\"\n"                                      \
		"SELECT 1 FROM events WHERE kind = 'log' AND " NUMBER " <> 0;\n"

#define WAITED                                                                                     \
	"-- @invariant \"the buffer waits for its time\"\n"                                        \
	"SELECT 1 FROM events WHERE kind = 'flush' AND " NUMBER " < 20;\n"

/* libfaketime, where it can work; the caller frees it. */
static char *library(void)
{
	char *found = kill_find_faketime();

	if (kill_clock_problem(found) != NULL) {
		print_message("left out: %s\n", kill_clock_problem(found));
		free(found);
		return NULL;
	}
	return found;
}

static void run(const char *text, uint64_t rounds, const char *faketime, struct kill_outcome *ret)
{
	struct kill_options options = {.seed = 3, .rounds_max = rounds, .faketime = faketime};

	kill_test_run(text, &options, ret);
	if (ret->rc != 0)
		fail_msg("%s", ret->err.message);
}

/* ---- the clocks ---- */

/* Under each clock, with a monotonic one that is right and one that follows it,
 * commits are kept, nothing waits for ever, and nothing that is to wait comes
 * early. */
static void test_each_clock(void **state)
{
	static const char *const texts[] = {
	    CLOCK_SCENARIO("back", "") WAITED,
	    CLOCK_SCENARIO("ahead", ""),
	    CLOCK_SCENARIO("frozen", "") WAITED,
	    CLOCK_SCENARIO("steps", ""),
	};
	char *faketime = library();
	struct kill_outcome o;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0] && faketime != NULL; i++) {
		run(texts[i], 2, faketime, &o);
		if (o.c->verdict == CASE_VIOLATED || o.c->verdict == CASE_ERROR)
			kill_test_show(o.c);
		assert_int_not_equal(o.c->verdict, CASE_VIOLATED);
		assert_int_not_equal(o.c->verdict, CASE_ERROR);
		assert_true(kill_test_note(o.c, "2 rounds ran with the clock of the scenario"));
		result_release(&o.result);
	}
	free(faketime);
	kill_test_nothing_left();
}

/* A program that goes by the times and not by the positions is found. */
static void test_order_by_time(void **state)
{
	char *faketime = library();
	struct kill_outcome o;

	(void)state;
	if (faketime != NULL) {
		run(CLOCK_SCENARIO("back", "-- @plant order-by-time\n"), 1, faketime, &o);
		assert_int_equal(o.c->verdict, CASE_VIOLATED);
		assert_true(kill_test_violation(o.c, "invariant"));
		result_release(&o.result);
	}
	free(faketime);
}

/* Without libfaketime a scenario with a clock is not run as if it had none: it
 * is skipped, and says why. */
static void test_missing(void **state)
{
	struct kill_outcome o;

	(void)state;
	run(CLOCK_SCENARIO("frozen", ""), 2, NULL, &o);
	assert_int_equal(o.c->verdict, CASE_SKIPPED);
	assert_non_null(strstr(o.c->reason, "@clock frozen needs libfaketime: "));
	result_release(&o.result);
}

/* ---- what libfaketime is told ---- */

static const char *value_of(char *const *own, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strncmp(own[i], name, strlen(name)) == 0 && own[i][strlen(name)] == '=')
			return own[i] + strlen(name) + 1;
	return "";
}

static void read_line(const char *path, char *ret_line, int size)
{
	FILE *f = fopen(path, "r");

	ret_line[0] = '\0';
	if (f == NULL)
		return;
	if (fgets(ret_line, size, f) == NULL)
		ret_line[0] = '\0';
	(void)fclose(f);
}

/* Of the two variables for monotonic time only the pairs are used with which
 * timed waits last as long as they are to last; whatever is set is taken out of
 * the environment first; each process with a plan has a file of its own. */
static void test_environment(void **state)
{
	char *base = xasprintf("%s/clock", kill_test_folder());
	struct kill_clock clock = {.library = "/lib/x.so", .file = base};
	char *own[KILL_CLOCK_VARIABLES], line[64];
	struct err err = ERR_INIT;
	size_t count = 0;

	(void)state;
	for (int i = 0; i < 4; i++) {
		clock.monotonic_follows = i % 2 == 1;
		clock.plan = i < 2 ? NULL : fi_clock_find(i == 2 ? "frozen" : "back");
		assert_int_equal(kill_clock_environment(&clock, 7, own, &count, &err), 0);
		assert_string_equal(value_of(own, count, "FAKETIME_DONT_FAKE_MONOTONIC"),
				    clock.monotonic_follows ? "0" : "1");
		assert_string_equal(value_of(own, count, "FAKETIME_FORCE_MONOTONIC_FIX"),
				    clock.monotonic_follows ? "1" : "0");
		assert_string_equal(value_of(own, count, "TZ"), "UTC");
		const char *file = value_of(own, count, "FAKETIME_TIMESTAMP_FILE");

		read_line(file, line, sizeof line);
		assert_int_equal(strcmp(file, base) == 0, clock.plan == NULL);
		if (i == 2)
			assert_true(strlen(line) == strlen("2026-01-02 03:04:05\n") &&
				    line[4] == '-' && line[13] == ':');
		if (i == 3)
			assert_string_equal(line, "+0\n");
		for (size_t k = 0; k < count; k++) {
			assert_true(kill_clock_replaces(own[k]));
			free(own[k]);
		}
	}
	assert_int_equal(kill_clock_set(base, -86400, &err), 0);
	read_line(base, line, sizeof line);
	assert_string_equal(line, "-86400\n");
	assert_true(kill_clock_replaces("FAKETIME=@2020-01-01 00:00:00"));
	assert_false(kill_clock_replaces("FAKETIMES=1"));
	assert_false(kill_clock_replaces("PATH=/bin"));
	clock.file = "/no/such/folder/clock";
	assert_int_equal(kill_clock_environment(&clock, 7, own, &count, &err), ERR_IO);
	free(base);
}

/* ---- shared memory ---- */

/* Names that libfaketime has made for processes that are dead by now. */
static int left_behind(void)
{
	DIR *dir = opendir("/dev/shm");
	struct dirent *entry;
	int count = 0, pid;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		if (sscanf(entry->d_name, "faketime_shm_%d", &pid) == 1 ||
		    sscanf(entry->d_name, "sem.faketime_sem_%d", &pid) == 1)
			count += kill(pid, 0) != 0;
	(void)closedir(dir);
	return count;
}

static void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	(void)close(fd);
}

/* What others have left there stays, however dead they are. */
static void test_others_stay(void **state)
{
	char *faketime = library();
	char shm[64], sem[64];
	struct kill_outcome o;
	pid_t dead = fork();

	(void)state;
	if (dead == 0)
		_exit(0);
	assert_int_equal(waitpid(dead, NULL, 0), dead);
	(void)snprintf(shm, sizeof shm, "/dev/shm/faketime_shm_%d", (int)dead);
	(void)snprintf(sem, sizeof sem, "/dev/shm/sem.faketime_sem_%d", (int)dead);
	make_file(shm);
	make_file(sem);
	if (faketime != NULL) {
		run(CLOCK_SCENARIO("steps", ""), 1, faketime, &o);
		result_release(&o.result);
	}
	/* Both names are still there to be removed. */
	assert_int_equal(unlink(shm), 0);
	assert_int_equal(unlink(sem), 0);
	free(faketime);
	kill_test_nothing_left();
}

/* The harness is killed itself, in the middle of rounds, and cannot sweep: its
 * processes have left nothing there. */
static void test_harness_killed(void **state)
{
	char *faketime = library();
	int before = left_behind(), after = 0;

	(void)state;
	for (unsigned n = 0; n < 3 && faketime != NULL; n++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			struct kill_options options = {
			    .seed = n,
			    .deadline_ns = gate_now_ns() + 30000000000u,
			    .faketime = faketime,
			};
			struct kill_outcome o;

			(void)setsid();
			kill_test_run(CLOCK_SCENARIO("steps", ""), &options, &o);
			_exit(0);
		}
		(void)usleep(150000 + n * 60000);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
	/* Its processes die with it, in a moment. */
	for (int ms = 0; ms < PATIENCE_MS; ms += 10) {
		after = left_behind();
		if (after <= before)
			break;
		(void)usleep(10000);
	}
	assert_true(after <= before);
	free(faketime);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_environment),
	    cmocka_unit_test(test_missing),
	    cmocka_unit_test(test_each_clock),
	    cmocka_unit_test(test_order_by_time),
	    cmocka_unit_test(test_others_stay),
	    cmocka_unit_test(test_harness_killed), /* leaves folders, so it comes last */
	};

	if (kill_is_writer())
		return kill_writer_main();
	return cmocka_run_group_tests(tests, kill_test_make_folder, kill_test_remove_folder);
}
