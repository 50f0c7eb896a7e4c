/*
 * The history of a database that a program removes, or renames another file over.
 */
#include "harness/judge/test/rig.h"

enum { OTHER = 5 }; /* a value */

static uint64_t rename_over(struct rig *r, int value)
{
	uint64_t p = rig_add(r, (struct op){.kind = OP_RENAME,
					    .name = trace_name(r->t, "/db/new"),
					    .name2 = rig_name(r, "", 0)});

	rig_set(r, 0, value);
	return p;
}

static void add_new_file(struct rig *r)
{
	static const uint8_t header[100] = "SQLite format 3";

	trace_add_base(r->t, trace_new_inode(r->t), trace_name(r->t, "/db/new"), header,
		       sizeof header);
}

/* A promise holds until the database is removed, and not from the moment on at which it was given:
 * that there is no file is legal when the removal can have reached the disk, and no earlier. */
static void test_removed(void **state)
{
	struct rig r;
	uint64_t a, gone;

	(void)state;
	rig_init(&r, 1);
	(void)wal_commit(&r, 0, 1);
	a = ack(&r);
	gone = rig_add(&r, (struct op){.kind = OP_UNLINK, .name = rig_name(&r, "", 0)});
	rig_set(&r, 0, 0); /* as empty as it was in the beginning */
	rig_build(&r, HISTORY_ACK_EXACT);

	assert_int_equal(rig_judge(&r, a, 0, 0).lost_acked, 1);
	assert_int_equal(rig_judge(&r, gone - 1, 0, 0).lost_acked, 1);
	assert_int_equal(rig_judge(&r, gone, 0, 0).verdict.grade, GRADE_DURABLE);
	assert_int_equal(rig_judge(&r, gone, 1, 0).verdict.grade, GRADE_DURABLE);
	rig_release(&r);
}

/* What another file in the place of a database holds is legal from then on, also when transactions
 * follow; what they promise is not there in it, and not in the first file. */
static void test_renamed_over(void **state)
{
	struct rig r;
	uint64_t over, a;

	(void)state;
	rig_init(&r, 1);
	add_new_file(&r);
	(void)wal_commit(&r, 0, 1);
	(void)ack(&r);
	over = rename_over(&r, OTHER);
	(void)delete_commit(&r, 0, 6);
	a = ack(&r);
	rig_build(&r, HISTORY_ACK_EXACT);

	assert_int_equal(r.h->lines[0].count, 4);
	assert_int_equal(rig_judge(&r, over - 1, OTHER, 0).verdict.grade, GRADE_TORN);
	assert_int_equal(rig_judge(&r, over, OTHER, 0).verdict.grade, GRADE_DURABLE);
	assert_int_equal(rig_judge(&r, over, 1, 0).verdict.grade, GRADE_DURABLE);
	assert_int_equal(rig_judge(&r, a, 6, 0).verdict.grade, GRADE_DURABLE);
	assert_int_equal(rig_judge(&r, a, OTHER, 0).lost_acked, 1);
	assert_int_equal(rig_judge(&r, a, 1, 0).lost_acked, 1);
	assert_int_equal(rig_judge(&r, a, 0, 0).lost_acked, 2);
	rig_release(&r);
}

/* A transaction that makes what the first file held is a commit all the same. */
static void test_same_again(void **state)
{
	struct rig r;
	uint64_t a;

	(void)state;
	rig_init(&r, 1);
	add_new_file(&r);
	(void)wal_commit(&r, 0, 1);
	(void)ack(&r);
	(void)rename_over(&r, OTHER);
	(void)delete_commit(&r, 0, 1);
	a = ack(&r);
	rig_build(&r, HISTORY_ACK_EXACT);

	assert_int_equal(history_commits(r.h), 2);
	assert_int_equal(rig_judge(&r, a, OTHER, 0).lost_acked, 1);
	rig_release(&r);
}

/* A file that cannot be read is no legal state, and no reason to give up. */
static void test_unreadable(void **state)
{
	struct rig r;
	uint64_t over, a;

	(void)state;
	rig_init(&r, 1);
	add_new_file(&r);
	over = rename_over(&r, UNREADABLE);
	(void)delete_commit(&r, 0, 6);
	a = ack(&r);
	rig_build(&r, HISTORY_ACK_EXACT);

	assert_int_equal(r.h->lines[0].count, 2);
	assert_int_equal(rig_judge(&r, over, OTHER, 0).verdict.grade, GRADE_TORN);
	assert_int_equal(rig_judge(&r, a, 6, 0).verdict.grade, GRADE_DURABLE);
	rig_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_removed),
	    cmocka_unit_test(test_renamed_over),
	    cmocka_unit_test(test_same_again),
	    cmocka_unit_test(test_unreadable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
