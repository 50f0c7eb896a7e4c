/*
 * Pieces that are whole directives and statements: sections, transactions, statements, brackets,
 * all that names one thing, words of directives. See pieces.h.
 */
#include "faultinject/base/buf.h"
#include "harness/scenario/scenario_items.h"
#include "harness/shrink/pieces.h"
#include "harness/shrink/sql_token.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_word(const struct scenario_item *it, const char *word)
{
	return it->directive && strcmp(it->word, word) == 0;
}

/* Behind the last item of the section that item i begins. */
static size_t section_end(const struct scenario_items *items, size_t i)
{
	for (i++; i < items->count; i++)
		if (items->items[i].directive && !is_word(&items->items[i], "may-fail"))
			break;
	return i;
}

static void take_item(struct piece_finder *f, struct piece *p, size_t i)
{
	const struct scenario_item *it = &f->items->items[i];

	piece_edit(p, it->begin, it->end, xstrdup(""));
}

void pieces_find_sections(struct piece_finder *f)
{
	/* The first line; what a scenario cannot do without; the disk (S3). */
	static const char *const kept[] = {"scenario", "workload", "models",  "define-model",
					   "matrix",   "pragma",   "may-fail"};
	const struct scenario_items *items = f->items;

	for (size_t i = 0; i < items->count; i++) {
		const struct scenario_item *it = &items->items[i];
		bool keep = !it->directive;

		for (size_t k = 0; k < sizeof kept / sizeof kept[0]; k++)
			keep = keep || is_word(it, kept[k]);
		if (keep)
			continue;
		struct piece *p = piece_add(f, it->line, it->begin, it->end);
		size_t end = piece_opens_section(it->word) ? section_end(items, i) : i + 1;
		for (size_t k = i; k < end; k++)
			take_item(f, p, k);
	}
}

/* ---- transactions */

enum { BRACKET_WORDS = 3 };

/* The first words of a statement, and its last one. */
struct opening {
	struct sql_token words[BRACKET_WORDS], last;
	size_t count;
	bool to; /* it has the word TO */
};

static struct opening read_opening(const char *text, const struct scenario_item *it)
{
	struct sql_reader r = {text, it->begin, it->end};
	struct opening o = {0};

	for (struct sql_token t = sql_next(&r); t.kind != SQL_END; t = sql_next(&r)) {
		if (o.count < BRACKET_WORDS)
			o.words[o.count++] = t;
		o.to = o.to || sql_is(text, &t, "to");
		if (t.kind == SQL_WORD)
			o.last = t;
	}
	return o;
}

static bool same_name(const char *text, const struct sql_token *a, const struct sql_token *b)
{
	size_t n = a->name_end - a->name_begin;

	return n == b->name_end - b->name_begin &&
	       strncasecmp(text + a->name_begin, text + b->name_begin, n) == 0;
}

/* Does item i begin a transaction, or a savepoint? */
static bool begins(const char *text, const struct scenario_item *it, struct opening *ret)
{
	if (it->directive)
		return false;
	*ret = read_opening(text, it);
	return ret->count > 0 &&
	       (sql_is(text, &ret->words[0], "begin") || sql_is(text, &ret->words[0], "savepoint"));
}

static bool ends(const char *text, const struct scenario_item *it, const struct opening *opening)
{
	struct opening o;

	if (it->directive)
		return false;
	o = read_opening(text, it);
	if (o.count == 0)
		return false;
	if (sql_is(text, &opening->words[0], "savepoint"))
		return sql_is(text, &o.words[0], "release") &&
		       same_name(text, &o.last, &opening->last);
	return sql_is(text, &o.words[0], "commit") || sql_is(text, &o.words[0], "end") ||
	       (sql_is(text, &o.words[0], "rollback") && !o.to);
}

/* The item that ends what item i begins, or 0: i begins nothing that ends in its section. */
static size_t bracket_end(const struct piece_finder *f, size_t i)
{
	const struct scenario_items *items = f->items;
	struct opening opening;

	if (!begins(f->text, &items->items[i], &opening))
		return 0;
	for (size_t k = i + 1; k < items->count; k++) {
		if (items->items[k].directive && !is_word(&items->items[k], "may-fail"))
			return 0;
		if (ends(f->text, &items->items[k], &opening))
			return k;
	}
	return 0;
}

/* The first of the @may-fail lines before item i, or i. */
static size_t with_may_fail(const struct scenario_items *items, size_t i)
{
	while (i > 0 && is_word(&items->items[i - 1], "may-fail"))
		i--;
	return i;
}

void pieces_find_transactions(struct piece_finder *f)
{
	const struct scenario_items *items = f->items;

	for (size_t i = 0; i < items->count; i++) {
		size_t end = bracket_end(f, i);

		if (end == 0)
			continue;
		char *what = xasprintf("lines %d to %d, a whole transaction", items->items[i].line,
				       items->items[end].line);
		struct piece *p = piece_add_named(f, what);
		for (size_t k = with_may_fail(items, i); k <= end; k++)
			take_item(f, p, k);
		i = end;
	}
}

/* Marks what begins and ends transactions and savepoints. */
static bool *find_brackets(const struct piece_finder *f)
{
	bool *bracket = xcalloc(f->items->count + 1, sizeof *bracket);

	for (size_t i = 0; i < f->items->count; i++) {
		size_t end = bracket_end(f, i);

		if (end != 0)
			bracket[i] = bracket[end] = true;
	}
	return bracket;
}

