/*
 * `recoveries SCENARIO SECTOR KIND`: the whole reference run explored in one process, and the rate
 * of it. KIND says what a recovery includes:
 *
 *     read   open and first read, and nothing else
 *     new    and the oracles where the state is new, which is what `plugpull run` does
 *     all    and the oracles every time: a second connection, digests, probes, judgement
 *
 * The explorer and its accounting are part of all three.
 */
#include "harness/bench/bench.h"

#include "faultinject/vfs.h"
#include "harness/drive/observe.h"
#include "harness/judge/oracle.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct rate {
	const struct bench_run *run;
	const struct bench_case *c;
	struct observer observer;
	bool observe;
	uint64_t bad;
};

static int recover(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		   const struct choice *choice, enum explore_next *ret_next, struct err *err)
{
	struct rate *r = ctx;
	struct observation o = {0};
	enum grade grade = GRADE_DURABLE;

	(void)err;
	(void)choice;
	fi_vfs_boot(crashdisk_storage(disk), point->position, r->c->ix->trace->device);
	struct sqlite3 *db = observer_recover(&r->observer, &o);
	if (r->observe) {
		struct verdict verdicts[JUDGE_VERDICTS_MAX];
		uint64_t lost;
		observer_observe(&r->observer, db, &o);
		(void)judge_observation(examiner_judge(r->c->examiner),
					examiner_history(r->c->examiner), point->promises[0], &o,
					verdicts, JUDGE_VERDICTS_MAX, &grade, &lost);
	}
	observer_close(db);
	r->bad += o.rc != 0 || grade != GRADE_DURABLE;
	observation_release(&o);
	*ret_next = EXPLORE_GO;
	return 0;
}

int bench_recoveries(int argc, char **argv, struct err *err)
{
	struct bench_run run = {0};
	struct bench_case c = {0};
	struct rate rate = {.run = &run, .c = &c};
	struct explore_callbacks callbacks = {.examine = recover, .ctx = &rate};
	struct explore_stats stats;

	if (argc != 3)
		return err_set(err, ERR_USAGE, "recoveries SCENARIO SECTOR read|new|all");
	explore_stats_init(&stats);
	int rc = bench_run_load(argv[0], argv[1], &run, err);
	if (rc == 0)
		rc = bench_case_open(&run, run.trace, &c, err);
	if (rc != 0)
		goto out;
	observer_init(&rate.observer, run.subject, judge_probes(examiner_judge(c.examiner)));
	rate.observe = strcmp(argv[2], "all") == 0;
	if (strcmp(argv[2], "new") == 0)
		callbacks =
		    (struct explore_callbacks){.examine = examiner_examine, .ctx = c.examiner};
	double begin = bench_cpu_seconds();
	rc = explore(c.ix, &c.model, c.points.items, c.points.count, &callbacks, &stats, err);
	double seconds = bench_cpu_seconds() - begin;
	observer_release(&rate.observer);
	if (rc == 0 &&
	    (!stats.exhaustive || rate.bad != 0 || examiner_grade(c.examiner) != GRADE_DURABLE))
		rc = err_set(err, ERR_HARNESS,
			     "the reference run is not durable in every state (%" PRIu64
			     " bad recoveries)",
			     rate.bad);
	if (rc == 0)
		gmp_printf("{\"recoveries\": %" PRIu64
			   ", \"states\": \"%Zd\", \"seconds\": %.6f}\n",
			   stats.recoveries, stats.states, seconds);
out:
	bench_case_release(&c);
	bench_run_release(&run);
	explore_stats_release(&stats);
	return rc;
}
