/*
 * test_store_append.c: appending (A4): a batch is whole or nothing, costs one sync, and says which
 * event was at fault.
 */
#include "store/test/counting_vfs.h"
#include "store/test/store_test.h"

/* [A4] An event is stored with everything that it consists of. */
static void test_one_event(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct sqlite3 *db = store_handle(store);
	struct sample sample;

	assert_int_equal(store_event(store, sample_fill(&sample, "a", 4), NULL), STORE_OK);
	assert_query_text(db,
			  "SELECT seq || '|' || event_id || '|' || server_id || '|' || position"
			  " || '|' || time_us || '|' || kind || '|' || CAST(payload AS TEXT)"
			  " || '|' || batch_id || '|' || batch_count || '|' || payload_bytes"
			  " FROM events",
			  "1|a-4|a|4|40|note|payload 4|1|1|9");
	assert_query_text(db,
			  "SELECT typeof(event_id) || typeof(payload) || typeof(checksum)"
			  " FROM events",
			  "textblobinteger");
	assert_int_equal(query_int(db, "SELECT checksum FROM events"),
			 (int64_t)store_event_checksum(&sample.event));
	store_close(store);
}

/* [A4] A batch with one duplicate in it, wherever it is, leaves nothing, and its index is named. */
static void test_batch_with_one_duplicate_is_all_or_nothing(void **state)
{
	enum { COUNT = 6 };
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);

	append_ok(store, "a", 1, 3);
	for (size_t at = 0; at < COUNT; at++) {
		struct sample samples[COUNT];
		struct store_event events[COUNT];
		struct store_error err = {0};

		for (size_t i = 0; i < COUNT; i++)
			events[i] = *sample_fill(&samples[i], "b", (int64_t)i);
		events[at].event_id = "a-2";
		assert_int_equal(store_events(store, events, COUNT, &err), STORE_ERR_DUPLICATE);
		assert_int_equal(err.index, at);
		assert_false(err.indeterminate);
		assert_non_null(strstr(err.message, "a-2"));
		assert_int_equal(event_count(store), 3);
	}
	/* Nothing in the way is left behind either. */
	append_ok(store, "b", 0, COUNT);
	assert_int_equal(event_count(store), 3 + COUNT);
	store_close(store);
}

/* [A4] A duplicate is one by id or by server and position, of the store or of the same batch. */
static void test_kinds_of_duplicates(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct sample samples[3];
	struct store_event events[3];
	struct store_error err = {0};

	append_ok(store, "a", 1, 3);
	/* The very same event again, as after an answer that was lost. */
	assert_int_equal(store_event(store, sample_fill(&samples[0], "a", 3), &err),
			 STORE_ERR_DUPLICATE);
	assert_int_equal(err.index, 0);
	/* Another id at a position that is taken. */
	events[0] = *sample_fill(&samples[0], "a", 2);
	events[0].event_id = "other";
	assert_int_equal(store_events(store, events, 1, &err), STORE_ERR_DUPLICATE);
	/* An id twice in a batch, of different servers. */
	events[0] = *sample_fill(&samples[0], "b", 1);
	events[1] = *sample_fill(&samples[1], "c", 1);
	events[2] = *sample_fill(&samples[2], "d", 1);
	events[2].event_id = events[0].event_id;
	assert_int_equal(store_events(store, events, 3, &err), STORE_ERR_DUPLICATE);
	assert_int_equal(err.index, 2);
	/* A position twice in a batch, next to each other and apart. */
	events[1] = events[0];
	events[1].event_id = "other";
	assert_int_equal(store_events(store, events, 2, &err), STORE_ERR_DUPLICATE);
	assert_int_equal(err.index, 1);
	events[1] = *sample_fill(&samples[1], "c", 1);
	events[2] = events[0];
	events[2].event_id = "other";
	assert_int_equal(store_events(store, events, 3, &err), STORE_ERR_DUPLICATE);
	assert_int_equal(err.index, 2);
	assert_int_equal(event_count(store), 3);
	store_close(store);
}

