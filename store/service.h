/*
 * service.h: one store for many threads: a queue with one writer, a pool of readers, a
 * checkpointer, a buffer, and a writer of log files. Included by store.h.
 *
 *   producers ──submit──> queue ──> writer loop: BEGIN, command, command, …, COMMIT ──> results
 *   producers ──buffer──> buffer ──(N commands, a time, flush, close)──> queue
 *   producers ──log──> log loop: files written, synced, renamed, folder synced ──> queue (the rows)
 *   readers <──take── pool of read-only stores ──give──>
 *   checkpointer: looks at the WAL, asks the strategies, checkpoints
 *
 * What a result means: a command's `done` is called after the transaction that holds it has been
 * committed as the profile says (P1 to P4 of store.h), never before. A command that was accepted
 * by store_service_submit(), _buffer() or _log() gets exactly one result, also when the service is
 * closed or its disk fails. Accepted is not stored: until `done` has been called, nothing is
 * promised.
 *
 * Group commit: the commands that wait share one transaction and one sync, each in a savepoint of
 * its own, so that one that fails leaves nothing and does not fail its neighbours. Where an error
 * makes SQLite roll the whole transaction back (a full disk, no memory), each command of it runs
 * again, alone. A command's own error counts only when its group has been committed: what it was
 * about (a duplicate of what a neighbour wrote) is then in the store.
 *
 * After an I/O error, or a commit whose outcome is not known, nothing is acknowledged before the
 * store has been opened again by store_reopen():
 *   - commands of a commit that failed with an unknown outcome get that error, with
 *     store_error.indeterminate (P6);
 *   - a command that met an I/O error before the commit gets that error: nothing of it is left;
 *   - all others had left nothing either; they run again once the store is open, and those that had
 *     not begun run then.
 * Opening again needs every connection of the service closed, or SQLite would trust the shared
 * index of the WAL instead of reading the WAL: so the pool hands out no reader meanwhile, and the
 * writer waits for those that are out, for reader_timeout_ms at most (a manual service: not at
 * all). If that or store_reopen() fails within the retry policy, commands get the reason as their
 * result (STORE_ERR_STOPPED when readers were in the way), readers are refused with
 * STORE_ERR_STOPPED, and the writer tries again with every group of commands that comes. A thread
 * that keeps a reader while it waits for a result is therefore never waited for without end.
 *
 * The same is done when the database file is found to have been moved, removed or replaced under
 * the service, which is looked for before every transaction. A missing file is never created anew,
 * and one that has taken the name of another is not opened, because SQLite would apply the WAL that
 * is left of the other to it: both are STORE_ERR_CANNOT_OPEN until the file is back.
 *
 * Threads: with `manual` unset the service has four threads of its own (writer, checkpointer,
 * flusher, log writer), and every function may be called from any thread except where it says
 * otherwise. `work` and `done` run on the writer's thread; they may submit, and must not wait for a
 * result, nor close the service. With `manual` set there are no threads: the caller drives the
 * store_service_*_step() functions, which are what the threads do, and all calls come from one
 * thread. Everything is then a function of the calls, the clock and the seed. The threads block
 * all signals.
 */
#ifndef STORE_SERVICE_H
#define STORE_SERVICE_H

#include "api.h"

#ifndef STORE_STORE_H
#error "include store.h, which includes this file"
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

STORE_API_BEGIN

struct store_service;

/* ---- checkpoints, automatic ---- */

enum store_checkpoint_mode {
	STORE_CHECKPOINT_PASSIVE,  /* as far as it goes without waiting for anybody */
	STORE_CHECKPOINT_FULL,	   /* waits for the writer, moves everything */
	STORE_CHECKPOINT_RESTART,  /* and waits for readers: the next commit starts the WAL anew */
	STORE_CHECKPOINT_TRUNCATE, /* and cuts the WAL to nothing */
};

/* What a strategy decides on. Times are of the monotonic clock. */
struct store_wal_state {
	uint64_t wal_bytes;	    /* size of the WAL file; only TRUNCATE makes it smaller */
	uint64_t wal_bytes_used;    /* of these, frames since the WAL was last begun anew */
	uint64_t wal_bytes_waiting; /* of these, frames that are not in the database yet */
	uint64_t page_size_bytes;
	uint64_t since_checkpoint_ms; /* since the last one that moved everything */
	uint64_t since_commit_ms;     /* since the last commit of this service, or its opening */
	uint64_t commits_since_checkpoint; /* of this service */
	uint32_t queue_count;		   /* commands that wait */
	uint32_t readers_taken;
	bool last_was_incomplete; /* the last checkpoint left frames behind: readers were in the way
				   */
	/* The service's thresholds. */
	uint64_t wal_bytes_max;
	uint64_t interval_ms;
};

