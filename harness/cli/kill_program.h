/*
 * `plugpull kill -- CMD...`: kills of a stranger's program.
 */
#ifndef CLI_KILL_PROGRAM_H
#define CLI_KILL_PROGRAM_H

#include "harness/cli/options.h"

/* Returns the exit code. */
int cli_kill_program(const struct options *options);

/* Says what of the options is for scenarios only, or for programs only. ERR_USAGE. */
int cli_check_kill(const struct options *options, struct err *err);

#endif
