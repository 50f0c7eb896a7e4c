/* Comparisons: each rule of compare.h, both directions, and what is printed. */
#include "reports/compare.h"

#include "reports/test/fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void add_violation(struct case_result *c, const char *oracle, enum grade grade)
{
	case_result_violation(c, oracle, grade, "m", "pp1-new");
}

static void add_mutants(struct case_result *c, unsigned caught, unsigned missed)
{
	c->mutated = true;
	for (unsigned i = 0; i < caught + missed; i++)
		case_result_mutant(c, "sync x #1", "sync",
				   i < caught ? MUTATION_CAUGHT : MUTATION_MISSED, false, 1, NULL);
}

/* One thing that is not as it was, and what that is called; backwards it is the opposite. */
static void change_verdict(struct case_result *c)
{
	c->verdict = CASE_SKIPPED;
}
static void change_inconclusive(struct case_result *c)
{
	c->verdict = CASE_INCONCLUSIVE;
}
static void change_violated(struct case_result *c)
{
	c->verdict = CASE_VIOLATED;
}
static void change_error(struct case_result *c)
{
	c->verdict = CASE_ERROR;
}
static void change_grade(struct case_result *c)
{
	c->grade = GRADE_CONSISTENT;
}
static void change_lost(struct case_result *c)
{
	c->lost_acked_max = 1;
}
static void change_partial(struct case_result *c)
{
	c->exhaustive = false;
}
static void change_oracle(struct case_result *c)
{
	add_violation(c, "leftovers", GRADE_NONE);
}
static void change_waived(struct case_result *c)
{
	add_violation(c, "history", GRADE_CONSISTENT);
	result_violation_waive(&c->violations[0], "1", "2026-01-31", "known", 1);
}
static void change_applicable(struct case_result *c)
{
	case_result_not_applicable(c, "batch", "no such table");
}
static void change_required(struct case_result *c)
{
	c->required = GRADE_TORN;
}
static void change_expected(struct case_result *c)
{
	c->has_expected = true, c->expected = GRADE_TORN;
}
static void change_config(struct case_result *c)
{
	kv_set(&c->config, "synchronous", "normal");
}
static void change_commits(struct case_result *c)
{
	c->commits = 1;
}
static void change_no_commits(struct case_result *c)
{
	c->commits = 0;
}
static void change_points(struct case_result *c)
{
	c->crash_points = 1;
}
static void change_lint(struct case_result *c)
{
	case_result_lint(c, "r", "m", 3);
}
static void change_no_grade(struct case_result *c)
{
	c->grade = GRADE_NONE;
}
static void change_nothing(struct case_result *c)
{
	case_result_note(c, "a note");
	c->recoveries = 5;
	c->seconds = 9;
}

static const struct {
	void (*change)(struct case_result *c);
	enum compare_kind kind, back;
	const char *what;
} rules[] = {
    {change_verdict, COMPARE_WORSE, COMPARE_BETTER, "verdict"},
    {change_violated, COMPARE_WORSE, COMPARE_BETTER, "verdict"},
    {change_inconclusive, COMPARE_WORSE, COMPARE_BETTER, "verdict"},
    {change_error, COMPARE_WORSE, COMPARE_BETTER, "verdict"},
    {change_grade, COMPARE_WORSE, COMPARE_BETTER, "grade"},
    {change_no_grade, COMPARE_WORSE, COMPARE_CHANGED, "grade"},
    {change_lost, COMPARE_WORSE, COMPARE_BETTER, "acknowledged commits that one crash loses"},
    {change_partial, COMPARE_WORSE, COMPARE_BETTER, "exhaustive"},
    {change_oracle, COMPARE_WORSE, COMPARE_BETTER, "oracle leftovers"},
    {change_waived, COMPARE_WORSE, COMPARE_BETTER, "oracle history"},
    {change_applicable, COMPARE_WORSE, COMPARE_BETTER, "oracle batch"},
    {change_required, COMPARE_CHANGED, COMPARE_CHANGED, "required"},
    {change_expected, COMPARE_CHANGED, COMPARE_CHANGED, "required"},
    {change_config, COMPARE_CHANGED, COMPARE_CHANGED, "synchronous"},
    {change_commits, COMPARE_CHANGED, COMPARE_CHANGED, "commits"},
    {change_no_commits, COMPARE_WORSE, COMPARE_CHANGED, "commits"},
    {change_points, COMPARE_CHANGED, COMPARE_CHANGED, "crash points"},
    {change_lint, COMPARE_CHANGED, COMPARE_CHANGED, "missing syncs"},
    {change_nothing, COMPARE_SAME, COMPARE_SAME, NULL},
};

