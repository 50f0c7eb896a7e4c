/*
 * The files of one crash state in a folder, to be looked at with any tool:
 *
 *     DIR/before/      as the crash left them; what recovery never asked about is as new as can be.
 *                      Of two crashes, the second one
 *     DIR/after/       the same when SQLite had recovered, read and closed them; not where it died,
 *                      and not for a case of --check, which looks at files before any recovery
 *     DIR/expected/    as the processes saw them when the last promise was made that counts here
 *     DIR/README.txt   what is what, and what to look at
 *     DIR/TOKEN.ppcase the case
 *
 * A file lies below these folders where its path in the trace says (/db/main.db:
 * before/db/main.db). What cannot lie there, because its name is too long or holds control
 * characters, or because another file needs a folder of that name, has a numbered name, and
 * README.txt says which.
 *
 * What SQLite did is done again from its calls (disk_calls.h), so that a recovery that ends its
 * process, or does not end, can be looked at as well.
 */
#ifndef DRIVE_MATERIALIZE_H
#define DRIVE_MATERIALIZE_H

#include "faultinject/base/err.h"
#include "harness/case/case_file.h"
#include "harness/drive/disk_calls.h"

#include <stdbool.h>

enum {
	MATERIALIZE_PART_MAX = 200,  /* bytes of one part of a path that lies where it says */
	MATERIALIZE_PATH_MAX = 1000, /* ... and of the whole path */
};

/* Can it become the folder of a state? It must not exist, or be an empty folder, and its parent
 * must exist. ERR_USAGE. */
int materialize_check(const char *directory, struct err *err);

struct materialize {
	const struct case_file *c;	/* borrowed */
	const struct disk_calls *calls; /* borrowed; of gate_replay() */
	bool again;			/* the finding was there again */
	const char *found;		/* borrowed; what was found now, in words */
};

/* Writes the folder: under another name, renamed when it is whole. ERR_IO; ERR_LIMIT: the files
 * are too large (state_files.h), or there were too many calls; ERR_HARNESS. */
int materialize(const struct materialize *m, const char *directory, struct err *err);

#endif
