/* `plugpull list scenarios|models|defects`: what there is, with what people need to choose. */
#include "harness/cli/command.h"

#include "faultinject/model.h"
#include "harness/drive/plant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void list_models(void)
{
	size_t count, parameter_count;
	const struct model_info *models = model_presets(&count);
	const struct model_parameter *parameters = model_parameters(&parameter_count);

	for (size_t i = 0; i < count; i++) {
		struct buf text = {0};
		model_print(&models[i].model, &text);
		printf("%s\n  %s\n  stands for: %s\n  parameters: %s\n  sources: %s\n"
		       "  leaves out: %s\n",
		       models[i].model.name, models[i].summary, models[i].stands_for,
		       buf_str(&text), models[i].sources, models[i].leaves_out);
		buf_release(&text);
	}
	printf("\nparameters, for @define-model and --set model.KEY=VALUE; the first value is the "
	       "default\n");
	for (size_t i = 0; i < parameter_count; i++) {
		struct buf words = {0};
		for (size_t w = 0; parameters[i].words[w] != NULL; w++)
			buf_printf(&words, "%s%s", w == 0 ? "" : "|", parameters[i].words[w]);
		printf("  %s=%s\n    %s: %s\n", parameters[i].key, buf_str(&words),
		       parameters[i].rule, parameters[i].summary);
		buf_release(&words);
	}
}

static void list_defects(void)
{
	size_t count;
	const struct defect *defects = plant_defects(&count);

	for (size_t i = 0; i < count; i++)
		printf("%-30s %-10s seen by %-11s %s\n", defects[i].name, defects[i].layer,
		       defects[i].oracle, defects[i].summary);
}

static int list_scenarios(const struct options *options)
{
	/* What `init` writes, in a project that has no scenarios/. */
	bool project = access("scenarios", F_OK) != 0 && access("durability", F_OK) == 0;
	const char *const standard[] = {project ? "durability" : "scenarios"};
	const char *const *paths =
	    options->arg_count > 1 ? options->args + 1 : (const char *const *)standard;
	size_t path_count = options->arg_count > 1 ? options->arg_count - 1 : 1, count;
	struct scenario_path *found = NULL;
	struct err err = ERR_INIT;
	int rc = scenario_collect(paths, path_count, &found, &count, &err);

	if (rc != 0)
		return cli_fail(&err);
	for (size_t i = 0; i < count && rc == 0; i++) {
		struct scenario *s = NULL;
		rc = scenario_load(found[i].path, cli_vocabulary(), &s, &err);
		if (rc == 0)
			printf("%-40s %s\n", found[i].path, s->title);
		scenario_free(s);
	}
	scenario_paths_free(found, count);
	return rc == 0 ? 0 : cli_fail(&err);
}

int cmd_list(const struct options *options)
{
	const char *what = options->args[0];
	struct err err = ERR_INIT;

	if (strcmp(what, "scenarios") == 0)
		return list_scenarios(options);
	if (options->arg_count > 1) {
		(void)err_set(&err, ERR_USAGE, "list %s takes no further argument", what);
		return cli_fail(&err);
	}
	if (strcmp(what, "models") == 0) {
		list_models();
		return 0;
	}
	if (strcmp(what, "defects") == 0) {
		list_defects();
		return 0;
	}
	(void)err_set(&err, ERR_USAGE, "list: '%s' is not one of scenarios, models, defects", what);
	return cli_fail(&err);
}
