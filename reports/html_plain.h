/*
 * What the page shows without scripts: the verdict, a table of the cases, those that did not hold
 * first, and each violation with the command that replays it.
 */
#ifndef REPORTS_HTML_PLAIN_H
#define REPORTS_HTML_PLAIN_H

#include "faultinject/base/buf.h"
#include "harness/case/result.h"

/* Appends `text` (NULL: nothing) as the text of an element or the value of an attribute in double
 * quotes: clean (words_clean()), at most HTML_TEXT_SIZE_MAX bytes and an ellipsis, escaped. */
void html_text(struct buf *out, const char *text);

/* Appends "plugpull run: violated". */
void html_plain_title(struct buf *out, const struct result *r);

/* Appends elements; HTML_ROWS_MAX rows, and as many violations, then a line says how many more. */
void html_plain_render(struct buf *out, const struct result *r);

#endif
