/* See resume.h. The file is read record by record; of each its key and its place are kept. */
#include "harness/drive/resume.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/fileio.h"
#include "harness/drive/point_result.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t header[RESUME_HEADER_SIZE] = {'p', 'p', 'r', 'e',		's',
						   'u', 'm', 'e', RESUME_FORMAT};

enum {
	SLOTS_MIN = 1024,
	RECORDS_MAX = 16 << 20,
};

struct slot {
	struct digest key;
	uint64_t offset; /* 0: empty */
	uint32_t size;
};

/* Where each record is; open addressing, power of two. */
struct table {
	struct slot *slots; /* owned */
	size_t count, cap;
};

/* What is read: a file, or memory. */
struct source {
	int fd; /* -1: memory */
	const uint8_t *data;
	uint64_t size;
};

struct resume {
	char *path; /* owned */
	int fd;
	uint64_t size;
	struct table table;
	struct buf buf;
};

static struct slot *find_slot(struct slot *slots, size_t cap, struct digest key)
{
	size_t i = (size_t)key.lo & (cap - 1);

	while (slots[i].offset != 0 && !digest_equal(slots[i].key, key))
		i = (i + 1) & (cap - 1);
	return &slots[i];
}

/* Of two records with one key the later one counts; they say the same. */
static void table_put(struct table *t, struct digest key, uint64_t offset, size_t size)
{
	if (2 * (t->count + 1) > t->cap) {
		size_t cap = t->cap == 0 ? SLOTS_MIN : 2 * t->cap;
		struct slot *slots = xcalloc(cap, sizeof *slots);
		for (size_t i = 0; i < t->cap; i++)
			if (t->slots[i].offset != 0)
				*find_slot(slots, cap, t->slots[i].key) = t->slots[i];
		free(t->slots);
		t->slots = slots;
		t->cap = cap;
	}
	struct slot *s = find_slot(t->slots, t->cap, key);
	t->count += s->offset == 0;
	*s = (struct slot){key, offset, (uint32_t)size};
}

/* ---- reading ------------------------------------------------------------------------------- */

