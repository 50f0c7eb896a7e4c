/*
 * Reads a write-ahead log: its header, the headers of its frames, and their checksums. Bytes in,
 * nothing of SQLite's code, nothing kept; buffers are borrowed for the call.
 *
 * https://www.sqlite.org/fileformat2.html, section 4 ("The Write-Ahead Log"). The file is a header
 * and then frames, each a header and a page. Numbers are big-endian, whatever the magic says.
 *
 *     header, 32 bytes              frame header, 24 bytes; the page follows
 *      0  magic 0x377f0682, or       0  page number
 *         0x377f0683: checksums      4  size of the database in pages after the commit,
 *         over big-endian words         in a commit frame; otherwise 0
 *      4  version, 3007000           8  salt-1, as in the header
 *      8  page size                 12  salt-2, as in the header
 *     12  checkpoint sequence       16  checksum-1, of all up to here
 *     16  salt-1                    20  checksum-2
 *     20  salt-2
 *     24  checksum-1 of bytes 0..23
 *     28  checksum-2
 *
 * Checksums run on from the header through the frames: over bytes 0..7 of a frame header (not the
 * salts) and its page, starting from the frame before, or from the header. A frame counts only if
 * its salts are the header's, its checksum holds, and every frame before it counts; its content
 * counts up to the last commit frame among those. Frames of earlier turns of the log, which were
 * not overwritten yet, have other salts.
 *
 * Sizes of the headers and the place of a frame are in wal_index.h.
 */
#ifndef FI_FORMAT_WAL_H
#define FI_FORMAT_WAL_H

#include "faultinject/format/wal_index.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wal_checksum {
	uint32_t s0, s1;
};

struct wal_header {
	bool big_endian; /* order of the words that checksums add up */
	uint32_t page_size;
	uint32_t checkpoint_sequence;
	uint32_t salt[2];
	struct wal_checksum checksum; /* as it stands there */
	bool checksum_holds;
};

struct wal_frame {
	uint32_t page;
	uint32_t commit_page_count; /* not 0: a commit frame */
	uint32_t salt[2];
	struct wal_checksum checksum; /* as it stands there */
};

/* False: fewer than WAL_HEADER_SIZE bytes, another magic or version, or no page size. A checksum
 * that does not hold is a fact, not a failure: such a log is empty to SQLite. */
bool wal_header_read(const uint8_t *bytes, size_t size, struct wal_header *ret);

/* The header of a frame, as it stands there. False: fewer than WAL_FRAME_HEADER_SIZE bytes. */
bool wal_frame_read(const uint8_t *bytes, size_t size, struct wal_frame *ret);

/* It names a page and has the salts of this turn of the log. */
bool wal_frame_is_current(const struct wal_header *h, const struct wal_frame *f);

static inline bool wal_frame_is_commit(const struct wal_frame *f)
{
	return f->commit_page_count != 0;
}

/* The checksum after `size` more bytes, a multiple of 8. Starts from {0, 0}. */
struct wal_checksum wal_checksum_add(struct wal_checksum sum, bool big_endian, const uint8_t *bytes,
				     size_t size);

/* Does the checksum of a whole frame hold (header and page, WAL_FRAME_HEADER_SIZE + page_size
 * bytes)? *sum is that of the frame before it, or of the header, and becomes this frame's. */
bool wal_frame_holds(const struct wal_header *h, const uint8_t *frame, struct wal_checksum *sum);

#endif
