/*
 * Acknowledgements that came too early; see foreign_internal.h.
 *
 * A promise speaks of what was committed before it (history.h), so one that came a moment before
 * its COMMIT promises nothing by that rule, and no state breaks it. A kill between the two shows
 * it: the thread said that something is kept, held the write lock when it said so, and what it had
 * written under that lock is gone. plugpull.h says not to do that, so for a mark it is a finding.
 * An output may be about anything: for outputs it is but counted.
 *
 * Does not see: an acknowledgement before the transaction's first lock, or by another thread.
 */
#include "harness/drive/foreign_internal.h"

#include "faultinject/base/buf.h"

#include <stdlib.h>

/* A write lock that is held. */
struct held {
	uint32_t inode;
	bool shm;
	uint16_t process, thread;
	uint64_t begin;
	uint64_t ack; /* the first acknowledgement under it; 0 = none */
};

static bool covers(const struct op *op, uint64_t byte)
{
	return op->offset <= byte && (op->size == 0 || byte - op->offset < op->size);
}

/* A lock that only one writer has, in the database or in its WAL index. */
static bool is_write_lock(const struct op *op)
{
	if ((op->flags & OP_LOCK_SHM) != 0)
		return covers(op, OP_WAL_WRITE_BYTE);
	return covers(op, OP_RESERVED_BYTE);
}

static void lock(struct held *held, size_t *count, const struct op *op, uint64_t position)
{
	bool shm = (op->flags & OP_LOCK_SHM) != 0;

	for (size_t i = 0; i < *count; i++)
		if (held[i].inode == op->inode && held[i].shm == shm &&
		    held[i].process == op->process)
			return;
	held[(*count)++] = (struct held){
	    .inode = op->inode,
	    .shm = shm,
	    .process = op->process,
	    .thread = op->thread,
	    .begin = position,
	};
}

static void unlock(struct held *held, size_t *count, const struct op *op)
{
	bool shm = (op->flags & OP_LOCK_SHM) != 0;

	for (size_t i = 0; i < *count; i++) {
		if (held[i].inode != op->inode || held[i].shm != shm ||
		    held[i].process != op->process)
			continue;
		held[i] = held[--*count];
		return;
	}
}

static void acknowledge(struct held *held, size_t count, const struct op *op, uint64_t position)
{
	for (size_t i = 0; i < count; i++)
		if (held[i].process == op->process && held[i].thread == op->thread &&
		    held[i].ack == 0)
			held[i].ack = position;
}

struct foreign_early foreign_early_find(const struct trace *t, enum op_kind kind)
{
	struct held *held = xcalloc(t->op_count + 1, sizeof *held);
	struct foreign_early found = {0};
	size_t count = 0;

	for (uint64_t p = 1; p <= t->op_count; p++) {
		const struct op *op = trace_at(t, p);

		if (op->kind == OP_LOCK && (op->flags & OP_LOCK_SHARED) == 0 && is_write_lock(op))
			lock(held, &count, op, p);
		else if (op->kind == OP_UNLOCK && is_write_lock(op))
			unlock(held, &count, op);
		else if (op->kind == kind && (kind != OP_ACK || op->connection == 0))
			acknowledge(held, count, op, p);
	}
	for (size_t i = 0; i < count; i++)
		if (held[i].ack != 0 && (found.ack == 0 || held[i].ack < found.ack))
			found = (struct foreign_early){held[i].ack, held[i].begin};
	free(held);
	return found;
}
