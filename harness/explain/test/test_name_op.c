/*
 * Operations are what SQLite says they are: the words for every write of recorded runs in every
 * journal mode agree with what dbstat said of that page then. And the words themselves, one example
 * of each protocol, to the letter.
 */
#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/base/prng.h"
#include "faultinject/disk.h"
#include "faultinject/vfs.h"
#include "harness/explain/name_op_internal.h"

#include <inttypes.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define DATABASE "/db/main.db"

/* ---- runs that are recorded ---- */

struct run {
	struct disk *disk;
	struct trace *t;
	sqlite3 *db;
};

static void execute(struct run *r, const char *sql)
{
	while (*sql != 0) {
		sqlite3_stmt *stmt;

		if (sqlite3_prepare_v2(r->db, sql, -1, &stmt, &sql) != SQLITE_OK)
			fail_msg("%s: %s", sqlite3_errmsg(r->db), sql);
		while (sqlite3_step(stmt) == SQLITE_ROW)
			;
		if (sqlite3_finalize(stmt) != SQLITE_OK)
			fail_msg("%s", sqlite3_errmsg(r->db));
	}
}

static void open_database(struct run *r, const char *pragmas)
{
	assert_int_equal(sqlite3_open_v2(DATABASE, &r->db,
					 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, FI_VFS_NAME),
			 SQLITE_OK);
	execute(r, pragmas);
}

/* What `setup` leaves is the base. */
static void begin(struct run *r, const char *pragmas, const char *setup)
{
	struct trace_device device = fi_vfs_default_device();
	struct err err = ERR_INIT;

	r->disk = disk_create();
	assert_int_equal(fi_vfs_register(&err), 0);
	fi_vfs_boot(disk_storage(r->disk), 1, device);
	disk_storage(r->disk)->actor = (struct storage_actor){1, 1, 1};
	open_database(r, pragmas);
	execute(r, setup);
	assert_int_equal(sqlite3_close(r->db), SQLITE_OK);
	r->t = trace_create(device, "test");
	disk_record(r->disk, r->t);
	open_database(r, pragmas);
}

static void end(struct run *r)
{
	assert_int_equal(sqlite3_close(r->db), SQLITE_OK);
	disk_record(r->disk, NULL);
	disk_free(r->disk);
	trace_free(r->t);
}

static struct op_names *names_of(const struct trace *t, uint64_t first, uint64_t last)
{
	struct err err = ERR_INIT;
	struct op_names *n;

	assert_int_equal(op_names_create(t, first, last, &n, &err), 0);
	assert_null(op_names_incomplete(n));
	return n;
}

/* ---- what SQLite says ---- */

enum { PAGES = 4096 };

/* The words for every page, after a statement. */
struct stat {
	char *words[PAGES]; /* owned; NULL: none */
	uint32_t page_count;
};

static void stat_release(struct stat *s)
{
	for (size_t i = 0; i < PAGES; i++)
		free(s->words[i]);
	*s = (struct stat){.page_count = 0};
}

static void stat_take(struct run *r, struct stat *ret)
{
	sqlite3_stmt *stmt;

	assert_int_equal(
	    sqlite3_prepare_v2(r->db,
			       "SELECT s.pageno, s.pagetype, s.path,"
			       " coalesce(m.type || ' ' || m.name, 'the schema')"
			       " FROM dbstat s LEFT JOIN sqlite_schema m ON m.name = s.name",
			       -1, &stmt, NULL),
	    SQLITE_OK);
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		int number = sqlite3_column_int(stmt, 0);
		const char *type = (const char *)sqlite3_column_text(stmt, 1);
		bool is_root = strcmp((const char *)sqlite3_column_text(stmt, 2), "/") == 0;
		const char *tree = (const char *)sqlite3_column_text(stmt, 3), *what;

		if (strcmp(type, "overflow") == 0)
			what = "overflow page of ";
		else if (strcmp(type, "leaf") == 0)
			what = is_root ? "only page of " : "leaf of ";
		else
			what = is_root ? "root of " : "interior page of ";
		assert_in_range(number, 1, PAGES - 1);
		if (number == 1)
			ret->words[1] = xasprintf("header and %s%s", what[0] == 'o' ? "" : what,
						  what[0] == 'o' ? "schema" : tree);
		else
			ret->words[number] = xasprintf("%s%s", what, tree);
	}
	assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(r->db, "PRAGMA page_count", -1, &stmt, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	ret->page_count = (uint32_t)sqlite3_column_int(stmt, 0);
	assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
}

