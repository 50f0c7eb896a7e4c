/*
 * Stories for the violations of a result, for reports that draw them: out of the case files that
 * the gate has kept, the worst violation of each case before any second one.
 */
#ifndef EXPLAIN_EXPLAIN_RESULT_H
#define EXPLAIN_EXPLAIN_RESULT_H

#include "faultinject/base/err.h"
#include "harness/case/result.h"
#include "harness/drive/gate.h"
#include "harness/explain/story_build.h"

enum {
	EXPLAIN_STORIES_MAX = 20,	  /* of one result */
	EXPLAIN_STORY_RECOVERIES = 10000, /* of the proofs of one of them */
};

struct explained_result {
	size_t told, left_out; /* violations of cases that are violated */
	size_t failed;	       /* of these, stories that could not be built */
	struct err error;      /* of the first of them */
};

/* Hangs stories on violations. `options` as for story_build(), whose budget is each story's;
 * `each` (may be NULL) is told before each story how many there will be. An interrupt ends it, and
 * leaves what there is. */
void explain_result(const struct gate *g, struct result *r, const struct story_options *options,
		    void (*each)(void *ctx, size_t done, size_t count), void *ctx,
		    struct explained_result *ret);

#endif
