/* See story_build.h. This file puts the parts in order, and runs children. */
#include "harness/explain/story_internal.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/fileio.h"
#include "harness/case/case_file.h"
#include "harness/case/version.h"
#include "harness/drive/check_gate.h"
#include "harness/drive/gate.h"
#include "harness/drive/watch.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

/* ---- children ------------------------------------------------------------------------------ */

struct child {
	struct telling *t;
	void (*work)(struct telling *t, struct isolate *isolate, void *ctx);
	void *ctx;
};

static bool keep_beating(void *ctx)
{
	isolate_beat(ctx);
	return false;
}

static void run_child(void *ctx, struct isolate *isolate, int out)
{
	struct child *c = ctx;
	struct telling *t = c->t;
	json_t *sent = json_object(), *placed = json_array();

	watch_set(keep_beating, isolate);
	c->work(t, isolate, c->ctx);
	for (size_t f = 0; f < OBSERVED_FILES_MAX; f++)
		(void)json_array_append_new(
		    placed, json_integer(t->placed[f] == SIZE_MAX ? -1 : (json_int_t)t->placed[f]));
	(void)json_object_set_new(sent, "story", story_to_json(t->s));
	(void)json_object_set_new(sent, "read", json_boolean(t->read));
	(void)json_object_set_new(sent, "matched", json_boolean(t->matched));
	(void)json_object_set_new(sent, "placed", placed);
	(void)json_object_set_new(sent, "broken",
				  json_pack("[I,I,I,b]", (json_int_t)t->broken_by,
					    (json_int_t)t->broken_until, (json_int_t)t->found_state,
					    t->nothing_lost));
	char *text = json_dumps(sent, JSON_COMPACT | JSON_ENCODE_ANY);
	if (text != NULL)
		(void)fd_write_all(out, text, strlen(text));
	free(text);
	json_decref(sent);
}

/* The number of a transaction; 0: none, or of none that there is. */
static size_t number_at(const json_t *list, size_t i, const struct telling *t)
{
	json_int_t n = json_integer_value(json_array_get(list, i));

	return n > 0 && (size_t)n <= t->h->transaction_count ? (size_t)n : 0;
}

/* Takes over what a child sent. */
static int take_over(struct telling *t, const struct buf *output, struct err *err)
{
	json_error_t error;
	json_t *sent =
	    json_loadb((const char *)output->data, output->size, JSON_DECODE_ANY, &error);
	const json_t *placed = json_object_get(sent, "placed");
	const json_t *broken = json_object_get(sent, "broken");
	struct story *s = NULL;
	int rc;

	if (sent == NULL || json_array_size(placed) != OBSERVED_FILES_MAX)
		rc = err_set(err, ERR_HARNESS, "a child of the story sent something else: %s",
			     error.text);
	else
		rc = story_from_json(json_object_get(sent, "story"), &s, err);
	if (rc == 0) {
		story_free(t->s);
		t->s = s;
		t->read = json_is_true(json_object_get(sent, "read"));
		t->matched = json_is_true(json_object_get(sent, "matched"));
		t->broken_by = number_at(broken, 0, t);
		t->broken_until = number_at(broken, 1, t);
		t->found_state = number_at(broken, 2, t);
		t->nothing_lost = json_is_true(json_array_get(broken, 3));
		for (size_t f = 0; f < OBSERVED_FILES_MAX; f++) {
			json_int_t at = json_integer_value(json_array_get(placed, f));
			t->placed[f] = at < 0 ? SIZE_MAX : (size_t)at;
		}
	}
	json_decref(sent);
	return rc;
}

static bool stop(void *ctx)
{
	const struct telling *t = ctx;

	return t->o->interrupted != NULL && t->o->interrupted(t->o->ctx);
}

uint64_t story_hang_ns(const struct telling *t)
{
	uint64_t most = (uint64_t)STORY_HANG_SECONDS * 1000000000u;

	return t->o->hang_ns != 0 && t->o->hang_ns < most ? t->o->hang_ns : most;
}

