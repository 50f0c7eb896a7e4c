/*
 * A failed sync in the index and on the undecided disk (rule D8), on small traces written by hand.
 * Random traces are in harness/explore/test/test_random_traces.c.
 */
#include "faultinject/crashdisk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BASE                                                                                       \
	"trace 1 sector=512 characteristics=0x0 producer=\"\"\n"                                   \
	"base inode=1 name=\"/d/a\" size=1 data=30\n"
#define FAILED                                                                                     \
	BASE "1 write inode=1 offset=0 size=1 data=31\n"                                           \
	     "2 sync-begin inode=1\n"                                                              \
	     "3 sync-end inode=1 begin=2 failed\n"

static struct trace *parse(const char *text)
{
	struct trace *t = NULL;
	struct err err = ERR_INIT;

	if (trace_parse_text(text, strlen(text), &t, &err) != 0)
		fail_msg("%s", err.message);
	return t;
}

static struct trace_index *build(const struct trace *t, const char *preset, const char *key,
				 const char *word)
{
	struct trace_index *ix = NULL;
	struct model model;
	struct err err = ERR_INIT;

	assert_int_equal(model_find(preset, &model, &err), 0);
	if (key != NULL)
		assert_int_equal(model_set(&model, key, word, &err), 0);
	assert_int_equal(model_check(&model, &err), 0);
	assert_int_equal(trace_index_build(t, &model, &ix, &err), 0);
	return ix;
}

/* The first byte of the file, as each crash state at `position` has it, newest first. */
static void expect_bytes(const struct trace_index *ix, uint64_t position, const char *expected)
{
	struct crashdisk *cd = crashdisk_create(ix, &ix->model);
	struct storage *s = crashdisk_storage(cd);
	struct choice choice;
	uint32_t *prefix = NULL, inode;
	size_t prefix_count = 0, count = 0, got;
	char seen[16] = "";
	bool created;

	choice_init(&choice);
	crashdisk_open(cd, position, SIZE_MAX);
	do {
		choice_begin(&choice, prefix, prefix_count, 0, CHOICE_FIRST);
		crashdisk_begin(cd, &choice);
		assert_int_equal(s->ops->open(s, "/d/a", false, &inode, &created), 0);
		assert_true(count + 1 < sizeof seen);
		assert_int_equal(s->ops->read(s, inode, 0, seen + count, 1, &got), 0);
		assert_int_equal(got, 1);
		count++;
	} while (choice_advance(&choice, &prefix, &prefix_count));
	assert_string_equal(seen, expected);
	free(prefix);
	choice_release(&choice);
	crashdisk_free(cd);
}

static void expect(const char *text, const char *preset, const char *key, const char *word,
		   uint64_t position, const char *expected)
{
	struct trace *t = parse(text);
	struct trace_index *ix = build(t, preset, key, word);

	expect_bytes(ix, position, expected);
	trace_index_free(ix);
	trace_free(t);
}

/* What was pending when a sync failed stays a candidate beside what is durable, whatever is synced
 * later, until the sector is written again and that is synced. */
static void test_content(void **state)
{
	static const char again[] = FAILED "4 sync-begin inode=1\n"
					   "5 sync-end inode=1 begin=4\n"
					   "6 write inode=1 offset=0 size=1 data=32\n"
					   "7 sync-begin inode=1\n"
					   "8 sync-end inode=1 begin=7\n"
					   "end operations=8\n";

	(void)state;
	expect(again, "strict-posix", NULL, NULL, 3, "10");
	expect(again, "strict-posix", NULL, NULL, 5, "10");
	expect(again, "strict-posix", NULL, NULL, 6, "210");
	expect(again, "strict-posix", NULL, NULL, 8, "2");
	/* A prefix is never missing in the middle: the next sync covers everything. */
	expect(again, "strict-posix", "reorder", "file", 3, "10");
	expect(again, "strict-posix", "reorder", "file", 5, "1");
	expect(again, "strict-posix", "reorder", "none", 5, "1");
	/* A sync that lies has written nothing, with success or without. */
	expect(again, "lying-disk", NULL, NULL, 8, "210");
	/* When only the processes die, nothing is lost. */
	expect(again, "process-crash", NULL, NULL, 3, "1");
}

