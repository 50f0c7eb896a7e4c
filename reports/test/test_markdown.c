/* The Markdown summary: its shape, its size, and that nothing quoted in it is read as markup. */
#include "reports/markdown.h"

#include "reports/test/fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static char *render(const struct result *r)
{
	struct buf out;

	buf_init(&out);
	markdown_render(&out, r);
	(void)buf_str(&out);
	return (char *)out.data;
}

/* Every byte, with one case of each verdict. */
static void test_golden(void **state)
{
	static const char golden[] =
	    "# plugpull run: error\n\n"
	    "6 cases: 2 held, 1 violated, 1 inconclusive, 1 error, 1 skipped. Seed 1, plugpull "
	    "0.1.0, SQLite 3.40.1.\n\n"
	    "## Violations\n\n"
	    "Commands are for the folder of the report.\n\n"
	    "- `bank@strict-posix[synchronous=normal]`: durable is required, found consistent; a "
	    "crash can lose up to 3 acknowledged commits\n"
	    "  - history, consistent: 3 acknowledged commits are gone\n"
	    "    token `pp1-3f2a9c`, again with `plugpull replay cases/pp1-3f2a9c.ppcase`\n"
	    "  - leftovers: a journal was left behind\n"
	    "\n"
	    "| verdict | grade | required | case | covered |\n"
	    "|---|---|---|---|---|\n"
	    "| violated | consistent | durable | `bank@strict-posix[synchronous=normal]` | "
	    "exhaustive: 65 crash points, 3.1e9 states, 33427 recoveries |\n"
	    "| inconclusive | durable | durable | `big@strict-posix` | partial: 65 crash points, "
	    "3.1e9 states, 33427 recoveries; the budget of 60s was spent |\n"
	    "| error |  | durable | `bad@strict-posix` | bad.sql:7: no such table: t |\n"
	    "| held | durable | durable | `store/archival@strict-posix` | exhaustive: 65 crash "
	    "points, 3.1e9 states, 33427 recoveries |\n"
	    "| skipped |  | durable | `wal@strict-posix` | this SQLite has no WAL |\n"
	    "| held | corrupt | exactly corrupt | `controls/off@strict-posix` | exhaustive: 65 "
	    "crash "
	    "points, 3.1e9 states, 33427 recoveries; explored with sectors of 512 bytes |\n";
	struct result r;

	(void)state;
	fixture(&r);
	char *text = render(&r);

	assert_string_equal(text, golden);
	free(text);
	result_release(&r);
}

/* Names and messages can neither break a row, nor end a code span, nor bring HTML or a link. */
static void test_markup(void **state)
{
	static const char hostile[] =
	    "a|b`c<script>d</script>\n# e [f](http://g) &amp; *h* \\| \\` @i";
	struct result r;

	(void)state;
	result_init(&r, "run", 1);
	struct case_result *c = fixture_case(&r, "x.sql", hostile, CASE_VIOLATED, GRADE_TORN);

	replace(&c->reason, hostile);
	case_result_violation(c, hostile, GRADE_TORN, hostile, hostile);
	case_result_note(c, "%s", hostile);
	char *text = render(&r);
	size_t pipes = 0;

	assert_null(strstr(text, "<script"));
	assert_null(strstr(text, "](http"));
	assert_null(strstr(text, "&amp;"));
	assert_null(strchr(text, '*'));
	assert_null(strchr(text, '\\'));
	assert_null(strchr(text, '`')); /* nothing here is fit for a code span */
	assert_non_null(strstr(text, "<code>x&#64;a&#124;b&#96;c&#60;script&#62;d&#60;/script&#62; "
				     "&#35; e &#91;f&#93;(http://g) &#38;amp; &#42;h&#42; "
				     "&#92;&#124; &#92;&#96; &#64;i</code>"));
	/* Two head lines and one row of five columns. */
	for (const char *s = text; *s != '\0'; s++)
		pipes += *s == '|';
	assert_int_equal(pipes, 18);
	free(text);
	result_release(&r);
}

