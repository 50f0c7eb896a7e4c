/* See mutate.h. The search for one mutant is in mutate_hunt.c. */
#include "harness/drive/mutate.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/fileio.h"
#include "faultinject/trace_edit.h"
#include "harness/drive/isolate.h"
#include "harness/drive/plant.h"
#include "harness/drive/record.h"
#include "harness/drive/workload.h"
#include "harness/drive/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* What syncs are called, followed through the trace: "sync main.db-wal #3" is the third sync of
 * that file in the trace, whether effective or not, so that a name is the same under every model.
 */
struct sync_names {
	uint32_t *name_of;	    /* [inode]: the last name that was made for it */
	unsigned *syncs, *dirsyncs; /* [name]: so far */
};

static void sync_names_init(struct sync_names *n, const struct trace *t)
{
	n->name_of = xcalloc((size_t)t->inode_count + 1, sizeof *n->name_of);
	n->syncs = xcalloc((size_t)t->name_count + 1, sizeof *n->syncs);
	n->dirsyncs = xcalloc((size_t)t->name_count + 1, sizeof *n->dirsyncs);
	for (size_t i = t->base_count; i-- > 0;)
		n->name_of[t->base[i].inode] = t->base[i].name;
}

static void sync_names_release(struct sync_names *n)
{
	free(n->name_of);
	free(n->syncs);
	free(n->dirsyncs);
}

static void sync_names_pass(struct sync_names *n, const struct op *op)
{
	if (op->kind == OP_CREATE)
		n->name_of[op->inode] = op->name;
	if (op->kind == OP_SYNC_END)
		n->syncs[n->name_of[op->inode]]++;
	if (op->kind == OP_DIRSYNC_END)
		n->dirsyncs[op->name]++;
}

/* Of the sync that was passed last; owned by the caller. */
static char *sync_name(const struct sync_names *n, const struct trace *t, const struct op *op)
{
	bool directory = op->kind == OP_DIRSYNC_END;
	uint32_t name = directory ? op->name : n->name_of[op->inode];

	return xasprintf("%s %s #%u", directory ? "dirsync" : "sync",
			 name == 0 ? "?" : base_name(t->names[name]),
			 directory ? n->dirsyncs[name] : n->syncs[name]);
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
	struct sync_names names;
	int rc = 0;

	sync_names_init(&names, m->t);
	for (uint64_t p = 1; p <= m->t->op_count && rc == 0 && !gate_stop(m->gate); p++) {
		uint64_t *positions = NULL;
		sync_names_pass(&names, trace_at(m->t, p));
		if (!is_mutable(m, p))
			continue;
		struct trace *without = trace_without_sync(m->t, p, &positions);
		char *name = sync_name(&names, m->t, trace_at(m->t, p));
		rc = hunt(m, without, positions, name, "sync", err);
		free(name);
		free(positions);
		trace_free(without);
	}
	sync_names_release(&names);
	return rc;
}

/* Can the workload of the case be recorded with the defect? Not where a sync is asked to fail by
 * its number, which would be another one then. */
static bool carries(const struct mutation *m, const struct defect *d)
{
	const struct workload *w = workload_find(m->scenario->workload);
	const char *fail_sync = kv_find(&m->spec->workload_params, "fail_sync");

	if (fail_sync != NULL && strcmp(fail_sync, "0") != 0)
		return false;
	for (size_t i = 0; i < w->defect_count; i++)
		if (strcmp(w->defects[i], d->name) == 0)
			return true;
	return false;
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
	if (!d->in_workload || with.workload == NULL || !carries(m, d))
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
