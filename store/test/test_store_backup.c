/*
 * test_store_backup.c: backups [C4], P12: the copy is that of one moment while a writer goes on;
 * under its final name there is never anything but the old file or a whole copy, whichever call
 * fails, is the last one of the process, or damages what was written.
 */
#include <errno.h>

#include "store/test/counting_vfs.h"
#include "store/test/store_test.h"
#include "store/internal.h"

#define SWEEP_MAX 500

/* ---- files that record, fail, kill and damage ---- */

enum call { CALL_CREATE, CALL_WRITE, CALL_SYNC, CALL_CLOSE, CALL_RENAME, CALL_REMOVE, CALL_FOLDER };

struct recorder {
	const struct store_files *real;
	char calls[64]; /* a letter each, in order, without reads */
	size_t call_count;
	size_t fail_at; /* counted from 1; 0 is never */
	bool kills;
	int number;
	bool fired;
	size_t damage_at; /* the write whose first byte is changed, counted from 1 */
	size_t write_count;
	/* Written to while the copy is: answers have to be STORE_ERR_BUSY. */
	struct store *writer;
	size_t busy_count;
	/* Effects of the VFS when the copy got its name. */
	long effects_at_rename;
};

/* Counts a call; true if it is to fail. */
static bool recorder_call(struct recorder *recorder, enum call call)
{
	if (recorder->call_count < sizeof(recorder->calls) - 1)
		recorder->calls[recorder->call_count] = "cwskrdf"[call];
	recorder->call_count++;
	if (recorder->call_count != recorder->fail_at)
		return false;
	recorder->fired = true;
	if (recorder->kills)
		_exit(COUNTING_VFS_EXIT_STATUS);
	return true;
}

static int recorder_create(void *context, const char *path, void **ret_file)
{
	struct recorder *recorder = context;

	if (recorder_call(recorder, CALL_CREATE))
		return recorder->number;
	return recorder->real->create(recorder->real->context, path, ret_file);
}
static int recorder_write(void *context, void *file, const void *data, size_t size)
{
	struct recorder *recorder = context;
	unsigned char *copy;
	int number;

	if (recorder_call(recorder, CALL_WRITE))
		return recorder->number;
	if (recorder->writer) {
		assert_int_equal(append_range(recorder->writer, "w", 0, 1, NULL), STORE_ERR_BUSY);
		recorder->busy_count++;
	}
	if (++recorder->write_count != recorder->damage_at)
		return recorder->real->write(recorder->real->context, file, data, size);
	copy = malloc(size);
	if (!copy)
		abort();
	memcpy(copy, data, size);
	copy[size - 1] ^= 1;
	number = recorder->real->write(recorder->real->context, file, copy, size);
	free(copy);
	return number;
}
static int recorder_sync(void *context, void *file)
{
	struct recorder *recorder = context;

	if (recorder_call(recorder, CALL_SYNC))
		return recorder->number;
	return recorder->real->sync(recorder->real->context, file);
}
static int recorder_close(void *context, void *file)
{
	struct recorder *recorder = context;
	bool fail = recorder_call(recorder, CALL_CLOSE);
	int number = recorder->real->close(recorder->real->context, file);

	return fail ? recorder->number : number;
}
static int recorder_read(void *context, const char *path, uint64_t offset_bytes, void *buffer,
			 size_t size, size_t *ret_got)
{
	struct recorder *recorder = context;

	return recorder->real->read(recorder->real->context, path, offset_bytes, buffer, size,
				    ret_got);
}
static int recorder_rename(void *context, const char *from, const char *to)
{
	struct recorder *recorder = context;

	recorder->effects_at_rename = counting_vfs.effect_count;
	if (recorder_call(recorder, CALL_RENAME))
		return recorder->number;
	return recorder->real->rename(recorder->real->context, from, to);
}
static int recorder_remove(void *context, const char *path)
{
	struct recorder *recorder = context;

	if (recorder_call(recorder, CALL_REMOVE))
		return recorder->number;
	return recorder->real->remove(recorder->real->context, path);
}
static int recorder_sync_folder(void *context, const char *folder)
{
	struct recorder *recorder = context;

	if (recorder_call(recorder, CALL_FOLDER))
		return recorder->number;
	return recorder->real->sync_folder(recorder->real->context, folder);
}

