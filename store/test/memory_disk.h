/*
 * memory_disk.h: a disk in memory behind struct store_files, which knows what a crash would leave:
 * each file has the content that is seen and the content that was synced, each name the
 * file that it names and the one that it named when the folder was last synced. Everything is
 * static inline, because each test is a program by itself.
 */
#ifndef STORE_TEST_MEMORY_DISK_H
#define STORE_TEST_MEMORY_DISK_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/store.h"

#define DISK_FILE_COUNT_MAX 4096
#define DISK_NAME_COUNT_MAX 8192
#define DISK_CALL_COUNT_MAX 16384

enum disk_op {
	DISK_CREATE,
	DISK_WRITE,
	DISK_SYNC,
	DISK_CLOSE,
	DISK_READ,
	DISK_RENAME,
	DISK_REMOVE,
	DISK_SYNC_FOLDER,
};

struct disk_file {
	unsigned char *seen;
	size_t seen_size;
	unsigned char *synced; /* NULL: never, or in doubt */
	size_t synced_size;
	bool open;
};

struct disk_name {
	char path[256];
	int seen;   /* index of the file, or -1 */
	int synced; /* the same at the last sync of the folder */
};

struct disk_call {
	enum disk_op op;
	char path[256]; /* of rename, the second */
	pthread_t thread;
};

struct disk {
	struct store_files files;
	pthread_mutex_t mutex;
	struct disk_file data[DISK_FILE_COUNT_MAX];
	int file_count;
	struct disk_name names[DISK_NAME_COUNT_MAX];
	int name_count;
	struct disk_call calls[DISK_CALL_COUNT_MAX];
	size_t call_count;
	/* The call that fails, from 1 on; 0: none. for_good: and all behind it. */
	size_t fail_at;
	bool for_good;
	int fail_with;
	size_t armed_at; /* call_count when fail_at was set */
	bool fired;
	/* Called before each call takes effect, without the mutex. */
	void (*watch)(void *context, enum disk_op op);
	void *watch_context;
};

static inline int disk_find(struct disk *disk, const char *path)
{
	for (int i = 0; i < disk->name_count; i++) {
		if (strcmp(disk->names[i].path, path) == 0)
			return i;
	}
	return -1;
}

static inline struct disk_name *disk_name_of(struct disk *disk, const char *path)
{
	int at = disk_find(disk, path);

	if (at < 0) {
		if (disk->name_count == DISK_NAME_COUNT_MAX)
			abort();
		at = disk->name_count++;
		snprintf(disk->names[at].path, sizeof(disk->names[at].path), "%s", path);
		disk->names[at].seen = -1;
		disk->names[at].synced = -1;
	}
	return &disk->names[at];
}

/* Begins a call: takes the mutex. The errno with which it is to fail, or 0. */
static inline int disk_begin(struct disk *disk, enum disk_op op, const char *path)
{
	size_t number;

	if (disk->watch)
		disk->watch(disk->watch_context, op);
	pthread_mutex_lock(&disk->mutex);
	if (disk->call_count == DISK_CALL_COUNT_MAX)
		abort();
	disk->calls[disk->call_count].op = op;
	disk->calls[disk->call_count].thread = pthread_self();
	snprintf(disk->calls[disk->call_count].path, sizeof(disk->calls[0].path), "%s", path);
	disk->call_count++;
	number = disk->call_count - disk->armed_at;
	if (disk->fail_at == 0 || number < disk->fail_at ||
	    (number > disk->fail_at && !disk->for_good))
		return 0;
	disk->fired = true;
	return disk->fail_with;
}

static inline int disk_end(struct disk *disk, int number)
{
	pthread_mutex_unlock(&disk->mutex);
	return number;
}

/* The path of an open file, for the list of calls. */
static inline const char *disk_path(struct disk *disk, const struct disk_file *file)
{
	for (int i = 0; i < disk->name_count; i++) {
		if (disk->names[i].seen == file - disk->data)
			return disk->names[i].path;
	}
	return "";
}

static inline int disk_create(void *context, const char *path, void **ret_file)
{
	struct disk *disk = context;
	int number = disk_begin(disk, DISK_CREATE, path);
	struct disk_name *name;

	if (number != 0)
		return disk_end(disk, number);
	name = disk_name_of(disk, path);
	/* A file that is emptied is the same file: what was synced of it is in doubt. */
	if (name->seen < 0) {
		if (disk->file_count == DISK_FILE_COUNT_MAX)
			abort();
		name->seen = disk->file_count++;
	}
	free(disk->data[name->seen].synced);
	free(disk->data[name->seen].seen);
	memset(&disk->data[name->seen], 0, sizeof(disk->data[0]));
	disk->data[name->seen].open = true;
	*ret_file = &disk->data[name->seen];
	return disk_end(disk, 0);
}

/* Half of it arrives when it fails. */
static inline int disk_write(void *context, void *opaque, const void *data, size_t size)
{
	struct disk *disk = context;
	struct disk_file *file = opaque;
	int number = disk_begin(disk, DISK_WRITE, disk_path(disk, file));

	if (!file->open)
		abort();
	if (number != 0)
		size /= 2;
	file->seen = realloc(file->seen, file->seen_size + size + 1);
	memcpy(file->seen + file->seen_size, data, size);
	file->seen_size += size;
	return disk_end(disk, number);
}

