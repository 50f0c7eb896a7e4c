/*
 * The trace in memory, and the two round trips (bytes, text) over random traces. Equality is
 * checked field by field here, not through the encoder, so that a field which the encoder forgets
 * is noticed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "faultinject/base/prng.h"
#include "faultinject/trace.h"

static const struct trace_device device = {4096, 0x1000};

static struct trace *create_small(void)
{
	struct trace *t = trace_create(device, "test 1.0");
	uint32_t a = trace_name(t, "/d/a");

	trace_add_base(t, trace_new_inode(t), a, "abc", 3);
	return t;
}

static void expect_bad(const struct trace *t, struct op op, const char *part)
{
	struct err err = ERR_INIT;

	assert_int_equal(trace_check_op(t, &op, &err), ERR_INPUT);
	if (strstr(err.message, part) == NULL)
		fail_msg("'%s' does not say '%s'", err.message, part);
}

/* Names are numbered from 1, each once, and found again after the table has grown. */
static void test_names(void **state)
{
	struct trace *t = trace_create(device, NULL);
	char path[64];

	(void)state;
	assert_string_equal(t->names[0], "");
	for (uint32_t i = 1; i <= 5000; i++) {
		snprintf(path, sizeof path, "/x/%u", i);
		assert_int_equal(trace_find_name(t, path), 0);
		assert_int_equal(trace_name(t, path), i);
	}
	for (uint32_t i = 1; i <= 5000; i++) {
		snprintf(path, sizeof path, "/x/%u", i);
		assert_int_equal(trace_name(t, path), i);
		assert_int_equal(trace_find_name(t, path), i);
		assert_string_equal(t->names[i], path);
	}
	assert_int_equal(t->name_count, 5000);
	trace_free(t);
	trace_free(NULL);
}

/* A path that is not absolute and in its shortest form gets no number. */
static void test_bad_names(void **state)
{
	static const char *const bad[] = {"",	 "a",	 "./a",	  "//",	  "/a/",   "/a//b", "/.",
					  "/..", "/a/.", "/a/..", "/./a", "/../a", "/a/./b"};
	static const char *const good[] = {"/", "/a", "/a/b", "/.a", "/..a", "/a/...", "/a/b."};
	struct trace *t = trace_create(device, "");
	char *path = malloc(TRACE_NAME_MAX + 2);

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(trace_name(t, bad[i]), 0);
	for (uint32_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_int_equal(trace_name(t, good[i]), i + 1);
	memset(path, 'a', TRACE_NAME_MAX + 1);
	path[0] = '/';
	path[TRACE_NAME_MAX + 1] = '\0';
	assert_int_equal(trace_name(t, path), 0);
	path[TRACE_NAME_MAX] = '\0';
	assert_int_not_equal(trace_name(t, path), 0);
	free(path);
	trace_free(t);
}

/* A second name of an inode of the base carries no content, whatever size it is given. */
static void test_base_link(void **state)
{
	struct trace *t = create_small();

	(void)state;
	trace_add_base(t, 1, trace_name(t, "/d/link"), NULL, 3);
	assert_int_equal(t->base_count, 2);
	assert_int_equal(t->base[0].size, 3);
	assert_int_equal(t->base[1].inode, 1);
	assert_int_equal(t->base[1].size, 0);
	assert_null(t->base[1].data);
	trace_free(t);
}

static void test_dirname(void **state)
{
	char buf[16];

	(void)state;
	trace_dirname("/a/b/c", buf, sizeof buf);
	assert_string_equal(buf, "/a/b");
	trace_dirname("/a", buf, sizeof buf);
	assert_string_equal(buf, "/");
	trace_dirname("/", buf, sizeof buf);
	assert_string_equal(buf, "/");
}

/* A producer is printed in reports: it is kept as one line of a bounded length. */
static void test_producer(void **state)
{
	char long_name[3000];
	struct trace *t = trace_create(device, "a\nb\tc\x7f");

	(void)state;
	assert_string_equal(t->producer, "a b c ");
	trace_free(t);
	memset(long_name, 'x', sizeof long_name);
	long_name[sizeof long_name - 1] = '\0';
	t = trace_create(device, long_name);
	assert_int_equal(strlen(t->producer), 1024);
	trace_free(t);
}

/* Payloads are copied, and stay where they are while the trace grows. */
static void test_append_copies(void **state)
{
	struct trace *t = create_small();
	uint8_t data[300];
	const uint8_t *first;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		memset(data, (int)(i & 255), sizeof data);
		struct op op = {.kind = OP_WRITE, .inode = 1, .size = sizeof data, .data = data};
		assert_int_equal(trace_append(t, &op), i + 1);
		if (i == 0)
			first = trace_at(t, 1)->data;
	}
	/* An operation of the trace itself may be appended again although the array moves. */
	for (unsigned i = 0; i < 3000; i++)
		trace_append(t, trace_at(t, 1));
	assert_ptr_equal(trace_at(t, 1)->data, first);
	assert_int_equal(trace_at(t, 1)->data[299], 0);
	assert_int_equal(trace_at(t, 1000)->data[0], 999 & 255);
	assert_int_equal(trace_at(t, 5000)->data[0], 0);
	assert_memory_equal(t->base[0].data, "abc", 3);
	trace_free(t);
}

