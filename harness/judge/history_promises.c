/*
 * Promises: at which operation the caller, or somebody else, was told that a transaction is kept.
 *
 *	exact	OP_ACK, of the connection that committed
 *	lock	the release of the last write lock
 *	output	the first OP_OUTPUT, by anybody, after the commit
 *	mark	the same of an OP_ACK with connection 0; one with a connection is exact
 *
 * Does not see: which of two transactions that began before one exact ACK the ACK means; the later
 * one is taken. With output and mark: transactions of MEMORY and OFF in exclusive locking mode
 * before their lock is released, as nothing says where one ends (a program may speak in the middle
 * of one, so its output does not part them); that an output means something else (a log line of
 * another thread is a promise like any other); a COMMIT that returned an error.
 */
#include "harness/judge/history_internal.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"

#include <stdlib.h>

static int compare_found_by_begin(const void *a, const void *b)
{
	const struct found *x = *(struct found *const *)a, *y = *(struct found *const *)b;
	int c = compare_u64(x->t.process, y->t.process);

	if (c == 0)
		c = compare_u64(x->t.connection, y->t.connection);
	return c != 0 ? c : compare_u64(x->t.begin, y->t.begin);
}

/* What the OP_ACK at a position promises: its connection's latest committed transaction that had
 * begun, unless an earlier ACK did already. It may still be writing: then the promise is early, and
 * counts. Rollbacks and checkpoints that came in between take no promise from it. */
static void apply_ack(struct builder *b, struct found *const *order, size_t count,
		      uint64_t position)
{
	const struct op *op = trace_at(b->t, position);
	struct found at = {
	    .t = {.process = op->process, .connection = op->connection, .begin = position}};
	struct found *key = &at;
	size_t low = 0, high = count;
	struct transaction *t;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_found_by_begin(&order[middle], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return;
	t = &b->h->transactions[order[low - 1]->index - 1];
	if (t->process == op->process && t->connection == op->connection && t->ack == 0)
		t->ack = position;
}

static void exact_acks(struct builder *b, struct found *const *order, size_t count)
{
	for (size_t i = 0; i < b->t->op_count; i++)
		if (b->t->ops[i].kind == OP_ACK &&
		    (b->h->ack == HISTORY_ACK_EXACT || b->t->ops[i].connection != 0))
			apply_ack(b, order, count, i + 1);
}

/* The release of the last lock; in exclusive locking mode, the connection's next transaction shows
 * earlier that COMMIT has returned. */
static void lock_acks(struct builder *b, struct found *const *order, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		ASSERT(order[i] != NULL);
		struct transaction *t = &b->h->transactions[order[i]->index - 1];
		const struct transaction *next = i + 1 < count ? &order[i + 1]->t : NULL;

		t->ack = order[i]->release;
		if (next != NULL && next->process == t->process &&
		    next->connection == t->connection && next->begin >= t->end &&
		    (t->ack == 0 || next->begin < t->ack))
			t->ack = next->begin;
	}
}

static bool is_same_thread(const struct op *a, const struct op *b)
{
	return a->process == b->process && a->thread == b->thread;
}

static bool is_output(const struct op *op)
{
	return op->kind == OP_OUTPUT;
}

static bool is_mark(const struct op *op)
{
	return op->kind == OP_ACK && op->connection == 0;
}

/* The first that comes after `position`; told[count] when there is none. */
static const uint64_t *first_after(const uint64_t *told, size_t count, uint64_t position)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (told[middle] <= position)
			low = middle + 1;
		else
			high = middle;
	}
	return told + low;
}

/*
 * Whoever speaks promises what everybody has committed by then: what one process committed, another
 * may have read and told. A commit is over when its last lock is released; for the thread that made
 * it, already when the file protocol says so, because that thread can only speak once COMMIT has
 * returned.
 */
static void told_to_all(struct builder *b, struct found *const *order, size_t count,
			bool (*tells)(const struct op *op))
{
	uint64_t *told = xcalloc(b->t->op_count, sizeof *told);
	size_t told_count = 0;

	for (size_t i = 0; i < b->t->op_count; i++)
		if (tells(&b->t->ops[i]))
			told[told_count++] = i + 1;
	for (size_t i = 0; i < count; i++) {
		struct transaction *t = &b->h->transactions[order[i]->index - 1];
		const uint64_t *end = told + told_count;
		const uint64_t *by_anybody = first_after(told, told_count, t->end);
		const uint64_t *p = end;

		if (order[i]->event != 0)
			p = first_after(told, told_count, order[i]->event);
		while (p < by_anybody &&
		       !is_same_thread(trace_at(b->t, *p), trace_at(b->t, order[i]->event)))
			p++;
		if (p > by_anybody)
			p = by_anybody;
		if (p < end && (t->ack == 0 || *p < t->ack))
			t->ack = *p;
	}
	free(told);
}

void history_make_promises(struct builder *b)
{
	struct found **order = xcalloc(b->found_count, sizeof(struct found *));
	size_t count = 0;

	for (size_t i = 0; i < b->found_count; i++)
		if (b->found[i].index != 0 && b->found[i].t.committed)
			order[count++] = &b->found[i];
	if (count > 0)
		qsort(order, count, sizeof(struct found *), compare_found_by_begin);
	switch (b->h->ack) {
	case HISTORY_ACK_EXACT:
		exact_acks(b, order, count);
		break;
	case HISTORY_ACK_LOCK:
		lock_acks(b, order, count);
		break;
	case HISTORY_ACK_OUTPUT:
		told_to_all(b, order, count, is_output);
		break;
	case HISTORY_ACK_MARK:
		exact_acks(b, order, count);
		told_to_all(b, order, count, is_mark);
		break;
	}
	free(order);
}

enum history_ack history_ack_of(const struct trace *t)
{
	enum history_ack ack = HISTORY_ACK_LOCK;

	for (size_t i = 0; i < t->op_count; i++) {
		if (t->ops[i].kind == OP_ACK && t->ops[i].connection != 0)
			return HISTORY_ACK_EXACT;
		if (is_mark(&t->ops[i]))
			ack = HISTORY_ACK_MARK;
	}
	return ack;
}
