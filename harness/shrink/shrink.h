/*
 * The smallest case that fails in the same way: the same oracle, the same grade. docs/shrink.md has
 * the rules.
 *
 *     case ──> scenario, if it has one: settings, sections, statements, rows, numbers
 *          ──> trace, if it has none: a later base, fewer connections
 *          ──> crash point: the earliest
 *          ──> state: the fewest losses
 *          ──> case file
 *
 * Deterministic: attempts are made in a fixed order and none depends on a clock; only a budget of
 * time and an interrupt end it where they please. The result is the same for any number of jobs.
 */
#ifndef SHRINK_SHRINK_H
#define SHRINK_SHRINK_H

#include "faultinject/base/buf.h"
#include "faultinject/base/err.h"
#include "harness/case/case_file.h"
#include "harness/scenario/scenario.h"
#include "harness/shrink/lanes.h"

enum {
	SHRINK_RECOVERIES_STANDARD = 200000, /* where no budget is given */
	SHRINK_WITHOUT_MAX = 4096,	     /* things that are listed; more are counted */
};

struct shrink_options {
	unsigned jobs;
	uint64_t recoveries_max; /* 0: none */
	uint64_t deadline_ns;	 /* CLOCK_MONOTONIC; 0: none */
	bool show_data;
	const struct scenario_vocabulary *vocabulary; /* borrowed */
	const char *path; /* borrowed: where the caller will put the scenario that is left */
	bool (*interrupted)(void *ctx); /* may be NULL */
	/* `doing` says what is made smaller now (static); may be NULL. */
	void (*progress)(void *ctx, const char *doing, uint64_t attempts, uint64_t recoveries);
	void *ctx;
};

enum shrink_end {
	SHRINK_MINIMAL,	    /* without any one thing it passes, or fails in another way */
	SHRINK_OPEN,	    /* ... as far as could be seen: some of it has too many states */
	SHRINK_SPENT,	    /* the budget ended it */
	SHRINK_INTERRUPTED, /* somebody did */
	SHRINK_GONE,	    /* the case does not fail any more: there is nothing to shrink */
};

struct shrink_counts {
	uint64_t statements, clients; /* of the scenario; 0 without one */
	uint64_t commits, operations;
	uint64_t crash; /* position */
	uint64_t lost;	/* answers that are not the newest */
};

/* Without this one thing. */
struct shrink_without {
	char *what; /* owned: "line 6: INSERT INTO t VALUES (1)" */
	enum attempt_outcome outcome;
	char *other; /* owned: what is found instead, or why it cannot be run; or NULL */
};

struct shrink_result {
	enum shrink_end end;
	char from[CASE_TOKEN_SIZE], token[CASE_TOKEN_SIZE];
	struct case_file *found; /* owned; the smaller case; NULL when it is gone */
	struct shrink_counts before, after;
	struct shrink_without *without; /* owned; empty unless all of it was tried */
	size_t without_count, without_cap;
	uint64_t without_more; /* beyond SHRINK_WITHOUT_MAX */
	/* Owned, or NULL: why the scenario was left alone; GONE: what could be why. */
	char *note;
	uint64_t recoveries;
};

/* fi_vfs_register() has been called, and the case may be run (harness/cli/trusted.h). `c` is
 * borrowed. Errors: those of gate_replay() for the case as it is; ERR_HARNESS. The caller releases
 * *ret, also after a failure. */
int shrink_case(const struct case_file *c, const struct shrink_options *options,
		struct shrink_result *ret, struct err *err);
void shrink_result_release(struct shrink_result *r); /* accepts a zeroed one */

/* "passes", "fails differently: integrity, corrupt", ...: appended. */
void shrink_without_say(const struct shrink_without *w, struct buf *ret);

/* docs/contract.md, "Shrink": one object, and a newline. `seconds` below 0 is left out. */
void shrink_json(const struct shrink_result *r, double seconds, struct buf *ret);

#endif
