/*
 * One mutant: the search for a state that the sound run does not show. See mutate.h; what a case
 * comes to is in mutate.c.
 */
#include "harness/drive/mutate.h"

#include "faultinject/base/buf.h"
#include "harness/drive/examine.h"
#include "harness/drive/hunt.h"
#include "harness/drive/watch.h"
#include "harness/explore/explore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The worst that the sound run shows at one place. */
struct worst {
	bool known;
	enum grade grade;
	uint64_t lost;
};

struct hunt {
	struct examiner *examiner;
	const struct mutate_baseline *baseline;
	bool (*spent)(void *ctx, uint64_t recoveries);
	void *ctx;
	struct mutate_hunt *found;
	struct worst local; /* at the present point */
	/* The sound run, where it is not durable everywhere; otherwise NULL. */
	struct examiner *sound;
	struct explore_search *sound_search;
	struct explore_callbacks sound_callbacks;
	const uint64_t *positions; /* of its operations */
	struct worst *worsts;	   /* owned; of each point */
};

static bool is_known(const struct mutate_baseline *b, const struct verdict *v)
{
	for (size_t i = 0; i < b->violation_count; i++)
		if (b->violations[i].grade == v->grade &&
		    strcmp(b->violations[i].oracle, v->oracle) == 0)
			return true;
	return false;
}

/* The grade falls, more is lost, or something breaks that has no grade. The words are those of a
 * verdict that says so. */
static bool is_worse(struct hunt *h, const struct examined *x)
{
	const struct verdict *words = NULL;

	for (size_t i = 0; i < x->verdict_count; i++) {
		const struct verdict *v = &x->verdicts[i];
		if (v->grade == GRADE_NONE ? !is_known(h->baseline, v) : v->grade == x->grade)
			words = words == NULL ? v : words;
	}
	bool worse = x->grade < h->local.grade || x->lost > h->local.lost;
	if (!worse && (words == NULL || words->grade != GRADE_NONE))
		return false;
	(void)snprintf(h->found->message, sizeof h->found->message, "%.20s: %.370s",
		       words == NULL ? "history" : words->oracle,
		       words == NULL ? "worse than without the mistake" : words->message);
	return true;
}

static int hunt_examine(void *ctx, const struct explore_point *point, struct crashdisk *disk,
			const struct choice *choice, enum explore_next *ret_next, struct err *err)
{
	struct hunt *h = ctx;
	int rc = examiner_examine(h->examiner, point, disk, choice, ret_next, err);
	struct examined x = examiner_last(h->examiner);

	h->found->recoveries++;
	if (rc != 0 || *ret_next == EXPLORE_STOP_ALL || !is_worse(h, &x))
		return rc;
	h->found->found = true;
	*ret_next = EXPLORE_STOP_ALL;
	return 0;
}

static bool hunt_spent(void *ctx, uint64_t recoveries)
{
	const struct hunt *h = ctx;

	(void)recoveries; /* of the point alone */
	return h->spent != NULL && h->spent(h->ctx, h->found->recoveries);
}

/* For the sound run, whose examiner is the context: only its end counts. */
static bool sound_spent(void *ctx, uint64_t recoveries)
{
	(void)ctx;
	(void)recoveries;
	return watch_stopped();
}

/* Drops the points at which the mutant has the states of the sound run: as many assignments. */
static int keep_new_points(const struct trace_index *sound, const struct trace_index *ix,
			   const struct model *model, const uint64_t *positions,
			   struct explore_points *points, struct err *err)
{
	struct explore_callbacks none = {0};
	struct explore_search *before = explore_search_create(sound, model, &none, NULL, 0);
	struct explore_search *after = explore_search_create(ix, model, &none, NULL, 0);
	size_t kept = 0;
	mpz_t a, b;
	int rc = 0;

	mpz_init(a);
	mpz_init(b);
	for (size_t i = 0; i < points->count && rc == 0; i++) {
		struct explore_point then = points->items[i];
		then.position = positions[then.position];
		rc = explore_search_states(before, &then, b, err);
		if (rc == 0)
			rc = explore_search_states(after, &points->items[i], a, err);
		if (rc == 0 && mpz_cmp(a, b) < 0)
			rc = err_set(err, ERR_HARNESS,
				     "leaving out a sync took states away at operation %llu",
				     (unsigned long long)points->items[i].position);
		if (rc == 0 && mpz_cmp(a, b) > 0)
			points->items[kept++] = points->items[i];
	}
	points->count = kept;
	mpz_clear(a);
	mpz_clear(b);
	explore_search_free(before);
	explore_search_free(after);
	return rc;
}

/*
 * What the sound run shows at the same place: a run that loses a commit somewhere, or tears a
 * transaction somewhere, would otherwise excuse that everywhere. *ret_ended: there was no time to
 * find out.
 */
