/*
 * Results of a run: see result.h.
 *
 * The verdict of several cases and the exit code are computed here and nowhere else, so that no
 * report can disagree with the exit code. Rendering is not done here: result_json.c and reports/.
 */
#include "harness/case/result.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *case_verdict_text(enum case_verdict verdict)
{
	switch (verdict) {
#define X(name, text)                                                                              \
	case name:                                                                                 \
		return text;
		CASE_VERDICTS(X)
#undef X
	}
	ASSERT_OP(verdict, <=, CASE_SKIPPED);
	return NULL;
}

void result_init(struct result *r, const char *command, uint64_t seed)
{
	memset(r, 0, sizeof *r);
	r->command = command;
	r->seed = seed;
}

static void waiver_free(struct result_waiver *w)
{
	if (w == NULL)
		return;
	free(w->allowed);
	free(w->until);
	free(w->reason);
	free(w);
}

static void case_result_release(struct case_result *c)
{
	for (size_t i = 0; i < c->not_applicable_count; i++) {
		free(c->not_applicable[i].oracle);
		free(c->not_applicable[i].reason);
	}
	for (size_t i = 0; i < c->violation_count; i++) {
		free(c->violations[i].oracle);
		free(c->violations[i].message);
		free(c->violations[i].token);
		story_free(c->violations[i].story);
		waiver_free(c->violations[i].waived);
	}
	for (size_t i = 0; i < c->note_count; i++)
		free(c->notes[i]);
	free(c->not_applicable);
	for (size_t i = 0; i < c->mutant_count; i++) {
		free(c->mutants[i].name);
		free(c->mutants[i].found);
	}
	free(c->mutants);
	for (size_t i = 0; i < c->lint_count; i++) {
		free(c->lint[i].rule);
		free(c->lint[i].message);
	}
	free(c->lint);
	free(c->violations);
	free(c->notes);
	free(c->id);
	free(c->scenario);
	free(c->file);
	free(c->title);
	free(c->model);
	free(c->reason);
	free(c->states);
	kv_release(&c->config);
}

void result_release(struct result *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->case_count; i++)
		case_result_release(&r->cases[i]);
	free(r->cases);
	free(r->again);
	free(r->again_program);
	free(r->sqlite_version);
	free(r->sqlite_source_id);
	memset(r, 0, sizeof *r);
}

struct case_result *result_add(struct result *r)
{
	r->cases = xgrow(r->cases, r->case_count, &r->case_cap, sizeof *r->cases);
	struct case_result *c = &r->cases[r->case_count++];

	memset(c, 0, sizeof *c);
	/* A case that nobody finishes must not read as held. */
	c->verdict = CASE_ERROR;
	c->grade = GRADE_NONE;
	c->required = GRADE_NONE;
	c->expected = GRADE_NONE;
	return c;
}

static char *copy_or_null(const char *s)
{
	return s == NULL ? NULL : xstrdup(s);
}

void case_result_violation(struct case_result *c, const char *oracle, enum grade grade,
			   const char *message, const char *token)
{
	c->violations =
	    xgrow(c->violations, c->violation_count, &c->violation_cap, sizeof *c->violations);
	c->violations[c->violation_count++] = (struct result_violation){
	    .oracle = copy_or_null(oracle),
	    .grade = grade,
	    .message = copy_or_null(message),
	    .token = copy_or_null(token),
	};
}

void result_violation_waive(struct result_violation *v, const char *allowed, const char *until,
			    const char *reason, uint64_t line)
{
	ASSERT(v->waived == NULL);
	v->waived = xmalloc(sizeof *v->waived);
	*v->waived =
	    (struct result_waiver){xstrdup(allowed), xstrdup(until), xstrdup(reason), line};
}

size_t case_result_waived(const struct case_result *c)
{
	size_t count = 0;

	for (size_t i = 0; i < c->violation_count; i++)
		count += c->violations[i].waived != NULL;
	return count;
}

