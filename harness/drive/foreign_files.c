/* See foreign_files.h. */
#include "harness/drive/foreign_files.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/fileio.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const mode_t STANDARD_MODE = 0644;

static int failed(struct err *err, const char *what, const char *path)
{
	return err_set(err, ERR_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

void foreign_files_release(struct foreign_files *f)
{
	for (size_t i = 0; i < f->count; i++) {
		free(f->items[i].path);
		free(f->items[i].data);
	}
	free(f->items);
	memset(f, 0, sizeof *f);
}

struct foreign_file *foreign_files_find(const struct foreign_files *f, const char *path)
{
	for (size_t i = 0; i < f->count; i++)
		if (strcmp(f->items[i].path, path) == 0)
			return &f->items[i];
	return NULL;
}

int foreign_files_add(struct foreign_files *f, const char *path, struct foreign_file **ret,
		      struct err *err)
{
	if (f->count == FOREIGN_FILES_MAX)
		return err_set(err, ERR_LIMIT, "more than %d files of databases",
			       FOREIGN_FILES_MAX);
	f->items = xgrow(f->items, f->count, &f->cap, sizeof *f->items);
	f->items[f->count] = (struct foreign_file){.path = xstrdup(path), .mode = STANDARD_MODE};
	*ret = &f->items[f->count++];
	return 0;
}

/* ---- names ---- */

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n > m && strcmp(text + n - m, end) == 0;
}

static bool is_companion(const char *path)
{
	return ends_with(path, "-wal") || ends_with(path, "-journal") || ends_with(path, "-shm");
}

static int add_once(struct foreign_files *f, const char *path, struct err *err)
{
	struct foreign_file *unused;

	return foreign_files_find(f, path) != NULL ? 0 : foreign_files_add(f, path, &unused, err);
}

static int add_name(struct foreign_files *f, const char *path, struct err *err)
{
	static const char *const others[] = {"-journal", "-wal"};
	int rc = add_once(f, path, err);

	for (size_t i = 0; i < 2 && rc == 0 && !is_companion(path); i++) {
		char *other = xasprintf("%s%s", path, others[i]);

		rc = add_once(f, other, err);
		free(other);
	}
	return rc;
}

int foreign_files_name(struct foreign_files *f, const struct trace *t, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < t->base_count && rc == 0; i++)
		rc = add_name(f, t->names[t->base[i].name], err);
	for (size_t i = 0; i < t->op_count && rc == 0; i++) {
		const struct op *op = &t->ops[i];

		/* A directory has a name, too, where it is synced. */
		if (op->kind == OP_CREATE)
			rc = add_name(f, t->names[op->name], err);
		else if (op->kind == OP_RENAME || op->kind == OP_LINK)
			rc = add_name(f, t->names[op->name2], err);
	}
	return rc;
}

/* ---- reading ---- */

static int read_file(struct foreign_file *file, struct err *err)
{
	int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), rc = 0;
	struct stat st;

	free(file->data);
	file->data = NULL;
	file->size = 0;
	file->exists = false;
	if (fd < 0)
		return errno == ENOENT ? 0 : failed(err, "read", file->path);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		(void)close(fd);
		return err_set(err, ERR_IO, "%s is no regular file", file->path);
	}
	file->exists = true;
	file->mode = st.st_mode & 07777;
	file->data = xmalloc((size_t)st.st_size + 1);
	while (file->size < (uint64_t)st.st_size) {
		ssize_t n =
		    read(fd, file->data + file->size, (size_t)st.st_size - (size_t)file->size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			rc = n < 0
				 ? failed(err, "read", file->path)
				 : err_set(err, ERR_IO, "%s shrank while it was read", file->path);
			break;
		}
		file->size += (uint64_t)n;
	}
	(void)close(fd);
	return rc;
}

int foreign_files_read(struct foreign_files *f, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < f->count && rc == 0; i++)
		rc = read_file(&f->items[i], err);
	return rc;
}

/* ---- putting back ---- */

static bool is_equal(int fd, const struct foreign_file *file)
{
	uint8_t block[65536];
	uint64_t at = 0;
	struct stat st;

	if (fstat(fd, &st) != 0 || (uint64_t)st.st_size != file->size)
		return false;
	while (at < file->size) {
		ssize_t n = pread(fd, block, sizeof block, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || (uint64_t)n > file->size - at ||
		    memcmp(block, file->data + at, (size_t)n) != 0)
			return false;
		at += (uint64_t)n;
	}
	return true;
}

