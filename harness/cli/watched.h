/*
 * Running somebody's program for `record` and `test`, and telling the user what came of it.
 */
#ifndef CLI_WATCHED_H
#define CLI_WATCHED_H

#include "harness/cli/options.h"
#include "harness/drive/program.h"

/* The words of a command line with spaces between; owned by the caller. */
char *cli_command_line(char *const *argv);

/* What is worth a line of it, on stderr: how it ended, what it left running, whom nobody saw into,
 * what the recording missed. */
void cli_tell_run(const struct program_run *run, const struct program_options *program);

/* Fills *ret for the program that the options name. */
void cli_program_options(const struct options *options, struct program_options *ret);

/* Runs it and says on stderr, a line each, what is worth it: how it ended, what it left running,
 * whom nobody saw into, what the recording missed. *ret is the caller's in any case. Where there is
 * nothing to judge, *ret_nothing (static) says why: nobody saw into the program, it opened no
 * database, it was interrupted; otherwise it is NULL. Errors are those of program_run(). */
int cli_run_program(const struct program_options *program, struct program_run *ret,
		    const char **ret_nothing, struct err *err);

/* "PATH: 12 operations on 2 files by 1 process", on stderr, without an end of line. */
void cli_say_trace(const char *path, const struct trace *t, const struct assemble_report *r);

#endif