/* Each character that is not fit for a code span is enough to do without one. */
static void test_code_spans(void **state)
{
	static const char *const rows[][2] = {
	    {"a b", "`x@a b`"},
	    {"a|b", "<code>x&#64;a&#124;b</code>"},
	    {"a`b", "<code>x&#64;a&#96;b</code>"},
	    {"a<b", "<code>x&#64;a&#60;b</code>"},
	    {"a\\b", "<code>x&#64;a&#92;b</code>"},
	    {"a ", "<code>x&#64;a </code>"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct result r;

		result_init(&r, "run", 1);
		fixture_case(&r, "x.sql", rows[i][0], CASE_HELD, GRADE_DURABLE);
		char *text = render(&r);

		assert_non_null(strstr(text, rows[i][1]));
		free(text);
		result_release(&r);
	}
}

/* Below 1 MiB whatever the result; whole rows; what was left out is counted; failures come first.
 */
static void test_size(void **state)
{
	enum { CASES = 20000 };
	struct result r;
	char variant[64];

	(void)state;
	result_init(&r, "run", 1);
	for (int i = 0; i < CASES; i++) {
		(void)snprintf(variant, sizeof variant, "strict-posix[n=%d]", i);
		struct case_result *c =
		    fixture_case(&r, "held.sql", variant, CASE_HELD, GRADE_DURABLE);

		if (i == CASES - 1)
			c->verdict = CASE_INCONCLUSIVE;
	}
	char *text = render(&r);
	size_t rows = 0, left_out = 0;

	assert_in_range(strlen(text), MARKDOWN_SIZE_MAX - 1000, MARKDOWN_SIZE_MAX - 1);
	for (const char *s = text; (s = strstr(s, "\n| ")) != NULL; s++)
		rows++;
	rows--; /* the head */
	const char *said = strstr(text, " rows left out for size; all are in `result.json`.\n");

	assert_non_null(said);
	while (said[-1] != '\n')
		said--;
	left_out = strtoul(said, NULL, 10);
	assert_int_equal(rows + left_out, CASES);
	assert_non_null(strstr(text, "|---|\n| inconclusive |"));
	free(text);

	/* The same with violations: they have half, and the table still has room. */
	char *message = xmalloc(5000);

	/* An odd first byte, so that the limit falls into the middle of a character. */
	message[0] = 'x';
	for (size_t i = 1; i < 4998; i += 2)
		memcpy(message + i, "\xc3\xa9", 2);
	message[4999] = '\0';
	for (size_t i = 0; i < 2000; i++)
		case_result_violation(&r.cases[i], "history", GRADE_TORN, message, "pp1-x");
	for (size_t i = 0; i < 2000; i++)
		r.cases[i].verdict = CASE_VIOLATED;
	text = render(&r);
	assert_true(strlen(text) < MARKDOWN_SIZE_MAX);
	assert_non_null(strstr(text, " more left out for size; all are in `result.json`.\n"));
	assert_non_null(strstr(text, "\xc3\xa9\xe2\x80\xa6\n")); /* cut between characters */
	assert_true((size_t)(strstr(text, "\n| verdict |") - text) <=
		    MARKDOWN_VIOLATIONS_SIZE_MAX + 200);
	assert_non_null(strstr(text, "|---|\n| violated |"));
	free(text);
	free(message);
	result_release(&r);
}

static void test_empty_and_interrupted(void **state)
{
	struct result r;

	(void)state;
	result_init(&r, "run", 9);
	r.interrupted = true;
	char *text = render(&r);

	assert_string_equal(text,
			    "# plugpull run: inconclusive\n\nInterrupted; what is known so far: no "
			    "case ran. Seed 9, plugpull 0.1.0.\n\n");
	free(text);
	result_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_golden),
	    cmocka_unit_test(test_markup),
	    cmocka_unit_test(test_code_spans),
	    cmocka_unit_test(test_size),
	    cmocka_unit_test(test_empty_and_interrupted),
	};

	return cmocka_run_group_tests_name("markdown", tests, NULL, NULL);
}
