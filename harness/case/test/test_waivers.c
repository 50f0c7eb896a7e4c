/* Waivers: what the file may say, and what that does to the verdict of a case. */
#include "harness/case/waivers.h"

#include "faultinject/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int parse(const char *text, struct waiver_list *list, struct err *err)
{
	*list = (struct waiver_list){0};
	*err = (struct err)ERR_INIT;
	return waivers_parse("w", text, strlen(text), list, err);
}

/* Every field of every line is read; comments, empty lines, CRLF and quotes are understood. */
static void test_reads(void **state)
{
	struct waiver_list list;
	struct err err;

	(void)state;
	assert_int_equal(parse("# a comment\n\n \t# another\n"
			       "bank@strict-posix history 1 2026-01-31 \"autosave; issue 12\"\r\n"
			       "\t\"a \"\"b\"\" c@x\" leftovers\tcorrupt 2024-02-29 x",
			       &list, &err),
			 0);
	assert_int_equal(list.count, 2);
	assert_string_equal(list.items[0].id, "bank@strict-posix");
	assert_string_equal(list.items[0].oracle, "history");
	assert_true(list.items[0].has_commits);
	assert_int_equal(list.items[0].commits, 1);
	assert_string_equal(list.items[0].until, "2026-01-31");
	assert_string_equal(list.items[0].reason, "autosave; issue 12");
	assert_int_equal(list.items[0].line, 4);
	assert_string_equal(list.items[1].id, "a \"b\" c@x");
	assert_false(list.items[1].has_commits);
	assert_int_equal(list.items[1].grade, GRADE_CORRUPT);
	assert_int_equal(list.items[1].line, 5);
	waivers_release(&list);
	assert_int_equal(parse("", &list, &err), 0);
	assert_int_equal(list.count, 0);
}

/* Days are those of the calendar: checked against days that are known. */
static void test_days(void **state)
{
	static const struct {
		const char *until;
		int64_t day;
	} days[] = {{"1970-01-01", 0},	    {"1969-12-31", -1},	   {"2000-02-29", 11016},
		    {"2000-03-01", 11017},  {"2026-01-31", 20484}, {"2100-03-01", 47541},
		    {"0001-01-01", -719162}};

	(void)state;
	for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
		char *text = xasprintf("a history 1 %s x\n", days[i].until);
		struct waiver_list list;
		struct err err;

		assert_int_equal(parse(text, &list, &err), 0);
		assert_int_equal(list.items[0].until_day, days[i].day);
		waivers_release(&list);
		free(text);
	}
	assert_int_equal(waivers_day(0), 0);
	assert_int_equal(waivers_day(86399), 0);
	assert_int_equal(waivers_day(86400), 1);
	assert_int_equal(waivers_day(-1), -1);
}

