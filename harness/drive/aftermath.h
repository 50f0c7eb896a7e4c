/*
 * The aftermath of a recovery: what becomes of a database that has recovered, been observed, and
 * been closed. In this order:
 *
 *  1. Leftovers: is a hot journal left? A journal is hot as in hasHotJournal() of SQLite's pager.c,
 *     with nobody else there: it exists and is not empty, the database has pages, and the journal's
 *     first byte is not zero; and, which SQLite finds out later (pager_playback()), it names no
 *     super-journal, or one that is there. Anything else is cold, or stale: it is never played
 *     back.
 *  2. Second open: another boot of the same machine, nothing lost. Recovery again, the
 *     application's pragmas, and a second connection that reads: files must stay as they are until
 *     recovery is through, and the content must be the same.
 *  3. Writable: the recovered connection, with all pragmas of the application, sets the
 *     user_version of each schema to another value, each in a transaction of its own. A journal
 *     that is there, and cold, is emptied before: SQLite reads in it where its own journal will
 *     end, only to see whether a header stands there that it must zero (syncJournal()), and an
 *     undecided disk would be asked what is in a journal that nobody plays back.
 *  4. Another connection reads these values back.
 *
 * A code that means "another connection is in the way" is kept apart wherever it turns up: nobody
 * else is there.
 *
 * The steps use the default VFS: the shim, or the real one.
 */
#ifndef DRIVE_AFTERMATH_H
#define DRIVE_AFTERMATH_H

#include "harness/drive/observe.h"

/* Step 1. Every connection is closed. */
void aftermath_leftovers(const struct observer *o, struct aftermath *ret);

/* How steps 2 to 4 are told what cannot be seen from a connection. */
struct aftermath_view {
	/* What recovery did first to any file since the boot, or ""; asked when it is through. */
	const char *(*changed)(void *ctx);
	/* The second connection would see what the first one saw, by what else is known, and need
	 * not read it again; asked when it is connected. NULL: never known. */
	bool (*is_same)(void *ctx);
	/* Empties a journal before something is written; NULL: it stays as it is. */
	void (*empty_journal)(void *ctx, const char *path);
	void *ctx;
};

/* Steps 2 to 4, after the next boot. `seen` is what was observed before. */
void aftermath_second_open(const struct observer *o, const struct observation *seen,
			   const struct aftermath_view *view, struct aftermath *ret);

/* Empties the journals of all database files, as before step 3. */
void aftermath_empty_journals(const struct observer *o, const struct aftermath_view *view);

/* Nothing to object to. */
bool aftermath_is_clean(const struct aftermath *a);
/* Equal aftermaths have equal hashes; 0 when clean. */
uint64_t aftermath_hash(const struct aftermath *a);

#endif
