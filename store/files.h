/*
 * files.h: the files that a store writes outside SQLite, logs of steps and backups, as a table of
 * functions. Included by store.h.
 *
 * A file gets its final name only when it is whole and durable:
 *
 *   create name.part ─> write … ─> sync ─> close ─> rename to name ─> sync_folder
 *
 * so that after a crash, at any moment, `name` is not there or is whole. The table exists so that a
 * caller can put the files elsewhere, and so that a test can be the disk.
 *
 * Every function returns 0 or a positive errno. Paths are what the caller of the library gave, plus
 * a suffix. The functions of one table may be called by several threads at once, for different
 * files.
 */
#ifndef STORE_FILES_H
#define STORE_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "api.h"

STORE_API_BEGIN

struct store_files {
	void *context; /* handed to every function */
	/* Creates the file, or empties it, for writing. *ret_file goes to write, sync and close. */
	int (*create)(void *context, const char *path, void **ret_file);
	/* Appends all of it, or fails: ENOSPC, EIO. */
	int (*write)(void *context, void *file, const void *data, size_t size);
	/* fsync: returns when the content is durable. After an error it is not known what is. */
	int (*sync)(void *context, void *file);
	/* Frees the file, also when it returns an error. Not a sync. */
	int (*close)(void *context, void *file);
	/* *ret_got < size at the end of the file. ENOENT when there is none. */
	int (*read)(void *context, const char *path, uint64_t offset_bytes, void *buffer,
		    size_t size, size_t *ret_got);
	/* Atomic; a file named `to` is replaced. Not durable. */
	int (*rename)(void *context, const char *from, const char *to);
	/* ENOENT when there is none. Not durable. */
	int (*remove)(void *context, const char *path);
	/* fsync of a folder: returns when the names in it are durable. */
	int (*sync_folder)(void *context, const char *folder);
};

/* The files of the operating system: open, write, fsync, rename, unlink. Static. Files are made
 * with mode 0600; a backup in steps is made by SQLite, with its mode. */
const struct store_files *store_files_posix(void);

STORE_API_END

#endif