/* Words that end with what dbstat says of the page, after `before` and with `after` behind it;
 * dbstat has no free pages. */
static void assert_owner(const struct stat *s, uint64_t page, const char *words, const char *before,
			 const char *after, uint64_t *free_pages)
{
	const char *owner;
	size_t size;

	assert_in_range(page, 1, PAGES - 1);
	if (strncmp(words, before, strlen(before)) != 0)
		fail_msg("page %d: '%s' does not begin with '%s'", (int)page, words, before);
	owner = words + strlen(before);
	if (s->words[page] == NULL) {
		bool is_free = strncmp(owner, "free page", 9) == 0 ||
			       strncmp(owner, "trunk of the freelist", 21) == 0 ||
			       strncmp(owner, "pointer map", 11) == 0;

		if (page <= s->page_count && !is_free)
			fail_msg("page %d: '%s', not in dbstat", (int)page, words);
		*free_pages += is_free;
		return;
	}
	size = strlen(s->words[page]);
	if (strncmp(owner, s->words[page], size) != 0 ||
	    strncmp(owner + size, after, strlen(after)) != 0)
		fail_msg("page %d: '%s', not '%s'", (int)page, words, s->words[page]);
}

struct seen {
	uint64_t pages, free_pages, records, frames, copies;
	unsigned record; /* number of the last, in this journal */
};

static void check_op(const struct op_names *n, const struct trace *t, uint64_t position,
		     uint32_t page_size, const struct stat *before, const struct stat *after,
		     struct seen *seen)
{
	const struct op *op = trace_at(t, position);
	const char *words = op_names_words(n, position);
	char expected[100];
	unsigned number, page;
	int size = 0;

	assert_true(words[0] != 0);
	if (op->kind != OP_WRITE)
		return;
	switch (op_names_role(n, op_names_target(n, position), NULL)) {
	case STORY_DATABASE:
		page = (unsigned)(op->offset / page_size) + 1;
		assert_int_equal(op->size, page_size);
		snprintf(expected, sizeof expected, "page %u", page);
		if (page <= after->page_count)
			strcat(expected, ", ");
		assert_owner(after, page, words, expected, "", &seen->free_pages);
		seen->copies += strstr(words, ", copied from frame ") != NULL;
		seen->pages++;
		break;
	case STORY_JOURNAL:
		if (op->offset == 0 && op->size >= 28)
			seen->record = 0;
		if (op->size != page_size || sscanf(words, "journal record %u: page %u as it was%n",
						    &number, &page, &size) != 2)
			break;
		snprintf(expected, sizeof expected, "%.*s (", size, words);
		assert_owner(before, page, words, expected, ")", &seen->free_pages);
		seen->records++;
		assert_int_equal(number, ++seen->record);
		break;
	case STORY_LOG:
		assert_null(strstr(words, "a part of it"));
		if (sscanf(words, "frame %u, page %u%n", &number, &page, &size) != 2)
			break;
		assert_int_equal(op->offset, 32 + (number - 1) * (uint64_t)(page_size + 24) + 24);
		snprintf(expected, sizeof expected, "%.*s%s", size, words,
			 page <= after->page_count ? " (" : "");
		assert_owner(after, page, words, expected, ")", &seen->free_pages);
		seen->frames++;
		break;
	case STORY_SUPER_JOURNAL:
	case STORY_DIRECTORY:
	case STORY_OTHER:
		break;
	}
}

static const char fill[] =
    "CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE INDEX t_v ON t(v);"
    "CREATE TABLE w(k PRIMARY KEY, v) WITHOUT ROWID;"
    "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 200)"
    " INSERT INTO t SELECT i, printf('%0*d', i % 60, i) FROM n;"
    "INSERT INTO w SELECT id, v FROM t;";

enum { CREATE = 3, ROLLBACK = 6 };
/* # is a number. */
static const char *const statements[] = {
    "INSERT INTO t SELECT max(id) + 1, zeroblob(# * 37) FROM t;",
    "DELETE FROM t WHERE id % 17 = # % 17;",
    "UPDATE t SET v = printf('%0*d', # * 9, id) WHERE id % 40 = 3;",
    "CREATE TABLE x#(a, b UNIQUE);",
    "INSERT OR REPLACE INTO w SELECT id + #, v FROM t LIMIT 30;",
    "DROP INDEX IF EXISTS t_v; CREATE INDEX t_v ON t(v) -- #\n;",
    "BEGIN; DELETE FROM w; INSERT INTO t SELECT id + #00000, v FROM t WHERE id < 900; ROLLBACK;",
    "BEGIN; DELETE FROM t WHERE id > #; DELETE FROM w WHERE k > 150; COMMIT;",
    "DROP TABLE IF EXISTS more; CREATE TABLE more AS SELECT * FROM w LIMIT #;",
    "PRAGMA incremental_vacuum(#);",
};

