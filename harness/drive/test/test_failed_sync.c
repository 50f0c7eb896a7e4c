/*
 * SQLite on a disk that fails a sync once (rule D8): what may be lost of what it acknowledges
 * afterwards. Each script runs over the shim; at every crash point, the explorer and the
 * brute-force enumerator must find the same outcomes and grades, and the worst grade is the one
 * that docs/findings.md explains (finding 19).
 */
#include "faultinject/base/buf.h"
#include "faultinject/disk.h"
#include "faultinject/vfs.h"
#include "harness/drive/test/equivalence_help.h"
#include "harness/drive/test/record_help.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STEPS_MAX = 12 };

/* ---- scripts ------------------------------------------------------------------------------- */

/*
 * A step is SQL that must succeed; after "failed ", SQL that must fail with SQLITE_IOERR_FSYNC; or
 *
 *     .fail SUFFIX    the next sync of a file, or folder, whose name ends so fails
 *     .close          closes the connection, and SQLite checkpoints
 *     .die            as if the process had been killed: the log stays
 *     .open           a connection, with the script's pragmas
 *     .rewrite        writes the bytes of the log again, as they are, and syncs it
 */
struct script {
	const char *name, *journal_mode, *synchronous;
	const char *steps[STEPS_MAX];
	struct expected {
		enum grade worst; /* of all crash points */
		enum grade end;	  /* of a crash after the last step */
		uint64_t lost;	  /* acknowledged commits, at most */
	} strict, ext4;		  /* under strict-posix, and under ext4-ordered */
};

struct run {
	struct recorded scenario; /* for its subject */
	const struct script *script;
	struct disk *disk;
	struct trace *t;
	sqlite3 *db;
	uint16_t connection;
};

static void open_database(struct run *r)
{
	char *sql = xasprintf("PRAGMA journal_mode=%s; PRAGMA synchronous=%s; "
			      "PRAGMA wal_autocheckpoint=0",
			      r->script->journal_mode, r->script->synchronous);

	disk_storage(r->disk)->actor = (struct storage_actor){1, 1, ++r->connection};
	assert_int_equal(sqlite3_open(r->scenario.subject->database, &r->db), SQLITE_OK);
	assert_int_equal(sqlite3_extended_result_codes(r->db, 1), SQLITE_OK);
	assert_int_equal(sqlite3_exec(r->db, sql, NULL, NULL, NULL), SQLITE_OK);
	free(sql);
}

