/*
 * `plugpull explore TRACE`: covers the crash states of a trace from anywhere.
 *
 * Which of its files are databases is read from the trace itself (databases.h). The first of them
 * in the order of the trace is "main"; the others are attached.
 */
#include "harness/cli/command.h"
#include "harness/cli/progress.h"

#include "faultinject/base/buf.h"
#include "faultinject/model.h"
#include "faultinject/vfs.h"
#include "harness/drive/databases.h"
#include "harness/drive/gate.h"
#include "harness/drive/watch.h"
#include "harness/drive/workers.h"
#include "reports/report_dir.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_acks(const struct trace *t)
{
	for (size_t i = 0; i < t->op_count; i++)
		if (t->ops[i].kind == OP_ACK)
			return true;
	return false;
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
			if (!v->pragma(kv->key, kv->value, err))
				return err_context(err, "option --set");
			kv_set(&s->pragmas, kv->key, kv->value);
		}
	}
	return 0;
}

static char *case_id(const char *path, const struct subject *s, const struct options *o)
{
	const char *slash = strrchr(path, '/');
	struct buf b;

	buf_init(&b);
	buf_printf(&b, "%s@%s", slash == NULL ? path : slash + 1, s->model);
	for (size_t i = 0; i < o->set.count; i++)
		buf_printf(&b, "%s%s=%s", i == 0 ? "[" : ",", o->set.items[i].key,
			   o->set.items[i].value);
	if (o->set.count > 0)
		buf_printf(&b, "]");
	(void)buf_str(&b);
	return (char *)b.data;
}

static int compare_set(const void *a, const void *b)
{
	return strcmp(((const struct kv *)a)->key, ((const struct kv *)b)->key);
}

static int make_subject(const struct options *o, const struct trace *t, const char *model,
			struct subject **ret_subject, struct err *err)
{
	struct subject *s = subject_create();
	uint8_t *database = databases_find(t);
	size_t found = 0;
	int rc = 0;

	s->model = xstrdup(model);
	s->seed = o->seed;
	s->ack_lock = !has_acks(t);
	s->title = xstrdup("");
	for (uint32_t n = 1; n <= t->name_count; n++) {
		if (!database[n])
			continue;
		if (found++ == 0) {
			s->database = xstrdup(t->names[n]);
			continue;
		}
		s->attached =
		    xgrow(s->attached, s->attached_count, &s->attached_cap, sizeof *s->attached);
		s->attached[s->attached_count++] =
		    (struct scenario_attach){xasprintf("db%zu", found), xstrdup(t->names[n])};
	}
	if (found == 0)
		rc = err_set(err, ERR_INPUT, "%s: no database in this trace", o->args[0]);
	if (rc == 0)
		rc = add_set(o, s, err);
	s->id = case_id(o->args[0], s, o);
	free(database);
	if (rc != 0) {
		subject_free(s);
		return rc;
	}
	*ret_subject = s;
	return 0;
}

static int explore_model(const struct options *o, const struct trace *t, const char *model,
			 struct gate *gate, struct result *result, struct err *err)
{
	struct subject *s = NULL;
	int rc = make_subject(o, t, model, &s, err);

	if (rc != 0)
		return rc;
	struct case_result *c = result_add(result);
	c->id = xstrdup(s->id);
	c->scenario = xstrdup(o->args[0]);
	c->title = xstrdup("");
	c->model = xstrdup(model);
	for (size_t i = 0; i < o->set.count; i++)
		kv_set(&c->config, o->set.items[i].key, o->set.items[i].value);
	c->required = o->has_require ? o->require : GRADE_CONSISTENT;
	c->has_required = true;
	rc = cli_stopped(gate_explore(gate, s, t, c, err), c);
	if (rc == 0 && s->ack_lock)
		case_result_note(c, "promises are read from the lock protocol and may be earlier "
				    "than the program's own");
	if (rc == 0)
		cli_print_case(o, c);
	else
		(void)err_context(err, "%s", o->args[0]);
	subject_free(s);
	return rc;
}

int cmd_explore(const struct options *options)
{
	static char strict[] = "strict-posix";
	char *standard[] = {strict};
	char **models = options->model_count > 0 ? options->models : standard;
	size_t model_count = options->model_count > 0 ? options->model_count : 1;
	struct err err = ERR_INIT;
	struct trace *t = NULL;
	struct case_file *c = NULL;
	struct gate gate = {0};
	struct result result;
	struct progress progress;
	struct model unused;
	int rc = 0;

	cli_catch_interrupts();
	if (options->set.count > 1)
		qsort(options->set.items, options->set.count, sizeof *options->set.items,
		      compare_set);
	result_init(&result, "explore", options->seed);
	result.sqlite_version = xstrdup(sqlite3_libversion());
	result.sqlite_source_id = xstrdup(sqlite3_sourceid());
	result.timing = options->timing;
	progress_init(&progress, !options->quiet);
	gate.show_data = options->show_data;
	gate.interrupted = cli_interrupted;
	watch_set(gate_stop, &gate);
	gate.progress = progress_show;
	gate.ctx = &progress;
	gate.depth = options->depth;
	gate.representative = options->representative;
	gate.jobs = options->jobs != 0 ? options->jobs : workers_standard();
	if (options->has_budget) {
		gate.recoveries_max = options->budget_recoveries;
		if (options->budget_seconds > 0)
			gate.deadline_ns = gate_now_ns() + options->budget_seconds * 1000000000u;
	}
	for (size_t i = 0; i < model_count && rc == 0; i++)
		rc = model_find(models[i], &unused, &err);
	if (rc != 0)
		(void)err_context(&err, "option --model");
	if (rc == 0)
		rc = cli_check_outputs(options, &err);
	if (rc == 0)
		rc = cli_load_trace(options->args[0], &t, &c, &err);
	if (rc == 0)
		rc = cli_open_resume(options, &gate, &err);
	if (rc == 0)
		rc = fi_vfs_register(&err);
	if (rc == 0 && t->torn)
		fprintf(stderr, "plugpull: %s: torn: its last %llu bytes were cut\n",
			options->args[0], (unsigned long long)t->torn_size_bytes);
	for (size_t i = 0; i < model_count && rc == 0 && !cli_interrupted(NULL); i++) {
		progress_case(&progress, i, model_count);
		rc = explore_model(options, t, models[i], &gate, &result, &err);
	}
	progress_clear(&progress);
	cli_close_resume(options, &gate);
	result.interrupted = cli_interrupted(NULL);
	int code = rc != 0 ? cli_fail(&err) : cli_finish(options, &result, &gate);
	if (c != NULL)
		case_file_free(c);
	else
		trace_free(t);
	gate_release(&gate);
	result_release(&result);
	return code;
}
