/*
 * Where the parts of a scenario's text stand: its directives and its statements as ranges of bytes,
 * in the order of the file, for those who take a scenario apart and put it together again.
 *
 * What lies between them (blank lines, comments) belongs to none. What a directive means is not
 * looked at: scenario_parse() does that.
 */
#ifndef SCENARIO_SCENARIO_ITEMS_H
#define SCENARIO_SCENARIO_ITEMS_H

#include "faultinject/base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum { SCENARIO_ITEMS_MAX = 1 << 20 };

struct scenario_item {
	bool directive;
	char *word; /* owned: of a directive, without '@'; NULL of a statement */
	/* Bytes of the text: a directive from its "--" to the end of its line, without that; a
	 * statement from its first token to its ';'. */
	size_t begin, end;
	int line; /* 1-based */
};

struct scenario_items {
	struct scenario_item *items; /* owned */
	size_t count, cap;
};

/* ERR_INPUT with "path:line: ..." for what is no text, or cannot be cut; ERR_LIMIT above
 * SCENARIO_ITEMS_MAX. The caller releases *ret. */
int scenario_items_read(const char *path, const char *text, size_t size, struct scenario_items *ret,
			struct err *err);
void scenario_items_release(struct scenario_items *items); /* accepts a zeroed one */

#endif
