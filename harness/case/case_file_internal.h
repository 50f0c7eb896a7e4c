/*
 * What the two files of case_file.h share. Nobody else includes this.
 */
#ifndef CASE_CASE_FILE_INTERNAL_H
#define CASE_CASE_FILE_INTERNAL_H

#include "faultinject/base/err.h"

#include <stddef.h>

#define CASE_TOKEN_PREFIX "pp1-"

enum { CASE_FILE_HEADER_SIZE = 32 };

/* The size of the whole case file that `data` begins, bytes. ERR_INPUT: no case file, a header that
 * is cut short or makes no sense, a later format. Reads only the header. */
int case_file_whole_size(const void *data, size_t size, size_t *ret_size, struct err *err);

#endif
