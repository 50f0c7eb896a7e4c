/*
 * Rollback journals, as they are written: which records, under which count, since when durable.
 *
 *   closed ──header──> open ──magic and count──> hot ──deleted, truncated, zeroed──> closed
 *
 * A journal is `open` from its first header on. In PERSIST mode what an earlier transaction left
 * behind the header is still in the file; only what has been written since the header counts here,
 * so it is never mistaken for a record of this transaction.
 *
 * How a journal ends, and what must have happened by then, is in lint_journal_end.c.
 */
#include "harness/lint/lint_internal.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	COUNT_END = JOURNAL_COUNT_AT + 4, /* magic and count are written together */
	LOCK_BYTE = 0x40000000,
};

static const struct syncs *syncs_of(const struct scan *s, const struct journal *j)
{
	return &s->files[j->inode].syncs;
}

static uint64_t record_size(const struct journal *j)
{
	return journal_record_size(&j->header);
}

static uint64_t records_begin(const struct journal *j, const struct segment *g)
{
	return g->offset + j->header.sector_size;
}

static uint64_t records_end(const struct journal *j, const struct segment *g)
{
	return records_begin(j, g) + g->record_count * record_size(j);
}

/* The last segment that begins at or before a record, or an offset. There is one: the first begins
 * at 0 of both. */
static struct segment *segment_of(const struct journal *j, size_t record, uint64_t offset)
{
	size_t low = 0, high = j->segment_count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		const struct segment *g = &j->segments[middle];

		if (g->first <= record && g->offset <= offset)
			low = middle;
		else
			high = middle;
	}
	return &j->segments[low];
}

void lint_journal_close(struct journal *j)
{
	j->is_open = false;
	j->segment_count = j->record_count = 0;
	j->database_written = 0;
	j->count_reported = false;
	j->super_tail_size = 0;
	j->super_offset = j->super_named = 0;
	j->super_name = 0;
	page_map_clear(&j->pages);
}

void lint_journal_release(struct journal *j)
{
	free(j->segments);
	free(j->records);
	page_map_release(&j->pages);
}

/* ---- headers ---- */

/* The header's bytes have changed to what they are now. */
static void header_changed(struct scan *s, struct database *d, struct segment *g)
{
	struct journal *j = &d->journal;
	char shown[SHOWN_NAME_SIZE], text[SHOWN_TEXT_SIZE];
	struct journal_header h;
	struct lint_finding *f;

	if (is_durable(syncs_of(s, j), g->header_written))
		g->count_before = g->count;
	g->header_written = s->position;
	g->count = 0;
	if (journal_header_read(g->header, sizeof g->header, &h) && h.has_magic)
		g->count = h.record_count;
	if (g->count == 0 || g->record_count == 0 ||
	    is_durable(syncs_of(s, j), g->record_written) ||
	    (s->t->device.characteristics & DEVICE_SAFE_APPEND) != 0)
		return;
	f = lint_report(s, LINT_RECORDS_BEFORE_COUNT, d, g->record_written);
	if (f != NULL)
		snprintf(f->message, sizeof f->message,
			 "the record count of %s was written (op %" PRIu64
			 ") before the records that "
			 "it counts were synced, so that a power loss can keep the count without "
			 "them: %s",
			 lint_show_name(s, j->name, shown), s->position,
			 lint_missing_sync(s, j->inode, j->name, g->record_written,
					   "the last of them", "the count", text));
}

static struct segment *add_segment(struct scan *s, struct database *d, uint64_t offset,
				   const uint8_t *header)
{
	struct journal *j = &d->journal;
	struct segment *g;

	if (j->segment_count == LINT_SEGMENTS_MAX) {
		lint_incomplete(s, "a journal with more headers than are looked at");
		return NULL;
	}
	j->segments = xgrow(j->segments, j->segment_count, &j->segment_cap, sizeof *j->segments);
	g = &j->segments[j->segment_count++];
	*g = (struct segment){
	    .offset = offset,
	    .header_written = s->position,
	    .first = (uint32_t)j->record_count,
	};
	memcpy(g->header, header, sizeof g->header);
	header_changed(s, d, g);
	/* A count that came with the file, or at once, has nothing durable before it. */
	g->count_before = 0;
	return g;
}

