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

/* Puts a file there without recording it (replacing one of that name). The content is copied. */
void disk_put(struct disk *d, const char *path, const void *data, uint64_t size);

/* Removes every file. Not allowed while recording. */
void disk_clear(struct disk *d);

/* Calls `visit` for each name in byte order; `data` is borrowed for the call. */
void disk_each(struct disk *d,
	       void (*visit)(void *ctx, const char *path, const uint8_t *data, uint64_t size),
	       void *ctx);

#endif
