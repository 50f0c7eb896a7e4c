/*
 * Decisions where a file (reorder=file), or everything (reorder=none), survives as one prefix of
 * its pieces (rule D4); see crashdisk.h.
 *
 * A line is the sequence of pieces, a choice on it an interval of prefix lengths. A look at
 * something splits the interval where that thing changes; the answer keeps one segment. Segments
 * that follow each other with the same content are one, so nothing is asked that nobody could see.
 */
#include "faultinject/crashdisk_internal.h"

#include "faultinject/base/buf.h"

#include <stdlib.h>

static const struct index_line *line_of(const struct crashdisk *cd, uint32_t inode)
{
	return cd->model.reorder == MODEL_REORDER_NONE ? &cd->ix->line
						       : &cd->ix->inodes[inode].line;
}

/* The prefixes that are possible before any decision. */
static void whole_line(const struct crashdisk *cd, uint32_t inode, struct run_line *ret)
{
	const struct index_line *line = line_of(cd, inode);
	uint64_t durable = cd->model.reorder == MODEL_REORDER_NONE
			       ? index_durable(cd->ix->commits, cd->ix->commit_count, cd->position)
			       : index_data_durable(cd->ix, inode, cd->position);

	ret->low = index_line_until(line, durable);
	ret->high = index_line_until(line, cd->position);
}

/* The prefixes that are still possible in this run. */
static struct run_line *run_line(struct crashdisk *cd, uint32_t inode)
{
	struct run_line *l = cd->model.reorder == MODEL_REORDER_NONE
				 ? &cd->run_line
				 : &crashdisk_run_inode(cd, inode)->line;

	if (l->run != cd->run) {
		whole_line(cd, inode, l);
		l->run = cd->run;
	}
	return l;
}

size_t crashdisk_line_width(struct crashdisk *cd, uint32_t inode, bool total)
{
	struct run_line whole;

	if (!total)
		return run_line(cd, inode)->high - run_line(cd, inode)->low + 1;
	whole_line(cd, inode, &whole);
	return whole.high - whole.low + 1;
}

void crashdisk_line_pieces(struct crashdisk *cd, uint32_t inode, uint64_t position,
			   struct line_pieces *ret)
{
	const struct index_line *line = line_of(cd, inode);
	size_t first = index_line_until(line, position - 1);
	size_t last = index_line_until(line, position);
	const struct run_line *run = run_line(cd, inode);
	struct run_line whole;

	whole_line(cd, inode, &whole);
	*ret = (struct line_pieces){
	    .count = last - first,
	    .durable = whole.low <= first ? 0 : (whole.low < last ? whole.low : last) - first,
	    .kept = run->low <= first ? 0 : (run->low < last ? run->low : last) - first,
	    .lost = run->high >= last ? 0 : last - (run->high > first ? run->high : first),
	};
}

/* ---- segments: segments[i] is the shortest prefix of the i-th one, ascending ---- */

static void add_segment(struct crashdisk *cd, size_t *count, size_t start)
{
	cd->segments = xgrow(cd->segments, *count, &cd->segment_cap, sizeof *cd->segments);
	cd->segments[(*count)++] = start;
}

/* Asks for one of the segments and keeps it. Returns its shortest prefix. */
static size_t keep_segment(struct crashdisk *cd, struct run_line *l, size_t count,
			   enum question_kind kind, uint64_t a, uint64_t b)
{
	uint32_t answer = crashdisk_ask(cd, (uint32_t)count, kind, a, b);
	size_t kept = count - 1 - answer;

	if (kept + 1 < count)
		l->high = cd->segments[kept + 1] - 1;
	l->low = cd->segments[kept];
	return l->low;
}

/* ---- sizes ---- */

static uint64_t size_at(const struct index_inode *in, size_t prefix)
{
	size_t lo = 0, hi = in->meta_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (in->metas[mid].prefix <= prefix)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo == 0 ? in->base_size : in->metas[lo - 1].size;
}

