/*
 * See lanes.h. Candidate i runs in lane i modulo the number of lanes; it is started when that lane
 * is free and every candidate before the window has been taken.
 *
 * A scenario that came to nothing once is not tried again: the key is its text and all that its
 * case is made of.
 */
#include "harness/shrink/lanes.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/hash.h"
#include "harness/drive/gate.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	POLL_MS = 100,
	READ_SIZE = 1 << 16,
	KNOWN_MAX = 1 << 16, /* results that are kept; then none is added */
};

struct lane {
	struct isolate *isolate; /* owned */
	struct isolate_watch watch;
	struct attempt attempt; /* owned */
	struct buf output;
	struct isolate_death death;
	size_t which;
	pid_t pid; /* 0: nothing runs */
	int fd;
	bool busy, hung, over;
};

struct known {
	struct digest key;
	enum attempt_outcome outcome;
	uint64_t recoveries_max;
	char *text; /* owned */
};

struct lanes {
	const struct shrink_target *target;
	struct lanes_options options;
	struct lane *lanes; /* owned */
	size_t lane_count;
	uint64_t recoveries, attempts;
	enum lanes_end end;
	struct known *known; /* owned */
	size_t known_count, known_cap;
};

struct lanes *lanes_create(const struct shrink_target *target, const struct lanes_options *options)
{
	struct lanes *l = xcalloc(1, sizeof *l);

	l->target = target;
	l->options = *options;
	l->lane_count = options->jobs == 0	    ? 1
			: options->jobs > LANES_MAX ? (size_t)LANES_MAX
						    : options->jobs;
	if (l->options.hang_ns == 0)
		l->options.hang_ns = (uint64_t)ISOLATE_HANG_SECONDS * 1000000000u;
	l->lanes = xcalloc(l->lane_count, sizeof *l->lanes);
	return l;
}

void lanes_free(struct lanes *l)
{
	if (l == NULL)
		return;
	for (size_t i = 0; i < l->lane_count; i++)
		isolate_free(l->lanes[i].isolate);
	for (size_t i = 0; i < l->known_count; i++)
		free(l->known[i].text);
	free(l->known);
	free(l->lanes);
	free(l);
}

enum lanes_end lanes_ended(const struct lanes *l)
{
	return l->end;
}

uint64_t lanes_recoveries(const struct lanes *l)
{
	return l->recoveries;
}

void lanes_spend(struct lanes *l, uint64_t recoveries)
{
	l->recoveries += recoveries;
	if (l->recoveries >= l->options.recoveries_max && l->end == LANES_GO)
		l->end = LANES_SPENT;
}

static void look_at_clock(struct lanes *l)
{
	if (l->end != LANES_GO)
		return;
	if (l->options.interrupted != NULL && l->options.interrupted(l->options.ctx))
		l->end = LANES_INTERRUPTED;
	else if (l->options.deadline_ns != 0 && gate_now_ns() >= l->options.deadline_ns)
		l->end = LANES_SPENT;
	if (l->options.progress != NULL)
		l->options.progress(l->options.ctx, l->attempts, l->recoveries);
}

/* ---- what is known */

static struct digest key_of(const struct lanes *l, const struct attempt *a)
{
	struct buf b = {0};
	const struct case_source *c = a->source;

	buf_printf(&b, "%s%c%s%c%llu%c%d%d%d%u%d", c->text, 0, c->model, 0,
		   (unsigned long long)c->seed, 0, a->in_order, a->uncut, (int)a->asks,
		   l->target->depth, l->target->representative);
	for (size_t i = 0; i < c->set.count; i++)
		buf_printf(&b, "%c%s=%s", 0, c->set.items[i].key, c->set.items[i].value);
	struct digest key = hash128(b.data, b.size);
	buf_release(&b);
	return key;
}

