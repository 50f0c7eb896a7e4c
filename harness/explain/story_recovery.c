/*
 * What the crash left of each database's journal and log, read as SQLite would read it
 * (faultinject/format/), in sentences: why recovery did what it did.
 *
 * The rules by which a journal is hot: it is there and not empty, nobody holds RESERVED (nobody is
 * alive), its first header has the magic, and the super-journal that it names, if any, is there:
 * https://www.sqlite.org/lockingv3.html, "Hot journals"; pager.c, hasHotJournal() and
 * pager_playback(). A log counts up to its last commit frame with all checksums before it:
 * https://www.sqlite.org/walformat.html.
 */
#include "harness/explain/story_internal.h"

#include "faultinject/base/buf.h"
#include "faultinject/format/btree.h"
#include "faultinject/format/journal.h"
#include "faultinject/format/wal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LEFT_BYTES_MAX = 64 << 20 }; /* of a journal or log that is looked through */

static void say(struct telling *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct telling *t, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	*STORY_ADD(t->s, recovery, recovery) = story_text("%s", text);
	free(text);
}

/* The file, whole; owned by the caller. NULL: there is none (*ret_size is 0), or it is larger than
 * LEFT_BYTES_MAX. */
static uint8_t *read_left(struct crashdisk *disk, const char *path, uint64_t *ret_size)
{
	struct crashdisk_left left;
	uint8_t *bytes;

	*ret_size = 0;
	if (!crashdisk_left_open(disk, path, &left))
		return NULL;
	*ret_size = crashdisk_left_size(&left);
	if (*ret_size > LEFT_BYTES_MAX)
		return NULL;
	bytes = xcalloc((size_t)*ret_size + 1, 1);
	crashdisk_left_read(&left, 0, bytes, (size_t)*ret_size);
	return bytes;
}

uint32_t story_page_size(const struct telling *t, const char *path)
{
	const struct trace *trace = t->c->trace;
	uint32_t name = trace_find_name(trace, path), page_size = 0;
	struct database_header header;

	if (name == 0)
		return 0;
	uint32_t inode = index_live_inode(t->ix, name, t->c->state.position);
	for (size_t i = 0; i < trace->base_count; i++)
		if (trace->base[i].name == name && trace->base[i].data != NULL &&
		    database_header_read(trace->base[i].data, (size_t)trace->base[i].size, &header))
			page_size = header.page_size;
	for (uint64_t p = 1; p <= t->c->state.position; p++) {
		const struct op *op = trace_at(trace, p);
		if (op->kind == OP_WRITE && op->inode == inode && op->offset == 0 &&
		    database_header_read(op->data, (size_t)op->size, &header))
			page_size = header.page_size;
	}
	/* In WAL mode a new database may be in its log alone. */
	for (uint64_t p = 1; p <= trace->op_count && page_size == 0; p++) {
		const struct op *op = trace_at(trace, p);
		struct wal_header log;
		if (op->kind == OP_WRITE && op->offset == 0 &&
		    wal_header_read(op->data, (size_t)op->size, &log))
			page_size = log.page_size;
	}
	return page_size;
}

/* ---- journals ------------------------------------------------------------------------------ */

/* Records of a journal, as playback goes through them. */
struct playback {
	uint64_t records;
	uint64_t *pages; /* owned; ascending, no page twice */
	size_t page_count, page_cap;
	bool broken; /* stopped at a record that does not hold */
};

