/* Subjects: from scenarios, and to and from JSON. Equality is checked field by field, not through
 * the JSON, so that a field which the writer forgets is noticed. */
#include "harness/case/subject.h"

#include "faultinject/base/buf.h"
#include "faultinject/trace.h"
#include "harness/case/test/case_sample.h"
#include "harness/judge/observation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct subject *from_scenario(const char *text, const char *case_glob, uint64_t seed)
{
	struct case_options options = {.default_require = GRADE_DURABLE, .glob = case_glob};
	struct case_list cases = {0};
	struct scenario *s = NULL;
	struct err err = ERR_INIT;

	if (scenario_parse("t.sql", text, strlen(text), NULL, &s, &err) != 0 ||
	    scenario_cases(s, "sub/t.sql", NULL, &options, &cases, &err) != 0)
		fail_msg("%s", err.message);
	assert_int_equal(cases.count, 1);
	struct subject *subject = subject_from_scenario(s, &cases.items[0], seed);

	/* The subject must not borrow from what it was made of. */
	case_list_release(&cases);
	scenario_free(s);
	return subject;
}

static void expect_kv(const struct kv_list *list, size_t index, const char *key, const char *value)
{
	assert_true(index < list->count);
	assert_string_equal(list->items[index].key, key);
	assert_string_equal(list->items[index].value, value);
}

/* Everything of a scenario that recovery, observation and judging need is in its subject. */
static void test_from_scenario(void **state)
{
	static const char text[] = "-- @scenario Two files\n"
				   "-- @pragma page_size=512 journal_mode=delete\n"
				   "-- @attach aux x.db\n"
				   "-- @matrix synchronous=full,extra model.sector=512,4096\n"
				   "-- @load ./one.so\n"
				   "-- @batch event id=batch count=size\n"
				   "-- @order event seq\n"
				   "-- @schema-version 1,4\n"
				   "-- @open\n"
				   "PRAGMA foreign_keys = on;\n"
				   "SELECT 2;\n"
				   "-- @client a\n"
				   "INSERT INTO event VALUES (1);\n"
				   "-- @invariant \"nothing is lost\"\n"
				   "SELECT 1 WHERE 0;\n";
	struct subject *s = from_scenario(text, "*model.sector=4096*synchronous=extra*", 77);

	(void)state;
	assert_string_equal(s->id, "sub/t@strict-posix[model.sector=4096,synchronous=extra]");
	assert_string_equal(s->title, "Two files");
	assert_string_equal(s->database, "/db/main.db");
	assert_int_equal(s->attached_count, 1);
	assert_string_equal(s->attached[0].name, "aux");
	assert_string_equal(s->attached[0].file, "/db/x.db");
	assert_int_equal(s->pragmas.count, 3);
	expect_kv(&s->pragmas, 0, "page_size", "512");
	expect_kv(&s->pragmas, 1, "journal_mode", "delete");
	expect_kv(&s->pragmas, 2, "synchronous", "extra");
	assert_int_equal(s->model_params.count, 1);
	expect_kv(&s->model_params, 0, "sector", "4096");
	assert_int_equal(s->open_count, 2);
	assert_string_equal(s->open[0], "PRAGMA foreign_keys = on;");
	assert_string_equal(s->open[1], "SELECT 2;");
	assert_int_equal(s->load_count, 1);
	assert_string_equal(s->loads[0], "./one.so");
	assert_int_equal(s->invariant_count, 1);
	assert_string_equal(s->invariants[0].text, "nothing is lost");
	assert_string_equal(s->invariants[0].sql, "SELECT 1 WHERE 0;");
	assert_int_equal(s->invariants[0].line, 14);
	assert_int_equal(s->batch_count, 1);
	assert_string_equal(s->batches[0].table, "event");
	assert_string_equal(s->batches[0].id_column, "batch");
	assert_string_equal(s->batches[0].count_column, "size");
	assert_int_equal(s->order_count, 1);
	assert_string_equal(s->orders[0].table, "event");
	assert_string_equal(s->orders[0].column, "seq");
	assert_int_equal(s->schema_version_count, 2);
	assert_int_equal(s->schema_versions[0], 1);
	assert_int_equal(s->schema_versions[1], 4);
	assert_int_equal(s->ack, HISTORY_ACK_EXACT);
	assert_string_equal(s->model, "strict-posix");
	assert_int_equal(s->seed, 77);
	subject_free(s);
}

