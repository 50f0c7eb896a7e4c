/*
 * Every oracle, on observations made by hand: green on what is right, red on each thing that it
 * claims to find, and silent where it is not applicable.
 */
#include "faultinject/base/buf.h"
#include "harness/judge/oracle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	ERROR = 1,
	BUSY = 5,
	IOERR_SHORT_READ = 10 | 2 << 8,
	CORRUPT = 11,
	NOTADB = 26,
	COLUMNS_MAX = 8,
};

/* One oracle in use besides "recovery" and "integrity", whose probe for main is the first. */
struct bench {
	struct judge *j;
	struct observation o;
	struct verdict found[JUDGE_VERDICTS_MAX];
	size_t count;
	enum grade grade;
	uint64_t lost;
};

enum { INTEGRITY = 0, FIRST = 1 };

static const char *const schemas[] = {"main", "side \"b\""};

static void answer(struct bench *b, size_t probe, size_t columns, ...);

/* An observation in which integrity_check is happy and all other queries return nothing. */
static void bench_reset(struct bench *b)
{
	size_t files = b->o.file_count;

	observation_release(&b->o);
	b->o.file_count = files;
	b->o.probe_count = judge_probes(b->j)->count;
	b->o.probes = xcalloc(b->o.probe_count, sizeof *b->o.probes);
	for (size_t i = 0; i < b->o.probe_count; i++)
		if (strcmp(judge_probes(b->j)->items[i].oracle, "integrity") == 0)
			answer(b, i, 1, "ok", NULL);
}

static void bench_init(struct bench *b, struct judge_config config)
{
	memset(b, 0, sizeof *b);
	if (config.schema_count == 0)
		config.schema_count = 1;
	config.schemas = schemas;
	b->j = judge_create(&config);
	b->o.file_count = config.schema_count;
	bench_reset(b);
}

static void bench_release(struct bench *b)
{
	observation_release(&b->o);
	judge_free(b->j);
}

/* Sets a probe's rows: cells row by row, "NULL" for an SQL NULL, and a NULL pointer at the end. */
static void answer(struct bench *b, size_t probe, size_t columns, ...)
{
	struct probe_result *r = &b->o.probes[probe];
	size_t count = 0, cap = 0;
	const char *cell;
	va_list ap;

	for (size_t i = 0; i < r->row_count * r->column_count; i++)
		free(r->cells[i]);
	free(r->cells);
	free(r->error);
	memset(r, 0, sizeof *r);
	va_start(ap, columns);
	while ((cell = va_arg(ap, const char *)) != NULL) {
		r->cells = xgrow(r->cells, count, &cap, sizeof *r->cells);
		r->cells[count++] = strcmp(cell, "NULL") == 0 ? NULL : xstrdup(cell);
	}
	va_end(ap);
	r->column_count = columns;
	r->row_count = count / columns;
}

static void fails(struct bench *b, size_t probe, int rc, const char *error)
{
	answer(b, probe, 1, NULL);
	b->o.probes[probe].rc = rc;
	b->o.probes[probe].error = xstrdup(error);
}

static void schema_is(struct bench *b, uint64_t value)
{
	b->o.files[0].schema.lo = value;
}

static void learn(struct bench *b)
{
	judge_learn(b->j, &b->o);
}

static void look(struct bench *b)
{
	b->count = judge_observation(b->j, NULL, 0, &b->o, b->found, JUDGE_VERDICTS_MAX, &b->grade,
				     &b->lost);
}

static void expect_held(struct bench *b)
{
	look(b);
	if (b->count != 0)
		fail_msg("%s: %s", b->found[0].oracle, b->found[0].message);
	assert_int_equal(b->grade, GRADE_DURABLE);
	assert_int_equal(b->lost, 0);
}

/* Exactly one finding, with these words. */
static void expect_found(struct bench *b, const char *oracle, enum grade grade, const char *words)
{
	look(b);
	assert_int_equal(b->count, 1);
	assert_string_equal(b->found[0].oracle, oracle);
	assert_int_equal(b->found[0].grade, grade);
	assert_int_equal(b->grade, grade);
	if (strstr(b->found[0].message, words) == NULL)
		fail_msg("'%s' does not say '%s'", b->found[0].message, words);
}

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

