/*
 * The parent's side of workers.h: starts workers, reads their pipes, adds up.
 *
 *     while not everything is added up:
 *         a record came     -> kept (and appended to the resume file); added up when its turn comes
 *         a pipe ended      -> judge the dead: fine, a finding, or a failure
 *         time, interrupt   -> stop: workers send what they have
 *
 * Records are kept as bytes until their turn, because a result is much larger than its record.
 */
#include "harness/drive/workers_internal.h"

#include "faultinject/base/assert.h"
#include "harness/drive/gate.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	POLL_INTERVAL_MS = 100,
	READ_SIZE = 1 << 16,
};

/* What a worker may take to end when it is told to; one that sits in a long statement asks, one
 * that hangs does not. */
static const uint64_t STOP_GRACE_NS = 2000000000u;

unsigned workers_standard(void)
{
	cpu_set_t set;
	int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

	return count < 1 ? 1 : count > WORKERS_MAX ? WORKERS_MAX : (unsigned)count;
}

void workers_result_init(struct workers_result *r)
{
	memset(r, 0, sizeof *r);
	explore_stats_init(&r->stats);
	r->grade = GRADE_DURABLE;
}

void workers_result_release(struct workers_result *r)
{
	for (size_t i = 0; i < r->finding_count; i++)
		free(r->findings[i].answers);
	explore_stats_release(&r->stats);
}

/* ---- adding up ----------------------------------------------------------------------------- */

/* No budget and no interrupt cut it short. */
static bool is_finished(const struct point_result *r)
{
	return r->error.code == 0 &&
	       (r->outcome.end == EXPLORE_WHOLE || r->outcome.end == EXPLORE_REPRESENTED ||
		r->outcome.end == EXPLORE_CORRUPT);
}

static void add_up(struct workers_result *to, const struct point_result *r, uint64_t now)
{
	uint64_t before = to->stats.recoveries;

	explore_stats_add(&to->stats, &r->outcome);
	to->recoveries_now += now;
	if (r->grade < to->grade)
		to->grade = r->grade;
	if (r->lost_max > to->lost_max)
		to->lost_max = r->lost_max;
	for (size_t i = 0; i < r->finding_count; i++) {
		struct finding f = r->findings[i];
		f.recovery += before;
		findings_keep(to->findings, &to->finding_count, &f);
	}
}

static int start_worker(struct pool *p, size_t number, struct worker_task task, struct err *err);

/* Has the point explored again, by so many recoveries. Its place is beside the other workers. */
static int cut_point(struct pool *p, size_t point, uint64_t recoveries_max, struct err *err)
{
	struct worker_task task = {
	    .given = true, .alone = true, .point = point, .recoveries_max = recoveries_max};

	ASSERT_OP(p->workers[p->worker_count].pid, ==, 0);
	buf_clear(&p->records[point]);
	atomic_store(&p->control->end, point + 1);
	return start_worker(p, p->worker_count, task, err);
}

/* What is known of a point that has its turn: *ret_known. While everything stops, that is little
 * for a point that nobody finished, and nothing for one that nobody began. */
static int recall(struct pool *p, size_t i, struct point_result *ret, bool *ret_known,
		  struct err *err)
{
	const struct workers_job *job = p->job;
	const struct buf *record = &p->records[i];
	struct crash *crash = pool_crash(p, i);

	*ret_known = true;
	if (p->from_file[i])
		return resume_find(job->resume, resume_point_key(job->key, &job->points->items[i]),
				   ret, ret_known, err);
	if (record->size > 0)
		return point_result_decode(record->data, record->size, ret, err);
	*ret_known = p->stopping && crash != NULL;
	if (*ret_known) {
		point_result_release(ret);
		ret->error.code = 0;
		ret->grade = GRADE_DURABLE;
		ret->outcome.end = EXPLORE_STOPPED;
		return pool_add_crash(crash, ret, err);
	}
	return 0;
}

