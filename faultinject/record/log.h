/*
 * The recording log: what recorded processes did to their databases' files, as a mapped file that
 * all of them append to. Written by the LD_PRELOAD recorder and by the loadable extension, inside
 * programs that we do not know; read by log_read.h when they are done.
 *
 * The writer's half is async-signal-safe and allocates nothing: it may run in any thread, in a
 * signal handler, between fork and exec, and in a program that is out of memory.
 *
 * Order. A record's place is taken by one atomic addition to `tail`, so the records of all
 * processes have one order. A call that changes something is recorded in two: RECLOG_BEGIN before
 * it, with everything that is known then, and RECLOG_END, which names it, after it returned. What
 * counts as its position is the log reader's to say (log_read.h). A process that is killed inside
 * a call leaves a BEGIN without an END: nobody knows whether it happened.
 *
 * Survival. The file is mapped shared: what was stored is there when the process is killed. A
 * record is whole when its `state` is RECLOG_WHOLE, which is stored last; `size` is stored first,
 * so that a record that its process did not finish can be stepped over; and each record begins
 * with a tag made of its own offset, so that the next one can be found when not even the size was
 * stored.
 *
 * Room. The file is sparse and mapped whole; before a record is written the pages below it are
 * populated for writing, RECLOG_STEP bytes at a time (MADV_POPULATE_WRITE; where the kernel is too
 * old for it, fallocate), so that a full disk is an error that we see (RECLOG_FULL) and not a
 * SIGBUS in somebody's program. From then on nothing is recorded, and the recording says so. On a
 * file system that copies on write (btrfs) the disk may still be full when a page is written back.
 *
 * Content. What a file held when its recording began is read once, by whichever process comes
 * first: reclog_claim_inode() says who that is, and makes the others wait until it is done. Inode
 * numbers are used again, so a file that is removed is forgotten.
 *
 * Layout: struct reclog_header at 0, records from RECLOG_START on, each at a multiple of 8:
 *
 *     struct reclog_record | path | path2 | data
 *
 * path_size and path2_size count the zero byte that ends each; 0 bytes: there is none.
 *
 * Size. Most of what recording costs is fresh pages for the log, so a write may say only what is
 * new in it (RECLOG_DELTA). Whoever waits for the programs can make the pages meanwhile
 * (reclog_prepare()).
 *
 * Both halves run on the same machine, so integers are in its byte order.
 */
#ifndef RECORD_LOG_H
#define RECORD_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RECLOG_MAGIC	   0x0a676f6c65727070u	/* "pprelog\n" */
#define RECLOG_TAG	   0x8b5cf02d4e9a7713u	/* of a record: this, exclusive-or its offset */
#define RECLOG_ENVIRONMENT "PLUGPULL_RECORDING" /* the log's absolute path, for the programs */

enum {
	RECLOG_FORMAT = 1,
	RECLOG_PATH_MAX = 4096,	    /* bytes of a path, its end included */
	RECLOG_DATABASES_MAX = 256, /* database files of one recording */
	RECLOG_INODES_MAX = 8192,   /* files whose content is known; of more, the content is taken
				     * by each process */
	RECLOG_SQL_MAX = 4096,	    /* bytes of a statement */
	RECLOG_START = 2 << 20,	    /* bytes; where the records begin */
};
#define RECLOG_SIZE_MAX ((uint64_t)64 << 30) /* bytes of address space and of the sparse file */
#define RECLOG_STEP	((uint64_t)1 << 20)  /* bytes that are allocated at a time */

/* Wishes of whoever started the recording; reclog_header.flags. */
enum {
	RECLOG_WATCH_OUTPUT = 1, /* note what the program wrote to its output, and to sockets */
	RECLOG_WATCH_MARKS = 2,	 /* note what was written to $PLUGPULL_MARK; set by the recorder
				  * itself when it sees that file opened */
	RECLOG_ALL_FILES = 4,	 /* record every file in a folder with a database, not only the
				  * files that SQLite keeps */
};