static int put_file(const struct foreign_file *file, bool durable, struct err *err)
{
	int fd = open(file->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	struct stat st;
	int rc = 0;

	if (fd < 0)
		return failed(err, "write", file->path);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		rc = err_set(err, ERR_IO, "%s is no regular file any more", file->path);
		goto out;
	}
	if (!is_equal(fd, file) &&
	    (ftruncate(fd, 0) != 0 || lseek(fd, 0, SEEK_SET) != 0 ||
	     (file->size > 0 && fd_write_all(fd, file->data, (size_t)file->size) != 0))) {
		rc = failed(err, "write", file->path);
		goto out;
	}
	if ((st.st_mode & 07777) != file->mode && fchmod(fd, file->mode) != 0)
		rc = failed(err, "set the mode of", file->path);
	if (rc == 0 && durable && fsync(fd) != 0)
		rc = failed(err, "sync", file->path);
out:
	(void)close(fd);
	return rc;
}

int foreign_files_put(const struct foreign_files *f, bool durable, struct err *err)
{
	int rc = 0;

	/* All of them, also after one that failed. */
	for (size_t i = 0; i < f->count; i++) {
		const struct foreign_file *file = &f->items[i];
		struct err *first = rc == 0 ? err : NULL;
		int one = 0;

		if (file->exists)
			one = put_file(file, durable, first);
		else if (unlink(file->path) != 0 && errno != ENOENT && errno != ENOTDIR)
			one = failed(first, "remove", file->path);
		if (durable && one == 0 && folder_sync_of(file->path) != 0 && errno != ENOENT)
			one = failed(first, "sync the folder of", file->path);
		if (rc == 0)
			rc = one;
		if (is_companion(file->path))
			continue;
		char *shm = xasprintf("%s-shm", file->path);

		(void)unlink(shm);
		free(shm);
	}
	return rc;
}

/* ---- who else ---- */

static bool is_one_of(const struct stat *stats, size_t count, const struct stat *st,
		      size_t *ret_index)
{
	for (size_t i = 0; i < count; i++) {
		if (stats[i].st_ino == 0 || stats[i].st_dev != st->st_dev ||
		    stats[i].st_ino != st->st_ino)
			continue;
		*ret_index = i;
		return true;
	}
	return false;
}

/* The descriptors of one process. */
static bool has_open(const char *pid, const struct stat *stats, size_t count, size_t *ret_index)
{
	char *folder = xasprintf("/proc/%s/fd", pid);
	DIR *dir = opendir(folder);
	bool found = false;
	struct dirent *e;

	while (dir != NULL && !found && (e = readdir(dir)) != NULL) {
		char *path = xasprintf("%s/%s", folder, e->d_name);
		struct stat st;

		found = stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
			is_one_of(stats, count, &st, ret_index);
		free(path);
	}
	if (dir != NULL)
		(void)closedir(dir);
	free(folder);
	return found;
}

static void read_name(const char *pid, char *ret, size_t size)
{
	char *path = xasprintf("/proc/%s/comm", pid);
	FILE *f = fopen(path, "re");

	ret[0] = '\0';
	if (f != NULL && fgets(ret, (int)size, f) != NULL)
		ret[strcspn(ret, "\n")] = '\0';
	if (f != NULL)
		(void)fclose(f);
	free(path);
}

char *foreign_files_open_elsewhere(const struct foreign_files *f)
{
	struct stat *stats = xcalloc(f->count + 1, sizeof *stats);
	DIR *proc = opendir("/proc");
	char *why = NULL;
	struct dirent *e;

	for (size_t i = 0; i < f->count; i++)
		if (lstat(f->items[i].path, &stats[i]) != 0)
			stats[i].st_ino = 0;
	while (proc != NULL && why == NULL && (e = readdir(proc)) != NULL) {
		char name[64];
		size_t index;

		if (!isdigit((unsigned char)e->d_name[0]) ||
		    !has_open(e->d_name, stats, f->count, &index))
			continue;
		read_name(e->d_name, name, sizeof name);
		why = xasprintf("%s is open in process %s (%s)", f->items[index].path, e->d_name,
				name);
	}
	if (proc != NULL)
		(void)closedir(proc);
	free(stats);
	return why;
}
