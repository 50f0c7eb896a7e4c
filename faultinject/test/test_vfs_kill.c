/* The VFS that kills its own process: that it does so exactly where it was told, and changes
 * nothing otherwise. Whatever is killed is a forked child. */
#include "faultinject/vfs_kill.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#ifdef PLUGPULL_COVERAGE
extern void __gcov_dump(void);
#endif

enum { OPERATIONS_MAX = 1000 };

static char folder[] = "/tmp/test-vfs-kill-XXXXXX";
static char database[64], plain[64];

static void remove_files(void)
{
	static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};

	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		char path[96];

		snprintf(path, sizeof path, "%s%s", database, suffixes[i]);
		(void)unlink(path);
	}
	(void)unlink(plain);
}

static int make_folder(void **state)
{
	(void)state;
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(database, sizeof database, "%s/db", folder);
	snprintf(plain, sizeof plain, "%s/plain", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	remove_files();
	return rmdir(folder);
}

_Noreturn static void child_exit(int status)
{
#ifdef PLUGPULL_COVERAGE
	__gcov_dump();
#endif
	_exit(status);
}

/* Runs `work` in a child with the VFS armed. Returns the wait status. */
static int run_armed(int (*work)(void), struct fi_kill_plan plan)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct err err = ERR_INIT;

		if (fi_vfs_kill_register(&err) != 0)
			child_exit(99);
		fi_vfs_kill_arm(plan);
		child_exit(work());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int is_killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* ---- a file, call by call ---- */

/* Operations 1 to 7: open, write, write, truncate, sync, sync, close. */
static int write_plain(void)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(FI_VFS_KILL_NAME);
	sqlite3_file *f = calloc(1, (size_t)vfs->szOsFile);
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_DB;
	char byte;

	if (vfs->xOpen(vfs, plain, f, flags, NULL) != SQLITE_OK ||
	    f->pMethods->xWrite(f, "a", 1, 0) != SQLITE_OK ||
	    f->pMethods->xWrite(f, "b", 1, 1) != SQLITE_OK ||
	    f->pMethods->xRead(f, &byte, 1, 0) != SQLITE_OK ||
	    f->pMethods->xTruncate(f, 1) != SQLITE_OK ||
	    f->pMethods->xSync(f, SQLITE_SYNC_FULL) != SQLITE_OK ||
	    f->pMethods->xSync(f, SQLITE_SYNC_NORMAL) != SQLITE_OK)
		return 1;
	f->pMethods->xClose(f);
	free(f);
	struct fi_kill_counts counts = fi_vfs_kill_counts();

	return counts.operations == 7 && counts.syncs == 2 ? 0 : 2;
}

/* -1: there is no file. */
static int plain_size(void)
{
	struct stat st;

	return stat(plain, &st) == 0 ? (int)st.st_size : -1;
}

/* Before operation n nothing of it has happened, after it all of it has; a sync is killed inside;
 * reads do not count; a number that is never reached kills nobody. */
static void test_exactly_there(void **state)
{
	static const struct {
		struct fi_kill_plan plan;
		int killed, size;
	} rows[] = {
	    {{FI_KILL_NEVER, 0, false}, 0, 1},	 {{FI_KILL_BEFORE, 1, false}, 1, -1},
	    {{FI_KILL_AFTER, 1, false}, 1, 0},	 {{FI_KILL_BEFORE, 2, false}, 1, 0},
	    {{FI_KILL_AFTER, 2, false}, 1, 1},	 {{FI_KILL_BEFORE, 3, false}, 1, 1},
	    {{FI_KILL_AFTER, 3, false}, 1, 2},	 {{FI_KILL_BEFORE, 4, false}, 1, 2},
	    {{FI_KILL_AFTER, 4, false}, 1, 1},	 {{FI_KILL_IN_SYNC, 1, false}, 1, 1},
	    {{FI_KILL_IN_SYNC, 2, false}, 1, 1}, {{FI_KILL_IN_SYNC, 3, false}, 0, 1},
	    {{FI_KILL_BEFORE, 7, false}, 1, 1},	 {{FI_KILL_AFTER, 7, false}, 1, 1},
	    {{FI_KILL_BEFORE, 8, false}, 0, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		remove_files();
		int status = run_armed(write_plain, rows[i].plan);

		if (is_killed(status) != rows[i].killed || plain_size() != rows[i].size)
			fail_msg("row %zu: status 0x%x, size %d", i, status, plain_size());
		if (!rows[i].killed)
			assert_int_equal(status, 0);
	}
}

/* ---- SQLite through it ---- */

static const char *journal_mode;

static int commit_rows(void)
{
	sqlite3 *db;
	char pragma[64];
	int rc = sqlite3_open(database, &db);

	snprintf(pragma, sizeof pragma, "PRAGMA journal_mode=%s", journal_mode);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, pragma, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db,
				  "CREATE TABLE IF NOT EXISTS t(x);"
				  "BEGIN; INSERT INTO t VALUES(1); INSERT INTO t VALUES(2); COMMIT",
				  NULL, NULL, NULL);
	(void)sqlite3_close(db);
	return rc == SQLITE_OK ? 0 : 1;
}

