/*
 * The trace of a case that comes from no scenario, made smaller: its end is cut behind the promise,
 * its base is moved forward over whole transactions, and connections that write nothing are left
 * out. What a program wrote is not taken apart: what came after it was written on top of it.
 */
#include "harness/shrink/shrink_internal.h"

#include "faultinject/trace_edit.h"
#include "faultinject/trace_rebase.h"
#include "harness/drive/check_gate.h"
#include "harness/shrink/reduce.h"

#include <stdlib.h>
#include <string.h>

static bool ended(const struct shrink *s)
{
	return lanes_ended(s->lanes) != LANES_GO;
}

static void set_trace(struct shrink *s, struct trace *t, struct attempt_result *r)
{
	trace_free(s->trace);
	s->trace = t;
	shrink_accept(s, r);
}

/* ---- a later base */

struct moments {
	struct shrink *s;
	uint64_t *items; /* owned */
	size_t count;
	const size_t *tries;	    /* indexes */
	enum attempt_outcome *came; /* owned; [count]: what came of those that were tried */
	char *first_text;	    /* owned; ... of the first, in words; or NULL */
};

/* NULL where it cannot be. */
static struct trace *rebased(const struct moments *m, size_t i)
{
	struct trace *t = NULL;
	struct err ignored = ERR_INIT;

	(void)trace_rebase(m->s->trace, m->items[i], &t, NULL, &ignored);
	return t;
}

static void make_rebased(void *ctx, size_t i, struct attempt *ret)
{
	const struct moments *m = ctx;
	struct trace *t = rebased(m, m->tries[i]);

	/* One that cannot be is the whole trace, cut to nothing: it shows nothing. */
	if (t == NULL)
		t = trace_cut(m->s->trace, 0);
	*ret = (struct attempt){
	    .subject = m->s->subject, .own_trace = t, .recoveries_max = m->s->recoveries_max};
}

static void tell_rebased(void *ctx, size_t i, const struct attempt_result *r)
{
	struct moments *m = ctx;

	m->came[m->tries[i]] = r->outcome;
	if (m->tries[i] == 0 && r->text != NULL) {
		free(m->first_text);
		m->first_text = xstrdup(r->text);
	}
}

/* Tries the moments tries[count] in turn; *ret_which as lanes_first(). Nothing is taken yet. */
static int try_moments(struct moments *m, const size_t *tries, size_t count, size_t *ret_which,
		       struct attempt_result *ret, struct err *err)
{
	struct lanes_row row = {
	    .count = count, .make = make_rebased, .tell = tell_rebased, .ctx = m};

	m->tries = tries;
	return lanes_first(m->s->lanes, &row, ret_which, ret, err);
}

/*
 * The latest moment that will do: the last, the one before it, 2, 4, 8 ... before it; then halves
 * of what lies between the one that did and the later one that did not.
 */
static int latest_moment(struct moments *m, bool *ret_any, struct err *err)
{
	size_t tries[80], count = 0, which, good, bad;
	struct attempt_result best = {0};

	for (size_t back = 1; count < 78; back *= 2) {
		tries[count++] = back >= m->count ? 0 : m->count - back;
		if (back >= m->count)
			break;
	}
	int rc = try_moments(m, tries, count, &which, &best, err);
	if (rc != 0 || which == SIZE_MAX)
		return rc;
	good = tries[which];
	bad = which == 0 ? m->count : tries[which - 1];
	while (rc == 0 && bad - good > 1 && !ended(m->s)) {
		struct attempt_result r = {0};
		size_t middle = good + (bad - good) / 2;

		rc = try_moments(m, &middle, 1, &which, &r, err);
		if (rc == 0 && which == 0) {
			attempt_result_release(&best);
			best = r;
			good = middle;
		} else {
			bad = middle;
		}
	}
	if (rc == 0) {
		*ret_any = true;
		set_trace(m->s, rebased(m, good), &best);
	}
	attempt_result_release(&best);
	return rc;
}

/* The first operation that is no lock: locks that are held come again at the new beginning, and a
 * base that is moved over nothing else stays where it is. */
static uint64_t first_change(const struct trace *t)
{
	for (uint64_t p = 1; p <= t->op_count; p++)
		if (trace_at(t, p)->kind != OP_LOCK && trace_at(t, p)->kind != OP_UNLOCK)
			return p;
	return t->op_count;
}

static int move_base(struct shrink *s, bool *ret_any, struct err *err)
{
	struct moments m = {.s = s};
	size_t idle = 0;
	int rc = 0;

	*ret_any = false;
	trace_rebase_moments(s->trace, s->state.position, &m.items, &m.count);
	while (idle < m.count && m.items[idle] < first_change(s->trace))
		idle++;
	m.count -= idle;
	memmove(m.items, m.items + idle, m.count * sizeof *m.items);
	m.came = xcalloc(m.count + 1, sizeof *m.came);
	if (m.count > 0)
		rc = latest_moment(&m, ret_any, err);
	/* The first moment was tried, too. */
	if (rc == 0 && m.count > 0 && !*ret_any && !ended(s))
		shrink_note(s, "with the first transaction in the base", m.came[0], m.first_text);
	free(m.first_text);
	free(m.came);
	free(m.items);
	return rc;
}

