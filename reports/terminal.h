/*
 * A result for a terminal: a line a case, and one at the end. Text is appended to a buffer; the
 * command line prints it. What comes from files (names, messages) cannot reach the terminal as a
 * control sequence.
 */
#ifndef REPORTS_TERMINAL_H
#define REPORTS_TERMINAL_H

#include "faultinject/base/buf.h"
#include "harness/case/result.h"

#include <stdbool.h>

enum {
	TERMINAL_VIOLATIONS_MAX = 5, /* shown of one case; verbose shows all */
	TERMINAL_WORD_WIDTH = 14,    /* columns of the word that a line begins with */
};

struct terminal_style {
	bool color;
	bool verbose; /* all violations, of held controls too */
	bool timing;
	const char *report; /* the report folder that holds the case files; NULL: there is none */
};

/* One case, with a newline at the end:
 *
 *   held          durable     bank@strict-posix  exhaustive  65 crash points, 3.1e9 states, ...
 *
 * Notes follow on lines of their own. A case that failed ends with its verdict in one sentence,
 * its tokens, and for each the command that replays it. */
void terminal_case(struct buf *out, const struct case_result *c,
		   const struct terminal_style *style);

/* The word that a line begins with, in the colour of a verdict, padded. */
void terminal_word(struct buf *out, const char *word, enum case_verdict like,
		   const struct terminal_style *style);

/* A finding, indented, with its token and the command that replays it; `report` is the folder that
 * has its case file, or NULL. */
void terminal_violation(struct buf *out, const struct result_violation *v, const char *report);

/* The last line: the verdict of all, how many of each, what it took. */
void terminal_summary(struct buf *out, const struct result *r, const struct terminal_style *style);

#endif
