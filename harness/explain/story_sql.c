/*
 * SQL of a stranger's program as it may be told: what the program put into literals and comments is
 * its own. By tokens alone; nothing is parsed but a PRAGMA. What cannot be told apart counts as
 * data.
 */
#include "harness/explain/story_internal.h"

#include "faultinject/base/buf.h"

#include <string.h>
#include <strings.h>

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || (unsigned char)c >= 0x80;
}

/* What stands in double quotes is a name, or, where SQLite finds none, a text, and then it is data.
 * After these words it is a name. */
static bool names_follow(const struct buf *b)
{
	static const char *const words[] = {"INTO",   "FROM", "UPDATE",	 "TABLE", "JOIN", "INDEX",
					    "EXISTS", "SET",  "TRIGGER", "VIEW",  "ON",	  "AS"};
	size_t end = b->size, begin;

	if (end > 0 && b->data[end - 1] == '.')
		return true;
	while (end > 0 && b->data[end - 1] == ' ')
		end--;
	for (begin = end; begin > 0 && is_word((char)b->data[begin - 1]);)
		begin--;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strlen(words[i]) == end - begin &&
		    strncasecmp(words[i], (const char *)b->data + begin, end - begin) == 0)
			return true;
	return false;
}

/* The end of what is quoted at p; a quote is doubled inside, and one that was cut has no end. */
static const char *after_quoted(const char *p)
{
	char end = *p == '[' ? ']' : *p;

	for (p++; *p != '\0'; p++) {
		if (*p != end)
			continue;
		if (p[1] != end || end == ']')
			return p + 1;
		p++;
	}
	return p;
}

char *story_without_literals(const char *sql)
{
	const char *p = sql, *end;
	struct story_pragma pragma;
	struct buf b;

	if (story_pragma_read(sql, &pragma) && story_pragma_is_setting(pragma.name))
		return story_text("%.*s", (int)pragma.size, sql);
	buf_init(&b);
	while (*p != '\0') {
		if ((*p == 'x' || *p == 'X') && p[1] == '\'')
			p++;
		if (*p == '\'' || (*p == '"' && !names_follow(&b))) {
			p = after_quoted(p);
			buf_put_u8(&b, '?');
		} else if (*p == '"' || *p == '`' || *p == '[') {
			end = after_quoted(p);
			buf_append(&b, p, (size_t)(end - p));
			p = end;
		} else if (p[0] == '-' && p[1] == '-') {
			break; /* the statement is one line, and the comment goes to its end */
		} else if (p[0] == '/' && p[1] == '*') {
			end = strstr(p + 2, "*/");
			p = end == NULL ? p + strlen(p) : end + 2;
		} else if ((*p >= '0' && *p <= '9') || (*p == '.' && p[1] >= '0' && p[1] <= '9')) {
			for (p++; is_word(*p) || *p == '.'; p++)
				;
			buf_put_u8(&b, '?');
		} else if (is_word(*p) || *p == '?' || *p == ':' || *p == '@' || *p == '$') {
			for (end = p + 1; is_word(*end);)
				end++;
			buf_append(&b, p, (size_t)(end - p));
			p = end;
		} else {
			buf_put_u8(&b, (uint8_t)*p++);
		}
	}
	char *text = story_text("%s", buf_str(&b));
	buf_release(&b);
	return text;
}
