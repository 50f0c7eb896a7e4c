/*
 * See attempt.h. The child's part; what it says, and the parent's part, are in attempt_say.c.
 */
#include "harness/shrink/attempt.h"

#include "faultinject/base/prng.h"
#include "harness/drive/examine.h"
#include "harness/drive/gate.h"
#include "harness/drive/hunt.h"
#include "harness/drive/record.h"
#include "harness/drive/watch.h"
#include "harness/shrink/attempt_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hunter {
	const struct shrink_target *target;
	const struct attempt *attempt;
	struct attempt_said *said;
	struct examiner *examiner;
	const struct explore_point *point; /* that was told last */
	uint64_t recoveries_max;
	bool without_probes; /* a finding of a run that began from the oldest does not count */
	bool found;
};

bool attempt_is_same(const struct shrink_target *target, const char *oracle, enum grade grade)
{
	return grade == target->grade && strcmp(oracle, target->oracle) == 0;
}

void attempt_release(struct attempt *a)
{
	case_source_free(a->source);
	trace_free(a->own_trace);
	*a = (struct attempt){0};
}

/* ---- examining */

/* The worst of what is not looked for. */
static void note_other(struct hunter *h, const struct verdict *v)
{
	struct attempt_said *said = h->said;

	if (said->other[0] != '\0' && said->other_grade <= v->grade)
		return;
	said->other_grade = v->grade;
	(void)snprintf(said->other, sizeof said->other, "%s%s%s", v->oracle,
		       v->grade == GRADE_NONE ? "" : ", ",
		       v->grade == GRADE_NONE ? "" : grade_text(v->grade));
}

static int examine(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		   const struct choice *choice, enum explore_next *ret_next, struct err *err)
{
	struct hunter *h = ctx;
	const struct finding *findings;
	int rc;

	if (h->point != point) {
		h->point = point;
		attempt_say_point(h->said, point);
	}
	h->said->recoveries++;
	rc = examiner_examine(h->examiner, point, disk, choice, ret_next, err);
	if (rc != 0 || *ret_next == EXPLORE_STOP_ALL)
		return rc;
	size_t count = examiner_findings(h->examiner, &findings);
	for (size_t i = 0; i < count && !h->found; i++) {
		const struct verdict *v = &findings[i].verdict;

		if (!attempt_is_same(h->target, v->oracle, v->grade)) {
			note_other(h, v);
		} else if (h->without_probes && choice->tail == CHOICE_LAST) {
			/* It is found again in its turn, if nobody remembers it. */
			examiner_begin_point(h->examiner);
			break;
		} else {
			h->found = true;
			attempt_keep(h->said, &findings[i]);
			*ret_next = EXPLORE_STOP_ALL;
		}
	}
	return 0;
}

static int recover(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		   enum explore_next *ret_next, struct err *err)
{
	const struct hunter *h = ctx;

	return examiner_recover(h->examiner, point, disk, ret_next, err);
}

static bool spent(void *ctx, uint64_t recoveries)
{
	const struct hunter *h = ctx;

	(void)recoveries; /* of the point alone */
	return h->said->recoveries >= h->recoveries_max;
}

static bool is_found(void *ctx)
{
	const struct hunter *h = ctx;

	return h->found;
}

/* ---- searching */

static int search_anywhere(struct hunter *h, struct explore_search *search,
			   const struct explore_points *points, struct err *err)
{
	static const struct hunt_pass passes[] = {
	    {SIZE_MAX, 3}, {SIZE_MAX, 30}, {SIZE_MAX, 300}, {SIZE_MAX, UINT64_MAX}};
	struct hunt_plan plan = {.passes = passes,
				 .pass_count = sizeof passes / sizeof passes[0],
				 .found = is_found,
				 .ctx = h};

	return hunt_points(search, h->examiner, points, &plan, &h->said->whole, err);
}

/* The point showed the finding: the state with the fewest answers that are not the newest. Where
 * there is no time for that, the one that was found stays. */
static int search_fewest(struct hunter *h, struct explore_search *search,
			 const struct explore_point *point, struct err *err)
{
	struct explore_outcome outcome;

	h->without_probes = true;
	h->found = false;
	h->recoveries_max = h->said->recoveries + h->attempt->recoveries_max;
	explore_outcome_init(&outcome);
	examiner_begin_point(h->examiner);
	int rc = explore_search_point(search, point, UINT64_MAX, &outcome, err);
	explore_outcome_release(&outcome);
	h->found = true;
	return rc;
}

