/* See lay_out.h. */
#include "harness/drive/lay_out.h"

#include "faultinject/base/fileio.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WALK_FDS = 16 };

static int failed(struct err *err, const char *what, const char *path)
{
	return err_set(err, ERR_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* A command may have taken its own rights to a folder away. */
static int unlock_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (type == FTW_D || type == FTW_DNR)
		(void)chmod(path, 0700);
	return 0;
}

int lay_out_remove(const char *path)
{
	if (nftw(path, remove_entry, WALK_FDS, FTW_DEPTH | FTW_PHYS) == 0)
		return 0;
	if (errno == ENOENT && access(path, F_OK) != 0)
		return 0;
	(void)nftw(path, unlock_entry, WALK_FDS, FTW_PHYS);
	return nftw(path, remove_entry, WALK_FDS, FTW_DEPTH | FTW_PHYS);
}

int lay_out_file(const char *path, const void *data, size_t size, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int rc = 0;

	if (fd < 0)
		return failed(err, "create", path);
	if (fd_write_all(fd, data, size) != 0)
		rc = failed(err, "write", path);
	if (close(fd) != 0 && rc == 0)
		rc = failed(err, "write", path);
	return rc;
}

/* Makes the folders that `path` (absolute) lies in, from its byte `from` on. */
static int make_folders(char *path, size_t from, struct err *err)
{
	for (char *slash = strchr(path + from, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		bool made = mkdir(path, 0700) == 0 || errno == EEXIST;
		int rc = made ? 0 : failed(err, "create", path);
		*slash = '/';
		if (!made)
			return rc;
	}
	return 0;
}

int lay_out(const char *folder, const struct laid_file *files, size_t count, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < count && rc == 0; i++) {
		const struct laid_file *f = &files[i];
		char *path = xasprintf("%s/%s", folder, f->path);

		rc = make_folders(path, strlen(folder) + 1, err);
		if (rc == 0 && f->present && f->same_as != NULL) {
			char *other = xasprintf("%s/%s", folder, f->same_as->path);

			if (link(other, path) != 0)
				rc = failed(err, "create", path);
			free(other);
		} else if (rc == 0 && f->present) {
			rc = lay_out_file(path, f->data, f->size, err);
		}
		free(path);
	}
	return rc;
}
