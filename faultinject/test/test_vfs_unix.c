/*
 * The shim against the real unix VFS: the same SQL with the same random numbers must make the same
 * system calls, in the same order: creations, writes (content included), truncations, syncs,
 * directory syncs, unlinks and locks. That is what "behaves as os_unix" means in vfs.h.
 *
 * The real calls are seen through xSetSystemCall(), and fdatasync() and fsync() by interposition:
 * os_unix does not let those be replaced.
 *
 * Not compared: fdatasync against fsync (os_unix ignores SQLITE_SYNC_DATAONLY and uses whichever
 * it was built with), reads, temporary files (they draw random numbers for their names), and
 * SQLITE_FCNTL_SIZE_HINT with a chunk size (os_unix does it by fallocate or by writes, depending
 * on its build).
 */
#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"
#include "faultinject/disk.h"
#include "faultinject/vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

enum { FD_MAX = 256 };

static struct buf *log_buf; /* of the real run; NULL while nothing is recorded */
static char fd_names[FD_MAX][32];

static const char *base_name(const char *path)
{
	return strrchr(path, '/') + 1;
}

static int is_shm_name(const char *name)
{
	size_t n = strlen(name);

	return n > 4 && strcmp(name + n - 4, "-shm") == 0;
}

static void log_write(struct buf *b, const char *name, uint64_t offset, const void *data,
		      size_t size)
{
	buf_printf(b, "write %s %llu+%zu %016llx\n", name, (unsigned long long)offset, size,
		   (unsigned long long)hash64(data, size, 0));
}

static void log_range(struct buf *b, const char *word, const char *name, long long start,
		      long long size)
{
	buf_printf(b, "%s %s %lld+%lld\n", word, name, start, size);
}

/* Names and ranges of the WAL index are those of its database. */
static int is_logged(int fd)
{
	return log_buf != NULL && fd < FD_MAX && fd_names[fd][0] != '\0' &&
	       !is_shm_name(fd_names[fd]);
}

static int real_open(const char *path, int flags, int mode)
{
	int is_new = (flags & O_CREAT) != 0 && access(path, F_OK) != 0;
	int fd = open(path, flags, mode);
	struct stat st;

	if (fd < 0 || fd >= FD_MAX)
		return fd;
	fd_names[fd][0] = '\0';
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		snprintf(fd_names[fd], sizeof fd_names[fd], "%s", base_name(path));
	if (is_new && is_logged(fd))
		buf_printf(log_buf, "create %s\n", fd_names[fd]);
	return fd;
}

static ssize_t real_pwrite(int fd, const void *data, size_t size, off_t offset)
{
	if (is_logged(fd))
		log_write(log_buf, fd_names[fd], (uint64_t)offset, data, size);
	return pwrite(fd, data, size, offset);
}

static ssize_t real_write(int fd, const void *data, size_t size)
{
	if (is_logged(fd))
		log_write(log_buf, fd_names[fd], (uint64_t)lseek(fd, 0, SEEK_CUR), data, size);
	return write(fd, data, size);
}

static int real_ftruncate(int fd, off_t size)
{
	struct stat st;

	if (is_logged(fd) && fstat(fd, &st) == 0 && st.st_size != size)
		buf_printf(log_buf, "truncate %s %lld\n", fd_names[fd], (long long)size);
	return ftruncate(fd, size);
}

static int real_unlink(const char *path)
{
	int rc = unlink(path);

	if (rc == 0 && log_buf != NULL && !is_shm_name(path))
		buf_printf(log_buf, "unlink %s\n", base_name(path));
	return rc;
}

static int real_fcntl(int fd, int cmd, ...)
{
	const struct flock *l;
	va_list ap;
	int rc;

	va_start(ap, cmd);
	l = va_arg(ap, const struct flock *);
	va_end(ap);
	rc = fcntl(fd, cmd, l);
	if (cmd != F_SETLK || rc != 0 || log_buf == NULL || fd >= FD_MAX)
		return rc;
	/* The dead-man switch, and PENDING while SHARED is being taken: see vfs_lock.c. */
	if (l->l_start == 128 ||
	    (l->l_start == (off_t)OP_PENDING_BYTE && l->l_len == 1 && l->l_type != F_WRLCK))
		return rc;
	char name[32];

	snprintf(name, sizeof name, "%s", fd_names[fd]);
	if (is_shm_name(name))
		name[strlen(name) - 4] = '\0';
	log_range(log_buf,
		  l->l_type == F_RDLCK	 ? "lock-shared"
		  : l->l_type == F_WRLCK ? "lock"
					 : "unlock",
		  name, l->l_start, l->l_len);
	return rc;
}

