/*
 * read.c: cursors, and the corrupt events that they meet.
 *
 * A cursor is a prepared statement whose order is an index's, so that SQLite steps along the index
 * and sorts and stores nothing; the cursor adds one row, copied, because SQLite's own memory for it
 * is gone as soon as the statement moves or an append parks it.
 *
 *            next                    no more rows
 *   idle ────────────> running ───────────────────────> done
 *    ^  <bounds bound>    │
 *    └────────────────────┘
 *      parked by an append, or an error: bounds moved behind the last row
 *
 * "idle" is stmt reset and running false; the lower bound then says where to go on. Two cursors of
 * one store share nothing but the connection.
 *
 * A row that is no event any more becomes a dead letter, and the cursor steps over it:
 *
 *   corrupt row ──> held by the cursor ──(writing handle: 64 held, end, close)──> table
 * dead_letters └──(any handle: store_cursor_dead_letters())──> the caller
 *
 * Noting must not stop the reader, nor fail what the reader is part of. So a note that cannot be
 * written, because a transaction is open, the lock is taken or the disk is full, stays with the
 * cursor, and when there is no more room for letters they are only counted. Nothing is lost by
 * that: the row is still there for the next reader to meet.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/internal.h"

enum cursor_kind {
	CURSOR_BY_ID,
	CURSOR_BY_SERVER,
	CURSOR_BY_TIME,
};

struct store_cursor {
	struct store *store; /* NULL once the store has been closed */
	struct store_cursor *next;
	enum cursor_kind kind;
	sqlite3_stmt *stmt;
	bool running;
	bool done;
	char *id;	   /* the event's or the server's, by kind; owned */
	int64_t first;	   /* lower bound, moved on as rows are returned */
	int64_t last;	   /* upper bound, inclusive */
	int64_t seq_after; /* by time: rows at time `first` up to this seq are behind us */
	unsigned char *row;
	size_t row_bytes;
	uint64_t dead_count;		/* letters met */
	struct store_dead_letter *dead; /* those held; NULL before the first */
	size_t dead_held;		/* of STORE_DEAD_LETTERS_HELD_MAX */
};

#define COLUMNS                                                                                    \
	"SELECT seq, event_id, server_id, position, time_us, kind, payload, checksum,"             \
	" batch_id, batch_count FROM events "

enum column {
	COLUMN_SEQ,
	COLUMN_EVENT_ID,
	COLUMN_SERVER_ID,
	COLUMN_POSITION,
	COLUMN_TIME_US,
	COLUMN_KIND,
	COLUMN_PAYLOAD,
	COLUMN_CHECKSUM,
	COLUMN_BATCH_ID,
	COLUMN_BATCH_COUNT,
};

static const char *const sql_by_kind[] = {
    [CURSOR_BY_ID] = COLUMNS "WHERE event_id = ?1",
    [CURSOR_BY_SERVER] =
	COLUMNS "WHERE server_id = ?1 AND position >= ?2 AND position <= ?3 ORDER BY position",
    [CURSOR_BY_TIME] =
	COLUMNS "WHERE (time_us, seq) > (?2, ?4) AND time_us <= ?3 ORDER BY time_us, seq",
};

/* Opens a cursor with the kind and bounds of wanted; id may be NULL and is copied. */
static enum store_code cursor_open(struct store *store, const struct store_cursor *wanted,
				   const char *id, struct store_cursor **ret_cursor,
				   struct store_error *err)
{
	struct store_cursor *cursor = NULL;
	enum store_code code;

	code = store_check_running(store, err);
	if (code == STORE_OK)
		code = store_need_schema(store, STORE_SCHEMA_EVENTS, 1, err);
	if (code != STORE_OK)
		return code;
	cursor = malloc(sizeof(*cursor));
	if (!cursor) {
		code = store_error_set(err, STORE_ERR_NO_MEMORY, 0, "no memory for a cursor");
		goto out;
	}
	*cursor = *wanted;
	if (id) {
		cursor->id = strdup(id);
		if (!cursor->id) {
			code =
			    store_error_set(err, STORE_ERR_NO_MEMORY, 0, "no memory for a cursor");
			goto out;
		}
	}
	code = store_statement_take(store, sql_by_kind[cursor->kind], &cursor->stmt, err);
	if (code != STORE_OK)
		goto out;
	cursor->store = store;
	cursor->next = store->cursors;
	store->cursors = cursor;
	*ret_cursor = cursor;
	cursor = NULL;
out:
	store_cursor_close(cursor);
	return code;
}