/* integrity_check of each schema must say ok, once. */
static void test_integrity(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, (struct judge_config){.schema_count = 2});
	assert_int_equal(judge_probes(b.j)->count, 2);
	assert_string_equal(judge_probes(b.j)->items[0].sql, "PRAGMA \"main\".integrity_check");
	assert_string_equal(judge_probes(b.j)->items[1].sql,
			    "PRAGMA \"side \"\"b\"\"\".integrity_check");
	learn(&b);
	expect_held(&b);
	answer(&b, 1, 1, "row 3 missing from index i", NULL);
	expect_found(&b, "integrity", GRADE_CORRUPT, "row 3 missing from index i");
	answer(&b, 1, 1, "Page 5 is never used", "Page 6 is never used", NULL);
	expect_found(&b, "integrity", GRADE_CORRUPT, "Page 5 is never used (and 1 more)");
	answer(&b, 1, 1, "ok", "ok", NULL);
	expect_found(&b, "integrity", GRADE_CORRUPT, "ok");
	answer(&b, 1, 1, NULL);
	expect_found(&b, "integrity", GRADE_CORRUPT, "no answer");
	answer(&b, 1, 1, "NULL", NULL);
	expect_found(&b, "integrity", GRADE_CORRUPT, "NULL");
	fails(&b, 1, BUSY, "database is locked");
	expect_found(&b, "integrity", GRADE_CORRUPT, "database is locked");
	bench_release(&b);
}

/* What a legal state fails is excused, with the reason; other schemas still count. */
static void test_integrity_not_applicable(void **state)
{
	struct judge_not_applicable na[4];
	struct bench b;

	(void)state;
	bench_init(&b, (struct judge_config){.schema_count = 2});
	assert_int_equal(judge_not_applicable(b.j, na, 4), 0);
	fails(&b, 1, ERROR, "no such collation sequence: mine");
	learn(&b);
	assert_int_equal(judge_not_applicable(b.j, na, 4), 1);
	assert_string_equal(na[0].oracle, "integrity");
	assert_non_null(strstr(na[0].reason, "no such collation sequence: mine"));
	expect_held(&b);
	answer(&b, 0, 1, "wrong # of entries in index i", NULL);
	expect_found(&b, "integrity", GRADE_CORRUPT, "wrong # of entries");
	bench_release(&b);
}

/* Excused is each line that some legal state got, whatever stands around it; any other counts. */
static void test_integrity_excuses_lines(void **state)
{
	struct judge_not_applicable na[4];
	struct bench b;

	(void)state;
	bench_init(&b, (struct judge_config){0});
	answer(&b, INTEGRITY, 1, "CHECK constraint failed in old", "CHECK constraint failed in old",
	       NULL);
	learn(&b);
	assert_int_equal(judge_not_applicable(b.j, na, 4), 1);
	assert_string_equal(na[0].reason, "1 complaint of main excused because legal states get "
					  "it: CHECK constraint failed in old");
	answer(&b, INTEGRITY, 1, "*** in database main ***\nPage 5 is never used\nPage 6",
	       "row 7 missing from index j", NULL);
	expect_found(&b, "integrity", GRADE_CORRUPT, "main: Page 5 is never used (and 2 more)");
	learn(&b);
	assert_int_equal(judge_not_applicable(b.j, na, 4), 1);
	assert_string_equal(na[0].reason,
			    "4 complaints of main excused because legal states get them: "
			    "CHECK constraint failed in old (the first)");
	expect_held(&b);
	answer(&b, INTEGRITY, 1, "*** in database main ***\nPage 6", NULL);
	expect_held(&b);
	answer(&b, INTEGRITY, 1, "CHECK constraint failed in old", "row 1 missing from index i",
	       NULL);
	expect_found(&b, "integrity", GRADE_CORRUPT, "main: row 1 missing from index i");
	assert_null(strstr(b.found[0].message, "more"));
	answer(&b, INTEGRITY, 1, "*** in database main ***\nPage 6\nPage 66", NULL);
	expect_found(&b, "integrity", GRADE_CORRUPT, "main: Page 66");
	answer(&b, INTEGRITY, 1, "*** in database main ***", NULL);
	expect_found(&b, "integrity", GRADE_CORRUPT, "*** in database main ***");
	fails(&b, INTEGRITY, ERROR, "no such collation sequence: mine");
	expect_found(&b, "integrity", GRADE_CORRUPT, "no such collation sequence: mine");
	bench_release(&b);
}

/* A legal state whose complaints did not all fit, and complaints that are too many to remember, are
 * said. */
