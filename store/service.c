/*
 * service.c: the life of a service: its threads, its end, its state.
 *
 * A thread is a loop around a part's step (service_internal.h); without threads the caller is the
 * loop. The end, in this order, so that nothing that was accepted is left without a result:
 *
 *   callers refused ─> logger ends, no log waits ─> buffer due ─> flusher and checkpointer end ─>
 *   writer ends, queue and buffer empty ─> readers, checkpointer's connection, writer's connection
 *
 * The writer's connection is the last to be closed, because the last one checkpoints and removes
 * the WAL, which a reader could not.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/service_internal.h"

/* ---- threads ---- */

static int64_t part_due_ns(struct store_service *service, enum store_part part)
{
	switch (part) {
	case STORE_PART_WRITER:
		return store_writer_due_ns(service);
	case STORE_PART_CHECKPOINTER:
		return store_checkpointer_due_ns(service);
	case STORE_PART_FLUSHER:
		return store_buffer_due_ns(service);
	case STORE_PART_LOGGER:
		return store_logs_due_ns(service);
	case STORE_PART_COUNT:
		break;
	}
	return STORE_DUE_NEVER;
}

static enum store_code part_step(struct store_service *service, enum store_part part,
				 size_t *ret_count, struct store_error *err)
{
	switch (part) {
	case STORE_PART_WRITER:
		return store_writer_step(service, ret_count, err);
	case STORE_PART_CHECKPOINTER:
		return store_checkpointer_step(service, ret_count, err);
	case STORE_PART_FLUSHER:
		return store_buffer_step(service, ret_count, err);
	case STORE_PART_LOGGER:
		return store_logs_step(service, ret_count, err);
	case STORE_PART_COUNT:
		break;
	}
	return STORE_ERR_INVALID;
}

/* Whether a part that was told to end has nothing left that somebody waits for. */
static bool part_is_finished(const struct store_part_thread *thread, int64_t due_ns)
{
	if (!thread->end)
		return false;
	return due_ns != 0 || thread->part == STORE_PART_CHECKPOINTER ||
	       thread->part == STORE_PART_FLUSHER;
}

static void *part_loop(void *context)
{
	struct store_part_thread *thread = context;
	struct store_service *service = thread->service;

	pthread_mutex_lock(&service->mutex);
	for (;;) {
		const int64_t due_ns = part_due_ns(service, thread->part);

		if (part_is_finished(thread, due_ns))
			break;
		if (due_ns > 0) {
			store_service_wait(service, &thread->wake, &service->mutex, due_ns);
			continue;
		}
		pthread_mutex_unlock(&service->mutex);
		part_step(service, thread->part, NULL, NULL);
		pthread_mutex_lock(&service->mutex);
	}
	pthread_mutex_unlock(&service->mutex);
	return NULL;
}

void store_service_wake(struct store_service *service, enum store_part part)
{
	if (service->threads[part].started)
		pthread_cond_signal(&service->threads[part].wake);
}

static enum store_code threads_start(struct store_service *service, struct store_error *err)
{
	sigset_t all, before;
	int rc = 0;

	if (service->options.manual)
		return STORE_OK;
	/* Signals are the program's business, and belong to threads that it knows. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (int part = 0; part < STORE_PART_COUNT && rc == 0; part++) {
		struct store_part_thread *thread = &service->threads[part];

		rc = store_condition_init(&thread->wake);
		if (rc != 0)
			break;
		thread->service = service;
		thread->part = (enum store_part)part;
		/* With the mutex held, so that the thread finds itself started. */
		pthread_mutex_lock(&service->mutex);
		rc = pthread_create(&thread->thread, NULL, part_loop, thread);
		thread->started = rc == 0;
		pthread_mutex_unlock(&service->mutex);
		if (rc != 0)
			pthread_cond_destroy(&thread->wake);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return store_error_set(err, STORE_ERR_NO_MEMORY, 0,
				       "%.200s: cannot start a thread: error %d", service->path,
				       rc);
	return STORE_OK;
}

static bool part_is_due(struct store_service *service, enum store_part part)
{
	bool due;

	pthread_mutex_lock(&service->mutex);
	due = part_due_ns(service, part) == 0;
	pthread_mutex_unlock(&service->mutex);
	return due;
}

/* Waits until the part has finished; without threads, does what is left of its work. */
static void part_end(struct store_service *service, enum store_part part)
{
	struct store_part_thread *thread = &service->threads[part];

	if (service->options.manual) {
		while ((part == STORE_PART_WRITER || part == STORE_PART_LOGGER) &&
		       part_is_due(service, part))
			part_step(service, part, NULL, NULL);
		return;
	}
	if (!thread->started)
		return;
	pthread_mutex_lock(&service->mutex);
	thread->end = true;
	pthread_cond_signal(&thread->wake);
	pthread_mutex_unlock(&service->mutex);
	pthread_join(thread->thread, NULL);
	pthread_mutex_lock(&service->mutex);
	thread->started = false;
	pthread_mutex_unlock(&service->mutex);
	pthread_cond_destroy(&thread->wake);
}

/* ---- open and close ---- */

