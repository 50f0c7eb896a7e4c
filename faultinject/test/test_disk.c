/* The live simulated disk: what it stores and what it records. */
#include "faultinject/base/buf.h"
#include "faultinject/disk.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct trace_device device = {4096, 0};

static uint32_t must_open(struct storage *s, const char *path)
{
	uint32_t inode = 0;
	bool created;

	assert_int_equal(s->ops->open(s, path, true, &inode, &created), 0);
	return inode;
}

static void write_text(struct storage *s, uint32_t inode, uint64_t offset, const char *text)
{
	assert_int_equal(s->ops->write(s, inode, offset, text, strlen(text)), 0);
}

static void assert_content(struct storage *s, uint32_t inode, const char *bytes, size_t size)
{
	char buf[64];
	size_t got = 99;
	uint64_t file_size = 99;

	assert_int_equal(s->ops->read(s, inode, 0, buf, sizeof buf, &got), 0);
	assert_int_equal(got, size);
	assert_memory_equal(buf, bytes, size);
	assert_int_equal(s->ops->size(s, inode, &file_size), 0);
	assert_int_equal(file_size, size);
}

/* Files read as they were written; gaps and growth read as zeroes, also where bytes were cut. */
static void test_content(void **state)
{
	struct disk *d = disk_create();
	struct storage *s = disk_storage(d);
	uint32_t f = must_open(s, "/f");
	char buf[4];
	size_t got = 99;

	(void)state;
	assert_content(s, f, "", 0);
	write_text(s, f, 2, "abc");
	assert_content(s, f, "\0\0abc", 5);
	write_text(s, f, 0, "xyz");
	assert_content(s, f, "xyzbc", 5);
	assert_int_equal(s->ops->truncate(s, f, 2), 0);
	assert_content(s, f, "xy", 2);
	assert_int_equal(s->ops->truncate(s, f, 4), 0);
	assert_content(s, f, "xy\0\0", 4);
	assert_int_equal(s->ops->read(s, f, 3, buf, sizeof buf, &got), 0);
	assert_int_equal(got, 1);
	assert_int_equal(s->ops->read(s, f, 4, buf, sizeof buf, &got), 0);
	assert_int_equal(got, 0);
	assert_int_equal(s->ops->read(s, f, UINT64_MAX, buf, sizeof buf, &got), 0);
	assert_int_equal(got, 0);
	disk_free(d);
}

/* A file is bounded; what does not fit changes nothing. */
static void test_size_limit(void **state)
{
	struct disk *d = disk_create();
	struct storage *s = disk_storage(d);
	uint32_t f = must_open(s, "/f");

	(void)state;
	write_text(s, f, 0, "a");
	assert_int_equal(s->ops->write(s, f, UINT64_C(1) << 32, "b", 1), -EFBIG);
	assert_int_equal(s->ops->write(s, f, UINT64_MAX, "b", 1), -EFBIG);
	assert_int_equal(s->ops->truncate(s, f, UINT64_MAX), -EFBIG);
	assert_content(s, f, "a", 1);
	disk_free(d);
}

/* access() asks for a file that is not empty; an unlinked file lives on for who has it open, and
 * its name is free for another. */
static void test_names(void **state)
{
	struct disk *d = disk_create();
	struct storage *s = disk_storage(d);
	uint32_t first, second, inode = 77;
	bool yes = true, created = true;

	(void)state;
	assert_int_equal(s->ops->open(s, "/f", false, &inode, &created), -ENOENT);
	assert_int_equal(inode, 77); /* outputs are untouched on failure */
	assert_int_equal(s->ops->access(s, "/f", &yes), 0);
	assert_false(yes);
	assert_int_equal(s->ops->open(s, "/f", true, &first, &created), 0);
	assert_true(created);
	assert_int_equal(s->ops->access(s, "/f", &yes), 0);
	assert_false(yes);
	write_text(s, first, 0, "one");
	assert_int_equal(s->ops->access(s, "/f", &yes), 0);
	assert_true(yes);
	assert_int_equal(s->ops->open(s, "/f", true, &inode, &created), 0);
	assert_false(created);
	assert_int_equal(inode, first);
	assert_int_equal(s->ops->unlink(s, "/f"), 0);
	assert_int_equal(s->ops->unlink(s, "/f"), -ENOENT);
	second = must_open(s, "/f");
	assert_int_not_equal(first, second);
	write_text(s, first, 3, "!");
	assert_content(s, first, "one!", 4);
	assert_content(s, second, "", 0);
	disk_free(d);
}