static struct store_files recorder_files(struct recorder *recorder)
{
	*recorder = (struct recorder){.real = store_files_posix(), .number = EIO};
	return (struct store_files){
	    .context = recorder,
	    .create = recorder_create,
	    .write = recorder_write,
	    .sync = recorder_sync,
	    .close = recorder_close,
	    .read = recorder_read,
	    .rename = recorder_rename,
	    .remove = recorder_remove,
	    .sync_folder = recorder_sync_folder,
	};
}

/* ---- the store, and its copy ---- */

struct names {
	char copy[256];
	char part[300];
	char wal[300];
};

static struct names names_of(const struct folder *folder)
{
	struct names names;

	snprintf(names.copy, sizeof(names.copy), "%s/copy ?#%%1.db", folder->path);
	snprintf(names.part, sizeof(names.part), "%s.part", names.copy);
	snprintf(names.wal, sizeof(names.wal), "%s-wal", names.copy);
	return names;
}

static struct store *open_small(const char *path)
{
	static const struct store_pragma pragmas[] = {{"page_size", "512"}};
	const struct store_options options = {
	    .pragmas = pragmas,
	    .pragma_count = 1,
	    .busy_timeout_ms = -1,
	};

	return open_with(path, &options);
}

/* Asserts that the copy is a store with exactly these events of server a, and nothing beside it. */
static void assert_copy(const struct names *names, int64_t count)
{
	struct store *copy;

	assert_false(file_exists(names->part));
	assert_false(file_exists(names->wal));
	copy = open_with(names->copy, NULL);
	assert_query_text(store_handle(copy), "PRAGMA integrity_check", "ok");
	assert_int_equal(event_count(copy), count);
	assert_int_equal(query_int(store_handle(copy), "SELECT count(*) FROM events WHERE"
						       " server_id = 'a' AND position < 1000"),
			 count);
	store_close(copy);
}

static void assert_backup_ok(enum store_code code, const struct store_error *err)
{
	if (code != STORE_OK)
		fail_msg("%s: %s", store_code_name(code), err->message);
}

/* [C4] The copy is the store as it was at the first step, however much is committed and
 * checkpointed meanwhile by others: it never starts over. */
static void test_moment(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct names names = names_of(folder);
	const struct store_backup_options options = {.pages_per_step = 3};
	struct store *store = open_small(folder->store);
	struct store *writer = open_small(folder->store);
	struct store_backup_progress progress = {0};
	struct store_backup *backup = NULL;
	struct store_error err = {0};
	uint32_t remaining = UINT32_MAX;
	size_t steps = 0;

	append_ok(store, "a", 0, 100);
	assert_backup_ok(store_backup_begin(store, names.copy, &options, &backup, &err), &err);
	/* Before the first step it still counts. */
	append_ok(writer, "a", 100, 1);
	while (!progress.done) {
		assert_backup_ok(store_backup_step(backup, &progress, &err), &err);
		assert_true(progress.pages_remaining < remaining || progress.pages_remaining == 0);
		remaining = progress.pages_remaining;
		assert_true(progress.done || !file_exists(names.copy));
		append_ok(writer, "b", (int64_t)steps * 20, 20);
		store_checkpoint(writer, STORE_CHECKPOINT_PASSIVE, NULL, NULL);
		steps++;
	}
	assert_true(steps > 10);
	/* Each page once, then the verification. */
	assert_int_equal(steps - 1, (progress.pages_total + 2) / 3);
	/* Done is done. */
	assert_backup_ok(store_backup_step(backup, &progress, &err), &err);
	assert_true(progress.done);
	store_backup_close(backup);
	assert_copy(&names, 101);

	/* The handle writes again, and has not lost anything. */
	append_ok(store, "a", 200, 1);
	assert_int_equal(event_count(store), 102 + (int64_t)steps * 20);
	store_close(writer);
	store_close(store);
}

