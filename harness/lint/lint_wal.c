/*
 * Write-ahead logs, as they are written: which frames, which of them commit, since when durable.
 *
 * Only the present turn of the log is kept: a header with other salts begins a new one. A frame
 * that is overwritten with another page (the transaction that wrote it was rolled back) takes all
 * behind it with it.
 *
 * What a checkpoint copies is found by content: the newest frame of the page that holds the same
 * bytes. Other connections may append to the log meanwhile, and a checkpoint has nothing to do with
 * what they append, synced or not.
 */
#include "harness/lint/lint_internal.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COMMIT_AT = 4, HEAD_SIZE = 8, HEAD_HAVE_ALL = 0xff };

static const struct syncs *syncs_of(const struct scan *s, const struct wal *w)
{
	return &s->files[w->inode].syncs;
}

static void clear_frames(struct wal *w)
{
	w->frame_count = w->commit_count = 0;
	w->is_unacked = false;
	page_map_clear(&w->pages);
}

void lint_wal_release(struct wal *w)
{
	free(w->frames);
	free(w->commits);
	page_map_release(&w->pages);
}

/* ---- turns of the log ---- */

/* Restarted, cut or deleted: its frames can restore nothing any more. */
static void check_database_durable(struct scan *s, struct database *d, const char *word)
{
	char wal[SHOWN_NAME_SIZE], database[SHOWN_NAME_SIZE], text[SHOWN_TEXT_SIZE];
	char then[SHOWN_NOUN_SIZE];
	struct lint_finding *f;

	if (d->checkpointed == 0 || d->inode == 0 || d->wal.frame_count == 0 ||
	    is_durable(&s->files[d->inode].syncs, d->checkpointed))
		return;
	f = lint_report(s, LINT_DATABASE_BEFORE_LOG_RESET, d, d->checkpointed);
	snprintf(then, sizeof then, "the %s", lint_end_noun(word));
	if (f != NULL)
		snprintf(f->message, sizeof f->message,
			 "%s was %s (op %" PRIu64
			 ") before the pages that a checkpoint had copied from "
			 "it into %s were synced: %s",
			 lint_show_name(s, d->wal.name, wal), word, s->position,
			 lint_show_name(s, d->name, database),
			 lint_missing_sync(s, d->inode, d->name, d->checkpointed,
					   "the last of them", then, text));
}

static void reset(struct scan *s, struct database *d, const char *word)
{
	check_database_durable(s, d, word);
	clear_frames(&d->wal);
}

static void header_written(struct scan *s, struct database *d, uint64_t offset, const uint8_t *data,
			   uint64_t size)
{
	struct wal *w = &d->wal;
	struct wal_header h;
	size_t part =
	    WAL_HEADER_SIZE - offset < size ? (size_t)(WAL_HEADER_SIZE - offset) : (size_t)size;

	if (w->is_valid && memcmp(w->bytes + offset, data, part) == 0)
		return;
	memcpy(w->bytes + offset, data, part);
	w->header_written = s->position;
	w->header_reported = false;
	reset(s, d, "restarted");
	w->is_valid = wal_header_read(w->bytes, sizeof w->bytes, &h) && h.checksum_holds;
	if (w->is_valid)
		w->header = h;
}

void lint_wal_truncated(struct scan *s, struct database *d, uint64_t size)
{
	struct wal *w = &d->wal;
	uint64_t each = WAL_FRAME_HEADER_SIZE + (uint64_t)w->header.page_size;

	if (!w->is_valid || size >= WAL_HEADER_SIZE + w->frame_count * each)
		return;
	reset(s, d, "truncated");
	if (size < WAL_HEADER_SIZE) {
		w->is_valid = false;
		memset(w->bytes + size, 0, WAL_HEADER_SIZE - size);
	}
}

void lint_wal_unnamed(struct scan *s, struct database *d, const char *word)
{
	reset(s, d, word);
	d->wal.is_valid = false;
	d->wal.inode = 0;
	memset(d->wal.bytes, 0, sizeof d->wal.bytes);
}

/* ---- frames ---- */

