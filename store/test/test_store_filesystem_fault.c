/*
 * test_store_filesystem_fault.c: the file system (C6) when the process is killed, or the disk
 * fails, at each operation on the disk in turn: every invariant holds afterwards, and what is there
 * is what was acknowledged, or one step more where that was under way.
 */
#include <sys/mman.h>

#include "store/test/counting_vfs.h"
#include "store/test/store_test.h"

enum { STEPS = 9, SWEEP_MAX = 1000, DUMP_BYTES = 1024 };

#define ROOT STORE_NODE_ROOT

/* Some checkpoints among the commits. A kill needs no syncs, and a failing disk those of the
 * checkpoints: how each commit is synced is test_store_fault.c's, and a sync takes its time. */
static struct store *fs_open(const char *path, enum store_profile profile)
{
	static const struct store_pragma often = {"wal_autocheckpoint", "30"};
	struct store_options options = {.profile = profile,
					.schema = STORE_SCHEMA_FILESYSTEM,
					.pragmas = &often,
					.pragma_count = 1};

	return open_with(path, &options);
}

/* One step of a life in which every kind of operation occurs. Inodes are known: 2 is "a", 3 "b". */
static enum store_code step(struct store *store, int number, struct store_error *err)
{
	static const char long_text[9000] = "more than two pages";

	switch (number) {
	case 0:
		return store_folder_make(store, ROOT, "a", 1, NULL, err);
	case 1:
		return store_folder_make(store, ROOT, "b", 2, NULL, err);
	case 2:
		return store_file_write(store, 2, "f", long_text, sizeof(long_text), 3, NULL, err);
	case 3:
		return store_file_copy(store, 4, 3, "g", 4, NULL, err);
	case 4:
		return store_file_write(store, 2, "f", "short", 5, 5, NULL, err);
	case 5:
		return store_node_rename(store, ROOT, "b", 2, "b", 6, err);
	case 6:
		return store_node_rename(store, 2, "f", 3, "g", 7, err);
	case 7:
		return store_node_remove(store, 3, "g", 8, err);
	default:
		return store_node_remove(store, 2, "b", 9, err);
	}
}

