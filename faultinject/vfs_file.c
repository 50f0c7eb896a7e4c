/*
 * The methods of an open file, as os_unix has them on Linux, over a `struct storage` or, for
 * private files, over memory of their own.
 *
 * Every byte that SQLite sees comes through xRead: xFetch answers NULL and the mmap limit is 0.
 * Files that no crash can leave behind (see vfs.h) never reach the storage.
 *
 * What is not here: locks (vfs_lock.c) and the WAL index (vfs_shm.c); atomic batch writes, which
 * os_unix offers on F2FS only; SQLITE_FCNTL_LOCK_TIMEOUT, which needs a build option.
 */
#include "faultinject/vfs.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/vfs_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct vfs_file *of(sqlite3_file *file)
{
	return (struct vfs_file *)file;
}

static bool is_private(const struct vfs_file *f)
{
	return f->inode == 0;
}

/* The memory of a private file reads as zeroes where it grew. */
static int private_resize(struct vfs_file *f, uint64_t size)
{
	if (size > SIZE_MAX / 4)
		return -EFBIG;
	if (size > f->memory_cap) {
		size_t cap = f->memory_cap < 4096 ? 4096 : f->memory_cap;

		while (cap < size)
			cap *= 2;
		f->memory = xrealloc(f->memory, cap);
		f->memory_cap = cap;
	}
	if (size > f->memory_size)
		memset(f->memory + f->memory_size, 0, (size_t)size - f->memory_size);
	f->memory_size = (size_t)size;
	return 0;
}

static int file_get(struct vfs_file *f, uint64_t offset, void *buf, size_t size, size_t *ret_got)
{
	struct storage *s = fi_machine.storage;
	size_t got = 0;

	if (!is_private(f))
		return s->ops->read(s, f->inode, offset, buf, size, ret_got);
	if (offset < f->memory_size)
		got = f->memory_size - offset < size ? f->memory_size - (size_t)offset : size;
	if (got > 0)
		memcpy(buf, f->memory + offset, got);
	*ret_got = got;
	return 0;
}

static int file_put(struct vfs_file *f, uint64_t offset, const void *data, size_t size)
{
	struct storage *s = fi_machine.storage;
	int error = 0;

	if (f->read_only)
		return -EBADF;
	if (!is_private(f))
		return s->ops->write(s, f->inode, offset, data, size);
	if (offset + size > f->memory_size)
		error = private_resize(f, offset + size);
	if (error == 0 && size > 0)
		memcpy(f->memory + offset, data, size);
	return error;
}

static int file_resize(struct vfs_file *f, uint64_t size)
{
	struct storage *s = fi_machine.storage;

	if (f->read_only)
		return -EINVAL; /* as ftruncate(2) */
	return is_private(f) ? private_resize(f, size) : s->ops->truncate(s, f->inode, size);
}

static int file_size(struct vfs_file *f, uint64_t *ret_size)
{
	struct storage *s = fi_machine.storage;

	if (!is_private(f))
		return s->ops->size(s, f->inode, ret_size);
	*ret_size = f->memory_size;
	return 0;
}

/* Works also when the call limit is exceeded: what is open must be closed. */
static int method_close(sqlite3_file *file)
{
	struct vfs_file *f = of(file);

	(void)vfs_enter();
	if (f->is_wal && fi_machine.defect == FI_VFS_LOG_VANISHES)
		(void)file_resize(f, 0);
	if (f->node != NULL) {
		if (f->is_shm_mapped)
			(void)fi_vfs_shm_unmap(file, 0);
		fi_vfs_unlock_all(f);
		fi_vfs_node_detach(f);
	}
	free(f->memory);
	memset(f, 0, sizeof *f);
	ASSERT_OP(fi_machine.open_count, >, 0);
	fi_machine.open_count--;
	return SQLITE_OK;
}

