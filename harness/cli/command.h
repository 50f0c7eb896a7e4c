/*
 * The commands. Each takes the parsed options and returns the exit code of the program
 * (docs/contract.md, "Exit codes"); only this folder prints.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "faultinject/base/err.h"
#include "harness/case/result.h"
#include "harness/cli/options.h"
#include "harness/scenario/scenario.h"

/* The oldest SQLite that was tried (docs/sqlite-versions.md). */
#define SQLITE_NUMBER_MIN 3007008
#define SQLITE_TEXT_MIN	  "3.7.8"

int cmd_init(const struct options *options);
int cmd_explain(const struct options *options);
int cmd_compare(const struct options *options);
int cmd_shrink(const struct options *options);
int cmd_run(const struct options *options);
int cmd_test(const struct options *options);
int cmd_record(const struct options *options);
int cmd_explore(const struct options *options);
int cmd_replay(const struct options *options);
int cmd_trace(const struct options *options);
int cmd_list(const struct options *options);
int cmd_doctor(const struct options *options);
int cmd_kill(const struct options *options);
int cmd_matrix(const struct options *options);

int cmd_mutate(const struct options *options);

/* What a command does with a case that gate_explore() has explored; mutate_case() is one. */
struct gate;
struct trace;
struct subject;
typedef int cli_after_fn(struct gate *g, const struct scenario *s, const struct case_spec *spec,
			 const struct subject *subject, const struct trace *t,
			 struct case_result *c, struct err *err);

/* Records, explores and judges every case of the scenarios that the options name: what `run` and
 * the commands like it share. `command` (static) is their name in results; `cases` says which axes
 * and which floor are the command's own (loaded_list_load_as()); `after` may be NULL. Returns the
 * exit code. */
int cli_run_cases(const struct options *options, const char *command,
		  const struct case_options *cases, cli_after_fn *after);

/* What names mean in scenario files: models, workloads, defects, pragmas of this build. */
const struct scenario_vocabulary *cli_vocabulary(void);

/* Prints "plugpull: MESSAGE" to stderr and returns the error's exit code. */
int cli_fail(const struct err *err);

/* SIGINT, SIGTERM and SIGHUP set a flag instead of ending the process; a second one ends it. */
void cli_catch_interrupts(void);
bool cli_interrupted(void *ctx);

/* Writes JSON, report folder and the terminal's last line as the options ask, and returns the exit
 * code. `cases` (may be NULL) writes the case files into a directory. */
int cli_finish(const struct options *options, struct result *r, const struct gate *cases);
/* Notes in the result the command line that makes it again (result.h). */
void cli_again(const struct options *options, struct result *r);
/* Does --json take stdout, so that nothing else may go there? */
bool cli_json_on_stdout(const struct options *options);
/* Says before a run whether --report and --json can be written. */
int cli_check_outputs(const struct options *options, struct err *err);
/* A trace file, or the trace of a case file or token: then *ret_case is the caller's and owns the
 * trace; otherwise it stays as it is and the trace is the caller's. */
struct trace;
struct case_file;
int cli_load_trace(const char *path, struct trace **ret_trace, struct case_file **ret_case,
		   struct err *err);
/* Opens the file of --resume, if it is given, for the gate; closes it and says on stderr what it
 * was good for. */
int cli_open_resume(const struct options *options, struct gate *gate, struct err *err);
void cli_close_resume(const struct options *options, struct gate *gate);
/* Prints one case to stdout (unless -q hides it, or stdout carries JSON). */
/* If `rc` says that the case was stopped, makes it inconclusive with the reason and returns 0;
 * otherwise `rc`. */
int cli_stopped(int rc, struct case_result *c);

void cli_print_case(const struct options *options, const struct case_result *c);

#endif
