/*
 * What a child says of its attempt, and what its parent makes of that. A row of messages:
 *
 *     SAY_RECORDED  size of a trace (8), the trace: of a scenario whose recovery may kill the child
 *     SAY_POINT     position (8), cut_bytes (8), promise (8): a crash point begins
 *     SAY_RESULT    the end; see put_result()
 *
 * A child that dies in between leaves the last point, and in the memory that it shares the answers
 * that led to the state (isolate.h).
 */
#include "harness/shrink/attempt_internal.h"

#include "faultinject/base/fileio.h"
#include "harness/drive/kill_bytes.h"

#include <stdlib.h>
#include <string.h>

enum { SAY_RECORDED = 1, SAY_POINT, SAY_RESULT };

void attempt_said_release(struct attempt_said *s)
{
	free(s->finding.answers);
	s->finding.answers = NULL;
}

void attempt_result_release(struct attempt_result *r)
{
	free(r->text);
	free(r->finding.answers);
	trace_free(r->trace);
	*r = (struct attempt_result){0};
}

void attempt_keep(struct attempt_said *s, const struct finding *f)
{
	uint32_t *answers = xcalloc(f->answer_count, sizeof *answers);

	if (f->answer_count > 0)
		memcpy(answers, f->answers, f->answer_count * sizeof *answers);
	free(s->finding.answers);
	s->finding = *f;
	s->finding.answers = answers;
}

/* ---- saying */

static void send_all(const struct attempt_said *s, struct buf *b)
{
	/* Without a parent there is nobody to tell. */
	if (fd_write_all(s->out, b->data, b->size) != 0)
		isolate_exit(1);
	buf_release(b);
}

static void put_trace(struct buf *b, const struct trace *t)
{
	struct buf trace = {0};

	if (t != NULL)
		trace_encode(t, &trace);
	buf_put_u64(b, trace.size);
	buf_append(b, trace.data, trace.size);
	buf_release(&trace);
}

void attempt_say_recorded(struct attempt_said *s, const struct trace *t)
{
	struct buf b = {0};

	buf_put_u8(&b, SAY_RECORDED);
	put_trace(&b, t);
	send_all(s, &b);
}

void attempt_say_point(struct attempt_said *s, const struct explore_point *point)
{
	struct buf b = {0};

	buf_put_u8(&b, SAY_POINT);
	buf_put_u64(&b, point->position);
	buf_put_u64(&b, point->cut_bytes);
	buf_put_u64(&b, point->promises[0]);
	send_all(s, &b);
}

static void put_text(struct buf *b, const char *text)
{
	size_t size = text == NULL ? 0 : strlen(text);

	buf_put_u64(b, size);
	buf_append(b, text, size);
}

static void put_finding(struct buf *b, const struct finding *f)
{
	put_text(b, f->verdict.message);
	buf_put_u64(b, f->lost);
	buf_put_u64(b, f->position);
	buf_put_u64(b, f->cut_bytes);
	buf_put_u64(b, f->promise);
	buf_put_u8(b, f->again.happened);
	buf_put_u64(b, f->again.position);
	buf_put_u64(b, f->again.cut_bytes);
	buf_put_u64(b, f->answer_count);
	for (size_t i = 0; i < f->answer_count; i++)
		buf_put_u32(b, f->answers[i]);
}

static void put_result(struct buf *b, const struct attempt_said *s, const struct trace *t,
		       const struct err *err)
{
	buf_put_u8(b, SAY_RESULT);
	buf_put_u64(b, s->recoveries);
	buf_put_u64(b, s->points_before);
	buf_put_u8(b, s->invalid);
	buf_put_u8(b, s->found);
	buf_put_u8(b, s->whole);
	buf_put_u8(b, s->before_whole);
	buf_put_u32(b, err == NULL ? 0 : (uint32_t)-err->code);
	put_text(b, err == NULL ? s->other : err->message);
	if (s->found)
		put_finding(b, &s->finding);
	put_trace(b, t);
}

void attempt_say_result(struct attempt_said *s, const struct trace *t, const struct err *err)
{
	struct buf b = {0};

	put_result(&b, s, t, err);
	send_all(s, &b);
}

/* ---- hearing */

/* Owned by the caller. */
static char *take_text(struct kill_reader *r)
{
	size_t size = kill_take_count(r, 1);
	char *text = xcalloc(size + 1, 1);

	kill_take(r, text, size);
	return text;
}

static void take_finding(struct kill_reader *r, const struct shrink_target *target,
			 struct finding *f)
{
	char *message = take_text(r);

	f->verdict.oracle = target->oracle;
	f->verdict.grade = target->grade;
	size_t size = strnlen(message, sizeof f->verdict.message - 1);
	memcpy(f->verdict.message, message, size);
	free(message);
	f->lost = kill_take_u64(r);
	f->position = kill_take_u64(r);
	f->cut_bytes = kill_take_u64(r);
	f->promise = kill_take_u64(r);
	f->again.happened = kill_take_u8(r) != 0;
	f->again.position = kill_take_u64(r);
	f->again.cut_bytes = kill_take_u64(r);
	f->answer_count = kill_take_count(r, sizeof *f->answers);
	f->answers = xcalloc(f->answer_count, sizeof *f->answers);
	for (size_t i = 0; i < f->answer_count; i++)
		f->answers[i] = kill_take_u32(r);
}

