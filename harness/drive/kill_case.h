/*
 * One case of the real kills, as kill_case.c prepares it and kill.c runs it; internal to these two.
 */
#ifndef DRIVE_KILL_CASE_H
#define DRIVE_KILL_CASE_H

#include "harness/drive/examine.h"
#include "harness/drive/kill.h"
#include "harness/drive/kill_internal.h"

/* What an undisturbed run of some writers takes. */
struct kill_measure {
	uint64_t duration_ns;
	struct fi_kill_counts counts[KILL_WRITERS_MAX];
};

/* What was found, with the first round that showed it. */
struct kill_finding {
	char *oracle; /* owned */
	enum grade grade;
	char *message;	 /* owned */
	uint64_t rounds; /* how many showed it */
};

struct kill_run {
	const struct scenario *scenario;
	const struct case_spec *spec;
	const struct kill_options *options;

	struct kill_folder folder;
	/* Owned; one for each folder, and one for the simulated disk. */
	struct subject *subject, *setup_subject, *reference_subject, *recorded_subject;

	/* The recording on the simulated disk, for the oracles. Owned. */
	struct trace *trace;
	struct trace_index *index;
	struct examiner *examiner;
	struct probe_list probes; /* the oracles', then the promises' query if there is one */
	bool has_promise_sql;

	/* Who writes. Owned arrays; strings in the jobs are borrowed. */
	struct kill_job *jobs;
	size_t job_count;
	struct kill_job migration; /* role WRITER: one that migrates half way */
	bool has_migration;
	struct kill_measure measure, migration_measure;

	/* Where one client alone writes: which, where its job has it, and states[k] after k of its
	 * transactions. Without states durability is not known. */
	size_t writing_client, writing_job, writing_at;
	struct kill_record *states; /* owned */
	size_t state_count;
	bool can_resume; /* the files can be written on after a kill */
	char *unknown;	 /* owned; why durability is not known, or NULL */

	/* The files as they are. */
	uint64_t generation_rounds;
	bool fresh;		       /* must be made anew before the next round */
	struct kill_promise *promises; /* owned; all since they were new */
	size_t promise_count, promise_cap;

	/* So far. */
	uint64_t rounds, kills, clock_rounds, clock_seen, checks, acked, lost_max;
	struct kill_finding *findings; /* owned */
	size_t finding_count, finding_cap;
	bool interrupted;
};

/*
 * Folder, oracles, @setup, jobs, reference. *ret_skip_reason (owned by the caller) says why the
 * case cannot be, and is NULL otherwise.
 */
int kill_run_prepare(struct kill_run *k, char **ret_skip_reason, struct err *err);
void kill_run_release(struct kill_run *k); /* accepts a zeroed one */

/* The one client that writes, as its job has it. */
struct kill_client *kill_run_writing_client(const struct kill_run *k);

/* Runs the one client that writes alone, state by state, on files of its own. */
int kill_run_reference(struct kill_run *k, bool reopen, struct err *err);

/* Grade, verdict and reason from what was found and counted; `c` has its rules (required, expected)
 * already. In kill.c. */
void kill_run_verdict(const struct kill_run *k, struct case_result *c);

/* The findings of an oracle and a grade are one; the first message stays. */
void kill_run_find(struct kill_run *k, const char *oracle, enum grade grade, const char *message,
		   const char *where);

#endif
