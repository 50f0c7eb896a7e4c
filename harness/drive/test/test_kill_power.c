/* Power cuts after real kills, and who is beside the writers: what only a power cut shows is seen
 * only with one, what a reader sees wrong is a finding, and rounds add up over interruptions. */
#include "harness/drive/kill_case.h"
#include "harness/drive/kill_resume.h"
#include "harness/drive/test/kill_help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { CONTROL_ROUNDS = 80 }; /* within these a control has to be red */

#define SMALL "-- @workload store.archival batches=6 events=4\n"

/* ---- what a power cut shows ---- */

/* At full settings a power cut takes no acknowledged event, and what it left is counted. */
static void test_store_holds(void **state)
{
	struct kill_outcome o;

	(void)state;
	kill_test_power(ARCHIVE SMALL, "strict-posix", 40, &o);
	if (o.c->verdict != CASE_HELD)
		kill_test_show(o.c);
	assert_int_equal(o.c->verdict, CASE_HELD);
	assert_int_equal(o.c->grade, GRADE_DURABLE);
	assert_true(kill_test_note(o.c, "ended in a power cut under strict-posix"));
	/* Each power cut is looked at in several states. */
	assert_true(o.c->recoveries > 42);
	result_release(&o.result);
	kill_test_nothing_left();
}

/* A log that is never synced harms nobody whose machine stays up, and neither does a folder: kills
 * alone do not show it, and power cuts do. An acknowledgement that comes too early is shown by
 * both.
 */
