/* See mutate.h. */
#include "harness/drive/mutate.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/base/fileio.h"
#include "faultinject/trace_edit.h"
#include "harness/drive/examine.h"
#include "harness/drive/isolate.h"
#include "harness/drive/plant.h"
#include "harness/drive/point_result.h"
#include "harness/drive/record.h"
#include "harness/drive/watch.h"
#include "harness/explore/explore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- one mutant ---------------------------------------------------------------------------- */

/* The worst that the sound run shows at one place. */
struct worst {
	bool known;
	enum grade grade;
	uint64_t lost;
};

struct hunt {
	struct examiner *examiner;
	const struct mutate_baseline *baseline;
	bool (*spent)(void *ctx, uint64_t recoveries);
	void *ctx;
	struct mutate_hunt *found;
	struct worst local; /* at the present point */
	/* The sound run, where it is not durable everywhere; otherwise NULL. */
	struct examiner *sound;
	struct explore_search *sound_search;
	struct explore_callbacks sound_callbacks;
	const uint64_t *positions; /* of its operations */
	struct worst *worsts;	   /* owned; of each point */
};

static bool is_known(const struct mutate_baseline *b, const struct verdict *v)
{
	for (size_t i = 0; i < b->violation_count; i++)
		if (b->violations[i].grade == v->grade &&
		    strcmp(b->violations[i].oracle, v->oracle) == 0)
			return true;
	return false;
}

/* The grade falls, more is lost, or something breaks that has no grade. The words are those of a
 * verdict that says so. */
static bool is_worse(struct hunt *h, const struct examined *x)
{
	const struct verdict *words = NULL;

	for (size_t i = 0; i < x->verdict_count; i++) {
		const struct verdict *v = &x->verdicts[i];
		if (v->grade == GRADE_NONE ? !is_known(h->baseline, v) : v->grade == x->grade)
			words = words == NULL ? v : words;
	}
	bool worse = x->grade < h->local.grade || x->lost > h->local.lost;
	if (!worse && (words == NULL || words->grade != GRADE_NONE))
		return false;
	(void)snprintf(h->found->message, sizeof h->found->message, "%.20s: %.370s",
		       words == NULL ? "history" : words->oracle,
		       words == NULL ? "worse than without the mistake" : words->message);
	return true;
}

static int hunt_examine(void *ctx, const struct explore_point *point, struct crashdisk *disk,
			const struct choice *choice, enum explore_next *ret_next, struct err *err)
{
	struct hunt *h = ctx;
	int rc = examiner_examine(h->examiner, point, disk, choice, ret_next, err);
	struct examined x = examiner_last(h->examiner);

	h->found->recoveries++;
	if (rc != 0 || *ret_next == EXPLORE_STOP_ALL || !is_worse(h, &x))
		return rc;
	h->found->found = true;
	*ret_next = EXPLORE_STOP_ALL;
	return 0;
}

static bool hunt_spent(void *ctx, uint64_t recoveries)
{
	const struct hunt *h = ctx;

	(void)recoveries; /* of the point alone */
	return h->spent != NULL && h->spent(h->ctx, h->found->recoveries);
}

/* For the sound run, whose examiner is the context: only its end counts. */
static bool sound_spent(void *ctx, uint64_t recoveries)
{
	(void)ctx;
	(void)recoveries;
	return watch_stopped();
}

/* Drops the points at which the mutant has the states of the sound run: as many assignments. */
static int keep_new_points(const struct trace_index *sound, const struct trace_index *ix,
			   const struct model *model, const uint64_t *positions,
			   struct explore_points *points, struct err *err)
{
	struct explore_callbacks none = {0};
	struct explore_search *before = explore_search_create(sound, model, &none, NULL, 0);
	struct explore_search *after = explore_search_create(ix, model, &none, NULL, 0);
	size_t kept = 0;
	mpz_t a, b;
	int rc = 0;

