/*
 * The calls that change what files hold, and those that make it durable, as operations. See
 * assemble.h.
 */
#include "faultinject/record/assemble_internal.h"

#include "faultinject/base/buf.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>

enum { ZEROS_MAX = 256 << 20 }; /* bytes of one fallocate() that zeroes */

/* The inode that a call is about; 0, with a hole, when nobody saw it opened. */
static uint32_t need_inode(struct assembler *a, const struct call *c)
{
	uint32_t inode = assembler_inode(a, c->dev, c->ino);

	if (inode == 0)
		assembler_hole_at(a, 0, c, "was written, and nobody saw it opened");
	return inode;
}

/* Looks that were taken while this call was under way prove nothing about its file. */
static void excuse_looks(struct assembler *a, const struct call *c, uint32_t inode)
{
	for (size_t i = 0; i < a->hole_count; i++) {
		struct found_hole *h = &a->holes[i];

		if (h->inode == inode && h->looked && c->begin <= h->call)
			h->excused = true;
	}
}

static void put_sync(struct assembler *a, const struct call *c, uint32_t inode)
{
	uint64_t begin = assembler_put(
	    a, c, (struct op){.kind = OP_SYNC_BEGIN, .flags = OP_SYNC_DATA, .inode = inode});

	if (begin != 0)
		(void)assembler_put(
		    a, c, (struct op){.kind = OP_SYNC_END, .inode = inode, .offset = begin});
}

/* O_DSYNC puts on the disk what one write wrote. The trace's sync means the whole file: the same,
 * unless other writes of the file are still pending. Then no sync is claimed, and a mark says so.
 */
void assemble_write(struct assembler *a, const struct call *c)
{
	uint32_t inode = need_inode(a, c);

	if (inode == 0 || c->data_size == 0)
		return;
	bool alone = !assembler_state(a, inode)->unsynced;

	excuse_looks(a, c, inode);
	(void)assembler_put(a, c,
			    (struct op){.kind = OP_WRITE,
					.inode = inode,
					.offset = c->offset,
					.size = c->data_size,
					.data = c->data});
	if ((c->flags & CALL_DSYNC) == 0)
		return;
	if (alone) {
		put_sync(a, c, inode);
		assembler_state(a, inode)->unsynced = false;
	} else {
		static const char text[] = "a write with O_DSYNC beside others that are not "
					   "synced: not counted as synced";

		(void)assembler_put(a, c,
				    (struct op){.kind = OP_MARK,
						.size = sizeof text - 1,
						.data = (const uint8_t *)text});
	}
}

static void truncate_to(struct assembler *a, const struct call *c, uint32_t inode, uint64_t size)
{
	excuse_looks(a, c, inode);
	if (size != assembler_size(a, inode))
		(void)assembler_put(a, c,
				    (struct op){.kind = OP_TRUNCATE, .inode = inode, .size = size});
}

void assemble_truncate(struct assembler *a, const struct call *c)
{
	uint32_t inode = need_inode(a, c);

	if (inode != 0)
		truncate_to(a, c, inode, c->length);
}

static void write_zeros(struct assembler *a, const struct call *c, uint32_t inode, uint64_t size)
{
	if (size > ZEROS_MAX) {
		assembler_hole_at(a, inode, c, "fallocate() zeroed more than a trace can hold");
		return;
	}
	uint8_t *zeros = xcalloc(1, size == 0 ? 1 : size);

	excuse_looks(a, c, inode);
	if (size > 0)
		(void)assembler_put(a, c,
				    (struct op){.kind = OP_WRITE,
						.inode = inode,
						.offset = c->offset,
						.size = size,
						.data = zeros});
	free(zeros);
}