static char *with_number(const char *sql, unsigned number)
{
	struct buf b = {0};

	for (; *sql != 0; sql++)
		if (*sql == '#')
			buf_printf(&b, "%u", number);
		else
			buf_put_u8(&b, (uint8_t)*sql);
	(void)buf_str(&b);
	return (char *)b.data;
}

/* In every journal mode, with a cache so small that pages are written and taken back in the middle:
 * a page that is written is what dbstat says of it after the transaction, one that a journal keeps
 * what it was before, and one that a checkpoint copies what it is then. */
static void check_mode(const char *mode, const char *locking, const char *vacuum,
		       unsigned page_size, struct seen *seen)
{
	char *pragmas = xasprintf("PRAGMA page_size=%u; PRAGMA auto_vacuum=%s; PRAGMA cache_size=5;"
				  "PRAGMA locking_mode=%s;"
				  "PRAGMA journal_mode=%s; PRAGMA wal_autocheckpoint=25;",
				  page_size, vacuum, locking, mode);
	enum { ROUNDS = 40 };
	struct stat stats[ROUNDS + 1] = {{.page_count = 0}};
	uint64_t ends[ROUNDS + 1];
	struct prng prng;
	struct run r;

	prng_init(&prng, 5, mode);
	begin(&r, pragmas, fill);
	stat_take(&r, &stats[0]);
	ends[0] = r.t->op_count;
	for (int i = 1; i <= ROUNDS; i++) {
		uint64_t which = prng_below(&prng, sizeof statements / sizeof *statements);
		/* One statement is one transaction, so that dbstat sees every one of them. Without
		 * a journal nobody knows what a rollback leaves. */
		char *sql;

		if (which == ROLLBACK && strcmp(mode, "off") == 0)
			which++;
		sql = with_number(statements[which], which == CREATE
							 ? (unsigned)i
							 : (unsigned)prng_below(&prng, 60) + 1);
		if (strncmp(sql, "DROP", 4) == 0) {
			char *both = xasprintf("BEGIN; %s COMMIT;", sql);

			execute(&r, both);
			free(both);
		} else {
			execute(&r, sql);
		}
		free(sql);
		stat_take(&r, &stats[i]);
		ends[i] = r.t->op_count;
	}
	struct op_names *n = names_of(r.t, 1, UINT64_MAX);
	for (int i = 1; i <= ROUNDS; i++)
		for (uint64_t p = ends[i - 1] + 1; p <= ends[i]; p++)
			check_op(n, r.t, p, page_size, &stats[i - 1], &stats[i], seen);
	/* The same words for a part of it. */
	struct op_names *part = names_of(r.t, ends[20] + 1, ends[23]);
	for (uint64_t p = 1; p <= r.t->op_count; p++)
		assert_string_equal(op_names_words(part, p),
				    p <= ends[20] || p > ends[23] ? "" : op_names_words(n, p));
	op_names_free(part);
	op_names_free(n);
	for (int i = 0; i <= ROUNDS; i++)
		stat_release(&stats[i]);
	end(&r);
	free(pragmas);
}

static void test_owners(void **state)
{
	static const struct {
		const char *mode, *locking;
	} modes[] = {{"delete", "normal"}, {"truncate", "normal"},  {"persist", "normal"},
		     {"wal", "normal"},	   {"delete", "exclusive"}, {"off", "normal"}};
	static const char *const vacuums[] = {"none", "incremental"};

	(void)state;
	for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
		bool wal = strcmp(modes[m].mode, "wal") == 0;
		bool journal = !wal && strcmp(modes[m].mode, "off") != 0;
		struct seen seen = {0};

		for (size_t v = 0; v < sizeof vacuums / sizeof *vacuums; v++)
			for (unsigned page_size = 512; page_size <= 4096; page_size *= 8)
				check_mode(modes[m].mode, modes[m].locking, vacuums[v], page_size,
					   &seen);
		assert_true(seen.pages > 300 && seen.free_pages > 20);
		assert_true(journal == (seen.records > 300));
		assert_true(wal == (seen.frames > 300));
		assert_true(wal == (seen.copies > 300));
	}
}

/* ... also when VACUUM gives the database another page size, which it writes in pieces of the old
 * one. */
