/*
 * `plugpull replay CASE`: one crash state again, from its token or case file. Exit 1 when the
 * finding is there again, 0 when it is gone.
 */
#include "harness/cli/command.h"

#include "faultinject/base/buf.h"
#include "faultinject/vfs.h"
#include "harness/case/case_file.h"
#include "harness/case/version.h"
#include "harness/cli/trusted.h"
#include "harness/cli/under_gdb.h"
#include "harness/drive/check_gate.h"
#include "harness/drive/gate.h"
#include "harness/drive/materialize.h"
#include "harness/drive/own_check.h"
#include "reports/terminal.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	if (cli_json_on_stdout(o))
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
	if (o->quiet || cli_json_on_stdout(o) || d->text.size == 0)
		return;
	printf("what the disk kept, as %s asked for it:\n%s",
	       check_is_oracle(c->finding.oracle) ? "the reader of all files" : "recovery",
	       buf_str(&d->text));
}

/* What was found, as messages of one line; owned by the caller. */
static char *found_text(const struct verdict *verdicts, size_t count)
{
	struct buf b;

	buf_init(&b);
	for (size_t i = 0; i < count; i++)
		buf_printf(&b, "%s%s: %s", i == 0 ? "" : "; ", verdicts[i].oracle,
			   verdicts[i].message);
	if (count == 0)
		buf_printf(&b, "nothing is wrong with this state");
	char *text = xstrdup(buf_str(&b));
	buf_release(&b);
	return text;
}

/* What running the state again came to. */
struct replayed {
	struct verdict verdicts[16];
	size_t count;
	enum grade grade;
	uint64_t lost, commits;
	bool again;	   /* the finding of the case is there again */
	size_t same_index; /* ... as this verdict */
};

static int run_state(const struct options *options, const struct case_file *c,
		     struct decisions *decisions, struct replayed *ret, struct err *err)
{
	struct disk_calls calls = {0};
	struct gate_replay replay = {.show_data = options->show_data,
				     .tell = keep_decision,
				     .ctx = decisions,
				     .calls = options->materialize == NULL ? NULL : &calls,
				     .in_process = options->gdb};

	buf_init(&calls.bytes);
	ret->grade = GRADE_NONE;
	int rc =
	    gate_replay(c, &replay, ret->verdicts, sizeof ret->verdicts / sizeof ret->verdicts[0],
			&ret->count, &ret->grade, &ret->lost, &ret->commits, err);
	for (size_t i = 0; rc == 0 && i < ret->count; i++) {
		if (strcmp(ret->verdicts[i].oracle, c->finding.oracle) != 0 ||
		    ret->verdicts[i].grade != c->finding.grade)
			continue;
		ret->again = true;
		ret->same_index = i;
	}
	if (rc == 0 && options->materialize != NULL) {
		char *found = found_text(ret->verdicts, ret->count);
		struct materialize m = {
		    .c = c, .calls = &calls, .again = ret->again, .found = found};

		rc = materialize(&m, options->materialize, err);
		free(found);
	}
	buf_release(&calls.bytes);
	return rc;
}

static void fill_case(const struct case_file *c, const struct replayed *found,
		      struct case_result *r)
{
	r->id = xstrdup(c->subject->id);
	r->scenario = xstrdup(c->subject->id);
	r->scenario[strcspn(r->scenario, "@")] = '\0';
	r->title = xstrdup(c->subject->title);
	r->model = xstrdup(c->subject->model);
	for (size_t i = 0; i < c->subject->pragmas.count; i++)
		kv_set(&r->config, c->subject->pragmas.items[i].key,
		       c->subject->pragmas.items[i].value);
	r->grade = found->grade;
	r->crash_points = 1;
	r->recoveries = 1;
	r->states = xstrdup("1");
	r->lost_acked_max = found->lost;
	r->commits = found->commits;
	r->exhaustive = true; /* of the one state that was asked for */
	for (size_t i = 0; i < found->count; i++)
		case_result_violation(r, found->verdicts[i].oracle, found->verdicts[i].grade,
				      found->verdicts[i].message, NULL);
	r->verdict = found->again ? CASE_VIOLATED : CASE_HELD;
	if (!found->again && own_check_is_oracle(c->finding.oracle)) {
		char token[CASE_TOKEN_SIZE];

		case_file_token(c, token);
		r->verdict = CASE_INCONCLUSIVE;
		r->reason = xasprintf("only the test that found it can ask its check again: run "
				      "it with PLUGPULL_TOKEN=%s",
				      token);
	} else if (!found->again) {
		r->reason = xasprintf("the finding of oracle %s is gone", c->finding.oracle);
	}
}

static int report(const struct options *options, const struct case_file *c,
		  const struct replayed *found, uint64_t begin_ns)
{
	struct result result;

	result_init(&result, "replay", c->subject->seed);
	result.sqlite_version = xstrdup(sqlite3_libversion());
	result.sqlite_source_id = xstrdup(sqlite3_sourceid());
	result.timing = options->timing;
	struct case_result *r = result_add(&result);
	fill_case(c, found, r);
	r->seconds = (double)(gate_now_ns() - begin_ns) / 1e9;
	cli_print_case(options, r);
	/* The terminal has just been told how to replay; JSON has not. */
	if (found->again) {
		char token[CASE_TOKEN_SIZE];

		case_file_token(c, token);
		r->violations[found->same_index].token = xstrdup(token);
	}
	int code = cli_finish(options, &result, NULL);
	result_release(&result);
	return code;
}

int cmd_replay(const struct options *options)
{
	struct err err = ERR_INIT;
	struct case_file *c = NULL;
	struct replayed found = {0};
	struct decisions decisions = {0};
	uint64_t begin = gate_now_ns();
	int code;

	int rc = options->materialize == NULL ? 0 : materialize_check(options->materialize, &err);
	if (rc == 0)
		rc = case_file_load(options->args[0], CASES_DIRECTORY, &c, &err);
	if (rc == 0)
		rc = cli_trust_case(options->args[0], c, &err);
	if (rc == 0 && options->gdb && !under_gdb())
		rc = under_gdb_start(c, &err);
	if (rc == 0)
		rc = fi_vfs_register(&err);
	if (rc == 0) {
		warn_versions(c);
		if (options->gdb)
			under_gdb_record(c);
		rc = run_state(options, c, &decisions, &found, &err);
	}
	if (rc == 0) {
		print_crash(options, c);
		print_decisions(options, c, &decisions);
		code = report(options, c, &found, begin);
		if (options->materialize != NULL && !cli_json_on_stdout(options) && !options->quiet)
			printf("files         %s/README.txt says what to look at\n",
			       options->materialize);
	} else {
		code = cli_fail(&err);
	}
	buf_release(&decisions.text);
	case_file_free(c);
	return code;
}
