/* See shrink.h. The order of the parts, and what they share. */
#include "harness/shrink/shrink.h"

#include "faultinject/trace_rebase.h"
#include "harness/case/version.h"
#include "harness/drive/check_gate.h"
#include "harness/drive/gate.h"
#include "harness/scenario/scenario_items.h"
#include "harness/shrink/shrink_internal.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum { VERDICTS_MAX = 16 };

void shrink_result_release(struct shrink_result *r)
{
	case_file_free(r->found);
	for (size_t i = 0; i < r->without_count; i++) {
		free(r->without[i].what);
		free(r->without[i].other);
	}
	free(r->without);
	free(r->note);
	*r = (struct shrink_result){0};
}

/* ---- what the parts share */

void shrink_forget(struct shrink *s)
{
	struct shrink_result *r = s->result;

	for (size_t i = 0; i < r->without_count; i++) {
		free(r->without[i].what);
		free(r->without[i].other);
	}
	r->without_count = 0;
	r->without_more = 0;
}

/* What was said of a file that has not been written yet names its line alone. */
static char *without_path(const struct shrink *s, const char *other)
{
	const char *path = s->options->path;
	size_t size = path == NULL ? 0 : strlen(path);

	if (other == NULL || other[0] == '\0')
		return NULL;
	if (size > 0 && strncmp(other, path, size) == 0 && other[size] == ':')
		return xasprintf("line %s", other + size + 1);
	return xstrdup(other);
}

void shrink_note(struct shrink *s, const char *what, enum attempt_outcome outcome,
		 const char *other)
{
	struct shrink_result *r = s->result;

	if (r->without_count == SHRINK_WITHOUT_MAX) {
		r->without_more++;
		return;
	}
	r->without = xgrow(r->without, r->without_count, &r->without_cap, sizeof *r->without);
	r->without[r->without_count++] = (struct shrink_without){
	    .what = xstrdup(what), .outcome = outcome, .other = without_path(s, other)};
}

static void set_state(struct case_state *to, const struct finding *f,
		      const struct shrink_target *target)
{
	free(to->answers);
	*to = (struct case_state){
	    .position = f->position,
	    .promise = f->promise,
	    .depth = target->depth,
	    .representative = target->representative,
	    .has_again = f->again.happened,
	    .again_position = f->again.position,
	    .again_has_cut = f->again.happened && f->again.cut_bytes != SIZE_MAX,
	    .again_cut_bytes = f->again.cut_bytes == SIZE_MAX ? 0 : f->again.cut_bytes,
	    .has_cut = f->cut_bytes != SIZE_MAX,
	    .cut_bytes = f->cut_bytes == SIZE_MAX ? 0 : f->cut_bytes,
	    .answers = f->answers,
	    .answer_count = f->answer_count};
}

void shrink_accept(struct shrink *s, struct attempt_result *r)
{
	uint64_t next = r->recoveries * SHRINK_ATTEMPT_FACTOR;

	set_state(&s->state, &r->finding, &s->target);
	r->finding.answers = NULL;
	if (r->trace != NULL) {
		trace_free(s->trace);
		s->trace = r->trace;
		r->trace = NULL;
	}
	/* Never less than before: what is open must not depend on luck. */
	if (s->recoveries_max < next)
		s->recoveries_max = next;
	if (s->recoveries_max < SHRINK_ATTEMPT_LEAST)
		s->recoveries_max = SHRINK_ATTEMPT_LEAST;
	attempt_result_release(r);
}

/* The state again; like gate_replay(), but that a state that cannot be reached any more, because
 * another answer leads to other questions, shows nothing. */
static int replay(struct shrink *s, const struct case_file *c, struct verdict *ret_same, bool *ret,
		  char **ret_other, uint64_t *ret_commits, struct err *err)
{
	struct gate_replay options = {.show_data = s->options->show_data};
	struct verdict verdicts[VERDICTS_MAX];
	struct err failed = ERR_INIT;
	size_t count = 0;
	enum grade grade;
	uint64_t lost;
	int rc = gate_replay(c, &options, verdicts, VERDICTS_MAX, &count, &grade, &lost,
			     ret_commits, &failed);

	*ret = false;
	if (rc != 0) {
		*err = failed;
		return rc;
	}
	for (size_t i = 0; i < count; i++) {
		const struct verdict *v = &verdicts[i];

		if (!attempt_is_same(&s->target, v->oracle, v->grade)) {
			if (ret_other != NULL && *ret_other == NULL && v->grade != GRADE_NONE)
				*ret_other = xasprintf("%s, %s", v->oracle, grade_text(v->grade));
			continue;
		}
		*ret = true;
		*ret_same = *v;
		break;
	}
	return 0;
}

