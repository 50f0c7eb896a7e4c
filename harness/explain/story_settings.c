/*
 * The PRAGMAs that a program was seen to run: which of them decided what a crash could take away
 * from the first transaction that is wrong. A PRAGMA of a connection holds for the transactions
 * that the connection begins later (https://www.sqlite.org/pragma.html#pragma_synchronous), so that
 * the last one before the transaction counts.
 *
 * Does not see: settings that are made without SQL (sqlite3_db_config, a VFS, SQLite's build).
 */
#include "harness/explain/story_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- reading ------------------------------------------------------------------------------- */

static const char *skip_blanks(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

/* A word, also in quotes, to `ret`. What stands behind it; NULL: there is none, or a long one. */
static const char *read_word(const char *p, const char *signs, char *ret, size_t size)
{
	char end = *p == '[' ? ']' : *p == '"' || *p == '\'' || *p == '`' ? *p : '\0';
	size_t n = 0;

	if (end != '\0')
		p++;
	while (n + 1 < size && (is_word(*p) || (n == 0 && *p != '\0' && strchr(signs, *p) != NULL)))
		ret[n++] = *p++;
	ret[n] = '\0';
	if (n == 0 || is_word(*p) || (end != '\0' && *p != end))
		return NULL;
	return end == '\0' ? p : p + 1;
}

bool story_pragma_read(const char *sql, struct story_pragma *ret)
{
	struct story_pragma r = {0};
	const char *p = skip_blanks(sql);
	bool in_brackets;

	if (strncasecmp(p, "PRAGMA", 6) != 0 || is_word(p[6]))
		return false;
	p = read_word(skip_blanks(p + 6), "", r.name, sizeof r.name);
	if (p != NULL && *skip_blanks(p) == '.')
		p = read_word(skip_blanks(skip_blanks(p) + 1), "", r.name, sizeof r.name);
	if (p == NULL)
		return false;
	p = skip_blanks(p);
	in_brackets = *p == '(';
	if (*p != '=' && !in_brackets)
		return false;
	p = read_word(skip_blanks(p + 1), "+-", r.value, sizeof r.value);
	if (p == NULL)
		return false;
	p = skip_blanks(p);
	if (in_brackets && *p++ != ')')
		return false;
	p = skip_blanks(p);
	if (*p == ';')
		p = skip_blanks(p + 1);
	if (*p != '\0' && strncmp(p, "--", 2) != 0 && strncmp(p, "/*", 2) != 0)
		return false;
	r.size = (size_t)(p - sql);
	*ret = r;
	return true;
}

bool story_pragma_is_setting(const char *name)
{
	/* https://www.sqlite.org/pragma.html, without what holds names, data and keys. */
	static const char *const names[] = {"auto_vacuum",
					    "automatic_index",
					    "busy_timeout",
					    "cache_size",
					    "cache_spill",
					    "cell_size_check",
					    "checkpoint_fullfsync",
					    "defer_foreign_keys",
					    "encoding",
					    "foreign_keys",
					    "fullfsync",
					    "journal_mode",
					    "journal_size_limit",
					    "locking_mode",
					    "max_page_count",
					    "mmap_size",
					    "page_size",
					    "query_only",
					    "read_uncommitted",
					    "recursive_triggers",
					    "secure_delete",
					    "synchronous",
					    "temp_store",
					    "threads",
					    "trusted_schema",
					    "wal_autocheckpoint",
					    "wal_checkpoint",
					    "writable_schema"};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcasecmp(names[i], name) == 0)
			return true;
	return false;
}

/* ---- finding ------------------------------------------------------------------------------- */

/* The first transaction that is wrong; where none is gone, the last that had begun to write. An
 * index into the story's plus 1; 0: there is none. */
static size_t first_wrong(const struct story *s)
{
	size_t last = 0;

	for (size_t i = 0; i < s->transaction_count; i++) {
		const struct story_transaction *x = &s->transactions[i];
		if (story_is_wrong(s, x))
			return i + 1;
		if (x->first_write != 0 && x->first_write <= s->crash)
			last = i + 1;
	}
	return last;
}

/* How many of the statements were run before the transaction: up to its own first one. */
static size_t statements_before(const struct story *s, size_t transaction)
{
	const struct story_transaction *x = &s->transactions[transaction - 1];
	size_t n = 0;

	for (; n < s->statement_count && s->statements[n].position <= x->begin; n++)
		if (s->statements[n].transaction == transaction)
			return n;
	return n;
}

static void find_setting(const struct telling *t, size_t until, const char *key,
			 struct story_seen *ret)
{
	const struct story_transaction *x = &t->s->transactions[t->wrong - 1];
	const struct trace *trace = t->c->trace;

	for (size_t i = 0; i < until && i < trace->statement_count; i++) {
		const struct trace_statement *st = &trace->statements[i];
		struct story_pragma pragma;

		if (st->process != x->process || st->connection != x->connection ||
		    !story_pragma_read(st->sql, &pragma) || strcasecmp(pragma.name, key) != 0)
			continue;
		ret->before = ret->now;
		memcpy(ret->value_before, ret->value, sizeof ret->value);
		ret->now = i + 1;
		memcpy(ret->value, pragma.value, sizeof ret->value);
	}
}

void story_tell_settings(struct telling *t)
{
	t->wrong = first_wrong(t->s);
	if (t->wrong == 0)
		return;
	size_t until = statements_before(t->s, t->wrong);
	find_setting(t, until, "synchronous", &t->synchronous);
	find_setting(t, until, "journal_mode", &t->journal_mode);
}

bool story_setting_is_own(const struct telling *t, const struct story_seen *seen)
{
	return seen->now != 0 &&
	       (t->c->source == NULL || t->c->trace->statements[seen->now - 1].source[0] != '\0');
}

const struct story_statement *story_first_statement(const struct story *s, size_t number)
{
	const struct story_statement *first = NULL;

	for (size_t i = 0; i < s->statement_count; i++) {
		const struct story_statement *st = &s->statements[i];
		if (st->transaction != number)
			continue;
		if (strncasecmp(st->sql, "BEGIN", 5) != 0 &&
		    strncasecmp(st->sql, "SAVEPOINT", 9) != 0)
			return st;
		first = first == NULL ? st : first;
	}
	return first;
}

void story_put_setting(const struct telling *t, const char *key, const struct story_seen *seen,
		       struct buf *b)
{
	const struct story_statement *st = &t->s->statements[seen->now - 1];
	const struct story_statement *first = story_first_statement(t->s, t->wrong);

	buf_printf(b, "PRAGMA %s=%s was run", key, seen->value);
	if (st->source != NULL)
		buf_printf(b, " (%s)", st->source);
	buf_printf(b, " on this connection after operation %" PRIu64 ", before transaction %zu",
		   st->position, t->s->transactions[t->wrong - 1].number);
	if (first != NULL)
		buf_printf(b, " (%s%s%s)", first->source == NULL ? "" : first->source,
			   first->source == NULL ? "" : " ", first->sql);
	if (seen->before != 0 && strcasecmp(seen->value_before, seen->value) != 0)
		buf_printf(b, "; until then it was %s (set after operation %" PRIu64 ")",
			   seen->value_before, t->s->statements[seen->before - 1].position);
}