enum store_code store_cursor_open_by_id(struct store *store, const char *event_id,
					struct store_cursor **ret_cursor, struct store_error *err)
{
	const struct store_cursor wanted = {.kind = CURSOR_BY_ID};
	enum store_code code;

	if (!store || !ret_cursor)
		return store_error_set(err, STORE_ERR_INVALID, 0, "store or ret_cursor is NULL");
	code = store_id_check(event_id, "event_id", err);
	if (code != STORE_OK)
		return code;
	return cursor_open(store, &wanted, event_id, ret_cursor, err);
}

enum store_code store_cursor_open_by_server(struct store *store, const char *server_id,
					    int64_t position_first, int64_t position_last,
					    struct store_cursor **ret_cursor,
					    struct store_error *err)
{
	const struct store_cursor wanted = {
	    .kind = CURSOR_BY_SERVER,
	    .first = position_first,
	    .last = position_last,
	};
	enum store_code code;

	if (!store || !ret_cursor)
		return store_error_set(err, STORE_ERR_INVALID, 0, "store or ret_cursor is NULL");
	code = store_id_check(server_id, "server_id", err);
	if (code != STORE_OK)
		return code;
	return cursor_open(store, &wanted, server_id, ret_cursor, err);
}

enum store_code store_cursor_open_by_time(struct store *store, int64_t time_first_us,
					  int64_t time_last_us, struct store_cursor **ret_cursor,
					  struct store_error *err)
{
	const struct store_cursor wanted = {
	    .kind = CURSOR_BY_TIME,
	    .first = time_first_us,
	    .last = time_last_us,
	    .seq_after = INT64_MIN,
	};

	if (!store || !ret_cursor)
		return store_error_set(err, STORE_ERR_INVALID, 0, "store or ret_cursor is NULL");
	return cursor_open(store, &wanted, NULL, ret_cursor, err);
}

static int cursor_bind(struct store_cursor *cursor)
{
	int rc = SQLITE_OK;

	if (cursor->id)
		rc = store_bind_text(cursor->stmt, 1, cursor->id);
	if (rc == SQLITE_OK && cursor->kind != CURSOR_BY_ID)
		rc = sqlite3_bind_int64(cursor->stmt, 2, cursor->first);
	if (rc == SQLITE_OK && cursor->kind != CURSOR_BY_ID)
		rc = sqlite3_bind_int64(cursor->stmt, 3, cursor->last);
	if (rc == SQLITE_OK && cursor->kind == CURSOR_BY_TIME)
		rc = sqlite3_bind_int64(cursor->stmt, 4, cursor->seq_after);
	return rc;
}

static void cursor_park(struct store_cursor *cursor)
{
	sqlite3_reset(cursor->stmt);
	cursor->running = false;
}

static void cursor_end(struct store_cursor *cursor)
{
	cursor_park(cursor);
	cursor->done = true;
}

/* Moves the lower bound behind the row that the statement stands on. */
static void cursor_advance(struct store_cursor *cursor)
{
	int64_t position;

	switch (cursor->kind) {
	case CURSOR_BY_ID:
		cursor->done = true;
		break;
	case CURSOR_BY_SERVER:
		position = sqlite3_column_int64(cursor->stmt, COLUMN_POSITION);
		if (position == INT64_MAX)
			cursor->done = true;
		else
			cursor->first = position + 1;
		break;
	case CURSOR_BY_TIME:
		cursor->first = sqlite3_column_int64(cursor->stmt, COLUMN_TIME_US);
		cursor->seq_after = sqlite3_column_int64(cursor->stmt, COLUMN_SEQ);
		break;
	}
}

/* A text column of the row that the statement stands on; SQLite's memory. */
struct text {
	const char *bytes;
	size_t size_bytes; /* with its NUL */
};

