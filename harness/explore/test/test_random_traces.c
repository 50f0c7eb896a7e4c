/*
 * The explorer against the enumerator on random small traces, also of operations that SQLite never
 * makes: renames, hard links, truncations in the middle of a sector, holes, files created again
 * under an old name. Recovery is a random but fixed program of looks and writes; its outcome is a
 * hash of all that it saw. For every trace and position: the same outcomes, the same number of
 * states, and the explorer's runs add up.
 */
#include "faultinject/base/buf.h"
#include "harness/explore/enumerate.h"
#include "harness/explore/explore.h"
#include "harness/explore/test/random_traces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TRACES_LONG = 1500, TRACES_SHORT = 500 };

/* All of them in `make check-long`. */
static uint64_t trace_count(void)
{
	return getenv("PLUGPULL_LONG") != NULL ? TRACES_LONG : TRACES_SHORT;
}

struct context {
	uint64_t seed;
	struct random_outcomes seen;
};

static int examine(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		   const struct choice *choice, enum explore_next *ret_next, struct err *err)
{
	struct context *c = ctx;

	(void)point;
	(void)choice;
	(void)err;
	*ret_next = EXPLORE_GO;
	random_outcomes_add(&c->seen, random_look(crashdisk_storage(disk), c->seed));
	return 0;
}

static int visit(void *ctx, const struct enumerate_file *files, size_t count, struct err *err)
{
	struct context *c = ctx;

	(void)err;
	random_outcomes_add(&c->seen, random_look_files(files, count, c->seed));
	return 0;
}

/* Hard links: a materialised state has two copies, where a write through one name is not seen
 * through the other. Recovery programs that write are compared on traces without links only. */
static bool is_comparable(const struct trace *t, uint64_t reader)
{
	return !random_has_link(t) || !random_look_writes(reader);
}

/* Explores the disks that a crash at `p` can leave: that of `p`, and behind a barrier those right
 * before every sync that had ended by then. */
static void explore_position(const struct trace *t, const struct trace_index *ix,
			     const struct model *model, uint64_t p, struct context *lazy,
			     uint64_t states, uint64_t seed, const char *what)
{
	struct explore_callbacks callbacks = {.examine = examine, .ctx = lazy};
	struct err err = ERR_INIT;
	mpz_t sum;

	mpz_init(sum);
	for (uint64_t disk = 0; disk <= p; disk++) {
		bool boundary = disk < t->op_count && model->fsync == MODEL_FSYNC_BARRIER &&
				disk < p && op_is_sync(trace_at(t, disk + 1));
		struct explore_point point = {
		    .position = disk, .cut_bytes = SIZE_MAX, .promises = &p, .promise_count = 1};
		struct explore_stats stats;
		if (disk != p && !boundary)
			continue;
		explore_stats_init(&stats);
		if (explore(ix, model, &point, 1, &callbacks, &stats, &err) != 0)
			fail_msg("%s, seed %llu, position %llu: %s", what, (unsigned long long)seed,
				 (unsigned long long)p, err.message);
		mpz_add(sum, sum, stats.states);
		explore_stats_release(&stats);
	}
	if (mpz_cmp_ui(sum, states) != 0)
		fail_msg("%s, seed %llu, position %llu: %llu states by brute force, %s counted",
			 what, (unsigned long long)seed, (unsigned long long)p,
			 (unsigned long long)states, mpz_get_str(NULL, 10, sum));
	mpz_clear(sum);
}

static size_t compare_trace(uint64_t seed, const struct model *model, const char *what,
			    uint64_t *states)
{
	struct trace *t = random_trace(seed);
	struct trace_index *ix = NULL;
	struct err err = ERR_INIT;
	size_t compared = 0;

	if (trace_index_build(t, model, &ix, &err) != 0)
		fail_msg("seed %llu: %s", (unsigned long long)seed, err.message);
	for (uint64_t p = 0; p <= t->op_count; p++) {
		static struct context lazy, brute;
		uint64_t reader = seed * 31 + p, n;
		if (!is_comparable(t, reader))
			continue;
		lazy.seed = brute.seed = reader;
		lazy.seen.count = brute.seen.count = 0;
		if (enumerate_states(t, model, p, RANDOM_STATES_MAX, visit, &brute, &n, &err) != 0)
			continue;
		explore_position(t, ix, model, p, &lazy, n, seed, what);
		random_outcomes_compare(&lazy.seen, &brute.seen, what, seed, p);
		*states += n;
		compared++;
	}
	trace_index_free(ix);
	trace_free(t);
	return compared;
}

