/*
 * Tests of scenario_collect(): which files the arguments of a command name, in which order, under
 * which relative names. Each test works in a folder of its own that is removed at its end.
 */
#include "harness/scenario/scenario.h"

#include "faultinject/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int home = -1; /* where the program was started */

static int enter(void **state)
{
	char path[] = "/tmp/scenario-paths-XXXXXX";

	home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (home < 0 || mkdtemp(path) == NULL || chdir(path) != 0)
		return -1;
	*state = xstrdup(path);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)st;
	(void)type;
	(void)walk;
	return remove(path);
}

static int leave(void **state)
{
	int rc = nftw(*state, remove_one, 16, FTW_DEPTH | FTW_PHYS);

	free(*state);
	rc |= fchdir(home);
	rc |= close(home);
	return rc;
}

static void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	(void)close(fd);
}

static void make_folder(const char *path)
{
	assert_int_equal(mkdir(path, 0700), 0);
}

/* `arguments` and `expected` are separated by blanks; expected holds PATH:RELATIVE, or is one error
 * message behind "!". */
static void expect_paths(const char *arguments, const char *expected)
{
	const char *argv[8];
	size_t argc = 0, count = 0;
	char *copy = xstrdup(arguments);
	struct scenario_path *paths = NULL;
	struct err err = ERR_INIT;
	struct buf found;

	buf_init(&found);
	for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " ")) {
		assert_true(argc < 8);
		argv[argc++] = word;
	}
	if (scenario_collect(argv, argc, &paths, &count, &err) != 0) {
		assert_null(paths);
		buf_printf(&found, "!%s", err.message);
	}
	for (size_t i = 0; i < count; i++)
		buf_printf(&found, "%s%s:%s", i == 0 ? "" : " ", paths[i].path, paths[i].relative);
	assert_string_equal(buf_str(&found), expected);
	scenario_paths_free(paths, count);
	buf_release(&found);
	free(copy);
}

/* A folder is walked in byte order of the relative names; other and hidden files are passed over.
 */
static void test_folder(void **state)
{
	(void)state;
	make_folder("s");
	make_folder("s/b");
	make_folder("s/.hidden");
	make_folder("s/dir.sql");
	make_file("s/c.sql");
	make_file("s/B.sql");
	make_file("s/b/z.sql");
	make_file("s/b/a.sql");
	make_file("s/b.sql");
	make_file("s/README.md");
	make_file("s/.sql");
	make_file("s/.#c.sql");
	make_file("s/.hidden/x.sql");
	make_file("s/dir.sql/in.sql");
	expect_paths("s", "s/B.sql:B.sql s/b.sql:b.sql s/b/a.sql:b/a.sql s/b/z.sql:b/z.sql "
			  "s/c.sql:c.sql s/dir.sql/in.sql:dir.sql/in.sql");
	expect_paths("s/b//", "s/b/a.sql:a.sql s/b/z.sql:z.sql");
	expect_paths("./s/b", "./s/b/a.sql:a.sql ./s/b/z.sql:z.sql");
}

/* A file is itself, whatever its name ends in; arguments keep their order. */
static void test_files(void **state)
{
	(void)state;
	make_folder("d");
	make_file("d/x.sql");
	make_file("plain");
	expect_paths("plain d/x.sql", "plain:plain d/x.sql:x.sql");
	expect_paths("d plain", "d/x.sql:x.sql plain:plain");
}

/* Two files that would share case ids are refused; the same file twice is one. */
static void test_doubles(void **state)
{
	(void)state;
	make_folder("a");
	make_folder("b");
	make_file("a/x.sql");
	make_file("b/x.sql");
	make_file("b/x");
	expect_paths("a a/x.sql ./a/", "a/x.sql:x.sql");
	expect_paths("b/x a", "!b/x and a/x.sql would have the same case ids; run them apart");
	expect_paths("a b", "!a/x.sql and b/x.sql would have the same case ids; run them apart");
}

/* Linked files count; a link to a folder above leads in no circle; a broken link is an error. */
static void test_links(void **state)
{
	(void)state;
	make_folder("l");
	make_file("target");
	assert_int_equal(symlink("../target", "l/t.sql"), 0);
	assert_int_equal(symlink("..", "l/up"), 0);
	assert_int_equal(mkfifo("l/pipe.sql", 0600), 0);
	expect_paths("l", "l/t.sql:t.sql");
	assert_int_equal(symlink("nowhere", "l/u.sql"), 0);
	expect_paths("l", "!l/u.sql: No such file or directory");
}

/* What names nothing is an error, and an output stays untouched. */
static void test_nothing(void **state)
{
	(void)state;
	make_folder("empty");
	make_file("empty/x.txt");
	expect_paths("empty", "!empty: no .sql file below this folder");
	expect_paths("gone", "!gone: No such file or directory");
	expect_paths("", "!no scenario file or folder is named");
	make_file("empty/bad\nname.sql");
	expect_paths("empty", "!the name of a scenario file is not printable UTF-8");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_folder, enter, leave),
	    cmocka_unit_test_setup_teardown(test_files, enter, leave),
	    cmocka_unit_test_setup_teardown(test_doubles, enter, leave),
	    cmocka_unit_test_setup_teardown(test_links, enter, leave),
	    cmocka_unit_test_setup_teardown(test_nothing, enter, leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
