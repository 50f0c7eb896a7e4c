/*
 * Oracle "recovery": the application can open its database again.
 *
 * Checks: that opening, recovering and digesting every database file succeeds, and ends.
 *
 * Does not check: how long it takes below the call limit; what comes after ("second-open",
 * "writable"); codes that mean "another connection is in the way" ("liveness").
 */
#include "harness/judge/oracle_internal.h"

#include <string.h>

static const char name[] = "recovery";

static void *recovery_create(const struct judge_config *config, struct probe_list *probes)
{
	static char self; /* nothing to remember, but it is always on */

	(void)config;
	(void)probes;
	return &self;
}

static void recovery_free(void *self)
{
	(void)self;
}

static void recovery_judge(const void *self, const struct judge *j, const struct observation *o,
			   struct findings *f)
{
	/* Most broken files open well: SQLite looks at nothing before the first query. */
	bool opened = strncmp(o->failed, "open:", 5) != 0;

	(void)self;
	(void)j;
	if (o->hung)
		findings_add(f, name, GRADE_CORRUPT, "recovery does not end");
	else if (o->rc != 0 && !observed_locked_out(o->rc))
		findings_add(f, name, GRADE_CORRUPT, "cannot be %s: %s (code %d)",
			     opened ? "read" : "opened", o->failed, o->rc);
}

const struct oracle oracle_recovery = {
    .info = {name, "the database can be opened and read after the crash, and recovery ends",
	     "how long recovery takes; what comes after it; being locked out (liveness)"},
    .is_always_on = true,
    .judges_unreadable = true,
    .create = recovery_create,
    .free = recovery_free,
    .judge = recovery_judge,
};