/* What is no waiver is refused, with the line and what is wrong. */
static void test_refuses(void **state)
{
	static const struct {
		const char *text, *message;
	} bad[] = {
	    {"\n\nx", "w:3: the oracle is missing"},
	    {"a o", "w:1: the loss is missing"},
	    {"a history 1", "w:1: the last day is missing"},
	    {"a history 1 2026-01-01", "w:1: the reason is missing"},
	    {"a history 1 2026-01-01 \"\"", "w:1: the reason is empty"},
	    {"\"\" history 1 2026-01-01 x", "w:1: the case id is empty"},
	    {"a history 1 2026-01-01 why not", "w:1: 'not' behind the reason"},
	    {"a history 1 2026-01-01 \"why", "w:1: a double quote that is never closed"},
	    {"a history -1 2026-01-01 x", "w:1: the loss is a number"},
	    {"a history 1073741825 2026-01-01 x", "w:1: the loss is a number"},
	    {"a history some 2026-01-01 x", "w:1: the loss is a number"},
	    {"a history Torn 2026-01-01 x", "w:1: the loss is a number"},
	    {"a history durable 2026-01-01 x", "w:1: a case that is durable loses nothing"},
	    {"a history 1 2026-1-1 x", "w:1: the last day is written YYYY-MM-DD, not '2026-1-1'"},
	    {"a history 1 20260101 x", "w:1: the last day is written"},
	    {"a history 1 2026-01-0x x", "w:1: the last day is written"},
	    {"a history 1 0000-01-01 x", "w:1: the last day is written"},
	    {"a history 1 2026-13-01 x", "w:1: there is no day 2026-13-01"},
	    {"a history 1 2026-04-31 x", "w:1: there is no day 2026-04-31"},
	    {"a history 1 2100-02-29 x", "w:1: there is no day 2100-02-29"},
	    {"a history 1 2026-01-01 x\nb history 1 2026-01-01 x\na history 2 2026-01-01 y",
	     "w:3: the same case and oracle as in line 1"},
	    {"a histery 1 2026-01-01 x", "w:1: no oracle 'histery' (there are "},
	    {"a History 1 2026-01-01 x", "w:1: no oracle 'History' (there are "},
	    {"a history 1 2026-01-01 \"\x01\"", "w:1: a control character"},
	    {"a history 1 2026-01-01 \xff", "w:1: not UTF-8 text"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct waiver_list list;
		struct err err;

		assert_int_equal(parse(bad[i].text, &list, &err), ERR_INPUT);
		assert_null(list.items);
		assert_int_equal(strncmp(err.message, bad[i].message, strlen(bad[i].message)), 0);
	}
}

/* Nothing is cut off silently: a file and a list have a most, and a zero byte ends nothing. */
static void test_limits(void **state)
{
	struct waiver_list list = {0};
	struct err err = ERR_INIT;
	struct buf text;

	(void)state;
	buf_init(&text);
	for (int i = 0; i < WAIVERS_COUNT_MAX; i++)
		buf_printf(&text, "a%d history 1 2026-01-01 x\n", i);
	assert_int_equal(waivers_parse("w", buf_str(&text), text.size, &list, &err), 0);
	assert_int_equal(list.count, WAIVERS_COUNT_MAX);
	waivers_release(&list);
	buf_printf(&text, "a history 1 2026-01-01 x\n");
	assert_int_equal(waivers_parse("w", buf_str(&text), text.size, &list, &err), ERR_INPUT);
	assert_string_equal(err.message, "w:4097: more than 4096 waivers");
	buf_clear(&text);
	while (text.size <= WAIVERS_SIZE_MAX)
		buf_printf(&text, "# %0100d\n", 0);
	assert_int_equal(waivers_parse("w", buf_str(&text), text.size, &list, &err), ERR_INPUT);
	assert_string_equal(err.message, "w: larger than 1048576 bytes");
	assert_int_equal(waivers_parse("w", "# x\na\0b", 7, &list, &err), ERR_INPUT);
	assert_string_equal(err.message, "w:2: not UTF-8 text");
	buf_release(&text);
}

/* ---- what becomes of a case ---- */

enum { TODAY = 20000 }; /* 2024-10-04 */

struct finding {
	const char *oracle;
	enum grade grade;
};

/* A case that was judged without waivers, and the lines that are then applied. */
struct judged {
	const char *what;
	enum case_verdict before;
	enum grade grade, required;
	bool partial;
	uint64_t lost;
	struct finding findings[3];
	const char *waivers;
	enum case_verdict after;
	size_t waived;
	const char *reason; /* a part of it; NULL: there is none */
};

#define H     "history"
#define L     "leftovers"
#define I     "integrity"
#define UNTIL "2024-10-04"

static const struct judged judged[] = {
    {"a loss that is allowed",
     CASE_VIOLATED,
     GRADE_CONSISTENT,
     GRADE_DURABLE,
     false,
     2,
     {{H, GRADE_CONSISTENT}},
     "a history 2 " UNTIL " x",
     CASE_HELD,
     1,
     NULL},
    {"one commit more",
     CASE_VIOLATED,
     GRADE_CONSISTENT,
     GRADE_DURABLE,
     false,
     3,
     {{H, GRADE_CONSISTENT}},
     "a history 2 " UNTIL " x",
     CASE_VIOLATED,
     0,
     NULL},
    {"any number of commits",
     CASE_VIOLATED,
     GRADE_CONSISTENT,
     GRADE_DURABLE,
     false,
     99,
     {{H, GRADE_CONSISTENT}},
     "a history consistent " UNTIL " x",
     CASE_HELD,
     1,
     NULL},
    {"a number covers nothing torn",
     CASE_VIOLATED,
     GRADE_TORN,
     GRADE_DURABLE,
     false,
     0,
     {{H, GRADE_TORN}},
     "a history 1000 " UNTIL " x",
     CASE_VIOLATED,
     0,
     NULL},
    {"torn covers what is torn",
     CASE_VIOLATED,
     GRADE_TORN,
     GRADE_DURABLE,
     false,
     9,
     {{H, GRADE_TORN}, {H, GRADE_CONSISTENT}},
     "a history torn " UNTIL " x",
     CASE_HELD,
     2,
     NULL},
    {"torn covers nothing corrupt",
     CASE_VIOLATED,
     GRADE_CORRUPT,
     GRADE_DURABLE,
     true,
     9,
     {{H, GRADE_CORRUPT}},
     "a history torn " UNTIL " x",
     CASE_VIOLATED,
     0,
     NULL},
    {"corrupt covers all, where every state was looked at",
     CASE_VIOLATED,
     GRADE_CORRUPT,
     GRADE_DURABLE,
     false,
     9,
     {{I, GRADE_CORRUPT}},
     "a integrity corrupt " UNTIL " x",
     CASE_HELD,
     1,
     NULL},
    {"corrupt covers nothing that nobody looked at",
     CASE_VIOLATED,
     GRADE_CORRUPT,
     GRADE_DURABLE,
     true,
     9,
     {{I, GRADE_CORRUPT}},
     "a integrity corrupt " UNTIL " x",
     CASE_INCONCLUSIVE,
     1,
     NULL},
    {"whether it is needed is not known of a part",
     CASE_VIOLATED,
     GRADE_CONSISTENT,
     GRADE_DURABLE,
     true,
     1,
     {{H, GRADE_CONSISTENT}},
     "a integrity corrupt " UNTIL " x",
     CASE_VIOLATED,
     0,
     NULL},
    {"another oracle objects still",
     CASE_VIOLATED,
     GRADE_CORRUPT,
     GRADE_DURABLE,
     true,
     9,
     {{I, GRADE_CORRUPT}, {H, GRADE_CONSISTENT}},
     "a integrity corrupt " UNTIL " x",
     CASE_VIOLATED,
     1,
     NULL},
    {"outside the grades",
     CASE_VIOLATED,
     GRADE_DURABLE,
     GRADE_DURABLE,
     false,
     0,
     {{L, GRADE_NONE}},
     "a leftovers 0 " UNTIL " x",
     CASE_HELD,
     1,
     NULL},
    {"both kinds, one waived",
     CASE_VIOLATED,
     GRADE_CONSISTENT,
     GRADE_DURABLE,
     false,
     1,
     {{H, GRADE_CONSISTENT}, {L, GRADE_NONE}},
     "a history 1 " UNTIL " x",
     CASE_VIOLATED,
     1,
     NULL},
    {"both kinds, both waived",
     CASE_VIOLATED,
     GRADE_CONSISTENT,
     GRADE_DURABLE,
     false,
     1,
     {{H, GRADE_CONSISTENT}, {L, GRADE_NONE}},
     "a history 1 " UNTIL " x\na leftovers 1 " UNTIL " x",
     CASE_HELD,
     2,
     NULL},
    {"what was not proved stays so",
     CASE_VIOLATED,
     GRADE_CONSISTENT,
     GRADE_DURABLE,
     true,
     1,
     {{H, GRADE_CONSISTENT}},
     "a history 1 " UNTIL " x",
     CASE_INCONCLUSIVE,
     1,
     NULL},
    {"expired",
     CASE_VIOLATED,
     GRADE_CONSISTENT,
     GRADE_DURABLE,
     false,
     1,
     {{H, GRADE_CONSISTENT}},
     "a history 1 2024-10-03 x",
     CASE_VIOLATED,
     0,
     "plugpull.waivers:1: the waiver of history expired on 2024-10-03"},
    {"expired and not needed",
     CASE_HELD,
     GRADE_DURABLE,
     GRADE_DURABLE,
     false,
     0,
     {{0}},
     "a history 1 2024-10-03 x",
     CASE_VIOLATED,
     0,
     "expired on 2024-10-03"},
    {"not needed",
     CASE_HELD,
     GRADE_DURABLE,
     GRADE_DURABLE,
     false,
     0,
     {{0}},
     "\na history 1 " UNTIL " x",
     CASE_VIOLATED,
     0,
     "plugpull.waivers:2: the waiver of history is not needed: take it out"},
    {"not needed, because less is required",
     CASE_HELD,
     GRADE_CONSISTENT,
     GRADE_CONSISTENT,
     false,
     1,
     {{H, GRADE_CONSISTENT}},
     "a history 1 " UNTIL " x",
     CASE_VIOLATED,
     0,
     "the waiver of history is not needed, because only consistent is required here"},
    {"not needed beside one that is",
     CASE_VIOLATED,
     GRADE_CONSISTENT,
     GRADE_DURABLE,
     false,
     1,
     {{H, GRADE_CONSISTENT}},
     "a history 1 " UNTIL " x\na integrity corrupt " UNTIL " x",
     CASE_VIOLATED,
     1,
     "plugpull.waivers:2: the waiver of integrity is not needed"},
    {"of another case",
     CASE_VIOLATED,
     GRADE_CONSISTENT,
     GRADE_DURABLE,
     false,
     1,
     {{H, GRADE_CONSISTENT}},
     "b history 1 " UNTIL " x",
     CASE_VIOLATED,
     0,
     NULL},
    {"of a case that was not judged",
     CASE_INCONCLUSIVE,
     GRADE_DURABLE,
     GRADE_DURABLE,
     true,
     0,
     {{0}},
     "a history 1 " UNTIL " x",
     CASE_INCONCLUSIVE,
     0,
     NULL},
    {"expired, of a case that was not judged",
     CASE_SKIPPED,
     GRADE_NONE,
     GRADE_DURABLE,
     true,
     0,
     {{0}},
     "a history 1 2024-10-03 x",
     CASE_SKIPPED,
     0,
     NULL},
};

static void check_one(const struct judged *j)
{
	struct waiver_list list;
	struct result r;
	struct err err;

	print_message("%s\n", j->what);
	result_init(&r, "run", 1);
	struct case_result *c = result_add(&r);

	c->id = xstrdup("a");
	c->verdict = j->before;
	c->grade = j->grade;
	c->required = j->required;
	c->has_required = true;
	c->exhaustive = !j->partial;
	c->lost_acked_max = j->lost;
	for (size_t i = 0; i < 3 && j->findings[i].oracle != NULL; i++)
		case_result_violation(c, j->findings[i].oracle, j->findings[i].grade, "m", "pp1-1");
	assert_int_equal(parse(j->waivers, &list, &err), 0);
	waivers_apply(&list, TODAY, c);
	assert_int_equal(c->verdict, j->after);
	assert_int_equal(case_result_waived(c), j->waived);
	/* The truth stays. */
	assert_int_equal(c->grade, j->grade);
	assert_int_equal(c->lost_acked_max, j->lost);
	if (j->reason == NULL)
		assert_null(c->reason);
	else
		assert_non_null(strstr(c->reason, j->reason));
	/* Nothing is waived without a word. */
	assert_true(c->note_count >= j->waived);
	waivers_release(&list);
	result_release(&r);
}

/* Each rule, by an example. */
static void test_applies(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof judged / sizeof judged[0]; i++)
		check_one(&judged[i]);
}

