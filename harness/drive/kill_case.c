/*
 * Prepares a case of the real kills: the folder, the jobs of its writers, the oracles with the
 * legal states that the scenario has on the simulated disk, and where one client alone writes, the
 * line of states of a run that nobody disturbs. See kill.h and kill_case.h.
 *
 * Legal states come from the simulated disk because nothing else sees the states between: a store
 * that is being created passes through schema versions that no acknowledgement marks. A recording
 * is kept short, since a long one only repeats the same schemas.
 */
#include "harness/drive/kill_case.h"

#include "faultinject/base/assert.h"
#include "faultinject/trace_index.h"
#include "faultinject/vfs.h"
#include "harness/drive/plant.h"
#include "harness/drive/record.h"
#include "harness/drive/workload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>

enum {
	/* Processes of a scenario's clients: what the others leave of a round. */
	KILL_CLIENTS_MAX =
	    KILL_PROCESSES_MAX - SCENARIO_KILL_READERS_MAX - SCENARIO_KILL_CHECKPOINTERS_MAX,
	RECORDED_REPETITIONS_MAX = 100,
	RECORDED_FIRST_CONNECTION = 2, /* record.c numbers the clients from here, @setup is 1 */
};

/* ---- subjects ---- */

static struct subject *subject_in(const struct kill_run *k, const char *folder)
{
	struct subject *s = subject_from_scenario(k->scenario, k->spec, k->options->seed);

	free(s->database);
	s->database = xasprintf("%s/main.db", folder);
	for (size_t i = 0; i < s->attached_count; i++) {
		free(s->attached[i].file);
		s->attached[i].file = xasprintf("%s/%s", folder, k->scenario->attached[i].file);
	}
	return s;
}

/* ---- oracles ---- */

static const struct workload_param *workload_parameter(const struct workload *w, const char *name)
{
	for (size_t i = 0; i < w->param_count; i++)
		if (strcmp(w->params[i].name, name) == 0)
			return &w->params[i];
	return NULL;
}

static void copy_params(struct kv_list *to, const struct kv_list *from)
{
	for (size_t i = 0; i < from->count; i++)
		kv_set(to, from->items[i].key, from->items[i].value);
}

/* Records a short run without its planted defect: what is legal is what the defect spoils. */
static void shorten(const struct workload *w, const struct workload_param *p,
		    struct kv_list *params)
{
	char *number;

	if (p->recorded_max == 0 || workload_param(w, params, p->name) <= p->recorded_max)
		return;
	number = xasprintf("%lld", (long long)p->recorded_max);
	kv_set(params, p->name, number);
	free(number);
}

static int record_short(struct kill_run *k, char **ret_skip_reason, struct err *err)
{
	struct scenario s = *k->scenario;
	struct case_spec spec = *k->spec;
	struct kv_list params = {0};
	int rc;

	s.plant = NULL;
	s.clients = xcalloc(s.client_count, sizeof *s.clients);
	for (size_t i = 0; i < s.client_count; i++) {
		s.clients[i] = k->scenario->clients[i];
		if (s.clients[i].repeat > RECORDED_REPETITIONS_MAX)
			s.clients[i].repeat = RECORDED_REPETITIONS_MAX;
	}
	copy_params(&params, &spec.workload_params);
	if (s.workload != NULL) {
		const struct workload *w = workload_find(s.workload);

		for (size_t i = 0; i < w->param_count; i++)
			shorten(w, &w->params[i], &params);
	}
	spec.workload_params = params;
	struct subject *subject = subject_from_scenario(&s, &spec, k->options->seed);

	rc = fi_vfs_register(err);
	if (rc == 0)
		rc = record_case(&s, &spec, subject, &k->trace, ret_skip_reason, err);
	subject_free(subject);
	kv_release(&params);
	free(s.clients);
	return rc;
}