void pieces_find_statements(struct piece_finder *f)
{
	const struct scenario_items *items = f->items;
	bool *bracket = find_brackets(f), query = false;

	for (size_t i = 0; i < items->count; i++) {
		const struct scenario_item *it = &items->items[i];

		if (it->directive)
			query = !is_word(it, "may-fail") ? is_word(it, "invariant") : query;
		/* The query of an @invariant goes with it. */
		if (it->directive || bracket[i] || query)
			continue;
		struct piece *p = piece_add(f, it->line, it->begin, it->end);
		for (size_t k = with_may_fail(items, i); k <= i; k++)
			take_item(f, p, k);
	}
	free(bracket);
}

void pieces_find_brackets(struct piece_finder *f)
{
	const struct scenario_items *items = f->items;

	for (size_t i = 0; i < items->count; i++) {
		size_t end = bracket_end(f, i);

		if (end != 0) {
			char *what =
			    xasprintf("lines %d and %d: the transaction around what is between",
				      items->items[i].line, items->items[end].line);
			struct piece *p = piece_add_named(f, what);
			take_item(f, p, i);
			take_item(f, p, end);
		} else if (is_word(&items->items[i], "may-fail")) {
			const struct scenario_item *it = &items->items[i];
			take_item(f, piece_add(f, it->line, it->begin, it->end), i);
		}
	}
}

/* ---- names */

/* The name that a CREATE statement makes; false: it is none. */
static bool created_name(const char *text, const struct scenario_item *it, struct sql_token *ret)
{
	static const char *const things[] = {"table", "index", "view", "trigger"};
	struct sql_reader r = {text, it->begin, it->end};
	struct sql_token t = sql_next(&r);
	bool thing = false;

	if (!sql_is(text, &t, "create"))
		return false;
	for (int words = 0; words < 4 && !thing; words++) {
		t = sql_next(&r);
		for (size_t i = 0; i < sizeof things / sizeof things[0]; i++)
			thing = thing || sql_is(text, &t, things[i]);
	}
	t = sql_next(&r);
	if (sql_is(text, &t, "if")) {
		(void)sql_next(&r); /* NOT EXISTS */
		(void)sql_next(&r);
		t = sql_next(&r);
	}
	*ret = t;
	t = sql_next(&r);
	if (t.kind == SQL_OTHER && text[t.begin] == '.')
		*ret = sql_next(&r);
	return thing && ret->kind == SQL_WORD;
}

static bool mentions(const char *text, const struct scenario_item *it, const struct sql_token *name)
{
	struct sql_reader r = {text, it->begin, it->end};

	for (struct sql_token t = sql_next(&r); t.kind != SQL_END; t = sql_next(&r))
		if (t.kind == SQL_WORD && same_name(text, &t, name))
			return true;
	return false;
}

/* A directive is one comment to SQL: its words are behind the "--". */
static bool directive_mentions(const char *text, const struct scenario_item *it,
			       const struct sql_token *name)
{
	struct scenario_item words = *it;

	words.begin += 2;
	return mentions(text, &words, name);
}

/* Everything that mentions the name. */
static void take_mentions(struct piece_finder *f, struct piece *p, const struct sql_token *name)
{
	const struct scenario_items *items = f->items;

	for (size_t i = 0; i < items->count; i++) {
		const struct scenario_item *it = &items->items[i];

		if (is_word(it, "batch") || is_word(it, "order")) {
			if (directive_mentions(f->text, it, name))
				take_item(f, p, i);
		} else if (is_word(it, "invariant") && i + 1 < items->count) {
			if (mentions(f->text, &items->items[i + 1], name)) {
				take_item(f, p, i);
				take_item(f, p, i + 1);
			}
			i++;
		} else if (!it->directive && mentions(f->text, it, name)) {
			take_item(f, p, i);
		}
	}
}

void pieces_find_names(struct piece_finder *f)
{
	for (size_t i = 0; i < f->items->count; i++) {
		struct sql_token name;

		if (f->items->items[i].directive ||
		    !created_name(f->text, &f->items->items[i], &name))
			continue;
		char *what =
		    xasprintf("everything that names %.*s", (int)(name.name_end - name.name_begin),
			      f->text + name.name_begin);
		take_mentions(f, piece_add_named(f, what), &name);
	}
}

/* ---- words of directives */

/* What says which failure it is (S3), and what numbers are made smaller in (pieces_values.c). */
static bool word_stays(const char *word, size_t size)
{
	static const char *const kept[] = {
	    "journal_mode=", "synchronous=", "fullfsync=", "checkpoint_fullfsync=", "repeat="};

	for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
		if (size > strlen(kept[i]) && strncmp(word, kept[i], strlen(kept[i])) == 0)
			return true;
	return memchr(word, '=', size) == NULL;
}

void pieces_find_words(struct piece_finder *f)
{
	static const char *const directives[] = {"pragma", "client", "setup"};
	const struct scenario_items *items = f->items;

	for (size_t i = 0; i < items->count; i++) {
		const struct scenario_item *it = &items->items[i];
		bool has_words = false;

		for (size_t k = 0; k < sizeof directives / sizeof directives[0]; k++)
			has_words = has_words || is_word(it, directives[k]);
		for (size_t at = it->begin; has_words && at < it->end;) {
			size_t begin = at;
			size_t size = strcspn(f->text + at, " \t\r\n");

			if (size > it->end - at)
				size = it->end - at;
			at += size + strspn(f->text + at + size, " \t");
			/* Quoted ones may hold blanks: they are left alone. */
			if (word_stays(f->text + begin, size) ||
			    memchr(f->text + begin, '"', size) != NULL)
				continue;
			char *what =
			    xasprintf("line %d: %.*s", it->line, (int)size, f->text + begin);
			/* With the blank before it. */
			piece_edit(piece_add_named(f, what), begin - 1, begin + size, xstrdup(""));
		}
	}
}
