/*
 * Shared by vfs.c, vfs_file.c, vfs_lock.c and vfs_shm.c only: the one machine that the shim runs,
 * its open files, and what files of the same inode share.
 *
 * A `struct vfs_file` is one handle (sqlite3_file). Handles of database files hang on a
 * `struct vfs_node`, found by inode: locks and shared memory are derived from the handles on it.
 * Journals, WALs and private files have no node, as os_unix gives them no locks.
 *
 * os_unix below: https://www.sqlite.org/src/file/src/os_unix.c
 */
#ifndef FI_VFS_INTERNAL_H
#define FI_VFS_INTERNAL_H

#include "faultinject/base/prng.h"
#include "faultinject/clock.h"
#include "faultinject/storage.h"
#include "faultinject/trace.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	VFS_PATH_MAX = 512, /* bytes; MAX_PATHNAME of os_unix */
	VFS_NODE_BUCKETS = 64,
	VFS_SHM_REGION_SIZE = 32768, /* WALINDEX_PGSZ of wal.c: the only size SQLite asks for */
	VFS_SHM_REGIONS_MAX = 1 << 16,
};

struct vfs_node;

struct vfs_file {
	sqlite3_file base;
	struct vfs_node *node;	      /* NULL: not a database file */
	struct vfs_file *next_handle; /* on the same node */
	const char *path;	      /* SQLite's, valid until xClose; NULL: private */
	uint32_t inode;		      /* 0: private */
	uint16_t process;	      /* the actor that opened it */
	bool read_only;
	bool is_wal;
	bool dirsync_due; /* UNIXFILE_DIRSYNC */
	bool psow;	  /* UNIXFILE_PSOW */
	bool persist_wal; /* UNIXFILE_PERSIST_WAL */
	int chunk_size_bytes;
	int last_errno;

	uint8_t lock;	    /* SQLITE_LOCK_* */
	bool holds_pending; /* byte PENDING, exclusively */
	bool holds_reserved;

	bool is_shm_mapped;
	uint8_t shm_shared, shm_exclusive; /* bit i: slot i */

	uint8_t *memory; /* content of a private file; owned */
	size_t memory_size, memory_cap;
};

struct vfs_node {
	uint32_t inode;
	struct vfs_node *next; /* in its bucket, or in the list of free ones */
	struct vfs_file *handles;
	uint8_t **regions; /* owned; VFS_SHM_REGION_SIZE bytes each */
	size_t region_count, regions_cap;
	unsigned shm_handle_count;
};

struct vfs_machine {
	struct storage *storage; /* borrowed; NULL before the first boot */
	struct trace_device device;
	struct prng random;
	int64_t clock_us;			/* since the start of the virtual clock */
	const struct fi_clock_plan *clock_plan; /* NULL: a clock as it should be */
	uint64_t clock_moves;
	uint64_t call_count, call_max;
	bool written; /* since boot: some file */
	bool syncs_ignored;
	int defect; /* enum fi_vfs_defect */
	unsigned open_count;
	int last_errno;
	struct vfs_node *buckets[VFS_NODE_BUCKETS];
	struct vfs_node *free_nodes; /* kept, so that a recovery allocates nothing */
};

extern struct vfs_machine fi_machine;

/* Counts a call. SQLITE_IOERR when there have been too many, and before the first boot. */
static inline int vfs_enter(void)
{
	struct vfs_machine *m = &fi_machine;

	m->call_count++;
	if (m->storage == NULL || (m->call_max != 0 && m->call_count > m->call_max))
		return SQLITE_IOERR;
	return SQLITE_OK;
}

/* The only translation of a storage's answer (0 or a negative errno) into SQLite's: `code` is the
 * SQLITE_IOERR_* or SQLITE_CANTOPEN of the call, refined as os_unix does. Remembers the errno, in
 * `f` too unless that is NULL. */
int fi_vfs_result(struct vfs_file *f, int error, int code);

/* The node of an inode, created if there is none, with `f` hung on it; and the reverse. */
void fi_vfs_node_attach(struct vfs_file *f);
void fi_vfs_node_detach(struct vfs_file *f);

/* fsync of the directory that `path` is in. */
int fi_vfs_dirsync(const char *path);

/* Records that `f` took or released a byte range, when the storage wants to know. */
void fi_vfs_note_lock(struct vfs_file *f, bool unlock, uint8_t flags, uint64_t offset,
		      uint64_t size);

extern const sqlite3_io_methods fi_vfs_methods;

int fi_vfs_lock(sqlite3_file *file, int level);
int fi_vfs_unlock(sqlite3_file *file, int level);
/* Gives up all locks of a handle that is being closed, whatever is planted. */
void fi_vfs_unlock_all(struct vfs_file *f);
int fi_vfs_check_reserved(sqlite3_file *file, int *ret_reserved);

int fi_vfs_shm_map(sqlite3_file *file, int region, int size, int extend,
		   void volatile **ret_memory);
int fi_vfs_shm_lock(sqlite3_file *file, int offset, int count, int flags);
void fi_vfs_shm_barrier(sqlite3_file *file);
int fi_vfs_shm_unmap(sqlite3_file *file, int delete_flag);
/* Does another process than that of `f` read the WAL (SQLITE_FCNTL_EXTERNAL_READER)? */
bool fi_vfs_shm_has_external_reader(const struct vfs_file *f);

#endif
