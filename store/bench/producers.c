/*
 * producers.c: many threads that each append one event at a time and wait until it is stored.
 *
 *     store-bench producers FOLDER full|normal PAYLOAD_BYTES THREADS MILLISECONDS ROUNDS
 *
 * Sides, each with a database of its own in FOLDER:
 *
 *   service  all threads call one service, whose writer commits together what waits
 *   own      each thread has a connection of its own with a busy timeout, and commits each event
 *   shared   one connection behind a mutex, and each event is a commit
 *
 * They take turns of MILLISECONDS each; ROUNDS turns are counted and one before them is not. The
 * two sides by hand leave seq to SQLite and batch_id at 0, which saves them two queries that the
 * store makes. In the end every event that was acknowledged must be there, and no other.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/bench/bench.h"

enum side { SIDE_SERVICE, SIDE_OWN, SIDE_SHARED, SIDE_COUNT };

static const char *const side_names[SIDE_COUNT] = {"service", "own", "shared"};

#define ROUNDS_MAX 64

struct producers {
	enum side side; /* whose turn it is */
	double end;
	struct store_service *service;
	struct store_bench_hand own[STORE_BENCH_THREADS_MAX];
	struct store_bench_hand shared;
	pthread_mutex_t mutex; /* of shared */
	unsigned char *payload;
	size_t payload_bytes;
};

struct producer {
	struct producers *all;
	size_t index;
	char server_id[32];
	int64_t positions[SIDE_COUNT]; /* events stored */
	double longest_seconds[SIDE_COUNT];
};

static enum store_code work(struct store *store, void *context, struct store_error *err)
{
	return store_event(store, context, err);
}

static void produce_one(struct producer *p, const struct store_event *event)
{
	struct producers *all = p->all;
	struct store_error err = {0};

	switch (all->side) {
	case SIDE_SERVICE:
		store_bench_ok(
		    store_service_call(all->service, work, (void *)(uintptr_t)event, &err), &err);
		break;
	case SIDE_OWN:
		store_bench_hand_one_of_many(&all->own[p->index], event);
		break;
	default:
		pthread_mutex_lock(&all->mutex);
		store_bench_hand_one_of_many(&all->shared, event);
		pthread_mutex_unlock(&all->mutex);
		break;
	}
}

static void *producer_main(void *context)
{
	struct producer *p = context;
	struct producers *all = p->all;
	int64_t *position = &p->positions[all->side];
	double *longest = &p->longest_seconds[all->side];
	double begin = store_bench_seconds();

	while (begin < all->end) {
		char id[STORE_BENCH_ID_BYTES];
		double now;

		store_bench_id((uint64_t)p->index << 32 | (uint64_t)*position, id);
		produce_one(p, &(struct store_event){.event_id = id,
						     .server_id = p->server_id,
						     .position = *position,
						     .time_us = *position,
						     .kind = "message",
						     .payload = all->payload,
						     .payload_bytes = all->payload_bytes});
		(*position)++;
		now = store_bench_seconds();
		if (now - begin > *longest)
			*longest = now - begin;
		begin = now;
	}
	return NULL;
}

static int64_t stored(const struct producer *producers, size_t count, enum side side)
{
	int64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += producers[i].positions[side];
	return sum;
}

