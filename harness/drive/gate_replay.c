/*
 * One state of a case file again; see gate_replay() in gate.h. SQLite runs in a child, which sends
 * what it decides and does as it goes, so that a child that dies has said how far it came.
 */
#include "harness/drive/gate.h"

#include "faultinject/base/fileio.h"
#include "harness/drive/check_gate.h"
#include "harness/drive/examine.h"
#include "harness/drive/isolate.h"
#include "harness/drive/kill_bytes.h"
#include "harness/drive/point_result.h"
#include "harness/drive/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What the child sends: decisions as they are made, and at its end a record (point_result.h). */
enum {
	REPLAY_TOLD = 1, /* answer (4), n (4), size of the question (8), question */
	REPLAY_RESULT,	 /* a record */
	REPLAY_CALL,	 /* size (8), a record of disk_calls.h */
};

struct replay {
	const struct trace_index *ix;
	const struct model *model;
	const struct explore_point *point;
	const struct case_state *state;
	struct examiner *examiner;
	bool sends_calls;
	int out; /* in the child */
};

static void tell_parent(void *ctx, const char *question, uint32_t answer, uint32_t n)
{
	const struct replay *r = ctx;
	struct buf b;

	buf_init(&b);
	buf_put_u8(&b, REPLAY_TOLD);
	buf_put_u32(&b, answer);
	buf_put_u32(&b, n);
	buf_put_u64(&b, strlen(question));
	buf_append(&b, question, strlen(question));
	(void)fd_write_all(r->out, b.data, b.size);
	buf_release(&b);
}

static void send_call(void *ctx, const void *data, size_t size)
{
	const struct replay *r = ctx;
	struct buf b;

	buf_init(&b);
	buf_put_u8(&b, REPLAY_CALL);
	buf_put_u64(&b, size);
	buf_append(&b, data, size);
	(void)fd_write_all(r->out, b.data, b.size);
	buf_release(&b);
}

static void tap(struct replay *r, struct crashdisk *disk)
{
	if (r->sends_calls)
		disk_calls_tap(crashdisk_storage(disk), send_call, r);
}

static int examine_again(void *ctx, const struct explore_point *point, struct crashdisk *disk,
			 const struct choice *choice, enum explore_next *ret_next, struct err *err)
{
	struct replay *r = ctx;

	tap(r, disk);
	return examiner_examine(r->examiner, point, disk, choice, ret_next, err);
}

static int recover_again(void *ctx, const struct explore_point *point, struct crashdisk *disk,
			 enum explore_next *ret_next, struct err *err)
{
	struct replay *r = ctx;

	tap(r, disk);
	return examiner_recover(r->examiner, point, disk, ret_next, err);
}

static bool keep_beating(void *ctx)
{
	isolate_beat(ctx);
	return false;
}

static void replay_child(void *ctx, struct isolate *isolate, int out)
{
	struct replay *r = ctx;
	struct explore_callbacks callbacks = {.examine = examine_again,
					      .recover = recover_again,
					      .tell = tell_parent,
					      .ctx = r,
					      .representative = r->state->representative};
	struct point_result result;
	struct buf b;

	r->out = out;
	watch_set(keep_beating, isolate);
	examiner_isolate(r->examiner, isolate);
	point_result_init(&result);
	(void)explore_replay(r->ix, r->model, r->point, r->state->answers, r->state->answer_count,
			     &isolate->choice, &callbacks, &result.error);
	struct examined x = examiner_last(r->examiner);
	result.grade = x.grade;
	result.lost_max = x.lost;
	/* All of them, also two of one oracle and grade. */
	for (size_t i = 0; i < x.verdict_count && i < EXAMINE_FINDINGS_MAX; i++)
		result.findings[result.finding_count++].verdict = x.verdicts[i];
	buf_init(&b);
	buf_put_u8(&b, REPLAY_RESULT);
	point_result_encode(&result, &b);
	(void)fd_write_all(out, b.data, b.size);
	buf_release(&b);
	point_result_release(&result);
}

/* Tells the decisions, keeps the calls, and reads the result that stands behind them, if there is
 * one. */
static int hear_child(const struct buf *output, const struct gate_replay *options,
		      struct point_result *ret, bool *ret_complete, struct err *err)
{
	struct kill_reader r = {output->data, output->size, false};

	*ret_complete = false;
	while (r.left > 0 && !r.cut) {
		uint8_t kind = kill_take_u8(&r);
		if (kind == REPLAY_RESULT) {
			*ret_complete = true;
			return point_result_decode(r.at, r.left, ret, err);
		}
		if (kind == REPLAY_CALL) {
			size_t call_size = kill_take_count(&r, 1);
			if (!r.cut && options->calls != NULL)
				buf_append(&options->calls->bytes, r.at, call_size);
			r.at += call_size;
			r.left -= call_size;
			continue;
		}
		uint32_t answer = kill_take_u32(&r), n = kill_take_u32(&r);
		size_t size = kill_take_count(&r, 1);
		char *question = xcalloc(size + 1, 1);
		kill_take(&r, question, size);
		if (!r.cut && options->tell != NULL)
			options->tell(options->ctx, question, answer, n);
		free(question);
	}
	return 0;
}