static int first_int(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt = NULL;
	int value = -1;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW)
		value = sqlite3_column_int(stmt, 0);
	(void)sqlite3_finalize(stmt);
	return value;
}

/* Killed at operation 1, 2, ... until there are no more, in two journal modes: what is found has
 * both rows or none, and later kills find both. */
static void test_every_operation(void **state)
{
	static const char *const modes[] = {"delete", "wal"};
	static const enum fi_kill_moment moments[] = {FI_KILL_BEFORE, FI_KILL_AFTER};

	(void)state;
	for (size_t m = 0; m < 4; m++) {
		int none = 0, both = 0, status;
		uint64_t n = 0;

		journal_mode = modes[m / 2];
		do {
			sqlite3 *db;

			remove_files();
			status = run_armed(commit_rows,
					   (struct fi_kill_plan){moments[m % 2], ++n, false});
			assert_true(is_killed(status) || status == 0);
			assert_int_equal(sqlite3_open_v2(database, &db,
							 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
							 "unix"),
					 SQLITE_OK);
			assert_int_equal(first_int(db, "SELECT integrity_check = 'ok' FROM "
						       "pragma_integrity_check"),
					 1);
			int count = first_int(db, "SELECT count(*) FROM t");

			none += count <= 0; /* -1: not even the table */
			both += count == 2;
			assert_true(count <= 0 || count == 2);
			sqlite3_close(db);
			assert_true(n < OPERATIONS_MAX);
		} while (status != 0);
		assert_true(none > 5);
		assert_true(both > 1);
	}
}

/* Registered twice, and armed again, it counts from 0; it is the default VFS and has the methods of
 * the real file. */
static void test_register_and_arm(void **state)
{
	struct err err = ERR_INIT;
	sqlite3_vfs *before = sqlite3_vfs_find(NULL);
	sqlite3 *db;
	sqlite3_file *f = NULL;

	(void)state;
	remove_files();
	assert_int_equal(fi_vfs_kill_register(&err), 0);
	assert_int_equal(fi_vfs_kill_register(&err), 0);
	assert_string_equal(sqlite3_vfs_find(NULL)->zName, FI_VFS_KILL_NAME);
	fi_vfs_kill_arm((struct fi_kill_plan){FI_KILL_NEVER, 0, false});
	assert_int_equal(sqlite3_open(database, &db), SQLITE_OK);
	assert_int_equal(sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &f),
			 SQLITE_OK);
	assert_int_equal(f->pMethods->iVersion, 3);
	assert_int_equal(
	    sqlite3_exec(db, "PRAGMA mmap_size=1000000; CREATE TABLE t(x)", NULL, NULL, NULL),
	    SQLITE_OK);
	assert_true(fi_vfs_kill_counts().operations > 5);
	assert_true(fi_vfs_kill_counts().syncs > 0);
	fi_vfs_kill_arm((struct fi_kill_plan){FI_KILL_NEVER, 0, false});
	assert_int_equal(fi_vfs_kill_counts().operations, 0);
	assert_int_equal(fi_vfs_kill_counts().syncs, 0);
	/* A folder is no file: SQLite hears of it as it would from the real VFS. */
	sqlite3 *none = NULL;

	assert_int_equal(sqlite3_open(folder, &none), SQLITE_CANTOPEN);
	(void)sqlite3_close(none);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_int_equal(sqlite3_vfs_register(before, 1), SQLITE_OK);
}

