/* See pieces.h. Lists of pieces, and taking them; which there are is in pieces_text.c and
 * pieces_values.c. */
#include "harness/shrink/pieces.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "harness/scenario/scenario_items.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { WHAT_MAX = 72 }; /* bytes of a statement that stand for it */

/* In place of an item of a list until its comma is found. No text of a scenario holds it: control
 * characters in strings and comments are possible, so the byte is one that UTF-8 never has. */
#define GONE '\xff'

bool piece_kind_together(enum piece_kind kind)
{
	static const bool together[] = {
#define X(name, value) [name] = (value),
	    PIECE_KINDS(X)
#undef X
	};

	return together[kind];
}

/* ---- lists */

static void piece_release(struct piece *p)
{
	for (size_t i = 0; i < p->edit_count; i++)
		free(p->edits[i].text);
	free(p->edits);
	free(p->what);
}

void pieces_release(struct pieces *p)
{
	for (size_t i = 0; i < p->count; i++)
		piece_release(&p->items[i]);
	free(p->items);
	*p = (struct pieces){0};
}

struct piece *piece_add_named(struct piece_finder *f, char *what)
{
	struct pieces *p = f->found;

	p->items = xgrow(p->items, p->count, &p->cap, sizeof *p->items);
	p->items[p->count] = (struct piece){.what = what};
	return &p->items[p->count++];
}

/* One line of begin..end, blanks run together. */
static char *gist(const char *text, size_t begin, size_t end)
{
	struct buf b = {0};
	bool blank = false, cut = false;

	for (size_t i = begin; i < end && !cut; i++) {
		unsigned char c = (unsigned char)text[i];

		if (isspace(c) || c < 0x20 || c == 0x7f) {
			blank = b.size > 0;
			continue;
		}
		/* Not inside a character. */
		cut = b.size >= WHAT_MAX && (c & 0xc0) != 0x80;
		if (cut)
			break;
		if (blank)
			buf_append(&b, " ", 1);
		blank = false;
		buf_append(&b, &text[i], 1);
	}
	if (cut)
		buf_append(&b, " ...", 4);
	else if (b.size > 1 && b.data[b.size - 1] == ';')
		b.size--;
	(void)buf_str(&b);
	return (char *)b.data;
}

struct piece *piece_add(struct piece_finder *f, int line, size_t begin, size_t end)
{
	char *text = gist(f->text, begin, end);
	struct piece *p = piece_add_named(f, xasprintf("line %d: %s", line, text));

	free(text);
	return p;
}

void piece_edit(struct piece *p, size_t begin, size_t end, char *text)
{
	ASSERT(begin <= end);
	ASSERT(p->edit_count == 0 || p->edits[p->edit_count - 1].end <= begin);
	p->edits = xgrow(p->edits, p->edit_count, &p->edit_cap, sizeof *p->edits);
	p->edits[p->edit_count++] = (struct piece_edit){begin, end, text};
}

int pieces_find(const char *text, enum piece_kind kind, struct pieces *ret, struct err *err)
{
	static void (*const finders[])(struct piece_finder *) = {
	    [PIECE_SETTINGS] = pieces_find_settings,
	    [PIECE_SECTIONS] = pieces_find_sections,
	    [PIECE_TRANSACTIONS] = pieces_find_transactions,
	    [PIECE_STATEMENTS] = pieces_find_statements,
	    [PIECE_NAMES] = pieces_find_names,
	    [PIECE_BRACKETS] = pieces_find_brackets,
	    [PIECE_WORDS] = pieces_find_words,
	    [PIECE_ROWS] = pieces_find_rows,
	    [PIECE_NUMBERS] = pieces_find_numbers,
	    [PIECE_STRINGS] = pieces_find_strings,
	};
	struct scenario_items items = {0};
	struct pieces found = {0};
	struct piece_finder f = {text, &items, &found};
	int rc = scenario_items_read("scenario", text, strlen(text), &items, err);

	if (rc == 0)
		finders[kind](&f);
	if (rc == 0 && found.count > PIECES_MAX)
		rc = err_set(err, ERR_LIMIT, "more than %d pieces of one kind", PIECES_MAX);
	scenario_items_release(&items);
	if (rc != 0) {
		pieces_release(&found);
		return rc;
	}
	*ret = found;
	return 0;
}

