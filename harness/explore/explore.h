/*
 * The explorer: covers every state that a power loss at any moment of a trace can leave, under a
 * disk model, by running recovery on a disk that decides only what recovery looks at.
 *
 * At each crash point it runs recovery with all choices newest, all oldest, then each single
 * deviation, then by number of deviations, so that a missing sync shows within a handful of runs.
 * Every run stands for a counted set of assignments; the sets are disjoint and must add up to the
 * independently computed total, exactly. It knows nothing of SQLite: recovery, and the verdict
 * about what it found, happen in a callback.
 */
#ifndef EXPLORE_EXPLORE_H
#define EXPLORE_EXPLORE_H

#include "faultinject/base/choice.h"
#include "faultinject/base/err.h"
#include "faultinject/crashdisk.h"
#include "faultinject/model.h"
#include "faultinject/trace_index.h"

#include <gmp.h>

enum {
	EXPLORE_PENDING_MAX = 20 * 1000 * 1000, /* places waiting at one crash point, 16 bytes each
						 * and the answers of the runs they belong to */
};

/*
 * One crash point. All positions with the same disk state are one, and `position` is the last of
 * them, where the most has been promised.
 *
 * A state is held against what had been promised by the time of the crash. That is `position`
 * itself, except where a disk may lag behind (fsync=barrier, D8): a crash at any of `promises` may
 * leave the disk of `position`. Counting: an assignment at two promises is two states.
 */
struct explore_point {
	uint64_t position;
	size_t cut_bytes;	  /* SIZE_MAX, or the bytes of a cut write (D11) */
	const uint64_t *promises; /* positions, ascending; borrowed from the list */
	size_t promise_count;	  /* at least 1 */
};

struct explore_points {
	struct explore_point *items; /* owned, ascending */
	size_t count;
	uint64_t *promises; /* owned */
};

void explore_points_release(struct explore_points *p);

/* What a run found out, as far as the search is concerned. */
enum explore_next {
	EXPLORE_GO,
	EXPLORE_STOP_POINT, /* a corrupt state: recovery reads everything and the tree explodes */
	EXPLORE_STOP_ALL,   /* interrupted: end with what is known */
};

struct explore_callbacks {
	/* Recovers `disk` after a crash at `point` and judges the outcome. `choice` holds the
	 * answers of this run once recovery has finished. */
	int (*examine)(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		       const struct choice *choice, enum explore_next *ret_next, struct err *err);
	/* Called now and then; may be NULL. */
	void (*progress)(void *ctx, size_t points_done, size_t points, uint64_t recoveries);
	/* Told every decision of a replay (crashdisk_narrate()); may be NULL. */
	void (*tell)(void *ctx, const char *question, uint32_t answer, uint32_t n);
	/* True when the run's budget is spent; may be NULL. Asked before every recovery. */
	bool (*spent)(void *ctx, uint64_t recoveries);
	void *ctx;
};

struct explore_stats {
	size_t points;	     /* crash points of the trace */
	size_t points_whole; /* explored to the end */
	uint64_t recoveries;
	bool exhaustive; /* every point was explored to the end */
	bool spent;	 /* the budget ended it */
	mpz_t states;	 /* assignments, over all points */
	mpz_t covered;	 /* of these, by runs that were made */
};

void explore_stats_init(struct explore_stats *s);
void explore_stats_release(struct explore_stats *s);

/* The crash points of a trace under a model, ascending. Power loss: before each effective SYNC and
 * DIRSYNC, at each of `extra` (promises, first writes of transactions: history_points()), at the
 * end. Process crash: between all storage operations, and at page boundaries inside writes (D11).
 * In between, what the disk may hold only grows and so do the promises. The caller releases. */
void explore_points(const struct trace_index *ix, const struct model *model, const uint64_t *extra,
		    size_t extra_count, struct explore_points *ret);

/* Explores the points. ERR_HARNESS when the accounting does not add up or a run diverged from its
 * prefix (the message names the question). */
int explore(const struct trace_index *ix, const struct model *model,
	    const struct explore_point *points, size_t count,
	    const struct explore_callbacks *callbacks, struct explore_stats *stats,
	    struct err *err);

/* Runs one state again: the answers of a case file. Divergence is ERR_HARNESS. */
int explore_replay(const struct trace_index *ix, const struct model *model,
		   const struct explore_point *point, const uint32_t *answers, size_t count,
		   const struct explore_callbacks *callbacks, struct err *err);

#endif
