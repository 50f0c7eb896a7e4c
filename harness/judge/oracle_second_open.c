/*
 * Oracle "second-open": the first recovery was the last one that was needed.
 *
 * Checks: after recovery, observation and the end of every connection, the machine boots again with
 * nothing lost. Opening, recovering and reading succeed and end, and every file shows the digests
 * that it showed before: `corrupt` otherwise, because what the application was shown is gone
 * without a crash. Until recovery is through, no file is written to, cut or deleted: a recovery
 * that left itself work is a leftover, and outside the scale of grades as those are.
 *
 * Does not check: a third recovery; what queries of other oracles would answer; the WAL index,
 * which is memory. On real files, whether they are changed.
 */
#include "faultinject/base/buf.h"
#include "harness/judge/oracle_internal.h"

#include <stdlib.h>

static const char name[] = "second-open";

enum { FAILS, HANGS, DIFFERS, CHANGES, KINDS };

struct second_open {
	bool is_excused[KINDS]; /* a legal state does so, too */
};

static void kinds_of(const struct aftermath *a, bool ret[KINDS])
{
	ret[FAILS] = a->second.rc != 0;
	ret[HANGS] = a->hung;
	ret[DIFFERS] = a->differs;
	ret[CHANGES] = a->changed[0] != '\0';
}

static void *second_open_create(const struct judge_config *config, struct probe_list *probes)
{
	(void)config;
	(void)probes;
	return xcalloc(1, sizeof(struct second_open));
}

static void second_open_learn(void *p, const struct judge *j, const struct observation *o)
{
	struct second_open *self = p;
	bool kinds[KINDS];

	(void)j;
	kinds_of(&o->aftermath, kinds);
	for (int i = 0; i < KINDS; i++)
		self->is_excused[i] = self->is_excused[i] || kinds[i];
}

static size_t second_open_not_applicable(const void *p, struct judge_not_applicable *ret,
					 size_t max)
{
	static const char *const reasons[KINDS] = {
	    [FAILS] = "a legal state cannot be opened a second time either",
	    [HANGS] = "the second recovery of a legal state does not end either",
	    [DIFFERS] = "a legal state shows other content the second time, too",
	    [CHANGES] = "the second recovery of a legal state changes files, too",
	};
	const struct second_open *self = p;
	size_t count = 0;

	for (int i = 0; i < KINDS && count < max; i++)
		if (self->is_excused[i])
			ret[count++] = (struct judge_not_applicable){name, reasons[i]};
	return count;
}

static void second_open_judge(const void *p, const struct judge *j, const struct observation *o,
			      struct findings *f)
{
	const struct second_open *self = p;
	const struct aftermath *a = &o->aftermath;
	bool kinds[KINDS];

	(void)j;
	kinds_of(a, kinds);
	for (int i = 0; i < KINDS; i++)
		kinds[i] = kinds[i] && !self->is_excused[i];
	if (kinds[HANGS])
		findings_add(f, name, GRADE_CORRUPT, "what follows recovery does not end");
	else if (kinds[FAILS])
		findings_add(f, name, GRADE_CORRUPT, "cannot be opened a second time: %s (code %d)",
			     a->second.text, a->second.rc);
	if (kinds[DIFFERS])
		findings_add(f, name, GRADE_CORRUPT,
			     "the content is another one when it is opened a second time");
	if (kinds[CHANGES])
		findings_add(f, name, GRADE_NONE, "a second recovery still changes files: %s",
			     a->changed);
}

const struct oracle oracle_second_open = {
    .info = {name,
	     "opening a second time, with nothing lost, shows the same content, and its recovery "
	     "changes no file",
	     "a third recovery; the queries of other oracles; the WAL index"},
    .is_always_on = true,
    .create = second_open_create,
    .free = free,
    .learn = second_open_learn,
    .not_applicable = second_open_not_applicable,
    .judge = second_open_judge,
};
