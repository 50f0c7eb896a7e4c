/*
 * service_internal.h: what the files of the service share with each other and with nobody else.
 *
 *   service.c       open, close, threads, state, the public step functions
 *   service_time.c  the service's time, and waiting
 *   service_options.c  ranges and defaults of the options
 *   queue.c         the queue, submit and call
 *   writer.c        the writer's step: groups, retries, opening the store again, results
 *   pool.c          readers
 *   buffer.c        the buffer in front of the queue
 *   busy.c          patience, and who holds the lock (no service needed)
 *   checkpointer.c  the checkpointer's step; strategy.c the built-in strategies
 *   log.c           the queue of logs and its step
 *
 * Threads. Each of the four threads runs one loop, in service.c:
 *
 *   lock ─> due = part_due_ns() ─> 0: unlock, part_step(), again
 *                                  otherwise: wait on the part's condition, at most that long
 *
 * and ends when it has been told to and nothing is due. In manual mode the public step functions
 * call the same part_step(). A step never waits for work; it may wait for room in the queue, for a
 * lock of SQLite's, and in retries.
 *
 * Locks, in the order in which they may be taken; most are held alone:
 *
 *   1. checkpointer.mutex   the checkpointer's connection, held as long as it is used
 *   2. pool.mutex           the slots of the pool; readers are opened and checked outside of it
 *   3. mutex                the queue, the buffer, the logs, the counters, the state
 *   4. time.mutex           what time it is
 *
 * None is held while a caller's `work`, `done` or files are called. The writer's connection has no
 * lock: it belongs to the thread that runs the writer's step, and to open and close.
 */
#ifndef STORE_SERVICE_INTERNAL_H
#define STORE_SERVICE_INTERNAL_H

#include <pthread.h>
#include <sys/types.h>

#include "store/internal.h"

/* A part whose step is due only when it is woken. */
#define STORE_DUE_NEVER INT64_MAX

#define STORE_NS_PER_MS INT64_C(1000000)

/* ---- the queue (queue.c) ---- */

struct store_queued {
	struct store_command command;
	/* Runs between two groups, outside of a transaction: a vacuum. */
	bool alone;
};

/* A ring; guarded by service->mutex. */
struct store_queue {
	struct store_queued *entries;
	uint32_t count_max;
	uint32_t first;
	uint32_t count;
	uint32_t count_max_seen;
};

/* What has become of a command that the writer has taken. */
struct store_taken {
	struct store_queued queued;
	/* The result is final. */
	bool settled;
	enum store_code code;
	struct store_error err;
};

/* ---- the buffer (buffer.c) ---- */

/* A ring; guarded by service->mutex. */
struct store_buffer {
	struct store_command *entries;
	uint32_t count_max;
	uint32_t first;
	uint32_t count;
	/* The first so many go to the queue as soon as there is room. */
	uint32_t due_count;
	/* When the oldest of those that are not due came in. */
	int64_t since_ns;
};

/* ---- readers (pool.c) ---- */

struct store_reader_slot {
	struct store *reader; /* NULL: not open */
	bool taken;	      /* by a caller, or being opened or checked */
};

struct store_pool {
	pthread_mutex_t mutex;
	pthread_cond_t given; /* a reader came back, or the pool was resumed */
	struct store_reader_slot *slots;
	uint32_t count;
	uint32_t next; /* where the search for a free one begins */
	uint32_t open_count;
	uint32_t taken_count;
	uint64_t replaced_count;
	/* The store is being opened again: none is handed out. */
	bool paused;
	/* It could not be: none is handed out, and nobody waits. */
	bool stopped;
};

/* ---- the checkpointer (checkpointer.c; its fields are its own business) ---- */

struct store_checkpointer {
	/* Guards store; the writer takes it to have the connection closed. */
	pthread_mutex_t mutex;
	/* A connection of its own, opened when it is first needed by store_open(service->path,
	 * &service->store_options); NULL when closed. */
	struct store *store;
	/* The rest is guarded by service->mutex. */
	const struct store_strategy *strategies; /* borrowed; never NULL after init */
	size_t strategy_count;
	int64_t opened_ns;
	bool looked;		  /* ever */
	int64_t looked_ns;	  /* last look */
	uint64_t commits_at_look; /* service->commits then */
	bool log_was_empty;	  /* then */
	int64_t not_before_ns;	  /* no look before: the last checkpoint was kept from finishing */
	int64_t completed_ns;	  /* last checkpoint that moved everything; at first: the opening */
	uint64_t commits_at_completed; /* service->commits then */
	bool last_was_incomplete;
	uint64_t count;
	uint64_t busy_count;
};

/* ---- logs (log.c; its fields are its own business) ---- */

struct store_log;	/* one that waits */
struct store_log_names; /* workflow_internal.h */

struct store_logs {
	/* Set by init, then constant. */
	char *folder; /* NULL: this service writes none */
	const struct store_files *files;

