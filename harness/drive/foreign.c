/* See foreign.h. */
#include "harness/drive/foreign.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"
#include "faultinject/base/prng.h"
#include "harness/drive/foreign_internal.h"
#include "harness/drive/identity.h"
#include "harness/drive/kill_resume.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	/* The recorder's own kills (reclog_header.kill_moment). */
	MOMENT_TIME = 0,
	MOMENT_BEFORE = 1,
	MOMENT_AFTER = 2,
	MOMENT_IN_SYNC = 3,
	KILL_NS_MIN = 200 * 1000,
	IDLE_ROUNDS = 3, /* on data of its own without a commit: then it never does anything */
};

bool foreign_stop(void *ctx)
{
	const struct foreign_run *f = ctx;

	return (f->o->stop != NULL && f->o->stop(f->o->ctx)) ||
	       (f->o->deadline_ns != 0 && gate_now_ns() >= f->o->deadline_ns);
}

/* ---- running it ---- */

struct plan {
	uint32_t moment;
	uint64_t at; /* MOMENT_TIME: nanoseconds; otherwise the number of a call or sync */
};

static void plan_round(const struct foreign_run *f, uint64_t number, struct plan *ret)
{
	const struct foreign_measure *m = f->generation == 0 ? &f->fresh : &f->grown;
	struct prng random;

	prng_init(&random, prng_mix(f->o->seed) + number, "kill");
	ret->moment = (uint32_t)prng_below(&random, 4);
	if (ret->moment == MOMENT_IN_SYNC && m->syncs == 0)
		ret->moment = MOMENT_BEFORE;
	if (ret->moment != MOMENT_TIME && m->calls == 0)
		ret->moment = MOMENT_TIME;
	uint64_t range = ret->moment == MOMENT_TIME	 ? m->duration_ns
			 : ret->moment == MOMENT_IN_SYNC ? m->syncs
							 : m->calls;

	if (ret->moment == MOMENT_TIME && range < KILL_NS_MIN)
		range = KILL_NS_MIN;
	ret->at = 1 + prng_below(&random, range);
}

static void describe(const struct foreign_run *f, const struct plan *p, uint64_t number,
		     char ret[FOREIGN_WHERE_SIZE])
{
	static const char *const moments[] = {"after", "before call", "after call", "inside sync"};

	if (p == NULL)
		(void)snprintf(ret, FOREIGN_WHERE_SIZE,
			       "in the warm-up, in which nobody is killed");
	else if (p->moment == MOMENT_TIME)
		(void)snprintf(ret, FOREIGN_WHERE_SIZE,
			       "round %" PRIu64 " of seed %" PRIu64 ", to be killed after %" PRIu64
			       " us",
			       number, f->o->seed, p->at / 1000);
	else
		(void)snprintf(ret, FOREIGN_WHERE_SIZE,
			       "round %" PRIu64 " of seed %" PRIu64 ", to be killed %s %" PRIu64,
			       number, f->o->seed, moments[p->moment], p->at);
}

/* Runs the program; `p` NULL: without a kill. The trace stays with *ret. */
static int run_program(struct foreign_run *f, const struct plan *p, bool quiet,
		       struct program_run *ret, struct err *err)
{
	struct program_options options = f->o->program;
	int rc;

	options.stop = foreign_stop;
	options.ctx = f;
	options.kill_moment = p == NULL ? MOMENT_TIME : p->moment;
	options.kill_number = p == NULL || p->moment == MOMENT_TIME ? 0 : p->at;
	options.kill_ns = p == NULL || p->moment != MOMENT_TIME ? 0 : p->at;
	if (quiet) {
		options.output = f->nowhere;
		options.errors = f->nowhere;
	}
	foreign_input_rewind(&f->input);
	rc = program_run(&options, ret, err);
	/* First of all, as long as the recording still has it, what was there before. */
	if (ret->trace != NULL) {
		struct err keep = ERR_INIT;

		if (foreign_keep_add(&f->keep, ret->trace, &keep) != 0 && rc == 0) {
			*err = keep;
			rc = keep.code;
		}
	}
	if (rc == 0 && ret->end == PROGRAM_STOPPED)
		f->interrupted = true;
	return rc;
}

static void measure(const struct program_run *run, struct foreign_measure *ret)
{
	*ret = (struct foreign_measure){run->duration_ns, run->calls, run->syncs};
}

/* The run is what the next one goes on from. */
static void go_on_from(struct foreign_run *f, struct foreign_round *r)
{
	if (r->examiner != NULL) {
		foreign_round_release(&f->last);
		f->last = *r;
		f->has_last = true;
		memset(r, 0, sizeof *r);
	}
	foreign_round_release(r);
}

static uint64_t commits_of(const struct foreign_round *r)
{
	return r->examiner == NULL ? 0 : history_commits(examiner_history(r->examiner));
}

static int make_fresh(struct foreign_run *f, struct err *err)
{
	foreign_round_release(&f->last);
	f->has_last = false;
	f->make_fresh = false;
	f->generation = 0;
	return foreign_keep_restore(&f->keep, err);
}

/* ---- scores ---- */

