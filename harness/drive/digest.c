/* See digest.h. */
#include "harness/drive/digest.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"
#include "harness/drive/leaves.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

char *quote_identifier(const char *name)
{
	struct buf b;

	buf_init(&b);
	buf_put_u8(&b, '"');
	for (; *name != '\0'; name++) {
		if (*name == '"')
			buf_put_u8(&b, '"');
		buf_put_u8(&b, (uint8_t)*name);
	}
	buf_append(&b, "\"", 2);
	return (char *)b.data;
}

int observation_fail(struct observation *o, sqlite3 *db, int rc, const char *what)
{
	if (o->rc == 0) {
		o->rc = db == NULL ? rc : sqlite3_extended_errcode(db);
		if (o->rc == 0)
			o->rc = rc;
		(void)snprintf(o->failed, sizeof o->failed, "%s: %s", what,
			       db == NULL ? sqlite3_errstr(rc) : sqlite3_errmsg(db));
	}
	return rc;
}

/* ---- rows ---------------------------------------------------------------------------------- */

/* The sum of the hashes of rows, in both halves by itself. */
struct row_sum {
	struct digest sum;
	uint64_t count;
};

static void add_sum(struct row_sum *to, const struct row_sum *s)
{
	to->sum.lo += s->sum.lo;
	to->sum.hi += s->sum.hi;
	to->count += s->count;
}

static void put_value(struct buf *b, sqlite3_value *v)
{
	int type = sqlite3_value_type(v);

	buf_put_u8(b, (uint8_t)type);
	switch (type) {
	case SQLITE_INTEGER: {
		sqlite3_int64 i = sqlite3_value_int64(v);
		buf_append(b, &i, sizeof i);
		break;
	}
	case SQLITE_FLOAT: {
		double x = sqlite3_value_double(v);
		buf_append(b, &x, sizeof x);
		break;
	}
	case SQLITE_NULL:
		break;
	default: {
		const void *p = sqlite3_value_blob(v);
		uint64_t size = (uint64_t)sqlite3_value_bytes(v);
		buf_append(b, &size, sizeof size);
		buf_append(b, p == NULL ? "" : p, size);
		break;
	}
	}
}

/* Adds up the rows of a statement that is ready to step. `numbered`: a row's place counts. Returns
 * 0 or what SQLite said. */
static int sum_rows(sqlite3_stmt *stmt, bool numbered, struct row_sum *sum)
{
	int columns = sqlite3_column_count(stmt), rc;
	struct buf row;

	buf_init(&row);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		buf_clear(&row);
		if (numbered)
			buf_append(&row, &sum->count, sizeof sum->count);
		for (int i = 0; i < columns; i++)
			put_value(&row, sqlite3_column_value(stmt, i));
		add_sum(sum, &(struct row_sum){.sum = hash128(row.data, row.size), .count = 1});
	}
	buf_release(&row);
	return rc == SQLITE_DONE ? 0 : rc;
}

static int sum_query(sqlite3 *db, const char *sql, struct row_sum *sum, struct observation *o)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return observation_fail(o, db, rc, sql);
	rc = sum_rows(stmt, true, sum);
	if (rc != 0)
		(void)observation_fail(o, db, rc, sql);
	(void)sqlite3_finalize(stmt);
	return rc;
}

/* ---- known leaves -------------------------------------------------------------------------- */

struct known_leaf {
	uint64_t key;
	struct row_sum sum; /* count 0: the slot is empty */
};

struct digest_leaves {
	struct known_leaf *slots; /* owned; open addressing, power of two */
	size_t count, cap;
	uint64_t asked, read;
};

enum { LEAF_SLOTS_MIN = 256 };

struct digest_leaves *digest_leaves_create(void)
{
	struct digest_leaves *l = xcalloc(1, sizeof *l);

	l->cap = LEAF_SLOTS_MIN;
	l->slots = xcalloc(l->cap, sizeof *l->slots);
	return l;
}

void digest_leaves_free(struct digest_leaves *l)
{
	if (l == NULL)
		return;
	free(l->slots);
	free(l);
}

void digest_leaves_counts(const struct digest_leaves *l, uint64_t *ret_asked, uint64_t *ret_read)
{
	*ret_asked = l->asked;
	*ret_read = l->read;
}

static struct known_leaf *find_leaf(struct known_leaf *slots, size_t cap, uint64_t key)
{
	size_t i = (size_t)key & (cap - 1);

