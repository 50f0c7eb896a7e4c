/*
 * Whose words promise what: outputs and marks of a program, which are tied to no connection.
 */
#include "harness/judge/test/rig.h"

/* An operation of another actor. */
static uint64_t add_by(struct rig *r, uint16_t process, uint16_t thread, uint16_t connection,
		       uint8_t kind)
{
	static const uint8_t text[] = "told\n";
	struct op op = {
	    .kind = kind, .process = process, .thread = thread, .connection = connection};

	if (op_has_data(&op)) {
		op.size = sizeof text;
		op.data = text;
	}
	return trace_append(r->t, &op);
}

static uint64_t output_by(struct rig *r, uint16_t process, uint16_t thread)
{
	return add_by(r, process, thread, 0, OP_OUTPUT);
}

static uint64_t mark_by(struct rig *r, uint16_t process, uint16_t thread)
{
	return add_by(r, process, thread, 0, OP_ACK);
}

static uint64_t promise(const struct rig *r, size_t transaction)
{
	assert_true(transaction < r->h->transaction_count);
	assert_true(r->h->transactions[transaction].committed);
	return r->h->transactions[transaction].ack;
}

/* What speaks, by the mode in which it promises. */
static const struct {
	enum history_ack ack;
	uint64_t (*by)(struct rig *r, uint16_t process, uint16_t thread);
} speakers[] = {{HISTORY_ACK_OUTPUT, output_by}, {HISTORY_ACK_MARK, mark_by}};

enum { SPEAKERS = 2 };

/* Each commit is promised by the first word after it, whoever says it, and by none before; what
 * nobody told of is not promised. */
static void test_first_word_after(void **state)
{
	(void)state;
	for (int i = 0; i < SPEAKERS; i++)
		for (int journal = 0; journal < 2; journal++)
			for (uint16_t process = 1; process < 3; process++) {
				struct rig r;
				uint64_t (*commit)(struct rig *, int, int) =
				    journal ? delete_commit : wal_commit;
				uint64_t p1, p2;

				rig_init(&r, 1);
				(void)speakers[i].by(&r, process, 1);
				(void)commit(&r, 0, 1);
				(void)commit(&r, 0, 2);
				p1 = speakers[i].by(&r, process, 1);
				(void)commit(&r, 0, 3);
				p2 = speakers[i].by(&r, process, 1);
				(void)speakers[i].by(&r, process, 1);
				(void)commit(&r, 0, 4);
				rig_build(&r, speakers[i].ack);
				assert_int_equal(r.h->transaction_count, 4);
				assert_int_equal(promise(&r, 0), p1);
				assert_int_equal(promise(&r, 1), p1);
				assert_int_equal(promise(&r, 2), p2);
				assert_int_equal(promise(&r, 3), 0);
				assert_int_equal(history_acked(r.h, p1 - 1), 0);
				assert_int_equal(history_acked(r.h, p1), 2);
				assert_int_equal(rig_judge(&r, p1, 1, 0).lost_acked, 1);
				assert_int_equal(rig_judge(&r, p2 - 1, 2, 0).lost_acked, 0);
				assert_int_equal(rig_judge(&r, p2, 2, 0).lost_acked, 1);
				assert_int_equal(rig_judge(&r, r.t->op_count, 3, 0).lost_acked, 0);
				rig_release(&r);
			}
}

/* The word of each mode is nothing in the others. */
static void test_one_mode_alone(void **state)
{
	struct rig r;
	uint64_t end, a, o, m;

	(void)state;
	rig_init(&r, 1);
	end = wal_commit(&r, 0, 1);
	o = output_by(&r, 1, 1);
	m = mark_by(&r, 1, 1);
	a = ack(&r);
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(promise(&r, 0), end);
	rig_build(&r, HISTORY_ACK_OUTPUT);
	assert_int_equal(promise(&r, 0), o);
	rig_build(&r, HISTORY_ACK_MARK);
	assert_int_equal(promise(&r, 0), m);
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(promise(&r, 0), a);
	rig_release(&r);
}

/* Between the commit and the release of its lock the thread that commits can only speak because
 * COMMIT has returned; anybody else may be speaking of something else. */
