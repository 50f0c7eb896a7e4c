/*
 * Oracle "batch": a batch is there with all its rows, or not at all.
 *
 * Checks: for each `@batch TABLE id=COL count=COL`, from the rows alone: every row of a batch says
 * how many rows the batch has, and exactly so many are there. Needs no history, so it also serves
 * real kills. The query returns offenders only, so that a long table is checked whole; the numbers
 * are compared here once more.
 *
 * Does not check: batches of which every row is gone (history does); rows whose id is NULL; the
 * content of the rows.
 */
#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "harness/judge/oracle_internal.h"

#include <stdio.h>
#include <stdlib.h>

static const char name[] = "batch";

struct batches {
	const struct judge_batch *items; /* borrowed */
	size_t *probes;			 /* one an item; owned */
	size_t count;
};

enum { COLUMN_ID, COLUMN_ROWS, COLUMN_MIN, COLUMN_MAX, COLUMN_COUNT };

/* Columns are qualified, because SQLite takes a lone "misspelt" for a string. */
static char *batch_sql(const struct judge_config *config, const struct judge_batch *b)
{
	char *table = quote_table(config, b->table), *id = quote_name(b->id_column),
	     *count = quote_name(b->count_column);
	char *sql =
	    xasprintf("SELECT %1$s.%2$s, count(*), min(%1$s.%3$s), max(%1$s.%3$s) FROM %1$s "
		      "WHERE %1$s.%2$s IS NOT NULL GROUP BY %1$s.%2$s "
		      "HAVING min(%1$s.%3$s) IS NOT count(*) "
		      "OR max(%1$s.%3$s) IS NOT count(*) "
		      "OR count(%1$s.%3$s) IS NOT count(*)",
		      table, id, count);

	free(table);
	free(id);
	free(count);
	return sql;
}

static void *batch_create(const struct judge_config *config, struct probe_list *probes)
{
	struct batches *self;

	if (config->batch_count == 0)
		return NULL;
	self = xcalloc(1, sizeof *self);
	self->items = config->batches;
	self->count = config->batch_count;
	self->probes = xcalloc(self->count, sizeof *self->probes);
	for (size_t i = 0; i < self->count; i++) {
		char *sql = batch_sql(config, &self->items[i]);

		self->probes[i] = probe_list_add(probes, name, sql);
		free(sql);
	}
	return self;
}

static void batch_free(void *p)
{
	struct batches *self = p;

	free(self->probes);
	free(self);
}

static const char *shown(const char *cell)
{
	return cell != NULL ? cell : "NULL";
}

/* Reports the first broken batch of a table, and how many there are. */
static void judge_table(const struct judge_batch *b, const struct probe_result *r,
			struct findings *f)
{
	size_t first = 0, broken = 0;

	ASSERT(r->row_count == 0 || r->column_count == COLUMN_COUNT);
	for (size_t row = 0; row < r->row_count; row++) {
		int64_t rows, min, max;

		if (probe_cell(r, row, COLUMN_ID) == NULL)
			continue;
		if (cell_int64(probe_cell(r, row, COLUMN_ROWS), &rows) &&
		    cell_int64(probe_cell(r, row, COLUMN_MIN), &min) &&
		    cell_int64(probe_cell(r, row, COLUMN_MAX), &max) && rows == min && rows == max)
			continue;
		if (broken++ == 0)
			first = row;
	}
	if (broken == 0)
		return;
	const char *rows = shown(probe_cell(r, first, COLUMN_ROWS));
	const char *min = probe_cell(r, first, COLUMN_MIN), *max = probe_cell(r, first, COLUMN_MAX);
	char *id = cell_shown(r, first, COLUMN_ID, f->show_data);
	char more[64] = "";
	int64_t low, high;

	if (broken > 1)
		(void)snprintf(more, sizeof more, "; %s%zu batches are broken",
			       r->cut ? "more than " : "", broken);
	if (cell_int64(min, &low) && cell_int64(max, &high) && low == high)
		findings_add(f, name, GRADE_TORN, "batch %s of %s has %s of %s rows%s", id,
			     b->table, rows, min, more);
	else
		findings_add(f, name, GRADE_TORN,
			     "the %s rows of batch %s of %s do not agree on a count (%s to %s)%s",
			     rows, id, b->table, shown(min), shown(max), more);
	free(id);
}

static void batch_judge(const void *p, const struct judge *j, const struct observation *o,
			struct findings *f)
{
	const struct batches *self = p;

	for (size_t i = 0; i < self->count; i++) {
		const struct probe_result *r = &o->probes[self->probes[i]];
		enum probe_status status = judge_probe_status(j, o, self->probes[i]);

		if (status == PROBE_ANSWERED)
			judge_table(&self->items[i], r, f);
		else if (status == PROBE_FAILED)
			findings_add(f, name, GRADE_TORN,
				     "the batches of %s cannot be counted: %s (code %d)",
				     self->items[i].table, shown(r->error), r->rc);
	}
}

const struct oracle oracle_batch = {
    .info = {name, "every batch of a @batch table has as many rows as its rows say",
	     "batches of which every row is gone; rows without an id; the content of rows"},
    .create = batch_create,
    .free = batch_free,
    .judge = batch_judge,
};