/* ---- taking */

struct edit_at {
	const struct piece_edit *edit;
	size_t order;
};

static int compare_edits(const void *a, const void *b)
{
	const struct edit_at *x = a, *y = b;

	if (x->edit->begin != y->edit->begin)
		return x->edit->begin < y->edit->begin ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* Takes each mark away with the comma behind it, or with the one before it. */
static void drop_marks(struct buf *b)
{
	struct buf out = {0};

	for (size_t i = 0; i < b->size; i++) {
		size_t after = i + 1;

		if (b->data[i] != (uint8_t)GONE) {
			buf_append(&out, &b->data[i], 1);
			continue;
		}
		while (after < b->size && isspace(b->data[after]))
			after++;
		if (after < b->size && b->data[after] == ',') {
			while (after + 1 < b->size && isspace(b->data[after + 1]))
				after++;
			i = after;
			continue;
		}
		size_t before = out.size;
		while (before > 0 && isspace(out.data[before - 1]))
			before--;
		if (before > 0 && out.data[before - 1] == ',')
			out.size = before - 1;
	}
	buf_release(b);
	*b = out;
}

bool piece_opens_section(const char *word)
{
	static const char *const words[] = {"open", "setup", "client", "invariant"};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcmp(words[i], word) == 0)
			return true;
	return false;
}

/* A directive that says nothing any more. */
static bool is_empty(const char *text, const struct scenario_items *items, size_t i)
{
	const struct scenario_item *it = &items->items[i];

	if (!it->directive)
		return false;
	if (piece_opens_section(it->word)) {
		for (i++; i < items->count; i++) {
			if (!items->items[i].directive)
				return false;
			if (strcmp(items->items[i].word, "may-fail") != 0)
				return true;
		}
		return true;
	}
	if (strcmp(it->word, "pragma") != 0)
		return false;
	const char *word = memmem(text + it->begin, it->end - it->begin, "pragma", 6);
	for (const char *p = word + 6; p < text + it->end; p++)
		if (!isspace((unsigned char)*p))
			return false;
	return true;
}

char *pieces_tidy(const char *text)
{
	struct scenario_items items = {0};
	struct err ignored = ERR_INIT;
	struct buf b = {0};

	/* What cannot be cut is no scenario, and whoever parses it says so. */
	if (scenario_items_read("scenario", text, strlen(text), &items, &ignored) != 0)
		return xstrdup(text);
	for (size_t i = 0; i < items.count; i++) {
		const struct scenario_item *it = &items.items[i];

		if (is_empty(text, &items, i))
			continue;
		buf_append(&b, text + it->begin, it->end - it->begin);
		buf_append(&b, "\n", 1);
	}
	scenario_items_release(&items);
	(void)buf_str(&b);
	return (char *)b.data;
}

char *pieces_apply(const char *text, const struct pieces *p, const bool *taken)
{
	struct edit_at *edits;
	size_t count = 0, at = 0;
	struct buf b = {0};

	for (size_t i = 0; i < p->count; i++)
		count += taken[i] ? p->items[i].edit_count : 0;
	edits = xcalloc(count + 1, sizeof *edits);
	count = 0;
	for (size_t i = 0; i < p->count; i++)
		for (size_t k = 0; taken[i] && k < p->items[i].edit_count; k++, count++)
			edits[count] = (struct edit_at){&p->items[i].edits[k], count};
	qsort(edits, count, sizeof *edits, compare_edits);
	for (size_t i = 0; i < count; i++) {
		const struct piece_edit *e = edits[i].edit;

		/* What stands in another one that goes is gone. */
		if (e->end <= at && e->end > e->begin)
			continue;
		if (e->begin > at)
			buf_append(&b, text + at, e->begin - at);
		if (e->text != NULL)
			buf_append(&b, e->text, strlen(e->text));
		else
			buf_put_u8(&b, (uint8_t)GONE);
		at = e->end;
	}
	buf_append(&b, text + at, strlen(text + at));
	free(edits);
	drop_marks(&b);
	char *tidy = pieces_tidy(buf_str(&b));
	buf_release(&b);
	return tidy;
}
