/*
 * `plugpull explain CASE`: the story of a case. Exit 0 when it is told, 4 when the finding is gone,
 * and for what only somebody's test can find again; 130 when it was interrupted, with as much of
 * the story as was known.
 */
#include "harness/cli/command.h"

#include "faultinject/base/buf.h"
#include "faultinject/vfs.h"
#include "harness/case/case_file.h"
#include "harness/case/version.h"
#include "harness/cli/trusted.h"
#include "harness/drive/own_check.h"
#include "harness/drive/workers.h"
#include "harness/explain/story_build.h"
#include "reports/file.h"
#include "reports/report_dir.h"
#include "reports/story_text.h"

#include <jansson.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_GONE = 4 };

static void show_step(void *ctx, const char *what)
{
	const bool *show = ctx;

	if (*show)
		fprintf(stderr, "\r\033[K%s ...", what);
}

static void print_story(const struct options *options, const struct story *s)
{
	struct story_style style = {.color = options_use_color(options, STDOUT_FILENO),
				    .verbose = options->verbose};
	struct buf text;

	if (cli_json_on_stdout(options) || options->quiet)
		return;
	buf_init(&text);
	story_text_render(&text, s, &style);
	(void)fwrite(text.data, 1, text.size, stdout);
	buf_release(&text);
}

/* {"plugpull", "format", "command": "explain", "story"}; see docs/story.md. */
static int write_json(const struct options *options, const struct story *s, struct err *err)
{
	json_t *object = json_object();
	char *text = NULL;
	int rc = 0;

	(void)json_object_set_new(object, "plugpull", json_string(PLUGPULL_VERSION));
	(void)json_object_set_new(object, "format", json_integer(STORY_FORMAT));
	(void)json_object_set_new(object, "command", json_string("explain"));
	(void)json_object_set_new(object, "story", story_to_json(s));
	char *dumped = json_dumps(object, JSON_INDENT(1) | JSON_SORT_KEYS);
	json_decref(object);
	if (dumped == NULL)
		return err_set(err, ERR_NOMEM, "the story as JSON");
	text = xasprintf("%s\n", dumped);
	free(dumped);
	if (cli_json_on_stdout(options) && (fputs(text, stdout) == EOF || fflush(stdout) != 0))
		rc = err_set(err, ERR_IO, "cannot write to standard output");
	else if (!cli_json_on_stdout(options))
		rc = file_write(options->json, text, strlen(text), err);
	free(text);
	return rc == 0 ? 0 : err_context(err, "option --json");
}

static int write_case(void *ctx, const char *dir, struct err *err)
{
	return case_file_save(ctx, dir, err);
}

/* A report of this one case. *story goes to it. */
static int write_report(const struct options *options, struct case_file *c, struct story *story,
			bool again, struct err *err)
{
	struct result result;
	int rc;

	result_init(&result, "explain", c->subject->seed);
	result.sqlite_version = xstrdup(sqlite3_libversion());
	result.sqlite_source_id = xstrdup(sqlite3_sourceid());
	struct case_result *r = result_add(&result);
	r->id = xstrdup(c->subject->id);
	r->scenario = xstrdup(c->subject->id);
	r->scenario[strcspn(r->scenario, "@")] = '\0';
	r->title = xstrdup(c->subject->title);
	r->model = xstrdup(c->subject->model);
	for (size_t i = 0; i < story->config.count; i++)
		kv_set(&r->config, story->config.items[i].key, story->config.items[i].value);
	r->grade = again ? story->grade : GRADE_NONE;
	r->crash_points = 1;
	r->recoveries = 1;
	r->states = xstrdup("1");
	for (size_t i = 0; i < story->transaction_count; i++) {
		const struct story_transaction *x = &story->transactions[i];
		r->commits += x->committed;
		r->lost_acked_max += x->acked && x->presence == STORY_GONE;
	}
	r->exhaustive = true; /* of the one state that was asked for */
	r->verdict = again ? CASE_VIOLATED : CASE_HELD;
	if (!again)
		r->reason = xasprintf("the finding of oracle %s is gone", c->finding.oracle);
	case_result_violation(r, story->oracle, story->grade, story->message, story->token);
	r->violations[0].story = story;
	rc = report_dir_write(&result, options->report, write_case, c, err);
	r->violations[0].story = NULL;
	result_release(&result);
	return rc;
}

/* The check of somebody's test is no part of the case. True: it says so. */
static bool is_for_its_test(const struct case_file *c)
{
	char token[CASE_TOKEN_SIZE];

	if (!own_check_is_oracle(c->finding.oracle))
		return false;
	case_file_token(c, token);
	fprintf(stderr,
		"plugpull: only the test that found it can ask its check again: run it with "
		"PLUGPULL_TOKEN=%s\n",
		token);
	return true;
}

/* A budget here is counted in recoveries, so that the story is the same on every machine. */
static int check_budget(const struct options *options, struct err *err)
{
	if (options->has_budget && options->budget_recoveries == 0)
		return err_set(err, ERR_USAGE,
			       "option --budget: a story is the same on every machine, so give "
			       "recoveries (5000r), not seconds");
	return 0;
}

int cmd_explain(const struct options *options)
{
	bool progress = !options->quiet && isatty(STDERR_FILENO);
	struct err err = ERR_INIT;
	struct case_file *c = NULL;
	struct story *story = NULL;
	bool again = false, interrupted = false;
	struct story_options o = {
	    .show_data = options->show_data,
	    .jobs = options->jobs != 0 ? options->jobs : workers_standard(),
	    .recoveries_max = options->has_budget ? options->budget_recoveries : 0,
	    .vocabulary = cli_vocabulary(),
	    .interrupted = cli_interrupted,
	    .progress = show_step,
	    .ctx = &progress,
	};

	cli_catch_interrupts();
	int rc = check_budget(options, &err);
	if (rc == 0)
		rc = cli_check_outputs(options, &err);
	if (rc == 0)
		rc = case_file_load(options->args[0], CASES_DIRECTORY, &c, &err);
	if (rc == 0)
		rc = cli_trust_case(options->args[0], c, &err);
	if (rc == 0 && is_for_its_test(c)) {
		case_file_free(c);
		return EXIT_GONE;
	}
	if (rc == 0)
		rc = fi_vfs_register(&err);
	if (rc == 0)
		rc = story_build(c, &o, &story, &again, &interrupted, &err);
	if (progress)
		fprintf(stderr, "\r\033[K");
	if (rc == 0)
		print_story(options, story);
	if (rc == 0 && options->report != NULL)
		rc = write_report(options, c, story, again, &err);
	if (rc == 0 && options->json != NULL)
		rc = write_json(options, story, &err);
	if (rc == 0 && interrupted)
		rc = err_set(&err, ERR_INTERRUPTED, "interrupted");
	int code = rc != 0 ? cli_fail(&err) : again ? 0 : EXIT_GONE;
	story_free(story);
	case_file_free(c);
	return code;
}