static void test_owners_after_vacuum(void **state)
{
	struct stat after = {.page_count = 0};
	uint64_t free_pages = 0, pages = 0;
	struct run r;

	(void)state;
	begin(&r, "PRAGMA page_size=4096", fill);
	execute(&r, "INSERT INTO t SELECT id + 1000, v FROM t;"
		    "PRAGMA page_size=512; DELETE FROM t WHERE id < 60;");
	uint64_t from = r.t->op_count;
	execute(&r, "VACUUM");
	uint64_t to = r.t->op_count;
	stat_take(&r, &after);
	struct op_names *n = names_of(r.t, 1, UINT64_MAX);
	for (uint64_t p = from + 1; p <= to; p++) {
		const struct op *op = trace_at(r.t, p);
		uint64_t first = op->offset / 512 + 1;
		char expected[100];

		if (op->kind != OP_WRITE ||
		    op_names_role(n, op_names_target(n, p), NULL) != STORY_DATABASE ||
		    first > after.page_count)
			continue;
		assert_int_equal(op->size, 4096);
		snprintf(expected, sizeof expected, "pages %d to %d (", (int)first, (int)first + 7);
		assert_owner(&after, first, op_names_words(n, p), expected, "", &free_pages);
		pages++;
	}
	assert_true(pages > 3);
	op_names_free(n);
	stat_release(&after);
	end(&r);
}

/* ---- to the letter ---- */

/* SQLite's random numbers depend on its version. */
static void mask(char *text, const char *before, size_t size)
{
	for (char *at = text; (at = strstr(at, before)) != NULL;)
		for (size_t i = 0; i < strlen(before) + size; i++, at++)
			if (i >= strlen(before) && *at != ' ')
				*at = '#';
}

/* Words of all operations but locks, a line each, those of equal neighbours once. */
static void all_words(const struct trace *t, struct buf *ret)
{
	struct op_names *n = names_of(t, 1, UINT64_MAX);
	const char *last = "";

	for (uint64_t p = 1; p <= t->op_count; p++) {
		const char *words = op_names_words(n, p);
		uint8_t kind = trace_at(t, p)->kind;

		if (kind == OP_LOCK || kind == OP_UNLOCK || strcmp(words, last) == 0)
			continue;
		buf_printf(ret, "%s\n", words);
		last = words;
	}
	op_names_free(n);
	(void)buf_str(ret);
}

static const char small[] = "CREATE TABLE orders(id INTEGER PRIMARY KEY, item);"
			    "CREATE INDEX items ON orders(item);"
			    "INSERT INTO orders VALUES (1, 'book'), (2, 'lamp');";
static const char change[] = "UPDATE orders SET item = 'chair' WHERE id = 1;";