static int search_in_order(struct hunter *h, struct explore_search *search,
			   const struct explore_points *points, struct err *err)
{
	struct explore_outcome outcome;
	struct attempt_said *said = h->said;
	int rc = 0;

	said->before_whole = true;
	explore_outcome_init(&outcome);
	for (size_t i = 0; i < points->count && rc == 0 && !h->found; i++) {
		if (h->attempt->uncut && points->items[i].cut_bytes != SIZE_MAX)
			continue;
		examiner_begin_point(h->examiner);
		rc = explore_search_point(search, &points->items[i], h->attempt->recoveries_max,
					  &outcome, err);
		if (rc == 0 && h->found) {
			rc = search_fewest(h, search, &points->items[i], err);
		} else {
			said->points_before++;
			said->before_whole = said->before_whole && (outcome.end == EXPLORE_WHOLE ||
								    outcome.end == EXPLORE_CORRUPT);
		}
		if (!h->found && said->recoveries >= h->recoveries_max)
			break;
	}
	said->whole = !h->found && said->before_whole;
	explore_outcome_release(&outcome);
	return rc;
}

/* ---- S5, S6 */

/* Does the state that the processes saw at `position` show it? */
static int look_at(struct hunter *h, const struct trace_index *ix, uint64_t position,
		   struct err *err)
{
	struct model whole = {.name = "process-crash", .process_crash = true};
	struct explore_point point = {
	    .position = position, .cut_bytes = SIZE_MAX, .promises = &position, .promise_count = 1};
	struct explore_callbacks callbacks = {.examine = examine, .ctx = h};

	h->point = NULL;
	examiner_begin_point(h->examiner);
	return explore_replay(ix, &whole, &point, NULL, 0, NULL, &callbacks, err);
}

/* *ret: some legal state shows the finding. */
static int find_lossless(struct hunter *h, const struct trace_index *ix, bool *ret, struct err *err)
{
	const struct history *history = examiner_history(h->examiner);
	int rc = look_at(h, ix, 0, err);

	for (size_t i = 0; i < history->transaction_count && rc == 0 && !h->found; i++)
		rc = look_at(h, ix, history->transactions[i].end, err);
	if (rc == 0 && !h->found)
		rc = look_at(h, ix, ix->trace->op_count, err);
	*ret = h->found;
	return rc;
}

/* *ret: a state that needs no crash shows the finding. */
static int ask(struct hunter *h, const struct trace_index *ix, enum attempt_asks asks, bool *ret,
	       struct err *err)
{
	int rc;

	if (asks == ATTEMPT_ASKS_LEGAL)
		return find_lossless(h, ix, ret, err);
	rc = look_at(h, ix, asks == ATTEMPT_ASKS_BEGINNING ? 0 : ix->trace->op_count, err);
	*ret = h->found;
	return rc;
}

/* What was found may be there without any loss. */
static int doubt(struct hunter *h, const struct trace_index *ix, struct err *err)
{
	const struct {
		enum attempt_asks asks;
		bool wanted;
		const char *words;
	} doubts[] = {
	    {ATTEMPT_ASKS_LEGAL, !h->target->lossless, "without any crash"},
	    {ATTEMPT_ASKS_BEGINNING, h->target->whole_beginning, "before anything is done"},
	    {ATTEMPT_ASKS_END, h->target->whole_end, "when all is done"},
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof doubts / sizeof doubts[0] && rc == 0 && h->found; i++) {
		struct attempt_said without = {.out = h->said->out};
		struct hunter again = {.target = h->target,
				       .attempt = h->attempt,
				       .said = &without,
				       .examiner = h->examiner};
		bool shown = false;

		if (doubts[i].wanted)
			rc = ask(&again, ix, doubts[i].asks, &shown, err);
		attempt_said_release(&without);
		if (rc != 0 || !shown)
			continue;
		h->found = false;
		h->said->whole = true; /* more need not be known */
		h->said->other_grade = h->target->grade;
		(void)snprintf(h->said->other, sizeof h->said->other, "%s, %s, %s",
			       h->target->oracle, grade_text(h->target->grade), doubts[i].words);
	}
	return rc;
}

/* ---- the whole */

