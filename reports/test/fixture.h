/*
 * Results for the tests of the renderers. Functions are inline because not every test uses each.
 */
#ifndef REPORTS_TEST_FIXTURE_H
#define REPORTS_TEST_FIXTURE_H

#include "faultinject/base/buf.h"
#include "harness/case/result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void replace(char **field, const char *value)
{
	free(*field);
	*field = value == NULL ? NULL : xstrdup(value);
}

static inline struct case_result *fixture_case(struct result *r, const char *scenario,
					       const char *variant, enum case_verdict verdict,
					       enum grade grade)
{
	struct case_result *c = result_add(r);
	size_t n = strlen(scenario);

	c->scenario = xstrdup(scenario);
	c->id = xasprintf("%.*s@%s", (int)(n - 4), scenario, variant);
	c->model = xstrdup("strict-posix");
	c->verdict = verdict;
	c->grade = grade;
	c->required = GRADE_DURABLE;
	c->has_required = true;
	c->exhaustive = verdict == CASE_HELD || verdict == CASE_VIOLATED;
	c->crash_points = 65;
	c->recoveries = 33427;
	c->states = xstrdup("3141592653");
	c->commits = 20;
	c->seconds = 1.5;
	return c;
}

/* One case of each verdict, and a control that holds by being corrupt. */
static inline void fixture(struct result *r)
{
	struct case_result *c;

	result_init(r, "run", 1);
	r->again = xstrdup("plugpull run scenarios --require durable");
	r->again_program = xstrdup("");
	r->sqlite_version = xstrdup("3.40.1");
	r->sqlite_source_id = xstrdup("2022-12-28");
	fixture_case(r, "store/archival.sql", "strict-posix", CASE_HELD, GRADE_DURABLE);
	c = fixture_case(r, "bank.sql", "strict-posix[synchronous=normal]", CASE_VIOLATED,
			 GRADE_CONSISTENT);
	c->lost_acked_max = 3;
	case_result_violation(c, "history", GRADE_CONSISTENT, "3 acknowledged commits are gone",
			      "pp1-3f2a9c");
	case_result_violation(c, "leftovers", GRADE_NONE, "a journal was left behind", NULL);
	c = fixture_case(r, "big.sql", "strict-posix", CASE_INCONCLUSIVE, GRADE_DURABLE);
	c->reason = xstrdup("the budget of 60s was spent");
	c = fixture_case(r, "bad.sql", "strict-posix", CASE_ERROR, GRADE_NONE);
	c->reason = xstrdup("bad.sql:7: no such table: t");
	c = fixture_case(r, "wal.sql", "strict-posix", CASE_SKIPPED, GRADE_NONE);
	c->reason = xstrdup("this SQLite has no WAL");
	c = fixture_case(r, "controls/off.sql", "strict-posix", CASE_HELD, GRADE_CORRUPT);
	c->has_required = false;
	c->has_expected = true;
	c->expected = GRADE_CORRUPT;
	case_result_violation(c, "integrity", GRADE_CORRUPT, "malformed", "pp1-0ff");
	case_result_note(c, "explored with sectors of 512 bytes");
}

#endif
