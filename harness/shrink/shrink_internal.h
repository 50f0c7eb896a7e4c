/*
 * What the parts of a shrink share: the case as small as it is by now. Nobody outside this folder
 * includes this.
 */
#ifndef SHRINK_SHRINK_INTERNAL_H
#define SHRINK_SHRINK_INTERNAL_H

#include "harness/shrink/shrink.h"

enum {
	/* Recoveries of one attempt: of the first; then a multiple of what the last good one took,
	 * and never less than the least. What cannot be covered is looked at longer at the end. */
	SHRINK_FIRST_RECOVERIES = 50000,
	SHRINK_ATTEMPT_FACTOR = 4,
	SHRINK_ATTEMPT_LEAST = 500,
	SHRINK_PROOF_LEAST = 10000,
};

struct shrink {
	const struct shrink_options *options;
	const struct case_file *from;
	struct shrink_target target;
	struct lanes *lanes;
	struct case_source *source; /* owned; NULL: the trace comes from no scenario */
	struct subject *subject;    /* owned */
	struct trace *trace;	    /* owned */
	struct case_state state;    /* owns its answers */
	uint64_t recoveries_max;    /* of an attempt */
	const char *doing;
	struct shrink_result *result;
};

/* The found state becomes the case's, and its trace, if there is one. Takes from *r. */
void shrink_accept(struct shrink *s, struct attempt_result *r);

/* Of the last row that proves something: forgets what was noted, notes a thing. */
void shrink_forget(struct shrink *s);
void shrink_note(struct shrink *s, const char *what, enum attempt_outcome outcome,
		 const char *other);

/* The state of the case with these answers, run again. *ret: it shows the finding; otherwise
 * *ret_other (owned by the caller, may be NULL) is what it shows instead, NULL: nothing. */
int shrink_replay(struct shrink *s, const struct trace *t, const uint32_t *answers, size_t count,
		  bool *ret, char **ret_other, struct err *err);

/* The parts. Each leaves the case failing as it did; ERR_HARNESS alone is an error. */
int shrink_source_first(struct shrink *s, struct err *err); /* can its scenario be used? */
int shrink_text(struct shrink *s, struct err *err);
int shrink_trace(struct shrink *s, struct err *err);
int shrink_state(struct shrink *s, struct err *err);

/* Does a state of the trace that needs no crash show the finding? */
int shrink_ask(struct shrink *s, const struct trace *t, enum attempt_asks asks, bool *ret,
	       struct err *err);

/* Cuts what is behind the promise, where the state is judged the same without it, and behind what
 * S6 wants to be there. */
int shrink_cut(struct shrink *s, struct err *err);

#endif
