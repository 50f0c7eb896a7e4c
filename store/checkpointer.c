/*
 * checkpointer.c: the checkpointer's step: look at the log, ask the strategies, checkpoint on a
 * connection of its own [B3].
 *
 * The writer commits meanwhile: a PASSIVE checkpoint only moves what was committed when it began,
 * and holds no lock that the writer needs. The other modes take the write lock, and keep it while
 * they wait for readers; so they wait for PATIENCE_MS and no longer, and after one that was kept
 * from finishing nothing is tried again for a pause.
 *
 * When it looks:
 *
 *   the log is empty, and nothing was committed since   when it is woken
 *   something was committed since the last look         LOOK_MS after that look
 *   otherwise                                           a pause after it: interval / 16, between
 *                                                       10 ms and 1 s
 *
 * I/O errors. A checkpoint must not move frames out of a log whose fsync has failed: the database
 * would then hold what is new, and after a power loss the part of the log that did reach the disk
 * would be replayed over it, page by page, old over new. Frames of a commit that fails are not in
 * the index, so that a checkpoint that runs at that moment does not see them; and none begins
 * before the store has been opened again, which writes the log anew (P10). The other way round, a
 * checkpoint that fails has the writer open the store again.
 */
#include <stdlib.h>

#include "store/service_internal.h"
#include "store/upkeep_internal.h"

#define LOOK_MS	     10
#define PATIENCE_MS  100
#define PAUSE_PART   16
#define PAUSE_MIN_MS 10
#define PAUSE_MAX_MS 1000

static int64_t pause_ns(const struct store_service *service)
{
	uint64_t pause_ms = service->options.interval_ms / PAUSE_PART;

	if (pause_ms < PAUSE_MIN_MS)
		pause_ms = PAUSE_MIN_MS;
	if (pause_ms > PAUSE_MAX_MS)
		pause_ms = PAUSE_MAX_MS;
	return (int64_t)pause_ms * STORE_NS_PER_MS;
}

enum store_code store_checkpointer_init(struct store_service *service, struct store_error *err)
{
	struct store_checkpointer *checkpointer = &service->checkpointer;

	(void)err;
	checkpointer->strategies = service->options.strategies;
	checkpointer->strategy_count = service->options.strategy_count;
	if (checkpointer->strategy_count == 0) {
		checkpointer->strategies = store_strategy_append_log();
		checkpointer->strategy_count = 1;
	}
	checkpointer->opened_ns = store_service_now_ns(service);
	checkpointer->completed_ns = checkpointer->opened_ns;
	checkpointer->not_before_ns = checkpointer->opened_ns;
	return STORE_OK;
}

/* Closes the connection. discard: without a checkpoint, which closing the last one would make. With
 * the checkpointer's mutex held. */
static void disconnect(struct store_checkpointer *checkpointer, bool discard)
{
	if (checkpointer->store && discard && checkpointer->store->stopped_by == 0)
		checkpointer->store->stopped_by = SQLITE_ABORT;
	store_close(checkpointer->store);
	checkpointer->store = NULL;
}

void store_checkpointer_release(struct store_service *service)
{
	disconnect(&service->checkpointer, service->broken);
}

void store_checkpointer_disconnect(struct store_service *service)
{
	struct store_checkpointer *checkpointer = &service->checkpointer;

	pthread_mutex_lock(&checkpointer->mutex);
	disconnect(checkpointer, true);
	pthread_mutex_unlock(&checkpointer->mutex);
}

int64_t store_checkpointer_due_ns(struct store_service *service)
{
	const struct store_checkpointer *checkpointer = &service->checkpointer;
	const int64_t now_ns = store_service_now_ns(service);
	int64_t at_ns;

	if (service->broken)
		return pause_ns(service);
	if (!checkpointer->looked)
		at_ns = checkpointer->not_before_ns;
	else if (checkpointer->commits_at_look != service->commits)
		at_ns = checkpointer->looked_ns + LOOK_MS * STORE_NS_PER_MS;
	else if (checkpointer->log_was_empty)
		return STORE_DUE_NEVER;
	else
		at_ns = checkpointer->looked_ns + pause_ns(service);
	if (at_ns < checkpointer->not_before_ns)
		at_ns = checkpointer->not_before_ns;
	return at_ns > now_ns ? at_ns - now_ns : 0;
}

static uint64_t ms_since(int64_t now_ns, int64_t then_ns)
{
	return now_ns > then_ns ? (uint64_t)(now_ns - then_ns) / (uint64_t)STORE_NS_PER_MS : 0;
}

/*
 * What the service knows of the log's state. False when there is to be no look now: the store is
 * being opened again, or the pause is not over.
 */
