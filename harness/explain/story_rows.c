/*
 * What was found against what should be there, row by row; which transactions are in what was
 * found, and what each changed. SQLite reads all of it, in a child: on the disk as recovery left
 * it, and on the files as the processes saw them, which are sound.
 */
#include "harness/explain/story_internal.h"

#include "faultinject/base/buf.h"
#include "faultinject/vfs.h"
#include "harness/drive/observe.h"
#include "harness/explain/sql_content.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum { STATES_MAX = 16 }; /* legal states that what was found is held against */

struct rows {
	struct telling *t;
	struct isolate *isolate;
	struct observer observer;
	uint64_t rows_left;
	struct observation found;   /* of what recovery left */
	struct sql_content content; /* likewise */
	/* Legal states, by position: after which transaction (0: before the first). */
	struct legal {
		size_t number;
		struct sql_content content;
		bool broken; /* an invariant does not hold in it */
	} legal[STATES_MAX];
	size_t legal_count;
};

static struct sql_content_limits limits_of(struct rows *r)
{
	return (struct sql_content_limits){STORY_TABLE_ROWS_MAX, &r->rows_left, r->t->o->show_data};
}

/* It is what an invariant objects to. */
static bool asks_invariants(const struct telling *t)
{
	return strcmp(t->s->oracle, "invariant") == 0;
}

/* Does one of the invariants return a row? One that cannot be asked here breaks nothing. */
static bool is_broken(const struct telling *t, sqlite3 *db)
{
	const struct subject *s = t->c->subject;
	bool broken = false;

	if (!asks_invariants(t))
		return false;
	for (size_t i = 0; i < s->invariant_count && !broken; i++) {
		sqlite3_stmt *stmt = NULL;
		if (sqlite3_prepare_v2(db, s->invariants[i].sql, -1, &stmt, NULL) == SQLITE_OK)
			broken = sqlite3_step(stmt) == SQLITE_ROW;
		(void)sqlite3_finalize(stmt);
	}
	return broken;
}

/* Boots a machine on `s` and reads it. */
static void read_storage(struct rows *r, struct storage *s, uint64_t seed, bool digests,
			 struct sql_content *ret, bool *ret_broken)
{
	struct observation o = {0};
	struct sql_content_limits limits = limits_of(r);

	isolate_enter(r->isolate);
	fi_vfs_boot(s, seed, r->t->c->trace->device);
	sqlite3 *db = observer_recover(&r->observer, &o);
	sqlite3 *reader = observer_connect(&r->observer, db, &o);
	if (reader != NULL) {
		for (size_t f = 0; f < o.file_count && o.rc == 0 && digests; f++)
			digest_file(reader, subject_schema(r->t->c->subject, f), f, NULL, &o);
		sql_content_read(reader, r->t->c->subject, &limits, ret);
		*ret_broken = is_broken(r->t, reader);
	}
	observer_disconnect(db, reader, &o);
	observer_close(db);
	isolate_leave(r->isolate);
	if (digests)
		r->found = o;
	else
		observation_release(&o);
}

/* The files as the processes saw them after a position. */
static void read_position(struct rows *r, uint64_t position, struct sql_content *ret,
			  bool *ret_broken)
{
	struct model whole = {.name = "process-crash", .process_crash = true};
	struct crashdisk *disk = crashdisk_create(r->t->ix, &whole);
	struct choice choice;

	choice_init(&choice);
	choice_begin(&choice, NULL, 0, 0, CHOICE_FIRST);
	crashdisk_open(disk, position, SIZE_MAX);
	crashdisk_begin(disk, &choice);
	read_storage(r, crashdisk_storage(disk), position, false, ret, ret_broken);
	choice_release(&choice);
	crashdisk_free(disk);
}

/* ---- transactions -------------------------------------------------------------------------- */

/* Where the transaction left its state in a line; SIZE_MAX: nowhere. */
static size_t state_of(const struct history *h, size_t file, size_t number)
{
	const struct history_line *line = &h->lines[file];

	for (size_t i = 0; i < line->count; i++)
		if (line->states[i].transaction == number)
			return i;
	return SIZE_MAX;
}

