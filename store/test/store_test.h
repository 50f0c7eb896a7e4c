/*
 * store_test.h: what the store's tests share: a folder of their own, sample events, questions to
 * the database. Everything is static inline, because each test is a program by itself.
 */
#ifndef STORE_TEST_STORE_TEST_H
#define STORE_TEST_STORE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store.h"

/* The last version of the event store. */
#define EVENTS_VERSION 4

/* A folder in which a test does what it likes, and the store in it. */
struct folder {
	char path[128];
	char store[192];
	char wal[192];
	char shm[192];
};

static inline int folder_setup(void **state)
{
	struct folder *folder = calloc(1, sizeof(*folder));
	const char *base = getenv("TMPDIR");

	assert_non_null(folder);
	snprintf(folder->path, sizeof(folder->path), "%.80s/store-test-XXXXXX",
		 base && base[0] ? base : "/tmp");
	assert_non_null(mkdtemp(folder->path));
	snprintf(folder->store, sizeof(folder->store), "%s/store.db", folder->path);
	snprintf(folder->wal, sizeof(folder->wal), "%s/store.db-wal", folder->path);
	snprintf(folder->shm, sizeof(folder->shm), "%s/store.db-shm", folder->path);
	*state = folder;
	return 0;
}

/* The folder of a test's state, known to the compiler not to be NULL. */
static inline const struct folder *folder_of(void **state)
{
	if (!*state)
		abort();
	return *state;
}

static inline void folder_empty(const struct folder *folder)
{
	DIR *dir = opendir(folder->path);
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		char name[512];

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(name, sizeof(name), "%s/%s", folder->path, entry->d_name);
		assert_int_equal(remove(name), 0);
	}
	closedir(dir);
}

static inline int folder_teardown(void **state)
{
	struct folder *folder = *state;

	chmod(folder->path, 0700);
	folder_empty(folder);
	assert_int_equal(rmdir(folder->path), 0);
	free(folder);
	return 0;
}

static inline size_t folder_count(const struct folder *folder)
{
	DIR *dir = opendir(folder->path);
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count - 2;
}

static inline bool file_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* The bytes of a file, which the caller frees. */
struct bytes {
	unsigned char *data;
	size_t size;
};

static inline struct bytes file_bytes(const char *path)
{
	struct bytes bytes = {NULL, 0};
	struct stat st;
	FILE *file = fopen(path, "rb");

	if (!file) {
		fail_msg("%s is missing", path);
		abort();
	}
	assert_int_equal(fstat(fileno(file), &st), 0);
	bytes.size = (size_t)st.st_size;
	bytes.data = malloc(bytes.size + 1);
	if (!bytes.data)
		abort();
	assert_int_equal(fread(bytes.data, 1, bytes.size, file), bytes.size);
	fclose(file);
	return bytes;
}

static inline void file_write(const char *path, const void *data, size_t size)
{
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

/* Asserts that the file still has these bytes, and frees them. */
static inline void assert_file_unchanged(const char *path, struct bytes before)
{
	struct bytes after = file_bytes(path);

	assert_int_equal(after.size, before.size);
	assert_memory_equal(after.data, before.data, before.size);
	free(after.data);
	free(before.data);
}

static inline int64_t clock_fixed(void *context)
{
	(void)context;
	return INT64_C(1700000000000000);
}

/* Opens with these options, or the defaults, and a clock that stands still. */
static inline struct store *open_with(const char *path, const struct store_options *options)
{
	struct store_options all = {0};
	struct store_error err = {0};
	struct store *store = NULL;

	if (options)
		all = *options;
	if (!all.clock_us)
		all.clock_us = clock_fixed;
	if (store_open(path, &all, &store, &err) != STORE_OK)
		fail_msg("%s: %s", store_code_name(err.code), err.message);
	assert_non_null(store);
	return store;
}

/* Opens as the program of that version. */
static inline struct store *open_version(const char *path, size_t version)
{
	struct store_options options = {0};

	options.migrations = store_migrations(STORE_SCHEMA_EVENTS, NULL);
	options.migration_count = version;
	return open_with(path, &options);
}

/* Asserts that opening fails with that code, and leaves its output alone. */
static inline struct store_error
assert_open_fails(const char *path, const struct store_options *options, enum store_code code)
{
	struct store *const untouched = (struct store *)(void *)&code;
	struct store_error err = {0};
	struct store *store = untouched;
	enum store_code got = store_open(path, options, &store, &err);

	if (got != code)
		fail_msg("%s, not %s: %s", store_code_name(got), store_code_name(code),
			 err.message);
	assert_int_equal(err.code, code);
	assert_ptr_equal(store, untouched);
	assert_true(err.message[0] != '\0');
	return err;
}

static inline int64_t query_int(struct sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt = NULL;
	int64_t number;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	if (sqlite3_step(stmt) != SQLITE_ROW)
		fail_msg("%s: no row: %s", sql, sqlite3_errmsg(db));
	number = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return number;
}

static inline void assert_query_text(struct sqlite3 *db, const char *sql, const char *expected)
{
	sqlite3_stmt *stmt = NULL;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	if (sqlite3_step(stmt) != SQLITE_ROW)
		fail_msg("%s: no row: %s", sql, sqlite3_errmsg(db));
	assert_string_equal(sqlite3_column_text(stmt, 0), expected);
	sqlite3_finalize(stmt);
}

static inline void exec(struct sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

/* Runs SQL on the file, on a plain connection of its own. */
static inline void exec_on_file(const char *path, const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	exec(db, sql);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* An event with the memory that it points to: pointers stay right only while it is not moved. */
struct sample {
	char event_id[48];
	char server_id[16];
	char payload[64];
	struct store_event event;
};

/* The event is a function of its server and position. */
static inline const struct store_event *sample_fill(struct sample *sample, const char *server_id,
						    int64_t position)
{
	snprintf(sample->event_id, sizeof(sample->event_id), "%s-%" PRId64, server_id, position);
	snprintf(sample->server_id, sizeof(sample->server_id), "%s", server_id);
	snprintf(sample->payload, sizeof(sample->payload), "payload %" PRId64, position);
	sample->event = (struct store_event){
	    .event_id = sample->event_id,
	    .server_id = sample->server_id,
	    .position = position,
	    .time_us = position < INT64_MAX / 10 ? position * 10 : position,
	    .kind = "note",
	    .payload = sample->payload,
	    .payload_bytes = strlen(sample->payload),
	};
	return &sample->event;
}

#define SAMPLE_BATCH_MAX 128

/* Appends the server's events from position first on as one batch. */
static inline enum store_code append_range(struct store *store, const char *server_id,
					   int64_t first, size_t count, struct store_error *err)
{
	struct sample samples[SAMPLE_BATCH_MAX];
	struct store_event events[SAMPLE_BATCH_MAX];

	assert_true(count <= SAMPLE_BATCH_MAX);
	for (size_t i = 0; i < count; i++)
		events[i] = *sample_fill(&samples[i], server_id, first + (int64_t)i);
	return store_events(store, events, count, err);
}

static inline void append_ok(struct store *store, const char *server_id, int64_t first,
			     size_t count)
{
	struct store_error err = {0};

	if (append_range(store, server_id, first, count, &err) != STORE_OK)
		fail_msg("%s: %s", store_code_name(err.code), err.message);
}

static inline int64_t event_count(struct store *store)
{
	return query_int(store_handle(store), "SELECT count(*) FROM events");
}

/* Waits for a child that ended by _exit, and returns its status. */
static inline int child_wait(pid_t child)
{
	int status = 0;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

#endif
