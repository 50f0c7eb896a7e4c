/*
 * Loading scenarios for a command: every file is read and all cases are expanded before the first
 * one runs, so that a mistake in the last file costs nothing.
 */
#ifndef CLI_LOAD_H
#define CLI_LOAD_H

#include "faultinject/base/err.h"
#include "harness/cli/options.h"
#include "harness/scenario/scenario.h"

struct loaded {
	struct scenario *scenario;
	struct case_list cases;
	char *name; /* relative path without .sql */
};

struct loaded_list {
	struct loaded *items; /* owned */
	size_t count;
	size_t case_total;
};

/* Loads the scenarios that the options name and expands them over `models` (instead of @models;
 * NULL: not). `vocabulary` decides which of `models` are known; files are read with that of this
 * build. A planted defect that its workload cannot carry is ERR_INPUT. *ret holds what was loaded
 * also on failure, for loaded_list_release(). */
int loaded_list_load(const struct options *o, const char *const *models, size_t model_count,
		     const struct scenario_vocabulary *vocabulary, struct loaded_list *ret,
		     struct err *err);
/* The same for a command with axes and a floor of its own: of `base` the axes, `unjudged` and
 * `default_require` hold, the options say the rest. */
int loaded_list_load_as(const struct options *o, const char *const *models, size_t model_count,
			const struct scenario_vocabulary *vocabulary,
			const struct case_options *base, struct loaded_list *ret, struct err *err);
void loaded_list_release(struct loaded_list *list);

/* The scenario's path as the options give it, without "./" in front; of one that is given from the
 * root of the file system, which no report shows, the path as in case ids. The caller's. */
char *loaded_file(const struct loaded *l);

/* Prints the case ids (--list). */
void loaded_list_print(const struct loaded_list *list);

#endif
