/*
 * Cuts the text of a scenario into directives and SQL statements.
 *
 * Where a statement ends is SQLite's decision (sqlite3_complete()), because only it knows that the
 * semicolons inside a CREATE TRIGGER end nothing. This file walks over the same tokens so that it
 * knows where comments and strings are: a '-- @' inside a string or a block comment is no
 * directive, and one inside a statement is an error, never silently a comment. A walk that asked
 * SQLite at every semicolon would be quadratic, so it asks only where the answer can be yes: at the
 * first semicolon of a statement and at each END that stands between two semicolons.
 *
 *   outside --token--> statement --';' and complete--> outside
 *   outside --'-- @' in column 1--> directive (the rest of that line)
 *
 * Statements keep their bytes, CRLF included; directives lose the CR at their end. Nothing here
 * knows what a directive means.
 */
#include "harness/scenario/scenario_internal.h"

#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>

/* ---- characters ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_space(char c)
{
	return is_blank(c) || c == '\n' || c == '\r' || c == '\f';
}

/* What SQLite takes for part of a word (IdChar in its tokenizer). */
static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

size_t text_utf8_valid(const char *text, size_t size)
{
	const unsigned char *b = (const unsigned char *)text;

	for (size_t i = 0; i < size;) {
		size_t more;
		uint32_t code, least;

		if (b[i] < 0x80) {
			i++;
			continue;
		}
		if (b[i] >= 0xc2 && b[i] <= 0xdf) {
			more = 1;
			code = b[i] & 0x1fU;
			least = 0x80;
		} else if (b[i] >= 0xe0 && b[i] <= 0xef) {
			more = 2;
			code = b[i] & 0x0fU;
			least = 0x800;
		} else if (b[i] >= 0xf0 && b[i] <= 0xf4) {
			more = 3;
			code = b[i] & 0x07U;
			least = 0x10000;
		} else {
			return i;
		}
		if (size - i <= more)
			return i;
		for (size_t k = 1; k <= more; k++) {
			if ((b[i + k] & 0xc0) != 0x80)
				return i;
			code = code << 6 | (b[i + k] & 0x3fU);
		}
		if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
			return i;
		i += more + 1;
	}
	return size;
}

bool text_printable(const char *text)
{
	size_t size = strlen(text);

	for (size_t i = 0; i < size; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	}
	return text_utf8_valid(text, size) == size;
}

void text_repair(char *text)
{
	size_t size = strlen(text), at;

	while ((at = text_utf8_valid(text, size)) < size)
		text[at] = '?';
}

int text_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret_number)
{
	uint64_t n = 0;

	if (text[0] == '\0')
		return -1;
	for (const char *p = text; *p != '\0'; p++) {
		if (*p < '0' || *p > '9' || n > UINT64_MAX / 10 - 1)
			return -1;
		n = n * 10 + (uint64_t)(*p - '0');
	}
	if (n < min || n > max)
		return -1;
	*ret_number = n;
	return 0;
}

/* ---- suggestions ---- */

enum { SUGGEST_SIZE_MAX = 32, SUGGEST_DISTANCE_MAX = 2 };

/* Levenshtein distance of two short words. */
static size_t edit_distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
	size_t row[SUGGEST_SIZE_MAX + 1];

	for (size_t j = 0; j <= b_size; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_size; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_size; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[b_size];
}

const char *text_suggest(const char *word, const char *const *names, size_t count)
{
	const char *nearest = NULL;
	size_t word_size = strlen(word), nearest_distance = SUGGEST_DISTANCE_MAX + 1;

	if (word_size > SUGGEST_SIZE_MAX)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t size = strlen(names[i]);
		size_t distance;

		if (size > SUGGEST_SIZE_MAX)
			continue;
		distance = edit_distance(word, word_size, names[i], size);
		/* A name of which no letter is left would be a suggestion for anything. */
		if (distance < nearest_distance && distance < size) {
			nearest = names[i];
			nearest_distance = distance;
		}
	}
	return nearest;
}

