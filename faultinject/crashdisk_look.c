/*
 * The reader's log of the undecided disk: what a reader looked at, and what each look would be
 * answered in another run. See crashdisk.h.
 *
 * Answers are compared as 64-bit hashes of the very bytes that the reader got. Looks that are
 * answered alike in every crash state of the trace (sectors of the base that nothing ever wrote)
 * are left out.
 */
#include "faultinject/crashdisk_internal.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"

#include <string.h>

void crashdisk_log(struct crashdisk *cd, bool on)
{
	cd->logging = on;
	if (!on)
		return;
	cd->pure = true;
	cd->look_count = 0;
}

bool crashdisk_log_more(struct crashdisk *cd, bool on)
{
	bool was_on = cd->logging;

	cd->logging = on;
	return was_on;
}

size_t crashdisk_log_entries(const struct crashdisk *cd, const struct crashdisk_look **ret_looks,
			     const uint64_t **ret_answers)
{
	*ret_looks = cd->looks;
	*ret_answers = cd->answers;
	return cd->look_count;
}

bool crashdisk_log_pure(const struct crashdisk *cd)
{
	return cd->pure;
}

/* The file that a path names, if that is no longer open. */
static bool peek_inode(struct crashdisk *cd, uint32_t path, uint32_t *ret_inode)
{
	if (cd->run_paths[path].run == cd->run) {
		*ret_inode = cd->run_paths[path].inode;
		return true;
	}
	if (path > cd->ix->trace->name_count) {
		*ret_inode = 0;
		return true;
	}
	if (crashdisk_has_lines(cd) && cd->model.reorder == MODEL_REORDER_NONE)
		return crashdisk_line_peek_name(cd, path, ret_inode);
	const struct point_group *pg = crashdisk_point_group(cd, cd->ix->group_of_name[path]);
	if (pg->count != 1)
		return false;
	*ret_inode = pg->rows[crashdisk_column(cd, path)];
	return true;
}

static struct run_inode *peek_meta(struct crashdisk *cd, uint32_t inode)
{
	struct run_inode *ri = crashdisk_run_inode(cd, inode);

	if (!ri->known && crashdisk_has_lines(cd)) {
		ri->known = crashdisk_line_peek_size(cd, inode, &ri->size);
		ri->base_size = ri->size;
	} else if (!ri->known && crashdisk_point_inode(cd, inode)->meta_count == 0) {
		ri->known = true;
		ri->t = 0;
		ri->size = ri->base_size = crashdisk_size_of(cd, inode, 0);
	}
	return ri->known ? ri : NULL;
}

static const struct run_sector *peek_sector(struct crashdisk *cd, uint32_t inode,
					    struct run_inode *ri, uint32_t sector)
{
	struct run_sector *rs = crashdisk_run_sector(cd, ri, sector);

	if (rs->run == cd->run)
		return rs;
	if (inode > cd->ix->trace->inode_count)
		return NULL;
	if (rs->base_run == cd->run) {
		rs->content = rs->base;
		rs->id = rs->base_id;
	} else if (crashdisk_has_lines(cd)) {
		if (!crashdisk_line_peek_sector(cd, inode, sector, &rs->content, &rs->id))
			return NULL;
	} else {
		const struct candidates *c = crashdisk_run_candidates(cd, inode, ri, sector);
		if (candidates_count(c) != 1)
			return NULL;
		rs->content = crashdisk_candidate(cd, c, 0, &rs->id);
	}
	rs->run = cd->run;
	rs->base_run = cd->run;
	rs->base = rs->content;
	rs->base_id = rs->id;
	return rs;
}

/* Of a sector that was peeked at: the hash of its bytes. */
static uint64_t sector_id(struct crashdisk *cd, struct run_inode *ri, uint32_t sector)
{
	struct run_sector *rs = &ri->sectors[sector];

	if (rs->id == 0)
		rs->id = hash64(rs->content, cd->ix->sector_size, 0);
	return rs->id;
}