static const struct known *find_known(const struct lanes *l, const struct attempt *a)
{
	if (a->source == NULL)
		return NULL;
	struct digest key = key_of(l, a);

	for (size_t i = 0; i < l->known_count; i++)
		if (digest_equal(l->known[i].key, key) &&
		    (l->known[i].outcome != ATTEMPT_OPEN ||
		     l->known[i].recoveries_max >= a->recoveries_max))
			return &l->known[i];
	return NULL;
}

static void keep_known(struct lanes *l, const struct attempt *a, const struct attempt_result *r)
{
	if (a->source == NULL || r->outcome == ATTEMPT_SAME || l->known_count == KNOWN_MAX)
		return;
	l->known = xgrow(l->known, l->known_count, &l->known_cap, sizeof *l->known);
	l->known[l->known_count++] =
	    (struct known){.key = key_of(l, a),
			   .outcome = r->outcome,
			   .recoveries_max = a->recoveries_max,
			   .text = r->text == NULL ? NULL : xstrdup(r->text)};
}

/* ---- children */

static void stop_lane(struct lane *lane)
{
	if (lane->pid != 0) {
		(void)kill(lane->pid, SIGKILL);
		(void)isolate_reap(lane->pid);
		close(lane->fd);
		lane->pid = 0;
	}
	attempt_release(&lane->attempt);
	buf_release(&lane->output);
	lane->busy = false;
}

static int start_lane(struct lanes *l, struct lane *lane, size_t which, struct err *err)
{
	lane->which = which;
	lane->busy = true;
	lane->hung = lane->over = false;
	buf_init(&lane->output);
	if (find_known(l, &lane->attempt) != NULL) {
		lane->over = true;
		return 0;
	}
	if (lane->isolate == NULL)
		lane->isolate = isolate_create();
	lane->pid = isolate_fork(lane->isolate, &lane->fd, err);
	if (lane->pid < 0) {
		lane->pid = 0;
		return ERR_HARNESS;
	}
	if (lane->pid == 0) {
		attempt_run(l->target, &lane->attempt, lane->isolate, lane->fd);
		isolate_exit(0);
	}
	isolate_watch_begin(&lane->watch, lane->isolate, lane->pid);
	return 0;
}

static int read_lane(struct lane *lane, struct err *err)
{
	buf_reserve(&lane->output, READ_SIZE);
	ssize_t n = read(lane->fd, lane->output.data + lane->output.size, READ_SIZE);

	if (n < 0)
		return errno == EINTR ? 0
				      : err_set(err, ERR_HARNESS, "cannot read from an attempt: %s",
						strerror(errno));
	lane->output.size += (size_t)n;
	if (n > 0)
		return 0;
	int status = isolate_reap(lane->pid);
	lane->pid = 0;
	close(lane->fd);
	isolate_judge(lane->isolate, status, lane->hung, &lane->death);
	lane->over = true;
	return 0;
}

/* Waits until something comes from a lane. */
static int wait_for_lanes(struct lanes *l, struct err *err)
{
	struct pollfd fds[LANES_MAX];
	struct lane *of[LANES_MAX];
	nfds_t count = 0;
	int rc = 0;

	for (size_t i = 0; i < l->lane_count; i++) {
		struct lane *lane = &l->lanes[i];

		if (lane->pid == 0)
			continue;
		of[count] = lane;
		fds[count++] = (struct pollfd){lane->fd, POLLIN, 0};
		if (!lane->hung &&
		    isolate_hangs(&lane->watch, lane->isolate, lane->pid, l->options.hang_ns)) {
			lane->hung = true;
			(void)kill(lane->pid, SIGKILL);
		}
	}
	if (count == 0 || poll(fds, count, POLL_MS) <= 0)
		return 0;
	for (nfds_t i = 0; i < count && rc == 0; i++)
		if (fds[i].revents != 0)
			rc = read_lane(of[i], err);
	return rc;
}

/* ---- a row */

