/*
 * Facts that the enumerator's rules need, each found by scanning the operations: what a sync keeps
 * (D7, D8), what a hole shows (D6), what a partial overwrite damages (D9). See enumerate.h.
 */
#include "harness/explore/enumerate_internal.h"

#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>

void *enumerate_zeros(struct arena *arena, size_t count, size_t size)
{
	return memset(arena_alloc(arena, count * size + 1), 0, count * size);
}

bool enumerate_is_content(const struct op *op)
{
	return (op->kind == OP_WRITE && op->size > 0) || op->kind == OP_TRUNCATE;
}

void enumerate_names_of(const struct op *op, uint32_t ret_names[2])
{
	ret_names[0] =
	    op->kind == OP_CREATE || op->kind == OP_UNLINK || op->kind == OP_RENAME ? op->name : 0;
	ret_names[1] = op->kind == OP_RENAME || op->kind == OP_LINK ? op->name2 : 0;
}

bool enumerate_is_failed(const struct op *op)
{
	return (op->flags & OP_SYNC_FAILED) != 0;
}

/* Is the operation the end of a sync of this file or, with inode 0, of the directory of `name`? */
static bool ends_sync(const struct enumeration *e, const struct op *op, uint32_t inode,
		      uint32_t name)
{
	char directory[TRACE_NAME_MAX + 1];

	if (enumerate_is_failed(op))
		return false;
	if (inode != 0)
		return op->kind == OP_SYNC_END && op->inode == inode;
	trace_dirname(e->t->names[name], directory, sizeof directory);
	return op->kind == OP_DIRSYNC_END && strcmp(e->t->names[op->name], directory) == 0;
}

/* The latest begin of such a sync that had ended by `position`. */
static uint64_t synced(const struct enumeration *e, uint32_t inode, uint32_t name, bool full,
		       uint64_t position)
{
	uint64_t d = 0;

	for (uint64_t p = 1; p <= position && e->model->fsync != MODEL_FSYNC_LIES; p++) {
		const struct op *op = trace_at(e->t, p);
		if (ends_sync(e, op, inode, name) && op->offset > d &&
		    !(full && (trace_at(e->t, op->offset)->flags & OP_SYNC_DATA) != 0))
			d = op->offset;
	}
	return d;
}

uint64_t enumerate_data_durable(const struct enumeration *e, uint32_t inode, uint64_t position)
{
	return synced(e, inode, 0, false, position);
}

/* Did a sync of the file that failed begin after `p` and before `until`? */
static bool failed_between(const struct enumeration *e, uint32_t inode, uint64_t p, uint64_t until)
{
	for (uint64_t f = p + 1; f <= e->t->op_count && e->model->fsync != MODEL_FSYNC_LIES; f++) {
		const struct op *op = trace_at(e->t, f);
		if (op->kind == OP_SYNC_END && op->inode == inode && enumerate_is_failed(op) &&
		    op->offset > p && op->offset < until)
			return true;
	}
	return false;
}

bool enumerate_content_kept(const struct enumeration *e, uint64_t p)
{
	uint32_t inode = trace_at(e->t, p)->inode;

	for (uint64_t s = p; s <= e->position && e->model->fsync != MODEL_FSYNC_LIES; s++) {
		const struct op *op = trace_at(e->t, s);
		if (ends_sync(e, op, inode, 0) && op->offset > p && !failed_between(e, inode, p, s))
			return true;
	}
	return false;
}

bool enumerate_content_failed(const struct enumeration *e, uint64_t p)
{
	return !enumerate_content_kept(e, p) &&
	       failed_between(e, trace_at(e->t, p)->inode, p, e->position + 1);
}

uint64_t enumerate_meta_durable(const struct enumeration *e, uint32_t inode, uint64_t position)
{
	uint64_t meta = synced(e, inode, 0, false, position);

	/* A commit by another file's sync has truncations, not growth by writes. */
	for (uint64_t p = meta + 1; p <= e->commits[position]; p++)
		if (e->resized[p] && trace_at(e->t, p)->inode == inode &&
		    trace_at(e->t, p)->kind == OP_TRUNCATE)
			meta = p;
	return meta;
}

