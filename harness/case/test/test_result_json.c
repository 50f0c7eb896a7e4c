/* The JSON of a result, against the letter of the contract. */
#include "harness/case/result_json.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void sample(struct result *r)
{
	result_init(r, "run", 1);
	r->sqlite_version = strdup("3.40.1");
	r->sqlite_source_id = strdup("2022-12-28");
	struct case_result *c = result_add(r);

	c->id = strdup("bank@strict-posix");
	c->scenario = strdup("bank.sql");
	c->model = strdup("strict-posix");
	kv_set(&c->config, "synchronous", "normal");
	kv_set(&c->config, "journal_mode", "wal");
	c->verdict = CASE_VIOLATED;
	c->grade = GRADE_CONSISTENT;
	c->required = GRADE_DURABLE;
	c->has_required = true;
	c->exhaustive = true;
	c->crash_points = 65;
	c->recoveries = 33427;
	c->states = strdup("3141592653589793238462643383");
	c->commits = 20;
	c->lost_acked_max = 3;
	c->seconds = 1.25;
	case_result_not_applicable(c, "foreign_keys", "fails without a crash");
	case_result_violation(c, "history", GRADE_CONSISTENT, "3 commits are gone", "pp1-abc");
	case_result_violation(c, "leftovers", GRADE_NONE, "a file was left", NULL);
}

static char *dump(const struct result *r)
{
	struct err err = ERR_INIT;
	char *text = NULL;
	size_t size = 0;

	assert_int_equal(result_json(r, &text, &size, &err), 0);
	assert_int_equal(strlen(text), size);
	return text;
}

/* Every byte of a report with each kind of field. */
static void test_golden(void **state)
{
	static const char golden[] = "{\n"
				     "  \"cases\": [\n"
				     "    {\n"
				     "      \"commits\": 20,\n"
				     "      \"config\": {\n"
				     "        \"journal_mode\": \"wal\",\n"
				     "        \"synchronous\": \"normal\"\n"
				     "      },\n"
				     "      \"crash_points\": 65,\n"
				     "      \"exhaustive\": true,\n"
				     "      \"expected\": null,\n"
				     "      \"grade\": \"consistent\",\n"
				     "      \"id\": \"bank@strict-posix\",\n"
				     "      \"lost_acked_max\": 3,\n"
				     "      \"model\": \"strict-posix\",\n"
				     "      \"not_applicable\": [\n"
				     "        {\n"
				     "          \"oracle\": \"foreign_keys\",\n"
				     "          \"reason\": \"fails without a crash\"\n"
				     "        }\n"
				     "      ],\n"
				     "      \"reason\": null,\n"
				     "      \"recoveries\": 33427,\n"
				     "      \"required\": \"durable\",\n"
				     "      \"scenario\": \"bank.sql\",\n"
				     "      \"states\": \"3141592653589793238462643383\",\n"
				     "      \"verdict\": \"violated\",\n"
				     "      \"violations\": [\n"
				     "        {\n"
				     "          \"grade\": \"consistent\",\n"
				     "          \"message\": \"3 commits are gone\",\n"
				     "          \"oracle\": \"history\",\n"
				     "          \"token\": \"pp1-abc\"\n"
				     "        },\n"
				     "        {\n"
				     "          \"grade\": null,\n"
				     "          \"message\": \"a file was left\",\n"
				     "          \"oracle\": \"leftovers\",\n"
				     "          \"token\": null\n"
				     "        }\n"
				     "      ]\n"
				     "    }\n"
				     "  ],\n"
				     "  \"command\": \"run\",\n"
				     "  \"format\": 1,\n"
				     "  \"plugpull\": \"0.1.0\",\n"
				     "  \"seed\": 1,\n"
				     "  \"sqlite\": {\n"
				     "    \"source_id\": \"2022-12-28\",\n"
				     "    \"version\": \"3.40.1\"\n"
				     "  },\n"
				     "  \"verdict\": \"violated\"\n"
				     "}\n";
	struct result r;

	(void)state;
	sample(&r);
	char *text = dump(&r);

	assert_string_equal(text, golden);
	free(text);
	result_release(&r);
}

/* The order in which settings were made does not show: the same result gives the same bytes. */
static void test_same_bytes(void **state)
{
	struct result a, b;

	(void)state;
	sample(&a);
	sample(&b);
	kv_release(&b.cases[0].config);
	memset(&b.cases[0].config, 0, sizeof b.cases[0].config);
	kv_set(&b.cases[0].config, "journal_mode", "wal");
	kv_set(&b.cases[0].config, "synchronous", "normal");
	b.cases[0].seconds = 99; /* unseen without --timing */
	char *x = dump(&a), *y = dump(&b);

	assert_string_equal(x, y);
	free(x);
	free(y);
	result_release(&a);
	result_release(&b);
}

static json_t *parsed(const struct result *r)
{
	char *text = dump(r);
	json_error_t error;
	json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);

	assert_non_null(root);
	free(text);
	return root;
}

static json_t *first_case(json_t *root)
{
	json_t *c = json_array_get(json_object_get(root, "cases"), 0);

	assert_non_null(c);
	return c;
}

/* No number is a float but for seconds, which stands only with timing and is always a number. */
static void test_seconds(void **state)
{
	struct result r;

	(void)state;
	sample(&r);
	json_t *root = parsed(&r);

	assert_null(json_object_get(first_case(root), "seconds"));
	json_decref(root);
	r.timing = true;
	root = parsed(&r);
	assert_true(json_is_real(json_object_get(first_case(root), "seconds")));
	assert_true(fabs(json_real_value(json_object_get(first_case(root), "seconds")) - 1.25) <
		    1e-9);
	json_decref(root);
	r.cases[0].seconds = NAN;
	root = parsed(&r);
	assert_true(json_is_real(json_object_get(first_case(root), "seconds")));
	json_decref(root);
	result_release(&r);
}

