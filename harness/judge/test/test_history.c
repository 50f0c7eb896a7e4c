/*
 * The history: what is a transaction, what was promised, and how a crash outcome is judged.
 */
#include "harness/judge/test/rig.h"

/* A WAL commit is one transaction with one state, promised by the ACK of its connection. */
static void test_wal_commit(void **state)
{
	struct rig r;
	uint64_t first, end, a;

	(void)state;
	rig_init(&r, 1);
	(void)wal_lock(&r, 0);
	first = wal_frame(&r, 0, 5);
	rig_set(&r, 0, 1);
	end = wal_unlock(&r, 0);
	a = ack(&r);
	rig_build(&r, HISTORY_ACK_EXACT);

	assert_int_equal(r.h->transaction_count, 1);
	assert_int_equal(r.h->transactions[0].begin, 1);
	assert_int_equal(r.h->transactions[0].first_write, first);
	assert_int_equal(r.h->transactions[0].end, end);
	assert_int_equal(r.h->transactions[0].ack, a);
	assert_true(r.h->transactions[0].committed);
	assert_int_equal(r.h->transactions[0].file_mask, 1);
	assert_int_equal(r.h->lines[0].count, 2);
	assert_int_equal(r.h->lines[0].states[0].from, 0);
	assert_int_equal(r.h->lines[0].states[1].from, first);
	assert_int_equal(r.h->lines[0].states[1].transaction, 1);
	assert_int_equal(history_commits(r.h), 1);
	assert_int_equal(history_acked(r.h, a - 1), 0);
	assert_int_equal(history_acked(r.h, a), 1);
	rig_release(&r);
}

/* Before the promise the old state is as good as the new one; after it, it is a loss; a state that
 * is on no line is torn, at any time. */
static void test_grades(void **state)
{
	struct history_judgement j;
	struct rig r;
	uint64_t a;

	(void)state;
	rig_init(&r, 1);
	(void)wal_commit(&r, 0, 1);
	a = ack(&r);
	rig_build(&r, HISTORY_ACK_EXACT);

	assert_int_equal(rig_judge(&r, a - 1, 0, 0).verdict.grade, GRADE_DURABLE);
	assert_int_equal(rig_judge(&r, a - 1, 1, 0).verdict.grade, GRADE_DURABLE);
	assert_int_equal(rig_judge(&r, a, 1, 0).verdict.grade, GRADE_DURABLE);
	j = rig_judge(&r, a, 0, 0);
	assert_int_equal(j.verdict.grade, GRADE_CONSISTENT);
	assert_int_equal(j.lost_acked, 1);
	assert_string_equal(j.verdict.oracle, "history");
	assert_string_equal(j.verdict.message,
			    "1 acknowledged commit is gone: transaction 1 (acknowledged at op 5)");
	j = rig_judge(&r, a, 7, 0);
	assert_int_equal(j.verdict.grade, GRADE_TORN);
	assert_int_equal(j.lost_acked, 0);
	assert_non_null(strstr(j.verdict.message, "/db/a"));
	assert_non_null(strstr(j.verdict.message, "2 legal states"));
	rig_release(&r);
}

/* A state that did not exist yet is no explanation. */
static void test_future_state(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 1);
	(void)wal_lock(&r, 0);
	uint64_t first = wal_frame(&r, 0, 5);
	rig_set(&r, 0, 1);
	(void)wal_unlock(&r, 0);
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(rig_judge(&r, first - 1, 1, 0).verdict.grade, GRADE_TORN);
	assert_int_equal(rig_judge(&r, first, 1, 0).verdict.grade, GRADE_DURABLE);
	rig_release(&r);
}

/* All acknowledged commits after the surviving one are counted, and the first is named. */
static void test_lost_count(void **state)
{
	struct history_judgement j;
	struct rig r;
	uint64_t a[4];

	(void)state;
	rig_init(&r, 1);
	for (int i = 1; i < 4; i++) {
		(void)wal_commit(&r, 0, i);
		a[i] = ack(&r);
	}
	rig_build(&r, HISTORY_ACK_EXACT);
	j = rig_judge(&r, a[3], 1, 0);
	assert_int_equal(j.lost_acked, 2);
	assert_string_equal(j.verdict.message, "2 acknowledged commits are gone: transaction 2 "
					       "(acknowledged at op 10) and later");
	assert_int_equal(a[2], 10);
	assert_int_equal(rig_judge(&r, a[2], 1, 0).lost_acked, 1);
	assert_int_equal(rig_judge(&r, a[3], 0, 0).lost_acked, 3);
	rig_release(&r);
}

