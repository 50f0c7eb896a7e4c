/* The sentences of a story: the crash, and the whole case in one sentence. */
#include "harness/explain/story_internal.h"

#include "faultinject/base/buf.h"
#include "faultinject/model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- the crash ----------------------------------------------------------------------------- */

static const char *crash_of(const struct telling *t)
{
	return t->model.process_crash ? "the processes die" : "the power fails";
}

/* "operation 38 (deletes main.db-journal)" */
static void put_op(const struct telling *t, uint64_t position, struct buf *b)
{
	char *words = story_op_words(t, position);

	buf_printf(b, "operation %" PRIu64 " (%s)", position, words);
	free(words);
}

static void tell_crash_words(struct telling *t)
{
	const struct case_state *state = &t->c->state;
	const struct trace *trace = t->c->trace;
	uint64_t before = story_op_before(trace, state->position);
	uint64_t after = story_op_after(trace, state->position);
	struct buf b;

	buf_init(&b);
	buf_printf(&b, "%s ", crash_of(t));
	if (state->has_cut) {
		buf_printf(&b, "in the middle of ");
		put_op(t, state->position, &b);
		buf_printf(&b, ", after %" PRIu64 " of its bytes", state->cut_bytes);
	} else {
		if (before == 0) {
			buf_printf(&b, "before anything is done");
		} else {
			buf_printf(&b, "after ");
			put_op(t, before, &b);
		}
		if (after != 0) {
			buf_printf(&b, " and before ");
			put_op(t, after, &b);
		} else if (before != 0) {
			buf_printf(&b, ", the last one of the run");
		}
	}
	if (state->promise != state->position)
		buf_printf(&b, "; the disk lags behind: it is operation %" PRIu64 " by then",
			   state->promise);
	if (state->has_again)
		buf_printf(&b,
			   ". The machine comes back, SQLite recovers, and %s once more, %s "
			   "operation %" PRIu64 " of that recovery",
			   crash_of(t), state->again_has_cut ? "in the middle of" : "after",
			   state->again_position);
	story_set(&t->s->crash_words, "%s", buf_str(&b));
	buf_release(&b);
}

static void tell_model_words(struct telling *t)
{
	size_t count;
	const struct model_info *presets = model_presets(&count);
	struct buf b;

	for (size_t i = 0; i < count; i++)
		if (strcmp(presets[i].model.name, t->c->subject->model) == 0 &&
		    t->c->subject->model_params.count == 0)
			story_set(&t->s->model_words, "%s", presets[i].summary);
	if (t->s->model_words != NULL)
		return;
	buf_init(&b);
	model_print(&t->model, &b);
	story_set(&t->s->model_words, "%s", buf_str(&b));
	buf_release(&b);
}

/* ---- the verdict --------------------------------------------------------------------------- */

/* "transaction 1, which had been acknowledged, is gone" */
static void put_gone(const struct telling *t, struct buf *b)
{
	const struct story *s = t->s;
	uint64_t numbers[64];
	size_t count = 0, all = 0;

	for (size_t i = 0; i < s->transaction_count; i++) {
		const struct story_transaction *x = &s->transactions[i];
		if (x->presence != STORY_GONE || !x->acked)
			continue;
		if (count < 64)
			numbers[count++] = x->number;
		all++;
	}
	if (all == 0)
		return;
	if (all == 1) {
		const struct story_transaction *x = &s->transactions[numbers[0] - 1];
		buf_printf(b, "transaction %zu%s%s%s, which had been acknowledged, is gone",
			   x->number, x->changes != NULL ? " (" : "",
			   x->changes != NULL ? x->changes : "", x->changes != NULL ? ")" : "");
		return;
	}
	buf_printf(b, "transactions ");
	story_numbers(b, numbers, count);
	buf_printf(b, ", which had been acknowledged, are gone");
	const struct story_statement *st = story_first_statement(s, numbers[0]);
	if (st != NULL)
		buf_printf(b, " (the first: %s%s%s)", st->source == NULL ? "" : st->source,
			   st->source == NULL ? "" : " ", st->sql);
}

