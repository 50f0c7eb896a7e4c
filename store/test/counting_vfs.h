/*
 * counting_vfs.h: a thin VFS over the default one, registered as the default, for the store's own
 * tests. It counts what reaches the disk, fails or kills at the n-th operation that changes it, can
 * take shared memory away, and can keep what a power cut would leave of a WAL. One per process;
 * every operation that it lets through happens for real.
 */
#ifndef STORE_TEST_COUNTING_VFS_H
#define STORE_TEST_COUNTING_VFS_H

#include <limits.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNTING_VFS_EXIT_STATUS 99
#define COUNTING_VFS_PENDING_MAX 4096

struct counting_vfs {
	sqlite3_vfs vfs;
	sqlite3_vfs *base;
	long write_count;
	long sync_count;
	/* Writes, syncs, truncations and deletions: what a fault or a kill is counted in. */
	long effect_count;
	/* The effect that fails or kills, counted from 1 since the last reset; 0 is none. */
	long fault_at;
	/* Everything from fault_at on fails, too. */
	bool fault_for_good;
	/* Full instead of an I/O error, where SQLite's interface allows it: writes. */
	bool fault_is_full;
	/* The process ends in place of the operation. */
	bool fault_kills;
	long fault_count;
	/* So many reads from now on fail. */
	long read_faults;
	/* Files claim to have no shared memory, so that WAL is impossible. */
	bool no_shared_memory;
	/* The file that keeps what is durable of the one WAL there is: of what was written since
	 * this was set, the bytes that a sync behind them has returned for. A sync that fails drops
	 * them, as the kernel does. NULL: none. */
	const char *durable_wal;
	struct counting_range {
		sqlite3_int64 offset;
		int size;
	} pending[COUNTING_VFS_PENDING_MAX];
	size_t pending_count;
};

static struct counting_vfs counting_vfs;

struct counting_file {
	sqlite3_file base;
	sqlite3_io_methods methods;
	sqlite3_file *real;
	bool is_wal;
};

static inline struct counting_file *counting_file_of(sqlite3_file *file)
{
	return (struct counting_file *)file;
}

static inline sqlite3_file *counting_real(sqlite3_file *file)
{
	return ((struct counting_file *)file)->real;
}

/* Counts an effect; true if it is to fail. Does not return if it is to kill. */
static inline bool counting_effect(void)
{
	struct counting_vfs *c = &counting_vfs;

	c->effect_count++;
	if (c->fault_at == 0 || c->effect_count < c->fault_at)
		return false;
	if (c->effect_count > c->fault_at && !c->fault_for_good)
		return false;
	if (c->fault_kills)
		_exit(COUNTING_VFS_EXIT_STATUS);
	c->fault_count++;
	return true;
}

static inline bool counting_keeps(sqlite3_file *file)
{
	return counting_vfs.durable_wal && counting_file_of(file)->is_wal;
}

/* What has been written has become durable. */
static inline void counting_keep(sqlite3_file *file)
{
	struct counting_vfs *c = &counting_vfs;
	sqlite3_file *real = counting_real(file);
	FILE *out = fopen(c->durable_wal, "r+b");

	if (!out)
		out = fopen(c->durable_wal, "w+b");
	if (!out)
		abort();
	for (size_t i = 0; i < c->pending_count; i++) {
		const struct counting_range *range = &c->pending[i];
		void *bytes = malloc((size_t)range->size);

		if (!bytes ||
		    real->pMethods->xRead(real, bytes, range->size, range->offset) != SQLITE_OK ||
		    fseek(out, (long)range->offset, SEEK_SET) != 0 ||
		    fwrite(bytes, 1, (size_t)range->size, out) != (size_t)range->size)
			abort();
		free(bytes);
	}
	if (fclose(out) != 0)
		abort();
	c->pending_count = 0;
}

static inline int counting_close(sqlite3_file *file)
{
	return counting_real(file)->pMethods->xClose(counting_real(file));
}
static inline int counting_read(sqlite3_file *file, void *bytes, int size, sqlite3_int64 offset)
{
	if (counting_vfs.read_faults > 0) {
		counting_vfs.read_faults--;
		return SQLITE_IOERR_READ;
	}
	return counting_real(file)->pMethods->xRead(counting_real(file), bytes, size, offset);
}
static inline int counting_write(sqlite3_file *file, const void *bytes, int size,
				 sqlite3_int64 offset)
{
	counting_vfs.write_count++;
	if (counting_effect())
		return counting_vfs.fault_is_full ? SQLITE_FULL : SQLITE_IOERR_WRITE;
	if (counting_keeps(file)) {
		if (counting_vfs.pending_count == COUNTING_VFS_PENDING_MAX)
			abort();
		counting_vfs.pending[counting_vfs.pending_count++] =
		    (struct counting_range){offset, size};
	}
	return counting_real(file)->pMethods->xWrite(counting_real(file), bytes, size, offset);
}
static inline int counting_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	if (counting_effect())
		return SQLITE_IOERR_TRUNCATE;
	return counting_real(file)->pMethods->xTruncate(counting_real(file), size);
}
static inline int counting_sync(sqlite3_file *file, int flags)
{
	int rc;

	counting_vfs.sync_count++;
	if (counting_effect()) {
		if (counting_keeps(file))
			counting_vfs.pending_count = 0;
		return SQLITE_IOERR_FSYNC;
	}
	rc = counting_real(file)->pMethods->xSync(counting_real(file), flags);
	if (rc == SQLITE_OK && counting_keeps(file))
		counting_keep(file);
	return rc;
}
static inline int counting_file_size(sqlite3_file *file, sqlite3_int64 *size)
{
	return counting_real(file)->pMethods->xFileSize(counting_real(file), size);
}
static inline int counting_lock(sqlite3_file *file, int lock)
{
	return counting_real(file)->pMethods->xLock(counting_real(file), lock);
}
static inline int counting_unlock(sqlite3_file *file, int lock)
{
	return counting_real(file)->pMethods->xUnlock(counting_real(file), lock);
}
static inline int counting_check_reserved(sqlite3_file *file, int *result)
{
	return counting_real(file)->pMethods->xCheckReservedLock(counting_real(file), result);
}
static inline int counting_file_control(sqlite3_file *file, int op, void *arg)
{
	return counting_real(file)->pMethods->xFileControl(counting_real(file), op, arg);
}
static inline int counting_sector_size(sqlite3_file *file)
{
	return counting_real(file)->pMethods->xSectorSize(counting_real(file));
}
static inline int counting_characteristics(sqlite3_file *file)
{
	return counting_real(file)->pMethods->xDeviceCharacteristics(counting_real(file));
}
static inline int counting_shm_map(sqlite3_file *file, int page, int size, int extend,
				   void volatile **memory)
{
	return counting_real(file)->pMethods->xShmMap(counting_real(file), page, size, extend,
						      memory);
}
static inline int counting_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
	return counting_real(file)->pMethods->xShmLock(counting_real(file), offset, n, flags);
}
static inline void counting_shm_barrier(sqlite3_file *file)
{
	counting_real(file)->pMethods->xShmBarrier(counting_real(file));
}
static inline int counting_shm_unmap(sqlite3_file *file, int delete_flag)
{
	return counting_real(file)->pMethods->xShmUnmap(counting_real(file), delete_flag);
}

