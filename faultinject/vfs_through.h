/*
 * What a thin VFS over the real one does where it has nothing to add: it hands every call on
 * unchanged. Included by vfs_kill.c and vfs_record.c, after sqlite3.h or sqlite3ext.h; they define
 * the methods in which they do more, and then their tables.
 *
 * A file is a header that begins with struct through_file, followed by the real file in the same
 * allocation, as SQLite's own shims do it (vfstrace.c).
 */
#ifndef FI_VFS_THROUGH_H
#define FI_VFS_THROUGH_H

enum { METHODS_VERSION_MAX = 3 };

struct through_file {
	sqlite3_file base; /* what SQLite sees */
	sqlite3_file *real;
};

static sqlite3_vfs *real_vfs;

static sqlite3_file *real_file(sqlite3_file *f)
{
	return ((struct through_file *)f)->real;
}

/* ---- files ---- */

static int file_read(sqlite3_file *f, void *data, int size, sqlite3_int64 offset)
{
	sqlite3_file *real = real_file(f);

	return real->pMethods->xRead(real, data, size, offset);
}

static int file_size(sqlite3_file *f, sqlite3_int64 *ret_size)
{
	sqlite3_file *real = real_file(f);

	return real->pMethods->xFileSize(real, ret_size);
}

static int file_check_reserved(sqlite3_file *f, int *ret_reserved)
{
	sqlite3_file *real = real_file(f);

	return real->pMethods->xCheckReservedLock(real, ret_reserved);
}

static int file_sector_size(sqlite3_file *f)
{
	sqlite3_file *real = real_file(f);

	return real->pMethods->xSectorSize(real);
}

static int file_characteristics(sqlite3_file *f)
{
	sqlite3_file *real = real_file(f);

	return real->pMethods->xDeviceCharacteristics(real);
}

static void file_shm_barrier(sqlite3_file *f)
{
	sqlite3_file *real = real_file(f);

	real->pMethods->xShmBarrier(real);
}

static int file_fetch(sqlite3_file *f, sqlite3_int64 offset, int size, void **ret_page)
{
	sqlite3_file *real = real_file(f);

	return real->pMethods->xFetch(real, offset, size, ret_page);
}

static int file_unfetch(sqlite3_file *f, sqlite3_int64 offset, void *page)
{
	sqlite3_file *real = real_file(f);

	return real->pMethods->xUnfetch(real, offset, page);
}

/* A table of methods. Its version is the real file's, so that SQLite sees no method that is not
 * there.
 */
#define THROUGH_METHODS(version)                                                                   \
	{                                                                                          \
		.iVersion = (version), .xClose = file_close, .xRead = file_read,                   \
		.xWrite = file_write, .xTruncate = file_truncate, .xSync = file_sync,              \
		.xFileSize = file_size, .xLock = file_lock, .xUnlock = file_unlock,                \
		.xCheckReservedLock = file_check_reserved, .xFileControl = file_control,           \
		.xSectorSize = file_sector_size, .xDeviceCharacteristics = file_characteristics,   \
		.xShmMap = file_shm_map, .xShmLock = file_shm_lock,                                \
		.xShmBarrier = file_shm_barrier, .xShmUnmap = file_shm_unmap,                      \
		.xFetch = file_fetch, .xUnfetch = file_unfetch,                                    \
	}

/* ---- the VFS ---- */

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret_result)
{
	(void)vfs;
	return real_vfs->xAccess(real_vfs, name, flags, ret_result);
}

static int vfs_full_pathname(sqlite3_vfs *vfs, const char *name, int size, char *ret_name)
{
	(void)vfs;
	return real_vfs->xFullPathname(real_vfs, name, size, ret_name);
}

static void *vfs_dl_open(sqlite3_vfs *vfs, const char *name)
{
	(void)vfs;
	return real_vfs->xDlOpen(real_vfs, name);
}

static void vfs_dl_error(sqlite3_vfs *vfs, int size, char *ret_message)
{
	(void)vfs;
	real_vfs->xDlError(real_vfs, size, ret_message);
}

static void (*vfs_dl_sym(sqlite3_vfs *vfs, void *library, const char *symbol))(void)
{
	(void)vfs;
	return real_vfs->xDlSym(real_vfs, library, symbol);
}

static void vfs_dl_close(sqlite3_vfs *vfs, void *library)
{
	(void)vfs;
	real_vfs->xDlClose(real_vfs, library);
}

static int vfs_randomness(sqlite3_vfs *vfs, int size, char *ret_bytes)
{
	(void)vfs;
	return real_vfs->xRandomness(real_vfs, size, ret_bytes);
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
	(void)vfs;
	return real_vfs->xSleep(real_vfs, microseconds);
}

static int vfs_current_time(sqlite3_vfs *vfs, double *ret_days)
{
	(void)vfs;
	return real_vfs->xCurrentTime(real_vfs, ret_days);
}

static int vfs_last_error(sqlite3_vfs *vfs, int size, char *ret_message)
{
	(void)vfs;
	return real_vfs->xGetLastError(real_vfs, size, ret_message);
}

static int vfs_current_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *ret_milliseconds)
{
	(void)vfs;
	return real_vfs->xCurrentTimeInt64(real_vfs, ret_milliseconds);
}

static int vfs_set_system_call(sqlite3_vfs *vfs, const char *name, sqlite3_syscall_ptr call)
{
	(void)vfs;
	return real_vfs->xSetSystemCall(real_vfs, name, call);
}

static sqlite3_syscall_ptr vfs_get_system_call(sqlite3_vfs *vfs, const char *name)
{
	(void)vfs;
	return real_vfs->xGetSystemCall(real_vfs, name);
}

static const char *vfs_next_system_call(sqlite3_vfs *vfs, const char *name)
{
	(void)vfs;
	return real_vfs->xNextSystemCall(real_vfs, name);
}

#endif
