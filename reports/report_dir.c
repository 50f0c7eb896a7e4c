/*
 * The report folder; see report_dir.h.
 *
 * An existing report is exchanged with the new one by renameat2(RENAME_EXCHANGE), so that DIR never
 * is missing. Where the file system has no such thing, two renames do, the second undone by a third
 * if it fails.
 */
#include "reports/report_dir.h"

#include "faultinject/base/buf.h"
#include "harness/case/result_json.h"
#include "reports/annotations.h"
#include "reports/file.h"
#include "reports/html.h"
#include "reports/junit.h"
#include "reports/markdown.h"
#include "reports/words.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* `why` may end in a name, which is quoted. */
static int refuse(struct err *err, const char *dir, const char *why, const char *name)
{
	struct buf text;

	buf_init(&text);
	buf_printf(&text, "report folder '");
	words_clean(&text, dir);
	buf_printf(&text, "' is not replaced: %s", why);
	if (name != NULL) {
		buf_printf(&text, " '");
		words_clean(&text, name);
		buf_printf(&text, "'");
	}
	int rc = err_set(err, ERR_INPUT, "%s", buf_str(&text));

	buf_release(&text);
	return rc;
}

/* Without slashes at its end, and not a name that cannot be renamed. */
static int normalise(const char *dir, char **ret_dir, struct err *err)
{
	size_t n = strlen(dir);

	while (n > 1 && dir[n - 1] == '/')
		n--;
	char *copy = strndup(dir, n);

	if (copy == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	const char *slash = strrchr(copy, '/');
	const char *last = slash == NULL ? copy : slash + 1;

	if (last[0] == '\0' || strcmp(last, ".") == 0 || strcmp(last, "..") == 0) {
		free(copy);
		return refuse(err, dir, "it has no name of its own; name a folder inside it", NULL);
	}
	*ret_dir = copy;
	return 0;
}

/* Checks each entry of `dir` against what may stand there. */
static int check_entries(const char *dir, const char *sub, struct err *err)
{
	static const char *const files[] = {"result.json", "junit.xml", "summary.md",
					    "annotations.txt", "index.html"};
	char *path = sub == NULL ? xstrdup(dir) : xasprintf("%s/%s", dir, sub);
	DIR *d = opendir(path);
	struct dirent *e;
	int rc = 0;

	if (d == NULL) {
		rc = file_error(err, "cannot read the folder", path, errno);
		goto out;
	}
	while (rc == 0 && (e = readdir(d)) != NULL) {
		struct stat st;
		bool known = sub != NULL; /* any name below cases/ */

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
			rc = file_error(err, "cannot read the folder", path, errno);
			break;
		}
		for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
			known = known || strcmp(e->d_name, files[i]) == 0;
		if (sub == NULL && strcmp(e->d_name, "cases") == 0 && S_ISDIR(st.st_mode))
			continue;
		if (!known || !S_ISREG(st.st_mode))
			rc = refuse(err, dir, "no report has", e->d_name);
	}
	(void)closedir(d);
out:
	free(path);
	return rc;
}

static int check_is_report(const char *dir, struct err *err)
{
	char *path = xasprintf("%s/result.json", dir);
	struct stat st;
	json_t *root = NULL;
	int rc = 0;

	if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
		root = json_load_file(path, 0, NULL);
	if (root == NULL || !json_is_string(json_object_get(root, "plugpull")) ||
	    !json_is_array(json_object_get(root, "cases"))) {
		rc = refuse(err, dir, "it exists and is no report of plugpull", NULL);
		goto out;
	}
	rc = check_entries(dir, NULL, err);
	char *cases = xasprintf("%s/cases", dir);

	if (rc == 0 && lstat(cases, &st) == 0)
		rc = check_entries(dir, "cases", err);
	free(cases);
out:
	json_decref(root);
	free(path);
	return rc;
}

