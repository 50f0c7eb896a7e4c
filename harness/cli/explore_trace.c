/*
 * See explore_trace.h.
 *
 * Which of the trace's files are databases is read from the trace itself (databases.h). The first
 * of them in the order of the trace is "main"; the others are attached.
 */
#include "harness/cli/explore_trace.h"

#include "harness/cli/command.h"
#include "harness/cli/progress.h"
#include "harness/cli/stories.h"
#include "harness/cli/waive.h"

#include "faultinject/base/buf.h"
#include "faultinject/model.h"
#include "faultinject/vfs.h"
#include "harness/drive/databases.h"
#include "harness/drive/gate.h"
#include "harness/drive/promises.h"
#include "harness/drive/watch.h"
#include "harness/drive/workers.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The pragmas of a trace's own connections are what they were: those of --set are for the
 * connection that recovers. A program that is yet to run would be thought to get them. */
static int check_pragma(const struct options *o, const struct kv *kv, struct err *err)
{
	if (o->command != COMMAND_TEST)
		return 0;
	return err_set(
	    err, ERR_USAGE,
	    "option --set: '%s' is a pragma, and the program sets its own; only model.KEY "
	    "can be set",
	    kv->key);
}

static int add_set(const struct options *o, struct subject *s, struct err *err)
{
	for (size_t i = 0; i < o->set.count; i++) {
		const struct kv *kv = &o->set.items[i];
		const struct scenario_vocabulary *v = cli_vocabulary();
		if (strncmp(kv->key, "model.", 6) == 0) {
			if (!v->model_param(kv->key + 6, kv->value, err))
				return err_context(err, "option --set");
			kv_set(&s->model_params, kv->key + 6, kv->value);
		} else {
			if (check_pragma(o, kv, err) != 0)
				return ERR_USAGE;
			if (!v->pragma(kv->key, kv->value, err))
				return err_context(err, "option --set");
			kv_set(&s->pragmas, kv->key, kv->value);
		}
	}
	return 0;
}

char *cli_explored_id(const char *name, const char *model, const struct options *o)
{
	struct buf b;

	buf_init(&b);
	buf_printf(&b, "%s@%s", name, model);
	for (size_t i = 0; i < o->set.count; i++)
		buf_printf(&b, "%s%s=%s", i == 0 ? "[" : ",", o->set.items[i].key,
			   o->set.items[i].value);
	if (o->set.count > 0)
		buf_printf(&b, "]");
	(void)buf_str(&b);
	return (char *)b.data;
}

int cli_make_subject(const struct options *o, const struct explored *x, const char *model,
		     struct subject **ret_subject, struct err *err)
{
	const struct trace *t = x->trace;
	struct subject *s = subject_create();
	int rc = 0;

	s->model = xstrdup(model);
	s->seed = o->seed;
	s->ack = o->has_ack ? o->ack : history_ack_of(t);
	s->title = xstrdup("");
	if (databases_into(t, s) == 0)
		rc = err_set(err, ERR_INPUT, "%s: no database in this trace", x->label);
	if (rc == 0)
		rc = add_set(o, s, err);
	s->check = o->check == NULL ? NULL : xstrdup(o->check);
	if (x->invariants != NULL)
		subject_add_invariants(s, x->invariants);
	s->id = cli_explored_id(x->name, s->model, o);
	if (rc != 0) {
		subject_free(s);
		return rc;
	}
	*ret_subject = s;
	return 0;
}

/* What the run of the program itself says about a case that is otherwise held. */
static void weigh_program(const struct explored *x, struct case_result *c)
{
	if (!x->has_program)
		return;
	c->has_program_exit = true;
	c->program_exit = x->program_exit;
	if (x->program_exit != 0 && x->nothing == NULL)
		case_result_note(c, "the program ended with exit status %d", x->program_exit);
	if (c->verdict != CASE_HELD)
		return;
	if (c->lost_acked_max > 0)
		case_result_note(c, "a crash can lose up to %llu acknowledged commit%s",
				 (unsigned long long)c->lost_acked_max,
				 c->lost_acked_max == 1 ? "" : "s");
	if (x->cut_short != NULL) {
		c->verdict = CASE_INCONCLUSIVE;
		c->reason = xasprintf("%s; what it did until then was explored", x->cut_short);
	} else if (c->commits == 0) {
		c->verdict = CASE_INCONCLUSIVE;
		c->reason = xstrdup("the program committed nothing: there is nothing to lose");
	}
}

static int explore_model(const struct options *o, const struct explored *x, const char *model,
			 struct gate *gate, struct result *result, struct err *err)
{
	struct subject *s = NULL;
	int rc = 0;

