/*
 * checkpoint.c: checkpoints by store_checkpoint() and by SQLite's own function.
 *
 *     store-bench checkpoint FOLDER passive|full|restart|truncate FRAMES ROUNDS
 *
 * One store at FULL, whose WAL is filled until it has FRAMES frames and then checkpointed, in turns
 * by store_checkpoint() and by sqlite3_wal_checkpoint_v2() on the same connection; nobody is in the
 * way. Filling is not timed. Either must move every frame.
 */
#include <stdio.h>
#include <string.h>

#include "store/bench/bench.h"

#define BATCH	      50
#define PAYLOAD_BYTES 1024
#define ROUNDS_MAX    64

static const struct {
	const char *name;
	enum store_checkpoint_mode mode;
	int sqlite_mode;
} modes[] = {
    {"passive", STORE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_PASSIVE},
    {"full", STORE_CHECKPOINT_FULL, SQLITE_CHECKPOINT_FULL},
    {"restart", STORE_CHECKPOINT_RESTART, SQLITE_CHECKPOINT_RESTART},
    {"truncate", STORE_CHECKPOINT_TRUNCATE, SQLITE_CHECKPOINT_TRUNCATE},
};

static int frames_seen(void *context, sqlite3 *db, const char *database, int frame_count)
{
	(void)db;
	(void)database;
	*(int *)context = frame_count;
	return SQLITE_OK;
}

/* Appends until the WAL has that many frames; returns how many it has. */
static int fill(struct store *store, uint64_t *number_next, int frames_wanted)
{
	int frames = 0;

	sqlite3_wal_hook(store_handle(store), frames_seen, &frames);
	while (frames < frames_wanted) {
		struct store_bench_events events;
		struct store_error err = {0};

		store_bench_events_make(&events, *number_next, BATCH, BATCH, PAYLOAD_BYTES);
		store_bench_ok(store_events(store, events.items, BATCH, &err), &err);
		store_bench_events_release(&events);
		*number_next += BATCH;
	}
	sqlite3_wal_hook(store_handle(store), NULL, NULL);
	return frames;
}

static double by_store(struct store *store, size_t mode)
{
	struct store_checkpoint_result result = {0};
	struct store_error err = {0};
	double begin = store_bench_seconds();

	store_bench_ok(store_checkpoint(store, modes[mode].mode, &result, &err), &err);
	begin = store_bench_seconds() - begin;
	if (result.busy || result.frames_moved != result.frames_in_log)
		store_bench_fail("%u of %u frames were moved", result.frames_moved,
				 result.frames_in_log);
	return begin;
}

static double by_sqlite(struct store *store, size_t mode)
{
	int in_log = -1;
	int moved = -2;
	double begin = store_bench_seconds();
	int rc = sqlite3_wal_checkpoint_v2(store_handle(store), "main", modes[mode].sqlite_mode,
					   &in_log, &moved);

	begin = store_bench_seconds() - begin;
	if (rc != SQLITE_OK || moved != in_log)
		store_bench_fail("%d of %d frames were moved: %s", moved, in_log,
				 sqlite3_errstr(rc));
	return begin;
}

void store_bench_checkpoint(int argc, char **argv)
{
	double seconds[2][ROUNDS_MAX];
	uint64_t number_next = 0;
	size_t mode = 0;
	int frames_max = 0;
	char synchronous[8];

	if (argc != 4)
		store_bench_fail("usage: store-bench checkpoint FOLDER "
				 "passive|full|restart|truncate FRAMES ROUNDS");
	while (mode < sizeof(modes) / sizeof(modes[0]) && strcmp(modes[mode].name, argv[1]) != 0)
		mode++;
	if (mode == sizeof(modes) / sizeof(modes[0]))
		store_bench_fail("'%s' is no mode of a checkpoint", argv[1]);
	int frames_wanted = (int)store_bench_number(argv[2], 1000000);
	size_t rounds = store_bench_number(argv[3], ROUNDS_MAX);
	struct store *store = store_bench_open(argv[0], "checkpoint", STORE_PROFILE_ARCHIVAL, "0");

	for (size_t i = 0; i <= rounds; i++) {
		for (size_t turn = 0; turn < 2; turn++) {
			size_t side = (i + turn) % 2;
			int frames = fill(store, &number_next, frames_wanted);

			if (frames > frames_max)
				frames_max = frames;
			seconds[side][i > 0 ? i - 1 : 0] =
			    side == 0 ? by_store(store, mode) : by_sqlite(store, mode);
		}
	}
	printf("{\"frames_max\": %d, ", frames_max);
	for (size_t side = 0; side < 2; side++) {
		printf("%s: [", side == 0 ? "\"store\"" : ", \"sqlite\"");
		for (size_t i = 0; i < rounds; i++)
			printf("%s%.9f", i > 0 ? ", " : "", seconds[side][i]);
		printf("]");
	}
	store_bench_setting(store_handle(store), "synchronous", synchronous, sizeof(synchronous));
	printf(", \"settings\": {\"synchronous\": \"%s\"}}\n", synchronous);
	store_close(store);
}
