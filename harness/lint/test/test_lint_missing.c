/*
 * What the lint is for: syncs that are missing, or too early, or too late. Each is made by changing
 * a trace of a sound setting, about which the lint says nothing.
 */
#include "faultinject/base/buf.h"
#include "faultinject/vfs.h"
#include "harness/lint/lint.h"
#include "harness/lint/test/lint_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char fill[] =
    "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);"
    "INSERT INTO t WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 60)"
    " SELECT i, printf('%0150d', i) FROM c;"
    "CREATE TABLE side.u AS SELECT * FROM t;";

/* One file; a cache that spills; two files; a file that gets shorter; a checkpoint that starts the
 * log again. */
static const char work[] =
    "PRAGMA cache_size=3; UPDATE t SET v = 'a' WHERE id < 3; UPDATE t SET v = printf('%0150d', 7);"
    "BEGIN; UPDATE t SET v = 'b' WHERE id < 3; UPDATE u SET v = 'b' WHERE id < 3; COMMIT;"
    "PRAGMA wal_checkpoint(RESTART); UPDATE t SET v = 'c' WHERE id < 3;"
    "DELETE FROM t WHERE id > 20; VACUUM;";

static const struct setting {
	const char *pragmas;
	bool is_sound;
	/* Syncs that have something to do and that nothing needs: the ends of journals whose
	 * super-journal is gone, or that had ended before. */
	unsigned spare;
} settings[] = {
    {"PRAGMA synchronous=extra; PRAGMA side.synchronous=extra", true, 2},
    {"PRAGMA main.journal_mode=truncate; PRAGMA side.journal_mode=truncate", true, 2},
    {"PRAGMA main.journal_mode=persist; PRAGMA side.journal_mode=persist", true, 2},
    {"PRAGMA main.journal_mode=wal; PRAGMA side.journal_mode=wal", true, 0},
    {"PRAGMA synchronous=extra; PRAGMA locking_mode=exclusive", true, 3},
    {"PRAGMA main.journal_mode=memory; PRAGMA side.journal_mode=off", false, 0},
    {"PRAGMA main.journal_mode=wal; PRAGMA synchronous=normal; PRAGMA wal_autocheckpoint=1", false,
     0},
};

static struct trace *record(const char *pragmas)
{
	return rig_record(fi_vfs_default_device(), pragmas, fill, work);
}

static bool is_end(const struct op *op)
{
	return op->kind == OP_SYNC_END || op->kind == OP_DIRSYNC_END;
}

/* Does the sync that ends at `end` make anything durable that was not? */
static bool has_work(const struct trace *t, uint64_t end)
{
	const struct op *sync = trace_at(t, end);
	bool pending = false;

	for (uint64_t p = 1; p < sync->offset; p++) {
		const struct op *op = trace_at(t, p);

		if (op->kind == sync->kind && op->inode == sync->inode && op->name == sync->name)
			pending = false;
		if (sync->kind == OP_SYNC_END)
			pending = pending || ((op->kind == OP_WRITE || op->kind == OP_TRUNCATE) &&
					      op->inode == sync->inode);
		else
			pending = pending || op->kind == OP_CREATE || op->kind == OP_UNLINK;
	}
	return pending;
}

/* The findings of a trace from which the sync with this begin is gone: each is new, and the
 * interval in which it says that a sync is missing is where that sync was. Returns how many there
 * are, and notes their rules. */
static size_t check_findings(const struct trace *t, const struct lint *before, uint64_t begin,
			     bool *seen)
{
	struct lint l;
	size_t fresh = 0;

	lint_trace(t, NULL, 0, &l);
	for (size_t i = 0; i < l.count; i++) {
		const struct lint_finding *f = &l.findings[i];

		if (rig_find(before, f->rule) != NULL)
			continue;
		fresh++;
		seen[f->rule] = true;
		if (f->pending >= begin || f->early < begin)
			fail_msg("the sync at %d is missing, and it says: %s", (int)begin,
				 f->message);
	}
	lint_release(&l);
	return fresh;
}

