/* See gate.h. */
#include "harness/drive/gate.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/vfs.h"
#include "harness/case/version.h"
#include "harness/drive/databases.h"
#include "harness/drive/examine.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PROGRESS_INTERVAL_NS = 100 * 1000 * 1000 };

uint64_t gate_now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

bool gate_stop(void *gate)
{
	const struct gate *g = gate;

	return (g->interrupted != NULL && g->interrupted(g->ctx)) ||
	       (g->deadline_ns != 0 && gate_now_ns() >= g->deadline_ns);
}

void gate_release(struct gate *g)
{
	for (size_t i = 0; i < g->case_count; i++)
		buf_release(&g->cases[i].bytes);
	free(g->cases);
	memset(g, 0, sizeof *g);
}

/* ---- exploring ----------------------------------------------------------------------------- */

struct exploration {
	struct gate *gate;
	struct examiner *examiner;
	const char *id;
	uint64_t begin_ns;
	bool interrupted, spent;
};

static int examine(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		   const struct choice *choice, enum explore_next *ret_next, struct err *err)
{
	struct exploration *x = ctx;
	int rc = examiner_examine(x->examiner, point, disk, choice, ret_next, err);

	x->gate->recoveries++;
	if (x->gate->interrupted != NULL && x->gate->interrupted(x->gate->ctx)) {
		x->interrupted = true;
		*ret_next = EXPLORE_STOP_ALL;
	} else if (rc == 0 && *ret_next == EXPLORE_STOP_ALL) {
		x->spent = true; /* the watch stopped it */
	}
	return rc;
}

static void progress(void *ctx, size_t points_done, size_t points, uint64_t recoveries)
{
	struct exploration *x = ctx;
	struct gate *g = x->gate;
	uint64_t now = gate_now_ns();

	if (g->progress == NULL || now - g->progress_ns < PROGRESS_INTERVAL_NS)
		return;
	g->progress_ns = now;
	double seconds = (double)(now - x->begin_ns) / 1e9;
	g->progress(g->ctx, x->id, points_done, points, recoveries,
		    seconds > 0 ? (double)recoveries / seconds : 0);
}

static bool spent(void *ctx, uint64_t recoveries)
{
	const struct exploration *x = ctx;
	const struct gate *g = x->gate;

	(void)recoveries;
	if (g->recoveries_max != 0 && g->recoveries >= g->recoveries_max)
		return true;
	/* The clock is asked now and then only: a recovery takes microseconds. */
	return g->deadline_ns != 0 && g->recoveries % 64 == 0 && gate_now_ns() >= g->deadline_ns;
}

/* ---- case files ---------------------------------------------------------------------------- */

/* Copies through the encoding: a case owns its parts, the gate only borrows them. */
static void keep_case(struct gate *g, const struct subject *subject, const struct trace *t,
		      const struct finding *f, char ret_token[CASE_TOKEN_SIZE])
{
	/* Borrowed for the call; nothing below writes through these. */
	struct case_file c = {
	    .subject = (struct subject *)(uintptr_t)subject,
	    .trace = (struct trace *)(uintptr_t)t,
	    .state = {.position = f->position,
		      .promise = f->promise,
		      .has_cut = f->cut_bytes != SIZE_MAX,
		      .cut_bytes = f->cut_bytes == SIZE_MAX ? 0 : f->cut_bytes,
		      .answers = f->answers,
		      .answer_count = f->answer_count},
	    .finding = {.oracle = (char *)(uintptr_t)f->verdict.oracle,
			.grade = f->verdict.grade,
			.message = (char *)(uintptr_t)f->verdict.message},
	    .plugpull_version = (char *)(uintptr_t)PLUGPULL_VERSION,
	    .sqlite_version = (char *)(uintptr_t)sqlite3_libversion(),
	};

	case_file_token(&c, ret_token);
	for (size_t i = 0; i < g->case_count; i++)
		if (strcmp(g->cases[i].token, ret_token) == 0)
			return;
	g->cases = xgrow(g->cases, g->case_count, &g->case_cap, sizeof *g->cases);
	struct gate_case *kept = &g->cases[g->case_count++];
	memcpy(kept->token, ret_token, CASE_TOKEN_SIZE);
	buf_init(&kept->bytes);
	case_file_encode(&c, &kept->bytes);
}

/* ---- results ------------------------------------------------------------------------------- */

void gate_verdict(struct case_result *c)
{
	bool below;

	if (c->has_expected)
		below = c->grade != c->expected;
	else
		below = c->grade < c->required;
	/* Findings outside the scale break every floor. */
	for (size_t i = 0; i < c->violation_count && !c->has_expected; i++)
		below = below || c->violations[i].grade == GRADE_NONE;
	if (below) {
		/* A floor that is broken stays broken. An expectation of worse may yet come true,
		 * and one of better was already missed. */
		bool open = c->has_expected && !c->exhaustive && c->grade > c->expected;
		c->verdict = open ? CASE_INCONCLUSIVE : CASE_VIOLATED;
	} else if (c->exhaustive || c->grade == GRADE_CORRUPT) {
		c->verdict = CASE_HELD; /* nothing is worse than corrupt */
	} else {
		c->verdict = CASE_INCONCLUSIVE;
	}
}

