/*
 * truncate, fallocate, sync, and mappings. See preload.h.
 *
 * A file's sync makes sure that the descriptor is still the file's: a sync that is logged and did
 * not happen would hide a loss.
 */
#include "faultinject/record/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct file *changeable(int fd)
{
	struct file *f = preload_on() ? fd_file(fd, FD_VERIFY) : NULL;

	return f == NULL || (f->flags & FILE_SHM) != 0 ? NULL : f;
}

static struct reclog_entry entry_for(uint8_t type, const struct file *f)
{
	return (struct reclog_entry){.head = {.type = type, .dev = f->dev, .ino = f->ino}};
}

/* ---- truncate ---- */

EXPORT int ftruncate(int fd, off_t size)
{
	struct file *f = changeable(fd);
	struct preload_call c;
	struct reclog_entry e;
	int rc;

	if (f == NULL)
		return REAL(ftruncate)(fd, size);
	e = entry_for(RECLOG_TRUNCATE, f);
	e.head.length = (uint64_t)size;
	f->flags |= FILE_WRITTEN;
	c = preload_begin(&e);
	rc = REAL(ftruncate)(fd, size);
	preload_end(c, NULL, rc);
	return rc;
}

EXPORT int truncate(const char *path, off_t size)
{
	struct reclog_entry e = {.head = {.type = RECLOG_TRUNCATE, .length = (uint64_t)size}};
	char resolved[RECLOG_PATH_MAX];
	struct preload_call c;
	bool shm, recorded;
	struct stat st;
	int rc;

	recorded = preload_on() && path_resolve(AT_FDCWD, path, true, resolved) &&
		   reclog_is_recorded(&preload_log, resolved, &shm) && !shm &&
		   raw_stat(AT_FDCWD, resolved, 0, &st) == 0;
	if (!recorded)
		return REAL(truncate)(path, size);
	file_known(resolved, &st, -1, false);
	e.head.dev = st.st_dev;
	e.head.ino = st.st_ino;
	c = preload_begin(&e);
	rc = REAL(truncate)(path, size);
	preload_end(c, NULL, rc);
	return rc;
}

SAME_AS(ftruncate, ftruncate64);
SAME_AS(truncate, truncate64);

/* ---- fallocate ---- */

EXPORT int fallocate(int fd, int mode, off_t offset, off_t length)
{
	struct file *f = changeable(fd);
	struct preload_call c;
	struct reclog_entry e;
	int rc;

	if (f == NULL)
		return REAL(fallocate)(fd, mode, offset, length);
	e = entry_for(RECLOG_ALLOCATE, f);
	e.head.mode = (uint32_t)mode;
	e.head.offset = (uint64_t)offset;
	e.head.length = (uint64_t)length;
	f->flags |= FILE_WRITTEN;
	c = preload_begin(&e);
	rc = REAL(fallocate)(fd, mode, offset, length);
	preload_end(c, NULL, rc);
	return rc;
}

/* Returns the error; where the file system has no fallocate, the C library writes zero bytes, which
 * comes to the same. */
EXPORT int posix_fallocate(int fd, off_t offset, off_t length)
{
	struct file *f = changeable(fd);
	struct preload_call c;
	struct reclog_entry e;
	int rc;

	if (f == NULL)
		return REAL(posix_fallocate)(fd, offset, length);
	e = entry_for(RECLOG_ALLOCATE, f);
	e.head.offset = (uint64_t)offset;
	e.head.length = (uint64_t)length;
	f->flags |= FILE_WRITTEN;
	c = preload_begin(&e);
	rc = REAL(posix_fallocate)(fd, offset, length);
	preload_end(c, NULL, rc > 1 ? -(int64_t)rc : rc == 1 ? -EPERM : 0);
	return rc;
}

SAME_AS(fallocate, fallocate64);
SAME_AS(posix_fallocate, posix_fallocate64);

/* ---- sync ---- */

/* Begins the sync of whatever `fd` is; false: nothing that is recorded. */
static bool begin_sync(int fd, uint16_t flags, struct preload_call *ret)
{
	struct file *f = changeable(fd);
	char folder[RECLOG_PATH_MAX];
	struct reclog_entry e;

	if (f != NULL) {
		e = entry_for(RECLOG_SYNC, f);
		e.head.flags = flags;
	} else if (preload_on() && fd_is_folder(fd, folder)) {
		e = (struct reclog_entry){.head = {.type = RECLOG_DIRSYNC}, .path = folder};
	} else {
		return false;
	}
	*ret = preload_begin(&e);
	return true;
}

EXPORT int fsync(int fd)
{
	struct preload_call c;
	bool logged = begin_sync(fd, 0, &c);
	int rc = REAL(fsync)(fd);

	if (logged)
		preload_end(c, NULL, rc);
	return rc;
}

EXPORT int fdatasync(int fd)
{
	struct preload_call c;
	bool logged = begin_sync(fd, RECLOG_DATA_ONLY, &c);
	int rc = REAL(fdatasync)(fd);

	if (logged)
		preload_end(c, NULL, rc);
	return rc;
}

/* dev 0: all file systems. */
static bool begin_sync_all(struct preload_call *ret, uint64_t dev)
{
	struct reclog_entry e = {.head = {.type = RECLOG_SYNC_ALL, .dev = dev}};

	if (!preload_on() ||
	    __atomic_load_n(&reclog_header(&preload_log)->database_count, __ATOMIC_ACQUIRE) == 0)
		return false;
	*ret = preload_begin(&e);
	return true;
}

EXPORT void sync(void)
{
	struct preload_call c;
	bool logged = begin_sync_all(&c, 0);

	REAL(sync)();
	if (logged)
		preload_end(c, NULL, 0);
}

EXPORT int syncfs(int fd)
{
	struct preload_call c;
	struct stat st;
	bool logged = raw_fstat(fd, &st) == 0 && begin_sync_all(&c, st.st_dev);
	int rc = REAL(syncfs)(fd);

	if (logged)
		preload_end(c, NULL, rc);
	return rc;
}

/* ---- mappings ---- */

/* Not through dlsym(): a program's own malloc may call this before it can serve anybody. */
EXPORT void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	void *map = (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);

	if (map != MAP_FAILED && (protection & PROT_WRITE) != 0 && (flags & MAP_PRIVATE) == 0 &&
	    (flags & MAP_ANONYMOUS) == 0 && preload_on()) {
		struct file *f = changeable(fd);

		if (f != NULL) {
			struct reclog_entry e = entry_for(RECLOG_MAPPED, f);

			e.path = f->path;
			f->flags |= FILE_WRITTEN;
			preload_once(&e);
		}
	}
	return map;
}
SAME_AS(mmap, mmap64);
