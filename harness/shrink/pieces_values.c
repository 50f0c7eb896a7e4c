/*
 * Pieces that are inside statements and directives: rows of VALUES, numbers, strings. See pieces.h.
 *
 * Only @setup and clients are looked into: an @invariant, or what @open does for it, says what must
 * hold, and a rule that was changed would fail everywhere.
 */
#include "faultinject/base/buf.h"
#include "harness/drive/workload.h"
#include "harness/scenario/scenario_items.h"
#include "harness/shrink/pieces.h"
#include "harness/shrink/sql_token.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS_MAX = 18 }; /* of a number that is made smaller */

/* Calls fn with each statement of @setup and of the clients. */
static void each_statement(struct piece_finder *f,
			   void (*fn)(struct piece_finder *f, const struct scenario_item *it))
{
	bool inside = false;

	for (size_t i = 0; i < f->items->count; i++) {
		const struct scenario_item *it = &f->items->items[i];

		if (it->directive && strcmp(it->word, "may-fail") != 0)
			inside = strcmp(it->word, "setup") == 0 || strcmp(it->word, "client") == 0;
		else if (!it->directive && inside)
			fn(f, it);
	}
}

/* ---- rows */

static void add_row(struct piece_finder *f, int line, size_t begin, size_t end)
{
	struct piece *p = piece_add(f, line, begin, end);
	char *row = strchr(p->what, '(');
	char *what = xasprintf("line %d: the row %s", line, row == NULL ? "" : row);

	free(p->what);
	p->what = what;
	piece_edit(p, begin, end, NULL);
}

static void find_rows(struct piece_finder *f, const struct scenario_item *it)
{
	struct sql_reader r = {f->text, it->begin, it->end};
	bool rows = false; /* in a list of rows */
	size_t depth = 0, begin = 0;

	for (struct sql_token t = sql_next(&r); t.kind != SQL_END; t = sql_next(&r)) {
		char c = t.kind == SQL_OTHER ? f->text[t.begin] : '\0';

		if (depth == 0 && sql_is(f->text, &t, "values")) {
			rows = true;
			continue;
		}
		if (c == '(' && depth++ == 0)
			begin = t.begin;
		if (c == ')' && depth > 0 && --depth == 0 && rows)
			add_row(f, it->line, begin, t.end);
		/* What follows the rows (ON CONFLICT, UNION) has lists of its own. */
		if (depth == 0 && t.kind == SQL_WORD)
			rows = false;
	}
}

void pieces_find_rows(struct piece_finder *f)
{
	each_statement(f, find_rows);
}

/* ---- numbers */

/* The number at begin..end, at least `least`, becomes a smaller one: the least, the middle, the one
 * before it. */
static void add_smaller(struct piece_finder *f, int line, size_t begin, size_t end, long long least)
{
	char digits[DIGITS_MAX + 2] = "";

	if (end - begin > DIGITS_MAX)
		return;
	memcpy(digits, f->text + begin, end - begin);
	long long n = strtoll(digits, NULL, 10);
	if (n <= least)
		return;
	const long long tries[] = {least, least + (n - least) / 2, n - 1};
	for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
		if (i > 0 && tries[i] == tries[i - 1])
			continue;
		char *what = xasprintf("with %lld in place of %lld in line %d", tries[i], n, line);
		piece_edit(piece_add_named(f, what), begin, end, xasprintf("%lld", tries[i]));
	}
}

static void find_numbers(struct piece_finder *f, const struct scenario_item *it)
{
	struct sql_reader r = {f->text, it->begin, it->end};

	for (struct sql_token t = sql_next(&r); t.kind != SQL_END; t = sql_next(&r))
		if (t.kind == SQL_NUMBER)
			add_smaller(f, it->line, t.begin, t.end, 1);
}

/* The k=v words of a directive whose v is a number: `least` says down to where, false that it is
 * left alone. */
