/* See name_op_internal.h. */
#include "harness/explain/name_op_internal.h"

#include <stdlib.h>
#include <string.h>

void content_release(struct content *c)
{
	for (size_t i = 0; i < c->top; i++)
		free(c->chunks[i]);
	free(c->chunks);
	*c = (struct content){0};
}

static bool make_chunk(struct content *c, size_t index, uint64_t *left)
{
	if (index >= c->chunk_cap) {
		size_t cap = 2 * c->chunk_cap > index + 1 ? 2 * c->chunk_cap : index + 1;

		c->chunks = xrealloc(c->chunks, cap * sizeof *c->chunks);
		memset(c->chunks + c->chunk_cap, 0, (cap - c->chunk_cap) * sizeof *c->chunks);
		c->chunk_cap = cap;
	}
	if (c->chunks[index] == NULL) {
		if (*left < CONTENT_CHUNK)
			return false;
		*left -= CONTENT_CHUNK;
		c->chunks[index] = xcalloc(1, CONTENT_CHUNK);
	}
	if (index >= c->top)
		c->top = index + 1;
	return true;
}

bool content_write(struct content *c, uint64_t offset, const uint8_t *data, uint64_t size,
		   uint64_t *left)
{
	uint64_t end = offset + size;

	if (end > CONTENT_SIZE_MAX)
		return false;
	for (uint64_t at = offset; at < end;) {
		size_t index = (size_t)(at / CONTENT_CHUNK), in = (size_t)(at % CONTENT_CHUNK);
		size_t part = CONTENT_CHUNK - in;

		if (part > end - at)
			part = (size_t)(end - at);
		if (!make_chunk(c, index, left))
			return false;
		memcpy(c->chunks[index] + in, data + (at - offset), part);
		at += part;
	}
	if (size > 0 && end > c->size)
		c->size = end;
	return true;
}

void content_truncate(struct content *c, uint64_t size, uint64_t *left)
{
	size_t keep = (size_t)((size + CONTENT_CHUNK - 1) / CONTENT_CHUNK);

	c->size = size;
	if (keep > c->top)
		return;
	for (size_t i = keep; i < c->top; i++)
		if (c->chunks[i] != NULL) {
			free(c->chunks[i]);
			c->chunks[i] = NULL;
			*left += CONTENT_CHUNK;
		}
	c->top = keep;
	if (size % CONTENT_CHUNK != 0 && c->chunks[keep - 1] != NULL)
		memset(c->chunks[keep - 1] + size % CONTENT_CHUNK, 0,
		       CONTENT_CHUNK - size % CONTENT_CHUNK);
}

void content_read(const struct content *c, uint64_t offset, uint8_t *ret, size_t size)
{
	for (uint64_t at = offset; at < offset + size;) {
		uint64_t index = at / CONTENT_CHUNK;
		size_t in = (size_t)(at % CONTENT_CHUNK), part = CONTENT_CHUNK - in;

		if (part > offset + size - at)
			part = (size_t)(offset + size - at);
		if (index < c->top && c->chunks[index] != NULL)
			memcpy(ret + (at - offset), c->chunks[index] + in, part);
		else
			memset(ret + (at - offset), 0, part);
		at += part;
	}
}