/* The name that the operation gives or takes; of a rename, the one that it gives. */
static uint32_t name_changed(const struct op *op)
{
	uint32_t of[2];

	enumerate_names_of(op, of);
	return of[1] != 0 ? of[1] : of[0];
}

static bool name_durable_at(const struct enumeration *e, uint64_t p, uint64_t position)
{
	const struct op *op = trace_at(e->t, p);

	return p <= e->commits[position] || p <= synced(e, 0, name_changed(op), false, position) ||
	       (e->model->fsync_entry &&
		p <= synced(e, e->about[p], 0, op->kind != OP_CREATE, position));
}

bool enumerate_name_durable(const struct enumeration *e, uint64_t p)
{
	return name_durable_at(e, p, e->position);
}

/* ---- facts of the whole trace ---- */

/* A file as the processes see it. */
struct image {
	uint8_t *data;
	bool *written; /* [sector]: since it was last dropped */
	uint64_t size;
	uint32_t links;
};

static void free_sector(struct enumeration *e, const struct image *image, size_t s, uint64_t p)
{
	if (!image->written[s])
		return;
	e->freed = xgrow(e->freed, e->freed_count, &e->freed_cap, sizeof *e->freed);
	struct freed *f = &e->freed[e->freed_count++];
	*f = (struct freed){p, (uint32_t)s, xmalloc(e->ss)};
	memcpy(f->data, image->data + s * e->ss, e->ss);
}

static void unlink_image(struct enumeration *e, struct image *image, uint64_t p)
{
	if (--image->links > 0)
		return;
	for (size_t s = 0; s < e->sectors; s++)
		free_sector(e, image, s, p);
}

static void apply_content(struct enumeration *e, struct image *image, const struct op *op,
			  uint64_t p)
{
	uint64_t end = op->offset + op->size, old = image->size;

	if (op->kind == OP_WRITE) {
		memcpy(image->data + op->offset, op->data, op->size);
		for (uint64_t s = op->offset / e->ss; s * e->ss < end; s++)
			image->written[s] = true;
		image->size = end > old ? end : old;
		return;
	}
	for (uint64_t s = end / e->ss; s * e->ss < old && end < old; s++) {
		if (s * e->ss >= end)
			free_sector(e, image, s, p);
		image->written[s] = s * e->ss < end;
	}
	if (end < old)
		memset(image->data + end, 0, old - end);
	image->size = end;
}

/* Does this sync commit the metadata of all files? */
static bool is_commit(const struct enumeration *e, const struct op *end)
{
	uint64_t begin = end->offset;
	bool file = end->kind == OP_SYNC_END;

	if (e->model->reorder == MODEL_REORDER_NONE)
		return true;
	for (uint64_t p = 1; p <= begin && e->model->fsync_scope == MODEL_SCOPE_FILESYSTEM; p++) {
		const struct op *op = trace_at(e->t, p);
		uint32_t of[2];
		if (file && e->resized[p] && op->inode == end->inode &&
		    p > enumerate_meta_durable(e, end->inode, begin))
			return true;
		if (file && op->kind == OP_CREATE && op->inode == end->inode &&
		    !name_durable_at(e, p, begin))
			return true;
		enumerate_names_of(op, of);
		if (!file && of[0] + of[1] != 0 && ends_sync(e, end, 0, name_changed(op)) &&
		    p > e->commits[begin] && p > synced(e, 0, name_changed(op), false, begin))
			return true;
	}
	return false;
}

