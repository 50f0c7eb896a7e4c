/*
 * What the parts of name_op share; internal to name_op*.c.
 *
 *   name_op.c           the pass over the trace: names, boundaries; answers
 *   name_op_roles.c     which file is what
 *   name_op_words.c     what is the same for every file, in words
 *   name_op_content.c   the bytes of the files that are followed
 *   name_op_database.c  a database as its readers see it, and its pages in words
 *   name_op_journal.c   rollback journals and super-journals
 *   name_op_log.c       write-ahead logs
 */
#ifndef EXPLAIN_NAME_OP_INTERNAL_H
#define EXPLAIN_NAME_OP_INTERNAL_H

#include "faultinject/base/buf.h"
#include "faultinject/format/btree.h"
#include "faultinject/format/journal.h"
#include "faultinject/format/wal.h"
#include "harness/explain/name_op.h"
#include "harness/explain/pages.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- name_op_content.c ---- */

enum { CONTENT_CHUNK = 4096 };
#define CONTENT_SIZE_MAX ((uint64_t)1 << 30) /* of one file; what is behind it is not kept */

/* The bytes of a file. Chunks that nobody wrote are NULL: zeros. */
struct content {
	uint8_t **chunks; /* owned */
	size_t chunk_cap;
	size_t top; /* no chunk at or behind it */
	uint64_t size;
};

void content_release(struct content *c);
/* *left: bytes that may be kept yet, by all contents together. False: not all was kept. */
bool content_write(struct content *c, uint64_t offset, const uint8_t *data, uint64_t size,
		   uint64_t *left);
void content_truncate(struct content *c, uint64_t size, uint64_t *left);
/* Bytes behind the end are zeros. */
void content_read(const struct content *c, uint64_t offset, uint8_t *ret, size_t size);

/* ---- what is followed ---- */

enum name_role {
	NAME_OTHER,
	NAME_DATABASE,
	NAME_JOURNAL,
	NAME_LOG,
	NAME_SUPER_JOURNAL,
};

struct name_path {
	uint8_t role;
	bool is_directory;
	bool is_ambiguous; /* another name ends the same */
	uint32_t database; /* index of a role that has one */
	uint32_t inode;	   /* that it names now; 0 = none */
	uint32_t directory;
	uint64_t changed; /* when it was given or taken last; 0 = the base */
};

struct name_file {
	bool followed;
	struct content content;
	uint32_t name; /* the first; 0 = none yet */
	uint32_t now;  /* the last that it was given */
};

struct name_journal {
	bool open;		      /* there is a header that may count, or will */
	struct journal_header header; /* of the first segment */
	uint64_t segment;	      /* offset of the last header */
	uint64_t first;		      /* number of its first record, from 1 */
	uint64_t records;	      /* behind it, so far */
	uint64_t in_hand;	      /* record whose page number was written last; 0 = none */
	uint32_t page;		      /* of that */
	uint64_t super;		      /* offset of what names the super-journal; 0 = nothing does */
	uint64_t super_size;	      /* of the name */
};

struct name_log {
	uint32_t inode;
	bool valid; /* there is a header */
	struct wal_header header;
	uint32_t committed;	 /* frames that count */
	struct wal_checksum sum; /* after them */
	uint32_t page_count;	 /* of the database, after them */
	uint32_t *pages;	 /* [frame - 1], of those that count; owned */
	size_t page_cap;
	uint32_t *frame_of; /* [page]: the last that counts, 0 = none; owned */
	size_t frame_cap;
};

/* An operation that is named at the next boundary. */
struct name_later {
	uint64_t position;
	bool is_frame; /* otherwise a write of the database */
	bool has_head;
	uint8_t part;		      /* enum frame_part */
	uint32_t frame, page, commit; /* commit: pages of the database; 0 = none */
};

struct name_database {
	uint32_t name;
	uint32_t inode; /* now; 0 = none */
	struct name_journal journal;
	struct name_log log;
	struct pages *pages;	  /* owned; NULL = never walked */
	uint32_t page_size;	  /* at the last walk; 0 = it was no database */
	bool changed;		  /* since */
	struct name_later *later; /* owned */
	size_t later_count, later_cap;
};