/* The crash points of explore_points() reach every outcome that any position has. */
static void cover_trace(uint64_t seed, const struct model *model, const char *what,
			size_t totals[3])
{
	static struct context lazy, brute;
	struct trace *t = random_trace(seed);
	struct trace_index *ix = NULL;
	struct err err = ERR_INIT;
	struct explore_points points;
	struct explore_callbacks callbacks = {.examine = examine, .ctx = &lazy};
	bool whole = !random_has_link(t);

	assert_int_equal(trace_index_build(t, model, &ix, &err), 0);
	lazy.seed = brute.seed = seed;
	lazy.seen.count = brute.seen.count = 0;
	for (uint64_t p = 0; p <= t->op_count && whole; p++) {
		uint64_t n;
		whole = enumerate_states(t, model, p, 1000, visit, &brute, &n, &err) == 0;
	}
	explore_points(ix, model, NULL, 0, &points);
	if (whole) {
		struct explore_stats stats;
		explore_stats_init(&stats);
		assert_int_equal(
		    explore(ix, model, points.items, points.count, &callbacks, &stats, &err), 0);
		explore_stats_release(&stats);
		random_outcomes_compare(&lazy.seen, &brute.seen, what, seed, UINT64_MAX);
		totals[0]++;
		totals[1] += points.count;
		totals[2] += t->op_count + 1;
	}
	explore_points_release(&points);
	trace_index_free(ix);
	trace_free(t);
}

static void test_points_cover_all_positions(void **state)
{
	size_t totals[3] = {0}; /* traces, points, positions */
	struct buf text = {0};

	(void)state;
	for (uint64_t seed = 1; seed <= trace_count(); seed++) {
		struct model model;
		random_model(seed, &model, &text);
		cover_trace(seed, &model, buf_str(&text), totals);
	}
	print_message("%zu traces: %zu crash points stand for %zu positions\n", totals[0],
		      totals[1], totals[2]);
	assert_true(totals[0] > trace_count() / 4);
	assert_true(totals[1] < totals[2]);
	buf_release(&text);
}

/* Lazy and brute force agree under every preset, with both sizes of sectors. */
static void test_presets(void **state)
{
	size_t count;
	const struct model_info *presets = model_presets(&count);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		for (int sector = 0; sector < 2; sector++) {
			struct model model = presets[i].model;
			size_t points = 0;
			uint64_t states = 0;
			if (model.process_crash || model.sector == (sector == 0 ? 2 : 1))
				continue;
			model.seed = 5;
			assert_int_equal(
			    model_set(&model, "sector", sector == 0 ? "512" : "4096", NULL), 0);
			for (uint64_t seed = 1; seed <= trace_count() / 5; seed++)
				points += compare_trace(seed, &model, model.name, &states);
			print_message("%s, %s-byte sectors: %zu crash points, %llu states\n",
				      model.name, sector == 0 ? "512" : "4096", points,
				      (unsigned long long)states);
			assert_true(points > trace_count() / 5);
			assert_true(states > trace_count());
		}
	}
}

/* ... and under models of random parameters. */
static void test_random_models(void **state)
{
	struct buf text = {0};
	size_t points = 0;
	uint64_t states = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= trace_count(); seed++) {
		struct model model;
		random_model(seed, &model, &text);
		points += compare_trace(seed + trace_count(), &model, buf_str(&text), &states);
	}
	print_message("random models: %zu crash points, %llu states\n", points,
		      (unsigned long long)states);
	assert_true(states > 10 * trace_count());
	buf_release(&text);
}

/* Names that are tied by very many pending renames: a limit that is reported, not a stack that
 * ends.
 */
static void test_too_many_names(void **state)
{
	struct trace_device device = {.sector_size_bytes = 512};
	struct trace *t = trace_create(device, "renames");
	uint32_t a = trace_name(t, "/d/a"), b = trace_name(t, "/d/b"), inode = trace_new_inode(t);
	struct op op = {.kind = OP_RENAME, .process = 1, .thread = 1, .connection = 1};
	struct explore_callbacks callbacks = {.examine = examine, .ctx = NULL};
	struct explore_stats stats;
	struct trace_index *ix = NULL;
	struct model model;
	struct err err = ERR_INIT;

	(void)state;
	trace_add_base(t, inode, a, "x", 1);
	for (int i = 0; i < 200000; i++) {
		op.name = i % 2 == 0 ? a : b;
		op.name2 = i % 2 == 0 ? b : a;
		(void)trace_append(t, &op);
	}
	uint64_t end = t->op_count;
	struct explore_point point = {
	    .position = end, .cut_bytes = SIZE_MAX, .promises = &end, .promise_count = 1};
	assert_int_equal(model_find("strict-posix", &model, &err), 0);
	assert_int_equal(trace_index_build(t, &model, &ix, &err), 0);
	explore_stats_init(&stats);
	assert_int_equal(explore(ix, &model, &point, 1, &callbacks, &stats, &err), ERR_LIMIT);
	explore_stats_release(&stats);
	trace_index_free(ix);
	trace_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_presets),
	    cmocka_unit_test(test_random_models),
	    cmocka_unit_test(test_points_cover_all_positions),
	    cmocka_unit_test(test_too_many_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
