/*
 * The oracle "integrity": red on what SQLite says about its own files, silent about the lines that
 * legal states got as well; and the report of what is not applicable.
 */
#include "harness/judge/test/bench.h"

/* integrity_check of each schema must say ok, once. */
static void test_integrity(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, (struct judge_config){.schema_count = 2});
	assert_int_equal(judge_probes(b.j)->count, 2);
	assert_string_equal(judge_probes(b.j)->items[0].sql, "PRAGMA \"main\".integrity_check");
	assert_string_equal(judge_probes(b.j)->items[1].sql,
			    "PRAGMA \"side \"\"b\"\"\".integrity_check");
	learn(&b);
	expect_held(&b);
	answer(&b, 1, 1, "row 3 missing from index i", NULL);
	expect_found(&b, "integrity", GRADE_CORRUPT, "row 3 missing from index i");
	answer(&b, 1, 1, "Page 5 is never used", "Page 6 is never used", NULL);
	expect_found(&b, "integrity", GRADE_CORRUPT, "Page 5 is never used (and 1 more)");
	answer(&b, 1, 1, "ok", "ok", NULL);
	expect_found(&b, "integrity", GRADE_CORRUPT, "ok");
	answer(&b, 1, 1, NULL);
	expect_found(&b, "integrity", GRADE_CORRUPT, "no answer");
	answer(&b, 1, 1, "NULL", NULL);
	expect_found(&b, "integrity", GRADE_CORRUPT, "NULL");
	fails(&b, 1, BUSY, "database is locked");
	expect_found(&b, "integrity", GRADE_CORRUPT, "database is locked");
	bench_release(&b);
}

/* What a legal state fails is excused, with the reason; other schemas still count. */
static void test_integrity_not_applicable(void **state)
{
	struct judge_not_applicable na[4];
	struct bench b;

	(void)state;
	bench_init(&b, (struct judge_config){.schema_count = 2});
	assert_int_equal(judge_not_applicable(b.j, na, 4), 0);
	fails(&b, 1, ERROR, "no such collation sequence: mine");
	learn(&b);
	assert_int_equal(judge_not_applicable(b.j, na, 4), 1);
	assert_string_equal(na[0].oracle, "integrity");
	assert_non_null(strstr(na[0].reason, "no such collation sequence: mine"));
	expect_held(&b);
	answer(&b, 0, 1, "wrong # of entries in index i", NULL);
	expect_found(&b, "integrity", GRADE_CORRUPT, "wrong # of entries");
	bench_release(&b);
}

/* Excused is each line that some legal state got, whatever stands around it; any other counts. */
static void test_integrity_excuses_lines(void **state)
{
	struct judge_not_applicable na[4];
	struct bench b;

	(void)state;
	bench_init(&b, (struct judge_config){0});
	answer(&b, INTEGRITY, 1, "CHECK constraint failed in old", "CHECK constraint failed in old",
	       NULL);
	learn(&b);
	assert_int_equal(judge_not_applicable(b.j, na, 4), 1);
	assert_string_equal(na[0].reason, "1 complaint of main excused because legal states get "
					  "it: CHECK constraint failed in old");
	answer(&b, INTEGRITY, 1, "*** in database main ***\nPage 5 is never used\nPage 6",
	       "row 7 missing from index j", NULL);
	expect_found(&b, "integrity", GRADE_CORRUPT, "main: Page 5 is never used (and 2 more)");
	learn(&b);
	assert_int_equal(judge_not_applicable(b.j, na, 4), 1);
	assert_string_equal(na[0].reason,
			    "4 complaints of main excused because legal states get them: "
			    "CHECK constraint failed in old (the first)");
	expect_held(&b);
	answer(&b, INTEGRITY, 1, "*** in database main ***\nPage 6", NULL);
	expect_held(&b);
	answer(&b, INTEGRITY, 1, "CHECK constraint failed in old", "row 1 missing from index i",
	       NULL);
	expect_found(&b, "integrity", GRADE_CORRUPT, "main: row 1 missing from index i");
	assert_null(strstr(b.found[0].message, "more"));
	answer(&b, INTEGRITY, 1, "*** in database main ***\nPage 6\nPage 66", NULL);
	expect_found(&b, "integrity", GRADE_CORRUPT, "main: Page 66");
	answer(&b, INTEGRITY, 1, "*** in database main ***", NULL);
	expect_found(&b, "integrity", GRADE_CORRUPT, "*** in database main ***");
	fails(&b, INTEGRITY, ERROR, "no such collation sequence: mine");
	expect_found(&b, "integrity", GRADE_CORRUPT, "no such collation sequence: mine");
	bench_release(&b);
}

