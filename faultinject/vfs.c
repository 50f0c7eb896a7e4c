/*
 * See vfs.h. The machine: registration, boot, names, time and randomness. Open files are in
 * vfs_file.c, their locks in vfs_lock.c, the WAL index in vfs_shm.c.
 *
 * Nothing here asks the real machine for anything, with one exception: loading an extension is
 * handed to the unix VFS, because code comes from the real file system.
 *
 * What is not here: symbolic links, permissions and directories. Every directory exists.
 */
#include "faultinject/vfs.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/vfs_internal.h"

#include <errno.h>
#include <string.h>

/* 1970-01-01 00:00:00 UTC in milliseconds since the Julian epoch (noon, 24 November 4714 BC). */
#define UNIX_EPOCH_MS INT64_C(210866760000000)
/* 2024-01-01 00:00:00 UTC in microseconds since 1970. */
#define CLOCK_START_US INT64_C(1704067200000000)

struct vfs_machine fi_machine;

static sqlite3_vfs *previous_default; /* while registered */

int fi_vfs_result(struct vfs_file *f, int error, int code)
{
	if (error == 0)
		return SQLITE_OK;
	fi_machine.last_errno = -error;
	if (f != NULL)
		f->last_errno = -error;
	switch (code) {
	case SQLITE_IOERR_READ:
		return error == -EIO || error == -ENXIO || error == -ERANGE ? SQLITE_IOERR_CORRUPTFS
									    : code;
	case SQLITE_IOERR_WRITE:
		return error == -ENOSPC ? SQLITE_FULL : code;
	case SQLITE_IOERR_DELETE:
		return error == -ENOENT ? SQLITE_IOERR_DELETE_NOENT : code;
	default:
		return code;
	}
}

void fi_vfs_node_attach(struct vfs_file *f)
{
	struct vfs_node **bucket = &fi_machine.buckets[f->inode % VFS_NODE_BUCKETS];
	struct vfs_node *n = *bucket;

	while (n != NULL && n->inode != f->inode)
		n = n->next;
	if (n == NULL) {
		n = fi_machine.free_nodes;
		if (n != NULL)
			fi_machine.free_nodes = n->next;
		else
			n = xcalloc(1, sizeof *n);
		n->inode = f->inode;
		n->next = *bucket;
		*bucket = n;
	}
	f->node = n;
	f->next_handle = n->handles;
	n->handles = f;
}

void fi_vfs_node_detach(struct vfs_file *f)
{
	struct vfs_node *n = f->node;
	struct vfs_file **link = &n->handles;

	while (*link != f)
		link = &(*link)->next_handle;
	*link = f->next_handle;
	f->node = NULL;
	if (n->handles != NULL)
		return;

	ASSERT_OP(n->region_count, ==, 0);
	struct vfs_node **at = &fi_machine.buckets[n->inode % VFS_NODE_BUCKETS];

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	n->next = fi_machine.free_nodes;
	fi_machine.free_nodes = n;
}

int fi_vfs_dirsync(const char *path)
{
	char directory[VFS_PATH_MAX + 1];

	trace_dirname(path, directory, sizeof directory);
	return fi_machine.storage->ops->dirsync(fi_machine.storage, directory);
}

void fi_vfs_note_lock(struct vfs_file *f, bool unlock, uint8_t flags, uint64_t offset,
		      uint64_t size)
{
	struct storage *s = fi_machine.storage;

	if (s->ops->lock != NULL)
		s->ops->lock(s, f->inode, unlock, flags, offset, size);
}

/* O_CREAT, O_EXCL and the fallback to read-only that os_unix has for read-only media. */
static int open_named(struct vfs_file *f, const char *path, int *flags)
{
	struct storage *s = fi_machine.storage;
	bool may_create = (*flags & SQLITE_OPEN_CREATE) != 0;
	bool created = false;
	int error;

	if ((*flags & SQLITE_OPEN_EXCLUSIVE) != 0) {
		error = s->ops->open(s, path, false, &f->inode, &created);
		if (error == 0)
			return -EEXIST;
		if (error != -ENOENT)
			return error;
	}
	error = s->ops->open(s, path, may_create, &f->inode, &created);
	if (error == -EROFS && (*flags & SQLITE_OPEN_READWRITE) != 0) {
		*flags &= ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
		*flags |= SQLITE_OPEN_READONLY;
		error = s->ops->open(s, path, false, &f->inode, &created);
	}
	return error;
}

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags,
		    int *ret_flags)
{
	struct vfs_file *f = (struct vfs_file *)file;
	bool is_private = path == NULL || (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
	bool is_database = (flags & SQLITE_OPEN_MAIN_DB) != 0;
	int rc = vfs_enter();
	int error;

	(void)vfs;
	memset(f, 0, sizeof *f); /* without methods, SQLite does not call xClose */
	if (rc != SQLITE_OK)
		return rc;
	if (!is_private) {
		error = open_named(f, path, &flags);
		if (error != 0)
			return fi_vfs_result(NULL, error, SQLITE_CANTOPEN);
		f->path = path;
		f->dirsync_due = (flags & SQLITE_OPEN_CREATE) != 0 &&
				 (flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL |
					   SQLITE_OPEN_WAL)) != 0;
	}
	f->read_only = (flags & SQLITE_OPEN_READONLY) != 0;
	f->is_wal = (flags & SQLITE_OPEN_WAL) != 0;
	f->process = fi_machine.storage->actor.process;
	f->psow = (fi_machine.device.characteristics & SQLITE_IOCAP_POWERSAFE_OVERWRITE) != 0;
	if (is_database && (flags & SQLITE_OPEN_URI) != 0 &&
	    sqlite3_libversion_number() >= 3007010) /* what first knew psow */
		f->psow = sqlite3_uri_boolean(path, "psow", f->psow) != 0;
	if (is_database && !is_private)
		fi_vfs_node_attach(f);
	f->base.pMethods = &fi_vfs_methods;
	fi_machine.open_count++;
	if (ret_flags != NULL)
		*ret_flags = flags;
	return SQLITE_OK;
}

