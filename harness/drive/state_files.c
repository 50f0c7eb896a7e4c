/* See state_files.h. */
#include "harness/drive/state_files.h"

#include "faultinject/base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int storage_open(void *ctx, const char *path, uint32_t *ret_file)
{
	struct storage *s = ctx;
	bool created;

	return s->ops->open(s, path, false, ret_file, &created);
}

static int storage_size(void *ctx, uint32_t file, uint64_t *ret_size)
{
	struct storage *s = ctx;

	return s->ops->size(s, file, ret_size);
}

static int storage_read(void *ctx, uint32_t file, uint64_t offset, void *buf, size_t size)
{
	struct storage *s = ctx;
	size_t got = 0;
	int code = s->ops->read(s, file, offset, buf, size, &got);

	return code == 0 && got != size ? -EIO : code;
}

struct state_source state_source_of(struct storage *s)
{
	return (struct state_source){storage_open, storage_size, storage_read, s};
}

void state_files_init(struct state_files *f)
{
	memset(f, 0, sizeof *f);
	arena_init(&f->arena);
}

void state_files_release(struct state_files *f)
{
	free(f->items);
	free(f->numbers);
	arena_release(&f->arena);
	memset(f, 0, sizeof *f);
}

uint32_t *state_files_names(const struct trace *t, size_t *ret_count)
{
	bool *is_file = xcalloc((size_t)t->name_count + 1, sizeof *is_file);
	uint32_t *names = xcalloc((size_t)t->name_count + 1, sizeof *names);

	for (size_t i = 0; i < t->base_count; i++)
		is_file[t->base[i].name] = true;
	for (size_t i = 0; i < t->op_count; i++) {
		const struct op *op = &t->ops[i];

		if (op->kind == OP_CREATE)
			is_file[op->name] = true;
		if (op->kind == OP_RENAME || op->kind == OP_LINK)
			is_file[op->name2] = true;
	}
	*ret_count = 0;
	for (uint32_t n = 1; n <= t->name_count; n++)
		if (is_file[n])
			names[(*ret_count)++] = n;
	free(is_file);
	return names;
}

/* For bsearch(): a path, and which it is. */
struct numbered_path {
	const char *path;
	size_t index;
};

static int compare_paths(const void *a, const void *b)
{
	const struct numbered_path *x = a, *y = b;

	return strcmp(x->path, y->path);
}

struct state_conflict *state_files_conflicts(const char *const *paths, size_t count,
					     size_t *ret_count)
{
	struct numbered_path *sorted = xcalloc(count + 1, sizeof *sorted);
	struct state_conflict *found = NULL;
	size_t cap = 0;

	*ret_count = 0;
	for (size_t i = 0; i < count; i++)
		sorted[i] = (struct numbered_path){paths[i], i};
	qsort(sorted, count, sizeof *sorted, compare_paths);
	for (size_t i = 0; i < count; i++) {
		char *folder = xstrdup(paths[i]);

		for (char *slash; (slash = strrchr(folder, '/')) != NULL && slash != folder;) {
			*slash = '\0';
			const struct numbered_path key = {folder, 0};
			const struct numbered_path *file =
			    bsearch(&key, sorted, count, sizeof *sorted, compare_paths);

			if (file == NULL)
				continue;
			found = xgrow(found, *ret_count, &cap, sizeof *found);
			found[(*ret_count)++] = (struct state_conflict){file->index, i};
		}
		free(folder);
	}
	free(sorted);
	return found;
}

static int disk_failed(const char *path, int code, struct err *err)
{
	return err_set(err, ERR_HARNESS, "the disk cannot be read at %s: %s", path,
		       strerror(-code));
}

static int read_file(struct state_files *f, const struct state_source *source, const char *path,
		     uint64_t *total, struct err *err)
{
	struct laid_file *file = &f->items[f->count];
	uint32_t number = 0;
	int code = source->open(source->ctx, path, &number);

	if (code != 0 && code != -ENOENT)
		return disk_failed(path, code, err);
	file->present = code == 0;
	f->numbers[f->count] = number;
	for (size_t i = 0; file->present && i < f->count; i++) {
		if (f->items[i].present && f->numbers[i] == number) {
			file->same_as = &f->items[i];
			return 0;
		}
	}
	if (!file->present)
		return 0;
	code = source->size(source->ctx, number, &file->size);
	if (code != 0)
		return disk_failed(path, code, err);
	*total += file->size;
	if (file->size > STATE_FILES_BYTES_MAX || *total > STATE_FILES_BYTES_MAX)
		return err_set(err, ERR_LIMIT, "the files of one state are larger than %d MiB",
			       (int)(STATE_FILES_BYTES_MAX >> 20));
	uint8_t *data = file->size == 0 ? NULL : arena_alloc(&f->arena, file->size);
	code = source->read(source->ctx, number, 0, data, file->size);
	if (code != 0)
		return disk_failed(path, code, err);
	file->data = data;
	return 0;
}

int state_files_read(struct state_files *f, const struct state_source *source,
		     const char *const *paths, size_t count, size_t skip, struct err *err)
{
	uint64_t total = 0;
	int rc = 0;

	arena_reset(&f->arena);
	if (count > f->cap) {
		f->items = xrealloc(f->items, count * sizeof *f->items);
		f->numbers = xrealloc(f->numbers, count * sizeof *f->numbers);
		f->cap = count;
	}
	for (f->count = 0; f->count < count && rc == 0; f->count++) {
		f->items[f->count] = (struct laid_file){.path = paths[f->count] + skip};
		rc = read_file(f, source, paths[f->count], &total, err);
	}
	return rc;
}
