/*
 * Workers whose code under test crashes, hangs, stops, or takes its time. The rest of workers.h
 * (signals, several of them, results that do not depend on their number) is checked on the built
 * program, in harness/cli/test/contract/workers.py.
 */
#include "harness/drive/workers.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/vfs.h"
#include "harness/drive/gate.h"
#include "harness/drive/isolate.h"
#include "harness/drive/test/record_help.h"

#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const uint64_t HANG_NS = 200 * 1000 * 1000;

/* ---- the code under test ------------------------------------------------------------------- */

static void loop(void)
{
	for (volatile int i = 0;; i = !i)
		;
}

/* Stops this process; a child of it makes it go on, later than a hang would be seen. */
static void stop_for_a_while(void)
{
	pid_t parent = getpid();

	if (fork() == 0) {
		(void)usleep(2 * (useconds_t)(HANG_NS / 1000));
		(void)kill(parent, SIGCONT);
		_exit(0);
	}
	(void)raise(SIGSTOP);
}

static int calls; /* that were to misbehave, in this process */

/* SQL function misbehave(HOW, WHEN): 0, or not even that. */
static void misbehave(sqlite3_context *context, int count, sqlite3_value **values)
{
	const char *how = (const char *)sqlite3_value_text(values[0]);

	ASSERT_OP(count, ==, 2);
	if (sqlite3_value_int(values[1]) != 0) {
		calls++;
		if (strcmp(how, "loop") == 0)
			loop();
		if (strcmp(how, "sleep") == 0)
			for (;;)
				(void)pause();
		if (strcmp(how, "stop") == 0)
			stop_for_a_while();
		if (strcmp(how, "assert") == 0)
			ASSERT_OP(calls, ==, -1);
		if (strcmp(how, "late") == 0 && calls > 1)
			(void)raise(SIGSEGV);
		if (strcmp(how, "segv") == 0)
			(void)raise(SIGSEGV);
	}
	sqlite3_result_int(context, 0);
}

static int add_function(sqlite3 *db, char **message, const struct sqlite3_api_routines *api)
{
	(void)message;
	(void)api;
	return sqlite3_create_function(db, "misbehave", 2, SQLITE_UTF8, NULL, misbehave, NULL,
				       NULL);
}

/* ---- running it ---------------------------------------------------------------------------- */

/* Both tables are in pages of their own, so that half a transaction can be there; only then are
 * there as many rows in one as not in the other, which no recorded state has. */
static void record(const char *how, struct recorded *ret)
{
	struct buf text;

	buf_init(&text);
	buf_printf(&text,
		   "-- @scenario half transactions\n"
		   "-- @pragma journal_mode=memory synchronous=full\n"
		   "-- @setup\n"
		   "CREATE TABLE t(x);\n"
		   "CREATE TABLE u(x);\n"
		   "-- @client c\n"
		   "BEGIN;\n"
		   "INSERT INTO t VALUES (1);\n"
		   "INSERT INTO u VALUES (2);\n"
		   "COMMIT;\n"
		   "-- @invariant \"it comes back\"\n"
		   "%s;\n",
		   how);
	record_text(buf_str(&text), ret);
	buf_release(&text);
}

#define WHEN_HALF(how)                                                                             \
	"SELECT 1 WHERE misbehave('" how "', (SELECT count(*) FROM t) <> (SELECT count(*) FROM "   \
	"u))"

/* Explores; the case is the only one of *ret. */
static const struct case_result *explore_it(const struct recorded *r, struct gate *gate,
					    struct result *ret)
{
	struct err err = ERR_INIT;
	struct case_result *c;

	result_init(ret, "run", 1);
	c = result_add(ret);
	c->required = GRADE_CORRUPT;
	c->has_required = true;
	if (gate_explore(gate, r->subject, r->trace, c, &err) != 0)
		fail_msg("%s", err.message);
	return c;
}

