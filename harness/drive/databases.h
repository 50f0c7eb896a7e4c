/*
 * Which files of a trace are SQLite databases, read from the trace itself: a file is one when its
 * base or its first bytes begin with SQLite's magic string, or when a log or journal beside it has
 * its name.
 */
#ifndef DRIVE_DATABASES_H
#define DRIVE_DATABASES_H

#include "faultinject/trace.h"

/* [name] = 1 where the name (1..name_count) is that of a database; owned by the caller. */
uint8_t *databases_find(const struct trace *t);

#endif
