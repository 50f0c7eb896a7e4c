/*
 * Runs a case of the real kills: warm-up, rounds, and the verdict. See kill.h.
 *
 * What a round does is a function of seed and number: whom it kills, when or at which operation,
 * how long the others live on. What the writers had done by then is not, so a finding names round
 * and seed and cannot be replayed.
 */
#include "harness/drive/kill.h"
#include "harness/drive/plant.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/prng.h"
#include "harness/drive/gate.h"
#include "harness/drive/kill_case.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	WHERE_SIZE = 160,
	CLOCK_ROUNDS = 4, /* every fourth round has a stepping clock */
	CLOCK_STEPS = 8,  /* steps in the time that the warm-up took */
	CLOCK_STEP_NS_MIN = 200 * 1000,
	KILL_NS_MIN = 200 * 1000, /* so that a kill can meet the opening of the database */
	HALF_A_DAY_SECONDS = 12 * 60 * 60,
	SHARE_SCALE = 1000,
};

/* ---- where a round is ---- */

/* What becomes of one round. */
struct plan {
	uint64_t number; /* 0: warm-up */
	bool migrating, by_operation, clock;
	size_t victim;
	struct fi_kill_plan operation;
	uint64_t kill_ns, delay_ns;
};

static void describe(const struct kill_run *k, const struct plan *p, size_t writer_count,
		     char ret[WHERE_SIZE])
{
	static const char *const moments[] = {
	    [FI_KILL_NEVER] = "",
	    [FI_KILL_BEFORE] = "before I/O operation",
	    [FI_KILL_AFTER] = "after I/O operation",
	    [FI_KILL_IN_SYNC] = "inside sync",
	};

	if (p->number == 0) {
		(void)snprintf(ret, WHERE_SIZE, "in the warm-up, in which nobody is killed");
		return;
	}
	int n =
	    snprintf(ret, WHERE_SIZE, "round %" PRIu64 " of seed %" PRIu64 ", writer %zu of %zu ",
		     p->number, k->options->seed, p->victim + 1, writer_count);

	if (p->by_operation)
		(void)snprintf(ret + n, WHERE_SIZE - (size_t)n, "to be killed %s %" PRIu64,
			       moments[p->operation.moment], p->operation.number);
	else
		(void)snprintf(ret + n, WHERE_SIZE - (size_t)n, "to be killed after %" PRIu64 " us",
			       p->kill_ns / 1000);
}

/* ---- planning ---- */

/* The share of a measured amount that is still to be done: a client that goes on has less left. */
static uint64_t share_left(const struct kill_run *k, uint64_t amount)
{
	uint64_t done, all;

	if (k->state_count < 2)
		return amount;
	done = kill_run_writing_client(k)->from.turn;
	all = k->state_count - 1;
	return (uint64_t)((double)amount * (double)(all - done) / (double)all);
}

static void plan_round(const struct kill_run *k, uint64_t number, bool migrating, struct plan *ret)
{
	const struct kill_measure *m = migrating ? &k->migration_measure : &k->measure;
	uint64_t duration = share_left(k, m->duration_ns);
	struct prng random;

	memset(ret, 0, sizeof *ret);
	prng_init(&random, prng_mix(k->options->seed) + number, "kill");
	ret->number = number;
	ret->migrating = migrating;
	ret->victim = (size_t)prng_below(&random, migrating ? 1 : k->job_count);
	ret->by_operation = prng_below(&random, 2) == 1;
	ret->kill_ns = 1 + prng_below(&random, duration < KILL_NS_MIN ? KILL_NS_MIN : duration);
	ret->delay_ns = prng_below(&random, 2) == 0 ? 0 : prng_below(&random, duration / 4 + 1);
	ret->operation.moment = (enum fi_kill_moment)(FI_KILL_BEFORE + prng_below(&random, 3));
	const struct fi_kill_counts *counts = &m->counts[ret->victim];

	if (counts->syncs == 0 && ret->operation.moment == FI_KILL_IN_SYNC)
		ret->operation.moment = FI_KILL_BEFORE;
	uint64_t range = share_left(
	    k, ret->operation.moment == FI_KILL_IN_SYNC ? counts->syncs : counts->operations);

	ret->operation.number = 1 + prng_below(&random, range == 0 ? 1 : range);
	ret->clock =
	    k->options->faketime != NULL && kill_can_fake_time() && number % CLOCK_ROUNDS == 0;
}

