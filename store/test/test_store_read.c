/*
 * test_store_read.c: reading back (A6): by id, by server and position, by time; one event in memory
 * at a time; cursors that live through appends, errors and the end of their store.
 */
#include "store/test/store_test.h"

#include <sys/resource.h>

/* The ids that the cursor still returns, joined by blanks; the cursor is closed. */
static void assert_ids(struct store_cursor *cursor, const char *expected)
{
	char ids[4096] = "";
	size_t size = 0;
	struct store_error err = {0};
	struct store_record record;
	bool found = true;

	while (found) {
		if (store_cursor_next(cursor, &record, &found, &err) != STORE_OK)
			fail_msg("%s: %s", store_code_name(err.code), err.message);
		if (!found)
			break;
		size += (size_t)snprintf(ids + size, sizeof(ids) - size, "%s%s", size ? " " : "",
					 record.event.event_id);
		assert_true(size < sizeof(ids));
	}
	/* The end stays the end. */
	found = true;
	assert_int_equal(store_cursor_next(cursor, &record, &found, &err), STORE_OK);
	assert_false(found);
	assert_string_equal(ids, expected);
	store_cursor_close(cursor);
}

static struct store_cursor *by_server(struct store *store, const char *server_id, int64_t first,
				      int64_t last)
{
	struct store_cursor *cursor = NULL;

	assert_int_equal(store_cursor_open_by_server(store, server_id, first, last, &cursor, NULL),
			 STORE_OK);
	return cursor;
}

static struct store_cursor *by_time(struct store *store, int64_t first_us, int64_t last_us)
{
	struct store_cursor *cursor = NULL;

	assert_int_equal(store_cursor_open_by_time(store, first_us, last_us, &cursor, NULL),
			 STORE_OK);
	return cursor;
}

static struct store_cursor *by_id(struct store *store, const char *event_id)
{
	struct store_cursor *cursor = NULL;

	assert_int_equal(store_cursor_open_by_id(store, event_id, &cursor, NULL), STORE_OK);
	return cursor;
}

/* Moves on and asserts that the event is the one with that id. */
static void assert_next(struct store_cursor *cursor, struct store_record *ret_record,
			const char *event_id)
{
	struct store_error err = {0};
	bool found = false;

	if (store_cursor_next(cursor, ret_record, &found, &err) != STORE_OK)
		fail_msg("%s: %s", store_code_name(err.code), err.message);
	assert_true(found);
	assert_string_equal(ret_record->event.event_id, event_id);
}

/* [A6] An event is found by its id, with all that was stored; an unknown id is no error. */
static void test_by_id(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct store_record record;
	struct store_cursor *cursor;
	struct sample sample;
	bool found = true;

	append_ok(store, "a", 1, 2);
	append_ok(store, "b", 1, 3);
	cursor = by_id(store, "b-2");
	assert_next(cursor, &record, "b-2");
	sample_fill(&sample, "b", 2);
	assert_string_equal(record.event.server_id, "b");
	assert_int_equal(record.event.position, 2);
	assert_int_equal(record.event.time_us, 20);
	assert_string_equal(record.event.kind, "note");
	assert_int_equal(record.event.payload_bytes, sample.event.payload_bytes);
	assert_memory_equal(record.event.payload, sample.payload, sample.event.payload_bytes);
	assert_int_equal(record.seq, 4);
	assert_int_equal(record.batch_id, 3);
	assert_int_equal(record.batch_count, 3);
	assert_int_equal(store_cursor_next(cursor, &record, &found, NULL), STORE_OK);
	assert_false(found);
	store_cursor_close(cursor);
	assert_ids(by_id(store, "c-1"), "");
	store_close(store);
}

