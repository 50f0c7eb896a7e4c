/*
 * Does the run see? Each sync and directory sync of a trace is left out in turn, as if the program
 * had forgotten it, and each known defect is planted; what follows is explored until something is
 * found that the sound run does not show.
 *
 *     caught      a state was found that is worse than all states of the sound run at that place
 *     redundant   all states were covered, and none is worse: a sync that one could do without,
 *                 under this model, for this workload and as far as these oracles see
 *     missed      the same, but the scenario lists its redundant syncs (@redundant) and this is
 *                 none of them
 *
 * A sync that the scenario calls redundant and that is caught is a mistake of the list, and fails,
 * too: a list that is longer than the truth would hide a blind oracle.
 *
 * Leaving out a sync only adds states. Where as many assignments are possible as with it, the
 * states are the same (the sound run covered them) and are not explored again.
 */
#ifndef DRIVE_MUTATE_H
#define DRIVE_MUTATE_H

#include "faultinject/base/err.h"
#include "faultinject/trace.h"
#include "faultinject/trace_index.h"
#include "harness/case/result.h"
#include "harness/case/subject.h"
#include "harness/drive/gate.h"
#include "harness/drive/isolate.h"
#include "harness/scenario/scenario.h"

/* What the sound run showed. Where it is not durable, a mutant is compared with what the sound run
 * shows at the same operation, as far as there is one: `positions` of mutate_hunt(). */
struct mutate_baseline {
	enum grade grade;
	uint64_t lost_max;
	const struct result_violation *violations; /* borrowed */
	size_t violation_count;
};

struct mutate_hunt {
	bool found;
	bool whole; /* nothing was found, and all states were covered */
	uint64_t recoveries;
	char message[VERDICT_MESSAGE_SIZE]; /* what was found */
};

/* Explores `t`, which is the trace of `sound` without some of its operations (trace_edit.h;
 * `positions` as trace_without() gave it, or NULL), in this process. `spent` (may be NULL) is asked
 * before each recovery. ERR_HARNESS and ERR_LIMIT as explore(). */
int mutate_hunt(const struct subject *subject, const struct trace_index *sound,
		const struct trace *t, const uint64_t *positions,
		const struct mutate_baseline *baseline, struct isolate *isolate,
		bool (*spent)(void *ctx, uint64_t recoveries), void *ctx, struct mutate_hunt *ret,
		struct err *err);

/*
 * Mutates a case. *c holds what gate_explore() made of the sound run; mutants, score and verdict
 * are added. Each mutant runs in a child process: one that kills SQLite is caught. The scenario is
 * recorded again for defects that change the workload.
 */
int mutate_case(struct gate *g, const struct scenario *s, const struct case_spec *spec,
		const struct subject *subject, const struct trace *t, struct case_result *c,
		struct err *err);

#endif
