/*
 * What a run of the program left: its history, the reopened files, and what is wrong with them; see
 * foreign_internal.h.
 *
 *     trace ─> subject, index, history
 *     history of this run + what was seen after the last ─> did it go on from there?
 *     the real files, reopened by another process         ─> history and oracles, at the end
 *     the same files after a power cut                     ─> the same (foreign_power.c)
 *
 * The files are read into memory first and put back at the end.
 */
#include "harness/drive/foreign_internal.h"

#include "faultinject/base/buf.h"
#include "harness/drive/databases.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void foreign_round_release(struct foreign_round *r)
{
	observation_release(&r->seen);
	examiner_free(r->examiner);
	trace_index_free(r->index);
	subject_free(r->subject);
	trace_free(r->trace);
	memset(r, 0, sizeof *r);
}

/* ---- findings ---- */

static struct foreign_token *find_token(const struct foreign_run *f, size_t which,
					const struct verdict *v)
{
	for (size_t i = 0; i < f->token_count; i++)
		if (f->tokens[i].which == which && f->tokens[i].grade == v->grade &&
		    strcmp(f->tokens[i].oracle, v->oracle) == 0)
			return &f->tokens[i];
	return NULL;
}

struct foreign_token *foreign_find(struct foreign_run *f, const struct foreign_round *r,
				   size_t which, const struct verdict *v)
{
	struct foreign_token *t = find_token(f, which, v);
	char *message = xasprintf("%s (%s)", v->message, r->where);

	kill_score_find(&f->score[which], &(struct kill_finding){
					      .oracle = (char *)(uintptr_t)v->oracle,
					      .grade = v->grade,
					      .power = which > 0,
					      .message = message,
					      .number = r->number,
					  });
	free(message);
	if (t != NULL)
		return t;
	f->tokens = xgrow(f->tokens, f->token_count, &f->token_cap, sizeof *f->tokens);
	t = &f->tokens[f->token_count++];
	*t = (struct foreign_token){
	    .which = which,
	    .oracle = xstrdup(v->oracle),
	    .grade = v->grade,
	    .why = "it is about more than the state of files at one moment",
	};
	return t;
}

void foreign_find_state(struct foreign_run *f, struct foreign_round *r, size_t which,
			const struct foreign_disk *disk, unsigned state, const struct verdict *v)
{
	struct foreign_token *t = foreign_find(f, r, which, v);

	/* One case file is enough for findings that are reported as one. */
	if (t->text[0] == '\0' && !foreign_case_make(f, r, disk, state, v, t->text))
		t->why = "the simulated disk does not show it at that moment";
}

void foreign_round_weigh(struct foreign_run *f, struct foreign_round *r, size_t which,
			 const struct foreign_disk *disk, unsigned state,
			 const struct observation *o, int crash)
{
	struct verdict verdicts[JUDGE_VERDICTS_MAX];
	enum grade grade;
	uint64_t lost = 0;
	size_t n = 1;

	if (crash != 0) {
		verdicts[0] = (struct verdict){.oracle = "recovery", .grade = GRADE_CORRUPT};
		(void)snprintf(verdicts[0].message, sizeof verdicts[0].message,
			       "opening the database crashed SQLite: signal %d", crash);
	} else {
		n = judge_observation(examiner_judge(r->examiner), examiner_history(r->examiner),
				      r->trace->op_count, o, verdicts, JUDGE_VERDICTS_MAX, &grade,
				      &lost);
	}
	for (size_t i = 0; i < n; i++)
		foreign_find_state(f, r, which, disk, state, &verdicts[i]);
	if (lost > f->score[which].lost_max)
		f->score[which].lost_max = lost;
}

/* ---- the history of the run ---- */

static bool has_database(const struct trace *t)
{
	uint8_t *database = databases_find(t);
	bool found = false;

	for (uint32_t n = 1; n <= t->name_count && !found; n++)
		found = database[n] != 0;
	free(database);
	return found;
}

int foreign_subject(struct foreign_run *f, const struct trace *t, const char *model,
		    struct subject **ret, struct err *err)
{
	int rc = f->o->subject(f->o->ctx, t, model, ret, err);

	if (rc != 0)
		return rc;
	/* A run that is killed early has no mark, and is no other program for that. */
	if (!f->has_ack)
		f->ack = (*ret)->ack;
	f->has_ack = true;
	(*ret)->ack = f->ack;
	return 0;
}

