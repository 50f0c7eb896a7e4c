/*
 * The aftermath (aftermath.h) of a crash state on a machine of the shim: leftovers on the disk as
 * recovery left it, and a second boot on a scratch over it (scratch.h).
 *
 * An undecided disk is asked no question that recovery and observation had not asked, unless there
 * is something to object to: what is written stays in the scratch, and the second recovery reads
 * what the first one left, as the observing connection did. So the aftermath of a sound state is a
 * function of the looks that the memo knows (memo.h): the second recovery of a log reads the very
 * bytes that the first one read, and the index that came of it is the memo's root; whether a
 * journal is there and hot, the sizes and the first page were looked at by the observing
 * connection. What lies behind the last valid frame of a log, and in a cold journal, is read by
 * nobody.
 *
 * Last comes a third boot for the program's own check, if there is one (own_check.h).
 */
#ifndef DRIVE_SECOND_BOOT_H
#define DRIVE_SECOND_BOOT_H

#include "faultinject/vfs.h"
#include "harness/drive/aftermath.h"
#include "harness/drive/scratch.h"

struct second_boot {
	struct storage *storage; /* borrowed; every connection is closed */
	uint64_t seed;		 /* of the boot */
	struct trace_device device;
	enum fi_vfs_defect defect; /* that the second boot has, too */
	/* Where neither a file nor a WAL index is another one than the first observation had
	 * (`indexes`, fi_vfs_shm_hash()), a reader sees the same, and need not look. */
	bool may_skip;
	uint64_t indexes;
};

/* The aftermath of `seen`. `scratch` is used for the time of the call. */
struct aftermath second_boot_run(const struct observer *o, const struct observation *seen,
				 const struct second_boot *boot, struct scratch *scratch);

#endif