static bool is_journal(const char *path)
{
	static const char suffix[] = "-journal";
	size_t size = strlen(path), suffix_size = sizeof suffix - 1;

	return size > suffix_size && strcmp(path + size - suffix_size, suffix) == 0;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int dirsync)
{
	struct storage *s = fi_machine.storage;
	int rc = vfs_enter();

	(void)vfs;
	if (rc == SQLITE_OK && fi_machine.defect == FI_VFS_JOURNAL_STAYS && is_journal(path))
		return SQLITE_OK;
	if (rc == SQLITE_OK)
		rc = fi_vfs_result(NULL, s->ops->unlink(s, path), SQLITE_IOERR_DELETE);
	/* What os_unix made of a file that was not there before 3.7.15, and what the pager of that
	 * time needs: it deletes a log without asking whether there is one. */
	if (rc == SQLITE_IOERR_DELETE_NOENT && sqlite3_libversion_number() < 3007015)
		rc = SQLITE_OK;
	if (rc == SQLITE_OK && (dirsync & 1) != 0)
		rc = fi_vfs_result(NULL, fi_vfs_dirsync(path), SQLITE_IOERR_DIR_FSYNC);
	return rc;
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret_yes)
{
	struct storage *s = fi_machine.storage;
	int rc = vfs_enter();
	bool yes = false;
	int error;

	(void)vfs;
	if (rc != SQLITE_OK)
		return rc;
	if (flags == SQLITE_ACCESS_EXISTS) {
		error = s->ops->access(s, path, &yes);
	} else {
		uint32_t inode;
		bool created;

		error = s->ops->open(s, path, false, &inode, &created);
		yes = error == 0;
		if (error == -ENOENT)
			error = 0;
	}
	if (error == 0)
		*ret_yes = yes;
	return fi_vfs_result(NULL, error, SQLITE_IOERR_ACCESS);
}

/* Lexical: "//", "." and ".." go, ".." at the root stays there, and a relative path starts at
 * the root. */
static int vfs_full_pathname(sqlite3_vfs *vfs, const char *path, int size, char *out)
{
	size_t n = 0; /* bytes in out, which never ends with a slash */
	int rc = vfs_enter();

	(void)vfs;
	if (rc != SQLITE_OK)
		return rc;
	while (*path != '\0') {
		size_t length = strcspn(path, "/");

		if (length == 2 && path[0] == '.' && path[1] == '.') {
			while (n > 0 && out[--n] != '/')
				;
		} else if (length > 0 && !(length == 1 && path[0] == '.')) {
			if (n + 1 + length + 1 > (size_t)size)
				return SQLITE_CANTOPEN;
			out[n++] = '/';
			memcpy(out + n, path, length);
			n += length;
		}
		path += length;
		path += *path == '/';
	}
	if (n == 0) {
		if (size < 2)
			return SQLITE_CANTOPEN;
		out[n++] = '/';
	}
	out[n] = '\0';
	return SQLITE_OK;
}

static int vfs_randomness(sqlite3_vfs *vfs, int size, char *out)
{
	(void)vfs;
	(void)vfs_enter();
	if (size <= 0)
		return 0;
	prng_bytes(&fi_machine.random, out, (size_t)size);
	return size;
}

int64_t fi_vfs_clock_us(void)
{
	const struct fi_clock_plan *plan = fi_machine.clock_plan;

	fi_machine.clock_us += 1000;
	if (plan == NULL)
		return CLOCK_START_US + fi_machine.clock_us;
	return CLOCK_START_US + (plan->frozen ? 0 : fi_machine.clock_us) +
	       fi_clock_offset_s(plan, fi_machine.clock_moves) * 1000000;
}

void fi_vfs_clock_plan(const struct fi_clock_plan *plan)
{
	fi_machine.clock_plan = plan;
	fi_machine.clock_moves = 0;
}