static void test_before_the_release(void **state)
{
	(void)state;
	for (int i = 0; i < SPEAKERS; i++)
		for (int journal = 0; journal < 2; journal++)
			for (int who = 0; who < 3; who++) {
				struct rig r;
				uint64_t inside, end, after;

				rig_init(&r, 1);
				(void)(journal ? reserve(&r, 0) : wal_lock(&r, 0));
				(void)(journal ? journal_open(&r, 0) : wal_frame(&r, 0, 0));
				(void)speakers[i].by(&r, 1, 1); /* in the middle of it */
				(void)(journal ? db_write(&r, 0) : wal_frame(&r, 0, 5));
				if (journal)
					(void)journal_delete(&r, 0);
				rig_set(&r, 0, 1);
				inside = speakers[i].by(&r, who == 1 ? 2 : 1, who == 2 ? 2 : 1);
				end = journal ? unreserve(&r, 0) : wal_unlock(&r, 0);
				after = speakers[i].by(&r, 7, 7);
				rig_build(&r, speakers[i].ack);
				assert_int_equal(r.h->transaction_count, 1);
				assert_int_equal(r.h->transactions[0].end, end);
				assert_int_equal(promise(&r, 0), who == 0 ? inside : after);
				rig_release(&r);
			}
}

/* The lock is kept to the end, as exclusive locking mode does, and only one transaction was written
 * under it: its own thread promises it all the same. */
static void test_lock_kept(void **state)
{
	struct rig r;
	uint64_t other, own;

	(void)state;
	rig_init(&r, 1);
	(void)reserve(&r, 0);
	(void)make_exclusive(&r, 0);
	(void)journal_open(&r, 0);
	(void)db_write(&r, 0);
	(void)journal_truncate(&r, 0);
	rig_set(&r, 0, 1);
	other = output_by(&r, 1, 2);
	own = output_by(&r, 1, 1);
	rig_build(&r, HISTORY_ACK_OUTPUT);
	assert_int_equal(r.h->transaction_count, 1);
	assert_true(r.h->transactions[0].end > other);
	assert_int_equal(promise(&r, 0), own);
	rig_release(&r);

	/* Others, even with the last word, speak before it is over. */
	rig_init(&r, 1);
	(void)reserve(&r, 0);
	(void)journal_open(&r, 0);
	(void)db_write(&r, 0);
	(void)journal_truncate(&r, 0);
	rig_set(&r, 0, 1);
	(void)output_by(&r, 2, 1);
	rig_build(&r, HISTORY_ACK_OUTPUT);
	assert_int_equal(promise(&r, 0), 0);
	rig_release(&r);
}

/* Of a transaction over two files one says where it is committed and the other, which is written in
 * MEMORY or OFF, does not: it may go on. */
static void test_half_an_event(void **state)
{
	struct rig r;
	uint64_t p;

	(void)state;
	rig_init(&r, 2);
	(void)reserve(&r, 1);
	(void)reserve(&r, 0);
	(void)db_write(&r, 1);
	(void)journal_open(&r, 0);
	(void)db_write(&r, 0);
	(void)journal_delete(&r, 0);
	rig_set(&r, 0, 1);
	(void)unreserve(&r, 0);
	(void)output_by(&r, 1, 1);
	(void)db_write(&r, 1);
	rig_set(&r, 1, 1);
	(void)unreserve(&r, 1);
	p = output_by(&r, 1, 1);
	rig_build(&r, HISTORY_ACK_OUTPUT);
	assert_int_equal(r.h->transaction_count, 1);
	assert_int_equal(r.h->transactions[0].file_mask, 3);
	assert_int_equal(promise(&r, 0), p);
	rig_release(&r);
}

/* Exclusive locking mode: each commit event is a transaction's end, so the next word promises it.
 */
