/*
 * open, close, dup and their kin. See preload.h.
 *
 * Before an open that can make or empty a file its name is resolved, so that the log has a BEGIN
 * and what the file held. Other opens change nothing.
 */
#include "faultinject/record/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* An open under way. */
struct opening {
	struct preload_call call;
	bool on, begun, created;
	uint16_t flags;
	const char *trouble; /* if it succeeds, or NULL */
	char path[RECLOG_PATH_MAX];
};

static bool can_write(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

/* A program that opens the file of marks is going to write some. */
static void look_for_marks(const char *path)
{
	struct reclog_header *h = reclog_header(&preload_log);

	if (path != NULL && h->mark_path[0] != '\0' && strcmp(path, h->mark_path) == 0)
		(void)__atomic_fetch_or(&h->flags, (uint32_t)RECLOG_WATCH_MARKS, __ATOMIC_RELAXED);
}

static void before(struct opening *o, int at, const char *path, int flags)
{
	struct reclog_header *h = reclog_header(&preload_log);
	struct reclog_entry e = {.head = {.type = RECLOG_OPEN}, .path = o->path};
	bool existed, shm, recorded;
	struct stat st;

	o->begun = o->created = false;
	o->flags = 0;
	o->trouble = NULL;
	o->on = preload_on() && path != NULL && (flags & O_PATH) != O_PATH &&
		(flags & O_TMPFILE) != O_TMPFILE && !preload_self.vforked;
	if (!o->on)
		return;
	look_for_marks(path);
	if ((flags & (O_CREAT | O_TRUNC)) == 0 && !can_write(flags))
		return;
	existed = raw_stat(at, path, 0, &st) == 0;
	if (existed && S_ISREG(st.st_mode))
		o->trouble = preload_watched(&st, (flags & O_TRUNC) != 0);
	o->created = !existed && (flags & O_CREAT) != 0;
	if ((existed && !S_ISREG(st.st_mode)) || !path_resolve(at, path, true, o->path))
		return;
	if (can_write(flags))
		file_look_beside(o->path);
	if (existed && (flags & O_TRUNC) != 0)
		file_look_inside(o->path, &st);
	recorded = __atomic_load_n(&h->database_count, __ATOMIC_ACQUIRE) > 0 &&
		   reclog_is_recorded(&preload_log, o->path, &shm) && !shm;
	if (!recorded)
		return;
	if (existed && (flags & O_TRUNC) != 0 && st.st_size > 0) {
		file_known(o->path, &st, -1, false);
		o->flags = RECLOG_EXISTED | RECLOG_TRUNCATED;
		e.head.dev = st.st_dev;
		e.head.ino = st.st_ino;
	}
	if (o->flags == 0 && !o->created)
		return;
	e.head.flags = o->flags;
	o->call = preload_begin(&e);
	o->begun = true;
}

static void after(struct opening *o, int fd)
{
	struct reclog_entry e = {.head = {.type = RECLOG_OPEN, .flags = RECLOG_EXISTED}};
	struct file *f;
	struct stat st;
	int saved = errno;

	if (!o->on)
		return;
	if (fd >= 0 && o->begun && raw_fstat(fd, &st) == 0) {
		/* Before others can find that they do not know it. */
		if (o->created)
			reclog_inode_done(&preload_log, st.st_dev, st.st_ino);
		e.head.dev = st.st_dev;
		e.head.ino = st.st_ino;
	}
	errno = saved;
	if (fd >= 0 && o->trouble != NULL)
		preload_trouble(o->trouble, "");
	if (o->begun) {
		e.head.flags = o->flags;
		e.path = o->path;
		preload_end(o->call, &e, fd);
	}
	f = fd < 0 ? NULL : fd_opened(fd, o->created && !o->begun);
	if (f != NULL && o->begun)
		f->flags |= FILE_WRITTEN;
	if (f != NULL && !o->begun && (f->flags & FILE_SHM) == 0) {
		e.head.dev = f->dev;
		e.head.ino = f->ino;
		e.path = f->path;
		preload_once(&e);
	}
	errno = saved;
}

/* ---- open ---- */

static bool has_mode(int flags)
{
	return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
}

EXPORT int open(const char *path, int flags, ...)
{
	struct opening o;
	mode_t mode = 0;
	va_list ap;
	int fd;

	if (has_mode(flags)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	statement_opening(flags, __builtin_return_address(0));
	before(&o, AT_FDCWD, path, flags);
	fd = REAL(open)(path, flags, mode);
	after(&o, fd);
	return fd;
}

EXPORT int openat(int at, const char *path, int flags, ...)
{
	struct opening o;
	mode_t mode = 0;
	va_list ap;
	int fd;

	if (has_mode(flags)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	before(&o, at, path, flags);
	fd = REAL(openat)(at, path, flags, mode);
	after(&o, fd);
	return fd;
}

EXPORT int creat(const char *path, mode_t mode)
{
	struct opening o;
	int fd;

	before(&o, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC);
	fd = REAL(creat)(path, mode);
	after(&o, fd);
	return fd;
}

/* What open becomes under _FORTIFY_SOURCE, without a mode. */
int __open_2(const char *path, int flags);
int __openat_2(int at, const char *path, int flags);

EXPORT int __open_2(const char *path, int flags)
{
	struct opening o;
	int fd;

	before(&o, AT_FDCWD, path, flags);
	fd = REAL(__open_2)(path, flags);
	after(&o, fd);
	return fd;
}

EXPORT int __openat_2(int at, const char *path, int flags)
{
	struct opening o;
	int fd;

	before(&o, at, path, flags);
	fd = REAL(__openat_2)(at, path, flags);
	after(&o, fd);
	return fd;
}

SAME_AS(open, open64);
SAME_AS(openat, openat64);
SAME_AS(creat, creat64);
SAME_AS(__open_2, __open64_2);
SAME_AS(__openat_2, __openat64_2);

/* Only for the files of marks and output: what stdio writes is not seen. */
EXPORT FILE *fopen(const char *restrict path, const char *restrict mode)
{
	const char *trouble = NULL;
	struct stat st;
	FILE *f;

	if (preload_on() && path != NULL && mode != NULL) {
		look_for_marks(path);
		if (strpbrk(mode, "wa+") != NULL && raw_stat(AT_FDCWD, path, 0, &st) == 0 &&
		    S_ISREG(st.st_mode))
			trouble = preload_watched(&st, mode[0] == 'w');
	}
	f = REAL(fopen)(path, mode);
	if (f != NULL && trouble != NULL)
		preload_trouble(trouble, "");
	return f;
}
SAME_AS(fopen, fopen64);

/* ---- close, dup ---- */

EXPORT int close(int fd)
{
	if (preload_on())
		fd_closing(fd);
	return REAL(close)(fd);
}

EXPORT int close_range(unsigned first, unsigned last, int flags)
{
	if (preload_on() && ((unsigned)flags & CLOSE_RANGE_CLOEXEC) == 0)
		fd_closing_range(first, last);
	return REAL(close_range)(first, last, flags);
}

EXPORT void closefrom(int first)
{
	if (preload_on())
		fd_closing_range(first < 0 ? 0 : (unsigned)first, ~0u);
	REAL(closefrom)(first);
}

EXPORT int dup(int fd)
{
	int to = REAL(dup)(fd);

	if (to >= 0 && preload_on())
		fd_duplicated(fd, to);
	return to;
}

EXPORT int dup2(int fd, int to)
{
	bool on = preload_on() && fd != to;
	int rc;

	if (on && raw_fcntl(fd, F_GETFD) >= 0)
		fd_closing(to);
	rc = REAL(dup2)(fd, to);
	if (rc >= 0 && on)
		fd_duplicated(fd, to);
	return rc;
}

EXPORT int dup3(int fd, int to, int flags)
{
	bool on = preload_on() && fd != to;
	int rc;

	if (on && raw_fcntl(fd, F_GETFD) >= 0)
		fd_closing(to);
	rc = REAL(dup3)(fd, to, flags);
	if (rc >= 0 && on)
		fd_duplicated(fd, to);
	return rc;
}
