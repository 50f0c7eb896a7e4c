/*
 * The immutable index of a trace for one disk model: every version of every sector, every change of
 * a file's size, every sync and what it covers, every state of every name, each sorted by position,
 * so that a crash point is opened by binary search and nothing is rebuilt.
 *
 * Built once per case, read-only afterwards; may be shared by forked workers (copy-on-write).
 * Everything is owned by the index; contents point into the trace where they can.
 */
#ifndef FI_TRACE_INDEX_H
#define FI_TRACE_INDEX_H

#include "faultinject/model.h"
#include "faultinject/trace.h"

enum {
	INDEX_WRITE, /* the sector's content after a write */
	INDEX_CUT,   /* ... after a truncation inside the sector: its tail became zeros (D5) */
	INDEX_DROP,  /* a truncation dropped the sector: a new epoch begins (D5) */
};
#define INDEX_FILE_SIZE_MAX ((uint64_t)4 << 30)	 /* bytes; larger files are refused */
#define INDEX_TARGETS_MAX   ((uint64_t)64 << 20) /* cells of one group's table of names */

/* What a whole sector held after the operation at `position` (0 = the durable base). */
struct index_version {
	uint64_t position;
	const uint8_t *content; /* sector_size bytes, padded with zeros */
	uint64_t id;		/* content hash: equal ids are equal contents */
	/* D6: what the sector holds when this version and all of its epoch are lost; NULL = zeros.
	 * Set on the first version of an epoch. */
	const uint8_t *hole;
	uint32_t hole_inode; /* stale bytes of this file's base; 0 = of anything later */
	uint32_t prefix; /* D4: the shortest prefix of the line that contains it; 0 = the base */
	uint8_t kind;
	bool with_size; /* D8, size-after-data: survives when the size of its position does */
	bool below;   /* of the base, and a disk underneath knows the content (crashdisk_above()) */
	uint16_t cut; /* INDEX_CUT: bytes of the sector that remain */
};

struct index_sector {
	struct index_version *versions; /* by position */
	uint32_t count, cap;
};

/* A pending change of a file's metadata (D5): its size after the operation at `position`. */
struct index_meta {
	uint64_t position, size;
	uint64_t truncated; /* position of the last truncation up to this one; 0 = none */
	uint32_t prefix;    /* D4: as in index_version */
};

/* A sync that had ended at `end`; what it or an earlier one covers precedes `begin`. */
struct index_sync {
	uint64_t begin, end;
};

/* D8: a sync failed. Writes after `after` and before `begin` were pending then, and no later sync
 * covers them. */
struct index_miss {
	uint64_t begin, after;
};

/* A sector was touched by the operation at `position`. */
struct index_touch {
	uint64_t position;
	uint32_t sector;
};

/* The pieces of a prefix model (D4), in order: each sector of a write, each truncation, and, where
 * names belong to the prefix, each name operation. */
struct index_line {
	uint64_t *positions; /* of the operations that the pieces belong to */
	size_t count, cap;
};

struct index_inode {
	uint64_t created;    /* position of its CREATE; 0 = in the base */
	uint32_t group;	     /* of its names: index into `groups` */
	uint32_t link_count; /* at the end of the trace */
	uint64_t base_size;
	struct index_sector *sectors;
	uint32_t sector_count, sector_cap;
	struct index_meta *metas;
	size_t meta_count, meta_cap;
	struct index_sync *syncs; /* by end */
	size_t sync_count, sync_cap;
	struct index_sync *full_syncs; /* those that were not fdatasync */
	size_t full_sync_count, full_sync_cap;
	struct index_miss *misses; /* by begin; only where sectors are independent (D4) */
	size_t miss_count, miss_cap;
	struct index_line line;	     /* reorder=file */
	struct index_touch *touches; /* by position */
	size_t touch_count, touch_cap;
};

/* A name operation. Of the operations of each domain (D7: a name, or a directory) a prefix
 * survives; a rename belongs to two. */
struct index_name_op {
	uint64_t position;
	uint32_t inode;	     /* that it is about */
	uint32_t directory;  /* whose sync makes it durable, as index into `directories` */
	uint32_t domains[2]; /* of the group, from 0; the same one twice where there is only one */
	uint32_t prefix;     /* D4, reorder=none: as in index_version */
};

/*
 * Names that are decided together: usually one; a rename or a hard link ties names (rename is
 * atomic, and a file that has two names must not be counted twice), and so does a directory whose
 * operations survive in order. Row 0 is the base; row j is what the processes saw after the group's
 * j-th operation.
 */
