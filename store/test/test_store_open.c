/*
 * test_store_open.c: opening: settings set and read back (A1), and everything that can be wrong
 * with a path, a file or an option.
 */
#include <errno.h>

#include "store/test/counting_vfs.h"
#include "store/test/store_test.h"

/* [A1] After opening a file, WAL, FULL and foreign keys are what SQLite itself reports. */
static void test_wal_is_enabled_after_open(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct bytes bytes;

	assert_query_text(store_handle(store), "PRAGMA journal_mode", "wal");
	assert_int_equal(query_int(store_handle(store), "PRAGMA synchronous"), 2);
	assert_int_equal(query_int(store_handle(store), "PRAGMA foreign_keys"), 1);
	store_close(store);
	/* File format versions 2 in the header mean WAL (SQLite file format, offsets 18 and 19). */
	bytes = file_bytes(folder->store);
	assert_int_equal(bytes.data[18], 2);
	assert_int_equal(bytes.data[19], 2);
	free(bytes.data);
	assert_int_equal(folder_count(folder), 1);
}

/* [A1] No options at all are the archival profile. */
static void test_default_is_archival(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = NULL;

	assert_int_equal(store_open(folder->store, NULL, &store, NULL), STORE_OK);
	assert_query_text(store_handle(store), "PRAGMA journal_mode", "wal");
	assert_int_equal(query_int(store_handle(store), "PRAGMA synchronous"), 2);
	/* Without a clock of the caller's, the real one: later than 2020. */
	assert_true(query_int(store_handle(store), "SELECT min(applied_us) FROM schema_version") >
		    INT64_C(1577836800000000));
	store_close(store);
}

/* [A1] [B1] Balanced is NORMAL, bulk is OFF, and both are WAL with foreign keys. */
static void test_profiles(void **state)
{
	static const struct {
		enum store_profile profile;
		int64_t synchronous;
	} rows[] = {
	    {STORE_PROFILE_ARCHIVAL, 2},
	    {STORE_PROFILE_BALANCED, 1},
	    {STORE_PROFILE_BULK, 0},
	};
	const struct folder *folder = folder_of(state);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct store_options options = {.profile = rows[i].profile};
		struct store *store = open_with(folder->store, &options);

		assert_query_text(store_handle(store), "PRAGMA journal_mode", "wal");
		assert_int_equal(query_int(store_handle(store), "PRAGMA synchronous"),
				 rows[i].synchronous);
		assert_int_equal(query_int(store_handle(store), "PRAGMA foreign_keys"), 1);
		store_close(store);
	}
}

/* [A1] A database that has no file is refused by name, and makes none. */
static void test_memory_is_refused(void **state)
{
	struct store_error err;

	(void)state;
	err = assert_open_fails(":memory:", NULL, STORE_ERR_IN_MEMORY);
	assert_non_null(strstr(err.message, ":memory:"));
	err = assert_open_fails("", NULL, STORE_ERR_IN_MEMORY);
	assert_non_null(strstr(err.message, "memory"));
	assert_open_fails("file:x?mode=memory", NULL, STORE_ERR_INVALID);
	assert_false(file_exists("file:x?mode=memory"));
}

/* [A1] Where WAL is impossible, opening fails and says what the database answered. */
static void test_wal_that_does_not_take_is_an_error(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_error err;

	counting_vfs_install();
	counting_vfs.no_shared_memory = true;
	err = assert_open_fails(folder->store, NULL, STORE_ERR_SETTING);
	counting_vfs_remove();
	assert_non_null(strstr(err.message, "journal_mode=wal"));
	assert_non_null(strstr(err.message, "'delete'"));
	assert_non_null(strstr(err.message, folder->store));
}

/* Opens as a user without privileges, and returns the code: root may write everywhere. */
static enum store_code open_unprivileged(const char *path)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		struct store *store = NULL;

		if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
			_exit(255);
		_exit((int)store_open(path, NULL, &store, NULL));
	}
	return (enum store_code)child_wait(child);
}

/* [A1] A file that may not be written is an error and not a read-only store. */
static void test_read_only_file(void **state)
{
	const struct folder *folder = folder_of(state);

	store_close(open_with(folder->store, NULL));
	assert_int_equal(chmod(folder->path, 0777), 0);
	assert_int_equal(chmod(folder->store, 0444), 0);
	assert_int_equal(open_unprivileged(folder->store), STORE_ERR_READ_ONLY);
}