/* A case that says itself which grade is right has nothing to waive. */
static void test_expected(void **state)
{
	struct waiver_list list;
	struct result r;
	struct err err;

	(void)state;
	result_init(&r, "run", 1);
	struct case_result *c = result_add(&r);

	c->id = xstrdup("a");
	c->verdict = CASE_VIOLATED;
	c->grade = GRADE_CORRUPT;
	c->has_expected = true;
	c->expected = GRADE_TORN;
	case_result_violation(c, H, GRADE_CORRUPT, "m", NULL);
	assert_int_equal(parse("a history corrupt " UNTIL " x", &list, &err), 0);
	waivers_apply(&list, TODAY, c);
	assert_int_equal(c->verdict, CASE_VIOLATED);
	assert_int_equal(case_result_waived(c), 0);
	assert_non_null(strstr(c->reason, "@expect"));
	waivers_release(&list);
	result_release(&r);
}

/* A case that is violated for a reason of its own (no oracle saw a planted defect) stays so. */
static void test_own_reason(void **state)
{
	struct waiver_list list;
	struct result r;
	struct err err;

	(void)state;
	result_init(&r, "run", 1);
	struct case_result *c = result_add(&r);

	c->id = xstrdup("a");
	c->verdict = CASE_VIOLATED;
	c->grade = GRADE_CONSISTENT;
	c->required = GRADE_DURABLE;
	c->has_required = c->exhaustive = true;
	c->reason = xstrdup("its own");
	case_result_violation(c, H, GRADE_CONSISTENT, "m", NULL);
	assert_int_equal(parse("a history consistent " UNTIL " x", &list, &err), 0);
	waivers_apply(&list, TODAY, c);
	assert_int_equal(c->verdict, CASE_VIOLATED);
	assert_string_equal(c->reason, "its own");
	waivers_release(&list);
	result_release(&r);
}