static int prepare_oracles(struct kill_run *k, char **ret_skip_reason, struct err *err)
{
	const struct workload *w =
	    k->scenario->workload == NULL ? NULL : workload_find(k->scenario->workload);
	const char *promise_sql = w == NULL ? NULL : w->promise_sql;
	struct subject *recorded;
	int rc = record_short(k, ret_skip_reason, err);

	if (rc != 0 || *ret_skip_reason != NULL)
		return rc;
	struct model model;
	rc = model_find("process-crash", &model, err);
	if (rc == 0)
		rc = trace_index_build(k->trace, &model, &k->index, err);
	if (rc != 0)
		return rc;
	/* The examiner borrows its subject, whose paths are those of the simulated disk. */
	recorded = subject_from_scenario(k->scenario, k->spec, k->options->seed);
	k->recorded_subject = recorded;
	rc = examiner_create(recorded, k->index, k->options->show_data, &k->examiner, err);
	if (rc != 0)
		return rc;
	const struct probe_list *probes = judge_probes(examiner_judge(k->examiner));

	for (size_t i = 0; i < probes->count; i++)
		(void)probe_list_add(&k->probes, probes->items[i].oracle, probes->items[i].sql);
	if (promise_sql != NULL) {
		(void)probe_list_add(&k->probes, "history", promise_sql);
		k->has_promise_sql = true;
	}
	return 0;
}

/* ---- jobs ---- */

/* What all jobs have in common. */
static struct kill_job plain_job(const struct kill_run *k, enum kill_role role,
				 struct subject *subject)
{
	return (struct kill_job){
	    .role = role,
	    .path = k->scenario->path,
	    .subject = subject,
	    .plant = k->scenario->plant,
	    .seed = k->options->seed,
	};
}

static size_t number_of(const struct kill_run *k, const char *name, size_t standard)
{
	const char *value = kv_find(&k->spec->kill_params, name);

	return value == NULL ? standard : (size_t)strtoull(value, NULL, 10);
}

static void workload_jobs(struct kill_run *k)
{
	const struct workload *w = workload_find(k->scenario->workload);
	const struct kv_list *params = &k->spec->workload_params;
	bool can_migrate = workload_parameter(w, "migrate") != NULL;

	k->job_count = number_of(k, "writers", KILL_WORKERS);
	for (size_t i = 0; i < k->job_count; i++) {
		struct kill_job *job = &k->jobs[i];

		*job = plain_job(k, KILL_ROLE_WRITER, k->subject);
		job->workload = k->scenario->workload;
		job->worker = (uint32_t)i;
		copy_params(&job->params, params);
		if (can_migrate)
			kv_set(&job->params, "migrate", "0");
	}
	k->has_migration = can_migrate && workload_param(w, params, "migrate") == 1;
	if (k->has_migration) {
		k->migration = plain_job(k, KILL_ROLE_WRITER, k->subject);
		k->migration.workload = k->scenario->workload;
		copy_params(&k->migration.params, params);
		kv_set(&k->migration.params, "migrate", "1");
	}
}

static struct kill_client client_of(const struct scenario *s, size_t i)
{
	const struct scenario_client *c = &s->clients[i];

	return (struct kill_client){
	    .name = c->name,
	    .index = (uint32_t)i,
	    .repeat = c->repeat,
	    .statements = c->statements,
	    .from = {.turn = 0, .repetition = 1, .statement = 0},
	};
}

/* One job for each process, in the order in which the file names them. */
static int client_jobs(struct kill_run *k, struct err *err)
{
	const struct scenario *s = k->scenario;
	uint32_t processes[KILL_CLIENTS_MAX] = {0};

	if (kv_find(&k->spec->kill_params, "writers") != NULL)
		return err_set(
		    err, ERR_INPUT,
		    "%s: kill.writers is for @workload; here the clients are the writers", s->path);
	for (size_t i = 0; i < s->client_count; i++) {
		size_t at = 0;

		while (at < k->job_count && processes[at] != s->clients[i].process)
			at++;
		if (at == KILL_CLIENTS_MAX)
			return err_set(err, ERR_LIMIT, "%s: more than %d processes", s->path,
				       KILL_CLIENTS_MAX);
		struct kill_job *job = &k->jobs[at];

		if (at == k->job_count) {
			processes[k->job_count++] = s->clients[i].process;
			*job = plain_job(k, KILL_ROLE_WRITER, k->subject);
			job->worker = (uint32_t)at;
			job->clients = xcalloc(s->client_count, sizeof *job->clients);
		}
		if (i == k->writing_client) {
			k->writing_job = at;
			k->writing_at = job->client_count;
		}
		job->clients[job->client_count++] = client_of(s, i);
	}
	return 0;
}

