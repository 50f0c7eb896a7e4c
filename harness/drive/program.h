/*
 * Runs a stranger's program under the recorder (faultinject/record/) and makes a trace of what it
 * did: `record`, `test`, and a round of `kill -- CMD`.
 *
 * The program is started as it is: same folder, same standard input and environment, and in front
 * of it libplugpull-record.so by LD_PRELOAD. The log is in a folder of its own below $TMPDIR, which
 * is gone afterwards. What the program leaves running is ended, too.
 *
 * Signals: the caller catches SIGINT and SIGTERM and says so through `stop`. A Ctrl-C of the
 * terminal reaches the program by itself.
 */
#ifndef DRIVE_PROGRAM_H
#define DRIVE_PROGRAM_H

#include "faultinject/base/err.h"
#include "faultinject/record/assemble.h"
#include "faultinject/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct program_options {
	char *const *argv;   /* ends with NULL; argv[0] is looked up as execvp(3) does */
	uint64_t timeout_ns; /* 0: none */
	int output; /* file descriptor that gets what the program writes to its standard output */
	int errors; /* one that gets its standard error as well; 0: it has ours */
	bool watch_output; /* note in the trace when it wrote something (OP_OUTPUT) */
	bool
	    watch_marks; /* note what it writes to $PLUGPULL_MARK; that file is there in any case */
	bool all_files;	 /* record every file in a folder with a database */
	/* A kill that is asked for (reclog_header.kill_moment in faultinject/record/log.h); 0:
	 * none. Or, with kill_ns, SIGKILL that long after the start. */
	uint32_t kill_moment;
	uint64_t kill_number;
	uint64_t kill_ns;
	/* Asked some two hundred times a second; true ends the program. May be NULL. */
	bool (*stop)(void *ctx);
	void *ctx;
};

enum program_end {
	PROGRAM_EXITED,	  /* by itself: `status` */
	PROGRAM_SIGNALED, /* by a signal that is not ours: `status` */
	PROGRAM_TIMED_OUT,
	PROGRAM_STOPPED, /* stop() said so */
	PROGRAM_KILLED,	 /* as was asked for */
};

struct program_run {
	enum program_end end;
	int status;	/* exit status, or signal number */
	size_t left;	/* processes that it left running, and that were ended */
	uint64_t calls; /* effective calls, and syncs among them, for kills to come */
	uint64_t syncs;
	uint64_t duration_ns; /* from its start to its end */
	struct trace *trace;  /* owned */
	struct assemble_report report;
};

/* Runs it, waits for it and reads the recording. *ret is the caller's also after an error (then
 * zeroed, or without a trace). ERR_INPUT: it cannot be run, or the recorder cannot see into it,
 * with what to do instead; ERR_IO; ERR_HARNESS: the recorder is missing. One thread; the caller has
 * no other child processes. */
int program_run(const struct program_options *o, struct program_run *ret, struct err *err);
void program_run_release(struct program_run *r); /* accepts a zeroed one */

/* The exit status as the JSON has it and a shell would: 0..255, or 128 + signal. */
int program_exit_code(const struct program_run *r);

/* One line about how it ended, when that is worth one: "the program was killed by SIGSEGV (11)".
 * Owned by the caller; NULL when it ended with 0 and left nothing. */
char *program_ending(const struct program_run *r, const struct program_options *o);

#endif
