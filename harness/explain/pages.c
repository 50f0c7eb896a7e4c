/*
 * See pages.h. Three parts: what is kept of a page that was read (links), the walk over them
 * (trees, then the freelist, then the pages that are what they are by number), and the schema.
 *
 * The schema's own tree is walked first. Its rows are read again only when one of its pages was.
 */
#include "harness/explain/pages.h"

#include "faultinject/base/assert.h"
#include "faultinject/format/btree.h"
#include "faultinject/format/record.h"
#include "harness/explain/clean.h"

#include <stdlib.h>
#include <string.h>

enum {
	SCHEMA_ROOT = 1,
	SCHEMA_ROW_MAX = 8192, /* bytes of a schema row that are read: what stands before its SQL */
	LINKS_MAX = 1 << 23,   /* of all pages together */
};

/* What a page of a tree points at. */
struct links {
	bool read;
	bool leaf;
	uint32_t *children; /* owned */
	uint32_t child_count;
	uint32_t *overflows; /* owned: the first page of each chain */
	uint32_t overflow_count;
};

struct tree {
	char *name; /* owned, clean: "table orders" */
	uint32_t root;
};

struct use {
	uint8_t kind;
	uint32_t tree; /* index + 1 into trees; 0 = none */
};

struct pages {
	struct links *links; /* [page], link_cap of them; owned */
	size_t link_cap;
	uint64_t link_total;
	struct use *uses; /* [page], use_count of them; owned */
	size_t use_count, use_cap;
	struct tree *trees; /* owned; the first is the schema */
	size_t tree_count, tree_cap;
	size_t schema_pages; /* of its tree, when its rows were read */
	uint32_t *stack;     /* of the walk; owned */
	size_t stack_count, stack_cap;

	/* Of the walk that is going on. */
	const struct page_source *from;
	struct database_header header;
	uint64_t *visits;
	bool complete;
	bool reread; /* a page of the tree in hand was read from its bytes */
};

struct pages *pages_create(void)
{
	return xcalloc(1, sizeof(struct pages));
}

static void links_clear(struct pages *p, struct links *l)
{
	p->link_total -= l->child_count + l->overflow_count;
	free(l->children);
	free(l->overflows);
	*l = (struct links){0};
}

static void trees_clear(struct pages *p)
{
	for (size_t i = 0; i < p->tree_count; i++)
		free(p->trees[i].name);
	p->tree_count = 0;
	p->schema_pages = 0;
}

void pages_free(struct pages *p)
{
	if (p == NULL)
		return;
	pages_changed(p, 0);
	trees_clear(p);
	free(p->links);
	free(p->uses);
	free(p->trees);
	free(p->stack);
	free(p);
}

void pages_changed(struct pages *p, uint32_t number)
{
	if (number == 0)
		for (size_t i = 0; i < p->link_cap; i++)
			links_clear(p, &p->links[i]);
	else if (number < p->link_cap)
		links_clear(p, &p->links[number]);
}

/* ---- one page ---- */

static bool is_there(const struct pages *p, uint32_t number)
{
	return number >= 1 && number < p->use_count;
}

/* False: it is taken, or there is no such page. */
static bool claim(struct pages *p, uint32_t number, enum page_kind kind, uint32_t tree)
{
	if (*p->visits == 0) {
		p->complete = false;
		return false;
	}
	--*p->visits;
	if (!is_there(p, number) || p->uses[number].kind != PAGE_UNKNOWN)
		return false;
	p->uses[number] = (struct use){.kind = (uint8_t)kind, .tree = tree};
	return true;
}

static const uint8_t *bytes_of(const struct pages *p, uint32_t number)
{
	return p->from->page(p->from->ctx, number);
}

/* Reads a page of a tree, unless what was read still holds. NULL: it is none. */
static const struct links *links_of(struct pages *p, uint32_t number)
{
	struct links *l = &p->links[number];
	struct btree_page page;
	const uint8_t *bytes;

	if (l->read)
		return l;
	p->reread = true;
	bytes = bytes_of(p, number);
	if (bytes == NULL || !btree_page_read(bytes, number, &p->header, &page))
		return NULL;
	if (p->link_total + page.cell_count + 1 > LINKS_MAX) {
		p->complete = false;
		return NULL;
	}
	l->leaf = btree_is_leaf(&page);
	if (!l->leaf)
		l->children = xcalloc((size_t)page.cell_count + 1, sizeof *l->children);
	for (uint32_t i = 0; i < page.cell_count; i++) {
		struct btree_cell c;

		if (!btree_cell_read(&page, i, &c))
			continue;
		if (!l->leaf)
			l->children[l->child_count++] = c.left_child;
		if (c.overflow == 0)
			continue;
		if (l->overflows == NULL)
			l->overflows = xcalloc(page.cell_count, sizeof *l->overflows);
		l->overflows[l->overflow_count++] = c.overflow;
	}
	if (!l->leaf)
		l->children[l->child_count++] = page.right_child;
	p->link_total += l->child_count + l->overflow_count;
	l->read = true;
	return l;
}

/* ---- trees ---- */

