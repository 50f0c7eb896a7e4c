/*
 * A watch over SQL that does not end: queries of a scenario, clients, and recovery itself run in
 * this process, and SQLite comes back to us only between VFS calls, if at all. Connections that are
 * watched ask every few thousand opcodes whether to go on.
 *
 * One watch for the process (as for signals). One thread.
 */
#ifndef DRIVE_WATCH_H
#define DRIVE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

enum {
	WATCH_OPCODES = 10000,	      /* virtual machine instructions between two questions */
	WATCH_QUESTIONS_MAX = 100000, /* after watch_begin(); more is a hang (some seconds) */
};

struct sqlite3;

/* Who is asked whether to stop (an interrupt, a spent budget); NULL: nobody. */
void watch_set(bool (*stop)(void *ctx), void *ctx);

/* Begins a recovery, or a recording: the count of opcodes starts over. */
void watch_begin(void);
/* Watches a connection until it is closed. */
void watch_connection(struct sqlite3 *db);

/* Since watch_begin(): a statement was stopped because someone asked for it, or because it did not
 * end. */
bool watch_stopped(void);
bool watch_hung(void);

#endif