/* ---- checking ---- */

static bool is_workload(const struct kill_run *k)
{
	return k->scenario->workload != NULL;
}

static void collect(struct kill_run *k, const struct kill_round *r)
{
	for (size_t i = 0; i < r->writer_count; i++) {
		const struct kill_writer *w = &r->writers[i];

		k->acked += w->turns;
		for (size_t p = 0; p < w->promise_count; p++) {
			k->promises = xgrow(k->promises, k->promise_count, &k->promise_cap,
					    sizeof *k->promises);
			k->promises[k->promise_count++] = w->promises[p];
		}
	}
}

/* Writers that did not end as they should. */
static void judge_writers(struct kill_run *k, const struct kill_round *r, const char *where)
{
	for (size_t i = 0; i < r->writer_count; i++) {
		const struct kill_writer *w = &r->writers[i];
		char message[VERDICT_MESSAGE_SIZE];

		if (w->end == KILL_END_FAILED) {
			(void)snprintf(message, sizeof message, "writer %zu cannot go on: %.300s",
				       i + 1, w->error.message);
			kill_run_find(k, "liveness", GRADE_NONE, message, where);
		} else if (w->end == KILL_END_HUNG) {
			(void)snprintf(message, sizeof message,
				       "writer %zu did not end within %d seconds", i + 1,
				       KILL_HANG_SECONDS);
			kill_run_find(k, "liveness", GRADE_NONE, message, where);
		} else if (w->end == KILL_END_CRASHED) {
			(void)snprintf(message, sizeof message, "writer %zu crashed: signal %d",
				       i + 1, w->signal);
			kill_run_find(k, "recovery", GRADE_CORRUPT, message, where);
		}
	}
}

static void judge_durability(struct kill_run *k, const struct kill_round *r,
			     const struct observation *o, const struct probe_result *answer,
			     const char *where)
{
	struct kill_durability d = {.grade = GRADE_DURABLE};

	if (answer != NULL)
		kill_judge_promises(answer, k->promises, k->promise_count, &d);
	if (k->states != NULL) {
		const struct kill_writer *w = &r->writers[k->writing_job];

		kill_judge_turns(o, k->states, k->state_count, w->positions[k->writing_at].turn,
				 w->end != KILL_END_FINISHED, &d);
		kill_run_writing_client(k)->from = k->states[d.turn].position;
	}
	if (d.lost > k->lost_max)
		k->lost_max = d.lost;
	if (d.grade != GRADE_DURABLE)
		kill_run_find(k, "history", d.grade, d.message, where);
}

static void judge_observed(struct kill_run *k, const struct kill_round *r, struct observation *o,
			   const char *where)
{
	struct verdict verdicts[JUDGE_VERDICTS_MAX];
	const struct probe_result *answer = NULL;
	size_t probe_count = o->probe_count;
	bool readable = o->rc == 0 && !o->hung;
	enum grade grade;
	uint64_t lost;

	/* The oracles have their own probes, and ours stands behind them. */
	if (readable && k->has_promise_sql) {
		ASSERT_OP(o->probe_count, ==, k->probes.count);
		answer = &o->probes[--o->probe_count];
	}
	size_t n = judge_observation(examiner_judge(k->examiner), NULL, 0, o, verdicts,
				     JUDGE_VERDICTS_MAX, &grade, &lost);

	for (size_t i = 0; i < n; i++)
		kill_run_find(k, verdicts[i].oracle, verdicts[i].grade, verdicts[i].message, where);
	if (readable)
		judge_durability(k, r, o, answer, where);
	o->probe_count = probe_count;
}

/* Opens what is there after a round, and judges it. */
static int check(struct kill_run *k, const struct kill_round *r, const struct plan *p,
		 struct err *err)
{
	struct observation o = {0};
	char where[WHERE_SIZE];
	size_t found = 0;
	int crash = 0, rc;

