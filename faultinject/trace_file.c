/*
 * See trace.h. A trace as a file; its layout is in trace_bytes.c.
 */
#include "faultinject/trace_bytes.h"

#include "faultinject/base/fileio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_SIZE = 1 << 16 };
#define FILE_SIZE_MAX ((size_t)8 << 30) /* a trace is encoded and decoded in memory */

static int io_error(struct err *err, const char *path, const char *what)
{
	return err_set(err, ERR_IO, "%s: %s: %s", path, what, strerror(errno));
}

int trace_save(const struct trace *t, const char *path, struct err *err)
{
	struct buf bytes = {0};
	char *temporary = NULL;
	struct stat st;
	int fd = -1;
	int rc = 0;

	/* A rename would replace the device, the pipe or the symbolic link itself. */
	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return err_set(err, ERR_IO, "%s: exists and is not a regular file", path);

	temporary = xasprintf("%s.tmp.XXXXXX", path);
	fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
	if (fd < 0) {
		rc = io_error(err, path, "cannot create");
		goto out;
	}
	trace_encode(t, &bytes);
	if (bytes.size > FILE_SIZE_MAX) {
		rc = err_set(err, ERR_LIMIT, "%s: larger than %zu bytes", path, FILE_SIZE_MAX);
		goto out;
	}
	if (fd_write_all(fd, bytes.data, bytes.size) != 0 || fsync(fd) != 0) {
		rc = io_error(err, path, "cannot write");
		goto out;
	}
	if (rename(temporary, path) != 0) {
		rc = io_error(err, path, "cannot rename to this name");
		goto out;
	}
	close(fd);
	fd = -1;
	if (folder_sync_of(path) != 0)
		rc = io_error(err, path, "cannot sync its folder");
out:
	if (fd >= 0) {
		close(fd);
		unlink(temporary);
	}
	free(temporary);
	buf_release(&bytes);
	return rc;
}

/* Appends the whole of `fd`. A file that is no trace is refused before it is read in full. */
static int read_all(int fd, struct buf *bytes, struct err *err)
{
	for (;;) {
		bool was_short = bytes->size < TRACE_HEADER_SIZE;
		ssize_t n;

		if (bytes->size > FILE_SIZE_MAX)
			return err_set(err, ERR_LIMIT, "larger than %zu bytes", FILE_SIZE_MAX);
		buf_reserve(bytes, READ_SIZE);
		n = read(fd, bytes->data + bytes->size, bytes->cap - bytes->size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, ERR_IO, "cannot read: %s", strerror(errno));
		if (n == 0)
			return 0;
		bytes->size += (size_t)n;
		if (was_short && bytes->size >= TRACE_HEADER_SIZE) {
			int rc = trace_check_magic(bytes->data, bytes->size, err);

			if (rc != 0)
				return rc;
		}
	}
}

int trace_load(const char *path, struct trace **ret_trace, struct err *err)
{
	struct buf bytes = {0};
	struct err why = ERR_INIT;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return io_error(err, path, "cannot open");
	rc = read_all(fd, &bytes, &why);
	if (rc == 0)
		rc = trace_decode(bytes.data, bytes.size, ret_trace, &why);
	if (rc != 0)
		err_set(err, rc, "%s: %s", path, why.message);
	close(fd);
	buf_release(&bytes);
	return rc;
}
