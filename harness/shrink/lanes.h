/*
 * Attempts, side by side in children, taken in order: of a row of candidates the first that still
 * fails in the same way. What comes after it in the row is forgotten, however far it had got; so
 * the result, the budget that it costs included, is the same for any number of lanes.
 */
#ifndef SHRINK_LANES_H
#define SHRINK_LANES_H

#include "harness/shrink/attempt.h"

enum { LANES_MAX = 64 };

enum lanes_end {
	LANES_GO,
	LANES_SPENT,	   /* the budget is */
	LANES_INTERRUPTED, /* somebody asked for it */
};

struct lanes;

struct lanes_options {
	unsigned jobs;			/* 0 is 1 */
	uint64_t recoveries_max;	/* of all attempts together; each counts as one at least */
	uint64_t deadline_ns;		/* CLOCK_MONOTONIC; 0: none */
	uint64_t hang_ns;		/* 0: ISOLATE_HANG_SECONDS */
	bool (*interrupted)(void *ctx); /* asked often; may be NULL */
	/* Called now and then; may be NULL. */
	void (*progress)(void *ctx, uint64_t attempts, uint64_t recoveries);
	void *ctx;
};

/* Everything is borrowed until lanes_free(). */
struct lanes *lanes_create(const struct shrink_target *target, const struct lanes_options *options);
void lanes_free(struct lanes *l); /* accepts NULL */

/* Has the work come to its end before it was done? Then lanes_first() finds nothing any more. */
enum lanes_end lanes_ended(const struct lanes *l);
uint64_t lanes_recoveries(const struct lanes *l); /* so far */
/* Counts recoveries that were made elsewhere. */
void lanes_spend(struct lanes *l, uint64_t recoveries);

struct lanes_row {
	size_t count;
	/* Makes candidate i; may be called for some behind the one that is found. */
	void (*make)(void *ctx, size_t i, struct attempt *ret);
	/* Told what came of candidate i, in order, the one that is found included. May be NULL. */
	void (*tell)(void *ctx, size_t i, const struct attempt_result *r);
	void *ctx;
};

/* *ret_which is the first that fails in the same way, with *ret (released by the caller) what was
 * found; SIZE_MAX: none does, or the work has ended. ERR_HARNESS when a child vanished. */
int lanes_first(struct lanes *l, const struct lanes_row *row, size_t *ret_which,
		struct attempt_result *ret, struct err *err);

/* One attempt; *ret is what came of it. It is released, whatever comes. ERR_INTERRUPTED when the
 * work has ended. */
int lanes_try(struct lanes *l, struct attempt *a, struct attempt_result *ret, struct err *err);

#endif