/* What is no state of the run, by the first row that shows it. */
static void put_torn(const struct story *s, struct buf *b)
{
	const struct story_row *r = &s->rows[0];

	buf_printf(b, "the database is in a state that never existed: in %s there is %s", r->where,
		   r->found == NULL ? "nothing" : r->found);
	if (r->expected != NULL)
		buf_printf(b, " instead of %s", r->expected);
	if (s->row_count > 1 || s->rows_left_out > 0)
		buf_printf(b, " (and there are more differences)");
}

/* What was found, without its cause. */
static void put_finding(const struct telling *t, struct buf *b)
{
	const struct story *s = t->s;
	size_t before = b->size;

	if (strcmp(s->oracle, "history") == 0 && s->grade == GRADE_CONSISTENT)
		put_gone(t, b);
	if (b->size > before)
		return;
	if (strcmp(s->oracle, "history") == 0 && s->row_count > 0)
		put_torn(s, b);
	else if (strcmp(s->oracle, "history") == 0)
		buf_printf(b, "%s", s->message);
	else if (strcmp(s->oracle, "invariant") == 0)
		buf_printf(b, "the state of the database breaks the invariant %s", s->message);
	else if (s->grade == GRADE_CORRUPT)
		buf_printf(b, "the database is damaged: %s", s->message);
	else
		buf_printf(b, "%s", s->message);
}

/* The last operation of a kind on that file of the trace that was lost. A name may have stood for
 * several files, of which recovery found one. 0: none. */
static const struct story_op *lost_op(const struct telling *t, const char *kind, uint32_t inode)
{
	const struct story *s = t->s;

	for (size_t i = s->op_count; i-- > 0;) {
		const struct story_op *o = &s->ops[i];
		if (o->fate != STORY_LOST || strcmp(o->kind, kind) != 0 || o->file == SIZE_MAX)
			continue;
		const struct op *op = trace_at(t->c->trace, o->position);
		uint32_t of = op->kind == OP_UNLINK
				  ? index_live_inode(t->ix, op->name, o->position - 1)
				  : op->inode;
		if (of == inode)
			return o;
	}
	return NULL;
}

static const struct left_database *hot_one(const struct telling *t)
{
	for (size_t f = 0; f < t->left_count; f++)
		if (t->left[f].hot)
			return &t->left[f];
	return NULL;
}

/* The end of a journal was lost, and it is hot again. */
static bool put_journal_cause(const struct telling *t, struct buf *b)
{
	const struct left_database *d = hot_one(t);
	const struct story *s = t->s;
	const struct story_op *o;
	const char *what = NULL;

	if (d == NULL || d->journal == 0)
		return false;
	if ((o = lost_op(t, "unlink", d->journal)) != NULL)
		what = "the deletion of";
	else if ((o = lost_op(t, "truncate", d->journal)) != NULL)
		what = "the truncation of";
	else if ((o = lost_op(t, "write", d->journal)) != NULL && o->offset == 0)
		what = "the end of";
	if (what == NULL)
		return false;
	buf_printf(b,
		   "%s %s (operation %" PRIu64 ") had not reached the disk, so SQLite found the "
		   "journal, took the transaction for unfinished, and rolled it back",
		   what, story_base_name(s->files[o->file].path), o->position);
	for (size_t i = 0; i < s->op_count; i++) {
		const struct story_op *w = &s->ops[i];
		if (w->file != o->file || w->position >= o->position ||
		    strcmp(w->kind, "write") != 0 ||
		    trace_at(t->c->trace, w->position)->inode != d->journal ||
		    (w->fate != STORY_LOST && w->fate != STORY_TORN))
			continue;
		buf_printf(b,
			   ", from a journal of which operation %" PRIu64 " (%s) had not%s "
			   "reached the disk either",
			   w->position, w->words, w->fate == STORY_TORN ? " wholly" : "");
		break;
	}
	return true;
}

