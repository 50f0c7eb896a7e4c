/*
 * test_store_checkpoint.c: checkpoints by hand [B2]: what each mode moves, leaves and reports, on a
 * log of known length; who may be in the way; and what an error does to the store.
 */
#include "store/test/counting_vfs.h"
#include "store/test/store_test.h"
#include "store/upkeep_internal.h"

static off_t file_size(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : -1;
}

/* A store whose log only a checkpoint by hand makes shorter. */
static struct store *open_plain(const struct folder *folder)
{
	static const struct store_pragma pragmas[] = {{"wal_autocheckpoint", "0"},
						      {"page_size", "1024"}};
	const struct store_options options = {
	    .pragmas = pragmas,
	    .pragma_count = 2,
	    .busy_timeout_ms = -1,
	};

	return open_with(folder->store, &options);
}

enum { FRAME_BYTES = 1024 + 24, HEADER_BYTES = 32 };

/* Frames of the log, by its file, which holds nothing older. */
static uint32_t frames_of(const struct folder *folder)
{
	off_t bytes = file_size(folder->wal);

	assert_true(bytes >= HEADER_BYTES);
	assert_int_equal((bytes - HEADER_BYTES) % FRAME_BYTES, 0);
	return (uint32_t)((bytes - HEADER_BYTES) / FRAME_BYTES);
}

static struct store_checkpoint_result checkpoint_ok(struct store *store,
						    enum store_checkpoint_mode mode)
{
	struct store_checkpoint_result result = {0};
	struct store_error err = {0};

	if (store_checkpoint(store, mode, &result, &err) != STORE_OK)
		fail_msg("%s: %s", store_code_name(err.code), err.message);
	return result;
}

/* Empties the log, then appends, so that the log's length is known. */
static uint32_t make_log(struct store *store, const struct folder *folder, int64_t first)
{
	assert_false(checkpoint_ok(store, STORE_CHECKPOINT_TRUNCATE).busy);
	assert_int_equal(file_size(folder->wal), 0);
	for (int64_t i = 0; i < 5; i++)
		append_ok(store, "a", first + i * 10, 10);
	return frames_of(folder);
}

/* [B2] PASSIVE, FULL and RESTART move every frame and report the log as long as it was; the file
 * keeps its size, and after RESTART the next commit begins it anew. */
static void test_modes_that_keep_the_file(void **state)
{
	static const enum store_checkpoint_mode modes[] = {
	    STORE_CHECKPOINT_PASSIVE, STORE_CHECKPOINT_FULL, STORE_CHECKPOINT_RESTART};
	const struct folder *folder = folder_of(state);
	struct store *store = open_plain(folder);

	for (size_t i = 0; i < 3; i++) {
		uint32_t frames = make_log(store, folder, (int64_t)i * 100);
		struct store_checkpoint_result result;
		off_t bytes = file_size(folder->wal);

		assert_true(frames >= 5);
		result = checkpoint_ok(store, modes[i]);
		assert_int_equal(result.frames_in_log, frames);
		assert_int_equal(result.frames_moved, frames);
		assert_false(result.busy);
		assert_true(result.duration_ns > 0);
		assert_int_equal(file_size(folder->wal), bytes);

		append_ok(store, "b", (int64_t)i, 1);
		assert_int_equal(file_size(folder->wal), bytes);
		result = checkpoint_ok(store, STORE_CHECKPOINT_PASSIVE);
		assert_true(result.frames_in_log < frames);
	}
	store_close(store);
}

/* [B2] TRUNCATE moves everything and leaves a log of 0 bytes; what was committed is in the database
 * file, which can then be read alone. */
