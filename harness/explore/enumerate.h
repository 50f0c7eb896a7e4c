/*
 * The brute-force enumerator: builds every state that a crash at one position can leave, file by
 * file, and hands each to a callback. It is the judge of the explorer and shares neither its disk
 * nor its index: it reads the operations of the trace and nothing else. Slow on purpose.
 */
#ifndef EXPLORE_ENUMERATE_H
#define EXPLORE_ENUMERATE_H

#include "faultinject/base/err.h"
#include "faultinject/model.h"
#include "faultinject/trace.h"

/* One file of a state; borrowed for the call. */
struct enumerate_file {
	const char *path;
	const uint8_t *data;
	uint64_t size;
};

typedef int enumerate_fn(void *ctx, const struct enumerate_file *files, size_t count,
			 struct err *err);

/* Calls `visit` for every assignment at `position`; stops at its first error, or with ERR_LIMIT
 * after `max` states. *ret_count: states visited. Power-loss models only: a process crash leaves
 * one state. The model has passed model_check(). */
int enumerate_states(const struct trace *t, const struct model *model, uint64_t position,
		     uint64_t max, enumerate_fn *visit, void *ctx, uint64_t *ret_count,
		     struct err *err);

#endif
