/*
 * Files that are whole or not there: written under another name, synced, then renamed.
 */
#ifndef REPORTS_FILE_H
#define REPORTS_FILE_H

#include "faultinject/base/err.h"

#include <stddef.h>

/* Fills `err` with ERR_IO "VERB 'PATH': reason of errnum" on one line, whatever bytes the path has;
 * returns ERR_IO. */
int file_error(struct err *err, const char *verb, const char *path, int errnum);

/* Creates the file `path`, which must not exist, mode 0600, writes and syncs it. After a failure
 * the file does not exist. ERR_IO. */
int file_create(const char *path, const void *data, size_t size, struct err *err);

/* Writes `path` (the --json of the command line): a new file or one that exists is replaced when
 * all is written, and keeps its mode; a new one has 0600. A symbolic link is followed. What is no
 * regular file (a pipe, /dev/stdout) is written to directly. ERR_IO; after a failure a regular
 * file is what it was. */
int file_write(const char *path, const void *data, size_t size, struct err *err);

/* Makes the names in a directory durable (fsync of the directory). ERR_IO. */
int file_sync_directory(const char *path, struct err *err);

/* The directory that holds `path`; the caller frees it. */
char *file_parent(const char *path);

#endif
