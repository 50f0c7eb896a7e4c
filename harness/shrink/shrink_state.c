/*
 * The crash of a case: the earliest crash point that shows the finding, and there the state in
 * which the least was lost. What a state is, is the answers that led to it; an answer of 0 is the
 * newest, so nothing was lost where it was asked. Answers are made 0 one by one, then in pairs, and
 * at last each that is left once more, to say what happens without that loss.
 */
#include "harness/shrink/shrink_internal.h"

#include "faultinject/trace_rebase.h"
#include "harness/case/case_names.h"
#include "harness/drive/check_gate.h"
#include "harness/drive/gate.h"

#include <stdlib.h>
#include <string.h>

enum { PAIRS_MAX = 24 }; /* losses of which two are tried at once */

static bool ended(const struct shrink *s)
{
	return lanes_ended(s->lanes) != LANES_GO;
}

/* ---- the crash point */

static int earliest(struct shrink *s, bool uncut, bool *ret_found, struct err *err)
{
	uint64_t each = s->recoveries_max > SHRINK_PROOF_LEAST ? s->recoveries_max
							       : (uint64_t)SHRINK_PROOF_LEAST;
	struct attempt a = {.subject = s->subject,
			    .trace = s->trace,
			    .recoveries_max = each,
			    .in_order = true,
			    .uncut = uncut};
	struct attempt_result r = {0};
	int rc = lanes_try(s->lanes, &a, &r, err);

	*ret_found = rc == 0 && r.outcome == ATTEMPT_SAME;
	if (*ret_found) {
		uint64_t before = r.points_before;
		bool whole = r.before_whole;

		shrink_accept(s, &r);
		if (before > 0) {
			char *what =
			    before == 1 ? xstrdup("with a crash at the point before")
					: xasprintf("with a crash at any of the %llu points before",
						    (unsigned long long)before);
			shrink_note(s, what, whole ? ATTEMPT_PASSES : ATTEMPT_OPEN, NULL);
			free(what);
		}
	}
	attempt_result_release(&r);
	return rc == ERR_INTERRUPTED ? 0 : rc;
}

/* ---- answers */

/* Owned copy with answer i made `answer`, and only `count` of them. */
static uint32_t *answers_with(const struct case_state *state, size_t i, uint32_t answer,
			      size_t count)
{
	uint32_t *copy = xcalloc(count + 1, sizeof *copy);

	if (count > 0)
		memcpy(copy, state->answers, count * sizeof *copy);
	if (i < count)
		copy[i] = answer;
	return copy;
}

/* The newest at the end go without saying; but a state for a command has all its answers
 * (check_sample.h). */
static void trim(const struct shrink *s, struct case_state *state)
{
	if (check_is_oracle(s->target.oracle))
		return;
	while (state->answer_count > 0 && state->answers[state->answer_count - 1] == 0)
		state->answer_count--;
}

/* Takes the answers if they show the finding. */
static int try_answers(struct shrink *s, uint32_t *answers, size_t count, bool *ret, char **other,
		       struct err *err)
{
	int rc = shrink_replay(s, s->trace, answers, count, ret, other, err);

	if (rc == 0 && *ret) {
		free(s->state.answers);
		s->state.answers = answers;
		s->state.answer_count = count;
		trim(s, &s->state);
		return 0;
	}
	free(answers);
	return rc;
}

/* Answer i becomes `answer`; the questions behind it may be others then, so it is tried with the
 * other answers as they are and with all behind it the newest. *ret_other: as shrink_replay(). */
static int try_answer(struct shrink *s, size_t i, uint32_t answer, bool *ret, char **ret_other,
		      struct err *err)
{
	char *other = NULL;
	size_t all = s->state.answer_count;
	int rc = try_answers(s, answers_with(&s->state, i, answer, all), all, ret, &other, err);

	if (rc == 0 && !*ret && i + 1 < all && !check_is_oracle(s->target.oracle)) {
		free(other);
		other = NULL;
		rc = try_answers(s, answers_with(&s->state, i, answer, i + 1), i + 1, ret, &other,
				 err);
	}
	if (ret_other != NULL)
		*ret_other = other;
	else
		free(other);
	return rc;
}

