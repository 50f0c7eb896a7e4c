/*
 * Properties of the scenario parser and of the expansion that hold for many inputs, and its limits.
 * Single inputs and what they yield are data: see test_scenario.c.
 */
#include "harness/scenario/scenario_internal.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

/* Where a statement's own text begins: behind white space, comments and lone semicolons. */
static const char *skip_nothing(const char *p)
{
	for (;;) {
		if (*p == ' ' || *p == '\n' || *p == ';') {
			p++;
		} else if (p[0] == '-' && p[1] == '-') {
			while (*p != '\0' && *p != '\n')
				p++;
		} else if (p[0] == '/' && p[1] == '*') {
			const char *end = strstr(p + 2, "*/");

			assert_non_null(end);
			p = end + 2;
		} else {
			return p;
		}
	}
}

/* Statements end exactly where SQLite, asked at every semicolon, says so first. */
static void test_split_as_sqlite(void **state)
{
	static const char *const tokens[] = {
	    "CREATE",  "temp",	  "TRIGGER", "EXPLAIN", "END", "end",  ";",	 ";",
	    ";",       "'a;b'",	  "\"x;\"",  "[;]",	"`;`", "x",    "--c;\n", "/* ; */",
	    "/**/end", "-- 'q\n", "BEGIN",   "-",	"/",   "endx", "\n",	 "'it''s;'",
	};
	struct prng r;
	size_t compared = 0, bodies = 0;

	(void)state;
	prng_init(&r, 1, "workload");
	for (int round = 0; round < 20000; round++) {
		static const char head[] = "-- @scenario x\n-- @client a\n";
		struct scenario *s = NULL;
		struct err err = ERR_INIT;
		struct buf text;
		size_t count = 0;
		bool whole = true;

		buf_init(&text);
		buf_printf(&text, "%s%s", head, prng_below(&r, 2) == 0 ? "create trigger " : "");
		for (uint64_t n = 1 + prng_below(&r, 20); n > 0; n--)
			buf_printf(&text, "%s ", tokens[prng_below(&r, 24)]);
		buf_printf(&text, ";");
		int rc = scenario_parse("f", buf_str(&text), text.size, NULL, &s, &err);
		const char *at = skip_nothing(buf_str(&text) + sizeof head - 1);
		while (*at != '\0' && whole) {
			size_t size = 0;
			char *sql = xstrdup(at);

			whole = false;
			for (size_t i = 0; at[i] != '\0' && !whole; i++) {
				if (at[i] != ';')
					continue;
				sql[i + 1] = '\0';
				whole = sqlite3_complete(sql) == 1;
				size = i + 1;
				if (!whole)
					sql[i + 1] = at[i + 1];
			}
			if (whole && rc == 0) {
				assert_true(count < s->clients[0].statements.count);
				assert_string_equal(s->clients[0].statements.items[count].sql, sql);
				bodies += strchr(sql, ';') != sql + size - 1;
			}
			free(sql);
			if (whole) {
				count++;
				at = skip_nothing(at + size);
			}
		}
		/* A statement that never ends, or none at all, is an error; anything else is not.
		 */
		assert_int_equal(rc == 0, whole && count > 0);
		if (rc == 0)
			assert_int_equal(count, s->clients[0].statements.count);
		compared += count;
		scenario_free(s);
		buf_release(&text);
	}
	/* The generator must reach what the test is about. */
	assert_true(compared > 10000);
	assert_true(bodies > 1000);
}

static int parse_text(struct buf *text, struct err *err)
{
	struct scenario *s = NULL;
	int rc = scenario_parse("f.sql", buf_str(text), text->size, NULL, &s, err);

	scenario_free(s);
	return rc;
}

