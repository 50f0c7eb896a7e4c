/*
 * The two steps that every file written for good needs besides write(2) and rename(2).
 */
#ifndef FI_BASE_FILEIO_H
#define FI_BASE_FILEIO_H

#include <stddef.h>

/* Writes all of data[size] to `fd`, going on after signals and short writes. 0, or -1 with errno.
 */
int fd_write_all(int fd, const void *data, size_t size);

/* Makes a new name durable: syncs the folder that holds `path`. Some file systems cannot sync a
 * folder and say EINVAL, and a folder that may be written and not read cannot be opened: both count
 * as done, being as far as that is ours to do. 0, or -1 with errno. */
int folder_sync_of(const char *path);

#endif
