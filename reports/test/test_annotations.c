/* Annotations: at most ten, worst first, and nothing in a name ends one. */
#include "reports/annotations.h"

#include "reports/test/fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static char *render(const struct result *r)
{
	struct buf out;

	buf_init(&out);
	annotations_render(&out, r);
	(void)buf_str(&out);
	return (char *)out.data;
}

static size_t lines_of(const char *text)
{
	size_t count = 0;

	for (; *text != '\0'; text++)
		count += *text == '\n';
	return count;
}

/* Every byte, with one case of each verdict: what holds and what is skipped has none. */
static void test_golden(void **state)
{
	static const char golden[] =
	    "::error title=bad@strict-posix,file=s/bad.sql,line=7::s/bad.sql:7: no such table: t\n"
	    "::error title=bank@strict-posix[synchronous=normal],file=s/bank.sql,line=1::durable "
	    "is "
	    "required, found consistent; a crash can lose up to 3 acknowledged commits%0Ahistory, "
	    "consistent: 3 acknowledged commits are gone%0AIn the folder of the report: plugpull "
	    "replay "
	    "cases/pp1-3f2a9c.ppcase\n"
	    "::error title=big@strict-posix::the budget of 60s was spent; durable at best so far\n";
	struct result r;

	(void)state;
	fixture(&r);
	r.cases[1].file = xstrdup("s/bank.sql");
	r.cases[3].file = xstrdup("s/bad.sql");
	replace(&r.cases[3].reason, "s/bad.sql:7: no such table: t");
	char *text = render(&r);

	assert_string_equal(text, golden);
	free(text);
	result_release(&r);
}

/* A run in which all is well says nothing. */
static void test_nothing(void **state)
{
	struct result r;
	struct buf out;

	(void)state;
	result_init(&r, "run", 1);
	fixture_case(&r, "a.sql", "m", CASE_HELD, GRADE_DURABLE);
	fixture_case(&r, "b.sql", "m", CASE_SKIPPED, GRADE_NONE);
	buf_init(&out);
	annotations_render(&out, &r);
	assert_int_equal(out.size, 0);
	buf_release(&out);
	result_release(&r);
}

/* The worst ones are shown, and the last line counts the others. */
static void test_ten(void **state)
{
	static const enum grade grades[] = {GRADE_CONSISTENT, GRADE_TORN, GRADE_CORRUPT};

	(void)state;
	for (size_t count = 9; count <= 12; count++) {
		struct result r;

		result_init(&r, "run", 1);
		for (size_t i = 0; i < count; i++)
			fixture_case(&r, "a.sql", "m", CASE_VIOLATED, grades[i % 3]);
		char *text = render(&r);

		assert_int_equal(lines_of(text), count > 10 ? 10 : count);
		assert_int_equal(strstr(text, "more cases failed") != NULL, count > 10);
		/* Corrupt, then torn, then consistent. */
		assert_true(strstr(text, "found corrupt") < strstr(text, "found torn"));
		assert_true(strstr(text, "found torn") < strstr(text, "found consistent"));
		free(text);
		result_release(&r);
	}
}

/* Nothing in a name or a message ends a property, a line, or begins a command. */
static void test_hostile(void **state)
{
	struct result r;

	(void)state;
	result_init(&r, "run", 1);
	struct case_result *c = fixture_case(&r, "a.sql", "m", CASE_VIOLATED, GRADE_TORN);

	replace(&c->id, "a,b:c%d\r\n::set-output name=x::y\xff");
	c->file = xstrdup("d,e:f%.sql");
	case_result_violation(c, "history", GRADE_TORN, "1%\n::error::x\r", NULL);
	char *text = render(&r);

	assert_int_equal(lines_of(text), 1);
	assert_int_equal(strncmp(text,
				 "::error title=a%2Cb%3Ac%25d  %3A%3Aset-output "
				 "name=x%3A%3Ay\xEF\xBF\xBD,file=d%2Ce%3Af%25.sql,line=1::",
				 92),
			 0);
	assert_non_null(strstr(text, "%0Ahistory, torn: 1%25 ::error::x"));
	assert_null(strchr(text, '\r'));
	free(text);
	result_release(&r);
}

/* The line is the first that the story of the finding involves. */
static void test_story(void **state)
{
	struct result r;

	(void)state;
	result_init(&r, "run", 1);
	struct case_result *c = fixture_case(&r, "a.sql", "m", CASE_VIOLATED, GRADE_TORN);

	c->file = xstrdup("a.sql");
	case_result_violation(c, "history", GRADE_TORN, "m", "pp1-1");
	struct story *s = story_create();

	s->source = xcalloc(4, sizeof *s->source);
	s->source_count = s->source_cap = 4;
	for (size_t i = 0; i < 4; i++)
		s->source[i] = (struct story_line){xstrdup("x"), i >= 2};
	c->violations[0].story = s;
	char *text = render(&r);

	assert_non_null(strstr(text, "file=a.sql,line=3::"));
	free(text);
	result_release(&r);
}

/* A finding that is waived is none of those that are shown. */
static void test_waived(void **state)
{
	struct result r;

	(void)state;
	result_init(&r, "run", 1);
	struct case_result *c = fixture_case(&r, "a.sql", "m", CASE_VIOLATED, GRADE_TORN);

	case_result_violation(c, "history", GRADE_TORN, "known", "pp1-1");
	result_violation_waive(&c->violations[0], "torn", "2026-01-31", "why", 1);
	case_result_violation(c, "integrity", GRADE_CONSISTENT, "new", "pp1-2");
	char *text = render(&r);

	assert_null(strstr(text, "known"));
	assert_non_null(strstr(text, "integrity, consistent: new"));
	free(text);
	result_release(&r);
}

/* Neither a title nor a message grows beyond what GitHub takes. */
static void test_long(void **state)
{
	struct result r;
	char *letters = xmalloc(100001);

	(void)state;
	memset(letters, 'x', 100000);
	letters[100000] = '\0';
	result_init(&r, "run", 1);
	struct case_result *c = fixture_case(&r, "a.sql", "m", CASE_VIOLATED, GRADE_TORN);

	replace(&c->id, letters);
	case_result_violation(c, "history", GRADE_TORN, letters, "pp1-1");
	char *text = render(&r);

	assert_in_range(strlen(text), 4000, 4500);
	assert_non_null(strstr(text, "plugpull replay cases/pp1-1.ppcase"));
	free(text);
	free(letters);
	result_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_golden), cmocka_unit_test(test_nothing),
	    cmocka_unit_test(test_ten),	   cmocka_unit_test(test_hostile),
	    cmocka_unit_test(test_story),  cmocka_unit_test(test_waived),
	    cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
