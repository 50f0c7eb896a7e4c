/*
 * A bump allocator that is reset, not freed, between recovery runs: a run allocates overlay
 * sectors, and all of them die together at its end.
 */
#ifndef FI_BASE_ARENA_H
#define FI_BASE_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *first; /* owned chain */
	struct arena_block *current;
};

void arena_init(struct arena *a);
void arena_release(struct arena *a);
/* Everything allocated so far becomes invalid; memory is kept for the next run. */
void arena_reset(struct arena *a);
/* 16-byte aligned, not zeroed, valid until arena_reset(). Aborts when out of memory. */
void *arena_alloc(struct arena *a, size_t size);

#endif
