/*
 * The barrier lint: does a trace contain every sync that SQLite's file protocols rest on?
 *
 * The explorer tries what a missing sync leaves open and says what would be lost; the lint says
 * which sync is missing, from the order of operations alone, in one pass and without recovering
 * anything. It knows no configuration: database files are found by name (something with a
 * "-journal" or "-wal" beside it) and by content ("SQLite format 3"), transactions by what is
 * written where. What a setting drops on purpose (synchronous=OFF) is reported all the same: the
 * explorer's verdict stands beside it.
 *
 * A SYNC makes durable what precedes its begin, from its end on; a DIRSYNC does so for names. What
 * disks do beyond that (names that a file's sync keeps, order that a journalling file system keeps)
 * is not counted on: those are parameters of a model, and this is about the program.
 *
 * The rules, what each does not check, and where SQLite documents it: LINT_RULES below;
 * docs/lint.md has examples. For all of them: what was durable or not is judged file by file and
 * operation by operation, never by content that a disk returned; writes through a mapping are not
 * seen; a file that is written in pieces other than those of SQLite's pager is followed as far as
 * page numbers can be put together. A device that reported SQLITE_IOCAP_SEQUENTIAL keeps the order
 * by itself: only the rules about promises apply. Where promises come from: lint_trace().
 *
 * Threads: a call is one thread's; it keeps nothing.
 */
#ifndef LINT_LINT_H
#define LINT_LINT_H

#include "faultinject/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	LINT_FINDINGS_MAX = 256,     /* rules times database files */
	LINT_MESSAGE_SIZE = 640,     /* bytes, terminator included */
	LINT_DATABASES_MAX = 1024,   /* database files in a trace */
	LINT_RECORDS_MAX = 1 << 22,  /* records of a journal */
	LINT_SEGMENTS_MAX = 1 << 16, /* headers of a journal */
	LINT_FRAMES_MAX = 1 << 22,   /* frames of a turn of a log */
	LINT_CHAIN_MAX = 256, /* frames of a page that a checkpoint's write is compared with */
};

/*
 * Name, id, and whether it is about order alone, which a sequential device keeps. What each one
 * checks, what it does not, and where SQLite documents it:
 *
 * journal-before-page
 *     A page that the database had before the transaction is overwritten only after the
 *     journal record that restores it, and the header with a count that includes the record,
 *     are durable. A page without a record is not reported: SQLite writes none for free pages
 *     whose content nobody needs. Damage that a record's checksum would not show is not its
 *     subject. fileformat2.html 3; atomiccommit.html 3.7.
 *
 * journal-name-before-page
 *     ... and after the directory entry of the journal is durable. atomiccommit.html 3.7;
 *     os_unix.c, unixSync().
 *
 * records-before-count
 *     The record count of a journal header is written after the records that it counts are
 *     durable, not pending with them in one sync (synchronous=NORMAL), nor absent (0xffffffff:
 *     synchronous=OFF) unless the device has safe appends. atomiccommit.html 3.7; pager.c,
 *     syncJournal().
 *
 * database-before-journal-end
 *     A journal is ended (deleted, renamed, truncated, its header zeroed), or the super-
 *     journal of its transaction deleted, after what was written to the database is durable.
 *     atomiccommit.html 3.10, 3.11; 5.4, 5.5.
 *
 * journal-end-before-ack
 *     The end of the journal is durable before the commit is promised: a deletion by a
 *     directory sync, anything else by a sync of the journal. Fires by design in DELETE mode
 *     below EXTRA. Not for rollbacks, nor for journals whose super-journal is durably deleted
 *     (they are not hot). pragma.html#pragma_synchronous.
 *
 * journal-end-before-truncate
 *     A database is cut shorter after the end of its journal is durable. pager.c,
 *     pager_end_transaction(); docs/findings.md 11.
 *
 * journal-end-before-page
 *     ... and after that a page of it is written by anything but the next transaction with a
 *     journal, whose own syncs make the end of the last one durable. A journal that comes back
 *     would restore what has been changed since. fileformat2.html 3.
 *
 * super-before-children
 *     A super-journal is durable, content and directory entry, before a journal names it. Not
 *     checked: that the list in it is complete. atomiccommit.html 5.2, 5.3.
 *
 * super-end-before-children
 *     The deletion of a super-journal is durable before the first of its journals is ended;
 *     not for rollbacks. atomiccommit.html 5.5, 5.6.
 *
 * page-without-log
 *     A page of an existing database is overwritten while neither a journal nor a log could
 *     restore it (journal_mode MEMORY and OFF). Silent where the device reported atomic
 *     writes. pragma.html#pragma_journal_mode.
 *
 * database-before-ack
 *     ... and what was written so is durable before it is promised.
 *     pragma.html#pragma_synchronous.
 *
 * log-header-before-frames
 *     The header of a new or restarted log is durable before a frame is written. wal.c,
 *     sqlite3WalFrames(), and ticket ff5be73dee.
 *
 * commit-before-ack
 *     The frames up to a commit are durable before it is promised. Fires by design at
 *     synchronous=NORMAL. pragma.html#pragma_synchronous.
 *
 * log-name-before-ack
 *     ... and so is the directory entry of the log. os_unix.c, unixSync().
 *
 * log-before-checkpoint
 *     A page is copied into the database after the log is durable up to the commit that it is
 *     from. Frames are recognised by content; a write that is not a whole page is not checked.
 *     wal.html, "Performance Considerations"; wal.c, walCheckpoint().
 *
 * log-name-before-checkpoint
 *     ... and after the directory entry of the log is durable. os_unix.c, unixSync().
 *
 * database-before-log-reset
 *     A log is restarted, cut or deleted after the pages that a checkpoint wrote are durable.
 *     Not checked: that a checkpoint copied all of them. wal.html, as above.
 *
 * Not checked by any rule: that a promise comes after the commit at all (the history does); rows.
 */
