/* See watched.h. */
#include "harness/cli/watched.h"

#include "harness/cli/command.h"
#include "faultinject/base/buf.h"
#include "harness/drive/databases.h"
#include "reports/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

char *cli_command_line(char *const *argv)
{
	struct buf b;

	buf_init(&b);
	for (size_t i = 0; argv[i] != NULL; i++)
		buf_printf(&b, "%s%s", i == 0 ? "" : " ", argv[i]);
	(void)buf_str(&b);
	return (char *)b.data;
}

void cli_program_options(const struct options *options, struct program_options *ret)
{
	*ret = (struct program_options){
	    .argv = options->program,
	    .timeout_ns = options->timeout_seconds * 1000000000u,
	    .output = STDOUT_FILENO,
	    .watch_output =
		options->check != NULL || (options->has_ack && options->ack == HISTORY_ACK_OUTPUT),
	    .watch_marks = options->has_ack && options->ack == HISTORY_ACK_MARK,
	    .all_files = options->check != NULL,
	    .stop = cli_interrupted,
	};
}

/* One line, and nothing that a terminal would obey. */
static void say(const char *text)
{
	struct buf line;

	buf_init(&line);
	words_clean(&line, text);
	fprintf(stderr, "plugpull: %s\n", buf_str(&line));
	buf_release(&line);
}

static void say_ending(const struct program_run *r, const struct program_options *program)
{
	char *ending = program_ending(r, program);

	if (ending != NULL)
		say(ending);
	free(ending);
}

static void say_holes(const struct trace *t)
{
	for (size_t i = 0; i < t->op_count; i++) {
		if (t->ops[i].kind != OP_HOLE)
			continue;
		char *text = xasprintf("the recording has a hole: %.*s", (int)t->ops[i].size,
				       (const char *)t->ops[i].data);

		say(text);
		free(text);
	}
}

static size_t count_databases(const struct trace *t)
{
	uint8_t *is_database = databases_find(t);
	size_t count = 0;

	for (uint32_t n = 1; n <= t->name_count; n++)
		count += is_database[n];
	free(is_database);
	return count;
}

void cli_tell_run(const struct program_run *run, const struct program_options *program)
{
	say_ending(run, program);
	say_holes(run->trace);
}

int cli_run_program(const struct program_options *program, struct program_run *ret,
		    const char **ret_nothing, struct err *err)
{
	int rc = program_run(program, ret, err);

	if (rc != 0)
		return rc;
	cli_tell_run(ret, program);
	*ret_nothing = NULL;
	if (ret->end == PROGRAM_STOPPED)
		*ret_nothing = "interrupted while the program ran";
	else if (ret->report.program_count == 0)
		*ret_nothing = "nobody saw into the program: something in it drops LD_PRELOAD "
			       "(`plugpull trace --help` says how to use strace)";
	else if (count_databases(ret->trace) == 0 && trace_first_hole(ret->trace) != 0)
		*ret_nothing =
		    "the recording has a hole, and no SQLite database is in what is left";
	else if (count_databases(ret->trace) == 0)
		*ret_nothing = "the program opened no SQLite database for writing";
	return 0;
}

void cli_say_trace(const char *path, const struct trace *t, const struct assemble_report *r)
{
	fprintf(stderr, "plugpull: %s: %zu operation%s on %zu file%s by %zu process%s", path,
		t->op_count, t->op_count == 1 ? "" : "s", r->file_count,
		r->file_count == 1 ? "" : "s", r->process_count, r->process_count == 1 ? "" : "es");
}
