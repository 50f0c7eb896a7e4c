/*
 * Decisions of the undecided disk; see crashdisk.h. Names are decided in crashdisk_names.c, prefix
 * models in crashdisk_line.c. What recovery does to the disk is in crashdisk_storage.c, and a disk
 * on top of that in crashdisk_above.c; accounting is in crashdisk_weight.c, the reader's log in
 * crashdisk_look.c.
 */
#include "faultinject/crashdisk_internal.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"

#include <stdlib.h>
#include <string.h>

/* ---- the crash point ----------------------------------------------------------------------- */

/* Position up to which everything of this disk is durable at a process crash. */
uint64_t crashdisk_process_position(const struct crashdisk *cd)
{
	return cd->cut_bytes == SIZE_MAX ? cd->position : cd->position - 1;
}

const struct point_inode *crashdisk_point_inode(struct crashdisk *cd, uint32_t inode)
{
	struct point_inode *pi = &cd->point_inodes[inode];
	const struct index_inode *in = &cd->ix->inodes[inode];

	if (pi->point == cd->point)
		return pi;
	pi->point = cd->point;
	pi->weighed = false;
	uint64_t until = cd->position;
	if (cd->model.process_crash) {
		until = pi->durable = pi->meta_durable = crashdisk_process_position(cd);
	} else {
		pi->durable = index_data_durable(cd->ix, inode, until);
		pi->meta_durable = index_meta_durable(cd->ix, inode, until);
	}
	pi->meta_first = index_meta_until(in, pi->meta_durable);
	pi->meta_count = index_meta_until(in, until) - pi->meta_first;
	return pi;
}

uint64_t crashdisk_size_of(struct crashdisk *cd, uint32_t inode, size_t t)
{
	const struct point_inode *pi = crashdisk_point_inode(cd, inode);
	const struct index_inode *in = &cd->ix->inodes[inode];
	size_t m = pi->meta_first + t;

	return m == 0 ? in->base_size : in->metas[m - 1].size;
}

void crashdisk_candidates(struct crashdisk *cd, uint32_t inode, size_t t, uint32_t sector,
			  struct candidates *ret)
{
	const struct point_inode *pi = crashdisk_point_inode(cd, inode);
	const struct index_inode *in = &cd->ix->inodes[inode];
	uint64_t until = cd->model.process_crash ? pi->durable : cd->position;

	*ret = (struct candidates){0};
	if (sector >= in->sector_count ||
	    (uint64_t)sector * cd->ix->sector_size >= crashdisk_size_of(cd, inode, t))
		return;
	const struct index_sector *s = &in->sectors[sector];
	/* In the eyes of the processes no sync that failed matters. */
	const struct index_version *base = cd->model.process_crash
					       ? index_version_at(s, pi->durable)
					       : index_durable_version(in, s, pi->durable);
	ret->sector = s;
	ret->number = sector;
	ret->low = base == NULL ? 0 : (uint32_t)(base - s->versions) + 1;
	ret->base = base != NULL && base->kind == INDEX_DROP ? NULL : base;
	ret->surviving = t == 0 ? pi->meta_durable : in->metas[pi->meta_first + t - 1].position;
	for (ret->high = ret->low; ret->high < s->count; ret->high++) {
		const struct index_version *v = &s->versions[ret->high];
		if (v->position > until)
			break;
		bool survived = v->position <= ret->surviving;
		if (v->kind == INDEX_DROP) {
			if (!survived)
				break; /* later epochs are unreachable */
			ret->base = NULL;
			ret->low = ret->high + 1;
			ret->masked = false;
		} else if (v->kind == INDEX_CUT && survived) {
			ret->masked = true;
		} else if (v->with_size && survived && !index_missed(in, v->position, until)) {
			ret->base = v;
			ret->low = ret->high + 1;
			ret->masked = false;
		}
	}
	if (ret->base == NULL && ret->low < ret->high) {
		ret->hole = s->versions[ret->low].hole;
		ret->hole_inode = s->versions[ret->low].hole_inode;
	}
}

