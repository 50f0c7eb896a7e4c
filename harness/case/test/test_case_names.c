/* Tests of how files of a recorded case are named to people. */
#include "harness/case/case_names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void expect(const char *database, const char *text, const char *wanted)
{
	struct subject subject = {.database = (char *)(uintptr_t)database};
	struct buf b = {0};

	case_names_shorten(&subject, text, &b);
	assert_string_equal(buf_str(&b), wanted);
	buf_release(&b);
}

/* Files in the database's folder and below it lose that folder, wherever they stand in a text. */
static void test_shortened(void **state)
{
	(void)state;
	expect("/home/x/a.db", "is '/home/x/a.db-wal' there", "is 'a.db-wal' there");
	expect("/home/x/a.db", "/home/x/a.db and /home/x/sub/b.db", "a.db and sub/b.db");
}

/* Other names stay whole: of other folders, of folders that only end or begin like it, and where
 * the folder is the root. */
static void test_whole(void **state)
{
	(void)state;
	expect("/home/x/a.db", "'/home/y/a.db' '/home/xy/a.db'", "'/home/y/a.db' '/home/xy/a.db'");
	expect("/home/x/a.db", "'/mnt/home/x/a.db'", "'/mnt/home/x/a.db'");
	expect("/home/x/a.db", "the folder '/home/x'", "the folder '/home/x'");
	expect("/a.db", "'/a.db'", "'/a.db'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_shortened),
	    cmocka_unit_test(test_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