static const struct result_violation *recovery_of(const struct case_result *c)
{
	for (size_t i = 0; i < c->violation_count; i++)
		if (strcmp(c->violations[i].oracle, "recovery") == 0)
			return &c->violations[i];
	return NULL;
}

static void replay_says_so_again(struct gate *gate, const char *message)
{
	for (size_t i = 0; i < gate->case_count; i++) {
		struct case_file *c = NULL;
		struct err err = ERR_INIT;
		struct gate_replay options = {.hang_ns = HANG_NS};
		struct verdict verdicts[4];
		size_t count;
		enum grade grade;
		uint64_t lost, commits;
		assert_int_equal(case_file_decode(gate->cases[i].bytes.data,
						  gate->cases[i].bytes.size, &c, &err),
				 0);
		if (strcmp(c->finding.oracle, "recovery") == 0) {
			assert_int_equal(gate_replay(c, &options, verdicts, 4, &count, &grade,
						     &lost, &commits, &err),
					 0);
			assert_int_equal(count, 1);
			assert_int_equal(grade, GRADE_CORRUPT);
			assert_string_equal(verdicts[0].oracle, "recovery");
			assert_string_equal(verdicts[0].message, message);
			case_file_free(c);
			return;
		}
		case_file_free(c);
	}
	fail_msg("no case file of the finding");
}

static void check_finding(const char *how, const char *message, unsigned jobs_max)
{
	uint64_t recoveries = 0;

	for (unsigned jobs = 1; jobs <= jobs_max; jobs += 2) {
		struct recorded r;
		struct gate gate = {.jobs = jobs, .hang_ns = HANG_NS};
		struct result result;
		record(how, &r);
		const struct case_result *c = explore_it(&r, &gate, &result);
		const struct result_violation *v = recovery_of(c);
		assert_non_null(v);
		assert_int_equal(v->grade, GRADE_CORRUPT);
		assert_string_equal(v->message, message);
		assert_int_equal(c->grade, GRADE_CORRUPT);
		assert_int_equal(c->verdict, CASE_HELD); /* no more is required */
		assert_false(c->exhaustive);
		assert_true(jobs == 1 || c->recoveries == recoveries);
		recoveries = c->recoveries;
		replay_says_so_again(&gate, message);
		gate_release(&gate);
		result_release(&result);
		recorded_release(&r);
	}
	assert_true(recoveries > 3); /* the other points were explored */
}

/* ---- tests --------------------------------------------------------------------------------- */

/* A loop in C is found, its point ends, the others do not; with any number of workers. */
static void test_loop(void **state)
{
	(void)state;
	check_finding(WHEN_HALF("loop"), "recovery does not end: nothing came back in 0.2 s", 3);
}

/* So is a deadlock, which takes no time of the processor. */
static void test_sleep(void **state)
{
	(void)state;
	check_finding(WHEN_HALF("sleep"), "recovery does not end: nothing came back in 0.2 s", 1);
}

static void test_fault(void **state)
{
	(void)state;
	check_finding(WHEN_HALF("segv"),
		      "recovering or reading ends the process: killed by SIGSEGV", 3);
}

/* What takes longer than the bound and comes back is no finding of the oracle. */
static void check_no_finding(const char *how)
{
	struct recorded r;
	struct gate gate = {.jobs = 2, .hang_ns = HANG_NS / 3};
	struct result result;

	record(how, &r);
	const struct case_result *c = explore_it(&r, &gate, &result);
	if (c->verdict != CASE_HELD)
		fail_msg("%s", c->reason);
	assert_null(recovery_of(c));
	assert_int_equal(c->grade, GRADE_TORN);
	assert_true(c->exhaustive);
	gate_release(&gate);
	result_release(&result);
	recorded_release(&r);
}

/* SQL that steps on is alive. */
static void test_slow_sql(void **state)
{
	(void)state;
	check_no_finding("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n\n"
			 " WHERE i < 1500000 * ((SELECT count(*) FROM t) > "
			 "(SELECT count(*) FROM u)))\n"
			 "SELECT 1 FROM n WHERE i < 0");
}

