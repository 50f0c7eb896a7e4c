/* See aftermath.h. */
#include "harness/drive/aftermath.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"
#include "faultinject/vfs.h"
#include "harness/drive/watch.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- leftovers ---- */

enum {
	/* The end of a journal that has a super-journal: length of the name, its checksum, magic.
	 */
	SUPER_TRAILER_SIZE = 16,
	SUPER_NAME_MAX = 4096,
};

static const uint8_t journal_magic[8] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The name of the super-journal that a journal ends with; owned; NULL: it names none. */
static char *super_journal(sqlite3_file *file)
{
	uint8_t trailer[SUPER_TRAILER_SIZE];
	sqlite3_int64 size = 0;
	uint32_t name_size, sum;

	if (file->pMethods->xFileSize(file, &size) != SQLITE_OK || size < SUPER_TRAILER_SIZE ||
	    file->pMethods->xRead(file, trailer, SUPER_TRAILER_SIZE, size - SUPER_TRAILER_SIZE) !=
		SQLITE_OK)
		return NULL;
	name_size = get_u32(trailer);
	sum = get_u32(trailer + 4);
	if (memcmp(trailer + 8, journal_magic, sizeof journal_magic) != 0 || name_size == 0 ||
	    name_size > SUPER_NAME_MAX || name_size > size - SUPER_TRAILER_SIZE)
		return NULL;
	char *name = xcalloc((size_t)name_size + 1, 1);
	if (file->pMethods->xRead(file, name, (int)name_size,
				  size - SUPER_TRAILER_SIZE - name_size) != SQLITE_OK)
		goto none;
	for (uint32_t i = 0; i < name_size; i++) {
		uint32_t byte = (uint8_t)name[i];
		sum -= byte < 128 ? byte : byte - 256; /* pager.c adds them up signed */
	}
	if (sum == 0)
		return name;
none:
	free(name);
	return NULL;
}

static bool exists(sqlite3_vfs *vfs, const char *path)
{
	int yes = 0;

	return vfs->xAccess(vfs, path, SQLITE_ACCESS_EXISTS, &yes) == SQLITE_OK && yes != 0;
}

/* The journal is not empty. One that cannot be opened or read is taken for hot, as SQLite does. */
static bool is_hot(sqlite3_vfs *vfs, const char *path)
{
	sqlite3_file *file = xcalloc(1, (size_t)vfs->szOsFile);
	uint8_t first = 0;
	int flags;
	bool hot = true;

	if (vfs->xOpen(vfs, path, file, SQLITE_OPEN_READONLY | SQLITE_OPEN_MAIN_JOURNAL, &flags) !=
	    SQLITE_OK)
		goto out;
	int rc = file->pMethods->xRead(file, &first, 1, 0);
	if (rc == SQLITE_OK || rc == SQLITE_IOERR_SHORT_READ)
		hot = first != 0;
	if (hot && rc == SQLITE_OK) {
		char *super = super_journal(file);
		hot = super == NULL || exists(vfs, super);
		free(super);
	}
out:
	if (file->pMethods != NULL)
		(void)file->pMethods->xClose(file);
	free(file);
	return hot;
}

static const char *database_path(const struct subject *s, size_t file)
{
	return file == 0 ? s->database : s->attached[file - 1].file;
}

/* The path of a database file as SQLite opens it, and of its journal; both owned. False: there is
 * none. */
static bool paths_of(const struct observer *o, sqlite3_vfs *vfs, size_t file, char **ret_database,
		     char **ret_journal)
{
	char *path = xcalloc((size_t)vfs->mxPathname + 1, 1);

	if (vfs->xFullPathname(vfs, database_path(o->subject, file), vfs->mxPathname + 1, path) !=
	    SQLITE_OK) {
		free(path);
		return false;
	}
	*ret_database = path;
	*ret_journal = xasprintf("%s-journal", path);
	return true;
}

void aftermath_leftovers(const struct observer *o, struct aftermath *ret)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	char *database, *journal;

	for (size_t i = 0; i < 1 + o->subject->attached_count && ret->hot[0] == '\0'; i++) {
		if (!paths_of(o, vfs, i, &database, &journal))
			continue;
		if (exists(vfs, journal) && exists(vfs, database) && is_hot(vfs, journal))
			(void)snprintf(ret->hot, sizeof ret->hot, "%s", journal);
		free(journal);
		free(database);
	}
}

/* ---- second open ---- */

static void fail(struct aftermath *a, struct observed_failure *step, int rc, const char *text)
{
	if (observed_locked_out(rc))
		step = &a->locked_out;
	if (step->rc != 0)
		return;
	step->rc = rc;
	(void)snprintf(step->text, sizeof step->text, "%s", text);
}

/* Takes what failed in `o`, if anything did. */
static bool failed(struct aftermath *a, struct observed_failure *step, const struct observation *o)
{
	if (o->rc != 0)
		fail(a, step, o->rc, o->failed);
	return o->rc != 0;
}

static bool same_content(const struct observation *a, const struct observation *b)
{
	for (size_t f = 0; f < a->file_count; f++)
		if (!digest_equal(a->files[f].state, b->files[f].state))
			return false;
	return true;
}

