/*
 * os_unix's system calls, recorded; see vfs_record.h.
 *
 * os_unix makes them through a table that a program may change (xSetSystemCall). Each function here
 * does what the one that it replaces does, which it calls, and tells the log before and after. The
 * one difference: a file that is opened with O_CREAT is first opened without it, because only so it
 * is known for sure who created it.
 *
 * Which descriptors are recorded stands in a table by their number. An entry is written by who
 * opens and closes the descriptor, when nobody else has it, so readers need no lock.
 */
#include "faultinject/vfs_record.h"
#include "faultinject/vfs_record_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

SQLITE_EXTENSION_INIT3

enum { DESCRIPTORS_MAX = 65536 }; /* numbers below it can be recorded */

struct descriptor {
	_Atomic bool is_used;
	bool is_synced_here; /* opened through our VFS, which sees its syncs */
	enum record_kind kind;
	uint64_t dev, ino;
	char *path; /* owned */
};

static struct descriptor descriptors[DESCRIPTORS_MAX];
static int descriptor_top;				  /* all used ones are below it */
static pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER; /* to open, close and search */

_Thread_local struct record_method *record_method;

static struct {
	int (*open)(const char *, int, int);
	int (*close)(int);
	int (*fcntl)(int, int, ...);
	ssize_t (*write)(int, const void *, size_t);
	ssize_t (*pwrite)(int, const void *, size_t, off_t);
	ssize_t (*pwrite64)(int, const void *, size_t, off_t);
	int (*ftruncate)(int, off_t);
	int (*fallocate)(int, off_t, off_t);
	int (*unlink)(const char *);
	int (*open_directory)(const char *, int *);
	void *(*mmap)(void *, size_t, int, int, int, off_t);
} real;

/* ---- descriptors ---- */

static struct descriptor *recorded(int fd)
{
	if (fd < 0 || fd >= DESCRIPTORS_MAX || !fi_record_is_running())
		return NULL;
	struct descriptor *d = &descriptors[fd];

	return atomic_load_explicit(&d->is_used, memory_order_acquire) ? d : NULL;
}

/* Is (dev, ino) open and recorded under another number than `but`? */
static bool is_open(uint64_t dev, uint64_t ino, int but)
{
	bool found = false;

	(void)pthread_mutex_lock(&table);
	for (int fd = 0; fd < descriptor_top && !found; fd++) {
		const struct descriptor *d = &descriptors[fd];

		found = fd != but && d->is_used && d->dev == dev && d->ino == ino;
	}
	(void)pthread_mutex_unlock(&table);
	return found;
}

bool record_find_open(const char *path, uint64_t *ret_dev, uint64_t *ret_ino)
{
	struct record_name name;
	bool found = false;

	if (!record_is_recorded(path, &name))
		return false;
	(void)pthread_mutex_lock(&table);
	for (int fd = descriptor_top; fd-- > 0 && !found;) {
		const struct descriptor *d = &descriptors[fd];

		found = d->is_used && strcmp(d->path, name.path) == 0;
		if (found) {
			*ret_dev = d->dev;
			*ret_ino = d->ino;
		}
	}
	(void)pthread_mutex_unlock(&table);
	return found;
}

/* Notes a new descriptor. NULL: it cannot be recorded. */
static struct descriptor *enter(int fd, const struct record_name *name)
{
	struct stat st;

	if (fd >= DESCRIPTORS_MAX || fstat(fd, &st) != 0) {
		record_trouble_once("a file could not be recorded: too many are open");
		return NULL;
	}
	struct descriptor *d = &descriptors[fd];

	(void)pthread_mutex_lock(&table);
	free(d->path);
	d->path = strdup(name->path);
	d->kind = name->kind;
	d->dev = st.st_dev;
	d->ino = st.st_ino;
	d->is_synced_here = record_method != NULL && record_method->is_open;
	if (d->is_synced_here) {
		record_method->is_opened = true;
		record_method->dev = d->dev;
		record_method->ino = d->ino;
	}
	if (fd >= descriptor_top)
		descriptor_top = fd + 1;
	atomic_store_explicit(&d->is_used, d->path != NULL, memory_order_release);
	(void)pthread_mutex_unlock(&table);
	return d->path != NULL ? d : NULL;
}