/* [C4] While it runs, its handle reads and does not write; and it is one at a time. */
static void test_handle_meanwhile(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct names names = names_of(folder);
	const struct store_backup_options options = {.pages_per_step = 1};
	struct store *store = open_small(folder->store);
	struct store_backup *backup = NULL;
	struct store_backup *second = NULL;
	struct store_error err = {0};

	append_ok(store, "a", 0, 20);
	assert_backup_ok(store_backup_begin(store, names.copy, &options, &backup, &err), &err);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(append_range(store, "a", 20, 1, &err), STORE_ERR_BUSY);
		assert_int_equal(store_checkpoint(store, STORE_CHECKPOINT_PASSIVE, NULL, &err),
				 STORE_ERR_BUSY);
		assert_int_equal(store_backup_begin(store, "other.db", NULL, &second, &err),
				 STORE_ERR_BUSY);
		assert_int_equal(event_count(store), 20);
		assert_backup_ok(store_backup_step(backup, NULL, &err), &err);
	}
	store_backup_close(backup);
	append_ok(store, "a", 20, 1);
	store_close(store);
}

static bool count_calls(void *context, const struct store_backup_progress *progress)
{
	int *calls = context;

	assert_true(progress->pages_remaining <= progress->pages_total);
	(*calls)++;
	return true;
}

static bool stop_at_third(void *context, const struct store_backup_progress *progress)
{
	int *calls = context;

	(void)progress;
	return ++*calls < 3;
}

/* [C4] Progress is told after each step; a cancel leaves no part, and the file that had the name.
 */
static void test_progress_and_cancel(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct names names = names_of(folder);
	const struct store_backup_options options = {.pages_per_step = 2};
	struct store *store = open_small(folder->store);
	struct store_backup *backup = NULL;
	struct store_error err = {0};
	size_t files;
	int calls = 0;

	append_ok(store, "a", 0, 100);
	files = folder_count(folder);
	assert_int_equal(store_backup(store, names.copy, &options, stop_at_third, &calls, &err),
			 STORE_ERR_CANCELLED);
	assert_int_equal(calls, 3);
	assert_int_equal(folder_count(folder), files);

	file_write(names.copy, "old", 3);
	calls = 0;
	assert_int_equal(store_backup(store, names.copy, &options, stop_at_third, &calls, &err),
			 STORE_ERR_CANCELLED);
	assert_backup_ok(store_backup_begin(store, names.copy, &options, &backup, &err), &err);
	store_backup_close(backup);
	assert_int_equal(folder_count(folder), files + 1);
	assert_file_unchanged(names.copy, (struct bytes){(unsigned char *)strdup("old"), 3});

	calls = 0;
	assert_backup_ok(store_backup(store, names.copy, &options, count_calls, &calls, &err),
			 &err);
	assert_true(calls > 10);
	store_close(store);
	assert_copy(&names, 100);
	store_backup_close(NULL);
}

/* [C4] What reaches the disk comes in this order: the copy, its sync, its name, the folder's sync.
 */
