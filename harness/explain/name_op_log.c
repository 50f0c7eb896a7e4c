/*
 * Write-ahead logs in words, and which of their frames count.
 *
 * A commit is seen when its frame is all there and the checksums of all frames since the last
 * commit hold, as they must for SQLite. SQLite writes the header of a frame and then its page. When
 * it has written a page in place that it had written in the same transaction before (the cache was
 * small), frames have zeros for salts and checksums from there on, until the commit: then all of
 * these headers are written again (wal.c, walEncodeFrame() and walRewriteChecksums()).
 */
#include "harness/explain/name_op_internal.h"

#include "faultinject/base/assert.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	FIND_MAX = 1024, /* frames that a checkpoint's write is compared with */
};

enum frame_part {
	FRAME_ALL,
	FRAME_HEADER,
	FRAME_CONTENT,
	FRAME_SOME,
};

void log_release(struct name_log *l)
{
	free(l->pages);
	free(l->frame_of);
}

void log_cleared(struct name_database *d)
{
	struct name_log *l = &d->log;

	for (uint32_t i = 0; i < l->committed; i++) {
		if (l->pages[i] < l->frame_cap)
			l->frame_of[l->pages[i]] = 0;
		if (d->pages != NULL && l->pages[i] != 0)
			pages_changed(d->pages, l->pages[i]);
	}
	d->changed |= l->committed > 0;
	l->valid = false;
	l->committed = l->page_count = 0;
}

static uint64_t frame_size(const struct name_log *l)
{
	return WAL_FRAME_HEADER_SIZE + (uint64_t)l->header.page_size;
}

static uint64_t frame_offset(const struct name_log *l, uint32_t frame)
{
	return WAL_HEADER_SIZE + (frame - 1) * frame_size(l);
}

static void add_frame(struct name_database *d, uint32_t page)
{
	struct name_log *l = &d->log;

	l->pages = xgrow(l->pages, l->committed, &l->page_cap, sizeof *l->pages);
	l->pages[l->committed++] = page;
	if (page > PAGES_MAX)
		return;
	if (page >= l->frame_cap) {
		size_t cap =
		    2 * l->frame_cap > (size_t)page + 1 ? 2 * l->frame_cap : (size_t)page + 1;

		l->frame_of = xrealloc(l->frame_of, cap * sizeof *l->frame_of);
		memset(l->frame_of + l->frame_cap, 0, (cap - l->frame_cap) * sizeof *l->frame_of);
		l->frame_cap = cap;
	}
	l->frame_of[page] = l->committed;
	if (d->pages != NULL)
		pages_changed(d->pages, page);
}

/* `last` commits, if everything up to it holds. */
static bool commit(struct op_names *n, struct name_database *d, const struct content *c,
		   uint32_t last)
{
	struct name_log *l = &d->log;
	struct wal_checksum sum = l->sum;
	uint8_t *frame = xmalloc((size_t)frame_size(l));
	uint32_t first = l->committed + 1;
	uint32_t *pages = NULL;
	size_t count = 0, cap = 0;
	struct wal_frame f = {0};
	bool holds = true;

	for (uint32_t i = first; i <= last && holds; i++) {
		if (n->checked_left < frame_size(l)) {
			names_incomplete(n, "more of the log than is looked at");
			holds = false;
			break;
		}
		n->checked_left -= frame_size(l);
		content_read(c, frame_offset(l, i), frame, (size_t)frame_size(l));
		holds = wal_frame_read(frame, WAL_FRAME_HEADER_SIZE, &f) &&
			wal_frame_is_current(&l->header, &f) &&
			wal_frame_holds(&l->header, frame, &sum);
		pages = xgrow(pages, count, &cap, sizeof *pages);
		pages[count++] = f.page;
	}
	free(frame);
	if (holds && wal_frame_is_commit(&f)) {
		for (size_t i = 0; i < count; i++)
			add_frame(d, pages[i]);
		l->sum = sum;
		l->page_count = f.commit_page_count;
		d->changed = true;
	} else {
		holds = false;
	}
	free(pages);
	return holds;
}

static bool read_header(struct name_database *d, const struct content *c)
{
	struct name_log *l = &d->log;
	uint8_t bytes[WAL_HEADER_SIZE];
	struct wal_header h;

	content_read(c, 0, bytes, sizeof bytes);
	log_cleared(d);
	if (c->size < WAL_HEADER_SIZE || !wal_header_read(bytes, sizeof bytes, &h) ||
	    !h.checksum_holds)
		return false;
	l->valid = true;
	l->header = h;
	l->sum = h.checksum;
	return true;
}

/* Does frame i say that it commits? */
static bool says_commit(const struct name_log *l, const struct content *c, uint32_t i)
{
	uint8_t head[WAL_FRAME_HEADER_SIZE];
	struct wal_frame f;

	content_read(c, frame_offset(l, i), head, sizeof head);
	(void)wal_frame_read(head, sizeof head, &f);
	return wal_frame_is_current(&l->header, &f) && wal_frame_is_commit(&f);
}

