/*
 * See observation.h. Ownership of what an observation and a probe list hold: every cell, every
 * error text and every statement is an allocation of its own. Does not fill observations.
 */
#include "harness/judge/observation.h"

#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>

static void probe_result_release(struct probe_result *r)
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
