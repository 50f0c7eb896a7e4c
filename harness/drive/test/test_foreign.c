/*
 * The parts of `kill -- CMD` that need no program: files in memory, the user's databases kept safe,
 * standard input, early acknowledgements. The whole of it is in harness/real/kill_programs.py.
 */
#include "faultinject/base/buf.h"
#include "faultinject/base/fileio.h"
#include "harness/drive/foreign_internal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a folder for each test ---- */

static char folder[] = "/tmp/test_foreign_XXXXXX";
static char *back; /* where the tests were started */

static int enter(void **state)
{
	(void)state;
	(void)strcpy(folder + strlen(folder) - 6, "XXXXXX");
	back = getcwd(NULL, 0);
	return mkdtemp(folder) != NULL && chdir(folder) == 0 ? 0 : -1;
}

static int leave(void **state)
{
	char *command = xasprintf("rm -rf %s", folder);

	(void)state;
	int rc = chdir(back) == 0 && system(command) == 0 ? 0 : -1;

	free(back);
	free(command);
	return rc;
}

static char *in_folder(const char *name)
{
	return xasprintf("%s/%s", folder, name);
}

static void write_file(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	(void)close(fd);
}

static void assert_file(const char *name, const char *text)
{
	char found[256] = "";
	FILE *f = fopen(name, "re");

	if (text == NULL) {
		assert_null(f);
		return;
	}
	assert_non_null(f);
	found[fread(found, 1, sizeof found - 1, f)] = '\0';
	(void)fclose(f);
	assert_string_equal(found, text);
}

/* A trace in which "a.db" was there, with a second name and the content "old", and "b.db" and a
 * journal of it were made. */
static struct trace *make_trace(void)
{
	struct trace *t = trace_create((struct trace_device){4096, 0}, "test");
	char *a = in_folder("a.db"), *hard = in_folder("hard.db"), *b = in_folder("b.db"),
	     *journal = in_folder("b.db-mj1");
	uint32_t old = trace_new_inode(t);

	trace_add_base(t, old, trace_name(t, a), "old", 3);
	trace_add_base(t, old, trace_name(t, hard), NULL, 0);
	for (int i = 0; i < 2; i++) {
		struct op op = {.kind = OP_CREATE, .process = 1, .thread = 1};

		op.inode = trace_new_inode(t);
		op.name = trace_name(t, i == 0 ? b : journal);
		(void)trace_append(t, &op);
	}
	struct op sync = {.kind = OP_DIRSYNC_BEGIN, .name = trace_name(t, folder)};

	(void)trace_append(t, &sync);
	free(a);
	free(hard);
	free(b);
	free(journal);
	return t;
}

/* ---- files ---- */

/* Putting files back restores content and mode in place, makes what is missing, removes what was
 * not there, and leaves nobody's WAL index. */
