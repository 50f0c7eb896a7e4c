/* See record.h. */
#include "faultinject/format/record.h"

#include "faultinject/format/btree.h"

#include <string.h>

enum {
	TYPE_REAL = 7,
	TYPE_ONE = 9,
	TYPE_BLOB = 12, /* the smallest */
};

bool record_read(const uint8_t *bytes, size_t size, struct record *ret)
{
	uint64_t header;
	size_t n = varint_read(bytes, bytes + size, &header);

	if (n == 0 || header < n || header > size)
		return false;
	*ret = (struct record){
	    .next_type = bytes + n,
	    .types_end = bytes + header,
	    .next_value = bytes + header,
	    .end = bytes + size,
	};
	return true;
}

/* Two's complement, big-endian. */
static int64_t integer_read(const uint8_t *p, size_t size)
{
	uint64_t v = (p[0] & 0x80) != 0 ? UINT64_MAX : 0;

	for (size_t i = 0; i < size; i++)
		v = v << 8 | p[i];
	return (int64_t)v;
}

bool record_next(struct record *r, struct record_value *ret)
{
	static const uint8_t sizes[] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0};
	struct record_value v = {.bytes = r->next_value};
	size_t left = (size_t)(r->end - r->next_value), n;
	uint64_t type;

	if (r->column == RECORD_COLUMNS_MAX)
		return false;
	n = varint_read(r->next_type, r->types_end, &type);
	if (n == 0)
		return false;
	if (type < sizeof sizes) {
		v.size = sizes[type];
		if (left < v.size)
			return false;
		v.type = type == 0 ? RECORD_NULL : type == TYPE_REAL ? RECORD_REAL : RECORD_INTEGER;
		if (v.size > 0)
			v.integer = integer_read(v.bytes, (size_t)v.size);
		else if (type == TYPE_ONE)
			v.integer = 1;
	} else if (type >= TYPE_BLOB) {
		v.type = type % 2 == 0 ? RECORD_BLOB : RECORD_TEXT;
		v.size = (type - TYPE_BLOB) / 2;
	} else {
		return false;
	}
	v.here = v.size < left ? (size_t)v.size : left;
	/* One that is cut has nothing behind it, whatever its type says. */
	r->next_type = v.here < v.size ? r->types_end : r->next_type + n;
	r->next_value += v.here;
	r->column++;
	*ret = v;
	return true;
}
