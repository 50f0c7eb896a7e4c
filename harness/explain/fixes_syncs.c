/*
 * The syncs that the barrier lint misses: where each would have to be, and whether the finding goes
 * away when it is there. The lint reports an obligation once a database, with the first operation
 * that came too soon; putting in that sync and asking again finds the next, until there is none.
 */
#include "harness/explain/fixes_internal.h"

#include "faultinject/base/buf.h"
#include "faultinject/trace_edit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS_MAX = 500, SYNCS_MAX = 4096 };

/* A sync to put in, in positions of the trace as it is. */
struct missing_sync {
	uint64_t after, before;
	uint32_t inode;
	char *directory; /* owned; NULL: the file */
	enum lint_rule rule;
	char message[LINT_MESSAGE_SIZE];
};

struct sync_list {
	struct missing_sync *items; /* owned */
	size_t count, cap;
};

static void release_list(struct sync_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->items[i].directory);
	free(l->items);
}

static bool is_name_op(const struct op *op)
{
	return op->kind == OP_CREATE || op->kind == OP_UNLINK || op->kind == OP_RENAME ||
	       op->kind == OP_LINK;
}

/* What has to be synced so that the operation is durable. */
static void set_target(const struct trace *t, uint64_t pending, struct missing_sync *ret)
{
	const struct op *op = trace_at(t, pending);
	char directory[TRACE_NAME_MAX + 1];

	if (!is_name_op(op)) {
		ret->inode = op->inode;
		return;
	}
	trace_dirname(t->names[op->kind == OP_RENAME || op->kind == OP_LINK ? op->name2 : op->name],
		      directory, sizeof directory);
	ret->directory = xstrdup(directory);
}

static int compare_syncs(const void *a, const void *b)
{
	const struct missing_sync *x = a, *y = b;

	if (x->before != y->before)
		return x->before < y->before ? -1 : 1;
	if (x->rule != y->rule)
		return x->rule < y->rule ? -1 : 1;
	return x->after < y->after ? -1 : x->after > y->after;
}

static struct trace *put_in(const struct trace *t, const struct sync_list *l,
			    uint64_t **ret_positions)
{
	struct trace_sync *syncs = xcalloc(l->count + 1, sizeof *syncs);
	size_t count = 0;

	for (size_t i = 0; i < l->count; i++) {
		const struct missing_sync *m = &l->items[i];
		bool twice = false;
		for (size_t k = count; k-- > 0 && syncs[k].before == m->before && !twice;)
			twice =
			    syncs[k].inode == m->inode &&
			    (m->directory == NULL || strcmp(syncs[k].directory, m->directory) == 0);
		if (!twice)
			syncs[count++] = (struct trace_sync){m->before, m->inode, m->directory};
	}
	struct trace *copy = trace_with_syncs(t, syncs, count, ret_positions);
	free(syncs);
	return copy;
}

/* The promises of the history, at the positions of a copy. Owned by the caller; NULL: the copy has
 * them itself. */
static struct lint_ack *promises_in(const struct telling *t, const struct trace *copy,
				    const uint64_t *positions, size_t *ret_count)
{
	const struct history *h = t->h;
	uint64_t *moved;
	struct lint_ack *acks;
	size_t n = 0;

	*ret_count = 0;
	if (h->ack == HISTORY_ACK_EXACT)
		return NULL;
	moved = xcalloc(t->c->trace->op_count + 1, sizeof *moved);
	for (uint64_t p = 1; p <= copy->op_count; p++)
		moved[positions[p]] = p; /* [0] is of those that were put in */
	acks = xcalloc(h->transaction_count + 1, sizeof *acks);
	for (size_t i = 0; i < h->transaction_count; i++) {
		const struct transaction *x = &h->transactions[i];
		uint64_t own = x->first_write != 0 ? x->first_write : x->begin;
		if (x->ack == 0 || own == 0)
			continue;
		size_t k = n++;
		for (; k > 0 && acks[k - 1].position > moved[x->ack]; k--)
			acks[k] = acks[k - 1];
		acks[k] = (struct lint_ack){.position = moved[x->ack],
					    .process = x->process,
					    .thread = trace_at(t->c->trace, own)->thread,
					    .connection = x->connection};
	}
	free(moved);
	*ret_count = n;
	return acks;
}

/* The message of the lint, with positions of the original ("op 43"). */
static void set_message(const char *message, const uint64_t *positions, uint64_t count,
			struct missing_sync *ret)
{
	struct buf b;

