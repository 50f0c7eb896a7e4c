/*
 * Makes a trace of the calls of real processes: the right side of every recorder.
 *
 *     recorder ─> log ─> log_read ─┐
 *     strace ─> text ─> strace ────┴─> calls ─> assemble ─> trace
 *
 * Files become inodes in order of appearance, names are followed, processes and threads are
 * numbered, and what existed before becomes the durable base. Each write lock's holder gets a
 * connection number (connections.h).
 *
 * Holes. The image that the calls make is compared with what the files held whenever somebody
 * looked (CALL_DIGEST) and with the files as they are now (assemble_options.live). A difference,
 * and whatever a recorder says that it missed, becomes an OP_HOLE: from somewhere before it the
 * trace does not say all that happened. A trace with a hole is not graded.
 *
 * A call that may not have happened, because its process was killed in it (CALL_PERHAPS), is taken
 * or left so that the files come out as they are, where `live` tells; otherwise it is taken.
 */
#ifndef RECORD_ASSEMBLE_H
#define RECORD_ASSEMBLE_H

#include "faultinject/base/err.h"
#include "faultinject/record/call.h"
#include "faultinject/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ASSEMBLE_FILE_SIZE_MAX ((uint64_t)4 << 30) /* bytes of a file */

struct assemble_options {
	const char *producer; /* for the trace */
	bool live;	      /* compare with the files as they are now, under the names they had */
};

struct assemble_report {
	size_t program_count; /* programs that a recorder began in */
	size_t process_count; /* processes that touched a file */
	size_t file_count;    /* names that were recorded */
	size_t hole_count;
};

/* *ret_trace is the caller's; *ret_report is zeroed on an error. ERR_LIMIT: more than a trace
 * holds. */
int assemble(const struct call_list *calls, const struct assemble_options *o,
	     struct trace **ret_trace, struct assemble_report *ret_report, struct err *err);

#endif
