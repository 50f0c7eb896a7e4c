/*
 * test_store_dead_letters.c: rows that are no events any more (A5): the reader steps over them, and
 * the table says which and why; from a handle that can write by itself, from a reader of a pool by
 * way of the caller.
 */
#include <time.h>

#include "store/internal.h"
#include "store/test/store_test.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static struct store_cursor *by_server(struct store *store)
{
	struct store_cursor *cursor = NULL;

	assert_int_equal(store_cursor_open_by_server(store, "a", 0, INT64_MAX, &cursor, NULL),
			 STORE_OK);
	return cursor;
}

/* Reads to the end, and returns the sum of the positions that came, which come in order. */
static int64_t read_all(struct store_cursor *cursor)
{
	int64_t last = -1;
	int64_t sum = 0;

	for (;;) {
		struct store_record record;
		struct store_error err = {0};
		bool found = false;

		if (store_cursor_next(cursor, &record, &found, &err) != STORE_OK)
			fail_msg("%s: %s", store_code_name(err.code), err.message);
		if (!found)
			return sum;
		assert_true(record.event.position > last);
		last = record.event.position;
		sum += last;
	}
}

static int64_t noted_count(struct store *store)
{
	return query_int(store_handle(store), "SELECT count(*) FROM dead_letters");
}

static void damage(struct store *store, const char *sql)
{
	exec(store_handle(store), "DROP TRIGGER IF EXISTS events_no_update");
	exec(store_handle(store), sql);
}

/* Events at the positions 1 to count, of which those at even ones are corrupt. */
static void fill_half_corrupt(struct store *store, int64_t count)
{
	for (int64_t first = 1; first <= count; first += 50)
		append_ok(store, "a", first,
			  count - first + 1 < 50 ? (size_t)(count - first + 1) : 50);
	damage(store, "UPDATE events SET checksum = checksum + 1 WHERE position % 2 = 0");
}

/* The sum of the odd numbers up to count, which is even. */
static int64_t odd_sum(int64_t count)
{
	return count / 2 * (count / 2);
}

/* [A5] Whatever is wrong with a row, a cursor that meets it goes on behind it, and it is in the
 * table with its reason and the time. */
static void test_every_damage(void **state)
{
	static const struct {
		const char *sql, *reason;
	} damages[] = {
	    {"payload = x'7061796c6f61642032ff'", "the row does not match its checksum"},
	    {"checksum = checksum + 1", "the row does not match its checksum"},
	    {"kind = 'nota'", "the row does not match its checksum"},
	    {"event_id = 'x'", "the row does not match its checksum"},
	    {"payload = 'payload 2'", "payload is not stored as a blob"},
	    {"checksum = 'x'", "checksum is not stored as an integer"},
	    {"kind = x'6e6f7465'", "kind is not stored as a text"},
	    {"kind = CAST(x'6e6f746500' AS TEXT)", "kind has a NUL in it"},
	    {"batch_id = x'00'", "batch_id is not stored as an integer"},
	    {"batch_count = 1.5", "batch_count is not stored as an integer"},
	};
	const struct folder *folder = folder_of(state);

	for (size_t i = 0; i < COUNT_OF(damages); i++) {
		for (size_t by = 0; by < 2; by++) {
			struct store_dead_letter letters[2];
			struct store_cursor *cursor = NULL;
			struct store *store;
			char sql[128];
			size_t count = 0;

			folder_empty(folder);
			store = open_with(folder->store, NULL);
			append_ok(store, "a", 1, 3);
			snprintf(sql, sizeof(sql), "UPDATE events SET %s WHERE seq = 2",
				 damages[i].sql);
			damage(store, sql);
			if (by == 0)
				cursor = by_server(store);
			else
				store_cursor_open_by_time(store, 0, 100, &cursor, NULL);
			assert_int_equal(store_cursor_dead_count(cursor), 0);
			assert_int_equal(read_all(cursor), 1 + 3);
			assert_int_equal(store_cursor_dead_count(cursor), 1);
			assert_int_equal(store_cursor_dead_letters(cursor, letters, 2), 0);
			store_cursor_close(cursor);
			assert_int_equal(
			    store_dead_letters_list(store, INT64_MIN, letters, 2, &count, NULL),
			    STORE_OK);
			assert_int_equal(count, 1);
			assert_int_equal(letters[0].seq, 2);
			assert_string_equal(letters[0].reason, damages[i].reason);
			assert_int_equal(letters[0].noted_us, clock_fixed(NULL));
			/* The row is where it was. */
			assert_int_equal(event_count(store), 3);
			store_close(store);
		}
	}
}