static void test_integrity_limits(void **state)
{
	struct judge_not_applicable na[4];
	struct bench b;

	(void)state;
	bench_init(&b, (struct judge_config){0});
	for (int i = 0; i < 42; i++) {
		struct buf lines = {0};

		for (int k = 0; k < 99 + (i > 0); k++)
			buf_printf(&lines, "%sline %d", k == 0 ? "" : "\n", 100 * i + k);
		answer(&b, INTEGRITY, 1, buf_str(&lines), NULL);
		buf_release(&lines);
		learn(&b);
		assert_int_equal(judge_not_applicable(b.j, na, 4), 1);
		if ((strstr(na[0].reason, "more than integrity_check says") != NULL) !=
		    (i > 0 && i < 40))
			fail_msg("%d: %s", i, na[0].reason);
		answer(&b, INTEGRITY, 1, "line 98", "another", NULL);
		if (i < 40)
			expect_found(&b, "integrity", GRADE_CORRUPT, "main: another");
		else
			expect_held(&b);
	}
	assert_non_null(strstr(na[0].reason, "more than 4096 different complaints of main"));
	assert_non_null(strstr(na[0].reason, "none counts, the first: line 0"));
	bench_release(&b);
}

/* What the scenario asks for by name stands first among what is not applicable, so that a short
 * list tells it. */
static void test_not_applicable_order(void **state)
{
	static const struct judge_invariant invariants[] = {{"rule", "SELECT x"}};
	static const struct judge_order orders[] = {{"t", "c"}};
	struct judge_not_applicable na[4];
	struct bench b;

	(void)state;
	bench_init(&b, (struct judge_config){.invariants = invariants,
					     .invariant_count = 1,
					     .orders = orders,
					     .order_count = 1});
	answer(&b, INTEGRITY, 1, "CHECK constraint failed in old", NULL);
	fails(&b, FIRST, ERROR, "no such column: x");
	fails(&b, FIRST + 1, ERROR, "no such table: t");
	learn(&b);
	assert_int_equal(judge_not_applicable(b.j, na, 4), 3);
	assert_string_equal(na[0].oracle, "invariant");
	assert_non_null(strstr(na[0].reason, "no such column: x, asked with: "));
	assert_string_equal(na[1].oracle, "order");
	assert_string_equal(na[2].oracle, "integrity");
	assert_int_equal(judge_not_applicable(b.j, na, 1), 1);
	assert_string_equal(na[0].oracle, "invariant");
	bench_release(&b);
}

/* A query of any oracle that meets corruption or a failed read is a reader with an error: one
 * finding, however many queries. */
static void test_reader_error(void **state)
{
	static const struct judge_invariant invariants[] = {{"sum", "SELECT 1"},
							    {"more", "SELECT 2"}};
	static const int codes[] = {CORRUPT, NOTADB, IOERR_SHORT_READ};
	struct bench b;

	(void)state;
	bench_init(&b, (struct judge_config){.invariants = invariants, .invariant_count = 2});
	learn(&b);
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		bench_reset(&b);
		fails(&b, FIRST, codes[i], "malformed");
		fails(&b, FIRST + 1, codes[i], "malformed");
		expect_found(&b, "integrity", GRADE_CORRUPT, "a reader gets an error: malformed");
		assert_non_null(strstr(b.found[0].message, "2 of 3 queries"));
	}
	bench_reset(&b);
	fails(&b, INTEGRITY, CORRUPT, "malformed");
	expect_found(&b, "integrity", GRADE_CORRUPT, "a reader gets an error");
	/* Legal states that do the same excuse it, query by query. */
	learn(&b);
	expect_held(&b);
	fails(&b, FIRST, CORRUPT, "malformed");
	expect_found(&b, "integrity", GRADE_CORRUPT, "a reader gets an error");
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
	expect_found(&b, "invariant", GRADE_CORRUPT, "money is kept");
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
	static const char *const names[] = {"history", "recovery", "integrity", "invariant",
					    "batch",   "order",	   "schema"};
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
	    cmocka_unit_test(test_integrity),
	    cmocka_unit_test(test_integrity_not_applicable),
	    cmocka_unit_test(test_integrity_excuses_lines),
	    cmocka_unit_test(test_integrity_limits),
	    cmocka_unit_test(test_not_applicable_order),
	    cmocka_unit_test(test_reader_error),
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
