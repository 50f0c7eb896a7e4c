/*
 * `plugpull run`: records every case of the scenarios, explores it, judges it.
 *
 * All scenario files are read and all cases expanded before the first one runs, so that a mistake
 * in the last file costs nothing.
 */
#include "harness/cli/command.h"
#include "harness/cli/progress.h"

#include "faultinject/base/buf.h"
#include "faultinject/model.h"
#include "faultinject/vfs.h"
#include "harness/drive/gate.h"
#include "harness/drive/watch.h"
#include "harness/drive/plant.h"
#include "harness/drive/record.h"
#include "harness/drive/workload.h"
#include "reports/report_dir.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct loaded {
	struct scenario *scenario;
	struct case_list cases;
	char *name; /* relative path without .sql */
};

struct run {
	const struct options *options;
	struct loaded *loaded;
	size_t loaded_count;
	size_t total; /* cases */
	struct gate gate;
	struct result result;
	struct progress progress;
};

/* A defect that the workload cannot carry would be a control that controls nothing. */
static int check_plant(const struct scenario *s, struct err *err)
{
	const struct defect *d = s->plant == NULL ? NULL : plant_find(s->plant);

	if (d == NULL || !d->in_workload)
		return 0;
	const struct workload *w = s->workload == NULL ? NULL : workload_find(s->workload);
	for (size_t i = 0; w != NULL && i < w->defect_count; i++)
		if (strcmp(w->defects[i], s->plant) == 0)
			return 0;
	return err_set(err, ERR_INPUT, "%s:%d: the defect '%s' needs a workload that can carry it",
		       s->path, s->plant_line, s->plant);
}

static int check_models(const struct options *options, struct err *err)
{
	struct model model;
	int rc = 0;

	for (size_t i = 0; i < options->model_count && rc == 0; i++) {
		rc = model_find(options->models[i], &model, err);
		if (rc != 0)
			(void)err_context(err, "option --model");
	}
	return rc;
}

static int load_all(struct run *run, struct err *err)
{
	const struct options *o = run->options;
	struct scenario_path *paths = NULL;
	size_t count = 0;
	struct case_options case_options = {
	    .models = (const char *const *)o->models,
	    .model_count = o->model_count,
	    .set = o->set.count > 0 ? &o->set : NULL,
	    .require = o->has_require ? &o->require : NULL,
	    .default_require = GRADE_DURABLE,
	    .glob = o->case_glob,
	    .shard_index = o->shard_index,
	    .shard_count = o->shard_count,
	};
	int rc = check_models(o, err);

	if (rc == 0)
		rc = scenario_collect(o->args, o->arg_count, &paths, &count, err);
	if (rc != 0)
		return rc;
	run->loaded = xcalloc(count, sizeof *run->loaded);
	for (size_t i = 0; i < count && rc == 0; i++) {
		struct loaded *l = &run->loaded[i];
		rc = scenario_load(paths[i].path, cli_vocabulary(), &l->scenario, err);
		if (rc != 0)
			break;
		run->loaded_count = i + 1;
		l->name = xstrdup(paths[i].relative);
		size_t length = strlen(l->name);
		if (length > 4 && strcmp(l->name + length - 4, ".sql") == 0)
			l->name[length - 4] = '\0';
		rc = check_plant(l->scenario, err);
		if (rc == 0)
			rc = scenario_cases(l->scenario, paths[i].relative, cli_vocabulary(),
					    &case_options, &l->cases, err);
		run->total += l->cases.count;
	}
	scenario_paths_free(paths, count);
	return rc;
}

static void describe(struct case_result *c, const struct loaded *l, const struct case_spec *spec)
{
	c->id = xstrdup(spec->id);
	c->scenario = xstrdup(l->name);
	c->title = xstrdup(l->scenario->title);
	c->model = xstrdup(spec->model);
	for (size_t i = 0; i < spec->config.count; i++)
		kv_set(&c->config, spec->config.items[i].key, spec->config.items[i].value);
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
	c->has_required = !spec->has_expect;
	c->grade = GRADE_NONE;
}

static int run_case(struct run *run, const struct loaded *l, const struct case_spec *spec,
		    struct err *err)
{
	struct case_result *c = result_add(&run->result);
	struct subject *subject = subject_from_scenario(l->scenario, spec, run->options->seed);
	struct trace *t = NULL;
	char *skip = NULL;

	describe(c, l, spec);
	int rc = record_case(l->scenario, spec, subject, &t, &skip, err);
	if (rc == 0 && skip != NULL) {
		c->verdict = CASE_SKIPPED;
		c->reason = skip;
	} else if (rc == 0) {
		rc = gate_explore(&run->gate, subject, t, c, err);
	}
	if (rc == ERR_INTERRUPTED) {
		c->verdict = CASE_INCONCLUSIVE;
		c->reason =
		    xstrdup(cli_interrupted(NULL) ? "interrupted"
						  : "budget spent before it could be explored");
		rc = 0;
	}
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

	for (size_t i = 0; i < run->loaded_count; i++) {
		const struct loaded *l = &run->loaded[i];
		for (size_t k = 0; k < l->cases.count; k++) {
			const struct case_spec *spec = &l->cases.items[k];
			progress_case(&run->progress, done++, run->total);
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

static void list_cases(const struct run *run)
{
	for (size_t i = 0; i < run->loaded_count; i++)
		for (size_t k = 0; k < run->loaded[i].cases.count; k++)
			puts(run->loaded[i].cases.items[k].id);
}

int cmd_run(const struct options *options)
{
	struct run run = {.options = options};
	struct err err = ERR_INIT;
	int code = 0;

	cli_catch_interrupts();
	result_init(&run.result, "run", options->seed);
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

	int rc = load_all(&run, &err);
	if (rc == 0 && run.total == 0 && run.loaded_count > 0)
		fprintf(stderr, "plugpull: --case and --shard leave no case of %zu scenario%s\n",
			run.loaded_count, run.loaded_count == 1 ? "" : "s");
	if (rc == 0 && options->list) {
		list_cases(&run);
		goto out;
	}
	if (rc == 0)
		rc = cli_check_outputs(options, &err);
	if (rc == 0)
		rc = fi_vfs_register(&err);
	if (rc == 0)
		rc = run_all(&run, &err);
	progress_clear(&run.progress);
	code = rc != 0 ? cli_fail(&err) : cli_finish(options, &run.result, &run.gate);
out:
	if (rc != 0 && code == 0)
		code = cli_fail(&err);
	for (size_t i = 0; i < run.loaded_count; i++) {
		case_list_release(&run.loaded[i].cases);
		scenario_free(run.loaded[i].scenario);
		free(run.loaded[i].name);
	}
	free(run.loaded);
	gate_release(&run.gate);
	result_release(&run.result);
	return code;
}