/* A scenario with a workload lays its database out at the same place, and what is absent stays so.
 */
static void test_from_workload(void **state)
{
	static const char text[] = "-- @scenario The store\n"
				   "-- @workload store.archival batches=9\n";
	struct subject *s = from_scenario(text, NULL, 1);

	(void)state;
	assert_string_equal(s->id, "sub/t@strict-posix");
	assert_string_equal(s->database, "/db/main.db");
	assert_int_equal(s->attached_count + s->pragmas.count + s->open_count + s->load_count +
			     s->invariant_count + s->batch_count + s->order_count +
			     s->schema_version_count + s->model_params.count,
			 0);
	assert_null(s->schema_versions);
	assert_int_equal(s->ack, HISTORY_ACK_EXACT);
	subject_free(s);
	subject_free(NULL);
}

static void expect_same_kv(const struct kv_list *a, const struct kv_list *b)
{
	assert_int_equal(a->count, b->count);
	for (size_t i = 0; i < a->count; i++)
		expect_kv(a, i, b->items[i].key, b->items[i].value);
}

static void expect_same_strings(char *const *a, size_t a_count, char *const *b, size_t b_count)
{
	assert_int_equal(a_count, b_count);
	for (size_t i = 0; i < a_count; i++)
		assert_string_equal(a[i], b[i]);
}

static void expect_same(const struct subject *a, const struct subject *b)
{
	assert_string_equal(a->id, b->id);
	assert_string_equal(a->title, b->title);
	assert_string_equal(a->database, b->database);
	assert_string_equal(a->model, b->model);
	assert_true(a->seed == b->seed);
	assert_int_equal(a->ack, b->ack);
	assert_int_equal(a->model_defined, b->model_defined);
	assert_int_equal(a->unsynced_recovery, b->unsynced_recovery);
	assert_int_equal(a->defect == NULL, b->defect == NULL);
	if (a->defect != NULL)
		assert_string_equal(a->defect, b->defect);
	assert_int_equal(a->check == NULL, b->check == NULL);
	if (a->check != NULL)
		assert_string_equal(a->check, b->check);
	expect_same_kv(&a->pragmas, &b->pragmas);
	expect_same_kv(&a->model_params, &b->model_params);
	expect_same_strings(a->open, a->open_count, b->open, b->open_count);
	expect_same_strings(a->loads, a->load_count, b->loads, b->load_count);
	assert_int_equal(a->attached_count, b->attached_count);
	for (size_t i = 0; i < a->attached_count; i++) {
		assert_string_equal(a->attached[i].name, b->attached[i].name);
		assert_string_equal(a->attached[i].file, b->attached[i].file);
	}
	assert_int_equal(a->invariant_count, b->invariant_count);
	for (size_t i = 0; i < a->invariant_count; i++) {
		assert_string_equal(a->invariants[i].text, b->invariants[i].text);
		assert_string_equal(a->invariants[i].sql, b->invariants[i].sql);
		assert_int_equal(a->invariants[i].line, b->invariants[i].line);
	}
	assert_int_equal(a->batch_count, b->batch_count);
	for (size_t i = 0; i < a->batch_count; i++) {
		assert_string_equal(a->batches[i].table, b->batches[i].table);
		assert_string_equal(a->batches[i].id_column, b->batches[i].id_column);
		assert_string_equal(a->batches[i].count_column, b->batches[i].count_column);
	}
	assert_int_equal(a->order_count, b->order_count);
	for (size_t i = 0; i < a->order_count; i++) {
		assert_string_equal(a->orders[i].table, b->orders[i].table);
		assert_string_equal(a->orders[i].column, b->orders[i].column);
	}
	assert_int_equal(a->schema_version_count, b->schema_version_count);
	for (size_t i = 0; i < a->schema_version_count; i++)
		assert_true(a->schema_versions[i] == b->schema_versions[i]);
}

/* Through text, as a case file does it. Owns nothing that it is given. */
static struct subject *through_json(const struct subject *s)
{
	json_t *json = subject_to_json(s);
	char *dump = json_dumps(json, JSON_SORT_KEYS | JSON_COMPACT);
	json_t *again = json_loads(dump, JSON_REJECT_DUPLICATES, NULL);
	struct subject *copy = NULL;
	struct err err = ERR_INIT;

