/*
 * write, pwrite, writev and their kin. See preload.h.
 *
 * A pwrite trusts the table of descriptors, because it is what SQLite does most, and because a
 * descriptor that was closed and taken again unseen is most often no file, where pwrite fails. A
 * write makes sure.
 */
#include "faultinject/record/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CURRENT = -1 }; /* offset: where the descriptor stands */

static off_t position(int fd)
{
	int saved = errno;
	off_t at = syscall(SYS_lseek, fd, 0, SEEK_CUR);

	errno = saved;
	return at;
}

/* The file to log a write to, or NULL. A file whose beginning becomes SQLite's magic is one. */
static struct file *target(int fd, const struct iovec *v, int count, off_t offset)
{
	struct file *f = fd_file(fd, offset == CURRENT ? FD_VERIFY : FD_TRUST);

	if (f != NULL)
		return (f->flags & FILE_SHM) != 0 ? NULL : f;
	if (count < 1 || v[0].iov_len < sizeof preload_magic || !fd_is_plain(fd) ||
	    memcmp(v[0].iov_base, preload_magic, sizeof preload_magic) != 0)
		return NULL;
	if ((offset == CURRENT ? position(fd) : offset) != 0)
		return NULL;
	return file_is_database(fd);
}

static void log_output(int fd, const struct iovec *v, int count, ssize_t size)
{
	if (preload_watches_output() && size > 0 && fd_is_socket(fd))
		preload_output(v, count, (size_t)size);
}

/* A write to a recorded file, around the real one. */
struct writing {
	struct preload_call call;
	struct file *f;
	bool append, current;
};

static bool begin(struct writing *w, int fd, const struct iovec *v, int count, off_t offset,
		  int rwf)
{
	struct reclog_entry e = {.head = {.type = RECLOG_WRITE}};
	struct stat st;

	w->f = count <= 0 || count > IOV_MAX ? NULL : target(fd, v, count, offset);
	if (w->f == NULL)
		return false;
	w->append = (w->f->flags & FILE_APPEND) != 0 || (rwf & RWF_APPEND) != 0;
	w->current = offset == CURRENT;
	if (w->append)
		offset = raw_fstat(fd, &st) == 0 ? st.st_size : 0;
	else if (w->current)
		offset = position(fd);
	e.head.flags = w->append ? RECLOG_APPEND : 0;
	if ((w->f->flags & FILE_DSYNC) != 0 || (rwf & (RWF_DSYNC | RWF_SYNC)) != 0)
		e.head.flags |= RECLOG_DSYNC;
	e.head.dev = w->f->dev;
	e.head.ino = w->f->ino;
	e.head.offset = (uint64_t)offset;
	w->f->flags |= FILE_WRITTEN;
	w->call = delta_begin(&e, v, count, w->f->family);
	return true;
}

static void end(const struct writing *w, int fd, ssize_t result)
{
	struct reclog_entry e = {.head = {.flags = w->append ? RECLOG_APPEND : 0}};
	int saved = errno;
	struct stat st;

	/* Where an append went is known only afterwards. */
	if (w->append && result > 0 && raw_fstat(fd, &st) == 0)
		e.head.offset = (uint64_t)((w->current ? position(fd) : st.st_size) - result);
	errno = saved;
	preload_end(w->call, &e, result);
}

#define WRITE(fd, v, count, offset, rwf, real)                                                     \
	({                                                                                         \
		struct writing w_;                                                                 \
		bool logged_ = preload_on() && begin(&w_, fd, v, count, offset, rwf);              \
		ssize_t result_ = (real);                                                          \
		if (logged_)                                                                       \
			end(&w_, fd, result_);                                                     \
		else if (preload_on())                                                             \
			log_output(fd, v, count, result_);                                         \
		result_;                                                                           \
	})

EXPORT ssize_t write(int fd, const void *buf, size_t size)
{
	const struct iovec v = {(void *)(uintptr_t)buf, size};

	return WRITE(fd, &v, 1, CURRENT, 0, REAL(write)(fd, buf, size));
}

EXPORT ssize_t writev(int fd, const struct iovec *v, int count)
{
	return WRITE(fd, v, count, CURRENT, 0, REAL(writev)(fd, v, count));
}

EXPORT ssize_t pwrite(int fd, const void *buf, size_t size, off_t offset)
{
	const struct iovec v = {(void *)(uintptr_t)buf, size};

	/* A negative one is an error, and must not pass for CURRENT. */
	if (offset < 0)
		return REAL(pwrite)(fd, buf, size, offset);
	return WRITE(fd, &v, 1, offset, 0, REAL(pwrite)(fd, buf, size, offset));
}

EXPORT ssize_t pwritev(int fd, const struct iovec *v, int count, off_t offset)
{
	if (offset < 0)
		return REAL(pwritev)(fd, v, count, offset);
	return WRITE(fd, v, count, offset, 0, REAL(pwritev)(fd, v, count, offset));
}

EXPORT ssize_t pwritev2(int fd, const struct iovec *v, int count, off_t offset, int flags)
{
	if (offset < CURRENT)
		return REAL(pwritev2)(fd, v, count, offset, flags);
	return WRITE(fd, v, count, offset, flags, REAL(pwritev2)(fd, v, count, offset, flags));
}

SAME_AS(pwrite, pwrite64);
SAME_AS(pwritev, pwritev64);
SAME_AS(pwritev2, pwritev64v2);
