/* See arena.h. Blocks form a chain that only grows; reset rewinds to the first block. */
#include "faultinject/base/arena.h"

#include "faultinject/base/buf.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

enum { ARENA_BLOCK_SIZE = 256 * 1024 };

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	alignas(16) uint8_t data[];
};

void arena_init(struct arena *a)
{
	a->first = NULL;
	a->current = NULL;
}

void arena_release(struct arena *a)
{
	struct arena_block *b = a->first;

	while (b != NULL) {
		struct arena_block *next = b->next;
		free(b);
		b = next;
	}
	arena_init(a);
}

void arena_reset(struct arena *a)
{
	a->current = a->first;
	if (a->current != NULL)
		a->current->used = 0;
}

void *arena_alloc(struct arena *a, size_t size)
{
	size = (size + 15) & ~(size_t)15;
	while (a->current != NULL && a->current->size - a->current->used < size) {
		if (a->current->next == NULL)
			break;
		a->current = a->current->next;
		a->current->used = 0;
	}
	if (a->current == NULL || a->current->size - a->current->used < size) {
		size_t cap = size > ARENA_BLOCK_SIZE ? size : ARENA_BLOCK_SIZE;
		struct arena_block *b = xmalloc(sizeof *b + cap);
		b->next = NULL;
		b->size = cap;
		b->used = 0;
		if (a->current != NULL)
			a->current->next = b;
		else
			a->first = b;
		a->current = b;
	}
	void *p = a->current->data + a->current->used;
	a->current->used += size;
	return p;
}