/* Candidate k, 0 = newest: a version, or NULL for the hole. */
static const struct index_version *candidate_version(const struct candidates *c, uint32_t k,
						     uint32_t *ret_index)
{
	*ret_index = c->high - k; /* one above the version's index; == low: the base */
	return *ret_index == c->low ? c->base : &c->sector->versions[*ret_index - 1];
}

/* D5: a truncation inside the sector that survived zeroes the tail of older versions. */
static const uint8_t *cut_candidate(struct crashdisk *cd, const struct candidates *c,
				    uint32_t index, const uint8_t *content, uint64_t *ret_id)
{
	uint32_t cut = cd->ix->sector_size;

	if (!c->masked)
		return content;
	const struct index_version *versions = c->sector == NULL ? NULL : c->sector->versions;
	ASSERT(versions != NULL);
	for (uint32_t i = index; i < c->high; i++) {
		const struct index_version *later = &versions[i];
		if (later->kind == INDEX_CUT && later->position <= c->surviving && later->cut < cut)
			cut = later->cut;
	}
	if (cut == cd->ix->sector_size)
		return content;
	uint8_t *copy = arena_alloc(&cd->arena, cd->ix->sector_size);
	memcpy(copy, content, cut);
	memset(copy + cut, 0, cd->ix->sector_size - cut);
	*ret_id = hash64(copy, cd->ix->sector_size, 0);
	return copy;
}

/* The file whose base the candidate shows, when only the disk below knows that content; *ret_id is
 * then like no other, because nobody has asked yet what is there. Otherwise 0. */
static uint32_t candidate_below(const struct crashdisk *cd, uint32_t inode,
				const struct candidates *c, const struct index_version *v,
				uint64_t *ret_id)
{
	if (v == NULL) {
		inode = c->hole_inode;
		if (inode == 0)
			return 0;
		v = &cd->ix->inodes[inode].sectors[c->number].versions[0];
	}
	if (!v->below)
		return 0;
	*ret_id = v->id;
	return inode;
}

const uint8_t *crashdisk_candidate(struct crashdisk *cd, const struct candidates *c, uint32_t k,
				   uint64_t *ret_id)
{
	uint32_t index;
	const struct index_version *v = candidate_version(c, k, &index);
	const uint8_t *content = v == NULL ? c->hole : v->content;

	if (cd->below != NULL && candidate_below(cd, 1, c, v, ret_id) != 0)
		return cd->ix->zero_sector;
	if (content == NULL) {
		*ret_id = cd->ix->zero_id;
		return cd->ix->zero_sector;
	}
	*ret_id = v == NULL ? hash64(content, cd->ix->sector_size, 0) : v->id;
	return cut_candidate(cd, c, index, content, ret_id);
}

/* ---- the run ------------------------------------------------------------------------------- */

struct run_inode *crashdisk_run_inode(struct crashdisk *cd, uint32_t inode)
{
	if (inode >= cd->run_inode_cap) {
		uint32_t cap =
		    cd->run_inode_cap * 2 > inode + 1 ? cd->run_inode_cap * 2 : inode + 1;
		cd->run_inodes = xrealloc(cd->run_inodes, cap * sizeof *cd->run_inodes);
		memset(cd->run_inodes + cd->run_inode_cap, 0,
		       (cap - cd->run_inode_cap) * sizeof *cd->run_inodes);
		cd->run_inode_cap = cap;
	}
	struct run_inode *ri = &cd->run_inodes[inode];
	if (ri->run != cd->run) {
		ri->run = cd->run;
		ri->known = inode > cd->ix->trace->inode_count;
		ri->filter = RUN_ANY;
		ri->t = 0;
		ri->path = 0;
		ri->size = 0;
		ri->base_size = 0;
		ri->line.run = 0;
	}
	return ri;
}

