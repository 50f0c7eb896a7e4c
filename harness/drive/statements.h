/*
 * Notes in a trace the statements that connections of this process run (trace.h), while something
 * is recorded. SQLite tells us (sqlite3_trace_v2()), so that what a workload's library runs is seen
 * as well as what a scenario says. Values of parameters are not noted. SQLite before 3.14.0 does
 * not tell: nothing is noted then.
 *
 * One thread, one at a time.
 */
#ifndef DRIVE_STATEMENTS_H
#define DRIVE_STATEMENTS_H

#include "faultinject/storage.h"
#include "faultinject/trace.h"

/* From here on connections that are opened are listened to, until statements_end(). Both are
 * borrowed; the storage says who acts. */
void statements_begin(struct trace *t, const struct storage *storage);
void statements_end(void);

/* Where the statements that follow stand: "orders.sql:6"; copied. NULL: nobody knows. */
void statements_at(const char *path, int line);

#endif
