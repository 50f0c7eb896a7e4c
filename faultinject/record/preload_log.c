/*
 * A call in the log. See preload.h; the order of records is log.h's.
 */
#include "faultinject/record/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOMENT_BEFORE = 1, MOMENT_AFTER, MOMENT_INSIDE };

static uint64_t append(struct reclog_entry *e, const struct iovec *pieces, int piece_count)
{
	const struct preload_self who = preload_who();

	e->head.pid = who.pid;
	e->head.tid = who.tid;
	return reclog_append_pieces(&preload_log, e, pieces, piece_count);
}

void preload_once(struct reclog_entry *e)
{
	const struct iovec piece = {(void *)(uintptr_t)e->data, e->data_size};

	e->head.moment = RECLOG_ONCE;
	(void)append(e, &piece, e->data_size == 0 ? 0 : 1);
}

void preload_trouble(const char *what, const char *path)
{
	const struct iovec pieces[3] = {{(void *)(uintptr_t)what, strlen(what)},
					{(void *)(uintptr_t) ": ", 2},
					{(void *)(uintptr_t)path, strlen(path)}};
	struct reclog_entry e = {.head = {.type = RECLOG_TROUBLE, .moment = RECLOG_ONCE}};

	(void)append(&e, pieces, path[0] == '\0' ? 1 : 3);
}

/* ---- output and marks ---- */

#define MARKS_TRUNCATED	 "$PLUGPULL_MARK was truncated: append to it"
#define OUTPUT_TRUNCATED "the file of the program's output was truncated"

/* Notes that the file has grown, or has become shorter; of the processes that see it, one does. */
static void look_at(const char *path, uint64_t *seen, uint8_t type)
{
	struct reclog_entry e = {.head = {.type = type}};
	uint64_t before = __atomic_load_n(seen, __ATOMIC_ACQUIRE), now;
	struct stat st;

	if (path[0] == '\0' || raw_stat(AT_FDCWD, path, 0, &st) != 0)
		return;
	now = (uint64_t)st.st_size;
	if (now < before) {
		if (__atomic_compare_exchange_n(seen, &before, now, false, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
			preload_trouble(type == RECLOG_MARK ? MARKS_TRUNCATED : OUTPUT_TRUNCATED,
					"");
		return;
	}
	while (now > before) {
		if (__atomic_compare_exchange_n(seen, &before, now, false, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE)) {
			e.head.offset = before;
			e.head.length = now;
			preload_once(&e);
			return;
		}
	}
}

void preload_look(void)
{
	struct reclog_header *h = reclog_header(&preload_log);
	uint32_t flags = __atomic_load_n(&h->flags, __ATOMIC_RELAXED);

	if ((flags & (RECLOG_WATCH_MARKS | RECLOG_WATCH_OUTPUT)) == 0)
		return;
	if ((flags & RECLOG_WATCH_MARKS) != 0)
		look_at(h->mark_path, &h->marks_seen, RECLOG_MARK);
	if ((flags & RECLOG_WATCH_OUTPUT) != 0)
		look_at(h->output_path, &h->output_seen, RECLOG_OUTPUT);
}

/* Which file a path of the header led to when this process asked first. */
struct identity {
	uint64_t dev;
	uint64_t ino; /* atomic, stored last; 0: nobody asked yet */
};

static bool is_same(struct identity *i, const char *path, const struct stat *st)
{
	struct stat of;

	if (path[0] == '\0')
		return false;
	if (__atomic_load_n(&i->ino, __ATOMIC_ACQUIRE) == 0) {
		if (raw_stat(AT_FDCWD, path, 0, &of) != 0)
			return false;
		__atomic_store_n(&i->dev, of.st_dev, __ATOMIC_RELAXED);
		__atomic_store_n(&i->ino, of.st_ino, __ATOMIC_RELEASE);
	}
	return __atomic_load_n(&i->ino, __ATOMIC_RELAXED) == st->st_ino &&
	       __atomic_load_n(&i->dev, __ATOMIC_RELAXED) == st->st_dev;
}

const char *preload_watched(const struct stat *st, bool truncates)
{
	static struct identity marks, output;
	struct reclog_header *h = reclog_header(&preload_log);
	const char *trouble = NULL;

	if (is_same(&marks, h->mark_path, st)) {
		(void)__atomic_fetch_or(&h->flags, (uint32_t)RECLOG_WATCH_MARKS, __ATOMIC_RELAXED);
		trouble = MARKS_TRUNCATED;
	} else if (is_same(&output, h->output_path, st)) {
		trouble = OUTPUT_TRUNCATED;
	}
	return truncates && st->st_size > 0 ? trouble : NULL;
}

/* ---- effective calls ---- */

static void die(void)
{
	(void)syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
	for (;;)
		(void)syscall(SYS_sched_yield); /* until the signal has arrived */
}

struct preload_call preload_begin_pieces(struct reclog_entry *e, const struct iovec *pieces,
					 int piece_count)
{
	struct reclog_header *h = reclog_header(&preload_log);
	struct preload_call c = {.type = e->head.type};
	bool sync = c.type == RECLOG_SYNC || c.type == RECLOG_DIRSYNC || c.type == RECLOG_SYNC_ALL;
	uint32_t moment = __atomic_load_n(&h->kill_moment, __ATOMIC_RELAXED);
	uint64_t sync_number = 0;

	preload_look();
	c.number = __atomic_add_fetch(&h->call_count, 1, __ATOMIC_RELAXED);
	if (sync)
		sync_number = __atomic_add_fetch(&h->sync_count, 1, __ATOMIC_RELAXED);
	if (moment == MOMENT_BEFORE && c.number == h->kill_number)
		die();
	if (c.type != RECLOG_LOCK && c.type != RECLOG_UNLOCK) {
		e->head.moment = RECLOG_BEGIN;
		c.begin = append(e, pieces, piece_count);
	}
	if (moment == MOMENT_INSIDE && sync && sync_number == h->kill_number)
		die();
	return c;
}

struct preload_call preload_begin(struct reclog_entry *e)
{
	const struct iovec piece = {(void *)(uintptr_t)e->data, e->data_size};

	return preload_begin_pieces(e, &piece, e->data_size == 0 ? 0 : 1);
}

void preload_end(struct preload_call c, struct reclog_entry *e, int64_t result)
{
	struct reclog_header *h = reclog_header(&preload_log);
	struct reclog_entry nothing_more = {0};

	if (e == NULL)
		e = &nothing_more;
	if (c.begin != 0) {
		const struct iovec piece = {(void *)(uintptr_t)e->data, e->data_size};

		e->head.type = c.type;
		e->head.moment = RECLOG_END;
		e->head.begin = c.begin;
		e->head.result = result == -1 ? -errno : result;
		(void)append(e, &piece, e->data_size == 0 ? 0 : 1);
	}
	if (__atomic_load_n(&h->kill_moment, __ATOMIC_RELAXED) == MOMENT_AFTER &&
	    c.number == h->kill_number)
		die();
}