	if (x->nothing == NULL)
		rc = cli_make_subject(o, x, model, &s, err);
	if (rc != 0)
		return rc;
	struct case_result *c = result_add(result);
	c->id = cli_explored_id(x->name, model, o);
	c->scenario = xstrdup(x->label);
	c->title = xstrdup("");
	c->model = xstrdup(model);
	for (size_t i = 0; i < o->set.count; i++)
		kv_set(&c->config, o->set.items[i].key, o->set.items[i].value);
	c->required = o->has_require ? o->require : GRADE_CONSISTENT;
	c->has_required = true;
	if (x->nothing != NULL) {
		c->verdict = CASE_INCONCLUSIVE;
		c->reason = xstrdup(x->nothing);
	} else {
		rc = cli_stopped(gate_explore(gate, s, x->trace, c, err), c);
	}
	if (rc == 0 && s != NULL)
		promises_note(s->ack, c);
	if (rc == 0) {
		weigh_program(x, c);
		cli_print_case(o, c);
	} else {
		(void)err_context(err, "%s", x->label);
	}
	subject_free(s);
	return rc;
}

static void set_gate(struct gate *gate, const struct options *o, struct progress *progress)
{
	gate->show_data = o->show_data;
	gate->interrupted = cli_interrupted;
	gate->progress = progress_show;
	gate->ctx = progress;
	gate->depth = o->depth;
	gate->representative = o->representative;
	gate->jobs = o->jobs != 0 ? o->jobs : workers_standard();
	if (o->has_budget) {
		gate->recoveries_max = o->budget_recoveries;
		if (o->budget_seconds > 0)
			gate->deadline_ns = gate_now_ns() + o->budget_seconds * 1000000000u;
	}
}

int cli_check_explore(const struct options *o, struct scenario **ret_invariants, struct err *err)
{
	struct model unused;

	for (size_t i = 0; i < o->model_count; i++)
		if (model_find(o->models[i], &unused, err) != 0)
			return err_context(err, "option --model");
	int rc = cli_check_outputs(o, err);
	struct subject *s = subject_create();

	if (rc == 0)
		rc = add_set(o, s, err);
	subject_free(s);
	/* Read for good after the program has run, and not refused only then. */
	if (rc == 0 && o->command != COMMAND_KILL) {
		struct waive waive = {0};

		rc = waive_load_here(&waive, err);
		waive_release(&waive);
	}
	if (rc == 0 && o->invariant != NULL &&
	    (rc = scenario_load_invariants(o->invariant, ret_invariants, err)) != 0)
		(void)err_context(err, "option --invariant");
	return rc;
}

static int compare_set(const void *a, const void *b)
{
	return strcmp(((const struct kv *)a)->key, ((const struct kv *)b)->key);
}

int cli_explore_trace(const struct options *options, const struct explored *x)
{
	static char strict[] = "strict-posix";
	char *standard[] = {strict};
	char **models = options->model_count > 0 ? options->models : standard;
	size_t model_count = options->model_count > 0 ? options->model_count : 1;
	struct err err = ERR_INIT;
	struct gate gate = {0};
	struct result result;
	struct progress progress;
	struct waive waive = {0};
	int rc;

	if (options->set.count > 1)
		qsort(options->set.items, options->set.count, sizeof *options->set.items,
		      compare_set);
	result_init(&result, x->command, options->seed);
	result.sqlite_version = xstrdup(sqlite3_libversion());
	result.sqlite_source_id = xstrdup(sqlite3_sourceid());
	result.timing = options->timing;
	result.has_program_exit = x->has_program;
	result.program_exit = x->program_exit;
	progress_init(&progress, !options->quiet);
	set_gate(&gate, options, &progress);
	watch_set(gate_stop, &gate);
	rc = waive_load_here(&waive, &err);
	gate.waivers = waive_here(&waive);
	gate.today = waive.today;
	if (rc == 0)
		rc = cli_open_resume(options, &gate, &err);
	if (rc == 0)
		rc = fi_vfs_register(&err);
	for (size_t i = 0;
	     i < model_count && rc == 0 && (x->nothing != NULL || !cli_interrupted(NULL)); i++) {
		progress_case(&progress, i, model_count);
		rc = explore_model(options, x, models[i], &gate, &result, &err);
	}
	progress_clear(&progress);
	cli_close_resume(options, &gate);
	result.interrupted = cli_interrupted(NULL);
	if (rc == 0)
		cli_tell_stories(options, &gate, &result);
	int code = rc != 0 ? cli_fail(&err) : cli_finish(options, &result, &gate);

	gate_release(&gate);
	waive_release(&waive);
	result_release(&result);
	return code;
}
