/*
 * `kill -- CMD`: a stranger's program, started, killed, checked and started again, on its own
 * databases, where it keeps them.
 *
 *     warm-up, twice ─> fresh start ─> round 1 ─> round 2 ─> ... ─> what was there before
 *                                        │
 *         run under the recorder ─> SIGKILL ─> trace ─> the files, reopened in place ─> judged
 *                                                │
 *                                                └─> power cuts: the files of a model's state in
 *                                                    their place, reopened, judged
 *
 * Warm-up. The program runs twice without a kill: once on what is there, once on what that left.
 * The first run says how long it takes, how many effective calls and syncs it makes, and which
 * databases there are; the second whether it begins with the data that it left, or replaces them.
 *
 * A round. By the seed: a kill at a random time, before or after the n-th effective call, or inside
 * the n-th sync. The recording of the round tells the legal states of its databases and what had
 * been promised (harness/judge/history.h); its beginning counts as durable. Then the files are
 * opened again where they are, by another process, through SQLite's own VFS. After a kill nothing
 * that was written may be missing: every promised commit is there, a commit under way is there or
 * not, and no oracle objects. Afterwards the files are put back as the kill left them, so that it
 * is the program itself that recovers: the next round begins there, and its beginning is held
 * against what was seen. A program that removes its journal when it starts is found that way.
 *
 * Power cuts. What was not synced when the kill came is dropped as a disk model allows: everything
 * oldest, then drawn from the seed. That state is put in the place of the files and opened there.
 * It is a case of its own, for each model, with the floor of `test`. The data do not grow from
 * there: the rounds go on with what the kill left.
 *
 * What a program says too early is found where it says so by a mark inside its own write
 * transaction (foreign_early.c); of an output nobody knows what it is about, so there it is a note.
 *
 * Fresh starts. The data grow from round to round. Every FOREIGN_FRESH_ROUNDS rounds, after a
 * violation, after a round in which the program found nothing to do, and when it never does
 * anything on data that it made before, the databases are as they were before the first run.
 *
 * The user's files. All databases that a run opens for writing, and what SQLite keeps beside them,
 * are put back at the end, in place, as they were when they were first opened, whatever ended the
 * run: foreign_keep.h. Not put back: times, -shm files, other files that the program writes (they
 * stay as its last run, killed, left them), and what it does to a database before it opens it, such
 * as copying a template over it.
 *
 * Resume. A round that is done is done: with the same command, seed and databases the same file
 * goes on with the next number, from a fresh start. What a round finds is not repeatable, so
 * nothing is computed again.
 *
 * Does not see: what a program does to its databases where the recorder cannot look (such a round
 * is counted and not judged); damage to files that are no databases.
 */
#ifndef DRIVE_FOREIGN_H
#define DRIVE_FOREIGN_H

#include "faultinject/base/err.h"
#include "harness/case/result.h"
#include "harness/case/subject.h"
#include "harness/drive/gate.h"
#include "harness/drive/program.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	FOREIGN_FRESH_ROUNDS = 10,
	FOREIGN_POWER_STATES = 3, /* of each model, after each kill */
	FOREIGN_MODELS_MAX = 64,
};

struct kill_resume;

struct foreign_options {
	/* argv, timeout_ns, output (of the warm-up), watch_output, watch_marks. The rest is ours.
	 */
	struct program_options program;
	/* The subject of a trace; the caller's. NULL `model`: process-crash. */
	int (*subject)(void *ctx, const struct trace *t, const char *model,
		       struct subject **ret_subject, struct err *err);
	char *const *models; /* disk models of the power cuts */
	size_t model_count;
	uint64_t seed;
	uint64_t rounds_max;	   /* 0: no limit but the deadline */
	uint64_t deadline_ns;	   /* CLOCK_MONOTONIC; 0: none */
	uint64_t fresh_rounds;	   /* 0: FOREIGN_FRESH_ROUNDS */
	const enum grade *require; /* --require, or NULL */
	bool show_data;
	struct kill_resume *resume; /* borrowed; NULL: none */
	/* Asked often; true ends the run with what is known. */
	bool (*stop)(void *ctx);
	void (*progress)(void *ctx, uint64_t rounds, uint64_t kills); /* may be NULL */
	/* One line for the user, about the warm-up; may be NULL. */
	void (*tell)(void *ctx, const struct program_run *run);
	void *ctx;
};

/*
 * Fills ret[0] for the kills and ret[1 + m] for the power cuts of model m: all but what the case is
 * (id, scenario, title, model). Case files of what can be replayed go to `cases`. The caller has
 * registered the shim (fi_vfs_register()) and has no other child process. ERR_INPUT: the program
 * cannot be run or watched, or somebody else has its databases open; ERR_IO: above all, the user's
 * files could not be put back, with where they are. One thread.
 */
int foreign_kill(const struct foreign_options *o, struct gate *cases, struct case_result *ret,
		 struct err *err);

#endif
