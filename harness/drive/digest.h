/*
 * Digests of what SQL can see of a database file, and nothing of how pages lie: the schema rows
 * without root pages, sorted by type and name; user_version and application_id; of each table the
 * sum of the hashes of its rows, with the rowid where there is one, and their number. A table
 * without a rowid that SQL can name has its rows numbered in the order of its b-tree (NOT INDEXED,
 * so that no covering index stands in for the table). Virtual tables are covered by their shadow
 * tables.
 *
 * A sum does not depend on where the leaves of a b-tree begin and end, so that what was summed up
 * of a leaf once need not be read again: it is known by the leaf's bytes.
 */
#ifndef DRIVE_DIGEST_H
#define DRIVE_DIGEST_H

#include "harness/drive/image.h"
#include "harness/judge/observation.h"

struct sqlite3;
struct digest_leaves;

/* What makes reuse possible: the pages that the connection sees, and what is known of them. */
struct digest_reuse {
	const struct image *image;
	struct digest_leaves *leaves;
};

/* Known leaves. */
enum { DIGEST_LEAVES_MAX = 1 << 19 }; /* then they are forgotten */
struct digest_leaves *digest_leaves_create(void);
void digest_leaves_free(struct digest_leaves *leaves); /* accepts NULL */
/* Leaves that were asked for, and those that had to be read. */
void digest_leaves_counts(const struct digest_leaves *leaves, uint64_t *ret_asked,
			  uint64_t *ret_read);

/* Digests file number `file`, which SQL calls `schema`, into o->files[file]. A failure is noted in
 * the observation. `reuse` may be NULL, and changes no result. */
void digest_file(struct sqlite3 *db, const char *schema, size_t file,
		 const struct digest_reuse *reuse, struct observation *o);

/* Notes a failure, `rc`, of `what` in the observation, which keeps the first. Returns rc. */
int observation_fail(struct observation *o, struct sqlite3 *db, int rc, const char *what);

/* SQL identifiers in double quotes; owned by the caller (free()). */
char *quote_identifier(const char *name);

#endif
