/*
 * Disk models: what a disk may leave behind when the power goes. Rules D1 to D12 are stated in
 * docs/disk-model.md; a model is an assignment of their parameters, a preset is a model with a
 * name. Which file systems a preset stands for, with programs that survive on it and programs that
 * do not: docs/models.md.
 *
 * One thread a struct; the tables are constant.
 */
#ifndef FI_MODEL_H
#define FI_MODEL_H

#include "faultinject/base/buf.h"
#include "faultinject/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* D4: how pending operations depend on each other. */
enum model_reorder {
	MODEL_REORDER_ANY,  /* sectors independently; a file's size as a prefix (D5) */
	MODEL_REORDER_FILE, /* one prefix of a file's operations, data and metadata together */
	MODEL_REORDER_NONE, /* one prefix of all operations, names included */
};

/* D7: how pending name operations depend on each other. */
enum model_namespace {
	MODEL_NAMESPACE_ANY,	 /* a prefix for each name */
	MODEL_NAMESPACE_ORDERED, /* a prefix for each directory */
};

/* D6: what a sector holds whose size survived and whose data did not. */
enum model_hole {
	MODEL_HOLE_ZERO,
	MODEL_HOLE_GARBAGE,
	MODEL_HOLE_STALE, /* bytes of a file, or of a part of one, that was deleted earlier */
};

/* D8: what a sync does. */
enum model_fsync {
	MODEL_FSYNC_HONEST,
	MODEL_FSYNC_LIES,    /* returns, does nothing */
	MODEL_FSYNC_BARRIER, /* orders what is before it and after it, and persists nothing */
};

/* D8: whose metadata a sync makes durable. */
enum model_fsync_scope {
	MODEL_SCOPE_FILE,
	MODEL_SCOPE_FILESYSTEM, /* everyone's, when the synced file has metadata to commit */
};

enum {
	/* Allocation unit of a file system with size-after-data: what is appended to a block that
	 * the file has already changes its size without waiting for data (ext4,
	 * ext4_da_should_update_i_disksize). */
	MODEL_BLOCK_SIZE = 4096,
};

struct model {
	const char *name; /* borrowed */
	/* D11: the machine goes on, the processes die. Nothing is lost; the other parameters do
	 * not apply. */
	bool process_crash;
	uint8_t reorder;	 /* enum model_reorder */
	uint8_t namespace;	 /* enum model_namespace */
	uint8_t hole;		 /* enum model_hole */
	uint8_t fsync;		 /* enum model_fsync */
	uint8_t fsync_scope;	 /* enum model_fsync_scope */
	uint8_t fsync_entry;	 /* D7: a sync of a file keeps its name: 0 or 1 */
	uint8_t size_after_data; /* D8: a new size waits for the data: 0 or 1 */
	uint8_t no_psow;	 /* D9: a partial overwrite may damage its sector: 0 or 1 */
	uint8_t sector;		 /* D2: index into the parameter's words; 0 = the trace's device */
	uint64_t seed;		 /* of garbage (D6, D9) */
	uint8_t defect;		 /* enum model_defect */
};

/* Planted defects of the disk and of the search over it, which the accounting must notice. */
enum model_defect {
	MODEL_SOUND,
	MODEL_DISK_FORGETS, /* the oldest content of a sector that has several is never shown */
	MODEL_SEARCH_SKIPS, /* a branch in five is dropped */
};

/* The words of one parameter; the first is what strict-posix has. */
struct model_parameter {
	const char *key;
	const char *words[4]; /* NULL-terminated */
	const char *rule;
	const char *summary;
	size_t offset; /* of the uint8_t in struct model */
};
const struct model_parameter *model_parameters(size_t *ret_count);

/* A preset, with what people need to know of it. */
struct model_info {
	struct model model;
	const char *summary;	/* one line */
	const char *stands_for; /* file systems and mount options */
	const char *sources;	/* where the values come from */
	const char *leaves_out;
};
const struct model_info *model_presets(size_t *ret_count);

/* A model with the parameters of strict-posix; `name` is borrowed. */
void model_init(struct model *m, const char *name);

/* The preset of a name. ERR_USAGE for an unknown one. */
int model_find(const char *name, struct model *ret_model, struct err *err);

/* Sets a parameter by its words ("sector" = "512"). ERR_USAGE for an unknown key or value. `m` may
 * be NULL to check only. */
int model_set(struct model *m, const char *key, const char *value, struct err *err);

/* Do the parameters go together? ERR_USAGE with the reason: a model that contradicts itself would
 * be explored as something else than it says. */
int model_check(const struct model *m, struct err *err);

/* Bytes of a sector on a device that reported `device_sector_size_bytes`. */
uint32_t model_sector_size(const struct model *m, uint32_t device_sector_size_bytes);

/* D6, D9: the garbage of a sector, `size` bytes: a function of (seed, inode, sector). */
void model_garbage(const struct model *m, uint32_t inode, uint32_t sector, uint8_t *ret,
		   size_t size);

/* "reorder=any namespace=any ...": every parameter, or, for a process crash, that none applies. */
void model_print(const struct model *m, struct buf *ret);

#endif
