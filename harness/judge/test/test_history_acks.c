/*
 * Where locks do not show what is one transaction: locks under which nothing is written, and
 * exclusive locking mode, in which only ACKs part or join what was written.
 */
#include "harness/judge/test/rig.h"

/* As walIndexRecover() does it, under the write lock. */
static void recover_index(struct rig *r, int file)
{
	(void)wal_lock(r, file);
	(void)rig_lock(r, file, OP_LOCK_SHM, OP_SHM_LOCK_BASE + 1, 2);
	(void)rig_unlock(r, file, OP_LOCK_SHM, OP_SHM_LOCK_BASE + 1, 2);
	(void)wal_unlock(r, file);
}

/* The recovery of a WAL index inside a transaction takes the file's write lock and writes nothing:
 * the transaction is still one, over both files. */
static void test_index_recovery_inside(void **state)
{
	for (int journal = 0; journal < 2; journal++) {
		struct rig r;
		uint64_t begin, a;

		(void)state;
		rig_init(&r, 2);
		recover_index(&r, 0);
		begin = journal ? reserve(&r, 0) : wal_lock(&r, 0);
		if (journal)
			(void)journal_open(&r, 0);
		recover_index(&r, 1);
		(void)wal_lock(&r, 1);
		if (journal)
			(void)db_write(&r, 0);
		else
			(void)wal_frame(&r, 0, 5);
		(void)wal_frame(&r, 1, 5);
		if (journal)
			(void)journal_delete(&r, 0);
		rig_set(&r, 0, 1);
		rig_set(&r, 1, 1);
		(void)(journal ? unreserve(&r, 0) : wal_unlock(&r, 0));
		(void)wal_unlock(&r, 1);
		a = ack(&r);
		for (int mode = 0; mode < 2; mode++) {
			rig_build(&r, mode == 0 ? HISTORY_ACK_EXACT : HISTORY_ACK_LOCK);
			assert_int_equal(r.h->transaction_count, 1);
			assert_int_equal(r.h->transactions[0].file_mask, 3);
			assert_int_equal(r.h->transactions[0].begin, begin);
			assert_int_equal(rig_judge(&r, a, 1, 0).verdict.grade, GRADE_TORN);
			assert_int_equal(rig_judge(&r, a, 0, 1).verdict.grade, GRADE_TORN);
			assert_int_equal(rig_judge(&r, a, 0, 0).lost_acked, 1);
		}
		rig_release(&r);
	}
}

/* A lock that is held idle while another file is committed twice joins nothing. */
static void test_idle_lock_around(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 2);
	(void)reserve(&r, 1);
	(void)wal_commit(&r, 0, 1);
	uint64_t a1 = ack(&r);
	(void)wal_commit(&r, 0, 2);
	uint64_t a2 = ack(&r);
	(void)unreserve(&r, 1);
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(r.h->transaction_count, 2);
	assert_int_equal(r.h->transactions[0].file_mask, 1);
	assert_int_equal(r.h->transactions[0].ack, a1);
	assert_int_equal(r.h->transactions[1].ack, a2);
	rig_release(&r);
}

/* Writes in MEMORY or OFF, and their ACK. */
static uint64_t unlogged_commit(struct rig *r, int file, int value)
{
	(void)db_write(r, file);
	(void)db_write(r, file);
	rig_set(r, file, value);
	return ack(r);
}

/* Exclusive locking mode with MEMORY or OFF: each ACK ends the transaction that was written before
 * it; an ACK before which nothing was written ends none, and what comes after the last is one more.
 * Without ACKs they look like one. */
