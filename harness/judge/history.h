/*
 * History: the legal states of each database file, and what was promised when, read from the trace
 * of the run itself (so that no oracle has to be written).
 *
 * Each file has a line of states S0, S1, ...: S0 at the start, then one whenever a write
 * transaction on it has ended. A transaction is the set of overlapping write-lock periods of one
 * connection; it ends at the last release. Where locks do not show that (exclusive locking mode),
 * the file protocols and the ACKs do: see history_spans.c. A crash outcome is legal when every file
 * is at some state of its line that existed by then and every transaction over several files is in
 * all of them or in none.
 *
 * Checks: atomicity and isolation of committed states, durability of promises, atomicity across
 * files. Does not check: whether the states of the recorded run are themselves right (invariants
 * do), the order of independent files (none is promised), bytes that no query can see.
 */
#ifndef JUDGE_HISTORY_H
#define JUDGE_HISTORY_H

#include "faultinject/base/err.h"
#include "faultinject/trace.h"
#include "harness/judge/observation.h"
#include "harness/judge/verdict.h"

enum history_ack {
	HISTORY_ACK_EXACT, /* OP_ACK operations are the promises */
	HISTORY_ACK_LOCK,  /* releases of the write lock after a commit are the promises */
	/* The boundaries of transactions are those of HISTORY_ACK_LOCK; a promise is given to all
	 * of them that are committed by */
	HISTORY_ACK_OUTPUT, /* an OP_OUTPUT, by anybody */
	HISTORY_ACK_MARK,   /* an OP_ACK with connection 0; one with a connection is exact */
};

/* What a trace is taken at when nobody says otherwise: exact where an OP_ACK has a connection, else
 * mark where there is any, else lock. */
enum history_ack history_ack_of(const struct trace *t);

/* One write transaction that left a state in some line (rollbacks, checkpoints and commits that
 * change nothing are not listed). Positions are those of the trace; 0 = never. */
struct transaction {
	uint16_t process, connection;
	uint64_t begin;	      /* the first write lock; in exclusive locking mode the first write */
	uint64_t first_write; /* its first effective write; 0 if it wrote nothing */
	uint64_t end;	      /* the last release */
	uint64_t ack;	      /* the promise */
	bool committed;	      /* by the file protocol: commit frame, or journal finalised */
	uint32_t file_mask;   /* bit f: it has a state in the line of file f */
};

struct history_state {
	struct digest state, schema;
	uint64_t from;	      /* can exist from here on: its transaction's first write */
	uint64_t end;	      /* the position at which it was observed */
	uint32_t transaction; /* index + 1 into transactions; 0 for S0, the trace's end, and
			       * another file in its place */
};

struct history_line {
	struct history_state *states; /* owned; by position */
	size_t count, cap;
};

struct history {
	enum history_ack ack;
	size_t file_count;
	char **paths; /* owned; the database files, main first */
	struct history_line lines[OBSERVED_FILES_MAX];
	struct transaction *transactions; /* owned; by end */
	size_t transaction_count, transaction_cap;
};

/* Observes the files as the processes saw them after position p (nothing lost), caller's *ret. */
typedef int history_observe_fn(void *ctx, uint64_t position, struct observation *ret,
			       struct err *err);

/* Reads the history of `files` (paths, main first) from a trace. ERR_INPUT when a legal state
 * cannot be observed (a trace whose own files are broken without any crash). */
int history_build(const struct trace *t, const char *const *paths, size_t path_count,
		  enum history_ack ack, history_observe_fn *observe, void *ctx,
		  struct history **ret_history, struct err *err);
void history_free(struct history *h); /* accepts NULL */

/* The crash points that promises and transactions add (explore.h): each ack, each first write
 * minus one, in ascending order without repetition; owned by the caller. */
void history_points(const struct history *h, uint64_t **ret_positions, size_t *ret_count);

/* Acknowledged transactions by position p, and in the whole trace. */
uint64_t history_acked(const struct history *h, uint64_t position);
/* Committed transactions in the whole trace. */
uint64_t history_commits(const struct history *h);

struct history_judgement {
	struct verdict verdict; /* GRADE_DURABLE, _CONSISTENT or _TORN, oracle "history" */
	uint64_t lost_acked;	/* acknowledged transactions that are not there */
};

/* Where the highest legal assignment puts each file: an index into the states of its line. False:
 * there is none; then each file that looks like a state of its own line, whatever the others do, is
 * put there, and the others at SIZE_MAX. */
bool history_place(const struct history *h, uint64_t position, const struct observation *o,
		   size_t ret_placed[OBSERVED_FILES_MAX]);

/* Judges one observation (rc == 0) at a crash position. */
void history_judge(const struct history *h, uint64_t position, const struct observation *o,
		   struct history_judgement *ret);

#endif
