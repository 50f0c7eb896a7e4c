/*
 * See pp_run.h. Records work (run_record.c), explores what was recorded as `explore` does with a
 * stranger's trace, with the test's check beside the oracles (run_check.c), and fills the result.
 *
 * Nothing here ends the test's process, prints, or configures SQLite, which belongs to the test.
 */
#include "harness/library/run.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/vfs.h"
#include "harness/case/version.h"
#include "harness/drive/databases.h"
#include "harness/drive/gate.h"
#include "harness/drive/own_check.h"
#include "harness/drive/promises.h"
#include "harness/drive/watch.h"
#include "harness/drive/workers.h"
#include "reports/report_dir.h"
#include "reports/words.h"

#include <ctype.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	NAME_MAX_BYTES = 128,
	VERDICTS_MAX = 16,
};

/* The process in which pp_run() is running; 0: none is. */
static pid_t running;

const char *pp_version(void)
{
	return PLUGPULL_VERSION;
}

/* ---- options ------------------------------------------------------------------------------- */

static const struct {
	enum pp_grade theirs;
	enum grade ours;
} grades[] = {
    {PP_CORRUPT, GRADE_CORRUPT}, {PP_TORN, GRADE_TORN},	    {PP_CONSISTENT, GRADE_CONSISTENT},
    {PP_DURABLE, GRADE_DURABLE}, {PP_NO_GRADE, GRADE_NONE}, {PP_STANDARD, GRADE_DURABLE},
};
enum { GRADE_ROWS = sizeof grades / sizeof grades[0] };

static enum pp_grade grade_theirs(enum grade grade)
{
	for (size_t i = 0; i < GRADE_ROWS; i++)
		if (grades[i].ours == grade)
			return grades[i].theirs;
	return PP_NO_GRADE;
}

static bool grade_ours(enum pp_grade grade, enum grade *ret)
{
	for (size_t i = 0; i < GRADE_ROWS; i++)
		if (grades[i].theirs == grade) {
			*ret = grades[i].ours;
			return true;
		}
	return false;
}

const char *pp_grade_text(enum pp_grade grade)
{
	enum grade ours = GRADE_NONE;

	return grade_ours(grade, &ours) ? grade_text(ours) : NULL;
}

/* Options with their standards filled in. */
struct asked {
	struct pp_options o;
	enum grade require;
};

static int check_name(const char *name, struct err *err)
{
	bool good = name[0] != '\0' && strlen(name) <= NAME_MAX_BYTES;

	for (const char *c = name; *c != '\0'; c++)
		good = good && (isalnum((unsigned char)*c) || strchr("._-/", *c) != NULL);
	return good ? 0
		    : err_set(err, ERR_USAGE,
			      "options->name: 1 to %d letters, digits and ./_- are expected",
			      NAME_MAX_BYTES);
}

static int read_options(const struct pp_options *options, struct asked *ret, struct err *err)
{
	struct pp_options *o = &ret->o;
	struct model model;
	int rc;

	ret->o = (struct pp_options){0};
	if (options != NULL)
		*o = *options;
	if (o->name == NULL)
		o->name = "pp_run";
	if (o->model == NULL)
		o->model = "strict-posix";
	if (o->cases == NULL)
		o->cases = CASES_DIRECTORY;
	if (o->seed == 0)
		o->seed = 1;
	if (o->jobs == 0)
		o->jobs = workers_standard();
	if (!grade_ours(o->require, &ret->require) || ret->require == GRADE_NONE)
		return err_set(err, ERR_USAGE, "options->require: %d is no grade", (int)o->require);
	if (o->jobs >= WORKERS_MAX)
		return err_set(err, ERR_USAGE, "options->jobs: at most %d", WORKERS_MAX - 1);
	if (o->seed > INT64_MAX)
		return err_set(err, ERR_USAGE, "options->seed: at most 2^63 - 1");
	rc = check_name(o->name, err);
	if (rc != 0)
		return rc;
	rc = model_find(o->model, &model, err);
	if (rc != 0)
		return err_context(err, "options->model");
	return o->report == NULL ? 0 : report_dir_check(o->report, err);
}

