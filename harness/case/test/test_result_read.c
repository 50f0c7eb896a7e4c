/* A result back from its JSON: nothing is lost, and nothing is believed. */
#include "harness/case/result_json.h"
#include "harness/case/result_read.h"

#include "faultinject/base/buf.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A case with each kind of field. */
static void sample(struct result *r)
{
	result_init(r, "mutate", 7);
	r->sqlite_version = xstrdup("3.40.1");
	r->sqlite_source_id = xstrdup("2022-12-28");
	r->interrupted = true;
	struct case_result *c = result_add(r);

	c->id = xstrdup("bank@strict-posix");
	c->scenario = xstrdup("bank");
	c->model = xstrdup("strict-posix");
	kv_set(&c->config, "synchronous", "normal");
	c->verdict = CASE_VIOLATED;
	c->grade = GRADE_CONSISTENT;
	c->required = GRADE_DURABLE;
	c->has_required = c->exhaustive = true;
	c->crash_points = 65;
	c->recoveries = 33427;
	c->states = xstrdup("3141592653589793238462643383");
	c->commits = 20;
	c->lost_acked_max = 3;
	c->reason = xstrdup("why");
	case_result_not_applicable(c, "foreign_keys", "fails without a crash");
	case_result_violation(c, "history", GRADE_CONSISTENT, "3 commits are gone", "pp1-abc");
	result_violation_waive(&c->violations[0], "3", "2026-01-31", "known", 4);
	case_result_violation(c, "leftovers", GRADE_NONE, "a file was left", NULL);
	case_result_lint(c, "commit-before-ack", "no sync", 2);
	c->mutated = true;
	case_result_mutant(c, "sync main.db #1", "sync", MUTATION_CAUGHT, false, 3, "torn");
	case_result_mutant(c, "defect x", "defect", MUTATION_MISSED, false, 9, NULL);
	case_result_note(c, "a label");
	c = result_add(r);
	c->id = xstrdup("bank@kill");
	c->scenario = xstrdup("bank");
	c->verdict = CASE_HELD;
	c->has_expected = true;
	c->expected = GRADE_TORN;
	c->has_rounds = true;
	c->rounds = 20;
	c->has_sampled = true;
	c->sampled = 300;
}

static char *dump(const struct result *r)
{
	struct err err = ERR_INIT;
	char *text = NULL;
	size_t size;

	assert_int_equal(result_json(r, &text, &size, &err), 0);
	return text;
}

/* What is written is what was read, to the byte. */
static void test_round_trip(void **state)
{
	struct result r, read;
	struct result_origin origin;
	struct err err = ERR_INIT;

	(void)state;
	sample(&r);
	char *text = dump(&r);

	assert_int_equal(result_read(text, strlen(text), &read, &origin, &err), 0);
	assert_string_equal(origin.command, "mutate");
	read.command = origin.command;
	char *again = dump(&read);

	assert_string_equal(text, again);
	free(text);
	free(again);
	result_release(&r);
	result_release(&read);
	result_origin_release(&origin);
}

static int read_json(json_t *root, struct err *err)
{
	char *text = json_dumps(root, 0);
	struct result r;
	struct result_origin origin;
	int rc = result_read(text, strlen(text), &r, &origin, err);

	free(text);
	if (rc == 0) {
		result_release(&r);
		result_origin_release(&origin);
	}
	return rc;
}

/* Every value below `at` in turn is replaced by one of each other type: read or refused, and what a
 * reader relies on (its type) is refused. Returns how many were refused. */
static size_t damage(json_t *root, json_t *at)
{
	static const char *const others[] = {"null", "true", "-1", "1.5", "\"zzz\"", "[]", "{}"};
	size_t refused = 0;
	json_t *value;
	const char *key;
	void *next;
	size_t i;

	json_object_foreach_safe(at, next, key, value)
	{
		json_incref(value);
		for (size_t k = 0; k < sizeof others / sizeof others[0]; k++) {
			struct err err = ERR_INIT;

			assert_int_equal(json_object_set_new(
					     at, key, json_loads(others[k], JSON_DECODE_ANY, NULL)),
					 0);
			if (read_json(root, &err) != 0) {
				assert_int_equal(err.code, ERR_INPUT);
				assert_true(err.message[0] != '\0');
				refused++;
			}
		}
		assert_int_equal(json_object_set_new(at, key, value), 0);
		refused += damage(root, value);
	}
	json_array_foreach (at, i, value)
		refused += damage(root, value);
	return refused;
}

static void test_damage(void **state)
{
	struct result r;

	(void)state;
	sample(&r);
	char *text = dump(&r);
	json_t *root = json_loads(text, 0, NULL);

	assert_non_null(root);
	assert_int_equal(damage(root, root), 470);
	json_decref(root);
	free(text);
	result_release(&r);
}

static void refused(const char *text, const char *message)
{
	struct result r;
	struct result_origin origin;
	struct err err = ERR_INIT;

	assert_int_equal(result_read(text, strlen(text), &r, &origin, &err), ERR_INPUT);
	assert_non_null(strstr(err.message, message));
}

/* What is no result of this format says so. */
static void test_refuses(void **state)
{
	(void)state;
	refused("", "no JSON: line 1");
	refused("{\"plugpull\": \"1\",\n \"plugpull\": \"1\"}", "no JSON: line 2");
	refused("[]", "not a result of plugpull");
	refused("{\"cases\": []}", "not a result of plugpull");
	refused("{\"plugpull\": \"9\"}", "\"format\" is no number");
	refused("{\"plugpull\": \"9\", \"format\": 2}",
		"format 2 cannot be read; this plugpull reads 1");
	refused("{\"plugpull\": \"9\", \"format\": 1}", "\"command\" is no text");
}

/* A result with the same id twice could hide one case behind the other. */
static void test_twice(void **state)
{
	struct result r;

	(void)state;
	sample(&r);
	free(r.cases[1].id);
	r.cases[1].id = xstrdup(r.cases[0].id);
	char *text = dump(&r);

	refused(text, "the case 'bank@strict-posix' is there more than once");
	free(text);
	result_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_damage),
	    cmocka_unit_test(test_refuses),
	    cmocka_unit_test(test_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
