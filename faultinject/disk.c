/*
 * See disk.h. The live simulated disk.
 *
 * Files are byte buffers found by inode; names are a sorted array, searched by bisection, so that
 * everything that walks the names does so in byte order. There are a handful of files in a run:
 * that beats a hash, whose order would have to be hidden.
 *
 * An inode whose last name is gone stays readable until disk_clear() or disk_free(), because
 * `struct storage` has no close: the handles on it must go on working.
 *
 * The trace numbers inodes in its own way (its base first, in byte order of names), so each file
 * carries both numbers. A file without a trace number was nameless when recording began: no crash
 * can bring it back, and nothing done to it is recorded.
 *
 * What is not here: directories (every path may be created), permissions, hard links (SQLite makes
 * none), failures but that of a sync, and a limit to the whole; only a single file is bounded.
 */
#include "faultinject/disk.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/base/stop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One file may not grow further: -EFBIG, as write(2) answers. Memory is the reason. */
#define DISK_FILE_SIZE_MAX ((uint64_t)1 << 32)

struct disk_file {
	uint8_t *data; /* owned; everything between size and cap is undefined */
	size_t size, cap;
	uint32_t trace_inode; /* 0: not part of the attached trace */
};

struct disk_name {
	char *path; /* owned */
	uint32_t inode;
};

struct disk {
	struct storage storage; /* first: the storage is the disk */

	struct disk_file *files; /* files[inode - 1] */
	size_t file_count, files_cap;

	struct disk_name *names; /* in byte order of path */
	size_t name_count, names_cap;

	struct trace *trace; /* borrowed; NULL while nothing is recorded */

	uint32_t fail_sync_in; /* the n-th matching sync from now on fails; 0 = none */
	bool fail_sync_all;    /* whatever its name */
	char fail_sync_suffix[DISK_SUFFIX_MAX + 1];
};

static struct disk *of(struct storage *s)
{
	return (struct disk *)s;
}

static struct disk_file *file_at(struct disk *d, uint32_t inode)
{
	ASSERT(inode >= 1 && inode <= d->file_count);
	return &d->files[inode - 1];
}