static void test_order(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct names names = names_of(folder);
	struct recorder recorder;
	const struct store_files files = recorder_files(&recorder);
	const struct store_backup_options options = {.files = &files};
	struct store_error err = {0};
	struct store *store;
	long effects;

	counting_vfs_install();
	store = open_small(folder->store);
	append_ok(store, "a", 0, 50);
	counting_vfs_reset();
	assert_backup_ok(store_backup(store, names.copy, &options, NULL, NULL, &err), &err);
	/* A left-over removed; renamed; the folder synced; nothing after it. */
	assert_string_equal(recorder.calls, "drf");
	assert_int_equal(counting_vfs.effect_count, recorder.effects_at_rename);

	/* The last thing before the name is a sync, for that is what fails in its place. */
	effects = counting_vfs.effect_count;
	append_ok(store, "a", 50, 1);
	assert_int_equal(remove(names.copy), 0);
	assert_int_equal(store_checkpoint(store, STORE_CHECKPOINT_TRUNCATE, NULL, &err), STORE_OK);
	counting_vfs_reset();
	recorder_files(&recorder);
	assert_backup_ok(store_backup(store, names.copy, &options, NULL, NULL, &err), &err);
	effects = recorder.effects_at_rename;
	assert_true(effects > 3);
	assert_int_equal(remove(names.copy), 0);
	counting_vfs_reset();
	recorder_files(&recorder);
	counting_vfs.fault_at = effects;
	assert_int_equal(store_backup(store, names.copy, &options, NULL, NULL, &err), STORE_ERR_IO);
	assert_int_equal(err.sqlite_code, SQLITE_IOERR_FSYNC);
	assert_string_equal(recorder.calls, "dd");
	assert_false(file_exists(names.copy));

	/* Cold: everything through the files. */
	counting_vfs_reset();
	recorder_files(&recorder);
	assert_backup_ok(store_backup_cold(store, names.copy, &options, &err), &err);
	assert_int_equal(strspn(recorder.calls, "dcw"), strlen(recorder.calls) - 4);
	assert_string_equal(strstr(recorder.calls, "s"), "skrf");
	assert_int_equal(recorder.calls[1], 'c');
	store_close(store);
	counting_vfs_remove();
	assert_copy(&names, 51);
}

/* [C4] Beside the part there is at no step a journal, a log or an index. */
static void test_nothing_beside_the_part(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct names names = names_of(folder);
	const struct store_backup_options options = {.pages_per_step = 4};
	struct store *store = open_small(folder->store);
	struct store_backup_progress progress = {0};
	struct store_backup *backup = NULL;
	struct store_error err = {0};
	size_t files;

	append_ok(store, "a", 0, 100);
	files = folder_count(folder);
	assert_backup_ok(store_backup_begin(store, names.copy, &options, &backup, &err), &err);
	while (!progress.done) {
		assert_backup_ok(store_backup_step(backup, &progress, &err), &err);
		assert_int_equal(folder_count(folder), files + 1);
	}
	store_backup_close(backup);
	assert_int_equal(folder_count(folder), files + 1);
	assert_true(file_exists(names.copy));
	store_close(store);
}

/* ---- damage ---- */

/* Finds text in the file, changes its last byte. */
static void damage(const char *path, const char *text)
{
	struct bytes bytes = file_bytes(path);
	unsigned char *at = memmem(bytes.data, bytes.size, text, strlen(text));

	assert_non_null(at);
	at[strlen(text) - 1] ^= 1;
	file_write(path, bytes.data, bytes.size);
	free(bytes.data);
}

static void damage_payload(const char *part)
{
	damage(part, "payload 77");
}
static void damage_header(const char *part)
{
	damage(part, "SQLite format");
}
static void damage_structure(const char *part)
{
	struct bytes bytes = file_bytes(part);

	memset(bytes.data + bytes.size - 512, 0, 512);
	file_write(part, bytes.data, bytes.size);
	free(bytes.data);
}
static void damage_size(const char *part)
{
	struct bytes bytes = file_bytes(part);

	assert_int_equal(truncate(part, (off_t)bytes.size - 512), 0);
	free(bytes.data);
}
static void damage_by_deleting(const char *part)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(part, &db), SQLITE_OK);
	exec(db, "DROP TRIGGER IF EXISTS events_no_delete");
	exec(db, "CREATE TABLE other (x); DELETE FROM schema_version WHERE version = 1");
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void damage_by_inserting(const char *part)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(part, &db), SQLITE_OK);
	exec(db, "INSERT INTO schema_version SELECT version + 1000, digest, name, applied_us"
		 " FROM schema_version WHERE version = 1");
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* [C4] A copy that was damaged on the way is STORE_ERR_VERIFY and never gets the name, also where
 * only a value in a row has changed, which no integrity check sees. */