int shrink_replay(struct shrink *s, const struct trace *t, const uint32_t *answers, size_t count,
		  bool *ret, char **ret_other, struct err *err)
{
	/* Borrowed for the call; nothing below writes through these. */
	struct case_file c = {.subject = s->subject,
			      .trace = (struct trace *)(uintptr_t)t,
			      .state = s->state,
			      .finding = s->from->finding};
	struct verdict same;
	uint64_t commits;

	c.state.answers = (uint32_t *)(uintptr_t)answers;
	c.state.answer_count = count;
	lanes_spend(s->lanes, 1);
	int rc = replay(s, &c, &same, ret, ret_other, &commits, err);
	if (rc == ERR_HARNESS || rc == ERR_INPUT) {
		*ret = false;
		rc = 0;
	}
	return rc;
}

/* ---- counts */

static void count_text(const char *text, struct shrink_counts *ret)
{
	struct scenario_items items = {0};
	struct err ignored = ERR_INIT;
	bool counted = false;

	if (scenario_items_read("scenario", text, strlen(text), &items, &ignored) != 0)
		return;
	for (size_t i = 0; i < items.count; i++) {
		const struct scenario_item *it = &items.items[i];

		if (!it->directive) {
			ret->statements += counted;
		} else if (strcmp(it->word, "may-fail") != 0) {
			ret->clients += strcmp(it->word, "client") == 0;
			counted = strcmp(it->word, "client") == 0 || strcmp(it->word, "setup") == 0;
		}
	}
	scenario_items_release(&items);
}

static struct shrink_counts count(const struct case_source *source, const struct trace *t,
				  const struct case_state *state, uint64_t commits)
{
	struct shrink_counts c = {
	    .commits = commits, .operations = t->op_count, .crash = state->position};

	for (size_t i = 0; i < state->answer_count; i++)
		c.lost += state->answers[i] != 0;
	if (source != NULL)
		count_text(source->text, &c);
	return c;
}

/* ---- the whole */

static int copy_subject(const struct subject *from, struct subject **ret, struct err *err)
{
	json_t *json = subject_to_json(from);
	int rc = subject_from_json(json, ret, err);

	json_decref(json);
	return rc;
}

static struct trace *copy_trace(const struct trace *t)
{
	return trace_cut(t, t->op_count);
}

/* The subject of a scenario that was changed. */
static int read_subject(struct shrink *s, struct err *err)
{
	struct case_again again = {0};
	int rc;

	if (s->source == NULL)
		return 0;
	rc = case_source_read(s->source, s->options->vocabulary, &again, err);
	if (rc != 0)
		return rc;
	subject_free(s->subject);
	s->subject = again.subject;
	again.subject = NULL;
	case_again_release(&again);
	return 0;
}

int shrink_ask(struct shrink *s, const struct trace *t, enum attempt_asks asks, bool *ret,
	       struct err *err)
{
	struct attempt a = {
	    .subject = s->subject, .trace = t, .recoveries_max = UINT64_MAX, .asks = asks};
	struct attempt_result r = {0};
	int rc = lanes_try(s->lanes, &a, &r, err);

	*ret = rc == 0 && r.outcome == ATTEMPT_SAME;
	attempt_result_release(&r);
	return rc == ERR_INTERRUPTED ? 0 : rc;
}

/* Does a legal state show the finding (S5), and which do not (S6)? */
static int ask_lossless(struct shrink *s, struct err *err)
{
	bool lossless = false, beginning = false, end = false;
	int rc = shrink_ask(s, s->trace, ATTEMPT_ASKS_LEGAL, &lossless, err);

	if (rc == 0 && lossless)
		rc = shrink_ask(s, s->trace, ATTEMPT_ASKS_BEGINNING, &beginning, err);
	if (rc == 0 && lossless)
		rc = shrink_ask(s, s->trace, ATTEMPT_ASKS_END, &end, err);
	s->target.lossless = lossless;
	s->target.whole_beginning = lossless && !beginning;
	s->target.whole_end = lossless && !end;
	return rc;
}

static int shrink_parts(struct shrink *s, struct err *err)
{
	bool checks = check_is_oracle(s->target.oracle);
	int rc = checks ? 0 : ask_lossless(s, err);

	if (rc == 0 && s->from->source != NULL && !checks)
		rc = shrink_source_first(s, err);
	if (rc == 0 && s->source != NULL)
		rc = shrink_text(s, err);
	if (rc == 0)
		rc = read_subject(s, err);
	if (rc == 0 && s->source == NULL && lanes_ended(s->lanes) == LANES_GO)
		rc = shrink_trace(s, err);
	if (rc == 0 && lanes_ended(s->lanes) == LANES_GO)
		rc = shrink_state(s, err);
	return rc;
}

static enum shrink_end how_it_ended(const struct shrink *s)
{
	if (lanes_ended(s->lanes) == LANES_SPENT)
		return SHRINK_SPENT;
	if (lanes_ended(s->lanes) == LANES_INTERRUPTED)
		return SHRINK_INTERRUPTED;
	for (size_t i = 0; i < s->result->without_count; i++)
		if (s->result->without[i].outcome == ATTEMPT_OPEN)
			return SHRINK_OPEN;
	return s->result->note != NULL || s->result->without_more > 0 ? SHRINK_OPEN
								      : SHRINK_MINIMAL;
}

