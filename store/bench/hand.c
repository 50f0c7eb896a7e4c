/*
 * hand.c: the side that a good user would write against sqlite3.h: the same tables, indexes and
 * triggers, the same settings, statements prepared once, bindings that copy nothing, a connection
 * without a mutex. It does none of what the store does besides: it does not look at what it is
 * given, trusts that it is alone, and takes any error for the end.
 */
#include <stdio.h>
#include <string.h>

#include "store/bench/bench.h"

const char store_bench_insert_sql[] =
    "INSERT INTO events (seq, event_id, server_id, position, time_us, kind, payload, checksum,"
    " batch_id, batch_count, payload_bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
#define COLUMNS                                                                                    \
	"SELECT seq, event_id, server_id, position, time_us, kind, payload, checksum, batch_id,"   \
	" batch_count FROM events"
const char store_bench_by_id_sql[] = COLUMNS " WHERE event_id = ?";
const char store_bench_range_sql[] =
    COLUMNS " WHERE server_id = ? AND position BETWEEN ? AND ? ORDER BY position";
const char store_bench_digest_sql[] =
    "SELECT count(*) || ' ' || max(seq) || ' ' || sum(position) || ' ' || sum(time_us % 1000003)"
    " || ' ' || sum(length(payload)) || ' ' || sum(payload_bytes) || ' ' || sum(batch_id) || ' '"
    " || sum(batch_count) || ' ' || count(DISTINCT event_id || server_id) || ' ' || min(event_id)"
    " FROM events";

/* In the order in which they can be set. */
const char *const store_bench_settings[] = {
    "page_size",    "auto_vacuum", "locking_mode", "synchronous",   "journal_mode",
    "foreign_keys", "cache_size",  "mmap_size",	   "secure_delete", NULL};

static void check(sqlite3 *db, int rc, const char *what)
{
	if (rc != SQLITE_OK)
		store_bench_fail("%s: %s (%d)", what, sqlite3_errmsg(db), rc);
}

void store_bench_ask(sqlite3 *db, const char *sql, char *ret_text, size_t size)
{
	sqlite3_stmt *stmt = NULL;

	check(db, sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), sql);
	if (sqlite3_step(stmt) != SQLITE_ROW)
		store_bench_fail("%s: no answer: %s", sql, sqlite3_errmsg(db));
	snprintf(ret_text, size, "%s", (const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
}

void store_bench_setting(sqlite3 *db, const char *name, char *ret_text, size_t size)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "PRAGMA %s", name);
	store_bench_ask(db, sql, ret_text, size);
}

static void setting_set(sqlite3 *db, const char *name, const char *wanted)
{
	char got[64];
	char sql[160];

	snprintf(sql, sizeof(sql), "PRAGMA %s=%s", name, wanted);
	check(db, sqlite3_exec(db, sql, NULL, NULL, NULL), sql);
	store_bench_setting(db, name, got, sizeof(got));
	if (strcmp(got, wanted) != 0)
		store_bench_fail("%s is %s by hand, not %s", name, got, wanted);
}

static void settings_copy(sqlite3 *db, sqlite3 *like)
{
	char wanted[64];

	for (size_t i = 0; store_bench_settings[i]; i++) {
		store_bench_setting(like, store_bench_settings[i], wanted, sizeof(wanted));
		setting_set(db, store_bench_settings[i], wanted);
	}
}

static void tables_create(sqlite3 *db)
{
	const struct store_migration *migrations;
	size_t count;
	char text[8];

	store_bench_ask(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'events'", text,
			sizeof(text));
	if (strcmp(text, "0") != 0)
		return;
	migrations = store_migrations(STORE_SCHEMA_EVENTS, &count);
	for (size_t i = 0; i < count; i++)
		check(db, sqlite3_exec(db, migrations[i].sql, NULL, NULL, NULL), "schema");
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt = NULL;

	check(db, sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL), sql);
	return stmt;
}