void fi_vfs_clock_move(void)
{
	fi_machine.clock_moves++;
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
	(void)vfs;
	(void)vfs_enter();
	if (microseconds > 0)
		fi_machine.clock_us += microseconds;
	return microseconds;
}

static int vfs_current_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *ret_ms)
{
	(void)vfs;
	(void)vfs_enter();
	*ret_ms = UNIX_EPOCH_MS + fi_vfs_clock_us() / 1000;
	return SQLITE_OK;
}

static int vfs_current_time(sqlite3_vfs *vfs, double *ret_days)
{
	sqlite3_int64 ms;

	(void)vfs_current_time_ms(vfs, &ms);
	*ret_days = (double)ms / 86400000.0;
	return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int size, char *out)
{
	(void)vfs;
	(void)size; /* os_unix writes no text either */
	(void)out;
	return fi_machine.last_errno;
}

static void *vfs_dl_open(sqlite3_vfs *vfs, const char *path)
{
	sqlite3_vfs *real = sqlite3_vfs_find("unix");

	(void)vfs;
	return real == NULL ? NULL : real->xDlOpen(real, path);
}

static void vfs_dl_error(sqlite3_vfs *vfs, int size, char *out)
{
	sqlite3_vfs *real = sqlite3_vfs_find("unix");

	(void)vfs;
	if (real != NULL)
		real->xDlError(real, size, out);
	else
		sqlite3_snprintf(size, out, "there is no unix VFS to load extensions with");
}

static void (*vfs_dl_sym(sqlite3_vfs *vfs, void *handle, const char *symbol))(void)
{
	sqlite3_vfs *real = sqlite3_vfs_find("unix");

	(void)vfs;
	return real == NULL ? NULL : real->xDlSym(real, handle, symbol);
}

static void vfs_dl_close(sqlite3_vfs *vfs, void *handle)
{
	sqlite3_vfs *real = sqlite3_vfs_find("unix");

	(void)vfs;
	if (real != NULL)
		real->xDlClose(real, handle);
}

/* No system calls are made, so none can be replaced. */
static int vfs_set_system_call(sqlite3_vfs *vfs, const char *name, sqlite3_syscall_ptr call)
{
	(void)vfs;
	(void)name;
	(void)call;
	return SQLITE_NOTFOUND;
}

static sqlite3_syscall_ptr vfs_get_system_call(sqlite3_vfs *vfs, const char *name)
{
	(void)vfs;
	(void)name;
	return NULL;
}

static const char *vfs_next_system_call(sqlite3_vfs *vfs, const char *name)
{
	(void)vfs;
	(void)name;
	return NULL;
}

static sqlite3_vfs shim = {
    .iVersion = 3,
    .szOsFile = sizeof(struct vfs_file),
    .mxPathname = VFS_PATH_MAX,
    .zName = FI_VFS_NAME,
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

int fi_vfs_register(struct err *err)
{
	sqlite3_vfs *current = sqlite3_vfs_find(NULL);
	int rc;

	if (current == &shim)
		return 0;
	rc = sqlite3_vfs_register(&shim, 1);
	if (rc != SQLITE_OK)
		return err_set(err, ERR_SQLITE, "cannot register the VFS '%s': %s", FI_VFS_NAME,
			       sqlite3_errstr(rc));
	previous_default = current;
	return 0;
}

void fi_vfs_unregister(void)
{
	if (sqlite3_vfs_find(FI_VFS_NAME) != &shim)
		return;
	(void)sqlite3_vfs_unregister(&shim);
	if (previous_default != NULL)
		(void)sqlite3_vfs_register(previous_default, 1);
	previous_default = NULL;
}

void fi_vfs_boot(struct storage *s, uint64_t seed, struct trace_device device)
{
	struct vfs_machine *m = &fi_machine;

	ASSERT_OP(m->open_count, ==, 0);
	m->storage = s;
	m->device = device;
	m->clock_us = 0;
	m->clock_plan = NULL;
	m->clock_moves = 0;
	m->call_count = 0;
	m->written = false;
	m->last_errno = 0;
	m->syncs_ignored = false;
	m->defect = FI_VFS_SOUND;
	prng_init(&m->random, seed, "vfs");
	sqlite3_randomness(0, NULL);
	if (sqlite3_libversion_number() < 3008005) /* where that did nothing */
		(void)sqlite3_test_control(SQLITE_TESTCTRL_PRNG_RESET);
}

struct trace_device fi_vfs_default_device(void)
{
	return (struct trace_device){
	    .sector_size_bytes = 4096,
	    .characteristics = SQLITE_IOCAP_POWERSAFE_OVERWRITE,
	};
}

uint64_t fi_vfs_call_count(void)
{
	return fi_machine.call_count;
}

void fi_vfs_call_limit(uint64_t max)
{
	fi_machine.call_max = max;
}

void fi_vfs_ignore_syncs(void)
{
	fi_machine.syncs_ignored = true;
}

void fi_vfs_plant(enum fi_vfs_defect defect)
{
	fi_machine.defect = (int)defect;
}

unsigned fi_vfs_open_count(void)
{
	return fi_machine.open_count;
}