static bool peek_read(struct crashdisk *cd, uint32_t inode, uint64_t offset, size_t size,
		      uint64_t *ret_answer)
{
	struct run_inode *ri = peek_meta(cd, inode);
	uint64_t ss = cd->ix->sector_size;

	if (ri == NULL)
		return false;
	size_t got = offset >= ri->size		? 0
		     : ri->size - offset < size ? (size_t)(ri->size - offset)
						: size;
	uint64_t h = got;
	for (size_t done = 0; done < got;) {
		uint64_t at = offset + done;
		size_t n = ss - at % ss < got - done ? (size_t)(ss - at % ss) : got - done;
		const struct run_sector *rs = peek_sector(cd, inode, ri, (uint32_t)(at / ss));
		if (rs == NULL)
			return false;
		if (n < ss)
			h = hash_mix(h, hash64(rs->content + at % ss, n, 0));
		else
			h = hash_mix(h, sector_id(cd, ri, (uint32_t)(at / ss)));
		done += n;
	}
	*ret_answer = h;
	return true;
}

/* A hash of the bytes alone, the same wherever they stand: a log's frames do not lie as the pages
 * of the database do. Whole sectors are known by their ids, which are such hashes. */
static bool peek_content(struct crashdisk *cd, uint32_t inode, uint64_t offset, size_t size,
			 uint64_t *ret_answer)
{
	struct run_inode *ri = peek_meta(cd, inode);
	uint64_t ss = cd->ix->sector_size;
	size_t chunk_size = size < ss ? size : (size_t)ss;
	uint8_t chunk[MODEL_BLOCK_SIZE];

	if (ri == NULL)
		return false;
	ASSERT_OP(ss, <=, sizeof chunk);
	size_t got = offset >= ri->size		? 0
		     : ri->size - offset < size ? (size_t)(ri->size - offset)
						: size;
	uint64_t h = got;
	for (size_t done = 0; done < got; done += chunk_size) {
		size_t want = chunk_size < got - done ? chunk_size : got - done;
		uint64_t id = 0;
		for (size_t filled = 0; filled < want;) {
			uint64_t at = offset + done + filled;
			size_t n =
			    ss - at % ss < want - filled ? (size_t)(ss - at % ss) : want - filled;
			const struct run_sector *rs =
			    peek_sector(cd, inode, ri, (uint32_t)(at / ss));
			if (rs == NULL)
				return false;
			if (n == ss)
				id = sector_id(cd, ri, (uint32_t)(at / ss));
			else
				memcpy(chunk + filled, rs->content + at % ss, n);
			filled += n;
		}
		h = hash_mix(h, id != 0 ? id : hash64(chunk, want, 0));
	}
	*ret_answer = h;
	return true;
}

bool crashdisk_peek(struct crashdisk *cd, const struct crashdisk_look *look, uint64_t *ret_answer)
{
	uint32_t inode;

	if (look->kind == CRASHDISK_LOOK_ACCESS && cd->run_paths[look->path].run != cd->run &&
	    look->path <= cd->ix->trace->name_count) {
		bool yes, no, newest;
		if (crashdisk_has_lines(cd)) {
			if (!crashdisk_line_peek_access(cd, look->path, &yes))
				return false;
			*ret_answer = yes;
			return true;
		}
		crashdisk_access_answers(cd, look->path, &yes, &no, &newest);
		*ret_answer = yes;
		return yes != no;
	}
	if (!peek_inode(cd, look->path, &inode))
		return false;
	if (look->kind == CRASHDISK_LOOK_OPEN || inode == 0) {
		*ret_answer = inode != 0;
		return true;
	}
	if (look->kind == CRASHDISK_LOOK_CONTENT) {
		if (!peek_content(cd, inode, look->offset, look->size, ret_answer))
			*ret_answer = CRASHDISK_OPEN;
		return true;
	}
	const struct run_inode *ri = peek_meta(cd, inode);
	if (ri == NULL)
		return false;
	switch (look->kind) {
	case CRASHDISK_LOOK_ACCESS:
		*ret_answer = ri->size > 0;
		return true;
	case CRASHDISK_LOOK_SIZE:
		*ret_answer = ri->size;
		return true;
	default:
		return peek_read(cd, inode, look->offset, look->size, ret_answer);
	}
}

