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
	struct file *files;    /* [inode] */
	uint32_t *inode_of;    /* [name]; 0 = names nothing */
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

struct trace_image *trace_image_create(const struct trace *t)
{
	struct trace_image *i = xcalloc(1, sizeof *i);

	i->t = t;
	i->files = xcalloc((size_t)t->inode_count + 1, sizeof *i->files);
	i->inode_of = xcalloc((size_t)t->name_count + 1, sizeof *i->inode_of);
	for (size_t k = 0; k < t->base_count; k++) {
		const struct trace_base *b = &t->base[k];
		i->inode_of[b->name] = b->inode;
		if (b->data != NULL)
			put(&i->files[b->inode], 0, b->data, b->size);
	}
	for (size_t k = 0; k < t->op_count; k++)
		apply(i, &t->ops[k]);
	return i;
}

void trace_image_free(struct trace_image *i)
{
	if (i == NULL)
		return;
	for (uint32_t inode = 0; inode <= i->t->inode_count; inode++)
		free(i->files[inode].data);
	free(i->files);
	free(i->inode_of);
	free(i);
}

const uint8_t *trace_image_file(const struct trace_image *i, const char *path, uint64_t *ret_size)
{
	uint32_t name = trace_find_name(i->t, path);

	if (name == 0 || i->inode_of[name] == 0)
		return NULL;
	const struct file *f = &i->files[i->inode_of[name]];
	*ret_size = f->size;
	return f->data != NULL ? f->data : (const uint8_t *)"";
}