static int log_sync(int fd, long number)
{
	struct stat st;

	if (log_buf != NULL && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		buf_printf(log_buf, "dirsync\n");
	else if (is_logged(fd))
		buf_printf(log_buf, "sync %s\n", fd_names[fd]);
	return (int)syscall(number, fd);
}

int fdatasync(int fd)
{
	return log_sync(fd, SYS_fdatasync);
}

int fsync(int fd)
{
	return log_sync(fd, SYS_fsync);
}

static const struct {
	const char *name;
	sqlite3_syscall_ptr call;
} calls[] = {
    {"open", (sqlite3_syscall_ptr)real_open},
    {"write", (sqlite3_syscall_ptr)real_write},
    {"pwrite", (sqlite3_syscall_ptr)real_pwrite},
    {"pwrite64", (sqlite3_syscall_ptr)real_pwrite},
    {"ftruncate", (sqlite3_syscall_ptr)real_ftruncate},
    {"unlink", (sqlite3_syscall_ptr)real_unlink},
    {"fcntl", (sqlite3_syscall_ptr)real_fcntl},
};

static void watch_real_calls(int on)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find("unix");

	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
		assert_int_equal(vfs->xSetSystemCall(vfs, calls[i].name, on ? calls[i].call : NULL),
				 SQLITE_OK);
}

/* The trace in the same words. */
static void log_trace(const struct trace *t, struct buf *b)
{
	const char **names = calloc(t->inode_count + 1, sizeof *names);

	for (uint64_t p = 1; p <= t->op_count; p++) {
		const struct op *op = trace_at(t, p);
		const char *name = names[op->inode];

		if (op->kind == OP_CREATE) {
			names[op->inode] = base_name(t->names[op->name]);
			buf_printf(b, "create %s\n", names[op->inode]);
		} else if (op->kind == OP_WRITE) {
			log_write(b, name, op->offset, op->data, op->size);
		} else if (op->kind == OP_TRUNCATE) {
			buf_printf(b, "truncate %s %llu\n", name, (unsigned long long)op->size);
		} else if (op->kind == OP_SYNC_BEGIN) {
			buf_printf(b, "sync %s\n", name);
		} else if (op->kind == OP_DIRSYNC_BEGIN) {
			buf_printf(b, "dirsync\n");
		} else if (op->kind == OP_UNLINK) {
			buf_printf(b, "unlink %s\n", base_name(t->names[op->name]));
		} else if (op->kind == OP_LOCK || op->kind == OP_UNLOCK) {
			log_range(b,
				  op->kind == OP_UNLOCK		      ? "unlock"
				  : (op->flags & OP_LOCK_SHARED) != 0 ? "lock-shared"
								      : "lock",
				  name, (long long)op->offset, (long long)op->size);
		}
	}
	free(names);
}

/* Runs each line on one of two connections: after a line "--2" on the second, until "--1". "$DIR"
 * stands for the directory. A line may fail: `codes` gets the result of each. */
static void run_script(const char *vfs, const char *dir, const char *script, struct buf *codes)
{
	sqlite3 *db[2];
	char path[128];
	int which = 0;
	char *copy = xstrdup(script), *rest = copy, *line;

	snprintf(path, sizeof path, "%s/a.db", dir);
	for (int i = 0; i < 2; i++)
		assert_int_equal(
		    sqlite3_open_v2(path, &db[i], SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs),
		    SQLITE_OK);
	while ((line = strsep(&rest, "\n")) != NULL) {
		char *sql, *marker;

		if (strncmp(line, "--", 2) == 0) {
			which = line[2] - '1';
			continue;
		}
		marker = strstr(line, "$DIR");
		sql = marker == NULL ? xstrdup(line)
				     : xasprintf("%.*s%s%s", (int)(marker - line), line, dir,
						 marker + strlen("$DIR"));
		buf_printf(codes, "%d ", sqlite3_exec(db[which], sql, NULL, NULL, NULL));
		free(sql);
	}
	for (int i = 0; i < 2; i++)
		buf_printf(codes, "%d ", sqlite3_close(db[i]));
	free(copy);
}