static void test_damage(void **state)
{
	static void (*const damages[])(const char *part) = {
	    damage_payload, damage_header,	damage_structure,
	    damage_size,    damage_by_deleting, damage_by_inserting,
	};
	const struct folder *folder = folder_of(state);
	const struct names names = names_of(folder);
	const struct store_backup_options options = {.pages_per_step = 100000};
	struct store *store = open_small(folder->store);
	struct recorder recorder;
	const struct store_files files = recorder_files(&recorder);
	const struct store_backup_options recorded = {.files = &files};
	struct store_error err = {0};
	size_t count;

	append_ok(store, "a", 0, 100);
	count = folder_count(folder);
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		struct store_backup_progress progress = {0};
		struct store_backup *backup = NULL;

		assert_backup_ok(store_backup_begin(store, names.copy, &options, &backup, &err),
				 &err);
		assert_backup_ok(store_backup_step(backup, &progress, &err), &err);
		assert_int_equal(progress.pages_remaining, 0);
		assert_false(progress.done);
		damages[i](names.part);
		if (store_backup_step(backup, &progress, &err) != STORE_ERR_VERIFY)
			fail_msg("damage %zu: %s", i, err.message);
		assert_non_null(strstr(err.message, "copy"));
		assert_int_equal(store_backup_step(backup, &progress, &err), STORE_ERR_INVALID);
		store_backup_close(backup);
		assert_int_equal(folder_count(folder), count);
	}
	for (size_t n = 1;; n++) {
		enum store_code code;

		recorder_files(&recorder);
		recorder.damage_at = n;
		code = store_backup_cold(store, names.copy, &recorded, &err);
		if (recorder.write_count < n)
			break;
		assert_int_equal(code, STORE_ERR_VERIFY);
		assert_int_equal(folder_count(folder), count);
		append_ok(store, "a", 100 + (int64_t)n, 1);
	}
	store_close(store);
}

/* ---- what is in the way ---- */

/* [C4] Errors that come before anything is copied: no path, a missing folder, a folder under either
 * name, the store itself, a log or journal beside the name. */
static void test_in_the_way(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct names names = names_of(folder);
	struct store *store = open_small(folder->store);
	struct store_backup *backup = NULL;
	struct store_error err = {0};
	char path[400];
	size_t count;

	append_ok(store, "a", 0, 10);
	count = folder_count(folder);
	assert_int_equal(store_backup(NULL, names.copy, NULL, NULL, NULL, &err), STORE_ERR_INVALID);
	assert_int_equal(store_backup(store, NULL, NULL, NULL, NULL, &err), STORE_ERR_INVALID);
	assert_int_equal(store_backup(store, "", NULL, NULL, NULL, &err), STORE_ERR_INVALID);
	assert_int_equal(store_backup_begin(store, names.copy, NULL, NULL, &err),
			 STORE_ERR_INVALID);
	assert_int_equal(store_backup(store, folder->store, NULL, NULL, NULL, &err),
			 STORE_ERR_INVALID);
	snprintf(path, sizeof(path), "%s/./store.db", folder->path);
	assert_int_equal(store_backup(store, path, NULL, NULL, NULL, &err), STORE_ERR_INVALID);
	assert_int_equal(store_backup_cold(store, path, NULL, &err), STORE_ERR_INVALID);
	snprintf(path, sizeof(path), "%s/", folder->path);
	assert_int_equal(store_backup(store, path, NULL, NULL, NULL, &err), STORE_ERR_INVALID);
	snprintf(path, sizeof(path), "%s/missing/copy.db", folder->path);
	assert_int_equal(store_backup(store, path, NULL, NULL, NULL, &err), STORE_ERR_CANNOT_OPEN);
	assert_int_equal(store_backup_cold(store, path, NULL, &err), STORE_ERR_CANNOT_OPEN);
	assert_int_equal(store_backup_begin(store, path, NULL, &backup, &err),
			 STORE_ERR_CANNOT_OPEN);
	assert_null(backup);

	assert_int_equal(mkdir(names.part, 0700), 0);
	assert_int_not_equal(store_backup(store, names.copy, NULL, NULL, NULL, &err), STORE_OK);
	assert_int_equal(rmdir(names.part), 0);
	assert_int_equal(mkdir(names.copy, 0700), 0);
	assert_int_not_equal(store_backup(store, names.copy, NULL, NULL, NULL, &err), STORE_OK);
	assert_int_not_equal(store_backup_cold(store, names.copy, NULL, &err), STORE_OK);
	assert_int_equal(rmdir(names.copy), 0);
	assert_int_equal(folder_count(folder), count);

	file_write(names.wal, "x", 1);
	assert_int_equal(store_backup(store, names.copy, NULL, NULL, NULL, &err), STORE_ERR_EXISTS);
	assert_int_equal(remove(names.wal), 0);
	snprintf(path, sizeof(path), "%s-journal", names.copy);
	file_write(path, "x", 1);
	assert_int_equal(store_backup_cold(store, names.copy, NULL, &err), STORE_ERR_EXISTS);
	assert_int_equal(remove(path), 0);

	/* What a crash has left is no obstacle, whatever it is. */
	file_write(names.part, "left-over", 9);
	assert_backup_ok(store_backup(store, names.copy, NULL, NULL, NULL, &err), &err);
	append_ok(store, "a", 10, 1);
	store_close(store);
	assert_copy(&names, 10);
}