/* A search of representatives that came to its end is judged like one of every state. */
static void test_represented(void **state)
{
	struct waiver_list list;
	struct result r;
	struct err err;

	(void)state;
	result_init(&r, "run", 1);
	struct case_result *c = result_add(&r);

	c->id = xstrdup("a");
	c->verdict = CASE_VIOLATED;
	c->grade = GRADE_CORRUPT;
	c->required = GRADE_DURABLE;
	c->has_required = c->representative = c->represented = true;
	case_result_violation(c, I, GRADE_CORRUPT, "m", NULL);
	assert_int_equal(parse("a integrity corrupt " UNTIL " x", &list, &err), 0);
	waivers_apply(&list, TODAY, c);
	assert_int_equal(c->verdict, CASE_HELD);
	waivers_release(&list);
	result_release(&r);
}

/* A corrupt state is passed for those oracles alone whose corrupt findings are waived today, in
 * this case. */
static void test_passed(void **state)
{
	struct waiver_list list;
	const char *oracles[4] = {NULL};
	struct err err;

	(void)state;
	assert_int_equal(parse("a integrity corrupt " UNTIL " x\n"
			       "a recovery corrupt 2024-10-03 x\n"
			       "a history torn " UNTIL " x\n"
			       "a schema 5 " UNTIL " x\n"
			       "b leftovers corrupt " UNTIL " x\n"
			       "a invariant corrupt " UNTIL " x\n",
			       &list, &err),
			 0);
	assert_int_equal(waivers_of_corrupt(&list, TODAY, "a", oracles, 4), 2);
	assert_string_equal(oracles[0], "integrity");
	assert_string_equal(oracles[1], "invariant");
	assert_int_equal(waivers_of_corrupt(&list, TODAY, "a", oracles, 1), 1);
	assert_int_equal(waivers_of_corrupt(&list, TODAY, "c", oracles, 4), 0);
	waivers_release(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reads),      cmocka_unit_test(test_days),
	    cmocka_unit_test(test_refuses),    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_applies),    cmocka_unit_test(test_expected),
	    cmocka_unit_test(test_own_reason), cmocka_unit_test(test_represented),
	    cmocka_unit_test(test_passed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