/*
 * A strategy: whether to checkpoint now, and how. All are asked, as long as there is a WAL; of
 * those that answer (return true), the one with the highest priority wins, of equal ones the first.
 * An answer may be not to checkpoint (*ret_checkpoint false): it silences those below. `decide` is
 * called on the checkpointer's thread and must not call the service.
 *
 * The checkpointer asks at most every 10 ms. Modes other than PASSIVE take the write lock, and wait
 * for readers for 100 ms with it (not at all in a manual service); after a checkpoint that left
 * frames behind nobody is asked for a sixteenth of interval_ms (10 ms to 1 s). PASSIVE is not done,
 * nor counted, while no bytes wait: it would move nothing, and in SQLite 3.7.0 to 3.51.2 a
 * checkpoint that follows a complete one can lose commits (the WAL-reset bug).
 */
struct store_strategy {
	const char *name; /* for reports */
	int priority;
	bool (*decide)(void *context, const struct store_wal_state *state, bool *ret_checkpoint,
		       enum store_checkpoint_mode *ret_mode);
	void *context;
};

/*
 * The built-in ones, static; each stands at priority 0, and answers only when it wants one. Sizes
 * are those of wal_bytes_waiting and _used. Quiet is: the queue empty, no reader taken, no commit
 * for a quarter of interval_ms.
 *
 *   append_log        (default) many commits, few long readers: PASSIVE at wal_bytes_max or after
 *                     interval_ms, TRUNCATE when it is quiet, or at 4 times wal_bytes_max
 *   high_concurrency  never waits for a reader below 4 times wal_bytes_max: PASSIVE as above, then
 *                     RESTART
 *   low_latency       small and often: PASSIVE at a quarter of wal_bytes_max or after interval_ms
 *                     while the queue is empty, or at 4 times wal_bytes_max; TRUNCATE when quiet
 */
const struct store_strategy *store_strategy_append_log(void);
const struct store_strategy *store_strategy_high_concurrency(void);
const struct store_strategy *store_strategy_low_latency(void);

/* ---- opening ---- */

enum store_when_full {
	STORE_WHEN_FULL_BLOCK, /* submit waits for room */
	STORE_WHEN_FULL_FAIL,  /* submit fails at once with STORE_ERR_QUEUE_FULL */
};

/*
 * Retries of what is transient: STORE_ERR_BUSY and I/O errors when a transaction begins, BUSY when
 * it commits (in a rollback mode), and opening the store again after an error, unless the file is
 * not what it should be (STORE_ERR_NOT_A_DATABASE, _SCHEMA_NEWER, _CORRUPT, …). The n-th pause is
 * between half and all of min(delay_first_ms * 2^(n-1), delay_max_ms), drawn from the seed. Each
 * attempt has the busy timeout of store_options for itself: a lock that is never free is waited for
 * (1 + count_max) times that long, then every command of the group gets STORE_ERR_BUSY, with a
 * message that says who holds the lock where the system tells (Linux).
 */
struct store_retry {
	uint32_t count_max;	 /* attempts after the first, up to 1000; 0 is 5 */
	uint32_t delay_first_ms; /* up to an hour; 0 is 10 */
	uint32_t delay_max_ms;	 /* up to an hour; 0 is 2000 */
	uint64_t seed;
};

#define STORE_QUEUE_COUNT_DEFAULT     1024
#define STORE_QUEUE_COUNT_MAX	      (1024 * 1024)
#define STORE_GROUP_COUNT_DEFAULT     512
#define STORE_READER_COUNT_MAX	      256
#define STORE_STRATEGY_COUNT_MAX      16
#define STORE_BUFFER_COUNT_DEFAULT    50
#define STORE_BUFFER_AFTER_DEFAULT_MS 1000
#define STORE_WAL_BYTES_DEFAULT	      (4 * 1024 * 1024)
#define STORE_INTERVAL_DEFAULT_MS     60000

