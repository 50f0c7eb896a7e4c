/*
 * Results of crash points as bytes, and the file that keeps them. What a run makes of the file is
 * checked on the built program, in harness/cli/test/contract/workers.py.
 */
#include "harness/drive/resume.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/prng.h"
#include "harness/drive/point_result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* A result with numbers of many bytes, and of none. */
static void make_result(uint64_t seed, struct point_result *r)
{
	static const char *const oracles[] = {"history", "recovery", "integrity"};
	struct prng random;

	prng_init(&random, seed, "result");
	point_result_init(r);
	r->key = (struct digest){prng_next(&random), seed};
	r->index = seed;
	r->outcome.end = (enum explore_end)(seed % (EXPLORE_STOPPED + 1));
	r->outcome.recoveries = prng_next(&random);
	mpz_ui_pow_ui(r->outcome.states, 3, (unsigned long)(seed * 40));
	mpz_set_ui(r->outcome.covered, seed % 3);
	r->grade = (enum grade)(seed % 4);
	r->lost_max = seed;
	if (seed % 5 == 0)
		(void)err_set(&r->error, ERR_LIMIT, "limit of %d", (int)seed);
	for (size_t i = 0; i < seed % 4 && i < 3; i++) {
		uint32_t answers[9];
		struct finding f = {.verdict = {.oracle = oracles[i], .grade = (enum grade)i},
				    .lost = seed,
				    .position = 7,
				    .cut_bytes = SIZE_MAX,
				    .promise = 9,
				    .recovery = seed,
				    .answers = answers,
				    .answer_count = seed % 9};
		for (size_t k = 0; k < 9; k++)
			answers[k] = (uint32_t)prng_next(&random);
		(void)snprintf(f.verdict.message, sizeof f.verdict.message, "finding %zu", i);
		findings_keep(r->findings, &r->finding_count, &f);
	}
}

static void assert_same(const struct point_result *a, const struct point_result *b)
{
	assert_true(digest_equal(a->key, b->key));
	assert_int_equal(a->index, b->index);
	assert_int_equal(a->outcome.end, b->outcome.end);
	assert_int_equal(a->outcome.recoveries, b->outcome.recoveries);
	assert_int_equal(mpz_cmp(a->outcome.states, b->outcome.states), 0);
	assert_int_equal(mpz_cmp(a->outcome.covered, b->outcome.covered), 0);
	assert_int_equal(a->error.code, b->error.code);
	assert_string_equal(a->error.message, b->error.message);
	assert_int_equal(a->grade, b->grade);
	assert_int_equal(a->lost_max, b->lost_max);
	assert_int_equal(a->finding_count, b->finding_count);
	for (size_t i = 0; i < a->finding_count; i++) {
		const struct finding *x = &a->findings[i], *y = &b->findings[i];
		assert_string_equal(x->verdict.oracle, y->verdict.oracle);
		assert_string_equal(x->verdict.message, y->verdict.message);
		assert_int_equal(x->verdict.grade, y->verdict.grade);
		assert_int_equal(x->lost, y->lost);
		assert_int_equal(x->position, y->position);
		assert_true(x->cut_bytes == y->cut_bytes);
		assert_int_equal(x->promise, y->promise);
		assert_int_equal(x->recovery, y->recovery);
		assert_int_equal(x->answer_count, y->answer_count);
		if (x->answer_count > 0)
			assert_memory_equal(x->answers, y->answers,
					    x->answer_count * sizeof *x->answers);
	}
}

enum { RESULTS = 24 };

/* What is written is read again. */
static void test_round_trip(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	for (uint64_t seed = 0; seed < RESULTS; seed++) {
		struct point_result a, b;
		struct buf bytes;
		size_t size;
		make_result(seed, &a);
		point_result_init(&b);
		buf_init(&bytes);
		point_result_encode(&a, &bytes);
		assert_int_equal(point_record_size(bytes.data, bytes.size, &size, &err), 0);
		assert_int_equal(size, bytes.size);
		if (point_result_decode(bytes.data, bytes.size, &b, &err) != 0)
			fail_msg("%s", err.message);
		assert_same(&a, &b);
		point_result_release(&a);
		point_result_release(&b);
		buf_release(&bytes);
	}
}

/* A record that was cut or changed anywhere is refused, never read. */
static void test_damaged_record(void **state)
{
	struct point_result a, b;
	struct buf bytes;
	struct err err = ERR_INIT;

	(void)state;
	make_result(3, &a);
	point_result_init(&b);
	buf_init(&bytes);
	point_result_encode(&a, &bytes);
	for (size_t n = 0; n < bytes.size; n++) {
		size_t size;
		assert_int_not_equal(point_result_decode(bytes.data, n, &b, &err), 0);
		assert_int_equal(point_record_size(bytes.data, n, &size, &err), 0);
		assert_int_equal(size, 0);
	}
	for (size_t i = 0; i < bytes.size; i++) {
		bytes.data[i] ^= 0x20;
		assert_int_equal(point_result_decode(bytes.data, bytes.size, &b, &err), ERR_INPUT);
		bytes.data[i] ^= 0x20;
	}
	point_result_release(&a);
	point_result_release(&b);
	buf_release(&bytes);
}

static void put_again(struct buf *record)
{
	uint32_t size = (uint32_t)(record->size - POINT_RECORD_HEADER_SIZE);
	struct digest d = hash128(record->data + POINT_RECORD_HEADER_SIZE, size);

	memcpy(record->data, &size, 4);
	uint32_t check = (uint32_t)hash64(record->data, 4, 0);
	memcpy(record->data + 4, &check, 4);
	memcpy(record->data + 8, &d, 16);
}