void store_bench_hand_open(struct store_bench_hand *ret_hand, const char *folder, const char *name,
			   sqlite3 *like)
{
	struct store_bench_hand hand = {.seq_next = 1, .checksum = true};
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s.db", folder, name);
	check(hand.db,
	      sqlite3_open_v2(path, &hand.db,
			      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
			      NULL),
	      path);
	check(hand.db, sqlite3_busy_timeout(hand.db, STORE_BUSY_TIMEOUT_DEFAULT_MS), "timeout");
	settings_copy(hand.db, like);
	setting_set(hand.db, "wal_autocheckpoint", STORE_BENCH_AUTOCHECKPOINT);
	tables_create(hand.db);
	hand.begin = prepare(hand.db, "BEGIN IMMEDIATE");
	hand.insert = prepare(hand.db, store_bench_insert_sql);
	hand.commit = prepare(hand.db, "COMMIT");
	hand.by_id = prepare(hand.db, store_bench_by_id_sql);
	hand.range = prepare(hand.db, store_bench_range_sql);
	*ret_hand = hand;
}

void store_bench_hand_close(struct store_bench_hand *hand)
{
	sqlite3_finalize(hand->begin);
	sqlite3_finalize(hand->insert);
	sqlite3_finalize(hand->commit);
	sqlite3_finalize(hand->by_id);
	sqlite3_finalize(hand->range);
	check(hand->db, sqlite3_close(hand->db), "close");
}

/* seq 0 is left to SQLite. */
static void insert_one(struct store_bench_hand *hand, const struct store_event *event, int64_t seq,
		       int64_t batch_id, int64_t batch_count)
{
	int64_t checksum = hand->checksum ? (int64_t)store_event_checksum(event) : 0;
	sqlite3_stmt *insert = hand->insert;
	int rc;

	if (seq == 0)
		sqlite3_bind_null(insert, 1);
	else
		sqlite3_bind_int64(insert, 1, seq);
	sqlite3_bind_text(insert, 2, event->event_id, -1, SQLITE_STATIC);
	sqlite3_bind_text(insert, 3, event->server_id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(insert, 4, event->position);
	sqlite3_bind_int64(insert, 5, event->time_us);
	sqlite3_bind_text(insert, 6, event->kind, -1, SQLITE_STATIC);
	sqlite3_bind_blob64(insert, 7, event->payload, event->payload_bytes, SQLITE_STATIC);
	sqlite3_bind_int64(insert, 8, checksum);
	sqlite3_bind_int64(insert, 9, batch_id);
	sqlite3_bind_int64(insert, 10, batch_count);
	sqlite3_bind_int64(insert, 11, (int64_t)event->payload_bytes);
	rc = sqlite3_step(insert);
	sqlite3_reset(insert);
	check(hand->db, rc == SQLITE_DONE ? SQLITE_OK : rc, "insert");
}

static void run(struct store_bench_hand *hand, sqlite3_stmt *stmt)
{
	int rc = sqlite3_step(stmt);

	sqlite3_reset(stmt);
	check(hand->db, rc == SQLITE_DONE ? SQLITE_OK : rc, sqlite3_sql(stmt));
}

void store_bench_hand_batch(struct store_bench_hand *hand, const struct store_event *events,
			    size_t count)
{
	int64_t batch_id = hand->seq_next;

	run(hand, hand->begin);
	for (size_t i = 0; i < count; i++)
		insert_one(hand, &events[i], hand->seq_next++, batch_id, (int64_t)count);
	run(hand, hand->commit);
}

void store_bench_hand_single(struct store_bench_hand *hand, const struct store_event *event)
{
	int64_t seq = hand->seq_next++;

	insert_one(hand, event, seq, seq, 1);
}

void store_bench_hand_one_of_many(struct store_bench_hand *hand, const struct store_event *event)
{
	run(hand, hand->begin);
	insert_one(hand, event, 0, 0, 1);
	run(hand, hand->commit);
}
