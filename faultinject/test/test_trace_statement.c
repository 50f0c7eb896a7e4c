/*
 * Statements in a trace: they stand beside the operations, and nothing but what people read depends
 * on them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "faultinject/base/hash.h"
#include "faultinject/trace.h"
#include "faultinject/trace_edit.h"

enum { RECORD_HEADER_SIZE = 8 };

static void say(struct trace *t, const char *source, const char *sql)
{
	trace_add_statement(
	    t, &(struct trace_statement){
		   .process = 1, .thread = 2, .connection = 3, .source = source, .sql = sql});
}

static void write_once(struct trace *t, uint64_t offset)
{
	(void)trace_append(t, &(struct op){.kind = OP_WRITE,
					   .process = 1,
					   .inode = 1,
					   .offset = offset,
					   .size = 2,
					   .data = (const uint8_t *)"ab"});
}

/* Statements before, between and behind two writes. */
static struct trace *sample(void)
{
	struct trace *t = trace_create((struct trace_device){4096, 0}, "test");

	trace_add_base(t, trace_new_inode(t), trace_name(t, "/d/a"), "x", 1);
	say(t, "a.sql:3", "BEGIN");
	say(t, "a.sql:4", "INSERT INTO t\nVALUES (1)");
	write_once(t, 0);
	say(t, "", "COMMIT");
	write_once(t, 2);
	say(t, NULL, "SELECT 1");
	return t;
}

static void expect_statement(const struct trace *t, size_t i, uint64_t position, const char *source,
			     const char *sql)
{
	const struct trace_statement *st = &t->statements[i];

	assert_int_equal(st->position, position);
	assert_int_equal(st->process, 1);
	assert_int_equal(st->thread, 2);
	assert_int_equal(st->connection, 3);
	assert_string_equal(st->source, source);
	assert_string_equal(st->sql, sql);
}

static void expect_sample(const struct trace *t)
{
	assert_int_equal(t->op_count, 2);
	assert_int_equal(t->statement_count, 4);
	expect_statement(t, 0, 0, "a.sql:3", "BEGIN");
	expect_statement(t, 1, 0, "a.sql:4", "INSERT INTO t VALUES (1)");
	expect_statement(t, 2, 1, "", "COMMIT");
	expect_statement(t, 3, 2, "", "SELECT 1");
}

/* What is written is read again, in its place, as one line. */
static void test_round_trip(void **state)
{
	struct trace *t = sample(), *again = NULL;
	struct err err = ERR_INIT;
	struct buf bytes = {0};

	(void)state;
	expect_sample(t);
	trace_encode(t, &bytes);
	assert_int_equal(trace_decode(bytes.data, bytes.size, &again, &err), 0);
	expect_sample(again);
	assert_false(again->torn);
	trace_free(again);
	trace_free(t);
	buf_release(&bytes);
}

/* A copy of a trace without an operation still has every statement, before the operation that it
 * was run before. */
static void test_without(void **state)
{
	struct trace *t = trace_create((struct trace_device){4096, 0}, "test");

	(void)state;
	trace_add_base(t, trace_new_inode(t), trace_name(t, "/d/a"), "x", 1);
	(void)trace_append(t, &(struct op){.kind = OP_SYNC_BEGIN, .process = 1, .inode = 1});
	say(t, "s", "during");
	(void)trace_append(
	    t, &(struct op){.kind = OP_SYNC_END, .process = 1, .inode = 1, .offset = 1});
	write_once(t, 0);
	say(t, "s", "last");

	struct trace *copy = trace_without_sync(t, 2, NULL);

	assert_non_null(copy);
	assert_int_equal(copy->op_count, 1);
	assert_int_equal(copy->statement_count, 2);
	expect_statement(copy, 0, 0, "s", "during");
	expect_statement(copy, 1, 1, "s", "last");
	trace_free(copy);
	trace_free(t);
}

/* The text shows them as comments: it parses back to the same operations. */
static void test_text(void **state)
{
	struct trace *t = sample(), *again = NULL;
	struct err err = ERR_INIT;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	trace_print(t, true, out);
	(void)fclose(out);
	assert_non_null(strstr(
	    text, "# process=1 connection=3 source=\"a.sql:4\" sql=\"INSERT INTO t VALUES (1)\"\n"
		  "1 write"));
	assert_non_null(strstr(text, "# process=1 connection=3 sql=\"COMMIT\"\n2 write"));
	assert_int_equal(trace_parse_text(text, size, &again, &err), 0);
	assert_int_equal(again->op_count, 2);
	assert_int_equal(again->statement_count, 0);
	trace_free(again);
	trace_free(t);
	free(text);
}

/* What is longer than a statement can be is cut. */
static void test_cut(void **state)
{
	struct trace *t = sample();
	char *longer = xmalloc(TRACE_SQL_MAX + 100);

	(void)state;
	memset(longer, 'x', TRACE_SQL_MAX + 99);
	longer[TRACE_SQL_MAX + 99] = '\0';
	say(t, longer, longer);
	assert_int_equal(strlen(t->statements[4].sql), TRACE_SQL_MAX);
	assert_int_equal(strlen(t->statements[4].source), TRACE_SQL_MAX);
	free(longer);
	trace_free(t);
}

/* A stranger's statement that leaves its record, or has a zero byte, is damage. */
static void test_damage(void **state)
{
	static const struct {
		size_t at; /* in the payload */
		uint8_t byte;
	} cases[] = {{1, 1}, {8, 0xff}, {9, 0xff}, {10, 0}, {18, 0}};
	struct trace *t = sample();
	struct buf bytes = {0};

	(void)state;
	trace_encode(t, &bytes);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct trace *again = NULL;
		struct err err = ERR_INIT;
		uint8_t *copy = xmalloc(bytes.size);
		bool changed = false;

		memcpy(copy, bytes.data, bytes.size);
		for (size_t at = 28 + strlen("test"); at < bytes.size && !changed;) {
			uint32_t size;

			memcpy(&size, copy + at, sizeof size);
			uint8_t *payload = copy + at + RECORD_HEADER_SIZE;
			if (payload[0] == 7) {
				payload[cases[i].at] = cases[i].byte;
				uint32_t sum = (uint32_t)hash64(payload, size, 0);
				memcpy(copy + at + 4, &sum, sizeof sum);
				changed = true;
			}
			at += RECORD_HEADER_SIZE + size;
		}
		assert_true(changed);
		assert_int_equal(trace_decode(copy, bytes.size, &again, &err), ERR_INPUT);
		assert_non_null(strstr(err.message, "statement"));
		free(copy);
	}
	buf_release(&bytes);
	trace_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip), cmocka_unit_test(test_without),
	    cmocka_unit_test(test_text),       cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
