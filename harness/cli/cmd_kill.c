/*
 * `plugpull kill`: runs scenarios as real processes on real files, kills them, reopens, checks. See
 * harness/drive/kill.h for what is killed when.
 *
 * The disk model of --model is that of the power cuts alone.
 *
 * A case stands under the name "kill" where `run` has a disk model: no disk is simulated, so
 * @models does not multiply the cases, and conditions on a model do not hold.
 */
#include "harness/cli/command.h"
#include "harness/cli/kill_program.h"
#include "harness/cli/load.h"

#include "faultinject/base/buf.h"
#include "harness/drive/gate.h"
#include "harness/drive/kill.h"
#include "harness/drive/kill_resume.h"
#include "harness/drive/workers.h"
#include "reports/report_dir.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	PROGRESS_INTERVAL_NS = 100 * 1000 * 1000,
	/* Most of a round is waiting. */
	KILL_LANES_PER_PROCESSOR = 3,
};
#define PLAIN_INTERVAL_NS    30000000000u
#define POWER_MODEL_STANDARD "strict-posix"

struct run {
	const struct options *options;
	struct loaded_list loaded;
	struct kill_options kill;
	uint64_t deadline_ns; /* of all cases; 0: none */
	struct result result;
	bool tty, drawn;
	uint64_t progress_ns;
};

/* ---- scenarios ---- */

static bool knows_model(const char *name, struct err *err)
{
	return strcmp(name, KILL_MODEL) == 0 || cli_vocabulary()->model(name, err);
}

static int load_all(struct run *run, struct err *err)
{
	static const char *const models[] = {KILL_MODEL};
	struct scenario_vocabulary vocabulary = *cli_vocabulary();

	vocabulary.model = knows_model;
	vocabulary.kills = true;
	return loaded_list_load(run->options, models, 1, &vocabulary, &run->loaded, err);
}

static void release_all(struct run *run)
{
	loaded_list_release(&run->loaded);
}

/* The disk of the power cuts. A scenario that is not made for the standard one says nothing about
 * it: then the first that it is made for. */
static const char *power_model(const struct options *o, const struct scenario *s)
{
	if (o->model_count > 0)
		return o->models[0];
	for (size_t i = 0; i < s->model_count; i++)
		if (strcmp(s->models[i], POWER_MODEL_STANDARD) == 0)
			return POWER_MODEL_STANDARD;
	return s->model_count > 0 ? s->models[0] : POWER_MODEL_STANDARD;
}

/* The same case under the model of the power cuts: what the scenario requires after one. */
static int find_power(const struct run *run, const struct loaded *l, const char *id,
		      struct case_list *ret, const struct case_spec **ret_spec, struct err *err)
{
	const char *model = power_model(run->options, l->scenario);
	struct scenario_vocabulary vocabulary = *cli_vocabulary();
	struct case_options options = {
	    .models = &model,
	    .model_count = 1,
	    .set = run->options->set.count > 0 ? &run->options->set : NULL,
	    .require = run->options->has_require ? &run->options->require : NULL,
	    .default_require = GRADE_DURABLE,
	};
	int rc;

	vocabulary.kills = true;
	rc = scenario_cases(l->scenario, l->name, &vocabulary, &options, ret, err);
	/* "name@kill[...]" and "name@model[...]" are the same but for the model. */
	const char *settings = strchr(strrchr(id, '@'), '[');

	for (size_t i = 0; i < ret->count && rc == 0; i++) {
		const char *other = strchr(strrchr(ret->items[i].id, '@'), '[');

		if (strcmp(settings == NULL ? "" : settings, other == NULL ? "" : other) == 0)
			*ret_spec = &ret->items[i];
	}
	return rc;
}

/* ---- progress ---- */

static void show_progress(void *ctx, const char *case_id, uint64_t rounds, uint64_t kills)
{
	struct run *run = ctx;
	uint64_t now = gate_now_ns();
	uint64_t interval = run->tty ? (uint64_t)PROGRESS_INTERVAL_NS : PLAIN_INTERVAL_NS;

	if (run->options->quiet || now - run->progress_ns < interval)
		return;
	run->progress_ns = now;
	fprintf(stderr, "%s%.60s: %" PRIu64 " rounds, %" PRIu64 " kills%s",
		run->tty ? "\r\033[K" : "", case_id, rounds, kills, run->tty ? "" : "\n");
	(void)fflush(stderr);
	run->drawn = run->tty;
}

static void clear_progress(struct run *run)
{
	if (run->drawn) {
		fputs("\r\033[K", stderr);
		(void)fflush(stderr);
	}
	run->drawn = false;
}

/* ---- cases ---- */

static void describe(struct case_result *c, const struct loaded *l, const struct case_spec *spec)
{
	c->id = xstrdup(spec->id);
	c->scenario = xstrdup(l->name);
	c->file = loaded_file(l);
	c->title = xstrdup(l->scenario->title);
	for (size_t i = 0; i < spec->config.count; i++)
		kv_set(&c->config, spec->config.items[i].key, spec->config.items[i].value);
	for (size_t i = 0; i < spec->workload_params.count; i++) {
		char *key = xasprintf("workload.%s", spec->workload_params.items[i].key);

		kv_set(&c->config, key, spec->workload_params.items[i].value);
		free(key);
	}
	for (size_t i = 0; i < spec->kill_params.count; i++) {
		char *key = xasprintf("kill.%s", spec->kill_params.items[i].key);

		kv_set(&c->config, key, spec->kill_params.items[i].value);
		free(key);
	}
}

