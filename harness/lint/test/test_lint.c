/*
 * The lint says nothing about sound settings, says which rules each weaker one breaks, and notices
 * every sync that is missing.
 */
#include "faultinject/base/buf.h"
#include "faultinject/vfs.h"
#include "harness/drive/record.h"
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

enum {
	IOCAP_SAFE_APPEND = 0x200,
	IOCAP_SEQUENTIAL = 0x400,
};

static const char fill[] =
    "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); CREATE INDEX t_v ON t(v);"
    "INSERT INTO t WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 60)"
    " SELECT i, printf('%0150d', i) FROM c;"
    "CREATE TABLE side.u AS SELECT * FROM t;";

static const char update_one[] = "UPDATE t SET v = printf('%0150d', id + 1000) WHERE id % 8 = 1;"
				 "UPDATE t SET v = printf('%0150d', id + 2000) WHERE id % 8 = 2;";

static const char update_both[] =
    "BEGIN; UPDATE t SET v = 'a' WHERE id = 3; UPDATE u SET v = 'a' WHERE id = 3; COMMIT;"
    "BEGIN; UPDATE t SET v = 'b' WHERE id = 3; UPDATE u SET v = 'b' WHERE id = 3; COMMIT;";

/* What SQLite does with a cache that is too small: spills, rollbacks after a spill, savepoints,
 * files that get shorter, checkpoints in between. */
static const char hard[] =
    "PRAGMA cache_size=3; PRAGMA side.cache_size=3;"
    "UPDATE t SET v = printf('%0350d', id);"
    "BEGIN; UPDATE t SET v = printf('%0350d', id + 7); SAVEPOINT a;"
    " DELETE FROM t WHERE id % 3 = 0; ROLLBACK TO a; DELETE FROM u WHERE id % 2; COMMIT;"
    "BEGIN; UPDATE t SET v = printf('%0350d', id + 9); UPDATE u SET v = 1; ROLLBACK;"
    "CREATE TABLE w AS SELECT * FROM t; DELETE FROM w; DROP TABLE w;"
    "INSERT INTO t(v) VALUES (zeroblob(30000)); DELETE FROM t WHERE length(v) > 9999;"
    "PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE);"
    "UPDATE t SET v = printf('%0350d', id + 11) WHERE id < 30;"
    "PRAGMA wal_checkpoint(RESTART); UPDATE t SET v = id; VACUUM;";

/* Some of `more` writes to the file: in DELETE mode, which comes before `mode`. */
static char *mode_pragmas(const char *mode, const char *synchronous, const char *more)
{
	return xasprintf("PRAGMA synchronous=extra; PRAGMA side.synchronous=extra; %s;"
			 "PRAGMA main.journal_mode=%s; PRAGMA side.journal_mode=%s;"
			 "PRAGMA main.synchronous=%s; PRAGMA side.synchronous=%s",
			 more, mode, mode, synchronous, synchronous);
}

/* The ids of the rules that fire, in order, with a blank behind each. */
static char *rules_of(const struct trace *t)
{
	struct lint l;
	struct buf b;
	char *text;

	buf_init(&b);
	lint_trace(t, NULL, 0, &l);
	assert_null(l.incomplete);
	for (size_t i = 0; i < l.count; i++) {
		assert_string_equal(l.findings[i].id, lint_rule_id(l.findings[i].rule));
		assert_true(l.findings[i].pending <= l.findings[i].early);
		assert_true(l.findings[i].early <= l.findings[i].last);
		assert_true(strlen(l.findings[i].message) > 0);
		if (i == 0 || l.findings[i - 1].rule != l.findings[i].rule)
			buf_printf(&b, "%s ", l.findings[i].id);
	}
	text = xstrdup(buf_str(&b));
	buf_release(&b);
	lint_release(&l);
	return text;
}

static void assert_rules(const char *what, const struct trace *t, const char *expected)
{
	char *rules = rules_of(t);

	if (strcmp(rules, expected) != 0)
		fail_msg("%s: [%s] instead of [%s]", what, rules, expected);
	free(rules);
}

/* ---- settings ---- */