static struct reclog_entry entry_of(const struct descriptor *d, enum reclog_type type)
{
	return (struct reclog_entry){
	    .head = {.type = (uint8_t)type, .dev = d->dev, .ino = d->ino},
	};
}

static void end(struct reclog_entry *e, uint64_t begin, int64_t rc)
{
	record_end(e, begin, rc < 0 ? -errno : rc);
}

/* Is it a descriptor, unknown here, of a recorded file? */
static bool is_stranger(int fd)
{
	int saved = errno;
	struct stat st;
	bool found =
	    fi_record_is_running() && fstat(fd, &st) == 0 && is_open(st.st_dev, st.st_ino, fd);

	errno = saved;
	return found;
}

/* A descriptor whose file is about to be changed. NULL: not recorded. */
static const struct descriptor *changing(int fd)
{
	const struct descriptor *d = recorded(fd);

	if (d != NULL && d->kind == RECORD_SHM)
		return NULL;
	if (d == NULL ? is_stranger(fd) : !d->is_synced_here)
		record_trouble_once("a connection whose syncs are not seen, because it was opened "
				    "before the extension was loaded or by another VFS, wrote to "
				    "a recorded file");
	return d;
}

/* ---- opening and closing ---- */

static int opened(int fd, const struct record_name *name)
{
	const struct descriptor *d = fd < 0 ? NULL : enter(fd, name);

	if (d == NULL || name->kind == RECORD_SHM)
		return fd;
	struct reclog_entry e = entry_of(d, RECLOG_OPEN);

	e.head.flags = RECLOG_EXISTED;
	e.head.result = fd;
	e.path = name->path;
	record_content(fd, name->path);
	record_once(&e);
	return fd;
}

/* Fails with EEXIST when the file is there. */
static int create(const char *path, int flags, int mode, const struct record_name *name)
{
	struct reclog_entry e = {.head = {.type = RECLOG_OPEN}, .path = name->path};
	uint64_t begin = record_begin(&e);
	int fd = real.open(path, flags | O_EXCL, mode);
	const struct descriptor *d = fd < 0 ? NULL : enter(fd, name);

	if (d != NULL) {
		e.head.dev = d->dev;
		e.head.ino = d->ino;
		record_made(d->dev, d->ino);
	}
	end(&e, begin, fd);
	return fd;
}

/* os_unix opens nothing with O_TRUNC. */
static int call_open(const char *path, int flags, int mode)
{
	bool makes = (flags & O_CREAT) != 0, exclusive = makes && (flags & O_EXCL) != 0;
	struct record_name name;
	int fd = -1;

	if (!record_is_recorded(path, &name))
		return real.open(path, flags, mode);
	if (!makes || name.kind == RECORD_SHM)
		return opened(real.open(path, flags, mode), &name);
	if (!exclusive) {
		fd = real.open(path, flags & ~O_CREAT, mode);
		if (fd >= 0 || errno != ENOENT)
			return opened(fd, &name);
	}
	fd = create(path, flags, mode, &name);
	if (fd >= 0 || errno != EEXIST || exclusive)
		return fd;
	return opened(real.open(path, flags, mode), &name);
}

static int call_close(int fd)
{
	struct descriptor *d = recorded(fd);

	if (d == NULL) {
		if (fd >= 0 && fd < DESCRIPTORS_MAX)
			descriptors[fd].is_used = false;
		return real.close(fd);
	}
	if (!is_open(d->dev, d->ino, fd)) {
		struct reclog_entry e = entry_of(d, RECLOG_CLOSE);

		if (d->kind != RECORD_SHM)
			record_digest(fd, d->dev, d->ino, d->path);
		else
			e.head.flags |= RECLOG_SHM;
		e.path = d->path;
		record_once(&e);
	}
	d->is_used = false;
	return real.close(fd);
}