	for (size_t i = 0; i < k->finding_count; i++)
		found += k->findings[i].rounds;
	describe(k, p, r->writer_count, where);
	collect(k, r);
	judge_writers(k, r, where);
	rc = kill_check_observe(k->subject, &k->probes, k->options->stop, k->options->ctx, &o,
				&crash, err);
	if (rc == ERR_INTERRUPTED) {
		k->interrupted = true;
		return 0;
	}
	if (rc != 0)
		return rc;
	k->checks++;
	if (crash != 0) {
		char message[VERDICT_MESSAGE_SIZE];

		(void)snprintf(message, sizeof message,
			       "opening the database crashed SQLite: signal %d", crash);
		kill_run_find(k, "recovery", GRADE_CORRUPT, message, where);
	} else {
		judge_observed(k, r, &o, where);
	}
	observation_release(&o);
	for (size_t i = 0; i < k->finding_count; i++)
		found -= k->findings[i].rounds;
	if (found != 0)
		k->fresh = true; /* what is broken is not worth writing on */
	return 0;
}

/* ---- rounds ---- */

static int make_fresh(struct kill_run *k, struct err *err)
{
	k->promise_count = 0;
	k->generation_rounds = 0;
	k->fresh = false;
	if (!is_workload(k))
		for (size_t j = 0; j < k->job_count; j++)
			for (size_t i = 0; i < k->jobs[j].client_count; i++)
				k->jobs[j].clients[i].from =
				    (struct kill_position){.turn = 0, .repetition = 1};
	return kill_folder_fresh(&k->folder, k->folder.data, err);
}

/* The planted defect of the runner: it kills nobody. */
static bool kill_run_spares(const struct kill_run *k)
{
	return k->scenario->plant != NULL && strcmp(k->scenario->plant, PLANT_NEVER_KILLS) == 0;
}

/* Fills `r` with the writers of a plan; `jobs` is room for their jobs. */
static void fill_round(struct kill_run *k, const struct plan *p, struct kill_round *r,
		       struct kill_job jobs[KILL_WRITERS_MAX])
{
	const struct kill_measure *m = p->migrating ? &k->migration_measure : &k->measure;
	bool spared = p->number == 0 || kill_run_spares(k);

	*r = (struct kill_round){
	    .writer_count = p->migrating ? 1 : k->job_count,
	    .victim = p->victim,
	    .kill_ns = p->by_operation || spared ? UINT64_MAX : p->kill_ns,
	    .delay_ns = spared ? UINT64_MAX : p->delay_ns,
	    .faketime = p->clock ? k->options->faketime : NULL,
	    .folder = &k->folder,
	    .clock_step_ns = m->duration_ns / CLOCK_STEPS + CLOCK_STEP_NS_MIN,
	    .stop = k->options->stop,
	    .ctx = k->options->ctx,
	};
	for (size_t i = 0; i < r->writer_count; i++) {
		jobs[i] = p->migrating ? k->migration : k->jobs[i];
		/* Other data in each round: what is written twice must not look the same. */
		jobs[i].seed = prng_mix(k->options->seed) + p->number;
		if (i == p->victim && p->by_operation && !spared)
			jobs[i].plan = p->operation;
		r->writers[i].job = &jobs[i];
	}
}

/* The machine is not always as fast as it was in the warm-up. Where the writers were through before
 * their time to be killed had come, later times are drawn from what they really took. */
static void correct_measure(struct kill_run *k, const struct plan *p, const struct kill_round *r)
{
	struct kill_measure *m = p->migrating ? &k->migration_measure : &k->measure;
	uint64_t share = share_left(k, SHARE_SCALE);

	if (p->by_operation || kill_round_killed(r) > 0 || share == 0)
		return;
	uint64_t whole = (uint64_t)((double)r->duration_ns * SHARE_SCALE / (double)share);

	if (whole > 0 && whole < m->duration_ns)
		m->duration_ns = whole;
}

