/*
 * Recovery and observation: the only code that runs SQL against a crash state.
 *
 * Recovery is what the application does first after a reboot: open, attach, and read, which makes
 * SQLite roll back a journal or rebuild the WAL index. Then it applies its own pragmas, and a
 * second, fresh connection observes: digests of the logical content and the rows of the oracles'
 * probes. Recovery is apart from the rest so that what follows it is a function of the files and
 * the WAL index alone (see memo.h). Of the pragmas only locking_mode changes how recovery reads,
 * so that one comes before the first read.
 *
 * Needs a booted VFS shim (vfs.h). One thread, and one recovery at a time: observer_recover(), then
 * observer_close() of what it returned.
 */
#ifndef DRIVE_OBSERVE_H
#define DRIVE_OBSERVE_H

#include "faultinject/base/err.h"
#include "harness/case/subject.h"
#include "harness/drive/digest.h"
#include "harness/drive/outside.h"
#include "harness/judge/observation.h"

enum {
	OBSERVE_CALLS_MAX = 5 * 1000 * 1000, /* VFS calls of one recovery; more is a hang */
};

struct sqlite3;

struct observer {
	const struct subject *subject;	 /* borrowed */
	const struct probe_list *probes; /* borrowed; NULL = digests only */
	char **pragma_sql;		 /* owned; PRAGMA statements, in the order to apply */
	char **pragma_page_count_sql;	 /* owned; NULL where the pragma is for any database */
	size_t pragma_count;
	size_t pragma_early_count; /* of these, before the first read of a recovery */
	char **read_sql;	   /* owned; a first read of each schema */
	size_t read_count;
	bool one_connection;	 /* locking_mode=EXCLUSIVE shuts a second connection out */
	struct outside *outside; /* owned; the functions of every connection made here */
};

/* Makes SQLite fast for a process with one thread, and bounds the memory of a recovery
 * (sqlite_memory.h); before anything else calls it. */
void observer_configure(void);

void observer_init(struct observer *o, const struct subject *subject,
		   const struct probe_list *probes);
void observer_release(struct observer *o);

/* From here on recovery applies all pragmas before its first read, as the application does. */
void observer_pragmas_first(struct observer *o);

/* Opens the database as the application would: attached files and a first read of each schema. On
 * failure *ret holds the finding (rc, failed) and the result is NULL. */
struct sqlite3 *observer_recover(const struct observer *o, struct observation *ret);

/* Applies the application's pragmas on `recovered`, the connection that recovered, and observes
 * what there is: connect, read and disconnect. The caller releases *ret;
 * a failure of SQLite is part of the observation, not an error. */
void observer_observe(const struct observer *o, struct sqlite3 *recovered, struct observation *ret);

/* The parts of it. The pragmas, then a connection that has read from each schema, so that what it
 * will see is settled. NULL when that failed, or there was a finding before; *ret says which. */
struct sqlite3 *observer_connect(const struct observer *o, struct sqlite3 *recovered,
				 struct observation *ret);
/* Digests and probes: a function of the pages that the connection sees. `reuse` (may be NULL): what
 * is known of pages that did not change; results do not depend on it. Probes that look at other
 * files (outside.h) are marked so, and have no answer yet. */
void observer_read(const struct observer *o, struct sqlite3 *db, const struct digest_reuse *reuse,
		   struct observation *ret);
/* Asks the probes that are marked so, in place of what answers they have. */
void observer_read_outside(const struct observer *o, struct sqlite3 *db, struct observation *ret);
/* Sets what follows from the rest, `hung` and the id. observer_disconnect() does it, too. */
void observer_settle(struct observation *o);
/* Ends the observation, also after a failure; `db` as observer_connect() returned it. */
void observer_disconnect(struct sqlite3 *recovered, struct sqlite3 *db, struct observation *ret);

/* Closes a connection without checkpointing. NULL is accepted. */
void observer_close(struct sqlite3 *db);

#endif
