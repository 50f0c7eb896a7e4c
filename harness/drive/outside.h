/*
 * SQL functions that look at files outside the databases, so that an @invariant can hold a row
 * against the file that it names: a log, a backup. For checking connections.
 *
 *   plugpull_file_bytes(NAME)        its size; NULL: there is no such file
 *   plugpull_file_fnv1a64(NAME)      FNV-1a, 64 bits, of its content, as a signed integer; NULL:
 *                                    there is no such file
 *   plugpull_database_problem(NAME)  NULL: as a database it is sound. Otherwise text: 'no such
 *                                    file', 'empty file', or what SQLite says when it opens the
 *                                    file (read-only, by itself: without a journal or WAL beside
 *                                    it) or the first row of PRAGMA integrity_check
 *
 * NAME is relative to the folder of the main database; its parts are not empty, "." or "..",
 * otherwise it is an error. A NULL gives NULL. A file above OUTSIDE_FILE_BYTES_MAX is an error for
 * the hash.
 *
 * They read through SQLite's default VFS, so that a look is a choice on the undecided crash disk,
 * and a look at a real file after a real kill. What a query with one of them answers is not a
 * function of the pages of the databases: who keeps answers for equal pages asks in two passes, the
 * first of them deferred.
 *
 * One thread.
 */
#ifndef DRIVE_OUTSIDE_H
#define DRIVE_OUTSIDE_H

#include <stdbool.h>

#define OUTSIDE_FILE_BYTES_MAX ((long long)1 << 32)

struct sqlite3;
struct outside;

/* `database`: path of the main database, copied. */
struct outside *outside_create(const char *database);
void outside_free(struct outside *o); /* accepts NULL; after the connections */

/* Gives a connection the functions; they borrow `o`. Returns SQLite's code. */
int outside_register(struct outside *o, struct sqlite3 *db);

/* While deferred, each function is an error, and looks at nothing. */
void outside_defer(struct outside *o, bool deferred);
/* Was one called, deferred or not, since this was asked the last time? */
bool outside_take_called(struct outside *o);

/* `look` is told before (true) and after (false) a function looks at files. NULL: nobody is. */
void outside_watch(struct outside *o, void (*look)(void *ctx, bool begins), void *ctx);

#endif
