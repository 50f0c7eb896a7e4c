/* See story_changes.h. */
#include "harness/explain/story_changes.h"

#include "faultinject/base/buf.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum change_kind { CHANGE_CREATE, CHANGE_WRITE, CHANGE_CUT, CHANGE_DELETE, CHANGE_SYNC };

/* What a recovery did to one file, one thing after the other; writes that follow each other are
 * one. */
struct change {
	enum change_kind kind;
	char *path; /* owned */
	uint64_t size;
	uint64_t *pages; /* owned; of writes: page numbers, ascending; none: not in whole pages */
	size_t page_count, page_cap;
	uint64_t bytes, writes;
};

struct opened {
	uint32_t inode;
	char *path; /* owned */
};

static struct changes *changes_of(struct storage *s)
{
	return (struct changes *)s; /* it is the first member */
}

static const char *path_of(const struct changes *x, uint32_t inode)
{
	for (size_t i = x->opened_count; i-- > 0;)
		if (x->opened[i].inode == inode)
			return x->opened[i].path;
	return "?";
}

static struct change *add_change(struct changes *x, enum change_kind kind, const char *path)
{
	struct change *last = x->count == 0 ? NULL : &x->items[x->count - 1];

	if (last != NULL && last->kind == kind && strcmp(last->path, path) == 0 &&
	    (kind == CHANGE_WRITE || kind == CHANGE_SYNC))
		return last;
	if (x->count == CHANGES_MAX) {
		x->more++;
		return NULL;
	}
	x->items = xgrow(x->items, x->count, &x->cap, sizeof *x->items);
	last = &x->items[x->count++];
	*last = (struct change){.kind = kind, .path = xstrdup(path)};
	return last;
}

static void add_page(struct change *c, uint64_t page)
{
	size_t i = c->page_count;

	while (i > 0 && c->pages[i - 1] > page)
		i--;
	if (i > 0 && c->pages[i - 1] == page)
		return;
	c->pages = xgrow(c->pages, c->page_count, &c->page_cap, sizeof *c->pages);
	memmove(c->pages + i + 1, c->pages + i, (c->page_count - i) * sizeof *c->pages);
	c->pages[i] = page;
	c->page_count++;
}

static int told_access(struct storage *s, const char *path, bool *ret_yes)
{
	struct changes *x = changes_of(s);

	return x->below->ops->access(x->below, path, ret_yes);
}

static int told_open(struct storage *s, const char *path, bool create, uint32_t *ret_inode,
		     bool *ret_created)
{
	struct changes *x = changes_of(s);
	int rc = x->below->ops->open(x->below, path, create, ret_inode, ret_created);

	if (rc != 0)
		return rc;
	x->opened = xgrow(x->opened, x->opened_count, &x->opened_cap, sizeof *x->opened);
	x->opened[x->opened_count++] = (struct opened){*ret_inode, xstrdup(path)};
	if (*ret_created)
		(void)add_change(x, CHANGE_CREATE, path);
	return rc;
}

static int told_read(struct storage *s, uint32_t inode, uint64_t offset, void *buf, size_t size,
		     size_t *ret_got)
{
	struct changes *x = changes_of(s);

	return x->below->ops->read(x->below, inode, offset, buf, size, ret_got);
}

static int told_write(struct storage *s, uint32_t inode, uint64_t offset, const void *data,
		      size_t size)
{
	struct changes *x = changes_of(s);
	int rc = x->below->ops->write(x->below, inode, offset, data, size);
	struct change *c = rc != 0 ? NULL : add_change(x, CHANGE_WRITE, path_of(x, inode));

	if (c == NULL)
		return rc;
	c->bytes += size;
	c->writes++;
	if (x->page_size != 0 && size == x->page_size && offset % size == 0)
		add_page(c, offset / size + 1);
	return rc;
}

static int told_truncate(struct storage *s, uint32_t inode, uint64_t size)
{
	struct changes *x = changes_of(s);
	uint64_t before = 0;

	(void)x->below->ops->size(x->below, inode, &before);
	int rc = x->below->ops->truncate(x->below, inode, size);
	struct change *c =
	    rc != 0 || before == size ? NULL : add_change(x, CHANGE_CUT, path_of(x, inode));

	if (c != NULL)
		c->size = size;
	return rc;
}

