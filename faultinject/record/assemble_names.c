/*
 * The calls that change names, as operations. See assemble.h.
 */
#include "faultinject/record/assemble_internal.h"

#include "faultinject/base/err.h"

#include <stdio.h>

static void create(struct assembler *a, const struct call *c, uint32_t name)
{
	uint32_t inode = trace_new_inode(a->t);

	if (inode == 0) {
		a->rc = err_set(&a->err, ERR_LIMIT, "more than %d files", TRACE_INODES_MAX);
		return;
	}
	(void)assembler_put(a, c, (struct op){.kind = OP_CREATE, .inode = inode, .name = name});
	/* Of a process that was killed while it made the file, nobody knows the number yet. */
	if (c->ino != 0) {
		assembler_bind(a, c->dev, c->ino, inode);
		assembler_state(a, inode)->met = true;
	}
}

static bool has_name(struct assembler *a, uint32_t inode)
{
	for (uint32_t n = 1; n <= a->t->name_count; n++)
		if (trace_image_names(a->image, n) == inode)
			return true;
	return false;
}

/* `inode` is what the name is, `former` what has the number of the file that was opened. */
static bool is_known(struct assembler *a, const struct call *c, uint32_t inode, uint32_t former)
{
	bool free_number = former == 0 || !has_name(a, former);

	if ((c->flags & CALL_EXISTED) == 0 || !free_number)
		return false;
	/* Somebody opened it and was slower to say so than who removed it: the hot-journal check of
	 * a reader beside a rollback. */
	if (inode == 0)
		return former != 0;
	/* The file was not met before: it waited in the base while another one had its number. */
	if (assembler_state(a, inode)->met)
		return false;
	assembler_bind(a, c->dev, c->ino, inode);
	assembler_state(a, inode)->met = true;
	return true;
}

void assemble_open(struct assembler *a, const struct call *c)
{
	uint32_t name = assembler_name(a, c->path);
	uint32_t inode = assembler_named(a, name);
	uint32_t former = assembler_inode(a, c->dev, c->ino);

	if (name == 0)
		return;
	if (inode != 0 && former == inode) {
		assembler_state(a, inode)->met = true;
		if ((c->flags & CALL_TRUNCATED) != 0 && assembler_size(a, inode) > 0)
			(void)assembler_put(a, c, (struct op){.kind = OP_TRUNCATE, .inode = inode});
		return;
	}
	if (is_known(a, c, inode, former))
		return;
	if (inode != 0) {
		/* The name is another file now. When it was created just now, somebody's unlink or
		 * rename of the old one is a moment late in the log. */
		if ((c->flags & CALL_EXISTED) != 0)
			assembler_hole_at(a, inode, c,
					  "was replaced by somebody who is not recorded");
		(void)assembler_put(a, c, (struct op){.kind = OP_UNLINK, .name = name});
	}
	create(a, c, name);
}

void assemble_rename(struct assembler *a, const struct call *c)
{
	uint32_t from = assembler_name(a, c->path), to = assembler_name(a, c->path2);

	if (from == 0 || to == 0)
		return;
	if ((c->mode & RENAME_EXCHANGE) != 0) {
		assembler_hole_at(a, 0, c,
				  "was exchanged with another file, which a trace cannot say");
		return;
	}
	if (assembler_named(a, from) == 0) {
		assembler_hole_at(a, 0, c, "was renamed, and is not known");
		return;
	}
	if (assembler_named(a, from) != assembler_named(a, to))
		(void)assembler_put(a, c,
				    (struct op){.kind = OP_RENAME, .name = from, .name2 = to});
}

void assemble_unlink(struct assembler *a, const struct call *c)
{
	uint32_t name = assembler_name(a, c->path);

	if (name != 0 && assembler_named(a, name) != 0)
		(void)assembler_put(a, c, (struct op){.kind = OP_UNLINK, .name = name});
}

void assemble_link(struct assembler *a, const struct call *c)
{
	uint32_t from = assembler_name(a, c->path), to = assembler_name(a, c->path2);
	uint32_t inode = from == 0 ? 0 : assembler_named(a, from);

	if (inode == 0 || to == 0) {
		if (a->rc == 0)
			assembler_hole_at(a, 0, c, "was linked, and is not known");
		return;
	}
	if (assembler_named(a, to) != 0)
		(void)assembler_put(a, c, (struct op){.kind = OP_UNLINK, .name = to});
	(void)assembler_put(a, c, (struct op){.kind = OP_LINK, .inode = inode, .name2 = to});
}
