/*
 * Which names survive (rule D7); see crashdisk.h.
 *
 * Of each name's, or each directory's, pending operations a prefix survives, and a rename is
 * atomic: it is in the prefix of both or of neither. Where a group of names has one such domain,
 * its states are the rows of the index. Otherwise they are all sets of operations in which each
 * has its predecessors in its domains.
 */
#include "faultinject/crashdisk_internal.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>

/* ---- states ---- */

struct row_maker {
	const struct crashdisk *cd;
	const struct index_group *g;
	struct point_group *pg;
	uint8_t *durable; /* [op] */
	size_t until;	  /* operations up to the crash */
	size_t cap;
	bool too_many;
};

/* Adds the rows of all ways to go on from operation `k`, those in which it is lost first, so that
 * the last row of all is the newest. dead[domain]: an operation of it was lost. */
static void make_rows(struct row_maker *m, size_t k, const uint32_t *row, const uint8_t *dead)
{
	size_t n = m->g->name_count;

	if (m->too_many)
		return;
	if (k == m->until) {
		if (m->pg->count == POINT_ROWS_MAX) {
			m->too_many = true;
			return;
		}
		m->pg->own = xgrow(m->pg->own, m->pg->count, &m->cap, n * sizeof *row);
		memcpy(m->pg->own + m->pg->count++ * n, row, n * sizeof *row);
		return;
	}
	const struct index_name_op *op = &m->g->ops[k];
	if (!m->durable[k]) {
		uint8_t *next_dead = xmalloc(m->g->domain_count);
		memcpy(next_dead, dead, m->g->domain_count);
		next_dead[op->domains[0]] = next_dead[op->domains[1]] = 1;
		make_rows(m, k + 1, row, next_dead);
		free(next_dead);
	}
	if (!dead[op->domains[0]] && !dead[op->domains[1]]) {
		uint32_t *next = xmalloc(n * sizeof *next);
		memcpy(next, row, n * sizeof *next);
		index_apply_name(m->g, next, trace_at(m->cd->ix->trace, op->position));
		make_rows(m, k + 1, next, dead);
		free(next);
	}
}

static void make_point_group(struct crashdisk *cd, size_t group, struct point_group *pg)
{
	const struct index_group *g = &cd->ix->groups[group];
	size_t until = index_group_until(g, cd->model.process_crash ? crashdisk_process_position(cd)
								    : cd->position);
	size_t first =
	    cd->model.process_crash ? until : index_group_durable(cd->ix, g, cd->position, NULL);

	if (g->domain_count == 1 || first == until) {
		pg->rows = g->targets + first * g->name_count;
		pg->count = until - first + 1;
		return;
	}
	struct row_maker m = {.cd = cd, .g = g, .pg = pg, .until = until};
	uint8_t *dead = xcalloc(g->domain_count, 1);
	m.durable = xcalloc(until, 1);
	(void)index_group_durable(cd->ix, g, cd->position, m.durable);
	free(pg->own);
	pg->own = NULL;
	pg->count = 0;
	/* What is durable from the start on is in the index; the rest is made one by one, and as
	 * deep as there are operations. */
	size_t from = 0;
	while (from < until && m.durable[from])
		from++;
	m.too_many = until - from > POINT_DEPTH_MAX;
	make_rows(&m, from, g->targets + from * g->name_count, dead);
	if (m.too_many) {
		free(pg->own);
		pg->own = NULL;
		pg->rows = g->targets + until * g->name_count;
		pg->count = 1;
	} else {
		pg->rows = pg->own;
	}
	cd->too_many_names = cd->too_many_names || m.too_many;
	free(m.durable);
	free(dead);
}

const struct point_group *crashdisk_point_group(struct crashdisk *cd, size_t group)
{
	struct point_group *pg = &cd->point_groups[group];

	if (pg->point != cd->point) {
		pg->point = cd->point;
		make_point_group(cd, group, pg);
	}
	return pg;
}

bool crashdisk_limited(const struct crashdisk *cd)
{
	return cd->too_many_names;
}

struct run_group *crashdisk_run_group(struct crashdisk *cd, size_t group)
{
	struct run_group *rg = &cd->run_groups[group];

	if (rg->run != cd->run) {
		rg->run = cd->run;
		rg->alive = NULL;
	}
	return rg;
}

/* ---- paths ---- */

uint32_t crashdisk_path(struct crashdisk *cd, const char *path)
{
	uint32_t n = trace_find_name(cd->ix->trace, path);

	if (n != 0)
		return n;
	for (size_t i = 0; i < cd->extra_count; i++)
		if (strcmp(cd->extra_paths[i], path) == 0)
			return cd->ix->trace->name_count + 1 + (uint32_t)i;
	cd->extra_paths =
	    xgrow(cd->extra_paths, cd->extra_count, &cd->extra_cap, sizeof *cd->extra_paths);
	cd->extra_paths[cd->extra_count] = xstrdup(path);
	n = cd->ix->trace->name_count + 1 + (uint32_t)cd->extra_count++;
	if (n >= cd->run_path_cap) {
		size_t cap = (size_t)n * 2;
		cd->run_paths = xrealloc(cd->run_paths, cap * sizeof *cd->run_paths);
		memset(cd->run_paths + cd->run_path_cap, 0,
		       (cap - cd->run_path_cap) * sizeof *cd->run_paths);
		cd->run_path_cap = cap;
	}
	return n;
}