static size_t size_segments(struct crashdisk *cd, uint32_t inode, const struct run_line *l)
{
	const struct index_inode *in = &cd->ix->inodes[inode];
	size_t count = 0;

	add_segment(cd, &count, l->low);
	for (size_t i = 0; i < in->meta_count && in->metas[i].prefix <= l->high; i++)
		if (in->metas[i].prefix > l->low)
			add_segment(cd, &count, in->metas[i].prefix);
	return count;
}

uint64_t crashdisk_line_size(struct crashdisk *cd, uint32_t inode)
{
	struct run_line *l = run_line(cd, inode);
	size_t count = size_segments(cd, inode, l);

	return size_at(&cd->ix->inodes[inode], keep_segment(cd, l, count, QUESTION_META, inode, 0));
}

bool crashdisk_line_peek_size(struct crashdisk *cd, uint32_t inode, uint64_t *ret_size)
{
	const struct run_line *l = run_line(cd, inode);

	if (size_segments(cd, inode, l) > 1)
		return false;
	*ret_size = size_at(&cd->ix->inodes[inode], l->low);
	return true;
}

/* ---- sectors ---- */

static const struct index_version *version_at(const struct crashdisk *cd, uint32_t inode,
					      uint32_t sector, size_t prefix)
{
	const struct index_inode *in = &cd->ix->inodes[inode];
	const struct index_sector *s = sector < in->sector_count ? &in->sectors[sector] : NULL;
	uint32_t lo = 0, hi = s == NULL ? 0 : s->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (s->versions[mid].prefix <= prefix)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo == 0 ? NULL : &s->versions[lo - 1];
}

static const uint8_t *content_at(const struct crashdisk *cd, uint32_t inode, uint32_t sector,
				 size_t prefix, uint64_t *ret_id)
{
	const struct index_version *v = version_at(cd, inode, sector, prefix);

	*ret_id = v == NULL ? cd->ix->zero_id : v->id;
	return v == NULL ? cd->ix->zero_sector : v->content;
}

static size_t sector_segments(struct crashdisk *cd, uint32_t inode, uint32_t sector,
			      const struct run_line *l)
{
	const struct index_inode *in = &cd->ix->inodes[inode];
	size_t count = 0;
	uint64_t id;

	add_segment(cd, &count, l->low);
	if (sector >= in->sector_count)
		return count;
	const struct index_sector *s = &in->sectors[sector];
	(void)content_at(cd, inode, sector, l->low, &id);
	for (uint32_t i = 0; i < s->count && s->versions[i].prefix <= l->high; i++) {
		if (s->versions[i].prefix <= l->low || s->versions[i].id == id)
			continue;
		id = s->versions[i].id;
		add_segment(cd, &count, s->versions[i].prefix);
	}
	return count;
}

const uint8_t *crashdisk_line_sector(struct crashdisk *cd, uint32_t inode, uint32_t sector,
				     uint64_t *ret_id)
{
	struct run_line *l = run_line(cd, inode);
	size_t count = sector_segments(cd, inode, sector, l);
	size_t prefix = keep_segment(cd, l, count, QUESTION_SECTOR, inode, sector);
	const struct index_version *v = version_at(cd, inode, sector, prefix);

	if (v != NULL && v->below)
		return crashdisk_beneath(cd, inode, sector, ret_id);
	return content_at(cd, inode, sector, prefix, ret_id);
}

bool crashdisk_line_peek_sector(struct crashdisk *cd, uint32_t inode, uint32_t sector,
				const uint8_t **ret_content, uint64_t *ret_id)
{
	const struct run_line *l = run_line(cd, inode);

	if (sector_segments(cd, inode, sector, l) > 1)
		return false;
	*ret_content = content_at(cd, inode, sector, l->low, ret_id);
	return true;
}

/* ---- names ---- */

static uint32_t name_at(const struct crashdisk *cd, uint32_t path, size_t prefix)
{
	const struct index_group *g = &cd->ix->groups[cd->ix->group_of_name[path]];
	size_t ops = 0;

	while (ops < g->op_count && g->ops[ops].prefix <= prefix)
		ops++;
	return g->targets[ops * g->name_count + crashdisk_column(cd, path)];
}

