/*
 * The files of a workload on the simulated disk, as a table of functions (store/files.h): what it
 * does to them is recorded beside what SQLite does, by the actor of the moment.
 *
 * Paths are taken as the shim takes them (xFullPathname of the default VFS). Every folder is there.
 * Errors: ENOENT, EFBIG, and EIO of a sync that was made to fail (disk_fail_sync()). One thread.
 */
#ifndef DRIVE_WORKLOAD_FILES_H
#define DRIVE_WORKLOAD_FILES_H

#include "faultinject/disk.h"
#include "store/store.h"

#include <stddef.h>

struct workload_files {
	struct store_files table; /* its context is this struct, which must stay where it is */
	struct disk *disk;	  /* borrowed */
	size_t open_count;	  /* files that were created and not closed */
};

/* The shim must be registered, and booted on the disk. Nothing is to be released. */
void workload_files_init(struct workload_files *f, struct disk *disk);

#endif
