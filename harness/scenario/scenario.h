/*
 * A scenario: a SQL file with directives in comments, as docs/contract.md ("Scenario files")
 * defines it, read into a struct; and the cases that it expands to (models x matrix axes).
 *
 * Everything is owned by the scenario and immutable once loaded. Nothing here runs SQL.
 */
#ifndef SCENARIO_SCENARIO_H
#define SCENARIO_SCENARIO_H

#include "faultinject/base/err.h"
#include "harness/judge/verdict.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SCENARIO_FILE_SIZE_MAX = 4 << 20,
	SCENARIO_CASES_MAX = 4096, /* cases one scenario may expand to */
	SCENARIO_REPEAT_MAX = 1000000,
	/* @kill */
	SCENARIO_KILL_WRITERS_MAX = 32,
	SCENARIO_KILL_READERS_MAX = 16,
	SCENARIO_KILL_CHECKPOINTERS_MAX = 4,
};

struct kv {
	char *key;
	char *value;
};

struct kv_list {
	struct kv *items; /* owned, in file order */
	size_t count, cap;
};

/* The value of a key, or NULL. The last one wins where a key stands twice. */
const char *kv_find(const struct kv_list *list, const char *key);
/* Sets (replaces or appends) a key; both strings are copied. */
void kv_set(struct kv_list *list, const char *key, const char *value);
void kv_release(struct kv_list *list);

struct statement {
	char *sql; /* one complete statement */
	int line;  /* where it starts, 1-based */
	bool may_fail;
};

struct statement_list {
	struct statement *items; /* owned */
	size_t count, cap;
};

struct scenario_attach {
	char *name, *file;
};

struct scenario_axis {
	char *key; /* a pragma, "model.X", or "workload.X" */
	char **values;
	size_t value_count;
	int line;
};

/* @require and @expect; the last rule whose conditions all hold wins (per kind). */
struct scenario_rule {
	enum grade grade;
	bool expect; /* @expect: exactly this grade */
	struct kv_list conditions;
	int line;
};

struct scenario_client {
	char *name;
	uint32_t repeat;  /* at least 1 */
	uint32_t process; /* from 1; defaults to one a client */
	struct statement_list statements;
	int line;
};

struct scenario_invariant {
	char *text; /* shown to people */
	char *sql;  /* must return no row */
	int line;
};

struct scenario_batch {
	char *table, *id_column, *count_column;
};

struct scenario_order {
	char *table, *column;
};

/* @redundant: names of mutants that do no harm; see scenario_redundant.c. */
struct scenario_redundant {
	char **names; /* owned */
	size_t name_count, name_cap;
	struct kv_list conditions;
	int line;
};

/* @define-model: strict-posix with these parameters. */
struct scenario_model {
	char *name;
	struct kv_list params;
};

struct scenario {
	char *path;  /* as given to scenario_load() */
	char *text;  /* of the file, as it was read */
	char *title; /* @scenario */
	struct kv_list pragmas;
	struct scenario_attach *attached;
	size_t attached_count, attached_cap;
	char **models;
	size_t model_count, model_cap;
	struct scenario_model *defined; /* models of its own */
	size_t defined_count, defined_cap;
	struct scenario_axis *axes;
	size_t axis_count, axis_cap;
	struct scenario_rule *rules;
	size_t rule_count, rule_cap;
	struct statement_list open; /* @open */
	char **loads;		    /* @load */
	size_t load_count, load_cap;
	struct statement_list setup;
	bool has_setup, setup_crash; /* @setup [crash=yes] */
	struct scenario_client *clients;
	size_t client_count, client_cap;
	char *workload; /* @workload NAME, or NULL */
	struct kv_list workload_params;
	int workload_line;
	struct scenario_invariant *invariants;
	size_t invariant_count, invariant_cap;
	struct scenario_batch *batches;
	size_t batch_count, batch_cap;
	struct scenario_order *orders;
	size_t order_count, order_cap;
	int64_t *schema_versions; /* @schema-version; NULL when absent */
	size_t schema_version_count, schema_version_cap;
	struct scenario_redundant *redundant;
	size_t redundant_count, redundant_cap;
	char *clock;		    /* @clock, or NULL: a clock as it should be */
	struct kv_list kill_params; /* @kill */
	char *plant;		    /* @plant, or NULL */
	int plant_line;
};

/* Reads a scenario file. ERR_INPUT/ERR_IO with "path:line: ..." for anything the contract refuses:
 * unknown directive, key or value, a directive inside a statement, an incomplete statement, a
 * binary or empty file, no @scenario in the first line. Unknown pragmas, models, workloads and
 * defects are checked by the vocabulary callbacks, so that this module knows none of them. */