static void close_database(struct run *r, bool checkpoint)
{
	if (!checkpoint)
		(void)sqlite3_db_config(r->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	assert_int_equal(sqlite3_close(r->db), SQLITE_OK);
	r->db = NULL;
}

static void rewrite_log(struct run *r)
{
	struct storage *s = disk_storage(r->disk);
	char *path = xasprintf("%s-wal", r->scenario.subject->database);
	uint32_t inode;
	uint64_t size;
	size_t got;
	bool created;

	assert_int_equal(s->ops->open(s, path, false, &inode, &created), 0);
	assert_int_equal(s->ops->size(s, inode, &size), 0);
	uint8_t *data = xmalloc(size);
	assert_int_equal(s->ops->read(s, inode, 0, data, size, &got), 0);
	assert_int_equal(s->ops->write(s, inode, 0, data, size), 0);
	assert_int_equal(s->ops->sync(s, inode, false), 0);
	free(data);
	free(path);
}

static void run_step(struct run *r, const char *step)
{
	if (strncmp(step, ".fail ", 6) == 0) {
		disk_fail_sync(r->disk, 1, step + 6);
	} else if (strcmp(step, ".open") == 0) {
		open_database(r);
	} else if (strcmp(step, ".close") == 0 || strcmp(step, ".die") == 0) {
		close_database(r, strcmp(step, ".close") == 0);
	} else if (strcmp(step, ".rewrite") == 0) {
		rewrite_log(r);
	} else {
		bool fails = strncmp(step, "failed ", 7) == 0;
		int rc = sqlite3_exec(r->db, step + (fails ? 7 : 0), NULL, NULL, NULL);
		if (rc != (fails ? SQLITE_IOERR_FSYNC : SQLITE_OK))
			fail_msg("%s: %s: %d, %s", r->script->name, step, rc,
				 sqlite3_errmsg(r->db));
		if (!fails)
			disk_note(r->disk, OP_ACK, "");
	}
}

/* Runs the script and leaves its trace in r->t. */
static void record_script(const struct script *script, struct run *r)
{
	char *text = xasprintf("-- @scenario failed sync\n"
			       "-- @pragma journal_mode=%s synchronous=%s\n"
			       "-- @client a\n"
			       "CREATE TABLE t(v);\n",
			       script->journal_mode, script->synchronous);

	*r = (struct run){.script = script};
	record_text(text, &r->scenario);
	free(text);
	r->disk = disk_create();
	r->t = trace_create(fi_vfs_default_device(), "test");
	fi_vfs_boot(disk_storage(r->disk), 1, fi_vfs_default_device());
	fi_vfs_call_limit(0);
	open_database(r);
	assert_int_equal(
	    sqlite3_exec(r->db,
			 "CREATE TABLE t(id INTEGER PRIMARY KEY, v);"
			 "CREATE TABLE u(id INTEGER PRIMARY KEY, v);"
			 "INSERT INTO t VALUES (1, 'old'); INSERT INTO u VALUES (1, 'old')",
			 NULL, NULL, NULL),
	    SQLITE_OK);
	close_database(r, true);
	disk_record(r->disk, r->t);
	open_database(r);
	for (size_t i = 0; i < STEPS_MAX && script->steps[i] != NULL; i++)
		run_step(r, script->steps[i]);
	assert_false(disk_fail_sync_pending(r->disk));
	disk_record(r->disk, NULL);
	if (r->db != NULL)
		close_database(r, true);
}

static void run_release(struct run *r)
{
	trace_free(r->t);
	disk_free(r->disk);
	recorded_release(&r->scenario);
}

/* ---- lazily, and by brute force ------------------------------------------------------------ */

/* Goes on after a corrupt state, as brute force does. */
static int examine(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		   const struct choice *choice, enum explore_next *ret_next, struct err *err)
{
	struct lazy_ctx *lazy = ctx;
	int rc = examiner_examine(lazy->examiner, point, disk, choice, ret_next, err);
	struct examined x = examiner_last(lazy->examiner);

	*ret_next = EXPLORE_GO;
	if (rc == 0)
		outcome_add(&lazy->set, x.outcome, x.grade);
	return rc;
}

/* Returns the worst grade at a crash point, which both must find. */
static enum grade compare_point(const struct run *r, const struct trace_index *ix,
				const struct model *model, const struct explore_point *point,
				struct examiner *lazily, struct examiner *brutally)
{
	struct lazy_ctx lazy = {.examiner = lazily};
	struct brute_ctx brute = {.examiner = brutally,
				  .disk = disk_create(),
				  .position = point->position,
				  .promise = point->position};
	struct explore_callbacks callbacks = {.examine = examine, .ctx = &lazy};
	struct explore_stats stats;
	struct err err = ERR_INIT;
	enum grade worst = GRADE_DURABLE;
	uint64_t states;

	explore_stats_init(&stats);
	if (explore(ix, model, point, 1, &callbacks, &stats, &err) != 0)
		fail_msg("%s: %s", r->script->name, err.message);
	assert_true(stats.exhaustive);
	if (enumerate_states(r->t, model, point->position, EQUIVALENCE_STATES_MAX, brute_visit,
			     &brute, &states, &err) != 0)
		fail_msg("%s: %s", r->script->name, err.message);
	if (mpz_cmp_ui(stats.states, states) != 0)
		fail_msg("%s, position %llu: not the %llu states of brute force", r->script->name,
			 (unsigned long long)point->position, (unsigned long long)states);
	outcomes_assert_equal(&lazy.set, &brute.set, r->script->name, point->position);
	for (size_t i = 0; i < lazy.set.count; i++)
		if (lazy.set.items[i].worst < worst)
			worst = lazy.set.items[i].worst;
	explore_stats_release(&stats);
	disk_free(brute.disk);
	free(lazy.set.items);
	free(brute.set.items);
	return worst;
}

static void run_script(const struct script *script, const char *preset,
		       const struct expected *expected)
{
	struct err err = ERR_INIT;
	struct explore_points points;
	struct examiner *lazy, *brute;
	struct trace_index *ix;
	struct model model;
	struct run r;
	enum grade worst = GRADE_DURABLE, end = GRADE_DURABLE;
	uint64_t *extra;
	size_t extra_count;

	record_script(script, &r);
	assert_int_equal(model_find(preset, &model, &err), 0);
	model.seed = 1;
	assert_int_equal(trace_index_build(r.t, &model, &ix, &err), 0);
	if (examiner_create(r.scenario.subject, ix, true, &lazy, &err) != 0 ||
	    examiner_create(r.scenario.subject, ix, true, &brute, &err) != 0)
		fail_msg("%s: %s", script->name, err.message);
	history_points(examiner_history(lazy), &extra, &extra_count);
	explore_points(ix, &model, extra, extra_count, &points);
	for (size_t i = 0; i < points.count; i++) {
		end = compare_point(&r, ix, &model, &points.items[i], lazy, brute);
		worst = end < worst ? end : worst;
	}
	print_message("%s, %s: %s, at the end %s, %llu lost\n", script->name, preset,
		      grade_text(worst), grade_text(end),
		      (unsigned long long)examiner_lost_max(lazy));
	assert_int_equal(worst, expected->worst);
	assert_int_equal(end, expected->end);
	assert_int_equal(examiner_lost_max(lazy), expected->lost);
	free(extra);
	explore_points_release(&points);
	examiner_free(lazy);
	examiner_free(brute);
	trace_index_free(ix);
	run_release(&r);
}

static void run_scripts(const struct script *scripts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		run_script(&scripts[i], "strict-posix", &scripts[i].strict);
		run_script(&scripts[i], "ext4-ordered", &scripts[i].ext4);
	}
}

