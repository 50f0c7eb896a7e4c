/*
 * The places of a search tree where it can still be left: for each finished run, the questions that
 * it met after its prefix, each with answers that no run has given yet.
 *
 * The tree itself is not stored. A run goes on with answer 0 (newest) after its prefix, so it is
 * described by its deviations: (question, answer) pairs, the last of which leads back to the run
 * that it left. A record holds only what its run met first; a hundred records share the way to
 * them.
 *
 * Order: first in, first out, which is the order of the number of deviations, until the records
 * take more than the bound; what comes then is taken before everything that waits (depth first),
 * which needs no more than one way down the tree on top of the bound. Bytes are counted, not asked
 * of the allocator, so that the order is a function of the search alone.
 */
#ifndef EXPLORE_FRONTIER_H
#define EXPLORE_FRONTIER_H

#include "faultinject/base/choice.h"
#include "faultinject/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct frontier_run;

struct frontier {
	struct frontier_run *head, *tail; /* those that wait, in order */
	size_t bytes;			  /* of all records */
	size_t bytes_max;		  /* above it, depth first; above twice that, an error */
	/* The run that was taken last: it left `origin` (NULL: nothing) at question `step`. */
	struct frontier_run *origin;
	uint32_t step, answer;
};

void frontier_init(struct frontier *f, size_t bytes_max);
/* Forgets everything; the frontier can be used again. */
void frontier_clear(struct frontier *f);

/* Nothing waits. */
bool frontier_empty(const struct frontier *f);

/* Takes the next place. *prefix (owned by the caller, grown with realloc to *cap) gets the answers
 * that lead there, *ret_count of them; the result is the identity hash of its last question, for
 * choice_begin(). The frontier is not empty. */
uint64_t frontier_take(struct frontier *f, uint32_t **prefix, size_t *cap, size_t *ret_count);

/* Adds the finished run of the place that was taken last (or the first run of all), whose prefix
 * had `prefix_count` answers. ERR_LIMIT when twice the bound is exceeded. */
int frontier_add(struct frontier *f, const struct choice *run, size_t prefix_count,
		 struct err *err);

#endif
