/*
 * The scratch: what is done to it reads as if it had been done to the disk, and the disk never
 * learns of it.
 */
#include "harness/drive/scratch.h"

#include "faultinject/base/prng.h"
#include "faultinject/disk.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { SIZE_MAX_TESTED = 300, PATHS = 3 };

static const char *const paths[PATHS] = {"/a", "/b", "/c"};

static void put_files(struct disk *d)
{
	uint8_t content[SIZE_MAX_TESTED];

	for (size_t i = 0; i < sizeof content; i++)
		content[i] = (uint8_t)(i * 7 + 1);
	disk_put(d, "/a", content, 200);
	disk_put(d, "/b", content, 0);
}

struct digest_of_disk {
	char text[4096];
};

static void add_file(void *ctx, const char *path, const uint8_t *data, uint64_t size)
{
	struct digest_of_disk *all = ctx;
	size_t end = strlen(all->text);
	unsigned sum = 0;

	for (uint64_t i = 0; i < size; i++)
		sum = sum * 31 + data[i];
	(void)snprintf(all->text + end, sizeof all->text - end, "%s %llu %u\n", path,
		       (unsigned long long)size, sum);
}

/* An empty file and none come to the same, see scratch.h. */
static bool exists(struct storage *s, const char *path)
{
	bool yes = false;

	assert_int_equal(s->ops->access(s, path, &yes), 0);
	return yes;
}

static void expect_same(struct storage *a, struct storage *b)
{
	for (int i = 0; i < PATHS; i++) {
		uint8_t x[SIZE_MAX_TESTED + 50], y[sizeof x];
		uint32_t in_a, in_b;
		uint64_t size_a, size_b;
		size_t got_a, got_b;
		bool created;

		assert_int_equal(exists(a, paths[i]), exists(b, paths[i]));
		if (!exists(a, paths[i]))
			continue;
		assert_int_equal(a->ops->open(a, paths[i], false, &in_a, &created), 0);
		assert_int_equal(b->ops->open(b, paths[i], false, &in_b, &created), 0);
		assert_int_equal(a->ops->size(a, in_a, &size_a), 0);
		assert_int_equal(b->ops->size(b, in_b, &size_b), 0);
		assert_int_equal(size_a, size_b);
		for (uint64_t from = 0; from < size_a + 20; from += 37) {
			memset(x, 0, sizeof x);
			memset(y, 0, sizeof y);
			assert_int_equal(a->ops->read(a, in_a, from, x, 100, &got_a), 0);
			assert_int_equal(b->ops->read(b, in_b, from, y, 100, &got_b), 0);
			assert_int_equal(got_a, got_b);
			assert_memory_equal(x, y, sizeof x);
		}
	}
}

static void do_something(struct prng *r, struct storage *a, struct storage *b)
{
	const char *path = paths[prng_below(r, PATHS)];
	uint64_t what = prng_below(r, 8), at = prng_below(r, SIZE_MAX_TESTED / 2);
	uint8_t data[SIZE_MAX_TESTED / 2];
	uint32_t in_a, in_b;
	bool created;
	int rc_a, rc_b;

	if (what == 0) {
		bool there = exists(a, path);
		rc_a = a->ops->unlink(a, path);
		rc_b = b->ops->unlink(b, path);
		if (there)
			assert_int_equal(rc_a, rc_b);
		return;
	}
	assert_int_equal(a->ops->open(a, path, true, &in_a, &created), 0);
	assert_int_equal(b->ops->open(b, path, true, &in_b, &created), 0);
	if (what < 3) {
		rc_a = a->ops->truncate(a, in_a, at);
		rc_b = b->ops->truncate(b, in_b, at);
	} else {
		size_t size = 1 + (size_t)prng_below(r, sizeof data - 1);
		prng_bytes(r, data, size);
		rc_a = a->ops->write(a, in_a, at, data, size);
		rc_b = b->ops->write(b, in_b, at, data, size);
	}
	assert_int_equal(rc_a, 0);
	assert_int_equal(rc_b, 0);
}