/* A legal state whose complaints did not all fit, and complaints that are too many to remember, are
 * said. */
static void test_integrity_limits(void **state)
{
	struct judge_not_applicable na[4];
	struct bench b;

	(void)state;
	bench_init(&b, (struct judge_config){0});
	for (int i = 0; i < 42; i++) {
		struct buf lines = {0};

		for (int k = 0; k < 99 + (i > 0); k++)
			buf_printf(&lines, "%sline %d", k == 0 ? "" : "\n", 100 * i + k);
		answer(&b, INTEGRITY, 1, buf_str(&lines), NULL);
		buf_release(&lines);
		learn(&b);
		assert_int_equal(judge_not_applicable(b.j, na, 4), 1);
		if ((strstr(na[0].reason, "more than integrity_check says") != NULL) !=
		    (i > 0 && i < 40))
			fail_msg("%d: %s", i, na[0].reason);
		answer(&b, INTEGRITY, 1, "line 98", "another", NULL);
		if (i < 40)
			expect_found(&b, "integrity", GRADE_CORRUPT, "main: another");
		else
			expect_held(&b);
	}
	assert_non_null(strstr(na[0].reason, "more than 4096 different complaints of main"));
	assert_non_null(strstr(na[0].reason, "none counts, the first: line 0"));
	bench_release(&b);
}

/* What the scenario asks for by name stands first among what is not applicable, so that a short
 * list tells it. */
static void test_not_applicable_order(void **state)
{
	static const struct judge_invariant invariants[] = {{"rule", "SELECT x"}};
	static const struct judge_order orders[] = {{"t", "c"}};
	struct judge_not_applicable na[4];
	struct bench b;

	(void)state;
	bench_init(&b, (struct judge_config){.invariants = invariants,
					     .invariant_count = 1,
					     .orders = orders,
					     .order_count = 1});
	answer(&b, INTEGRITY, 1, "CHECK constraint failed in old", NULL);
	fails(&b, FIRST, ERROR, "no such column: x");
	fails(&b, FIRST + 1, ERROR, "no such table: t");
	learn(&b);
	assert_int_equal(judge_not_applicable(b.j, na, 4), 3);
	assert_string_equal(na[0].oracle, "invariant");
	assert_non_null(strstr(na[0].reason, "no such column: x, asked with: "));
	assert_string_equal(na[1].oracle, "order");
	assert_string_equal(na[2].oracle, "integrity");
	assert_int_equal(judge_not_applicable(b.j, na, 1), 1);
	assert_string_equal(na[0].oracle, "invariant");
	bench_release(&b);
}

/* A query of any oracle that meets corruption or a failed read is a reader with an error: one
 * finding, however many queries. */
static void test_reader_error(void **state)
{
	static const struct judge_invariant invariants[] = {{"sum", "SELECT 1"},
							    {"more", "SELECT 2"}};
	static const int codes[] = {CORRUPT, NOTADB, IOERR_SHORT_READ};
	struct bench b;

	(void)state;
	bench_init(&b, (struct judge_config){.invariants = invariants, .invariant_count = 2});
	learn(&b);
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		bench_reset(&b);
		fails(&b, FIRST, codes[i], "malformed");
		fails(&b, FIRST + 1, codes[i], "malformed");
		expect_found(&b, "integrity", GRADE_CORRUPT, "a reader gets an error: malformed");
		assert_non_null(strstr(b.found[0].message, "2 of 3 queries"));
	}
	bench_reset(&b);
	fails(&b, INTEGRITY, CORRUPT, "malformed");
	expect_found(&b, "integrity", GRADE_CORRUPT, "a reader gets an error");
	/* Legal states that do the same excuse it, query by query. */
	learn(&b);
	expect_held(&b);
	fails(&b, FIRST, CORRUPT, "malformed");
	expect_found(&b, "integrity", GRADE_CORRUPT, "a reader gets an error");
	bench_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_integrity),
	    cmocka_unit_test(test_integrity_not_applicable),
	    cmocka_unit_test(test_integrity_excuses_lines),
	    cmocka_unit_test(test_integrity_limits),
	    cmocka_unit_test(test_not_applicable_order),
	    cmocka_unit_test(test_reader_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
