/* Reading rollback journals and super-journals that SQLite wrote on the unix VFS. */
#include "faultinject/base/buf.h"
#include "faultinject/format/btree.h"
#include "faultinject/format/journal.h"
#include "faultinject/format/test/sqlite_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char fill[] =
    "CREATE TABLE t(id INTEGER PRIMARY KEY, x);"
    "INSERT INTO t WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c "
    "WHERE i < 200) SELECT i, randomblob(400) FROM c";

/* Walks all segments; each record that counts must hold and must be the page as it was in
 * `before`. Returns the number of records. */
static uint64_t check_records(const uint8_t *journal, size_t size, const uint8_t *before,
			      size_t before_size, uint32_t *ret_segments)
{
	struct journal_segment s;
	uint64_t records = 0;

	*ret_segments = 0;
	if (!journal_segment_first(journal, size, &s))
		return 0;
	assert_int_equal((uint64_t)s.header.page_count * s.header.page_size, before_size);
	do {
		if (!s.header.has_magic)
			break;
		++*ret_segments;
		for (uint64_t i = 0; i < s.record_count; i++, records++) {
			struct journal_record r;

			journal_segment_record(journal, &s, i, &r);
			assert_true(r.checksum_holds);
			assert_true(r.page >= 1 && r.page <= s.header.page_count);
			assert_memory_equal(r.content,
					    before + (size_t)(r.page - 1) * s.header.page_size,
					    s.header.page_size);
		}
	} while (journal_segment_next(journal, size, &s));
	return records;
}

/* A transaction that outgrew its cache leaves a journal of several segments. Every record of every
 * segment is a page as it was, whole, at every page size and level of synchronous; at OFF the count
 * is the file's size. */
static void test_open_transaction(void **state)
{
	static const char *const pragmas[] = {
	    "PRAGMA page_size=512; PRAGMA synchronous=full",
	    "PRAGMA page_size=1024; PRAGMA synchronous=normal",
	    "PRAGMA page_size=4096; PRAGMA synchronous=full",
	    "PRAGMA page_size=1024; PRAGMA synchronous=off",
	};

	(void)state;
	for (size_t i = 0; i < sizeof pragmas / sizeof *pragmas; i++) {
		struct sqlite_folder folder;
		size_t before_size, size;
		uint32_t segments;

		sqlite_folder_create(&folder);
		sqlite3 *db = sqlite_folder_open(&folder, "a.db");
		sqlite_run(db, pragmas[i]);
		sqlite_run(db, fill);
		uint8_t *before = sqlite_folder_read(&folder, "a.db", &before_size);
		sqlite_run(db, "PRAGMA cache_size=5; BEGIN; UPDATE t SET x = randomblob(400)");
		uint8_t *journal = sqlite_folder_read(&folder, "a.db-journal", &size);
		uint64_t records = check_records(journal, size, before, before_size, &segments);
		assert_true(records > 10);
		struct journal_header h;
		assert_true(journal_header_read(journal, size, &h));
		if (i == 3) {
			assert_int_equal(h.record_count, JOURNAL_COUNT_BY_SIZE);
			assert_int_equal(segments, 1);
		} else {
			assert_true(segments > 1);
		}
		/* A byte that the checksum samples, and one that it does not. */
		struct journal_record r;
		uint8_t *record = journal + h.sector_size;
		record[4 + h.page_size - 200] ^= 1;
		assert_true(journal_record_read(record, journal_record_size(&h), &h, &r));
		assert_false(r.checksum_holds);
		record[4 + h.page_size - 200] ^= 1;
		record[4 + h.page_size - 199] ^= 1;
		assert_true(journal_record_read(record, journal_record_size(&h), &h, &r));
		assert_true(r.checksum_holds);
		assert_false(journal_record_read(record, journal_record_size(&h) - 1, &h, &r));
		free(before);
		free(journal);
		sqlite_run(db, "ROLLBACK");
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
		sqlite_folder_remove(&folder);
	}
}

/* In PERSIST mode a finished transaction leaves records behind a header without magic; in TRUNCATE
 * mode it leaves no header. */
static void test_finished(void **state)
{
	struct sqlite_folder folder;
	struct journal_segment s;
	size_t size;

	(void)state;
	sqlite_folder_create(&folder);
	sqlite3 *db = sqlite_folder_open(&folder, "a.db");
	sqlite_run(db, fill);
	sqlite_run(db, "PRAGMA journal_mode=persist; UPDATE t SET x = 1 WHERE id = 7");
	uint8_t *journal = sqlite_folder_read(&folder, "a.db-journal", &size);
	struct journal_header h;
	assert_true(size > 1024);
	/* The sizes are zeroed with it: 28 bytes. */
	assert_false(journal_header_read(journal, size, &h));
	assert_false(journal_segment_first(journal, size, &s));
	free(journal);
	sqlite_run(db, "PRAGMA journal_mode=truncate; UPDATE t SET x = 2 WHERE id = 7");
	journal = sqlite_folder_read(&folder, "a.db-journal", &size);
	assert_int_equal(size, 0);
	assert_false(journal_segment_first(journal, size, &s));
	free(journal);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	sqlite_folder_remove(&folder);
}

struct super_seen {
	const struct sqlite_folder *folder;
	int journals;
};

/* Passes everything on to the unix VFS, and looks at a super-journal that is about to be deleted:
 * then all journals of the transaction are whole. */
