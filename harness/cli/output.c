/* What every command that makes a result prints and writes: cases, JSON, report folder. */
#include "harness/cli/command.h"

#include "faultinject/base/buf.h"
#include "faultinject/record/assemble.h"
#include "faultinject/record/log_read.h"
#include "harness/case/case_file.h"
#include "harness/case/result_json.h"
#include "harness/case/version.h"
#include "harness/drive/gate.h"
#include "harness/drive/resume.h"
#include "reports/file.h"
#include "reports/matrix.h"
#include "reports/report_dir.h"
#include "reports/terminal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool cli_json_on_stdout(const struct options *options)
{
	return options->json != NULL && strcmp(options->json, "-") == 0;
}

static struct terminal_style style_of(const struct options *options)
{
	return (struct terminal_style){.color = options_use_color(options, STDOUT_FILENO),
				       .verbose = options->verbose,
				       .timing = options->timing,
				       .report = options->report};
}

int cli_stopped(int rc, struct case_result *c)
{
	if (rc != ERR_INTERRUPTED)
		return rc;
	c->verdict = CASE_INCONCLUSIVE;
	c->reason = xstrdup(cli_interrupted(NULL) ? "interrupted"
						  : "budget spent before it could be explored");
	return 0;
}

void cli_print_case(const struct options *options, const struct case_result *c)
{
	struct terminal_style style = style_of(options);
	struct buf text;

	if (cli_json_on_stdout(options) || options->command == COMMAND_MATRIX)
		return; /* a matrix is a table, which stands when all its cells are known */
	if (options->quiet && (c->verdict == CASE_HELD || c->verdict == CASE_SKIPPED))
		return;
	buf_init(&text);
	terminal_case(&text, c, &style);
	(void)fwrite(text.data, 1, text.size, stdout);
	(void)fflush(stdout);
	buf_release(&text);
}

static int write_cases(void *ctx, const char *dir, struct err *err)
{
	return gate_save_cases(ctx, dir, err);
}

static int write_json(const struct options *options, const struct result *r, struct err *err)
{
	char *text = NULL;
	size_t size;
	int rc = result_json(r, &text, &size, err);

	if (rc == 0 && cli_json_on_stdout(options)) {
		if (fwrite(text, 1, size, stdout) != size || fflush(stdout) != 0)
			rc = err_set(err, ERR_IO, "cannot write to standard output: %s",
				     strerror(errno));
	} else if (rc == 0) {
		rc = file_write(options->json, text, size, err);
		if (rc != 0)
			(void)err_context(err, "option --json");
	}
	free(text);
	return rc;
}

int cli_finish(const struct options *options, struct result *r, const struct gate *cases)
{
	struct terminal_style style = style_of(options);
	struct err err = ERR_INIT;
	int rc = 0;

	cli_again(options, r);
	if (!cli_json_on_stdout(options)) {
		struct buf text;
		buf_init(&text);
		if (options->command == COMMAND_MATRIX)
			matrix_render(&text, r, &style, options->quiet);
		else if (!options->quiet)
			terminal_summary(&text, r, &style);
		(void)fputs(buf_str(&text), stdout);
		buf_release(&text);
	}
	if (options->report != NULL)
		rc = report_dir_write(r, options->report, cases == NULL ? NULL : write_cases,
				      (void *)(uintptr_t)cases, &err);
	else if (cases != NULL && cases->case_count > 0)
		rc = gate_save_cases(cases, CASES_DIRECTORY, &err);
	if (rc != 0 && options->report == NULL && cases != NULL && cases->case_count > 0)
		(void)err_context(&err, "case files (--report DIR puts them elsewhere)");
	/* The result stands, also where a case could not be kept for replay. */
	struct err json_err = ERR_INIT;
	int json_rc = options->json == NULL || (rc != 0 && options->report != NULL)
			  ? 0
			  : write_json(options, r, &json_err);

	if (json_rc != 0)
		return cli_fail(&json_err);
	if (rc != 0) {
		int code = cli_fail(&err);

		return result_verdict(r) == CASE_HELD && options->report == NULL
			   ? result_exit_code(r)
			   : code;
	}
	return result_exit_code(r);
}

/* A recording that nobody has made a trace of yet (the extension's). */
static int load_log(const char *path, struct trace **ret_trace, struct err *err)
{
	struct assemble_options options = {.producer = "plugpull " PLUGPULL_VERSION ", recording"};
	struct assemble_report report = {0};
	struct call_list calls = {0};
	int rc = log_read(path, &calls, err);

	if (rc == 0)
		rc = assemble(&calls, &options, ret_trace, &report, err);
	call_list_release(&calls);
	return rc == 0 ? 0 : err_context(err, "%s", path);
}

int cli_load_trace(const char *path, struct trace **ret_trace, struct case_file **ret_case,
		   struct err *err)
{
	size_t n = strlen(path);

	if (strncmp(path, "pp1-", 4) == 0 || (n > 7 && strcmp(path + n - 7, ".ppcase") == 0)) {
		int rc = case_file_load(path, CASES_DIRECTORY, ret_case, err);
		if (rc == 0)
			*ret_trace = (*ret_case)->trace;
		return rc;
	}
	return log_is_one(path) ? load_log(path, ret_trace, err) : trace_load(path, ret_trace, err);
}

int cli_check_outputs(const struct options *options, struct err *err)
{
	if (options->report != NULL) {
		int rc = report_dir_check(options->report, err);
		if (rc != 0)
			return rc;
	}
	if (options->json == NULL || cli_json_on_stdout(options))
		return 0;
	/* Better said now than after an hour of work. A file is replaced by way of its folder, a
	 * device is written to: file_write(). */
	struct stat st;
	bool exists = stat(options->json, &st) == 0;
	char *target = exists ? realpath(options->json, NULL) : NULL;
	char *folder = file_parent(target != NULL ? target : options->json);
	int errnum = 0;
	if (exists && S_ISDIR(st.st_mode))
		errnum = EISDIR;
	else if (access(exists && !S_ISREG(st.st_mode) ? options->json : folder, W_OK) != 0)
		errnum = errno;
	int rc = errnum == 0 ? 0
			     : err_set(err, ERR_IO, "option --json: %s: %s", options->json,
				       strerror(errnum));
	free(folder);
	free(target);
	return rc;
}

int cli_open_resume(const struct options *options, struct gate *gate, struct err *err)
{
	uint64_t torn = 0;
	int rc = 0;

	if (options->resume != NULL)
		rc = resume_open(options->resume, &gate->resume, &torn, err);
	if (rc != 0)
		return err_context(err, "option --resume");
	if (torn > 0)
		fprintf(stderr, "plugpull: %s: torn: its last %" PRIu64 " bytes were cut\n",
			options->resume, torn);
	return 0;
}

void cli_close_resume(const struct options *options, struct gate *gate)
{
	if (gate->resume == NULL)
		return;
	resume_close(gate->resume);
	gate->resume = NULL;
	fprintf(stderr, "plugpull: %s: %" PRIu64 " crash point%s taken from it\n", options->resume,
		gate->points_resumed, gate->points_resumed == 1 ? " was" : "s were");
}