static void test_exclusive_unlogged(void **state)
{
	struct rig r;
	uint64_t a[3], first, end;

	(void)state;
	rig_init(&r, 1);
	(void)reserve(&r, 0);
	(void)make_exclusive(&r, 0);
	(void)ack(&r); /* of a query */
	a[0] = unlogged_commit(&r, 0, 1);
	(void)ack(&r);
	first = r.t->op_count + 1;
	a[1] = unlogged_commit(&r, 0, 2);
	a[2] = unlogged_commit(&r, 0, 3);
	(void)db_write(&r, 0);
	rig_set(&r, 0, 4);
	end = unreserve(&r, 0);
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(r.h->transaction_count, 4);
	for (int i = 0; i < 3; i++) {
		assert_true(r.h->transactions[i].committed);
		assert_int_equal(r.h->transactions[i].ack, a[i]);
		assert_int_equal(r.h->transactions[i].end, a[i]);
	}
	assert_int_equal(r.h->transactions[1].first_write, first);
	assert_int_equal(r.h->transactions[3].end, end);
	assert_int_equal(r.h->transactions[3].ack, 0);
	assert_int_equal(r.h->lines[0].count, 5);
	assert_int_equal(rig_judge(&r, end, 3, 0).verdict.grade, GRADE_DURABLE);
	assert_int_equal(rig_judge(&r, end, 1, 0).lost_acked, 2);
	assert_int_equal(rig_judge(&r, end, 9, 0).verdict.grade, GRADE_TORN);

	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(r.h->transaction_count, 1);
	assert_int_equal(r.h->transactions[0].ack, end);
	assert_int_equal(rig_judge(&r, end, 2, 0).verdict.grade, GRADE_TORN);
	rig_release(&r);
}

/* One ACK is enough to show that the lock stays after the commit. */
static void test_exclusive_unlogged_once(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 1);
	(void)reserve(&r, 0);
	uint64_t a = unlogged_commit(&r, 0, 1);
	(void)db_write(&r, 0);
	rig_set(&r, 0, 2);
	(void)unreserve(&r, 0);
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(r.h->transaction_count, 2);
	assert_int_equal(r.h->transactions[0].end, a);
	assert_int_equal(r.h->transactions[0].ack, a);
	assert_int_equal(r.h->transactions[1].ack, 0);
	rig_release(&r);
}

/* What was written to two files before one ACK is one transaction. */
static void test_exclusive_unlogged_two_files(void **state)
{
	struct rig r;
	uint64_t a1, a2, a3;

	(void)state;
	rig_init(&r, 2);
	(void)reserve(&r, 0);
	(void)reserve(&r, 1);
	a1 = unlogged_commit(&r, 0, 1);
	a2 = unlogged_commit(&r, 1, 1);
	(void)db_write(&r, 0);
	rig_set(&r, 0, 2);
	a3 = unlogged_commit(&r, 1, 2);
	(void)unreserve(&r, 0);
	(void)unreserve(&r, 1);
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(r.h->transaction_count, 3);
	assert_int_equal(r.h->transactions[0].file_mask, 1);
	assert_int_equal(r.h->transactions[0].ack, a1);
	assert_int_equal(r.h->transactions[1].file_mask, 2);
	assert_int_equal(r.h->transactions[1].ack, a2);
	assert_int_equal(r.h->transactions[2].file_mask, 3);
	assert_int_equal(r.h->transactions[2].ack, a3);
	assert_int_equal(rig_judge(&r, a3, 2, 1).verdict.grade, GRADE_TORN);
	rig_release(&r);
}