/* Each way of being malformed is refused, and its neighbour that is well formed is not. */
static void test_check_op(void **state)
{
	struct trace *t = create_small();
	struct err err = ERR_INIT;
	static const uint8_t byte;
	struct op op;

	(void)state;
	trace_name(t, "/d");
	expect_bad(t, (struct op){.kind = 0}, "unknown operation");
	expect_bad(t, (struct op){.kind = OP_KIND_MAX + 1}, "unknown operation");
	expect_bad(t, (struct op){.kind = OP_WRITE, .inode = 1, .flags = 1}, "flags");
	expect_bad(t, (struct op){.kind = OP_LOCK, .inode = 1, .flags = OP_SYNC_DATA}, "flags");
	expect_bad(t, (struct op){.kind = OP_SYNC_BEGIN, .inode = 1, .flags = 8}, "flags");
	expect_bad(t, (struct op){.kind = OP_WRITE}, "inode 0");
	expect_bad(t, (struct op){.kind = OP_WRITE, .inode = 2}, "inode 2");
	expect_bad(t, (struct op){.kind = OP_WRITE, .inode = 1, .size = 1}, "without its data");
	expect_bad(t, (struct op){.kind = OP_WRITE, .inode = 1, .name = 1}, "has a name");
	expect_bad(t, (struct op){.kind = OP_UNLINK, .name = 3}, "name 3");
	expect_bad(t, (struct op){.kind = OP_UNLINK, .name = 1, .inode = 1}, "has an inode");
	expect_bad(t, (struct op){.kind = OP_RENAME, .name = 1}, "to name 0");
	expect_bad(t, (struct op){.kind = OP_ACK, .size = 1}, "has a size");
	expect_bad(t, (struct op){.kind = OP_ACK, .offset = 1}, "has an offset");
	expect_bad(t, (struct op){.kind = OP_CREATE, .inode = 1, .name = 1}, "next new inode is 2");
	expect_bad(t, (struct op){.kind = OP_CREATE, .inode = 2, .name = 1}, "next new inode is 2");

	op = (struct op){.kind = OP_WRITE, .inode = 1, .size = 1, .data = &byte};
	op.offset = TRACE_FILE_SIZE_MAX - 1;
	assert_int_equal(trace_check_op(t, &op, &err), 0);
	op.offset = TRACE_FILE_SIZE_MAX;
	expect_bad(t, op, "larger than");
	op.offset = UINT64_MAX;
	expect_bad(t, op, "larger than");
	op.offset = 0;
	op.size = (uint64_t)TRACE_PAYLOAD_MAX + 1;
	expect_bad(t, op, "at most");
	op = (struct op){.kind = OP_TRUNCATE, .inode = 1, .size = TRACE_FILE_SIZE_MAX + 1};
	expect_bad(t, op, "larger than");
	op = (struct op){.kind = OP_LOCK, .inode = 1, .offset = INT64_MAX, .size = 1};
	expect_bad(t, op, "largest file offset");
	op.offset--;
	assert_int_equal(trace_check_op(t, &op, &err), 0);
	trace_free(t);
}

