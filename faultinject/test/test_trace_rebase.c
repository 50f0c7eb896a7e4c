/* Tests of traces that begin later, or end earlier. */
#include "faultinject/trace_rebase.h"

#include "faultinject/base/buf.h"
#include "faultinject/trace_image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static uint64_t put(struct trace *t, struct op op)
{
	op.process = op.process == 0 ? 1 : op.process;
	op.thread = op.connection = 1;
	return trace_append(t, &op);
}

static uint32_t create(struct trace *t, const char *path)
{
	uint32_t inode = trace_new_inode(t);

	put(t, (struct op){.kind = OP_CREATE, .inode = inode, .name = trace_name(t, path)});
	return inode;
}

static void write_text(struct trace *t, uint32_t inode, uint64_t offset, const char *text)
{
	put(t, (struct op){.kind = OP_WRITE,
			   .inode = inode,
			   .offset = offset,
			   .size = strlen(text),
			   .data = (const uint8_t *)text});
}

static void sync_file(struct trace *t, uint32_t inode)
{
	uint64_t begin = put(t, (struct op){.kind = OP_SYNC_BEGIN, .inode = inode});

	put(t, (struct op){.kind = OP_SYNC_END, .inode = inode, .offset = begin});
}

static void lock(struct trace *t, uint32_t inode, bool take, uint8_t flags, uint64_t at)
{
	put(t, (struct op){.kind = take ? OP_LOCK : OP_UNLOCK,
			   .flags = flags,
			   .inode = inode,
			   .offset = at,
			   .size = 1});
}

/* Two "transactions" under a lock that excludes, between them one shared lock that stays, a rename,
 * a file that is deleted, and a sync. */
static struct trace *sample(void)
{
	struct trace *t = trace_create((struct trace_device){4096, 0}, "test");
	uint32_t a = trace_new_inode(t);

	trace_add_base(t, a, trace_name(t, "/d/a"), "base", 4);
	lock(t, a, true, 0, 1); /* 1 */
	write_text(t, a, 0, "one");
	uint32_t j = create(t, "/d/j");
	write_text(t, j, 0, "journal");
	sync_file(t, j); /* 5, 6 */
	put(t, (struct op){.kind = OP_UNLINK, .name = trace_name(t, "/d/j")});
	lock(t, a, true, OP_LOCK_SHARED, 9);
	lock(t, a, false, 0, 1); /* 9 */
	put(t, (struct op){.kind = OP_ACK});
	write_text(t, j, 0, "nobody sees it");
	lock(t, a, true, 0, 1); /* 12 */
	uint32_t b = create(t, "/d/b");
	write_text(t, b, 2, "two");
	put(t, (struct op){.kind = OP_RENAME,
			   .name = trace_name(t, "/d/b"),
			   .name2 = trace_name(t, "/d/c")});
	sync_file(t, b); /* 16, 17 */
	lock(t, a, false, 0, 1);
	lock(t, a, false, OP_LOCK_SHARED, 9); /* 19 */
	return t;
}

static void expect_same_files(const struct trace *a, const struct trace *b)
{
	struct trace_image *x = trace_image_create(a), *y = trace_image_create(b);

	for (uint32_t n = 1; n <= a->name_count; n++) {
		uint64_t p = 0, q = 0;
		const uint8_t *in_a = trace_image_file(x, a->names[n], &p);
		const uint8_t *in_b = trace_image_file(y, a->names[n], &q);

		assert_int_equal(in_a == NULL, in_b == NULL);
		if (in_a == NULL)
			continue;
		assert_int_equal(p, q);
		assert_memory_equal(in_a, in_b, p);
	}
	trace_image_free(x);
	trace_image_free(y);
}

static void expect_well_formed(const struct trace *t)
{
	struct buf bytes = {0};
	struct trace *again = NULL;
	struct err err = ERR_INIT;

	trace_encode(t, &bytes);
	assert_int_equal(trace_decode(bytes.data, bytes.size, &again, &err), 0);
	trace_free(again);
	buf_release(&bytes);
}

/* The base moves to where nobody excludes others, at the end of such a stretch, and never into a
 * transaction. */