	assert_non_null(again);
	if (subject_from_json(again, &copy, &err) != 0)
		fail_msg("%s", err.message);
	json_decref(json);
	json_decref(again);
	free(dump);
	return copy;
}

/* A subject survives JSON in every field. */
static void test_round_trip(void **state)
{
	struct subject *s = sample_subject();
	struct subject *copy = through_json(s);

	(void)state;
	expect_same(s, copy);
	subject_free(copy);
	for (int ack = HISTORY_ACK_EXACT; ack <= HISTORY_ACK_MARK; ack++) {
		s->ack = (enum history_ack)ack;
		copy = through_json(s);
		expect_same(s, copy);
		subject_free(copy);
	}
	s->ack = HISTORY_ACK_EXACT;
	s->model_defined = true;
	s->unsynced_recovery = true;
	s->defect = xstrdup("journal-stays");
	s->check = xstrdup("./check \"$PLUGPULL_STATE\"");
	s->seed = 0;
	copy = through_json(s);
	expect_same(s, copy);
	subject_free(copy);
	subject_free(s);
}

/* A path is bytes: one that is not UTF-8 comes back as it was. */
static void test_any_bytes(void **state)
{
	struct subject *s = sample_subject();

	(void)state;
	free(s->database);
	s->database = xstrdup("/db/\xFF\x01\xC3.db");
	free(s->attached[0].file);
	s->attached[0].file = xstrdup("/db/\xED\xA0\x80");
	struct subject *copy = through_json(s);

	expect_same(s, copy);
	subject_free(copy);
	subject_free(s);
}

/* Reads `json` and releases it; true if it is a subject. */
static bool accepted(json_t *json, const char *part)
{
	struct subject *s = NULL, *again = NULL;
	struct err err = ERR_INIT;
	int rc = subject_from_json(json, &s, &err);

	assert_int_equal(rc == 0, s != NULL);
	if (rc != 0) {
		assert_int_equal(rc, ERR_INPUT);
		assert_int_equal(err.code, ERR_INPUT);
		if (strncmp(err.message, "subject: ", 9) != 0 || strstr(err.message, part) == NULL)
			fail_msg("'%s' does not say '%s'", err.message, part);
	}
	/* A caller that wants no message gets the same code. */
	assert_int_equal(subject_from_json(json, &again, NULL), rc);
	json_decref(json);
	subject_free(s);
	subject_free(again);
	return rc == 0;
}

static json_t *sample_json(void)
{
	struct subject *s = sample_subject();
	json_t *json = subject_to_json(s);

	subject_free(s);
	return json;
}

static bool accepted_with(const char *key, json_t *value, const char *part)
{
	json_t *json = sample_json();

	json_object_set_new(json, key, value);
	return accepted(json, part);
}

/* Every key is needed, no other is allowed, and no value may have another type: here, and inside of
 * the lists. */
static void test_shape(void **state)
{
	json_t *sample = sample_json();
	const char *key;
	json_t *value;

	(void)state;
	assert_int_equal(json_object_size(sample), 15);
	json_object_foreach (sample, key, value) {
		json_t *json = json_deep_copy(sample);

		json_object_del(json, key);
		assert_false(accepted(json, key));
		assert_false(accepted_with(key, json_real(1.5), key));
		assert_false(accepted_with(key, json_null(), key));
		assert_false(accepted_with(key, json_object(), key));
		if (!json_is_array(value))
			continue;
		json = json_deep_copy(sample);
		json_array_append_new(json_object_get(json, key), json_real(1));
		assert_false(accepted(json, key));
		if (!json_is_object(json_array_get(value, 0)))
			continue;
		const char *member;
		json_t *ignored;

		json_object_foreach (json_array_get(value, 0), member, ignored) {
			(void)ignored;
			json = json_deep_copy(sample);
			json_object_del(json_array_get(json_object_get(json, key), 0), member);
			assert_false(accepted(json, member));
			json = json_deep_copy(sample);
			json_object_set_new(json_array_get(json_object_get(json, key), 0), member,
					    json_false());
			assert_false(accepted(json, member));
		}
		json = json_deep_copy(sample);
		json_object_set_new(json_array_get(json_object_get(json, key), 0), "more",
				    json_string(""));
		assert_false(accepted(json, "unknown key"));
	}
	json_object_set_new(sample, "more", json_string(""));
	assert_false(accepted(sample, "unknown key"));
	assert_false(accepted(json_array(), "object"));
	assert_int_equal(subject_from_json(NULL, NULL, NULL), ERR_INPUT);
	assert_true(accepted(sample_json(), ""));
}