	mpz_init(a);
	mpz_init(b);
	for (size_t i = 0; i < points->count && rc == 0; i++) {
		struct explore_point then = points->items[i];
		then.position = positions[then.position];
		rc = explore_search_states(before, &then, b, err);
		if (rc == 0)
			rc = explore_search_states(after, &points->items[i], a, err);
		if (rc == 0 && mpz_cmp(a, b) < 0)
			rc = err_set(err, ERR_HARNESS,
				     "leaving out a sync took states away at operation %llu",
				     (unsigned long long)points->items[i].position);
		if (rc == 0 && mpz_cmp(a, b) > 0)
			points->items[kept++] = points->items[i];
	}
	points->count = kept;
	mpz_clear(a);
	mpz_clear(b);
	explore_search_free(before);
	explore_search_free(after);
	return rc;
}

/*
 * What the sound run shows at the same place: a run that loses a commit somewhere, or tears a
 * transaction somewhere, would otherwise excuse that everywhere. *ret_ended: there was no time to
 * find out.
 */
static int compare_with(struct hunt *h, size_t i, const struct explore_point *point,
			bool *ret_ended, struct err *err)
{
	struct worst *w = &h->worsts[i];
	struct explore_outcome outcome;

	*ret_ended = false;
	if (h->sound == NULL)
		*w = (struct worst){true, h->baseline->grade, h->baseline->lost_max};
	h->local = *w;
	if (w->known)
		return 0;
	uint64_t *promises = xcalloc(point->promise_count, sizeof *promises);
	for (size_t k = 0; k < point->promise_count; k++)
		promises[k] = h->positions[point->promises[k]];
	struct explore_point then = *point;
	then.position = h->positions[point->position];
	then.promises = promises;
	explore_outcome_init(&outcome);
	examiner_begin_point(h->sound);
	int rc = explore_search_point(h->sound_search, &then, UINT64_MAX, &outcome, err);
	*ret_ended = outcome.end != EXPLORE_WHOLE && outcome.end != EXPLORE_CORRUPT;
	*w = (struct worst){true, examiner_grade(h->sound), examiner_lost_max(h->sound)};
	h->local = *w;
	explore_outcome_release(&outcome);
	free(promises);
	return rc;
}

static int search_points(struct hunt *h, const struct trace_index *ix, const struct model *model,
			 const struct explore_points *points, struct err *err)
{
	/* A mistake mostly shows at one of the next crash points that have new states, among the
	 * first that are looked at (the newest of all, the oldest of all, single deviations); or
	 * nearer, but deeper; or far away. So the first passes are narrow and the last is
	 * everything. Measured on the scenarios that are shipped: 100 recoveries at most. */
	static const struct {
		size_t points;
		uint64_t recoveries; /* at each */
	} passes[] = {{8, 5}, {3, 40}, {SIZE_MAX, 5}, {SIZE_MAX, UINT64_MAX}};
	enum { PASSES = sizeof passes / sizeof passes[0] };
	struct explore_callbacks callbacks = {
	    .examine = hunt_examine, .spent = hunt_spent, .ctx = h};
	struct explore_search *search = explore_search_create(ix, model, &callbacks, NULL, 0);
	int rc = 0;

	h->found->whole = false;
	/* A single point needs no order. */
	for (size_t pass = points->count == 1 ? PASSES - 1 : 0; pass < PASSES; pass++) {
		size_t count =
		    points->count > passes[pass].points ? passes[pass].points : points->count;
		bool whole = count == points->count;
		for (size_t i = 0; i < count; i++) {
			struct explore_outcome outcome;
			bool ended;
			rc = compare_with(h, i, &points->items[i], &ended, err);
			if (rc != 0 || ended)
				goto out;
			explore_outcome_init(&outcome);
			examiner_begin_point(h->examiner);
			rc = explore_search_point(search, &points->items[i],
						  passes[pass].recoveries, &outcome, err);
			enum explore_end end = outcome.end;
			explore_outcome_release(&outcome);
			if (rc != 0 || h->found->found || end == EXPLORE_SPENT ||
			    end == EXPLORE_STOPPED)
				goto out;
			/* A corrupt state that the sound run has, too, ends its point. */
			whole = whole && (end == EXPLORE_WHOLE || end == EXPLORE_CORRUPT);
		}
		if (whole) {
			h->found->whole = true;
			break;
		}
	}
out:
	explore_search_free(search);
	return rc;
}

