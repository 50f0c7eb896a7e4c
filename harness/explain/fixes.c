/* See fixes.h. The settings that are tried; the syncs are in fixes_syncs.c. */
#include "harness/explain/fixes.h"

#include "faultinject/base/buf.h"
#include "harness/drive/check_gate.h"
#include "harness/drive/gate.h"
#include "harness/drive/record.h"
#include "harness/explain/fixes_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum fix_proof fix_judge(const struct fix_finding *found, const struct case_result *again)
{
	bool silent = true, same = false, corrupt = false, outside = false;

	for (size_t i = 0; i < again->violation_count; i++) {
		const struct result_violation *v = &again->violations[i];
		bool own = strcmp(v->oracle, found->oracle) == 0;
		silent = silent && !own;
		same = same || (own && v->grade <= found->grade);
		corrupt = corrupt || v->grade == GRADE_CORRUPT;
		outside = outside || (!own && v->grade == GRADE_NONE);
	}
	if (same)
		return FIX_REFUTED;
	if (again->verdict == CASE_ERROR || again->verdict == CASE_SKIPPED)
		return FIX_UNJUDGED;
	/* A crash point is left at its first corrupt state. */
	if (!again->exhaustive)
		return corrupt ? FIX_HIDDEN : FIX_UNKNOWN;
	if (again->commits < found->commits)
		return FIX_VOID;
	/* What is outside the scale is mended when nothing of it is left. */
	if (silent && !outside &&
	    (found->grade >= GRADE_DURABLE
		 ? again->grade == GRADE_DURABLE
		 : again->grade > found->grade && again->grade >= GRADE_CONSISTENT))
		return FIX_PROVED;
	return FIX_PARTLY;
}

/* ---- proofs -------------------------------------------------------------------------------- */

static bool interrupted(void *ctx)
{
	const struct telling *t = ctx;

	return t->o->interrupted != NULL && t->o->interrupted(t->o->ctx);
}

uint64_t fixes_left(const struct telling *t)
{
	uint64_t all =
	    t->o->recoveries_max != 0 ? t->o->recoveries_max : (uint64_t)STORY_RECOVERIES_STANDARD;

	return t->spent < all ? all - t->spent : 0;
}

int fixes_prove(struct telling *t, const struct subject *subject, const struct trace *trace,
		struct case_result *ret_result, enum fix_proof *ret_proof, struct err *err)
{
	const struct case_finding *f = &t->c->finding;
	struct fix_finding found = {f->oracle, f->grade, history_commits(t->h)};
	struct gate g = {.recoveries_max = fixes_left(t),
			 .jobs = t->o->jobs,
			 .hang_ns = story_hang_ns(t),
			 .depth = t->c->state.depth,
			 .interrupted = interrupted,
			 .ctx = t};
	int rc;

	if (g.recoveries_max == 0) {
		*ret_proof = FIX_UNKNOWN;
		return 0;
	}
	rc = gate_explore(&g, subject, trace, ret_result, err);
	t->spent += g.recoveries;
	gate_release(&g);
	if (interrupted(t))
		return err_set(err, ERR_INTERRUPTED, "interrupted");
	/* What cannot be judged proves nothing; what is wrong with us is said. */
	if (rc != 0 && rc != ERR_HARNESS) {
		*ret_proof = FIX_UNJUDGED;
		*err = (struct err)ERR_INIT;
		return 0;
	}
	if (rc == 0)
		*ret_proof = fix_judge(&found, ret_result);
	return rc;
}

char *fixes_proof_words(const struct case_result *r)
{
	struct buf b;

	buf_init(&b);
	buf_printf(&b, "run again: ");
	story_count(&b, r->crash_points, "crash point");
	buf_printf(&b, ", %s states, all of them covered by %" PRIu64 " recoveries: %s", r->states,
		   r->recoveries, grade_text(r->grade));
	if (r->grade == GRADE_CONSISTENT)
		buf_printf(&b, ", and up to %" PRIu64 " acknowledged commit%s can still be lost",
			   r->lost_acked_max, r->lost_acked_max == 1 ? "" : "s");
	char *text = story_text("%s", buf_str(&b));
	buf_release(&b);
	return text;
}

struct story_fix *fixes_add(struct telling *t, char *what, const struct case_result *r)
{
	struct story_fix *fix = STORY_ADD(t->s, fixes, fix);

	fix->fixed = r->grade == GRADE_DURABLE;
	fix->what = fix->fixed ? what : story_text("better, not fixed: %s", what);
	fix->proof = fixes_proof_words(r);
	if (!fix->fixed)
		free(what);
	return fix;
}