#define OFF_JOURNAL                                                                                \
	"journal-before-page journal-name-before-page records-before-count "                       \
	"database-before-journal-end journal-end-before-ack "
#define OFF_KEPT_JOURNAL                                                                           \
	"journal-before-page records-before-count database-before-journal-end "                    \
	"journal-end-before-ack "
#define OFF_WAL                                                                                    \
	"log-header-before-frames commit-before-ack log-name-before-ack log-before-checkpoint "    \
	"log-name-before-checkpoint database-before-log-reset "

static const struct cell {
	const char *mode, *synchronous;
	const char *one;  /* rules that a transaction in one file breaks */
	const char *both; /* in two files */
} cells[] = {
    {"delete", "extra", "", ""},
    {"delete", "full", "journal-end-before-ack ", ""},
    {"delete", "normal", "records-before-count journal-end-before-ack ", "records-before-count "},
    {"delete", "off", OFF_JOURNAL, OFF_JOURNAL},
    {"truncate", "extra", "", ""},
    {"truncate", "full", "", ""},
    {"truncate", "normal", "records-before-count journal-end-before-ack ", "records-before-count "},
    {"truncate", "off", OFF_KEPT_JOURNAL, OFF_KEPT_JOURNAL},
    {"persist", "extra", "", ""},
    {"persist", "full", "", ""},
    {"persist", "normal", "records-before-count ", "records-before-count "},
    {"persist", "off", OFF_KEPT_JOURNAL, OFF_KEPT_JOURNAL},
    {"memory", "extra", "page-without-log ", "page-without-log "},
    {"memory", "full", "page-without-log ", "page-without-log "},
    {"memory", "normal", "page-without-log ", "page-without-log "},
    {"memory", "off", "page-without-log database-before-ack ",
     "page-without-log database-before-ack "},
    {"off", "extra", "page-without-log ", "page-without-log "},
    {"off", "full", "page-without-log ", "page-without-log "},
    {"off", "normal", "page-without-log ", "page-without-log "},
    {"off", "off", "page-without-log database-before-ack ",
     "page-without-log database-before-ack "},
    {"wal", "extra", "", ""},
    {"wal", "full", "", ""},
    {"wal", "normal", "commit-before-ack ", "commit-before-ack "},
    {"wal", "off", OFF_WAL, OFF_WAL},
};

/* Which rules fire at each journal mode and level of synchronous, in one file and in two: none at
 * settings that keep every commit. (In two files the super-journal's deletion, which SQLite always
 * syncs, ends journals whose own deletion it does not.) */
static void test_settings(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
		char *pragmas = mode_pragmas(cells[i].mode, cells[i].synchronous, "");

		for (int both = 0; both < 2; both++) {
			char *what = xasprintf("%s, %s, %s", cells[i].mode, cells[i].synchronous,
					       both ? "two files" : "one file");
			struct trace *t = rig_record(fi_vfs_default_device(), pragmas, fill,
						     both ? update_both : update_one);

			assert_rules(what, t, both ? cells[i].both : cells[i].one);
			trace_free(t);
			free(what);
		}
		free(pragmas);
	}
}

/* No false alarm where SQLite spills, rolls back, cuts its files, checkpoints and restarts its log:
 * every sound setting, several page sizes, both locking modes, with and without auto-vacuum, on
 * devices without power-safe overwrite and with other sectors. DELETE at FULL shows its two gaps
 * and nothing else. */
