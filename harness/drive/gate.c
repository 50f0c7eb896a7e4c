/* See gate.h. */
#include "harness/drive/gate.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "harness/case/version.h"
#include "harness/drive/check_gate.h"
#include "harness/drive/databases.h"
#include "harness/drive/examine.h"
#include "harness/drive/identity.h"
#include "harness/drive/lint_run.h"
#include "harness/drive/workers.h"

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
	const char *id;
	uint64_t begin_ns;
};

static bool interrupted(void *ctx)
{
	const struct exploration *x = ctx;

	return x->gate->interrupted != NULL && x->gate->interrupted(x->gate->ctx);
}

static void progress(void *ctx, size_t points_done, size_t points, uint64_t recoveries,
		     size_t states_power)
{
	struct exploration *x = ctx;
	struct gate *g = x->gate;
	uint64_t now = gate_now_ns();

	if (g->progress == NULL || now - g->progress_ns < PROGRESS_INTERVAL_NS)
		return;
	g->progress_ns = now;
	double seconds = (double)(now - x->begin_ns) / 1e9;
	g->progress(g->ctx, x->id, points_done, points, states_power, recoveries,
		    seconds > 0 ? (double)recoveries / seconds : 0);
}

/* ---- case files ---------------------------------------------------------------------------- */

