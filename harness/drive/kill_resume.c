/* See kill_resume.h. The file is read whole when it is opened: a round takes about 120 bytes. */
#include "harness/drive/kill_resume.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/fileio.h"
#include "harness/drive/kill_case.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum {
	HEADER_SIZE = 16,
	RECORD_HEADER_SIZE = 32,
	FILE_SIZE_MAX = 1 << 30,
	READ_SIZE = 1 << 16,
};

static const uint8_t header[HEADER_SIZE] = {
    'p', 'p', 'k', 'i', 'l', 'l', 's', 0, KILL_RESUME_FORMAT};

struct kill_resume {
	char *path; /* owned */
	int fd;
	struct buf data; /* the file */
};

static uint32_t get_u32(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
	       (uint32_t)at[3] << 24;
}

static uint64_t get_u64(const uint8_t *at)
{
	return (uint64_t)get_u32(at) | (uint64_t)get_u32(at + 4) << 32;
}

/* Of key and payload. */
static uint64_t record_hash(const uint8_t *key, const uint8_t *payload, size_t size)
{
	return hash64(payload, size, hash64(key, 16, 0));
}

enum record_state { RECORD_WHOLE, RECORD_CUT, RECORD_DAMAGED };

static bool all_zero(const uint8_t *at, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (at[i] != 0)
			return false;
	return true;
}

static enum record_state look_at(const struct buf *b, size_t at, size_t *ret_size)
{
	size_t left = b->size - at;
	const uint8_t *p = b->data + at;

	if (left < RECORD_HEADER_SIZE)
		return RECORD_CUT;
	size_t size = get_u32(p);

	/* After a power loss the file may be longer than what was written. */
	if (size == 0 || size > KILL_RESUME_RECORD_MAX || get_u32(p + 4) != 0)
		return all_zero(p, left) ? RECORD_CUT : RECORD_DAMAGED;
	if (left - RECORD_HEADER_SIZE < size)
		return RECORD_CUT;
	*ret_size = RECORD_HEADER_SIZE + size;
	if (record_hash(p + 8, p + RECORD_HEADER_SIZE, size) == get_u64(p + 24))
		return RECORD_WHOLE;
	return *ret_size == left ? RECORD_CUT : RECORD_DAMAGED;
}

static int read_all(struct kill_resume *r, struct err *err)
{
	ssize_t n = 1;

	while (n != 0) {
		buf_reserve(&r->data, READ_SIZE);
		n = read(r->fd, r->data.data + r->data.size, READ_SIZE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, ERR_IO, "cannot be read: %s", strerror(errno));
		r->data.size += (size_t)n;
		if (r->data.size > FILE_SIZE_MAX)
			return err_set(err, ERR_INPUT, "has more than %d bytes", FILE_SIZE_MAX);
	}
	return 0;
}

static int check_header(const struct buf *b, struct err *err)
{
	if (memcmp(b->data, header, 8) != 0)
		return err_set(err, ERR_INPUT, "is no file of `plugpull kill --resume`");
	if (memcmp(b->data, header, HEADER_SIZE) != 0)
		return err_set(err, ERR_INPUT, "has format %" PRIu32 ", and %d is known",
			       get_u32(b->data + 8), KILL_RESUME_FORMAT);
	return 0;
}

/* *ret_end: where the last whole record ends. */
static int check_records(const struct buf *b, size_t *ret_end, struct err *err)
{
	size_t at = HEADER_SIZE, size = 0;

	while (at < b->size) {
		enum record_state state = look_at(b, at, &size);

		if (state == RECORD_DAMAGED)
			return err_set(err, ERR_INPUT, "is damaged at byte %zu", at);
		if (state == RECORD_CUT)
			break;
		at += size;
	}
	*ret_end = at;
	return 0;
}

