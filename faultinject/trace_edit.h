/*
 * Changed copies of traces: a trace without some of its operations, as if the program had never
 * done them, or with syncs that it had never made. Names and inodes keep their numbers; positions
 * move.
 */
#ifndef FI_TRACE_EDIT_H
#define FI_TRACE_EDIT_H

#include "faultinject/trace.h"

/* Should the operation at `position` be left out? The end of a sync whose begin is left out must be
 * left out, too: asserted. */
typedef bool trace_drop_fn(void *ctx, const struct trace *t, uint64_t position);

/* *ret_positions (owned by the caller; may be NULL) is for each position of the copy, from 1, the
 * one that it had; [0] is 0. Returns NULL when nothing is left out. */
struct trace *trace_without(const struct trace *t, trace_drop_fn *drop, void *ctx,
			    uint64_t **ret_positions);

/* The same without the sync, or directory sync, that ends at `end`. */
struct trace *trace_without_sync(const struct trace *t, uint64_t end, uint64_t **ret_positions);

/* A sync that is put in: by whoever does the operation at `before`, right before it. */
struct trace_sync {
	uint64_t before;       /* 1..op_count */
	uint32_t inode;	       /* of this file; 0: of `directory` */
	const char *directory; /* its path; borrowed */
};

/* A copy with these syncs, which ascend by `before`. *ret_positions (owned by the caller; may be
 * NULL) is for each position of the copy the one that it had; 0: it was put in. */
struct trace *trace_with_syncs(const struct trace *t, const struct trace_sync *syncs, size_t count,
			       uint64_t **ret_positions);

#endif