/* A hole is of a file that is there or of none, and says why in one line of a bounded length. */
static void test_check_hole(void **state)
{
	struct trace *t = create_small();
	struct err err = ERR_INIT;
	uint8_t why[TRACE_WHY_MAX + 1];
	struct op op = {.kind = OP_HOLE, .size = 1, .data = why};

	(void)state;
	memset(why, 'x', sizeof why);
	assert_int_equal(trace_check_op(t, &op, &err), 0);
	op.inode = 1;
	assert_int_equal(trace_check_op(t, &op, &err), 0);
	op.inode = 2;
	expect_bad(t, op, "inode 2");
	op.inode = 0;
	op.size = TRACE_WHY_MAX;
	assert_int_equal(trace_check_op(t, &op, &err), 0);
	op.size++;
	expect_bad(t, op, "a reason of 1025 bytes");
	op.size = 0;
	expect_bad(t, op, "a reason of 0 bytes");
	op.size = 2;
	why[1] = '\n';
	expect_bad(t, op, "not one line");
	why[1] = 0x7f;
	expect_bad(t, op, "not one line");
	op.data = NULL;
	expect_bad(t, op, "without its data");
	expect_bad(t, (struct op){.kind = OP_HOLE, .name = 1, .size = 1, .data = why}, "a name");
	trace_free(t);
}

/* Whatever reason is given becomes a hole that is well formed, and the first one is found. */
static void test_append_hole(void **state)
{
	struct trace *t = create_small();
	char why[3000];

	(void)state;
	assert_int_equal(trace_first_hole(t), 0);
	trace_append(t, &(struct op){.kind = OP_TRUNCATE, .inode = 1});
	assert_int_equal(trace_first_hole(t), 0);
	memset(why, 'y', sizeof why);
	why[sizeof why - 1] = '\0';
	why[1] = '\n';
	assert_int_equal(trace_append_hole(t, 3, 1, why), 2);
	assert_int_equal(trace_append_hole(t, 0, 0, "again"), 3);
	assert_int_equal(trace_first_hole(t), 2);
	assert_int_equal(trace_at(t, 2)->process, 3);
	assert_int_equal(trace_at(t, 2)->inode, 1);
	assert_int_equal(trace_at(t, 2)->size, TRACE_WHY_MAX);
	assert_memory_equal(trace_at(t, 2)->data, "y yy", 4);
	trace_free(t);
}

/* An end names an earlier begin of its own sort and target. */
static void test_check_sync_end(void **state)
{
	struct trace *t = create_small();
	uint32_t d = trace_name(t, "/d");
	struct op op = {.kind = OP_CREATE, .inode = trace_new_inode(t), .name = d};
	struct err err = ERR_INIT;

	(void)state;
	trace_append(t, &op);
	op = (struct op){.kind = OP_SYNC_BEGIN, .inode = 1, .flags = OP_SYNC_DATA};
	assert_int_equal(trace_append(t, &op), 2);
	op = (struct op){.kind = OP_DIRSYNC_BEGIN, .name = d};
	assert_int_equal(trace_append(t, &op), 3);

	expect_bad(t, (struct op){.kind = OP_SYNC_END, .inode = 1}, "not earlier");
	expect_bad(t, (struct op){.kind = OP_SYNC_END, .inode = 1, .offset = 4}, "not earlier");
	expect_bad(t, (struct op){.kind = OP_SYNC_END, .inode = 1, .offset = 1}, "same target");
	expect_bad(t, (struct op){.kind = OP_SYNC_END, .inode = 2, .offset = 2}, "same target");
	expect_bad(t, (struct op){.kind = OP_SYNC_END, .inode = 1, .offset = 3}, "same target");
	expect_bad(t, (struct op){.kind = OP_DIRSYNC_END, .name = 1, .offset = 3}, "same target");
	op = (struct op){.kind = OP_SYNC_END, .inode = 1, .offset = 2};
	assert_int_equal(trace_check_op(t, &op, &err), 0);
	op = (struct op){.kind = OP_DIRSYNC_END, .name = d, .offset = 3};
	assert_int_equal(trace_check_op(t, &op, &err), 0);
	trace_free(t);
}

/* ---- random traces */

static uint32_t random_name(struct prng *r, struct trace *t)
{
	static const char *const parts[] = {"a", "b-journal", "db-wal", "\xc3\xa4", "q\"\\", "\n"};
	char path[64];

	snprintf(path, sizeof path, "/%s/%s%u", parts[prng_below(r, 6)], parts[prng_below(r, 6)],
		 (unsigned)prng_below(r, 4));
	return trace_name(t, path);
}

static uint16_t random_u16(struct prng *r)
{
	return (uint16_t)(prng_below(r, 4) == 0 ? prng_next(r) : prng_below(r, 3));
}

/* Mostly small, sometimes anywhere below `max`. */
static uint64_t random_size(struct prng *r, uint64_t max)
{
	return prng_below(r, prng_below(r, 4) == 0 ? max : 5000);
}

/* The next operation, well formed unless what it needs is not there yet. */
static struct op random_op(struct prng *r, struct trace *t, uint8_t *data, uint64_t data_size)
{
	struct op op = {.kind = (uint8_t)(1 + prng_below(r, OP_KIND_MAX))};

