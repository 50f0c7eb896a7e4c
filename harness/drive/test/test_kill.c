/* Real kills, end to end: scenarios are run as processes, killed and judged, and nothing is left of
 * them. This program is its own writer, as plugpull is. */
#include "harness/drive/kill.h"
#include "harness/drive/kill_internal.h"

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

enum {
	CONTROL_ROUNDS = 200, /* within these a control has to be red */
	PATIENCE_MS = 10000,
};

static char temporary[] = "/tmp/test-kill-XXXXXX";

/* ---- scenarios ---- */

#define ARCHIVE                                                                                    \
	"-- @scenario the store\n"                                                                 \
	"-- @pragma journal_mode=wal synchronous=full wal_autocheckpoint=8\n"                      \
	"-- @batch events id=batch_id count=batch_count\n"                                         \
	"-- @order events seq\n"                                                                   \
	"-- @schema-version 1,2,3\n"

#define TABLE                                                                                      \
	"-- @setup\n"                                                                              \
	"CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);\n"                                        \
	"CREATE INDEX t_v ON t(v);\n"                                                              \
	"INSERT INTO t WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c "            \
	"WHERE i < 24) SELECT i, printf('%0150d', i) FROM c;\n"

#define WRITER(repeat)                                                                             \
	"-- @client writer repeat=" #repeat "\n"                                                   \
	"BEGIN;\n"                                                                                 \
	"UPDATE t SET v = printf('%0150d', id + :r % 1000) WHERE id % 8 = 1;\n"                    \
	"INSERT INTO t(v) VALUES (printf('%0150d', :i));\n"                                        \
	"COMMIT;\n"

static struct scenario *parse(const char *text)
{
	struct scenario *s = NULL;
	struct err err = ERR_INIT;

	if (scenario_parse("test.sql", text, strlen(text), NULL, &s, &err) != 0)
		fail_msg("%s", err.message);
	return s;
}

struct outcome {
	struct result result;
	struct case_result *c;
	int rc;
	struct err err;
};

/* Runs the first case of a scenario. */
static void run_with(const char *text, const struct kill_options *options, struct outcome *ret)
{
	static const char *const models[] = {KILL_MODEL};
	struct case_options case_options = {
	    .models = models, .model_count = 1, .default_require = GRADE_DURABLE};
	struct scenario *s = parse(text);
	struct case_list cases = {0};

	memset(ret, 0, sizeof *ret);
	assert_int_equal(scenario_cases(s, "test.sql", NULL, &case_options, &cases, &ret->err), 0);
	result_init(&ret->result, "kill", options->seed);
	ret->c = result_add(&ret->result);
	ret->rc = kill_case(s, &cases.items[0], options, ret->c, &ret->err);
	case_list_release(&cases);
	scenario_free(s);
}

static void run_rounds(const char *text, uint64_t rounds, struct outcome *ret)
{
	struct kill_options options = {.seed = 1, .rounds_max = rounds};

	run_with(text, &options, ret);
	if (ret->rc != 0)
		fail_msg("%s", ret->err.message);
}

static void show(const struct case_result *c)
{
	print_message("%s, %s: %s\n", case_verdict_text(c->verdict),
		      grade_text(c->grade) == NULL ? "-" : grade_text(c->grade),
		      c->reason == NULL ? "" : c->reason);
	for (size_t i = 0; i < c->violation_count; i++)
		print_message("  %s: %s\n", c->violations[i].oracle, c->violations[i].message);
	for (size_t i = 0; i < c->note_count; i++)
		print_message("  note: %s\n", c->notes[i]);
}

static bool has_violation(const struct case_result *c, const char *oracle)
{
	for (size_t i = 0; i < c->violation_count; i++)
		if (strcmp(c->violations[i].oracle, oracle) == 0)
			return true;
	return false;
}

static bool has_note(const struct case_result *c, const char *text)
{
	for (size_t i = 0; i < c->note_count; i++)
		if (strstr(c->notes[i], text) != NULL)
			return true;
	return false;
}

