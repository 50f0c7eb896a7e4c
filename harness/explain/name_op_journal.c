/*
 * Rollback journals and super-journals in words.
 *
 * SQLite writes a header; then for each page its number, the page as it was, and a checksum, three
 * writes; then the count into the header; and with a super-journal first its name, in five. What
 * each write is follows from its place. A part that SQLite does not write so is named plainly.
 */
#include "harness/explain/name_op_internal.h"

#include "faultinject/base/assert.h"
#include "harness/explain/clean.h"

#include <inttypes.h>
#include <string.h>

enum { COUNT_END = JOURNAL_COUNT_AT + 4 };

void journal_ended(struct name_database *d)
{
	d->journal = (struct name_journal){0};
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

/* ---- headers ---- */

static void header_words(struct op_names *n, const struct journal_header *h)
{
	struct buf *line = &n->line;

	buf_printf(line, "journal header");
	if (!h->has_magic)
		buf_printf(line, ", which does not count yet");
	else if (h->record_count == JOURNAL_COUNT_BY_SIZE)
		buf_printf(line, ": every record that is there counts");
	else
		buf_printf(line, ": %" PRIu32 " record%s", h->record_count,
			   plural(h->record_count));
	buf_printf(line, "%s database had %" PRIu32 " page%s", h->has_magic ? "," : ":",
		   h->page_count, plural(h->page_count));
}

/* Magic and count are filled in. */
static void count_words(struct op_names *n, const uint8_t *data)
{
	static const uint8_t zeros[JOURNAL_MAGIC_SIZE];
	uint32_t count = get_be32(data + JOURNAL_COUNT_AT);

	if (memcmp(data, zeros, sizeof zeros) == 0)
		buf_printf(&n->line, "journal header zeroed: the journal has ended");
	else
		buf_printf(&n->line, "journal header made valid: %" PRIu32 " record%s", count,
			   plural(count));
}

/* A write at the start of the file. True: the journal ended by it. */
static bool first_header_written(struct op_names *n, struct name_database *d, const struct op *op)
{
	static const uint8_t zeros[JOURNAL_HEADER_SIZE];
	struct name_journal *j = &d->journal;
	struct journal_header h;

	if (op->size >= COUNT_END && op->size < JOURNAL_HEADER_SIZE) {
		count_words(n, op->data);
		return memcmp(op->data, zeros, JOURNAL_MAGIC_SIZE) == 0;
	}
	if (op->size == JOURNAL_HEADER_SIZE && memcmp(op->data, zeros, sizeof zeros) == 0) {
		count_words(n, op->data);
		return true;
	}
	if (!journal_header_read(op->data, op->size, &h)) {
		names_plain(n, op);
		return false;
	}
	*j = (struct name_journal){.open = true, .header = h, .first = 1};
	header_words(n, &h);
	return false;
}

/* ---- the name of the super-journal ---- */

static bool is_lock_page(const struct name_journal *j, const struct op *op)
{
	return op->size >= 4 && get_be32(op->data) == DATABASE_LOCK_BYTE / j->header.page_size + 1;
}

/* A name as it stands in a file: that of a file of the trace, or whatever it is. */
static void name_words(struct op_names *n, const void *name, size_t size)
{
	char path[TRACE_NAME_MAX + 1];
	uint32_t known = 0;

	if (size <= TRACE_NAME_MAX) {
		memcpy(path, name, size);
		path[size] = 0;
		known = trace_find_name(n->t, path);
	}
	if (known != 0)
		names_show(n, known);
	else
		clean_append(&n->line, name, size, OP_NAMES_SHOWN_MAX);
}

static void super_name_words(struct op_names *n, const uint8_t *name, uint64_t size)
{
	buf_printf(&n->line, "name of the super-journal: ");
	name_words(n, name, (size_t)size);
}

static void super_written(struct op_names *n, struct name_journal *j, const struct op *op)
{
	uint64_t at = op->offset - j->super, end = 4 + j->super_size;

	if (at == 0 && op->size == 4) {
		buf_printf(&n->line, "name of the super-journal follows");
	} else if (at == 0) {
		const uint8_t *name;
		size_t size;

		if (journal_super_name(op->data, (size_t)op->size, &name, &size))
			super_name_words(n, name, size);
		else
			buf_printf(&n->line, "name of the super-journal");
	} else if (at == 4) {
		j->super_size = op->size;
		super_name_words(n, op->data, op->size);
	} else if (j->super_size != 0 && at == end && op->size == 4) {
		buf_printf(&n->line, "size of the super-journal's name");
	} else if (j->super_size != 0 && at == end + 4 && op->size == 4) {
		buf_printf(&n->line, "checksum of the super-journal's name");
	} else if (j->super_size != 0 && at == end + 8) {
		buf_printf(&n->line, "end of the super-journal's name: it counts from now on");
	} else {
		names_plain(n, op);
	}
}

/* ---- records ---- */

static void record_written(struct op_names *n, struct name_database *d, const struct op *op,
			   uint64_t number, uint64_t at, uint64_t each)
{
	struct name_journal *j = &d->journal;
	uint32_t page_size = j->header.page_size;

	if (at == 0 && op->size >= 4) {
		j->in_hand = number;
		j->page = get_be32(op->data);
	}
	buf_printf(&n->line, "journal record %" PRIu64 ": ", number);
	if (at == 0 && op->size == 4) {
		buf_printf(&n->line, "it is for page %" PRIu32, j->page);
		database_owner(n, d, j->page);
	} else if (j->in_hand == number &&
		   ((at == 4 && op->size == page_size) ||
		    (at == 0 && (op->size == each || op->size == each - 4)))) {
		buf_printf(&n->line, "page %" PRIu32 " as it was", j->page);
		database_owner(n, d, j->page);
	} else if (j->in_hand == number && at == 4 + (uint64_t)page_size && op->size == 4) {
		buf_printf(&n->line, "checksum of page %" PRIu32, j->page);
		database_owner(n, d, j->page);
	} else {
		names_plain(n, op);
	}
}

static void records_written(struct op_names *n, struct name_database *d, const struct op *op)
{
	struct name_journal *j = &d->journal;
	uint64_t begin = j->segment + j->header.sector_size, each = journal_record_size(&j->header);
	uint64_t index, at, last;

	if (op->offset < begin) {
		buf_printf(&n->line, "padding of the journal header");
		return;
	}
	index = (op->offset - begin) / each;
	at = (op->offset - begin) % each;
	last = (op->offset + op->size - 1 - begin) / each;
	/* SQLite leaves no gaps. */
	if (index > j->records) {
		names_plain(n, op);
		return;
	}
	if (last + 1 > j->records)
		j->records = last + 1;
	if (last == index) {
		record_written(n, d, op, j->first + index, at, each);
		return;
	}
	buf_printf(&n->line, "%sjournal records %" PRIu64 " to %" PRIu64,
		   at != 0 || op->size % each != 0 ? "parts of " : "", j->first + index,
		   j->first + last);
}

/* Where the records of the last segment end, perhaps after padding. True: it was named. */
static bool behind_records(struct op_names *n, struct name_journal *j, const struct op *op)
{
	uint64_t end =
	    j->segment + j->header.sector_size + j->records * journal_record_size(&j->header);
	uint64_t aligned = journal_header_offset(end, j->header.sector_size);
	struct journal_header h;

	if (op->offset != end && op->offset != aligned)
		return false;
	if (is_lock_page(j, op)) {
		j->super = op->offset;
		j->super_size = 0;
		super_written(n, j, op);
		return true;
	}
	if (op->offset != aligned)
		return false;
	if (op->size == 1 && op->data[0] == 0) {
		buf_printf(&n->line, "a zero behind the records, so that nothing older counts");
		return true;
	}
	if (!journal_header_read(op->data, op->size, &h))
		return false;
	j->first += j->records;
	j->records = 0;
	j->segment = op->offset;
	buf_printf(&n->line, "another ");
	header_words(n, &h);
	return true;
}

bool journal_written(struct op_names *n, struct name_database *d, const struct op *op)
{
	struct name_journal *j = &d->journal;

	if (op->size == 0) {
		names_plain(n, op);
		return false;
	}
	if (op->offset == 0)
		return first_header_written(n, d, op);
	if (!j->open)
		names_plain(n, op);
	else if (j->super != 0 && op->offset >= j->super)
		super_written(n, j, op);
	else if (behind_records(n, j, op))
		;
	else if (op->offset == j->segment && op->size >= COUNT_END &&
		 op->size < JOURNAL_HEADER_SIZE)
		count_words(n, op->data);
	else
		records_written(n, d, op);
	return false;
}

void super_journal_written(struct op_names *n, const struct op *op)
{
	size_t at = 0, count = 0;
	const char *name;

	while ((name = super_journal_next(op->data, (size_t)op->size, &at)) != NULL) {
		if (count == OP_NAMES_OWNERS_SHOWN) {
			buf_printf(&n->line, " and others");
			return;
		}
		buf_printf(&n->line, count++ == 0 ? "super-journal: names " : ", ");
		name_words(n, name, strlen(name));
	}
	if (count == 0)
		names_plain(n, op);
}
