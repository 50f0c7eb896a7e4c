/*
 * Builds the index in one pass over the trace; see trace_index.h. Names are in trace_index_names.c,
 * what syncs make durable is in trace_index_syncs.c.
 *
 * The version of a sector after an operation is what a running process would have read: versions
 * are built from each other, in order. Which of them a crash may leave is not decided here. With
 * psow=no (D9) a partial overwrite makes two versions: first the damaged one, then the true one.
 */
#include "faultinject/trace_index_internal.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"

#include <stdlib.h>
#include <string.h>

/* ---- contents ------------------------------------------------------------------------------ */

static struct index_sector *sector_at(struct index_inode *inode, uint32_t sector)
{
	if (sector >= inode->sector_count) {
		uint32_t count = sector + 1;
		if (count > inode->sector_cap) {
			uint32_t cap = inode->sector_cap == 0 ? 16 : inode->sector_cap * 2;
			if (cap < count)
				cap = count;
			inode->sectors = xrealloc(inode->sectors, cap * sizeof *inode->sectors);
			inode->sector_cap = cap;
		}
		memset(inode->sectors + inode->sector_count, 0,
		       (count - inode->sector_count) * sizeof *inode->sectors);
		inode->sector_count = count;
	}
	return &inode->sectors[sector];
}

static const uint8_t *live_content(const struct trace_index *ix, const struct index_sector *s)
{
	return s->count == 0 ? ix->zero_sector : s->versions[s->count - 1].content;
}

static void add_version(struct trace_index *ix, struct index_inode *inode, uint32_t sector,
			struct index_version v)
{
	struct index_sector *s = sector_at(inode, sector);

	if (s->count == s->cap) {
		s->cap = s->cap == 0 ? 2 : s->cap * 2;
		s->versions = xrealloc(s->versions, s->cap * sizeof *s->versions);
	}
	v.id = v.content == ix->zero_sector ? ix->zero_id : hash64(v.content, ix->sector_size, 0);
	s->versions[s->count++] = v;
	if (v.position != 0) {
		inode->touches = xgrow(inode->touches, inode->touch_count, &inode->touch_cap,
				       sizeof *inode->touches);
		inode->touches[inode->touch_count++] = (struct index_touch){v.position, sector};
	}
}

static uint64_t live_size(const struct index_inode *inode)
{
	return inode->meta_count == 0 ? inode->base_size : inode->metas[inode->meta_count - 1].size;
}

static void add_meta(struct index_inode *inode, uint64_t position, uint64_t size, uint32_t prefix,
		     bool truncation)
{
	inode->metas =
	    xgrow(inode->metas, inode->meta_count, &inode->meta_cap, sizeof *inode->metas);
	uint64_t cut = inode->meta_count == 0 ? 0 : inode->metas[inode->meta_count - 1].truncated;
	inode->metas[inode->meta_count++] = (struct index_meta){
	    .position = position,
	    .size = size,
	    .truncated = truncation ? position : cut,
	    .prefix = prefix,
	};
}

/* Adds a piece to the line that the inode's operations belong to (D4) and returns the length of the
 * shortest prefix that has it; 0 where there are no lines, and for the base. */
static uint32_t add_piece(struct trace_index *ix, struct index_inode *inode, uint64_t position)
{
	struct index_line *line =
	    ix->model.reorder == MODEL_REORDER_NONE ? &ix->line : &inode->line;

	if (ix->model.reorder == MODEL_REORDER_ANY || position == 0)
		return 0;
	line->positions = xgrow(line->positions, line->count, &line->cap, sizeof *line->positions);
	line->positions[line->count++] = position;
	return (uint32_t)line->count;
}

/* In the index's arena. */
static uint8_t *garbage(const struct trace_index *ix, uint32_t inode, uint32_t sector)
{
	uint8_t *bytes = arena_alloc(&ix->memory->arena, ix->sector_size);

	model_garbage(&ix->model, inode, sector, bytes, ix->sector_size);
	return bytes;
}

/* What a sector shows whose first write in its epoch is lost while the size survived (D6).
 * *ret_covered: it was inside the file before, where it held zeros, and may still do. */