/* [A6] A server's events come by position, between bounds that are inclusive. */
static void test_by_server(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);

	append_ok(store, "a", 1, 2);
	append_ok(store, "b", 1, 2);
	append_ok(store, "a", 5, 2);
	append_ok(store, "a", INT64_MAX, 1);
	assert_ids(by_server(store, "a", 0, INT64_MAX), "a-1 a-2 a-5 a-6 a-9223372036854775807");
	assert_ids(by_server(store, "a", INT64_MIN, 6), "a-1 a-2 a-5 a-6");
	assert_ids(by_server(store, "a", 2, 5), "a-2 a-5");
	assert_ids(by_server(store, "a", 3, 4), "");
	assert_ids(by_server(store, "a", 5, 2), "");
	assert_ids(by_server(store, "b", 0, INT64_MAX), "b-1 b-2");
	assert_ids(by_server(store, "c", 0, INT64_MAX), "");
	store_close(store);
}

/* [A6] All servers' events come by time, those of one time in the order of commit. */
static void test_by_time(void **state)
{
	static const int64_t times[] = {50, 10, 50, INT64_MIN, 50, 60, INT64_MAX};
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		struct sample sample;

		sample_fill(&sample, i % 2 ? "odd" : "even", (int64_t)i);
		sample.event.time_us = times[i];
		assert_int_equal(store_event(store, &sample.event, NULL), STORE_OK);
	}
	assert_ids(by_time(store, INT64_MIN, INT64_MAX),
		   "odd-3 odd-1 even-0 even-2 even-4 odd-5 even-6");
	assert_ids(by_time(store, 50, 50), "even-0 even-2 even-4");
	assert_ids(by_time(store, 11, 60), "even-0 even-2 even-4 odd-5");
	assert_ids(by_time(store, INT64_MAX, INT64_MAX), "even-6");
	assert_ids(by_time(store, 61, 100), "");
	assert_ids(by_time(store, 60, 50), "");
	store_close(store);
}

/* [A6] An empty payload comes back empty. */
static void test_empty_payload(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct store_record record;
	struct store_cursor *cursor;
	struct sample sample;

	sample_fill(&sample, "a", 1);
	sample.event.payload = NULL;
	sample.event.payload_bytes = 0;
	assert_int_equal(store_event(store, &sample.event, NULL), STORE_OK);
	cursor = by_id(store, "a-1");
	assert_next(cursor, &record, "a-1");
	assert_int_equal(record.event.payload_bytes, 0);
	store_cursor_close(cursor);
	store_close(store);
}

/* [A6] A program of an older version reads its store with the same cursors. */
static void test_older_versions_read(void **state)
{
	const struct folder *folder = folder_of(state);

	for (size_t version = 1; version <= 3; version++) {
		struct store *store;

		folder_empty(folder);
		store = open_version(folder->store, version);
		append_ok(store, "a", 1, 3);
		assert_ids(by_id(store, "a-2"), "a-2");
		assert_ids(by_server(store, "a", 2, 3), "a-2 a-3");
		assert_ids(by_time(store, 10, 20), "a-1 a-2");
		store_close(store);
	}
}

/* [A6] Several cursors move independently of each other. */
static void test_interleaved_cursors(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct store_record one;
	struct store_record two;
	struct store_cursor *server;
	struct store_cursor *time;

	append_ok(store, "a", 1, 3);
	append_ok(store, "b", 1, 3);
	server = by_server(store, "b", 1, 3);
	time = by_time(store, 0, 100);
	assert_next(server, &one, "b-1");
	assert_next(time, &two, "a-1");
	assert_string_equal(one.event.event_id, "b-1");
	assert_next(time, &two, "b-1");
	assert_next(server, &one, "b-2");
	assert_string_equal(two.event.event_id, "b-1");
	/* Closed in the order in which they were opened: the list has them the other way round. */
	store_cursor_close(server);
	assert_ids(time, "a-2 b-2 a-3 b-3");
	store_close(store);
}

