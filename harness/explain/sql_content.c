/* See sql_content.h. */
#include "harness/explain/sql_content.h"

#include "faultinject/base/buf.h"
#include "harness/drive/digest.h"
#include "harness/explain/clean.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NAME_SIZE_MAX = 100 };

void sql_content_release(struct sql_content *c)
{
	for (size_t i = 0; i < c->table_count; i++) {
		free(c->tables[i].name);
		free(c->tables[i].what);
	}
	for (size_t i = 0; i < c->row_count; i++) {
		free(c->rows[i].where);
		free(c->rows[i].text);
		free(c->rows[i].ends);
	}
	free(c->tables);
	free(c->rows);
	memset(c, 0, sizeof *c);
}

bool sql_content_is_cut(const struct sql_content *c)
{
	for (size_t i = 0; i < c->table_count; i++)
		if (c->tables[i].cut || c->tables[i].what != NULL)
			return true;
	return false;
}

/* ---- rows ---------------------------------------------------------------------------------- */

static void put_value(struct buf *b, sqlite3_stmt *stmt, int column, bool show_data)
{
	static const char *const types[] = {"?", "integer", "real", "text", "blob", "NULL"};
	int type = sqlite3_column_type(stmt, column);
	/* The bytes as they are; asking for text converts numbers. */
	const void *bytes = type == SQLITE_BLOB ? sqlite3_column_blob(stmt, column)
						: (const void *)sqlite3_column_text(stmt, column);
	size_t size = (size_t)sqlite3_column_bytes(stmt, column);

	if (type == SQLITE_NULL || bytes == NULL) {
		buf_printf(b, "%s", type == SQLITE_NULL ? "NULL" : types[type]);
	} else if (!show_data) {
		buf_printf(b, "%s(%zu byte%s, #%08x)", types[type], size, size == 1 ? "" : "s",
			   (unsigned)hash64(bytes, size, 0));
	} else if (type == SQLITE_BLOB) {
		buf_printf(b, "x'");
		for (size_t i = 0; i < size && i < 32; i++)
			buf_printf(b, "%02x", ((const uint8_t *)bytes)[i]);
		buf_printf(b, size > 32 ? "...'" : "'");
	} else {
		buf_printf(b, type == SQLITE_TEXT ? "'" : "");
		clean_append(b, bytes, size, NAME_SIZE_MAX);
		buf_printf(b, type == SQLITE_TEXT ? "'" : "");
	}
}

/* The columns of a row from `first` on, for people, and their hash. */
static void read_values(sqlite3_stmt *stmt, int first, bool show_data, struct sql_content_row *row)
{
	uint16_t ends[SQL_CONTENT_VALUES_SIZE_MAX];
	uint64_t h = 1;
	struct buf b;

	buf_init(&b);
	for (int i = first; i < sqlite3_column_count(stmt); i++) {
		int type = sqlite3_column_type(stmt, i);
		const char *name = sqlite3_column_name(stmt, i);

		if (b.size < SQL_CONTENT_VALUES_SIZE_MAX) {
			buf_printf(&b, i == first ? "" : ", ");
			clean_append(&b, name == NULL ? "?" : name, name == NULL ? 1 : strlen(name),
				     NAME_SIZE_MAX);
			buf_printf(&b, " ");
			put_value(&b, stmt, i, show_data);
			ends[row->end_count++] = (uint16_t)b.size;
			if (b.size >= SQL_CONTENT_VALUES_SIZE_MAX)
				buf_printf(&b, ", ...");
		}
		h = hash_mix(h, (uint64_t)type);
		const void *bytes = sqlite3_column_blob(stmt, i);
		h = hash_mix(h, hash64(bytes == NULL ? "" : bytes,
				       (size_t)sqlite3_column_bytes(stmt, i), 2));
	}
	row->values = h;
	row->text = xstrdup(buf_str(&b));
	row->ends = xcalloc(row->end_count + 1, sizeof *row->ends);
	memcpy(row->ends, ends, row->end_count * sizeof *ends);
	buf_release(&b);
}

/* Column `i` in the text of a row. */
static const char *column_of(const struct sql_content_row *row, size_t i, size_t *ret_size)
{
	size_t begin = i == 0 ? 0 : row->ends[i - 1] + strlen(", ");

	*ret_size = row->ends[i] - begin;
	return row->text + begin;
}

