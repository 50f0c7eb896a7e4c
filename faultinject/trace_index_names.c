/*
 * Groups of names: which names must be decided together, in which order their operations depend on
 * each other, and what makes them durable (rule D7); see trace_index.h.
 */
#include "faultinject/trace_index_internal.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>

static uint32_t union_find(uint32_t *parent, uint32_t x)
{
	while (parent[x] != x) {
		parent[x] = parent[parent[x]];
		x = parent[x];
	}
	return x;
}

uint32_t index_directory(struct trace_index *ix, const char *path)
{
	for (size_t i = 0; i < ix->directory_count; i++)
		if (strcmp(ix->directories[i].path, path) == 0)
			return (uint32_t)i;
	ix->directories = xgrow(ix->directories, ix->directory_count, &ix->directory_cap,
				sizeof *ix->directories);
	ix->directories[ix->directory_count] = (struct index_directory){.path = xstrdup(path)};
	return (uint32_t)ix->directory_count++;
}

static uint32_t directory_of_name(struct trace_index *ix, uint32_t name)
{
	char dir[TRACE_NAME_MAX + 1];

	trace_dirname(ix->trace->names[name], dir, sizeof dir);
	return index_directory(ix, dir);
}

bool index_is_name_op(const struct op *op)
{
	return op->kind == OP_CREATE || op->kind == OP_UNLINK || op->kind == OP_RENAME ||
	       op->kind == OP_LINK;
}

/* Joins names that one operation, one inode, or one ordered directory ties together. */
static uint32_t *join_names(struct trace_index *ix)
{
	const struct trace *t = ix->trace;
	uint32_t *parent = xcalloc((size_t)t->name_count + 1, sizeof *parent);
	uint32_t *first_name = xcalloc((size_t)t->inode_count + 1, sizeof *first_name);

	for (uint32_t i = 0; i <= t->name_count; i++)
		parent[i] = i;
	for (size_t i = 0; i < t->base_count; i++) {
		uint32_t *first = &first_name[t->base[i].inode];
		if (*first == 0)
			*first = t->base[i].name;
		parent[union_find(parent, t->base[i].name)] = union_find(parent, *first);
	}
	for (size_t i = 0; i < t->op_count; i++) {
		const struct op *op = &t->ops[i];
		if (op->kind == OP_CREATE && first_name[op->inode] == 0)
			first_name[op->inode] = op->name;
		if (op->kind == OP_RENAME)
			parent[union_find(parent, op->name)] = union_find(parent, op->name2);
		if (op->kind == OP_LINK && first_name[op->inode] != 0)
			parent[union_find(parent, op->name2)] =
			    union_find(parent, first_name[op->inode]);
	}
	free(first_name);
	if (ix->model.namespace == MODEL_NAMESPACE_ORDERED ||
	    ix->model.reorder == MODEL_REORDER_NONE) {
		uint32_t *first_in = xcalloc((size_t)t->name_count + 1, sizeof *first_in);
		for (uint32_t n = 1; n <= t->name_count; n++) {
			uint32_t *first = &first_in[directory_of_name(ix, n)];
			if (*first == 0)
				*first = n;
			parent[union_find(parent, n)] = union_find(parent, *first);
		}
		free(first_in);
	}
	return parent;
}

static size_t column_of(const struct index_group *g, uint32_t name)
{
	size_t column = 0;

	while (g->names[column] != name)
		column++;
	return column;
}

void index_apply_name(const struct index_group *g, uint32_t *row, const struct op *op)
{
	size_t to =
	    column_of(g, op->kind == OP_LINK || op->kind == OP_RENAME ? op->name2 : op->name);

	if (op->kind == OP_RENAME) {
		size_t from = column_of(g, op->name);
		uint32_t inode = row[from];
		row[from] = 0;
		row[to] = inode;
	} else {
		row[to] = op->kind == OP_UNLINK ? 0 : op->inode;
	}
}

