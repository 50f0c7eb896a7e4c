/*
 * Where transactions begin and end, as locks and file protocols show it: every journal mode,
 * exclusive locking mode, frames in pieces, names that move.
 */
#include "harness/judge/test/rig.h"

/* Deleting, truncating and zeroing the journal commit alike; MEMORY and OFF commit by writing the
 * database. */
static void test_rollback_modes(void **state)
{
	enum { DELETE, TRUNCATE, PERSIST, MEMORY, MODES };

	(void)state;
	for (int mode = 0; mode < MODES; mode++) {
		struct rig r;
		uint64_t first = 0, end;

		rig_init(&r, 1);
		(void)reserve(&r, 0);
		if (mode != MEMORY)
			first = journal_open(&r, 0);
		(void)make_exclusive(&r, 0);
		uint64_t written = db_write(&r, 0);
		if (mode == DELETE)
			(void)journal_delete(&r, 0);
		else if (mode == TRUNCATE)
			(void)journal_truncate(&r, 0);
		else if (mode == PERSIST)
			(void)journal_zero(&r, 0);
		rig_set(&r, 0, 1);
		end = unreserve(&r, 0);
		rig_build(&r, HISTORY_ACK_LOCK);
		assert_int_equal(r.h->transaction_count, 1);
		assert_true(r.h->transactions[0].committed);
		assert_int_equal(r.h->transactions[0].ack, end);
		assert_int_equal(r.h->transactions[0].first_write,
				 mode == MEMORY ? written : first);
		rig_release(&r);
	}
}

/* The journal is not finalised: no commit, whatever the file looks like. */
static void test_journal_left(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 1);
	(void)reserve(&r, 0);
	(void)journal_open(&r, 0);
	(void)db_write(&r, 0);
	rig_set(&r, 0, 1);
	(void)unreserve(&r, 0);
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(history_commits(r.h), 0);
	rig_release(&r);
}

/* A journal that is finalised over an untouched database is a rollback's, and writes of the
 * database under the WAL write lock are a checkpoint's: no commit, even if the content changed by
 * other means. */
static void test_no_commit_whatever_changed(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 2);
	(void)reserve(&r, 0);
	(void)journal_open(&r, 0);
	(void)journal_delete(&r, 0);
	rig_set(&r, 0, 1);
	(void)unreserve(&r, 0);
	(void)wal_lock(&r, 1);
	(void)db_write(&r, 1);
	rig_set(&r, 1, 1);
	(void)wal_unlock(&r, 1);
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(r.h->transaction_count, 2);
	assert_int_equal(history_commits(r.h), 0);
	rig_release(&r);
}

/* A release may be an unlock of everything, which a close does. */
static void test_close_releases(void **state)
{
	struct rig r;
	uint64_t end;

	(void)state;
	rig_init(&r, 1);
	(void)reserve(&r, 0);
	(void)journal_open(&r, 0);
	(void)db_write(&r, 0);
	(void)journal_delete(&r, 0);
	rig_set(&r, 0, 1);
	(void)rig_unlock(&r, 0, 0, OP_SHARED_FIRST, OP_SHARED_SIZE); /* not that byte */
	end = rig_unlock(&r, 0, 0, 0, 0);
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(r.h->transactions[0].end, end);
	assert_int_equal(r.h->transactions[0].ack, end);
	rig_release(&r);
}

/* The recovery of a hot journal (EXCLUSIVE without RESERVED) is no transaction. */
static void test_hot_journal_recovery(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 1);
	(void)reserve(&r, 0);
	(void)journal_open(&r, 0);
	(void)db_write(&r, 0);
	r.connection = 2; /* 1 was killed */
	(void)make_exclusive(&r, 0);
	(void)db_write(&r, 0);
	(void)journal_delete(&r, 0);
	(void)rig_unlock(&r, 0, 0, OP_PENDING_BYTE, 2);
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(r.h->transaction_count, 0);
	assert_int_equal(r.h->lines[0].count, 1);
	rig_release(&r);
}

/* A lock that another connection takes has been released, by the death of its holder. */
static void test_dead_holder(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 1);
	(void)wal_lock(&r, 0);
	(void)wal_frame(&r, 0, 5);
	rig_set(&r, 0, 1);
	r.connection = 2;
	uint64_t end = wal_commit(&r, 0, 2);
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(r.h->transaction_count, 2);
	assert_int_equal(r.h->transactions[0].connection, 1);
	assert_int_equal(r.h->transactions[0].end, 3);
	assert_int_equal(r.h->transactions[0].ack, 0);
	assert_int_equal(r.h->transactions[1].ack, end);
	rig_release(&r);
}