int story_in_child_counted(struct telling *t,
			   void (*work)(struct telling *t, struct isolate *isolate, void *ctx),
			   void *ctx, struct isolate_death *ret_death, uint64_t *ret_recoveries,
			   struct err *err)
{
	struct child c = {t, work, ctx};
	struct isolate_work job = {.child = run_child,
				   .stop = stop,
				   .ctx = &c,
				   .stop_ctx = t,
				   .hang_ns = story_hang_ns(t)};
	struct isolate *isolate = isolate_create();
	struct buf output;

	buf_init(&output);
	int rc = isolate_run(isolate, &job, &output, ret_death, err);
	if (rc == 0 && ret_death->fate == ISOLATE_ENDED)
		rc = take_over(t, &output, err);
	*ret_recoveries = atomic_load(&isolate->recoveries);
	buf_release(&output);
	isolate_free(isolate);
	return rc;
}

int story_in_child(struct telling *t,
		   void (*work)(struct telling *t, struct isolate *isolate, void *ctx), void *ctx,
		   struct isolate_death *ret_death, struct err *err)
{
	uint64_t recoveries;

	return story_in_child_counted(t, work, ctx, ret_death, &recoveries, err);
}

/* ---- the case ------------------------------------------------------------------------------ */

static void tell_case(struct telling *t)
{
	const struct case_file *c = t->c;
	const struct subject *subject = c->subject;
	struct story *s = t->s;
	char token[CASE_TOKEN_SIZE];

	case_file_token(c, token);
	s->token = xstrdup(token);
	s->id = story_text("%s", subject->id);
	if (subject->title != NULL && subject->title[0] != '\0')
		s->title = story_text("%s", subject->title);
	s->model = story_text("%s", subject->model);
	for (size_t i = 0; i < subject->pragmas.count; i++)
		kv_set(&s->config, subject->pragmas.items[i].key, subject->pragmas.items[i].value);
	for (size_t i = 0; i < subject->model_params.count; i++) {
		char *key = xasprintf("model.%s", subject->model_params.items[i].key);
		kv_set(&s->config, key, subject->model_params.items[i].value);
		free(key);
	}
	s->replay = story_text("plugpull replay %s", token);
	s->sqlite = xstrdup(c->sqlite_version == NULL ? "" : c->sqlite_version);
	s->plugpull = xstrdup(c->plugpull_version == NULL ? "" : c->plugpull_version);
	s->show_data = t->o->show_data;
	s->crash = c->state.position;
	s->cut = c->state.has_cut;
	s->cut_bytes = c->state.cut_bytes;
	s->promise = c->state.promise;
	s->again = c->state.has_again ? c->state.again_position : 0;
}

/* The finding that is told: the case's, or, when it is gone, the worst of what is there now. */
static void choose_verdict(struct telling *t)
{
	const struct case_finding *f = &t->c->finding;

	t->verdict = SIZE_MAX;
	for (size_t i = 0; i < t->verdict_count; i++) {
		const struct verdict *v = &t->verdicts[i];
		if (strcmp(v->oracle, f->oracle) == 0 && v->grade == f->grade && !t->again) {
			t->again = true;
			t->verdict = i;
		}
	}
	for (size_t i = 0; i < t->verdict_count && !t->again; i++)
		if (t->verdict == SIZE_MAX || t->verdicts[i].grade < t->verdicts[t->verdict].grade)
			t->verdict = i;
	if (t->verdict != SIZE_MAX) {
		t->s->oracle = story_text("%s", t->verdicts[t->verdict].oracle);
		t->s->grade = t->verdicts[t->verdict].grade;
		/* How a state ends its process was said when that was found. */
		t->s->message = story_without_folder(t, t->again && !t->calls.ended &&
								!check_is_oracle(f->oracle)
							    ? f->message
							    : t->verdicts[t->verdict].message);
	} else {
		t->s->oracle = story_text("%s", f->oracle);
		t->s->grade = f->grade;
		t->s->message = story_text(
		    "the finding of oracle %s is gone: nothing objects to this state", f->oracle);
	}
}

