/*
 * The VFS "plugpull-record"; see vfs_record.h.
 *
 * A file of ours is a header followed by the real file in the same allocation, as in vfs_kill.c.
 * Every method hands its arguments on unchanged. Three do more: xOpen says which files are
 * databases, and xSync and xDelete record the syncs below them.
 *
 * What one xSync of a journal makes:     sync begin, end (of the file), dirsync begin, end
 *              an xDelete with sync:     unlink, dirsync begin, end
 *
 * The folder's sync is seen by its being opened (call_open_directory()), so it is recorded when
 * os_unix makes one and only then.
 */
#include "faultinject/vfs_record.h"
#include "faultinject/vfs_record_internal.h"

#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "faultinject/vfs_through.h"

SQLITE_EXTENSION_INIT3

struct record_file {
	struct through_file through; /* first */
	bool is_database, is_recorded;
	uint64_t dev, ino; /* of a recorded one */
	const char *path;  /* of a recorded one; borrowed from SQLite until xClose */
};

static bool syncs_are_real; /* built without SQLITE_NO_SYNC */
static uint16_t sync_flags; /* of RECLOG_SYNC and RECLOG_DIRSYNC */

/* ---- syncs ---- */

/* Where the folder stands in which SQLite's `path` is; "" when the file is not recorded. */
static void set_folder(struct record_method *m, const char *path)
{
	struct record_name name;

	m->folder_path[0] = '\0';
	if (!record_is_recorded(path, &name))
		return;
	char *slash = strrchr(name.path, '/');

	slash[slash == name.path ? 1 : 0] = '\0';
	memcpy(m->folder_path, name.path, strlen(name.path) + 1);
}

struct library {
	uintptr_t inside; /* an address in it */
	bool imports;	  /* it names fdatasync, or nobody can say */
};

/* Looks into the strings of the library's dynamic section. */
static int look_for_fdatasync(struct dl_phdr_info *o, size_t size, void *argument)
{
	static const char name[] = "\0fdatasync";
	struct library *l = argument;
	const ElfW(Dyn) *dynamic = NULL;
	uintptr_t strings = 0;
	size_t strings_size = 0;
	bool is_it = false;

	(void)size;
	for (int i = 0; i < o->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &o->dlpi_phdr[i];
		uintptr_t begin = o->dlpi_addr + p->p_vaddr;

		is_it |= p->p_type == PT_LOAD && l->inside - begin < p->p_memsz;
		if (p->p_type == PT_DYNAMIC)
			dynamic = (const ElfW(Dyn) *)begin;
	}
	if (!is_it || dynamic == NULL)
		return is_it;
	for (; dynamic->d_tag != DT_NULL; dynamic++) {
		if (dynamic->d_tag == DT_STRTAB)
			strings = dynamic->d_un.d_ptr;
		else if (dynamic->d_tag == DT_STRSZ)
			strings_size = dynamic->d_un.d_val;
	}
	if (strings < o->dlpi_addr) /* not every loader has made it an address */
		strings += o->dlpi_addr;
	l->imports =
	    strings == 0 || memmem((const void *)strings, strings_size, name, sizeof name) != NULL;
	return 1;
}

/* full_fsync() in os_unix.c calls fdatasync for everything, or fsync for everything where SQLite
 * was built without HAVE_FDATASYNC. */
static bool calls_fdatasync(void)
{
	struct library l = {(uintptr_t)real_vfs->xOpen, true};

	(void)dl_iterate_phdr(look_for_fdatasync, &l);
	return l.imports;
}

static void end_syncs(struct record_method *m, int rc)
{
	int64_t result = rc == SQLITE_OK ? 0 : -EIO;

	record_end(&m->file, m->file_begin, result);
	record_end(&m->folder, m->folder_begin, result);
}

static int file_sync(sqlite3_file *f, int flags)
{
	struct record_file *file = (struct record_file *)f;
	sqlite3_file *real = file->through.real;

	if (!file->is_recorded || !syncs_are_real || !fi_record_is_running())
		return real->pMethods->xSync(real, flags);
	struct record_method m = {
	    .path = file->path,
	    .is_sync = true,
	    .file = {.head = {.type = RECLOG_SYNC,
			      .flags = sync_flags,
			      .dev = file->dev,
			      .ino = file->ino}},
	};

	set_folder(&m, file->path);
	m.file_begin = record_begin(&m.file);
	record_method = &m;
	int rc = real->pMethods->xSync(real, flags);

	record_method = NULL;
	end_syncs(&m, rc);
	return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_directory)
{
	(void)vfs;
	if (!sync_directory || !syncs_are_real || !fi_record_is_running())
		return real_vfs->xDelete(real_vfs, name, sync_directory);
	struct record_method m = {.path = name, .is_sync = true};

	set_folder(&m, name);
	record_method = &m;
	int rc = real_vfs->xDelete(real_vfs, name, sync_directory);

	record_method = NULL;
	end_syncs(&m, rc);
	return rc;
}

