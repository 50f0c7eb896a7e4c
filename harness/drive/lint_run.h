/*
 * The barrier lint with the promises that the history counts: those of lint_trace() where they are
 * OP_ACKs, otherwise what the history took for them (releases of locks, outputs, marks).
 */
#ifndef DRIVE_LINT_RUN_H
#define DRIVE_LINT_RUN_H

#include "harness/judge/history.h"
#include "harness/lint/lint.h"

/* As lint_trace(). `h` is the history of `t`, or NULL: no promise but OP_ACKs. */
void lint_run(const struct trace *t, const struct history *h, struct lint *ret);

#endif
