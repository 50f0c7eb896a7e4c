/*
 * From write periods to spans, and from spans to transactions; see history_internal.h.
 *
 * A *span* is the part of one transaction that lies in one file. Normally that is a whole write
 * period. A connection in exclusive locking mode keeps its lock from one transaction to the next;
 * there, a span reaches from the first write of the log to the commit event, and the lock says
 * nothing. Overlapping spans of one connection are one transaction, which has at most one span in
 * a file.
 *
 * How exclusive locking mode shows in periods that overlap (normal locking mode releases
 * everything right after the commit): a period with several commit events; a journal that is first
 * written after a commit event of another file (normally all journals are complete before the
 * first is finalised); a log that is written without a write lock; an ACK that ends a transaction
 * of MEMORY or OFF before the lock is released.
 *
 * In exclusive locking mode the WAL files of one transaction are written one after the other, and
 * nothing in them says that they belong together. There a transaction is what one connection
 * committed between two ACKs, at most once a file: a file with two commits in between shows that
 * not every commit was acknowledged, and then each is judged alone.
 *
 * A write lock under which nothing is written is taken inside other transactions: by the recovery
 * of the WAL index, and by BEGIN IMMEDIATE on files that it then leaves alone. Such a span is no
 * part of any other's transaction and parts none.
 *
 * Does not see, where ACKs are not promises: the boundaries between transactions of MEMORY and OFF
 * in exclusive locking mode (they look like one); that commits of several WAL files in exclusive
 * locking mode belong together (each is judged alone).
 */
#include "harness/judge/history_internal.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"

#include <stdlib.h>

/* ---- periods to spans ---- */

/* Keeps the events of a period that changed its file. */
static int drop_idle_events(struct builder *b, struct write_period *p, struct err *err)
{
	struct digest before;
	size_t kept = 0;
	int rc;

	if (p->event_count < 2)
		return 0;
	rc = history_observe_at(b, p->begin - 1, err);
	if (rc != 0)
		return rc;
	before = b->seen[p->file].state;
	for (size_t i = 0; i < p->event_count; i++) {
		rc = history_observe_at(b, p->events[i].position, err);
		if (rc != 0)
			return rc;
		if (digest_equal(before, b->seen[p->file].state))
			continue;
		before = b->seen[p->file].state;
		p->events[kept++] = p->events[i];
	}
	p->event_count = kept;
	return 0;
}

static void add_span(struct builder *b, const struct write_period *p, struct span span)
{
	span.process = p->process;
	span.connection = p->connection;
	span.file = p->file;
	span.release = p->release;
	if (span.order == 0)
		span.order = span.begin;
	b->spans = xgrow(b->spans, b->span_count, &b->span_cap, sizeof *b->spans);
	b->spans[b->span_count++] = span;
}

/* The period is one transaction's. */
static void span_of_period(struct builder *b, const struct write_period *p)
{
	add_span(b, p,
		 (struct span){
		     .begin = p->begin,
		     .end = p->end,
		     .first_write = write_period_first_write(p),
		     .event = p->event_count > 0 ? p->events[p->event_count - 1].position : 0,
		     .committed = p->event_count > 0 || write_period_is_unlogged(p),
		 });
}

/* Each commit event of the period is a transaction's. */
static void spans_of_events(struct builder *b, const struct write_period *p)
{
	bool exact = b->h->ack == HISTORY_ACK_EXACT;
	uint64_t tail = write_period_unlogged_tail(p);

	for (size_t i = 0; i < p->event_count; i++) {
		const struct commit_event *e = &p->events[i];
		struct span span = {
		    .begin = e->first_write,
		    .end = e->position,
		    .first_write = e->first_write,
		    .event = e->position,
		    .committed = true,
		};

		if (exact && e->kind != COMMIT_BY_JOURNAL)
			span.window = 1 + e->acks;
		/* The first frames may be those of a transaction that was rolled back. */
		if (exact && e->kind == COMMIT_BY_FRAME)
			span.order = e->position;
		add_span(b, p, span);
	}
	if (p->pending_write != 0)
		add_span(b, p,
			 (struct span){
			     .begin = p->pending_write,
			     .end = p->end,
			     .first_write = p->pending_write,
			     .committed = false,
			 });
	else if (tail != 0)
		add_span(b, p,
			 (struct span){
			     .begin = tail,
			     .end = p->end,
			     .first_write = tail,
			     .window = exact ? 1 + p->acks : 0,
			     .committed = true,
			 });
}

/* Do these overlapping periods of one connection show exclusive locking mode? */
static bool is_exclusive(const struct write_period *periods, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!periods[i].locked || periods[i].event_count > 1)
			return true;
		if (periods[i].event_count == 1 && periods[i].events[0].kind == COMMIT_BY_ACK)
			return true;
		for (size_t j = 0; j < count; j++)
			if (j != i && periods[i].event_count == 1 &&
			    periods[j].first_journal_write > periods[i].events[0].position)
				return true;
	}
	return false;
}

static int compare_periods(const void *a, const void *b)
{
	const struct write_period *x = a, *y = b;
	int c = compare_u64(x->process, y->process);

	if (c == 0)
		c = compare_u64(x->connection, y->connection);
	if (c == 0)
		c = compare_u64(x->begin, y->begin);
	return c != 0 ? c : compare_u64(x->file, y->file);
}

