/*
 * A trace without some of its operations keeps names, inodes and base, refers to the begin that
 * each sync has now, and says where every operation was. The image of a trace is what its
 * operations make of the files.
 */
#include "faultinject/trace_edit.h"
#include "faultinject/trace_image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t append(struct trace *t, struct op op)
{
	op.process = op.thread = 1;
	return trace_append(t, &op);
}

static uint64_t write_at(struct trace *t, uint32_t inode, uint64_t offset, const char *text)
{
	return append(t, (struct op){.kind = OP_WRITE,
				     .inode = inode,
				     .offset = offset,
				     .size = strlen(text),
				     .data = (const uint8_t *)text});
}

/* Two writes to `a`, each synced, and a new file `b` whose directory is synced. */
static struct trace *make(uint64_t *ret_first_sync)
{
	struct trace *t = trace_create((struct trace_device){.sector_size_bytes = 4096}, "test");
	uint32_t a = trace_name(t, "/d/a"), b = trace_name(t, "/d/b"), d = trace_name(t, "/d");
	uint32_t first = trace_new_inode(t);

	trace_add_base(t, first, a, "0123456789", 10);
	uint32_t second = trace_new_inode(t);
	(void)write_at(t, first, 2, "xx");
	uint64_t begin = append(t, (struct op){.kind = OP_SYNC_BEGIN, .inode = first});
	*ret_first_sync =
	    append(t, (struct op){.kind = OP_SYNC_END, .inode = first, .offset = begin});
	(void)append(t, (struct op){.kind = OP_CREATE, .inode = second, .name = b});
	(void)write_at(t, second, 3, "b");
	begin = append(t, (struct op){.kind = OP_DIRSYNC_BEGIN, .name = d});
	(void)append(t, (struct op){.kind = OP_DIRSYNC_END, .name = d, .offset = begin});
	(void)append(t, (struct op){.kind = OP_TRUNCATE, .inode = first, .size = 4});
	begin = append(t, (struct op){.kind = OP_SYNC_BEGIN, .inode = first});
	(void)append(
	    t, (struct op){
		   .kind = OP_SYNC_END, .flags = OP_SYNC_FAILED, .inode = first, .offset = begin});
	return t;
}

static void test_without_sync(void **state)
{
	uint64_t sync, *positions = NULL;
	struct trace *t = make(&sync);
	struct trace *copy = trace_without_sync(t, sync, &positions);

	(void)state;
	assert_non_null(copy);
	assert_int_equal(copy->op_count, t->op_count - 2);
	assert_int_equal(copy->name_count, t->name_count);
	assert_int_equal(copy->inode_count, t->inode_count);
	assert_int_equal(copy->base_count, 1);
	assert_int_equal(copy->base[0].size, 10);
	uint64_t last = 0;
	for (uint64_t p = 1; p <= copy->op_count; p++) {
		const struct op *now = trace_at(copy, p), *then = trace_at(t, positions[p]);
		assert_true(positions[p] > last && positions[p] != sync &&
			    positions[p] != sync - 1);
		last = positions[p];
		assert_int_equal(now->kind, then->kind);
		assert_int_equal(now->flags, then->flags);
		assert_int_equal(now->inode, then->inode);
		assert_int_equal(now->name, then->name);
		assert_int_equal(now->size, then->size);
		if (now->kind == OP_SYNC_END || now->kind == OP_DIRSYNC_END)
			assert_int_equal(positions[now->offset], then->offset);
	}
	assert_int_equal(last, t->op_count);
	free(positions);
	trace_free(copy);
	trace_free(t);
}

static bool nothing(void *ctx, const struct trace *t, uint64_t position)
{
	(void)ctx;
	(void)t;
	(void)position;
	return false;
}

static void test_nothing_left_out(void **state)
{
	uint64_t sync;
	struct trace *t = make(&sync);

	(void)state;
	assert_null(trace_without(t, nothing, NULL, NULL));
	trace_free(t);
}

