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

static const char suffix[] = ".ppcase";

/* Is it a token with `end` behind it? */
static bool is_token_then(const char *s, const char *end)
{
	size_t prefix = strlen(CASE_TOKEN_PREFIX);

	return strncmp(s, CASE_TOKEN_PREFIX, prefix) == 0 &&
	       strspn(s + prefix, "0123456789abcdef") == TOKEN_DIGITS &&
	       strcmp(s + prefix + TOKEN_DIGITS, end) == 0;
}

/* Where nothing is at `path`: what somebody may have meant. */
static int no_such(const char *path, struct err *err)
{
	char *named = xasprintf("%s%s", path, suffix);
	bool there = access(named, F_OK) == 0;
	int rc = err_set(err, ERR_INPUT,
			 "'%s': no such file%s%s%s, and no token (%s and %d digits, 0-9 and a-f)",
			 path, there ? " (there is '" : "", there ? named : "", there ? "')" : "",
			 CASE_TOKEN_PREFIX, TOKEN_DIGITS);

	free(named);
	return rc;
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

static int load_path(const char *path, const char *token, struct case_file **ret_case,
		     struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return io_error(err, path, "cannot open");
	rc = token != NULL ? load_token(fd, path, token, ret_case, err)
			   : load_fd(fd, path, ret_case, err);
	close(fd);
	return rc;
}

/* Is it there, as far as one can see? */
static bool is_there(const char *path)
{
	return access(path, F_OK) == 0 ||
	       (errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG);
}

int case_file_load(const char *token_or_path, const char *directory, struct case_file **ret_case,
		   struct err *err)
{
	bool token = is_token_then(token_or_path, "");
	bool named = is_token_then(token_or_path, suffix) && !is_there(token_or_path);

	if (!token && !named)
		return is_there(token_or_path) ? load_path(token_or_path, NULL, ret_case, err)
					       : no_such(token_or_path, err);
	char *name =
	    xasprintf("%.*s", (int)(strlen(CASE_TOKEN_PREFIX) + TOKEN_DIGITS), token_or_path);
	char *path = xasprintf("%s/%s%s", directory, name, suffix);
	int rc;

	if (is_there(path))
		rc = load_path(path, name, ret_case, err);
	else
		rc = err_set(err, ERR_INPUT,
			     "%sno case %s below %s; a report has it as "
			     "DIR/cases/%s%s",
			     named ? "no such file, and " : "", name, directory, name, suffix);
	free(path);
	free(name);
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

/* Does the file hold just these bytes? */
static bool is_saved(const char *path, const struct buf *bytes)
{
	struct buf there = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool saved = fd >= 0 && read_all(fd, &there, NULL) == 0 && there.size == bytes->size &&
		     memcmp(there.data, bytes->data, bytes->size) == 0;

	if (fd >= 0)
		close(fd);
	buf_release(&there);
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
	case_file_encode(c, &bytes);
	rc = check_readable(&bytes, err);
	if (rc != 0 || is_saved(path, &bytes))
		goto out;
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