static size_t name_segments(struct crashdisk *cd, uint32_t path, const struct run_line *l)
{
	const struct index_group *g = &cd->ix->groups[cd->ix->group_of_name[path]];
	uint32_t inode = name_at(cd, path, l->low);
	size_t count = 0;

	add_segment(cd, &count, l->low);
	for (size_t i = 0; i < g->op_count && g->ops[i].prefix <= l->high; i++) {
		uint32_t next = g->targets[(i + 1) * g->name_count + crashdisk_column(cd, path)];
		if (g->ops[i].prefix <= l->low || next == inode)
			continue;
		inode = next;
		add_segment(cd, &count, g->ops[i].prefix);
	}
	return count;
}

uint32_t crashdisk_line_name(struct crashdisk *cd, uint32_t path)
{
	struct run_line *l = run_line(cd, 0);
	size_t count = name_segments(cd, path, l);
	uint32_t inode = name_at(cd, path, keep_segment(cd, l, count, QUESTION_NAME, path, 0));

	cd->run_paths[path] = (struct run_path){.run = cd->run, .inode = inode, .base = inode};
	return inode;
}

bool crashdisk_line_peek_name(struct crashdisk *cd, uint32_t path, uint32_t *ret_inode)
{
	const struct run_line *l = run_line(cd, 0);

	if (name_segments(cd, path, l) > 1)
		return false;
	*ret_inode = name_at(cd, path, l->low);
	return true;
}

/* ---- access: there and not empty ---- */

static bool access_at(const struct crashdisk *cd, uint32_t path, uint32_t inode, size_t prefix)
{
	if (cd->model.reorder == MODEL_REORDER_NONE)
		inode = name_at(cd, path, prefix);
	if (inode == 0)
		return false;
	/* Recovery may have changed the size since it was decided, through another name. */
	const struct run_inode *ri = &cd->run_inodes[inode];
	uint64_t size =
	    ri->run == cd->run && ri->known ? ri->size : size_at(&cd->ix->inodes[inode], prefix);
	return size > 0;
}

/* Walks the interval piece by piece: the answer depends on names and sizes together. `inode` is
 * what the path names where names are not part of the line. */
static size_t access_segments(struct crashdisk *cd, uint32_t path, uint32_t inode,
			      const struct run_line *l)
{
	bool yes = access_at(cd, path, inode, l->low);
	size_t count = 0;

	add_segment(cd, &count, l->low);
	for (size_t prefix = l->low + 1; prefix <= l->high; prefix++) {
		if (access_at(cd, path, inode, prefix) == yes)
			continue;
		yes = !yes;
		add_segment(cd, &count, prefix);
	}
	return count;
}

bool crashdisk_line_access(struct crashdisk *cd, uint32_t path)
{
	uint32_t inode =
	    cd->model.reorder == MODEL_REORDER_NONE ? 0 : crashdisk_decide_name(cd, path);

	if (inode == 0 && cd->model.reorder != MODEL_REORDER_NONE)
		return false;
	struct run_line *l = run_line(cd, inode);
	size_t count = access_segments(cd, path, inode, l);

	return access_at(cd, path, inode, keep_segment(cd, l, count, QUESTION_ACCESS, path, 0));
}

bool crashdisk_line_peek_access(struct crashdisk *cd, uint32_t path, bool *ret_yes)
{
	uint32_t inode = 0;

	if (cd->model.reorder != MODEL_REORDER_NONE) {
		const struct point_group *pg =
		    crashdisk_point_group(cd, cd->ix->group_of_name[path]);
		if (pg->count != 1)
			return false;
		inode = pg->rows[crashdisk_column(cd, path)];
		*ret_yes = false;
		if (inode == 0)
			return true;
	}
	const struct run_line *l = run_line(cd, inode);
	if (access_segments(cd, path, inode, l) > 1)
		return false;
	*ret_yes = access_at(cd, path, inode, l->low);
	return true;
}