/* What a successful sync had covered before, a failing one does not take back; a write while it
 * failed is not missed. */
static void test_limits(void **state)
{
	static const char before[] = BASE "1 write inode=1 offset=0 size=1 data=31\n"
					  "2 sync-begin inode=1\n"
					  "3 sync-end inode=1 begin=2\n"
					  "4 sync-begin inode=1\n"
					  "5 write inode=1 offset=0 size=1 data=32\n"
					  "6 sync-end inode=1 begin=4 failed\n"
					  "7 sync-begin inode=1\n"
					  "8 sync-end inode=1 begin=7\n"
					  "end operations=8\n";
	/* A sync that ended while another one failed may have written nothing. */
	static const char beside[] = BASE "1 write inode=1 offset=0 size=1 data=31\n"
					  "2 sync-begin inode=1\n"
					  "3 sync-begin inode=1\n"
					  "4 sync-end inode=1 begin=2\n"
					  "5 sync-end inode=1 begin=3 failed\n"
					  "end operations=5\n";

	(void)state;
	expect(before, "strict-posix", NULL, NULL, 4, "1");
	expect(before, "strict-posix", NULL, NULL, 6, "21");
	expect(before, "strict-posix", NULL, NULL, 8, "2");
	expect(beside, "strict-posix", NULL, NULL, 4, "10");
	expect(beside, "strict-posix", NULL, NULL, 5, "10");
}

/* Sizes and names are in the journal: the next sync covers them. What was appended by the missed
 * write is then a hole, also where a size waits for its data. */
static void test_sizes_and_names(void **state)
{
	static const char grown[] = "trace 1 sector=4096 characteristics=0x0 producer=\"\"\n"
				    "1 create inode=1 name=\"/d/a\"\n"
				    "2 write inode=1 offset=0 size=1 data=31\n"
				    "3 sync-begin inode=1\n"
				    "4 sync-end inode=1 begin=3 failed\n"
				    "5 dirsync-begin name=\"/d\"\n"
				    "6 dirsync-end name=\"/d\" begin=5 failed\n"
				    "7 sync-begin inode=1\n"
				    "8 sync-end inode=1 begin=7\n"
				    "9 dirsync-begin name=\"/d\"\n"
				    "10 dirsync-end name=\"/d\" begin=9\n"
				    "end operations=10\n";
	static const char *const presets[] = {"strict-posix", "ext4-ordered", "xfs"};
	static const bool effective[2][11] = {
	    {[8] = true, [10] = true}, /* of strict-posix */
	    {[8] = true},	       /* where a file's sync keeps its name */
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct trace *t = parse(grown);
		struct trace_index *ix = build(t, presets[i], NULL, NULL);
		uint8_t flags[1];
		assert_int_equal(index_meta_durable(ix, 1, 6), 0);
		assert_int_equal(index_meta_durable(ix, 1, 8), 7);
		assert_int_equal(index_group_durable(ix, &ix->groups[0], 7, flags), 0);
		assert_int_equal(index_group_durable(ix, &ix->groups[0], 10, flags), 1);
		for (uint64_t p = 1; p <= 10; p++)
			assert_int_equal(index_sync_effective(ix, p), effective[i > 0][p]);
		expect_bytes(ix, 10, (char[]){'1', '\0'});
		trace_index_free(ix);
		trace_free(t);
	}
}

/* A sync that covers only what an earlier one missed makes nothing durable: no crash point, and no
 * mutant. */
static void test_effective(void **state)
{
	struct trace *t = parse(FAILED "4 sync-begin inode=1\n"
				       "5 sync-end inode=1 begin=4\n"
				       "end operations=5\n");
	struct trace_index *ix = build(t, "strict-posix", NULL, NULL);
	struct crashdisk *cd = crashdisk_create(ix, &ix->model);
	mpz_t total;

	(void)state;
	assert_false(index_sync_effective(ix, 3));
	assert_false(index_sync_effective(ix, 5));
	mpz_init(total);
	crashdisk_open(cd, 5, SIZE_MAX);
	crashdisk_total(cd, total);
	assert_int_equal(mpz_get_ui(total), 2);
	mpz_clear(total);
	crashdisk_free(cd);
	trace_index_free(ix);
	trace_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_content),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_sizes_and_names),
	    cmocka_unit_test(test_effective),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