/* From locks, the release is the promise. */
static void test_lock_ack(void **state)
{
	struct rig r;
	uint64_t wal, rollback;

	(void)state;
	rig_init(&r, 2);
	wal = wal_commit(&r, 0, 1);
	rollback = delete_commit(&r, 1, 1);
	(void)ack(&r);
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(r.h->transaction_count, 2);
	assert_int_equal(r.h->transactions[0].ack, wal);
	assert_int_equal(r.h->transactions[1].ack, rollback);
	rig_release(&r);
}

/* An ACK before the commit is a promise from then on: the outcome without it is a loss. */
static void test_early_ack(void **state)
{
	struct rig r;
	uint64_t a;

	(void)state;
	rig_init(&r, 1);
	(void)wal_commit(&r, 0, 1);
	(void)ack(&r);
	(void)wal_lock(&r, 0);
	a = ack(&r);
	(void)wal_frame(&r, 0, 5);
	rig_set(&r, 0, 2);
	(void)wal_unlock(&r, 0);
	(void)ack(&r);
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(r.h->transactions[1].ack, a);
	assert_int_equal(rig_judge(&r, a, 1, 0).verdict.grade, GRADE_CONSISTENT);
	assert_int_equal(rig_judge(&r, a - 1, 1, 0).verdict.grade, GRADE_DURABLE);
	rig_release(&r);
}

/* An ACK belongs to its own connection, and to the latest transaction that had begun. */
static void test_ack_of_other_connection(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 1);
	(void)wal_commit(&r, 0, 1);
	r.connection = 2;
	(void)ack(&r); /* nothing of its own to acknowledge */
	(void)wal_commit(&r, 0, 2);
	uint64_t a2 = ack(&r);
	r.connection = 1;
	(void)wal_commit(&r, 0, 3); /* 1's first commit was never acknowledged */
	uint64_t a3 = ack(&r);
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(r.h->transaction_count, 3);
	assert_int_equal(r.h->transactions[0].ack, 0);
	assert_int_equal(r.h->transactions[1].ack, a2);
	assert_int_equal(r.h->transactions[2].ack, a3);
	rig_release(&r);
}

/* A checkpoint or a rollback between COMMIT and ACK takes the promise from nobody. */
static void test_ack_after_checkpoint(void **state)
{
	struct rig r;
	uint64_t a;

	(void)state;
	rig_init(&r, 1);
	(void)wal_commit(&r, 0, 1);
	(void)wal_lock(&r, 0);
	(void)db_write(&r, 0);
	(void)wal_unlock(&r, 0);
	a = ack(&r);
	(void)ack(&r); /* the first counts */
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(r.h->transaction_count, 1);
	assert_int_equal(r.h->transactions[0].ack, a);
	rig_release(&r);
}

/* ROLLBACK finalises its journal and promises nothing, whether or not the cache spilled. */
static void test_rollback_is_no_promise(void **state)
{
	for (int spilled = 0; spilled < 2; spilled++)
		for (int mode = 0; mode < 2; mode++) {
			struct rig r;

			(void)state;
			rig_init(&r, 1);
			(void)reserve(&r, 0);
			(void)journal_open(&r, 0);
			if (spilled) {
				(void)make_exclusive(&r, 0);
				(void)db_write(&r, 0);
				(void)db_write(&r, 0);
			}
			(void)journal_delete(&r, 0);
			(void)unreserve(&r, 0);
			(void)ack(&r);
			rig_build(&r, mode == 0 ? HISTORY_ACK_EXACT : HISTORY_ACK_LOCK);
			assert_int_equal(history_commits(r.h), 0);
			assert_int_equal(history_acked(r.h, r.t->op_count), 0);
			assert_int_equal(r.h->lines[0].count, 1);
			rig_release(&r);
		}
}

/* A release without a commit by the file protocol may add a state, never a promise. */
static void test_unexplained_change(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 1);
	(void)reserve(&r, 0);
	(void)journal_open(&r, 0);
	(void)db_write(&r, 0);
	rig_set(&r, 0, 1);
	(void)unreserve(&r, 0);
	(void)ack(&r);
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(r.h->transaction_count, 1);
	assert_false(r.h->transactions[0].committed);
	assert_int_equal(r.h->transactions[0].ack, 0);
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(r.h->transactions[0].ack, 0);
	assert_int_equal(r.h->lines[0].count, 2);
	assert_int_equal(rig_judge(&r, r.t->op_count, 0, 0).verdict.grade, GRADE_DURABLE);
	rig_release(&r);
}