	buf_init(&b);
	while (*message != '\0') {
		bool number =
		    positions != NULL && strncmp(message, "op ", 3) == 0 && message[3] >= '0' &&
		    message[3] <= '9' &&
		    (b.size == 0 || b.data[b.size - 1] == '(' || b.data[b.size - 1] == ' ');
		char *end;

		if (!number) {
			buf_put_u8(&b, (uint8_t)*message++);
			continue;
		}
		uint64_t position = strtoull(message + 3, &end, 10);
		if (position > 0 && position <= count && positions[position] != 0)
			position = positions[position];
		buf_printf(&b, "op %" PRIu64, position);
		message = end;
	}
	(void)snprintf(ret->message, sizeof ret->message, "%s", buf_str(&b));
	buf_release(&b);
}

static bool is_known(const struct sync_list *l, const struct missing_sync *m)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->items[i].before == m->before && l->items[i].after == m->after &&
		    l->items[i].rule == m->rule)
			return true;
	return false;
}

/* Adds what the lint says of a trace of `count` operations, in positions of the original. Returns
 * how many were new: the same again is not what a sync there can mend. */
static size_t add_findings(const struct telling *t, const struct lint *lint, const bool *rules,
			   const uint64_t *positions, uint64_t count, struct sync_list *l)
{
	size_t added = 0;

	for (size_t i = 0; i < lint->count; i++) {
		const struct lint_finding *f = &lint->findings[i];
		struct missing_sync m = {
		    .after = positions == NULL ? f->pending : positions[f->pending],
		    .before = positions == NULL ? f->early : positions[f->early],
		    .rule = f->rule};

		/* A sync that was put in changes nothing, and comes too soon for nothing. */
		if (!rules[f->rule] || m.before == 0 || m.after == 0 || m.after >= m.before ||
		    l->count == SYNCS_MAX || is_known(l, &m))
			continue;
		set_message(f->message, positions, count, &m);
		set_target(t->c->trace, m.after, &m);
		l->items = xgrow(l->items, l->count, &l->cap, sizeof *l->items);
		l->items[l->count++] = m;
		added++;
	}
	return added;
}

/* All syncs that these rules miss. */
static void find_syncs(const struct telling *t, const bool *rules, struct sync_list *ret)
{
	size_t added = add_findings(t, &t->lint, rules, NULL, 0, ret);

	for (int round = 0; added > 0 && round < ROUNDS_MAX && ret->count < SYNCS_MAX; round++) {
		uint64_t *positions;
		struct lint lint;
		size_t ack_count;

		qsort(ret->items, ret->count, sizeof *ret->items, compare_syncs);
		struct trace *copy = put_in(t->c->trace, ret, &positions);
		struct lint_ack *acks = promises_in(t, copy, positions, &ack_count);
		lint_trace(copy, acks, ack_count, &lint);
		added = add_findings(t, &lint, rules, positions, copy->op_count, ret);
		lint_release(&lint);
		free(acks);
		free(positions);
		trace_free(copy);
	}
	if (ret->count > 1)
		qsort(ret->items, ret->count, sizeof *ret->items, compare_syncs);
}

/* ---- in the story -------------------------------------------------------------------------- */

/* Does this crash miss the sync? Its operation had been done by then, and was not durable. */
static bool is_of_this_crash(struct telling *t, const struct missing_sync *m)
{
	const struct story_op *o = story_op_at(t->s, m->after);

	return m->after <= t->c->state.position && (o == NULL || o->fate != STORY_DURABLE);
}

static void add_missing(struct telling *t, const struct missing_sync *m)
{
	const struct trace *trace = t->c->trace;
	struct story_missing *s = STORY_ADD(t->s, missing, missing);
	uint32_t name = op_names_target(t->names, m->after);

	s->rule = xstrdup(lint_rule_id(m->rule));
	s->message = story_text("%s", m->message);
	s->directory = m->directory != NULL;
	s->target = story_path(t, m->directory != NULL ? m->directory
				  : name != 0	       ? trace->names[name]
						       : "");
	s->after = m->after;
	s->before = m->before;
}

/* The syncs of one rule, as story.missing has them: those that this crash missed, the one that the
 * first lost transaction needs first. Where it missed none, the last one before it, which is the
 * nearest; what comes after the crash is none of it. Returns how many were added. */