	while (slots[i].sum.count != 0 && slots[i].key != key)
		i = (i + 1) & (cap - 1);
	return &slots[i];
}

static void make_room(struct digest_leaves *l)
{
	struct known_leaf *slots;
	size_t cap = 2 * l->cap;

	if (l->count >= DIGEST_LEAVES_MAX) {
		memset(l->slots, 0, l->cap * sizeof *l->slots);
		l->count = 0;
		return;
	}
	slots = xcalloc(cap, sizeof *slots);
	for (size_t i = 0; i < l->cap; i++)
		if (l->slots[i].sum.count != 0)
			*find_leaf(slots, cap, l->slots[i].key) = l->slots[i];
	free(l->slots);
	l->slots = slots;
	l->cap = cap;
}

static void remember_leaf(struct digest_leaves *l, uint64_t key, const struct row_sum *sum)
{
	if (2 * (l->count + 1) > l->cap)
		make_room(l);
	struct known_leaf *slot = find_leaf(l->slots, l->cap, key);
	l->count += slot->sum.count == 0;
	*slot = (struct known_leaf){key, *sum};
}

/* ---- tables -------------------------------------------------------------------------------- */

struct table {
	char *name; /* owned */
	uint32_t root;
};

struct table_list {
	struct table *items;
	size_t count, cap;
};

static void release_tables(struct table_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i].name);
	free(list->items);
}

/* The ordinary tables of a schema in name order. */
static int list_tables(sqlite3 *db, const char *quoted_schema, struct table_list *list,
		       struct observation *o)
{
	char *sql = xasprintf("SELECT name, sql, rootpage FROM %s.sqlite_master "
			      "WHERE type = 'table' ORDER BY name",
			      quoted_schema);
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	free(sql);
	if (rc != SQLITE_OK)
		return observation_fail(o, db, rc, "read schema");
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(stmt, 1);
		const char *name = (const char *)sqlite3_column_text(stmt, 0);
		sqlite3_int64 root = sqlite3_column_int64(stmt, 2);
		if (name == NULL || (text != NULL && strncasecmp(text, "CREATE VIRTUAL", 14) == 0))
			continue;
		list->items = xgrow(list->items, list->count, &list->cap, sizeof *list->items);
		list->items[list->count++] = (struct table){
		    xstrdup(name), root > 0 && root < UINT32_MAX ? (uint32_t)root : 0};
	}
	if (rc == SQLITE_DONE)
		rc = 0;
	else
		(void)observation_fail(o, db, rc, "read schema");
	(void)sqlite3_finalize(stmt);
	return rc;
}

/* All three names of the rowid are read, because columns may hide some of them. */
static const char *const rowid_names[] = {"_rowid_", "rowid", "oid"};
enum { ROWID_NAMES = sizeof rowid_names / sizeof rowid_names[0] };

/* A name of the rowid that no column has, or NULL. */
static const char *free_rowid_name(sqlite3_stmt *stmt)
{
	for (int i = 0; i < ROWID_NAMES; i++) {
		bool hidden = false;
		for (int c = ROWID_NAMES; c < sqlite3_column_count(stmt); c++)
			hidden =
			    hidden || strcasecmp(sqlite3_column_name(stmt, c), rowid_names[i]) == 0;
		if (!hidden)
			return rowid_names[i];
	}
	return NULL;
}

/* Adds up the leaves in `list`, reading those that are not known with the statement `sql`, which
 * takes the first and the last rowid. False: a leaf's range of rows is not what stands on the leaf,
 * or cannot be read. */
static bool sum_leaves(sqlite3 *db, const char *sql, uint64_t table_key,
		       struct digest_leaves *known, const struct leaf_list *list,
		       struct row_sum *sum)
{
	sqlite3_stmt *stmt = NULL;
	bool good = true;

	for (size_t i = 0; i < list->count && good; i++) {
		const struct leaf *leaf = &list->items[i];
		uint64_t key = hash_mix(table_key, leaf->content);
		struct row_sum rows = find_leaf(known->slots, known->cap, key)->sum;

		known->asked++;
		if (rows.count == 0) {
			known->read++;
			good = (stmt != NULL ||
				sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK) &&
			       sqlite3_bind_int64(stmt, 1, leaf->first) == SQLITE_OK &&
			       sqlite3_bind_int64(stmt, 2, leaf->last) == SQLITE_OK &&
			       sum_rows(stmt, false, &rows) == 0 && rows.count == leaf->row_count;
			(void)sqlite3_reset(stmt);
			if (good)
				remember_leaf(known, key, &rows);
		}
		add_sum(sum, &rows);
	}
	(void)sqlite3_finalize(stmt);
	return good;
}