static void walk_overflow(struct pages *p, uint32_t first, uint32_t tree)
{
	for (uint32_t number = first; claim(p, number, PAGE_OVERFLOW, tree);) {
		const uint8_t *bytes = bytes_of(p, number);

		if (bytes == NULL)
			return;
		number = get_be32(bytes);
	}
}

static void push(struct pages *p, uint32_t number)
{
	p->stack = xgrow(p->stack, p->stack_count, &p->stack_cap, sizeof *p->stack);
	p->stack[p->stack_count++] = number;
}

/* Children are claimed when their parent is read, so that the stack holds no page twice. Returns
 * how many pages the tree has, without overflow pages. */
static size_t walk_tree(struct pages *p, uint32_t root, uint32_t tree)
{
	size_t count = 0;

	p->stack_count = 0;
	if (claim(p, root, PAGE_ROOT, tree))
		push(p, root);
	while (p->stack_count > 0) {
		uint32_t number = p->stack[--p->stack_count];
		const struct links *l = links_of(p, number);
		struct use *u = &p->uses[number];

		if (l == NULL) {
			*u = (struct use){.kind = PAGE_UNKNOWN};
			continue;
		}
		count++;
		if (number == root)
			u->kind = l->leaf ? PAGE_ONLY : PAGE_ROOT;
		else
			u->kind = l->leaf ? PAGE_LEAF : PAGE_INTERIOR;
		for (uint32_t i = 0; i < l->child_count; i++)
			if (claim(p, l->children[i], PAGE_LEAF, tree))
				push(p, l->children[i]);
		for (uint32_t i = 0; i < l->overflow_count; i++)
			walk_overflow(p, l->overflows[i], tree);
	}
	return count;
}

/* ---- the schema ---- */

/* The first bytes of a cell's payload, with what is on overflow pages. */
static size_t payload_read(struct pages *p, const struct btree_cell *c, uint8_t *ret)
{
	uint64_t want = c->payload_size < SCHEMA_ROW_MAX ? c->payload_size : SCHEMA_ROW_MAX;
	size_t have = c->local_size < want ? c->local_size : (size_t)want;
	uint32_t next = c->overflow;
	const uint8_t *bytes;

	memcpy(ret, c->local, have);
	/* Each page has something, so that a ring ends, too. */
	while (have < want && is_there(p, next) && (bytes = bytes_of(p, next)) != NULL) {
		size_t part = p->header.usable_size - OVERFLOW_HEADER_SIZE;

		if (part > want - have)
			part = (size_t)want - have;
		memcpy(ret + have, bytes + OVERFLOW_HEADER_SIZE, part);
		have += part;
		next = get_be32(bytes);
	}
	return have;
}

static bool is_text(const struct pages *p, const struct record_value *v, const char *text)
{
	size_t n = strlen(text);
	bool wide = p->header.encoding >= 2;

	if (v->type != RECORD_TEXT || v->here != (wide ? 2 * n : n))
		return false;
	for (size_t i = 0; i < n; i++)
		if (v->bytes[wide ? 2 * i + (p->header.encoding == 3) : i] != (uint8_t)text[i])
			return false;
	return true;
}

static void add_tree(struct pages *p, const char *kind, const struct record_value *name,
		     uint32_t root)
{
	struct buf text;

	if (p->tree_count == PAGES_TREES_MAX) {
		p->complete = false;
		return;
	}
	buf_init(&text);
	buf_printf(&text, "%s ", kind);
	if (p->header.encoding >= 2)
		clean_append_utf16(&text, name->bytes, name->here, p->header.encoding == 3,
				   PAGES_NAME_MAX);
	else
		clean_append(&text, name->bytes, name->here, PAGES_NAME_MAX);
	p->trees = xgrow(p->trees, p->tree_count, &p->tree_cap, sizeof *p->trees);
	p->trees[p->tree_count++] = (struct tree){xstrdup(buf_str(&text)), root};
	buf_release(&text);
}

/* A row of sqlite_schema: type, name, tbl_name, rootpage, sql. Views, triggers and virtual tables
 * have no root. */
static void read_row(struct pages *p, const uint8_t *payload, size_t size)
{
	struct record r;
	struct record_value type, name, table, root;

	if (!record_read(payload, size, &r) || !record_next(&r, &type) || !record_next(&r, &name) ||
	    !record_next(&r, &table) || !record_next(&r, &root) || name.type != RECORD_TEXT ||
	    root.type != RECORD_INTEGER || root.integer < 2 || root.integer > UINT32_MAX)
		return;
	if (is_text(p, &type, "table"))
		add_tree(p, "table", &name, (uint32_t)root.integer);
	else if (is_text(p, &type, "index"))
		add_tree(p, "index", &name, (uint32_t)root.integer);
}