/* ---- results ------------------------------------------------------------------------------- */

static void put_text(char *to, size_t size, const char *text)
{
	(void)snprintf(to, size, "%s", text == NULL ? "" : text);
}

static void result_failed(struct pp_result *r, const struct err *err)
{
	r->verdict = err_exit_code(err->code) == (int)PP_BAD_USE ? PP_BAD_USE : PP_BROKEN;
	put_text(r->message, sizeof r->message, err->message);
}

static enum pp_verdict verdict_theirs(enum case_verdict verdict)
{
	switch (verdict) {
	case CASE_HELD:
		return PP_HELD;
	case CASE_VIOLATED:
		return PP_VIOLATED;
	case CASE_INCONCLUSIVE:
	case CASE_SKIPPED:
		return PP_INCONCLUSIVE;
	case CASE_ERROR:
	default:
		return PP_BROKEN;
	}
}

/* What a check that did not come back has to do with a finding of recovery. */
static const char *blame(const struct run *r, const char *oracle)
{
	bool missing =
	    r->counts != NULL && atomic_load(&r->counts->begun) != atomic_load(&r->counts->ended);

	return missing && strcmp(oracle, "recovery") == 0 ? " (check did not return)" : "";
}

static void fill(const struct run *r, const struct case_result *c, struct pp_result *to)
{
	struct buf states = {0};

	to->verdict = verdict_theirs(c->verdict);
	to->grade = grade_theirs(c->grade);
	to->exhaustive = c->exhaustive;
	to->crash_points = c->crash_points;
	to->recoveries = c->recoveries;
	to->commits = c->commits;
	to->lost = c->lost_acked_max;
	to->findings = c->violation_count;
	if (c->states != NULL) {
		words_states(&states, c->states);
		put_text(to->states, sizeof to->states, buf_str(&states));
		buf_release(&states);
	}
	if (c->violation_count > 0) {
		const struct result_violation *v = &c->violations[0];
		put_text(to->oracle, sizeof to->oracle, v->oracle);
		put_text(to->token, sizeof to->token, v->token);
		(void)snprintf(to->message, sizeof to->message, "%s: %s%s", v->oracle, v->message,
			       blame(r, v->oracle));
	}
	if (c->reason != NULL && c->verdict != CASE_VIOLATED)
		put_text(to->message, sizeof to->message, c->reason);
}

/* ---- exploring ----------------------------------------------------------------------------- */

static int write_cases(void *ctx, const char *dir, struct err *err)
{
	return gate_save_cases(ctx, dir, err);
}

static char *case_id(const struct asked *a)
{
	return xasprintf("%s@%s", a->o.name, a->o.model);
}

static int make_subject(const struct asked *a, const struct trace *t, struct subject **ret_subject,
			struct err *err)
{
	struct subject *s = subject_create();

	s->id = case_id(a);
	s->title = xstrdup("");
	s->model = xstrdup(a->o.model);
	s->seed = a->o.seed;
	s->ack = history_ack_of(t);
	if (databases_into(t, s) == 0) {
		subject_free(s);
		return err_set(err, ERR_INPUT,
			       "work wrote to no database: did it open one, on the default VFS, "
			       "with the same SQLite library that plugpull is linked with?");
	}
	*ret_subject = s;
	return 0;
}

/* A green that nothing stands behind. */
static void weigh(struct case_result *c)
{
	if (c->verdict != CASE_HELD || c->commits > 0)
		return;
	c->verdict = CASE_INCONCLUSIVE;
	c->reason = xstrdup("work committed nothing: there is nothing to lose");
}