static const struct {
	const char *pragmas, *setup, *sql, *words;
} protocols[] = {
    {"PRAGMA journal_mode=delete; PRAGMA synchronous=extra", small, change,
     "creates main.db-journal\n"
     "journal header, which does not count yet: database had 3 pages\n"
     "journal record 1: it is for page 3 (only page of index items)\n"
     "journal record 1: page 3 as it was (only page of index items)\n"
     "journal record 1: checksum of page 3 (only page of index items)\n"
     "journal record 2: it is for page 2 (only page of table orders)\n"
     "journal record 2: page 2 as it was (only page of table orders)\n"
     "journal record 2: checksum of page 2 (only page of table orders)\n"
     "journal record 3: it is for page 1 (header and schema)\n"
     "journal record 3: page 1 as it was (header and schema)\n"
     "journal record 3: checksum of page 1 (header and schema)\n"
     "sync of main.db-journal begins\n"
     "sync of main.db-journal\n"
     "directory sync for main.db-journal begins\n"
     "directory sync for main.db-journal\n"
     "journal header made valid: 3 records\n"
     "sync of main.db-journal begins\n"
     "sync of main.db-journal\n"
     "page 1, header and schema\n"
     "page 2, only page of table orders\n"
     "page 3, only page of index items\n"
     "sync of main.db begins\n"
     "sync of main.db\n"
     "deletes main.db-journal\n"
     "directory sync for main.db-journal begins\n"
     "directory sync for main.db-journal\n"
     "acknowledged\n"},
    {"PRAGMA journal_mode=truncate; PRAGMA synchronous=off", small, change,
     "journal header: every record that is there counts, database had 3 pages\n"
     "journal record 1: it is for page 3 (only page of index items)\n"
     "journal record 1: page 3 as it was (only page of index items)\n"
     "journal record 1: checksum of page 3 (only page of index items)\n"
     "journal record 2: it is for page 2 (only page of table orders)\n"
     "journal record 2: page 2 as it was (only page of table orders)\n"
     "journal record 2: checksum of page 2 (only page of table orders)\n"
     "journal record 3: it is for page 1 (header and schema)\n"
     "journal record 3: page 1 as it was (header and schema)\n"
     "journal record 3: checksum of page 1 (header and schema)\n"
     "page 1, header and schema\n"
     "page 2, only page of table orders\n"
     "page 3, only page of index items\n"
     "truncated to 0 bytes: the journal has ended\n"
     "acknowledged\n"},
    {"PRAGMA journal_mode=persist; PRAGMA synchronous=normal", small, change,
     "journal header, which does not count yet: database had 3 pages\n"
     "journal record 1: it is for page 3 (only page of index items)\n"
     "journal record 1: page 3 as it was (only page of index items)\n"
     "journal record 1: checksum of page 3 (only page of index items)\n"
     "journal record 2: it is for page 2 (only page of table orders)\n"
     "journal record 2: page 2 as it was (only page of table orders)\n"
     "journal record 2: checksum of page 2 (only page of table orders)\n"
     "journal record 3: it is for page 1 (header and schema)\n"
     "journal record 3: page 1 as it was (header and schema)\n"
     "journal record 3: checksum of page 1 (header and schema)\n"
     "journal header made valid: 3 records\n"
     "sync of main.db-journal begins\n"
     "sync of main.db-journal\n"
     "directory sync of db begins\n"
     "directory sync of db\n"
     "page 1, header and schema\n"
     "page 2, only page of table orders\n"
     "page 3, only page of index items\n"
     "sync of main.db begins\n"
     "sync of main.db\n"
     "journal header zeroed: the journal has ended\n"
     "fdatasync of main.db-journal begins\n"
     "fdatasync of main.db-journal\n"
     "acknowledged\n"},
    {"PRAGMA journal_mode=wal; PRAGMA synchronous=full", small,
     "UPDATE orders SET item = 'chair' WHERE id = 1; PRAGMA wal_checkpoint(TRUNCATE)",
     "creates main.db-wal\n"
     "log header, salt ######## ########, checkpoint sequence 0\n"
     "sync of main.db-wal begins\n"
     "sync of main.db-wal\n"
     "directory sync for main.db-wal begins\n"
     "directory sync for main.db-wal\n"
     "frame 1 header, page 2 (only page of table orders)\n"
     "frame 1, page 2 (only page of table orders)\n"
     "frame 2 header, page 3 (only page of index items), commit (database has 3 pages)\n"
     "frame 2, page 3 (only page of index items), commit (database has 3 pages)\n"
     "sync of main.db-wal begins\n"
     "sync of main.db-wal\n"
     "sync of main.db-wal begins\n"
     "sync of main.db-wal\n"
     "page 2, only page of table orders, copied from frame 1\n"
     "page 3, only page of index items, copied from frame 2\n"
     "sync of main.db begins\n"
     "sync of main.db\n"
     "truncated to 0 bytes\n"
     "acknowledged\n"},
    {"PRAGMA journal_mode=delete; ATTACH '/db/side.db' AS side",
     "CREATE TABLE orders(id); CREATE TABLE side.paid(id);",
     "BEGIN; INSERT INTO orders VALUES (1); INSERT INTO side.paid VALUES (1); COMMIT;",
     "creates main.db-journal\n"
     "journal header, which does not count yet: database had 2 pages\n"
     "journal record 1: it is for page 2 (only page of table orders)\n"
     "journal record 1: page 2 as it was (only page of table orders)\n"
     "journal record 1: checksum of page 2 (only page of table orders)\n"
     "creates side.db-journal\n"
     "journal header, which does not count yet: database had 2 pages\n"
     "journal record 1: it is for page 2 (only page of table paid)\n"
     "journal record 1: page 2 as it was (only page of table paid)\n"
     "journal record 1: checksum of page 2 (only page of table paid)\n"
     "creates main.db-mj#########\n"
     "super-journal: names main.db-journal\n"
     "super-journal: names side.db-journal\n"
     "sync of main.db-mj######### begins\n"
     "sync of main.db-mj#########\n"
     "directory sync for main.db-journal, side.db-journal, main.db-mj######### begins\n"
     "directory sync for main.db-journal, side.db-journal, main.db-mj#########\n"
     "journal record 2: it is for page 1 (header and schema)\n"
     "journal record 2: page 1 as it was (header and schema)\n"
     "journal record 2: checksum of page 1 (header and schema)\n"
     "name of the super-journal follows\n"
     "name of the super-journal: main.db-mj#########\n"
     "size of the super-journal's name\n"
     "checksum of the super-journal's name\n"
     "end of the super-journal's name: it counts from now on\n"
     "sync of main.db-journal begins\n"
     "sync of main.db-journal\n"
     "directory sync of db begins\n"
     "directory sync of db\n"
     "journal header made valid: 2 records\n"
     "sync of main.db-journal begins\n"
     "sync of main.db-journal\n"
     "page 1, header and schema\n"
     "page 2, only page of table orders\n"
     "sync of main.db begins\n"
     "sync of main.db\n"
     "journal record 2: it is for page 1 (header and schema)\n"
     "journal record 2: page 1 as it was (header and schema)\n"
     "journal record 2: checksum of page 1 (header and schema)\n"
     "name of the super-journal follows\n"
     "name of the super-journal: main.db-mj#########\n"
     "size of the super-journal's name\n"
     "checksum of the super-journal's name\n"
     "end of the super-journal's name: it counts from now on\n"
     "sync of side.db-journal begins\n"
     "sync of side.db-journal\n"
     "directory sync of db begins\n"
     "directory sync of db\n"
     "journal header made valid: 2 records\n"
     "sync of side.db-journal begins\n"
     "sync of side.db-journal\n"
     "page 1, header and schema\n"
     "page 2, only page of table paid\n"
     "sync of side.db begins\n"
     "sync of side.db\n"
     "deletes main.db-mj#########\n"
     "directory sync for main.db-mj######### begins\n"
     "directory sync for main.db-mj#########\n"
     "deletes main.db-journal\n"
     "deletes side.db-journal\n"
     "acknowledged\n"},
    {"PRAGMA journal_mode=memory", small, "DELETE FROM orders; VACUUM;",
     "page 1, header and schema\n"
     "page 2, only page of table orders\n"
     "page 3, only page of index items\n"
     "sync of main.db begins\n"
     "sync of main.db\n"
     "page 1, header and schema\n"
     "page 2, only page of table orders\n"
     "page 3, only page of index items\n"
     "sync of main.db begins\n"
     "sync of main.db\n"
     "acknowledged\n"},
};