	/* Guarded by service->mutex. */
	struct store_log *first;
	struct store_log *last;
	uint32_t count; /* that wait, with those being written */
	uint64_t bytes; /* of these */
	/* Files that no row names, and that the next step removes; what does not fit is left to
	 * store_logs_sweep(). */
	struct store_log_names *old;
	pthread_cond_t numbered; /* the writer has taken numbers */

	/* Of whoever runs the step. */
	int64_t number_next; /* the next file's, and the first that is not ours any more */
	int64_t number_end;
	bool looked; /* for old files that an earlier service has left */
};

/* ---- the service ---- */

enum store_part {
	STORE_PART_WRITER,
	STORE_PART_CHECKPOINTER,
	STORE_PART_FLUSHER,
	STORE_PART_LOGGER,
	STORE_PART_COUNT
};

struct store_part_thread {
	pthread_t thread;
	bool started;
	pthread_cond_t wake; /* with service->mutex */
	bool end;	     /* once nothing is due; guarded by service->mutex */
	struct store_service *service;
	enum store_part part;
};

/* The service's own time, which never goes back (service_time.c). */
struct store_time {
	pthread_mutex_t mutex;
	int64_t clock_ns; /* the clock, when it was last asked */
	int64_t now_ns;
};

struct store_service {
	/* Set by open, then constant. */
	char *path;
	struct store_service_options options; /* with the defaults filled in */
	/* For every connection of the service: options.store, with copies of the pragmas and
	 * automatic checkpoints off unless the caller has set them. */
	struct store_options store_options;
	struct store_pragma pragmas[STORE_PRAGMA_COUNT_MAX + 1];
	/* Which file it is, where the operating system tells. */
	bool file_is_known;
	dev_t file_device;
	ino_t file_inode;

	/* The writing connection, of the writer's thread. */
	struct store *writer;
	struct store_taken *group; /* of group_count_max; the writer's */
	uint64_t random;	   /* state of the jitter; the writer's */

	pthread_mutex_t mutex;
	/* Guarded by mutex from here on. */
	pthread_cond_t room; /* the queue or the buffer has room, or the service is closing */
	bool closing;	     /* callers are refused; what has been accepted is still done */
	bool stepping;	     /* the writer's step is running, in the thread writer_id */
	pthread_t writer_id;
	/* The store must be opened again before anything more is answered. Set by whoever meets an
	 * I/O error on any connection: store_service_broken(). Meanwhile no connection may be
	 * opened, so that SQLite recovers from the WAL itself and not from its shared index. */
	bool broken;
	uint64_t broken_count; /* times that it was set */
	struct store_error broken_by;
	bool stopped; /* broken, and the last attempt to open it again failed */
	struct store_queue queue;
	struct store_buffer buffer;
	struct store_logs logs;
	/* Of the writer: transactions committed with at least one command that succeeded, the time
	 * of the last one (0: none), and the size of the WAL file after it. The checkpointer is
	 * woken after each. */
	uint64_t commits;
	int64_t last_commit_ns;
	uint64_t wal_bytes;
	uint64_t commands_done;
	uint64_t commands_failed;
	uint64_t reopened;

	/* With locks of their own. */
	struct store_time time;
	struct store_pool pool;
	struct store_checkpointer checkpointer;

	struct store_part_thread threads[STORE_PART_COUNT];
};

/* ---- service.c ---- */

/* Wakes a part's thread, which then asks again what is due. Call with service->mutex held. */
void store_service_wake(struct store_service *service, enum store_part part);

/*
 * Says that a connection of this service met an I/O error, or a commit or checkpoint whose outcome
 * is unknown: the writer opens the store again before it answers anything. Call without locks, but
 * checkpointer.mutex may be held. The reporting part closes its own connection.
 */
void store_service_broken(struct store_service *service, const struct store_error *err);

/*
 * Whether the file is still there and still the same. Opening would create a missing one anew, and
 * an empty store would take the place of a lost one; and where another has taken its name, SQLite
 * would apply the WAL of the first to it, because a WAL does not say which database it belongs to.
 * It opens nothing (see busy.c). Without locks.
 */
enum store_code store_service_file_check(struct store_service *service, struct store_error *err);

/* ---- service_time.c ---- */

/* Called by open when the options are there, and by close as the last. */
void store_time_init(struct store_service *service);
void store_time_release(struct store_service *service);

/* Nanoseconds that never go back, driven by the caller's clock or the monotonic one. Any thread,
 * with or without locks. */
int64_t store_service_now_ns(struct store_service *service);
void store_service_sleep_ms(const struct store_service *service, uint32_t delay_ms);

/* 0, or an errno. The condition's waits are timed by CLOCK_MONOTONIC. */
int store_condition_init(pthread_cond_t *condition);
/* Waits on such a condition with its mutex held, at most so long; STORE_DUE_NEVER is for good.
 * After a wait that has timed out store_service_now_ns() is at least so much later, whatever the
 * clock says. */
void store_service_wait(struct store_service *service, pthread_cond_t *condition,
			pthread_mutex_t *mutex, int64_t wait_ns);