static inline int disk_sync(void *context, void *opaque)
{
	struct disk *disk = context;
	struct disk_file *file = opaque;
	int number = disk_begin(disk, DISK_SYNC, disk_path(disk, file));

	free(file->synced);
	file->synced = NULL;
	if (number == 0) {
		file->synced = malloc(file->seen_size + 1);
		if (file->seen_size > 0)
			memcpy(file->synced, file->seen, file->seen_size);
		file->synced_size = file->seen_size;
	}
	return disk_end(disk, number);
}

static inline int disk_close(void *context, void *opaque)
{
	struct disk *disk = context;
	struct disk_file *file = opaque;
	int number = disk_begin(disk, DISK_CLOSE, disk_path(disk, file));

	if (!file->open)
		abort();
	file->open = false;
	return disk_end(disk, number);
}

static inline int disk_read(void *context, const char *path, uint64_t offset_bytes, void *buffer,
			    size_t size, size_t *ret_got)
{
	struct disk *disk = context;
	int number = disk_begin(disk, DISK_READ, path);
	int at = disk_find(disk, path);
	const struct disk_file *file;

	if (number == 0 && (at < 0 || disk->names[at].seen < 0))
		number = ENOENT;
	if (number != 0)
		return disk_end(disk, number);
	file = &disk->data[disk->names[at].seen];
	*ret_got = 0;
	if (offset_bytes < file->seen_size) {
		*ret_got = file->seen_size - (size_t)offset_bytes;
		if (*ret_got > size)
			*ret_got = size;
		memcpy(buffer, file->seen + offset_bytes, *ret_got);
	}
	return disk_end(disk, 0);
}

static inline int disk_rename(void *context, const char *from, const char *to)
{
	struct disk *disk = context;
	int number = disk_begin(disk, DISK_RENAME, to);
	int at = disk_find(disk, from);
	struct disk_name *target;

	if (number == 0 && (at < 0 || disk->names[at].seen < 0))
		number = ENOENT;
	if (number != 0)
		return disk_end(disk, number);
	target = disk_name_of(disk, to);
	target->seen = disk->names[at].seen;
	disk->names[at].seen = -1;
	return disk_end(disk, 0);
}

static inline int disk_remove(void *context, const char *path)
{
	struct disk *disk = context;
	int number = disk_begin(disk, DISK_REMOVE, path);
	int at = disk_find(disk, path);

	if (number == 0 && (at < 0 || disk->names[at].seen < 0))
		number = ENOENT;
	if (number == 0)
		disk->names[at].seen = -1;
	return disk_end(disk, number);
}

static inline int disk_sync_folder(void *context, const char *folder)
{
	struct disk *disk = context;
	int number = disk_begin(disk, DISK_SYNC_FOLDER, folder);

	for (int i = 0; number == 0 && i < disk->name_count; i++)
		disk->names[i].synced = disk->names[i].seen;
	return disk_end(disk, number);
}

static inline struct disk *disk_new(void)
{
	struct disk *disk = calloc(1, sizeof(*disk));

	if (!disk)
		abort();
	pthread_mutex_init(&disk->mutex, NULL);
	disk->files = (struct store_files){
	    .context = disk,
	    .create = disk_create,
	    .write = disk_write,
	    .sync = disk_sync,
	    .close = disk_close,
	    .read = disk_read,
	    .rename = disk_rename,
	    .remove = disk_remove,
	    .sync_folder = disk_sync_folder,
	};
	return disk;
}

static inline void disk_free(struct disk *disk)
{
	for (int i = 0; i < disk->file_count; i++) {
		free(disk->data[i].seen);
		free(disk->data[i].synced);
	}
	pthread_mutex_destroy(&disk->mutex);
	free(disk);
}

/* The n-th call from now on fails. */
static inline void disk_arm(struct disk *disk, size_t n, int number, bool for_good)
{
	disk->armed_at = disk->call_count;
	disk->fail_at = n;
	disk->fail_with = number;
	disk->for_good = for_good;
	disk->fired = false;
}

/* FNV-1a, 64 bits: not the store's own, which is what is being tested. */
static inline uint64_t disk_checksum(const void *data, size_t size)
{
	const unsigned char *p = data;
	uint64_t state = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < size; i++)
		state = (state ^ p[i]) * UINT64_C(1099511628211);
	return state;
}

/* Whether content of that size and checksum is in that file whatever a crash at this moment does:
 * the name stands for one file, with and without what has not been synced, and so does the file
 * for one content. */
static inline bool disk_holds(struct disk *disk, const char *path, size_t size, uint64_t checksum)
{
	const struct disk_file *file;
	bool holds = false;
	int at;

	pthread_mutex_lock(&disk->mutex);
	at = disk_find(disk, path);
	if (at >= 0 && disk->names[at].seen >= 0 &&
	    disk->names[at].seen == disk->names[at].synced) {
		file = &disk->data[disk->names[at].seen];
		holds = file->synced && file->synced_size == size && file->seen_size == size &&
			disk_checksum(file->synced, size) == checksum &&
			disk_checksum(file->seen, size) == checksum;
	}
	pthread_mutex_unlock(&disk->mutex);
	return holds;
}

static inline size_t disk_calls(struct disk *disk)
{
	size_t count;

	pthread_mutex_lock(&disk->mutex);
	count = disk->call_count;
	pthread_mutex_unlock(&disk->mutex);
	return count;
}

/* Names that can be seen. */
static inline int disk_count(const struct disk *disk)
{
	int count = 0;

	for (int i = 0; i < disk->name_count; i++)
		count += disk->names[i].seen >= 0;
	return count;
}

#endif
