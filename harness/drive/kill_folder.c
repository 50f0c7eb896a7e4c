/*
 * The folder of the real kills; see kill_internal.h.
 *
 * The database stays where it is from the writers to the checker: a rollback journal holds the path
 * of its super-journal as the application spelt it, so files that were moved recover differently.
 */
#include "harness/drive/kill.h"

#include "faultinject/base/fileio.h"
#include "harness/drive/kill_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define MEMORY_FOLDER "/dev/shm"

enum {
	COPY_SIZE = 1 << 16,
	WALK_FDS = 16,
	MEMORY_FREE_MIN = 256 << 20,
};

static int failed(struct err *err, const char *what, const char *path)
{
	return err_set(err, ERR_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

static int make_folder(const char *path, struct err *err)
{
	return mkdir(path, 0700) == 0 ? 0 : failed(err, "create", path);
}

/* $TMPDIR where it is set. Otherwise memory: a SIGKILL ends a process and nothing else, so that
 * what the kernel was given is there on any file system, and what a power cut drops is the model's
 * to say; a disk only makes each sync slow. */
static const char *parent_folder(void)
{
	const char *parent = getenv("TMPDIR");
	struct statfs st;

	if (parent != NULL && parent[0] != '\0')
		return parent;
	if (access(MEMORY_FOLDER, W_OK | X_OK) == 0 && statfs(MEMORY_FOLDER, &st) == 0 &&
	    st.f_type == TMPFS_MAGIC &&
	    (uint64_t)st.f_bavail * (uint64_t)st.f_bsize >= MEMORY_FREE_MIN)
		return MEMORY_FOLDER;
	return "/tmp";
}

int kill_folder_create(struct kill_folder *ret, struct err *err)
{
	const char *parent = parent_folder();
	struct kill_folder f = {0};
	char *made, *real = NULL;
	int rc;

	made = xasprintf("%s/plugpull-kill-XXXXXX", parent);
	if (mkdtemp(made) == NULL) {
		rc = failed(err, "create a folder below", parent);
		goto out;
	}
	/* SQLite resolves names too; only a path without links is the same to everybody. */
	real = realpath(made, NULL);
	f.path = xstrdup(real == NULL ? made : real);
	f.base = xasprintf("%s/base", f.path);
	f.data = xasprintf("%s/data", f.path);
	f.reference = xasprintf("%s/reference", f.path);
	f.clock = xasprintf("%s/clock", f.path);
	rc = make_folder(f.base, err);
	if (rc == 0)
		rc = make_folder(f.data, err);
	if (rc == 0)
		rc = make_folder(f.reference, err);
	if (rc != 0)
		goto out;
	*ret = f;
	memset(&f, 0, sizeof f);
out:
	kill_folder_remove(&f);
	free(made);
	free(real);
	return rc;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	(void)remove(path);
	return 0;
}

void kill_folder_remove(struct kill_folder *f)
{
	if (f->path != NULL)
		(void)nftw(f->path, remove_entry, WALK_FDS, FTW_DEPTH | FTW_PHYS);
	free(f->path);
	free(f->base);
	free(f->data);
	free(f->reference);
	free(f->clock);
	memset(f, 0, sizeof *f);
}

static int copy_file(const char *from, const char *to, struct err *err)
{
	char *block = xmalloc(COPY_SIZE);
	int in = open(from, O_RDONLY | O_CLOEXEC), out = -1, rc = 0;
	ssize_t n;

	if (in < 0) {
		rc = failed(err, "read", from);
		goto out;
	}
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0) {
		rc = failed(err, "create", to);
		goto out;
	}
	while ((n = read(in, block, COPY_SIZE)) > 0) {
		if (fd_write_all(out, block, (size_t)n) != 0) {
			rc = failed(err, "write", to);
			goto out;
		}
	}
	if (n < 0)
		rc = failed(err, "read", from);
out:
	if (in >= 0)
		(void)close(in);
	if (out >= 0 && close(out) != 0 && rc == 0)
		rc = failed(err, "write", to);
	free(block);
	return rc;
}

/* Calls fn for each file of a folder that has no subfolders. */
static int each_file(const char *folder, int (*fn)(const char *path, const char *to, struct err *),
		     const char *to, struct err *err)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int rc = 0;

	if (dir == NULL)
		return failed(err, "read", folder);
	while (rc == 0 && (entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		char *path = xasprintf("%s/%s", folder, entry->d_name);
		char *target = to == NULL ? NULL : xasprintf("%s/%s", to, entry->d_name);

		rc = fn(path, target, err);
		free(path);
		free(target);
	}
	(void)closedir(dir);
	return rc;
}

static int unlink_file(const char *path, const char *to, struct err *err)
{
	(void)to;
	return unlink(path) == 0 ? 0 : failed(err, "remove", path);
}

int kill_folder_fresh(const struct kill_folder *f, const char *to, struct err *err)
{
	int rc = each_file(to, unlink_file, NULL, err);

	return rc == 0 ? each_file(f->base, copy_file, to, err) : rc;
}

int kill_folder_lane(struct kill_folder *f, unsigned lane, struct err *err)
{
	char *data = xasprintf("%s/lane-%u", f->path, lane);
	int rc = make_folder(data, err);

	free(f->data);
	f->data = data;
	free(f->clock);
	f->clock = xasprintf("%s/clock-%u", f->path, lane);
	return rc;
}

/* ---- files in memory ---- */

static int write_file(const struct fi_kill_file *file, struct err *err)
{
	int fd = open(file->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int rc = 0;

	if (fd < 0)
		return failed(err, "create", file->path);
	if (fd_write_all(fd, file->data, (size_t)file->size) != 0)
		rc = failed(err, "write", file->path);
	if (close(fd) != 0 && rc == 0)
		rc = failed(err, "write", file->path);
	return rc;
}

int kill_folder_fill(const char *folder, const struct fi_kill_file *files, size_t count,
		     struct err *err)
{
	int rc = each_file(folder, unlink_file, NULL, err);

	for (size_t i = 0; i < count && rc == 0; i++)
		rc = write_file(&files[i], err);
	return rc;
}

/* `ret` is untouched on failure. */
static int read_file(const char *path, struct fi_kill_file *ret, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0) {
		rc = failed(err, "read", path);
		goto out;
	}
	struct fi_kill_file f = {xstrdup(path), xmalloc((size_t)st.st_size + 1), 0};

	while (f.size < (uint64_t)st.st_size) {
		ssize_t n = read(fd, f.data + f.size, (size_t)((uint64_t)st.st_size - f.size));

		if (n <= 0) {
			rc = failed(err, "read", path);
			free(f.path);
			free(f.data);
			goto out;
		}
		f.size += (uint64_t)n;
	}
	*ret = f;
out:
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

static bool is_wal_index(const char *name)
{
	size_t n = strlen(name);

	return n > 4 && strcmp(name + n - 4, "-shm") == 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct fi_kill_file *)a)->path,
		      ((const struct fi_kill_file *)b)->path);
}

int kill_folder_read(const char *folder, struct fi_kill_file **ret_files, size_t *ret_count,
		     struct err *err)
{
	DIR *dir = opendir(folder);
	struct fi_kill_file *files = NULL;
	struct dirent *entry;
	size_t count = 0, cap = 0;
	int rc = 0;

	if (dir == NULL)
		return failed(err, "read", folder);
	while (rc == 0 && (entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    is_wal_index(entry->d_name))
			continue;
		char *path = xasprintf("%s/%s", folder, entry->d_name);

		files = xgrow(files, count, &cap, sizeof *files);
		rc = read_file(path, &files[count], err);
		count += rc == 0;
		free(path);
	}
	(void)closedir(dir);
	if (rc != 0) {
		kill_files_release(files, count);
		return rc;
	}
	if (count > 1)
		qsort(files, count, sizeof *files, by_path);
	*ret_files = files;
	*ret_count = count;
	return 0;
}

void kill_files_release(struct fi_kill_file *files, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(files[i].path);
		free(files[i].data);
	}
	free(files);
}