static size_t add_places(struct telling *t, const struct sync_list *l)
{
	const struct missing_sync *nearest = NULL;
	uint64_t begin = t->wrong == 0 ? 0 : t->s->transactions[t->wrong - 1].begin;
	size_t added = 0;

	/* Those from the first lost transaction on, then the ones before it. */
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < l->count && added < STORY_MISSING_MAX; i++) {
			const struct missing_sync *m = &l->items[i];
			if (!is_of_this_crash(t, m) || (m->after >= begin) != (pass == 0))
				continue;
			add_missing(t, m);
			added++;
		}
	}
	for (size_t i = 0; i < l->count && added == 0; i++)
		if (l->items[i].after <= t->c->state.position)
			nearest = &l->items[i];
	if (nearest != NULL) {
		add_missing(t, nearest);
		added = 1;
	}
	t->s->missing_left_out += l->count - added;
	return added;
}

/* The level of PRAGMA synchronous that makes just the syncs that the rule misses: from SQLite's
 * documentation of that PRAGMA. -1: there is none. */
static int level_of(enum lint_rule rule, bool directory)
{
	if (rule == LINT_COMMIT_BEFORE_ACK)
		return 2;
	return rule == LINT_JOURNAL_END_BEFORE_ACK && directory ? 3 : -1;
}

/* What the program's author can do, where a setting makes these syncs. */
static void put_advice(const struct telling *t, int level, struct buf *b)
{
	static const char *const words[] = {"OFF", "NORMAL", "FULL", "EXTRA"};
	const struct story_seen *seen = &t->synchronous;

	buf_printf(b, "set synchronous=%s", words[level]);
	if (seen->now != 0 && seen->before != 0 && fixes_synchronous(seen->value_before) >= level)
		buf_printf(b,
			   ": keep the PRAGMA of operation %" PRIu64 " for the whole run, without "
			   "the PRAGMA synchronous=%s after operation %" PRIu64,
			   t->s->statements[seen->before - 1].position, seen->value,
			   t->s->statements[seen->now - 1].position);
	else if (seen->now != 0)
		buf_printf(b, " instead of %s, in the PRAGMA after operation %" PRIu64, seen->value,
			   t->s->statements[seen->now - 1].position);
	else
		buf_printf(b, " on each connection that writes, before its first transaction");
}

/* A directory by its file: "." says little. */
static char *target_words(const struct telling *t, const struct story_missing *m)
{
	if (!m->directory)
		return xstrdup(m->target);
	return strcmp(m->target, ".") == 0
		   ? xasprintf("the directory of %s", story_base_name(t->c->subject->database))
		   : xasprintf("the directory %s", m->target);
}

static void add_sync_fix(struct telling *t, enum lint_rule rule, const struct story_missing *m,
			 size_t count, const struct case_result *r)
{
	char *after = story_op_words(t, m->after), *before = story_op_words(t, m->before);
	char *target = target_words(t, m);
	int level = level_of(rule, m->directory);
	bool advise =
	    level > 0 && (t->c->source == NULL || story_setting_is_own(t, &t->synchronous));
	struct buf what;

	buf_init(&what);
	if (advise) {
		put_advice(t, level, &what);
		buf_printf(&what, "; it makes ");
	}
	buf_printf(&what,
		   "%s sync of %s after operation %" PRIu64 " (%s) and before operation %" PRIu64
		   " (%s)",
		   advise ? "the" : "a", target, m->after, after, m->before, before);
	if (count > 1)
		buf_printf(&what, ", and at %zu more such place%s", count - 1,
			   count == 2 ? "" : "s");
	char *text = story_text("%s", buf_str(&what));
	struct story_fix *fix = fixes_add(t, text, r);
	if (advise) {
		char *proof = story_text("with the sync%s that it makes, %s", count == 1 ? "" : "s",
					 fix->proof);
		free(fix->proof);
		fix->proof = proof;
	}
	buf_release(&what);
	free(after);
	free(before);
	free(target);
}

void fixes_list_missing(struct telling *t)
{
	for (size_t i = 0; i < t->lint.count; i++) {
		bool rules[LINT_RULE_COUNT] = {false};
		struct sync_list l = {0};

		if (i > 0 && t->lint.findings[i].rule == t->lint.findings[i - 1].rule)
			continue;
		rules[t->lint.findings[i].rule] = true;
		find_syncs(t, rules, &l);
		(void)add_places(t, &l);
		release_list(&l);
	}
}

