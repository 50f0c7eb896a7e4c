/*
 * libFuzzer target: the reader of logs. Checks: it reads nothing outside its input, and a frame
 * whose checksum is put right holds.
 */
#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/format/wal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_be32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wal_header h;
	struct wal_frame f;
	size_t at = WAL_HEADER_SIZE;

	(void)wal_frame_read(data, size, &f);
	if (!wal_header_read(data, size, &h))
		return 0;
	struct wal_checksum sum = h.checksum;
	size_t frame_size = WAL_FRAME_HEADER_SIZE + (size_t)h.page_size;
	for (; size - at >= frame_size; at += frame_size) {
		struct wal_checksum before = sum;

		ASSERT(wal_frame_read(data + at, size - at, &f));
		(void)wal_frame_is_current(&h, &f);
		if (wal_frame_holds(&h, data + at, &sum))
			continue;
		uint8_t *copy = xmalloc(frame_size);
		memcpy(copy, data + at, frame_size);
		put_be32(copy + 16, sum.s0);
		put_be32(copy + 20, sum.s1);
		ASSERT(wal_frame_holds(&h, copy, &before));
		free(copy);
	}
	return 0;
}