/* [A4] A batch of a thousand costs one sync. */
static void test_batch_of_a_thousand(void **state)
{
	enum { COUNT = 1000 };
	const struct folder *folder = folder_of(state);
	struct sample *samples = calloc(COUNT, sizeof(*samples));
	struct store_event *events = calloc(COUNT, sizeof(*events));
	struct store *store;

	assert_non_null(samples);
	assert_non_null(events);
	for (int i = 0; i < COUNT; i++)
		events[i] = *sample_fill(&samples[i], "a", i + 1);
	counting_vfs_install();
	store = open_with(folder->store, NULL);
	append_ok(store, "a", 0, 1);
	counting_vfs_reset();
	assert_int_equal(store_events(store, events, COUNT, NULL), STORE_OK);
	assert_int_equal(counting_vfs.sync_count, 1);
	assert_int_equal(event_count(store), COUNT + 1);
	store_close(store);
	counting_vfs_remove();
	free(samples);
	free(events);
}

/* [A4] In the steady state a batch costs one sync, and N events by themselves cost N. */
static void test_batch_costs_one_sync(void **state)
{
	enum { COUNT = 100 };
	const struct folder *folder = folder_of(state);
	struct store *store;

	counting_vfs_install();
	store = open_with(folder->store, NULL);
	/* The first commit after a new WAL syncs its header, too. */
	append_ok(store, "a", 0, 1);

	counting_vfs_reset();
	append_ok(store, "a", 1, COUNT);
	assert_int_equal(counting_vfs.sync_count, 1);

	counting_vfs_reset();
	for (int i = 0; i < COUNT; i++)
		append_ok(store, "b", i, 1);
	assert_int_equal(counting_vfs.sync_count, COUNT);
	store_close(store);
	counting_vfs_remove();
}

/* [A4] Each way to be invalid is found before the lock is taken, and leaves nothing of it. */
static void test_invalid_events(void **state)
{
	static char id_max[STORE_ID_BYTES_MAX + 2];
	static char kind_max[STORE_KIND_BYTES_MAX + 2];
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct sample samples[3];
	struct store_event events[3];
	struct store_event broken[12];
	struct store_error err = {0};
	sqlite3 *holder = NULL;
	size_t count = 0;

	memset(id_max, 'i', sizeof(id_max) - 1);
	memset(kind_max, 'k', sizeof(kind_max) - 1);
	for (size_t i = 0; i < 3; i++)
		events[i] = *sample_fill(&samples[i], "a", (int64_t)i);
	for (size_t i = 0; i < 12; i++)
		broken[i] = events[1];
	broken[count++].event_id = NULL;
	broken[count++].event_id = "";
	broken[count++].event_id = id_max;
	broken[count++].server_id = NULL;
	broken[count++].server_id = "";
	broken[count++].server_id = id_max;
	broken[count++].kind = NULL;
	broken[count++].kind = "";
	broken[count++].kind = kind_max;
	broken[count++].position = -1;
	broken[count++].payload = NULL;
	broken[count++].payload_bytes = (size_t)STORE_PAYLOAD_BYTES_MAX + 1;
	assert_int_equal(count, sizeof(broken) / sizeof(broken[0]));

	/* With the lock in other hands: an invalid batch does not even ask for it. */
	assert_int_equal(sqlite3_open(folder->store, &holder), SQLITE_OK);
	exec(holder, "BEGIN IMMEDIATE");
	for (size_t i = 0; i < count; i++) {
		struct store_event batch[3] = {events[0], events[1], broken[i]};

		memset(&err, 0, sizeof(err));
		assert_int_equal(store_events(store, batch, 3, &err), STORE_ERR_INVALID_EVENT);
		assert_int_equal(err.index, 2);
		assert_non_null(strstr(err.message, "event 2"));
		assert_int_equal(store_event(store, &broken[i], &err), STORE_ERR_INVALID_EVENT);
		assert_int_equal(err.index, 0);
	}
	assert_int_equal(event_count(store), 0);
	exec(holder, "ROLLBACK");
	assert_int_equal(sqlite3_close(holder), SQLITE_OK);
	/* The longest that are valid. */
	id_max[STORE_ID_BYTES_MAX] = '\0';
	kind_max[STORE_KIND_BYTES_MAX] = '\0';
	events[0].event_id = id_max;
	events[0].server_id = id_max;
	events[0].kind = kind_max;
	assert_int_equal(store_events(store, events, 1, &err), STORE_OK);
	store_close(store);
}

