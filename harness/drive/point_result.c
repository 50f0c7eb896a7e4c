/* See point_result.h. */
#include "harness/drive/point_result.h"

#include "faultinject/base/assert.h"
#include "harness/drive/kill_bytes.h"

#include <stdlib.h>
#include <string.h>

void point_result_init(struct point_result *r)
{
	memset(r, 0, sizeof *r);
	explore_outcome_init(&r->outcome);
	r->grade = GRADE_DURABLE;
}

void point_result_release(struct point_result *r)
{
	for (size_t i = 0; i < r->finding_count; i++)
		free(r->findings[i].answers);
	r->finding_count = 0;
	explore_outcome_release(&r->outcome);
	explore_outcome_init(&r->outcome);
}

/* ---- writing ---- */

static void put_bytes(struct buf *b, const void *data, size_t size)
{
	buf_put_u64(b, size);
	buf_append(b, data, size);
}

static void put_text(struct buf *b, const char *text)
{
	put_bytes(b, text, strlen(text));
}

static void put_number(struct buf *b, const mpz_t number)
{
	size_t size = (mpz_sizeinbase(number, 2) + 7) / 8, written = 0;

	ASSERT(mpz_sgn(number) >= 0);
	buf_put_u64(b, size);
	buf_reserve(b, size);
	(void)mpz_export(b->data + b->size, &written, -1, 1, 0, 0, number);
	/* Nothing is written for zero. */
	memset(b->data + b->size + written, 0, size - written);
	b->size += size;
}

static void put_finding(struct buf *b, const struct finding *f)
{
	buf_put_u8(b, (uint8_t)f->verdict.grade);
	buf_put_u64(b, f->lost);
	buf_put_u64(b, f->position);
	buf_put_u64(b, f->cut_bytes);
	buf_put_u64(b, f->promise);
	buf_put_u64(b, f->recovery);
	buf_put_u8(b, f->again.happened);
	buf_put_u64(b, f->again.position);
	buf_put_u64(b, f->again.cut_bytes);
	put_text(b, f->verdict.oracle);
	put_text(b, f->verdict.message);
	buf_put_u64(b, f->answer_count);
	for (size_t i = 0; i < f->answer_count; i++)
		buf_put_u32(b, f->answers[i]);
}

static uint32_t size_checksum(const uint8_t *size)
{
	return (uint32_t)hash64(size, 4, 0);
}

static void set_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static void set_u64(uint8_t *p, uint64_t v)
{
	set_u32(p, (uint32_t)v);
	set_u32(p + 4, (uint32_t)(v >> 32));
}

void point_result_encode(const struct point_result *r, struct buf *out)
{
	size_t start = out->size;

	for (size_t i = 0; i < POINT_RECORD_HEADER_SIZE; i++)
		buf_put_u8(out, 0);
	buf_put_u64(out, r->key.lo);
	buf_put_u64(out, r->key.hi);
	buf_put_u64(out, r->index);
	buf_put_u8(out, (uint8_t)r->outcome.end);
	buf_put_u8(out, (uint8_t)r->grade);
	buf_put_u64(out, r->outcome.recoveries);
	buf_put_u64(out, r->lost_max);
	put_number(out, r->outcome.states);
	put_number(out, r->outcome.covered);
	buf_put_u32(out, (uint32_t)-r->error.code);
	put_text(out, r->error.message);
	buf_put_u64(out, r->finding_count);
	for (size_t i = 0; i < r->finding_count; i++)
		put_finding(out, &r->findings[i]);

	uint8_t *header = out->data + start;
	size_t size = out->size - start - POINT_RECORD_HEADER_SIZE;
	ASSERT_OP(size, <=, POINT_RECORD_SIZE_MAX);
	struct digest checksum = hash128(header + POINT_RECORD_HEADER_SIZE, size);
	set_u32(header, (uint32_t)size);
	set_u32(header + 4, size_checksum(header));
	set_u64(header + 8, checksum.lo);
	set_u64(header + 16, checksum.hi);
}

/* ---- reading ---- */

