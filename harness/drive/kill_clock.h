/*
 * The clock of the real kills: what libfaketime is told, and what it leaves behind.
 *
 * A process under libfaketime reads a file each time that it asks for the time, so the clock can be
 * moved while it runs. Who moves it:
 *
 *   plan NULL   the parent, at any time (kill_clock_set): one file for all
 *   a plan      the process itself, where its workload or client says so (faultinject/clock.h), so
 *               that it is moved inside an open transaction for certain; each has its own file
 *
 * Monotonic time. It is no time of day, and is not to be moved; but a virtual machine may do it,
 * and so does libfaketime unless it is told not to. A round does one or the other:
 *
 *   monotonic_follows   FAKETIME_DONT_FAKE_MONOTONIC   FAKETIME_FORCE_MONOTONIC_FIX
 *   false               1                              0
 *   true                0                              1
 *
 * The other two pairs make pthread_cond_timedwait() on CLOCK_MONOTONIC return at once (1 and 1, and
 * 1 and nothing with a recent glibc), or never (0 and 0): libfaketime 0.9.10, docs/findings.md.
 *
 * Shared memory. libfaketime gives each process /dev/shm/faketime_shm_PID and
 * /dev/shm/sem.faketime_sem_PID, and only a process that ends by itself removes them. Ours removes
 * both names as its first act, kill_clock_begin(): it has them open, and nobody else wants them. So
 * there is nothing to sweep after a kill, an interrupt, a crash, or the death of the harness. For
 * who dies before that, the parent removes the names when it has waited for the process.
 */
#ifndef DRIVE_KILL_CLOCK_H
#define DRIVE_KILL_CLOCK_H

#include "faultinject/base/err.h"
#include "faultinject/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { KILL_CLOCK_VARIABLES = 8 };

struct kill_clock {
	const char *library; /* path of libfaketime */
	const char *file;    /* what it reads; with a plan, the beginning of its name */
	const struct fi_clock_plan *plan; /* or NULL */
	bool monotonic_follows;
};

/* kill_find_faketime() and kill_can_fake_time() of kill.h stand in kill_clock.c too. */

/* Why processes cannot have this clock: libfaketime is missing, or hangs in this build. NULL: they
 * can. */
const char *kill_clock_problem(const char *library);

/* Whether "NAME=VALUE" is to be left out of the environment, because what kill_clock_environment()
 * makes takes its place. */
bool kill_clock_replaces(const char *variable);
/* The variables of process `number`, which the caller frees, at most KILL_CLOCK_VARIABLES; and its
 * file, with the right time or, where the plan is frozen, now. ERR_IO. */
int kill_clock_environment(const struct kill_clock *clock, uint32_t number, char **ret_own,
			   size_t *ret_count, struct err *err);
/* Replaces a file in one step: by so many seconds the clock is wrong. ERR_IO. */
int kill_clock_set(const char *file, int64_t offset_s, struct err *err);
/* Removes what libfaketime has made for the process `pid`, which was ours. */
void kill_clock_sweep(pid_t pid);

/* ---- in the process ---- */

/* The first act of a process that was executed, faked or not. ERR_HARNESS when it is to have a
 * clock that stands still, and has not. */
int kill_clock_begin(struct err *err);
/* Has it a plan? */
bool kill_clock_has_plan(void);
/* Microseconds since 1970, as the process is told. */
int64_t kill_clock_us(void *ignored);
/* The next move of the plan; nothing without one. From any thread. ERR_IO, and ERR_HARNESS when the
 * process does not see the move. */
int kill_clock_move(void *ignored, struct err *err);

#endif
