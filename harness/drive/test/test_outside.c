/*
 * Files outside the databases: what the SQL functions of outside.h answer, that the undecided disk
 * and brute force agree about them, and that what is remembered of observations does not answer for
 * files that nobody looked at.
 */
#include "harness/drive/outside.h"

#include "faultinject/base/buf.h"
#include "faultinject/vfs.h"
#include "harness/drive/test/equivalence_help.h"
#include "harness/drive/workload_files.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- the functions ---- */

struct rig {
	struct disk *disk;
	struct outside *outside;
	sqlite3 *db;
};

static void rig_open(struct rig *r)
{
	struct err err = ERR_INIT;

	assert_int_equal(fi_vfs_register(&err), 0);
	r->disk = disk_create();
	fi_vfs_boot(disk_storage(r->disk), 1, fi_vfs_default_device());
	fi_vfs_call_limit(0);
	assert_int_equal(sqlite3_open("/db/main.db", &r->db), SQLITE_OK);
	r->outside = outside_create("/db/main.db");
	assert_int_equal(outside_register(r->outside, r->db), SQLITE_OK);
}

static void rig_close(struct rig *r)
{
	assert_int_equal(sqlite3_close(r->db), SQLITE_OK);
	assert_int_equal(fi_vfs_open_count(), 0);
	outside_free(r->outside);
	disk_free(r->disk);
}

/* The answer of a query as text, "NULL", or "error: …"; valid until the next call. */
static const char *ask(const struct rig *r, const char *sql)
{
	static char answer[512];
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(r->db, sql, -1, &stmt, NULL);

	assert_int_equal(rc, SQLITE_OK);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(stmt, 0);
		(void)snprintf(answer, sizeof answer, "%s", text == NULL ? "NULL" : text);
	} else {
		(void)snprintf(answer, sizeof answer, "error: %s", sqlite3_errmsg(r->db));
	}
	(void)sqlite3_finalize(stmt);
	return answer;
}

/* Size and hash are those of the bytes, for no byte, one (which the VFS calls none), and more than
 * one chunk; a file that is not there is NULL; so is NULL. */
static void test_bytes_and_hash(void **state)
{
	struct rig r;
	char *large = xcalloc(1, 200000);

	(void)state;
	rig_open(&r);
	disk_put(r.disk, "/db/empty", "", 0);
	disk_put(r.disk, "/db/one", "a", 1);
	disk_put(r.disk, "/db/logs/word", "foobar", 6);
	disk_put(r.disk, "/db/large", large, 200000);
	assert_string_equal(ask(&r, "SELECT plugpull_file_bytes('empty')"), "0");
	assert_string_equal(ask(&r, "SELECT plugpull_file_bytes('one')"), "1");
	assert_string_equal(ask(&r, "SELECT plugpull_file_bytes('logs/word')"), "6");
	assert_string_equal(ask(&r, "SELECT plugpull_file_bytes('large')"), "200000");
	assert_string_equal(ask(&r, "SELECT plugpull_file_bytes('gone')"), "NULL");
	assert_string_equal(ask(&r, "SELECT plugpull_file_bytes(NULL)"), "NULL");
	/* Test vectors of http://www.isthe.com/chongo/src/fnv/test_fnv.c */
	assert_string_equal(ask(&r, "SELECT printf('%x', plugpull_file_fnv1a64('empty'))"),
			    "cbf29ce484222325");
	assert_string_equal(ask(&r, "SELECT printf('%x', plugpull_file_fnv1a64('one'))"),
			    "af63dc4c8601ec8c");
	assert_string_equal(ask(&r, "SELECT printf('%x', plugpull_file_fnv1a64('logs/word'))"),
			    "85944171f73967e8");
	assert_string_equal(ask(&r, "SELECT plugpull_file_fnv1a64('gone')"), "NULL");
	/* 200,000 times the prime, for zeros leave the rest alone. */
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	for (int i = 0; i < 200000; i++)
		h *= UINT64_C(0x100000001b3);
	char *text = xasprintf("%lld", (long long)h);
	assert_string_equal(ask(&r, "SELECT plugpull_file_fnv1a64('large')"), text);
	free(text);
	free(large);
	rig_close(&r);
}

