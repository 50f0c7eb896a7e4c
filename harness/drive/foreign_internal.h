/*
 * Shared by the files of `kill -- CMD` (foreign.h); no other file includes this.
 *
 *     foreign.c          warm-up, rounds
 *     foreign_result.c   findings, notes, verdicts
 *     foreign_round.c    what a round left: its history, the reopened files, findings
 *     foreign_power.c    what a power cut might leave instead
 *     foreign_case.c     a finding as a case file that replays
 *     foreign_early.c    acknowledgements that came before their commit
 *     foreign_input.c    the same standard input for every run
 *     foreign_keep.c     the user's databases, kept safe
 *     foreign_files.c    files in memory
 */
#ifndef DRIVE_FOREIGN_INTERNAL_H
#define DRIVE_FOREIGN_INTERNAL_H

#include "harness/drive/examine.h"
#include "harness/drive/foreign.h"
#include "harness/drive/foreign_files.h"
#include "harness/drive/foreign_keep.h"
#include "harness/drive/kill_case.h"

enum { FOREIGN_WHERE_SIZE = 160 };

/* ---- foreign_input.c ---- */

/* A file is read from where it stood; what comes through a pipe is kept; a terminal, and a pipe
 * that says nothing, are left as they are. */
struct foreign_input {
	int saved; /* what standard input was, where it was replaced; or -1 */
	bool rewinds;
	int64_t offset;
};

int foreign_input_open(struct foreign_input *in, bool (*stop)(void *ctx), void *ctx,
		       struct err *err);
void foreign_input_rewind(const struct foreign_input *in); /* before each run */
void foreign_input_close(struct foreign_input *in);

/* ---- a run of the program, and what is known of it ---- */

struct foreign_measure {
	uint64_t duration_ns, calls, syncs;
};

/* A disk model of the power cuts, with the subject of the round at hand. */
struct foreign_disk {
	struct subject *subject; /* owned */
	struct model model;
	struct trace_index *index; /* owned */
};

/* A run, as long as it is judged and the next one goes on from it. All owned. */
struct foreign_round {
	uint64_t number; /* 0: a warm-up */
	bool killed;
	char where[FOREIGN_WHERE_SIZE];
	struct trace *trace;
	struct subject *subject; /* process-crash; NULL: the trace has no database */
	struct trace_index *index;
	struct examiner *examiner;
	struct kill_checker checker; /* while it is judged */
	struct observation seen;     /* of the real files */
	bool was_seen;		     /* ... and they could be read */
};

void foreign_round_release(struct foreign_round *r); /* accepts a zeroed one */

/* A finding's case file, or why there is none. */
struct foreign_token {
	size_t which; /* of the cases: 0 = kills, 1 + m = power cuts of model m */
	char *oracle; /* owned */
	enum grade grade;
	char text[CASE_TOKEN_SIZE]; /* "": none */
	const char *why;	    /* static; then */
};

struct foreign_run {
	const struct foreign_options *o;
	struct gate *cases;
	struct foreign_keep keep;
	struct foreign_input input;
	int nowhere; /* /dev/null */
	struct foreign_measure fresh, grown;
	uint64_t number; /* of the last round, also of earlier runs (--resume) */

	/* The data as they are. */
	struct foreign_round last; /* which the next round goes on from */
	bool has_last, make_fresh;
	uint64_t generation; /* rounds on them */

	/* From the warm-ups. */
	bool has_database;
	struct foreign_files
	    replaced;	    /* databases that it begins with otherwise than it left them */
	bool broken_before; /* its own legal states fail integrity_check */
	int exit_code;
	char *cut_short; /* owned; how the first run ended, when that was not by itself */
	bool has_ack;	 /* what counts as a promise is that of the first run */
	enum history_ack ack;

	/* So far: one score for each case, and of the round at hand. */
	struct kill_score *total, *score; /* owned; [1 + model_count] */
	struct foreign_token *tokens;	  /* owned */
	size_t token_count, token_cap;
	uint64_t writing; /* kills while it was writing */
	uint64_t grown_rounds, idle, failed, holes, silent, early_outputs, early_marks;
	char *first_hole; /* owned */
	bool always_fresh;
	bool interrupted;
};

/* Time is up, or the user wants no more. `ctx` is the run. */
bool foreign_stop(void *ctx);

/* ---- foreign_round.c ---- */

/* What a trace is judged as, with the promises of the first run; the caller's. */
int foreign_subject(struct foreign_run *f, const struct trace *t, const char *model,
		    struct subject **ret, struct err *err);

/* Judges the run r->trace, whose files are still there, and the power cuts if it was killed. The
 * files are as they were when it returns. The findings are in f->score. */
int foreign_round_judge(struct foreign_run *f, struct foreign_round *r, struct err *err);
/* Judges what `kill_check_observe()` saw (or the signal that it died of) for case `which`. */
void foreign_round_weigh(struct foreign_run *f, struct foreign_round *r, size_t which,
			 const struct foreign_disk *disk, unsigned state,
			 const struct observation *o, int crash);
/* Notes a finding. */
struct foreign_token *foreign_find(struct foreign_run *f, const struct foreign_round *r,
				   size_t which, const struct verdict *v);
/* The same, with a case file if it can be. `disk` NULL: nothing was lost but processes. */
void foreign_find_state(struct foreign_run *f, struct foreign_round *r, size_t which,
			const struct foreign_disk *disk, unsigned state, const struct verdict *v);

/* ---- foreign_power.c ---- */

int foreign_power_judge(struct foreign_run *f, struct foreign_round *r, struct err *err);
/* The answers of a state: all oldest for number 0, otherwise drawn. `random` is borrowed by
 * `choice` until its end. */
void foreign_power_choose(const struct foreign_run *f, const struct foreign_round *r,
			  unsigned state, struct prng *random, struct choice *choice);

/* ---- foreign_case.c ---- */

/* Looks on the simulated disk for the same finding (oracle and grade) at the same moment. True: it
 * is in f->cases, under *ret_token. */
bool foreign_case_make(struct foreign_run *f, struct foreign_round *r,
		       const struct foreign_disk *disk, unsigned state, const struct verdict *v,
		       char ret_token[CASE_TOKEN_SIZE]);

/* ---- foreign_result.c ---- */

/* Fills case `which`. */
void foreign_result_fill(const struct foreign_run *f, size_t which, struct case_result *c);

/* ---- foreign_early.c ---- */

/* An acknowledgement that came inside a write transaction of the thread that gave it, when the
 * trace ends in that transaction. Positions; `ack` 0: there is none. */
struct foreign_early {
	uint64_t ack, begin;
	bool doubtful; /* it may speak of another transaction */
};

/* `paths`: the databases. `kind`: OP_ACK (of connection 0) or OP_OUTPUT. The first one that is not
 * doubtful, if there is one. */
struct foreign_early foreign_early_find(const struct trace *t, char *const *paths,
					size_t path_count, enum op_kind kind);

#endif