/* Whether `dir`, normalised, can be written; *ret_exists: it is a report already. */
static int check(const char *dir, bool *ret_exists, struct err *err)
{
	struct stat st;
	char *parent = file_parent(dir);
	int rc = 0;

	/* access() says EACCES of a file, or nothing at all of an executable one. */
	if (stat(parent, &st) == 0 && !S_ISDIR(st.st_mode)) {
		rc = file_error(err, "cannot write the report folder", dir, ENOTDIR);
		goto out;
	}
	if (access(parent, W_OK | X_OK) != 0) {
		rc = file_error(err, "cannot write the report folder", dir, errno);
		goto out;
	}
	if (lstat(dir, &st) != 0) {
		if (errno == ENOENT)
			*ret_exists = false;
		else
			rc = file_error(err, "cannot write the report folder", dir, errno);
		goto out;
	}
	if (!S_ISDIR(st.st_mode)) {
		rc = refuse(err, dir, "it exists and is no folder", NULL);
		goto out;
	}
	rc = check_is_report(dir, err);
	if (rc == 0)
		*ret_exists = true;
out:
	free(parent);
	return rc;
}

int report_dir_check(const char *dir, struct err *err)
{
	char *path = NULL;
	bool exists;
	int rc = normalise(dir, &path, err);

	if (rc == 0)
		rc = check(path, &exists, err);
	free(path);
	return rc;
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

/* Removes a folder of ours; 0 or an errno. Symbolic links are removed, not followed. */
static int remove_tree(const char *path)
{
	return nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0 ? 0 : errno;
}

/* Gives each case file its mode and makes it durable. */
static int seal_cases(const char *cases, struct err *err)
{
	DIR *d = opendir(cases);
	struct dirent *e;
	int rc = 0;

	if (d == NULL)
		return file_error(err, "cannot read the folder", cases, errno);
	while (rc == 0 && (e = readdir(d)) != NULL) {
		struct stat st;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		int fd =
		    openat(dirfd(d), e->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

		if (fd < 0 || fstat(fd, &st) != 0 || fchmod(fd, 0600) != 0 || fsync(fd) != 0)
			rc = file_error(err, "cannot keep the case file", e->d_name, errno);
		else if (!S_ISREG(st.st_mode))
			rc = file_error(err, "cannot keep the case file", e->d_name, EINVAL);
		if (fd >= 0)
			(void)close(fd);
	}
	(void)closedir(d);
	return rc != 0 ? rc : file_sync_directory(cases, err);
}

static int create_in(const char *dir, const char *name, const void *data, size_t size,
		     struct err *err)
{
	char *path = xasprintf("%s/%s", dir, name);
	int rc = file_create(path, data, size, err);

	free(path);
	return rc;
}

static size_t count_text(const struct buf *text, const char *part)
{
	const char *at = (const char *)text->data;
	size_t size = strlen(part), count = 0;

	for (size_t i = 0; i + size <= text->size; i++)
		count += memcmp(at + i, part, size) == 0;
	return count;
}

/* A report that says less than the result would be a green that nobody earned: JUnit, which gates
 * read, is held against the result before it stands. */
static int check_junit(const struct result *r, const struct buf *junit, struct err *err)
{
	size_t failures = 0, errors = 0;

	for (size_t i = 0; i < r->case_count; i++) {
		failures += r->cases[i].verdict == CASE_VIOLATED ||
			    r->cases[i].verdict == CASE_INCONCLUSIVE;
		errors += r->cases[i].verdict == CASE_ERROR;
	}
	/* Elements, not text: that is escaped. */
	if (count_text(junit, "<failure ") == failures && count_text(junit, "<error ") == errors &&
	    count_text(junit, "<testcase ") == r->case_count)
		return 0;
	return err_set(err, ERR_HARNESS,
		       "the report would hide something: %zu cases failed and %zu ended in error, "
		       "and junit.xml has %zu and %zu of %zu cases",
		       failures, errors, count_text(junit, "<failure "),
		       count_text(junit, "<error "), count_text(junit, "<testcase "));
}

static int fill(const struct result *r, const char *dir, report_dir_cases_fn *put_cases, void *ctx,
		struct err *err)
{
	char *json = NULL;
	char *cases = xasprintf("%s/cases", dir);
	size_t json_size;
	struct buf text;
	int rc;

	buf_init(&text);
	if (mkdir(cases, 0700) != 0) {
		rc = file_error(err, "cannot create", cases, errno);
		goto out;
	}
	if (put_cases != NULL && (rc = put_cases(ctx, cases, err)) != 0)
		goto out;
	if ((rc = seal_cases(cases, err)) != 0)
		goto out;
	if ((rc = result_json(r, &json, &json_size, err)) != 0)
		goto out;
	if ((rc = create_in(dir, "result.json", json, json_size, err)) != 0)
		goto out;
	junit_render(&text, r);
	if ((rc = check_junit(r, &text, err)) != 0)
		goto out;
	if ((rc = create_in(dir, "junit.xml", text.data, text.size, err)) != 0)
		goto out;
	buf_clear(&text);
	markdown_render(&text, r);
	if ((rc = create_in(dir, "summary.md", text.data, text.size, err)) != 0)
		goto out;
	buf_clear(&text);
	annotations_render(&text, r);
	if ((rc = create_in(dir, "annotations.txt", text.data, text.size, err)) != 0)
		goto out;
	buf_clear(&text);
	if ((rc = html_render(&text, r, err)) != 0)
		goto out;
	if ((rc = create_in(dir, "index.html", text.data, text.size, err)) != 0)
		goto out;
	rc = file_sync_directory(dir, err);
out:
	free(json);
	free(cases);
	buf_release(&text);
	return rc;
}

/* Puts the report `made` in the place of `dir`. Afterwards `made` names the former report, if there
 * was one. Returns 0 or an errno. */
static int take_place(const char *made, const char *dir, bool exists)
{
	unsigned flags = exists ? RENAME_EXCHANGE : RENAME_NOREPLACE;

	if (renameat2(AT_FDCWD, made, AT_FDCWD, dir, flags) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return errno;
	if (!exists)
		return rename(made, dir) == 0 ? 0 : errno;

	char *former = xasprintf("%s.old", made);
	int errnum = 0;

	if (rename(dir, former) != 0)
		errnum = errno;
	else if (rename(made, dir) != 0) {
		errnum = errno;
		(void)rename(former, dir);
	} else if (rename(former, made) != 0)
		errnum = errno;
	free(former);
	return errnum;
}

int report_dir_write(const struct result *r, const char *dir, report_dir_cases_fn *cases, void *ctx,
		     struct err *err)
{
	char *path = NULL, *made = NULL, *parent = NULL;
	bool exists = false, remains = false;
	int errnum;
	int rc = normalise(dir, &path, err);

	if (rc != 0)
		goto out;
	if ((rc = check(path, &exists, err)) != 0)
		goto out;
	made = xasprintf("%s.new-XXXXXX", path);
	if (mkdtemp(made) == NULL) { /* mode 0700 */
		rc = file_error(err, "cannot write the report folder", path, errno);
		goto out;
	}
	remains = true;
	if ((rc = fill(r, made, cases, ctx, err)) != 0)
		goto out;
	/* The run took a while: what stands there may be another thing than at the start. */
	if ((rc = check(path, &exists, err)) != 0)
		goto out;
	errnum = take_place(made, path, exists);
	if (errnum != 0) {
		rc = file_error(err, "cannot write the report folder", path, errnum);
		goto out;
	}
	remains = exists;
	parent = file_parent(path);
	rc = file_sync_directory(parent, err);
out:
	if (remains) {
		errnum = remove_tree(made);
		if (errnum != 0 && rc == 0)
			rc = file_error(err, "cannot remove", made, errnum);
	}
	free(parent);
	free(made);
	free(path);
	return rc;
}
