/* See wal.h. */
#include "faultinject/format/wal.h"

#include "faultinject/base/assert.h"
#include "faultinject/format/btree.h"

enum {
	MAGIC = 0x377f0682, /* the lowest bit: big-endian checksums */
	VERSION = 3007000,
	SUMMED_OF_HEADER = 24,
	SUMMED_OF_FRAME_HEADER = 8,
};

static uint32_t get_le32(const uint8_t *p)
{
	return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

struct wal_checksum wal_checksum_add(struct wal_checksum sum, bool big_endian, const uint8_t *bytes,
				     size_t size)
{
	ASSERT_OP(size % 8, ==, 0);
	for (size_t i = 0; i < size; i += 8) {
		const uint8_t *p = bytes + i;

		sum.s0 += (big_endian ? get_be32(p) : get_le32(p)) + sum.s1;
		sum.s1 += (big_endian ? get_be32(p + 4) : get_le32(p + 4)) + sum.s0;
	}
	return sum;
}

static bool is_equal(struct wal_checksum a, struct wal_checksum b)
{
	return a.s0 == b.s0 && a.s1 == b.s1;
}

bool wal_header_read(const uint8_t *bytes, size_t size, struct wal_header *ret)
{
	uint32_t magic, page_size;

	if (size < WAL_HEADER_SIZE)
		return false;
	magic = get_be32(bytes);
	page_size = get_be32(bytes + 8);
	if ((magic & ~1u) != MAGIC || get_be32(bytes + 4) != VERSION ||
	    page_size < DATABASE_PAGE_SIZE_MIN || page_size > DATABASE_PAGE_SIZE_MAX ||
	    (page_size & (page_size - 1)) != 0)
		return false;
	*ret = (struct wal_header){
	    .big_endian = (magic & 1) != 0,
	    .page_size = page_size,
	    .checkpoint_sequence = get_be32(bytes + 12),
	    .salt = {get_be32(bytes + 16), get_be32(bytes + 20)},
	    .checksum = {get_be32(bytes + 24), get_be32(bytes + 28)},
	};
	ret->checksum_holds =
	    is_equal(ret->checksum, wal_checksum_add((struct wal_checksum){0, 0}, ret->big_endian,
						     bytes, SUMMED_OF_HEADER));
	return true;
}

bool wal_frame_read(const uint8_t *bytes, size_t size, struct wal_frame *ret)
{
	if (size < WAL_FRAME_HEADER_SIZE)
		return false;
	*ret = (struct wal_frame){
	    .page = get_be32(bytes),
	    .commit_page_count = get_be32(bytes + 4),
	    .salt = {get_be32(bytes + 8), get_be32(bytes + 12)},
	    .checksum = {get_be32(bytes + 16), get_be32(bytes + 20)},
	};
	return true;
}

bool wal_frame_is_current(const struct wal_header *h, const struct wal_frame *f)
{
	return f->page != 0 && f->salt[0] == h->salt[0] && f->salt[1] == h->salt[1];
}

bool wal_frame_holds(const struct wal_header *h, const uint8_t *frame, struct wal_checksum *sum)
{
	struct wal_frame f;
	struct wal_checksum s =
	    wal_checksum_add(*sum, h->big_endian, frame, SUMMED_OF_FRAME_HEADER);

	s = wal_checksum_add(s, h->big_endian, frame + WAL_FRAME_HEADER_SIZE, h->page_size);
	(void)wal_frame_read(frame, WAL_FRAME_HEADER_SIZE, &f);
	*sum = s;
	return is_equal(s, f.checksum);
}