/* Adds up what has its turn. */
static int merge(struct pool *p, struct err *err)
{
	const struct workers_job *job = p->job;
	struct workers_result *to = p->result;
	struct point_result r;
	int rc = 0;

	point_result_init(&r);
	for (; rc == 0 && !p->ended && p->merged < job->points->count; p->merged++) {
		size_t i = p->merged;
		bool known;
		rc = recall(p, i, &r, &known, err);
		if (rc != 0 || (!known && !p->stopping))
			break;
		if (!known)
			continue;
		uint64_t now = p->from_file[i] ? 0 : r.outcome.recoveries;
		if (now > job->recoveries_max - to->recoveries_now && !p->stopping) {
			rc = cut_point(p, i, job->recoveries_max - to->recoveries_now, err);
			break;
		}
		add_up(to, &r, now);
		to->points_resumed += p->from_file[i];
		to->points_now += !p->from_file[i] && is_finished(&r);
		buf_release(&p->records[i]);
		if (r.error.code != 0) {
			*err = r.error;
			rc = r.error.code;
		}
		p->ended = rc != 0 || r.outcome.end == EXPLORE_LIMIT;
	}
	point_result_release(&r);
	return rc;
}

/* ---- records ------------------------------------------------------------------------------- */

static int keep_record(struct pool *p, const uint8_t *data, size_t size, struct err *err)
{
	const struct workers_job *job = p->job;
	struct point_result r;
	int rc;

	point_result_init(&r);
	rc = point_result_decode(data, size, &r, err);
	if (rc != 0 || r.index >= job->points->count) {
		rc = err_set(err, ERR_HARNESS, "a worker sent a broken record");
		goto out;
	}
	size_t i = (size_t)r.index;
	struct buf *record = &p->records[i];
	struct crash *crash = pool_crash(p, i);
	if (crash != NULL && !crash->added && (rc = pool_add_crash(crash, &r, err)) != 0)
		goto out;
	r.key = resume_point_key(job->key, &job->points->items[i]);
	buf_clear(record);
	point_result_encode(&r, record);
	if (!p->finished[i]) {
		p->done++;
		mpz_add(p->covered, p->covered, r.outcome.covered);
	}
	p->finished[i] = true;
	atomic_store(&p->control->cost[i], r.outcome.recoveries + 1);
	if (job->resume != NULL && is_finished(&r))
		rc = resume_add(job->resume, record, err);
	/* Nothing behind the first point that ends everything is needed. */
	if ((r.error.code != 0 || r.outcome.end == EXPLORE_LIMIT) &&
	    i + 1 < atomic_load(&p->control->end))
		atomic_store(&p->control->end, i + 1);
out:
	point_result_release(&r);
	return rc;
}

static int keep_records(struct pool *p, struct worker *w, struct err *err)
{
	size_t at = 0;
	int rc = 0;

	while (rc == 0 && at < w->input.size) {
		size_t size;
		rc = point_record_size(w->input.data + at, w->input.size - at, &size, err);
		if (rc != 0)
			rc = err_set(err, ERR_HARNESS, "a worker sent a broken record");
		if (rc != 0 || size == 0)
			break;
		rc = keep_record(p, w->input.data + at, size, err);
		at += size;
	}
	if (at > 0) {
		memmove(w->input.data, w->input.data + at, w->input.size - at);
		w->input.size -= at;
	}
	return rc;
}

/* ---- workers ------------------------------------------------------------------------------- */

static int start_worker(struct pool *p, size_t number, struct worker_task task, struct err *err)
{
	struct worker *w = &p->workers[number];
	int fd = -1;

	if (w->isolate == NULL)
		w->isolate = isolate_create();
	w->task = task;
	w->hung = false;
	buf_clear(&w->input);
	w->pid = isolate_fork(w->isolate, &fd, err);
	if (w->pid < 0) {
		w->pid = 0;
		return ERR_HARNESS;
	}
	if (w->pid == 0)
		worker_main(p, w, number, fd);
	w->fd = fd;
	isolate_watch_begin(&w->watch, w->isolate, w->pid);
	return 0;
}

static void begin_stop(struct pool *p)
{
	if (p->stopping)
		return;
	p->stopping = true;
	p->stop_ns = gate_now_ns();
	atomic_store(&p->control->stop, true);
}

/* A worker's pipe ended: it is dead or dying. */
static int bury(struct pool *p, struct worker *w, struct err *err)
{
	struct isolate_death death;
	int status = isolate_reap(w->pid), rc;
	struct worker_task task = {.given = true};

	w->pid = 0;
	close(w->fd);
	isolate_judge(w->isolate, status, w->hung, &death);
	if (death.fate == ISOLATE_ENDED || p->stopping)
		return 0;
	task.point = (size_t)atomic_load(&w->isolate->task);
	if (death.fate == ISOLATE_VANISHED)
		return err_set(err, ERR_HARNESS,
			       "a worker vanished: %s (at crash point %zu of %zu)", death.text,
			       task.point + 1, p->job->points->count);
	rc = pool_learn_crash(p, w, &death, err);
	if (rc == ERR_INTERRUPTED) {
		begin_stop(p);
		return 0;
	}
	if (rc != 0)
		return rc;
	task.recoveries_max = pool_crash(p, task.point)->run - 1;
	task.alone = w->task.given && w->task.alone;
	return start_worker(p, (size_t)(w - p->workers), task, err);
}

