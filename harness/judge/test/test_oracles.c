/*
 * Every oracle, on observations made by hand: green on what is right, red on each thing that it
 * claims to find, and silent where it is not applicable.
 */
#include "harness/judge/test/bench.h"

/* A database that cannot be opened, or whose recovery never ends, is corrupt; its probes are not
 * looked at. */
static void test_recovery(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, (struct judge_config){0});
	expect_held(&b);
	observation_release(&b.o);
	b.o.rc = NOTADB;
	strcpy(b.o.failed, "open: file is not a database");
	expect_found(&b, "recovery", GRADE_CORRUPT, "cannot be opened: open: file is not");
	strcpy(b.o.failed, "SELECT opening: file is not a database");
	expect_found(&b, "recovery", GRADE_CORRUPT, "cannot be read: SELECT opening: file is not");
	learn(&b); /* nothing to learn from it */
	b.o.rc = 0;
	b.o.hung = true;
	expect_found(&b, "recovery", GRADE_CORRUPT, "recovery does not end");
	bench_release(&b);
}

/* A row is a violation, with the user's words and the row; also when legal states have it. */
static void test_invariant(void **state)
{
	static const struct judge_invariant invariants[] = {{"money is kept", "SELECT sum"}};
	struct bench b;

	(void)state;
	bench_init(&b, (struct judge_config){
			   .invariants = invariants, .invariant_count = 1, .show_data = true});
	assert_string_equal(judge_probes(b.j)->items[FIRST].sql, "SELECT sum");
	expect_held(&b);
	answer(&b, FIRST, 3, "1", "NULL", "x", NULL);
	expect_found(&b, "invariant", GRADE_CORRUPT,
		     "'money is kept' is broken by the row (1, NULL, x)");
	learn(&b);
	expect_found(&b, "invariant", GRADE_CORRUPT,
		     "(1, NULL, x); the run makes such states itself, without any crash");
	answer(&b, FIRST, 1, "1", "2", NULL);
	expect_found(&b, "invariant", GRADE_CORRUPT, "broken by 2 rows, the first: (1)");
	bench_release(&b);
}

/* Messages carry no row value unless that was asked for: type, size and hash instead. */
static void test_values_are_hidden(void **state)
{
	static const struct judge_invariant invariants[] = {{"no secrets", "SELECT x"}};
	struct verdict verdicts[4];
	struct bench b;
	enum grade grade;
	uint64_t lost;

	(void)state;
	bench_init(&b, (struct judge_config){.invariants = invariants, .invariant_count = 1});
	answer(&b, FIRST, 2, "hunter2", "NULL", NULL);
	size_t count = judge_observation(b.j, NULL, 0, &b.o, verdicts, 4, &grade, &lost);
	assert_int_equal(count, 1);
	assert_null(strstr(verdicts[0].message, "hunter2"));
	assert_non_null(strstr(verdicts[0].message, "(value(7 bytes, #"));
	assert_non_null(strstr(verdicts[0].message, ", NULL)"));
	bench_release(&b);
}

/* A query that cannot run on a legal state is excused on crash states with that schema, and only
 * there; one that can run nowhere is reported. */
static void test_invariant_before_its_table(void **state)
{
	static const struct judge_invariant invariants[] = {{"rule", "SELECT later"}};
	struct judge_not_applicable na[4];
	struct bench b;

	(void)state;
	bench_init(&b, (struct judge_config){.invariants = invariants, .invariant_count = 1});
	schema_is(&b, 1);
	fails(&b, FIRST, ERROR, "no such table: later");
	expect_found(&b, "invariant", GRADE_CORRUPT, "cannot be asked: no such table: later");
	learn(&b);
	expect_held(&b);
	assert_int_equal(judge_not_applicable(b.j, na, 4), 1);
	assert_string_equal(na[0].oracle, "invariant");
	assert_non_null(strstr(na[0].reason, "no such table: later, asked with: "));

	schema_is(&b, 2);
	expect_found(&b, "invariant", GRADE_CORRUPT, "cannot be asked");
	bench_reset(&b);
	schema_is(&b, 2);
	learn(&b);
	assert_int_equal(judge_not_applicable(b.j, na, 4), 0);

	schema_is(&b, 1);
	fails(&b, FIRST, BUSY, "locked"); /* not the failure that was excused */
	expect_found(&b, "invariant", GRADE_CORRUPT, "locked");
	bench_release(&b);
}

