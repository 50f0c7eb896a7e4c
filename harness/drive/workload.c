/* The list of workloads and their parameters; see workload.h. */
#include "harness/drive/workload.h"

#include "faultinject/base/assert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct workload *const workloads[] = {&workload_archival, &workload_clock,
						   &workload_conversations, &workload_filesystem,
						   &workload_workflow};

const struct workload *const *workload_all(size_t *ret_count)
{
	*ret_count = sizeof workloads / sizeof workloads[0];
	return workloads;
}

const struct workload *workload_find(const char *name)
{
	for (size_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++)
		if (strcmp(workloads[i]->name, name) == 0)
			return workloads[i];
	return NULL;
}

void workload_connection(const struct workload_env *env, uint16_t number)
{
	if (env->connection != NULL)
		env->connection(env->ctx, number);
}

static const struct workload_param *find_param(const struct workload *w, const char *name)
{
	for (size_t i = 0; i < w->param_count; i++)
		if (strcmp(w->params[i].name, name) == 0)
			return &w->params[i];
	return NULL;
}

int64_t workload_param(const struct workload *w, const struct kv_list *params, const char *name)
{
	const struct workload_param *p = find_param(w, name);
	const char *value = kv_find(params, name);

	ASSERT(p != NULL);
	return value == NULL ? p->standard : strtoll(value, NULL, 10);
}

int workload_check_param(const struct workload *w, const char *key, const char *value,
			 struct err *err)
{
	const struct workload_param *p = find_param(w, key);
	char *end;

	if (p == NULL)
		return err_set(err, ERR_USAGE, "workload %s has no parameter '%s'", w->name, key);
	errno = 0;
	long long n = strtoll(value, &end, 10);
	if (errno != 0 || end == value || *end != '\0' || n < p->min || n > p->max)
		return err_set(err, ERR_USAGE,
			       "workload %s: %s is a number from %lld to %lld, not '%s'", w->name,
			       key, (long long)p->min, (long long)p->max, value);
	return 0;
}
