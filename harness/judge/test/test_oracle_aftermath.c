/*
 * The oracles of what follows recovery, on observations made by hand: green on nothing to object
 * to, red on each thing that they claim to find, silent where legal states do the same.
 */
#include "harness/judge/test/bench.h"

enum { READONLY = 8, LOCKED_SHAREDCACHE = 6 | 1 << 8, PROTOCOL = 15, FULL = 13 };

static void start(struct bench *b)
{
	bench_init(b, (struct judge_config){0});
	expect_held(b);
}

static void fail_step(struct observed_failure *step, int rc, const char *text)
{
	step->rc = rc;
	(void)snprintf(step->text, sizeof step->text, "%s", text);
}

/* Exactly one reason why the oracle does not apply, with these words. */
static void expect_excused(struct bench *b, const char *oracle, const char *words)
{
	struct judge_not_applicable na[4];

	expect_held(b);
	assert_int_equal(judge_not_applicable(b->j, na, 0), 0);
	assert_int_equal(judge_not_applicable(b->j, na, 4), 1);
	assert_string_equal(na[0].oracle, oracle);
	assert_non_null(strstr(na[0].reason, words));
	assert_true(judge_always_on(oracle));
}

/* A hot journal is a finding outside the scale: the grade stays what it is. */
static void test_leftovers(void **state)
{
	struct bench b;

	(void)state;
	start(&b);
	learn(&b);
	strcpy(b.o.aftermath.hot, "/db/main.db-journal");
	look(&b);
	assert_int_equal(b.count, 1);
	assert_string_equal(b.found[0].oracle, "leftovers");
	assert_int_equal(b.found[0].grade, GRADE_NONE);
	assert_non_null(strstr(b.found[0].message, "a hot journal: /db/main.db-journal"));
	assert_int_equal(b.grade, GRADE_DURABLE);
	learn(&b);
	expect_excused(&b, "leftovers", "a legal state leaves");
	bench_release(&b);
}

/* What a second open shows and does: failing, hanging and other content are corrupt, and changed
 * files are outside the scale; each kind is excused by itself. */
static void test_second_open(void **state)
{
	struct bench b;

	(void)state;
	start(&b);
	fail_step(&b.o.aftermath.second, NOTADB, "PRAGMA x: file is not a database");
	expect_found(&b, "second-open", GRADE_CORRUPT,
		     "a second time: PRAGMA x: file is not a database (code 26)");
	bench_reset(&b);
	b.o.aftermath.hung = true;
	expect_found(&b, "second-open", GRADE_CORRUPT, "does not end");
	bench_reset(&b);
	b.o.aftermath.differs = true;
	expect_found(&b, "second-open", GRADE_CORRUPT, "the content is another one");
	bench_reset(&b);
	strcpy(b.o.aftermath.changed, "write to /db/main.db");
	look(&b);
	assert_int_equal(b.count, 1);
	assert_int_equal(b.found[0].grade, GRADE_NONE);
	assert_int_equal(b.grade, GRADE_DURABLE);
	assert_non_null(strstr(b.found[0].message, "still changes files: write to /db/main.db"));
	learn(&b);
	expect_excused(&b, "second-open", "changes files, too");
	b.o.aftermath.differs = true;
	expect_found(&b, "second-open", GRADE_CORRUPT, "the content is another one");
	bench_release(&b);
}

/* A refused write is corrupt, and so is one that nobody else sees; a code that a legal state met is
 * excused, and no other one. */
