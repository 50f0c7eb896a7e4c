/*
 * libFuzzer target: the lint over any trace. The input is a list of operations on a few files whose
 * content is made of the parts of SQLite's formats, or of raw bytes; or, where it begins as a trace
 * file, that.
 *
 * Checks: findings are well formed and the same twice; and where everything is synced after every
 * operation, no finding is left that says that a sync is missing.
 */
#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/format/journal.h"
#include "faultinject/format/wal.h"
#include "harness/lint/lint.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	PAGE_SIZE = 512,
	SECTOR_SIZE = 512,
	RECORD_SIZE = PAGE_SIZE + 8,
	FRAME_SIZE = PAGE_SIZE + 24
};

static const char *const paths[] = {"/d/a",	"/d/a-journal", "/d/a-wal",
				    "/d/a-mj1", "/d/b",		"/d/b-journal"};
enum { PATHS = sizeof paths / sizeof *paths };
static const char super[] = "/d/a-mj1";

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

struct build {
	struct trace *t;
	bool synced; /* everything, after every operation */
	uint32_t inode_of[PATHS];
};

static void append(struct build *b, struct op op)
{
	struct err err = ERR_INIT;

	op.process = 1;
	if (trace_check_op(b->t, &op, &err) == 0)
		(void)trace_append(b->t, &op);
}

static void sync_all(struct build *b)
{
	for (uint32_t i = 1; i <= b->t->inode_count; i++) {
		append(b, (struct op){.kind = OP_SYNC_BEGIN, .inode = i});
		append(b, (struct op){.kind = OP_SYNC_END, .inode = i, .offset = b->t->op_count});
	}
	uint32_t name = trace_name(b->t, "/d");
	append(b, (struct op){.kind = OP_DIRSYNC_BEGIN, .name = name});
	append(b, (struct op){.kind = OP_DIRSYNC_END, .name = name, .offset = b->t->op_count});
}

static void put_be32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static size_t put_journal_header(uint8_t *p, uint8_t how)
{
	static const uint8_t magic[] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};

	memset(p, 0, JOURNAL_HEADER_SIZE);
	if ((how & 1) != 0)
		memcpy(p, magic, sizeof magic);
	put_be32(p + JOURNAL_COUNT_AT, (how & 2) != 0 ? JOURNAL_COUNT_BY_SIZE : how / 16u);
	put_be32(p + 12, how);
	put_be32(p + 16, 4);
	put_be32(p + 20, SECTOR_SIZE);
	put_be32(p + 24, PAGE_SIZE);
	return (how & 4) != 0 ? JOURNAL_COUNT_AT + 4 : (how & 8) != 0 ? SECTOR_SIZE : 28;
}

static size_t put_super(uint8_t *p)
{
	static const uint8_t magic[] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
	uint32_t n = sizeof super - 1, sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += (uint8_t)super[i];
	put_be32(p, 0x40000000 / PAGE_SIZE + 1);
	memcpy(p + 4, super, n);
	put_be32(p + 4 + n, n);
	put_be32(p + 8 + n, sum);
	memcpy(p + 12 + n, magic, sizeof magic);
	return n + 20;
}

static size_t put_wal_header(uint8_t *p, uint8_t salt)
{
	struct wal_checksum sum;

	memset(p, 0, WAL_HEADER_SIZE);
	put_be32(p, 0x377f0682);
	put_be32(p + 4, 3007000);
	put_be32(p + 8, PAGE_SIZE);
	put_be32(p + 16, salt);
	sum = wal_checksum_add((struct wal_checksum){0, 0}, false, p, 24);
	put_be32(p + 24, sum.s0);
	put_be32(p + 28, sum.s1);
	return WAL_HEADER_SIZE;
}

