/*
 * libFuzzer target: the two parsers of foreign traces. Checks: neither reads outside its input nor
 * crashes; a refusal says where; what is accepted survives both round trips (bytes, text), and the
 * decoder accepts what the encoder writes. Does not check: that damage is noticed
 * (test_trace_file).
 *
 * Checksums would keep a fuzzer out of everything behind them, so the input is also tried as a list
 * of records whose checksums are put right first.
 */
#include "faultinject/base/assert.h"
#include "faultinject/base/hash.h"
#include "faultinject/trace.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(const struct trace *t, struct buf *ret)
{
	buf_clear(ret);
	trace_encode(t, ret);
}

static char *print(const struct trace *t, size_t *ret_size)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_size);

	ASSERT(out != NULL);
	trace_print(t, true, out);
	fclose(out);
	return text;
}

/* Owns `t`. */
static void check_round_trips(struct trace *t)
{
	struct err err = ERR_INIT;
	struct buf first = {0}, second = {0};
	struct trace *again = NULL;
	size_t text_size, again_size;
	char *text, *again_text;

	encode(t, &first);
	if (trace_decode(first.data, first.size, &again, &err) != 0)
		assert_fail(__FILE__, __LINE__, err.message);
	encode(again, &second);
	ASSERT_OP(first.size, ==, second.size);
	ASSERT(memcmp(first.data, second.data, first.size) == 0);
	trace_free(again);

	text = print(t, &text_size);
	if (trace_parse_text(text, text_size, &again, &err) != 0)
		assert_fail(__FILE__, __LINE__, err.message);
	again_text = print(again, &again_size);
	ASSERT_OP(text_size, ==, again_size);
	ASSERT(memcmp(text, again_text, text_size) == 0);
	trace_free(again);
	trace_free(t);
	free(text);
	free(again_text);
	buf_release(&first);
	buf_release(&second);
}

static void try_decode(const uint8_t *data, size_t size)
{
	struct err err = ERR_INIT;
	struct trace *t = NULL;

	if (trace_decode(data, size, &t, &err) == 0) {
		check_round_trips(t);
		return;
	}
	ASSERT_OP(err.code, ==, ERR_INPUT);
	ASSERT(t == NULL && strncmp(err.message, "byte ", 5) == 0);
}

static uint32_t get_u32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void set_checksum(uint8_t *field, const uint8_t *data, size_t size)
{
	uint32_t v = (uint32_t)hash64(data, size, 0);

	for (int i = 0; i < 4; i++)
		field[i] = (uint8_t)(v >> (8 * i));
}

/* Puts the checksums of header and records right, as far as their lengths make sense. */
static void repair(uint8_t *data, size_t size)
{
	size_t at;

	if (size < 28 || get_u32(data + 24) > size - 28)
		return;
	at = 28 + get_u32(data + 24);
	set_checksum(data + 12, data + 16, at - 16);
	while (size - at >= 8 && get_u32(data + at) <= size - at - 8) {
		set_checksum(data + at + 4, data + at + 8, get_u32(data + at));
		at += 8 + get_u32(data + at);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = ERR_INIT;
	struct trace *t = NULL;
	uint8_t *copy;

	if (trace_parse_text((const char *)data, size, &t, &err) == 0) {
		check_round_trips(t);
	} else {
		ASSERT_OP(err.code, ==, ERR_INPUT);
		ASSERT(t == NULL && strncmp(err.message, "line ", 5) == 0);
	}
	try_decode(data, size);
	if (size == 0)
		return 0;
	copy = xmalloc(size);
	memcpy(copy, data, size);
	repair(copy, size);
	try_decode(copy, size);
	free(copy);
	return 0;
}
