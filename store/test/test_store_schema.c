/*
 * test_store_schema.c: the line of migrations: applied whole and in order (A2), compared before
 * anything is touched (A3).
 */
#include "store/test/store_test.h"

#define MIGRATIONS_MAX 8

/* The built-in list with one more migration. */
static struct store_options options_with(struct store_migration list[MIGRATIONS_MAX],
					 const char *sql)
{
	struct store_options options = {0};
	size_t count;

	memcpy(list, store_migrations(STORE_SCHEMA_EVENTS, &count), sizeof(*list) * EVENTS_VERSION);
	assert_int_equal(count, EVENTS_VERSION);
	list[EVENTS_VERSION] = (struct store_migration){"one more", sql};
	options.migrations = list;
	options.migration_count = EVENTS_VERSION + 1;
	options.clock_us = clock_fixed;
	return options;
}

/* [A2] After opening there is a schema_version table with a row for each migration. */
static void test_schema_version_exists_after_open(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct sqlite3 *db = store_handle(store);

	assert_int_equal(query_int(db, "SELECT count(*) FROM sqlite_master WHERE type = 'table'"
				       " AND name = 'schema_version'"),
			 1);
	assert_query_text(db, "SELECT group_concat(version) FROM schema_version", "1,2,3,4");
	assert_query_text(db, "SELECT group_concat(DISTINCT applied_us) FROM schema_version",
			  "1700000000000000");
	assert_int_equal(store_schema_version(store), EVENTS_VERSION);
	assert_query_text(db, "PRAGMA integrity_check", "ok");
	store_close(store);
}

/*
 * [A3] The digests of the migrations are those that stores in the world have. Whoever makes this
 * test red has changed a migration that is applied already, and wants a new one instead.
 */
static void test_digests_of_released_migrations(void **state)
{
	static const char *const digests[] = {
	    "fnv1a64:d0463461f8dad84c",
	    "fnv1a64:cfcd25a393b9c299",
	    "fnv1a64:b93c0bd76aede788",
	};
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);

	for (size_t i = 0; i < sizeof(digests) / sizeof(digests[0]); i++) {
		char sql[80];

		snprintf(sql, sizeof(sql), "SELECT digest FROM schema_version WHERE version = %zu",
			 i + 1);
		assert_query_text(store_handle(store), sql, digests[i]);
	}
	store_close(store);
}

/* [A2] A store of each older version, with events in it, is brought up to date and keeps them. */
static void test_older_store_is_migrated(void **state)
{
	const struct folder *folder = folder_of(state);

	for (size_t version = 1; version <= EVENTS_VERSION; version++) {
		struct store *store;
		struct sqlite3 *db;

		folder_empty(folder);
		store = open_version(folder->store, version);
		assert_int_equal(store_schema_version(store), (int)version);
		append_ok(store, "a", 1, 50);
		append_ok(store, "b", 7, 1);
		store_close(store);

		store = open_with(folder->store, NULL);
		db = store_handle(store);
		assert_int_equal(store_schema_version(store), EVENTS_VERSION);
		assert_int_equal(query_int(db, "SELECT max(version) FROM schema_version"),
				 EVENTS_VERSION);
		append_ok(store, "a", 51, 1);
		assert_int_equal(event_count(store), 52);
		assert_int_equal(query_int(db, "SELECT count(*) FROM events"
					       " WHERE payload_bytes <> length(payload)"),
				 0);
		assert_query_text(db, "PRAGMA integrity_check", "ok");
		store_close(store);
	}
}

