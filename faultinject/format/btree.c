/* See btree.h. */
#include "faultinject/format/btree.h"

#include "faultinject/base/assert.h"

#include <string.h>

enum {
	HEADER_PAGE_SIZE = 16, /* 2 bytes; 1 = 65536 */
	HEADER_RESERVED = 20,  /* 1 byte */
	HEADER_FREE_TRUNK = 32,
	HEADER_LARGEST_ROOT = 52, /* not 0: auto-vacuum */
	HEADER_ENCODING = 56,
	TRUNK_HEADER_SIZE = 8,
	POINTER_MAP_ENTRY = 5, /* bytes */
	USABLE_SIZE_MIN = 480,
	PAGE_CELL_COUNT = 3,
	PAGE_RIGHT_CHILD = 8,
	LEAF_HEADER_SIZE = 8,
	INTERIOR_HEADER_SIZE = 12,
	POINTER_SIZE = 2,
};

static const char magic[16] = "SQLite format 3";

bool database_header_read(const uint8_t *page1, size_t size, struct database_header *ret)
{
	if (size < DATABASE_HEADER_SIZE || memcmp(page1, magic, sizeof magic) != 0)
		return false;
	uint32_t page_size = get_be16(page1 + HEADER_PAGE_SIZE);
	if (page_size == 1)
		page_size = DATABASE_PAGE_SIZE_MAX;
	if (page_size < DATABASE_PAGE_SIZE_MIN || (page_size & (page_size - 1)) != 0)
		return false;
	ret->page_size = page_size;
	ret->usable_size = page_size - page1[HEADER_RESERVED];
	ret->free_trunk = get_be32(page1 + HEADER_FREE_TRUNK);
	ret->auto_vacuum = get_be32(page1 + HEADER_LARGEST_ROOT) != 0;
	ret->encoding = get_be32(page1 + HEADER_ENCODING);
	return ret->usable_size >= USABLE_SIZE_MIN;
}

bool free_trunk_read(const uint8_t *bytes, const struct database_header *header,
		     struct free_trunk *ret)
{
	uint32_t count = get_be32(bytes + 4);

	if (count > (header->usable_size - TRUNK_HEADER_SIZE) / 4)
		return false;
	*ret = (struct free_trunk){
	    .next = get_be32(bytes), .leaf_count = count, .leaves = bytes + TRUNK_HEADER_SIZE};
	return true;
}

bool database_is_pointer_map(const struct database_header *h, uint32_t number)
{
	/* The first is page 2; each is followed by the pages that it has entries for. One that
	 * would be the lock-byte page is the page behind that: ptrmapPageno() of btree.c. */
	uint32_t each = h->usable_size / POINTER_MAP_ENTRY + 1, map;

	if (number < 2)
		return false;
	map = (number - 2) / each * each + 2;
	if (map == database_lock_page(h))
		map++;
	return map == number;
}

size_t varint_read(const uint8_t *p, const uint8_t *end, uint64_t *ret)
{
	uint64_t v = 0;

	for (size_t i = 0; i < 8; i++) {
		if (p + i >= end)
			return 0;
		v = v << 7 | (p[i] & 0x7f);
		if (p[i] < 0x80) {
			*ret = v;
			return i + 1;
		}
	}
	/* The ninth byte has eight bits. */
	if (p + 8 >= end)
		return 0;
	*ret = v << 8 | p[8];
	return 9;
}

bool btree_page_read(const uint8_t *bytes, uint32_t number, const struct database_header *header,
		     struct btree_page *ret)
{
	uint32_t at = number == 1 ? DATABASE_HEADER_SIZE : 0;
	const uint8_t *p = bytes + at;

	switch (p[0]) {
	case BTREE_INDEX_INTERIOR:
	case BTREE_TABLE_INTERIOR:
	case BTREE_INDEX_LEAF:
	case BTREE_TABLE_LEAF:
		break;
	default:
		return false;
	}
	*ret = (struct btree_page){.kind = (enum btree_kind)p[0],
				   .bytes = bytes,
				   .usable_size = header->usable_size,
				   .cell_count = get_be16(p + PAGE_CELL_COUNT)};
	bool leaf = btree_is_leaf(ret);
	ret->cells_at = at + (leaf ? LEAF_HEADER_SIZE : INTERIOR_HEADER_SIZE);
	if (!leaf)
		ret->right_child = get_be32(p + PAGE_RIGHT_CHILD);
	return ret->cells_at + ret->cell_count * POINTER_SIZE <= header->usable_size;
}

/* How much of a payload of `size` bytes stands on the page itself. */
static uint32_t local_size(const struct btree_page *p, uint64_t size)
{
	uint32_t u = p->usable_size;
	uint32_t max = p->kind == BTREE_TABLE_LEAF ? u - 35 : (u - 12) * 64 / 255 - 23;
	uint32_t min = (u - 12) * 32 / 255 - 23;

	if (size <= max)
		return (uint32_t)size;
	uint32_t fit = min + (uint32_t)((size - min) % (u - OVERFLOW_HEADER_SIZE));
	return fit <= max ? fit : min;
}

bool btree_cell_read(const struct btree_page *p, uint32_t i, struct btree_cell *ret)
{
	const uint8_t *end = p->bytes + p->usable_size;
	uint64_t v;
	size_t n;

	ASSERT_OP(i, <, p->cell_count);
	uint32_t at = get_be16(p->bytes + p->cells_at + i * POINTER_SIZE);
	if (at < p->cells_at + p->cell_count * POINTER_SIZE || at >= p->usable_size)
		return false;
	const uint8_t *c = p->bytes + at;
	*ret = (struct btree_cell){0};
	if (!btree_is_leaf(p)) {
		if (end - c < 4)
			return false;
		ret->left_child = get_be32(c);
		c += 4;
	}
	if (p->kind != BTREE_TABLE_INTERIOR) {
		n = varint_read(c, end, &ret->payload_size);
		if (n == 0)
			return false;
		c += n;
	}
	if (p->kind == BTREE_TABLE_INTERIOR || p->kind == BTREE_TABLE_LEAF) {
		n = varint_read(c, end, &v);
		if (n == 0)
			return false;
		ret->rowid = (int64_t)v;
		c += n;
	}
	if (p->kind == BTREE_TABLE_INTERIOR)
		return true;
	ret->local = c;
	ret->local_size = local_size(p, ret->payload_size);
	if ((uint64_t)(end - c) < ret->local_size)
		return false;
	if (ret->local_size == ret->payload_size)
		return true;
	c += ret->local_size;
	if (end - c < OVERFLOW_HEADER_SIZE)
		return false;
	ret->overflow = get_be32(c);
	return true;
}