/* A batch has all its rows; NULL ids and tables that are not there yet do not count. */
static void test_batch(void **state)
{
	static const struct judge_batch batches[] = {{"t", "b\"id", "n"}};
	struct bench b;

	(void)state;
	bench_init(&b,
		   (struct judge_config){.batches = batches, .batch_count = 1, .show_data = true});
	assert_non_null(strstr(judge_probes(b.j)->items[FIRST].sql, "\"t\".\"b\"\"id\""));
	expect_held(&b);
	answer(&b, FIRST, 4, "1", "5", "5", "5", "2", "1", "1", "1", NULL);
	expect_held(&b);
	answer(&b, FIRST, 4, "NULL", "5", "9", "9", NULL);
	expect_held(&b);
	answer(&b, FIRST, 4, "1", "5", "5", "5", "7", "3", "5", "5", NULL);
	expect_found(&b, "batch", GRADE_TORN, "batch 7 of t has 3 of 5 rows");
	learn(&b);
	expect_found(&b, "batch", GRADE_TORN, "batch 7 of t has 3 of 5 rows");
	answer(&b, FIRST, 4, "7", "3", "5", "5", "8", "6", "5", "5", NULL);
	expect_found(&b, "batch", GRADE_TORN, "2 batches are broken");
	answer(&b, FIRST, 4, "7", "3", "3", "5", NULL);
	expect_found(&b, "batch", GRADE_TORN, "do not agree on a count (3 to 5)");
	answer(&b, FIRST, 4, "7", "5", "3", "5", NULL);
	expect_found(&b, "batch", GRADE_TORN, "do not agree on a count (3 to 5)");
	answer(&b, FIRST, 4, "7", "3", "NULL", "NULL", NULL);
	expect_found(&b, "batch", GRADE_TORN, "do not agree on a count (NULL to NULL)");
	answer(&b, FIRST, 4, "7", "3", "3x", "3x", NULL);
	expect_found(&b, "batch", GRADE_TORN, "batch 7");
	fails(&b, FIRST, ERROR, "no such table: t");
	expect_found(&b, "batch", GRADE_TORN, "no such table: t");
	learn(&b);
	expect_held(&b);
	bench_release(&b);
}

/* A sequence has no hole; an empty one is fine. */
static void test_order(void **state)
{
	static const struct judge_order orders[] = {{"t", "c"}};
	struct bench b;

	(void)state;
	bench_init(&b, (struct judge_config){.orders = orders, .order_count = 1});
	answer(&b, FIRST, 3, "0", "NULL", "NULL", NULL);
	expect_held(&b);
	answer(&b, FIRST, 3, "4", "-1", "2", NULL);
	expect_held(&b);
	answer(&b, FIRST, 3, "3", "1", "4", NULL);
	expect_found(&b, "order", GRADE_TORN, "a hole in t.c: 3 values where 4 should be");
	learn(&b);
	expect_found(&b, "order", GRADE_TORN, "a hole in t.c");
	answer(&b, FIRST, 3, "2", "-9223372036854775808", "9223372036854775807", NULL);
	expect_found(&b, "order", GRADE_TORN, "a hole");
	answer(&b, FIRST, 3, "2", "1.5", "2.5", NULL);
	expect_found(&b, "order", GRADE_TORN, "no sequence of integers");
	answer(&b, FIRST, 3, NULL);
	expect_found(&b, "order", GRADE_TORN, "no answer");
	fails(&b, FIRST, ERROR, "no such table: t");
	expect_found(&b, "order", GRADE_TORN, "no such table: t");
	bench_release(&b);
}

static const int64_t versions[] = {1, 2, 5};

