/* See plant.h. Workload defects live beside the code that they make wrong (workload_*.c). */
#include "harness/drive/plant.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>

static const struct defect defects[] = {
    {"ack-before-commit", "store", "the caller is told before the commit is durable", "history",
     true},
    {"batch-in-two-transactions", "store", "one batch is written by two transactions", "batch",
     true},
    {"migration-outside-transaction", "store",
     "the statements of a migration and its version row commit one by one", "schema", true},
    {"missing-commit-sync", "shim", "the log or journal is never synced", "history", false},
    {PLANT_UNSYNCED_RECOVERY, "recovery",
     "recovery syncs nothing, which only a second crash shows (--depth 2)", "history", false},
};

const struct defect *plant_defects(size_t *ret_count)
{
	*ret_count = sizeof defects / sizeof defects[0];
	return defects;
}

const struct defect *plant_find(const char *name)
{
	for (size_t i = 0; i < sizeof defects / sizeof defects[0]; i++)
		if (strcmp(defects[i].name, name) == 0)
			return &defects[i];
	return NULL;
}

static bool ends_with(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && strcmp(s + n - m, suffix) == 0;
}

/* Copies a trace without the file syncs of logs and journals. Positions move, so the references of
 * the remaining sync ends are translated. */
static struct trace *without_log_syncs(const struct trace *t)
{
	struct trace *copy = trace_create(t->device, t->producer);
	uint8_t *is_log = xcalloc((size_t)t->inode_count + 1, 1);
	uint64_t *moved = xcalloc(t->op_count + 1, sizeof *moved);

	/* All names first, in order: their numbers stay the same. */
	for (uint32_t n = 1; n <= t->name_count; n++)
		(void)trace_name(copy, t->names[n]);
	for (size_t i = 0; i < t->base_count; i++) {
		const struct trace_base *b = &t->base[i];
		while (copy->inode_count < b->inode)
			(void)trace_new_inode(copy);
		trace_add_base(copy, b->inode, b->name, b->data, b->size);
		is_log[b->inode] = ends_with(t->names[b->name], "-wal") ||
				   ends_with(t->names[b->name], "-journal");
	}
	for (size_t i = 0; i < t->op_count; i++) {
		struct op op = t->ops[i];
		if (op.kind == OP_CREATE) {
			is_log[op.inode] = ends_with(t->names[op.name], "-wal") ||
					   ends_with(t->names[op.name], "-journal");
			while (copy->inode_count < op.inode)
				(void)trace_new_inode(copy);
		}
		if ((op.kind == OP_SYNC_BEGIN || op.kind == OP_SYNC_END) && is_log[op.inode])
			continue;
		if (op.kind == OP_SYNC_END || op.kind == OP_DIRSYNC_END)
			op.offset = moved[op.offset];
		moved[i + 1] = trace_append(copy, &op);
	}
	free(is_log);
	free(moved);
	return copy;
}

struct trace *plant_in_trace(const char *name, const struct trace *t)
{
	if (strcmp(name, "missing-commit-sync") == 0)
		return without_log_syncs(t);
	return NULL;
}