/* Random operations on a scratch and on a disk of its own leave the same files, and the disk below
 * the scratch as it was. */
static void test_like_a_disk(void **state)
{
	struct scratch *s = scratch_create();
	struct disk *below = disk_create();
	struct digest_of_disk before = {""}, after = {""};

	(void)state;
	put_files(below);
	disk_each(below, add_file, &before);
	for (uint64_t seed = 1; seed <= 500; seed++) {
		struct disk *model = disk_create();
		struct storage *a = scratch_begin(s, disk_storage(below));
		struct prng r;

		prng_init(&r, seed, "scratch");
		put_files(model);
		assert_string_equal(scratch_change(s), "");
		for (int i = 0; i < 12; i++) {
			do_something(&r, a, disk_storage(model));
			expect_same(a, disk_storage(model));
		}
		assert_string_not_equal(scratch_change(s), "");
		disk_free(model);
	}
	disk_each(below, add_file, &after);
	assert_string_equal(before.text, after.text);
	disk_free(below);
	scratch_free(s);
}

/* Only what changes a file is a change, and the first one is told. */
static void test_change(void **state)
{
	struct scratch *s = scratch_create();
	struct disk *below = disk_create();
	struct storage *a;
	uint32_t inode;
	uint8_t byte = 1;
	size_t got;
	bool created;

	(void)state;
	put_files(below);
	a = scratch_begin(s, disk_storage(below));
	assert_int_equal(a->ops->open(a, "/a", false, &inode, &created), 0);
	assert_int_equal(a->ops->read(a, inode, 0, &byte, 1, &got), 0);
	assert_int_equal(a->ops->truncate(a, inode, 200), 0);
	assert_int_equal(a->ops->sync(a, inode, false), 0);
	assert_int_equal(a->ops->unlink(a, "/b"), -ENOENT);
	assert_int_equal(a->ops->open(a, "/c", false, &inode, &created), -ENOENT);
	assert_int_equal(a->ops->open(a, "/c", true, &inode, &created), 0);
	assert_true(created);
	assert_string_equal(scratch_change(s), "");
	assert_int_equal(a->ops->unlink(a, "/a"), 0);
	assert_int_equal(a->ops->write(a, inode, 3, &byte, 1), 0);
	assert_string_equal(scratch_change(s), "deletion of /a");
	assert_int_equal(a->ops->open(a, "/a", false, &inode, &created), -ENOENT);

	a = scratch_begin(s, disk_storage(below));
	assert_string_equal(scratch_change(s), "");
	assert_true(exists(a, "/a"));
	scratch_empty(s, "/a");
	scratch_empty(s, "/none");
	assert_false(exists(a, "/a"));
	assert_string_equal(scratch_change(s), "");
	assert_int_equal(a->ops->open(a, "/a", false, &inode, &created), 0);
	assert_int_equal(a->ops->write(a, inode, 3, &byte, 1), 0);
	assert_string_equal(scratch_change(s), "write to /a");
	assert_int_equal(a->ops->read(a, inode, 0, &byte, 1, &got), 0);
	assert_int_equal(got, 1);
	assert_int_equal(byte, 0);
	disk_free(below);
	scratch_free(s);
}

/* More files than there is room for are refused. */
static void test_limit(void **state)
{
	struct scratch *s = scratch_create();
	struct disk *below = disk_create();
	struct storage *a = scratch_begin(s, disk_storage(below));
	uint32_t inode;
	bool created;

	(void)state;
	for (int i = 0; i <= SCRATCH_FILES_MAX; i++) {
		char path[32];
		(void)snprintf(path, sizeof path, "/%d", i);
		assert_int_equal(a->ops->open(a, path, true, &inode, &created),
				 i < SCRATCH_FILES_MAX ? 0 : -EMFILE);
	}
	disk_free(below);
	scratch_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_like_a_disk),
	    cmocka_unit_test(test_change),
	    cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