/* A record whose checksums are right and whose content is not: a stranger wrote it. */
static void test_forged_record(void **state)
{
	struct point_result a, b;
	struct buf bytes;
	struct err err = ERR_INIT;
	size_t refused = 0;

	(void)state;
	make_result(7, &a);
	point_result_init(&b);
	for (size_t i = POINT_RECORD_HEADER_SIZE + 24; i < 900; i++) {
		buf_init(&bytes);
		point_result_encode(&a, &bytes);
		if (i < bytes.size) {
			bytes.data[i] = 0xff;
			put_again(&bytes);
			refused += point_result_decode(bytes.data, bytes.size, &b, &err) != 0;
		}
		buf_release(&bytes);
	}
	assert_true(refused > 40); /* sizes, counts, enumerations */
	buf_init(&bytes);
	point_result_encode(&a, &bytes);
	buf_put_u8(&bytes, 0);
	put_again(&bytes);
	assert_int_equal(point_result_decode(bytes.data, bytes.size, &b, &err), ERR_INPUT);
	point_result_release(&a);
	point_result_release(&b);
	buf_release(&bytes);
}

/* ---- the file ------------------------------------------------------------------------------ */

static char path[] = "/tmp/plugpull-resume-XXXXXX";

static void write_file(const void *data, size_t size)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

static void read_file(struct buf *ret)
{
	FILE *f = fopen(path, "r");
	int c;

	assert_non_null(f);
	buf_clear(ret);
	while ((c = fgetc(f)) != EOF)
		buf_put_u8(ret, (uint8_t)c);
	(void)fclose(f);
}

static void fill_file(void)
{
	struct resume *r;
	struct err err = ERR_INIT;
	uint64_t torn = 1;

	(void)unlink(path);
	assert_int_equal(resume_open(path, &r, &torn, &err), 0);
	assert_int_equal(torn, 0);
	for (uint64_t seed = 1; seed < RESULTS; seed++) {
		struct point_result a;
		struct buf bytes;
		make_result(seed, &a);
		buf_init(&bytes);
		point_result_encode(&a, &bytes);
		assert_int_equal(resume_add(r, &bytes, &err), 0);
		buf_release(&bytes);
		point_result_release(&a);
	}
	resume_close(r);
}

/* How many of the results the file has; each as it was put in. */
static size_t count_found(struct resume *r)
{
	size_t count = 0;

	for (uint64_t seed = 0; seed < RESULTS; seed++) {
		struct point_result a, b;
		struct err err = ERR_INIT;
		bool found;
		make_result(seed, &a);
		point_result_init(&b);
		assert_int_equal(resume_find(r, a.key, &b, &found, &err), 0);
		if (found)
			assert_same(&a, &b);
		count += found;
		point_result_release(&a);
		point_result_release(&b);
	}
	return count;
}

/* All that was put in is found, and nothing else; the file belongs to one at a time. */
static void test_file(void **state)
{
	struct resume *r, *other;
	struct err err = ERR_INIT;
	uint64_t torn;

	(void)state;
	fill_file();
	assert_int_equal(resume_open(path, &r, &torn, &err), 0);
	assert_int_equal(torn, 0);
	assert_int_equal(count_found(r), RESULTS - 1);
	assert_int_equal(resume_open(path, &other, &torn, &err), ERR_IO);
	assert_non_null(strstr(err.message, "another command uses it"));
	resume_close(r);
	assert_int_equal(resume_open(path, &r, &torn, &err), 0);
	resume_close(r);
}

/* Cut anywhere, the whole records before the cut are there, and the file can be appended to; with a
 * byte changed, the file is refused with the place, or the change is in its last record. */
static void test_torn_and_damaged(void **state)
{
	struct buf whole, bytes;
	struct err err = ERR_INIT;
	size_t most = 0;

	(void)state;
	buf_init(&whole);
	buf_init(&bytes);
	fill_file();
	read_file(&whole);
	for (size_t n = 0; n <= whole.size; n += n < 200 ? 1 : 53) {
		struct resume *r;
		uint64_t torn;
		write_file(whole.data, n);
		if (resume_open(path, &r, &torn, &err) != 0)
			fail_msg("cut at %zu: %s", n, err.message);
		size_t found = count_found(r);
		assert_true(found >= most);
		most = found;
		resume_close(r);
		read_file(&bytes);
		assert_int_equal(bytes.size + torn,
				 n < RESUME_HEADER_SIZE ? RESUME_HEADER_SIZE : n);
	}
	for (size_t i = 0; i < whole.size; i += i < 300 ? 1 : 31) {
		size_t count;
		uint64_t torn;
		whole.data[i] ^= 4;
		int rc = resume_check(whole.data, whole.size, &count, &torn, &err);
		whole.data[i] ^= 4;
		if (rc == 0)
			assert_true(torn > 0 && i >= whole.size - torn && count == RESULTS - 2);
		else
			assert_true(i < RESUME_HEADER_SIZE ||
				    strstr(err.message, "damaged at byte"));
	}
	buf_release(&whole);
	buf_release(&bytes);
}

static int setup(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),	     cmocka_unit_test(test_damaged_record),
	    cmocka_unit_test(test_forged_record),    cmocka_unit_test(test_file),
	    cmocka_unit_test(test_torn_and_damaged),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
