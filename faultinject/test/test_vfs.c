/* SQLite on the shim: what is recorded of a transaction, connections in each other's way, hot
 * journals, and that a seed fixes everything. */
#include "faultinject/base/buf.h"
#include "faultinject/disk.h"
#include "faultinject/vfs.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct machine {
	struct disk *disk;
	struct trace *trace;
};

static void machine_start(struct machine *m, uint64_t seed)
{
	m->disk = disk_create();
	m->trace = trace_create(fi_vfs_default_device(), "test");
	fi_vfs_boot(disk_storage(m->disk), seed, fi_vfs_default_device());
	disk_record(m->disk, m->trace);
}

static void machine_stop(struct machine *m)
{
	assert_int_equal(fi_vfs_open_count(), 0);
	trace_free(m->trace);
	disk_free(m->disk);
}

/* What happened so far becomes the durable base. */
static void record_anew(struct machine *m)
{
	struct trace *t = trace_create(fi_vfs_default_device(), "test");

	disk_record(m->disk, t);
	trace_free(m->trace);
	m->trace = t;
}

static sqlite3 *open_db(struct machine *m, uint16_t process, const char *name)
{
	sqlite3 *db;

	disk_storage(m->disk)->actor = (struct storage_actor){process, 1, process};
	assert_int_equal(sqlite3_open(name, &db), SQLITE_OK);
	return db;
}

