/* The methods of the shim, called directly: what SQLite rarely or never asks for, and what becomes
 * of a storage's errors. */
#include "faultinject/disk.h"
#include "faultinject/vfs.h"

#include <errno.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { READ_WRITE = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE };

/* A disk whose operations fail with `error` while it is not 0, and its directory syncs with
 * `dirsync_error`. */
struct failing {
	struct storage storage;
	struct storage *real;
	int error, dirsync_error;
};

static struct disk *disk;
static struct failing failing;
static sqlite3_vfs *vfs;

static struct storage *real_of(struct storage *s, int *ret_error)
{
	struct failing *f = (struct failing *)s;

	*ret_error = f->error;
	return f->real;
}

static int failing_access(struct storage *s, const char *path, bool *ret_yes)
{
	int error;
	struct storage *real = real_of(s, &error);

	return error != 0 ? error : real->ops->access(real, path, ret_yes);
}

/* Like a disk that is mounted read-only, it still opens what is there. */
static int failing_open(struct storage *s, const char *path, bool create, uint32_t *ret_inode,
			bool *ret_created)
{
	int error;
	struct storage *real = real_of(s, &error);

	return error != 0 && !(error == -EROFS && !create)
		   ? error
		   : real->ops->open(real, path, create, ret_inode, ret_created);
}

static int failing_read(struct storage *s, uint32_t inode, uint64_t offset, void *buf, size_t size,
			size_t *ret_got)
{
	int error;
	struct storage *real = real_of(s, &error);

	return error != 0 ? error : real->ops->read(real, inode, offset, buf, size, ret_got);
}

static int failing_write(struct storage *s, uint32_t inode, uint64_t offset, const void *data,
			 size_t size)
{
	int error;
	struct storage *real = real_of(s, &error);

	return error != 0 ? error : real->ops->write(real, inode, offset, data, size);
}

static int failing_truncate(struct storage *s, uint32_t inode, uint64_t size)
{
	int error;
	struct storage *real = real_of(s, &error);

	return error != 0 ? error : real->ops->truncate(real, inode, size);
}

static int failing_size(struct storage *s, uint32_t inode, uint64_t *ret_size)
{
	int error;
	struct storage *real = real_of(s, &error);

	return error != 0 ? error : real->ops->size(real, inode, ret_size);
}

static int failing_sync(struct storage *s, uint32_t inode, bool data_only)
{
	int error;
	struct storage *real = real_of(s, &error);

	return error != 0 ? error : real->ops->sync(real, inode, data_only);
}

static int failing_dirsync(struct storage *s, const char *directory)
{
	int error;
	struct storage *real = real_of(s, &error);

	if (error == 0)
		error = ((struct failing *)s)->dirsync_error;
	return error != 0 ? error : real->ops->dirsync(real, directory);
}

static int failing_unlink(struct storage *s, const char *path)
{
	int error;
	struct storage *real = real_of(s, &error);

	return error != 0 ? error : real->ops->unlink(real, path);
}

static const struct storage_ops failing_ops = {
    .access = failing_access,
    .open = failing_open,
    .read = failing_read,
    .write = failing_write,
    .truncate = failing_truncate,
    .size = failing_size,
    .sync = failing_sync,
    .dirsync = failing_dirsync,
    .unlink = failing_unlink,
};

static int boot(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	/* Twice is the same as once. */
	for (int i = 0; i < 2; i++)
		if (fi_vfs_register(&err) != 0)
			return -1;
	vfs = sqlite3_vfs_find(NULL);
	disk = disk_create();
	failing = (struct failing){{&failing_ops, {1, 1, 1}}, disk_storage(disk), 0, 0};
	fi_vfs_boot(&failing.storage, 1, fi_vfs_default_device());
	return strcmp(vfs->zName, FI_VFS_NAME);
}

static int halt(void **state)
{
	(void)state;
	if (fi_vfs_open_count() != 0)
		return -1;
	fi_vfs_unregister();
	fi_vfs_unregister();
	disk_free(disk);
	return strcmp(sqlite3_vfs_find(NULL)->zName, FI_VFS_NAME) == 0;
}

