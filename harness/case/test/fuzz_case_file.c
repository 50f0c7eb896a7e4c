/*
 * libFuzzer target: the parser of case files. Checks: it neither reads outside its input nor
 * crashes; a refusal has a reason; what is accepted holds every promise that a replay relies on,
 * and is the same case, with the same token, after another round trip. Does not check: that damage
 * is noticed (test_case_file).
 *
 * A checksum, and JSON with forty obligatory keys, would keep a fuzzer out of everything behind
 * them. So the input is tried in three ways: as it is; with sizes and checksum put right; and as a
 * list of edits to the JSON of a case that is whole.
 */
#include "faultinject/base/assert.h"
#include "faultinject/base/hash.h"
#include "harness/case/test/case_sample.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER_SIZE = 32, CHECKSUM_SIZE = 16, EDIT_SIZE = 4, EDITS_MAX = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_u64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static void repair_checksum(uint8_t *data, size_t size)
{
	struct digest hash = hash128(data, size - CHECKSUM_SIZE);

	put_u64(data + size - 16, hash.lo);
	put_u64(data + size - 8, hash.hi);
}

static void check_subject(const struct subject *s)
{
	ASSERT(s->id[0] != '\0' && s->model[0] != '\0' && s->title != NULL);
	ASSERT(s->database[0] == '/');
	for (size_t i = 0; i < s->attached_count; i++)
		ASSERT(s->attached[i].name != NULL && s->attached[i].file[0] == '/');
	for (size_t i = 0; i < s->pragmas.count; i++)
		ASSERT(s->pragmas.items[i].key != NULL && s->pragmas.items[i].value != NULL);
	for (size_t i = 0; i < s->open_count; i++)
		ASSERT(s->open[i] != NULL);
	for (size_t i = 0; i < s->invariant_count; i++) {
		ASSERT(s->invariants[i].text != NULL && s->invariants[i].sql != NULL);
		ASSERT_OP(s->invariants[i].line, >=, 0);
	}
}

static void check_case(const struct case_file *c)
{
	check_subject(c->subject);
	ASSERT_OP(c->state.position, <=, c->trace->op_count);
	if (c->state.has_cut) {
		const struct op *op = trace_at(c->trace, c->state.position);

		ASSERT_OP(op->kind, ==, OP_WRITE);
		ASSERT_OP(c->state.cut_bytes, <=, op->size);
	}
	ASSERT_OP(c->state.answer_count, <=, CASE_ANSWERS_MAX);
	ASSERT(c->finding.oracle[0] != '\0' && c->finding.message != NULL);
	ASSERT(c->plugpull_version != NULL && c->sqlite_version != NULL);
}

/* Owns `c`. */
static void check_round_trip(struct case_file *c)
{
	struct case_file *again = NULL;
	struct err err = ERR_INIT;
	struct buf first = {0}, second = {0};
	char token[CASE_TOKEN_SIZE], token_again[CASE_TOKEN_SIZE];

	check_case(c);
	case_file_encode(c, &first);
	if (case_file_decode(first.data, first.size, &again, &err) != 0)
		assert_fail(__FILE__, __LINE__, err.message);
	case_file_encode(again, &second);
	ASSERT_OP(first.size, ==, second.size);
	ASSERT(memcmp(first.data, second.data, first.size) == 0);
	case_file_token(c, token);
	case_file_token(again, token_again);
	ASSERT(strcmp(token, token_again) == 0);
	case_file_free(c);
	case_file_free(again);
	buf_release(&first);
	buf_release(&second);
}

static void try_decode(const uint8_t *data, size_t size)
{
	struct err err = ERR_INIT;
	struct case_file *c = NULL;

	if (case_file_decode(data, size, &c, &err) == 0) {
		check_round_trip(c);
		return;
	}
	ASSERT(c == NULL && err.message[0] != '\0');
	ASSERT_OP(err.code, ==, ERR_INPUT);
}

