/*
 * filesystem_test.h: what the tests of the file system share: opening, making, and the invariants
 * of the header, asked one by one.
 */
#ifndef STORE_TEST_FILESYSTEM_TEST_H
#define STORE_TEST_FILESYSTEM_TEST_H

#include "store/test/store_test.h"

#define ROOT STORE_NODE_ROOT

static inline struct store *fs_open_version(const char *path, size_t version)
{
	struct store_options options = {.profile = STORE_PROFILE_BULK,
					.schema = STORE_SCHEMA_FILESYSTEM};

	if (version > 0) {
		options.migrations = store_migrations(STORE_SCHEMA_FILESYSTEM, NULL);
		options.migration_count = version;
	}
	return open_with(path, &options);
}

static inline struct store *fs_open(const char *path)
{
	return fs_open_version(path, 0);
}

static inline bool query_has_row(struct sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	rc = sqlite3_step(stmt);
	sqlite3_finalize(stmt);
	assert_true(rc == SQLITE_ROW || rc == SQLITE_DONE);
	return rc == SQLITE_ROW;
}

struct invariant {
	const char *text;
	const char *sql;
};

static const struct invariant invariants[] = {
#define INVARIANT(text, sql) {text, sql},
    STORE_FILESYSTEM_INVARIANTS(INVARIANT)
#undef INVARIANT
};

static const struct invariant invariants_2[] = {
#define INVARIANT(text, sql) {text, sql},
    STORE_FILESYSTEM_INVARIANTS_2(INVARIANT)
#undef INVARIANT
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The first invariant that does not hold, or NULL. */
static const char *invariant_broken(struct store *store)
{
	struct sqlite3 *db = store_handle(store);

	for (size_t i = 0; i < COUNT_OF(invariants); i++) {
		if (query_has_row(db, invariants[i].sql))
			return invariants[i].text;
	}
	for (size_t i = 0; store_schema_version(store) >= 2 && i < COUNT_OF(invariants_2); i++) {
		if (query_has_row(db, invariants_2[i].sql))
			return invariants_2[i].text;
	}
	return NULL;
}

static inline void assert_sound(struct store *store)
{
	const char *broken = invariant_broken(store);

	if (broken)
		fail_msg("does not hold: %s", broken);
	assert_false(query_has_row(store_handle(store), "PRAGMA foreign_key_check"));
}

static inline int64_t make(struct store *store, int64_t parent, const char *name)
{
	struct store_error err = {0};
	int64_t inode = 0;

	if (store_folder_make(store, parent, name, 10, &inode, &err) != STORE_OK)
		fail_msg("%s: %s", store_code_name(err.code), err.message);
	return inode;
}

static inline int64_t write_text(struct store *store, int64_t parent, const char *name,
				 const char *text)
{
	struct store_error err = {0};
	int64_t inode = 0;

	if (store_file_write(store, parent, name, text, strlen(text), 20, &inode, &err) != STORE_OK)
		fail_msg("%s: %s", store_code_name(err.code), err.message);
	return inode;
}

static inline void assert_content(struct store *store, int64_t inode, const char *expected)
{
	char content[256];
	struct store_error err = {0};
	size_t size = 0;

	if (store_file_read(store, inode, content, sizeof(content), &size, &err) != STORE_OK)
		fail_msg("%s: %s", store_code_name(err.code), err.message);
	assert_int_equal(size, strlen(expected));
	assert_memory_equal(content, expected, size);
}

static inline int64_t blob_count(struct store *store)
{
	return query_int(store_handle(store), "SELECT count(*) FROM blobs");
}

#endif
