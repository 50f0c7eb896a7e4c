/*
 * The writer's half of log.h: makes, maps and appends. log_table.c has the tables of the header.
 *
 * It runs inside programs that we do not know, so it uses raw system calls only: the recorder has
 * functions of its own behind the names of the C library's. It takes no lock and allocates nothing.
 *
 * Stores into a record are ordered for who looks at the file when the process is dead: tag, size,
 * content, state. A process that is killed has made all stores up to some point of its program, so
 * keeping the compiler from moving them is enough; where another process reads while this one
 * writes (the tables), release and acquire say so.
 */
#include "faultinject/record/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mman.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum { TICK_PAUSES_MAX = 100 }; /* of 0.5 ms; a tick of the kernel's clock is 10 ms at most */

static uint64_t round_up(uint64_t v, uint64_t step)
{
	return (v + step - 1) / step * step;
}

static int raw_open(const char *path, int flags)
{
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC | O_NOCTTY, 0600);
}

/* ---- mapping ---- */

/* 0 or minus errno. On success l->map is set. */
static int map_file(struct reclog *l, int fd)
{
	long at = syscall(SYS_mmap, NULL, RECLOG_SIZE_MAX, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_NORESERVE, fd, 0);

	if (at == -1)
		return -errno;
	l->map = (uint8_t *)at;
	return 0;
}