static void test_exclusive(void **state)
{
	(void)state;
	for (int i = 0; i < SPEAKERS; i++) {
		struct rig r;
		uint64_t p[2];

		rig_init(&r, 1);
		for (int value = 1; value < 4; value++) {
			(void)wal_frame(&r, 0, 5);
			rig_set(&r, 0, value);
			if (value > 1)
				p[value - 2] = speakers[i].by(&r, 2, 1);
		}
		rig_build(&r, speakers[i].ack);
		assert_int_equal(r.h->transaction_count, 3);
		assert_int_equal(promise(&r, 0), p[0]);
		assert_int_equal(promise(&r, 1), p[0]);
		assert_int_equal(promise(&r, 2), p[1]);
		rig_release(&r);
	}
}

/* Commits of MEMORY and OFF are over when their lock is released. In exclusive locking mode words
 * do not part them, because a program may speak in the middle of a transaction: what the files are
 * there is not even looked at. */
static void test_unlogged(void **state)
{
	(void)state;
	for (int i = 0; i < SPEAKERS; i++) {
		struct rig r;
		uint64_t p;

		rig_init(&r, 1);
		(void)reserve(&r, 0);
		(void)db_write(&r, 0);
		rig_set(&r, 0, UNREADABLE);
		(void)speakers[i].by(&r, 1, 1);
		(void)db_write(&r, 0);
		rig_set(&r, 0, 1);
		(void)speakers[i].by(&r, 1, 1);
		(void)unreserve(&r, 0);
		p = speakers[i].by(&r, 1, 1);
		rig_build(&r, speakers[i].ack);
		assert_int_equal(r.h->transaction_count, 1);
		assert_int_equal(promise(&r, 0), p);
		rig_release(&r);
	}
}

/* A transaction over two files is promised once both are let go of, and a rollback never. */
static void test_several_files_and_rollback(void **state)
{
	struct rig r;
	uint64_t p;

	(void)state;
	rig_init(&r, 2);
	(void)wal_lock(&r, 0);
	(void)wal_lock(&r, 1);
	(void)wal_frame(&r, 0, 5);
	rig_set(&r, 0, 1);
	(void)wal_unlock(&r, 0);
	(void)output_by(&r, 1, 1);
	(void)output_by(&r, 2, 1);
	(void)wal_frame(&r, 1, 5);
	rig_set(&r, 1, 1);
	(void)output_by(&r, 2, 1);
	(void)wal_unlock(&r, 1);
	p = output_by(&r, 2, 1);
	(void)wal_lock(&r, 0);
	(void)wal_frame(&r, 0, 0);
	(void)wal_unlock(&r, 0);
	(void)output_by(&r, 1, 1);
	rig_build(&r, HISTORY_ACK_OUTPUT);
	assert_int_equal(r.h->transaction_count, 1);
	assert_int_equal(promise(&r, 0), p);
	assert_int_equal(history_acked(r.h, r.t->op_count), 1);
	rig_release(&r);
}

/* With marks, an ACK that has a connection stays that connection's, and the earlier of two promises
 * counts. */
static void test_marks_and_exact(void **state)
{
	struct rig r;
	uint64_t exact, mark;

	(void)state;
	rig_init(&r, 2);
	(void)wal_commit(&r, 0, 1);
	r.connection = 2;
	(void)wal_commit(&r, 1, 1);
	exact = ack(&r);
	mark = mark_by(&r, 1, 1);
	r.connection = 1;
	(void)ack(&r);
	rig_build(&r, HISTORY_ACK_MARK);
	assert_int_equal(r.h->transaction_count, 2);
	assert_int_equal(promise(&r, 0), mark);
	assert_int_equal(promise(&r, 1), exact);
	rig_release(&r);

	/* Nor does an exact one part what locks do not, as it does where all are exact. */
	rig_init(&r, 1);
	(void)reserve(&r, 0);
	(void)db_write(&r, 0);
	rig_set(&r, 0, UNREADABLE);
	(void)ack(&r);
	(void)db_write(&r, 0);
	rig_set(&r, 0, 1);
	(void)ack(&r);
	(void)unreserve(&r, 0);
	rig_build(&r, HISTORY_ACK_MARK);
	assert_int_equal(r.h->transaction_count, 1);
	rig_release(&r);
}

