/* Files that SQLite itself wrote, through its unix VFS, in a temporary folder. What cannot be done
 * aborts. */
#ifndef FI_FORMAT_TEST_SQLITE_FILES_H
#define FI_FORMAT_TEST_SQLITE_FILES_H

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

struct sqlite_folder {
	char *path; /* owned */
};

void sqlite_folder_create(struct sqlite_folder *ret);
/* Removes it, with all that is in it. */
void sqlite_folder_remove(struct sqlite_folder *f);

/* Opens a database of the folder. */
sqlite3 *sqlite_folder_open(const struct sqlite_folder *f, const char *name);
void sqlite_run(sqlite3 *db, const char *sql);
int sqlite_number(sqlite3 *db, const char *sql);

/* The content of a file of the folder; the caller frees it. */
uint8_t *sqlite_folder_read(const struct sqlite_folder *f, const char *name, size_t *ret_size);
void sqlite_folder_write(const struct sqlite_folder *f, const char *name, const uint8_t *data,
			 size_t size);

#endif