/* In place of an earlier one, unless there is none here. */
static int take_trace(struct kill_reader *r, struct attempt_result *ret, struct err *err)
{
	size_t size = kill_take_count(r, 1);
	struct trace *t = NULL;
	int rc = 0;

	if (!r->cut && size > 0)
		rc = trace_decode(r->at, size, &t, err);
	if (rc != 0 || t == NULL)
		return rc;
	r->at += size;
	r->left -= size;
	trace_free(ret->trace);
	ret->trace = t;
	return 0;
}

static int take_result(struct kill_reader *r, const struct shrink_target *target,
		       struct attempt_result *ret, struct err *err)
{
	int rc;

	ret->recoveries = kill_take_u64(r);
	ret->points_before = kill_take_u64(r);
	bool invalid = kill_take_u8(r) != 0, found = kill_take_u8(r) != 0;
	bool whole = kill_take_u8(r) != 0;
	ret->before_whole = kill_take_u8(r) != 0;
	int code = -(int)kill_take_u32(r);
	ret->text = take_text(r);
	if (found)
		take_finding(r, target, &ret->finding);
	rc = take_trace(r, ret, err);
	if (r->cut || rc != 0)
		return err_set(err, ERR_HARNESS, "an attempt said nonsense");
	if (code == ERR_HARNESS || (code != 0 && !invalid))
		return err_set(err, code, "%s", ret->text);
	if (invalid)
		ret->outcome = ATTEMPT_INVALID;
	else if (found)
		ret->outcome = ATTEMPT_SAME;
	else if (!whole)
		ret->outcome = ATTEMPT_OPEN;
	else
		ret->outcome = ret->text[0] != '\0' ? ATTEMPT_DIFFERS : ATTEMPT_PASSES;
	return 0;
}

/* It died of the code under test. */
static int take_death(const struct shrink_target *target, const struct isolate *isolate,
		      const struct isolate_death *death, uint64_t hang_ns, bool recorded,
		      struct attempt_result *ret, struct err *err)
{
	struct finding *f = &ret->finding;
	char say[VERDICT_MESSAGE_SIZE];

	isolate_say(death, hang_ns, say, sizeof say);
	ret->recoveries++;
	if (!recorded) {
		ret->outcome = ATTEMPT_INVALID;
		ret->text = xasprintf("while it was recorded: %s", death->text);
		return 0;
	}
	if (!attempt_is_same(target, "recovery", GRADE_CORRUPT)) {
		ret->outcome = ATTEMPT_DIFFERS;
		ret->text = xasprintf("recovery, %s", grade_text(GRADE_CORRUPT));
		return 0;
	}
	ret->outcome = ATTEMPT_SAME;
	f->verdict.oracle = target->oracle;
	f->verdict.grade = target->grade;
	memcpy(f->verdict.message, say, sizeof say);
	f->again = (struct explore_again){isolate->again.happened, isolate->again.position,
					  isolate->again.cut_bytes};
	return isolate_answers(isolate, &f->answers, &f->answer_count, err);
}

int attempt_hear(const struct shrink_target *target, const struct buf *output,
		 const struct isolate *isolate, const struct isolate_death *death, uint64_t hang_ns,
		 struct attempt_result *ret, struct err *err)
{
	struct kill_reader r = {output->data, output->size, false};
	struct attempt_result heard = {0};
	bool recorded = false, ended = false;
	int rc = 0;

	while (r.left > 0 && !r.cut && !ended && rc == 0) {
		switch (kill_take_u8(&r)) {
		case SAY_RECORDED:
			recorded = true;
			rc = take_trace(&r, &heard, err);
			break;
		case SAY_POINT:
			heard.finding.position = kill_take_u64(&r);
			heard.finding.cut_bytes = kill_take_u64(&r);
			heard.finding.promise = kill_take_u64(&r);
			heard.recoveries++; /* at least; the result knows better */
			break;
		case SAY_RESULT:
			ended = true;
			heard.recoveries = 0;
			rc = take_result(&r, target, &heard, err);
			break;
		default:
			r.cut = true;
		}
	}
	if (rc == 0 && !ended && (death->fate == ISOLATE_CRASHED || death->fate == ISOLATE_HUNG))
		rc = take_death(target, isolate, death, hang_ns, recorded, &heard, err);
	else if (rc == 0 && (!ended || death->fate != ISOLATE_ENDED))
		rc = err_set(err, ERR_HARNESS, "the process of an attempt vanished: %s",
			     death->text);
	if (rc != 0)
		attempt_result_release(&heard);
	else
		*ret = heard;
	return rc;
}