/* Each promise is a crash point. */
static void test_points(void **state)
{
	struct rig r;
	uint64_t p, *points = NULL;
	size_t count = 0;
	bool found = false;

	(void)state;
	rig_init(&r, 1);
	(void)wal_commit(&r, 0, 1);
	p = output_by(&r, 2, 1);
	rig_build(&r, HISTORY_ACK_OUTPUT);
	history_points(r.h, &points, &count);
	for (size_t i = 0; i < count; i++)
		found = found || points[i] == p;
	assert_true(found);
	free(points);
	rig_release(&r);
}

/* The lock is kept until the process ends by itself: that promises the last commit, too, but only
 * where COMMIT must have returned: not in a transaction, not in its sync or after one that failed,
 * and not when another thread ended the process. */
static void test_gone(void **state)
{
	enum { WHOLE, SYNCED, IN_SYNC, FAILED, OTHER_THREAD, AGAIN, WAYS };

	(void)state;
	for (int journal = 0; journal < 2; journal++)
		for (int way = 0; way < WAYS; way++) {
			struct rig r;
			uint64_t begin = 0, gone;
			uint32_t log;

			rig_init(&r, 1);
			(void)(journal ? reserve(&r, 0) : make_exclusive(&r, 0));
			(void)(journal ? journal_open(&r, 0) : wal_frame(&r, 0, 0));
			(void)(journal ? db_write(&r, 0) : wal_frame(&r, 0, 5));
			if (journal)
				(void)journal_truncate(&r, 0);
			rig_set(&r, 0, 1);
			log = journal ? r.journal[0] : r.wal[0];
			if (way == SYNCED || way == IN_SYNC || way == FAILED)
				begin =
				    rig_add(&r, (struct op){.kind = OP_SYNC_BEGIN, .inode = log});
			if (way == SYNCED || way == FAILED)
				(void)rig_add(
				    &r, (struct op){.kind = OP_SYNC_END,
						    .flags = way == FAILED ? OP_SYNC_FAILED : 0,
						    .inode = log,
						    .offset = begin});
			if (way == AGAIN)
				(void)(journal ? journal_reuse(&r, 0) : wal_frame(&r, 0, 0));
			gone = trace_append(r.t, &(struct op){.kind = OP_UNLOCK,
							      .flags = OP_LOCK_GONE,
							      .process = 1,
							      .thread = way == OTHER_THREAD ? 2 : 1,
							      .connection = r.connection,
							      .inode = r.db[0]});
			rig_build(&r, HISTORY_ACK_LOCK);
			assert_int_equal(r.h->transaction_count, 1);
			assert_int_equal(promise(&r, 0), way <= SYNCED ? gone : 0);
			rig_release(&r);
		}
}

/* A transaction of MEMORY or OFF that its process ended in is no commit: nothing says where it was
 * to end. */
static void test_gone_unlogged(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 1);
	(void)reserve(&r, 0);
	(void)db_write(&r, 0);
	rig_set(&r, 0, UNREADABLE);
	(void)rig_unlock(&r, 0, OP_LOCK_GONE, 0, 0);
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(history_acked(r.h, r.t->op_count), 0);
	rig_release(&r);
}

/* What a trace says of itself: exact before marks before locks; outputs are never taken unasked. */
static void test_ack_of(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 1);
	(void)wal_commit(&r, 0, 1);
	(void)output_by(&r, 1, 1);
	assert_int_equal(history_ack_of(r.t), HISTORY_ACK_LOCK);
	(void)mark_by(&r, 1, 1);
	assert_int_equal(history_ack_of(r.t), HISTORY_ACK_MARK);
	(void)ack(&r);
	assert_int_equal(history_ack_of(r.t), HISTORY_ACK_EXACT);
	rig_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_first_word_after),
	    cmocka_unit_test(test_one_mode_alone),
	    cmocka_unit_test(test_before_the_release),
	    cmocka_unit_test(test_lock_kept),
	    cmocka_unit_test(test_half_an_event),
	    cmocka_unit_test(test_exclusive),
	    cmocka_unit_test(test_unlogged),
	    cmocka_unit_test(test_several_files_and_rollback),
	    cmocka_unit_test(test_marks_and_exact),
	    cmocka_unit_test(test_points),
	    cmocka_unit_test(test_gone),
	    cmocka_unit_test(test_gone_unlogged),
	    cmocka_unit_test(test_ack_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
