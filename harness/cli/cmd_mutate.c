/* `plugpull mutate`: `run`, and then every sync left out in turn, and every defect planted. */
#include "harness/cli/command.h"

#include "harness/drive/mutate.h"

int cmd_mutate(const struct options *options)
{
	static const struct case_options cases = {.default_require = GRADE_DURABLE};

	return cli_run_cases(options, "mutate", &cases, mutate_case);
}
