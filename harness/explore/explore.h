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
	/* What waits at one crash point, bytes; above it the search goes on depth first
	 * (frontier.h).
	 */
	EXPLORE_FRONTIER_BYTES_MAX = 128 << 20,
};

/* A second crash, during the recovery from the first: what recovery did is a trace of its own
 * (crashdisk_above()), and this is the crash point in it. All zero: there is none. */
struct explore_again {
	bool happened;
	uint64_t position;
	size_t cut_bytes; /* SIZE_MAX, or the bytes of a cut write (D11) */
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
	struct explore_again again;
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
	/* Depth 2: recovers `disk`, ends with crashdisk_end_recovery(), and then lets the machine
	 * die. The states of crashes during recovery are examined like all others, with
	 * point->again. NULL: recovery is not interrupted. */
	int (*recover)(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		       enum explore_next *ret_next, struct err *err);
	/* Told every decision of a replay (crashdisk_narrate()); may be NULL. */
	void (*tell)(void *ctx, const char *question, uint32_t answer, uint32_t n);
	/* True when time is up; may be NULL. Asked before every recovery; `recoveries` of this
	 * point so far. */
	bool (*spent)(void *ctx, uint64_t recoveries);
	void *ctx;
	/* Sectors of one read are decided together (crashdisk_set_representative()): a search of
	 * representatives, which is never whole. */
	bool representative;
};

enum explore_end {
	EXPLORE_WHOLE,	     /* every state was covered */
	EXPLORE_REPRESENTED, /* ... or a representative of it */
	EXPLORE_CORRUPT,     /* EXPLORE_STOP_POINT */
	EXPLORE_LIMIT,	     /* it would have needed more recoveries than it was given */
	EXPLORE_SPENT,	     /* the callback said that time is up */
	EXPLORE_STOPPED,     /* EXPLORE_STOP_ALL */
};

/* What exploring one crash point came to: a function of trace, model, point and subject alone, but
 * for EXPLORE_SPENT and EXPLORE_STOPPED. */
struct explore_outcome {
	enum explore_end end;
	uint64_t recoveries;
	mpz_t states;  /* assignments */
	mpz_t covered; /* of these, by runs that were made */
};

void explore_outcome_init(struct explore_outcome *o);
void explore_outcome_release(struct explore_outcome *o);

/* The search; serves one crash point after the other. */
struct explore_search;

/* `ix` and `callbacks` are borrowed for the life of the search. `choice` (borrowed, may be NULL) is
 * where the questions and answers of the present run are kept: a worker has it in memory that its
 * parent can read. `frontier_bytes_max`: 0 is EXPLORE_FRONTIER_BYTES_MAX. */
struct explore_search *explore_search_create(const struct trace_index *ix,
					     const struct model *model,
					     const struct explore_callbacks *callbacks,
					     struct choice *choice, size_t frontier_bytes_max);
void explore_search_free(struct explore_search *s); /* accepts NULL */

/* Explores one crash point by at most `recoveries_max` recoveries. *ret is filled on failure, too,
 * with what was done until then. ERR_HARNESS when the accounting does not add up or a run diverged
 * from its prefix (the message names the question), ERR_LIMIT when the point has more states than
 * can be counted or waits for more than memory is given. */
int explore_search_point(struct explore_search *s, const struct explore_point *point,
			 uint64_t recoveries_max, struct explore_outcome *ret, struct err *err);

/* The number of assignments at a point. ERR_LIMIT as above. */
int explore_search_states(struct explore_search *s, const struct explore_point *point, mpz_t ret,
			  struct err *err);

/* The sum over the crash points of a trace. */
struct explore_stats {
	size_t points;		   /* crash points of the trace */
	size_t points_whole;	   /* explored to the end */
	size_t points_represented; /* explored to the end, by representatives */
	uint64_t recoveries;
	bool exhaustive; /* every point was explored to the end */
	bool spent;	 /* the budget ended it */
	mpz_t states;	 /* assignments, over all points that were begun */
	mpz_t covered;	 /* of these, by runs that were made */
};

void explore_stats_init(struct explore_stats *s);
void explore_stats_release(struct explore_stats *s);
/* Adds what one point came to. */
void explore_stats_add(struct explore_stats *s, const struct explore_outcome *o);

/* The crash points of a trace under a model, ascending. Power loss: before each effective SYNC and
 * DIRSYNC, at each of `extra` (promises, first writes of transactions: history_points()), at the
 * end. Process crash: between all storage operations, and at page boundaries inside writes (D11).
 * In between, what the disk may hold only grows and so do the promises. The caller releases. */
void explore_points(const struct trace_index *ix, const struct model *model, const uint64_t *extra,
		    size_t extra_count, struct explore_points *ret);

/* Explores the points one after another, in this process. Errors as explore_search_point(). */
int explore(const struct trace_index *ix, const struct model *model,
	    const struct explore_point *points, size_t count,
	    const struct explore_callbacks *callbacks, struct explore_stats *stats,
	    struct err *err);

/* Runs one state again: the answers of a case file. `choice` as for explore_search_create().
 * Divergence is ERR_HARNESS. */
int explore_replay(const struct trace_index *ix, const struct model *model,
		   const struct explore_point *point, const uint32_t *answers, size_t count,
		   struct choice *choice, const struct explore_callbacks *callbacks,
		   struct err *err);

#endif