static void plain(struct result *r)
{
	result_init(r, "run", 1);
	r->sqlite_version = xstrdup("3.40.1");
	r->sqlite_source_id = xstrdup("s");
	fixture_case(r, "a.sql", "m", CASE_HELD, GRADE_DURABLE);
}

static void compare(const struct result *base, const struct result *now, struct compare *ret)
{
	compare_results((struct compare_side){base, "0.1.0", "run"},
			(struct compare_side){now, "0.1.0", "run"}, ret);
}

static void check_kind(const struct result *base, const struct result *now, enum compare_kind kind,
		       const char *what)
{
	struct compare c;

	compare(base, now, &c);
	assert_int_equal(c.count, 1);
	assert_int_equal(c.cases[0].kind, kind);
	assert_int_equal(c.worse, kind == COMPARE_WORSE);
	assert_int_equal(c.cases[0].change_count, what == NULL ? 0 : 1);
	if (what != NULL)
		assert_string_equal(c.cases[0].changes[0].what, what);
	compare_release(&c);
}

/* Each single change is called what the rules say, in both directions. */
static void test_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
		struct result a, b;

		plain(&a);
		plain(&b);
		rules[i].change(&b.cases[0]);
		check_kind(&a, &b, rules[i].kind, rules[i].what);
		check_kind(&b, &a, rules[i].back, rules[i].what);
		result_release(&a);
		result_release(&b);
	}
}

/* What is worse is not made up for by what is better. */
static void test_mixed(void **state)
{
	struct result a, b;
	struct compare c;

	(void)state;
	plain(&a);
	plain(&b);
	a.cases[0].grade = GRADE_CONSISTENT;
	add_violation(&a.cases[0], "history", GRADE_CONSISTENT);
	add_violation(&b.cases[0], "leftovers", GRADE_NONE);
	compare(&a, &b, &c);
	assert_int_equal(c.cases[0].kind, COMPARE_WORSE);
	assert_int_equal(c.cases[0].change_count, 3);
	compare_release(&c);
	result_release(&a);
	result_release(&b);
}

/* The change that the comparison has of `what`. */
static const struct compare_change *changed(const struct compare *c, const char *what)
{
	for (size_t i = 0; i < c->cases[0].change_count; i++)
		if (strcmp(c->cases[0].changes[i].what, what) == 0)
			return &c->cases[0].changes[i];
	fail_msg("nothing about %s", what);
	return NULL;
}

static void check_changed(const struct compare *c, const char *what, enum compare_kind kind,
			  const char *now)
{
	const struct compare_change *found = changed(c, what);

	assert_int_equal(found->kind, kind);
	assert_string_equal(found->now, now);
}

/* What a partial run did not find is not known to be gone: nothing is better by that. What it did
 * find is worse all the same. */
static void test_partial(void **state)
{
	static const enum case_verdict verdicts[] = {CASE_VIOLATED, CASE_INCONCLUSIVE,
						     CASE_SKIPPED};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct result a, b;
		struct compare c;

		plain(&a);
		plain(&b);
		a.cases[0].verdict = CASE_VIOLATED;
		a.cases[0].grade = GRADE_TORN;
		a.cases[0].lost_acked_max = 3;
		a.cases[0].exhaustive = false;
		add_violation(&a.cases[0], "history", GRADE_TORN);
		b.cases[0].verdict = verdicts[i];
		b.cases[0].grade = GRADE_CONSISTENT;
		b.cases[0].lost_acked_max = 1;
		b.cases[0].exhaustive = false;
		compare(&a, &b, &c);
		assert_int_equal(c.cases[0].kind, COMPARE_CHANGED);
		check_changed(&c, "grade", COMPARE_CHANGED, "consistent at best");
		check_changed(&c, "acknowledged commits that one crash loses", COMPARE_CHANGED,
			      "1 or more");
		check_changed(&c, "oracle history", COMPARE_CHANGED, "not known");
		if (verdicts[i] != CASE_VIOLATED)
			check_changed(&c, "verdict", COMPARE_CHANGED,
				      case_verdict_text(verdicts[i]));
		compare_release(&c);
		/* Looked at as a whole, and judged, it is. */
		b.cases[0].exhaustive = true;
		b.cases[0].verdict = CASE_VIOLATED;
		compare(&a, &b, &c);
		check_changed(&c, "grade", COMPARE_BETTER, "consistent");
		check_changed(&c, "oracle history", COMPARE_BETTER, "no objection");
		compare_release(&c);
		b.cases[0].exhaustive = false;
		add_violation(&b.cases[0], "leftovers", GRADE_NONE);
		compare(&a, &b, &c);
		check_changed(&c, "oracle leftovers", COMPARE_WORSE, "objects");
		assert_int_equal(c.worse, 1);
		compare_release(&c);
		result_release(&a);
		result_release(&b);
	}
}