/* Why a recording is not whole; reclog_header.trouble. */
enum {
	RECLOG_FULL = 1,	       /* no room on the disk, or RECLOG_SIZE_MAX reached */
	RECLOG_TOO_MANY_DATABASES = 2, /* more than RECLOG_DATABASES_MAX */
	RECLOG_NOT_MAPPED = 4,	       /* a program could not map the log (RLIMIT_AS), so nothing
					* of it is recorded */
};

enum reclog_type {
	RECLOG_PROCESS = 1, /* a program began under the recorder, or a process was forked by one:
			     * path = executable, length = parent. When the process is known
			     * already, it has executed another program; its files that were closed
			     * by that have a RECLOG_CLOSE before */
	RECLOG_EXIT,	    /* it is about to end by itself: result = status */
	RECLOG_BLIND,	    /* it executes a program that the recorder cannot see into: path, data
			     * = why, in words */
	RECLOG_FILE,	 /* a file (dev, ino, path) is recorded from here on; RECLOG_EXISTED: it was
			  * there before, and has length bytes, which RECLOG_CONTENT gives between
			  * the BEGIN and the END; nobody who is recorded changes it meanwhile.
			  * Without END the process was killed, and another one does it again */
	RECLOG_CONTENT,	 /* of a FILE (dev, ino), whose BEGIN is `begin`: data at offset */
	RECLOG_OPEN,	 /* path was opened and is (dev, ino) now; RECLOG_EXISTED: it was there
			  * before, else the open made it; RECLOG_TRUNCATED: with O_TRUNC. A file
			  * that an open made has no FILE. An open that changes nothing is ONCE. The
			  * BEGIN of one that makes a file has ino 0. RECLOG_SHM: a WAL index; this
			  * gives its name, and is no call */
	RECLOG_WRITE,	 /* data at offset of (dev, ino). When the BEGIN has a length and no data,
			  * the bytes were copied from another descriptor, and stand in the END */
	RECLOG_TRUNCATE, /* (dev, ino) has length bytes now */
	RECLOG_ALLOCATE, /* fallocate: offset, length, mode = its mode */
	RECLOG_SYNC,	 /* fsync or, with RECLOG_DATA_ONLY, fdatasync of (dev, ino) */
	RECLOG_DIRSYNC,	 /* fsync of the directory `path` */
	RECLOG_SYNC_ALL, /* sync, or, when dev is not 0, syncfs of that device */
	RECLOG_RENAME,	 /* path to path2; mode = RENAME_EXCHANGE: and path2 to path */
	RECLOG_UNLINK,	 /* path */
	RECLOG_LINK,	 /* path2 becomes another name of path */
	RECLOG_LOCK,	 /* fcntl lock of offset..offset+length (0: to the end) of (dev, ino);
			  * RECLOG_SHARED: a read lock. ONCE, after it was got. No path: the name is
			  * the last one that (dev, ino) had in an OPEN or FILE */
	RECLOG_UNLOCK,	 /* ONCE, before. Also of all (0, 0) where the process closes one of several
			  * descriptors of the file, which takes its locks away */
	RECLOG_CLOSE,	 /* ONCE, before: the last handle of this process on (dev, ino) is closed */
	RECLOG_DIGEST,	/* between BEGIN and END the content of (dev, ino), `path`, was read: length
			 * bytes whose XXH3-64 is `offset`; both stand in the END */
	RECLOG_MAPPED,	/* (dev, ino) is mapped, shared and writable */
	RECLOG_OUTPUT,	/* data went to a socket, or, without data, the output file now has length
			 * bytes, of which those from offset on are new */
	RECLOG_MARK,	/* the same for the file of marks */
	RECLOG_TROUBLE, /* data = in words, why something was missed */
	RECLOG_STATEMENT, /* ONCE, before SQLite runs it: data = its SQL, at most RECLOG_SQL_MAX
			   * bytes, without the values of parameters; offset = the connection's
			   * address. One that is run again before anything else is recorded has
			   * no record */
	RECLOG_TYPE_MAX = RECLOG_STATEMENT,
};

