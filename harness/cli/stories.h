/* Stories in the report folder of --report. */
#ifndef CLI_STORIES_H
#define CLI_STORIES_H

#include "harness/case/result.h"
#include "harness/cli/options.h"
#include "harness/drive/gate.h"

/* Before cli_finish(): with --report, tells the stories of the worst violations, with a line of
 * progress on a terminal; an interrupt ends that. What is left out is said on stderr. */
void cli_tell_stories(const struct options *options, const struct gate *gate, struct result *r);

#endif