/* A case that holds because it is waived got no better by that, and the day is said. */
static void test_held_by_waiver(void **state)
{
	struct result a, b;
	struct compare c;

	(void)state;
	plain(&a);
	plain(&b);
	a.cases[0].verdict = CASE_VIOLATED;
	a.cases[0].grade = b.cases[0].grade = GRADE_CONSISTENT;
	add_violation(&a.cases[0], "history", GRADE_CONSISTENT);
	add_violation(&a.cases[0], "leftovers", GRADE_NONE);
	add_violation(&b.cases[0], "history", GRADE_CONSISTENT);
	add_violation(&b.cases[0], "leftovers", GRADE_NONE);
	result_violation_waive(&b.cases[0].violations[0], "1", "2026-02-28", "known", 1);
	result_violation_waive(&b.cases[0].violations[1], "1", "2026-01-31", "known", 1);
	compare(&a, &b, &c);
	assert_int_equal(c.cases[0].kind, COMPARE_CHANGED);
	assert_int_equal(c.cases[0].change_count, 1);
	check_changed(&c, "verdict", COMPARE_CHANGED, "held by a waiver until 2026-01-31");
	compare_release(&c);
	compare(&b, &a, &c);
	assert_int_equal(c.cases[0].kind, COMPARE_WORSE);
	assert_string_equal(changed(&c, "verdict")->base, "held by a waiver until 2026-01-31");
	compare_release(&c);
	result_release(&a);
	result_release(&b);
}

/* The same oracle at a lower grade is worse, also where another finding of it stays. */
static void test_oracle_grade(void **state)
{
	struct result a, b;

	(void)state;
	plain(&a);
	plain(&b);
	add_violation(&a.cases[0], "history", GRADE_CONSISTENT);
	add_violation(&b.cases[0], "history", GRADE_TORN);
	add_violation(&b.cases[0], "history", GRADE_CONSISTENT);
	check_kind(&a, &b, COMPARE_WORSE, "oracle history");
	check_kind(&b, &a, COMPARE_BETTER, "oracle history");
	result_release(&a);
	result_release(&b);
}

/* Mutants: fewer that are caught, more that are missed, and none at all are worse. */
static void test_mutants(void **state)
{
	static const struct {
		int base[2], now[2]; /* caught, missed; -1: not mutated */
		enum compare_kind kind;
	} scores[] = {
	    {{3, 0}, {2, 0}, COMPARE_WORSE},  {{3, 0}, {3, 1}, COMPARE_WORSE},
	    {{3, 0}, {4, 1}, COMPARE_WORSE},  {{3, 1}, {3, 0}, COMPARE_BETTER},
	    {{3, 1}, {4, 1}, COMPARE_BETTER}, {{3, 1}, {3, 1}, COMPARE_SAME},
	    {{3, 0}, {-1, 0}, COMPARE_WORSE}, {{-1, 0}, {3, 0}, COMPARE_BETTER},
	};

	(void)state;
	for (size_t i = 0; i < sizeof scores / sizeof scores[0]; i++) {
		struct result a, b;

		plain(&a);
		plain(&b);
		if (scores[i].base[0] >= 0)
			add_mutants(&a.cases[0], (unsigned)scores[i].base[0],
				    (unsigned)scores[i].base[1]);
		if (scores[i].now[0] >= 0)
			add_mutants(&b.cases[0], (unsigned)scores[i].now[0],
				    (unsigned)scores[i].now[1]);
		check_kind(&a, &b, scores[i].kind,
			   scores[i].kind == COMPARE_SAME ? NULL : "mutants");
		result_release(&a);
		result_release(&b);
	}
}

