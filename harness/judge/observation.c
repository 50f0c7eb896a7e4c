/*
 * See observation.h. Ownership of what an observation and a probe list hold: every cell, every
 * error text and every statement is an allocation of its own. Does not fill observations.
 */
#include "harness/judge/observation.h"

#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>

void probe_result_release(struct probe_result *r)
{
	for (size_t i = 0; r->cells != NULL && i < r->row_count * r->column_count; i++)
		free(r->cells[i]);
	free(r->cells);
	free(r->types);
	free(r->error);
}

void observation_release(struct observation *o)
{
	for (size_t i = 0; o->probes != NULL && i < o->probe_count; i++)
		probe_result_release(&o->probes[i]);
	free(o->probes);
	memset(o, 0, sizeof *o);
}

static char *copy_text(const char *text)
{
	return text == NULL ? NULL : xstrdup(text);
}

struct observation observation_copy(const struct observation *o)
{
	struct observation copy = *o;

	copy.probes = o->probe_count == 0 ? NULL : xcalloc(o->probe_count, sizeof *copy.probes);
	for (size_t i = 0; i < o->probe_count; i++) {
		const struct probe_result *from = &o->probes[i];
		struct probe_result *to = &copy.probes[i];
		size_t cells = from->row_count * from->column_count;

		*to = *from;
		to->error = copy_text(from->error);
		to->cells = from->cells == NULL ? NULL : xcalloc(cells, sizeof *to->cells);
		for (size_t k = 0; to->cells != NULL && k < cells; k++)
			to->cells[k] = copy_text(from->cells[k]);
		to->types = from->types == NULL ? NULL : xcalloc(cells, 1);
		if (to->types != NULL && cells > 0)
			memcpy(to->types, from->types, cells);
	}
	return copy;
}

bool observed_locked_out(int rc)
{
	/* https://www.sqlite.org/rescode.html; the rest of an extended code is detail. */
	enum { BUSY = 5, LOCKED = 6, PROTOCOL = 15 };
	int primary = rc & 0xff;

	return primary == BUSY || primary == LOCKED || primary == PROTOCOL;
}

size_t probe_list_add(struct probe_list *list, const char *oracle, const char *sql)
{
	list->items = xgrow(list->items, list->count, &list->cap, sizeof *list->items);
	list->items[list->count] = (struct probe){.oracle = oracle, .sql = xstrdup(sql)};
	return list->count++;
}

void probe_list_release(struct probe_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i].sql);
	free(list->items);
	memset(list, 0, sizeof *list);
}
