/*
 * What each page of a database is, from the bytes of one state of it: which tree it belongs to and
 * what it is in it.
 *
 * The trees are walked from the schema (sqlite_schema, whose root is page 1), the free pages from
 * the header. https://www.sqlite.org/fileformat2.html: 1.3 the header, 1.4 the lock-byte page, 1.5
 * the freelist, 1.6 b-trees, 1.7 overflow, 1.8 pointer maps, 2.6 the schema. A page that two claim
 * belongs to the one that came first in the walk; nothing is visited twice, so that damaged files
 * end it, too. Does not check that a database is sound: PRAGMA integrity_check does.
 *
 * A struct pages keeps what it read of a page until it is told that the page has changed, so that
 * the walk of the next state costs a step a page.
 */
#ifndef EXPLAIN_PAGES_H
#define EXPLAIN_PAGES_H

#include "faultinject/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PAGES_MAX = 1 << 20,	   /* pages of a database that are looked at */
	PAGES_TREES_MAX = 1 << 14, /* trees that are told apart */
	PAGES_NAME_MAX = 64,	   /* bytes of a tree's name in a text */
};

enum page_kind {
	PAGE_UNKNOWN, /* of no tree, not free */
	PAGE_ROOT,    /* of a tree that has more pages */
	PAGE_LEAF,
	PAGE_ONLY, /* root and leaf in one */
	PAGE_INTERIOR,
	PAGE_OVERFLOW,
	PAGE_FREE_TRUNK,
	PAGE_FREE,
	PAGE_POINTER_MAP,
	PAGE_LOCK,
};

/* Where the bytes of a page are. */
struct page_source {
	/* Borrowed until the next call; page_size bytes. NULL: they are not there. */
	const uint8_t *(*page)(void *ctx, uint32_t number);
	void *ctx;
	uint32_t page_size;
	uint32_t page_count;
};

struct pages;

struct pages *pages_create(void);
void pages_free(struct pages *p); /* accepts NULL */

/* The bytes of a page are others now; 0: of every page. */
void pages_changed(struct pages *p, uint32_t number);

/* Walks the database as it is now. *visits is counted down, and the walk stops at 0. Returns
 * false when a maximum stopped it: pages that it has not reached are unknown then. */
bool pages_look(struct pages *p, const struct page_source *from, uint64_t *visits);

/* What the last walk found; PAGE_UNKNOWN for pages that are not there. */
enum page_kind pages_kind(const struct pages *p, uint32_t number);
/* The name of the tree, "" when it has none; borrowed until the next walk. */
const char *pages_tree(const struct pages *p, uint32_t number);

/* Appends "leaf of table orders", "header and root of the schema", "free"; "" for an unknown page.
 * Valid UTF-8 without control characters. Says nothing, and returns false, for an unknown page. */
bool pages_words(const struct pages *p, uint32_t number, struct buf *ret);

#endif
