/*
 * Reading logs that SQLite wrote on the unix VFS, and having SQLite read one whose checksums are
 * ours.
 */
#include "faultinject/base/buf.h"
#include "faultinject/format/btree.h"
#include "faultinject/format/test/sqlite_files.h"
#include "faultinject/format/wal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { COMMITS = 5, ROWS = 40 };

/* Header, frames and their running checksum; returns how many frames count. */
static uint32_t check_frames(const uint8_t *log, size_t size, struct wal_header *ret_header,
			     uint32_t *ret_commits)
{
	struct wal_checksum sum;
	struct wal_frame f;
	uint32_t frame = 1;

	assert_true(wal_header_read(log, size, ret_header));
	assert_true(ret_header->checksum_holds);
	sum = ret_header->checksum;
	*ret_commits = 0;
	for (;; frame++) {
		uint64_t content = wal_frame_content(frame, ret_header->page_size);
		const uint8_t *at = log + content - WAL_FRAME_HEADER_SIZE;

		if (content + ret_header->page_size > size)
			break;
		assert_true(wal_frame_read(at, size - (size_t)(at - log), &f));
		if (!wal_frame_is_current(ret_header, &f) || !wal_frame_holds(ret_header, at, &sum))
			break;
		*ret_commits += wal_frame_is_commit(&f);
	}
	return frame - 1;
}

static uint8_t *write_log(const struct sqlite_folder *folder, const char *pragmas, size_t *ret_size,
			  sqlite3 **ret_db)
{
	sqlite3 *db = sqlite_folder_open(folder, "a.db");

	sqlite_run(db, pragmas);
	sqlite_run(db, "PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0;"
		       "CREATE TABLE t(x); PRAGMA wal_checkpoint(TRUNCATE)");
	for (int i = 0; i < COMMITS; i++)
		sqlite_run(db, "INSERT INTO t WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT "
			       "i + 1 FROM c WHERE i < 8) SELECT randomblob(300) FROM c");
	*ret_db = db;
	return sqlite_folder_read(folder, "a.db-wal", ret_size);
}

/* Every frame that SQLite wrote is read as current and whole, the commits among them are as many
 * as there were, and no bit of a frame but its salts and its own checksum is outside the sum. */
static void test_frames(void **state)
{
	static const char *const pragmas[] = {"PRAGMA page_size=512", "PRAGMA page_size=4096",
					      "PRAGMA page_size=65536"};

	(void)state;
	for (size_t i = 0; i < sizeof pragmas / sizeof *pragmas; i++) {
		struct sqlite_folder folder;
		struct wal_header h;
		uint32_t commits, frames;
		size_t size;
		sqlite3 *db;

		sqlite_folder_create(&folder);
		uint8_t *log = write_log(&folder, pragmas[i], &size, &db);
		frames = check_frames(log, size, &h, &commits);
		assert_int_equal(h.page_size, sqlite_number(db, "PRAGMA page_size"));
		assert_int_equal(commits, COMMITS);
		assert_int_equal(frames,
				 (size - WAL_HEADER_SIZE) / (WAL_FRAME_HEADER_SIZE + h.page_size));
		size_t last = wal_frame_content(frames, h.page_size) - WAL_FRAME_HEADER_SIZE;
		static const size_t flipped[] = {0, 3, 4, 7, 8, 15, 16, 23, 24, 200, 535};
		for (size_t k = 0; k < sizeof flipped / sizeof *flipped; k++) {
			log[last + flipped[k]] ^= 0x10;
			assert_int_equal(check_frames(log, size, &h, &commits), frames - 1);
			log[last + flipped[k]] ^= 0x10;
		}
		log[20] ^= 1;
		assert_true(wal_header_read(log, size, &h));
		assert_false(h.checksum_holds);
		log[20] ^= 1;
		free(log);
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
		sqlite_folder_remove(&folder);
	}
}

