/*
 * pool.c: read-only stores that threads take in turn and give back.
 *
 *   slot:  empty ──take: open──> taken ──give──> idle ──take: check──> taken
 *            ^                     │ broken        │ pause: close
 *            └─────────────────────┴───────────────┘
 *
 * A slot is marked as taken before its connection is opened or checked, which happens outside of
 * the lock. A reader that comes back is cleaned: its cursors are orphaned and its statements reset,
 * so that no snapshot stays behind, which would keep the WAL from being reset. What cannot be
 * cleaned (a transaction that the caller has left open) is closed.
 *
 * While the writer opens the store again, the pool is paused: no connection of this process may
 * stay open then (writer.c).
 */
#include <inttypes.h>
#include <stdlib.h>

#include "store/service_internal.h"

enum store_code store_pool_init(struct store_service *service, struct store_error *err)
{
	struct store_pool *pool = &service->pool;

	pool->count = service->options.reader_count;
	pool->slots = calloc(pool->count, sizeof(*pool->slots));
	if (!pool->slots)
		return store_error_set(err, STORE_ERR_NO_MEMORY, 0,
				       "%.200s: no memory for %u readers", service->path,
				       (unsigned)pool->count);
	return STORE_OK;
}

/* Closes what is idle. With the mutex held: closing a reader waits for nobody. */
static void idle_close(struct store_pool *pool)
{
	for (uint32_t i = 0; i < pool->count; i++) {
		struct store_reader_slot *slot = &pool->slots[i];

		if (!slot->reader || slot->taken)
			continue;
		store_close(slot->reader);
		slot->reader = NULL;
		pool->open_count--;
	}
}

uint32_t store_pool_release(struct store_service *service)
{
	struct store_pool *pool = &service->pool;
	const uint32_t taken_count = pool->taken_count;

	for (uint32_t i = 0; pool->slots && i < pool->count; i++)
		store_close(pool->slots[i].reader);
	free(pool->slots);
	pool->slots = NULL;
	pool->open_count = 0;
	pool->taken_count = 0;
	return taken_count;
}

enum store_code store_pool_pause(struct store_service *service, int wait_ms,
				 struct store_error *err)
{
	struct store_pool *pool = &service->pool;
	const int64_t until_ns =
	    store_service_now_ns(service) + (int64_t)(wait_ms > 0 ? wait_ms : 0) * STORE_NS_PER_MS;
	enum store_code code = STORE_OK;

	pthread_mutex_lock(&pool->mutex);
	pool->paused = true;
	idle_close(pool);
	while (pool->taken_count > 0 && wait_ms > 0) {
		const int64_t left_ns = until_ns - store_service_now_ns(service);

		if (left_ns <= 0)
			break;
		store_service_wait(service, &pool->given, &pool->mutex, left_ns);
	}
	idle_close(pool);
	if (pool->taken_count > 0)
		code = store_error_set(err, STORE_ERR_STOPPED, 0,
				       "%.200s: after an error the store cannot be opened again "
				       "before its readers have come back; %u are out",
				       service->path, (unsigned)pool->taken_count);
	pthread_mutex_unlock(&pool->mutex);
	return code;
}

void store_pool_resume(struct store_service *service, bool stopped)
{
	struct store_pool *pool = &service->pool;

	pthread_mutex_lock(&pool->mutex);
	pool->paused = stopped;
	pool->stopped = stopped;
	pthread_cond_broadcast(&pool->given);
	pthread_mutex_unlock(&pool->mutex);
}

void store_pool_counts(struct store_service *service, uint32_t *ret_open, uint32_t *ret_taken,
		       uint64_t *ret_replaced)
{
	struct store_pool *pool = &service->pool;

	pthread_mutex_lock(&pool->mutex);
	*ret_open = pool->open_count;
	*ret_taken = pool->taken_count;
	*ret_replaced = pool->replaced_count;
	pthread_mutex_unlock(&pool->mutex);
}

/* The next free slot in turn, or NULL. */
static struct store_reader_slot *slot_find(struct store_pool *pool)
{
	for (uint32_t i = 0; i < pool->count; i++) {
		const uint32_t at = (pool->next + i) % pool->count;

		if (!pool->slots[at].taken) {
			pool->next = (at + 1) % pool->count;
			return &pool->slots[at];
		}
	}
	return NULL;
}

static enum store_code exhausted(struct store_service *service, struct store_error *err)
{
	const struct store_pool *pool = &service->pool;
	const int timeout_ms = service->options.reader_timeout_ms;

	if (pool->paused)
		return store_error_set(err, STORE_ERR_POOL_EXHAUSTED, 0,
				       "%.200s: no reader within %d ms: the store is being opened "
				       "again after an error, %u of %u readers are out",
				       service->path, timeout_ms < 0 ? 0 : timeout_ms,
				       (unsigned)pool->taken_count, (unsigned)pool->count);
	return store_error_set(err, STORE_ERR_POOL_EXHAUSTED, 0,
			       "%.200s: pool exhausted: %u of %u readers are out, and none came "
			       "back within %d ms",
			       service->path, (unsigned)pool->taken_count, (unsigned)pool->count,
			       timeout_ms < 0 ? 0 : timeout_ms);
}

