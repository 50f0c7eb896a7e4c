/*
 * plugpull: the command line. Options come from one table (options.h); each command is a file
 * cmd_*.c. This folder alone prints.
 */
#include "harness/cli/command.h"

#include "harness/case/version.h"
#include "harness/drive/kill.h"
#include "harness/drive/observe.h"
#include "reports/words.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Set while the program runs with the library that --sqlite named. */
#define SQLITE_CHOSEN "PLUGPULL_SQLITE_CHOSEN"

static volatile sig_atomic_t interrupted;
static struct timespec interrupted_at;

/* What is known is still to be printed and written, which takes a moment, and some tools send a
 * signal twice (timeout(1): to the process, and to its group). A second Ctrl-C, a second later or
 * more, is meant. */
static void on_interrupt(int signal_number)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	if (!interrupted) {
		interrupted = 1;
		interrupted_at = now;
	} else if (signal_number == SIGINT && now.tv_sec - interrupted_at.tv_sec >= 1) {
		(void)signal(SIGINT, SIG_DFL);
		(void)raise(SIGINT);
	}
}

void cli_catch_interrupts(void)
{
	struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};

	(void)sigemptyset(&action.sa_mask);
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	if (signal(SIGHUP, SIG_IGN) != SIG_IGN) /* nohup(1) stays what it is */
		(void)sigaction(SIGHUP, &action, NULL);
}

bool cli_interrupted(void *ctx)
{
	(void)ctx;
	return interrupted != 0;
}

int cli_fail(const struct err *err)
{
	struct buf line;

	/* Messages quote files and SQL: one line, and nothing that a terminal would obey. */
	buf_init(&line);
	words_clean(&line, err->message);
	fprintf(stderr, "plugpull: %s\n", buf_str(&line));
	buf_release(&line);
	return err_exit_code(err->code);
}

/* What the oldest library has that runs (SQLITE_NUMBER_MIN), of what a build of SQLite may leave
 * out. The loader would take a function that is not there from the library that we were linked
 * with, and one SQLite's objects are no other's. What is younger than SQLITE_NUMBER_MIN is called
 * behind a look at the library's number. */
static const char *const needed[] = {
    "sqlite3_load_extension", "sqlite3_progress_handler",   "sqlite3_set_authorizer",
    "sqlite3_complete",	      "sqlite3_compileoption_used",
};

static int check_library(void *library, const char *path, struct err *err)
{
	const char *(*version)(void);
	int (*number)(void);

	*(void **)&version = dlsym(library, "sqlite3_libversion");
	*(void **)&number = dlsym(library, "sqlite3_libversion_number");
	if (version == NULL || number == NULL)
		return err_set(err, ERR_USAGE, "option --sqlite: %s is no SQLite library", path);
	if (number() < SQLITE_NUMBER_MIN)
		return err_set(err, ERR_USAGE,
			       "option --sqlite: %s is SQLite %s; " SQLITE_TEXT_MIN
			       " or later is needed",
			       path, version());
	for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
		if (dlsym(library, needed[i]) == NULL)
			return err_set(err, ERR_USAGE,
				       "option --sqlite: %s, SQLite %s, was built without %s()",
				       path, version(), needed[i]);
	return 0;
}

/* Starts over with another libsqlite3 in front of the one that we were linked with. */
static int use_sqlite(char **argv, const char *path)
{
	struct err err = ERR_INIT;
	const char *chosen = getenv(SQLITE_CHOSEN);
	char resolved[4096];

	if (realpath(path, resolved) == NULL) {
		(void)err_set(&err, ERR_USAGE, "option --sqlite: %s: %s", path, strerror(errno));
		return cli_fail(&err);
	}
	if (chosen != NULL && strcmp(chosen, resolved) == 0) {
		Dl_info info;
		char actual[4096];
		if (dladdr((void *)(uintptr_t)sqlite3_libversion, &info) != 0 &&
		    realpath(info.dli_fname, actual) != NULL && strcmp(actual, resolved) == 0)
			return 0;
		(void)err_set(&err, ERR_USAGE,
			      "option --sqlite: %s did not take the place of libsqlite3", path);
		return cli_fail(&err);
	}
	void *library = dlopen(resolved, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL) {
		(void)err_set(&err, ERR_USAGE, "option --sqlite: %s is no SQLite library", path);
		return cli_fail(&err);
	}
	if (check_library(library, path, &err) != 0)
		return cli_fail(&err);
	const char *preload = getenv("LD_PRELOAD");
	char value[8192];
	(void)snprintf(value, sizeof value, "%s%s%s", resolved, preload == NULL ? "" : ":",
		       preload == NULL ? "" : preload);
	(void)setenv("LD_PRELOAD", value, 1);
	(void)setenv(SQLITE_CHOSEN, resolved, 1);
	(void)execv("/proc/self/exe", argv);
	(void)err_set(&err, ERR_HARNESS, "cannot start again with %s: %s", path, strerror(errno));
	return cli_fail(&err);
}

static void print_version(void)
{
	printf("plugpull %s\nSQLite %s at build, %s at run time\n%s\n", PLUGPULL_VERSION,
	       SQLITE_VERSION, sqlite3_libversion(), sqlite3_sourceid());
}

static int dispatch(const struct options *options)
{
	switch (options->command) {
	case COMMAND_RUN:
		return cmd_run(options);
	case COMMAND_TEST:
		return cmd_test(options);
	case COMMAND_INIT:
		return cmd_init(options);
	case COMMAND_EXPLAIN:
		return cmd_explain(options);
	case COMMAND_COMPARE:
		return cmd_compare(options);
	case COMMAND_SHRINK:
		return cmd_shrink(options);
	case COMMAND_RECORD:
		return cmd_record(options);
	case COMMAND_REPLAY:
		return cmd_replay(options);
	case COMMAND_EXPLORE:
		return cmd_explore(options);
	case COMMAND_TRACE:
		return cmd_trace(options);
	case COMMAND_KILL:
		return cmd_kill(options);
	case COMMAND_MATRIX:
		return cmd_matrix(options);
	case COMMAND_MUTATE:
		return cmd_mutate(options);
	case COMMAND_LIST:
		return cmd_list(options);
	case COMMAND_DOCTOR:
		return cmd_doctor(options);
	case COMMAND_NONE:
	default:
		return 2;
	}
}

int main(int argc, char **argv)
{
	struct options options = {0};
	struct err err = ERR_INIT;

	if (kill_is_writer())
		return kill_writer_main();
	if (argc < 2) {
		options_print_help(stderr, COMMAND_NONE);
		return 2;
	}
	if (options_parse(argc, argv, &options, &err) != 0)
		return cli_fail(&err);
	int code = 0;
	observer_configure();
	if (options.help)
		options_print_help(stdout, options.command);
	else if (options.sqlite != NULL && (code = use_sqlite(argv, options.sqlite)) != 0)
		;
	else if (options.version)
		print_version();
	else
		code = dispatch(&options);
	options_release(&options);
	if ((fflush(stdout) != 0 || ferror(stdout) != 0) && code != 2) {
		fprintf(stderr, "plugpull: cannot write to standard output: %s\n", strerror(errno));
		code = 2;
	}
	return code;
}
