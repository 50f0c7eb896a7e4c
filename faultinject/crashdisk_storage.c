/*
 * What a reader and a recovery do to the undecided disk: the calls of storage.h. See crashdisk.h.
 *
 * Writes of recovery are there at once. A disk that lies on top of another one (crashdisk_above.c)
 * passes on what it knows nothing about: files and names that the first recovery never touched.
 */
#include "faultinject/crashdisk_internal.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/hash.h"

#include <errno.h>
#include <string.h>

enum { INODE_BELOW = 1 << 30 }; /* set in the number of a file of the disk below */

/* A sector that this run may change: a private copy of what it holds. */
static uint8_t *own_sector(struct crashdisk *cd, uint32_t inode, struct run_inode *ri,
			   uint32_t sector)
{
	uint8_t *copy = arena_alloc(&cd->arena, cd->ix->sector_size);

	memcpy(copy, crashdisk_decide_sector(cd, inode, ri, sector)->content, cd->ix->sector_size);
	struct run_sector *rs = crashdisk_run_sector(cd, ri, sector);
	rs->content = copy;
	rs->id = 0;
	return copy;
}

static void set_sector(struct crashdisk *cd, struct run_inode *ri, uint32_t sector,
		       const uint8_t *content, uint64_t id)
{
	struct run_sector *rs = crashdisk_run_sector(cd, ri, sector);

	rs->run = cd->run;
	rs->content = content;
	rs->id = id;
}

/* The file grows: what lies between its old and its new end is zero, whatever an older, longer
 * version of the file once held there. */
static void extend(struct crashdisk *cd, uint32_t inode, struct run_inode *ri, uint64_t size)
{
	uint64_t ss = cd->ix->sector_size;

	if (ri->size % ss != 0) {
		uint8_t *tail = own_sector(cd, inode, ri, (uint32_t)(ri->size / ss));
		memset(tail + ri->size % ss, 0, ss - ri->size % ss);
	}
	for (uint64_t s = (ri->size + ss - 1) / ss; s * ss < size; s++)
		set_sector(cd, ri, (uint32_t)s, cd->ix->zero_sector, cd->ix->zero_id);
	ri->size = size;
}

static struct crashdisk *self(struct storage *s)
{
	return (struct crashdisk *)s;
}

/* The disk below, when the path is none of this disk's; otherwise NULL. */
static struct storage *path_below(struct crashdisk *cd, const char *path)
{
	return cd->below == NULL || trace_find_name(cd->ix->trace, path) != 0 ? NULL
									      : &cd->below->storage;
}

static struct storage *inode_below(struct crashdisk *cd, uint32_t *inode)
{
	if (cd->below == NULL || (*inode & INODE_BELOW) == 0)
		return NULL;
	*inode &= ~(uint32_t)INODE_BELOW;
	return &cd->below->storage;
}

static int cd_access(struct storage *s, const char *path_text, bool *ret_yes)
{
	struct crashdisk *cd = self(s);
	struct storage *below = path_below(cd, path_text);
	if (below != NULL)
		return below->ops->access(below, path_text, ret_yes);
	if (cd->ended)
		return -EIO;
	uint32_t path = crashdisk_path(cd, path_text);
	bool yes, no, newest;

	if (cd->run_paths[path].run == cd->run || path > cd->ix->trace->name_count) {
		uint32_t inode = crashdisk_decide_name(cd, path);
		*ret_yes = inode != 0 && crashdisk_decide_meta(cd, inode)->size > 0;
	} else if (crashdisk_has_lines(cd)) {
		*ret_yes = crashdisk_line_access(cd, path);
	} else {
		/* Where names are tied, a file may be reached by another name in a state in which
		 * this one is gone; half an answer would not say enough. */
		if (cd->ix->groups[cd->ix->group_of_name[path]].tied)
			(void)crashdisk_decide_name(cd, path);
		crashdisk_access_answers(cd, path, &yes, &no, &newest);
		if (yes && no) {
			uint32_t answer = crashdisk_ask(cd, 2, QUESTION_ACCESS, path, 0);
			*ret_yes = (answer == 0) == newest;
			crashdisk_constrain_access(cd, path, *ret_yes);
		} else {
			*ret_yes = yes;
		}
	}
	crashdisk_look_log(cd, CRASHDISK_LOOK_ACCESS, path, 0, 0);
	return 0;
}

