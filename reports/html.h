/*
 * A result as one HTML page (index.html): the page of the run, and a page for each case, with the
 * stories of its violations. One file that needs no network and opens from file://.
 *
 * The template, the style and the script stand in reports/page/ and are part of the program
 * (html_assets.h). Data stands in the page as JSON, apart from them:
 *
 *   #data       {"result": docs/contract.md "JSON", "words": one object a case, and counts}
 *   #story-C-V  the story of violation V of case C, both from 0 (story_to_json())
 *
 * Without scripts there is still the verdict, a table of all cases, and the command for each
 * violation. A Content-Security-Policy names the style and the scripts by their hashes, so nothing
 * else in the page can run, whatever the data says.
 */
#ifndef REPORTS_HTML_H
#define REPORTS_HTML_H

#include "faultinject/base/buf.h"
#include "faultinject/base/err.h"
#include "harness/case/result.h"

enum {
	/* The whole page. A browser opens this much in about a second. */
	HTML_SIZE_MAX = 32 << 20,
	/* The cases' share, as JSON; what does not fit is counted on the page. */
	HTML_CASES_SIZE_MAX = 8 << 20,
	/* Rows of the table for readers without scripts, and bytes of a text in it. */
	HTML_ROWS_MAX = 1000,
	HTML_TEXT_SIZE_MAX = 1000,
};

/* Appends the page: the same bytes for the same result, at most HTML_SIZE_MAX. Once a story does
 * not fit, it and those behind it are left out; the worst violation of each case comes before any
 * second one, those of violated cases before those of held ones. The page says how many are
 * missing, and the command that tells one. ERR_LIMIT as for result_json(), and `out` is then as it
 * was. */
int html_render(struct buf *out, const struct result *r, struct err *err);

#endif
