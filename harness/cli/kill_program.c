/*
 * See kill_program.h, and harness/drive/foreign.h for what is done.
 *
 * The result has a case "CMD@kill", which has to be `durable`, and for each disk model a case
 * "CMD@MODEL" of the power cuts, which has to be `consistent`, like a case of `test`.
 */
#include "harness/cli/kill_program.h"

#include "harness/cli/command.h"
#include "harness/cli/explore_trace.h"
#include "harness/cli/watched.h"

#include "faultinject/base/buf.h"
#include "faultinject/vfs.h"
#include "harness/drive/foreign.h"
#include "harness/drive/kill.h"
#include "harness/drive/kill_resume.h"
#include "harness/drive/promises.h"
#include "harness/drive/watch.h"

#include <inttypes.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	NAME_SIZE_MAX = 100, /* bytes of the command line in a case id */
	PROGRESS_INTERVAL_NS = 100 * 1000 * 1000,
};
#define PLAIN_INTERVAL_NS 30000000000u

struct killing {
	const struct options *options;
	char *label, *name;
	struct scenario *invariants;
	struct program_options program;
	bool has_ack;
	enum history_ack ack; /* of the first run */
	bool tty, drawn;
	uint64_t progress_ns;
};

int cli_check_kill(const struct options *o, struct err *err)
{
	bool scenarios = o->case_glob != NULL || o->list || o->shard_count != 0 || o->keep_going;
	bool programs =
	    o->has_ack || o->invariant != NULL || o->timeout_seconds != OPTIONS_TIMEOUT_STANDARD;

	if (o->program != NULL && scenarios)
		return err_set(err, ERR_USAGE,
			       "--case, --list, --shard and --keep-going are for scenarios, and "
			       "`kill -- CMD` has none");
	if (o->program != NULL && o->jobs != 0)
		return err_set(
		    err, ERR_USAGE,
		    "--jobs is for scenarios: a program works on its own databases, once "
		    "at a time");
	if (o->program == NULL && programs)
		return err_set(err, ERR_USAGE,
			       "--ack, --invariant and --timeout are for `kill -- CMD`; a scenario "
			       "says what it promises");
	return 0;
}

/* ---- what drive/ asks ---- */

static int make_subject(void *ctx, const struct trace *t, const char *model,
			struct subject **ret_subject, struct err *err)
{
	struct killing *k = ctx;
	struct explored x = {
	    .label = k->label, .name = k->name, .trace = t, .invariants = k->invariants};
	struct subject *s;
	int rc = cli_make_subject(k->options, &x, model == NULL ? "process-crash" : model, &s, err);

	if (rc != 0)
		return rc;
	/* A kill has no disk model whose parameters could be set. */
	if (model == NULL)
		kv_release(&s->model_params);
	if (!k->has_ack)
		k->ack = s->ack;
	k->has_ack = true;
	*ret_subject = s;
	return 0;
}

static void show_progress(void *ctx, uint64_t rounds, uint64_t kills)
{
	struct killing *k = ctx;
	uint64_t now = gate_now_ns();
	uint64_t interval = k->tty ? (uint64_t)PROGRESS_INTERVAL_NS : PLAIN_INTERVAL_NS;

	if (k->options->quiet || now - k->progress_ns < interval)
		return;
	k->progress_ns = now;
	fprintf(stderr, "%s%.60s: %" PRIu64 " rounds, %" PRIu64 " kills%s",
		k->tty ? "\r\033[K" : "", k->name, rounds, kills, k->tty ? "" : "\n");
	(void)fflush(stderr);
	k->drawn = k->tty;
}

static void tell(void *ctx, const struct program_run *run)
{
	struct killing *k = ctx;

	cli_tell_run(run, &k->program);
}

/* Other commands end at once at a second Ctrl-C. Here the user's databases are yet to be put back,
 * and nothing that can be caught keeps us from that. */
static volatile sig_atomic_t interrupted;

static void on_signal(int signal_number)
{
	(void)signal_number;
	interrupted = 1;
}

static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	(void)sigemptyset(&action.sa_mask);
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGHUP, &action, NULL);
}

static bool stop(void *ctx)
{
	(void)ctx;
	return interrupted != 0;
}

