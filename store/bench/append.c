/*
 * append.c: batches, and single events, against the same written by hand.
 *
 *     store-bench append FOLDER full|normal PAYLOAD_BYTES BATCH_COUNT RUN LAPS BATCHES_PER_LAP
 * SIDES
 *
 * Sides, each with a database of its own in FOLDER, which take turns batch by batch; which is first
 * changes with each batch:
 *
 *   store  store_events()
 *   hand   BEGIN IMMEDIATE, a prepared INSERT for each event, COMMIT; with the store's checksum
 *   plain  the same with 0 for the checksum
 *   bare   only for batches of one: the INSERT alone, which is its own transaction; no checksum
 *
 * SIDES is "all", or "store" for that side alone. What is compared are the seconds of a lap. All
 * sides write the same pages, so that checkpoints fall into the same laps. The first lap is not
 * counted. Events are made before the clock runs.
 */
#include <stdio.h>
#include <string.h>

#include "store/bench/bench.h"

enum side { SIDE_STORE, SIDE_HAND, SIDE_PLAIN, SIDE_BARE, SIDE_COUNT };

static const char *const side_names[SIDE_COUNT] = {"store", "hand", "plain", "bare"};

#define LAPS_MAX 1024

struct append {
	struct store *store;
	struct store_bench_hand hands[SIDE_COUNT]; /* by side; none for the store */
	size_t side_count;
	size_t batch_count;
};

static void batch_write(struct append *a, enum side side, const struct store_event *events)
{
	struct store_error err = {0};

	if (side == SIDE_STORE)
		store_bench_ok(store_events(a->store, events, a->batch_count, &err), &err);
	else if (side == SIDE_BARE)
		store_bench_hand_single(&a->hands[side], events);
	else
		store_bench_hand_batch(&a->hands[side], events, a->batch_count);
}

static void lap(struct append *a, const struct store_bench_events *events,
		double ret_seconds[SIDE_COUNT])
{
	memset(ret_seconds, 0, SIDE_COUNT * sizeof(*ret_seconds));
	for (size_t i = 0; i < events->count; i += a->batch_count) {
		for (size_t turn = 0; turn < a->side_count; turn++) {
			enum side side = (enum side)((turn + i / a->batch_count) % a->side_count);
			double begin = store_bench_seconds();

			batch_write(a, side, &events->items[i]);
			ret_seconds[side] += store_bench_seconds() - begin;
		}
	}
}

/* Every side must have stored the same. */
static void digests_check(struct append *a, uint64_t event_count)
{
	char count[32];
	char expected[512];
	char got[512];

	store_bench_ask(store_handle(a->store), "SELECT count(*) FROM events", count,
			sizeof(count));
	snprintf(got, sizeof(got), "%llu", (unsigned long long)event_count);
	if (strcmp(count, got) != 0)
		store_bench_fail("%s events in the store instead of %s", count, got);
	store_bench_ask(store_handle(a->store), store_bench_digest_sql, expected, sizeof(expected));
	for (size_t side = SIDE_HAND; side < a->side_count && side < SIDE_COUNT; side++) {
		store_bench_ask(a->hands[side].db, store_bench_digest_sql, got, sizeof(got));
		if (strcmp(got, expected) != 0)
			store_bench_fail("%s stored '%s', the store '%s'", side_names[side], got,
					 expected);
	}
	printf(", \"digest\": ");
	store_bench_json_text(expected);
}

void store_bench_append(int argc, char **argv)
{
	struct append a = {0};
	static double seconds[LAPS_MAX][SIDE_COUNT];

	if (argc != 8 || (strcmp(argv[7], "all") != 0 && strcmp(argv[7], "store") != 0))
		store_bench_fail("usage: store-bench append FOLDER full|normal PAYLOAD_BYTES "
				 "BATCH_COUNT RUN LAPS BATCHES_PER_LAP all|store");
	enum store_profile profile = store_bench_profile(argv[1]);
	size_t payload_bytes = store_bench_number(argv[2], 1024 * 1024);
	a.batch_count = store_bench_number(argv[3], STORE_BENCH_EVENTS_MAX);
	size_t server_run = store_bench_number(argv[4], STORE_BENCH_EVENTS_MAX);
	size_t lap_count = store_bench_number(argv[5], LAPS_MAX);
	size_t batches = store_bench_number(argv[6], STORE_BENCH_EVENTS_MAX / a.batch_count);
	size_t lap_events = batches * a.batch_count;

	const size_t side_count = strcmp(argv[7], "store") == 0 ? (size_t)SIDE_HAND
				  : a.batch_count == 1		? SIDE_COUNT
								: SIDE_BARE;
	a.side_count = side_count;
	a.store =
	    store_bench_open(argv[0], side_names[SIDE_STORE], profile, STORE_BENCH_AUTOCHECKPOINT);
	for (size_t side = SIDE_HAND; side < side_count; side++) {
		store_bench_hand_open(&a.hands[side], argv[0], side_names[side],
				      store_handle(a.store));
		a.hands[side].checksum = side == SIDE_HAND;
	}
	for (size_t i = 0; i <= lap_count; i++) {
		struct store_bench_events events;

		store_bench_events_make(&events, i * lap_events, lap_events, server_run,
					payload_bytes);
		lap(&a, &events, seconds[i > 0 ? i - 1 : 0]);
		store_bench_events_release(&events);
	}
	printf("{\"events\": %zu, \"batches\": %zu, \"laps\": {", lap_events, batches);
	for (size_t side = 0; side < side_count; side++) {
		printf("%s\"%s\": [", side > 0 ? ", " : "", side_names[side]);
		for (size_t i = 0; i < lap_count; i++)
			printf("%s%.9f", i > 0 ? ", " : "", seconds[i][side]);
		putchar(']');
	}
	printf("}, ");
	store_bench_json_settings(store_handle(a.store));
	digests_check(&a, (lap_count + 1) * lap_events);
	printf("}\n");
	for (size_t side = SIDE_HAND; side < side_count; side++)
		store_bench_hand_close(&a.hands[side]);
	store_close(a.store);
}
