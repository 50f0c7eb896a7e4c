/*
 * `plugpull replay CASE`: one crash state again, from its token or case file. Exit 1 when the
 * finding is there again, 0 when it is gone.
 */
#include "harness/cli/command.h"

#include "faultinject/base/buf.h"
#include "faultinject/vfs.h"
#include "harness/case/case_file.h"
#include "harness/case/version.h"
#include "harness/drive/check_gate.h"
#include "harness/drive/gate.h"
#include "reports/terminal.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A case file can name extensions to load and a command of --check, that is, code to run. One that
 * was made here may; a stranger's may not. */
static int check_loads(const char *argument, const struct case_file *c, struct err *err)
{
	if (strncmp(argument, "pp1-", 4) == 0)
		return 0;
	if (c->subject->check != NULL && check_is_oracle(c->finding.oracle))
		return err_set(err, ERR_INPUT,
			       "%s: the case runs the command '%s'; if you trust it, put the file "
			       "below %s and replay it by its token",
			       argument, c->subject->check, CASES_DIRECTORY);
	if (c->subject->load_count == 0)
		return 0;
	return err_set(err, ERR_INPUT,
		       "%s: the case loads the extension '%s' into this process; if you trust it, "
		       "put the file below %s and replay it by its token",
		       argument, c->subject->loads[0], CASES_DIRECTORY);
}

static void warn_versions(const struct case_file *c)
{
	if (c->sqlite_version != NULL && strcmp(c->sqlite_version, sqlite3_libversion()) != 0)
		fprintf(stderr, "plugpull: warning: found with SQLite %s, replayed with %s\n",
			c->sqlite_version, sqlite3_libversion());
	if (c->plugpull_version != NULL && strcmp(c->plugpull_version, PLUGPULL_VERSION) != 0)
		fprintf(stderr, "plugpull: warning: found with plugpull %s, replayed with %s\n",
			c->plugpull_version, PLUGPULL_VERSION);
}

enum { CRASH_CONTEXT = 4 }; /* operations shown before the crash */

static bool is_lock(const struct op *op)
{
	return op->kind == OP_LOCK || op->kind == OP_UNLOCK;
}

static void print_op(const struct case_file *c, uint64_t position)
{
	if (is_lock(trace_at(c->trace, position)))
		return;
	printf("  ");
	trace_print_op(c->trace, position, false, stdout);
}

/* The crash in words, from the operation that it precedes. */
static void print_crash(const struct options *o, const struct case_file *c)
{
	if (o->json != NULL && strcmp(o->json, "-") == 0)
		return;
	if (o->quiet)
		return;
	printf("case      %s\n", c->subject->id);
	if (c->subject->title != NULL && c->subject->title[0] != '\0')
		printf("shows     %s\n", c->subject->title);
	printf("crash     after operation %llu of %zu%s\n", (unsigned long long)c->state.position,
	       c->trace->op_count, c->state.has_cut ? " (cut)" : "");
	/* The operations around the crash; locks say nothing about it. */
	uint64_t shown = 0, from = c->state.position;
	while (from > 0 && shown < CRASH_CONTEXT) {
		shown += is_lock(trace_at(c->trace, from)) ? 0 : 1;
		from--;
	}
	for (uint64_t p = from + 1; p <= c->state.position; p++)
		print_op(c, p);
	printf("  ~~~ %s here ~~~\n", strcmp(c->subject->model, "process-crash") == 0
					  ? "the processes die"
					  : "power fails");
	if (c->state.has_again)
		printf("and again after operation %llu of the recovery%s\n",
		       (unsigned long long)c->state.again_position,
		       c->state.again_has_cut ? " (cut)" : "");
	for (uint64_t p = c->state.position + 1; p <= c->trace->op_count; p++) {
		print_op(c, p);
		if (!is_lock(trace_at(c->trace, p)))
			break;
	}
}

/* What was decided, in the order in which recovery asked. */
struct decisions {
	struct buf text;
};