static int try_open(const char *path, int flags, sqlite3_file **ret_f, int *ret_flags)
{
	sqlite3_file *f = calloc(1, (size_t)vfs->szOsFile);
	int rc = vfs->xOpen(vfs, path, f, flags, ret_flags);

	if (rc == SQLITE_OK) {
		*ret_f = f;
	} else {
		assert_null(f->pMethods);
		free(f);
	}
	return rc;
}

static sqlite3_file *must_open(const char *path, int flags)
{
	sqlite3_file *f = NULL;
	int out = 0;

	assert_int_equal(try_open(path, flags, &f, &out), SQLITE_OK);
	assert_int_equal(out, flags);
	return f;
}

static void must_close(sqlite3_file *f)
{
	assert_int_equal(f->pMethods->xClose(f), SQLITE_OK);
	free(f);
}

static int control(sqlite3_file *f, int op, int arg)
{
	assert_int_equal(f->pMethods->xFileControl(f, op, &arg), SQLITE_OK);
	return arg;
}

static int64_t size_of(sqlite3_file *f)
{
	sqlite3_int64 size = -1;

	assert_int_equal(f->pMethods->xFileSize(f, &size), SQLITE_OK);
	return size;
}

/* Reading, writing and resizing are the same on the storage and in private memory. */
static void test_content(void **state)
{
	static const struct {
		const char *path;
		int flags;
	} files[] = {
	    {"/f", READ_WRITE | SQLITE_OPEN_MAIN_DB},
	    {"/f-journal", READ_WRITE | SQLITE_OPEN_MAIN_JOURNAL},
	    {NULL, READ_WRITE | SQLITE_OPEN_TEMP_DB | SQLITE_OPEN_DELETEONCLOSE},
	    {"/t", READ_WRITE | SQLITE_OPEN_TEMP_JOURNAL | SQLITE_OPEN_DELETEONCLOSE},
	};
	int yes = 1;

	(void)state;
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		sqlite3_file *f = must_open(files[i].path, files[i].flags);
		const sqlite3_io_methods *m = f->pMethods;
		char buf[8] = "########";

		assert_int_equal(m->iVersion, 3);
		assert_int_equal(size_of(f), 0);
		assert_int_equal(m->xRead(f, buf, 4, 10), SQLITE_IOERR_SHORT_READ);
		assert_memory_equal(buf, "\0\0\0\0####", 8);
		assert_int_equal(m->xWrite(f, "a", 1, 0), SQLITE_OK);
		assert_int_equal(size_of(f), 0); /* as os_unix, ticket #3260 */
		assert_int_equal(m->xWrite(f, "bc", 2, 3), SQLITE_OK);
		assert_int_equal(size_of(f), 5);
		assert_int_equal(m->xRead(f, buf, 5, 0), SQLITE_OK);
		assert_memory_equal(buf, "a\0\0bc###", 8);
		assert_int_equal(m->xRead(f, buf, 8, 2), SQLITE_IOERR_SHORT_READ);
		assert_memory_equal(buf, "\0bc\0\0\0\0\0", 8);
		assert_int_equal(m->xTruncate(f, 2), SQLITE_OK);
		assert_int_equal(m->xTruncate(f, 6000), SQLITE_OK);
		assert_int_equal(m->xRead(f, buf, 8, 0), SQLITE_OK);
		assert_memory_equal(buf, "a\0\0\0\0\0\0\0", 8);
		assert_int_equal(size_of(f), 6000);
		assert_int_equal(m->xSync(f, SQLITE_SYNC_NORMAL), SQLITE_OK);
		assert_int_equal(m->xSectorSize(f), 4096);
		must_close(f);
	}
	assert_int_equal(vfs->xAccess(vfs, "/t", SQLITE_ACCESS_READWRITE, &yes), SQLITE_OK);
	assert_int_equal(yes, 0);
}