static void test_moments(void **state)
{
	struct trace *t = sample();
	uint64_t *moments;
	size_t count;

	(void)state;
	trace_rebase_moments(t, t->op_count, &moments, &count);
	assert_int_equal(count, 2);
	assert_int_equal(moments[0], 11);
	assert_int_equal(moments[1], 19);
	free(moments);
	trace_rebase_moments(t, 10, &moments, &count);
	assert_int_equal(count, 1);
	assert_int_equal(moments[0], 10);
	free(moments);
	trace_rebase_moments(t, 8, &moments, &count);
	assert_int_equal(count, 0);
	free(moments);
	trace_free(t);
}

/* The new trace ends with the same files, begins with those of the moment, holds the shared lock
 * that was held, and has nothing of the file that had lost its name. */
static void test_rebase(void **state)
{
	struct trace *t = sample(), *later = NULL;
	struct err err = ERR_INIT;
	uint64_t *positions = NULL;

	(void)state;
	assert_int_equal(trace_rebase(t, 10, &later, &positions, &err), 0);
	expect_well_formed(later);
	expect_same_files(t, later);
	assert_int_equal(later->base_count, 1);
	assert_int_equal(later->base[0].size, 4);
	assert_memory_equal(later->base[0].data, "onee", 4);
	assert_int_equal(trace_at(later, 1)->kind, OP_LOCK);
	assert_int_equal(trace_at(later, 1)->flags, OP_LOCK_SHARED);
	assert_int_equal(positions[1], 0);
	assert_int_equal(positions[2], 12);
	assert_int_equal(positions[later->op_count], t->op_count);
	for (uint64_t p = 1; p <= later->op_count; p++)
		if (trace_at(later, p)->kind == OP_WRITE)
			assert_memory_equal(trace_at(later, p)->data, "two", 3);
	free(positions);
	trace_free(later);
	trace_free(t);
}

static void run(struct trace *t, uint16_t connection, const char *sql)
{
	struct trace_statement st = {
	    .process = 1, .thread = 1, .connection = connection, .source = "", .sql = sql};

	trace_add_statement(t, &st);
}

/* What is left of the statements when the base moves to `moment`, one after the other, and where
 * the first of them is. */
static void expect_statements(const struct trace *t, uint64_t moment, uint64_t first,
			      const char *wanted)
{
	struct trace *later = NULL;
	struct err err = ERR_INIT;
	struct buf b = {0};

	assert_int_equal(trace_rebase(t, moment, &later, NULL, &err), 0);
	for (size_t i = 0; i < later->statement_count; i++)
		buf_printf(&b, "%s%s", i == 0 ? "" : " ", later->statements[i].sql);
	assert_string_equal(buf_str(&b), wanted);
	if (later->statement_count > 0)
		assert_int_equal(later->statements[0].position, first);
	expect_well_formed(later);
	buf_release(&b);
	trace_free(later);
}

/* A statement stays when what it did is not over at the moment: it has only taken its lock for
 * reading, after it let go of another one, or it is of a transaction that has. One that let go of
 * all that it took is gone, and so are those before it, though the connection keeps other locks. */
static void test_statements(void **state)
{
	struct trace *t = trace_create((struct trace_device){4096, 0}, "test");
	uint32_t a = trace_new_inode(t);

	(void)state;
	trace_add_base(t, a, trace_name(t, "/d/a"), "base", 4);
	lock(t, a, true, OP_LOCK_SHARED, 20); /* 1; for good */
	run(t, 1, "first");
	lock(t, a, true, OP_LOCK_SHARED, 9);
	lock(t, a, true, 0, 1);
	write_text(t, a, 0, "one");
	lock(t, a, false, 0, 1);
	lock(t, a, false, OP_LOCK_SHARED, 9); /* 6 */
	run(t, 2, "other");		      /* does nothing here */
	run(t, 1, "second");
	lock(t, a, true, 0, 9); /* 7, as SQLite does to set a read mark */
	lock(t, a, false, 0, 9);
	lock(t, a, true, OP_LOCK_SHARED, 9); /* 9 */
	lock(t, a, true, 0, 1);
	write_text(t, a, 0, "two");
	lock(t, a, false, 0, 1);
	lock(t, a, false, OP_LOCK_SHARED, 9); /* 13 */
	run(t, 1, "begin");
	run(t, 1, "select");
	lock(t, a, true, OP_LOCK_SHARED, 9); /* 14 */
	run(t, 1, "insert");
	run(t, 1, "update");
	lock(t, a, true, 0, 1); /* 15 */
	write_text(t, a, 0, "six");
	lock(t, a, false, 0, 1);
	lock(t, a, false, OP_LOCK_SHARED, 9); /* 18 */
	expect_statements(t, 0, 1, "first other second begin select insert update");
	expect_statements(t, 6, 1, "other second begin select insert update");
	expect_statements(t, 9, 2, "second begin select insert update");
	expect_statements(t, 13, 1, "begin select insert update");
	expect_statements(t, 14, 2, "begin select insert update");
	expect_statements(t, 18, 1, "");
	trace_free(t);
}