/* A shared lock of the write bytes is a reader's. */
static void test_shared_locks_are_no_period(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 1);
	(void)rig_lock(&r, 0, OP_LOCK_SHM | OP_LOCK_SHARED, OP_WAL_WRITE_BYTE, 1);
	(void)rig_lock(&r, 0, OP_LOCK_SHARED, OP_PENDING_BYTE, 512);
	(void)rig_lock(&r, 0, OP_LOCK_SHM, OP_WAL_WRITE_BYTE + 1, 7);
	(void)rig_lock(&r, 0, 0, OP_WAL_WRITE_BYTE, 1); /* the same number, in the database */
	(void)db_write(&r, 0);
	rig_set(&r, 0, 1);
	(void)rig_unlock(&r, 0, 0, 0, 0);
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(r.h->transaction_count, 0);
	rig_release(&r);
}

/* Frames without a commit field commit nothing. */
static void test_wal_without_commit_frame(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 1);
	(void)wal_lock(&r, 0);
	(void)wal_frame(&r, 0, 0);
	rig_set(&r, 0, 1);
	(void)wal_unlock(&r, 0);
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(history_commits(r.h), 0);
	rig_release(&r);
}

/* A commit frame is found however it is cut into writes: whole, with its neighbours, by bytes. */
static void test_frames_in_pieces(void **state)
{
	static const uint64_t pieces[] = {1, 3, 5, 7, 24, 25, RIG_FRAME_SIZE, 3 * RIG_FRAME_SIZE};

	(void)state;
	for (size_t k = 0; k < sizeof pieces / sizeof pieces[0]; k++)
		for (uint8_t commit = 0; commit < 2; commit++) {
			uint8_t bytes[3 * RIG_FRAME_SIZE];
			struct rig r;

			rig_init(&r, 1);
			memset(bytes, 0xff, sizeof bytes);
			for (int i = 0; i < 3; i++)
				frame_bytes(bytes + i * RIG_FRAME_SIZE, i == 2 ? commit : 0);
			/* Bytes around the field, that must not be taken for it. */
			memset(bytes + 2 * RIG_FRAME_SIZE + 8, 0xff, 16);
			(void)wal_lock(&r, 0);
			for (uint64_t at = 0; at < sizeof bytes; at += pieces[k]) {
				uint64_t size = sizeof bytes - at;

				(void)rig_write(&r, r.wal[0], 32 + at, bytes + at,
						size < pieces[k] ? size : pieces[k]);
			}
			rig_set(&r, 0, 1);
			(void)wal_unlock(&r, 0);
			rig_build(&r, HISTORY_ACK_LOCK);
			assert_int_equal(history_commits(r.h), commit);
			rig_release(&r);
		}
}

/* The bytes of an earlier commit field are not taken for those of a field that is still coming. */
static void test_field_of_another_frame(void **state)
{
	uint8_t frame[RIG_FRAME_SIZE];
	struct rig r;

	(void)state;
	rig_init(&r, 1);
	(void)wal_commit(&r, 0, 1);
	(void)wal_lock(&r, 0);
	frame_bytes(frame, 0);
	for (uint64_t i = 0; i < sizeof frame; i++)
		(void)rig_write(&r, r.wal[0], wal_frame_at(1) + i, frame + i, 1);
	rig_set(&r, 0, 2);
	(void)wal_unlock(&r, 0);
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(r.h->transaction_count, 2);
	assert_int_equal(history_commits(r.h), 1);
	rig_release(&r);
}

/* The page size comes from the WAL's header where the trace has it, from the database otherwise. */
static void test_page_size(void **state)
{
	enum { BIG = 65536 };
	static uint8_t frame[BIG + 24];
	uint8_t header[32] = {0};

	(void)state;
	for (int wal_says = 0; wal_says < 2; wal_says++) {
		uint8_t db_header[100] = "SQLite format 3";
		struct rig r;

		rig_init(&r, 1);
		db_header[17] = 1; /* 65536 */
		if (wal_says)
			db_header[16] = 2;
		header[9] = (uint8_t)wal_says;
		(void)rig_write(&r, r.db[0], 0, db_header, sizeof db_header);
		(void)wal_lock(&r, 0);
		(void)rig_write(&r, r.wal[0], 0, header, sizeof header);
		memset(frame, 0, sizeof frame);
		(void)rig_write(&r, r.wal[0], 32, frame, sizeof frame);
		frame[7] = 9;
		(void)rig_write(&r, r.wal[0], 32 + sizeof frame, frame, sizeof frame);
		rig_set(&r, 0, 1);
		(void)wal_unlock(&r, 0);
		rig_build(&r, HISTORY_ACK_LOCK);
		assert_int_equal(history_commits(r.h), 1);
		rig_release(&r);
	}
}