static void keep_decision(void *ctx, const char *question, uint32_t answer, uint32_t n)
{
	struct decisions *d = ctx;

	buf_printf(&d->text, "  %s: ", question);
	if (strncmp(question, "is ", 3) == 0)
		buf_printf(&d->text, "%s\n",
			   answer == 0 ? "as the program last saw it" : "the other way");
	else if (answer == 0)
		buf_printf(&d->text, "the newest of %u possibilities\n", n);
	else if (answer == n - 1)
		buf_printf(&d->text, "the oldest of %u\n", n);
	else
		buf_printf(&d->text, "number %u of %u, newest first\n", answer + 1, n);
}

static void print_decisions(const struct options *o, const struct case_file *c, struct decisions *d)
{
	if (o->quiet || (o->json != NULL && strcmp(o->json, "-") == 0) || d->text.size == 0)
		return;
	printf("what the disk kept, as %s asked for it:\n%s",
	       check_is_oracle(c->finding.oracle) ? "the reader of all files" : "recovery",
	       buf_str(&d->text));
}

int cmd_replay(const struct options *options)
{
	struct err err = ERR_INIT;
	struct case_file *c = NULL;
	struct result result;
	struct verdict verdicts[16];
	size_t count = 0;
	enum grade grade = GRADE_NONE;
	uint64_t lost = 0, commits = 0;
	char token[CASE_TOKEN_SIZE];
	uint64_t begin = gate_now_ns();

	struct decisions decisions = {0};
	struct gate_replay replay = {
	    .show_data = options->show_data, .tell = keep_decision, .ctx = &decisions};
	int rc = case_file_load(options->args[0], CASES_DIRECTORY, &c, &err);
	if (rc == 0)
		rc = check_loads(options->args[0], c, &err);
	if (rc == 0)
		rc = fi_vfs_register(&err);
	if (rc == 0) {
		warn_versions(c);
		rc = gate_replay(c, &replay, verdicts, 16, &count, &grade, &lost, &commits, &err);
	}
	if (rc != 0) {
		buf_release(&decisions.text);
		case_file_free(c);
		return cli_fail(&err);
	}
	print_crash(options, c);
	print_decisions(options, c, &decisions);
	buf_release(&decisions.text);

	result_init(&result, "replay", c->subject->seed);
	result.sqlite_version = xstrdup(sqlite3_libversion());
	result.sqlite_source_id = xstrdup(sqlite3_sourceid());
	result.timing = options->timing;
	case_file_token(c, token);
	struct case_result *r = result_add(&result);
	r->id = xstrdup(c->subject->id);
	r->scenario = xstrdup(c->subject->id);
	r->scenario[strcspn(r->scenario, "@")] = '\0';
	r->title = xstrdup(c->subject->title);
	r->model = xstrdup(c->subject->model);
	for (size_t i = 0; i < c->subject->pragmas.count; i++)
		kv_set(&r->config, c->subject->pragmas.items[i].key,
		       c->subject->pragmas.items[i].value);
	r->grade = grade;
	r->crash_points = 1;
	r->recoveries = 1;
	r->states = xstrdup("1");
	r->lost_acked_max = lost;
	r->commits = commits;
	r->exhaustive = true; /* of the one state that was asked for */
	r->seconds = (double)(gate_now_ns() - begin) / 1e9;
	bool again = false;
	size_t same_index = 0;
	for (size_t i = 0; i < count; i++) {
		bool same = strcmp(verdicts[i].oracle, c->finding.oracle) == 0 &&
			    verdicts[i].grade == c->finding.grade;
		again = again || same;
		case_result_violation(r, verdicts[i].oracle, verdicts[i].grade, verdicts[i].message,
				      NULL);
		same_index = same ? i : same_index;
	}
	r->verdict = again ? CASE_VIOLATED : CASE_HELD;
	if (!again)
		r->reason = xasprintf("the finding of oracle %s is gone", c->finding.oracle);
	cli_print_case(options, r);
	/* The terminal has just been told how to replay; JSON has not. */
	if (again)
		r->violations[same_index].token = xstrdup(token);
	int code = cli_finish(options, &result, NULL);
	result_release(&result);
	case_file_free(c);
	return code;
}