/* Files open as os_unix opens them; EXISTS is for files that are not empty. */
static void test_open_access_delete(void **state)
{
	sqlite3_file *f = NULL;
	int yes = -1, out = -1;

	(void)state;
	assert_int_equal(try_open("/f", SQLITE_OPEN_READWRITE | SQLITE_OPEN_MAIN_DB, &f, &out),
			 SQLITE_CANTOPEN);
	assert_int_equal(vfs->xGetLastError(vfs, 0, NULL), ENOENT);
	assert_int_equal(out, -1);
	assert_int_equal(vfs->xAccess(vfs, "/f", SQLITE_ACCESS_READWRITE, &yes), SQLITE_OK);
	assert_int_equal(yes, 0);
	f = must_open("/f", READ_WRITE | SQLITE_OPEN_MAIN_DB);
	assert_int_equal(vfs->xAccess(vfs, "/f", SQLITE_ACCESS_EXISTS, &yes), SQLITE_OK);
	assert_int_equal(yes, 0);
	assert_int_equal(vfs->xAccess(vfs, "/f", SQLITE_ACCESS_READWRITE, &yes), SQLITE_OK);
	assert_int_equal(yes, 1);
	assert_int_equal(f->pMethods->xWrite(f, "a", 1, 0), SQLITE_OK);
	assert_int_equal(vfs->xAccess(vfs, "/f", SQLITE_ACCESS_EXISTS, &yes), SQLITE_OK);
	assert_int_equal(yes, 1);
	must_close(f);

	assert_int_equal(try_open("/f", READ_WRITE | SQLITE_OPEN_EXCLUSIVE, &f, &out),
			 SQLITE_CANTOPEN);
	f = must_open("/f", SQLITE_OPEN_READONLY | SQLITE_OPEN_MAIN_DB);
	assert_int_equal(f->pMethods->xWrite(f, "a", 1, 0), SQLITE_IOERR_WRITE);
	assert_int_equal(control(f, SQLITE_FCNTL_LAST_ERRNO, 0), EBADF);
	assert_int_equal(f->pMethods->xTruncate(f, 0), SQLITE_IOERR_TRUNCATE);
	assert_int_equal(control(f, SQLITE_FCNTL_HAS_MOVED, -1), 0);
	assert_int_equal(vfs->xDelete(vfs, "/f", 0), SQLITE_OK);
	assert_int_equal(control(f, SQLITE_FCNTL_HAS_MOVED, -1), 1);
	assert_int_equal(vfs->xDelete(vfs, "/f", 1), SQLITE_IOERR_DELETE_NOENT);
	must_close(f);
	must_close(must_open("/f", READ_WRITE | SQLITE_OPEN_EXCLUSIVE | SQLITE_OPEN_WAL));
}

static void test_file_control(void **state)
{
	sqlite3_file *f = must_open("/f", READ_WRITE | SQLITE_OPEN_MAIN_DB);
	const sqlite3_io_methods *m = f->pMethods;
	sqlite3_int64 size = 5000;
	char *text = NULL;
	void *p = f;

	(void)state;
	/* Without a chunk size a hint does nothing; with one, sizes are whole chunks. */
	assert_int_equal(m->xFileControl(f, SQLITE_FCNTL_SIZE_HINT, &size), SQLITE_OK);
	assert_int_equal(size_of(f), 0);
	control(f, SQLITE_FCNTL_CHUNK_SIZE, 4096);
	assert_int_equal(m->xFileControl(f, SQLITE_FCNTL_SIZE_HINT, &size), SQLITE_OK);
	assert_int_equal(size_of(f), 8192);
	size = 10;
	assert_int_equal(m->xFileControl(f, SQLITE_FCNTL_SIZE_HINT, &size), SQLITE_OK);
	assert_int_equal(size_of(f), 8192);
	assert_int_equal(m->xTruncate(f, 100), SQLITE_OK);
	assert_int_equal(size_of(f), 4096);

	assert_int_equal(control(f, SQLITE_FCNTL_PERSIST_WAL, -1), 0);
	control(f, SQLITE_FCNTL_PERSIST_WAL, 1);
	assert_int_equal(control(f, SQLITE_FCNTL_PERSIST_WAL, -1), 1);

	assert_int_equal(control(f, SQLITE_FCNTL_POWERSAFE_OVERWRITE, -1), 1);
	assert_int_equal(m->xDeviceCharacteristics(f), SQLITE_IOCAP_POWERSAFE_OVERWRITE);
	control(f, SQLITE_FCNTL_POWERSAFE_OVERWRITE, 0);
	assert_int_equal(m->xDeviceCharacteristics(f), 0);

	assert_int_equal(control(f, SQLITE_FCNTL_LOCKSTATE, -1), SQLITE_LOCK_NONE);
	assert_int_equal(m->xLock(f, SQLITE_LOCK_SHARED), SQLITE_OK);
	assert_int_equal(control(f, SQLITE_FCNTL_LOCKSTATE, -1), SQLITE_LOCK_SHARED);

	assert_int_equal(m->xFileControl(f, SQLITE_FCNTL_VFSNAME, &text), SQLITE_OK);
	assert_string_equal(text, FI_VFS_NAME);
	sqlite3_free(text);
	assert_int_equal(m->xFileControl(f, SQLITE_FCNTL_TEMPFILENAME, &text), SQLITE_OK);
	assert_int_equal(text[0], '/');
	sqlite3_free(text);
	size = 1 << 20;
	assert_int_equal(m->xFileControl(f, SQLITE_FCNTL_MMAP_SIZE, &size), SQLITE_OK);
	assert_int_equal(size, 0);
	assert_int_equal(m->xFileControl(f, SQLITE_FCNTL_SYNC, NULL), SQLITE_NOTFOUND);
	assert_int_equal(m->xFetch(f, 0, 10, &p), SQLITE_OK);
	assert_null(p);
	assert_int_equal(m->xUnfetch(f, 0, NULL), SQLITE_OK);
	must_close(f);
}