/* A name that leads out of the folder, or is none, is an error, and no file is looked at. */
static void test_names(void **state)
{
	static const char *const names[] = {"'/db/a'", "'../a'",  "'a/../b'", "'./a'",
					    "''",      "'a//b'",  "'a/'",     "'..'",
					    "'a/..'",  "'a/./b'", "x'610061'"};
	struct rig r;

	(void)state;
	rig_open(&r);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		static const char *const functions[] = {
		    "plugpull_file_bytes", "plugpull_file_fnv1a64", "plugpull_database_problem"};
		for (size_t k = 0; k < 3; k++) {
			char *sql = xasprintf("SELECT %s(%s)", functions[k], names[i]);
			const char *answer = ask(&r, sql);
			assert_non_null(strstr(answer, "error: "));
			assert_non_null(strstr(answer, "below the folder"));
			free(sql);
		}
	}
	assert_string_equal(ask(&r, "SELECT plugpull_file_bytes('..a')"), "NULL");
	rig_close(&r);
}

static void make_database(const char *path)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
				      "PRAGMA page_size=512; PRAGMA journal_mode=wal;"
				      "CREATE TABLE t(a UNIQUE); INSERT INTO t VALUES (1), (2);",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* A sound database has no problem, also one that was left in WAL mode; one that is missing, empty,
 * cut, damaged or none has. Looking does nothing to any file, takes no lock, and leaves none open.
 */
static void test_database_problem(void **state)
{
	struct rig r;
	uint8_t bytes[8192];
	uint32_t inode;
	bool created;
	uint64_t size;
	size_t got;

	(void)state;
	rig_open(&r);
	struct storage *s = disk_storage(r.disk);
	make_database("/db/a 100%?#.db");
	assert_int_equal(s->ops->open(s, "/db/a 100%?#.db", false, &inode, &created), 0);
	assert_int_equal(s->ops->size(s, inode, &size), 0);
	assert_int_equal(s->ops->read(s, inode, 0, bytes, sizeof bytes, &got), 0);
	assert_true(got == size && bytes[18] == 2);
	disk_put(r.disk, "/db/empty", "", 0);
	disk_put(r.disk, "/db/cut", bytes, size - 512);
	disk_put(r.disk, "/db/text", "once upon a time there was no database in this file", 51);
	bytes[2 * 512 + 8] ^= 0xff;
	disk_put(r.disk, "/db/damaged", bytes, size);
	struct trace *done = trace_create(fi_vfs_default_device(), "looking");
	disk_record(r.disk, done);
	assert_string_equal(ask(&r, "SELECT plugpull_database_problem('a 100%?#.db')"), "NULL");
	assert_string_equal(ask(&r, "SELECT plugpull_database_problem('gone')"), "no such file");
	assert_string_equal(ask(&r, "SELECT plugpull_database_problem('empty')"), "empty file");
	assert_non_null(strstr(ask(&r, "SELECT plugpull_database_problem('cut')"), "malformed"));
	assert_string_equal(ask(&r, "SELECT plugpull_database_problem('text')"),
			    "file is not a database");
	assert_string_not_equal(ask(&r, "SELECT plugpull_database_problem('damaged')"), "NULL");
	assert_null(strstr(ask(&r, "SELECT plugpull_database_problem('damaged')"), "error"));
	disk_record(r.disk, NULL);
	assert_int_equal(done->op_count, 0);
	trace_free(done);
	rig_close(&r);
}

/* Deferred, each function is an error that looks at nothing, and is noted. */
static void test_deferred(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	assert_false(outside_take_called(r.outside));
	outside_defer(r.outside, true);
	uint64_t calls = fi_vfs_call_count();
	assert_string_equal(ask(&r, "SELECT plugpull_file_bytes('a')"), "error: deferred");
	assert_int_equal(fi_vfs_call_count(), calls);
	assert_true(outside_take_called(r.outside));
	assert_false(outside_take_called(r.outside));
	outside_defer(r.outside, false);
	assert_string_equal(ask(&r, "SELECT 1"), "1");
	assert_false(outside_take_called(r.outside));
	assert_string_equal(ask(&r, "SELECT plugpull_file_bytes('a')"), "NULL");
	assert_true(outside_take_called(r.outside));
	rig_close(&r);
}

/* ---- crash states ---- */

/* What the program leaves out of: write, sync, rename, sync of the folder, row. */
enum flaw { SOUND, NO_SYNC, NO_FOLDER_SYNC, ROW_FIRST, IN_PLACE };

enum { CONTENT_SIZE = 600 };

static uint64_t fnv(const uint8_t *data, size_t size)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < size; i++)
		h = (h ^ data[i]) * UINT64_C(0x100000001b3);
	return h;
}

