/* See trusted.h. A token leads to the cases that were made here: a file elsewhere has none. */
#include "harness/cli/trusted.h"

#include "harness/cli/command.h"
#include "harness/drive/check_gate.h"

#include <string.h>

int cli_trust_case(const char *argument, const struct case_file *c, struct err *err)
{
	if (strncmp(argument, "pp1-", 4) == 0)
		return 0;
	if (c->subject->check != NULL && check_is_oracle(c->finding.oracle))
		return err_set(err, ERR_INPUT,
			       "%s: the case runs the command '%s'; if you trust it, put the file "
			       "below %s and replay it by its token",
			       argument, c->subject->check, CASES_DIRECTORY);
	if (c->subject->load_count == 0)
		return 0;
	return err_set(err, ERR_INPUT,
		       "%s: the case loads the extension '%s' into this process; if you trust it, "
		       "put the file below %s and replay it by its token",
		       argument, c->subject->loads[0], CASES_DIRECTORY);
}

int cli_trust_source(const char *argument, const struct case_file *c, struct err *err)
{
	struct scenario *s = NULL;
	struct err unreadable = ERR_INIT;
	int rc = 0;

	if (strncmp(argument, "pp1-", 4) == 0 || c->source == NULL)
		return 0;
	/* What is no scenario is not run either. */
	if (scenario_parse(c->source->path, c->source->text, strlen(c->source->text),
			   cli_vocabulary(), &s, &unreadable) != 0)
		return 0;
	if (s->load_count > 0)
		rc = err_set(err, ERR_INPUT,
			     "%s: its scenario loads the extension '%s' into this process; if you "
			     "trust it, put the file below %s and name it by its token",
			     argument, s->loads[0], CASES_DIRECTORY);
	scenario_free(s);
	return rc;
}
