/*
 * The files that a trace makes, as the processes saw them: base and operations, applied in order.
 */
#ifndef FI_TRACE_IMAGE_H
#define FI_TRACE_IMAGE_H

#include "faultinject/trace.h"

struct trace_image;

/* After the last operation. */
struct trace_image *trace_image_create(const struct trace *t);
void trace_image_free(struct trace_image *i); /* accepts NULL */

/* The bytes of the file that `path` names, borrowed; NULL: there is none. */
const uint8_t *trace_image_file(const struct trace_image *i, const char *path, uint64_t *ret_size);

#endif
