/*
 * A crash during recovery: what recovery did to an undecided disk, as a trace on top of it. See
 * crashdisk_above() in crashdisk.h.
 *
 * The files and names that recovery changed become the base of a small trace, with the content that
 * the first crash left, as far as recovery had decided it. What it had not decided is marked in the
 * index: whoever chooses the base version there asks the disk below, which is still undecided. So
 * an assignment is one of the upper disk's times one of the lower disk's, whatever is visible.
 */
#include "faultinject/crashdisk_internal.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"

#include <stdlib.h>
#include <string.h>

void crashdisk_record(struct crashdisk *cd)
{
	cd->recording = true;
}

void crashdisk_begin_recovery(struct crashdisk *cd)
{
	cd->recovery_count = 0;
	cd->ended = false;
	if (cd->below != NULL)
		cd->below->ended = false;
}

void crashdisk_end_recovery(struct crashdisk *cd)
{
	cd->ended = true;
}

void crashdisk_forget_recovery(struct crashdisk *cd)
{
	free(cd->recovery);
	free(cd->below_inodes);
}

const struct trace_index *crashdisk_index(const struct crashdisk *cd)
{
	return cd->ix;
}

void crashdisk_record_op(struct crashdisk *cd, struct op op)
{
	if (!cd->recording)
		return;
	op.process = op.thread = op.connection = 1;
	if (op.data != NULL)
		op.data = memcpy(arena_alloc(&cd->arena, op.size), op.data, op.size);
	cd->recovery =
	    xgrow(cd->recovery, cd->recovery_count, &cd->recovery_cap, sizeof *cd->recovery);
	cd->recovery[cd->recovery_count++] = op;
	/* A file that has several names is changed under all of them. */
	if (op.inode == 0 || op.inode > cd->ix->trace->inode_count)
		return;
	const struct index_group *g = &cd->ix->groups[cd->ix->inodes[op.inode].group];
	for (size_t i = 0; i < g->name_count && g->tied; i++)
		(void)crashdisk_decide_name(cd, g->names[i]);
}

/* ---- the trace ---- */

struct maker {
	struct crashdisk *cd;
	struct trace *t;
	uint32_t *numbers;  /* [inode of the lower disk]: number in the trace; 0 = not there */
	uint32_t *inodes;   /* [number]: inode of the lower disk; 0 = made by recovery */
	uint8_t *is_needed; /* [inode of the lower disk]: recovery changed or synced it */
};

static const char *path_text(const struct crashdisk *cd, uint32_t path)
{
	uint32_t count = cd->ix->trace->name_count;

	return path <= count ? cd->ix->trace->names[path] : cd->extra_paths[path - count - 1];
}

/* Content of a file as the crash left it, as far as that is decided. Owned by the caller. */
static uint8_t *base_content(struct crashdisk *cd, uint32_t inode)
{
	const struct run_inode *ri = &cd->run_inodes[inode];
	uint64_t ss = cd->ix->sector_size;
	uint8_t *data = xcalloc((size_t)ri->base_size + 1, 1);

	for (uint64_t s = 0; s * ss < ri->base_size && s < ri->sector_cap; s++) {
		const struct run_sector *rs = &ri->sectors[s];
		uint64_t rest = ri->base_size - s * ss;
		if (rs->base_run == cd->run)
			memcpy(data + s * ss, rs->base, rest < ss ? rest : ss);
	}
	return data;
}

static void add_base(struct maker *m, uint32_t path, uint32_t inode)
{
	struct crashdisk *cd = m->cd;
	uint32_t name = trace_name(m->t, path_text(cd, path));

	if (m->numbers[inode] != 0) {
		trace_add_base(m->t, m->numbers[inode], name, NULL, 0);
		return;
	}
	uint32_t number = trace_new_inode(m->t);
	m->numbers[inode] = number;
	m->inodes[number] = inode;
	const struct run_inode *ri = crashdisk_run_inode(cd, inode);
	ASSERT(ri->known);
	uint8_t *data = base_content(cd, inode);
	trace_add_base(m->t, number, name, data, ri->base_size);
	free(data);
}