/* All that is in the store, as text. */
static void dump(struct store *store, char ret_text[DUMP_BYTES])
{
	sqlite3_stmt *stmt = NULL;

	assert_int_equal(
	    sqlite3_prepare_v2(store_handle(store),
			       "SELECT coalesce(group_concat(inode || ',' || ifnull(parent, '')"
			       " || ',' || name || ',' || size_bytes || ',' || modified_us || ','"
			       " || child_count || ',' || ifnull(substr(content, 1, 4), ''), ';'),"
			       " '') FROM (SELECT * FROM nodes LEFT JOIN contents USING (blob)"
			       " ORDER BY inode)",
			       -1, &stmt, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	snprintf(ret_text, DUMP_BYTES, "%s", (const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
}

static void assert_sound(struct store *store)
{
	static const char *const queries[] = {
#define QUERY(text, sql) sql,
	    STORE_FILESYSTEM_INVARIANTS(QUERY) STORE_FILESYSTEM_INVARIANTS_2(QUERY)
#undef QUERY
		"PRAGMA integrity_check",
	};
	const size_t last = sizeof(queries) / sizeof(queries[0]) - 1;

	for (size_t i = 0; i < last; i++) {
		sqlite3_stmt *stmt = NULL;

		assert_int_equal(
		    sqlite3_prepare_v2(store_handle(store), queries[i], -1, &stmt, NULL),
		    SQLITE_OK);
		if (sqlite3_step(stmt) != SQLITE_DONE)
			fail_msg("does not hold: %s", queries[i]);
		sqlite3_finalize(stmt);
	}
	assert_query_text(store_handle(store), queries[last], "ok");
}

/* What the store holds after each number of steps. */
struct life {
	char dumps[STEPS + 1][DUMP_BYTES];
};

static void life_fill(const struct folder *folder, struct life *life)
{
	struct store *store = fs_open(folder->store, STORE_PROFILE_BULK);

	for (int i = 0; i <= STEPS; i++) {
		dump(store, life->dumps[i]);
		assert_sound(store);
		if (i < STEPS)
			assert_int_equal(step(store, i, NULL), STORE_OK);
	}
	for (int i = 0; i < STEPS; i++)
		assert_string_not_equal(life->dumps[i], life->dumps[i + 1]);
	store_close(store);
	folder_empty(folder);
}

/* The store is sound, holds what `done` steps leave, or one more if `maybe`, and can go on. */
static void assert_life(const struct folder *folder, const struct life *life, int done, bool maybe)
{
	struct store *store = fs_open(folder->store, STORE_PROFILE_BULK);
	char found[DUMP_BYTES];

	assert_sound(store);
	dump(store, found);
	if (maybe && done < STEPS && strcmp(found, life->dumps[done + 1]) == 0)
		done++;
	assert_string_equal(found, life->dumps[done]);
	for (int i = done; i < STEPS; i++)
		assert_int_equal(step(store, i, NULL), STORE_OK);
	dump(store, found);
	assert_string_equal(found, life->dumps[STEPS]);
	store_close(store);
	folder_empty(folder);
}

/* [C6] Killed at any operation, the store holds every step that was answered, and the one under way
 * whole or not at all. */
static void test_killed(void **state)
{
	const struct folder *folder = folder_of(state);
	struct life *life = calloc(1, sizeof(*life));
	int *done =
	    mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = COUNTING_VFS_EXIT_STATUS;
	struct bytes empty;
	long n;

	if (!life || done == MAP_FAILED)
		abort();
	life_fill(folder, life);
	store_close(fs_open(folder->store, STORE_PROFILE_BULK));
	empty = file_bytes(folder->store);
	for (n = 1; status == COUNTING_VFS_EXIT_STATUS; n++) {
		struct store *store;
		pid_t child;

		assert_true(n < SWEEP_MAX);
		file_write(folder->store, empty.data, empty.size);
		*done = 0;
		child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			counting_vfs_install();
			store = fs_open(folder->store, STORE_PROFILE_BULK);
			counting_vfs_reset();
			counting_vfs.fault_kills = true;
			counting_vfs.fault_at = n;
			for (int i = 0; i < STEPS; i++) {
				if (step(store, i, NULL) != STORE_OK)
					_exit(1);
				*done = i + 1;
			}
			_exit(0);
		}
		status = child_wait(child);
		assert_true(status == 0 || status == COUNTING_VFS_EXIT_STATUS);
		assert_life(folder, life, *done, true);
	}
	assert_true(n > 3 * STEPS);
	munmap(done, sizeof(*done));
	free(empty.data);
	free(life);
}

/* [C6] Whatever fails on the disk, the step is reported as failed and leaves nothing, unless the
 * error says that it may have. */
static void test_failing_disk(void **state)
{
	const struct folder *folder = folder_of(state);
	struct life *life = calloc(1, sizeof(*life));
	struct bytes empty;

	if (!life)
		abort();
	life_fill(folder, life);
	store_close(fs_open(folder->store, STORE_PROFILE_BULK));
	empty = file_bytes(folder->store);
	counting_vfs_install();
	for (int is_full = 0; is_full <= 1; is_full++) {
		bool met = true;

		for (long n = 1; met; n++) {
			struct store_error err = {0};
			enum store_code code = STORE_OK;
			struct store *store;
			int done = 0;

			assert_true(n < SWEEP_MAX);
			file_write(folder->store, empty.data, empty.size);
			/* A sync cannot find the disk full, so that one has none. */
			store = fs_open(folder->store,
					is_full ? STORE_PROFILE_BULK : STORE_PROFILE_BALANCED);
			counting_vfs_reset();
			counting_vfs.fault_at = n;
			counting_vfs.fault_is_full = is_full;
			while (done < STEPS && code == STORE_OK) {
				code = step(store, done, &err);
				done += code == STORE_OK;
			}
			met = counting_vfs.fault_count > 0;
			counting_vfs_reset();
			if (code != STORE_OK) {
				/* Stopped, where a checkpoint had failed behind the commit of the
				 * step before. */
				if (code != STORE_ERR_IO && code != STORE_ERR_FULL &&
				    code != STORE_ERR_STOPPED)
					fail_msg("%ld: %s", n, err.message);
				if (err.indeterminate || code == STORE_ERR_IO)
					assert_int_equal(step(store, done, NULL),
							 STORE_ERR_STOPPED);
			}
			store_close(store);
			counting_vfs_reset();
			assert_life(folder, life, done, err.indeterminate);
		}
	}
	counting_vfs_remove();
	free(empty.data);
	free(life);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_killed),
	    TEST(test_failing_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
