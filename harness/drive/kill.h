/*
 * Real kills: real writer processes on a real file system through the real unix VFS, ended by
 * SIGKILL; then the database is opened again in place, checked, and written on.
 *
 *     setup ─> warm-up, nobody is killed ─> round 1 ─> round 2 ─> ...
 *                                             │
 *         fork + exec the writers ─> SIGKILL ─> drain the pipes ─> check in a child of its own
 *
 * What a kill must not lose. A killed process takes nothing with it that the kernel already had, so
 * everything acknowledged must be there whatever `synchronous` says, and no state may be torn (D11,
 * with whole writes). So a case requires `durable`, whatever its @require and @expect say about
 * power loss; --require lowers that. Two kinds of case are the exception, and their own rules hold:
 * journal modes that break when a process dies (memory, off, and wal where a transaction can cover
 * several files), and scenarios with a @plant. Where such a control expects a worse grade than was
 * seen, the case is inconclusive: rounds sample, they do not prove.
 *
 * Writers. One process for each process of the scenario's clients, or two for a @workload. A
 * workload that migrates does so in one process on a fresh database, in the first round of every
 * five; the other four go on with what is there, in two processes. The files of a scenario in which
 * one client alone writes are written on as well, from the transaction at which they were found.
 * Several that write start afresh in every round: whether the transaction that a kill cut off is to
 * be repeated cannot be known, and to guess would make false alarms.
 *
 * Kills. In half of the rounds, by the seed, at a random time, uniform over the time that the
 * workload takes, which the warm-up measures; in the others at an I/O operation of one writer,
 * before it, after it, or inside xSync (faultinject/vfs_kill.h). The other writers go on for a
 * while, or die at the same moment. A round in which every writer finished before it was killed
 * does not count as a kill; when fewer than half of the rounds are kills, the case is inconclusive.
 *
 * Durability. A workload's acknowledgements name what must be there. Where one client alone writes,
 * its transactions are counted, and the files must be in the state that a run without kills had
 * after as many transactions, or one more. Where neither can be done (several clients that write,
 * SQL whose result is not the same twice) that is `not applicable`, with its reason, and there is
 * no grade: it would claim what was not checked. The oracles of harness/judge/ are applied to every
 * state, with the legal states that the same scenario has on the simulated disk.
 *
 * Clock. Every fourth round runs under libfaketime, with the clock stepping by days and years while
 * the writers write.
 *
 * Does not drop what was not synced (`run` does), kill the kernel, or repeat a kill exactly: the
 * seed decides what is killed where, the machine decides what the others had done by then.
 *
 * Nothing is left behind, also after an interrupt and after a violation: no process, no folder, no
 * shared memory. Should plugpull itself be killed by SIGKILL, its writers die with it, but the
 * folder below $TMPDIR stays.
 */
#ifndef DRIVE_KILL_H
#define DRIVE_KILL_H

#include "faultinject/base/err.h"
#include "harness/case/result.h"
#include "harness/scenario/scenario.h"

#include <stdbool.h>
#include <stdint.h>

#define KILL_MODEL "kill" /* stands for the disk model in case ids */

enum { KILL_ROUNDS_STANDARD = 20 };

struct kill_options {
	uint64_t seed;
	uint64_t rounds_max;	   /* 0: no limit but the deadline */
	uint64_t deadline_ns;	   /* CLOCK_MONOTONIC; 0: none. At least one of the two is set. */
	const enum grade *require; /* --require, or NULL */
	bool show_data;		   /* --show-data */
	const char *faketime;	   /* path of libfaketime.so.1; NULL: it is not installed */
	/* Asked at least ten times a second; true ends the case with what is known. May be NULL. */
	bool (*stop)(void *ctx);
	/* After each round; may be NULL. */
	void (*progress)(void *ctx, const char *case_id, uint64_t rounds, uint64_t kills);
	void *ctx;
};

/*
 * Runs one case and fills *ret, which the caller has from result_add(): everything but what the
 * case is (id, scenario, title, config). ERR_INPUT when the scenario's own SQL fails, ERR_IO when
 * there is no folder to work in. Errors of the harness itself become CASE_ERROR. The caller must
 * have no child processes and no open connection. One thread.
 */
int kill_case(const struct scenario *s, const struct case_spec *spec,
	      const struct kill_options *options, struct case_result *ret, struct err *err);

/*
 * Writers are this same program, executed again. Its main() asks kill_is_writer() before anything
 * else, and if that is so, returns what kill_writer_main() returns.
 */
bool kill_is_writer(void);
int kill_writer_main(void);

/* The path of the installed libfaketime.so.1, owned by the caller; NULL when there is none. */
char *kill_find_faketime(void);

/* Whether writers of this build can run under libfaketime (not under the address sanitizer). */
bool kill_can_fake_time(void);

#endif
