/*
 * What the three files of the recording VFS share.
 *
 *     vfs_record.c          the VFS
 *     vfs_record_calls.c    the system calls
 *     vfs_record_session.c  the log, and which files are recorded
 */
#ifndef FI_VFS_RECORD_INTERNAL_H
#define FI_VFS_RECORD_INTERNAL_H

#include "faultinject/base/err.h"
#include "faultinject/record/log.h"

#include <sqlite3ext.h>
#include <stdbool.h>
#include <stdint.h>

/* ---- vfs_record_session.c ---- */

enum record_kind {
	RECORD_DATABASE = 1,
	RECORD_JOURNAL, /* also a super-journal */
	RECORD_WAL,
	RECORD_SHM, /* only its locks are recorded */
};

/* A file of a recorded database. */
struct record_name {
	enum record_kind kind;
	char path[RECLOG_PATH_MAX]; /* absolute, without symbolic links */
};

/* A database is being opened; `path` as SQLite has it. Its files are recorded from now on, and what
 * stands beside it already is put into the log. */
void record_enter(const char *path);
void record_leave(void); /* it is closed, or could not be opened */

/* Is the file that SQLite calls `path` recorded, and as what? */
bool record_is_recorded(const char *path, struct record_name *ret);

/* reclog_append() of what a call is about to do, and of how it ended; `e` is filled in. The answer
 * of the first is for the second: 0 when no recording runs or there is no room. */
uint64_t record_begin(struct reclog_entry *e);
void record_end(struct reclog_entry *e, uint64_t begin, int64_t result);
void record_once(struct reclog_entry *e);
/* fi_record_trouble(), the first time in this recording. */
void record_trouble_once(const char *text);

/* The file that was there when `fd` was opened: FILE and CONTENT, unless the log has them. */
void record_content(int fd, const char *path);
/* A file that was just made, and one that is about to lose this name. */
void record_made(uint64_t dev, uint64_t ino);
void record_unmade(const char *path);
/* DIGEST of what `fd` has now. */
void record_digest(int fd, uint64_t dev, uint64_t ino, const char *path);

/* ---- vfs_record_calls.c ---- */

/* What this thread is doing in a method of the VFS, for the system calls below it. */
struct record_method {
	const char *path; /* of the file, as SQLite has it */
	bool is_open;	  /* xOpen */
	bool is_opened;	  /* set when a recorded file was opened: (dev, ino) */
	uint64_t dev, ino;
	bool is_sync; /* xSync, or xDelete with a sync of the folder */
	/* Syncs that are under way; 0 = none. The first one ends when the second begins. */
	struct reclog_entry file;
	uint64_t file_begin;
	struct reclog_entry folder; /* its path is folder_path */
	uint64_t folder_begin;
	char folder_path[RECLOG_PATH_MAX];
};
extern _Thread_local struct record_method *record_method; /* NULL: in none */

/* Takes the place of os_unix's system calls. ERR_SQLITE. */
int record_take_calls(sqlite3_vfs *unix_vfs, struct err *err);
/* The (dev, ino) of a recorded file that is open under this path. */
bool record_find_open(const char *path, uint64_t *ret_dev, uint64_t *ret_ino);

#endif
