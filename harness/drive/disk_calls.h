/*
 * What a recovery asked of a disk and did to it, call by call, so that it can be done again without
 * the code that did it: the process that ran SQLite on a crash state may be dead by now. The same
 * calls on a disk with the same answers leave the same files.
 *
 *     child                                     parent
 *     disk_calls_tap(crashdisk_storage(...))
 *       ... SQLite runs, `send` gets records ──> kept in a buffer
 *                                               disk_calls_repeat(...) on a disk of its own
 *
 * A record is a kind (1), the result (4) and the call's arguments, little-endian (disk_calls.c).
 * They come from a child that may have been killed while it wrote, so the last one may be cut.
 */
#ifndef DRIVE_DISK_CALLS_H
#define DRIVE_DISK_CALLS_H

#include "faultinject/base/buf.h"
#include "faultinject/base/err.h"
#include "faultinject/storage.h"

/* Bytes of records that are kept of one recovery; of more there is no telling what they left. */
#define DISK_CALLS_BYTES_MAX ((size_t)512 << 20)

/* The calls of one recovery, and, where a crash interrupted that, of the next one. */
struct disk_calls {
	struct buf bytes; /* owned; initialise with buf_init() */
	bool ended;	  /* SQLite came to its end, and all of its calls are here */
};

/* From here on, what is asked of `s` is sent, after it was answered. One storage at a time: another
 * one begins the next recovery. Borrowed until the process ends. */
void disk_calls_tap(struct storage *s, void (*send)(void *ctx, const void *data, size_t size),
		    void *ctx);

/* Reads the records from *at on. */
struct disk_calls_reader {
	const struct disk_calls *calls;
	size_t at;
	char *path; /* owned; of the file that was asked for last */
};

/* Repeats the calls of the next recovery on `s`, to its end or where they stop. `named` (may be
 * NULL) hears every path that was opened. ERR_HARNESS: a result is another one than it was;
 * ERR_LIMIT: DISK_CALLS_BYTES_MAX. */
int disk_calls_repeat(struct disk_calls_reader *r, struct storage *s,
		      void (*named)(void *ctx, const char *path), void *ctx, struct err *err);
/* Are there calls of another recovery? */
bool disk_calls_more(const struct disk_calls_reader *r);
void disk_calls_reader_release(struct disk_calls_reader *r);

#endif