static int call_open_directory(const char *path, int *ret_fd)
{
	struct record_method *m = record_method;
	int rc = real.open_directory(path, ret_fd);

	if (rc != SQLITE_OK || m == NULL || !m->is_sync || m->folder_path[0] == '\0')
		return rc;
	record_end(&m->file, m->file_begin, 0);
	m->file_begin = 0;
	m->folder = (struct reclog_entry){.head = {.type = RECLOG_DIRSYNC}, .path = m->folder_path};
	m->folder_begin = record_begin(&m->folder);
	return rc;
}

static int call_unlink(const char *path)
{
	struct record_name name;

	if (!record_is_recorded(path, &name) || name.kind == RECORD_SHM)
		return real.unlink(path);
	struct reclog_entry e = {.head = {.type = RECLOG_UNLINK}, .path = name.path};
	uint64_t begin = record_begin(&e);

	record_unmade(path);
	int rc = real.unlink(path);

	end(&e, begin, rc);
	return rc;
}

/* ---- content ---- */

static struct reclog_entry write_entry(const struct descriptor *d, const void *data, size_t size,
				       off_t offset)
{
	struct reclog_entry e = entry_of(d, RECLOG_WRITE);

	e.head.offset = (uint64_t)offset;
	e.head.length = size;
	e.data = data;
	e.data_size = size;
	return e;
}

/* Where a build has neither pwrite nor pwrite64 os_unix seeks first. */
static ssize_t call_write(int fd, const void *data, size_t size)
{
	const struct descriptor *d = changing(fd);

	if (d == NULL)
		return real.write(fd, data, size);
	struct reclog_entry e = write_entry(d, data, size, lseek(fd, 0, SEEK_CUR));
	uint64_t begin = record_begin(&e);
	ssize_t n = real.write(fd, data, size);

	end(&e, begin, n);
	return n;
}

static ssize_t write_at(ssize_t (*call)(int, const void *, size_t, off_t), int fd, const void *data,
			size_t size, off_t offset)
{
	const struct descriptor *d = changing(fd);

	if (d == NULL)
		return call(fd, data, size, offset);
	struct reclog_entry e = write_entry(d, data, size, offset);
	uint64_t begin = record_begin(&e);
	ssize_t n = call(fd, data, size, offset);

	end(&e, begin, n);
	return n;
}

static ssize_t call_pwrite(int fd, const void *data, size_t size, off_t offset)
{
	return write_at(real.pwrite, fd, data, size, offset);
}

static ssize_t call_pwrite64(int fd, const void *data, size_t size, off_t offset)
{
	return write_at(real.pwrite64, fd, data, size, offset);
}

static int call_ftruncate(int fd, off_t size)
{
	const struct descriptor *d = changing(fd);

	if (d == NULL)
		return real.ftruncate(fd, size);
	struct reclog_entry e = entry_of(d, RECLOG_TRUNCATE);

	e.head.length = (uint64_t)size;
	uint64_t begin = record_begin(&e);
	int rc = real.ftruncate(fd, size);

	end(&e, begin, rc);
	return rc;
}

/* posix_fallocate: the answer is an errno. */
static int call_fallocate(int fd, off_t offset, off_t size)
{
	const struct descriptor *d = changing(fd);

	if (d == NULL)
		return real.fallocate(fd, offset, size);
	struct reclog_entry e = entry_of(d, RECLOG_ALLOCATE);

	e.head.offset = (uint64_t)offset;
	e.head.length = (uint64_t)size;
	uint64_t begin = record_begin(&e);
	int rc = real.fallocate(fd, offset, size);

	record_end(&e, begin, -rc);
	return rc;
}

