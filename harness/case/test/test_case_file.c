/*
 * Case files as bytes. Damage is tried exhaustively on a small case; what a stranger
 * can write behind a correct checksum is tried field by field. Files are in test_case_folder,
 * tokens in test_case_token.
 */
#include "harness/case/case_file.h"

#include "faultinject/base/hash.h"
#include "harness/case/test/case_sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { HEADER_SIZE = 32, CHECKSUM_SIZE = 16 };

/* ---- helpers */

static void put_u64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static void repair_checksum(struct buf *b)
{
	struct digest hash = hash128(b->data, b->size - CHECKSUM_SIZE);

	put_u64(b->data + b->size - 16, hash.lo);
	put_u64(b->data + b->size - 8, hash.hi);
}

static void expect_said(const char *message, const char *part)
{
	if (strstr(message, part) == NULL)
		fail_msg("'%s' does not say '%s'", message, part);
}

static void expect_refused(const void *data, size_t size, const char *part)
{
	struct case_file *const untouched = (struct case_file *)&put_u64;
	struct case_file *c = untouched;
	struct err err = ERR_INIT;

	assert_int_equal(case_file_decode(data, size, &c, &err), ERR_INPUT);
	assert_ptr_equal(c, untouched);
	assert_int_equal(err.code, ERR_INPUT);
	expect_said(err.message, part);
}

static struct case_file *decoded(const void *data, size_t size)
{
	struct case_file *c = NULL;
	struct err err = ERR_INIT;

	if (case_file_decode(data, size, &c, &err) != 0)
		fail_msg("%s", err.message);
	return c;
}

static void expect_same_trace(const struct trace *a, const struct trace *b)
{
	assert_string_equal(a->producer, b->producer);
	assert_int_equal(a->device.sector_size_bytes, b->device.sector_size_bytes);
	assert_int_equal(a->base_count, b->base_count);
	assert_int_equal(a->op_count, b->op_count);
	for (uint64_t p = 1; p <= a->op_count; p++) {
		const struct op *x = trace_at(a, p), *y = trace_at(b, p);

		assert_int_equal(x->kind, y->kind);
		assert_int_equal(x->offset, y->offset);
		assert_int_equal(x->size, y->size);
		assert_int_equal(x->data != NULL, y->data != NULL);
		if (x->data != NULL)
			assert_memory_equal(x->data, y->data, x->size);
	}
}

static void expect_same(const struct case_file *a, const struct case_file *b)
{
	json_t *x = subject_to_json(a->subject), *y = subject_to_json(b->subject);

	assert_true(json_equal(x, y)); /* field by field in test_subject */
	json_decref(x);
	json_decref(y);
	expect_same_trace(a->trace, b->trace);
	assert_int_equal(a->state.position, b->state.position);
	assert_int_equal(a->state.promise, b->state.promise);
	assert_int_equal(a->state.depth == 2, b->state.depth == 2);
	assert_int_equal(a->state.representative, b->state.representative);
	assert_int_equal(a->state.has_again, b->state.has_again);
	assert_int_equal(a->state.again_position, b->state.again_position);
	assert_int_equal(a->state.again_has_cut, b->state.again_has_cut);
	assert_int_equal(a->state.again_cut_bytes, b->state.again_cut_bytes);
	assert_int_equal(a->state.has_cut, b->state.has_cut);
	assert_int_equal(a->state.cut_bytes, b->state.cut_bytes);
	assert_int_equal(a->state.answer_count, b->state.answer_count);
	for (size_t i = 0; i < a->state.answer_count; i++)
		assert_int_equal(a->state.answers[i], b->state.answers[i]);
	assert_string_equal(a->finding.oracle, b->finding.oracle);
	assert_int_equal(a->finding.grade, b->finding.grade);
	assert_string_equal(a->finding.message, b->finding.message);
	assert_string_equal(a->plugpull_version, b->plugpull_version);
	assert_string_equal(a->sqlite_version, b->sqlite_version);
}