static int told_size(struct storage *s, uint32_t inode, uint64_t *ret_size)
{
	struct changes *x = changes_of(s);

	return x->below->ops->size(x->below, inode, ret_size);
}

static int told_sync(struct storage *s, uint32_t inode, bool data_only)
{
	struct changes *x = changes_of(s);
	int rc = x->below->ops->sync(x->below, inode, data_only);

	if (rc == 0)
		(void)add_change(x, CHANGE_SYNC, path_of(x, inode));
	return rc;
}

static int told_dirsync(struct storage *s, const char *directory)
{
	struct changes *x = changes_of(s);
	int rc = x->below->ops->dirsync(x->below, directory);

	if (rc == 0)
		(void)add_change(x, CHANGE_SYNC, directory);
	return rc;
}

static int told_unlink(struct storage *s, const char *path)
{
	struct changes *x = changes_of(s);
	int rc = x->below->ops->unlink(x->below, path);

	if (rc == 0)
		(void)add_change(x, CHANGE_DELETE, path);
	return rc;
}

static const struct storage_ops told_ops = {
    .access = told_access,
    .open = told_open,
    .read = told_read,
    .write = told_write,
    .truncate = told_truncate,
    .size = told_size,
    .sync = told_sync,
    .dirsync = told_dirsync,
    .unlink = told_unlink,
};

static void forget(struct changes *x)
{
	for (size_t i = 0; i < x->count; i++) {
		free(x->items[i].path);
		free(x->items[i].pages);
	}
	for (size_t i = 0; i < x->opened_count; i++)
		free(x->opened[i].path);
	x->count = x->opened_count = 0;
	x->more = 0;
}

void changes_begin(struct changes *x, struct storage *below, uint32_t page_size)
{
	forget(x);
	x->storage.ops = &told_ops;
	x->below = below;
	x->page_size = page_size;
}

void changes_release(struct changes *x)
{
	forget(x);
	free(x->items);
	free(x->opened);
	memset(x, 0, sizeof *x);
}

static bool is_directory(const struct telling *t, const char *path)
{
	for (size_t i = 0; i < t->ix->directory_count; i++)
		if (strcmp(t->ix->directories[i].path, path) == 0)
			return true;
	return false;
}

static void put_change(const struct changes *x, const struct telling *t, const struct change *c,
		       struct buf *b)
{
	const char *name = story_base_name(c->path);

	switch (c->kind) {
	case CHANGE_CREATE:
		buf_printf(b, "created %s", name);
		break;
	case CHANGE_WRITE:
		if (c->page_count > 0 && c->bytes == c->writes * x->page_size) {
			buf_printf(b, "wrote page%s ", c->page_count == 1 ? "" : "s");
			story_numbers(b, c->pages, c->page_count);
			buf_printf(b, " of %s", name);
		} else {
			buf_printf(b, "wrote %" PRIu64 " bytes to %s", c->bytes, name);
		}
		break;
	case CHANGE_CUT:
		if (x->page_size != 0 && c->size != 0 && c->size % x->page_size == 0) {
			buf_printf(b, "cut %s to ", name);
			story_count(b, c->size / x->page_size, "page");
		} else {
			buf_printf(b, "cut %s to %" PRIu64 " bytes", name, c->size);
		}
		break;
	case CHANGE_DELETE:
		buf_printf(b, "deleted %s", name);
		break;
	case CHANGE_SYNC:
		buf_printf(b, "synced %s", is_directory(t, c->path) ? "the directory" : name);
		break;
	}
}

void changes_tell(const struct changes *x, struct telling *t, const char *who)
{
	struct buf b;

	buf_init(&b);
	for (size_t i = 0; i < x->count; i++) {
		story_comma(&b, i, x->more > 0 ? x->count + 1 : x->count);
		put_change(x, t, &x->items[i], &b);
	}
	if (x->more > 0)
		buf_printf(&b, " and did %" PRIu64 " things more", x->more);
	*STORY_ADD(t->s, recovery, recovery) = x->count == 0
						   ? story_text("%s changed no file", who)
						   : story_text("%s %s", who, buf_str(&b));
	buf_release(&b);
	for (size_t i = 0; i < x->count; i++)
		for (size_t f = 0; f < t->left_count; f++)
			if (x->items[i].kind == CHANGE_WRITE &&
			    strcmp(x->items[i].path, t->left[f].path) == 0)
				t->left[f].rolled_back = true;
}
