/*
 * The one vocabulary of storage: every producer (VFS shim, recorder, import) speaks it, and every
 * consumer (index, history, lint, reports) reads it.
 *
 * Operations form one total order. The position of an operation is its index plus one, so that
 * "a crash at position p sees operations 1..p" (rule D1) and position 0 is the start.
 */
#ifndef FI_OP_H
#define FI_OP_H

#include <stdbool.h>
#include <stdint.h>

/* kind, number in the file format, word in the text twin */
#define OP_KINDS(X)                                                                                \
	X(OP_CREATE, 1, "create")		/* `name` now names the new, empty `inode` */      \
	X(OP_WRITE, 2, "write")			/* data[size] at offset of inode */                \
	X(OP_TRUNCATE, 3, "truncate")		/* inode now has `size` bytes */                   \
	X(OP_SYNC_BEGIN, 4, "sync-begin")	/* of inode; OP_SYNC_DATA: fdatasync */            \
	X(OP_SYNC_END, 5, "sync-end")		/* `offset` = position of its begin */             \
	X(OP_DIRSYNC_BEGIN, 6, "dirsync-begin") /* of the directory `name` */                      \
	X(OP_DIRSYNC_END, 7, "dirsync-end")	/* `offset` = position of its begin */             \
	X(OP_RENAME, 8, "rename")		/* `name` to `name2`, atomically */                \
	X(OP_UNLINK, 9, "unlink")		/* `name` */                                       \
	X(OP_LINK, 10, "link")			/* `name2` becomes another name of `inode` */      \
	X(OP_LOCK, 11, "lock")			/* bytes offset..offset+size of inode */           \
	X(OP_UNLOCK, 12, "unlock")                                                                 \
	X(OP_ACK, 13, "ack")	   /* the caller was told: what this connection wrote is kept */   \
	X(OP_MARK, 14, "mark")	   /* a note in data[size], no promise */                          \
	X(OP_OUTPUT, 15, "output") /* data[size] left the process: a promise under --ack output */ \
	X(OP_HOLE, 16, "hole")	   /* operations before this are missing: why in data[size] (one   \
				    * line of text); of `inode`, or 0: of some file */

enum op_kind {
#define X(kind, num, word) kind = (num),
	OP_KINDS(X)
#undef X
	    OP_KIND_MAX = 16,
};

/* Flags of SYNC_BEGIN, SYNC_END, DIRSYNC_END, LOCK and UNLOCK. */
enum {
	OP_SYNC_DATA = 1,   /* fdatasync: content and the size needed to read it */
	OP_LOCK_SHARED = 2, /* a read lock; otherwise exclusive */
	OP_LOCK_SHM = 4, /* the range lies in the WAL index of the database `inode`, where os_unix
			  * keeps its locks (bytes 120..127), not in the database file itself */
	OP_SYNC_FAILED =
	    8,		   /* of an end: the caller was told EIO, and nothing became durable (D8) */
	OP_LOCK_GONE = 16, /* of an unlock: the process has closed the file or ended, by itself;
			    * nothing says what it was doing then */
	OP_FLAGS_ALL = 31,
};

/* Byte offsets that os_unix locks: https://www.sqlite.org/src/file/src/os.h and wal.c. */
#define OP_PENDING_BYTE	  0x40000000u
#define OP_RESERVED_BYTE  (OP_PENDING_BYTE + 1)
#define OP_SHARED_FIRST	  (OP_PENDING_BYTE + 2)
#define OP_SHARED_SIZE	  510u
#define OP_SHM_LOCK_BASE  120u /* WAL_WRITE_LOCK; +1 checkpoint, +2 recover, +3.. readers */
#define OP_WAL_WRITE_BYTE 120u

/*
 * One operation. Fields that a kind does not use are 0. Inodes count from 1 in order of
 * appearance; names are indexes into the trace's table, from 1. `data` is borrowed from the trace.
 */
struct op {
	uint8_t kind;
	uint8_t flags;
	uint16_t process; /* from 1 */
	uint16_t thread;
	uint16_t connection;
	uint32_t inode;
	uint32_t name, name2;
	uint64_t offset; /* bytes */
	uint64_t size;	 /* bytes */
	const uint8_t *data;
};

/* Has it data[size]? */
static inline bool op_has_data(const struct op *op)
{
	return op->kind == OP_WRITE || op->kind == OP_MARK || op->kind == OP_OUTPUT ||
	       op->kind == OP_HOLE;
}

/* The end of a sync, or of a directory sync, that returned success. */
static inline bool op_is_sync(const struct op *op)
{
	return (op->kind == OP_SYNC_END || op->kind == OP_DIRSYNC_END) &&
	       (op->flags & OP_SYNC_FAILED) == 0;
}

#endif
