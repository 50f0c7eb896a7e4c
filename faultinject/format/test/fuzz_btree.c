/*
 * libFuzzer target: the reader of database pages. Checks: it reads nothing outside the page, and
 * what it calls local payload is inside. The input is a header of 2 bytes (page size as a power of
 * two, reserved bytes) and a page.
 */
#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/format/btree.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct database_header h;
	struct btree_page p;
	struct btree_cell c;

	(void)database_header_read(data, size, &h);
	if (size < 3)
		return 0;
	h.page_size = 512u << (data[0] % 8);
	h.usable_size = h.page_size - data[1] % 33;
	uint32_t number = 1 + data[0] / 128;
	uint8_t *page = xcalloc(1, h.page_size);
	memcpy(page, data + 2, size - 2 < h.page_size ? size - 2 : h.page_size);
	if (btree_page_read(page, number, &h, &p))
		for (uint32_t i = 0; i < p.cell_count; i++)
			if (btree_cell_read(&p, i, &c) && c.local != NULL)
				ASSERT(c.local >= page &&
				       c.local + c.local_size <= page + h.usable_size);
	free(page);
	return 0;
}
