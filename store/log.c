/*
 * log.c: logs of steps, as files first and then as rows, off the caller's thread [D3].
 *
 *   store_service_log ─> queue ─> step, up to LOG_GROUP_COUNT_MAX logs together:
 *
 *     number ─> create name.part ─> write ─> sync ─> close      each log, one by one
 *                                                     │
 *                                        rename to name          all that got so far
 *                                                     │
 *                                        sync of the folder      once
 *                                                     │
 *                                        the row, a command      each log, to the writer
 *                                                     │
 *                                        done, by the writer ─> the file that is not needed any
 *                                                               more is removed by a later step
 *
 * Every crash leaves each step with its old row and its old file, or its new row and its new file:
 * no file is written over (workflow_log.c), the row comes after the sync of the folder, and a file
 * goes after the row that replaced its row is durable.
 *
 * What fails in the files is this log's result and nobody else's. Its command still goes through
 * the writer, which calls `done`; but it does nothing there and succeeds, because an I/O error of a
 * command would make the writer open the database again, which has nothing to do with it. A failed
 * call is not repeated, an fsync least of all: the next log of the step is a new file.
 *
 * Numbers are taken from the database in blocks, so that it is not one more commit for each step.
 *
 * It does not look for files that a crash has left without a row: the table of files has no
 * listing.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/service_internal.h"
#include "store/workflow_internal.h"

/* Logs that share a sync of the folder. */
#define LOG_GROUP_COUNT_MAX 64

/* Numbers taken at once. Those that are left at the end are never used. */
#define LOG_NUMBER_COUNT 1024

struct store_log {
	struct store_log *next;
	struct store_service *service;
	struct store_step_log row; /* file_name is "" before there could be a file */
	void *text;
	store_done *done;
	void *context;
	/* What became of the files. */
	enum store_code code;
	struct store_error err;
	/* What the row replaced. */
	char old[STORE_LOG_NAME_BYTES_MAX + 1];
	bool old_removable;
};

static void log_free(struct store_log *log)
{
	free(log->text);
	free(log);
}

/* ---- results ---- */

/* Runs again when the transaction was lost: the outputs are those of the last time. */
static enum store_code log_work(struct store *store, void *context, struct store_error *err)
{
	struct store_log *log = context;

	if (log->code != STORE_OK)
		return STORE_OK;
	log->row.written_us = store_now_us(&store->options);
	return store_step_log_put(store, &log->row, log->old, &log->old_removable, err);
}

/* With service->mutex held. */
static void old_push(struct store_service *service, const char *name)
{
	struct store_log_names *old = service->logs.old;

	if (old->count == STORE_LOG_OLD_COUNT_MAX)
		return;
	memcpy(old->names[old->count++], name, STORE_LOG_NAME_BYTES_MAX + 1);
	store_service_wake(service, STORE_PART_LOGGER);
}

static void log_done(void *context, enum store_code code, const struct store_error *err)
{
	struct store_log *log = context;
	struct store_service *service = log->service;
	const bool file_failed = log->code != STORE_OK;

	if (file_failed) {
		code = log->code;
		err = &log->err;
	}
	if (log->done)
		log->done(log->context, code, err);
	pthread_mutex_lock(&service->mutex);
	if (file_failed)
		service->commands_failed++;
	/* Where the commit is in doubt, the row may be there. */
	if (code == STORE_OK && log->old[0] != '\0' && log->old_removable)
		old_push(service, log->old);
	else if (code != STORE_OK && !file_failed && !err->indeterminate)
		old_push(service, log->row.file_name);
	pthread_mutex_unlock(&service->mutex);
	log_free(log);
}

/* ---- numbers ---- */

/* Somebody who waits for them. It lives on the stack of the step. */
struct numbering {
	struct store_service *service;
	bool look;
	bool is_there; /* guarded by service->mutex */
	enum store_code code;
	struct store_error err;
	int64_t first;
	struct store_log_names old;
};

static enum store_code numbering_work(struct store *store, void *context, struct store_error *err)
{
	struct numbering *numbering = context;
	enum store_code code;
	bool durable = false;

	numbering->old.count = 0;
	code = store_log_numbers_take(store, LOG_NUMBER_COUNT, &numbering->first, err);
	if (code == STORE_OK && numbering->look)
		code = store_commits_are_durable(store, &durable, err);
	if (code == STORE_OK && durable)
		code = store_log_old_list(store, &numbering->old, err);
	return code;
}

static void numbering_done(void *context, enum store_code code, const struct store_error *err)
{
	struct numbering *numbering = context;
	struct store_service *service = numbering->service;

	/* Signalled inside: once the mutex is free, the waiter may be gone. */
	pthread_mutex_lock(&service->mutex);
	numbering->code = code;
	if (err)
		numbering->err = *err;
	numbering->is_there = true;
	pthread_cond_signal(&service->logs.numbered);
	pthread_mutex_unlock(&service->mutex);
}

