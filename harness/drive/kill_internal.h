/*
 * Shared by the files of the real kills (kill.h); no other file includes this.
 *
 *     kill.c          one case: setup, warm-up, the lanes, verdict
 *     kill_case.c     what a case needs before it can run
 *     kill_lanes.c    rounds side by side, each lane a process with a folder of its own
 *     kill_plan.c     what a round does; kill_rounds.c that it is done, and judged
 *     kill_score.c    what a round came to, as bytes; kill_resume.c a file of these
 *     kill_round.c    one round: its processes, their pipes, the clock, the kill
 *     kill_process.c  such a process, from fork to exit
 *     kill_writer.c   what a writer does; kill_reader.c a reader and a checkpointer
 *     kill_files.c    the files that a workload writes past SQLite, logged
 *     kill_power.c    the power cut: what was not synced is dropped
 *     kill_job.c      what a process is told, as text; what it reports, as records
 *     kill_check.c    the checker process; durability
 *     kill_bytes.c    reading what another process sent
 *     kill_clock.c    the clock of the writers, by libfaketime (kill_clock.h)
 *     kill_folder.c   the folder in which all of it happens
 */
#ifndef DRIVE_KILL_INTERNAL_H
#define DRIVE_KILL_INTERNAL_H

#include "faultinject/base/buf.h"
#include "faultinject/base/err.h"
#include "faultinject/model.h"
#include "faultinject/vfs_kill.h"
#include "harness/case/subject.h"
#include "harness/drive/kill_clock.h"
#include "harness/judge/observation.h"
#include "harness/judge/verdict.h"
#include "harness/scenario/scenario.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	KILL_PROCESSES_MAX = 64, /* of a round */
	KILL_WORKERS = 2,	 /* writers of a workload, readers, checkpointers: */
	KILL_READERS = 1,	 /* where neither scenario nor --set says */
	KILL_CHECKPOINTERS = 1,
	KILL_GENERATION_ROUNDS = 5, /* rounds on the same files */
	KILL_REFERENCE_TURNS_MAX = 1000,
	KILL_HANG_SECONDS = 60,	     /* a writer or checker that takes longer hangs */
	KILL_RECORD_SIZE_MAX = 1024, /* below PIPE_BUF: a write is whole or not at all */
	KILL_TEXT_SIZE = 128,	     /* of an acknowledgement */
};

#define KILL_ENVIRONMENT "PLUGPULL_WRITER" /* "JOB GO OUT": numbers of file descriptors */

/* A planted defect that tests alone plant: readers look twice without a transaction around it, and
 * see what another one committed in between. */
#define KILL_PLANT_READERS "readers-without-transaction"

/* ---- kill_job.c: what a writer is told ---- */

