/*
 * libFuzzer target: any bytes are refused with path and line, or read; what is read keeps its
 * promises, and is applied to a case without anything being waived that does not count.
 */
#include "harness/case/waivers.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "harness/scenario/text.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void apply(const struct waiver_list *list, const struct waiver *w)
{
	struct result r;

	result_init(&r, "run", 1);
	struct case_result *c = result_add(&r);

	c->id = xstrdup(w->id);
	c->verdict = CASE_VIOLATED;
	c->grade = GRADE_CONSISTENT;
	c->required = GRADE_DURABLE;
	c->has_required = c->exhaustive = true;
	c->lost_acked_max = 2;
	case_result_violation(c, w->oracle, GRADE_CONSISTENT, "m", NULL);
	case_result_violation(c, "another", GRADE_CONSISTENT, "m", NULL);
	waivers_apply(list, 20000, c);
	ASSERT_OP(c->grade, ==, GRADE_CONSISTENT);
	ASSERT(c->verdict == CASE_VIOLATED || case_result_waived(c) == 2);
	ASSERT(c->violations[0].waived == NULL ||
	       (w->until_day >= 20000 && (!w->has_commits || w->commits >= 2)));
	result_release(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct waiver_list list = {0};
	struct err err = ERR_INIT;

	if (waivers_parse("w", (const char *)data, size, &list, &err) != 0) {
		ASSERT(list.items == NULL);
		ASSERT(strncmp(err.message, "w:", 2) == 0);
		ASSERT(text_utf8_valid(err.message, strlen(err.message)) == strlen(err.message));
		return 0;
	}
	for (size_t i = 0; i < list.count; i++) {
		const struct waiver *w = &list.items[i];

		ASSERT(w->id[0] != '\0' && w->oracle[0] != '\0' && w->reason[0] != '\0');
		ASSERT(text_printable(w->id) || strchr(w->id, '\t') != NULL);
		ASSERT_OP(strlen(w->until), ==, 10);
		ASSERT(w->has_commits || w->grade <= GRADE_CONSISTENT);
		ASSERT_OP(w->line, >, i);
	}
	if (list.count > 0)
		apply(&list, &list.items[0]);
	waivers_release(&list);
	return 0;
}
