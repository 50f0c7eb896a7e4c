/* See kill_bytes.h. */
#include "harness/drive/kill_bytes.h"

#include <endian.h>
#include <string.h>

void kill_take(struct kill_reader *r, void *ret, size_t size)
{
	if (size > r->left) {
		r->cut = true;
		r->left = 0;
		memset(ret, 0, size);
		return;
	}
	/* Nothing may be read from a reader of no bytes, whose `at` can be NULL. */
	if (size == 0)
		return;
	memcpy(ret, r->at, size);
	r->at += size;
	r->left -= size;
}

uint8_t kill_take_u8(struct kill_reader *r)
{
	uint8_t v;

	kill_take(r, &v, sizeof v);
	return v;
}

uint32_t kill_take_u32(struct kill_reader *r)
{
	uint32_t v;

	kill_take(r, &v, sizeof v);
	return le32toh(v);
}

uint64_t kill_take_u64(struct kill_reader *r)
{
	uint64_t v;

	kill_take(r, &v, sizeof v);
	return le64toh(v);
}

size_t kill_take_count(struct kill_reader *r, size_t size)
{
	uint64_t n = kill_take_u64(r);

	if (n > r->left / size) {
		r->cut = true;
		return 0;
	}
	return (size_t)n;
}
