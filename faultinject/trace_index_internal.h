/* Shared by trace_index.c (contents, sizes), trace_index_names.c and trace_index_syncs.c. */
#ifndef FI_TRACE_INDEX_INTERNAL_H
#define FI_TRACE_INDEX_INTERNAL_H

#include "faultinject/base/arena.h"
#include "faultinject/trace_index.h"

/* What was deleted last at a place of any file (D6). */
struct stale_sector {
	const uint8_t *content; /* NULL = nothing */
	uint32_t inode;		/* whose base it was; 0 = it was written later */
};

struct trace_index_memory {
	struct arena arena;	    /* contents, group tables */
	struct stale_sector *stale; /* [sector] */
	uint32_t stale_count;
};

/* Builds all groups of names. */
int index_build_groups(struct trace_index *ix, struct err *err);
/* The number of a directory, added if it is missing. */
uint32_t index_directory(struct trace_index *ix, const char *path);
/* Is it a create, unlink, rename or link? */
bool index_is_name_op(const struct op *op);
/* A name operation in its group. */
struct index_name_op *index_name_op_at(struct trace_index *ix, uint64_t position);
/* Adds the SYNC_END or DIRSYNC_END at `position`. */
void index_add_sync_end(struct trace_index *ix, uint64_t position);
/* ... one that failed. */
void index_add_failed_sync(struct trace_index *ix, uint64_t position);

#endif