static void open_journal(struct scan *s, struct database *d)
{
	struct journal *j = &d->journal;
	struct journal_header h;

	lint_journal_close(j);
	if (!journal_header_read(j->first_header, sizeof j->first_header, &h))
		return;
	j->header = h;
	j->is_open = true;
	j->writer = s->actor;
	(void)add_segment(s, d, 0, j->first_header);
}

/* The first bytes of the file were written. */
static void first_header_written(struct scan *s, struct database *d, uint64_t offset,
				 const uint8_t *data, uint64_t size)
{
	struct journal *j = &d->journal;
	static const uint8_t zeros[JOURNAL_MAGIC_SIZE];
	size_t part = JOURNAL_HEADER_SIZE - offset < size ? (size_t)(JOURNAL_HEADER_SIZE - offset)
							  : (size_t)size;
	bool was_hot = j->is_open && memcmp(j->first_header, zeros, sizeof zeros) != 0;

	if (memcmp(j->first_header + offset, data, part) == 0 && j->is_open)
		return;
	memcpy(j->first_header + offset, data, part);
	if (was_hot && memcmp(j->first_header, zeros, sizeof zeros) == 0) {
		lint_journal_end(s, d, "zeroed", false);
		/* Sizes that were left behind open no new one. */
		if (offset + part <= COUNT_END)
			return;
	}
	if (j->is_open && offset + part <= COUNT_END) {
		memcpy(j->segments[0].header, j->first_header, JOURNAL_HEADER_SIZE);
		header_changed(s, d, &j->segments[0]);
	} else {
		open_journal(s, d);
	}
}

/* ---- the name of the super-journal ---- */

static void check_super_durable(struct scan *s, struct database *d)
{
	const struct journal *j = &d->journal;
	const struct path *p = &s->paths[j->super_name];
	const struct file *super = &s->files[p->inode];
	char journal[SHOWN_NAME_SIZE], shown[SHOWN_NAME_SIZE], text[SHOWN_TEXT_SIZE];
	bool content = is_durable(&super->syncs, super->last_write);
	struct lint_finding *f;

	if (p->inode == 0 || (content && lint_is_name_durable(s, j->super_name)))
		return;
	f = lint_report(s, LINT_SUPER_BEFORE_CHILDREN, d, content ? p->changed : super->last_write);
	if (f != NULL)
		snprintf(f->message, sizeof f->message,
			 "%s was made to name the super-journal %s (op %" PRIu64
			 ") before that was "
			 "durable; if it is lost, the journal counts for nothing: %s",
			 lint_show_name(s, j->name, journal),
			 lint_show_name(s, j->super_name, shown), s->position,
			 content ? lint_missing_dirsync(s, j->super_name, p->changed,
							"its creation", "its naming", text)
				 : lint_missing_sync(s, p->inode, j->super_name, super->last_write,
						     "its content", "its naming", text));
}

/* Paths stand there as the application spelt them; a relative one is looked for beside the
 * journal. */
static uint32_t find_super(const struct scan *s, const struct journal *j, const uint8_t *name,
			   size_t size)
{
	char path[2 * TRACE_NAME_MAX + 2];
	const char *base;
	uint32_t found;
	size_t n;

	memcpy(path, name, size);
	path[size] = 0;
	found = trace_find_name(s->t, path);
	if (found != 0)
		return found;
	trace_dirname(s->t->names[j->name], path, TRACE_NAME_MAX + 1);
	n = strlen(path);
	if (n > 0 && path[n - 1] != '/')
		path[n++] = '/';
	base = memrchr(name, '/', size);
	base = base == NULL ? (const char *)name : base + 1;
	size -= (size_t)((const uint8_t *)base - name);
	memcpy(path + n, base, size);
	path[n + size] = 0;
	return trace_find_name(s->t, path);
}