/* [A6] An append by the same handle neither repeats an event in a cursor nor hides one. */
static void test_append_while_reading(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct store_record record;
	struct store_cursor *server;
	struct store_cursor *time;
	struct sample sample;

	append_ok(store, "a", 1, 3);
	server = by_server(store, "a", 1, 100);
	time = by_time(store, 20, 20);
	assert_next(server, &record, "a-1");
	append_ok(store, "a", 4, 1);
	/* What was returned is the cursor's own memory, and survives the append. */
	assert_string_equal(record.event.event_id, "a-1");
	assert_next(server, &record, "a-2");
	assert_next(time, &record, "a-2");
	/* Two more of the very time at which the other cursor stands. */
	for (int64_t position = 5; position <= 6; position++) {
		sample_fill(&sample, "a", position);
		sample.event.time_us = 20;
		assert_int_equal(store_event(store, &sample.event, NULL), STORE_OK);
	}
	assert_ids(server, "a-3 a-4 a-5 a-6");
	assert_ids(time, "a-5 a-6");
	/* A cursor by id has been and gone. */
	server = by_id(store, "a-1");
	assert_next(server, &record, "a-1");
	append_ok(store, "a", 7, 1);
	assert_ids(server, "");
	/* Behind the last position of all there is nothing, and no overflow. */
	append_ok(store, "z", INT64_MAX, 1);
	server = by_server(store, "z", 0, INT64_MAX);
	assert_next(server, &record, "z-9223372036854775807");
	append_ok(store, "a", 8, 1);
	assert_ids(server, "");
	store_close(store);
}

/* [A6] An event that a cursor returned can be appended again under another name. */
static void test_append_what_was_read(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct store_cursor *cursor;
	struct store_record record;
	bool found = true;

	append_ok(store, "a", 1, 20);
	cursor = by_server(store, "a", 1, 100);
	while (store_cursor_next(cursor, &record, &found, NULL) == STORE_OK && found) {
		struct store_event copy = record.event;
		char id[64];

		snprintf(id, sizeof(id), "copy-of-%s", record.event.event_id);
		copy.event_id = id;
		copy.server_id = "copy";
		assert_int_equal(store_event(store, &copy, NULL), STORE_OK);
	}
	store_cursor_close(cursor);
	assert_int_equal(query_int(store_handle(store),
				   "SELECT count(*) FROM events AS a JOIN events AS b"
				   " ON b.event_id = 'copy-of-' || a.event_id"
				   " WHERE a.payload = b.payload AND a.time_us = b.time_us"),
			 20);
	store_close(store);
}

/* [A6] What another handle commits is not seen by a cursor on its way, but by the next one. */
static void test_snapshot(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct store *other = open_with(folder->store, NULL);
	struct store_record record;
	struct store_cursor *cursor;

	append_ok(store, "a", 1, 3);
	cursor = by_server(store, "a", 1, 100);
	assert_next(cursor, &record, "a-1");
	append_ok(other, "a", 4, 2);
	assert_ids(cursor, "a-2 a-3");
	assert_ids(by_server(store, "a", 3, 100), "a-3 a-4 a-5");
	/* Having read an older state does not keep this handle from writing. */
	cursor = by_server(store, "a", 1, 100);
	assert_next(cursor, &record, "a-1");
	append_ok(other, "a", 6, 1);
	append_ok(store, "a", 7, 1);
	assert_ids(cursor, "a-2 a-3 a-4 a-5 a-6 a-7");
	store_close(store);
	store_close(other);
}

/* [A6] A cursor that outlives its store answers with an error, and can be closed. */
static void test_cursor_outlives_its_store(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct store_error err = {0};
	struct store_record record;
	struct store_cursor *one;
	struct store_cursor *two;
	bool found = true;

	append_ok(store, "a", 1, 3);
	one = by_server(store, "a", 1, 100);
	two = by_time(store, 0, 100);
	assert_next(one, &record, "a-1");
	store_close(store);
	/* The cursor has not kept the file open. */
	assert_false(file_exists(folder->wal));
	assert_int_equal(store_cursor_next(one, &record, &found, &err), STORE_ERR_INVALID);
	assert_int_equal(store_cursor_next(two, &record, &found, NULL), STORE_ERR_INVALID);
	assert_true(found);
	store_cursor_close(one);
	store_cursor_close(two);
	store_cursor_close(NULL);
}

/* [A6] Before version 4, whose table for them is test_store_dead_letters.c's, a row that is not
 * what was written is reported by its seq, and the cursor goes on behind. */
