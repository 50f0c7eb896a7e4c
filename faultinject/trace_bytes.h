/*
 * What trace_bytes.c, the layout of a trace, and trace_file.c, which reads and writes files, share.
 * Nobody else includes this.
 */
#ifndef FI_TRACE_BYTES_H
#define FI_TRACE_BYTES_H

#include "faultinject/trace.h"

enum { TRACE_HEADER_SIZE = 28 }; /* bytes, without the producer */

/* What can be said about the first bytes of a file, before the rest is read. ERR_INPUT with the
 * byte. */
int trace_check_magic(const uint8_t *data, size_t size, struct err *err);

#endif
