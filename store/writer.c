/*
 * writer.c: the one thread that writes. A step takes what waits, up to group_count_max commands,
 * and settles each of them; only then are the results delivered, in order.
 *
 *   taken ──> BEGIN; SAVEPOINT, work, RELEASE; …; COMMIT ──> all settled: OK, or its own error
 *                │                          │       │
 *                │                          │       ├─ outcome unknown: those that had succeeded
 *                │                          │       │  are settled (indeterminate), the store is
 *                │                          │       │  opened again, the others run again
 *                │                          │       └─ refused (a deferred constraint): each alone
 *                │                          ├─ I/O error: that command is settled, the store is
 *                │                          │  opened again, the others run again
 *                │                          └─ SQLite rolled all of it back (full, no memory,
 *                │                             interrupted): each runs again alone, also the one
 *                │                             that met it, for the neighbours may have been the
 *                │                             cause
 *                └─ busy, I/O error: tried again, with pauses, a bounded number of times
 *
 * A command's own error is only settled by the commit of its group: it may be about what a
 * neighbour wrote. "The event is in the store already" would be untrue if that neighbour's commit
 * then failed, so after a commit that failed these commands run again.
 *
 * Every round of the loop settles a command, uses up an attempt, or turns to running alone, which
 * it does once. So it ends.
 *
 * Opening again (D5): readers come back and are closed, the checkpointer's connection is closed,
 * then store_reopen(). A connection of this process that stayed open would keep the WAL's index in
 * shared memory, and SQLite would trust it instead of reading the WAL. Other processes may keep it;
 * then what store_reopen() writes and commits settles the matter alone.
 */
#include "store/service_internal.h"

