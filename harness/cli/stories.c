/* See stories.h. */
#include "harness/cli/stories.h"

#include "harness/cli/command.h"
#include "harness/drive/workers.h"
#include "harness/explain/explain_result.h"

#include <stdio.h>
#include <unistd.h>

static void show_story(void *ctx, size_t done, size_t count)
{
	const bool *show = ctx;

	if (*show)
		fprintf(stderr, "\r\033[Kexplaining violation %zu of %zu", done + 1, count);
}

void cli_tell_stories(const struct options *options, const struct gate *gate, struct result *r)
{
	bool progress = !options->quiet && isatty(STDERR_FILENO);
	struct story_options o = {
	    .show_data = options->show_data,
	    .jobs = options->jobs != 0 ? options->jobs : workers_standard(),
	    .recoveries_max = EXPLAIN_STORY_RECOVERIES,
	    .hang_ns = (uint64_t)STORY_HANG_SECONDS * 1000000000u,
	    .vocabulary = cli_vocabulary(),
	    .interrupted = cli_interrupted,
	};
	struct explained_result explained;

	if (options->report == NULL || cli_interrupted(NULL))
		return;
	explain_result(gate, r, &o, show_story, &progress, &explained);
	if (progress)
		fprintf(stderr, "\r\033[K");
	if (explained.failed > 0)
		fprintf(stderr, "plugpull: %zu stor%s could not be told: %s\n", explained.failed,
			explained.failed == 1 ? "y" : "ies", explained.error.message);
	if (explained.left_out > explained.failed)
		fprintf(stderr,
			"plugpull: the report explains %zu violations and leaves out %zu; "
			"`plugpull explain TOKEN` tells one\n",
			explained.told, explained.left_out - explained.failed);
}
