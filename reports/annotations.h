/*
 * A result as GitHub's workflow commands (annotations.txt): a step that prints them gets its
 * failures shown beside the lines of the scenarios.
 *
 *   ::error title=bank@strict-posix,file=durability/bank.sql,line=2::durable is required, ...
 *
 * The order of the properties and what is escaped are those of the toolkit's own writer, the npm
 * package @actions/core.
 */
#ifndef REPORTS_ANNOTATIONS_H
#define REPORTS_ANNOTATIONS_H

#include "faultinject/base/buf.h"
#include "harness/case/result.h"

enum {
	ANNOTATIONS_MAX = 10,		 /* GitHub shows no more of one step */
	ANNOTATION_TITLE_SIZE_MAX = 200, /* bytes; GitHub cuts titles at 255 characters */
	ANNOTATION_TEXT_SIZE_MAX = 4000, /* bytes of one message; GitHub refuses above 64 KiB */
};

/* Appends a line for each case that failed, the worst first; where they are more than
 * ANNOTATIONS_MAX the last line says how many are left out. Nothing where all is well. What a
 * planted defect hides from JUnit is hidden from nothing else. */
void annotations_render(struct buf *out, const struct result *r);

#endif