static void clear_scores(struct foreign_run *f)
{
	for (size_t i = 0; i < 1 + f->o->model_count; i++)
		kill_score_release(&f->score[i]);
}

static bool found_something(const struct foreign_run *f)
{
	for (size_t i = 0; i < 1 + f->o->model_count; i++)
		if (f->score[i].finding_count > 0)
			return true;
	return false;
}

/* What the rounds of a case are, for --resume. */
static struct digest score_key(const struct foreign_run *f, size_t which)
{
	struct buf b;

	buf_init(&b);
	buf_printf(&b, "foreign %" PRIu64 " %s %d %d", f->o->seed,
		   which == 0 ? "kill" : f->o->models[which - 1], f->o->program.watch_output,
		   f->o->program.watch_marks);
	for (size_t i = 0; f->o->program.argv[i] != NULL; i++)
		buf_append(&b, f->o->program.argv[i], strlen(f->o->program.argv[i]) + 1);
	for (size_t i = 0; i < f->keep.files.count; i++) {
		const struct foreign_file *file = &f->keep.files.items[i];

		if (file->exists)
			buf_printf(&b, "%s %016" PRIx64, file->path,
				   hash64(file->data, (size_t)file->size, 0));
	}
	struct digest key = hash128(b.data, b.size);

	buf_release(&b);
	return key;
}

struct resuming {
	struct foreign_run *f;
	size_t which;
};

static void take_up(void *ctx, const struct kill_score *score)
{
	struct resuming *r = ctx;

	kill_score_add(&r->f->total[r->which], score);
	if (score->number > r->f->number)
		r->f->number = score->number;
}

static int resume(struct foreign_run *f, struct digest *keys, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < 1 + f->o->model_count && rc == 0; i++) {
		struct resuming r = {f, i};

		keys[i] = score_key(f, i);
		if (f->o->resume != NULL)
			rc = kill_resume_each(f->o->resume, keys[i], take_up, &r, err);
	}
	return rc;
}

static int add_scores(struct foreign_run *f, const struct digest *keys, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < 1 + f->o->model_count && rc == 0; i++) {
		kill_score_add(&f->total[i], &f->score[i]);
		if (f->o->resume != NULL)
			rc = kill_resume_add(f->o->resume, keys[i], &f->score[i], err);
	}
	clear_scores(f);
	return rc;
}

/* ---- warm-up and rounds ---- */

static int warm_up(struct foreign_run *f, bool first, struct err *err)
{
	struct program_run run = {0};
	struct foreign_round r = {0};
	int rc = run_program(f, NULL, !first, &run, err);

	if (rc != 0 || f->interrupted)
		goto out;
	if (first) {
		measure(&run, &f->fresh);
		measure(&run, &f->grown);
		f->exit_code = program_exit_code(&run);
		if (run.end == PROGRAM_TIMED_OUT)
			f->cut_short = program_ending(&run, &f->o->program);
		if (f->o->tell != NULL)
			f->o->tell(f->o->ctx, &run);
		char *who = foreign_files_open_elsewhere(&f->keep.files);

		if (who != NULL)
			rc = err_set(err, ERR_INPUT,
				     "%s: nothing is killed while somebody else uses its files",
				     who);
		free(who);
	}
	if (rc != 0)
		goto out;
	describe(f, NULL, 0, r.where);
	r.trace = run.trace;
	run.trace = NULL;
	rc = foreign_round_judge(f, &r, err);
	if (commits_of(&r) > 0)
		measure(&run, &f->grown);
	go_on_from(f, &r);
out:
	foreign_round_release(&r);
	program_run_release(&run);
	return rc;
}

/* The process that meets its call kills itself; what is around it, such as a shell, may go on. */
static bool was_killed(const struct program_run *run, const struct plan *p)
{
	if (run->end == PROGRAM_KILLED || run->end == PROGRAM_TIMED_OUT)
		return true;
	return p->moment != MOMENT_TIME &&
	       p->at <= (p->moment == MOMENT_IN_SYNC ? run->syncs : run->calls);
}

static void count_round(struct foreign_run *f, const struct program_run *run,
			const struct foreign_round *r)
{
	uint64_t commits = commits_of(r);
	bool grown = f->generation > 0;
	bool wrote = false;

	for (size_t i = 0; i < r->trace->op_count && !wrote; i++)
		wrote = r->trace->ops[i].kind == OP_WRITE;
	f->score[0].rounds++;
	f->score[0].kills += r->killed;
	f->writing += r->killed && wrote;
	f->silent += trace_first_hole(r->trace) == 0 && r->subject == NULL;
	f->failed += !r->killed && program_exit_code(run) != 0;
	if (!r->killed && commits > 0)
		measure(run, grown ? &f->grown : &f->fresh);
	if (grown && (commits > 0 || (r->killed && wrote)))
		f->grown_rounds++;
	if (grown && !r->killed && commits == 0) {
		f->idle++;
		f->make_fresh = true;
	}
	f->always_fresh = f->always_fresh || (f->idle == IDLE_ROUNDS && f->grown_rounds == 0);
	f->generation++;
}

