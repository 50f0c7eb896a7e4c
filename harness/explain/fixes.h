/*
 * What would have kept the finding from happening, proved by running again: nothing is called a fix
 * because it sounds like one.
 *
 * Two kinds of change are tried: another setting of the scenario, which is recorded again; and the
 * syncs that the barrier lint misses, put into the trace (trace_with_syncs()). What comes of it is
 * explored completely. It is a fix when every state of every crash point was covered, the oracle
 * that objected is silent, no oracle objects outside the grades, the grade is better and at least
 * consistent, and the run committed as much as before.
 */
#ifndef EXPLAIN_FIXES_H
#define EXPLAIN_FIXES_H

#include "harness/case/result.h"
#include "harness/judge/verdict.h"

#include <stdbool.h>
#include <stdint.h>

/* What a changed run came to. */
enum fix_proof {
	FIX_PROVED,
	FIX_PARTLY,   /* the finding is gone, and something else is left */
	FIX_REFUTED,  /* the oracle objects again, at least as much */
	FIX_HIDDEN,   /* something else is corrupt, and what lies behind it was not looked at */
	FIX_UNKNOWN,  /* not all states could be covered */
	FIX_CANNOT,   /* the changed scenario does not run */
	FIX_UNJUDGED, /* what comes of it cannot be judged */
	FIX_VOID,     /* it commits less than the run that it is to mend, and proves nothing */
};

/* What was found in the sound run. */
struct fix_finding {
	const char *oracle;
	enum grade grade;
	uint64_t commits; /* of the run */
};

enum fix_proof fix_judge(const struct fix_finding *found, const struct case_result *again);

#endif
