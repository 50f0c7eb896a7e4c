/*
 * libFuzzer target: the file of --resume. Checks: it neither reads outside its input nor crashes; a
 * refusal has a reason; a record that is accepted is the same after another round trip. Does not
 * check: that damage is noticed (test_resume).
 *
 * Checksums would keep a fuzzer out of what is behind them, so the input is tried as a file, and as
 * the payload of one record whose checksums are right.
 *
 * Not in the test folder of its parser, whose helpers need cmocka.
 */
#include "harness/drive/resume.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "harness/drive/point_result.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_file(const uint8_t *data, size_t size)
{
	struct err err = ERR_INIT;
	size_t count = 0;
	uint64_t torn = 0;

	if (resume_check(data, size, &count, &torn, &err) != 0)
		ASSERT(err.message[0] != '\0');
	else
		ASSERT_OP(torn, <=, size);
}

static void put_record(const uint8_t *data, size_t size, struct buf *out)
{
	uint32_t payload = (uint32_t)size;
	struct digest d = hash128(data, size);

	buf_put_u32(out, payload);
	buf_put_u32(out, (uint32_t)hash64(out->data, 4, 0));
	buf_put_u64(out, d.lo);
	buf_put_u64(out, d.hi);
	buf_append(out, data, size);
}

static void check_payload(const uint8_t *data, size_t size)
{
	struct point_result r, again;
	struct err err = ERR_INIT;
	struct buf record, second;

	buf_init(&record);
	buf_init(&second);
	point_result_init(&r);
	point_result_init(&again);
	put_record(data, size, &record);
	if (point_result_decode(record.data, record.size, &r, &err) == 0) {
		point_result_encode(&r, &second);
		ASSERT_OP(point_result_decode(second.data, second.size, &again, &err), ==, 0);
		ASSERT_OP(again.finding_count, ==, r.finding_count);
		ASSERT_OP(mpz_cmp(again.outcome.states, r.outcome.states), ==, 0);
		ASSERT(strcmp(again.error.message, r.error.message) == 0);
	} else {
		ASSERT(err.message[0] != '\0');
	}
	point_result_release(&r);
	point_result_release(&again);
	buf_release(&record);
	buf_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_file(data, size);
	check_payload(data, size);
	return 0;
}
