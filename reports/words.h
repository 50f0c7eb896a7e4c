/*
 * The words that every report has for the same thing: the verdict of a case in a sentence, how much
 * was covered, how many cases of each kind. One place, so that the terminal, JUnit and Markdown
 * cannot tell different stories. All functions append to `out`, cannot fail and add no newline.
 */
#ifndef REPORTS_WORDS_H
#define REPORTS_WORDS_H

#include "faultinject/base/buf.h"
#include "harness/case/result.h"

/* `text` (NULL: nothing) on one line and harmless to a terminal: line breaks and tabs become a
 * blank, other control characters, directional overrides and bytes that are not UTF-8 U+FFFD. */
void words_clean(struct buf *out, const char *text);

/* A count of states, an exact decimal string, for people: as it stands up to six digits, otherwise
 * rounded to two ("1.2e29"). What is no decimal number is shown as it is. */
void words_states(struct buf *out, const char *states);

/* The verdict of a case in one sentence without a full stop. */
void words_sentence(struct buf *out, const struct case_result *c);

/* "65 crash points, 3.1e9 states, 33427 recoveries"; for kill "200 rounds, 200 recoveries". */
void words_coverage(struct buf *out, const struct case_result *c);

/* "exhaustive", "partial", or "sampled" (kill). */
const char *words_extent(const struct case_result *c);

/* "14 cases: 12 held, 1 violated, 1 skipped"; "no case ran". */
void words_counts(struct buf *out, const struct result *r);

/* The lint's message, and how often it holds. */
void words_lint(struct buf *out, const struct result_lint *l);

/* "35 caught, 25 redundant, 0 missed". */
void words_score(struct buf *out, struct result_score s);

/* The argument that `plugpull replay` takes for a token: the token itself, or, with `report`, the
 * case file in that report folder ("" when read from inside it). */
void words_replay(struct buf *out, const char *report, const char *token);

/* "1 round", "2 rounds": `one` and its plural with an s. */
void words_number(struct buf *out, uint64_t n, const char *one);

#endif
