/* Terminal lines, and the words that all reports share. */
#include "reports/terminal.h"

#include "reports/test/fixture.h"
#include "reports/words.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct terminal_style plain_style = {0};

static char *all(const struct result *r, const struct terminal_style *style)
{
	struct buf out;

	buf_init(&out);
	for (size_t i = 0; i < r->case_count; i++)
		terminal_case(&out, &r->cases[i], style);
	terminal_summary(&out, r, style);
	(void)buf_str(&out);
	return (char *)out.data;
}

/* Every byte: each verdict, a control, and the last line. */
static void test_golden(void **state)
{
	static const char golden[] =
	    "held          durable     store/archival@strict-posix  exhaustive  65 crash points, "
	    "3.1e9 states, 33427 recoveries\n"
	    "violated      consistent  bank@strict-posix[synchronous=normal]  exhaustive  65 crash "
	    "points, 3.1e9 states, 33427 recoveries\n"
	    "  durable is required, found consistent; a crash can lose up to 3 acknowledged "
	    "commits\n"
	    "  history, consistent: 3 acknowledged commits are gone\n"
	    "    token   pp1-3f2a9c\n"
	    "    replay  plugpull replay pp1-3f2a9c\n"
	    "  leftovers: a journal was left behind\n"
	    "inconclusive  durable     big@strict-posix  partial  65 crash points, 3.1e9 states, "
	    "33427 recoveries\n"
	    "  the budget of 60s was spent; durable at best so far\n"
	    "error         -           bad@strict-posix\n"
	    "  bad.sql:7: no such table: t\n"
	    "skipped       -           wal@strict-posix  this SQLite has no WAL\n"
	    "held          corrupt     controls/off@strict-posix  exhaustive  65 crash points, "
	    "3.1e9 "
	    "states, 33427 recoveries\n"
	    "  note: explored with sectors of 512 bytes\n"
	    "error         6 cases: 2 held, 1 violated, 1 inconclusive, 1 error, 1 skipped; 390 "
	    "crash points, 200562 recoveries; seed 1\n";
	struct result r;

	(void)state;
	fixture(&r);
	char *text = all(&r, &plain_style);

	assert_string_equal(text, golden);
	free(text);
	result_release(&r);
}

/* Colour only when asked for, and then nothing but colour differs. */
static void test_color(void **state)
{
	struct result r;

	(void)state;
	fixture(&r);
	char *without = all(&r, &plain_style);
	char *with = all(&r, &(struct terminal_style){.color = true});
	char *to = with;

	assert_null(strchr(without, '\033'));
	assert_non_null(strstr(with, "\033[31mviolated\033[0m  "));
	for (const char *from = with; *from != '\0'; from++) {
		if (*from == '\033')
			from = strchr(from, 'm');
		else
			*to++ = *from;
	}
	*to = '\0';
	assert_string_equal(with, without);
	free(with);
	free(without);
	result_release(&r);
}

/* What a file or a database says cannot move the cursor, add a line or turn the text around. */
static void test_control_sequences(void **state)
{
	struct result r;

	(void)state;
	result_init(&r, "run", 1);
	struct case_result *c = fixture_case(&r, "a\n\033[2J.sql", "m", CASE_VIOLATED, GRADE_TORN);

	case_result_violation(c, "history", GRADE_TORN,
			      "x\r\ny\x7f\xc2\x9b"
			      "31m\xe2\x80\xae\xff\xc3\xa9",
			      "pp1-\a");
	case_result_note(c, "%s", "n\bn");
	replace(&c->reason, "r\033r");
	char *text = all(&r, &plain_style);

	for (const char *s = text; *s != '\0'; s++)
		assert_true(*s == '\n' || (unsigned char)*s >= 0x20);
	assert_null(strchr(text, 0x7F));
	assert_null(strstr(text, "\xc2\x9b"));
	assert_null(strstr(text, "\xe2\x80\xae"));
	assert_non_null(strstr(text, "  a \xef\xbf\xbd[2J@m  "));
	assert_non_null(strstr(text, "history, torn: x  y\xef\xbf\xbd\xef\xbf\xbd"
				     "31m\xef\xbf\xbd\xef\xbf\xbd\xc3\xa9\n"));
	free(text);
	result_release(&r);
}

/* Many violations are cut, and said; -v shows them all, and those of controls. */
static void test_many_violations(void **state)
{
	struct result r;

	(void)state;
	result_init(&r, "run", 1);
	struct case_result *c = fixture_case(&r, "a.sql", "m", CASE_VIOLATED, GRADE_TORN);

	case_result_not_applicable(c, "batch", "no @batch");
	for (int i = 0; i < 9; i++) {
		char token[16];

		(void)snprintf(token, sizeof token, "pp1-%d", i);
		case_result_violation(c, "history", GRADE_TORN, "m", token);
	}
	char *text = all(&r, &plain_style);

	assert_non_null(strstr(text, "replay pp1-4\n  and 4 violations more (-v shows all)\n"));
	assert_null(strstr(text, "pp1-5"));
	assert_non_null(strstr(text, "not applicable: batch (no @batch)"));
	free(text);
	c->verdict = CASE_HELD;
	text = all(&r, &(struct terminal_style){.verbose = true});
	assert_non_null(strstr(text, "replay pp1-8\n"));
	assert_non_null(strstr(text, "  not applicable: batch (no @batch)\n"));
	free(text);
	result_release(&r);
}

