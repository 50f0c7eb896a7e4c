/*
 * What became of each operation of the trace in the present run; see crashdisk_told() in
 * crashdisk.h. Nothing is decided here: the answers are read off what the run has decided.
 *
 * A write is told sector by sector: the version that the run chose of a sector contains the write,
 * or is older. A change of size is told by the prefix t that the run chose, or by what a question
 * about access left possible. Names are told by the states of their group that are still alive. A
 * file that no name reaches any more because its creation was lost has lost what was written to it;
 * one whose deletion survived is looked at by nobody.
 */
#include "faultinject/crashdisk_internal.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>

/* What is known of the parts of one operation. */
struct parts {
	uint32_t count, durable, kept, lost;
	uint32_t twins; /* its bytes are there, and the others of the sector are damaged */
	bool cut;	/* the crash came in the middle of it */
	uint32_t damaged;
	uint64_t damaged_by;
};

static void tell_parts(const struct parts *p, struct crashdisk_told *ret)
{
	uint32_t here = p->durable + p->kept + p->twins;

	ret->parts = p->count;
	ret->parts_kept = here;
	ret->damaged_by = p->damaged_by;
	if (p->cut || p->twins > 0 || (p->lost > 0 && here + p->damaged > 0))
		ret->fate = CRASHDISK_TORN;
	else if (p->lost > 0)
		ret->fate = CRASHDISK_LOST;
	else if (p->damaged > 0)
		ret->fate = CRASHDISK_DAMAGED;
	else if (p->kept > 0)
		ret->fate = CRASHDISK_KEPT;
	else
		ret->fate = p->durable == p->count ? CRASHDISK_DURABLE : CRASHDISK_UNASKED;
}

/* ---- names --------------------------------------------------------------------------------- */

/* Walks the states of a group of several domains in the order of make_rows() (crashdisk_names.c),
 * and notes which of its operations survive in those that are alive. */
struct walker {
	const struct index_group *g;
	const struct point_group *pg;
	const struct run_group *rg;
	const uint8_t *durable; /* [op] */
	size_t until, wanted;	/* operations up to the crash; the one that is asked about */
	size_t row;
	bool kept, lost;
	bool newest; /* survives in the last state that is alive, which is the newest */
};

static void walk(struct walker *w, size_t k, bool has, const uint8_t *dead)
{
	if (k == w->until) {
		if (w->row < w->pg->count && (w->rg->alive == NULL || w->rg->alive[w->row])) {
			w->kept = w->kept || has;
			w->lost = w->lost || !has;
			w->newest = has;
		}
		w->row++;
		return;
	}
	const struct index_name_op *op = &w->g->ops[k];
	if (!w->durable[k]) {
		uint8_t *next = xmalloc(w->g->domain_count);
		memcpy(next, dead, w->g->domain_count);
		next[op->domains[0]] = next[op->domains[1]] = 1;
		walk(w, k + 1, has, next);
		free(next);
	}
	if (!dead[op->domains[0]] && !dead[op->domains[1]])
		walk(w, k + 1, has || k == w->wanted, dead);
}

/* Is the group's operation `k`, which is pending, in the states that are alive, or in none? */
static void name_survives(struct crashdisk *cd, size_t group, size_t k, const uint8_t *durable,
			  size_t until, struct walker *ret)
{
	const struct index_group *g = &cd->ix->groups[group];
	const struct point_group *pg = crashdisk_point_group(cd, group);
	const struct run_group *rg = crashdisk_run_group(cd, group);
	struct walker w = {
	    .g = g, .pg = pg, .rg = rg, .durable = durable, .until = until, .wanted = k};
	size_t first = 0;

	if (g->domain_count == 1) {
		first = until + 1 - pg->count;
		for (size_t j = 0; j < pg->count; j++) {
			if (rg->alive != NULL && !rg->alive[j])
				continue;
			w.kept = w.kept || k < first + j;
			w.lost = w.lost || k >= first + j;
			w.newest = k < first + j;
		}
	} else if (cd->too_many_names) {
		w.kept = w.lost = true; /* its states were never made */
	} else {
		uint8_t *dead = xcalloc(g->domain_count, 1);
		while (first < until && durable[first])
			first++;
		walk(&w, first, false, dead);
		ASSERT_OP(w.row, ==, pg->count);
		free(dead);
	}
	*ret = w;
}

/* `example`: of the states that the run stands for, one that its questions about names left. */
static void tell_name(struct crashdisk *cd, uint64_t position, bool example,
		      struct crashdisk_told *ret)
{
	const struct op *op = trace_at(cd->ix->trace, position);
	size_t group = cd->ix->group_of_name[op->kind == OP_LINK ? op->name2 : op->name];
	const struct index_group *g = &cd->ix->groups[group];
	size_t until = index_group_until(g, cd->position);
	size_t k = index_group_until(g, position) - 1;
	uint8_t *durable = xcalloc(until, 1);
	struct parts p = {.count = 1};