static void test_truncate(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_plain(folder);
	struct store_checkpoint_result result;
	char copy[256];
	struct bytes bytes;

	make_log(store, folder, 0);
	result = checkpoint_ok(store, STORE_CHECKPOINT_TRUNCATE);
	assert_int_equal(result.frames_in_log, 0);
	assert_int_equal(result.frames_moved, 0);
	assert_false(result.busy);
	assert_int_equal(file_size(folder->wal), 0);

	store_close(store);
	snprintf(copy, sizeof(copy), "%s/copy.db", folder->path);
	bytes = file_bytes(folder->store);
	file_write(copy, bytes.data, bytes.size);
	free(bytes.data);
	store = open_with(copy, NULL);
	assert_int_equal(event_count(store), 50);
	store_close(store);
}

/* [B2] A reader with an older snapshot is in the way: PASSIVE moves what the reader knows already
 * and says busy, the other modes say busy; none is an error, and all goes when the reader has gone.
 */
static void test_reader_in_the_way(void **state)
{
	static const enum store_checkpoint_mode modes[] = {
	    STORE_CHECKPOINT_PASSIVE, STORE_CHECKPOINT_FULL, STORE_CHECKPOINT_RESTART,
	    STORE_CHECKPOINT_TRUNCATE};
	const struct folder *folder = folder_of(state);
	struct store *store = open_plain(folder);

	for (size_t i = 0; i < 4; i++) {
		uint32_t known = make_log(store, folder, (int64_t)i * 100);
		struct store_checkpoint_result result;
		sqlite3 *reader = NULL;
		uint32_t frames;

		assert_int_equal(sqlite3_open(folder->store, &reader), SQLITE_OK);
		exec(reader, "BEGIN; SELECT count(*) FROM events");
		append_ok(store, "b", (int64_t)i * 100, 50);
		frames = frames_of(folder);
		assert_true(frames > known);

		result = checkpoint_ok(store, modes[i]);
		assert_true(result.busy);
		assert_int_equal(result.frames_in_log, frames);
		assert_int_equal(result.frames_moved, known);

		exec(reader, "COMMIT");
		assert_int_equal(sqlite3_close(reader), SQLITE_OK);
		assert_false(checkpoint_ok(store, modes[i]).busy);
	}
	store_close(store);
}

/* [B2] A writer is in the way of all modes but PASSIVE, and an own cursor of none: it is parked and
 * goes on. */
static void test_writer_and_cursor(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_plain(folder);
	struct store *writer = open_plain(folder);
	struct store_cursor *cursor = NULL;
	struct store_record record;
	bool found = false;

	make_log(store, folder, 0);
	exec(store_handle(writer), "BEGIN IMMEDIATE");
	assert_false(checkpoint_ok(store, STORE_CHECKPOINT_PASSIVE).busy);
	assert_true(checkpoint_ok(store, STORE_CHECKPOINT_FULL).busy);
	assert_true(checkpoint_ok(store, STORE_CHECKPOINT_TRUNCATE).busy);
	exec(store_handle(writer), "ROLLBACK");
	store_close(writer);

	make_log(store, folder, 100);
	assert_int_equal(store_cursor_open_by_server(store, "a", 0, 1000, &cursor, NULL), STORE_OK);
	assert_int_equal(store_cursor_next(cursor, &record, &found, NULL), STORE_OK);
	assert_int_equal(record.event.position, 0);
	assert_false(checkpoint_ok(store, STORE_CHECKPOINT_TRUNCATE).busy);
	assert_int_equal(store_cursor_next(cursor, &record, &found, NULL), STORE_OK);
	assert_true(found);
	assert_int_equal(record.event.position, 1);
	store_cursor_close(cursor);
	store_close(store);
}

static enum store_code checkpoint_inside(struct store *store, void *context,
					 struct store_error *err)
{
	(void)context;
	return store_checkpoint(store, STORE_CHECKPOINT_PASSIVE, NULL, err);
}