static void list_file(void *ctx, const char *path, const uint8_t *data, uint64_t size)
{
	buf_printf(ctx, "%s=%.*s;", path, (int)size, (const char *)data);
}

static void assert_files(struct disk *d, const char *expected)
{
	struct buf b = {0};

	disk_each(d, list_file, &b);
	assert_string_equal(buf_str(&b), expected);
	buf_release(&b);
}

/* Names come in byte order, whatever the order of creation, and many of them are found. */
static void test_put_each_clear(void **state)
{
	struct disk *d = disk_create();
	struct storage *s = disk_storage(d);

	(void)state;
	for (int round = 0; round < 2; round++) {
		assert_files(d, "");
		disk_put(d, "/b", "bb", 2);
		disk_put(d, "/a/x", "ax", 2);
		disk_put(d, "/B", NULL, 0);
		disk_put(d, "/b-1", "1", 1);
		disk_put(d, "/b", "new", 3);
		assert_files(d, "/B=;/a/x=ax;/b=new;/b-1=1;");
		assert_content(s, must_open(s, "/b"), "new", 3);
		/* What an earlier file of this inode held must not shine through. */
		uint32_t f = must_open(s, "/c");

		assert_int_equal(s->ops->truncate(s, f, 3), 0);
		assert_content(s, f, "\0\0\0", 3);
		write_text(s, f, 0, "zzzzzz");
		disk_clear(d);
	}
	for (int i = 0; i < 500; i++) {
		char *path = xasprintf("/%d", i * 7919 % 500);

		disk_put(d, path, path, 2);
		free(path);
	}
	for (int i = 0; i < 500; i++) {
		char *path = xasprintf("/%d", i);
		bool yes = false;

		assert_int_equal(s->ops->access(s, path, &yes), 0);
		assert_true(yes);
		free(path);
	}
	disk_free(d);
}

static void assert_trace(const struct trace *t, const char *expected)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	trace_print(t, true, out);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
}

/* The base is what was there, numbered in byte order of names; every change is recorded with its
 * actor, what changes nothing is not. */