static void write_file(const struct store_files *files, const char *name, const uint8_t *data,
		       size_t size, enum flaw flaw)
{
	void *c = files->context, *file;
	char *path = xasprintf("/db/%s", name);
	char *part = flaw == IN_PLACE ? xstrdup(path) : xasprintf("%s.part", path);

	assert_int_equal(files->create(c, part, &file), 0);
	assert_int_equal(files->write(c, file, data, size / 2), 0);
	assert_int_equal(files->write(c, file, data + size / 2, size - size / 2), 0);
	if (flaw != NO_SYNC)
		assert_int_equal(files->sync(c, file), 0);
	assert_int_equal(files->close(c, file), 0);
	if (flaw != IN_PLACE)
		assert_int_equal(files->rename(c, part, path), 0);
	if (flaw != NO_FOLDER_SYNC)
		assert_int_equal(files->sync_folder(c, "/db"), 0);
	free(part);
	free(path);
}

static void run_sql(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

/* A subject with a table of logs, and what its rows say. The WAL is there before recording begins:
 * making one syncs the folder. */
static void record_logs(const char *invariants, const char *pragmas, enum flaw flaw,
			struct subject **ret_subject, struct trace **ret_trace)
{
	struct case_options options = {.default_require = GRADE_CORRUPT};
	struct case_list cases = {0};
	struct scenario *scenario;
	struct err err = ERR_INIT;
	uint8_t content[CONTENT_SIZE];
	sqlite3 *db;
	char *text = xasprintf("-- @scenario logs\n-- @pragma %s\n%s-- @client a\nSELECT 1;\n",
			       pragmas, invariants);

	if (scenario_parse("logs.sql", text, strlen(text), NULL, &scenario, &err) != 0 ||
	    scenario_cases(scenario, "logs.sql", NULL, &options, &cases, &err) != 0)
		fail_msg("%s", err.message);
	*ret_subject = subject_from_scenario(scenario, &cases.items[0], 1);
	case_list_release(&cases);
	scenario_free(scenario);
	free(text);

	memset(content, 'x', sizeof content);
	assert_int_equal(fi_vfs_register(&err), 0);
	struct disk *disk = disk_create();
	fi_vfs_boot(disk_storage(disk), 1, fi_vfs_default_device());
	fi_vfs_call_limit(0);
	struct workload_files files;
	workload_files_init(&files, disk);
	assert_int_equal(sqlite3_open((*ret_subject)->database, &db), SQLITE_OK);
	for (size_t i = 0; i < (*ret_subject)->pragmas.count; i++) {
		char *sql = xasprintf("PRAGMA %s=%s", (*ret_subject)->pragmas.items[i].key,
				      (*ret_subject)->pragmas.items[i].value);
		run_sql(db, sql);
		free(sql);
	}
	run_sql(db, "CREATE TABLE logs(name TEXT, bytes, hash)");
	*ret_trace = trace_create(fi_vfs_default_device(), "logs");
	disk_record(disk, *ret_trace);
	char *insert = xasprintf("INSERT INTO logs VALUES ('1.log', %d, %lld)", CONTENT_SIZE,
				 (long long)fnv(content, sizeof content));
	if (flaw == ROW_FIRST)
		run_sql(db, insert);
	write_file(&files.table, "1.log", content, sizeof content, flaw);
	if (flaw != ROW_FIRST)
		run_sql(db, insert);
	disk_note(disk, OP_ACK, "");
	/* A second one, of which the database knows nothing. */
	write_file(&files.table, "2.log", content, 5, SOUND);
	free(insert);
	disk_record(disk, NULL);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_int_equal(files.open_count, 0);
	disk_free(disk);
}

#define WAL	"page_size=512 journal_mode=wal synchronous=full"
#define JOURNAL "page_size=512 journal_mode=delete synchronous=extra"

/* The promise: what a row says of a file is so. */
#define PROMISE                                                                                    \
	"-- @invariant \"the file is there and whole\"\n"                                          \
	"SELECT name FROM logs WHERE plugpull_file_bytes(name) IS NOT bytes OR "                   \
	"plugpull_file_fnv1a64(name) IS NOT hash;\n"

/* A question whose answer is in no page: its rows make states differ that are one for the database.
 */
#define SECOND                                                                                     \
	"-- @invariant \"no second file\"\n"                                                       \
	"SELECT plugpull_file_bytes('2.log') WHERE plugpull_file_bytes('2.log') IS NOT NULL;\n"

/* The same, asked when a checking connection is opened, so that no probe looks at the file. */
#define OPENED                                                                                     \
	"-- @open\n"                                                                               \
	"CREATE TEMP TABLE seen AS SELECT plugpull_file_bytes('2.log') AS bytes;\n"                \
	"-- @invariant \"no second file\"\n"                                                       \
	"SELECT bytes FROM seen WHERE bytes IS NOT NULL;\n"

/* The worst that the explorer finds, its messages in `ret_text`. */
static enum grade explore_all(const struct subject *subject, const struct trace *t,
			      const struct model *model, char *ret_text, size_t text_size)
{
	struct err err = ERR_INIT;
	struct trace_index *ix;
	struct examiner *e;
	struct explore_points points;
	uint64_t *extra;
	size_t extra_count, finding_count;
	const struct finding *findings;
	struct explore_stats stats;

	assert_int_equal(trace_index_build(t, model, &ix, &err), 0);
	assert_int_equal(examiner_create(subject, ix, true, &e, &err), 0);
	history_points(examiner_history(e), &extra, &extra_count);
	explore_points(ix, model, extra, extra_count, &points);
	struct explore_callbacks callbacks = {.examine = examiner_examine, .ctx = e};
	explore_stats_init(&stats);
	if (explore(ix, model, points.items, points.count, &callbacks, &stats, &err) != 0)
		fail_msg("%s", err.message);
	enum grade grade = examiner_grade(e);
	*ret_text = '\0';
	finding_count = examiner_findings(e, &findings);
	for (size_t i = 0; i < finding_count; i++)
		(void)snprintf(ret_text + strlen(ret_text), text_size - strlen(ret_text),
			       "%s: %s\n", findings[i].verdict.oracle, findings[i].verdict.message);
	explore_stats_release(&stats);
	free(extra);
	explore_points_release(&points);
	examiner_free(e);
	trace_index_free(ix);
	return grade;
}

static struct model model_of(const char *name, const char *sector)
{
	struct model model;
	struct err err = ERR_INIT;

	assert_int_equal(model_find(name, &model, &err), 0);
	assert_int_equal(model_set(&model, "sector", sector, &err), 0);
	model.seed = 1;
	return model;
}

/* A file that is written, synced, renamed and whose folder is synced before its row is committed is
 * there whenever the row is. Without one of these steps it is not, on a disk that reorders: the
 * explorer finds it. */
static void test_promise(void **state)
{
	static const struct {
		enum flaw flaw;
		const char *pragmas;
		enum grade grade;
	} cases[] = {
	    {SOUND, WAL, GRADE_DURABLE},
	    {SOUND, JOURNAL, GRADE_DURABLE},
	    {NO_SYNC, WAL, GRADE_CORRUPT},
	    {NO_SYNC, JOURNAL, GRADE_CORRUPT},
	    {NO_FOLDER_SYNC, WAL, GRADE_CORRUPT},
	    /* Making the rollback journal syncs the same folder before the row is written. */
	    {NO_FOLDER_SYNC, JOURNAL, GRADE_DURABLE},
	    {ROW_FIRST, WAL, GRADE_CORRUPT},
	    {ROW_FIRST, JOURNAL, GRADE_CORRUPT},
	    /* Without a rename it is whole by the time of the row all the same. */
	    {IN_PLACE, WAL, GRADE_DURABLE},
	};
	struct model model = model_of("strict-posix", "512");

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct subject *subject;
		struct trace *t;
		char text[2048];

		record_logs(PROMISE, cases[i].pragmas, cases[i].flaw, &subject, &t);
		enum grade grade = explore_all(subject, t, &model, text, sizeof text);
		if (grade != cases[i].grade)
			fail_msg("case %zu: %s\n%s", i, grade_text(grade), text);
		if (grade == GRADE_CORRUPT)
			assert_non_null(strstr(text, "invariant: 'the file is there and whole'"));
		trace_free(t);
		subject_free(subject);
	}
}

