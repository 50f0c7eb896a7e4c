/* See bench.h. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/bench/bench.h"

void store_bench_fail(const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fputs("store-bench: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

void store_bench_ok(enum store_code code, const struct store_error *err)
{
	if (code != STORE_OK)
		store_bench_fail("%s: %s", store_code_name(code), err->message);
}

double store_bench_seconds(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

size_t store_bench_number(const char *text, size_t max)
{
	char *end;
	unsigned long long number = strtoull(text, &end, 10);

	if (end == text || *end != '\0' || number < 1 || number > max)
		store_bench_fail("'%s' is no number from 1 to %zu", text, max);
	return (size_t)number;
}

enum store_profile store_bench_profile(const char *text)
{
	if (strcmp(text, "full") == 0)
		return STORE_PROFILE_ARCHIVAL;
	if (strcmp(text, "normal") == 0)
		return STORE_PROFILE_BALANCED;
	store_bench_fail("'%s' is neither full nor normal", text);
}

struct store *store_bench_open(const char *folder, const char *name, enum store_profile profile,
			       const char *autocheckpoint)
{
	const struct store_pragma pragma = {"wal_autocheckpoint", autocheckpoint};
	const struct store_options options = {
	    .profile = profile, .pragmas = &pragma, .pragma_count = 1};
	struct store_error err = {0};
	struct store *store = NULL;
	char path[4096];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s.db", folder, name) >= sizeof(path))
		store_bench_fail("'%s' is too long", folder);
	store_bench_ok(store_open(path, &options, &store, &err), &err);
	return store;
}

/* ---- events ---- */

/* splitmix64, https://prng.di.unimi.it/splitmix64.c: a different number for each. */
static uint64_t mix(uint64_t number)
{
	number *= UINT64_C(0x9e3779b97f4a7c15);
	number = (number ^ (number >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	number = (number ^ (number >> 27)) * UINT64_C(0x94d049bb133111eb);
	return number ^ (number >> 31);
}

void store_bench_id(uint64_t number, char ret_id[STORE_BENCH_ID_BYTES])
{
	snprintf(ret_id, STORE_BENCH_ID_BYTES, "%016" PRIx64 "%016" PRIx64, mix(2 * number),
		 mix(2 * number + 1));
}

void store_bench_events_make(struct store_bench_events *ret_events, uint64_t number_first,
			     size_t count, size_t run, size_t payload_bytes)
{
	static const char *const servers[STORE_BENCH_SERVERS] = {"server-0", "server-1", "server-2",
								 "server-3", "server-4", "server-5",
								 "server-6", "server-7"};
	struct store_bench_events events = {.count = count};

	events.items = calloc(count, sizeof(*events.items));
	events.ids = calloc(count, sizeof(*events.ids));
	events.payload = malloc(payload_bytes);
	if (!events.items || !events.ids || !events.payload)
		store_bench_fail("no memory for %zu events", count);
	for (size_t i = 0; i < payload_bytes; i++)
		events.payload[i] = (unsigned char)mix(i);
	for (size_t i = 0; i < count; i++) {
		uint64_t number = number_first + i;

		store_bench_id(number, events.ids[i]);
		events.items[i] = (struct store_event){
		    .event_id = events.ids[i],
		    .server_id = servers[number / run % STORE_BENCH_SERVERS],
		    .position = (int64_t)number,
		    .time_us = INT64_C(1700000000000000) + (int64_t)number * 1000,
		    .kind = "message",
		    .payload = events.payload,
		    .payload_bytes = payload_bytes,
		};
	}
	*ret_events = events;
}

void store_bench_events_release(struct store_bench_events *events)
{
	free(events->items);
	free(events->ids);
	free(events->payload);
	memset(events, 0, sizeof(*events));
}

/* ---- JSON ---- */

void store_bench_json_text(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			printf("\\u%04x", (unsigned)*text);
		else
			putchar(*text);
	}
	putchar('"');
}

void store_bench_json_settings(sqlite3 *db)
{
	char text[64];

	printf("\"settings\": {");
	for (size_t i = 0; store_bench_settings[i]; i++) {
		store_bench_setting(db, store_bench_settings[i], text, sizeof(text));
		printf("\"%s\": ", store_bench_settings[i]);
		store_bench_json_text(text);
		printf(", ");
	}
	printf("\"wal_autocheckpoint\": \"" STORE_BENCH_AUTOCHECKPOINT "\"}");
}

/* The SQL for a side that is not written in C. */
void store_bench_sql(int argc, char **argv)
{
	const struct store_migration *migrations;
	size_t count;

	(void)argv;
	if (argc != 0)
		store_bench_fail("usage: store-bench sql");
	migrations = store_migrations(STORE_SCHEMA_EVENTS, &count);
	printf("{\"schema\": [");
	for (size_t i = 0; i < count; i++) {
		printf("%s", i > 0 ? ", " : "");
		store_bench_json_text(migrations[i].sql);
	}
	printf("], \"insert\": ");
	store_bench_json_text(store_bench_insert_sql);
	printf(", \"by_id\": ");
	store_bench_json_text(store_bench_by_id_sql);
	printf(", \"digest\": ");
	store_bench_json_text(store_bench_digest_sql);
	printf(", \"sqlite\": \"%s\"}\n", sqlite3_libversion());
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(int argc, char **argv);
	} rows[] = {
	    {"sql", store_bench_sql},
	    {"append", store_bench_append},
	    {"read", store_bench_read},
	    {"readers", store_bench_readers},
	    {"producers", store_bench_producers},
	    {"checkpoint", store_bench_checkpoint},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (argc > 1 && strcmp(argv[1], rows[i].name) == 0) {
			rows[i].run(argc - 2, argv + 2);
			return 0;
		}
	}
	store_bench_fail("usage: store-bench sql|append|read|readers|producers|checkpoint "
			 "ARGUMENTS");
}