	(void)index_group_durable(cd->ix, g, cd->position, durable);
	if (durable[k]) {
		p.durable = 1;
	} else if (cd->model.process_crash) {
		p.kept = 1;
	} else if (crashdisk_has_lines(cd) && cd->model.reorder == MODEL_REORDER_NONE) {
		struct line_pieces pieces;
		crashdisk_line_pieces(cd, 0, position, &pieces);
		p.durable = pieces.durable > 0;
		p.kept = !p.durable && pieces.kept > 0;
		p.lost = pieces.lost > 0;
	} else {
		struct walker w;
		name_survives(cd, group, k, durable, until, &w);
		p.kept = w.kept && !w.lost;
		p.lost = w.lost && !w.kept;
		if (example && w.kept && w.lost && crashdisk_run_group(cd, group)->alive != NULL) {
			p.kept = w.newest;
			p.lost = !w.newest;
		}
	}
	tell_parts(&p, ret);
	free(durable);
}

/* The file's creation did not survive, so that nobody reaches it. */
static bool never_there(struct crashdisk *cd, uint32_t inode, bool example)
{
	struct crashdisk_told told;
	uint64_t created = cd->ix->inodes[inode].created;

	if (created == 0 || created > cd->position || cd->model.process_crash ||
	    (crashdisk_has_lines(cd) && cd->model.reorder == MODEL_REORDER_NONE))
		return false;
	tell_name(cd, created, example, &told);
	return told.fate == CRASHDISK_LOST;
}

/* ---- sizes --------------------------------------------------------------------------------- */

/* The prefixes t that the run left possible: [*low, *high], as far as filters say. */
static void possible_prefixes(struct crashdisk *cd, uint32_t inode, size_t *low, size_t *high)
{
	const struct point_inode *pi = crashdisk_point_inode(cd, inode);
	const struct run_inode *ri = crashdisk_run_inode(cd, inode);

	if (ri->known) {
		*low = *high = ri->t;
		return;
	}
	*low = 0;
	*high = pi->meta_count;
	while (*low < *high && !run_filter_passes(ri->filter, crashdisk_size_of(cd, inode, *low)))
		(*low)++;
	while (*low < *high && !run_filter_passes(ri->filter, crashdisk_size_of(cd, inode, *high)))
		(*high)--;
}

static void tell_truncate(struct crashdisk *cd, uint64_t position, bool example, struct parts *p)
{
	uint32_t inode = trace_at(cd->ix->trace, position)->inode;
	const struct point_inode *pi = crashdisk_point_inode(cd, inode);
	const struct index_inode *in = &cd->ix->inodes[inode];
	size_t m = index_meta_until(in, position), low, high;

	p->count = 1;
	if (position <= (cd->model.process_crash
			     ? index_meta_durable(cd->ix, inode, crashdisk_process_position(cd))
			     : pi->meta_durable)) {
		p->durable = 1;
	} else if (cd->model.process_crash) {
		p->kept = 1;
	} else if (m > pi->meta_first && in->metas[m - 1].position == position) {
		possible_prefixes(cd, inode, &low, &high);
		p->kept = low >= m - pi->meta_first;
		p->lost = high < m - pi->meta_first;
		if (!crashdisk_run_inode(cd, inode)->known && never_there(cd, inode, example)) {
			p->kept = 0;
			p->lost = 1;
		}
	}
}

/* ---- content ------------------------------------------------------------------------------- */

/* The versions of a sector that one operation made: [*first, *last]. False: none. */
static bool versions_of(const struct index_sector *s, uint64_t position, uint32_t *first,
			uint32_t *last)
{
	const struct index_version *v = index_version_at(s, position);

	if (v == NULL || v->position != position)
		return false;
	*last = *first = (uint32_t)(v - s->versions);
	while (*first > 0 && s->versions[*first - 1].position == position)
		(*first)--;
	return true;
}

/* A version of a write that is not its last one: with the bytes of the write, and damage beside
 * them (D9). Without them it is what shows in a hole (D6). */
static bool is_twin(const struct crashdisk *cd, const struct index_sector *s, uint32_t sector,
		    uint32_t version)
{
	const struct index_version *v = &s->versions[version];
	uint64_t ss = cd->ix->sector_size, begin = (uint64_t)sector * ss;

	if (!cd->model.no_psow || v->kind != INDEX_WRITE || v->position == 0 ||
	    v->content == NULL || version + 1 >= s->count ||
	    s->versions[version + 1].position != v->position)
		return false;
	const struct op *op = trace_at(cd->ix->trace, v->position);
	uint64_t from = op->offset > begin ? op->offset : begin;
	uint64_t until = op->offset + op->size < begin + ss ? op->offset + op->size : begin + ss;
	return memcmp(v->content + (from - begin), op->data + (from - op->offset),
		      (size_t)(until - from)) == 0;
}