static struct stale_sector hole(const struct trace_index *ix, uint32_t inode, uint32_t sector,
				bool *ret_covered)
{
	const struct index_inode *in = &ix->inodes[inode];
	const struct index_sector *s = &in->sectors[sector];

	if (ix->model.hole == MODEL_HOLE_ZERO ||
	    (s->count > 0 && s->versions[s->count - 1].kind != INDEX_DROP))
		return (struct stale_sector){NULL, 0};
	*ret_covered = (uint64_t)sector * ix->sector_size < live_size(in);
	if (ix->model.hole == MODEL_HOLE_GARBAGE)
		return (struct stale_sector){garbage(ix, inode, sector), 0};
	return sector < ix->memory->stale_count ? ix->memory->stale[sector]
						: (struct stale_sector){NULL, 0};
}

/* The version in which a partial overwrite has damaged the rest of its sector (D9), as far as the
 * file reaches; NULL when there is no rest. */
static const uint8_t *damaged(const struct trace_index *ix, uint32_t inode, uint32_t sector,
			      uint64_t from, uint64_t to, const uint8_t *content)
{
	uint64_t begin = (uint64_t)sector * ix->sector_size;
	uint64_t size = live_size(&ix->inodes[inode]);
	uint64_t end = size > begin + to ? size - begin : to;

	end = end < ix->sector_size ? end : ix->sector_size;
	if (!ix->model.no_psow || (from == 0 && to == end))
		return NULL;
	uint8_t *bytes = garbage(ix, inode, sector);
	memcpy(bytes + from, content + from, to - from);
	memset(bytes + end, 0, ix->sector_size - end);
	return bytes;
}

/* Adds the versions that writing data[size] at `offset` creates, and its changes of size: one for
 * the write, or, where the write may end after any of its sectors (D4), one for each. */
static void add_write(struct trace_index *ix, uint32_t number, uint64_t position, uint64_t offset,
		      uint64_t size, const uint8_t *data)
{
	struct index_inode *inode = &ix->inodes[number];
	uint64_t ss = ix->sector_size, old_size = live_size(inode), end = offset + size;
	uint64_t new_blocks =
	    (old_size + MODEL_BLOCK_SIZE - 1) / MODEL_BLOCK_SIZE * MODEL_BLOCK_SIZE;
	bool lines = ix->model.reorder != MODEL_REORDER_ANY;

	for (uint64_t at = offset; at < end;) {
		uint32_t sector = (uint32_t)(at / ss);
		uint64_t in_sector = at % ss;
		uint64_t n = ss - in_sector < end - at ? ss - in_sector : end - at;
		struct index_version v = {.position = position, .kind = INDEX_WRITE};
		struct index_sector *s = sector_at(inode, sector);
		if (n == ss) {
			v.content = data + (at - offset);
		} else {
			uint8_t *copy = arena_alloc(&ix->memory->arena, ss);
			memcpy(copy, live_content(ix, s), ss);
			memcpy(copy + in_sector, data + (at - offset), n);
			v.content = copy;
		}
		if (position != 0) {
			bool covered = false;
			struct stale_sector stale = hole(ix, number, sector, &covered);
			if (!covered) {
				v.hole = stale.content;
				v.hole_inode = stale.inode;
			} else if (stale.content != NULL) {
				struct index_version shown = v;
				shown.content = stale.content;
				add_version(ix, inode, sector, shown);
			}
			const uint8_t *bad =
			    damaged(ix, number, sector, in_sector, in_sector + n, v.content);
			if (bad != NULL) {
				struct index_version twin = v;
				twin.content = bad;
				twin.prefix = add_piece(ix, inode, position);
				add_version(ix, inode, sector, twin);
				if (lines && at + n > live_size(inode))
					add_meta(inode, position, at + n, twin.prefix, false);
			}
			v.with_size = ix->model.size_after_data && end > old_size &&
				      (uint64_t)sector * ss >= new_blocks;
			v.prefix = add_piece(ix, inode, position);
		}
		add_version(ix, inode, sector, v);
		at += n;
		if (position != 0 && (lines || at == end) && at > live_size(inode))
			add_meta(inode, position, at, v.prefix, false);
	}
}

/* Remembers what a sector of a deleted file, or part of one, held. */
static void remember_stale(struct trace_index *ix, uint32_t inode, uint32_t sector,
			   const struct index_sector *s)
{
	struct trace_index_memory *m = ix->memory;

	if (ix->model.hole != MODEL_HOLE_STALE || s->count == 0 ||
	    s->versions[s->count - 1].kind == INDEX_DROP)
		return;
	if (sector >= m->stale_count) {
		uint32_t count = sector + 64;
		m->stale = xrealloc(m->stale, count * sizeof *m->stale);
		memset(m->stale + m->stale_count, 0, (count - m->stale_count) * sizeof *m->stale);
		m->stale_count = count;
	}
	m->stale[sector] = (struct stale_sector){
	    s->versions[s->count - 1].content, s->versions[s->count - 1].position == 0 ? inode : 0};
}

