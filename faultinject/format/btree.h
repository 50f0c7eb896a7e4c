/*
 * Reads SQLite's database file format: the header, the pages of b-trees and of the freelist, and
 * where pointer maps and the lock-byte page are. Bytes in, nothing of SQLite's code, and nothing
 * believed: every offset is checked against the page.
 *
 * https://www.sqlite.org/fileformat2.html, sections 1.3 (header), 1.4 (lock-byte page), 1.5
 * (freelist), 1.6 (b-tree pages), 1.7 (overflow pages) and 1.8 (pointer maps). Numbers are
 * big-endian. Nothing here allocates or keeps anything; pages are borrowed.
 */
#ifndef FI_FORMAT_BTREE_H
#define FI_FORMAT_BTREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DATABASE_HEADER_SIZE = 100, /* at the start of page 1 */
	DATABASE_PAGE_SIZE_MIN = 512,
	DATABASE_PAGE_SIZE_MAX = 65536,
	BTREE_DEPTH_MAX = 20, /* BTCURSOR_MAX_DEPTH of btreeInt.h */
	OVERFLOW_HEADER_SIZE = 4,
	DATABASE_LOCK_BYTE = 0x40000000, /* the page with it holds nothing */
};

struct database_header {
	uint32_t page_size;
	uint32_t usable_size; /* bytes of a page that SQLite uses: the rest is reserved */
	uint32_t free_trunk;  /* first page of the freelist; 0 = it is empty */
	bool auto_vacuum;     /* ... or incremental vacuum: there are pointer maps */
	uint32_t encoding; /* of texts: 2 and 3 are UTF-16, little and big-endian, 0 and 1 UTF-8 */
};

/* A page of the freelist that lists others. */
struct free_trunk {
	uint32_t next; /* 0 = none */
	uint32_t leaf_count;
	const uint8_t *leaves; /* borrowed: page numbers, 4 bytes each */
};

enum btree_kind {
	BTREE_INDEX_INTERIOR = 2,
	BTREE_TABLE_INTERIOR = 5,
	BTREE_INDEX_LEAF = 10,
	BTREE_TABLE_LEAF = 13,
};

struct btree_page {
	enum btree_kind kind;
	const uint8_t *bytes; /* borrowed: the whole page */
	uint32_t usable_size;
	uint32_t cells_at; /* of the array of cell pointers */
	uint32_t cell_count;
	uint32_t right_child; /* interior pages; otherwise 0 */
};

struct btree_cell {
	uint32_t left_child;   /* interior pages; otherwise 0 */
	int64_t rowid;	       /* table pages; otherwise 0 */
	uint64_t payload_size; /* 0 on interior pages of tables */
	const uint8_t *local;  /* borrowed: the part of the payload that is on this page */
	uint32_t local_size;
	uint32_t overflow; /* first page of the rest; 0 = all is here */
};

/* False: no SQLite database, or sizes that cannot be. `size` bytes of page 1 are there. */
bool database_header_read(const uint8_t *page1, size_t size, struct database_header *ret);

/* `bytes`: a whole page; `number`: its number, from 1. False: no b-tree page, or one whose cell
 * pointers leave it. */
bool btree_page_read(const uint8_t *bytes, uint32_t number, const struct database_header *header,
		     struct btree_page *ret);

static inline bool btree_is_leaf(const struct btree_page *p)
{
	return p->kind == BTREE_TABLE_LEAF || p->kind == BTREE_INDEX_LEAF;
}

/* Cell i of the page, in the order of keys. False: it leaves the page. */
bool btree_cell_read(const struct btree_page *p, uint32_t i, struct btree_cell *ret);

/* False: it counts more leaves than fit on the page. */
bool free_trunk_read(const uint8_t *bytes, const struct database_header *header,
		     struct free_trunk *ret);

/* The page with the lock byte, which may lie behind the end. */
static inline uint32_t database_lock_page(const struct database_header *h)
{
	return DATABASE_LOCK_BYTE / h->page_size + 1;
}

/* Would a page be a pointer map in a database that has them? */
bool database_is_pointer_map(const struct database_header *h, uint32_t number);

/* A variable-length integer of at most 9 bytes in [p, end). Returns its size, or 0 when it leaves
 * that. */
size_t varint_read(const uint8_t *p, const uint8_t *end, uint64_t *ret);

/* Big-endian numbers. */
static inline uint32_t get_be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static inline uint32_t get_be32(const uint8_t *p)
{
	return get_be16(p) << 16 | get_be16(p + 2);
}

#endif