static int run_round(struct kill_run *k, uint64_t number, struct err *err)
{
	struct kill_job jobs[KILL_WRITERS_MAX];
	struct kill_round r;
	struct plan p;
	bool is_through =
	    k->state_count > 0 && kill_run_writing_client(k)->from.turn == k->state_count - 1;
	int rc = 0;

	if (k->fresh || !k->can_resume || is_through ||
	    k->generation_rounds == KILL_GENERATION_ROUNDS)
		rc = make_fresh(k, err);
	if (rc != 0)
		return rc;
	plan_round(k, number, k->has_migration && k->generation_rounds == 0, &p);
	k->generation_rounds++;
	fill_round(k, &p, &r, jobs);
	rc = kill_round_run(&r, err);
	if (rc == 0 && r.interrupted)
		k->interrupted = true;
	if (rc != 0 || r.interrupted)
		goto out;
	k->rounds++;
	correct_measure(k, &p, &r);
	k->kills += kill_round_killed(&r) > 0;
	k->clock_rounds += p.clock;
	for (size_t i = 0, seen = 0; i < r.writer_count && p.clock && seen == 0; i++) {
		seen = llabs(r.writers[i].clock_offset_seconds) > HALF_A_DAY_SECONDS;
		k->clock_seen += seen;
	}
	rc = check(k, &r, &p, err);
out:
	kill_round_release(&r);
	return rc;
}

/* One run without kills on the files as they are, which is measured. ERR_INPUT when a writer
 * fails: then it is not the kills' doing. */
static int warm_up_once(struct kill_run *k, bool migrating, struct kill_measure *ret,
			struct err *err)
{
	struct kill_job jobs[KILL_WRITERS_MAX];
	struct plan p = {.migrating = migrating};
	struct kill_round r;
	int rc;

	fill_round(k, &p, &r, jobs);
	rc = kill_round_run(&r, err);
	if (rc == 0 && r.interrupted)
		k->interrupted = true;
	if (rc != 0 || r.interrupted)
		goto out;
	ret->duration_ns = r.duration_ns;
	for (size_t i = 0; i < r.writer_count; i++) {
		ret->counts[i] = r.writers[i].counts;
		if (r.writers[i].end == KILL_END_FAILED) {
			*err = r.writers[i].error;
			rc = err->code == ERR_HARNESS ? ERR_HARNESS : ERR_INPUT;
			err->code = rc;
			goto out;
		}
	}
	rc = check(k, &r, &p, err);
out:
	kill_round_release(&r);
	return rc;
}

/* The finding "history" of a warm-up means that the reference is no reference: nobody was killed.
 */
static bool forget_history(struct kill_run *k)
{
	for (size_t i = 0; i < k->finding_count; i++) {
		struct kill_finding *f = &k->findings[i];

		if (strcmp(f->oracle, "history") != 0)
			continue;
		free(f->oracle);
		free(f->message);
		*f = k->findings[--k->finding_count];
		k->lost_max = 0;
		return true;
	}
	return false;
}

static int warm_up(struct kill_run *k, struct err *err)
{
	int rc = make_fresh(k, err);

	if (rc == 0 && k->has_migration)
		rc = warm_up_once(k, true, &k->migration_measure, err);
	if (rc == 0 && !k->interrupted)
		rc = warm_up_once(k, false, &k->measure, err);
	if (rc == ERR_INPUT && k->has_migration && k->scenario->plant != NULL) {
		/* The defect leaves files that cannot be written on: each round begins afresh. */
		k->can_resume = false;
		rc = 0;
	}
	k->fresh = true;
	if (rc != 0 || k->interrupted || k->states == NULL || !forget_history(k))
		return rc;
	/* A client that keeps something on its connection ends elsewhere when it gets a new one for
	 * each transaction; compared with one that kept it, it may still be exact. */
	if (k->can_resume) {
		rc = kill_run_reference(k, false, err);
		if (rc == 0)
			rc = make_fresh(k, err);
		if (rc == 0)
			rc = warm_up_once(k, false, &k->measure, err);
		k->fresh = true;
		if (rc != 0 || !forget_history(k))
			return rc;
	}
	free(k->states);
	k->states = NULL;
	k->state_count = 0;
	k->can_resume = false;
	k->unknown = xstrdup("two runs of the client give different results");
	return 0;
}

static bool is_spent(const struct kill_run *k)
{
	const struct kill_options *o = k->options;

	return (o->rounds_max != 0 && k->rounds >= o->rounds_max) ||
	       (o->deadline_ns != 0 && gate_now_ns() >= o->deadline_ns);
}

