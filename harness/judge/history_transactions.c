/*
 * history_build(): from the transactions of a trace (history_spans.c) to lines of states and
 * promises.
 *
 * The content has the last word. SQLite writes some commit frames several times (padding to the
 * sector, checksums rewritten), ROLLBACK finalises a journal, and a checkpoint takes the WAL write
 * lock: where the digest of the file did not change, nothing was committed that anybody could miss.
 *
 * Does not see: which of two transactions that began before one ACK the ACK means; the later one
 * is taken.
 */
#include "harness/judge/history_internal.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>

int history_observe_at(struct builder *b, uint64_t position, struct err *err)
{
	struct observation o = {0};
	int rc;

	if (b->seen_any && b->seen_position == position)
		return 0;
	rc = b->observe(b->ctx, position, &o, err);
	if (rc != 0)
		goto out;
	if (o.rc != 0 || o.hung) {
		rc = err_set(
		    err, ERR_INPUT,
		    "the state after operation %llu, without any crash, cannot be read: %s",
		    (unsigned long long)position, o.hung ? "recovery does not end" : o.failed);
		goto out;
	}
	ASSERT_OP(o.file_count, ==, b->h->file_count);
	memcpy(b->seen, o.files, sizeof b->seen);
	b->seen_any = true;
	b->seen_position = position;
out:
	observation_release(&o);
	return rc;
}

/* ---- states ---- */

static void add_state(struct history_line *line, struct history_state state)
{
	line->states = xgrow(line->states, line->count, &line->cap, sizeof *line->states);
	line->states[line->count++] = state;
}

static int add_initial_states(struct builder *b, struct err *err)
{
	int rc = history_observe_at(b, 0, err);

	for (size_t f = 0; rc == 0 && f < b->h->file_count; f++)
		add_state(&b->h->lines[f], (struct history_state){.state = b->seen[f].state,
								  .schema = b->seen[f].schema});
	return rc;
}

static int compare_spans_by_end(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	int c = compare_u64(x->end, y->end);

	if (c == 0)
		c = compare_u64(x->begin, y->begin);
	return c != 0 ? c : compare_u64(x->file, y->file);
}

/*
 * Digests the file of each span at its end, and decides what the span's transaction is worth. A
 * span is observed at its own release, not at the transaction's: another connection may take the
 * file in between. Its schema is kept beside it in *ret, by span.
 */
static int observe_spans(struct builder *b, struct observed_file *ret, struct err *err)
{
	struct digest last[OBSERVED_FILES_MAX];

	for (size_t f = 0; f < b->h->file_count; f++)
		last[f] = b->h->lines[f].states[0].state;
	for (size_t i = 0; i < b->span_count; i++) {
		struct span *s = &b->spans[i];
		int rc = history_observe_at(b, s->end, err);

		if (rc != 0)
			return rc;
		ret[i] = b->seen[s->file];
		s->changed = !digest_equal(last[s->file], ret[i].state);
		last[s->file] = ret[i].state;
	}
	for (size_t i = 0; i < b->span_count; i++) {
		const struct span *s = &b->spans[i];

		if (s->changed)
			b->found[s->transaction].t.file_mask |= 1u << s->file;
	}
	for (size_t i = 0; i < b->span_count; i++) {
		const struct span *s = &b->spans[i];
		struct transaction *t = &b->found[s->transaction].t;

		/* A transaction that changed no file at all keeps its mask empty. */
		if (s->committed && t->file_mask != 0) {
			t->committed = true;
			t->file_mask |= 1u << s->file;
		}
	}
	return 0;
}

static int compare_transactions(const void *a, const void *b)
{
	const struct found *x = *(struct found *const *)a, *y = *(struct found *const *)b;
	int c = compare_u64(x->t.end, y->t.end);

	return c != 0 ? c : compare_u64(x->t.begin, y->t.begin);
}

