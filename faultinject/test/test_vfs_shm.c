/* The hash of the WAL index that a recovery made is a hash of every byte of it, although it reads
 * few of them. */
#include "faultinject/base/hash.h"
#include "faultinject/base/prng.h"
#include "faultinject/disk.h"
#include "faultinject/vfs.h"
#include "faultinject/vfs_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FRAME_SIZE = WAL_FRAME_HEADER_SIZE + 512, SAMPLES_MAX = 4000 };

/* Two files, as a crash could have left them. */
struct capture {
	uint8_t *data[2];
	uint64_t size[2];
};

struct sample {
	uint64_t hash, whole;
};

static struct sample samples[SAMPLES_MAX];
static size_t sample_count;

static void keep(void *ctx, const char *path, const uint8_t *data, uint64_t size)
{
	struct capture *c = ctx;
	size_t i = strcmp(path, "/d/a.db") == 0 ? 0 : 1;

	assert_true(i == 0 || strcmp(path, "/d/a.db-wal") == 0);
	c->data[i] = malloc(size + 1);
	assert_non_null(c->data[i]);
	memcpy(c->data[i], data, size);
	c->size[i] = size;
}

static void run(sqlite3 *db, const char *sql)
{
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* Every byte of shared memory, or the header alone where no frame counts: then SQLite has copied
 * unset memory behind it. */
static uint64_t whole_hash(void)
{
	uint64_t h = 0;

	for (size_t b = 0; b < VFS_NODE_BUCKETS; b++)
		for (const struct vfs_node *n = fi_machine.buckets[b]; n != NULL; n = n->next)
			for (size_t i = 0; i < n->region_count; i++) {
				uint32_t last;
				memcpy(&last, n->regions[0] + 16, sizeof last);
				h = hash64(n->regions[i], last == 0 ? 136 : VFS_SHM_REGION_SIZE,
					   h + 1);
			}
	return h;
}

/* Recovers from a capture whose WAL ends at `size`, with one byte of it changed, if that is not 0.
 */
static void sample(const struct capture *c, uint64_t size, uint64_t changed)
{
	struct disk *disk = disk_create();
	uint8_t *wal = malloc(size + 1);
	sqlite3 *db;

	assert_non_null(wal);
	memcpy(wal, c->data[1], size);
	if (changed != 0)
		wal[changed] ^= 0x55;
	disk_put(disk, "/d/a.db", c->data[0], c->size[0]);
	disk_put(disk, "/d/a.db-wal", wal, size);
	fi_vfs_boot(disk_storage(disk), 1, fi_vfs_default_device());
	assert_int_equal(sqlite3_open("/d/a.db", &db), SQLITE_OK);
	assert_int_equal(sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL),
			 SQLITE_OK);
	run(db, "PRAGMA schema_version");
	assert_true(sample_count < SAMPLES_MAX);
	samples[sample_count++] = (struct sample){fi_vfs_shm_hash(), whole_hash()};
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	disk_free(disk);
	free(wal);
}

/* WALs with committed and uncommitted frames, and some whose pages come in another order. */
static size_t make_captures(struct capture *captures)
{
	static const char *const steps[] = {
	    "INSERT INTO t VALUES (1, randomblob(900))",
	    "INSERT INTO u VALUES (1, randomblob(900))",
	    "INSERT INTO t VALUES (2, randomblob(2000)); DELETE FROM u",
	    "BEGIN; UPDATE t SET v = randomblob(3000); INSERT INTO u SELECT k, v FROM t",
	    "COMMIT; PRAGMA wal_checkpoint(PASSIVE)",
	    "INSERT INTO u VALUES (3, randomblob(100))",
	};
	struct disk *disk = disk_create();
	size_t count = 0;
	sqlite3 *db;

	fi_vfs_boot(disk_storage(disk), 1, fi_vfs_default_device());
	assert_int_equal(sqlite3_open("/d/a.db", &db), SQLITE_OK);
	/* Pages that do not fit into the cache are written before the transaction ends. */
	run(db, "PRAGMA page_size=512; PRAGMA journal_mode=wal; PRAGMA cache_size=2;"
		"CREATE TABLE t(k, v); CREATE TABLE u(k, v)");
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		run(db, steps[i]);
		disk_each(disk, keep, &captures[count++]);
	}
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	disk_free(disk);
	return count;
}

/* Two recoveries have the same hash exactly when their indexes are the same, byte for byte. */
static void test_the_hash_stands_for_every_byte(void **state)
{
	struct capture captures[8] = {0};
	size_t count = make_captures(captures), equal = 0, different = 0;
	struct prng r;

	(void)state;
	prng_init(&r, 1, "shm");
	for (size_t i = 0; i < count; i++) {
		for (uint64_t size = WAL_HEADER_SIZE; size <= captures[i].size[1];
		     size += FRAME_SIZE) {
			sample(&captures[i], size, 0);
			if (size > WAL_HEADER_SIZE)
				sample(&captures[i], size, 1 + prng_below(&r, size - 1));
		}
		free(captures[i].data[0]);
		free(captures[i].data[1]);
	}
	for (size_t i = 0; i < sample_count; i++)
		for (size_t k = 0; k < i; k++) {
			bool same = samples[i].whole == samples[k].whole;
			assert_int_equal(samples[i].hash == samples[k].hash, same);
			equal += same;
			different += !same;
		}
	assert_true(equal > 100);
	assert_true(different > 1000);
}

static int setup(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	return fi_vfs_register(&err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_hash_stands_for_every_byte),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
