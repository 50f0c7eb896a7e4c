/*
 * What an observation was found to be at a promise, so that it is judged there once. Open
 * addressing, keyed by both.
 */
#ifndef DRIVE_JUDGED_H
#define DRIVE_JUDGED_H

#include "harness/judge/verdict.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct judged {
	uint32_t observation; /* its number + 1; 0 = empty slot */
	uint32_t point;	      /* of which the verdicts were kept last */
	enum grade grade;
	bool has_verdicts;
	uint64_t promise, lost;
};

struct judged_table {
	struct judged *slots; /* owned; power of two */
	size_t count, cap;
	size_t count_max; /* then everything is forgotten */
};

void judged_init(struct judged_table *t, size_t count_max);
void judged_release(struct judged_table *t); /* accepts a zeroed one */
void judged_forget(struct judged_table *t);

/* NULL: not judged yet. Borrowed until judged_add() or judged_forget(), as what that returns is. */
struct judged *judged_find(const struct judged_table *t, uint32_t observation, uint64_t promise);
/* A new one, zeroed but for its key. */
struct judged *judged_add(struct judged_table *t, uint32_t observation, uint64_t promise);

#endif