static sqlite3_vfs wrapper;
static sqlite3_vfs *unix_vfs;
static struct super_seen *seen;

static void see_super(const char *path)
{
	const char *base = strrchr(path, '/') + 1;
	size_t size, at = 0;
	const char *name;

	uint8_t *bytes = sqlite_folder_read(seen->folder, base, &size);
	while ((name = super_journal_next(bytes, size, &at)) != NULL) {
		const char *child = strrchr(name, '/') + 1;
		const uint8_t *super;
		size_t journal_size, super_size;
		uint8_t *journal = sqlite_folder_read(seen->folder, child, &journal_size);

		assert_true(journal_super_name(journal, journal_size, &super, &super_size));
		assert_int_equal(super_size, strlen(path));
		assert_memory_equal(super, path, super_size);
		/* The last few bytes are enough, fewer are not; nothing of it may be wrong. */
		size_t few = super_size + JOURNAL_SUPER_TAIL;
		assert_true(
		    journal_super_name(journal + journal_size - few, few, &super, &super_size));
		assert_false(journal_super_name(journal + journal_size - few + 1, few - 1, &super,
						&super_size));
		for (size_t i = 1; i <= few; i++) {
			journal[journal_size - i] ^= 1;
			assert_false(
			    journal_super_name(journal, journal_size, &super, &super_size));
			journal[journal_size - i] ^= 1;
		}
		seen->journals++;
		free(journal);
	}
	assert_int_equal(at, size);
	/* Without its last terminator the last name is none. */
	at = 0;
	int names = 0;
	while (super_journal_next(bytes, size - 1, &at) != NULL)
		names++;
	assert_int_equal(names, 1);
	free(bytes);
}

static int wrapper_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
	(void)vfs;
	if (strstr(path, "-mj") != NULL)
		see_super(path);
	return unix_vfs->xDelete(unix_vfs, path, sync);
}

/* When a transaction over two files is about to commit, the super-journal names both journals, and
 * each of them ends with its name. */
static void test_super_journal(void **state)
{
	struct sqlite_folder folder;

	(void)state;
	sqlite_folder_create(&folder);
	seen = &(struct super_seen){.folder = &folder};
	unix_vfs = sqlite3_vfs_find("unix");
	wrapper = *unix_vfs;
	wrapper.zName = "seeing";
	wrapper.xDelete = wrapper_delete;
	assert_int_equal(sqlite3_vfs_register(&wrapper, 0), SQLITE_OK);
	char *path = xasprintf("%s/\xc3\xa4.db", folder.path);
	char *attach = xasprintf("ATTACH '%s/b.db' AS b", folder.path);
	sqlite3 *db;
	assert_int_equal(
	    sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "seeing"),
	    SQLITE_OK);
	sqlite_run(db, attach);
	for (int i = 0; i < 2; i++) {
		sqlite_run(db, i == 0 ? "PRAGMA synchronous=full; PRAGMA b.synchronous=full"
				      : "PRAGMA synchronous=normal; PRAGMA b.synchronous=normal");
		sqlite_run(db, "BEGIN; CREATE TABLE t(x); CREATE TABLE b.u(x); COMMIT;"
			       "DROP TABLE t; DROP TABLE u");
	}
	assert_int_equal(seen->journals, 4);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_int_equal(sqlite3_vfs_unregister(&wrapper), SQLITE_OK);
	sqlite_folder_remove(&folder);
	free(path);
	free(attach);
}

/* What is no header is refused, and a count that the file does not back is cut. */
static void test_refused(void **state)
{
	uint8_t bytes[512 + 2 * 520] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
	struct journal_header h;
	struct journal_segment s;

	(void)state;
	bytes[22] = 2; /* sector size 512 */
	assert_false(journal_header_read(bytes, sizeof bytes, &h));
	bytes[26] = 2; /* page size 512 */
	assert_true(journal_header_read(bytes, JOURNAL_HEADER_SIZE, &h));
	assert_false(journal_header_read(bytes, JOURNAL_HEADER_SIZE - 1, &h));
	bytes[22] = 3;
	assert_false(journal_header_read(bytes, sizeof bytes, &h));
	bytes[22] = 2;
	bytes[0] ^= 1;
	assert_false(journal_header_read(bytes, sizeof bytes, &h));
	bytes[0] ^= 1;
	assert_true(journal_segment_first(bytes, sizeof bytes, &s));
	assert_int_equal(s.record_count, 0);
	bytes[JOURNAL_COUNT_AT] = 0x7f;
	assert_true(journal_segment_first(bytes, sizeof bytes, &s));
	assert_int_equal(s.record_count, 2);
	assert_false(journal_segment_next(bytes, sizeof bytes, &s));
	/* Of a further header the whole sector must be there. */
	uint8_t two[1024 + 512];
	memset(two, 0, sizeof two);
	memcpy(two, bytes, JOURNAL_HEADER_SIZE);
	two[JOURNAL_COUNT_AT] = 0;
	memcpy(two + 512, two, JOURNAL_HEADER_SIZE);
	assert_true(journal_segment_first(two, sizeof two, &s));
	assert_true(journal_segment_next(two, 1024, &s));
	assert_int_equal(s.offset, 512);
	assert_true(journal_segment_first(two, sizeof two, &s));
	assert_false(journal_segment_next(two, 1023, &s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_open_transaction),
	    cmocka_unit_test(test_finished),
	    cmocka_unit_test(test_super_journal),
	    cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