/* What only makes it better is of use to nobody who can have it fixed. */
static void keep_real_fixes(struct story *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->fix_count; i++)
		kept += s->fixes[i].fixed;
	if (kept == 0)
		return;
	kept = 0;
	for (size_t i = 0; i < s->fix_count; i++) {
		struct story_fix *f = &s->fixes[i];
		if (f->fixed) {
			s->fixes[kept++] = *f;
			continue;
		}
		free(f->what);
		free(f->where);
		free(f->proof);
		free(f->command);
	}
	s->fix_count = kept;
}

/* ---- settings ------------------------------------------------------------------------------ */

struct setting {
	const char *key, *value;
};

struct candidate {
	struct setting set[2]; /* the second may be empty */
};

enum { CANDIDATES_MAX = 12 };

static const char *setting_of(const struct kv_list *config, const char *key, const char *standard)
{
	for (size_t i = 0; i < config->count; i++)
		if (strcasecmp(config->items[i].key, key) == 0)
			return config->items[i].value;
	return standard;
}

int fixes_synchronous(const char *value)
{
	static const char *const words[] = {"off", "normal", "full", "extra"};

	for (int i = 0; i < 4; i++)
		if (strcasecmp(value, words[i]) == 0 || (value[0] == '0' + i && value[1] == '\0'))
			return i;
	return 2; /* as SQLite is built */
}

static const char *synchronous_word(int level)
{
	static const char *const words[] = {"off", "normal", "full", "extra"};

	return words[level];
}

/* From the smallest change to the largest. */
static size_t make_candidates(const struct kv_list *config, struct candidate *ret)
{
	const char *mode = setting_of(config, "journal_mode", "delete");
	int level = fixes_synchronous(setting_of(config, "synchronous", "full"));
	bool logless = strcasecmp(mode, "memory") == 0 || strcasecmp(mode, "off") == 0;
	size_t n = 0;

	for (int l = level + 1; l < 4; l++)
		ret[n++] = (struct candidate){{{"synchronous", synchronous_word(l)}}};
	if (logless) {
		ret[n++] = (struct candidate){{{"journal_mode", "delete"}}};
		for (int l = level + 1; l < 4; l++)
			ret[n++] = (struct candidate){
			    {{"journal_mode", "delete"}, {"synchronous", synchronous_word(l)}}};
	}
	if (strcasecmp(mode, "wal") != 0) {
		ret[n++] = (struct candidate){{{"journal_mode", "wal"}}};
		if (level < 2)
			ret[n++] =
			    (struct candidate){{{"journal_mode", "wal"}, {"synchronous", "full"}}};
	}
	return n;
}

/* "synchronous=extra and journal_mode=wal". Owned by the caller. */
static char *candidate_words(const struct candidate *c)
{
	return c->set[1].key == NULL ? xasprintf("%s=%s", c->set[0].key, c->set[0].value)
				     : xasprintf("%s=%s and %s=%s", c->set[0].key, c->set[0].value,
						 c->set[1].key, c->set[1].value);
}

/* May a case of this scenario have that setting by --set? Not where it is an axis without it. */
static bool can_be_set(const struct scenario *s, const struct setting *x)
{
	for (size_t i = 0; i < s->axis_count; i++) {
		if (strcasecmp(s->axes[i].key, x->key) != 0)
			continue;
		for (size_t k = 0; k < s->axes[i].value_count; k++)
			if (strcasecmp(s->axes[i].values[k], x->value) == 0)
				return true;
		return false;
	}
	return true;
}

static void put_set(struct buf *b, const char *key, const char *value)
{
	char *pair = xasprintf("%s=%s", key, value);

	buf_printf(b, " --set ");
	buf_put_word(b, pair);
	free(pair);
}

/* The command that runs the changed case. NULL: no command line can. */
static char *command_of(const struct telling *t, const struct scenario *s,
			const struct candidate *c)
{
	const struct case_source *source = t->c->source;
	struct buf b;

	for (size_t i = 0; i < 2 && c->set[i].key != NULL; i++)
		if (!can_be_set(s, &c->set[i]))
			return NULL;
	buf_init(&b);
	buf_printf(&b, "plugpull run ");
	buf_put_word(&b, story_source_name(t));
	buf_printf(&b, " --model ");
	buf_put_word(&b, source->model);
	if (t->c->state.depth == 2)
		buf_printf(&b, " --depth 2");
	for (size_t i = 0; i < source->set.count; i++) {
		const struct kv *p = &source->set.items[i];
		const char *own = setting_of(&s->pragmas, p->key, NULL);
		bool changed = false;

		for (size_t k = 0; k < 2 && c->set[k].key != NULL; k++)
			changed = changed || strcasecmp(c->set[k].key, p->key) == 0;
		/* What the scenario itself says need not be said again. */
		if (!changed && (own == NULL || strcmp(own, p->value) != 0))
			put_set(&b, p->key, p->value);
	}
	for (size_t i = 0; i < 2 && c->set[i].key != NULL; i++)
		put_set(&b, c->set[i].key, c->set[i].value);
	char *text = story_text("%s", buf_str(&b));
	buf_release(&b);
	return text;
}

