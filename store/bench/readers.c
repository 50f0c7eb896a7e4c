/*
 * readers.c: threads that read, alone and beside a writer.
 *
 *     store-bench readers FOLDER PAYLOAD_BYTES THREADS MILLISECONDS ROUNDS
 *
 * Each read takes a connection and gives it back:
 *
 *   pool   from the service's pool; one event by its id
 *   range  from the service's pool; ten events of a server
 *   open   by hand: opens a connection, reads one event by its id, closes it
 *
 * in turns of MILLISECONDS, each without the writer and with it. The writer is a thread that
 * appends ten events a commit through the same service at FULL, as fast as it can; there is a turn
 * of the writer without readers, too.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/bench/bench.h"

enum kind {
	KIND_POOL,
	KIND_RANGE,
	KIND_OPEN,
	KIND_NONE, /* only the writer */
	KIND_COUNT
};

static const char *const kind_names[KIND_COUNT] = {"pool", "range", "open", "none"};

#define EVENT_COUNT 20000
#define SERVER_RUN  1000
#define RANGE	    10
#define BATCH	    10
#define ROUNDS_MAX  64

struct readers {
	enum kind kind; /* whose turn it is */
	double end;
	struct store_service *service;
	struct store_bench_events events; /* those that are read */
	const char *path;
	uint64_t number_next; /* of the writer's events */
	size_t payload_bytes;
	/* Reads, and events written, in this turn. */
	atomic_ullong read_count;
	atomic_ullong written_count;
};

struct batch {
	const struct store_event *events;
};

static enum store_code work(struct store *store, void *context, struct store_error *err)
{
	const struct batch *batch = context;

	return store_events(store, batch->events, BATCH, err);
}

static void read_pooled(struct readers *r, const struct store_event *wanted)
{
	struct store_error err = {0};
	struct store_cursor *cursor = NULL;
	struct store *reader = NULL;
	struct store_record record;
	size_t count = 0;
	bool found = true;

	store_bench_ok(store_service_reader_take(r->service, &reader, &err), &err);
	if (r->kind == KIND_POOL)
		store_bench_ok(store_cursor_open_by_id(reader, wanted->event_id, &cursor, &err),
			       &err);
	else
		store_bench_ok(
		    store_cursor_open_by_server(reader, wanted->server_id, wanted->position,
						wanted->position + RANGE - 1, &cursor, &err),
		    &err);
	while (found) {
		store_bench_ok(store_cursor_next(cursor, &record, &found, &err), &err);
		if (found)
			count++;
	}
	store_cursor_close(cursor);
	store_service_reader_give(r->service, reader);
	if (count != (r->kind == KIND_POOL ? 1 : RANGE))
		store_bench_fail("%zu events from position %lld on", count,
				 (long long)wanted->position);
}

static void read_opening(struct readers *r, const struct store_event *wanted)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *stmt = NULL;

	if (sqlite3_open_v2(r->path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) !=
		SQLITE_OK ||
	    sqlite3_busy_timeout(db, STORE_BUSY_TIMEOUT_DEFAULT_MS) != SQLITE_OK ||
	    sqlite3_prepare_v2(db, store_bench_by_id_sql, -1, &stmt, NULL) != SQLITE_OK ||
	    sqlite3_bind_text(stmt, 1, wanted->event_id, -1, SQLITE_STATIC) != SQLITE_OK ||
	    sqlite3_step(stmt) != SQLITE_ROW || sqlite3_column_int64(stmt, 3) != wanted->position)
		store_bench_fail("%s: %s", r->path, sqlite3_errmsg(db));
	sqlite3_finalize(stmt);
	sqlite3_close(db);
}

static void *reader_main(void *context)
{
	struct readers *r = context;
	unsigned long long count = 0;

	for (size_t i = 0; store_bench_seconds() < r->end; i++, count++) {
		/* Not the last of a server's run, so that ten of them follow. */
		size_t index = i * 7919 % (EVENT_COUNT / SERVER_RUN) * SERVER_RUN +
			       i * 104729 % (SERVER_RUN - RANGE);

		if (r->kind == KIND_OPEN)
			read_opening(r, &r->events.items[index]);
		else
			read_pooled(r, &r->events.items[index]);
	}
	atomic_fetch_add(&r->read_count, count);
	return NULL;
}

