/* A scenario's first case, recorded, for tests. */
#ifndef DRIVE_TEST_RECORD_HELP_H
#define DRIVE_TEST_RECORD_HELP_H

#include "faultinject/trace.h"
#include "harness/case/subject.h"
#include "harness/scenario/scenario.h"

struct recorded {
	struct scenario *scenario;
	struct case_list cases;
	struct subject *subject;
	struct trace *trace;
};

/* Parses and records `text`; the test fails when it cannot. */
void record_text(const char *text, struct recorded *ret);
void recorded_release(struct recorded *r);

#endif
