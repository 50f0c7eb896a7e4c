/*
 * A crash during recovery, on random small traces and models: the explorer at depth 2 against brute
 * force, which builds every state of the first crash, lets a recovery run on it and records that,
 * builds every state of a crash at any moment of it, and looks. The same outcomes must come up, and
 * the accounting of every tree must add up.
 */
#include "faultinject/base/buf.h"
#include "faultinject/crashdisk.h"
#include "faultinject/disk.h"
#include "harness/explore/enumerate.h"
#include "harness/explore/explore.h"
#include "harness/explore/test/random_traces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TRACES_LONG = 2500, TRACES_SHORT = 1000, STATES_MAX = 400 };

/* All of them in `make check-long`. */
static uint64_t trace_count(void)
{
	return getenv("PLUGPULL_LONG") != NULL ? TRACES_LONG : TRACES_SHORT;
}

struct context {
	uint64_t seed;
	const struct model *model;
	uint64_t states; /* of second crashes */
	struct random_outcomes seen;
};

static int recover(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		   enum explore_next *ret_next, struct err *err)
{
	const struct context *c = ctx;

	(void)point;
	(void)err;
	random_recovery(crashdisk_storage(disk), c->seed);
	crashdisk_end_recovery(disk);
	*ret_next = EXPLORE_GO;
	return 0;
}

static int examine(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		   const struct choice *choice, enum explore_next *ret_next, struct err *err)
{
	struct context *c = ctx;

	(void)choice;
	(void)err;
	uint64_t seen = random_look(crashdisk_storage(disk), c->seed);
	if (point->again.happened)
		random_outcomes_add(&c->seen, seen);
	*ret_next = EXPLORE_GO;
	return 0;
}

static int visit_again(void *ctx, const struct enumerate_file *files, size_t count, struct err *err)
{
	struct context *c = ctx;

	(void)err;
	random_outcomes_add(&c->seen, random_look_files(files, count, c->seed));
	c->states++;
	return 0;
}

static int visit(void *ctx, const struct enumerate_file *files, size_t count, struct err *err)
{
	struct context *c = ctx;
	struct disk *disk = disk_create();
	struct trace_device device = {.sector_size_bytes = 512};
	struct trace *t = trace_create(device, "recovery");
	int rc = 0;

	for (size_t i = 0; i < count; i++)
		disk_put(disk, files[i].path, files[i].data, files[i].size);
	disk_storage(disk)->actor = (struct storage_actor){1, 1, 1};
	disk_record(disk, t);
	random_recovery(disk_storage(disk), c->seed);
	/* Where recovery did nothing there is no second crash to look at. */
	for (uint64_t p = 0; p <= t->op_count && t->op_count > 0 && rc == 0; p++) {
		uint64_t n;
		rc = enumerate_states(t, c->model, p, STATES_MAX, visit_again, c, &n, err);
	}
	disk_free(disk);
	trace_free(t);
	return rc;
}

/* Garbage is a function of the number of a file, and files of a recovery are numbered otherwise by
 * brute force. */
static bool has_garbage(const struct model *m)
{
	return m->hole == MODEL_HOLE_GARBAGE || m->no_psow;
}

static void test_again(void **state)
{
	struct buf text = {0};
	size_t compared = 0;
	uint64_t states = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= trace_count(); seed++) {
		static struct context lazy, brute;
		struct trace *t = random_trace(seed);
		struct trace_index *ix = NULL;
		struct model model;
		struct err err = ERR_INIT;
		struct explore_stats stats;
		struct explore_callbacks callbacks = {
		    .examine = examine, .recover = recover, .ctx = &lazy};
		uint64_t p = seed % (t->op_count + 1), n = 0;
		struct explore_point point = {
		    .position = p, .cut_bytes = SIZE_MAX, .promises = &p, .promise_count = 1};
		random_model(seed, &model, &text);
		lazy.seed = brute.seed = seed;
		lazy.model = brute.model = &model;
		lazy.seen.count = brute.seen.count = 0;
		brute.states = 0;
		/* A barrier's earlier disks are points of their own. */
		struct model honest = model;
		if (model.fsync == MODEL_FSYNC_BARRIER)
			honest.fsync = MODEL_FSYNC_HONEST;
		if (random_has_link(t) ||
		    enumerate_states(t, &honest, p, STATES_MAX, visit, &brute, &n, &err) != 0) {
			trace_free(t);
			continue;
		}
		assert_int_equal(trace_index_build(t, &model, &ix, &err), 0);
		explore_stats_init(&stats);
		if (explore(ix, &model, &point, 1, &callbacks, &stats, &err) != 0)
			fail_msg("%s, seed %llu: %s", buf_str(&text), (unsigned long long)seed,
				 err.message);
		assert_true(stats.exhaustive);
		if (!has_garbage(&model)) {
			random_outcomes_compare(&lazy.seen, &brute.seen, buf_str(&text), seed, p);
			compared++;
			states += brute.states;
		}
		explore_stats_release(&stats);
		trace_index_free(ix);
		trace_free(t);
	}
	print_message("%zu traces, %llu states of a second crash\n", compared,
		      (unsigned long long)states);
	assert_true(compared > trace_count() / 4);
	assert_true(states > 20 * trace_count());
	buf_release(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
