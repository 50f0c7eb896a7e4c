/* See clean.h. */
#include "harness/explain/clean.h"

#include "faultinject/base/assert.h"
#include "harness/case/result_json.h"

#include <stdlib.h>
#include <string.h>

enum { BAD = 0xFFFD, DOTS = 3 };

static bool is_shown(uint32_t cp)
{
	return cp >= 0x20 && (cp < 0x7f || cp > 0x9f) && cp != BAD && cp != 0x200e &&
	       cp != 0x200f && (cp < 0x2028 || cp > 0x202e) && (cp < 0x2066 || cp > 0x2069) &&
	       cp != 0xfeff;
}

static void append_utf8(struct buf *out, uint32_t cp)
{
	uint8_t b[4];

	if (cp < 0x80) {
		buf_put_u8(out, (uint8_t)cp);
	} else if (cp < 0x800) {
		b[0] = (uint8_t)(0xc0 | cp >> 6);
		b[1] = (uint8_t)(0x80 | (cp & 0x3f));
		buf_append(out, b, 2);
	} else if (cp < 0x10000) {
		b[0] = (uint8_t)(0xe0 | cp >> 12);
		b[1] = (uint8_t)(0x80 | (cp >> 6 & 0x3f));
		b[2] = (uint8_t)(0x80 | (cp & 0x3f));
		buf_append(out, b, 3);
	} else {
		b[0] = (uint8_t)(0xf0 | cp >> 18);
		b[1] = (uint8_t)(0x80 | (cp >> 12 & 0x3f));
		b[2] = (uint8_t)(0x80 | (cp >> 6 & 0x3f));
		b[3] = (uint8_t)(0x80 | (cp & 0x3f));
		buf_append(out, b, 4);
	}
}

/* A line that grows, and where it has to be cut if it grows too long. */
struct line {
	struct buf *out;
	size_t begin, cut, max;
	bool full;
};

static void line_add(struct line *l, uint32_t cp)
{
	struct buf *out = l->out;

	if (l->full)
		return;
	append_utf8(out, is_shown(cp) ? cp : '?');
	if (out->size - l->begin > l->max) {
		l->full = true;
		out->size = l->cut;
		buf_append(out, "...", DOTS);
	} else if (out->size - l->begin <= l->max - DOTS) {
		l->cut = out->size;
	}
}

static struct line line_begin(struct buf *out, size_t max)
{
	ASSERT_OP(max, >, DOTS);
	return (struct line){.out = out, .begin = out->size, .cut = out->size, .max = max};
}

void clean_append(struct buf *out, const void *bytes, size_t size, size_t max)
{
	struct line l = line_begin(out, max);
	/* What becomes one '?' has four bytes at most. */
	size_t take = size < 4 * (max + 1) ? size : 4 * (max + 1), at = 0;
	char *text = xcalloc(take + 1, 1);

	for (size_t i = 0; i < take; i++) {
		char c = ((const char *)bytes)[i];
		text[i] = c == '\0' ? '\x01' : c;
	}
	while (at < take && !l.full) {
		uint32_t cp;

		at += result_utf8_next(text + at, &cp);
		line_add(&l, cp);
	}
	free(text);
}

void clean_append_utf16(struct buf *out, const uint8_t *bytes, size_t size, bool big_endian,
			size_t max)
{
	struct line l = line_begin(out, max);

	for (size_t i = 0; i + 2 <= size && !l.full; i += 2) {
		uint32_t cp = (uint32_t)bytes[i + !big_endian] << 8 | bytes[i + big_endian];

		if (cp >= 0xd800 && cp <= 0xdbff && i + 4 <= size) {
			uint32_t low =
			    (uint32_t)bytes[i + 2 + !big_endian] << 8 | bytes[i + 2 + big_endian];

			if (low >= 0xdc00 && low <= 0xdfff) {
				cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
				i += 2;
			}
		}
		line_add(&l, cp >= 0xd800 && cp <= 0xdfff ? BAD : cp);
	}
}
