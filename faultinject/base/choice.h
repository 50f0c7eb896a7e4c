/*
 * Every decision that is not determined goes through choice_next(c, n): which of n answers holds.
 * Answers come from a prefix first (replay, or the way to a node of the search tree), then from a
 * tail policy. All questions and answers of a run are kept, so that the run can be repeated.
 *
 * Each question carries an identity (a hash of what was asked about). The same prefix of answers
 * must meet the same questions; a run that does not has diverged, which is a defect of the harness
 * or nondeterminism of the subject, and is reported, never ignored.
 */
#ifndef FI_BASE_CHOICE_H
#define FI_BASE_CHOICE_H

#include "faultinject/base/prng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CHOICE_STEPS_MAX = 1 << 20, /* questions in one run; more is divergence */
};

enum choice_tail {
	CHOICE_FIRST,  /* answer 0 */
	CHOICE_LAST,   /* answer n - 1 */
	CHOICE_RANDOM, /* drawn from the stream */
};

struct choice_step {
	uint32_t n, answer;
};

struct choice {
	const uint32_t *prefix; /* borrowed */
	size_t prefix_count;
	uint64_t prefix_hash; /* expected identity hash after the prefix; 0 = not checked */
	enum choice_tail tail;
	struct prng *random; /* borrowed; CHOICE_RANDOM only */

	struct choice_step *steps; /* owned; what was asked and answered in this run */
	uint64_t *hashes;	   /* owned; hashes[i]: identity of questions 0..i and their n */
	size_t count, cap;
	bool diverged;
};

void choice_init(struct choice *c);
void choice_release(struct choice *c);

/* Starts a run. */
void choice_begin(struct choice *c, const uint32_t *prefix, size_t prefix_count,
		  uint64_t prefix_hash, enum choice_tail tail);

/* The exhaustive source, like an odometer: sets *prefix (owned by the caller, grown with realloc)
 * to the answers of the next run after the finished one, last answer fastest. False after the last
 * of all runs. */
bool choice_advance(const struct choice *c, uint32_t **prefix, size_t *prefix_count);

/* The answer, in [0, n), to `question`; n >= 1, and n == 1 is answered without being recorded. */
uint32_t choice_next(struct choice *c, uint32_t n, uint64_t question);

#endif