/* After the log has been started again, frames of its earlier turn are not current. */
static void test_restart(void **state)
{
	struct sqlite_folder folder;
	struct wal_header h;
	uint32_t commits;
	size_t size;
	sqlite3 *db;

	(void)state;
	sqlite_folder_create(&folder);
	free(write_log(&folder, "PRAGMA page_size=1024", &size, &db));
	sqlite_run(db, "PRAGMA wal_checkpoint(RESTART); UPDATE t SET x = 1 WHERE rowid = 1");
	uint8_t *log = sqlite_folder_read(&folder, "a.db-wal", &size);
	uint32_t frames = check_frames(log, size, &h, &commits);
	assert_int_equal(commits, 1);
	assert_true(wal_frame_content(frames + 1, h.page_size) + h.page_size <= size);
	struct wal_frame f;
	uint8_t *stale = log + wal_frame_content(frames + 1, h.page_size) - WAL_FRAME_HEADER_SIZE;
	assert_true(wal_frame_read(stale, WAL_FRAME_HEADER_SIZE, &f));
	assert_true(f.page != 0);
	assert_false(wal_frame_is_current(&h, &f));
	/* Each salt counts, and a page number. */
	assert_true(wal_frame_read(log + WAL_HEADER_SIZE, WAL_FRAME_HEADER_SIZE, &f));
	for (int i = 0; i < 3; i++) {
		uint32_t *field = i < 2 ? &f.salt[i] : &f.page, before = *field;

		assert_true(wal_frame_is_current(&h, &f));
		*field = i < 2 ? before + 1 : 0;
		assert_false(wal_frame_is_current(&h, &f));
		*field = before;
	}
	free(log);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	sqlite_folder_remove(&folder);
}

static void put_be32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* Checksums in the other byte order, computed here, make SQLite recover all rows from the log; and
 * with one of them wrong, only those before it. */
static void test_other_order(void **state)
{
	struct sqlite_folder folder, other;
	struct wal_header h;
	struct wal_checksum sum;
	size_t size, database_size;
	sqlite3 *db;

	(void)state;
	for (int broken = 0; broken < 2; broken++) {
		sqlite_folder_create(&folder);
		sqlite_folder_create(&other);
		uint8_t *log = write_log(&folder, "PRAGMA page_size=512", &size, &db);
		uint8_t *database = sqlite_folder_read(&folder, "a.db", &database_size);
		log[3] ^= 1; /* the magic */
		assert_true(wal_header_read(log, size, &h));
		assert_false(h.checksum_holds);
		sum = wal_checksum_add((struct wal_checksum){0, 0}, h.big_endian, log, 24);
		put_be32(log + 24, sum.s0);
		put_be32(log + 28, sum.s1);
		uint32_t frames = (uint32_t)((size - WAL_HEADER_SIZE) / (24 + 512));
		for (uint32_t i = 1; i <= frames; i++) {
			uint8_t *frame = log + wal_frame_content(i, 512) - WAL_FRAME_HEADER_SIZE;
			(void)wal_frame_holds(&h, frame, &sum);
			put_be32(frame + 16, sum.s0);
			put_be32(frame + 20, sum.s1 ^ (broken && i == frames));
		}
		sqlite_folder_write(&other, "a.db", database, database_size);
		sqlite_folder_write(&other, "a.db-wal", log, size);
		sqlite3 *recovered = sqlite_folder_open(&other, "a.db");
		assert_int_equal(sqlite_number(recovered, "SELECT count(*) FROM t"),
				 broken ? ROWS - 8 : ROWS);
		free(log);
		free(database);
		assert_int_equal(sqlite3_close(recovered), SQLITE_OK);
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
		sqlite_folder_remove(&folder);
		sqlite_folder_remove(&other);
	}
}

/* What is no log is refused. */
static void test_refused(void **state)
{
	static const uint8_t sample[WAL_HEADER_SIZE] = {0x37, 0x7f, 0x06, 0x82, 0, 0x2d,
							0xe2, 0x18, 0,	  0,	2};
	struct wal_header h;
	struct wal_frame f;
	uint8_t bytes[WAL_HEADER_SIZE];

	(void)state;
	assert_true(wal_header_read(sample, sizeof sample, &h));
	assert_false(wal_header_read(sample, sizeof sample - 1, &h));
	assert_false(wal_frame_read(sample, WAL_FRAME_HEADER_SIZE - 1, &f));
	for (size_t i = 0; i < 12; i++) {
		memcpy(bytes, sample, sizeof bytes);
		bytes[i] ^= 4;
		assert_false(wal_header_read(bytes, sizeof bytes, &h));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_frames),
	    cmocka_unit_test(test_restart),
	    cmocka_unit_test(test_other_order),
	    cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
