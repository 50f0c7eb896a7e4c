/*
 * The other states of the crash point: what else this power loss could have left, and what it would
 * have come to. The explorer's own runs, each with the fates of the pending operations; in a child,
 * because a state may end the process. Then the child is run again up to there.
 *
 * Does not show: all of them where there are many. Then as many of each grade are shown as there is
 * room for, in the order in which the explorer meets them, which is that of few losses before many.
 */
#include "harness/explain/story_internal.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"
#include "harness/drive/check_gate.h"
#include "harness/drive/watch.h"

#include <gmp.h>
#include <stdlib.h>
#include <string.h>

enum { STATE_FATES_MAX = 512 }; /* pending operations of a state, those nearest the crash */

/* What a state came to; the examiner tells the verdicts of an outcome once. */
struct known_outcome {
	uint64_t outcome;
	enum grade grade;
	char *message, *oracle; /* owned; NULL: nothing objected */
};

/* Runs with the same outcome and the same fates. */
struct group {
	struct story_state state; /* owned */
	mpz_t count;		  /* states that they stand for */
	uint64_t runs, hash;
};

struct states {
	struct telling *t;
	struct isolate *isolate;
	uint64_t recoveries_max;
	uint64_t *positions; /* owned; of pending operations */
	size_t position_count;
	uint64_t *seen; /* owned; hashes of answers: one run is made as a probe, too */
	size_t seen_count, seen_cap;
	struct group *groups; /* owned */
	size_t group_count, group_cap;
	struct known_outcome *outcomes; /* owned */
	size_t outcome_count, outcome_cap;
	bool replaying; /* the state of the case, by itself */
	bool has_this;
};

/* ---- one state ----------------------------------------------------------------------------- */

/* Answers that are 0 at the end were asked by those who look for more. */
static size_t trimmed(const uint32_t *answers, size_t count)
{
	while (count > 0 && answers[count - 1] == 0)
		count--;
	return count;
}

static bool is_this_one(const struct telling *t, const uint32_t *answers, size_t count)
{
	const struct case_state *s = &t->c->state;
	size_t n = trimmed(s->answers, s->answer_count);

	return trimmed(answers, count) == n &&
	       (n == 0 || memcmp(answers, s->answers, n * sizeof *answers) == 0);
}

static bool was_seen(struct states *x, uint64_t hash)
{
	for (size_t i = 0; i < x->seen_count; i++)
		if (x->seen[i] == hash)
			return true;
	x->seen = xgrow(x->seen, x->seen_count, &x->seen_cap, sizeof *x->seen);
	x->seen[x->seen_count++] = hash;
	return false;
}

static const struct known_outcome *outcome_of(struct states *x)
{
	struct examined e = examiner_last(x->t->examiner);
	const struct verdict *worst = NULL;

	for (size_t i = 0; i < x->outcome_count; i++)
		if (x->outcomes[i].outcome == e.outcome)
			return &x->outcomes[i];
	for (size_t i = 0; i < e.verdict_count; i++)
		if (worst == NULL || e.verdicts[i].grade < worst->grade)
			worst = &e.verdicts[i];
	x->outcomes = xgrow(x->outcomes, x->outcome_count, &x->outcome_cap, sizeof *x->outcomes);
	struct known_outcome *k = &x->outcomes[x->outcome_count++];
	*k = (struct known_outcome){.outcome = e.outcome, .grade = e.grade};
	if (worst != NULL) {
		k->message = story_without_folder(x->t, worst->message);
		k->oracle = story_text("%s", worst->oracle);
	}
	return k;
}

static void weigh(struct crashdisk *disk, mpz_t all)
{
	struct crashdisk *lowest = crashdisk_lowest(disk);
	mpz_t weight;

	mpz_init(weight);
	crashdisk_weight(disk, all);
	if (lowest != disk) {
		crashdisk_weight(lowest, weight);
		mpz_mul(all, all, weight);
	}
	mpz_clear(weight);
}

static void free_state(struct story_state *s)
{
	free(s->count);
	free(s->outcome);
	free(s->oracle);
	free(s->fates);
}

/* Worse states come first: what an oracle objects to outside the scale is as a loss. */
static int badness(const struct story_state *s)
{
	return s->oracle != NULL && s->grade >= GRADE_DURABLE ? GRADE_CONSISTENT : (int)s->grade;
}

static bool is_same(const struct group *g, const struct story_state *s, uint64_t hash)
{
	return g->hash == hash && g->state.fate_count == s->fate_count &&
	       strcmp(g->state.outcome, s->outcome) == 0;
}

