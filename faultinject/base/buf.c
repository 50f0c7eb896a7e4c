/* See buf.h. */
#include "faultinject/base/buf.h"

#include "faultinject/base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b)
{
	memset(b, 0, sizeof *b);
}

void buf_release(struct buf *b)
{
	free(b->data);
	memset(b, 0, sizeof *b);
}

void buf_clear(struct buf *b)
{
	b->size = 0;
}

void buf_reserve(struct buf *b, size_t extra)
{
	ASSERT(extra < SIZE_MAX / 4 && b->size < SIZE_MAX / 4);
	if (b->size + extra <= b->cap)
		return;
	size_t cap = b->cap == 0 ? 64 : b->cap;
	while (cap < b->size + extra)
		cap *= 2;
	b->data = xrealloc(b->data, cap);
	b->cap = cap;
}

void buf_append(struct buf *b, const void *data, size_t size)
{
	if (size == 0)
		return;
	buf_reserve(b, size);
	memcpy(b->data + b->size, data, size);
	b->size += size;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	ASSERT(fmt != NULL);
	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	ASSERT(n >= 0);
	buf_reserve(b, (size_t)n + 1);
	va_start(ap, fmt);
	(void)vsnprintf((char *)b->data + b->size, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->size += (size_t)n;
}

void buf_put_word(struct buf *b, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_./-+=:,@%";

	if (text[0] != '\0' && text[strspn(text, plain)] == '\0') {
		buf_append(b, text, strlen(text));
		return;
	}
	buf_append(b, "'", 1);
	for (; *text != '\0'; text++)
		buf_append(b, *text == '\'' ? "'\\''" : text, *text == '\'' ? 4 : 1);
	buf_append(b, "'", 1);
}

void buf_put_u8(struct buf *b, uint8_t v)
{
	buf_append(b, &v, 1);
}

static void put_le(struct buf *b, uint64_t v, size_t size)
{
	uint8_t tmp[8];

	for (size_t i = 0; i < size; i++)
		tmp[i] = (uint8_t)(v >> (8 * i));
	buf_append(b, tmp, size);
}

void buf_put_u16(struct buf *b, uint16_t v)
{
	put_le(b, v, 2);
}

void buf_put_u32(struct buf *b, uint32_t v)
{
	put_le(b, v, 4);
}

void buf_put_u64(struct buf *b, uint64_t v)
{
	put_le(b, v, 8);
}

const char *buf_str(struct buf *b)
{
	buf_reserve(b, 1);
	b->data[b->size] = '\0';
	return (const char *)b->data;
}

void *xmalloc(size_t size)
{
	void *p = malloc(size == 0 ? 1 : size);

	ASSERT(p != NULL);
	return p;
}

void *xcalloc(size_t count, size_t size)
{
	void *p = calloc(count == 0 ? 1 : count, size == 0 ? 1 : size);

	ASSERT(p != NULL);
	return p;
}

void *xrealloc(void *p, size_t size)
{
	p = realloc(p, size == 0 ? 1 : size);
	ASSERT(p != NULL);
	return p;
}

char *xstrdup(const char *s)
{
	size_t n = strlen(s) + 1;

	return memcpy(xmalloc(n), s, n);
}

char *xasprintf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&s, fmt, ap);
	va_end(ap);
	ASSERT(n >= 0 && s != NULL);
	return s;
}

void *xgrow(void *array, size_t count, size_t *cap, size_t item_size)
{
	if (count < *cap)
		return array;
	*cap = *cap == 0 ? 16 : *cap * 2;
	ASSERT(*cap < SIZE_MAX / item_size);
	return xrealloc(array, *cap * item_size);
}