static void set_in(struct kv_list *list, const struct candidate *c)
{
	for (size_t i = 0; i < 2 && c->set[i].key != NULL; i++)
		kv_set(list, c->set[i].key, c->set[i].value);
}

/* The command of a proved fix may end with 1: the scenario asks for more, or for just what is
 * mended. */
static void say_exit(struct story_fix *fix, const struct case_spec *c, struct case_result *r)
{
	char *proof = NULL;

	r->has_required = c->has_required;
	r->required = c->required;
	r->has_expected = c->has_expect;
	r->expected = c->expected;
	gate_verdict(r);
	if (r->verdict != CASE_VIOLATED)
		return;
	if (c->has_expect)
		proof = story_text("%s. The command ends with 1 all the same: the scenario "
				   "expects %s (@expect)",
				   fix->proof, grade_text(c->expected));
	else
		proof = story_text("%s. The command ends with 1 all the same: %s is required of "
				   "the case",
				   fix->proof, grade_text(c->required));
	free(fix->proof);
	fix->proof = proof;
}

static void add_setting_fix(struct telling *t, const struct case_again *again,
			    const struct candidate *c, struct case_result *r)
{
	const struct scenario *s = again->scenario;
	char *words = candidate_words(c);
	char *what = story_text("%s instead of %s", words,
				setting_of(&t->c->subject->pragmas, c->set[0].key, "the default"));
	struct story_fix *fix = fixes_add(t, what, r);
	int line = 0;

	for (size_t i = 0; i < 2 && c->set[i].key != NULL && line == 0; i++)
		line = story_setting_line(t->c->source->text, c->set[i].key);
	if (line != 0)
		fix->where = story_text("%s:%d", story_source_name(t), line);
	fix->command = command_of(t, s, c);
	if (fix->command != NULL)
		say_exit(fix, &again->cases.items[0], r);
	free(words);
}

/* Records the scenario with another setting and explores it. */
static int try_setting(struct telling *t, const struct candidate *c, struct tried *tried,
		       enum fix_proof *ret_proof, enum grade *ret_grade, struct err *err)
{
	struct case_again again = {0};
	struct result result;
	struct trace *trace = NULL;
	char *skip = NULL;
	int rc = case_source_read(t->c->source, t->o->vocabulary, &again, err);

	*ret_proof = FIX_UNKNOWN;
	*ret_grade = GRADE_NONE;
	result_init(&result, "explain", t->c->subject->seed);
	struct case_result *r = result_add(&result);
	if (rc == 0) {
		set_in(&again.cases.items[0].config, c);
		set_in(&again.subject->pragmas, c);
		rc = record_case(again.scenario, &again.cases.items[0], again.subject, &trace,
				 &skip, err);
	}
	if (rc == 0 && skip == NULL)
		rc = fixes_prove(t, again.subject, trace, r, ret_proof, err);
	else if (rc == 0 || rc == ERR_INPUT) {
		rc = 0;
		*ret_proof = FIX_CANNOT;
	}
	if (rc == 0 && *ret_proof == FIX_PROVED)
		add_setting_fix(t, &again, c, r);
	*ret_grade = r->grade;
	if (rc == 0) {
		char *words = candidate_words(c);
		fixes_put_tried(tried, words, *ret_proof, r);
		free(words);
	}
	free(skip);
	trace_free(trace);
	result_release(&result);
	case_again_release(&again);
	return rc;
}

/* What a changed run still comes to: " consistent", and who objects outside the grades. */
static void put_left(struct buf *b, const struct case_result *r)
{
	const char *grade = grade_text(r->grade);

	if (grade != NULL && r->grade != GRADE_DURABLE)
		buf_printf(b, " %s", grade);
	else
		for (size_t i = 0; i < r->violation_count; i++)
			if (r->violations[i].grade == GRADE_NONE) {
				buf_printf(b, " what %s objects to", r->violations[i].oracle);
				break;
			}
}

