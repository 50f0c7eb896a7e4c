/*
 * `plugpull replay --gdb`: this program again, under gdb, with breakpoints where something is to be
 * seen:
 *
 *     plugpull_operation    the operation at the crash is recorded, SQLite's stack above it; for
 *                           cases that say which scenario made them
 *     examiner_recover      the recovery that a second crash interrupts
 *     examiner_examine      SQLite begins to recover the state
 *     judge_observation     the oracles look at what it found; beside it the function of the
 *                           oracle that objected
 *
 * The program knows from the environment that gdb runs it: PLUGPULL_UNDER_GDB=1, which nothing else
 * reads. Its standard input and output are gdb's.
 */
#ifndef CLI_UNDER_GDB_H
#define CLI_UNDER_GDB_H

#include "faultinject/base/err.h"
#include "harness/case/case_file.h"

#include <stdbool.h>

bool under_gdb(void);

/* Starts gdb on this program with the same arguments. Returns only when that failed: ERR_USAGE. */
int under_gdb_start(const struct case_file *c, struct err *err);

/* Under gdb: records the scenario of a case again and stops at the crash. Where there is none, or
 * what is recorded now is another trace, it says so in one line and goes on. */
void under_gdb_record(const struct case_file *c);

#endif
