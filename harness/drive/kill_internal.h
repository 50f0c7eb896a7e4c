/*
 * Shared by the files of the real kills (kill.h); no other file includes this.
 *
 *     kill.c         one case: setup, warm-up, rounds, verdict
 *     kill_round.c   one round: writers, their pipes, the clock, the kill
 *     kill_writer.c  the writer process
 *     kill_job.c     what a writer is told, as text; what it reports, as records
 *     kill_check.c   the checker process; durability
 *     kill_bytes.c   reading what another process sent
 *     kill_folder.c  the folder in which all of it happens
 */
#ifndef DRIVE_KILL_INTERNAL_H
#define DRIVE_KILL_INTERNAL_H

#include "faultinject/base/buf.h"
#include "faultinject/base/err.h"
#include "faultinject/vfs_kill.h"
#include "harness/case/subject.h"
#include "harness/judge/observation.h"
#include "harness/scenario/scenario.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	KILL_WRITERS_MAX = 64,
	KILL_WORKERS = 2,	    /* writers of a workload */
	KILL_GENERATION_ROUNDS = 5, /* rounds on the same files */
	KILL_REFERENCE_TURNS_MAX = 1000,
	KILL_HANG_SECONDS = 60,	     /* a writer or checker that takes longer hangs */
	KILL_RECORD_SIZE_MAX = 1024, /* below PIPE_BUF: a write is whole or not at all */
	KILL_TEXT_SIZE = 128,	     /* of an acknowledgement */
};

#define KILL_ENVIRONMENT "PLUGPULL_WRITER" /* "JOB GO OUT": numbers of file descriptors */

/* ---- kill_job.c: what a writer is told ---- */

enum kill_role {
	KILL_ROLE_SETUP,     /* runs @setup */
	KILL_ROLE_REFERENCE, /* one client, one KILL_RECORD_STATE for the start and each turn */
	KILL_ROLE_WRITER,
};

/* Where a client stands: between two transactions. */
struct kill_position {
	uint64_t turn;	     /* transactions done */
	uint32_t repetition; /* from 1 */
	uint32_t statement;  /* the next, from 0 */
};

struct kill_client {
	char *name;
	uint32_t index; /* in the scenario */
	uint32_t repeat;
	struct statement_list statements;
	struct kill_position from;
};

/* Owned by the struct when it was decoded, borrowed by it when it is to be encoded. */
struct kill_job {
	enum kill_role role;
	char *path; /* of the scenario, for messages */
	struct subject *subject;
	char *workload; /* or NULL */
	char *plant;	/* or NULL */
	struct kv_list params;
	uint32_t worker;
	uint64_t seed; /* of the workload's data */
	struct statement_list setup;
	struct kill_client *clients;
	size_t client_count;
	bool reopen; /* reference: a new connection for each turn */
	struct fi_kill_plan plan;
};

/* As text, owned by the caller. ERR_INPUT when a string is not UTF-8. */
int kill_job_encode(const struct kill_job *job, char **ret_text, struct err *err);
/* ERR_HARNESS when it is not what kill_job_encode() wrote. */
int kill_job_decode(const char *text, size_t size, struct kill_job *ret_job, struct err *err);
void kill_job_release(struct kill_job *job); /* of a decoded one; accepts a zeroed one */

/* ---- kill_job.c: what a writer reports ---- */

enum kill_record_type {
	KILL_RECORD_STARTED, /* before it opens anything */
	KILL_RECORD_TEXT,    /* acknowledgement of a workload */
	KILL_RECORD_TURN,    /* acknowledgement of a client's transaction */
	KILL_RECORD_STATE,   /* reference: the state after a turn */
	KILL_RECORD_IMPURE,  /* reference: SQL called a function that answers differently each time
			      */
	KILL_RECORD_DONE,    /* everything is done and closed */
	KILL_RECORD_FAILED,
};

struct kill_record {
	enum kill_record_type type;
	int64_t clock;		       /* STARTED: seconds since 1970 as the writer sees them */
	uint32_t client;	       /* TURN */
	struct kill_position position; /* TURN, STATE: after it */
	uint32_t file_count;	       /* STATE */
	struct digest states[OBSERVED_FILES_MAX];
	struct fi_kill_counts counts; /* DONE */
	int32_t code;		      /* FAILED: enum err_code */
	char text[ERR_MESSAGE_SIZE];  /* TEXT, IMPURE: function, FAILED: message */
};

/* Appends the record with its length in front, KILL_RECORD_SIZE_MAX bytes at most. */
void kill_record_encode(const struct kill_record *r, struct buf *out);
/* Takes the first record off the buffer's bytes from *offset on, which then stands behind it.
 * Returns 1, 0 when it is not whole yet, or ERR_HARNESS. */
int kill_record_decode(const struct buf *in, size_t *offset, struct kill_record *ret,
		       struct err *err);

/* ---- kill_folder.c ---- */

struct kill_folder {
	char *path; /* owned */
	char *base; /* path/base: what @setup left */
	char *data; /* path/data: the database of the rounds */
	char *reference;
	char *clock; /* path/clock: libfaketime's file */
};