/* [C4] A log that somebody begins to write beside the name while the copy is made would be replayed
 * into the copy: the copy does not get the name. */
static void test_log_appears(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct names names = names_of(folder);
	const struct store_backup_options options = {.pages_per_step = 100000};
	struct store *store = open_small(folder->store);
	struct store *other = open_small(names.copy);
	struct store_backup *backup = NULL;
	struct store_error err = {0};

	append_ok(store, "a", 0, 10);
	append_ok(other, "c", 0, 3);
	assert_int_equal(store_backup(store, names.copy, NULL, NULL, NULL, &err), STORE_ERR_EXISTS);
	store_close(other);
	assert_backup_ok(store_backup_begin(store, names.copy, &options, &backup, &err), &err);
	assert_backup_ok(store_backup_step(backup, NULL, &err), &err);
	other = open_small(names.copy);
	append_ok(other, "c", 3, 1);
	assert_int_equal(store_backup_step(backup, NULL, &err), STORE_ERR_EXISTS);
	store_backup_close(backup);
	store_close(other);
	other = open_small(names.copy);
	assert_int_equal(event_count(other), 4);
	store_close(other);
	store_close(store);
}

/* ---- cold ---- */

/* [C4] While a cold copy is made nobody can commit, and afterwards everybody can. */
static void test_cold_holds_the_lock(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct names names = names_of(folder);
	struct store *store = open_small(folder->store);
	struct store *writer = open_small(folder->store);
	struct recorder recorder;
	const struct store_files files = recorder_files(&recorder);
	const struct store_backup_options options = {.files = &files};
	struct store_error err = {0};

	append_ok(store, "a", 0, 20);
	recorder.writer = writer;
	assert_backup_ok(store_backup_cold(store, names.copy, &options, &err), &err);
	assert_true(recorder.busy_count > 0);
	append_ok(writer, "w", 0, 1);
	append_ok(store, "a", 20, 1);
	store_close(writer);
	store_close(store);
	assert_copy(&names, 20);
}

/* [C4] A cold copy is the store's last commit, needs nothing beside it, and does not drop the locks
 * of this process; a reader who keeps the log from being emptied makes it busy. */
static void test_cold(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct names names = names_of(folder);
	struct store *store = open_small(folder->store);
	struct store_error err = {0};
	sqlite3 *reader = NULL;
	pid_t child;

	append_ok(store, "a", 0, 100);
	assert_int_equal(sqlite3_open(folder->store, &reader), SQLITE_OK);
	exec(reader, "BEGIN; SELECT count(*) FROM events");
	append_ok(store, "a", 100, 1);
	assert_int_equal(store_backup_cold(store, names.copy, NULL, &err), STORE_ERR_BUSY);
	assert_non_null(strstr(err.message, "reader"));
	assert_false(file_exists(names.copy));
	exec(reader, "COMMIT");
	assert_backup_ok(store_backup_cold(store, names.copy, NULL, &err), &err);
	assert_int_equal(sqlite3_close(reader), SQLITE_OK);
	append_ok(store, "a", 101, 1);

	/* The lock that every open connection holds on the file keeps another process from taking
	 * the log away when it closes. */
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		char command[700];
		int status;

		snprintf(command, sizeof(command),
			 "exec python3 -c 'import sqlite3\n"
			 "c = sqlite3.connect(\"%s\")\n"
			 "c.execute(\"SELECT count(*) FROM events\").fetchall()\nc.close()'",
			 folder->store);
		status = system(command);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	assert_int_equal(child_wait(child), 0);
	assert_true(file_exists(folder->wal));
	append_ok(store, "a", 102, 1);
	store_close(store);
	assert_copy(&names, 101);
}