#define LINT_RULES(X)                                                                              \
	X(JOURNAL_BEFORE_PAGE, "journal-before-page", true)                                        \
	X(JOURNAL_NAME_BEFORE_PAGE, "journal-name-before-page", true)                              \
	X(RECORDS_BEFORE_COUNT, "records-before-count", true)                                      \
	X(DATABASE_BEFORE_JOURNAL_END, "database-before-journal-end", true)                        \
	X(JOURNAL_END_BEFORE_ACK, "journal-end-before-ack", false)                                 \
	X(JOURNAL_END_BEFORE_TRUNCATE, "journal-end-before-truncate", true)                        \
	X(JOURNAL_END_BEFORE_PAGE, "journal-end-before-page", true)                                \
	X(SUPER_BEFORE_CHILDREN, "super-before-children", true)                                    \
	X(SUPER_END_BEFORE_CHILDREN, "super-end-before-children", true)                            \
	X(PAGE_WITHOUT_LOG, "page-without-log", false)                                             \
	X(DATABASE_BEFORE_ACK, "database-before-ack", false)                                       \
	X(LOG_HEADER_BEFORE_FRAMES, "log-header-before-frames", true)                              \
	X(COMMIT_BEFORE_ACK, "commit-before-ack", false)                                           \
	X(LOG_NAME_BEFORE_ACK, "log-name-before-ack", false)                                       \
	X(LOG_BEFORE_CHECKPOINT, "log-before-checkpoint", true)                                    \
	X(LOG_NAME_BEFORE_CHECKPOINT, "log-name-before-checkpoint", true)                          \
	X(DATABASE_BEFORE_LOG_RESET, "database-before-log-reset", true)

enum lint_rule {
#define X(name, id, order) LINT_##name,
	LINT_RULES(X)
#undef X
	    LINT_RULE_COUNT,
};

/* "journal-before-page", ... */
const char *lint_rule_id(enum lint_rule rule);

/* One obligation of one database file that was not kept. */
struct lint_finding {
	enum lint_rule rule;
	const char *id;			 /* static */
	const char *database;		 /* its path; borrowed from the trace */
	uint64_t early;			 /* position of the first operation that came too soon */
	uint64_t pending;		 /* position of what should have been durable by then */
	uint64_t last;			 /* position of the last operation that came too soon */
	uint64_t count;			 /* how many did */
	char message[LINT_MESSAGE_SIZE]; /* about the first one */
};

struct lint {
	struct lint_finding *findings; /* owned; by rule, then by `early` */
	size_t count, cap;
	uint64_t dropped;	/* findings beyond LINT_FINDINGS_MAX */
	const char *incomplete; /* static: which maximum was reached, so that something was not
				 * looked at; NULL = none */
};

/* A promise: at the operation at `position`, whatever that is, somebody could rely on what this
 * process and connection had committed before it. Where connections are not known (0), it is about
 * what the thread did. */
struct lint_ack {
	uint64_t position;
	uint16_t process, thread, connection;
};

/* Looks at a whole trace, which may come from a stranger. `acks`: the promises, by position (a
 * position behind the end is passed over); the OP_ACK operations of the trace are not looked at
 * then. NULL: the OP_ACK operations are the promises, and where there are none, the rules about
 * promises say nothing. The trace must outlive *ret, which is released with lint_release(). */
void lint_trace(const struct trace *t, const struct lint_ack *acks, size_t ack_count,
		struct lint *ret);
void lint_release(struct lint *l); /* accepts a zeroed or released one */

#endif
