/*
 * File names of a recorded case as people are told them: from the database's folder on. Where that
 * folder was on the machine that recorded it says nothing to others, and reports name no machine.
 * A case of a scenario has its files in a folder of ours, which is told.
 *
 * The names in the case itself stay as they are: the trace and its token are made of them.
 */
#ifndef CASE_CASE_NAMES_H
#define CASE_CASE_NAMES_H

#include "faultinject/base/buf.h"
#include "harness/case/subject.h"

/* Appends `text`, in which every name of a file in the folder of the database, or below it, begins
 * behind that folder. */
void case_names_shorten(const struct subject *subject, const char *text, struct buf *ret);

#endif
