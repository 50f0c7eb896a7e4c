/*
 * What the parts of the lint share; internal to lint*.c.
 *
 *   lint.c           the pass over the trace: names, syncs, whose file a write goes to; findings
 *   lint_journal.c   rollback journals as they are written, and what is written under them
 *   lint_journal_end.c   how they end, and super-journals with them
 *   lint_wal.c       write-ahead logs
 *
 * Everything is a position. A file has one number, `durable`: what stands before it is safe (the
 * begin of its last sync that has ended). A directory has the same for names.
 */
#ifndef LINT_LINT_INTERNAL_H
#define LINT_LINT_INTERNAL_H

#include "faultinject/format/btree.h"
#include "faultinject/format/journal.h"
#include "faultinject/format/wal.h"
#include "harness/lint/lint.h"
#include "harness/lint/page_map.h"

enum {
	SHOWN_NAME_SIZE = 100, /* bytes of a file's name in a message, terminator included */
	SHOWN_TEXT_SIZE = 400,
	SHOWN_NOUN_SIZE = SHOWN_NAME_SIZE + 40,
	SUPER_TAIL_MAX = 4 + JOURNAL_SUPER_NAME_MAX + JOURNAL_SUPER_TAIL,
};

/* What a device told SQLite: https://www.sqlite.org/c3ref/c_iocap_atomic.html. */
enum {
	DEVICE_ATOMIC_ANY = 0x1ff | 0x4000,
	DEVICE_SAFE_APPEND = 0x200,
	DEVICE_SEQUENTIAL = 0x400,
};

/* Syncs of a file or a directory. */
struct syncs {
	uint64_t durable; /* what is before it is safe; 0 = only the base is */
	uint64_t begun;	  /* the last one that began; 0 = none */
};

static inline bool is_durable(const struct syncs *s, uint64_t position)
{
	return position < s->durable || position == 0;
}

enum file_role {
	FILE_OTHER,
	FILE_DATABASE,
	FILE_JOURNAL,
	FILE_WAL,
};

/* An inode. */
struct file {
	struct syncs syncs;
	uint64_t size, last_write;
	uint32_t name; /* the newest; 0 = none yet */
	uint8_t role;
	uint32_t database; /* index, of a role other than FILE_OTHER */
};

/* A path. */
struct path {
	uint32_t inode;	    /* that it names now; 0 = none */
	uint64_t changed;   /* the operation that gave or took it; 0 = the base */
	uint32_t directory; /* a name; 0 = the trace does not name it: never synced */
	uint8_t role;
	uint32_t database;
};

struct actor {
	uint16_t process, thread, connection;
};

/* One header of a journal and the records behind it. */
struct segment {
	uint64_t offset;
	uint8_t header[JOURNAL_HEADER_SIZE];
	uint64_t header_written;
	uint32_t count;		 /* what the header says; 0 without its magic */
	uint32_t count_before;	 /* what it said durably, before header_written */
	uint32_t first;		 /* record */
	uint32_t record_count;	 /* seen so far */
	uint64_t record_written; /* the latest of them */
};

struct record {
	uint32_t page;
	uint8_t number[4], number_have; /* its bytes, and which of them are there */
	bool is_hashed, is_restored, is_overwritten;
	uint64_t written;
	uint64_t hash; /* of the content */
};

struct journal {
	bool is_open;				   /* there is a header */
	uint32_t inode, name;			   /* where it is; name 0 = not known */
	uint8_t first_header[JOURNAL_HEADER_SIZE]; /* also while it is not open */
	struct journal_header header;		   /* of the first segment */
	struct segment *segments;		   /* owned */
	size_t segment_count, segment_cap;
	struct record *records; /* owned */
	size_t record_count, record_cap;
	struct page_map pages;	   /* to records */
	uint64_t database_written; /* the latest write to the database under it; 0 = none */
	bool count_reported;
	struct actor writer; /* of its latest header */

	uint8_t super_tail[SUPER_TAIL_MAX];
	size_t super_tail_size;
	uint64_t super_offset; /* of what names the super-journal; 0 = nothing does */
	uint64_t super_named;  /* the operation that completed the name; 0 = none */
	uint32_t super_name;   /* 0: the trace does not know it */
};

/* A journal that was ended, until an ACK says so to somebody. */
struct journal_end {
	uint64_t at;	/* 0 = none */
	uint32_t inode; /* whose sync makes it durable; 0: the directory of `name` */
	uint32_t name;	/* of the journal */
	uint32_t super_name;
	const char *word; /* "deleted", ... */
	struct actor actor;
	bool is_acked;
};

struct commit {
	uint32_t frame;	  /* index */
	uint64_t written; /* the latest write to a frame up to it */
};

struct frame {
	uint8_t head[8], head_have; /* page number and commit field */
	bool is_linked, is_hashed;
	uint32_t page;
	uint32_t before; /* the frame of the same page before it, or PAGE_MAP_NONE */
	uint64_t written;
	uint64_t hash;
};

