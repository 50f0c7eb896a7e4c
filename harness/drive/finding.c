/* See finding.h. */
#include "harness/drive/finding.h"

#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>

void findings_keep(struct finding *findings, size_t *count, const struct finding *f)
{
	struct finding *kept = NULL;

	for (size_t i = 0; i < *count && kept == NULL; i++)
		if (strcmp(findings[i].verdict.oracle, f->verdict.oracle) == 0 &&
		    findings[i].verdict.grade == f->verdict.grade)
			kept = &findings[i];
	if (kept != NULL && f->lost <= kept->lost)
		return;
	if (kept == NULL) {
		if (*count == EXAMINE_FINDINGS_MAX)
			return;
		kept = &findings[(*count)++];
		kept->answers = NULL;
	}
	uint32_t *answers = xmalloc(f->answer_count * sizeof *answers);
	if (f->answer_count > 0)
		memcpy(answers, f->answers, f->answer_count * sizeof *answers);
	free(kept->answers);
	*kept = *f;
	kept->answers = answers;
}
