/*
 * See scratch.h. A file is what shows of the one below it, a prefix that truncations shorten, and
 * the pieces that were written since, the later ones on top. Between the end of that prefix and the
 * end of the file there are zeros, and pieces.
 */
#include "harness/drive/scratch.h"

#include "faultinject/base/arena.h"
#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OWN_INODES = 1 << 28 }; /* numbers of files that are not below: from here on */

struct piece {
	struct piece *next; /* written later */
	uint64_t offset;
	size_t size;
	uint8_t *data;
};

struct scratch_file {
	char *path; /* in the arena */
	bool gone;  /* deleted; a file made later in its place is another one */
	bool is_below;
	uint32_t inode;	 /* the one below, or an own number */
	bool is_changed; /* from here on the next two count */
	uint64_t size;
	uint64_t shown; /* of the file below */
	struct piece *first, *last;
};

struct scratch {
	struct storage storage; /* first: the storage is the scratch */
	struct storage *below;
	struct arena arena;
	struct scratch_file files[SCRATCH_FILES_MAX];
	size_t file_count;
	char change[SCRATCH_CHANGE_SIZE];
};

static struct scratch *self(struct storage *s)
{
	return (struct scratch *)s;
}

/* The file that the path names; NULL: nothing is known of the path. */
static struct scratch_file *find_path(struct scratch *s, const char *path)
{
	for (size_t i = s->file_count; i-- > 0;)
		if (strcmp(s->files[i].path, path) == 0)
			return &s->files[i];
	return NULL;
}

static struct scratch_file *find_inode(struct scratch *s, uint32_t inode)
{
	for (size_t i = 0; i < s->file_count; i++)
		if (s->files[i].inode == inode)
			return &s->files[i];
	assert_fail(__FILE__, __LINE__, "an inode that was opened");
}

static struct scratch_file *add_file(struct scratch *s, const char *path)
{
	if (s->file_count == SCRATCH_FILES_MAX)
		return NULL;
	struct scratch_file *f = &s->files[s->file_count++];
	size_t size = strlen(path) + 1;

	*f = (struct scratch_file){.path = arena_alloc(&s->arena, size),
				   .inode = OWN_INODES + (uint32_t)s->file_count};
	memcpy(f->path, path, size);
	return f;
}

static void note(struct scratch *s, const char *what, const struct scratch_file *f)
{
	if (s->change[0] == '\0')
		(void)snprintf(s->change, sizeof s->change, "%s %s", what, f->path);
}

static int file_size(struct scratch *s, struct scratch_file *f, uint64_t *ret_size)
{
	if (f->is_below && !f->is_changed)
		return s->below->ops->size(s->below, f->inode, ret_size);
	*ret_size = f->size;
	return 0;
}

/* Before the first change. */
static int own(struct scratch *s, struct scratch_file *f)
{
	int error = 0;

	if (f->is_below && !f->is_changed)
		error = s->below->ops->size(s->below, f->inode, &f->size);
	if (error == 0 && !f->is_changed) {
		f->shown = f->is_below ? f->size : 0;
		f->is_changed = true;
	}
	return error;
}

static int scratch_access(struct storage *storage, const char *path, bool *ret_yes)
{
	struct scratch *s = self(storage);
	struct scratch_file *f = find_path(s, path);
	uint64_t size;

	if (f == NULL)
		return s->below->ops->access(s->below, path, ret_yes);
	*ret_yes = false;
	if (f->gone)
		return 0;
	int error = file_size(s, f, &size);
	if (error == 0)
		*ret_yes = size > 0;
	return error;
}

static int scratch_open(struct storage *storage, const char *path, bool create, uint32_t *ret_inode,
			bool *ret_created)
{
	struct scratch *s = self(storage);
	struct scratch_file *f = find_path(s, path);
	bool is_there = !create, created;
	uint32_t inode = 0;
	int error = 0;

	*ret_created = false;
	if (f != NULL && !f->gone) {
		*ret_inode = f->inode;
		return 0;
	}
	if (f == NULL) {
		if (create)
			error = s->below->ops->access(s->below, path, &is_there);
		if (error == 0 && is_there)
			error = s->below->ops->open(s->below, path, false, &inode, &created);
		if (error != 0)
			return error;
	} else {
		is_there = false;
	}
	if (!is_there && !create)
		return -ENOENT;
	f = add_file(s, path);
	if (f == NULL)
		return -EMFILE;
	if (is_there) {
		f->is_below = true;
		f->inode = inode;
	}
	*ret_created = !is_there;
	*ret_inode = f->inode;
	return 0;
}