/* Every list has an end, and reaching it is an error with its line, never silent. */
static void test_limits(void **state)
{
	static const struct {
		const char *fmt;
		const char *message;
	} lists[] = {
	    {"-- @pragma k%d=1\n", "more than 256 of '@pragma'"},
	    {"-- @attach n%d f%d\n", "more than 256 of '@attach'"},
	    {"-- @matrix k%d=1\n", "more than 256 of '@matrix'"},
	    {"-- @require torn if k=v%d\n", "more than 256 of '@require'"},
	    {"-- @load e%d.so\n", "more than 256 of '@load'"},
	    {"-- @client c%d\nSELECT 1;\n", "more than 256 of '@client'"},
	    {"-- @invariant t%d\nSELECT 1;\n", "more than 256 of '@invariant'"},
	    {"-- @batch t%d id=a count=b\n", "more than 256 of '@batch'"},
	    {"-- @order t%d c\n", "more than 256 of '@order'"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		for (int over = 0; over < 2; over++) {
			struct err err = ERR_INIT;
			struct buf text;

			buf_init(&text);
			buf_printf(&text, "-- @scenario x\n");
			for (int n = 0; n < SCENARIO_LIST_MAX + over; n++) {
				const char *p = lists[i].fmt, *d;

				for (; (d = strstr(p, "%d")) != NULL; p = d + 2)
					buf_printf(&text, "%.*s%d", (int)(d - p), p, n);
				buf_printf(&text, "%s", p);
			}
			if (strstr(lists[i].fmt, "@client") == NULL)
				buf_printf(&text, "-- @client c\nSELECT 1;\n");
			int rc = parse_text(&text, &err);
			if (over == 0)
				assert_string_equal(err.message, "");
			else
				assert_non_null(strstr(err.message, lists[i].message));
			assert_int_equal(rc, over == 0 ? 0 : ERR_INPUT);
			buf_release(&text);
		}
	}
}

/* A file of the largest size is read in good time, whatever it holds; one byte more is refused. */
static void test_size(void **state)
{
	static const char head[] = "-- @scenario x\n-- @client a\nCREATE TRIGGER t BEGIN ";
	static const char tail[] = "; END;";
	struct err err = ERR_INIT;
	struct buf text;

	(void)state;
	buf_init(&text);
	buf_printf(&text, "%s", head);
	while (text.size + sizeof tail - 1 < SCENARIO_FILE_SIZE_MAX)
		buf_printf(&text, ";");
	buf_printf(&text, "%s", tail);
	assert_int_equal(text.size, SCENARIO_FILE_SIZE_MAX);
	assert_int_equal(parse_text(&text, &err), 0);
	buf_printf(&text, "\n");
	assert_int_equal(parse_text(&text, &err), ERR_INPUT);
	assert_string_equal(err.message, "f.sql: larger than 4194304 bytes");
	buf_release(&text);
}

static void expand(const char *text, const struct case_options *options, struct case_list *ret_list,
		   int expected_rc)
{
	struct scenario *s = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(scenario_parse("f.sql", text, strlen(text), NULL, &s, &err), 0);
	assert_int_equal(scenario_cases(s, "f.sql", NULL, options, ret_list, &err), expected_rc);
	if (expected_rc != 0)
		assert_string_equal(err.message,
				    "f.sql:2: models and '@matrix' make more than 4096 cases");
	scenario_free(s);
}

/* 4096 cases are served and one model more is refused, before anything overflows. */
static void test_case_limit(void **state)
{
	static const char fits[] = "-- @scenario x\n"
				   "-- @matrix a=1,2,3,4,5,6,7,8 b=1,2,3,4,5,6,7,8\n"
				   "-- @matrix c=1,2,3,4,5,6,7,8 d=1,2,3,4,5,6,7,8\n"
				   "-- @client a\nSELECT 1;\n";
	static const char *const two[] = {"m", "n"};
	struct case_options options = {.default_require = GRADE_DURABLE};
	struct case_list list = {NULL, 0, 0};
	struct buf text;

	(void)state;
	expand(fits, &options, &list, 0);
	assert_int_equal(list.count, 4096);
	assert_string_equal(list.items[1].id, "f@strict-posix[a=1,b=1,c=1,d=2]");
	assert_string_equal(list.items[4095].id, "f@strict-posix[a=8,b=8,c=8,d=8]");
	case_list_release(&list);
	options.models = two;
	options.model_count = 2;
	expand(fits, &options, &list, ERR_INPUT);
	assert_int_equal(list.count, 0);

	/* 2^200 assignments. */
	buf_init(&text);
	buf_printf(&text, "-- @scenario x\n-- @matrix");
	for (int i = 0; i < 200; i++)
		buf_printf(&text, " k%d=1,2", i);
	buf_printf(&text, "\n-- @client a\nSELECT 1;\n");
	expand(buf_str(&text), &options, &list, ERR_INPUT);
	buf_release(&text);
}

/* Whatever their number, shards share no case, miss none, and none is lopsided. */
static void test_shards(void **state)
{
	static const char text[] = "-- @scenario x\n"
				   "-- @matrix a=1,2,3,4,5,6,7,8 b=1,2,3,4,5,6,7,8 c=1,2,3,4\n"
				   "-- @client a\nSELECT 1;\n";
	struct case_options options = {.default_require = GRADE_DURABLE};
	struct case_list all = {NULL, 0, 0};

	(void)state;
	expand(text, &options, &all, 0);
	assert_int_equal(all.count, 256);
	for (uint32_t n = 1; n <= 5; n++) {
		bool seen[256] = {false};
		size_t total = 0;

		for (uint32_t i = 1; i <= n; i++) {
			struct case_list list = {NULL, 0, 0};
			size_t at = 0;

			options.shard_index = i;
			options.shard_count = n;
			expand(text, &options, &list, 0);
			assert_true(list.count > 256 / n / 2);
			for (size_t k = 0; k < list.count; k++) {
				/* Order is kept, so one walk finds them all. */
				while (at < 256 && strcmp(all.items[at].id, list.items[k].id) != 0)
					at++;
				assert_true(at < 256);
				assert_false(seen[at]);
				seen[at] = true;
			}
			total += list.count;
			case_list_release(&list);
		}
		assert_int_equal(total, 256);
	}
	case_list_release(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_split_as_sqlite),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_size),
	    cmocka_unit_test(test_case_limit),
	    cmocka_unit_test(test_shards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