/* A commit frame that is padded to the sector, or written again with its checksums, or becomes
 * valid only with the next one, is one commit over all its files. */
static void test_commit_frame_written_again(void **state)
{
	enum { PADDED, REWRITTEN, LATE, WAYS };

	(void)state;
	for (int way = 0; way < WAYS; way++) {
		uint8_t frame[RIG_FRAME_SIZE];
		struct rig r;

		rig_init(&r, 2);
		(void)wal_commit(&r, 0, 7);
		(void)wal_lock(&r, 0);
		(void)wal_lock(&r, 1);
		(void)wal_frame(&r, 0, 0);
		(void)wal_frame(&r, 0, 5);
		if (way == REWRITTEN) {
			frame_bytes(frame, 0);
			(void)rig_write(&r, r.wal[0], wal_frame_at(1), frame, 24);
			frame_bytes(frame, 5);
			(void)rig_write(&r, r.wal[0], wal_frame_at(2), frame, 24);
		} else {
			if (way == PADDED)
				rig_set(&r, 0, 1);
			(void)wal_frame(&r, 0, 5);
		}
		rig_set(&r, 0, 1);
		(void)wal_frame(&r, 1, 5);
		rig_set(&r, 1, 1);
		(void)wal_unlock(&r, 0);
		uint64_t end = wal_unlock(&r, 1);
		rig_build(&r, HISTORY_ACK_LOCK);
		assert_int_equal(r.h->transaction_count, 2);
		assert_int_equal(r.h->transactions[1].file_mask, 3);
		assert_int_equal(r.h->transactions[1].ack, end);
		/* A frame that is written again is known to be the same: nothing to look at. */
		if (way == REWRITTEN)
			assert_int_equal(r.observed, 4);
		rig_release(&r);
	}
}

/* A connection that takes a file twice while it holds another has committed twice. */
static void test_file_taken_twice(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 2);
	(void)wal_lock(&r, 1);
	(void)wal_commit(&r, 0, 1);
	(void)wal_commit(&r, 0, 2);
	(void)wal_frame(&r, 1, 5);
	rig_set(&r, 1, 1);
	uint64_t end = wal_unlock(&r, 1);
	(void)ack(&r);
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(r.h->transaction_count, 2);
	assert_int_equal(r.h->transactions[0].file_mask, 1);
	assert_int_equal(r.h->transactions[1].file_mask, 3);
	assert_int_equal(r.h->transactions[1].ack, end);
	rig_release(&r);
}

/* Of two files one was released when the trace ended: no promise yet. */
static void test_half_released(void **state)
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
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(r.h->transaction_count, 1);
	assert_int_equal(r.h->transactions[0].file_mask, 3);
	assert_int_equal(r.h->transactions[0].ack, 0);
	rig_release(&r);
}

/* The promise of a transaction over two files is the last release. */
static void test_last_release(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 2);
	(void)wal_lock(&r, 0);
	(void)wal_lock(&r, 1);
	(void)wal_frame(&r, 0, 5);
	(void)wal_frame(&r, 1, 5);
	rig_set(&r, 0, 1);
	(void)wal_unlock(&r, 1);
	uint64_t end = wal_unlock(&r, 0);
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(r.h->transactions[0].ack, end);
	assert_int_equal(r.h->transactions[0].end, end);
	rig_release(&r);
}

/* Exclusive locking mode, rollback journals: the lock stays, each finalised journal commits, and
 * an ACK belongs to the transaction before it. */
static void test_exclusive_rollback(void **state)
{
	struct rig r;
	uint64_t first[4], a[4];

	(void)state;
	rig_init(&r, 1);
	(void)reserve(&r, 0);
	for (int i = 1; i < 4; i++) {
		first[i] = i == 1 ? journal_open(&r, 0) : journal_reuse(&r, 0);
		(void)db_write(&r, 0);
		(void)journal_zero(&r, 0);
		rig_set(&r, 0, i);
		a[i] = ack(&r);
	}
	uint64_t end = rig_unlock(&r, 0, 0, 0, 0);
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(r.h->transaction_count, 3);
	assert_int_equal(r.h->lines[0].count, 4);
	for (int i = 1; i < 4; i++) {
		assert_int_equal(r.h->transactions[i - 1].first_write, first[i]);
		assert_int_equal(r.h->transactions[i - 1].ack, a[i]);
	}
	assert_int_equal(rig_judge(&r, a[2], 1, 0).lost_acked, 1);
	/* From locks: a next transaction shows that COMMIT returned; the last has the release. */
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(r.h->transactions[0].ack, first[2]);
	assert_int_equal(r.h->transactions[1].ack, first[3]);
	assert_int_equal(r.h->transactions[2].ack, end);
	rig_release(&r);
}