/* A budget in seconds is for all cases: each gets its share of what is left. */
static void share_budget(struct run *run, size_t cases_left)
{
	uint64_t now = gate_now_ns();

	if (run->deadline_ns == 0)
		return;
	run->kill.deadline_ns =
	    run->deadline_ns <= now ? now : now + (run->deadline_ns - now) / cases_left;
}

static int run_case(struct run *run, const struct loaded *l, const struct case_spec *spec,
		    struct err *err)
{
	struct case_result *c = result_add(&run->result);
	struct case_list power = {0};

	describe(c, l, spec);
	run->kill.power = NULL;
	int rc = find_power(run, l, spec->id, &power, &run->kill.power, err);

	if (rc == 0)
		rc = kill_case(l->scenario, spec, &run->kill, c, err);
	case_list_release(&power);

	if (rc != 0 && run->options->keep_going) {
		c->verdict = CASE_ERROR;
		c->reason = xstrdup(err->message);
		rc = 0;
	}
	clear_progress(run);
	if (rc == 0)
		cli_print_case(run->options, c);
	return rc;
}

static int run_all(struct run *run, struct err *err)
{
	size_t left = run->loaded.case_total;

	for (size_t i = 0; i < run->loaded.count; i++) {
		for (size_t k = 0; k < run->loaded.items[i].cases.count; k++) {
			if (cli_interrupted(NULL))
				goto out;
			share_budget(run, left--);
			int rc = run_case(run, &run->loaded.items[i],
					  &run->loaded.items[i].cases.items[k], err);

			if (rc != 0)
				return rc;
			const struct case_result *c =
			    &run->result.cases[run->result.case_count - 1];

			if (c->verdict == CASE_ERROR && !run->options->keep_going)
				goto out;
		}
	}
out:
	run->result.interrupted = cli_interrupted(NULL);
	return 0;
}

static void set_options(struct run *run, const struct options *o, const char *faketime)
{
	run->kill = (struct kill_options){
	    .seed = o->seed,
	    .rounds_max = o->has_budget ? o->budget_recoveries : KILL_ROUNDS_STANDARD,
	    .show_data = o->show_data,
	    .require = o->has_require ? &o->require : NULL,
	    .faketime = faketime,
	    .jobs = o->jobs != 0 ? o->jobs : KILL_LANES_PER_PROCESSOR * workers_standard(),
	    .stop = cli_interrupted,
	    .progress = show_progress,
	    .ctx = run,
	};
	if (o->has_budget && o->budget_seconds > 0)
		run->deadline_ns = gate_now_ns() + o->budget_seconds * 1000000000u;
}

static int open_resume(struct run *run, const char *path, struct err *err)
{
	uint64_t torn = 0;
	int rc = kill_resume_open(path, &run->kill.resume, &torn, err);

	if (rc == 0 && torn > 0 && !run->options->quiet)
		fprintf(stderr, "plugpull: %s: cut %" PRIu64 " bytes that were no whole record\n",
			path, torn);
	return rc;
}

static int kill_scenarios(const struct options *options)
{
	struct run run = {.options = options};
	struct err err = ERR_INIT;
	char *faketime = kill_find_faketime();
	int code = 0;

	cli_catch_interrupts();
	result_init(&run.result, "kill", options->seed);
	run.result.sqlite_version = xstrdup(sqlite3_libversion());
	run.result.sqlite_source_id = xstrdup(sqlite3_sourceid());
	run.result.timing = options->timing;
	run.tty = isatty(STDERR_FILENO) == 1;
	run.progress_ns = gate_now_ns();
	set_options(&run, options, faketime);

	int rc = 0;

	if (options->model_count > 1)
		rc = err_set(&err, ERR_USAGE, "option --model: `kill` takes one, for power cuts");
	if (rc == 0)
		rc = load_all(&run, &err);
	if (rc == 0 && options->list) {
		loaded_list_print(&run.loaded);
		goto out;
	}
	if (rc == 0 && options->report != NULL)
		rc = report_dir_check(options->report, &err);
	if (rc == 0 && options->resume != NULL)
		rc = open_resume(&run, options->resume, &err);
	if (rc == 0)
		rc = run_all(&run, &err);
	clear_progress(&run);
	code = rc != 0 ? cli_fail(&err) : cli_finish(options, &run.result, NULL);
out:
	kill_resume_close(run.kill.resume);
	release_all(&run);
	result_release(&run.result);
	free(faketime);
	return code;
}

int cmd_kill(const struct options *options)
{
	struct err err = ERR_INIT;

	if (cli_check_kill(options, &err) != 0)
		return cli_fail(&err);
	return options->program != NULL ? cli_kill_program(options) : kill_scenarios(options);
}
