/* Between materialize.c, which makes the files, and materialize_note.c, which says what they are.
 */
#ifndef DRIVE_MATERIALIZE_INTERNAL_H
#define DRIVE_MATERIALIZE_INTERNAL_H

#include "harness/drive/materialize.h"
#include "harness/drive/state_files.h"

enum materialized {
	MATERIALIZED_BEFORE,
	MATERIALIZED_AFTER,
	MATERIALIZED_EXPECTED,
	MATERIALIZED_STATES,
};

struct materialized_state {
	bool is_there;
	struct state_files files; /* beside `paths` */
};

struct materializing {
	const struct materialize *m;
	char **paths; /* owned; in the trace */
	char **files; /* owned; below the folder of a state */
	size_t count, cap;
	size_t traced; /* of these, named by the trace; they come first */
	struct materialized_state states[MATERIALIZED_STATES];
	uint64_t left_open; /* decisions that recovery did not ask for, shown as new as can be */
	bool first_died;    /* recovery died before the second crash: before/ is after the first */
};

/* "before", "after", "expected" */
const char *materialized_name(enum materialized which);

/* Decides where each of the paths goes. Which states have it plays no part. */
void materialize_places(struct materializing *w);

/* README.txt, appended. */
void materialize_note(const struct materializing *w, struct buf *out);

#endif
