/*
 * What was observed before need not be observed again. An observation is a function of what the
 * observing connection looks at: the WAL index and the files. The memo is a decision tree over
 * these looks. Each inner node says which look comes next, each edge is an answer, each leaf an
 * observation. A new crash state walks the tree by peeking (nothing is decided); it is known when
 * the walk reaches a leaf, and open when a look is unanswered or its answer new.
 *
 * Only observations that decided nothing and changed nothing are remembered, so a hit stands for
 * exactly the same set of assignments as the run that it replaces.
 */
#ifndef DRIVE_MEMO_H
#define DRIVE_MEMO_H

#include "faultinject/crashdisk.h"

struct memo;

enum {
	MEMO_NODES_MAX = 4 * 1000 * 1000, /* nodes kept; further observations are not remembered */
};

struct memo *memo_create(void);
void memo_free(struct memo *m); /* accepts NULL */

/* The number stored for the present state of the disk, or UINT32_MAX. `root` hashes what is not in
 * the files (the WAL index). */
uint32_t memo_find(struct memo *m, struct crashdisk *disk, uint64_t root);

/* Stores `value` under the log that the disk kept while it was observed, which must be pure
 * (crashdisk_log_pure()). */
void memo_add(struct memo *m, struct crashdisk *disk, uint64_t root, uint32_t value);

#endif
