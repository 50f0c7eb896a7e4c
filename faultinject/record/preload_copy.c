/*
 * Copies from descriptor to descriptor. See preload.h.
 *
 * The program never has the bytes, so they are read again afterwards, from where they came or, when
 * that is no file, from where they went, and stand in the END. A file that is copied whole (cp,
 * shutil.copy) becomes a database when what is copied begins like one.
 */
#include "faultinject/record/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

struct copying {
	struct preload_call call;
	struct file *f; /* NULL: not recorded */
	int from;	/* a file, or -1 */
	off_t from_offset, offset;
};

static off_t place(int fd, const off_t *offset)
{
	return offset != NULL ? *offset : syscall(SYS_lseek, fd, 0, SEEK_CUR);
}

static bool begins_like_one(const struct copying *c)
{
	char buf[sizeof preload_magic];

	return c->from >= 0 && raw_pread(c->from, buf, sizeof buf, c->from_offset) == sizeof buf &&
	       memcmp(buf, preload_magic, sizeof buf) == 0;
}

static void before(struct copying *c, int from, const off_t *from_offset, int to,
		   const off_t *to_offset, size_t size)
{
	struct reclog_entry e = {.head = {.type = RECLOG_WRITE}};
	int saved = errno;
	struct stat st;

	c->f = NULL;
	if (!preload_on())
		return;
	c->f = fd_file(to, FD_VERIFY);
	if (c->f == NULL && !fd_is_plain(to))
		return;
	c->from = raw_fstat(from, &st) == 0 && S_ISREG(st.st_mode) ? from : -1;
	c->from_offset = c->from < 0 ? 0 : place(from, from_offset);
	c->offset = place(to, to_offset);
	if (c->f == NULL && c->offset == 0 && begins_like_one(c))
		c->f = file_is_database(to);
	if (c->f != NULL && (c->f->flags & FILE_SHM) != 0)
		c->f = NULL;
	errno = saved;
	if (c->f == NULL)
		return;
	e.head.flags = (c->f->flags & FILE_DSYNC) != 0 ? RECLOG_DSYNC : 0;
	e.head.dev = c->f->dev;
	e.head.ino = c->f->ino;
	e.head.offset = (uint64_t)c->offset;
	e.head.length = size;
	c->f->flags |= FILE_WRITTEN;
	c->call = preload_begin(&e);
}

/* Maps a part of a file, to be read from *ret_skip on; NULL when the descriptor cannot be read. */
static void *map_part(int fd, off_t offset, size_t size, size_t *ret_skip)
{
	long at;

	*ret_skip = (size_t)(offset % 65536); /* the largest page of any machine */
	at = syscall(SYS_mmap, NULL, size + *ret_skip, PROT_READ, MAP_SHARED, fd,
		     offset - (off_t)*ret_skip);
	return at == -1 ? NULL : (void *)at;
}

static void after(struct copying *c, int to, ssize_t result)
{
	struct reclog_entry e = {0};
	int saved = errno;
	void *map = NULL;
	size_t skip = 0;

	if (c->f == NULL)
		return;
	if (result > 0) {
		if (c->from >= 0)
			map = map_part(c->from, c->from_offset, (size_t)result, &skip);
		if (map == NULL)
			map = map_part(to, c->offset, (size_t)result, &skip);
		if (map == NULL)
			preload_trouble("was copied to, and cannot be read back", c->f->path);
		e.data = map == NULL ? NULL : (const uint8_t *)map + skip;
		e.data_size = map == NULL ? 0 : (size_t)result;
	}
	errno = saved;
	preload_end(c->call, &e, result);
	if (map != NULL)
		(void)syscall(SYS_munmap, map, (size_t)result + skip);
	errno = saved;
}

EXPORT ssize_t copy_file_range(int from, off_t *from_offset, int to, off_t *to_offset, size_t size,
			       unsigned flags)
{
	struct copying c;
	ssize_t rc;

	before(&c, from, from_offset, to, to_offset, size);
	rc = REAL(copy_file_range)(from, from_offset, to, to_offset, size, flags);
	after(&c, to, rc);
	return rc;
}

EXPORT ssize_t sendfile(int to, int from, off_t *from_offset, size_t size)
{
	struct copying c;
	ssize_t rc;

	before(&c, from, from_offset, to, NULL, size);
	rc = REAL(sendfile)(to, from, from_offset, size);
	after(&c, to, rc);
	return rc;
}
SAME_AS(sendfile, sendfile64);

EXPORT ssize_t splice(int from, off_t *from_offset, int to, off_t *to_offset, size_t size,
		      unsigned flags)
{
	struct copying c;
	ssize_t rc;

	before(&c, from, from_offset, to, to_offset, size);
	rc = REAL(splice)(from, from_offset, to, to_offset, size, flags);
	after(&c, to, rc);
	return rc;
}

/* FICLONE and FICLONERANGE share the blocks of another file. */
EXPORT int ioctl(int fd, unsigned long request, ...)
{
	struct file_clone_range range = {0};
	struct copying c;
	struct stat st;
	void *arg;
	va_list ap;
	int rc;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if ((request != FICLONE && request != FICLONERANGE) || !preload_on())
		return REAL(ioctl)(fd, request, arg);
	if (request == FICLONERANGE)
		range = *(const struct file_clone_range *)arg;
	else
		range.src_fd = (int)(intptr_t)arg;
	if (range.src_length == 0 && raw_fstat((int)range.src_fd, &st) == 0)
		range.src_length = (uint64_t)st.st_size - range.src_offset;
	before(&c, (int)range.src_fd, &(off_t){(off_t)range.src_offset}, fd,
	       &(off_t){(off_t)range.dest_offset}, range.src_length);
	rc = REAL(ioctl)(fd, request, arg);
	after(&c, fd, rc == 0 ? (ssize_t)range.src_length : -1);
	return rc;
}
