/*
 * Case files on disk: case_file_load() and case_file_save(); see case_file.h. The bytes are
 * case_file.c's.
 *
 * What is saved has been read back first, so that a token that was printed can be replayed; and a
 * file of a token's name is trusted only if it holds that very case: a damaged one is replaced when
 * saving and refused when loading.
 *
 * Not done here: finding a token anywhere but in the one folder that is named, removing old cases,
 * and the temporary file of a process that was killed while it wrote.
 */
#include "harness/case/case_file.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/fileio.h"
#include "harness/case/case_file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	TOKEN_DIGITS = 32,
	READ_SIZE = 1 << 16,
};

static int io_error(struct err *err, const char *path, const char *what)
{
	return err_set(err, ERR_IO, "%s: %s: %s", path, what, strerror(errno));
}

/* Appends the whole of `fd`. What is no case file is refused before it is read in full. */
static int read_all(int fd, struct buf *bytes, struct err *err)
{
	size_t size_max = SIZE_MAX; /* unknown until the header is there */

	for (;;) {
		ssize_t n;

		buf_reserve(bytes, READ_SIZE);
		n = read(fd, bytes->data + bytes->size, bytes->cap - bytes->size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, ERR_IO, "cannot read: %s", strerror(errno));
		if (n == 0)
			return 0;
		bytes->size += (size_t)n;
		if (size_max == SIZE_MAX && bytes->size >= CASE_FILE_HEADER_SIZE) {
			int rc = case_file_whole_size(bytes->data, bytes->size, &size_max, err);

			if (rc != 0)
				return rc;
		}
		if (bytes->size > size_max)
			return err_set(err, ERR_INPUT, "damaged: it is longer than it says");
	}
}

static int load_fd(int fd, const char *path, struct case_file **ret_case, struct err *err)
{
	struct buf bytes = {0};
	struct err why = ERR_INIT;
	int rc = read_all(fd, &bytes, &why);

	if (rc == 0)
		rc = case_file_decode(bytes.data, bytes.size, ret_case, &why);
	if (rc != 0)
		rc = err_set(err, rc, "%s: %s", path, why.message);
	buf_release(&bytes);
	return rc;
}

static bool is_token(const char *s)
{
	size_t prefix = strlen(CASE_TOKEN_PREFIX);

	return strncmp(s, CASE_TOKEN_PREFIX, prefix) == 0 &&
	       strspn(s + prefix, "0123456789abcdef") == TOKEN_DIGITS &&
	       s[prefix + TOKEN_DIGITS] == '\0';
}

/* A file that holds another case than its name says would be replayed as what it is not. */
static int load_token(int fd, const char *path, const char *token, struct case_file **ret_case,
		      struct err *err)
{
	struct case_file *c = NULL;
	char held[CASE_TOKEN_SIZE];
	int rc = load_fd(fd, path, &c, err);

	if (rc != 0)
		return rc;
	case_file_token(c, held);
	if (strcmp(held, token) != 0) {
		case_file_free(c);
		return err_set(err, ERR_INPUT, "%s: holds another case, %s", path, held);
	}
	*ret_case = c;
	return 0;
}

int case_file_load(const char *token_or_path, const char *directory, struct case_file **ret_case,
		   struct err *err)
{
	bool token = is_token(token_or_path);
	char *path =
	    token ? xasprintf("%s/%s.ppcase", directory, token_or_path) : xstrdup(token_or_path);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc;

	if (fd >= 0)
		rc = token ? load_token(fd, path, token_or_path, ret_case, err)
			   : load_fd(fd, path, ret_case, err);
	else if (errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG)
		rc = io_error(err, path, "cannot open");
	else if (token)
		rc = err_set(err, ERR_INPUT,
			     "no case %s below %s; a report has it as "
			     "DIR/cases/%s.ppcase",
			     token_or_path, directory, token_or_path);
	else
		rc = err_set(err, ERR_INPUT, "'%s' is neither a token nor a case file",
			     token_or_path);
	if (fd >= 0)
		close(fd);
	free(path);
	return rc;
}

/* Creates `path` and its parents. `made[i]` is set where the folder path[0..i) is new. */
static int make_folders(const char *path, bool *made, struct err *err)
{
	char *part = xstrdup(path);
	size_t size = strlen(path);
	int rc = 0;

	for (size_t i = 1; rc == 0 && i <= size; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		part[i] = '\0';
		if (mkdir(part, 0700) == 0) {
			made[i] = true;
			if (folder_sync_of(part) != 0)
				rc = io_error(err, part, "cannot sync its parent");
		} else if (errno != EEXIST) {
			rc = io_error(err, part, "cannot create the folder");
		}
		part[i] = path[i];
	}
	free(part);
	return rc;
}

/* Removes the folders that make_folders() has made, as far as they are empty. */
static void unmake_folders(const char *path, const bool *made)
{
	char *part = xstrdup(path);

	for (size_t i = strlen(path); i > 0; i--) {
		part[i] = '\0';
		if (made[i])
			(void)rmdir(part);
	}
	free(part);
}

/* Could this case be read again? Its JSON and its trace have bounds. */
static int check_readable(const struct buf *bytes, struct err *err)
{
	struct case_file *again = NULL;
	struct err why = ERR_INIT;

	if (case_file_decode(bytes->data, bytes->size, &again, &why) != 0)
		return err_set(err, ERR_LIMIT, "a case that could not be read again: %s",
			       why.message);
	case_file_free(again);
	return 0;
}

/* Is there a whole case of this token? A damaged one is replaced. */
static bool is_saved(const char *path, const char *token)
{
	struct case_file *c = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool saved = fd >= 0 && load_token(fd, path, token, &c, NULL) == 0;

	if (fd >= 0)
		close(fd);
	case_file_free(c);
	return saved;
}

static int write_new(const char *path, const struct buf *bytes, struct err *err)
{
	char *temporary = xasprintf("%s.tmp.XXXXXX", path);
	int fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
	int rc = 0;

	if (fd < 0) {
		rc = io_error(err, path, "cannot create");
		goto out;
	}
	if (fd_write_all(fd, bytes->data, bytes->size) != 0 || fsync(fd) != 0) {
		rc = io_error(err, path, "cannot write");
		unlink(temporary);
		goto out;
	}
	if (rename(temporary, path) != 0) {
		rc = io_error(err, path, "cannot rename to this name");
		unlink(temporary);
		goto out;
	}
	if (folder_sync_of(path) != 0) {
		rc = io_error(err, path, "cannot sync its folder");
		unlink(path);
	}
out:
	if (fd >= 0)
		close(fd);
	free(temporary);
	return rc;
}

int case_file_save(const struct case_file *c, const char *directory, struct err *err)
{
	struct buf bytes = {0};
	char token[CASE_TOKEN_SIZE];
	bool *made = xcalloc(strlen(directory) + 1, sizeof *made);
	char *path = NULL;
	int rc;

	case_file_token(c, token);
	path = xasprintf("%s/%s.ppcase", directory, token);
	if (is_saved(path, token)) {
		rc = 0;
		goto out;
	}
	case_file_encode(c, &bytes);
	rc = check_readable(&bytes, err);
	if (rc == 0)
		rc = make_folders(directory, made, err);
	if (rc == 0)
		rc = write_new(path, &bytes, err);
	if (rc != 0)
		unmake_folders(directory, made);
out:
	buf_release(&bytes);
	free(path);
	free(made);
	return rc;
}