struct index_group {
	uint32_t *names; /* indexes into the trace's names */
	size_t name_count;
	struct index_name_op *ops;
	size_t op_count;
	size_t domain_count; /* 1: the group's states are its rows, in order */
	bool tied;	     /* a file of it can be reached by more than one name */
	uint32_t *targets;   /* (op_count + 1) x name_count inodes; 0 = no such file */
};

struct index_directory {
	char *path;
	struct index_sync *syncs; /* by end */
	size_t sync_count, sync_cap;
	uint64_t *changes; /* positions of the name operations that it makes durable */
	size_t change_count, change_cap;
};

struct trace_index {
	const struct trace *trace;  /* borrowed */
	struct model model;	    /* its rules are in what the index says */
	uint32_t sector_size;	    /* bytes */
	struct index_inode *inodes; /* [1..trace->inode_count] */
	struct index_group *groups;
	size_t group_count;
	uint32_t *group_of_name; /* [1..trace->name_count]: index into groups */
	struct index_directory *directories;
	size_t directory_count, directory_cap;
	/* Syncs that cover more than their file: all metadata (D8, fsync-scope=filesystem), or
	 * everything (D4, reorder=none). */
	struct index_sync *commits; /* by end */
	size_t commit_count, commit_cap;
	struct index_line line; /* reorder=none: of everything */
	uint8_t *zero_sector;
	uint64_t zero_id;
	struct trace_index_memory *memory;
};

/* The model is copied, except for its name, and has passed model_check(). ERR_LIMIT when a file is
 * larger than INDEX_FILE_SIZE_MAX or a directory sees more changes than INDEX_TARGETS_MAX allows;
 * ERR_INPUT when the trace contradicts itself (writes to a file that was never created, renames a
 * name that is not there), or was recorded with sectors that no model has. */
int trace_index_build(const struct trace *t, const struct model *m, struct trace_index **ret_index,
		      struct err *err);
void trace_index_free(struct trace_index *ix); /* accepts NULL */

/* The begin of the last sync that had ended by `position`, or 0: what preceded it is durable. */
uint64_t index_durable(const struct index_sync *syncs, size_t count, uint64_t position);

/* The last version with position <= `position`, or NULL. */
const struct index_version *index_version_at(const struct index_sector *s, uint64_t position);

/* The number of metas with position <= `position`. */
size_t index_meta_until(const struct index_inode *inode, uint64_t position);

/* The number of a group's operations with position <= `position`. */
size_t index_group_until(const struct index_group *g, uint64_t position);

/* Content of the file that precedes this position is durable at `position`, but for what
 * index_missed() says. */
uint64_t index_data_durable(const struct trace_index *ix, uint32_t inode, uint64_t position);
/* The same for its size and truncations. */
uint64_t index_meta_durable(const struct trace_index *ix, uint32_t inode, uint64_t position);
/* D8: a sync that had begun by `position` failed with the write at `at` pending, so that this write
 * is durable never, by itself: only a later write to the same sector can be. */
bool index_missed(const struct index_inode *inode, uint64_t at, uint64_t position);
/* The version that a sector certainly held, or one that came later (D3); NULL = none since its
 * epoch began. `durable` is what index_data_durable() says. */
const struct index_version *index_durable_version(const struct index_inode *inode,
						  const struct index_sector *s, uint64_t durable);
/* The number of pieces of a line with position <= `position`. */
size_t index_line_until(const struct index_line *l, uint64_t position);

/* Does the SYNC_END or DIRSYNC_END at `position` make anything durable that was not? */
bool index_sync_effective(const struct trace_index *ix, uint64_t position);

/* How many of the group's operations up to `position` are durable (D7); which ones goes to
 * ret_flags[0 .. index_group_until()), which may be NULL. In a group of one domain they are the
 * first ones. */
size_t index_group_durable(const struct trace_index *ix, const struct index_group *g,
			   uint64_t position, uint8_t *ret_flags);

/* Applies a name operation to a row of the group's targets. */
void index_apply_name(const struct index_group *g, uint32_t *row, const struct op *op);

/* The file that `name` (index into the trace's names) had after `position`, in the eyes of the
 * running processes; 0 = none. */
uint32_t index_live_inode(const struct trace_index *ix, uint32_t name, uint64_t position);

/* Does the operation at `position` change storage (not a lock, sync or note)? */
bool index_is_storage_op(const struct op *op);

#endif
