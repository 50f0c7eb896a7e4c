/* See check_gate.h. */
#include "harness/drive/check_gate.h"

#include "faultinject/base/buf.h"

#include <inttypes.h>
#include <string.h>

bool check_is_oracle(const char *oracle)
{
	return strcmp(oracle, "check") == 0;
}

int check_run(struct gate *g, const struct subject *subject, const struct trace_index *ix,
	      const struct model *model, const struct explore_points *points,
	      struct workers_result *found, struct check_sampled *ret, struct err *err)
{
	struct check_job job = {.ix = ix,
				.model = model,
				.points = points,
				.command = subject->check,
				.seed = subject->seed,
				.states_max = CHECK_STATES,
				.timeout_ns = g->hang_ns,
				.stopped = gate_stop,
				.ctx = g};

	if (g->recoveries_max != 0) {
		uint64_t left =
		    g->recoveries < g->recoveries_max ? g->recoveries_max - g->recoveries : 0;
		job.states_max = left < CHECK_STATES ? left : CHECK_STATES;
	}
	int rc = check_sample(&job, ret, err);
	if (rc != 0)
		return rc;
	g->recoveries += ret->states;
	if (ret->objects) {
		findings_keep(found->findings, &found->finding_count, &ret->finding);
		found->grade = GRADE_CORRUPT;
	}
	return 0;
}

void check_fill(const struct check_sampled *s, struct case_result *ret)
{
	ret->has_sampled = true;
	ret->sampled = s->states;
	if (s->not_applicable != NULL) {
		case_result_not_applicable(ret, "check", s->not_applicable);
		return;
	}
	case_result_note(ret,
			 "sampled: the command of --check saw %" PRIu64 " state%s at %zu crash "
			 "point%s; the databases' own states were %sall covered",
			 s->states, s->states == 1 ? "" : "s", s->points, s->points == 1 ? "" : "s",
			 ret->exhaustive ? "" : "not ");
	if (s->points_over > 0)
		case_result_note(ret,
				 "at %zu of these crash points the command objects to the files as "
				 "the program had left them; they were passed over",
				 s->points_over);
}

void check_weigh(const struct check_sampled *s, struct case_result *ret)
{
	ret->exhaustive = false;
	if (ret->verdict != CASE_HELD || s->whole)
		return;
	ret->verdict = CASE_INCONCLUSIVE;
	ret->reason = xasprintf(
	    "the budget, or an interrupt, ended --check when its command had seen %" PRIu64
	    " states",
	    s->states);
}

int check_replay(const struct case_file *c, const struct gate_replay *options,
		 const struct trace_index *ix, const struct model *model,
		 struct verdict *ret_verdict, size_t *ret_count, enum grade *ret_grade,
		 struct err *err)
{
	struct check_job job = {.ix = ix,
				.model = model,
				.command = c->subject->check,
				.seed = c->subject->seed,
				.timeout_ns = options->hang_ns};
	bool objects = false;

	if (job.command == NULL)
		return err_set(err, ERR_INPUT, "the case has a finding of --check, and no command");
	int rc =
	    check_again(&job, &c->state, options->tell, options->ctx, &objects, ret_verdict, err);
	if (rc != 0)
		return rc;
	*ret_count = objects ? 1 : 0;
	*ret_grade = objects ? GRADE_CORRUPT : GRADE_DURABLE;
	return 0;
}