/* A torn write damaged what stood beside it in its sector. */
static bool put_damage_cause(const struct telling *t, struct buf *b)
{
	const struct story *s = t->s;
	const struct story_op *o = NULL;
	size_t more = 0;

	for (size_t i = 0; i < s->op_count; i++) {
		if (s->ops[i].fate != STORY_DAMAGED)
			continue;
		/* What had been durable is what nobody expects to go. */
		if (o == NULL || (o->synced_by == 0 && s->ops[i].synced_by != 0))
			o = &s->ops[i];
		more++;
	}
	if (o == NULL)
		return false;
	char *by = story_op_words(t, o->damaged_by), *what = story_op_words(t, o->position);
	buf_printf(b,
		   "operation %" PRIu64 " (%s) was not finished, and damaged the rest of its "
		   "sector: operation %" PRIu64 " (%s)",
		   o->damaged_by, by, o->position, what);
	buf_printf(b, "%s", o->synced_by != 0 ? ", which had been durable" : "");
	if (more > 1)
		buf_printf(b, ", and %zu more", more - 1);
	free(by);
	free(what);
	return true;
}

/* Frames of the log were lost. */
static bool put_log_cause(const struct telling *t, struct buf *b)
{
	const struct story *s = t->s;
	size_t lost = 0, torn = 0;
	const struct story_op *first = NULL;

	for (size_t i = 0; i < s->op_count; i++) {
		const struct story_op *o = &s->ops[i];
		if (o->file == SIZE_MAX || s->files[o->file].role != STORY_LOG ||
		    (o->fate != STORY_LOST && o->fate != STORY_TORN))
			continue;
		lost += o->fate == STORY_LOST;
		torn += o->fate == STORY_TORN;
		first = first == NULL ? o : first;
	}
	if (first == NULL)
		return false;
	buf_printf(b, "of what had been written to %s, operation %" PRIu64 " (%s)",
		   story_base_name(s->files[first->file].path), first->position, first->words);
	if (lost + torn > 1)
		buf_printf(b, " and %zu more", lost + torn - 1);
	buf_printf(b, " had not%s reached the disk", lost == 0 ? " wholly" : "");
	for (size_t f = 0; f < t->left_count; f++) {
		const struct left_database *d = &t->left[f];
		if (!d->has_log || d->frames == 0)
			continue;
		buf_printf(b,
			   d->commit == 0
			       ? ", so SQLite found no whole commit in the log"
			       : ", so for SQLite the log ends at the commit in frame %" PRIu64,
			   d->commit);
		break;
	}
	return true;
}

/* Pages of the database: some on the disk, some not. */
static bool put_page_cause(const struct telling *t, struct buf *b)
{
	const struct story *s = t->s;
	const struct story_op *lost = NULL, *kept = NULL;
	size_t lost_count = 0, kept_count = 0;
	bool torn = false;

	for (size_t i = 0; i < s->op_count; i++) {
		const struct story_op *o = &s->ops[i];
		if (o->file == SIZE_MAX || s->files[o->file].role != STORY_DATABASE ||
		    strcmp(o->kind, "write") != 0)
			continue;
		if (o->fate == STORY_LOST || o->fate == STORY_TORN) {
			lost = lost == NULL ? o : lost;
			lost_count++;
			torn = torn || o->fate == STORY_TORN;
		} else if (o->fate == STORY_KEPT) {
			kept = o;
			kept_count++;
		}
	}
	if (lost == NULL)
		return false;
	buf_printf(b,
		   "of the pages written to %s, operation %" PRIu64 " (%s)%s had not %sreached "
		   "the disk",
		   story_base_name(s->files[lost->file].path), lost->position, lost->words,
		   lost_count > 1 ? " and others" : "", lost_count == 1 && torn ? "wholly " : "");
	if (kept != NULL)
		buf_printf(b, ", while operation %" PRIu64 " (%s)%s had", kept->position,
			   kept->words, kept_count > 1 ? " and others" : "");
	const struct left_database *d = hot_one(t);
	if (d == NULL && kept != NULL)
		buf_printf(b, ", and there was no journal to undo it with");
	else if (d != NULL && d->damaged)
		buf_printf(b, ", and the journal that was there was itself not whole");
	return true;
}