/* What no file is needed for is the real VFS's too. */
static void test_pass_through(void **state)
{
	struct err err = ERR_INIT;
	sqlite3_vfs *real = sqlite3_vfs_find("unix"), *vfs, *before = sqlite3_vfs_find(NULL);
	char name[512], bytes[8], message[64] = "";
	double days = 0;
	sqlite3_int64 ms = 0;
	int there = 1;

	(void)state;
	assert_int_equal(fi_vfs_kill_register(&err), 0);
	vfs = sqlite3_vfs_find(FI_VFS_KILL_NAME);
	assert_int_equal(vfs->mxPathname, real->mxPathname);
	assert_int_equal(vfs->xFullPathname(vfs, "/tmp/../tmp/x", sizeof name, name), SQLITE_OK);
	assert_int_equal(vfs->xAccess(vfs, "/nonexistent", SQLITE_ACCESS_EXISTS, &there),
			 SQLITE_OK);
	assert_int_equal(there, 0);
	assert_int_equal(vfs->xDelete(vfs, "/nonexistent", 0), SQLITE_IOERR_DELETE_NOENT);
	assert_int_equal(vfs->xRandomness(vfs, sizeof bytes, bytes), sizeof bytes);
	assert_true(vfs->xSleep(vfs, 1) >= 1);
	assert_int_equal(vfs->xCurrentTime(vfs, &days), SQLITE_OK);
	assert_int_equal(vfs->xCurrentTimeInt64(vfs, &ms), SQLITE_OK);
	assert_true(days > 2450000 && ms > 0);
	(void)vfs->xGetLastError(vfs, sizeof message, message);
	assert_null(vfs->xDlOpen(vfs, "/nonexistent.so"));
	vfs->xDlError(vfs, sizeof message, message);
	assert_true(message[0] != '\0');
	void *self = vfs->xDlOpen(vfs, NULL);

	assert_non_null(self);
	assert_non_null(vfs->xDlSym(vfs, self, "malloc"));
	vfs->xDlClose(vfs, self);
	assert_ptr_equal(vfs->xGetSystemCall(vfs, "open"), real->xGetSystemCall(real, "open"));
	assert_string_equal(vfs->xNextSystemCall(vfs, NULL), real->xNextSystemCall(real, NULL));
	assert_int_equal(vfs->xSetSystemCall(vfs, "nonexistent", NULL), SQLITE_NOTFOUND);
	assert_int_equal(sqlite3_vfs_register(before, 1), SQLITE_OK);
}

/* Operations of several threads each have a number: none is lost, so that a plan is carried out. */
enum { THREADS = 4, WRITES = 20000 };

static void *write_much(void *path)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(FI_VFS_KILL_NAME);
	sqlite3_file *f = calloc(1, (size_t)vfs->szOsFile);
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_DB;
	int rc = vfs->xOpen(vfs, path, f, flags, NULL);

	for (int i = 0; i < WRITES && rc == SQLITE_OK; i++)
		rc = f->pMethods->xWrite(f, "x", 1, 0);
	if (f->pMethods != NULL)
		(void)f->pMethods->xClose(f);
	free(f);
	return rc == SQLITE_OK ? path : NULL;
}

static void test_threads(void **state)
{
	struct err err = ERR_INIT;
	pthread_t threads[THREADS];
	char paths[THREADS][96] = {{0}};

	(void)state;
	assert_int_equal(fi_vfs_kill_register(&err), 0);
	fi_vfs_kill_arm((struct fi_kill_plan){.moment = FI_KILL_NEVER});
	for (int i = 0; i < THREADS; i++) {
		snprintf(paths[i], sizeof paths[i], "%s/thread-%d", folder, i);
		assert_int_equal(pthread_create(&threads[i], NULL, write_much, paths[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		void *done;
		assert_int_equal(pthread_join(threads[i], &done), 0);
		assert_non_null(done);
		(void)unlink(paths[i]);
	}
	assert_int_equal(fi_vfs_kill_counts().operations, THREADS * (WRITES + 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_exactly_there),    cmocka_unit_test(test_every_operation),
	    cmocka_unit_test(test_register_and_arm), cmocka_unit_test(test_pass_through),
	    cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