static int cd_open(struct storage *s, const char *path_text, bool create, uint32_t *ret_inode,
		   bool *ret_created)
{
	struct crashdisk *cd = self(s);
	struct storage *below = path_below(cd, path_text);
	if (below != NULL) {
		uint32_t number;
		int rc = below->ops->open(below, path_text, create, &number, ret_created);
		if (rc == 0)
			*ret_inode = number | INODE_BELOW;
		return rc;
	}
	if (cd->ended)
		return -EIO;
	uint32_t path = crashdisk_path(cd, path_text);
	uint32_t inode = crashdisk_decide_name(cd, path);

	crashdisk_look_log(cd, CRASHDISK_LOOK_OPEN, path, 0, 0);
	*ret_created = false;
	if (inode == 0) {
		if (!create)
			return -ENOENT;
		cd->pure = false;
		inode = cd->run_inode_next++;
		struct run_path *known = &cd->run_paths[path];
		if (known->run != cd->run)
			*known = (struct run_path){.run = cd->run};
		known->inode = inode;
		known->own = true;
		crashdisk_record_op(cd,
				    (struct op){.kind = OP_CREATE, .inode = inode, .name = path});
		*ret_created = true;
	}
	crashdisk_run_inode(cd, inode)->path = path;
	*ret_inode = inode;
	return 0;
}

static int cd_read(struct storage *s, uint32_t inode, uint64_t offset, void *buf, size_t size,
		   size_t *ret_got)
{
	struct crashdisk *cd = self(s);
	struct storage *below = inode_below(cd, &inode);
	if (below != NULL)
		return below->ops->read(below, inode, offset, buf, size, ret_got);
	if (cd->ended)
		return -EIO;
	struct run_inode *ri = crashdisk_decide_meta(cd, inode);
	uint64_t ss = cd->ix->sector_size;
	size_t got = offset >= ri->size		? 0
		     : ri->size - offset < size ? (size_t)(ri->size - offset)
						: size;

	if (cd->representative)
		crashdisk_decide_together(cd, inode, ri, offset, got);
	for (size_t done = 0; done < got;) {
		uint64_t at = offset + done;
		size_t n = ss - at % ss < got - done ? (size_t)(ss - at % ss) : got - done;
		const struct run_sector *rs =
		    crashdisk_decide_sector(cd, inode, ri, (uint32_t)(at / ss));
		memcpy((uint8_t *)buf + done, rs->content + at % ss, n);
		done += n;
	}
	cd->together = 0;
	crashdisk_look_log(cd, CRASHDISK_LOOK_READ, ri->path, offset, size);
	*ret_got = got;
	return 0;
}

static void write_sectors(struct crashdisk *cd, uint32_t inode, uint64_t offset, const void *data,
			  size_t size)
{
	struct run_inode *ri = crashdisk_decide_meta(cd, inode);
	uint64_t ss = cd->ix->sector_size;

	cd->pure = false;
	if (offset + size > ri->size)
		extend(cd, inode, ri, offset + size);
	for (size_t done = 0; done < size;) {
		uint64_t at = offset + done;
		uint32_t sector = (uint32_t)(at / ss);
		size_t n = ss - at % ss < size - done ? (size_t)(ss - at % ss) : size - done;
		uint8_t *content;
		if (n == ss) {
			content = arena_alloc(&cd->arena, ss);
			set_sector(cd, ri, sector, content, 0);
		} else {
			content = own_sector(cd, inode, ri, sector);
		}
		memcpy(content + at % ss, (const uint8_t *)data + done, n);
		done += n;
	}
}

static int cd_write(struct storage *s, uint32_t inode, uint64_t offset, const void *data,
		    size_t size)
{
	struct crashdisk *cd = self(s);
	struct storage *below = inode_below(cd, &inode);

	if (below != NULL)
		return below->ops->write(below, inode, offset, data, size);
	if (cd->ended)
		return -EIO;
	if (offset + size > INDEX_FILE_SIZE_MAX)
		return -EFBIG;
	write_sectors(cd, inode, offset, data, size);
	crashdisk_record_op(
	    cd,
	    (struct op){
		.kind = OP_WRITE, .inode = inode, .offset = offset, .size = size, .data = data});
	return 0;
}

void crashdisk_cut_write(struct crashdisk *cd, const struct op *op)
{
	ASSERT_OP(op->kind, ==, OP_WRITE);
	ASSERT_OP(cd->cut_bytes, <=, op->size);
	write_sectors(cd, op->inode, op->offset, op->data, cd->cut_bytes);
	/* The crash left it so. */
	struct run_inode *ri = crashdisk_run_inode(cd, op->inode);
	ri->base_size = ri->size;
	for (uint32_t s = 0; s < ri->sector_cap; s++) {
		struct run_sector *rs = &ri->sectors[s];
		if (rs->run != cd->run)
			continue;
		rs->base_run = cd->run;
		rs->base = rs->content;
		rs->base_id = hash64(rs->content, cd->ix->sector_size, 0);
	}
}