/* Every sync that has something to do is missed when it is gone, in the right place; and by this
 * alone every rule fires but two: writing without a log takes more than a missing sync, and behind
 * the end of a journal that is not durable, the next log's syncs make it so. */
static void test_each_sync(void **state)
{
	bool seen[LINT_RULE_COUNT] = {false};

	(void)state;
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		struct trace *t = record(settings[i].pragmas);
		struct lint before;
		unsigned spare = 0, syncs = 0;

		lint_trace(t, NULL, 0, &before);
		assert_int_equal(before.count == 0, settings[i].is_sound);
		for (uint64_t end = 1; end <= t->op_count; end++) {
			if (!is_end(trace_at(t, end)))
				continue;
			struct trace *without = rig_change(t, end, RIG_DROP, 0);
			size_t fresh =
			    check_findings(without, &before, trace_at(t, end)->offset, seen);
			/* One that failed is not there, either. */
			struct trace *failed = rig_change(t, end, RIG_FAIL, 0);
			assert_int_equal(
			    check_findings(failed, &before, trace_at(t, end)->offset, seen), fresh);
			trace_free(failed);
			syncs++;
			if (!has_work(t, end))
				assert_int_equal(fresh, 0);
			else if (fresh == 0)
				spare++;
			trace_free(without);
		}
		assert_true(syncs > 5);
		assert_int_equal(spare, settings[i].spare);
		lint_release(&before);
		trace_free(t);
	}
	for (enum lint_rule rule = 0; rule < LINT_RULE_COUNT; rule++)
		if (!seen[rule] && rule != LINT_PAGE_WITHOUT_LOG &&
		    rule != LINT_JOURNAL_END_BEFORE_PAGE)
			fail_msg("%s never fired", lint_rule_id(rule));
}

/* Positions of the n-th write, from 1, and of the next end of a sync behind it, of the inode that a
 * name was given first; 0: there is none. */
static uint64_t nth_write(const struct trace *t, const char *path, unsigned n)
{
	uint32_t name = trace_find_name(t, path), inode = 0;

	for (size_t i = 0; i < t->base_count; i++)
		if (t->base[i].name == name)
			inode = t->base[i].inode;
	for (uint64_t p = 1; p <= t->op_count; p++) {
		const struct op *op = trace_at(t, p);

		if (inode == 0 && op->kind == OP_CREATE && op->name == name)
			inode = op->inode;
		if (inode != 0 && op->kind == OP_WRITE && op->inode == inode && --n == 0)
			return p;
	}
	return 0;
}

static uint64_t sync_behind(const struct trace *t, uint64_t position)
{
	uint32_t inode = trace_at(t, position)->inode;

	for (uint64_t p = position; p <= t->op_count; p++)
		if (trace_at(t, p)->kind == OP_SYNC_END && trace_at(t, p)->inode == inode)
			return p;
	return 0;
}

/* A sync makes durable what came before it began: one that begins before the record was written
 * does nothing for the record, and one that has not ended does nothing at all, and the message says
 * so. */
static void test_sync_interval(void **state)
{
	struct trace *t = record("PRAGMA synchronous=extra; PRAGMA side.synchronous=extra");
	struct lint l;

	(void)state;
	/* The first sync is that of the records; it begins too early for the last write before it.
	 */
	uint64_t end = sync_behind(t, nth_write(t, RIG_DATABASE "-journal", 1));
	uint64_t last = trace_at(t, end)->offset;
	while (trace_at(t, last)->kind != OP_WRITE)
		last--;
	struct trace *early = rig_change(t, end, RIG_BEGIN_AT, last);
	lint_trace(early, NULL, 0, &l);
	const struct lint_finding *f = rig_find(&l, LINT_RECORDS_BEFORE_COUNT);
	assert_non_null(f);
	assert_int_equal(f->count, 1);
	assert_null(strstr(f->message, "had not ended"));
	lint_release(&l);
	trace_free(early);
	/* The sync of the count ends behind the first page of the database. */
	uint64_t page = nth_write(t, RIG_DATABASE, 1);
	uint64_t count = 0;
	for (uint64_t p = 1; p < page; p++)
		if (trace_at(t, p)->kind == OP_SYNC_END)
			count = p;
	struct trace *late = rig_change(t, count, RIG_END_AFTER, page);
	lint_trace(late, NULL, 0, &l);
	f = rig_find(&l, LINT_JOURNAL_BEFORE_PAGE);
	assert_non_null(f);
	assert_int_equal(f->count, 1);
	char *expected = xasprintf(
	    "page 1 of app.db was overwritten (op %d) before the record count that makes its "
	    "journal record valid was synced: there is no sync of app.db-journal between that "
	    "count (op %d) and the page (op %d); the one that began at op %d had not ended",
	    (int)f->early, (int)f->pending, (int)f->early, (int)trace_at(t, count)->offset);
	assert_string_equal(f->message, expected);
	free(expected);
	lint_release(&l);
	trace_free(late);
	trace_free(t);
}