static int method_read(sqlite3_file *file, void *buf, int size, sqlite3_int64 offset)
{
	struct vfs_file *f = of(file);
	size_t got = 0;
	int rc = vfs_enter();

	if (rc == SQLITE_OK)
		rc = fi_vfs_result(f, file_get(f, (uint64_t)offset, buf, (size_t)size, &got),
				   SQLITE_IOERR_READ);
	if (rc != SQLITE_OK || got == (size_t)size)
		return rc;
	f->last_errno = 0; /* not a system error */
	memset((uint8_t *)buf + got, 0, (size_t)size - got);
	return SQLITE_IOERR_SHORT_READ;
}

static int method_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
	struct vfs_file *f = of(file);
	int rc = vfs_enter();

	fi_machine.written = true;
	if (rc == SQLITE_OK && fi_machine.defect == FI_VFS_READ_ONLY &&
	    (f->node != NULL || f->is_wal))
		return SQLITE_READONLY;
	if (rc == SQLITE_OK)
		rc = fi_vfs_result(f, file_put(f, (uint64_t)offset, data, (size_t)size),
				   SQLITE_IOERR_WRITE);
	if (rc == SQLITE_FULL)
		f->last_errno = 0; /* os_unix does not call it a system error either */
	return rc;
}

static sqlite3_int64 round_to_chunk(const struct vfs_file *f, sqlite3_int64 size)
{
	sqlite3_int64 chunk = f->chunk_size_bytes;

	return chunk > 0 ? (size + chunk - 1) / chunk * chunk : size;
}

static int method_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct vfs_file *f = of(file);
	int rc = vfs_enter();

	if (rc == SQLITE_OK)
		rc = fi_vfs_result(f, file_resize(f, (uint64_t)round_to_chunk(f, size)),
				   SQLITE_IOERR_TRUNCATE);
	return rc;
}

/* The directory is synced once a handle, after the file, and its errors are ignored: "Many systems
 * (examples: AIX) are unable to fsync a directory" (os_unix). */
static int method_sync(sqlite3_file *file, int flags)
{
	struct vfs_file *f = of(file);
	struct storage *s = fi_machine.storage;
	int rc = vfs_enter();

	if (rc != SQLITE_OK || is_private(f) || fi_machine.syncs_ignored)
		return rc;
	rc = fi_vfs_result(f, s->ops->sync(s, f->inode, (flags & SQLITE_SYNC_DATAONLY) != 0),
			   SQLITE_IOERR_FSYNC);
	if (rc == SQLITE_OK && f->dirsync_due) {
		(void)fi_vfs_dirsync(f->path);
		f->dirsync_due = false;
	}
	return rc;
}

static int method_file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
	struct vfs_file *f = of(file);
	uint64_t size = 0;
	int rc = vfs_enter();

	if (rc == SQLITE_OK)
		rc = fi_vfs_result(f, file_size(f, &size), SQLITE_IOERR_FSTAT);
	if (rc == SQLITE_OK)
		*ret_size = size == 1 ? 0 : (sqlite3_int64)size; /* os_unix, ticket #3260 */
	return rc;
}

/* Does nothing without a chunk size: os_unix grows such files only for mmap. */
static int size_hint(struct vfs_file *f, sqlite3_int64 hint)
{
	uint64_t size, wanted = (uint64_t)round_to_chunk(f, hint);
	int error;

	if (f->chunk_size_bytes <= 0)
		return SQLITE_OK;
	error = file_size(f, &size);
	if (error != 0)
		return fi_vfs_result(f, error, SQLITE_IOERR_FSTAT);
	/* posix_fallocate: an error is SQLITE_IOERR_WRITE whatever it is, also a full disk. */
	return wanted > size && file_resize(f, wanted) != 0 ? SQLITE_IOERR_WRITE : SQLITE_OK;
}

/* Negative: a question; otherwise the new value. */
static void mode_bit(bool *bit, int *arg)
{
	if (*arg < 0)
		*arg = *bit;
	else
		*bit = *arg != 0;
}

/* Only files with locks can have moved; os_unix keeps no inode of the others. */
static bool has_moved(const struct vfs_file *f)
{
	struct storage *s = fi_machine.storage;
	uint32_t inode;
	bool created;

	if (f->node == NULL)
		return false;
	return s->ops->open(s, f->path, false, &inode, &created) != 0 || inode != f->inode;
}