/* ---- tests --------------------------------------------------------------------------------- */

/* One literal each: clang-tidy takes two in a list of texts for a missing comma. */
#define TEXT(...)    #__VA_ARGS__
#define ADD(n)	     TEXT(INSERT INTO t VALUES(n, 'new'))
#define SET_T	     "UPDATE t SET v = 'newer'"
#define SET_BOTH     "BEGIN; UPDATE t SET v = 'new'; UPDATE u SET v = 'new'; COMMIT"
#define CHECK	     "PRAGMA wal_checkpoint"
#define FAILED_CHECK "failed PRAGMA wal_checkpoint"
#define SAFE                                                                                       \
	{                                                                                          \
		GRADE_DURABLE, GRADE_DURABLE, 0                                                    \
	}

/* [D5] A connection that goes on after a failed commit writes the log's frames again, and one that
 * goes on after a failed checkpoint at FULL has lost nothing that it needs: what it acknowledges is
 * kept. */
static void test_same_connection(void **state)
{
	static const struct script scripts[] = {
	    {"log header",
	     "wal",
	     "full",
	     {".fail -wal", ("failed " ADD(2)), ADD(3), ADD(4)},
	     SAFE,
	     SAFE},
	    {"commit",
	     "wal",
	     "full",
	     {ADD(2), ".fail -wal", ("failed " ADD(3)), ADD(4), ADD(5)},
	     SAFE,
	     SAFE},
	    {"commit of more pages than the next",
	     "wal",
	     "full",
	     {ADD(2), ".fail -wal", ("failed " SET_BOTH), ADD(4), ADD(5)},
	     SAFE,
	     SAFE},
	    {"commit, then a close",
	     "wal",
	     "full",
	     {ADD(2), ".fail -wal", ("failed " ADD(3)), ".close", ".open", ADD(4)},
	     SAFE,
	     SAFE},
	    {"log before a checkpoint",
	     "wal",
	     "full",
	     {ADD(2), ".fail -wal", ("failed " CHECK), ADD(3), CHECK, ADD(4)},
	     SAFE,
	     SAFE},
	    {"database after a checkpoint",
	     "wal",
	     "full",
	     {ADD(2), ".fail .db", ("failed " CHECK), ADD(3), CHECK, ADD(4)},
	     SAFE,
	     SAFE},
	};

	(void)state;
	run_scripts(scripts, sizeof scripts / sizeof scripts[0]);
}

/* [D5] A process that dies after a failed commit leaves the log in the cache. The next one finds
 * the failed transaction committed, and its commits lie behind frames that no sync covers. Writing
 * the log again before it is opened makes good. */
static void test_killed(void **state)
{
	static const struct script scripts[] = {
	    {"killed after a failed commit",
	     "wal",
	     "full",
	     {ADD(2), ".fail -wal", ("failed " ADD(3)), ".die", ".open", ADD(4), ADD(5)},
	     {GRADE_CONSISTENT, GRADE_CONSISTENT, 2},
	     {GRADE_CONSISTENT, GRADE_CONSISTENT, 2}},
	    {"killed after a failed commit, then a checkpoint",
	     "wal",
	     "full",
	     {ADD(2), ".fail -wal", ("failed " SET_BOTH), ".die", ".open", ADD(4), CHECK},
	     {GRADE_TORN, GRADE_TORN, 1},
	     {GRADE_TORN, GRADE_TORN, 1}},
	    {"killed after a failed commit, the log written again",
	     "wal",
	     "full",
	     {ADD(2), ".fail -wal", ("failed " SET_BOTH), ".die", ".rewrite", ".open", ADD(4),
	      CHECK},
	     SAFE,
	     SAFE},
	};

	(void)state;
	run_scripts(scripts, sizeof scripts / sizeof scripts[0]);
}