static int read_worker(struct pool *p, struct worker *w, struct err *err)
{
	ssize_t n;

	buf_reserve(&w->input, READ_SIZE);
	n = read(w->fd, w->input.data + w->input.size, READ_SIZE);
	if (n < 0)
		return errno == EINTR ? 0
				      : err_set(err, ERR_HARNESS, "cannot read from a worker: %s",
						strerror(errno));
	if (n == 0)
		return bury(p, w, err);
	w->input.size += (size_t)n;
	return keep_records(p, w, err);
}

/* Waits for what comes next, and takes it. *ret_alive: somebody is there. */
static int wait_for_workers(struct pool *p, bool *ret_alive, struct err *err)
{
	struct pollfd fds[WORKERS_MAX + 1];
	struct worker *of[WORKERS_MAX + 1];
	nfds_t count = 0;
	int rc = 0;

	for (size_t i = 0; i <= p->worker_count; i++) {
		if (p->workers[i].pid == 0)
			continue;
		of[count] = &p->workers[i];
		fds[count++] = (struct pollfd){p->workers[i].fd, POLLIN, 0};
	}
	*ret_alive = count > 0;
	if (count == 0 || poll(fds, count, POLL_INTERVAL_MS) <= 0)
		return 0;
	for (nfds_t i = 0; i < count && rc == 0; i++)
		if (fds[i].revents != 0)
			rc = read_worker(p, of[i], err);
	return rc;
}

static void kill_hanging(struct pool *p)
{
	uint64_t now = gate_now_ns();

	for (size_t i = 0; i <= p->worker_count; i++) {
		struct worker *w = &p->workers[i];
		if (w->pid == 0 || w->hung)
			continue;
		if (p->stopping ? now - p->stop_ns >= STOP_GRACE_NS
				: isolate_hangs(&w->watch, w->isolate, w->pid, p->job->hang_ns)) {
			w->hung = true;
			(void)kill(w->pid, SIGKILL);
		}
	}
}

/* ---- the whole ----------------------------------------------------------------------------- */

static uint64_t made(const struct pool *p)
{
	uint64_t sum = 0;

	for (size_t i = 0; i <= p->worker_count; i++)
		sum += atomic_load(&p->control->made[i]);
	return sum;
}

static void report(struct pool *p)
{
	if (p->job->progress != NULL)
		p->job->progress(p->job->ctx, p->done, p->job->points->count, made(p),
				 mpz_sizeinbase(p->covered, 10) - 1);
}

static int run(struct pool *p, struct err *err)
{
	const struct workers_job *job = p->job;
	bool alive = true;
	int rc = 0;

	for (size_t i = 0; i < p->worker_count && rc == 0; i++)
		rc = start_worker(p, i, (struct worker_task){0}, err);
	while (rc == 0 && !p->ended && p->merged < job->points->count) {
		if (job->interrupted != NULL && job->interrupted(job->ctx)) {
			p->result->interrupted = true;
			begin_stop(p);
		}
		if (job->deadline_ns != 0 && gate_now_ns() >= job->deadline_ns)
			begin_stop(p);
		rc = wait_for_workers(p, &alive, err);
		kill_hanging(p);
		/* While it stops, what a worker still sends may come before what has its turn. */
		if (rc == 0 && (!p->stopping || !alive))
			rc = merge(p, err);
		if (rc == 0 && !alive && !p->stopping && !p->ended &&
		    p->merged < job->points->count && p->workers[p->worker_count].pid == 0)
			rc = err_set(err, ERR_HARNESS, "the workers ended before their work");
		report(p);
	}
	return rc;
}

/* Ends those that are still there; what they say is no longer heard. */
static void end_workers(struct pool *p, bool at_once)
{
	atomic_store(&p->control->stop, true);
	for (size_t i = 0; i <= p->worker_count; i++) {
		struct worker *w = &p->workers[i];
		if (w->pid != 0) {
			close(w->fd);
			if (at_once)
				(void)kill(w->pid, SIGKILL);
			(void)isolate_reap(w->pid);
		}
		isolate_free(w->isolate);
		buf_release(&w->input);
	}
}

