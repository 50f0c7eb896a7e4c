/*
 * Reads a rollback journal and a super-journal. Bytes in, nothing of SQLite's code, nothing kept;
 * buffers are borrowed.
 *
 * https://www.sqlite.org/fileformat2.html, section 3 ("The Rollback Journal"); the super-journal
 * and its name inside a journal: pager.c, writeSuperJournal() and readSuperJournal(). Numbers are
 * big-endian.
 *
 *     header, 28 bytes, padded to the sector size      record, page size + 8 bytes
 *      0  magic d9 d5 05 f9 20 a1 63 d7                 0    page number
 *      8  count of the records that follow              4    the page as it was
 *     12  nonce of the records' checksums               4+P  checksum
 *     16  size of the database in pages, before
 *     20  sector size                                  name of the super-journal, at the very end
 *     24  page size                                     0    number of the lock page
 *                                                       4    the name, n bytes, no terminator
 *     A journal is a sequence of segments, each a       4+n  n
 *     header and its records. A header begins at        8+n  sum of the name's bytes, as char
 *     a multiple of the sector size; sizes are          12+n magic
 *     those of the first.
 *
 * The count is 0xffffffff where records count as far as the file reaches (synchronous=OFF, or a
 * device with safe appends). While a count is 0 or the magic is zero, the segment restores
 * nothing: SQLite writes a header with zeros there, then records, syncs them, and only then fills
 * in magic and count. Zeros over the magic end a journal in PERSIST mode.
 *
 * The checksum is the nonce and every 200th byte of the page, counted from its end, the first
 * 200 left out: it tells a record that was never written, not every one that is damaged.
 */
#ifndef FI_FORMAT_JOURNAL_H
#define FI_FORMAT_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	JOURNAL_MAGIC_SIZE = 8,
	JOURNAL_COUNT_AT = 8,
	JOURNAL_HEADER_SIZE = 28,
	JOURNAL_RECORD_OVERHEAD = 8, /* page number and checksum */
	JOURNAL_SECTOR_SIZE_MIN = 32,
	JOURNAL_SECTOR_SIZE_MAX = 65536,
	JOURNAL_SUPER_TAIL = 16, /* behind the name: its size, checksum, magic */
	JOURNAL_SUPER_NAME_MAX = 4096,
};
#define JOURNAL_COUNT_BY_SIZE 0xffffffffu

struct journal_header {
	bool has_magic; /* otherwise it restores nothing */
	uint32_t record_count;
	uint32_t nonce;
	uint32_t page_count; /* of the database, before */
	uint32_t sector_size;
	uint32_t page_size;
};

struct journal_record {
	uint32_t page;		/* 0 and the lock page are no page: playback stops there */
	const uint8_t *content; /* borrowed, page_size bytes */
	uint32_t checksum;	/* as it stands there */
	bool checksum_holds;
};

/* One header and what it counts, in a whole journal. */
struct journal_segment {
	uint64_t offset; /* of the header, in the file */
	struct journal_header header;
	uint64_t record_count; /* that lie in the file: by its size where the header says so */
};

/* False: fewer than JOURNAL_HEADER_SIZE bytes, neither magic nor zeros in its place, or sizes that
 * cannot be. */
bool journal_header_read(const uint8_t *bytes, size_t size, struct journal_header *ret);

static inline uint64_t journal_record_size(const struct journal_header *h)
{
	return (uint64_t)h->page_size + JOURNAL_RECORD_OVERHEAD;
}

/* Where the next header after `offset` begins: rounded up to a sector. */
static inline uint64_t journal_header_offset(uint64_t offset, uint32_t sector_size)
{
	return (offset + sector_size - 1) / sector_size * sector_size;
}

/* As SQLite samples it. */
uint32_t journal_checksum(uint32_t nonce, const uint8_t *content, uint32_t page_size);

/* False: fewer bytes than a record has. */
bool journal_record_read(const uint8_t *bytes, size_t size, const struct journal_header *h,
			 struct journal_record *ret);

/* Segments of the whole journal bytes[size]. First: at offset 0. Next: behind the records of *s,
 * which it replaces; its sizes stay those of the first. False: there is none. A hot journal is
 * played back segment by segment, up to the first without magic or with a record that does not
 * hold: the caller decides whether to go on. */
bool journal_segment_first(const uint8_t *bytes, uint64_t size, struct journal_segment *ret);
bool journal_segment_next(const uint8_t *bytes, uint64_t size, struct journal_segment *s);

/* Record i of a segment, i < record_count. */
void journal_segment_record(const uint8_t *bytes, const struct journal_segment *s, uint64_t i,
			    struct journal_record *ret);

/* The name of the super-journal that a journal ends with. `bytes`: the last `size` bytes of the
 * file, at most all. False: there is none that counts, or it is longer than
 * JOURNAL_SUPER_NAME_MAX or than the bytes given. *ret_name is borrowed and has no terminator. */
bool journal_super_name(const uint8_t *bytes, size_t size, const uint8_t **ret_name,
			size_t *ret_size);

/* A super-journal is the names of its journals, each with a terminator. The name at *at, which
 * moves behind it; NULL at the end, and where a terminator is missing. */
const char *super_journal_next(const uint8_t *bytes, size_t size, size_t *at);

#endif