/* [A5] An event that is asked for by its id, and is corrupt, is not found, and noted. */
static void test_by_id(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct store_cursor *cursor = NULL;

	append_ok(store, "a", 1, 2);
	damage(store, "UPDATE events SET checksum = 0 WHERE event_id = 'a-1'");
	assert_int_equal(store_cursor_open_by_id(store, "a-1", &cursor, NULL), STORE_OK);
	assert_int_equal(read_all(cursor), 0);
	assert_int_equal(noted_count(store), 1);
	store_cursor_close(cursor);
	store_close(store);
}

/* A decoder that refuses by kind, and says what it is told to. */
struct decoder {
	const char *refused;
	const char *reason;
	size_t asked;
};

static bool decode(void *context, const char *kind, const void *payload, size_t payload_bytes,
		   char *ret_reason)
{
	struct decoder *decoder = context;

	decoder->asked++;
	assert_int_equal(((const char *)payload)[payload_bytes - 1], kind[0] == 'n' ? '1' : '2');
	if (strcmp(kind, decoder->refused) != 0)
		return true;
	memcpy(ret_reason, decoder->reason, strlen(decoder->reason) + 1);
	return false;
}

/* [A5] What the caller's decoder refuses is a dead letter with the decoder's reason, made a text;
 * in a store before version 4 it is STORE_ERR_CORRUPT_EVENT. */
static void test_decode(void **state)
{
	static const char longest[] =
	    "1234567890123456789012345678901234567890123456789012345678901234567890"
	    "123456789012345678901234567890123456789012345678901234567";
	static const struct {
		const char *reason, *expected;
	} reasons[] = {
	    {"bad date", "bad date"},
	    {"", "payload cannot be decoded"},
	    {"b\xc3\xb6se", "b\xc3\xb6se"},
	    {"bad \xff", "bad ?"},
	    {longest, longest},
	};
	const struct folder *folder = folder_of(state);

	assert_int_equal(sizeof(longest), STORE_REASON_BYTES_MAX + 1);
	for (size_t i = 0; i < 2 * COUNT_OF(reasons); i++) {
		size_t which = i / 2;
		bool old = i % 2;
		struct decoder decoder = {"other", reasons[which].reason, 0};
		struct store_options options = {.decode = decode, .decode_context = &decoder};
		struct store_error err = {0};
		struct store_record record;
		struct store_cursor *cursor;
		struct sample sample;
		struct store *store;
		bool found = false;

		folder_empty(folder);
		options.migrations = store_migrations(STORE_SCHEMA_EVENTS, NULL);
		options.migration_count = old ? 3 : 4;
		store = open_with(folder->store, &options);
		append_ok(store, "a", 1, 1);
		sample_fill(&sample, "a", 2);
		sample.event.kind = "other";
		assert_int_equal(store_event(store, &sample.event, NULL), STORE_OK);
		cursor = by_server(store);
		if (old) {
			assert_int_equal(store_cursor_next(cursor, &record, &found, NULL),
					 STORE_OK);
			assert_int_equal(store_cursor_next(cursor, &record, &found, &err),
					 STORE_ERR_CORRUPT_EVENT);
			assert_non_null(strstr(err.message, reasons[which].expected));
			assert_non_null(strstr(err.message, "seq 2"));
			assert_int_equal(read_all(cursor), 0);
		} else {
			assert_int_equal(read_all(cursor), 1);
			assert_query_text(store_handle(store),
					  "SELECT reason FROM dead_letters WHERE seq = 2",
					  reasons[which].expected);
		}
		assert_int_equal(decoder.asked, 2);
		store_cursor_close(cursor);
		store_close(store);
	}
}

