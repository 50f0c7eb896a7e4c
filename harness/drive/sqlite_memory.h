/*
 * SQLite's memory: a heap that is emptied after each recovery (base/heap.h) instead of malloc(). A
 * recovery makes and drops some three hundred blocks, which costs as much as reading the log.
 *
 * It also bounds what a recovery may take: a runaway one is told "out of memory", which is then a
 * finding like any other failure. Everything else SQLite does in this process (recording, the
 * store, a scenario's clients) gets its memory from malloc(), through the same functions.
 *
 * In a build with a sanitizer all of this is left out, so that the sanitizer sees each block.
 *
 * A process has one SQLite; so this is one, too. One thread.
 */
#ifndef DRIVE_SQLITE_MEMORY_H
#define DRIVE_SQLITE_MEMORY_H

enum {
	SQLITE_MEMORY_RUN_MAX = 1 << 30, /* bytes that one recovery may use */
};

/* Before anything else calls SQLite; has no effect, and does no harm, once it is initialised. */
void sqlite_memory_configure(void);

/* Around a recovery, from before its first connection opens until its last one is closed. Without
 * sqlite_memory_configure() they do nothing. */
void sqlite_memory_begin(void);
void sqlite_memory_end(void);

#endif