static void super_tail_written(struct scan *s, struct database *d, uint64_t offset,
			       const uint8_t *data, uint64_t size)
{
	struct journal *j = &d->journal;
	uint64_t at = offset - j->super_offset;
	const uint8_t *name;
	size_t name_size;

	if (at > j->super_tail_size || at + size > sizeof j->super_tail)
		return;
	memcpy(j->super_tail + at, data, size);
	if (at + size > j->super_tail_size)
		j->super_tail_size = (size_t)(at + size);
	if (!journal_super_name(j->super_tail, j->super_tail_size, &name, &name_size))
		return;
	j->super_named = s->position;
	j->super_name = find_super(s, j, name, name_size);
	if (j->super_name != 0)
		check_super_durable(s, d);
}

/* ---- records ---- */

static struct record *add_record(struct scan *s, struct journal *j, struct segment *g)
{
	if (j->record_count == LINT_RECORDS_MAX) {
		lint_incomplete(s, "a journal with more records than are looked at");
		return NULL;
	}
	j->records = xgrow(j->records, j->record_count, &j->record_cap, sizeof *j->records);
	j->records[j->record_count] = (struct record){.page = 0};
	g->record_count++;
	return &j->records[j->record_count++];
}

/* A part of one record, which begins at `at` in the file. */
static void record_written(struct scan *s, struct journal *j, size_t index, uint64_t at,
			   uint64_t offset, const uint8_t *data, uint64_t size)
{
	struct record *r = &j->records[index];
	uint64_t content = at + 4;

	r->written = s->position;
	for (uint64_t i = 0; i < 4; i++)
		if (at + i >= offset && at + i < offset + size) {
			r->number[i] = data[at + i - offset];
			r->number_have |= (uint8_t)(1u << i);
		}
	if (r->number_have == 0xf && r->page != get_be32(r->number)) {
		r->page = get_be32(r->number);
		/* The first record of a page is the one that holds it as it was. */
		if (page_map_get(&j->pages, r->page) == PAGE_MAP_NONE)
			page_map_set(&j->pages, r->page, (uint32_t)index);
	}
	if (offset <= content && offset + size >= content + j->header.page_size) {
		r->hash = hash64(data + (content - offset), j->header.page_size, 0);
		r->is_hashed = true;
	} else if (offset < content + j->header.page_size && offset + size > content) {
		r->is_hashed = false;
	}
}

/* The count says that all records count, as far as the file reaches. */
static void check_counted_at_once(struct scan *s, struct database *d, const struct segment *g)
{
	struct journal *j = &d->journal;
	char shown[SHOWN_NAME_SIZE];
	struct lint_finding *f;

	if (g->count != JOURNAL_COUNT_BY_SIZE || j->count_reported ||
	    (s->t->device.characteristics & DEVICE_SAFE_APPEND) != 0)
		return;
	j->count_reported = true;
	f = lint_report(s, LINT_RECORDS_BEFORE_COUNT, d, s->position);
	if (f != NULL)
		snprintf(f->message, sizeof f->message,
			 "the header of %s (op %" PRIu64
			 ") counts every record as soon as it is in "
			 "the file, synced or not; the first one was written at op %" PRIu64
			 ": there is no sync of %s between the records and their count",
			 lint_show_name(s, j->name, shown), g->header_written, s->position, shown);
}

/* Parts of records in one segment, from `offset` on. */
static void records_written(struct scan *s, struct database *d, struct segment *g, uint64_t offset,
			    const uint8_t *data, uint64_t size)
{
	struct journal *j = &d->journal;
	uint64_t begin = records_begin(j, g), each = record_size(j), end = offset + size;
	bool is_last = g == &j->segments[j->segment_count - 1];

	if (offset < begin) /* padding of the header, or copies of it */
		return;
	for (uint64_t i = (offset - begin) / each; begin + i * each < end; i++) {
		uint64_t at = begin + i * each;
		uint64_t from = at > offset ? at : offset;
		uint64_t to = at + each < end ? at + each : end;

		/* SQLite leaves no gaps; and only the last segment grows. */
		if (i > g->record_count || (i == g->record_count && !is_last))
			return;
		if (i == g->record_count && add_record(s, j, g) == NULL)
			return;
		record_written(s, j, g->first + i, at, from, data + (from - offset), to - from);
		g->record_written = s->position;
		check_counted_at_once(s, d, g);
	}
}

