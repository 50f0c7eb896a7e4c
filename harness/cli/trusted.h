/*
 * Whose case is it? A case file can name extensions to load and a command of --check, that is, code
 * to run. One that was made here may; a stranger's may not.
 */
#ifndef CLI_TRUSTED_H
#define CLI_TRUSTED_H

#include "faultinject/base/err.h"
#include "harness/case/case_file.h"

/* ERR_INPUT, saying how to trust it, when running the case again would run code that it names and
 * `argument`, as the user typed it, is no token of a case below CASES_DIRECTORY. Ask before
 * anything of a case is run. */
int cli_trust_case(const char *argument, const struct case_file *c, struct err *err);

/* The same of the scenario that the case carries, for those who record it again: it names its
 * extensions itself. */
int cli_trust_source(const char *argument, const struct case_file *c, struct err *err);

#endif
