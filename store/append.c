/*
 * append.c: events into the store, all of a batch or nothing.
 *
 * One transaction per call: BEGIN IMMEDIATE, so that everything read afterwards (the next seq, each
 * server's last position) stays true until COMMIT, and no lock has to be upgraded half way. The
 * seqs are handed out here and not by SQLite, so that a batch can say before its first row which
 * seqs it consists of.
 *
 * It does not wait for others' transactions beyond the busy timeout, and does not retry.
 */
#include <inttypes.h>
#include <string.h>

#include "store/internal.h"

static enum store_code offender(struct store_error *err, enum store_code code, int sqlite_code,
				const struct store_event *event, size_t index)
{
	store_error_set(err, code, sqlite_code,
			"event %zu of the batch ('%s', position %" PRId64 " of '%s'): %s", index,
			event->event_id, event->position, event->server_id, store_code_text(code));
	if (err)
		err->index = index;
	return code;
}

/* The one number that a prepared query returns. */
static int query_number(sqlite3_stmt *stmt, int64_t *ret_number)
{
	int rc = sqlite3_step(stmt);

	if (rc == SQLITE_ROW) {
		*ret_number = sqlite3_column_int64(stmt, 0);
		rc = SQLITE_OK;
	}
	sqlite3_reset(stmt);
	return rc;
}

static int bind_text(sqlite3_stmt *stmt, int parameter, const char *text)
{
	return sqlite3_bind_text(stmt, parameter, text, -1, SQLITE_STATIC);
}

/* An open handle may have been overtaken: its statements no longer fill every column then. */
static enum store_code version_check(struct store *store, struct store_error *err)
{
	int64_t version = 0;
	int rc = query_number(store->version_max, &version);

	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, store->db, rc, "cannot read schema_version");
	if (version > store->version)
		return store_error_set(err, STORE_ERR_SCHEMA_NEWER, 0,
				       "another program has migrated the store to version %" PRId64
				       ", this one knows %d",
				       version, store->version);
	return STORE_OK;
}

/* Tells a repeated event from one that comes too late. */
static enum store_code order_complaint(struct store *store, const struct store_event *event,
				       size_t index, struct store_error *err)
{
	int64_t one = 0;
	int rc;

	rc = bind_text(store->find, 1, event->event_id);
	if (rc == SQLITE_OK)
		rc = bind_text(store->find, 2, event->server_id);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(store->find, 3, event->position);
	if (rc == SQLITE_OK)
		rc = query_number(store->find, &one);
	sqlite3_clear_bindings(store->find);
	if (rc == SQLITE_OK)
		return offender(err, STORE_ERR_DUPLICATE, 0, event, index);
	if (rc == SQLITE_DONE)
		return offender(err, STORE_ERR_ORDER, 0, event, index);
	return store_error_set_sqlite(err, store->db, rc, "event %zu of the batch", index);
}

static enum store_code order_check(struct store *store, const struct store_event *events,
				   size_t index, struct store_error *err)
{
	const struct store_event *event = &events[index];
	int64_t position_last = -1;
	int rc;

	if (index > 0 && strcmp(events[index - 1].server_id, event->server_id) == 0) {
		position_last = events[index - 1].position;
	} else {
		rc = bind_text(store->position_last, 1, event->server_id);
		if (rc == SQLITE_OK)
			rc = query_number(store->position_last, &position_last);
		sqlite3_clear_bindings(store->position_last);
		if (rc != SQLITE_OK)
			return store_error_set_sqlite(err, store->db, rc, "event %zu of the batch",
						      index);
	}
	if (event->position > position_last)
		return STORE_OK;
	return order_complaint(store, event, index, err);
}

static int insert_bind(sqlite3_stmt *insert, const struct store_event *event, int64_t seq,
		       int64_t batch_id, int64_t batch_count)
{
	/* A NULL pointer would bind NULL, which is not an empty payload. */
	const void *payload = event->payload_bytes > 0 ? event->payload : "";
	int rc;

	rc = sqlite3_bind_int64(insert, 1, seq);
	if (rc == SQLITE_OK)
		rc = bind_text(insert, 2, event->event_id);
	if (rc == SQLITE_OK)
		rc = bind_text(insert, 3, event->server_id);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(insert, 4, event->position);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(insert, 5, event->time_us);
	if (rc == SQLITE_OK)
		rc = bind_text(insert, 6, event->kind);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_blob64(insert, 7, payload, event->payload_bytes, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(insert, 8, (int64_t)store_event_checksum(event));
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(insert, 9, batch_id);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(insert, 10, batch_count);
	return rc;
}

/* The events, inside the transaction that the caller has opened. */
static enum store_code batch_insert(struct store *store, const struct store_event *events,
				    size_t event_count, struct store_error *err)
{
	enum store_code code;
	int64_t batch_id = 0;
	int rc;

	rc = query_number(store->seq_next, &batch_id);
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, store->db, rc, "cannot read the last seq");
	for (size_t i = 0; i < event_count; i++) {
		code = order_check(store, events, i, err);
		if (code != STORE_OK)
			return code;
		rc = insert_bind(store->insert, &events[i], batch_id + (int64_t)i, batch_id,
				 (int64_t)event_count);
		if (rc == SQLITE_OK)
			rc = store_run(store->insert);
		/* Positions are known to be free, so it can only be the id that is taken. */
		if (rc == SQLITE_CONSTRAINT_UNIQUE)
			return offender(err, STORE_ERR_DUPLICATE, rc, &events[i], i);
		if (rc != SQLITE_OK) {
			code =
			    store_error_set_sqlite(err, store->db, rc, "event %zu of the batch", i);
			if (err)
				err->index = i;
			return code;
		}
	}
	return STORE_OK;
}

enum store_code store_event(struct store *store, const struct store_event *event,
			    struct store_error *err)
{
	if (!event)
		return store_error_set(err, STORE_ERR_INVALID, 0, "the event is NULL");
	return store_events(store, event, 1, err);
}

enum store_code store_events(struct store *store, const struct store_event *events,
			     size_t event_count, struct store_error *err)
{
	enum store_code code;

	if (!store)
		return store_error_set(err, STORE_ERR_INVALID, 0, "the store is NULL");
	if (!events && event_count > 0)
		return store_error_set(err, STORE_ERR_INVALID, 0, "a batch of %zu events is NULL",
				       event_count);
	if (event_count > STORE_BATCH_COUNT_MAX)
		return store_error_set(err, STORE_ERR_INVALID, 0,
				       "a batch of %zu events; the most is %d", event_count,
				       STORE_BATCH_COUNT_MAX);
	code = store_check_running(store, err);
	if (code != STORE_OK)
		return code;
	for (size_t i = 0; i < event_count; i++) {
		code = store_event_check(&events[i], i, err);
		if (code != STORE_OK)
			return code;
	}
	if (event_count == 0)
		return STORE_OK;

	/* A cursor's snapshot would keep this connection from becoming the writer. */
	store_cursors_park(store);
	code = store_begin(store, err);
	if (code != STORE_OK)
		return code;
	code = version_check(store, err);
	if (code == STORE_OK)
		code = batch_insert(store, events, event_count, err);
	/* The events are the caller's, and not to be pointed at after this call. */
	sqlite3_clear_bindings(store->insert);
	if (code != STORE_OK) {
		store_rollback(store, code);
		return code;
	}
	return store_commit(store, err);
}