static void check_header_durable(struct scan *s, struct database *d)
{
	struct wal *w = &d->wal;
	char shown[SHOWN_NAME_SIZE], text[SHOWN_TEXT_SIZE];
	struct lint_finding *f;

	if (w->header_reported || is_durable(syncs_of(s, w), w->header_written))
		return;
	w->header_reported = true;
	f = lint_report(s, LINT_LOG_HEADER_BEFORE_FRAMES, d, w->header_written);
	if (f != NULL)
		snprintf(f->message, sizeof f->message,
			 "a frame was written to %s (op %" PRIu64
			 ") before the header that the frame "
			 "counts under was synced: %s",
			 lint_show_name(s, w->name, shown), s->position,
			 lint_missing_sync(s, w->inode, w->name, w->header_written, "that header",
					   "the frame", text));
}

/* Frames from `index` on are gone. */
static void drop_frames(struct wal *w, size_t index)
{
	while (w->frame_count > index) {
		const struct frame *f = &w->frames[--w->frame_count];

		if (f->is_linked)
			page_map_set(&w->pages, f->page, f->before);
	}
	while (w->commit_count > 0 && w->commits[w->commit_count - 1].frame >= index)
		w->commit_count--;
	if (w->is_unacked && w->unacked_frame >= index)
		w->is_unacked = false;
}

/* At a device without POWERSAFE_OVERWRITE, SQLite repeats the commit frame up to the end of the
 * sector, and syncs only up to there. */
static bool is_padding(const struct scan *s, const struct wal *w, size_t index)
{
	return w->is_unacked && index > w->unacked_frame && w->commit_count > 0 &&
	       w->commits[w->commit_count - 1].frame + 1 == index &&
	       lint_is_ack_of(&s->actor, &w->committer) &&
	       memcmp(w->frames[index].head, w->frames[index - 1].head, HEAD_SIZE) == 0;
}

/* The frame's page number and commit field are there. */
static void head_complete(struct scan *s, struct wal *w, size_t index)
{
	struct frame *f = &w->frames[index];
	bool was_linked = f->is_linked;

	if (!was_linked) {
		f->page = get_be32(f->head);
		f->before = page_map_get(&w->pages, f->page);
		f->is_linked = true;
		page_map_set(&w->pages, f->page, (uint32_t)index);
	}
	if (get_be32(f->head + COMMIT_AT) == 0 ||
	    (w->commit_count > 0 && w->commits[w->commit_count - 1].frame >= index))
		return;
	if (!is_padding(s, w, index)) {
		w->is_unacked = true;
		w->unacked_frame = index;
		w->committer = s->actor;
	}
	w->commits = xgrow(w->commits, w->commit_count, &w->commit_cap, sizeof *w->commits);
	w->commits[w->commit_count++] =
	    (struct commit){.frame = (uint32_t)index, .written = s->position};
}

/* The first commit at or behind a frame, or NULL. */
static struct commit *commit_of(const struct wal *w, size_t frame)
{
	size_t low = 0, high = w->commit_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (w->commits[middle].frame < frame)
			low = middle + 1;
		else
			high = middle;
	}
	return low < w->commit_count ? &w->commits[low] : NULL;
}

/* A part of one frame, which begins at `at` in the file. False: no more are kept. */
static bool frame_written(struct scan *s, struct wal *w, size_t index, uint64_t at, uint64_t offset,
			  const uint8_t *data, uint64_t size)
{
	uint64_t content = at + WAL_FRAME_HEADER_SIZE;
	uint8_t head[HEAD_SIZE], have = 0;
	struct frame *f;

	for (uint64_t i = 0; i < HEAD_SIZE; i++)
		if (at + i >= offset && at + i < offset + size) {
			head[i] = data[at + i - offset];
			have |= (uint8_t)(1u << i);
		}
	if (index < w->frame_count && (have & 0xf) == 0xf && w->frames[index].is_linked &&
	    get_be32(head) != w->frames[index].page)
		drop_frames(w, index);
	if (index == w->frame_count) {
		if (w->frame_count == LINT_FRAMES_MAX) {
			lint_incomplete(s, "a log with more frames than are looked at");
			return false;
		}
		w->frames = xgrow(w->frames, w->frame_count, &w->frame_cap, sizeof *w->frames);
		w->frames[w->frame_count++] = (struct frame){.before = PAGE_MAP_NONE};
	}
	f = &w->frames[index];
	f->written = s->position;
	for (size_t i = 0; i < HEAD_SIZE; i++)
		if ((have & 1u << i) != 0)
			f->head[i] = head[i];
	f->head_have |= have;
	if (have != 0 && f->head_have == HEAD_HAVE_ALL)
		head_complete(s, w, index);
	if (offset <= content && offset + size >= content + w->header.page_size) {
		f->hash = hash64(data + (content - offset), w->header.page_size, 0);
		f->is_hashed = true;
	} else if (offset < content + w->header.page_size && offset + size > content) {
		f->is_hashed = false;
	}
	struct commit *c = commit_of(w, index);
	if (c != NULL)
		c->written = s->position;
	if (w->is_unacked && index <= w->unacked_frame)
		w->unacked_written = s->position;
	return true;
}