static void make_trace(struct maker *m)
{
	struct crashdisk *cd = m->cd;
	uint32_t paths = cd->ix->trace->name_count + (uint32_t)cd->extra_count;
	uint32_t existing = cd->ix->trace->inode_count;

	for (size_t i = 0; i < cd->recovery_count; i++) {
		const struct op *op = &cd->recovery[i];
		if (op->inode != 0 && op->inode <= existing)
			m->is_needed[op->inode] = 1;
		if (op->kind == OP_UNLINK || op->kind == OP_CREATE) {
			const struct run_path *known = &cd->run_paths[op->name];
			if (known->base != 0)
				m->is_needed[known->base] = 1;
		}
	}
	for (uint32_t path = 1; path <= paths; path++) {
		const struct run_path *known = &cd->run_paths[path];
		if (known->run == cd->run && known->base != 0 && m->is_needed[known->base])
			add_base(m, path, known->base);
	}
	for (size_t i = 0; i < cd->recovery_count; i++) {
		struct op op = cd->recovery[i];
		if (op.name != 0)
			op.name = trace_name(m->t, path_text(cd, op.name));
		if (op.kind == OP_CREATE)
			m->numbers[op.inode] = trace_new_inode(m->t);
		if (op.inode != 0)
			op.inode = m->numbers[op.inode];
		(void)trace_append(m->t, &op);
	}
}

/* Marks what the lower disk has not decided. */
static void mark_below(struct maker *m, struct trace_index *ix)
{
	const struct crashdisk *cd = m->cd;

	for (size_t i = 0; i < m->t->base_count; i++) {
		uint32_t number = m->t->base[i].inode, inode = m->inodes[number];
		const struct run_inode *ri = &cd->run_inodes[inode];
		for (uint32_t s = 0; s < ix->inodes[number].sector_count; s++) {
			struct index_sector *sector = &ix->inodes[number].sectors[s];
			if (sector->count == 0 || sector->versions[0].position != 0 ||
			    (s < ri->sector_cap && ri->sectors[s].base_run == cd->run))
				continue;
			sector->versions[0].below = true;
			sector->versions[0].id = hash_mix(hash_mix(0x62656c6f77u, number), s);
		}
	}
}

int crashdisk_above(struct crashdisk *cd, struct crashdisk **ret_top, struct err *err)
{
	struct trace_index *ix = NULL;
	struct maker m = {.cd = cd};
	int rc = 0;

	*ret_top = NULL;
	if (cd->recovery_count == 0)
		return 0;
	m.t = trace_create(cd->ix->trace->device, "recovery");
	m.numbers = xcalloc(cd->run_inode_next + 1, sizeof *m.numbers);
	m.inodes = xcalloc(cd->run_inode_next + 1, sizeof *m.inodes);
	m.is_needed = xcalloc(cd->run_inode_next + 1, sizeof *m.is_needed);
	make_trace(&m);
	rc = trace_index_build(m.t, &cd->model, &ix, err);
	if (rc != 0)
		goto out;
	mark_below(&m, ix);
	struct crashdisk *top = crashdisk_create(ix, &cd->model);
	top->representative = cd->representative;
	top->below = cd;
	top->below_inodes = m.inodes;
	top->own_trace = m.t;
	top->own_index = ix;
	m.inodes = NULL;
	m.t = NULL;
	*ret_top = top;
out:
	trace_free(m.t);
	free(m.numbers);
	free(m.inodes);
	free(m.is_needed);
	return rc;
}

const uint8_t *crashdisk_beneath(struct crashdisk *cd, uint32_t inode, uint32_t sector,
				 uint64_t *ret_id)
{
	uint32_t number = cd->below_inodes[inode];

	ASSERT(cd->below != NULL && number != 0);
	struct run_inode *ri = crashdisk_run_inode(cd->below, number);
	uint64_t ss = cd->ix->sector_size, begin = sector * ss;
	const uint8_t *content = crashdisk_base_sector(cd->below, number, ri, sector, ret_id);
	if (begin + ss <= ri->base_size)
		return content;
	/* What a lost size had made part of the file is not part of what it deletes, either. */
	uint8_t *copy = arena_alloc(&cd->arena, ss);
	memset(copy, 0, ss);
	memcpy(copy, content, ri->base_size > begin ? ri->base_size - begin : 0);
	*ret_id = hash64(copy, ss, 0);
	return copy;
}
