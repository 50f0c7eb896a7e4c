/*
 * Waivers: known violations that somebody answers for, until a day. The file plugpull.waivers has
 * one on each line; docs/contract.md ("Waivers") is its format:
 *
 *   # case id                             oracle   loss  until       reason
 *   bank@strict-posix[synchronous=normal] history  1     2026-01-31  "autosave; issue 12"
 *
 * A waiver hides nothing: the grade and the violation stay in every report. It only decides that
 * the violation does not count. One that is expired, or that nothing needs, counts against its case
 * instead, so that the file cannot outlive what it is about.
 */
#ifndef CASE_WAIVERS_H
#define CASE_WAIVERS_H

#include "faultinject/base/err.h"
#include "harness/case/result.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WAIVERS_FILE "plugpull.waivers"

enum {
	WAIVERS_SIZE_MAX = 1 << 20,   /* bytes of the file */
	WAIVERS_COUNT_MAX = 4096,     /* lines with a waiver */
	WAIVERS_COMMITS_MAX = 1 << 30 /* the most loss, as a number */
};

struct waiver {
	char *id, *oracle, *reason;
	char *allowed;	  /* the loss, as it was written */
	bool has_commits; /* it is a number of acknowledged commits; otherwise a grade */
	uint64_t commits;
	enum grade grade;
	char *until;	   /* as it was written: the last day on which it holds */
	int64_t until_day; /* ... since 1970-01-01 */
	uint64_t line;
};

struct waiver_list {
	struct waiver *items; /* owned, in the order of the file; no two of one case and oracle */
	size_t count, cap;
};

/* Reads the text of a file; `path` is used in messages only. ERR_INPUT, "PATH:LINE: ...", for
 * anything else than comments, empty lines and waivers. */
int waivers_parse(const char *path, const char *text, size_t size, struct waiver_list *ret_list,
		  struct err *err);
void waivers_release(struct waiver_list *list); /* accepts a zeroed one */

/* The day of a time of day in seconds since 1970-01-01, UTC. */
int64_t waivers_day(int64_t seconds);

/* The oracles whose corrupt findings in a case are waived, up to `max` (there are no more oracles
 * than JUDGE_VERDICTS_MAX); the names are the list's. A corrupt state ends its crash point unless
 * each of its findings is among them: what lies behind would otherwise be waived unseen. */
size_t waivers_of_corrupt(const struct waiver_list *list, int64_t today, const char *id,
			  const char **ret_oracles, size_t max);

/* Judges a case that was judged without waivers: marks what is waived (result_violation.waived, and
 * a note), decides the verdict again where that changes it, and makes the case violated, with
 * "plugpull.waivers:LINE: ..." as the reason, when a waiver of the case is expired or was not
 * needed. A case that was not judged (inconclusive, skipped, error) keeps its verdict; one whose
 * violations are all waived without its being proved becomes inconclusive, and the caller says
 * why. Whether a waiver was needed is known only of a case whose every state was covered. */
void waivers_apply(const struct waiver_list *list, int64_t today, struct case_result *c);

#endif