/* splitmix64: https://prng.di.unimi.it/splitmix64.c */
static uint64_t random_next(struct store_service *service)
{
	uint64_t z = (service->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* The n-th pause of a series, n from 1. */
static void retry_pause(struct store_service *service, uint32_t n)
{
	const struct store_retry *retry = &service->options.retry;
	uint64_t delay_ms = retry->delay_first_ms;
	uint64_t half_ms;

	for (uint32_t i = 1; i < n && delay_ms < retry->delay_max_ms; i++)
		delay_ms *= 2;
	if (delay_ms > retry->delay_max_ms)
		delay_ms = retry->delay_max_ms;
	half_ms = delay_ms / 2;
	delay_ms = half_ms + random_next(service) % (delay_ms - half_ms + 1);
	store_service_sleep_ms(service, (uint32_t)delay_ms);
}

/* ---- opening again ---- */

static bool service_is_broken(struct store_service *service)
{
	bool broken;

	pthread_mutex_lock(&service->mutex);
	broken = service->broken;
	pthread_mutex_unlock(&service->mutex);
	return broken;
}

/* Whether another attempt can help: not when the file is not what it should be. */
static bool is_transient(enum store_code code)
{
	return code == STORE_ERR_BUSY || code == STORE_ERR_IO || code == STORE_ERR_FULL ||
	       code == STORE_ERR_CANNOT_OPEN || code == STORE_ERR_NO_MEMORY;
}

static enum store_code reopen_patiently(struct store_service *service, struct store_error *err)
{
	enum store_code code;

	for (uint32_t n = 1;; n++) {
		code = store_service_file_check(service, err);
		if (code == STORE_OK)
			code = store_reopen(service->writer, err);
		if (!is_transient(code) || n > service->options.retry.count_max)
			return code;
		retry_pause(service, n);
	}
}

static enum store_code service_reopen(struct store_service *service, struct store_error *err)
{
	const int wait_ms = service->options.manual ? 0 : service->options.reader_timeout_ms;
	uint64_t broken_count = 0;
	enum store_code code;

	code = store_pool_pause(service, wait_ms, err);
	if (code == STORE_OK) {
		store_checkpointer_disconnect(service);
		pthread_mutex_lock(&service->mutex);
		broken_count = service->broken_count;
		pthread_mutex_unlock(&service->mutex);
		code = reopen_patiently(service, err);
	}
	pthread_mutex_lock(&service->mutex);
	service->stopped = code != STORE_OK;
	if (code == STORE_OK) {
		service->reopened++;
		if (service->broken_count == broken_count)
			service->broken = false;
	}
	pthread_mutex_unlock(&service->mutex);
	store_pool_resume(service, code != STORE_OK);
	return code;
}

/* ---- transactions ---- */

static void settle(struct store_taken *taken, enum store_code code, const struct store_error *err)
{
	taken->settled = true;
	taken->code = code;
	if (err)
		taken->err = *err;
}

static void settle_all(struct store_taken *group, size_t count, enum store_code code,
		       const struct store_error *err)
{
	for (size_t i = 0; i < count; i++) {
		if (!group[i].settled)
			settle(&group[i], code, err);
	}
}

/* A work may fail without saying why. */
static void error_complete(struct store_service *service, struct store_taken *taken)
{
	if (taken->code != STORE_OK && taken->err.code != taken->code)
		store_error_at(&taken->err, service->writer, taken->code, 0, "%s",
			       store_code_text(taken->code));
}

static void command_run(struct store_service *service, struct store_taken *taken)
{
	const struct store_command *command = &taken->queued.command;

	taken->err = (struct store_error){.index = STORE_INDEX_NONE};
	if (taken->queued.alone) {
		taken->code = command->work(service->writer, command->context, &taken->err);
	} else {
		taken->code = store_begin(service->writer, &taken->err);
		if (taken->code == STORE_OK) {
			taken->code = command->work(service->writer, command->context, &taken->err);
			taken->code = store_finish_work(service->writer, taken->code, &taken->err);
		}
	}
	error_complete(service, taken);
}

/* Whether the open transaction is over, by no act of the writer's. */
static bool transaction_is_lost(const struct store *store)
{
	return store->stopped_by != 0 || store->rolled_back_by != 0 ||
	       sqlite3_get_autocommit(store->db);
}

/* After a transaction, however it ended. */
static void stop_notice(struct store_service *service, const struct store_error *err)
{
	if (service->writer->stopped_by != 0)
		store_service_broken(service, err);
}

static void commit_note(struct store_service *service)
{
	sqlite3_file *wal = NULL;
	sqlite3_int64 size_bytes = 0;

	if (sqlite3_file_control(service->writer->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal) !=
		SQLITE_OK ||
	    !wal || !wal->pMethods || wal->pMethods->xFileSize(wal, &size_bytes) != SQLITE_OK)
		size_bytes = 0;
	pthread_mutex_lock(&service->mutex);
	service->commits++;
	service->last_commit_ns = store_service_now_ns(service);
	service->wal_bytes = (uint64_t)size_bytes;
	store_service_wake(service, STORE_PART_CHECKPOINTER);
	pthread_mutex_unlock(&service->mutex);
}

/* What one attempt to run commands together has come to. */
enum outcome {
	OUTCOME_SETTLED, /* at least one command is settled */
	OUTCOME_RETRY,	 /* none is; the reason passes */
	OUTCOME_APART,	 /* none is; they have to run one by one */
};

/* The transaction was lost while `culprit` ran. */
static enum outcome lost_settle(struct store_service *service, struct store_taken *culprit,
				size_t unsettled_count, struct store_error *ret_err)
{
	struct store *store = service->writer;
	const int reason = store->stopped_by != 0 ? store->stopped_by : store->rolled_back_by;

	/* A work that hides the error gets it none the less: nothing of it is left. */
	if (culprit->code == STORE_OK)
		culprit->code = store_error_at(
		    &culprit->err, store,
		    reason != 0 ? store_code_from_sqlite(reason) : STORE_ERR_INVALID, reason,
		    "the command's transaction was rolled back while it ran");
	*ret_err = culprit->err;
	store_rollback(store, culprit->code);
	stop_notice(service, ret_err);
	if (store->stopped_by == 0 && unsettled_count > 1)
		return OUTCOME_APART;
	culprit->settled = true;
	return OUTCOME_SETTLED;
}

static enum outcome commit_settle(struct store_service *service, struct store_taken *group,
				  size_t count, size_t unsettled_count, struct store_error *ret_err)
{
	enum store_code code = store_commit(service->writer, ret_err);

	if (code == STORE_OK) {
		commit_note(service);
		/* The commit stands, but a checkpoint of SQLite's own behind it may have failed. */
		if (store_check_running(service->writer, ret_err) != STORE_OK)
			stop_notice(service, ret_err);
		for (size_t i = 0; i < count; i++)
			group[i].settled = true;
		return OUTCOME_SETTLED;
	}
	stop_notice(service, ret_err);
	if (service->writer->stopped_by != 0) {
		for (size_t i = 0; i < count; i++) {
			if (!group[i].settled && group[i].code == STORE_OK)
				settle(&group[i], code, ret_err);
		}
		return OUTCOME_SETTLED;
	}
	if (code == STORE_ERR_BUSY)
		return OUTCOME_RETRY;
	if (unsettled_count > 1)
		return OUTCOME_APART;
	settle_all(group, count, code, ret_err);
	return OUTCOME_SETTLED;
}

/* All have failed, each for a reason of its own: there is nothing to commit. */
static enum outcome nothing_settle(struct store_service *service, struct store_taken *group,
				   size_t count, struct store_error *ret_err)
{
	store_rollback(service->writer, STORE_ERR_CANCELLED);
	if (service->writer->stopped_by != 0) {
		store_error_set_sqlite(ret_err, service->writer->db, service->writer->stopped_by,
				       "cannot roll back");
		stop_notice(service, ret_err);
	}
	for (size_t i = 0; i < count; i++)
		group[i].settled = true;
	return OUTCOME_SETTLED;
}

/* Runs those that are not settled in one transaction. */
static enum outcome transaction_run(struct store_service *service, struct store_taken *group,
				    size_t count, struct store_error *ret_err)
{
	struct store *store = service->writer;
	size_t unsettled_count = 0;
	bool any_succeeded = false;
	enum store_code code;

	for (size_t i = 0; i < count; i++)
		unsettled_count += !group[i].settled;
	code = store_begin(store, ret_err);
	if (code == STORE_ERR_IO || code == STORE_ERR_STOPPED)
		store_service_broken(service, ret_err);
	if (code == STORE_ERR_BUSY || code == STORE_ERR_IO || code == STORE_ERR_STOPPED)
		return OUTCOME_RETRY;
	if (code != STORE_OK) {
		stop_notice(service, ret_err);
		settle_all(group, count, code, ret_err);
		return OUTCOME_SETTLED;
	}
	for (size_t i = 0; i < count; i++) {
		if (group[i].settled)
			continue;
		command_run(service, &group[i]);
		if (transaction_is_lost(store))
			return lost_settle(service, &group[i], unsettled_count, ret_err);
		any_succeeded |= group[i].code == STORE_OK;
	}
	if (!any_succeeded)
		return nothing_settle(service, group, count, ret_err);
	return commit_settle(service, group, count, unsettled_count, ret_err);
}

/* A command that stands outside of transactions. */
static enum outcome alone_run(struct store_service *service, struct store_taken *taken,
			      struct store_error *ret_err)
{
	command_run(service, taken);
	*ret_err = taken->err;
	stop_notice(service, ret_err);
	taken->settled = true;
	return OUTCOME_SETTLED;
}

/*
 * A file that was renamed, removed or replaced under its name: what is written to it from now on
 * would be acknowledged and not be found (D5). The check costs one stat().
 */
static void file_notice(struct store_service *service)
{
	struct store_error err;
	int moved = 0;

	if (sqlite3_file_control(service->writer->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) !=
		SQLITE_OK ||
	    !moved)
		return;
	store_error_at(&err, service->writer, STORE_ERR_CANNOT_OPEN, 0,
		       "the file was moved, removed or replaced while the service had it open");
	store_service_broken(service, &err);
}

/* Settles every command of the group; returns the first error that was not a command's own. */
static enum store_code group_settle(struct store_service *service, struct store_taken *group,
				    size_t count, struct store_error *ret_err)
{
	enum store_code report = STORE_OK;
	uint32_t attempts = 0;
	bool apart = false;

	for (size_t i = 0; i < count;) {
		struct store_error err = {.index = STORE_INDEX_NONE};
		enum outcome outcome;
		enum store_code code;

		if (group[i].settled) {
			i++;
			continue;
		}
		if (!service_is_broken(service))
			file_notice(service);
		code = service_is_broken(service) ? service_reopen(service, &err) : STORE_OK;
		if (code != STORE_OK) {
			settle_all(group + i, count - i, code, &err);
			outcome = OUTCOME_SETTLED;
		} else if (group[i].queued.alone) {
			outcome = alone_run(service, &group[i], &err);
		} else {
			outcome = transaction_run(service, group + i, apart ? 1 : count - i, &err);
		}
		if (err.code != STORE_OK && report == STORE_OK) {
			report = err.code;
			*ret_err = err;
		}
		if (outcome == OUTCOME_APART)
			apart = true;
		if (outcome != OUTCOME_RETRY) {
			attempts = 0;
			continue;
		}
		/* Whoever is behind has waited as long. */
		if (++attempts > service->options.retry.count_max)
			settle_all(group + i, count - i, err.code, &err);
		else
			retry_pause(service, attempts);
	}
	return report;
}

/* ---- the step ---- */

/* Takes the next group off the queue; a command that runs alone is one by itself. */
static size_t group_take(struct store_service *service)
{
	struct store_queue *queue = &service->queue;
	size_t count = 0;

	pthread_mutex_lock(&service->mutex);
	service->stepping = true;
	service->writer_id = pthread_self();
	store_buffer_move(service);
	while (queue->count > 0 && count < service->options.group_count_max) {
		const struct store_queued *next = &queue->entries[queue->first];

		if (next->alone && count > 0)
			break;
		service->group[count++] = (struct store_taken){.queued = *next};
		queue->first = (queue->first + 1) % queue->count_max;
		queue->count--;
		if (service->group[0].queued.alone)
			break;
	}
	if (count > 0) {
		store_buffer_move(service);
		pthread_cond_broadcast(&service->room);
	}
	pthread_mutex_unlock(&service->mutex);
	return count;
}

static void group_deliver(struct store_service *service, const struct store_taken *group,
			  size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct store_command *command = &group[i].queued.command;

		pthread_mutex_lock(&service->mutex);
		service->commands_done++;
		service->commands_failed += group[i].code != STORE_OK;
		pthread_mutex_unlock(&service->mutex);
		if (command->done)
			command->done(command->context, group[i].code,
				      group[i].code == STORE_OK ? NULL : &group[i].err);
	}
}

int64_t store_writer_due_ns(struct store_service *service)
{
	if (service->queue.count > 0 || service->buffer.due_count > 0 ||
	    (service->broken && !service->stopped))
		return 0;
	return STORE_DUE_NEVER;
}

enum store_code store_writer_step(struct store_service *service, size_t *ret_count,
				  struct store_error *err)
{
	struct store_error first = {.index = STORE_INDEX_NONE};
	enum store_code code = STORE_OK;
	bool try_again;
	size_t count;

	count = group_take(service);
	if (count == 0) {
		/* Broken with nothing to do: one attempt now, the next when there is work. */
		pthread_mutex_lock(&service->mutex);
		try_again = service->broken && !service->stopped;
		pthread_mutex_unlock(&service->mutex);
		if (try_again)
			code = service_reopen(service, &first);
	} else {
		code = group_settle(service, service->group, count, &first);
		group_deliver(service, service->group, count);
	}
	pthread_mutex_lock(&service->mutex);
	service->stepping = false;
	pthread_mutex_unlock(&service->mutex);
	if (code != STORE_OK && err)
		*err = first;
	if (ret_count)
		*ret_count = count;
	return code;
}