/* [A2] Two stores that went different ways to the last version have the same schema. */
static void test_migrated_schema_equals_fresh_schema(void **state)
{
	static const char *const sql = "SELECT group_concat(type || name || coalesce(sql, ''))"
				       " FROM (SELECT * FROM sqlite_master ORDER BY name)";
	const struct folder *folder = folder_of(state);
	struct store *old;
	struct store *fresh;
	sqlite3_stmt *stmt = NULL;
	char path[256];

	store_close(open_version(folder->store, 1));
	store_close(open_version(folder->store, 2));
	old = open_with(folder->store, NULL);
	snprintf(path, sizeof(path), "%s/fresh.db", folder->path);
	fresh = open_with(path, NULL);
	assert_int_equal(sqlite3_prepare_v2(store_handle(fresh), sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_query_text(store_handle(old), sql, (const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	store_close(old);
	store_close(fresh);
}

/* [A2] A migration that fails half way leaves the version before it, whole and usable. */
static void test_failing_migration_leaves_the_old_version(void **state)
{
	static const char *const broken[] = {
	    "CREATE TABLE extra (x); INSERT INTO events (seq) VALUES (NULL);",
	    "CREATE TABLE extra (x); INSERT INTO nowhere VALUES (1);",
	    "CREATE TABLE extra (x); COMMIT; CREATE TABLE more (x);",
	    "CREATE TABLE extra (x); COMMIT; BEGIN;",
	    "CREATE TABLE extra (x); ROLLBACK;",
	    "CREATE TABLE extra (x); this is no SQL",
	};
	const struct folder *folder = folder_of(state);
	struct store_migration list[MIGRATIONS_MAX];
	struct store *store = open_with(folder->store, NULL);

	append_ok(store, "a", 1, 5);
	store_close(store);
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		struct store_options options = options_with(list, broken[i]);
		struct store_error err;

		err = assert_open_fails(folder->store, &options, STORE_ERR_MIGRATION);
		assert_non_null(strstr(err.message, "migration 5 'one more'"));
		assert_false(err.indeterminate);
		store = open_with(folder->store, NULL);
		assert_int_equal(query_int(store_handle(store), "SELECT count(*) FROM sqlite_master"
								" WHERE name IN ('extra', 'more')"),
				 0);
		assert_int_equal(
		    query_int(store_handle(store), "SELECT max(version) FROM schema_version"),
		    EVENTS_VERSION);
		assert_int_equal(event_count(store), 5);
		store_close(store);
	}
}

/* [A2] A list that goes on behind the built-in one is applied like it. */
static void test_longer_list(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_migration list[MIGRATIONS_MAX];
	struct store_options options = options_with(list, "CREATE TABLE extra (x)");
	struct store *store;

	store_close(open_with(folder->store, NULL));
	store = open_with(folder->store, &options);
	assert_int_equal(store_schema_version(store), EVENTS_VERSION + 1);
	assert_int_equal(query_int(store_handle(store), "SELECT count(*) FROM extra"), 0);
	append_ok(store, "a", 1, 1);
	store_close(store);
}

/* [A2] A list that makes no events table is refused, because nothing could be stored. */
static void test_list_without_events(void **state)
{
	static const struct store_migration list[] = {{"other", "CREATE TABLE other (x)"}};
	const struct folder *folder = folder_of(state);
	struct store_options options = {.migrations = list, .migration_count = 1};

	assert_open_fails(folder->store, &options, STORE_ERR_SCHEMA_BROKEN);
}

/* [A3] A store of a newer program is refused, and its file and folder stay as they were. */
static void test_newer_store_is_not_touched(void **state)
{
	static const char *const modes[] = {"wal", "delete", "truncate", "persist"};
	const struct folder *folder = folder_of(state);

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		struct store_pragma pragma = {"journal_mode", modes[i]};
		struct store_options options = {.pragmas = &pragma, .pragma_count = 1};
		struct store_error err;
		struct bytes before;
		struct store *store;
		size_t files;

		folder_empty(folder);
		store = open_with(folder->store, &options);
		append_ok(store, "a", 1, 5);
		store_close(store);
		before = file_bytes(folder->store);
		files = folder_count(folder);

		/* The older program has the default's settings, WAL among them. */
		options = (struct store_options){.migrations =
						     store_migrations(STORE_SCHEMA_EVENTS, NULL),
						 .migration_count = 2};
		err = assert_open_fails(folder->store, &options, STORE_ERR_SCHEMA_NEWER);
		assert_non_null(strstr(err.message, "version 4"));
		assert_file_unchanged(folder->store, before);
		assert_false(file_exists(folder->wal));
		assert_false(file_exists(folder->shm));
		assert_int_equal(folder_count(folder), files);
	}
}

/* [A3] A newer schema_version may have other columns; the version alone decides. */
static void test_newer_store_with_other_columns(void **state)
{
	const struct folder *folder = folder_of(state);
	struct bytes before;

	exec_on_file(folder->store, "CREATE TABLE schema_version (version INTEGER PRIMARY KEY);"
				    "INSERT INTO schema_version VALUES (1), (2), (3), (4), (5)");
	before = file_bytes(folder->store);
	assert_open_fails(folder->store, NULL, STORE_ERR_SCHEMA_NEWER);
	assert_file_unchanged(folder->store, before);
	assert_int_equal(folder_count(folder), 1);
}

/* [A3] A newer store that a killed writer left with a WAL keeps the file and the WAL. */
static void test_newer_store_with_a_wal_is_not_touched(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_options options = {0};
	struct bytes before;
	struct bytes before_wal;
	struct store *store;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		store = open_with(folder->store, NULL);
		append_ok(store, "a", 1, 5);
		/* Ends without closing. */
		_exit(0);
	}
	assert_int_equal(child_wait(child), 0);
	before = file_bytes(folder->store);
	before_wal = file_bytes(folder->wal);
	assert_true(before_wal.size > 0);
	options.migrations = store_migrations(STORE_SCHEMA_EVENTS, NULL);
	options.migration_count = 2;
	assert_open_fails(folder->store, &options, STORE_ERR_SCHEMA_NEWER);
	assert_file_unchanged(folder->store, before);
	assert_file_unchanged(folder->wal, before_wal);
	store = open_with(folder->store, NULL);
	assert_int_equal(event_count(store), 5);
	store_close(store);
}

/* [A3] A migration whose text is not the applied one is found, by number and name. */
static void test_changed_migration_is_found(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store_migration list[MIGRATIONS_MAX];
	struct store_options options = options_with(list, "CREATE TABLE extra (x)");
	struct store_error err;
	struct bytes before;

	store_close(open_with(folder->store, &options));
	before = file_bytes(folder->store);
	/* One blank more. */
	list[EVENTS_VERSION].sql = "CREATE TABLE extra  (x)";
	err = assert_open_fails(folder->store, &options, STORE_ERR_SCHEMA_CHANGED);
	assert_non_null(strstr(err.message, "migration 5 'one more'"));
	/* Two that changed places. */
	list[EVENTS_VERSION] = store_migrations(STORE_SCHEMA_EVENTS, NULL)[1];
	list[1].sql = "CREATE TABLE extra (x)";
	err = assert_open_fails(folder->store, &options, STORE_ERR_SCHEMA_CHANGED);
	assert_non_null(strstr(err.message, "migration 2"));
	assert_file_unchanged(folder->store, before);
	assert_int_equal(folder_count(folder), 1);
	/* The name is for people. */
	options = options_with(list, "CREATE TABLE extra (x)");
	list[EVENTS_VERSION].name = "renamed";
	store_close(open_with(folder->store, &options));
}

/* [A3] A schema_version that is no line 1, 2, … n is refused and not repaired. */
static void test_broken_line_of_versions(void **state)
{
	static const char *const damages[] = {
	    "DELETE FROM schema_version WHERE version = 2",
	    "DELETE FROM schema_version WHERE version = 1",
	    "DELETE FROM schema_version",
	    "UPDATE schema_version SET version = 0 WHERE version = 1",
	};
	const struct folder *folder = folder_of(state);

	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		struct bytes before;

		folder_empty(folder);
		store_close(open_with(folder->store, NULL));
		exec_on_file(folder->store, damages[i]);
		before = file_bytes(folder->store);
		assert_open_fails(folder->store, NULL, STORE_ERR_SCHEMA_BROKEN);
		assert_file_unchanged(folder->store, before);
	}
}