/* The case as a file of its own. What it was made of by steps is seen to fail once more, as a
 * whole.
 */
static int finish(struct shrink *s, struct err *err)
{
	struct case_file c = {.subject = s->subject,
			      .trace = s->trace,
			      .source = s->source,
			      .state = s->state,
			      .finding = s->from->finding};
	struct verdict same;
	char version[] = PLUGPULL_VERSION;
	char *sqlite_version = xstrdup(sqlite3_libversion());
	uint64_t commits = 0;
	struct buf bytes = {0};
	bool found = false;
	int rc = replay(s, &c, &same, &found, NULL, &commits, err);

	if (rc == 0 && !found)
		rc = err_set(err, ERR_HARNESS,
			     "the smaller case does not show what it was found to show");
	if (rc == 0) {
		c.finding.message = same.message;
		c.plugpull_version = version;
		c.sqlite_version = sqlite_version;
		case_file_encode(&c, &bytes);
		rc = case_file_decode(bytes.data, bytes.size, &s->result->found, err);
	}
	if (rc == 0) {
		case_file_token(&c, s->result->token);
		s->result->after = count(s->source, s->trace, &s->state, commits);
		s->result->end = how_it_ended(s);
	}
	buf_release(&bytes);
	free(sqlite_version);
	return rc;
}

static void progress(void *ctx, uint64_t attempts, uint64_t recoveries)
{
	const struct shrink *s = ctx;

	if (s->options->progress != NULL)
		s->options->progress(s->options->ctx, s->doing, attempts, recoveries);
}

static bool interrupted(void *ctx)
{
	const struct shrink *s = ctx;

	return s->options->interrupted != NULL && s->options->interrupted(s->options->ctx);
}

/* What is found in its place, and what is not as it was. Owned by the caller; NULL: nothing. */
static char *why_gone(const struct case_file *c, const char *other)
{
	const char *now = sqlite3_libversion();
	struct buf b = {0};
	char *ret;

	if (other != NULL)
		buf_printf(&b, "it fails differently: %s", other);
	if (c->sqlite_version != NULL && strcmp(c->sqlite_version, now) != 0)
		buf_printf(&b, "%sfound with SQLite %s, run with %s", b.size == 0 ? "" : "; ",
			   c->sqlite_version, now);
	if (c->plugpull_version != NULL && strcmp(c->plugpull_version, PLUGPULL_VERSION) != 0)
		buf_printf(&b, "%sfound with plugpull %s, run with %s", b.size == 0 ? "" : "; ",
			   c->plugpull_version, PLUGPULL_VERSION);
	ret = b.size == 0 ? NULL : xstrdup(buf_str(&b));
	buf_release(&b);
	return ret;
}

int shrink_case(const struct case_file *c, const struct shrink_options *options,
		struct shrink_result *ret, struct err *err)
{
	struct shrink s = {.options = options,
			   .from = c,
			   .recoveries_max = SHRINK_FIRST_RECOVERIES / SHRINK_ATTEMPT_FACTOR,
			   .doing = "nothing yet",
			   .result = ret};
	struct lanes_options lanes = {
	    .jobs = options->jobs,
	    .recoveries_max = options->recoveries_max == 0 ? UINT64_MAX : options->recoveries_max,
	    .deadline_ns = options->deadline_ns,
	    .interrupted = interrupted,
	    .progress = progress,
	    .ctx = &s};
	struct verdict same;
	uint64_t commits = 0;
	bool found = false;
	char *other = NULL;

	s.target = (struct shrink_target){.oracle = c->finding.oracle,
					  .grade = c->finding.grade,
					  .depth = c->state.depth,
					  .representative = c->state.representative,
					  .show_data = options->show_data,
					  .vocabulary = options->vocabulary};
	case_file_token(c, ret->from);
	int rc = replay(&s, c, &same, &found, &other, &commits, err);
	if (rc == 0 && !found) {
		ret->end = SHRINK_GONE;
		ret->note = why_gone(c, other);
	}
	free(other);
	if (rc != 0)
		return rc;
	ret->before = count(c->source, c->trace, &c->state, commits);
	if (!found)
		return 0;
	s.trace = copy_trace(c->trace);
	s.state = c->state;
	s.state.answers = xcalloc(c->state.answer_count + 1, sizeof *s.state.answers);
	if (c->state.answer_count > 0)
		memcpy(s.state.answers, c->state.answers,
		       c->state.answer_count * sizeof *s.state.answers);
	s.lanes = lanes_create(&s.target, &lanes);
	rc = copy_subject(c->subject, &s.subject, err);
	if (rc == 0)
		rc = shrink_parts(&s, err);
	if (rc == 0)
		rc = finish(&s, err);
	ret->recoveries = lanes_recoveries(s.lanes);
	lanes_free(s.lanes);
	case_source_free(s.source);
	subject_free(s.subject);
	trace_free(s.trace);
	free(s.state.answers);
	return rc;
}
