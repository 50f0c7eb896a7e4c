/* Real kills, end to end: scenarios are run as processes, killed and judged, and nothing is left of
 * them. This program is its own writer, as plugpull is. */
#include "harness/drive/test/kill_help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CONTROL_ROUNDS = 200 }; /* within these a control has to be red */

/* ---- what holds ---- */

/* The store loses nothing, also where a migration is cut short and where two write at once. */
static void test_store_holds(void **state)
{
	struct kill_outcome o;

	(void)state;
	kill_test_rounds(ARCHIVE "-- @workload store.archival batches=6 events=4\n", 12, &o);
	if (o.c->verdict != CASE_HELD)
		kill_test_show(o.c);
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
	kill_test_nothing_left();
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
		struct kill_outcome o;

		kill_test_rounds(text, 15, &o);
		if (o.c->verdict != CASE_HELD)
			kill_test_show(o.c);
		assert_int_equal(o.c->verdict, CASE_HELD);
		assert_int_equal(o.c->grade, GRADE_DURABLE);
		assert_false(o.c->has_expected);
		assert_int_equal(o.c->not_applicable_count, 0);
		result_release(&o.result);
		free(text);
	}
	kill_test_nothing_left();
}

/* A reader beside the one that writes changes nothing about that; with two that write, durability
 * is not claimed, and the reason is told. */
static void test_several_clients(void **state)
{
	struct kill_outcome o;

	(void)state;
	kill_test_rounds("-- @scenario reader\n-- @pragma journal_mode=wal\n" TABLE
			 "-- @client reader repeat=20\nSELECT count(*) FROM t;\n" WRITER(10),
			 24, &o);
	assert_int_equal(o.c->verdict, CASE_HELD);
	assert_int_equal(o.c->grade, GRADE_DURABLE);
	result_release(&o.result);
	kill_test_rounds(
	    "-- @scenario two\n-- @pragma journal_mode=wal\n" TABLE WRITER(
		10) "-- @client other repeat=10\nINSERT INTO t(v) VALUES (:client);\n"
		    "-- @invariant \"ids have no hole\"\n"
		    "SELECT max(id) FROM t GROUP BY NULL HAVING max(id) <> count(*);\n",
	    24, &o);
	if (o.c->verdict != CASE_INCONCLUSIVE)
		kill_test_show(o.c);
	assert_int_equal(o.c->verdict, CASE_INCONCLUSIVE);
	assert_non_null(strstr(o.c->reason, "durability was not judged"));
	assert_int_equal(o.c->grade, GRADE_NONE);
	assert_non_null(strstr(kill_test_unknown(o.c), "2 clients write"));
	result_release(&o.result);
	kill_test_nothing_left();
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
		struct kill_outcome o;

		kill_test_rounds(rows[i].text, 6, &o);
		if (o.c->violation_count > 0)
			kill_test_show(o.c);
		assert_int_equal(o.c->violation_count, 0);
		if (rows[i].reason[0] == '\0') {
			assert_string_equal(kill_test_unknown(o.c), "");
			assert_int_equal(o.c->grade, GRADE_DURABLE);
		} else {
			assert_non_null(strstr(kill_test_unknown(o.c), rows[i].reason));
			assert_int_equal(o.c->grade, GRADE_NONE);
		}
		result_release(&o.result);
	}
	kill_test_nothing_left();
}

/* Statements that may fail end their transaction, alike in every run. */
static void test_may_fail(void **state)
{
	struct kill_outcome o;

	(void)state;
	kill_test_rounds("-- @scenario may fail\n-- @pragma journal_mode=wal\n" TABLE
			 "-- @client c repeat=12\nBEGIN;\nINSERT INTO t(v) VALUES ('kept?');\n"
			 "-- @may-fail\nINSERT INTO t(id) VALUES (:i % 3);\n"
			 "INSERT INTO t(v) VALUES ('after');\nCOMMIT;\n"
			 "UPDATE t SET v = :i WHERE id = 1;\n",
			 10, &o);
	if (o.c->verdict != CASE_HELD)
		kill_test_show(o.c);
	assert_int_equal(o.c->verdict, CASE_HELD);
	assert_int_equal(o.c->grade, GRADE_DURABLE);
	result_release(&o.result);
}