static void remove_files(const char *dir)
{
	static const char *const names[] = {"a.db",	    "b.db",	    "c.db",
					    "a.db-journal", "b.db-journal", "c.db-journal",
					    "a.db-wal",	    "a.db-shm"};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char path[128];

		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		unlink(path);
	}
}

/* Points at the first line where the logs part. */
static void assert_same_log(const char *script, struct buf *real, struct buf *shim)
{
	const char *a = buf_str(real), *b = buf_str(shim);
	size_t same = 0, line = 0;

	if (strcmp(a, b) == 0)
		return;
	while (a[same] == b[same]) {
		same++;
		if (a[same - 1] == '\n')
			line = same;
	}
	print_error("after: %.300s\nunix: %.120s\nshim: %.120s\n", script, a + line, b + line);
	fail();
}

/* Returns how many calls were compared. */
static size_t compare(const char *script)
{
	char dir[] = "/tmp/plugpull-unix-XXXXXX";
	struct buf real = {0}, shim = {0}, real_codes = {0}, shim_codes = {0};
	struct disk *d = disk_create();
	struct trace *t = trace_create(fi_vfs_default_device(), "test");
	size_t count = 0;

	assert_non_null(mkdtemp(dir));
	/* The shim is the default VFS in both runs, so both draw the same random numbers. */
	fi_vfs_boot(disk_storage(d), 7, fi_vfs_default_device());
	log_buf = &real;
	watch_real_calls(1);
	run_script("unix", dir, script, &real_codes);
	watch_real_calls(0);
	log_buf = NULL;
	remove_files(dir);
	assert_int_equal(rmdir(dir), 0); /* nothing else was left behind */

	fi_vfs_boot(disk_storage(d), 7, fi_vfs_default_device());
	disk_record(d, t);
	run_script(FI_VFS_NAME, dir, script, &shim_codes);
	log_trace(t, &shim);
	assert_same_log(script, &real, &shim);
	assert_string_equal(buf_str(&real_codes), buf_str(&shim_codes));
	for (const char *p = buf_str(&shim); *p != '\0'; p++)
		count += *p == '\n';

	buf_release(&real);
	buf_release(&shim);
	buf_release(&real_codes);
	buf_release(&shim_codes);
	trace_free(t);
	disk_free(d);
	return count;
}

static const char *const modes[] = {"delete", "truncate", "persist", "memory", "off", "wal"};
static const char *const levels[] = {"off", "normal", "full", "extra"};

/* Every journal mode and synchronous level: small and spilling transactions, ROLLBACK, two
 * connections in each other's way, checkpoints, VACUUM. */
static void test_journal_modes(void **state)
{
	(void)state;
	for (size_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
		for (size_t l = 0; l < sizeof levels / sizeof levels[0]; l++) {
			char *script = xasprintf(
			    "PRAGMA journal_mode=%s\n"
			    "PRAGMA synchronous=%s\n"
			    "PRAGMA cache_size=5\n"
			    "PRAGMA temp_store=memory\n"
			    "CREATE TABLE t(k INTEGER PRIMARY KEY, v)\n"
			    "INSERT INTO t VALUES(1, 'one'), (2, 'two')\n"
			    "--2\n"
			    "SELECT * FROM t\n"
			    "--1\n"
			    "BEGIN; INSERT INTO t VALUES(3, randomblob(9000)); SELECT * FROM t\n"
			    "ROLLBACK\n"
			    "BEGIN; WITH RECURSIVE n(i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n"
			    " WHERE i < 60) INSERT INTO t SELECT i, randomblob(900) FROM n\n"
			    "--2\n"
			    "SELECT count(*) FROM t\n"
			    "INSERT INTO t VALUES(1000, 'busy')\n"
			    "--1\n"
			    "COMMIT\n"
			    "BEGIN; UPDATE t SET v = randomblob(800); ROLLBACK\n"
			    "UPDATE t SET v = randomblob(700) WHERE k %% 3 = 0\n"
			    "--2\n"
			    "BEGIN; SELECT * FROM t LIMIT 1\n"
			    "--1\n"
			    "INSERT INTO t VALUES(2000, 'pending or not')\n"
			    "PRAGMA wal_checkpoint(TRUNCATE)\n"
			    "--2\n"
			    "COMMIT\n"
			    "--1\n"
			    "DELETE FROM t WHERE k > 20\n"
			    "PRAGMA wal_checkpoint(RESTART)\n"
			    "PRAGMA synchronous=full; VACUUM\n"
			    "PRAGMA user_version=9\n"
			    "PRAGMA journal_mode=delete\n"
			    "DROP TABLE t\n",
			    modes[m], levels[l]);

			assert_true(compare(script) > 50);
			free(script);
		}
	}
}