/* The same without a child: its output goes to a file that has no name. */
static int replay_here(struct replay *r, struct isolate *isolate, struct buf *ret_output,
		       struct isolate_death *ret_death, struct err *err)
{
	int fd = memfd_create("replay", MFD_CLOEXEC);
	off_t size;

	if (fd < 0)
		return err_set(err, ERR_HARNESS, "cannot make a file in memory: %s",
			       strerror(errno));
	replay_child(r, isolate, fd);
	watch_set(NULL, NULL);
	size = lseek(fd, 0, SEEK_CUR);
	buf_reserve(ret_output, (size_t)size);
	ret_output->size = (size_t)pread(fd, ret_output->data, (size_t)size, 0);
	(void)close(fd);
	*ret_death = (struct isolate_death){.fate = ISOLATE_ENDED};
	return 0;
}

/* Runs the state in a child; *ret holds the verdicts, also about the child's own death. */
static int replay_isolated(struct replay *r, const struct gate_replay *options,
			   struct point_result *ret, struct err *err)
{
	uint64_t hang_ns =
	    options->hang_ns != 0 ? options->hang_ns : (uint64_t)ISOLATE_HANG_SECONDS * 1000000000u;
	struct isolate_work work = {.child = replay_child, .ctx = r, .hang_ns = hang_ns};
	struct isolate *isolate = isolate_create();
	struct isolate_death death;
	struct buf output;
	bool complete;

	buf_init(&output);
	r->sends_calls = options->calls != NULL;
	int rc = options->in_process ? replay_here(r, isolate, &output, &death, err)
				     : isolate_run(isolate, &work, &output, &death, err);
	if (rc == 0)
		rc = hear_child(&output, options, ret, &complete, err);
	if (rc != 0)
		goto out;
	if (options->calls != NULL)
		options->calls->ended = death.fate == ISOLATE_ENDED && complete;
	if (death.fate == ISOLATE_CRASHED || death.fate == ISOLATE_HUNG) {
		struct verdict *v = &ret->findings[ret->finding_count++].verdict;
		v->oracle = "recovery";
		v->grade = ret->grade = GRADE_CORRUPT;
		isolate_say(&death, hang_ns, v->message, sizeof v->message);
	} else if (death.fate != ISOLATE_ENDED || !complete) {
		rc =
		    err_set(err, ERR_HARNESS, "the process of the replay vanished: %s", death.text);
	} else if (ret->error.code != 0) {
		*err = ret->error;
		rc = err->code;
	}
out:
	buf_release(&output);
	isolate_free(isolate);
	return rc;
}

struct explore_point gate_point(const struct case_state *s)
{
	return (struct explore_point){
	    .position = s->position,
	    .cut_bytes = s->has_cut ? (size_t)s->cut_bytes : SIZE_MAX,
	    .promises = &s->promise,
	    .promise_count = 1,
	    .again = {s->has_again, s->again_position,
		      s->again_has_cut ? (size_t)s->again_cut_bytes : SIZE_MAX}};
}

int gate_replay(const struct case_file *c, const struct gate_replay *options,
		struct verdict *ret_verdicts, size_t max, size_t *ret_count, enum grade *ret_grade,
		uint64_t *ret_lost, uint64_t *ret_commits, struct err *err)
{
	struct model model;
	struct trace_index *ix = NULL;
	struct examiner *e = NULL;
	const struct explore_point point = gate_point(&c->state);
	struct replay r = {.model = &model, .point = &point, .state = &c->state};
	struct point_result result;
	int rc = subject_model(c->subject, &model, err);
	char *hole = gate_why_no_grade(c->trace);

	point_result_init(&result);
	if (rc == 0 && hole != NULL)
		rc = err_set(err, ERR_INPUT, "%s", hole);
	free(hole);
	/* A file from a stranger may claim what its disk cannot leave (D8, D11). */
	if (rc == 0 &&
	    (((c->state.has_cut || c->state.again_has_cut) && !model.process_crash) ||
	     (c->state.promise != c->state.position && model.fsync != MODEL_FSYNC_BARRIER)))
		rc = err_set(err, ERR_INPUT,
			     "the case has a state that its disk model cannot leave");
	if (rc == 0)
		rc = trace_index_build(c->trace, &model, &ix, err);
	if (rc == 0 && max > 0 && check_is_oracle(c->finding.oracle)) {
		*ret_lost = *ret_commits = 0;
		rc = check_replay(c, options, ix, &model, ret_verdicts, ret_count, ret_grade, err);
		goto out;
	}
	if (rc == 0)
		rc = examiner_create(c->subject, ix, options->show_data, &e, err);
	if (rc != 0)
		goto out;
	if (c->state.depth == 2)
		examiner_interrupt_recovery(e);
	r.examiner = e;
	r.ix = ix;
	rc = replay_isolated(&r, options, &result, err);
	if (rc == 0) {
		*ret_count = result.finding_count < max ? result.finding_count : max;
		for (size_t i = 0; i < *ret_count; i++)
			ret_verdicts[i] = result.findings[i].verdict;
		*ret_grade = result.grade;
		*ret_lost = result.lost_max;
		*ret_commits = history_commits(examiner_history(e));
	}
out:
	point_result_release(&result);
	examiner_free(e);
	trace_index_free(ix);
	return rc;
}
