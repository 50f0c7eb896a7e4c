/*
 * Workloads in C: programs that a scenario runs instead of clients (`@workload NAME k=v`). Each
 * works on the database that it is given, through the default VFS, with connections of its own, and
 * on other files through env->files, and says when a promise was given.
 *
 * The same code runs over the simulated disk (record.h) and in a real process (kill.h): the
 * environment tells it where and hears its acknowledgements.
 *
 *                 in a recording                        under `kill`
 *   files         the simulated disk                    the operating system's
 *   threads       false: all on the calling thread      true: it may start threads
 *   fail_sync     makes a sync fail                     NULL
 *   clock_us      the shim's clock                      the operating system's, under libfaketime
 *   connection    whose operations the next ones are    NULL
 *   stop          NULL                                  NULL
 *
 * Files lie in the folder of the database, not below it: the folder of a kill is emptied between
 * generations and has no other folders. Their paths begin with what env->database has before its
 * last '/'. All are closed, and all threads joined, when run() returns, whatever it returns.
 *
 * What an acknowledgement means to the history of a recording (harness/judge/history.h): the latest
 * committed transaction of the *connection that is acting* that has begun is promised, unless it is
 * already. So:
 *
 *   - A workload acknowledges as the connection that committed, and before that connection begins
 *     its next transaction. As another connection the promise would be of that one's transaction,
 *     or of none, and nothing would say so; too late it would be of a transaction that nobody has
 *     promised yet.
 *   - Several acknowledgements after one commit (group commit) are one promise; the others change
 *     nothing. One after a checkpoint, a rollback or a commit that changed nothing is none.
 *   - A promise of a file is none of the history's. It is an @invariant, with a row that is there
 *     when the file must be (harness/drive/outside.h).
 */
#ifndef DRIVE_WORKLOAD_H
#define DRIVE_WORKLOAD_H

#include "faultinject/base/err.h"
#include "harness/scenario/scenario.h"

#include <stdbool.h>
#include <stdint.h>

struct store_files;

struct workload_env {
	const char *database;	       /* path */
	const struct kv_list *pragmas; /* of the case */
	const struct kv_list *params;  /* workload parameters, checked */
	const char *plant;	       /* a planted defect, or NULL */
	uint64_t seed;
	uint32_t worker; /* number of this writer, from 0; its data must not collide with others */
	const struct store_files *files; /* store/files.h; borrowed until run() returns */
	bool threads;			 /* may be started */
	/* The caller was told that everything written so far is kept; `text` names what, as
	 * "KEY POSITION": all that stands under that key up to that position (promise_sql). Under
	 * `kill` from any thread, one call at a time or several. */
	void (*ack)(void *ctx, const char *text);
	/* The `nth` sync from now on (1 = the next) of a file or folder whose name ends in `suffix`
	 * (NULL: any) fails, once, with EIO; it replaces what was asked for before. 0, or EINVAL
	 * for a suffix of more than 255 bytes. A failure that has not come when run() returns is an
	 * error of the scenario. NULL where no sync can be made to fail. */
	int (*fail_sync)(void *ctx, uint32_t nth, const char *suffix);
	/* From here on it is connection `number` that acts, 0 at the start: workload_connection().
	 */
	void (*connection)(void *ctx, uint16_t number);
	/* With @clock only, else NULL; from any thread. The time of day, in microseconds since
	 * 1970: a workload whose clock is not asked after takes a fixed one. And the clock's next
	 * move (faultinject/clock.h), which ack() makes too; an error when it cannot be moved. */
	int64_t (*clock_us)(void *ctx);
	int (*clock_move)(void *ctx, struct err *err);
	/* Asked between batches; true ends the workload early. May be NULL. */
	bool (*stop)(void *ctx);
	void *ctx;
};

struct workload_param {
	const char *name;
	int64_t min, max, standard;
	const char *help;
	/* `kill` records a shorter run, for its legal states: with so much at most; 0: as it is. */
	int64_t recorded_max;
};

struct workload {
	const char *name;
	const char *summary;
	const struct workload_param *params;
	size_t param_count;
	const char *const *defects; /* planted defects that it can carry */
	size_t defect_count;
	/* What there is of what was acknowledged, asked after a kill: rows of key (TEXT), count,
	 * smallest and largest position. Every position from 1 to the largest must be there,
	 * `count` of them; where a key's positions are not dense, `count` is NULL, and only the
	 * largest counts. It may look at other files (outside.h). NULL: nobody knows. */
	const char *promise_sql;
	/* Runs to its end. ERR_SQLITE with the reason when it cannot. */
	int (*run)(const struct workload_env *env, struct err *err);
};

const struct workload *workload_find(const char *name); /* NULL: unknown */
const struct workload *const *workload_all(size_t *ret_count);

/* The value of a parameter, or its standard. */
int64_t workload_param(const struct workload *w, const struct kv_list *params, const char *name);
/* ERR_USAGE for an unknown key or a value out of range. */
int workload_check_param(const struct workload *w, const char *key, const char *value,
			 struct err *err);

/* What a recording does from here on, connection `number` does: each connection that commits has
 * its own, and those that checkpoint or read have others. No effect under `kill`. */
void workload_connection(const struct workload_env *env, uint16_t number);

extern const struct workload workload_archival;
extern const struct workload workload_clock;
extern const struct workload workload_conversations;
extern const struct workload workload_filesystem;
extern const struct workload workload_workflow;

#endif