static void read_schema(struct pages *p)
{
	uint8_t *row = xmalloc(SCHEMA_ROW_MAX), *page = xmalloc(p->from->page_size);

	trees_clear(p);
	p->trees = xgrow(p->trees, 0, &p->tree_cap, sizeof *p->trees);
	p->trees[p->tree_count++] = (struct tree){xstrdup("the schema"), SCHEMA_ROOT};
	for (uint32_t number = 1; number < p->use_count; number++) {
		const struct use *u = &p->uses[number];
		struct btree_page b;
		const uint8_t *bytes;

		if (u->kind != PAGE_ONLY && u->kind != PAGE_LEAF)
			continue;
		bytes = bytes_of(p, number);
		if (bytes == NULL)
			continue;
		/* Rows may go on in other pages, and only one is borrowed at a time. */
		memcpy(page, bytes, p->from->page_size);
		if (!btree_page_read(page, number, &p->header, &b) || b.kind != BTREE_TABLE_LEAF)
			continue;
		for (uint32_t i = 0; i < b.cell_count; i++) {
			struct btree_cell c;

			if (btree_cell_read(&b, i, &c))
				read_row(p, row, payload_read(p, &c, row));
		}
	}
	free(page);
	free(row);
}

/* ---- all of it ---- */

static void walk_freelist(struct pages *p, uint32_t trunk)
{
	while (claim(p, trunk, PAGE_FREE_TRUNK, 0)) {
		const uint8_t *bytes = bytes_of(p, trunk);
		struct free_trunk t;

		if (bytes == NULL || !free_trunk_read(bytes, &p->header, &t))
			return;
		for (uint32_t i = 0; i < t.leaf_count; i++)
			(void)claim(p, get_be32(t.leaves + (size_t)4 * i), PAGE_FREE, 0);
		trunk = t.next;
	}
}

static void make_room(struct pages *p, size_t count)
{
	if (count > p->link_cap) {
		p->links = xrealloc(p->links, count * sizeof *p->links);
		memset(p->links + p->link_cap, 0, (count - p->link_cap) * sizeof *p->links);
		p->link_cap = count;
	}
	if (count > p->use_cap) {
		p->uses = xrealloc(p->uses, count * sizeof *p->uses);
		p->use_cap = count;
	}
	p->use_count = count;
	memset(p->uses, 0, count * sizeof *p->uses);
}

bool pages_look(struct pages *p, const struct page_source *from, uint64_t *visits)
{
	const uint8_t *first;
	uint32_t count = from->page_count;
	size_t schema_pages;

	p->from = from;
	p->visits = visits;
	p->complete = count <= PAGES_MAX;
	p->use_count = 0;
	if (count > PAGES_MAX)
		count = PAGES_MAX;
	first = count == 0 ? NULL : from->page(from->ctx, 1);
	if (first == NULL || !database_header_read(first, from->page_size, &p->header) ||
	    p->header.page_size != from->page_size)
		return p->complete;
	make_room(p, (size_t)count + 1);
	(void)claim(p, database_lock_page(&p->header), PAGE_LOCK, 0);
	if (p->header.auto_vacuum)
		for (uint32_t n = 2; n <= count; n++)
			if (database_is_pointer_map(&p->header, n))
				(void)claim(p, n, PAGE_POINTER_MAP, 0);
	p->reread = false;
	schema_pages = walk_tree(p, SCHEMA_ROOT, 1);
	if (p->reread || schema_pages != p->schema_pages || p->tree_count == 0) {
		read_schema(p);
		p->schema_pages = schema_pages;
	}
	for (size_t i = 1; i < p->tree_count; i++)
		(void)walk_tree(p, p->trees[i].root, (uint32_t)i + 1);
	walk_freelist(p, p->header.free_trunk);
	return p->complete;
}

/* ---- answers ---- */

enum page_kind pages_kind(const struct pages *p, uint32_t number)
{
	return is_there(p, number) ? (enum page_kind)p->uses[number].kind : PAGE_UNKNOWN;
}

const char *pages_tree(const struct pages *p, uint32_t number)
{
	uint32_t tree = is_there(p, number) ? p->uses[number].tree : 0;

	return tree == 0 || tree > p->tree_count ? "" : p->trees[tree - 1].name;
}

bool pages_words(const struct pages *p, uint32_t number, struct buf *ret)
{
	const char *tree = pages_tree(p, number);

	if (number == 1 && pages_kind(p, 1) != PAGE_UNKNOWN)
		buf_printf(ret, "header and ");
	switch (pages_kind(p, number)) {
	case PAGE_UNKNOWN:
		return false;
	case PAGE_ROOT:
		buf_printf(ret, "root of %s", tree);
		break;
	case PAGE_ONLY:
		buf_printf(ret, "%s%s", number == 1 ? "" : "only page of ",
			   number == 1 ? "schema" : tree);
		break;
	case PAGE_LEAF:
		buf_printf(ret, "leaf of %s", tree);
		break;
	case PAGE_INTERIOR:
		buf_printf(ret, "interior page of %s", tree);
		break;
	case PAGE_OVERFLOW:
		buf_printf(ret, "overflow page of %s", tree);
		break;
	case PAGE_FREE_TRUNK:
		buf_printf(ret, "trunk of the freelist");
		break;
	case PAGE_FREE:
		buf_printf(ret, "free page");
		break;
	case PAGE_POINTER_MAP:
		buf_printf(ret, "pointer map");
		break;
	case PAGE_LOCK:
		buf_printf(ret, "lock-byte page");
		break;
	}
	return true;
}