static int try(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static void run(sqlite3 *db, const char *sql)
{
	char *message = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		print_error("%s: %s\n", sql, message);
	assert_null(message);
}

/* The first column of the first row; 0 without one, and the result code, negated, on failure. */
static int number(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *s;
	int n = 0, rc = sqlite3_prepare_v2(db, sql, -1, &s, NULL);

	if (rc != SQLITE_OK)
		return -rc;
	if (sqlite3_step(s) == SQLITE_ROW)
		n = sqlite3_column_int(s, 0);
	rc = sqlite3_finalize(s);
	return rc == SQLITE_OK ? n : -rc;
}

/* The operations as text, without positions, actors and contents. */
static char *text_of(const struct trace *t)
{
	struct buf b = {0};
	char *text, *printed = NULL, *rest, *line;
	size_t size;
	FILE *out = open_memstream(&printed, &size);

	for (uint64_t p = 1; p <= t->op_count; p++)
		trace_print_op(t, p, false, out);
	fclose(out);
	rest = printed;
	while ((line = strsep(&rest, "\n")) != NULL) {
		char *word;

		if (*line == '\0')
			continue;
		(void)strsep(&line, " ");
		word = strsep(&line, " ");
		buf_printf(&b, "%s", word);
		while ((word = strsep(&line, " ")) != NULL)
			if (strncmp(word, "process=", 8) != 0 && strncmp(word, "thread=", 7) != 0 &&
			    strncmp(word, "connection=", 11) != 0 &&
			    strncmp(word, "begin=", 6) != 0 && strncmp(word, "hash=", 5) != 0)
				buf_printf(&b, " %s", word);
		buf_printf(&b, "\n");
	}
	free(printed);
	text = xstrdup(buf_str(&b));
	buf_release(&b);
	return text;
}

static void assert_recorded(const char *setup, const char *transaction, const char *expected)
{
	struct machine m;
	sqlite3 *db;
	char *text;

	machine_start(&m, 1);
	db = open_db(&m, 1, "/d/a.db");
	run(db, setup);
	run(db, "CREATE TABLE t(x)");
	record_anew(&m);
	run(db, transaction);
	text = text_of(m.trace);
	assert_string_equal(text, expected);
	free(text);
	sqlite3_close(db);
	machine_stop(&m);
}

#define DELETE_TRANSACTION                                                                         \
	"lock inode=1 offset=1073741826 size=510 shared\n"                                         \
	"lock inode=1 offset=1073741825 size=1\n"                                                  \
	"create inode=2 name=\"/d/a.db-journal\"\n"                                                \
	"write inode=2 offset=0 size=512\n"                                                        \
	"write inode=2 offset=512 size=4\n"                                                        \
	"write inode=2 offset=516 size=4096\n"                                                     \
	"write inode=2 offset=4612 size=4\n"                                                       \
	"lock inode=1 offset=1073741824 size=1\n"                                                  \
	"lock inode=1 offset=1073741826 size=510\n"                                                \
	"write inode=2 offset=4616 size=4\n"                                                       \
	"write inode=2 offset=4620 size=4096\n"                                                    \
	"write inode=2 offset=8716 size=4\n"                                                       \
	"sync-begin inode=2\n"                                                                     \
	"sync-end inode=2\n"                                                                       \
	"dirsync-begin name=\"/d\"\n"                                                              \
	"dirsync-end name=\"/d\"\n"                                                                \
	"write inode=2 offset=0 size=12\n"                                                         \
	"sync-begin inode=2\n"                                                                     \
	"sync-end inode=2\n"                                                                       \
	"write inode=1 offset=0 size=4096\n"                                                       \
	"write inode=1 offset=4096 size=4096\n"                                                    \
	"sync-begin inode=1\n"                                                                     \
	"sync-end inode=1\n"                                                                       \
	"unlink name=\"/d/a.db-journal\"\n"

#define DELETE_UNLOCK                                                                              \
	"lock inode=1 offset=1073741826 size=510 shared\n"                                         \
	"unlock inode=1 offset=1073741824 size=2\n"                                                \
	"unlock inode=1 offset=0 size=0\n"

/* The directory is synced after the journal's first sync, and not after its deletion. */
static void test_recorded_delete_full(void **state)
{
	(void)state;
	assert_recorded("PRAGMA journal_mode=delete; PRAGMA synchronous=full",
			"INSERT INTO t VALUES(1)", DELETE_TRANSACTION DELETE_UNLOCK);
}

/* EXTRA also syncs the directory after the deletion. */
static void test_recorded_delete_extra(void **state)
{
	(void)state;
	assert_recorded("PRAGMA journal_mode=delete; PRAGMA synchronous=extra",
			"INSERT INTO t VALUES(1)",
			DELETE_TRANSACTION "dirsync-begin name=\"/d\"\n"
					   "dirsync-end name=\"/d\"\n" DELETE_UNLOCK);
}

/* The WAL is synced once a commit; its directory was synced with its header. */
static void test_recorded_wal_full(void **state)
{
	(void)state;
	assert_recorded("PRAGMA journal_mode=wal; PRAGMA synchronous=full",
			"INSERT INTO t VALUES(1)",
			/* The read mark of slot 1 is moved, then the slot is held to read. */
			"lock inode=1 offset=124 size=1 shm\n"
			"unlock inode=1 offset=124 size=1 shm\n"
			"lock inode=1 offset=124 size=1 shared shm\n"
			"lock inode=1 offset=120 size=1 shm\n"
			"write inode=2 offset=8272 size=24\n"
			"write inode=2 offset=8296 size=4096\n"
			"sync-begin inode=2\n"
			"sync-end inode=2\n"
			"unlock inode=1 offset=120 size=1 shm\n"
			"unlock inode=1 offset=124 size=1 shared shm\n");
}

/* The WAL's header is synced, then its directory, on the first write after it was created. */
static void test_recorded_wal_header(void **state)
{
	struct machine m;
	sqlite3 *db;
	char *text;

	(void)state;
	machine_start(&m, 1);
	db = open_db(&m, 1, "/d/a.db");
	run(db, "PRAGMA journal_mode=wal; CREATE TABLE t(x)");
	text = text_of(m.trace);
	assert_non_null(strstr(text, "create inode=3 name=\"/d/a.db-wal\"\n"));
	assert_non_null(strstr(text, "write inode=3 offset=0 size=32\n"
				     "sync-begin inode=3\n"
				     "sync-end inode=3\n"
				     "dirsync-begin name=\"/d\"\n"
				     "dirsync-end name=\"/d\"\n"
				     "write inode=3 offset=32 size=24\n"));
	free(text);
	sqlite3_close(db);
	machine_stop(&m);
}

/* A transaction over two files has a super-journal, whose deletion is synced. */
static void test_super_journal(void **state)
{
	struct machine m;
	sqlite3 *db;
	char *text, *created, *unlinked;

	(void)state;
	machine_start(&m, 1);
	db = open_db(&m, 1, "/d/a.db");
	run(db, "ATTACH '/d/b.db' AS b; CREATE TABLE t(x); CREATE TABLE b.u(x)");
	record_anew(&m);
	run(db, "BEGIN; INSERT INTO t VALUES(1); INSERT INTO u VALUES(2); COMMIT");
	text = text_of(m.trace);
	created = strstr(text, "create inode=5 name=\"/d/a.db-mj");
	assert_non_null(created);
	unlinked = strstr(created, "unlink name=\"/d/a.db-mj");
	assert_non_null(unlinked);
	unlinked = strchr(unlinked, '\n') + 1;
	assert_int_equal(strncmp(unlinked, "dirsync-begin ", 14), 0);
	free(text);
	sqlite3_close(db);
	machine_stop(&m);
}

/* TEMP tables, sorters and statement journals are private: nothing of them is recorded. */
static void test_temporary_files(void **state)
{
	struct machine m;
	sqlite3 *db;

	(void)state;
	machine_start(&m, 1);
	db = open_db(&m, 1, "/d/a.db");
	run(db, "PRAGMA temp_store=file; PRAGMA cache_size=2; PRAGMA temp.cache_size=2;"
		"CREATE TABLE t(x)");
	record_anew(&m);
	run(db, "CREATE TEMP TABLE w(x PRIMARY KEY, y);"
		"BEGIN;"
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
		" INSERT INTO w SELECT i * 7919 % 3001, randomblob(500) FROM n;"
		"COMMIT; BEGIN; UPDATE w SET y = randomblob(600); ROLLBACK;");
	assert_int_equal(number(db, "SELECT count(*) FROM (SELECT * FROM w ORDER BY y)"), 3000);
	assert_int_equal(number(db, "SELECT count(*) FROM w WHERE length(y) = 500"), 3000);
	for (uint64_t p = 1; p <= m.trace->op_count; p++) {
		const struct op *op = trace_at(m.trace, p);

		assert_true(op->kind == OP_LOCK || op->kind == OP_UNLOCK);
	}
	sqlite3_close(db);
	machine_stop(&m);
}

static const char *const modes[] = {"delete", "truncate", "persist", "memory", "off", "wal"};

/* A database survives that is closed, kept on the disk and opened on a rebooted machine. */
static void test_all_modes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
		struct machine m;
		char *pragma = xasprintf("PRAGMA journal_mode=%s; PRAGMA cache_size=3", modes[i]);
		sqlite3 *db;

		machine_start(&m, 1);
		db = open_db(&m, 1, "/d/a.db");
		run(db, pragma);
		run(db, "CREATE TABLE t(x, y); CREATE INDEX i ON t(y)");
		for (int n = 0; n < 50; n++)
			run(db, "INSERT INTO t VALUES(1, randomblob(400))");
		run(db, "DELETE FROM t WHERE rowid % 3 = 0; VACUUM");
		sqlite3_close(db);
		disk_record(m.disk, NULL);
		fi_vfs_boot(disk_storage(m.disk), 2, fi_vfs_default_device());
		db = open_db(&m, 1, "/d/a.db");
		assert_int_equal(number(db, "SELECT count(*) FROM t"), 34);
		assert_int_equal(number(db, "SELECT count(*) FROM pragma_integrity_check"
					    " WHERE integrity_check = 'ok'"),
				 1);
		sqlite3_close(db);
		machine_stop(&m);
		free(pragma);
	}
}