static void test_sound(void **state)
{
	static const char *const modes[][2] = {
	    {"delete", "extra"}, {"truncate", "full"}, {"persist", "full"},
	    {"wal", "full"},	 {"wal", "extra"},     {"delete", "full"},
	};
	static const char *const more[] = {
	    "PRAGMA page_size=512; PRAGMA wal_autocheckpoint=20",
	    "PRAGMA page_size=4096; PRAGMA auto_vacuum=1; PRAGMA journal_size_limit=2000",
	    "PRAGMA page_size=1024; PRAGMA auto_vacuum=2; PRAGMA locking_mode=exclusive",
	    "PRAGMA page_size=65536; PRAGMA journal_size_limit=0",
	};
	static const struct trace_device devices[] = {{4096, 0x1000}, {4096, 0}, {512, 0}};

	(void)state;
	for (size_t m = 0; m < sizeof modes / sizeof *modes; m++)
		for (size_t k = 0; k < sizeof more / sizeof *more; k++)
			for (size_t d = 0; d < sizeof devices / sizeof *devices; d++) {
				char *pragmas = mode_pragmas(modes[m][0], modes[m][1], more[k]);
				char *what = xasprintf("%s, device %zu", pragmas, d);
				struct trace *t = rig_record(devices[d], pragmas, fill, hard);
				bool gaps = m == 5 && k != 2; /* exclusive: a header is zeroed */

				assert_rules(what, t,
					     gaps ? "journal-end-before-ack "
						    "journal-end-before-truncate "
						  : "");
				trace_free(t);
				free(what);
				free(pragmas);
			}
}

/* A device that keeps the order by itself needs no sync between log and database, and one with safe
 * appends no count: SQLite leaves them out, and nothing is missing. */
static void test_devices(void **state)
{
	static const char *const modes[][2] = {
	    {"delete", "extra"}, {"truncate", "full"}, {"persist", "full"}, {"wal", "full"}};
	static const uint32_t characteristics[] = {0x1000 | IOCAP_SEQUENTIAL,
						   0x1000 | IOCAP_SAFE_APPEND,
						   0x1000 | IOCAP_SEQUENTIAL | IOCAP_SAFE_APPEND};

	(void)state;
	for (size_t m = 0; m < sizeof modes / sizeof *modes; m++)
		for (size_t c = 0; c < sizeof characteristics / sizeof *characteristics; c++) {
			struct trace_device device = {4096, characteristics[c]};
			char *pragmas = mode_pragmas(modes[m][0], modes[m][1], "");
			char *what = xasprintf("%s, device %zu", pragmas, c);
			struct trace *t = rig_record(device, pragmas, fill, hard);

			assert_rules(what, t, "");
			trace_free(t);
			free(what);
			free(pragmas);
		}
}

/* ---- shipped scenarios ---- */

static const struct {
	const char *path;
	const char *rules; /* of its cases, one after another */
} scenarios[] = {
    {"scenarios/archival-512.sql", "|"},
    {"scenarios/archival.sql", "|"},
    {"scenarios/attached.sql", "|"},
    {"scenarios/checkpoint.sql", "|"},
    {"scenarios/transfer.sql", "||"},
    {"scenarios/rollback-memory.sql", "page-without-log |page-without-log |"},
    {"scenarios/rollback-journal.sql",
     "|journal-end-before-ack |records-before-count journal-end-before-ack |" OFF_JOURNAL
     "|||records-before-count journal-end-before-ack |" OFF_KEPT_JOURNAL
     "|||records-before-count |" OFF_KEPT_JOURNAL "|"},
    {"scenarios/controls/archival-normal.sql", "commit-before-ack |"},
    {"scenarios/controls/plant-missing-commit-sync.sql",
     "log-header-before-frames commit-before-ack log-before-checkpoint |"},
    {"scenarios/controls/vacuum-delete-full.sql",
     "journal-end-before-ack journal-end-before-truncate ||"},
    {"scenarios/controls/attached-wal.sql", "|"},
    {"scenarios/models/ext4-writeback-loses.sql", "|"},
    {"scenarios/models/strict-posix-survives.sql", "|"},
};

static char *rules_of_scenario(const char *path)
{
	static const char *const model = "strict-posix";
	struct case_options options = {
	    .models = &model, .model_count = 1, .default_require = GRADE_CORRUPT};
	struct err err = ERR_INIT;
	struct scenario *s;
	struct case_list cases;
	struct buf b;

	buf_init(&b);
	if (scenario_load(path, NULL, &s, &err) != 0 ||
	    scenario_cases(s, path, NULL, &options, &cases, &err) != 0)
		fail_msg("%s", err.message);
	for (size_t i = 0; i < cases.count; i++) {
		struct subject *subject = subject_from_scenario(s, &cases.items[i], 1);
		struct trace *t;
		char *skip = NULL, *rules;

		if (record_case(s, &cases.items[i], subject, &t, &skip, &err) != 0)
			fail_msg("%s", err.message);
		assert_null(skip);
		rules = rules_of(t);
		buf_printf(&b, "%s|", rules);
		free(rules);
		trace_free(t);
		subject_free(subject);
	}
	case_list_release(&cases);
	scenario_free(s);
	char *text = xstrdup(buf_str(&b));
	buf_release(&b);
	return text;
}