/* reclog_record.flags */
enum {
	RECLOG_EXISTED = 1,
	RECLOG_TRUNCATED = 2,
	RECLOG_DATA_ONLY = 4,
	RECLOG_SHARED = 8,
	RECLOG_SHM = 16,    /* the file is the WAL index of the database whose name is path without
			     * its "-shm" */
	RECLOG_DSYNC = 32,  /* of a write: with O_SYNC, O_DSYNC or RWF_DSYNC */
	RECLOG_APPEND = 64, /* of a write: at the end; the END says where that was */
	RECLOG_DELTA = 128, /* of the BEGIN of a write of `length` bytes, a multiple of 64: `data`
			     * is what differs from the data of the write whose BEGIN is `begin`,
			     * which may be a delta, too: a bit for each block of 64 bytes, lowest
			     * first, rounded up to bytes; then the blocks whose bit is 1 */
};

enum reclog_moment {
	RECLOG_ONCE = 1, /* one record is all */
	RECLOG_BEGIN,
	RECLOG_END,
};

enum { RECLOG_WHOLE = 0x77686f6c };

struct reclog_record {
	uint64_t tag;
	uint32_t size;	/* of all, this struct included; a multiple of 8 */
	uint32_t state; /* RECLOG_WHOLE when all is there */
	uint8_t type;	/* enum reclog_type */
	uint8_t moment; /* enum reclog_moment */
	uint16_t flags;
	uint32_t pid, tid;
	uint32_t mode;
	uint64_t begin; /* of an END: the offset of its BEGIN in the log; RECLOG_DELTA */
	uint64_t dev, ino;
	uint64_t offset, length;
	int64_t result; /* of an END or ONCE: what the call returned, or minus errno */
	uint32_t path_size, path2_size;
	uint64_t data_size;
};

enum reclog_inode_state { RECLOG_FREE, RECLOG_FILLING, RECLOG_READING, RECLOG_DONE };

/* A file whose content is in the log, or just being read. */
struct reclog_inode {
	uint64_t dev, ino;
	uint32_t state; /* atomic: enum reclog_inode_state */
	uint32_t pid;	/* atomic: who reads it */
};

struct reclog_header {
	uint64_t magic;
	uint32_t format;
	uint32_t flags;	      /* atomic */
	uint64_t tail;	      /* atomic: bytes of the file that are taken */
	uint32_t trouble;     /* atomic */
	uint32_t generation;  /* atomic: grows whenever a name that was not recorded may be now */
	uint64_t output_seen; /* atomic: bytes of the output file that have been noted */
	uint64_t marks_seen;  /* atomic: the same for the file of marks */
	/* A kill that was asked for: at the kill_number-th (from 1) effective call of all recorded
	 * processes (write, truncate, allocate, sync, unlink, rename, link, lock, unlock), at the
	 * moment that kill_moment says, the process kills itself by SIGKILL. */
	uint32_t kill_moment; /* 0 = never, 1 before, 2 after, 3 inside (of the n-th sync): begun,
			       * not carried out */
	uint32_t padding;
	uint64_t kill_number;
	uint64_t call_count, sync_count; /* atomic: effective calls, and syncs, so far */
	char output_path[RECLOG_PATH_MAX], mark_path[RECLOG_PATH_MAX]; /* "" = none */
	uint64_t started_ns;	 /* when the log was made, by CLOCK_REALTIME_COARSE, which is
				  * what files' times come from: earlier ones are of before */
	uint32_t database_count; /* atomic: entries that are taken */
	uint32_t inode_count;	 /* atomic: entries that are or were in use */
	struct reclog_inode inodes[RECLOG_INODES_MAX];
	/* Absolute, without symbolic links. The first byte is stored last, and never changes then;
	 * an entry may be there twice. */
	char databases[RECLOG_DATABASES_MAX][RECLOG_PATH_MAX];
};

_Static_assert(sizeof(struct reclog_record) == 96, "no padding");
_Static_assert(sizeof(struct reclog_header) <= RECLOG_START, "the header ends before the records");

