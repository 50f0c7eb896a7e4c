/*
 * Case files on disk: saving and loading, by token and by path, and that a failure leaves nothing.
 * That the bytes hold every field is test_case_file's.
 */
#include "harness/case/case_file.h"

#include "harness/case/test/case_sample.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void expect_said(const char *message, const char *part)
{
	if (strstr(message, part) == NULL)
		fail_msg("'%s' does not say '%s'", message, part);
}

static void expect_same(const struct case_file *a, const struct case_file *b)
{
	struct buf x = {0}, y = {0};

	case_file_encode(a, &x);
	case_file_encode(b, &y);
	assert_int_equal(x.size, y.size);
	assert_memory_equal(x.data, y.data, x.size);
	buf_release(&x);
	buf_release(&y);
}

static void sample_token(char ret[CASE_TOKEN_SIZE])
{
	struct case_file *c = sample_case();

	case_file_token(c, ret);
	case_file_free(c);
}

struct folder {
	char top[64];	 /* removed at the end, with everything below */
	char cases[128]; /* below it; does not exist yet */
	char token[CASE_TOKEN_SIZE];
	char file[512]; /* of the sample's case */
};

static int folder_setup(void **state)
{
	struct folder *f = calloc(1, sizeof *f);
	char *c = strcpy(f->top, "/tmp/plugpull-case-XXXXXX");

	if (mkdtemp(c) == NULL)
		return -1;
	(void)snprintf(f->cases, sizeof f->cases, "%s/.plugpull/cases", f->top);
	sample_token(f->token);
	(void)snprintf(f->file, sizeof f->file, "%s/%s.ppcase", f->cases, f->token);
	*state = f;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int folder_teardown(void **state)
{
	struct folder *f = *state;
	int rc = nftw(f->top, remove_one, 8, FTW_DEPTH | FTW_PHYS);

	free(f);
	return rc;
}

static int save_sample(const struct folder *f, struct err *err)
{
	struct case_file *c = sample_case();
	int rc = case_file_save(c, f->cases, err);

	case_file_free(c);
	return rc;
}

static void expect_saved(const struct folder *f)
{
	struct err err = ERR_INIT;

	if (save_sample(f, &err) != 0)
		fail_msg("%s", err.message);
}

static void expect_loads(const struct folder *f, const char *token_or_path)
{
	struct case_file *c = NULL, *sample = sample_case();
	struct err err = ERR_INIT;

	if (case_file_load(token_or_path, f->cases, &c, &err) != 0)
		fail_msg("%s", err.message);
	expect_same(sample, c);
	case_file_free(c);
	case_file_free(sample);
}

static void expect_load_refused(const struct folder *f, const char *token_or_path, int code,
				const char *part)
{
	struct case_file *c = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(case_file_load(token_or_path, f->cases, &c, &err), code);
	assert_null(c);
	expect_said(err.message, part);
}

static size_t entries(const char *path)
{
	DIR *dir = opendir(path);
	size_t count = 0;

	if (dir == NULL)
		return 0;
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count - 2; /* "." and ".." */
}

static void write_file(const char *path, const void *data, size_t size)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_int_equal(fwrite(data, 1, size, out), size);
	assert_int_equal(fclose(out), 0);
}

static unsigned mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static ino_t inode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

/* A saved case is found by its token, by the name of its file and by its path; folders and file are
 * private, whatever the umask, and nothing else is left beside it. */
static void test_save_and_load(void **state)
{
	struct folder *f = *state;
	mode_t old = umask(0);
	char parent[128], name[600];

	expect_saved(f);
	umask(old);
	expect_loads(f, f->token);
	expect_loads(f, f->file);
	(void)snprintf(name, sizeof name, "%s.ppcase", f->token);
	expect_loads(f, name);
	(void)snprintf(name, sizeof name, "%s/%s", f->cases, f->token);
	expect_load_refused(f, name, ERR_INPUT, "no such file (there is '");
	assert_int_equal(mode_of(f->file), 0600);
	assert_int_equal(mode_of(f->cases), 0700);
	(void)snprintf(parent, sizeof parent, "%s/.plugpull", f->top);
	assert_int_equal(mode_of(parent), 0700);
	assert_int_equal(entries(f->cases), 1);
}

/* A relative folder, with slashes to spare, below the working folder. */
static void test_save_relative(void **state)
{
	struct folder *f = *state;
	struct case_file *c = sample_case(), *again = NULL;
	struct err err = ERR_INIT;
	int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(chdir(f->top), 0);
	int saved = case_file_save(c, ".plugpull//cases/", &err);
	int loaded = case_file_load(f->token, ".plugpull/cases", &again, &err);

	assert_int_equal(fchdir(here), 0);
	close(here);
	assert_int_equal(saved, 0);
	assert_int_equal(loaded, 0);
	expect_loads(f, f->token);
	case_file_free(c);
	case_file_free(again);
}

/* A case that is there stays as it is; one that is damaged is replaced. */
static void test_save_again(void **state)
{
	struct folder *f = *state;
	struct buf b = {0};
	struct case_file *c = sample_case();

	expect_saved(f);
	ino_t inode = inode_of(f->file);

	expect_saved(f);
	assert_true(inode_of(f->file) == inode);
	write_file(f->file, "pp-case\n", 8);
	expect_saved(f);
	expect_loads(f, f->token);
	/* Whole, but another case. */
	c->subject->seed = 5;
	case_file_encode(c, &b);
	write_file(f->file, b.data, b.size);
	expect_load_refused(f, f->token, ERR_INPUT, "holds another case");
	expect_saved(f);
	expect_loads(f, f->token);
	assert_int_equal(entries(f->cases), 1);
	case_file_free(c);
	buf_release(&b);
}