struct scenario_vocabulary {
	/* Each returns true when the name (or key and value) is known; where there is an `err`, it
	 * may say why not. */
	bool (*model)(const char *name, struct err *err);
	bool (*model_param)(const char *key, const char *value, struct err *err);
	/* Do the parameters of a model that a scenario defines go together? */
	bool (*model_defined)(const char *name, const struct kv_list *params, struct err *err);
	bool (*workload)(const char *name);
	bool (*workload_param)(const char *workload, const char *key, const char *value,
			       struct err *err);
	bool (*defect)(const char *name);
	bool (*clock)(const char *name);
	bool (*pragma)(const char *key, const char *value, struct err *err);
	bool kills; /* kill.X can be set: the command kills processes */
};

int scenario_load(const char *path, const struct scenario_vocabulary *vocabulary,
		  struct scenario **ret_scenario, struct err *err);
/* The same from memory; `path` is used in messages only. */
int scenario_parse(const char *path, const char *text, size_t size,
		   const struct scenario_vocabulary *vocabulary, struct scenario **ret_scenario,
		   struct err *err);
void scenario_free(struct scenario *s); /* accepts NULL */

/* Reads a file of invariants, for a trace that has no scenario: queries, each with `@invariant
 * "TEXT"` before it or named by its own first line; @open and @load as in a scenario. The result
 * has nothing but these. Errors as scenario_load(), and for a file without a query. */
int scenario_load_invariants(const char *path, struct scenario **ret_scenario, struct err *err);
int scenario_parse_invariants(const char *path, const char *text, size_t size,
			      struct scenario **ret_scenario, struct err *err);

/* The line of the first statement of @setup or of a client that sets a pragma itself, whatever a
 * case says of it; 0: none does. By its text alone. */
int scenario_sets_itself(const struct scenario *s, const char *key);

/* What the command line asks of all cases. */
struct case_options {
	const char *const *models; /* --model: replaces @models; NULL when not given */
	size_t model_count;
	const struct kv_list *set;	   /* --set; NULL when not given */
	const enum grade *require;	   /* --require: replaces @require, never @expect */
	enum grade default_require;	   /* where neither stands */
	const char *glob;		   /* --case; NULL = all */
	uint32_t shard_index, shard_count; /* --shard i/n, 1-based; 0/0 = all */
	/* Axes that take the place of the scenario's own ones and of its pragmas of these keys, and
	 * turn faster than those that stay; borrowed. */
	const struct scenario_axis *axes;
	size_t axis_count;
	bool unjudged; /* @require and @expect are passed over; --require still holds */
};

/* One case: a scenario under one model and one assignment of its axes. */
struct case_spec {
	char *id;			/* path/without.sql@model[key=value,...] */
	char *model;			/* name of a preset, or of one of the scenario's own */
	bool model_defined;		/* the latter; model_params has all that it sets */
	struct kv_list config;		/* pragmas that hold in this case, axes and --set applied */
	struct kv_list model_params;	/* model.X without the prefix */
	struct kv_list workload_params; /* workload.X without the prefix, over the file's own */
	struct kv_list kill_params;	/* kill.X likewise */
	bool has_expect;
	bool has_required; /* false: @expect decides alone, or nothing is asked of the case */
	enum grade expected, required;
	const char **redundant; /* @redundant names that hold here; owned, borrowed strings */
	size_t redundant_count, redundant_cap;
};

/* Does the scenario list this mutant ("sync main.db-wal #3") as redundant in this case? */
bool case_spec_redundant(const struct case_spec *c, const char *name);
/* The first mutant that the scenario lists in this case and that is none of `names`; owned by the
 * caller. NULL: there is none. */
char *case_spec_redundant_stranger(const struct case_spec *c, const char *const *names,
				   size_t count);

struct case_list {
	struct case_spec *items; /* owned, in a stable order */
	size_t count, cap;
};

/* Expands a scenario. `relative` is the path relative to the argument that named it (case id).
 * Keys of --set: a pragma of the vocabulary (plain), model.X, workload.X, kill.X; a key that is an
 * axis picks that value, which must be one of the axis or a legal value of the pragma. An unknown
 * key is ERR_USAGE. Shards select by a stable hash of the id, so the union of all shards is
 * everything. ids: path without .sql, '@', model, and, when there are axes or --set keys, those
 * keys sorted in brackets. */
int scenario_cases(const struct scenario *s, const char *relative,
		   const struct scenario_vocabulary *vocabulary, const struct case_options *options,
		   struct case_list *ret_list, struct err *err);
void case_list_release(struct case_list *list);

/* All scenario files named by the arguments: a file as it is, a folder's .sql files below it, in
 * sorted (byte) order. `relative` is relative to the argument that named it: for a file argument
 * its base name. A folder without any is ERR_INPUT. */
struct scenario_path {
	char *path, *relative;
};
int scenario_collect(const char *const *paths, size_t path_count, struct scenario_path **ret_paths,
		     size_t *ret_count, struct err *err);
void scenario_paths_free(struct scenario_path *paths, size_t count);

#endif