/* Copies through the encoding: a case owns its parts, the gate only borrows them. */
void gate_keep_case(struct gate *g, const struct subject *subject, const struct trace *t,
		    const struct finding *f, char ret_token[CASE_TOKEN_SIZE])
{
	/* Borrowed for the call; nothing below writes through these. */
	struct case_file c = {
	    .subject = (struct subject *)(uintptr_t)subject,
	    .trace = (struct trace *)(uintptr_t)t,
	    .source = (struct case_source *)(uintptr_t)g->source,
	    .state = {.position = f->position,
		      .promise = f->promise,
		      .depth = g->depth == 2 ? 2 : 1,
		      .representative = g->representative || check_is_oracle(f->verdict.oracle),
		      .has_again = f->again.happened,
		      .again_position = f->again.position,
		      .again_has_cut = f->again.happened && f->again.cut_bytes != SIZE_MAX,
		      .again_cut_bytes = f->again.cut_bytes == SIZE_MAX ? 0 : f->again.cut_bytes,
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
	/* Findings outside the scale break every floor, where one is asked for. */
	for (size_t i = 0; i < c->violation_count && c->has_required; i++)
		below = below || c->violations[i].grade == GRADE_NONE;
	if (below) {
		/* A floor that is broken stays broken. An expectation of worse may yet come true,
		 * and one of better was already missed. */
		bool open = c->has_expected && !c->exhaustive && c->grade > c->expected;
		c->verdict = open ? CASE_INCONCLUSIVE : CASE_VIOLATED;
	} else if (c->exhaustive || c->represented || c->grade == GRADE_CORRUPT) {
		c->verdict = CASE_HELD; /* nothing is worse than corrupt */
	} else {
		c->verdict = CASE_INCONCLUSIVE;
	}
}

static void fill_findings(struct gate *g, const struct subject *subject, const struct trace *t,
			  const struct examiner *e, const struct workers_result *found,
			  struct case_result *ret)
{
	const struct finding *findings = found->findings;
	size_t count = found->finding_count;
	struct judge_not_applicable none[16];
	size_t none_count = judge_not_applicable(examiner_judge(e), none, 16);

	/* Worst first; among equals in the order of discovery. */
	for (int grade = GRADE_CORRUPT; grade <= GRADE_NONE; grade++) {
		for (size_t i = 0; i < count; i++) {
			char token[CASE_TOKEN_SIZE];
			if ((int)findings[i].verdict.grade != grade)
				continue;
			gate_keep_case(g, subject, t, &findings[i], token);
			case_result_violation(ret, findings[i].verdict.oracle,
					      findings[i].verdict.grade,
					      findings[i].verdict.message, token);
		}
	}
	for (size_t i = 0; i < none_count; i++)
		case_result_not_applicable(ret, none[i].oracle, none[i].reason);
}

/* What the trace lacks, beside what that comes to. */
static void fill_lint(const struct trace *t, const struct history *h, struct case_result *ret)
{
	struct lint lint;

	lint_run(t, h, &lint);
	for (size_t i = 0; i < lint.count; i++)
		case_result_lint(ret, lint.findings[i].id, lint.findings[i].message,
				 lint.findings[i].count);
	if (lint.incomplete != NULL)
		case_result_note(ret, "the lint did not look at everything: %s", lint.incomplete);
	if (lint.dropped > 0)
		case_result_note(ret, "the lint found %" PRIu64 " more", lint.dropped);
	lint_release(&lint);
}

/* Owned by the caller. */
static char *why_inconclusive(const struct gate *g, const struct workers_result *r, bool torn)
{
	const struct explore_stats *stats = &r->stats;
	const char *hint = "";
	char *reason = NULL;

	size_t done = stats->points_whole + stats->points_represented;

	if (!stats->spent && !r->interrupted && torn)
		return xstrdup("the trace is torn");
	/* See examiner_pass(). */
	if (!stats->spent && !r->interrupted)
		return xasprintf(
		    "what is waived as corrupt ended %zu of %zu crash points (a crash, "
		    "a hang, or %d recoveries from there on), and what lies behind it "
		    "was not looked at",
		    stats->points - done, stats->points, EXAMINE_PASSED_MAX);
	if (g->resume != NULL)
		hint = r->interrupted || r->points_now > 0
			   ? "; the same command goes on from here"
			   : "; one crash point alone needs more than this budget, and with it the "
			     "same command would get no further";
	ASSERT(gmp_asprintf(&reason,
			    "%s with %zu of %zu crash points done; of the %Zd states of those that "
			    "were begun, %Zd were covered%s",
			    r->interrupted ? "interrupted" : "budget spent", done, stats->points,
			    stats->states, stats->covered, hint) > 0);
	return reason;
}

/* What was found stands; that more may be there is said. */
static void note_cut(const struct gate *g, const struct workers_result *r, struct case_result *c)
{
	char *why = why_inconclusive(g, r, false);

	case_result_note(c, "partial: %s", why);
	free(why);
}

/* Nothing that could fail has been asked: such a green means nothing. */
static void doubt_vacuous(const struct trace *t, const struct history *h, struct case_result *c)
{
	bool wrote = false;
	static const char *const missing[] = {
	    [HISTORY_ACK_LOCK] = "no lock was released behind a commit",
	    [HISTORY_ACK_OUTPUT] = "no output stands behind a commit",
	    [HISTORY_ACK_MARK] = "no mark stands behind a commit",
	};
	bool speaks = h->ack != HISTORY_ACK_EXACT;

	for (size_t i = 0; i < t->op_count && !wrote; i++)
		wrote = t->ops[i].kind == OP_WRITE;
	for (size_t i = 0; i < c->not_applicable_count && c->reason == NULL; i++) {
		const char *oracle = c->not_applicable[i].oracle;
		if (!judge_always_on(oracle)) /* nobody asked for those by name */
			c->reason = xasprintf("%s was asked for, and applies to nothing: %s",
					      oracle, c->not_applicable[i].reason);
	}
	if (c->reason == NULL && !wrote)
		c->reason = xstrdup("the run wrote nothing, so nothing could be lost");
	if (c->reason == NULL && speaks && c->commits > 0 && history_acked(h, t->op_count) == 0)
		c->reason = xasprintf("%s, so nothing was promised", missing[h->ack]);
	if (c->reason != NULL)
		c->verdict = CASE_INCONCLUSIVE;
}

/* Commits that were never promised may be lost at every grade. */
static void note_unpromised(const struct trace *t, const struct history *h, struct case_result *c)
{
	uint64_t acked = history_acked(h, t->op_count);
	uint64_t never = acked < c->commits ? c->commits - acked : 0;

	if (h->ack != HISTORY_ACK_EXACT && acked > 0 && never > 0)
		case_result_note(c, "%" PRIu64 " of %" PRIu64 " commits %s never promised", never,
				 c->commits, never == 1 ? "was" : "were");
}

/* Does an invariant look at databases beside the subject's (outside.h)? */
static bool judges_strangers(const struct subject *s)
{
	for (size_t i = 0; i < s->invariant_count; i++)
		if (strstr(s->invariants[i].sql, "plugpull_database_problem") != NULL)
			return true;
	return false;
}

/* A database that the run wrote and nobody would look at: its loss would go unseen. */
static int check_strangers(const struct subject *s, const struct trace *t, struct err *err)
{
	uint8_t *database;
	int rc = 0;

	if (judges_strangers(s))
		return 0;
	database = databases_find(t);

	for (uint32_t n = 1; n <= t->name_count && rc == 0; n++) {
		bool known = !database[n] || strcmp(t->names[n], s->database) == 0;
		for (size_t i = 0; i < s->attached_count && !known; i++)
			known = strcmp(t->names[n], s->attached[i].file) == 0;
		if (!known)
			rc = err_set(
			    err, ERR_INPUT,
			    "the run writes the database '%s', which no @attach declares and "
			    "no @invariant asks plugpull_database_problem() about: it would "
			    "not be judged",
			    t->names[n]);
	}
	free(database);
	return rc;
}

char *gate_why_no_grade(const struct trace *t)
{
	uint64_t hole = trace_first_hole(t);
	const struct op *op;

	if (hole == 0)
		return NULL;
	op = trace_at(t, hole);
	return xasprintf("the recording has a hole: %.*s (operation %" PRIu64 ")", (int)op->size,
			 (const char *)op->data, hole);
}

static void fill_result(const struct workers_result *found, const struct examiner *e,
			const struct trace *t, struct case_result *ret)
{
	ret->grade = found->grade;
	ret->exhaustive = found->stats.exhaustive && !t->torn;
	ret->crash_points = found->stats.points;
	ret->recoveries = found->stats.recoveries;
	ret->states = mpz_get_str(NULL, 10, found->stats.states);
	ret->commits = history_commits(examiner_history(e));
	ret->lost_acked_max = found->lost_max;
}

int gate_check(const struct subject *subject, const struct trace *t, struct err *err)
{
	char *hole = gate_why_no_grade(t);
	int rc =
	    hole == NULL ? check_strangers(subject, t, err) : err_set(err, ERR_INPUT, "%s", hole);

	free(hole);
	return rc;
}

/* What a resume file knows its points by. */
static int identify(const struct gate *g, const struct subject *subject, const struct trace *t,
		    const char *const *passed, size_t passed_count, struct digest *ret,
		    struct err *err)
{
	struct buf options;

	buf_init(&options);
	buf_printf(&options, "%s%s%s", g->show_data ? "show-data" : "",
		   g->depth == 2 ? " depth=2" : "", g->representative ? " representative" : "");
	for (size_t i = 0; i < passed_count; i++)
		buf_printf(&options, " pass=%s", passed[i]);
	int rc = exploration_identity(subject, t, buf_str(&options), ret, err);

	buf_release(&options);
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
	struct exploration x = {.gate = g, .id = subject->id, .begin_ns = gate_now_ns()};
	struct workers_job job = {.jobs = g->jobs,
				  .depth = g->depth,
				  .representative = g->representative,
				  .deadline_ns = g->deadline_ns,
				  .hang_ns = g->hang_ns,
				  .resume = g->resume,
				  .interrupted = interrupted,
				  .progress = progress,
				  .ctx = &x};
	struct workers_result found;
	struct check_sampled checked = {0};
	const char *passed[JUDGE_VERDICTS_MAX];
	size_t passed_count = 0;

	workers_result_init(&found);
	int rc = subject_model(subject, &model, err);
	if (rc == 0 && (ret->reason = gate_why_no_grade(t)) != NULL) {
		ret->verdict = CASE_INCONCLUSIVE;
		goto out;
	}
	if (rc == 0)
		rc = check_strangers(subject, t, err);
	if (rc == 0)
		rc = trace_index_build(t, &model, &ix, err);
	if (rc == ERR_LIMIT) {
		ret->verdict = CASE_INCONCLUSIVE;
		ret->reason = xstrdup(err->message);
		rc = 0;
		goto out;
	}
	if (rc == 0)
		rc = examiner_create(subject, ix, g->show_data, &e, err);
	if (rc == 0 && g->depth == 2)
		examiner_interrupt_recovery(e);
	if (rc == 0 && g->waivers != NULL && !ret->has_expected)
		passed_count = waivers_of_corrupt(g->waivers, g->today, subject->id, passed,
						  JUDGE_VERDICTS_MAX);
	if (rc == 0)
		examiner_pass(e, passed, passed_count);
	if (rc == 0 && g->resume != NULL)
		rc = identify(g, subject, t, passed, passed_count, &job.key, err);
	if (rc != 0)
		goto out;
	history_points(examiner_history(e), &extra, &extra_count);
	explore_points(ix, &model, extra, extra_count, &points);
	job.ix = ix;
	job.model = &model;
	job.points = &points;
	job.examiner = e;
	job.recoveries_max = g->recoveries_max == 0		 ? UINT64_MAX
			     : g->recoveries < g->recoveries_max ? g->recoveries_max - g->recoveries
								 : 0;
	rc = workers_explore(&job, &found, err);
	g->recoveries += found.recoveries_now;
	g->points_resumed += found.points_resumed;
	if (rc == 0 && subject->check != NULL)
		rc = check_run(g, subject, ix, &model, &points, &found, &checked, err);

	fill_result(&found, e, t, ret);
	ret->representative = g->representative;
	ret->represented = !t->torn && found.stats.points_represented == found.stats.points;
	ret->seconds = (double)(gate_now_ns() - x.begin_ns) / 1e9;
	fill_findings(g, subject, t, e, &found, ret);
	fill_lint(t, examiner_history(e), ret);
	if (rc == 0 && subject->check != NULL)
		check_fill(&checked, ret);
	if (ix->sector_size != t->device.sector_size_bytes && !model.process_crash)
		case_result_note(ret, "explored with %u-byte sectors; SQLite was told %u",
				 ix->sector_size, t->device.sector_size_bytes);
	if (model.no_psow && (t->device.characteristics & SQLITE_IOCAP_POWERSAFE_OVERWRITE) != 0)
		case_result_note(ret, "explored without powersafe overwrite; SQLite was told that "
				      "there is");
	if (model.hole == MODEL_HOLE_GARBAGE || model.no_psow)
		case_result_note(ret, "%sthe garbage of seed %" PRIu64,
				 ret->exhaustive ? "exhaustive for " : "explored with ",
				 model.seed);
	if (g->representative)
		case_result_note(ret, "representative: sectors that one read found undecided were "
				      "decided together, so states were left out");
	if (g->depth == 2)
		case_result_note(ret, "crashes during recovery were explored, too (depth 2)");
	if (t->torn)
		case_result_note(ret, "the trace is torn: its last %" PRIu64 " bytes were cut",
				 t->torn_size_bytes);
	if (rc == 0) {
		gate_verdict(ret);
		if (g->waivers != NULL)
			waivers_apply(g->waivers, g->today, ret);
		note_unpromised(t, examiner_history(e), ret);
		if (ret->verdict == CASE_INCONCLUSIVE)
			ret->reason = why_inconclusive(g, &found, t->torn);
		else if (ret->verdict == CASE_VIOLATED && (found.stats.spent || found.interrupted))
			note_cut(g, &found, ret);
		else if (ret->verdict == CASE_HELD)
			doubt_vacuous(t, examiner_history(e), ret);
		if (subject->check != NULL)
			check_weigh(&checked, ret);
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
	workers_result_release(&found);
	check_sampled_release(&checked);
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
