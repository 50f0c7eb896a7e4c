/*
 * SQL as a row of tokens, each with its place: as much as somebody needs who takes words, numbers,
 * strings and lists out of a statement. It follows SQLite's tokenizer (tokenize.c) in where a token
 * ends; it knows no grammar, and takes what is no SQL for single characters.
 */
#ifndef SHRINK_SQL_TOKEN_H
#define SHRINK_SQL_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

enum sql_kind {
	SQL_END,
	SQL_WORD,   /* keyword or name; also one in "", `` or [] */
	SQL_NUMBER, /* a whole number in decimal digits */
	SQL_STRING, /* '...' */
	SQL_BLOB,   /* x'...' */
	SQL_OTHER,  /* a character, another number, a parameter */
};

struct sql_token {
	enum sql_kind kind;
	size_t begin, end;	     /* bytes of the text, quotes included */
	size_t name_begin, name_end; /* of a word, without quotes */
};

struct sql_reader {
	const char *text; /* borrowed */
	size_t at, end;
};

/* The next token behind blanks and comments; SQL_END at the end. */
struct sql_token sql_next(struct sql_reader *r);

/* Is it this word, whatever its case? */
bool sql_is(const char *text, const struct sql_token *t, const char *word);

#endif
