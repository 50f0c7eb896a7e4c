/*
 * `plugpull matrix`: `run` over every journal_mode and every level of synchronous, as tables.
 *
 * The two axes replace what the scenario says of these settings, and nothing is required of a cell:
 * most of them are there to show what is lost. What a table looks like is in reports/matrix.h.
 */
#include "harness/cli/command.h"
#include "harness/cli/load.h"

#include "reports/matrix.h"

/* Ours alone; no one writes through the pointers that the struct has for scenarios it owns. */
static char *modes[] = {"delete", "truncate", "persist", "memory", "off", "wal"};
static char *levels[] = {"extra", "full", "normal", "off"};

int cmd_matrix(const struct options *options)
{
	static const struct scenario_axis axes[] = {
	    {.key = MATRIX_ROW, .values = modes, .value_count = sizeof modes / sizeof modes[0]},
	    {.key = MATRIX_COLUMN,
	     .values = levels,
	     .value_count = sizeof levels / sizeof levels[0]},
	};
	static const struct case_options cases = {.default_require = GRADE_CORRUPT,
						  .axes = axes,
						  .axis_count = sizeof axes / sizeof axes[0],
						  .unjudged = true};

	return cli_run_cases(options, "matrix", &cases, NULL);
}
