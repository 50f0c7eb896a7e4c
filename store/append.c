/*
 * append.c: events into the store, all of a batch or nothing.
 *
 * One transaction per call, or a part of one (transaction.c): BEGIN IMMEDIATE, so that everything
 * read afterwards (the next seq, each server's last position) stays true until COMMIT, and no lock
 * has to be upgraded half way. The seqs are handed out here and not by SQLite, so that a batch can
 * say before its first row which seqs it consists of.
 *
 * It does not wait for others' transactions beyond the busy timeout, and does not retry.
 */
#include <inttypes.h>
#include <string.h>

#include "store/internal.h"

static enum store_code offender(const struct store *store, struct store_error *err,
				enum store_code code, int sqlite_code,
				const struct store_event *event, size_t index)
{
	store_error_at(err, store, code, sqlite_code,
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

/*
 * The last positions of servers that the batch has been through, so that the database is not asked
 * again for each event of a batch whose servers take turns. Once it is full, the oldest gives way.
 */
#define SERVERS_REMEMBERED 16

struct servers {
	const char *ids[SERVERS_REMEMBERED]; /* the events' */
	int64_t positions[SERVERS_REMEMBERED];
	size_t count; /* that were ever entered; the slot is the remainder */
};

/* Where the server's last position is kept, or NULL. */
static int64_t *servers_find(struct servers *servers, const char *server_id)
{
	size_t kept = servers->count < SERVERS_REMEMBERED ? servers->count : SERVERS_REMEMBERED;

	for (size_t i = 0; i < kept; i++) {
		if (strcmp(servers->ids[i], server_id) == 0)
			return &servers->positions[i];
	}
	return NULL;
}

static int64_t *servers_enter(struct servers *servers, const char *server_id)
{
	size_t slot = servers->count++ % SERVERS_REMEMBERED;

	servers->ids[slot] = server_id;
	return &servers->positions[slot];
}

/* The statements of one batch, borrowed from the cache. */
struct statements {
	sqlite3_stmt *seq_next;
	sqlite3_stmt *position_last;
	sqlite3_stmt *find;
	sqlite3_stmt *insert;
};

/* Tells a repeated event from one that comes too late. */
static enum store_code order_complaint(struct store *store, sqlite3_stmt *find,
				       const struct store_event *event, size_t index,
				       struct store_error *err)
{
	int64_t one = 0;
	int rc;

	rc = store_bind_text(find, 1, event->event_id);
	if (rc == SQLITE_OK)
		rc = store_bind_text(find, 2, event->server_id);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(find, 3, event->position);
	if (rc == SQLITE_OK)
		rc = query_number(find, &one);
	sqlite3_clear_bindings(find);
	if (rc == SQLITE_OK)
		return offender(store, err, STORE_ERR_DUPLICATE, 0, event, index);
	if (rc == SQLITE_DONE)
		return offender(store, err, STORE_ERR_ORDER, 0, event, index);
	return store_error_set_sqlite(err, store->db, rc, "event %zu of the batch", index);
}

static enum store_code order_check(struct store *store, const struct statements *use,
				   struct servers *servers, const struct store_event *event,
				   size_t index, struct store_error *err)
{
	int64_t *position_last = servers_find(servers, event->server_id);
	int rc;

	if (!position_last) {
		position_last = servers_enter(servers, event->server_id);
		*position_last = -1;
		rc = store_bind_text(use->position_last, 1, event->server_id);
		if (rc == SQLITE_OK)
			rc = query_number(use->position_last, position_last);
		if (rc == SQLITE_DONE)
			rc = SQLITE_OK;
		sqlite3_clear_bindings(use->position_last);
		if (rc != SQLITE_OK)
			return store_error_set_sqlite(err, store->db, rc, "event %zu of the batch",
						      index);
	}
	if (event->position <= *position_last)
		return order_complaint(store, use->find, event, index, err);
	*position_last = event->position;
	return STORE_OK;
}

static int insert_bind(sqlite3_stmt *insert, const struct store_event *event, int64_t seq,
		       int64_t batch_id, int64_t batch_count)
{
	/* A NULL pointer would bind NULL, which is not an empty payload. */
	const void *payload = event->payload_bytes > 0 ? event->payload : "";
	int rc;

	rc = sqlite3_bind_int64(insert, 1, seq);
	if (rc == SQLITE_OK)
		rc = store_bind_text(insert, 2, event->event_id);
	if (rc == SQLITE_OK)
		rc = store_bind_text(insert, 3, event->server_id);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(insert, 4, event->position);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(insert, 5, event->time_us);
	if (rc == SQLITE_OK)
		rc = store_bind_text(insert, 6, event->kind);
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

static enum store_code statements_get(struct store *store, struct statements *use,
				      struct store_error *err)
{
	/* A program of version 1 or 2 does not know the column that version 3 added. */
	static const char insert_first[] =
	    "INSERT INTO events (seq, event_id, server_id, position, time_us, kind,"
	    " payload, checksum, batch_id, batch_count)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
	static const char insert_sized[] =
	    "INSERT INTO events (seq, event_id, server_id, position, time_us, kind,"
	    " payload, checksum, batch_id, batch_count, payload_bytes)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, length(?7))";
	enum store_code code;

	code = store_statement(store, "SELECT coalesce(max(seq), 0) + 1 FROM events",
			       &use->seq_next, err);
	if (code == STORE_OK)
		code = store_statement(store,
				       "SELECT position FROM events WHERE server_id = ?1 ORDER BY "
				       "position DESC LIMIT 1",
				       &use->position_last, err);
	if (code == STORE_OK)
		code = store_statement(
		    store,
		    "SELECT 1 FROM events WHERE event_id = ?1"
		    " UNION ALL SELECT 1 FROM events WHERE server_id = ?2 AND position = ?3",
		    &use->find, err);
	if (code == STORE_OK)
		code = store_statement(store, store->version >= 3 ? insert_sized : insert_first,
				       &use->insert, err);
	return code;
}

/* The events, inside the transaction that the caller has opened. */
static enum store_code batch_insert(struct store *store, const struct store_event *events,
				    size_t event_count, struct store_error *err)
{
	struct statements use;
	struct servers servers = {.count = 0};
	enum store_code code;
	int64_t batch_id;
	int rc;

	code = statements_get(store, &use, err);
	if (code != STORE_OK)
		return code;
	rc = SQLITE_OK;
	if (store->seq_next == 0)
		rc = query_number(use.seq_next, &store->seq_next);
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, store->db, rc, "cannot read the last seq");
	batch_id = store->seq_next;
	for (size_t i = 0; i < event_count && code == STORE_OK; i++) {
		code = order_check(store, &use, &servers, &events[i], i, err);
		if (code != STORE_OK)
			break;
		rc = insert_bind(use.insert, &events[i], batch_id + (int64_t)i, batch_id,
				 (int64_t)event_count);
		if (rc == SQLITE_OK)
			rc = store_run(use.insert);
		/* Positions are known to be free, so it can only be the id that is taken. */
		if (rc == SQLITE_CONSTRAINT_UNIQUE) {
			code = offender(store, err, STORE_ERR_DUPLICATE, rc, &events[i], i);
		} else if (rc != SQLITE_OK) {
			code =
			    store_error_set_sqlite(err, store->db, rc, "event %zu of the batch", i);
			if (err)
				err->index = i;
		}
	}
	/* The events are the caller's, and not to be pointed at after this call. */
	sqlite3_clear_bindings(use.insert);
	if (code == STORE_OK)
		store->seq_next = batch_id + (int64_t)event_count;
	return code;
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
	if (code == STORE_OK)
		code = store_need_schema(store, STORE_SCHEMA_EVENTS, 1, err);
	for (size_t i = 0; i < event_count && code == STORE_OK; i++) {
		code = store_event_check(&events[i], i, err);
		if (code != STORE_OK)
			store_error_add_path(err, NULL, store->path);
	}
	if (code != STORE_OK || event_count == 0)
		return code;
	code = store_begin(store, err);
	if (code != STORE_OK)
		return code;
	code = batch_insert(store, events, event_count, err);
	return store_finish(store, code, err);
}
