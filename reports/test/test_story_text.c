/* A story in a terminal. */
#include "reports/story_text.h"

#include "faultinject/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ADD(s, list, one)                                                                          \
	((s)->list = xgrow((s)->list, (s)->one##_count, &(s)->one##_cap, sizeof *(s)->list),       \
	 memset(&(s)->list[(s)->one##_count], 0, sizeof *(s)->list),                               \
	 &(s)->list[(s)->one##_count++])

/* A story whose texts are all `text`. */
static struct story *story_of(const char *text)
{
	struct story *s = story_create();
	char **texts[] = {&s->token,	   &s->id,	    &s->title,	 &s->model,
			  &s->model_words, &s->oracle,	    &s->message, &s->verdict,
			  &s->replay,	   &s->crash_words, &s->allowed, &s->rows_against,
			  &s->fixes_words};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		*texts[i] = xstrdup(text);
	kv_set(&s->config, text, text);
	ADD(s, files, file)->path = xstrdup(text);
	struct story_transaction *x = ADD(s, transactions, transaction);
	*x = (struct story_transaction){.number = 1, .acked = true, .presence = STORY_GONE};
	x->changes = xstrdup(text);
	struct story_statement *st = ADD(s, statements, statement);
	st->sql = xstrdup(text);
	st->source = xstrdup(text);
	st->transaction = 1;
	for (uint64_t p = 1; p <= 60; p++) {
		struct story_op *o = ADD(s, ops, op);
		*o = (struct story_op){.position = p, .kind = "write", .transaction = 1};
		o->words = xstrdup(text);
		o->fate = p > 50 ? STORY_AFTER : p == 2 ? STORY_LOST : STORY_DURABLE;
	}
	s->crash = 50;
	struct story_decision *d = ADD(s, decisions, decision);
	*d = (struct story_decision){xstrdup(text), 1, 2, xstrdup(text)};
	*ADD(s, recovery, recovery) = xstrdup(text);
	*ADD(s, rows, row) = (struct story_row){xstrdup(text), xstrdup(text), NULL};
	*ADD(s, missing, missing) =
	    (struct story_missing){.message = xstrdup(text), .target = xstrdup(text)};
	*ADD(s, fixes, fix) =
	    (struct story_fix){xstrdup(text), xstrdup(text), xstrdup(text), xstrdup(text), true};
	struct story_state *state = ADD(s, states, state);
	state->count = xstrdup("1");
	state->outcome = xstrdup(text);
	s->states_total = xstrdup("12345678901");
	return s;
}

static char *shown(struct story *s, bool verbose, bool color)
{
	struct story_style style = {.verbose = verbose, .color = color};
	struct buf b;

	buf_init(&b);
	story_text_render(&b, s, &style);
	char *text = xstrdup(buf_str(&b));
	buf_release(&b);
	story_free(s);
	return text;
}

/* Names, values and SQL of a stranger cannot reach the terminal as a control sequence. */
static void test_hostile(void **state)
{
	char *text = shown(story_of("a\033[2J\r\n\xe2\x80\xae\x01z"), true, false);

	(void)state;
	assert_null(strchr(text, '\033'));
	assert_null(strchr(text, '\r'));
	assert_null(strchr(text, '\x01'));
	assert_null(strstr(text, "\xe2\x80\xae"));
	free(text);
}

/* Lines are as wide as they may be, and no wider. */
static void test_width(void **state)
{
	struct story *s =
	    story_of("word word word word word word word word word word word word word word word "
		     "word word word word word word word word word");
	/* Commands stay in one piece. */
	free(s->replay);
	s->replay = xstrdup("plugpull replay x");
	free(s->fixes[0].command);
	s->fixes[0].command = NULL;
	char *text = shown(s, false, false);
	size_t widest = 0;

	(void)state;
	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		if (strlen(line) > widest)
			widest = strlen(line);
	}
	assert_true(widest > STORY_TEXT_WIDTH - 10 && widest <= STORY_TEXT_WIDTH);
	free(text);
}

/* What is far from the crash is left out, but for what was lost; -v shows all. */
static void test_long(void **state)
{
	char *text = shown(story_of("x"), false, false);

	(void)state;
	assert_non_null(strstr(text, "       2  lost"));
	assert_null(strstr(text, "       3  durable"));
	assert_non_null(strstr(text, "      50  durable"));
	assert_non_null(strstr(text, "      53  after"));
	assert_null(strstr(text, "      54  after"));
	assert_non_null(strstr(text, "and 7 more operations"));
	free(text);
	text = shown(story_of("x"), true, true);
	assert_non_null(strstr(text, "       3  durable"));
	assert_non_null(strstr(text, "      60  after"));
	assert_non_null(strstr(text, "\033["));
	free(text);
}

/* The places of one rule are told with one proof, and what is not told is counted. */
static void test_missing(void **state)
{
	struct story *s = story_of("x");
	char *text;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct story_missing *m = ADD(s, missing, missing);
		*m = (struct story_missing){.matters = STORY_MATTERS, .after = 10 + (uint64_t)i};
		m->rule = xstrdup(i < 2 ? "one" : "other");
		m->message = xstrdup("why");
		m->target = xstrdup(".");
		m->directory = true;
	}
	s->missing_left_out = 4;
	s->files[0].role = STORY_DATABASE;
	free(s->files[0].path);
	s->files[0].path = xstrdup("/a/shop.db");
	text = shown(s, false, false);
	assert_non_null(strstr(text, "a sync of the directory of shop.db, between operations 10"));
	assert_null(strstr(text, "the directory ."));
	const char *all = strstr(text, "run again with all of them, this finding is gone");
	assert_non_null(all);
	assert_true(all > strstr(text, "operations 11 and"));
	const char *alone = strstr(strstr(text, "operations 10 and"), "run again with it,");
	assert_true(alone > all);
	assert_non_null(strstr(all, "run again with it, this finding is gone"));
	assert_non_null(strstr(text, "and 4 more such places"));
	free(text);
}

/* What is told of the states, what is not, and all of them add up. */
static void test_states(void **state)
{
	static const struct {
		const char *shown;
		uint64_t left_out;
		const char *said;
	} cases[] = {
	    {"500", 0,
	     "This crash point has 500 states, and 9 recoveries were run, which stand for "
	     "all of the states."},
	    {"400", 0, "for 400 of the states; the others were not run."},
	    {"400", 2,
	     "9 recoveries were run. 7 of them, told here, stand for 400 states; 2 are "
	     "left out."},
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct story *s = story_of("x");
		struct buf flat;

		buf_init(&flat);
		free(s->states_total);
		s->states_total = xstrdup("500");
		s->states_shown = xstrdup(cases[i].shown);
		s->states_recoveries = 9;
		s->states_left_out = cases[i].left_out;
		char *text = shown(s, false, false);
		for (const char *p = text; *p != '\0'; p++)
			if ((*p != ' ' && *p != '\n') || p[1] != ' ')
				buf_put_u8(&flat, *p == '\n' ? ' ' : (uint8_t)*p);
		if (strstr(buf_str(&flat), cases[i].said) == NULL)
			fail_msg("'%s' is not in:\n%s", cases[i].said, text);
		buf_release(&flat);
		free(text);
	}
}

/* The setting that allows it stands at the first transaction that it hit; how values are shown is
 * said unless they are shown as they are. */
static void test_setting(void **state)
{
	struct story *s = story_of("x");

	(void)state;
	s->transactions[0].begin = 9;
	s->transactions[0].wrong = true;
	struct story_statement *st = ADD(s, statements, statement);
	*st = (struct story_statement){.position = 5, .setting = true};
	st->sql = xstrdup("PRAGMA synchronous=OFF");
	st = ADD(s, statements, statement);
	*st = (struct story_statement){.position = 6};
	st->sql = xstrdup("PRAGMA cache_size=9");
	char *text = shown(s, false, false);
	assert_non_null(strstr(text, "PRAGMA synchronous=OFF <- before it, on its connection"));
	assert_non_null(strstr(text, "--show-data shows them"));
	assert_null(strstr(text, "cache_size"));
	free(text);
	s = story_of("x");
	s->show_data = true;
	text = shown(s, false, false);
	assert_null(strstr(text, "before it, on its connection"));
	assert_null(strstr(text, "--show-data"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_hostile), cmocka_unit_test(test_width),
	    cmocka_unit_test(test_long),    cmocka_unit_test(test_missing),
	    cmocka_unit_test(test_states),  cmocka_unit_test(test_setting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