/* [A1] A writable file in a folder where no WAL can be made is an error. */
static void test_read_only_folder(void **state)
{
	const struct folder *folder = folder_of(state);
	char missing[256];

	store_close(open_with(folder->store, NULL));
	assert_int_equal(chmod(folder->store, 0666), 0);
	assert_int_equal(chmod(folder->path, 0555), 0);
	assert_int_equal(open_unprivileged(folder->store), STORE_ERR_READ_ONLY);
	snprintf(missing, sizeof(missing), "%s/missing.db", folder->path);
	assert_int_equal(open_unprivileged(missing), STORE_ERR_CANNOT_OPEN);
	assert_int_equal(folder_count(folder), 1);
}

/* [A1] A missing folder, and a folder in the file's place, cannot be opened. */
static void test_path_that_leads_nowhere(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_error err;
	char path[256];

	snprintf(path, sizeof(path), "%s/missing/store.db", folder->path);
	err = assert_open_fails(path, NULL, STORE_ERR_CANNOT_OPEN);
	assert_non_null(strstr(err.message, path));
	assert_open_fails(folder->path, NULL, STORE_ERR_CANNOT_OPEN);
}

/* [A1] A file that is no database is refused and keeps its bytes. */
static void test_not_a_database(void **state)
{
	static const char text[] = "This is a letter, not a database; it is long enough to be one.";
	const struct folder *folder = folder_of(state);
	struct bytes before;

	file_write(folder->store, text, sizeof(text));
	before = file_bytes(folder->store);
	assert_open_fails(folder->store, NULL, STORE_ERR_NOT_A_DATABASE);
	assert_file_unchanged(folder->store, before);
	assert_int_equal(folder_count(folder), 1);
}

/* [A2] A database with somebody else's tables is refused and keeps its bytes. */
static void test_not_a_store(void **state)
{
	static const char *const foreign[] = {
	    "CREATE TABLE letters (text)",
	    "CREATE TABLE schema_version (number)",
	    ("CREATE TABLE schema_version (version INTEGER PRIMARY KEY);"
	     "INSERT INTO schema_version VALUES (1)"),
	    "CREATE VIEW schema_version AS SELECT 1 AS version, 'x' AS digest",
	};
	const struct folder *folder = folder_of(state);

	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		struct bytes before;

		folder_empty(folder);
		exec_on_file(folder->store, foreign[i]);
		before = file_bytes(folder->store);
		assert_open_fails(folder->store, NULL, STORE_ERR_NOT_A_STORE);
		assert_file_unchanged(folder->store, before);
		assert_int_equal(folder_count(folder), 1);
	}
}

/* [B1] Each setting that may be overridden takes its value, in any case of letters. */
static void test_overrides_take(void **state)
{
	static const struct {
		const char *name;
		const char *value;
		const char *answer;
	} rows[] = {
	    {"page_size", "512", "512"},
	    {"page_size", "65536", "65536"},
	    {"auto_vacuum", "incremental", "2"},
	    {"locking_mode", "EXCLUSIVE", "exclusive"},
	    {"synchronous", "off", "0"},
	    {"synchronous", "NORMAL", "1"},
	    {"Synchronous", "extra", "3"},
	    {"fullfsync", "on", "1"},
	    {"checkpoint_fullfsync", "1", "1"},
	    {"journal_mode", "DELETE", "delete"},
	    {"journal_mode", "truncate", "truncate"},
	    {"journal_mode", "persist", "persist"},
	    {"journal_mode", "memory", "memory"},
	    {"journal_mode", "off", "off"},
	    {"foreign_keys", "off", "0"},
	    {"cache_size", "-100", "-100"},
	    {"cache_size", "10", "10"},
	    {"mmap_size", "1048576", "1048576"},
	    {"temp_store", "memory", "2"},
	    {"secure_delete", "fast", "2"},
	    {"journal_size_limit", "65536", "65536"},
	};
	const struct folder *folder = folder_of(state);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct store_pragma pragma = {rows[i].name, rows[i].value};
		struct store_options options = {.pragmas = &pragma, .pragma_count = 1};
		struct store *store;
		char sql[64];

		folder_empty(folder);
		store = open_with(folder->store, &options);
		snprintf(sql, sizeof(sql), "PRAGMA %s", rows[i].name);
		assert_query_text(store_handle(store), sql, rows[i].answer);
		append_ok(store, "a", 1, 3);
		store_close(store);
		store = open_with(folder->store, &options);
		assert_int_equal(event_count(store), 3);
		store_close(store);
	}
}

