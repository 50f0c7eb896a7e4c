/*
 * libFuzzer target: the words for any trace. The input is a list of operations on a few files whose
 * content is made of the parts of SQLite's formats, or of raw bytes; or, where it begins as a trace
 * file, that.
 *
 * Checks: every text is one line of UTF-8 without control characters; the same trace has the same
 * words twice; and a part of it has the same words as the whole.
 */
#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/format/journal.h"
#include "faultinject/format/wal.h"
#include "harness/case/result_json.h"
#include "harness/explain/name_op.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAGE_SIZE = 512, RECORD_SIZE = PAGE_SIZE + 8, FRAME_SIZE = PAGE_SIZE + 24 };

static const char *const paths[] = {"/d/a", "/d/a-journal", "/d/a-wal", "/d/a-mj0123459AB",
				    "/d/b", "/d/b-journal", "/e/a",	"/d"};
enum { PATHS = sizeof paths / sizeof *paths };

struct input {
	const uint8_t *data;
	size_t size;
};

static uint8_t next(struct input *in)
{
	if (in->size == 0)
		return 0;
	in->size--;
	return *in->data++;
}

static void put_be32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

struct build {
	struct trace *t;
	uint32_t inode_of[PATHS];
	struct wal_checksum sum;
};

static void append(struct build *b, struct op op)
{
	struct err err = ERR_INIT;

	op.process = 1;
	if (trace_check_op(b->t, &op, &err) == 0)
		(void)trace_append(b->t, &op);
}

/* Raw bytes from the input over a page; the rest is zeros. */
static void fill(struct input *in, uint8_t *page, size_t size)
{
	size_t raw = next(in);

	for (size_t i = 0; i < raw && i < size; i++)
		page[i] = next(in);
}

static uint64_t make_content(struct build *b, struct input *in, uint8_t *bytes, uint64_t *ret_at)
{
	static const uint8_t magic[] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
	uint32_t page = 1 + next(in) % 8u, n = next(in) % 8u;

	memset(bytes, 0, 2 * FRAME_SIZE);
	switch (next(in) % 8) {
	case 0: /* page 1, a database */
		memcpy(bytes, "SQLite format 3", 16);
		bytes[16] = 2;
		bytes[35] = next(in) % 8;
		bytes[55] = next(in) % 2;
		bytes[59] = next(in) % 4;
		fill(in, bytes + 100, PAGE_SIZE - 100);
		*ret_at = 0;
		return PAGE_SIZE;
	case 1: /* another page */
		fill(in, bytes, PAGE_SIZE);
		*ret_at = (page - 1) * (uint64_t)PAGE_SIZE;
		return PAGE_SIZE * (1 + n % 2);
	case 2: /* a header of a journal */
		if (n % 2 == 0)
			memcpy(bytes, magic, sizeof magic);
		put_be32(bytes + 8, n);
		put_be32(bytes + 16, page);
		put_be32(bytes + 20, PAGE_SIZE);
		put_be32(bytes + 24, PAGE_SIZE);
		*ret_at = page == 1 ? 0 : (page - 1) * (uint64_t)PAGE_SIZE;
		return n == 7 ? 12 : PAGE_SIZE;
	case 3: /* a part of a record */
		put_be32(bytes, page == 8 ? 0x40000000 / PAGE_SIZE + 1 : page);
		*ret_at = PAGE_SIZE + n * (uint64_t)RECORD_SIZE + (page > 4 ? 4 : 0);
		return page % 2 == 0 ? 4 : PAGE_SIZE;
	case 4: /* a header of a log */
		put_be32(bytes, 0x377f0683);
		put_be32(bytes + 4, 3007000);
		put_be32(bytes + 8, PAGE_SIZE);
		put_be32(bytes + 16, n);
		b->sum = wal_checksum_add((struct wal_checksum){0, 0}, true, bytes, 24);
		put_be32(bytes + 24, b->sum.s0);
		put_be32(bytes + 28, b->sum.s1);
		*ret_at = 0;
		return WAL_HEADER_SIZE;
	case 5: /* a frame, the next in the sum */
		put_be32(bytes, page);
		put_be32(bytes + 4, next(in) % 10u);
		put_be32(bytes + 8, next(in) % 8u);
		fill(in, bytes + 24, PAGE_SIZE);
		b->sum = wal_checksum_add(b->sum, true, bytes, 8);
		b->sum = wal_checksum_add(b->sum, true, bytes + 24, PAGE_SIZE);
		put_be32(bytes + 16, b->sum.s0);
		put_be32(bytes + 20, b->sum.s1);
		*ret_at = WAL_HEADER_SIZE + n * (uint64_t)FRAME_SIZE;
		return FRAME_SIZE;
	default: /* anything, anywhere */
		fill(in, bytes, PAGE_SIZE);
		*ret_at = next(in) * (uint64_t)(1 + next(in)) * (1 + next(in));
		return page * (uint64_t)n;
	}
}