/* Takes a block. store_service_call() would refuse while the service is closing, when logs that
 * were accepted still wait for their numbers. */
static enum store_code numbers_take(struct store_service *service, struct store_error *err)
{
	struct store_logs *logs = &service->logs;
	struct numbering numbering = {
	    .service = service,
	    .look = !logs->looked,
	    .err = {.index = STORE_INDEX_NONE},
	};
	const struct store_command command = {numbering_work, numbering_done, &numbering};
	enum store_code code = store_service_put(service, &command, err);

	if (code != STORE_OK)
		return code;
	while (service->options.manual && !numbering.is_there)
		store_writer_step(service, NULL, NULL);
	pthread_mutex_lock(&service->mutex);
	while (!numbering.is_there)
		pthread_cond_wait(&logs->numbered, &service->mutex);
	for (size_t i = 0; i < numbering.old.count && numbering.code == STORE_OK; i++)
		old_push(service, numbering.old.names[i]);
	pthread_mutex_unlock(&service->mutex);
	if (numbering.code != STORE_OK) {
		if (err)
			*err = numbering.err;
		return numbering.code;
	}
	logs->looked = true;
	logs->number_next = numbering.first;
	logs->number_end = numbering.first + LOG_NUMBER_COUNT;
	return STORE_OK;
}

/* ---- files ---- */

/* This log has failed; what is there of it goes, if it can. */
static void log_fail(struct store_log *log, int number, const char *path, const char *what)
{
	const struct store_logs *logs = &log->service->logs;
	char *part = store_log_path(logs->folder, log->row.file_name, ".part");
	char *name = store_log_path(logs->folder, log->row.file_name, "");

	log->err.index = STORE_INDEX_NONE;
	log->code = store_error_set_file(&log->err, number, path, what);
	/* A rename that failed may have left either name. */
	if (part)
		logs->files->remove(logs->files->context, part);
	if (name)
		logs->files->remove(logs->files->context, name);
	free(part);
	free(name);
}

static void log_write_part(struct store_log *log, const char *part)
{
	const struct store_files *files = log->service->logs.files;
	const char *what = "cannot write";
	void *file = NULL;
	int number;
	int closed;

	number = files->create(files->context, part, &file);
	if (number != 0) {
		log_fail(log, number, part, "cannot create");
		return;
	}
	if (log->row.bytes > 0)
		number = files->write(files->context, file, log->text, (size_t)log->row.bytes);
	if (number == 0) {
		what = "cannot sync";
		number = files->sync(files->context, file);
	}
	closed = files->close(files->context, file);
	if (number == 0 && closed != 0) {
		what = "cannot close";
		number = closed;
	}
	if (number != 0)
		log_fail(log, number, part, what);
}

/* name.part, whole and durable. */
static void log_create(struct store_log *log)
{
	char *part = NULL;

	log->row.checksum = store_fnv(STORE_FNV_START, log->text, (size_t)log->row.bytes);
	if (store_log_name(log->row.file_name, log->row.step_id, log->service->logs.number_next++))
		part = store_log_path(log->service->logs.folder, log->row.file_name, ".part");
	if (!part) {
		log->code =
		    store_error_set(&log->err, STORE_ERR_NO_MEMORY, 0,
				    "no memory for the log of step %" PRId64, log->row.step_id);
		return;
	}
	log_write_part(log, part);
	free(part);
}

static void log_rename(struct store_log *log)
{
	const struct store_logs *logs = &log->service->logs;
	char *part = store_log_path(logs->folder, log->row.file_name, ".part");
	char *name = store_log_path(logs->folder, log->row.file_name, "");
	int number = ENOMEM;

	if (part && name)
		number = logs->files->rename(logs->files->context, part, name);
	if (number != 0)
		log_fail(log, number, part ? part : log->row.file_name, "cannot rename");
	free(part);
	free(name);
}

/* Every log of the group gets its file, or its reason why not. */
static void group_write(struct store_service *service, struct store_log *group)
{
	const struct store_logs *logs = &service->logs;
	bool any = false;
	int number;

	for (struct store_log *log = group; log; log = log->next)
		log_create(log);
	for (struct store_log *log = group; log; log = log->next) {
		if (log->code == STORE_OK)
			log_rename(log);
		any = any || log->code == STORE_OK;
	}
	if (!any)
		return;
	number = logs->files->sync_folder(logs->files->context, logs->folder);
	for (struct store_log *log = group; number != 0 && log; log = log->next) {
		if (log->code == STORE_OK)
			log_fail(log, number, logs->folder, "cannot sync the folder");
	}
}

/* ---- old files ---- */

