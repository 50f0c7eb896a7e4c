/*
 * Real kills: real processes on a real file system through the real unix VFS, ended by SIGKILL;
 * then the database is opened again in place, checked, and written on.
 *
 *     setup ─> warm-up, nobody is killed ─┬─> lane 1: round 1 ─> round 2 ─> ... ─> round 5, fresh
 * ... └─> lane 2: round 6 ─> ...
 *
 *     a round: fork writers, readers, a checkpointer ─> SIGKILL ─> drain the pipes ─┬─> check
 *                                                             kill inside xSync ────┴─> power cut,
 *                                                                    and check what it left
 *
 * What a kill must not lose. A killed process takes nothing with it that the kernel already had, so
 * everything acknowledged must be there whatever `synchronous` says, and no state may be torn (D11,
 * with whole writes). So of kills alone a case requires `durable`, whatever its @require and
 * @expect say about power loss; --require lowers that. Two kinds of case are the exception, and
 * their own rules hold: journal modes that break when a process dies (memory, off, and wal where a
 * transaction can cover several files), and scenarios with a @plant. Where such a control expects a
 * worse grade than was seen, the case is inconclusive: rounds sample, they do not prove.
 *
 * Power cuts. A kill inside xSync takes the power with it: nobody in any process does anything
 * after it, and the files are replaced by what the disk model may have left of them, once with the
 * oldest of everything and once as the seed draws it. Where nothing is ever synced, any operation
 * is as good. What was there when the round began counts as durable. After a power cut the
 * scenario's own @require and @expect hold, those for that model. Sampled: `run` covers all states.
 *
 * Processes. Writers: one for each process of the scenario's clients, or two for a @workload.
 * Readers look at everything twice in one transaction, and at what they saw before; checkpointers
 * run wal_checkpoint in all modes. One of each where @kill or --set kill.X does not say otherwise;
 * in each round each of them takes part or not, by the seed. A workload that migrates does so in
 * one writer on a fresh database, in the first round of every five; the other four go on with what
 * is there. The files of a scenario in which one client alone writes are written on as well, from
 * the transaction at which they were found. Several that write start afresh in every round: whether
 * the transaction that a kill cut off is to be repeated cannot be known, and to guess would make
 * false alarms.
 *
 * Kills. Anybody may be the victim. In half of the rounds, by the seed, it dies at a random time,
 * in the time that the workload takes, which the warm-up measures, early times more often; in the
 * others at an I/O operation, before it, after it, or inside xSync (faultinject/vfs_kill.h). The
 * others go on for a while, or die at the same moment. A round in which the victim and every writer
 * finished before they were killed does not count as a kill; when fewer than half of the rounds are
 * kills, the case is inconclusive.
 *
 * Durability. A workload's acknowledgements name what must be there. Where one client alone writes,
 * its transactions are counted, and the files must be in the state that a run without kills had
 * after as many transactions, or one more. Where neither can be done (several clients that write,
 * SQL whose result is not the same twice) that is `not applicable`, with its reason, and there is
 * no grade: it would claim what was not checked. What a reader saw must be there after a kill
 * alone. The oracles of harness/judge/ are applied to every state, and by readers to what they see,
 * with the legal states that the same scenario has on the simulated disk.
 *
 * Clock. Some rounds run under libfaketime, with the clock stepping by days and years while the
 * writers write. A scenario with @clock is another matter: all its rounds do, the writers move
 * their clocks themselves, inside open transactions too, and in every second round the monotonic
 * clock follows (kill_clock.h). Without libfaketime such a case is skipped.
 *
 * Rounds side by side. What a round does is a function of seed and number, and those that go on
 * with the same files belong together, so that lanes change nothing but the time, and a file of
 * finished rounds (kill_resume.h) lets a run go on where another one stopped.
 *
 * Does not kill the kernel, or repeat a kill exactly: the seed decides what is killed where, the
 * machine decides what the others had done by then.
 *
 * Nothing is left behind, also after an interrupt and after a violation: no process, no folder, no
 * shared memory. Should plugpull itself be killed by SIGKILL, its processes die with it, but the
 * folder stays: below $TMPDIR, or where that is not set in /dev/shm if that has room, or in /tmp.
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

struct kill_resume;

struct kill_options {
	uint64_t seed;
	uint64_t rounds_max;	   /* 0: no limit but the deadline */
	uint64_t deadline_ns;	   /* CLOCK_MONOTONIC; 0: none. At least one of the two is set. */
	const enum grade *require; /* --require, or NULL */
	bool show_data;		   /* --show-data */
	const char *faketime;	   /* path of libfaketime.so.1; NULL: it is not installed */
	/* The same case under the disk model of the power cuts: names the model, and says what is
	 * required after one. Borrowed; NULL: no power cuts. */
	const struct case_spec *power;
	unsigned jobs;		    /* rounds side by side; 0 is 1 */
	struct kill_resume *resume; /* borrowed; NULL: none (kill_resume.h) */
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
 * Writers under libfaketime are this same program, executed again. Its main() asks kill_is_writer()
 * before anything else, and if that is so, returns what kill_writer_main() returns.
 */
bool kill_is_writer(void);
int kill_writer_main(void);

/* The path of the installed libfaketime.so.1, owned by the caller; NULL when there is none. */
char *kill_find_faketime(void);

/* Whether writers of this build can run under libfaketime (not under the address sanitizer). */
bool kill_can_fake_time(void);

#endif