/* Which losses those are: a file of the right size without its content, one of no bytes, none. */
static void test_losses(void **state)
{
	static const struct {
		enum flaw flaw;
		const char *shown;
	} cases[] = {
	    {NO_SYNC, "(600, other)"},	 {NO_SYNC, "(0, other)"},
	    {NO_SYNC, "(300, other)"},	 {NO_FOLDER_SYNC, "(NULL, NULL)"},
	    {ROW_FIRST, "(NULL, NULL)"},
	};
	struct model model = model_of("strict-posix", "512");

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct subject *subject;
		struct trace *t;
		char text[2048];
		int bytes = 0;
		bool is_there = sscanf(cases[i].shown, "(%d,", &bytes) == 1;
		char *invariant = xasprintf(
		    "-- @invariant \"loss\"\nSELECT plugpull_file_bytes(name), CASE WHEN "
		    "plugpull_file_fnv1a64(name) IS NOT NULL THEN 'other' END FROM logs WHERE "
		    "plugpull_file_bytes(name) IS %s AND plugpull_file_fnv1a64(name) IS NOT "
		    "hash;\n",
		    is_there ? bytes == 600   ? "600"
			       : bytes == 300 ? "300"
					      : "0"
			     : "NULL");
		record_logs(invariant, WAL, cases[i].flaw, &subject, &t);
		assert_int_equal(explore_all(subject, t, &model, text, sizeof text), GRADE_CORRUPT);
		if (strstr(text, cases[i].shown) == NULL)
			fail_msg("%s: %s", cases[i].shown, text);
		free(invariant);
		trace_free(t);
		subject_free(subject);
	}
}

