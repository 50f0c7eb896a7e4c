/* Tokens of cases: which differences make another token, and which do not (rule C1). */
#include "harness/case/case_file.h"
#include "harness/case/test/case_sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void token_of(struct case_file *c, char ret[CASE_TOKEN_SIZE])
{
	case_file_token(c, ret);
	case_file_free(c);
}

/* The token of the sample, for ever: a build for which it is another cannot find old cases, and
 * needs another prefix. */
static void test_token_fixed(void **state)
{
	char token[CASE_TOKEN_SIZE];

	(void)state;
	token_of(sample_case(), token);
	assert_string_equal(token, "pp1-43af6f4e170d479f27982985acf5dd49");
}

/* Who found it and in which words is no part of the token. */
static void test_token_same(void **state)
{
	struct case_file *c = sample_case_with_producer("plugpull 9, SQLite 4");
	char token[CASE_TOKEN_SIZE], other[CASE_TOKEN_SIZE];

	(void)state;
	token_of(sample_case(), token);
	set_string(&c->finding.message, "other words");
	set_string(&c->plugpull_version, "9");
	set_string(&c->sqlite_version, "4");
	token_of(c, other);
	assert_string_equal(token, other);

	struct case_file *again = NULL;
	struct buf b = {0};

	c = sample_case();
	case_file_encode(c, &b);
	assert_int_equal(case_file_decode(b.data, b.size, &again, NULL), 0);
	token_of(again, other);
	assert_string_equal(token, other);
	case_file_free(c);
	buf_release(&b);
}

/* Everything else is: no two of these cases share one. */
static void test_token_differs(void **state)
{
	enum { CASES = 15 };
	char tokens[CASES][CASE_TOKEN_SIZE];
	struct op truncate = {.kind = OP_TRUNCATE, .process = 1, .inode = 2};

	(void)state;
	for (int i = 0; i < CASES; i++) {
		struct case_file *c = sample_case();

		switch (i) {
		case 1:
			c->subject->seed--;
			break;
		case 2:
			set_string(&c->subject->id, "another");
			break;
		case 3:
			set_string(&c->subject->pragmas.items[1].value, "delete");
			break;
		case 4:
			c->state.position++;
			c->state.promise++;
			break;
		case 5:
			c->state.cut_bytes++;
			break;
		case 6:
			c->state.has_cut = false;
			break;
		case 7:
			c->state.answers[3] = 1;
			break;
		case 8:
			c->state.answer_count--;
			break;
		case 9:
			set_string(&c->finding.oracle, "batch");
			break;
		case 10:
			c->finding.grade = GRADE_CORRUPT;
			break;
		case 11:
			trace_append(c->trace, &truncate);
			break;
		case 12:
			c->state.promise++;
			break;
		case 13:
			c->state.depth = 2;
			break;
		case 14:
			c->state.depth = 2;
			c->state.has_again = true;
			break;
		default:
			break;
		}
		token_of(c, tokens[i]);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(tokens[i], tokens[k]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_token_fixed),
	    cmocka_unit_test(test_token_same),
	    cmocka_unit_test(test_token_differs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
