/* See bench.h. */
#include "harness/bench/bench.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/vfs.h"
#include "harness/drive/observe.h"
#include "harness/drive/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

int bench_run_load(const char *path, const char *sector, struct bench_run *ret, struct err *err)
{
	struct kv_list set = {0};
	struct case_options options = {.default_require = GRADE_DURABLE, .set = &set};
	char *skip = NULL;

	*ret = (struct bench_run){0};
	kv_set(&set, "model.sector", sector);
	int rc = scenario_load(path, NULL, &ret->scenario, err);
	if (rc == 0)
		rc = scenario_cases(ret->scenario, path, NULL, &options, &ret->cases, err);
	kv_release(&set);
	if (rc != 0)
		return rc;
	ret->subject = subject_from_scenario(ret->scenario, &ret->cases.items[0], 1);
	rc =
	    record_case(ret->scenario, &ret->cases.items[0], ret->subject, &ret->trace, &skip, err);
	if (rc == 0 && skip != NULL)
		rc = err_set(err, ERR_INPUT, "%s: %s", path, skip);
	free(skip);
	return rc;
}

void bench_run_release(struct bench_run *r)
{
	trace_free(r->trace);
	subject_free(r->subject);
	case_list_release(&r->cases);
	scenario_free(r->scenario);
	memset(r, 0, sizeof *r);
}

int bench_case_open(const struct bench_run *r, const struct trace *t, struct bench_case *ret,
		    struct err *err)
{
	uint64_t *extra = NULL;
	size_t extra_count = 0;

	memset(ret, 0, sizeof *ret);
	int rc = subject_model(r->subject, &ret->model, err);
	if (rc == 0)
		rc = trace_index_build(t, &ret->model, &ret->ix, err);
	if (rc == 0)
		rc = examiner_create(r->subject, ret->ix, false, &ret->examiner, err);
	if (rc != 0)
		return rc;
	history_points(examiner_history(ret->examiner), &extra, &extra_count);
	explore_points(ret->ix, &ret->model, extra, extra_count, &ret->points);
	free(extra);
	return 0;
}

void bench_case_release(struct bench_case *c)
{
	explore_points_release(&c->points);
	examiner_free(c->examiner);
	trace_index_free(c->ix);
	memset(c, 0, sizeof *c);
}

double bench_seconds(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double cpu_of(int who)
{
	struct rusage u;

	(void)getrusage(who, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

double bench_cpu_seconds(void)
{
	return cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv, struct err *err);
	} rows[] = {
	    {"recoveries", bench_recoveries}, {"states", bench_states}, {"syncs", bench_syncs}};
	struct err err = ERR_INIT;
	int rc;

	observer_configure();
	rc = fi_vfs_register(&err);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0] && rc == 0; i++)
		if (argc > 1 && strcmp(argv[1], rows[i].name) == 0) {
			rc = rows[i].run(argc - 2, argv + 2, &err);
			if (rc == 0)
				return 0;
		}
	if (rc == 0)
		(void)err_set(&err, ERR_USAGE, "usage: plugpull-bench ROW SCENARIO ARGUMENTS");
	fprintf(stderr, "plugpull-bench: %s\n", err.message);
	return err_exit_code(err.code);
}