/* The shortest beginning of the answers, with the newest behind it. */
static int shorten(struct shrink *s, struct err *err)
{
	bool same = false;
	int rc = 0;

	trim(s, &s->state);
	if (check_is_oracle(s->target.oracle))
		return 0;
	for (size_t n = 0; n < s->state.answer_count && rc == 0 && !same && !ended(s); n++)
		if (n == 0 || s->state.answers[n - 1] != 0)
			rc = try_answers(s, answers_with(&s->state, SIZE_MAX, 0, n), n, &same, NULL,
					 err);
	return rc;
}

/* Single answers: the newest, or a newer one. *ret_any: something was gained. */
static int single_answers(struct shrink *s, bool *ret_any, struct err *err)
{
	int rc = 0;

	*ret_any = false;
	for (size_t i = s->state.answer_count; i-- > 0 && rc == 0 && !ended(s);) {
		bool same = false;

		for (uint32_t a = 0;
		     i < s->state.answer_count && a < s->state.answers[i] && rc == 0 && !same; a++)
			rc = try_answer(s, i, a, &same, NULL, err);
		*ret_any = *ret_any || same;
	}
	return rc;
}

static size_t losses_of(const struct case_state *state)
{
	size_t losses = 0;

	for (size_t i = 0; i < state->answer_count; i++)
		losses += state->answers[i] != 0;
	return losses;
}

/* Two that only go together. */
static int paired_answers(struct shrink *s, bool *ret_any, struct err *err)
{
	int rc = 0;

	*ret_any = false;
	if (losses_of(&s->state) > PAIRS_MAX)
		return 0;
	for (size_t i = s->state.answer_count; i-- > 0 && rc == 0 && !*ret_any;)
		for (size_t k = i; k-- > 0 && rc == 0 && !*ret_any && !ended(s);) {
			if (s->state.answers[i] == 0 || s->state.answers[k] == 0)
				continue;
			uint32_t *both = answers_with(&s->state, i, 0, s->state.answer_count);
			both[k] = 0;
			rc = try_answers(s, both, s->state.answer_count, ret_any, NULL, err);
		}
	return rc;
}

/* ---- what each loss does */

struct questions {
	char **texts; /* owned; of each answer */
	size_t count, cap;
};

static void keep_question(void *ctx, const char *question, uint32_t answer, uint32_t n)
{
	struct questions *q = ctx;

	(void)answer;
	(void)n;
	q->texts = xgrow(q->texts, q->count, &q->cap, sizeof *q->texts);
	q->texts[q->count++] = xstrdup(question);
}

/* "... of inode 2 ('/db/main.db-wal')" is "... of '/db/main.db-wal'": the number says nothing to
 * people. In place. */
static void without_inode(char *text)
{
	char *inode = strstr(text, "inode "), *name = inode == NULL ? NULL : strchr(inode, '\'');
	char *end = name == NULL ? NULL : strrchr(name, ')');

	if (end == NULL)
		return;
	memmove(inode, name, (size_t)(end - name));
	memmove(inode + (end - name), end + 1, strlen(end + 1) + 1);
}

/* The question, answered with the newest. */
static char *newest(const char *question)
{
	static const struct {
		const char *begins, *words;
	} forms[] = {{"what is at ", "with the newest of what was written at "},
		     {"what size has ", "with the newest size of "},
		     {"which file does ", "with the newest file that is called "}};

	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		size_t n = strlen(forms[i].begins);

		if (strncmp(question, forms[i].begins, n) != 0)
			continue;
		char *text = xasprintf("%s%s", forms[i].words, question + n);
		without_inode(text);
		return text;
	}
	if (strncmp(question, "is ", 3) == 0)
		return xasprintf("with the newest answer to: %s", question);
	return xasprintf("with the newest answer to \"%s\"", question);
}

/* Owned by the caller. A scenario's files are named as they are; those of a recording as they are
 * in the folder of the database. */
static char *newest_words(const struct shrink *s, const char *question)
{
	char *whole = newest(question);
	struct buf b = {0};

	if (s->from->source != NULL)
		return whole;
	case_names_shorten(s->subject, whole, &b);
	free(whole);
	whole = xstrdup(buf_str(&b));
	buf_release(&b);
	return whole;
}

