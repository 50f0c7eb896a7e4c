/* Names from strangers' files, as parts of a line of text. */
#ifndef EXPLAIN_CLEAN_H
#define EXPLAIN_CLEAN_H

#include "faultinject/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Appends size bytes as valid UTF-8 of one line: what is no UTF-8, what controls a terminal or the
 * direction of text, and line ends become '?'. When it would take more than `max` bytes, it is cut
 * at a character and ends with "...". */
void clean_append(struct buf *out, const void *bytes, size_t size, size_t max);
/* The same of UTF-16, whose low surrogate or last byte may be missing. */
void clean_append_utf16(struct buf *out, const uint8_t *bytes, size_t size, bool big_endian,
			size_t max);

#endif
