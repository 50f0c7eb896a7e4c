/*
 * Which connection did what, in a trace of real processes.
 *
 * The system calls show the process and the thread, not the sqlite3* behind them. What history
 * needs to know is which write transactions over several files are one (ATTACH) and which only
 * overlap (two connections). So each database file has a connection number of its own in each
 * process, and two write periods of different files get one number when they were committed
 * together:
 *
 *     one transaction over A and B      BEGIN ... writes of A and B ... release A, release B
 *     two that overlap                  release A ... writes of B ... release B
 *
 * SQLite writes all files of a transaction (sqlite3BtreeCommitPhaseOne for each) before it lets go
 * of the first (sqlite3BtreeCommitPhaseTwo for each):
 * https://www.sqlite.org/src/file/src/vdbeaux.c, vdbeCommit(). So what writes after the first
 * release is another transaction; ending a rollback journal does not count as writing. Both
 * releases must come from one thread.
 *
 * Does not see: two connections of one thread that hold the write locks of different files, one of
 * which is rolled back after its cache spilled (no harm: it leaves no state); which of several
 * connections of a process on one file it is (they cannot write at the same time). In exclusive
 * locking mode nothing is released before the end. There two files are one connection's when a
 * super-journal of one of them was made while both were held, which SQLite does for each
 * transaction over several rollback journals that is to be one (not in WAL, MEMORY and OFF, nor
 * with synchronous=OFF); without it, each file is judged alone.
 */
#ifndef RECORD_CONNECTIONS_H
#define RECORD_CONNECTIONS_H

#include "faultinject/trace.h"

/* Sets the `connection` of every operation that has a process and is no note. */
void connections_assign(struct trace *t);

#endif