/* [B1] The library makes automatic checkpoints itself, at the moments that were asked for. */
static void test_autocheckpoint(void **state)
{
	static const char *const values[] = {"0", "8", "40"};
	const struct folder *folder = folder_of(state);

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct store_pragma pragma = {"wal_autocheckpoint", values[i]};
		struct store_options options = {.pragmas = &pragma, .pragma_count = 1};
		struct store *store;
		int64_t frames = atoi(values[i]);
		struct stat st;

		folder_empty(folder);
		store = open_with(folder->store, &options);
		for (int64_t n = 0; n < 40; n++)
			append_ok(store, "a", n, 1);
		assert_int_equal(stat(folder->wal, &st), 0);
		/* Without one the log grows for ever; with one it starts anew soon after it has so
		 * many frames of 4096 + 24 bytes. */
		if (frames == 0)
			assert_true(st.st_size > 100 * 4120);
		else
			assert_in_range(st.st_size, frames * 4120, (frames + 16) * 4120);
		store_close(store);
	}
}

/* [B1] Of two overrides of one setting the later counts, whatever the order of the settings. */
static void test_later_override_counts(void **state)
{
	static const struct store_pragma pragmas[] = {
	    {"synchronous", "extra"},
	    {"page_size", "1024"},
	    {"synchronous", "normal"},
	};
	const struct folder *folder = folder_of(state);
	struct store_options options = {.pragmas = pragmas, .pragma_count = 3};
	struct store *store = open_with(folder->store, &options);

	assert_int_equal(query_int(store_handle(store), "PRAGMA synchronous"), 1);
	assert_int_equal(query_int(store_handle(store), "PRAGMA page_size"), 1024);
	store_close(store);
}

/* [B1] An option that is wrong is refused before a file is made. */
static void test_wrong_options(void **state)
{
	static const struct store_pragma pragmas[] = {
	    {"writable_schema", "on"},
	    {"synchronous", "sometimes"},
	    {"synchronous", "full; DROP TABLE events"},
	    {"synchronous", ""},
	    {"journal_mode", "wal2"},
	    {"page_size", "1000"},
	    {"page_size", "256"},
	    {"page_size", "131072"},
	    {"page_size", " 512"},
	    {"page_size", "512x"},
	    {"cache_size", "99999999999999999999"},
	    {"cache_size", ""},
	    {"cache_size", "-"},
	    {"cache_size", "+5"},
	    {"wal_autocheckpoint", "-1"},
	    {NULL, "on"},
	    {"synchronous", NULL},
	};
	static const struct store_migration nameless[] = {{NULL, "SELECT 1"}};
	static const struct store_migration empty[] = {{"empty", ""}};
	const struct folder *folder = folder_of(state);
	struct store_options options;

	for (size_t i = 0; i < sizeof(pragmas) / sizeof(pragmas[0]); i++) {
		options = (struct store_options){.pragmas = &pragmas[i], .pragma_count = 1};
		assert_open_fails(folder->store, &options, STORE_ERR_INVALID);
	}
	options = (struct store_options){.pragma_count = 1};
	assert_open_fails(folder->store, &options, STORE_ERR_INVALID);
	options = (struct store_options){.profile = (enum store_profile)7};
	assert_open_fails(folder->store, &options, STORE_ERR_INVALID);
	options = (struct store_options){.busy_timeout_ms = -2};
	assert_open_fails(folder->store, &options, STORE_ERR_INVALID);
	options = (struct store_options){.migration_count = 1};
	assert_open_fails(folder->store, &options, STORE_ERR_INVALID);
	options = (struct store_options){.migrations = store_migrations(STORE_SCHEMA_EVENTS, NULL)};
	assert_open_fails(folder->store, &options, STORE_ERR_INVALID);
	options = (struct store_options){.migrations = nameless, .migration_count = 1};
	assert_open_fails(folder->store, &options, STORE_ERR_INVALID);
	options = (struct store_options){.migrations = empty, .migration_count = 1};
	assert_open_fails(folder->store, &options, STORE_ERR_INVALID);
	assert_open_fails(NULL, NULL, STORE_ERR_INVALID);
	assert_int_equal(store_open(folder->store, NULL, NULL, NULL), STORE_ERR_INVALID);
	assert_int_equal(folder_count(folder), 0);
}