static void test_protocols(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
		struct buf words = {0};
		struct run r;

		begin(&r, protocols[i].pragmas, protocols[i].setup);
		execute(&r, protocols[i].sql);
		disk_note(r.disk, OP_ACK, "");
		all_words(r.t, &words);
		mask((char *)words.data, "-mj", 9);
		mask((char *)words.data, "salt ", 17);
		assert_string_equal(buf_str(&words), protocols[i].words);
		buf_release(&words);
		end(&r);
	}
}

/* ---- by hand ---- */

static uint64_t add(struct trace *t, struct op op)
{
	op.process = op.thread = op.connection = 1;
	return trace_append(t, &op);
}

static uint64_t add_write(struct trace *t, uint32_t inode, uint64_t offset, const void *data,
			  uint64_t size)
{
	return add(
	    t, (struct op){
		   .kind = OP_WRITE, .inode = inode, .offset = offset, .size = size, .data = data});
}

static uint32_t add_file(struct trace *t, const char *path)
{
	uint32_t inode = trace_new_inode(t);

	(void)add(t, (struct op){.kind = OP_CREATE, .inode = inode, .name = trace_name(t, path)});
	return inode;
}

static void assert_words(const struct op_names *n, uint64_t position, const char *expected)
{
	assert_string_equal(op_names_words(n, position), expected);
}

/* What SQLite does not write so is named plainly; files that end alike are told apart by their
 * paths; every operation has a file and a role, or none. */
