/*
 * pp_run(), from inside one program: small applications, sound ones and ones that lose something,
 * and everything that a test can do wrong. That the installed library can be linked is tested by
 * library_test.py.
 */
#include "harness/library/pp_run.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* An application with one table, and how it is set. */
struct app {
	const char *pragmas;
	unsigned commits;
	unsigned acks; /* pp_ack() after so many of them, and a checkpoint; 0: never */
	int setup_answer, work_answer;
	bool leave_open;
	unsigned checks; /* calls of its check, in this process */
	sqlite3 *left;
};

static int sql(sqlite3 *db, const char *text)
{
	return sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : 1;
}

static int open_app(const struct app *a, sqlite3 **ret_db)
{
	if (sqlite3_open("app.db", ret_db) != SQLITE_OK)
		return 1;
	return a->pragmas == NULL ? 0 : sql(*ret_db, a->pragmas);
}

static int close_app(sqlite3 *db, int rc)
{
	return sqlite3_close(db) == SQLITE_OK ? rc : 1;
}

static int setup(void *ctx)
{
	const struct app *a = ctx;
	sqlite3 *db = NULL;
	int rc = open_app(a, &db);

	if (rc == 0)
		rc = sql(db, "CREATE TABLE account(name TEXT PRIMARY KEY, money INT);"
			     "INSERT INTO account VALUES('a', 100), ('b', 100)");
	return close_app(db, rc != 0 ? rc : a->setup_answer);
}

#define FROM_A "UPDATE account SET money = money - 10 WHERE name = 'a';"
#define TO_B   "UPDATE account SET money = money + 10 WHERE name = 'b';"

static int work(void *ctx)
{
	struct app *a = ctx;
	sqlite3 *db = NULL;
	int rc = open_app(a, &db);

	for (unsigned i = 0; i < a->commits && rc == 0; i++) {
		rc = sql(db, "BEGIN;" FROM_A TO_B "COMMIT");
		if (rc == 0 && i + 1 == a->acks) {
			rc = sql(db, "PRAGMA wal_checkpoint(FULL)");
			pp_ack();
		}
	}
	if (a->leave_open) {
		a->left = db;
		return 0;
	}
	return close_app(db, rc != 0 ? rc : a->work_answer);
}

/* The two halves of a transfer are two commits. */
static int work_in_halves(void *ctx)
{
	const struct app *a = ctx;
	sqlite3 *db = NULL;
	int rc = open_app(a, &db);

	if (rc == 0)
		rc = sql(db, FROM_A) || sql(db, TO_B);
	return close_app(db, rc);
}

static int work_on_nothing(void *ctx)
{
	(void)ctx;
	return 0;
}

static int read_only(void *ctx)
{
	const struct app *a = ctx;
	sqlite3 *db = NULL;
	int rc = open_app(a, &db);

	return close_app(db, rc != 0 ? rc : sql(db, "SELECT * FROM account"));
}

static int64_t ask(sqlite3 *db, const char *text)
{
	sqlite3_stmt *stmt = NULL;
	int64_t answer = -1;

	if (sqlite3_prepare_v2(db, text, -1, &stmt, NULL) == SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW)
		answer = sqlite3_column_int64(stmt, 0);
	(void)sqlite3_finalize(stmt);
	return answer;
}

/* No money comes or goes. It writes, as an application does at its start. */
static int check(void *ctx, char *message, size_t size)
{
	struct app *a = ctx;
	sqlite3 *db = NULL;
	int rc = open_app(a, &db);
	int64_t sum = -1;

	a->checks++;
	if (rc == 0)
		rc = sql(db, "CREATE TABLE IF NOT EXISTS started(at TEXT);"
			     "INSERT INTO started VALUES(datetime('now'))");
	if (rc == 0)
		sum = ask(db, "SELECT sum(money) FROM account");
	if (sum != 200)
		(void)snprintf(message, size, "there is %lld in all", (long long)sum);
	return close_app(db, rc != 0 || sum != 200);
}

