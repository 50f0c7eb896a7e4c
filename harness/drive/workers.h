/*
 * Explores the crash points of a trace by forked workers, and adds up what they found in the order
 * of the points.
 *
 *     parent: index, history, examiner ──fork──> worker: takes a point, explores it, sends its
 * result ^                                     │ └── merges in the order of points <───┘ pipe
 *
 * The result is the same for every number of workers: what a point comes to is a function of the
 * point (explore.h), and a budget of recoveries is spent in the order of the points; the one in
 * which it ends is cut exactly there, and explored again for that if a worker went further.
 *
 * One worker is forked too, because SQLite may crash or hang (isolate.h). Then the point ends with
 * that finding, as with any corrupt state: the state is run once more by itself to see that it is
 * the state that kills and not what came before, another worker explores the point up to there, and
 * the rest goes on.
 *
 * Time that is up, and an interrupt, end all workers; what they had found of their points counts.
 */
#ifndef DRIVE_WORKERS_H
#define DRIVE_WORKERS_H

#include "harness/drive/examine.h"
#include "harness/drive/resume.h"
#include "harness/explore/explore.h"

enum {
	WORKERS_MAX = 256,
};

/* How many workers this machine is good for: the processors that this process may use. */
unsigned workers_standard(void);

/* Everything is borrowed for the call. */
struct workers_job {
	const struct trace_index *ix;
	const struct model *model;
	const struct explore_points *points;
	struct examiner *examiner; /* has read the history; used in forked copies only */

	unsigned jobs;		   /* 0 is 1 */
	bool representative;	   /* see explore.h */
	unsigned depth;		   /* 2: recoveries are interrupted by a second crash */
	uint64_t recoveries_max;   /* UINT64_MAX: no bound */
	uint64_t deadline_ns;	   /* CLOCK_MONOTONIC; 0: none */
	uint64_t hang_ns;	   /* 0: ISOLATE_HANG_SECONDS */
	size_t frontier_bytes_max; /* 0: EXPLORE_FRONTIER_BYTES_MAX */

	struct resume *resume; /* points that are known, and where to add; may be NULL */
	struct digest key;     /* of this exploration there */

	bool (*interrupted)(void *ctx); /* may be NULL */
	/* Called often; may be NULL. Points that are done, also by the resume file; recoveries of
	 * this call; of the states that they covered the power of ten. */
	void (*progress)(void *ctx, size_t points_done, size_t points, uint64_t recoveries,
			 size_t states_power);
	void *ctx;
};

struct workers_result {
	struct explore_stats stats;
	enum grade grade;
	uint64_t lost_max;
	struct finding findings[EXAMINE_FINDINGS_MAX]; /* in the order of discovery */
	size_t finding_count;
	uint64_t recoveries_now; /* without those of points that the resume file knew */
	size_t points_resumed;	 /* taken from there */
	size_t points_now;	 /* brought to their end in this call */
	bool interrupted;
};

void workers_result_init(struct workers_result *r);
void workers_result_release(struct workers_result *r);

/* Explores. `ret` is initialised by the caller and filled on failure, too, with what is known.
 * ERR_HARNESS: accounting, divergence, a worker that vanished; ERR_LIMIT as explore_search_point();
 * ERR_IO, ERR_INPUT: the resume file. No child is left behind. */
int workers_explore(const struct workers_job *job_given, struct workers_result *ret,
		    struct err *err);

#endif
