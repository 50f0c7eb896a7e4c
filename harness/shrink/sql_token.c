/* See sql_token.h. */
#include "harness/shrink/sql_token.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

static void skip_blanks(struct sql_reader *r)
{
	while (r->at < r->end) {
		const char *p = r->text + r->at;
		size_t left = r->end - r->at;

		if (isspace((unsigned char)*p)) {
			r->at++;
		} else if (left > 1 && p[0] == '-' && p[1] == '-') {
			const char *line = memchr(p, '\n', left);
			r->at = line == NULL ? r->end : (size_t)(line - r->text);
		} else if (left > 1 && p[0] == '/' && p[1] == '*') {
			const char *close = memmem(p + 2, left - 2, "*/", 2);
			r->at = close == NULL ? r->end : (size_t)(close - r->text) + 2;
		} else {
			return;
		}
	}
}

/* Behind the quoted thing that begins at `at`; a doubled quote does not end it. */
static size_t quoted_end(const struct sql_reader *r, size_t at)
{
	char close = r->text[at] == '[' ? ']' : r->text[at];

	for (at++; at < r->end; at++) {
		if (r->text[at] != close)
			continue;
		if (close != ']' && at + 1 < r->end && r->text[at + 1] == close)
			at++;
		else
			return at + 1;
	}
	return r->end;
}

static size_t word_end(const struct sql_reader *r, size_t at)
{
	while (at < r->end && is_word(r->text[at]))
		at++;
	return at;
}

/* Digits alone; 1.5, 1e9 and 0x10 are others. */
static struct sql_token number(const struct sql_reader *r)
{
	struct sql_token t = {.kind = SQL_NUMBER, .begin = r->at};
	size_t at = r->at;

	while (at < r->end && (is_word(r->text[at]) || r->text[at] == '.')) {
		if (!isdigit((unsigned char)r->text[at]))
			t.kind = SQL_OTHER;
		at++;
	}
	t.end = at;
	return t;
}

struct sql_token sql_next(struct sql_reader *r)
{
	skip_blanks(r);
	struct sql_token t = {.kind = SQL_END, .begin = r->at, .end = r->at};
	if (r->at >= r->end)
		return t;
	char c = r->text[r->at];
	char next = r->at + 1 < r->end ? r->text[r->at + 1] : '\0';

	if (isdigit((unsigned char)c) || (c == '.' && isdigit((unsigned char)next))) {
		t = number(r);
	} else if (c == '\'') {
		t.kind = SQL_STRING;
		t.end = quoted_end(r, r->at);
	} else if ((c == 'x' || c == 'X') && next == '\'') {
		t.kind = SQL_BLOB;
		t.end = quoted_end(r, r->at + 1);
	} else if (c == '"' || c == '`' || c == '[') {
		t.kind = SQL_WORD;
		t.end = quoted_end(r, r->at);
		t.name_begin = t.begin + 1;
		t.name_end = t.end - (t.end > t.begin + 1);
	} else if (is_word(c)) {
		t.kind = SQL_WORD;
		t.end = word_end(r, r->at);
		t.name_begin = t.begin;
		t.name_end = t.end;
	} else {
		bool parameter = c == '?' || c == ':' || c == '@' || c == '#';
		t.kind = SQL_OTHER;
		t.end = parameter ? word_end(r, r->at + 1) : r->at + 1;
	}
	r->at = t.end;
	return t;
}

bool sql_is(const char *text, const struct sql_token *t, const char *word)
{
	size_t size = strlen(word);

	return t->kind == SQL_WORD && t->name_end - t->name_begin == size &&
	       strncasecmp(text + t->name_begin, word, size) == 0;
}