/* Waits for a free slot and marks it as taken. */
static enum store_code slot_take(struct store_service *service, struct store_reader_slot **ret_slot,
				 struct store_error *err)
{
	struct store_pool *pool = &service->pool;
	const int timeout_ms = service->options.manual ? -1 : service->options.reader_timeout_ms;
	const int64_t since_ns = store_service_now_ns(service);
	enum store_code code = STORE_OK;

	pthread_mutex_lock(&pool->mutex);
	for (;;) {
		struct store_reader_slot *slot = pool->paused ? NULL : slot_find(pool);
		int64_t left_ns;

		if (slot) {
			slot->taken = true;
			pool->taken_count++;
			*ret_slot = slot;
			break;
		}
		if (pool->stopped) {
			code = store_error_set(err, STORE_ERR_STOPPED, 0,
					       "%.200s: the store could not be opened again after "
					       "an error; the next command that is submitted tries "
					       "it",
					       service->path);
			break;
		}
		left_ns = since_ns + timeout_ms * STORE_NS_PER_MS - store_service_now_ns(service);
		if (timeout_ms < 0 || left_ns <= 0) {
			code = exhausted(service, err);
			break;
		}
		store_service_wait(service, &pool->given, &pool->mutex, left_ns);
	}
	pthread_mutex_unlock(&pool->mutex);
	return code;
}

/* Puts a slot back, with what is open in it now. */
static void slot_give(struct store_pool *pool, struct store_reader_slot *slot)
{
	pthread_mutex_lock(&pool->mutex);
	slot->taken = false;
	pool->taken_count--;
	pthread_cond_broadcast(&pool->given);
	pthread_mutex_unlock(&pool->mutex);
}

/* Closes a taken slot's reader, which is of no use any more. The slot forgets it first: its address
 * may be that of another thread's reader as soon as it is free. */
static void slot_close(struct store_pool *pool, struct store_reader_slot *slot)
{
	struct store *reader = slot->reader;

	pthread_mutex_lock(&pool->mutex);
	slot->reader = NULL;
	pool->open_count--;
	pool->replaced_count++;
	pthread_mutex_unlock(&pool->mutex);
	store_close(reader);
}

/* Whether an idle reader still is one: it reads, its file is the one under the name, and the schema
 * is the one that it was opened for. */
static bool reader_is_sound(struct store *reader)
{
	sqlite3_stmt *stmt = NULL;
	int version = 0;
	int moved = 0;

	if (!reader->db || reader->stopped_by != 0 || !sqlite3_get_autocommit(reader->db))
		return false;
	if (sqlite3_file_control(reader->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
	    moved)
		return false;
	if (store_statement(reader, "SELECT max(version) FROM schema_version", &stmt, NULL) !=
	    STORE_OK)
		return false;
	if (sqlite3_step(stmt) == SQLITE_ROW)
		version = sqlite3_column_int(stmt, 0);
	return sqlite3_reset(stmt) == SQLITE_OK && version == reader->version;
}

enum store_code store_service_reader_take(struct store_service *service, struct store **ret_reader,
					  struct store_error *err)
{
	struct store_reader_slot *slot = NULL;
	struct store *reader = NULL;
	enum store_code code;

	if (!service || !ret_reader)
		return store_error_set(err, STORE_ERR_INVALID, 0,
				       "the service or ret_reader is NULL");
	code = slot_take(service, &slot, err);
	if (code != STORE_OK)
		return code;
	/* The slot is this thread's until it is given back. */
	if (slot->reader && !reader_is_sound(slot->reader))
		slot_close(&service->pool, slot);
	if (!slot->reader) {
		code = store_service_file_check(service, err);
		if (code == STORE_OK)
			code =
			    store_open_reader(service->path, &service->store_options, &reader, err);
		if (code != STORE_OK) {
			slot_give(&service->pool, slot);
			return code;
		}
		pthread_mutex_lock(&service->pool.mutex);
		slot->reader = reader;
		service->pool.open_count++;
		pthread_mutex_unlock(&service->pool.mutex);
	}
	*ret_reader = slot->reader;
	return STORE_OK;
}

/* Lets go of every snapshot; false if that cannot be done. */
static bool reader_clean(struct store *reader)
{
	store_cursors_orphan(reader);
	if (!reader->db)
		return false;
	for (sqlite3_stmt *stmt = sqlite3_next_stmt(reader->db, NULL); stmt;
	     stmt = sqlite3_next_stmt(reader->db, stmt)) {
		if (sqlite3_stmt_busy(stmt))
			sqlite3_reset(stmt);
	}
	return sqlite3_get_autocommit(reader->db) != 0;
}

void store_service_reader_give(struct store_service *service, struct store *reader)
{
	struct store_reader_slot *slot = NULL;

	if (!service || !reader)
		return;
	pthread_mutex_lock(&service->pool.mutex);
	for (uint32_t i = 0; i < service->pool.count && !slot; i++) {
		if (service->pool.slots[i].taken && service->pool.slots[i].reader == reader)
			slot = &service->pool.slots[i];
	}
	pthread_mutex_unlock(&service->pool.mutex);
	/* Not of this pool, or given back before. */
	if (!slot)
		return;
	if (!reader_clean(reader))
		slot_close(&service->pool, slot);
	slot_give(&service->pool, slot);
}
