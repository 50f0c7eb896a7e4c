/*
 * Planted defects: known mistakes that a run must notice, so that its green means something.
 */
#ifndef DRIVE_PLANT_H
#define DRIVE_PLANT_H

#include "faultinject/trace.h"

#include <stddef.h>

/* The defect of recovery itself, not of what is recorded: see fi_vfs_ignore_syncs(). */
#define PLANT_UNSYNCED_RECOVERY "recovery-without-sync"

struct defect {
	const char *name;
	const char *layer;   /* which part of the system is made wrong */
	const char *summary; /* what is done wrong */
	const char *oracle;  /* which oracle notices */
	bool in_workload;    /* needs a workload that can carry it */
};

const struct defect *plant_defects(size_t *ret_count);
const struct defect *plant_find(const char *name); /* NULL: unknown */

/* Defects of the layer "shim" are planted in the recorded trace: returns a changed copy, or NULL
 * when the defect is none of these. */
struct trace *plant_in_trace(const char *name, const struct trace *t);

#endif
