/*
 * The rounds of the real kills, one after another on the files of one folder, and how what each of
 * them left is judged. See kill.h and kill_case.h.
 */
#include "faultinject/base/assert.h"
#include "faultinject/base/prng.h"
#include "harness/drive/kill_case.h"
#include "harness/drive/plant.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CLOCK_STEPS = 8, /* steps in the time that the warm-up took */
	CLOCK_STEP_NS_MIN = 200 * 1000,
	HALF_A_DAY_SECONDS = 12 * 60 * 60,
	SHARE_SCALE = 1000,
};

/* Keeps a finding; oracle, grade and message are those of `v`. */
static void find(struct kill_run *k, const struct kill_plan *p, const struct verdict *v, bool power,
		 bool live, const char *where)
{
	struct kill_finding f = {
	    .oracle = (char *)(uintptr_t)v->oracle,
	    .grade = v->grade,
	    .power = power,
	    .live = live,
	    .message = xasprintf("%s (%s)", v->message, where),
	    .number = p->number,
	};

	kill_score_find(&k->score, &f);
	free(f.message);
}

/* ---- checking ---- */

static bool is_workload(const struct kill_run *k)
{
	return k->scenario->workload != NULL;
}

static void keep(struct kill_promise **list, size_t *count, size_t *cap,
		 const struct kill_writer *w)
{
	for (size_t p = 0; p < w->promise_count; p++) {
		*list = xgrow(*list, *count, cap, sizeof **list);
		(*list)[(*count)++] = w->promises[p];
	}
}

static void collect(struct kill_run *k, const struct kill_round *r, const struct kill_plan *p)
{
	for (size_t i = 0; i < r->writer_count; i++) {
		const struct kill_writer *w = &r->writers[i];

		k->score.acked += w->turns;
		if (w->job->role == KILL_ROLE_WRITER)
			keep(&k->promises, &k->promise_count, &k->promise_cap, w);
		else if (!p->power) /* what a reader saw may be lost with the power */
			keep(&k->seen, &k->seen_count, &k->seen_cap, w);
	}
}

/* What a reader told: "ORACLE MESSAGE". */
static void take_found(struct kill_run *k, const struct kill_plan *p, const struct kill_writer *w,
		       const char *name, const char *where)
{
	for (size_t i = 0; i < w->found_count; i++) {
		const char *text = w->found[i].message, *blank = strchr(text, ' ');
		char *oracle = xasprintf("%.*s", (int)(blank - text), text);
		struct verdict v = {.oracle = oracle, .grade = w->found[i].grade};

		(void)snprintf(v.message, sizeof v.message, "%s, while the writers wrote: %.300s",
			       name, blank + 1);
		find(k, p, &v, false, true, where);
		free(oracle);
	}
}

/* Processes that did not end as they should, and what readers found. */
static void judge_writers(struct kill_run *k, const struct kill_round *r, const struct kill_plan *p,
			  const char *where)
{
	for (size_t i = 0; i < r->writer_count; i++) {
		const struct kill_writer *w = &r->writers[i];
		struct verdict v = {.oracle = "liveness", .grade = GRADE_NONE};
		char name[32];

		kill_writer_name(r, i, name, sizeof name);
		take_found(k, p, w, name, where);
		if (w->end == KILL_END_FAILED) {
			(void)snprintf(v.message, sizeof v.message, "%s cannot go on: %.300s", name,
				       w->error.message);
		} else if (w->end == KILL_END_HUNG) {
			(void)snprintf(v.message, sizeof v.message,
				       "%s did not end within %d seconds", name, KILL_HANG_SECONDS);
		} else if (w->end == KILL_END_CRASHED) {
			v.oracle = "recovery";
			v.grade = GRADE_CORRUPT;
			(void)snprintf(v.message, sizeof v.message, "%s crashed: signal %d", name,
				       w->signal);
		}
		if (v.message[0] != '\0')
			find(k, p, &v, false, false, where);
	}
}

static uint64_t seen_turn(const struct kill_round *r)
{
	uint64_t turn = 0;

	for (size_t i = 0; i < r->writer_count; i++)
		if (r->writers[i].seen_turn > turn)
			turn = r->writers[i].seen_turn;
	return turn;
}

