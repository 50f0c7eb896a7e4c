/*
 * From arguments to scenario files: a file stands for itself, a folder for every .sql file below
 * it, in byte order, whatever order the file system lists them in.
 *
 * Names that begin with a dot are passed over (editors keep locks and copies under such names, and
 * .plugpull/ holds results). Linked files are followed, linked folders are not, because they can
 * lead in circles. Case ids are built on the relative name, so two files that would share one are
 * refused, while one file that is named twice is taken once.
 *
 * Does not read the files.
 */
#include "harness/scenario/scenario_internal.h"

#include "faultinject/base/buf.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
	PATHS_MAX = 10000,
	PATHS_DEPTH_MAX = 64,
};

struct path_list {
	struct scenario_path *items; /* owned */
	size_t count, cap;
};

void scenario_paths_free(struct scenario_path *paths, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(paths[i].path);
		free(paths[i].relative);
	}
	free(paths);
}

static int path_add(struct path_list *list, const char *path, const char *relative, struct err *err)
{
	/* Ids are keys in JSON and lines of output. */
	if (!text_printable(path) || !text_printable(relative))
		return err_set(err, ERR_INPUT,
			       "the name of a scenario file is not printable UTF-8");
	if (list->count >= PATHS_MAX)
		return err_set(err, ERR_LIMIT, "%s: more than %d scenario files", path, PATHS_MAX);
	list->items = xgrow(list->items, list->count, &list->cap, sizeof *list->items);
	list->items[list->count++] =
	    (struct scenario_path){.path = xstrdup(path), .relative = xstrdup(relative)};
	return 0;
}

static bool ends_in_sql(const char *name)
{
	size_t size = strlen(name);

	return size > 4 && strcmp(name + size - 4, ".sql") == 0;
}

static int folder_scan(struct path_list *list, const char *folder, const char *relative, int depth,
		       struct err *err);

static int entry_visit(struct path_list *list, const char *path, const char *relative, int depth,
		       struct err *err)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return folder_scan(list, path, relative, depth + 1, err);
	if (!ends_in_sql(path))
		return 0;
	if (S_ISLNK(st.st_mode) && stat(path, &st) != 0)
		return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
	return S_ISREG(st.st_mode) ? path_add(list, path, relative, err) : 0;
}

/* `relative` is the folder's own, "" at the top. */
static int folder_scan(struct path_list *list, const char *folder, const char *relative, int depth,
		       struct err *err)
{
	struct dirent *entry;
	DIR *dir = NULL;
	int rc = 0;

	if (depth > PATHS_DEPTH_MAX)
		return err_set(err, ERR_LIMIT, "%s: folders are nested more than %d deep", folder,
			       PATHS_DEPTH_MAX);
	dir = opendir(folder);
	if (dir == NULL)
		return err_set(err, ERR_IO, "%s: %s", folder, strerror(errno));
	while (rc == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
		const char *slash = folder[strlen(folder) - 1] == '/' ? "" : "/";
		char *path, *below;

		if (entry->d_name[0] == '.')
			continue;
		path = xasprintf("%s%s%s", folder, slash, entry->d_name);
		below =
		    xasprintf("%s%s%s", relative, relative[0] == '\0' ? "" : "/", entry->d_name);
		rc = entry_visit(list, path, below, depth, err);
		free(path);
		free(below);
	}
	if (rc == 0 && errno != 0)
		rc = err_set(err, ERR_IO, "%s: %s", folder, strerror(errno));
	(void)closedir(dir);
	return rc;
}

static int compare_relative(const void *a, const void *b)
{
	return strcmp(((const struct scenario_path *)a)->relative,
		      ((const struct scenario_path *)b)->relative);
}

static int argument_add(struct path_list *list, const char *argument, struct err *err)
{
	size_t first = list->count, size = strlen(argument);
	char *folder = NULL;
	struct stat st;
	int rc;

	if (stat(argument, &st) != 0)
		return err_set(err, errno == ENOENT ? ERR_INPUT : ERR_IO, "%s: %s",
			       size == 0 ? "''" : argument, strerror(errno));
	if (!S_ISDIR(st.st_mode)) {
		const char *slash = strrchr(argument, '/');

		return path_add(list, argument, slash == NULL ? argument : slash + 1, err);
	}
	folder = xstrdup(argument);
	while (size > 1 && folder[size - 1] == '/')
		folder[--size] = '\0';
	rc = folder_scan(list, folder, "", 0, err);
	if (rc == 0 && list->count == first)
		rc = err_set(err, ERR_INPUT, "%s: no .sql file below this folder", argument);
	else if (rc == 0)
		qsort(list->items + first, list->count - first, sizeof *list->items,
		      compare_relative);
	free(folder);
	return rc;
}

/* ---- one file, one id ---- */

/* What a case id starts with: x and x.sql share it. */
static int compare_ids(const struct scenario_path *a, const struct scenario_path *b)
{
	size_t a_size = strlen(a->relative) - (ends_in_sql(a->relative) ? 4 : 0);
	size_t b_size = strlen(b->relative) - (ends_in_sql(b->relative) ? 4 : 0);
	int order = memcmp(a->relative, b->relative, a_size < b_size ? a_size : b_size);

	return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

static int compare_entries(const void *a, const void *b)
{
	const struct scenario_path *const *left = a, *const *right = b;
	int order = compare_ids(*left, *right);

	/* Entries of one array: their addresses are the order of the arguments. */
	return order != 0 ? order : (*left > *right) - (*left < *right);
}

static bool same_file(const char *a, const char *b)
{
	struct stat left, right;

	return stat(a, &left) == 0 && stat(b, &right) == 0 && left.st_dev == right.st_dev &&
	       left.st_ino == right.st_ino;
}

static int doubles_remove(struct path_list *list, struct err *err)
{
	struct scenario_path **sorted = xcalloc(list->count, sizeof *sorted);
	size_t kept = 0, unique = 0;
	int rc = 0;

	for (size_t i = 0; i < list->count; i++)
		sorted[i] = &list->items[i];
	if (list->count > 1)
		qsort(sorted, list->count, sizeof *sorted, compare_entries);
	for (size_t i = 1; i < list->count; i++) {
		struct scenario_path *first = sorted[unique], *next = sorted[i];

		if (compare_ids(first, next) != 0) {
			unique = i;
		} else if (same_file(first->path, next->path)) {
			free(next->path);
			next->path = NULL; /* goes below */
		} else {
			rc = err_set(err, ERR_INPUT,
				     "%s and %s would have the same case ids; run them apart",
				     first->path, next->path);
			goto out;
		}
	}
	for (size_t i = 0; i < list->count; i++) {
		if (list->items[i].path == NULL)
			free(list->items[i].relative);
		else
			list->items[kept++] = list->items[i];
	}
	list->count = kept;
out:
	free(sorted);
	return rc;
}

int scenario_collect(const char *const *paths, size_t path_count, struct scenario_path **ret_paths,
		     size_t *ret_count, struct err *err)
{
	struct path_list list = {NULL, 0, 0};
	int rc = 0;

	if (path_count == 0)
		return err_set(err, ERR_USAGE, "no scenario file or folder is named");
	for (size_t i = 0; rc == 0 && i < path_count; i++)
		rc = argument_add(&list, paths[i], err);
	if (rc == 0)
		rc = doubles_remove(&list, err);
	if (rc != 0) {
		scenario_paths_free(list.items, list.count);
		return rc;
	}
	*ret_paths = list.items;
	*ret_count = list.count;
	return 0;
}
