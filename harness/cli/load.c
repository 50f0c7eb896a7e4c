/* See load.h. */
#include "harness/cli/load.h"

#include "faultinject/base/buf.h"
#include "harness/cli/command.h"
#include "harness/drive/plant.h"
#include "harness/drive/workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static char *name_of(const char *relative)
{
	size_t size = strlen(relative);

	if (size > 4 && strcmp(relative + size - 4, ".sql") == 0)
		size -= 4;
	return xasprintf("%.*s", (int)size, relative);
}

int loaded_list_load(const struct options *o, const char *const *models, size_t model_count,
		     const struct scenario_vocabulary *vocabulary, struct loaded_list *ret,
		     struct err *err)
{
	static const struct case_options base = {.default_require = GRADE_DURABLE};

	return loaded_list_load_as(o, models, model_count, vocabulary, &base, ret, err);
}

int loaded_list_load_as(const struct options *o, const char *const *models, size_t model_count,
			const struct scenario_vocabulary *vocabulary,
			const struct case_options *base, struct loaded_list *ret, struct err *err)
{
	struct scenario_path *paths = NULL;
	size_t count = 0;
	struct case_options case_options = *base;

	case_options.models = models;
	case_options.model_count = model_count;
	case_options.set = o->set.count > 0 ? &o->set : NULL;
	case_options.require = o->has_require ? &o->require : NULL;
	case_options.glob = o->case_glob;
	case_options.shard_index = o->shard_index;
	case_options.shard_count = o->shard_count;
	int rc = scenario_collect(o->args, o->arg_count, &paths, &count, err);

	if (rc != 0)
		return rc;
	ret->items = xcalloc(count, sizeof *ret->items);
	for (size_t i = 0; i < count && rc == 0; i++) {
		struct loaded *l = &ret->items[i];
		rc = scenario_load(paths[i].path, cli_vocabulary(), &l->scenario, err);
		if (rc != 0)
			break;
		ret->count = i + 1;
		l->name = name_of(paths[i].relative);
		rc = check_plant(l->scenario, err);
		if (rc == 0)
			rc = scenario_cases(l->scenario, paths[i].relative, vocabulary,
					    &case_options, &l->cases, err);
		ret->case_total += l->cases.count;
	}
	scenario_paths_free(paths, count);
	if (rc == 0 && ret->case_total == 0)
		fprintf(stderr, "plugpull: --case and --shard leave no case of %zu scenario%s\n",
			ret->count, ret->count == 1 ? "" : "s");
	return rc;
}

void loaded_list_release(struct loaded_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		case_list_release(&list->items[i].cases);
		scenario_free(list->items[i].scenario);
		free(list->items[i].name);
	}
	free(list->items);
	memset(list, 0, sizeof *list);
}

char *loaded_file(const struct loaded *l)
{
	const char *path = l->scenario->path;
	size_t n = strlen(path);

	if (path[0] == '/')
		return xasprintf("%s%s", l->name,
				 n > 4 && strcmp(path + n - 4, ".sql") == 0 ? ".sql" : "");
	while (strncmp(path, "./", 2) == 0) {
		path += 2;
		path += strspn(path, "/");
	}
	return xstrdup(path);
}

void loaded_list_print(const struct loaded_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		for (size_t k = 0; k < list->items[i].cases.count; k++)
			puts(list->items[i].cases.items[k].id);
}
