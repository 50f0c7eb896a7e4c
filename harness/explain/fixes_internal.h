/* Shared by fixes.c (settings, proofs) and fixes_syncs.c (syncs that are missing). */
#ifndef EXPLAIN_FIXES_INTERNAL_H
#define EXPLAIN_FIXES_INTERNAL_H

#include "harness/drive/lint_run.h"
#include "harness/explain/fixes.h"
#include "harness/explain/story_internal.h"

/* What was tried and did not help. */
struct tried {
	struct buf text;
	size_t count;
	bool spent; /* the budget ended it */
};

/* Recoveries that proofs may still take. */
uint64_t fixes_left(const struct telling *t);
/* The level of a value of PRAGMA synchronous: 0 (off) to 3 (extra). */
int fixes_synchronous(const char *value);

/* Explores a changed run completely. *ret_result is the caller's, and as result_add() made it. */
int fixes_prove(struct telling *t, const struct subject *subject, const struct trace *trace,
		struct case_result *ret_result, enum fix_proof *ret_proof, struct err *err);
/* "18 crash points, 204 states, ...". Owned by the caller. */
char *fixes_proof_words(const struct case_result *r);
/* Appends a fix; `what` is taken over. One that only makes it better says so. */
struct story_fix *fixes_add(struct telling *t, char *what, const struct case_result *r);

/* Keeps what did not help, in the words of fixes_words; `r`: what it still comes to. */
void fixes_put_tried(struct tried *tried, const char *what, enum fix_proof proof,
		     const struct case_result *r);

/* The syncs that the lint misses, without trying them. */
void fixes_list_missing(struct telling *t);
/* ... tried, rule by rule, and all together where none of them helps by itself. */
int fixes_try_syncs(struct telling *t, struct tried *tried, struct err *err);

#endif