static int compare_with(struct hunt *h, size_t i, const struct explore_point *point,
			bool *ret_ended, struct err *err)
{
	struct worst *w = &h->worsts[i];
	struct explore_outcome outcome;

	*ret_ended = false;
	if (h->sound == NULL)
		*w = (struct worst){true, h->baseline->grade, h->baseline->lost_max};
	h->local = *w;
	if (w->known)
		return 0;
	uint64_t *promises = xcalloc(point->promise_count, sizeof *promises);
	for (size_t k = 0; k < point->promise_count; k++)
		promises[k] = h->positions[point->promises[k]];
	struct explore_point then = *point;
	then.position = h->positions[point->position];
	then.promises = promises;
	explore_outcome_init(&outcome);
	examiner_begin_point(h->sound);
	int rc = explore_search_point(h->sound_search, &then, UINT64_MAX, &outcome, err);
	*ret_ended = outcome.end != EXPLORE_WHOLE && outcome.end != EXPLORE_CORRUPT;
	*w = (struct worst){true, examiner_grade(h->sound), examiner_lost_max(h->sound)};
	h->local = *w;
	explore_outcome_release(&outcome);
	free(promises);
	return rc;
}

static int begin_point(void *ctx, size_t index, const struct explore_point *point, bool *ret_end,
		       struct err *err)
{
	return compare_with(ctx, index, point, ret_end, err);
}

static bool is_found(void *ctx)
{
	const struct hunt *h = ctx;

	return h->found->found;
}

static int search_points(struct hunt *h, const struct trace_index *ix, const struct model *model,
			 const struct explore_points *points, struct err *err)
{
	/* A mistake mostly shows at one of the next crash points that have new states, among the
	 * first that are looked at (the newest of all, the oldest of all, single deviations); or
	 * nearer, but deeper; or far away. So the first passes are narrow and the last is
	 * everything. Measured on the scenarios that are shipped: 100 recoveries at most. */
	static const struct hunt_pass passes[] = {
	    {8, 5}, {3, 40}, {SIZE_MAX, 5}, {SIZE_MAX, UINT64_MAX}};
	enum { PASSES = sizeof passes / sizeof passes[0] };
	struct explore_callbacks callbacks = {
	    .examine = hunt_examine, .spent = hunt_spent, .ctx = h};
	struct explore_search *search = explore_search_create(ix, model, &callbacks, NULL, 0);
	/* A single point needs no order. */
	size_t skipped = points->count == 1 ? PASSES - 1 : 0;
	struct hunt_plan plan = {.passes = passes + skipped,
				 .pass_count = PASSES - skipped,
				 .begin = begin_point,
				 .found = is_found,
				 .ctx = h};
	int rc = hunt_points(search, h->examiner, points, &plan, &h->found->whole, err);

	explore_search_free(search);
	return rc;
}

int mutate_hunt(const struct subject *subject, const struct trace_index *sound,
		const struct trace *t, const uint64_t *positions,
		const struct mutate_baseline *baseline, struct isolate *isolate,
		bool (*spent)(void *ctx, uint64_t recoveries), void *ctx, struct mutate_hunt *ret,
		struct err *err)
{
	struct hunt h = {.baseline = baseline, .spent = spent, .ctx = ctx, .found = ret};
	struct explore_points points = {0};
	struct trace_index *ix = NULL;
	uint64_t *extra = NULL;
	size_t extra_count = 0;
	struct model model;

	*ret = (struct mutate_hunt){0};
	int rc = subject_model(subject, &model, err);
	if (rc == 0)
		rc = trace_index_build(t, &model, &ix, err);
	if (rc == 0)
		rc = examiner_create(subject, ix, false, &h.examiner, err);
	if (rc != 0)
		goto out;
	examiner_isolate(h.examiner, isolate);
	history_points(examiner_history(h.examiner), &extra, &extra_count);
	explore_points(ix, &model, extra, extra_count, &points);
	if (positions != NULL)
		rc = keep_new_points(sound, ix, &model, positions, &points, err);
	if (rc == 0 && positions != NULL &&
	    (baseline->grade < GRADE_DURABLE || baseline->lost_max > 0)) {
		rc = examiner_create(subject, sound, false, &h.sound, err);
		h.positions = positions;
		h.sound_callbacks = (struct explore_callbacks){
		    .examine = examiner_examine, .spent = sound_spent, .ctx = h.sound};
		h.sound_search = explore_search_create(sound, &model, &h.sound_callbacks, NULL, 0);
	}
	h.worsts = xcalloc(points.count, sizeof *h.worsts);
	if (rc == 0)
		rc = search_points(&h, ix, &model, &points, err);
out:
	explore_search_free(h.sound_search);
	examiner_free(h.sound);
	free(h.worsts);
	free(extra);
	explore_points_release(&points);
	examiner_free(h.examiner);
	trace_index_free(ix);
	return rc;
}