static bool state_of_service(struct store_service *service, struct store_wal_state *ret_state,
			     uint64_t *ret_commits)
{
	struct store_checkpointer *checkpointer = &service->checkpointer;
	const int64_t now_ns = store_service_now_ns(service);
	struct store_wal_state state = {
	    .wal_bytes_max = service->options.wal_bytes_max,
	    .interval_ms = service->options.interval_ms,
	};
	int64_t commit_ns;
	bool look;

	pthread_mutex_lock(&service->mutex);
	look = !service->broken && now_ns >= checkpointer->not_before_ns;
	if (look) {
		commit_ns =
		    service->commits > 0 ? service->last_commit_ns : checkpointer->opened_ns;
		state.since_checkpoint_ms = ms_since(now_ns, checkpointer->completed_ns);
		state.since_commit_ms = ms_since(now_ns, commit_ns);
		state.commits_since_checkpoint =
		    service->commits - checkpointer->commits_at_completed;
		state.queue_count = service->queue.count;
		state.last_was_incomplete = checkpointer->last_was_incomplete;
		*ret_commits = service->commits;
		checkpointer->commits_at_look = service->commits;
		checkpointer->looked_ns = now_ns;
		checkpointer->looked = true;
	}
	pthread_mutex_unlock(&service->mutex);
	*ret_state = state;
	return look;
}

static enum store_code connect(struct store_service *service, struct store_error *err)
{
	struct store_options options = service->store_options;

	enum store_code code;

	if (service->checkpointer.store)
		return STORE_OK;
	code = store_service_file_check(service, err);
	if (code != STORE_OK)
		return code;
	/* Opening takes the write lock if there is a log (P10). */
	options.busy_timeout_ms = service->options.manual ? -1 : PATIENCE_MS;
	return store_open(service->path, &options, &service->checkpointer.store, err);
}

/* One look, and what follows from it. *ret_done says whether there was a checkpoint. */
static enum store_code look(struct store_service *service, struct store_wal_state *state,
			    struct store_checkpoint_result *ret_result, bool *ret_done,
			    struct store_error *err)
{
	struct store_checkpointer *checkpointer = &service->checkpointer;
	enum store_checkpoint_mode mode = STORE_CHECKPOINT_PASSIVE;
	struct store_wal_look wal = {0};
	bool checkpoint = false;
	uint64_t replaced;
	enum store_code code;
	uint32_t open;

	code = connect(service, err);
	if (code == STORE_OK)
		code = store_wal_look(checkpointer->store, &wal, err);
	if (code != STORE_OK)
		return code;
	state->wal_bytes = wal.file_bytes;
	state->wal_bytes_used = wal.used_bytes;
	state->wal_bytes_waiting = wal.waiting_bytes;
	state->page_size_bytes = wal.page_size_bytes;
	if (wal.file_bytes == 0)
		return STORE_OK;
	store_pool_counts(service, &open, &state->readers_taken, &replaced);
	if (!store_strategy_choose(checkpointer->strategies, checkpointer->strategy_count, state,
				   &checkpoint, &mode) ||
	    !checkpoint)
		return STORE_OK;
	/* It would move nothing, and SQLite's WAL-reset bug needs a checkpoint that begins when
	 * another has moved everything (https://www.sqlite.org/wal.html#walresetbug). */
	if (mode == STORE_CHECKPOINT_PASSIVE && wal.waiting_bytes == 0)
		return STORE_OK;
	code = store_checkpoint_patiently(
	    checkpointer->store, mode, service->options.manual ? 0 : PATIENCE_MS, ret_result, err);
	*ret_done = code == STORE_OK;
	return code;
}

enum store_code store_checkpointer_step(struct store_service *service, size_t *ret_count,
					struct store_error *err)
{
	struct store_checkpointer *checkpointer = &service->checkpointer;
	struct store_checkpoint_result result = {0};
	struct store_error failure = {.index = STORE_INDEX_NONE};
	struct store_wal_state state;
	enum store_code code = STORE_OK;
	uint64_t commits = 0;
	bool done = false;
	int64_t now_ns;

	pthread_mutex_lock(&checkpointer->mutex);
	if (!state_of_service(service, &state, &commits))
		goto out;
	code = look(service, &state, &result, &done, &failure);
	if (code != STORE_OK && err)
		*err = failure;
	if (code == STORE_ERR_IO)
		disconnect(checkpointer, true);

	now_ns = store_service_now_ns(service);
	pthread_mutex_lock(&service->mutex);
	checkpointer->log_was_empty = code == STORE_OK && state.wal_bytes == 0;
	if (done) {
		checkpointer->count++;
		checkpointer->last_was_incomplete = result.busy;
		if (result.busy)
			checkpointer->busy_count++;
	}
	if (done && !result.busy) {
		checkpointer->completed_ns = now_ns;
		checkpointer->commits_at_completed = commits;
	}
	if (code != STORE_OK || result.busy)
		checkpointer->not_before_ns = now_ns + pause_ns(service);
	pthread_mutex_unlock(&service->mutex);

	if (code == STORE_ERR_IO)
		store_service_broken(service, &failure);
out:
	pthread_mutex_unlock(&checkpointer->mutex);
	if (ret_count)
		*ret_count = done ? 1 : 0;
	return code;
}