/* What cannot be loaded says why: no such token, neither token nor file, no case, damage. */
static void test_load_errors(void **state)
{
	struct folder *f = *state;
	char text[600], name[128];
	struct buf b = {0};
	struct case_file *c = sample_case();

	(void)snprintf(text, sizeof text, "no case %s below %s", f->token, f->cases);
	expect_load_refused(f, f->token, ERR_INPUT, text);

	static const char *const neither[] = {
	    "xyz",
	    "",
	    "pp1-",
	    "pp1-0123456789abcdef0123456789abcde",
	    "pp1-0123456789abcdef0123456789abcdef0",
	    "pp1-0123456789ABCDEF0123456789abcdef",
	    "pp1-0123456789abcdef0123456789abcdef/",
	    "nofile.ppcase",
	    "x/pp1-0123456789abcdef0123456789abcdef",
	    "pp1-../../../../../../../../../etc/aa",
	    "pp2-0123456789abcdef0123456789abcdef",
	    "/dev/null/x",
	};

	for (size_t i = 0; i < sizeof neither / sizeof neither[0]; i++) {
		(void)snprintf(text, sizeof text,
			       "'%s': no such file, and no token (pp1- and 32 digits", neither[i]);
		expect_load_refused(f, neither[i], ERR_INPUT, text);
	}
	expect_load_refused(f, "pp1-0123456789abcdef0123456789abcdef.ppcase", ERR_INPUT,
			    "no such file, and no case pp1-0123456789abcdef0123456789abcdef below");
	memset(text, 'x', 500);
	text[500] = '\0';
	expect_load_refused(f, text, ERR_INPUT, "'xxx");

	(void)snprintf(name, sizeof name, "%s/case", f->top);
	write_file(name, "", 0);
	(void)snprintf(text, sizeof text, "%s: not a case file", name);
	expect_load_refused(f, name, ERR_INPUT, text);
	case_file_encode(c, &b);
	write_file(name, b.data, b.size - 1);
	expect_load_refused(f, name, ERR_INPUT, "damaged");
	buf_put_u8(&b, 0);
	write_file(name, b.data, b.size);
	expect_load_refused(f, name, ERR_INPUT, "longer than it says");
	b.data[8] = 7;
	write_file(name, b.data, b.size);
	(void)snprintf(text, sizeof text, "%s: format 7 is newer than this program reads", name);
	expect_load_refused(f, name, ERR_INPUT, text);
	expect_load_refused(f, f->top, ERR_IO, "cannot read");
	/* Endless, and no case: refused from its first bytes. */
	expect_load_refused(f, "/dev/zero", ERR_INPUT, "not a case file");
	case_file_free(c);
	buf_release(&b);
}

/* Saving fails with a message that names the file, and leaves nothing that was not there. */
static void expect_save_fails(const struct folder *f, const char *part, size_t left)
{
	struct err err = ERR_INIT;

	assert_int_equal(save_sample(f, &err), ERR_IO);
	expect_said(err.message, part);
	expect_said(err.message, f->top);
	assert_int_equal(entries(f->top), left);
}

static void test_save_errors(void **state)
{
	struct folder *f = *state;
	char path[128];

	/* A disk without room, before anything exists. */
	struct rlimit old, small;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 100;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	struct err err = ERR_INIT;
	int rc = save_sample(f, &err);

	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(rc, ERR_IO);
	expect_said(err.message, "cannot write");
	expect_said(err.message, f->token);
	assert_int_equal(entries(f->top), 0);

	/* A file where a folder should be. */
	(void)snprintf(path, sizeof path, "%s/.plugpull", f->top);
	write_file(path, "", 0);
	expect_save_fails(f, "cannot create the folder", 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/nonexistent/folder", path), 0);
	expect_save_fails(f, "cannot create the folder", 1);
	assert_int_equal(unlink(path), 0);

	/* A folder where the file should be: what was there before stays. */
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(mkdir(f->cases, 0700), 0);
	assert_int_equal(mkdir(f->file, 0700), 0);
	expect_save_fails(f, "cannot rename", 1);
	assert_int_equal(entries(f->cases), 1);
	assert_int_equal(rmdir(f->file), 0);
	expect_saved(f);
}

/* A case that could not be read again is not written, and says so. */
static void test_save_limits(void **state)
{
	struct folder *f = *state;
	struct case_file *c = sample_case();
	struct err err = ERR_INIT;

	free(c->state.answers);
	c->state.answer_count = CASE_ANSWERS_MAX + 1;
	c->state.answers = calloc(c->state.answer_count, sizeof *c->state.answers);
	assert_int_equal(case_file_save(c, f->cases, &err), ERR_LIMIT);
	expect_said(err.message, "answers");
	assert_int_equal(case_file_save(c, f->cases, NULL), ERR_LIMIT);
	c->state.answer_count = 1;
	c->state.position = c->state.promise = SAMPLE_OPS + 1;
	assert_int_equal(case_file_save(c, f->cases, &err), ERR_LIMIT);
	assert_int_equal(entries(f->top), 0);
	case_file_free(c);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_FOLDER(test_save_and_load), IN_FOLDER(test_save_relative),
	    IN_FOLDER(test_save_again),	   IN_FOLDER(test_load_errors),
	    IN_FOLDER(test_save_errors),   IN_FOLDER(test_save_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
