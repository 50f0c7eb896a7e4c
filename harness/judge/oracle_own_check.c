/*
 * Oracle "own-check": the program's own check of what recovered (harness/drive/own_check.h) finds
 * nothing wrong. `corrupt` otherwise, as a user's invariant that fails.
 *
 * A legal state excuses nothing: where the check objects to what two commits were between, a crash
 * there shows it. One that objects to the first or the last state is a mistake of the test, and
 * nothing is judged then.
 *
 * Does not check: the check itself; states that could not be opened and read, which are
 * "recovery"'s.
 */
#include "faultinject/base/buf.h"
#include "harness/judge/oracle_internal.h"

#include <stdlib.h>

static const char name[] = "own-check";

/* It knows nothing; what is not NULL is in use. */
static void *own_check_create(const struct judge_config *config, struct probe_list *probes)
{
	(void)config;
	(void)probes;
	return xcalloc(1, 1);
}

static void own_check_judge(const void *p, const struct judge *j, const struct observation *o,
			    struct findings *f)
{
	(void)p;
	(void)j;
	if (o->aftermath.objection[0] != '\0')
		findings_add(f, name, GRADE_CORRUPT, "the test's own check objects: %s",
			     o->aftermath.objection);
}

const struct oracle oracle_own_check = {
    .info = {name, "the check that a test gave to pp_run() finds nothing wrong",
	     "the check itself; states that could not be opened and read"},
    .is_always_on = true,
    .create = own_check_create,
    .free = free,
    .judge = own_check_judge,
};
