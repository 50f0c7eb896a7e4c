/*
 * The JSON of a result, to the letter of docs/contract.md ("JSON").
 *
 * Two keys stand beyond those that the contract lists, each only where it has something to say:
 * "notes" of a case (labels for people) and "interrupted": true of a run that a signal ended.
 */
#ifndef CASE_RESULT_JSON_H
#define CASE_RESULT_JSON_H

#include "faultinject/base/err.h"
#include "harness/case/result.h"

#include <stddef.h>
#include <stdint.h>

enum { RESULT_JSON_FORMAT = 1 };

/* Writes `r` as one JSON object with sorted keys and a newline at its end: the same bytes for the
 * same result. Bytes that are not UTF-8 become U+FFFD. Numbers are integers, but for "seconds",
 * which stands only with r->timing. The caller frees *ret_text. ERR_LIMIT when a count is above
 * INT64_MAX, the largest integer that JSON readers agree on. */
int result_json(const struct result *r, char **ret_text, size_t *ret_size, struct err *err);

enum { RESULT_UTF8_REPLACEMENT = 0xFFFD };

/* Decodes the character at the start of a string that is not empty and returns how many bytes it
 * has. A byte that starts no well-formed UTF-8 sequence (RFC 3629: no overlong form, no surrogate,
 * nothing above U+10FFFF) is one U+FFFD. Every report shares it, so that the same bytes read the
 * same in every format. */
size_t result_utf8_next(const char *text, uint32_t *ret_codepoint);

#endif