static void compare(const struct observer *o, sqlite3 *reader, const struct observation *seen,
		    const struct aftermath_view *view, struct aftermath *ret)
{
	struct observation again = {.file_count = seen->file_count};

	if (view->is_same != NULL && view->is_same(view->ctx))
		return;
	for (size_t f = 0; f < again.file_count && again.rc == 0; f++)
		digest_file(reader, subject_schema(o->subject, f), f, NULL, &again);
	if (!failed(ret, &ret->second, &again))
		ret->differs = !same_content(seen, &again);
}

/* ---- writing ---- */

/* The value of PRAGMA user_version; what fails is noted in `step`. */
static bool get_version(sqlite3 *db, const char *schema, struct aftermath *a,
			struct observed_failure *step, int *ret_version)
{
	char *quoted = quote_identifier(schema), *sql = xasprintf("PRAGMA %s.user_version", quoted);
	struct observation o = {0};
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	*ret_version = 0;
	if (rc == SQLITE_OK) {
		rc = sqlite3_step(stmt);
		if (rc == SQLITE_ROW)
			*ret_version = sqlite3_column_int(stmt, 0);
	}
	if (rc != SQLITE_ROW)
		(void)observation_fail(&o, db, rc, sql);
	(void)sqlite3_finalize(stmt);
	free(sql);
	free(quoted);
	return !failed(a, step, &o);
}

static bool set_version(sqlite3 *db, const char *schema, struct aftermath *a, int version)
{
	char *quoted = quote_identifier(schema);
	char *sql = xasprintf("PRAGMA %s.user_version = %d", quoted, version);
	struct observation o = {0};
	int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

	if (rc != SQLITE_OK)
		(void)observation_fail(&o, db, rc, sql);
	free(sql);
	free(quoted);
	return !failed(a, &a->write, &o);
}

void aftermath_empty_journals(const struct observer *o, const struct aftermath_view *view)
{
	char *database, *journal;

	for (size_t i = 0; i < 1 + o->subject->attached_count && view->empty_journal != NULL; i++) {
		if (!paths_of(o, sqlite3_vfs_find(NULL), i, &database, &journal))
			continue;
		view->empty_journal(view->ctx, journal);
		free(journal);
		free(database);
	}
}

/* Another value for each schema, kept in `versions`. */
static bool write_all(const struct observer *o, sqlite3 *db, struct aftermath *ret, int *versions)
{
	for (size_t i = 0; i < 1 + o->subject->attached_count; i++) {
		const char *schema = subject_schema(o->subject, i);

		if (!get_version(db, schema, ret, &ret->write, &versions[i]))
			return false;
		versions[i] ^= 1;
		if (!set_version(db, schema, ret, versions[i]))
			return false;
	}
	return true;
}

static void read_all(const struct observer *o, sqlite3 *db, struct aftermath *ret,
		     const int *versions)
{
	for (size_t i = 0; i < 1 + o->subject->attached_count; i++) {
		int version;

		if (!get_version(db, subject_schema(o->subject, i), ret, &ret->write, &version))
			return;
		ret->unread = ret->unread || version != versions[i];
	}
}

void aftermath_second_open(const struct observer *o, const struct observation *seen,
			   const struct aftermath_view *view, struct aftermath *ret)
{
	int versions[OBSERVED_FILES_MAX];
	struct observation step = {0};
	sqlite3 *db = observer_recover(o, &step), *reader = NULL;

	if (!failed(ret, &ret->second, &step)) {
		(void)snprintf(ret->changed, sizeof ret->changed, "%s", view->changed(view->ctx));
		reader = observer_connect(o, db, &step);
		(void)failed(ret, &ret->second, &step);
	}
	if (reader != NULL)
		compare(o, reader, seen, view, ret);
	bool is_written = reader != NULL && ret->second.rc == 0 && ret->locked_out.rc == 0;
	if (is_written) {
		aftermath_empty_journals(o, view);
		is_written = write_all(o, db, ret, versions);
	}
	if (is_written && reader == db) {
		/* Nobody else gets in as long as this one is open. */
		observer_close(db);
		step = (struct observation){0};
		reader = db = observer_recover(o, &step);
		(void)failed(ret, &ret->write, &step);
	}
	if (is_written && reader != NULL)
		read_all(o, reader, ret, versions);
	if (reader != db)
		observer_close(reader);
	observer_close(db);
	ret->hung = fi_vfs_call_count() > OBSERVE_CALLS_MAX || watch_hung();
}

/* ---- as a value ---- */

static uint64_t hash_failure(uint64_t h, const struct observed_failure *f)
{
	return hash_mix(h, hash64(f->text, strlen(f->text), (uint64_t)f->rc));
}

bool aftermath_is_clean(const struct aftermath *a)
{
	return a->hot[0] == '\0' && a->second.rc == 0 && !a->hung && !a->differs &&
	       a->changed[0] == '\0' && a->write.rc == 0 && !a->unread && a->locked_out.rc == 0 &&
	       a->objection[0] == '\0';
}

uint64_t aftermath_hash(const struct aftermath *a)
{
	if (aftermath_is_clean(a))
		return 0;
	uint64_t h = hash64(a->hot, strlen(a->hot), 1);
	h = hash_mix(h, hash64(a->changed, strlen(a->changed), 2));
	if (a->objection[0] != '\0')
		h = hash_mix(h, hash64(a->objection, strlen(a->objection), 3));
	h = hash_mix(h, (uint64_t)a->hung | (uint64_t)a->differs << 1 | (uint64_t)a->unread << 2);
	h = hash_failure(h, &a->second);
	h = hash_failure(h, &a->write);
	return hash_failure(h, &a->locked_out);
}