/* No operation of the trace ever changed these bytes, nor did this run. */
static bool never_changes(struct crashdisk *cd, const struct crashdisk_look *look)
{
	uint32_t inode;

	if ((look->kind != CRASHDISK_LOOK_READ && look->kind != CRASHDISK_LOOK_CONTENT) ||
	    !peek_inode(cd, look->path, &inode) || inode == 0 || inode > cd->ix->trace->inode_count)
		return false;
	const struct index_inode *in = &cd->ix->inodes[inode];
	const struct run_inode *ri = crashdisk_run_inode(cd, inode);
	if (in->meta_count != 0 || in->created != 0 || !ri->known || ri->size != in->base_size)
		return false;
	uint64_t ss = cd->ix->sector_size;
	for (uint64_t s = look->offset / ss; s * ss < look->offset + look->size; s++) {
		if (s >= in->sector_count || in->sectors[s].count > 1)
			return false;
		if (s < ri->sector_cap && ri->sectors[s].run == cd->run &&
		    in->sectors[s].count == 1 &&
		    ri->sectors[s].content != in->sectors[s].versions[0].content)
			return false;
	}
	return true;
}

static void keep_look(struct crashdisk *cd, const struct crashdisk_look *look, uint64_t answer)
{
	if (cd->look_count == cd->look_cap) {
		cd->look_cap = cd->look_cap == 0 ? 64 : cd->look_cap * 2;
		cd->looks = xrealloc(cd->looks, cd->look_cap * sizeof *cd->looks);
		cd->answers = xrealloc(cd->answers, cd->look_cap * sizeof *cd->answers);
	}
	cd->looks[cd->look_count] = *look;
	cd->answers[cd->look_count++] = answer;
}

void crashdisk_look_log(struct crashdisk *cd, uint8_t kind, uint32_t path, uint64_t offset,
			size_t size)
{
	struct crashdisk_look look = {
	    .kind = kind, .path = path, .offset = offset, .size = (uint32_t)size};
	uint64_t answer;

	if (!cd->logging || never_changes(cd, &look))
		return;
	if (!crashdisk_peek(cd, &look, &answer)) {
		cd->pure = false;
		return;
	}
	keep_look(cd, &look, answer);
}

uint64_t crashdisk_look_content(struct crashdisk *cd, uint32_t path, uint64_t offset, size_t size)
{
	struct crashdisk_look look = {
	    .kind = CRASHDISK_LOOK_CONTENT, .path = path, .offset = offset, .size = (uint32_t)size};
	uint64_t answer;

	if (!crashdisk_peek(cd, &look, &answer))
		answer = CRASHDISK_OPEN;
	if (cd->logging && !never_changes(cd, &look))
		keep_look(cd, &look, answer);
	return answer;
}

bool crashdisk_peek_bytes(struct crashdisk *cd, uint32_t path, uint64_t offset, size_t size,
			  void *buf)
{
	uint64_t ss = cd->ix->sector_size;
	uint32_t inode;

	if (!peek_inode(cd, path, &inode) || inode == 0)
		return false;
	struct run_inode *ri = peek_meta(cd, inode);
	if (ri == NULL || offset > ri->size || ri->size - offset < size)
		return false;
	for (size_t done = 0; done < size;) {
		uint64_t at = offset + done;
		size_t n = ss - at % ss < size - done ? (size_t)(ss - at % ss) : size - done;
		const struct run_sector *rs = peek_sector(cd, inode, ri, (uint32_t)(at / ss));
		if (rs == NULL)
			return false;
		memcpy((uint8_t *)buf + done, rs->content + at % ss, n);
		done += n;
	}
	return true;
}