/* The device that is reported, and what a URI says about it. */
static void test_device(void **state)
{
	const struct trace_device device = {512, SQLITE_IOCAP_SAFE_APPEND};
	char *name =
	    (char *)sqlite3_create_filename("/f", "", "", 1, (const char *[]){"psow", "1"});
	sqlite3_file *f;

	(void)state;
	fi_vfs_boot(&failing.storage, 1, device);
	f = must_open("/f", READ_WRITE | SQLITE_OPEN_MAIN_DB);
	assert_int_equal(f->pMethods->xSectorSize(f), 512);
	assert_int_equal(f->pMethods->xDeviceCharacteristics(f), SQLITE_IOCAP_SAFE_APPEND);
	must_close(f);
	f = must_open(name, READ_WRITE | SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_URI);
	assert_int_equal(f->pMethods->xDeviceCharacteristics(f),
			 SQLITE_IOCAP_SAFE_APPEND | SQLITE_IOCAP_POWERSAFE_OVERWRITE);
	must_close(f);
	sqlite3_free_filename(name);
}

/* Each error of a storage has the code that os_unix gives it, and is remembered. */
static void test_errors(void **state)
{
	sqlite3_file *f = must_open("/f", READ_WRITE | SQLITE_OPEN_MAIN_DB);
	sqlite3_file *j = must_open("/f-journal", READ_WRITE | SQLITE_OPEN_MAIN_JOURNAL);
	const sqlite3_io_methods *m = f->pMethods;
	sqlite3_file *other = NULL;
	sqlite3_int64 size = 77;
	int out, yes = -1;
	char c = 'c';

	(void)state;
	assert_int_equal(m->xWrite(f, "ab", 2, 0), SQLITE_OK);
	failing.error = -EIO;
	assert_int_equal(m->xRead(f, &c, 1, 0), SQLITE_IOERR_CORRUPTFS);
	assert_int_equal(control(f, SQLITE_FCNTL_LAST_ERRNO, 0), EIO);
	assert_int_equal(m->xWrite(f, &c, 1, 0), SQLITE_IOERR_WRITE);
	assert_int_equal(m->xTruncate(f, 9), SQLITE_IOERR_TRUNCATE);
	assert_int_equal(m->xFileSize(f, &size), SQLITE_IOERR_FSTAT);
	assert_int_equal(size, 77);
	assert_int_equal(m->xSync(f, SQLITE_SYNC_FULL), SQLITE_IOERR_FSYNC);
	assert_int_equal(vfs->xDelete(vfs, "/f", 0), SQLITE_IOERR_DELETE);
	assert_int_equal(vfs->xAccess(vfs, "/f", SQLITE_ACCESS_EXISTS, &yes), SQLITE_IOERR_ACCESS);
	assert_int_equal(yes, -1);
	assert_int_equal(try_open("/g", READ_WRITE | SQLITE_OPEN_WAL, &other, &out),
			 SQLITE_CANTOPEN);
	assert_int_equal(vfs->xGetLastError(vfs, 0, NULL), EIO);
	control(f, SQLITE_FCNTL_CHUNK_SIZE, 4096);
	failing.error = 0;

	failing.error = -EINTR;
	assert_int_equal(m->xRead(f, &c, 1, 0), SQLITE_IOERR_READ);
	failing.error = -ENOSPC;
	assert_int_equal(m->xWrite(f, &c, 1, 0), SQLITE_FULL);
	assert_int_equal(control(f, SQLITE_FCNTL_LAST_ERRNO, -1), 0);
	failing.error = -EROFS;
	assert_int_equal(try_open("/f", READ_WRITE | SQLITE_OPEN_MAIN_DB, &other, &out), SQLITE_OK);
	assert_int_equal(out, SQLITE_OPEN_READONLY | SQLITE_OPEN_MAIN_DB);
	must_close(other);
	failing.error = 0;

	/* A directory that cannot be synced spoils a deletion, not the sync of a journal. */
	failing.dirsync_error = -EIO;
	assert_int_equal(j->pMethods->xSync(j, SQLITE_SYNC_FULL), SQLITE_OK);
	assert_int_equal(vfs->xDelete(vfs, "/f-journal", 1), SQLITE_IOERR_DIR_FSYNC);
	must_close(j);
	must_close(f);
}

