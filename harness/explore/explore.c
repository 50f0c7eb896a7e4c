/*
 * The search; see explore.h.
 *
 * The tree is never stored. A run with a prefix of answers continues with answer 0 (newest)
 * everywhere; the questions it met after its prefix are the places where it can be left, and wait
 * in the frontier for their other answers. A run's children have one deviation from "newest" more
 * than it has itself, so first in, first out is ordered by their number. The all-oldest run is made
 * second, as a probe: its state comes up again in its place in the tree, and only there it is
 * counted. Where a tree turns out to be large, so are the single deviations from all-oldest: what a
 * missing sync leaves is often old but for one thing, and far from the newest.
 */
#include "harness/explore/explore_internal.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>

void explore_outcome_init(struct explore_outcome *o)
{
	memset(o, 0, sizeof *o);
	mpz_init(o->states);
	mpz_init(o->covered);
}

void explore_outcome_release(struct explore_outcome *o)
{
	mpz_clear(o->states);
	mpz_clear(o->covered);
}

void explore_stats_init(struct explore_stats *s)
{
	memset(s, 0, sizeof *s);
	mpz_init(s->states);
	mpz_init(s->covered);
}

void explore_stats_release(struct explore_stats *s)
{
	mpz_clear(s->states);
	mpz_clear(s->covered);
}

void explore_stats_add(struct explore_stats *s, const struct explore_outcome *o)
{
	s->points_whole += o->end == EXPLORE_WHOLE;
	s->points_represented += o->end == EXPLORE_REPRESENTED;
	s->spent = s->spent || o->end == EXPLORE_SPENT || o->end == EXPLORE_LIMIT;
	s->recoveries += o->recoveries;
	mpz_add(s->states, s->states, o->states);
	mpz_add(s->covered, s->covered, o->covered);
}

/* ---- a tree -------------------------------------------------------------------------------- */

void tree_init(struct tree *t, size_t frontier_bytes_max)
{
	memset(t, 0, sizeof *t);
	frontier_init(&t->frontier, frontier_bytes_max);
	mpz_init(t->total);
	mpz_init(t->covered);
	mpz_init(t->weight);
}

void tree_release(struct tree *t)
{
	frontier_clear(&t->frontier);
	free(t->prefix);
	free(t->taken);
	mpz_clear(t->total);
	mpz_clear(t->covered);
	mpz_clear(t->weight);
}

/* Makes one run: the base, and the `count` answers in t->taken. */
int tree_run(struct explore_search *s, struct tree *t, size_t count, uint64_t hash,
	     enum choice_tail tail, enum explore_next *ret_next, struct err *err)
{
	size_t all = t->base_count + count;

	if (t->prefix_cap < all) {
		t->prefix_cap = all * 2;
		t->prefix = xrealloc(t->prefix, t->prefix_cap * sizeof *t->prefix);
	}
	if (count > 0)
		memcpy(t->prefix + t->base_count, t->taken, count * sizeof *t->prefix);
	choice_begin(s->choice, t->prefix, all, count == 0 ? t->base_hash : hash, tail);
	s->outcome->recoveries++;
	int rc = t->run(s, t, ret_next, err);
	if (rc != 0)
		return rc;
	if (s->choice->diverged || s->choice->count < all) {
		const char *question = crashdisk_last_question(t->disk);
		return err_set(
		    err, ERR_HARNESS,
		    "a run diverged from its prefix at position %llu: answer %zu of %zu, "
		    "question: %s",
		    (unsigned long long)s->point->position, s->choice->count, all,
		    question == NULL ? "none" : question);
	}
	return 0;
}

/* A run that belongs to the tree: counted, and left again where it can be. */
static int run_counted(struct explore_search *s, struct tree *t, size_t count, uint64_t hash,
		       enum explore_next *ret_next, struct err *err)
{
	int rc = tree_run(s, t, count, hash, CHOICE_FIRST, ret_next, err);

	if (rc != 0 || *ret_next == EXPLORE_STOP_ALL)
		return rc; /* half a run covers nothing */
	t->weigh(s, t, t->weight);
	mpz_add(t->covered, t->covered, t->weight);
	if (*ret_next == EXPLORE_GO) {
		struct choice own = *s->choice; /* what follows the base; borrows */
		own.steps += t->base_count;
		own.hashes += t->base_count;
		own.count -= t->base_count;
		if (s->model.defect != MODEL_SEARCH_SKIPS || s->outcome->recoveries % 5 != 4)
			rc = frontier_add(&t->frontier, &own, count, err);
	}
	if (rc == 0 && *ret_next == EXPLORE_GO && t->leaf != NULL)
		rc = t->leaf(s, t, ret_next, err);
	return rc;
}