/* A journal whose deletion is not durable must not be outlived by changes that it does not know. */
static void test_end_before_page(void **state)
{
	static const char sql[] = "UPDATE t SET v = 'a' WHERE id = 3; PRAGMA journal_mode=memory;"
				  "UPDATE t SET v = 'b' WHERE id = 3;";
	struct lint l;

	(void)state;
	for (int extra = 0; extra < 2; extra++) {
		struct trace *t = rig_record(fi_vfs_default_device(),
					     extra ? "PRAGMA synchronous=extra" : "", fill, sql);

		lint_trace(t, NULL, 0, &l);
		assert_int_equal(rig_find(&l, LINT_JOURNAL_END_BEFORE_PAGE) != NULL, !extra);
		lint_release(&l);
		trace_free(t);
	}
}

/* An ACK is about what its own connection did. */
static void test_foreign_ack(void **state)
{
	struct trace *t = record("PRAGMA main.journal_mode=wal; PRAGMA synchronous=normal");
	struct lint l;

	(void)state;
	lint_trace(t, NULL, 0, &l);
	assert_non_null(rig_find(&l, LINT_COMMIT_BEFORE_ACK));
	lint_release(&l);
	for (uint64_t p = 1; p <= t->op_count; p++)
		if (t->ops[p - 1].kind == OP_ACK)
			t->ops[p - 1].connection++;
	lint_trace(t, NULL, 0, &l);
	assert_null(rig_find(&l, LINT_COMMIT_BEFORE_ACK));
	lint_release(&l);
	/* Where connections are not known, threads tell. */
	for (int other = 0; other < 2; other++) {
		for (uint64_t p = 1; p <= t->op_count; p++) {
			t->ops[p - 1].connection = 0;
			if (t->ops[p - 1].kind == OP_ACK)
				t->ops[p - 1].thread = (uint16_t)(1 + other);
		}
		lint_trace(t, NULL, 0, &l);
		assert_int_equal(rig_find(&l, LINT_COMMIT_BEFORE_ACK) != NULL, !other);
		lint_release(&l);
	}
	trace_free(t);
}

/* A commit is acknowledged once, however many ACKs follow. */
static void test_count(void **state)
{
	static const char sql[] = "UPDATE t SET v = 'a' WHERE id = 3; SELECT 1; SELECT 1;";
	static const struct {
		const char *pragmas;
		enum lint_rule rule;
	} rows[] = {
	    {"", LINT_JOURNAL_END_BEFORE_ACK},
	    {"PRAGMA journal_mode=wal; PRAGMA synchronous=normal", LINT_COMMIT_BEFORE_ACK},
	    {"PRAGMA journal_mode=memory; PRAGMA synchronous=off", LINT_DATABASE_BEFORE_ACK},
	};
	struct lint l;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct trace *t = rig_record(fi_vfs_default_device(), rows[i].pragmas, fill, sql);

		lint_trace(t, NULL, 0, &l);
		const struct lint_finding *f = rig_find(&l, rows[i].rule);
		assert_non_null(f);
		assert_int_equal(f->count, 1);
		lint_release(&l);
		trace_free(t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_sync),	    cmocka_unit_test(test_sync_interval),
	    cmocka_unit_test(test_end_before_page), cmocka_unit_test(test_foreign_ack),
	    cmocka_unit_test(test_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
