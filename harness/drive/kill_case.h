/*
 * One case of the real kills: what kill_case.c prepares, kill_lanes.c divides, kill_rounds.c does
 * and kill.c sums up; internal to these.
 */
#ifndef DRIVE_KILL_CASE_H
#define DRIVE_KILL_CASE_H

#include "harness/drive/examine.h"
#include "harness/drive/kill.h"
#include "harness/drive/kill_internal.h"

/* What was found, with the first round that showed it. Findings of an oracle and a grade are one,
 * apart for kills alone, power cuts, and readers. */
struct kill_finding {
	char *oracle; /* owned */
	enum grade grade;
	bool power;	 /* after a power cut */
	bool live;	 /* by a reader, while the writers wrote */
	char *message;	 /* owned */
	uint64_t number; /* the round's; 0 = the warm-up */
	uint64_t rounds; /* how many showed it */
};

/* What a round came to, or several together. */
struct kill_score {
	uint64_t number; /* of one round */
	uint64_t rounds, kills, clock_rounds, clock_seen;
	uint64_t cuts;		       /* rounds that ended in a power cut */
	uint64_t states;	       /* files that power cuts left */
	uint64_t logs_full;	       /* power cuts that could not be, because the log was full */
	uint64_t checks;	       /* the files were opened again */
	uint64_t acked;		       /* acknowledgements */
	uint64_t lost_max;	       /* by one kill */
	struct kill_finding *findings; /* owned */
	size_t finding_count, finding_cap;
};

/* ---- kill_score.c ---- */

void kill_score_release(struct kill_score *s); /* accepts a zeroed one */
/* Adds a finding of one round, `rounds` of which is not looked at; strings are copied. */
void kill_score_find(struct kill_score *s, const struct kill_finding *f);
/* Adds all that `from` has. Of one finding in several rounds the message of the earliest stays, so
 * that the sum does not depend on the order. */
void kill_score_add(struct kill_score *to, const struct kill_score *from);
/* The worst grade of kills alone, or of power cuts; GRADE_DURABLE without findings. *ret_outside:
 * there is a finding outside the scale. */
enum grade kill_score_worst(const struct kill_score *s, bool power, bool *ret_outside);
/* As bytes (appended), for a pipe and for the resume file. */
void kill_score_encode(const struct kill_score *s, struct buf *out);
/* ERR_INPUT when it is broken. The caller releases *ret. */
int kill_score_decode(const void *data, size_t size, struct kill_score *ret, struct err *err);

/* ---- one case ---- */

/* What an undisturbed run of some processes takes. */
struct kill_measure {
	uint64_t duration_ns;
	struct fi_kill_counts counts[KILL_PROCESSES_MAX];
};

/* What a case has to show: at least `grade`, or exactly that. */
struct kill_rule {
	bool expects;
	enum grade grade;
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

	/* Power cuts. */
	struct subject *power_subject; /* owned; names the model; NULL: no power cuts */
	struct model model;
	struct fi_kill_log *log; /* owned; NULL until a lane needs it */
	bool log_was_full;	 /* once is enough: this workload is too long for it */

	/* Who takes part: the writers' jobs (owned array), then readers and checkpointers. Strings
	 * in the jobs are borrowed. */
	struct kill_job *jobs;
	size_t job_count;
	size_t writer_count;	   /* of the jobs */
	struct kill_job migration; /* role WRITER: one that migrates half way */
	bool has_migration;
	struct kill_reading reading;
	char *no_readers;  /* owned; why there are none although some were asked for, or NULL */
	_Atomic int *over; /* shared memory; owned */
	struct kill_checker checker;
	struct kill_measure measure, migration_measure;
	struct kill_clock clock; /* of the round */

	/* Where one client alone writes: which, where its job has it, and states[k] after k of its
	 * transactions. Without states durability is not known. */
	size_t writing_client, writing_job, writing_at;
	struct kill_record *states; /* owned */
	size_t state_count;
	bool can_resume; /* the files can be written on after a kill */
	char *unknown;	 /* owned; why durability is not known, or NULL */

	/* The files as they are. */
	uint64_t generation_rounds;
	bool fresh; /* must be made anew before the next round */
	/* Owned; all since they were new: what was promised, and what readers saw. */
	struct kill_promise *promises, *seen;
	size_t promise_count, promise_cap, seen_count, seen_cap;

	struct kill_rule rule, power_rule; /* of kills alone, of power cuts */
	struct kill_score score;	   /* of the round at hand */
	struct kill_score total;	   /* of the case */
	bool interrupted;
};

/* ---- kill_case.c ---- */

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

/* From here on the run has a folder of its own, as a lane has. */
int kill_run_move(struct kill_run *k, unsigned lane, struct err *err);

/* ---- kill_plan.c ---- */

enum {
	KILL_WHERE_SIZE = 256,
	KILL_POWER_STATES = 2, /* of one power cut: the oldest of everything, and one drawn */
};

/* What becomes of one round. */
struct kill_plan {
	uint64_t number; /* 0: warm-up */
	bool migrating, by_operation, clock, power, kills_rest;
	bool others[KILL_PROCESSES_MAX]; /* of readers and checkpointers, who takes part */
	size_t victim;
	struct fi_kill_plan operation;
	uint64_t kill_ns, delay_ns;
};

/* The share of a measured amount that is still to be done: a client that goes on has less left. */
uint64_t kill_run_share_left(const struct kill_run *k, uint64_t amount);
/* What the processes of such a round take when nobody is killed. */
const struct kill_measure *kill_plan_measure(const struct kill_run *k, const struct kill_plan *p);
void kill_plan_round(const struct kill_run *k, uint64_t number, bool migrating,
		     struct kill_plan *ret);
/* The processes of a round, by the number of their job: who writes, then those of the others that
 * take part. Returns how many. */
size_t kill_plan_jobs(const struct kill_run *k, const struct kill_plan *p,
		      size_t ret_jobs[KILL_PROCESSES_MAX]);
/* In words, for a finding; `state` of a power cut, from 1, or 0. */
void kill_plan_describe(const struct kill_run *k, const struct kill_plan *p,
			const struct kill_round *r, unsigned state, char ret[KILL_WHERE_SIZE]);

/* ---- kill_rounds.c ---- */

/* One run without kills, which is measured; what it finds goes to k->score. ERR_INPUT when the
 * scenario itself fails. */
int kill_run_warm_up(struct kill_run *k, struct err *err);

/* Round `number`, from 1; k->score is what it came to. k->interrupted: it came to nothing. */
int kill_run_round(struct kill_run *k, uint64_t number, struct err *err);

/* ---- kill_lanes.c ---- */

/* All rounds, side by side; adds what they came to to k->total. `resume` may be NULL. */
struct kill_resume;
int kill_run_lanes(struct kill_run *k, struct kill_resume *resume, struct err *err);

/* ---- kill.c ---- */

/* Grade, verdict and reason from what was found and counted; `c` has its rules (required, expected)
 * already. */
void kill_run_verdict(const struct kill_run *k, struct case_result *c);

#endif
