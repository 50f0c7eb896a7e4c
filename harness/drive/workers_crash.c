/*
 * What becomes of a worker that the code under test has killed: see workers.h. The finding names a
 * state that kills by itself; everything that the worker knew of its point died with it, so another
 * one explores the point again, up to that state.
 */
#include "harness/drive/workers_internal.h"

#include "faultinject/base/assert.h"
#include "harness/drive/gate.h"
#include "harness/drive/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Runs one state by itself. */
struct again {
	const struct workers_job *job;
	const struct explore_point *point;
	const uint32_t *answers;
	size_t answer_count;
};

static bool keep_beating(void *ctx)
{
	isolate_beat(ctx);
	return false;
}

static void run_again(void *ctx, struct isolate *i, int out)
{
	const struct again *a = ctx;
	struct explore_callbacks callbacks = {.examine = examiner_examine,
					      .recover = examiner_recover,
					      .ctx = a->job->examiner,
					      .representative = a->job->representative};
	struct err err = ERR_INIT;

	(void)out;
	watch_set(keep_beating, i);
	examiner_isolate(a->job->examiner, i);
	(void)explore_replay(a->job->ix, a->job->model, a->point, a->answers, a->answer_count,
			     &i->choice, &callbacks, &err);
}

static bool interrupted(void *ctx)
{
	const struct workers_job *job = ctx;

	return (job->interrupted != NULL && job->interrupted(job->ctx)) ||
	       (job->deadline_ns != 0 && gate_now_ns() >= job->deadline_ns);
}

/* A fault may be the late effect of an earlier recovery in the same process. Such a state would not
 * replay, and another number of workers would not find it. */
static int confirm(const struct workers_job *job, const struct again *again,
		   struct isolate_death *death, struct err *err)
{
	char first[ISOLATE_TEXT_SIZE];
	struct isolate *i = isolate_create();
	struct isolate_work work = {.child = run_again,
				    .stop = interrupted,
				    .ctx = (void *)(uintptr_t)again,
				    .stop_ctx = (void *)(uintptr_t)job,
				    .hang_ns = job->hang_ns};
	struct buf output;
	int rc;

	buf_init(&output);
	(void)snprintf(first, sizeof first, "%s", death->text);
	rc = isolate_run(i, &work, &output, death, err);
	buf_release(&output);
	isolate_free(i);
	if (rc == 0 && death->fate != ISOLATE_CRASHED && death->fate != ISOLATE_HUNG)
		rc = err_set(err, ERR_HARNESS,
			     "a worker vanished (%s) in a recovery at position %llu, and the same "
			     "recovery by itself does not do that",
			     first, (unsigned long long)again->point->position);
	return rc;
}

int pool_learn_crash(struct pool *pool, const struct worker *w, const struct isolate_death *death,
		     struct err *err)
{
	const struct workers_job *job = pool->job;
	size_t point = (size_t)atomic_load(&w->isolate->task);
	struct isolate_death again_death = *death;
	struct crash crash = {.point = point, .run = atomic_load(&w->isolate->recoveries)};
	struct finding *f = &crash.finding;
	int rc;

	if (point >= job->points->count || crash.run == 0 || pool_crash(pool, point) != NULL)
		return err_set(err, ERR_HARNESS,
			       "a worker vanished (%s) at another recovery than the one before it",
			       death->text);
	const struct isolate_again *second = &w->isolate->again;
	struct explore_point at = job->points->items[point];
	const struct explore_point *p = &at;
	at.again = (struct explore_again){second->happened, second->position, second->cut_bytes};
	rc = isolate_answers(w->isolate, &f->answers, &f->answer_count, err);
	if (rc == 0 && death->fate == ISOLATE_CRASHED) {
		struct again again = {job, p, f->answers, f->answer_count};
		rc = confirm(job, &again, &again_death, err);
	}
	if (rc != 0) {
		free(f->answers);
		return rc;
	}
	f->verdict.oracle = "recovery";
	f->verdict.grade = GRADE_CORRUPT;
	isolate_say(&again_death, job->hang_ns, f->verdict.message, sizeof f->verdict.message);
	f->position = p->position;
	f->cut_bytes = p->cut_bytes;
	f->promise = p->promises[0];
	f->again = p->again;
	f->recovery = crash.run;
	pool->crashes =
	    xgrow(pool->crashes, pool->crash_count, &pool->crash_cap, sizeof *pool->crashes);
	pool->crashes[pool->crash_count++] = crash;
	return 0;
}

struct crash *pool_crash(const struct pool *pool, size_t point)
{
	for (size_t i = 0; i < pool->crash_count; i++)
		if (pool->crashes[i].point == point)
			return &pool->crashes[i];
	return NULL;
}

int pool_add_crash(struct crash *crash, struct point_result *r, struct err *err)
{
	struct explore_outcome *o = &r->outcome;

	if (r->error.code != 0)
		return 0;
	if (o->end == EXPLORE_LIMIT && o->recoveries == crash->run - 1)
		o->recoveries = crash->run;
	else if (o->end != EXPLORE_SPENT && o->end != EXPLORE_STOPPED)
		return err_set(err, ERR_HARNESS,
			       "crash point at position %llu came to its end before the recovery "
			       "that crashed",
			       (unsigned long long)crash->finding.position);
	crash->added = true;
	o->end = EXPLORE_CORRUPT;
	r->grade = GRADE_CORRUPT;
	findings_keep(r->findings, &r->finding_count, &crash->finding);
	return 0;
}