/* Everything but connections and threads; accepts what is half built. */
static void service_free(struct store_service *service)
{
	store_queue_release(service);
	store_buffer_release(service);
	store_service_pragmas_release(service);
	store_time_release(service);
	pthread_mutex_destroy(&service->mutex);
	pthread_mutex_destroy(&service->pool.mutex);
	pthread_mutex_destroy(&service->checkpointer.mutex);
	pthread_cond_destroy(&service->room);
	pthread_cond_destroy(&service->pool.given);
	free(service->path);
	free(service);
}

/* Locks and memory; NULL if there is none. */
static struct store_service *service_create(const char *path,
					    const struct store_service_options *options)
{
	struct store_service *service = calloc(1, sizeof(*service));

	if (!service)
		return NULL;
	service->path = strdup(path);
	service->options = *options;
	store_service_options_complete(&service->options);
	service->random = options->retry.seed;
	if (!service->path)
		goto fail;
	if (store_condition_init(&service->room) != 0)
		goto fail;
	if (store_condition_init(&service->pool.given) != 0) {
		pthread_cond_destroy(&service->room);
		goto fail;
	}
	store_time_init(service);
	pthread_mutex_init(&service->mutex, NULL);
	pthread_mutex_init(&service->pool.mutex, NULL);
	pthread_mutex_init(&service->checkpointer.mutex, NULL);
	return service;
fail:
	free(service->path);
	free(service);
	return NULL;
}

/* Ends the threads in the order that the head of this file gives. */
static void service_drain(struct store_service *service)
{
	pthread_mutex_lock(&service->mutex);
	service->closing = true;
	pthread_cond_broadcast(&service->room);
	pthread_mutex_unlock(&service->mutex);
	part_end(service, STORE_PART_LOGGER);
	pthread_mutex_lock(&service->mutex);
	store_buffer_hurry(service);
	pthread_mutex_unlock(&service->mutex);
	part_end(service, STORE_PART_FLUSHER);
	part_end(service, STORE_PART_CHECKPOINTER);
	part_end(service, STORE_PART_WRITER);
}

/* After the threads have ended. Returns how many readers had not been given back. */
static uint32_t service_release(struct store_service *service)
{
	const uint32_t taken_count = store_pool_release(service);

	store_checkpointer_release(service);
	store_logs_release(service);
	/* Closing would checkpoint from a log that the disk may not have, and delete it. */
	if (service->broken && service->writer && service->writer->stopped_by == 0)
		service->writer->stopped_by = SQLITE_ABORT;
	store_close(service->writer);
	service_free(service);
	return taken_count;
}

/* Where SQLite's VFS is not the file system's, there is nothing to know. */
static void file_remember(struct store_service *service)
{
	struct stat file;

	if (stat(service->path, &file) != 0)
		return;
	service->file_is_known = true;
	service->file_device = file.st_dev;
	service->file_inode = file.st_ino;
}

enum store_code store_service_open(const char *path, const struct store_service_options *options,
				   struct store_service **ret_service, struct store_error *err)
{
	static const struct store_service_options options_default;
	struct store_service *service = NULL;
	enum store_code code;

	if (!options)
		options = &options_default;
	if (!path || !ret_service)
		return store_error_set(err, STORE_ERR_INVALID, 0, "path or ret_service is NULL");
	code = store_service_options_check(options, err);
	if (code != STORE_OK)
		return code;
	service = service_create(path, options);
	if (!service)
		return store_error_set(err, STORE_ERR_NO_MEMORY, 0, "%.200s: out of memory", path);
	code = store_service_pragmas_copy(service, err);
	if (code != STORE_OK)
		goto out;
	code = store_open(path, &service->store_options, &service->writer, err);
	if (code != STORE_OK)
		goto out;
	file_remember(service);
	code = store_queue_init(service, err);
	if (code == STORE_OK)
		code = store_buffer_init(service, err);
	if (code == STORE_OK)
		code = store_pool_init(service, err);
	if (code == STORE_OK)
		code = store_checkpointer_init(service, err);
	if (code == STORE_OK)
		code = store_logs_init(service, err);
	if (code != STORE_OK)
		goto out;
	/* It was the caller's; store_logs_init() has copied it. */
	service->options.log_folder = NULL;
	code = threads_start(service, err);
	if (code != STORE_OK) {
		service_drain(service);
		goto out;
	}
	*ret_service = service;
	service = NULL;
out:
	if (service)
		service_release(service);
	return code;
}

enum store_code store_service_close(struct store_service *service, struct store_error *err)
{
	enum store_code code = STORE_OK;
	struct store_error reason = {.index = STORE_INDEX_NONE};
	bool inside, stopped;
	uint32_t taken_count;