/* The same, with everything left open where it objects. */
static int check_gives_up(void *ctx, char *message, size_t size)
{
	struct app *a = ctx;
	sqlite3 *db = NULL;
	sqlite3_stmt *stmt = NULL;

	if (open_app(a, &db) != 0 || ask(db, "SELECT sum(money) FROM account") != 200) {
		(void)sqlite3_prepare_v2(db, "SELECT * FROM account", -1, &stmt, NULL);
		(void)sqlite3_step(stmt);
		(void)snprintf(message, size, "gave up");
		return 1;
	}
	return close_app(db, 0);
}

static int check_leaves_open(void *ctx, char *message, size_t size)
{
	sqlite3 *db = NULL;

	(void)message;
	(void)size;
	return open_app(ctx, &db);
}

static int check_never_content(void *ctx, char *message, size_t size)
{
	(void)ctx;
	(void)message;
	(void)size;
	return 7;
}

/* How often that was called, in all processes. */
static _Atomic unsigned *reads_of_log;

/* Looks where SQLite does not: at all of the log, also behind its end. */
static int check_reads_log(void *ctx, char *message, size_t size)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	sqlite3_file *file = calloc(1, (size_t)vfs->szOsFile);
	char *path = calloc(1, (size_t)vfs->mxPathname + 1);
	sqlite3_int64 end = 0;
	unsigned char page[4096];
	unsigned sum = 0;

	(void)ctx;
	(void)message;
	(void)size;
	(*reads_of_log)++;
	(void)vfs->xFullPathname(vfs, "app.db-wal", vfs->mxPathname, path);
	if (vfs->xOpen(vfs, path, file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_WAL, NULL) ==
	    SQLITE_OK) {
		(void)file->pMethods->xFileSize(file, &end);
		for (sqlite3_int64 at = 0; at < end; at += (sqlite3_int64)sizeof page) {
			memset(page, 0, sizeof page);
			(void)file->pMethods->xRead(file, page, (int)sizeof page, at);
			for (size_t i = 0; i < sizeof page; i++)
				sum += page[i];
		}
		(void)file->pMethods->xClose(file);
	}
	free(path);
	free(file);
	return sum == 1; /* which it never is */
}

/* A reader that does not expect the state between the two halves. */
static int check_crashes(void *ctx, char *message, size_t size)
{
	sqlite3 *db = NULL;
	int rc = open_app(ctx, &db);

	(void)message;
	(void)size;
	if (rc == 0 && ask(db, "SELECT sum(money) FROM account") != 200 && getpid() != getppid())
		rc = 1;
	rc = close_app(db, rc);
	if (rc != 0 && getenv("TEST_PARENT") != NULL && atoi(getenv("TEST_PARENT")) != getpid())
		raise(SIGSEGV);
	return 0;
}

/* Runs in a folder of its own: case files go to .plugpull/cases. */
static struct pp_result run(pp_step_fn *w, pp_check_fn *c, struct app *a, struct pp_options options)
{
	struct pp_result result = {.findings = 77};

	options.result = &result;
	if (options.jobs == 0)
		options.jobs = 2;
	int answer = pp_run(setup, w, c, a, &options);
	assert_int_equal(answer, result.verdict);
	return result;
}