/* ---- files ---- */

static int file_close(sqlite3_file *f)
{
	struct record_file *file = (struct record_file *)f;
	int rc = file->through.real->pMethods->xClose(file->through.real);

	if (file->is_database)
		record_leave();
	return rc;
}

static int file_write(sqlite3_file *f, const void *data, int size, sqlite3_int64 offset)
{
	sqlite3_file *real = real_file(f);

	return real->pMethods->xWrite(real, data, size, offset);
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	sqlite3_file *real = real_file(f);

	return real->pMethods->xTruncate(real, size);
}

static int file_lock(sqlite3_file *f, int level)
{
	sqlite3_file *real = real_file(f);

	return real->pMethods->xLock(real, level);
}

static int file_unlock(sqlite3_file *f, int level)
{
	sqlite3_file *real = real_file(f);

	return real->pMethods->xUnlock(real, level);
}

static int file_control(sqlite3_file *f, int op, void *argument)
{
	sqlite3_file *real = real_file(f);
	int rc = real->pMethods->xFileControl(real, op, argument);

	/* As SQLite's own shims name themselves: "upper/lower". */
	if (op == SQLITE_FCNTL_VFSNAME && rc == SQLITE_OK)
		*(char **)argument = sqlite3_mprintf(FI_VFS_RECORD_NAME "/%z", *(char **)argument);
	return rc;
}

static int file_shm_map(sqlite3_file *f, int region, int size, int extend, void volatile **ret_map)
{
	sqlite3_file *real = real_file(f);

	return real->pMethods->xShmMap(real, region, size, extend, ret_map);
}

static int file_shm_lock(sqlite3_file *f, int offset, int count, int flags)
{
	sqlite3_file *real = real_file(f);

	return real->pMethods->xShmLock(real, offset, count, flags);
}

static int file_shm_unmap(sqlite3_file *f, int delete_flag)
{
	sqlite3_file *real = real_file(f);

	return real->pMethods->xShmUnmap(real, delete_flag);
}

/* The version is the real file's, so that SQLite sees no method that is not there. */
static const sqlite3_io_methods methods[METHODS_VERSION_MAX] = {
    THROUGH_METHODS(1), THROUGH_METHODS(2), THROUGH_METHODS(3)};

/* ---- the VFS ---- */

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
	struct record_file *file = (struct record_file *)f;
	struct record_method m = {.path = name, .is_open = true};

	(void)vfs;
	*file = (struct record_file){
	    .through.real = (sqlite3_file *)&file[1],
	    .is_database = (flags & SQLITE_OPEN_MAIN_DB) != 0 && name != NULL,
	};
	if (file->is_database)
		record_enter(name);
	record_method = &m;
	int rc = real_vfs->xOpen(real_vfs, name, file->through.real, flags, ret_flags);

	record_method = NULL;
	if (rc == SQLITE_OK && name != NULL) {
		file->path = name;
		file->dev = m.dev;
		file->ino = m.ino;
		/* os_unix may take a descriptor that it had kept, and open none. */
		file->is_recorded = m.is_opened || record_find_open(name, &file->dev, &file->ino);
	}
	/* A file that could not be opened may still have methods, and is then closed by SQLite. */
	if (file->through.real->pMethods != NULL) {
		int version = file->through.real->pMethods->iVersion;

		file->through.base.pMethods =
		    &methods[(version < METHODS_VERSION_MAX ? version : METHODS_VERSION_MAX) - 1];
	} else if (file->is_database) {
		record_leave();
	}
	return rc;
}

int fi_record_install(struct err *err)
{
	static sqlite3_vfs vfs = {
	    .iVersion = 3,
	    .zName = FI_VFS_RECORD_NAME,
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

	if (real_vfs != NULL)
		return 0;
	sqlite3_vfs *found = sqlite3_vfs_find(NULL);

	if (found == NULL || found->iVersion < 3 || strncmp(found->zName, "unix", 4) != 0)
		return err_set(err, ERR_SQLITE,
			       "the default VFS is \"%s\", and only those of os_unix can be "
			       "recorded here; `plugpull record` takes any",
			       found == NULL ? "none" : found->zName);
	if (record_take_calls(found, err) != 0)
		return err->code;
	real_vfs = found;
	sync_flags = calls_fdatasync() ? RECLOG_DATA_ONLY : 0;
	syncs_are_real = !sqlite3_compileoption_used("NO_SYNC");
	vfs.szOsFile = (int)sizeof(struct record_file) + found->szOsFile;
	vfs.mxPathname = found->mxPathname;
	int rc = sqlite3_vfs_register(&vfs, 1);

	if (rc == SQLITE_OK)
		return 0;
	real_vfs = NULL;
	return err_set(err, ERR_SQLITE, "cannot register the VFS \"%s\": %s", FI_VFS_RECORD_NAME,
		       sqlite3_errstr(rc));
}
