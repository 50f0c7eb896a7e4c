/*
 * Two results, case by case: what got worse, better, appeared, disappeared. docs/ci.md
 * ("Comparing with a baseline") has the rules for people; they are:
 *
 *   C1  verdict: held, skipped, inconclusive, violated, error is the order from best to worst; what
 *       is inconclusive, skipped, or held by a waiver is not better than anything
 *   C2  grade: a lower one is worse, a higher one better; none any more in a case that holds is
 *       worse; otherwise, where one of the two is null, C1 alone
 *   C3  lost acknowledged commits: more is worse, fewer better
 *   C4  an oracle that objects, or at a lower grade than before: worse; that no longer does: better
 *   C5  exhaustive, and not any more: worse; now: better
 *   C6  an oracle that judged, and is not applicable now: worse; the other way round: better
 *   C7  mutants: fewer caught or more missed is worse; otherwise more caught or fewer missed is
 *       better; mutated, and not any more: worse
 *   C8  a case that is there no more is worse, unless it was skipped; one that is new is worse
 *       when it neither holds nor is skipped
 *   C9  what is asked of the case, its settings, its size, missing syncs: said, neither; commits
 *       that are none any more: worse
 *   C10 of a case that was not judged, or of which not every state was covered, a higher grade,
 * fewer lost commits and an objection less are not better: they are not known
 *
 * A case in which anything is worse is worse. A violation that is waived objects all the same: a
 * waiver is about one run, and a comparison about what changed.
 */
#ifndef REPORTS_COMPARE_H
#define REPORTS_COMPARE_H

#include "faultinject/base/buf.h"
#include "harness/case/result.h"
#include "reports/terminal.h"

#include <stdbool.h>

#define COMPARE_KINDS(X)                                                                           \
	X(COMPARE_WORSE, "worse")                                                                  \
	X(COMPARE_DISAPPEARED, "disappeared")                                                      \
	X(COMPARE_APPEARED, "appeared")                                                            \
	X(COMPARE_BETTER, "better")                                                                \
	X(COMPARE_CHANGED, "changed")                                                              \
	X(COMPARE_SAME, "same")

/* In the order in which reports have them. */
enum compare_kind {
#define X(name, text) name,
	COMPARE_KINDS(X)
#undef X
};

const char *compare_kind_text(enum compare_kind kind);

/* One thing that is not as it was. */
struct compare_change {
	enum compare_kind kind; /* COMPARE_WORSE, COMPARE_BETTER or COMPARE_CHANGED */
	char *what, *base, *now;
};

struct compare_case {
	enum compare_kind kind;
	bool worse; /* it fails the comparison */
	/* Borrowed from the results; NULL: it is not in that one. */
	const struct case_result *base, *now;
	struct compare_change *changes;
	size_t change_count, change_cap;
};

/* A result, and what its file says of who wrote it. Borrowed. */
struct compare_side {
	const struct result *result;
	const char *plugpull, *command;
};

struct compare {
	struct compare_side base, now;
	struct compare_case *cases; /* owned; in order of kind, then of NEW, then of BASE */
	size_t count;
	size_t kinds[COMPARE_SAME + 1];	    /* how many of each */
	size_t worse;			    /* how many fail the comparison */
	struct compare_change *differences; /* of the two runs: command, seed, versions, models */
	size_t difference_count, difference_cap;
};

/* Both sides outlive *ret. */
void compare_results(struct compare_side base, struct compare_side now, struct compare *ret);
void compare_release(struct compare *c);

/* For a terminal, like terminal.h; style->report is the folder that has NEW's case files. `quiet`
 * leaves out all but what is worse. */
void compare_render(struct buf *out, const struct compare *c, const struct terminal_style *style,
		    bool quiet);
/* One JSON object with sorted keys and a newline (docs/contract.md, "Compare"). */
void compare_json(struct buf *out, const struct compare *c);

#endif