/* Exclusive locking mode, two attached files: commits of one file each stay apart, a commit of both
 * is one. */
static void test_exclusive_two_files(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 2);
	(void)reserve(&r, 0);
	(void)reserve(&r, 1);
	(void)journal_open(&r, 0);
	(void)db_write(&r, 0);
	(void)journal_zero(&r, 0);
	rig_set(&r, 0, 1);
	(void)ack(&r);
	(void)journal_open(&r, 1);
	(void)db_write(&r, 1);
	(void)journal_zero(&r, 1);
	rig_set(&r, 1, 1);
	uint64_t a = ack(&r);
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(r.h->transaction_count, 2);
	assert_int_equal(rig_judge(&r, a, 1, 0).verdict.grade, GRADE_CONSISTENT);

	(void)journal_reuse(&r, 0);
	(void)journal_reuse(&r, 1);
	(void)db_write(&r, 0);
	(void)db_write(&r, 1);
	(void)journal_zero(&r, 0);
	rig_set(&r, 0, 2);
	(void)journal_zero(&r, 1);
	rig_set(&r, 1, 2);
	a = ack(&r);
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(r.h->transaction_count, 3);
	assert_int_equal(r.h->transactions[2].file_mask, 3);
	assert_int_equal(r.h->transactions[2].ack, a);
	assert_int_equal(rig_judge(&r, a, 2, 1).verdict.grade, GRADE_TORN);
	rig_release(&r);
}

/* Exclusive locking mode in WAL mode keeps the index in memory and takes no write lock at all. */
static void test_wal_without_locks(void **state)
{
	struct rig r;
	uint64_t first[3], a[3];

	(void)state;
	rig_init(&r, 1);
	for (int i = 1; i < 3; i++) {
		first[i] = wal_frame(&r, 0, 0);
		(void)wal_frame(&r, 0, 5);
		rig_set(&r, 0, i);
		(void)db_write(&r, 0); /* an automatic checkpoint, before COMMIT returns */
		a[i] = ack(&r);
	}
	(void)wal_frame(&r, 0, 0); /* a rollback */
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(r.h->transaction_count, 2);
	for (int i = 1; i < 3; i++) {
		assert_int_equal(r.h->transactions[i - 1].begin, first[i]);
		assert_int_equal(r.h->transactions[i - 1].ack, a[i]);
	}
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(r.h->transactions[0].ack, first[2]);
	assert_int_equal(r.h->transactions[1].ack, 0);
	rig_release(&r);
}

/* One commit without locks ends at its frame; a later unlock (the close) shows that it returned. */
static void test_one_commit_without_locks(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 1);
	(void)wal_frame(&r, 0, 5);
	rig_set(&r, 0, 1);
	(void)db_write(&r, 0);
	uint64_t end = rig_unlock(&r, 0, 0, 0, 0);
	(void)ack(&r);
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(r.h->transaction_count, 1);
	assert_int_equal(r.h->transactions[0].end, 2);
	assert_int_equal(r.h->transactions[0].ack, end);
	rig_release(&r);
}

/* From exclusive back to normal locking mode. */
static void test_locks_come_back(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 1);
	(void)wal_frame(&r, 0, 5);
	rig_set(&r, 0, 1);
	uint64_t begin = wal_lock(&r, 0);
	(void)wal_frame(&r, 0, 5);
	rig_set(&r, 0, 2);
	uint64_t end = wal_unlock(&r, 0);
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(r.h->transaction_count, 2);
	assert_int_equal(r.h->transactions[0].ack, begin);
	assert_int_equal(r.h->transactions[1].begin, begin);
	assert_int_equal(r.h->transactions[1].ack, end);
	rig_release(&r);
}

/* A rollback in exclusive locking mode leaves nothing to the transaction that follows. */
static void test_exclusive_rollback_statement(void **state)
{
	(void)state;
	for (int spilled = 0; spilled < 2; spilled++) {
		uint64_t first[2], a[2];
		struct rig r;

		rig_init(&r, 1);
		(void)delete_commit(&r, 0, 7);
		(void)reserve(&r, 0);
		(void)journal_open(&r, 0);
		if (spilled)
			(void)db_write(&r, 0);
		(void)journal_zero(&r, 0);
		for (int i = 0; i < 2; i++) {
			first[i] = journal_reuse(&r, 0);
			(void)db_write(&r, 0);
			(void)journal_zero(&r, 0);
			rig_set(&r, 0, i);
			a[i] = ack(&r);
		}
		rig_build(&r, HISTORY_ACK_EXACT);
		assert_int_equal(r.h->transaction_count, 3);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(r.h->transactions[i + 1].first_write, first[i]);
			assert_int_equal(r.h->transactions[i + 1].ack, a[i]);
		}
		rig_release(&r);
	}
}

