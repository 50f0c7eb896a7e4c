/*
 * What the VFS shim stands on: a set of files, either certain (disk.h, while a workload is
 * recorded) or undecided (crashdisk.h, while a recovery runs). Same calls for both, so that SQLite
 * meets the very same shim when it writes and when it recovers.
 *
 * Every function returns 0 or a negative errno. Paths are absolute and normalised. Inodes come
 * from storage_open(). One storage is used by one thread at a time.
 */
#ifndef FI_STORAGE_H
#define FI_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct storage;

struct storage_ops {
	/* *ret_yes: the path names a file that is not empty. os_unix answers xAccess(EXISTS) that
	 * way, and it is all that recovery asks of a journal before it opens it. */
	int (*access)(struct storage *s, const char *path, bool *ret_yes);
	/* -ENOENT when there is no such file and `create` is false. */
	int (*open)(struct storage *s, const char *path, bool create, uint32_t *ret_inode,
		    bool *ret_created);
	/* *ret_got < size at the end of the file. */
	int (*read)(struct storage *s, uint32_t inode, uint64_t offset, void *buf, size_t size,
		    size_t *ret_got);
	int (*write)(struct storage *s, uint32_t inode, uint64_t offset, const void *data,
		     size_t size);
	int (*truncate)(struct storage *s, uint32_t inode, uint64_t size);
	int (*size)(struct storage *s, uint32_t inode, uint64_t *ret_size);
	/* fsync (data_only: fdatasync) of a file, or fsync of a directory. */
	int (*sync)(struct storage *s, uint32_t inode, bool data_only);
	int (*dirsync)(struct storage *s, const char *directory);
	/* -ENOENT when there is no such file. */
	int (*unlink)(struct storage *s, const char *path);
	/* A lock was taken or released; `flags` and the byte range as in OP_LOCK. For the record
	 * only: the shim arbitrates. May be NULL. */
	void (*lock)(struct storage *s, uint32_t inode, bool unlock, uint8_t flags, uint64_t offset,
		     uint64_t size);
};

/* Who is acting: copied into every operation that is recorded. Numbers count from 1. */
struct storage_actor {
	uint16_t process, thread, connection;
};

struct storage {
	const struct storage_ops *ops;
	struct storage_actor actor;
};

#endif