static void tell_presence(struct telling *t)
{
	const struct history *h = t->h;

	for (size_t i = 0; i < t->s->transaction_count; i++) {
		struct story_transaction *x = &t->s->transactions[i];
		size_t in = 0, out = 0;

		if (x->presence == STORY_LATER || !t->read)
			continue;
		for (size_t f = 0; f < h->file_count; f++) {
			size_t state = (h->transactions[i].file_mask & 1u << f) == 0
					   ? SIZE_MAX
					   : state_of(h, f, i + 1);
			if (state == SIZE_MAX || t->placed[f] == SIZE_MAX)
				continue;
			in += state <= t->placed[f];
			out += state > t->placed[f];
		}
		if (in > 0 && out > 0)
			x->presence = STORY_PARTLY;
		else if (in > 0 || out > 0)
			x->presence = in > 0 ? STORY_PRESENT : STORY_GONE;
	}
}

/* What a transaction did to one table. */
struct table_changes {
	const struct sql_content_table *table;
	uint64_t inserted, deleted, changed;
};

struct changes {
	struct table_changes *items; /* owned */
	size_t count, cap;
	struct buf schema;
	size_t schema_count;
};

static void count_change(void *ctx, const struct sql_content_table *table,
			 const struct sql_content_row *a, const struct sql_content_row *b)
{
	struct changes *c = ctx;
	struct table_changes *last = c->count == 0 ? NULL : &c->items[c->count - 1];

	if (table->is_schema) {
		if (c->schema_count++ < 8) {
			buf_printf(&c->schema, "%s%s %s", c->schema.size > 0 ? ", " : "",
				   a == NULL   ? "creates"
				   : b == NULL ? "drops"
					       : "alters",
				   a == NULL ? b->text : a->text);
		}
		return;
	}
	if (last == NULL || last->table != table) {
		c->items = xgrow(c->items, c->count, &c->cap, sizeof *c->items);
		last = &c->items[c->count++];
		*last = (struct table_changes){.table = table};
	}
	last->inserted += a == NULL;
	last->deleted += b == NULL;
	last->changed += a != NULL && b != NULL;
}

static void put_change(struct buf *b, const char *verb, uint64_t n, const char *where,
		       const char *table)
{
	if (n == 0)
		return;
	if (b->size > 0)
		buf_printf(b, ", ");
	buf_printf(b, "%s ", verb);
	story_count(b, n, "row");
	buf_printf(b, " %s %s", where, table);
}

/* "inserts 1 row into orders". NULL: nothing that was compared. Owned by the caller. */
static char *changes_between(const struct sql_content *a, const struct sql_content *b)
{
	struct changes c = {0};
	struct buf text;
	char *ret = NULL;

	buf_init(&text);
	sql_content_differ(a, b, count_change, &c);
	if (c.schema.size > 0)
		buf_printf(&text, "%s", buf_str(&c.schema));
	for (size_t i = 0; i < c.count; i++) {
		const struct table_changes *x = &c.items[i];
		const char *name = x->table->name;

		if (i == 8) {
			buf_printf(&text, ", and changes other tables");
			break;
		}
		if (strcmp(story_base_name(name), "user_version") == 0 ||
		    strcmp(name, "application_id") == 0) {
			buf_printf(&text, "%ssets %s", text.size > 0 ? ", " : "", name);
			continue;
		}
		put_change(&text, "inserts", x->inserted, "into", name);
		put_change(&text, "changes", x->changed, "of", name);
		put_change(&text, "deletes", x->deleted, "from", name);
	}
	if (sql_content_is_cut(a) || sql_content_is_cut(b))
		buf_printf(&text, "%sand what it does to tables of more than %d rows is not told",
			   text.size > 0 ? ", " : "", STORY_TABLE_ROWS_MAX);
	if (text.size > 0)
		ret = story_text("%s", buf_str(&text));
	buf_release(&text);
	buf_release(&c.schema);
	free(c.items);
	return ret;
}

/* The transactions that are told in full: as many as may be, the last that began by the crash among
 * them: [*first, *last) of the story's. */
