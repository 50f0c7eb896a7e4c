/*
 * Tests of the base every other module stands on: err, prng, buf, hash, arena. Numbers come from
 * outside this tree: the published vectors of xoshiro256**, SplitMix64 and XXH3.
 */
#include "faultinject/base/arena.h"
#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/base/err.h"
#include "faultinject/base/hash.h"
#include "faultinject/base/prng.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Runs `doomed` in a child; returns its wait status, and what it wrote to stderr in `said`. */
static int run_doomed(void (*doomed)(void), char *said, size_t said_size)
{
	int fd[2];
	size_t used = 0;
	ssize_t n;
	int status;

	assert_int_equal(pipe(fd), 0);
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dup2(fd[1], STDERR_FILENO);
		(void)signal(SIGABRT, SIG_DFL);
		doomed();
		_exit(0);
	}
	close(fd[1]);
	while (used < said_size - 1 && (n = read(fd[0], said + used, said_size - 1 - used)) > 0)
		used += (size_t)n;
	said[used] = '\0';
	close(fd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void assert_aborts(void (*doomed)(void), const char *expected)
{
	char said[1024];
	int status = run_doomed(doomed, said, sizeof said);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	if (strstr(said, expected) == NULL)
		fail_msg("expected '%s' in: %s", expected, said);
}

/* err_set() returns its code, so that it can be returned, and keeps code and text. */
static void test_err_set_keeps_code_and_text(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(err.code, 0);
	assert_int_equal(err_set(&err, ERR_INPUT, "line %d: %s", 3, "bad"), ERR_INPUT);
	assert_int_equal(err.code, ERR_INPUT);
	assert_string_equal(err.message, "line 3: bad");
	assert_int_equal(err_set(NULL, ERR_IO, "nobody listens"), ERR_IO);
}

/* Context goes in front, outermost first, and leaves the code alone. */
static void test_err_context_goes_in_front(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	err_set(&err, ERR_INPUT, "unknown directive");
	assert_int_equal(err_context(&err, "line %d", 3), ERR_INPUT);
	assert_int_equal(err_context(&err, "scenario '%s'", "x.sql"), ERR_INPUT);
	assert_string_equal(err.message, "scenario 'x.sql': line 3: unknown directive");
	assert_int_equal(err.code, ERR_INPUT);
	assert_true(err_context(NULL, "nobody") < 0);
}

/* However long texts are, the message stays inside its buffer and is a string. */
static void test_err_long_texts_are_cut(void **state)
{
	struct {
		struct err err;
		char guard[16];
	} e = {ERR_INIT, "guard"};
	char text[3 * ERR_MESSAGE_SIZE];

	(void)state;
	memset(text, 'm', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	err_set(&e.err, ERR_LIMIT, "%s", text);
	assert_int_equal(strlen(e.err.message), ERR_MESSAGE_SIZE - 1);
	err_context(&e.err, "prefix");
	assert_int_equal(strlen(e.err.message), ERR_MESSAGE_SIZE - 1);
	assert_memory_equal(e.err.message, "prefix: mmm", 11);
	memset(text, 'p', sizeof text - 1);
	err_context(&e.err, "%s", text);
	assert_int_equal(strlen(e.err.message), ERR_MESSAGE_SIZE - 1);
	assert_int_equal(e.err.message[0], 'p');
	assert_int_equal(e.err.code, ERR_LIMIT);
	assert_string_equal(e.guard, "guard");
}

/* Each code is negative, unlike every other, has a text and an exit code of the contract. */
static void test_err_codes_are_distinct_and_complete(void **state)
{
	static const int codes[] = {
#define X(name, num, text, exit_code) name,
	    ERR_CODES(X)
#undef X
	};
	size_t count = sizeof codes / sizeof codes[0];

	(void)state;
	for (size_t i = 0; i < count; i++) {
		assert_true(codes[i] < 0);
		assert_string_not_equal(err_text(codes[i]), "unknown error");
		for (size_t j = 0; j < i; j++) {
			assert_int_not_equal(codes[i], codes[j]);
			assert_string_not_equal(err_text(codes[i]), err_text(codes[j]));
		}
		int exit_code = err_exit_code(codes[i]);
		assert_true(exit_code == 2 || exit_code == 3 || exit_code == 130);
	}
	assert_int_equal(err_exit_code(ERR_USAGE), 2);
	assert_int_equal(err_exit_code(ERR_HARNESS), 3);
	assert_int_equal(err_exit_code(ERR_INTERRUPTED), 130);
	assert_string_equal(err_text(12345), "unknown error");
	assert_int_equal(err_exit_code(12345), 3);
}

/* The generator is xoshiro256**: the vector its other implementations are tested with, for the
 * state 1, 2, 3, 4. */
static void test_prng_is_xoshiro256ss(void **state)
{
	struct prng r = {{1, 2, 3, 4}};
	static const uint64_t expected[] = {
	    11520u,
	    0u,
	    1509978240u,
	    1215971899390074240u,
	    1216172134540287360u,
	    607988272756665600u,
	    16172922978634559625u,
	    8476171486693032832u,
	    10595114339597558777u,
	    2904607092377533576u,
	};

	(void)state;
	for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
		assert_int_equal(prng_next(&r), expected[i]);
}

/* prng_mix() is one step of SplitMix64: the published sequence of the seed 1234567. */
static void test_prng_mix_is_splitmix64(void **state)
{
	static const uint64_t expected[] = {6457827717110365317u, 3203168211198807973u,
					    9817491932198370423u, 4593380528125082431u,
					    16408922859458223821u};
	uint64_t x = 1234567;

	(void)state;
	for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
		assert_int_equal(prng_mix(x), expected[i]);
		x += 0x9e3779b97f4a7c15u;
	}
}

/* A stream is a function of seed and name, and streams of other seeds or names are others. */
static void test_prng_streams_are_named(void **state)
{
	struct prng a, b, c, d, e;

	(void)state;
	prng_init(&a, 1, "workload");
	prng_init(&b, 1, "workload");
	prng_init(&c, 1, "fault");
	prng_init(&d, 2, "workload");
	prng_init(&e, 1, "");
	for (int i = 0; i < 100; i++) {
		uint64_t x = prng_next(&a);
		assert_int_equal(x, prng_next(&b));
		assert_int_not_equal(x, prng_next(&c));
		assert_int_not_equal(x, prng_next(&d));
		assert_int_not_equal(x, prng_next(&e));
	}
}

/* prng_below() stays below n and reaches every value about equally often. */
static void test_prng_below_is_in_range_and_even(void **state)
{
	struct prng r;
	int seen[7] = {0};

	(void)state;
	prng_init(&r, 1, "test");
	for (int i = 0; i < 70000; i++) {
		uint64_t x = prng_below(&r, 7);
		assert_true(x < 7);
		seen[x]++;
	}
	/* 10,000 each with a standard deviation of 93: 500 is more than five of them. */
	for (int i = 0; i < 7; i++)
		assert_in_range(seen[i], 9500, 10500);
	assert_int_equal(prng_below(&r, 1), 0);
	for (int i = 0; i < 1000; i++)
		assert_true(prng_below(&r, (UINT64_C(1) << 63) + 1) <= UINT64_C(1) << 63);
}

/* A modulo of all 64 bits would give the lower third of 3/4 * 2^64 half of all draws. */
static void test_prng_below_has_no_modulo_bias(void **state)
{
	struct prng r;
	uint64_t third = UINT64_C(1) << 62;
	int low = 0;

	(void)state;
	prng_init(&r, 1, "test");
	for (int i = 0; i < 30000; i++)
		low += prng_below(&r, 3 * third) < third;
	assert_in_range(low, 9500, 10500);
}

static void below_zero(void)
{
	struct prng r;

	prng_init(&r, 1, "test");
	(void)prng_below(&r, 0);
}

static void test_prng_below_zero_is_a_bug(void **state)
{
	(void)state;
	assert_aborts(below_zero, "n > 0");
}

/* prng_bytes() fills exactly what it was given, and its bytes are those of prng_next(). */
static void test_prng_bytes_fills_exactly(void **state)
{
	struct prng a, b;

	(void)state;
	prng_init(&a, 1, "vfs");
	for (size_t size = 0; size <= 20; size++) {
		uint8_t bytes[32], expected[24];
		memset(bytes, 0xee, sizeof bytes);
		b = a;
		prng_bytes(&a, bytes, size);
		for (size_t i = 0; i < size; i += 8) {
			uint64_t x = prng_next(&b);
			memcpy(expected + i, &x, 8);
		}
		assert_memory_equal(bytes, expected, size);
		for (size_t i = size; i < sizeof bytes; i++)
			assert_int_equal(bytes[i], 0xee);
		assert_memory_equal(&a, &b, sizeof a);
	}
}

/* What is appended is there, in order, over every growth. */
static void test_buf_grows_and_keeps(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	for (uint32_t i = 0; i < 10000; i++)
		buf_append(&b, &i, sizeof i);
	assert_int_equal(b.size, 40000);
	assert_true(b.cap >= b.size);
	for (uint32_t i = 0; i < 10000; i++) {
		uint32_t v;
		memcpy(&v, b.data + 4 * (size_t)i, sizeof v);
		assert_int_equal(v, i);
	}
	const uint8_t *data = b.data;
	buf_clear(&b);
	assert_int_equal(b.size, 0);
	assert_ptr_equal(b.data, data);
	buf_append(&b, NULL, 0);
	assert_int_equal(b.size, 0);
	buf_release(&b);
	assert_null(b.data);
	buf_release(&b);
}

/* After buf_reserve() that many bytes fit without the data moving. */
static void test_buf_reserve_makes_room(void **state)
{
	struct buf b;
	uint8_t chunk[100];

	(void)state;
	memset(chunk, 'c', sizeof chunk);
	buf_init(&b);
	buf_append(&b, chunk, sizeof chunk);
	buf_reserve(&b, 100000);
	const uint8_t *data = b.data;
	assert_true(b.cap - b.size >= 100000);
	for (int i = 0; i < 1000; i++)
		buf_append(&b, chunk, sizeof chunk);
	assert_ptr_equal(b.data, data);
	assert_int_equal(b.size, 100100);
	buf_release(&b);
}

/* Integers are little-endian on every machine: these bytes go into files. */
static void test_buf_integers_are_little_endian(void **state)
{
	static const uint8_t expected[] = {0xfe, 0x02, 0x01, 0x06, 0x05, 0x04, 0x03, 0x8e,
					   0x0d, 0x0c, 0x0b, 0x0a, 0x09, 0x08, 0x07};
	struct buf b;

	(void)state;
	buf_init(&b);
	buf_put_u8(&b, 0xfe);
	buf_put_u16(&b, 0x0102);
	buf_put_u32(&b, 0x03040506);
	buf_put_u64(&b, UINT64_C(0x0708090a0b0c0d8e));
	assert_int_equal(b.size, sizeof expected);
	assert_memory_equal(b.data, expected, sizeof expected);
	buf_release(&b);
}

/* Text is appended without its terminator, which buf_str() adds outside the size. */
static void test_buf_text(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(b.size, 0);
	buf_printf(&b, "%s=%d;", "a", 1);
	buf_printf(&b, "%s", "");
	buf_printf(&b, "%0200d", 7);
	assert_int_equal(b.size, 204);
	assert_int_equal(strlen(buf_str(&b)), 204);
	assert_memory_equal(buf_str(&b), "a=1;000", 7);
	assert_int_equal(buf_str(&b)[203], '7');
	assert_int_equal(b.size, 204);
	buf_release(&b);
}

/* xgrow() keeps what is there and makes room for one more, whatever the count. */
static void test_xgrow_keeps_and_makes_room(void **state)
{
	uint64_t *array = NULL;
	size_t cap = 0;

	(void)state;
	for (size_t count = 0; count < 1000; count++) {
		array = xgrow(array, count, &cap, sizeof *array);
		assert_true(cap > count);
		array[count] = count * 3;
	}
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(array[i], i * 3);
	free(array);
}

/* The allocation helpers never return NULL, not for nothing either, and xcalloc() gives zeros. */
static void test_allocation_helpers(void **state)
{
	void *empty = xmalloc(0);
	void *empty_too = xcalloc(0, 0);
	uint8_t *zeros = xcalloc(3, 100);
	char *copy = xstrdup("copied");
	char *text = xasprintf("%s-%d", "text", 9);

	(void)state;
	assert_non_null(empty);
	assert_non_null(empty_too);
	for (int i = 0; i < 300; i++)
		assert_int_equal(zeros[i], 0);
	zeros[5] = 55;
	zeros = xrealloc(zeros, 100000);
	assert_int_equal(zeros[5], 55);
	assert_string_equal(copy, "copied");
	assert_string_equal(text, "text-9");
	free(empty);
	free(empty_too);
	free(zeros);
	free(copy);
	free(text);
}

static void impossible_reserve(void)
{
	struct buf b;

	buf_init(&b);
	buf_reserve(&b, SIZE_MAX / 2);
}

/* A size that can only be a wrapped subtraction ends the process, it does not wrap around. */
static void test_buf_impossible_size_is_a_bug(void **state)
{
	(void)state;
	assert_aborts(impossible_reserve, "extra <");
}

/* The hashes are XXH3: its published values for the empty input and the seed 0. Traces and tokens
 * carry them to other machines. */
static void test_hash_is_xxh3(void **state)
{
	struct digest empty = hash128("", 0);

	(void)state;
	assert_int_equal(hash64("", 0, 0), UINT64_C(0x2d06800538d394c2));
	assert_int_equal(empty.hi, UINT64_C(0x99aa06d3014798d8));
	assert_int_equal(empty.lo, UINT64_C(0x6001c324468d497f));
}

/* Every byte, the length and the seed matter. */
static void test_hash_sees_every_byte(void **state)
{
	uint8_t page[4096];
	uint64_t h;
	struct digest d;

	(void)state;
	memset(page, 0, sizeof page);
	h = hash64(page, sizeof page, 1);
	d = hash128(page, sizeof page);
	assert_true(digest_equal(d, hash128(page, sizeof page)));
	assert_int_not_equal(h, hash64(page, sizeof page, 2));
	assert_int_not_equal(h, hash64(page, sizeof page - 1, 1));
	for (size_t i = 0; i < sizeof page; i++) {
		page[i] = 1;
		assert_int_not_equal(h, hash64(page, sizeof page, 1));
		assert_false(digest_equal(d, hash128(page, sizeof page)));
		page[i] = 0;
	}
}

/* Digests are equal only when both halves are. */
static void test_digest_equal_compares_both_halves(void **state)
{
	struct digest a = {1, 2}, lo = {3, 2}, hi = {1, 3}, same = {1, 2};

	(void)state;
	assert_true(digest_equal(a, same));
	assert_false(digest_equal(a, lo));
	assert_false(digest_equal(a, hi));
}

/* In a running hash the order and the number of values matter, zeros included, and a value never
 * cancels out the hash. */
static void test_hash_mix_keeps_order(void **state)
{
	(void)state;
	assert_int_not_equal(hash_mix(hash_mix(0, 1), 2), hash_mix(hash_mix(0, 2), 1));
	assert_int_not_equal(hash_mix(7, 0), 7);
	assert_int_not_equal(hash_mix(hash_mix(7, 0), 0), hash_mix(7, 0));
	assert_int_not_equal(hash_mix(5, 5), hash_mix(6, 6));
	assert_int_equal(hash_mix(7, 8), hash_mix(7, 8));
}

enum { ARENA_PIECES = 3000 };

/* Sizes from 1 byte to more than a block, in an order that mixes them. */
static size_t piece_size(size_t i)
{
	return i % 500 == 499 ? 300000 : 1 + i * 37 % 2000;
}

static void fill_and_check(struct arena *a)
{
	static uint8_t *piece[ARENA_PIECES];

	for (size_t i = 0; i < ARENA_PIECES; i++) {
		piece[i] = arena_alloc(a, piece_size(i));
		assert_int_equal((uintptr_t)piece[i] % 16, 0);
		memset(piece[i], (int)(i % 251), piece_size(i));
	}
	for (size_t i = 0; i < ARENA_PIECES; i++) {
		for (size_t k = 0; k < piece_size(i); k++)
			if (piece[i][k] != i % 251)
				fail_msg("piece %zu overlaps another at byte %zu", i, k);
	}
}

/* Pieces are aligned and do not overlap, also after a reset, which gives the same memory again. */
static void test_arena_pieces_do_not_overlap(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a);
	fill_and_check(&a);
	arena_reset(&a);
	void *first = arena_alloc(&a, 1);
	arena_reset(&a);
	assert_ptr_equal(arena_alloc(&a, 1), first);
	arena_reset(&a);
	fill_and_check(&a);
	arena_release(&a);
	arena_release(&a);
}