static void add_op(struct build *b, struct input *in)
{
	uint8_t kind = next(in) % OP_KIND_MAX + 1, bytes[2 * FRAME_SIZE];
	uint32_t which = next(in) % PATHS, other = next(in) % PATHS;
	struct op op = {.kind = kind};

	switch (kind) {
	case OP_CREATE:
		b->inode_of[which] = trace_new_inode(b->t);
		op.inode = b->inode_of[which];
		op.name = which + 1;
		break;
	case OP_WRITE:
	case OP_MARK:
	case OP_OUTPUT:
		op.inode = kind == OP_WRITE ? b->inode_of[which] : 0;
		op.size = make_content(b, in, bytes, &op.offset);
		op.data = bytes;
		if (kind != OP_WRITE)
			op.offset = 0;
		break;
	case OP_TRUNCATE:
		op.inode = b->inode_of[which];
		op.size = other * (uint64_t)PAGE_SIZE + next(in) % 40u;
		break;
	case OP_DIRSYNC_BEGIN:
	case OP_UNLINK:
		op.name = which + 1;
		break;
	case OP_SYNC_END:
	case OP_DIRSYNC_END:
		if (b->t->op_count == 0)
			return;
		op.offset = next(in) % b->t->op_count + 1;
		op.inode = trace_at(b->t, op.offset)->inode;
		op.name = trace_at(b->t, op.offset)->name;
		break;
	case OP_LINK:
		op.inode = b->inode_of[which];
		op.name2 = other + 1;
		break;
	case OP_RENAME:
		op.name = which + 1;
		op.name2 = other + 1;
		break;
	case OP_LOCK:
	case OP_UNLOCK:
		op.flags = next(in) % 8u & (OP_LOCK_SHARED | OP_LOCK_SHM);
		op.offset =
		    (op.flags & OP_LOCK_SHM) != 0 ? 120 + other % 4 : OP_PENDING_BYTE + other;
		op.size = 1 + next(in) % 3u;
		/* fall through */
	case OP_SYNC_BEGIN:
		op.inode = b->inode_of[which];
		break;
	case OP_HOLE:
		op.data = (const uint8_t *)"gone";
		op.size = 4;
		break;
	}
	append(b, op);
}

static struct trace *build(struct input *in)
{
	struct trace_device device = {512, 0};
	struct build b = {.t = trace_create(device, "fuzz")};

	for (size_t i = 0; i < PATHS; i++) {
		(void)trace_name(b.t, paths[i]);
		if (next(in) % 2 == 0) {
			uint8_t bytes[2 * FRAME_SIZE];
			uint64_t at, size = make_content(&b, in, bytes, &at);

			b.inode_of[i] = trace_new_inode(b.t);
			trace_add_base(b.t, b.inode_of[i], (uint32_t)i + 1, bytes, size);
		}
	}
	while (in->size > 0)
		add_op(&b, in);
	return b.t;
}

static void check_text(const char *text)
{
	uint32_t cp;

	for (size_t n; *text != 0; text += n) {
		n = result_utf8_next(text, &cp);
		ASSERT(cp >= 0x20 && cp != 0x7f && cp != RESULT_UTF8_REPLACEMENT);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct op_names *all, *part;
	struct err err = ERR_INIT;
	struct trace *t;
	uint64_t first, last;

	if (size > 0 && data[0] == 'p') {
		if (trace_decode(data, size, &t, &err) != 0)
			return 0;
	} else {
		t = build(&in);
	}
	first = t->op_count / 3 + 1;
	last = t->op_count * 2 / 3;
	ASSERT_OP(op_names_create(t, 1, UINT64_MAX, &all, &err), ==, 0);
	ASSERT_OP(op_names_create(t, first, last, &part, &err), ==, 0);
	for (uint64_t p = 1; p <= t->op_count; p++) {
		ASSERT(op_names_words(all, p)[0] != 0);
		check_text(op_names_words(all, p));
		(void)op_names_role(all, op_names_target(all, p), NULL);
		if (op_names_incomplete(all) == NULL && p >= first && p <= last)
			ASSERT(strcmp(op_names_words(all, p), op_names_words(part, p)) == 0);
	}
	op_names_free(part);
	op_names_free(all);
	trace_free(t);
	return 0;
}
