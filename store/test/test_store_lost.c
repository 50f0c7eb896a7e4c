/*
 * test_store_lost.c: transactions that SQLite gave up by itself, files that went away under a
 * store, and backups onto the store's own files.
 */
#include "store/test/counting_vfs.h"
#include "store/test/store_test.h"

/* A store with more in it than its cache holds, so that a read goes to the disk. */
static struct store *open_cold(const struct folder *folder, struct store_options *options)
{
	static const struct store_pragma small = {"cache_size", "5"};
	static const char payload[3000];
	struct store *store;

	options->pragmas = &small;
	options->pragma_count = 1;
	store = open_with(folder->store, options);
	for (int64_t i = 0; i < 200; i++) {
		struct sample sample;
		struct store_event event = *sample_fill(&sample, "old", i);

		event.payload = payload;
		event.payload_bytes = sizeof(payload);
		assert_int_equal(store_event(store, &event, NULL), STORE_OK);
	}
	return store;
}

/* Reads events by id until one is not in the cache, and fails that read. */
static enum store_code read_that_fails(struct store *store, struct store_error *err)
{
	enum store_code code = STORE_OK;

	for (int i = 0; i < 200 && code == STORE_OK; i++) {
		struct store_cursor *cursor = NULL;
		struct store_record record;
		bool found;
		char id[32];

		snprintf(id, sizeof(id), "old-%d", i);
		counting_vfs.read_faults = 1;
		code = store_cursor_open_by_id(store, id, &cursor, err);
		if (code == STORE_OK)
			code = store_cursor_next(cursor, &record, &found, err);
		store_cursor_close(cursor);
	}
	counting_vfs.read_faults = 0;
	return code;
}

/* Writes, fails to read, swallows that, and writes again. */
static enum store_code write_read_write(struct store *store, void *context, struct store_error *err)
{
	int64_t *first = context;
	enum store_code code = append_range(store, "new", *first, 1, err);

	if (code != STORE_OK)
		return code;
	assert_int_equal(read_that_fails(store, NULL), STORE_ERR_IO);
	code = append_range(store, "new", *first + 1, 1, err);
	assert_int_not_equal(code, STORE_OK);
	return STORE_OK;
}

/* [A4] A read that fails rolls the transaction back: what is written after it is no transaction of
 * its own, and the whole is refused, determinately. */
static void test_failed_read_loses_the_transaction(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_options options = {0};
	struct store_error err = {0};
	struct store *store;
	int64_t first = 0;

	counting_vfs_install();
	store = open_cold(folder, &options);
	assert_int_equal(store_transaction(store, write_read_write, &first, &err), STORE_ERR_IO);
	assert_int_equal(err.sqlite_code, SQLITE_IOERR_READ);
	assert_false(err.indeterminate);
	/* An I/O error stops the store, whoever met it. */
	assert_int_equal(append_range(store, "new", 9, 1, NULL), STORE_ERR_STOPPED);
	assert_int_equal(store_reopen(store, &err), STORE_OK);
	assert_int_equal(
	    query_int(store_handle(store), "SELECT count(*) FROM events WHERE server_id = 'new'"),
	    0);
	store_close(store);
	counting_vfs_remove();
}

static enum store_code append_neighbour(struct store *store, void *context, struct store_error *err)
{
	(void)context;
	return append_range(store, "neighbour", 0, 1, err);
}

static void note_code(void *context, enum store_code code, const struct store_error *err)
{
	(void)err;
	*(enum store_code *)context = code;
}

static enum store_code once_write_read_write(struct store *store, void *context,
					     struct store_error *err)
{
	int64_t first = 0;

	(void)context;
	return write_read_write(store, &first, err);
}

/* [C2] [D5] A command that loses the transaction so fails alone; its neighbour is kept. */
static void test_failed_read_and_neighbours(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_service_options options = {.manual = true};
	struct store_service *service = NULL;
	enum store_code neighbour = STORE_ERR_INVALID;
	enum store_code reader = STORE_OK;
	struct store_command commands[] = {
	    {append_neighbour, note_code, &neighbour},
	    {once_write_read_write, note_code, &reader},
	};
	struct store *store;

	counting_vfs_install();
	store_close(open_cold(folder, &options.store));
	options.store.clock_us = clock_fixed;
	assert_int_equal(store_service_open(folder->store, &options, &service, NULL), STORE_OK);
	assert_int_equal(store_service_submit(service, &commands[0], NULL), STORE_OK);
	assert_int_equal(store_service_submit(service, &commands[1], NULL), STORE_OK);
	for (int i = 0; i < 5; i++)
		(void)store_service_writer_step(service, NULL, NULL);
	assert_int_equal(neighbour, STORE_OK);
	assert_int_not_equal(reader, STORE_OK);
	assert_int_equal(store_service_close(service, NULL), STORE_OK);
	store = open_with(folder->store, NULL);
	assert_int_equal(
	    query_int(store_handle(store), "SELECT count(*) FROM events WHERE server_id = 'new'"),
	    0);
	assert_int_equal(query_int(store_handle(store),
				   "SELECT count(*) FROM events WHERE server_id = 'neighbour'"),
			 1);
	store_close(store);
	counting_vfs_remove();
}