struct kill_client *kill_run_writing_client(const struct kill_run *k)
{
	return &k->jobs[k->writing_job].clients[k->writing_at];
}

/* Counts the clients whose transactions changed something in the recording, and remembers the last
 * of them. */
static size_t find_writing_clients(struct kill_run *k)
{
	const struct history *h = examiner_history(k->examiner);
	size_t count = 0;

	for (size_t i = 0; i < k->scenario->client_count; i++) {
		bool writes = false;

		for (size_t t = 0; t < h->transaction_count; t++)
			writes = writes ||
				 h->transactions[t].connection == RECORDED_FIRST_CONNECTION + i;
		count += writes;
		if (writes)
			k->writing_client = i;
	}
	return count;
}

/* ---- readers and checkpointers ---- */

/* Whether the database has a log: the case says so, or @setup left it so, or it is the store's. */
static bool has_log(const struct kill_run *k)
{
	enum { READ_VERSION = 19, WITH_LOG = 2 };
	const char *mode = kv_find(&k->spec->config, "journal_mode");
	char *path;
	uint8_t version = 0;
	bool found;

	if (mode != NULL)
		return strcasecmp(mode, "wal") == 0;
	if (k->scenario->workload != NULL)
		return true;
	path = xasprintf("%s/main.db", k->folder.base);
	FILE *f = fopen(path, "rb");

	free(path);
	if (f == NULL)
		return false;
	found = fseek(f, READ_VERSION, SEEK_SET) == 0 && fread(&version, 1, 1, f) == 1;
	(void)fclose(f);
	return found && version == WITH_LOG;
}

static void add_jobs(struct kill_run *k, enum kill_role role, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct kill_job *job = &k->jobs[k->job_count++];

		*job = plain_job(k, role, k->subject);
		job->worker = (uint32_t)i;
		if (role == KILL_ROLE_READER)
			job->reading = &k->reading;
	}
}

static void other_jobs(struct kill_run *k)
{
	const char *locking = kv_find(&k->spec->config, "locking_mode");
	size_t readers = number_of(k, "readers", KILL_READERS);
	size_t checkpointers = number_of(k, "checkpointers", KILL_CHECKPOINTERS);

	k->writer_count = k->job_count;
	if (locking != NULL && strcasecmp(locking, "exclusive") == 0) {
		k->no_readers = xstrdup("locking_mode=exclusive keeps everybody else out");
		return;
	}
	add_jobs(k, KILL_ROLE_READER, readers);
	if (has_log(k))
		add_jobs(k, KILL_ROLE_CHECKPOINTER, checkpointers);
}

/* What a reader sees of several files is not one moment of them: SQLite lets the files of a
 * transaction go one after another. */
static void prepare_reading(struct kill_run *k)
{
	bool several = k->scenario->attached_count > 0;

	k->reading = (struct kill_reading){
	    .judge = examiner_judge(k->examiner),
	    .probes = &k->probes,
	    .has_promise_sql = k->has_promise_sql,
	    .several_files = several,
	    .states = several ? NULL : k->states,
	    .state_count = several ? 0 : k->state_count,
	};
}

/* ---- setup and reference: one writer alone, which nobody kills ---- */

/* On success the caller releases the round. */
static int run_alone(struct kill_run *k, const struct kill_job *job, struct kill_round *ret,
		     struct err *err)
{
	*ret = (struct kill_round){
	    .writer_count = 1,
	    .kill_ns = UINT64_MAX,
	    .delay_ns = UINT64_MAX,
	    .folder = &k->folder,
	    .stop = k->options->stop,
	    .ctx = k->options->ctx,
	};
	ret->writers[0].job = job;
	int rc = kill_round_run(ret, err);

