/*
 * pp_run.h: a durability test of your own code, in C, under any test framework. C99 and C++.
 *
 *     static int setup(void *ctx) { ... create the tables in "app.db" ... }
 *     static int work(void *ctx)  { ... what must survive a power loss ... }
 *     static int check(void *ctx, char *message, size_t size) { ... is "app.db" all right? ... }
 *
 *     struct pp_result result;
 *     struct pp_options options = {.name = "orders", .result = &result};
 *     if (pp_run(setup, work, check, NULL, &options) != PP_HELD)
 *             puts(result.message);
 *
 * Link with `pkg-config --libs plugpull` and with the SQLite that your code uses.
 *
 * What happens. As long as pp_run() runs, SQLite's default VFS is a simulated disk that is empty at
 * the start: sqlite3_open("app.db") opens a database there, and nothing on a real disk is touched.
 * Your code needs no change, unless it names a VFS ("unix") itself.
 *
 *     setup   makes the databases. When it returns, all of it is safe on the platter.
 *     work    runs once, and everything that SQLite does for it is recorded.
 *     then    for each moment of work, and each state of the disk that a power loss at that moment
 *             could have left: SQLite recovers, and plugpull looks whether the databases are whole,
 *             whether they are in a state in which they ever were, and whether every commit that
 *             was promised is there.
 *     check   looks at each recovered state that is different: it opens the database as your
 *             application does at its start, and says whether something is wrong.
 *
 * A commit counts as promised when COMMIT returns (SQLite lets go of its write lock). Code that
 * promises later, and only some commits, says so itself with pp_ack(), and then that alone counts.
 * SQLite's own standard, a rollback journal with synchronous=FULL, does not keep that promise on
 * the standard model: COMMIT deletes the journal, and only EXTRA syncs the folder.
 *
 * Rules. setup, work and check
 *   - return: they must not be left by longjmp(), a C++ exception, or an assertion of a test
 *     framework that jumps (cmocka's do). Return what is wrong, and assert on pp_run()'s result.
 *   - close every connection that they opened before they return.
 *   - use SQLite from the thread that called pp_run() only. While pp_run() runs no other thread of
 *     the process may use SQLite.
 *   - may write to databases freely. Other files that they touch are real, and no crash loses them.
 *
 * check runs hundreds of times, many of them in forked processes whose standard output goes to
 * /dev/null; only the token's run (below) shows it. It must be a function of the databases: not of
 * time, of other files, of how far work had got, or of what it was called with before. When it
 * objects to what setup left, or to what work left at its end, the test is wrong, and pp_run()
 * returns PP_BAD_USE; to a state between two commits of work, a crash leads. Which commits may be
 * missing is not its business: plugpull knows. What it says must not be secret: it is shown, also
 * without show_data. Of a check that crashes, hangs or ends its process the finding is one of the
 * oracle "recovery". It sees no state that SQLite could not open and read: that is a finding
 * already.
 *
 * Debugging. A finding has a token and a case file, in the folder .plugpull/cases. `plugpull replay
 * TOKEN` shows the state again, without your code. With PLUGPULL_TOKEN=TOKEN in the environment (or
 * options->token) the pp_run() whose name is that of the token asks check about this one state
 * alone, work does not run, and output is shown; so gdb can look (set follow-fork-mode child).
 * Names should differ from test to test for that reason. A finding that is gone ends with PP_HELD.
 *
 * Afterwards the default VFS is what it was, and so are connections that were open before.
 * SQLite's random numbers start anew. pp_run() may be called any number of times, one at a time.
 * SIGCHLD is at its default while children run.
 */
#ifndef PLUGPULL_PP_RUN_H
#define PLUGPULL_PP_RUN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PP_API __attribute__((visibility("default")))
#else
#define PP_API
#endif

/* The numbers are those of plugpull's exit codes. */
enum pp_verdict {
	PP_HELD = 0,
	PP_VIOLATED = 1,     /* something that was promised is not kept */
	PP_BAD_USE = 2,	     /* of pp_run(), or a setup, work or check that failed */
	PP_BROKEN = 3,	     /* plugpull failed */
	PP_INCONCLUSIVE = 4, /* the budget is spent, or there was nothing to lose */
};

enum pp_grade {
	PP_STANDARD = 0, /* of options->require: durable */
	PP_CORRUPT,	 /* cannot be opened or read, or check objects */
	PP_TORN,	 /* a state that never existed */
	PP_CONSISTENT,	 /* always a state that existed, but promised commits can be missing */
	PP_DURABLE,	 /* every promised commit is there */
	PP_NO_GRADE,	 /* of a result: nothing was judged */
};

enum {
	PP_STATES_SIZE = 32,
	PP_ORACLE_SIZE = 32,
	PP_MESSAGE_SIZE = 512,
	PP_TOKEN_SIZE = 128,
};

struct pp_result {
	enum pp_verdict verdict;
	enum pp_grade grade; /* the worst of all states */
	int exhaustive;	     /* 1: every state of every moment was covered */
	uint64_t crash_points, recoveries;
	char states[PP_STATES_SIZE]; /* how many there are: "1044", or "1.2e29" */
	uint64_t commits;	     /* of work */
	uint64_t lost;		     /* the most promised commits that one power loss can cost */
	uint64_t findings;
	/* Of the worst finding; "" without one. */
	char oracle[PP_ORACLE_SIZE];
	char token[PP_TOKEN_SIZE];
	char message[PP_MESSAGE_SIZE]; /* the finding, or what is wrong otherwise; "" = nothing */
};

/* Zero is the standard everywhere. */
struct pp_options {
	const char *name;	  /* of the test, in reports and tokens: "pp_run" */
	enum pp_grade require;	  /* the worst grade that holds: PP_DURABLE */
	const char *model;	  /* of the disk, see `plugpull list models`: "strict-posix" */
	uint64_t seed;		  /* everything random is drawn from it: 1 */
	uint64_t recoveries_max;  /* then it ends, inconclusive: no bound */
	unsigned jobs;		  /* processes that explore, at most 255: one for each processor */
	const char *report;	  /* folder for a report; must not exist, or be one: none */
	const char *cases;	  /* folder of case files without a report: ".plugpull/cases" */
	const char *token;	  /* asks about one state again: $PLUGPULL_TOKEN, or all states */
	int show_data;		  /* 1: messages show row values, not their types and sizes */
	struct pp_result *result; /* filled whatever happens; NULL: nobody wants to know */
};

/* 0, or anything else when it failed. */
typedef int pp_step_fn(void *ctx);
/* 0: all is well. Otherwise what is wrong stands in `message`, which has `size` bytes and is "" at
 * the call; what does not fit is cut. */
typedef int pp_check_fn(void *ctx, char *message, size_t size);

/* `setup` and `check` may be NULL; so may `options`. Everything is borrowed for the call. Returns
 * result->verdict. */
PP_API int pp_run(pp_step_fn *setup, pp_step_fn *work, pp_check_fn *check, void *ctx,
		  const struct pp_options *options);

/* In work: whatever was committed until now is promised. Elsewhere, nothing. */
PP_API void pp_ack(void);

/* "0.1.0"; "durable", or NULL for PP_NO_GRADE. Static texts. */
PP_API const char *pp_version(void);
PP_API const char *pp_grade_text(enum pp_grade grade);

#ifdef __cplusplus
}
#endif

#endif