	if (!service)
		return STORE_OK;
	pthread_mutex_lock(&service->mutex);
	inside = store_service_is_writer(service);
	pthread_mutex_unlock(&service->mutex);
	if (inside)
		return store_error_set(err, STORE_ERR_INVALID, 0,
				       "%.200s: work and done cannot close the service that runs "
				       "them",
				       service->path);
	service_drain(service);
	stopped = service->broken;
	if (stopped) {
		/* Its message ends with SQLite's code already. */
		code = store_error_at(&reason, service->writer, STORE_ERR_STOPPED, 0,
				      "the service was closed before the store had been opened "
				      "again after an error: %s",
				      service->broken_by.message);
		reason.sqlite_code = service->broken_by.sqlite_code;
	}
	pthread_mutex_lock(&service->pool.mutex);
	taken_count = service->pool.taken_count;
	pthread_mutex_unlock(&service->pool.mutex);
	if (taken_count > 0 && code == STORE_OK)
		code = store_error_at(&reason, service->writer, STORE_ERR_INVALID, 0,
				      "%u readers had not been given back; they are closed",
				      (unsigned)taken_count);
	service_release(service);
	if (code != STORE_OK && err)
		*err = reason;
	return code;
}

/* ---- what others need to know ---- */

enum store_code store_service_file_check(struct store_service *service, struct store_error *err)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	struct stat file;
	int exists = 0;
	int rc = vfs->xAccess(vfs, service->path, SQLITE_ACCESS_EXISTS, &exists);

	if (rc != SQLITE_OK)
		return store_error_set(err, store_code_from_sqlite(rc), rc,
				       "%.200s: cannot look for the file: %s [%d]", service->path,
				       sqlite3_errstr(rc), rc);
	if (!exists)
		return store_error_set(err, STORE_ERR_CANNOT_OPEN, 0,
				       "%.200s: the file is gone; the service does not create it "
				       "anew",
				       service->path);
	if (service->file_is_known && stat(service->path, &file) == 0 &&
	    (file.st_ino != service->file_inode || file.st_dev != service->file_device))
		return store_error_set(err, STORE_ERR_CANNOT_OPEN, 0,
				       "%.200s: another file has taken the name; the WAL beside it "
				       "may belong to the one before, and would be applied to it",
				       service->path);
	return STORE_OK;
}

void store_service_broken(struct store_service *service, const struct store_error *err)
{
	pthread_mutex_lock(&service->mutex);
	if (!service->broken)
		service->broken_by = *err;
	service->broken = true;
	service->broken_count++;
	/* A new reason: the writer is to try at once. */
	service->stopped = false;
	store_service_wake(service, STORE_PART_WRITER);
	pthread_mutex_unlock(&service->mutex);
}

void store_service_state(struct store_service *service, struct store_service_state *ret_state)
{
	struct store_service_state state = {0};

	if (!service || !ret_state)
		return;
	store_pool_counts(service, &state.readers_open, &state.readers_taken,
			  &state.readers_replaced);
	pthread_mutex_lock(&service->mutex);
	state.queue_count = service->queue.count;
	state.queue_count_max_seen = service->queue.count_max_seen;
	state.buffer_count = service->buffer.count;
	state.log_count = service->logs.count;
	state.commands_done = service->commands_done;
	state.commands_failed = service->commands_failed;
	state.groups_committed = service->commits;
	state.reopened = service->reopened;
	state.checkpoints = service->checkpointer.count;
	state.checkpoints_busy = service->checkpointer.busy_count;
	state.stopped = service->stopped;
	pthread_mutex_unlock(&service->mutex);
	*ret_state = state;
}

static enum store_code vacuum_work(struct store *store, void *context, struct store_error *err)
{
	(void)context;
	return store_vacuum(store, err);
}

enum store_code store_service_vacuum(struct store_service *service, struct store_error *err)
{
	if (!service)
		return store_error_set(err, STORE_ERR_INVALID, 0, "the service is NULL");
	return store_service_run(service, vacuum_work, NULL, true, err);
}

/* ---- steps by hand ---- */

static enum store_code step_by_hand(struct store_service *service, enum store_part part,
				    size_t *ret_count, struct store_error *err)
{
	bool inside;

	if (!service)
		return store_error_set(err, STORE_ERR_INVALID, 0, "the service is NULL");
	if (!service->options.manual)
		return store_error_set(err, STORE_ERR_INVALID, 0,
				       "%.200s: the service's own threads do the steps",
				       service->path);
	pthread_mutex_lock(&service->mutex);
	inside = store_service_is_writer(service);
	pthread_mutex_unlock(&service->mutex);
	if (inside)
		return store_error_set(err, STORE_ERR_INVALID, 0,
				       "%.200s: a step inside of work or done", service->path);
	return part_step(service, part, ret_count, err);
}

enum store_code store_service_writer_step(struct store_service *service, size_t *ret_count,
					  struct store_error *err)
{
	return step_by_hand(service, STORE_PART_WRITER, ret_count, err);
}

enum store_code store_service_checkpoint_step(struct store_service *service, size_t *ret_count,
					      struct store_error *err)
{
	return step_by_hand(service, STORE_PART_CHECKPOINTER, ret_count, err);
}

enum store_code store_service_flush_step(struct store_service *service, size_t *ret_count,
					 struct store_error *err)
{
	return step_by_hand(service, STORE_PART_FLUSHER, ret_count, err);
}

enum store_code store_service_log_step(struct store_service *service, size_t *ret_count,
				       struct store_error *err)
{
	return step_by_hand(service, STORE_PART_LOGGER, ret_count, err);
}
