/* `plugpull record -o TRACE -- CMD...`: what a program does to its databases, as a trace. */
#include "harness/cli/command.h"
#include "harness/cli/watched.h"

#include <stdio.h>

enum { EXIT_NOTHING = 4 }; /* docs/contract.md: nothing ran */

int cmd_record(const struct options *options)
{
	struct program_options program;
	struct program_run run = {0};
	struct err err = ERR_INIT;
	const char *nothing = NULL;
	int code;

	if (options->output == NULL) {
		(void)err_set(&err, ERR_USAGE, "`record` needs -o TRACE");
		return cli_fail(&err);
	}
	cli_catch_interrupts();
	cli_program_options(options, &program);
	program.watch_output = true;
	code = cli_run_program(&program, &run, &nothing, &err);
	if (code == 0 && nothing == NULL)
		code = trace_save(run.trace, options->output, &err);
	if (code != 0) {
		code = cli_fail(&err);
	} else if (nothing != NULL) {
		fprintf(stderr, "plugpull: %s: there is no trace\n", nothing);
		code = EXIT_NOTHING;
	} else {
		cli_say_trace(options->output, run.trace, &run.report);
		fprintf(stderr, "; the program ended with %d\n", program_exit_code(&run));
	}
	program_run_release(&run);
	return code;
}