/* A kill may come while the recorder copies what a database holds. */
static void unreadable(struct foreign_run *f, struct err *err)
{
	f->number++;
	for (size_t i = 0; i < 1 + f->o->model_count; i++)
		f->score[i].number = f->number;
	f->score[0].rounds++;
	f->holes++;
	if (f->first_hole == NULL)
		f->first_hole = xstrdup(err->message);
	f->make_fresh = true;
	*err = (struct err)ERR_INIT;
}

static int run_round(struct foreign_run *f, struct err *err)
{
	uint64_t generation =
	    f->o->fresh_rounds != 0 ? f->o->fresh_rounds : (uint64_t)FOREIGN_FRESH_ROUNDS;
	struct program_run run = {0};
	struct foreign_round r = {.number = f->number + 1};
	struct plan p;
	int rc = 0;

	if (f->make_fresh || f->always_fresh || f->generation >= generation)
		rc = make_fresh(f, err);
	if (rc != 0)
		return rc;
	plan_round(f, r.number, &p);
	describe(f, &p, r.number, r.where);
	rc = run_program(f, &p, true, &run, err);
	if (rc == ERR_INPUT) {
		unreadable(f, err);
		rc = 0;
		goto out;
	}
	if (rc != 0 || f->interrupted)
		goto out;
	r.killed = was_killed(&run, &p);
	r.trace = run.trace;
	run.trace = NULL;
	rc = foreign_round_judge(f, &r, err);
	if (rc == ERR_INTERRUPTED) {
		f->interrupted = true;
		rc = 0;
		goto out;
	}
	if (rc != 0)
		goto out;
	f->number++;
	for (size_t i = 0; i < 1 + f->o->model_count; i++)
		f->score[i].number = f->number;
	count_round(f, &run, &r);
	/* What is broken is not worth going on with. */
	f->make_fresh = f->make_fresh || found_something(f);
	go_on_from(f, &r);
out:
	foreign_round_release(&r);
	program_run_release(&run);
	return rc;
}

static int run_rounds(struct foreign_run *f, struct err *err)
{
	struct digest *keys = xcalloc(1 + f->o->model_count, sizeof *keys);
	int rc = 0;

	clear_scores(f);
	rc = warm_up(f, true, err);
	f->has_database = f->has_last;
	if (rc == 0 && !f->interrupted && f->has_database)
		rc = warm_up(f, false, err);
	if (rc == 0)
		rc = resume(f, keys, err);
	/* What the warm-ups found is found, and is no round. */
	for (size_t i = 0; i < 1 + f->o->model_count; i++)
		kill_score_add(&f->total[i], &f->score[i]);
	f->make_fresh = true;
	while (rc == 0 && f->has_database && !f->interrupted && !foreign_stop(f) &&
	       (f->o->rounds_max == 0 || f->number < f->o->rounds_max)) {
		clear_scores(f);
		rc = run_round(f, err);
		if (rc == 0 && !f->interrupted)
			rc = add_scores(f, keys, err);
		if (rc == 0 && f->o->progress != NULL)
			f->o->progress(f->o->ctx, f->total[0].rounds, f->total[0].kills);
	}
	free(keys);
	return rc;
}

/* ---- the whole of it ---- */

static void release(struct foreign_run *f)
{
	for (size_t i = 0; i < 1 + f->o->model_count; i++) {
		kill_score_release(&f->score[i]);
		kill_score_release(&f->total[i]);
	}
	for (size_t i = 0; i < f->token_count; i++)
		free(f->tokens[i].oracle);
	free(f->tokens);
	free(f->score);
	free(f->total);
	free(f->first_hole);
	free(f->cut_short);
	foreign_files_release(&f->replaced);
	foreign_round_release(&f->last);
	foreign_input_close(&f->input);
	if (f->nowhere >= 0)
		(void)close(f->nowhere);
}

int foreign_kill(const struct foreign_options *o, struct gate *cases, struct case_result *ret,
		 struct err *err)
{
	struct foreign_run f = {.o = o, .cases = cases, .nowhere = -1, .input = {.saved = -1}};
	uint64_t begin = gate_now_ns();
	struct err back = ERR_INIT;
	int rc;

	f.score = xcalloc(1 + o->model_count, sizeof *f.score);
	f.total = xcalloc(1 + o->model_count, sizeof *f.total);
	f.nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
	rc = foreign_keep_open(&f.keep, err);
	if (rc == 0)
		rc = foreign_input_open(&f.input, o->stop, o->ctx, err);
	if (rc == 0)
		rc = run_rounds(&f, err);
	if (rc == ERR_INTERRUPTED) {
		f.interrupted = true;
		rc = 0;
	}
	/* Whatever happened, the user gets their databases back, and hears of it if not. */
	if (foreign_keep_close(&f.keep, &back) != 0) {
		struct err first = *err;

		*err = back;
		if (rc != 0)
			(void)err_context(err, "%.200s", first.message);
		rc = back.code;
	}
	for (size_t i = 0; i < 1 + o->model_count && rc == 0; i++) {
		foreign_result_fill(&f, i, &ret[i]);
		ret[i].seconds = (double)(gate_now_ns() - begin) / 1e9;
	}
	release(&f);
	return rc;
}