/* By its leaves, where the tree is sound. False: it is not, and *sum means nothing. */
static bool sum_by_leaves(sqlite3 *db, const char *select, const char *rowid,
			  const struct table *table, size_t file, const struct digest_reuse *reuse,
			  struct digest schema, struct row_sum *sum)
{
	struct leaf_list list;
	bool good = leaves_list(reuse->image, file, table->root, &list);

	if (good) {
		uint64_t key = hash64(table->name, strlen(table->name), schema.lo ^ schema.hi);
		char *sql = xasprintf("%s WHERE %s BETWEEN ?1 AND ?2", select, rowid);
		good = sum_leaves(db, sql, key, reuse->leaves, &list, sum);
		free(sql);
	}
	leaves_release(&list);
	return good;
}

static int sum_table(sqlite3 *db, const char *quoted_schema, const struct table *table, size_t file,
		     const struct digest_reuse *reuse, struct row_sum *sum, struct observation *o)
{
	char *name = quote_identifier(table->name);
	char *sql =
	    xasprintf("SELECT _rowid_, rowid, oid, * FROM %s.%s NOT INDEXED", quoted_schema, name);
	sqlite3_stmt *stmt = NULL;
	const char *rowid = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK) {
		rowid = free_rowid_name(stmt);
	} else if (rc == SQLITE_ERROR) {
		/* WITHOUT ROWID, and SQLite says so when it prepares. */
		free(sql);
		sql = xasprintf("SELECT * FROM %s.%s NOT INDEXED", quoted_schema, name);
		rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
	}
	if (rc != SQLITE_OK) {
		(void)observation_fail(o, db, rc, sql);
		goto out;
	}
	if (reuse != NULL && rowid != NULL &&
	    sum_by_leaves(db, sql, rowid, table, file, reuse, o->files[file].schema, sum))
		goto out;
	*sum = (struct row_sum){0};
	rc = sum_rows(stmt, rowid == NULL, sum);
	if (rc != 0)
		(void)observation_fail(o, db, rc, sql);
out:
	(void)sqlite3_finalize(stmt);
	free(sql);
	free(name);
	return rc;
}

/* ---- files --------------------------------------------------------------------------------- */

static void put_sum(struct buf *b, const struct row_sum *sum)
{
	buf_append(b, &sum->sum, sizeof sum->sum);
	buf_append(b, &sum->count, sizeof sum->count);
}

void digest_file(sqlite3 *db, const char *schema, size_t file, const struct digest_reuse *reuse,
		 struct observation *o)
{
	static const char *const values[] = {"user_version", "application_id"};
	struct observed_file *ret = &o->files[file];
	struct table_list tables = {0};
	struct row_sum sum = {0};
	char *quoted = quote_identifier(schema);
	char *sql = xasprintf("SELECT type, name, tbl_name, sql FROM %s.sqlite_master "
			      "ORDER BY type, name, tbl_name",
			      quoted);
	int rc = sum_query(db, sql, &sum, o);
	struct buf parts;

	free(sql);
	buf_init(&parts);
	put_sum(&parts, &sum);
	ret->schema = hash128(parts.data, parts.size);
	for (size_t i = 0; i < sizeof values / sizeof values[0] && rc == 0; i++) {
		sum = (struct row_sum){0};
		sql = xasprintf("PRAGMA %s.%s", quoted, values[i]);
		rc = sum_query(db, sql, &sum, o);
		put_sum(&parts, &sum);
		free(sql);
	}
	if (rc == 0)
		rc = list_tables(db, quoted, &tables, o);
	for (size_t i = 0; i < tables.count && rc == 0; i++) {
		sum = (struct row_sum){0};
		buf_append(&parts, tables.items[i].name, strlen(tables.items[i].name) + 1);
		rc = sum_table(db, quoted, &tables.items[i], file, reuse, &sum, o);
		put_sum(&parts, &sum);
	}
	if (rc == 0) /* half a sum depends on what had been read */
		ret->state = hash128(parts.data, parts.size);
	release_tables(&tables);
	buf_release(&parts);
	free(quoted);
}