void case_result_not_applicable(struct case_result *c, const char *oracle, const char *reason)
{
	c->not_applicable = xgrow(c->not_applicable, c->not_applicable_count,
				  &c->not_applicable_cap, sizeof *c->not_applicable);
	c->not_applicable[c->not_applicable_count++] = (struct result_not_applicable){
	    .oracle = copy_or_null(oracle),
	    .reason = copy_or_null(reason),
	};
}

void case_result_note(struct case_result *c, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	ASSERT(n >= 0);
	c->notes = xgrow(c->notes, c->note_count, &c->note_cap, sizeof *c->notes);
	c->notes[c->note_count++] = text;
}

const char *result_mutation_text(enum result_mutation result)
{
	switch (result) {
#define X(name, text)                                                                              \
	case name:                                                                                 \
		return text;
		MUTATIONS(X)
#undef X
	}
	ASSERT_OP(result, <=, MUTATION_MISSED);
	return NULL;
}

void case_result_lint(struct case_result *c, const char *rule, const char *message, uint64_t count)
{
	c->lint = xgrow(c->lint, c->lint_count, &c->lint_cap, sizeof *c->lint);
	c->lint[c->lint_count++] = (struct result_lint){xstrdup(rule), xstrdup(message), count};
}

void case_result_mutant(struct case_result *c, const char *name, const char *kind,
			enum result_mutation result, bool overlisted, uint64_t recoveries,
			const char *found)
{
	c->mutants = xgrow(c->mutants, c->mutant_count, &c->mutant_cap, sizeof *c->mutants);
	c->mutants[c->mutant_count++] = (struct result_mutant){
	    .name = xstrdup(name),
	    .kind = kind,
	    .result = result,
	    .overlisted = overlisted,
	    .recoveries = recoveries,
	    .found = found == NULL ? NULL : xstrdup(found),
	};
}

struct result_score case_result_score(const struct case_result *c)
{
	struct result_score s = {0, 0, 0};

	for (size_t i = 0; i < c->mutant_count; i++) {
		s.caught += c->mutants[i].result == MUTATION_CAUGHT;
		s.missed += c->mutants[i].result == MUTATION_MISSED;
		s.redundant += c->mutants[i].result == MUTATION_REDUNDANT;
	}
	return s;
}

struct result_score result_score(const struct result *r)
{
	struct result_score sum = {0, 0, 0};

	for (size_t i = 0; i < r->case_count; i++) {
		struct result_score s = case_result_score(&r->cases[i]);
		sum.caught += s.caught;
		sum.missed += s.missed;
		sum.redundant += s.redundant;
	}
	return sum;
}

bool result_mutated(const struct result *r)
{
	for (size_t i = 0; i < r->case_count; i++)
		if (r->cases[i].mutated)
			return true;
	return false;
}

enum case_verdict result_verdict(const struct result *r)
{
	size_t count[CASE_SKIPPED + 1] = {0};

	for (size_t i = 0; i < r->case_count; i++) {
		ASSERT_OP(r->cases[i].verdict, <=, CASE_SKIPPED);
		count[r->cases[i].verdict]++;
	}
	if (count[CASE_ERROR] > 0)
		return CASE_ERROR;
	if (count[CASE_VIOLATED] > 0)
		return CASE_VIOLATED;
	/* An interrupted run has cases that it never reached, whatever the others say. */
	if (count[CASE_INCONCLUSIVE] > 0 || count[CASE_HELD] == 0 || r->interrupted)
		return CASE_INCONCLUSIVE;
	return CASE_HELD;
}

int result_exit_code(const struct result *r)
{
	if (r->interrupted)
		return 130;
	switch (result_verdict(r)) {
	case CASE_HELD:
		return 0;
	case CASE_VIOLATED:
		return 1;
	case CASE_INCONCLUSIVE:
	case CASE_SKIPPED:
		return 4;
	case CASE_ERROR:
	default:
		return 3;
	}
}