/* ---- the command ---- */

static void set_options(const struct options *o, struct killing *k, struct foreign_options *f)
{
	static char strict[] = "strict-posix";
	static char *standard[] = {strict};

	cli_program_options(o, &k->program);
	/* stdout is the result's. */
	k->program.output = STDERR_FILENO;
	k->program.watch_output = o->has_ack && o->ack == HISTORY_ACK_OUTPUT;
	k->program.watch_marks = o->has_ack && o->ack == HISTORY_ACK_MARK;
	*f = (struct foreign_options){
	    .program = k->program,
	    .subject = make_subject,
	    .models = o->model_count > 0 ? o->models : standard,
	    .model_count = o->model_count > 0 ? o->model_count : 1,
	    .seed = o->seed,
	    .rounds_max = o->has_budget ? o->budget_recoveries : KILL_ROUNDS_STANDARD,
	    .require = o->has_require ? &o->require : NULL,
	    .show_data = o->show_data,
	    .stop = stop,
	    .progress = show_progress,
	    .tell = tell,
	    .ctx = k,
	};
	if (o->has_budget && o->budget_seconds > 0)
		f->deadline_ns = gate_now_ns() + o->budget_seconds * 1000000000u;
}

static void describe(const struct options *o, const struct killing *k, const char *model,
		     struct case_result *c)
{
	c->id = cli_explored_id(k->name, model == NULL ? KILL_MODEL : model, o);
	c->scenario = xstrdup(k->label);
	c->title = xstrdup("");
	c->model = model == NULL ? NULL : xstrdup(model);
	for (size_t i = 0; i < o->set.count; i++)
		kv_set(&c->config, o->set.items[i].key, o->set.items[i].value);
}

static int run(const struct options *o, struct killing *k, struct gate *gate, struct result *result,
	       struct err *err)
{
	struct foreign_options f;
	uint64_t torn = 0;
	int rc = 0;

	set_options(o, k, &f);
	if (o->resume != NULL)
		rc = kill_resume_open(o->resume, &f.resume, &torn, err);
	if (rc != 0)
		return err_context(err, "option --resume");
	if (torn > 0)
		fprintf(stderr, "plugpull: %s: torn: its last %" PRIu64 " bytes were cut\n",
			o->resume, torn);
	for (size_t i = 0; i < 1 + f.model_count; i++)
		describe(o, k, i == 0 ? NULL : f.models[i - 1], result_add(result));
	rc = foreign_kill(&f, gate, result->cases, err);
	kill_resume_close(f.resume);
	if (k->drawn)
		fputs("\r\033[K", stderr);
	for (size_t i = 0; i < result->case_count && rc == 0; i++) {
		struct case_result *c = &result->cases[i];

		if (k->has_ack)
			promises_note(k->ack, c);
		result->has_program_exit = c->has_program_exit;
		result->program_exit = c->program_exit;
		cli_print_case(o, c);
	}
	return rc;
}

int cli_kill_program(const struct options *o)
{
	struct killing k = {.options = o,
			    .label = cli_command_line(o->program),
			    .tty = isatty(STDERR_FILENO) == 1,
			    .progress_ns = gate_now_ns()};
	struct gate gate = {.show_data = o->show_data};
	struct err err = ERR_INIT;
	struct result result;

	k.name = xasprintf("%.*s", NAME_SIZE_MAX, k.label);
	catch_signals();
	result_init(&result, "kill", o->seed);
	result.sqlite_version = xstrdup(sqlite3_libversion());
	result.sqlite_source_id = xstrdup(sqlite3_sourceid());
	result.timing = o->timing;
	watch_set(stop, NULL);
	int rc = cli_check_explore(o, &k.invariants, &err);

	if (rc == 0)
		rc = fi_vfs_register(&err);
	if (rc == 0)
		rc = run(o, &k, &gate, &result, &err);
	result.interrupted = stop(NULL);
	int code = rc != 0 ? cli_fail(&err) : cli_finish(o, &result, &gate);

	gate_release(&gate);
	result_release(&result);
	scenario_free(k.invariants);
	free(k.name);
	free(k.label);
	return code;
}