/* ---- words of a directive ---- */

static void word_free(struct buf *text, struct buf *quoted)
{
	buf_release(text);
	buf_release(quoted);
}

int text_words(const char *rest, struct text_word **ret_words, size_t *ret_count)
{
	struct text_word *words = NULL;
	size_t count = 0, cap = 0;
	const char *p = rest;

	for (;;) {
		struct buf text, quoted;
		bool inside = false;

		while (is_blank(*p))
			p++;
		if (*p == '\0')
			break;
		buf_init(&text);
		buf_init(&quoted);
		for (; *p != '\0' && (inside || !is_blank(*p)); p++) {
			if (*p == '"' && inside && p[1] == '"') {
				p++;
			} else if (*p == '"') {
				inside = !inside;
				continue;
			}
			buf_append(&text, p, 1);
			buf_append(&quoted, inside ? "1" : "0", 1);
		}
		if (inside) {
			word_free(&text, &quoted);
			text_words_free(words, count);
			return -1;
		}
		words = xgrow(words, count, &cap, sizeof *words);
		words[count].text = xstrdup(buf_str(&text));
		words[count].quoted = xstrdup(buf_str(&quoted));
		count++;
		word_free(&text, &quoted);
	}
	*ret_words = words;
	*ret_count = count;
	return 0;
}

void text_words_free(struct text_word *words, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(words[i].text);
		free(words[i].quoted);
	}
	free(words);
}

/* ---- the reader ---- */

static int line_of(const char *text, size_t offset)
{
	int line = 1;

	for (size_t i = 0; i < offset; i++)
		line += text[i] == '\n';
	return line;
}

int text_reader_init(struct text_reader *r, const char *path, const char *text, size_t size,
		     struct err *err)
{
	static const char mark[] = {(char)0xef, (char)0xbb, (char)0xbf};
	const char *nul = size == 0 ? NULL : memchr(text, 0, size);
	size_t valid;

	if (size > SCENARIO_FILE_SIZE_MAX)
		return err_set(err, ERR_INPUT, "%s: larger than %d bytes", path,
			       SCENARIO_FILE_SIZE_MAX);
	if (nul != NULL)
		return err_set(err, ERR_INPUT, "%s:%d: not a text file (it holds a NUL byte)", path,
			       line_of(text, (size_t)(nul - text)));
	valid = text_utf8_valid(text, size);
	if (valid < size)
		return err_set(err, ERR_INPUT, "%s:%d: not UTF-8 text", path, line_of(text, valid));
	if (size >= sizeof mark && memcmp(text, mark, sizeof mark) == 0) {
		text += sizeof mark;
		size -= sizeof mark;
	}
	if (size == 0)
		return err_set(err, ERR_INPUT, "%s:1: the file is empty", path);
	*r = (struct text_reader){
	    .path = path, .begin = text, .at = text, .end = text + size, .line = 1};
	return 0;
}

void text_item_release(struct text_item *item)
{
	free(item->name);
	free(item->rest);
	free(item->sql);
	memset(item, 0, sizeof *item);
}

static char *copy_range(const char *from, const char *to)
{
	size_t size = (size_t)(to - from);
	char *copy = xmalloc(size + 1);

	memcpy(copy, from, size);
	copy[size] = '\0';
	return copy;
}

/* The byte at `offset` from here; 0 behind the end (the text itself holds no NUL). */
static char peek(const struct text_reader *r, size_t offset)
{
	return (size_t)(r->end - r->at) > offset ? r->at[offset] : '\0';
}

static void advance(struct text_reader *r, size_t size)
{
	for (; size > 0 && r->at < r->end; size--, r->at++)
		r->line += *r->at == '\n';
}

static const char *line_end(const struct text_reader *r)
{
	const char *end = memchr(r->at, '\n', (size_t)(r->end - r->at));

	return end == NULL ? r->end : end;
}

