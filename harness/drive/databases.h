/*
 * Which files of a trace are SQLite databases, read from the trace itself: a file is one when its
 * base or its first bytes begin with SQLite's magic string, or when a log or journal beside it has
 * its name.
 */
#ifndef DRIVE_DATABASES_H
#define DRIVE_DATABASES_H

#include "faultinject/trace.h"
#include "harness/case/subject.h"

/* [name] = 1 where the name (1..name_count) is that of a database; owned by the caller. */
uint8_t *databases_find(const struct trace *t);

/* Makes them those of a subject that has none yet: the first in the order of the trace is "main",
 * the others are attached as "db2", "db3", ... Returns how many there are. */
size_t databases_into(const struct trace *t, struct subject *s);

#endif