/* [A5] More corrupt rows than a cursor holds are all noted, on the way, and no event is repeated or
 * left out for it. */
static void test_many(void **state)
{
	enum { EVENTS = 400 };
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct store_cursor *cursor;
	struct store_cursor *other;
	struct store_record record;
	bool found = false;

	fill_half_corrupt(store, EVENTS);
	cursor = by_server(store);
	other = by_server(store);
	assert_int_equal(store_cursor_next(other, &record, &found, NULL), STORE_OK);
	for (int i = 0; i <= STORE_DEAD_LETTERS_HELD_MAX; i++) {
		assert_int_equal(store_cursor_next(cursor, &record, &found, NULL), STORE_OK);
		assert_int_equal(record.event.position, 2 * i + 1);
		assert_int_equal(noted_count(store),
				 i < STORE_DEAD_LETTERS_HELD_MAX ? 0 : STORE_DEAD_LETTERS_HELD_MAX);
	}
	assert_int_equal(read_all(cursor),
			 odd_sum(EVENTS) - odd_sum(2 * (STORE_DEAD_LETTERS_HELD_MAX + 1)));
	assert_int_equal(store_cursor_dead_count(cursor), EVENTS / 2);
	assert_int_equal(noted_count(store), EVENTS / 2);
	/* Another cursor, whose snapshot went with that, goes on where it was. */
	assert_int_equal(read_all(other), odd_sum(EVENTS) - 1);
	store_cursor_close(cursor);
	store_cursor_close(other);
	store_close(store);
}

/* [A5] A cursor that is closed half way has noted what it met. */
static void test_closed_early(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct store_cursor *cursor;
	struct store_record record;
	bool found = false;

	fill_half_corrupt(store, 20);
	cursor = by_server(store);
	for (int i = 0; i < 4; i++)
		assert_int_equal(store_cursor_next(cursor, &record, &found, NULL), STORE_OK);
	assert_int_equal(noted_count(store), 0);
	store_cursor_close(cursor);
	assert_query_text(store_handle(store), "SELECT group_concat(seq) FROM dead_letters",
			  "2,4,6");
	store_close(store);
}

static int64_t clock_later(void *context)
{
	(void)context;
	return 42;
}

/* [A5] What has been noted stays as it was noted, and to meet it again writes nothing. */
static void test_noted_once(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_options options = {.clock_us = clock_later, .busy_timeout_ms = -1};
	struct store *store = open_with(folder->store, NULL);
	struct store *again = open_with(folder->store, &options);
	struct store_cursor *cursor;
	int64_t changes;

	fill_half_corrupt(store, 10);
	cursor = by_server(store);
	read_all(cursor);
	store_cursor_close(cursor);
	changes = sqlite3_total_changes(store_handle(again));
	/* Not even the lock is asked for. */
	exec(store_handle(store), "BEGIN IMMEDIATE");
	cursor = by_server(again);
	assert_int_equal(read_all(cursor), odd_sum(10));
	assert_int_equal(store_cursor_dead_letters(cursor, &(struct store_dead_letter){0}, 1), 0);
	assert_int_equal(store_cursor_dead_count(cursor), 5);
	store_cursor_close(cursor);
	exec(store_handle(store), "ROLLBACK");
	assert_int_equal(sqlite3_total_changes(store_handle(again)), changes);
	assert_int_equal(query_int(store_handle(store), "SELECT max(noted_us) FROM dead_letters"),
			 clock_fixed(NULL));
	store_close(again);
	store_close(store);
}

/* [A5] While somebody else writes the reader does not wait: it reads to the end, and what it could
 * not note is the caller's to take, as much as fits. */