static int read_at(const struct source *s, uint64_t offset, void *ret, size_t size, struct err *err)
{
	uint8_t *to = ret;

	if (s->fd < 0) {
		ASSERT(s->data != NULL);
		memcpy(to, s->data + offset, size);
		return 0;
	}
	while (size > 0) {
		ssize_t n = pread(s->fd, to, size, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(err, ERR_IO, "cannot be read: %s",
				       n < 0 ? strerror(errno) : "it became shorter");
		to += n;
		offset += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

static int all_zero(const struct source *s, uint64_t at, bool *ret_zero, struct err *err)
{
	uint8_t chunk[4096];
	int rc = 0;

	*ret_zero = true;
	while (at < s->size && rc == 0 && *ret_zero) {
		size_t n = s->size - at < sizeof chunk ? (size_t)(s->size - at) : sizeof chunk;
		rc = read_at(s, at, chunk, n, err);
		for (size_t i = 0; i < n && rc == 0; i++)
			*ret_zero = *ret_zero && chunk[i] == 0;
		at += n;
	}
	return rc;
}

static int damaged(uint64_t at, struct err *err)
{
	(void)err_context(err, "damaged at byte %" PRIu64, at);
	return ERR_INPUT;
}

/* Reads one record into `buf`: *ret_whole, or the file ends in it (R2). */
static int read_record(const struct source *s, uint64_t at, struct buf *buf,
		       struct point_result *result, bool *ret_whole, struct err *err)
{
	size_t size;
	int rc;

	*ret_whole = false;
	if (s->size - at < POINT_RECORD_HEADER_SIZE)
		return 0;
	buf_clear(buf);
	buf_reserve(buf, POINT_RECORD_HEADER_SIZE);
	rc = read_at(s, at, buf->data, POINT_RECORD_HEADER_SIZE, err);
	if (rc != 0)
		return rc;
	if (point_record_size(buf->data, POINT_RECORD_HEADER_SIZE, &size, err) != 0) {
		/* After a power loss the file may be longer than what was written. */
		struct err why = ERR_INIT;
		bool zero;
		rc = all_zero(s, at, &zero, &why);
		if (rc != 0)
			*err = why;
		return rc != 0 ? rc : zero ? 0 : damaged(at, err);
	}
	size = POINT_RECORD_HEADER_SIZE + (size_t)point_record_payload(buf->data);
	if (size > s->size - at)
		return 0;
	buf_reserve(buf, size);
	rc = read_at(s, at, buf->data, size, err);
	if (rc != 0)
		return rc;
	buf->size = size;
	if (point_result_decode(buf->data, size, result, err) != 0)
		return at + size == s->size ? 0 : damaged(at, err);
	*ret_whole = true;
	return 0;
}

/* Fills the table; *ret_end is where the last whole record ends. */
static int scan(const struct source *s, struct table *table, uint64_t *ret_end, struct err *err)
{
	uint64_t at = RESUME_HEADER_SIZE;
	struct point_result result;
	struct buf buf;
	int rc = 0;

	buf_init(&buf);
	point_result_init(&result);
	while (at < s->size) {
		bool whole;
		rc = read_record(s, at, &buf, &result, &whole, err);
		if (rc != 0 || !whole)
			break;
		if (table->count == RECORDS_MAX) {
			rc = err_set(err, ERR_INPUT, "more than %d crash points", RECORDS_MAX);
			break;
		}
		table_put(table, result.key, at, buf.size);
		at += buf.size;
	}
	*ret_end = at;
	point_result_release(&result);
	buf_release(&buf);
	return rc;
}

/* *ret_new: there is nothing yet but perhaps a torn header. */
static int check_header(const struct source *s, bool *ret_new, struct err *err)
{
	uint8_t bytes[RESUME_HEADER_SIZE];
	size_t n = s->size < sizeof bytes ? (size_t)s->size : sizeof bytes;
	int rc = read_at(s, 0, bytes, n, err);

	*ret_new = n < sizeof bytes;
	if (rc == 0 && memcmp(bytes, header, n < 8 ? n : 8) != 0)
		rc = err_set(err, ERR_INPUT, "not a file of --resume");
	if (rc == 0 && memcmp(bytes, header, n) != 0)
		rc = err_set(err, ERR_INPUT, "a format that this program does not read");
	return rc;
}

int resume_check(const void *data, size_t size, size_t *ret_count, uint64_t *ret_torn_bytes,
		 struct err *err)
{
	struct source s = {-1, data, size};
	struct table table = {0};
	uint64_t end = size;
	bool new;
	int rc = check_header(&s, &new, err);

	if (rc == 0 && !new)
		rc = scan(&s, &table, &end, err);
	if (rc == 0) {
		*ret_count = table.count;
		*ret_torn_bytes = size - end;
	}
	free(table.slots);
	return rc;
}

/* ---- the file ------------------------------------------------------------------------------ */

static int open_file(const char *path, struct resume *r, struct err *err)
{
	struct stat st;

	r->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
	if (r->fd < 0 || fstat(r->fd, &st) != 0)
		return err_set(err, ERR_IO, "cannot be opened: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INPUT, "not a file");
	if (flock(r->fd, LOCK_EX | LOCK_NB) != 0)
		return err_set(err, ERR_IO, "%s",
			       errno == EWOULDBLOCK ? "another command uses it" : strerror(errno));
	/* Again: it may have grown before the lock. */
	if (fstat(r->fd, &st) != 0)
		return err_set(err, ERR_IO, "cannot be read: %s", strerror(errno));
	r->size = (uint64_t)st.st_size;
	return 0;
}

static int write_at_end(struct resume *r, const void *data, size_t size, struct err *err)
{
	if (lseek(r->fd, (off_t)r->size, SEEK_SET) < 0 || fd_write_all(r->fd, data, size) != 0)
		return err_set(err, ERR_IO, "%s: cannot be written: %s", r->path, strerror(errno));
	r->size += size;
	return 0;
}

static int begin_file(struct resume *r, struct err *err)
{
	r->size = 0;
	int rc = write_at_end(r, header, sizeof header, err);

	if (rc == 0 && (fsync(r->fd) != 0 || folder_sync_of(r->path) != 0))
		rc = err_set(err, ERR_IO, "%s: cannot be synced: %s", r->path, strerror(errno));
	return rc;
}

int resume_open(const char *path, struct resume **ret_resume, uint64_t *ret_torn_bytes,
		struct err *err)
{
	struct resume *r = xcalloc(1, sizeof *r);
	uint64_t end = RESUME_HEADER_SIZE, torn = 0;
	bool new = false;
	int rc;

	r->path = xstrdup(path);
	rc = open_file(path, r, err);
	struct source s = {r->fd, NULL, r->size};
	if (rc == 0)
		rc = check_header(&s, &new, err);
	if (rc == 0 && !new)
		rc = scan(&s, &r->table, &end, err);
	if (rc != 0) {
		(void)err_context(err, "%s", path);
		goto out;
	}
	if (new) {
		rc = begin_file(r, err);
	} else if (end < r->size) {
		torn = r->size - end;
		r->size = end;
		if (ftruncate(r->fd, (off_t)end) != 0)
			rc = err_set(err, ERR_IO, "%s: its torn end cannot be cut: %s", path,
				     strerror(errno));
	}
	if (rc != 0)
		goto out;
	*ret_torn_bytes = torn;
	*ret_resume = r;
	r = NULL;
out:
	resume_close(r);
	return rc;
}

void resume_leave(struct resume *r)
{
	if (r != NULL)
		close(r->fd);
}

void resume_close(struct resume *r)
{
	if (r == NULL)
		return;
	if (r->fd >= 0) {
		(void)fdatasync(r->fd);
		close(r->fd);
	}
	free(r->table.slots);
	buf_release(&r->buf);
	free(r->path);
	free(r);
}

struct digest resume_point_key(struct digest exploration, const struct explore_point *point)
{
	struct digest key;
	struct buf b;

	buf_init(&b);
	buf_put_u64(&b, exploration.lo);
	buf_put_u64(&b, exploration.hi);
	buf_put_u64(&b, point->position);
	buf_put_u64(&b, point->cut_bytes);
	for (size_t i = 0; i < point->promise_count; i++)
		buf_put_u64(&b, point->promises[i]);
	key = hash128(b.data, b.size);
	buf_release(&b);
	return key;
}

int resume_find(struct resume *r, struct digest key, struct point_result *ret, bool *ret_found,
		struct err *err)
{
	struct source s = {r->fd, NULL, r->size};
	const struct slot *slot =
	    r->table.cap == 0 ? NULL : find_slot(r->table.slots, r->table.cap, key);
	int rc;

	*ret_found = slot != NULL && slot->offset != 0;
	if (!*ret_found)
		return 0;
	buf_clear(&r->buf);
	buf_reserve(&r->buf, slot->size);
	rc = read_at(&s, slot->offset, r->buf.data, slot->size, err);
	if (rc == 0)
		rc = point_result_decode(r->buf.data, slot->size, ret, err);
	if (rc != 0)
		(void)err_context(err, "%s", r->path);
	return rc;
}

int resume_add(struct resume *r, const struct buf *record, struct err *err)
{
	return write_at_end(r, record->data, record->size, err);
}
