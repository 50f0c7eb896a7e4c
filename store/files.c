/*
 * files.c: files by the calls of POSIX. Nothing is cached or remembered here: what is durable is
 * decided by the caller's order of calls (files.h).
 *
 * fsync is not tried again, not even after EINTR: an fsync that failed may have dropped what it did
 * not write, and the next one then reports success for pages that are not on the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "store/internal.h"

/* POSIX leaves larger counts to the implementation; Linux moves no more than about 2 GiB a call. */
#define CALL_BYTES_MAX ((size_t)1 << 30)

struct posix_file {
	int fd;
};

static int open_retried(const char *path, int flags)
{
	int fd;

	do {
		fd = open(path, flags | O_CLOEXEC, 0600);
	} while (fd < 0 && errno == EINTR);
	return fd;
}

static int posix_create(void *context, const char *path, void **ret_file)
{
	struct posix_file *file = malloc(sizeof(*file));
	int number;

	(void)context;
	if (!file)
		return ENOMEM;
	file->fd = open_retried(path, O_CREAT | O_TRUNC | O_WRONLY);
	if (file->fd < 0) {
		number = errno;
		free(file);
		return number;
	}
	*ret_file = file;
	return 0;
}

static int posix_write(void *context, void *opaque, const void *data, size_t size)
{
	const struct posix_file *file = opaque;
	const unsigned char *at = data;

	(void)context;
	while (size > 0) {
		const size_t wanted = size < CALL_BYTES_MAX ? size : CALL_BYTES_MAX;
		const ssize_t written = write(file->fd, at, wanted);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return errno;
		/* A disk that takes nothing and gives no reason would be asked for ever. */
		if (written == 0)
			return EIO;
		at += written;
		size -= (size_t)written;
	}
	return 0;
}

static int posix_sync(void *context, void *opaque)
{
	const struct posix_file *file = opaque;

	(void)context;
	return fsync(file->fd) == 0 ? 0 : errno;
}

static int posix_close(void *context, void *opaque)
{
	struct posix_file *file = opaque;
	int number = close(file->fd) == 0 ? 0 : errno;

	(void)context;
	free(file);
	/* Linux has closed it also then; a second close could hit somebody else's file. */
	return number == EINTR ? 0 : number;
}

static int posix_read(void *context, const char *path, uint64_t offset_bytes, void *buffer,
		      size_t size, size_t *ret_got)
{
	unsigned char *at = buffer;
	size_t got = 0;
	int number = 0;
	int fd;

	(void)context;
	if (offset_bytes > INT64_MAX - (uint64_t)size)
		return EINVAL;
	fd = open_retried(path, O_RDONLY);
	if (fd < 0)
		return errno;
	while (got < size) {
		const size_t left = size - got;
		const ssize_t n = pread(fd, at + got, left < CALL_BYTES_MAX ? left : CALL_BYTES_MAX,
					(off_t)(offset_bytes + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			number = errno;
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	close(fd);
	if (number == 0)
		*ret_got = got;
	return number;
}

static int posix_rename(void *context, const char *from, const char *to)
{
	(void)context;
	return rename(from, to) == 0 ? 0 : errno;
}

static int posix_remove(void *context, const char *path)
{
	(void)context;
	return unlink(path) == 0 ? 0 : errno;
}

static int posix_sync_folder(void *context, const char *folder)
{
	int number = 0;
	int fd;

	(void)context;
	fd = open_retried(folder, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return errno;
	if (fsync(fd) != 0)
		number = errno;
	close(fd);
	return number;
}

const struct store_files *store_files_posix(void)
{
	static const struct store_files posix = {
	    .create = posix_create,
	    .write = posix_write,
	    .sync = posix_sync,
	    .close = posix_close,
	    .read = posix_read,
	    .rename = posix_rename,
	    .remove = posix_remove,
	    .sync_folder = posix_sync_folder,
	};

	return &posix;
}