/* Why durability was not judged, or "". */
static const char *not_applicable(const struct case_result *c)
{
	for (size_t i = 0; i < c->not_applicable_count; i++)
		if (strcmp(c->not_applicable[i].oracle, "history") == 0)
			return c->not_applicable[i].reason;
	return "";
}

/* ---- what is left ---- */

/* Entries of a folder whose names contain `part`. */
static int entries(const char *folder, const char *part)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.' && strstr(entry->d_name, part) != NULL;
	(void)closedir(dir);
	return count;
}

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

static int faketime_files;

static void assert_nothing_left(void)
{
	assert_int_equal(entries(temporary, "plugpull"), 0);
	assert_int_equal(entries("/dev/shm", "faketime"), faketime_files);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child */
}

/* ---- what holds ---- */

/* The store loses nothing, also where a migration is cut short and where two write at once. */
static void test_store_holds(void **state)
{
	struct outcome o;

	(void)state;
	run_rounds(ARCHIVE "-- @workload store.archival batches=6 events=4\n", 12, &o);
	if (o.c->verdict != CASE_HELD)
		show(o.c);
	assert_int_equal(o.c->verdict, CASE_HELD);
	assert_int_equal(o.c->grade, GRADE_DURABLE);
	assert_true(o.c->has_required);
	assert_true(o.c->has_rounds);
	assert_int_equal(o.c->rounds, 12);
	assert_int_equal(o.c->recoveries, 14);
	assert_true(o.c->commits > 0);
	assert_null(o.c->states);
	assert_null(o.c->model);
	assert_false(o.c->exhaustive);
	assert_int_equal(o.c->violation_count, 0);
	result_release(&o.result);
	assert_nothing_left();
}

/* One client alone, in modes that never break when a process dies, even without any sync: every
 * acknowledged transaction is found, and @expect for power loss does not hold here. */
static void test_client_holds(void **state)
{
	static const char *const pragmas[] = {
	    "journal_mode=wal synchronous=off",
	    "journal_mode=delete synchronous=off",
	    "journal_mode=persist synchronous=normal locking_mode=exclusive",
	};

	(void)state;
	for (size_t i = 0; i < sizeof pragmas / sizeof pragmas[0]; i++) {
		char *text = xasprintf("-- @scenario one\n-- @pragma %s\n-- @expect corrupt\n%s",
				       pragmas[i], TABLE WRITER(20));
		struct outcome o;

		run_rounds(text, 15, &o);
		if (o.c->verdict != CASE_HELD)
			show(o.c);
		assert_int_equal(o.c->verdict, CASE_HELD);
		assert_int_equal(o.c->grade, GRADE_DURABLE);
		assert_false(o.c->has_expected);
		assert_int_equal(o.c->not_applicable_count, 0);
		result_release(&o.result);
		free(text);
	}
	assert_nothing_left();
}

/* A reader beside the one that writes changes nothing about that; with two that write, durability
 * is not claimed, and the reason is told. */
static void test_several_clients(void **state)
{
	struct outcome o;

	(void)state;
	run_rounds("-- @scenario reader\n-- @pragma journal_mode=wal\n" TABLE
		   "-- @client reader repeat=20\nSELECT count(*) FROM t;\n" WRITER(10),
		   8, &o);
	assert_int_equal(o.c->verdict, CASE_HELD);
	assert_int_equal(o.c->grade, GRADE_DURABLE);
	result_release(&o.result);
	run_rounds("-- @scenario two\n-- @pragma journal_mode=wal\n" TABLE WRITER(
		       10) "-- @client other repeat=10\nINSERT INTO t(v) VALUES (:client);\n"
			   "-- @invariant \"ids have no hole\"\n"
			   "SELECT max(id) FROM t GROUP BY NULL HAVING max(id) <> count(*);\n",
		   8, &o);
	if (o.c->verdict != CASE_HELD)
		show(o.c);
	assert_int_equal(o.c->verdict, CASE_HELD);
	assert_int_equal(o.c->grade, GRADE_NONE);
	assert_false(o.c->has_required);
	assert_non_null(strstr(not_applicable(o.c), "2 clients write"));
	result_release(&o.result);
	assert_nothing_left();
}

