/*
 * A case of the real kills as a whole: preparation, warm-up, rounds, and the verdict. See kill.h.
 */
#include "harness/drive/kill.h"
#include "harness/drive/plant.h"

#include "harness/drive/gate.h"
#include "harness/drive/kill_case.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- verdict ---- */

/* Whether a killed process may leave damage, so that the scenario's own rules hold (kill.h). */
static bool may_break(const struct kill_run *k)
{
	const char *mode = kv_find(&k->spec->config, "journal_mode");

	if (k->scenario->plant != NULL)
		return true;
	if (mode == NULL)
		return false;
	/* A transaction over several logs is atomic in each file only. */
	return strcasecmp(mode, "memory") == 0 || strcasecmp(mode, "off") == 0 ||
	       (strcasecmp(mode, "wal") == 0 && k->scenario->attached_count > 0);
}

/* What the scenario says of a case. */
static struct kill_rule own_rule(const struct case_spec *spec)
{
	return (struct kill_rule){.expects = spec->has_expect,
				  .grade = spec->has_expect ? spec->expected : spec->required};
}

static void set_rules(struct kill_run *k, struct case_result *c)
{
	const struct case_spec *power = k->options->power;

	k->rule = (struct kill_rule){.grade = GRADE_DURABLE};
	if (k->options->require != NULL)
		k->rule.grade = *k->options->require;
	/* A defect may need a power cut to show. */
	if (k->scenario->plant != NULL && power != NULL)
		k->rule = own_rule(power);
	else if (may_break(k))
		k->rule = own_rule(k->spec);
	k->power_rule = power == NULL ? k->rule : own_rule(power);
	c->has_expected = k->rule.expects;
	c->has_required = !k->rule.expects;
	if (c->has_expected) {
		c->expected = k->rule.grade;
		return;
	}
	c->required = k->rule.grade < k->power_rule.grade ? k->rule.grade : k->power_rule.grade;
}

static void fill_findings(const struct kill_run *k, struct case_result *c)
{
	struct judge_not_applicable none[16];
	size_t none_count =
	    k->examiner == NULL ? 0 : judge_not_applicable(examiner_judge(k->examiner), none, 16);

	/* Worst first; among equals in the order of discovery. */
	for (int grade = GRADE_CORRUPT; grade <= GRADE_NONE; grade++) {
		for (size_t i = 0; i < k->total.finding_count; i++) {
			const struct kill_finding *f = &k->total.findings[i];
			char *message;

			if ((int)f->grade != grade)
				continue;
			message = f->rounds == 1 ? xstrdup(f->message)
						 : xasprintf("%s; seen %" PRIu64 " times",
							     f->message, f->rounds);
			case_result_violation(c, f->oracle, f->grade, message, NULL);
			free(message);
		}
	}
	for (size_t i = 0; i < none_count; i++)
		case_result_not_applicable(c, none[i].oracle, none[i].reason);
	if (k->unknown != NULL)
		case_result_not_applicable(c, "history", k->unknown);
}

static void note_clock(const struct kill_run *k, struct case_result *c)
{
	const struct kill_score *t = &k->total;

	const char *problem = kill_clock_problem(k->options->faketime);

	if (problem != NULL)
		case_result_note(c, "clock rounds left out: %s", problem);
	else if (t->clock_seen < t->clock_rounds)
		case_result_note(
		    c, "in %" PRIu64 " of %" PRIu64 " clock rounds no writer saw the clock step",
		    t->clock_rounds - t->clock_seen, t->clock_rounds);
	else
		case_result_note(c, "%" PRIu64 " rounds ran with %s", t->clock_rounds,
				 k->scenario->clock == NULL ? "a stepping clock"
							    : "the clock of the scenario");
}

static void note_power(const struct kill_run *k, struct case_result *c)
{
	const struct kill_score *t = &k->total;

	if (k->power_subject == NULL)
		return;
	case_result_note(c,
			 "%" PRIu64 " rounds ended in a power cut under %s, which left %" PRIu64
			 " states%s%s",
			 t->cuts, k->model.name, t->states,
			 !k->rule.expects && k->power_rule.grade < k->rule.grade
			     ? "; of these the scenario asks only "
			     : "",
			 !k->rule.expects && k->power_rule.grade < k->rule.grade
			     ? grade_text(k->power_rule.grade)
			     : "");
	if (t->logs_full > 0)
		case_result_note(c,
				 "power cuts left out: %" PRIu64
				 " rounds had more operations than the log holds",
				 t->logs_full);
}

