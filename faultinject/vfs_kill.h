/*
 * A thin VFS over the real "unix" VFS that can end its own process by SIGKILL at a chosen I/O
 * operation: before it, after it, or inside xSync before the real sync. It changes nothing else, so
 * a process that is not armed behaves as it would without it.
 *
 * Counted are the calls that change what another process, or the next one, can see: open, close,
 * write, truncate, sync, delete, and every change of a lock or of the WAL index (lock, unlock,
 * shm-map, shm-lock, shm-unmap). Reads are not: a kill before a read is a kill after the operation
 * that preceded it. Barriers of the WAL index are not either: they are no system calls.
 *
 * It can also keep a log of what changes files (vfs_kill_log.h), so that a kill can be made a power
 * cut, and play two defects of a shim.
 *
 * A process-wide singleton. Files are used by any threads, as SQLite uses them; each operation has
 * a number of its own. The functions here are called while no other thread is in SQLite.
 */
#ifndef FI_VFS_KILL_H
#define FI_VFS_KILL_H

#include "faultinject/base/err.h"
#include "faultinject/vfs_kill_log.h"

#include <stdbool.h>
#include <stdint.h>

#define FI_VFS_KILL_NAME "plugpull-kill"

enum fi_kill_moment {
	FI_KILL_NEVER,
	FI_KILL_BEFORE,	 /* before operation `number` */
	FI_KILL_AFTER,	 /* after operation `number` returned from the real VFS */
	FI_KILL_IN_SYNC, /* inside the `number`-th xSync, before the real sync */
};

struct fi_kill_plan {
	enum fi_kill_moment moment;
	uint64_t number; /* from 1; of all operations, or for FI_KILL_IN_SYNC of the syncs */
	bool seals;	 /* the power goes with the process: the log is sealed before it dies */
};

enum fi_kill_defect {
	FI_KILL_SOUND,
	FI_KILL_LOG_UNSYNCED,	 /* journals and logs are never synced */
	FI_KILL_FOLDER_UNSYNCED, /* no folder is ever synced */
	FI_KILL_LOG_HOLES,	 /* of the recorder: every fourth write is not logged */
};

struct fi_kill_counts {
	uint64_t operations, syncs;
};

/* Registers the VFS as the default one. Idempotent. ERR_SQLITE when there is no "unix" VFS or
 * SQLite refuses. */
int fi_vfs_kill_register(struct err *err);

/* Counts from 0 again, and carries out `plan` once. */
void fi_vfs_kill_arm(struct fi_kill_plan plan);

/* Logs from here on what is done to files that have a name; NULL: no more. `log` is borrowed. */
void fi_vfs_kill_log(struct fi_kill_log *log);

void fi_vfs_kill_plant(enum fi_kill_defect defect);

/* Operations since the last fi_vfs_kill_arm(). */
struct fi_kill_counts fi_vfs_kill_counts(void);

#endif
