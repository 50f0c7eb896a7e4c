/*
 * See heap.h. A region is one mapping, filled from the bottom:
 *
 *     | header | block | header | block | ...   | not used yet |
 *     0                                       top            run_size_max
 *
 * A block that is released goes to the list of its size class and is taken from there by the next
 * request of that class; the topmost one just lowers `top`. Classes are multiples of 16 up to 1
 * KiB, then four steps for each power of two, so at most a quarter of a block is waste. Blocks are
 * not joined: runs are short.
 *
 * A header says which region the block belongs to: 0 for malloc(), otherwise the number of the
 * region. Numbers are never used again, so a block of a region that was left behind is recognised,
 * and releasing it does nothing.
 */
#include "faultinject/base/heap.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	HEAP_SMALL_MAX = 1024,
	HEAP_SMALL_CLASSES = HEAP_SMALL_MAX / 16 + 1,
	HEAP_CLASSES = HEAP_SMALL_CLASSES + 4 * 54, /* up to 2^64 */
	HEAP_KEPT_MAX = 16 << 20, /* bytes of an empty region that stay in memory */
	HEAP_PAGE_SIZE = 4096,
	HEAP_ALIVE = 0x48656170,
	HEAP_DEAD = 0x64656164,
};

struct header {
	size_t size;	 /* as asked for */
	uint32_t region; /* 0: malloc() */
	uint32_t state;	 /* HEAP_ALIVE; of a region's block also HEAP_DEAD */
};

struct freed {
	struct freed *next;
};

struct heap {
	size_t run_size_max;
	unsigned depth;	    /* of nested runs; 0 = outside */
	uint8_t *base;	    /* the region; NULL: none yet */
	size_t top, peak;   /* bytes used, now and at most since the region was empty */
	uint32_t region;    /* its number */
	size_t alive_count; /* blocks in it */
	struct freed *freed[HEAP_CLASSES];
};

_Static_assert(sizeof(struct header) == 16, "blocks are aligned to 16 bytes");

struct heap *heap_create(size_t run_size_max)
{
	struct heap *h = xcalloc(1, sizeof *h);

	h->run_size_max = run_size_max / HEAP_PAGE_SIZE * HEAP_PAGE_SIZE;
	h->region = 1;
	return h;
}

void heap_free(struct heap *h)
{
	if (h == NULL)
		return;
	if (h->base != NULL)
		(void)munmap(h->base, h->run_size_max);
	free(h);
}

/* The class of a size, and the size that all blocks of the class have. */
static unsigned class_of(size_t size, size_t *ret_size)
{
	if (size <= HEAP_SMALL_MAX) {
		size_t units = size == 0 ? 1 : (size + 15) / 16;
		*ret_size = units * 16;
		return (unsigned)units;
	}
	/* size - 1 lies in [2^power, 2^(power + 1)), which is divided into four steps. */
	unsigned power = 63u - (unsigned)__builtin_clzll((unsigned long long)size - 1);
	size_t step = (size_t)1 << (power - 2);
	size_t steps = (size - 1) / step + 1; /* 5..8 */
	*ret_size = steps * step;
	return (unsigned)(HEAP_SMALL_CLASSES + (power - 10) * 4 + (steps - 5));
}

static struct header *header_of(const void *p)
{
	/* Blocks belong to the caller; their headers are ours to change. */
	struct header *b = (struct header *)(uintptr_t)p - 1;

	ASSERT_OP(b->state, ==, HEAP_ALIVE);
	return b;
}

void heap_begin(struct heap *h)
{
	h->depth++;
}

/* Nobody holds a block of the region. */
static void empty_region(struct heap *h)
{
	if (h->peak > HEAP_KEPT_MAX)
		(void)madvise(h->base + HEAP_KEPT_MAX, h->peak - HEAP_KEPT_MAX, MADV_DONTNEED);
	h->top = 0;
	h->peak = 0;
	memset(h->freed, 0, sizeof h->freed);
}

/* Somebody does: what is used stays mapped for good. */
static void leave_region(struct heap *h)
{
	size_t used = (h->top + HEAP_PAGE_SIZE - 1) / HEAP_PAGE_SIZE * HEAP_PAGE_SIZE;

	if (used < h->run_size_max)
		(void)munmap(h->base + used, h->run_size_max - used);
	h->base = NULL;
	h->alive_count = 0;
	h->top = 0;
	h->peak = 0;
	h->region++;
	memset(h->freed, 0, sizeof h->freed);
}

void heap_end(struct heap *h)
{
	ASSERT_OP(h->depth, >, 0);
	if (--h->depth > 0 || h->base == NULL)
		return;
	if (h->alive_count == 0)
		empty_region(h);
	else
		leave_region(h);
}

static bool map_region(struct heap *h)
{
	void *p = mmap(NULL, h->run_size_max, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return false;
	h->base = p;
	return true;
}

void *heap_alloc(struct heap *h, size_t size)
{
	struct header *b;
	size_t room;

	if (size > SIZE_MAX / 4)
		return NULL;
	if (h->depth == 0) {
		b = malloc(sizeof *b + size);
		if (b == NULL)
			return NULL;
		*b = (struct header){size, 0, HEAP_ALIVE};
		return b + 1;
	}
	unsigned class = class_of(size, &room);
	struct freed *f = h->freed[class];
	if (f != NULL) {
		h->freed[class] = f->next;
		b = (struct header *)f - 1;
	} else {
		if (h->base == NULL && !map_region(h))
			return NULL;
		if (sizeof *b + room > h->run_size_max - h->top)
			return NULL;
		b = (struct header *)(h->base + h->top);
		h->top += sizeof *b + room;
		if (h->top > h->peak)
			h->peak = h->top;
	}
	*b = (struct header){size, h->region, HEAP_ALIVE};
	h->alive_count++;
	return b + 1;
}

void heap_release(struct heap *h, void *p)
{
	size_t room;

	if (p == NULL)
		return;
	struct header *b = header_of(p);
	b->state = HEAP_DEAD;
	if (b->region == 0) {
		free(b);
		return;
	}
	if (b->region != h->region)
		return; /* of a region that was left behind */
	h->alive_count--;
	unsigned class = class_of(b->size, &room);
	if ((uint8_t *)p + room == h->base + h->top) {
		h->top -= sizeof *b + room;
		return;
	}
	struct freed *f = p;
	f->next = h->freed[class];
	h->freed[class] = f;
}

void *heap_realloc(struct heap *h, void *p, size_t size)
{
	size_t room, wanted;

	if (p == NULL)
		return heap_alloc(h, size);
	if (size > SIZE_MAX / 4)
		return NULL;
	struct header *b = header_of(p);
	if (b->region == 0) {
		b = realloc(b, sizeof *b + size);
		if (b == NULL)
			return NULL;
		b->size = size;
		return b + 1;
	}
	if (class_of(b->size, &room) == class_of(size, &wanted)) {
		b->size = size;
		return p;
	}
	bool is_top = b->region == h->region && (uint8_t *)p + room == h->base + h->top;
	if (is_top && wanted <= h->run_size_max - (h->top - room)) {
		h->top += wanted - room;
		if (h->top > h->peak)
			h->peak = h->top;
		b->size = size;
		return p;
	}
	void *moved = heap_alloc(h, size);
	if (moved == NULL)
		return NULL;
	memcpy(moved, p, b->size < size ? b->size : size);
	heap_release(h, p);
	return moved;
}

size_t heap_size_of(const void *p)
{
	return p == NULL ? 0 : header_of(p)->size;
}