/* Points that the file knows are not explored. */
static int look_up_points(struct pool *p, struct err *err)
{
	const struct workers_job *job = p->job;
	struct point_result r;
	int rc = 0;

	if (job->resume == NULL)
		return 0;
	point_result_init(&r);
	for (size_t i = 0; i < job->points->count && rc == 0; i++) {
		struct digest key = resume_point_key(job->key, &job->points->items[i]);
		rc = resume_find(job->resume, key, &r, &p->from_file[i], err);
		if (rc != 0 || !p->from_file[i])
			continue;
		p->finished[i] = true;
		p->done++;
		mpz_add(p->covered, p->covered, r.outcome.covered);
		atomic_store(&p->control->cost[i], 1); /* and no recovery */
	}
	point_result_release(&r);
	return rc;
}

struct size {
	size_t point;
	size_t pending; /* changes of sectors that are not durable at the point */
};

static int compare_sizes(const void *a, const void *b)
{
	const struct size *x = a, *y = b;

	if (x->pending != y->pending)
		return x->pending > y->pending ? -1 : 1;
	return x->point < y->point ? -1 : x->point > y->point;
}

/* How many of the changes are not after `position`. */
static size_t changes_until(const struct index_inode *in, uint64_t position)
{
	size_t lo = 0, hi = in->touch_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (in->touches[mid].position <= position)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Points where most is pending first, so that no worker is left alone with a large one at the end:
 * a guess at what takes long, much cheaper than to count the states. Not with a budget, which is
 * spent in the order of the trace. */
static void order_points(struct pool *p)
{
	const struct workers_job *job = p->job;
	size_t count = job->points->count;

	if (p->worker_count < 2 || job->recoveries_max != UINT64_MAX || job->deadline_ns != 0)
		return;
	struct size *sizes = xcalloc(count, sizeof *sizes);
	for (size_t i = 0; i < count; i++) {
		uint64_t position = job->points->items[i].position;
		sizes[i].point = i;
		for (uint32_t n = 1; n <= job->ix->trace->inode_count; n++) {
			const struct index_inode *in = &job->ix->inodes[n];
			uint64_t durable = index_durable(in->syncs, in->sync_count, position);
			sizes[i].pending +=
			    changes_until(in, position) - changes_until(in, durable);
		}
	}
	qsort(sizes, count, sizeof *sizes, compare_sizes);
	p->order = xcalloc(count, sizeof *p->order);
	for (size_t i = 0; i < count; i++)
		p->order[i] = sizes[i].point;
	free(sizes);
}

static size_t workers_needed(const struct pool *p)
{
	size_t open = p->job->points->count - p->done, jobs = p->job->jobs;

	if (jobs == 0)
		jobs = 1;
	if (jobs > WORKERS_MAX - 1) /* one place is for the point that is cut */
		jobs = WORKERS_MAX - 1;
	return jobs < open ? jobs : open;
}

int workers_explore(const struct workers_job *job_given, struct workers_result *ret,
		    struct err *err)
{
	struct workers_job job = *job_given;
	struct pool *p = xcalloc(1, sizeof *p);
	size_t count = job.points->count;
	int rc;

	if (job.hang_ns == 0)
		job.hang_ns = (uint64_t)ISOLATE_HANG_SECONDS * 1000000000u;
	p->job = &job;
	mpz_init(p->covered);
	p->result = ret;
	ret->stats.points = count;
	p->records = xcalloc(count, sizeof *p->records);
	p->from_file = xcalloc(count, sizeof *p->from_file);
	p->finished = xcalloc(count, sizeof *p->finished);
	p->control_size = sizeof *p->control + count * sizeof p->control->cost[0];
	p->control =
	    mmap(NULL, p->control_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT(p->control != MAP_FAILED);
	atomic_store(&p->control->end, count);
	rc = look_up_points(p, err);
	p->worker_count = workers_needed(p);
	order_points(p);
	if (rc == 0)
		rc = run(p, err);
	end_workers(p, rc != 0);
	ret->stats.exhaustive = rc == 0 && ret->stats.points_whole == count;
	if (p->stopping)
		ret->stats.spent = ret->stats.spent || !ret->interrupted;
	for (size_t i = 0; i < count; i++)
		buf_release(&p->records[i]);
	for (size_t i = 0; i < p->crash_count; i++)
		free(p->crashes[i].finding.answers);
	(void)munmap(p->control, p->control_size);
	free(p->crashes);
	free(p->records);
	free(p->from_file);
	free(p->finished);
	free(p->order);
	mpz_clear(p->covered);
	free(p);
	return rc;
}