/* Of a rollback journal's connections one writes; readers go on until it commits, a reader blocks
 * the commit, and a commit that waits blocks new readers. The same within a process and between. */
static void test_rollback_locking(void **state)
{
	(void)state;
	for (int processes = 1; processes <= 3; processes += 2) {
		struct machine m;
		sqlite3 *a, *b, *c;

		machine_start(&m, 1);
		a = open_db(&m, 1, "/d/a.db");
		b = open_db(&m, processes == 1 ? 1 : 2, "/d/a.db");
		c = open_db(&m, processes == 1 ? 1 : 3, "/d/a.db");
		run(a, "PRAGMA journal_mode=delete; CREATE TABLE t(x)");
		run(a, "BEGIN IMMEDIATE; INSERT INTO t VALUES(1)");
		assert_int_equal(try(b, "BEGIN IMMEDIATE"), SQLITE_BUSY);
		assert_int_equal(number(b, "SELECT count(*) FROM t"), 0);
		run(b, "BEGIN");
		assert_int_equal(number(b, "SELECT count(*) FROM t"), 0);
		assert_int_equal(try(a, "COMMIT"), SQLITE_BUSY);
		assert_int_equal(number(c, "SELECT count(*) FROM t"), -SQLITE_BUSY);
		assert_int_equal(number(b, "SELECT count(*) FROM t"), 0);
		run(b, "COMMIT");
		run(a, "COMMIT");
		assert_int_equal(number(b, "SELECT count(*) FROM t"), 1);
		assert_int_equal(number(c, "SELECT count(*) FROM t"), 1);
		sqlite3_close(a);
		sqlite3_close(b);
		sqlite3_close(c);
		machine_stop(&m);
	}
}

