/*
 * Write periods: when one connection could write one database file, and where in that time the
 * file protocol says "committed". The first half of reading a history (history_transactions.c is
 * the second); internal to history*.c and to harness/drive/foreign_early.c.
 *
 * A period is bounded by the write lock, whose place depends on the journal mode:
 *
 *   mode        taken by an exclusive lock of            released by an unlock of
 *   WAL         WAL_WRITE_LOCK, byte 120 of the -shm     the same byte
 *   the others  the RESERVED byte of the database        the same byte, or everything (close)
 *
 * The recovery of a hot journal takes EXCLUSIVE without RESERVED and is no period. A connection
 * that writes a log without such a lock (locking_mode=EXCLUSIVE in WAL mode, nolock) gets a period
 * that is not `locked`: it opens with the first write of the log.
 *
 * An unlock that came with a close or the process's end (OP_LOCK_GONE) counts where COMMIT must
 * have returned by then; elsewhere the period stays open, as that of a process that was killed
 * does. Does not see there: a signal handler, or a callback of SQLite (sqlite3_wal_hook), that ends
 * the process between two system calls of one COMMIT.
 *
 * Commit events inside a period (https://www.sqlite.org/walformat.html, fileformat2.html):
 *
 *   WAL         a frame whose commit field (bytes 4..7 of its 24-byte header, big-endian) is not 0
 *   the others  after a write of journal and database, the journal is deleted, truncated to
 *               nothing, or its header zeroed
 *
 * MEMORY and OFF have no such protocol. In normal locking mode the release of the lock ends their
 * transactions: write_period_is_unlogged(). In exclusive locking mode only an ACK does, where ACKs
 * are promises: it is an event when the database was written and no log is open. An ACK while a log
 * is open comes before the commit and is none.
 */
#ifndef JUDGE_HISTORY_PERIODS_H
#define JUDGE_HISTORY_PERIODS_H

#include "faultinject/base/hash.h"
#include "faultinject/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum commit_kind {
	COMMIT_BY_JOURNAL, /* finalised */
	COMMIT_BY_FRAME,   /* of a WAL */
	COMMIT_BY_ACK,	   /* of writes without a log */
};

struct commit_event {
	enum commit_kind kind;
	uint64_t first_write; /* of the log, or without one of the database, since the event
			       * before; never 0 */
	uint64_t position;    /* the operation that completed the event */
	uint64_t acks;	      /* of the connection, before this event */
};

struct write_period {
	uint16_t process, connection;
	uint32_t file;
	bool locked;
	uint64_t begin;	  /* the lock, or the first write of the log */
	uint64_t end;	  /* the release; the last operation when it is still open there */
	uint64_t release; /* an operation that proves that COMMIT has returned; 0 = none */

	bool reserved;		      /* the RESERVED byte was held at some time */
	uint64_t first_log_write;     /* journal or WAL; 0 = none */
	uint64_t first_journal_write; /* 0 = none */
	uint64_t first_database_write;
	uint64_t pending_write;		 /* first log write after the last event; 0 = none */
	uint64_t pending_database_write; /* the same, of the database */
	uint64_t acks;			 /* of the connection, before the end */

	struct commit_event *events; /* owned */
	size_t event_count, event_cap;

	/* State of the scan. */
	unsigned held;			 /* HELD_* bits of a locked period */
	uint64_t frame_begin, frame_end; /* of the last event's WAL frame; 0 = none */
};

struct write_period_list {
	struct write_period *items; /* owned; by begin */
	size_t count, cap;
};

/* Finds the write periods on the database files `paths` in a finished trace. `exact`: OP_ACK
 * operations are promises; otherwise they are not looked at. */
void history_periods_scan(const struct trace *t, char *const *paths, size_t path_count, bool exact,
			  struct write_period_list *ret);
void history_periods_release(struct write_period_list *list);

/* The database was written under RESERVED without any log: a commit in MEMORY and OFF (or a
 * rollback after the cache spilled, which only the content can tell). */
bool write_period_is_unlogged(const struct write_period *p);

/* The first write of the database after the last event that no log covers, 0 for none: a commit of
 * MEMORY or OFF at the period's end, or a checkpoint, which changes no content. */
uint64_t write_period_unlogged_tail(const struct write_period *p);

/* The first write that could reach the database's content, 0 for none. Checkpoints under the WAL
 * write lock do not count: they change no content. */
uint64_t write_period_first_write(const struct write_period *p);

#endif
