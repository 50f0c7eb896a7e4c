/*
 * Traces that a kill ended: what a transaction was doing then is no legal state, unless it had come
 * to its commit.
 */
#include "harness/judge/test/rig.h"

/* A transaction that is cut off before its commit leaves nothing legal, not even where the files
 * show something at the end of the trace; in WAL and with a journal. */
static void test_cut(void **state)
{
	(void)state;
	for (int journal = 0; journal < 2; journal++) {
		struct rig r;
		uint64_t acked;

		rig_init(&r, 1);
		acked = journal ? delete_commit(&r, 0, 1) : wal_commit(&r, 0, 1);
		if (journal) {
			(void)reserve(&r, 0);
			(void)journal_open(&r, 0);
			(void)make_exclusive(&r, 0);
			(void)db_write(&r, 0);
		} else {
			(void)wal_lock(&r, 0);
			(void)wal_frame(&r, 0, 0);
		}
		rig_set(&r, 0, 7);
		rig_build(&r, HISTORY_ACK_LOCK);
		assert_int_equal(r.h->transaction_count, 1);
		assert_int_equal(r.h->lines[0].count, 2);
		uint64_t end = r.t->op_count;

		assert_true(end > acked);
		assert_int_equal(rig_judge(&r, end, 1, 0).verdict.grade, GRADE_DURABLE);
		assert_int_equal(rig_judge(&r, end, 0, 0).verdict.grade, GRADE_CONSISTENT);
		assert_int_equal(rig_judge(&r, end, 7, 0).verdict.grade, GRADE_TORN);
		rig_release(&r);
	}
}

/* One that had come to its commit and not to the release of its lock may be there or not. */
static void test_committed(void **state)
{
	(void)state;
	for (int journal = 0; journal < 2; journal++) {
		struct rig r;

		rig_init(&r, 1);
		if (journal) {
			(void)reserve(&r, 0);
			(void)journal_open(&r, 0);
			(void)make_exclusive(&r, 0);
			(void)db_write(&r, 0);
			(void)journal_delete(&r, 0);
		} else {
			(void)wal_lock(&r, 0);
			(void)wal_frame(&r, 0, 5);
		}
		rig_set(&r, 0, 1);
		rig_build(&r, HISTORY_ACK_LOCK);
		uint64_t end = r.t->op_count;

		assert_int_equal(rig_judge(&r, end, 1, 0).verdict.grade, GRADE_DURABLE);
		assert_int_equal(rig_judge(&r, end, 0, 0).verdict.grade, GRADE_DURABLE);
		assert_int_equal(rig_judge(&r, end, 7, 0).verdict.grade, GRADE_TORN);
		rig_release(&r);
	}
}

/* Without a log nothing says what the state was to be: what can be read is legal, and what cannot
 * be read does not keep the trace from being judged. */
static void test_unlogged(void **state)
{
	static const int values[] = {1, UNREADABLE};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct rig r;

		rig_init(&r, 1);
		(void)reserve(&r, 0);
		(void)make_exclusive(&r, 0);
		(void)db_write(&r, 0);
		rig_set(&r, 0, values[i]);
		rig_build(&r, HISTORY_ACK_LOCK);
		assert_int_equal(rig_judge(&r, r.t->op_count, 1, 0).verdict.grade,
				 i == 0 ? GRADE_DURABLE : GRADE_TORN);
		assert_int_equal(rig_judge(&r, r.t->op_count, 0, 0).verdict.grade, GRADE_DURABLE);
		rig_release(&r);
	}
}

/* Of a transaction over two files the super-journal decides, which no journal shows: both states
 * are legal. */
static void test_two_files(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 2);
	for (int f = 0; f < 2; f++) {
		(void)reserve(&r, f);
		(void)journal_open(&r, f);
		(void)make_exclusive(&r, f);
		(void)db_write(&r, f);
	}
	rig_set(&r, 0, 1);
	rig_set(&r, 1, 1);
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(rig_judge(&r, r.t->op_count, 1, 1).verdict.grade, GRADE_DURABLE);
	assert_int_equal(rig_judge(&r, r.t->op_count, 0, 0).verdict.grade, GRADE_DURABLE);
	assert_int_equal(rig_judge(&r, r.t->op_count, 1, 0).verdict.grade, GRADE_TORN);
	rig_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_committed),
	    cmocka_unit_test(test_unlogged),
	    cmocka_unit_test(test_two_files),
	};

	return cmocka_run_group_tests_name("history of killed runs", tests, NULL, NULL);
}