void assemble_allocate(struct assembler *a, const struct call *c)
{
	static const uint32_t known =
	    FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
	uint32_t inode = need_inode(a, c);
	bool zeroes = (c->mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0;

	if (inode == 0)
		return;
	if ((c->mode & ~known) != 0 || c->length > TRACE_FILE_SIZE_MAX - c->offset) {
		assembler_hole_at(a, inode, c, "fallocate() in a mode that a trace cannot say");
		return;
	}
	uint64_t size = assembler_size(a, inode), end = c->offset + c->length;

	if (zeroes && c->offset < size)
		write_zeros(a, c, inode, (end < size ? end : size) - c->offset);
	if ((c->mode & FALLOC_FL_KEEP_SIZE) == 0 && end > size)
		truncate_to(a, c, inode, end);
}

/* ---- syncs ---- */

void assemble_sync_begin(struct assembler *a, const struct call *c, size_t index)
{
	uint32_t inode = assembler_inode(a, c->dev, c->ino);

	if (inode == 0)
		return;
	uint8_t flags = (c->flags & CALL_DATA_ONLY) != 0 ? OP_SYNC_DATA : 0;

	a->begun[index] =
	    assembler_put(a, c, (struct op){.kind = OP_SYNC_BEGIN, .flags = flags, .inode = inode});
}

void assemble_sync_end(struct assembler *a, const struct call *c)
{
	uint64_t begin = c->begin < a->calls->count ? a->begun[c->begin] : 0;

	if (begin == 0)
		return;
	const struct op *op = trace_at(a->t, begin);
	uint32_t inode = op->inode, name = op->name;
	bool is_folder = op->kind == OP_DIRSYNC_BEGIN;

	if (!is_folder && c->result == 0 && assembler_state(a, inode)->changed <= begin)
		assembler_state(a, inode)->unsynced = false;
	(void)assembler_put(a, c,
			    (struct op){.kind = is_folder ? OP_DIRSYNC_END : OP_SYNC_END,
					.flags = c->result == 0 ? 0 : OP_SYNC_FAILED,
					.inode = is_folder ? 0 : inode,
					.name = is_folder ? name : 0,
					.offset = begin});
}

void assemble_dirsync_begin(struct assembler *a, const struct call *c, size_t index)
{
	uint32_t name = assembler_name(a, c->path);

	if (name != 0)
		a->begun[index] =
		    assembler_put(a, c, (struct op){.kind = OP_DIRSYNC_BEGIN, .name = name});
}

static void sync_folder_of(struct assembler *a, const struct call *c, const char *path)
{
	char folder[TRACE_NAME_MAX + 1];
	uint64_t begin;

	trace_dirname(path, folder, sizeof folder);
	begin = assembler_put(
	    a, c, (struct op){.kind = OP_DIRSYNC_BEGIN, .name = assembler_name(a, folder)});
	if (begin != 0)
		(void)assembler_put(a, c,
				    (struct op){.kind = OP_DIRSYNC_END,
						.name = trace_at(a->t, begin)->name,
						.offset = begin});
}

/* A sync of everything that is known now, or, with a device, of what is known to lie on it. */
static void sync_all(struct assembler *a, const struct call *c)
{
	uint32_t name_count = a->t->name_count;

	for (uint32_t inode = 1; inode <= a->t->inode_count; inode++) {
		uint64_t begin;

		if (c->dev != 0 && assembler_state(a, inode)->dev != c->dev)
			continue;
		begin = assembler_put(a, c, (struct op){.kind = OP_SYNC_BEGIN, .inode = inode});
		if (begin != 0)
			(void)assembler_put(
			    a, c,
			    (struct op){.kind = OP_SYNC_END, .inode = inode, .offset = begin});
	}
	for (uint32_t n = 1; n <= name_count; n++) {
		uint32_t inode = assembler_named(a, n);

		if (inode != 0 && (c->dev == 0 || assembler_state(a, inode)->dev == c->dev))
			sync_folder_of(a, c, a->t->names[n]);
	}
}

/* sync(2) covers what had happened when it began. It is recorded as one moment, at its end, and
 * only when nothing changed meanwhile: that claims less than the truth, so never a false `durable`.
 */
void assemble_sync_all_end(struct assembler *a, const struct call *c)
{
	uint64_t since = c->begin < a->calls->count ? a->begun[c->begin] : 0;

	if (since == 0 || c->result != 0)
		return;
	for (uint64_t p = since; p <= a->t->op_count; p++) {
		uint8_t kind = trace_at(a->t, p)->kind;

		if (kind == OP_WRITE || kind == OP_TRUNCATE || kind == OP_CREATE ||
		    kind == OP_RENAME || kind == OP_UNLINK || kind == OP_LINK)
			return;
	}
	sync_all(a, c);
}
