/*
 * Workloads in C: programs that a scenario runs instead of clients (`@workload NAME k=v`). Each
 * works on the database that it is given, through the default VFS, with a connection of its own,
 * and says when a promise was given.
 *
 * The same code runs over the simulated disk (record.h) and in a real process (kill.h): the
 * environment tells it where and hears its acknowledgements.
 */
#ifndef DRIVE_WORKLOAD_H
#define DRIVE_WORKLOAD_H

#include "faultinject/base/err.h"
#include "harness/scenario/scenario.h"

#include <stdbool.h>
#include <stdint.h>

struct workload_env {
	const char *database;	       /* path */
	const struct kv_list *pragmas; /* of the case */
	const struct kv_list *params;  /* workload parameters, checked */
	const char *plant;	       /* a planted defect, or NULL */
	uint64_t seed;
	uint32_t worker; /* number of this writer, from 0; its data must not collide with others */
	/* The caller was told that everything written so far is kept; `text` names what, as
	 * "SERVER POSITION": all events of that server up to that position. */
	void (*ack)(void *ctx, const char *text);
	/* Asked between batches; true ends the workload early. May be NULL. */
	bool (*stop)(void *ctx);
	void *ctx;
};

struct workload_param {
	const char *name;
	int64_t min, max, standard;
	const char *help;
};

struct workload {
	const char *name;
	const char *summary;
	const struct workload_param *params;
	size_t param_count;
	const char *const *defects; /* planted defects that it can carry */
	size_t defect_count;
	/* Runs to its end. ERR_SQLITE with the reason when it cannot. */
	int (*run)(const struct workload_env *env, struct err *err);
};

const struct workload *workload_find(const char *name); /* NULL: unknown */
const struct workload *const *workload_all(size_t *ret_count);

/* The value of a parameter, or its standard. */
int64_t workload_param(const struct workload *w, const struct kv_list *params, const char *name);
/* ERR_USAGE for an unknown key or a value out of range. */
int workload_check_param(const struct workload *w, const char *key, const char *value,
			 struct err *err);

extern const struct workload workload_archival;

#endif
