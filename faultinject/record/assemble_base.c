/*
 * The two ends of assemble.c: what the files held before the first call, and what they hold after
 * the last.
 *
 * A file belongs to the base when a recorder met it as one that existed, and no call before had
 * made its name. The first recorder that met it took its content, before anybody who is recorded
 * could change it; what other processes took later is passed over.
 */
#include "faultinject/record/assemble_internal.h"

#include "faultinject/base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct base_file {
	const struct call *file; /* CALL_FILE or CALL_OPEN */
	uint8_t *data;		 /* owned; file->length bytes */
	uint64_t got;
};

struct seen_name {
	const char *path;
	UT_hash_handle hh;
};

struct base {
	struct base_file *files;
	size_t count, cap;
	struct seen_name *seen;
};

/* True the first time. */
static bool see(struct base *b, const char *path)
{
	struct seen_name *s;

	if (path == NULL)
		return false;
	HASH_FIND_STR(b->seen, path, s);
	if (s != NULL)
		return false;
	s = xcalloc(1, sizeof *s);
	s->path = path;
	HASH_ADD_KEYPTR(hh, b->seen, s->path, strlen(s->path), s);
	return true;
}

static void met(struct base *b, const struct call *c)
{
	if (!see(b, c->path) || (c->flags & CALL_EXISTED) == 0)
		return;
	uint64_t size = c->kind == CALL_FILE ? c->length : 0;

	b->files = xgrow(b->files, b->count, &b->cap, sizeof *b->files);
	b->files[b->count++] = (struct base_file){c, xcalloc(1, size == 0 ? 1 : size), 0};
}

static void content(struct base *b, const struct call *c)
{
	for (size_t i = b->count; i-- > 0;) {
		struct base_file *f = &b->files[i];

		if (f->file->dev != c->dev || f->file->ino != c->ino || f->file->pid != c->pid ||
		    f->file->kind != CALL_FILE)
			continue;
		if (c->offset > f->file->length || c->data_size > f->file->length - c->offset)
			return;
		if (c->data_size > 0)
			memcpy(f->data + c->offset, c->data, c->data_size);
		f->got += c->data_size;
		return;
	}
}

static void scan(struct base *b, const struct call_list *calls)
{
	for (size_t i = 0; i < calls->count; i++) {
		const struct call *c = &calls->items[i];

		switch (c->kind) {
		case CALL_FILE:
		case CALL_OPEN:
			met(b, c);
			break;
		case CALL_CONTENT:
			content(b, c);
			break;
		case CALL_RENAME:
		case CALL_LINK:
			(void)see(b, c->path2);
			break;
		default:
			break;
		}
	}
}

static int add(struct assembler *a, const struct base_file *f, struct err *err)
{
	const struct call *c = f->file;
	uint32_t name = trace_name(a->t, c->path);
	uint64_t size = c->kind == CALL_FILE ? c->length : 0;

	if (name == 0)
		return err_set(err, ERR_LIMIT, "'%.200s' is no name that a trace can hold",
			       c->path);
	if (f->got != size)
		return err_set(err, ERR_INPUT,
			       "%s: the recording ended before all that it held was copied",
			       c->path);
	struct known_file *known;
	const struct file_key key = {c->dev, c->ino};

	HASH_FIND(hh, a->files, &key, sizeof key, known);
	if (known != NULL) { /* another name of a file that is there already */
		trace_add_base(a->t, known->inode, name, NULL, 0);
		return 0;
	}
	uint32_t inode = trace_new_inode(a->t);

	if (inode == 0)
		return err_set(err, ERR_LIMIT, "more than %d files", TRACE_INODES_MAX);
	trace_add_base(a->t, inode, name, f->data, size);
	assembler_bind(a, c->dev, c->ino, inode);
	return 0;
}

int assemble_base(struct assembler *a, struct err *err)
{
	struct base b = {0};
	int rc = 0;

	scan(&b, a->calls);
	for (size_t i = 0; i < b.count && rc == 0; i++)
		rc = add(a, &b.files[i], err);
	for (size_t i = 0; i < b.count; i++)
		free(b.files[i].data);
	free(b.files);
	MAP_FREE(b.seen);
	return rc;
}

/* ---- what the files hold now ---- */

static char *compare_content(int fd, const uint8_t *data, uint64_t size, const char *path)
{
	uint8_t buffer[65536];
	uint64_t at = 0;

	for (;;) {
		ssize_t n = pread(fd, buffer, sizeof buffer, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return xasprintf("%s: cannot be compared: %s", path, strerror(errno));
		if (n == 0)
			break;
		for (size_t i = 0; i < (size_t)n; i++)
			if (at + i >= size || buffer[i] != data[at + i])
				return xasprintf("%s: byte %llu is not what was recorded", path,
						 (unsigned long long)at + i);
		at += (uint64_t)n;
	}
	if (at != size)
		return xasprintf("%s: has %llu bytes, recorded were %llu", path,
				 (unsigned long long)at, (unsigned long long)size);
	return NULL;
}

char *assemble_compare_file(const struct trace_image *image, uint32_t inode, const char *path)
{
	struct stat st;
	char *why;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);

	if (fd < 0 && errno == ENOENT)
		return inode == 0
			   ? NULL
			   : xasprintf("%s: was removed by something that is not recorded", path);
	if (fd < 0)
		return xasprintf("%s: cannot be compared: %s", path, strerror(errno));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		/* A folder is a name of the trace, too, once it was synced. */
		why = inode == 0 ? NULL : xasprintf("%s: is no file any more", path);
	} else if (inode == 0) {
		why = xasprintf("%s: was made by something that is not recorded", path);
	} else {
		uint64_t size;
		const uint8_t *data = trace_image_inode(image, inode, &size);

		why = compare_content(fd, data, size, path);
	}
	(void)close(fd);
	return why;
}