/* Explores the trace with these syncs. */
static int try_list(struct telling *t, const struct sync_list *l, struct case_result *r,
		    enum fix_proof *ret_proof, struct err *err)
{
	struct trace *copy = put_in(t->c->trace, l, NULL);
	/* Whoever looks at samples, too, has nothing to say of what the oracle found. */
	struct subject subject = *t->c->subject;

	subject.check = NULL;
	int rc = fixes_prove(t, &subject, copy, r, ret_proof, err);

	trace_free(copy);
	return rc;
}

/* What trying the syncs of one rule says of them. */
static enum story_matters matters_by(enum fix_proof proof)
{
	switch (proof) {
	case FIX_PROVED:
	case FIX_PARTLY:
		return STORY_MATTERS;
	case FIX_REFUTED:
		return STORY_MATTERS_NOT;
	case FIX_HIDDEN:
	case FIX_UNKNOWN:
	case FIX_CANNOT:
	case FIX_UNJUDGED:
	case FIX_VOID:
		break;
	}
	return STORY_MATTERS_UNKNOWN;
}

static int try_rule(struct telling *t, enum lint_rule rule, struct tried *tried, bool *ret_gone,
		    struct err *err)
{
	bool rules[LINT_RULE_COUNT] = {false};
	struct sync_list l = {0};
	struct result result;
	enum fix_proof proof = FIX_UNKNOWN;
	int rc = 0;

	rules[rule] = true;
	find_syncs(t, rules, &l);
	result_init(&result, "explain", t->c->subject->seed);
	struct case_result *r = result_add(&result);
	size_t index = t->s->missing_count, places = add_places(t, &l);
	if (places == 0)
		goto out;
	if (fixes_left(t) == 0)
		tried->spent = true;
	else
		rc = try_list(t, &l, r, &proof, err);
	if (rc != 0)
		goto out;
	*ret_gone = matters_by(proof) == STORY_MATTERS;
	for (size_t i = index; i < t->s->missing_count; i++)
		t->s->missing[i].matters = matters_by(proof);
	tried->spent = tried->spent || (proof == FIX_UNKNOWN && fixes_left(t) == 0);
	if (proof == FIX_PROVED) {
		add_sync_fix(t, rule, &t->s->missing[index], l.count, r);
	} else if (proof == FIX_PARTLY || proof == FIX_HIDDEN || proof == FIX_VOID ||
		   proof == FIX_UNJUDGED) {
		char *what = xasprintf("the syncs of %s", lint_rule_id(rule));
		fixes_put_tried(tried, what, proof, r);
		free(what);
	}
out:
	result_release(&result);
	release_list(&l);
	return rc;
}

/* No rule helps by itself: all of them. */
static int try_all(struct telling *t, struct tried *tried, struct err *err)
{
	bool rules[LINT_RULE_COUNT];
	struct sync_list l = {0};
	struct result result;
	enum fix_proof proof = FIX_UNKNOWN;
	int rc = 0;

	if (fixes_left(t) == 0) {
		tried->spent = true;
		return 0;
	}
	memset(rules, 1, sizeof rules);
	find_syncs(t, rules, &l);
	result_init(&result, "explain", t->c->subject->seed);
	struct case_result *r = result_add(&result);
	rc = try_list(t, &l, r, &proof, err);
	/* Which of them it takes, nobody knows. */
	for (size_t i = 0; i < t->s->missing_count && rc == 0; i++)
		t->s->missing[i].together = matters_by(proof) == STORY_MATTERS;
	tried->spent = tried->spent || (rc == 0 && proof == FIX_UNKNOWN && fixes_left(t) == 0);
	if (rc == 0)
		fixes_put_tried(tried, "all missing syncs together", proof, r);
	if (rc == 0 && proof == FIX_PROVED)
		(void)fixes_add(
		    t, story_text("all of the missing syncs together: %zu in this run", l.count),
		    r);
	result_release(&result);
	release_list(&l);
	return rc;
}

int fixes_try_syncs(struct telling *t, struct tried *tried, struct err *err)
{
	size_t rules = 0;
	bool any = false;

	for (size_t i = 0; i < t->lint.count; i++) {
		bool gone = false;

		if (i > 0 && t->lint.findings[i].rule == t->lint.findings[i - 1].rule)
			continue;
		rules++;
		int rc = try_rule(t, t->lint.findings[i].rule, tried, &gone, err);
		if (rc != 0)
			return rc;
		any = any || gone;
	}
	return any || rules < 2 ? 0 : try_all(t, tried, err);
}
