/*
 * `plugpull test -- CMD...`: runs a program as it is, records it, explores, grades.
 *
 * What the program prints goes to stderr: stdout is the result's.
 */
#include "harness/cli/command.h"
#include "harness/cli/explore_trace.h"
#include "harness/cli/watched.h"

#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <unistd.h>

enum { NAME_SIZE_MAX = 100 }; /* bytes of the command line in a case id */

int cmd_test(const struct options *options)
{
	struct program_options program;
	struct program_run run = {0};
	struct err err = ERR_INIT;
	char *label = cli_command_line(options->program);
	char *name = xasprintf("%.*s", NAME_SIZE_MAX, label);
	const char *nothing = NULL;
	struct scenario *invariants = NULL;
	char *cut_short = NULL;
	int code;

	cli_catch_interrupts();
	if (cli_check_explore(options, &invariants, &err) != 0) {
		code = cli_fail(&err);
		goto out;
	}
	cli_program_options(options, &program);
	program.output = STDERR_FILENO;
	code = cli_run_program(&program, &run, &nothing, &err);
	if (code != 0) {
		code = cli_fail(&err);
	} else {
		struct explored x = {.command = "test",
				     .label = label,
				     .name = name,
				     .trace = run.trace,
				     .nothing = nothing,
				     .invariants = invariants,
				     .has_program = true,
				     .program_exit = program_exit_code(&run)};

		if (run.end == PROGRAM_TIMED_OUT)
			cut_short = program_ending(&run, &program);
		x.cut_short = cut_short;
		code = cli_explore_trace(options, &x);
	}
out:
	program_run_release(&run);
	scenario_free(invariants);
	free(cut_short);
	free(name);
	free(label);
	return code;
}
