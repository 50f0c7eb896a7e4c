/*
 * What tests of the explorer on random traces share: traces, also of operations that SQLite never
 * makes; a recovery that looks at random places; sets of outcomes; random models.
 */
#ifndef EXPLORE_RANDOM_TRACES_H
#define EXPLORE_RANDOM_TRACES_H

#include "faultinject/base/buf.h"
#include "faultinject/model.h"
#include "faultinject/storage.h"
#include "faultinject/trace.h"
#include "harness/explore/enumerate.h"

enum {
	RANDOM_NAMES = 3,
	RANDOM_STATES_MAX = 3000,
};

struct random_outcomes {
	uint64_t items[RANDOM_STATES_MAX];
	size_t count;
};

/* A trace of a few operations on a few files, with sectors of 512 bytes. The caller frees it. */
struct trace *random_trace(uint64_t seed);
bool random_has_link(const struct trace *t);
/* Looks, and sometimes writes, at random but fixed places. The result is a hash of all that was
 * seen. */
uint64_t random_look(struct storage *s, uint64_t seed);
bool random_look_writes(uint64_t seed);
/* The same on the files of a state. */
uint64_t random_look_files(const struct enumerate_file *files, size_t count, uint64_t seed);
/* A recovery that looks a little and writes, deletes and syncs more. */
void random_recovery(struct storage *s, uint64_t seed);
/* A model whose parameters go together, and its parameters as text (cleared first). */
void random_model(uint64_t seed, struct model *ret, struct buf *ret_text);

void random_outcomes_add(struct random_outcomes *o, uint64_t h);
/* Fails the test when they differ. `what` and the numbers are for the message. */
void random_outcomes_compare(struct random_outcomes *lazy, struct random_outcomes *brute,
			     const char *what, uint64_t seed, uint64_t position);

#endif
