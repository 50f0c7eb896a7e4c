/*
 * See disk_calls.h. Arguments of a record, behind kind and result:
 *
 *     BEGIN                    the calls of another disk follow
 *     ACCESS, OPEN, UNLINK     create (1), size of the path (8), path
 *     DIRSYNC                  the same, of a folder
 *     READ                     inode (4), offset (8), size (8)
 *     WRITE                    the same, and the data
 *     TRUNCATE, SIZE, SYNC     inode (4), size (8), data only (1)
 *     OVER                     there were more than DISK_CALLS_BYTES_MAX
 */
#include "harness/drive/disk_calls.h"

#include "harness/drive/kill_bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum call {
	BEGIN = 1,
	ACCESS,
	OPEN,
	READ,
	WRITE,
	TRUNCATE,
	SIZE,
	SYNC,
	DIRSYNC,
	UNLINK,
	OVER,
};

/* ---- in the child -------------------------------------------------------------------------- */

/* struct storage has no room for more than the disk, and there is one recovery in a process. */
static struct {
	const struct storage_ops *ops; /* of the disk */
	struct storage *storage;
	void (*send)(void *ctx, const void *data, size_t size);
	void *ctx;
	size_t sent;
	bool is_over;
} tap;

static void send(struct buf *b)
{
	if (!tap.is_over && tap.sent + b->size > DISK_CALLS_BYTES_MAX) {
		tap.is_over = true;
		buf_clear(b);
		buf_put_u8(b, OVER);
		tap.send(tap.ctx, b->data, b->size);
	} else if (!tap.is_over) {
		tap.send(tap.ctx, b->data, b->size);
		tap.sent += b->size;
	}
	buf_release(b);
}

static struct buf begin(enum call kind, int result)
{
	struct buf b;

	buf_init(&b);
	buf_put_u8(&b, (uint8_t)kind);
	buf_put_u32(&b, (uint32_t)result);
	return b;
}

static int send_path(enum call kind, int result, const char *path, bool create)
{
	struct buf b = begin(kind, result);

	buf_put_u8(&b, create);
	buf_put_u64(&b, strlen(path));
	buf_append(&b, path, strlen(path));
	send(&b);
	return result;
}

static int send_size(enum call kind, int result, uint32_t inode, uint64_t size, bool data_only)
{
	struct buf b = begin(kind, result);

	buf_put_u32(&b, inode);
	buf_put_u64(&b, size);
	buf_put_u8(&b, data_only);
	send(&b);
	return result;
}

static int send_bytes(enum call kind, int result, uint32_t inode, uint64_t offset, const void *data,
		      size_t size)
{
	struct buf b = begin(kind, result);

	buf_put_u32(&b, inode);
	buf_put_u64(&b, offset);
	buf_put_u64(&b, size);
	if (data != NULL)
		buf_append(&b, data, size);
	send(&b);
	return result;
}

static int tapped_access(struct storage *s, const char *path, bool *ret_yes)
{
	return send_path(ACCESS, tap.ops->access(s, path, ret_yes), path, false);
}

static int tapped_open(struct storage *s, const char *path, bool create, uint32_t *ret_inode,
		       bool *ret_created)
{
	return send_path(OPEN, tap.ops->open(s, path, create, ret_inode, ret_created), path,
			 create);
}

static int tapped_read(struct storage *s, uint32_t inode, uint64_t offset, void *buf, size_t size,
		       size_t *ret_got)
{
	return send_bytes(READ, tap.ops->read(s, inode, offset, buf, size, ret_got), inode, offset,
			  NULL, size);
}

static int tapped_write(struct storage *s, uint32_t inode, uint64_t offset, const void *data,
			size_t size)
{
	return send_bytes(WRITE, tap.ops->write(s, inode, offset, data, size), inode, offset, data,
			  size);
}

static int tapped_truncate(struct storage *s, uint32_t inode, uint64_t size)
{
	return send_size(TRUNCATE, tap.ops->truncate(s, inode, size), inode, size, false);
}

static int tapped_size(struct storage *s, uint32_t inode, uint64_t *ret_size)
{
	return send_size(SIZE, tap.ops->size(s, inode, ret_size), inode, 0, false);
}

static int tapped_sync(struct storage *s, uint32_t inode, bool data_only)
{
	return send_size(SYNC, tap.ops->sync(s, inode, data_only), inode, 0, data_only);
}

static int tapped_dirsync(struct storage *s, const char *directory)
{
	return send_path(DIRSYNC, tap.ops->dirsync(s, directory), directory, false);
}

static int tapped_unlink(struct storage *s, const char *path)
{
	return send_path(UNLINK, tap.ops->unlink(s, path), path, false);
}