static void test_lock_is_taken(void **state)
{
	enum { EVENTS = 200 };
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct store *other = open_with(folder->store, NULL);
	struct store_dead_letter letters[EVENTS];
	struct store_cursor *cursor;
	time_t before;

	fill_half_corrupt(store, EVENTS);
	exec(store_handle(other), "BEGIN IMMEDIATE");
	before = time(NULL);
	cursor = by_server(store);
	assert_int_equal(read_all(cursor), odd_sum(EVENTS));
	assert_true(time(NULL) - before < 10);
	assert_int_equal(store_cursor_dead_count(cursor), EVENTS / 2);
	assert_int_equal(store_cursor_dead_letters(cursor, letters, 3), 3);
	assert_int_equal(letters[0].seq, 2);
	assert_int_equal(letters[2].seq, 6);
	assert_int_equal(letters[0].noted_us, 0);
	exec(store_handle(other), "COMMIT");
	assert_int_equal(noted_count(store), 0);
	/* The next occasion, which is here a look behind the end. */
	assert_int_equal(read_all(cursor), 0);
	assert_int_equal(noted_count(store), STORE_DEAD_LETTERS_HELD_MAX - 3);
	assert_int_equal(store_dead_letters(store, letters, 3, NULL), STORE_OK);
	assert_int_equal(noted_count(store), STORE_DEAD_LETTERS_HELD_MAX);
	store_cursor_close(cursor);
	/* Functions that write are as patient as before. */
	assert_int_equal(store->patience.limit_ms, STORE_BUSY_TIMEOUT_DEFAULT_MS);
	cursor = by_server(store);
	read_all(cursor);
	store_cursor_close(cursor);
	assert_int_equal(noted_count(store), EVENTS / 2);
	store_close(other);
	store_close(store);
}

/* [A5] A full disk does not stop the reader either. */
static void test_disk_is_full(void **state)
{
	enum { EVENTS = 300 };
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct store_cursor *cursor;

	fill_half_corrupt(store, EVENTS);
	exec(store_handle(store), "UPDATE events SET kind = x'00' WHERE position % 2 = 0;"
				  "PRAGMA max_page_count = 1");
	cursor = by_server(store);
	assert_int_equal(read_all(cursor), odd_sum(EVENTS));
	assert_int_equal(store_cursor_dead_count(cursor), EVENTS / 2);
	assert_true(noted_count(store) < EVENTS / 2);
	exec(store_handle(store), "PRAGMA max_page_count = 1000000");
	read_all(cursor);
	store_cursor_close(cursor);
	cursor = by_server(store);
	assert_int_equal(read_all(cursor), odd_sum(EVENTS));
	store_cursor_close(cursor);
	assert_int_equal(noted_count(store), EVENTS / 2);
	store_close(store);
}

/* What is read inside a transaction that also writes. */
struct inside {
	struct store_cursor *cursor;
	int64_t sum;
	enum store_code pass_on;
	bool close;
};

static enum store_code write_and_read(struct store *store, void *context, struct store_error *err)
{
	struct inside *inside = context;
	enum store_code code = append_range(store, "b", 1, 1, err);

	if (code != STORE_OK)
		return code;
	inside->cursor = by_server(store);
	exec(store_handle(store), "PRAGMA max_page_count = 1");
	inside->sum = read_all(inside->cursor);
	if (inside->close)
		store_cursor_close(inside->cursor);
	assert_int_equal(noted_count(store), 0);
	if (inside->pass_on != STORE_OK)
		store_error_set(err, inside->pass_on, 0, "as the test wants it");
	return inside->pass_on;
}

/* [A5] Inside a transaction nothing is noted, so that no note can fail it, on a full disk for one,
 * and none is undone with it: what the cursor holds it holds when the transaction has ended, either
 * way, and notes then. */