static void judge_durability(struct kill_run *k, const struct kill_round *r,
			     const struct kill_plan *p, const struct observation *o,
			     const struct probe_result *answer, const char *where)
{
	struct kill_durability d = {.grade = GRADE_DURABLE}, seen = {.grade = GRADE_DURABLE};

	if (answer != NULL) {
		kill_judge_promises(answer, k->promises, k->promise_count, &d);
		kill_judge_promises(answer, k->seen, k->seen_count, &seen);
	}
	if (k->states != NULL) {
		const struct kill_writer *w = &r->writers[k->writing_job];

		kill_judge_turns(o, k->states, k->state_count, w->positions[k->writing_at].turn,
				 w->end != KILL_END_FINISHED, &d);
		kill_run_writing_client(k)->from = k->states[d.turn].position;
		if (d.grade == GRADE_DURABLE && !p->power && d.turn < seen_turn(r)) {
			seen.grade = GRADE_CONSISTENT;
			(void)snprintf(seen.message, sizeof seen.message,
				       "the state after %" PRIu64 " transactions, and there is the "
				       "one after %" PRIu64,
				       seen_turn(r), d.turn);
		}
	}
	if (d.lost > k->score.lost_max)
		k->score.lost_max = d.lost;
	struct verdict v = {.oracle = "history", .grade = d.grade};

	if (d.grade != GRADE_DURABLE) {
		(void)snprintf(v.message, sizeof v.message, "%s", d.message);
	} else {
		v.grade = seen.grade;
		(void)snprintf(v.message, sizeof v.message,
			       "what a reader had seen is gone: %.300s", seen.message);
	}
	if (v.grade != GRADE_DURABLE)
		find(k, p, &v, p->power, false, where);
}

static void judge_observed(struct kill_run *k, const struct kill_round *r,
			   const struct kill_plan *p, struct observation *o, const char *where)
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
		find(k, p, &verdicts[i], p->power, false, where);
	if (readable)
		judge_durability(k, r, p, o, answer, where);
	o->probe_count = probe_count;
}

/* Opens the files as they are, and judges them. */
static int check_files(struct kill_run *k, const struct kill_round *r, const struct kill_plan *p,
		       unsigned state, struct err *err)
{
	struct observation o = {0};
	char where[KILL_WHERE_SIZE];
	int crash = 0;
	int rc = kill_check_observe(&k->checker, k->subject, &k->probes, k->options->stop,
				    k->options->ctx, &o, &crash, err);

	if (rc == ERR_INTERRUPTED) {
		k->interrupted = true;
		return 0;
	}
	if (rc != 0)
		return rc;
	k->score.checks++;
	kill_plan_describe(k, p, r, state, where);
	if (crash != 0) {
		struct verdict v = {.oracle = "recovery", .grade = GRADE_CORRUPT};

		(void)snprintf(v.message, sizeof v.message,
			       "opening the database crashed SQLite: signal %d", crash);
		find(k, p, &v, p->power, false, where);
	} else {
		judge_observed(k, r, p, &o, where);
	}
	observation_release(&o);
	return 0;
}

/* The files that the power cut may have left, one after another in their place. */
static int check_power(struct kill_run *k, const struct kill_round *r, const struct kill_plan *p,
		       const struct fi_kill_file *base, size_t base_count, struct err *err)
{
	struct kill_power *power = NULL;
	int rc =
	    kill_power_create(k->log, base, base_count, k->folder.data, &k->model, &power, err);

	for (unsigned state = 1; state <= KILL_POWER_STATES && rc == 0 && !k->interrupted;
	     state++) {
		rc =
		    kill_power_state(power, state - 1, prng_mix(k->options->seed) + p->number, err);
		if (rc == 0)
			rc = check_files(k, r, p, state, err);
		k->score.states += rc == 0;
	}
	k->score.cuts++;
	kill_power_free(power);
	return rc;
}

/* ---- rounds ---- */

