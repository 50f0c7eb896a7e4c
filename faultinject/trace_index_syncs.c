/*
 * What syncs make durable (rule D8); see trace_index.h. A list of syncs is in the order of their
 * ends, each with the highest begin so far, so that one binary search answers.
 */
#include "faultinject/trace_index_internal.h"

#include "faultinject/base/buf.h"

/* How many syncs of a list had ended by `position`. */
static size_t ended(const struct index_sync *syncs, size_t count, uint64_t position)
{
	size_t lo = 0, hi = count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (syncs[mid].end <= position)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint64_t index_durable(const struct index_sync *syncs, size_t count, uint64_t position)
{
	size_t n = ended(syncs, count, position);

	return n == 0 ? 0 : syncs[n - 1].begin;
}

uint64_t index_data_durable(const struct trace_index *ix, uint32_t inode, uint64_t position)
{
	const struct index_inode *in = &ix->inodes[inode];

	return index_durable(in->syncs, in->sync_count, position);
}

uint64_t index_meta_durable(const struct trace_index *ix, uint32_t inode, uint64_t position)
{
	const struct index_inode *in = &ix->inodes[inode];
	uint64_t own = index_data_durable(ix, inode, position);
	size_t m = index_meta_until(in, index_durable(ix->commits, ix->commit_count, position));
	/* A commit has the truncations of other files, but not their growth by writes: with delayed
	 * allocation a size waits for its own file to be written back. */
	uint64_t committed = m == 0 ? 0 : in->metas[m - 1].truncated;

	return own > committed ? own : committed;
}

/* Since later syncs find more that is durable, the first of them that began after the write is the
 * one that missed it, if any did. */
bool index_missed(const struct index_inode *inode, uint64_t at, uint64_t position)
{
	size_t lo = 0, hi = inode->miss_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (inode->misses[mid].begin <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < inode->miss_count && inode->misses[lo].after < at &&
	       inode->misses[lo].begin <= position;
}

const struct index_version *index_durable_version(const struct index_inode *inode,
						  const struct index_sector *s, uint64_t durable)
{
	const struct index_version *v = index_version_at(s, durable);

	while (v != NULL && index_missed(inode, v->position, UINT64_MAX))
		v = v == s->versions ? NULL : v - 1;
	return v;
}

/* ---- build --------------------------------------------------------------------------------- */

/* Syncs of several threads may end out of the order of their begins; keeping the highest begin so
 * far makes the list sorted by both. */
static void add_sync(struct index_sync **syncs, size_t *count, size_t *cap, uint64_t begin,
		     uint64_t end)
{
	if (*count > 0 && (*syncs)[*count - 1].begin > begin)
		begin = (*syncs)[*count - 1].begin;
	*syncs = xgrow(*syncs, *count, cap, sizeof **syncs);
	(*syncs)[(*count)++] = (struct index_sync){begin, end};
}

static bool any_between(const uint64_t *positions, size_t count, uint64_t after, uint64_t until)
{
	struct index_line line = {(uint64_t *)(uintptr_t)positions, count, count};

	return index_line_until(&line, until) > index_line_until(&line, after);
}

/* D8, fsync-scope=filesystem: a sync of this file, begun at `begin`, has a creation or a change of
 * size to commit. */
static bool commits_file(const struct trace_index *ix, uint32_t inode, uint64_t begin)
{
	const struct index_inode *in = &ix->inodes[inode];
	uint64_t done = index_meta_durable(ix, inode, begin);

	if (index_meta_until(in, begin) > index_meta_until(in, done))
		return true;
	/* Whatever makes a pending creation durable is a commit itself. */
	return in->created != 0 && in->created <= begin &&
	       in->created > index_durable(ix->commits, ix->commit_count, begin);
}

/* ... and a sync of this directory has a name to commit. */
static bool commits_directory(const struct trace_index *ix, const struct index_directory *d,
			      uint64_t begin)
{
	uint64_t done = index_durable(ix->commits, ix->commit_count, begin);

	return any_between(d->changes, d->change_count, done, begin);
}

void index_add_sync_end(struct trace_index *ix, uint64_t position)
{
	const struct op *op = trace_at(ix->trace, position);
	uint64_t begin = op->offset;
	bool commits = ix->model.reorder == MODEL_REORDER_NONE;

	if (ix->model.fsync == MODEL_FSYNC_LIES)
		return;
	if (op->kind == OP_SYNC_END) {
		struct index_inode *in = &ix->inodes[op->inode];
		const struct op *first = trace_at(ix->trace, begin);
		if (ix->model.fsync_scope == MODEL_SCOPE_FILESYSTEM)
			commits = commits_file(ix, op->inode, begin);
		add_sync(&in->syncs, &in->sync_count, &in->sync_cap, begin, position);
		if ((first->flags & OP_SYNC_DATA) == 0)
			add_sync(&in->full_syncs, &in->full_sync_count, &in->full_sync_cap, begin,
				 position);
	} else {
		/* Finding the directory may move the array. */
		uint32_t directory = index_directory(ix, ix->trace->names[op->name]);
		struct index_directory *d = &ix->directories[directory];
		if (ix->model.fsync_scope == MODEL_SCOPE_FILESYSTEM)
			commits = commits_directory(ix, d, begin);
		add_sync(&d->syncs, &d->sync_count, &d->sync_cap, begin, position);
	}
	if (commits)
		add_sync(&ix->commits, &ix->commit_count, &ix->commit_cap, begin, position);
}

/*
 * The kernel has marked the pages clean: it will not write them again unless somebody else does.
 * What is missed begins behind what was durable when the sync began: a sync of another thread that
 * ended in between may have returned success without having written anything, because an error is
 * told once to each open file.
 */
void index_add_failed_sync(struct trace_index *ix, uint64_t position)
{
	const struct op *op = trace_at(ix->trace, position);

	if (ix->model.fsync == MODEL_FSYNC_LIES || ix->model.reorder != MODEL_REORDER_ANY ||
	    op->kind == OP_DIRSYNC_END)
		return;
	struct index_inode *in = &ix->inodes[op->inode];
	size_t at = in->miss_count;
	in->misses = xgrow(in->misses, in->miss_count, &in->miss_cap, sizeof *in->misses);
	for (; at > 0 && in->misses[at - 1].begin > op->offset; at--)
		in->misses[at] = in->misses[at - 1];
	in->misses[at] = (struct index_miss){
	    .begin = op->offset, .after = index_data_durable(ix, op->inode, op->offset)};
	in->miss_count++;
}

/* ---- effective syncs ----------------------------------------------------------------------- */

bool index_sync_effective(const struct trace_index *ix, uint64_t position)
{
	const struct op *op = trace_at(ix->trace, position);
	size_t last = ended(ix->commits, ix->commit_count, position);

	if (ix->model.fsync == MODEL_FSYNC_LIES || !op_is_sync(op))
		return false;
	/* A commit is made only when there is something to commit. */
	if (last > 0 && ix->commits[last - 1].end == position) {
		uint64_t after = ix->commits[last - 1].begin;
		uint64_t before = last > 1 ? ix->commits[last - 2].begin : 0;
		if (ix->model.reorder != MODEL_REORDER_NONE)
			return true;
		return any_between(ix->line.positions, ix->line.count, before, after);
	}
	if (op->kind == OP_SYNC_END) {
		const struct index_inode *in = &ix->inodes[op->inode];
		const struct index_group *g = &ix->groups[in->group];
		uint64_t before = index_data_durable(ix, op->inode, position - 1);
		uint64_t after = index_data_durable(ix, op->inode, position);
		if (index_meta_until(in, after) > index_meta_until(in, before))
			return true;
		for (size_t i = in->touch_count; i-- > 0 && in->touches[i].position > before;)
			if (in->touches[i].position <= after &&
			    !index_missed(in, in->touches[i].position, UINT64_MAX))
				return true;
		return ix->model.fsync_entry && ix->group_count > 0 &&
		       index_group_durable(ix, g, position, NULL) >
			   index_group_durable(ix, g, position - 1, NULL);
	}
	if (op->kind == OP_DIRSYNC_END)
		for (size_t i = 0; i < ix->group_count; i++)
			if (index_group_durable(ix, &ix->groups[i], position, NULL) >
			    index_group_durable(ix, &ix->groups[i], position - 1, NULL))
				return true;
	return false;
}