/* Zero everywhere is the default. Borrowed until open returns, strategies and files until close. */
struct store_service_options {
	/* As for store_open(). In a service SQLite's own automatic checkpoints are off, unless
	 * wal_autocheckpoint is among the pragmas; the checkpointer does them. Of the settings,
	 * readers of the pool get foreign_keys, cache_size (each has its own cache), mmap_size and
	 * temp_store. locking_mode=exclusive is STORE_ERR_INVALID: connections share the file. */
	struct store_options store;
	uint32_t queue_count_max; /* commands that wait; 0 is STORE_QUEUE_COUNT_DEFAULT */
	/* Commands in one transaction, as many as the queue holds at most; 0 is
	 * STORE_GROUP_COUNT_DEFAULT. */
	uint32_t group_count_max;
	enum store_when_full when_full;
	uint32_t reader_count; /* connections in the pool; 0 is twice the cores */
	int reader_timeout_ms; /* how long to wait for one; 0 is 5000, -1 not at all */
	/* Flush at so many; 0 is STORE_BUFFER_COUNT_DEFAULT, or queue_count_max if that is less. */
	uint32_t buffer_count;
	uint32_t buffer_after_ms; /* or after so long; 0 is STORE_BUFFER_AFTER_DEFAULT_MS */
	uint64_t wal_bytes_max;	  /* threshold; 0 is STORE_WAL_BYTES_DEFAULT */
	uint64_t interval_ms;	  /* threshold; 0 is STORE_INTERVAL_DEFAULT_MS */
	/* NULL is append_log alone. */
	const struct store_strategy *strategies;
	size_t strategy_count;
	struct store_retry retry;
	/* The folder of the log files, which must exist; NULL: this service writes none. Copied. */
	const char *log_folder;
	bool manual;
	/* Monotonic nanoseconds, and a pause; NULL are CLOCK_MONOTONIC and nanosleep(). Called
	 * from any thread, also with locks of the service held: they call nothing of it. The
	 * service's threads wait by CLOCK_MONOTONIC, and ask this clock when they wake. One that
	 * goes back or stands still delays nothing: time of the service never goes back, and a
	 * thread that has waited takes that for time. */
	int64_t (*monotonic_ns)(void *context);
	void (*sleep_ms)(void *context, uint32_t delay_ms);
	void *time_context;
};

/*
 * Opens the store at `path` (store_open()), the pool (lazily: readers are opened when they are
 * first taken) and starts the threads. options may be NULL. The caller owns *ret_service. Errors:
 * those of store_open(), and STORE_ERR_INVALID for options out of range.
 */
enum store_code store_service_open(const char *path, const struct store_service_options *options,
				   struct store_service **ret_service, struct store_error *err);

/*
 * Flushes the buffer, writes what waits, delivers every result, stops the threads, closes every
 * connection and frees the service; NULL is allowed. Readers must have been given back, and nobody
 * may be inside another call. Returns what went wrong on the way (results that were errors are not
 * counted: they were delivered): STORE_ERR_STOPPED when the store had not been opened again after
 * an error, whose WAL is then left for the next open; STORE_ERR_INVALID when a reader had not been
 * given back (it was closed). The service is gone in any case, except that from `work` or `done`
 * STORE_ERR_INVALID means that nothing happened.
 */
enum store_code store_service_close(struct store_service *service, struct store_error *err);

/* ---- writing ---- */

/*
 * What a command does: calls functions that write, such as store_events(), on the store that it is
 * handed. They take part in the transaction of the group. Anything but STORE_OK undoes the command
 * and becomes its result, with *err as it left it. It may run more than once (when a neighbour made
 * SQLite roll the whole transaction back, or the lock was busy), so it must do nothing outside of
 * the store.
 */
typedef enum store_code store_work(struct store *store, void *context, struct store_error *err);

/* The result. err is NULL with STORE_OK, and borrowed until the call returns. */
typedef void store_done(void *context, enum store_code code, const struct store_error *err);

struct store_command {
	store_work *work;
	store_done *done; /* may be NULL */
	void *context;	  /* of both; must live until done has been called */
};

/*
 * Puts a command into the queue; commands run in the order in which they were accepted.
 * STORE_OK means accepted, not stored. STORE_ERR_QUEUE_FULL (only with STORE_WHEN_FULL_FAIL),
 * STORE_ERR_CLOSED, STORE_ERR_INVALID: not accepted, done is not called. On a manual service a full
 * queue that would block is worked off by the calling thread. From `work` or `done`, where waiting
 * for the writer would be waiting for oneself, a full queue is always STORE_ERR_QUEUE_FULL.
 */
enum store_code store_service_submit(struct store_service *service,
				     const struct store_command *command, struct store_error *err);