static void add_state(struct states *x, struct crashdisk *disk, bool this_one)
{
	struct crashdisk *lowest = crashdisk_lowest(disk);
	const struct known_outcome *k = outcome_of(x);
	struct story_state made = {.grade = k->grade, .this_one = this_one};
	size_t i = 0;
	mpz_t weight;

	made.outcome = story_text("%s", k->message != NULL ? k->message
							   : "every acknowledged commit is there");
	made.oracle = k->oracle == NULL ? NULL : xstrdup(k->oracle);
	uint64_t hash = hash64(made.outcome, strlen(made.outcome), 11);
	for (size_t p = 0; p < x->position_count; p++) {
		uint32_t parts, kept;
		struct story_state_fate *f = STORY_ADD(&made, fates, fate);
		f->position = x->positions[p];
		f->fate = story_fate_of(lowest, f->position, &parts, &kept);
		hash = hash_mix(hash, (uint64_t)f->fate);
	}
	mpz_init(weight);
	weigh(disk, weight);
	while (i < x->group_count && !is_same(&x->groups[i], &made, hash))
		i++;
	if (i == x->group_count) {
		x->groups = xgrow(x->groups, x->group_count, &x->group_cap, sizeof *x->groups);
		struct group *g = &x->groups[x->group_count++];
		*g = (struct group){.state = made, .hash = hash};
		mpz_init(g->count);
	} else {
		x->groups[i].state.this_one = x->groups[i].state.this_one || this_one;
		free_state(&made);
	}
	mpz_add(x->groups[i].count, x->groups[i].count, weight);
	x->groups[i].runs++;
	mpz_clear(weight);
}

/* The group that is not shown when there are too many: the last one of the badness that most have,
 * and never the case's own. */
static size_t choose_left_out(const struct states *x)
{
	size_t counts[GRADE_NONE + 1] = {0}, last = 0;
	int most = 0;

	for (size_t i = 0; i < x->group_count; i++)
		counts[badness(&x->groups[i].state)] += !x->groups[i].state.this_one;
	for (int g = 0; g <= GRADE_NONE; g++)
		if (counts[g] > counts[most])
			most = g;
	for (size_t i = 0; i < x->group_count; i++)
		if (badness(&x->groups[i].state) == most && !x->groups[i].state.this_one)
			last = i;
	return last;
}

/* The groups become the story's states, as many as it may have. */
static void tell_groups(struct states *x)
{
	struct story *s = x->t->s;
	mpz_t shown;

	while (x->group_count > STORY_STATES_MAX) {
		size_t i = choose_left_out(x);
		s->states_recoveries += x->groups[i].runs;
		s->states_left_out += x->groups[i].runs;
		free_state(&x->groups[i].state);
		mpz_clear(x->groups[i].count);
		memmove(&x->groups[i], &x->groups[i + 1],
			(x->group_count - i - 1) * sizeof *x->groups);
		x->group_count--;
	}
	mpz_init(shown);
	for (size_t i = 0; i < x->group_count; i++) {
		struct group *g = &x->groups[i];
		g->state.count = mpz_get_str(NULL, 10, g->count);
		mpz_add(shown, shown, g->count);
		s->states_recoveries += g->runs;
		mpz_clear(g->count);
		*STORY_ADD(s, states, state) = g->state;
	}
	s->states_shown = mpz_get_str(NULL, 10, shown);
	mpz_clear(shown);
	free(x->groups);
}

/* ---- the search ---------------------------------------------------------------------------- */

static bool is_same_crash(const struct telling *t, const struct explore_point *point)
{
	const struct explore_again *a = &point->again, *b = &t->point.again;

	return a->happened == b->happened &&
	       (!a->happened || (a->position == b->position && a->cut_bytes == b->cut_bytes));
}

static int examine(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		   const struct choice *choice, enum explore_next *ret_next, struct err *err)
{
	struct states *x = ctx;
	int rc = examiner_examine(x->t->examiner, point, disk, choice, ret_next, err);
	uint32_t *answers;

	if (rc != 0 || *ret_next == EXPLORE_STOP_ALL || choice->diverged)
		return rc;
	atomic_fetch_add(&x->isolate->recoveries, 1);
	/* A slider over one corrupt state would be short; the search is bounded anyhow. */
	*ret_next = EXPLORE_GO;
	if (!is_same_crash(x->t, point))
		return 0;
	answers = xcalloc(choice->count + 1, sizeof *answers);
	for (size_t i = 0; i < choice->count; i++)
		answers[i] = choice->steps[i].answer;
	bool this_one = is_this_one(x->t, answers, choice->count);
	uint64_t hash = hash64(answers, trimmed(answers, choice->count) * sizeof *answers, 7);
	free(answers);
	if (was_seen(x, hash))
		return 0;
	add_state(x, disk, this_one || x->replaying);
	x->has_this = x->has_this || this_one || x->replaying;
	return 0;
}

static int recover(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		   enum explore_next *ret_next, struct err *err)
{
	struct states *x = ctx;

	return examiner_recover(x->t->examiner, point, disk, ret_next, err);
}

static bool spent(void *ctx, uint64_t recoveries)
{
	struct states *x = ctx;

	(void)recoveries;
	isolate_beat(x->isolate);
	return atomic_load(&x->isolate->recoveries) >= x->recoveries_max;
}