uint32_t crashdisk_ask(struct crashdisk *cd, uint32_t n, enum question_kind kind, uint64_t a,
		       uint64_t b)
{
	if (n == 1)
		return 0;
	cd->pure = false;
	cd->question_kind = kind;
	cd->question_a = a;
	cd->question_b = b;
	uint32_t answer = choice_next(cd->choice, n, hash_mix(hash_mix((uint64_t)kind, a), b));
	if (cd->tell != NULL)
		cd->tell(cd->tell_ctx, crashdisk_last_question(cd), answer, n);
	return answer;
}

/* Decides the file's metadata prefix, and with it the size. */
struct run_inode *crashdisk_decide_meta(struct crashdisk *cd, uint32_t inode)
{
	struct run_inode *ri = crashdisk_run_inode(cd, inode);

	if (ri->known)
		return ri;
	if (crashdisk_has_lines(cd)) {
		ri->size = ri->base_size = crashdisk_line_size(cd, inode);
		ri->known = true;
		return ri;
	}
	const struct point_inode *pi = crashdisk_point_inode(cd, inode);
	uint32_t n = 0;
	for (size_t t = 0; t <= pi->meta_count; t++)
		n += run_filter_passes(ri->filter, crashdisk_size_of(cd, inode, t));
	ASSERT(n > 0);
	uint32_t answer = crashdisk_ask(cd, n, QUESTION_META, inode, 0);
	for (size_t t = pi->meta_count + 1; t-- > 0;) {
		uint64_t size = crashdisk_size_of(cd, inode, t);
		if (run_filter_passes(ri->filter, size) && answer-- == 0) {
			ri->t = (uint32_t)t;
			ri->size = size;
			break;
		}
	}
	ri->known = true;
	ri->base_size = ri->size;
	return ri;
}

struct run_sector *crashdisk_run_sector(struct crashdisk *cd, struct run_inode *ri, uint32_t sector)
{
	(void)cd;
	if (sector >= ri->sector_cap) {
		uint32_t cap = ri->sector_cap * 2 > sector + 1 ? ri->sector_cap * 2 : sector + 1;
		ri->sectors = xrealloc(ri->sectors, cap * sizeof *ri->sectors);
		memset(ri->sectors + ri->sector_cap, 0,
		       (cap - ri->sector_cap) * sizeof *ri->sectors);
		ri->sector_cap = cap;
	}
	return &ri->sectors[sector];
}

const struct candidates *crashdisk_run_candidates(struct crashdisk *cd, uint32_t inode,
						  struct run_inode *ri, uint32_t sector)
{
	struct run_sector *rs = crashdisk_run_sector(cd, ri, sector);

	if (rs->candidates_point != cd->point || rs->candidates_t != ri->t) {
		crashdisk_candidates(cd, inode, ri->t, sector, &rs->candidates);
		if (cd->model.defect == MODEL_DISK_FORGETS &&
		    rs->candidates.low < rs->candidates.high)
			rs->candidates.base =
			    &rs->candidates.sector->versions[rs->candidates.low++];
		rs->candidates_point = cd->point;
		rs->candidates_t = ri->t;
	}
	return &rs->candidates;
}

static void record_decision(struct crashdisk *cd, uint32_t inode, uint32_t candidates,
			    uint32_t class_size)
{
	cd->decisions =
	    xgrow(cd->decisions, cd->decision_count, &cd->decision_cap, sizeof *cd->decisions);
	cd->decisions[cd->decision_count++] = (struct run_decision){inode, candidates, class_size};
}

enum { CLASSES_MERGED_MAX = 64 }; /* beyond it, equal contents are separate answers */

/* Candidates of equal content are one class. Of very many, each is its own. */
struct classes {
	uint32_t count;
	bool merged;
	uint32_t newest[CLASSES_MERGED_MAX], sizes[CLASSES_MERGED_MAX];
};

