/*
 * `plugpull run`: records every case of the scenarios, explores it, judges it. The commands that do
 * the same with other axes and another floor begin at cli_run_cases().
 *
 * All scenario files are read and all cases expanded before the first one runs, so that a mistake
 * in the last file costs nothing.
 */
#include "harness/cli/command.h"
#include "harness/cli/load.h"
#include "harness/cli/progress.h"
#include "harness/cli/stories.h"
#include "harness/cli/waive.h"

#include "faultinject/base/buf.h"
#include "faultinject/model.h"
#include "faultinject/vfs.h"
#include "harness/drive/gate.h"
#include "harness/drive/plant.h"
#include "harness/drive/record.h"
#include "harness/drive/watch.h"
#include "harness/drive/workers.h"
#include "reports/report_dir.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct run {
	const struct options *options;
	struct loaded_list loaded;
	struct waive waive;
	struct gate gate;
	struct result result;
	struct progress progress;
	cli_after_fn *after; /* may be NULL */
};

static int load_all(struct run *run, const struct case_options *cases, struct err *err)
{
	const struct options *o = run->options;
	return loaded_list_load_as(o, (const char *const *)o->models, o->model_count,
				   cli_vocabulary(), cases, &run->loaded, err);
}

static void describe(struct case_result *c, const struct loaded *l, const struct case_spec *spec)
{
	c->id = xstrdup(spec->id);
	c->scenario = xstrdup(l->name);
	c->file = loaded_file(l);
	c->title = xstrdup(l->scenario->title);
	c->model = xstrdup(spec->model);
	for (size_t i = 0; i < spec->config.count; i++) {
		const struct kv *p = &spec->config.items[i];
		int line = scenario_sets_itself(l->scenario, p->key);
		kv_set(&c->config, p->key, p->value);
		if (line != 0)
			case_result_note(
			    c, "line %d of the scenario sets %s itself, whatever the case says",
			    line, p->key);
	}
	for (size_t i = 0; i < spec->model_params.count; i++) {
		char *key = xasprintf("model.%s", spec->model_params.items[i].key);
		kv_set(&c->config, key, spec->model_params.items[i].value);
		free(key);
	}
	for (size_t i = 0; i < spec->workload_params.count; i++) {
		char *key = xasprintf("workload.%s", spec->workload_params.items[i].key);
		kv_set(&c->config, key, spec->workload_params.items[i].value);
		free(key);
	}
	c->has_expected = spec->has_expect;
	c->expected = spec->expected;
	c->required = spec->required;
	c->has_required = spec->has_required;
	c->grade = GRADE_NONE;
}

/* A control that holds although no oracle saw anything is no control: @expect sees only grades, and
 * what has none could be missing. Which oracle sees which defect is a test's business. */
static void check_plant_seen(const char *plant, struct case_result *c)
{
	if (plant == NULL || c->verdict != CASE_HELD || c->violation_count > 0)
		return;
	c->verdict = CASE_VIOLATED;
	c->reason = xasprintf("no oracle saw the planted defect %s", plant);
}

static int run_case(struct run *run, const struct loaded *l, const struct case_spec *spec,
		    struct err *err)
{
	struct case_result *c = result_add(&run->result);
	struct subject *subject = subject_from_scenario(l->scenario, spec, run->options->seed);
	const char *plant = l->scenario->plant;
	struct trace *t = NULL;
	char *skip = NULL;
	struct model model;
	int rc = 0;

	run->result.hides =
	    run->result.hides || (plant != NULL && strcmp(plant, PLANT_REPORT_HIDES) == 0);
	describe(c, l, spec);
	run->gate.waivers = waive_of(&run->waive, l);
	run->gate.today = run->waive.today;
	subject->unsynced_recovery = plant != NULL && strcmp(plant, PLANT_UNSYNCED_RECOVERY) == 0;
	/* Each word was checked; what a matrix or --set puts together was not. */
	if (subject_model(subject, &model, err) != 0)
		skip = xstrdup(err->message);
	else if (plant != NULL && strcmp(plant, PLANT_NEVER_KILLS) == 0)
		skip = xstrdup("the defect " PLANT_NEVER_KILLS " shows with `plugpull kill` only");
	else if (run->result.hides && run->options->report == NULL)
		skip = xstrdup("the defect " PLANT_REPORT_HIDES " shows with --report only");
	else if (subject->unsynced_recovery && run->options->depth != 2)
		skip = xstrdup("the defect " PLANT_UNSYNCED_RECOVERY " shows with --depth 2 only");
	else
		rc = record_case(l->scenario, spec, subject, &t, &skip, err);
	if (rc == 0 && skip != NULL) {
		c->verdict = CASE_SKIPPED;
		c->reason = skip;
	} else if (rc == 0) {
		struct case_source *source =
		    case_source_create(l->scenario, spec, run->options->seed);
		run->gate.source = source;
		rc = gate_explore(&run->gate, subject, t, c, err);
		run->gate.source = NULL;
		case_source_free(source);
		if (rc == 0)
			check_plant_seen(plant, c);
		if (rc == 0 && run->after != NULL)
			rc = run->after(&run->gate, l->scenario, spec, subject, t, c, err);
	}
	rc = cli_stopped(rc, c);
	if (rc != 0 && run->options->keep_going) {
		c->verdict = CASE_ERROR;
		c->reason = xstrdup(err->message);
		rc = 0;
	}
	trace_free(t);
	subject_free(subject);
	if (rc == 0) {
		progress_clear(&run->progress);
		cli_print_case(run->options, c);
	}
	return rc;
}