/* May another recovery be made? If not, says why the point ends here. */
static bool may_go_on(struct explore_search *s)
{
	const struct explore_callbacks *cb = s->callbacks;

	if (s->outcome->recoveries >= s->recoveries_max)
		s->outcome->end = EXPLORE_LIMIT;
	else if (cb->spent != NULL && cb->spent(cb->ctx, s->outcome->recoveries))
		s->outcome->end = EXPLORE_SPENT;
	else
		return true;
	s->ended = true;
	return false;
}

/* The all-oldest run, whose answers are kept. */
static int probe_oldest(struct explore_search *s, struct tree *t, enum explore_next *ret_next,
			struct err *err)
{
	int rc = tree_run(s, t, 0, 0, CHOICE_LAST, ret_next, err);

	t->oldest_count = 0;
	for (size_t i = t->base_count; rc == 0 && i < s->choice->count; i++)
		if (t->oldest_count < PROBES_MAX)
			t->oldest[t->oldest_count++] = s->choice->steps[i].answer;
	return rc;
}

/* Runs with all answers the oldest but for one, which is the newest: its i-th question, in turn. */
static int probe_deviations(struct explore_search *s, struct tree *t, enum explore_next *ret_next,
			    struct err *err)
{
	size_t count = t->oldest_count;
	int rc = 0;

	if (t->taken_cap < count) {
		t->taken_cap = count;
		t->taken = xrealloc(t->taken, count * sizeof *t->taken);
	}
	for (size_t i = 0; i < count && rc == 0 && *ret_next == EXPLORE_GO && may_go_on(s); i++) {
		memcpy(t->taken, t->oldest, i * sizeof *t->oldest);
		t->taken[i] = 0;
		rc = tree_run(s, t, i + 1, 0, CHOICE_LAST, ret_next, err);
	}
	return rc;
}

static int run_all(struct explore_search *s, struct tree *t, enum explore_next *ret_next,
		   bool *ret_whole, struct err *err)
{
	uint64_t begin = s->outcome->recoveries;
	bool probed = t->leaf != NULL;
	int rc;

	if (!may_go_on(s))
		return 0;
	rc = run_counted(s, t, 0, 0, ret_next, err);
	/* Where runs have trees of their own below them, those come first: no probe. */
	if (rc == 0 && *ret_next == EXPLORE_GO && t->leaf == NULL &&
	    !frontier_empty(&t->frontier)) {
		if (!may_go_on(s))
			return 0;
		rc = probe_oldest(s, t, ret_next, err);
	}
	while (rc == 0 && *ret_next == EXPLORE_GO && !frontier_empty(&t->frontier)) {
		size_t count;
		if (!may_go_on(s))
			return 0;
		if (!probed && s->outcome->recoveries - begin >= PROBES_AFTER) {
			probed = true;
			rc = probe_deviations(s, t, ret_next, err);
			if (rc != 0 || *ret_next != EXPLORE_GO)
				break;
			if (!may_go_on(s))
				return 0;
		}
		uint64_t hash = frontier_take(&t->frontier, &t->taken, &t->taken_cap, &count);
		rc = run_counted(s, t, count, hash, ret_next, err);
	}
	*ret_whole = rc == 0 && *ret_next == EXPLORE_GO;
	return rc;
}

int tree_search(struct explore_search *s, struct tree *t, bool *ret_whole, struct err *err)
{
	struct explore_outcome *o = s->outcome;
	enum explore_next next = EXPLORE_GO;

	*ret_whole = false;
	mpz_set_ui(t->covered, 0);
	if (!t->only_way)
		mpz_add(o->states, o->states, t->total);
	int rc = run_all(s, t, &next, ret_whole, err);
	frontier_clear(&t->frontier);
	if (!t->only_way)
		mpz_add(o->covered, o->covered, t->covered);
	if (next != EXPLORE_GO && !s->ended) {
		o->end = next == EXPLORE_STOP_POINT ? EXPLORE_CORRUPT : EXPLORE_STOPPED;
		s->ended = true;
	}
	if (rc != 0 || !*ret_whole || mpz_cmp(t->covered, t->total) == 0)
		return rc;
	/* Representatives leave states out, and never count one twice. */
	if (s->callbacks->representative && mpz_cmp(t->covered, t->total) < 0)
		return 0;
	gmp_snprintf(err->message, sizeof err->message,
		     "the accounting does not add up at position %llu: the runs cover %Zd of %Zd "
		     "states",
		     (unsigned long long)s->point->position, t->covered, t->total);
	err->code = ERR_HARNESS;
	return ERR_HARNESS;
}

/* ---- crash points -------------------------------------------------------------------------- */

static int run_point(struct explore_search *s, struct tree *t, enum explore_next *ret_next,
		     struct err *err)
{
	(void)t;
	crashdisk_begin(s->disk, s->choice);
	return s->callbacks->examine(s->callbacks->ctx, s->point, s->disk, s->choice, ret_next,
				     err);
}

static void weigh_point(struct explore_search *s, struct tree *t, mpz_t ret)
{
	(void)t;
	crashdisk_weight(s->disk, ret);
	mpz_mul_ui(ret, ret, s->point->promise_count);
}

