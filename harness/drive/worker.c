/*
 * A worker: the child's side of workers.h. It takes crash points from a counter that all share,
 * explores each, and sends its result. It prints nothing; what it cannot say by a result, its
 * parent reads from how it died.
 */
#include "harness/drive/workers_internal.h"

#include "faultinject/base/fileio.h"
#include "harness/drive/gate.h"
#include "harness/drive/watch.h"

enum {
	CLOCK_INTERVAL = 64
}; /* recoveries between two looks at the clock; each takes microseconds */

struct life {
	const struct pool *pool;
	struct worker *worker;
	size_t number;
	/* All points below `known` have a cost, and theirs add up to this. */
	size_t known;
	uint64_t known_cost;
};

static int examine(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		   const struct choice *choice, enum explore_next *ret_next, struct err *err)
{
	const struct life *l = ctx;

	return examiner_examine(l->pool->job->examiner, point, disk, choice, ret_next, err);
}

static int recover(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		   enum explore_next *ret_next, struct err *err)
{
	const struct life *l = ctx;

	return examiner_recover(l->pool->job->examiner, point, disk, ret_next, err);
}

static bool is_over(const struct life *l)
{
	uint64_t deadline = l->pool->job->deadline_ns;

	return atomic_load_explicit(&l->pool->control->stop, memory_order_relaxed) ||
	       (deadline != 0 && gate_now_ns() >= deadline);
}

static bool spent(void *ctx, uint64_t recoveries)
{
	const struct life *l = ctx;

	/* Asked before every recovery: this one, then, is the next. */
	atomic_store_explicit(&l->worker->isolate->recoveries, recoveries + 1,
			      memory_order_relaxed);
	atomic_fetch_add_explicit(&l->pool->control->made[l->number], 1, memory_order_relaxed);
	return recoveries % CLOCK_INTERVAL == 0
		   ? is_over(l)
		   : atomic_load_explicit(&l->pool->control->stop, memory_order_relaxed);
}

/* For watch.h: a statement that is still stepping is alive. */
static bool stop_statement(void *ctx)
{
	const struct life *l = ctx;

	isolate_beat(l->worker->isolate);
	return is_over(l);
}

/* The most that may be left of the budget when this point's turn comes. */
static uint64_t budget_of(struct life *l, size_t point)
{
	const struct workers_job *job = l->pool->job;
	_Atomic uint64_t *cost = l->pool->control->cost;
	uint64_t before;

	if (job->recoveries_max == UINT64_MAX)
		return UINT64_MAX;
	for (uint64_t c; l->known < point && (c = atomic_load(&cost[l->known])) != 0; l->known++)
		l->known_cost += c - 1;
	before = l->known_cost;
	for (size_t i = l->known; i < point; i++) {
		uint64_t c = atomic_load(&cost[i]);
		before += c == 0 ? 0 : c - 1;
	}
	return before >= job->recoveries_max ? 0 : job->recoveries_max - before;
}

static bool take_point(struct life *l, struct worker_task *ret)
{
	struct control *c = l->pool->control;
	size_t count = l->pool->job->points->count;

	for (;;) {
		size_t taken = atomic_fetch_add(&c->next, 1);
		if (taken >= count || is_over(l))
			return false;
		size_t i = l->pool->order == NULL ? taken : l->pool->order[taken];
		if (i >= atomic_load(&c->end) || l->pool->from_file[i])
			continue;
		*ret = (struct worker_task){
		    .given = true, .point = i, .recoveries_max = budget_of(l, i)};
		return true;
	}
}

static void explore_task(struct life *l, struct explore_search *search,
			 const struct worker_task *task, struct buf *out)
{
	const struct workers_job *job = l->pool->job;
	struct examiner *e = job->examiner;
	const struct finding *findings;
	struct point_result r;

	point_result_init(&r);
	r.index = task->point;
	atomic_store(&l->worker->isolate->task, task->point);
	atomic_store(&l->worker->isolate->recoveries, 0);
	examiner_begin_point(e);
	(void)explore_search_point(search, &job->points->items[task->point], task->recoveries_max,
				   &r.outcome, &r.error);
	r.grade = examiner_grade(e);
	r.lost_max = examiner_lost_max(e);
	size_t count = examiner_findings(e, &findings);
	for (size_t i = 0; i < count; i++)
		findings_keep(r.findings, &r.finding_count, &findings[i]);
	point_result_encode(&r, out);
	/* Before the next point asks what is left. */
	atomic_store(&l->pool->control->cost[task->point], r.outcome.recoveries + 1);
	point_result_release(&r);
}

void worker_main(const struct pool *pool, struct worker *w, size_t number, int out)
{
	const struct workers_job *job = pool->job;
	struct life l = {.pool = pool, .worker = w, .number = number};
	struct explore_callbacks callbacks = {.examine = examine,
					      .recover = job->depth == 2 ? recover : NULL,
					      .spent = spent,
					      .representative = job->representative,
					      .ctx = &l};
	struct explore_search *search = explore_search_create(
	    job->ix, job->model, &callbacks, &w->isolate->choice, job->frontier_bytes_max);
	struct worker_task task = w->task;
	struct buf record;

	buf_init(&record);
	resume_leave(job->resume);
	watch_set(stop_statement, &l);
	examiner_isolate(job->examiner, w->isolate);
	while (task.given || take_point(&l, &task)) {
		explore_task(&l, search, &task, &record);
		/* Without a parent there is nobody to tell. */
		if (fd_write_all(out, record.data, record.size) != 0)
			isolate_exit(1);
		buf_clear(&record);
		if (task.alone)
			break;
		task.given = false;
	}
	buf_release(&record);
	explore_search_free(search);
	isolate_exit(0);
}