/* A checkpoint (FULL, RESTART, TRUNCATE) holds the WAL write lock and commits nothing. */
static void test_checkpoint_is_no_commit(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 1);
	(void)rig_lock(&r, 0, OP_LOCK_SHM, OP_SHM_LOCK_BASE + 1, 1);
	(void)wal_lock(&r, 0);
	(void)db_write(&r, 0);
	(void)rig_add(&r, (struct op){.kind = OP_TRUNCATE, .inode = r.wal[0]});
	(void)wal_unlock(&r, 0);
	(void)rig_unlock(&r, 0, OP_LOCK_SHM, OP_SHM_LOCK_BASE + 1, 1);
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(r.h->transaction_count, 0);
	assert_int_equal(r.h->lines[0].count, 1);
	rig_release(&r);
}

/* Insert, then delete: the state repeats. The latest place that matches is taken, but not before
 * the second transaction has written anything, and the crash points include that moment. */
static void test_repeated_state(void **state)
{
	struct rig r;
	uint64_t a1, a2, first, *points;
	size_t count;

	(void)state;
	rig_init(&r, 1);
	(void)wal_commit(&r, 0, 1);
	a1 = ack(&r);
	(void)wal_lock(&r, 0);
	first = wal_frame(&r, 0, 5);
	rig_set(&r, 0, 0);
	(void)wal_unlock(&r, 0);
	a2 = ack(&r);
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(r.h->lines[0].count, 3);
	assert_int_equal(rig_judge(&r, a2, 0, 0).verdict.grade, GRADE_DURABLE);
	assert_int_equal(rig_judge(&r, a2, 1, 0).lost_acked, 1);
	assert_int_equal(rig_judge(&r, first - 1, 0, 0).lost_acked, 1);
	assert_int_equal(rig_judge(&r, first, 0, 0).lost_acked, 0);
	assert_int_equal(rig_judge(&r, a1, 0, 0).lost_acked, 1);

	history_points(r.h, &points, &count);
	assert_int_equal(count, 4);
	assert_int_equal(points[0], 1);
	assert_int_equal(points[1], a1);
	assert_int_equal(points[2], first - 1);
	assert_int_equal(points[3], a2);
	free(points);
	rig_release(&r);
}

/* Crash points stand in order, each once. */
static void test_points_are_unique(void **state)
{
	struct rig r;
	uint64_t *points;
	size_t count;

	(void)state;
	rig_init(&r, 1);
	(void)wal_lock(&r, 0);
	(void)ack(&r); /* early, right before the first write */
	(void)wal_frame(&r, 0, 5);
	rig_set(&r, 0, 1);
	(void)wal_unlock(&r, 0);
	rig_build(&r, HISTORY_ACK_EXACT);
	history_points(r.h, &points, &count);
	assert_int_equal(count, 1);
	assert_int_equal(points[0], 2);
	free(points);
	rig_release(&r);
}

/* One commit over two WAL files; returns the position of its ACK. */
static uint64_t commit_both(struct rig *r, int a, int b)
{
	(void)wal_lock(r, 0);
	(void)wal_lock(r, 1);
	(void)wal_frame(r, 0, 5);
	rig_set(r, 0, a);
	(void)wal_frame(r, 1, 5);
	rig_set(r, 1, b);
	(void)wal_unlock(r, 0);
	(void)wal_unlock(r, 1);
	return ack(r);
}

/* A transaction over two files is in both or in none, and is lost once. */
static void test_two_files(void **state)
{
	struct history_judgement j;
	struct rig r;
	uint64_t a;

	(void)state;
	rig_init(&r, 2);
	(void)wal_commit(&r, 0, 1);
	(void)ack(&r);
	a = commit_both(&r, 2, 2);
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(r.h->transaction_count, 2);
	assert_int_equal(r.h->transactions[1].file_mask, 3);
	assert_int_equal(rig_judge(&r, a, 2, 2).verdict.grade, GRADE_DURABLE);
	j = rig_judge(&r, a, 1, 0);
	assert_int_equal(j.verdict.grade, GRADE_CONSISTENT);
	assert_int_equal(j.lost_acked, 1);
	j = rig_judge(&r, a, 2, 0);
	assert_int_equal(j.verdict.grade, GRADE_TORN);
	assert_string_equal(j.verdict.message, "transaction 2 (op 6 to 13) is present in /db/a and "
					       "absent in /db/b");
	j = rig_judge(&r, a, 1, 2);
	assert_int_equal(j.verdict.grade, GRADE_TORN);
	assert_non_null(strstr(j.verdict.message, "present in /db/b and absent in /db/a"));
	/* Even before anything was promised. */
	assert_int_equal(rig_judge(&r, a - 1, 2, 0).verdict.grade, GRADE_TORN);
	rig_release(&r);
}