/* One operation. */
static void step(struct build *b, struct input *in)
{
	static uint8_t bytes[4096];
	uint8_t what = next(in), path = next(in) % PATHS, a = next(in), c = next(in);
	uint32_t inode = b->inode_of[path], name = trace_name(b->t, paths[path]);
	struct op op = {.connection = what / 64, .inode = inode, .data = bytes};

	memset(bytes, 0, sizeof bytes);
	op.kind = OP_WRITE;
	switch (what % 20) {
	case 0:
		b->inode_of[path] = trace_new_inode(b->t);
		op = (struct op){.kind = OP_CREATE, .name = name, .inode = b->inode_of[path]};
		break;
	case 1:
		op = (struct op){.kind = OP_UNLINK, .name = name};
		b->inode_of[path] = 0;
		break;
	case 2:
		op = (struct op){
		    .kind = OP_RENAME, .name = name, .name2 = trace_name(b->t, paths[a % PATHS])};
		b->inode_of[a % PATHS] = inode;
		if (a % PATHS != path)
			b->inode_of[path] = 0;
		break;
	case 3:
		op = (struct op){.kind = OP_TRUNCATE, .inode = inode, .size = a * (c % 3) * 16u};
		break;
	case 4:
		op = (struct op){.kind = OP_SYNC_BEGIN, .inode = inode};
		break;
	case 5:
	case 6:
		op = (struct op){.kind = (uint8_t)(what % 20 == 5 ? OP_SYNC_END : OP_DIRSYNC_END),
				 .offset = a};
		if (a >= 1 && a <= b->t->op_count) {
			op.inode = trace_at(b->t, a)->inode;
			op.name = trace_at(b->t, a)->name;
		}
		break;
	case 7:
		op = (struct op){.kind = OP_DIRSYNC_BEGIN, .name = trace_name(b->t, "/d")};
		break;
	case 8:
		op = (struct op){.kind = OP_ACK, .connection = what / 64};
		break;
	case 9: /* a page of a database */
		op.offset = (uint64_t)(a % 8) * PAGE_SIZE;
		op.size = PAGE_SIZE * (1 + c % 3u);
		memset(bytes, c, sizeof bytes);
		if (a % 8 == 0)
			memcpy(bytes, "SQLite format 3", 16);
		break;
	case 10:
		op.size = put_journal_header(bytes, a);
		op.offset = c % 8 == 0 ? SECTOR_SIZE + (c / 8u) * RECORD_SIZE : 0;
		op.offset = (op.offset + SECTOR_SIZE - 1) / SECTOR_SIZE * SECTOR_SIZE;
		break;
	case 11: /* a record, or its number alone */
		put_be32(bytes, 1 + a / 16u);
		memset(bytes + 4, c, PAGE_SIZE);
		op.offset = SECTOR_SIZE * (1 + c / 64u) + (a % 16u) * RECORD_SIZE;
		op.size = (c & 1) != 0 ? 4 : RECORD_SIZE;
		break;
	case 12:
		op.size = put_super(bytes);
		op.offset = SECTOR_SIZE + (a % 4u) * RECORD_SIZE;
		if ((c & 1) != 0)
			op.offset = (op.offset + SECTOR_SIZE - 1) / SECTOR_SIZE * SECTOR_SIZE;
		break;
	case 13:
		op.size = put_wal_header(bytes, a % 4);
		break;
	case 14:
	case 15: /* a frame; its header; its page */
		put_be32(bytes, 1 + a / 32u);
		put_be32(bytes + 4, c % 4 == 0 ? 8 : 0);
		memset(bytes + 24, c, PAGE_SIZE);
		op.offset = WAL_HEADER_SIZE + (a % 32u) * FRAME_SIZE;
		op.size = (c & 8) != 0 ? 24 : FRAME_SIZE;
		break;
	case 16:
		op.offset = a;
		op.size = c % 40;
		break;
	default: /* raw bytes */
		op.offset = (uint64_t)a * c;
		for (op.size = 0; op.size < a % 64u; op.size++)
			bytes[op.size] = next(in);
		break;
	}
	append(b, op);
	if (b->synced)
		sync_all(b);
}

static struct trace *build(struct input in, bool synced)
{
	struct trace_device device = {SECTOR_SIZE, next(&in) % 4 == 0 ? 0x200 : 0};
	struct build b = {.t = trace_create(device, "fuzz"), .synced = synced};

	if ((next(&in) & 1) != 0) { /* a base: a database and what may be a hot journal */
		static uint8_t bytes[SECTOR_SIZE + 2 * RECORD_SIZE];

		memset(bytes, 0, sizeof bytes);
		(void)put_journal_header(bytes, next(&in));
		for (size_t i = 0; i < 2; i++)
			put_be32(bytes + SECTOR_SIZE + i * RECORD_SIZE, next(&in));
		b.inode_of[0] = trace_new_inode(b.t);
		trace_add_base(b.t, 1, trace_name(b.t, paths[0]), "SQLite format 3", 16);
		b.inode_of[1] = trace_new_inode(b.t);
		trace_add_base(b.t, 2, trace_name(b.t, paths[1]), bytes, sizeof bytes);
	}
	while (in.size > 0 && b.t->op_count < 4000)
		step(&b, &in);
	return b.t;
}

static bool can_stay(const struct lint_finding *f)
{
	/* One operation did both: a journal was renamed to its super-journal. No sync fits between.
	 */
	if (f->pending == f->early)
		return true;
	switch (f->rule) {
	case LINT_PAGE_WITHOUT_LOG:
		return true;
	case LINT_RECORDS_BEFORE_COUNT:	     /* counted by size */
	case LINT_JOURNAL_BEFORE_PAGE:	     /* not counted at all */
	case LINT_SUPER_END_BEFORE_CHILDREN: /* still there */
		return strstr(f->message, ") and ") == NULL;
	default:
		return false;
	}
}

static void check(const struct trace *t, bool synced, const struct lint_ack *acks, size_t count)
{
	struct lint l, again;

	lint_trace(t, acks, count, &l);
	lint_trace(t, acks, count, &again);
	ASSERT_OP(l.count, ==, again.count);
	for (size_t i = 0; i < l.count; i++) {
		const struct lint_finding *f = &l.findings[i];

		ASSERT(f->rule == again.findings[i].rule && f->early == again.findings[i].early);
		ASSERT_OP(strcmp(f->message, again.findings[i].message), ==, 0);
		ASSERT(f->pending <= f->early && f->early <= f->last);
		ASSERT(f->last <= t->op_count && f->count >= 1 && f->message[0] != 0);
		ASSERT(!synced || can_stay(f));
	}
	lint_release(&l);
	lint_release(&again);
}

/* Promises at every third operation, for whoever does it. */
static void check_promises(const struct trace *t)
{
	struct lint_ack *acks = xcalloc(t->op_count / 3 + 1, sizeof *acks);
	size_t count = 0;

	for (uint64_t p = 3; p <= t->op_count; p += 3) {
		const struct op *op = trace_at(t, p);

		acks[count++] = (struct lint_ack){p, op->process, op->thread, op->connection};
	}
	check(t, false, acks, count);
	free(acks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = ERR_INIT;
	struct trace *t;

	if (size > 8 && memcmp(data, "pptrace", 7) == 0) {
		if (trace_decode(data, size, &t, &err) == 0) {
			check(t, false, NULL, 0);
			check_promises(t);
			trace_free(t);
		}
		return 0;
	}
	for (int synced = 0; synced < 2; synced++) {
		t = build((struct input){data, size}, synced != 0);
		check(t, synced != 0, NULL, 0);
		check_promises(t);
		trace_free(t);
	}
	return 0;
}