char *sql_content_difference(const struct sql_content_row *row, const struct sql_content_row *other)
{
	static const char elided[] = "\xe2\x80\xa6";
	bool any = false, gap = false;
	struct buf b;

	if (other == NULL || row->end_count == 0 || row->end_count != other->end_count)
		return xstrdup(row->text);
	buf_init(&b);
	for (size_t i = 0; i < row->end_count; i++) {
		size_t size, other_size;
		const char *column = column_of(row, i, &size);
		const char *there = column_of(other, i, &other_size);
		bool same = size == other_size && memcmp(column, there, size) == 0;

		if (!same || !gap)
			buf_printf(&b, "%s", b.size > 0 ? ", " : "");
		if (!same)
			buf_append(&b, column, size);
		else if (!gap)
			buf_printf(&b, "%s", elided);
		gap = same;
		any = any || !same;
	}
	/* What differs is behind what is shown. */
	char *text = xstrdup(any ? buf_str(&b) : row->text);
	buf_release(&b);
	return text;
}

static size_t add_table(struct sql_content *c, const char *schema, const char *name, bool is_schema)
{
	struct buf b;

	buf_init(&b);
	if (strcmp(schema, "main") != 0) {
		clean_append(&b, schema, strlen(schema), NAME_SIZE_MAX);
		buf_printf(&b, ".");
	}
	clean_append(&b, name, strlen(name), NAME_SIZE_MAX);
	c->tables = xgrow(c->tables, c->table_count, &c->table_cap, sizeof *c->tables);
	c->tables[c->table_count] =
	    (struct sql_content_table){.name = xstrdup(buf_str(&b)), .is_schema = is_schema};
	buf_release(&b);
	return c->table_count++;
}

static void fail(struct sql_content *c, size_t table, sqlite3 *db)
{
	const char *said = sqlite3_errmsg(db);
	struct buf b;

	if (c->tables[table].what != NULL)
		return;
	buf_init(&b);
	clean_append(&b, said, strlen(said), 200);
	c->tables[table].what = xstrdup(buf_str(&b));
	buf_release(&b);
}

static struct sql_content_row *add_row(struct sql_content *c, size_t table)
{
	c->rows = xgrow(c->rows, c->row_count, &c->row_cap, sizeof *c->rows);
	struct sql_content_row *row = &c->rows[c->row_count++];

	*row = (struct sql_content_row){.table = table};
	c->tables[table].row_count++;
	return row;
}

/* False: the table has more rows than may be read. */
static bool may_read(struct sql_content *c, size_t table, const struct sql_content_limits *limits)
{
	if (c->tables[table].row_count<limits->table_rows_max && * limits->rows_left> 0) {
		--*limits->rows_left;
		return true;
	}
	c->tables[table].cut = true;
	return false;
}

/* ---- tables -------------------------------------------------------------------------------- */

static const char *const rowid_names[] = {"_rowid_", "rowid", "oid"};

/* A statement for all rows of a table whose first column is the rowid (*ret_rowid), if it has one
 * that SQL can name. */
static int prepare(sqlite3 *db, const char *quoted_schema, const char *table, sqlite3_stmt **ret,
		   bool *ret_rowid)
{
	char *name = quote_identifier(table);
	int rc = SQLITE_ERROR;

	*ret_rowid = true;
	for (size_t i = 0; i < 3 && rc == SQLITE_ERROR; i++) {
		char *sql = xasprintf("SELECT %s, * FROM %s.%s NOT INDEXED", rowid_names[i],
				      quoted_schema, name);
		rc = sqlite3_prepare_v2(db, sql, -1, ret, NULL);
		free(sql);
		/* A column of that name hides the rowid. */
		for (int k = 1; rc == SQLITE_OK && k < sqlite3_column_count(*ret); k++) {
			const char *column = sqlite3_column_name(*ret, k);
			if (column == NULL || strcasecmp(column, rowid_names[i]) != 0)
				continue;
			(void)sqlite3_finalize(*ret);
			*ret = NULL;
			rc = SQLITE_ERROR;
		}
	}
	if (rc == SQLITE_ERROR) {
		char *sql = xasprintf("SELECT * FROM %s.%s NOT INDEXED", quoted_schema, name);
		*ret_rowid = false;
		rc = sqlite3_prepare_v2(db, sql, -1, ret, NULL);
		free(sql);
	}
	free(name);
	return rc;
}