/* Those that the story shows as pending, the last ones. */
static void find_pending(struct states *x)
{
	const struct story *s = x->t->s;

	x->positions = xcalloc(s->op_count + 1, sizeof *x->positions);
	for (size_t i = 0; i < s->op_count; i++) {
		enum story_fate f = s->ops[i].fate;
		if (f == STORY_KEPT || f == STORY_LOST || f == STORY_TORN || f == STORY_UNASKED ||
		    f == STORY_DAMAGED)
			x->positions[x->position_count++] = s->ops[i].position;
	}
	if (x->position_count > STATE_FATES_MAX) {
		memmove(x->positions, x->positions + (x->position_count - STATE_FATES_MAX),
			STATE_FATES_MAX * sizeof *x->positions);
		x->position_count = STATE_FATES_MAX;
	}
}

static void sort_states(struct story *s)
{
	/* By insertion: the order of discovery stays among equals. */
	for (size_t i = 1; i < s->state_count; i++) {
		struct story_state moved = s->states[i];
		size_t k = i;

		for (; k > 0 && badness(&s->states[k - 1]) > badness(&moved); k--)
			s->states[k] = s->states[k - 1];
		s->states[k] = moved;
	}
}

struct states_job {
	uint64_t recoveries_max;
};

static void child(struct telling *t, struct isolate *isolate, void *ctx)
{
	const struct states_job *job = ctx;
	const struct case_state *state = &t->c->state;
	struct states x = {.t = t, .isolate = isolate, .recoveries_max = job->recoveries_max};
	struct explore_callbacks callbacks = {.examine = examine,
					      .recover = t->point.again.happened ? recover : NULL,
					      .spent = spent,
					      .ctx = &x,
					      .representative = state->representative};
	struct explore_point point = t->point;
	struct explore_search *search;
	struct explore_outcome outcome;
	struct err err = ERR_INIT;

	point.again = (struct explore_again){0};
	examiner_isolate(t->examiner, isolate);
	find_pending(&x);
	explore_outcome_init(&outcome);
	search = explore_search_create(t->ix, &t->model, &callbacks, &isolate->choice, 0);
	(void)explore_search_point(search, &point, UINT64_MAX, &outcome, &err);
	t->s->states_total = mpz_get_str(NULL, 10, outcome.states);
	explore_search_free(search);
	explore_outcome_release(&outcome);
	if (!x.has_this && atomic_load(&isolate->recoveries) < job->recoveries_max) {
		x.replaying = true;
		(void)explore_replay(t->ix, &t->model, &t->point, state->answers,
				     state->answer_count, &isolate->choice, &callbacks, &err);
	}
	tell_groups(&x);
	sort_states(t->s);
	for (size_t i = 0; i < x.outcome_count; i++) {
		free(x.outcomes[i].message);
		free(x.outcomes[i].oracle);
	}
	free(x.outcomes);
	free(x.positions);
	free(x.seen);
}

/* The state that ended the child. What it was made of is told of the case's own only. */
static void add_killer(struct telling *t, const char *outcome, bool this_one)
{
	struct story *s = t->s;
	struct story_state k = {.grade = GRADE_CORRUPT, .this_one = this_one};

	k.outcome = story_text("%s", outcome);
	k.oracle = xstrdup("recovery");
	k.count = xstrdup("1");
	for (size_t i = 0; i < s->op_count && this_one; i++) {
		const struct story_op *o = &s->ops[i];
		if (o->fate != STORY_KEPT && o->fate != STORY_LOST && o->fate != STORY_TORN &&
		    o->fate != STORY_UNASKED && o->fate != STORY_DAMAGED)
			continue;
		struct story_state_fate *f = STORY_ADD(&k, fates, fate);
		f->position = o->position;
		f->fate = o->fate;
	}
	(void)STORY_ADD(s, states, state);
	memmove(s->states + 1, s->states, (s->state_count - 1) * sizeof *s->states);
	s->states[0] = k;
}

int story_tell_states(struct telling *t, struct err *err)
{
	struct states_job job = {STORY_POINT_RECOVERIES_MAX};
	struct isolate_death death = {.fate = ISOLATE_ENDED};
	char outcome[VERDICT_MESSAGE_SIZE];
	uint64_t done = 0;
	int rc;

	if (check_is_oracle(t->c->finding.oracle))
		return 0; /* its states are those of all files, and far too many */
	rc = story_in_child_counted(t, child, &job, &death, &done, err);
	if (rc != 0 || death.fate == ISOLATE_ENDED)
		return rc;
	isolate_say(&death, story_hang_ns(t), outcome, sizeof outcome);
	bool this_one = strcmp(t->c->finding.oracle, "recovery") == 0 && !t->calls.ended;
	job.recoveries_max = done;
	if (done > 0)
		rc = story_in_child_counted(t, child, &job, &death, &done, err);
	if (rc != 0)
		return rc;
	add_killer(t, outcome, this_one);
	return 0;
}
