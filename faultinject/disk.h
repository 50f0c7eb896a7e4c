/*
 * The live simulated disk: files as the running processes see them, in memory. While a trace is
 * attached, every operation is appended to it. It loses nothing: what a crash would leave is the
 * business of the trace's consumers.
 *
 * Also the certain storage that the brute-force enumerator fills with one crash state.
 */
#ifndef FI_DISK_H
#define FI_DISK_H

#include "faultinject/storage.h"
#include "faultinject/trace.h"

enum { DISK_SUFFIX_MAX = 255 }; /* bytes, disk_fail_sync() */

struct disk;

/* An empty disk. Free with disk_free(). */
struct disk *disk_create(void);
void disk_free(struct disk *d); /* accepts NULL */

/* The disk as a storage; borrowed, valid until disk_free(). */
struct storage *disk_storage(struct disk *d);

/* From here on operations go to `t` (borrowed), whose base becomes the files as they are: what was
 * there before counts as durable. NULL stops recording. */
void disk_record(struct disk *d, struct trace *t);

/* Appends an ACK, MARK or OUTPUT (`kind`) by the current actor to the attached trace; no effect
 * without one. */
void disk_note(struct disk *d, uint8_t kind, const char *text);

/* The kernel could not write something back: of the syncs from now on, of files and of directories,
 * the `nth` (1 = the next) returns -EIO, and is recorded as failed (OP_SYNC_FAILED). What was
 * written stays as it is for readers, and later syncs succeed (D8). Counts only files and
 * directories whose name ends in `suffix` (copied; at most DISK_SUFFIX_MAX bytes, asserted); NULL:
 * all. Replaces what was asked for before; 0 = nothing fails. Works without a trace, too. */
void disk_fail_sync(struct disk *d, uint32_t nth, const char *suffix);

/* Is a failure asked for that has not happened yet? */
bool disk_fail_sync_pending(const struct disk *d);

/* rename(2) of a file: `to` then names it, and a file of that name is replaced, atomically. Nothing
 * happens when both are the same file. 0 or -ENOENT. Recorded as OP_RENAME. SQLite renames nothing,
 * so storage.h, which recovery runs on, has no such call. */
int disk_rename(struct disk *d, const char *from, const char *to);

/* Puts a file there without recording it (replacing one of that name). The content is copied. */
void disk_put(struct disk *d, const char *path, const void *data, uint64_t size);

/* Removes every file. Not allowed while recording. */
void disk_clear(struct disk *d);

/* Calls `visit` for each name in byte order; `data` is borrowed for the call. */
void disk_each(struct disk *d,
	       void (*visit)(void *ctx, const char *path, const uint8_t *data, uint64_t size),
	       void *ctx);

#endif