/* SQL that answers differently each time cannot be compared with another run, wherever it stands:
 * that is told, and is no false alarm. A client that keeps a temporary table can be compared. */
static void test_not_the_same_twice(void **state)
{
	static const struct {
		const char *text, *reason;
	} rows[] = {
	    {"-- @scenario direct\n" TABLE
	     "-- @client c repeat=8\nINSERT INTO t(v) VALUES (random());\n",
	     "random()"},
	    {"-- @scenario in a default value\n-- @setup\n"
	     "CREATE TABLE t(x, at TEXT DEFAULT CURRENT_TIMESTAMP);\n"
	     "-- @client c repeat=8\nINSERT INTO t(x) VALUES (:i);\n",
	     "current_timestamp()"},
	    {"-- @scenario in a trigger\n-- @setup\nCREATE TABLE t(x);\nCREATE TABLE log(y);\n"
	     "CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO log VALUES "
	     "(strftime('%f', 'now')); END;\n"
	     "-- @client c repeat=8\nINSERT INTO t(x) VALUES (:i);\n",
	     "strftime()"},
	    {"-- @scenario temporary\n" TABLE
	     "-- @client c repeat=8\nCREATE TEMP TABLE IF NOT EXISTS own(x);\n"
	     "INSERT INTO own VALUES (:i);\n"
	     "INSERT INTO t(v) SELECT sum(x) FROM own;\n",
	     ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct outcome o;

		run_rounds(rows[i].text, 6, &o);
		if (o.c->violation_count > 0)
			show(o.c);
		assert_int_equal(o.c->violation_count, 0);
		if (rows[i].reason[0] == '\0') {
			assert_string_equal(not_applicable(o.c), "");
			assert_int_equal(o.c->grade, GRADE_DURABLE);
		} else {
			assert_non_null(strstr(not_applicable(o.c), rows[i].reason));
			assert_int_equal(o.c->grade, GRADE_NONE);
		}
		result_release(&o.result);
	}
	assert_nothing_left();
}

/* Statements that may fail end their transaction, alike in every run. */
static void test_may_fail(void **state)
{
	struct outcome o;

	(void)state;
	run_rounds("-- @scenario may fail\n-- @pragma journal_mode=wal\n" TABLE
		   "-- @client c repeat=12\nBEGIN;\nINSERT INTO t(v) VALUES ('kept?');\n"
		   "-- @may-fail\nINSERT INTO t(id) VALUES (:i % 3);\n"
		   "INSERT INTO t(v) VALUES ('after');\nCOMMIT;\n"
		   "UPDATE t SET v = :i WHERE id = 1;\n",
		   10, &o);
	if (o.c->verdict != CASE_HELD)
		show(o.c);
	assert_int_equal(o.c->verdict, CASE_HELD);
	assert_int_equal(o.c->grade, GRADE_DURABLE);
	result_release(&o.result);
}

/* ---- what is red ---- */

/* A journal in memory cannot undo what a killed process left half done. */
static void test_memory_journal_breaks(void **state)
{
	struct outcome o;

	(void)state;
	run_rounds("-- @scenario memory\n-- @pragma journal_mode=memory\n" TABLE WRITER(10),
		   CONTROL_ROUNDS, &o);
	assert_int_equal(o.c->verdict, CASE_VIOLATED);
	assert_true(o.c->grade <= GRADE_TORN);
	assert_true(o.c->violation_count > 0);
	for (size_t i = 0; i < o.c->violation_count; i++) {
		assert_non_null(strstr(o.c->violations[i].message, "of seed 1, writer 1 of 1"));
		assert_null(o.c->violations[i].token);
	}
	result_release(&o.result);
	assert_nothing_left();
}

/* Each defect of the store is noticed by the oracle that is there for it. */
static void test_planted_defects(void **state)
{
	static const struct {
		const char *defect, *oracle;
		enum grade grade;
	} rows[] = {
	    {"ack-before-commit", "history", GRADE_CONSISTENT},
	    {"batch-in-two-transactions", "batch", GRADE_TORN},
	    {"migration-outside-transaction", "schema", GRADE_TORN},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *text = xasprintf(ARCHIVE "-- @expect %s\n-- @plant %s\n"
					       "-- @workload store.archival batches=6 events=4\n",
				       grade_text(rows[i].grade), rows[i].defect);
		struct outcome o;

		run_rounds(text, CONTROL_ROUNDS, &o);
		if (o.c->verdict != CASE_HELD)
			show(o.c);
		assert_int_equal(o.c->verdict, CASE_HELD);
		assert_int_equal(o.c->grade, rows[i].grade);
		assert_true(has_violation(o.c, rows[i].oracle));
		assert_true((o.c->lost_acked_max > 0) == (rows[i].grade == GRADE_CONSISTENT));
		result_release(&o.result);
		free(text);
	}
	assert_nothing_left();
}

/* A defect of the shim is in no process; nothing is run. */
static void test_shim_defect_is_skipped(void **state)
{
	struct outcome o;

	(void)state;
	run_rounds(ARCHIVE "-- @plant missing-commit-sync\n-- @workload store.archival\n", 1, &o);
	assert_int_equal(o.c->verdict, CASE_SKIPPED);
	assert_non_null(strstr(o.c->reason, "missing-commit-sync"));
	assert_int_equal(o.c->grade, GRADE_NONE);
	result_release(&o.result);
}

/* An invariant that holds before and after a pair of transactions is broken by a kill between them,
 * and never by a kill inside a transaction. */
static void test_invariant(void **state)
{
	static const char *const bodies[] = {
	    "BEGIN;\nINSERT INTO log VALUES (1);\nUPDATE n SET x = x + 1;\nCOMMIT;\n",
	    "INSERT INTO log VALUES (1);\nUPDATE n SET x = x + 1;\n",
	};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		char *text = xasprintf(
		    "-- @scenario pairs\n-- @pragma journal_mode=delete\n-- @setup\n"
		    "CREATE TABLE n(x);\nINSERT INTO n VALUES (0);\nCREATE TABLE log(x);\n"
		    "-- @client a repeat=10\n%s-- @client b repeat=10\n%s"
		    "-- @invariant \"the log holds what was counted\"\n"
		    "SELECT x FROM n WHERE x <> (SELECT count(*) FROM log);\n",
		    bodies[i], bodies[i]);
		struct outcome o;

		run_rounds(text, i == 0 ? 10 : CONTROL_ROUNDS / 4, &o);
		if (has_violation(o.c, "invariant") != (i == 1))
			show(o.c);
		assert_true(has_violation(o.c, "invariant") == (i == 1));
		assert_int_equal(o.c->verdict, i == 0 ? CASE_HELD : CASE_VIOLATED);
		result_release(&o.result);
		free(text);
	}
	assert_nothing_left();
}

