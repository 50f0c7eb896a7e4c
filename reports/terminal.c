/*
 * Terminal lines; see terminal.h. Columns are fixed rather than fitted, because a line is printed
 * when its case ends and the longest id is not known then. Progress is not shown here.
 */
#include "reports/terminal.h"

#include "reports/words.h"

#include <inttypes.h>
#include <string.h>

/* SGR sequences (ECMA-48 8.3.117). */
static const char *const colors[] = {
    [CASE_HELD] = "\033[32m",  [CASE_VIOLATED] = "\033[31m", [CASE_INCONCLUSIVE] = "\033[33m",
    [CASE_ERROR] = "\033[35m", [CASE_SKIPPED] = "\033[2m",
};

static void put(struct buf *out, const char *text)
{
	buf_append(out, text, strlen(text));
}

void terminal_word(struct buf *out, const char *word, enum case_verdict like,
		   const struct terminal_style *style)
{
	int padding = TERMINAL_WORD_WIDTH - (int)strlen(word);

	if (style->color)
		put(out, colors[like]);
	put(out, word);
	if (style->color)
		put(out, "\033[0m");
	if (padding > 0) /* outside the sequence */
		buf_printf(out, "%*s", padding, "");
}

static void verdict(struct buf *out, enum case_verdict v, const struct terminal_style *style)
{
	terminal_word(out, case_verdict_text(v), v, style);
}

void terminal_violation(struct buf *out, const struct result_violation *v, const char *report)
{
	put(out, "  ");
	words_clean(out, v->oracle);
	if (v->grade != GRADE_NONE)
		buf_printf(out, ", %s", grade_text(v->grade));
	put(out, ": ");
	words_clean(out, v->message);
	put(out, "\n");
	if (v->waived != NULL) {
		put(out, "    waived  until ");
		words_clean(out, v->waived->until);
		put(out, ": ");
		words_clean(out, v->waived->reason);
		put(out, "\n");
	}
	if (v->token == NULL)
		return;
	put(out, "    token   ");
	words_clean(out, v->token);
	put(out, "\n    replay  plugpull replay ");
	words_replay(out, report, v->token);
	put(out, "\n");
}

/* What was missed, and what is listed and should not be, always; all of them with -v. */
static void mutants(struct buf *out, const struct case_result *c, bool verbose)
{
	put(out, "  mutants: ");
	words_score(out, case_result_score(c));
	put(out, "\n");
	for (size_t i = 0; i < c->mutant_count; i++) {
		const struct result_mutant *m = &c->mutants[i];

		if (!verbose && m->result != MUTATION_MISSED && !m->overlisted)
			continue;
		buf_printf(out, "    %-10s", result_mutation_text(m->result));
		words_clean(out, m->name);
		buf_printf(out, " (%" PRIu64 " %s)", m->recoveries,
			   m->recoveries == 1 ? "recovery" : "recoveries");
		if (m->found != NULL) {
			put(out, ": ");
			words_clean(out, m->found);
		}
		put(out, "\n");
	}
}

void terminal_case(struct buf *out, const struct case_result *c, const struct terminal_style *style)
{
	const char *grade = grade_text(c->grade);
	bool failed = c->verdict != CASE_HELD && c->verdict != CASE_SKIPPED;

	verdict(out, c->verdict, style);
	buf_printf(out, "%-12s", grade == NULL ? "-" : grade);
	words_clean(out, c->id);
	if (c->verdict == CASE_SKIPPED) {
		put(out, "  ");
		words_sentence(out, c);
	} else if (c->verdict != CASE_ERROR) {
		buf_printf(out, "  %s  ", words_extent(c));
		words_coverage(out, c);
		if (style->timing)
			buf_printf(out, ", %.3f s", c->seconds);
	}
	put(out, "\n");
	for (size_t i = 0; i < c->note_count; i++) {
		put(out, "  note: ");
		words_clean(out, c->notes[i]);
		put(out, "\n");
	}
	/* A check that was asked for and not made belongs beside the green that it did not earn. */
	for (size_t i = 0; i < c->not_applicable_count; i++) {
		put(out, "  not applicable: ");
		words_clean(out, c->not_applicable[i].oracle);
		put(out, " (");
		words_clean(out, c->not_applicable[i].reason);
		put(out, ")\n");
	}
	if (c->mutated)
		mutants(out, c, style->verbose);
	if (failed) {
		put(out, "  ");
		words_sentence(out, c);
		put(out, "\n");
	}
	if (!failed && !style->verbose)
		return;
	for (size_t i = 0; i < c->violation_count; i++) {
		if (i == TERMINAL_VIOLATIONS_MAX && !style->verbose) {
			put(out, "  and ");
			words_number(out, c->violation_count - i, "violation");
			put(out, " more (-v shows all)\n");
			break;
		}
		terminal_violation(out, &c->violations[i], style->report);
	}
	for (size_t i = 0; i < c->lint_count; i++) {
		put(out, "  missing sync: ");
		words_lint(out, &c->lint[i]);
		put(out, "\n");
	}
}

void terminal_summary(struct buf *out, const struct result *r, const struct terminal_style *style)
{
	uint64_t crash_points = 0, rounds = 0, recoveries = 0;
	double seconds = 0;

	for (size_t i = 0; i < r->case_count; i++) {
		crash_points += r->cases[i].crash_points;
		recoveries += r->cases[i].recoveries;
		rounds += r->cases[i].has_rounds ? r->cases[i].rounds : 0;
		seconds += r->cases[i].seconds;
	}
	verdict(out, result_verdict(r), style);
	if (r->interrupted)
		put(out, "interrupted, so far ");
	words_counts(out, r);
	put(out, "; ");
	if (rounds > 0) {
		words_number(out, rounds, "round");
		put(out, ", ");
	}
	if (crash_points > 0) {
		words_number(out, crash_points, "crash point");
		put(out, ", ");
	}
	if (result_mutated(r)) {
		put(out, "mutants: ");
		words_score(out, result_score(r));
		put(out, "; ");
	}
	buf_printf(out, "%" PRIu64 " %s; seed %" PRIu64, recoveries,
		   recoveries == 1 ? "recovery" : "recoveries", r->seed);
	if (style->timing)
		buf_printf(out, "; %.3f s", seconds);
	put(out, "\n");
}