/* Encodes and decodes `c`, compares, and releases it. */
static void expect_round_trip(struct case_file *c)
{
	struct buf first = {0}, second = {0};

	case_file_encode(c, &first);
	struct case_file *again = decoded(first.data, first.size);

	expect_same(c, again);
	case_file_encode(again, &second);
	assert_int_equal(first.size, second.size);
	assert_memory_equal(first.data, second.data, first.size);
	case_file_free(c);
	case_file_free(again);
	buf_release(&first);
	buf_release(&second);
}

/* ---- bytes */

/* A case survives its file in every field, whatever is absent or extreme. */
static void test_round_trip(void **state)
{
	struct case_file *c;

	(void)state;
	expect_round_trip(sample_case());
	c = sample_case();
	c->state.has_cut = false;
	c->state.cut_bytes = 0;
	c->state.position = c->state.promise = 0;
	c->state.answer_count = 0;
	c->finding.grade = GRADE_NONE;
	set_string(&c->finding.message, "");
	expect_round_trip(c);
	for (int grade = GRADE_CORRUPT; grade <= GRADE_DURABLE; grade++) {
		c = sample_case();
		c->finding.grade = (enum grade)grade;
		expect_round_trip(c);
	}
	c = sample_case();
	free(c->state.answers);
	c->state.answer_count = CASE_ANSWERS_MAX;
	c->state.answers = calloc(CASE_ANSWERS_MAX, sizeof *c->state.answers);
	for (size_t i = 0; i < CASE_ANSWERS_MAX; i++)
		c->state.answers[i] = (uint32_t)(i * 2654435761u);
	expect_round_trip(c);
	case_file_free(NULL);
}

/* A message that was cut inside a character is readable again, and still the same case. */
static void test_message_bytes(void **state)
{
	struct case_file *c = sample_case();
	struct buf b = {0};

	(void)state;
	set_string(&c->finding.message, "gr\xC3\xBC\xC3");
	case_file_encode(c, &b);
	struct case_file *again = decoded(b.data, b.size);

	assert_string_equal(again->finding.message, "gr\xC3\xBC\xEF\xBF\xBD");
	case_file_free(c);
	case_file_free(again);
	buf_release(&b);
}

/* Encoding appends, so that a case can stand behind something else in a buffer. */
static void test_encode_appends(void **state)
{
	struct case_file *c = sample_case();
	struct buf alone = {0}, behind = {0};

	(void)state;
	case_file_encode(c, &alone);
	buf_append(&behind, "abc", 3);
	case_file_encode(c, &behind);
	assert_int_equal(behind.size, alone.size + 3);
	assert_memory_equal(behind.data + 3, alone.data, alone.size);
	case_file_free(c);
	buf_release(&alone);
	buf_release(&behind);
}

/* No beginning of a case file is one, nor is one with something behind it. */
static void test_every_truncation(void **state)
{
	struct case_file *c = sample_case();
	struct buf b = {0};

	(void)state;
	case_file_encode(c, &b);
	for (size_t size = 0; size < b.size; size++) {
		/* Of exactly this size, so that the sanitizer sees a read beyond it. */
		uint8_t *cut = xmalloc(size);

		memcpy(cut, b.data, size);
		expect_refused(cut, size, "");
		free(cut);
	}
	for (unsigned tail = 0; tail <= 255; tail++) {
		buf_put_u8(&b, (uint8_t)tail);
		expect_refused(b.data, b.size, "bytes long");
		b.size--;
	}
	case_file_free(c);
	buf_release(&b);
}