static void assert_full(const char *path, const char *expected)
{
	char out[64];

	assert_int_equal(vfs->xFullPathname(vfs, path, sizeof out, out), SQLITE_OK);
	assert_string_equal(out, expected);
}

static void test_full_pathname(void **state)
{
	char out[4];

	(void)state;
	assert_full("a.db", "/a.db");
	assert_full("/a/b.db", "/a/b.db");
	assert_full("//a/./b//../c/", "/a/c");
	assert_full("../../x", "/x");
	assert_full("a/..", "/");
	assert_full("..a/.b/...", "/..a/.b/...");
	assert_full("", "/");
	assert_int_equal(vfs->xFullPathname(vfs, "/ab", sizeof out, out), SQLITE_OK);
	assert_int_equal(vfs->xFullPathname(vfs, "/abc", sizeof out, out), SQLITE_CANTOPEN);
	assert_int_equal(vfs->xFullPathname(vfs, "/", 1, out), SQLITE_CANTOPEN);
}

/* Time and randomness depend on the boot alone. */
static void test_clock_and_randomness(void **state)
{
	sqlite3_int64 start, ms;
	double days;
	char a[20], b[20];

	(void)state;
	assert_int_equal(vfs->xCurrentTimeInt64(vfs, &start), SQLITE_OK);
	assert_int_equal(vfs->xCurrentTimeInt64(vfs, &ms), SQLITE_OK);
	assert_int_equal(ms, start + 1);
	assert_int_equal(vfs->xSleep(vfs, 2500), 2500);
	assert_int_equal(vfs->xCurrentTimeInt64(vfs, &ms), SQLITE_OK);
	assert_int_equal(ms, start + 4);
	assert_int_equal(vfs->xCurrentTime(vfs, &days), SQLITE_OK);
	assert_true(days > 2460310.5 && days < 2460310.6); /* 2024-01-01 */
	assert_int_equal(vfs->xRandomness(vfs, sizeof a, a), sizeof a);

	fi_vfs_boot(&failing.storage, 1, fi_vfs_default_device());
	assert_int_equal(vfs->xCurrentTimeInt64(vfs, &ms), SQLITE_OK);
	assert_int_equal(ms, start);
	assert_int_equal(fi_vfs_call_count(), 1);
	assert_int_equal(vfs->xRandomness(vfs, sizeof b, b), sizeof b);
	assert_memory_equal(a, b, sizeof a);
	fi_vfs_boot(&failing.storage, 2, fi_vfs_default_device());
	assert_int_equal(vfs->xRandomness(vfs, sizeof b, b), sizeof b);
	assert_memory_not_equal(a, b, sizeof a);
}