/* Fills `gate` and `result`, which the caller releases in any case. */
static int explore_trace(const struct asked *a, const struct trace *t, struct gate *gate,
			 struct result *result, struct err *err)
{
	struct subject *s = NULL;
	struct case_result *c;
	int rc;

	*gate = (struct gate){.recoveries_max = a->o.recoveries_max,
			      .jobs = a->o.jobs,
			      .depth = 1,
			      .show_data = a->o.show_data != 0};
	result_init(result, "pp_run", a->o.seed);
	result->sqlite_version = xstrdup(sqlite3_libversion());
	result->sqlite_source_id = xstrdup(sqlite3_sourceid());
	rc = make_subject(a, t, &s, err);
	if (rc != 0)
		return rc;
	c = result_add(result);
	c->id = xstrdup(s->id);
	c->scenario = xstrdup(a->o.name);
	c->title = xstrdup("");
	c->model = xstrdup(s->model);
	c->required = a->require;
	c->has_required = true;
	watch_set(gate_stop, gate);
	rc = gate_explore(gate, s, t, c, err);
	watch_set(NULL, NULL);
	if (rc == 0) {
		promises_note(s->ack, c);
		weigh(c);
	}
	subject_free(s);
	return rc;
}

static int run_all(const struct asked *a, const struct run *r, struct pp_result *ret,
		   struct err *err)
{
	struct gate gate = {0};
	struct trace *t = NULL;
	struct result result = {0};
	int rc = run_record(r, &t, err);

	if (rc != 0)
		goto out;
	rc = explore_trace(a, t, &gate, &result, err);
	if (atomic_load(&r->counts->strayed) > 0) {
		/* Nothing that check said may be taken for what it would say elsewhere. */
		own_check_forget(true);
		gate_release(&gate);
		result_release(&result);
		rc = explore_trace(a, t, &gate, &result, err);
	}
	if (rc != 0)
		goto out;
	fill(r, &result.cases[0], ret);
	if (a->o.report != NULL)
		rc = report_dir_write(&result, a->o.report, write_cases, &gate, err);
	else if (gate.case_count > 0)
		rc = gate_save_cases(&gate, a->o.cases, err);
out:
	trace_free(t);
	gate_release(&gate);
	result_release(&result);
	return rc;
}

/* ---- one state again ----------------------------------------------------------------------- */

static int run_again(const struct case_file *c, const struct asked *a, const struct run *r,
		     struct pp_result *ret, struct err *err)
{
	struct gate_replay options = {.show_data = a->o.show_data != 0};
	struct verdict verdicts[VERDICTS_MAX];
	const struct verdict *same = NULL;
	enum grade grade = GRADE_NONE;
	uint64_t lost = 0, commits = 0;
	size_t count = 0;
	int rc =
	    gate_replay(c, &options, verdicts, VERDICTS_MAX, &count, &grade, &lost, &commits, err);

	if (rc != 0)
		return rc;
	for (size_t i = 0; i < count; i++)
		if (strcmp(verdicts[i].oracle, c->finding.oracle) == 0 &&
		    verdicts[i].grade == c->finding.grade)
			same = &verdicts[i];
	ret->verdict = same != NULL ? PP_VIOLATED : PP_HELD;
	ret->grade = grade_theirs(grade);
	ret->exhaustive = 1; /* of the one state that was asked for */
	ret->crash_points = ret->recoveries = 1;
	put_text(ret->states, sizeof ret->states, "1");
	ret->commits = commits;
	ret->lost = lost;
	ret->findings = count;
	case_file_token(c, ret->token);
	put_text(ret->oracle, sizeof ret->oracle, c->finding.oracle);
	if (same != NULL)
		(void)snprintf(ret->message, sizeof ret->message, "%s: %s%s", same->oracle,
			       same->message, blame(r, same->oracle));
	else
		(void)snprintf(ret->message, sizeof ret->message,
			       "the finding of oracle %s is gone", c->finding.oracle);
	return 0;
}