/* A turn; returns events per second. The threads' start is in it on every side. */
static double turn(struct producers *all, struct producer *producers, size_t count, enum side side,
		   double seconds)
{
	pthread_t threads[STORE_BENCH_THREADS_MAX];
	int64_t before = stored(producers, count, side);
	double begin = store_bench_seconds();

	all->side = side;
	all->end = begin + seconds;
	for (size_t i = 0; i < count; i++) {
		if (pthread_create(&threads[i], NULL, producer_main, &producers[i]) != 0)
			store_bench_fail("cannot start thread %zu", i);
	}
	for (size_t i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	return (double)(stored(producers, count, side) - before) / (store_bench_seconds() - begin);
}

static void count_check(sqlite3 *db, enum side side, int64_t expected)
{
	char got[32];
	char want[32];

	store_bench_ask(db, "SELECT count(*) FROM events", got, sizeof(got));
	snprintf(want, sizeof(want), "%lld", (long long)expected);
	if (strcmp(got, want) != 0)
		store_bench_fail("%s stored %s events and acknowledged %s", side_names[side], got,
				 want);
}

static void hands_open(struct producers *all, const char *folder, size_t count, sqlite3 *like)
{
	for (size_t i = 0; i < count; i++) {
		store_bench_hand_open(&all->own[i], folder, side_names[SIDE_OWN], like);
	}
	store_bench_hand_open(&all->shared, folder, side_names[SIDE_SHARED], like);
}

void store_bench_producers(int argc, char **argv)
{
	static struct producers all = {.mutex = PTHREAD_MUTEX_INITIALIZER};
	struct producer *producers;
	struct store_service_options options = {0};
	struct store_service_state state;
	struct store_error err = {0};
	double rates[SIDE_COUNT][ROUNDS_MAX];
	char path[4096];

	if (argc != 6)
		store_bench_fail("usage: store-bench producers FOLDER full|normal PAYLOAD_BYTES "
				 "THREADS MILLISECONDS ROUNDS");
	options.store.profile = store_bench_profile(argv[1]);
	all.payload_bytes = store_bench_number(argv[2], 1024 * 1024);
	size_t count = store_bench_number(argv[3], STORE_BENCH_THREADS_MAX);
	double seconds = (double)store_bench_number(argv[4], 60000) / 1000;
	size_t rounds = store_bench_number(argv[5], ROUNDS_MAX);

	all.payload = calloc(1, all.payload_bytes);
	producers = calloc(count, sizeof(*producers));
	if (!all.payload || !producers)
		store_bench_fail("no memory for %zu threads", count);
	for (size_t i = 0; i < count; i++) {
		producers[i].all = &all;
		producers[i].index = i;
		snprintf(producers[i].server_id, sizeof(producers[i].server_id), "server-%zu", i);
	}
	snprintf(path, sizeof(path), "%s/%s.db", argv[0], side_names[SIDE_SERVICE]);
	/* The model of the other sides' settings. Its checkpoints are SQLite's own, which the
	 * service leaves to its checkpointer. */
	struct store *like = store_bench_open(argv[0], side_names[SIDE_SERVICE],
					      options.store.profile, STORE_BENCH_AUTOCHECKPOINT);
	hands_open(&all, argv[0], count, store_handle(like));
	store_bench_ok(store_service_open(path, &options, &all.service, &err), &err);

	for (size_t i = 0; i <= rounds; i++) {
		for (size_t k = 0; k < SIDE_COUNT; k++) {
			enum side side = (enum side)((i + k) % SIDE_COUNT);

			rates[side][i > 0 ? i - 1 : 0] =
			    turn(&all, producers, count, side, seconds);
		}
	}
	store_service_state(all.service, &state);
	store_bench_ok(store_service_close(all.service, &err), &err);
	count_check(store_handle(like), SIDE_SERVICE, stored(producers, count, SIDE_SERVICE));
	count_check(all.own[0].db, SIDE_OWN, stored(producers, count, SIDE_OWN));
	count_check(all.shared.db, SIDE_SHARED, stored(producers, count, SIDE_SHARED));

	putchar('{');
	for (size_t side = 0; side < SIDE_COUNT; side++) {
		double longest = 0;

		printf("\"%s\": {\"rates\": [", side_names[side]);
		for (size_t i = 0; i < rounds; i++)
			printf("%s%.3f", i > 0 ? ", " : "", rates[side][i]);
		for (size_t i = 0; i < count; i++) {
			if (producers[i].longest_seconds[side] > longest)
				longest = producers[i].longest_seconds[side];
		}
		printf("], \"longest_seconds\": %.6f}, ", longest);
	}
	printf("\"groups\": %llu, \"events\": %lld, ", (unsigned long long)state.groups_committed,
	       (long long)stored(producers, count, SIDE_SERVICE));
	store_bench_json_settings(store_handle(like));
	printf("}\n");

	for (size_t i = 0; i < count; i++)
		store_bench_hand_close(&all.own[i]);
	store_bench_hand_close(&all.shared);
	store_close(like);
	free(all.payload);
	free(producers);
}