/* A case that never began: the budget was spent, or the user interrupted. */
static void leave_out(struct run *run, const struct loaded *l, const struct case_spec *spec,
		      const char *reason)
{
	struct case_result *c = result_add(&run->result);

	describe(c, l, spec);
	c->verdict = CASE_INCONCLUSIVE;
	c->reason = xstrdup(reason);
	cli_print_case(run->options, c);
}

static bool budget_spent(const struct gate *g)
{
	return (g->recoveries_max != 0 && g->recoveries >= g->recoveries_max) ||
	       (g->deadline_ns != 0 && gate_now_ns() >= g->deadline_ns);
}

static int run_all(struct run *run, struct err *err)
{
	size_t done = 0;
	bool stopped = false;

	for (size_t i = 0; i < run->loaded.count; i++) {
		const struct loaded *l = &run->loaded.items[i];
		for (size_t k = 0; k < l->cases.count; k++) {
			const struct case_spec *spec = &l->cases.items[k];
			progress_case(&run->progress, done++, run->loaded.case_total);
			if (cli_interrupted(NULL)) {
				run->result.interrupted = true;
				return 0;
			}
			if (stopped) {
				leave_out(run, l, spec, "an earlier case ended in error");
				continue;
			}
			if (budget_spent(&run->gate)) {
				leave_out(run, l, spec, "budget spent before it began");
				continue;
			}
			int rc = run_case(run, l, spec, err);
			if (rc != 0)
				return rc;
			const struct case_result *c =
			    &run->result.cases[run->result.case_count - 1];
			stopped = c->verdict == CASE_ERROR && !run->options->keep_going;
		}
	}
	run->result.interrupted = cli_interrupted(NULL);
	return 0;
}

int cli_run_cases(const struct options *options, const char *command,
		  const struct case_options *cases, cli_after_fn *after)
{
	struct run run = {.options = options, .after = after};
	struct err err = ERR_INIT;
	int code = 0;

	cli_catch_interrupts();
	result_init(&run.result, command, options->seed);
	run.result.sqlite_version = xstrdup(sqlite3_libversion());
	run.result.sqlite_source_id = xstrdup(sqlite3_sourceid());
	run.result.timing = options->timing;
	progress_init(&run.progress, !options->quiet);
	run.gate.show_data = options->show_data;
	run.gate.interrupted = cli_interrupted;
	watch_set(gate_stop, &run.gate);
	run.gate.progress = progress_show;
	run.gate.ctx = &run.progress;
	run.gate.recoveries_max = options->has_budget ? options->budget_recoveries : 0;
	if (options->has_budget && options->budget_seconds > 0)
		run.gate.deadline_ns = gate_now_ns() + options->budget_seconds * 1000000000u;
	run.gate.depth = options->depth;
	run.gate.representative = options->representative;
	run.gate.jobs = options->jobs != 0 ? options->jobs : workers_standard();

	int rc = load_all(&run, cases, &err);
	if (rc == 0 && options->list) {
		loaded_list_print(&run.loaded);
		goto out;
	}
	if (rc == 0 && !cases->unjudged) /* a table judges nothing */
		rc = waive_load(options, &run.loaded, &run.waive, &err);
	if (rc == 0)
		rc = cli_check_outputs(options, &err);
	if (rc == 0)
		rc = cli_open_resume(options, &run.gate, &err);
	if (rc == 0)
		rc = fi_vfs_register(&err);
	if (rc == 0)
		rc = run_all(&run, &err);
	progress_clear(&run.progress);
	waive_release(&run.waive);
	cli_close_resume(options, &run.gate);
	if (rc == 0 && options->command == COMMAND_RUN)
		cli_tell_stories(options, &run.gate, &run.result);
	code = rc != 0 ? cli_fail(&err) : cli_finish(options, &run.result, &run.gate);
out:
	if (rc != 0 && code == 0)
		code = cli_fail(&err);
	loaded_list_release(&run.loaded);
	gate_release(&run.gate);
	result_release(&run.result);
	return code;
}

int cmd_run(const struct options *options)
{
	static const struct case_options cases = {.default_require = GRADE_DURABLE};

	return cli_run_cases(options, "run", &cases, NULL);
}
