/*
 * A story as JSON: everything that is written is read again, and what a broken process may have
 * sent is refused.
 */
#include "harness/case/story.h"

#include "faultinject/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Something in every field, each number another one. */
static struct story *sample(void)
{
	struct story *s = story_create();
	char **const texts[] = {
	    &s->token,	      &s->id,		&s->title,	&s->model,	  &s->model_words,
	    &s->oracle,	      &s->message,	&s->verdict,	&s->replay,	  &s->sqlite,
	    &s->plugpull,     &s->crash_words,	&s->allowed,	&s->rows_against, &s->fixes_words,
	    &s->states_total, &s->states_shown, &s->source_path};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		*texts[i] = xasprintf("text %zu </script>", i);
	kv_set(&s->config, "journal_mode", "wal");
	s->grade = GRADE_TORN;
	s->files = xgrow(NULL, 0, &s->file_cap, sizeof *s->files);
	s->files[s->file_count++] = (struct story_file){xstrdup("/db/main.db-wal"), STORY_LOG};
	s->ops = xgrow(NULL, 0, &s->op_cap, sizeof *s->ops);
	s->ops[s->op_count++] = (struct story_op){.position = 1,
						  .kind = "write",
						  .file = 0,
						  .process = 2,
						  .thread = 3,
						  .connection = 4,
						  .offset = 5,
						  .size = 6,
						  .words = xstrdup("frame 17"),
						  .transaction = 1,
						  .fate = STORY_TORN,
						  .parts = 8,
						  .parts_kept = 7,
						  .synced_by = 9,
						  .damaged_by = 32,
						  .failed = true};
	s->ops = xgrow(s->ops, s->op_count, &s->op_cap, sizeof *s->ops);
	s->ops[s->op_count++] = (struct story_op){
	    .position = 10, .kind = "ack", .file = SIZE_MAX, .fate = STORY_NO_CHANGE};
	s->ops_left_out = 11;
	s->statements = xgrow(NULL, 0, &s->statement_cap, sizeof *s->statements);
	s->statements[s->statement_count++] = (struct story_statement){
	    12, 13, 14, xstrdup("a.sql:5"), xstrdup("COMMIT"), 1, 15, true};
	s->transactions = xgrow(NULL, 0, &s->transaction_cap, sizeof *s->transactions);
	s->transactions[s->transaction_count++] = (struct story_transaction){
	    1, 16, 17, 18, 19, 20, 21, true, true, STORY_PARTLY, xstrdup("inserts 1 row"), true};
	s->crash = 22;
	s->cut = true;
	s->cut_bytes = 23;
	s->promise = 24;
	s->again = 25;
	s->decisions = xgrow(NULL, 0, &s->decision_cap, sizeof *s->decisions);
	s->decisions[s->decision_count++] =
	    (struct story_decision){xstrdup("question"), 1, 2, xstrdup("words")};
	s->recovery = xgrow(NULL, 0, &s->recovery_cap, sizeof *s->recovery);
	s->recovery[s->recovery_count++] = xstrdup("found a hot journal");
	s->rows = xgrow(NULL, 0, &s->row_cap, sizeof *s->rows);
	s->rows[s->row_count++] = (struct story_row){xstrdup("table t"), xstrdup("1"), NULL};
	s->rows_left_out = 26;
	s->show_data = true;
	s->missing = xgrow(NULL, 0, &s->missing_cap, sizeof *s->missing);
	s->missing[s->missing_count++] = (struct story_missing){
	    xstrdup("rule"), xstrdup("message"), xstrdup("/db"), true, 27, 28, STORY_MATTERS, true};
	for (int m = STORY_MATTERS_UNKNOWN; m <= STORY_MATTERS_NOT; m++) {
		s->missing =
		    xgrow(s->missing, s->missing_count, &s->missing_cap, sizeof *s->missing);
		s->missing[s->missing_count++] = (struct story_missing){
		    .message = xstrdup("message"), .matters = (enum story_matters)m};
	}
	s->fixes = xgrow(NULL, 0, &s->fix_cap, sizeof *s->fixes);
	s->fixes[s->fix_count++] =
	    (struct story_fix){xstrdup("what"), NULL, xstrdup("proof"), xstrdup("command"), true};
	s->states = xgrow(NULL, 0, &s->state_cap, sizeof *s->states);
	struct story_state *st = &s->states[s->state_count++];
	*st = (struct story_state){.count = xstrdup("100000000000000000000"),
				   .grade = GRADE_NONE,
				   .outcome = xstrdup("durable"),
				   .oracle = NULL,
				   .this_one = true};
	st->fates = xgrow(NULL, 0, &st->fate_cap, sizeof *st->fates);
	st->fates[st->fate_count++] = (struct story_state_fate){1, STORY_LOST};
	s->states_left_out = 29;
	s->states_recoveries = 30;
	s->missing_left_out = 31;
	s->source = xgrow(NULL, 0, &s->source_cap, sizeof *s->source);
	s->source[s->source_count++] = (struct story_line){xstrdup("-- @scenario"), true};
	return s;
}

