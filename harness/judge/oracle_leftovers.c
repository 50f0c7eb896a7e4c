/*
 * Oracle "leftovers": recovery leaves nothing behind that the next one would play back.
 *
 * Checks: after recovery, with every connection closed, no database file has a hot journal beside
 * it. What hot means is in harness/drive/aftermath.h.
 *
 * Does not check: cold journals (empty, or with zeros where the header was), journals whose
 * super-journal is gone, orphan super-journals, logs: all of these are legal. Files that no
 * database of the subject owns.
 *
 * The finding is outside the scale of grades: nothing is lost yet. A journal that is played back
 * over what was written in the meantime loses it.
 */
#include "faultinject/base/buf.h"
#include "harness/judge/oracle_internal.h"

#include <stdlib.h>

static const char name[] = "leftovers";

struct leftovers {
	bool is_excused; /* a legal state leaves them, too */
};

static void *leftovers_create(const struct judge_config *config, struct probe_list *probes)
{
	(void)config;
	(void)probes;
	return xcalloc(1, sizeof(struct leftovers));
}

static void leftovers_learn(void *p, const struct judge *j, const struct observation *o)
{
	struct leftovers *self = p;

	(void)j;
	self->is_excused = self->is_excused || o->aftermath.hot[0] != '\0';
}

static size_t leftovers_not_applicable(const void *p, struct judge_not_applicable *ret, size_t max)
{
	const struct leftovers *self = p;

	if (!self->is_excused || max == 0)
		return 0;
	*ret = (struct judge_not_applicable){name, "a legal state leaves a hot journal, too"};
	return 1;
}

static void leftovers_judge(const void *p, const struct judge *j, const struct observation *o,
			    struct findings *f)
{
	const struct leftovers *self = p;

	(void)j;
	if (o->aftermath.hot[0] != '\0' && !self->is_excused)
		findings_add(f, name, GRADE_NONE, "recovery leaves a hot journal: %s",
			     o->aftermath.hot);
}

const struct oracle oracle_leftovers = {
    .info = {name, "no hot journal is left when recovery is through and everything is closed",
	     "cold journals, journals without their super-journal, orphan super-journals, logs"},
    .is_always_on = true,
    .create = leftovers_create,
    .free = free,
    .learn = leftovers_learn,
    .not_applicable = leftovers_not_applicable,
    .judge = leftovers_judge,
};
