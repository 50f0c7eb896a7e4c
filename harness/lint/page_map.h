/*
 * From page numbers to indexes, for logs that are emptied over and over: clearing costs nothing,
 * whatever the map once held.
 */
#ifndef LINT_PAGE_MAP_H
#define LINT_PAGE_MAP_H

#include <stddef.h>
#include <stdint.h>

#define PAGE_MAP_NONE UINT32_MAX

struct page_map {
	struct page_map_slot *slots; /* owned */
	size_t cap, count;	     /* cap is 0 or a power of two */
	uint32_t generation;
};

void page_map_release(struct page_map *m); /* accepts a zeroed or released one */
void page_map_clear(struct page_map *m);
/* The value, or PAGE_MAP_NONE. */
uint32_t page_map_get(const struct page_map *m, uint32_t page);
/* PAGE_MAP_NONE takes a page out again. */
void page_map_set(struct page_map *m, uint32_t page, uint32_t value);

#endif