static int compare_pages(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void play_back(const uint8_t *bytes, uint64_t size, struct playback *ret)
{
	struct journal_segment s;
	bool more = journal_segment_first(bytes, size, &s);

	while (more && s.header.has_magic && !ret->broken) {
		for (uint64_t i = 0; i < s.record_count; i++) {
			struct journal_record r;
			journal_segment_record(bytes, &s, i, &r);
			if (r.page == 0 || !r.checksum_holds) {
				ret->broken = true;
				break;
			}
			ret->records++;
			ret->pages =
			    xgrow(ret->pages, ret->page_count, &ret->page_cap, sizeof *ret->pages);
			ret->pages[ret->page_count++] = r.page;
		}
		more = !ret->broken && journal_segment_next(bytes, size, &s);
	}
	if (ret->page_count > 1)
		qsort(ret->pages, ret->page_count, sizeof *ret->pages, compare_pages);
	size_t distinct = 0;
	for (size_t i = 0; i < ret->page_count; i++)
		if (i == 0 || ret->pages[i] != ret->pages[i - 1])
			ret->pages[distinct++] = ret->pages[i];
	ret->page_count = distinct;
}

/* The super-journal that a journal names is not there any more. *ret_name: a copy, or NULL when it
 * names none. */
static bool super_is_gone(struct crashdisk *disk, const uint8_t *bytes, uint64_t size,
			  char **ret_name)
{
	const uint8_t *name;
	size_t name_size;
	struct crashdisk_left left;

	*ret_name = NULL;
	if (!journal_super_name(bytes, (size_t)size, &name, &name_size))
		return false;
	*ret_name = xcalloc(name_size + 1, 1);
	memcpy(*ret_name, name, name_size);
	return !crashdisk_left_open(disk, *ret_name, &left) || crashdisk_left_size(&left) == 0;
}

/* The file of the trace that a file on the crashed disk is; 0: one that only a recovery knew. */
static uint32_t inode_of(struct crashdisk *disk, const char *path)
{
	struct crashdisk_left left;

	if (!crashdisk_left_open(disk, path, &left) || left.disk != crashdisk_lowest(disk))
		return 0;
	return left.inode;
}

/* A record of the journal, by where it lies in the file. */
struct placed_record {
	uint64_t offset, number; /* from 1 */
	uint32_t page;
	bool written; /* these bytes stood there once */
};

enum { PLACED_MAX = 1 << 16 }; /* records that are looked at; of later ones nothing is said */

/* Which of the records were ever so in the file: its operations again, over an image of it. */
static void find_written(const struct telling *t, uint32_t inode, const uint8_t *bytes,
			 uint64_t size, uint64_t record_size, struct placed_record *r, size_t count)
{
	const struct trace *trace = t->c->trace;
	uint8_t *image = xcalloc((size_t)size + 1, 1);

	for (size_t i = 0; i < trace->base_count; i++)
		if (trace->base[i].inode == inode && trace->base[i].data != NULL)
			memcpy(image, trace->base[i].data,
			       (size_t)(trace->base[i].size < size ? trace->base[i].size : size));
	for (uint64_t p = 0; p <= t->c->state.position; p++) {
		const struct op *op = p == 0 ? NULL : trace_at(trace, p);
		uint64_t from = 0, until = size;

		if (op != NULL && op->inode != inode)
			continue;
		if (op != NULL && op->kind == OP_TRUNCATE) { /* it may have grown, too */
			if (op->size < size)
				memset(image + op->size, 0, (size_t)(size - op->size));
			continue;
		}
		if (op != NULL) {
			if (op->kind != OP_WRITE || op->offset >= size)
				continue;
			from = op->offset;
			until = op->size < size - from ? from + op->size : size;
			memcpy(image + from, op->data, (size_t)(until - from));
		}
		for (size_t i = 0; i < count; i++)
			if (!r[i].written && r[i].offset < until &&
			    r[i].offset + record_size > from)
				r[i].written = memcmp(image + r[i].offset, bytes + r[i].offset,
						      (size_t)record_size) == 0;
	}
	free(image);
}

/* Records that are played back although they were never written so: torn ones, whose checksum
 * holds because it samples. */
static void tell_unsampled(struct telling *t, uint32_t inode, const char *journal,
			   const uint8_t *bytes, uint64_t size)
{
	struct placed_record *r = NULL;
	size_t count = 0, cap = 0, damaged = 0;
	struct journal_segment s;
	uint64_t record_size = 0, numbers[64];
	bool more = inode != 0 && journal_segment_first(bytes, size, &s);

	while (more && s.header.has_magic) {
		bool holds = true;
		record_size = journal_record_size(&s.header);
		for (uint64_t i = 0; i < s.record_count && holds && count < PLACED_MAX; i++) {
			struct journal_record record;
			journal_segment_record(bytes, &s, i, &record);
			holds = record.page != 0 && record.checksum_holds;
			if (!holds)
				break;
			r = xgrow(r, count, &cap, sizeof *r);
			r[count] = (struct placed_record){
			    .offset = s.offset + s.header.sector_size + i * record_size,
			    .number = count + 1,
			    .page = record.page};
			count++;
		}
		more = holds && count < PLACED_MAX && journal_segment_next(bytes, size, &s);
	}
	if (count > 0)
		find_written(t, inode, bytes, size, record_size, r, count);
	for (size_t i = 0; i < count; i++)
		if (!r[i].written && damaged < 64)
			numbers[damaged++] = r[i].number;
	if (damaged > 0) {
		struct buf b;
		buf_init(&b);
		story_numbers(&b, numbers, damaged);
		say(t,
		    "record%s %s of %s %s damaged, and %s, which %s every 200th byte, %s not show "
		    "it: what is restored was never in %s",
		    damaged == 1 ? "" : "s", buf_str(&b), journal, damaged == 1 ? "is" : "are",
		    damaged == 1 ? "its checksum" : "their checksums",
		    damaged == 1 ? "samples" : "sample", damaged == 1 ? "does" : "do",
		    damaged == 1 ? "that page" : "those pages");
		buf_release(&b);
	}
	free(r);
}

static void tell_hot(struct telling *t, struct left_database *d, const char *journal,
		     const uint8_t *bytes, uint64_t size, const struct journal_segment *first)
{
	struct playback p = {0};
	struct buf b;

	play_back(bytes, size, &p);
	d->hot = true;
	d->damaged = p.broken;
	buf_init(&b);
	buf_printf(&b, "%s is there and hot: ", journal);
	if (p.records == 0 && !p.broken) {
		buf_printf(&b, "it has no record that counts");
	} else {
		buf_printf(&b, "it has ");
		story_count(&b, p.records, "record");
		if (p.page_count > 0) {
			buf_printf(&b, " (page%s ", p.page_count == 1 ? "" : "s");
			story_numbers(&b, p.pages, p.page_count);
			buf_printf(&b, " as %s before)",
				   p.page_count == 1 ? "it was" : "they were");
		}
	}
	buf_printf(&b, ", so SQLite takes the transaction for unfinished and rolls it back, to ");
	story_count(&b, first->header.page_count, "page");
	buf_printf(&b, " of %s", d->name);
	say(t, "%s", buf_str(&b));
	if (p.broken)
		say(t,
		    "after %" PRIu64 " record%s of %s the next one does not hold: its content had "
		    "not reached the disk, and playback stops there",
		    p.records, p.records == 1 ? "" : "s", journal);
	tell_unsampled(t, d->journal, journal, bytes, size);
	buf_release(&b);
	free(p.pages);
}

static bool is_zeros(const uint8_t *bytes)
{
	static const uint8_t zeros[JOURNAL_HEADER_SIZE];

	return memcmp(bytes, zeros, sizeof zeros) == 0;
}

/* The operation that put zeros over the header of the journal, and that is on the disk as the last
 * one that wrote the header; 0: none. */
static uint64_t zeroed_by(const struct telling *t, const struct left_database *d,
			  struct crashdisk *disk)
{
	struct crashdisk *lowest = crashdisk_lowest(disk);

	for (uint64_t p = t->c->state.position; p > 0 && d->journal != 0; p--) {
		const struct op *op = trace_at(t->c->trace, p);
		struct crashdisk_told told;

		if (op->kind != OP_WRITE || op->inode != d->journal || op->offset != 0 ||
		    op->size < JOURNAL_HEADER_SIZE)
			continue;
		crashdisk_told(lowest, p, &told);
		if (told.fate == CRASHDISK_DURABLE || told.fate == CRASHDISK_KEPT)
			return is_zeros(op->data) ? p : 0;
	}
	return 0;
}

static bool was_in_base(const struct trace *trace, uint32_t inode)
{
	for (size_t i = 0; i < trace->base_count; i++)
		if (trace->base[i].inode == inode && trace->base[i].data != NULL &&
		    trace->base[i].size >= JOURNAL_HEADER_SIZE && is_zeros(trace->base[i].data))
			return true;
	return false;
}

/* A journal without magic: zeros over its whole header end it (PERSIST); sizes without magic are a
 * header that a second write was to make valid; anything else is none that anybody wrote. */
static void tell_no_magic(struct telling *t, const struct left_database *d, const char *name,
			  const uint8_t *bytes, uint64_t size, struct crashdisk *disk)
{
	bool blank = size >= JOURNAL_HEADER_SIZE && is_zeros(bytes);
	uint64_t by = blank ? zeroed_by(t, d, disk) : 0;
	struct journal_header h;

	if (by != 0)
		say(t,
		    "%s is there, and its header is zeroed (operation %" PRIu64
		    "): its transaction has ended, and it restores nothing",
		    name, by);
	else if (blank && was_in_base(t->c->trace, d->journal))
		say(t,
		    "%s is there, and its header is zeroed, as it was before the run: it restores "
		    "nothing",
		    name);
	else if (journal_header_read(bytes, (size_t)size, &h))
		say(t,
		    "%s is there, and its header was never made valid: it has sizes, and zeros "
		    "where the magic belongs, so it restores nothing",
		    name);
	else
		say(t, "%s is there, and is no journal: its header had not reached the disk", name);
}

static void tell_journal(struct telling *t, struct left_database *d, struct crashdisk *disk)
{
	char *path = xasprintf("%s-journal", d->path), *super = NULL;
	const char *name = story_base_name(path);
	uint64_t size;
	uint8_t *bytes = read_left(disk, path, &size);
	struct journal_segment first;
	struct crashdisk_left database;

	d->has_journal = size > 0;
	d->journal = inode_of(disk, path);
	if (size > 0 && bytes == NULL) {
		say(t, "%s is there, with %" PRIu64 " bytes: too large to be told", name, size);
	} else if (size > 0 &&
		   (!journal_segment_first(bytes, size, &first) || !first.header.has_magic)) {
		tell_no_magic(t, d, name, bytes, size, disk);
	} else if (size > 0 && (!crashdisk_left_open(disk, d->path, &database) ||
				crashdisk_left_size(&database) == 0)) {
		/* pager.c, hasHotJournal(): "If the database is zero pages in size". */
		say(t,
		    "%s is there, beside a %s without a page: SQLite deletes such a journal, and "
		    "rolls nothing back",
		    name, d->name);
	} else if (size > 0 && super_is_gone(disk, bytes, size, &super)) {
		say(t,
		    "%s is there, and names the super-journal %s, which is gone: the transaction "
		    "was committed, and the journal restores nothing",
		    name, story_base_name(super));
	} else if (size > 0) {
		tell_hot(t, d, name, bytes, size, &first);
		if (super != NULL)
			say(t, "%s names the super-journal %s, which is still there: so it counts",
			    name, story_base_name(super));
	}
	free(super);
	free(bytes);
	free(path);
}

/* ---- logs ---------------------------------------------------------------------------------- */

/* Goes through the frames; `damages`: writes may damage what is beside them; *ret_why is static:
 * why the next one does not count. */
static void walk_log(struct left_database *d, const uint8_t *bytes, uint64_t size,
		     const struct wal_header *h, bool damages, const char **ret_why)
{
	uint64_t frame_size = WAL_FRAME_HEADER_SIZE + (uint64_t)h->page_size;
	struct wal_checksum sum = h->checksum;
	uint64_t at = WAL_HEADER_SIZE;
	struct wal_frame f;

	*ret_why = NULL;
	d->frames_there = size > WAL_HEADER_SIZE ? (size - WAL_HEADER_SIZE) / frame_size : 0;
	for (uint64_t i = 0; i < d->frames_there && *ret_why == NULL; i++, at += frame_size) {
		if (!wal_frame_read(bytes + at, (size_t)(size - at), &f) ||
		    !wal_frame_is_current(h, &f)) {
			bool blank = f.page == 0 && f.salt[0] == 0 && f.salt[1] == 0;
			*ret_why = blank ? "is blank: it had not reached the disk"
					 : "is of an earlier turn of the log";
		} else if (!wal_frame_holds(h, bytes + at, &sum)) {
			*ret_why = damages
				       ? "does not hold its checksum: not all of it had reached "
					 "the disk, or it was damaged there"
				       : "does not hold its checksum: not all of it had "
					 "reached the disk";
		} else {
			d->frames++;
			if (wal_frame_is_commit(&f))
				d->commit = d->frames;
		}
	}
}

static void tell_log(struct telling *t, struct left_database *d, struct crashdisk *disk)
{
	char *path = xasprintf("%s-wal", d->path);
	const char *name = story_base_name(path), *why = NULL;
	uint64_t size;
	uint8_t *bytes = read_left(disk, path, &size);
	struct wal_header h;
	struct buf b;

	d->has_log = size > 0;
	buf_init(&b);
	if (size > 0 && bytes == NULL) {
		say(t, "%s is there, with %" PRIu64 " bytes: too large to be told", name, size);
	} else if (size > 0 && !wal_header_read(bytes, (size_t)size, &h)) {
		say(t, "%s is there, and its header had not reached the disk: it counts as empty",
		    name);
	} else if (size > 0 && !h.checksum_holds) {
		say(t,
		    "%s is there, and the checksum of its header does not hold: it counts as "
		    "empty",
		    name);
	} else if (size > 0) {
		walk_log(d, bytes, size, &h, t->model.no_psow, &why);
		if (d->frames_there == 0)
			say(t, "%s is there and holds no frame: %s is read alone", name, d->name);
	}
	if (d->frames_there > 0) {
		buf_printf(&b, "%s has ", name);
		story_count(&b, d->frames_there, "frame");
		if (d->frames == d->frames_there)
			buf_printf(&b, d->frames == 1 ? ", which counts" : ", and all count");
		else
			buf_printf(&b, ", of which %" PRIu64 " count%s: frame %" PRIu64 " %s",
				   d->frames, d->frames == 1 ? "s" : "", d->frames + 1, why);
		if (d->commit == 0)
			buf_printf(&b, "; there is no commit among them, so %s is read alone",
				   d->name);
		else
			buf_printf(&b, "; the last commit is frame %" PRIu64, d->commit);
		say(t, "%s", buf_str(&b));
	}
	buf_release(&b);
	free(bytes);
	free(path);
}

void story_tell_left(struct telling *t, struct crashdisk *disk)
{
	for (size_t f = 0; f < t->left_count; f++) {
		struct left_database *d = &t->left[f];
		struct crashdisk_left left;

		d->has_journal = d->hot = d->damaged = d->has_log = d->rolled_back = false;
		d->frames = d->commit = d->frames_there = 0;
		tell_journal(t, d, disk);
		tell_log(t, d, disk);
		if (!crashdisk_left_open(disk, d->path, &left))
			say(t, "%s was not there: its creation had not reached the disk", d->name);
		else if (crashdisk_left_size(&left) == 0)
			say(t, "%s was empty", d->name);
		else if (!d->has_journal && !d->has_log)
			say(t,
			    "%s had neither a journal nor a log beside it: there was nothing to "
			    "roll back and nothing to replay",
			    d->name);
	}
}
