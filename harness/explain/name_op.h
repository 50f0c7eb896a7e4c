/*
 * Operations of a trace in SQLite's own words:
 *
 *     page 5, leaf of table orders               frame 17 header, page 5 (leaf of index evb)
 *     page 1, header and schema                  frame 17, page 5 (leaf of index evb), commit
 *     page 5, leaf of table orders, copied            (database has 9 pages)
 *         from frame 17                          log header, salt ..., checkpoint sequence 2
 *     journal header, which does not count yet: database had 9 pages
 *     journal record 3: it is for page 5 (...)   journal record 3: page 5 as it was (...)
 *     journal header made valid: 3 records       deletes main.db-journal
 *     name of the super-journal: main.db-mj...   directory sync for main.db-journal
 *
 * Everything comes from the bytes of the trace. A file is a database because it begins like one, or
 * because the trace names a "-journal" or "-wal" of it. Which tree a page belongs to is read from
 * the schema and the trees themselves (pages.h), as the processes saw them at a boundary: the end
 * of a journal, the commit frame of a log, or, where neither is in use, an unlock, a sync or an
 * ACK. A page that is written has the owner that it has at the next boundary of that database; one
 * that a journal keeps, the owner at the boundary before; one that a checkpoint copies, the owner
 * by then. Where a transaction is rolled back, or the trace ends in the middle of one, what is
 * there then counts.
 *
 * What cannot be named (a file that is no database, a page of no tree, sizes that SQLite does not
 * write) is said plainly: "1024 bytes at 4096". Does not see: names of attached databases, which
 * are not in the files; temporary tables; what was written through a mapping.
 *
 * Texts are one line, valid UTF-8, without control characters; names in them are cut. The trace
 * may come from a stranger.
 *
 * Threads: a struct op_names is one thread's.
 */
#ifndef EXPLAIN_NAME_OP_H
#define EXPLAIN_NAME_OP_H

#include "faultinject/base/err.h"
#include "faultinject/trace.h"
#include "harness/case/story.h"

#include <stdint.h>

enum {
	OP_NAMES_MAX = 1 << 20,	   /* operations that are named by one call */
	OP_NAMES_FILES_MAX = 1024, /* databases of a trace that are followed */
	OP_NAMES_SHOWN_MAX = 100,  /* bytes of a name in a text */
	OP_NAMES_OWNERS_SHOWN = 4, /* owners of one write of many pages that are told apart */
};
/* Bytes of all databases, journals and logs that are followed, together. */
#define OP_NAMES_CONTENT_MAX ((uint64_t)1 << 30)
/* Pages visited in all walks of all trees, together. */
#define OP_NAMES_VISITS_MAX ((uint64_t)1 << 28)

struct op_names;

/* Names the operations at positions first..last (from 1; `last` beyond the end is the end). The
 * whole trace up to there is read, and what is behind it as far as the owners of pages need. The
 * trace is borrowed until op_names_free(). ERR_LIMIT: more than OP_NAMES_MAX operations. */
int op_names_create(const struct trace *t, uint64_t first, uint64_t last,
		    struct op_names **ret_names, struct err *err);
void op_names_free(struct op_names *n); /* accepts NULL */

/* What the operation was. Never NULL; "" outside first..last. Borrowed from `n`. */
const char *op_names_words(const struct op_names *n, uint64_t position);

/* Which maximum was reached, so that something is named plainly; static. NULL: none. */
const char *op_names_incomplete(const struct op_names *n);

/* The part that a name of the trace's table plays, as a lane of a timeline. *ret_database (may be
 * NULL): the name of the database that it belongs to, itself for a database; 0: none, or, for a
 * super-journal, several. */
enum story_role op_names_role(const struct op_names *n, uint32_t name, uint32_t *ret_database);

/* The name that an operation is about, as the lane to show it in: of the file that is written,
 * synced, locked or deleted, the old one of a rename, or the directory that is synced. 0: none.
 * First and last do not matter. An inode that has several names has that which it got first. */
uint32_t op_names_target(const struct op_names *n, uint64_t position);

#endif