void disk_calls_tap(struct storage *s, void (*send_to)(void *ctx, const void *data, size_t size),
		    void *ctx)
{
	static const struct storage_ops ops = {
	    .access = tapped_access,
	    .open = tapped_open,
	    .read = tapped_read,
	    .write = tapped_write,
	    .truncate = tapped_truncate,
	    .size = tapped_size,
	    .sync = tapped_sync,
	    .dirsync = tapped_dirsync,
	    .unlink = tapped_unlink,
	    .lock = NULL, /* an undecided disk keeps no record of locks */
	};
	struct buf b;

	if (tap.storage != NULL)
		tap.storage->ops = tap.ops;
	tap.ops = s->ops;
	tap.storage = s;
	tap.send = send_to;
	tap.ctx = ctx;
	s->ops = &ops;
	b = begin(BEGIN, 0);
	send(&b);
}

/* ---- in the parent ------------------------------------------------------------------------- */

/* What a record says. */
struct said {
	enum call kind;
	int result;
	bool flag;
	uint32_t inode;
	uint64_t offset, size;
	const uint8_t *data;
};

/* The record at r->at. False: there is none, or it is cut. */
static bool take(struct disk_calls_reader *r, struct said *ret)
{
	struct kill_reader k = {r->calls->bytes.data + r->at, r->calls->bytes.size - r->at, false};
	size_t path_size;

	if (k.left == 0)
		return false;
	*ret = (struct said){.kind = (enum call)kill_take_u8(&k)};
	if (ret->kind == OVER)
		return true;
	ret->result = (int)kill_take_u32(&k);
	switch (ret->kind) {
	case ACCESS:
	case OPEN:
	case DIRSYNC:
	case UNLINK:
		ret->flag = kill_take_u8(&k) != 0;
		path_size = kill_take_count(&k, 1);
		free(r->path);
		r->path = xcalloc(path_size + 1, 1);
		kill_take(&k, r->path, path_size);
		break;
	case READ:
	case WRITE:
		ret->inode = kill_take_u32(&k);
		ret->offset = kill_take_u64(&k);
		ret->size = kill_take_u64(&k);
		if (ret->kind == READ)
			break;
		ret->data = k.at;
		k.cut = k.cut || k.left < ret->size;
		if (!k.cut) {
			k.at += ret->size;
			k.left -= ret->size;
		}
		break;
	case TRUNCATE:
	case SIZE:
	case SYNC:
		ret->inode = kill_take_u32(&k);
		ret->size = kill_take_u64(&k);
		ret->flag = kill_take_u8(&k) != 0;
		break;
	case BEGIN:
	case OVER:
	default:
		break;
	}
	if (k.cut)
		return false;
	r->at = r->calls->bytes.size - k.left;
	return true;
}

static int call_again(const struct disk_calls_reader *r, const struct said *c, struct storage *s)
{
	uint32_t inode;
	uint64_t size;
	size_t got;
	bool yes;

	switch (c->kind) {
	case ACCESS:
		return s->ops->access(s, r->path, &yes);
	case OPEN:
		return s->ops->open(s, r->path, c->flag, &inode, &yes);
	case UNLINK:
		return s->ops->unlink(s, r->path);
	case DIRSYNC:
		return s->ops->dirsync(s, r->path);
	case READ: {
		uint8_t *buf = xmalloc(c->size + 1);
		int code = s->ops->read(s, c->inode, c->offset, buf, c->size, &got);

		free(buf);
		return code;
	}
	case WRITE:
		return s->ops->write(s, c->inode, c->offset, c->data, c->size);
	case TRUNCATE:
		return s->ops->truncate(s, c->inode, c->size);
	case SIZE:
		return s->ops->size(s, c->inode, &size);
	case SYNC:
		return s->ops->sync(s, c->inode, c->flag);
	case BEGIN:
	case OVER:
	default:
		return -EINVAL;
	}
}

bool disk_calls_more(const struct disk_calls_reader *r)
{
	return r->at < r->calls->bytes.size;
}

int disk_calls_repeat(struct disk_calls_reader *r, struct storage *s,
		      void (*named)(void *ctx, const char *path), void *ctx, struct err *err)
{
	bool begun = false;
	struct said c;

	for (;;) {
		size_t before = r->at;

		if (!take(r, &c)) {
			r->at = r->calls->bytes.size;
			return 0;
		}
		if (c.kind == OVER)
			return err_set(err, ERR_LIMIT,
				       "the recovery did more to the files than the %zu MiB that "
				       "are kept",
				       DISK_CALLS_BYTES_MAX >> 20);
		if (c.kind == BEGIN && begun) {
			r->at = before;
			return 0;
		}
		if (c.kind == BEGIN) {
			begun = true;
			continue;
		}
		/* Nothing but a machine that has died answers so: the recovery was interrupted, and
		 * only its connection was closed. */
		if (c.result == -EIO)
			continue;
		if (call_again(r, &c, s) != c.result)
			return err_set(err, ERR_HARNESS,
				       "a recovery was not the same again, call %d at byte %zu",
				       (int)c.kind, before);
		if (named != NULL && c.kind == OPEN)
			named(ctx, r->path);
	}
}

void disk_calls_reader_release(struct disk_calls_reader *r)
{
	free(r->path);
	r->path = NULL;
}
