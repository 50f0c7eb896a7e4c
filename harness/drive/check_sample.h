/*
 * A sample of the crash states of a trace, shown to a user's command (check_command.h).
 *
 * What a command looks at cannot be known, so nothing is left undecided: each state is read whole
 * from an undecided disk, and there are far too many. Of crash points spread evenly over the trace,
 * the last among them, these are looked at:
 *
 *	nothing lost	the files as the program had left them
 *	omissions	one write, name or change of size is older, all else is the newest
 *	all oldest
 *	random		each decision is drawn from the stream "check" of the seed
 *
 * A write is left out whole: sectors that were written together are decided together. States with
 * the same files and the same output are shown once. It ends at the first objection.
 *
 * Where the command objects to a state in which nothing is lost, that says nothing about power
 * loss, and the crash point is passed over; where it does so at the end of the trace, the whole
 * check is not applicable.
 *
 * Does not see: tears inside one write; the second crash of --depth 2; folders, as no trace says
 * that one is there, or lost; symbolic links, modes, owners, times. Rollback journals of several
 * databases name each other by the paths that they had when the trace was recorded.
 */
#ifndef DRIVE_CHECK_SAMPLE_H
#define DRIVE_CHECK_SAMPLE_H

#include "faultinject/base/err.h"
#include "harness/case/case_file.h"
#include "harness/drive/finding.h"
#include "harness/drive/state_files.h"
#include "harness/explore/explore.h"

enum {
	CHECK_STATES = 300, /* that the command is shown, at most */
	CHECK_POINTS = 24, /* crash points; of a process crash, which leaves one state, CHECK_STATES
			    */
};

struct check_job {
	const struct trace_index *ix;
	const struct model *model;
	const struct explore_points *points; /* ascending */
	const char *command;
	uint64_t seed;
	uint64_t states_max; /* CHECK_STATES, or what a budget leaves */
	uint64_t timeout_ns; /* 0: CHECK_COMMAND_SECONDS */
	bool (*stopped)(void *ctx);
	void *ctx;
};

struct check_sampled {
	uint64_t states;      /* that the command was shown */
	size_t points;	      /* crash points that were looked at */
	size_t points_over;   /* of these, passed over */
	bool whole;	      /* it came to its end, or to an objection */
	char *not_applicable; /* why it cannot say anything, or NULL; owned */
	bool objects;
	struct finding finding; /* oracle "check"; its answers are owned */
};

/* All pointers are borrowed for the call. ERR_IO: no folder, no shell; ERR_HARNESS. */
int check_sample(const struct check_job *job, struct check_sampled *ret, struct err *err);
void check_sampled_release(struct check_sampled *s);

/* Shows the command of a case its state again. *ret_objects: it still does, and *ret_verdict says
 * to what. `tell` (may be NULL) hears the decisions. */
int check_again(const struct check_job *job, const struct case_state *state,
		void (*tell)(void *ctx, const char *question, uint32_t answer, uint32_t n),
		void *tell_ctx, bool *ret_objects, struct verdict *ret_verdict, struct err *err);

/* The state of a case as the command was shown it, without the command: `begun` is called before
 * the first decision, `tell` with each, `seen` while the disk stands, with all files read. */
int check_look(const struct check_job *job, const struct case_state *state,
	       void (*tell)(void *ctx, const char *question, uint32_t answer, uint32_t n),
	       void (*begun)(void *ctx, struct crashdisk *disk),
	       void (*seen)(void *ctx, struct crashdisk *disk), void *ctx, struct err *err);

/* The files that the command of a case was shown, named as in the trace: in place of what
 * *ret_files (initialised by the caller) held. Their paths are the trace's. */
int check_read(const struct check_job *job, const struct case_state *state,
	       struct state_files *ret_files, struct err *err);

#endif