static int make_fresh(struct kill_run *k, struct err *err)
{
	k->promise_count = 0;
	k->seen_count = 0;
	k->generation_rounds = 0;
	k->fresh = false;
	if (!is_workload(k))
		for (size_t j = 0; j < k->writer_count; j++)
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

/* Fills `r` with the processes of a plan; `jobs` is room for their jobs. */
static void fill_round(struct kill_run *k, const struct kill_plan *p, struct kill_round *r,
		       struct kill_job jobs[KILL_PROCESSES_MAX])
{
	bool spared = p->number == 0 || kill_run_spares(k);
	size_t list[KILL_PROCESSES_MAX];

	k->clock = (struct kill_clock){
	    .library = k->options->faketime,
	    .file = k->folder.clock,
	    .plan = fi_clock_find(k->scenario->clock),
	    .monotonic_follows = k->scenario->clock != NULL && p->number % 2 == 1,
	};
	*r = (struct kill_round){
	    .writer_count = kill_plan_jobs(k, p, list),
	    .victim = p->victim,
	    .kill_ns = p->by_operation || spared ? UINT64_MAX : p->kill_ns,
	    .delay_ns = spared ? UINT64_MAX : p->delay_ns,
	    .kills_rest = !spared && p->kills_rest,
	    .over = k->over,
	    .log = p->power ? k->log : NULL,
	    .clock = p->clock || k->clock.plan != NULL ? &k->clock : NULL,
	    .folder = &k->folder,
	    .clock_step_ns = kill_plan_measure(k, p)->duration_ns / CLOCK_STEPS + CLOCK_STEP_NS_MIN,
	    .stop = k->options->stop,
	    .ctx = k->options->ctx,
	};
	for (size_t i = 0; i < r->writer_count; i++) {
		jobs[i] = p->migrating && i == 0 ? k->migration : k->jobs[list[i]];
		/* Other data in each round: what is written twice must not look the same. */
		jobs[i].seed = prng_mix(k->options->seed) + p->number;
		if (i == p->victim && p->by_operation && !spared)
			jobs[i].plan = p->operation;
		r->writers[i].job = &jobs[i];
	}
}

/* The machine is not always as fast as it was in the warm-up. Where the writers were through before
 * their time to be killed had come, later times are drawn from what they really took. */
static void correct_measure(struct kill_run *k, const struct kill_plan *p,
			    const struct kill_round *r)
{
	struct kill_measure *m = p->migrating ? &k->migration_measure : &k->measure;
	uint64_t share = kill_run_share_left(k, SHARE_SCALE);

	if (p->by_operation || kill_round_killed(r) > 0 || share == 0)
		return;
	uint64_t whole = (uint64_t)((double)r->duration_ns * SHARE_SCALE / (double)share);

	if (whole > 0 && whole < m->duration_ns)
		m->duration_ns = whole;
}

/* Judges what a round left. */
static int check_round(struct kill_run *k, const struct kill_round *r, struct kill_plan *p,
		       const struct fi_kill_file *base, size_t base_count, struct err *err)
{
	char where[KILL_WHERE_SIZE];
	int rc;

	/* The victim may have ended before it came to its sync. */
	if (p->power && fi_kill_log_full(k->log)) {
		k->log_was_full = true;
		k->score.logs_full++;
	}
	p->power = p->power && fi_kill_log_sealed(k->log) && !k->log_was_full;
	kill_plan_describe(k, p, r, 0, where);
	collect(k, r, p);
	judge_writers(k, r, p, where);
	rc = p->power ? check_power(k, r, p, base, base_count, err) : check_files(k, r, p, 0, err);
	if (k->score.finding_count > 0)
		k->fresh = true; /* what is broken is not worth writing on */
	return rc;
}

static void count_round(struct kill_run *k, const struct kill_round *r, const struct kill_plan *p)
{
	k->score.rounds = 1;
	k->score.kills = kill_round_killed(r) > 0;
	k->score.clock_rounds = p->clock;
	/* With a plan each process looks itself whether it sees its clock move. */
	k->score.clock_seen = p->clock && k->clock.plan != NULL;
	for (size_t i = 0; i < r->writer_count && p->clock && k->score.clock_seen == 0; i++)
		k->score.clock_seen =
		    llabs(r->writers[i].clock_offset_seconds) > HALF_A_DAY_SECONDS;
}

/* What a power cut needs: an empty log, and the files as they are. */
static int prepare_power(struct kill_run *k, struct fi_kill_file **ret_base, size_t *ret_count,
			 struct err *err)
{
	int rc = 0;

	if (k->log == NULL)
		rc = fi_kill_log_create(&k->log, err);
	if (rc != 0)
		return rc;
	fi_kill_log_reset(k->log);
	return kill_folder_read(k->folder.data, ret_base, ret_count, err);
}

int kill_run_round(struct kill_run *k, uint64_t number, struct err *err)
{
	struct kill_job jobs[KILL_PROCESSES_MAX];
	struct kill_round r = {0};
	struct fi_kill_file *base = NULL;
	size_t base_count = 0;
	struct kill_plan p;
	bool is_through =
	    k->state_count > 0 && kill_run_writing_client(k)->from.turn == k->state_count - 1;
	int rc = 0;

	kill_score_release(&k->score);
	k->score.number = number;
	if (k->fresh || !k->can_resume || is_through ||
	    k->generation_rounds == KILL_GENERATION_ROUNDS)
		rc = make_fresh(k, err);
	if (rc != 0)
		return rc;
	kill_plan_round(k, number, k->has_migration && k->generation_rounds == 0, &p);
	k->generation_rounds++;
	if (p.power)
		rc = prepare_power(k, &base, &base_count, err);
	if (rc != 0)
		goto out;
	fill_round(k, &p, &r, jobs);
	rc = kill_round_run(&r, err);
	if (rc == 0 && r.interrupted)
		k->interrupted = true;
	if (rc != 0 || r.interrupted)
		goto out;
	correct_measure(k, &p, &r);
	count_round(k, &r, &p);
	rc = check_round(k, &r, &p, base, base_count, err);
out:
	kill_files_release(base, base_count);
	kill_round_release(&r);
	return rc;
}

/* ---- the warm-up ---- */

static int warm_up_once(struct kill_run *k, bool migrating, struct kill_measure *ret,
			struct err *err)
{
	struct kill_job jobs[KILL_PROCESSES_MAX];
	struct kill_plan p = {.migrating = migrating};
	struct kill_round r;
	int rc;

	/* Everybody is measured. */
	for (size_t i = 0; i < KILL_PROCESSES_MAX; i++)
		p.others[i] = true;
	size_t list[KILL_PROCESSES_MAX];

	(void)kill_plan_jobs(k, &p, list);
	fill_round(k, &p, &r, jobs);
	rc = kill_round_run(&r, err);
	if (rc == 0 && r.interrupted)
		k->interrupted = true;
	if (rc != 0 || r.interrupted)
		goto out;
	ret->duration_ns = r.duration_ns;
	for (size_t i = 0; i < r.writer_count; i++) {
		ret->counts[list[i]] = r.writers[i].counts;
		if (r.writers[i].end == KILL_END_FAILED) {
			*err = r.writers[i].error;
			rc = err->code == ERR_HARNESS ? ERR_HARNESS : ERR_INPUT;
			err->code = rc;
			goto out;
		}
	}
	rc = check_round(k, &r, &p, NULL, 0, err);
out:
	kill_round_release(&r);
	return rc;
}

/* The finding "history" of a warm-up means that the reference is no reference: nobody was killed.
 */
static bool forget_history(struct kill_run *k)
{
	struct kill_score *s = &k->score;
	bool found = false;

	for (size_t i = s->finding_count; i-- > 0;) {
		struct kill_finding *f = &s->findings[i];

		if (strcmp(f->oracle, "history") != 0)
			continue;
		free(f->oracle);
		free(f->message);
		*f = s->findings[--s->finding_count];
		s->lost_max = 0;
		found = true;
	}
	return found;
}

int kill_run_warm_up(struct kill_run *k, struct err *err)
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
		if (rc != 0 || k->states == NULL || !forget_history(k))
			return rc;
	}
	free(k->states);
	k->states = NULL;
	k->state_count = 0;
	k->reading.states = NULL;
	k->can_resume = false;
	k->unknown = xstrdup("two runs of the client give different results");
	return 0;
}
