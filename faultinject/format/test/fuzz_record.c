/*
 * libFuzzer target: the reader of records, and of the pages of the freelist. Checks: it reads
 * nothing outside its input, what it calls a value is inside, and no record has more columns than
 * it has bytes.
 */
#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/format/btree.h"
#include "faultinject/format/record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_record(const uint8_t *bytes, size_t size)
{
	struct record r;
	struct record_value v;
	size_t columns = 0, cut = 0;

	if (!record_read(bytes, size, &r))
		return;
	while (record_next(&r, &v)) {
		columns++;
		ASSERT_OP(cut, ==, 0);
		ASSERT(v.here <= v.size && v.bytes >= bytes && v.bytes + v.here <= bytes + size);
		ASSERT(v.here == v.size || v.type == RECORD_TEXT || v.type == RECORD_BLOB);
		cut = v.here < v.size;
	}
	ASSERT(columns <= size);
}

static void check_trunk(const uint8_t *data, size_t size)
{
	struct database_header h = {.page_size = 512u << (data[0] % 8)};
	uint8_t *page = xcalloc(1, h.page_size);
	struct free_trunk t;
	uint32_t sum = 0;

	h.usable_size = h.page_size - data[1] % 33;
	memcpy(page, data + 2, size - 2 < h.page_size ? size - 2 : h.page_size);
	if (free_trunk_read(page, &h, &t))
		for (uint32_t i = 0; i < t.leaf_count; i++)
			sum += get_be32(t.leaves + (size_t)4 * i);
	/* The sum is wanted by nobody, but the reads are. */
	page[0] = (uint8_t)sum;
	free(page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy that ends where the input ends. */
	uint8_t *copy = xmalloc(size + 1);

	memcpy(copy, data, size);
	check_record(copy, size);
	if (size >= 2)
		check_trunk(data, size);
	free(copy);
	return 0;
}