/* In WAL mode a reader keeps its snapshot, a second writer is refused, and a checkpoint stops at
 * the frames that a reader still needs. Shared memory goes with the last connection. */
static void test_wal_locking(void **state)
{
	(void)state;
	for (uint16_t other = 1; other <= 2; other++) {
		struct machine m;
		sqlite3 *a, *b;
		uint64_t hash;

		machine_start(&m, 1);
		a = open_db(&m, 1, "/d/a.db");
		b = open_db(&m, other, "/d/a.db");
		assert_int_equal(fi_vfs_shm_hash(), 0);
		run(a, "PRAGMA journal_mode=wal; CREATE TABLE t(x); INSERT INTO t VALUES(1)");
		hash = fi_vfs_shm_hash();
		assert_int_not_equal(hash, 0);
		run(b, "BEGIN");
		assert_int_equal(number(b, "SELECT count(*) FROM t"), 1);
		run(a, "INSERT INTO t VALUES(2)");
		assert_int_not_equal(fi_vfs_shm_hash(), hash);
		assert_int_equal(number(b, "SELECT count(*) FROM t"), 1);
		assert_int_equal(number(a, "PRAGMA wal_checkpoint(TRUNCATE)"), 1); /* busy */
		run(b, "COMMIT");
		assert_int_equal(number(b, "SELECT count(*) FROM t"), 2);
		run(a, "BEGIN IMMEDIATE");
		assert_int_equal(try(b, "BEGIN IMMEDIATE"), SQLITE_BUSY);
		run(a, "COMMIT");
		assert_int_equal(number(a, "PRAGMA wal_checkpoint(TRUNCATE)"), 0);
		assert_int_equal(number(b, "SELECT count(*) FROM t"), 2);
		sqlite3_close(a);
		assert_int_not_equal(fi_vfs_shm_hash(), 0);
		sqlite3_close(b);
		assert_int_equal(fi_vfs_shm_hash(), 0);
		machine_stop(&m);
	}
}

static void copy_file(void *ctx, const char *path, const uint8_t *data, uint64_t size)
{
	disk_put(ctx, path, data, size);
}

/* What a machine leaves that dies within a transaction is undone by the next one: the hot journal
 * is rolled back, a WAL without a commit ignored. */