static void *call_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	void *map = real.mmap(at, size, protection, flags, fd, offset);

	if (map == MAP_FAILED || (protection & PROT_WRITE) == 0 || (flags & MAP_SHARED) == 0)
		return map;
	const struct descriptor *d = changing(fd);

	if (d != NULL) {
		struct reclog_entry e = entry_of(d, RECLOG_MAPPED);

		record_once(&e);
	}
	return map;
}

/* ---- locks ---- */

static int call_lock(const struct descriptor *d, int fd, int command, struct flock *lock)
{
	struct reclog_entry e = entry_of(d, lock->l_type == F_UNLCK ? RECLOG_UNLOCK : RECLOG_LOCK);

	if (lock->l_type == F_RDLCK)
		e.head.flags |= RECLOG_SHARED;
	if (d->kind == RECORD_SHM)
		e.head.flags |= RECLOG_SHM;
	e.head.offset = (uint64_t)lock->l_start;
	e.head.length = (uint64_t)lock->l_len;
	e.path = d->path;
	/* Once it is given up others may have it. */
	if (lock->l_type == F_UNLCK)
		record_once(&e);
	int rc = real.fcntl(fd, command, lock);

	if (lock->l_type != F_UNLCK && rc == 0)
		record_once(&e);
	return rc;
}

/* os_unix gives every command a third argument, a pointer or an int: like the C library, this hands
 * on the whole word. */
static int call_fcntl(int fd, int command, ...)
{
	const struct descriptor *d = recorded(fd);
	va_list arguments;

	va_start(arguments, command);
	void *argument = va_arg(arguments, void *);
	va_end(arguments);
	if (d != NULL && (command == F_SETLK || command == F_SETLKW))
		return call_lock(d, fd, command, argument);
	return real.fcntl(fd, command, argument);
}

/* ---- taking their place ---- */

typedef void (*any_call)(void);

static void lock_table(void)
{
	(void)pthread_mutex_lock(&table);
}

static void unlock_table(void)
{
	(void)pthread_mutex_unlock(&table);
}

int record_take_calls(sqlite3_vfs *unix_vfs, struct err *err)
{
	static const struct {
		const char *name;
		any_call ours;
		any_call *real;
		bool is_optional; /* a build may do without it */
	} calls[] = {
	    {"open", (any_call)call_open, (any_call *)&real.open, false},
	    {"close", (any_call)call_close, (any_call *)&real.close, false},
	    {"fcntl", (any_call)call_fcntl, (any_call *)&real.fcntl, false},
	    {"write", (any_call)call_write, (any_call *)&real.write, false},
	    {"pwrite", (any_call)call_pwrite, (any_call *)&real.pwrite, true},
	    {"pwrite64", (any_call)call_pwrite64, (any_call *)&real.pwrite64, true},
	    {"ftruncate", (any_call)call_ftruncate, (any_call *)&real.ftruncate, false},
	    {"fallocate", (any_call)call_fallocate, (any_call *)&real.fallocate, true},
	    {"unlink", (any_call)call_unlink, (any_call *)&real.unlink, false},
	    {"openDirectory", (any_call)call_open_directory, (any_call *)&real.open_directory,
	     false},
	    {"mmap", (any_call)call_mmap, (any_call *)&real.mmap, true},
	};
	enum { CALL_COUNT = sizeof calls / sizeof *calls };

	for (int i = 0; i < CALL_COUNT; i++) {
		any_call found = unix_vfs->xGetSystemCall(unix_vfs, calls[i].name);

		if (found == NULL && !calls[i].is_optional)
			return err_set(err, ERR_SQLITE, "this SQLite makes no system call \"%s\"",
				       calls[i].name);
		*calls[i].real = found;
	}
	(void)pthread_atfork(lock_table, unlock_table, unlock_table);
	for (int i = 0; i < CALL_COUNT; i++)
		if (*calls[i].real != NULL &&
		    unix_vfs->xSetSystemCall(unix_vfs, calls[i].name, calls[i].ours) != SQLITE_OK)
			return err_set(err, ERR_SQLITE, "this SQLite keeps its system call \"%s\"",
				       calls[i].name);
	return 0;
}