/* A process that is stopped does not hang. */
static void test_stopped(void **state)
{
	(void)state;
	check_no_finding(WHEN_HALF("stop"));
}

static void check_error(const char *how, const char *part)
{
	struct recorded r;
	struct gate gate = {.jobs = 2, .hang_ns = HANG_NS};
	struct result result;

	record(how, &r);
	const struct case_result *c = explore_it(&r, &gate, &result);
	assert_int_equal(c->verdict, CASE_ERROR);
	assert_int_equal(c->grade, GRADE_NONE);
	assert_null(recovery_of(c));
	if (strstr(c->reason, part) == NULL)
		fail_msg("'%s' is not in: %s", part, c->reason);
	gate_release(&gate);
	result_release(&result);
	recorded_release(&r);
}

/* An assertion of ours is no finding, although it aborts. */
static void test_assertion(void **state)
{
	(void)state;
	check_error(WHEN_HALF("assert"), "assertion failed: calls == -1");
}

/* A crash that comes from what was before the state would not replay. */
static void test_late_crash(void **state)
{
	(void)state;
	check_error(WHEN_HALF("late"), "by itself does not do that");
}

/* Time that is up ends a worker that hangs, too. */
static void test_deadline(void **state)
{
	struct recorded r;
	struct gate gate = {.jobs = 2};
	struct result result;
	uint64_t begin;

	(void)state;
	record(WHEN_HALF("loop"), &r);
	begin = gate_now_ns();
	gate.deadline_ns = begin + HANG_NS;
	const struct case_result *c = explore_it(&r, &gate, &result);
	assert_true(gate_now_ns() - begin < UINT64_C(6000000000));
	assert_int_equal(c->verdict, CASE_INCONCLUSIVE);
	assert_null(recovery_of(c));
	if (strstr(c->reason, "budget spent") == NULL)
		fail_msg("%s", c->reason);
	gate_release(&gate);
	result_release(&result);
	recorded_release(&r);
}

/* ---- what is remembered -------------------------------------------------------------------- */

/* An examiner that must forget all the time finds the same. */
static void test_forgetful(void **state)
{
	struct recorded r;
	struct examiner *e[2];
	struct explore_stats stats[2];
	struct trace_index *ix;
	struct model model;
	struct err err = ERR_INIT;
	struct explore_points points;
	uint64_t *extra, observed[2], hits[2];
	size_t extra_count;

	(void)state;
	record("SELECT 1 WHERE 0", &r);
	assert_int_equal(model_find("strict-posix", &model, &err), 0);
	assert_int_equal(trace_index_build(r.trace, &model, &ix, &err), 0);
	for (int i = 0; i < 2; i++) {
		struct explore_callbacks callbacks = {.examine = examiner_examine};
		assert_int_equal(examiner_create(r.subject, ix, false, &e[i], &err), 0);
		if (i == 1)
			examiner_bound(e[i], 1, 1);
		callbacks.ctx = e[i];
		history_points(examiner_history(e[i]), &extra, &extra_count);
		explore_points(ix, &model, extra, extra_count, &points);
		explore_stats_init(&stats[i]);
		assert_int_equal(
		    explore(ix, &model, points.items, points.count, &callbacks, &stats[i], &err),
		    0);
		examiner_counts(e[i], &observed[i], &hits[i]);
		explore_points_release(&points);
		free(extra);
	}
	assert_true(observed[1] > observed[0]);
	assert_int_equal(stats[0].recoveries, stats[1].recoveries);
	assert_int_equal(mpz_cmp(stats[0].covered, stats[1].covered), 0);
	assert_int_equal(examiner_grade(e[0]), examiner_grade(e[1]));
	const struct finding *a, *b;
	size_t count = examiner_findings(e[0], &a);
	assert_int_equal(count, examiner_findings(e[1], &b));
	assert_true(count > 0);
	for (size_t i = 0; i < count; i++) {
		assert_string_equal(a[i].verdict.message, b[i].verdict.message);
		assert_int_equal(a[i].recovery, b[i].recovery);
	}
	for (int i = 0; i < 2; i++) {
		explore_stats_release(&stats[i]);
		examiner_free(e[i]);
	}
	trace_index_free(ix);
	recorded_release(&r);
}