/* Moves the transactions that left a state into the history, by end. */
static void keep_transactions(struct builder *b)
{
	struct found **order = xcalloc(b->found_count, sizeof(struct found *));
	struct history *h = b->h;
	size_t count = 0;

	for (size_t i = 0; i < b->found_count; i++)
		if (b->found[i].t.file_mask != 0)
			order[count++] = &b->found[i];
	if (count > 0)
		qsort(order, count, sizeof(struct found *), compare_transactions);
	h->transactions = xcalloc(count, sizeof *h->transactions);
	h->transaction_count = h->transaction_cap = count;
	for (size_t i = 0; i < count; i++) {
		h->transactions[i] = order[i]->t;
		order[i]->index = i + 1;
	}
	free(order);
}

static int make_states(struct builder *b, struct err *err)
{
	struct observed_file *files = xcalloc(b->span_count, sizeof *files);
	int rc;

	if (b->span_count > 0)
		qsort(b->spans, b->span_count, sizeof *b->spans, compare_spans_by_end);
	rc = observe_spans(b, files, err);
	if (rc != 0)
		goto out;
	keep_transactions(b);
	for (size_t i = 0; i < b->span_count; i++) {
		const struct span *s = &b->spans[i];
		const struct found *f = &b->found[s->transaction];

		if ((f->t.file_mask & 1u << s->file) == 0)
			continue;
		/* Before its first write nothing of a transaction can be on a disk. */
		add_state(&b->h->lines[s->file],
			  (struct history_state){
			      .state = files[i].state,
			      .schema = files[i].schema,
			      .from = f->t.first_write != 0 ? f->t.first_write : f->t.begin,
			      .end = s->end,
			      .transaction = (uint32_t)f->index,
			  });
	}
	/* What no lock and no log announced. */
	rc = history_observe_at(b, b->t->op_count, err);
	if (rc != 0)
		goto out;
	for (size_t f = 0; f < b->h->file_count; f++) {
		struct history_line *line = &b->h->lines[f];
		const struct history_state *last = &line->states[line->count - 1];

		if (!digest_equal(last->state, b->seen[f].state))
			add_state(line, (struct history_state){.state = b->seen[f].state,
							       .schema = b->seen[f].schema,
							       .from = last->end,
							       .end = b->t->op_count});
	}
out:
	free(files);
	return rc;
}

/* ---- promises ---- */

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
		if (b->t->ops[i].kind == OP_ACK)
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

static void make_promises(struct builder *b)
{
	struct found **order = xcalloc(b->found_count, sizeof(struct found *));
	size_t count = 0;

	for (size_t i = 0; i < b->found_count; i++)
		if (b->found[i].index != 0 && b->found[i].t.committed)
			order[count++] = &b->found[i];
	if (count > 0)
		qsort(order, count, sizeof(struct found *), compare_found_by_begin);
	if (b->h->ack == HISTORY_ACK_EXACT)
		exact_acks(b, order, count);
	else
		lock_acks(b, order, count);
	free(order);
}

int history_build(const struct trace *t, const char *const *paths, size_t path_count,
		  enum history_ack ack, history_observe_fn *observe, void *ctx,
		  struct history **ret_history, struct err *err)
{
	struct builder b = {.t = t, .observe = observe, .ctx = ctx};
	int rc;

	if (path_count > OBSERVED_FILES_MAX)
		return err_set(err, ERR_LIMIT, "%zu database files: at most %d are possible",
			       path_count, OBSERVED_FILES_MAX);
	b.h = xcalloc(1, sizeof *b.h);
	b.h->ack = ack;
	b.h->file_count = path_count;
	b.h->paths = xcalloc(path_count, sizeof *b.h->paths);
	for (size_t f = 0; f < path_count; f++)
		b.h->paths[f] = xstrdup(paths[f]);

	history_periods_scan(t, b.h->paths, path_count, ack == HISTORY_ACK_EXACT, &b.periods);
	rc = history_make_spans(&b, err);
	if (rc != 0)
		goto out;
	history_make_transactions(&b);
	rc = add_initial_states(&b, err);
	if (rc != 0)
		goto out;
	rc = make_states(&b, err);
	if (rc != 0)
		goto out;
	make_promises(&b);
	*ret_history = b.h;
	b.h = NULL;
out:
	history_free(b.h);
	free(b.found);
	free(b.spans);
	history_periods_release(&b.periods);
	return rc;
}
