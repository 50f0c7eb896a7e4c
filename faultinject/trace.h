/*
 * The trace: what happened to a set of files, in order. The waist of the program: producers append
 * to one, consumers only read it.
 *
 * In memory it is an array of operations, a table of names and the durable base (files that were
 * there, and safe, before the first operation). On disk it is a header and checksummed records
 * (layout in trace_bytes.c). A file whose tail is torn, because its writer was killed, is cut at
 * the last whole record and says so; a file that is damaged anywhere else is refused, as is one
 * whose base or header is incomplete. Files from strangers are untrusted: every size is bounded by
 * a TRACE_*_MAX and the parser never reads outside its input.
 *
 * Threads: a trace is used by one thread while it is appended to; a finished one may be shared.
 */
#ifndef FI_TRACE_H
#define FI_TRACE_H

#include "faultinject/base/buf.h"
#include "faultinject/base/err.h"
#include "faultinject/op.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
	TRACE_FORMAT = 1,
	TRACE_NAME_MAX = 4096,	     /* bytes in a name */
	TRACE_NAMES_MAX = 1 << 20,   /* names in a trace */
	TRACE_INODES_MAX = 1 << 20,  /* inodes in a trace */
	TRACE_OPS_MAX = 1 << 28,     /* operations in a trace */
	TRACE_PAYLOAD_MAX = 1 << 30, /* bytes of one write or note */
	TRACE_WHY_MAX = 1024,	     /* bytes that say why there is a hole */
	TRACE_STATEMENTS_MAX = 1 << 20,
	TRACE_SQL_MAX = 4096, /* bytes of a statement that are kept, and of where it stands */
};
#define TRACE_FILE_SIZE_MAX ((uint64_t)1 << 40) /* the largest offset + size of a write */

/* What the recorder told SQLite about the disk (sqlite3_io_methods xSectorSize,
 * xDeviceCharacteristics): SQLite writes differently for other answers. */
struct trace_device {
	uint32_t sector_size_bytes;
	uint32_t characteristics; /* SQLITE_IOCAP_* bits */
};

/* A file of the durable base. Several entries may share an inode (hard links); only the first of
 * them carries the content. */
struct trace_base {
	uint32_t inode;
	uint32_t name;
	uint64_t size;
	const uint8_t *data; /* borrowed from the trace */
};

/*
 * A statement of SQL, where the producer could see it. It stands beside the operations and is none
 * of them: it moves no position, and nothing that judges a trace looks at it; it is for people who
 * ask what a write was about.
 */
struct trace_statement {
	uint64_t position; /* of the last operation before it was run */
	uint16_t process, thread, connection;
	const char *source; /* "orders.sql:6"; "" when unknown; borrowed from the trace */
	const char *sql;    /* one line, without the values of parameters; borrowed likewise */
};

struct trace {
	struct trace_device device;
	char *producer; /* one line: who recorded this, with versions; owned */

	const char **names; /* names[1..name_count]; [0] is ""; owned */
	uint32_t name_count;
	uint32_t inode_count; /* inodes are 1..inode_count */

	struct trace_base *base; /* owned */
	size_t base_count;

	struct op *ops; /* owned; ops[i] is at position i + 1 */
	size_t op_count;

	struct trace_statement *statements; /* owned; by position */
	size_t statement_count;

	bool torn;		  /* the file ended inside a record, or without its end record */
	uint64_t torn_size_bytes; /* bytes that were cut */

	struct trace_private *priv; /* name lookup and payload memory */
};

/* An empty trace. `producer` is copied. Free with trace_free(). */
struct trace *trace_create(struct trace_device device, const char *producer);
void trace_free(struct trace *t); /* accepts NULL */

/* The index of `path` in the table, added if it is not there. Paths are absolute, without "." and
 * ".." components and without a trailing slash. */
uint32_t trace_name(struct trace *t, const char *path);
/* The index of `path`, or 0. */
uint32_t trace_find_name(const struct trace *t, const char *path);
/* The directory part of a path ("/" for "/x"), as written to `buf`. */
void trace_dirname(const char *path, char *buf, size_t size);

/* Reserves the next inode number. */
uint32_t trace_new_inode(struct trace *t);

/* Adds a file to the base; allowed only before the first operation. The content is copied; NULL
 * data with a known inode makes a hard link. */
void trace_add_base(struct trace *t, uint32_t inode, uint32_t name, const void *data,
		    uint64_t size);

/* Appends a copy of *op (payload included) and returns its position. Asserts that the operation is
 * well formed (trace_check_op): producers are ours. */
uint64_t trace_append(struct trace *t, const struct op *op);

/* Appends an OP_HOLE: operations on `inode` (0: on some file) are missing here. `why` is made one
 * line and cut, so that it is well formed; it must not be empty. */
uint64_t trace_append_hole(struct trace *t, uint16_t process, uint32_t inode, const char *why);
/* The position of the first hole, or 0. */
uint64_t trace_first_hole(const struct trace *t);

/* Notes a statement that is run after the last operation so far. Both texts are copied, made one
 * line, and cut at TRACE_SQL_MAX bytes; beyond TRACE_STATEMENTS_MAX nothing is noted. */
void trace_add_statement(struct trace *t, const struct trace_statement *statement);

/* The operation at a position, 1..op_count. */
static inline const struct op *trace_at(const struct trace *t, uint64_t position)
{
	return &t->ops[position - 1];
}

/* Is `op` well formed as the next operation of `t`? Known kind and flags; names and inodes in
 * range; END refers to an earlier BEGIN of the same target; sizes within bounds. Returns 0, or
 * ERR_INPUT with the reason. */
int trace_check_op(const struct trace *t, const struct op *op, struct err *err);

/* Serialises the whole trace, end record included, into `ret` (appended). */
void trace_encode(const struct trace *t, struct buf *ret);
/* Parses one. On success *ret_trace is the caller's. ERR_INPUT: not a trace, a later format, or
 * damaged, with the byte offset. */
int trace_decode(const void *data, size_t size, struct trace **ret_trace, struct err *err);

/* The same to and from a file. Saving writes another name and renames, so that a failure leaves
 * nothing half-written (mode 0600). Messages start with the path. */
int trace_save(const struct trace *t, const char *path, struct err *err);
int trace_load(const char *path, struct trace **ret_trace, struct err *err);

/* Text twin (trace_text.c): one line an operation, the base first; see docs/trace.md. Payloads are
 * shown as size and hash, or as hex when `with_data`, and only the hex form parses back. Statements
 * are comments there, which do not parse back. */
void trace_print(const struct trace *t, bool with_data, FILE *out);
void trace_print_op(const struct trace *t, uint64_t position, bool with_data, FILE *out);
int trace_parse_text(const char *text, size_t size, struct trace **ret_trace, struct err *err);

#endif