/* [A4] A text that is not UTF-8 is rejected by index, one that is, is stored as it is. */
static void test_utf8(void **state)
{
	static const char *const bad[] = {
	    "\x80",
	    "a\xbf",
	    "\xc0\xaf",
	    "\xc1\xbf",
	    "\xc3",
	    "\xc3(",
	    "\xe0\x80\xaf",
	    "\xe0\x9f\xbf",
	    "\xed\xa0\x80",
	    "\xed\xbf\xbf",
	    "\xe2\x82",
	    "\xe2(\xa1",
	    "\xf0\x80\x80\x80",
	    "\xf0\x8f\xbf\xbf",
	    "\xf4\x90\x80\x80",
	    "\xf5\x80\x80\x80",
	    "\xf8\x88\x80\x80",
	    "\xff",
	    "\xf0\x9f\x98",
	    "ok\xe2\x82\xac\xfe",
	};
	static const char *const good[] = {
	    "\x01",	     "\x7f",	     "\xc2\x80",     "\xdf\xbf",	 "\xe0\xa0\x80",
	    "\xed\x9f\xbf",  "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
	    "Grüße, 世界 😀",
	};
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct sample samples[2];
	struct store_event events[2];
	struct store_error err = {0};
	size_t count = sizeof(good) / sizeof(good[0]);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		events[0] = *sample_fill(&samples[0], "a", 1);
		events[1] = *sample_fill(&samples[1], "a", 2);
		events[1].event_id = bad[i];
		assert_int_equal(store_events(store, events, 2, &err), STORE_ERR_INVALID_EVENT);
		assert_int_equal(err.index, 1);
		assert_non_null(strstr(err.message, "event_id is not valid UTF-8"));
		events[1] = *sample_fill(&samples[1], "a", 2);
		events[1].server_id = bad[i];
		assert_int_equal(store_events(store, events, 2, &err), STORE_ERR_INVALID_EVENT);
		assert_int_equal(err.index, 1);
		events[1] = *sample_fill(&samples[1], "a", 2);
		events[1].kind = bad[i];
		assert_int_equal(store_events(store, events, 2, &err), STORE_ERR_INVALID_EVENT);
		assert_int_equal(err.index, 1);
	}
	assert_int_equal(event_count(store), 0);
	for (size_t i = 0; i < count; i++) {
		events[0] = *sample_fill(&samples[0], "a", (int64_t)i);
		events[0].event_id = good[i];
		assert_int_equal(store_events(store, events, 1, &err), STORE_OK);
	}
	for (size_t i = 0; i < count; i++) {
		char sql[64];

		snprintf(sql, sizeof(sql), "SELECT event_id FROM events WHERE position = %zu", i);
		assert_query_text(store_handle(store), sql, good[i]);
	}
	store_close(store);
}

/* [A4] An empty payload is an empty blob and not NULL, with a pointer and without. */
static void test_empty_payload(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct sample samples[2];
	struct store_event events[2];

	events[0] = *sample_fill(&samples[0], "a", 1);
	events[0].payload = NULL;
	events[0].payload_bytes = 0;
	events[1] = *sample_fill(&samples[1], "a", 2);
	events[1].payload_bytes = 0;
	assert_int_equal(store_events(store, events, 2, NULL), STORE_OK);
	assert_int_equal(query_int(store_handle(store),
				   "SELECT count(*) FROM events WHERE payload IS NOT NULL"
				   " AND typeof(payload) = 'blob' AND length(payload) = 0"),
			 2);
	store_close(store);
}

