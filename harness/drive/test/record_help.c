#include "harness/drive/test/record_help.h"

#include "harness/drive/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

void record_text(const char *text, struct recorded *ret)
{
	struct case_options options = {.default_require = GRADE_CORRUPT};
	struct err err = ERR_INIT;
	char *skip = NULL;

	memset(ret, 0, sizeof *ret);
	if (scenario_parse("test.sql", text, strlen(text), NULL, &ret->scenario, &err) != 0)
		fail_msg("%s", err.message);
	assert_int_equal(
	    scenario_cases(ret->scenario, "test.sql", NULL, &options, &ret->cases, &err), 0);
	ret->subject = subject_from_scenario(ret->scenario, &ret->cases.items[0], 1);
	if (record_case(ret->scenario, &ret->cases.items[0], ret->subject, &ret->trace, &skip,
			&err) != 0)
		fail_msg("%s", err.message);
	assert_null(skip);
}

void recorded_release(struct recorded *r)
{
	trace_free(r->trace);
	subject_free(r->subject);
	case_list_release(&r->cases);
	scenario_free(r->scenario);
}