static bool is_lock_page(const struct journal *j, const uint8_t *data, uint64_t size)
{
	return size >= 4 && get_be32(data) == LOCK_BYTE / j->header.page_size + 1;
}

/* Something at or behind the end of the last segment. True: it is no record. */
static bool is_boundary_written(struct scan *s, struct database *d, uint64_t offset,
				const uint8_t *data, uint64_t size)
{
	struct journal *j = &d->journal;
	const struct segment *last = &j->segments[j->segment_count - 1];
	uint64_t end = records_end(j, last);
	uint64_t aligned = journal_header_offset(end, j->header.sector_size);
	struct journal_header h;

	if (offset != end && offset != aligned)
		return false;
	if (is_lock_page(j, data, size)) {
		j->super_offset = offset;
		j->super_tail_size = 0;
		super_tail_written(s, d, offset, data, size);
		return true;
	}
	if (offset != aligned)
		return false;
	/* One zero byte spoils what may be a header of an earlier transaction. */
	if (size == 1 && data[0] == 0)
		return true;
	if (!journal_header_read(data, size, &h))
		return false;
	(void)add_segment(s, d, offset, data);
	return true;
}

void lint_journal_written(struct scan *s, struct database *d, uint64_t offset, const uint8_t *data,
			  uint64_t size)
{
	struct journal *j = &d->journal;
	struct segment *g;

	if (offset < JOURNAL_HEADER_SIZE) {
		first_header_written(s, d, offset, data, size);
		if (!j->is_open || size <= j->header.sector_size - offset)
			return;
		data += j->header.sector_size - offset;
		size -= j->header.sector_size - offset;
		offset = j->header.sector_size;
	}
	if (!j->is_open || j->segment_count == 0)
		return;
	if (j->super_offset != 0 && offset >= j->super_offset) {
		super_tail_written(s, d, offset, data, size);
		return;
	}
	if (is_boundary_written(s, d, offset, data, size))
		return;
	g = segment_of(j, SIZE_MAX, offset);
	if (offset - g->offset < COUNT_END && g->offset > 0) {
		uint64_t at = offset - g->offset;
		uint64_t part = JOURNAL_HEADER_SIZE - at < size ? JOURNAL_HEADER_SIZE - at : size;

		memcpy(g->header + at, data, part);
		header_changed(s, d, g);
		return;
	}
	records_written(s, d, g, offset, data, size);
}

void lint_journal_truncated(struct scan *s, struct database *d, uint64_t size)
{
	struct journal *j = &d->journal;

	if (size >= JOURNAL_HEADER_SIZE)
		return;
	lint_journal_end(s, d, "truncated", false);
	memset(j->first_header + size, 0, JOURNAL_HEADER_SIZE - size);
}

/* A journal of the base: its records are durable, and so is its name. */
static void read_base(struct scan *s, struct database *d, const uint8_t *base, uint64_t size)
{
	struct journal *j = &d->journal;
	struct journal_segment g;

	memcpy(j->first_header, base, JOURNAL_HEADER_SIZE);
	if (!journal_segment_first(base, size, &g) || !g.header.has_magic)
		return;
	j->header = g.header;
	j->is_open = true;
	do {
		struct segment *own = add_segment(s, d, g.offset, base + g.offset);
		uint64_t each = record_size(j), at = g.offset + j->header.sector_size;

		if (own == NULL)
			return;
		for (uint64_t i = 0; i < g.record_count; i++, at += each) {
			struct journal_record r;

			journal_segment_record(base, &g, i, &r);
			if (!r.checksum_holds || add_record(s, j, own) == NULL)
				return;
			record_written(s, j, j->record_count - 1, at, at, base + at, each);
		}
	} while (journal_segment_next(base, size, &g) && g.header.has_magic);
}

void lint_journal_created(struct scan *s, struct database *d, uint32_t inode, uint32_t name,
			  const uint8_t *base, uint64_t size)
{
	struct journal *j = &d->journal;

	lint_journal_close(j);
	memset(j->first_header, 0, sizeof j->first_header);
	j->inode = inode;
	j->name = name;
	if (size >= JOURNAL_HEADER_SIZE)
		read_base(s, d, base, size);
}

