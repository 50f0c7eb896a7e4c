/* See name_op_internal.h. */
#include "harness/explain/name_op_internal.h"

#include "faultinject/base/assert.h"

#include <inttypes.h>
#include <string.h>

/* ---- as readers see it ---- */

struct view {
	struct op_names *n;
	const struct name_database *d;
	uint32_t page_size;
};

static const struct content *content_of(const struct op_names *n, const struct name_database *d)
{
	return &n->files[d->inode].content;
}

static const uint8_t *view_page(void *ctx, uint32_t number)
{
	struct view *v = ctx;
	const struct name_log *l = &v->d->log;
	const struct content *c = content_of(v->n, v->d);
	uint64_t at = (number - 1) * (uint64_t)v->page_size;
	uint32_t frame = number < l->frame_cap ? l->frame_of[number] : 0;

	if (frame != 0)
		content_read(&v->n->files[l->inode].content, wal_frame_content(frame, v->page_size),
			     v->n->scratch, v->page_size);
	else if (at < c->size)
		content_read(c, at, v->n->scratch, v->page_size);
	else
		return NULL;
	return v->n->scratch;
}

/* The size of its pages; 0: it is no database, or nothing yet. */
static uint32_t view_page_size(struct op_names *n, const struct name_database *d)
{
	struct database_header h;

	if (d->inode == 0)
		return 0;
	if (d->log.committed > 0)
		return d->log.header.page_size;
	content_read(content_of(n, d), 0, n->scratch, DATABASE_HEADER_SIZE);
	return database_header_read(n->scratch, DATABASE_HEADER_SIZE, &h) ? h.page_size : 0;
}

static void walk(struct op_names *n, struct name_database *d)
{
	struct view v = {n, d, view_page_size(n, d)};
	struct page_source from = {.page = view_page, .ctx = &v, .page_size = v.page_size};
	uint64_t count;

	d->changed = false;
	if (d->pages == NULL)
		d->pages = pages_create();
	if (v.page_size != d->page_size)
		pages_changed(d->pages, 0);
	d->page_size = v.page_size;
	if (v.page_size != 0) {
		count =
		    d->log.committed > 0 ? d->log.page_count : content_of(n, d)->size / v.page_size;
		from.page_count = count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
	}
	if (!pages_look(d->pages, &from, &n->visits_left))
		names_incomplete(n, "more pages than are looked at");
}

void database_first_walk(struct op_names *n, struct name_database *d)
{
	if (d->pages == NULL)
		walk(n, d);
}

void database_dirty(struct name_database *d, uint64_t offset, uint64_t size)
{
	d->changed = true;
	if (d->page_size == 0 || size == 0)
		return;
	for (uint64_t page = offset / d->page_size; page <= (offset + size - 1) / d->page_size;
	     page++) {
		/* Others are not kept. */
		if (page >= PAGES_MAX)
			return;
		pages_changed(d->pages, (uint32_t)page + 1);
	}
}

/* ---- words ---- */

void database_owner(struct op_names *n, const struct name_database *d, uint32_t page)
{
	size_t before = n->line.size;

	if (d->pages == NULL)
		return;
	buf_printf(&n->line, " (");
	if (pages_words(d->pages, page, &n->line))
		buf_printf(&n->line, ")");
	else
		n->line.size = before;
}

/* Pages first..last have how many owners that differ from those before them? Each one's words, up
 * to OP_NAMES_OWNERS_SHOWN. */
static void owners(struct op_names *n, const struct name_database *d, uint64_t first, uint64_t last)
{
	struct buf seen[OP_NAMES_OWNERS_SHOWN] = {{0}};
	size_t count = 0;
	bool more = false;

	for (uint64_t page = first; page <= last && page <= PAGES_MAX && !more; page++) {
		struct buf words = {0};
		size_t i = 0;

		if (pages_words(d->pages, (uint32_t)page, &words)) {
			while (i < count && strcmp(buf_str(&seen[i]), buf_str(&words)) != 0)
				i++;
			more = i == OP_NAMES_OWNERS_SHOWN;
			if (i == count && !more) {
				seen[count++] = words;
				words = (struct buf){0};
			}
		}
		buf_release(&words);
	}
	for (size_t i = 0; i < count; i++) {
		buf_printf(&n->line, "%s%s", i == 0 ? " (" : ", ", buf_str(&seen[i]));
		buf_release(&seen[i]);
	}
	if (count > 0)
		buf_printf(&n->line, more ? " and others)" : ")");
}

static void write_words(struct op_names *n, const struct name_database *d, const struct op *op)
{
	uint64_t first, last;
	bool part;

	if (d->page_size == 0 || op->size == 0 || d->pages == NULL) {
		names_plain(n, op);
		return;
	}
	first = op->offset / d->page_size + 1;
	last = (op->offset + op->size - 1) / d->page_size + 1;
	part = op->offset % d->page_size != 0 || op->size % d->page_size != 0;
	if (first == last) {
		buf_printf(&n->line, "%spage %" PRIu64, part ? "part of " : "", first);
		if (first <= PAGES_MAX && pages_kind(d->pages, (uint32_t)first) != PAGE_UNKNOWN) {
			buf_printf(&n->line, ", ");
			(void)pages_words(d->pages, (uint32_t)first, &n->line);
		}
		return;
	}
	buf_printf(&n->line, "%spages %" PRIu64 " to %" PRIu64, part ? "parts of " : "", first,
		   last);
	owners(n, d, first, last);
}

void database_later(struct op_names *n, struct name_database *d, struct name_later later)
{
	later.position = n->position;
	d->later = xgrow(d->later, d->later_count, &d->later_cap, sizeof *d->later);
	d->later[d->later_count++] = later;
	n->later_count++;
}

void database_boundary(struct op_names *n, struct name_database *d)
{
	if (d->changed)
		walk(n, d);
	for (size_t i = 0; i < d->later_count; i++) {
		const struct name_later *l = &d->later[i];

		if (l->is_frame)
			log_frame_words(n, d, l);
		else
			write_words(n, d, trace_at(n->t, l->position));
		names_take(n, l->position);
	}
	n->later_count -= d->later_count;
	d->later_count = 0;
}

/* The page that a checkpoint copies; in the log as it is. */
static void checkpoint_words(struct op_names *n, const struct name_database *d, const struct op *op)
{
	uint32_t frame = 0;

	write_words(n, d, op);
	if (op->size == d->page_size && op->offset % d->page_size == 0 &&
	    op->offset / d->page_size < PAGES_MAX)
		frame = log_find(n, d, (uint32_t)(op->offset / d->page_size) + 1, op->data);
	if (frame != 0)
		buf_printf(&n->line, ", copied from frame %" PRIu32, frame);
}

void database_written(struct op_names *n, struct name_database *d, const struct op *op)
{
	if (!names_wants(n))
		return;
	if (d->log.committed > 0 && !d->journal.open && d->page_size != 0) {
		checkpoint_words(n, d, op);
		names_take(n, n->position);
	} else {
		database_later(n, d, (struct name_later){.is_frame = false});
	}
}

void database_truncated(struct op_names *n, struct name_database *d, const struct op *op,
			uint64_t size_before)
{
	const char *word = op->size < size_before ? "truncated to" : "grown to";

	if (op->size == size_before)
		word = "truncated, as it was, to";
	if (d->page_size != 0 && op->size != 0 && op->size % d->page_size == 0)
		buf_printf(&n->line, "%s %" PRIu64 " page%s", word, op->size / d->page_size,
			   op->size == d->page_size ? "" : "s");
	else
		buf_printf(&n->line, "%s %" PRIu64 " bytes", word, op->size);
}
