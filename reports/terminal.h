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

enum { TERMINAL_VIOLATIONS_MAX = 5 }; /* shown of one case; verbose shows all */

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

/* The last line: the verdict of all, how many of each, what it took. */
void terminal_summary(struct buf *out, const struct result *r, const struct terminal_style *style);

#endif