int mutate_hunt(const struct subject *subject, const struct trace_index *sound,
		const struct trace *t, const uint64_t *positions,
		const struct mutate_baseline *baseline, struct isolate *isolate,
		bool (*spent)(void *ctx, uint64_t recoveries), void *ctx, struct mutate_hunt *ret,
		struct err *err)
{
	struct hunt h = {.baseline = baseline, .spent = spent, .ctx = ctx, .found = ret};
	struct explore_points points = {0};
	struct trace_index *ix = NULL;
	uint64_t *extra = NULL;
	size_t extra_count = 0;
	struct model model;

	*ret = (struct mutate_hunt){0};
	int rc = subject_model(subject, &model, err);
	if (rc == 0)
		rc = trace_index_build(t, &model, &ix, err);
	if (rc == 0)
		rc = examiner_create(subject, ix, false, &h.examiner, err);
	if (rc != 0)
		goto out;
	examiner_isolate(h.examiner, isolate);
	history_points(examiner_history(h.examiner), &extra, &extra_count);
	explore_points(ix, &model, extra, extra_count, &points);
	if (positions != NULL)
		rc = keep_new_points(sound, ix, &model, positions, &points, err);
	if (rc == 0 && positions != NULL &&
	    (baseline->grade < GRADE_DURABLE || baseline->lost_max > 0)) {
		rc = examiner_create(subject, sound, false, &h.sound, err);
		h.positions = positions;
		h.sound_callbacks = (struct explore_callbacks){
		    .examine = examiner_examine, .spent = sound_spent, .ctx = h.sound};
		h.sound_search = explore_search_create(sound, &model, &h.sound_callbacks, NULL, 0);
	}
	h.worsts = xcalloc(points.count, sizeof *h.worsts);
	if (rc == 0)
		rc = search_points(&h, ix, &model, &points, err);
out:
	explore_search_free(h.sound_search);
	examiner_free(h.sound);
	free(h.worsts);
	free(extra);
	explore_points_release(&points);
	examiner_free(h.examiner);
	trace_index_free(ix);
	return rc;
}

/* ---- in a child ---------------------------------------------------------------------------- */

struct job {
	struct gate *gate;
	const struct subject *subject;
	const struct trace_index *sound;
	const struct trace *t;
	const uint64_t *positions;
	const struct mutate_baseline *baseline;
	struct isolate *isolate; /* the child's */
	uint64_t recoveries_max;
};

static bool job_spent(void *ctx, uint64_t recoveries)
{
	const struct job *j = ctx;

	isolate_beat(j->isolate);
	return recoveries >= j->recoveries_max || gate_stop(j->gate);
}

static bool keep_beating(void *ctx)
{
	const struct job *j = ctx;

	isolate_beat(j->isolate);
	return gate_stop(j->gate);
}

/* What a child sends to its parent, which is the same program. */
struct reply {
	struct mutate_hunt hunt;
	struct err err;
};

static void hunt_child(void *ctx, struct isolate *isolate, int out)
{
	struct job *j = ctx;
	struct reply r;

	memset(&r, 0, sizeof r);
	j->isolate = isolate;
	watch_set(keep_beating, j);
	(void)mutate_hunt(j->subject, j->sound, j->t, j->positions, j->baseline, isolate, job_spent,
			  j, &r.hunt, &r.err);
	(void)fd_write_all(out, &r, sizeof r);
}

static bool job_stop(void *ctx)
{
	return gate_stop(ctx);
}