/* The journal mode changes to MEMORY under one lock. */
static void test_exclusive_mode_change(void **state)
{
	struct rig r;
	uint64_t a[3];

	(void)state;
	rig_init(&r, 1);
	(void)reserve(&r, 0);
	(void)make_exclusive(&r, 0);
	(void)journal_open(&r, 0);
	(void)db_write(&r, 0);
	(void)journal_delete(&r, 0);
	rig_set(&r, 0, 1);
	a[0] = ack(&r);
	a[1] = unlogged_commit(&r, 0, 2);
	a[2] = unlogged_commit(&r, 0, 3);
	(void)unreserve(&r, 0);
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(r.h->transaction_count, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(r.h->transactions[i].ack, a[i]);
	rig_release(&r);
}

/* An ACK while a journal is open, or while a WAL has frames without their commit, comes too early:
 * it parts nothing, and is a promise from then on. */
static void test_early_ack_with_log(void **state)
{
	for (int exclusive = 0; exclusive < 2; exclusive++)
		for (int wal = 0; wal < 2; wal++) {
			struct rig r;
			uint64_t a, first;

			(void)state;
			rig_init(&r, 1);
			if (!wal) {
				(void)reserve(&r, 0);
				first = journal_open(&r, 0);
				(void)db_write(&r, 0);
			} else {
				if (!exclusive)
					(void)wal_lock(&r, 0);
				first = wal_frame(&r, 0, 0);
			}
			a = ack(&r);
			if (!wal) {
				(void)db_write(&r, 0);
				(void)journal_delete(&r, 0);
			} else {
				(void)wal_frame(&r, 0, 5);
			}
			rig_set(&r, 0, 1);
			if (!wal && !exclusive)
				(void)unreserve(&r, 0);
			else if (!exclusive)
				(void)wal_unlock(&r, 0);
			(void)ack(&r);
			if (!wal && exclusive) {
				(void)journal_open(&r, 0);
				(void)db_write(&r, 0);
				(void)journal_delete(&r, 0);
				rig_set(&r, 0, 2);
				(void)ack(&r);
			}
			rig_build(&r, HISTORY_ACK_EXACT);
			assert_int_equal(r.h->transaction_count, !wal && exclusive ? 2 : 1);
			assert_int_equal(r.h->transactions[0].first_write, first);
			assert_int_equal(r.h->transactions[0].ack, a);
			assert_int_equal(rig_judge(&r, a, 0, 0).verdict.grade, GRADE_CONSISTENT);
			rig_release(&r);
		}
}

/* A commit of two WAL files without locks, one after the other. */
static uint64_t commit_frames(struct rig *r, int a, int b)
{
	(void)wal_frame(r, 0, 5);
	rig_set(r, 0, a);
	(void)wal_frame(r, 1, 5);
	rig_set(r, 1, b);
	return ack(r);
}

/* Exclusive locking mode in WAL mode over two files: what one connection commits between two ACKs
 * is one transaction. From locks, each file is alone. */
static void test_exclusive_wal_two_files(void **state)
{
	struct rig r;
	uint64_t a[4];

	(void)state;
	rig_init(&r, 2);
	a[0] = commit_frames(&r, 1, 1);
	a[1] = commit_frames(&r, 2, 2);
	(void)wal_frame(&r, 0, 5);
	rig_set(&r, 0, 3);
	a[2] = ack(&r);
	(void)wal_frame(&r, 1, 5);
	rig_set(&r, 1, 3);
	a[3] = ack(&r);
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(r.h->transaction_count, 4);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(r.h->transactions[i].file_mask, i < 2 ? 3 : i - 1);
		assert_int_equal(r.h->transactions[i].ack, a[i]);
	}
	assert_int_equal(rig_judge(&r, a[1], 2, 1).verdict.grade, GRADE_TORN);
	assert_int_equal(rig_judge(&r, a[1], 1, 2).verdict.grade, GRADE_TORN);
	assert_int_equal(rig_judge(&r, a[1], 1, 1).lost_acked, 1);
	assert_int_equal(rig_judge(&r, a[3], 2, 3).lost_acked, 1);

	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(r.h->transaction_count, 6);
	rig_release(&r);
}