static void read_table(sqlite3 *db, const char *quoted_schema, const char *name, size_t table,
		       const struct sql_content_limits *limits, struct sql_content *c)
{
	sqlite3_stmt *stmt = NULL;
	bool rowid = true;
	int rc = prepare(db, quoted_schema, name, &stmt, &rowid);

	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(stmt);
		if (rc != SQLITE_ROW || !may_read(c, table, limits))
			break;
		struct sql_content_row *row = add_row(c, table);
		read_values(stmt, rowid, limits->show_data, row);
		row->key = rowid ? sqlite3_column_int64(stmt, 0) : (int64_t)row->values;
		row->where =
		    rowid ? xasprintf("table %s, rowid %" PRId64, c->tables[table].name, row->key)
			  : xasprintf("table %s, a row", c->tables[table].name);
	}
	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		fail(c, table, db);
	(void)sqlite3_finalize(stmt);
}

/* ---- schemas ------------------------------------------------------------------------------- */

/* The names of ordinary tables; owned by the caller. */
struct names {
	char **items;
	size_t count, cap;
};

static void read_schema(sqlite3 *db, const char *schema, const char *quoted, struct names *names,
			const struct sql_content_limits *limits, struct sql_content *c)
{
	char *sql = xasprintf("SELECT type, name, tbl_name, sql FROM %s.sqlite_master "
			      "ORDER BY type, name",
			      quoted);
	size_t table = add_table(c, schema, "schema", true);
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	free(sql);
	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(stmt);
		if (rc != SQLITE_ROW || !may_read(c, table, limits))
			break;
		const char *type = (const char *)sqlite3_column_text(stmt, 0);
		const char *name = (const char *)sqlite3_column_text(stmt, 1);
		const char *text = (const char *)sqlite3_column_text(stmt, 3);
		struct sql_content_row *row = add_row(c, table);
		struct buf b;

		type = type == NULL ? "?" : type;
		name = name == NULL ? "?" : name;
		buf_init(&b);
		clean_append(&b, type, strlen(type), NAME_SIZE_MAX);
		buf_printf(&b, " ");
		clean_append(&b, name, strlen(name), NAME_SIZE_MAX);
		row->where = xasprintf("%s, %s", c->tables[table].name, buf_str(&b));
		row->text = xstrdup(buf_str(&b));
		buf_release(&b);
		row->key = (int64_t)hash64(row->where, strlen(row->where), 1);
		row->values = text == NULL ? 0 : hash64(text, strlen(text), 0);
		if (strcmp(type, "table") == 0 && names->count < SQL_CONTENT_TABLES_MAX &&
		    (text == NULL || strncasecmp(text, "CREATE VIRTUAL", 14) != 0)) {
			names->items =
			    xgrow(names->items, names->count, &names->cap, sizeof *names->items);
			names->items[names->count++] = xstrdup(name);
		}
	}
	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		fail(c, table, db);
	(void)sqlite3_finalize(stmt);
}

static void read_value(sqlite3 *db, const char *schema, const char *quoted, const char *pragma,
		       struct sql_content *c)
{
	char *sql = xasprintf("PRAGMA %s.%s", quoted, pragma);
	size_t table = add_table(c, schema, pragma, false);
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	free(sql);
	if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct sql_content_row *row = add_row(c, table);
		row->where = xstrdup(c->tables[table].name);
		/* SQLite's own number, and no data of anybody's rows. */
		read_values(stmt, 0, true, row);
	} else if (rc != SQLITE_DONE) {
		fail(c, table, db);
	}
	(void)sqlite3_finalize(stmt);
}

static int compare_rows(const void *a, const void *b)
{
	const struct sql_content_row *x = a, *y = b;

	if (x->table != y->table)
		return x->table < y->table ? -1 : 1;
	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->values < y->values ? -1 : x->values > y->values;
}