static int hunt(struct hunter *h, const struct subject *subject, const struct trace *t,
		struct isolate *isolate, struct err *err)
{
	struct explore_callbacks callbacks = {.examine = examine,
					      .recover = h->target->depth == 2 ? recover : NULL,
					      .spent = spent,
					      .representative = h->target->representative,
					      .ctx = h};
	struct explore_points points = {0};
	struct explore_search *search = NULL;
	struct trace_index *ix = NULL;
	uint64_t *extra = NULL;
	size_t extra_count = 0;
	struct model model;
	int rc = subject_model(subject, &model, err);

	if (rc == 0)
		rc = gate_check(subject, t, err);
	if (rc == 0)
		rc = trace_index_build(t, &model, &ix, err);
	if (rc == 0)
		rc = examiner_create(subject, ix, h->target->show_data, &h->examiner, err);
	if (rc != 0) {
		/* A run that cannot be judged, such as one whose own files are broken. */
		h->said->invalid = rc != ERR_HARNESS && rc != ERR_INTERRUPTED;
		goto out;
	}
	if (h->target->depth == 2)
		examiner_interrupt_recovery(h->examiner);
	examiner_isolate(h->examiner, isolate);
	if (h->attempt->asks != ATTEMPT_ASKS_CRASH) {
		bool found;
		rc = ask(h, ix, h->attempt->asks, &found, err);
		goto out;
	}
	history_points(examiner_history(h->examiner), &extra, &extra_count);
	explore_points(ix, &model, extra, extra_count, &points);
	search = explore_search_create(ix, &model, &callbacks, &isolate->choice, 0);
	rc = h->attempt->in_order ? search_in_order(h, search, &points, err)
				  : search_anywhere(h, search, &points, err);
	if (rc == 0 && h->found)
		rc = doubt(h, ix, err);
out:
	explore_search_free(search);
	explore_points_release(&points);
	free(extra);
	examiner_free(h->examiner);
	trace_index_free(ix);
	return rc;
}

/* Records the scenario; *ret_trace stays NULL when it cannot be, which err says. */
static int record(const struct shrink_target *target, const struct case_source *source,
		  struct isolate *isolate, struct case_again *ret, struct trace **ret_trace,
		  struct err *err)
{
	char *skip = NULL;
	struct model model;
	int rc = case_source_read(source, target->vocabulary, ret, err);

	if (rc == 0)
		rc = subject_model(ret->subject, &model, err);
	if (rc != 0)
		return rc;
	isolate_enter(isolate);
	rc = record_case(ret->scenario, &ret->cases.items[0], ret->subject, ret_trace, &skip, err);
	isolate_leave(isolate);
	if (rc == 0 && skip != NULL)
		rc = err_set(err, ERR_INPUT, "%s", skip);
	free(skip);
	return rc;
}

static bool keep_beating(void *ctx)
{
	isolate_beat(ctx);
	return false;
}

void attempt_run(const struct shrink_target *target, const struct attempt *a,
		 struct isolate *isolate, int out)
{
	struct attempt_said said = {.out = out};
	struct hunter h = {.target = target,
			   .attempt = a,
			   .said = &said,
			   .recoveries_max = a->in_order ? a->recoveries_max * ATTEMPT_ORDER_FACTOR
							 : a->recoveries_max};
	struct case_again again = {0};
	struct trace *recorded = NULL;
	const struct trace *t = a->own_trace != NULL ? a->own_trace : a->trace;
	struct err err = ERR_INIT;
	int rc = 0;

	watch_set(keep_beating, isolate);
	if (a->source != NULL) {
		rc = record(target, a->source, isolate, &again, &recorded, &err);
		said.invalid = rc != 0;
		t = recorded;
	}
	bool may_die = attempt_is_same(target, "recovery", GRADE_CORRUPT);
	attempt_say_recorded(&said, may_die ? recorded : NULL);
	if (rc == 0)
		rc = hunt(&h, a->source != NULL ? again.subject : a->subject, t, isolate, &err);
	said.found = h.found;
	/* More states than can be counted: there is nothing to see. */
	if (rc == ERR_LIMIT && !said.invalid)
		rc = 0;
	attempt_say_result(&said, h.found ? recorded : NULL, rc == 0 ? NULL : &err);
	attempt_said_release(&said);
	trace_free(recorded);
	case_again_release(&again);
}
