/*
 * Acknowledgements that came too early; see foreign_internal.h.
 *
 * A promise speaks of what was committed before it (history.h), so one that came a moment before
 * its COMMIT promises nothing by that rule, and no state breaks it. A kill between the two shows
 * it: the thread said that something is kept while it was inside a write transaction, and that
 * transaction is gone. plugpull.h says not to do that, so for a mark it is a finding. An output may
 * be about anything: for outputs it is but counted.
 *
 * The transaction that the trace ends in begins
 *
 *   WAL             with the write lock, which is held no longer than it
 *   the others      with the first write of the journal: BEGIN IMMEDIATE alone loses nothing
 *   exclusive mode  with the first write of the log after the last commit event: the lock stays
 *
 * A thread may keep one transaction open on a file and commit others beside it. An acknowledgement
 * then speaks of what was committed since the one before it, by its thread or else its process.
 *
 * Doubtful, and no finding: in exclusive mode, where only the log tells transactions apart; under a
 * lock with which nothing was written yet (or MEMORY or OFF, which write no log); where a file was
 * closed inside a transaction and opened again; and where others were committed beside it before.
 *
 * Does not see: an acknowledgement before the transaction begins as above (in WAL and exclusive
 * mode: before COMMIT, unless the cache spilled), or by another thread. An acknowledgement that
 * comes so late that its thread writes again already cannot be told from an early one.
 */
#include "harness/drive/foreign_internal.h"

#include "faultinject/base/buf.h"
#include "harness/judge/history_periods.h"

#include <stdlib.h>

/* What a trace ends in. */
struct unfinished {
	uint64_t begin, end;
	bool doubtful;
};

struct commit {
	uint64_t position;
	uint16_t process, thread;
};

struct commits {
	struct commit *items; /* owned; by position */
	size_t count, cap;
};

/* Is a lock or unlock about the first byte of another? */
static bool covers(const struct op *op, const struct op *lock)
{
	return ((op->flags ^ lock->flags) & OP_LOCK_SHM) == 0 && op->offset <= lock->offset &&
	       (op->size == 0 || lock->offset - op->offset < op->size);
}

/* A close without COMMIT ends a transaction (OP_LOCK_GONE), and the period may go on for all that:
 * where the lock was taken again since, or 0 if it was not. `p->begin` without such a close. */
static uint64_t taken_again(const struct trace *t, const struct write_period *p)
{
	const struct op *first = trace_at(t, p->begin);
	uint64_t again = p->begin;

	for (uint64_t i = p->begin + 1; i <= p->end && p->locked; i++) {
		const struct op *op = trace_at(t, i);

		if ((op->kind != OP_LOCK && op->kind != OP_UNLOCK) || op->inode != first->inode ||
		    op->process != first->process || !covers(op, first))
			continue;
		if (op->kind == OP_UNLOCK && (op->flags & OP_LOCK_GONE) != 0)
			again = 0;
		else if (op->kind == OP_LOCK && (op->flags & OP_LOCK_SHARED) == 0 && again == 0)
			again = i;
	}
	return again;
}

static bool is_unfinished(const struct trace *t, const struct write_period *p,
			  struct unfinished *ret)
{
	struct unfinished u = {.end = p->end};
	bool wal = p->locked && !p->reserved;

	if (p->release != 0)
		return false;
	uint64_t taken = taken_again(t, p);

	if (taken == 0)
		return false;
	if (taken != p->begin) {
		u.begin = taken;
		u.doubtful = true;
	} else if (wal && p->event_count == 0) {
		u.begin = p->begin;
	} else if (p->pending_write != 0) {
		u.begin = p->pending_write;
		u.doubtful = p->event_count > 0 || !p->locked;
	} else if (p->locked && p->first_log_write == 0 && p->first_database_write == 0) {
		u.begin = p->begin;
		u.doubtful = true;
	} else {
		return false;
	}
	*ret = u;
	return true;
}

static void add_commit(struct commits *c, const struct trace *t, uint64_t position)
{
	const struct op *op = trace_at(t, position);

	c->items = xgrow(c->items, c->count, &c->cap, sizeof *c->items);
	c->items[c->count++] = (struct commit){position, op->process, op->thread};
}

static int compare_commits(const void *a, const void *b)
{
	const struct commit *x = a, *y = b;

	return (x->position > y->position) - (x->position < y->position);
}

static void find_commits(struct commits *c, const struct trace *t,
			 const struct write_period_list *periods)
{
	for (size_t i = 0; i < periods->count; i++) {
		const struct write_period *p = &periods->items[i];

		for (size_t e = 0; e < p->event_count; e++)
			add_commit(c, t, p->events[e].position);
		if (p->release != 0 && write_period_unlogged_tail(p) != 0)
			add_commit(c, t, p->release);
	}
	if (c->count > 0)
		qsort(c->items, c->count, sizeof *c->items, compare_commits);
}

static bool is_acknowledgement(const struct op *op, enum op_kind kind)
{
	return op->kind == kind && (kind != OP_ACK || op->connection == 0);
}

/* Looks for the first acknowledgement inside `u`, of which *ret is what was found so far. */
static void look_inside(const struct trace *t, const struct unfinished *u,
			const struct commits *commits, enum op_kind kind, struct foreign_early *ret)
{
	const struct op *begin = trace_at(t, u->begin);
	/* Committed beside it, and not spoken of: by the thread, by its process. */
	bool of_thread = false, of_process = false, beside = false;
	size_t next = 0;

	for (uint64_t p = u->begin + 1; p <= u->end; p++) {
		const struct op *op = trace_at(t, p);

		for (; next < commits->count && commits->items[next].position < p; next++) {
			const struct commit *c = &commits->items[next];

			if (c->position <= u->begin || c->process != begin->process)
				continue;
			beside = of_process = true;
			of_thread = of_thread || c->thread == begin->thread;
		}
		if (op->process != begin->process || !is_acknowledgement(op, kind))
			continue;
		if (op->thread == begin->thread && !of_thread && !of_process) {
			bool doubtful = u->doubtful || beside;

			if (ret->ack == 0 || doubtful < ret->doubtful ||
			    (doubtful == ret->doubtful && p < ret->ack))
				*ret = (struct foreign_early){p, u->begin, doubtful};
			return;
		}
		of_process = false;
		if (op->thread == begin->thread)
			of_thread = false;
	}
}

struct foreign_early foreign_early_find(const struct trace *t, char *const *paths,
					size_t path_count, enum op_kind kind)
{
	struct write_period_list periods = {0};
	struct foreign_early found = {0};
	struct commits commits = {0};
	struct unfinished u;

	history_periods_scan(t, paths, path_count, false, &periods);
	find_commits(&commits, t, &periods);
	for (size_t i = 0; i < periods.count; i++)
		if (is_unfinished(t, &periods.items[i], &u))
			look_inside(t, &u, &commits, kind, &found);
	free(commits.items);
	history_periods_release(&periods);
	return found;
}