/* [A1] A page size that an existing store does not have is an error and not silence. */
static void test_page_size_of_existing_store(void **state)
{
	static const struct store_pragma pragma = {"page_size", "1024"};
	const struct folder *folder = folder_of(state);
	struct store_options options = {.pragmas = &pragma, .pragma_count = 1};
	struct store_error err;

	store_close(open_with(folder->store, NULL));
	err = assert_open_fails(folder->store, &options, STORE_ERR_SETTING);
	assert_non_null(strstr(err.message, "page_size=1024"));
	assert_non_null(strstr(err.message, "'4096'"));
}

/* [A2] Opening and closing a store that is up to date changes nothing on the disk. */
static void test_second_open_writes_nothing(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);

	append_ok(store, "a", 1, 3);
	store_close(store);
	counting_vfs_install();
	store = open_with(folder->store, NULL);
	store_close(store);
	assert_int_equal(counting_vfs.write_count, 0);
	assert_int_equal(counting_vfs.sync_count, 0);
	/* The counter works: an append does write. */
	store = open_with(folder->store, NULL);
	append_ok(store, "a", 4, 1);
	assert_true(counting_vfs.write_count > 0);
	store_close(store);
	counting_vfs_remove();
}

/* [A1] A lock that stays taken ends opening with "busy" after the timeout, not in a wrong mode. */
static void test_open_meets_a_lock(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_options options = {.busy_timeout_ms = 20};
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(folder->store, &db), SQLITE_OK);
	exec(db, "BEGIN EXCLUSIVE");
	assert_open_fails(folder->store, &options, STORE_ERR_BUSY);
	options.busy_timeout_ms = -1;
	assert_open_fails(folder->store, &options, STORE_ERR_BUSY);
	exec(db, "ROLLBACK");
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	store_close(open_with(folder->store, NULL));
}

/* [A1] Stores of one process, on one file and on two, do not disturb each other. */
static void test_several_stores_in_one_process(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *one = open_with(folder->store, NULL);
	struct store *two = open_with(folder->store, NULL);
	struct store *other;
	char path[256];

	snprintf(path, sizeof(path), "%s/other.db", folder->path);
	other = open_with(path, NULL);
	append_ok(one, "a", 1, 2);
	append_ok(two, "a", 3, 2);
	append_ok(one, "a", 5, 2);
	append_ok(other, "a", 1, 1);
	assert_int_equal(event_count(one), 6);
	assert_int_equal(event_count(two), 6);
	assert_int_equal(event_count(other), 1);
	store_close(one);
	append_ok(two, "a", 7, 1);
	assert_int_equal(event_count(two), 7);
	store_close(two);
	store_close(other);
}

/* [A2] Processes that create the same store at the same moment all get it, migrated once. */
static void test_processes_create_one_store(void **state)
{
	enum { PROCESSES = 4, ROUNDS = 10 };
	const struct folder *folder = folder_of(state);

	for (int round = 0; round < ROUNDS; round++) {
		pid_t children[PROCESSES];
		struct store *store;
		int gate[2];

		folder_empty(folder);
		assert_int_equal(pipe(gate), 0);
		for (int i = 0; i < PROCESSES; i++) {
			children[i] = fork();
			assert_true(children[i] >= 0);
			if (children[i] == 0) {
				struct store *mine = NULL;
				struct sample sample;
				enum store_code code;
				char server[2] = {(char)('a' + i), '\0'};
				char byte;

				/* Ends for all at once when the parent closes its side. */
				close(gate[1]);
				if (read(gate[0], &byte, 1) != 0)
					_exit(255);
				code = store_open(folder->store, NULL, &mine, NULL);
				if (code == STORE_OK)
					code = store_event(mine, sample_fill(&sample, server, 1),
							   NULL);
				store_close(mine);
				_exit((int)code);
			}
		}
		close(gate[0]);
		close(gate[1]);
		for (int i = 0; i < PROCESSES; i++)
			assert_int_equal(child_wait(children[i]), STORE_OK);
		store = open_with(folder->store, NULL);
		assert_int_equal(event_count(store), PROCESSES);
		assert_int_equal(
		    query_int(store_handle(store), "SELECT count(*) FROM schema_version"),
		    store_schema_version(store));
		store_close(store);
	}
}