/* ---- errors ---- */

/* What is wrong with the scenario or the machine is an error with its place, and no verdict. */
static void test_errors(void **state)
{
	struct kill_options options = {.seed = 1, .rounds_max = 1};
	struct outcome o;

	(void)state;
	run_with("-- @scenario bad\n-- @setup\nCREATE TABLE t(x);\nNONSENSE;\n"
		 "-- @client c\nINSERT INTO t VALUES (1);\n",
		 &options, &o);
	assert_int_equal(o.rc, ERR_INPUT);
	assert_non_null(strstr(o.err.message, "test.sql:4:"));
	result_release(&o.result);
	assert_int_equal(setenv("TMPDIR", "/nonexistent", 1), 0);
	run_with("-- @scenario good\n" TABLE WRITER(2), &options, &o);
	assert_int_equal(setenv("TMPDIR", temporary, 1), 0);
	assert_int_equal(o.rc, ERR_IO);
	assert_non_null(strstr(o.err.message, "/nonexistent"));
	result_release(&o.result);
	assert_nothing_left();
}

/* ---- the clock ---- */

/* With libfaketime every fourth round has a clock that steps, and the writers see it; without it
 * that is told. Its shared memory is swept. */
static void test_clock(void **state)
{
	char *faketime = kill_find_faketime();
	struct kill_options options = {.seed = 1, .rounds_max = 8, .faketime = faketime};
	struct outcome o;

	(void)state;
	run_with(ARCHIVE "-- @workload store.archival batches=6 events=4\n", &options, &o);
	assert_int_equal(o.rc, 0);
	if (o.c->verdict != CASE_HELD)
		show(o.c);
	assert_int_equal(o.c->verdict, CASE_HELD);
	if (!kill_can_fake_time())
		assert_true(has_note(o.c, "clock rounds left out: this build has a sanitizer"));
	else if (faketime == NULL)
		assert_true(has_note(o.c, "clock rounds left out: libfaketime is not installed"));
	else
		assert_true(has_note(o.c, "2 rounds ran with a stepping clock"));
	result_release(&o.result);
	options.faketime = NULL;
	options.rounds_max = 1;
	run_with(ARCHIVE "-- @workload store.archival batches=2 events=2\n", &options, &o);
	assert_true(has_note(o.c, "clock rounds left out"));
	result_release(&o.result);
	free(faketime);
	assert_nothing_left();
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
static pid_t start_harness(void)
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
	struct outcome o;

	(void)setsid();
	(void)signal(SIGINT, on_interrupt);
	options.faketime = kill_can_fake_time() ? kill_find_faketime() : NULL;
	run_with(ARCHIVE "-- @workload store.archival batches=200 events=4\n", &options, &o);
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
static bool wait_for_session(pid_t session, int count, bool at_least)
{
	for (int ms = 0; ms < PATIENCE_MS; ms += 5) {
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
		pid_t pid = start_harness();

		(void)usleep(ms * 1000);
		assert_int_equal(kill(pid, SIGINT), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		assert_int_equal(session_size(pid), 0);
		assert_nothing_left();
	}
}

/* A harness that is killed itself takes its writers with it. */
static void test_harness_killed(void **state)
{
	int status = 0;
	pid_t pid = start_harness();

	(void)state;
	assert_true(wait_for_session(pid, 3, true)); /* two writers */
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_true(wait_for_session(pid, 0, false));
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

static int make_folder(void **state)
{
	(void)state;
	faketime_files = entries("/dev/shm", "faketime");
	if (mkdtemp(temporary) == NULL)
		return -1;
	return setenv("TMPDIR", temporary, 1);
}

static int remove_folder(void **state)
{
	(void)state;
	/* A harness that was killed leaves its folder. */
	char *command = xasprintf("rm -rf %s", temporary);
	int status = system(command);

	free(command);
	return status;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_store_holds),
	    cmocka_unit_test(test_client_holds),
	    cmocka_unit_test(test_several_clients),
	    cmocka_unit_test(test_not_the_same_twice),
	    cmocka_unit_test(test_may_fail),
	    cmocka_unit_test(test_memory_journal_breaks),
	    cmocka_unit_test(test_planted_defects),
	    cmocka_unit_test(test_shim_defect_is_skipped),
	    cmocka_unit_test(test_invariant),
	    cmocka_unit_test(test_errors),
	    cmocka_unit_test(test_clock),
	    cmocka_unit_test(test_interrupt),
	    cmocka_unit_test(test_no_job),
	    cmocka_unit_test(test_harness_killed), /* leaves a folder, so it comes last */
	};

	if (kill_is_writer())
		return kill_writer_main();
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
