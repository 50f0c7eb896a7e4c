/*
 * A storage over another one that keeps to itself what is done to it. What is below stays as it
 * is, and a write asks nothing of it: an undecided disk is asked about what is read, and about
 * nothing else, because bytes that are written over lie on top, to the byte.
 *
 * A file that is empty below and one that is not there come to the same: whoever opens with
 * `create` gets an empty file of his own in both cases, and nobody is asked which of them it is.
 *
 * One thread. It holds SCRATCH_FILES_MAX files; more is -EMFILE.
 */
#ifndef DRIVE_SCRATCH_H
#define DRIVE_SCRATCH_H

#include "faultinject/storage.h"

enum {
	SCRATCH_FILES_MAX = 64, /* opened, made or deleted since scratch_begin() */
	SCRATCH_CHANGE_SIZE = 256,
};

struct scratch;

struct scratch *scratch_create(void);
void scratch_free(struct scratch *s); /* accepts NULL */

/* Forgets everything and lies on `below` (borrowed until the next begin). The storage is the
 * scratch's own. */
struct storage *scratch_begin(struct scratch *s, struct storage *below);

/* From here on the file shows as an empty one, if there is one, and what was in it is asked of
 * nobody. No change that scratch_change() tells. */
void scratch_empty(struct scratch *s, const char *path);

/* What was done first to any file since scratch_begin(), in words, or "": a write, a truncation to
 * another size, the deletion of a file that was there. Borrowed. */
const char *scratch_change(const struct scratch *s);

#endif