/* [A4] Positions of a server rise; they may skip, and one below the last comes too late. */
static void test_positions_rise(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct sample samples[4];
	struct store_event events[4];
	struct store_error err = {0};

	append_ok(store, "a", 10, 1);
	append_ok(store, "b", 0, 1);
	append_ok(store, "a", 20, 1);
	assert_int_equal(append_range(store, "a", 15, 1, &err), STORE_ERR_ORDER);
	assert_int_equal(err.index, 0);
	/* Inside a batch, with another server's event between the two. */
	events[0] = *sample_fill(&samples[0], "a", 30);
	events[1] = *sample_fill(&samples[1], "b", 1);
	events[2] = *sample_fill(&samples[2], "a", 29);
	assert_int_equal(store_events(store, events, 3, &err), STORE_ERR_ORDER);
	assert_int_equal(err.index, 2);
	events[1] = *sample_fill(&samples[1], "a", 29);
	assert_int_equal(store_events(store, events, 2, &err), STORE_ERR_ORDER);
	assert_int_equal(err.index, 1);
	assert_int_equal(event_count(store), 3);
	/* The largest is the last there can be. */
	events[0] = *sample_fill(&samples[0], "a", INT64_MAX);
	assert_int_equal(store_events(store, events, 1, &err), STORE_OK);
	assert_int_equal(append_range(store, "a", 40, 1, &err), STORE_ERR_ORDER);
	store_close(store);
}

/* [A4] Every event says which batch it came in, and how many the batch has. */
static void test_batch_columns(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct sqlite3 *db = store_handle(store);

	append_ok(store, "a", 1, 3);
	append_ok(store, "b", 1, 1);
	assert_int_equal(append_range(store, "a", 2, 4, NULL), STORE_ERR_DUPLICATE);
	append_ok(store, "a", 4, 5);
	assert_query_text(db,
			  "SELECT group_concat(batch_id || ':' || n || '/' || batch_count)"
			  " FROM (SELECT batch_id, batch_count, count(*) AS n FROM events"
			  " GROUP BY batch_id, batch_count ORDER BY batch_id)",
			  "1:3/3,4:1/1,5:5/5");
	assert_int_equal(query_int(db, "SELECT count(*) FROM events WHERE seq < batch_id"
				       " OR seq >= batch_id + batch_count"),
			 0);
	store_close(store);
}

/* [A4] An empty batch succeeds and writes nothing; wrong arguments are told apart from events. */
static void test_arguments(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_error err = {0};
	struct sample sample;
	struct store *store;

	counting_vfs_install();
	store = open_with(folder->store, NULL);
	counting_vfs_reset();
	assert_int_equal(store_events(store, NULL, 0, &err), STORE_OK);
	assert_int_equal(counting_vfs.write_count, 0);
	assert_int_equal(store_events(store, NULL, 1, &err), STORE_ERR_INVALID);
	assert_int_equal(err.index, STORE_INDEX_NONE);
	assert_int_equal(store_event(store, NULL, &err), STORE_ERR_INVALID);
	sample_fill(&sample, "a", 1);
	assert_int_equal(store_event(NULL, &sample.event, &err), STORE_ERR_INVALID);
	assert_int_equal(store_events(store, &sample.event, STORE_BATCH_COUNT_MAX + 1, &err),
			 STORE_ERR_INVALID);
	assert_int_equal(store_events(store, &sample.event, SIZE_MAX, NULL), STORE_ERR_INVALID);
	assert_int_equal(event_count(store), 0);
	store_close(store);
	counting_vfs_remove();
}

