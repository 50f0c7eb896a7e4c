/*
 * Reads a WAL index: the shared memory in which SQLite keeps which frame of a write-ahead log holds
 * which page. Bytes in, nothing of SQLite's code.
 *
 * https://www.sqlite.org/walformat.html, section 2. Regions of 32768 bytes, numbers in the
 * machine's byte order. The first one:
 *
 *     bytes 0..47          header; 48..95 a second copy of it, equal unless somebody is writing
 *       12                   1 when it is initialised
 *       14..15               page size in bytes; 1 = 65536
 *       16..19               mxFrame, the last frame that counts; 0 = the log is empty
 *       20..23               size of the database in pages
 *     bytes 96..135        what checkpoints and readers have reached
 *       96..99               nBackfill, the frames that are in the database file
 *     bytes 136..16383     page numbers of frames 1..4062, 4 bytes each
 *     bytes 16384..32767   hash table of these page numbers
 *
 * Each later one: page numbers of 4096 frames, and their hash table.
 */
#ifndef FI_FORMAT_WAL_INDEX_H
#define FI_FORMAT_WAL_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	WAL_INDEX_REGION_SIZE = 32768,
	WAL_INDEX_HEADER_SIZE = 136,
	WAL_INDEX_FIRST_FRAMES = 4062, /* whose page numbers are in the first region */
	WAL_INDEX_LATER_FRAMES = 4096,
	/* Of the log itself (section 1 of the same page). */
	WAL_HEADER_SIZE = 32,
	WAL_FRAME_HEADER_SIZE = 24,
};

struct wal_index {
	const uint8_t *const *regions; /* borrowed, WAL_INDEX_REGION_SIZE bytes each */
	size_t region_count;
	uint32_t page_size;
	uint32_t last_frame; /* mxFrame */
	uint32_t page_count; /* of the database */
	uint32_t backfilled; /* nBackfill */
};

/* Reads the header. False: there is none that counts (no region, not initialised, the copies
 * differ, no such page size, fewer regions than frames). `regions` is borrowed by *ret. */
bool wal_index_read(const uint8_t *const *regions, size_t region_count, struct wal_index *ret);

/* The page in frame 1..last_frame; 0 is no page. */
uint32_t wal_index_page(const struct wal_index *w, uint32_t frame);

/* Where the page in a frame, from 1, begins in the log: section 1.2 of the same page. */
static inline uint64_t wal_frame_content(uint32_t frame, uint32_t page_size)
{
	return WAL_HEADER_SIZE + (frame - 1) * (WAL_FRAME_HEADER_SIZE + (uint64_t)page_size) +
	       WAL_FRAME_HEADER_SIZE;
}

#endif
