/*
 * The order and the memory of the search: every leaf of a tree of choices is reached once, by
 * number of deviations while memory is there, and depth first when it is not.
 */
#include "harness/explore/frontier.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/prng.h"
#include "faultinject/trace.h"
#include "harness/explore/explore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- trees of choices ---------------------------------------------------------------------- */

enum { LEAVES_MAX = 1 << 16 };

struct leaves {
	uint64_t items[LEAVES_MAX];
	size_t count;
	unsigned deviations; /* of the last one */
	size_t out_of_order;
	size_t bytes_most;
};

/* A program that asks: how many questions there are, and of how many answers, depends on the
 * answers. Its outcome identifies the leaf. */
static uint64_t program(struct choice *c, uint64_t seed)
{
	uint64_t h = seed;

	for (unsigned depth = 0; depth < 9 && prng_mix(h) % 7 != 0; depth++)
		h = prng_mix(h ^ choice_next(c, 1 + (uint32_t)(prng_mix(h + 1) % 4), h)) + depth;
	return h;
}

static unsigned deviations(const struct choice *c)
{
	unsigned n = 0;

	for (size_t i = 0; i < c->count; i++)
		n += c->steps[i].answer != 0;
	return n;
}

static void search(uint64_t seed, size_t bytes_max, struct leaves *l)
{
	struct frontier f;
	struct choice c;
	struct err err = ERR_INIT;
	uint32_t *prefix = NULL;
	size_t cap = 0, count = 0;
	uint64_t hash = 0;

	memset(l, 0, sizeof *l);
	frontier_init(&f, bytes_max);
	choice_init(&c);
	for (;;) {
		choice_begin(&c, prefix, count, hash, CHOICE_FIRST);
		assert_true(l->count < LEAVES_MAX);
		l->items[l->count++] = program(&c, seed);
		assert_false(c.diverged);
		assert_true(c.count >= count);
		l->out_of_order += deviations(&c) < l->deviations;
		l->deviations = deviations(&c);
		assert_int_equal(frontier_add(&f, &c, count, &err), 0);
		if (f.bytes > l->bytes_most)
			l->bytes_most = f.bytes;
		if (frontier_empty(&f))
			break;
		hash = frontier_take(&f, &prefix, &cap, &count);
	}
	frontier_clear(&f);
	assert_int_equal(f.bytes, 0);
	choice_release(&c);
	free(prefix);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The leaves by the odometer, in order of their outcome. */
static void enumerate(uint64_t seed, struct leaves *l)
{
	struct choice c;
	uint32_t *prefix = NULL;
	size_t count = 0;

	memset(l, 0, sizeof *l);
	choice_init(&c);
	do {
		choice_begin(&c, prefix, count, 0, CHOICE_FIRST);
		assert_true(l->count < LEAVES_MAX);
		l->items[l->count++] = program(&c, seed);
	} while (choice_advance(&c, &prefix, &count));
	qsort(l->items, l->count, sizeof *l->items, compare);
	choice_release(&c);
	free(prefix);
}

static struct leaves all, wide, narrow, again;

/* Every leaf once; without want of memory in the order of the number of deviations. */
static void test_every_leaf_once(void **state)
{
	size_t total = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		enumerate(seed, &all);
		search(seed, 1 << 30, &wide);
		qsort(wide.items, wide.count, sizeof *wide.items, compare);
		assert_int_equal(wide.count, all.count);
		assert_memory_equal(wide.items, all.items, all.count * sizeof *all.items);
		assert_int_equal(wide.out_of_order, 0);
		total += all.count;
	}
	assert_true(total > 10000);
}

/* With little memory the same leaves, in an order that is always the same, within the bound and one
 * way down the tree. */
static void test_bounded(void **state)
{
	enum { BOUND = 2000, WAY = 4000 };
	size_t bounded = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		enumerate(seed, &all);
		search(seed, 1 << 30, &wide);
		search(seed, BOUND, &narrow);
		search(seed, BOUND, &again);
		assert_int_equal(narrow.count, again.count);
		assert_memory_equal(narrow.items, again.items, again.count * sizeof *again.items);
		assert_true(narrow.bytes_most <= BOUND + WAY);
		bounded += wide.bytes_most > BOUND + WAY;
		qsort(narrow.items, narrow.count, sizeof *narrow.items, compare);
		assert_int_equal(narrow.count, all.count);
		assert_memory_equal(narrow.items, all.items, all.count * sizeof *all.items);
	}
	assert_true(bounded > 5); /* the bound made a difference */
}

/* A way down that does not fit either is said, not taken. */
static void test_limit(void **state)
{
	struct frontier f;
	struct choice c;
	struct err err = ERR_INIT;

	(void)state;
	frontier_init(&f, 100);
	choice_init(&c);
	choice_begin(&c, NULL, 0, 0, CHOICE_FIRST);
	for (uint64_t i = 0; i < 100; i++)
		(void)choice_next(&c, 2, i);
	assert_int_equal(frontier_add(&f, &c, 0, &err), ERR_LIMIT);
	frontier_clear(&f);
	choice_release(&c);
}

/* ---- the search ---------------------------------------------------------------------------- */

enum { SECTORS = 7, VERSIONS = 3 };

