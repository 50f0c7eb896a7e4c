/*
 * A result as GitHub-flavoured Markdown (summary.md): for a step summary or a comment. First the
 * verdict, then each violation with the command that replays it, then those that are waived, then a
 * table of all cases, those that did not hold first.
 *
 * Names and messages come from files that other people wrote: nothing in them is read as Markdown
 * or HTML.
 */
#ifndef REPORTS_MARKDOWN_H
#define REPORTS_MARKDOWN_H

#include "faultinject/base/buf.h"
#include "harness/case/result.h"

enum {
	/* GitHub drops a step summary of more than 1 MiB, all of it. */
	MARKDOWN_SIZE_MAX = 1 << 20,
	/* The violations' share; the table has what is left. */
	MARKDOWN_VIOLATIONS_SIZE_MAX = MARKDOWN_SIZE_MAX / 2,
	/* One name or message, in bytes; what is longer is cut and ends in an ellipsis. */
	MARKDOWN_TEXT_SIZE_MAX = 1000,
};

/* Appends the document, below MARKDOWN_SIZE_MAX bytes. Where it is cut, a line says how much was
 * left out. */
void markdown_render(struct buf *out, const struct result *r);

#endif
