/*
 * What the halves of history_build() share; internal to history*.c.
 *
 *   write periods ──> spans ──> transactions ──> states ──> promises
 *   history_periods.c  history_spans.c            │          history_promises.c
 *                                                 history_transactions.c
 */
#ifndef JUDGE_HISTORY_INTERNAL_H
#define JUDGE_HISTORY_INTERNAL_H

#include "harness/judge/history.h"
#include "harness/judge/history_periods.h"

/* The part of one transaction that lies in one file. */
struct span {
	uint16_t process, connection;
	uint32_t file;
	uint64_t begin, end, release;
	uint64_t first_write; /* 0 = none */
	uint64_t window;      /* 1 + the connection's ACKs before its commit, where nothing but ACKs
			       * shows what belongs together; otherwise 0 */
	uint64_t order;	      /* its place among the spans of its connection */
	uint64_t event;	      /* where the file protocol says that it is committed; 0 = nowhere */
	bool committed, changed;
	size_t transaction; /* index into builder.found */
};

/* A transaction before it is known whether it left anything. */
struct found {
	struct transaction t;
	uint64_t release; /* the last one of its spans; 0 when one is missing */
	uint64_t window;  /* of its spans that have one; 0 = none has */
	uint64_t event;	  /* the last one of its spans that are committed; 0 when one has none */
	bool eventless;	  /* ... as one has */
	size_t index;	  /* 1 + its place among those that are kept; 0 = dropped */
};

struct builder {
	struct history *h;
	const struct trace *t;
	history_observe_fn *observe;
	void *ctx;
	struct write_period_list periods;
	struct span *spans;
	size_t span_count, span_cap;
	struct found *found;
	size_t found_count, found_cap;
	bool cut;      /* the trace ends inside a transaction */
	bool seen_any; /* the last observation, because neighbours ask for the same position */
	uint64_t seen_position;
	struct observed_file seen[OBSERVED_FILES_MAX];
};

/* What the processes saw after a position, into b->seen. ERR_INPUT when it cannot be read. */
int history_observe_at(struct builder *b, uint64_t position, struct err *err);

/* Fills b->spans and b->found from b->periods. */
int history_make_spans(struct builder *b, struct err *err);
void history_make_transactions(struct builder *b);
/* Says of the committed transactions when they were promised. */
void history_make_promises(struct builder *b);

static inline int compare_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

#endif