static int run_rounds(struct kill_run *k, struct err *err)
{
	int rc = 0;

	while (rc == 0 && !k->interrupted && !is_spent(k)) {
		rc = run_round(k, k->rounds + 1, err);
		if (rc == 0 && k->options->progress != NULL)
			k->options->progress(k->options->ctx, k->spec->id, k->rounds, k->kills);
	}
	return rc;
}

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

static void set_rules(const struct kill_run *k, struct case_result *c)
{
	c->required = k->options->require != NULL ? *k->options->require : GRADE_DURABLE;
	if (may_break(k)) {
		c->required = k->spec->required;
		c->has_expected = k->spec->has_expect;
		c->expected = k->spec->expected;
	}
	c->has_required = !c->has_expected;
}

static void fill_findings(const struct kill_run *k, struct case_result *c)
{
	struct judge_not_applicable none[16];
	size_t none_count =
	    k->examiner == NULL ? 0 : judge_not_applicable(examiner_judge(k->examiner), none, 16);

	/* Worst first; among equals in the order of discovery. */
	for (int grade = GRADE_CORRUPT; grade <= GRADE_NONE; grade++) {
		for (size_t i = 0; i < k->finding_count; i++) {
			const struct kill_finding *f = &k->findings[i];
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

static void fill_notes(const struct kill_run *k, struct case_result *c)
{
	case_result_note(c, "%" PRIu64 " of %" PRIu64 " rounds ended a writer by SIGKILL", k->kills,
			 k->rounds);
	if (!kill_can_fake_time())
		case_result_note(c, "clock rounds left out: this build has a sanitizer under which "
				    "libfaketime hangs");
	else if (k->options->faketime == NULL)
		case_result_note(c, "clock rounds left out: libfaketime is not installed");
	else if (k->clock_seen < k->clock_rounds)
		case_result_note(c,
				 "in %" PRIu64 " of %" PRIu64
				 " clock rounds no writer saw the clock "
				 "step",
				 k->clock_rounds - k->clock_seen, k->clock_rounds);
	else
		case_result_note(c, "%" PRIu64 " rounds ran with a stepping clock",
				 k->clock_rounds);
}

void kill_run_verdict(const struct kill_run *k, struct case_result *c)
{
	enum grade worst = GRADE_DURABLE;
	bool outside = false;

	for (size_t i = 0; i < k->finding_count; i++) {
		if (k->findings[i].grade < worst)
			worst = k->findings[i].grade;
		outside = outside || k->findings[i].grade == GRADE_NONE;
	}
	/* To call it durable would claim what was not checked. */
	bool checked = k->checks > 0 && k->unknown == NULL;

	c->grade = !checked && worst == GRADE_DURABLE ? GRADE_NONE : worst;
	c->verdict = CASE_VIOLATED;
	if (c->has_expected ? worst < c->expected : outside || worst < c->required)
		return;
	c->verdict = CASE_INCONCLUSIVE;
	if (c->has_expected && worst > c->expected)
		c->reason =
		    xasprintf("%s is expected, and these kills showed nothing worse than %s",
			      grade_text(c->expected), grade_text(worst));
	else if (k->interrupted)
		c->reason = xasprintf("interrupted after %" PRIu64 " rounds", k->rounds);
	else if (k->unknown != NULL && !c->has_expected && c->required > GRADE_TORN)
		c->reason = xasprintf("%s is required, and durability was not judged: %s",
				      grade_text(c->required), k->unknown);
	else if (k->rounds == 0)
		c->reason = xstrdup("the budget ended before the first round");
	else if (k->kills * 2 < k->rounds)
		c->reason = xasprintf("only %" PRIu64 " of %" PRIu64
				      " rounds killed anything: the others had finished",
				      k->kills, k->rounds);
	else
		c->verdict = CASE_HELD;
}

static void fill_result(const struct kill_run *k, struct case_result *c)
{
	fill_findings(k, c);
	fill_notes(k, c);
	c->recoveries = k->checks;
	c->commits = k->acked;
	c->lost_acked_max = k->lost_max;
	c->rounds = k->rounds;
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
		rc = warm_up(&k, err);
	if (rc == 0 && skip_reason == NULL)
		rc = run_rounds(&k, err);
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
