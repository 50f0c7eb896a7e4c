/*
 * The SQLite VFS shim: a complete sqlite3_vfs (version 3) with io_methods version 3 over a
 * `struct storage`. It behaves as os_unix does on Linux, in memory and deterministically:
 *
 *  - What os_unix does out of sight is made visible ("What the shim makes visible" in
 *    docs/disk-model.md): the directory sync after the first xSync of every handle opened with
 *    CREATE as main journal, super-journal or WAL, after the file's own sync; the directory sync of
 *    xDelete(dirSync=1); never one for the database file.
 *  - File locks and the WAL index (shared memory) are kept here and vanish with the storage (D10).
 *  - Time, randomness and sleep come from the shim: nothing of the machine reaches SQLite.
 *  - xFetch answers NULL, so every byte SQLite sees went through xRead.
 *  - Files without a name, and files opened DELETEONCLOSE, live in private memory: os_unix unlinks
 *    them at once, so no crash leaves them behind.
 *
 * The shim is a process-wide singleton and the default VFS while registered, because SQLite seeds
 * its random numbers from the default VFS. One thread.
 */
#ifndef FI_VFS_H
#define FI_VFS_H

#include "faultinject/base/err.h"
#include "faultinject/clock.h"
#include "faultinject/storage.h"
#include "faultinject/trace.h"
#include "faultinject/format/wal_index.h"

#include <stdint.h>

#define FI_VFS_NAME "plugpull"

/* Registers the shim as the default VFS. Idempotent. ERR_SQLITE when SQLite refuses. */
int fi_vfs_register(struct err *err);
/* Makes the previous default the default again. */
void fi_vfs_unregister(void);

/* Boots a machine: from here on files live on `s` (borrowed until the next boot), no lock is held,
 * shared memory is empty, the clock stands at its start, and SQLite's random numbers are reseeded
 * from `seed` (sqlite3_randomness(0) makes it ask us again). No file may be open: asserted. */
void fi_vfs_boot(struct storage *s, uint64_t seed, struct trace_device device);

/* What os_unix reports on Linux: 4096-byte sectors, POWERSAFE_OVERWRITE. */
struct trace_device fi_vfs_default_device(void);

/* VFS and file method calls since boot. A recovery that exceeds `max` gets SQLITE_IOERR from then
 * on (0 = no limit), which is how a recovery that never ends is found. */
uint64_t fi_vfs_call_count(void);
void fi_vfs_call_limit(uint64_t max);

/* What the clock does until the next boot; NULL: it goes on by a millisecond each time that it is
 * asked, and by what is slept. `plan` is a constant (clock.h). */
void fi_vfs_clock_plan(const struct fi_clock_plan *plan);
/* The clock's next move, if it has a plan. */
void fi_vfs_clock_move(void);
/* Microseconds since 1970 as SQLite would be told now; asking counts, as it does there. */
int64_t fi_vfs_clock_us(void);

/* Until the next boot, xSync answers that all is well and does nothing: a planted defect. */
void fi_vfs_ignore_syncs(void);

/* Other planted defects, one at a time and until the next boot: what a broken file system, or a
 * broken VFS, could do to the program that recovers. */
enum fi_vfs_defect {
	FI_VFS_SOUND,
	FI_VFS_JOURNAL_STAYS, /* xDelete of a rollback journal answers OK and deletes nothing */
	FI_VFS_LOG_VANISHES,  /* xClose of a WAL cuts the file to nothing */
	FI_VFS_READ_ONLY,     /* xWrite to a database or its WAL is refused (SQLITE_READONLY) */
	FI_VFS_LOCK_STAYS,    /* a lock that shuts others out is kept until its handle is closed */
};
void fi_vfs_plant(enum fi_vfs_defect defect);

/* Handles open now; a driver checks for 0 at the end of a run. */
unsigned fi_vfs_open_count(void);

/* A 64-bit hash of what the WAL indexes that exist now tell a reader: with it, what a reader will
 * see next is a function of the files alone. */
uint64_t fi_vfs_shm_hash(void);

/* The WAL index of a schema of an open connection, borrowed until SQLite is called again; all zeros
 * when there is none, so that readers go to the database file. False: it does not count, or the
 * schema is not on this shim. */
struct sqlite3;
bool fi_vfs_wal_index(struct sqlite3 *db, const char *schema, struct wal_index *ret);

#endif
