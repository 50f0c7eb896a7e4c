/*
 * Rule D11 by brute force: when only the processes die, the crash states are the files after every
 * operation, and, inside a write, after each part that ends at a page boundary of the file. Random
 * traces of creates, writes of up to three pages, truncations and unlinks; the explorer must reach
 * exactly the states that replaying the operations gives, and count each of them once.
 */
#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"
#include "faultinject/base/prng.h"
#include "harness/explore/explore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	TRACES = 300,
	OPS = 12,
	NAMES = 2,
	IMAGE_SIZE = 40000,
	PAGE_SIZE_BYTES = 4096,
	STATES_MAX = 400,
};

static const char *const names[NAMES] = {"/d/a", "/d/b"};

/* The files as plain arrays. */
struct image {
	bool there;
	uint64_t size;
	uint8_t data[IMAGE_SIZE];
};

struct states {
	uint64_t items[STATES_MAX];
	size_t count;
};

static uint64_t hash_images(const struct image *images)
{
	uint64_t h = 1;

	for (size_t i = 0; i < NAMES; i++) {
		h = hash_mix(h, images[i].there);
		if (images[i].there)
			h = hash_mix(h, hash64(images[i].data, images[i].size, images[i].size));
	}
	return h;
}

static void add(struct states *s, uint64_t h)
{
	assert_true(s->count < STATES_MAX);
	s->items[s->count++] = h;
}

static void put(struct image *image, uint64_t offset, const uint8_t *data, size_t size)
{
	memcpy(image->data + offset, data, size);
	if (offset + size > image->size)
		image->size = offset + size;
}

/* Appends one random operation to the trace, and to the images; adds the states that it leads to:
 * first those in its middle. */
static void step(struct prng *r, struct trace *t, struct image *images, uint32_t *inodes,
		 struct states *brute)
{
	size_t i = (size_t)prng_below(r, NAMES);
	struct op op = {.process = 1, .thread = 1, .connection = 1};
	static uint8_t data[3 * PAGE_SIZE_BYTES];

	if (!images[i].there) {
		op.kind = OP_CREATE;
		op.name = trace_name(t, names[i]);
		op.inode = inodes[i] = trace_new_inode(t);
		memset(&images[i], 0, sizeof images[i]);
		images[i].there = true;
	} else if (prng_below(r, 8) == 0) {
		op.kind = OP_UNLINK;
		op.name = trace_name(t, names[i]);
		images[i].there = false;
	} else if (prng_below(r, 6) == 0) {
		op.kind = OP_TRUNCATE;
		op.inode = inodes[i];
		op.size = prng_below(r, 20000);
		if (op.size < images[i].size)
			memset(images[i].data + op.size, 0, images[i].size - op.size);
		images[i].size = op.size;
	} else {
		op.kind = OP_WRITE;
		op.inode = inodes[i];
		op.offset = prng_below(r, 20000);
		op.size = 1 + prng_below(r, sizeof data);
		memset(data, (int)(1 + prng_below(r, 250)), op.size);
		op.data = data;
		for (uint64_t cut = 1; cut < op.size; cut++) {
			if ((op.offset + cut) % PAGE_SIZE_BYTES != 0)
				continue;
			struct image *torn = xmalloc(NAMES * sizeof *torn);
			memcpy(torn, images, NAMES * sizeof *torn);
			put(&torn[i], op.offset, data, cut);
			add(brute, hash_images(torn));
			free(torn);
		}
		put(&images[i], op.offset, data, op.size);
	}
	(void)trace_append(t, &op);
	add(brute, hash_images(images));
}

static int examine(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		   const struct choice *choice, enum explore_next *ret_next, struct err *err)
{
	struct states *lazy = ctx;
	struct storage *s = crashdisk_storage(disk);
	struct image *images = xcalloc(NAMES, sizeof *images);

	(void)point;
	(void)err;
	*ret_next = EXPLORE_GO;
	for (size_t i = 0; i < NAMES; i++) {
		uint32_t inode;
		bool created;
		size_t got;
		images[i].there = s->ops->open(s, names[i], false, &inode, &created) == 0;
		if (!images[i].there)
			continue;
		assert_int_equal(s->ops->size(s, inode, &images[i].size), 0);
		assert_int_equal(s->ops->read(s, inode, 0, images[i].data, images[i].size, &got),
				 0);
		assert_int_equal(got, images[i].size);
	}
	assert_int_equal(choice->count, 0); /* a process crash leaves nothing open */
	add(lazy, hash_images(images));
	free(images);
	return 0;
}

/* The states in order, each once. */
static void test_every_operation_and_page(void **state)
{
	size_t total = 0, cuts = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= TRACES; seed++) {
		struct trace_device device = {.sector_size_bytes = seed % 2 == 0 ? 512 : 4096};
		struct trace *t = trace_create(device, "random");
		struct image *images = xcalloc(NAMES, sizeof *images);
		uint32_t inodes[NAMES] = {0};
		static struct states brute, lazy;
		struct explore_callbacks callbacks = {.examine = examine, .ctx = &lazy};
		struct explore_stats stats;
		struct explore_points points;
		struct trace_index *ix;
		struct model model;
		struct err err = ERR_INIT;
		struct prng r;

		prng_init(&r, seed, "process-crash");
		brute.count = lazy.count = 0;
		add(&brute, hash_images(images));
		for (int i = 0; i < OPS; i++)
			step(&r, t, images, inodes, &brute);
		assert_int_equal(model_find("process-crash", &model, &err), 0);
		assert_int_equal(trace_index_build(t, &model, &ix, &err), 0);
		explore_points(ix, &model, NULL, 0, &points);
		explore_stats_init(&stats);
		assert_int_equal(
		    explore(ix, &model, points.items, points.count, &callbacks, &stats, &err), 0);
		assert_true(stats.exhaustive);
		assert_int_equal(lazy.count, brute.count);
		assert_memory_equal(lazy.items, brute.items, lazy.count * sizeof lazy.items[0]);
		assert_int_equal(mpz_get_ui(stats.states), brute.count);
		total += brute.count;
		cuts += brute.count - OPS - 1;
		explore_stats_release(&stats);
		explore_points_release(&points);
		free(images);
		trace_index_free(ix);
		trace_free(t);
	}
	print_message("%zu states, %zu of them inside a write\n", total, cuts);
	assert_true(cuts > TRACES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_operation_and_page)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