/* What a connection set counts for what it does later, however long ago that was; and when the base
 * is moved twice, what was under way at the first moment is over by the second. */
static void test_settings(void **state)
{
	struct trace *t = trace_create((struct trace_device){4096, 0}, "test"), *later = NULL;
	uint32_t a = trace_new_inode(t);
	struct err err = ERR_INIT;

	(void)state;
	trace_add_base(t, a, trace_name(t, "/d/a"), "base", 4);
	run(t, 1, "pragma x=1");
	run(t, 1, "pragma x");
	run(t, 2, "pragma y=2");
	lock(t, a, true, OP_LOCK_SHARED, 20); /* 1; for good */
	lock(t, a, false, OP_LOCK_SHARED, 7);
	for (uint64_t i = 0; i < 2; i++) { /* 3 to 7, 8 to 12 */
		run(t, 1, i == 0 ? "first" : "second");
		lock(t, a, true, OP_LOCK_SHARED, 9);
		lock(t, a, true, 0, 1);
		write_text(t, a, 0, "one");
		lock(t, a, false, 0, 1);
		lock(t, a, false, OP_LOCK_SHARED, 9);
	}
	expect_statements(t, 8, 2, "pragma x=1 second");
	assert_int_equal(trace_rebase(t, 3, &later, NULL, &err), 0);
	assert_int_equal(trace_at(later, 7)->kind, OP_LOCK);
	expect_statements(later, 7, 2, "pragma x=1 second");
	trace_free(later);
	trace_free(t);
}

/* A file without a name that gets one again is no trace's beginning. */
static void test_nameless(void **state)
{
	struct trace *t = sample(), *later = NULL;
	struct err err = ERR_INIT;

	(void)state;
	put(t, (struct op){.kind = OP_LINK, .inode = 2, .name2 = trace_name(t, "/d/again")});
	assert_int_equal(trace_rebase(t, 10, &later, NULL, &err), ERR_INPUT);
	assert_null(later);
	trace_free(t);
}

/* Two names of one file are two names of one file. */
static void test_links(void **state)
{
	struct trace *t = sample(), *later = NULL;
	struct err err = ERR_INIT;

	(void)state;
	put(t, (struct op){.kind = OP_LINK, .inode = 1, .name2 = trace_name(t, "/d/link")});
	write_text(t, 1, 0, "both");
	assert_int_equal(trace_rebase(t, t->op_count - 1, &later, NULL, &err), 0);
	expect_well_formed(later);
	expect_same_files(t, later);
	assert_int_equal(later->base_count, 3);
	assert_int_equal(later->inode_count, 2);
	trace_free(later);
	trace_free(t);
}

/* A trace that is cut is the same up to there, and a trace. */
static void test_cut(void **state)
{
	struct trace *t = sample();

	(void)state;
	for (uint64_t count = 0; count <= t->op_count; count++) {
		struct trace *cut = trace_cut(t, count), before = *t;

		before.op_count = (size_t)count;
		expect_well_formed(cut);
		expect_same_files(&before, cut);
		assert_int_equal(cut->op_count, count);
		trace_free(cut);
	}
	trace_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_moments),  cmocka_unit_test(test_rebase),
	    cmocka_unit_test(test_nameless), cmocka_unit_test(test_links),
	    cmocka_unit_test(test_cut),	     cmocka_unit_test(test_statements),
	    cmocka_unit_test(test_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