/* The same when the lock of the database stays from before the change to WAL mode. */
static void test_exclusive_wal_under_reserved(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 2);
	(void)reserve(&r, 0);
	(void)reserve(&r, 1);
	(void)commit_frames(&r, 1, 1);
	uint64_t a = commit_frames(&r, 2, 2);
	(void)db_write(&r, 0); /* a checkpoint */
	(void)ack(&r);
	(void)unreserve(&r, 0);
	(void)unreserve(&r, 1);
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(r.h->transaction_count, 2);
	assert_int_equal(r.h->transactions[1].file_mask, 3);
	assert_int_equal(r.h->transactions[1].ack, a);
	assert_int_equal(rig_judge(&r, a, 2, 1).verdict.grade, GRADE_TORN);
	rig_release(&r);
}

/* A file that was committed twice between two ACKs: not every commit was acknowledged, and which
 * belong together cannot be told. */
static void test_exclusive_wal_without_all_acks(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 2);
	for (int i = 1; i < 3; i++)
		for (int f = 0; f < 2; f++) {
			(void)wal_frame(&r, f, 5);
			rig_set(&r, f, i);
		}
	uint64_t a = ack(&r);
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(r.h->transaction_count, 4);
	assert_int_equal(rig_judge(&r, a, 1, 2).verdict.grade, GRADE_DURABLE);
	assert_int_equal(rig_judge(&r, a, 2, 0).verdict.grade, GRADE_CONSISTENT);
	rig_release(&r);
}

/* Frames that spilled before a rollback do not tie the commits of two files together. */
static void test_exclusive_wal_after_rollback(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 2);
	(void)wal_frame(&r, 1, 0); /* rolled back */
	r.next_frame[1] = 0;
	(void)wal_frame(&r, 0, 5);
	rig_set(&r, 0, 1);
	(void)ack(&r);
	(void)wal_frame(&r, 1, 5);
	rig_set(&r, 1, 1);
	uint64_t a = ack(&r);
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(r.h->transaction_count, 2);
	assert_int_equal(r.h->transactions[0].file_mask, 1);
	assert_int_equal(r.h->transactions[1].file_mask, 2);
	assert_int_equal(r.h->transactions[1].ack, a);
	assert_int_equal(rig_judge(&r, a, 0, 1).verdict.grade, GRADE_CONSISTENT);
	rig_release(&r);
}

/* A WAL file in exclusive locking mode and one without a log are one transaction as well, whether
 * the other's lock stays or not. */
static void test_exclusive_wal_and_unlogged(void **state)
{
	for (int stays = 0; stays < 2; stays++) {
		struct rig r;
		uint64_t a[3];

		(void)state;
		rig_init(&r, 2);
		if (stays)
			(void)reserve(&r, 1);
		for (int i = 0; i < 3; i++) {
			if (!stays)
				(void)reserve(&r, 1);
			(void)wal_frame(&r, 0, 5);
			rig_set(&r, 0, i + 1);
			(void)db_write(&r, 1);
			rig_set(&r, 1, i + 1);
			if (!stays)
				(void)unreserve(&r, 1);
			a[i] = ack(&r);
		}
		rig_build(&r, HISTORY_ACK_EXACT);
		assert_int_equal(r.h->transaction_count, 3);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(r.h->transactions[i].file_mask, 3);
			assert_int_equal(r.h->transactions[i].ack, a[i]);
		}
		assert_int_equal(rig_judge(&r, a[2], 3, 2).verdict.grade, GRADE_TORN);
		rig_release(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_index_recovery_inside),
	    cmocka_unit_test(test_idle_lock_around),
	    cmocka_unit_test(test_exclusive_unlogged),
	    cmocka_unit_test(test_exclusive_unlogged_once),
	    cmocka_unit_test(test_exclusive_unlogged_two_files),
	    cmocka_unit_test(test_exclusive_mode_change),
	    cmocka_unit_test(test_early_ack_with_log),
	    cmocka_unit_test(test_exclusive_wal_two_files),
	    cmocka_unit_test(test_exclusive_wal_under_reserved),
	    cmocka_unit_test(test_exclusive_wal_without_all_acks),
	    cmocka_unit_test(test_exclusive_wal_after_rollback),
	    cmocka_unit_test(test_exclusive_wal_and_unlogged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