/* [A3] A handle that another program's migration has overtaken appends nothing any more. */
static void test_overtaken_handle_is_refused(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *old = open_version(folder->store, 2);
	struct store_error err = {0};
	struct store *fresh;

	append_ok(old, "a", 1, 2);
	fresh = open_with(folder->store, NULL);
	assert_int_equal(append_range(old, "a", 3, 2, &err), STORE_ERR_SCHEMA_NEWER);
	assert_false(err.indeterminate);
	assert_int_equal(event_count(fresh), 2);
	append_ok(fresh, "a", 3, 2);
	/* It can still read. */
	assert_int_equal(event_count(old), 4);
	store_close(old);
	store_close(fresh);
}

/* [A4] Nothing can delete or change an event, while a migration can still fill its own column. */
static void test_events_are_never_changed(void **state)
{
	static const char *const attempts[] = {
	    "DELETE FROM events",
	    "UPDATE events SET payload = x'00'",
	    "UPDATE events SET position = position + 1",
	    "UPDATE events SET seq = seq + 100",
	    "UPDATE events SET batch_count = 1",
	};
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);

	append_ok(store, "a", 1, 3);
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		assert_int_equal(sqlite3_exec(store_handle(store), attempts[i], NULL, NULL, NULL),
				 SQLITE_CONSTRAINT_TRIGGER);
	exec(store_handle(store), "UPDATE events SET payload_bytes = length(payload)");
	assert_int_equal(event_count(store), 3);
	store_close(store);
}

