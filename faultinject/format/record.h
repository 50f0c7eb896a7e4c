/*
 * Reads a record: the payload of a cell, the values of a row. Bytes in, nothing of SQLite's code,
 * nothing believed, nothing kept; buffers are borrowed.
 *
 * https://www.sqlite.org/fileformat2.html, section 2.1. A record is a header and a body. The header
 * is its own size and a serial type for each column, all varints:
 *
 *     0        NULL                             8, 9     0 and 1, no bytes
 *     1..6     integer of 1, 2, 3, 4, 6, 8      10, 11   not used
 *              bytes, big-endian                12, 14.. BLOB of (n - 12) / 2 bytes
 *     7        8 bytes, IEEE 754                13, 15.. text of (n - 13) / 2 bytes
 *
 * The body has the values in the same order. The bytes given may be the beginning of a payload only
 * (the rest is on overflow pages): values are read as far as they are there.
 */
#ifndef FI_FORMAT_RECORD_H
#define FI_FORMAT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RECORD_COLUMNS_MAX = 32767 };

enum record_type {
	RECORD_NULL,
	RECORD_INTEGER,
	RECORD_REAL,
	RECORD_TEXT,
	RECORD_BLOB,
};

struct record {
	const uint8_t *next_type, *types_end; /* in the header */
	const uint8_t *next_value, *end;
	uint32_t column; /* how many were read */
};

struct record_value {
	enum record_type type;
	int64_t integer;      /* of RECORD_INTEGER; the bits of RECORD_REAL */
	const uint8_t *bytes; /* borrowed: of text, as it is encoded, and of BLOBs */
	uint64_t size;	      /* of all its bytes */
	size_t here;	      /* how many of them were given */
};

/* `bytes`: the first `size` bytes of a payload. False: its header is not all there, or no header.
 */
bool record_read(const uint8_t *bytes, size_t size, struct record *ret);

/* The next column. False: there is none, its type is none, it is a number that is not all there, or
 * what is before it is not. */
bool record_next(struct record *r, struct record_value *ret);

#endif
