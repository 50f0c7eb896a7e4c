/*
 * Traces that begin later or hold less, and are traces all the same: what a program that really did
 * that could have left. For those who look for the smallest trace that shows something.
 *
 * trace_rebase() moves the durable base forward: the files as the processes saw them at a moment
 * become the base, and what was before is gone.
 *
 * Why the result is no fiction: it is the trace of a program that was started with those files, all
 * of them safe, and did the rest. And what a crash can leave of it, the whole trace could have
 * left, too: everything before the moment kept, and of what came after any part that the model
 * allows; of each sector, each name and each size a version that is not older than the moment's is
 * a candidate (D3), and where a prefix survives (D4, D7) one that reaches further. Two things are
 * not the same bytes: garbage, which is a function of the inode's number (D9), and stale holes,
 * which show what was deleted before (D6). Promises from before the moment are gone, and cannot be
 * broken: they are in the base.
 */
#ifndef FI_TRACE_REBASE_H
#define FI_TRACE_REBASE_H

#include "faultinject/trace.h"

/*
 * The moments to which the base can be moved, ascending, at most `last`: positions at which nobody
 * holds a lock that excludes others, so that no transaction is under way, and no sync is, at the
 * end of a stretch without such. Owned by the caller. None where a connection keeps its locks
 * (locking_mode=EXCLUSIVE).
 */
void trace_rebase_moments(const struct trace *t, uint64_t last, uint64_t **ret_moments,
			  size_t *ret_count);

/*
 * The trace from after `moment`, one of the above, on. *ret_positions (owned by the caller; may be
 * NULL): for each position of it, from 1, the one that it had; 0 for a lock that was held at the
 * moment and is taken at the beginning. Files that had no name any more are left out, with what was
 * done to them; so are statements that were over by the moment, but not those of a transaction that
 * had only begun to read, and not the settings (PRAGMA) of a connection that goes on: these come at
 * the beginning, behind the locks. ERR_INPUT: a file without a name gets one
 * again later.
 */
int trace_rebase(const struct trace *t, uint64_t moment, struct trace **ret_trace,
		 uint64_t **ret_positions, struct err *err);

/* The first `count` operations, and the statements that were run by then. */
struct trace *trace_cut(const struct trace *t, uint64_t count);

#endif