static void find_settings(struct piece_finder *f, const struct scenario_item *it,
			  bool (*least)(const void *ctx, const char *key, size_t size,
					long long *ret),
			  const void *ctx)
{
	size_t end;

	for (size_t at = it->begin; at < it->end; at = end) {
		const char *word = f->text + at;
		size_t size = strcspn(word, " \t\r\n"), key;
		long long down_to;

		size = size > it->end - at ? it->end - at : size;
		end = at + size + strspn(word + size, " \t");
		key = strcspn(word, "= \t\r\n");
		if (key >= size || key + 1 == size || !least(ctx, word, key, &down_to))
			continue;
		if (strspn(word + key + 1, "0123456789") == size - key - 1)
			add_smaller(f, it->line, at + key + 1, at + size, down_to);
	}
}

static bool least_of_client(const void *ctx, const char *key, size_t size, long long *ret)
{
	(void)ctx;
	*ret = 1;
	return size == strlen("repeat") && strncmp(key, "repeat", size) == 0;
}

static bool least_of_workload(const void *ctx, const char *key, size_t size, long long *ret)
{
	const struct workload *w = ctx;

	for (size_t i = 0; i < w->param_count; i++) {
		const char *name = w->params[i].name;

		if (strlen(name) != size || strncmp(name, key, size) != 0)
			continue;
		*ret = w->params[i].min;
		return w->params[i].min >= 0;
	}
	return false;
}

/* The workload that a directive names, or NULL. */
static const struct workload *workload_of(const char *text, const struct scenario_item *it)
{
	const char *name = memmem(text + it->begin, it->end - it->begin, "workload", 8);
	const struct workload *w;

	name += strlen("workload");
	name += strspn(name, " \t");
	char *copy = xasprintf("%.*s", (int)strcspn(name, " \t\r\n"), name);
	w = workload_find(copy);
	free(copy);
	return w;
}

void pieces_find_settings(struct piece_finder *f)
{
	for (size_t i = 0; i < f->items->count; i++) {
		const struct scenario_item *it = &f->items->items[i];

		if (it->directive && strcmp(it->word, "client") == 0)
			find_settings(f, it, least_of_client, NULL);
		if (it->directive && strcmp(it->word, "workload") == 0 &&
		    workload_of(f->text, it) != NULL)
			find_settings(f, it, least_of_workload, workload_of(f->text, it));
	}
}

void pieces_find_numbers(struct piece_finder *f)
{
	each_statement(f, find_numbers);
}

/* ---- strings */

/* A string, or the digits of a blob, becomes a beginning of itself. */
static void find_strings(struct piece_finder *f, const struct scenario_item *it)
{
	struct sql_reader r = {f->text, it->begin, it->end};

	for (struct sql_token t = sql_next(&r); t.kind != SQL_END; t = sql_next(&r)) {
		size_t unit = t.kind == SQL_BLOB ? 2 : 1;

		if (t.kind != SQL_STRING && t.kind != SQL_BLOB)
			continue;
		size_t from = t.begin + unit, size = (t.end - from - 1) / unit;
		const size_t tries[] = {1, size / 2, size - 1};
		size_t last = 0;
		for (size_t i = 0; i < sizeof tries / sizeof tries[0] && size > 1; i++) {
			size_t keep = tries[i];

			/* Not inside a character. */
			while (keep > 0 && unit == 1 &&
			       ((unsigned char)f->text[from + keep] & 0xc0) == 0x80)
				keep--;
			if (keep == 0 || keep == last)
				continue;
			last = keep;
			char *what = xasprintf("with %zu of the %zu bytes of a value in line %d",
					       keep, size, it->line);
			piece_edit(piece_add_named(f, what), from + keep * unit, t.end - 1,
				   xstrdup(""));
		}
	}
}

void pieces_find_strings(struct piece_finder *f)
{
	each_statement(f, find_strings);
}
