/*
 * pp_run() under cmocka.
 *
 *     cc test_cmocka.c orders.c $(pkg-config --cflags --libs plugpull sqlite3 cmocka)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <plugpull/pp_run.h>

#include "steps.h"

static struct pp_result run(const char *name, enum orders_mode mode)
{
	struct pp_result result;
	struct pp_options options = {.name = name, .result = &result};

	if (pp_run(setup, work, check, &mode, &options) != PP_HELD)
		print_message("%s: %s\n", name, result.message);
	if (result.token[0] != '\0')
		print_message("%s: plugpull replay %s\n", name, result.token);
	return result;
}

/* No power loss costs an order that was accepted. */
static void test_safe(void **state)
{
	(void)state;
	assert_int_equal(run("safe", ORDERS_SAFE).verdict, PP_HELD);
}

/* synchronous=NORMAL promises less: accepted orders can be lost. They are lost whole, so that the
 * database is always in a state in which it was. */
static void test_fast(void **state)
{
	struct pp_result result = run("fast", ORDERS_FAST);

	(void)state;
	assert_int_equal(result.verdict, PP_VIOLATED);
	assert_int_equal(result.grade, PP_CONSISTENT);
	assert_int_equal(result.lost, 3);
}

/* Two commits where one is needed: SQLite keeps its word, and the application does not. */
static void test_careless(void **state)
{
	struct pp_result result = run("careless", ORDERS_CARELESS);

	(void)state;
	assert_int_equal(result.verdict, PP_VIOLATED);
	assert_string_equal(result.oracle, "own-check");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_safe),
	    cmocka_unit_test(test_fast),
	    cmocka_unit_test(test_careless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