static void test_recovery(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
		struct machine m;
		struct disk *after = disk_create();
		char *pragma = xasprintf("PRAGMA journal_mode=%s; PRAGMA cache_size=3", modes[i]);
		bool has_journal = strcmp(modes[i], "memory") != 0 && strcmp(modes[i], "off") != 0;
		sqlite3 *db;

		machine_start(&m, 1);
		db = open_db(&m, 1, "/d/a.db");
		run(db, pragma);
		run(db, "CREATE TABLE t(x, y)");
		for (int n = 0; n < 50; n++)
			run(db, "INSERT INTO t VALUES(1, randomblob(400))");
		run(db, "BEGIN; UPDATE t SET x = 2"); /* more than the cache holds: it spills */
		disk_each(m.disk, copy_file, after);
		run(db, "ROLLBACK");
		sqlite3_close(db);
		machine_stop(&m);

		m.disk = after;
		m.trace = trace_create(fi_vfs_default_device(), "test");
		fi_vfs_boot(disk_storage(after), 2, fi_vfs_default_device());
		disk_record(after, m.trace);
		db = open_db(&m, 1, "/d/a.db");
		assert_int_equal(number(db, "SELECT count(*) FROM t"), 50);
		/* Without a journal half of the transaction stays: the pages did spill. */
		assert_int_equal(number(db, "SELECT count(*) FROM t WHERE x = 2") > 0,
				 !has_journal);
		sqlite3_close(db);
		machine_stop(&m);
		free(pragma);
	}
}

static void encode_run(uint64_t seed, struct buf *ret)
{
	struct machine m;
	sqlite3 *db;

	machine_start(&m, seed);
	db = open_db(&m, 1, "/d/a.db");
	run(db, "PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=3; CREATE TABLE t(x, y)");
	for (int n = 0; n < 20; n++)
		run(db, "INSERT INTO t VALUES(random(), strftime('%f %s', 'now'))");
	sqlite3_close(db);
	trace_encode(m.trace, ret);
	machine_stop(&m);
}

/* The same seed gives the same trace, byte for byte; another seed another one. */
static void test_determinism(void **state)
{
	struct buf a = {0}, b = {0}, c = {0};

	(void)state;
	encode_run(1, &a);
	encode_run(1, &b);
	encode_run(2, &c);
	assert_int_equal(a.size, b.size);
	assert_memory_equal(a.data, b.data, a.size);
	assert_true(a.size != c.size || memcmp(a.data, c.data, a.size) != 0);
	buf_release(&a);
	buf_release(&b);
	buf_release(&c);
}

/* A recovery that makes too many calls gets an error, can still close, and the next boot starts
 * counting anew. */
static void test_call_limit(void **state)
{
	struct machine m;
	sqlite3 *db;
	uint64_t count;

	(void)state;
	machine_start(&m, 1);
	db = open_db(&m, 1, "/d/a.db");
	run(db, "CREATE TABLE t(x); INSERT INTO t VALUES(1)");
	sqlite3_close(db);
	count = fi_vfs_call_count();
	assert_true(count > 50);
	for (uint64_t max = 1; max < count; max++) {
		int failures = 0;

		disk_record(m.disk, NULL);
		disk_clear(m.disk);
		fi_vfs_boot(disk_storage(m.disk), 1, fi_vfs_default_device());
		fi_vfs_call_limit(max);
		if (sqlite3_open("/d/a.db", &db) != SQLITE_OK)
			failures++;
		else if (try(db, "CREATE TABLE t(x); INSERT INTO t VALUES(1)") != SQLITE_OK)
			failures++;
		sqlite3_close(db);
		/* After the commit, only unlocking and closing are left. */
		assert_true(failures == 1 || max > count / 2);
		assert_int_equal(fi_vfs_open_count(), 0);
	}
	fi_vfs_call_limit(0);
	machine_stop(&m);
}

static int setup(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	return fi_vfs_register(&err);
}

static int teardown(void **state)
{
	(void)state;
	fi_vfs_unregister();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_recorded_delete_full),
	    cmocka_unit_test(test_recorded_delete_extra),
	    cmocka_unit_test(test_recorded_wal_full),
	    cmocka_unit_test(test_recorded_wal_header),
	    cmocka_unit_test(test_super_journal),
	    cmocka_unit_test(test_temporary_files),
	    cmocka_unit_test(test_all_modes),
	    cmocka_unit_test(test_rollback_locking),
	    cmocka_unit_test(test_wal_locking),
	    cmocka_unit_test(test_recovery),
	    cmocka_unit_test(test_determinism),
	    cmocka_unit_test(test_call_limit),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