/* [A4] A lock that another process holds past the timeout is reported, and leaves nothing. */
static void test_lock_in_another_process(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_options options = {.busy_timeout_ms = 50};
	struct store *store = open_with(folder->store, &options);
	struct store_error err = {0};
	int ready[2];
	int finish[2];
	pid_t child;
	char byte;

	append_ok(store, "a", 1, 1);
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(finish), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		sqlite3 *db = NULL;

		close(ready[0]);
		close(finish[1]);
		if (sqlite3_open(folder->store, &db) != SQLITE_OK ||
		    sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
			_exit(1);
		if (write(ready[1], "r", 1) != 1 || read(finish[0], &byte, 1) != 0)
			_exit(2);
		_exit(0);
	}
	close(ready[1]);
	close(finish[0]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(append_range(store, "a", 2, 3, &err), STORE_ERR_BUSY);
	assert_int_equal(err.sqlite_code & 0xff, SQLITE_BUSY);
	assert_false(err.indeterminate);
	assert_non_null(strstr(err.message, "50 ms"));
	/* Where the operating system tells, it is named. */
	assert_true(strstr(err.message, "another connection or process") ||
		    strstr(err.message, "test_store_app"));
	assert_int_equal(event_count(store), 1);
	close(finish[1]);
	assert_int_equal(child_wait(child), 0);
	close(ready[0]);
	append_ok(store, "a", 2, 3);
	assert_int_equal(event_count(store), 4);
	store_close(store);
}

/* [A4] What the caller leaves open on the raw handle is reported and not committed along. */
static void test_caller_in_the_way(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_options options = {.busy_timeout_ms = -1};
	struct store *store = open_with(folder->store, &options);
	struct store *other = open_with(folder->store, &options);
	struct store_error err = {0};
	sqlite3_stmt *stmt = NULL;

	append_ok(store, "a", 1, 2);
	exec(store_handle(store), "BEGIN");
	assert_int_equal(append_range(store, "a", 3, 1, &err), STORE_ERR_INVALID);
	assert_non_null(strstr(err.message, "store_handle()"));
	exec(store_handle(store), "ROLLBACK");
	/* A statement that still reads an older state cannot become the writer. */
	assert_int_equal(
	    sqlite3_prepare_v2(store_handle(store), "SELECT seq FROM events", -1, &stmt, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	append_ok(other, "a", 3, 1);
	assert_int_equal(append_range(store, "a", 4, 1, &err), STORE_ERR_BUSY);
	assert_non_null(strstr(err.message, "store_handle()"));
	sqlite3_finalize(stmt);
	append_ok(store, "a", 4, 1);
	assert_int_equal(event_count(other), 4);
	store_close(store);
	store_close(other);
}

/* [A4] A payload of any bytes and of a megabyte is stored as it is. */
static void test_large_payload(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	size_t size = 1024 * 1024 + 1;
	unsigned char *payload = malloc(size);
	sqlite3_stmt *stmt = NULL;
	struct sample sample;

	assert_non_null(payload);
	for (size_t i = 0; i < size; i++)
		payload[i] = (unsigned char)(i * 7 + i / 256);
	sample_fill(&sample, "a", 1);
	sample.event.payload = payload;
	sample.event.payload_bytes = size;
	assert_int_equal(store_event(store, &sample.event, NULL), STORE_OK);
	assert_int_equal(
	    sqlite3_prepare_v2(store_handle(store), "SELECT payload FROM events", -1, &stmt, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_int_equal(sqlite3_column_bytes(stmt, 0), size);
	assert_memory_equal(sqlite3_column_blob(stmt, 0), payload, size);
	sqlite3_finalize(stmt);
	free(payload);
	store_close(store);
}

/* [A4] The checksum is the documented one, and each part of an event changes it. */
static void test_checksum(void **state)
{
	struct sample sample;
	struct store_event event;
	uint64_t before;

	(void)state;
	sample_fill(&sample, "a", 1);
	event = sample.event;
	before = store_event_checksum(&event);
	assert_true(before == UINT64_C(0x920a2d2b96e94b58));
	event.event_id = "a-2";
	assert_true(store_event_checksum(&event) != before);
	event = sample.event;
	event.server_id = "b";
	assert_true(store_event_checksum(&event) != before);
	event = sample.event;
	event.position = 2;
	assert_true(store_event_checksum(&event) != before);
	event = sample.event;
	event.time_us = -event.time_us;
	assert_true(store_event_checksum(&event) != before);
	event = sample.event;
	event.kind = "nota";
	assert_true(store_event_checksum(&event) != before);
	event = sample.event;
	event.payload_bytes--;
	assert_true(store_event_checksum(&event) != before);
	/* A byte that moves from one text to the next is seen. */
	event = sample.event;
	event.event_id = "a-";
	event.server_id = "1a";
	assert_true(store_event_checksum(&event) != before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_one_event),
	    TEST(test_batch_with_one_duplicate_is_all_or_nothing),
	    TEST(test_kinds_of_duplicates),
	    TEST(test_batch_costs_one_sync),
	    TEST(test_batch_of_a_thousand),
	    TEST(test_invalid_events),
	    TEST(test_utf8),
	    TEST(test_empty_payload),
	    TEST(test_positions_rise),
	    TEST(test_batch_columns),
	    TEST(test_arguments),
	    TEST(test_lock_in_another_process),
	    TEST(test_caller_in_the_way),
	    TEST(test_large_payload),
	    TEST(test_checksum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
