/*
 * One attempt of a shrink: does this smaller thing still fail in the same way? A scenario is
 * recorded again, a changed trace is taken as it is; then crash states are looked at until one
 * shows the finding, or there are no more, or the attempt has had its share.
 *
 * "The same way" is the same oracle and the same grade, and:
 *   S5  where the finding needed a loss, it must need one still: what a legal state shows, without
 *       any crash, is another failure (a rule that the smaller data break by themselves)
 *   S6  where it needed none, because the run itself had committed such a state, the run must still
 *       come through it: a beginning, or an end, that did not show it must not show it
 *
 * An attempt runs in a child of its own (lanes.h), because SQLite may crash on what is tried; what
 * it comes to is a function of the attempt alone.
 */
#ifndef SHRINK_ATTEMPT_H
#define SHRINK_ATTEMPT_H

#include "faultinject/base/buf.h"
#include "harness/case/case_source.h"
#include "harness/drive/finding.h"
#include "harness/drive/isolate.h"

enum {
	/* Recoveries of one attempt that looks at the crash points in order, as a multiple of what
	 * each of them may take. */
	ATTEMPT_ORDER_FACTOR = 10,
};

/* What is looked for, and how; the same for all attempts of a shrink. Everything is borrowed. */
struct shrink_target {
	const char *oracle;
	enum grade grade;
	unsigned depth; /* as of a case's state */
	bool representative;
	bool lossless;	      /* S5: it needed no loss */
	bool whole_beginning; /* S6: the run does not begin with it */
	bool whole_end;	      /* S6: ... nor end */
	bool show_data;
	const struct scenario_vocabulary *vocabulary;
};

/* What an attempt is about. All but the first look at states that need no crash. */
enum attempt_asks {
	ATTEMPT_ASKS_CRASH,
	ATTEMPT_ASKS_LEGAL,	/* does any legal state show the finding? */
	ATTEMPT_ASKS_BEGINNING, /* does the state before the first operation? */
	ATTEMPT_ASKS_END,	/* ... after the last? */
};

struct attempt {
	struct case_source *source;    /* owned; NULL: the next two */
	const struct subject *subject; /* borrowed */
	const struct trace *trace;     /* borrowed, or the next */
	struct trace *own_trace;       /* owned */
	uint64_t recoveries_max;
	enum attempt_asks asks;
	/* The crash points in order, each with recoveries_max, and at the first that shows the
	 * finding the state with the fewest losses. */
	bool in_order;
	bool uncut; /* in_order: writes are not cut (D11) */
};

void attempt_release(struct attempt *a); /* accepts a zeroed one */

enum attempt_outcome {
	ATTEMPT_SAME,
	ATTEMPT_PASSES,	 /* all states were covered, nothing was found */
	ATTEMPT_DIFFERS, /* all that can be covered was, and something else was found */
	ATTEMPT_OPEN,	 /* it was not found in what could be looked at */
	ATTEMPT_INVALID, /* it is no scenario, or cannot be run */
};

struct attempt_result {
	enum attempt_outcome outcome;
	uint64_t recoveries;
	char *text;		/* owned: what else was found, or why it is invalid; or NULL */
	struct finding finding; /* SAME; its answers are owned */
	struct trace *trace;	/* owned; SAME, of a source: what was recorded */
	/* in_order: crash points before the one that was found, and were they all covered? */
	uint64_t points_before;
	bool before_whole;
};

void attempt_result_release(struct attempt_result *r); /* accepts a zeroed one */

/* The child's part: says on `out` what it does and what comes of it. */
void attempt_run(const struct shrink_target *target, const struct attempt *a,
		 struct isolate *isolate, int out);

/* The parent's part: reads what a child said until it ended in that way. ERR_HARNESS: a child that
 * said nonsense, or vanished. */
int attempt_hear(const struct shrink_target *target, const struct buf *output,
		 const struct isolate *isolate, const struct isolate_death *death, uint64_t hang_ns,
		 struct attempt_result *ret, struct err *err);

/* Is that the finding? */
bool attempt_is_same(const struct shrink_target *target, const char *oracle, enum grade grade);

#endif
