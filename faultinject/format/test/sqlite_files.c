#include "faultinject/format/test/sqlite_files.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void sqlite_folder_create(struct sqlite_folder *ret)
{
	const char *tmp = getenv("TMPDIR");

	ret->path = xasprintf("%s/plugpull-format-XXXXXX", tmp == NULL ? "/tmp" : tmp);
	ASSERT(mkdtemp(ret->path) != NULL);
}

static char *path_of(const struct sqlite_folder *f, const char *name)
{
	return xasprintf("%s/%s", f->path, name);
}

void sqlite_folder_remove(struct sqlite_folder *f)
{
	DIR *d = opendir(f->path);
	struct dirent *e;

	ASSERT(d != NULL);
	while ((e = readdir(d)) != NULL) {
		char *path = path_of(f, e->d_name);

		if (e->d_name[0] != '.')
			ASSERT_OP(unlink(path), ==, 0);
		free(path);
	}
	ASSERT_OP(closedir(d), ==, 0);
	ASSERT_OP(rmdir(f->path), ==, 0);
	free(f->path);
}

sqlite3 *sqlite_folder_open(const struct sqlite_folder *f, const char *name)
{
	char *path = path_of(f, name);
	sqlite3 *db;

	int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix");
	ASSERT_OP(rc, ==, SQLITE_OK);
	free(path);
	return db;
}

void sqlite_run(sqlite3 *db, const char *sql)
{
	char *message = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
		fprintf(stderr, "%s: %s\n", sql, message);
		abort();
	}
}

int sqlite_number(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt;
	int value;

	ASSERT_OP(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), ==, SQLITE_OK);
	ASSERT_OP(sqlite3_step(stmt), ==, SQLITE_ROW);
	value = sqlite3_column_int(stmt, 0);
	ASSERT_OP(sqlite3_finalize(stmt), ==, SQLITE_OK);
	return value;
}

uint8_t *sqlite_folder_read(const struct sqlite_folder *f, const char *name, size_t *ret_size)
{
	char *path = path_of(f, name);
	FILE *file = fopen(path, "rb");
	uint8_t *data;

	ASSERT(file != NULL);
	ASSERT_OP(fseek(file, 0, SEEK_END), ==, 0);
	*ret_size = (size_t)ftell(file);
	rewind(file);
	data = xmalloc(*ret_size + 1);
	ASSERT_OP(fread(data, 1, *ret_size, file), ==, *ret_size);
	ASSERT_OP(fclose(file), ==, 0);
	free(path);
	return data;
}

void sqlite_folder_write(const struct sqlite_folder *f, const char *name, const uint8_t *data,
			 size_t size)
{
	char *path = path_of(f, name);
	FILE *file = fopen(path, "wb");

	ASSERT(file != NULL);
	ASSERT_OP(fwrite(data, 1, size, file), ==, size);
	ASSERT_OP(fclose(file), ==, 0);
	free(path);
}
