/*
 * Shared by workers.c (the parent), worker.c (the child) and workers_crash.c (what becomes of a
 * crash). Nobody else includes this.
 */
#ifndef DRIVE_WORKERS_INTERNAL_H
#define DRIVE_WORKERS_INTERNAL_H

#include "harness/drive/isolate.h"
#include "harness/drive/point_result.h"
#include "harness/drive/workers.h"

/* Memory that all workers and the parent share. */
struct control {
	_Atomic size_t next;		    /* how many points were taken */
	_Atomic size_t end;		    /* points from here on are not needed any more */
	_Atomic bool stop;		    /* everybody ends */
	_Atomic uint64_t made[WORKERS_MAX]; /* recoveries, by the number of the worker */
	_Atomic uint64_t cost[]; /* of each point, in recoveries, + 1; 0: not known yet */
};

/* A point that a worker does before it takes others. */
struct worker_task {
	bool given;
	bool alone; /* the worker does nothing else */
	size_t point;
	uint64_t recoveries_max;
};

/* One run of this point kills the process. */
struct crash {
	size_t point;
	uint64_t run; /* the how-manieth recovery of the point, from 1 */
	struct finding finding;
	bool added; /* to the result of its point */
};

struct worker {
	pid_t pid; /* 0: none */
	int fd;
	struct isolate *isolate; /* owned */
	struct isolate_watch watch;
	struct buf input; /* owned; not yet a whole record */
	struct worker_task task;
	bool hung;
};

struct pool {
	const struct workers_job *job;
	struct workers_result *result;
	struct control *control;
	size_t control_size;
	struct worker workers[WORKERS_MAX];
	size_t worker_count; /* those of --jobs; one more is for the points that are cut */
	size_t *order;	     /* in which points are taken; owned; NULL: that of the trace */
	struct buf *records; /* [point]; owned; empty: not there, or merged */
	bool *from_file;     /* [point]; owned: the resume file knows it */
	bool *finished;	     /* [point]; owned: its result is there, or was */
	size_t done;	     /* of these */
	mpz_t covered;	     /* states, by these */
	size_t merged;	     /* points that are added up */
	bool ended;	     /* at `merged`: a limit, or an error */
	bool stopping;
	uint64_t stop_ns; /* when that began */
	struct crash *crashes;
	size_t crash_count, crash_cap;
};

/* The child's whole life; never returns. */
_Noreturn void worker_main(const struct pool *pool, struct worker *w, size_t number, int out);

/* Makes a finding of the worker's death in the code under test, and remembers it. ERR_HARNESS when
 * the state does not kill by itself. */
int pool_learn_crash(struct pool *pool, const struct worker *w, const struct isolate_death *death,
		     struct err *err);
/* The crash of a point, or NULL. */
struct crash *pool_crash(const struct pool *pool, size_t point);
/* Adds the crash to the result of its point, which was explored up to there. ERR_HARNESS when the
 * point took another way this time. */
int pool_add_crash(struct crash *crash, struct point_result *r, struct err *err);

#endif