void log_read_base(struct op_names *n, struct name_database *d, const struct content *c)
{
	const struct name_log *l = &d->log;

	if (!read_header(d, c))
		return;
	for (uint32_t i = 1; frame_offset(l, i) + frame_size(l) <= c->size && i < UINT32_MAX; i++)
		if (says_commit(l, c, i) && !commit(n, d, c, i))
			return;
}

/* ---- words ---- */

static void header_words(struct op_names *n, const struct op *op)
{
	struct wal_header h;

	if (op->offset != 0 || !wal_header_read(op->data, (size_t)op->size, &h)) {
		names_plain(n, op);
		return;
	}
	buf_printf(&n->line,
		   "log header, salt %08" PRIx32 " %08" PRIx32 ", checkpoint sequence %" PRIu32,
		   h.salt[0], h.salt[1], h.checkpoint_sequence);
	if (op->size > WAL_HEADER_SIZE)
		buf_printf(&n->line, ", and what follows it");
}

void log_frame_words(struct op_names *n, const struct name_database *d,
		     const struct name_later *later)
{
	buf_printf(&n->line, "frame %" PRIu32, later->frame);
	if (!later->has_head) {
		buf_printf(&n->line, ", a part of it");
		return;
	}
	buf_printf(&n->line, "%spage %" PRIu32,
		   later->part == FRAME_HEADER ? " header, "
		   : later->part == FRAME_SOME ? ", part of "
					       : ", ",
		   later->page);
	database_owner(n, d, later->page);
	if (later->commit != 0)
		buf_printf(&n->line, ", commit (database has %" PRIu32 " page%s)", later->commit,
			   later->commit == 1 ? "" : "s");
}

/* A write inside one frame, which has its header by then or not. */
static struct name_later look_at_frame(const struct name_log *l, const struct content *c,
				       const struct op *op, uint32_t i)
{
	uint64_t at = op->offset - frame_offset(l, i), page_size = l->header.page_size;
	struct name_later later = {.is_frame = true, .frame = i, .part = FRAME_SOME};
	static const uint8_t zeros[WAL_FRAME_HEADER_SIZE - 8];
	uint8_t head[WAL_FRAME_HEADER_SIZE];
	struct wal_frame f;

	content_read(c, frame_offset(l, i), head, sizeof head);
	(void)wal_frame_read(head, sizeof head, &f);
	later.has_head = wal_frame_is_current(&l->header, &f) ||
			 (f.page != 0 && memcmp(head + 8, zeros, sizeof zeros) == 0);
	later.page = f.page;
	later.commit = f.commit_page_count;
	if (at == 0 && op->size == WAL_FRAME_HEADER_SIZE)
		later.part = FRAME_HEADER;
	else if (at == 0 && op->size == frame_size(l))
		later.part = FRAME_ALL;
	else if (at == WAL_FRAME_HEADER_SIZE && op->size == page_size)
		later.part = FRAME_CONTENT;
	return later;
}

bool log_written(struct op_names *n, struct name_database *d, const struct content *c,
		 const struct op *op)
{
	struct name_log *l = &d->log;
	uint64_t first, last;
	bool committed = false;

	if (op->offset < WAL_HEADER_SIZE) {
		(void)read_header(d, c);
		header_words(n, op);
		names_take(n, n->position);
	}
	if (!l->valid || op->size == 0 || op->offset + op->size <= WAL_HEADER_SIZE) {
		if (op->offset >= WAL_HEADER_SIZE) {
			names_plain(n, op);
			names_take(n, n->position);
		}
		return false;
	}
	first =
	    op->offset < WAL_HEADER_SIZE ? 1 : (op->offset - WAL_HEADER_SIZE) / frame_size(l) + 1;
	last = (op->offset + op->size - 1 - WAL_HEADER_SIZE) / frame_size(l) + 1;
	if (last >= UINT32_MAX)
		return false;
	if (op->offset >= WAL_HEADER_SIZE && names_wants(n)) {
		if (first == last) {
			database_later(n, d, look_at_frame(l, c, op, (uint32_t)first));
		} else {
			buf_printf(&n->line, "frames %" PRIu64 " to %" PRIu64, first, last);
			names_take(n, n->position);
		}
	}
	for (uint64_t i = first > l->committed ? first : (uint64_t)l->committed + 1; i <= last; i++)
		if (c->size >= frame_offset(l, (uint32_t)i) + frame_size(l) &&
		    says_commit(l, c, (uint32_t)i))
			committed |= commit(n, d, c, (uint32_t)i);
	return committed;
}

uint32_t log_find(const struct op_names *n, const struct name_database *d, uint32_t page,
		  const uint8_t *bytes)
{
	const struct name_log *l = &d->log;
	uint32_t i = page < l->frame_cap ? l->frame_of[page] : 0;

	for (int k = 0; i > 0 && k < FIND_MAX; i--, k++) {
		if (l->pages[i - 1] != page)
			continue;
		content_read(&n->files[l->inode].content, wal_frame_content(i, l->header.page_size),
			     n->scratch, l->header.page_size);
		if (memcmp(n->scratch, bytes, l->header.page_size) == 0)
			return i;
	}
	return 0;
}
