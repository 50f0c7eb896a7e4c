/*
 * What a crash state was found to have, and where to find that state again.
 */
#ifndef DRIVE_FINDING_H
#define DRIVE_FINDING_H

#include "harness/explore/explore.h"
#include "harness/judge/verdict.h"

enum {
	EXAMINE_FINDINGS_MAX = 32,
};

/* The worst finding of one (oracle, grade), with the state that shows it. */
struct finding {
	struct verdict verdict;
	uint64_t lost;
	uint64_t position; /* of the disk */
	size_t cut_bytes;
	uint64_t promise;	    /* what was broken had been promised by then */
	struct explore_again again; /* a second crash, during recovery */
	uint32_t *answers;	    /* owned */
	size_t answer_count;
	uint64_t recovery; /* the how-manieth recovery of its crash point found it, from 1 */
};

/* Keeps a finding, copying its answers, unless one of its oracle and grade is there with as great a
 * loss: of an oracle and grade the first is kept, or a later one that lost more. `findings` has
 * room for EXAMINE_FINDINGS_MAX; more are dropped. */
void findings_keep(struct finding *findings, size_t *count, const struct finding *f);

#endif