static enum store_code forget_work(struct store *store, void *context, struct store_error *err)
{
	return store_log_old_forget(store, context, err);
}

/* What could not be forgotten is left to the next service, or to store_logs_sweep(). */
static void forget_done(void *context, enum store_code code, const struct store_error *err)
{
	(void)code;
	(void)err;
	free(context);
}

/* Removes what is not needed any more. Nobody waits for it, and nothing depends on it. */
static void old_remove(struct store_service *service)
{
	const struct store_files *files = service->logs.files;
	struct store_log_names *old = calloc(1, sizeof(*old));
	const struct store_command command = {forget_work, forget_done, old};
	bool gone = true;

	pthread_mutex_lock(&service->mutex);
	if (old)
		*old = *service->logs.old;
	service->logs.old->count = 0;
	pthread_mutex_unlock(&service->mutex);
	if (!old || old->count == 0) {
		free(old);
		return;
	}
	for (size_t i = 0; i < old->count; i++) {
		char *path = store_log_path(service->logs.folder, old->names[i], "");
		const int number = path ? files->remove(files->context, path) : ENOMEM;

		if (number != 0 && number != ENOENT)
			gone = false;
		free(path);
	}
	/* Otherwise a file could come back after its name has been forgotten. */
	if (gone)
		gone = files->sync_folder(files->context, service->logs.folder) == 0;
	if (!gone || store_service_put(service, &command, NULL) != STORE_OK)
		free(old);
}

/* ---- the step ---- */

int64_t store_logs_due_ns(struct store_service *service)
{
	const struct store_logs *logs = &service->logs;

	return logs->first || (logs->old && logs->old->count > 0) ? 0 : STORE_DUE_NEVER;
}

/* Takes the logs that have waited longest off the queue, as a list. */
static struct store_log *group_take(struct store_service *service, uint32_t *ret_count,
				    uint64_t *ret_bytes)
{
	struct store_logs *logs = &service->logs;
	struct store_log *group;
	struct store_log *last = NULL;

	pthread_mutex_lock(&service->mutex);
	group = logs->first;
	for (struct store_log *log = group; log && *ret_count < LOG_GROUP_COUNT_MAX;
	     log = log->next) {
		last = log;
		*ret_bytes += log->row.bytes;
		(*ret_count)++;
	}
	if (last) {
		logs->first = last->next;
		last->next = NULL;
		if (!logs->first)
			logs->last = NULL;
	}
	pthread_mutex_unlock(&service->mutex);
	return group;
}

/* Each log's command to the writer, which delivers the result and frees the log. Returns the first
 * error of the files. */
static enum store_code group_submit(struct store_service *service, struct store_log *group,
				    struct store_error *err)
{
	enum store_code code = STORE_OK;

	while (group) {
		struct store_log *log = group;
		const struct store_command command = {log_work, log_done, log};
		struct store_error refused = {.index = STORE_INDEX_NONE};
		enum store_code put;

		group = log->next;
		if (log->code != STORE_OK && code == STORE_OK) {
			code = log->code;
			if (err)
				*err = log->err;
		}
		put = store_service_put(service, &command, &refused);
		if (put != STORE_OK)
			log_done(log, put, &refused);
	}
	return code;
}

enum store_code store_logs_step(struct store_service *service, size_t *ret_count,
				struct store_error *err)
{
	struct store_logs *logs = &service->logs;
	struct store_error first = {.index = STORE_INDEX_NONE};
	enum store_code code = STORE_OK;
	struct store_log *group;
	uint64_t bytes = 0;
	uint32_t count = 0;

	if (!logs->folder) {
		if (ret_count)
			*ret_count = 0;
		return STORE_OK;
	}
	old_remove(service);
	group = group_take(service, &count, &bytes);
	if (group && logs->number_end - logs->number_next < (int64_t)count)
		code = numbers_take(service, &first);
	if (code != STORE_OK) {
		for (struct store_log *log = group; log; log = log->next) {
			log->code = code;
			log->err = first;
		}
	} else if (group) {
		group_write(service, group);
	}
	code = group_submit(service, group, &first);
	pthread_mutex_lock(&service->mutex);
	logs->count -= count;
	logs->bytes -= bytes;
	pthread_cond_broadcast(&service->room);
	pthread_mutex_unlock(&service->mutex);
	if (code != STORE_OK && err)
		*err = first;
	if (ret_count)
		*ret_count = count;
	return code;
}

/* ---- the queue ---- */

/* With the mutex held: waits until a log of that size fits, as far as that is allowed. */
static enum store_code room_make(struct store_service *service, size_t text_bytes,
				 struct store_error *err)
{
	struct store_logs *logs = &service->logs;