/* Of a run that changed nothing there is nothing to judge. */
static bool changed_something(const struct trace *t)
{
	for (size_t i = 0; i < t->op_count; i++)
		if (index_is_storage_op(&t->ops[i]))
			return true;
	return false;
}

static int prepare(struct foreign_run *f, struct foreign_round *r, struct err *err)
{
	struct model model;
	int rc = foreign_subject(f, r->trace, NULL, &r->subject, err);

	if (rc == 0)
		rc = subject_model(r->subject, &model, err);
	if (rc == 0)
		rc = trace_index_build(r->trace, &model, &r->index, err);
	if (rc == 0)
		rc = examiner_create(r->subject, r->index, f->o->show_data, &r->examiner, err);
	return rc;
}

/* The program's own states, without any crash, cannot be read: it, or what it began with, is
 * broken. */
static void find_unreadable(struct foreign_run *f, struct foreign_round *r, const struct err *err)
{
	struct verdict v = {.oracle = "recovery", .grade = GRADE_CORRUPT};

	(void)snprintf(v.message, sizeof v.message, "its own databases cannot be read: %.300s",
		       err->message);
	(void)foreign_find(f, r, 0, &v);
}

/* A judge excuses what a legal state shows already. Damage that the program saw, and went on with,
 * is none of those things, unless it was there before anybody was killed. */
static void weigh_integrity(struct foreign_run *f, struct foreign_round *r, bool learning)
{
	struct judge_not_applicable none[16];
	size_t count = judge_not_applicable(examiner_judge(r->examiner), none, 16);

	for (size_t i = 0; i < count; i++) {
		struct verdict v = {.oracle = "integrity", .grade = GRADE_CORRUPT};

		if (strcmp(none[i].oracle, "integrity") != 0)
			continue;
		if (learning)
			f->broken_before = true;
		if (f->broken_before)
			return;
		(void)snprintf(v.message, sizeof v.message,
			       "the program worked on with a damaged database: %.300s",
			       none[i].reason);
		(void)foreign_find(f, r, 0, &v);
		return;
	}
}

/* ---- did it go on from what was there? ---- */

/* Takes what the run began with into *begin, which is what was seen of the last one; what it did
 * not open is taken to be what it was. True: something differs. */
static int take_beginning(struct foreign_run *f, const struct foreign_round *r, bool learning,
			  struct observation *begin, bool *ret_differs, struct err *err)
{
	const struct history *h = examiner_history(r->examiner);
	const struct history *before = examiner_history(f->last.examiner);
	struct foreign_file *unused;
	int rc = 0;

	*ret_differs = false;
	for (size_t i = 0; i < before->file_count; i++) {
		struct digest *seen = &begin->files[i].state;

		for (size_t k = 0; k < h->file_count && rc == 0; k++) {
			const struct digest *now = &h->lines[k].states[0].state;

			if (strcmp(h->paths[k], before->paths[i]) != 0 ||
			    digest_equal(*now, *seen) ||
			    foreign_files_find(&f->replaced, h->paths[k]) != NULL)
				continue;
			if (learning)
				rc = foreign_files_add(&f->replaced, h->paths[k], &unused, err);
			*seen = *now;
			*ret_differs = true;
		}
	}
	return rc;
}

static int weigh_beginning(struct foreign_run *f, struct foreign_round *r, bool learning,
			   struct err *err)
{
	struct foreign_round *last = &f->last;
	struct history_judgement j;
	struct observation begin;
	bool differs;

	if (!f->has_last || !last->was_seen)
		return 0;
	begin = observation_copy(&last->seen);
	int rc = take_beginning(f, r, learning, &begin, &differs, err);

	if (rc == 0 && differs && !learning) {
		history_judge(examiner_history(last->examiner), last->trace->op_count, &begin, &j);
		if (j.verdict.grade != GRADE_DURABLE) {
			struct verdict v = {.oracle = "history", .grade = j.verdict.grade};

			(void)snprintf(v.message, sizeof v.message,
				       "the program did not go on from what the kill had left, but "
				       "changed it before it opened its database again: %.200s",
				       j.verdict.message);
			if (j.lost_acked > f->score[0].lost_max)
				f->score[0].lost_max = j.lost_acked;
			(void)foreign_find(f, last, 0, &v);
		}
	}
	observation_release(&begin);
	return rc;
}

/* ---- acknowledgements inside a transaction ---- */

static bool is_kept(const struct history *h, uint64_t begin)
{
	for (size_t i = 0; i < h->transaction_count; i++)
		if (h->transactions[i].begin <= begin && begin <= h->transactions[i].end &&
		    h->transactions[i].committed)
			return true;
	return false;
}