/* Something else was lost: a file that is no database of the case. */
static bool put_other_cause(const struct telling *t, struct buf *b)
{
	const struct story *s = t->s;
	size_t count = 0;

	for (size_t i = 0; i < s->op_count; i++) {
		const struct story_op *o = &s->ops[i];
		if (o->fate != STORY_LOST && o->fate != STORY_TORN)
			continue;
		if (count++ > 0)
			continue;
		buf_printf(b, "operation %" PRIu64 " (%s%s%s)", o->position, o->words,
			   o->file != SIZE_MAX && strcmp(o->kind, "write") == 0 ? " of " : "",
			   o->file != SIZE_MAX && strcmp(o->kind, "write") == 0
			       ? story_base_name(s->files[o->file].path)
			       : "");
	}
	if (count == 0)
		return false;
	if (count > 1)
		buf_printf(b, " and %zu more", count - 1);
	buf_printf(b, " had not reached the disk");
	return true;
}

/* It was acknowledged before anything of it was written. */
static bool put_promise_cause(const struct telling *t, struct buf *b)
{
	const struct story *s = t->s;

	for (size_t i = 0; i < s->transaction_count; i++) {
		const struct story_transaction *x = &s->transactions[i];
		if (!x->acked || x->presence != STORY_GONE || x->first_write <= x->ack)
			continue;
		buf_printf(b,
			   "it was acknowledged (operation %" PRIu64 ") before anything of it was "
			   "written (operation %" PRIu64 ")",
			   x->ack, x->first_write);
		return true;
	}
	return false;
}

/* Nothing was lost: the crash came at the wrong moment. */
static void put_moment_cause(const struct telling *t, struct buf *b)
{
	const struct story *s = t->s;
	const char *whole =
	    t->model.process_crash ? "" : "all that had been written was on the disk, ";

	if (s->promise != s->crash) {
		buf_printf(b,
			   "the disk had kept the order of what was written, and was only as after "
			   "operation %" PRIu64,
			   s->crash);
		return;
	}
	for (size_t i = 0; i < s->transaction_count; i++) {
		const struct story_transaction *x = &s->transactions[i];
		if (x->first_write == 0 || x->first_write > s->crash || x->end <= s->crash ||
		    x->presence == STORY_PRESENT)
			continue;
		buf_printf(b,
			   "%sand the crash came in the middle of transaction %zu (operations "
			   "%" PRIu64 " to %" PRIu64 ")",
			   whole, x->number, x->begin, x->end);
		return;
	}
	if (t->read && t->matched)
		buf_printf(b,
			   "%sand what was found is a state that the program itself had made, "
			   "between two transactions",
			   whole);
	else
		buf_printf(b, "%sand it is wrong all the same", whole);
}

static void put_cause(const struct telling *t, struct buf *b)
{
	if (t->again_words != NULL) {
		/* "of that" is what the sentence before it tells, which does not stand here. */
		bool refers = strncmp(t->again_words, "of that, ", 9) == 0;
		buf_printf(b, "%s%s", refers ? "of what the first recovery did, " : "",
			   t->again_words + (refers ? 9 : 0));
		return;
	}
	if (put_promise_cause(t, b) || put_damage_cause(t, b) || put_journal_cause(t, b) ||
	    put_log_cause(t, b) || put_page_cause(t, b) || put_other_cause(t, b))
		return;
	size_t before = b->size;
	put_moment_cause(t, b);
	/* A sentence that begins with "and". */
	if (strncmp((const char *)b->data + before, "and ", 4) == 0) {
		memmove(b->data + before, b->data + before + 4, b->size - before - 4);
		b->size -= 4;
	}
}