static enum store_code fail_on_its_own(struct store *store, void *context, struct store_error *err)
{
	(void)store;
	(void)context;
	*err = (struct store_error){.code = STORE_ERR_IO, .message = "somebody else's disk"};
	return STORE_ERR_IO;
}

/* An I/O error that is the caller's own does not stop the store. */
static void test_error_of_the_callers_own(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct store_error err;

	assert_int_equal(store_transaction(store, fail_on_its_own, NULL, &err), STORE_ERR_IO);
	append_ok(store, "a", 0, 1);
	store_close(store);
}

/* [D5] A store is opened again on its own file only: neither on a new one, nor on another that has
 * taken the name, nor below the folder that is the current one now. */
static void test_reopen_keeps_to_its_file(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_error err;
	struct store *store;
	FILE *other;
	char moved[256];
	char here[256];

	assert_non_null(getcwd(here, sizeof(here)));
	assert_int_equal(chdir(folder->path), 0);
	store = open_with("store.db", NULL);
	append_ok(store, "a", 0, 3);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(store_reopen(store, &err), STORE_OK);
	assert_int_equal(event_count(store), 3);
	assert_int_equal(chdir(here), 0);

	snprintf(moved, sizeof(moved), "%s/moved.db", folder->path);
	assert_int_equal(rename(folder->store, moved), 0);
	assert_int_equal(store_reopen(store, &err), STORE_ERR_CANNOT_OPEN);
	assert_non_null(strstr(err.message, "gone"));
	assert_false(file_exists(folder->store));
	assert_true(file_exists(folder->wal));

	/* SQLite itself would delete the log that it finds beside a new file. */
	other = fopen(folder->store, "w");
	assert_non_null(other);
	assert_true(fputs("another file", other) >= 0);
	assert_int_equal(fclose(other), 0);
	assert_int_equal(store_reopen(store, &err), STORE_ERR_CANNOT_OPEN);
	assert_non_null(strstr(err.message, "another file"));

	assert_int_equal(rename(moved, folder->store), 0);
	assert_int_equal(store_reopen(store, &err), STORE_OK);
	assert_int_equal(event_count(store), 3);
	store_close(store);
}

/* [C4] A backup goes neither onto the store, nor onto a file of it, nor through one as its part. */
static void test_backup_onto_itself(void **state)
{
	static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	char path[256];

	append_ok(store, "a", 0, 3);
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", folder->store, endings[i]);
		assert_int_equal(store_backup(store, path, NULL, NULL, NULL, NULL),
				 STORE_ERR_INVALID);
		assert_int_equal(store_backup_cold(store, path, NULL, NULL), STORE_ERR_INVALID);
	}
	store_close(store);

	snprintf(path, sizeof(path), "%s/copy.db.part", folder->path);
	assert_int_equal(rename(folder->store, path), 0);
	store = open_with(path, NULL);
	path[strlen(path) - strlen(".part")] = '\0';
	assert_int_equal(store_backup(store, path, NULL, NULL, NULL, NULL), STORE_ERR_INVALID);
	append_ok(store, "a", 3, 1);
	assert_int_equal(event_count(store), 4);
	store_close(store);
}

/* [D5] A service that is closed while it is broken leaves the log, whose sync has failed, as it is,
 * also when it was the checkpointer who met the error. */
static void test_broken_service_leaves_the_log(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_service_options options = {
	    .manual = true, .wal_bytes_max = 4096, .store = {.profile = STORE_PROFILE_BALANCED}};
	struct store_service *service = NULL;
	struct store *reader = NULL;
	struct store_error err;
	size_t count = 0;

	counting_vfs_install();
	options.store.clock_us = clock_fixed;
	assert_int_equal(store_service_open(folder->store, &options, &service, &err), STORE_OK);
	for (int i = 0; i < 20; i++) {
		struct store_command command = {append_neighbour, NULL, NULL};

		assert_int_equal(store_service_submit(service, &command, NULL), STORE_OK);
		(void)store_service_writer_step(service, NULL, NULL);
	}
	/* A reader that is out keeps the service from opening the store again. */
	assert_int_equal(store_service_reader_take(service, &reader, &err), STORE_OK);
	for (int i = 0; i < 100 && count == 0 && counting_vfs.fault_count == 0; i++) {
		usleep(1000);
		counting_vfs_reset();
		counting_vfs.fault_at = 1;
		(void)store_service_checkpoint_step(service, &count, &err);
	}
	assert_true(counting_vfs.fault_count > 0);
	counting_vfs_reset();
	(void)store_service_writer_step(service, NULL, NULL);
	store_service_reader_give(service, reader);
	(void)store_service_close(service, &err);
	assert_true(file_exists(folder->wal));
	assert_int_equal(counting_vfs.write_count, 0);
	counting_vfs_remove();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_failed_read_loses_the_transaction),
	    TEST(test_failed_read_and_neighbours),
	    TEST(test_error_of_the_callers_own),
	    TEST(test_reopen_keeps_to_its_file),
	    TEST(test_backup_onto_itself),
	    TEST(test_broken_service_leaves_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
