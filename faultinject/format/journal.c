/* See journal.h. */
#include "faultinject/format/journal.h"

#include "faultinject/base/assert.h"
#include "faultinject/format/btree.h"

#include <string.h>

enum {
	CHECKSUM_STEP = 200,
};

static const uint8_t magic[JOURNAL_MAGIC_SIZE] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};

static bool is_power_of_two(uint32_t v, uint32_t min, uint32_t max)
{
	return v >= min && v <= max && (v & (v - 1)) == 0;
}

bool journal_header_read(const uint8_t *bytes, size_t size, struct journal_header *ret)
{
	static const uint8_t zeros[JOURNAL_MAGIC_SIZE];
	struct journal_header h;

	if (size < JOURNAL_HEADER_SIZE)
		return false;
	h = (struct journal_header){
	    .has_magic = memcmp(bytes, magic, sizeof magic) == 0,
	    .record_count = get_be32(bytes + JOURNAL_COUNT_AT),
	    .nonce = get_be32(bytes + 12),
	    .page_count = get_be32(bytes + 16),
	    .sector_size = get_be32(bytes + 20),
	    .page_size = get_be32(bytes + 24),
	};
	if (!h.has_magic && memcmp(bytes, zeros, sizeof zeros) != 0)
		return false;
	if (!is_power_of_two(h.sector_size, JOURNAL_SECTOR_SIZE_MIN, JOURNAL_SECTOR_SIZE_MAX) ||
	    !is_power_of_two(h.page_size, DATABASE_PAGE_SIZE_MIN, DATABASE_PAGE_SIZE_MAX))
		return false;
	*ret = h;
	return true;
}

uint32_t journal_checksum(uint32_t nonce, const uint8_t *content, uint32_t page_size)
{
	uint32_t sum = nonce;

	for (uint32_t i = page_size; i > CHECKSUM_STEP; i -= CHECKSUM_STEP)
		sum += content[i - CHECKSUM_STEP];
	return sum;
}

bool journal_record_read(const uint8_t *bytes, size_t size, const struct journal_header *h,
			 struct journal_record *ret)
{
	if (size < journal_record_size(h))
		return false;
	*ret = (struct journal_record){
	    .page = get_be32(bytes),
	    .content = bytes + 4,
	    .checksum = get_be32(bytes + 4 + h->page_size),
	};
	ret->checksum_holds =
	    ret->checksum == journal_checksum(h->nonce, ret->content, h->page_size);
	return true;
}

/* The header at s->offset is read; how many of its records does the file hold? */
static void count_records(struct journal_segment *s, uint64_t size)
{
	uint64_t from = s->offset + s->header.sector_size;
	uint64_t fit = size > from ? (size - from) / journal_record_size(&s->header) : 0;

	s->record_count = s->header.record_count;
	if (s->record_count > fit)
		s->record_count = fit;
}

bool journal_segment_first(const uint8_t *bytes, uint64_t size, struct journal_segment *ret)
{
	struct journal_segment s = {0};

	if (!journal_header_read(bytes, size, &s.header))
		return false;
	count_records(&s, size);
	*ret = s;
	return true;
}

bool journal_segment_next(const uint8_t *bytes, uint64_t size, struct journal_segment *s)
{
	struct journal_segment next = *s;
	uint32_t sector_size = s->header.sector_size, page_size = s->header.page_size;
	uint64_t end = s->offset + sector_size + s->record_count * journal_record_size(&s->header);

	next.offset = journal_header_offset(end, sector_size);
	/* SQLite wants the whole sector of a header to be there. */
	if (next.offset > size || size - next.offset < sector_size ||
	    !journal_header_read(bytes + next.offset, size - next.offset, &next.header))
		return false;
	next.header.sector_size = sector_size;
	next.header.page_size = page_size;
	count_records(&next, size);
	*s = next;
	return true;
}

void journal_segment_record(const uint8_t *bytes, const struct journal_segment *s, uint64_t i,
			    struct journal_record *ret)
{
	uint64_t size = journal_record_size(&s->header);

	ASSERT(i < s->record_count);
	(void)journal_record_read(bytes + s->offset + s->header.sector_size + i * size, size,
				  &s->header, ret);
}

bool journal_super_name(const uint8_t *bytes, size_t size, const uint8_t **ret_name,
			size_t *ret_size)
{
	uint32_t name_size, sum = 0, high = 0;
	const uint8_t *tail, *name;

	if (size < JOURNAL_SUPER_TAIL)
		return false;
	tail = bytes + size - JOURNAL_SUPER_TAIL;
	name_size = get_be32(tail);
	if (memcmp(tail + 8, magic, sizeof magic) != 0 || name_size == 0 ||
	    name_size > JOURNAL_SUPER_NAME_MAX || name_size > size - JOURNAL_SUPER_TAIL)
		return false;
	name = tail - name_size;
	for (uint32_t i = 0; i < name_size; i++) {
		sum += name[i];
		high += name[i] >> 7;
	}
	/* SQLite adds up chars, which have a sign on some machines. */
	if (get_be32(tail + 4) != sum && get_be32(tail + 4) != sum - 256 * high)
		return false;
	*ret_name = name;
	*ret_size = name_size;
	return true;
}

const char *super_journal_next(const uint8_t *bytes, size_t size, size_t *at)
{
	const uint8_t *name, *end;

	if (*at >= size)
		return NULL;
	name = bytes + *at;
	end = memchr(name, 0, size - *at);
	if (end == NULL)
		return NULL;
	*at += (size_t)(end - name) + 1;
	return (const char *)name;
}