static void fill_findings(struct gate *g, const struct subject *subject, const struct trace *t,
			  const struct examiner *e, struct case_result *ret)
{
	const struct finding *findings;
	size_t count = examiner_findings(e, &findings);
	struct judge_not_applicable none[16];
	size_t none_count = judge_not_applicable(examiner_judge(e), none, 16);

	/* Worst first; among equals in the order of discovery. */
	for (int grade = GRADE_CORRUPT; grade <= GRADE_NONE; grade++) {
		for (size_t i = 0; i < count; i++) {
			char token[CASE_TOKEN_SIZE];
			if ((int)findings[i].verdict.grade != grade)
				continue;
			keep_case(g, subject, t, &findings[i], token);
			case_result_violation(ret, findings[i].verdict.oracle,
					      findings[i].verdict.grade,
					      findings[i].verdict.message, token);
		}
	}
	for (size_t i = 0; i < none_count; i++)
		case_result_not_applicable(ret, none[i].oracle, none[i].reason);
}

/* Owned by the caller. */
static char *why_inconclusive(const struct explore_stats *stats, bool interrupted, bool torn)
{
	char *reason = NULL;

	if (!stats->spent && !interrupted)
		return xstrdup(torn ? "the trace is torn" : "exploration stopped early");
	ASSERT(gmp_asprintf(&reason,
			    "%s at crash point %zu of %zu; of the %Zd states up to there, %Zd were "
			    "covered",
			    interrupted ? "interrupted" : "budget spent", stats->points_whole + 1,
			    stats->points, stats->states, stats->covered) > 0);
	return reason;
}

/* Nothing that could fail has been asked: such a green means nothing. */
static void doubt_vacuous(const struct trace *t, struct case_result *c)
{
	bool wrote = false;

	for (size_t i = 0; i < t->op_count && !wrote; i++)
		wrote = t->ops[i].kind == OP_WRITE;
	for (size_t i = 0; i < c->not_applicable_count && c->reason == NULL; i++) {
		const char *oracle = c->not_applicable[i].oracle;
		if (strcmp(oracle, "integrity") != 0) /* nobody asked for that one by name */
			c->reason =
			    xasprintf("the scenario asks for %s, which applies to nothing: %s",
				      oracle, c->not_applicable[i].reason);
	}
	if (c->reason == NULL && !wrote)
		c->reason = xstrdup("the run wrote nothing, so nothing could be lost");
	if (c->reason != NULL)
		c->verdict = CASE_INCONCLUSIVE;
}

/* A database that the run wrote and nobody would look at: its loss would go unseen. */
static int check_strangers(const struct subject *s, const struct trace *t, struct err *err)
{
	uint8_t *database = databases_find(t);
	int rc = 0;

	for (uint32_t n = 1; n <= t->name_count && rc == 0; n++) {
		bool known = !database[n] || strcmp(t->names[n], s->database) == 0;
		for (size_t i = 0; i < s->attached_count && !known; i++)
			known = strcmp(t->names[n], s->attached[i].file) == 0;
		if (!known)
			rc = err_set(
			    err, ERR_INPUT,
			    "the run writes the database '%s', which no @attach declares: it "
			    "would not be judged",
			    t->names[n]);
	}
	free(database);
	return rc;
}

int gate_explore(struct gate *g, const struct subject *subject, const struct trace *t,
		 struct case_result *ret, struct err *err)
{
	struct model model;
	struct trace_index *ix = NULL;
	struct examiner *e = NULL;
	struct explore_points points = {0};
	uint64_t *extra = NULL;
	size_t extra_count = 0;
	struct explore_stats stats;
	struct exploration x = {.gate = g, .id = subject->id, .begin_ns = gate_now_ns()};
	struct explore_callbacks callbacks = {
	    .examine = examine, .progress = progress, .spent = spent, .ctx = &x};

	explore_stats_init(&stats);
	int rc = subject_model(subject, &model, err);
	if (rc == 0)
		rc = check_strangers(subject, t, err);
	if (rc == 0)
		rc = trace_index_build(t, &model, &ix, err);
	if (rc == 0)
		rc = examiner_create(subject, ix, g->show_data, &e, err);
	if (rc != 0)
		goto out;
	x.examiner = e;
	history_points(examiner_history(e), &extra, &extra_count);
	explore_points(ix, &model, extra, extra_count, &points);
	rc = explore(ix, &model, points.items, points.count, &callbacks, &stats, err);

