/* The plans of clocks, and the shim's clock under them. */
#include "faultinject/clock.h"
#include "faultinject/disk.h"
#include "faultinject/vfs.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DAY_S = 86400 };

static struct disk *disk;

static int boot(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	disk = disk_create();
	if (fi_vfs_register(&err) != 0)
		return -1;
	fi_vfs_boot(disk_storage(disk), 1, fi_vfs_default_device());
	return 0;
}

static int halt(void **state)
{
	(void)state;
	fi_vfs_unregister();
	disk_free(disk);
	return 0;
}

/* Every plan is found by its name; before the first move every clock is right. */
static void test_plans(void **state)
{
	size_t count = 0;
	const struct fi_clock_plan *all = fi_clock_all(&count);

	(void)state;
	assert_int_equal(count, 4);
	for (size_t i = 0; i < count; i++) {
		assert_ptr_equal(fi_clock_find(all[i].name), &all[i]);
		assert_int_equal(fi_clock_offset_s(&all[i], 0), 0);
	}
	assert_null(fi_clock_find("sideways"));
	assert_null(fi_clock_find(NULL));
}

/* What each plan makes of the moves: back goes on for ever, ahead once, frozen never, steps in
 * turn. */
static void test_offsets(void **state)
{
	static const int64_t steps[] = {-DAY_S, 3653LL * DAY_S, 0, -3653LL * DAY_S, DAY_S};
	const struct fi_clock_plan *plan = fi_clock_find("steps");

	(void)state;
	for (uint64_t n = 1; n <= 20; n++) {
		assert_int_equal(fi_clock_offset_s(fi_clock_find("back"), n), -DAY_S * (int64_t)n);
		assert_int_equal(fi_clock_offset_s(fi_clock_find("ahead"), n), 3653LL * DAY_S);
		assert_int_equal(fi_clock_offset_s(fi_clock_find("frozen"), n), 0);
		assert_int_equal(fi_clock_offset_s(plan, n), steps[(n - 1) % 5]);
	}
	/* No number of moves takes it out of the years that can be written. */
	assert_true(fi_clock_offset_s(fi_clock_find("back"), UINT64_MAX) > -40LL * 365 * DAY_S);
}

static sqlite3_int64 sqlite_ms(void)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(FI_VFS_NAME);
	sqlite3_int64 ms = 0;

	assert_int_equal(vfs->xCurrentTimeInt64(vfs, &ms), SQLITE_OK);
	return ms;
}

/* SQLite and the harness are told the same time; a move shows at once; a clock that stands still
 * does so for the one who sleeps too; the next boot has a clock as it should be. */
static void test_shim(void **state)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(FI_VFS_NAME);
	sqlite3_int64 start = sqlite_ms();

	(void)state;
	assert_int_equal(sqlite_ms(), start + 1);
	assert_int_equal(fi_vfs_clock_us() / 1000 + INT64_C(210866760000000), start + 2);
	fi_vfs_clock_move(); /* without a plan that is nothing */
	assert_int_equal(sqlite_ms(), start + 3);

	fi_vfs_clock_plan(fi_clock_find("back"));
	assert_int_equal(sqlite_ms(), start + 4);
	fi_vfs_clock_move();
	assert_int_equal(sqlite_ms(), start + 5 - DAY_S * 1000);
	fi_vfs_clock_move();
	assert_int_equal(sqlite_ms(), start + 6 - 2 * DAY_S * 1000);

	fi_vfs_clock_plan(fi_clock_find("frozen"));
	start = sqlite_ms();
	assert_int_equal(vfs->xSleep(vfs, 5000000), 5000000);
	fi_vfs_clock_move();
	assert_int_equal(sqlite_ms(), start);

	fi_vfs_boot(disk_storage(disk), 1, fi_vfs_default_device());
	start = sqlite_ms();
	assert_int_equal(sqlite_ms(), start + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plans),
	    cmocka_unit_test(test_offsets),
	    cmocka_unit_test_setup_teardown(test_shim, boot, halt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
