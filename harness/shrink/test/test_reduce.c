/* Tests of delta debugging, against all subsets. */
#include "harness/shrink/reduce.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

enum { THINGS = 10, PROBLEMS = 3000 };

/* What is left fails when it holds all of one of two sets, and of every thing what it needs. */
struct made {
	uint32_t core[2];
	uint32_t needs[THINGS];
	uint32_t left; /* as it is now */
	size_t tries, tries_max;
};

static bool fails(const struct made *m, uint32_t left)
{
	for (size_t i = 0; i < THINGS; i++)
		if ((left >> i & 1) != 0 && (left & m->needs[i]) != m->needs[i])
			return false;
	return (left & m->core[0]) == m->core[0] || (left & m->core[1]) == m->core[1];
}

static uint32_t left_of(const bool *taken)
{
	uint32_t left = 0;

	for (size_t i = 0; i < THINGS; i++)
		left |= taken[i] ? 0 : 1u << i;
	return left;
}

static int first(void *ctx, const struct reduce_row *row, size_t *ret_which, bool *ret_end,
		 struct err *err)
{
	struct made *m = ctx;
	bool taken[THINGS];

	(void)err;
	*ret_which = SIZE_MAX;
	for (size_t i = 0; i < row->count; i++) {
		if (m->tries++ == m->tries_max) {
			*ret_end = true;
			return 0;
		}
		row->fill(row, i, taken);
		uint32_t left = left_of(taken);
		/* Each candidate takes more than what is taken, and a single one takes one. */
		assert_int_equal(left & ~m->left, 0);
		assert_int_not_equal(left, m->left);
		if (row->single)
			assert_int_equal(__builtin_popcount(m->left ^ left), 1);
		if (!fails(m, left))
			continue;
		m->left = left;
		*ret_which = i;
		return 0;
	}
	return 0;
}

static uint32_t next(uint64_t *random)
{
	*random = *random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*random >> 33);
}

/* Bits of which one in 2^times is set. */
static uint32_t few(uint64_t *random, unsigned times)
{
	uint32_t bits = (uint32_t)next(random);

	while (--times > 0)
		bits &= (uint32_t)next(random);
	return bits;
}

static struct made make(uint64_t *random)
{
	struct made m = {.left = (1u << THINGS) - 1, .tries_max = SIZE_MAX};

	for (int c = 0; c < 2; c++)
		m.core[c] = few(random, 2) & ((1u << THINGS) - 1);
	/* Mostly later things need earlier ones; some need later ones, so that one round over all
	 * things is not enough. */
	for (size_t i = 0; i < THINGS; i++) {
		m.needs[i] = few(random, 3) & ((1u << i) - 1);
		if (next(random) % 4 == 0)
			m.needs[i] |= (1u << (next(random) % THINGS)) & ~(1u << i);
	}
	return m;
}

/* What is left fails, no single thing of it can be taken, and among all subsets that fail it is one
 * that has no failing subset with one thing less. */
static void test_minimal(void **state)
{
	uint64_t random = 1;
	size_t smallest = 0;

	(void)state;
	for (size_t n = 0; n < PROBLEMS; n++) {
		struct made m = make(&random);
		struct reduce_problem problem = {.count = THINGS, .first = first, .ctx = &m};
		bool taken[THINGS] = {false};
		struct err err = ERR_INIT;
		int least = THINGS;

		assert_true(fails(&m, m.left));
		assert_int_equal(reduce(&problem, taken, &err), 0);
		uint32_t left = left_of(taken);
		assert_int_equal(left, m.left);
		assert_true(fails(&m, left));
		for (size_t i = 0; i < THINGS; i++)
			if ((left >> i & 1) != 0)
				assert_false(fails(&m, left & ~(1u << i)));
		for (uint32_t s = 0; s < 1u << THINGS; s++)
			if (fails(&m, s) && __builtin_popcount(s) < least)
				least = __builtin_popcount(s);
		smallest += __builtin_popcount(left) == least;
	}
	/* Minimal is not the smallest there is; mostly it is. */
	assert_in_range(smallest, PROBLEMS / 2, PROBLEMS);
}

/* An end in between keeps what was taken by then, and that still fails. */
static void test_end(void **state)
{
	uint64_t random = 1;

	(void)state;
	for (size_t tries = 0; tries < 30; tries++) {
		struct made m = make(&random);
		struct reduce_problem problem = {.count = THINGS, .first = first, .ctx = &m};
		bool taken[THINGS] = {false};
		struct err err = ERR_INIT;

		m.tries_max = tries;
		assert_int_equal(reduce(&problem, taken, &err), 0);
		assert_int_equal(left_of(taken), m.left);
		assert_true(fails(&m, m.left));
		assert_in_range(m.tries, 0, tries + 1);
	}
}

/* Nothing at all is nothing to do. */
static void test_nothing(void **state)
{
	struct reduce_problem problem = {.count = 0, .first = first};
	bool taken[1] = {false};
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(reduce(&problem, taken, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_minimal),
	    cmocka_unit_test(test_end),
	    cmocka_unit_test(test_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