static void test_by_hand(void **state)
{
	static const uint8_t zeros[8192], page[2048] = "SQLite format 3\0\x04";
	struct trace *t = trace_create((struct trace_device){512, 0}, "test");
	uint32_t database = add_file(t, "/a/x.db"), journal = add_file(t, "/a/x.db-journal");
	uint32_t log = add_file(t, "/a/x.db-wal"), other = add_file(t, "/b/x.db-journal");
	uint32_t super = add_file(t, "/a/x.db-mj0123459AB"), directory = trace_name(t, "/a");
	uint64_t base = t->op_count;

	(void)state;
	add_write(t, other, 4096, zeros, 1024);
	add_write(t, other, 0, zeros, 1);
	add_write(t, journal, 0, zeros, 7);
	add_write(t, journal, 512, zeros, 7);
	add_write(t, log, 5, zeros, 27);
	add_write(t, log, 32, zeros, 100);
	add_write(t, super, 0, "/a/x.db-journal\0/no\nwhere", 26);
	add_write(t, super, 26, "/c\xff\0/d\0/e\0/f\0/g", 16);
	add_write(t, database, 0, page, 1024);
	add_write(t, database, 512, zeros, 512);
	add_write(t, database, 1024, zeros, 4096);
	add_write(t, database, 1000, zeros, 100);
	add(t, (struct op){.kind = OP_TRUNCATE, .inode = database, .size = 1024});
	add(t, (struct op){.kind = OP_TRUNCATE, .inode = other, .size = 3});
	add(t, (struct op){.kind = OP_SYNC_BEGIN, .inode = database, .flags = OP_SYNC_DATA});
	add(t, (struct op){.kind = OP_SYNC_END,
			   .inode = database,
			   .offset = t->op_count,
			   .flags = OP_SYNC_FAILED});
	add(t, (struct op){.kind = OP_DIRSYNC_BEGIN, .name = directory});
	add(t, (struct op){.kind = OP_DIRSYNC_END, .name = directory, .offset = t->op_count});
	add(t, (struct op){.kind = OP_RENAME,
			   .name = trace_name(t, "/a/x.db"),
			   .name2 = trace_name(t, "/a/y.db")});
	add(t, (struct op){.kind = OP_MARK, .data = (const uint8_t *)"a\nb", .size = 3});
	add(t, (struct op){.kind = OP_OUTPUT, .data = (const uint8_t *)"secret", .size = 6});
	add(t,
	    (struct op){.kind = OP_LOCK, .inode = database, .offset = OP_RESERVED_BYTE, .size = 1});
	(void)trace_append_hole(t, 1, database, "lost");
	struct op_names *n = names_of(t, 1, UINT64_MAX);
	static const char *const expected[] = {
	    "1024 bytes at 4096",
	    "1 byte at 0",
	    "7 bytes at 0",
	    "7 bytes at 512",
	    "27 bytes at 5",
	    "100 bytes at 32",
	    "super-journal: names /a/x.db-journal, /no?where",
	    "super-journal: names /c?, /d, /e, /f and others",
	    "page 1",
	    "part of page 1",
	    "pages 2 to 5",
	    "parts of pages 1 to 2",
	    "truncated to 1024 bytes",
	    "truncated to 3 bytes",
	    "fdatasync of x.db begins",
	    "fdatasync of x.db fails",
	    "directory sync for x.db, /a/x.db-journal, x.db-wal, x.db-mj0123459AB begins",
	    "directory sync for x.db, /a/x.db-journal, x.db-wal, x.db-mj0123459AB",
	    "renames x.db to y.db",
	    "note: a?b",
	    "output of 6 bytes",
	    "exclusive lock: RESERVED",
	    "operations are missing: lost",
	};
	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
		assert_words(n, base + 1 + i, expected[i]);
	assert_int_equal(t->op_count, base + sizeof expected / sizeof *expected);
	uint32_t owner;
	assert_int_equal(op_names_role(n, trace_find_name(t, "/a/x.db-wal"), &owner), STORY_LOG);
	assert_int_equal(owner, trace_find_name(t, "/a/x.db"));
	assert_int_equal(op_names_role(n, owner, &owner), STORY_DATABASE);
	assert_int_equal(owner, trace_find_name(t, "/a/x.db"));
	assert_int_equal(op_names_role(n, trace_find_name(t, "/a/x.db-journal"), NULL),
			 STORY_JOURNAL);
	assert_int_equal(op_names_role(n, trace_find_name(t, "/b/x.db-journal"), &owner),
			 STORY_OTHER);
	assert_int_equal(owner, 0);
	assert_int_equal(op_names_role(n, trace_find_name(t, "/a/x.db-mj0123459AB"), NULL),
			 STORY_SUPER_JOURNAL);
	assert_int_equal(op_names_role(n, directory, NULL), STORY_DIRECTORY);
	assert_int_equal(op_names_role(n, t->name_count + 1, &owner), STORY_OTHER);
	assert_int_equal(op_names_target(n, base + 5), trace_find_name(t, "/a/x.db-wal"));
	assert_int_equal(op_names_target(n, base + 17), directory);
	assert_int_equal(op_names_target(n, base + 20), 0);
	assert_int_equal(op_names_target(n, t->op_count + 1), 0);
	op_names_free(n);
	op_names_free(NULL);
	trace_free(t);
}