/* Kill rounds, expectation, notes and interruption have their keys when there is something to say.
 */
static void test_optional_keys(void **state)
{
	struct result r;

	(void)state;
	sample(&r);
	json_t *root = parsed(&r);

	assert_null(json_object_get(first_case(root), "rounds"));
	assert_null(json_object_get(first_case(root), "notes"));
	assert_null(json_object_get(root, "interrupted"));
	json_decref(root);

	struct case_result *c = &r.cases[0];

	r.interrupted = true;
	c->has_rounds = true;
	c->rounds = 200;
	c->has_expected = true;
	c->expected = GRADE_CORRUPT;
	c->has_required = false;
	free(c->states);
	c->states = NULL;
	free(c->model);
	c->model = NULL;
	case_result_note(c, "explored with sector %d", 512);
	root = parsed(&r);
	json_t *one = first_case(root);

	assert_int_equal(json_integer_value(json_object_get(one, "rounds")), 200);
	assert_string_equal(json_string_value(json_object_get(one, "expected")), "corrupt");
	assert_true(json_is_null(json_object_get(one, "required")));
	assert_true(json_is_null(json_object_get(one, "states")));
	assert_true(json_is_null(json_object_get(one, "model")));
	assert_string_equal(json_string_value(json_array_get(json_object_get(one, "notes"), 0)),
			    "explored with sector 512");
	assert_true(json_is_true(json_object_get(root, "interrupted")));
	json_decref(root);
	result_release(&r);
}

/* Any byte may stand in a path or a message: the report is written all the same. */
static void test_hostile_strings(void **state)
{
	struct result r;

	(void)state;
	sample(&r);
	struct case_result *c = &r.cases[0];

	free(c->id);
	c->id = strdup("a\"\\\x01\n\xff\xc3\xa9\xed\xa0\x80");
	kv_set(&c->config, "\xc3", "\xf0\x9f\x94\x8c");
	json_t *root = parsed(&r);
	json_t *one = first_case(root);

	assert_string_equal(json_string_value(json_object_get(one, "id")),
			    "a\"\\\x01\n\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	assert_string_equal(
	    json_string_value(json_object_get(json_object_get(one, "config"), "\xef\xbf\xbd")),
	    "\xf0\x9f\x94\x8c");
	json_decref(root);
	result_release(&r);
}

/* A count that a JSON integer cannot hold is an error, not another number. */
static void test_count_limit(void **state)
{
	struct err err = ERR_INIT;
	struct result r;
	char *text = NULL;
	size_t size = 77;

	(void)state;
	sample(&r);
	r.cases[0].recoveries = INT64_MAX;
	json_t *root = parsed(&r);

	assert_true(json_integer_value(json_object_get(first_case(root), "recoveries")) ==
		    INT64_MAX);
	json_decref(root);
	r.cases[0].recoveries = (uint64_t)INT64_MAX + 1;
	assert_int_equal(result_json(&r, &text, &size, &err), ERR_LIMIT);
	assert_string_equal(err.message,
			    "cases[0]: JSON: \"recoveries\" is above 9223372036854775807");
	assert_null(text);
	assert_int_equal(size, 77);
	r.cases[0].recoveries = 0;
	r.seed = UINT64_MAX;
	assert_int_equal(result_json(&r, &text, &size, &err), ERR_LIMIT);
	result_release(&r);
}

/* RFC 3629: what is well-formed is decoded, every other byte is one U+FFFD. */
static void test_utf8(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		uint32_t codepoint;
	} rows[] = {
	    {"a", 1, 'a'},
	    {"\x7f", 1, 0x7F},
	    {"\xc2\x80", 2, 0x80},
	    {"\xdf\xbf", 2, 0x7FF},
	    {"\xe0\xa0\x80", 3, 0x800},
	    {"\xef\xbf\xbf", 3, 0xFFFF},
	    {"\xf0\x90\x80\x80", 4, 0x10000},
	    {"\xf4\x8f\xbf\xbf", 4, 0x10FFFF},
	    {"\x80", 1, 0xFFFD},	     /* a continuation byte alone */
	    {"\xc0\x80", 1, 0xFFFD},	     /* overlong */
	    {"\xc1\xbf", 1, 0xFFFD},	     /* overlong */
	    {"\xe0\x9f\xbf", 1, 0xFFFD},     /* overlong */
	    {"\xf0\x8f\xbf\xbf", 1, 0xFFFD}, /* overlong */
	    {"\xed\xa0\x80", 1, 0xFFFD},     /* a surrogate */
	    {"\xf4\x90\x80\x80", 1, 0xFFFD}, /* above U+10FFFF */
	    {"\xf5\x80\x80\x80", 1, 0xFFFD},
	    {"\xff", 1, 0xFFFD},
	    {"\xe2\x82", 1, 0xFFFD}, /* cut */
	    {"\xe2(\xa1", 1, 0xFFFD},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint32_t cp = 0;

		assert_int_equal(result_utf8_next(rows[i].text, &cp), rows[i].size);
		assert_int_equal(cp, rows[i].codepoint);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_golden),
	    cmocka_unit_test(test_same_bytes),
	    cmocka_unit_test(test_seconds),
	    cmocka_unit_test(test_optional_keys),
	    cmocka_unit_test(test_hostile_strings),
	    cmocka_unit_test(test_count_limit),
	    cmocka_unit_test(test_utf8),
	};

	return cmocka_run_group_tests_name("result_json", tests, NULL, NULL);
}
