/*
 * Planted defects: known mistakes that a run must notice, so that its green means something.
 */
#ifndef DRIVE_PLANT_H
#define DRIVE_PLANT_H

#include "faultinject/trace.h"
#include "faultinject/vfs.h"

#include <stddef.h>

/* The defect of recovery itself, not of what is recorded: see fi_vfs_ignore_syncs(). */
#define PLANT_UNSYNCED_RECOVERY "recovery-without-sync"

/* Defects of the shim, which real processes can play, too (faultinject/vfs_kill.h). */
#define PLANT_LOG_UNSYNCED    "missing-commit-sync"
#define PLANT_FOLDER_UNSYNCED "directory-never-synced"
/* And one of the recorder. */
#define PLANT_LOG_HOLES "trace-with-a-hole"

/* Defects of ours, which make the harness itself wrong. */
#define PLANT_DISK_FORGETS  "disk-forgets"
#define PLANT_SEARCH_SKIPS  "search-skips"
#define PLANT_OTHER_HISTORY "history-of-another-run"
#define PLANT_NEVER_KILLS   "kill-that-never-kills"
#define PLANT_REPORT_HIDES  "report-hides-a-violation"

struct defect {
	const char *name;
	const char *layer;   /* which part of the system is made wrong */
	const char *summary; /* what is done wrong */
	/* Which oracle notices; or what else does: "accounting" (states that do not add up),
	 * "recording" (the trace does not make the files), "runner", "report". */
	const char *oracle;
	bool in_workload; /* needs a workload that can carry it */
};

const struct defect *plant_defects(size_t *ret_count);
const struct defect *plant_find(const char *name); /* NULL: unknown */

/* Does the defect stay with the case while it is explored, in recovery or in the harness? */
bool plant_in_run(const char *name); /* NULL: no */

/* The defect that the shim plays while it recovers (layer "recovery"); FI_VFS_SOUND for NULL and
 * for defects that are none of these. Legal states are observed without it. */
enum fi_vfs_defect plant_in_recovery(const char *name);

/* Can a defect in recovery show in runs like this one? One that is about journals, or about logs,
 * needs a trace that has some. */
bool plant_fits(const char *name, const struct trace *t);

/* Defects of the layer "shim" are planted in the recorded trace: returns a changed copy, or NULL
 * when the defect is none of these, or changes nothing. *ret_positions as trace_without() gives it;
 * may be NULL. */
struct trace *plant_in_trace(const char *name, const struct trace *t, uint64_t **ret_positions);

#endif
