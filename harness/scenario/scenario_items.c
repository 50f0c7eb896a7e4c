/* See scenario_items.h: what scenario_text.c cuts out, by its place instead of by its content. */
#include "harness/scenario/scenario_items.h"

#include "faultinject/base/buf.h"
#include "harness/scenario/scenario_internal.h"

#include <stdlib.h>
#include <string.h>

void scenario_items_release(struct scenario_items *items)
{
	for (size_t i = 0; i < items->count; i++)
		free(items->items[i].word);
	free(items->items);
	*items = (struct scenario_items){0};
}

/* The reader stands behind `item`. */
static struct scenario_item place(const char *text, const struct text_reader *r,
				  struct text_item *item)
{
	struct scenario_item it = {.directive = item->kind == TEXT_DIRECTIVE,
				   .line = item->line,
				   .end = (size_t)(r->at - text)};

	if (it.directive) {
		it.begin = it.end;
		while (it.begin > 0 && text[it.begin - 1] != '\n')
			it.begin--;
		/* A byte order mark stands before the first. */
		while (text[it.begin] != '-')
			it.begin++;
		if (it.end > it.begin && text[it.end - 1] == '\r')
			it.end--;
		it.word = item->name;
		item->name = NULL;
	} else {
		it.begin = it.end - strlen(item->sql);
	}
	return it;
}

int scenario_items_read(const char *path, const char *text, size_t size, struct scenario_items *ret,
			struct err *err)
{
	struct scenario_items found = {0};
	struct text_reader reader;
	int rc = text_reader_init(&reader, path, text, size, err);

	for (bool end = false; rc == 0 && !end;) {
		struct text_item item = {.kind = TEXT_END};

		rc = text_reader_next(&reader, &item, err);
		end = item.kind == TEXT_END;
		if (rc == 0 && !end && found.count == SCENARIO_ITEMS_MAX)
			rc = err_set(err, ERR_LIMIT, "%s: more than %d directives and statements",
				     path, SCENARIO_ITEMS_MAX);
		if (rc == 0 && !end) {
			found.items =
			    xgrow(found.items, found.count, &found.cap, sizeof *found.items);
			found.items[found.count++] = place(text, &reader, &item);
		}
		text_item_release(&item);
	}
	if (rc != 0) {
		scenario_items_release(&found);
		return rc;
	}
	*ret = found;
	return 0;
}