static void test_record(void **state)
{
	struct disk *d = disk_create();
	struct storage *s = disk_storage(d);
	struct trace *t = trace_create(device, "test");
	uint32_t nameless, b, a, c;

	(void)state;
	disk_put(d, "/d/b", "B", 1);
	disk_put(d, "/d/a", "A", 1);
	nameless = must_open(s, "/gone");
	assert_int_equal(s->ops->unlink(s, "/gone"), 0);
	disk_note(d, OP_MARK, "before");
	disk_record(d, t);

	b = must_open(s, "/d/b");
	a = must_open(s, "/d/a");
	write_text(s, nameless, 0, "unseen");
	assert_int_equal(s->ops->truncate(s, nameless, 1), 0);
	assert_int_equal(s->ops->sync(s, nameless, false), 0);
	s->actor = (struct storage_actor){2, 3, 4};
	write_text(s, b, 1, "x");
	assert_int_equal(s->ops->write(s, b, 9, "", 0), 0);
	s->actor = (struct storage_actor){1, 1, 1};
	c = must_open(s, "/d/c");
	assert_int_equal(s->ops->truncate(s, a, 1), 0);
	assert_int_equal(s->ops->truncate(s, a, 0), 0);
	assert_int_equal(s->ops->sync(s, c, true), 0);
	assert_int_equal(s->ops->sync(s, a, false), 0);
	assert_int_equal(s->ops->dirsync(s, "/d"), 0);
	s->ops->lock(s, b, false, OP_LOCK_SHARED, OP_SHARED_FIRST, OP_SHARED_SIZE);
	s->ops->lock(s, b, true, OP_LOCK_SHM, 120, 2);
	assert_int_equal(s->ops->unlink(s, "/d/c"), 0);
	write_text(s, c, 0, "y");
	disk_note(d, OP_ACK, "ignored");
	disk_note(d, OP_MARK, "m");
	disk_note(d, OP_OUTPUT, "");
	disk_record(d, NULL);
	write_text(s, b, 0, "unseen");
	assert_int_equal(s->ops->dirsync(s, "/d"), 0);
	assert_int_equal(s->ops->unlink(s, "/d/b"), 0);
	assert_trace(
	    t, "trace 1 sector=4096 characteristics=0x0 producer=\"test\"\n"
	       "base inode=1 name=\"/d/a\" size=1 data=41\n"
	       "base inode=2 name=\"/d/b\" size=1 data=42\n"
	       "1 write process=2 thread=3 connection=4 inode=2 offset=1 size=1 data=78\n"
	       "2 create process=1 thread=1 connection=1 inode=3 name=\"/d/c\"\n"
	       "3 truncate process=1 thread=1 connection=1 inode=1 size=0\n"
	       "4 sync-begin process=1 thread=1 connection=1 inode=3 data-only\n"
	       "5 sync-end process=1 thread=1 connection=1 inode=3 begin=4\n"
	       "6 sync-begin process=1 thread=1 connection=1 inode=1\n"
	       "7 sync-end process=1 thread=1 connection=1 inode=1 begin=6\n"
	       "8 dirsync-begin process=1 thread=1 connection=1 name=\"/d\"\n"
	       "9 dirsync-end process=1 thread=1 connection=1 name=\"/d\" begin=8\n"
	       "10 lock process=1 thread=1 connection=1 inode=2 offset=1073741826 size=510 shared\n"
	       "11 unlock process=1 thread=1 connection=1 inode=2 offset=120 size=2 shm\n"
	       "12 unlink process=1 thread=1 connection=1 name=\"/d/c\"\n"
	       "13 write process=1 thread=1 connection=1 inode=3 offset=0 size=1 data=79\n"
	       "14 ack process=1 thread=1 connection=1\n"
	       "15 mark process=1 thread=1 connection=1 size=1 data=6d\n"
	       "16 output process=1 thread=1 connection=1 size=0\n"
	       "end operations=16\n");
	trace_free(t);

	/* A second trace has its own numbers. */
	t = trace_create(device, "test");
	disk_record(d, t);
	write_text(s, must_open(s, "/d/a"), 0, "z");
	assert_trace(t, "trace 1 sector=4096 characteristics=0x0 producer=\"test\"\n"
			"base inode=1 name=\"/d/a\" size=0\n"
			"1 write process=1 thread=1 connection=1 inode=1 offset=0 size=1 data=7a\n"
			"end operations=1\n");
	trace_free(t);
	disk_free(d);
}

/* The n-th sync of a matching name fails once, is recorded as failed, and changes nothing that a
 * reader sees. */