enum kill_role {
	KILL_ROLE_SETUP,     /* runs @setup */
	KILL_ROLE_REFERENCE, /* one client, one KILL_RECORD_STATE for the start and each turn */
	KILL_ROLE_WRITER,
	KILL_ROLE_READER,
	KILL_ROLE_CHECKPOINTER,
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

/* What a reader holds what it sees against. All borrowed. */
struct kill_reading {
	const struct judge *judge;
	const struct probe_list
	    *probes; /* the oracles', then the promises' query if there is one */
	bool has_promise_sql;
	bool several_files;		  /* which are not read at one moment */
	const struct kill_record *states; /* of the reference; NULL where there is none */
	size_t state_count;
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
	bool reopen;		  /* reference: a new connection for each turn */
	struct fi_kill_plan plan; /* `seals` is not encoded: an executed process has no log */
	const struct kill_reading *reading; /* readers, which are never executed; borrowed */
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
	KILL_RECORD_SEEN,	/* reader: "KEY POSITION" was there */
	KILL_RECORD_SEEN_STATE, /* reader: the state after position.turn */
	KILL_RECORD_FOUND,	/* reader: a finding */
};

struct kill_record {
	enum kill_record_type type;
	int64_t clock;		       /* STARTED: seconds since 1970 as the writer sees them */
	uint32_t client;	       /* TURN */
	struct kill_position position; /* TURN, STATE: after it */
	uint32_t file_count;	       /* STATE */
	struct digest states[OBSERVED_FILES_MAX];
	struct fi_kill_counts counts; /* DONE */
	int32_t code;		      /* FAILED: enum err_code; FOUND: enum grade */
	/* TEXT, SEEN: what; IMPURE: function; FAILED: message; FOUND: "ORACLE MESSAGE" */
	char text[ERR_MESSAGE_SIZE];
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
	char *data; /* path/data: the database of the rounds; a lane has path/lane-N */
	char *reference;
	char *clock; /* path/clock: libfaketime's file */
};

/* Below $TMPDIR, or where that is not set /dev/shm or /tmp; readable by its owner alone. ERR_IO. */
int kill_folder_create(struct kill_folder *ret, struct err *err);
void kill_folder_remove(struct kill_folder *f); /* with everything in it; accepts a zeroed one */
/* Makes `data` a folder of the lane's own, path/lane-N, for good. ERR_IO. */
int kill_folder_lane(struct kill_folder *f, unsigned lane, struct err *err);
/* Replaces the files of a folder by these. ERR_IO. */
int kill_folder_fill(const char *folder, const struct fi_kill_file *files, size_t count,
		     struct err *err);
/* The files of a folder, in the order of their names, without WAL indexes. The caller releases
 * them. ERR_IO. */
int kill_folder_read(const char *folder, struct fi_kill_file **ret_files, size_t *ret_count,
		     struct err *err);
void kill_files_release(struct fi_kill_file *files, size_t count);
/* Empties the folder `to` and copies the files of base into it. ERR_IO. */
int kill_folder_fresh(const struct kill_folder *f, const char *to, struct err *err);
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
	struct kill_promise *promises; /* owned; in order; of a reader: what it saw */
	size_t promise_count, promise_cap;
	uint64_t seen_turn; /* reader: the latest state that it saw */
	/* Owned; reader: its findings; the oracle is the first word of the message. */
	struct verdict *found;
	size_t found_count, found_cap;
	struct kill_position *positions; /* owned; one for each client of the job */
	uint64_t turns;			 /* acknowledged in this round, all clients of the job */
	struct kill_record *states;	 /* owned; reference */
	size_t state_count, state_cap;
	char impure[KILL_TEXT_SIZE]; /* reference: the function, or "" */

	/* While it runs. */
	pid_t pid;
	int out; /* read end, or -1 at its end */
	struct buf in;
	size_t read_bytes;
	bool shot;	/* SIGKILL was sent */
	bool left_over; /* ... because no writer was left */
	bool hung, done, failed;
};

/* One run of some processes: writers, then readers, then checkpointers. */
struct kill_round {
	struct kill_writer writers[KILL_PROCESSES_MAX];
	size_t writer_count;
	/* When they are killed, in nanoseconds after all were let go; UINT64_MAX: never. `victim`
	 * is killed at kill_ns or, where its job has a plan, by itself; the others delay_ns after
	 * it. */
	size_t victim;
	uint64_t kill_ns, delay_ns;
	/* Readers and checkpointers have no end of their own: when the last writer has ended they
	 * are told to go, or killed. */
	bool kills_rest;
	_Atomic int *over;		/* shared with them; borrowed */
	struct fi_kill_log *log;	/* borrowed; NULL: nothing is logged */
	const struct kill_clock *clock; /* borrowed; NULL: the real one */
	const struct kill_folder *folder;
	uint64_t clock_step_ns;
	bool (*stop)(void *ctx);
	void *ctx;
	/* Results. */
	uint64_t duration_ns; /* from letting go until the last writer was done */
	bool interrupted;
};

/* What every child does first: it leaves the terminal's process group, because the parent ends its
 * children itself when the user interrupts, and it dies with its parent. */
void kill_begin_child(pid_t parent);

/* Runs the writers to their ends. Whatever it returns, none of them is left. ERR_HARNESS or ERR_IO
 * when one could not be started or does not keep to the protocol. */
int kill_round_run(struct kill_round *r, struct err *err);
void kill_round_release(struct kill_round *r);
/* How many were ended by SIGKILL before they were done, without those that only were left over. */
size_t kill_round_killed(const struct kill_round *r);

/* "writer 2", "reader 1", for messages. */
void kill_writer_name(const struct kill_round *r, size_t i, char *ret, size_t size);

