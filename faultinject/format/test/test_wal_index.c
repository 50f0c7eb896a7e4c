/*
 * The WAL index as SQLite left it, on the unix VFS, names for each frame the page that the frame's
 * own header names: also behind the first region. A header that does not count is refused.
 */
#include "faultinject/base/buf.h"
#include "faultinject/format/btree.h"
#include "faultinject/format/wal_index.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static uint8_t *read_file(const char *folder, const char *name, size_t *ret_size)
{
	char *path = xasprintf("%s/%s", folder, name);
	FILE *f = fopen(path, "rb");

	assert_non_null(f);
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	*ret_size = (size_t)ftell(f);
	rewind(f);
	uint8_t *data = xmalloc(*ret_size + 1);
	assert_int_equal(fread(data, 1, *ret_size, f), *ret_size);
	assert_int_equal(fclose(f), 0);
	free(path);
	return data;
}

static void test_index(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char *folder = xasprintf("%s/plugpull-wal-index-XXXXXX", tmp == NULL ? "/tmp" : tmp);
	const uint8_t *regions[16];
	size_t index_size, log_size;
	struct wal_index w;
	sqlite3 *db;

	(void)state;
	assert_non_null(mkdtemp(folder));
	char *path = xasprintf("%s/a.db", folder);
	assert_int_equal(
	    sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix"),
	    SQLITE_OK);
	assert_int_equal(
	    sqlite3_exec(db,
			 "PRAGMA page_size = 512; PRAGMA journal_mode = wal;"
			 "PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = off;"
			 "CREATE TABLE t(x);"
			 "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE "
			 "i < 6000) INSERT INTO t SELECT randomblob(400) FROM n;"
			 "UPDATE t SET x = randomblob(400) WHERE rowid % 2;",
			 NULL, NULL, NULL),
	    SQLITE_OK);
	uint8_t *index = read_file(folder, "a.db-shm", &index_size);
	uint8_t *log = read_file(folder, "a.db-wal", &log_size);
	assert_int_equal(index_size % WAL_INDEX_REGION_SIZE, 0);
	size_t count = index_size / WAL_INDEX_REGION_SIZE;
	assert_true(count >= 3 && count < 16);
	for (size_t i = 0; i < count; i++)
		regions[i] = index + i * WAL_INDEX_REGION_SIZE;
	assert_true(wal_index_read(regions, count, &w));
	assert_int_equal(w.page_size, 512);
	assert_int_equal(w.backfilled, 0);
	assert_int_equal(w.last_frame,
			 (log_size - WAL_HEADER_SIZE) / (WAL_FRAME_HEADER_SIZE + 512));
	assert_true(w.last_frame > WAL_INDEX_FIRST_FRAMES + WAL_INDEX_LATER_FRAMES);
	for (uint32_t frame = 1; frame <= w.last_frame; frame++) {
		uint64_t at = wal_frame_content(frame, w.page_size);
		assert_int_equal(wal_index_page(&w, frame),
				 get_be32(log + at - WAL_FRAME_HEADER_SIZE));
	}
	/* The last frame is a commit and names the size of the database. */
	assert_int_equal(w.page_count, get_be32(log + wal_frame_content(w.last_frame, 512) -
						WAL_FRAME_HEADER_SIZE + 4));
	/* Fewer regions than frames; none; copies that differ; not initialised. */
	assert_false(wal_index_read(regions, count - 1, &w));
	assert_false(wal_index_read(regions, 0, &w));
	index[20] ^= 1;
	assert_false(wal_index_read(regions, count, &w));
	index[20] ^= 1;
	index[12] = index[48 + 12] = 0;
	assert_false(wal_index_read(regions, count, &w));
	free(index);
	free(log);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
	free(path);
	free(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_index)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