/* At '--': the text of the directive behind '@', or NULL for an ordinary comment. */
static const char *directive_here(const struct text_reader *r)
{
	const char *p = r->at + 2;

	while (p < r->end && is_blank(*p))
		p++;
	return p < r->end && *p == '@' ? p + 1 : NULL;
}

/* Control characters end a word too: they must not reach a message. */
static const char *word_end(const char *p, const char *end)
{
	while (p < end && (unsigned char)*p > ' ' && *p != 0x7f)
		p++;
	return p;
}

static bool directive_known(const char *word, size_t size)
{
#define X(id, name, once)                                                                          \
	if (size == sizeof(name) - 1 && memcmp(word, name, size) == 0)                             \
		return true;
	SCENARIO_DIRECTIVES(X)
#undef X
	return false;
}

enum comment_kind { COMMENT_ORDINARY, COMMENT_DIRECTIVE, COMMENT_MISPLACED };

/* At '--'. A directive behind other text of its line is misplaced; but a mere '@' in a comment
 * there is none, unless its word is the name of a directive or nothing but blanks is before it. */
static enum comment_kind comment_classify(const struct text_reader *r)
{
	const char *word = directive_here(r);
	const char *before = r->at;

	if (word == NULL)
		return COMMENT_ORDINARY;
	if (before == r->begin || before[-1] == '\n')
		return COMMENT_DIRECTIVE;
	while (before > r->begin && is_blank(before[-1]))
		before--;
	if (before == r->begin || before[-1] == '\n' ||
	    directive_known(word, (size_t)(word_end(word, r->end) - word)))
		return COMMENT_MISPLACED;
	return COMMENT_ORDINARY;
}

static int fail_misplaced(const struct text_reader *r, struct err *err)
{
	const char *word = directive_here(r);
	int size = (int)(word_end(word, r->end) - word);

	return err_set(err, ERR_INPUT, "%s:%d: '@%.*s' must stand at the start of its line",
		       r->path, r->line, size > 40 ? 40 : size, word);
}

/* Skips a quoted token or a block comment; false when it is never closed. */
static bool skip_until(struct text_reader *r, size_t opening_size, const char *closing)
{
	size_t size = strlen(closing);

	advance(r, opening_size);
	while (r->at < r->end) {
		if ((size_t)(r->end - r->at) >= size && memcmp(r->at, closing, size) == 0) {
			advance(r, size);
			return true;
		}
		advance(r, 1);
	}
	return false;
}

/* At '"', '\'', '`' or '['; a doubled quote reads as two strings side by side, which ends at the
 * same place. */
static bool skip_quoted(struct text_reader *r)
{
	char closing[2] = {*r->at == '[' ? ']' : *r->at, '\0'};

	return skip_until(r, 1, closing);
}