/* A case that is gone is worse unless it was skipped, and a new one when it does not hold. */
static void test_presence(void **state)
{
	static const enum case_verdict all[] = {CASE_HELD, CASE_VIOLATED, CASE_INCONCLUSIVE,
						CASE_ERROR, CASE_SKIPPED};

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		struct result a, b;
		struct compare c;

		result_init(&a, "run", 1);
		plain(&b);
		b.cases[0].verdict = all[i];
		compare(&a, &b, &c);
		assert_int_equal(c.cases[0].kind, COMPARE_APPEARED);
		assert_int_equal(c.worse, all[i] != CASE_HELD && all[i] != CASE_SKIPPED);
		compare_release(&c);
		compare(&b, &a, &c);
		assert_int_equal(c.cases[0].kind, COMPARE_DISAPPEARED);
		assert_int_equal(c.worse, all[i] != CASE_SKIPPED);
		compare_release(&c);
		result_release(&a);
		result_release(&b);
	}
}

/* Every byte: what is worse first, with the finding that is new and how to see it. */
static void test_golden(void **state)
{
	static const char golden[] =
	    "note: SQLite: 3.40.1 before, 3.46.0 now\n"
	    "note: seed: 1 before, 2 now\n"
	    "worse         bank@m\n"
	    "  worse   verdict: held before, violated now\n"
	    "  worse   grade: durable before, consistent now\n"
	    "  worse   acknowledged commits that one crash loses: 0 before, 2 now\n"
	    "  worse   oracle history: no objection before, consistent now\n"
	    "  changed synchronous: not set before, normal now\n"
	    "  durable is required, found consistent; a crash can lose up to 2 acknowledged "
	    "commits\n"
	    "  history, consistent: m\n"
	    "    token   pp1-new\n"
	    "    replay  plugpull replay new/cases/pp1-new.ppcase\n"
	    "disappeared   gone@m  it was held, durable\n"
	    "appeared      b@m  held, durable\n"
	    "better        z@m\n"
	    "  better  grade: torn before, durable now\n"
	    "worse         5 cases: 1 worse, 1 disappeared, 1 appeared, 1 better, 1 same\n";
	struct terminal_style style = {.report = "new"};
	struct result a, b;
	struct compare c;
	struct buf out;

	(void)state;
	plain(&a);
	fixture_case(&a, "gone.sql", "m", CASE_HELD, GRADE_DURABLE);
	fixture_case(&a, "bank.sql", "m", CASE_HELD, GRADE_DURABLE);
	fixture_case(&a, "z.sql", "m", CASE_HELD, GRADE_TORN);
	plain(&b);
	replace(&b.sqlite_version, "3.46.0");
	b.seed = 2;
	fixture_case(&b, "z.sql", "m", CASE_HELD, GRADE_DURABLE);
	fixture_case(&b, "b.sql", "m", CASE_HELD, GRADE_DURABLE);
	struct case_result *bank =
	    fixture_case(&b, "bank.sql", "m", CASE_VIOLATED, GRADE_CONSISTENT);

	bank->lost_acked_max = 2;
	kv_set(&bank->config, "synchronous", "normal");
	add_violation(bank, "history", GRADE_CONSISTENT);
	compare(&a, &b, &c);
	buf_init(&out);
	compare_render(&out, &c, &style, false);
	assert_string_equal(buf_str(&out), golden);
	buf_clear(&out);
	compare_render(&out, &c, &style, true);
	assert_null(strstr(buf_str(&out), "better  "));
	assert_null(strstr(buf_str(&out), "note: "));
	assert_int_equal(strncmp(buf_str(&out), "worse         bank@m\n", 21), 0);
	assert_non_null(strstr(buf_str(&out), "disappeared   gone@m"));
	buf_release(&out);
	compare_release(&c);
	result_release(&a);
	result_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rules),	 cmocka_unit_test(test_mixed),
	    cmocka_unit_test(test_oracle_grade), cmocka_unit_test(test_mutants),
	    cmocka_unit_test(test_presence),	 cmocka_unit_test(test_golden),
	    cmocka_unit_test(test_partial),	 cmocka_unit_test(test_held_by_waiver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