	ret->grade = examiner_grade(e);
	ret->exhaustive = stats.exhaustive && !t->torn;
	ret->crash_points = stats.points;
	ret->recoveries = stats.recoveries;
	ret->states = mpz_get_str(NULL, 10, stats.states);
	ret->commits = history_commits(examiner_history(e));
	ret->lost_acked_max = examiner_lost_max(e);
	ret->seconds = (double)(gate_now_ns() - x.begin_ns) / 1e9;
	fill_findings(g, subject, t, e, ret);
	if (ix->sector_size != t->device.sector_size_bytes && !model.process_crash)
		case_result_note(ret, "explored with %u-byte sectors; SQLite was told %u",
				 ix->sector_size, t->device.sector_size_bytes);
	if (model.no_psow && (t->device.characteristics & SQLITE_IOCAP_POWERSAFE_OVERWRITE) != 0)
		case_result_note(ret, "explored without powersafe overwrite; SQLite was told that "
				      "there is");
	if (model.hole == MODEL_HOLE_GARBAGE || model.no_psow)
		case_result_note(ret, "exhaustive for the garbage of seed %" PRIu64, model.seed);
	if (t->torn)
		case_result_note(ret, "the trace is torn: its last %" PRIu64 " bytes were cut",
				 t->torn_size_bytes);
	stats.spent = stats.spent || x.spent;
	if (rc == 0) {
		gate_verdict(ret);
		if (ret->verdict == CASE_INCONCLUSIVE)
			ret->reason = why_inconclusive(&stats, x.interrupted, t->torn);
		else if (ret->verdict == CASE_HELD)
			doubt_vacuous(t, ret);
	} else if (rc == ERR_HARNESS || rc == ERR_LIMIT) {
		ret->verdict = rc == ERR_HARNESS ? CASE_ERROR : CASE_INCONCLUSIVE;
		ret->grade = rc == ERR_HARNESS ? GRADE_NONE : ret->grade;
		ret->exhaustive = false;
		ret->reason = xstrdup(err->message);
		rc = 0;
	}
out:
	free(extra);
	explore_points_release(&points);
	examiner_free(e);
	trace_index_free(ix);
	explore_stats_release(&stats);
	return rc;
}

int gate_save_cases(const struct gate *g, const char *directory, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < g->case_count && rc == 0; i++) {
		struct case_file *c = NULL;
		rc = case_file_decode(g->cases[i].bytes.data, g->cases[i].bytes.size, &c, err);
		if (rc == 0)
			rc = case_file_save(c, directory, err);
		case_file_free(c);
	}
	return rc;
}

/* ---- replay -------------------------------------------------------------------------------- */

struct replay {
	const struct gate_replay *options;
	struct examiner *examiner;
};

static int examine_again(void *ctx, const struct explore_point *point, struct crashdisk *disk,
			 const struct choice *choice, enum explore_next *ret_next, struct err *err)
{
	const struct replay *r = ctx;

	return examiner_examine(r->examiner, point, disk, choice, ret_next, err);
}

static void tell_again(void *ctx, const char *question, uint32_t answer, uint32_t n)
{
	const struct replay *r = ctx;

	r->options->tell(r->options->ctx, question, answer, n);
}

int gate_replay(const struct case_file *c, const struct gate_replay *options,
		struct verdict *ret_verdicts, size_t max, size_t *ret_count, enum grade *ret_grade,
		uint64_t *ret_lost, uint64_t *ret_commits, struct err *err)
{
	struct model model;
	struct trace_index *ix = NULL;
	struct examiner *e = NULL;
	struct explore_point point = {c->state.position,
				      c->state.has_cut ? (size_t)c->state.cut_bytes : SIZE_MAX,
				      &c->state.promise, 1};
	struct replay r = {.options = options};
	struct explore_callbacks callbacks = {.examine = examine_again, .ctx = &r};
	int rc = subject_model(c->subject, &model, err);

	if (rc == 0)
		rc = trace_index_build(c->trace, &model, &ix, err);
	if (rc == 0)
		rc = examiner_create(c->subject, ix, options->show_data, &e, err);
	if (rc != 0)
		goto out;
	r.examiner = e;
	callbacks.tell = options->tell == NULL ? NULL : tell_again;
	rc = explore_replay(ix, &model, &point, c->state.answers, c->state.answer_count, &callbacks,
			    err);
	if (rc == 0) {
		struct examined x = examiner_last(e);
		*ret_count = x.verdict_count < max ? x.verdict_count : max;
		memcpy(ret_verdicts, x.verdicts, *ret_count * sizeof *ret_verdicts);
		*ret_grade = x.grade;
		*ret_lost = x.lost;
		*ret_commits = history_commits(examiner_history(e));
	}
out:
	examiner_free(e);
	trace_index_free(ix);
	return rc;
}
