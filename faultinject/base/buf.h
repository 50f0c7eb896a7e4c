/*
 * A growing byte buffer. Running out of memory aborts: every size here is bounded by a named
 * maximum elsewhere, and a harness without memory can promise nothing.
 */
#ifndef FI_BASE_BUF_H
#define FI_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data; /* owned; NULL while empty */
	size_t size;   /* bytes used */
	size_t cap;
};

void buf_init(struct buf *b);
void buf_release(struct buf *b); /* accepts a zeroed or released buffer */
void buf_clear(struct buf *b);	 /* size 0, memory kept */

/* Makes room for `extra` more bytes. */
void buf_reserve(struct buf *b, size_t extra);
void buf_append(struct buf *b, const void *data, size_t size);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* As one word of a shell: in single quotes where it has to be. */
void buf_put_word(struct buf *b, const char *text);
/* Little-endian integers. */
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u16(struct buf *b, uint16_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);
/* The contents as a C string; borrowed until the next change. */
const char *buf_str(struct buf *b);

/* malloc/calloc/realloc/strdup that abort instead of returning NULL. */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Grows `array` (count used, *cap allocated) so that one more fits; item_size bytes each. */
void *xgrow(void *array, size_t count, size_t *cap, size_t item_size);

#endif