static uint32_t get_u32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get_u64(const uint8_t *p)
{
	return get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

int point_record_size(const void *data, size_t size, size_t *ret_size, struct err *err)
{
	const uint8_t *p = data;

	*ret_size = 0;
	if (size < POINT_RECORD_HEADER_SIZE)
		return 0;
	if (get_u32(p + 4) != size_checksum(p) || get_u32(p) > POINT_RECORD_SIZE_MAX)
		return err_set(err, ERR_INPUT, "no record begins here");
	size_t whole = POINT_RECORD_HEADER_SIZE + (size_t)get_u32(p);
	*ret_size = whole > size ? 0 : whole;
	return 0;
}

size_t point_record_payload(const void *header)
{
	return get_u32(header);
}

static void take_number(struct kill_reader *r, mpz_t ret)
{
	size_t size = kill_take_count(r, 1);

	mpz_import(ret, size, -1, 1, 0, 0, r->at);
	r->at += size;
	r->left -= size;
}

/* A text of less than `size` bytes. */
static void take_text(struct kill_reader *r, char *ret, size_t size)
{
	size_t n = kill_take_count(r, 1);

	if (n >= size) {
		r->cut = true;
		n = 0;
	}
	kill_take(r, ret, n);
	ret[n] = '\0';
}

/* Verdicts name their oracle by a static text. */
static const char *oracle_name(const char *name)
{
	size_t count;
	const struct oracle_info *infos = oracle_infos(&count);

	for (size_t i = 0; i < count; i++)
		if (strcmp(infos[i].name, name) == 0)
			return infos[i].name;
	return NULL;
}

static void take_finding(struct kill_reader *r, struct finding *ret)
{
	char oracle[64];

	memset(ret, 0, sizeof *ret);
	ret->verdict.grade = (enum grade)kill_take_u8(r);
	ret->lost = kill_take_u64(r);
	ret->position = kill_take_u64(r);
	ret->cut_bytes = (size_t)kill_take_u64(r);
	ret->promise = kill_take_u64(r);
	ret->recovery = kill_take_u64(r);
	ret->again.happened = kill_take_u8(r) != 0;
	ret->again.position = kill_take_u64(r);
	ret->again.cut_bytes = (size_t)kill_take_u64(r);
	take_text(r, oracle, sizeof oracle);
	take_text(r, ret->verdict.message, sizeof ret->verdict.message);
	ret->verdict.oracle = oracle_name(oracle);
	if (ret->verdict.oracle == NULL || ret->verdict.grade > GRADE_NONE)
		r->cut = true;
	ret->answer_count = kill_take_count(r, sizeof *ret->answers);
	ret->answers = xcalloc(ret->answer_count, sizeof *ret->answers);
	for (size_t i = 0; i < ret->answer_count; i++)
		ret->answers[i] = kill_take_u32(r);
}

static bool known_error(uint32_t code)
{
	return code == 0 || code == (uint32_t)-ERR_LIMIT || code == (uint32_t)-ERR_HARNESS;
}

int point_result_decode(const void *data, size_t size, struct point_result *ret, struct err *err)
{
	const uint8_t *bytes = data;
	size_t whole;
	int rc = point_record_size(data, size, &whole, err);

	if (rc != 0)
		return rc;
	if (whole == 0 || whole != size)
		return err_set(err, ERR_INPUT, "a record of another size than it says");
	struct kill_reader r = {bytes + POINT_RECORD_HEADER_SIZE, whole - POINT_RECORD_HEADER_SIZE,
				false};
	struct digest said = {get_u64(bytes + 8), get_u64(bytes + 16)};
	if (!digest_equal(hash128(r.at, r.left), said))
		return err_set(err, ERR_INPUT, "the checksum of a record is wrong");

	point_result_release(ret);
	ret->key.lo = kill_take_u64(&r);
	ret->key.hi = kill_take_u64(&r);
	ret->index = kill_take_u64(&r);
	uint8_t end = kill_take_u8(&r), grade = kill_take_u8(&r);
	ret->outcome.recoveries = kill_take_u64(&r);
	ret->lost_max = kill_take_u64(&r);
	take_number(&r, ret->outcome.states);
	take_number(&r, ret->outcome.covered);
	uint32_t code = kill_take_u32(&r);
	take_text(&r, ret->error.message, sizeof ret->error.message);
	size_t count = kill_take_count(&r, 1);
	if (end > EXPLORE_STOPPED || grade > GRADE_DURABLE || !known_error(code) ||
	    count > EXAMINE_FINDINGS_MAX)
		r.cut = true;
	ret->outcome.end = (enum explore_end)end;
	ret->grade = (enum grade)grade;
	ret->error.code = -(int)(code & INT32_MAX);
	while (ret->finding_count < count && !r.cut)
		take_finding(&r, &ret->findings[ret->finding_count++]);
	if (r.cut || r.left > 0)
		return err_set(err, ERR_INPUT, "a malformed record");
	return 0;
}
