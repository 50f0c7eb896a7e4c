/*
 * The story of a case for a terminal: verdict first, then what happened, what the disk kept, what
 * recovery did, what is wrong, what is missing, what would fix it, and how to see it again. What
 * comes from files (names, values, SQL) cannot reach the terminal as a control sequence.
 */
#ifndef REPORTS_STORY_TEXT_H
#define REPORTS_STORY_TEXT_H

#include "faultinject/base/buf.h"
#include "harness/case/story.h"

#include <stdbool.h>

enum {
	STORY_TEXT_WIDTH = 96, /* columns, apart from names and SQL that are longer by themselves */
	STORY_TEXT_OPS_MAX = 24,  /* operations around the crash; verbose shows all */
	STORY_TEXT_LIST_MAX = 12, /* items of other lists; verbose shows all */
};

struct story_style {
	bool color;
	bool verbose;
};

/* Appends it, with a newline at the end. */
void story_text_render(struct buf *out, const struct story *s, const struct story_style *style);

#endif
