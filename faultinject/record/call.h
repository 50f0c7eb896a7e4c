/*
 * A call: what one process did to the file system, in one shape whatever it was learnt from: the
 * recording log (log_read.h) or the text of strace (strace.h). assemble.h makes a trace of calls.
 *
 * Files are named by (dev, ino), which is unique among the files that exist at one time and is used
 * again later; `path` is absolute, without ".", ".." and symbolic links. The calls stand in the
 * order in which they count: a write, a lock, a new or removed name where it was done, an unlock
 * where it began, a sync in two calls.
 */
#ifndef RECORD_CALL_H
#define RECORD_CALL_H

#include "faultinject/base/arena.h"

#include <stddef.h>
#include <stdint.h>

enum call_kind {
	CALL_PROCESS = 1, /* a program began: path = executable; other_pid = its parent */
	CALL_EXIT,	  /* result = status; tid = 0: it was killed, or nobody knows by which of
			   * its threads it ended */
	CALL_BLIND,	  /* path is a program that nobody sees into; data = why */
	CALL_FILE,	 /* (dev, ino) at path is recorded from here on; CALL_EXISTED: with `length`
			  * bytes of content, which CALL_CONTENT calls give; otherwise it was created
			  * just now */
	CALL_CONTENT,	 /* of a FILE, that it had before: data at offset */
	CALL_OPEN,	 /* path is (dev, ino) now; CALL_EXISTED, CALL_TRUNCATED */
	CALL_WRITE,	 /* data at offset of (dev, ino) */
	CALL_TRUNCATE,	 /* (dev, ino) has length bytes */
	CALL_ALLOCATE,	 /* fallocate(2) of offset, length; mode */
	CALL_SYNC_BEGIN, /* of (dev, ino); CALL_DATA_ONLY */
	CALL_SYNC_END, /* result 0, or minus errno; `begin` = index of its begin among the calls */
	CALL_DIRSYNC_BEGIN, /* of the directory path */
	CALL_DIRSYNC_END,
	CALL_SYNC_ALL_BEGIN, /* sync(2); with a dev: syncfs(2) of that device */
	CALL_SYNC_ALL_END,
	CALL_RENAME, /* path to path2; mode: RENAME_EXCHANGE */
	CALL_UNLINK, /* path */
	CALL_LINK,   /* path2 becomes another name of path */
	CALL_LOCK,   /* offset, length (0: to the end) of (dev, ino); CALL_SHARED; CALL_SHM: path
		      * without "-shm" is the database */
	CALL_UNLOCK,
	CALL_CLOSE, /* the process has no handle on (dev, ino) any more: its locks are gone */
	CALL_DIGEST_BEGIN, /* the content of (dev, ino), path, is read ... */
	CALL_DIGEST_END,   /* ... and has length bytes whose XXH3-64 is hash; `begin` as above;
			    * result below 0: it could not be read */
	CALL_MAPPED,	   /* (dev, ino) may be written through a mapping */
	CALL_OUTPUT,	   /* data left the program */
	CALL_ACK,	   /* the program's own word: what was committed is kept. data = text */
	CALL_MARK,	   /* a note. data = text */
	CALL_TROUBLE,	   /* data = why something was missed */
	CALL_STATEMENT, /* SQLite is about to run data = SQL; offset: of which connection, a number
			 * that is its own in the process while it is open */
	CALL_KIND_MAX = CALL_STATEMENT,
};

/* call.flags */
enum {
	CALL_EXISTED = 1,
	CALL_TRUNCATED = 2,
	CALL_DATA_ONLY = 4,
	CALL_SHARED = 8,
	CALL_SHM = 16,
	CALL_DSYNC = 32,   /* of a write: it is on the disk when it returns */
	CALL_PERHAPS = 64, /* begun by a process that was killed in it, so it may not have happened;
			    * of a call that changes a file or a name */
};

struct call {
	enum call_kind kind;
	uint32_t flags;
	uint32_t pid, tid, other_pid;
	uint32_t mode;
	uint64_t dev, ino;
	const char *path, *path2; /* borrowed from the list; NULL: none */
	uint64_t offset, length;
	uint64_t hash;
	/* Of an end: the index of its begin. Of a call that changes a file: how many calls the list
	 * held when it began, so that who looked at the file meanwhile is not believed. */
	size_t begin;
	int64_t result;
	const uint8_t *data; /* borrowed from the list */
	size_t data_size;
};

/* Calls in order, with what they borrow. */
struct call_list {
	struct call *items; /* owned */
	size_t count, cap;
	struct arena arena;    /* strings and data that nothing else keeps */
	const uint8_t *map;    /* a mapped log that calls borrow from; or NULL */
	size_t map_size_bytes; /* unmapped by call_list_release() */
};

struct call *call_list_add(struct call_list *l); /* zeroed; valid until the next call */
void call_list_release(struct call_list *l);	 /* accepts a zeroed one */

#endif