struct op_names {
	const struct trace *t;
	uint64_t first, last;
	const char *incomplete;
	struct name_path *paths;	  /* [name_count + 1]; owned */
	struct name_file *files;	  /* [inode_count + 1]; owned */
	struct name_database **databases; /* owned */
	size_t database_count, database_cap;
	uint64_t content_left, visits_left, checked_left;
	uint64_t position;  /* of the operation in hand */
	size_t later_count; /* of all databases */
	uint8_t *scratch;   /* a page; owned */

	struct buf line; /* the words in hand */
	struct buf text; /* all words, each with a terminator */
	size_t *at;	 /* [position - first]: offset in text + 1, 0 = none; owned */
};

/* ---- name_op.c ---- */

/* Is the operation in hand one to be named? */
static inline bool names_wants(const struct op_names *n)
{
	return n->position >= n->first && n->position <= n->last;
}
/* Takes n->line as the words of an operation, and empties it. */
void names_take(struct op_names *n, uint64_t position);
void names_incomplete(struct op_names *n, const char *why);

/* ---- name_op_roles.c ---- */

/* Fills n->databases and what of n->paths does not change. */
void names_find_roles(struct op_names *n);

/* ---- name_op_words.c ---- */

/* Names that have changed and whose directory was not synced since, in the order of changes; the
 * first ones of very many. */
struct names_unsynced {
	uint32_t *names; /* owned */
	size_t count, cap;
};
void names_unsynced_add(struct names_unsynced *u, uint32_t name);
/* A sync of `directory` keeps what had changed before its begin. */
void names_unsynced_drop(struct op_names *n, struct names_unsynced *u, uint32_t directory,
			 uint64_t begin);

/* The last part of a path. */
const char *names_base(const char *path);

/* These append to n->line. A file's name: */
void names_show(struct op_names *n, uint32_t name);
/* "1024 bytes at 4096". */
void names_plain(struct op_names *n, const struct op *op);
void names_sync_words(struct op_names *n, const struct op *op);
/* With the names that it is for. */
void names_directory_words(struct op_names *n, uint32_t directory, const struct names_unsynced *u);
void names_lock_words(struct op_names *n, const struct op *op);
/* "WHAT: " and the text of the operation. */
void names_note_words(struct op_names *n, const struct op *op, const char *what);

/* ---- name_op_database.c ---- */

/* The database is walked when something has changed, and what waits for that is named. */
void database_boundary(struct op_names *n, struct name_database *d);
/* ... when it never was: before its first change. */
void database_first_walk(struct op_names *n, struct name_database *d);
/* The bytes at [offset, offset + size) of the database are others now. */
void database_dirty(struct name_database *d, uint64_t offset, uint64_t size);
/* The words of a write to it: at once where a checkpoint copies, otherwise at the boundary. */
void database_written(struct op_names *n, struct name_database *d, const struct op *op);
void database_truncated(struct op_names *n, struct name_database *d, const struct op *op,
			uint64_t size_before);
/* Appends " (leaf of table t)", or nothing. */
void database_owner(struct op_names *n, const struct name_database *d, uint32_t page);
/* Nothing has to be named any more: the owner is what it is now. */
void database_later(struct op_names *n, struct name_database *d, struct name_later later);

/* ---- name_op_journal.c ---- */

/* A write is in n->line then. Returns true when it ended the journal. */
bool journal_written(struct op_names *n, struct name_database *d, const struct op *op);
/* Its name or its content is gone. */
void journal_ended(struct name_database *d);
void super_journal_written(struct op_names *n, const struct op *op);

/* ---- name_op_log.c ---- */

void log_release(struct name_log *l);
/* The log is empty, or another one. */
void log_cleared(struct name_database *d);
/* A log that was in the base. */
void log_read_base(struct op_names *n, struct name_database *d, const struct content *c);
/* A write that is in its content already. Returns true when it completed a commit; it is named
 * then, or waits for the boundary. */
bool log_written(struct op_names *n, struct name_database *d, const struct content *c,
		 const struct op *op);
/* "frame 17, page 5 (leaf of index evb), commit (database has 9 pages)". */
void log_frame_words(struct op_names *n, const struct name_database *d,
		     const struct name_later *later);
/* The last frame that counts and has this page with these bytes; 0: none. */
uint32_t log_find(const struct op_names *n, const struct name_database *d, uint32_t page,
		  const uint8_t *bytes);

#endif