/* A single wrong bit anywhere is noticed. */
static void test_every_bit(void **state)
{
	struct case_file *c = sample_case();
	struct buf b = {0};

	(void)state;
	case_file_encode(c, &b);
	for (size_t bit = 0; bit < 8 * b.size; bit++) {
		b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		expect_refused(b.data, b.size, "");
		b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	case_file_free(decoded(b.data, b.size));
	case_file_free(c);
	buf_release(&b);
}

/* A later format is called that, with a wrong checksum too; format 0 never was. */
static void test_format(void **state)
{
	struct case_file *c = sample_case();
	struct buf b = {0};

	(void)state;
	case_file_encode(c, &b);
	b.data[8] = CASE_FORMAT + 1;
	expect_refused(b.data, b.size, "format 2 is newer than this program reads");
	expect_refused(b.data, HEADER_SIZE, "format 2 is newer than this program reads");
	b.data[11] = 0xFF;
	repair_checksum(&b);
	expect_refused(b.data, b.size, "format 4278190082 is newer than this program reads");
	b.data[8] = b.data[11] = 0;
	repair_checksum(&b);
	expect_refused(b.data, b.size, "damaged");
	b.data[8] = CASE_FORMAT;
	b.data[12] = 1;
	repair_checksum(&b);
	expect_refused(b.data, b.size, "damaged");
	expect_refused("SQLite format 3", 15, "not a case file");
	expect_refused("", 0, "not a case file");
	expect_refused("pp-case", 7, "ends inside its header");
	case_file_free(c);
	buf_release(&b);
}

/* Sizes that the file does not back are refused before anything is allocated for them. */
static void test_sizes(void **state)
{
	static const uint64_t sizes[] = {0,
					 1,
					 1 << 20,
					 UINT32_MAX,
					 (uint64_t)1 << 40,
					 INT64_MAX,
					 UINT64_MAX,
					 UINT64_MAX - HEADER_SIZE};
	struct case_file *c = sample_case();
	struct buf b = {0};
	uint8_t sane[16];

	(void)state;
	case_file_encode(c, &b);
	memcpy(sane, b.data + 16, sizeof sane);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		for (size_t at = 16; at <= 24; at += 8) {
			put_u64(b.data + at, sizes[i]);
			repair_checksum(&b);
			expect_refused(b.data, b.size,
				       sizes[i] <= UINT32_MAX && (at == 24 || i < 3)
					   ? "bytes long"
					   : "larger than a case can be");
			memcpy(b.data + 16, sane, sizeof sane);
		}
	}
	/* The same sum, another border. */
	b.data[16]++;
	b.data[24]--;
	repair_checksum(&b);
	expect_refused(b.data, b.size, "trace: byte 0");
	case_file_free(c);
	buf_release(&b);
}

/* ---- the JSON behind a correct checksum */

/* The sample, with `json` in place of its own. */
static void with_json(const char *json, size_t size, struct buf *ret)
{
	struct case_file *c = sample_case();

	buf_clear(ret);
	case_file_encode(c, ret);

	uint64_t own = ret->data[16] | (uint64_t)ret->data[17] << 8;
	size_t rest = ret->size - HEADER_SIZE - own;
	uint8_t *tail = xmalloc(rest);

	memcpy(tail, ret->data + HEADER_SIZE + own, rest);
	ret->size = HEADER_SIZE;
	buf_append(ret, json, size);
	buf_append(ret, tail, rest);
	put_u64(ret->data + 16, size);
	repair_checksum(ret);
	free(tail);
	case_file_free(c);
}

static void expect_json_refused(const char *json, size_t size, const char *part)
{
	struct buf b = {0};

	with_json(json, size, &b);
	expect_refused(b.data, b.size, part);
	buf_release(&b);
}

static char *sample_json(void)
{
	struct case_file *c = sample_case();
	struct buf b = {0};

	case_file_encode(c, &b);

	char *json = strndup((char *)b.data + HEADER_SIZE, b.data[16] | (size_t)b.data[17] << 8);

	case_file_free(c);
	buf_release(&b);
	return json;
}

/* Refused when the first `from` of the sample's JSON becomes `to`. */
static void expect_edit_refused(const char *from, const char *to, const char *part)
{
	char *json = sample_json();
	char *at = strstr(json, from);

	assert_non_null(at);
	char *edited = xasprintf("%.*s%s%s", (int)(at - json), json, to, at + strlen(from));

	expect_json_refused(edited, strlen(edited), part);
	free(edited);
	free(json);
}