static void add_truncate(struct trace_index *ix, uint32_t number, uint64_t position, uint64_t size)
{
	struct index_inode *inode = &ix->inodes[number];
	uint64_t ss = ix->sector_size, old = live_size(inode);

	if (size == old)
		return;
	uint32_t prefix = add_piece(ix, inode, position);
	if (size < old) {
		if (size % ss != 0) {
			uint32_t sector = (uint32_t)(size / ss);
			uint8_t *copy = arena_alloc(&ix->memory->arena, ss);
			memcpy(copy, live_content(ix, sector_at(inode, sector)), ss);
			memset(copy + size % ss, 0, ss - size % ss);
			add_version(ix, inode, sector,
				    (struct index_version){.position = position,
							   .content = copy,
							   .prefix = prefix,
							   .kind = INDEX_CUT,
							   .cut = (uint16_t)(size % ss)});
		}
		/* Also where nothing was ever written: what is written there later belongs to the
		 * next epoch. */
		for (uint64_t s = (size + ss - 1) / ss; s * ss < old; s++) {
			remember_stale(ix, number, (uint32_t)s, sector_at(inode, (uint32_t)s));
			add_version(ix, inode, (uint32_t)s,
				    (struct index_version){.position = position,
							   .content = ix->zero_sector,
							   .prefix = prefix,
							   .kind = INDEX_DROP});
		}
	}
	add_meta(inode, position, size, prefix, true);
}

/* A file lost its last name: what it held may show up in another's holes. */
static void drop_link(struct trace_index *ix, uint32_t number)
{
	struct index_inode *inode = &ix->inodes[number];

	if (number == 0 || --inode->link_count > 0)
		return;
	for (uint32_t s = 0; s < inode->sector_count; s++)
		remember_stale(ix, number, s, &inode->sectors[s]);
}

static void add_name_op(struct trace_index *ix, uint64_t position)
{
	const struct op *op = trace_at(ix->trace, position);
	struct index_name_op *n = index_name_op_at(ix, position);
	uint32_t to = op->kind == OP_RENAME || op->kind == OP_LINK ? op->name2 : op->name;
	struct index_directory *d = &ix->directories[n->directory];

	d->changes = xgrow(d->changes, d->change_count, &d->change_cap, sizeof *d->changes);
	d->changes[d->change_count++] = position;
	if (ix->model.reorder == MODEL_REORDER_NONE)
		n->prefix = add_piece(ix, NULL, position);
	/* What the name stood for until then. A rename onto another name of the same file leaves
	 * one name less, like any other. */
	drop_link(ix, index_live_inode(ix, to, position - 1));
	if (op->kind == OP_CREATE || op->kind == OP_LINK)
		ix->inodes[op->inode].link_count++;
	if (op->kind == OP_CREATE)
		ix->inodes[op->inode].created = position;
}

/* ---- build --------------------------------------------------------------------------------- */

static int index_op(struct trace_index *ix, uint64_t position, struct err *err)
{
	const struct op *op = trace_at(ix->trace, position);

	ASSERT(op->inode != 0 || (op->kind != OP_WRITE && op->kind != OP_TRUNCATE));
	switch (op->kind) {
	case OP_WRITE:
		if (op->offset + op->size > INDEX_FILE_SIZE_MAX)
			break;
		add_write(ix, op->inode, position, op->offset, op->size, op->data);
		return 0;
	case OP_TRUNCATE:
		if (op->size > INDEX_FILE_SIZE_MAX)
			break;
		add_truncate(ix, op->inode, position, op->size);
		return 0;
	case OP_SYNC_END:
	case OP_DIRSYNC_END:
		if (op_is_sync(op))
			index_add_sync_end(ix, position);
		else
			index_add_failed_sync(ix, position);
		return 0;
	default:
		if (index_is_name_op(op))
			add_name_op(ix, position);
		return 0;
	}
	return err_set(err, ERR_LIMIT, "op %llu: a file grows beyond %llu bytes",
		       (unsigned long long)position, (unsigned long long)INDEX_FILE_SIZE_MAX);
}