/* ---- service_options.c ---- */

/* Whether they are in range, with the store's among them; touches nothing. */
enum store_code store_service_options_check(const struct store_service_options *options,
					    struct store_error *err);

/* Puts the defaults in place of zeros. */
void store_service_options_complete(struct store_service_options *options);

/* Fills store_options and options.store with copies of the pragmas, and switches SQLite's own
 * checkpoints off unless the caller has a say. */
enum store_code store_service_pragmas_copy(struct store_service *service, struct store_error *err);
void store_service_pragmas_release(struct store_service *service);

/* ---- queue.c ---- */

enum store_code store_queue_init(struct store_service *service, struct store_error *err);
void store_queue_release(struct store_service *service);

/* Both with service->mutex held. */
uint32_t store_queue_room(const struct store_service *service);
void store_queue_push(struct store_service *service, const struct store_queued *queued);

/* Whether the calling thread is inside `work` or `done`. With service->mutex held. */
bool store_service_is_writer(const struct store_service *service);

/*
 * Puts a command of the service's own (the row of a log) into the queue, also while the service is
 * closing, and waits for room whatever when_full says; in manual mode the queue is worked off by
 * the calling thread. Not from `work` or `done`. Without locks.
 */
enum store_code store_service_put(struct store_service *service,
				  const struct store_command *command, struct store_error *err);

/* Puts it in and waits for the result; `alone` as in struct store_queued. */
enum store_code store_service_run(struct store_service *service, store_work *work, void *context,
				  bool alone, struct store_error *err);

/* ---- writer.c ---- */

int64_t store_writer_due_ns(struct store_service *service);
enum store_code store_writer_step(struct store_service *service, size_t *ret_count,
				  struct store_error *err);

/* ---- buffer.c ---- */

enum store_code store_buffer_init(struct store_service *service, struct store_error *err);
void store_buffer_release(struct store_service *service);

/* Moves to the queue what is due and has room; returns how many. With service->mutex held. */
uint32_t store_buffer_move(struct store_service *service);
/* Makes everything due. With service->mutex held. */
void store_buffer_hurry(struct store_service *service);

int64_t store_buffer_due_ns(struct store_service *service);
enum store_code store_buffer_step(struct store_service *service, size_t *ret_count,
				  struct store_error *err);

/* ---- pool.c ---- */

enum store_code store_pool_init(struct store_service *service, struct store_error *err);
/* Closes every reader, also those that were not given back; returns how many these were. */
uint32_t store_pool_release(struct store_service *service);

/* Hands out no more, waits at most so long for those that are out, and closes all.
 * STORE_ERR_STOPPED if some are still out: the pool stays paused, and this may be called again. */
enum store_code store_pool_pause(struct store_service *service, int wait_ms,
				 struct store_error *err);
/* stopped: the store could not be opened again. */
void store_pool_resume(struct store_service *service, bool stopped);

/* Without service->mutex. */
void store_pool_counts(struct store_service *service, uint32_t *ret_open, uint32_t *ret_taken,
		       uint64_t *ret_replaced);

/* busy.c stands in internal.h: patience with locks needs no service. */

/* ---- checkpointer.c ---- */

/* Called by open, before the threads exist, with options filled in; and by close, after they have
 * ended. release also accepts a service whose init was never called or failed. */
enum store_code store_checkpointer_init(struct store_service *service, struct store_error *err);
void store_checkpointer_release(struct store_service *service);

/* How long until a look is worth it: 0 now, STORE_DUE_NEVER not before it is woken (which the
 * writer does after each commit). With service->mutex held; takes no other lock. */
int64_t store_checkpointer_due_ns(struct store_service *service);
/* One look, and at most one checkpoint. Without locks. While service->broken is set it uses and
 * opens no connection; it asks for that (under service->mutex) after it has taken
 * checkpointer.mutex, so that store_checkpointer_disconnect() finds whatever was opened before. */
enum store_code store_checkpointer_step(struct store_service *service, size_t *ret_count,
					struct store_error *err);

/* Closes the connection, waiting for a checkpoint that runs; the next step that needs one opens it
 * again. By the writer, without locks. */
void store_checkpointer_disconnect(struct store_service *service);

/* ---- log.c ---- */

/* As for the checkpointer. At close, no log is left: the thread, or close itself in manual mode,
 * has run the step until nothing was due. */
enum store_code store_logs_init(struct store_service *service, struct store_error *err);
void store_logs_release(struct store_service *service);

/* 0 when a log waits, or an old file to be removed; otherwise STORE_DUE_NEVER. With service->mutex
 * held. */
int64_t store_logs_due_ns(struct store_service *service);
/* Writes a log (or several), and puts the row's command into the queue with store_service_put(),
 * also when writing failed: `done` is then called with the reason, by the writer as always.
 * store_service_log() wakes STORE_PART_LOGGER. Without locks. */
enum store_code store_logs_step(struct store_service *service, size_t *ret_count,
				struct store_error *err);

#endif