static void test_inside_a_transaction(void **state)
{
	enum { EVENTS = 3000 };
	const struct folder *folder = folder_of(state);

	for (int i = 0; i < 3; i++) {
		struct inside inside = {.pass_on = i == 1 ? STORE_ERR_CANCELLED : STORE_OK,
					.close = i == 2};
		struct store *store;

		folder_empty(folder);
		store = open_with(folder->store, NULL);
		fill_half_corrupt(store, EVENTS);
		assert_int_equal(store_transaction(store, write_and_read, &inside, NULL),
				 inside.pass_on);
		assert_int_equal(inside.sum, odd_sum(EVENTS));
		exec(store_handle(store), "PRAGMA max_page_count = 1000000");
		assert_int_equal(event_count(store), EVENTS + (i == 1 ? 0 : 1));
		assert_int_equal(noted_count(store), 0);
		if (!inside.close) {
			assert_int_equal(store_cursor_dead_count(inside.cursor), EVENTS / 2);
			assert_int_equal(read_all(inside.cursor), 0);
			assert_int_equal(noted_count(store), STORE_DEAD_LETTERS_HELD_MAX);
			store_cursor_close(inside.cursor);
		}
		store_close(store);
	}
}

/* [A5] The same with a transaction of the caller's own on the handle: letters that are in the table
 * for as long as it lasts are not taken for noted. */
static void test_inside_a_foreign_transaction(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct store_cursor *cursor;

	fill_half_corrupt(store, 10);
	exec(store_handle(store), "BEGIN; INSERT INTO dead_letters (seq, reason, noted_us)"
				  " SELECT seq, 'x', 0 FROM events WHERE position % 2 = 0");
	cursor = by_server(store);
	assert_int_equal(read_all(cursor), odd_sum(10));
	exec(store_handle(store), "ROLLBACK");
	assert_int_equal(noted_count(store), 0);
	store_cursor_close(cursor);
	assert_int_equal(noted_count(store), 5);
	store_close(store);
}

/* [A5] A reader that cannot write hands its letters to the caller, in pieces, and a store that can
 * write notes them. */
static void test_reader_of_a_pool(void **state)
{
	enum { EVENTS = 40 };
	const struct folder *folder = folder_of(state);
	struct store_dead_letter letters[EVENTS];
	struct store_options options = {0};
	struct store *store = open_with(folder->store, NULL);
	struct store *reader = NULL;
	struct store_cursor *cursor;
	size_t count;

	fill_half_corrupt(store, EVENTS);
	assert_int_equal(store_open_reader(folder->store, &options, &reader, NULL), STORE_OK);
	cursor = by_server(reader);
	assert_int_equal(read_all(cursor), odd_sum(EVENTS));
	assert_int_equal(store_dead_letters(reader, letters, 0, NULL), STORE_OK);
	assert_int_equal(store_cursor_dead_letters(cursor, letters, 0), 0);
	count = store_cursor_dead_letters(cursor, letters, 7);
	assert_int_equal(count, 7);
	count += store_cursor_dead_letters(cursor, letters + 7, EVENTS);
	assert_int_equal(count, EVENTS / 2);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(letters[i].seq, 2 * (i + 1));
	assert_int_equal(store_cursor_dead_letters(cursor, letters, EVENTS), 0);
	assert_int_equal(store_dead_letters(reader, letters, count, NULL), STORE_ERR_READ_ONLY);
	assert_int_equal(noted_count(store), 0);
	assert_int_equal(store_dead_letters(store, letters, count, NULL), STORE_OK);
	assert_int_equal(noted_count(store), count);
	store_cursor_close(cursor);
	/* What has been noted is not handed out again. */
	cursor = by_server(reader);
	assert_int_equal(read_all(cursor), odd_sum(EVENTS));
	assert_int_equal(store_cursor_dead_count(cursor), EVENTS / 2);
	assert_int_equal(store_cursor_dead_letters(cursor, letters, EVENTS), 0);
	store_cursor_close(cursor);
	store_close(reader);
	store_close(store);
}

/* [A5] Letters are noted all or none; the error names the one that is about no event, or has no
 * reason. */
