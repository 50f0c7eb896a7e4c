/*
 * The explorer against the enumerator on random small traces, also of operations that SQLite never
 * makes: renames, hard links, truncations in the middle of a sector, holes, files created again
 * under an old name. Recovery is a random but fixed program of looks and writes; its outcome is a
 * hash of all that it saw. For every trace and position: the same outcomes, the same number of
 * states, and the explorer's runs add up.
 */
#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"
#include "faultinject/base/prng.h"
#include "faultinject/disk.h"
#include "harness/explore/enumerate.h"
#include "harness/explore/explore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	TRACES = 1500,
	NAMES = 3,
	OPS_MAX = 14,
	STATES_MAX = 3000,
	READS = 7,
	FILE_SIZE_MAX = 2100, /* five sectors of 512 bytes */
};

static const char *const names[NAMES] = {"/d/a", "/d/b", "/e/c"};

/* ---- random traces ------------------------------------------------------------------------- */

struct maker {
	struct prng r;
	struct trace *t;
	uint32_t inode_of[NAMES]; /* live; 0 = none */
	uint64_t size[64];	  /* by inode */
};

static void append(struct maker *m, struct op op)
{
	op.process = op.thread = op.connection = 1;
	(void)trace_append(m->t, &op);
}

static void make_write(struct maker *m, uint32_t inode)
{
	uint8_t data[700];
	uint64_t offset = prng_below(&m->r, 1400);
	size_t size = 1 + (size_t)prng_below(&m->r, sizeof data);

	if (prng_below(&m->r, 3) == 0) {
		offset -= offset % 512;
		size = 512;
	}
	memset(data, (int)(1 + prng_below(&m->r, 250)), size);
	append(m,
	       (struct op){
		   .kind = OP_WRITE, .inode = inode, .offset = offset, .size = size, .data = data});
	if (offset + size > m->size[inode])
		m->size[inode] = offset + size;
}

static void make_sync(struct maker *m, uint32_t inode, uint32_t directory)
{
	uint8_t begin = inode != 0 ? OP_SYNC_BEGIN : OP_DIRSYNC_BEGIN;
	struct op op = {.kind = begin, .inode = inode, .name = directory};

	if (inode != 0 && prng_below(&m->r, 2) == 0)
		op.flags = OP_SYNC_DATA;
	append(m, op);
	op.flags = 0;
	op.kind = inode != 0 ? OP_SYNC_END : OP_DIRSYNC_END;
	op.offset = m->t->op_count;
	append(m, op);
}

static void make_op(struct maker *m)
{
	size_t a = (size_t)prng_below(&m->r, NAMES), b = (size_t)prng_below(&m->r, NAMES);
	uint32_t name = trace_name(m->t, names[a]), name2 = trace_name(m->t, names[b]);
	uint32_t inode = m->inode_of[a];

	if (inode == 0) {
		m->inode_of[a] = trace_new_inode(m->t);
		append(m, (struct op){.kind = OP_CREATE, .inode = m->inode_of[a], .name = name});
		return;
	}
	switch (prng_below(&m->r, 12)) {
	case 0: {
		uint64_t size = prng_below(&m->r, FILE_SIZE_MAX);
		append(m, (struct op){.kind = OP_TRUNCATE, .inode = inode, .size = size});
		m->size[inode] = size;
		break;
	}
	case 1:
		append(m, (struct op){.kind = OP_TRUNCATE, .inode = inode, .size = 0});
		m->size[inode] = 0;
		break;
	case 2:
		append(m, (struct op){.kind = OP_UNLINK, .name = name});
		m->inode_of[a] = 0;
		break;
	case 3:
		if (a == b)
			break;
		append(m, (struct op){.kind = OP_RENAME, .name = name, .name2 = name2});
		m->inode_of[b] = inode;
		m->inode_of[a] = 0;
		break;
	case 4:
		if (m->inode_of[b] != 0)
			break;
		append(m, (struct op){.kind = OP_LINK, .inode = inode, .name2 = name2});
		m->inode_of[b] = inode;
		break;
	case 5:
	case 6:
		make_sync(m, inode, 0);
		break;
	case 7:
		make_sync(m, 0, trace_name(m->t, prng_below(&m->r, 2) ? "/d" : "/e"));
		break;
	default:
		make_write(m, inode);
		break;
	}
}

static struct trace *make_trace(uint64_t seed)
{
	struct trace_device device = {.sector_size_bytes = 512};
	struct maker m = {.t = trace_create(device, "random")};
	uint8_t base[900];