static void test_fail_sync(void **state)
{
	struct disk *d = disk_create();
	struct storage *s = disk_storage(d);
	struct trace *t = trace_create(device, "test");

	(void)state;
	disk_put(d, "/d/a", "A", 1);
	disk_put(d, "/d/a-wal", "W", 1);
	uint32_t a = must_open(s, "/d/a"), wal = must_open(s, "/d/a-wal");
	disk_fail_sync(d, 1, NULL); /* also without a trace */
	assert_int_equal(s->ops->sync(s, a, false), -EIO);
	assert_int_equal(s->ops->sync(s, a, false), 0);
	disk_record(d, t);
	disk_fail_sync(d, 2, "-wal");
	assert_int_equal(s->ops->sync(s, wal, false), 0);
	assert_int_equal(s->ops->sync(s, a, false), 0);
	assert_int_equal(s->ops->dirsync(s, "/d"), 0);
	assert_true(disk_fail_sync_pending(d));
	write_text(s, wal, 0, "X");
	assert_int_equal(s->ops->sync(s, wal, true), -EIO);
	assert_false(disk_fail_sync_pending(d));
	assert_content(s, wal, "X", 1);
	assert_int_equal(s->ops->sync(s, wal, true), 0);
	disk_fail_sync(d, 1, "/d");
	assert_int_equal(s->ops->dirsync(s, "/d"), -EIO);
	disk_fail_sync(d, 1, NULL);
	disk_fail_sync(d, 0, NULL);
	assert_int_equal(s->ops->dirsync(s, "/d"), 0);
	assert_trace(t,
		     "trace 1 sector=4096 characteristics=0x0 producer=\"test\"\n"
		     "base inode=1 name=\"/d/a\" size=1 data=41\n"
		     "base inode=2 name=\"/d/a-wal\" size=1 data=57\n"
		     "1 sync-begin process=1 thread=1 connection=1 inode=2\n"
		     "2 sync-end process=1 thread=1 connection=1 inode=2 begin=1\n"
		     "3 sync-begin process=1 thread=1 connection=1 inode=1\n"
		     "4 sync-end process=1 thread=1 connection=1 inode=1 begin=3\n"
		     "5 dirsync-begin process=1 thread=1 connection=1 name=\"/d\"\n"
		     "6 dirsync-end process=1 thread=1 connection=1 name=\"/d\" begin=5\n"
		     "7 write process=1 thread=1 connection=1 inode=2 offset=0 size=1 data=58\n"
		     "8 sync-begin process=1 thread=1 connection=1 inode=2 data-only\n"
		     "9 sync-end process=1 thread=1 connection=1 inode=2 begin=8 failed\n"
		     "10 sync-begin process=1 thread=1 connection=1 inode=2 data-only\n"
		     "11 sync-end process=1 thread=1 connection=1 inode=2 begin=10\n"
		     "12 dirsync-begin process=1 thread=1 connection=1 name=\"/d\"\n"
		     "13 dirsync-end process=1 thread=1 connection=1 name=\"/d\" begin=12 failed\n"
		     "14 dirsync-begin process=1 thread=1 connection=1 name=\"/d\"\n"
		     "15 dirsync-end process=1 thread=1 connection=1 name=\"/d\" begin=14\n"
		     "end operations=15\n");
	disk_record(d, NULL);
	trace_free(t);
	disk_free(d);
}

/* A rename replaces the file of the new name, which lives on for who has it open, keeps the order
 * of names, and is recorded; of a file onto itself it is nothing. */
static void test_rename(void **state)
{
	struct disk *d = disk_create();
	struct storage *s = disk_storage(d);
	struct trace *t = trace_create(device, "test");

	(void)state;
	disk_put(d, "/a", "A", 1);
	disk_put(d, "/b", "B", 1);
	disk_put(d, "/c", "C", 1);
	disk_record(d, t);
	uint32_t a = must_open(s, "/a"), c = must_open(s, "/c");
	assert_int_equal(disk_rename(d, "/x", "/a"), -ENOENT);
	assert_int_equal(disk_rename(d, "/a", "/a"), 0);
	assert_int_equal(disk_rename(d, "/a", "/c"), 0);
	assert_files(d, "/b=B;/c=A;");
	assert_int_equal(must_open(s, "/c"), a);
	assert_content(s, c, "C", 1);
	assert_int_equal(disk_rename(d, "/c", "/a"), 0);
	assert_files(d, "/a=A;/b=B;");
	assert_int_equal(disk_rename(d, "/a", "/z"), 0);
	write_text(s, a, 1, "z");
	assert_files(d, "/b=B;/z=Az;");
	assert_trace(t, "trace 1 sector=4096 characteristics=0x0 producer=\"test\"\n"
			"base inode=1 name=\"/a\" size=1 data=41\n"
			"base inode=2 name=\"/b\" size=1 data=42\n"
			"base inode=3 name=\"/c\" size=1 data=43\n"
			"1 rename process=1 thread=1 connection=1 name=\"/a\" to=\"/c\"\n"
			"2 rename process=1 thread=1 connection=1 name=\"/c\" to=\"/a\"\n"
			"3 rename process=1 thread=1 connection=1 name=\"/a\" to=\"/z\"\n"
			"4 write process=1 thread=1 connection=1 inode=1 offset=1 size=1 data=7a\n"
			"end operations=4\n");
	disk_record(d, NULL);
	trace_free(t);
	disk_free(d);
}

static void test_free_null(void **state)
{
	(void)state;
	disk_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_content), cmocka_unit_test(test_size_limit),
	    cmocka_unit_test(test_names),   cmocka_unit_test(test_put_each_clear),
	    cmocka_unit_test(test_record),  cmocka_unit_test(test_fail_sync),
	    cmocka_unit_test(test_rename),  cmocka_unit_test(test_free_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
