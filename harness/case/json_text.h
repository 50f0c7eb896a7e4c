/*
 * Strings in JSON that may hold any byte but zero: a path, or SQL. What is UTF-8 is a JSON string;
 * anything else is {"bytes": "<hex>"}. Nothing is lost, and each string has exactly one form.
 */
#ifndef CASE_JSON_TEXT_H
#define CASE_JSON_TEXT_H

#include "faultinject/base/err.h"

#include <jansson.h>

/* The caller owns the result. NULL is "". */
json_t *json_text_write(const char *s);

/* Text for people, which may lose the bytes that are not UTF-8: each becomes U+FFFD. The caller
 * owns the result. NULL is "". */
json_t *json_text_clean(const char *s);

/* The caller owns *ret_string. ERR_INPUT: no string, or not in its one form; NULL json is none. */
int json_text_read(const json_t *json, char **ret_string, struct err *err);

#endif