struct explore_search *explore_search_create(const struct trace_index *ix,
					     const struct model *model,
					     const struct explore_callbacks *callbacks,
					     struct choice *choice, size_t frontier_bytes_max)
{
	struct explore_search *s = xcalloc(1, sizeof *s);
	size_t bytes = frontier_bytes_max == 0 ? EXPLORE_FRONTIER_BYTES_MAX : frontier_bytes_max;

	s->callbacks = callbacks;
	s->ix = ix;
	s->model = *model;
	s->disk = crashdisk_create(ix, model);
	crashdisk_set_representative(s->disk, callbacks->representative);
	choice_init(&s->own_choice);
	s->choice = choice == NULL ? &s->own_choice : choice;
	tree_init(&s->tree, bytes);
	tree_init(&s->recoveries, bytes);
	tree_init(&s->again, bytes);
	s->tree.run = run_point;
	s->tree.weigh = weigh_point;
	s->tree.disk = s->disk;
	mpz_init(s->top_weight);
	return s;
}

void explore_search_free(struct explore_search *s)
{
	if (s == NULL)
		return;
	tree_release(&s->tree);
	tree_release(&s->recoveries);
	tree_release(&s->again);
	mpz_clear(s->top_weight);
	choice_release(&s->own_choice);
	crashdisk_free(s->top);
	crashdisk_free(s->recovered);
	crashdisk_free(s->disk);
	free(s);
}

int explore_search_states(struct explore_search *s, const struct explore_point *point, mpz_t ret,
			  struct err *err)
{
	crashdisk_open(s->disk, point->position, point->cut_bytes);
	crashdisk_total(s->disk, ret);
	mpz_mul_ui(ret, ret, point->promise_count);
	if (crashdisk_limited(s->disk))
		return err_set(
		    err, ERR_LIMIT,
		    "too many states of files that were renamed or linked, at position %llu",
		    (unsigned long long)point->position);
	return 0;
}

int explore_search_point(struct explore_search *s, const struct explore_point *point,
			 uint64_t recoveries_max, struct explore_outcome *ret, struct err *err)
{
	bool whole = false;

	s->point = point;
	s->outcome = ret;
	s->recoveries_max = recoveries_max;
	s->ended = false;
	ret->end = EXPLORE_STOPPED;
	ret->recoveries = 0;
	mpz_set_ui(ret->states, 0);
	mpz_set_ui(ret->covered, 0);
	int rc = explore_search_states(s, point, s->tree.total, err);
	if (rc == 0)
		rc = tree_search(s, &s->tree, &whole, err);
	if (rc == 0 && whole && s->callbacks->recover != NULL)
		rc = explore_again(s, &whole, err);
	if (rc == 0 && whole)
		ret->end = s->callbacks->representative ? EXPLORE_REPRESENTED : EXPLORE_WHOLE;
	return rc;
}

int explore(const struct trace_index *ix, const struct model *model,
	    const struct explore_point *points, size_t count,
	    const struct explore_callbacks *callbacks, struct explore_stats *stats, struct err *err)
{
	struct explore_search *s = explore_search_create(ix, model, callbacks, NULL, 0);
	struct explore_outcome outcome;
	int rc = 0;

	explore_outcome_init(&outcome);
	stats->points = count;
	for (size_t i = 0; i < count && rc == 0 && !stats->spent; i++) {
		rc = explore_search_point(s, &points[i], UINT64_MAX, &outcome, err);
		explore_stats_add(stats, &outcome);
		if (outcome.end == EXPLORE_STOPPED)
			break;
	}
	stats->exhaustive = rc == 0 && stats->points_whole == stats->points;
	explore_outcome_release(&outcome);
	explore_search_free(s);
	return rc;
}

int explore_replay(const struct trace_index *ix, const struct model *model,
		   const struct explore_point *point, const uint32_t *answers, size_t count,
		   struct choice *choice, const struct explore_callbacks *callbacks,
		   struct err *err)
{
	struct explore_search *s = explore_search_create(ix, model, callbacks, choice, 0);
	struct explore_outcome outcome;
	enum explore_next next;

	explore_outcome_init(&outcome);
	s->point = point;
	s->outcome = &outcome;
	crashdisk_narrate(s->disk, callbacks->tell, callbacks->ctx);
	int rc;
	if (point->again.happened) {
		rc = explore_again_replay(s, answers, count, err);
	} else {
		s->tree.taken = xmalloc((count + 1) * sizeof *answers);
		if (count > 0)
			memcpy(s->tree.taken, answers, count * sizeof *answers);
		crashdisk_open(s->disk, point->position, point->cut_bytes);
		rc = tree_run(s, &s->tree, count, 0, CHOICE_FIRST, &next, err);
	}
	explore_outcome_release(&outcome);
	explore_search_free(s);
	return rc;
}