void sql_content_read(sqlite3 *db, const struct subject *s, const struct sql_content_limits *limits,
		      struct sql_content *ret)
{
	memset(ret, 0, sizeof *ret);
	for (size_t f = 0; f < 1 + s->attached_count; f++) {
		const char *schema = subject_schema(s, f);
		char *quoted = quote_identifier(schema);
		struct names names = {0};

		read_schema(db, schema, quoted, &names, limits, ret);
		read_value(db, schema, quoted, "user_version", ret);
		read_value(db, schema, quoted, "application_id", ret);
		for (size_t i = 0; i < names.count; i++) {
			size_t table = add_table(ret, schema, names.items[i], false);
			read_table(db, quoted, names.items[i], table, limits, ret);
			free(names.items[i]);
		}
		free(names.items);
		free(quoted);
	}
	if (ret->row_count > 1)
		qsort(ret->rows, ret->row_count, sizeof *ret->rows, compare_rows);
}

/* ---- differences --------------------------------------------------------------------------- */

static const struct sql_content_table *find_table(const struct sql_content *c, const char *name,
						  size_t *ret_index)
{
	for (size_t i = 0; i < c->table_count; i++) {
		if (strcmp(c->tables[i].name, name) == 0) {
			*ret_index = i;
			return &c->tables[i];
		}
	}
	return NULL;
}

/* The rows of a table: [*first, *last). */
static void rows_of(const struct sql_content *c, size_t table, size_t *first, size_t *last)
{
	size_t low = 0, high = c->row_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (c->rows[middle].table < table)
			low = middle + 1;
		else
			high = middle;
	}
	*first = *last = low;
	while (*last < c->row_count && c->rows[*last].table == table)
		++*last;
}

static bool can_compare(const struct sql_content_table *t)
{
	return t == NULL || (t->what == NULL && !t->cut);
}

/* `x` of `a` (NULL: it has no such table) with `y` of `b` (likewise). */
static void differ_table(const struct sql_content *a, size_t x, bool has_x,
			 const struct sql_content *b, size_t y, bool has_y,
			 void (*tell)(void *ctx, const struct sql_content_table *table,
				      const struct sql_content_row *a,
				      const struct sql_content_row *b),
			 void *ctx)
{
	const struct sql_content_table *table = has_x ? &a->tables[x] : &b->tables[y];
	size_t i = 0, i_end = 0, k = 0, k_end = 0;

	if (has_x)
		rows_of(a, x, &i, &i_end);
	if (has_y)
		rows_of(b, y, &k, &k_end);
	while (i < i_end || k < k_end) {
		const struct sql_content_row *p = i < i_end ? &a->rows[i] : NULL;
		const struct sql_content_row *q = k < k_end ? &b->rows[k] : NULL;

		if (q == NULL || (p != NULL && p->key < q->key)) {
			tell(ctx, table, p, NULL);
			i++;
		} else if (p == NULL || q->key < p->key) {
			tell(ctx, table, NULL, q);
			k++;
		} else {
			if (p->values != q->values)
				tell(ctx, table, p, q);
			i++;
			k++;
		}
	}
}

void sql_content_differ(const struct sql_content *a, const struct sql_content *b,
			void (*tell)(void *ctx, const struct sql_content_table *table,
				     const struct sql_content_row *a,
				     const struct sql_content_row *b),
			void *ctx)
{
	size_t other = 0;

	for (size_t i = 0; i < a->table_count; i++) {
		const struct sql_content_table *t = find_table(b, a->tables[i].name, &other);
		if (can_compare(&a->tables[i]) && can_compare(t))
			differ_table(a, i, true, b, other, t != NULL, tell, ctx);
	}
	for (size_t i = 0; i < b->table_count; i++)
		if (find_table(a, b->tables[i].name, &other) == NULL && can_compare(&b->tables[i]))
			differ_table(a, 0, false, b, i, true, tell, ctx);
}

bool sql_content_has(const struct sql_content *c, const struct sql_content_table *table,
		     const struct sql_content_row *row)
{
	size_t index, low, high;

	if (find_table(c, table->name, &index) == NULL)
		return false;
	rows_of(c, index, &low, &high);
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct sql_content_row *r = &c->rows[middle];
		if (r->key == row->key && r->values == row->values)
			return true;
		if (r->key < row->key || (r->key == row->key && r->values < row->values))
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}