void fixes_put_tried(struct tried *tried, const char *what, enum fix_proof proof,
		     const struct case_result *r)
{
	static const char *const words[] = {
	    [FIX_PROVED] = "",
	    [FIX_PARTLY] = "the finding is gone, and what is left is",
	    [FIX_REFUTED] = "the finding is there again",
	    [FIX_HIDDEN] = "something else hides whether it helps:",
	    [FIX_UNKNOWN] = "not all states could be covered",
	    [FIX_CANNOT] = "the scenario does not run so",
	    [FIX_UNJUDGED] = "what comes of it cannot be judged",
	    [FIX_VOID] = "the run commits less, which proves nothing",
	};

	if (proof == FIX_PROVED)
		return;
	buf_printf(&tried->text, "%s%s (%s", tried->count++ == 0 ? "" : ", ", what, words[proof]);
	if (proof == FIX_PARTLY)
		put_left(&tried->text, r);
	else if (proof == FIX_HIDDEN && r->violation_count > 0)
		buf_printf(&tried->text, " %s finds %s states", r->violations[0].oracle,
			   grade_text(r->violations[0].grade));
	buf_printf(&tried->text, ")");
}

static int try_settings(struct telling *t, struct tried *tried, struct err *err)
{
	struct candidate candidates[CANDIDATES_MAX];
	size_t count = make_candidates(&t->c->subject->pragmas, candidates);
	bool has_level = false, has_mode = false;

	for (size_t i = 0; i < count; i++) {
		const struct candidate *c = &candidates[i];
		bool *has = strcmp(c->set[0].key, "synchronous") == 0 ? &has_level : &has_mode;
		enum fix_proof proof;
		enum grade grade;

		/* One of each kind that keeps everything is enough: the smallest change. */
		if (*has)
			continue;
		if (fixes_left(t) == 0) {
			tried->spent = true;
			break;
		}
		int rc = try_setting(t, c, tried, &proof, &grade, err);
		if (rc != 0)
			return rc;
		*has = proof == FIX_PROVED && grade == GRADE_DURABLE;
		tried->spent = tried->spent || (proof == FIX_UNKNOWN && fixes_left(t) == 0);
	}
	return 0;
}

/* ---- all ----------------------------------------------------------------------------------- */

static void tell_fixes(struct telling *t, struct tried *tried)
{
	struct buf b;

	buf_init(&b);
	if (t->broken_by != 0 && t->broken_until != 0)
		buf_printf(&b,
			   "what belongs together has to be committed together: make transactions "
			   "%zu and %zu one. No setting and no sync changes what the program "
			   "itself commits",
			   t->broken_by, t->broken_until);
	else if (t->s->fix_count == 0)
		buf_printf(&b, "nothing that was tried is proved to help");
	if (tried->count > 0)
		buf_printf(&b, "%stried without success: %s", b.size > 0 ? "; " : "",
			   buf_str(&tried->text));
	if (t->c->source == NULL)
		buf_printf(&b,
			   "%sthe settings of a recorded program cannot be changed from here: "
			   "change the program, and record it again",
			   b.size > 0 ? "; " : "");
	else if (t->o->vocabulary == NULL)
		buf_printf(&b, "%sno setting was tried", b.size > 0 ? "; " : "");
	if (tried->spent)
		buf_printf(&b, "%sthe budget of recoveries ended before all was tried",
			   b.size > 0 ? "; " : "");
	if (b.size > 0)
		story_set(&t->s->fixes_words, "%s", buf_str(&b));
	buf_release(&b);
}

int story_tell_fixes(struct telling *t, struct err *err)
{
	struct tried tried = {0};
	int rc = 0;

	buf_init(&tried.text);
	lint_run(t->c->trace, t->h, &t->lint);
	if (check_is_oracle(t->c->finding.oracle)) {
		story_set(
		    &t->s->fixes_words,
		    "what --check objects to is found in samples, and a sample proves no fix");
		fixes_list_missing(t);
		goto out;
	}
	if (t->o->no_proofs || !t->again || t->interrupted) {
		fixes_list_missing(t);
		story_set(&t->s->fixes_words, "%s",
			  !t->again	   ? "the finding is gone: there is nothing to mend"
			  : t->interrupted ? "interrupted before any fix was tried"
					   : "no fix was tried");
		goto out;
	}
	if (t->c->source != NULL && t->o->vocabulary != NULL)
		rc = try_settings(t, &tried, err);
	if (rc == 0)
		rc = fixes_try_syncs(t, &tried, err);
	if (rc == 0) {
		keep_real_fixes(t->s);
		tell_fixes(t, &tried);
	} else if (rc == ERR_INTERRUPTED) {
		keep_real_fixes(t->s);
		if (t->s->missing_count == 0)
			fixes_list_missing(t);
		story_set(&t->s->fixes_words, "interrupted: fixes were not tried to the end");
	}
out:
	buf_release(&tried.text);
	return rc;
}