/* The table holds the beginning of the list, and each version has its schema. */
static void test_schema(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b,
		   (struct judge_config){.schema_versions = versions, .schema_version_count = 3});
	schema_is(&b, 1);
	fails(&b, FIRST, ERROR, "no such table: schema_version");
	learn(&b);
	expect_held(&b);
	schema_is(&b, 10);
	answer(&b, FIRST, 1, "1", NULL);
	learn(&b);
	expect_held(&b);
	schema_is(&b, 20);
	answer(&b, FIRST, 1, "1", "2", NULL);
	learn(&b);
	expect_held(&b);

	schema_is(&b, 10); /* version 2 with the schema of 1: its DDL is missing */
	expect_found(&b, "schema", GRADE_TORN, "schema version 2 comes with a schema that is not");
	schema_is(&b, 20); /* the DDL of 2 without its row */
	answer(&b, FIRST, 1, "1", NULL);
	expect_found(&b, "schema", GRADE_TORN, "schema version 1 comes with");
	answer(&b, FIRST, 1, "1", "5", NULL);
	expect_found(&b, "schema", GRADE_TORN, "1, 5; declared: 1, 2, 5");
	answer(&b, FIRST, 1, "2", NULL);
	expect_found(&b, "schema", GRADE_TORN, "beginning of the declared list");
	answer(&b, FIRST, 1, "1", "2", "5", "6", NULL);
	expect_found(&b, "schema", GRADE_TORN, "beginning of the declared list");
	answer(&b, FIRST, 1, "1", "2", "5", NULL);
	expect_found(&b, "schema", GRADE_TORN, "schema version 5 never existed in the run");
	answer(&b, FIRST, 1, NULL);
	expect_found(&b, "schema", GRADE_TORN, "an empty schema_version never existed");
	fails(&b, FIRST, ERROR, "no such table: schema_version");
	expect_found(&b, "schema", GRADE_TORN, "there is no schema_version");
	bench_release(&b);
}

/* A version that the run itself shows with two schemas was not migrated in one transaction. */
static void test_schema_ddl_outside(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b,
		   (struct judge_config){.schema_versions = versions, .schema_version_count = 3});
	schema_is(&b, 10);
	answer(&b, FIRST, 1, "1", NULL);
	learn(&b);
	learn(&b);
	expect_held(&b);
	schema_is(&b, 20); /* the DDL of version 2 came before its row */
	learn(&b);
	expect_found(&b, "schema", GRADE_TORN, "had 2 different schemas in the run itself");
	answer(&b, FIRST, 1, "1", "2", NULL);
	learn(&b);
	expect_held(&b);
	bench_release(&b);
}

/* Without legal states (real kills) the list alone counts. */
static void test_schema_unlearned(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b,
		   (struct judge_config){.schema_versions = versions, .schema_version_count = 3});
	answer(&b, FIRST, 1, "1", "2", NULL);
	expect_held(&b);
	answer(&b, FIRST, 1, "1", "3", NULL);
	expect_found(&b, "schema", GRADE_TORN, "1, 3; declared");
	bench_release(&b);
}

/* History comes first, its losses are handed on, and the worst grade wins. */
static void test_history_is_judged(void **state)
{
	static const struct judge_order orders[] = {{"t", "c"}};
	struct history_state states[2] = {{.state = {1, 1}},
					  {.state = {2, 2}, .from = 1, .end = 2, .transaction = 1}};
	struct transaction transaction = {
	    .begin = 1, .first_write = 1, .end = 2, .ack = 2, .committed = true, .file_mask = 1};
	char path[] = "/db";
	char *paths[] = {path};
	struct history h = {.file_count = 1,
			    .paths = paths,
			    .lines = {{states, 2, 2}},
			    .transactions = &transaction,
			    .transaction_count = 1};
	struct bench b;

	(void)state;
	bench_init(&b, (struct judge_config){.orders = orders, .order_count = 1});
	answer(&b, FIRST, 3, "0", "NULL", "NULL", NULL);
	b.o.files[0].state = states[1].state;
	assert_int_equal(
	    judge_observation(b.j, &h, 2, &b.o, b.found, JUDGE_VERDICTS_MAX, &b.grade, &b.lost), 0);
	assert_int_equal(b.grade, GRADE_DURABLE);
	b.o.files[0].state = states[0].state;
	assert_int_equal(
	    judge_observation(b.j, &h, 2, &b.o, b.found, JUDGE_VERDICTS_MAX, &b.grade, &b.lost), 1);
	assert_int_equal(b.grade, GRADE_CONSISTENT);
	assert_int_equal(b.lost, 1);
	answer(&b, FIRST, 3, "3", "1", "4", NULL);
	assert_int_equal(
	    judge_observation(b.j, &h, 2, &b.o, b.found, JUDGE_VERDICTS_MAX, &b.grade, &b.lost), 2);
	assert_string_equal(b.found[0].oracle, "history");
	assert_string_equal(b.found[1].oracle, "order");
	assert_int_equal(b.grade, GRADE_TORN);
	assert_int_equal(b.lost, 1);
	bench_release(&b);
}