/* [D5] At NORMAL only a checkpoint syncs the log. When that fails, the next checkpoint overwrites
 * the database although what could repair it is not on the disk, and nobody learns of the failure
 * when SQLite made the checkpoint by itself. */
static void test_normal(void **state)
{
	static const struct script scripts[] = {
	    {"checkpoint at NORMAL, twice",
	     "wal",
	     "normal",
	     {SET_T, SET_BOTH, ".fail -wal", FAILED_CHECK, CHECK},
	     {GRADE_TORN, GRADE_TORN, 2},
	     {GRADE_TORN, GRADE_TORN, 2}},
	    {"checkpoint at NORMAL, twice, and a new log",
	     "wal",
	     "normal",
	     {SET_T, SET_BOTH, ".fail -wal", FAILED_CHECK, CHECK, ADD(3)},
	     {GRADE_TORN, GRADE_CONSISTENT, 2},
	     {GRADE_TORN, GRADE_CONSISTENT, 2}},
	    {"automatic checkpoint at NORMAL, twice",
	     "wal",
	     "normal",
	     {SET_T, "PRAGMA wal_autocheckpoint=1", ".fail -wal", SET_BOTH, ADD(3)},
	     {GRADE_TORN, GRADE_TORN, 2},
	     {GRADE_TORN, GRADE_TORN, 2}},
	    {"database after a checkpoint at NORMAL",
	     "wal",
	     "normal",
	     {SET_BOTH, ".fail .db", FAILED_CHECK, CHECK},
	     {GRADE_CONSISTENT, GRADE_DURABLE, 1},
	     {GRADE_CONSISTENT, GRADE_DURABLE, 1}},
	};

	(void)state;
	run_scripts(scripts, sizeof scripts / sizeof scripts[0]);
}

/* The sync of the directory that follows the first one of a log or journal is not checked by
 * os_unix, and not made again: the file is not there after a power loss, unless its own sync keeps
 * its name. */
static void test_directory(void **state)
{
	static const struct script scripts[] = {
	    {"directory of the log",
	     "wal",
	     "full",
	     {".fail /db", ADD(2), ADD(3)},
	     {GRADE_CONSISTENT, GRADE_CONSISTENT, 2},
	     SAFE},
	    {"directory of the log, then a checkpoint",
	     "wal",
	     "full",
	     {".fail /db", SET_BOTH, CHECK},
	     {GRADE_TORN, GRADE_DURABLE, 1},
	     SAFE},
	    {"directory of the journal",
	     "delete",
	     "extra",
	     {".fail /db", SET_BOTH, ADD(3)},
	     {GRADE_TORN, GRADE_DURABLE, 0},
	     SAFE},
	};

	(void)state;
	run_scripts(scripts, sizeof scripts / sizeof scripts[0]);
}

/* With a rollback journal, whichever file's sync fails, the rollback writes again what the database
 * had, and the next transaction its journal. */
static void test_journal(void **state)
{
	static const struct script scripts[] = {
	    {"journal",
	     "delete",
	     "extra",
	     {".fail -journal", ("failed " SET_BOTH), ADD(3)},
	     SAFE,
	     SAFE},
	    {"database, with a journal",
	     "delete",
	     "extra",
	     {".fail .db", ("failed " SET_BOTH), ADD(3)},
	     SAFE,
	     SAFE},
	    {"journal that stays",
	     "persist",
	     "extra",
	     {ADD(2), ".fail -journal", ("failed " SET_BOTH), ADD(3)},
	     SAFE,
	     SAFE},
	    {"database, with a journal that stays",
	     "persist",
	     "extra",
	     {ADD(2), ".fail .db", ("failed " SET_BOTH), ADD(3)},
	     SAFE,
	     SAFE},
	};

	(void)state;
	run_scripts(scripts, sizeof scripts / sizeof scripts[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_same_connection), cmocka_unit_test(test_killed),
	    cmocka_unit_test(test_normal),	    cmocka_unit_test(test_directory),
	    cmocka_unit_test(test_journal),
	};
	struct err err = ERR_INIT;

	observer_configure();
	assert_int_equal(fi_vfs_register(&err), 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
