/* `plugpull record -o TRACE -- CMD...`: what a program does to its databases, as a trace. */
#include "harness/cli/command.h"
#include "harness/cli/watched.h"

#include "faultinject/base/buf.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_NOTHING = 4, EXIT_INTERRUPTED = 130 }; /* docs/contract.md, "Exit codes" */

/* Before the program runs: a trace that has no place would be found out too late. */
static int check_output(const char *path, struct err *err)
{
	char *copy = xstrdup(path);
	const char *folder = dirname(copy);
	int rc = 0;

	if (access(folder, W_OK | X_OK) != 0)
		rc = err_set(err, ERR_USAGE, "option --output: %s: %s", folder, strerror(errno));
	free(copy);
	return rc;
}

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
	if (check_output(options->output, &err) != 0)
		return cli_fail(&err);
	cli_catch_interrupts();
	cli_program_options(options, &program);
	program.watch_output = true;
	code = cli_run_program(&program, &run, &nothing, &err);
	if (run.end == PROGRAM_STOPPED && run.trace != NULL && run.trace->op_count > 0)
		nothing = NULL; /* what was recorded until then is what was asked for */
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
	if (code == 0 || code == EXIT_NOTHING)
		code = cli_interrupted(NULL) ? EXIT_INTERRUPTED : code;
	program_run_release(&run);
	return code;
}