/* The first byte says how much of the rest is JSON. */
static void try_repaired(const uint8_t *data, size_t size)
{
	static const uint8_t start[16] = "pp-case\n\1";
	size_t body = size - 1, json = body * data[0] / 255;
	struct buf b = {0};

	buf_append(&b, start, sizeof start);
	buf_put_u64(&b, json);
	buf_put_u64(&b, body - json);
	buf_append(&b, data + 1, body);
	buf_put_u64(&b, 0);
	buf_put_u64(&b, 0);
	repair_checksum(b.data, b.size);
	try_decode(b.data, b.size);
	buf_release(&b);
}

static json_t *new_value(uint8_t kind, uint8_t detail)
{
	static const char *const hex[] = {"2fff", "2f41", "ff00", "f", "2fC3", ""};
	static const char *const words[] = {"",	    "/db/main.db", "torn", "18446744073709551615",
					    "pp1-", "main"};
	static const json_int_t numbers[] = {0,		 1,	     2,		2147483648LL,
					     4294967295, 4294967296, INT64_MAX, INT64_MIN};

	switch (kind % 8) {
	case 0:
		return json_null();
	case 1:
		return json_boolean(detail & 1);
	case 2:
		return json_integer(numbers[detail % (sizeof numbers / sizeof numbers[0])]);
	case 3:
		return json_integer(detail - 8);
	case 4:
		return json_string(words[detail % (sizeof words / sizeof words[0])]);
	case 5:
		return json_pack("{s:s}", "bytes", hex[detail % (sizeof hex / sizeof hex[0])]);
	case 6:
		return json_array();
	default:
		return json_real(detail);
	}
}

/* Changes the `*left`-th value below `json`, counted from 0; true when it was reached. */
static bool edit_value(json_t *json, size_t *left, const uint8_t *edit)
{
	size_t index;
	const char *key;
	json_t *value;

	json_object_foreach (json, key, value) {
		if (*left == 0) {
			/* A removed key as well: then its reader must miss it. */
			if (edit[2] == 0xFF)
				json_object_del(json, key);
			else
				json_object_set_new(json, key, new_value(edit[2], edit[3]));
			return true;
		}
		--*left;
		if (edit_value(value, left, edit))
			return true;
	}
	json_array_foreach (json, index, value) {
		if (*left == 0) {
			if (edit[2] == 0xFF)
				json_array_remove(json, index);
			else if (edit[2] == 0xFE)
				json_array_insert(json, index, value);
			else
				json_array_set_new(json, index, new_value(edit[2], edit[3]));
			return true;
		}
		--*left;
		if (edit_value(value, left, edit))
			return true;
	}
	return false;
}

static void try_edited(const uint8_t *data, size_t size)
{
	struct case_file *c = sample_case();
	struct buf whole = {0}, b = {0};

	case_file_encode(c, &whole);

	size_t json_size = whole.data[16] | (size_t)whole.data[17] << 8;
	uint8_t *rest = whole.data + HEADER_SIZE + json_size;
	json_t *json = json_loadb((char *)whole.data + HEADER_SIZE, json_size, 0, NULL);

	ASSERT(json != NULL);
	for (size_t i = 0; i < EDITS_MAX && size >= EDIT_SIZE; i++) {
		size_t left = (data[0] | (size_t)data[1] << 8) % 128;

		edit_value(json, &left, data);
		data += EDIT_SIZE;
		size -= EDIT_SIZE;
	}

	char *text = json_dumps(json, JSON_COMPACT);

	ASSERT(text != NULL);
	/* What is left of the input: bytes of the text. */
	for (; size >= EDIT_SIZE; data += EDIT_SIZE, size -= EDIT_SIZE)
		text[(data[0] | (size_t)data[1] << 8) % strlen(text)] = (char)(data[2] | 1);
	buf_append(&b, whole.data, HEADER_SIZE);
	buf_append(&b, text, strlen(text));
	buf_append(&b, rest, (size_t)(whole.data + whole.size - rest));
	put_u64(b.data + 16, strlen(text));
	repair_checksum(b.data, b.size);
	try_decode(b.data, b.size);
	json_decref(json);
	free(text);
	case_file_free(c);
	buf_release(&whole);
	buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_decode(data, size);
	try_edited(data, size);
	if (size > 0)
		try_repaired(data, size);
	return 0;
}
