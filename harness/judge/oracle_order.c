/*
 * Oracle "order": a sequence has no hole.
 *
 * Checks: for each `@order TABLE COL`, that the integers in the column are those from the smallest
 * to the largest, without a gap: a later row must not survive an earlier one. Distinct values are
 * counted, so that a value that stands twice does not hide a gap.
 *
 * Does not check: how much is missing at the end (history does); values that stand twice; rows
 * whose value is NULL.
 */
#include "faultinject/base/buf.h"
#include "harness/judge/oracle_internal.h"

#include <stdlib.h>

static const char name[] = "order";

struct orders {
	const struct judge_order *items; /* borrowed */
	size_t *probes;			 /* one an item; owned */
	size_t count;
};

enum { COLUMN_VALUES, COLUMN_MIN, COLUMN_MAX, COLUMN_COUNT };

/* Columns are qualified, because SQLite takes a lone "misspelt" for a string. */
static char *order_sql(const struct judge_config *config, const struct judge_order *order)
{
	char *table = quote_table(config, order->table), *column = quote_name(order->column);
	char *sql =
	    xasprintf("SELECT count(DISTINCT %1$s.%2$s), min(%1$s.%2$s), max(%1$s.%2$s) FROM %1$s",
		      table, column);

	free(table);
	free(column);
	return sql;
}

static void *order_create(const struct judge_config *config, struct probe_list *probes)
{
	struct orders *self;

	if (config->order_count == 0)
		return NULL;
	self = xcalloc(1, sizeof *self);
	self->items = config->orders;
	self->count = config->order_count;
	self->probes = xcalloc(self->count, sizeof *self->probes);
	for (size_t i = 0; i < self->count; i++) {
		char *sql = order_sql(config, &self->items[i]);

		self->probes[i] = probe_list_add(probes, name, sql);
		free(sql);
	}
	return self;
}

static void order_free(void *p)
{
	struct orders *self = p;

	free(self->probes);
	free(self);
}

static void judge_column(const struct judge_order *order, const struct probe_result *r,
			 struct findings *f)
{
	const char *count_cell, *min_cell, *max_cell;
	int64_t count, min, max;

	if (r->row_count != 1 || r->column_count != COLUMN_COUNT) {
		findings_add(f, name, GRADE_TORN, "%s.%s cannot be counted: no answer",
			     order->table, order->column);
		return;
	}
	count_cell = probe_cell(r, 0, COLUMN_VALUES);
	min_cell = probe_cell(r, 0, COLUMN_MIN);
	max_cell = probe_cell(r, 0, COLUMN_MAX);
	if (cell_int64(count_cell, &count) && count == 0)
		return;
	if (!cell_int64(count_cell, &count) || !cell_int64(min_cell, &min) ||
	    !cell_int64(max_cell, &max)) {
		char *low = cell_shown(r, 0, COLUMN_MIN, f->show_data);
		char *high = cell_shown(r, 0, COLUMN_MAX, f->show_data);
		findings_add(f, name, GRADE_TORN, "%s.%s is no sequence of integers: %s to %s",
			     order->table, order->column, low, high);
		free(low);
		free(high);
		return;
	}
	/* Unsigned, because the span of two 64-bit integers may not fit a signed one. */
	if ((uint64_t)max - (uint64_t)min != (uint64_t)count - 1)
		findings_add(f, name, GRADE_TORN,
			     "a hole in %s.%s: %lld values where %llu should be", order->table,
			     order->column, (long long)count,
			     (unsigned long long)max - (unsigned long long)min + 1);
}

static void order_judge(const void *p, const struct judge *j, const struct observation *o,
			struct findings *f)
{
	const struct orders *self = p;

	for (size_t i = 0; i < self->count; i++) {
		const struct probe_result *r = &o->probes[self->probes[i]];
		enum probe_status status = judge_probe_status(j, o, self->probes[i]);

		if (status == PROBE_ANSWERED)
			judge_column(&self->items[i], r, f);
		else if (status == PROBE_FAILED)
			findings_add(f, name, GRADE_TORN, "%s.%s cannot be counted: %s (code %d)",
				     self->items[i].table, self->items[i].column,
				     r->error != NULL ? r->error : "unknown error", r->rc);
	}
}

const struct oracle oracle_order = {
    .info = {name, "the integers of an @order column have no gap",
	     "how much is missing at the end; values that stand twice"},
    .create = order_create,
    .free = order_free,
    .judge = order_judge,
};