static void test_writable(void **state)
{
	struct bench b;

	(void)state;
	start(&b);
	fail_step(&b.o.aftermath.write, READONLY | 5 << 8, "PRAGMA v: attempt to write");
	expect_found(&b, "writable", GRADE_CORRUPT, "after recovery: PRAGMA v: attempt to write");
	learn(&b);
	expect_excused(&b, "writable", "cannot be written either: PRAGMA v: attempt to write");
	fail_step(&b.o.aftermath.write, READONLY, "PRAGMA v: attempt to write");
	expect_held(&b);
	fail_step(&b.o.aftermath.write, FULL, "PRAGMA v: disk is full");
	expect_found(&b, "writable", GRADE_CORRUPT, "disk is full (code 13)");
	bench_release(&b);
	start(&b);
	b.o.aftermath.unread = true;
	expect_found(&b, "writable", GRADE_CORRUPT, "not read by another connection");
	learn(&b);
	expect_excused(&b, "writable", "is not read by another connection");
	bench_release(&b);
}

/* Being locked out is outside the scale, wherever it happens; during the observation it is no
 * finding of "recovery" any more. */
static void test_liveness(void **state)
{
	static const int codes[] = {BUSY, BUSY | 2 << 8, LOCKED_SHAREDCACHE, PROTOCOL};
	struct bench b;

	(void)state;
	start(&b);
	fail_step(&b.o.aftermath.locked_out, BUSY, "PRAGMA v: database is locked");
	look(&b);
	assert_int_equal(b.count, 1);
	assert_string_equal(b.found[0].oracle, "liveness");
	assert_int_equal(b.found[0].grade, GRADE_NONE);
	assert_int_equal(b.grade, GRADE_DURABLE);
	learn(&b);
	/* Then nothing could be written either, which is said. */
	struct judge_not_applicable na[4];
	expect_held(&b);
	assert_int_equal(judge_not_applicable(b.j, na, 4), 2);
	assert_string_equal(na[0].oracle, "writable");
	assert_non_null(strstr(na[0].reason, "could not be tried"));
	assert_string_equal(na[1].oracle, "liveness");
	assert_non_null(strstr(na[1].reason, "too: PRAGMA v: database is locked"));
	bench_release(&b);
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		start(&b);
		observation_release(&b.o);
		b.o.rc = codes[i];
		strcpy(b.o.failed, "SELECT 1: locked");
		look(&b);
		assert_int_equal(b.count, 1);
		assert_string_equal(b.found[0].oracle, "liveness");
		assert_int_equal(b.found[0].grade, GRADE_NONE);
		assert_non_null(
		    strstr(b.found[0].message, "nobody else is there: SELECT 1: locked"));
		bench_release(&b);
	}
}

/* Oracles that a scenario asks for by name are not always on. */
static void test_always_on(void **state)
{
	static const char *const on[] = {"history",	"recovery", "integrity", "leftovers",
					 "second-open", "writable", "liveness"};
	static const char *const off[] = {"invariant", "batch", "order", "schema", "no such"};

	(void)state;
	for (size_t i = 0; i < sizeof on / sizeof on[0]; i++)
		assert_true(judge_always_on(on[i]));
	for (size_t i = 0; i < sizeof off / sizeof off[0]; i++)
		assert_false(judge_always_on(off[i]));
}

/* A copy owns what it holds, and has all of it. */
static void test_copy(void **state)
{
	struct bench b;

	(void)state;
	start(&b);
	answer(&b, INTEGRITY, 2, "1", "NULL", "3", "x", NULL);
	fails(&b, 0, ERROR, "no");
	b.o.file_count = 1;
	b.o.aftermath.differs = true;
	struct observation copy = observation_copy(&b.o);
	observation_release(&b.o);
	assert_int_equal(copy.probe_count, 1);
	assert_string_equal(copy.probes[0].error, "no");
	assert_true(copy.aftermath.differs);
	struct observation again = observation_copy(&copy);
	observation_release(&copy);
	assert_string_equal(again.probes[0].error, "no");
	observation_release(&again);
	judge_free(b.j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_leftovers), cmocka_unit_test(test_second_open),
	    cmocka_unit_test(test_writable),  cmocka_unit_test(test_liveness),
	    cmocka_unit_test(test_always_on), cmocka_unit_test(test_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