	op.process = random_u16(r);
	op.thread = random_u16(r);
	op.connection = random_u16(r);
	if (op.kind == OP_CREATE)
		op.inode = trace_new_inode(t);
	else if (op.kind == OP_WRITE || op.kind == OP_TRUNCATE || op.kind == OP_SYNC_BEGIN ||
		 op.kind == OP_LINK || op.kind == OP_LOCK || op.kind == OP_UNLOCK)
		op.inode = (uint32_t)(1 + prng_below(r, t->inode_count));
	if (op.kind == OP_CREATE || op.kind == OP_DIRSYNC_BEGIN || op.kind == OP_RENAME ||
	    op.kind == OP_UNLINK)
		op.name = random_name(r, t);
	if (op.kind == OP_RENAME || op.kind == OP_LINK)
		op.name2 = random_name(r, t);
	if (op.kind == OP_SYNC_BEGIN && prng_below(r, 2) == 0)
		op.flags = OP_SYNC_DATA;
	if (op.kind == OP_LOCK || op.kind == OP_UNLOCK) {
		op.flags = (uint8_t)(prng_below(r, 4) << 1);
		op.offset = random_size(r, INT64_MAX / 2);
		op.size = random_size(r, INT64_MAX / 2);
	}
	if (op.kind == OP_TRUNCATE)
		op.size = random_size(r, TRACE_FILE_SIZE_MAX + 1);
	if (op.kind == OP_WRITE)
		op.offset = random_size(r, TRACE_FILE_SIZE_MAX - data_size);
	if (op.kind == OP_WRITE || op.kind == OP_MARK || op.kind == OP_OUTPUT) {
		op.size = prng_below(r, data_size + 1);
		prng_bytes(r, data, op.size);
		op.data = op.size > 0 ? data : NULL;
	}
	if (op.kind == OP_HOLE) {
		op.inode = (uint32_t)prng_below(r, t->inode_count + 1);
		op.size = 1 + prng_below(r, data_size);
		for (uint64_t i = 0; i < op.size; i++)
			data[i] = (uint8_t)(0x80 + prng_below(r, 0x80));
		op.data = data;
	}
	if ((op.kind == OP_SYNC_END || op.kind == OP_DIRSYNC_END) && t->op_count > 0) {
		op.offset = 1 + prng_below(r, t->op_count);
		op.inode = trace_at(t, op.offset)->inode;
		op.name = trace_at(t, op.offset)->name;
		op.flags = prng_below(r, 2) == 0 ? OP_SYNC_FAILED : 0;
	}
	return op;
}

static struct trace *random_trace(uint64_t seed)
{
	struct prng r;
	struct trace *t;
	uint8_t data[700];
	char path[32];
	uint64_t base_count, op_count;

	prng_init(&r, seed, "workload");
	t = trace_create((struct trace_device){(uint32_t)prng_next(&r), (uint32_t)prng_next(&r)},
			 seed % 2 == 0 ? "random \"quoted\\\xc3\xa4" : "");
	base_count = 1 + prng_below(&r, 6);
	for (unsigned i = 0; i < base_count; i++) {
		uint64_t size = prng_below(&r, 3) == 0 ? 0 : prng_below(&r, sizeof data);

		snprintf(path, sizeof path, "/base/%u", i);
		prng_bytes(&r, data, size);
		if (i > 0 && prng_below(&r, 4) == 0)
			trace_add_base(t, (uint32_t)(1 + prng_below(&r, t->inode_count)),
				       trace_name(t, path), NULL, 0);
		else
			trace_add_base(t, trace_new_inode(t), trace_name(t, path), data, size);
	}
	op_count = prng_below(&r, 80);
	while (t->op_count < op_count) {
		struct op op = random_op(&r, t, data, sizeof data);
		struct err err;

		if (trace_check_op(t, &op, &err) == 0)
			trace_append(t, &op);
	}
	if (prng_below(&r, 4) == 0) {
		t->torn = true;
		t->torn_size_bytes = prng_below(&r, 1000);
	}
	return t;
}

static void assert_same_name(const struct trace *a, uint32_t i, const struct trace *b, uint32_t j)
{
	assert_string_equal(a->names[i], b->names[j]);
}

