/*
 * The file of a long exploration: what each finished crash point came to, appended as it comes, so
 * that a run that ended early (budget, interrupt, kill -9, power) can go on with another.
 *
 *     0   8  magic "ppresume"
 *     8   4  format, RESUME_FORMAT
 *     12  4  zero
 *     16  ...  records, as point_result.h has them
 *
 * Rules:
 *   R1  The key of a record is a hash of everything that decides what its point comes to. A record
 * of other inputs is neither used nor removed. R2  A tail that is no whole record is cut: the
 * writer was killed, or the machine was. Anything else that is no record is damage, and the file is
 * refused with the place. R3  One command at a time: the file is locked. R4  Untrusted when read:
 * sizes are checked against the file, and nothing is allocated for more.
 */
#ifndef DRIVE_RESUME_H
#define DRIVE_RESUME_H

#include "faultinject/base/buf.h"
#include "faultinject/base/err.h"
#include "faultinject/base/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct point_result;
struct explore_point;
struct resume;

enum {
	RESUME_FORMAT = 1,
	RESUME_HEADER_SIZE = 16,
};

/* Opens or creates the file, locks it, reads which points it has, and cuts a torn tail, whose size
 * goes to *ret_torn_bytes. ERR_INPUT: not such a file, a later format, damage (with the byte);
 * ERR_IO: it cannot be opened, or another command has it. */
int resume_open(const char *path, struct resume **ret_resume, uint64_t *ret_torn_bytes,
		struct err *err);
/* The same without a file to write to, for fuzzing: *ret_count records. */
int resume_check(const void *data, size_t size, size_t *ret_count, uint64_t *ret_torn_bytes,
		 struct err *err);
/* In a forked child: the parent alone has the file, and its lock. Accepts NULL. */
void resume_leave(struct resume *r);
/* Syncs what was added. Accepts NULL. */
void resume_close(struct resume *r);

/* The key of a point in an exploration. */
struct digest resume_point_key(struct digest exploration, const struct explore_point *point);

/* Reads the point of a key into *ret (initialised by the caller): *ret_found. */
int resume_find(struct resume *r, struct digest key, struct point_result *ret, bool *ret_found,
		struct err *err);
/* Appends a record. ERR_IO. */
int resume_add(struct resume *r, const struct buf *record, struct err *err);

#endif