static void test_corrupt_rows(void **state)
{
	static const char *const damages[] = {
	    "UPDATE events SET payload = x'7061796c6f61642032ff' WHERE seq = 2",
	    "UPDATE events SET payload = 'payload 2' WHERE seq = 2",
	    "UPDATE events SET checksum = checksum + 1 WHERE seq = 2",
	    "UPDATE events SET checksum = 'x' WHERE seq = 2",
	    "UPDATE events SET kind = 'nota' WHERE seq = 2",
	    "UPDATE events SET kind = x'6e6f7465' WHERE seq = 2",
	    "UPDATE events SET kind = CAST(x'6e6f746500' AS TEXT) WHERE seq = 2",
	    "UPDATE events SET event_id = 'x' WHERE seq = 2",
	    "UPDATE events SET batch_id = x'00' WHERE seq = 2",
	};
	const struct folder *folder = folder_of(state);

	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		struct store *store;
		struct store_cursor *cursors[2];

		folder_empty(folder);
		store = open_version(folder->store, 3);
		append_ok(store, "a", 1, 3);
		exec(store_handle(store), "DROP TRIGGER events_no_update");
		exec(store_handle(store), damages[i]);
		cursors[0] = by_server(store, "a", 1, 100);
		cursors[1] = by_time(store, 0, 100);
		for (size_t j = 0; j < 2; j++) {
			struct store_error err = {0};
			struct store_record record;
			bool found = false;

			assert_next(cursors[j], &record, "a-1");
			assert_int_equal(store_cursor_next(cursors[j], &record, &found, &err),
					 STORE_ERR_CORRUPT_EVENT);
			assert_non_null(strstr(err.message, "seq 2"));
			/* Outputs are as they were. */
			assert_false(found);
			assert_int_equal(store_cursor_dead_count(cursors[j]), 0);
			assert_ids(cursors[j], "a-3");
		}
		store_close(store);
	}
}

/* [A6] Arguments that can be no id are errors, and leave the output alone. */
static void test_arguments(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct store_cursor *untouched = (struct store_cursor *)(void *)&store;
	struct store_cursor *cursor = untouched;
	struct store_error err = {0};
	struct store_record record;
	bool found;

	assert_int_equal(store_cursor_open_by_id(store, NULL, &cursor, &err), STORE_ERR_INVALID);
	assert_int_equal(store_cursor_open_by_id(store, "", &cursor, &err), STORE_ERR_INVALID);
	assert_int_equal(store_cursor_open_by_id(store, "\xff", &cursor, &err), STORE_ERR_INVALID);
	assert_non_null(strstr(err.message, "UTF-8"));
	assert_int_equal(store_cursor_open_by_server(store, "\xff", 0, 1, &cursor, &err),
			 STORE_ERR_INVALID);
	assert_int_equal(store_cursor_open_by_id(NULL, "a", &cursor, &err), STORE_ERR_INVALID);
	assert_int_equal(store_cursor_open_by_time(NULL, 0, 1, &cursor, &err), STORE_ERR_INVALID);
	assert_ptr_equal(cursor, untouched);
	assert_int_equal(store_cursor_open_by_id(store, "a", NULL, &err), STORE_ERR_INVALID);
	assert_int_equal(store_cursor_next(NULL, &record, &found, &err), STORE_ERR_INVALID);
	store_close(store);
}