	prng_init(&m.r, seed, "trace");
	for (size_t i = 0; i < NAMES; i++) {
		if (prng_below(&m.r, 2) == 0)
			continue;
		size_t size = 1 + (size_t)prng_below(&m.r, sizeof base);
		memset(base, (int)(200 + i), size);
		m.inode_of[i] = trace_new_inode(m.t);
		m.size[m.inode_of[i]] = size;
		trace_add_base(m.t, m.inode_of[i], trace_name(m.t, names[i]), base, size);
	}
	for (size_t n = 3 + (size_t)prng_below(&m.r, OPS_MAX - 3); n > 0; n--)
		make_op(&m);
	return m.t;
}

/* ---- a recovery that looks at random places ------------------------------------------------ */

static uint64_t look(struct storage *s, uint64_t seed)
{
	struct prng r;
	uint64_t h = 1;

	prng_init(&r, seed, "reader");
	for (int i = 0; i < READS; i++) {
		const char *path = names[prng_below(&r, NAMES)];
		uint64_t what = prng_below(&r, 8), offset = prng_below(&r, 1500);
		size_t size = 1 + (size_t)prng_below(&r, 600), got = 0;
		bool yes = false, created = false, create = prng_below(&r, 4) == 0;
		uint8_t buf[600];
		uint32_t inode = 0;
		uint64_t file_size = 0;
		if (what == 0) {
			assert_int_equal(s->ops->access(s, path, &yes), 0);
			h = hash_mix(h, yes);
			continue;
		}
		if (what == 1) {
			h = hash_mix(h, s->ops->unlink(s, path) == 0);
			continue;
		}
		int rc = s->ops->open(s, path, create, &inode, &created);
		h = hash_mix(h, rc == 0);
		if (rc != 0)
			continue;
		if (what == 2) {
			assert_int_equal(s->ops->size(s, inode, &file_size), 0);
			h = hash_mix(h, file_size);
		} else if (what == 3) {
			assert_int_equal(s->ops->truncate(s, inode, offset), 0);
		} else if (what == 4) {
			memset(buf, 7, size);
			assert_int_equal(s->ops->write(s, inode, offset, buf, size), 0);
		} else {
			assert_int_equal(s->ops->read(s, inode, offset, buf, size, &got), 0);
			h = hash_mix(h, hash64(buf, got, got));
		}
	}
	return h;
}

/* ---- comparison ---------------------------------------------------------------------------- */

struct outcomes {
	uint64_t items[STATES_MAX];
	size_t count;
};

static void add(struct outcomes *o, uint64_t h)
{
	for (size_t i = 0; i < o->count; i++)
		if (o->items[i] == h)
			return;
	assert_true(o->count < STATES_MAX);
	o->items[o->count++] = h;
}

struct context {
	uint64_t seed;
	struct outcomes seen;
};

static int examine(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		   const struct choice *choice, enum explore_next *ret_next, struct err *err)
{
	struct context *c = ctx;

	(void)point;
	(void)choice;
	(void)err;
	*ret_next = EXPLORE_GO;
	add(&c->seen, look(crashdisk_storage(disk), c->seed));
	return 0;
}

static int visit(void *ctx, const struct enumerate_file *files, size_t count, struct err *err)
{
	struct context *c = ctx;
	struct disk *disk = disk_create();

	(void)err;
	for (size_t i = 0; i < count; i++)
		disk_put(disk, files[i].path, files[i].data, files[i].size);
	add(&c->seen, look(disk_storage(disk), c->seed));
	disk_free(disk);
	return 0;
}

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Hard links: a materialised state has two copies, where a write through one name is not seen
 * through the other. Recovery programs that write are compared on traces without links only. */
static bool has_link(const struct trace *t)
{
	for (size_t i = 0; i < t->op_count; i++)
		if (t->ops[i].kind == OP_LINK)
			return true;
	return false;
}

static bool reader_writes(uint64_t seed)
{
	struct prng r;
	bool writes = false;

	prng_init(&r, seed, "reader");
	for (int i = 0; i < READS; i++) {
		(void)prng_below(&r, NAMES);
		uint64_t what = prng_below(&r, 8);
		(void)prng_below(&r, 1500);
		(void)prng_below(&r, 600);
		(void)prng_below(&r, 4);
		writes = writes || what == 3 || what == 4;
	}
	return writes;
}