/* Why a row is no event: STORE_REASON_BYTES_MAX bytes and a NUL. */
static enum store_code corrupt(char *ret_reason, const char *what, const char *complaint)
{
	snprintf(ret_reason, STORE_REASON_BYTES_MAX + 1, "%s %s", what, complaint);
	return STORE_ERR_CORRUPT_EVENT;
}

/* STORE_ERR_CORRUPT_EVENT if it is no text that the store could have written. */
static enum store_code column_text(struct store_cursor *cursor, enum column column,
				   struct text *ret_text, char *ret_reason)
{
	const char *bytes;
	size_t size_bytes;

	if (sqlite3_column_type(cursor->stmt, (int)column) != SQLITE_TEXT)
		return corrupt(ret_reason, sqlite3_column_name(cursor->stmt, (int)column),
			       "is not stored as a text");
	bytes = (const char *)sqlite3_column_text(cursor->stmt, (int)column);
	if (!bytes)
		return STORE_ERR_NO_MEMORY;
	size_bytes = (size_t)sqlite3_column_bytes(cursor->stmt, (int)column);
	if (strlen(bytes) != size_bytes)
		return corrupt(ret_reason, sqlite3_column_name(cursor->stmt, (int)column),
			       "has a NUL in it");
	ret_text->bytes = bytes;
	ret_text->size_bytes = size_bytes + 1;
	return STORE_OK;
}

static enum store_code row_reserve(struct store_cursor *cursor, size_t size_bytes)
{
	unsigned char *row;

	if (size_bytes <= cursor->row_bytes)
		return STORE_OK;
	row = malloc(size_bytes);
	if (!row)
		return STORE_ERR_NO_MEMORY;
	free(cursor->row);
	cursor->row = row;
	cursor->row_bytes = size_bytes;
	return STORE_OK;
}

static const char *row_append(unsigned char **at, const struct text *text)
{
	char *copy = (char *)*at;

	memcpy(copy, text->bytes, text->size_bytes);
	*at += text->size_bytes;
	return copy;
}

/* Asks the caller whether the payload can be decoded. What he says of it ends up in the database,
 * so it is made a text first. */
static enum store_code payload_decode(const struct store *store, const struct store_event *event,
				      char *ret_reason)
{
	char reason[STORE_REASON_BYTES_MAX + 1] = "";

	if (!store->options.decode ||
	    store->options.decode(store->options.decode_context, event->kind, event->payload,
				  event->payload_bytes, reason))
		return STORE_OK;
	reason[STORE_REASON_BYTES_MAX] = '\0';
	if (reason[0] == '\0')
		return corrupt(ret_reason, "payload", "cannot be decoded");
	if (store_text_complaint(reason, STORE_REASON_BYTES_MAX, false, NULL)) {
		for (char *p = reason; *p; p++) {
			if ((unsigned char)*p >= 0x80)
				*p = '?';
		}
	}
	memcpy(ret_reason, reason, sizeof(reason));
	return STORE_ERR_CORRUPT_EVENT;
}

/* Copies the row that the statement stands on. STORE_ERR_CORRUPT_EVENT with the reason if it is no
 * event. */
