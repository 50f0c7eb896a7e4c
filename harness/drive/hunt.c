/* See hunt.h. */
#include "harness/drive/hunt.h"

/* One point in one pass. *ret_end: the hunt is over. */
static int hunt_point(struct explore_search *search, struct examiner *examiner,
		      const struct explore_points *points, size_t i, uint64_t recoveries,
		      const struct hunt_plan *plan, enum explore_end *ret, bool *ret_end,
		      struct err *err)
{
	struct explore_outcome outcome;
	int rc = 0;

	*ret_end = false;
	if (plan->begin != NULL)
		rc = plan->begin(plan->ctx, i, &points->items[i], ret_end, err);
	if (rc != 0 || *ret_end)
		return rc;
	explore_outcome_init(&outcome);
	examiner_begin_point(examiner);
	rc = explore_search_point(search, &points->items[i], recoveries, &outcome, err);
	*ret = outcome.end;
	*ret_end = plan->found(plan->ctx) || outcome.end == EXPLORE_SPENT ||
		   outcome.end == EXPLORE_STOPPED;
	explore_outcome_release(&outcome);
	return rc;
}

int hunt_points(struct explore_search *search, struct examiner *examiner,
		const struct explore_points *points, const struct hunt_plan *plan, bool *ret_whole,
		struct err *err)
{
	bool whole = false;

	*ret_whole = false;
	for (size_t pass = 0; pass < plan->pass_count && !whole; pass++) {
		const struct hunt_pass *p = &plan->passes[pass];
		size_t count = points->count > p->points ? p->points : points->count;

		whole = count == points->count;
		for (size_t i = 0; i < count; i++) {
			enum explore_end end = EXPLORE_STOPPED;
			bool over = false;
			int rc = hunt_point(search, examiner, points, i, p->recoveries, plan, &end,
					    &over, err);
			if (rc != 0 || over)
				return rc;
			whole = whole && (end == EXPLORE_WHOLE || end == EXPLORE_CORRUPT);
		}
	}
	*ret_whole = whole;
	return 0;
}
