/*
 * See vfs_kill.h.
 *
 * A file of ours is a header followed by the real file in the same allocation, as SQLite's own
 * shims do it (vfstrace.c): struct kill_file, then szOsFile bytes of the unix VFS. Every method
 * hands its arguments on unchanged. The table of methods has the version of the real file's, so
 * that SQLite sees no method that is not there.
 *
 * What changes a file with a name is logged around the call (vfs_kill_log.h). Private files are
 * not: os_unix unlinks them when it opens them. The WAL index is not: no crash leaves it.
 *
 * Does not fail calls, delay them, or change data; does not see what a process does past SQLite.
 */
#include "faultinject/vfs_kill.h"

#include "faultinject/base/assert.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "faultinject/vfs_through.h"

struct kill_file {
	struct through_file through; /* first */
	fi_kill_place logged;	     /* of its opening; 0: it is not logged */
	const char *path;	     /* while it is logged; SQLite keeps it until xClose */
	bool is_log;		     /* a journal or a log */
	bool folder_due;	     /* UNIXFILE_DIRSYNC: the first sync is of the folder, too */
};

enum { HOLE_WRITES = 4 };

static struct {
	struct fi_kill_plan plan;
	struct fi_kill_log *log;
	enum fi_kill_defect defect;
	_Atomic uint64_t operations, syncs, writes;
} self;

/* The number of the operation that this thread is in. */
static _Thread_local uint64_t current;

/* ---- counting and killing ---- */

/* SIGKILL takes the process before kill(2) returns to it; the loop is there so that no caller ever
 * goes on with its operation. */
static void end_here(void)
{
	if (self.plan.seals && self.log != NULL)
		fi_kill_log_seal(self.log);
	for (;;)
		(void)kill(getpid(), SIGKILL);
}

static void begin_operation(void)
{
	current = atomic_fetch_add(&self.operations, 1) + 1;
	if (self.plan.moment == FI_KILL_BEFORE && self.plan.number == current)
		end_here();
}

/* In one thread operations do not nest: SQLite calls the VFS, never the other way round. */
static int end_operation(int rc)
{
	if (self.plan.moment == FI_KILL_AFTER && self.plan.number == current)
		end_here();
	return rc;
}

static struct kill_file *of(sqlite3_file *f)
{
	return (struct kill_file *)f;
}

/* What a logged operation came to. */
static int logged(fi_kill_place place, int rc)
{
	if (place != 0)
		fi_kill_log_done(self.log, place, rc == SQLITE_OK);
	return rc;
}

/* The folder of a path has been synced by the real VFS. */
static void log_folder_sync(const char *path)
{
	char folder[TRACE_NAME_MAX];

	if (self.defect == FI_KILL_FOLDER_UNSYNCED)
		return;
	trace_dirname(path, folder, sizeof folder);
	(void)logged(fi_kill_log_folder_sync(self.log, folder), SQLITE_OK);
}

/* ---- files ---- */

static int file_close(sqlite3_file *f)
{
	sqlite3_file *real = real_file(f);

	begin_operation();
	return end_operation(real->pMethods->xClose(real));
}

static int file_write(sqlite3_file *f, const void *data, int size, sqlite3_int64 offset)
{
	sqlite3_file *real = real_file(f);

	begin_operation();
	uint64_t number = atomic_fetch_add(&self.writes, 1) + 1;
	bool hole = self.defect == FI_KILL_LOG_HOLES && number % HOLE_WRITES == 0;
	fi_kill_place place = 0;

	if (of(f)->logged != 0 && !hole)
		place = fi_kill_log_write(self.log, of(f)->logged, data, (size_t)size,
					  (uint64_t)offset);

	return end_operation(logged(place, real->pMethods->xWrite(real, data, size, offset)));
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	sqlite3_file *real = real_file(f);

	begin_operation();
	fi_kill_place place =
	    of(f)->logged == 0 ? 0 : fi_kill_log_truncate(self.log, of(f)->logged, (uint64_t)size);

	return end_operation(logged(place, real->pMethods->xTruncate(real, size)));
}

/* os_unix syncs the folder once a handle, after the file, and ignores errors of that. */
static int real_sync(struct kill_file *file, int flags)
{
	sqlite3_file *real = file->through.real;
	fi_kill_place place = 0;
	int rc;

	if (file->logged != 0)
		place =
		    fi_kill_log_sync(self.log, file->logged, (flags & SQLITE_SYNC_DATAONLY) != 0);
	uint64_t number = atomic_fetch_add(&self.syncs, 1) + 1;
	if (self.plan.moment == FI_KILL_IN_SYNC && self.plan.number == number)
		end_here();
	rc = logged(place, real->pMethods->xSync(real, flags));
	if (rc == SQLITE_OK && file->logged != 0 && file->folder_due) {
		log_folder_sync(file->path);
		file->folder_due = false;
	}
	return rc;
}

static int file_sync(sqlite3_file *f, int flags)
{
	begin_operation();
	if (self.defect == FI_KILL_LOG_UNSYNCED && of(f)->is_log) {
		/* Of the two syncs that are asked for, only the file's is missing. */
		if (of(f)->logged != 0 && of(f)->folder_due)
			log_folder_sync(of(f)->path);
		of(f)->folder_due = false;
		return end_operation(SQLITE_OK);
	}
	return end_operation(real_sync(of(f), flags));
}