/* ---- what is red ---- */

/* A journal in memory cannot undo what a killed process left half done. */
static void test_memory_journal_breaks(void **state)
{
	struct kill_outcome o;

	(void)state;
	kill_test_rounds("-- @scenario memory\n-- @pragma journal_mode=memory\n" TABLE WRITER(10),
			 CONTROL_ROUNDS, &o);
	assert_int_equal(o.c->verdict, CASE_VIOLATED);
	assert_true(o.c->grade <= GRADE_TORN);
	assert_true(o.c->violation_count > 0);
	for (size_t i = 0; i < o.c->violation_count; i++) {
		assert_non_null(strstr(o.c->violations[i].message, "of seed 1, "));
		assert_null(o.c->violations[i].token);
	}
	result_release(&o.result);
	kill_test_nothing_left();
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
		struct kill_outcome o;

		kill_test_rounds(text, CONTROL_ROUNDS, &o);
		if (o.c->verdict != CASE_HELD)
			kill_test_show(o.c);
		assert_int_equal(o.c->verdict, CASE_HELD);
		assert_int_equal(o.c->grade, rows[i].grade);
		assert_true(kill_test_violation(o.c, rows[i].oracle));
		assert_true((o.c->lost_acked_max > 0) == (rows[i].grade == GRADE_CONSISTENT));
		result_release(&o.result);
		free(text);
	}
	kill_test_nothing_left();
}

/* A defect that no process can play is skipped; nothing is run. */
static void test_shim_defect_is_skipped(void **state)
{
	struct kill_outcome o;

	(void)state;
	kill_test_rounds(
	    ARCHIVE "-- @plant checkpoint-without-log-sync\n-- @workload store.archival\n", 1, &o);
	assert_int_equal(o.c->verdict, CASE_SKIPPED);
	assert_non_null(strstr(o.c->reason, "checkpoint-without-log-sync"));
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
		struct kill_outcome o;

		kill_test_rounds(text, i == 0 ? 10 : CONTROL_ROUNDS / 4, &o);
		if (kill_test_violation(o.c, "invariant") != (i == 1))
			kill_test_show(o.c);
		assert_true(kill_test_violation(o.c, "invariant") == (i == 1));
		assert_int_equal(o.c->verdict, i == 0 ? CASE_INCONCLUSIVE : CASE_VIOLATED);
		result_release(&o.result);
		free(text);
	}
	kill_test_nothing_left();
}

/* ---- errors ---- */

/* What is wrong with the scenario or the machine is an error with its place, and no verdict. */
static void test_errors(void **state)
{
	struct kill_options options = {.seed = 1, .rounds_max = 1};
	struct kill_outcome o;

	(void)state;
	kill_test_run("-- @scenario bad\n-- @setup\nCREATE TABLE t(x);\nNONSENSE;\n"
		      "-- @client c\nINSERT INTO t VALUES (1);\n",
		      &options, &o);
	assert_int_equal(o.rc, ERR_INPUT);
	assert_non_null(strstr(o.err.message, "test.sql:4:"));
	result_release(&o.result);
	assert_int_equal(setenv("TMPDIR", "/nonexistent", 1), 0);
	kill_test_run("-- @scenario good\n" TABLE WRITER(2), &options, &o);
	assert_int_equal(setenv("TMPDIR", kill_test_folder(), 1), 0);
	assert_int_equal(o.rc, ERR_IO);
	assert_non_null(strstr(o.err.message, "/nonexistent"));
	result_release(&o.result);
	kill_test_nothing_left();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_store_holds),	    cmocka_unit_test(test_client_holds),
	    cmocka_unit_test(test_several_clients), cmocka_unit_test(test_not_the_same_twice),
	    cmocka_unit_test(test_may_fail),	    cmocka_unit_test(test_memory_journal_breaks),
	    cmocka_unit_test(test_planted_defects), cmocka_unit_test(test_shim_defect_is_skipped),
	    cmocka_unit_test(test_invariant),	    cmocka_unit_test(test_errors),
	};

	if (kill_is_writer())
		return kill_writer_main();
	return cmocka_run_group_tests(tests, kill_test_make_folder, kill_test_remove_folder);
}
