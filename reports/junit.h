/*
 * A result as JUnit XML, the form that CI systems show. There is no standard; what is written is
 * the part that Jenkins, GitLab and junitparser agree on:
 *
 *   classname   the scenario's path without .sql
 *   name        what follows '@' in the case id: model[key=value,...]
 *   file        the scenario's path from the current folder, where there is a scenario
 *   held          a testcase without a child
 *   violated      <failure type="violated">: verdict as its message; violations, tokens and the
 *                 commands that replay them in its body
 *   inconclusive  <failure type="inconclusive">: a gate must not turn green over what was not
 *                 proved, and <skipped> would; <error> is kept for a broken harness
 *   error         <error>
 *   skipped       <skipped>
 *
 * Together, classname and name are the case id, because GitLab drops a second test of the same two.
 * Of an id that XML cannot hold a hash is added to the name, so that they stay apart.
 */
#ifndef REPORTS_JUNIT_H
#define REPORTS_JUNIT_H

#include "faultinject/base/buf.h"
#include "harness/case/result.h"

enum {
	/* Violations of one case that are written out; the others are counted. */
	JUNIT_VIOLATIONS_MAX = 20,
	/* Beyond this size verdicts stand alone, without findings and notes: GitLab refuses a file
	 * above 30 MB. */
	JUNIT_DETAILS_SIZE_MAX = 16 << 20,
};

/* Appends the document. What XML 1.0 cannot hold (most control characters, bytes that are not
 * UTF-8) becomes U+FFFD. The same bytes for the same result: no time of day, no host name. */
void junit_render(struct buf *out, const struct result *r);

#endif
