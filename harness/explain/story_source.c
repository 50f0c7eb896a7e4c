/*
 * The lines of the scenario that a case came from, and which of them the story is about: the
 * statements of transactions that are wrong, or between which an invariant does not hold, and the
 * setting that allows it.
 */
#include "harness/explain/story_internal.h"

#include "faultinject/base/buf.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *line_end(const char *p)
{
	const char *end = strchr(p, '\n');

	return end == NULL ? p + strlen(p) : end;
}

/* A directive that sets things, with that key in it. */
static bool sets(const char *p, const char *end, const char *key)
{
	size_t n = strlen(key);

	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	if (end - p < 2 || p[0] != '-' || p[1] != '-')
		return false;
	for (p += 2; p < end && (*p == ' ' || *p == '\t');)
		p++;
	if (!(end - p > 7 && strncmp(p, "@pragma", 7) == 0) &&
	    !(end - p > 7 && strncmp(p, "@matrix", 7) == 0))
		return false;
	for (; p + n < end; p++)
		if (strncasecmp(p, key, n) == 0 && p[n] == '=' && !isalnum((unsigned char)p[-1]) &&
		    p[-1] != '_')
			return true;
	return false;
}

int story_setting_line(const char *text, const char *key)
{
	int line = 1;

	for (const char *p = text; *p != '\0'; line++) {
		const char *end = line_end(p);
		if (sets(p, end, key))
			return line;
		p = *end == '\0' ? end : end + 1;
	}
	return 0;
}

const char *story_source_name(const struct telling *t)
{
	const char *path = t->c->source == NULL ? "" : t->c->source->path;

	return path[0] == '/' ? story_base_name(path) : path;
}

/* The line number in "orders.sql:6", if that is of this path; 0: none. */
static size_t line_of(const char *source, const char *path)
{
	size_t n = strlen(path);

	if (source == NULL || strncmp(source, path, n) != 0 || source[n] != ':')
		return 0;
	return (size_t)strtoul(source + n + 1, NULL, 10);
}

static void involve(struct story *s, size_t line)
{
	if (line > 0 && line <= s->source_count)
		s->source[line - 1].involved = true;
}

bool story_is_wrong(const struct story *s, const struct story_transaction *x)
{
	if (x->presence == STORY_GONE)
		return x->acked;
	if (x->presence == STORY_PARTLY)
		return true;
	if (x->presence != STORY_UNKNOWN)
		return false;
	/* What was found is no state of the run: those that the crash could still touch. */
	for (size_t i = 0; i < s->op_count; i++) {
		const struct story_op *o = &s->ops[i];
		if (o->transaction != 0 && &s->transactions[o->transaction - 1] == x &&
		    (o->fate == STORY_LOST || o->fate == STORY_TORN || o->fate == STORY_KEPT ||
		     o->fate == STORY_DAMAGED))
			return true;
	}
	return false;
}

void story_tell_source(struct telling *t)
{
	const struct case_source *source = t->c->source;
	struct story *s = t->s;

	if (source == NULL)
		return;
	s->source_path = story_text("%s", story_source_name(t));
	for (const char *p = source->text; *p != '\0' && s->source_count < STORY_SOURCE_MAX;) {
		const char *end = line_end(p);
		struct story_line *line = STORY_ADD(s, source, source);
		line->text = story_text("%.*s", (int)(end - p), p);
		p = *end == '\0' ? end : end + 1;
	}
	for (size_t i = 0; i < s->statement_count; i++) {
		const struct story_statement *st = &s->statements[i];
		if (st->setting ||
		    (st->transaction != 0 && s->transactions[st->transaction - 1].wrong))
			involve(s, line_of(st->source, story_source_name(t)));
	}
	for (size_t i = 0; i < t->allowing_count; i++)
		involve(s, (size_t)story_setting_line(source->text, t->allowing[i]));
}