size_t crashdisk_column(const struct crashdisk *cd, uint32_t path)
{
	const struct index_group *g = &cd->ix->groups[cd->ix->group_of_name[path]];
	size_t column = 0;

	while (g->names[column] != path)
		column++;
	return column;
}

/* ---- decisions ---- */

static bool state_alive(const struct run_group *rg, size_t state)
{
	return rg->alive == NULL || rg->alive[state] != 0;
}

static uint8_t *alive_states(struct crashdisk *cd, const struct point_group *pg,
			     struct run_group *rg)
{
	if (rg->alive == NULL) {
		rg->alive = arena_alloc(&cd->arena, pg->count);
		memset(rg->alive, 1, pg->count);
	}
	return rg->alive;
}

/* Decides which file, if any, the path names; 0 = none. Of a group's states only what this path
 * needs is decided: those that agree stay open. */
uint32_t crashdisk_decide_name(struct crashdisk *cd, uint32_t path)
{
	struct run_path *known = &cd->run_paths[path];

	if (known->run == cd->run)
		return known->inode;
	if (path > cd->ix->trace->name_count)
		return 0;
	if (crashdisk_has_lines(cd) && cd->model.reorder == MODEL_REORDER_NONE)
		return crashdisk_line_name(cd, path);
	size_t group = cd->ix->group_of_name[path];
	const struct index_group *g = &cd->ix->groups[group];
	const struct point_group *pg = crashdisk_point_group(cd, group);
	struct run_group *rg = crashdisk_run_group(cd, group);
	size_t column = crashdisk_column(cd, path);
	uint32_t *targets = arena_alloc(&cd->arena, pg->count * sizeof *targets);
	uint32_t count = 0;

	/* The distinct answers, newest first. */
	for (size_t j = pg->count; j-- > 0;) {
		uint32_t inode = pg->rows[j * g->name_count + column], i = 0;
		if (!state_alive(rg, j))
			continue;
		while (i < count && targets[i] != inode)
			i++;
		if (i == count)
			targets[count++] = inode;
	}
	uint32_t inode = targets[crashdisk_ask(cd, count, QUESTION_NAME, path, 0)];
	if (count > 1) {
		uint8_t *alive = alive_states(cd, pg, rg);
		for (size_t j = 0; j < pg->count; j++)
			alive[j] = alive[j] && pg->rows[j * g->name_count + column] == inode;
	}
	*known = (struct run_path){.run = cd->run, .inode = inode, .base = inode};
	return inode;
}

void crashdisk_access_answers(struct crashdisk *cd, uint32_t path, bool *ret_yes, bool *ret_no,
			      bool *ret_newest)
{
	bool newest_known = false;

	*ret_yes = *ret_no = *ret_newest = false;
	size_t group = cd->ix->group_of_name[path];
	const struct index_group *g = &cd->ix->groups[group];
	const struct point_group *pg = crashdisk_point_group(cd, group);
	const struct run_group *rg = crashdisk_run_group(cd, group);
	size_t column = crashdisk_column(cd, path);

	for (size_t j = pg->count; j-- > 0;) {
		bool yes = false, no = false, newest = false;
		if (!state_alive(rg, j))
			continue;
		uint32_t inode = pg->rows[j * g->name_count + column];
		const struct run_inode *ri = inode == 0 ? NULL : crashdisk_run_inode(cd, inode);
		if (inode == 0) {
			no = true;
		} else if (ri->known) {
			newest = yes = ri->size > 0;
			no = !yes;
		} else {
			size_t count = crashdisk_point_inode(cd, inode)->meta_count;
			bool first = true;
			for (size_t t = count + 1; t-- > 0;) {
				uint64_t size = crashdisk_size_of(cd, inode, t);
				if (!run_filter_passes(ri->filter, size))
					continue;
				if (first)
					newest = size > 0;
				first = false;
				yes = yes || size > 0;
				no = no || size == 0;
			}
		}
		if (!newest_known)
			*ret_newest = newest;
		newest_known = true;
		*ret_yes = *ret_yes || yes;
		*ret_no = *ret_no || no;
	}
}

void crashdisk_constrain_access(struct crashdisk *cd, uint32_t path, bool yes)
{
	size_t group = cd->ix->group_of_name[path];
	const struct index_group *g = &cd->ix->groups[group];
	const struct point_group *pg = crashdisk_point_group(cd, group);
	struct run_group *rg = crashdisk_run_group(cd, group);
	size_t column = crashdisk_column(cd, path);

	for (size_t j = 0; j < pg->count; j++) {
		if (!state_alive(rg, j))
			continue;
		uint32_t inode = pg->rows[j * g->name_count + column];
		bool possible = !yes;
		if (inode != 0) {
			struct run_inode *ri = crashdisk_run_inode(cd, inode);
			if (ri->known) {
				possible = (ri->size > 0) == yes;
			} else {
				size_t count = crashdisk_point_inode(cd, inode)->meta_count;
				possible = false;
				for (size_t t = 0; t <= count; t++) {
					uint64_t size = crashdisk_size_of(cd, inode, t);
					possible =
					    possible || (run_filter_passes(ri->filter, size) &&
							 (size > 0) == yes);
				}
				if (possible)
					ri->filter = yes ? RUN_NONEMPTY : RUN_EMPTY;
			}
		}
		if (!possible)
			alive_states(cd, pg, rg)[j] = 0;
	}
}
