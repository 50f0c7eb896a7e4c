/*
 * pp_run() in a plain program, for CTest (CMakeLists.txt): one test a process, chosen by its name,
 * with pp_run()'s verdict as exit status.
 */
#include <plugpull/pp_run.h>
#include <string.h>

#include "steps.h"

int main(int argc, char **argv)
{
	static const char *const names[] = {"safe", "fast", "careless"};
	const char *name = argc == 2 ? argv[1] : "";

	for (enum orders_mode mode = ORDERS_SAFE; mode <= ORDERS_CARELESS; mode++) {
		struct pp_result result;
		struct pp_options options = {.name = name, .result = &result};

		if (strcmp(name, names[mode]) != 0)
			continue;
		if (pp_run(setup, work, check, &mode, &options) == PP_HELD)
			printf("%s: %s, all %s states\n", name, pp_grade_text(result.grade),
			       result.states);
		else
			printf("%s: %s\n", name, result.message);
		if (result.token[0] != '\0')
			printf("%s: plugpull replay %s\n", name, result.token);
		return (int)result.verdict;
	}
	(void)fprintf(stderr, "usage: test_ctest safe|fast|careless\n");
	return PP_BAD_USE;
}
