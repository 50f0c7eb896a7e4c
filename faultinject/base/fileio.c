/* See fileio.h; write(2), fsync(2). */
#include "faultinject/base/fileio.h"

#include "faultinject/base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <unistd.h>

int fd_write_all(int fd, const void *data, size_t size)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = write(fd, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

int folder_sync_of(const char *path)
{
	char *copy = xstrdup(path); /* dirname() writes to its argument */
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int failed = 0;

	free(copy);
	if (fd < 0)
		return errno == EACCES ? 0 : -1;
	if (fsync(fd) != 0 && errno != EINVAL)
		failed = errno;
	close(fd);
	errno = failed;
	return failed == 0 ? 0 : -1;
}
