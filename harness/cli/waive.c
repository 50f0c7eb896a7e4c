/* See waive.h. */
#include "harness/cli/waive.h"

#include "faultinject/base/buf.h"
#include "harness/scenario/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int find_today(int64_t *ret_today, struct err *err)
{
	const char *set = getenv("SOURCE_DATE_EPOCH");
	uint64_t seconds = (uint64_t)time(NULL);

	if (set != NULL && text_number(set, 0, INT64_MAX / 16, &seconds) != 0)
		return err_set(err, ERR_USAGE,
			       "SOURCE_DATE_EPOCH is a number of seconds since 1970, not '%s'",
			       set);
	*ret_today = waivers_day((int64_t)seconds);
	return 0;
}

/* *ret_exists stays as it is when there is no such file. */
static int read_file(const char *path, struct buf *ret, bool *ret_exists, struct err *err)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int rc = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		(void)close(fd);
		return err_set(err, ERR_INPUT, "%s: not a file", path);
	}
	/* One byte more than is allowed, for waivers_parse() to refuse. */
	while (rc == 0 && ret->size <= WAIVERS_SIZE_MAX) {
		buf_reserve(ret, 65536);
		ssize_t n = read(fd, ret->data + ret->size, 65536);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
		if (n <= 0)
			break;
		ret->size += (size_t)n;
	}
	(void)close(fd);
	*ret_exists = true;
	return rc;
}

static struct waive_file *find(const struct waive *w, const char *path)
{
	for (size_t i = 0; i < w->count; i++)
		if (strcmp(w->files[i].path, path) == 0)
			return &w->files[i];
	return NULL;
}

/* Takes `path`. */
static int add_file(struct waive *w, char *path, struct err *err)
{
	struct waive_file file = {.path = path};
	struct buf text;
	bool exists = false;

	buf_init(&text);
	int rc = read_file(path, &text, &exists, err);

	if (rc == 0 && exists)
		rc = find_today(&w->today, err);
	if (rc == 0 && exists)
		rc = waivers_parse(path, (const char *)text.data, text.size, &file.list, err);
	w->files = xgrow(w->files, w->count, &w->cap, sizeof *w->files);
	w->files[w->count++] = file;
	buf_release(&text);
	return rc;
}

static bool ends_in_sql(const char *path)
{
	size_t n = strlen(path);

	return n > 4 && strcmp(path + n - 4, ".sql") == 0;
}

/* The scenario's path, without that part of it which is in its case ids. */
static char *path_of(const struct loaded *l)
{
	const char *path = l->scenario->path;
	size_t n = strlen(path) - strlen(l->name) - (ends_in_sql(path) ? 4 : 0);

	return xasprintf("%.*s" WAIVERS_FILE, (int)n, path);
}

/* The waivers of an argument that is a folder are all about cases that there are. */
static int check_ids(const struct waive_file *file, const struct loaded_list *loaded,
		     struct err *err)
{
	for (size_t i = 0; i < file->list.count; i++) {
		const struct waiver *w = &file->list.items[i];
		bool known = false;

		for (size_t k = 0; k < loaded->count && !known; k++)
			for (size_t n = 0; n < loaded->items[k].cases.count && !known; n++)
				known = strcmp(loaded->items[k].cases.items[n].id, w->id) == 0;
		if (!known)
			return err_set(err, ERR_INPUT,
				       "%s:%" PRIu64
				       ": no case has the id '%s' (--list prints those there are)",
				       file->path, w->line, w->id);
	}
	return 0;
}

static int check_folders(const struct options *o, const struct loaded_list *loaded,
			 const struct waive *w, struct err *err)
{
	int rc = 0;

	if (o->case_glob != NULL || o->shard_count != 0 || o->model_count != 0 || o->set.count != 0)
		return 0;
	for (size_t i = 0; i < o->arg_count && rc == 0; i++) {
		const char *folder = o->args[i];
		size_t n = strlen(folder);
		struct stat st;

		if (stat(folder, &st) != 0 || !S_ISDIR(st.st_mode))
			continue;
		while (n > 0 && folder[n - 1] == '/')
			n--;
		char *path = xasprintf("%.*s/" WAIVERS_FILE, (int)n, folder);
		const struct waive_file *file = find(w, path);

		if (file != NULL)
			rc = check_ids(file, loaded, err);
		free(path);
	}
	return rc;
}

int waive_load(const struct options *o, const struct loaded_list *loaded, struct waive *ret,
	       struct err *err)
{
	for (size_t i = 0; i < loaded->count; i++) {
		char *path = path_of(&loaded->items[i]);

		if (find(ret, path) != NULL) {
			free(path);
			continue;
		}
		int rc = add_file(ret, path, err);

		if (rc != 0)
			return rc;
	}
	return check_folders(o, loaded, ret, err);
}

int waive_load_here(struct waive *ret, struct err *err)
{
	return add_file(ret, xstrdup(WAIVERS_FILE), err);
}

void waive_release(struct waive *w)
{
	for (size_t i = 0; i < w->count; i++) {
		free(w->files[i].path);
		waivers_release(&w->files[i].list);
	}
	free(w->files);
	memset(w, 0, sizeof *w);
}

static const struct waiver_list *list_of(const struct waive *w, const char *path)
{
	const struct waive_file *file = find(w, path);

	return file == NULL ? NULL : &file->list;
}

const struct waiver_list *waive_of(const struct waive *w, const struct loaded *l)
{
	char *path = path_of(l);
	const struct waiver_list *list = list_of(w, path);

	free(path);
	return list;
}

const struct waiver_list *waive_here(const struct waive *w)
{
	return list_of(w, WAIVERS_FILE);
}