/* Files that share no transaction need no common order. */
static void test_independent_files(void **state)
{
	struct rig r;
	uint64_t a;

	(void)state;
	rig_init(&r, 2);
	(void)wal_commit(&r, 0, 1);
	(void)wal_commit(&r, 1, 1);
	a = ack(&r);
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(r.h->transaction_count, 2);
	assert_int_equal(rig_judge(&r, a, 0, 1).verdict.grade, GRADE_DURABLE); /* a not promised */
	assert_int_equal(rig_judge(&r, a, 1, 0).verdict.grade, GRADE_CONSISTENT);
	rig_release(&r);
}

/* Where one file could be at two places, the transactions that it shares decide: the highest
 * assignment that is legal, also when lowering one file makes another one move. */
static void test_highest_legal_assignment(void **state)
{
	struct history_judgement j;
	struct rig r;

	(void)state;
	rig_init(&r, 2);
	(void)commit_both(&r, 1, 1);	    /* 1: a=1, b=1 */
	(void)commit_both(&r, 0, 2);	    /* 2: a=0, b=2 */
	(void)commit_both(&r, 3, 1);	    /* 3: a=3, b=1 */
	uint64_t a = commit_both(&r, 0, 4); /* 4: a=0, b=4 */
	rig_build(&r, HISTORY_ACK_EXACT);
	/* a=0 is S0, 2 or 4; b=2 is only 2. */
	j = rig_judge(&r, a, 0, 2);
	assert_int_equal(j.verdict.grade, GRADE_CONSISTENT);
	assert_int_equal(j.lost_acked, 2);
	/* b=1 is 1 or 3, a=1 is only 1. */
	j = rig_judge(&r, a, 1, 1);
	assert_int_equal(j.verdict.grade, GRADE_CONSISTENT);
	assert_int_equal(j.lost_acked, 3);
	/* a=0, b=1: from (4, 3) down to (2, 3), (2, 1), (S0, 1), and no further. */
	j = rig_judge(&r, a, 0, 1);
	assert_int_equal(j.verdict.grade, GRADE_TORN);
	assert_non_null(strstr(j.verdict.message, "transaction 1 "));
	rig_release(&r);
}

/* Overlapping transactions of two connections stay two. */
static void test_connections_overlap(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 2);
	(void)wal_lock(&r, 0);
	r.connection = 2;
	(void)wal_lock(&r, 1);
	(void)wal_frame(&r, 1, 5);
	rig_set(&r, 1, 1);
	(void)wal_unlock(&r, 1);
	r.connection = 1;
	(void)wal_frame(&r, 0, 5);
	rig_set(&r, 0, 1);
	(void)wal_unlock(&r, 0);
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(r.h->transaction_count, 2);
	assert_int_equal(r.h->transactions[0].connection, 2);
	assert_int_equal(r.h->transactions[0].file_mask, 2);
	assert_int_equal(r.h->transactions[1].file_mask, 1);
	assert_int_equal(rig_judge(&r, r.t->op_count, 0, 1).verdict.grade, GRADE_CONSISTENT);
	rig_release(&r);
}

/* A file is digested at its own release: another connection may change it before the transaction
 * has left its last file. */
static void test_digest_at_own_release(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 2);
	(void)wal_lock(&r, 0);
	(void)wal_lock(&r, 1);
	(void)wal_frame(&r, 0, 5);
	rig_set(&r, 0, 1);
	(void)wal_frame(&r, 1, 5);
	rig_set(&r, 1, 1);
	(void)wal_unlock(&r, 0);
	r.connection = 2;
	(void)wal_commit(&r, 0, 2);
	r.connection = 1;
	(void)wal_unlock(&r, 1);
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(r.h->lines[0].count, 3);
	assert_int_equal(rig_judge(&r, r.t->op_count, 1, 1).lost_acked, 1);
	assert_int_equal(rig_judge(&r, r.t->op_count, 2, 0).verdict.grade, GRADE_TORN);
	rig_release(&r);
}