/* What fires on the traces of shipped scenarios: nothing where they are durable, and where they are
 * not, what is behind it. */
static void test_scenarios(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
		char *rules = rules_of_scenario(scenarios[i].path);

		if (strcmp(rules, scenarios[i].rules) != 0)
			fail_msg("%s: [%s] instead of [%s]", scenarios[i].path, rules,
				 scenarios[i].rules);
		free(rules);
	}
}

/* ---- what is said ---- */

/* The message about a missing sync names the file, the page, both operations and what the first of
 * them did; and it is said once, with a count. */
static void test_message(void **state)
{
	char *pragmas = mode_pragmas("delete", "normal", "");
	struct trace *t = rig_record(fi_vfs_default_device(), pragmas, fill, update_one);
	struct lint l;

	(void)state;
	lint_trace(t, NULL, 0, &l);
	const struct lint_finding *f = rig_find(&l, LINT_RECORDS_BEFORE_COUNT);
	assert_non_null(f);
	assert_string_equal(f->database, RIG_DATABASE);
	assert_int_equal(f->count, 2);
	const struct op *count = trace_at(t, f->early), *record = trace_at(t, f->pending);
	assert_int_equal(count->kind, OP_WRITE);
	assert_int_equal(count->offset, 0);
	assert_int_equal(count->size, 12);
	assert_int_equal(record->kind, OP_WRITE);
	assert_int_equal(record->inode, count->inode);
	char *expected = xasprintf(
	    "the record count of app.db-journal was written (op %d) before the records that it "
	    "counts were synced, so that a power loss can keep the count without them: there is no "
	    "sync of app.db-journal between the last of them (op %d) and the count (op %d)",
	    (int)f->early, (int)f->pending, (int)f->early);
	assert_string_equal(f->message, expected);
	free(expected);
	lint_release(&l);
	trace_free(t);
	free(pragmas);
}

/* Promises that are given take the place of the OP_ACKs: they count from the operation on that they
 * are at, for what the same connection did, and for each commit once; and the message says what
 * that operation was. */
static void test_promises(void **state)
{
	static const struct {
		const char *mode, *sync;
		enum lint_rule rule;
	} gaps[] = {{"delete", "full", LINT_JOURNAL_END_BEFORE_ACK},
		    {"wal", "normal", LINT_COMMIT_BEFORE_ACK},
		    {"off", "off", LINT_DATABASE_BEFORE_ACK}};

	(void)state;
	for (size_t i = 0; i < sizeof gaps / sizeof *gaps; i++) {
		char *pragmas = mode_pragmas(gaps[i].mode, gaps[i].sync, "");
		struct trace *t = rig_record(fi_vfs_default_device(), pragmas, fill, update_one);
		struct lint_ack ack = {0}, none = {.position = t->op_count + 1};
		const struct lint_finding *f;
		struct lint l;

		for (uint64_t p = 1; p <= t->op_count && ack.position == 0; p++) {
			const struct op *op = trace_at(t, p);

			lint_trace(t,
				   &(struct lint_ack){p, op->process, op->thread, op->connection},
				   1, &l);
			if (op->kind == OP_UNLOCK && rig_find(&l, gaps[i].rule) != NULL)
				ack = (struct lint_ack){p, op->process, op->thread, op->connection};
			lint_release(&l);
		}
		assert_int_not_equal(ack.position, 0);
		struct lint_ack twice[] = {ack, ack};
		lint_trace(t, twice, 2, &l);
		f = rig_find(&l, gaps[i].rule);
		assert_non_null(f);
		assert_int_equal(f->count, 1);
		assert_int_equal(f->early, ack.position);
		char *told =
		    xasprintf("a commit was over, and its lock was released (op %d) before",
			      (int)ack.position);
		char *then = xasprintf(") and the release of the lock (op %d)", (int)ack.position);
		assert_memory_equal(f->message, told, strlen(told));
		assert_non_null(strstr(f->message, then));
		free(told);
		free(then);
		lint_release(&l);
		ack.connection++;
		lint_trace(t, &ack, 1, &l);
		assert_null(rig_find(&l, gaps[i].rule));
		lint_release(&l);
		/* Without any, the OP_ACKs of the trace do not count either. */
		lint_trace(t, &none, 1, &l);
		assert_null(rig_find(&l, gaps[i].rule));
		lint_release(&l);
		lint_trace(t, NULL, 0, &l);
		assert_non_null(rig_find(&l, gaps[i].rule));
		lint_release(&l);
		trace_free(t);
		free(pragmas);
	}
}