static void test_note(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct store_dead_letter letters[3] = {
	    {.seq = 1, .reason = "one"}, {.seq = 2, .reason = "two"}, {.seq = 9, .reason = "nine"}};
	struct store_dead_letter listed[3];
	struct store_error err = {0};
	size_t count = 0;

	append_ok(store, "a", 1, 3);
	assert_int_equal(store_dead_letters(store, letters, 3, &err), STORE_ERR_NOT_FOUND);
	assert_int_equal(err.index, 2);
	assert_int_equal(noted_count(store), 0);
	letters[2].seq = 3;
	letters[1].reason[0] = '\0';
	assert_int_equal(store_dead_letters(store, letters, 3, &err), STORE_ERR_INVALID);
	assert_int_equal(err.index, 1);
	memset(letters[1].reason, 'x', sizeof(letters[1].reason));
	assert_int_equal(store_dead_letters(store, letters, 3, &err), STORE_ERR_INVALID);
	assert_int_equal(noted_count(store), 0);
	letters[1].reason[1] = '\0';
	assert_int_equal(store_dead_letters(store, letters, 3, NULL), STORE_OK);
	/* One that is there keeps its reason, also beside one that is new. */
	append_ok(store, "a", 4, 1);
	letters[0].seq = 4;
	letters[2].reason[0] = 'N';
	assert_int_equal(store_dead_letters(store, letters, 3, NULL), STORE_OK);
	assert_int_equal(noted_count(store), 4);
	assert_int_equal(store_dead_letters(store, NULL, 0, NULL), STORE_OK);
	assert_int_equal(store_dead_letters(store, NULL, 1, NULL), STORE_ERR_INVALID);
	assert_int_equal(store_dead_letters(NULL, letters, 1, NULL), STORE_ERR_INVALID);

	assert_int_equal(store_dead_letters_list(store, INT64_MIN, listed, 2, &count, NULL),
			 STORE_OK);
	assert_int_equal(count, 2);
	assert_string_equal(listed[0].reason, "one");
	assert_string_equal(listed[1].reason, "x");
	assert_int_equal(store_dead_letters_list(store, listed[1].seq, listed, 2, &count, NULL),
			 STORE_OK);
	assert_int_equal(count, 2);
	assert_string_equal(listed[0].reason, "nine");
	assert_string_equal(listed[1].reason, "one");
	assert_int_equal(store_dead_letters_list(store, 0, NULL, 0, &count, NULL), STORE_OK);
	assert_int_equal(count, 0);
	assert_int_equal(store_dead_letters_list(store, 0, NULL, 1, &count, NULL),
			 STORE_ERR_INVALID);
	assert_int_equal(store_dead_letters_list(store, 0, listed, 1, NULL, NULL),
			 STORE_ERR_INVALID);
	store_close(store);
	folder_empty(folder);
	store = open_version(folder->store, 3);
	assert_int_equal(store_dead_letters(store, letters, 1, &err), STORE_ERR_INVALID);
	assert_non_null(strstr(err.message, "version 4"));
	assert_int_equal(store_dead_letters_list(store, 0, listed, 1, &count, NULL),
			 STORE_ERR_INVALID);
	store_close(store);
}

/* [A5] A cursor whose store has been closed still has its letters to give, and can be closed. */
static void test_store_is_closed_first(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct store_dead_letter letters[4];
	struct store_record record;
	struct store_cursor *cursor;
	bool found = false;

	fill_half_corrupt(store, 10);
	cursor = by_server(store);
	for (int i = 0; i < 3; i++)
		assert_int_equal(store_cursor_next(cursor, &record, &found, NULL), STORE_OK);
	store_close(store);
	assert_int_equal(store_cursor_dead_count(cursor), 2);
	assert_int_equal(store_cursor_dead_letters(cursor, letters, 1), 1);
	store_cursor_close(cursor);
	assert_int_equal(store_cursor_dead_count(NULL), 0);
	assert_int_equal(store_cursor_dead_letters(NULL, letters, 4), 0);
	store = open_with(folder->store, NULL);
	assert_int_equal(noted_count(store), 0);
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_every_damage),
	    TEST(test_by_id),
	    TEST(test_decode),
	    TEST(test_many),
	    TEST(test_closed_early),
	    TEST(test_noted_once),
	    TEST(test_lock_is_taken),
	    TEST(test_disk_is_full),
	    TEST(test_inside_a_transaction),
	    TEST(test_inside_a_foreign_transaction),
	    TEST(test_reader_of_a_pool),
	    TEST(test_note),
	    TEST(test_store_is_closed_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