/* Hunts in a child. One that SQLite's end took along is caught. */
static int hunt_isolated(struct job *j, struct mutate_hunt *ret, struct err *err)
{
	uint64_t hang_ns =
	    j->gate->hang_ns != 0 ? j->gate->hang_ns : (uint64_t)ISOLATE_HANG_SECONDS * 1000000000u;
	struct isolate_work work = {.child = hunt_child,
				    .stop = job_stop,
				    .ctx = j,
				    .stop_ctx = j->gate,
				    .hang_ns = hang_ns};
	struct isolate *isolate = isolate_create();
	struct isolate_death death;
	struct reply reply;
	struct buf output;

	buf_init(&output);
	*ret = (struct mutate_hunt){0};
	int rc = isolate_run(isolate, &work, &output, &death, err);
	if (rc != 0)
		goto out;
	if (death.fate == ISOLATE_CRASHED || death.fate == ISOLATE_HUNG) {
		ret->found = true;
		ret->recoveries = 1 + atomic_load(&isolate->recoveries);
		isolate_say(&death, hang_ns, ret->message, sizeof ret->message);
	} else if (death.fate != ISOLATE_ENDED || output.size != sizeof reply) {
		rc = err_set(err, ERR_HARNESS, "the process of a mutant vanished: %s", death.text);
	} else {
		memcpy(&reply, output.data, sizeof reply);
		*ret = reply.hunt;
		*err = reply.err;
		rc = err->code;
	}
out:
	buf_release(&output);
	isolate_free(isolate);
	return rc;
}

/* ---- a case -------------------------------------------------------------------------------- */

struct mutation {
	struct gate *gate;
	const struct scenario *scenario;
	const struct case_spec *spec;
	const struct subject *subject;
	const struct trace *t;
	struct trace_index *sound;
	struct mutate_baseline baseline;
	struct case_result *c;
	size_t done, total;
	bool unfinished; /* a mutant was not covered, and nothing was found */
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL || slash[1] == '\0' ? path : slash + 1;
}

/* The name of an inode: the last that was made for it by then. */
static const char *inode_name(const struct trace *t, uint32_t inode, uint64_t position)
{
	for (uint64_t p = position; p >= 1; p--)
		if (trace_at(t, p)->kind == OP_CREATE && trace_at(t, p)->inode == inode)
			return t->names[trace_at(t, p)->name];
	for (size_t i = 0; i < t->base_count; i++)
		if (t->base[i].inode == inode)
			return t->names[t->base[i].name];
	return "?";
}

/* "sync main.db-wal #3": the third sync of that file in the trace, whether effective or not, so
 * that a name is the same under every model. Owned by the caller. */
static char *sync_name(const struct trace *t, uint64_t end)
{
	const struct op *op = trace_at(t, end);
	bool directory = op->kind == OP_DIRSYNC_END;
	const char *path = directory ? t->names[op->name] : inode_name(t, op->inode, end);
	unsigned number = 0;

	for (uint64_t p = 1; p <= end; p++) {
		const struct op *other = trace_at(t, p);
		if (other->kind == op->kind &&
		    strcmp(directory ? t->names[other->name] : inode_name(t, other->inode, p),
			   path) == 0)
			number++;
	}
	return xasprintf("%s %s #%u", directory ? "dirsync" : "sync", base_name(path), number);
}

/* Adds a mutant to the result. */
static void settle(struct mutation *m, const char *name, const char *kind,
		   const struct mutate_hunt *h)
{
	bool listed = case_spec_redundant(m->spec, name);
	enum result_mutation result = h->found ? MUTATION_CAUGHT : MUTATION_REDUNDANT;

	m->gate->recoveries += h->recoveries;
	m->c->recoveries += h->recoveries;
	if (!h->found && !h->whole) {
		m->unfinished = true;
		return;
	}
	/* A defect that changes no crash state of this case cannot be seen in it. */
	if (!h->found && h->recoveries == 0 && strcmp(kind, "defect") == 0)
		return;
	if (!h->found && m->spec->redundant_count > 0 && !listed)
		result = MUTATION_MISSED;
	case_result_mutant(m->c, name, kind, result, h->found && listed, h->recoveries,
			   h->found ? h->message : NULL);
}