static int cd_truncate(struct storage *s, uint32_t inode, uint64_t size)
{
	struct crashdisk *cd = self(s);
	struct storage *below = inode_below(cd, &inode);

	if (below != NULL)
		return below->ops->truncate(below, inode, size);
	if (cd->ended)
		return -EIO;
	struct run_inode *ri = crashdisk_decide_meta(cd, inode);
	uint64_t ss = cd->ix->sector_size;

	if (size > INDEX_FILE_SIZE_MAX)
		return -EFBIG;
	if (size == ri->size)
		return 0;
	cd->pure = false;
	if (size > ri->size)
		extend(cd, inode, ri, size);
	else if (cd->recording && size % ss != 0) /* the zeroed tail is a version of its own (D5) */
		(void)crashdisk_decide_sector(cd, inode, ri, (uint32_t)(size / ss));
	ri->size = size;
	crashdisk_record_op(cd, (struct op){.kind = OP_TRUNCATE, .inode = inode, .size = size});
	return 0;
}

static int cd_size(struct storage *s, uint32_t inode, uint64_t *ret_size)
{
	struct crashdisk *cd = self(s);
	struct storage *below = inode_below(cd, &inode);
	if (below != NULL)
		return below->ops->size(below, inode, ret_size);
	if (cd->ended)
		return -EIO;
	const struct run_inode *ri = crashdisk_decide_meta(cd, inode);

	*ret_size = ri->size;
	crashdisk_look_log(cd, CRASHDISK_LOOK_SIZE, ri->path, 0, 0);
	return 0;
}

/* What recovery writes is never lost, unless it is recorded for a second crash; so for the disk
 * itself a sync means nothing. */
static int cd_sync(struct storage *s, uint32_t inode, bool data_only)
{
	struct crashdisk *cd = self(s);
	struct storage *below = inode_below(cd, &inode);

	if (below != NULL)
		return below->ops->sync(below, inode, data_only);
	if (cd->ended)
		return -EIO;
	if (!cd->recording)
		return 0;
	(void)crashdisk_decide_meta(cd, inode);
	crashdisk_record_op(cd, (struct op){.kind = OP_SYNC_BEGIN,
					    .flags = data_only ? OP_SYNC_DATA : 0,
					    .inode = inode});
	crashdisk_record_op(
	    cd, (struct op){.kind = OP_SYNC_END, .inode = inode, .offset = cd->recovery_count});
	return 0;
}

static int cd_dirsync(struct storage *s, const char *directory)
{
	struct crashdisk *cd = self(s);

	if (cd->ended)
		return -EIO;
	if (!cd->recording)
		return 0;
	uint32_t name = crashdisk_path(cd, directory);
	crashdisk_record_op(cd, (struct op){.kind = OP_DIRSYNC_BEGIN, .name = name});
	crashdisk_record_op(
	    cd, (struct op){.kind = OP_DIRSYNC_END, .name = name, .offset = cd->recovery_count});
	return 0;
}

static int cd_unlink(struct storage *s, const char *path_text)
{
	struct crashdisk *cd = self(s);
	struct storage *below = path_below(cd, path_text);
	if (below != NULL)
		return below->ops->unlink(below, path_text);
	if (cd->ended)
		return -EIO;
	uint32_t path = crashdisk_path(cd, path_text);

	uint32_t inode = crashdisk_decide_name(cd, path);
	if (inode == 0)
		return -ENOENT;
	cd->pure = false;
	if (cd->recording) /* a second crash may bring it back */
		(void)crashdisk_decide_meta(cd, inode);
	cd->run_paths[path].inode = 0;
	cd->run_paths[path].own = true;
	crashdisk_record_op(cd, (struct op){.kind = OP_UNLINK, .name = path});
	return 0;
}

const struct storage_ops *crashdisk_storage_ops(void)
{
	static const struct storage_ops ops = {
	    .access = cd_access,
	    .open = cd_open,
	    .read = cd_read,
	    .write = cd_write,
	    .truncate = cd_truncate,
	    .size = cd_size,
	    .sync = cd_sync,
	    .dirsync = cd_dirsync,
	    .unlink = cd_unlink,
	    .lock = NULL,
	};

	return &ops;
}