int history_make_spans(struct builder *b, struct err *err)
{
	struct write_period *items = b->periods.items;
	size_t count = b->periods.count;

	for (size_t i = 0; i < count; i++) {
		int rc = drop_idle_events(b, &items[i], err);

		if (rc != 0)
			return rc;
	}
	if (count > 0)
		qsort(items, count, sizeof *items, compare_periods);
	for (size_t first = 0, next; first < count; first = next) {
		uint64_t end = items[first].end;

		for (next = first + 1; next < count; next++) {
			if (items[next].process != items[first].process ||
			    items[next].connection != items[first].connection ||
			    items[next].begin >= end)
				break;
			if (items[next].end > end)
				end = items[next].end;
		}
		bool exclusive = is_exclusive(&items[first], next - first);
		for (size_t i = first; i < next; i++)
			if (exclusive)
				spans_of_events(b, &items[i]);
			else
				span_of_period(b, &items[i]);
	}
	return 0;
}

/* ---- spans to transactions ---- */

static int compare_connections(const struct span *x, const struct span *y)
{
	int c = compare_u64(x->process, y->process);

	return c != 0 ? c : compare_u64(x->connection, y->connection);
}

static int compare_spans_by_order(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	int c = compare_connections(x, y);

	if (c == 0)
		c = compare_u64(x->order, y->order);
	return c != 0 ? c : compare_u64(x->file, y->file);
}

static int compare_spans_by_window(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	int c = compare_connections(x, y);

	if (c == 0)
		c = compare_u64(x->window, y->window);
	return c != 0 ? c : compare_u64(x->file, y->file);
}

static bool is_same_window(const struct span *x, const struct span *y)
{
	return x->window == y->window && compare_connections(x, y) == 0;
}

/* Windows in which a file was committed twice hold more than one transaction. */
static void drop_ambiguous_windows(struct builder *b)
{
	qsort(b->spans, b->span_count, sizeof *b->spans, compare_spans_by_window);
	for (size_t first = 0, next; first < b->span_count; first = next) {
		bool twice = false;

		for (next = first + 1;
		     next < b->span_count && is_same_window(&b->spans[first], &b->spans[next]);
		     next++)
			twice = twice || b->spans[next].file == b->spans[next - 1].file;
		for (size_t i = first; twice && i < next; i++)
			b->spans[i].window = 0;
	}
}

static bool is_idle(const struct span *s)
{
	return s->first_write == 0 && !s->committed;
}

static bool belongs_to(const struct span *s, const struct found *f)
{
	if (f->t.process != s->process || f->t.connection != s->connection ||
	    (f->t.file_mask & 1u << s->file) != 0)
		return false;
	if (f->window != 0 && s->window != 0)
		return f->window == s->window;
	return s->order < f->t.end;
}

static void join_span(struct found *f, const struct span *s)
{
	struct transaction *t = &f->t;

	if (s->begin < t->begin)
		t->begin = s->begin;
	if (s->end > t->end)
		t->end = s->end;
	if (s->first_write != 0 && (t->first_write == 0 || s->first_write < t->first_write))
		t->first_write = s->first_write;
	if (s->release == 0 || f->release == 0)
		f->release = 0;
	else if (s->release > f->release)
		f->release = s->release;
	if (s->window != 0)
		f->window = s->window;
	if (s->committed && (s->event == 0 || f->eventless)) {
		f->event = 0;
		f->eventless = true;
	} else if (s->committed && s->event > f->event) {
		f->event = s->event;
	}
	t->file_mask |= 1u << s->file;
}

/* Returns the index of a new transaction with this span alone. */
static size_t add_transaction(struct builder *b, const struct span *s)
{
	struct found *f;

	b->found = xgrow(b->found, b->found_count, &b->found_cap, sizeof *b->found);
	f = &b->found[b->found_count];
	*f = (struct found){
	    .t = {.process = s->process, .connection = s->connection, .begin = s->begin},
	    .release = s->release,
	};
	join_span(f, s);
	return b->found_count++;
}

/* Transactions of one connection do not overlap: frames from before the end of the last one were
 * rolled back with a transaction that left no commit. */
static void skip_rolled_back(struct span *s, const struct found *last)
{
	bool same = last->t.process == s->process && last->t.connection == s->connection;

	if (same && s->window != 0 && s->begin <= last->t.end && last->t.end < s->end)
		s->begin = s->first_write = last->t.end + 1;
}

void history_make_transactions(struct builder *b)
{
	size_t current = SIZE_MAX;

	if (b->span_count > 0) {
		drop_ambiguous_windows(b);
		qsort(b->spans, b->span_count, sizeof *b->spans, compare_spans_by_order);
	}
	for (size_t i = 0; i < b->span_count; i++) {
		struct span *s = &b->spans[i];

		if (is_idle(s)) {
			s->transaction = add_transaction(b, s);
			continue;
		}
		if (current != SIZE_MAX && belongs_to(s, &b->found[current])) {
			join_span(&b->found[current], s);
		} else {
			if (current != SIZE_MAX)
				skip_rolled_back(s, &b->found[current]);
			current = add_transaction(b, s);
		}
		s->transaction = current;
	}
	/* From here on the mask says where it left a state. */
	for (size_t i = 0; i < b->found_count; i++)
		b->found[i].t.file_mask = 0;
}