static int scratch_read(struct storage *storage, uint32_t inode, uint64_t offset, void *buf,
			size_t size, size_t *ret_got)
{
	struct scratch *s = self(storage);
	struct scratch_file *f = find_inode(s, inode);

	if (f->is_below && !f->is_changed)
		return s->below->ops->read(s->below, inode, offset, buf, size, ret_got);
	size_t got = offset >= f->size	       ? 0
		     : f->size - offset < size ? (size_t)(f->size - offset)
					       : size;
	bool is_covered = false;
	for (const struct piece *p = f->first; p != NULL; p = p->next)
		is_covered =
		    is_covered || (p->offset <= offset && p->offset + p->size >= offset + got);
	memset(buf, 0, got);
	if (got > 0 && offset < f->shown && !is_covered) {
		size_t want = f->shown - offset < got ? (size_t)(f->shown - offset) : got, there;
		int error = s->below->ops->read(s->below, inode, offset, buf, want, &there);
		if (error != 0)
			return error;
	}
	for (const struct piece *p = f->first; p != NULL; p = p->next) {
		uint64_t from = p->offset > offset ? p->offset : offset;
		uint64_t to =
		    p->offset + p->size < offset + got ? p->offset + p->size : offset + got;
		if (from < to)
			memcpy((uint8_t *)buf + (from - offset), p->data + (from - p->offset),
			       (size_t)(to - from));
	}
	*ret_got = got;
	return 0;
}

static int scratch_write(struct storage *storage, uint32_t inode, uint64_t offset, const void *data,
			 size_t size)
{
	struct scratch *s = self(storage);
	struct scratch_file *f = find_inode(s, inode);
	int error = own(s, f);

	if (error != 0)
		return error;
	note(s, "write to", f);
	struct piece *p = arena_alloc(&s->arena, sizeof *p);
	*p = (struct piece){.offset = offset, .size = size, .data = arena_alloc(&s->arena, size)};
	if (size > 0)
		memcpy(p->data, data, size);
	if (f->last != NULL)
		f->last->next = p;
	else
		f->first = p;
	f->last = p;
	if (offset + size > f->size)
		f->size = offset + size;
	return 0;
}

static int scratch_truncate(struct storage *storage, uint32_t inode, uint64_t size)
{
	struct scratch *s = self(storage);
	struct scratch_file *f = find_inode(s, inode);
	int error = own(s, f);

	if (error != 0 || size == f->size)
		return error;
	note(s, "truncation of", f);
	f->size = size;
	if (f->shown > size)
		f->shown = size;
	/* What is cut off must not come back when the file grows again. */
	for (struct piece *p = f->first; p != NULL; p = p->next)
		if (p->offset + p->size > size)
			p->size = p->offset < size ? (size_t)(size - p->offset) : 0;
	return 0;
}

static int scratch_size(struct storage *storage, uint32_t inode, uint64_t *ret_size)
{
	struct scratch *s = self(storage);

	return file_size(s, find_inode(s, inode), ret_size);
}

static int scratch_sync(struct storage *storage, uint32_t inode, bool data_only)
{
	(void)storage; /* nothing here outlives the machine */
	(void)inode;
	(void)data_only;
	return 0;
}

static int scratch_dirsync(struct storage *storage, const char *directory)
{
	(void)storage;
	(void)directory;
	return 0;
}

static int scratch_unlink(struct storage *storage, const char *path)
{
	struct scratch *s = self(storage);
	struct scratch_file *f = find_path(s, path);

	if (f == NULL) {
		bool is_there;
		int error = s->below->ops->access(s->below, path, &is_there);
		if (error != 0)
			return error;
		if (!is_there)
			return -ENOENT;
		f = add_file(s, path);
		if (f == NULL)
			return -EMFILE;
	} else if (f->gone) {
		return -ENOENT;
	}
	f->gone = true;
	note(s, "deletion of", f);
	return 0;
}

struct scratch *scratch_create(void)
{
	static const struct storage_ops ops = {
	    .access = scratch_access,
	    .open = scratch_open,
	    .read = scratch_read,
	    .write = scratch_write,
	    .truncate = scratch_truncate,
	    .size = scratch_size,
	    .sync = scratch_sync,
	    .dirsync = scratch_dirsync,
	    .unlink = scratch_unlink,
	    .lock = NULL,
	};
	struct scratch *s = xcalloc(1, sizeof *s);

	s->storage.ops = &ops;
	arena_init(&s->arena);
	return s;
}

void scratch_free(struct scratch *s)
{
	if (s == NULL)
		return;
	arena_release(&s->arena);
	free(s);
}

struct storage *scratch_begin(struct scratch *s, struct storage *below)
{
	arena_reset(&s->arena);
	s->below = below;
	s->storage.actor = below->actor;
	s->file_count = 0;
	s->change[0] = '\0';
	return &s->storage;
}

void scratch_empty(struct scratch *s, const char *path)
{
	struct scratch_file *f = find_path(s, path);
	bool is_there = false;

	if (f == NULL && s->below->ops->access(s->below, path, &is_there) == 0 && is_there)
		f = add_file(s, path);
	if (f == NULL)
		return;
	f->is_changed = true;
	f->size = f->shown = 0;
	f->first = f->last = NULL;
}

const char *scratch_change(const struct scratch *s)
{
	return s->change;
}