/* A lesser finding after a worse one does not lift the grade. */
static void test_worst_grade(void **state)
{
	static const struct judge_invariant invariants[] = {{"rule", "SELECT 1"}};
	static const struct judge_order orders[] = {{"t", "c"}};
	struct bench b;

	(void)state;
	bench_init(&b, (struct judge_config){.invariants = invariants,
					     .invariant_count = 1,
					     .orders = orders,
					     .order_count = 1});
	answer(&b, FIRST, 1, "1", NULL);
	answer(&b, FIRST + 1, 3, "3", "1", "4", NULL);
	look(&b);
	assert_int_equal(b.count, 2);
	assert_int_equal(b.found[1].grade, GRADE_TORN);
	assert_int_equal(b.grade, GRADE_CORRUPT);
	bench_release(&b);
}

/* Findings that do not fit are counted, not dropped in silence. */
static void test_too_many_findings(void **state)
{
	struct judge_invariant invariants[JUDGE_VERDICTS_MAX + 3];
	char text[500];
	struct bench b;

	(void)state;
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	for (size_t i = 0; i < JUDGE_VERDICTS_MAX + 3; i++)
		invariants[i] = (struct judge_invariant){text, "SELECT 1"};
	bench_init(&b, (struct judge_config){.invariants = invariants,
					     .invariant_count = JUDGE_VERDICTS_MAX + 3});
	for (size_t i = 0; i < JUDGE_VERDICTS_MAX + 3; i++)
		answer(&b, FIRST + i, 1, "1", NULL);
	look(&b);
	assert_int_equal(b.count, JUDGE_VERDICTS_MAX);
	assert_null(strstr(b.found[0].message, "more findings"));
	assert_non_null(strstr(b.found[JUDGE_VERDICTS_MAX - 1].message, " (and 3 more findings)"));
	bench_release(&b);
}

/* Each oracle says what it checks and what not. */
static void test_infos(void **state)
{
	static const char *const names[] = {"history",	   "recovery", "integrity", "invariant",
					    "batch",	   "order",    "schema",    "leftovers",
					    "second-open", "writable", "liveness",  "own-check"};
	size_t count;
	const struct oracle_info *infos = oracle_infos(&count);

	(void)state;
	assert_int_equal(count, sizeof names / sizeof names[0]);
	for (size_t i = 0; i < count; i++) {
		assert_string_equal(infos[i].name, names[i]);
		assert_true(strlen(infos[i].checks) > 0);
		assert_true(strlen(infos[i].does_not_check) > 0);
	}
	judge_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_recovery),
	    cmocka_unit_test(test_invariant),
	    cmocka_unit_test(test_values_are_hidden),
	    cmocka_unit_test(test_invariant_before_its_table),
	    cmocka_unit_test(test_batch),
	    cmocka_unit_test(test_order),
	    cmocka_unit_test(test_schema),
	    cmocka_unit_test(test_schema_ddl_outside),
	    cmocka_unit_test(test_schema_unlearned),
	    cmocka_unit_test(test_history_is_judged),
	    cmocka_unit_test(test_worst_grade),
	    cmocka_unit_test(test_too_many_findings),
	    cmocka_unit_test(test_infos),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