/* [A2] With a clock of the caller's, the same calls make the same file, byte for byte. */
static void test_same_calls_make_the_same_file(void **state)
{
	const struct folder *folder = folder_of(state);
	char path[256];

	snprintf(path, sizeof(path), "%s/twin.db", folder->path);
	for (int i = 0; i < 2; i++) {
		struct store *store = open_version(i == 0 ? folder->store : path, 2);

		append_ok(store, "a", 1, 40);
		store_close(store);
		store = open_with(i == 0 ? folder->store : path, NULL);
		append_ok(store, "b", 1, 3);
		store_close(store);
	}
	assert_file_unchanged(path, file_bytes(folder->store));
}

/* [A2] What an operator asks of the newest index is answered from it alone. */
static void test_volume_by_kind_needs_only_its_index(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	sqlite3_stmt *stmt = NULL;

	assert_int_equal(sqlite3_prepare_v2(store_handle(store),
					    "EXPLAIN QUERY PLAN SELECT kind, count(*),"
					    " sum(payload_bytes) FROM events GROUP BY kind",
					    -1, &stmt, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_non_null(
	    strstr((const char *)sqlite3_column_text(stmt, 3), "COVERING INDEX events_by_kind"));
	sqlite3_finalize(stmt);
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_schema_version_exists_after_open),
	    TEST(test_digests_of_released_migrations),
	    TEST(test_older_store_is_migrated),
	    TEST(test_migrated_schema_equals_fresh_schema),
	    TEST(test_failing_migration_leaves_the_old_version),
	    TEST(test_longer_list),
	    TEST(test_list_without_events),
	    TEST(test_newer_store_is_not_touched),
	    TEST(test_newer_store_with_other_columns),
	    TEST(test_newer_store_with_a_wal_is_not_touched),
	    TEST(test_changed_migration_is_found),
	    TEST(test_broken_line_of_versions),
	    TEST(test_overtaken_handle_is_refused),
	    TEST(test_events_are_never_changed),
	    TEST(test_same_calls_make_the_same_file),
	    TEST(test_volume_by_kind_needs_only_its_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
