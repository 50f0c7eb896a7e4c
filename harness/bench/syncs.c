/*
 * `syncs SCENARIO SECTOR`: each effective sync and directory sync of the run is deleted in turn, as
 * if the program had forgotten it, and the changed trace is explored until the grade falls.
 *
 * Exploration begins at the first crash point behind the deleted sync: what is before it is as it
 * was, and was proved once. What such a mistake leaves open mostly shows nearby, or else in the
 * oldest state, which the explorer looks at second; so first come NEAR_RECOVERIES recoveries at
 * each of the next NEAR_POINTS crash points, then two at each of all, then everything. Recoveries
 * and time are counted from there to the first finding. A mutant without a finding is *redundant*:
 * all of its states were covered and are as good as before.
 */
#include "harness/bench/bench.h"

#include "faultinject/base/buf.h"
#include "faultinject/trace_edit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { NEAR_POINTS = 3, NEAR_RECOVERIES = 32 };

struct hunt {
	struct examiner *examiner;
	uint64_t limit;			/* recoveries at each crash point */
	uint64_t position, at_position; /* recoveries at the present crash point */
	uint64_t recoveries;
	bool found;
};

struct sample {
	uint64_t recoveries;
	double seconds;
};

static int hunt_examine(void *ctx, const struct explore_point *point, struct crashdisk *disk,
			const struct choice *choice, enum explore_next *ret_next, struct err *err)
{
	struct hunt *h = ctx;
	const struct finding *findings;
	int rc = examiner_examine(h->examiner, point, disk, choice, ret_next, err);

	h->recoveries++;
	h->at_position = point->position == h->position ? h->at_position + 1 : 1;
	h->position = point->position;
	if (h->at_position == h->limit)
		*ret_next = EXPLORE_STOP_POINT;
	if (examiner_findings(h->examiner, &findings) > 0) {
		h->found = true;
		*ret_next = EXPLORE_STOP_ALL;
	}
	return rc;
}

/* Explores one mutant. *ret_sample counts until the finding, or everything. */
static int hunt_one(const struct bench_run *run, uint64_t end, bool *ret_found,
		    struct sample *ret_sample, struct err *err)
{
	struct trace *t = trace_without_sync(run->trace, end, NULL);
	uint64_t begin = trace_at(run->trace, end)->offset;
	struct bench_case c = {0};
	struct explore_stats stats;
	size_t first = 0;

	explore_stats_init(&stats);
	int rc = bench_case_open(run, t, &c, err);
	if (rc != 0)
		goto out;
	struct hunt h = {.examiner = c.examiner, .position = UINT64_MAX};
	struct explore_callbacks callbacks = {.examine = hunt_examine, .ctx = &h};
	while (first < c.points.count && c.points.items[first].position < begin)
		first++;
	double from = bench_seconds();
	for (int pass = 0; pass < 3 && rc == 0 && !h.found; pass++) {
		size_t count = c.points.count - first;
		h.limit = pass == 0 ? NEAR_RECOVERIES : pass == 1 ? 2 : UINT64_MAX;
		if (pass == 0 && count > NEAR_POINTS)
			count = NEAR_POINTS;
		explore_stats_release(&stats);
		explore_stats_init(&stats);
		rc =
		    explore(c.ix, &c.model, c.points.items + first, count, &callbacks, &stats, err);
	}
	*ret_sample = (struct sample){h.recoveries, bench_seconds() - from};
	*ret_found = h.found;
	if (rc == 0 && !h.found && !stats.exhaustive)
		rc = err_set(err, ERR_HARNESS, "a mutant without a finding was not covered");
out:
	explore_stats_release(&stats);
	bench_case_release(&c);
	trace_free(t);
	return rc;
}

static int by_recoveries(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;

	return (x->recoveries > y->recoveries) - (x->recoveries < y->recoveries);
}

static int by_seconds(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;

	return (x->seconds > y->seconds) - (x->seconds < y->seconds);
}

static void print(struct sample *caught, size_t count, size_t redundant, uint64_t recoveries)
{
	size_t within = 0;

	for (size_t i = 0; i < count; i++)
		within += caught[i].recoveries <= 100 && caught[i].seconds <= 0.1;
	qsort(caught, count, sizeof *caught, by_recoveries);
	printf("{\"caught\": %zu, \"within\": %zu, \"redundant\": %zu, \"redundant_recoveries\": "
	       "%" PRIu64,
	       count, within, redundant, recoveries);
	printf(", \"recoveries_median\": %" PRIu64 ", \"recoveries_max\": %" PRIu64,
	       caught[count / 2].recoveries, caught[count - 1].recoveries);
	qsort(caught, count, sizeof *caught, by_seconds);
	printf(", \"seconds_median\": %.6f, \"seconds_max\": %.6f}\n", caught[count / 2].seconds,
	       caught[count - 1].seconds);
}

int bench_syncs(int argc, char **argv, struct err *err)
{
	struct bench_run run = {0};
	struct bench_case c = {0};
	struct sample *caught = NULL;
	size_t count = 0, redundant = 0;
	uint64_t redundant_recoveries = 0;

	if (argc != 2)
		return err_set(err, ERR_USAGE, "syncs SCENARIO SECTOR");
	int rc = bench_run_load(argv[0], argv[1], &run, err);
	if (rc == 0)
		rc = bench_case_open(&run, run.trace, &c, err);
	if (rc != 0)
		goto out;
	caught = xcalloc(run.trace->op_count, sizeof *caught);
	for (uint64_t p = 1; p <= run.trace->op_count && rc == 0; p++) {
		uint8_t kind = trace_at(run.trace, p)->kind;
		struct sample sample = {0, 0};
		bool found = false;
		if ((kind != OP_SYNC_END && kind != OP_DIRSYNC_END) ||
		    !index_sync_effective(c.ix, p))
			continue;
		rc = hunt_one(&run, p, &found, &sample, err);
		if (rc != 0)
			break;
		if (found) {
			caught[count++] = sample;
		} else {
			redundant++;
			redundant_recoveries += sample.recoveries;
		}
	}
	if (rc == 0 && count == 0)
		rc = err_set(err, ERR_HARNESS, "no deleted sync was noticed");
	if (rc == 0)
		print(caught, count, redundant, redundant_recoveries);
out:
	free(caught);
	bench_case_release(&c);
	bench_run_release(&run);
	return rc;
}