/* Every operation on an inode must follow its appearance. */
static int check_inodes(const struct trace *t, struct err *err)
{
	uint8_t *known = xcalloc((size_t)t->inode_count + 1, 1);
	int rc = 0;

	for (size_t i = 0; i < t->base_count; i++)
		known[t->base[i].inode] = 1;
	for (size_t i = 0; i < t->op_count && rc == 0; i++) {
		const struct op *op = &t->ops[i];
		if (op->kind == OP_CREATE && known[op->inode])
			rc = err_set(err, ERR_INPUT, "op %zu: inode %u is created twice", i + 1,
				     op->inode);
		else if (op->kind == OP_CREATE)
			known[op->inode] = 1;
		else if (op->inode != 0 && !known[op->inode])
			rc = err_set(err, ERR_INPUT, "op %zu: inode %u was never created", i + 1,
				     op->inode);
	}
	free(known);
	return rc;
}

int trace_index_build(const struct trace *t, const struct model *m, struct trace_index **ret_index,
		      struct err *err)
{
	uint32_t sector_size = model_sector_size(m, t->device.sector_size_bytes);
	if (sector_size != 512 && sector_size != 4096)
		return err_set(err, ERR_INPUT,
			       "the trace was recorded with %u-byte sectors; choose --set "
			       "model.sector=512 or 4096",
			       sector_size);
	int rc = check_inodes(t, err);
	if (rc != 0)
		return rc;

	struct trace_index *ix = xcalloc(1, sizeof *ix);
	ix->trace = t;
	ix->model = *m;
	ix->model.name = NULL;
	ix->sector_size = sector_size;
	ix->memory = xcalloc(1, sizeof *ix->memory);
	arena_init(&ix->memory->arena);
	ix->zero_sector = xcalloc(1, sector_size);
	ix->zero_id = hash64(ix->zero_sector, sector_size, 0);
	ix->inodes = xcalloc((size_t)t->inode_count + 1, sizeof *ix->inodes);
	for (size_t i = 0; i < t->base_count; i++) {
		const struct trace_base *b = &t->base[i];
		ix->inodes[b->inode].link_count++;
		if (b->data == NULL)
			continue;
		if (b->size > INDEX_FILE_SIZE_MAX) {
			rc = err_set(err, ERR_LIMIT, "'%s' is larger than %llu bytes",
				     t->names[b->name], (unsigned long long)INDEX_FILE_SIZE_MAX);
			goto out;
		}
		ix->inodes[b->inode].base_size = b->size;
		add_write(ix, b->inode, 0, 0, b->size, b->data);
	}
	rc = index_build_groups(ix, err);
	for (uint64_t p = 1; p <= t->op_count && rc == 0; p++)
		rc = index_op(ix, p, err);
out:
	free(ix->memory->stale);
	ix->memory->stale = NULL;
	if (rc != 0) {
		trace_index_free(ix);
		return rc;
	}
	*ret_index = ix;
	return 0;
}

void trace_index_free(struct trace_index *ix)
{
	if (ix == NULL)
		return;
	for (uint32_t i = 1; ix->inodes != NULL && i <= ix->trace->inode_count; i++) {
		struct index_inode *inode = &ix->inodes[i];
		for (uint32_t s = 0; s < inode->sector_count; s++)
			free(inode->sectors[s].versions);
		free(inode->sectors);
		free(inode->metas);
		free(inode->syncs);
		free(inode->full_syncs);
		free(inode->misses);
		free(inode->line.positions);
		free(inode->touches);
	}
	for (size_t i = 0; i < ix->directory_count; i++) {
		free(ix->directories[i].path);
		free(ix->directories[i].syncs);
		free(ix->directories[i].changes);
	}
	free(ix->directories);
	free(ix->commits);
	free(ix->line.positions);
	free(ix->inodes);
	free(ix->groups);
	free(ix->group_of_name);
	free(ix->zero_sector);
	arena_release(&ix->memory->arena);
	free(ix->memory);
	free(ix);
}

/* ---- lookups ------------------------------------------------------------------------------- */

const struct index_version *index_version_at(const struct index_sector *s, uint64_t position)
{
	uint32_t lo = 0, hi = s->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (s->versions[mid].position <= position)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo == 0 ? NULL : &s->versions[lo - 1];
}

size_t index_meta_until(const struct index_inode *inode, uint64_t position)
{
	size_t lo = 0, hi = inode->meta_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (inode->metas[mid].position <= position)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

size_t index_line_until(const struct index_line *l, uint64_t position)
{
	size_t lo = 0, hi = l->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (l->positions[mid] <= position)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool index_is_storage_op(const struct op *op)
{
	return op->kind == OP_WRITE || op->kind == OP_TRUNCATE || index_is_name_op(op);
}