/* ---- one child ----------------------------------------------------------------------------- */

enum child_does { ENDS, FAULTS_UNDER_TEST, FAULTS_OUTSIDE, EXITS_UNDER_TEST, EXITS_OUTSIDE };

static void do_it(void *ctx, struct isolate *i, int out)
{
	enum child_does what = *(const enum child_does *)ctx;

	(void)!write(out, "x", 1);
	choice_begin(&i->choice, NULL, 0, 0, CHOICE_LAST);
	(void)choice_next(&i->choice, 7, 1);
	(void)choice_next(&i->choice, 3, 2);
	if (what == FAULTS_UNDER_TEST || what == EXITS_UNDER_TEST)
		isolate_enter(i);
	if (what == FAULTS_UNDER_TEST || what == FAULTS_OUTSIDE)
		(void)raise(SIGFPE);
	if (what == EXITS_UNDER_TEST || what == EXITS_OUTSIDE)
		_exit(3);
}

/* Who died of what: the code under test, or we; and which answers had led there. */
static void test_deaths(void **state)
{
	static const struct {
		enum child_does what;
		enum isolate_fate fate;
		const char *text;
	} expected[] = {
	    {ENDS, ISOLATE_ENDED, ""},
	    {FAULTS_UNDER_TEST, ISOLATE_CRASHED, "killed by SIGFPE"},
	    {FAULTS_OUTSIDE, ISOLATE_VANISHED, "killed by SIGFPE"},
	    {EXITS_UNDER_TEST, ISOLATE_CRASHED, "exit status 3"},
	    {EXITS_OUTSIDE, ISOLATE_VANISHED, "exit status 3"},
	};
	struct isolate *i = isolate_create();

	(void)state;
	for (size_t k = 0; k < sizeof expected / sizeof expected[0]; k++) {
		enum child_does what = expected[k].what;
		struct isolate_work work = {.child = do_it, .ctx = &what, .hang_ns = UINT64_MAX};
		struct isolate_death death;
		struct err err = ERR_INIT;
		struct buf out;
		uint32_t *answers;
		size_t count;
		buf_init(&out);
		assert_int_equal(isolate_run(i, &work, &out, &death, &err), 0);
		assert_int_equal(out.size, 1); /* what it had written */
		assert_int_equal(death.fate, expected[k].fate);
		assert_string_equal(death.text, expected[k].text);
		assert_int_equal(isolate_answers(i, &answers, &count, &err), 0);
		assert_int_equal(count, 2);
		assert_int_equal(answers[0], 6);
		assert_int_equal(answers[1], 2);
		free(answers);
		buf_release(&out);
	}
	/* A wild write. */
	struct err err = ERR_INIT;
	uint32_t *answers;
	size_t count;
	i->choice.steps[1].answer = 3;
	assert_int_equal(isolate_answers(i, &answers, &count, &err), ERR_HARNESS);
	i->choice.count = SIZE_MAX;
	assert_int_equal(isolate_answers(i, &answers, &count, &err), ERR_HARNESS);
	isolate_free(i);
}

static int setup(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	if (sqlite3_auto_extension((void (*)(void))(uintptr_t)add_function) != SQLITE_OK)
		return -1;
	return fi_vfs_register(&err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_deaths),    cmocka_unit_test(test_fault),
	    cmocka_unit_test(test_loop),      cmocka_unit_test(test_sleep),
	    cmocka_unit_test(test_slow_sql),  cmocka_unit_test(test_stopped),
	    cmocka_unit_test(test_assertion), cmocka_unit_test(test_late_crash),
	    cmocka_unit_test(test_deadline),  cmocka_unit_test(test_forgetful),
	};

	observer_configure();
	return cmocka_run_group_tests(tests, setup, NULL);
}
