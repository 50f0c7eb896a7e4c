/*
 * Records a scenario's case on the simulated disk: setup, then clients taking turns by transaction
 * or a workload in C, all on one thread, into a trace.
 *
 * Without `@setup crash=yes` the setup counts as synced to the platter: the trace begins after it.
 * A clause of the scenario that fails is ERR_INPUT and names file and line. A configuration that
 * SQLite does not accept (journal_mode=wal where there is no WAL) is not an error:
 * *ret_skip_reason (owned by the caller) says why, and there is no trace.
 */
#ifndef DRIVE_RECORD_H
#define DRIVE_RECORD_H

#include "faultinject/base/err.h"
#include "faultinject/trace.h"
#include "harness/case/subject.h"
#include "harness/scenario/scenario.h"

int record_case(const struct scenario *s, const struct case_spec *spec,
		const struct subject *subject, struct trace **ret_trace, char **ret_skip_reason,
		struct err *err);

#endif
