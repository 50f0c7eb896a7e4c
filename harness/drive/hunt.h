/*
 * A search for one finding: the crash points of a trace in several passes, narrow ones first,
 * because what is there mostly shows among the first states that are looked at, and the last pass
 * as wide as it is allowed to be. Whoever hunts decides in his examine callback what he is after.
 */
#ifndef DRIVE_HUNT_H
#define DRIVE_HUNT_H

#include "harness/drive/examine.h"
#include "harness/explore/explore.h"

struct hunt_pass {
	size_t points;	     /* the first so many; SIZE_MAX: all */
	uint64_t recoveries; /* at each, at most; UINT64_MAX: no bound */
};

struct hunt_plan {
	const struct hunt_pass *passes; /* borrowed; none is made after one that was whole */
	size_t pass_count;
	/* Before a point, in each pass; *ret_end ends the hunt. May be NULL. */
	int (*begin)(void *ctx, size_t index, const struct explore_point *point, bool *ret_end,
		     struct err *err);
	/* Was it found? Asked after each point. */
	bool (*found)(void *ctx);
	void *ctx;
};

/* *ret_whole: everything was covered and nothing found; a point that ended at a corrupt state
 * counts as covered. Ends early where the search was stopped or its callback said that time is up.
 * Errors as explore_search_point(). */
int hunt_points(struct explore_search *search, struct examiner *examiner,
		const struct explore_points *points, const struct hunt_plan *plan, bool *ret_whole,
		struct err *err);

#endif