static void compare_sets(struct context *lazy, struct context *brute, const char *what,
			 uint64_t seed, uint64_t position)
{
	qsort(lazy->seen.items, lazy->seen.count, sizeof(uint64_t), compare_ids);
	qsort(brute->seen.items, brute->seen.count, sizeof(uint64_t), compare_ids);
	if (lazy->seen.count != brute->seen.count ||
	    memcmp(lazy->seen.items, brute->seen.items, lazy->seen.count * sizeof(uint64_t)) != 0)
		fail_msg("%s, seed %llu, position %llu: %zu outcomes lazily, %zu by brute force",
			 what, (unsigned long long)seed, (unsigned long long)position,
			 lazy->seen.count, brute->seen.count);
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
				disk < p &&
				(trace_at(t, disk + 1)->kind == OP_SYNC_END ||
				 trace_at(t, disk + 1)->kind == OP_DIRSYNC_END);
		struct explore_point point = {disk, SIZE_MAX, &p, 1};
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
	struct trace *t = make_trace(seed);
	struct trace_index *ix = NULL;
	struct err err = ERR_INIT;
	size_t compared = 0;

	if (trace_index_build(t, model, &ix, &err) != 0)
		fail_msg("seed %llu: %s", (unsigned long long)seed, err.message);
	for (uint64_t p = 0; p <= t->op_count; p++) {
		static struct context lazy, brute;
		uint64_t reader = seed * 31 + p, n;
		if (has_link(t) && reader_writes(reader))
			continue;
		lazy.seed = brute.seed = reader;
		lazy.seen.count = brute.seen.count = 0;
		if (enumerate_states(t, model, p, STATES_MAX, visit, &brute, &n, &err) != 0)
			continue;
		explore_position(t, ix, model, p, &lazy, n, seed, what);
		compare_sets(&lazy, &brute, what, seed, p);
		*states += n;
		compared++;
	}
	trace_index_free(ix);
	trace_free(t);
	return compared;
}

/* A random model whose parameters go together. */
static void make_model(uint64_t seed, struct model *ret, struct buf *ret_text)
{
	size_t count;
	const struct model_parameter *parameters = model_parameters(&count);
	struct prng r;

	prng_init(&r, seed, "model");
	do {
		model_init(ret, "random");
		ret->seed = seed;
		for (size_t i = 0; i < count; i++) {
			uint64_t words = 0;
			while (parameters[i].words[words] != NULL)
				words++;
			uint64_t word = prng_below(&r, words);
			if (prng_below(&r, 3) != 0)
				assert_int_equal(model_set(ret, parameters[i].key,
							   parameters[i].words[word], NULL),
						 0);
		}
	} while (model_check(ret, NULL) != 0);
	buf_clear(ret_text);
	model_print(ret, ret_text);
}

/* The crash points of explore_points() reach every outcome that any position has. */
static void cover_trace(uint64_t seed, const struct model *model, const char *what,
			size_t totals[3])
{
	static struct context lazy, brute;
	struct trace *t = make_trace(seed);
	struct trace_index *ix = NULL;
	struct err err = ERR_INIT;
	struct explore_points points;
	struct explore_callbacks callbacks = {.examine = examine, .ctx = &lazy};
	bool whole = !has_link(t);

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
		compare_sets(&lazy, &brute, what, seed, UINT64_MAX);
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
	for (uint64_t seed = 1; seed <= TRACES; seed++) {
		struct model model;
		make_model(seed, &model, &text);
		cover_trace(seed, &model, buf_str(&text), totals);
	}
	print_message("%zu traces: %zu crash points stand for %zu positions\n", totals[0],
		      totals[1], totals[2]);
	assert_true(totals[0] > TRACES / 4);
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
			for (uint64_t seed = 1; seed <= TRACES / 5; seed++)
				points += compare_trace(seed, &model, model.name, &states);
			print_message("%s, %s-byte sectors: %zu crash points, %llu states\n",
				      model.name, sector == 0 ? "512" : "4096", points,
				      (unsigned long long)states);
			assert_true(points > TRACES / 5);
			assert_true(states > TRACES);
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
	for (uint64_t seed = 1; seed <= TRACES; seed++) {
		struct model model;
		make_model(seed, &model, &text);
		points += compare_trace(seed + TRACES, &model, buf_str(&text), &states);
	}
	print_message("random models: %zu crash points, %llu states\n", points,
		      (unsigned long long)states);
	assert_true(states > 10 * TRACES);
	buf_release(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_presets),
	    cmocka_unit_test(test_random_models),
	    cmocka_unit_test(test_points_cover_all_positions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