/* Each value of state, finding and versions has one type and its bounds; each key is needed. */
static void test_json_fields(void **state)
{
	static const struct {
		const char *from, *to, *part;
	} edits[] = {
	    {"\"position\":2", "\"position\":4", "position 4 of a trace of 3 operations"},
	    {"\"position\":2", "\"position\":-1", "position"},
	    {"\"position\":2", "\"position\":2.0", "position"},
	    {"\"position\":2", "\"position\":9223372036854775808", "malformed"},
	    {"\"position\":2", "\"position\":null", "position"},
	    {"\"position\":2", "\"position\":1", "only a write can be cut"},
	    {"\"position\":2", "\"position\":3", "only a write can be cut"},
	    {"\"position\":2", "\"position\":0", "only a write can be cut"},
	    {"\"position\":2", "\"where\":2", "position"},
	    {"\"position\":2", "\"position\":2,\"promise\":4", "promise 4 of a trace of 3"},
	    {"\"position\":2", "\"position\":2,\"promise\":2", "after the position"},
	    {"\"position\":2", "\"position\":2,\"promise\":1", "after the position"},
	    {"\"position\":2", "\"position\":2,\"promise\":null", "promise"},
	    {"\"position\":2", "\"position\":2,\"vow\":3", "unknown key"},
	    {"\"position\":2", "\"position\":2,\"representative\":false", "representative"},
	    {"\"position\":2", "\"position\":2,\"representative\":1", "representative"},
	    {"\"position\":2", "\"position\":2,\"depth\":1", "depth"},
	    {"\"position\":2", "\"position\":2,\"depth\":3", "depth"},
	    {"\"position\":2", "\"position\":2,\"again\":{\"position\":1,\"cut_bytes\":null}",
	     "needs 'depth'"},
	    {"\"position\":2", "\"position\":2,\"depth\":2,\"again\":{\"position\":1}", "again"},
	    {"\"position\":2",
	     "\"position\":2,\"depth\":2,\"again\":{\"position\":-1,\"cut_bytes\":null}", "again"},
	    {"\"position\":2", "\"position\":2,\"depth\":2,\"again\":7", "again"},
	    {"\"cut_bytes\":2", "\"cut_bytes\":6", "beyond its end"},
	    {"\"cut_bytes\":2", "\"cut_bytes\":-1", "cut_bytes"},
	    {"\"cut_bytes\":2", "\"cut_bytes\":false", "cut_bytes"},
	    {"\"cut_bytes\":2", "\"cut\":2", "cut_bytes"},
	    {"\"answers\":[0,", "\"answers\":[-1,", "answer"},
	    {"\"answers\":[0,", "\"answers\":[4294967296,", "answer"},
	    {"\"answers\":[0,", "\"answers\":[\"0\",", "answer"},
	    {"\"answers\":[0,1,4294967295,0]", "\"answers\":null", "answers"},
	    {"\"answers\":[0,1,4294967295,0]", "\"answer\":[]", "answers"},
	    {"\"oracle\":\"history\"", "\"oracle\":\"\"", "oracle"},
	    {"\"oracle\":\"history\"", "\"oracle\":1", "oracle"},
	    {"\"oracle\":\"history\"", "\"oracle\":\"\\u0000\"", "malformed"},
	    {"\"grade\":\"torn\"", "\"grade\":\"best\"", "grade"},
	    {"\"grade\":\"torn\"", "\"grade\":1", "grade"},
	    {"\"grade\":\"torn\"", "\"rank\":\"torn\"", "grade"},
	    {"\"message\":\"a", "\"massage\":\"a", "message"},
	    {"\"sqlite\":\"3.40.1\"", "\"sqlite\":3.40", "sqlite"},
	    {"\"plugpull\":\"0.1.0\"", "\"plugpull\":null", "plugpull"},
	    {"\"versions\":{", "\"versions\":{\"more\":1,", "unknown key"},
	    {"\"finding\":{", "\"finding\":{\"more\":1,", "unknown key"},
	    {"\"state\":{", "\"state\":{\"more\":1,", "unknown key"},
	    {"{\"finding\"", "{\"more\":1,\"finding\"", "unknown key"},
	    {"\"versions\":", "\"version\":", "versions"},
	    {"\"versions\":", "\"versions\":[],\"versions\":", "malformed"},
	    {"\"seed\":", "\"seed\":\"1\",\"seed\":", "malformed"},
	    {"\"seed\":\"1", "\"seed\":\"x", "subject: 'seed'"},
	    {"{\"finding\"", "{}{\"finding\"", "malformed"},
	    {"{\"finding\"", "{\"finding\"\xFF", "malformed"},
	    {"\"position\":2", "\"position\":2 x", "malformed"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++)
		expect_edit_refused(edits[i].from, edits[i].to, edits[i].part);
	expect_json_refused("", 0, "malformed");
	expect_json_refused("[]", 2, "key");
	expect_json_refused("null", 4, "malformed");
	expect_json_refused("{}", 2, "key");
}

/* A write may be cut at both of its ends. */
static void test_cut_bounds(void **state)
{
	struct case_file *c = sample_case();

	(void)state;
	c->state.cut_bytes = SAMPLE_WRITE_SIZE;
	expect_round_trip(c);
	c = sample_case();
	c->state.cut_bytes = 0;
	expect_round_trip(c);
	c = sample_case();
	c->state.has_cut = false;
	c->state.cut_bytes = 0;
	c->state.position = c->state.promise = SAMPLE_OPS;
	expect_round_trip(c);
	c = sample_case();
	c->state.promise = SAMPLE_OPS;
	expect_round_trip(c);
	c = sample_case();
	c->state.representative = true;
	expect_round_trip(c);
	c = sample_case();
	c->state.depth = 2;
	expect_round_trip(c);
	for (int cut = 0; cut < 2; cut++) {
		c = sample_case();
		c->state.depth = 2;
		c->state.has_again = true;
		c->state.again_position = 7; /* of a recovery, whose length no case knows */
		c->state.again_has_cut = cut != 0;
		c->state.again_cut_bytes = cut != 0 ? 512 : 0;
		expect_round_trip(c);
	}
}

/* JSON that would take far more memory than its size is refused before it is parsed; commas and
 * brackets in strings do not count. */
static void test_json_bombs(void **state)
{
	const size_t size = 12 << 20;
	char *json = xmalloc(size);

	(void)state;
	memset(json, '[', size);
	expect_json_refused(json, size, "more values");
	for (size_t i = 1; i < size; i += 2)
		memcpy(json + i, "0,", i + 1 < size ? 2 : 1);
	expect_json_refused(json, size, "more values");
	memset(json, '[', 3000); /* fewer than the bound, and deeper than anyone should recurse */
	expect_json_refused(json, 3000, "malformed");
	free(json);

	struct case_file *c = sample_case();
	struct subject *s = c->subject;
	struct buf sql = {0}, bytes = {0};

	for (int i = 0; i < 1 << 17; i++)
		buf_printf(&sql, "[{,:\\\",[{,:,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,");
	set_string(&s->open[0], buf_str(&sql));
	case_file_encode(c, &bytes);
	case_file_free(decoded(bytes.data, bytes.size));
	buf_release(&sql);
	buf_release(&bytes);
	case_file_free(c);
}

/* One answer too many. */
static void test_answers_max(void **state)
{
	struct buf answers = {0};

	(void)state;
	buf_printf(&answers, "\"answers\":[0");
	for (size_t i = 0; i < CASE_ANSWERS_MAX; i++)
		buf_append(&answers, ",0", 2);
	buf_printf(&answers, "]");
	expect_edit_refused("\"answers\":[0,1,4294967295,0]", buf_str(&answers),
			    "'answers': 1048577");
	buf_release(&answers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),	   cmocka_unit_test(test_message_bytes),
	    cmocka_unit_test(test_encode_appends), cmocka_unit_test(test_every_truncation),
	    cmocka_unit_test(test_every_bit),	   cmocka_unit_test(test_format),
	    cmocka_unit_test(test_sizes),	   cmocka_unit_test(test_json_fields),
	    cmocka_unit_test(test_cut_bounds),	   cmocka_unit_test(test_json_bombs),
	    cmocka_unit_test(test_answers_max),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
