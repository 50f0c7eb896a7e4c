/*
 * libFuzzer target: the reader of journals and super-journals. Checks: it reads nothing outside
 * its input, segments move forward, and names and records lie inside.
 */
#include "faultinject/base/assert.h"
#include "faultinject/format/journal.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct journal_segment s;
	const uint8_t *name;
	size_t name_size, at = 0, before = 0;

	if (journal_super_name(data, size, &name, &name_size))
		ASSERT(name >= data && name + name_size + JOURNAL_SUPER_TAIL == data + size);
	for (const char *n; (n = super_journal_next(data, size, &at)) != NULL; before = at)
		ASSERT(n + strlen(n) + 1 == (const char *)data + at && at > before);
	if (!journal_segment_first(data, size, &s))
		return 0;
	for (uint64_t offset;;) {
		for (uint64_t i = 0; i < s.record_count; i++) {
			struct journal_record r;

			journal_segment_record(data, &s, i, &r);
			ASSERT(r.content >= data &&
			       r.content + s.header.page_size + 4 <= data + size);
		}
		offset = s.offset;
		if (!journal_segment_next(data, size, &s))
			return 0;
		ASSERT(s.offset > offset);
	}
}
