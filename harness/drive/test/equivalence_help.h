/*
 * The judge of the explorer: what it finds of a trace against what brute force finds. For tests.
 */
#ifndef DRIVE_TEST_EQUIVALENCE_HELP_H
#define DRIVE_TEST_EQUIVALENCE_HELP_H

#include "harness/drive/examine.h"

#include "faultinject/disk.h"
#include "harness/explore/enumerate.h"

struct outcome {
	uint64_t id;
	enum grade worst;
};

struct outcome_set {
	struct outcome *items;
	size_t count, cap;
};

/* Keeps the worst grade of each outcome. The caller frees `items`. */
void outcome_add(struct outcome_set *set, uint64_t id, enum grade grade);
/* The test fails when they differ. */
void outcomes_assert_equal(const struct outcome_set *lazy, const struct outcome_set *brute,
			   const char *what, uint64_t position);

struct lazy_ctx {
	struct examiner *examiner;
	struct outcome_set set;
};

struct brute_ctx {
	struct examiner *examiner;
	struct disk *disk;
	uint64_t position;
	uint64_t promise;
	struct outcome_set set;
};

/* enumerate's callback: examines a state and adds its outcome. `ctx` is a brute_ctx. */
int brute_visit(void *ctx, const struct enumerate_file *files, size_t count, struct err *err);

/* Crash points with more states are left to those with fewer. */
enum { EQUIVALENCE_STATES_MAX = 10000 };

/* Compares both at every crash point and, with `every_position`, brute force at every position in
 * between against the crash points. Returns how many states brute force recovered. */
uint64_t equivalence_compare(const struct subject *subject, const struct trace *t,
			     const struct model *model, bool every_position);

#endif
