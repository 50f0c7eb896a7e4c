/* See trace_edit.h. */
#include "faultinject/trace_edit.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"

#include <stdlib.h>

/* All names and inodes first, in order, so that their numbers stay the same. */
static struct trace *copy_base(const struct trace *t)
{
	struct trace *copy = trace_create(t->device, t->producer);

	for (uint32_t n = 1; n <= t->name_count; n++)
		(void)trace_name(copy, t->names[n]);
	for (uint32_t i = 1; i <= t->inode_count; i++)
		(void)trace_new_inode(copy);
	for (size_t i = 0; i < t->base_count; i++)
		trace_add_base(copy, t->base[i].inode, t->base[i].name, t->base[i].data,
			       t->base[i].size);
	return copy;
}

struct trace *trace_without(const struct trace *t, trace_drop_fn *drop, void *ctx,
			    uint64_t **ret_positions)
{
	struct trace *copy = copy_base(t);
	uint64_t *moved = xcalloc(t->op_count + 1, sizeof *moved);
	uint64_t *positions = xcalloc(t->op_count + 1, sizeof *positions);

	size_t statement = 0;

	for (uint64_t p = 1; p <= t->op_count; p++) {
		struct op op = *trace_at(t, p);
		for (; statement < t->statement_count && t->statements[statement].position < p;
		     statement++)
			trace_add_statement(copy, &t->statements[statement]);
		if (drop(ctx, t, p))
			continue;
		if (op.kind == OP_SYNC_END || op.kind == OP_DIRSYNC_END) {
			ASSERT_OP(moved[op.offset], >, 0);
			op.offset = moved[op.offset];
		}
		moved[p] = trace_append(copy, &op);
		positions[moved[p]] = p;
	}
	for (; statement < t->statement_count; statement++)
		trace_add_statement(copy, &t->statements[statement]);
	free(moved);
	if (copy->op_count == t->op_count) {
		trace_free(copy);
		free(positions);
		return NULL;
	}
	if (ret_positions != NULL)
		*ret_positions = positions;
	else
		free(positions);
	return copy;
}

static bool is_this_sync(void *ctx, const struct trace *t, uint64_t position)
{
	uint64_t end = *(const uint64_t *)ctx;

	return position == end || position == trace_at(t, end)->offset;
}

struct trace *trace_without_sync(const struct trace *t, uint64_t end, uint64_t **ret_positions)
{
	return trace_without(t, is_this_sync, &end, ret_positions);
}

static void put_sync(struct trace *copy, const struct op *by, const struct trace_sync *sync)
{
	bool directory = sync->inode == 0;
	struct op op = {.kind = directory ? OP_DIRSYNC_BEGIN : OP_SYNC_BEGIN,
			.process = by->process,
			.thread = by->thread,
			.connection = by->connection,
			.inode = sync->inode,
			.name = directory ? trace_name(copy, sync->directory) : 0};

	op.offset = trace_append(copy, &op);
	op.kind = directory ? OP_DIRSYNC_END : OP_SYNC_END;
	(void)trace_append(copy, &op);
}

struct trace *trace_with_syncs(const struct trace *t, const struct trace_sync *syncs, size_t count,
			       uint64_t **ret_positions)
{
	struct trace *copy = copy_base(t);
	uint64_t *moved = xcalloc(t->op_count + 1, sizeof *moved);
	uint64_t *positions = xcalloc(t->op_count + 2 * count + 1, sizeof *positions);
	size_t statement = 0, sync = 0;

	for (uint64_t p = 1; p <= t->op_count; p++) {
		struct op op = *trace_at(t, p);
		for (; statement < t->statement_count && t->statements[statement].position < p;
		     statement++)
			trace_add_statement(copy, &t->statements[statement]);
		for (; sync < count && syncs[sync].before == p; sync++)
			put_sync(copy, &op, &syncs[sync]);
		if (op.kind == OP_SYNC_END || op.kind == OP_DIRSYNC_END)
			op.offset = moved[op.offset];
		moved[p] = trace_append(copy, &op);
		positions[moved[p]] = p;
	}
	ASSERT_OP(sync, ==, count);
	for (; statement < t->statement_count; statement++)
		trace_add_statement(copy, &t->statements[statement]);
	free(moved);
	if (ret_positions != NULL)
		*ret_positions = positions;
	else
		free(positions);
	return copy;
}