/* Each code has a name and a text of its own, and an unknown number has them, too. */
static void test_codes_have_names(void **state)
{
	(void)state;
	assert_string_equal(store_code_name(STORE_OK), "STORE_OK");
	assert_string_equal(store_code_name(STORE_ERR_DUPLICATE), "STORE_ERR_DUPLICATE");
	for (int i = STORE_OK; i <= (int)STORE_ERR_SQLITE; i++) {
		for (int j = STORE_OK; j < i; j++) {
			assert_string_not_equal(store_code_name((enum store_code)i),
						store_code_name((enum store_code)j));
			assert_string_not_equal(store_code_text((enum store_code)i),
						store_code_text((enum store_code)j));
		}
	}
	assert_string_equal(store_code_name((enum store_code)999), "STORE_ERR_UNKNOWN");
	assert_non_null(store_code_text((enum store_code)999));
}

/* Syncs of folders: what they answer, how many there were, and of which folder the last was. */
struct folder_syncs {
	int answer;
	size_t count;
	ino_t inode;
};

static int folder_syncs_count(void *context, const char *folder)
{
	struct folder_syncs *syncs = context;
	struct stat st;

	assert_int_equal(stat(folder, &st), 0);
	syncs->count++;
	syncs->inode = st.st_ino;
	return syncs->answer;
}

/* P2: opening syncs the folder of the database, through store_options.files, or the name could be
 * lost with all that was acknowledged: the folder in which the file is, whichever way the path
 * goes. An I/O error of it fails the open; where it is not allowed, or there is no such sync, the
 * store opens all the same. */
static void test_open_syncs_the_folder(void **state)
{
	static const int harmless[] = {EACCES, EPERM, EINVAL, ENOTSUP};
	const struct folder *folder = folder_of(state);
	struct store_files files = *store_files_posix();
	const struct store_options options = {.files = &files};
	struct folder_syncs syncs = {.answer = EIO};
	struct store_error err;
	struct stat st;
	char away[192];
	char link[256];

	files.context = &syncs;
	files.sync_folder = folder_syncs_count;
	assert_int_equal(stat(folder->path, &st), 0);
	err = assert_open_fails(folder->store, &options, STORE_ERR_IO);
	assert_non_null(strstr(err.message, folder->store));
	assert_true(syncs.count > 0);

	for (size_t i = 0; i <= sizeof(harmless) / sizeof(harmless[0]); i++) {
		syncs = (struct folder_syncs){.answer = i == 0 ? 0 : harmless[i - 1]};
		store_close(open_with(folder->store, &options));
		assert_int_equal(syncs.count, 1);
		assert_int_equal(syncs.inode, st.st_ino);
	}

	snprintf(away, sizeof(away), "%s/away", folder->path);
	snprintf(link, sizeof(link), "%s/link.db", away);
	assert_int_equal(mkdir(away, 0700), 0);
	assert_int_equal(symlink(folder->store, link), 0);
	syncs = (struct folder_syncs){0};
	store_close(open_with(link, &options));
	assert_int_equal(syncs.count, 1);
	assert_int_equal(syncs.inode, st.st_ino);
	assert_int_equal(remove(link), 0);
}

/* A message that is too long for its buffer is cut and ended. */
static void test_long_message_is_cut(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_error err;
	char path[2048];

	memset(path, 'x', sizeof(path));
	memcpy(path, folder->path, strlen(folder->path));
	path[strlen(folder->path)] = '/';
	path[sizeof(path) - 1] = '\0';
	err = assert_open_fails(path, NULL, STORE_ERR_CANNOT_OPEN);
	assert_true(strnlen(err.message, sizeof(err.message)) < sizeof(err.message));
	assert_non_null(strstr(err.message, "cannot open"));
	store_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_wal_is_enabled_after_open),
	    TEST(test_default_is_archival),
	    TEST(test_profiles),
	    TEST(test_memory_is_refused),
	    TEST(test_wal_that_does_not_take_is_an_error),
	    TEST(test_read_only_file),
	    TEST(test_read_only_folder),
	    TEST(test_path_that_leads_nowhere),
	    TEST(test_not_a_database),
	    TEST(test_not_a_store),
	    TEST(test_overrides_take),
	    TEST(test_autocheckpoint),
	    TEST(test_later_override_counts),
	    TEST(test_wrong_options),
	    TEST(test_page_size_of_existing_store),
	    TEST(test_second_open_writes_nothing),
	    TEST(test_open_meets_a_lock),
	    TEST(test_several_stores_in_one_process),
	    TEST(test_processes_create_one_store),
	    TEST(test_open_syncs_the_folder),
	    TEST(test_codes_have_names),
	    TEST(test_long_message_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
