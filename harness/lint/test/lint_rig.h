/*
 * Traces for tests of the lint: SQL on the VFS shim over the live disk, on any device; and the same
 * traces with something missing or moved. What cannot be done aborts.
 */
#ifndef LINT_TEST_LINT_RIG_H
#define LINT_TEST_LINT_RIG_H

#include "faultinject/trace.h"
#include "harness/lint/lint.h"

#define RIG_DATABASE "/db/app.db"
#define RIG_ATTACHED "/db/side.db"

/* Runs `pragmas` and `setup`, which are durable, and then, on a new connection with the same
 * pragmas and recorded, `sql`. An ACK follows every statement after which no transaction is open.
 * RIG_ATTACHED is attached as "side". `pragmas` and `setup` may be "". */
struct trace *rig_record(struct trace_device device, const char *pragmas, const char *setup,
			 const char *sql);

/* Recovery: after `position` of `t` all processes die, and a new connection runs `sql` on the files
 * as they are, which count as durable; recorded. */
struct trace *rig_recover(const struct trace *t, uint64_t position, const char *pragmas,
			  const char *sql);

/* What a copy of a trace does otherwise. */
enum rig_change {
	RIG_DROP,      /* the sync that ends at `end` */
	RIG_FAIL,      /* ... fails */
	RIG_BEGIN_AT,  /* ... begins just before operation `at` instead, at <= its begin */
	RIG_END_AFTER, /* ... ends just after operation `at` instead, at >= its end */
};
struct trace *rig_change(const struct trace *t, uint64_t end, enum rig_change change, uint64_t at);

/* The finding about a rule, in any file; NULL when there is none. */
const struct lint_finding *rig_find(const struct lint *l, enum lint_rule rule);

#endif