/* Does the write at `by` put all that `op` put into the sector? */
static bool replaces(const struct crashdisk *cd, uint32_t sector, const struct op *op, uint64_t by)
{
	const struct op *o = trace_at(cd->ix->trace, by);
	uint64_t begin = (uint64_t)sector * cd->ix->sector_size, end = begin + cd->ix->sector_size;
	uint64_t from = op->offset > begin ? op->offset : begin;
	uint64_t until = op->offset + op->size < end ? op->offset + op->size : end;

	return o->kind == OP_WRITE && o->offset <= from && o->offset + o->size >= until;
}

/* The write behind the version `last` of a sector that damaged what `op` put there, in the version
 * that the run chose; 0: none. */
static uint64_t damaging(struct crashdisk *cd, uint32_t inode, uint32_t sector, uint32_t last,
			 const struct op *op)
{
	struct run_inode *ri = crashdisk_run_inode(cd, inode);
	const struct index_sector *s = &cd->ix->inodes[inode].sectors[sector];
	uint64_t begin = (uint64_t)sector * cd->ix->sector_size;
	uint32_t index;

	if (!cd->model.no_psow || cd->model.process_crash || !ri->known ||
	    (op->offset > begin ? op->offset : begin) >= ri->base_size)
		return 0;
	const struct candidates *c = crashdisk_run_candidates(cd, inode, ri, sector);
	const struct run_sector *rs = crashdisk_run_sector(cd, ri, sector);
	if (candidates_count(c) > 1 && rs->base_run != cd->run)
		return 0;
	index = candidates_count(c) == 1 ? c->low : rs->base_index;
	if (index <= last + 1 || !is_twin(cd, s, sector, index - 1))
		return 0;
	/* What had been replaced before was not there to be damaged. */
	for (uint32_t v = last + 1; v < index; v++)
		if (replaces(cd, sector, op, s->versions[v].position))
			return 0;
	return s->versions[index - 1].position;
}

/* The versions [first, last] of the sector are the write's. */
static void tell_chosen(struct crashdisk *cd, uint32_t inode, uint32_t sector, uint32_t first,
			uint32_t last, uint64_t position, struct parts *p)
{
	const struct op *op = trace_at(cd->ix->trace, position);
	struct run_inode *ri = crashdisk_run_inode(cd, inode);
	const struct point_inode *pi = crashdisk_point_inode(cd, inode);
	const struct index_inode *in = &cd->ix->inodes[inode];
	uint64_t begin = (uint64_t)sector * cd->ix->sector_size, size;
	uint64_t from = op->offset > begin ? op->offset : begin;
	uint64_t surviving =
	    ri->t == 0 ? pi->meta_durable : in->metas[pi->meta_first + ri->t - 1].position;
	uint32_t index;

	size = ri->base_size;
	if (from >= size) {
		/* Cut off again, or never grown. */
		p->kept += position <= surviving;
		p->lost += position > surviving;
		return;
	}
	const struct candidates *c = crashdisk_run_candidates(cd, inode, ri, sector);
	const struct run_sector *rs = crashdisk_run_sector(cd, ri, sector);
	if (candidates_count(c) == 1)
		index = c->low;
	else if (rs->base_run == cd->run)
		index = rs->base_index;
	else
		return;
	if (last < index)
		p->kept++;
	else if (last == index && first < last &&
		 is_twin(cd, &in->sectors[sector], sector, last - 1))
		p->twins++;
	else
		p->lost++;
}

/* The file is there, but so short that the write is not: an example of where nobody opened it. */
static bool too_short(struct crashdisk *cd, uint32_t inode, uint64_t from)
{
	size_t low, high;

	possible_prefixes(cd, inode, &low, &high);
	return high < crashdisk_point_inode(cd, inode)->meta_count &&
	       crashdisk_size_of(cd, inode, high) <= from;
}

static void tell_sector(struct crashdisk *cd, uint32_t inode, uint32_t sector, uint64_t position,
			bool example, struct parts *p)
{
	const struct point_inode *pi = crashdisk_point_inode(cd, inode);
	const struct index_inode *in = &cd->ix->inodes[inode];
	const struct index_sector *s = &in->sectors[sector];
	uint64_t durable = cd->model.process_crash
			       ? index_data_durable(cd->ix, inode, crashdisk_process_position(cd))
			       : pi->durable;
	const struct index_version *base = index_durable_version(in, s, durable);
	uint32_t first, last;

	p->count++;
	if (!versions_of(s, position, &first, &last))
		return;
	uint64_t by = damaging(cd, inode, sector, last, trace_at(cd->ix->trace, position));
	if (by != 0) {
		p->damaged++;
		p->damaged_by = by > p->damaged_by ? by : p->damaged_by;
		return;
	}
	if (base != NULL && last <= (uint32_t)(base - s->versions))
		p->durable++;
	else if (cd->model.process_crash)
		p->kept++;
	else if (crashdisk_run_inode(cd, inode)->known)
		tell_chosen(cd, inode, sector, first, last, position, p);
	else if (never_there(cd, inode, example))
		p->lost++;
	else if (example && too_short(cd, inode, trace_at(cd->ix->trace, position)->offset))
		p->lost++;
}