static void test_put(void **state)
{
	struct foreign_files f = {0};
	struct trace *t = make_trace();
	struct err err = ERR_INIT;
	struct stat before, after;

	(void)state;
	write_file("a.db", "old");
	assert_int_equal(link("a.db", "hard.db"), 0);
	assert_int_equal(chmod("a.db", 0640), 0);
	write_file("a.db-wal", "log");
	assert_int_equal(stat("a.db", &before), 0);
	assert_int_equal(foreign_files_name(&f, t, &err), 0);
	assert_int_equal(foreign_files_read(&f, &err), 0);

	write_file("a.db", "something longer");
	assert_int_equal(chmod("a.db", 0600), 0);
	assert_int_equal(unlink("a.db-wal"), 0);
	write_file("a.db-shm", "index");
	write_file("b.db", "new");
	write_file("b.db-journal", "new");
	write_file("other", "not ours");
	assert_int_equal(foreign_files_put(&f, true, &err), 0);
	assert_file("a.db", "old");
	assert_file("hard.db", "old");
	assert_file("a.db-wal", "log");
	assert_file("a.db-shm", NULL);
	assert_file("b.db", NULL);
	assert_file("b.db-journal", NULL);
	assert_file("other", "not ours");
	assert_int_equal(stat("a.db", &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(before.st_mode, after.st_mode);
	assert_int_equal(after.st_nlink, 2);
	foreign_files_release(&f);
	trace_free(t);
}

/* A folder, or a link, in the place of a file is refused and not followed. */
static void test_put_elsewhere(void **state)
{
	struct foreign_files f = {0};
	struct foreign_file *file;
	struct err err = ERR_INIT;
	char *path = in_folder("a.db");

	(void)state;
	write_file("target", "precious");
	assert_int_equal(symlink("target", "a.db"), 0);
	assert_int_equal(foreign_files_add(&f, path, &file, &err), 0);
	file->exists = true;
	file->data = (uint8_t *)xstrdup("data");
	file->size = 4;
	assert_int_equal(foreign_files_put(&f, false, &err), ERR_IO);
	assert_file("target", "precious");
	assert_int_equal(unlink("a.db"), 0);
	assert_int_equal(mkdir("a.db", 0700), 0);
	assert_int_equal(foreign_files_put(&f, false, &err), ERR_IO);
	foreign_files_release(&f);
	free(path);
}

/* A process that has one of the files open is named, whatever name it opened. */
static void test_open_elsewhere(void **state)
{
	struct foreign_files f = {0};
	struct foreign_file *file;
	struct err err = ERR_INIT;
	char *path = in_folder("a.db");

	(void)state;
	write_file("a.db", "old");
	assert_int_equal(link("a.db", "hard.db"), 0);
	assert_int_equal(foreign_files_add(&f, path, &file, &err), 0);
	assert_null(foreign_files_open_elsewhere(&f));
	int fd = open("hard.db", O_RDONLY);
	char *who = foreign_files_open_elsewhere(&f), *me = xasprintf("process %d ", getpid());

	assert_non_null(who);
	assert_non_null(strstr(who, me));
	(void)close(fd);
	free(who);
	free(me);
	foreign_files_release(&f);
	free(path);
}

/* ---- originals ---- */

static void keep(struct foreign_keep *k)
{
	struct trace *t = make_trace();
	struct err err = ERR_INIT;

	assert_int_equal(foreign_keep_open(k, &err), 0);
	write_file("a.db", "changed");
	assert_int_equal(link("a.db", "hard.db"), 0);
	assert_int_equal(foreign_keep_add(k, t, &err), 0);
	trace_free(t);
}

/* What there was is put back, and nothing is left: not the folder, not what was made. */
static void test_keep(void **state)
{
	struct foreign_keep k = {0};
	struct err err = ERR_INIT;

	(void)state;
	keep(&k);
	write_file("b.db", "made");
	write_file("b.db-mj1", "made");
	assert_int_equal(foreign_keep_restore(&k, &err), 0);
	assert_file("a.db", "old");
	assert_file("b.db", NULL);
	write_file("a.db", "changed again");
	write_file("b.db-wal", "made");
	assert_int_equal(foreign_keep_close(&k, &err), 0);
	assert_file("a.db", "old");
	assert_file("b.db-wal", NULL);
	assert_int_equal(access(FOREIGN_KEEP_FOLDER, F_OK), -1);
}

/* Of a file that was known before, a later trace says nothing about how it was at first. */
static void test_keep_first(void **state)
{
	struct foreign_keep k = {0};
	struct err err = ERR_INIT;
	struct trace *t = trace_create((struct trace_device){4096, 0}, "test");
	char *a = in_folder("a.db"), *b = in_folder("b.db");

	(void)state;
	keep(&k);
	trace_add_base(t, trace_new_inode(t), trace_name(t, a), "later", 5);
	trace_add_base(t, trace_new_inode(t), trace_name(t, b), "later", 5);
	assert_int_equal(foreign_keep_add(&k, t, &err), 0);
	assert_int_equal(foreign_keep_close(&k, &err), 0);
	assert_file("a.db", "old");
	assert_file("b.db", NULL);
	trace_free(t);
	free(a);
	free(b);
}

/* A log that was there, beside a database that the run opened and no more, is not removed. */
static void test_keep_untouched(void **state)
{
	struct foreign_keep k = {0};
	struct err err = ERR_INIT;

	(void)state;
	write_file("a.db-wal", "log");
	keep(&k);
	write_file("a.db-wal", "changed");
	assert_int_equal(foreign_keep_close(&k, &err), 0);
	assert_file("a.db-wal", "log");
}

/* A second command does not begin where the first one works, or died; the script that the first one
 * left does what it could not do. */
static void test_keep_script(void **state)
{
	struct foreign_keep k = {0}, second = {0};
	struct err err = ERR_INIT;

	(void)state;
	keep(&k);
	write_file("b.db", "made");
	write_file("b.db-shm", "made");
	assert_int_equal(foreign_keep_open(&second, &err), ERR_INPUT);
	assert_non_null(strstr(err.message, "restore.sh"));
	assert_null(second.folder);
	assert_int_equal(close(k.lock), 0);
	assert_int_equal(system("sh " FOREIGN_KEEP_FOLDER "/restore.sh"), 0);
	assert_file("a.db", "old");
	assert_file("hard.db", "old");
	assert_file("b.db", NULL);
	assert_file("b.db-shm", NULL);
	assert_int_equal(access(FOREIGN_KEEP_FOLDER, F_OK), -1);
	foreign_files_release(&k.files);
	free(k.folder);
}

/* A folder that somebody works in is theirs, empty or not; one that is empty and nobody's holds
 * nothing and is taken over; of another one it is said what it holds, and that stays. */
static void test_keep_empty(void **state)
{
	struct foreign_keep k = {0}, second = {0};
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(mkdir(FOREIGN_KEEP_FOLDER, 0700), 0);
	assert_int_equal(foreign_keep_open(&k, &err), 0);
	assert_int_equal(foreign_keep_open(&second, &err), ERR_INPUT);
	assert_non_null(strstr(err.message, "another `plugpull kill` works here"));
	assert_int_equal(foreign_keep_close(&k, &err), 0);
	assert_int_equal(access(FOREIGN_KEEP_FOLDER, F_OK), -1);

	assert_int_equal(mkdir(FOREIGN_KEEP_FOLDER, 0700), 0);
	write_file(FOREIGN_KEEP_FOLDER "/1", "old");
	assert_int_equal(foreign_keep_open(&k, &err), ERR_INPUT);
	assert_non_null(strstr(err.message, "without a restore.sh"));
	assert_non_null(strstr(err.message, "It holds 1:"));
	assert_file(FOREIGN_KEEP_FOLDER "/1", "old");
	assert_null(k.folder);
}

/* Where a file cannot be put back, the copies stay, and the error says where they are. */
static void test_keep_stays(void **state)
{
	struct foreign_keep k = {0};
	struct err err = ERR_INIT;

	(void)state;
	keep(&k);
	assert_int_equal(unlink("a.db"), 0);
	assert_int_equal(mkdir("a.db", 0700), 0);
	assert_int_equal(foreign_keep_close(&k, &err), ERR_IO);
	assert_non_null(strstr(err.message, FOREIGN_KEEP_FOLDER "/restore.sh"));
	assert_file("hard.db", "old"); /* the others are back */
	assert_file(FOREIGN_KEEP_FOLDER "/1", "old");
}

/* ---- standard input ---- */

static void assert_input(const char *text)
{
	char found[64] = "";
	ssize_t n = read(STDIN_FILENO, found, sizeof found - 1);

	assert_true(n >= 0);
	assert_string_equal(found, text);
}

/* Each run reads the same: a file from where it stood, a pipe from its beginning. */
static void test_input(void **state)
{
	int saved = dup(STDIN_FILENO), fds[2];
	struct foreign_input in;
	struct err err = ERR_INIT;

	(void)state;
	write_file("script", "abcdef");
	int fd = open("script", O_RDONLY);

	assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
	assert_int_equal(lseek(STDIN_FILENO, 2, SEEK_SET), 2);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fd_write_all(fds[1], "piped", 5), 0);
	(void)close(fds[1]);
	for (int pass = 0; pass < 2; pass++) {
		assert_int_equal(foreign_input_open(&in, NULL, NULL, &err), 0);
		for (int i = 0; i < 2; i++) {
			foreign_input_rewind(&in);
			assert_input(pass == 0 ? "cdef" : "piped");
		}
		foreign_input_close(&in);
		assert_int_equal(dup2(fds[0], STDIN_FILENO), STDIN_FILENO);
	}
	(void)close(fds[0]);
	(void)close(fd);
	assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
	(void)close(saved);
}

/* ---- early acknowledgements ---- */

#define LOCK_A	   "process=1 thread=1 inode=1 offset=1073741825 size=1\n"
#define LOCK_B	   "process=1 thread=1 inode=2 offset=1073741825 size=1\n"
#define WAL_LOCK_A "process=1 thread=1 inode=1 offset=120 size=1 shm\n"
#define ACK	   " ack process=1 thread=1\n"
/* Eight bytes: into a journal, into the database; and the end of a journal. */
#define WRITE(INODE)                                                                               \
	" write process=1 thread=1 inode=" INODE " offset=0 size=8 data=0102030405060708\n"
#define ZERO(INODE)                                                                                \
	" write process=1 thread=1 inode=" INODE " offset=0 size=8 data=0000000000000000\n"

static struct foreign_early early(const char *ops, enum op_kind kind)
{
	char *text =
	    xasprintf("trace 1 sector=4096 characteristics=0x0 producer=\"test\"\n"
		      "base inode=1 name=\"/d/a\" size=0\nbase inode=2 name=\"/d/b\" size=0\n"
		      "base inode=3 name=\"/d/a-journal\" size=0\n"
		      "base inode=4 name=\"/d/b-journal\" size=0\n%s",
		      ops);
	char a[] = "/d/a", b[] = "/d/b";
	char *const paths[] = {a, b};
	struct trace *t = NULL;
	struct err err = ERR_INIT;

	if (trace_parse_text(text, strlen(text), &t, &err) != 0)
		fail_msg("%s", err.message);
	struct foreign_early found = foreign_early_find(t, paths, 2, kind);

	trace_free(t);
	free(text);
	return found;
}

static void assert_early(struct foreign_early e, uint64_t ack, uint64_t begin, bool doubtful)
{
	assert_int_equal(e.ack, ack);
	assert_int_equal(e.begin, begin);
	assert_int_equal(e.doubtful, doubtful);
}

/* An acknowledgement inside the thread's own write transaction, which the trace ends in, is early;
 * in a journal mode and in WAL. */
static void test_early(void **state)
{
	(void)state;
	assert_early(early("1 lock " LOCK_A "2" WRITE("3") "3" ACK "end operations=3\n", OP_ACK), 3,
		     2, false);
	assert_early(early("1 lock " WAL_LOCK_A "2 output process=1 thread=1 size=0\n"
			   "3 output process=1 thread=1 size=0\nend operations=3\n",
			   OP_OUTPUT),
		     2, 1, false);
	/* What was committed before it began excuses nothing. */
	assert_early(early("1 lock " LOCK_B "2" WRITE("4") "3" WRITE("2") "4" ZERO(
			       "4") "5 unlock " LOCK_B "6 lock " LOCK_A
				    "7" WRITE("3") "8" ACK "end operations=8\n",
			   OP_ACK),
		     8, 7, false);
}

/* In exclusive locking mode the lock stays, and a transaction begins when the log is written again:
 * an acknowledgement after the commit before it is in time; a later one is doubtful. */
static void test_early_exclusive(void **state)
{
	(void)state;
	assert_early(early("1 lock " LOCK_A "2" WRITE("3") "3" WRITE("1") "4" ZERO(
			       "3") "5" ACK "6" WRITE("3") "end operations=6\n",
			   OP_ACK),
		     0, 0, false);
	assert_early(early("1 lock " LOCK_A "2" WRITE("3") "3" WRITE("1") "4" ZERO(
			       "3") "5" ACK "6" WRITE("3") "7" ACK "end operations=7\n",
			   OP_ACK),
		     7, 6, true);
}

/* While a transaction on one file is open, others are committed on another, and acknowledged: in
 * time. One more for nothing that was committed since is doubtful. */
static void test_early_beside(void **state)
{
	static const char beside[] = "1 lock " LOCK_B "2" WRITE("4") "3 lock " LOCK_A "4" WRITE(
	    "3") "5" WRITE("1") "6" ZERO("3") "7 unlock " LOCK_A "8" ACK;
	char *once = xasprintf("%send operations=8\n", beside);
	char *twice = xasprintf("%s9" ACK "end operations=9\n", beside);

	(void)state;
	assert_early(early(once, OP_ACK), 0, 0, false);
	assert_early(early(twice, OP_ACK), 9, 2, true);
	free(once);
	free(twice);
}

/* What another thread of the process committed may be what an acknowledgement speaks of, but one
 * acknowledgement for it is enough; what another process committed is not. */
static void test_early_threads(void **state)
{
	static const char *const other[] = {"process=1 thread=2", "process=2 thread=2"};

	(void)state;
	for (int i = 0; i < 2; i++) {
		char *once = xasprintf(
		    "1 lock " LOCK_B
		    "2" WRITE("4") "3 lock %s inode=1 offset=1073741825 size=1\n"
				   "4 write %s inode=3 offset=0 size=8 data=0102030405060708\n"
				   "5 write %s inode=1 offset=0 size=8 data=0102030405060708\n"
				   "6 write %s inode=3 offset=0 size=8 data=0000000000000000\n"
				   "7 unlock %s inode=1 offset=1073741825 size=1\n"
				   "8 ack process=1 thread=1\nend operations=8\n",
		    other[i], other[i], other[i], other[i], other[i]);
		char *taken = xstrdup(once), *at = strstr(taken, "8 ack process=1 thread=1");

		assert_early(early(once, OP_ACK), i == 0 ? 0 : 8, i == 0 ? 0 : 2, false);
		at[strlen("8 ack process=1 thread=")] = '2';
		at = strstr(taken, "end");
		*at = '\0';
		char *again = xasprintf("%s9" ACK "end operations=9\n", taken);

		assert_early(early(again, OP_ACK), 9, 2, i == 0);
		free(again);
		free(taken);
		free(once);
	}
}

/* A lock with which nothing was written yet loses nothing for certain. */
static void test_early_doubtful(void **state)
{
	(void)state;
	assert_early(early("1 lock " LOCK_A "2" ACK "end operations=2\n", OP_ACK), 2, 1, true);
}

/* A close inside a transaction undoes it; after that the lock begins another one. */
static void test_early_again(void **state)
{
	(void)state;
	assert_early(early("1 lock " WAL_LOCK_A "2 unlock process=1 thread=1 inode=1 offset=0 "
			   "size=0 shm gone\n3" ACK "4 lock " WAL_LOCK_A "5" ACK
			   "end operations=5\n",
			   OP_ACK),
		     5, 4, true);
}

/* Not early: by another thread, after the lock, under a reader's lock, with a connection (that one
 * is exact), and where the transaction came to its end, by a close, too. */
static void test_not_early(void **state)
{
	static const char *const traces[] = {
	    "1 lock " LOCK_A
	    "2" WRITE("3") "3 ack process=1 thread=2\n4 ack process=2 thread=1\nend operations=4\n",
	    "1 lock " WAL_LOCK_A "2 unlock " WAL_LOCK_A "3" ACK "end operations=3\n",
	    "1 lock process=1 thread=1 inode=1 offset=1073741826 size=510 shared\n"
	    "2 ack process=1 thread=1\nend operations=2\n",
	    "1 lock " WAL_LOCK_A "2 ack process=1 thread=1 connection=1\nend operations=2\n",
	    "1 lock " WAL_LOCK_A "2" ACK "3 unlock " WAL_LOCK_A "end operations=3\n",
	    "1 lock " LOCK_A "2" WRITE("3") "3 unlock process=1 thread=1 inode=1 offset=1073741825 "
					    "size=1 gone\n4" ACK "end operations=4\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof traces / sizeof traces[0]; i++)
		assert_int_equal(early(traces[i], OP_ACK).ack, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_put, enter, leave),
	    cmocka_unit_test_setup_teardown(test_put_elsewhere, enter, leave),
	    cmocka_unit_test_setup_teardown(test_open_elsewhere, enter, leave),
	    cmocka_unit_test_setup_teardown(test_keep, enter, leave),
	    cmocka_unit_test_setup_teardown(test_keep_first, enter, leave),
	    cmocka_unit_test_setup_teardown(test_keep_untouched, enter, leave),
	    cmocka_unit_test_setup_teardown(test_keep_script, enter, leave),
	    cmocka_unit_test_setup_teardown(test_keep_empty, enter, leave),
	    cmocka_unit_test_setup_teardown(test_keep_stays, enter, leave),
	    cmocka_unit_test_setup_teardown(test_input, enter, leave),
	    cmocka_unit_test(test_early),
	    cmocka_unit_test(test_early_exclusive),
	    cmocka_unit_test(test_early_beside),
	    cmocka_unit_test(test_early_threads),
	    cmocka_unit_test(test_early_doubtful),
	    cmocka_unit_test(test_early_again),
	    cmocka_unit_test(test_not_early),
	};

	return cmocka_run_group_tests_name("foreign", tests, NULL, NULL);
}
