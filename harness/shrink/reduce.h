/*
 * Delta debugging: of a set of things that can be taken away, as many as possible are, in large
 * parts first and then one by one, until none of those that are left can be taken alone.
 *
 * The method is Zeller's and Hildebrandt's ddmin ("Simplifying and Isolating Failure-Inducing
 * Input", 2002) in the simple form: parts of half the size after each pass, from the end of the set
 * to its beginning, because what stands later uses what stands earlier.
 *
 * What remains is minimal in that no *single* thing can be taken; two together may be.
 */
#ifndef SHRINK_REDUCE_H
#define SHRINK_REDUCE_H

#include "faultinject/base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* A row of candidates, each a set of what is taken. */
struct reduce_row {
	size_t count;
	/* Fills taken[] for candidate i. */
	void (*fill)(const struct reduce_row *row, size_t i, bool *taken);
	const void *state;
	bool single; /* each takes one thing more than what is taken already */
};

struct reduce_problem {
	size_t count;
	/* *ret_which: the first candidate of the row that can be taken, SIZE_MAX: none, or no more
	 * is to be tried (then *ret_end is set, too). */
	int (*first)(void *ctx, const struct reduce_row *row, size_t *ret_which, bool *ret_end,
		     struct err *err);
	void *ctx;
};

/* taken[count] is set for what is taken, false at the start. Errors are those of first(); what was
 * taken until then stays. */
int reduce(const struct reduce_problem *problem, bool *taken, struct err *err);

#endif
