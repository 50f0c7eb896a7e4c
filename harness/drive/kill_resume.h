/*
 * The file of a long run of real kills: what each finished round came to, appended as it comes, so
 * that a run that ended early can go on at the round where it stopped.
 *
 *     0   8  magic "ppkills", a zero byte
 *     8   4  format, KILL_RESUME_FORMAT
 *     12  4  zero
 *     16  ...  records: size of the payload (4), zero (4), key (16), hash of key and payload (8),
 *              payload (kill_score.c); little-endian
 *
 * The rules are those of resume.h: a record of other inputs (another key) is neither used nor
 * removed; a tail that is no whole record is cut; other damage is refused with its place; the file
 * is locked; untrusted when read.
 */
#ifndef DRIVE_KILL_RESUME_H
#define DRIVE_KILL_RESUME_H

#include "faultinject/base/err.h"
#include "faultinject/base/hash.h"

#include <stdint.h>

enum {
	KILL_RESUME_FORMAT = 1,
	KILL_RESUME_RECORD_MAX = 1 << 20, /* bytes of a payload */
};

struct kill_resume;
struct kill_score;

/* Opens or creates the file, locks it, and cuts a torn tail, whose size goes to *ret_torn_bytes.
 * ERR_INPUT: not such a file, a later format, damage (with the byte); ERR_IO: it cannot be opened,
 * or another command has it. */
int kill_resume_open(const char *path, struct kill_resume **ret, uint64_t *ret_torn_bytes,
		     struct err *err);
/* In a forked child: the parent alone has the file, and its lock. Accepts NULL. */
void kill_resume_leave(struct kill_resume *r);
/* Syncs what was added. Accepts NULL. */
void kill_resume_close(struct kill_resume *r);

/* Calls `each` for every round of a key, in the order in which they were added. */
int kill_resume_each(struct kill_resume *r, struct digest key,
		     void (*each)(void *ctx, const struct kill_score *score), void *ctx,
		     struct err *err);
/* Appends a round. ERR_IO. */
int kill_resume_add(struct kill_resume *r, struct digest key, const struct kill_score *score,
		    struct err *err);

#endif
