/*
 * A heap that is emptied as a whole: memory for code of others (SQLite) whose runs are short and
 * many. During a run, memory comes from one region with a stated maximum; at the run's end the
 * region is empty again at no cost. Outside of runs it is malloc().
 *
 * The heap never takes memory away from its owner. A block that is still alive when a run ends (a
 * leak of the code under test, or something it keeps for the whole process) stays as it is: the
 * region is left to it, and the next run gets another one. So one run cannot harm the next.
 *
 * Blocks are aligned to 16 bytes. Any block may be released or resized at any time, whether it was
 * made in this run, in an earlier one, or outside of runs. One thread; a forked process goes on
 * with its copy.
 */
#ifndef FI_BASE_HEAP_H
#define FI_BASE_HEAP_H

#include <stddef.h>

struct heap;

/* `run_size_max`: bytes that one run may use at a time, headers included. When they are used up,
 * or when the system gives no more, heap_alloc() and heap_realloc() return NULL. */
struct heap *heap_create(size_t run_size_max);
/* Accepts NULL. Blocks of the present region must not be used any more; others stay. */
void heap_free(struct heap *h);

/* A run. Runs may be nested: the outermost one counts. */
void heap_begin(struct heap *h);
void heap_end(struct heap *h);

void *heap_alloc(struct heap *h, size_t size);
/* As realloc(): on failure NULL, and the old block is untouched. `p` may be NULL. */
void *heap_realloc(struct heap *h, void *p, size_t size);
void heap_release(struct heap *h, void *p); /* accepts NULL */
/* The size that the block was last asked for. */
size_t heap_size_of(const void *p);

#endif
