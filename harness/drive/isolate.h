/*
 * A child process in which code runs that may crash, hang or end the process: SQLite, extensions
 * and queries of the user, on a broken database.
 *
 * Parent and child share a block of memory. The child keeps in it whether the code under test is
 * running, which answers led to the state, and a counter that beats; so the parent can say of a
 * dead child whether it was the code under test that died (a finding), we (an assertion), or
 * somebody else's kill (the harness failed), and can name the state.
 *
 *     parent                                child
 *     isolate_create()
 *     isolate_fork() ─────────────────────> isolate_enter() ... isolate_leave()
 *     isolate_hangs()? now and then           around the code under test
 *     isolate_reap(), isolate_judge()       isolate_exit()
 *
 * What it does not tell apart: a defect of our VFS shim or undecided disk, below SQLite, that
 * crashes there looks like a crash of SQLite.
 */
#ifndef DRIVE_ISOLATE_H
#define DRIVE_ISOLATE_H

#include "faultinject/base/buf.h"
#include "faultinject/base/choice.h"
#include "faultinject/base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	ISOLATE_HANG_SECONDS = 60, /* without a beat; see isolate_hangs() */
	ISOLATE_TEXT_SIZE = 256,
};

/* The child's own: which second crash (explore.h) the present recovery follows. */
struct isolate_again {
	bool happened;
	uint64_t position;
	size_t cut_bytes;
};

/* What parent and child share. The child writes, the parent reads. */
struct isolate {
	_Atomic uint64_t beat;	     /* grows while there is progress */
	_Atomic uint32_t under_test; /* the code under test is running */
	_Atomic uint64_t task;	     /* the child's own: which crash point */
	_Atomic uint64_t recoveries; /* ... and the how-manieth recovery of it */
	struct isolate_again again;
	char assertion[ISOLATE_TEXT_SIZE]; /* an assertion of ours that failed */
	struct choice choice;		   /* of the present run; its steps are shared, too */
};

/* Fails by ASSERT only: memory is but reserved. */
struct isolate *isolate_create(void);
void isolate_free(struct isolate *i); /* accepts NULL */

/* Forks. In the child: result 0, *ret_fd is where it writes to its parent; it ignores SIGINT and
 * SIGTERM, dies with its parent, dies of a fault by the signal, and leaves no core. In the parent:
 * the child's id, and *ret_fd is where to read. -1 with an error. */
pid_t isolate_fork(struct isolate *i, int *ret_fd, struct err *err);

/* Around the code under test, in the child. */
void isolate_enter(struct isolate *i);
void isolate_leave(struct isolate *i);
/* A sign of life while it runs. */
void isolate_beat(struct isolate *i);
/* Ends the child. */
_Noreturn void isolate_exit(int status);

/* What a parent knows of a child's life. */
struct isolate_watch {
	uint64_t beat;
	uint64_t asked_ns;  /* when it was asked last */
	uint64_t begin_ns;  /* of the time without a beat */
	uint64_t cpu_ns;    /* of the child by then */
	uint64_t asleep_ns; /* since then */
};

void isolate_watch_begin(struct isolate_watch *w, const struct isolate *i, pid_t pid);

/* Is the code under test in a loop or a deadlock? Without a beat it must have had `bound_ns` of
 * time, and so much of the processor, or have slept for so long: a machine that is stopped, or has
 * no time for the child, is no hang. Ask at least every second. */
bool isolate_hangs(struct isolate_watch *w, const struct isolate *i, pid_t pid, uint64_t bound_ns);

/* The wait status of a child that ends: its output did, or it was killed. One that closed its
 * output and stays is killed after some seconds. */
int isolate_reap(pid_t pid);

enum isolate_fate {
	ISOLATE_ENDED,	  /* as it should */
	ISOLATE_CRASHED,  /* the code under test ended the process */
	ISOLATE_HUNG,	  /* ... or did not come back, and the parent killed it */
	ISOLATE_VANISHED, /* anything else: ours, or a kill from outside */
};

struct isolate_death {
	enum isolate_fate fate;
	char text[ISOLATE_TEXT_SIZE]; /* "killed by SIGSEGV"; "" when it ended */
};

/* Judges the end of a child from its wait status. `hung`: the parent killed it for that. */
void isolate_judge(const struct isolate *i, int status, bool hung, struct isolate_death *ret);

/* The finding in words: it crashed or hung. */
void isolate_say(const struct isolate_death *death, uint64_t hang_ns, char *ret, size_t size);

/* The answers of the run in which the child died, for a case file; owned by the caller. A wild
 * write may have changed them: ERR_HARNESS when they cannot be. */
int isolate_answers(const struct isolate *i, uint32_t **ret_answers, size_t *ret_count,
		    struct err *err);

/* One short piece of work: forks, runs `child` with a file descriptor for its output, and reads
 * that to its end. What it wrote before it died counts, too. `stop` (may be NULL) is asked often:
 * ERR_INTERRUPTED. */
struct isolate_work {
	void (*child)(void *ctx, struct isolate *i, int out);
	bool (*stop)(void *ctx);
	void *ctx, *stop_ctx;
	uint64_t hang_ns;
};
int isolate_run(struct isolate *i, const struct isolate_work *work, struct buf *ret_output,
		struct isolate_death *ret_death, struct err *err);

#endif