/* What is open when the trace ends is there, and promised to nobody. */
static void test_open_at_the_end(void **state)
{
	for (int mode = 0; mode < 2; mode++) {
		struct rig r;

		(void)state;
		rig_init(&r, 1);
		(void)wal_lock(&r, 0);
		(void)wal_frame(&r, 0, 5);
		rig_set(&r, 0, 1);
		rig_build(&r, mode == 0 ? HISTORY_ACK_EXACT : HISTORY_ACK_LOCK);
		assert_int_equal(r.h->transaction_count, 1);
		assert_int_equal(r.h->transactions[0].end, r.t->op_count);
		assert_int_equal(r.h->transactions[0].ack, 0);
		assert_int_equal(rig_judge(&r, r.t->op_count, 1, 0).verdict.grade, GRADE_DURABLE);
		assert_int_equal(rig_judge(&r, r.t->op_count, 0, 0).verdict.grade, GRADE_DURABLE);
		rig_release(&r);
	}
}

/* What the whole trace recovers to is legal, even if nothing announced it. */
static void test_final_candidate(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 1);
	(void)wal_commit(&r, 0, 1);
	uint64_t a = ack(&r);
	(void)db_write(&r, 0);
	rig_set(&r, 0, 9);
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(r.h->lines[0].count, 3);
	assert_int_equal(r.h->lines[0].states[2].transaction, 0);
	assert_int_equal(rig_judge(&r, r.t->op_count, 9, 0).verdict.grade, GRADE_DURABLE);
	assert_int_equal(rig_judge(&r, a, 1, 0).verdict.grade, GRADE_DURABLE);
	assert_int_equal(rig_judge(&r, a, 0, 0).verdict.grade, GRADE_CONSISTENT);
	rig_release(&r);
}

/* A trace whose own states cannot be read is bad input, and says where. */
static void test_unreadable_state(void **state)
{
	struct history *h = NULL;
	struct err err = ERR_INIT;
	struct rig r;

	(void)state;
	rig_init(&r, 1);
	(void)wal_commit(&r, 0, UNREADABLE);
	assert_int_equal(
	    history_build(r.t, rig_paths, 1, HISTORY_ACK_EXACT, rig_observe, &r, &h, &err),
	    ERR_INPUT);
	assert_null(h);
	assert_non_null(strstr(err.message, "operation 4"));
	assert_non_null(strstr(err.message, "malformed"));
	assert_int_equal(history_build(r.t, rig_paths, OBSERVED_FILES_MAX + 1, HISTORY_ACK_EXACT,
				       rig_observe, &r, &h, &err),
			 ERR_LIMIT);
	assert_null(h);
	rig_release(&r);
}

/* A trace in which nothing happens has its start, and no points. */
static void test_empty_trace(void **state)
{
	uint64_t *points;
	size_t count;
	struct rig r;

	(void)state;
	rig_init(&r, 1);
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(r.h->lines[0].count, 1);
	history_points(r.h, &points, &count);
	assert_int_equal(count, 0);
	free(points);
	assert_int_equal(rig_judge(&r, 0, 0, 0).verdict.grade, GRADE_DURABLE);
	assert_int_equal(rig_judge(&r, 0, 1, 0).verdict.grade, GRADE_TORN);
	rig_release(&r);
	history_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_wal_commit),
	    cmocka_unit_test(test_grades),
	    cmocka_unit_test(test_future_state),
	    cmocka_unit_test(test_lost_count),
	    cmocka_unit_test(test_lock_ack),
	    cmocka_unit_test(test_early_ack),
	    cmocka_unit_test(test_ack_of_other_connection),
	    cmocka_unit_test(test_ack_after_checkpoint),
	    cmocka_unit_test(test_rollback_is_no_promise),
	    cmocka_unit_test(test_unexplained_change),
	    cmocka_unit_test(test_checkpoint_is_no_commit),
	    cmocka_unit_test(test_repeated_state),
	    cmocka_unit_test(test_points_are_unique),
	    cmocka_unit_test(test_two_files),
	    cmocka_unit_test(test_independent_files),
	    cmocka_unit_test(test_highest_legal_assignment),
	    cmocka_unit_test(test_connections_overlap),
	    cmocka_unit_test(test_digest_at_own_release),
	    cmocka_unit_test(test_open_at_the_end),
	    cmocka_unit_test(test_final_candidate),
	    cmocka_unit_test(test_unreadable_state),
	    cmocka_unit_test(test_empty_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