/* Below $TMPDIR, or /tmp; readable by its owner alone. ERR_IO. */
int kill_folder_create(struct kill_folder *ret, struct err *err);
void kill_folder_remove(struct kill_folder *f); /* with everything in it; accepts a zeroed one */
/* Empties the folder `to` and copies the files of base into it. ERR_IO. */
int kill_folder_fresh(const struct kill_folder *f, const char *to, struct err *err);
/* Replaces libfaketime's file in one step: "+10y", "-1d". ERR_IO. */
int kill_clock_set(const struct kill_folder *f, const char *offset, struct err *err);
/* Removes what libfaketime leaves behind when the process `pid` is killed. */
void kill_clock_sweep(pid_t pid);

/* ---- kill_round.c ---- */

enum kill_end {
	KILL_END_FINISHED, /* by itself, with KILL_RECORD_DONE */
	KILL_END_KILLED,   /* by SIGKILL before it was done */
	KILL_END_FAILED,   /* it reported an error */
	KILL_END_CRASHED,  /* by another signal */
	KILL_END_HUNG,	   /* nothing for KILL_HANG_SECONDS, then killed */
};

/* A promise of a workload. */
struct kill_promise {
	char key[KILL_TEXT_SIZE];
	int64_t position;
};

struct kill_writer {
	const struct kill_job *job; /* borrowed */
	enum kill_end end;
	int signal;	  /* KILL_END_CRASHED */
	struct err error; /* KILL_END_FAILED */
	bool started;
	int64_t clock_offset_seconds;  /* its clock against ours when it started */
	struct fi_kill_counts counts;  /* KILL_END_FINISHED */
	struct kill_promise *promises; /* owned; in order */
	size_t promise_count, promise_cap;
	struct kill_position *positions; /* owned; one for each client of the job */
	uint64_t turns;			 /* acknowledged in this round, all clients of the job */
	struct kill_record *states;	 /* owned; reference */
	size_t state_count, state_cap;
	char impure[KILL_TEXT_SIZE]; /* reference: the function, or "" */

	/* While it runs. */
	pid_t pid;
	int out; /* read end, or -1 at its end */
	struct buf in;
	size_t in_offset;
	bool has_kill_time, hung, done, failed;
	uint64_t kill_ns;
};

/* One run of some writers. */
struct kill_round {
	struct kill_writer writers[KILL_WRITERS_MAX];
	size_t writer_count;
	/* When they are killed, in nanoseconds after all were let go; UINT64_MAX: never. `victim`
	 * is killed at kill_ns or, where its job has a plan, by itself; the others delay_ns after
	 * it. */
	size_t victim;
	uint64_t kill_ns, delay_ns;
	const char *faketime; /* path of libfaketime; NULL: the real clock */
	const struct kill_folder *folder;
	uint64_t clock_step_ns;
	bool (*stop)(void *ctx);
	void *ctx;
	/* Results. */
	uint64_t duration_ns; /* from letting go until the last was done */
	bool interrupted;
};

/* What every child does first: it leaves the terminal's process group, because the parent ends its
 * children itself when the user interrupts, and it dies with its parent. */
void kill_begin_child(pid_t parent);

/* Runs the writers to their ends. Whatever it returns, none of them is left. ERR_HARNESS or ERR_IO
 * when one could not be started or does not keep to the protocol. */
int kill_round_run(struct kill_round *r, struct err *err);
void kill_round_release(struct kill_round *r);
/* How many were ended by SIGKILL before they were done. */
size_t kill_round_killed(const struct kill_round *r);

/* ---- kill_check.c ---- */

/* Opens the database in a process of its own, through the real unix VFS. `probes` is what to ask,
 * the promises' query last where there is one. *ret_signal is the signal that ended the checker, or
 * 0; ret->hung when it did not end. ERR_HARNESS when it failed otherwise, ERR_INTERRUPTED after
 * stop(). The caller releases *ret. */
int kill_check_observe(const struct subject *subject, const struct probe_list *probes,
		       bool (*stop)(void *ctx), void *ctx, struct observation *ret, int *ret_signal,
		       struct err *err);

/* For the transfer between processes; decoding checks every bound. */
void kill_observation_encode(const struct observation *o, struct buf *out);
int kill_observation_decode(const struct buf *in, struct observation *ret, struct err *err);

/* What durability and order of promises came to. `grade` is GRADE_DURABLE when all is there. */
struct kill_durability {
	enum grade grade;
	uint64_t lost; /* acknowledged transactions that are not there */
	uint64_t turn; /* one client: the transactions that were found */
	char message[VERDICT_MESSAGE_SIZE];
};

/* The answer to a workload's promise_sql against all promises of the files so far. */
void kill_judge_promises(const struct probe_result *answer, const struct kill_promise *promises,
			 size_t promise_count, struct kill_durability *ret);
/* The files against the states of the reference, states[k] after k transactions. */
void kill_judge_turns(const struct observation *o, const struct kill_record *states,
		      size_t state_count, uint64_t acked, bool was_killed,
		      struct kill_durability *ret);

#endif