/* Tries each loss once more without it. *ret_any: one was not needed after all. */
static int prove(struct shrink *s, bool *ret_any, struct err *err)
{
	struct questions q = {0};
	struct case_file c = {.subject = s->subject,
			      .trace = s->trace,
			      .state = s->state,
			      .finding = s->from->finding};
	struct gate_replay replay = {.tell = keep_question, .ctx = &q};
	struct verdict verdict;
	size_t count;
	enum grade grade;
	uint64_t lost, commits;
	int rc = gate_replay(&c, &replay, &verdict, 1, &count, &grade, &lost, &commits, err);

	*ret_any = false;
	for (size_t i = 0; i < s->state.answer_count && rc == 0 && !*ret_any; i++) {
		char *other = NULL;

		if (s->state.answers[i] == 0)
			continue;
		rc = try_answer(s, i, 0, ret_any, &other, err);
		char *what = i < q.count
				 ? newest_words(s, q.texts[i])
				 : xasprintf("with the newest answer to question %zu", i + 1);
		if (rc == 0 && !*ret_any)
			shrink_note(s, what, other == NULL ? ATTEMPT_PASSES : ATTEMPT_DIFFERS,
				    other);
		free(what);
		free(other);
	}
	for (size_t i = 0; i < q.count; i++)
		free(q.texts[i]);
	free(q.texts);
	return rc;
}

static int fewest(struct shrink *s, struct err *err)
{
	int rc = shorten(s, err);

	for (bool any = true; any && rc == 0 && !ended(s);) {
		rc = single_answers(s, &any, err);
		if (rc == 0 && !any && !ended(s))
			rc = paired_answers(s, &any, err);
	}
	return rc;
}

/* ---- the end */

/* The trace up to the promise; where S6 wants the end to be without the finding, up to the first
 * moment behind it that is. *ret: NULL: nothing is behind that. */
static int cut_trace(struct shrink *s, struct trace **ret, struct err *err)
{
	uint64_t *moments = NULL, end = s->state.promise;
	size_t count = 0;
	bool shown = s->target.whole_end;
	int rc = 0;

	if (shown)
		trace_rebase_moments(s->trace, s->trace->op_count, &moments, &count);
	for (size_t i = 0; i < count && rc == 0 && shown && !ended(s); i++) {
		if (moments[i] < s->state.promise)
			continue;
		struct trace *t = trace_cut(s->trace, moments[i]);

		end = moments[i];
		rc = shrink_ask(s, t, ATTEMPT_ASKS_END, &shown, err);
		trace_free(t);
	}
	free(moments);
	if (rc == 0 && !shown && !ended(s) && end < s->trace->op_count)
		*ret = trace_cut(s->trace, end);
	return rc;
}

/* ---- the whole */

int shrink_cut(struct shrink *s, struct err *err)
{
	struct trace *cut = NULL;
	bool same = false;
	int rc = cut_trace(s, &cut, err);

	if (rc == 0 && cut != NULL)
		rc = shrink_replay(s, cut, s->state.answers, s->state.answer_count, &same, NULL,
				   err);
	if (rc == 0 && same) {
		trace_free(s->trace);
		s->trace = cut;
		cut = NULL;
	}
	trace_free(cut);
	return rc;
}

int shrink_state(struct shrink *s, struct err *err)
{
	/* The command of --check is shown other states than recovery sees: only losses. */
	bool checks = check_is_oracle(s->target.oracle), found = false;
	int rc = 0;

	s->doing = "the crash point";
	if (!checks && s->state.has_cut)
		rc = earliest(s, true, &found, err);
	if (!checks && rc == 0 && !found && !ended(s))
		rc = earliest(s, false, &found, err);
	s->doing = "what was lost";
	if (rc == 0 && !ended(s))
		rc = fewest(s, err);
	if (rc == 0 && !ended(s))
		rc = shrink_cut(s, err);
	for (bool any = true; rc == 0 && any && !ended(s);) {
		size_t noted = s->result->without_count;

		rc = prove(s, &any, err);
		while (any && s->result->without_count > noted) {
			struct shrink_without *w = &s->result->without[--s->result->without_count];
			free(w->what);
			free(w->other);
		}
	}
	return rc;
}
