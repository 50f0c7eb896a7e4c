/* `plugpull explore TRACE`: covers the crash states of a trace from anywhere. */
#include "harness/cli/command.h"
#include "harness/cli/explore_trace.h"

#include "harness/case/case_file.h"

#include <stdio.h>
#include <string.h>

int cmd_explore(const struct options *options)
{
	const char *path = options->args[0];
	const char *slash = strrchr(path, '/');
	struct explored x = {
	    .command = "explore", .label = path, .name = slash == NULL ? path : slash + 1};
	struct err err = ERR_INIT;
	struct trace *t = NULL;
	struct case_file *c = NULL;
	struct scenario *invariants = NULL;
	int code;

	cli_catch_interrupts();
	if (cli_check_explore(options, &invariants, &err) != 0 ||
	    cli_load_trace(path, &t, &c, &err) != 0) {
		scenario_free(invariants);
		return cli_fail(&err);
	}
	if (t->torn)
		fprintf(stderr, "plugpull: %s: torn: its last %llu bytes were cut\n", path,
			(unsigned long long)t->torn_size_bytes);
	x.trace = t;
	x.invariants = invariants;
	code = cli_explore_trace(options, &x);
	scenario_free(invariants);
	if (c != NULL)
		case_file_free(c);
	else
		trace_free(t);
	return code;
}