static int file_lock(sqlite3_file *f, int level)
{
	sqlite3_file *real = real_file(f);

	begin_operation();
	return end_operation(real->pMethods->xLock(real, level));
}

static int file_unlock(sqlite3_file *f, int level)
{
	sqlite3_file *real = real_file(f);

	begin_operation();
	return end_operation(real->pMethods->xUnlock(real, level));
}

static int file_control(sqlite3_file *f, int op, void *argument)
{
	sqlite3_file *real = real_file(f);

	return real->pMethods->xFileControl(real, op, argument);
}

static int file_shm_map(sqlite3_file *f, int region, int size, int extend, void volatile **ret_map)
{
	sqlite3_file *real = real_file(f);

	begin_operation();
	return end_operation(real->pMethods->xShmMap(real, region, size, extend, ret_map));
}

static int file_shm_lock(sqlite3_file *f, int offset, int count, int flags)
{
	sqlite3_file *real = real_file(f);

	begin_operation();
	return end_operation(real->pMethods->xShmLock(real, offset, count, flags));
}

static int file_shm_unmap(sqlite3_file *f, int delete_flag)
{
	sqlite3_file *real = real_file(f);

	begin_operation();
	return end_operation(real->pMethods->xShmUnmap(real, delete_flag));
}

static const sqlite3_io_methods methods[METHODS_VERSION_MAX] = {
    THROUGH_METHODS(1), THROUGH_METHODS(2), THROUGH_METHODS(3)};

/* ---- the VFS ---- */

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
	enum {
		LOGS = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL,
	};
	struct kill_file *file = of(f);
	bool creates = (flags & SQLITE_OPEN_CREATE) != 0;
	bool is_private = name == NULL || (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;

	(void)vfs;
	memset(file, 0, sizeof *file);
	file->through.real = (sqlite3_file *)&file[1];
	begin_operation();
	if (self.log != NULL && !is_private) {
		file->logged = fi_kill_log_open(self.log, name, creates, false);
		file->path = name;
	}
	file->is_log = !is_private && (flags & LOGS) != 0;
	file->folder_due = file->is_log && creates;
	int rc = logged(file->logged,
			real_vfs->xOpen(real_vfs, name, file->through.real, flags, ret_flags));

	/* A file that could not be opened may still have methods, and is then closed by SQLite. */
	if (file->through.real->pMethods != NULL) {
		int version = file->through.real->pMethods->iVersion;

		ASSERT_OP(version, >=, 1);
		file->through.base.pMethods =
		    &methods[(version < METHODS_VERSION_MAX ? version : METHODS_VERSION_MAX) - 1];
	}
	return end_operation(rc);
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_directory)
{
	(void)vfs;
	begin_operation();
	fi_kill_place place = self.log == NULL ? 0 : fi_kill_log_unlink(self.log, name);
	int rc = logged(place, real_vfs->xDelete(real_vfs, name, sync_directory));

	if (rc == SQLITE_OK && self.log != NULL && (sync_directory & 1) != 0)
		log_folder_sync(name);
	return end_operation(rc);
}

int fi_vfs_kill_register(struct err *err)
{
	static sqlite3_vfs vfs = {
	    .zName = FI_VFS_KILL_NAME,
	    .xOpen = vfs_open,
	    .xDelete = vfs_delete,
	    .xAccess = vfs_access,
	    .xFullPathname = vfs_full_pathname,
	    .xDlOpen = vfs_dl_open,
	    .xDlError = vfs_dl_error,
	    .xDlSym = vfs_dl_sym,
	    .xDlClose = vfs_dl_close,
	    .xRandomness = vfs_randomness,
	    .xSleep = vfs_sleep,
	    .xCurrentTime = vfs_current_time,
	    .xGetLastError = vfs_last_error,
	    .xCurrentTimeInt64 = vfs_current_time_ms,
	    .xSetSystemCall = vfs_set_system_call,
	    .xGetSystemCall = vfs_get_system_call,
	    .xNextSystemCall = vfs_next_system_call,
	};
	sqlite3_vfs *real = sqlite3_vfs_find("unix");

	/* os_unix has been at version 3 since SQLite 3.7.6. */
	if (real == NULL || real->iVersion < 3)
		return err_set(err, ERR_SQLITE, "SQLite has no \"unix\" VFS of version 3");
	real_vfs = real;
	vfs.iVersion = 3;
	vfs.szOsFile = (int)sizeof(struct kill_file) + real->szOsFile;
	vfs.mxPathname = real->mxPathname;
	int rc = sqlite3_vfs_register(&vfs, 1);

	if (rc != SQLITE_OK)
		return err_set(err, ERR_SQLITE, "cannot register the VFS \"%s\": %s",
			       FI_VFS_KILL_NAME, sqlite3_errstr(rc));
	return 0;
}

void fi_vfs_kill_log(struct fi_kill_log *log)
{
	self.log = log;
}

void fi_vfs_kill_plant(enum fi_kill_defect defect)
{
	self.defect = defect;
}

void fi_vfs_kill_arm(struct fi_kill_plan plan)
{
	self.plan = plan;
	self.operations = 0;
	self.syncs = 0;
}

struct fi_kill_counts fi_vfs_kill_counts(void)
{
	return (struct fi_kill_counts){.operations = self.operations, .syncs = self.syncs};
}