	if (rc == 0 && ret->interrupted)
		rc = err_set(err, ERR_INTERRUPTED, "interrupted");
	if (rc == 0 && ret->writers[0].end == KILL_END_FAILED) {
		*err = ret->writers[0].error;
		rc = err->code;
	}
	if (rc == 0 && ret->writers[0].end != KILL_END_FINISHED)
		rc = err_set(err, ERR_HARNESS, "%s: a writer that nobody disturbed did not end",
			     job->path);
	if (rc != 0)
		kill_round_release(ret);
	return rc;
}

static int run_setup(struct kill_run *k, struct err *err)
{
	struct kill_job job = plain_job(k, KILL_ROLE_SETUP, k->setup_subject);
	struct kill_round r;
	int rc;

	if (!k->scenario->has_setup)
		return 0;
	job.setup = k->scenario->setup;
	rc = run_alone(k, &job, &r, err);
	if (rc == 0)
		kill_round_release(&r);
	return rc;
}

static int share_over(struct kill_run *k, struct err *err)
{
	void *map =
	    mmap(NULL, sizeof *k->over, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		return err_set(err, ERR_HARNESS, "cannot share memory: %s", strerror(errno));
	k->over = map;
	return 0;
}

static void durability_unknown(struct kill_run *k, char *reason)
{
	free(k->unknown);
	k->unknown = reason;
	free(k->states);
	k->states = NULL;
	k->state_count = 0;
	k->can_resume = false;
}

int kill_run_reference(struct kill_run *k, bool reopen, struct err *err)
{
	struct kill_job job = plain_job(k, KILL_ROLE_REFERENCE, k->reference_subject);
	struct kill_client client = client_of(k->scenario, k->writing_client);
	struct kill_round r;
	int rc = kill_folder_fresh(&k->folder, k->folder.reference, err);

	job.clients = &client;
	job.client_count = 1;
	job.reopen = reopen;
	if (rc == 0)
		rc = run_alone(k, &job, &r, err);
	/* What a client set up for itself (a temporary table, a pragma) is gone on a new
	 * connection; then it cannot be gone on with, but what it wrote can still be compared. */
	if (rc == ERR_INPUT && reopen)
		return kill_run_reference(k, false, err);
	if (rc != 0)
		return rc;
	struct kill_writer *w = &r.writers[0];

	if (w->impure[0] != '\0') {
		durability_unknown(
		    k, xasprintf("the client calls %s, so that no two runs are alike", w->impure));
	} else if (w->state_count > KILL_REFERENCE_TURNS_MAX + 1) {
		durability_unknown(k, xasprintf("the client has more than %d transactions",
						KILL_REFERENCE_TURNS_MAX));
	} else {
		free(k->states);
		k->states = w->states;
		k->state_count = w->state_count;
		k->can_resume = reopen;
		w->states = NULL;
		prepare_reading(k);
	}
	kill_round_release(&r);
	return 0;
}

/* ---- all of it ---- */

static bool plays_in_process(const char *plant)
{
	return strcmp(plant, PLANT_LOG_UNSYNCED) == 0 ||
	       strcmp(plant, PLANT_FOLDER_UNSYNCED) == 0 || strcmp(plant, PLANT_LOG_HOLES) == 0;
}

static char *cannot_run(const struct kill_run *k)
{
	const struct scenario *s = k->scenario;
	const struct defect *defect = s->plant == NULL ? NULL : plant_find(s->plant);

	const char *fail_sync = kv_find(&k->spec->workload_params, "fail_sync");

	if (s->workload == NULL && s->client_count == 0)
		return xstrdup("the scenario has no clients and no workload");
	if (fail_sync != NULL && strcmp(fail_sync, "0") != 0)
		return xstrdup(
		    "no sync of the kernel's can be made to fail: fail_sync is for `run`");
	if (s->clock != NULL && kill_clock_problem(k->options->faketime) != NULL)
		return xasprintf("@clock %s needs libfaketime: %s", s->clock,
				 kill_clock_problem(k->options->faketime));
	if (defect != NULL && !defect->in_workload && strcmp(s->plant, PLANT_NEVER_KILLS) != 0 &&
	    !plays_in_process(s->plant))
		return xasprintf("the defect '%s' is planted in a recording, not in a process",
				 s->plant);
	return NULL;
}

static int prepare_power(struct kill_run *k, struct err *err)
{
	if (k->options->power == NULL)
		return 0;
	k->power_subject = subject_from_scenario(k->scenario, k->options->power, k->options->seed);
	return subject_model(k->power_subject, &k->model, err);
}

int kill_run_move(struct kill_run *k, unsigned lane, struct err *err)
{
	int rc = kill_folder_lane(&k->folder, lane, err);

	if (rc == 0)
		rc = share_over(k, err);
	if (rc != 0)
		return rc;
	subject_free(k->subject);
	k->subject = subject_in(k, k->folder.data);
	for (size_t i = 0; i < k->job_count; i++)
		k->jobs[i].subject = k->subject;
	k->migration.subject = k->subject;
	kill_score_release(&k->total);
	kill_score_release(&k->score);
	return 0;
}

int kill_run_prepare(struct kill_run *k, char **ret_skip_reason, struct err *err)
{
	char *skip = cannot_run(k);
	int rc = 0;

	if (skip == NULL)
		rc = prepare_oracles(k, &skip, err);
	if (rc != 0 || skip != NULL)
		goto out;
	rc = prepare_power(k, err);
	if (rc == 0)
		rc = share_over(k, err);
	if (rc == 0)
		rc = kill_folder_create(&k->folder, err);
	if (rc != 0)
		goto out;
	size_t writing_count = find_writing_clients(k);

	k->jobs = xcalloc(KILL_PROCESSES_MAX, sizeof *k->jobs);
	k->subject = subject_in(k, k->folder.data);
	k->setup_subject = subject_in(k, k->folder.base);
	k->reference_subject = subject_in(k, k->folder.reference);
	if (k->scenario->workload != NULL)
		workload_jobs(k);
	else
		rc = client_jobs(k, err);
	if (rc == 0)
		rc = run_setup(k, err);
	k->fresh = true;
	if (rc != 0)
		goto out;
	other_jobs(k);
	if (k->scenario->workload != NULL) {
		k->can_resume = true;
		if (!k->has_promise_sql)
			durability_unknown(k, xasprintf("what '%s' acknowledges is not known",
							k->scenario->workload));
	} else if (writing_count > 1) {
		durability_unknown(
		    k,
		    xasprintf("%zu clients write, in an order that nobody records", writing_count));
	} else {
		rc = kill_run_reference(k, true, err);
	}
	if (rc == 0)
		prepare_reading(k);
out:
	*ret_skip_reason = skip;
	return rc;
}

void kill_run_release(struct kill_run *k)
{
	for (size_t i = 0; i < k->job_count; i++) {
		kv_release(&k->jobs[i].params);
		free(k->jobs[i].clients);
	}
	free(k->jobs);
	kv_release(&k->migration.params);
	subject_free(k->subject);
	subject_free(k->setup_subject);
	subject_free(k->reference_subject);
	examiner_free(k->examiner);
	subject_free(k->recorded_subject);
	trace_index_free(k->index);
	trace_free(k->trace);
	probe_list_release(&k->probes);
	kill_checker_close(&k->checker);
	subject_free(k->power_subject);
	fi_kill_log_free(k->log);
	if (k->over != NULL)
		(void)munmap((void *)k->over, sizeof *k->over);
	free(k->states);
	free(k->unknown);
	free(k->no_readers);
	free(k->promises);
	free(k->seen);
	kill_score_release(&k->score);
	kill_score_release(&k->total);
	kill_folder_remove(&k->folder);
	memset(k, 0, sizeof *k);
}
