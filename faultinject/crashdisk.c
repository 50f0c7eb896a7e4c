/*
 * Decisions of the undecided disk; see crashdisk.h. Names are decided in crashdisk_names.c,
 * accounting is in crashdisk_weight.c, the reader's log in crashdisk_look.c.
 */
#include "faultinject/crashdisk_internal.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"

#include <errno.h>
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
	const struct index_version *base = index_version_at(s, pi->durable);
	ret->sector = s;
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
		} else if (v->with_size && survived) {
			ret->base = v;
			ret->low = ret->high + 1;
			ret->masked = false;
		}
	}
	if (ret->base == NULL && ret->low < ret->high)
		ret->hole = s->versions[ret->low].hole;
}

const uint8_t *crashdisk_candidate(struct crashdisk *cd, const struct candidates *c, uint32_t k,
				   uint64_t *ret_id)
{
	uint32_t index = c->high - k; /* one above the version's index; == low: the base */
	const struct index_version *v = index == c->low ? c->base : &c->sector->versions[index - 1];

	const uint8_t *content = v == NULL ? c->hole : v->content;
	if (content == NULL) {
		*ret_id = cd->ix->zero_id;
		return cd->ix->zero_sector;
	}
	*ret_id = v == NULL ? hash64(content, cd->ix->sector_size, 0) : v->id;
	if (!c->masked)
		return content;
	/* D5: a truncation inside the sector that survived zeroes the tail of older versions. */
	uint32_t cut = cd->ix->sector_size;
	for (uint32_t i = index; i < c->high; i++) {
		const struct index_version *later = &c->sector->versions[i];
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
static struct run_inode *decide_meta(struct crashdisk *cd, uint32_t inode)
{
	struct run_inode *ri = crashdisk_run_inode(cd, inode);

	if (ri->known)
		return ri;
	if (crashdisk_has_lines(cd)) {
		ri->size = crashdisk_line_size(cd, inode);
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

static void record_decision(struct crashdisk *cd, uint32_t inode, uint32_t candidates,
			    uint32_t class_size)
{
	cd->decisions =
	    xgrow(cd->decisions, cd->decision_count, &cd->decision_cap, sizeof *cd->decisions);
	cd->decisions[cd->decision_count++] = (struct run_decision){inode, candidates, class_size};
}

enum { CLASSES_MERGED_MAX = 64 }; /* beyond it, equal contents are separate answers */

/* Decides which candidate a sector holds. The metadata prefix is decided. */
static const struct run_sector *decide_sector(struct crashdisk *cd, uint32_t inode,
					      struct run_inode *ri, uint32_t sector)
{
	struct run_sector *rs = crashdisk_run_sector(cd, ri, sector);

	if (rs->run == cd->run)
		return rs;
	rs->run = cd->run;
	rs->content = cd->ix->zero_sector;
	rs->id = cd->ix->zero_id;
	if (inode > cd->ix->trace->inode_count)
		return rs;
	if (crashdisk_has_lines(cd)) {
		rs->content = crashdisk_line_sector(cd, inode, sector, &rs->id);
		return rs;
	}
	struct candidates c;
	crashdisk_candidates(cd, inode, ri->t, sector, &c);
	uint32_t n = candidates_count(&c);
	if (n == 1) {
		rs->content = crashdisk_candidate(cd, &c, 0, &rs->id);
		return rs;
	}
	uint64_t ids[CLASSES_MERGED_MAX];
	uint32_t newest[CLASSES_MERGED_MAX], sizes[CLASSES_MERGED_MAX];
	uint32_t class_size = 1, k;
	if (n <= CLASSES_MERGED_MAX) {
		uint32_t classes = 0;
		for (k = 0; k < n; k++) {
			uint64_t id;
			uint32_t j = 0;
			(void)crashdisk_candidate(cd, &c, k, &id);
			while (j < classes && ids[j] != id)
				j++;
			if (j == classes) {
				ids[j] = id;
				newest[j] = k;
				sizes[j] = 0;
				classes++;
			}
			sizes[j]++;
		}
		uint32_t answer = crashdisk_ask(cd, classes, QUESTION_SECTOR, inode, sector);
		k = newest[answer];
		class_size = sizes[answer];
	} else {
		k = crashdisk_ask(cd, n, QUESTION_SECTOR, inode, sector);
	}
	record_decision(cd, inode, n, class_size);
	rs->content = crashdisk_candidate(cd, &c, k, &rs->id);
	return rs;
}

/* A sector that this run may change: a private copy of what it holds. */
static uint8_t *own_sector(struct crashdisk *cd, uint32_t inode, struct run_inode *ri,
			   uint32_t sector)
{
	uint8_t *copy = arena_alloc(&cd->arena, cd->ix->sector_size);

	memcpy(copy, decide_sector(cd, inode, ri, sector)->content, cd->ix->sector_size);
	struct run_sector *rs = crashdisk_run_sector(cd, ri, sector);
	rs->content = copy;
	rs->id = 0;
	return copy;
}

static void set_sector(struct crashdisk *cd, struct run_inode *ri, uint32_t sector,
		       const uint8_t *content, uint64_t id)
{
	struct run_sector *rs = crashdisk_run_sector(cd, ri, sector);

	rs->run = cd->run;
	rs->content = content;
	rs->id = id;
}

/* The file grows: what lies between its old and its new end is zero, whatever an older, longer
 * version of the file once held there. */
static void extend(struct crashdisk *cd, uint32_t inode, struct run_inode *ri, uint64_t size)
{
	uint64_t ss = cd->ix->sector_size;

	if (ri->size % ss != 0) {
		uint8_t *tail = own_sector(cd, inode, ri, (uint32_t)(ri->size / ss));
		memset(tail + ri->size % ss, 0, ss - ri->size % ss);
	}
	for (uint64_t s = (ri->size + ss - 1) / ss; s * ss < size; s++)
		set_sector(cd, ri, (uint32_t)s, cd->ix->zero_sector, cd->ix->zero_id);
	ri->size = size;
}

/* ---- storage ------------------------------------------------------------------------------- */

static struct crashdisk *self(struct storage *s)
{
	return (struct crashdisk *)s;
}

static int cd_access(struct storage *s, const char *path_text, bool *ret_yes)
{
	struct crashdisk *cd = self(s);
	uint32_t path = crashdisk_path(cd, path_text);
	bool yes, no, newest;

	if (cd->run_paths[path].run == cd->run || path > cd->ix->trace->name_count) {
		uint32_t inode = crashdisk_decide_name(cd, path);
		*ret_yes = inode != 0 && decide_meta(cd, inode)->size > 0;
	} else if (crashdisk_has_lines(cd)) {
		*ret_yes = crashdisk_line_access(cd, path);
	} else {
		/* Where names are tied, a file may be reached by another name in a state in which
		 * this one is gone; half an answer would not say enough. */
		if (cd->ix->groups[cd->ix->group_of_name[path]].tied)
			(void)crashdisk_decide_name(cd, path);
		crashdisk_access_answers(cd, path, &yes, &no, &newest);
		if (yes && no) {
			uint32_t answer = crashdisk_ask(cd, 2, QUESTION_ACCESS, path, 0);
			*ret_yes = (answer == 0) == newest;
			crashdisk_constrain_access(cd, path, *ret_yes);
		} else {
			*ret_yes = yes;
		}
	}
	crashdisk_look_log(cd, CRASHDISK_LOOK_ACCESS, path, 0, 0);
	return 0;
}

static int cd_open(struct storage *s, const char *path_text, bool create, uint32_t *ret_inode,
		   bool *ret_created)
{
	struct crashdisk *cd = self(s);
	uint32_t path = crashdisk_path(cd, path_text);
	uint32_t inode = crashdisk_decide_name(cd, path);

	crashdisk_look_log(cd, CRASHDISK_LOOK_OPEN, path, 0, 0);
	*ret_created = false;
	if (inode == 0) {
		if (!create)
			return -ENOENT;
		cd->pure = false;
		inode = cd->run_inode_next++;
		cd->run_paths[path] = (struct run_path){cd->run, inode, true};
		*ret_created = true;
	}
	crashdisk_run_inode(cd, inode)->path = path;
	*ret_inode = inode;
	return 0;
}

static int cd_read(struct storage *s, uint32_t inode, uint64_t offset, void *buf, size_t size,
		   size_t *ret_got)
{
	struct crashdisk *cd = self(s);
	struct run_inode *ri = decide_meta(cd, inode);
	uint64_t ss = cd->ix->sector_size;
	size_t got = offset >= ri->size		? 0
		     : ri->size - offset < size ? (size_t)(ri->size - offset)
						: size;

	for (size_t done = 0; done < got;) {
		uint64_t at = offset + done;
		size_t n = ss - at % ss < got - done ? (size_t)(ss - at % ss) : got - done;
		const struct run_sector *rs = decide_sector(cd, inode, ri, (uint32_t)(at / ss));
		memcpy((uint8_t *)buf + done, rs->content + at % ss, n);
		done += n;
	}
	crashdisk_look_log(cd, CRASHDISK_LOOK_READ, ri->path, offset, size);
	*ret_got = got;
	return 0;
}

static int cd_write(struct storage *s, uint32_t inode, uint64_t offset, const void *data,
		    size_t size)
{
	struct crashdisk *cd = self(s);
	struct run_inode *ri = decide_meta(cd, inode);
	uint64_t ss = cd->ix->sector_size;

	if (offset + size > INDEX_FILE_SIZE_MAX)
		return -EFBIG;
	cd->pure = false;
	if (offset + size > ri->size)
		extend(cd, inode, ri, offset + size);
	for (size_t done = 0; done < size;) {
		uint64_t at = offset + done;
		uint32_t sector = (uint32_t)(at / ss);
		size_t n = ss - at % ss < size - done ? (size_t)(ss - at % ss) : size - done;
		uint8_t *content;
		if (n == ss) {
			content = arena_alloc(&cd->arena, ss);
			set_sector(cd, ri, sector, content, 0);
		} else {
			content = own_sector(cd, inode, ri, sector);
		}
		memcpy(content + at % ss, (const uint8_t *)data + done, n);
		done += n;
	}
	return 0;
}

static int cd_truncate(struct storage *s, uint32_t inode, uint64_t size)
{
	struct crashdisk *cd = self(s);
	struct run_inode *ri = decide_meta(cd, inode);

	if (size > INDEX_FILE_SIZE_MAX)
		return -EFBIG;
	if (size != ri->size)
		cd->pure = false;
	if (size > ri->size)
		extend(cd, inode, ri, size);
	ri->size = size;
	return 0;
}

static int cd_size(struct storage *s, uint32_t inode, uint64_t *ret_size)
{
	struct crashdisk *cd = self(s);
	const struct run_inode *ri = decide_meta(cd, inode);

	*ret_size = ri->size;
	crashdisk_look_log(cd, CRASHDISK_LOOK_SIZE, ri->path, 0, 0);
	return 0;
}

/* Depth 1: recovery's own writes are never lost, so its syncs mean nothing. */
static int cd_sync(struct storage *s, uint32_t inode, bool data_only)
{
	(void)s;
	(void)inode;
	(void)data_only;
	return 0;
}

static int cd_dirsync(struct storage *s, const char *directory)
{
	(void)s;
	(void)directory;
	return 0;
}

static int cd_unlink(struct storage *s, const char *path_text)
{
	struct crashdisk *cd = self(s);
	uint32_t path = crashdisk_path(cd, path_text);

	if (crashdisk_decide_name(cd, path) == 0)
		return -ENOENT;
	cd->pure = false;
	cd->run_paths[path] = (struct run_path){cd->run, 0, true};
	return 0;
}

static const struct storage_ops crashdisk_ops = {
    .access = cd_access,
    .open = cd_open,
    .read = cd_read,
    .write = cd_write,
    .truncate = cd_truncate,
    .size = cd_size,
    .sync = cd_sync,
    .dirsync = cd_dirsync,
    .unlink = cd_unlink,
    .lock = NULL,
};

/* ---- lifetime ------------------------------------------------------------------------------ */

struct crashdisk *crashdisk_create(const struct trace_index *ix, const struct model *model)
{
	struct crashdisk *cd = xcalloc(1, sizeof *cd);
	uint32_t inodes = ix->trace->inode_count, names = ix->trace->name_count;

	cd->storage.ops = &crashdisk_ops;
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
	free(cd->segments);
	free(cd->decisions);
	free(cd->looks);
	free(cd->answers);
	arena_release(&cd->arena);
	free(cd);
}

struct storage *crashdisk_storage(struct crashdisk *cd)
{
	return &cd->storage;
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
		(void)cd_write(&cd->storage, op->inode, op->offset, op->data, cd->cut_bytes);
	}
}
