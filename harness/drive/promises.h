/*
 * What counts as a promise, in a sentence for the people who read a result.
 */
#ifndef DRIVE_PROMISES_H
#define DRIVE_PROMISES_H

#include "harness/case/result.h"
#include "harness/judge/history.h"

/* A note in the case. Exact promises need no word. */
void promises_note(enum history_ack ack, struct case_result *c);

#endif