static void tell_write(struct crashdisk *cd, uint64_t position, bool example, struct parts *p)
{
	const struct op *op = trace_at(cd->ix->trace, position);
	uint64_t ss = cd->ix->sector_size;

	for (uint64_t s = op->offset / ss; s * ss < op->offset + op->size; s++)
		tell_sector(cd, op->inode, (uint32_t)s, position, example, p);
	if (cd->cut_bytes != SIZE_MAX && position == cd->position) {
		p->durable = p->lost = 0;
		p->kept = (uint32_t)(cd->cut_bytes / ss);
		p->cut = p->kept < p->count;
		p->damaged = 0;
		p->damaged_by = 0;
	}
}

/* Where a file, or everything, survives as a prefix (D4). */
static void tell_line(struct crashdisk *cd, uint64_t position, bool example, struct parts *p)
{
	uint32_t inode = trace_at(cd->ix->trace, position)->inode;
	struct line_pieces pieces;

	crashdisk_line_pieces(cd, inode, position, &pieces);
	p->count = (uint32_t)pieces.count;
	p->durable = (uint32_t)pieces.durable;
	p->kept = (uint32_t)(pieces.kept - pieces.durable);
	p->lost = (uint32_t)pieces.lost;
	if (p->durable < p->count && never_there(cd, inode, example)) {
		p->lost = p->count - p->durable;
		p->kept = 0;
	}
}

/* ---- all ----------------------------------------------------------------------------------- */

static void tell(struct crashdisk *cd, uint64_t position, bool example, struct crashdisk_told *ret)
{
	struct parts p = {0};

	*ret = (struct crashdisk_told){.fate = CRASHDISK_NO_CHANGE};
	if (position > cd->position || !index_is_storage_op(trace_at(cd->ix->trace, position)))
		return;
	switch (trace_at(cd->ix->trace, position)->kind) {
	case OP_WRITE:
		if (trace_at(cd->ix->trace, position)->size == 0)
			return;
		if (crashdisk_has_lines(cd))
			tell_line(cd, position, example, &p);
		else
			tell_write(cd, position, example, &p);
		break;
	case OP_TRUNCATE:
		if (crashdisk_has_lines(cd))
			tell_line(cd, position, example, &p);
		else
			tell_truncate(cd, position, example, &p);
		if (p.count == 0) /* it changed nothing */
			return;
		break;
	default:
		tell_name(cd, position, example, ret);
		return;
	}
	tell_parts(&p, ret);
}

void crashdisk_told(struct crashdisk *cd, uint64_t position, struct crashdisk_told *ret)
{
	tell(cd, position, false, ret);
}

void crashdisk_told_example(struct crashdisk *cd, uint64_t position, struct crashdisk_told *ret)
{
	tell(cd, position, true, ret);
}

bool crashdisk_written_by(struct crashdisk *cd, uint32_t inode, uint64_t offset,
			  uint64_t *ret_position)
{
	uint32_t sector = (uint32_t)(offset / cd->ix->sector_size), index;

	if (inode > cd->ix->trace->inode_count || crashdisk_has_lines(cd))
		return false;
	struct run_inode *ri = crashdisk_run_inode(cd, inode);
	const struct index_inode *in = &cd->ix->inodes[inode];
	if (!ri->known || sector >= in->sector_count || offset >= ri->base_size)
		return false;
	const struct candidates *c = crashdisk_run_candidates(cd, inode, ri, sector);
	const struct run_sector *rs = crashdisk_run_sector(cd, ri, sector);
	if (candidates_count(c) > 1 && rs->base_run != cd->run)
		return false;
	index = candidates_count(c) == 1 ? c->low : rs->base_index;
	const struct index_version *v = index == c->low	    ? c->base
					: c->sector == NULL ? NULL
							    : &c->sector->versions[index - 1];
	if (v == NULL || v->kind == INDEX_DROP ||
	    (index > 0 && c->sector != NULL && index < c->sector->count &&
	     c->sector->versions[index].position == v->position && v->position != 0))
		return false; /* a hole, or the damaged twin of a version */
	*ret_position = v->position;
	return true;
}

struct crashdisk *crashdisk_lowest(struct crashdisk *cd)
{
	while (cd->below != NULL)
		cd = cd->below;
	return cd;
}