/* A transaction over three files, with its super-journal. */
static void test_super_journal(void **state)
{
	(void)state;
	for (size_t m = 0; m < 3; m++) {
		for (size_t l = 1; l < sizeof levels / sizeof levels[0]; l++) {
			char *script = xasprintf("ATTACH '$DIR/b.db' AS b\n"
						 "ATTACH '$DIR/c.db' AS c\n"
						 "PRAGMA journal_mode=%s\n"
						 "PRAGMA synchronous=%s\n"
						 "PRAGMA b.synchronous=%s\n"
						 "PRAGMA c.synchronous=%s\n"
						 "CREATE TABLE t(x)\n"
						 "CREATE TABLE b.u(x)\n"
						 "CREATE TABLE c.v(x)\n"
						 "BEGIN; INSERT INTO t VALUES(1);"
						 " INSERT INTO u VALUES(1); INSERT INTO v"
						 " VALUES(1); COMMIT\n"
						 "BEGIN; INSERT INTO t VALUES(2);"
						 " INSERT INTO u VALUES(2); ROLLBACK\n"
						 "BEGIN; INSERT INTO t VALUES(3);"
						 " INSERT INTO v VALUES(3); COMMIT\n",
						 modes[m], levels[l], levels[l], levels[l]);

			assert_true(compare(script) > 100);
			free(script);
		}
	}
}

/* Exclusive locking, limits to the journal, auto-vacuum, page sizes, full syncs. */
static void test_variations(void **state)
{
	static const char *const settings[] = {
	    "PRAGMA locking_mode=exclusive; PRAGMA journal_mode=wal",
	    "PRAGMA locking_mode=exclusive; PRAGMA journal_mode=delete",
	    "PRAGMA locking_mode=exclusive; PRAGMA journal_mode=persist",
	    "PRAGMA journal_mode=persist; PRAGMA journal_size_limit=100",
	    "PRAGMA journal_mode=wal; PRAGMA journal_size_limit=100; PRAGMA wal_autocheckpoint=3",
	    "PRAGMA auto_vacuum=full; PRAGMA journal_mode=delete",
	    "PRAGMA auto_vacuum=full; PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=2",
	    "PRAGMA page_size=512; PRAGMA journal_mode=truncate; PRAGMA fullfsync=1",
	    "PRAGMA page_size=65536; PRAGMA journal_mode=wal; PRAGMA checkpoint_fullfsync=1",
	    "PRAGMA mmap_size=0; PRAGMA encoding='UTF-16'; PRAGMA secure_delete=1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
		char *script = xasprintf("%s\n"
					 "CREATE TABLE t(k INTEGER PRIMARY KEY, v)\n"
					 "INSERT INTO t VALUES(1, randomblob(5000))\n"
					 "INSERT INTO t VALUES(2, randomblob(50000))\n"
					 "UPDATE t SET v = 'short' WHERE k = 2\n"
					 "CREATE INDEX i ON t(v)\n"
					 "DELETE FROM t\n"
					 "INSERT INTO t VALUES(3, randomblob(5000))\n"
					 "PRAGMA locking_mode=normal\n"
					 "SELECT * FROM t\n"
					 "INSERT INTO t VALUES(4, 'last')\n",
					 settings[i]);

		assert_true(compare(script) > 50);
		free(script);
	}
}

static int setup(void **state)
{
	struct err err = ERR_INIT;
	struct disk *d = disk_create();
	sqlite3 *db;

	(void)state;
	if (fi_vfs_register(&err) != 0)
		return -1;
	/* The first open of a process makes os_unix reseed SQLite: have that behind us. */
	fi_vfs_boot(disk_storage(d), 1, fi_vfs_default_device());
	if (sqlite3_open_v2("/dev/null", &db, SQLITE_OPEN_READONLY, "unix") != SQLITE_OK)
		return -1;
	sqlite3_exec(db, "SELECT * FROM sqlite_schema", NULL, NULL, NULL);
	sqlite3_close(db);
	disk_free(d);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fi_vfs_unregister();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_journal_modes),
	    cmocka_unit_test(test_super_journal),
	    cmocka_unit_test(test_variations),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