static inline int counting_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
				int *ret_flags)
{
	struct counting_file *f = counting_file_of(file);
	int rc;

	(void)vfs;
	memset(f, 0, sizeof(*f));
	f->real = (sqlite3_file *)(f + 1);
	f->is_wal = (flags & SQLITE_OPEN_WAL) != 0;
	rc = counting_vfs.base->xOpen(counting_vfs.base, name, f->real, flags, ret_flags);
	if (!f->real->pMethods)
		return rc;
	f->methods = (sqlite3_io_methods){
	    .iVersion = counting_vfs.no_shared_memory ? 1 : 2,
	    .xClose = counting_close,
	    .xRead = counting_read,
	    .xWrite = counting_write,
	    .xTruncate = counting_truncate,
	    .xSync = counting_sync,
	    .xFileSize = counting_file_size,
	    .xLock = counting_lock,
	    .xUnlock = counting_unlock,
	    .xCheckReservedLock = counting_check_reserved,
	    .xFileControl = counting_file_control,
	    .xSectorSize = counting_sector_size,
	    .xDeviceCharacteristics = counting_characteristics,
	    .xShmMap = counting_shm_map,
	    .xShmLock = counting_shm_lock,
	    .xShmBarrier = counting_shm_barrier,
	    .xShmUnmap = counting_shm_unmap,
	};
	f->base.pMethods = &f->methods;
	return rc;
}
static inline int counting_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
	(void)vfs;
	if (counting_effect())
		return SQLITE_IOERR_DELETE;
	return counting_vfs.base->xDelete(counting_vfs.base, name, sync_dir);
}
static inline int counting_access(sqlite3_vfs *vfs, const char *name, int flags, int *result)
{
	(void)vfs;
	return counting_vfs.base->xAccess(counting_vfs.base, name, flags, result);
}
static inline int counting_full_pathname(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
	(void)vfs;
	return counting_vfs.base->xFullPathname(counting_vfs.base, name, size, out);
}

/* Zeroes the counters and takes every fault away. */
static inline void counting_vfs_reset(void)
{
	struct counting_vfs *c = &counting_vfs;

	c->write_count = 0;
	c->sync_count = 0;
	c->effect_count = 0;
	c->fault_at = 0;
	c->fault_for_good = false;
	c->fault_is_full = false;
	c->fault_kills = false;
	c->fault_count = 0;
	c->read_faults = 0;
	c->no_shared_memory = false;
}

/* From now on: nothing of the WAL that is there is known to be durable. Unlike the faults it stays
 * over a reset; NULL ends it. */
static inline void counting_vfs_keep_wal(const char *durable_wal)
{
	counting_vfs.durable_wal = durable_wal;
	counting_vfs.pending_count = 0;
	if (durable_wal)
		remove(durable_wal);
}

static inline void counting_vfs_install(void)
{
	struct counting_vfs *c = &counting_vfs;

	counting_vfs_reset();
	counting_vfs_keep_wal(NULL);
	/* A test that failed has left it in place. */
	if (sqlite3_vfs_find("counting"))
		return;
	c->base = sqlite3_vfs_find(NULL);
	/* Time, randomness and sleep are the base's own functions, which ignore their vfs. */
	c->vfs = *c->base;
	c->vfs.pNext = NULL;
	c->vfs.zName = "counting";
	c->vfs.szOsFile = (int)sizeof(struct counting_file) + c->base->szOsFile;
	c->vfs.xOpen = counting_open;
	c->vfs.xDelete = counting_delete;
	c->vfs.xAccess = counting_access;
	c->vfs.xFullPathname = counting_full_pathname;
	sqlite3_vfs_register(&c->vfs, 1);
}

static inline void counting_vfs_remove(void)
{
	sqlite3_vfs_unregister(&counting_vfs.vfs);
	sqlite3_vfs_register(counting_vfs.base, 1);
}

#endif