static void *writer_main(void *context)
{
	struct readers *r = context;

	while (store_bench_seconds() < r->end) {
		struct store_bench_events events;
		struct store_error err = {0};
		struct batch batch;

		store_bench_events_make(&events, r->number_next, BATCH, SERVER_RUN,
					r->payload_bytes);
		batch.events = events.items;
		store_bench_ok(store_service_call(r->service, work, &batch, &err), &err);
		store_bench_events_release(&events);
		r->number_next += BATCH;
		atomic_fetch_add(&r->written_count, BATCH);
	}
	return NULL;
}

/* A turn; reads and events written per second. */
static void turn(struct readers *r, enum kind kind, bool writing, size_t thread_count,
		 double seconds, double *ret_read_rate, double *ret_write_rate)
{
	pthread_t threads[STORE_BENCH_THREADS_MAX];
	pthread_t writer;
	double begin = store_bench_seconds();

	if (kind == KIND_NONE)
		thread_count = 0;
	r->kind = kind;
	r->end = begin + seconds;
	r->read_count = r->written_count = 0;
	if (writing && pthread_create(&writer, NULL, writer_main, r) != 0)
		store_bench_fail("cannot start the writer");
	for (size_t i = 0; i < thread_count; i++) {
		if (pthread_create(&threads[i], NULL, reader_main, r) != 0)
			store_bench_fail("cannot start thread %zu", i);
	}
	for (size_t i = 0; i < thread_count; i++)
		pthread_join(threads[i], NULL);
	if (writing)
		pthread_join(writer, NULL);
	seconds = store_bench_seconds() - begin;
	*ret_read_rate = (double)r->read_count / seconds;
	*ret_write_rate = (double)r->written_count / seconds;
}

static void rates_print(const char *name, const double *rates, size_t count)
{
	printf("\"%s\": [", name);
	for (size_t i = 0; i < count; i++)
		printf("%s%.3f", i > 0 ? ", " : "", rates[i]);
	printf("]");
}

static void measure(struct readers *r, size_t thread_count, double seconds, size_t rounds)
{
	double alone[KIND_COUNT][ROUNDS_MAX];
	double beside[KIND_COUNT][ROUNDS_MAX];
	double written[KIND_COUNT][ROUNDS_MAX];
	double nothing;

	for (size_t i = 0; i <= rounds; i++) {
		size_t at = i > 0 ? i - 1 : 0;

		for (size_t kind = 0; kind < KIND_COUNT; kind++) {
			if (kind != KIND_NONE)
				turn(r, (enum kind)kind, false, thread_count, seconds,
				     &alone[kind][at], &nothing);
			turn(r, (enum kind)kind, true, thread_count, seconds, &beside[kind][at],
			     &written[kind][at]);
		}
	}
	for (size_t kind = 0; kind < KIND_COUNT; kind++) {
		printf("\"%s\": {", kind_names[kind]);
		if (kind != KIND_NONE) {
			rates_print("alone", alone[kind], rounds);
			printf(", ");
			rates_print("beside", beside[kind], rounds);
			printf(", ");
		}
		rates_print("written", written[kind], rounds);
		printf("}, ");
	}
}

void store_bench_readers(int argc, char **argv)
{
	static struct readers r;
	struct store_service_options options = {0};
	struct store_error err = {0};
	struct store *store;
	char path[4096];

	if (argc != 5)
		store_bench_fail("usage: store-bench readers FOLDER PAYLOAD_BYTES THREADS "
				 "MILLISECONDS ROUNDS");
	r.payload_bytes = store_bench_number(argv[1], 1024 * 1024);
	size_t thread_count = store_bench_number(argv[2], STORE_BENCH_THREADS_MAX);
	double seconds = (double)store_bench_number(argv[3], 60000) / 1000;
	size_t rounds = store_bench_number(argv[4], ROUNDS_MAX);

	snprintf(path, sizeof(path), "%s/readers.db", argv[0]);
	r.path = path;
	r.number_next = EVENT_COUNT;
	store_bench_events_make(&r.events, 0, EVENT_COUNT, SERVER_RUN, r.payload_bytes);
	store = store_bench_open(argv[0], "readers", STORE_PROFILE_ARCHIVAL,
				 STORE_BENCH_AUTOCHECKPOINT);
	store_bench_ok(store_events(store, r.events.items, EVENT_COUNT, &err), &err);
	options.reader_count = (uint32_t)thread_count;
	store_bench_ok(store_service_open(path, &options, &r.service, &err), &err);
	putchar('{');
	measure(&r, thread_count, seconds, rounds);
	store_bench_json_settings(store_handle(store));
	printf("}\n");
	store_bench_ok(store_service_close(r.service, &err), &err);
	store_close(store);
	store_bench_events_release(&r.events);
}
