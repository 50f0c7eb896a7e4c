/*
 * The subject: everything that is needed to recover, observe and judge the states of one trace,
 * apart from the trace itself. Built from a scenario, read from a case file, or guessed from a
 * stranger's trace; self-contained, so that a case replays on a machine without the scenario.
 *
 * Everything is owned by the struct.
 */
#ifndef CASE_SUBJECT_H
#define CASE_SUBJECT_H

#include "faultinject/base/err.h"
#include "faultinject/model.h"
#include "harness/judge/history.h"
#include "harness/scenario/scenario.h"

#include <jansson.h>

struct subject {
	char *id;			  /* case id */
	char *title;			  /* what it shows; "" when unknown */
	char *database;			  /* path of the main database in the trace */
	struct scenario_attach *attached; /* name, path in the trace */
	size_t attached_count, attached_cap;
	struct kv_list pragmas; /* on the connection that recovers */
	char **open;		/* SQL for every checking connection */
	size_t open_count, open_cap;
	char **loads; /* extensions */
	size_t load_count, load_cap;
	struct scenario_invariant *invariants;
	size_t invariant_count, invariant_cap;
	struct scenario_batch *batches;
	size_t batch_count, batch_cap;
	struct scenario_order *orders;
	size_t order_count, order_cap;
	int64_t *schema_versions;
	size_t schema_version_count, schema_version_cap;
	enum history_ack ack; /* whose promises count */
	char *model;	      /* preset, or the name of a model of the user's own */
	bool model_defined; /* the latter: strict-posix, changed by all that stands in model_params
			     */
	struct kv_list model_params;
	bool unsynced_recovery; /* a planted defect (plant.h); shows when recovery is interrupted */
	/* Another one, by name, in recovery or in the harness (plant_in_run()); NULL: none. */
	char *defect;
	char *check; /* a command that looks at crash states (check_command.h); NULL: none */
	uint64_t seed;
};

struct subject *subject_create(void);
void subject_free(struct subject *s); /* accepts NULL */

/* The subject of a scenario's case; database paths as the driver lays them out. */
struct subject *subject_from_scenario(const struct scenario *s, const struct case_spec *spec,
				      uint64_t seed);

/* Adds what a file of invariants holds (scenario_load_invariants()). */
void subject_add_invariants(struct subject *s, const struct scenario *from);

/* What SQL calls a database file: "main" for number 0, then the names of the attached ones.
 * Borrowed from the subject. */
const char *subject_schema(const struct subject *s, size_t file);

/* The disk model that the subject names, with its parameters. Its name is borrowed from the
 * subject. ERR_USAGE: unknown, or its parameters do not go together. */
int subject_model(const struct subject *s, struct model *ret_model, struct err *err);

/* To and from JSON (keys as the fields are named). Parsing checks every type and bound: case files
 * come from strangers. The caller owns the results. */
json_t *subject_to_json(const struct subject *s);
int subject_from_json(const json_t *json, struct subject **ret_subject, struct err *err);

#endif