static void test_kill_timing_interrupted(void **state)
{
	struct result r;

	(void)state;
	result_init(&r, "kill", 7);
	struct case_result *c = fixture_case(&r, "a.sql", "kill", CASE_HELD, GRADE_DURABLE);

	c->exhaustive = false;
	c->has_rounds = true;
	c->rounds = 1;
	c->recoveries = 1;
	c->crash_points = 0;
	replace(&c->states, NULL);
	r.interrupted = true;
	char *text = all(&r, &(struct terminal_style){.timing = true});

	assert_string_equal(text, "held          durable     a@kill  sampled  1 round, 1 recovery, "
				  "1.500 s\n"
				  "inconclusive  interrupted, so far 1 case: 1 held; 1 round, 1 "
				  "recovery; seed 7; 1.500 s\n");
	free(text);
	result_release(&r);
	result_init(&r, "run", 1);
	text = all(&r, &plain_style);
	assert_string_equal(text, "inconclusive  no case ran; 0 recoveries; seed 1\n");
	free(text);
	result_release(&r);
}

/* Exact up to six digits, two rounded digits above, and anything that is no number as it is. */
static void test_states(void **state)
{
	static const struct {
		const char *exact, *shown;
	} rows[] = {
	    {"0", "0"},
	    {"1", "1"},
	    {"999999", "999999"},
	    {"1000000", "1.0e6"},
	    {"1049999", "1.0e6"},
	    {"1050000", "1.1e6"},
	    {"9949999", "9.9e6"},
	    {"9950000", "1.0e7"},
	    {"99999999", "1.0e8"},
	    {"123456789012345678901234567890", "1.2e29"},
	    {"12x4567890", "12x4567890"},
	    {"", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct buf out;

		buf_init(&out);
		words_states(&out, rows[i].exact);
		assert_string_equal(buf_str(&out), rows[i].shown);
		buf_release(&out);
	}
}

static void sentence_is(const struct case_result *c, const char *expected)
{
	struct buf out;

	buf_init(&out);
	words_sentence(&out, c);
	assert_string_equal(buf_str(&out), expected);
	buf_release(&out);
}

/* Each reason for a verdict in its own words. */
static void test_sentences(void **state)
{
	struct result r;

	(void)state;
	result_init(&r, "run", 1);
	struct case_result *c = fixture_case(&r, "a.sql", "m", CASE_VIOLATED, GRADE_CONSISTENT);

	c->lost_acked_max = 1;
	sentence_is(c, "durable is required, found consistent; a crash can lose up to 1 "
		       "acknowledged commit");
	c->lost_acked_max = 0;
	c->exhaustive = false;
	sentence_is(c, "durable is required, found consistent at best");
	c->has_expected = true;
	c->expected = GRADE_CORRUPT;
	sentence_is(c, "exactly corrupt is expected, found consistent at best");
	c->exhaustive = true;
	c->expected = GRADE_CONSISTENT;
	c->has_required = false;
	case_result_violation(c, "leftovers", GRADE_NONE, "m", NULL);
	sentence_is(c, "1 finding, the worst consistent");
	c->grade = GRADE_NONE;
	c->has_expected = false;
	replace(&c->reason, "why");
	sentence_is(c, "1 finding, the worst no grade; why");
	c->verdict = CASE_HELD;
	c->grade = GRADE_DURABLE;
	c->has_required = true;
	c->required = GRADE_CONSISTENT;
	sentence_is(c, "durable, and consistent is required");
	c->has_expected = true;
	sentence_is(c, "durable, exactly as expected");
	replace(&c->reason, NULL);
	c->verdict = CASE_INCONCLUSIVE;
	sentence_is(c, "not every state was covered; durable otherwise");
	c->verdict = CASE_ERROR;
	sentence_is(c, "the case was not finished");
	c->verdict = CASE_SKIPPED;
	sentence_is(c, "this combination cannot run");
	result_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_golden),
	    cmocka_unit_test(test_color),
	    cmocka_unit_test(test_control_sequences),
	    cmocka_unit_test(test_many_violations),
	    cmocka_unit_test(test_kill_timing_interrupted),
	    cmocka_unit_test(test_states),
	    cmocka_unit_test(test_sentences),
	};

	return cmocka_run_group_tests_name("terminal", tests, NULL, NULL);
}