static enum store_code row_copy(struct store_cursor *cursor, struct store_record *ret_record,
				char *ret_reason)
{
	static const enum column numbers[] = {COLUMN_POSITION, COLUMN_TIME_US, COLUMN_CHECKSUM,
					      COLUMN_BATCH_ID, COLUMN_BATCH_COUNT};
	sqlite3_stmt *stmt = cursor->stmt;
	struct store_record record = {0};
	struct text event_id;
	struct text server_id;
	struct text kind;
	enum store_code code;
	const void *payload;
	size_t payload_bytes;
	unsigned char *at;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (sqlite3_column_type(stmt, (int)numbers[i]) != SQLITE_INTEGER)
			return corrupt(ret_reason, sqlite3_column_name(stmt, (int)numbers[i]),
				       "is not stored as an integer");
	}
	code = column_text(cursor, COLUMN_EVENT_ID, &event_id, ret_reason);
	if (code == STORE_OK)
		code = column_text(cursor, COLUMN_SERVER_ID, &server_id, ret_reason);
	if (code == STORE_OK)
		code = column_text(cursor, COLUMN_KIND, &kind, ret_reason);
	if (code != STORE_OK)
		return code;
	if (sqlite3_column_type(stmt, COLUMN_PAYLOAD) != SQLITE_BLOB)
		return corrupt(ret_reason, "payload", "is not stored as a blob");
	payload = sqlite3_column_blob(stmt, COLUMN_PAYLOAD);
	payload_bytes = (size_t)sqlite3_column_bytes(stmt, COLUMN_PAYLOAD);
	if (!payload && sqlite3_errcode(cursor->store->db) == SQLITE_NOMEM)
		return STORE_ERR_NO_MEMORY;

	code = row_reserve(cursor, payload_bytes + event_id.size_bytes + server_id.size_bytes +
				       kind.size_bytes);
	if (code != STORE_OK)
		return code;
	/* The payload comes first because malloc's alignment is right for whatever is in it. */
	at = cursor->row;
	if (payload_bytes > 0)
		memcpy(at, payload, payload_bytes);
	record.event.payload = at;
	record.event.payload_bytes = payload_bytes;
	at += payload_bytes;
	record.event.event_id = row_append(&at, &event_id);
	record.event.server_id = row_append(&at, &server_id);
	record.event.kind = row_append(&at, &kind);
	record.event.position = sqlite3_column_int64(stmt, COLUMN_POSITION);
	record.event.time_us = sqlite3_column_int64(stmt, COLUMN_TIME_US);
	record.seq = sqlite3_column_int64(stmt, COLUMN_SEQ);
	record.batch_id = sqlite3_column_int64(stmt, COLUMN_BATCH_ID);
	record.batch_count = sqlite3_column_int64(stmt, COLUMN_BATCH_COUNT);
	if ((int64_t)store_event_checksum(&record.event) !=
	    sqlite3_column_int64(stmt, COLUMN_CHECKSUM))
		return corrupt(ret_reason, "the row", "does not match its checksum");
	code = payload_decode(cursor->store, &record.event, ret_reason);
	if (code != STORE_OK)
		return code;
	*ret_record = record;
	return STORE_OK;
}

/* Takes the row that the statement stands on; unless memory ran out, the next is behind it. letter
 * is filled with STORE_ERR_CORRUPT_EVENT. */
static enum store_code cursor_take(struct store_cursor *cursor, struct store_record *ret_record,
				   struct store_dead_letter *letter, struct store_error *err)
{
	int64_t seq = sqlite3_column_int64(cursor->stmt, COLUMN_SEQ);
	enum store_code code = row_copy(cursor, ret_record, letter->reason);

	letter->seq = seq;
	if (code == STORE_ERR_NO_MEMORY) {
		cursor_park(cursor);
		return store_error_at(err, cursor->store, code, 0,
				      "no memory for the event at seq %" PRId64, seq);
	}
	cursor_advance(cursor);
	if (cursor->done)
		cursor_end(cursor);
	return code;
}

/* ---- dead letters ---- */

/* Whether the store has the table; to write it is another matter. */
static bool has_dead_letters(const struct store *store)
{
	return store->version >= 4;
}

/*
 * Notes what the cursor holds, if that can be done at once. A reader, which can write nothing, lets
 * go of it where all has been noted already. Inside a transaction it is left alone: a note that
 * fails could take the transaction with it, and one that succeeds is not final.
 */
static void cursor_note(struct store_cursor *cursor)
{
	struct store *store = cursor->store;
	int limit_ms;

	if (cursor->dead_held == 0 || !store || store->depth > 0 ||
	    !sqlite3_get_autocommit(store->db))
		return;
	limit_ms = store->patience.limit_ms;
	store->patience.limit_ms = 0;
	if (store_dead_letters(store, cursor->dead, cursor->dead_held, NULL) == STORE_OK)
		cursor->dead_held = 0;
	store->patience.limit_ms = limit_ms;
}

/* A letter that there is no room or no memory for is only counted. */
static void cursor_hold(struct store_cursor *cursor, const struct store_dead_letter *letter)
{
	cursor->dead_count++;
	if (!cursor->dead)
		cursor->dead = malloc(STORE_DEAD_LETTERS_HELD_MAX * sizeof(*cursor->dead));
	if (cursor->dead && cursor->dead_held < STORE_DEAD_LETTERS_HELD_MAX)
		cursor->dead[cursor->dead_held++] = *letter;
	if (cursor->dead_held == STORE_DEAD_LETTERS_HELD_MAX)
		cursor_note(cursor);
}