static void choose_transactions(const struct telling *t, size_t *first, size_t *last)
{
	*last = 0;
	while (*last < t->s->transaction_count && t->s->transactions[*last].presence != STORY_LATER)
		++*last;
	*first = *last > STORY_CHANGES_MAX ? *last - STORY_CHANGES_MAX : 0;
}

static uint64_t end_of(const struct telling *t, size_t number)
{
	return number == 0 ? 0 : t->h->transactions[number - 1].end;
}

/* Reads the states between transactions, tells what each changed, and keeps the last ones. */
static void tell_changes(struct rows *r)
{
	struct telling *t = r->t;
	struct sql_content before = {0};
	size_t first, last;

	choose_transactions(t, &first, &last);
	for (size_t n = first; n <= last; n++) {
		struct sql_content now = {0};
		bool broken = false;

		read_position(r, end_of(t, n), &now, &broken);
		if (n > first)
			t->s->transactions[n - 1].changes = changes_between(&before, &now);
		if (last - n >= STATES_MAX) {
			sql_content_release(&before);
			before = now;
			continue;
		}
		if (n > first && r->legal_count == 0)
			sql_content_release(&before);
		r->legal[r->legal_count] = (struct legal){n, now, broken};
		before = r->legal[r->legal_count++].content; /* borrowed from here on */
	}
}

/* ---- rows ---------------------------------------------------------------------------------- */

struct differing {
	struct rows *r;
	const struct legal *against;
	uint64_t count;
};

static void count_row(void *ctx, const struct sql_content_table *table,
		      const struct sql_content_row *a, const struct sql_content_row *b)
{
	struct differing *d = ctx;

	(void)table;
	(void)a;
	(void)b;
	d->count++;
}

/* " (as transaction 3 left it)": the first legal state that has this row. */
static void put_origin(struct buf *b, const struct differing *d,
		       const struct sql_content_table *table, const struct sql_content_row *row)
{
	const struct rows *r = d->r;

	for (size_t i = 0; i < r->legal_count; i++) {
		const struct legal *l = &r->legal[i];

		if (!sql_content_has(&l->content, table, row))
			continue;
		if (l->number > 0 && (i > 0 || l->number == 0))
			buf_printf(b, " (as transaction %zu left it)", l->number);
		else
			buf_printf(b, " (as before transaction %zu)", l->number + 1);
		return;
	}
	/* States before the first one that is held were not looked at. */
	if (r->legal_count == 0 || r->legal[0].number > 0)
		buf_printf(b,
			   " (not as one of the last %zu states has it: older, or never "
			   "committed)",
			   r->legal_count);
	else
		buf_printf(b, " (which no transaction ever committed)");
}

/* `other`: the same row on the other side, or NULL. */
static char *row_words(const struct differing *d, const struct sql_content_table *table,
		       const struct sql_content_row *row, const struct sql_content_row *other,
		       bool has_origin)
{
	struct buf b;

	if (row == NULL)
		return NULL;
	char *values = sql_content_difference(row, other);
	buf_init(&b);
	buf_printf(&b, "%s", values);
	free(values);
	if (has_origin)
		put_origin(&b, d, table, row);
	char *text = story_text("%s", buf_str(&b));
	buf_release(&b);
	return text;
}

/* `a` is expected, `b` was found. */
static void tell_row(void *ctx, const struct sql_content_table *table,
		     const struct sql_content_row *a, const struct sql_content_row *b)
{
	struct differing *d = ctx;
	struct story *s = d->r->t->s;
	bool torn = !d->r->t->matched;

	if (s->row_count == STORY_ROWS_MAX) {
		s->rows_left_out++;
		return;
	}
	struct story_row *row = STORY_ADD(s, rows, row);
	row->where = story_text("%s", a != NULL ? a->where : b->where);
	row->expected = row_words(d, table, a, b, torn);
	row->found = row_words(d, table, b, a, torn);
}

