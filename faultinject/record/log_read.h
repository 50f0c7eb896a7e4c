/*
 * Reads a recording log (log.h) into calls (call.h): pairs the records of a call, and puts each at
 * the position that holds for everybody:
 *
 *   a call that changes a file or a name, a lock   where it had returned (its END), successful
 *   an unlock                                      where it began (others may have the lock before
 *                                                  it returned)
 *   a sync                                         both
 *
 * So a write that was under way when another process synced the file does not count as synced, and
 * whoever got a lock comes after who gave it. A call that failed is left out; a short write is as
 * long as it was. A BEGIN without END (its process was killed in it) becomes CALL_PERHAPS at the
 * place of its BEGIN, a lock is left out, a sync has no end.
 *
 * RECLOG_MARK becomes one CALL_ACK or CALL_MARK for each line ("ack TEXT", "mark TEXT") that was
 * new; a line that is neither is CALL_TROUBLE. Of RECLOG_OUTPUT the bytes come from the output
 * file. Both files are read here, so they must still be there.
 *
 * The log comes from programs that may have been killed or have written into the mapping: every
 * size is checked against what is there. A damaged record is CALL_TROUBLE, and reading goes on at
 * the next one.
 */
#ifndef RECORD_LOG_READ_H
#define RECORD_LOG_READ_H

#include "faultinject/base/err.h"
#include "faultinject/record/call.h"

#include <stdbool.h>

/* Appends the calls to *ret, which was zeroed. Nobody may be writing any more. ERR_INPUT: no log;
 * ERR_IO; ERR_LIMIT. */
int log_read(const char *path, struct call_list *ret, struct err *err);

/* Does the file at `path` begin as a log does? */
bool log_is_one(const char *path);

#endif