/* Legal states have the files that the processes saw: a query that cannot be answered without the
 * file can be answered in all of them, so that nothing excuses a crash state where it cannot. */
static void test_legal_states(void **state)
{
	static const char invariant[] =
	    "-- @invariant \"the file can be read\"\n"
	    "SELECT name FROM logs WHERE CASE WHEN plugpull_file_bytes(name) IS NULL "
	    "THEN abs(-9223372036854775807 - 1) END;\n";
	struct model model = model_of("strict-posix", "512");
	struct subject *subject;
	struct trace *t;
	char text[2048];

	(void)state;
	record_logs(invariant, WAL, SOUND, &subject, &t);
	assert_int_equal(explore_all(subject, t, &model, text, sizeof text), GRADE_DURABLE);
	trace_free(t);
	subject_free(subject);
	record_logs(invariant, WAL, NO_FOLDER_SYNC, &subject, &t);
	assert_int_equal(explore_all(subject, t, &model, text, sizeof text), GRADE_CORRUPT);
	assert_non_null(strstr(text, "cannot be asked"));
	trace_free(t);
	subject_free(subject);
}

/* Brute force finds the same outcomes and counts the same states, under every preset and for every
 * flaw; the second file is in no page, and what was observed before it came answers nothing. */
static void test_brute_force(void **state)
{
	static const struct {
		enum flaw flaw;
		const char *pragmas;
		const char *only; /* one preset; NULL: each */
		const char *invariants;
	} cases[] = {
	    {SOUND, WAL, NULL, PROMISE SECOND},
	    {SOUND, JOURNAL, "strict-posix", PROMISE SECOND},
	    {NO_SYNC, WAL, "strict-posix", PROMISE SECOND},
	    {NO_FOLDER_SYNC, WAL, "strict-posix", PROMISE SECOND},
	    {ROW_FIRST, WAL, "strict-posix", PROMISE SECOND},
	    {IN_PLACE, WAL, "strict-posix", PROMISE SECOND},
	    {SOUND, WAL, "strict-posix", OPENED},
	};
	size_t count;
	const struct model_info *presets = model_presets(&count);

	(void)state;
	for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
		struct subject *subject;
		struct trace *t;
		uint64_t states = 0;

		record_logs(cases[k].invariants, cases[k].pragmas, cases[k].flaw, &subject, &t);
		for (size_t i = 0; i < count; i++) {
			const struct model *m = &presets[i].model;
			if (m->process_crash ||
			    (cases[k].only != NULL && strcmp(m->name, cases[k].only) != 0))
				continue;
			struct model model = model_of(
			    m->name, m->sector == 1 || cases[k].only != NULL ? "512" : "4096");
			states += equivalence_compare(subject, t, &model, k == 0 && i == 0);
		}
		print_message("%zu: %llu states by brute force\n", k, (unsigned long long)states);
		assert_true(states > 10);
		trace_free(t);
		subject_free(subject);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bytes_and_hash),   cmocka_unit_test(test_names),
	    cmocka_unit_test(test_database_problem), cmocka_unit_test(test_deferred),
	    cmocka_unit_test(test_promise),	     cmocka_unit_test(test_losses),
	    cmocka_unit_test(test_legal_states),     cmocka_unit_test(test_brute_force),
	};

	observer_configure();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
