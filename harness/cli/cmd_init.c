/*
 * `plugpull init [DIR]`: a first scenario and steps for CI, written into somebody's project.
 *
 * All or nothing, and nothing that exists is touched: a file that is there ends it before the first
 * one is written, and what was written is taken away again when a later one fails. The files are
 * the user's from then on, so they have the modes that the user's umask gives.
 */
#include "harness/cli/command.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/fileio.h"
#include "harness/cli/init_files.h"
#include "reports/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What was made, to be taken away again: paths in the order of their making. */
struct made {
	char *paths[2 * INIT_FILE_COUNT + 2];
	size_t count;
};

static void take_away(struct made *made)
{
	while (made->count > 0)
		(void)remove(made->paths[--made->count]);
}

/* Creates the folders of a path below `dir` that are missing. */
static int make_folders(const char *dir, const char *name, struct made *made, struct err *err)
{
	for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		char *path = xasprintf("%s/%.*s", dir, (int)(slash - name), name);
		struct stat st;

		if (mkdir(path, 0777) == 0) {
			made->paths[made->count++] = path;
			continue;
		}
		int errnum = errno;
		bool is_folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
		int rc = 0;

		if (!is_folder)
			rc = file_error(err, "cannot create the folder", path,
					errnum == EEXIST ? ENOTDIR : errnum);
		free(path);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int write_one(const char *dir, const struct init_file *f, struct made *made, struct err *err)
{
	int rc = make_folders(dir, f->name, made, err);

	if (rc != 0)
		return rc;
	char *path = xasprintf("%s/%s", dir, f->name);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);

	if (fd < 0) {
		rc = file_error(err, "cannot create", path, errno);
		free(path);
		return rc;
	}
	made->paths[made->count++] = path;
	int errnum = fd_write_all(fd, f->text, strlen(f->text)) == 0 ? 0 : errno;

	if (close(fd) != 0 && errnum == 0)
		errnum = errno;
	return errnum == 0 ? 0 : file_error(err, "cannot write", path, errnum);
}

static int check(const char *dir, struct err *err)
{
	struct stat st;

	if (stat(dir, &st) != 0)
		return file_error(err, "cannot write into", dir, errno);
	if (!S_ISDIR(st.st_mode))
		return file_error(err, "cannot write into", dir, ENOTDIR);
	for (size_t i = 0; i < INIT_FILE_COUNT; i++) {
		char *path = xasprintf("%s/%s", dir, init_files[i].name);
		bool exists = lstat(path, &st) == 0;
		int rc = 0;

		if (exists)
			rc = err_set(err, ERR_INPUT,
				     "%s exists, and nothing that exists is replaced; nothing was "
				     "written",
				     strncmp(path, "./", 2) == 0 ? path + 2 : path);
		free(path);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* Where the reader has to go first. */
static void say_next(const char *dir)
{
	for (size_t i = 0; i < INIT_FILE_COUNT; i++)
		printf("wrote  %-34s  %s\n", init_files[i].name, init_files[i].what);
	printf("\nnext   ");
	if (strcmp(dir, ".") != 0)
		printf("cd %s && ", dir);
	printf(
	    "plugpull run durability/\n"
	    "then   make durability/first.sql what your application does\n"
	    "       GitHub: set the variable PLUGPULL_REPOSITORY of the repository to the "
	    "OWNER/NAME of plugpull's source\n"
	    "       GitLab: add \"include: {local: durability/gitlab-ci.yml}\" to .gitlab-ci.yml "
	    "and set PLUGPULL_REPOSITORY\n"
	    "       to where plugpull's source can be cloned from. Delete the file of the two that "
	    "you do not need.\n");
}

int cmd_init(const struct options *options)
{
	const char *dir = options->arg_count > 0 ? options->args[0] : ".";
	struct made made = {.count = 0};
	struct err err = ERR_INIT;
	int rc = check(dir, &err);

	for (size_t i = 0; i < INIT_FILE_COUNT && rc == 0; i++)
		rc = write_one(dir, &init_files[i], &made, &err);
	size_t count = made.count;

	if (rc != 0)
		take_away(&made);
	else
		say_next(dir);
	for (size_t i = 0; i < count; i++)
		free(made.paths[i]);
	return rc != 0 ? cli_fail(&err) : 0;
}
