/*
 * What the measurements share: the reference run, recorded and indexed, and a clock. They are one
 * program, `plugpull-bench ROW ARGUMENTS`, that prints the numbers of one row as a JSON object;
 * run.py makes a table of them. docs/benchmarks.md says what each row means.
 *
 * A measurement checks its own answer and fails when that is wrong: a fast wrong answer is no
 * figure.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "faultinject/base/err.h"
#include "faultinject/trace.h"
#include "faultinject/trace_index.h"
#include "harness/case/subject.h"
#include "harness/drive/examine.h"
#include "harness/scenario/scenario.h"

/* A scenario's first case, recorded. */
struct bench_run {
	struct scenario *scenario;
	struct case_list cases;
	struct subject *subject;
	struct trace *trace;
};

/* Records the first case of the scenario file at `path`. `sector` is "512" or "4096". The caller
 * releases *ret also on failure. */
int bench_run_load(const char *path, const char *sector, struct bench_run *ret, struct err *err);
void bench_run_release(struct bench_run *r);

/* A trace of the run, ready to be explored. */
struct bench_case {
	struct model model;
	struct trace_index *ix;
	struct examiner *examiner;
	struct explore_points points;
};

/* `t` (borrowed) is the run's trace or a changed copy of it. The caller releases *ret also on
 * failure. */
int bench_case_open(const struct bench_run *r, const struct trace *t, struct bench_case *ret,
		    struct err *err);
void bench_case_release(struct bench_case *c);

double bench_seconds(void); /* of a clock that only goes forward */
/* That the processor spent on this process and on its children that have ended: other work on the
 * machine takes nothing away but its caches. */
double bench_cpu_seconds(void);

/* The rows. Each prints its JSON object. */
int bench_recoveries(int argc, char **argv, struct err *err);
int bench_states(int argc, char **argv, struct err *err);
int bench_syncs(int argc, char **argv, struct err *err);

#endif