static void weigh_early(struct foreign_run *f, struct foreign_round *r)
{
	const struct history *h = examiner_history(r->examiner);
	bool output = r->subject->ack == HISTORY_ACK_OUTPUT;
	struct foreign_early early;

	if (!output && r->subject->ack != HISTORY_ACK_MARK)
		return;
	early = foreign_early_find(r->trace, h->paths, h->file_count, output ? OP_OUTPUT : OP_ACK);
	if (early.ack == 0 || is_kept(h, early.begin))
		return;
	if (output || early.doubtful) {
		f->early_outputs += output;
		f->early_marks += !output;
		return;
	}
	struct verdict v = {.oracle = "history", .grade = GRADE_CONSISTENT};

	(void)snprintf(
	    v.message, sizeof v.message,
	    "what was acknowledged (op %" PRIu64
	    ") is gone: the acknowledgement came inside the write transaction (op %" PRIu64
	    " on), before its COMMIT",
	    early.ack, early.begin);
	(void)foreign_find(f, r, 0, &v);
	if (f->score[0].lost_max == 0)
		f->score[0].lost_max = 1;
}

/* ---- the whole of it ---- */

static int look_at_files(struct foreign_run *f, struct foreign_round *r, bool learning,
			 struct err *err)
{
	int crash = 0;
	int rc =
	    kill_check_observe(&r->checker, r->subject, judge_probes(examiner_judge(r->examiner)),
			       foreign_stop, f, &r->seen, &crash, err);

	if (rc != 0)
		return rc;
	f->score[0].checks++;
	foreign_round_weigh(f, r, 0, NULL, 0, &r->seen, crash);
	r->was_seen = crash == 0 && r->seen.rc == 0 && !r->seen.hung;
	if (learning)
		return 0;
	f->score[0].acked += history_acked(examiner_history(r->examiner), r->trace->op_count);
	if (!r->killed)
		return 0;
	weigh_early(f, r);
	return foreign_power_judge(f, r, err);
}

/* Nothing is known of what a hole hides. */
static bool is_whole(struct foreign_run *f, const struct foreign_round *r)
{
	uint64_t hole = trace_first_hole(r->trace);

	if (hole == 0)
		return true;
	const struct op *op = trace_at(r->trace, hole);

	f->holes++;
	if (f->first_hole == NULL)
		f->first_hole = xasprintf("%.*s", (int)op->size, (const char *)op->data);
	return false;
}

/* A run that was killed early may have opened a database and not yet its log or journal. The
 * recording then holds half of what was there, and tells no legal state. */
static bool is_half(const struct foreign_files *files, const struct trace *t)
{
	for (size_t i = 0; i < files->count; i++)
		if (files->items[i].size > 0 && trace_find_name(t, files->items[i].path) == 0)
			return true;
	return false;
}

/* The files are in memory. */
static int judge_files(struct foreign_run *f, struct foreign_round *r,
		       const struct foreign_files *files, struct err *err)
{
	bool learning = r->number == 0;
	struct err put = ERR_INIT;
	int rc = prepare(f, r, err);

	if (rc == ERR_INPUT && !learning) {
		find_unreadable(f, r, err);
		*err = (struct err)ERR_INIT;
		f->make_fresh = true;
		return 0;
	}
	if (rc != 0)
		return rc;
	weigh_integrity(f, r, learning);
	rc = weigh_beginning(f, r, learning, err);
	if (rc != 0)
		return rc;
	rc = look_at_files(f, r, learning, err);
	kill_checker_close(&r->checker);
	/* Whatever came of it: the files are the user's. */
	if (foreign_files_put(files, false, &put) != 0 && rc == 0) {
		*err = put;
		rc = put.code;
	}
	return rc;
}

int foreign_round_judge(struct foreign_run *f, struct foreign_round *r, struct err *err)
{
	struct foreign_files files = {0};
	int rc;

	if (!is_whole(f, r)) {
		f->make_fresh = true;
		return 0;
	}
	if (!has_database(r->trace) || !changed_something(r->trace))
		return 0;
	rc = foreign_files_name(&files, r->trace, err);
	if (rc == 0)
		rc = foreign_files_read(&files, err);
	if (rc == 0 && !is_half(&files, r->trace))
		rc = judge_files(f, r, &files, err);
	foreign_files_release(&files);
	return rc;
}
