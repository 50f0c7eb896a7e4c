/* The report folder: whole or not there, never over what is not ours; and files alike. */
#include "reports/report_dir.h"

#include "reports/file.h"
#include "reports/test/fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

/* Stands in for the C library's: a file system that knows no flags while `no_flags` is set, and a
 * plain rename that fails at the n-th call from here. */
static bool no_flags;
static int rename_countdown;

int renameat2(int old_dir, const char *old_path, int new_dir, const char *new_path,
	      unsigned int flags)
{
	if (no_flags) {
		errno = EINVAL;
		return -1;
	}
	return (int)syscall(SYS_renameat2, old_dir, old_path, new_dir, new_path, flags);
}

int rename(const char *old_path, const char *new_path)
{
	if (rename_countdown > 0 && --rename_countdown == 0) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_renameat2, AT_FDCWD, old_path, AT_FDCWD, new_path, 0);
}

/* Each test has an empty folder to itself, `base`, and stands in it. */
static char base[64];

static int enter(void **state)
{
	(void)state;
	strcpy(base, "/tmp/test_report_dir.XXXXXX");
	return mkdtemp(base) != NULL && chdir(base) == 0 ? 0 : -1;
}

static int leave(void **state)
{
	char command[128];

	(void)state;
	(void)snprintf(command, sizeof command, "rm -rf %s", base);
	return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

/* The names in a folder, sorted, each with a blank behind it. */
static const char *names(const char *dir)
{
	static char text[1024];
	struct dirent **entries;
	int n = scandir(dir, &entries, NULL, alphasort);

	assert_true(n >= 0);
	text[0] = '\0';
	for (int i = 0; i < n; i++) {
		if (entries[i]->d_name[0] != '.') {
			strcat(text, entries[i]->d_name);
			strcat(text, " ");
		}
		free(entries[i]);
	}
	free(entries);
	return text;
}

static void put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static const char *contents(const char *path)
{
	static char text[4096];
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	text[fread(text, 1, sizeof text - 1, f)] = '\0';
	(void)fclose(f);
	return text;
}

static unsigned mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

static int two_cases(void *ctx, const char *dir, struct err *err)
{
	char path[512];

	(void)err;
	for (int i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof path, "%s/pp1-%d.ppcase", dir, i);
		put_file(path, ctx == NULL ? "case" : ctx);
		assert_int_equal(chmod(path, 0666), 0);
	}
	return 0;
}

static int failing(void *ctx, const char *dir, struct err *err)
{
	(void)two_cases(ctx, dir, err);
	return err_set(err, ERR_HARNESS, "planted");
}

static int with_folder(void *ctx, const char *dir, struct err *err)
{
	char path[512];

	(void)ctx;
	(void)err;
	(void)snprintf(path, sizeof path, "%s/sub", dir);
	return mkdir(path, 0755);
}

static void write_ok(const struct result *r, const char *dir, report_dir_cases_fn *cases, void *ctx)
{
	struct err err = ERR_INIT;

	if (report_dir_write(r, dir, cases, ctx, &err) != 0)
		fail_msg("%s", err.message);
}

/* Refused with this code and line, before a run and after it; nothing is left, nothing changed. */
static void write_refused(const struct result *r, const char *dir, int code, const char *message)
{
	struct err err = ERR_INIT;
	char before[1024];

	strcpy(before, names("."));
	assert_int_equal(report_dir_check(dir, &err), code);
	assert_string_equal(err.message, message);
	err = (struct err)ERR_INIT;
	assert_int_equal(report_dir_write(r, dir, two_cases, NULL, &err), code);
	assert_string_equal(err.message, message);
	assert_string_equal(names("."), before);
}

/* Everything is there, readable by its owner only, and nothing else is. */
static void test_new_report(void **state)
{
	struct err err = ERR_INIT;
	struct result r;
	mode_t old = umask(0);

	(void)state;
	fixture(&r);
	assert_int_equal(report_dir_check("out/", &err), 0);
	assert_string_equal(names("."), "");
	write_ok(&r, "out/", two_cases, NULL);
	(void)umask(old);
	assert_string_equal(names("."), "out ");
	assert_string_equal(names("out"),
			    "annotations.txt cases index.html junit.xml result.json summary.md ");
	assert_string_equal(names("out/cases"), "pp1-0.ppcase pp1-1.ppcase ");
	assert_int_equal(mode_of("out"), 0700);
	assert_int_equal(mode_of("out/cases"), 0700);
	assert_int_equal(mode_of("out/cases/pp1-1.ppcase"), 0600);
	assert_int_equal(mode_of("out/result.json"), 0600);
	assert_int_equal(mode_of("out/junit.xml"), 0600);
	assert_int_equal(mode_of("out/summary.md"), 0600);
	assert_non_null(strstr(contents("out/result.json"), "{\n  \"cases\": ["));
	assert_non_null(strstr(contents("out/junit.xml"), "<testsuites"));
	assert_non_null(strstr(contents("out/summary.md"), "# plugpull run: error"));
	result_release(&r);
}

