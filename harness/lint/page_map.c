/* See page_map.h. Open addressing; a slot of another generation is free. */
#include "harness/lint/page_map.h"

#include "faultinject/base/buf.h"

#include <stdlib.h>

enum { CAP_MIN = 64 };

struct page_map_slot {
	uint32_t page, value, generation;
};

void page_map_release(struct page_map *m)
{
	free(m->slots);
	*m = (struct page_map){0};
}

void page_map_clear(struct page_map *m)
{
	m->count = 0;
	/* Before slots of 2^32 clearings ago count again. */
	if (++m->generation == UINT32_MAX)
		page_map_release(m);
}

static struct page_map_slot *find(const struct page_map *m, uint32_t page)
{
	size_t i = (size_t)(page * 0x9e3779b97f4a7c15u >> 32) & (m->cap - 1);

	while (m->slots[i].generation == m->generation + 1 && m->slots[i].page != page)
		i = (i + 1) & (m->cap - 1);
	return &m->slots[i];
}

uint32_t page_map_get(const struct page_map *m, uint32_t page)
{
	const struct page_map_slot *s;

	if (m->cap == 0)
		return PAGE_MAP_NONE;
	s = find(m, page);
	return s->generation == m->generation + 1 ? s->value : PAGE_MAP_NONE;
}

static void grow(struct page_map *m)
{
	struct page_map old = *m;

	m->cap = old.cap == 0 ? CAP_MIN : old.cap * 2;
	m->slots = xcalloc(m->cap, sizeof *m->slots);
	for (size_t i = 0; i < old.cap; i++)
		if (old.slots[i].generation == m->generation + 1)
			*find(m, old.slots[i].page) = old.slots[i];
	free(old.slots);
}

void page_map_set(struct page_map *m, uint32_t page, uint32_t value)
{
	struct page_map_slot *s;

	if (m->count >= m->cap / 2)
		grow(m);
	s = find(m, page);
	if (s->generation != m->generation + 1) {
		m->count++;
		s->page = page;
		s->generation = m->generation + 1;
	}
	s->value = value;
}
