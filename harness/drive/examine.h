/*
 * Examines crash states: boots the machine, lets SQLite recover, observes, judges, and keeps the
 * findings. This is the callback of the explorer; the same examiner serves replay and the
 * brute-force enumerator.
 */
#ifndef DRIVE_EXAMINE_H
#define DRIVE_EXAMINE_H

#include "faultinject/storage.h"
#include "faultinject/trace_index.h"
#include "harness/case/subject.h"
#include "harness/drive/finding.h"
#include "harness/drive/isolate.h"
#include "harness/drive/observe.h"
#include "harness/explore/explore.h"
#include "harness/judge/oracle.h"

enum {
	/* What an examiner remembers in order not to do it again. Where a bound is reached,
	 * everything is forgotten and the work goes on: results do not depend on it. */
	EXAMINE_KNOWN_BYTES_MAX = 64 << 20, /* observations */
	EXAMINE_JUDGED_MAX = 1 << 19,	    /* judgements, 64 bytes each */
	/* Recoveries at one crash point from the first corrupt state that did not end it: recovery
	 * of a broken file may read everything, and then there is no end of states. */
	EXAMINE_PASSED_MAX = 4000,
};

struct examiner;

/*
 * Reads the history of the trace and prepares oracles. All pointers are borrowed until
 * examiner_free(). `show_data`: messages show row values. ERR_INPUT when a legal state of the trace
 * cannot be observed.
 */
int examiner_create(const struct subject *subject, const struct trace_index *ix, bool show_data,
		    struct examiner **ret_examiner, struct err *err);
void examiner_free(struct examiner *e); /* accepts NULL */

const struct history *examiner_history(const struct examiner *e);
const struct judge *examiner_judge(const struct examiner *e);

/* Says when SQLite runs, which may crash or hang there; NULL (borrowed otherwise): nobody is told.
 */
void examiner_isolate(struct examiner *e, struct isolate *isolate);

/* Other bounds than EXAMINE_KNOWN_BYTES_MAX and EXAMINE_JUDGED_MAX, for tests. */
void examiner_bound(struct examiner *e, size_t known_bytes_max, size_t judged_max);

/* Corrupt states of which these oracles alone object do not end their crash point, unless
 * EXAMINE_PASSED_MAX is reached; see waivers_of_corrupt(). The names are borrowed, the array is
 * not; `count` is JUDGE_VERDICTS_MAX at most. Called before anything is examined. */
void examiner_pass(struct examiner *e, const char *const *oracles, size_t count);

/* Depth 2: recoveries open with all of the application's pragmas, before they read anything. Called
 * before anything is examined. */
void examiner_interrupt_recovery(struct examiner *e);
/* The callback for that; `ctx` is the examiner. */
int examiner_recover(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		     enum explore_next *ret_next, struct err *err);

/* The same on a storage that is certain: recovers as after a crash at `position`, calls `died`, and
 * closes what is open. Used by the enumerator's tests. */
void examiner_recover_storage(struct examiner *e, struct storage *storage, uint64_t position,
			      void (*died)(void *ctx), void *ctx);

/* Begins a crash point: grade, losses and findings start over, so that they are those of the point
 * alone. What is remembered for speed is kept. */
void examiner_begin_point(struct examiner *e);

/* The callback for explore(): `ctx` is the examiner. */
int examiner_examine(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		     const struct choice *choice, enum explore_next *ret_next, struct err *err);

/* Examines a state that is certain: the disk of `position`, held against what had been promised by
 * `promise`. *ret_outcome identifies what was observed; used by the enumerator's tests. */
int examiner_examine_storage(struct examiner *e, struct storage *storage, uint64_t position,
			     uint64_t promise, uint64_t *ret_outcome, enum grade *ret_grade,
			     uint64_t *ret_lost, struct err *err);

/* Results so far, or since examiner_begin_point(). Borrowed. */
enum grade examiner_grade(const struct examiner *e); /* the worst; GRADE_DURABLE at the start */
uint64_t examiner_lost_max(const struct examiner *e);
size_t examiner_findings(const struct examiner *e, const struct finding **ret_findings);

/* What the last examined state was: its outcome and worst grade (equivalence test, replay). The
 * verdicts are those of the last promise, and none when it was judged there before. */
struct examined {
	uint64_t outcome;
	enum grade grade;
	uint64_t lost;
	const struct verdict *verdicts; /* borrowed until the next examination */
	size_t verdict_count;
};
struct examined examiner_last(const struct examiner *e);

/* Aftermaths of pure observations (memo.h) that had nothing to object to, and yet asked the disk
 * something. There is none as long as examine.c is right about what an aftermath looks at. */
uint64_t examiner_asked(const struct examiner *e);

/* Observations that were made, and those that the memo answered. */
void examiner_counts(const struct examiner *e, uint64_t *ret_observed, uint64_t *ret_known);

#endif