/* What came of the lane's attempt, and what that cost. False: the budget does not reach so far. */
static int take_lane(struct lanes *l, const struct lane *lane, struct attempt_result *ret,
		     bool *ret_afforded, struct err *err)
{
	const struct known *known = find_known(l, &lane->attempt);

	*ret_afforded = true;
	if (known != NULL) {
		*ret = (struct attempt_result){.outcome = known->outcome,
					       .text = known->text == NULL ? NULL
									   : xstrdup(known->text)};
		return 0;
	}
	int rc = attempt_hear(l->target, &lane->output, lane->isolate, &lane->death,
			      l->options.hang_ns, ret, err);
	if (rc != 0)
		return rc;
	uint64_t cost = ret->recoveries == 0 ? 1 : ret->recoveries;
	*ret_afforded = cost <= l->options.recoveries_max - l->recoveries;
	if (!*ret_afforded) {
		attempt_result_release(ret);
		l->recoveries = l->options.recoveries_max;
		l->end = LANES_SPENT;
		return 0;
	}
	l->recoveries += cost;
	l->attempts++;
	keep_known(l, &lane->attempt, ret);
	return 0;
}

int lanes_first(struct lanes *l, const struct lanes_row *row, size_t *ret_which,
		struct attempt_result *ret, struct err *err)
{
	size_t started = 0, taken = 0;
	bool found = false;
	int rc = 0;

	*ret_which = SIZE_MAX;
	ASSERT_OP(l->lane_count, >, 0);
	while (rc == 0 && taken < row->count && !found) {
		look_at_clock(l);
		if (l->end != LANES_GO)
			break;
		while (rc == 0 && started < row->count && started < taken + l->lane_count) {
			struct lane *lane = &l->lanes[started % l->lane_count];

			row->make(row->ctx, started, &lane->attempt);
			rc = start_lane(l, lane, started++, err);
		}
		struct lane *next = &l->lanes[taken % l->lane_count];
		if (rc == 0 && !next->over)
			rc = wait_for_lanes(l, err);
		if (rc != 0 || !next->over)
			continue;
		struct attempt_result r = {0};
		bool afforded;
		rc = take_lane(l, next, &r, &afforded, err);
		stop_lane(next);
		next->over = false;
		if (rc != 0 || !afforded)
			continue;
		if (row->tell != NULL)
			row->tell(row->ctx, taken, &r);
		found = r.outcome == ATTEMPT_SAME;
		if (found) {
			*ret = r;
			*ret_which = taken;
		} else {
			attempt_result_release(&r);
		}
		taken++;
	}
	for (size_t i = 0; i < l->lane_count; i++) {
		stop_lane(&l->lanes[i]);
		l->lanes[i].over = false;
	}
	return rc;
}

/* ---- one attempt */

struct single {
	struct attempt *attempt;
	struct attempt_result *result;
	bool told;
};

static void make_single(void *ctx, size_t i, struct attempt *ret)
{
	struct single *s = ctx;

	(void)i;
	*ret = *s->attempt;
	*s->attempt = (struct attempt){0};
}

static void tell_single(void *ctx, size_t i, const struct attempt_result *r)
{
	struct single *s = ctx;

	(void)i;
	s->told = true;
	if (r->outcome == ATTEMPT_SAME)
		return; /* it comes by itself */
	*s->result = (struct attempt_result){.outcome = r->outcome,
					     .recoveries = r->recoveries,
					     .text = r->text == NULL ? NULL : xstrdup(r->text),
					     .points_before = r->points_before,
					     .before_whole = r->before_whole};
}

int lanes_try(struct lanes *l, struct attempt *a, struct attempt_result *ret, struct err *err)
{
	struct single s = {.attempt = a, .result = ret};
	struct lanes_row row = {.count = 1, .make = make_single, .tell = tell_single, .ctx = &s};
	size_t which;
	int rc = lanes_first(l, &row, &which, ret, err);

	attempt_release(a);
	if (rc == 0 && !s.told)
		return err_set(err, ERR_INTERRUPTED, "stopped");
	return rc;
}
