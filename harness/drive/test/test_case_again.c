/*
 * A case that carries its scenario can be recorded again from that alone, and the trace is the same
 * to the byte, statements included.
 */
#include "harness/case/case_source.h"

#include "faultinject/vfs.h"
#include "harness/cli/command.h"
#include "harness/drive/observe.h"
#include "harness/drive/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char plain[] = "-- @scenario two clients\n"
			    "-- @models strict-posix ext4-ordered\n"
			    "-- @matrix journal_mode=wal,delete\n"
			    "-- @setup\n"
			    "CREATE TABLE t(a, r);\n"
			    "-- @client one repeat=2\n"
			    "BEGIN;\n"
			    "INSERT INTO t VALUES (:i, :r);\n"
			    "COMMIT;\n"
			    "-- @client two\n"
			    "INSERT INTO t VALUES (:client, :seed);\n";

static const char own_model[] = "-- @scenario a disk of one's own\n"
				"-- @define-model mine sector=512\n"
				"-- @models mine\n"
				"-- @setup crash=yes\n"
				"CREATE TABLE t(a);\n"
				"-- @client one\n"
				"INSERT INTO t VALUES (1);\n";

static const char workload[] = "-- @scenario the store\n"
			       "-- @pragma journal_mode=wal\n"
			       "-- @workload store.archival batches=2\n";

static const char planted[] = "-- @scenario a defect\n"
			      "-- @plant missing-commit-sync\n"
			      "-- @expect corrupt\n"
			      "-- @setup\n"
			      "CREATE TABLE t(a);\n"
			      "-- @client one\n"
			      "INSERT INTO t VALUES (1);\n";

static struct trace *recorded(const struct scenario *s, const struct case_spec *spec,
			      const struct subject *subject)
{
	struct trace *t = NULL;
	char *skip = NULL;
	struct err err = ERR_INIT;

	if (record_case(s, spec, subject, &t, &skip, &err) != 0)
		fail_msg("%s", err.message);
	assert_null(skip);
	return t;
}

static struct case_source *through_json(const struct case_source *from)
{
	json_t *json = case_source_to_json(from), *again;
	struct case_source *c = NULL;
	struct err err = ERR_INIT;

	if (case_source_from_json(json, &c, &err) != 0)
		fail_msg("%s", err.message);
	again = case_source_to_json(c);
	assert_true(json_equal(json, again));
	json_decref(again);
	json_decref(json);
	return c;
}

static void expect_same_subject(const struct subject *a, const struct subject *b)
{
	json_t *x = subject_to_json(a), *y = subject_to_json(b);

	if (!json_equal(x, y))
		fail_msg("%s\n%s", json_dumps(x, JSON_SORT_KEYS), json_dumps(y, JSON_SORT_KEYS));
	json_decref(x);
	json_decref(y);
}

static void expect_again(const struct scenario *s, const struct case_spec *spec)
{
	const uint64_t seed = 7;
	struct subject *subject = subject_from_scenario(s, spec, seed);
	struct trace *t = recorded(s, spec, subject);
	struct case_source *first = case_source_create(s, spec, seed), *c = through_json(first);
	struct case_again again;
	struct err err = ERR_INIT;
	struct buf a = {0}, b = {0};

	if (case_source_read(c, cli_vocabulary(), &again, &err) != 0)
		fail_msg("%s: %s", spec->id, err.message);
	expect_same_subject(subject, again.subject);
	struct trace *u = recorded(again.scenario, &again.cases.items[0], again.subject);

	trace_encode(t, &a);
	trace_encode(u, &b);
	assert_int_equal(a.size, b.size);
	assert_memory_equal(a.data, b.data, a.size);
	assert_true(t->statement_count > 0);
	buf_release(&a);
	buf_release(&b);
	trace_free(t);
	trace_free(u);
	case_again_release(&again);
	case_source_free(first);
	case_source_free(c);
	subject_free(subject);
}