/* What is renamed or unlinked must be there in the eyes of the processes. */
static int check_name_op(const struct trace *t, const struct index_group *g, const uint32_t *row,
			 const struct op *op, uint64_t position, struct err *err)
{
	if ((op->kind == OP_UNLINK || op->kind == OP_RENAME) && row[column_of(g, op->name)] == 0)
		return err_set(err, ERR_INPUT, "op %llu: '%s' does not exist",
			       (unsigned long long)position, t->names[op->name]);
	/* rename(2): such a call does nothing. */
	if (op->kind == OP_RENAME && row[column_of(g, op->name)] == row[column_of(g, op->name2)])
		return err_set(err, ERR_INPUT,
			       "op %llu: '%s' and '%s' are the same file, so nothing is renamed",
			       (unsigned long long)position, t->names[op->name],
			       t->names[op->name2]);
	return 0;
}

/* Counts names and operations of each group. */
static void count_groups(struct trace_index *ix)
{
	const struct trace *t = ix->trace;
	uint32_t *parent = join_names(ix);
	uint32_t *group_of_root = xcalloc((size_t)t->name_count + 1, sizeof *group_of_root);

	ix->group_of_name = xcalloc((size_t)t->name_count + 1, sizeof *ix->group_of_name);
	ix->groups = xcalloc((size_t)t->name_count + 1, sizeof *ix->groups);
	for (uint32_t n = 1; n <= t->name_count; n++) {
		uint32_t root = union_find(parent, n);
		if (group_of_root[root] == 0)
			group_of_root[root] = (uint32_t)++ix->group_count;
		ix->group_of_name[n] = group_of_root[root] - 1;
		ix->groups[ix->group_of_name[n]].name_count++;
	}
	for (size_t i = 0; i < t->op_count; i++)
		if (index_is_name_op(&t->ops[i])) {
			const struct op *op = &t->ops[i];
			uint32_t n = op->kind == OP_LINK ? op->name2 : op->name;
			ix->groups[ix->group_of_name[n]].op_count++;
		}
	free(parent);
	free(group_of_root);
}

static int allocate_groups(struct trace_index *ix, struct err *err)
{
	const struct trace *t = ix->trace;
	struct arena *arena = &ix->memory->arena;

	for (size_t i = 0; i < ix->group_count; i++) {
		struct index_group *g = &ix->groups[i];
		size_t cells = (g->op_count + 1) * g->name_count;
		if (cells > INDEX_TARGETS_MAX)
			return err_set(err, ERR_LIMIT,
				       "%zu changes of %zu names that are decided together: the "
				       "limit is %llu for their product",
				       g->op_count, g->name_count,
				       (unsigned long long)INDEX_TARGETS_MAX);
		g->names = arena_alloc(arena, g->name_count * sizeof *g->names);
		g->ops = arena_alloc(arena, g->op_count * sizeof *g->ops);
		g->targets = arena_alloc(arena, cells * sizeof *g->targets);
		memset(g->targets, 0, cells * sizeof *g->targets);
		g->name_count = 0;
		g->op_count = 0;
	}
	for (uint32_t n = 1; n <= t->name_count; n++) {
		struct index_group *g = &ix->groups[ix->group_of_name[n]];
		g->names[g->name_count++] = n;
	}
	for (size_t i = 0; i < t->base_count; i++) {
		uint32_t group = ix->group_of_name[t->base[i].name];
		struct index_group *g = &ix->groups[group];
		g->targets[column_of(g, t->base[i].name)] = t->base[i].inode;
		g->tied = g->tied || t->base[i].data == NULL;
		ix->inodes[t->base[i].inode].group = group;
	}
	return 0;
}

/* Numbers the domains of all names (D7), from 0 in each group: each name is one, or each directory.
 * Owned by the caller. */
static uint32_t *number_domains(struct trace_index *ix)
{
	uint32_t count = ix->trace->name_count;
	uint32_t *domains = xcalloc((size_t)count + 1, sizeof *domains);
	uint32_t *directories = xcalloc((size_t)count + 1, sizeof *directories);
	bool ordered = ix->model.namespace == MODEL_NAMESPACE_ORDERED;

	for (uint32_t n = 1; n <= count; n++) {
		struct index_group *g = &ix->groups[ix->group_of_name[n]];
		size_t i = 0;
		directories[n] = directory_of_name(ix, n);
		while (g->names[i] != n && (!ordered || directories[g->names[i]] != directories[n]))
			i++;
		domains[n] = g->names[i] == n ? (uint32_t)g->domain_count++ : domains[g->names[i]];
	}
	free(directories);
	return domains;
}