static const struct pp_options standard;
static const char wal_normal[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL";
/* With FULL the deletion of the journal, which is the commit, is not synced. */
static const char extra[] = "PRAGMA synchronous=EXTRA";

/* A program that syncs before COMMIT returns keeps every commit: held, exhaustive, durable. */
static void test_durable(void **state)
{
	struct app a = {.pragmas = extra, .commits = 3};
	struct pp_result r = run(work, check, &a, standard);

	(void)state;
	assert_string_equal(r.message, "");
	assert_int_equal(r.verdict, PP_HELD);
	assert_int_equal(r.grade, PP_DURABLE);
	assert_true(r.exhaustive);
	assert_int_equal(r.commits, 3);
	assert_int_equal(r.lost, 0);
	assert_int_equal(r.findings, 0);
	assert_string_equal(r.token, "");
	assert_true(r.crash_points > 10 && r.recoveries > r.crash_points);
	assert_true(atoll(r.states) > 100);
	assert_true(a.checks >= 2);
}

/* A program that does not loses commits, which is violated where durable is required, and held
 * where consistent is. */
static void test_losing(void **state)
{
	struct app a = {.pragmas = wal_normal, .commits = 3};
	struct pp_result r = run(work, check, &a, standard);

	(void)state;
	assert_int_equal(r.verdict, PP_VIOLATED);
	assert_int_equal(r.grade, PP_CONSISTENT);
	assert_int_equal(r.lost, 3);
	assert_string_equal(r.oracle, "history");
	assert_true(strncmp(r.token, "pp1-", 4) == 0);
	assert_non_null(strstr(r.message, "acknowledged"));
	r = run(work, check, &a, (struct pp_options){.require = PP_CONSISTENT});
	assert_int_equal(r.verdict, PP_HELD);
	assert_int_equal(r.lost, 3);
}

/* Only what pp_ack() promised has to be there, once it is called at all. */
static void test_ack(void **state)
{
	struct app a = {.pragmas = wal_normal, .commits = 3, .acks = 2};
	struct pp_result r = run(work, check, &a, standard);

	(void)state;
	assert_string_equal(r.message, "");
	assert_int_equal(r.verdict, PP_HELD);
	assert_int_equal(r.grade, PP_DURABLE);
	pp_ack(); /* outside of work it does nothing */
}

/* What no oracle can know, check finds: a transfer in two commits. Its words are in the result. */
static void test_check_objects(void **state)
{
	struct app a = {.pragmas = extra};
	struct pp_result r = run(work_in_halves, NULL, &a, standard);

	(void)state;
	assert_int_equal(r.verdict, PP_HELD);
	r = run(work_in_halves, check, &a, standard);
	assert_int_equal(r.verdict, PP_VIOLATED);
	assert_int_equal(r.grade, PP_CORRUPT);
	assert_string_equal(r.oracle, "own-check");
	assert_non_null(strstr(r.message, "there is 190 in all"));
}

/* A check that gives up in the middle, with a statement and a connection open, is one that objects.
 */
static void test_check_gives_up(void **state)
{
	struct app a = {.pragmas = extra};
	struct pp_result r = run(work_in_halves, check_gives_up, &a, standard);

	(void)state;
	assert_int_equal(r.verdict, PP_VIOLATED);
	assert_string_equal(r.oracle, "own-check");
	assert_non_null(strstr(r.message, "gave up"));
}

/* A check that looks at what no recovery and no observer looked at is asked about every state of
 * that, too: nothing is taken for seen. */
static void test_check_strays(void **state)
{
	struct app a = {.pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
			.commits = 3};
	struct pp_result plain = run(work, check, &a, standard), r;

	(void)state;
	reads_of_log = mmap(NULL, sizeof *reads_of_log, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(reads_of_log != MAP_FAILED);
	r = run(work, check_reads_log, &a, standard);
	assert_int_equal(plain.verdict, PP_HELD);
	assert_string_equal(r.message, "");
	assert_int_equal(r.verdict, PP_HELD);
	assert_true(r.exhaustive);
	assert_string_equal(r.states, plain.states);
	assert_true(r.recoveries > plain.recoveries);
	assert_true(*reads_of_log > r.recoveries);
}

/* A check that crashes ends no test: it is a finding, which says that check did not return. */
static void test_check_crashes(void **state)
{
	struct app a = {.pragmas = extra};
	char parent[32];

	(void)state;
	(void)snprintf(parent, sizeof parent, "%ld", (long)getpid());
	assert_int_equal(setenv("TEST_PARENT", parent, 1), 0);
	struct pp_result r = run(work_in_halves, check_crashes, &a, standard);
	assert_int_equal(r.verdict, PP_VIOLATED);
	assert_string_equal(r.oracle, "recovery");
	assert_non_null(strstr(r.message, "SIGSEGV"));
	assert_non_null(strstr(r.message, "check did not return"));
	assert_int_equal(unsetenv("TEST_PARENT"), 0);
}

static void assert_bad_use(struct pp_result r, const char *says)
{
	if (r.verdict != PP_BAD_USE || strstr(r.message, says) == NULL)
		fail_msg("verdict %d: '%s' lacks '%s'", (int)r.verdict, r.message, says);
	assert_int_equal(r.grade, PP_NO_GRADE);
	assert_int_equal(r.findings, 0);
}

/* A check that objects without any crash, or leaves something open there, is the test's mistake. */
static void test_check_is_wrong(void **state)
{
	struct app a = {.pragmas = extra, .commits = 1};

	(void)state;
	assert_bad_use(run(work, check_never_content, &a, standard), "beginning");
	assert_bad_use(run(work, check_never_content, &a, standard), "returned 7");
	assert_bad_use(run(work, check_leaves_open, &a, standard), "left 1 connection open");
}

/* What fails, opens nothing or leaves something open is said, and the next run works. */
static void test_bad_steps(void **state)
{
	struct app a = {.commits = 1, .setup_answer = 3};
	struct pp_result r;

	(void)state;
	assert_bad_use(run(work, check, &a, standard), "setup failed: it returned 3");
	a = (struct app){.commits = 1, .work_answer = 4};
	assert_bad_use(run(work, check, &a, standard), "work failed: it returned 4");
	assert_bad_use(run(NULL, check, &a, standard), "work is NULL");
	assert_int_equal(
	    pp_run(NULL, work_on_nothing, NULL, NULL, &(struct pp_options){.result = &r}),
	    PP_BAD_USE);
	assert_bad_use(r, "wrote to no database");
	a = (struct app){.pragmas = extra, .commits = 1};
	r = run(read_only, NULL, &a, standard);
	assert_int_equal(r.verdict, PP_INCONCLUSIVE);
	assert_non_null(strstr(r.message, "wrote nothing"));
	assert_int_equal(run(work, check, &a, standard).verdict, PP_HELD);
}

/* Connections that work left open can still be closed; until then nothing runs. */
static void test_left_open(void **state)
{
	struct app a = {.commits = 1, .leave_open = true};

	(void)state;
	assert_bad_use(run(work, check, &a, standard), "work left 1 file open");
	sqlite3 *left = a.left;
	a = (struct app){.pragmas = extra, .commits = 1};
	assert_bad_use(run(work, check, &a, standard), "still open");
	assert_int_equal(ask(left, "SELECT sum(money) FROM account"), 200);
	assert_int_equal(sqlite3_close(left), SQLITE_OK);
	assert_int_equal(run(work, check, &a, standard).verdict, PP_HELD);
}

/* Options that mean nothing are refused by name. */
static void test_bad_options(void **state)
{
	struct app a = {.pragmas = extra, .commits = 1};

	(void)state;
	assert_bad_use(run(work, check, &a, (struct pp_options){.model = "floppy"}),
		       "options->model");
	assert_bad_use(run(work, check, &a, (struct pp_options){.name = "a@b"}), "options->name");
	assert_bad_use(run(work, check, &a, (struct pp_options){.require = (enum pp_grade)9}),
		       "options->require");
	assert_bad_use(run(work, check, &a, (struct pp_options){.require = PP_NO_GRADE}),
		       "options->require");
	assert_bad_use(run(work, check, &a, (struct pp_options){.jobs = 1000}), "options->jobs");
	assert_bad_use(run(work, check, &a, (struct pp_options){.report = "/proc"}), "/proc");
	assert_bad_use(run(work, check, &a, (struct pp_options){.token = "pp1-nothing"}),
		       "options->token");
}

/* A budget ends it, and then it is not held. */
static void test_budget(void **state)
{
	struct app a = {.pragmas = extra, .commits = 3};
	struct pp_result r =
	    run(work, check, &a, (struct pp_options){.recoveries_max = 20, .jobs = 1});

	(void)state;
	assert_int_equal(r.verdict, PP_INCONCLUSIVE);
	assert_int_equal(r.recoveries, 20);
	assert_non_null(strstr(r.message, "budget spent"));
}

static int calls_itself(void *ctx)
{
	struct pp_result r;

	(void)pp_run(NULL, work_on_nothing, NULL, NULL, &(struct pp_options){.result = &r});
	assert_bad_use(r, "running already");
	return work(ctx);
}

/* pp_run() inside of work is refused, and work goes on. */
static void test_nested(void **state)
{
	struct app a = {.pragmas = extra, .commits = 1};

	(void)state;
	assert_int_equal(run(calls_itself, check, &a, standard).verdict, PP_HELD);
}

static int setup_two(void *ctx)
{
	sqlite3 *db = NULL;

	(void)ctx;
	if (sqlite3_open("one.db", &db) != SQLITE_OK)
		return 1;
	return close_app(db, sql(db, "ATTACH 'two.db' AS two; CREATE TABLE a(n);"
				     "CREATE TABLE two.b(n)"));
}

/* One transaction over both. */
static int work_attached(void *ctx)
{
	const char *pragmas = ctx;
	sqlite3 *db = NULL;

	if (sqlite3_open("one.db", &db) != SQLITE_OK)
		return 1;
	return close_app(db, sql(db, "ATTACH 'two.db' AS two") || sql(db, pragmas) ||
				 sql(db, "BEGIN; INSERT INTO a VALUES(1);"
					 "INSERT INTO two.b VALUES(1); COMMIT"));
}

/* Two connections, whose transactions overlap and have nothing to do with each other. */
static int work_apart(void *ctx)
{
	sqlite3 *one = NULL, *two = NULL;
	int rc = sqlite3_open("one.db", &one) || sqlite3_open("two.db", &two) || sql(one, extra) ||
		 sql(two, extra);

	(void)ctx;
	for (int i = 0; i < 2 && rc == 0; i++)
		rc = sql(one, "BEGIN; INSERT INTO a VALUES(1)") ||
		     sql(two, "BEGIN; INSERT INTO b VALUES(1)") || sql(one, "COMMIT") ||
		     sql(two, "COMMIT");
	rc = close_app(one, rc);
	return close_app(two, rc);
}

static int check_two(void *ctx, char *message, size_t size)
{
	sqlite3 *db = NULL;
	int rc = sqlite3_open("one.db", &db) || sql(db, "ATTACH 'two.db' AS two");
	int64_t a = ask(db, "SELECT count(*) FROM a"), b = ask(db, "SELECT count(*) FROM two.b");

	(void)ctx;
	if (a != b)
		(void)snprintf(message, size, "%lld here, %lld there", (long long)a, (long long)b);
	return close_app(db, rc != 0 || a != b);
}

static struct pp_result run_two(pp_step_fn *w, pp_check_fn *c, const char *pragmas)
{
	struct pp_result r;

	(void)pp_run(setup_two, w, c, (void *)(uintptr_t)pragmas,
		     &(struct pp_options){.result = &r, .name = "two"});
	return r;
}

/* Two databases are judged as one where they were one transaction, and check sees both. */
static void test_two_databases(void **state)
{
	(void)state;
	assert_int_equal(run_two(work_attached, check_two, "").verdict, PP_HELD);
	struct pp_result r = run_two(work_attached, check_two,
				     "PRAGMA main.journal_mode=WAL; PRAGMA two.journal_mode=WAL");
	assert_int_equal(r.verdict, PP_VIOLATED);
	assert_string_equal(r.oracle, "own-check");
	assert_non_null(strstr(r.message, "1 here, 0 there"));
	r = run_two(work_attached, NULL,
		    "PRAGMA main.journal_mode=WAL; PRAGMA two.journal_mode=WAL");
	assert_int_equal(r.grade, PP_TORN);
}

/* Two connections of one thread are not taken for one. */
static void test_two_connections(void **state)
{
	struct pp_result r = run_two(work_apart, NULL, "");

	(void)state;
	assert_string_equal(r.message, "");
	assert_int_equal(r.verdict, PP_HELD);
	assert_int_equal(r.commits, 4);
}

/* A token asks about its one state: violated as long as the check objects, held when it does not,
 * and other tests are not concerned. */
static void test_token(void **state)
{
	struct app a = {.pragmas = extra};
	struct pp_options halves = {.name = "halves"};
	struct pp_result r = run(work_in_halves, check, &a, halves), again;

	(void)state;
	assert_int_equal(r.verdict, PP_VIOLATED);
	assert_int_equal(setenv("PLUGPULL_TOKEN", r.token, 1), 0);
	again = run(work_on_nothing, check, &a, halves);
	assert_int_equal(again.verdict, PP_VIOLATED);
	assert_string_equal(again.message, r.message);
	assert_string_equal(again.token, r.token);
	assert_int_equal(again.recoveries, 1);
	again = run(work_on_nothing, NULL, &a, halves);
	assert_int_equal(again.verdict, PP_HELD);
	assert_non_null(strstr(again.message, "gone"));
	again = run(work_in_halves, check, &a, (struct pp_options){.name = "others"});
	assert_int_equal(again.verdict, PP_VIOLATED);
	assert_true(again.recoveries > 1);
	assert_int_equal(unsetenv("PLUGPULL_TOKEN"), 0);
	again = run(work, check, &a, (struct pp_options){.name = "others", .token = r.token});
	assert_bad_use(again, "options->token");
}

/* A report is written where it was asked for, the same bytes each time. */
static void test_report(void **state)
{
	struct app a = {.pragmas = wal_normal, .commits = 1};
	struct pp_options options = {.name = "report", .report = "report"};
	char text[2][65536] = {{0}};

	(void)state;
	for (int i = 0; i < 2; i++) {
		options.jobs = (unsigned)i + 1;
		assert_int_equal(run(work, check, &a, options).verdict, PP_VIOLATED);
		FILE *f = fopen("report/result.json", "r");
		assert_non_null(f);
		assert_true(fread(text[i], 1, sizeof text[i] - 1, f) > 100);
		(void)fclose(f);
	}
	assert_string_equal(text[0], text[1]);
	assert_non_null(strstr(text[0], "report@strict-posix"));
}

/* A real connection is as it was, the default VFS too, and nothing reached a real file. */
static void test_leaves_sqlite_alone(void **state)
{
	struct app a = {.pragmas = extra, .commits = 1};
	sqlite3_vfs *before = sqlite3_vfs_find(NULL);
	struct sigaction chld = {.sa_handler = SIG_IGN}, after;
	sqlite3 *db = NULL;
	int64_t random[2];

	(void)state;
	assert_int_equal(sigaction(SIGCHLD, &chld, NULL), 0);
	assert_int_equal(sqlite3_open("real.db", &db), SQLITE_OK);
	assert_int_equal(sql(db, "CREATE TABLE t(n); BEGIN; INSERT INTO t VALUES(1)"), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(run(work, check, &a, standard).verdict, PP_HELD);
		sqlite3_randomness(sizeof random[i], &random[i]);
	}
	assert_int_equal(sql(db, "COMMIT"), 0);
	assert_int_equal(ask(db, "SELECT count(*) FROM t"), 1);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_int_equal(access("real.db", F_OK), 0);
	assert_int_not_equal(access("app.db", F_OK), 0);
	assert_ptr_equal(sqlite3_vfs_find(NULL), before);
	assert_null(sqlite3_vfs_find("plugpull"));
	assert_true(random[0] != random[1]);
	assert_int_equal(sigaction(SIGCHLD, NULL, &after), 0);
	assert_true(after.sa_handler == SIG_IGN);
	(void)signal(SIGCHLD, SIG_DFL);
}

/* Each grade has its word. */
static void test_words(void **state)
{
	(void)state;
	assert_string_equal(pp_grade_text(PP_DURABLE), "durable");
	assert_string_equal(pp_grade_text(PP_CORRUPT), "corrupt");
	assert_null(pp_grade_text(PP_NO_GRADE));
	assert_int_equal(strspn(pp_version(), "0123456789."), strlen(pp_version()));
}

static int enter_folder(void **state)
{
	static char folder[] = "/tmp/plugpull-pp-run-XXXXXX";

	if (mkdtemp(folder) == NULL || chdir(folder) != 0)
		return -1;
	*state = folder;
	return 0;
}

static int leave_folder(void **state)
{
	char command[128];

	(void)snprintf(command, sizeof command, "rm -rf '%s'", (const char *)*state);
	return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_durable),
	    cmocka_unit_test(test_losing),
	    cmocka_unit_test(test_ack),
	    cmocka_unit_test(test_check_objects),
	    cmocka_unit_test(test_check_gives_up),
	    cmocka_unit_test(test_check_strays),
	    cmocka_unit_test(test_check_crashes),
	    cmocka_unit_test(test_check_is_wrong),
	    cmocka_unit_test(test_bad_steps),
	    cmocka_unit_test(test_left_open),
	    cmocka_unit_test(test_bad_options),
	    cmocka_unit_test(test_budget),
	    cmocka_unit_test(test_nested),
	    cmocka_unit_test(test_two_databases),
	    cmocka_unit_test(test_two_connections),
	    cmocka_unit_test(test_token),
	    cmocka_unit_test(test_report),
	    cmocka_unit_test(test_leaves_sqlite_alone),
	    cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