static json_t *repeated(json_t *item, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append(array, item);
	json_decref(item);
	return array;
}

static json_t *bytes_object(const char *hex)
{
	return json_pack("{s:s}", "bytes", hex);
}

/* Each bound holds exactly. */
static void test_bounds(void **state)
{
	char path[TRACE_NAME_MAX + 2];
	const size_t files = OBSERVED_FILES_MAX - 1;

	(void)state;
	memset(path, 'a', sizeof path);
	path[0] = '/';
	path[TRACE_NAME_MAX + 1] = '\0';
	assert_false(accepted_with("database", json_string(path), "database"));
	path[TRACE_NAME_MAX] = '\0';
	assert_true(accepted_with("database", json_string(path), ""));
	assert_false(accepted_with("database", json_string("main.db"), "absolute"));
	assert_false(accepted_with("database", json_string(""), "empty"));
	assert_false(accepted_with("id", json_string(""), "empty"));
	assert_false(accepted_with("model", json_string(""), "empty"));
	assert_true(accepted_with("title", json_string(""), ""));

	json_t *attached = json_pack("{s:s,s:s}", "name", "a", "file", "/x");

	assert_true(accepted_with("attached", repeated(json_incref(attached), files), ""));
	assert_false(accepted_with("attached", repeated(attached, files + 1), "'attached': 16"));
	assert_false(accepted_with(
	    "attached", repeated(json_pack("{s:s,s:s}", "name", "a", "file", "x"), 1), "absolute"));
	assert_true(accepted_with("loads", repeated(json_string("x"), 1024), ""));
	assert_false(accepted_with("loads", repeated(json_string("x"), 1025), "'loads': 1025"));
	assert_true(accepted_with("open", repeated(json_string("x;"), 5000), ""));
	assert_true(accepted_with("schema_versions", repeated(json_integer(INT64_MIN), 2), ""));

	for (int lock = 0; lock < 2; lock++)
		for (int i = 0; i < 4; i++) {
			static const char *const words[] = {"output", "mark", "lock", ""};
			json_t *json = sample_json();

			json_object_set_new(json, "ack_lock", json_boolean(lock));
			json_object_set_new(json, "ack", json_string(words[i]));
			assert_int_equal(accepted(json, "'ack'"), !lock && i < 2);
		}

	assert_false(accepted_with("check", json_string(""), "'check'"));
	assert_false(accepted_with("check", json_null(), "'check'"));
	assert_true(accepted_with("check", json_string("true"), ""));

	static const char *const seeds[] = {
	    "", "-1", "01", "+1", " 1", "1 ", "0x1", "1e3", "18446744073709551616"};

	for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++)
		assert_false(accepted_with("seed", json_string(seeds[i]), "seed"));
	assert_true(accepted_with("seed", json_string("18446744073709551615"), ""));
	assert_true(accepted_with("seed", json_string("0"), ""));

	static const struct {
		json_int_t line;
		bool good;
	} lines[] = {{-1, false}, {0, true}, {INT32_MAX, true}, {(json_int_t)INT32_MAX + 1, false}};

	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		json_t *item =
		    json_pack("{s:s,s:s,s:I}", "text", "t", "sql", "s", "line", lines[i].line);

		assert_int_equal(accepted_with("invariants", repeated(item, 1), "line"),
				 lines[i].good);
	}
}

/* Bytes have one form: lower case, no zero byte, and only where a plain string cannot say it. */
static void test_bytes_form(void **state)
{
	static const char *const bad[] = {"",	"2",	  "2fF",    "2fFF", "2fgg",
					  "2f", "2fff00", "2f00ff", "2fff "};

	(void)state;
	assert_true(accepted_with("database", bytes_object("2fff"), ""));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(accepted_with("database", bytes_object(bad[i]), "database"));
	assert_false(accepted_with("database", json_pack("{s:s,s:i}", "bytes", "2fff", "more", 1),
				   "database"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_from_scenario), cmocka_unit_test(test_from_workload),
	    cmocka_unit_test(test_round_trip),	  cmocka_unit_test(test_any_bytes),
	    cmocka_unit_test(test_shape),	  cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_bytes_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