/* Each acknowledged commit counts, and no rollback does, also when it had reached the file. */
static void test_rollback_is_no_commit(void **state)
{
	char *pragmas = mode_pragmas("delete", "full", "PRAGMA page_size=512");
	struct trace *t = rig_record(
	    fi_vfs_default_device(), pragmas, fill,
	    "PRAGMA cache_size=3;"
	    "BEGIN; UPDATE t SET v = printf('%0350d', id); ROLLBACK;"
	    "UPDATE t SET v = 1; BEGIN; UPDATE t SET v = printf('%0350d', id); ROLLBACK;");
	struct lint l;

	(void)state;
	lint_trace(t, NULL, 0, &l);
	assert_int_equal(l.count, 1);
	assert_int_equal(l.findings[0].rule, LINT_JOURNAL_END_BEFORE_ACK);
	assert_int_equal(l.findings[0].count, 1);
	lint_release(&l);
	trace_free(t);
	free(pragmas);
}

/* A recovery is held to the same rules: rolling back a hot journal, of one file or of two, and
 * recovering a log break none, whatever operation the processes died at. */
static void test_recovery(void **state)
{
	static const char *const modes[][2] = {
	    {"delete", "extra"}, {"truncate", "full"}, {"persist", "full"}, {"wal", "full"}};

	(void)state;
	for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
		char *pragmas = mode_pragmas(modes[m][0], modes[m][1], "");
		struct trace *t = rig_record(fi_vfs_default_device(), pragmas, fill, update_both);
		uint64_t changed = 0;

		for (uint64_t p = 1; p <= t->op_count; p++) {
			struct trace *r = rig_recover(t, p, pragmas,
						      "SELECT * FROM t; SELECT * FROM u;"
						      "UPDATE t SET v = 'c' WHERE id = 9;");
			char *what = xasprintf("%s, died at %d", pragmas, (int)p);

			for (uint64_t q = 1; q <= r->op_count; q++)
				changed += trace_at(r, q)->kind == OP_UNLINK;
			assert_rules(what, r, "");
			trace_free(r);
			free(what);
		}
		assert_true(m == 1 || m == 2 || changed > t->op_count);
		trace_free(t);
		free(pragmas);
	}
}

/* More database files than are looked at are said to be. */
static void test_limit(void **state)
{
	struct trace *t = trace_create(fi_vfs_default_device(), "test");
	struct lint l;

	(void)state;
	for (int i = 0; i <= LINT_DATABASES_MAX; i++) {
		char *name = xasprintf("/db/%d", i), *log = xasprintf("/db/%d-wal", i);

		(void)trace_name(t, name);
		(void)trace_name(t, log);
		free(name);
		free(log);
		lint_trace(t, NULL, 0, &l);
		assert_int_equal(l.incomplete != NULL, i == LINT_DATABASES_MAX);
		lint_release(&l);
	}
	trace_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_settings), cmocka_unit_test(test_sound),
	    cmocka_unit_test(test_devices),  cmocka_unit_test(test_scenarios),
	    cmocka_unit_test(test_message),  cmocka_unit_test(test_rollback_is_no_commit),
	    cmocka_unit_test(test_recovery), cmocka_unit_test(test_promises),
	    cmocka_unit_test(test_limit),
	};
	struct err err = ERR_INIT;

	if (fi_vfs_register(&err) != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