/* [A6] The order of every cursor is an index's: SQLite neither scans the table nor sorts. */
static void test_cursors_follow_indexes(void **state)
{
	const struct folder *folder = folder_of(state);

	for (size_t version = 1; version <= 4; version++) {
		struct store *store;
		struct store_cursor *cursors[3];
		sqlite3_stmt *stmt = NULL;
		size_t seen = 0;

		folder_empty(folder);
		store = open_version(folder->store, version);
		cursors[0] = by_id(store, "a");
		cursors[1] = by_server(store, "a", 0, 1);
		cursors[2] = by_time(store, 0, 1);
		/* The statements are the cursors' own: asked of the connection, not copied. */
		while ((stmt = sqlite3_next_stmt(store_handle(store), stmt)) != NULL) {
			char sql[1024];
			sqlite3_stmt *plan = NULL;

			if (!strstr(sqlite3_sql(stmt), "batch_count FROM events"))
				continue;
			seen++;
			snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s", sqlite3_sql(stmt));
			assert_int_equal(
			    sqlite3_prepare_v2(store_handle(store), sql, -1, &plan, NULL),
			    SQLITE_OK);
			while (sqlite3_step(plan) == SQLITE_ROW) {
				const char *step = (const char *)sqlite3_column_text(plan, 3);

				if (strstr(step, "SCAN") || strstr(step, "TEMP B-TREE"))
					fail_msg("%s: %s", sqlite3_sql(stmt), step);
				assert_non_null(strstr(step, "SEARCH"));
			}
			sqlite3_finalize(plan);
		}
		assert_int_equal(seen, 3);
		for (size_t i = 0; i < 3; i++)
			store_cursor_close(cursors[i]);
		store_close(store);
	}
}

/* Reads to the end, and returns how many events there were. */
static int64_t drain(struct store_cursor *cursor)
{
	struct store_record record;
	bool found = true;
	int64_t count = 0;

	for (;;) {
		assert_int_equal(store_cursor_next(cursor, &record, &found, NULL), STORE_OK);
		if (!found)
			break;
		count++;
	}
	store_cursor_close(cursor);
	return count;
}

/* How many events are many: `make check-long` asks for a million. */
static int64_t many_events(void)
{
	const char *text = getenv("STORE_TEST_EVENTS");

	return text ? strtoll(text, NULL, 10) : 100000;
}

/* [A6] Reading many events takes no more memory than reading a thousand, of SQLite's and of ours.
 */
static void test_constant_memory(void **state)
{
	enum { FEW = 1000 };
	const int64_t events = many_events();
	static const struct store_pragma small_cache = {"cache_size", "20"};
	const struct folder *folder = folder_of(state);
	struct store_options options = {.profile = STORE_PROFILE_BULK};
	struct store *store = open_with(folder->store, &options);
	struct rusage before;
	struct rusage after;
	sqlite3_int64 few;
	sqlite3_int64 many;

	for (int64_t first = 0; first < events; first += 100)
		append_ok(store, "a", first, 100);
	store_close(store);
	options = (struct store_options){.pragmas = &small_cache, .pragma_count = 1};
	store = open_with(folder->store, &options);
	/* Fills the page cache, whose size is a setting and not the cursor's doing. */
	assert_int_equal(drain(by_server(store, "a", 0, FEW - 1)), FEW);
	assert_int_equal(drain(by_time(store, 0, 10 * (FEW - 1))), FEW);

	sqlite3_memory_highwater(1);
	assert_int_equal(drain(by_server(store, "a", 0, FEW - 1)), FEW);
	assert_int_equal(drain(by_time(store, 0, 10 * (FEW - 1))), FEW);
	few = sqlite3_memory_highwater(1);
	assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
	assert_int_equal(drain(by_server(store, "a", 0, INT64_MAX)), events);
	assert_int_equal(drain(by_time(store, INT64_MIN, INT64_MAX)), events);
	many = sqlite3_memory_highwater(1);
	assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
	/* In KiB on Linux. A hundred bytes for each event would show. */
	assert_true(after.ru_maxrss <= before.ru_maxrss + 4096);
	/* Zero would mean that SQLite was built without counting. */
	assert_true(few > 0);
	assert_true(many <= few + 16 * 1024);
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_by_id),
	    TEST(test_by_server),
	    TEST(test_by_time),
	    TEST(test_empty_payload),
	    TEST(test_older_versions_read),
	    TEST(test_interleaved_cursors),
	    TEST(test_append_while_reading),
	    TEST(test_append_what_was_read),
	    TEST(test_snapshot),
	    TEST(test_cursor_outlives_its_store),
	    TEST(test_corrupt_rows),
	    TEST(test_arguments),
	    TEST(test_cursors_follow_indexes),
	    TEST(test_constant_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
