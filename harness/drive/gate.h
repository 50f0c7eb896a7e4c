/*
 * From a trace to a case result: history, oracles, exploration, findings, case files. Shared by
 * `run` (traces of scenarios) and `explore` (traces from anywhere).
 */
#ifndef DRIVE_GATE_H
#define DRIVE_GATE_H

#include "faultinject/base/err.h"
#include "faultinject/trace.h"
#include "harness/case/case_file.h"
#include "harness/case/result.h"
#include "harness/case/subject.h"
#include "harness/case/waivers.h"
#include "harness/drive/disk_calls.h"
#include "harness/drive/finding.h"
#include "harness/explore/explore.h"

#include <stdbool.h>
#include <stdint.h>

/* A case file that was made, kept in memory until it is known where reports go. */
struct gate_case {
	char token[CASE_TOKEN_SIZE];
	struct buf bytes; /* owned */
};

/* What all cases of one command share. */
struct gate {
	/* Budget of the whole command; 0 = none. */
	uint64_t deadline_ns; /* CLOCK_MONOTONIC */
	uint64_t recoveries_max;
	uint64_t recoveries; /* so far, over all cases */

	unsigned jobs;		 /* workers; 0 is 1 */
	uint64_t hang_ns;	 /* 0: ISOLATE_HANG_SECONDS */
	struct resume *resume;	 /* borrowed; NULL: none */
	uint64_t points_resumed; /* that it knew, so far, over all cases */

	bool show_data;	     /* messages show row values */
	unsigned depth;	     /* 2: crashes during recovery, too */
	bool representative; /* the sectors of one read are decided together */

	bool (*interrupted)(void *ctx); /* asked often; may be NULL */
	/* Called at most ten times a second; may be NULL. */
	void (*progress)(void *ctx, const char *case_id, size_t points_done, size_t points,
			 size_t states_power, uint64_t recoveries, double recoveries_per_second);
	void *ctx;
	uint64_t progress_ns; /* when progress was last reported */

	/* Where the trace that is explored comes from, for its case files; borrowed; NULL: no
	 * scenario. */
	const struct case_source *source;

	/* Waivers of the case that is explored, and the day; borrowed; NULL: none. */
	const struct waiver_list *waivers;
	int64_t today;

	struct gate_case *cases; /* owned; no token twice */
	size_t case_count, case_cap;
};

void gate_release(struct gate *g);

/* For watch_set(): was the command interrupted, or is its time over? `gate` is the struct. */
bool gate_stop(void *gate);

/* Nanoseconds of CLOCK_MONOTONIC. For budgets and progress only: no result depends on it. */
uint64_t gate_now_ns(void);

/* Explores a trace and fills `ret` (grade, counts, findings, verdict). `subject` and `trace` are
 * borrowed. Returns 0 also when the verdict is CASE_ERROR because the harness failed on this case;
 * ERR_INPUT when the trace cannot be judged. */
int gate_explore(struct gate *g, const struct subject *subject, const struct trace *t,
		 struct case_result *ret, struct err *err);

/* Can the trace be judged at all? ERR_INPUT: it has a hole, or a database that nobody would look
 * at.
 */
int gate_check(const struct subject *subject, const struct trace *t, struct err *err);

/* Sets the verdict from grade, floor and expectation, and whether exploration was whole. */
void gate_verdict(struct case_result *c);

/* Makes a case file of a finding, unless the gate has it already. */
void gate_keep_case(struct gate *g, const struct subject *subject, const struct trace *t,
		    const struct finding *f, char ret_token[CASE_TOKEN_SIZE]);

/* Writes all case files of the gate into a directory. */
int gate_save_cases(const struct gate *g, const char *directory, struct err *err);

/* Why a trace cannot be graded, or NULL; owned by the caller. What was not recorded may have been
 * lost, and what was recorded may lie on top of it: there is nothing to grade, whichever file the
 * hole is in. */
char *gate_why_no_grade(const struct trace *t);

/* Where a case crashes. Borrows from the state. */
struct explore_point gate_point(const struct case_state *s);

/* Runs a case file's state again, in a child process: a state that kills it, or hangs, is a finding
 * of the oracle "recovery" as it was when it was found. The findings are the caller's: up to `max`
 * verdicts. `tell` (may be NULL) is told every decision, see crashdisk_narrate(). */
struct gate_replay {
	bool show_data;
	uint64_t hang_ns; /* 0: ISOLATE_HANG_SECONDS */
	void (*tell)(void *ctx, const char *question, uint32_t answer, uint32_t n);
	void *ctx;
	/* What SQLite did to the disk, appended; NULL: nobody asks. Empty for a case of --check. */
	struct disk_calls *calls;
	/* For a debugger: no child. What kills the state, kills us. */
	bool in_process;
};
int gate_replay(const struct case_file *c, const struct gate_replay *options,
		struct verdict *ret_verdicts, size_t max, size_t *ret_count, enum grade *ret_grade,
		uint64_t *ret_lost, uint64_t *ret_commits, struct err *err);

#endif
