/* See trace_image.h. */
#include "faultinject/trace_image.h"

#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>

struct file {
	uint8_t *data; /* owned */
	uint64_t size, cap;
};

struct trace_image {
	const struct trace *t; /* borrowed */
	size_t applied;	       /* operations */
	struct file *files;    /* [inode], file_count of them */
	size_t file_count;
	uint32_t *inode_of; /* [name], name_count of them; 0 = names nothing */
	size_t name_count;
};

static void resize(struct file *f, uint64_t size)
{
	if (size > f->cap) {
		f->cap = size > 2 * f->cap ? size : 2 * f->cap;
		f->data = xrealloc(f->data, f->cap);
	}
	if (size > f->size)
		memset(f->data + f->size, 0, size - f->size);
	f->size = size;
}

static void put(struct file *f, uint64_t offset, const uint8_t *data, uint64_t size)
{
	if (offset + size > f->size)
		resize(f, offset + size);
	if (size > 0)
		memcpy(f->data + offset, data, size);
}

static void apply(struct trace_image *i, const struct op *op)
{
	switch (op->kind) {
	case OP_CREATE:
		i->inode_of[op->name] = op->inode;
		break;
	case OP_LINK:
		i->inode_of[op->name2] = op->inode;
		break;
	case OP_WRITE:
		put(&i->files[op->inode], op->offset, op->data, op->size);
		break;
	case OP_TRUNCATE:
		resize(&i->files[op->inode], op->size);
		break;
	case OP_RENAME:
		i->inode_of[op->name2] = i->inode_of[op->name];
		i->inode_of[op->name] = 0;
		break;
	case OP_UNLINK:
		i->inode_of[op->name] = 0;
		break;
	default: /* changes no file */
		break;
	}
}

/* Room for at least `count` items, of which `have` are there; the new ones are zero. */
static void *widen(void *items, size_t *have, size_t count, size_t item_size)
{
	if (count <= *have)
		return items;
	if (count < 2 * *have)
		count = 2 * *have;
	items = xrealloc(items, count * item_size);
	memset((uint8_t *)items + *have * item_size, 0, (count - *have) * item_size);
	*have = count;
	return items;
}

static void follow_tables(struct trace_image *i)
{
	i->files = widen(i->files, &i->file_count, (size_t)i->t->inode_count + 1, sizeof *i->files);
	i->inode_of =
	    widen(i->inode_of, &i->name_count, (size_t)i->t->name_count + 1, sizeof *i->inode_of);
}

void trace_image_follow(struct trace_image *i)
{
	follow_tables(i);
	while (i->applied < i->t->op_count)
		apply(i, &i->t->ops[i->applied++]);
}

struct trace_image *trace_image_create(const struct trace *t)
{
	struct trace_image *i = xcalloc(1, sizeof *i);

	i->t = t;
	follow_tables(i);
	for (size_t k = 0; k < t->base_count; k++) {
		const struct trace_base *b = &t->base[k];
		i->inode_of[b->name] = b->inode;
		if (b->data != NULL)
			put(&i->files[b->inode], 0, b->data, b->size);
	}
	trace_image_follow(i);
	return i;
}

void trace_image_free(struct trace_image *i)
{
	if (i == NULL)
		return;
	for (size_t inode = 0; inode < i->file_count; inode++)
		free(i->files[inode].data);
	free(i->files);
	free(i->inode_of);
	free(i);
}

const uint8_t *trace_image_inode(const struct trace_image *i, uint32_t inode, uint64_t *ret_size)
{
	const struct file *f = &i->files[inode];

	*ret_size = f->size;
	return f->data != NULL ? f->data : (const uint8_t *)"";
}

uint32_t trace_image_names(const struct trace_image *i, uint32_t name)
{
	return name < i->name_count ? i->inode_of[name] : 0;
}

const uint8_t *trace_image_file(const struct trace_image *i, const char *path, uint64_t *ret_size)
{
	uint32_t name = trace_find_name(i->t, path);

	if (name == 0 || i->inode_of[name] == 0)
		return NULL;
	return trace_image_inode(i, i->inode_of[name], ret_size);
}
