/*
 * A VFS over the process's default one, which must be one of os_unix's, that writes what SQLite
 * does to its files into a recording log (record/log.h). The heart of the loadable extension; for
 * any other program the LD_PRELOAD recorder sees more.
 *
 * Two places are watched, because neither shows everything:
 *
 *     os_unix's table of system calls      open, write, ftruncate, fallocate, unlink, the locks of
 *     (xSetSystemCall)                     fcntl, mmap, close: as they are made, in their order,
 *                                          with their results
 *     the VFS "plugpull-record"            xOpen: which file is a database. xSync and xDelete:
 *                                          fsync is not in that table
 *
 * A sync is recorded as fdatasync or as fsync, whichever the SQLite library imports: os_unix calls
 * one of them for everything. Where that cannot be seen (a static program) it is recorded as the
 * one that promises less, fdatasync. The sync of a folder begins when os_unix has opened the folder
 * and ends when xSync or xDelete returns.
 *
 * Not seen: files of a connection that was opened before, or through another VFS ("?vfs=unix"):
 * when such a one writes to a recorded database, the log says that something was missed. The
 * result of a folder's sync within xSync, which os_unix ignores too, counts as success. Atomic
 * batch writes (F2FS) look like writes. What the program does to the files past SQLite, and what
 * its children do that do not load the extension: the reader of the log compares the bytes.
 *
 * One recording at a time in a process. All functions here may be called from any thread, and
 * everything goes on in a forked child. sqlite3_api must be set (sqlite3ext.h).
 */
#ifndef FI_VFS_RECORD_H
#define FI_VFS_RECORD_H

#include "faultinject/base/err.h"

#include <stdbool.h>

#define FI_VFS_RECORD_NAME "plugpull-record"

/* Registers the VFS as the default one and takes its place in the table of system calls, for good:
 * this code must stay loaded. Idempotent. ERR_SQLITE: the default VFS is none of os_unix's, or
 * SQLite refuses. */
int fi_record_install(struct err *err);

enum fi_record_log {
	FI_RECORD_NEW,	/* the log must not exist */
	FI_RECORD_JOIN, /* others may record into it already */
};

/* Begins to record into the log at `path`. ERR_USAGE: a recording runs, or a database is open
 * already, whose beginning nobody saw; ERR_IO. */
int fi_record_start(const char *path, enum fi_record_log log, struct err *err);
/* Ends it. ERR_USAGE: none runs, or a database is still open. */
int fi_record_stop(struct err *err);
bool fi_record_is_running(void);

/* Puts the line "`word` `text`" into the log. False: no recording runs. */
bool fi_record_note(const char *word, const char *text);
/* SQLite is about to run `sql` on a connection, whose address tells it from others. */
void fi_record_statement(const void *connection, const char *sql);
/* Says in the log that something was missed. */
void fi_record_trouble(const char *text);

#endif
