/*
 * Some files in memory, and where they are: what a kill left, what a power cut may leave, what was
 * there before. Putting them back changes a file in place, so that its inode, mode, owner and other
 * names stay; what is equal is not touched.
 */
#ifndef DRIVE_FOREIGN_FILES_H
#define DRIVE_FOREIGN_FILES_H

#include "faultinject/base/err.h"
#include "faultinject/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { FOREIGN_FILES_MAX = 4096 }; /* of a set */

struct foreign_file {
	char *path;    /* owned; absolute */
	bool exists;   /* otherwise there is none of this name */
	uint8_t *data; /* owned */
	uint64_t size;
	mode_t mode; /* for a file that must be made again */
};

struct foreign_files {
	struct foreign_file *items; /* owned */
	size_t count, cap;
};

void foreign_files_release(struct foreign_files *f); /* accepts a zeroed one */
/* NULL: not in it. Valid until the next change of the set. */
struct foreign_file *foreign_files_find(const struct foreign_files *f, const char *path);
/* Adds a file that does not exist. ERR_LIMIT. */
int foreign_files_add(struct foreign_files *f, const char *path, struct foreign_file **ret,
		      struct err *err);
/* Adds every name that the trace has as a file's, and beside each the names of SQLite's other
 * files, as not existing. ERR_LIMIT. */
int foreign_files_name(struct foreign_files *f, const struct trace *t, struct err *err);
/* Reads what each file holds now. ERR_IO. */
int foreign_files_read(struct foreign_files *f, struct err *err);
/* Makes the files what the set says, and removes the WAL indexes beside them, which SQLite makes
 * again. `durable`: and waits until the disk has them. ERR_IO. */
int foreign_files_put(const struct foreign_files *f, bool durable, struct err *err);

/* A file that anybody has open, by (device, inode): a process that has one of them open, in words
 * ("/x/app.db is open in process 17 (app)"), the caller's; NULL: none that we may see. */
char *foreign_files_open_elsewhere(const struct foreign_files *f);

#endif
