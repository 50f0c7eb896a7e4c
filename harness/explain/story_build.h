/*
 * Builds the story of a case (harness/case/story.h) out of its case file and nothing else: the same
 * story on every machine with the same program.
 *
 *     case file ──> the state again (gate_replay) ──> what SQLite asked and did (disk_calls)
 *                                                          │
 *       operations, transactions, statements               ▼
 *                │               the same disk without SQLite: decisions, fates, files as left
 *                ▼                                         │
 *              story <── rows (a child reads them) <───────┤
 *                ▲                                         ▼
 *                └── other states of the crash point, missing syncs, fixes (children explore)
 *
 * Whatever runs SQLite on a crash state runs in a child. One that dies leaves a story without that
 * part, which says so.
 */
#ifndef EXPLAIN_STORY_BUILD_H
#define EXPLAIN_STORY_BUILD_H

#include "faultinject/base/err.h"
#include "harness/case/case_file.h"
#include "harness/case/story.h"
#include "harness/scenario/scenario.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	/* Recoveries that proofs (missing syncs, fixes) may take together. */
	STORY_RECOVERIES_STANDARD = 50000,
	STORY_POINT_RECOVERIES_MAX = 4096, /* at the crash point, for its other states */
	STORY_TABLE_ROWS_MAX = 20000,	   /* rows of a table that are compared */
	STORY_READ_ROWS_MAX = 400000,	   /* rows that are read for one story */
	STORY_CHANGES_MAX = 32,		   /* transactions whose changes are told */
	/* What does not come back in so long is a hang, in proofs and other states: there are many
	 * of them. It can hide a fix, and prove none. */
	STORY_HANG_SECONDS = 5,
};

struct story_options {
	bool show_data;
	unsigned jobs;		 /* workers of proofs; 0 is 1 */
	uint64_t recoveries_max; /* of proofs; 0: STORY_RECOVERIES_STANDARD */
	bool no_proofs;		 /* no missing sync and no fix is tried */
	uint64_t hang_ns;	 /* of the state itself; 0: ISOLATE_HANG_SECONDS */
	/* For recording a scenario again; borrowed; NULL: no fix changes a setting. */
	const struct scenario_vocabulary *vocabulary;
	bool (*interrupted)(void *ctx); /* may be NULL */
	/* Before each step; may be NULL. `what` is static. */
	void (*progress)(void *ctx, const char *what);
	void *ctx;
};

/* *ret_story is the caller's. *ret_again (may be NULL): the finding was there again; otherwise the
 * story is of what was found instead. *ret_interrupted: it was, and the story is what was known by
 * then; before it is known what became of the operations, and where it is NULL, that is
 * ERR_INTERRUPTED. Errors as gate_replay(). */
int story_build(const struct case_file *c, const struct story_options *options,
		struct story **ret_story, bool *ret_again, bool *ret_interrupted, struct err *err);

#endif