int index_build_groups(struct trace_index *ix, struct err *err)
{
	const struct trace *t = ix->trace;

	count_groups(ix);
	int rc = allocate_groups(ix, err);
	if (rc != 0)
		return rc;
	uint32_t *domains = number_domains(ix);
	for (size_t i = 0; i < t->op_count && rc == 0; i++) {
		const struct op *op = &t->ops[i];
		if (!index_is_name_op(op))
			continue;
		uint32_t to = op->kind == OP_RENAME || op->kind == OP_LINK ? op->name2 : op->name;
		uint32_t from = op->kind == OP_LINK ? op->name2 : op->name;
		uint32_t group = ix->group_of_name[to];
		struct index_group *g = &ix->groups[group];
		uint32_t *row = g->targets + (g->op_count + 1) * g->name_count;
		memcpy(row, row - g->name_count, g->name_count * sizeof *row);
		rc = check_name_op(t, g, row, op, i + 1, err);
		if (rc != 0)
			break;
		uint32_t inode = op->kind == OP_UNLINK || op->kind == OP_RENAME
				     ? row[column_of(g, op->name)]
				     : op->inode;
		g->ops[g->op_count++] =
		    (struct index_name_op){.position = i + 1,
					   .inode = inode,
					   .directory = directory_of_name(ix, to),
					   .domains = {domains[from], domains[to]}};
		ix->inodes[inode].group = group;
		g->tied = g->tied || op->kind == OP_RENAME || op->kind == OP_LINK;
		index_apply_name(g, row, op);
	}
	free(domains);
	return rc;
}

size_t index_group_until(const struct index_group *g, uint64_t position)
{
	size_t lo = 0, hi = g->op_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (g->ops[mid].position <= position)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct index_name_op *index_name_op_at(struct trace_index *ix, uint64_t position)
{
	const struct op *op = trace_at(ix->trace, position);
	uint32_t name = op->kind == OP_LINK ? op->name2 : op->name;
	const struct index_group *g = &ix->groups[ix->group_of_name[name]];

	return &g->ops[index_group_until(g, position) - 1];
}

/* D7, D8: a sync of the directory, of the file where that keeps its name, or a commit of all
 * metadata has made this operation durable. fdatasync commits what is needed to reach the content:
 * of a file's names, only its creation. */
static bool name_op_durable(const struct trace_index *ix, const struct index_name_op *n,
			    uint64_t position)
{
	const struct index_directory *d = &ix->directories[n->directory];
	const struct index_inode *in = &ix->inodes[n->inode];

	if (n->position <= index_durable(d->syncs, d->sync_count, position) ||
	    n->position <= index_durable(ix->commits, ix->commit_count, position))
		return true;
	if (!ix->model.fsync_entry)
		return false;
	bool creation = n->position == in->created;
	return n->position <= (creation
				   ? index_durable(in->syncs, in->sync_count, position)
				   : index_durable(in->full_syncs, in->full_sync_count, position));
}

size_t index_group_durable(const struct trace_index *ix, const struct index_group *g,
			   uint64_t position, uint8_t *ret_flags)
{
	size_t until = index_group_until(g, position), count = 0;

	if (g->domain_count == 1) {
		while (until > 0 && !name_op_durable(ix, &g->ops[until - 1], position)) {
			until--;
			if (ret_flags != NULL)
				ret_flags[until] = 0;
		}
		if (ret_flags != NULL)
			memset(ret_flags, 1, until);
		return until;
	}
	/* Backwards: an operation that is durable takes its predecessors in its domains along. */
	uint8_t *kept = xcalloc(g->domain_count, 1);
	for (size_t k = until; k-- > 0;) {
		const struct index_name_op *n = &g->ops[k];
		bool durable = kept[n->domains[0]] != 0 || kept[n->domains[1]] != 0 ||
			       name_op_durable(ix, n, position);
		if (durable)
			kept[n->domains[0]] = kept[n->domains[1]] = 1;
		count += durable;
		if (ret_flags != NULL)
			ret_flags[k] = durable;
	}
	free(kept);
	return count;
}

uint32_t index_live_inode(const struct trace_index *ix, uint32_t name, uint64_t position)
{
	const struct index_group *g = &ix->groups[ix->group_of_name[name]];
	const uint32_t *row = g->targets + index_group_until(g, position) * g->name_count;

	for (size_t i = 0; i < g->name_count; i++)
		if (g->names[i] == name)
			return row[i];
	return 0;
}
