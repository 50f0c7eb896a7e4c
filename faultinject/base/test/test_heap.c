/* The heap that is emptied as a whole. */
#include "faultinject/base/heap.h"

#include "faultinject/base/prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { RUN_MAX = 8 << 20, BLOCKS = 200 };

struct block {
	uint8_t *p;
	size_t size;
	uint8_t fill;
};

static void check(const struct block *b)
{
	assert_int_equal(heap_size_of(b->p), b->size);
	assert_int_equal((uintptr_t)b->p % 16, 0);
	for (size_t i = 0; i < b->size; i++)
		assert_int_equal(b->p[i], b->fill);
}

static void fill(struct block *b, uint8_t *p, size_t size, uint8_t value)
{
	assert_non_null(p);
	*b = (struct block){p, size, value};
	memset(p, value, size);
}

/* Sizes around every boundary of the classes. */
static size_t some_size(struct prng *r)
{
	size_t size = ((size_t)1 << prng_below(r, 15)) + (size_t)prng_below(r, 5);

	return size < 2 ? 0 : size - 2;
}

static void churn(struct heap *h, struct block *blocks, struct prng *r, unsigned steps)
{
	for (unsigned n = 0; n < steps; n++) {
		struct block *b = &blocks[prng_below(r, BLOCKS)];
		size_t size = some_size(r);
		if (b->p == NULL) {
			fill(b, heap_alloc(h, size), size, (uint8_t)n);
		} else if (prng_below(r, 3) == 0) {
			size_t kept = b->size < size ? b->size : size;
			check(b);
			b->p = heap_realloc(h, b->p, size);
			b->size = kept;
			/* The first bytes are the old ones. */
			for (size_t i = 0; i < kept; i++)
				assert_int_equal(b->p[i], b->fill);
			fill(b, b->p, size, (uint8_t)n);
		} else {
			check(b);
			heap_release(h, b->p);
			b->p = NULL;
		}
	}
}

static void release_all(struct heap *h, struct block *blocks)
{
	for (size_t i = 0; i < BLOCKS; i++) {
		if (blocks[i].p != NULL)
			check(&blocks[i]);
		heap_release(h, blocks[i].p);
		blocks[i].p = NULL;
	}
}

/* Blocks keep their bytes and never overlap, in runs, outside of runs, and across their borders. */
static void test_blocks_keep_their_bytes(void **state)
{
	struct heap *h = heap_create(RUN_MAX);
	struct block blocks[BLOCKS] = {{0}};
	struct prng r;

	(void)state;
	prng_init(&r, 1, "heap");
	for (unsigned run = 0; run < 60; run++) {
		bool inside = run % 3 != 2;
		if (inside)
			heap_begin(h);
		churn(h, blocks, &r, 2000);
		if (run % 5 != 4)
			release_all(h, blocks);
		if (inside)
			heap_end(h);
		/* What a run left alive is as it was, and may be changed or released later. */
		for (size_t i = 0; i < BLOCKS; i++)
			if (blocks[i].p != NULL)
				check(&blocks[i]);
	}
	release_all(h, blocks);
	heap_free(h);
}

/* A run begins where the one before it began: nothing adds up. */
static void test_runs_reuse_the_region(void **state)
{
	struct heap *h = heap_create(RUN_MAX);
	void *first = NULL;

	(void)state;
	for (unsigned run = 0; run < 1000; run++) {
		heap_begin(h);
		void *p = heap_alloc(h, RUN_MAX / 4);
		assert_non_null(p);
		if (run == 0)
			first = p;
		assert_ptr_equal(p, first);
		void *q = heap_alloc(h, 100);
		heap_release(h, p);
		heap_release(h, q);
		heap_end(h);
	}
	heap_free(h);
}

/* A run gets its maximum and no more, and is told so; what it has stays good, and there is room
 * again once it has let go. */
static void test_a_run_is_bounded(void **state)
{
	struct heap *h = heap_create(RUN_MAX);
	enum { SIZE = 65536 - 16, FIT = RUN_MAX / (65536 + 16) }; /* a block, and its header */
	struct block blocks[FIT];
	size_t count = 0;
	uint8_t *p;

	(void)state;
	heap_begin(h);
	assert_null(heap_alloc(h, RUN_MAX));
	assert_null(heap_alloc(h, SIZE_MAX));
	while ((p = heap_alloc(h, SIZE)) != NULL) {
		assert_true(count < FIT);
		fill(&blocks[count], p, SIZE, (uint8_t)count);
		count++;
	}
	assert_int_equal(count, FIT);
	assert_null(heap_realloc(h, blocks[0].p, RUN_MAX / 2));
	assert_null(heap_realloc(h, blocks[count - 1].p, RUN_MAX / 2));
	for (size_t i = 0; i < count; i++)
		check(&blocks[i]);
	heap_release(h, blocks[3].p);
	p = heap_alloc(h, SIZE);
	assert_ptr_equal(p, blocks[3].p);
	heap_release(h, p);
	for (size_t i = 0; i < count; i++)
		if (i != 3)
			heap_release(h, blocks[i].p);
	heap_end(h);

	heap_begin(h);
	p = heap_alloc(h, RUN_MAX / 2);
	assert_non_null(p);
	heap_release(h, p);
	heap_end(h);
	heap_free(h);
}

/* What one run leaks, no later run gets, and it does not take room from them. */
static void test_a_leak_harms_nobody(void **state)
{
	struct heap *h = heap_create(RUN_MAX);
	struct block leaked[20];

	(void)state;
	for (unsigned run = 0; run < 20; run++) {
		heap_begin(h);
		fill(&leaked[run], heap_alloc(h, 5000), 5000, (uint8_t)(run + 1));
		void *most = heap_alloc(h, RUN_MAX / 2);
		assert_non_null(most);
		memset(most, 0xff, RUN_MAX / 2);
		heap_release(h, most);
		heap_end(h);
	}
	for (unsigned run = 0; run < 20; run++)
		check(&leaked[run]);
	for (unsigned run = 0; run < 20; run += 2)
		heap_release(h, leaked[run].p);
	heap_begin(h);
	uint8_t *moved = heap_realloc(h, leaked[1].p, 9000);
	assert_non_null(moved);
	for (size_t i = 0; i < 5000; i++)
		assert_int_equal(moved[i], 2);
	heap_release(h, moved);
	heap_end(h);
	heap_free(h);
}

/* Only the end of the outermost run empties the heap. */
static void test_runs_may_be_nested(void **state)
{
	struct heap *h = heap_create(RUN_MAX);
	struct block b;

	(void)state;
	heap_begin(h);
	fill(&b, heap_alloc(h, 300), 300, 7);
	heap_begin(h);
	heap_release(h, heap_alloc(h, 20));
	heap_end(h);
	uint8_t *other = heap_alloc(h, 300);
	memset(other, 8, 300);
	check(&b);
	heap_release(h, other);
	heap_release(h, b.p);
	heap_end(h);
	heap_free(h);
	heap_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_blocks_keep_their_bytes),
	    cmocka_unit_test(test_runs_reuse_the_region),
	    cmocka_unit_test(test_a_run_is_bounded),
	    cmocka_unit_test(test_a_leak_harms_nobody),
	    cmocka_unit_test(test_runs_may_be_nested),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
