/*
 * fcntl: locks, duplicates, flags. See preload.h.
 *
 * A lock is logged after it was got, an unlock before it is given, so that in the log nobody has a
 * lock before the one who gave it. A lock in the bytes that SQLite locks makes a file a database.
 */
#include "faultinject/record/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	SQLITE_LOCK_BYTE = 0x40000000, /* PENDING_BYTE in SQLite's os.h */
	SQLITE_LOCK_SIZE = 512,
};

/* The first byte that a lock is about. */
static off_t start_of(int fd, const struct flock *l)
{
	off_t start = l->l_start;
	struct stat st;

	if (l->l_whence == SEEK_CUR)
		start += syscall(SYS_lseek, fd, 0, SEEK_CUR);
	else if (l->l_whence == SEEK_END && raw_fstat(fd, &st) == 0)
		start += st.st_size;
	return l->l_len < 0 ? start + l->l_len : start;
}

static int lock(int fd, int command, struct flock *l)
{
	bool posix = command == F_SETLK || command == F_SETLKW;
	struct file *f = fd_file(fd, FD_TRUST);
	struct reclog_entry e = {0};
	struct preload_call c;
	int rc, saved = errno;
	off_t start;

	if (l == NULL)
		return REAL(fcntl)(fd, command, l);
	start = l->l_whence == SEEK_SET && l->l_len >= 0 ? l->l_start : start_of(fd, l);
	if (f == NULL && start >= SQLITE_LOCK_BYTE && start < SQLITE_LOCK_BYTE + SQLITE_LOCK_SIZE &&
	    l->l_type != F_UNLCK)
		f = file_is_database(fd);
	errno = saved;
	if (f == NULL)
		return REAL(fcntl)(fd, command, l);

	e.head.type = l->l_type == F_UNLCK ? RECLOG_UNLOCK : RECLOG_LOCK;
	if ((f->flags & FILE_SHM) != 0)
		e.head.flags |= RECLOG_SHM;
	if (l->l_type == F_RDLCK)
		e.head.flags |= RECLOG_SHARED;
	e.head.dev = f->dev;
	e.head.ino = f->ino;
	e.head.offset = (uint64_t)start;
	e.head.length = (uint64_t)(l->l_len < 0 ? -l->l_len : l->l_len);
	c = preload_begin(&e);
	if (l->l_type == F_UNLCK)
		preload_once(&e);
	rc = REAL(fcntl)(fd, command, l);
	if (rc != -1 && l->l_type != F_UNLCK) {
		if (posix)
			f->flags |= FILE_LOCKED;
		preload_once(&e);
	}
	preload_end(c, NULL, rc);
	return rc;
}

EXPORT int fcntl(int fd, int command, ...)
{
	va_list ap;
	void *arg;
	int rc;

	va_start(ap, command);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (!preload_on())
		return REAL(fcntl)(fd, command, arg);
	switch (command) {
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return lock(fd, command, arg);
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		rc = REAL(fcntl)(fd, command, arg);
		if (rc >= 0)
			fd_duplicated(fd, rc);
		return rc;
	case F_SETFL:
		rc = REAL(fcntl)(fd, command, arg);
		if (rc == 0)
			fd_flags_changed(fd);
		return rc;
	default:
		return REAL(fcntl)(fd, command, arg);
	}
}
SAME_AS(fcntl, fcntl64);