/* The same trace, apart from how names are numbered. */
static void assert_same_trace(const struct trace *a, const struct trace *b)
{
	assert_int_equal(a->device.sector_size_bytes, b->device.sector_size_bytes);
	assert_int_equal(a->device.characteristics, b->device.characteristics);
	assert_string_equal(a->producer, b->producer);
	assert_int_equal(a->inode_count, b->inode_count);
	assert_int_equal(a->torn, b->torn);
	assert_int_equal(a->torn_size_bytes, b->torn_size_bytes);
	assert_int_equal(a->base_count, b->base_count);
	for (size_t i = 0; i < a->base_count; i++) {
		const struct trace_base *x = &a->base[i], *y = &b->base[i];

		assert_int_equal(x->inode, y->inode);
		assert_same_name(a, x->name, b, y->name);
		assert_int_equal(x->size, y->size);
		assert_true((x->data == NULL) == (y->data == NULL));
		if (x->size > 0)
			assert_memory_equal(x->data, y->data, x->size);
	}
	assert_int_equal(a->op_count, b->op_count);
	for (uint64_t p = 1; p <= a->op_count; p++) {
		const struct op *x = trace_at(a, p), *y = trace_at(b, p);

		assert_int_equal(x->kind, y->kind);
		assert_int_equal(x->flags, y->flags);
		assert_int_equal(x->process, y->process);
		assert_int_equal(x->thread, y->thread);
		assert_int_equal(x->connection, y->connection);
		assert_int_equal(x->inode, y->inode);
		assert_same_name(a, x->name, b, y->name);
		assert_same_name(a, x->name2, b, y->name2);
		assert_int_equal(x->offset, y->offset);
		assert_int_equal(x->size, y->size);
		assert_true((x->data == NULL) == (y->data == NULL));
		if (x->data != NULL)
			assert_memory_equal(x->data, y->data, x->size);
	}
}

/* Whatever is encoded decodes to the same trace, name table included, and to the same bytes. */
static void test_round_trip_bytes(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct trace *a = random_trace(seed), *b = NULL;
		struct buf first = {0}, second = {0};
		struct err err = ERR_INIT;

		trace_encode(a, &first);
		if (trace_decode(first.data, first.size, &b, &err) != 0)
			fail_msg("seed %d: %s", (int)seed, err.message);
		assert_same_trace(a, b);
		assert_int_equal(a->name_count, b->name_count);
		for (uint32_t i = 0; i <= a->name_count; i++)
			assert_same_name(a, i, b, i);
		trace_encode(b, &second);
		assert_int_equal(first.size, second.size);
		assert_memory_equal(first.data, second.data, first.size);
		buf_release(&first);
		buf_release(&second);
		trace_free(a);
		trace_free(b);
	}
}

/* The text with data says everything that the trace does. */
static void test_round_trip_text(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct trace *a = random_trace(seed), *b = NULL;
		struct err err = ERR_INIT;
		char *text = NULL;
		size_t size = 0;
		FILE *out = open_memstream(&text, &size);

		trace_print(a, true, out);
		fclose(out);
		if (trace_parse_text(text, size, &b, &err) != 0)
			fail_msg("seed %d: %s", (int)seed, err.message);
		assert_same_trace(a, b);
		free(text);
		trace_free(a);
		trace_free(b);
	}
}

/* A base file larger than one record of content comes back whole. */
static void test_large_base(void **state)
{
	size_t size = (1 << 24) * 2 + 5;
	uint8_t *data = malloc(size);
	struct trace *a = trace_create(device, "large"), *b = NULL;
	struct buf bytes = {0};
	struct err err = ERR_INIT;
	struct prng r;

	(void)state;
	prng_init(&r, 1, "workload");
	prng_bytes(&r, data, size);
	trace_add_base(a, trace_new_inode(a), trace_name(a, "/big"), data, size);
	trace_encode(a, &bytes);
	assert_int_equal(trace_decode(bytes.data, bytes.size, &b, &err), 0);
	assert_same_trace(a, b);
	buf_release(&bytes);
	trace_free(a);
	trace_free(b);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_bad_names),
	    cmocka_unit_test(test_base_link),
	    cmocka_unit_test(test_dirname),
	    cmocka_unit_test(test_producer),
	    cmocka_unit_test(test_append_copies),
	    cmocka_unit_test(test_check_op),
	    cmocka_unit_test(test_check_sync_end),
	    cmocka_unit_test(test_check_hole),
	    cmocka_unit_test(test_append_hole),
	    cmocka_unit_test(test_round_trip_bytes),
	    cmocka_unit_test(test_round_trip_text),
	    cmocka_unit_test(test_large_base),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
