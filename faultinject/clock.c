/* See clock.h. */
#include "faultinject/clock.h"

#include <string.h>

enum {
	DAY_S = 24 * 60 * 60,
	TEN_YEARS_S = 3653 * DAY_S,
	/* So that no clock leaves the years that SQLite can write. */
	ADDED_MAX = 10000,
};

static const int64_t back[] = {-DAY_S};
static const int64_t ahead[] = {TEN_YEARS_S};
static const int64_t steps[] = {-DAY_S, TEN_YEARS_S, 0, -TEN_YEARS_S, DAY_S};

static const struct fi_clock_plan plans[] = {
    {"back", "each time that it is moved, a day back", false, true, false, back, 1},
    {"ahead", "once ten years ahead", false, false, true, ahead, 1},
    {"frozen", "it stands still", true, false, false, NULL, 0},
    {"steps", "back and ahead by days and years, by turns", false, false, false, steps,
     sizeof steps / sizeof steps[0]},
};

const struct fi_clock_plan *fi_clock_all(size_t *ret_count)
{
	*ret_count = sizeof plans / sizeof plans[0];
	return plans;
}

const struct fi_clock_plan *fi_clock_find(const char *name)
{
	for (size_t i = 0; name != NULL && i < sizeof plans / sizeof plans[0]; i++)
		if (strcmp(plans[i].name, name) == 0)
			return &plans[i];
	return NULL;
}

int64_t fi_clock_offset_s(const struct fi_clock_plan *plan, uint64_t moves)
{
	if (moves == 0 || plan->offset_count == 0)
		return 0;
	if (plan->adds)
		return plan->offsets_s[0] * (int64_t)(moves < ADDED_MAX ? moves : ADDED_MAX);
	if (plan->stays && moves > plan->offset_count)
		moves = plan->offset_count;
	return plan->offsets_s[(moves - 1) % plan->offset_count];
}