static void tell_fact(struct story *s, const char *where, const char *expected, const char *found)
{
	if (s->row_count == STORY_ROWS_MAX) {
		s->rows_left_out++;
		return;
	}
	struct story_row *row = STORY_ADD(s, rows, row);
	row->where = story_text("%s", where);
	row->expected = story_text("%s", expected);
	row->found = story_text("%s", found);
}

/* The number of the last transaction that had been acknowledged. */
static size_t last_acked(const struct telling *t)
{
	size_t n = t->s->transaction_count;

	while (n > 0 && !t->s->transactions[n - 1].acked)
		n--;
	return n;
}

static uint64_t distance(struct rows *r, const struct legal *l)
{
	struct differing d = {.r = r};

	sql_content_differ(&l->content, &r->content, count_row, &d);
	return d.count;
}

/* The state that the rows are held against: that of the last promise; where what was found is no
 * state of the run, the one that it is most like; for an invariant likewise, of those in which it
 * holds. NULL: it was not read. */
static const struct legal *choose_against(struct rows *r)
{
	size_t acked = last_acked(r->t);
	const struct legal *best = NULL;
	uint64_t least = UINT64_MAX;

	for (size_t i = r->legal_count; i-- > 0;) {
		const struct legal *l = &r->legal[i];
		uint64_t n;

		if (asks_invariants(r->t)) {
			if (l->broken)
				continue;
		} else if (r->t->matched) {
			if (l->number == acked)
				return l;
			continue;
		}
		n = distance(r, l);
		if (n < least) {
			best = l;
			least = n;
		}
	}
	return best;
}

static void tell_against(struct telling *t, const struct legal *l)
{
	const char *nearest = asks_invariants(t) ? ", the nearest one in which the invariant holds"
			      : t->matched	 ? ""
						 : ", the state of the run that is most like it";

	if (l->number == 0)
		story_set(&t->s->rows_against, "the state before the first transaction%s", nearest);
	else
		story_set(&t->s->rows_against, "the state after transaction %zu%s%s", l->number,
			  l->number == last_acked(t) ? ", the last one that had been acknowledged"
						     : "",
			  nearest);
}

/* ---- an invariant that the program itself breaks ------------------------------------------- */

/* What was found is just the state after this transaction. False: it is no state of the run, or, of
 * several files, none that was there at one time. */
static bool find_state(const struct telling *t, size_t *ret_number)
{
	const struct history *h = t->h;
	size_t number = 0;

	if (!t->matched)
		return false;
	for (size_t f = 0; f < h->file_count; f++) {
		size_t n = h->lines[f].states[t->placed[f]].transaction;
		number = n > number ? n : number;
	}
	for (size_t f = 0; f < h->file_count; f++) {
		const struct history_line *line = &h->lines[f];
		size_t next = t->placed[f] + 1;
		if (next < line->count && line->states[next].transaction <= number)
			return false;
	}
	*ret_number = number;
	return true;
}

/* The next transaction of the same connection that wrote; 0: there is none. */
static size_t next_of(const struct history *h, size_t number)
{
	const struct transaction *x = &h->transactions[number - 1];

	for (size_t n = number; n < h->transaction_count; n++) {
		const struct transaction *y = &h->transactions[n];
		if (y->process == x->process && y->connection == x->connection && y->file_mask != 0)
			return n + 1;
	}
	return 0;
}

static bool is_nothing_lost(const struct story *s)
{
	for (size_t i = 0; i < s->op_count; i++)
		if (s->ops[i].fate == STORY_LOST || s->ops[i].fate == STORY_TORN ||
		    s->ops[i].fate == STORY_DAMAGED)
			return false;
	return true;
}

/* Which transaction left the state that breaks the invariant: that of what was found, or an earlier
 * one, when the states in between break it, too. */
static void tell_broken(struct rows *r)
{
	struct telling *t = r->t;
	size_t number, i = 0;

	if (!asks_invariants(t) || !find_state(t, &number) || number == 0)
		return;
	while (i < r->legal_count && r->legal[i].number != number)
		i++;
	if (i == r->legal_count || !r->legal[i].broken)
		return;
	while (i > 0 && r->legal[i - 1].broken)
		i--;
	if (r->legal[i].number == 0)
		return; /* it does not hold at the start */
	t->found_state = number;
	t->broken_by = r->legal[i].number;
	t->broken_until = next_of(t->h, t->broken_by);
	t->nothing_lost = is_nothing_lost(t->s);
}

