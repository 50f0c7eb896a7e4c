/*
 * What exploring one crash point came to, as a value: it travels from a worker to its parent, lies
 * in a resume file, and is added up in the order of the crash points, so that a result is the same
 * however many workers made it.
 *
 * As bytes it is a record, which both the pipe and the file hold (integers little-endian):
 *
 *     offset  bytes
 *     0       4      size of the payload (n)
 *     4       4      checksum of the size: the low half of XXH3 64 of bytes 0..3
 *     8       16     checksum of the payload: XXH3 128, low half first
 *     24      n      payload
 *
 * payload:
 *     16      key: which point of which exploration (resume.h)
 *     8       index of the crash point
 *     1       end (enum explore_end)
 *     1       grade
 *     8, 8    recoveries, lost_max
 *     8+n     states: size, then the number's bytes, the lowest first
 *     8+n     covered: the same
 *     4       error code, as its absolute value, or 0
 *     8+n     its message
 *     8       findings; each: grade (1), lost, position, cut_bytes, promise, recovery (8 each),
 *             second crash (1), its position and cut_bytes (8 each), oracle (8+n), message (8+n),
 * answers (8, then 4 each)
 */
#ifndef DRIVE_POINT_RESULT_H
#define DRIVE_POINT_RESULT_H

#include "faultinject/base/buf.h"
#include "faultinject/base/err.h"
#include "faultinject/base/hash.h"
#include "harness/drive/examine.h"
#include "harness/explore/explore.h"

enum {
	POINT_RECORD_HEADER_SIZE = 24,
	POINT_RECORD_SIZE_MAX = 256 << 20, /* of a payload */
};

struct point_result {
	struct digest key;
	uint64_t index;
	struct explore_outcome outcome;
	struct err error; /* code 0: none. ERR_LIMIT, ERR_HARNESS: of this point */
	enum grade grade;
	uint64_t lost_max;
	struct finding findings[EXAMINE_FINDINGS_MAX];
	size_t finding_count;
};

void point_result_init(struct point_result *r);
void point_result_release(struct point_result *r); /* accepts a released one */

/* Appends the record. */
void point_result_encode(const struct point_result *r, struct buf *out);

/* The size of the whole record that data[size] begins with; 0: more bytes are needed to tell, or
 * for the whole. ERR_INPUT: no record begins here. */
int point_record_size(const void *data, size_t size, size_t *ret_size, struct err *err);

/* The size of the payload that a record's header, found good by point_record_size(), says. */
size_t point_record_payload(const void *header);

/* Reads the record that data[size] is. *ret is initialised by the caller. ERR_INPUT: damage. */
int point_result_decode(const void *data, size_t size, struct point_result *ret, struct err *err);

#endif