static void frames_written(struct scan *s, struct database *d, uint64_t offset, const uint8_t *data,
			   uint64_t size)
{
	struct wal *w = &d->wal;
	uint64_t each = WAL_FRAME_HEADER_SIZE + (uint64_t)w->header.page_size, end = offset + size;

	for (uint64_t i = (offset - WAL_HEADER_SIZE) / each; WAL_HEADER_SIZE + i * each < end;
	     i++) {
		uint64_t at = WAL_HEADER_SIZE + i * each;
		uint64_t from = at > offset ? at : offset;
		uint64_t to = at + each < end ? at + each : end;

		/* SQLite leaves no gaps. */
		if (i > w->frame_count ||
		    !frame_written(s, w, i, at, from, data + (from - offset), to - from))
			return;
	}
}

void lint_wal_written(struct scan *s, struct database *d, uint64_t offset, const uint8_t *data,
		      uint64_t size)
{
	struct wal *w = &d->wal;

	if (offset < WAL_HEADER_SIZE) {
		uint64_t part = WAL_HEADER_SIZE - offset;

		header_written(s, d, offset, data, size);
		if (size <= part)
			return;
		offset += part;
		data += part;
		size -= part;
	}
	if (!w->is_valid)
		return;
	check_header_durable(s, d);
	frames_written(s, d, offset, data, size);
}

/* A log of the base: what counts in it is durable. */
static void read_base(struct scan *s, struct wal *w, const uint8_t *base, uint64_t size)
{
	uint64_t each, at = WAL_HEADER_SIZE;
	struct wal_checksum sum;
	struct wal_frame f;
	size_t kept;

	memcpy(w->bytes, base, WAL_HEADER_SIZE);
	w->is_valid = wal_header_read(base, size, &w->header) && w->header.checksum_holds;
	if (!w->is_valid)
		return;
	sum = w->header.checksum;
	each = WAL_FRAME_HEADER_SIZE + (uint64_t)w->header.page_size;
	for (; size - at >= each; at += each) {
		(void)wal_frame_read(base + at, WAL_FRAME_HEADER_SIZE, &f);
		if (!wal_frame_is_current(&w->header, &f) ||
		    !wal_frame_holds(&w->header, base + at, &sum) ||
		    !frame_written(s, w, w->frame_count, at, at, base + at, each))
			break;
	}
	kept = w->commit_count == 0 ? 0 : w->commits[w->commit_count - 1].frame + 1;
	drop_frames(w, kept);
	w->is_unacked = false;
}

void lint_wal_created(struct scan *s, struct database *d, uint32_t inode, uint32_t name,
		      const uint8_t *base, uint64_t size)
{
	struct wal *w = &d->wal;

	clear_frames(w);
	memset(w->bytes, 0, sizeof w->bytes);
	w->is_valid = w->header_reported = false;
	w->header_written = 0;
	w->inode = inode;
	w->name = name;
	if (size >= WAL_HEADER_SIZE)
		read_base(s, w, base, size);
}

/* ---- acknowledgements ---- */