/* Extensions are loaded by the real VFS; system calls there are none. */
static void test_extensions_and_system_calls(void **state)
{
	void *library = vfs->xDlOpen(vfs, "libsqlite3.so.0");
	char message[64] = "";

	(void)state;
	assert_non_null(library);
	assert_non_null(vfs->xDlSym(vfs, library, "sqlite3_libversion"));
	vfs->xDlClose(vfs, library);
	assert_null(vfs->xDlOpen(vfs, "/no/such/file"));
	vfs->xDlError(vfs, sizeof message, message);
	assert_int_not_equal(message[0], '\0');
	assert_int_equal(vfs->iVersion, 3);
	assert_int_equal(vfs->xSetSystemCall(vfs, "open", NULL), SQLITE_NOTFOUND);
	assert_null(vfs->xGetSystemCall(vfs, "open"));
	assert_null(vfs->xNextSystemCall(vfs, NULL));
}

/* Without memory from before: a region that is mapped after the last handle left is empty. */
static void test_shared_memory(void **state)
{
	sqlite3_file *f = must_open("/f", READ_WRITE | SQLITE_OPEN_MAIN_DB);
	sqlite3_file *g = must_open("/f", READ_WRITE | SQLITE_OPEN_MAIN_DB);
	const sqlite3_io_methods *m = f->pMethods;
	void volatile *p = f, *q = NULL;

	(void)state;
	assert_int_equal(m->xShmMap(f, 1, 32768, 0, &p), SQLITE_OK);
	assert_null(p);
	assert_int_equal(m->xShmMap(f, 1, 32768, 1, &p), SQLITE_OK);
	((volatile char *)p)[32767] = 'x';
	assert_int_equal(m->xShmMap(g, 1, 32768, 0, &q), SQLITE_OK);
	assert_ptr_equal(p, q);
	assert_int_equal(m->xShmMap(g, 0, 32768, 0, &q), SQLITE_OK);
	assert_non_null(q);
	m->xShmBarrier(f);
	assert_int_equal(m->xShmLock(f, 0, 1, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE), SQLITE_OK);
	assert_int_equal(m->xShmLock(g, 0, 1, SQLITE_SHM_LOCK | SQLITE_SHM_SHARED), SQLITE_BUSY);
	assert_int_equal(m->xShmUnmap(f, 0), SQLITE_OK); /* and its locks go */
	assert_int_equal(m->xShmLock(g, 0, 1, SQLITE_SHM_LOCK | SQLITE_SHM_SHARED), SQLITE_OK);
	assert_int_equal(m->xShmMap(g, 1, 32768, 0, &q), SQLITE_OK);
	assert_int_equal(((volatile char *)q)[32767], 'x');
	assert_int_equal(m->xShmUnmap(g, 1), SQLITE_OK);
	assert_int_equal(m->xShmMap(g, 1, 32768, 0, &q), SQLITE_OK);
	assert_null(q);
	assert_int_equal(m->xShmMap(g, 1, 32768, 1, &q), SQLITE_OK);
	assert_int_equal(((volatile char *)q)[32767], 0);
	must_close(g); /* unmaps */
	must_close(f);
	assert_int_equal(fi_vfs_shm_hash(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_content, boot, halt),
	    cmocka_unit_test_setup_teardown(test_open_access_delete, boot, halt),
	    cmocka_unit_test_setup_teardown(test_file_control, boot, halt),
	    cmocka_unit_test_setup_teardown(test_device, boot, halt),
	    cmocka_unit_test_setup_teardown(test_errors, boot, halt),
	    cmocka_unit_test_setup_teardown(test_full_pathname, boot, halt),
	    cmocka_unit_test_setup_teardown(test_clock_and_randomness, boot, halt),
	    cmocka_unit_test_setup_teardown(test_extensions_and_system_calls, boot, halt),
	    cmocka_unit_test_setup_teardown(test_shared_memory, boot, halt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