static int method_file_control(sqlite3_file *file, int op, void *arg)
{
	struct vfs_file *f = of(file);
	int rc = vfs_enter();

	if (rc != SQLITE_OK)
		return rc;
	switch (op) {
	case SQLITE_FCNTL_LOCKSTATE:
		*(int *)arg = f->lock;
		return SQLITE_OK;
	case SQLITE_FCNTL_LAST_ERRNO:
		*(int *)arg = f->last_errno;
		return SQLITE_OK;
	case SQLITE_FCNTL_CHUNK_SIZE:
		f->chunk_size_bytes = *(int *)arg;
		return SQLITE_OK;
	case SQLITE_FCNTL_SIZE_HINT:
		return size_hint(f, *(sqlite3_int64 *)arg);
	case SQLITE_FCNTL_PERSIST_WAL:
		mode_bit(&f->persist_wal, arg);
		return SQLITE_OK;
	case SQLITE_FCNTL_POWERSAFE_OVERWRITE:
		mode_bit(&f->psow, arg);
		return SQLITE_OK;
	case SQLITE_FCNTL_VFSNAME:
		*(char **)arg = sqlite3_mprintf("%s", FI_VFS_NAME);
		return SQLITE_OK;
	case SQLITE_FCNTL_TEMPFILENAME:
		*(char **)arg = sqlite3_mprintf("/etilqs_%llx",
						(unsigned long long)prng_next(&fi_machine.random));
		return SQLITE_OK;
	case SQLITE_FCNTL_HAS_MOVED:
		*(int *)arg = has_moved(f);
		return SQLITE_OK;
	case SQLITE_FCNTL_MMAP_SIZE:
		*(sqlite3_int64 *)arg = 0;
		return SQLITE_OK;
	case SQLITE_FCNTL_EXTERNAL_READER:
		*(int *)arg = fi_vfs_shm_has_external_reader(f);
		return SQLITE_OK;
	default:
		return SQLITE_NOTFOUND;
	}
}

static int method_sector_size(sqlite3_file *file)
{
	(void)file;
	(void)vfs_enter();
	return (int)fi_machine.device.sector_size_bytes;
}

static int method_device_characteristics(sqlite3_file *file)
{
	uint32_t bits = fi_machine.device.characteristics;

	(void)vfs_enter();
	bits &= ~(uint32_t)SQLITE_IOCAP_POWERSAFE_OVERWRITE;
	if (of(file)->psow)
		bits |= SQLITE_IOCAP_POWERSAFE_OVERWRITE;
	return (int)bits;
}

static int method_fetch(sqlite3_file *file, sqlite3_int64 offset, int size, void **ret_data)
{
	(void)file;
	(void)offset;
	(void)size;
	*ret_data = NULL;
	return vfs_enter();
}

static int method_unfetch(sqlite3_file *file, sqlite3_int64 offset, void *data)
{
	(void)file;
	(void)offset;
	(void)data;
	return vfs_enter();
}

const sqlite3_io_methods fi_vfs_methods = {
    .iVersion = 3,
    .xClose = method_close,
    .xRead = method_read,
    .xWrite = method_write,
    .xTruncate = method_truncate,
    .xSync = method_sync,
    .xFileSize = method_file_size,
    .xLock = fi_vfs_lock,
    .xUnlock = fi_vfs_unlock,
    .xCheckReservedLock = fi_vfs_check_reserved,
    .xFileControl = method_file_control,
    .xSectorSize = method_sector_size,
    .xDeviceCharacteristics = method_device_characteristics,
    .xShmMap = fi_vfs_shm_map,
    .xShmLock = fi_vfs_shm_lock,
    .xShmBarrier = fi_vfs_shm_barrier,
    .xShmUnmap = fi_vfs_shm_unmap,
    .xFetch = method_fetch,
    .xUnfetch = method_unfetch,
};
