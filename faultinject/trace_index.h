/*
 * The immutable index of a trace for one sector size: every version of every sector, every change
 * of a file's size, every sync, every state of every name, each sorted by position, so that a
 * crash point is opened by binary search and nothing is rebuilt.
 *
 * Built once per case, read-only afterwards; may be shared by forked workers (copy-on-write).
 * Everything is owned by the index; contents point into the trace where they can.
 */
#ifndef FI_TRACE_INDEX_H
#define FI_TRACE_INDEX_H

#include "faultinject/trace.h"

enum {
	INDEX_WRITE, /* the sector's content after a write */
	INDEX_CUT,   /* ... after a truncation inside the sector: its tail became zeros (D5) */
	INDEX_DROP,  /* a truncation dropped the sector: a new epoch begins (D5) */
};
#define INDEX_FILE_SIZE_MAX ((uint64_t)4 << 30) /* bytes; larger files are refused */

/* What a whole sector held after the operation at `position` (0 = the durable base). */
struct index_version {
	uint64_t position;
	const uint8_t *content; /* sector_size bytes, padded with zeros */
	uint64_t id;		/* content hash: equal ids are equal contents */
	uint8_t kind;
	uint16_t cut; /* INDEX_CUT: bytes of the sector that remain */
};

struct index_sector {
	struct index_version *versions; /* by position */
	uint32_t count, cap;
};

/* A pending change of a file's metadata (D5): its size after the operation at `position`. */
struct index_meta {
	uint64_t position, size;
	bool truncation;
};

/* A sync that had ended at `end`; what it or an earlier one covers precedes `begin`. */
struct index_sync {
	uint64_t begin, end;
};

/* A sector was touched by the operation at `position`. */
struct index_touch {
	uint64_t position;
	uint32_t sector;
};

struct index_inode {
	uint64_t created; /* position of its CREATE; 0 = in the base */
	uint64_t base_size;
	struct index_sector *sectors;
	uint32_t sector_count, sector_cap;
	struct index_meta *metas;
	size_t meta_count, meta_cap;
	struct index_sync *syncs; /* by end */
	size_t sync_count, sync_cap;
	struct index_touch *touches; /* by position */
	size_t touch_count, touch_cap;
};

/*
 * Names that are decided together: usually one; a rename or a hard link ties names (rename is
 * atomic, and a file that has two names must not be counted twice). Row 0 is the base; row j is
 * what the processes saw after the group's j-th operation.
 */
struct index_group {
	uint32_t *names; /* indexes into the trace's names */
	size_t name_count;
	uint64_t *positions;   /* of the operations */
	uint32_t *directories; /* whose sync makes them durable, as index into `directories` */
	size_t op_count;
	uint32_t *targets; /* (op_count + 1) x name_count inodes; 0 = no such file */
};

struct index_directory {
	char *path;
	struct index_sync *syncs; /* by end */
	size_t sync_count, sync_cap;
};

struct trace_index {
	const struct trace *trace; /* borrowed */
	uint32_t sector_size;
	struct index_inode *inodes; /* [1..trace->inode_count] */
	struct index_group *groups;
	size_t group_count;
	uint32_t *group_of_name; /* [1..trace->name_count]: index into groups */
	struct index_directory *directories;
	size_t directory_count, directory_cap;
	uint8_t *zero_sector;
	uint64_t zero_id;
	struct trace_index_memory *memory;
};

/* ERR_LIMIT when a file is larger than INDEX_FILE_SIZE_MAX; ERR_INPUT when the trace contradicts
 * itself (writes to a file that was never created, renames a name that is not there). */
int trace_index_build(const struct trace *t, uint32_t sector_size_bytes,
		      struct trace_index **ret_index, struct err *err);
void trace_index_free(struct trace_index *ix); /* accepts NULL */

/* The begin of the last sync that had ended by `position`, or 0: what preceded it is durable. */
uint64_t index_durable(const struct index_sync *syncs, size_t count, uint64_t position);

/* The last version with position <= `position`, or NULL. */
const struct index_version *index_version_at(const struct index_sector *s, uint64_t position);

/* The number of metas with position <= `position`. */
size_t index_meta_until(const struct index_inode *inode, uint64_t position);

/* The number of a group's operations with position <= `position`. */
size_t index_group_until(const struct index_group *g, uint64_t position);

/* How many of the group's operations up to `position` a directory sync made durable; which ones
 * goes to ret_flags[0 .. index_group_until()), which may be NULL. For a name by itself they are the
 * first ones. */
size_t index_group_durable(const struct trace_index *ix, const struct index_group *g,
			   uint64_t position, uint8_t *ret_flags);

/* Does a name operation concern this name (of a rename: either)? False for other operations. */
bool index_op_names(const struct op *op, uint32_t name);
/* Applies a name operation to a row of the group's targets. */
void index_apply_name(const struct index_group *g, uint32_t *row, const struct op *op);

/* The file that `name` (index into the trace's names) had after `position`, in the eyes of the
 * running processes; 0 = none. */
uint32_t index_live_inode(const struct trace_index *ix, uint32_t name, uint64_t position);

/* Does the operation at `position` change storage (not a lock, sync or note)? */
bool index_is_storage_op(const struct op *op);

#endif
