/*
 * What a child that makes an attempt says to its parent: attempt_say.c. Nobody outside attempt*.c
 * includes this.
 */
#ifndef SHRINK_ATTEMPT_INTERNAL_H
#define SHRINK_ATTEMPT_INTERNAL_H

#include "harness/shrink/attempt.h"

enum { ATTEMPT_OTHER_SIZE = 160 };

struct attempt_said {
	int out;
	uint64_t recoveries, points_before;
	bool invalid, found, whole, before_whole;
	char other[ATTEMPT_OTHER_SIZE]; /* the worst of what else was found */
	enum grade other_grade;
	struct finding finding; /* owns its answers */
};

void attempt_said_release(struct attempt_said *s);

/* Copies the finding. */
void attempt_keep(struct attempt_said *s, const struct finding *f);

/* From here on what dies is recovery, and not the recording. `t` (may be NULL): what was recorded,
 * for a parent that may not hear the end. */
void attempt_say_recorded(struct attempt_said *s, const struct trace *t);
/* A crash point begins: where it was, if it is the last thing that is heard. */
void attempt_say_point(struct attempt_said *s, const struct explore_point *point);
/* The end. `t` (may be NULL) was recorded; `err` (may be NULL): what failed. */
void attempt_say_result(struct attempt_said *s, const struct trace *t, const struct err *err);

#endif
