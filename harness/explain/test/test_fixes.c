/* What a changed run proves, and what it does not. */
#include "harness/explain/fixes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A run that was covered completely, with as many commits, of this grade. */
static struct case_result *run_of(struct result *r, enum grade grade)
{
	result_init(r, "explain", 1);
	struct case_result *c = result_add(r);

	c->verdict = CASE_HELD;
	c->exhaustive = true;
	c->grade = grade;
	c->commits = 3;
	return c;
}

static enum fix_proof judge(const struct fix_finding *f, const struct case_result *c,
			    struct result *r)
{
	enum fix_proof proof = fix_judge(f, c);

	result_release(r);
	return proof;
}

static const struct fix_finding lost = {"history", GRADE_CONSISTENT, 3};

/* Everything covered, nothing objected to, nothing committed less: only that is a fix. */
static void test_proved(void **state)
{
	struct result r;

	(void)state;
	struct case_result *c = run_of(&r, GRADE_DURABLE);
	assert_int_equal(judge(&lost, c, &r), FIX_PROVED);
	c = run_of(&r, GRADE_DURABLE);
	c->exhaustive = false;
	assert_int_equal(judge(&lost, c, &r), FIX_UNKNOWN);
	c = run_of(&r, GRADE_DURABLE);
	c->verdict = CASE_SKIPPED;
	assert_int_equal(judge(&lost, c, &r), FIX_UNJUDGED);
	c = run_of(&r, GRADE_DURABLE);
	c->commits = 2;
	assert_int_equal(judge(&lost, c, &r), FIX_VOID);
}

/* The same oracle objects again, at least as much: refuted, whatever else is better. */
static void test_refuted(void **state)
{
	struct result r;

	(void)state;
	struct case_result *c = run_of(&r, GRADE_CONSISTENT);
	case_result_violation(c, "history", GRADE_CONSISTENT, "again", NULL);
	assert_int_equal(judge(&lost, c, &r), FIX_REFUTED);
	c = run_of(&r, GRADE_TORN);
	case_result_violation(c, "history", GRADE_TORN, "worse", NULL);
	assert_int_equal(judge(&lost, c, &r), FIX_REFUTED);
	/* Also where it was not covered to the end. */
	c = run_of(&r, GRADE_CONSISTENT);
	c->exhaustive = false;
	case_result_violation(c, "history", GRADE_CONSISTENT, "again", NULL);
	assert_int_equal(judge(&lost, c, &r), FIX_REFUTED);
}

/* What another oracle finds does not refute it: covered to the end, the finding is gone; where a
 * corrupt state ended the search, nobody knows. */
static void test_hidden(void **state)
{
	struct result r;

	(void)state;
	struct case_result *c = run_of(&r, GRADE_TORN);
	case_result_violation(c, "integrity", GRADE_TORN, "worse", NULL);
	assert_int_equal(judge(&lost, c, &r), FIX_PARTLY);
	c = run_of(&r, GRADE_CORRUPT);
	c->exhaustive = false;
	case_result_violation(c, "invariant", GRADE_CORRUPT, "worse", NULL);
	assert_int_equal(judge(&lost, c, &r), FIX_HIDDEN);
	/* The budget ended it, nothing else. */
	c = run_of(&r, GRADE_TORN);
	c->exhaustive = false;
	case_result_violation(c, "integrity", GRADE_TORN, "worse", NULL);
	assert_int_equal(judge(&lost, c, &r), FIX_UNKNOWN);
}

/* Who objects outside the grades objects: that is no fix, however good the grade. */
static void test_outside(void **state)
{
	struct result r;

	(void)state;
	struct case_result *c = run_of(&r, GRADE_DURABLE);
	case_result_violation(c, "leftovers", GRADE_NONE, "a file is left", NULL);
	assert_int_equal(judge(&lost, c, &r), FIX_PARTLY);
}

/* Better is not yet mended: the same oracle objects to less, or what is left is torn. */
static void test_partly(void **state)
{
	static const struct fix_finding torn = {"history", GRADE_TORN, 3};
	static const struct fix_finding corrupt = {"integrity", GRADE_CORRUPT, 3};
	struct result r;

	(void)state;
	struct case_result *c = run_of(&r, GRADE_CONSISTENT);
	case_result_violation(c, "history", GRADE_CONSISTENT, "less", NULL);
	assert_int_equal(judge(&torn, c, &r), FIX_PARTLY);
	c = run_of(&r, GRADE_TORN);
	case_result_violation(c, "history", GRADE_TORN, "torn", NULL);
	assert_int_equal(judge(&corrupt, c, &r), FIX_PARTLY);
	c = run_of(&r, GRADE_CONSISTENT);
	case_result_violation(c, "history", GRADE_CONSISTENT, "lost", NULL);
	assert_int_equal(judge(&corrupt, c, &r), FIX_PROVED);
}

/* A finding outside the scale is mended when nothing at all is left. */
static void test_no_grade(void **state)
{
	static const struct fix_finding leftovers = {"leftovers", GRADE_NONE, 3};
	struct result r;

	(void)state;
	struct case_result *c = run_of(&r, GRADE_DURABLE);
	assert_int_equal(judge(&leftovers, c, &r), FIX_PROVED);
	c = run_of(&r, GRADE_DURABLE);
	case_result_violation(c, "leftovers", GRADE_NONE, "again", NULL);
	assert_int_equal(judge(&leftovers, c, &r), FIX_REFUTED);
	c = run_of(&r, GRADE_CONSISTENT);
	case_result_violation(c, "history", GRADE_CONSISTENT, "lost", NULL);
	assert_int_not_equal(judge(&leftovers, c, &r), FIX_PROVED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_proved), cmocka_unit_test(test_refuted),
	    cmocka_unit_test(test_hidden), cmocka_unit_test(test_outside),
	    cmocka_unit_test(test_partly), cmocka_unit_test(test_no_grade),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