static void classify(struct crashdisk *cd, const struct candidates *c, struct classes *ret)
{
	uint64_t ids[CLASSES_MERGED_MAX];
	uint32_t n = candidates_count(c);

	memset(ret->sizes, 0, sizeof ret->sizes);
	memset(ret->newest, 0, sizeof ret->newest);
	ret->merged = n <= CLASSES_MERGED_MAX;
	ret->count = ret->merged ? 0 : n;
	for (uint32_t k = 0; k < n && ret->merged; k++) {
		uint64_t id;
		uint32_t j = 0;
		(void)crashdisk_candidate(cd, c, k, &id);
		while (j < ret->count && ids[j] != id)
			j++;
		if (j == ret->count) {
			ids[j] = id;
			ret->newest[j] = k;
			ret->count++;
		}
		ret->sizes[j]++;
	}
}

/* Asks which candidate a sector holds, unless its read has asked already. Returns the candidate. */
static uint32_t ask_sector(struct crashdisk *cd, uint32_t inode, uint32_t sector,
			   const struct candidates *c)
{
	struct classes classes;
	uint32_t n = candidates_count(c), answer;

	if (n == 1)
		return 0;
	classify(cd, c, &classes);
	if (cd->together == 0)
		answer = crashdisk_ask(cd, classes.count, QUESTION_SECTOR, inode, sector);
	else
		answer = cd->together <= classes.count ? cd->together - 1 : classes.count - 1;
	record_decision(cd, inode, n, classes.merged ? classes.sizes[answer] : 1);
	return classes.merged ? classes.newest[answer] : answer;
}

void crashdisk_decide_together(struct crashdisk *cd, uint32_t inode, struct run_inode *ri,
			       uint64_t offset, size_t size)
{
	uint64_t ss = cd->ix->sector_size;
	uint32_t open = 0, most = 0;

	if (crashdisk_has_lines(cd) || inode > cd->ix->trace->inode_count)
		return;
	for (uint64_t s = offset / ss; s * ss < offset + size; s++) {
		const struct run_sector *rs = crashdisk_run_sector(cd, ri, (uint32_t)s);
		struct candidates c;
		struct classes classes;
		if (rs->run == cd->run || rs->base_run == cd->run)
			continue;
		crashdisk_candidates(cd, inode, ri->t, (uint32_t)s, &c);
		classify(cd, &c, &classes);
		open += classes.count > 1;
		most = classes.count > most ? classes.count : most;
	}
	if (open > 1)
		cd->together = 1 + crashdisk_ask(cd, most, QUESTION_SECTORS, inode, offset / ss);
}

const uint8_t *crashdisk_base_sector(struct crashdisk *cd, uint32_t inode, struct run_inode *ri,
				     uint32_t sector, uint64_t *ret_id)
{
	struct run_sector *rs = crashdisk_run_sector(cd, ri, sector);
	uint32_t index;

	if (rs->base_run == cd->run) {
		*ret_id = rs->base_id;
		return rs->base;
	}
	const uint8_t *content = cd->ix->zero_sector;
	uint64_t id = cd->ix->zero_id;
	if (inode <= cd->ix->trace->inode_count && crashdisk_has_lines(cd)) {
		content = crashdisk_line_sector(cd, inode, sector, &id);
	} else if (inode <= cd->ix->trace->inode_count) {
		const struct candidates *c = crashdisk_run_candidates(cd, inode, ri, sector);
		uint32_t k = ask_sector(cd, inode, sector, c);
		const struct index_version *v = candidate_version(c, k, &index);
		rs->base_index = index;
		uint32_t below = cd->below == NULL ? 0 : candidate_below(cd, inode, c, v, &id);
		if (below != 0) {
			content = crashdisk_beneath(cd, below, sector, &id);
			content = cut_candidate(cd, c, index, content, &id);
		} else {
			content = crashdisk_candidate(cd, c, k, &id);
		}
	}
	rs->base_run = cd->run;
	rs->base = content;
	rs->base_id = *ret_id = id;
	return content;
}

/* Decides what a sector holds. The metadata prefix is decided. */
const struct run_sector *crashdisk_decide_sector(struct crashdisk *cd, uint32_t inode,
						 struct run_inode *ri, uint32_t sector)
{
	struct run_sector *rs = crashdisk_run_sector(cd, ri, sector);
	uint64_t id;

