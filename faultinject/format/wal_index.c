/* See wal_index.h. */
#include "faultinject/format/wal_index.h"

#include "faultinject/base/assert.h"

#include <string.h>

enum {
	COPY_SIZE = 48,
	IS_INITIALISED = 12,
	PAGE_SIZE = 14,
	LAST_FRAME = 16,
	PAGE_COUNT = 20,
	BACKFILLED = 96,
	PAGE_SIZE_MIN = 512,
};

static uint32_t number_at(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

bool wal_index_read(const uint8_t *const *regions, size_t region_count, struct wal_index *ret)
{
	uint16_t size;

	if (region_count == 0)
		return false;
	const uint8_t *header = regions[0];
	if (header[IS_INITIALISED] == 0 || memcmp(header, header + COPY_SIZE, COPY_SIZE) != 0)
		return false;
	memcpy(&size, header + PAGE_SIZE, sizeof size);
	*ret = (struct wal_index){
	    .regions = regions,
	    .region_count = region_count,
	    .page_size = size == 1 ? 1u << 16 : size,
	    .last_frame = number_at(header + LAST_FRAME),
	    .page_count = number_at(header + PAGE_COUNT),
	    .backfilled = number_at(header + BACKFILLED),
	};
	uint64_t frames =
	    WAL_INDEX_FIRST_FRAMES + (uint64_t)WAL_INDEX_LATER_FRAMES * (region_count - 1);
	/* Of an empty log SQLite may have read nothing, not even the page size. */
	if (ret->last_frame == 0)
		return true;
	return ret->page_size >= PAGE_SIZE_MIN && (ret->page_size & (ret->page_size - 1)) == 0 &&
	       ret->last_frame <= frames;
}

uint32_t wal_index_page(const struct wal_index *w, uint32_t frame)
{
	ASSERT(frame >= 1 && frame <= w->last_frame);
	uint32_t i = frame - 1;
	if (i < WAL_INDEX_FIRST_FRAMES)
		return number_at(w->regions[0] + WAL_INDEX_HEADER_SIZE + 4 * (size_t)i);
	i -= WAL_INDEX_FIRST_FRAMES;
	return number_at(w->regions[1 + i / WAL_INDEX_LATER_FRAMES] +
			 4 * (size_t)(i % WAL_INDEX_LATER_FRAMES));
}
