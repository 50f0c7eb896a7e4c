/* See leaves.h. */
#include "harness/drive/leaves.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"
#include "faultinject/format/btree.h"

#include <stdlib.h>

struct walk {
	const struct image *image;
	size_t file;
	struct database_header header;
	uint8_t *seen;	/* [page]: 1 = met before */
	uint8_t *pages; /* a page for each depth */
	bool started;	/* `last` is a rowid */
	int64_t last;
	struct leaf_list *list;
};

/* A page that nothing met before. */
static const uint8_t *visit(struct walk *w, uint32_t page, uint32_t depth)
{
	uint8_t *buf = w->pages + (size_t)depth * w->header.page_size;

	if (page == 0 || page > w->image->files[w->file].page_count || w->seen[page] != 0)
		return NULL;
	w->seen[page] = 1;
	return image_page(w->image, w->file, page, w->header.page_size, buf) ? buf : NULL;
}

/* Adds the pages of a payload that does not fit on its leaf. */
static bool hash_overflow(struct walk *w, const struct btree_cell *c, uint64_t *hash)
{
	const struct image_file *f = &w->image->files[w->file];
	uint32_t room = w->header.usable_size - OVERFLOW_HEADER_SIZE;
	uint32_t page = c->overflow;

	for (uint64_t left = c->payload_size - c->local_size; left > 0;) {
		uint8_t next[OVERFLOW_HEADER_SIZE];
		if (page == 0 || page > f->page_count || w->seen[page] != 0 ||
		    f->contents[page] == CRASHDISK_OPEN ||
		    !image_page(w->image, w->file, page, sizeof next, next))
			return false;
		w->seen[page] = 1;
		*hash = hash_mix(*hash, f->contents[page]);
		page = get_be32(next);
		left -= left < room ? left : room;
	}
	return true;
}

/* A rowid in its place: above all before it, and not above `max`. */
static bool advance(struct walk *w, int64_t rowid, int64_t max)
{
	if ((w->started && rowid <= w->last) || rowid > max)
		return false;
	w->started = true;
	w->last = rowid;
	return true;
}

static bool walk_leaf(struct walk *w, const struct btree_page *p, uint32_t page, int64_t max)
{
	struct leaf leaf = {.content = w->image->files[w->file].contents[page],
			    .row_count = p->cell_count};
	struct btree_cell c;

	for (uint32_t i = 0; i < p->cell_count; i++) {
		if (!btree_cell_read(p, i, &c) || !advance(w, c.rowid, max) ||
		    (c.overflow != 0 && !hash_overflow(w, &c, &leaf.content)))
			return false;
		if (i == 0)
			leaf.first = c.rowid;
	}
	leaf.last = w->last;
	if (p->cell_count == 0)
		return true;
	w->list->items =
	    xgrow(w->list->items, w->list->count, &w->list->cap, sizeof *w->list->items);
	w->list->items[w->list->count++] = leaf;
	return true;
}

static bool walk(struct walk *w, uint32_t page, uint32_t depth, int64_t max)
{
	const uint8_t *bytes = depth < BTREE_DEPTH_MAX ? visit(w, page, depth) : NULL;
	struct btree_page p;
	struct btree_cell c;

	if (bytes == NULL || !btree_page_read(bytes, page, &w->header, &p))
		return false;
	/* Only a table without rows has a page without cells. */
	if (p.cell_count == 0 && (depth > 0 || !btree_is_leaf(&p)))
		return false;
	if (p.kind == BTREE_TABLE_LEAF)
		return walk_leaf(w, &p, page, max);
	if (p.kind != BTREE_TABLE_INTERIOR)
		return false;
	for (uint32_t i = 0; i < p.cell_count; i++) {
		/* Rows up to and with the key of a cell are below it. */
		if (!btree_cell_read(&p, i, &c) || c.rowid > max ||
		    !walk(w, c.left_child, depth + 1, c.rowid) || (w->started && w->last > c.rowid))
			return false;
		w->last = c.rowid;
		w->started = true;
	}
	return walk(w, p.right_child, depth + 1, max);
}

bool leaves_list(const struct image *image, size_t file, uint32_t root, struct leaf_list *ret)
{
	struct walk w = {.image = image, .file = file, .list = ret};
	uint8_t header[DATABASE_HEADER_SIZE];

	*ret = (struct leaf_list){0};
	if (!image_page(image, file, 1, sizeof header, header) ||
	    !database_header_read(header, sizeof header, &w.header) ||
	    w.header.page_size != image->files[file].page_size)
		return false;
	w.seen = xcalloc((size_t)image->files[file].page_count + 1, 1);
	w.pages = xmalloc((size_t)BTREE_DEPTH_MAX * w.header.page_size);
	bool sound = walk(&w, root, 0, INT64_MAX);
	free(w.seen);
	free(w.pages);
	return sound;
}

void leaves_release(struct leaf_list *list)
{
	free(list->items);
	*list = (struct leaf_list){0};
}