/* "transaction 5 (bank.sql:20)" */
static void put_transaction(const struct telling *t, size_t number, struct buf *b)
{
	const struct story_statement *st = story_first_statement(t->s, number);

	buf_printf(b, "transaction %zu", number);
	if (st != NULL && st->source != NULL)
		buf_printf(b, " (%s)", st->source);
}

/* What the next transaction of that client would have changed: that was still to come. */
static void tell_next(struct rows *r)
{
	struct telling *t = r->t;
	struct sql_content before = {0}, after = {0};
	struct differing d = {.r = r};
	bool broken = false;
	struct buf b;

	read_position(r, end_of(t, t->broken_until - 1), &before, &broken);
	read_position(r, end_of(t, t->broken_until), &after, &broken);
	sql_content_differ(&after, &before, tell_row, &d);
	buf_init(&b);
	put_transaction(t, t->broken_until, &b);
	story_set(&t->s->rows_against,
		  "what %s changes, the next one of the same %s, which had not begun; what was "
		  "found is exactly the state after transaction %zu",
		  buf_str(&b), t->c->source != NULL ? "client" : "connection", t->found_state);
	buf_release(&b);
	sql_content_release(&before);
	sql_content_release(&after);
}

/* ---- all ----------------------------------------------------------------------------------- */

static void tell_rows(struct rows *r)
{
	struct telling *t = r->t;
	const struct legal *l;

	if (r->found.rc != 0)
		tell_fact(t->s, "all", "can be opened and read", r->found.failed);
	for (size_t i = 0; i < r->content.table_count; i++) {
		const struct sql_content_table *table = &r->content.tables[i];
		char *where;

		if (table->what == NULL && !table->cut)
			continue;
		where = xasprintf("%s%s", table->is_schema ? "" : "table ", table->name);
		if (table->what != NULL)
			tell_fact(t->s, where, "can be read", table->what);
		else
			tell_fact(t->s, where, "not compared: it has more rows than are read",
				  "not compared");
		free(where);
	}
	tell_broken(r);
	if (t->broken_until != 0) {
		tell_next(r);
		return;
	}
	l = choose_against(r);
	if (l == NULL || r->content.table_count == 0)
		return;
	struct differing d = {.r = r, .against = l};
	size_t before = t->s->row_count;
	sql_content_differ(&l->content, &r->content, tell_row, &d);
	if (t->s->row_count > before)
		tell_against(t, l);
}

/* ---- the child ----------------------------------------------------------------------------- */

static void child(struct telling *t, struct isolate *isolate, void *ctx)
{
	struct crashdisk *disk = ctx;
	struct rows r = {.t = t, .isolate = isolate, .rows_left = STORY_READ_ROWS_MAX};
	bool broken = false;

	observer_init(&r.observer, t->c->subject, NULL);
	read_storage(&r, crashdisk_storage(disk), t->c->state.position + 1, true, &r.content,
		     &broken);
	t->read = r.found.rc == 0 && !r.found.hung && r.found.file_count == t->h->file_count;
	if (t->read)
		t->matched = history_place(t->h, t->c->state.promise, &r.found, t->placed);
	tell_presence(t);
	tell_changes(&r);
	tell_rows(&r);
	for (size_t i = 0; i < r.legal_count; i++)
		sql_content_release(&r.legal[i].content);
	sql_content_release(&r.content);
	observation_release(&r.found);
	observer_release(&r.observer);
}

void story_tell_rows(struct telling *t, struct crashdisk *disk)
{
	struct isolate_death death = {.fate = ISOLATE_ENDED};
	struct err err = ERR_INIT;

	if (story_in_child(t, child, disk, &death, &err) != 0 || death.fate != ISOLATE_ENDED)
		*STORY_ADD(t->s, recovery, recovery) =
		    story_text("what was found could not be read row by row: %s",
			       err.code != 0 ? err.message : death.text);
}
