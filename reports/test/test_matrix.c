/* The tables of a matrix. */
#include "reports/matrix.h"

#include "reports/test/fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct terminal_style plain_style = {0};

static struct case_result *cell(struct result *r, const char *more, const char *mode,
				const char *level, enum grade grade)
{
	char *variant =
	    xasprintf("strict-posix[%sjournal_mode=%s,synchronous=%s]", more, mode, level);
	struct case_result *c = fixture_case(r, "bank.sql", variant, CASE_HELD, grade);

	kv_set(&c->config, "journal_mode", mode);
	kv_set(&c->config, "synchronous", level);
	c->has_required = false;
	free(variant);
	return c;
}

static void matrix(struct result *r)
{
	struct case_result *c;

	result_init(r, "matrix", 1);
	c = cell(r, "", "delete", "extra", GRADE_DURABLE);
	c->title = xstrdup("two accounts");
	c = cell(r, "", "delete", "off", GRADE_CORRUPT);
	c->exhaustive = false; /* a corrupt state ends its crash point */
	case_result_violation(c, "integrity", GRADE_CORRUPT, "malformed", "pp1-0ff");
	case_result_violation(c, "history", GRADE_CONSISTENT, "1 commit is gone", "pp1-aaa");
	cell(r, "", "wal", "extra", GRADE_DURABLE);
	c = cell(r, "", "wal", "off", GRADE_CONSISTENT);
	c->lost_acked_max = 12;
	case_result_violation(c, "history", GRADE_CONSISTENT, "12 commits are gone", NULL);
	case_result_note(c, "x  note: y");
	case_result_note(c, "y");
	case_result_note(&r->cases[0], "x  note: y");
	c = cell(r, "cache_size=1,", "delete", "extra", GRADE_DURABLE);
	c->exhaustive = false;
	c->verdict = CASE_INCONCLUSIVE;
	c->reason = xstrdup("budget spent");
	c = cell(r, "cache_size=1,", "delete", "off", GRADE_NONE);
	c->verdict = CASE_INCONCLUSIVE;
	c->reason = xstrdup("budget spent");
	c = cell(r, "cache_size=1,", "wal", "extra", GRADE_NONE);
	c->verdict = CASE_SKIPPED;
	c->reason = xstrdup("no WAL");
}

static char *rendered(const struct result *r, const struct terminal_style *style, bool quiet)
{
	struct buf out;

	buf_init(&out);
	matrix_render(&out, r, style, quiet);
	(void)buf_str(&out);
	return (char *)out.data;
}

#define SECOND                                                                                     \
	"bank@strict-posix[cache_size=1]\n"                                                        \
	"          extra     off\n"                                                                \
	"  delete  durable*  -\n"                                                                  \
	"  wal     skipped   -\n"                                                                  \
	"  * at best: not every state of this cell was covered\n"                                  \
	"  inconclusive delete/extra, delete/off: budget spent\n"                                  \
	"  skipped wal/extra: no WAL\n\n"

/* Every byte: a table for each choice of the other axes, a cell that never ran, marks, findings
 * with their replay, labels, reasons that are shared, and the last line. */
static void test_golden(void **state)
{
	static const char golden[] = "bank@strict-posix: two accounts\n"
				     "          extra    off\n"
				     "  delete  durable  corrupt\n"
				     "  wal     durable  consistent 12\n"
				     "  note: x  note: y\n"
				     "  note: y\n"
				     "  delete/off    malformed; plugpull replay pp1-0ff\n"
				     "  wal/off       12 commits are gone\n\n" SECOND
				     "inconclusive, 7 cells: 3 durable, 1 consistent, 1 corrupt, 2 "
				     "without a grade; 455 crash "
				     "points, 233989 recoveries; seed 1\n";
	struct result r;

	(void)state;
	matrix(&r);
	char *text = rendered(&r, &plain_style, false);

	assert_string_equal(text, golden);
	free(text);
	text = rendered(&r, &plain_style, true);
	assert_string_equal(text, SECOND); /* -q: only tables in which something failed */
	free(text);
	result_release(&r);
}

/* -v shows every finding, a report folder stands in the replay command, what is below a floor that
 * was asked for is marked, and colours are all that --color adds. */
static void test_styles(void **state)
{
	struct result r;

	(void)state;
	matrix(&r);
	r.cases[1].verdict = CASE_VIOLATED;
	for (size_t i = 0; i < r.case_count; i++) {
		r.cases[i].has_required = true;
		r.cases[i].required = GRADE_CONSISTENT;
	}
	char *without =
	    rendered(&r, &(struct terminal_style){.verbose = true, .report = "out"}, false);

	assert_non_null(strstr(without, "  delete  durable  corrupt!\n"));
	assert_non_null(strstr(without, "  ! consistent is required\n"));
	assert_non_null(strstr(without, "plugpull replay out/cases/pp1-0ff.ppcase\n"));
	assert_non_null(strstr(without, "  delete/off    1 commit is gone; "));
	assert_non_null(strstr(without, "\nviolated, 7 cells: "));
	char *with = rendered(
	    &r, &(struct terminal_style){.verbose = true, .report = "out", .color = true}, false);
	char *to = with;

	assert_non_null(strstr(with, "\033[31mcorrupt!\033[0m\n"));
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

/* Where nothing was required, the end of a whole matrix is no verdict; an interrupted one says so;
 * and no cell at all is no table. */
static void test_last_line(void **state)
{
	struct result r;

	(void)state;
	result_init(&r, "matrix", 7);
	char *text = rendered(&r, &plain_style, false);

	assert_string_equal(text, "inconclusive, 0 cells; 0 crash points, 0 recoveries; seed 7\n");
	free(text);
	(void)cell(&r, "", "off", "off", GRADE_CORRUPT);
	text = rendered(&r, &plain_style, false);
	assert_non_null(strstr(text, "\nexplored, 1 cell: 1 corrupt; "));
	free(text);
	r.interrupted = true;
	text = rendered(&r, &plain_style, false);
	assert_non_null(strstr(text, "\ninconclusive, interrupted, so far 1 cell: 1 corrupt; "));
	free(text);
	result_release(&r);
}

/* What a file says cannot move the cursor or break a line of the table. */
static void test_control_sequences(void **state)
{
	struct result r;

	(void)state;
	result_init(&r, "matrix", 1);
	struct case_result *c = cell(&r, "x=\033[2J,", "delete", "full", GRADE_TORN);

	c->title = xstrdup("a\nb\033c");
	c->reason = xstrdup("r\nr");
	case_result_violation(c, "history", GRADE_TORN, "m\r\nm", "pp1-\a");
	case_result_note(c, "n\bn");
	case_result_not_applicable(c, "order", "o\no");
	char *text = rendered(&r, &plain_style, false);

	for (const char *s = text; *s != '\0'; s++)
		assert_true(*s == '\n' || (unsigned char)*s >= 0x20);
	assert_non_null(strstr(text, ": a b"));
	assert_non_null(strstr(text, "  not applicable: order (o o)\n"));
	free(text);
	result_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_golden),
	    cmocka_unit_test(test_styles),
	    cmocka_unit_test(test_last_line),
	    cmocka_unit_test(test_control_sequences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
