/*
 * --check as a part of a case: which states its command is shown, what they add to the findings,
 * and what the result says about it. Used by gate.c.
 */
#ifndef DRIVE_CHECK_GATE_H
#define DRIVE_CHECK_GATE_H

#include "harness/case/case_file.h"
#include "harness/case/result.h"
#include "harness/drive/check_sample.h"
#include "harness/drive/gate.h"
#include "harness/drive/workers.h"

/* Was it found by the command of --check, and not by recovery? */
bool check_is_oracle(const char *oracle);

/* Shows a sample of the states at `points` to the subject's command, and adds what it objects to.
 * What the program wrote only grows between two of them, as the states do. The caller releases
 * *ret. */
int check_run(struct gate *g, const struct subject *subject, const struct trace_index *ix,
	      const struct model *model, const struct explore_points *points,
	      struct workers_result *found, struct check_sampled *ret, struct err *err);

/* Before the verdict: says how much the command saw. */
void check_fill(const struct check_sampled *s, struct case_result *ret);
/* After the verdict: what the command did not get to see, and that a sample proves nothing. */
void check_weigh(const struct check_sampled *s, struct case_result *ret);

/* The state of such a finding again, without SQLite. *ret_count is 0 or 1. */
int check_replay(const struct case_file *c, const struct gate_replay *options,
		 const struct trace_index *ix, const struct model *model,
		 struct verdict *ret_verdict, size_t *ret_count, enum grade *ret_grade,
		 struct err *err);

#endif
