/*
 * The files that a trace makes, as the processes saw them: base and operations, applied in order.
 * An image follows a trace that is still growing.
 */
#ifndef FI_TRACE_IMAGE_H
#define FI_TRACE_IMAGE_H

#include "faultinject/trace.h"

struct trace_image;

/* After the last operation. The trace is borrowed. */
struct trace_image *trace_image_create(const struct trace *t);
/* Applies the operations that were appended since. */
void trace_image_follow(struct trace_image *i);
void trace_image_free(struct trace_image *i); /* accepts NULL */

/* The bytes of the file that `path` names, borrowed; NULL: there is none. */
const uint8_t *trace_image_file(const struct trace_image *i, const char *path, uint64_t *ret_size);
/* The bytes of an inode, whether or not a name is left, borrowed. */
const uint8_t *trace_image_inode(const struct trace_image *i, uint32_t inode, uint64_t *ret_size);
/* The inode that a name of the trace's table names, or 0. */
uint32_t trace_image_names(const struct trace_image *i, uint32_t name);

#endif