/* [C4] A backup can be taken through a reader of a pool, which cannot write: the writer does not
 * pause; a cold one cannot. */
static void test_through_a_reader(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct names names = names_of(folder);
	struct store *store = open_small(folder->store);
	struct store *reader = NULL;
	struct store_error err = {0};

	append_ok(store, "a", 0, 30);
	assert_int_equal(store_open_reader(folder->store, NULL, &reader, &err), STORE_OK);
	assert_backup_ok(store_backup(reader, names.copy, NULL, NULL, NULL, &err), &err);
	assert_int_equal(store_backup_cold(reader, names.copy, NULL, &err), STORE_ERR_READ_ONLY);
	append_ok(store, "a", 30, 1);
	store_close(reader);
	store_close(store);
	assert_copy(&names, 30);
}

/* [C4] A backup of a store in a rollback mode is whole, too. */
static void test_rollback_mode(void **state)
{
	static const struct store_pragma pragmas[] = {{"journal_mode", "delete"}};
	const struct store_options options = {.pragmas = pragmas, .pragma_count = 1};
	const struct folder *folder = folder_of(state);
	const struct names names = names_of(folder);
	struct store *store = open_with(folder->store, &options);
	struct store_error err = {0};

	append_ok(store, "a", 0, 100);
	assert_backup_ok(store_backup(store, names.copy, NULL, NULL, NULL, &err), &err);
	append_ok(store, "a", 100, 1);
	assert_copy(&names, 100);
	assert_backup_ok(store_backup_cold(store, names.copy, NULL, &err), &err);
	append_ok(store, "a", 101, 1);
	store_close(store);
	assert_copy(&names, 101);
}

/* ---- every call ---- */

/* How the copy is made. */
struct way {
	bool cold;
	bool old_file;
};

static const struct way ways[] = {{false, false}, {false, true}, {true, false}, {true, true}};

static enum store_code backup_by(const struct way *way, struct store *store, const char *path,
				 const struct store_backup_options *options,
				 struct store_error *err)
{
	return way->cold ? store_backup_cold(store, path, options, err)
			 : store_backup(store, path, options, NULL, NULL, err);
}

/* A new folder with a store of 20 events, and a file under the copy's name if the way wants it. */
static struct store *sweep_begin(const struct folder *folder, const struct names *names,
				 const struct way *way)
{
	struct store *store;

	folder_empty(folder);
	store = open_with(folder->store, NULL);
	append_ok(store, "a", 0, 20);
	if (way->old_file)
		file_write(names->copy, "old", 3);
	return store;
}

/* Asserts that under the name there is what was there, or a whole copy; returns whether it is. */
static bool assert_old_or_whole(const struct names *names, const struct way *way)
{
	struct bytes bytes;
	bool old;

	if (!file_exists(names->copy)) {
		assert_false(way->old_file);
		return false;
	}
	bytes = file_bytes(names->copy);
	old = bytes.size == 3 && memcmp(bytes.data, "old", 3) == 0;
	free(bytes.data);
	if (old) {
		assert_true(way->old_file);
		return false;
	}
	remove(names->part);
	assert_copy(names, 20);
	return true;
}

/* [C4] Whichever write, sync, truncation or call of the files fails, once or for good, with an I/O
 * error or a full disk: an error is returned, and the name is that of the old file or of a whole
 * copy; afterwards a backup succeeds. */