/* A file of some sectors, each overwritten without a sync. */
static struct trace *overwritten(void)
{
	struct trace_device device = {.sector_size_bytes = 512};
	struct trace *t = trace_create(device, "test");
	static uint8_t data[SECTORS * 512];
	struct op op = {.kind = OP_WRITE, .size = 512};

	op.inode = trace_new_inode(t);
	trace_add_base(t, op.inode, trace_name(t, "/f"), data, sizeof data);
	for (unsigned v = 1; v <= VERSIONS; v++) {
		for (unsigned s = 0; s < SECTORS; s++) {
			static uint8_t sector[512];
			memset(sector, (int)(v * 16 + s), sizeof sector);
			op.offset = s * 512u;
			op.data = sector;
			(void)trace_append(t, &op);
		}
	}
	return t;
}

static int read_all(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		    const struct choice *choice, enum explore_next *ret_next, struct err *err)
{
	struct storage *s = crashdisk_storage(disk);
	uint8_t buf[SECTORS * 512];
	uint32_t inode;
	bool created;
	size_t got;

	(void)ctx;
	(void)point;
	(void)choice;
	(void)err;
	*ret_next = EXPLORE_GO;
	assert_int_equal(s->ops->open(s, "/f", false, &inode, &created), 0);
	assert_int_equal(s->ops->read(s, inode, 0, buf, sizeof buf, &got), 0);
	return 0;
}

/* The accounting holds whatever the order, and a limit is met exactly. */
static void test_search(void **state)
{
	static const struct {
		uint64_t recoveries, covered;
	} limits[] = {{0, 0}, {1, 1}, {2, 1}, {3, 2}, {16, 15}, {17, 15}, {1000, 999 - SECTORS}};
	struct trace *t = overwritten();
	struct trace_index *ix;
	struct model model;
	struct err err = ERR_INIT;
	struct explore_callbacks callbacks = {.examine = read_all};
	struct explore_outcome o;
	uint64_t end = t->op_count;
	struct explore_point point = {
	    .position = end, .cut_bytes = SIZE_MAX, .promises = &end, .promise_count = 1};
	uint64_t states = 1;

	(void)state;
	for (int i = 0; i < SECTORS; i++)
		states *= VERSIONS + 1;
	assert_int_equal(model_find("strict-posix", &model, &err), 0);
	assert_int_equal(trace_index_build(t, &model, &ix, &err), 0);
	explore_outcome_init(&o);
	for (size_t bytes_max = 0; bytes_max <= 4096; bytes_max += 2048) {
		struct explore_search *s =
		    explore_search_create(ix, &model, &callbacks, NULL, bytes_max);
		assert_int_equal(explore_search_point(s, &point, UINT64_MAX, &o, &err), 0);
		assert_int_equal(o.end, EXPLORE_WHOLE);
		assert_int_equal(mpz_get_ui(o.covered), states);
		/* And the probes: all oldest, and all but one of its answers. */
		assert_int_equal(o.recoveries, states + 1 + SECTORS);
		for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
			uint64_t max = limits[i].recoveries;
			assert_int_equal(explore_search_point(s, &point, max, &o, &err), 0);
			assert_int_equal(o.end, EXPLORE_LIMIT);
			assert_int_equal(o.recoveries, max);
			assert_int_equal(mpz_get_ui(o.states), states);
			assert_int_equal(mpz_get_ui(o.covered), limits[i].covered);
		}
		explore_search_free(s);
	}
	explore_outcome_release(&o);
	trace_index_free(ix);
	trace_free(t);
}

/* Representatives: the sectors of one read are of one age, which is one question; what is left out
 * is not counted. A read of one sector decides nothing for others. */
static void test_representatives(void **state)
{
	struct trace *t = overwritten();
	struct trace_index *ix;
	struct model model;
	struct err err = ERR_INIT;
	struct explore_callbacks callbacks = {.examine = read_all, .representative = true};
	struct explore_outcome o;
	uint64_t end = t->op_count;
	struct explore_point point = {
	    .position = end, .cut_bytes = SIZE_MAX, .promises = &end, .promise_count = 1};
	static uint8_t rewritten[512];
	struct op more = {.kind = OP_WRITE, .inode = 1, .size = 512, .data = rewritten};

	(void)state;
	assert_int_equal(model_find("strict-posix", &model, &err), 0);
	explore_outcome_init(&o);
	for (uint64_t versions = VERSIONS + 1; versions <= VERSIONS + 2; versions++) {
		assert_int_equal(trace_index_build(t, &model, &ix, &err), 0);
		struct explore_search *s = explore_search_create(ix, &model, &callbacks, NULL, 0);
		assert_int_equal(explore_search_point(s, &point, UINT64_MAX, &o, &err), 0);
		assert_int_equal(o.end, EXPLORE_REPRESENTED);
		assert_int_equal(mpz_get_ui(o.covered), versions);
		assert_int_equal(o.recoveries, versions + 1); /* and the probe */
		assert_true(mpz_cmp_ui(o.states, 10000) > 0);
		explore_search_free(s);
		trace_index_free(ix);
		/* One sector has been written more often than the others. */
		memset(rewritten, 0x77, sizeof rewritten);
		end = trace_append(t, &more);
		point.position = end;
	}
	explore_outcome_release(&o);
	trace_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_leaf_once), cmocka_unit_test(test_bounded),
	    cmocka_unit_test(test_limit),	    cmocka_unit_test(test_search),
	    cmocka_unit_test(test_representatives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