/* A log that is mapped in this process. Zero: none. */
struct reclog {
	uint8_t *map; /* RECLOG_SIZE_MAX bytes */
	char path[RECLOG_PATH_MAX];
	uint8_t populated[RECLOG_SIZE_MAX / RECLOG_STEP / 8]; /* atomic; a bit for each step that
							       * this process has populated */
};

static inline struct reclog_header *reclog_header(const struct reclog *l)
{
	return (struct reclog_header *)l->map;
}

/* Makes a new log at `path` (which must not exist; mode 0600) with these wishes, and maps it. Waits
 * for the next tick of the kernel's clock, so that the times of files tell whether they were
 * written before or since. 0 or minus errno. */
int reclog_create(struct reclog *l, const char *path, uint32_t flags);
/* Maps an existing one. 0, minus errno, or -EINVAL when it is none. Errno is left as it was. */
int reclog_attach(struct reclog *l, const char *path);
void reclog_detach(struct reclog *l);

/* Makes the next `ahead` bytes of the file ready, so that the programs need not: to be called every
 * few milliseconds by who waits for them, in a process of its own. */
void reclog_prepare(struct reclog *l, uint64_t ahead);

/* A record to be. Strings may be NULL. */
struct reclog_entry {
	struct reclog_record head; /* type, moment, flags, begin, mode, dev, ino, offset, length,
				    * result; pid and tid, unless 0; the rest is filled in */
	const char *path, *path2;
	const void *data;
	size_t data_size;
};

/* Appends one; returns its offset in the log, or 0 when there is no room (then `trouble` says so).
 * Leaves errno as it was. */
uint64_t reclog_append(struct reclog *l, const struct reclog_entry *e);
/* The same with the data in pieces, as pwritev has them. */
struct iovec;
uint64_t reclog_append_pieces(struct reclog *l, const struct reclog_entry *e,
			      const struct iovec *pieces, int piece_count);

/* Where a thread's last RECLOG_STATEMENT is. Zero: there is none. */
struct reclog_said {
	uint64_t at, connection;
	size_t size; /* of the SQL */
};

/* Appends a RECLOG_STATEMENT of this thread, unless the log ends with the same one. `last` is the
 * thread's own. Leaves errno as it was. */
void reclog_append_statement(struct reclog *l, struct reclog_said *last, uint32_t pid, uint32_t tid,
			     uint64_t connection, const char *sql);

enum reclog_claim {
	RECLOG_KNOWN,	/* the content is in the log */
	RECLOG_CLAIMED, /* the caller is to log it, and then to call reclog_inode_done() */
	RECLOG_NO_ROOM, /* the same, but the next one will not know that it was done */
};

/* Who logs the content of this file? Waits while another process does. */
enum reclog_claim reclog_claim_inode(struct reclog *l, uint64_t dev, uint64_t ino);
/* The content is in the log. Also for a new file, which has none. */
void reclog_inode_done(struct reclog *l, uint64_t dev, uint64_t ino);
/* The file has no name any more; its number may soon be another's. */
void reclog_forget_inode(struct reclog *l, uint64_t dev, uint64_t ino);

/* Adds a database to the table unless it is there. False: the table is full (`trouble`). */
bool reclog_add_database(struct reclog *l, const char *path);
/* Is `path` a file of a database of the table: itself, or its name with something that begins with
 * "-" behind ("-journal", "-wal", "-shm", "-mj01234567")? With RECLOG_ALL_FILES also any other file
 * below the folder of one. *ret_is_shm: it is a "-shm". */
bool reclog_is_recorded(const struct reclog *l, const char *path, bool *ret_is_shm);
/* Is a database of the table in this folder? With RECLOG_ALL_FILES also: in one above it? */
bool reclog_has_folder(const struct reclog *l, const char *path);
/* Is one below it? */
bool reclog_has_below(const struct reclog *l, const char *path);
/* A name leads to another file now, so whoever thinks that a file is not recorded looks again. */
void reclog_names_changed(struct reclog *l);

#endif