/*
 * Submits and waits for the result, which it returns: STORE_OK is P1 to P4. STORE_ERR_INVALID from
 * `work` or `done`; other errors: those of store_service_submit() and of work. On a manual service
 * the calling thread steps the writer until the result is there.
 */
enum store_code store_service_call(struct store_service *service, store_work *work, void *context,
				   struct store_error *err);

/*
 * Into the buffer, which moves to the queue when it holds buffer_count commands, when its oldest
 * has waited for buffer_after_ms, on store_service_flush(), and on close. NOT an acknowledgement:
 * until `done` has been called a kill loses it. What has no room in the queue yet keeps its place:
 * it moves as soon as there is room, and nothing that is submitted later overtakes it. A producer
 * who finds the buffer itself full waits, or with STORE_WHEN_FULL_FAIL, or from `work` or `done`,
 * gets STORE_ERR_QUEUE_FULL. Other errors: STORE_ERR_CLOSED, _INVALID.
 */
enum store_code store_service_buffer(struct store_service *service,
				     const struct store_command *command, struct store_error *err);

/* Moves the buffer to the queue now, as far as there is room; the rest follows by itself, before
 * anything that is submitted later. It does not wait, neither for room nor for results. */
enum store_code store_service_flush(struct store_service *service, struct store_error *err);

/*
 * A step's log as a file of its own in log_folder, and then its row (workflow.h): written, synced,
 * renamed, the folder synced, all off the calling thread, then the row is committed, then done is
 * called (P11). text is copied. The file's name is made of the step's number, never of the caller's
 * text; a log that the step had before is replaced. Errors: STORE_ERR_INVALID (no log_folder; no
 * step of that number is the command's result), _CLOSED, _QUEUE_FULL, _NO_MEMORY.
 */
enum store_code store_service_log(struct store_service *service, int64_t step_id, const void *text,
				  size_t text_bytes, store_done *done, void *context,
				  struct store_error *err);

/* ---- reading ---- */

/*
 * Takes a read-only store out of the pool, in turn; it is checked before it is handed out and
 * replaced when it is broken. It is this caller's until store_service_reader_give(). Functions that
 * write answer STORE_ERR_READ_ONLY on it. STORE_ERR_POOL_EXHAUSTED when none came back within
 * reader_timeout_ms (a manual service does not wait), with a message that says how many are out;
 * STORE_ERR_STOPPED while the store could not be opened again after an error; and the errors of
 * store_open().
 */
enum store_code store_service_reader_take(struct store_service *service, struct store **ret_reader,
					  struct store_error *err);
/*
 * Gives it back. Open cursors of it are orphaned and statements of the caller's on store_handle()
 * are reset, so that no snapshot stays behind; a reader with a transaction left open is closed.
 * NULL and what is not out are ignored.
 */
void store_service_reader_give(struct store_service *service, struct store *reader);

/* ---- steps ---- */

/*
 * What each thread does once, without waiting for work. *ret_count (may be NULL): commands whose
 * result was delivered; checkpoints made; commands moved; logs whose rows were submitted. 0 is
 * "nothing to do". The code is for reports: results have been delivered to those concerned. For a
 * manual service; with threads: STORE_ERR_INVALID.
 */
enum store_code store_service_writer_step(struct store_service *service, size_t *ret_count,
					  struct store_error *err);
enum store_code store_service_checkpoint_step(struct store_service *service, size_t *ret_count,
					      struct store_error *err);
enum store_code store_service_flush_step(struct store_service *service, size_t *ret_count,
					 struct store_error *err);
enum store_code store_service_log_step(struct store_service *service, size_t *ret_count,
				       struct store_error *err);

/* ---- what it is doing ---- */

struct store_service_state {
	uint32_t queue_count; /* commands that wait, without the buffer */
	uint32_t queue_count_max_seen;
	uint32_t buffer_count;
	uint32_t log_count; /* logs that wait to be written */
	uint32_t readers_open, readers_taken;
	uint64_t commands_done;	   /* results delivered */
	uint64_t commands_failed;  /* of these, other than STORE_OK */
	uint64_t groups_committed; /* transactions */
	uint64_t reopened;	   /* times that the store was opened again after an error */
	uint64_t readers_replaced;
	uint64_t checkpoints;
	uint64_t checkpoints_busy; /* of these, those that left frames behind */
	bool stopped;		   /* the store is closed after an error and could not be opened */
};

void store_service_state(struct store_service *service, struct store_service_state *ret_state);

STORE_API_END

#endif