uint64_t store_cursor_dead_count(const struct store_cursor *cursor)
{
	return cursor ? cursor->dead_count : 0;
}

size_t store_cursor_dead_letters(struct store_cursor *cursor, struct store_dead_letter *ret_letters,
				 size_t letter_count_max)
{
	size_t count;

	if (!cursor || !ret_letters || cursor->dead_held == 0)
		return 0;
	count = cursor->dead_held < letter_count_max ? cursor->dead_held : letter_count_max;
	memcpy(ret_letters, cursor->dead, count * sizeof(*ret_letters));
	cursor->dead_held -= count;
	memmove(cursor->dead, cursor->dead + count, cursor->dead_held * sizeof(*cursor->dead));
	return count;
}

/* ---- next ---- */

/* The next row, event or not: STORE_ERR_CORRUPT_EVENT with its letter. */
static enum store_code cursor_step(struct store_cursor *cursor, struct store_record *ret_record,
				   bool *ret_found, struct store_dead_letter *letter,
				   struct store_error *err)
{
	enum store_code code;
	int rc = SQLITE_OK;

	if (cursor->done) {
		*ret_found = false;
		return STORE_OK;
	}
	if (!cursor->running) {
		rc = cursor_bind(cursor);
		cursor->running = true;
	}
	if (rc == SQLITE_OK)
		rc = sqlite3_step(cursor->stmt);
	if (rc == SQLITE_DONE) {
		cursor_end(cursor);
		*ret_found = false;
		return STORE_OK;
	}
	if (rc != SQLITE_ROW) {
		code = store_error_set_sqlite(err, cursor->store->db, rc, "cannot read on");
		cursor_park(cursor);
		return code;
	}
	code = cursor_take(cursor, ret_record, letter, err);
	if (code == STORE_OK)
		*ret_found = true;
	return code;
}

enum store_code store_cursor_next(struct store_cursor *cursor, struct store_record *ret_record,
				  bool *ret_found, struct store_error *err)
{
	struct store_dead_letter letter = {0};
	enum store_code code;
	bool found = false;

	if (!cursor || !ret_record || !ret_found)
		return store_error_set(err, STORE_ERR_INVALID, 0, "an argument is NULL");
	if (!cursor->store)
		return store_error_set(err, STORE_ERR_INVALID, 0,
				       "the cursor's store has been closed");
	for (;;) {
		code = store_check_running(cursor->store, err);
		if (code == STORE_OK)
			code = cursor_step(cursor, ret_record, &found, &letter, err);
		if (code != STORE_ERR_CORRUPT_EVENT)
			break;
		if (!has_dead_letters(cursor->store))
			return store_error_at(err, cursor->store, code, 0,
					      "the event at seq %" PRId64 " is corrupt: %s",
					      letter.seq, letter.reason);
		cursor_hold(cursor, &letter);
	}
	if (code != STORE_OK)
		return code;
	if (!found)
		cursor_note(cursor);
	*ret_found = found;
	return STORE_OK;
}

void store_cursor_close(struct store_cursor *cursor)
{
	struct store_cursor **link;

	if (!cursor)
		return;
	cursor_note(cursor);
	if (cursor->store) {
		link = &cursor->store->cursors;
		while (*link && *link != cursor)
			link = &(*link)->next;
		if (*link)
			*link = cursor->next;
		store_statement_give(cursor->store, sql_by_kind[cursor->kind], cursor->stmt);
	}
	free(cursor->id);
	free(cursor->row);
	free(cursor->dead);
	free(cursor);
}

void store_cursors_park(struct store *store)
{
	for (struct store_cursor *cursor = store->cursors; cursor; cursor = cursor->next)
		cursor_park(cursor);
}

void store_cursors_orphan(struct store *store)
{
	struct store_cursor *next;

	for (struct store_cursor *cursor = store->cursors; cursor; cursor = next) {
		next = cursor->next;
		store_statement_give(store, sql_by_kind[cursor->kind], cursor->stmt);
		cursor->stmt = NULL;
		cursor->store = NULL;
		cursor->next = NULL;
	}
	store->cursors = NULL;
}
