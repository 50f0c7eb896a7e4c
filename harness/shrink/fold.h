/*
 * A case's own scenario: the text of a scenario of many cases, changed so that it has this one
 * alone and needs no --set: one model, the case's pragmas, the axes as values, the parameters of
 * the workload written out. What asks something of a run (@require, @expect, @redundant, @kill) is
 * left out: what remains fails, and that is the point of it.
 */
#ifndef SHRINK_FOLD_H
#define SHRINK_FOLD_H

#include "faultinject/base/err.h"
#include "harness/case/case_source.h"

/* *ret is the caller's. Its case has the same settings under the same id; `path` is the file that
 * it will be, whose lines are others. ERR_INPUT where the text cannot be read. */
int shrink_fold(const struct case_source *from, const char *path,
		const struct scenario_vocabulary *vocabulary, struct case_source **ret,
		struct err *err);

/* A copy; with another text unless that is NULL. */
struct case_source *shrink_source_copy(const struct case_source *from, const char *text);

/* Takes words out that say what is so without them; the case stays the same. Owned by the caller.
 */
char *shrink_without_repeats(const char *text);	  /* repeat=1 of a client */
char *shrink_without_standards(const char *text); /* parameters of a workload at their standard */

#endif