struct wal {
	uint32_t inode, name;
	uint8_t bytes[WAL_HEADER_SIZE];
	bool is_valid;
	struct wal_header header;
	uint64_t header_written;
	bool header_reported;
	struct frame *frames; /* owned; of this turn */
	size_t frame_count, frame_cap;
	struct commit *commits; /* owned; by frame */
	size_t commit_count, commit_cap;
	struct page_map pages;	  /* to frames */
	bool is_unacked;	  /* the last commit */
	struct actor committer;	  /* of it */
	uint64_t unacked_frame;	  /* index of its first commit frame: later ones are padding */
	uint64_t unacked_written; /* the latest write up to that */
};

struct database {
	uint32_t name;	/* a path */
	uint32_t inode; /* that bears it now; 0 = none */
	bool is_sqlite; /* its content began as one */
	struct journal journal;
	struct wal wal;
	struct journal_end end;
	uint64_t checkpointed; /* the latest write of a checkpoint; 0 = none */
	uint64_t unlogged;     /* the latest write without journal or log since an ACK; 0 = none */
	struct actor unlogged_by;
};

struct scan {
	const struct trace *t;
	struct lint *ret;
	struct file *files;	     /* [inode_count + 1] */
	struct path *paths;	     /* [name_count + 1] */
	struct syncs *directories;   /* [name_count + 1], by the directory's name */
	struct database **databases; /* owned */
	size_t database_count, database_cap;
	uint64_t position; /* of the operation in hand */
	struct actor actor;
	struct actor acker; /* of the promise in hand */
	bool own_acks;	    /* the OP_ACKs of the trace are the promises */
};

/* ---- lint.c ---- */

/* The end of a file's name, printable. Returns `buf`, of SHOWN_NAME_SIZE. */
const char *lint_show_name(const struct scan *s, uint32_t name, char *buf);

/* Into `buf`, of SHOWN_TEXT_SIZE: "there is no sync of F between WHAT (op A) and THEN (op B)", B
 * being the operation in hand. */
const char *lint_missing_sync(const struct scan *s, uint32_t inode, uint32_t name, uint64_t from,
			      const char *what, const char *then, char *buf);
/* The same for the directory entry `name`. */
const char *lint_missing_dirsync(const struct scan *s, uint32_t name, uint64_t from,
				 const char *what, const char *then, char *buf);

/* The rule was broken by the operation in hand. Returns the finding when it is the first of its
 * kind, for its message; otherwise counts it and returns NULL. */
struct lint_finding *lint_report(struct scan *s, enum lint_rule rule, const struct database *d,
				 uint64_t pending);

/* Is the latest change of a name durable? */
bool lint_is_name_durable(const struct scan *s, uint32_t name);

/* May a promise of `acker` be about what `actor` did? Where connections are not known, only the
 * thread says. */
bool lint_is_ack_of(const struct actor *acker, const struct actor *actor);

/* Is `acker` the one whose promise is in hand? */
static inline bool lint_is_promised(const struct scan *s, const struct actor *actor)
{
	return lint_is_ack_of(&s->acker, actor);
}

/* The promise in hand, which is the operation in hand, as a noun: "the acknowledgement"; and what
 * it says of a commit: "was acknowledged". Static. */
const char *lint_promise_noun(const struct scan *s);
const char *lint_promise_verb(const struct scan *s);

/* "deleted": "deletion"; of the words that say how a journal or a log ended. Static. */
const char *lint_end_noun(const char *word);

void lint_incomplete(struct scan *s, const char *why);

/* ---- lint_journal.c ---- */

/* The inode that is a database's journal was made, or found in the base with `size` bytes. */
void lint_journal_created(struct scan *s, struct database *d, uint32_t inode, uint32_t name,
			  const uint8_t *base, uint64_t size);
void lint_journal_written(struct scan *s, struct database *d, uint64_t offset, const uint8_t *data,
			  uint64_t size);
void lint_journal_truncated(struct scan *s, struct database *d, uint64_t size);
void lint_journal_close(struct journal *j);
/* The database is written under an open journal. */
void lint_journal_page(struct scan *s, struct database *d, const struct op *op);
void lint_journal_release(struct journal *j);

/* ---- lint_journal_end.c ---- */

/* `word` says how. `by_name`: what ends it is a change of its name, not of its content. */
void lint_journal_end(struct scan *s, struct database *d, const char *word, bool by_name);
/* `word`: what happened to its name, "deleted" or "renamed". */
void lint_journal_unnamed(struct scan *s, struct database *d, const char *word);
/* Before a name goes: is it a super-journal of open journals? */
void lint_super_unnamed(struct scan *s, uint32_t name);
void lint_journal_ack(struct scan *s, struct database *d);
/* The database was cut, or written while no journal is open. */
void lint_journal_cut(struct scan *s, struct database *d);
void lint_journal_passed(struct scan *s, struct database *d);

/* ---- lint_wal.c ---- */

void lint_wal_created(struct scan *s, struct database *d, uint32_t inode, uint32_t name,
		      const uint8_t *base, uint64_t size);
void lint_wal_written(struct scan *s, struct database *d, uint64_t offset, const uint8_t *data,
		      uint64_t size);
void lint_wal_truncated(struct scan *s, struct database *d, uint64_t size);
void lint_wal_unnamed(struct scan *s, struct database *d, const char *word);
/* The database is written while no journal is open. False: the log has no part in it. */
bool lint_wal_page(struct scan *s, struct database *d, const struct op *op);
void lint_wal_ack(struct scan *s, struct database *d);
void lint_wal_release(struct wal *w);

#endif