/* " (bank.sql:15 to 19)", the lines of a transaction's statements; or " (INSERT ...)". */
static void put_lines(const struct telling *t, size_t number, struct buf *b)
{
	const struct story_statement *first = NULL, *last = NULL;
	const struct story *s = t->s;

	for (size_t i = 0; i < s->statement_count; i++) {
		const struct story_statement *st = &s->statements[i];
		if (st->transaction != number)
			continue;
		first = first == NULL ? st : first;
		last = st;
	}
	if (first == NULL)
		return;
	if (first->source == NULL || last->source == NULL) {
		buf_printf(b, " (%s)", story_first_statement(s, number)->sql);
		return;
	}
	buf_printf(b, " (%s", first->source);
	if (strcmp(first->source, last->source) != 0)
		buf_printf(b, " to %s", strrchr(last->source, ':') + 1);
	buf_printf(b, ")");
}

/* An invariant that does not hold in a state that the program itself commits. */
static void put_own_commit(const struct telling *t, struct buf *b)
{
	const struct story *s = t->s;
	const char *end = strstr(s->message, "' is broken by ");
	int size = end == NULL ? 0 : (int)(end - s->message) + 1;

	if (t->nothing_lost)
		buf_printf(b, "no write was lost: the program itself commits this state");
	else
		buf_printf(b,
			   "the database is exactly as transaction %zu left it: the program itself "
			   "commits this state",
			   t->found_state);
	buf_printf(b, ". After transaction %zu", t->broken_by);
	put_lines(t, t->broken_by, b);
	buf_printf(b, " is committed");
	if (t->broken_until != 0) {
		buf_printf(b, " and before transaction %zu", t->broken_until);
		put_lines(t, t->broken_until, b);
		buf_printf(b, " begins");
	}
	buf_printf(b, ", the invariant %.*s%sdoes not hold", size, s->message, size > 0 ? " " : "");
}

static void tell_verdict(struct telling *t)
{
	const struct trace *trace = t->c->trace;
	uint64_t before = story_op_before(trace, t->c->state.position);
	uint64_t after = story_op_after(trace, t->c->state.position);
	struct buf b;

	if (!t->again && t->verdict == SIZE_MAX) {
		story_set(&t->s->verdict,
			  "The finding of the oracle %s is gone: nothing objects to "
			  "what SQLite makes of this state now.",
			  t->c->finding.oracle);
		return;
	}
	buf_init(&b);
	buf_printf(&b, "After %s ",
		   t->model.process_crash ? "the processes died" : "a power failure");
	if (t->s->promise != t->s->crash) {
		char *x = story_op_words(t, t->s->promise);
		buf_printf(&b, "after operation %" PRIu64 " (%s), on a disk that lags behind",
			   t->s->promise, x);
		free(x);
	} else if (before != 0 && after != 0) {
		char *x = story_op_words(t, before), *y = story_op_words(t, after);
		buf_printf(&b, "between operation %" PRIu64 " (%s) and operation %" PRIu64 " (%s)",
			   before, x, after, y);
		free(x);
		free(y);
	} else {
		buf_printf(&b,
			   before == 0 ? "before the first operation" : "at the end of the run");
	}
	if (t->c->state.has_again)
		buf_printf(&b, ", and a second one during recovery");
	buf_printf(&b, ", ");
	if (t->broken_by != 0) {
		put_own_commit(t, &b);
	} else {
		put_finding(t, &b);
		buf_printf(&b, ": ");
		put_cause(t, &b);
	}
	buf_printf(&b, ".");
	if (t->allowing_seen != NULL) {
		const struct story_statement *st = &t->s->statements[t->allowing_seen->now - 1];
		buf_printf(&b, " What allows it is %s%s%s, run after operation %" PRIu64 ".",
			   st->sql, st->source == NULL ? "" : " in ",
			   st->source == NULL ? "" : st->source, st->position);
	}
	story_set(&t->s->verdict, "%s", buf_str(&b));
	buf_release(&b);
}

void story_tell_words(struct telling *t)
{
	struct story *s = t->s;

	for (size_t i = 0; i < s->transaction_count; i++)
		s->transactions[i].wrong = story_is_wrong(s, &s->transactions[i]) ||
					   i + 1 == t->broken_by || i + 1 == t->broken_until;
	tell_crash_words(t);
	tell_model_words(t);
	tell_verdict(t);
}