/* After the log was reset, a commit frame at the same place is another commit. */
static void test_wal_restart(void **state)
{
	uint8_t header[32] = {0x37, 0x7f, 0x06, 0x82};
	struct rig r;

	(void)state;
	rig_init(&r, 1);
	header[10] = RIG_PAGE_SIZE >> 8;
	for (int i = 1; i < 4; i++) {
		(void)rig_write(&r, r.wal[0], 0, header, sizeof header);
		r.next_frame[0] = 0;
		(void)wal_frame(&r, 0, 5);
		rig_set(&r, 0, i);
		(void)ack(&r);
	}
	rig_build(&r, HISTORY_ACK_EXACT);
	assert_int_equal(r.h->transaction_count, 3);
	assert_int_equal(history_acked(r.h, r.t->op_count), 3);
	rig_release(&r);
}

/* Files are found by name wherever the name comes from: created, renamed, linked. */
static void test_names(void **state)
{
	enum { CREATED, RENAMED, LINKED, WAYS };

	(void)state;
	for (int way = 0; way < WAYS; way++) {
		struct rig r;

		rig_init(&r, 1);
		if (way == CREATED)
			(void)rig_add(&r,
				      (struct op){.kind = OP_UNLINK, .name = rig_name(&r, "", 0)});
		r.db[0] = trace_new_inode(r.t);
		(void)rig_add(&r, (struct op){.kind = OP_CREATE,
					      .inode = r.db[0],
					      .name = way == CREATED ? rig_name(&r, "", 0)
								     : rig_name(&r, ".new", 0)});
		if (way == RENAMED)
			(void)rig_add(&r, (struct op){.kind = OP_RENAME,
						      .name = rig_name(&r, ".new", 0),
						      .name2 = rig_name(&r, "", 0)});
		if (way == LINKED)
			(void)rig_add(&r, (struct op){.kind = OP_LINK,
						      .inode = r.db[0],
						      .name2 = rig_name(&r, "", 0)});
		(void)delete_commit(&r, 0, 1);
		rig_build(&r, HISTORY_ACK_LOCK);
		assert_int_equal(history_commits(r.h), 1);
		rig_release(&r);
	}
}

/* A file that was moved away is nobody's database any more. */
static void test_moved_away(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 1);
	(void)rig_add(&r, (struct op){.kind = OP_RENAME,
				      .name = rig_name(&r, "", 0),
				      .name2 = rig_name(&r, ".old", 0)});
	(void)reserve(&r, 0);
	(void)db_write(&r, 0);
	(void)unreserve(&r, 0);
	(void)ack(&r);
	rig_build(&r, HISTORY_ACK_LOCK);
	assert_int_equal(r.h->transaction_count, 0);
	assert_int_equal(r.observed, 3); /* the start, the rename and the end: no period */
	rig_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rollback_modes),
	    cmocka_unit_test(test_journal_left),
	    cmocka_unit_test(test_no_commit_whatever_changed),
	    cmocka_unit_test(test_close_releases),
	    cmocka_unit_test(test_hot_journal_recovery),
	    cmocka_unit_test(test_dead_holder),
	    cmocka_unit_test(test_shared_locks_are_no_period),
	    cmocka_unit_test(test_wal_without_commit_frame),
	    cmocka_unit_test(test_frames_in_pieces),
	    cmocka_unit_test(test_field_of_another_frame),
	    cmocka_unit_test(test_page_size),
	    cmocka_unit_test(test_commit_frame_written_again),
	    cmocka_unit_test(test_file_taken_twice),
	    cmocka_unit_test(test_half_released),
	    cmocka_unit_test(test_last_release),
	    cmocka_unit_test(test_exclusive_rollback),
	    cmocka_unit_test(test_exclusive_two_files),
	    cmocka_unit_test(test_wal_without_locks),
	    cmocka_unit_test(test_one_commit_without_locks),
	    cmocka_unit_test(test_locks_come_back),
	    cmocka_unit_test(test_exclusive_rollback_statement),
	    cmocka_unit_test(test_wal_restart),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_moved_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