static void fill_notes(const struct kill_run *k, struct case_result *c)
{
	size_t readers = 0, checkpointers = 0;

	case_result_note(c, "%" PRIu64 " of %" PRIu64 " rounds ended a process by SIGKILL",
			 k->total.kills, k->total.rounds);
	for (size_t i = k->writer_count; i < k->job_count; i++) {
		readers += k->jobs[i].role == KILL_ROLE_READER;
		checkpointers += k->jobs[i].role == KILL_ROLE_CHECKPOINTER;
	}
	case_result_note(c, "processes of a round: %zu writing, %zu reading, %zu checkpointing",
			 k->writer_count, readers, checkpointers);
	if (k->no_readers != NULL)
		case_result_note(c, "no readers: %s", k->no_readers);
	note_power(k, c);
	note_clock(k, c);
}

static bool is_violated(struct kill_rule rule, enum grade worst, bool outside)
{
	return rule.expects ? worst < rule.grade : outside || worst < rule.grade;
}

void kill_run_verdict(const struct kill_run *k, struct case_result *c)
{
	const struct kill_score *t = &k->total;
	bool outside = false, power_outside = false;
	enum grade killed = kill_score_worst(t, false, &outside);
	enum grade cut = kill_score_worst(t, true, &power_outside);
	enum grade worst = killed < cut ? killed : cut;
	/* To call it durable would claim what was not checked. */
	bool checked = t->checks > 0 && k->unknown == NULL;

	c->grade = !checked && worst == GRADE_DURABLE ? GRADE_NONE : worst;
	c->verdict = CASE_VIOLATED;
	if (is_violated(k->rule, killed, outside) || is_violated(k->power_rule, cut, power_outside))
		return;
	c->verdict = CASE_INCONCLUSIVE;
	if (k->rule.expects && worst > k->rule.grade)
		c->reason =
		    xasprintf("%s is expected, and these kills showed nothing worse than %s",
			      grade_text(k->rule.grade), grade_text(worst));
	else if (k->interrupted)
		c->reason = xasprintf("interrupted after %" PRIu64 " rounds", t->rounds);
	else if (k->unknown != NULL && !k->rule.expects && k->rule.grade > GRADE_TORN)
		c->reason = xasprintf("%s is required, and durability was not judged: %s",
				      grade_text(k->rule.grade), k->unknown);
	else if (t->rounds == 0)
		c->reason = xstrdup("the budget ended before the first round");
	else if (t->kills * 2 < t->rounds)
		c->reason = xasprintf("only %" PRIu64 " of %" PRIu64
				      " rounds killed anything: the others had finished",
				      t->kills, t->rounds);
	else
		c->verdict = CASE_HELD;
}

static void fill_result(const struct kill_run *k, struct case_result *c)
{
	fill_findings(k, c);
	fill_notes(k, c);
	c->recoveries = k->total.checks;
	c->commits = k->total.acked;
	c->lost_acked_max = k->total.lost_max;
	c->rounds = k->total.rounds;
	kill_run_verdict(k, c);
}

int kill_case(const struct scenario *s, const struct case_spec *spec,
	      const struct kill_options *options, struct case_result *ret, struct err *err)
{
	struct kill_run k = {.scenario = s, .spec = spec, .options = options};
	uint64_t begin_ns = gate_now_ns();
	char *skip_reason = NULL;

	ret->has_rounds = true;
	set_rules(&k, ret);
	int rc = kill_run_prepare(&k, &skip_reason, err);

	if (rc == 0 && skip_reason == NULL)
		rc = kill_run_warm_up(&k, err);
	kill_score_add(&k.total, &k.score);
	if (rc == 0 && skip_reason == NULL && !k.interrupted)
		rc = kill_run_lanes(&k, options->resume, err);
	if (rc == ERR_INTERRUPTED) {
		k.interrupted = true;
		rc = 0;
	}
	if (skip_reason != NULL) {
		ret->grade = GRADE_NONE;
		ret->verdict = CASE_SKIPPED;
		ret->reason = skip_reason;
	} else if (rc == 0 || rc == ERR_HARNESS) {
		fill_result(&k, ret);
	}
	if (rc == ERR_HARNESS) {
		free(ret->reason);
		ret->verdict = CASE_ERROR;
		ret->reason = xstrdup(err->message);
		rc = 0;
	}
	ret->seconds = (double)(gate_now_ns() - begin_ns) / 1e9;
	kill_run_release(&k);
	return rc;
}