/* Makes the file what it is to be: a header, and whole records. */
static int repair(struct kill_resume *r, size_t end, uint64_t *ret_torn, struct err *err)
{
	*ret_torn = r->data.size - end;
	r->data.size = end;
	if (ftruncate(r->fd, (off_t)end) != 0 || lseek(r->fd, (off_t)end, SEEK_SET) < 0)
		return err_set(err, ERR_IO, "cannot be cut: %s", strerror(errno));
	if (end > 0)
		return 0;
	buf_append(&r->data, header, HEADER_SIZE);
	if (fd_write_all(r->fd, header, HEADER_SIZE) != 0)
		return err_set(err, ERR_IO, "cannot be written: %s", strerror(errno));
	return 0;
}

int kill_resume_open(const char *path, struct kill_resume **ret, uint64_t *ret_torn_bytes,
		     struct err *err)
{
	struct kill_resume *r = xcalloc(1, sizeof *r);
	size_t end = 0;
	int rc = 0;

	r->path = xstrdup(path);
	r->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (r->fd < 0)
		rc = err_set(err, ERR_IO, "cannot be opened: %s", strerror(errno));
	else if (flock(r->fd, LOCK_EX | LOCK_NB) != 0)
		rc = err_set(err, ERR_IO, "is in use by another command");
	if (rc == 0)
		rc = read_all(r, err);
	/* Less than a header is a file that was being made. */
	if (rc == 0 && r->data.size >= HEADER_SIZE) {
		rc = check_header(&r->data, err);
		if (rc == 0)
			rc = check_records(&r->data, &end, err);
	} else if (rc == 0 && r->data.size > 0 && memcmp(r->data.data, header, r->data.size) != 0) {
		rc = err_set(err, ERR_INPUT, "is no file of `plugpull kill --resume`");
	}
	if (rc == 0)
		rc = repair(r, end, ret_torn_bytes, err);
	if (rc != 0) {
		(void)err_context(err, "%s", path);
		kill_resume_leave(r);
		return rc;
	}
	*ret = r;
	return 0;
}

void kill_resume_leave(struct kill_resume *r)
{
	if (r == NULL)
		return;
	if (r->fd >= 0)
		(void)close(r->fd);
	buf_release(&r->data);
	free(r->path);
	free(r);
}

void kill_resume_close(struct kill_resume *r)
{
	if (r != NULL)
		(void)fsync(r->fd);
	kill_resume_leave(r);
}

int kill_resume_each(struct kill_resume *r, struct digest key,
		     void (*each)(void *ctx, const struct kill_score *score), void *ctx,
		     struct err *err)
{
	size_t at = HEADER_SIZE, size = 0;

	for (; at < r->data.size && look_at(&r->data, at, &size) == RECORD_WHOLE; at += size) {
		const uint8_t *p = r->data.data + at;
		struct kill_score score;

		if (get_u64(p + 8) != key.lo || get_u64(p + 16) != key.hi)
			continue;
		if (kill_score_decode(p + RECORD_HEADER_SIZE, size - RECORD_HEADER_SIZE, &score,
				      err) != 0) {
			(void)err_context(err, "%s: the record at byte %zu", r->path, at);
			return err->code;
		}
		each(ctx, &score);
		kill_score_release(&score);
	}
	return 0;
}

int kill_resume_add(struct kill_resume *r, struct digest key, const struct kill_score *score,
		    struct err *err)
{
	struct buf payload, record;
	int rc = 0;

	buf_init(&payload);
	buf_init(&record);
	kill_score_encode(score, &payload);
	buf_put_u32(&record, (uint32_t)payload.size);
	buf_put_u32(&record, 0);
	buf_put_u64(&record, key.lo);
	buf_put_u64(&record, key.hi);
	buf_put_u64(&record, record_hash(record.data + 8, payload.data, payload.size));
	buf_append(&record, payload.data, payload.size);
	if (fd_write_all(r->fd, record.data, record.size) != 0)
		rc = err_set(err, ERR_IO, "%s: cannot be written: %s", r->path, strerror(errno));
	buf_release(&payload);
	buf_release(&record);
	return rc;
}
