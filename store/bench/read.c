/*
 * read.c: reading one event by its id, against the same written by hand.
 *
 *     store-bench read FOLDER PAYLOAD_BYTES EVENT_COUNT LAPS READS_PER_LAP
 *
 * One thread, one file, a database that fits the page cache. The store opens a cursor, takes the
 * event, which compares its checksum and copies it, and closes the cursor. By hand it is one
 * prepared statement that is bound, stepped and reset; every column is looked at, nothing is
 * copied. The sides take turns of 100 reads. Both add up the positions, which must come out the
 * same.
 */
#include <stdio.h>

#include "store/bench/bench.h"

#define TURN	 100
#define LAPS_MAX 1024

static int64_t read_store(struct store *store, const char *id)
{
	struct store_error err = {0};
	struct store_cursor *cursor = NULL;
	struct store_record record;
	bool found = false;
	int64_t position;

	store_bench_ok(store_cursor_open_by_id(store, id, &cursor, &err), &err);
	store_bench_ok(store_cursor_next(cursor, &record, &found, &err), &err);
	if (!found)
		store_bench_fail("event %s is not there", id);
	position = record.event.position;
	store_cursor_close(cursor);
	return position;
}

static int64_t read_hand(struct store_bench_hand *hand, const char *id)
{
	sqlite3_stmt *stmt = hand->by_id;
	int64_t position;

	sqlite3_bind_text(stmt, 1, id, -1, SQLITE_STATIC);
	if (sqlite3_step(stmt) != SQLITE_ROW)
		store_bench_fail("event %s is not there", id);
	for (int column = 0; column < sqlite3_column_count(stmt); column++) {
		if (sqlite3_column_type(stmt, column) == SQLITE_INTEGER)
			(void)sqlite3_column_int64(stmt, column);
		else
			(void)sqlite3_column_blob(stmt, column);
	}
	position = sqlite3_column_int64(stmt, 3);
	sqlite3_reset(stmt);
	return position;
}

void store_bench_read(int argc, char **argv)
{
	struct store_bench_events events;
	struct store_bench_hand hand;
	struct store_error err = {0};
	static double seconds[LAPS_MAX][2];
	int64_t sums[2] = {0};

	if (argc != 5)
		store_bench_fail("usage: store-bench read FOLDER PAYLOAD_BYTES EVENT_COUNT LAPS "
				 "READS_PER_LAP");
	size_t payload_bytes = store_bench_number(argv[1], 1024 * 1024);
	size_t event_count = store_bench_number(argv[2], STORE_BENCH_EVENTS_MAX);
	size_t lap_count = store_bench_number(argv[3], LAPS_MAX);
	size_t reads = store_bench_number(argv[4], 1024 * 1024);
	struct store *store =
	    store_bench_open(argv[0], "read", STORE_PROFILE_BALANCED, STORE_BENCH_AUTOCHECKPOINT);

	store_bench_events_make(&events, 0, event_count, 1000, payload_bytes);
	store_bench_ok(store_events(store, events.items, event_count, &err), &err);
	store_bench_hand_open(&hand, argv[0], "read", store_handle(store));
	for (size_t lap = 0; lap <= lap_count; lap++) {
		double *into = seconds[lap > 0 ? lap - 1 : 0];

		into[0] = into[1] = 0;
		for (size_t i = 0; i < reads; i += TURN) {
			for (size_t turn = 0; turn < 2; turn++) {
				size_t side = (turn + i / TURN) % 2;
				double begin = store_bench_seconds();

				for (size_t k = i; k < i + TURN && k < reads; k++) {
					const char *id = events.ids[k * 7919 % event_count];

					sums[side] += side == 0 ? read_store(store, id)
								: read_hand(&hand, id);
				}
				into[side] += store_bench_seconds() - begin;
			}
		}
	}
	if (sums[0] != sums[1])
		store_bench_fail("the store and the hand-written side read other events");
	printf("{\"reads\": %zu, \"laps\": {", reads);
	for (size_t side = 0; side < 2; side++) {
		printf("%s: [", side == 0 ? "\"store\"" : ", \"hand\"");
		for (size_t lap = 0; lap < lap_count; lap++)
			printf("%s%.9f", lap > 0 ? ", " : "", seconds[lap][side]);
		putchar(']');
	}
	printf("}, ");
	store_bench_json_settings(store_handle(store));
	printf("}\n");
	store_bench_hand_close(&hand);
	store_bench_events_release(&events);
	store_close(store);
}
