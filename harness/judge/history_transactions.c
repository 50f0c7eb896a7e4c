/*
 * history_build(): from the transactions of a trace (history_spans.c) to lines of states. What of
 * them was promised is in history_promises.c.
 *
 * The content has the last word. SQLite writes some commit frames several times (padding to the
 * sector, checksums rewritten), ROLLBACK finalises a journal, and a checkpoint takes the WAL write
 * lock: where the digest of the file did not change, nothing was committed that anybody could miss.
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

/* Of a transaction over several files the super-journal decides, and no file shows it. Whether what
 * a process did to two files at a time was one transaction cannot be told before both are released.
 */
static bool is_alone(const struct builder *b, const struct span *s)
{
	for (size_t i = 0; i < b->span_count; i++) {
		const struct span *other = &b->spans[i];

		if (other->file != s->file && other->process == s->process &&
		    other->begin < s->end && s->begin < other->end)
			return false;
	}
	return true;
}

/* The trace ends inside it, because a kill did. */
static bool is_open(const struct builder *b, const struct span *s)
{
	return s->release == 0 && s->end == b->t->op_count && s->event == 0 && s->first_write != 0;
}

/* ... and it had begun a log and not finalised it: it is to be rolled back and leaves no state. Of
 * one without a log nobody can say what it was to become: what it left is taken for legal, if it
 * can be read. */
static bool is_cut(const struct builder *b, const struct span *s)
{
	return is_open(b, s) && !s->committed && is_alone(b, s);
}

/* ---- other files in a database's place ---- */

/* The operation at a position put another file, or none, where the database was. */
static bool replaces(const struct trace *t, uint64_t position, const char *path)
{
	const struct op *op = trace_at(t, position);

	if (op->kind == OP_UNLINK)
		return strcmp(t->names[op->name], path) == 0;
	return op->kind == OP_RENAME &&
	       (strcmp(t->names[op->name], path) == 0 || strcmp(t->names[op->name2], path) == 0);
}

/*
 * A program that removes its database, or renames another one over it, makes a state that no
 * transaction made. It existed, so it is legal from then on, and no promise of before outlives it
 * there. Calls `found` for each such state of file `f` after `from` and before `to`. One that
 * cannot be read is passed over: the crash point there shows it.
 */
static int each_replaced(struct builder *b, size_t f, uint64_t from, uint64_t to,
			 void (*found)(void *ctx, struct history_state state), void *ctx,
			 struct err *err)
{
	for (uint64_t p = from + 1; p < to; p++) {
		int rc;

		if (!replaces(b->t, p, b->h->paths[f]))
			continue;
		rc = history_observe_at(b, p, err);
		if (rc == ERR_INPUT) {
			*err = (struct err)ERR_INIT;
			continue;
		}
		if (rc != 0)
			return rc;
		found(ctx, (struct history_state){.state = b->seen[f].state,
						  .schema = b->seen[f].schema,
						  .from = p,
						  .end = p});
	}
	return 0;
}

static void note_digest(void *ctx, struct history_state state)
{
	*(struct digest *)ctx = state.state;
}

static void append_state(void *ctx, struct history_state state)
{
	struct history_line *line = ctx;

	if (!digest_equal(line->states[line->count - 1].state, state.state))
		add_state(line, state);
}

/*
 * Digests the file of each span at its end, and decides what the span's transaction is worth. A
 * span is observed at its own release, not at the transaction's: another connection may take the
 * file in between. Its schema is kept beside it in *ret, by span.
 */
static int observe_spans(struct builder *b, struct observed_file *ret, struct err *err)
{
	struct digest last[OBSERVED_FILES_MAX];
	uint64_t seen_to[OBSERVED_FILES_MAX] = {0};

	for (size_t f = 0; f < b->h->file_count; f++)
		last[f] = b->h->lines[f].states[0].state;
	for (size_t i = 0; i < b->span_count; i++) {
		struct span *s = &b->spans[i];
		int rc = each_replaced(b, s->file, seen_to[s->file], s->end, note_digest,
				       &last[s->file], err);

		if (rc != 0)
			return rc;
		seen_to[s->file] = s->end;
		rc = is_cut(b, s) ? 0 : history_observe_at(b, s->end, err);

		bool is_broken = rc == ERR_INPUT && is_open(b, s);

		if (is_broken)
			*err = (struct err)ERR_INIT;
		else if (rc != 0)
			return rc;
		if (is_broken || is_cut(b, s)) {
			s->committed = false;
			b->cut = true;
			continue;
		}
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
	uint64_t seen_to[OBSERVED_FILES_MAX] = {0};
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
		rc = each_replaced(b, s->file, seen_to[s->file], s->end, append_state,
				   &b->h->lines[s->file], err);
		if (rc != 0)
			goto out;
		seen_to[s->file] = s->end;
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
	for (size_t f = 0; f < b->h->file_count; f++) {
		rc = each_replaced(b, f, seen_to[f], b->t->op_count + 1, append_state,
				   &b->h->lines[f], err);
		if (rc != 0)
			goto out;
	}
	/* What no lock and no log announced. What is cut off is not that. */
	if (b->cut)
		goto out;
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
	history_make_promises(&b);
	*ret_history = b.h;
	b.h = NULL;
out:
	history_free(b.h);
	free(b.found);
	free(b.spans);
	history_periods_release(&b.periods);
	return rc;
}