/* ---- kill_process.c, kill_writer.c, kill_reader.c: inside such a process ---- */

struct observer;
struct sqlite3;

struct kill_process {
	const struct kill_job *job;
	struct observer *observer;
	_Atomic int *over; /* kill_round.over; NULL in an executed process */
	int out;
	char impure[KILL_TEXT_SIZE];
	pthread_mutex_t reporting; /* a workload may report from any thread */
	struct fi_kill_log *log;   /* or NULL */
};

/* Starts SQLite over, as processes of a round need it, with its temporary files below `folder`; in
 * such a process, or once in the parent of all of them, which then has it that way. No connection
 * is open. ERR_HARNESS, ERR_SQLITE. */
int kill_process_prepare(const char *folder, struct err *err);

/* Works on a job until it is done, and ends the process. `go` and `out` are its ends of two pipes,
 * `number` tells it from the other processes of the round, from 1. */
_Noreturn void kill_process_run(const struct kill_job *job, const struct kill_round *r, int go,
				int out, uint16_t number);

/* One write(2) of less than PIPE_BUF bytes: a kill leaves the whole record in the pipe or nothing
 * of it. From any thread. */
void kill_report(struct kill_process *p, const struct kill_record *r);
/* Opens the database with extensions, attached files and, where `all`, every pragma; otherwise
 * those that change no file. It does not make a database. */
int kill_connect(struct kill_process *p, bool all, struct sqlite3 **ret_db, struct err *err);
bool kill_is_busy(struct sqlite3 *db);

int kill_writer_work(struct kill_process *w, struct err *err);
int kill_reader_work(struct kill_process *p, struct err *err);
int kill_checkpointer_work(struct kill_process *p, struct err *err);

/* The operating system's files, with a log of what is done to them; `log` NULL: without. `plant`: a
 * planted defect, or NULL. Borrowed until the next call. */
const struct store_files *kill_files(struct fi_kill_log *log, const char *plant);

/* ---- kill_power.c ---- */

/* The files as a power cut at the end of a log may have left them. */
struct kill_power;

/* `base`: the files before the round; `folder`: as they are. Borrows `model`. ERR_HARNESS when the
 * log does not make the files that are there. */
int kill_power_create(const struct fi_kill_log *log, const struct fi_kill_file *base,
		      size_t base_count, const char *folder, const struct model *model,
		      struct kill_power **ret, struct err *err);
void kill_power_free(struct kill_power *p); /* accepts NULL */
/* Puts a state in the place of the folder's files: number 0 is the oldest of everything, the others
 * are drawn from the seed. ERR_IO. */
int kill_power_state(struct kill_power *p, unsigned number, uint64_t seed, struct err *err);

/* ---- kill_check.c ---- */

/* A process that opens the database and looks. A zeroed one is not there yet. */
struct kill_checker {
	pid_t pid; /* 0: none */
	int end;   /* of a socket to it */
};

/* Ends it. */
void kill_checker_close(struct kill_checker *c);

/* Opens the database in the checker, through the real unix VFS. `subject` and `probes` are those of
 * the first call, and the promises' query is the last probe where there is one. *ret_signal is the
 * signal that ended the checker, or 0; ret->hung when it did not answer. ERR_HARNESS when it failed
 * otherwise, ERR_INTERRUPTED after stop(). The caller releases *ret. */
int kill_check_observe(struct kill_checker *c, const struct subject *subject,
		       const struct probe_list *probes, bool (*stop)(void *ctx), void *ctx,
		       struct observation *ret, int *ret_signal, struct err *err);

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

/* The state, of `from` and later ones, that the files are in; false: none of them. */
bool kill_find_state(const struct observation *o, const struct kill_record *states,
		     size_t state_count, uint64_t from, uint64_t *ret_turn);
/* The answer to a workload's promise_sql against all promises of the files so far. */
void kill_judge_promises(const struct probe_result *answer, const struct kill_promise *promises,
			 size_t promise_count, struct kill_durability *ret);
/* The files against the states of the reference, states[k] after k transactions. */
void kill_judge_turns(const struct observation *o, const struct kill_record *states,
		      size_t state_count, uint64_t acked, bool was_killed,
		      struct kill_durability *ret);

#endif