/* A report takes the place of a former one, whole: nothing of the old is left, beside or inside. */
static void test_replaced(void **state)
{
	struct result r;

	(void)state;
	fixture(&r);
	write_ok(&r, "out", two_cases, "first");
	result_release(&r);
	put_file("out/index.html", "of a report");
	result_init(&r, "kill", 2);
	write_ok(&r, "out", NULL, NULL);
	assert_string_equal(names("."), "out ");
	assert_string_equal(names("out"),
			    "annotations.txt cases index.html junit.xml result.json summary.md ");
	assert_string_equal(names("out/cases"), "");
	assert_non_null(strstr(contents("out/summary.md"), "# plugpull kill: inconclusive"));
	result_release(&r);
}

/* The same result gives the same bytes in every file. */
static void test_same_bytes(void **state)
{
	struct result r;

	(void)state;
	fixture(&r);
	write_ok(&r, "a", two_cases, NULL);
	write_ok(&r, "b", two_cases, NULL);
	assert_int_equal(system("diff -r a b"), 0);
	result_release(&r);
}

/* A folder that is no report, or is more than one, is not touched. */
static void test_not_ours(void **state)
{
	static const char no_report[] =
	    "report folder 'x' is not replaced: it exists and is no report of plugpull";
	struct result r;

	(void)state;
	fixture(&r);
	assert_int_equal(mkdir("x", 0755), 0);
	write_refused(&r, "x", ERR_INPUT, no_report);
	put_file("x/result.json", "{\"pytest\": 1}");
	write_refused(&r, "x", ERR_INPUT, no_report);
	put_file("x/result.json", "{\"plugpull\": \"0.1.0\", \"cases\": [");
	write_refused(&r, "x", ERR_INPUT, no_report);
	put_file("x/result.json", "{\"plugpull\": 1, \"cases\": []}");
	write_refused(&r, "x", ERR_INPUT, no_report);
	/* `--json x/result.json` in a project's folder must not make the project replaceable. */
	put_file("x/result.json", "{\"plugpull\": \"0.1.0\", \"cases\": []}");
	put_file("x/main\n.c", "precious");
	write_refused(&r, "x", ERR_INPUT,
		      "report folder 'x' is not replaced: no report has 'main .c'");
	assert_string_equal(contents("x/main\n.c"), "precious");
	assert_int_equal(unlink("x/main\n.c"), 0);
	assert_int_equal(mkdir("x/cases", 0755), 0);
	assert_int_equal(mkdir("x/cases/mine", 0755), 0);
	write_refused(&r, "x", ERR_INPUT,
		      "report folder 'x' is not replaced: no report has 'mine'");
	assert_int_equal(rmdir("x/cases/mine"), 0);
	assert_int_equal(symlink("/etc/passwd", "x/summary.md"), 0);
	write_refused(&r, "x", ERR_INPUT,
		      "report folder 'x' is not replaced: no report has 'summary.md'");
	assert_int_equal(unlink("x/summary.md"), 0);
	write_ok(&r, "x", NULL, NULL);
	assert_int_equal(symlink("x", "link"), 0);
	write_refused(&r, "link", ERR_INPUT,
		      "report folder 'link' is not replaced: it exists and is no folder");
	put_file("file", "precious");
	write_refused(&r, "file", ERR_INPUT,
		      "report folder 'file' is not replaced: it exists and is no folder");
	write_refused(&r, ".", ERR_INPUT,
		      "report folder '.' is not replaced: it has no name of its own; name a folder "
		      "inside it");
	write_refused(
	    &r, "x/..", ERR_INPUT,
	    "report folder 'x/..' is not replaced: it has no name of its own; name a folder "
	    "inside it");
	write_refused(
	    &r, "//", ERR_INPUT,
	    "report folder '//' is not replaced: it has no name of its own; name a folder "
	    "inside it");
	result_release(&r);
}

/* One line for a place that cannot be written. */
static void test_unwritable(void **state)
{
	struct result r;

	(void)state;
	fixture(&r);
	write_refused(&r, "none/out", ERR_IO,
		      "cannot write the report folder 'none/out': No such file or directory");
	write_refused(&r, "no\nne/out", ERR_IO,
		      "cannot write the report folder 'no ne/out': No such file or directory");
	put_file("file", "");
	write_refused(&r, "file/out", ERR_IO,
		      "cannot write the report folder 'file/out': Not a directory");
	if (geteuid() != 0) {
		assert_int_equal(mkdir("locked", 0500), 0);
		write_refused(&r, "locked/out", ERR_IO,
			      "cannot write the report folder 'locked/out': Permission denied");
	}
	result_release(&r);
}

/* Also where two folders cannot be exchanged; a rename that fails on the way is taken back. */
static void test_without_exchange(void **state)
{
	struct err err = ERR_INIT;
	struct result r;

	(void)state;
	fixture(&r);
	no_flags = true;
	write_ok(&r, "out", two_cases, "first");
	assert_string_equal(names("."), "out ");
	write_ok(&r, "out", two_cases, "second");
	assert_string_equal(names("."), "out ");
	assert_string_equal(contents("out/cases/pp1-1.ppcase"), "second");
	for (int n = 1; n <= 2; n++) {
		rename_countdown = n;
		assert_int_equal(report_dir_write(&r, "out", two_cases, "third", &err), ERR_IO);
		assert_string_equal(err.message,
				    "cannot write the report folder 'out': Input/output error");
		assert_string_equal(names("."), "out ");
		assert_string_equal(contents("out/cases/pp1-1.ppcase"), "second");
	}
	no_flags = false;
	rename_countdown = 0;
	result_release(&r);
}

