/*
 * What the files of pp_run() share; not installed. pp_run.h is the public header, and its rules
 * about threads hold here.
 */
#ifndef LIBRARY_RUN_H
#define LIBRARY_RUN_H

#include "faultinject/base/err.h"
#include "faultinject/trace.h"
#include "harness/library/pp_run.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

/* Shared with the processes that explore. A check that began and did not end crashed, hangs, or was
 * left by a jump. */
struct run_counts {
	_Atomic uint64_t begun, ended;
	_Atomic uint64_t strayed; /* states in which it looked further than any observer */
};

struct run {
	pp_step_fn *setup, *work;
	pp_check_fn *check;
	void *ctx;
	uint64_t seed;
	bool is_loud; /* the output of check is shown */

	pid_t owner;		   /* the process that called pp_run() */
	struct run_counts *counts; /* owned */
};

/* ---- run_record.c */

/* Runs setup and work on the simulated disk, which is registered, and records work. The caller owns
 * the trace. ERR_INPUT: one of them failed, or left something open. */
int run_record(const struct run *r, struct trace **ret_trace, struct err *err);

/* Are connections open that belong to the simulated disk of an earlier run? */
bool run_is_anything_open(void);

/* ---- run_check.c */

/* own_check_fn: asks the test's check. `ctx` is the run. */
int run_check(void *ctx, char *message, size_t size);
/* For own_check_set(). */
void run_strays(void *ctx);

/* ---- run_connections.c */

/* From here on connections that are opened are remembered, */
void run_connections_begin(void);
/* until here: closes those that are still open, with their statements. Returns how many. */
size_t run_connections_end(void);

#endif
