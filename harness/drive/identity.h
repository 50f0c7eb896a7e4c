/*
 * What an exploration is, as one hash: everything that decides what its crash points come to. Two
 * explorations with the same hash have the same results, so that one may go on where the other
 * stopped (resume.h).
 */
#ifndef DRIVE_IDENTITY_H
#define DRIVE_IDENTITY_H

#include "faultinject/base/err.h"
#include "faultinject/base/hash.h"
#include "faultinject/trace.h"
#include "harness/case/subject.h"

/* Hashes the subject, the trace without its producer, the bytes of this program, of the SQLite
 * library that it runs with and of every extension that the subject loads, and `more`: what else
 * decides, in words. ERR_IO when one of these files cannot be read. */
int exploration_identity(const struct subject *s, const struct trace *t, const char *more,
			 struct digest *ret, struct err *err);

#endif