static int read_statement(struct text_reader *r, struct text_item *ret_item, struct err *err)
{
	const char *start = r->at;
	int start_line = r->line;
	bool seen_semicolon = false;	 /* in this statement, so it is a trigger's body */
	bool end_may_follow = false;	 /* the last token was ';' */
	bool semicolon_may_close = true; /* the last tokens were ';' END, or no ';' was seen */

	while (r->at < r->end) {
		char c = *r->at;

		if (is_space(c)) {
			advance(r, 1);
			continue;
		}
		if (c == '-' && peek(r, 1) == '-') {
			enum comment_kind kind = comment_classify(r);
			const char *word = directive_here(r);

			if (kind == COMMENT_ORDINARY) {
				advance(r, (size_t)(line_end(r) - r->at));
				continue;
			}
			int size = (int)(word_end(word, r->end) - word);
			return err_set(err, ERR_INPUT,
				       "%s:%d: incomplete statement: no ';' that ends it before "
				       "'@%.*s' in line %d",
				       r->path, start_line, size > 40 ? 40 : size, word, r->line);
		}
		if (c == '/' && peek(r, 1) == '*') {
			int line = r->line;

			if (!skip_until(r, 2, "*/"))
				return err_set(err, ERR_INPUT,
					       "%s:%d: incomplete statement: the comment in line "
					       "%d is never closed",
					       r->path, start_line, line);
			continue;
		}
		if (c == '\'' || c == '"' || c == '`' || c == '[') {
			int line = r->line;

			if (!skip_quoted(r))
				return err_set(err, ERR_INPUT,
					       "%s:%d: incomplete statement: the %c in line %d is "
					       "never closed",
					       r->path, start_line, c, line);
			end_may_follow = false;
			semicolon_may_close = !seen_semicolon;
			continue;
		}
		if (c == ';') {
			advance(r, 1);
			if (semicolon_may_close) {
				char *sql = copy_range(start, r->at);

				if (scenario_statement_complete(sql)) {
					*ret_item = (struct text_item){
					    .kind = TEXT_STATEMENT, .line = start_line, .sql = sql};
					return 0;
				}
				free(sql);
			}
			seen_semicolon = true;
			end_may_follow = true;
			semicolon_may_close = false;
			continue;
		}
		const char *word = r->at;
		while (r->at < r->end && is_word(*r->at))
			advance(r, 1);
		size_t word_size = (size_t)(r->at - word);
		if (word_size == 0)
			advance(r, 1);
		semicolon_may_close =
		    !seen_semicolon ||
		    (end_may_follow && word_size == 3 && (word[0] | 0x20) == 'e' &&
		     (word[1] | 0x20) == 'n' && (word[2] | 0x20) == 'd');
		end_may_follow = false;
	}
	return err_set(
	    err, ERR_INPUT,
	    "%s:%d: incomplete statement: no ';' that ends it before the end of the file", r->path,
	    start_line);
}

static int read_directive(struct text_reader *r, struct text_item *ret_item, struct err *err)
{
	const char *name = directive_here(r), *end = line_end(r);
	const char *line_last = end;

	if (line_last > name && line_last[-1] == '\r')
		line_last--;
	for (const char *p = name; p < line_last; p++) {
		if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
			return err_set(err, ERR_INPUT,
				       "%s:%d: a directive with a control character", r->path,
				       r->line);
	}
	const char *name_last = word_end(name, line_last), *rest = name_last;
	while (rest < line_last && is_blank(*rest))
		rest++;
	while (line_last > rest && is_blank(line_last[-1]))
		line_last--;
	*ret_item = (struct text_item){.kind = TEXT_DIRECTIVE,
				       .line = r->line,
				       .name = copy_range(name, name_last),
				       .rest = copy_range(rest, line_last)};
	/* A tab separates as a blank does, and texts are printed: none of them keeps one. */
	for (char *p = ret_item->rest; *p != '\0'; p++)
		*p = *p == '\t' ? ' ' : *p;
	advance(r, (size_t)(end - r->at));
	return 0;
}

int text_reader_next(struct text_reader *r, struct text_item *ret_item, struct err *err)
{
	while (r->at < r->end) {
		char c = *r->at;

		if (is_space(c) || c == ';') {
			advance(r, 1); /* a lone ';' is an empty statement */
		} else if (c == '-' && peek(r, 1) == '-') {
			enum comment_kind kind = comment_classify(r);

			if (kind == COMMENT_DIRECTIVE)
				return read_directive(r, ret_item, err);
			if (kind == COMMENT_MISPLACED)
				return fail_misplaced(r, err);
			advance(r, (size_t)(line_end(r) - r->at));
		} else if (c == '/' && peek(r, 1) == '*') {
			int line = r->line;

			if (!skip_until(r, 2, "*/"))
				return err_set(err, ERR_INPUT, "%s:%d: the comment is never closed",
					       r->path, line);
		} else {
			return read_statement(r, ret_item, err);
		}
	}
	*ret_item = (struct text_item){.kind = TEXT_END, .line = r->line};
	return 0;
}