/* [B2] Refused: no store, no mode, inside a transaction of the library or of the caller. */
static void test_refused(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_plain(folder);
	struct store_checkpoint_result result = {.frames_in_log = 77};
	struct store_error err = {0};

	assert_int_equal(store_checkpoint(NULL, STORE_CHECKPOINT_FULL, &result, &err),
			 STORE_ERR_INVALID);
	assert_int_equal(store_checkpoint(store, (enum store_checkpoint_mode)4, &result, &err),
			 STORE_ERR_INVALID);
	assert_int_equal(store_transaction(store, checkpoint_inside, NULL, &err),
			 STORE_ERR_INVALID);
	assert_non_null(strstr(err.message, folder->store));
	exec(store_handle(store), "BEGIN");
	assert_int_equal(store_checkpoint(store, STORE_CHECKPOINT_FULL, &result, &err),
			 STORE_ERR_INVALID);
	exec(store_handle(store), "COMMIT");
	assert_int_equal(result.frames_in_log, 77);
	store_close(store);
}

/* [B2] Where there is no log, there is nothing to move, and that is no error. */
static void test_without_a_log(void **state)
{
	static const struct store_pragma pragmas[] = {{"journal_mode", "delete"}};
	const struct store_options options = {.pragmas = pragmas, .pragma_count = 1};
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, &options);
	struct store_checkpoint_result result;
	struct store_wal_look look = {.file_bytes = 7};

	append_ok(store, "a", 0, 10);
	result = checkpoint_ok(store, STORE_CHECKPOINT_TRUNCATE);
	assert_int_equal(result.frames_in_log, 0);
	assert_false(result.busy);
	assert_int_equal(store_wal_look(store, &look, NULL), STORE_OK);
	assert_int_equal(look.file_bytes + look.used_bytes + look.waiting_bytes, 0);
	store_close(store);
}

/* [B2] Every write, sync and truncation of a checkpoint that fails is an error; an I/O error stops
 * the store, a full disk does not; nothing that was committed is lost. */
static void test_errors(void **state)
{
	const struct folder *folder = folder_of(state);
	long failed[2] = {0, 0};

	counting_vfs_install();
	for (int full = 0; full < 2; full++) {
		for (long n = 1;; n++) {
			struct store_error err = {0};
			struct store *store;
			enum store_code code;
			bool fired;

			assert_true(n < 100);
			folder_empty(folder);
			store = open_plain(folder);
			make_log(store, folder, 0);
			counting_vfs_reset();
			counting_vfs.fault_at = n;
			counting_vfs.fault_is_full = full;
			code = store_checkpoint(store, STORE_CHECKPOINT_TRUNCATE, NULL, &err);
			fired = counting_vfs.fault_count > 0;
			counting_vfs_reset();
			if (!fired) {
				assert_int_equal(code, STORE_OK);
				store_close(store);
				break;
			}
			failed[full]++;
			if (code == STORE_ERR_FULL) {
				assert_true(full);
				append_ok(store, "b", 0, 1);
			} else {
				assert_int_equal(code, STORE_ERR_IO);
				assert_int_equal(append_range(store, "b", 0, 1, &err),
						 STORE_ERR_STOPPED);
				assert_int_equal(
				    store_checkpoint(store, STORE_CHECKPOINT_PASSIVE, NULL, &err),
				    STORE_ERR_STOPPED);
				assert_int_equal(store_reopen(store, &err), STORE_OK);
				append_ok(store, "b", 0, 1);
			}
			assert_int_equal(event_count(store), 51);
			store_close(store);
		}
	}
	counting_vfs_remove();
	assert_true(failed[0] > 5);
	assert_int_equal(failed[0], failed[1]);
}

/* [B3] A look at the log agrees with what a checkpoint finds: nothing waits after one that moved
 * everything, and the file stays as large as it was. */