/* A failure in the middle leaves nothing of the new report and all of the former one. */
static void test_failure_leaves_nothing(void **state)
{
	struct err err = ERR_INIT;
	struct result r;

	(void)state;
	fixture(&r);
	assert_int_equal(report_dir_write(&r, "out", failing, NULL, &err), ERR_HARNESS);
	assert_string_equal(err.message, "planted");
	assert_string_equal(names("."), "");
	write_ok(&r, "out", two_cases, "first");
	assert_int_equal(report_dir_write(&r, "out", failing, "second", &err), ERR_HARNESS);
	assert_string_equal(names("."), "out ");
	assert_string_equal(contents("out/cases/pp1-1.ppcase"), "first");
	assert_int_equal(report_dir_write(&r, "out", with_folder, NULL, &err), ERR_IO);
	assert_string_equal(names("."), "out ");
	r.seed = UINT64_MAX; /* cannot be said in JSON */
	assert_int_equal(report_dir_write(&r, "out", two_cases, "second", &err), ERR_LIMIT);
	assert_string_equal(names("."), "out ");
	assert_string_equal(contents("out/cases/pp1-1.ppcase"), "first");
	result_release(&r);
}

/* The same when the disk is full, at whichever byte: a file size limit stands in for it. */
static void test_full_disk(void **state)
{
	struct rlimit old, limit;
	struct result r;

	(void)state;
	fixture(&r);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	write_ok(&r, "out", two_cases, "first");
	for (rlim_t size = 0; size < 2000; size += 100) {
		struct err err = ERR_INIT;

		limit = old;
		limit.rlim_cur = size;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		int rc = report_dir_write(&r, "out", NULL, NULL, &err);
		int json_rc = file_write("x.json", contents("out/summary.md"), 4000, NULL);

		assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
		assert_int_equal(rc, ERR_IO);
		assert_int_equal(json_rc, ERR_IO);
		assert_non_null(strstr(err.message, "File too large"));
		assert_string_equal(names("."), "out ");
		assert_string_equal(contents("out/cases/pp1-1.ppcase"), "first");
	}
	result_release(&r);
}

/* --json FILE: a new file is 0600, one that exists keeps its mode, a link is followed, and what is
 * no regular file is written to and not replaced. */
static void test_file_write(void **state)
{
	struct err err = ERR_INIT;
	char got[16] = "";
	struct stat st;

	(void)state;
	assert_int_equal(file_write("a.json", "one", 3, &err), 0);
	assert_string_equal(contents("a.json"), "one");
	assert_int_equal(mode_of("a.json"), 0600);
	assert_int_equal(chmod("a.json", 0644), 0);
	assert_int_equal(symlink("a.json", "link"), 0);
	assert_int_equal(file_write("link", "three", 5, &err), 0);
	assert_string_equal(contents("a.json"), "three");
	assert_int_equal(mode_of("a.json"), 0644);
	assert_int_equal(lstat("link", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(mkfifo("fifo", 0600), 0);
	int fd = open("fifo", O_RDWR | O_NONBLOCK);

	assert_true(fd >= 0);
	assert_int_equal(file_write("fifo", "piped", 5, &err), 0);
	assert_int_equal(read(fd, got, sizeof got), 5);
	assert_string_equal(got, "piped");
	(void)close(fd);
	assert_int_equal(file_write("none/x", "", 0, &err), ERR_IO);
	assert_string_equal(err.message, "cannot write 'none/x': No such file or directory");
	assert_int_equal(file_write(".", "", 0, &err), ERR_IO);
	assert_string_equal(err.message, "cannot write '.': Is a directory");
	assert_string_equal(names("."), "a.json fifo link ");
}

static void test_file_create(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(file_create("a", "one", 3, &err), 0);
	assert_int_equal(file_create("a", "two", 3, &err), ERR_IO);
	assert_string_equal(err.message, "cannot create 'a': File exists");
	assert_string_equal(contents("a"), "one");
}

static void test_file_parent(void **state)
{
	static const char *const rows[][2] = {
	    {"a", "."},
	    {"a/b", "a"},
	    {"/a", "/"},
	    {"/a/b/c", "/a/b"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *parent = file_parent(rows[i][0]);

		assert_string_equal(parent, rows[i][1]);
		free(parent);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_new_report),  TEST(test_replaced),	 TEST(test_same_bytes),
	    TEST(test_not_ours),    TEST(test_unwritable),	 TEST(test_failure_leaves_nothing),
	    TEST(test_full_disk),   TEST(test_file_write),	 TEST(test_file_create),
	    TEST(test_file_parent), TEST(test_without_exchange),
	};

	return cmocka_run_group_tests_name("report_dir", tests, NULL, NULL);
}