void lint_wal_ack(struct scan *s, struct database *d)
{
	struct wal *w = &d->wal;
	char shown[SHOWN_NAME_SIZE], text[SHOWN_TEXT_SIZE];
	struct lint_finding *f;
	uint64_t named;

	if (!w->is_unacked || !lint_is_promised(s, &w->committer))
		return;
	w->is_unacked = false;
	lint_show_name(s, w->name, shown);
	if (!is_durable(syncs_of(s, w), w->unacked_written)) {
		f = lint_report(s, LINT_COMMIT_BEFORE_ACK, d, w->unacked_written);
		if (f != NULL)
			snprintf(f->message, sizeof f->message,
				 "a commit %s (op %" PRIu64 ") before its frames in %s "
				 "were synced: %s",
				 lint_promise_verb(s), s->position, shown,
				 lint_missing_sync(s, w->inode, w->name, w->unacked_written,
						   "the last of them", lint_promise_noun(s), text));
	}
	named = s->paths[w->name].changed;
	if (!lint_is_name_durable(s, w->name)) {
		f = lint_report(s, LINT_LOG_NAME_BEFORE_ACK, d, named);
		if (f != NULL)
			snprintf(f->message, sizeof f->message,
				 "a commit %s (op %" PRIu64 ") before the directory entry "
				 "of %s was synced, so a power loss can take the whole log: %s",
				 lint_promise_verb(s), s->position, shown,
				 lint_missing_dirsync(s, w->name, named, "its creation",
						      lint_promise_noun(s), text));
	}
}

/* ---- checkpoints ---- */

/* The newest frame with this page and content; PAGE_MAP_NONE when there is none. */
static uint32_t find_frame(const struct wal *w, uint32_t page, uint64_t hash)
{
	uint32_t i = page_map_get(&w->pages, page);

	for (int n = 0; i != PAGE_MAP_NONE && n < LINT_CHAIN_MAX; n++, i = w->frames[i].before)
		if (w->frames[i].is_hashed && w->frames[i].hash == hash)
			return i;
	return PAGE_MAP_NONE;
}

static void check_copied(struct scan *s, struct database *d, uint32_t page, uint32_t frame)
{
	struct wal *w = &d->wal;
	const struct commit *c = commit_of(w, frame);
	uint64_t needed = c != NULL ? c->written : w->frames[frame].written;
	uint64_t named = s->paths[w->name].changed;
	char wal[SHOWN_NAME_SIZE], database[SHOWN_NAME_SIZE], text[SHOWN_TEXT_SIZE], what[64];
	struct lint_finding *f;

	lint_show_name(s, w->name, wal);
	lint_show_name(s, d->name, database);
	if (!is_durable(syncs_of(s, w), needed)) {
		f = lint_report(s, LINT_LOG_BEFORE_CHECKPOINT, d, needed);
		snprintf(what, sizeof what, "the commit of frame %" PRIu32, frame + 1);
		if (f != NULL)
			snprintf(f->message, sizeof f->message,
				 "page %" PRIu32
				 " of %s was overwritten by a checkpoint (op %" PRIu64
				 ") before the log that it came from was synced: %s",
				 page, database, s->position,
				 lint_missing_sync(s, w->inode, w->name, needed, what, "the page",
						   text));
	}
	if (!lint_is_name_durable(s, w->name)) {
		f = lint_report(s, LINT_LOG_NAME_BEFORE_CHECKPOINT, d, named);
		if (f != NULL)
			snprintf(f->message, sizeof f->message,
				 "page %" PRIu32
				 " of %s was overwritten by a checkpoint (op %" PRIu64
				 ") before the directory entry of %s was synced: %s",
				 page, database, s->position, wal,
				 lint_missing_dirsync(s, w->name, named, "its creation", "the page",
						      text));
	}
}

bool lint_wal_page(struct scan *s, struct database *d, const struct op *op)
{
	struct wal *w = &d->wal;
	uint64_t page_size = w->header.page_size, end = op->offset + op->size;
	bool logged = false;

	if (!w->is_valid || w->frame_count == 0)
		return false;
	for (uint64_t at = op->offset / page_size * page_size; at < end; at += page_size) {
		uint64_t page = at / page_size + 1;
		uint32_t frame;

		if (page > UINT32_MAX)
			break;
		if (page_map_get(&w->pages, (uint32_t)page) == PAGE_MAP_NONE)
			continue;
		logged = true;
		if (at < op->offset || at + page_size > end)
			continue;
		frame = find_frame(w, (uint32_t)page,
				   hash64(op->data + (at - op->offset), page_size, 0));
		if (frame != PAGE_MAP_NONE)
			check_copied(s, d, (uint32_t)page, frame);
	}
	if (logged)
		d->checkpointed = s->position;
	return logged;
}