/* What is kept of a file is what a flat copy of it has, whatever is written and cut. */
static void test_content(void **state)
{
	enum { SIZE = 40000 };
	uint8_t *flat = xcalloc(1, SIZE), *read = xcalloc(1, SIZE), data[9000];
	struct content c = {.size = 0};
	uint64_t left = 8 * CONTENT_CHUNK, size = 0;
	struct prng prng;

	(void)state;
	prng_init(&prng, 1, "content");
	for (int i = 0; i < 3000; i++) {
		uint64_t at = prng_below(&prng, 20000), n = prng_below(&prng, sizeof data);

		if (i % 3 != 0) {
			memset(data, i | 1, sizeof data);
			assert_true(content_write(&c, at, data, n, &left));
			memcpy(flat + at, data, n);
			size = n > 0 && at + n > size ? at + n : size;
		} else {
			content_truncate(&c, at, &left);
			memset(flat + at, 0, SIZE - at);
			size = at;
		}
		assert_int_equal(c.size, size);
		at = prng_below(&prng, 30000);
		n = prng_below(&prng, sizeof data);
		memset(read, 0xee, n);
		content_read(&c, at, read, (size_t)n);
		assert_memory_equal(read, flat + at, n);
	}
	/* More than may be kept is refused; what is cut is given back. */
	left = 2 * CONTENT_CHUNK;
	assert_false(
	    content_write(&c, (uint64_t)20 * CONTENT_CHUNK, flat, 3 * CONTENT_CHUNK, &left));
	assert_false(content_write(&c, CONTENT_SIZE_MAX, flat, 1, &left));
	content_truncate(&c, 0, &left);
	assert_true(left >= 2 * CONTENT_CHUNK);
	content_release(&c);
	free(flat);
	free(read);
}

/* Many operations are named in time: 5,000 would have 50 ms here. */
static void test_names_in_time(void **state)
{
	enum { COMMITS = 2000 };
	struct timespec from, to;
	struct run r;

	(void)state;
	begin(&r, "PRAGMA page_size=512; PRAGMA journal_mode=wal", fill);
	execute(&r, "WITH RECURSIVE n(i) AS (VALUES(1000) UNION ALL SELECT i + 1 FROM n WHERE i < "
		    "6000) INSERT INTO t SELECT i, printf('%0200d', i) FROM n;");
	for (int i = 0; i < COMMITS; i++)
		execute(&r, "UPDATE t SET v = v + 1 WHERE id = 1500");
	assert_true(r.t->op_count > 20000);
	clock_gettime(CLOCK_MONOTONIC, &from);
	op_names_free(names_of(r.t, 1, UINT64_MAX));
	clock_gettime(CLOCK_MONOTONIC, &to);
	double ms =
	    (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6;
	if (ms * 5000 / (double)r.t->op_count > 1000)
		fail_msg("%d operations took %d ms", (int)r.t->op_count, (int)ms);
	end(&r);
}

/* More operations than can be named are refused; offsets that no database has are passed over, and
 * that is said. */
static void test_limits(void **state)
{
	struct trace *t = trace_create((struct trace_device){512, 0}, "test");
	uint32_t inode = add_file(t, "/a");
	struct op_names *n = NULL;
	struct err err = ERR_INIT;

	(void)state;
	add_write(t, inode, 0, "SQLite format 3\0\x10\0", 18);
	add_write(t, inode, OP_NAMES_CONTENT_MAX, "x", 1);
	assert_int_equal(op_names_create(t, 0, UINT64_MAX, &n, &err), 0);
	assert_non_null(op_names_incomplete(n));
	assert_words(n, 3, "part of page 262145");
	op_names_free(n);
	n = NULL;
	for (int i = 0; i < OP_NAMES_MAX; i++)
		(void)add(t, (struct op){.kind = OP_ACK});
	assert_int_equal(op_names_create(t, 1, UINT64_MAX, &n, &err), ERR_LIMIT);
	assert_null(n);
	assert_int_equal(op_names_create(t, 4, UINT64_MAX, &n, &err), 0);
	assert_words(n, t->op_count, "acknowledged");
	assert_words(n, t->op_count + 1, "");
	assert_words(n, 3, "");
	op_names_free(n);
	assert_int_equal(op_names_create(t, UINT64_MAX, UINT64_MAX, &n, &err), 0);
	assert_words(n, 1, "");
	op_names_free(n);
	trace_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_owners),  cmocka_unit_test(test_owners_after_vacuum),
	    cmocka_unit_test(test_content), cmocka_unit_test(test_protocols),
	    cmocka_unit_test(test_by_hand), cmocka_unit_test(test_names_in_time),
	    cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