static void expect(const struct trace *t, const char *path, const char *bytes, uint64_t size)
{
	struct trace_image *i = trace_image_create(t);
	uint64_t found = 99;
	const uint8_t *data = trace_image_file(i, path, &found);

	if (bytes == NULL) {
		assert_null(data);
	} else {
		assert_non_null(data);
		assert_int_equal(found, size);
		assert_memory_equal(data, bytes, size);
	}
	trace_image_free(i);
}

static void test_image(void **state)
{
	uint64_t sync;
	struct trace *t = make(&sync);

	(void)state;
	expect(t, "/d/a", "01xx", 4);
	expect(t, "/d/b", "\0\0\0b", 4);
	expect(t, "/d/nobody", NULL, 0);
	/* What was cut off is zero when the file grows again. */
	(void)append(t, (struct op){.kind = OP_TRUNCATE, .inode = 1, .size = 6});
	expect(t, "/d/a", "01xx\0\0", 6);
	uint32_t a = trace_name(t, "/d/a"), c = trace_name(t, "/d/c"), e = trace_name(t, "/d/e");
	(void)append(t, (struct op){.kind = OP_RENAME, .name = a, .name2 = c});
	expect(t, "/d/a", NULL, 0);
	expect(t, "/d/c", "01xx\0\0", 6);
	(void)append(t, (struct op){.kind = OP_LINK, .inode = 1, .name2 = e});
	(void)append(t, (struct op){.kind = OP_UNLINK, .name = c});
	(void)write_at(t, 1, 0, "Z");
	expect(t, "/d/c", NULL, 0);
	expect(t, "/d/e", "Z1xx\0\0", 6);
	trace_free(t);
}

/* A copy with syncs has all that the trace has, in order, with its statements, and the syncs right
 * before the operations that were named; a directory that had no name gets one. */
static void test_with_syncs(void **state)
{
	uint64_t sync, *positions = NULL;
	struct trace *t = make(&sync);
	struct trace_statement statement = {.process = 1, .source = "x.sql:1", .sql = "COMMIT"};

	(void)state;
	trace_add_statement(t, &statement);
	const struct trace_sync syncs[] = {{.before = 1, .directory = "/other"},
					   {.before = 4, .inode = 1},
					   {.before = 4, .directory = "/d"}};
	struct trace *copy = trace_with_syncs(t, syncs, 3, &positions);
	uint64_t last = 0, put_in = 0;

	assert_int_equal(copy->op_count, t->op_count + 6);
	assert_int_equal(copy->statement_count, 1);
	assert_int_equal(copy->statements[0].position, copy->op_count);
	for (uint64_t p = 1; p <= copy->op_count; p++) {
		const struct op *now = trace_at(copy, p);
		if (now->kind == OP_SYNC_END || now->kind == OP_DIRSYNC_END) {
			const struct op *begin = trace_at(copy, now->offset);
			assert_int_equal(begin->kind, now->kind - 1);
			assert_int_equal(begin->inode, now->inode);
			assert_int_equal(begin->name, now->name);
		}
		if (positions[p] == 0) {
			put_in++;
			continue;
		}
		assert_int_equal(positions[p], ++last);
		assert_int_equal(now->kind, trace_at(t, last)->kind);
	}
	assert_int_equal(last, t->op_count);
	assert_int_equal(put_in, 6);
	assert_int_equal(trace_at(copy, 1)->kind, OP_DIRSYNC_BEGIN);
	assert_string_equal(copy->names[trace_at(copy, 1)->name], "/other");
	/* Operation 4 and what stands before it. */
	assert_int_equal(positions[10], 4);
	assert_int_equal(trace_at(copy, 6)->kind, OP_SYNC_BEGIN);
	assert_int_equal(trace_at(copy, 6)->inode, 1);
	assert_int_equal(trace_at(copy, 9)->kind, OP_DIRSYNC_END);
	free(positions);
	trace_free(copy);
	trace_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_without_sync),
	    cmocka_unit_test(test_nothing_left_out),
	    cmocka_unit_test(test_image),
	    cmocka_unit_test(test_with_syncs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