	if (rs->run == cd->run)
		return rs;
	const uint8_t *content = crashdisk_base_sector(cd, inode, ri, sector, &id);
	rs->run = cd->run;
	rs->content = content;
	rs->id = id;
	return rs;
}

/* ---- lifetime ------------------------------------------------------------------------------ */

struct crashdisk *crashdisk_create(const struct trace_index *ix, const struct model *model)
{
	struct crashdisk *cd = xcalloc(1, sizeof *cd);
	uint32_t inodes = ix->trace->inode_count, names = ix->trace->name_count;

	cd->storage.ops = crashdisk_storage_ops();
	cd->ix = ix;
	cd->model = *model;
	arena_init(&cd->arena);
	cd->point_inodes = xcalloc((size_t)inodes + 1, sizeof *cd->point_inodes);
	cd->point_groups = xcalloc(ix->group_count, sizeof *cd->point_groups);
	cd->run_groups = xcalloc(ix->group_count, sizeof *cd->run_groups);
	cd->run_inode_cap = inodes + 8;
	cd->run_inodes = xcalloc(cd->run_inode_cap, sizeof *cd->run_inodes);
	cd->run_path_cap = (size_t)names + 16;
	cd->run_paths = xcalloc(cd->run_path_cap, sizeof *cd->run_paths);
	return cd;
}

static void release_weights(struct point_inode *pi)
{
	if (pi->weights == NULL)
		return;
	for (size_t t = 0; t < pi->weight_count; t++)
		mpz_clear(pi->weights[t]);
	mpz_clear(pi->weight_sum);
	free(pi->weights);
	pi->weights = NULL;
}

void crashdisk_free(struct crashdisk *cd)
{
	if (cd == NULL)
		return;
	for (uint32_t i = 0; i <= cd->ix->trace->inode_count; i++)
		release_weights(&cd->point_inodes[i]);
	for (size_t i = 0; i < cd->ix->group_count; i++)
		free(cd->point_groups[i].own);
	for (uint32_t i = 0; i < cd->run_inode_cap; i++)
		free(cd->run_inodes[i].sectors);
	for (size_t i = 0; i < cd->extra_count; i++)
		free(cd->extra_paths[i]);
	free(cd->extra_paths);
	free(cd->point_inodes);
	free(cd->point_groups);
	free(cd->run_groups);
	free(cd->run_inodes);
	free(cd->run_paths);
	crashdisk_forget_recovery(cd);
	free(cd->segments);
	free(cd->decisions);
	free(cd->looks);
	free(cd->answers);
	arena_release(&cd->arena);
	trace_index_free(cd->own_index);
	trace_free(cd->own_trace);
	free(cd);
}

struct storage *crashdisk_storage(struct crashdisk *cd)
{
	return &cd->storage;
}

void crashdisk_set_representative(struct crashdisk *cd, bool representative)
{
	cd->representative = representative;
}

void crashdisk_open(struct crashdisk *cd, uint64_t position, size_t cut_bytes)
{
	ASSERT_OP(position, <=, cd->ix->trace->op_count);
	for (uint32_t i = 0; i <= cd->ix->trace->inode_count; i++)
		if (cd->point_inodes[i].point == cd->point)
			release_weights(&cd->point_inodes[i]);
	cd->position = position;
	cd->cut_bytes = cut_bytes;
	cd->too_many_names = false;
	cd->point++;
}

void crashdisk_begin(struct crashdisk *cd, struct choice *choice)
{
	arena_reset(&cd->arena);
	cd->choice = choice;
	cd->run++;
	cd->run_inode_next = cd->ix->trace->inode_count + 1;
	cd->decision_count = 0;
	cd->question_kind = QUESTION_NONE;
	cd->logging = false;
	cd->look_count = 0;
	if (cd->cut_bytes != SIZE_MAX) {
		const struct op *op = trace_at(cd->ix->trace, cd->position);
		ASSERT_OP(op->kind, ==, OP_WRITE);
		ASSERT_OP(cd->cut_bytes, <=, op->size);
		crashdisk_cut_write(cd, op);
	}
	crashdisk_begin_recovery(cd);
}
