/*
 * A result back from its JSON (result_json.h), for those who compare results. Files come from
 * anywhere: every type and every bound is checked, and nothing is read that is not in the contract.
 */
#ifndef CASE_RESULT_READ_H
#define CASE_RESULT_READ_H

#include "faultinject/base/err.h"
#include "harness/case/result.h"

#include <stddef.h>

enum {
	RESULT_READ_SIZE_MAX = 256 << 20, /* bytes of a file */
	RESULT_READ_CASES_MAX = 1000000,
};

/* What the file says of who wrote it. */
struct result_origin {
	char *plugpull, *command; /* owned */
};

/* Reads a result. Keys of the contract must be there and be what it says; others are passed over.
 * A format of the future, a case id that stands twice and anything malformed are ERR_INPUT, a
 * message without the path. ret_result->command is NULL: see ret_origin. The caller releases both;
 * on failure they are untouched. */
int result_read(const char *text, size_t size, struct result *ret_result,
		struct result_origin *ret_origin, struct err *err);
void result_origin_release(struct result_origin *o); /* accepts a zeroed one */

#endif