static void test_every_call_fails(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct names names = names_of(folder);
	struct recorder recorder;
	const struct store_files files = recorder_files(&recorder);
	const struct store_backup_options options = {.files = &files, .pages_per_step = 8};

	counting_vfs_install();
	for (size_t w = 0; w < 4 * 4; w++) {
		const struct way *way = &ways[w / 4];
		const bool by_files = w % 2;
		size_t n = 1;

		for (;; n++) {
			struct store *store = sweep_begin(folder, &names, way);
			struct store_error err = {0};
			enum store_code code;
			bool fired;

			assert_true(n < SWEEP_MAX);
			counting_vfs_reset();
			recorder_files(&recorder);
			if (by_files) {
				recorder.fail_at = n;
				recorder.number = w % 4 > 1 ? ENOSPC : EIO;
			} else {
				counting_vfs.fault_at = (long)n;
				counting_vfs.fault_for_good = w % 4 > 1;
				counting_vfs.fault_is_full = w % 4 > 1;
			}
			code = backup_by(way, store, names.copy, &options, &err);
			fired = recorder.fired || counting_vfs.fault_count > 0;
			counting_vfs_reset();
			recorder_files(&recorder);
			if (!fired) {
				assert_backup_ok(code, &err);
				store_close(store);
				break;
			}
			if (code == STORE_OK)
				fail_msg("way %zu: call %zu failed, and nobody said so", w, n);
			assert_true(err.message[0] != '\0');
			assert_old_or_whole(&names, way);
			if (append_range(store, "z", 0, 1, &err) == STORE_ERR_STOPPED) {
				assert_int_equal(store_reopen(store, &err), STORE_OK);
				append_ok(store, "z", 0, 1);
			}
			code = backup_by(way, store, names.copy, &options, &err);
			assert_backup_ok(code, &err);
			store_close(store);
		}
		assert_true(n > 3);
		assert_true(assert_old_or_whole(&names, way));
	}
	counting_vfs_remove();
}

/* [C4] Whichever call is the last one of the process: the name is that of the old file or of a
 * whole copy, and the next backup makes a whole one. */
static void test_killed_at_every_call(void **state)
{
	const struct folder *folder = folder_of(state);
	const struct names names = names_of(folder);
	struct recorder recorder;
	const struct store_files files = recorder_files(&recorder);
	const struct store_backup_options options = {.files = &files, .pages_per_step = 8};

	for (size_t w = 0; w < 4 * 2; w++) {
		const struct way *way = &ways[w / 2];
		int status = COUNTING_VFS_EXIT_STATUS;

		for (size_t n = 1; status == COUNTING_VFS_EXIT_STATUS; n++) {
			struct store_error err = {0};
			struct store *store;
			pid_t child;

			assert_true(n < SWEEP_MAX);
			store_close(sweep_begin(folder, &names, way));
			child = fork();
			assert_true(child >= 0);
			if (child == 0) {
				counting_vfs_install();
				store = open_with(folder->store, NULL);
				counting_vfs_reset();
				if (w % 2) {
					recorder.fail_at = n;
					recorder.kills = true;
				} else {
					counting_vfs.fault_at = (long)n;
					counting_vfs.fault_kills = true;
				}
				_exit(backup_by(way, store, names.copy, &options, NULL) !=
				      STORE_OK);
			}
			status = child_wait(child);
			assert_true(status == COUNTING_VFS_EXIT_STATUS || status == 0);
			if (!file_exists(names.copy) || way->old_file || status == 0)
				assert_old_or_whole(&names, way);
			store = open_with(folder->store, NULL);
			assert_backup_ok(backup_by(way, store, names.copy, NULL, &err), &err);
			store_close(store);
			assert_copy(&names, 20);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_moment),
	    TEST(test_handle_meanwhile),
	    TEST(test_progress_and_cancel),
	    TEST(test_order),
	    TEST(test_nothing_beside_the_part),
	    TEST(test_damage),
	    TEST(test_in_the_way),
	    TEST(test_log_appears),
	    TEST(test_cold),
	    TEST(test_cold_holds_the_lock),
	    TEST(test_through_a_reader),
	    TEST(test_rollback_mode),
	    TEST(test_every_call_fails),
	    TEST(test_killed_at_every_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