/* Runs of the same shape need no more memory than the first one: the same pieces come again. */
static void test_arena_reuses_memory(void **state)
{
	struct arena a;
	void *before[100];

	(void)state;
	arena_init(&a);
	arena_reset(&a);
	for (int run = 0; run < 50; run++) {
		for (int i = 0; i < 100; i++) {
			void *p = arena_alloc(&a, 20000);
			if (run == 0)
				before[i] = p;
			else
				assert_ptr_equal(p, before[i]);
		}
		arena_reset(&a);
	}
	arena_release(&a);
}

static void failing_assert_op(void)
{
	int states = 3;

	ASSERT_OP(states, ==, 4);
}

static void failing_assert(void)
{
	ASSERT(1 + 1 == 3);
}

/* A failed assertion names its place and both values and aborts; one that holds does nothing. */
static void test_assert_prints_and_aborts(void **state)
{
	(void)state;
	ASSERT(1 + 1 == 2);
	ASSERT_OP(-1, <, 0);
	assert_aborts(failing_assert_op, "states == 4 (3, 4)");
	assert_aborts(failing_assert, "test_base.c:");
	assert_aborts(failing_assert, "1 + 1 == 3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_err_set_keeps_code_and_text),
	    cmocka_unit_test(test_err_context_goes_in_front),
	    cmocka_unit_test(test_err_long_texts_are_cut),
	    cmocka_unit_test(test_err_codes_are_distinct_and_complete),
	    cmocka_unit_test(test_prng_is_xoshiro256ss),
	    cmocka_unit_test(test_prng_mix_is_splitmix64),
	    cmocka_unit_test(test_prng_streams_are_named),
	    cmocka_unit_test(test_prng_below_is_in_range_and_even),
	    cmocka_unit_test(test_prng_below_has_no_modulo_bias),
	    cmocka_unit_test(test_prng_below_zero_is_a_bug),
	    cmocka_unit_test(test_prng_bytes_fills_exactly),
	    cmocka_unit_test(test_buf_grows_and_keeps),
	    cmocka_unit_test(test_buf_reserve_makes_room),
	    cmocka_unit_test(test_buf_integers_are_little_endian),
	    cmocka_unit_test(test_buf_text),
	    cmocka_unit_test(test_xgrow_keeps_and_makes_room),
	    cmocka_unit_test(test_allocation_helpers),
	    cmocka_unit_test(test_buf_impossible_size_is_a_bug),
	    cmocka_unit_test(test_hash_is_xxh3),
	    cmocka_unit_test(test_hash_sees_every_byte),
	    cmocka_unit_test(test_digest_equal_compares_both_halves),
	    cmocka_unit_test(test_hash_mix_keeps_order),
	    cmocka_unit_test(test_arena_pieces_do_not_overlap),
	    cmocka_unit_test(test_arena_reuses_memory),
	    cmocka_unit_test(test_assert_prints_and_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
