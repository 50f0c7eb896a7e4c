/*
 * Recovery and observation: the only code that runs SQL against a crash state.
 *
 * Recovery is what the application does first after a reboot: open, attach, apply its own pragmas,
 * read. Observation is what a second, fresh connection then sees: digests of the logical content
 * and the rows of the oracles' probes. The two are apart so that an observation is a function of
 * the files and the WAL index alone (see memo.h).
 *
 * Needs a booted VFS shim (vfs.h). One thread.
 */
#ifndef DRIVE_OBSERVE_H
#define DRIVE_OBSERVE_H

#include "faultinject/base/err.h"
#include "harness/case/subject.h"
#include "harness/judge/observation.h"

struct sqlite3;

struct observer {
	const struct subject *subject;	  /* borrowed */
	const struct probe_list *probes;  /* borrowed; NULL = digests only */
	char **pragma_sql;		  /* owned; PRAGMA statements of a recovery */
	size_t pragma_count;
	bool one_connection; /* locking_mode=EXCLUSIVE shuts a second connection out */
};

void observer_init(struct observer *o, const struct subject *subject,
		   const struct probe_list *probes);
void observer_release(struct observer *o);

/* Opens the database as the application would: attached files, pragmas, a first read of each
 * schema. On failure *ret holds the finding (rc, failed) and the result is NULL. */
struct sqlite3 *observer_recover(const struct observer *o, struct observation *ret);

/* Observes what there is. `recovered` is the connection that recovered. The caller releases *ret;
 * a failure of SQLite is part of the observation, not an error. */
void observer_observe(const struct observer *o, struct sqlite3 *recovered,
		      struct observation *ret);

/* Closes a connection without checkpointing. NULL is accepted. */
void observer_close(struct sqlite3 *db);

/* SQL identifiers in double quotes; owned by the caller (free()). */
char *quote_identifier(const char *name);

#endif
