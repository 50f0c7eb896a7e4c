/*
 * libFuzzer target: any bytes are refused with a reason, or are a result; and what was read and
 * written again is read as the same.
 */
#include "harness/case/result_json.h"
#include "harness/case/result_read.h"

#include "faultinject/base/assert.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *again(struct result *r, const struct result_origin *o, size_t *ret_size)
{
	struct err err = ERR_INIT;
	char *text = NULL;

	r->command = o->command;
	int rc = result_json(r, &text, ret_size, &err);

	ASSERT_OP(rc, ==, 0);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct result first, second;
	struct result_origin first_origin, second_origin;
	struct err err = ERR_INIT;
	size_t first_size, second_size;

	if (result_read((const char *)data, size, &first, &first_origin, &err) != 0) {
		ASSERT(err.message[0] != '\0');
		return 0;
	}
	char *once = again(&first, &first_origin, &first_size);
	int rc = result_read(once, first_size, &second, &second_origin, &err);

	ASSERT_OP(rc, ==, 0);
	char *twice = again(&second, &second_origin, &second_size);

	ASSERT(first_size == second_size && memcmp(once, twice, first_size) == 0);
	free(once);
	free(twice);
	result_release(&first);
	result_release(&second);
	result_origin_release(&first_origin);
	result_origin_release(&second_origin);
	return 0;
}
