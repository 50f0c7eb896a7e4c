/*
 * The failures that legal states showed, by primary result code, and the first one in words. Used
 * by oracles that excuse a failure by its code; internal to oracle*.c.
 */
#ifndef JUDGE_EXCUSED_CODES_H
#define JUDGE_EXCUSED_CODES_H

#include "harness/judge/oracle_internal.h"

#include <stdio.h>

struct excused_codes {
	bool codes[RESULT_PRIMARY + 1];
	char first[OBSERVATION_TEXT_SIZE + 64]; /* "" = none */
};

static inline void excuse_code(struct excused_codes *e, const char *what,
			       const struct observed_failure *failure)
{
	if (failure->rc == 0)
		return;
	e->codes[failure->rc & RESULT_PRIMARY] = true;
	if (e->first[0] == '\0')
		(void)snprintf(e->first, sizeof e->first, "%s: %s", what, failure->text);
}

static inline bool code_is_excused(const struct excused_codes *e, int rc)
{
	return e->codes[rc & RESULT_PRIMARY];
}

#endif