/* ---- pages of the database ---- */

static void check_record(struct scan *s, struct database *d, uint32_t page, const struct record *r,
			 size_t index)
{
	struct journal *j = &d->journal;
	const struct syncs *syncs = syncs_of(s, j);
	char journal[SHOWN_NAME_SIZE], database[SHOWN_NAME_SIZE], text[SHOWN_TEXT_SIZE];
	const struct segment *g = segment_of(j, index, UINT64_MAX);
	bool is_written = is_durable(syncs, r->written);
	struct lint_finding *f;
	uint32_t count;

	count = is_durable(syncs, g->header_written) ? g->count : g->count_before;
	if (is_written && index - g->first < count)
		return;
	f = lint_report(s, LINT_JOURNAL_BEFORE_PAGE, d,
			is_written ? g->header_written : r->written);
	if (f == NULL)
		return;
	lint_show_name(s, j->name, journal);
	lint_show_name(s, d->name, database);
	if (!is_written)
		snprintf(f->message, sizeof f->message,
			 "page %" PRIu32 " of %s was overwritten (op %" PRIu64
			 ") before the journal "
			 "record that can restore it was synced: %s",
			 page, database, s->position,
			 lint_missing_sync(s, j->inode, j->name, r->written, "that page's record",
					   "the page", text));
	else if (g->count != 0)
		snprintf(f->message, sizeof f->message,
			 "page %" PRIu32 " of %s was overwritten (op %" PRIu64
			 ") before the record "
			 "count that makes its journal record valid was synced: %s",
			 page, database, s->position,
			 lint_missing_sync(s, j->inode, j->name, g->header_written, "that count",
					   "the page", text));
	else
		snprintf(f->message, sizeof f->message,
			 "page %" PRIu32 " of %s was overwritten (op %" PRIu64
			 ") while the header of %s (op %" PRIu64
			 ") did not count its record yet: the count was neither written nor synced",
			 page, database, s->position, journal, g->header_written);
}

static void check_name(struct scan *s, struct database *d, uint32_t page)
{
	struct journal *j = &d->journal;
	char journal[SHOWN_NAME_SIZE], database[SHOWN_NAME_SIZE], text[SHOWN_TEXT_SIZE];
	uint64_t changed = s->paths[j->name].changed;
	struct lint_finding *f;

	if (lint_is_name_durable(s, j->name))
		return;
	f = lint_report(s, LINT_JOURNAL_NAME_BEFORE_PAGE, d, changed);
	if (f != NULL)
		snprintf(
		    f->message, sizeof f->message,
		    "page %" PRIu32 " of %s was overwritten (op %" PRIu64 ") before the directory "
		    "entry of %s was synced, so a power loss can leave no journal to restore it "
		    "from: %s",
		    page, lint_show_name(s, d->name, database), s->position,
		    lint_show_name(s, j->name, journal),
		    lint_missing_dirsync(s, j->name, changed, "its creation", "the page", text));
}

void lint_journal_page(struct scan *s, struct database *d, const struct op *op)
{
	struct journal *j = &d->journal;
	uint64_t page_size = j->header.page_size, end = op->offset + op->size;

	for (uint64_t at = op->offset / page_size * page_size; at < end; at += page_size) {
		uint64_t page = at / page_size + 1;
		uint32_t index;
		struct record *r;

		/* Rollback cuts what is behind the old end. */
		if (page > j->header.page_count)
			break;
		check_name(s, d, (uint32_t)page);
		index = page_map_get(&j->pages, (uint32_t)page);
		if (index == PAGE_MAP_NONE)
			continue;
		r = &j->records[index];
		check_record(s, d, (uint32_t)page, r, index);
		r->is_overwritten = true;
		r->is_restored = r->is_hashed && at >= op->offset && at + page_size <= end &&
				 hash64(op->data + (at - op->offset), page_size, 0) == r->hash;
	}
	j->database_written = s->position;
}