/* ---- connections that write nothing */

struct actor {
	uint16_t process, connection;
	bool writes;
};

struct actors {
	struct shrink *s;
	struct actor *items; /* owned */
	size_t count, cap;
	size_t *idle; /* owned; indexes of those that write nothing */
	size_t idle_count;
	const struct reduce_row *row;
	bool *taken; /* [idle_count]; for work */
};

static size_t actor_of(struct actors *a, const struct op *op)
{
	for (size_t i = 0; i < a->count; i++)
		if (a->items[i].process == op->process && a->items[i].connection == op->connection)
			return i;
	a->items = xgrow(a->items, a->count, &a->cap, sizeof *a->items);
	a->items[a->count] = (struct actor){op->process, op->connection, false};
	return a->count++;
}

static void find_actors(struct actors *a)
{
	const struct trace *t = a->s->trace;

	for (uint64_t p = 1; p <= t->op_count; p++) {
		const struct op *op = trace_at(t, p);
		size_t i = actor_of(a, op); /* which may move the items */
		struct actor *actor = &a->items[i];

		actor->writes = actor->writes || (op->kind != OP_LOCK && op->kind != OP_UNLOCK);
	}
	a->idle = xcalloc(a->count + 1, sizeof *a->idle);
	for (size_t i = 0; i < a->count; i++)
		if (!a->items[i].writes)
			a->idle[a->idle_count++] = i;
}

static bool is_taken(void *ctx, const struct trace *t, uint64_t position)
{
	struct actors *a = ctx;
	size_t actor = actor_of(a, trace_at(t, position));

	for (size_t i = 0; i < a->idle_count; i++)
		if (a->taken[i] && a->idle[i] == actor)
			return true;
	return false;
}

static void make_without(void *ctx, size_t i, struct attempt *ret)
{
	struct actors *a = ctx;

	a->row->fill(a->row, i, a->taken);
	*ret = (struct attempt){.subject = a->s->subject,
				.own_trace = trace_without(a->s->trace, is_taken, a, NULL),
				.recoveries_max = a->s->recoveries_max};
}

static int first_of_actors(void *ctx, const struct reduce_row *row, size_t *ret_which,
			   bool *ret_end, struct err *err)
{
	struct actors *a = ctx;
	struct lanes_row lanes = {.count = row->count, .make = make_without, .ctx = a};
	struct attempt_result r = {0};

	a->row = row;
	int rc = lanes_first(a->s->lanes, &lanes, ret_which, &r, err);
	*ret_end = ended(a->s);
	if (rc == 0 && *ret_which != SIZE_MAX) {
		struct attempt found;

		make_without(a, *ret_which, &found);
		set_trace(a->s, found.own_trace, &r);
	}
	return rc;
}

static int drop_idle(struct shrink *s, struct err *err)
{
	struct actors a = {.s = s};
	int rc = 0;

	find_actors(&a);
	if (a.idle_count > 0) {
		bool *taken = xcalloc(a.idle_count, sizeof *taken);
		struct reduce_problem problem = {
		    .count = a.idle_count, .first = first_of_actors, .ctx = &a};

		a.taken = xcalloc(a.idle_count, sizeof *a.taken);
		rc = reduce(&problem, taken, err);
		free(a.taken);
		free(taken);
	}
	free(a.idle);
	free(a.items);
	return rc;
}

/* ---- the whole */

/* Is it found at all by a search? */
static int find_again(struct shrink *s, bool *ret, struct err *err)
{
	struct attempt a = {
	    .subject = s->subject, .trace = s->trace, .recoveries_max = SHRINK_FIRST_RECOVERIES};
	struct attempt_result r = {0};
	int rc = lanes_try(s->lanes, &a, &r, err);

	*ret = rc == 0 && r.outcome == ATTEMPT_SAME;
	if (*ret)
		shrink_accept(s, &r);
	attempt_result_release(&r);
	return rc;
}

int shrink_trace(struct shrink *s, struct err *err)
{
	bool found = false, any = true;

	s->doing = "the trace";
	int rc = shrink_cut(s, err);
	/* Its states are laid out for a command: recovery sees none of them. */
	if (rc != 0 || check_is_oracle(s->target.oracle) || ended(s))
		return rc;
	rc = find_again(s, &found, err);
	if (rc == 0 && !found && !ended(s) && s->result->note == NULL)
		s->result->note =
		    xasprintf("its trace was left alone: a search did not find this failure "
			      "again within %d recoveries",
			      SHRINK_FIRST_RECOVERIES);
	while (rc == 0 && found && any && !ended(s))
		rc = move_base(s, &any, err);
	if (rc == 0 && found && !ended(s))
		rc = drop_idle(s, err);
	if (rc == 0 && found && !ended(s))
		rc = shrink_cut(s, err);
	return rc == ERR_INTERRUPTED ? 0 : rc;
}