static void expect_all_again(const char *text, const struct kv_list *set, size_t cases)
{
	struct scenario *s = NULL;
	struct case_list list = {0};
	struct case_options options = {.set = set, .default_require = GRADE_DURABLE};
	struct err err = ERR_INIT;

	if (scenario_parse("d/a b.sql", text, strlen(text), cli_vocabulary(), &s, &err) != 0 ||
	    scenario_cases(s, "a b.sql", cli_vocabulary(), &options, &list, &err) != 0)
		fail_msg("%s", err.message);
	assert_int_equal(list.count, cases);
	for (size_t i = 0; i < list.count; i++)
		expect_again(s, &list.items[i]);
	case_list_release(&list);
	scenario_free(s);
}

/* Every case of models and axes. */
static void test_matrix(void **state)
{
	(void)state;
	expect_all_again(plain, NULL, 4);
}

/* What --set changed, also of the model and of the workload. */
static void test_set(void **state)
{
	struct kv_list set = {0};

	(void)state;
	kv_set(&set, "journal_mode", "delete");
	kv_set(&set, "synchronous", "off");
	kv_set(&set, "model.sector", "512");
	expect_all_again(plain, &set, 2);
	kv_release(&set);
	kv_set(&set, "workload.batches", "3");
	expect_all_again(workload, &set, 1);
	kv_release(&set);
}

static void test_own_model(void **state)
{
	(void)state;
	expect_all_again(own_model, NULL, 1);
}

static void test_planted(void **state)
{
	(void)state;
	expect_all_again(planted, NULL, 1);
}

/* A statement stands in the trace with the line of the scenario that it is on; values of parameters
 * do not. */
static void test_statements(void **state)
{
	struct scenario *s = NULL;
	struct case_list list = {0};
	struct case_options options = {.default_require = GRADE_DURABLE};
	struct err err = ERR_INIT;
	size_t inserts = 0;

	(void)state;
	assert_int_equal(scenario_parse("a.sql", plain, strlen(plain), cli_vocabulary(), &s, &err),
			 0);
	assert_int_equal(scenario_cases(s, "a.sql", cli_vocabulary(), &options, &list, &err), 0);
	struct subject *subject = subject_from_scenario(s, &list.items[0], 1);
	struct trace *t = recorded(s, &list.items[0], subject);

	for (size_t i = 0; i < t->statement_count; i++) {
		const struct trace_statement *st = &t->statements[i];

		assert_null(strstr(st->sql, "CREATE")); /* @setup is before the trace */
		if (strcmp(st->sql, "INSERT INTO t VALUES (:i, :r);") != 0)
			continue;
		assert_string_equal(st->source, "a.sql:8");
		assert_int_equal(st->process, 1);
		inserts++;
	}
	assert_int_equal(inserts, 2);
	trace_free(t);
	subject_free(subject);
	case_list_release(&list);
	scenario_free(s);
}

/* A text that is no scenario, or expands to several cases, is refused. */
static void test_no_single_case(void **state)
{
	struct case_source *c = xcalloc(1, sizeof *c);
	struct case_again again;
	struct err err = ERR_INIT;

	(void)state;
	c->path = xstrdup("x.sql");
	c->text = xstrdup("-- @scenario x\n-- @client c\nSELEC;");
	c->id = xstrdup("x@strict-posix");
	c->model = xstrdup("strict-posix");
	free(c->text);
	c->text = xstrdup("-- @scenari x\n");
	assert_int_equal(case_source_read(c, cli_vocabulary(), &again, &err), ERR_INPUT);
	assert_non_null(strstr(err.message, "x.sql:1"));
	free(c->text);
	c->text = xstrdup(plain); /* nothing picks a value of its axis */
	assert_int_equal(case_source_read(c, cli_vocabulary(), &again, &err), ERR_INPUT);
	assert_non_null(strstr(err.message, "2 cases"));
	case_source_free(c);
}

static int setup(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	observer_configure();
	return fi_vfs_register(&err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_matrix),     cmocka_unit_test(test_set),
	    cmocka_unit_test(test_own_model),  cmocka_unit_test(test_planted),
	    cmocka_unit_test(test_statements), cmocka_unit_test(test_no_single_case),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