static void test_missing_sync(void **state)
{
	static const struct {
		const char *text;
		enum grade worst, best; /* with power cuts */
		bool kills_show;
		uint64_t rounds;
	} rows[] = {
	    {ARCHIVE "-- @expect corrupt\n-- @plant missing-commit-sync\n" SMALL, GRADE_CORRUPT,
	     GRADE_CORRUPT, false, CONTROL_ROUNDS},
	    {ARCHIVE "-- @expect corrupt\n-- @plant directory-never-synced\n" SMALL, GRADE_CORRUPT,
	     GRADE_CONSISTENT, false, 3 * CONTROL_ROUNDS},
	    {ARCHIVE "-- @expect consistent\n-- @plant ack-before-commit\n" SMALL, GRADE_CONSISTENT,
	     GRADE_CONSISTENT, true, CONTROL_ROUNDS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct kill_outcome o;

		kill_test_power(rows[i].text, "strict-posix", rows[i].rounds, &o);
		if (o.c->grade < rows[i].worst || o.c->grade > rows[i].best)
			kill_test_show(o.c);
		assert_in_range(o.c->grade, rows[i].worst, rows[i].best);
		for (size_t v = 0; v < o.c->violation_count && !rows[i].kills_show; v++) {
			if (strstr(o.c->violations[v].message, "then a power cut") == NULL)
				kill_test_show(o.c);
			assert_non_null(strstr(o.c->violations[v].message, "then a power cut"));
		}
		result_release(&o.result);
		kill_test_rounds(rows[i].text, CONTROL_ROUNDS, &o);
		assert_int_equal(o.c->violation_count > 0, rows[i].kills_show);
		result_release(&o.result);
	}
	kill_test_nothing_left();
}

/* Without synchronous=full a power cut may take commits, which the scenario's own @expect allows
 * after one, and a kill alone still may not. Under a model that loses nothing it takes none. */
static void test_own_rules(void **state)
{
	static const char text[] =
	    "-- @scenario normal\n-- @pragma journal_mode=wal synchronous=off\n"
	    "-- @expect corrupt if model=strict-posix\n" TABLE WRITER(20);
	struct kill_outcome o;

	(void)state;
	kill_test_power(text, "strict-posix", 60, &o);
	if (o.c->verdict != CASE_HELD)
		kill_test_show(o.c);
	assert_int_equal(o.c->verdict, CASE_HELD);
	assert_true(o.c->grade < GRADE_DURABLE);
	assert_true(kill_test_note(o.c, "the scenario asks only corrupt"));
	for (size_t v = 0; v < o.c->violation_count; v++)
		assert_non_null(strstr(o.c->violations[v].message, "then a power cut"));
	result_release(&o.result);
	kill_test_power(text, "process-crash", 30, &o);
	assert_int_equal(o.c->grade, GRADE_DURABLE);
	result_release(&o.result);
}

/* A write that the log does not have would be lost in every state: it is an error of the harness,
 * and no verdict. */
static void test_log_with_holes(void **state)
{
	struct kill_outcome o;

	(void)state;
	kill_test_power(ARCHIVE "-- @plant trace-with-a-hole\n" SMALL, "strict-posix", 60, &o);
	assert_int_equal(o.c->verdict, CASE_ERROR);
	assert_non_null(strstr(o.c->reason, "does not make its files"));
	result_release(&o.result);
	kill_test_nothing_left();
}

/* ---- who is beside the writers ---- */

#define TWO_WRITE                                                                                  \
	"-- @kill readers=2 checkpointers=2\n" TABLE WRITER(                                       \
	    20) "-- @client other repeat=20\nUPDATE t SET v = :r WHERE id = 2;\n"

/* Readers and checkpointers of any number change nothing about what holds, in a log or a journal,
 * and a case that has none says so. */
static void test_processes(void **state)
{
	static const struct {
		const char *text, *note;
	} rows[] = {
	    {"-- @scenario log\n-- @pragma journal_mode=wal\n"
	     "-- @kill readers=3 checkpointers=2\n" TABLE WRITER(20),
	     "1 writing, 3 reading, 2 checkpointing"},
	    {"-- @scenario journal\n-- @pragma journal_mode=delete synchronous=extra\n" TABLE
		 WRITER(10),
	     "1 writing, 1 reading, 0 checkpointing"},
	    {"-- @scenario alone\n-- @pragma locking_mode=exclusive\n" TABLE WRITER(10),
	     "keeps everybody else out"},
	    {ARCHIVE "-- @kill writers=4 readers=0 checkpointers=0\n" SMALL,
	     "4 writing, 0 reading, 0 checkpointing"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct kill_outcome o;

		kill_test_rounds(rows[i].text, 15, &o);
		if (o.c->verdict != CASE_HELD || !kill_test_note(o.c, rows[i].note))
			kill_test_show(o.c);
		assert_int_equal(o.c->verdict, CASE_HELD);
		assert_int_equal(o.c->grade, GRADE_DURABLE);
		assert_true(kill_test_note(o.c, rows[i].note));
		result_release(&o.result);
	}
	kill_test_nothing_left();
}

/* What a reader sees that it must not see is a finding, by the oracle that is there for it: content
 * that changes while it reads (a planted defect: it reads without a transaction), and states
 * between two transactions that should be one. */
static void test_readers_find(void **state)
{
	static const struct {
		const char *text, *oracle, *words;
	} rows[] = {
	    {"-- @scenario changes\n-- @pragma journal_mode=wal\n"
	     "-- @plant " KILL_PLANT_READERS "\n" TWO_WRITE,
	     "history", "changed inside its transaction"},
	    {"-- @scenario between\n-- @pragma journal_mode=wal\n-- @setup\n"
	     "CREATE TABLE n(x);\nINSERT INTO n VALUES (0);\nCREATE TABLE log(x);\n"
	     "-- @client a repeat=300\nINSERT INTO log VALUES (1);\nUPDATE n SET x = x + 1;\n"
	     "-- @invariant \"the log holds what was counted\"\n"
	     "SELECT x FROM n WHERE x < (SELECT count(*) FROM log) - 1;\n"
	     "-- @invariant \"nothing is in between\"\n"
	     "SELECT x FROM n WHERE x <> (SELECT count(*) FROM log);\n",
	     "invariant", "while the writers wrote"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct kill_outcome o;
		bool found = false;

		kill_test_rounds(rows[i].text, 40, &o);
		for (size_t v = 0; v < o.c->violation_count; v++)
			found =
			    found || (strcmp(o.c->violations[v].oracle, rows[i].oracle) == 0 &&
				      strstr(o.c->violations[v].message, rows[i].words) != NULL);
		if (!found)
			kill_test_show(o.c);
		assert_true(found);
		result_release(&o.result);
	}
	kill_test_nothing_left();
}

/* ---- going on ---- */

static void run_resumed(const char *path, uint64_t rounds, struct kill_outcome *ret)
{
	struct kill_options options = {.seed = 3, .rounds_max = rounds, .jobs = 2};
	uint64_t torn;

	assert_int_equal(kill_resume_open(path, &options.resume, &torn, &ret->err), 0);
	kill_test_run(ARCHIVE SMALL, &options, ret);
	if (ret->rc != 0)
		fail_msg("%s", ret->err.message);
	kill_resume_close(options.resume);
}

/* A run that goes on with the file of another adds its rounds to those, does none of them twice,
 * and a run with everything in the file does none at all. */
static void test_resume(void **state)
{
	char *path = xasprintf("%s/rounds", kill_test_folder());
	struct kill_outcome first, second, third;

	(void)state;
	run_resumed(path, 8, &first);
	run_resumed(path, 21, &second);
	run_resumed(path, 21, &third);
	if (third.c->verdict != CASE_HELD)
		kill_test_show(third.c);
	assert_int_equal(first.c->rounds, 8);
	assert_int_equal(second.c->rounds, 21);
	assert_true(second.c->commits > first.c->commits);
	assert_int_equal(third.c->rounds, 21);
	/* But for the warm-ups, which are not in the file. */
	assert_int_equal(third.c->recoveries, second.c->recoveries);
	assert_int_equal(third.c->verdict, CASE_HELD);
	result_release(&first.result);
	result_release(&second.result);
	result_release(&third.result);
	assert_int_equal(unlink(path), 0);
	free(path);
	kill_test_nothing_left();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_store_holds), cmocka_unit_test(test_missing_sync),
	    cmocka_unit_test(test_own_rules),	cmocka_unit_test(test_log_with_holes),
	    cmocka_unit_test(test_processes),	cmocka_unit_test(test_readers_find),
	    cmocka_unit_test(test_resume),
	};

	if (kill_is_writer())
		return kill_writer_main();
	return cmocka_run_group_tests(tests, kill_test_make_folder, kill_test_remove_folder);
}