static void test_look(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_plain(folder);
	struct store_wal_look look;
	sqlite3 *reader = NULL;
	uint32_t frames;
	uint32_t more;

	frames = make_log(store, folder, 0);
	assert_int_equal(store_wal_look(store, &look, NULL), STORE_OK);
	assert_int_equal(look.page_size_bytes, 1024);
	assert_int_equal(look.file_bytes, HEADER_BYTES + frames * FRAME_BYTES);
	assert_int_equal(look.used_bytes, look.file_bytes);
	assert_int_equal(look.waiting_bytes, frames * FRAME_BYTES);

	/* A reader keeps the last frames from being moved. */
	assert_int_equal(sqlite3_open(folder->store, &reader), SQLITE_OK);
	exec(reader, "BEGIN; SELECT count(*) FROM events");
	append_ok(store, "b", 0, 50);
	more = frames_of(folder) - frames;
	assert_true(checkpoint_ok(store, STORE_CHECKPOINT_PASSIVE).busy);
	assert_int_equal(store_wal_look(store, &look, NULL), STORE_OK);
	assert_int_equal(look.waiting_bytes, more * FRAME_BYTES);
	assert_int_equal(sqlite3_close(reader), SQLITE_OK);

	assert_false(checkpoint_ok(store, STORE_CHECKPOINT_PASSIVE).busy);
	assert_int_equal(store_wal_look(store, &look, NULL), STORE_OK);
	assert_int_equal(look.waiting_bytes, 0);
	assert_int_equal(look.used_bytes, look.file_bytes);

	append_ok(store, "c", 0, 1);
	assert_int_equal(store_wal_look(store, &look, NULL), STORE_OK);
	assert_true(look.used_bytes < look.file_bytes);
	assert_int_equal(look.waiting_bytes, look.used_bytes - HEADER_BYTES);

	checkpoint_ok(store, STORE_CHECKPOINT_TRUNCATE);
	assert_int_equal(store_wal_look(store, &look, NULL), STORE_OK);
	assert_int_equal(look.file_bytes + look.used_bytes + look.waiting_bytes, 0);
	store_close(store);
}

/* Descriptors that this process has open. */
static size_t descriptor_count(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t count = 0;

	if (!dir)
		return 0;
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

/* [B2] [C8] A store in locking_mode=exclusive has its index in its own memory: to look at the log,
 * for whatever reason, creates no shared one, and keeps no file open. */
static void test_exclusive_shares_no_index(void **state)
{
	static const struct store_pragma pragmas[] = {{"locking_mode", "exclusive"},
						      {"wal_autocheckpoint", "0"}};
	const struct store_options options = {.pragmas = pragmas, .pragma_count = 2};
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, &options);
	struct store_statistics *statistics = calloc(1, sizeof(*statistics));
	struct store_wal_look look;
	char copy[256];
	size_t before;

	assert_non_null(statistics);
	append_ok(store, "a", 0, 10);
	assert_false(file_exists(folder->shm));
	before = descriptor_count();
	assert_int_equal(store_wal_look(store, &look, NULL), STORE_OK);
	assert_int_equal(look.file_bytes, file_size(folder->wal));
	assert_int_equal(look.used_bytes + look.waiting_bytes, 0);
	assert_int_equal(store_statistics(store, true, statistics, NULL), STORE_OK);
	assert_int_equal(statistics->wal_bytes, file_size(folder->wal));
	assert_true(statistics->wal_frames > 0);
	snprintf(copy, sizeof(copy), "%s/copy.db", folder->path);
	assert_int_equal(store_backup_cold(store, copy, NULL, NULL), STORE_OK);
	assert_false(file_exists(folder->shm));
	assert_int_equal(descriptor_count(), before);
	store_close(store);
	free(statistics);
	/* The store and its copy. */
	assert_int_equal(folder_count(folder), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_modes_that_keep_the_file),
	    TEST(test_truncate),
	    TEST(test_reader_in_the_way),
	    TEST(test_writer_and_cursor),
	    TEST(test_refused),
	    TEST(test_without_a_log),
	    TEST(test_errors),
	    TEST(test_look),
	    TEST(test_exclusive_shares_no_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
