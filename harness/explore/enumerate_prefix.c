/*
 * The enumerator's prefix models (rule D4): of a file's operations, or of all, one prefix survives,
 * and the write at its end may tear. Each piece in turn is asked whether it survives. See
 * enumerate.h.
 */
#include "harness/explore/enumerate_internal.h"

#include <string.h>

/* Bytes [*ret_from, *ret_to) of the file that piece `k` of a write covers; false after the last. A
 * piece is a sector, or, where it may be damaged first (D9), half of the answer: the damage, and
 * then the truth. */
static bool piece_of(const struct enumeration *e, const struct op *op, uint64_t size, size_t k,
		     uint64_t *ret_from, uint64_t *ret_to, bool *ret_damaged)
{
	uint64_t end = op->offset + op->size, at = op->offset;

	for (size_t i = 0; at < end; at = *ret_to) {
		uint64_t begin = at / e->ss * e->ss;
		*ret_from = at;
		*ret_to = begin + e->ss < end ? begin + e->ss : end;
		uint64_t reach = size > *ret_to ? size : *ret_to;
		reach = reach < begin + e->ss ? reach : begin + e->ss;
		for (int damaged = e->model->no_psow && (*ret_from > begin || *ret_to < reach);
		     damaged >= 0; damaged--, i++) {
			*ret_damaged = damaged != 0;
			if (i == k)
				return true;
		}
	}
	return false;
}

/* Applies pieces of one operation to a file; all of them when `count` is SIZE_MAX. Returns how many
 * there are, up to `count`. */
static size_t apply(struct enumeration *e, const struct op *op, size_t count, uint8_t *data,
		    uint64_t *size)
{
	uint64_t from, to, old = *size;
	size_t k = 0;
	bool damaged;

	if (op->kind == OP_TRUNCATE) {
		if (op->size == old || count == 0)
			return 0;
		if (op->size < old)
			memset(data + op->size, 0, old - op->size);
		*size = op->size;
		return 1;
	}
	for (; k < count && piece_of(e, op, old, k, &from, &to, &damaged); k++) {
		uint64_t begin = from / e->ss * e->ss;
		uint8_t *sector = data + begin;
		*size = to > *size ? to : *size;
		if (damaged) {
			uint8_t *after = enumerate_zeros(&e->arena, 1, e->ss);
			memcpy(after, sector, e->ss);
			memcpy(after + (from - begin), op->data + (from - op->offset), to - from);
			/* Only the last piece stays damaged: the truth follows it. */
			if (k + 1 == count)
				memcpy(sector,
				       enumerate_damage(e, op->inode, (uint32_t)(begin / e->ss),
							from - begin, to - begin, *size, after),
				       e->ss);
			continue;
		}
		memcpy(data + from, op->data + (from - op->offset), to - from);
	}
	return k;
}

static void load_base(const struct enumeration *e, uint32_t inode, uint8_t *data, uint64_t *size)
{
	for (size_t i = 0; i < e->t->base_count; i++)
		if (e->t->base[i].inode == inode && e->t->base[i].data != NULL) {
			memcpy(data, e->t->base[i].data, e->t->base[i].size);
			*size = e->t->base[i].size;
		}
}

struct prefix enumerate_choose_prefix(struct enumeration *e, uint32_t inode)
{
	bool all = e->model->reorder == MODEL_REORDER_NONE;
	uint64_t durable =
	    all ? e->commits[e->position] : enumerate_data_durable(e, inode, e->position);
	struct {
		uint8_t *data;
		uint64_t size;
	} *files = enumerate_zeros(&e->arena, (size_t)e->t->inode_count + 1, sizeof *files);

	for (uint32_t i = 1; i <= e->t->inode_count; i++) {
		files[i].data = enumerate_zeros(&e->arena, e->sectors, e->ss);
		load_base(e, i, files[i].data, &files[i].size);
	}
	for (uint64_t p = 1; p <= e->position; p++) {
		const struct op *op = trace_at(e->t, p);
		uint32_t of[2];
		size_t pieces = 0;
		enumerate_names_of(op, of);
		if (enumerate_is_content(op) && (all || op->inode == inode))
			pieces =
			    apply(e, op, SIZE_MAX, files[op->inode].data, &files[op->inode].size);
		else if (all && of[0] + of[1] != 0)
			pieces = 1;
		for (size_t k = 0; p > durable && k < pieces; k++)
			if (choice_next(&e->choice, 2, p * 64 + k) != 0)
				return (struct prefix){p, k};
	}
	return (struct prefix){e->position + 1, 0};
}

uint8_t *enumerate_prefix_file(struct enumeration *e, uint32_t inode, struct prefix prefix,
			       uint64_t *ret_size)
{
	uint8_t *data = enumerate_zeros(&e->arena, e->sectors, e->ss);

	*ret_size = 0;
	load_base(e, inode, data, ret_size);
	for (uint64_t p = 1; p <= prefix.position && p <= e->t->op_count; p++) {
		const struct op *op = trace_at(e->t, p);
		if (enumerate_is_content(op) && op->inode == inode)
			(void)apply(e, op, p < prefix.position ? SIZE_MAX : prefix.pieces, data,
				    ret_size);
	}
	return data;
}

void enumerate_prefix_names(struct enumeration *e, struct prefix prefix)
{
	e->names = enumerate_zeros(&e->arena, (size_t)e->t->name_count + 1, sizeof *e->names);
	for (size_t i = 0; i < e->t->base_count; i++)
		e->names[e->t->base[i].name] = e->t->base[i].inode;
	for (uint64_t p = 1; p < prefix.position && p <= e->position; p++) {
		uint32_t of[2];
		enumerate_names_of(trace_at(e->t, p), of);
		if (of[0] != 0)
			e->names[of[0]] = trace_at(e->t, p)->kind == OP_CREATE ? e->about[p] : 0;
		if (of[1] != 0)
			e->names[of[1]] = e->about[p];
	}
}