static void report_progress(const struct mutation *m)
{
	if (m->gate->progress != NULL)
		m->gate->progress(m->gate->ctx, m->spec->id, m->done, m->total, 0,
				  m->gate->recoveries, 0);
}

static int hunt(struct mutation *m, const struct trace *t, const uint64_t *positions,
		const char *name, const char *kind, struct err *err)
{
	uint64_t left = m->gate->recoveries_max == 0 ? UINT64_MAX
			: m->gate->recoveries < m->gate->recoveries_max
			    ? m->gate->recoveries_max - m->gate->recoveries
			    : 0;
	struct job j = {.gate = m->gate,
			.subject = m->subject,
			.sound = m->sound,
			.t = t,
			.positions = positions,
			.baseline = &m->baseline,
			.recoveries_max = left};
	struct mutate_hunt found = {0};
	int rc = left > 0 ? hunt_isolated(&j, &found, err) : 0;

	if (rc == ERR_INPUT) { /* what the defect leaves behind without any crash cannot be read */
		found.found = true;
		(void)snprintf(found.message, sizeof found.message, "history: %.200s",
			       err->message);
		*err = (struct err)ERR_INIT;
		rc = 0;
	}
	if (rc != 0)
		return err_context(err, "%s", name);
	settle(m, name, kind, &found);
	m->done++;
	report_progress(m);
	return 0;
}

static bool is_mutable(const struct mutation *m, uint64_t position)
{
	uint8_t kind = trace_at(m->t, position)->kind;

	return (kind == OP_SYNC_END || kind == OP_DIRSYNC_END) && !m->sound->model.process_crash &&
	       index_sync_effective(m->sound, position);
}

static int mutate_syncs(struct mutation *m, struct err *err)
{
	int rc = 0;

	for (uint64_t p = 1; p <= m->t->op_count && rc == 0 && !gate_stop(m->gate); p++) {
		uint64_t *positions = NULL;
		if (!is_mutable(m, p))
			continue;
		struct trace *without = trace_without_sync(m->t, p, &positions);
		char *name = sync_name(m->t, p);
		rc = hunt(m, without, positions, name, "sync", err);
		free(name);
		free(positions);
		trace_free(without);
	}
	return rc;
}

/* The trace with the defect, or NULL where it changes nothing. */
static int plant(const struct mutation *m, const struct defect *d, struct trace **ret,
		 uint64_t **ret_positions, struct err *err)
{
	struct scenario with = *m->scenario;
	char *skip = NULL;
	int rc;

	*ret = NULL;
	if (strcmp(d->layer, "shim") == 0)
		*ret = plant_in_trace(d->name, m->t, ret_positions);
	if (!d->in_workload || with.workload == NULL)
		return 0;
	with.plant = (char *)d->name;
	rc = record_case(&with, m->spec, m->subject, ret, &skip, err);
	free(skip);
	return rc;
}

static int mutate_defects(struct mutation *m, struct err *err)
{
	size_t count;
	const struct defect *defects = plant_defects(&count);
	const struct subject *sound = m->subject;
	int rc = 0;

	for (size_t i = 0; i < count && rc == 0 && !gate_stop(m->gate); i++) {
		struct subject in_recovery = *sound; /* borrows */
		uint64_t *positions = NULL;
		struct trace *t = NULL;
		bool is_recovery = plant_in_recovery(defects[i].name) != FI_VFS_SOUND &&
				   plant_fits(defects[i].name, m->t);
		if (is_recovery) {
			in_recovery.defect = (char *)defects[i].name;
			m->subject = &in_recovery;
		} else {
			rc = plant(m, &defects[i], &t, &positions, err);
		}
		if (rc == 0 && (t != NULL || is_recovery)) {
			char *name = xasprintf("defect %s", defects[i].name);
			rc = hunt(m, is_recovery ? m->t : t, positions, name, "defect", err);
			free(name);
		}
		m->subject = sound;
		free(positions);
		trace_free(t);
	}
	return rc;
}

