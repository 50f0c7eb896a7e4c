/*
 * What a recovery does to the files: a storage that passes all calls on to another one and keeps
 * what they change. Internal to story_crash.c.
 */
#ifndef EXPLAIN_STORY_CHANGES_H
#define EXPLAIN_STORY_CHANGES_H

#include "faultinject/storage.h"
#include "harness/explain/story_internal.h"

enum { CHANGES_MAX = 40 }; /* that are told of one recovery; others are counted */

struct change;
struct opened;

struct changes {
	struct storage storage; /* what the recovery stands on */
	struct storage *below;	/* borrowed */
	uint32_t page_size;	/* of the databases; 0: unknown */
	struct opened *opened;	/* owned */
	size_t opened_count, opened_cap;
	struct change *items; /* owned */
	size_t count, cap;
	uint64_t more;
};

/* Begins the next recovery. */
void changes_begin(struct changes *x, struct storage *below, uint32_t page_size);
void changes_release(struct changes *x); /* accepts a zeroed one */

/* One sentence of all that `who` did, for the story. */
void changes_tell(const struct changes *x, struct telling *t, const char *who);

#endif
