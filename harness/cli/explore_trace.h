/*
 * Covers the crash states of a trace that is no scenario's: what `explore` and `test` share.
 */
#ifndef CLI_EXPLORE_TRACE_H
#define CLI_EXPLORE_TRACE_H

#include "faultinject/base/err.h"
#include "faultinject/trace.h"
#include "harness/cli/options.h"
#include "harness/scenario/scenario.h"

#include <stdbool.h>

struct explored {
	const char *command; /* static; for results */
	const char *label;   /* what people call it: a path, a command line */
	const char *name;    /* the same in case ids */
	const struct trace *trace;
	const struct scenario *invariants; /* --invariant, or NULL */
	const char *nothing;		   /* why there is nothing to explore, or NULL */
	/* `test`: the program's exit status, and why the recording ended before the program did
	 * ("the program did not end within 5 s"), or NULL. */
	bool has_program;
	int program_exit;
	const char *cut_short;
};

/* What a trace is judged as, on a disk model; the caller's. ERR_INPUT: it has no database. */
struct subject;
int cli_make_subject(const struct options *o, const struct explored *x, const char *model,
		     struct subject **ret_subject, struct err *err);
/* "NAME@MODEL[KEY=VALUE]", owned by the caller. */
char *cli_explored_id(const char *name, const char *model, const struct options *o);

/* Before anything runs: are the models known, can the outputs be written, and what does the file of
 * --invariant hold? *ret_invariants (NULL without that option) is the caller's. */
int cli_check_explore(const struct options *options, struct scenario **ret_invariants,
		      struct err *err);

/* Explores on every model, prints and writes the result; returns the exit code. */
int cli_explore_trace(const struct options *options, const struct explored *x);

#endif
