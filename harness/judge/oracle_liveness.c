/*
 * Oracle "liveness": nobody is locked out by nobody.
 *
 * Checks: no connection that recovers, observes, opens a second time, writes or reads is told
 * SQLITE_BUSY, SQLITE_LOCKED or SQLITE_PROTOCOL, when no other one holds a transaction. Such a code
 * never goes away by waiting: there is nobody to wait for. Outside the scale of grades, because it
 * says nothing about the data.
 *
 * Does not check: how long anything takes; several connections that are busy at once.
 */
#include "faultinject/base/buf.h"
#include "harness/judge/excused_codes.h"

#include <stdlib.h>

static const char name[] = "liveness";

static void *liveness_create(const struct judge_config *config, struct probe_list *probes)
{
	(void)config;
	(void)probes;
	return xcalloc(1, sizeof(struct excused_codes));
}

static void liveness_learn(void *self, const struct judge *j, const struct observation *o)
{
	(void)j;
	excuse_code(self, "locked out of a legal state, too", &o->aftermath.locked_out);
}

static size_t liveness_not_applicable(const void *p, struct judge_not_applicable *ret, size_t max)
{
	const struct excused_codes *self = p;

	if (self->first[0] == '\0' || max == 0)
		return 0;
	*ret = (struct judge_not_applicable){name, self->first};
	return 1;
}

static void liveness_judge(const void *self, const struct judge *j, const struct observation *o,
			   struct findings *f)
{
	const struct observed_failure *after = &o->aftermath.locked_out;

	(void)j;
	if (!o->hung && observed_locked_out(o->rc))
		findings_add(f, name, GRADE_NONE,
			     "locked out, and nobody else is there: %s (code %d)", o->failed,
			     o->rc);
	else if (after->rc != 0 && !code_is_excused(self, after->rc))
		findings_add(f, name, GRADE_NONE,
			     "locked out after recovery, and nobody else is there: %s (code %d)",
			     after->text, after->rc);
}

const struct oracle oracle_liveness = {
    .info = {name, "no connection is locked out when no other one holds a transaction",
	     "how long anything takes; connections that are busy at once"},
    .is_always_on = true,
    .judges_unreadable = true,
    .create = liveness_create,
    .free = free,
    .learn = liveness_learn,
    .not_applicable = liveness_not_applicable,
    .judge = liveness_judge,
};