static struct story *read_story(const json_t *json)
{
	struct story *s = NULL;
	struct err err = ERR_INIT;

	if (story_from_json(json, &s, &err) != 0)
		fail_msg("%s", err.message);
	return s;
}

/* No field is null but those that were left so on purpose: the sample has everything. */
static void expect_full(const json_t *json)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)json, key, value) {
		if (json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0))
			fail_msg("the sample has nothing in '%s'", key);
	}
}

/* Writing, reading and writing again gives the same. */
static void test_round_trip(void **state)
{
	struct story *s = sample();
	json_t *first = story_to_json(s);
	struct story *again = read_story(first);
	json_t *second = story_to_json(again);

	(void)state;
	expect_full(first);
	assert_true(json_equal(first, second));
	assert_int_equal(again->ops[0].fate, STORY_TORN);
	assert_string_equal(again->ops[0].kind, "write");
	assert_int_equal(again->ops[1].file, SIZE_MAX);
	assert_int_equal(again->files[0].role, STORY_LOG);
	assert_int_equal(again->transactions[0].presence, STORY_PARTLY);
	assert_null(again->rows[0].found);
	assert_int_equal(again->states[0].grade, GRADE_NONE);
	assert_int_equal(again->grade, GRADE_TORN);
	assert_string_equal(again->recovery[0], "found a hot journal");
	assert_int_equal(again->again, 25);
	assert_int_equal(again->missing[0].matters, STORY_MATTERS);
	assert_true(again->missing[0].together);
	assert_int_equal(again->missing[1].matters, STORY_MATTERS_UNKNOWN);
	assert_int_equal(again->missing[2].matters, STORY_MATTERS_NOT);
	json_decref(first);
	json_decref(second);
	story_free(again);
	story_free(s);
}

/* A text that is not UTF-8 is still a text. */
static void test_not_utf8(void **state)
{
	struct story *s = sample();

	(void)state;
	free(s->message);
	s->message = xstrdup("a\xFFz");
	json_t *json = story_to_json(s);

	assert_string_equal(json_string_value(json_object_get(json, "message")), "a\xEF\xBF\xBDz");
	json_decref(json);
	story_free(s);
}

static void expect_refused(json_t *json)
{
	struct story *const untouched = (struct story *)&expect_full;
	struct story *s = untouched;
	struct err err = ERR_INIT;

	if (story_from_json(json, &s, &err) == 0)
		fail_msg("it was read: %s", json_dumps(json, JSON_COMPACT));
	assert_int_equal(err.code, ERR_INPUT);
	assert_ptr_equal(s, untouched);
}

/* Each key of each object: left out, and of another type. */
static void damage_all(json_t *root, json_t *at)
{
	json_t *keys = json_array(); /* the object is changed on the way */
	const char *key;
	json_t *value;

	json_object_foreach (at, key, value)
		(void)json_array_append_new(keys, json_string(key));
	for (size_t i = 0; i < json_array_size(keys); i++) {
		const char *name = json_string_value(json_array_get(keys, i));

		value = json_incref(json_object_get(at, name));
		(void)json_object_del(at, name);
		expect_refused(root);
		(void)json_object_set_new(at, name, json_real(0.5));
		expect_refused(root);
		(void)json_object_set_new(at, name, value);
		if (json_is_array(value) && json_is_object(json_array_get(value, 0)))
			damage_all(root, json_array_get(value, 0));
	}
	json_decref(keys);
}

static void test_damage(void **state)
{
	struct story *s = sample();
	json_t *json = story_to_json(s);

	(void)state;
	story_free(read_story(json));
	json_t *copy = json_deep_copy(json);
	damage_all(copy, copy);
	json_decref(copy);
	json_decref(json);
	story_free(s);
}

/* An operation of a file, or of a transaction, that there is none of. */
static void test_indexes(void **state)
{
	static const char *const where[][2] = {
	    {"ops", "file"}, {"ops", "transaction"}, {"statements", "transaction"}};
	struct story *s = sample();
	json_t *json = story_to_json(s);

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		json_t *copy = json_deep_copy(json);
		json_t *item = json_array_get(json_object_get(copy, where[i][0]), 0);

		(void)json_object_set_new(item, where[i][1], json_integer(2));
		expect_refused(copy);
		json_decref(copy);
	}
	json_decref(json);
	story_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_not_utf8),
	    cmocka_unit_test(test_damage),
	    cmocka_unit_test(test_indexes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