static int replay(struct telling *t, struct err *err)
{
	struct gate_replay options = {
	    .show_data = t->o->show_data, .hang_ns = t->o->hang_ns, .calls = &t->calls};
	enum grade grade = GRADE_NONE;
	uint64_t lost, commits;
	int rc = gate_replay(t->c, &options, t->verdicts, TELLING_VERDICTS_MAX, &t->verdict_count,
			     &grade, &lost, &commits, err);

	if (rc == 0)
		choose_verdict(t);
	return rc;
}

static int open_case(struct telling *t, struct err *err)
{
	int rc = subject_model(t->c->subject, &t->model, err);

	if (rc == 0)
		rc = trace_index_build(t->c->trace, &t->model, &t->ix, err);
	if (rc == 0)
		rc = examiner_create(t->c->subject, t->ix, t->o->show_data, &t->examiner, err);
	if (rc != 0)
		return rc;
	if (t->c->state.depth == 2)
		examiner_interrupt_recovery(t->examiner);
	t->h = examiner_history(t->examiner);
	t->point = gate_point(&t->c->state);
	t->left_count = t->h->file_count;
	t->left = xcalloc(t->left_count, sizeof *t->left);
	for (size_t f = 0; f < t->left_count; f++) {
		t->left[f].path = xstrdup(t->h->paths[f]);
		t->left[f].name = xstrdup(story_base_name(t->h->paths[f]));
		t->placed[f] = SIZE_MAX;
	}
	return 0;
}

static void release(struct telling *t)
{
	for (size_t f = 0; f < t->left_count; f++) {
		free(t->left[f].path);
		free(t->left[f].name);
	}
	free(t->left);
	free(t->again_words);
	lint_release(&t->lint);
	op_names_free(t->names);
	examiner_free(t->examiner);
	trace_index_free(t->ix);
	buf_release(&t->calls.bytes);
	story_free(t->s);
}

static int step(struct telling *t, const char *what, struct err *err)
{
	if (stop(t))
		return err_set(err, ERR_INTERRUPTED, "interrupted");
	if (t->o->progress != NULL)
		t->o->progress(t->o->ctx, what);
	return 0;
}

/* What is known when somebody has enough is told, from the crash on. */
static int told_so_far(struct telling *t, int rc, const bool *ret_interrupted, struct err *err)
{
	if (rc != ERR_INTERRUPTED || ret_interrupted == NULL)
		return rc;
	t->interrupted = true;
	*err = (struct err)ERR_INIT;
	return 0;
}

int story_build(const struct case_file *c, const struct story_options *options,
		struct story **ret_story, bool *ret_again, bool *ret_interrupted, struct err *err)
{
	struct telling t = {.c = c, .o = options, .s = story_create()};
	int rc;

	buf_init(&t.calls.bytes);
	tell_case(&t);
	rc = step(&t, "running the state again", err);
	if (rc == 0)
		rc = replay(&t, err);
	if (rc == 0)
		rc = open_case(&t, err);
	if (rc == 0)
		rc = step(&t, "naming operations", err);
	if (rc == 0)
		rc = story_tell_ops(&t, err);
	if (rc == 0)
		rc = step(&t, "reading rows", err);
	if (rc == 0)
		rc = story_tell_crash(&t, story_tell_rows, err);
	if (rc == 0) {
		story_tell_settings(&t);
		rc = step(&t, "exploring the crash point", err);
		if (rc == 0)
			rc = story_tell_states(&t, err);
		if (rc == 0)
			rc = step(&t, "proving what would fix it", err);
		rc = told_so_far(&t, rc, ret_interrupted, err);
	}
	if (rc == 0)
		rc = told_so_far(&t, story_tell_fixes(&t, err), ret_interrupted, err);
	if (rc == 0) {
		story_tell_allowed(&t);
		story_tell_words(&t);
		story_tell_source(&t);
		*ret_story = t.s;
		t.s = NULL;
		if (ret_again != NULL)
			*ret_again = t.again;
		if (ret_interrupted != NULL)
			*ret_interrupted = t.interrupted;
	}
	release(&t);
	return rc;
}