/* Whether `path` exists, and its index or the index where it belongs. */
static bool find_name(const struct disk *d, const char *path, size_t *ret_index)
{
	size_t low = 0, high = d->name_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(d->names[middle].path, path);

		if (order == 0) {
			*ret_index = middle;
			return true;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_index = low;
	return false;
}

/* A new empty inode. Buffers that disk_clear() left behind are used again. */
static uint32_t add_file(struct disk *d)
{
	size_t old_cap = d->files_cap;

	d->files = xgrow(d->files, d->file_count, &d->files_cap, sizeof *d->files);
	if (d->files_cap > old_cap)
		memset(d->files + old_cap, 0, (d->files_cap - old_cap) * sizeof *d->files);
	d->files[d->file_count].size = 0;
	d->files[d->file_count].trace_inode = 0;
	return (uint32_t)++d->file_count;
}

static void add_name(struct disk *d, size_t index, const char *path, uint32_t inode)
{
	d->names = xgrow(d->names, d->name_count, &d->names_cap, sizeof *d->names);
	memmove(d->names + index + 1, d->names + index, (d->name_count - index) * sizeof *d->names);
	d->names[index] = (struct disk_name){xstrdup(path), inode};
	d->name_count++;
}

/* Makes room for `size` bytes and, when it grows, reads as zeroes up to there. */
static void resize(struct disk_file *f, size_t size)
{
	if (size > f->cap) {
		size_t cap = f->cap < 4096 ? 4096 : f->cap;

		while (cap < size)
			cap *= 2;
		f->data = xrealloc(f->data, cap);
		f->cap = cap;
	}
	if (size > f->size)
		memset(f->data + f->size, 0, size - f->size);
	f->size = size;
}

/* Appends `op` by the current actor. The caller has checked that a trace is attached. */
static uint64_t record(struct disk *d, struct op op)
{
	op.process = d->storage.actor.process;
	op.thread = d->storage.actor.thread;
	op.connection = d->storage.actor.connection;
	uint64_t position = trace_append(d->trace, &op);
	stop_recorded(position);
	return position;
}

static bool is_recorded(const struct disk *d, const struct disk_file *f)
{
	return d->trace != NULL && f->trace_inode != 0;
}

static int disk_access(struct storage *s, const char *path, bool *ret_yes)
{
	struct disk *d = of(s);
	size_t i;

	*ret_yes = find_name(d, path, &i) && file_at(d, d->names[i].inode)->size > 0;
	return 0;
}

static int disk_open(struct storage *s, const char *path, bool create, uint32_t *ret_inode,
		     bool *ret_created)
{
	struct disk *d = of(s);
	uint32_t inode;
	size_t i;

	if (find_name(d, path, &i)) {
		*ret_inode = d->names[i].inode;
		*ret_created = false;
		return 0;
	}
	if (!create)
		return -ENOENT;
	inode = add_file(d);
	add_name(d, i, path, inode);
	if (d->trace != NULL) {
		uint32_t trace_inode = trace_new_inode(d->trace);

		file_at(d, inode)->trace_inode = trace_inode;
		record(d, (struct op){
			      .kind = OP_CREATE,
			      .inode = trace_inode,
			      .name = trace_name(d->trace, path),
			  });
	}
	*ret_inode = inode;
	*ret_created = true;
	return 0;
}

static int disk_read(struct storage *s, uint32_t inode, uint64_t offset, void *buf, size_t size,
		     size_t *ret_got)
{
	struct disk_file *f = file_at(of(s), inode);
	size_t got = 0;

	if (offset < f->size)
		got = f->size - offset < size ? f->size - (size_t)offset : size;
	if (got > 0)
		memcpy(buf, f->data + offset, got);
	*ret_got = got;
	return 0;
}

static int disk_write(struct storage *s, uint32_t inode, uint64_t offset, const void *data,
		      size_t size)
{
	struct disk *d = of(s);
	struct disk_file *f = file_at(d, inode);

	if (size == 0)
		return 0;
	if (offset > DISK_FILE_SIZE_MAX || size > DISK_FILE_SIZE_MAX - offset)
		return -EFBIG;
	if (offset + size > f->size)
		resize(f, offset + size);
	memcpy(f->data + offset, data, size);
	if (is_recorded(d, f))
		record(d, (struct op){
			      .kind = OP_WRITE,
			      .inode = f->trace_inode,
			      .offset = offset,
			      .size = size,
			      .data = data,
			  });
	return 0;
}

static int disk_truncate(struct storage *s, uint32_t inode, uint64_t size)
{
	struct disk *d = of(s);
	struct disk_file *f = file_at(d, inode);

	if (size > DISK_FILE_SIZE_MAX)
		return -EFBIG;
	if (size == f->size) /* changes nothing, so there is nothing to lose */
		return 0;
	resize(f, size);
	if (is_recorded(d, f))
		record(d, (struct op){
			      .kind = OP_TRUNCATE,
			      .inode = f->trace_inode,
			      .size = size,
			  });
	return 0;
}

static int disk_size(struct storage *s, uint32_t inode, uint64_t *ret_size)
{
	*ret_size = file_at(of(s), inode)->size;
	return 0;
}

static bool ends_in(const char *path, const char *suffix)
{
	size_t length = strlen(path), n = strlen(suffix);

	return length >= n && strcmp(path + length - n, suffix) == 0;
}

/* One of the names of the file, or the directory, is meant. */
static bool is_to_fail(const struct disk *d, uint32_t inode, const char *directory)
{
	if (d->fail_sync_all)
		return true;
	if (directory != NULL)
		return ends_in(directory, d->fail_sync_suffix);
	for (size_t i = 0; i < d->name_count; i++)
		if (d->names[i].inode == inode && ends_in(d->names[i].path, d->fail_sync_suffix))
			return true;
	return false;
}

/* Counts a sync of a file or, with inode 0, of a directory. Does it fail? */
static bool fails_now(struct disk *d, uint32_t inode, const char *directory)
{
	return d->fail_sync_in > 0 && is_to_fail(d, inode, directory) && --d->fail_sync_in == 0;
}

static int disk_sync(struct storage *s, uint32_t inode, bool data_only)
{
	struct disk *d = of(s);
	struct disk_file *f = file_at(d, inode);
	bool failed = fails_now(d, inode, NULL);
	int rc = failed ? -EIO : 0;
	uint64_t begin;

	if (!is_recorded(d, f))
		return rc;
	begin = record(d, (struct op){
			      .kind = OP_SYNC_BEGIN,
			      .flags = data_only ? OP_SYNC_DATA : 0,
			      .inode = f->trace_inode,
			  });
	record(d, (struct op){.kind = OP_SYNC_END,
			      .flags = failed ? OP_SYNC_FAILED : 0,
			      .inode = f->trace_inode,
			      .offset = begin});
	return rc;
}

static int disk_dirsync(struct storage *s, const char *directory)
{
	struct disk *d = of(s);
	bool failed = fails_now(d, 0, directory);
	int rc = failed ? -EIO : 0;
	uint64_t begin;
	uint32_t name;

	if (d->trace == NULL)
		return rc;
	name = trace_name(d->trace, directory);
	begin = record(d, (struct op){.kind = OP_DIRSYNC_BEGIN, .name = name});
	record(d, (struct op){.kind = OP_DIRSYNC_END,
			      .flags = failed ? OP_SYNC_FAILED : 0,
			      .name = name,
			      .offset = begin});
	return rc;
}

static void remove_name(struct disk *d, size_t index)
{
	free(d->names[index].path);
	d->name_count--;
	memmove(d->names + index, d->names + index + 1, (d->name_count - index) * sizeof *d->names);
}

static int disk_unlink(struct storage *s, const char *path)
{
	struct disk *d = of(s);
	size_t i;

	if (!find_name(d, path, &i))
		return -ENOENT;
	remove_name(d, i);
	if (d->trace != NULL)
		record(d, (struct op){.kind = OP_UNLINK, .name = trace_name(d->trace, path)});
	return 0;
}

static void disk_lock(struct storage *s, uint32_t inode, bool unlock, uint8_t flags,
		      uint64_t offset, uint64_t size)
{
	struct disk *d = of(s);
	struct disk_file *f = file_at(d, inode);

	if (is_recorded(d, f))
		record(d, (struct op){
			      .kind = unlock ? OP_UNLOCK : OP_LOCK,
			      .flags = flags,
			      .inode = f->trace_inode,
			      .offset = offset,
			      .size = size,
			  });
}

static const struct storage_ops disk_ops = {
    .access = disk_access,
    .open = disk_open,
    .read = disk_read,
    .write = disk_write,
    .truncate = disk_truncate,
    .size = disk_size,
    .sync = disk_sync,
    .dirsync = disk_dirsync,
    .unlink = disk_unlink,
    .lock = disk_lock,
};

struct disk *disk_create(void)
{
	struct disk *d = xcalloc(1, sizeof *d);

	d->storage.ops = &disk_ops;
	d->storage.actor = (struct storage_actor){1, 1, 1};
	return d;
}

void disk_free(struct disk *d)
{
	if (d == NULL)
		return;
	for (size_t i = 0; i < d->files_cap; i++)
		free(d->files[i].data);
	for (size_t i = 0; i < d->name_count; i++)
		free(d->names[i].path);
	free(d->files);
	free(d->names);
	free(d);
}

struct storage *disk_storage(struct disk *d)
{
	return &d->storage;
}

void disk_record(struct disk *d, struct trace *t)
{
	d->trace = t;
	for (size_t i = 0; i < d->file_count; i++)
		d->files[i].trace_inode = 0;
	if (t == NULL)
		return;
	for (size_t i = 0; i < d->name_count; i++) {
		struct disk_file *f = file_at(d, d->names[i].inode);

		f->trace_inode = trace_new_inode(t);
		trace_add_base(t, f->trace_inode, trace_name(t, d->names[i].path), f->data,
			       f->size);
	}
}

void disk_note(struct disk *d, uint8_t kind, const char *text)
{
	ASSERT(kind == OP_ACK || kind == OP_MARK || kind == OP_OUTPUT);
	if (d->trace == NULL)
		return;
	if (kind == OP_ACK) /* carries no text */
		record(d, (struct op){.kind = kind});
	else
		record(d, (struct op){
			      .kind = kind,
			      .size = strlen(text),
			      .data = (const uint8_t *)text,
			  });
}

void disk_fail_sync(struct disk *d, uint32_t nth, const char *suffix)
{
	ASSERT(suffix == NULL || strlen(suffix) < sizeof d->fail_sync_suffix);
	d->fail_sync_in = nth;
	d->fail_sync_all = suffix == NULL;
	if (suffix != NULL)
		memcpy(d->fail_sync_suffix, suffix, strlen(suffix) + 1);
}

bool disk_fail_sync_pending(const struct disk *d)
{
	return d->fail_sync_in > 0;
}

int disk_rename(struct disk *d, const char *from, const char *to)
{
	uint32_t inode;
	size_t i, k;

	if (!find_name(d, from, &i))
		return -ENOENT;
	inode = d->names[i].inode;
	if (find_name(d, to, &k)) {
		if (d->names[k].inode == inode)
			return 0;
		d->names[k].inode = inode;
	} else {
		add_name(d, k, to, inode);
	}
	(void)find_name(d, from, &i);
	remove_name(d, i);
	if (d->trace != NULL)
		record(d, (struct op){.kind = OP_RENAME,
				      .name = trace_name(d->trace, from),
				      .name2 = trace_name(d->trace, to)});
	return 0;
}

void disk_put(struct disk *d, const char *path, const void *data, uint64_t size)
{
	struct disk_file *f;
	uint32_t inode;
	size_t i;

	ASSERT(d->trace == NULL); /* the trace would no longer say what the disk holds */
	ASSERT(size <= DISK_FILE_SIZE_MAX);
	inode = add_file(d);
	if (find_name(d, path, &i))
		d->names[i].inode = inode;
	else
		add_name(d, i, path, inode);
	f = file_at(d, inode);
	resize(f, size);
	if (size > 0)
		memcpy(f->data, data, size);
}

void disk_clear(struct disk *d)
{
	ASSERT(d->trace == NULL);
	for (size_t i = 0; i < d->name_count; i++)
		free(d->names[i].path);
	d->name_count = 0;
	d->file_count = 0; /* the buffers stay for the files to come */
}

void disk_each(struct disk *d,
	       void (*visit)(void *ctx, const char *path, const uint8_t *data, uint64_t size),
	       void *ctx)
{
	for (size_t i = 0; i < d->name_count; i++) {
		struct disk_file *f = file_at(d, d->names[i].inode);

		visit(ctx, d->names[i].path, f->data, f->size);
	}
}
