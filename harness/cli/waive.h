/*
 * Where waivers come from: the file plugpull.waivers in the folder that an argument names (of a
 * file: its folder), because its case ids are relative to that; of programs and traces, in the
 * current folder. Which of them hold is harness/case/waivers.h.
 *
 * A waiver ends on a day, so there is one clock that decides: today in UTC, or SOURCE_DATE_EPOCH
 * where that is set. No report shows it.
 */
#ifndef CLI_WAIVE_H
#define CLI_WAIVE_H

#include "faultinject/base/err.h"
#include "harness/case/waivers.h"
#include "harness/cli/load.h"
#include "harness/cli/options.h"

struct waive {
	struct waive_file {
		char *path;
		struct waiver_list list;
	} * files; /* owned */
	size_t count, cap;
	int64_t today; /* read only where there is a file */
};

/* Reads the files that belong to the scenarios. A waiver of a whole folder whose case id is none of
 * the cases is ERR_INPUT: with --case, --shard, --model and --set the ids are not all there, and
 * then only waivers whose case runs are judged. *ret is for waive_release() also on failure. */
int waive_load(const struct options *o, const struct loaded_list *loaded, struct waive *ret,
	       struct err *err);
/* Reads the file of the current folder. */
int waive_load_here(struct waive *ret, struct err *err);
void waive_release(struct waive *w);

/* The waivers that belong to a scenario, or of a program or trace; NULL: there are none. */
const struct waiver_list *waive_of(const struct waive *w, const struct loaded *l);
const struct waiver_list *waive_here(const struct waive *w);

#endif
