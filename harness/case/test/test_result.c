/* Results: what is owned, and how cases add up to a verdict and an exit code. */
#include "harness/case/result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A run whose cases have these verdicts. */
static void cases(struct result *r, const enum case_verdict *verdicts, size_t count)
{
	result_init(r, "run", 1);
	for (size_t i = 0; i < count; i++)
		result_add(r)->verdict = verdicts[i];
}

/* 3 wins over 1 over 4 over 0, in any order; all skipped, or none, is 4. */
static void test_verdict_and_exit_code(void **state)
{
	static const struct {
		enum case_verdict cases[4];
		size_t count;
		enum case_verdict verdict;
		int exit_code;
	} rows[] = {
	    {{CASE_HELD}, 0, CASE_INCONCLUSIVE, 4},
	    {{CASE_HELD}, 1, CASE_HELD, 0},
	    {{CASE_SKIPPED}, 1, CASE_INCONCLUSIVE, 4},
	    {{CASE_SKIPPED, CASE_SKIPPED}, 2, CASE_INCONCLUSIVE, 4},
	    {{CASE_SKIPPED, CASE_HELD}, 2, CASE_HELD, 0},
	    {{CASE_INCONCLUSIVE, CASE_HELD}, 2, CASE_INCONCLUSIVE, 4},
	    {{CASE_HELD, CASE_VIOLATED, CASE_INCONCLUSIVE}, 3, CASE_VIOLATED, 1},
	    {{CASE_INCONCLUSIVE, CASE_VIOLATED, CASE_SKIPPED}, 3, CASE_VIOLATED, 1},
	    {{CASE_ERROR, CASE_VIOLATED, CASE_INCONCLUSIVE, CASE_HELD}, 4, CASE_ERROR, 3},
	    {{CASE_HELD, CASE_VIOLATED, CASE_ERROR}, 3, CASE_ERROR, 3},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct result r;

		cases(&r, rows[i].cases, rows[i].count);
		assert_int_equal(result_verdict(&r), rows[i].verdict);
		assert_int_equal(result_exit_code(&r), rows[i].exit_code);
		result_release(&r);
	}
}

/* An interrupted run ends with 130 and cannot claim that everything held. */
static void test_interrupted(void **state)
{
	struct result r;

	(void)state;
	cases(&r, (enum case_verdict[]){CASE_HELD}, 1);
	r.interrupted = true;
	assert_int_equal(result_exit_code(&r), 130);
	assert_int_equal(result_verdict(&r), CASE_INCONCLUSIVE);
	r.cases[0].verdict = CASE_VIOLATED;
	assert_int_equal(result_exit_code(&r), 130);
	assert_int_equal(result_verdict(&r), CASE_VIOLATED);
	result_release(&r);
}

/* A case that nobody finishes is an error, without a grade. */
static void test_new_case(void **state)
{
	struct result r;

	(void)state;
	result_init(&r, "run", 7);
	struct case_result *c = result_add(&r);

	assert_int_equal(c->verdict, CASE_ERROR);
	assert_int_equal(c->grade, GRADE_NONE);
	assert_int_equal(c->required, GRADE_NONE);
	assert_false(c->has_required);
	assert_false(c->exhaustive);
	assert_null(c->states);
	result_release(&r);
	result_release(NULL);
}

/* Cases and their lists grow past their first allocation and keep what they hold; everything is
 * copied (the sanitizers see leaks and uses after free). */
static void test_growth_and_ownership(void **state)
{
	struct result r;
	char text[16];

	(void)state;
	result_init(&r, "run", 1);
	for (int i = 0; i < 100; i++) {
		struct case_result *c = result_add(&r);

		c->id = strdup("x");
		for (int j = 0; j < 40; j++) {
			(void)snprintf(text, sizeof text, "m%d", j);
			case_result_violation(c, "history", GRADE_TORN, text, text);
			case_result_not_applicable(c, text, "reason");
			case_result_note(c, "note %d", j);
		}
		case_result_violation(c, "liveness", GRADE_NONE, "hangs", NULL);
		memset(text, 'z', sizeof text - 1);
	}
	assert_int_equal(r.case_count, 100);
	for (size_t i = 0; i < 100; i++) {
		const struct case_result *c = &r.cases[i];

		assert_int_equal(c->violation_count, 41);
		assert_string_equal(c->violations[17].message, "m17");
		assert_string_equal(c->violations[17].token, "m17");
		assert_null(c->violations[40].token);
		assert_string_equal(c->not_applicable[39].oracle, "m39");
		assert_string_equal(c->notes[3], "note 3");
	}
	result_release(&r);
	assert_int_equal(r.case_count, 0);
}

/* The words of the contract. */
static void test_verdict_words(void **state)
{
	(void)state;
	assert_string_equal(case_verdict_text(CASE_HELD), "held");
	assert_string_equal(case_verdict_text(CASE_VIOLATED), "violated");
	assert_string_equal(case_verdict_text(CASE_INCONCLUSIVE), "inconclusive");
	assert_string_equal(case_verdict_text(CASE_ERROR), "error");
	assert_string_equal(case_verdict_text(CASE_SKIPPED), "skipped");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_verdict_and_exit_code),
	    cmocka_unit_test(test_interrupted),
	    cmocka_unit_test(test_new_case),
	    cmocka_unit_test(test_growth_and_ownership),
	    cmocka_unit_test(test_verdict_words),
	};

	return cmocka_run_group_tests_name("result", tests, NULL, NULL);
}
