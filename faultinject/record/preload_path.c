/*
 * Names. See preload.h. A descriptor that was opened with O_PATH names a file without being a
 * handle of it: closing it drops no lock.
 */
#include "faultinject/record/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REMOVED " (deleted)"

void path_fd_link(int fd, char ret[FD_LINK_SIZE])
{
	static const char folder[] = "/proc/self/fd/";
	size_t at = sizeof folder - 1, n = 0;
	char digits[12];

	memcpy(ret, folder, at);
	for (int v = fd; n == 0 || v > 0; v /= 10)
		digits[n++] = (char)('0' + v % 10);
	while (n > 0)
		ret[at++] = digits[--n];
	ret[at] = '\0';
}

bool path_of_fd(int fd, char ret[RECLOG_PATH_MAX])
{
	const size_t suffix = sizeof REMOVED - 1;
	char link[FD_LINK_SIZE];
	int saved = errno;
	long size;

	if (fd < 0)
		return false;
	path_fd_link(fd, link);
	size = syscall(SYS_readlinkat, AT_FDCWD, link, ret, RECLOG_PATH_MAX - 1);
	errno = saved;
	if (size <= 0 || size >= RECLOG_PATH_MAX - 1 || ret[0] != '/')
		return false;
	ret[size] = '\0';
	return (size_t)size < suffix || strcmp(ret + size - suffix, REMOVED) != 0;
}

static bool resolve_whole(int at, const char *path, int flags, char ret[RECLOG_PATH_MAX])
{
	int fd = (int)syscall(SYS_openat, at, path, O_PATH | O_CLOEXEC | flags, 0);
	bool ok;

	if (fd < 0)
		return false;
	ok = path_of_fd(fd, ret);
	(void)syscall(SYS_close, fd);
	return ok;
}

bool path_resolve(int at, const char *path, bool follow, char ret[RECLOG_PATH_MAX])
{
	size_t size = strnlen(path, RECLOG_PATH_MAX), start, folder;
	char part[RECLOG_PATH_MAX];
	int saved = errno;
	bool ok = false;

	if (size == 0 || size >= RECLOG_PATH_MAX)
		return false;
	if (follow)
		ok = resolve_whole(at, path, 0, ret);
	while (!ok && size > 1 && path[size - 1] == '/')
		size--;
	for (start = size; start > 0 && path[start - 1] != '/'; start--)
		;
	size -= start;
	if (!ok && size > 0 && !(size == 1 && path[start] == '.') &&
	    !(size == 2 && path[start] == '.' && path[start + 1] == '.')) {
		memcpy(part, path, start);
		part[start] = '\0';
		ok = resolve_whole(at, start == 0 ? "." : part, O_DIRECTORY, ret);
		folder = ok ? strlen(ret) : 0;
		if (folder == 1)
			folder = 0; /* "/" */
		ok = ok && folder + 1 + size < RECLOG_PATH_MAX;
		if (ok) {
			ret[folder] = '/';
			memcpy(ret + folder + 1, path + start, size);
			ret[folder + 1 + size] = '\0';
		}
	}
	errno = saved;
	return ok;
}
