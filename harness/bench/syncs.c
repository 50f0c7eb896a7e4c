/*
 * `syncs SCENARIO SECTOR`: each effective sync and directory sync of the run is left out in turn,
 * as if the program had forgotten it, and what follows is explored as `plugpull mutate` does it
 * (mutate.h), in this process. Recoveries and time are counted to the first finding, history
 * included. A mutant without a finding is *redundant*: all of its states were covered and are as
 * good as before.
 */
#include "harness/bench/bench.h"

#include "faultinject/base/buf.h"
#include "faultinject/trace_edit.h"
#include "harness/drive/mutate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct sample {
	uint64_t recoveries;
	double seconds;
};

/* Explores one mutant. *ret_sample counts until the finding, or everything. */
static int hunt_one(const struct bench_run *run, const struct bench_case *c, uint64_t end,
		    bool *ret_found, struct sample *ret_sample, struct err *err)
{
	static const struct mutate_baseline durable = {.grade = GRADE_DURABLE};
	uint64_t *positions = NULL;
	struct trace *t = trace_without_sync(run->trace, end, &positions);
	struct mutate_hunt hunt;
	double from = bench_seconds();
	int rc =
	    mutate_hunt(run->subject, c->ix, t, positions, &durable, NULL, NULL, NULL, &hunt, err);

	*ret_sample = (struct sample){hunt.recoveries, bench_seconds() - from};
	*ret_found = hunt.found;
	if (rc == 0 && !hunt.found && !hunt.whole)
		rc = err_set(err, ERR_HARNESS, "a mutant without a finding was not covered");
	free(positions);
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
		rc = hunt_one(&run, &c, p, &found, &sample, err);
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