void enumerate_facts(struct enumeration *e)
{
	size_t inodes = (size_t)e->t->inode_count + 1, count = e->t->op_count + 1;
	struct image *images = xcalloc(inodes, sizeof *images);
	uint32_t *live = xcalloc((size_t)e->t->name_count + 1, sizeof *live);
	e->about = xcalloc(count, sizeof *e->about);
	e->resized = xcalloc(count, sizeof *e->resized);
	e->commits = xcalloc(count, sizeof *e->commits);
	for (size_t i = 0; i < inodes; i++) {
		images[i].data = xcalloc(e->sectors, e->ss);
		images[i].written = xcalloc(e->sectors, sizeof *images[i].written);
	}
	for (size_t i = 0; i < e->t->base_count; i++) {
		const struct trace_base *b = &e->t->base[i];
		live[b->name] = b->inode;
		images[b->inode].links++;
		if (b->data == NULL)
			continue;
		memcpy(images[b->inode].data, b->data, b->size);
		images[b->inode].size = b->size;
		for (size_t s = 0; s * e->ss < b->size; s++)
			images[b->inode].written[s] = true;
	}
	for (uint64_t p = 1; p < count; p++) {
		const struct op *op = trace_at(e->t, p);
		uint32_t of[2], inode;
		e->commits[p] = e->commits[p - 1];
		if (enumerate_is_content(op)) {
			uint64_t old = images[op->inode].size;
			apply_content(e, &images[op->inode], op, p);
			e->resized[p] = images[op->inode].size != old;
		}
		if ((op->kind == OP_SYNC_END || op->kind == OP_DIRSYNC_END) &&
		    !enumerate_is_failed(op) && e->model->fsync != MODEL_FSYNC_LIES &&
		    is_commit(e, op) && op->offset > e->commits[p])
			e->commits[p] = op->offset;
		enumerate_names_of(op, of);
		if (of[0] + of[1] == 0)
			continue;
		inode = op->kind == OP_UNLINK || op->kind == OP_RENAME ? live[op->name] : op->inode;
		e->about[p] = inode;
		if (live[name_changed(op)] != 0)
			unlink_image(e, &images[live[name_changed(op)]], p);
		images[inode].links += op->kind == OP_CREATE || op->kind == OP_LINK;
		live[of[0]] = op->kind == OP_CREATE ? inode : 0;
		if (of[1] != 0)
			live[of[1]] = inode;
	}
	for (size_t i = 0; i < inodes; i++) {
		free(images[i].data);
		free(images[i].written);
	}
	free(images);
	free(live);
}

void enumerate_facts_release(struct enumeration *e)
{
	for (size_t i = 0; i < e->freed_count; i++)
		free(e->freed[i].data);
	free(e->freed);
	free(e->about);
	free(e->resized);
	free(e->commits);
}

/* ---- contents ---- */

uint8_t *enumerate_hole(struct enumeration *e, uint32_t inode, uint32_t sector, uint64_t p)
{
	uint8_t *data = enumerate_zeros(&e->arena, 1, e->ss);

	if (e->model->hole == MODEL_HOLE_ZERO)
		return NULL;
	if (e->model->hole == MODEL_HOLE_GARBAGE) {
		model_garbage(e->model, inode, sector, data, e->ss);
		return data;
	}
	for (size_t i = e->freed_count; i-- > 0;)
		if (e->freed[i].position < p && e->freed[i].sector == sector)
			return memcpy(data, e->freed[i].data, e->ss);
	return NULL;
}

uint8_t *enumerate_damage(struct enumeration *e, uint32_t inode, uint32_t sector, uint64_t from,
			  uint64_t to, uint64_t size, const uint8_t *content)
{
	uint64_t end = size - sector * e->ss < e->ss ? size - sector * e->ss : e->ss;
	uint8_t *data = enumerate_zeros(&e->arena, 1, e->ss), *bad;

	if (!e->model->no_psow || (from == 0 && to == end))
		return NULL;
	bad = enumerate_zeros(&e->arena, 1, e->ss);
	model_garbage(e->model, inode, sector, bad, e->ss);
	for (uint64_t i = 0; i < end; i++)
		data[i] = i >= from && i < to ? content[i] : bad[i];
	return data;
}
