/* See foreign_keep.h. */
#include "harness/drive/foreign_keep.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/fileio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	CLOSED_LOOKS = 10, /* somebody who only looks at the files is gone soon */
	CLOSED_WAIT_MS = 100,
};

static int failed(struct err *err, const char *what, const char *path)
{
	return err_set(err, ERR_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

/* ---- the folder ---- */

/* Names what is in it, in any order; "" for nothing. The caller's. */
static char *list(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	struct buf b;

	buf_init(&b);
	while (dir != NULL && (entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			buf_printf(&b, "%s%s", b.size == 0 ? "" : ", ", entry->d_name);
	if (dir != NULL)
		(void)closedir(dir);
	char *names = xstrdup(buf_str(&b));

	buf_release(&b);
	return names;
}

/* Takes the folder for this process, until the descriptor is closed. One that it has not `made`
 * must be nobody else's for certain; not every file system can say that. */
static int take(const char *folder, bool made, int *ret_fd, struct err *err)
{
	struct stat mine, named;
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = 0;

	if (fd < 0)
		return failed(err, "open", folder);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0 && (!made || errno == EWOULDBLOCK))
		rc = errno == EWOULDBLOCK
			 ? err_set(err, ERR_INPUT,
				   "%s is there: another `plugpull kill` works here", folder)
			 : err_set(err, ERR_INPUT,
				   "%s is there: if no other `plugpull kill` works here, remove it "
				   "(it cannot be locked: %s)",
				   folder, strerror(errno));
	/* What is taken must still be what the name says: its owner may just have removed it. */
	else if (fstat(fd, &mine) != 0 || stat(folder, &named) != 0 ||
		 named.st_dev != mine.st_dev || named.st_ino != mine.st_ino)
		rc = err_set(err, ERR_INPUT, "%s was there: another `plugpull kill` works here",
			     folder);
	if (rc != 0)
		(void)close(fd);
	else
		*ret_fd = fd;
	return rc;
}

/* A folder that is there already. Empty and nobody's, it holds nothing: it is taken. */
static int take_over(const char *folder, int *ret_fd, struct err *err)
{
	char *script = xasprintf("%s/restore.sh", folder), *names = NULL;
	int fd = -1, rc;

	if (access(script, F_OK) == 0) {
		rc = err_set(err, ERR_INPUT,
			     "%s is there: another `plugpull kill` works here, or one was killed "
			     "before it had put the databases back. `sh %s/restore.sh` puts them "
			     "back; or remove the folder",
			     folder, FOREIGN_KEEP_FOLDER);
		goto out;
	}
	rc = take(folder, false, &fd, err);
	if (rc != 0)
		goto out;
	names = list(folder);
	if (names[0] != '\0') {
		rc = err_set(err, ERR_INPUT,
			     "%s is there without a restore.sh: a `plugpull kill` was killed while "
			     "it made it or removed it. It holds %.200s: look at them, and remove "
			     "the folder",
			     folder, names);
		(void)close(fd);
		goto out;
	}
	*ret_fd = fd;
out:
	free(names);
	free(script);
	return rc;
}

int foreign_keep_open(struct foreign_keep *k, struct err *err)
{
	char here[PATH_MAX];
	int fd = -1, rc;

	if (getcwd(here, sizeof here) == NULL)
		return failed(err, "say where", "this folder is");
	char *folder = xasprintf("%s/%s", strcmp(here, "/") == 0 ? "" : here, FOREIGN_KEEP_FOLDER);

	if (mkdir(folder, 0700) == 0)
		rc = take(folder, true, &fd, err);
	else if (errno == EEXIST)
		rc = take_over(folder, &fd, err);
	else
		rc = failed(err, "make", folder);
	if (rc == 0 && access(folder, W_OK) != 0) {
		rc = failed(err, "write to", folder);
		(void)close(fd);
	}
	if (rc != 0) {
		free(folder);
		return rc;
	}
	k->folder = folder;
	k->lock = fd;
	return 0;
}

/* ---- the copies ---- */

static char *copy_path(const struct foreign_keep *k, size_t i)
{
	return xasprintf("%s/%zu", k->folder, i + 1);
}

/* Writes a file of the folder, whole or not at all. */
static int write_whole(const char *path, const void *data, size_t size, struct err *err)
{
	char *next = xasprintf("%s.next", path);
	int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int rc = 0;

	if (fd < 0 || (size > 0 && fd_write_all(fd, data, size) != 0) || fsync(fd) != 0)
		rc = failed(err, "write", next);
	if (fd >= 0 && close(fd) != 0 && rc == 0)
		rc = failed(err, "write", next);
	if (rc == 0 && (rename(next, path) != 0 || folder_sync_of(path) != 0))
		rc = failed(err, "write", path);
	free(next);
	return rc;
}

static int write_script(const struct foreign_keep *k, struct err *err)
{
	char *path = xasprintf("%s/restore.sh", k->folder);
	struct buf b;

	buf_init(&b);
	buf_printf(&b, "#!/bin/sh\n"
		       "# plugpull kill was ended before it had put these files back.\n"
		       "# This does it. No program may have them open.\n"
		       "set -e\n");
	for (size_t i = 0; i < k->files.count; i++) {
		const struct foreign_file *f = &k->files.items[i];

		if (f->exists) {
			char *copy = copy_path(k, i);

			buf_printf(&b, "cat ");
			buf_put_word(&b, copy);
			buf_printf(&b, " > ");
			buf_put_word(&b, f->path);
			buf_printf(&b, "\nchmod %o ", (unsigned)f->mode);
			buf_put_word(&b, f->path);
			free(copy);
		} else {
			buf_printf(&b, "rm -f ");
			buf_put_word(&b, f->path);
		}
		buf_printf(&b, "\nrm -f ");
		char *shm = xasprintf("%s-shm", f->path);

		buf_put_word(&b, shm);
		free(shm);
		buf_printf(&b, "\n");
	}
	buf_printf(&b, "sync\nrm -r ");
	buf_put_word(&b, k->folder);
	buf_printf(&b, "\n");
	int rc = write_whole(path, b.data, b.size, err);

	buf_release(&b);
	free(path);
	return rc;
}

/* What a name of the base held; hard links have their content with the first of them. */
static const struct trace_base *base_of(const struct trace *t, const char *path)
{
	const struct trace_base *named = NULL;

	for (size_t i = 0; i < t->base_count && named == NULL; i++)
		if (strcmp(t->names[t->base[i].name], path) == 0)
			named = &t->base[i];
	for (size_t i = 0; i < t->base_count && named != NULL; i++)
		if (t->base[i].inode == named->inode && t->base[i].data != NULL)
			return &t->base[i];
	return named;
}

/* A log beside a database, which the run did not come to open: it is as it was, and must not be
 * taken for one that the run made. */
static int keep_untouched(struct foreign_file *f, struct err *err)
{
	struct foreign_files one = {.items = f, .count = 1, .cap = 1};

	return foreign_files_read(&one, err);
}

static int keep_file(struct foreign_keep *k, const struct trace *t, const char *path,
		     struct err *err)
{
	const struct trace_base *base = base_of(t, path);
	struct foreign_file *f;
	struct stat st;
	int rc = foreign_files_add(&k->files, path, &f, err);

	if (rc != 0)
		return rc;
	if (trace_find_name(t, path) == 0) {
		rc = keep_untouched(f, err);
	} else if (base != NULL) {
		f->exists = true;
		f->size = base->size;
		f->data = xmalloc((size_t)base->size + 1);
		if (base->size > 0)
			memcpy(f->data, base->data, (size_t)base->size);
		if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
			f->mode = st.st_mode & 07777;
	}
	if (rc != 0 || !f->exists)
		return rc;
	char *copy = copy_path(k, k->files.count - 1);

	rc = write_whole(copy, f->data, (size_t)f->size, err);
	free(copy);
	return rc;
}

int foreign_keep_add(struct foreign_keep *k, const struct trace *t, struct err *err)
{
	struct foreign_files names = {0};
	size_t before = k->files.count;
	int rc = foreign_files_name(&names, t, err);

	for (size_t i = 0; i < names.count && rc == 0; i++)
		if (foreign_files_find(&k->files, names.items[i].path) == NULL)
			rc = keep_file(k, t, names.items[i].path, err);
	if (rc == 0 && k->files.count > before)
		rc = write_script(k, err);
	foreign_files_release(&names);
	return rc;
}

/* ---- back ---- */

int foreign_keep_restore(const struct foreign_keep *k, struct err *err)
{
	return foreign_files_put(&k->files, false, err);
}

static int remove_folder(const struct foreign_keep *k, struct err *err)
{
	char *script = xasprintf("%s/restore.sh", k->folder);

	/* The script first: half of the copies would put back half of the files. */
	(void)unlink(script);
	free(script);
	for (size_t i = 0; i < k->files.count; i++) {
		char *copy = copy_path(k, i);

		(void)unlink(copy);
		free(copy);
	}
	return rmdir(k->folder) == 0 ? 0 : failed(err, "remove", k->folder);
}

/* Another program's open database is not changed under it. */
static int wait_closed(const struct foreign_keep *k, struct err *err)
{
	for (int i = 0;; i++) {
		char *who = foreign_files_open_elsewhere(&k->files);
		int rc = 0;

		if (who == NULL)
			return 0;
		if (i == CLOSED_LOOKS)
			rc = err_set(err, ERR_IO, "%s", who);
		free(who);
		if (rc != 0)
			return rc;
		(void)poll(NULL, 0, CLOSED_WAIT_MS);
	}
}

int foreign_keep_close(struct foreign_keep *k, struct err *err)
{
	sigset_t signals, before;
	int rc;

	if (k->folder == NULL)
		return 0;
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGINT);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &signals, &before);
	rc = wait_closed(k, err);
	if (rc == 0)
		rc = foreign_files_put(&k->files, true, err);
	if (rc != 0)
		(void)err_context(err,
				  "the databases are not back as they were; `sh "
				  "%s/restore.sh` puts them back",
				  FOREIGN_KEEP_FOLDER);
	else
		rc = remove_folder(k, err);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	(void)close(k->lock);
	foreign_files_release(&k->files);
	free(k->folder);
	k->folder = NULL;
	return rc;
}
