/*
 * No false alarm: the money transfer, at settings that SQLite documents as durable, is durable for
 * 200 seeds. The seed draws the amounts, the number of clients, page_size, cache_size and
 * wal_autocheckpoint. Every case must be exhaustive and without a single finding.
 */
#include "harness/drive/gate.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/base/prng.h"
#include "faultinject/vfs.h"
#include "harness/drive/observe.h"
#include "harness/drive/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SEEDS = 200 };

static void make_scenario(struct buf *text, uint64_t seed, const char *journal_mode,
			  const char *synchronous)
{
	struct prng r;

	prng_init(&r, seed, "false-alarm");
	unsigned page_size = 512u << prng_below(&r, 4);
	unsigned cache = 1 + (unsigned)prng_below(&r, 20);
	unsigned checkpoint = 1 + (unsigned)prng_below(&r, 12);
	unsigned clients = 1 + (unsigned)prng_below(&r, 3);
	buf_printf(text,
		   "-- @scenario transfer\n"
		   "-- @pragma page_size=%u journal_mode=%s synchronous=%s cache_size=%u\n"
		   "-- @pragma wal_autocheckpoint=%u\n"
		   "-- @setup\n"
		   "CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);\n"
		   "INSERT INTO account VALUES (1, 1000), (2, 1000), (3, 1000);\n"
		   "CREATE TABLE ledger(n INTEGER PRIMARY KEY, who TEXT, amount INTEGER);\n",
		   page_size, journal_mode, synchronous, cache, checkpoint);
	for (unsigned c = 0; c < clients; c++)
		buf_printf(text,
			   "-- @client c%u repeat=%u\n"
			   "BEGIN;\n"
			   "INSERT INTO ledger(who, amount) VALUES (:client, :r %% 100);\n"
			   "UPDATE account SET balance = balance -\n"
			   " (SELECT amount FROM ledger ORDER BY n DESC LIMIT 1) WHERE id = %u;\n"
			   "UPDATE account SET balance = balance +\n"
			   " (SELECT amount FROM ledger ORDER BY n DESC LIMIT 1) WHERE id = %u;\n"
			   "COMMIT;\n",
			   c, 1 + (unsigned)prng_below(&r, 2), 1 + c % 3, 1 + (c + 1) % 3);
	buf_printf(text, "-- @order ledger n\n"
			 "-- @invariant \"the balances add up\"\n"
			 "SELECT sum(balance) FROM account HAVING sum(balance) <> 3000;\n");
}

static void check_seed(uint64_t seed, const char *journal_mode, const char *synchronous)
{
	struct buf text;
	struct err err = ERR_INIT;
	struct scenario *s;
	struct case_list cases = {0};
	struct case_options options = {.default_require = GRADE_DURABLE};
	struct trace *t = NULL;
	char *skip = NULL;
	struct gate gate = {0};
	struct result result;

	buf_init(&text);
	make_scenario(&text, seed, journal_mode, synchronous);
	if (scenario_parse("transfer.sql", buf_str(&text), text.size, NULL, &s, &err) != 0)
		fail_msg("%s", err.message);
	assert_int_equal(scenario_cases(s, "transfer.sql", NULL, &options, &cases, &err), 0);
	struct subject *subject = subject_from_scenario(s, &cases.items[0], seed);
	if (record_case(s, &cases.items[0], subject, &t, &skip, &err) != 0)
		fail_msg("%s", err.message);
	result_init(&result, "run", seed);
	struct case_result *c = result_add(&result);
	c->required = GRADE_DURABLE;
	c->has_required = true;
	if (gate_explore(&gate, subject, t, c, &err) != 0)
		fail_msg("%s", err.message);
	if (c->verdict != CASE_HELD || !c->exhaustive || c->violation_count != 0)
		fail_msg("seed %llu at %s/%s: %s: %s", (unsigned long long)seed, journal_mode,
			 synchronous, case_verdict_text(c->verdict),
			 c->violation_count > 0 ? c->violations[0].message : c->reason);
	assert_true(c->commits >= 1);
	gate_release(&gate);
	result_release(&result);
	trace_free(t);
	subject_free(subject);
	case_list_release(&cases);
	scenario_free(s);
	buf_release(&text);
}

/* WAL at FULL. */
static void test_wal_full(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		check_seed(seed, "wal", "full");
}

/* DELETE at EXTRA. */
static void test_delete_extra(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		check_seed(seed, "delete", "extra");
}

static int setup(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	return fi_vfs_register(&err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_wal_full),
	    cmocka_unit_test(test_delete_extra),
	};

	observer_configure();
	return cmocka_run_group_tests(tests, setup, NULL);
}