	for (;;) {
		if (service->closing)
			return store_error_set(err, STORE_ERR_CLOSED, 0,
					       "%.200s: the service is being closed",
					       service->path);
		if (logs->count < STORE_LOG_QUEUE_COUNT_MAX &&
		    text_bytes <= STORE_LOG_QUEUE_BYTES_MAX - logs->bytes)
			return STORE_OK;
		/* Logs end at the writer: it would wait for itself. */
		if (service->options.when_full == STORE_WHEN_FULL_FAIL ||
		    store_service_is_writer(service))
			return store_error_set(err, STORE_ERR_QUEUE_FULL, 0,
					       "%.200s: %u logs of %" PRIu64
					       " bytes wait to be written",
					       service->path, (unsigned)logs->count, logs->bytes);
		if (service->options.manual) {
			pthread_mutex_unlock(&service->mutex);
			store_logs_step(service, NULL, NULL);
			pthread_mutex_lock(&service->mutex);
		} else {
			pthread_cond_wait(&service->room, &service->mutex);
		}
	}
}

static enum store_code queue_put(struct store_service *service, struct store_log *log,
				 struct store_error *err)
{
	struct store_logs *logs = &service->logs;
	enum store_code code;

	pthread_mutex_lock(&service->mutex);
	code = room_make(service, (size_t)log->row.bytes, err);
	if (code == STORE_OK) {
		if (logs->last)
			logs->last->next = log;
		else
			logs->first = log;
		logs->last = log;
		logs->count++;
		logs->bytes += log->row.bytes;
		store_service_wake(service, STORE_PART_LOGGER);
	}
	pthread_mutex_unlock(&service->mutex);
	return code;
}

enum store_code store_service_log(struct store_service *service, int64_t step_id, const void *text,
				  size_t text_bytes, store_done *done, void *context,
				  struct store_error *err)
{
	struct store_log *log;
	enum store_code code;

	if (!service || (!text && text_bytes > 0))
		return store_error_set(err, STORE_ERR_INVALID, 0, "the service or text is NULL");
	if (!service->logs.folder)
		return store_error_set(err, STORE_ERR_INVALID, 0,
				       "%.200s: the service was opened without a log_folder",
				       service->path);
	if (text_bytes > STORE_LOG_BYTES_MAX)
		return store_error_set(err, STORE_ERR_INVALID, 0,
				       "%.200s: a log of %zu bytes; the most is %d", service->path,
				       text_bytes, STORE_LOG_BYTES_MAX);
	log = calloc(1, sizeof(*log));
	if (log)
		log->text = malloc(text_bytes + 1);
	if (!log || !log->text) {
		free(log);
		return store_error_set(err, STORE_ERR_NO_MEMORY, 0,
				       "%.200s: no memory for a log of %zu bytes", service->path,
				       text_bytes);
	}
	if (text_bytes > 0)
		memcpy(log->text, text, text_bytes);
	log->service = service;
	log->row.step_id = step_id;
	log->row.bytes = text_bytes;
	log->done = done;
	log->context = context;
	log->err.index = STORE_INDEX_NONE;
	code = queue_put(service, log, err);
	if (code != STORE_OK)
		log_free(log);
	return code;
}

/* ---- life ---- */

enum store_code store_logs_init(struct store_service *service, struct store_error *err)
{
	struct store_logs *logs = &service->logs;
	const char *folder = service->options.log_folder;
	enum store_code code = STORE_OK;
	int number;

	if (!folder)
		return STORE_OK;
	if (folder[0] == '\0')
		return store_error_set(err, STORE_ERR_INVALID, 0, "%.200s: log_folder is empty",
				       service->path);
	code = store_workflow_ready(service->writer, STORE_WORKFLOW_VERSION_LOGS, err);
	if (code != STORE_OK)
		return code;
	logs->files = service->store_options.files;
	if (!logs->files)
		logs->files = store_files_posix();
	/* Tells whether it is there, before somebody's log is lost to it. */
	number = logs->files->sync_folder(logs->files->context, folder);
	if (number != 0)
		return store_error_set_file(err, number, folder,
					    number == ENOENT
						? "the folder of the logs is not there, and "
						  "is not made by the store"
						: "cannot sync the folder of the logs");
	logs->old = calloc(1, sizeof(*logs->old));
	logs->folder = strdup(folder);
	if (!logs->old || !logs->folder || store_condition_init(&logs->numbered) != 0) {
		free(logs->folder);
		free(logs->old);
		logs->folder = NULL;
		logs->old = NULL;
		return store_error_set(err, STORE_ERR_NO_MEMORY, 0, "%.200s: no memory for logs",
				       service->path);
	}
	return STORE_OK;
}

void store_logs_release(struct store_service *service)
{
	struct store_logs *logs = &service->logs;

	if (!logs->folder)
		return;
	pthread_cond_destroy(&logs->numbered);
	free(logs->old);
	free(logs->folder);
	logs->folder = NULL;
	logs->old = NULL;
}