static void judge_mutants(struct mutation *m, size_t sync_total)
{
	struct case_result *c = m->c;
	struct result_score s = case_result_score(c);
	const char **names = xcalloc(c->mutant_count, sizeof *names);
	const struct result_mutant *missed = NULL, *overlisted = NULL;

	for (size_t i = 0; i < c->mutant_count; i++) {
		const struct result_mutant *mutant = &c->mutants[i];
		names[i] = mutant->name;
		if (mutant->result == MUTATION_MISSED && missed == NULL)
			missed = mutant;
		if (mutant->overlisted && overlisted == NULL)
			overlisted = mutant;
	}
	bool whole = !m->unfinished && m->done >= m->total && !gate_stop(m->gate);
	char *stranger =
	    whole ? case_spec_redundant_stranger(m->spec, names, c->mutant_count) : NULL;
	free(names);
	if (missed != NULL || overlisted != NULL || stranger != NULL) {
		c->verdict = CASE_VIOLATED;
		free(c->reason);
		if (missed != NULL)
			c->reason =
			    xasprintf("%llu of %zu mutants missed, the first: %s",
				      (unsigned long long)s.missed, c->mutant_count, missed->name);
		else if (overlisted != NULL)
			c->reason = xasprintf("%s is listed as redundant, and is needed: %s",
					      overlisted->name, overlisted->found);
		else
			c->reason = xasprintf("'%s' is listed as redundant, and is no mutant of "
					      "this case",
					      stranger);
	} else if (!whole) {
		c->verdict = CASE_INCONCLUSIVE;
		free(c->reason);
		c->reason =
		    xasprintf("%s with %zu mutants judged",
			      m->gate->interrupted != NULL && m->gate->interrupted(m->gate->ctx)
				  ? "interrupted"
				  : "budget spent",
			      c->mutant_count);
	} else if (s.caught == 0 && sync_total == 0) {
		c->verdict = CASE_SKIPPED;
		free(c->reason);
		c->reason = xstrdup("no sync matters under this model, so none can be left out");
	} else if (m->spec->redundant_count == 0) {
		case_result_note(c, "nothing is listed as redundant here (@redundant), so no "
				    "mutant can be missed");
	}
	free(stranger);
}

int mutate_case(struct gate *g, const struct scenario *s, const struct case_spec *spec,
		const struct subject *subject, const struct trace *t, struct case_result *c,
		struct err *err)
{
	struct mutation m = {
	    .gate = g, .scenario = s, .spec = spec, .subject = subject, .t = t, .c = c};
	struct model model;

	if (c->verdict != CASE_HELD) {
		/* The sound run is not sound: that comes first. */
		case_result_note(c,
				 "not mutated, because the case does not hold as it is; @require "
				 "or --require says what it may lose");
		return 0;
	}
	if (c->grade == GRADE_CORRUPT || s->plant != NULL) {
		c->verdict = CASE_SKIPPED;
		c->reason = xstrdup(s->plant != NULL ? "a control: it has a planted defect already"
						     : "nothing is worse than corrupt");
		return 0;
	}
	c->mutated = true;
	m.baseline = (struct mutate_baseline){c->grade, c->lost_acked_max, c->violations,
					      c->violation_count};
	int rc = subject_model(subject, &model, err);
	if (rc == 0)
		rc = trace_index_build(t, &model, &m.sound, err);
	if (rc != 0)
		return rc;
	for (uint64_t p = 1; p <= t->op_count; p++)
		m.total += is_mutable(&m, p);
	size_t sync_total = m.total;
	rc = mutate_syncs(&m, err);
	m.total = m.done < sync_total ? sync_total : m.done;
	if (rc == 0)
		rc = mutate_defects(&m, err);
	if (m.total < m.done)
		m.total = m.done;
	trace_index_free(m.sound);
	if (rc == ERR_INTERRUPTED) {
		m.unfinished = true;
		rc = 0;
	}
	if (rc == 0)
		judge_mutants(&m, sync_total);
	return rc;
}