static int set_path(struct reclog *l, const char *path)
{
	size_t size = strlen(path) + 1;

	if (size > sizeof l->path)
		return -ENAMETOOLONG;
	memset(l, 0, sizeof *l);
	memcpy(l->path, path, size);
	return 0;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now = {0};

	(void)syscall(SYS_clock_gettime, clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Waits until files that are written have a later time than all that were written before, and
 * returns that time. A clock that is set back meanwhile is not waited for. */
static uint64_t next_tick_ns(void)
{
	const struct timespec pause = {0, 500000};
	uint64_t before = clock_ns(CLOCK_REALTIME), now = clock_ns(CLOCK_REALTIME_COARSE);

	for (int i = 0; i < TICK_PAUSES_MAX && now <= before; i++) {
		(void)syscall(SYS_nanosleep, &pause, NULL);
		now = clock_ns(CLOCK_REALTIME_COARSE);
	}
	return now;
}

int reclog_create(struct reclog *l, const char *path, uint32_t flags)
{
	struct reclog_header *h;
	int rc = set_path(l, path), fd, saved = errno;

	if (rc != 0)
		return rc;
	fd = raw_open(path, O_RDWR | O_CREAT | O_EXCL);
	if (fd < 0) {
		rc = -errno;
		errno = saved;
		return rc;
	}
	if (syscall(SYS_ftruncate, fd, (off_t)RECLOG_SIZE_MAX) != 0)
		rc = -errno;
	if (rc == 0)
		rc = map_file(l, fd);
	(void)syscall(SYS_close, fd);
	if (rc == 0 && syscall(SYS_madvise, l->map, RECLOG_START, MADV_POPULATE_WRITE) != 0 &&
	    errno != EINVAL)
		rc = errno == EFAULT ? -ENOSPC : -errno;
	if (rc != 0) {
		(void)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
		reclog_detach(l);
		errno = saved;
		return rc;
	}
	h = reclog_header(l);
	h->format = RECLOG_FORMAT;
	h->flags = flags;
	h->tail = RECLOG_START;
	h->started_ns = next_tick_ns();
	__atomic_store_n(&h->magic, RECLOG_MAGIC, __ATOMIC_RELEASE);
	errno = saved;
	return 0;
}

int reclog_attach(struct reclog *l, const char *path)
{
	struct reclog_header *h;
	int rc = set_path(l, path), fd, saved = errno;

	if (rc != 0)
		return rc;
	fd = raw_open(path, O_RDWR);
	if (fd < 0)
		rc = -errno;
	/* A shorter file is none, and touching what is not there would be a SIGBUS. */
	if (rc == 0 && syscall(SYS_lseek, fd, 0, SEEK_END) != (long)RECLOG_SIZE_MAX)
		rc = -EINVAL;
	if (rc == 0)
		rc = map_file(l, fd);
	if (fd >= 0)
		(void)syscall(SYS_close, fd);
	h = reclog_header(l);
	if (rc == 0 && (__atomic_load_n(&h->magic, __ATOMIC_ACQUIRE) != RECLOG_MAGIC ||
			h->format != RECLOG_FORMAT)) {
		reclog_detach(l);
		rc = -EINVAL;
	}
	errno = saved;
	return rc;
}

void reclog_detach(struct reclog *l)
{
	if (l->map != NULL)
		(void)syscall(SYS_munmap, l->map, RECLOG_SIZE_MAX);
	memset(l, 0, sizeof *l);
}

/* ---- room ---- */

/* For kernels before 5.14. */
static bool allocate_step(const struct reclog *l, uint64_t begin)
{
	int fd = raw_open(l->path, O_RDWR);
	bool ok;

	if (fd < 0)
		return false;
	ok = syscall(SYS_fallocate, fd, 0, (off_t)begin, (off_t)RECLOG_STEP) == 0;
	(void)syscall(SYS_close, fd);
	return ok;
}

static bool populate_step(const struct reclog *l, uint64_t begin)
{
	for (;;) {
		if (syscall(SYS_madvise, l->map + begin, RECLOG_STEP, MADV_POPULATE_WRITE) == 0)
			return true;
		if (errno == EINVAL)
			return allocate_step(l, begin);
		if (errno != EINTR && errno != EAGAIN)
			return false;
	}
}

/* Makes sure that storing into begin..end raises no signal. */
static bool have_room(struct reclog *l, uint64_t begin, uint64_t end)
{
	for (uint64_t step = begin / RECLOG_STEP; step <= (end - 1) / RECLOG_STEP; step++) {
		uint8_t *byte = &l->populated[step / 8];
		const uint8_t bit = (uint8_t)(1u << step % 8);

		if ((__atomic_load_n(byte, __ATOMIC_RELAXED) & bit) != 0)
			continue;
		if (!populate_step(l, step * RECLOG_STEP))
			return false;
		(void)__atomic_fetch_or(byte, bit, __ATOMIC_RELAXED);
	}
	return true;
}

void reclog_prepare(struct reclog *l, uint64_t ahead)
{
	uint64_t tail = __atomic_load_n(&reclog_header(l)->tail, __ATOMIC_RELAXED);
	int saved = errno;

	if (ahead > 0 && tail < RECLOG_SIZE_MAX && ahead <= RECLOG_SIZE_MAX - tail)
		(void)have_room(l, tail, tail + ahead);
	errno = saved;
}

/* ---- records ---- */

uint64_t reclog_append_pieces(struct reclog *l, const struct reclog_entry *e,
			      const struct iovec *pieces, int piece_count)
{
	struct reclog_header *h = reclog_header(l);
	struct reclog_record head = e->head, *r;
	uint64_t at, size;
	uint8_t *to;
	int saved = errno;

	if ((__atomic_load_n(&h->trouble, __ATOMIC_RELAXED) & RECLOG_FULL) != 0)
		return 0;
	head.path_size = e->path == NULL ? 0 : (uint32_t)strlen(e->path) + 1;
	head.path2_size = e->path2 == NULL ? 0 : (uint32_t)strlen(e->path2) + 1;
	head.data_size = 0;
	for (int i = 0; i < piece_count; i++)
		head.data_size += pieces[i].iov_len;
	size = round_up(sizeof head + head.path_size + head.path2_size + head.data_size, 8);

	at = size > UINT32_MAX ? RECLOG_SIZE_MAX
			       : __atomic_fetch_add(&h->tail, size, __ATOMIC_RELAXED);
	if (at > RECLOG_SIZE_MAX - size || !have_room(l, at, at + size)) {
		(void)__atomic_fetch_or(&h->trouble, (uint32_t)RECLOG_FULL, __ATOMIC_RELAXED);
		errno = saved;
		return 0;
	}
	errno = saved;

	if (head.pid == 0)
		head.pid = (uint32_t)syscall(SYS_getpid);
	if (head.tid == 0)
		head.tid = (uint32_t)syscall(SYS_gettid);
	head.tag = RECLOG_TAG ^ at;
	head.size = (uint32_t)size;
	head.state = 0;
	r = (struct reclog_record *)(l->map + at);
	__atomic_store_n(&r->tag, head.tag, __ATOMIC_RELAXED);
	__atomic_store_n(&r->size, head.size, __ATOMIC_RELEASE);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	*r = head;
	to = (uint8_t *)(r + 1);
	if (head.path_size != 0)
		to = (uint8_t *)memcpy(to, e->path, head.path_size) + head.path_size;
	if (head.path2_size != 0)
		to = (uint8_t *)memcpy(to, e->path2, head.path2_size) + head.path2_size;
	for (int i = 0; i < piece_count; i++) {
		if (pieces[i].iov_len == 0)
			continue;
		to = (uint8_t *)memcpy(to, pieces[i].iov_base, pieces[i].iov_len) +
		     pieces[i].iov_len;
	}
	__atomic_store_n(&r->state, (uint32_t)RECLOG_WHOLE, __ATOMIC_RELEASE);
	return at;
}

uint64_t reclog_append(struct reclog *l, const struct reclog_entry *e)
{
	const struct iovec piece = {(void *)(uintptr_t)e->data, e->data_size};

	return reclog_append_pieces(l, e, &piece, e->data_size == 0 ? 0 : 1);
}

/* A loop that runs one statement a thousand times in a transaction would otherwise fill the log
 * with it, at no moment that any crash could tell from the first. */
static bool is_said(const struct reclog *l, const struct reclog_said *last, uint64_t connection,
		    const char *sql, size_t size)
{
	const struct reclog_header *h = reclog_header(l);
	const uint8_t *said = l->map + last->at + sizeof(struct reclog_record);

	return last->at != 0 && last->connection == connection && last->size == size &&
	       __atomic_load_n(&h->tail, __ATOMIC_RELAXED) ==
		   last->at + round_up(sizeof(struct reclog_record) + size, 8) &&
	       memcmp(said, sql, size) == 0;
}

void reclog_append_statement(struct reclog *l, struct reclog_said *last, uint32_t pid, uint32_t tid,
			     uint64_t connection, const char *sql)
{
	struct reclog_entry e = {.head = {.type = RECLOG_STATEMENT,
					  .moment = RECLOG_ONCE,
					  .pid = pid,
					  .tid = tid,
					  .offset = connection},
				 .data = sql,
				 .data_size = strnlen(sql, RECLOG_SQL_MAX)};

	if (is_said(l, last, connection, sql, e.data_size))
		return;
	*last = (struct reclog_said){reclog_append(l, &e), connection, e.data_size};
}
