/*
 * All files of one crash state, in memory: whatever the disk, each name is looked at once, in the
 * order given, and each file read whole. On an undecided disk that decides everything.
 */
#ifndef DRIVE_STATE_FILES_H
#define DRIVE_STATE_FILES_H

#include "faultinject/base/arena.h"
#include "faultinject/base/err.h"
#include "faultinject/storage.h"
#include "faultinject/trace.h"
#include "harness/drive/lay_out.h"

#define STATE_FILES_BYTES_MAX ((uint64_t)256 << 20) /* of one state */

/* The disk. Each returns 0 or a negative errno; `file` is a number that open() gave, the same for
 * two names of one file. */
struct state_source {
	int (*open)(void *ctx, const char *path, uint32_t *ret_file); /* -ENOENT: there is none */
	int (*size)(void *ctx, uint32_t file, uint64_t *ret_size);
	int (*read)(void *ctx, uint32_t file, uint64_t offset, void *buf, size_t size);
	void *ctx;
};

/* A source whose `ctx` is a storage. */
struct state_source state_source_of(struct storage *s);

struct state_files {
	struct laid_file *items; /* owned; their contents are in the arena */
	uint32_t *numbers;	 /* owned; beside them: the file's number */
	size_t count, cap;
	struct arena arena;
};

void state_files_init(struct state_files *f);
void state_files_release(struct state_files *f);

/* The names that a trace's files ever had (and none of folders): numbers of its table, ascending.
 * Owned by the caller. */
uint32_t *state_files_names(const struct trace *t, size_t *ret_count);

/* Files that no disk can have together: one of the pair lies in a folder that has the other's name.
 * A model has no folders, so it may leave them so. */
struct state_conflict {
	size_t file, below; /* indexes of `paths` */
};
/* All pairs of `paths`; owned by the caller. */
struct state_conflict *state_files_conflicts(const char *const *paths, size_t count,
					     size_t *ret_count);

/* Reads the files that `paths` name; what `f` held is gone. The laid_file at i is of paths[i], and
 * its path is paths[i] + skip. ERR_LIMIT: they have more than STATE_FILES_BYTES_MAX. ERR_HARNESS:
 * the disk cannot be read. */
int state_files_read(struct state_files *f, const struct state_source *source,
		     const char *const *paths, size_t count, size_t skip, struct err *err);

#endif
