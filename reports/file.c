/* Whole files; see file.h. A report that a power cut can halve would be a poor advertisement. */
#include "reports/file.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/fileio.h"
#include "reports/words.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int file_error(struct err *err, const char *verb, const char *path, int errnum)
{
	struct buf clean;

	buf_init(&clean);
	words_clean(&clean, path);
	int rc = err_set(err, ERR_IO, "%s '%s': %s", verb, buf_str(&clean), strerror(errnum));

	buf_release(&clean);
	return rc;
}

/* Writes, syncs when asked, closes; returns 0 or an errno. close reports late errors (NFS). */
static int fill(int fd, const void *data, size_t size, bool sync)
{
	int errnum = fd_write_all(fd, data, size) == 0 ? 0 : errno;

	if (errnum == 0 && sync && fsync(fd) != 0)
		errnum = errno;
	if (close(fd) != 0 && errnum == 0)
		errnum = errno;
	return errnum;
}

int file_create(const char *path, const void *data, size_t size, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return file_error(err, "cannot create", path, errno);
	int errnum = fill(fd, data, size, true);

	if (errnum != 0) {
		(void)unlink(path);
		return file_error(err, "cannot write", path, errnum);
	}
	return 0;
}

char *file_parent(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return xstrdup(".");
	if (slash == path)
		return xstrdup("/");
	char *parent = xstrdup(path);

	parent[slash - path] = '\0';
	return parent;
}

int file_sync_directory(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return file_error(err, "cannot open the folder", path, errno);
	int errnum = fsync(fd) != 0 ? errno : 0;

	(void)close(fd);
	/* File systems without fsync of directories (some network ones) answer EINVAL. */
	if (errnum != 0 && errnum != EINVAL)
		return file_error(err, "cannot sync the folder", path, errnum);
	return 0;
}

static int write_in_place(const char *path, const void *data, size_t size, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return file_error(err, "cannot open", path, errno);
	int errnum = fill(fd, data, size, false);

	return errnum == 0 ? 0 : file_error(err, "cannot write", path, errnum);
}

int file_write(const char *path, const void *data, size_t size, struct err *err)
{
	char *target = NULL, *temporary = NULL, *parent = NULL;
	struct stat st;
	int rc = 0;
	bool exists = stat(path, &st) == 0;

	if (exists && S_ISDIR(st.st_mode))
		return file_error(err, "cannot write", path, EISDIR);
	if (exists && !S_ISREG(st.st_mode))
		return write_in_place(path, data, size, err);
	target = exists ? realpath(path, NULL) : xstrdup(path);
	if (target == NULL)
		return file_error(err, "cannot write", path, errno);
	temporary = xasprintf("%s.new-XXXXXX", target);
	int fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */

	if (fd < 0) {
		rc = file_error(err, "cannot write", path, errno);
		goto out;
	}
	int errnum = exists && fchmod(fd, st.st_mode & 0777) != 0 ? errno : 0;
	int fill_errnum = fill(fd, data, size, true);

	if (errnum == 0)
		errnum = fill_errnum;
	if (errnum == 0 && rename(temporary, target) != 0)
		errnum = errno;
	if (errnum != 0) {
		(void)unlink(temporary);
		rc = file_error(err, "cannot write", path, errnum);
		goto out;
	}
	parent = file_parent(target);
	rc = file_sync_directory(parent, err);
out:
	free(parent);
	free(temporary);
	free(target);
	return rc;
}