/* The case that somebody asks for; *ret_case is NULL: none, or that of another test. */
static int find_case(const struct asked *a, struct case_file **ret_case, struct err *err)
{
	const char *token = a->o.token != NULL ? a->o.token : getenv("PLUGPULL_TOKEN");
	struct case_file *c = NULL;
	char *id = NULL;
	int rc = 0;

	*ret_case = NULL;
	if (token == NULL || token[0] == '\0')
		return 0;
	rc = case_file_load(token, a->o.cases, &c, err);
	if (rc != 0)
		return err_context(err, a->o.token != NULL ? "options->token" : "$PLUGPULL_TOKEN");
	id = case_id(a);
	if (strcmp(id, c->subject->id) == 0) {
		*ret_case = c;
		c = NULL;
	} else if (a->o.token != NULL) {
		rc = err_set(err, ERR_USAGE, "options->token: it is of '%s', and this is '%s'",
			     c->subject->id, id);
	}
	case_file_free(c);
	free(id);
	return rc;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static int begin(struct err *err)
{
	int rc;

	/* A check that jumped out of its process's work would go on with the rest of the tests. */
	if (running != 0 && running != getpid())
		_exit(PP_BROKEN);
	if (running != 0)
		return err_set(err, ERR_USAGE,
			       "pp_run() is running already: setup, work or check called it, or "
			       "left it by longjmp(), an exception or a failed assertion");
	if (run_is_anything_open())
		return err_set(err, ERR_USAGE,
			       "connections that an earlier pp_run() complained of are still open");
	rc = sqlite3_initialize();
	if (rc != SQLITE_OK)
		return err_set(err, ERR_SQLITE, "sqlite3_initialize(): %s", sqlite3_errstr(rc));
	return fi_vfs_register(err);
}

/* Everything in between may fork, boot simulated machines, and call the test. */
static int run_between(struct run *r, const struct asked *a, struct pp_result *ret, struct err *err)
{
	struct sigaction standard = {.sa_handler = SIG_DFL}, before;
	struct case_file *c = NULL;
	int rc = find_case(a, &c, err);

	if (rc != 0)
		return rc;
	/* Children are waited for, which a handler, or ignoring them, would prevent. */
	(void)sigemptyset(&standard.sa_mask);
	(void)sigaction(SIGCHLD, &standard, &before);
	r->is_loud = c != NULL;
	r->counts = mmap(NULL, sizeof *r->counts, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT(r->counts != MAP_FAILED);
	if (r->check != NULL)
		own_check_set(run_check, run_strays, r);
	rc = c != NULL ? run_again(c, a, r, ret, err) : run_all(a, r, ret, err);
	own_check_set(NULL, NULL, NULL);
	(void)munmap(r->counts, sizeof *r->counts);
	(void)sigaction(SIGCHLD, &before, NULL);
	case_file_free(c);
	return rc;
}

int pp_run(pp_step_fn *setup, pp_step_fn *work, pp_check_fn *check, void *ctx,
	   const struct pp_options *options)
{
	struct run r = {
	    .setup = setup, .work = work, .check = check, .ctx = ctx, .owner = getpid()};
	struct pp_result result = {.grade = PP_NO_GRADE};
	struct asked asked = {0};
	struct err err = ERR_INIT;
	int rc = begin(&err);

	if (rc == 0) {
		running = r.owner;
		rc = work == NULL ? err_set(&err, ERR_USAGE, "work is NULL")
				  : read_options(options, &asked, &err);
		r.seed = asked.o.seed;
		if (rc == 0)
			rc = run_between(&r, &asked, &result, &err);
		fi_vfs_unregister();
		/* They were drawn from the seed: from here on nobody may foresee them. */
		sqlite3_randomness(0, NULL);
		running = 0;
	}
	if (rc != 0)
		result_failed(&result, &err);
	if (options != NULL && options->result != NULL)
		*options->result = result;
	return (int)result.verdict;
}
