/*
 * What can be taken away from the text of a scenario, by kind, coarse first. A piece is a set of
 * edits of the text; pieces of one list can be taken together in any combination, unless the kind
 * says otherwise.
 *
 * Rules (docs/shrink.md):
 *   S1  a section goes with all that stands in it; a directive that is emptied goes, too
 *   S2  BEGIN and COMMIT go together: with all between them, or alone
 *   S3  the disk model, journal_mode and synchronous stay: they say which failure it is
 *   S4  a number becomes a smaller one, down to 1; a string a shorter one, down to one character
 *
 * A piece may leave a text that is no scenario, or one that cannot be run: whoever tries it finds
 * out. Not taken away: columns, conditions, parts of expressions.
 */
#ifndef SHRINK_PIECES_H
#define SHRINK_PIECES_H

#include "faultinject/base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum { PIECES_MAX = 1 << 20 }; /* of one list */

/* kind, may pieces of one list be taken together */
#define PIECE_KINDS(X)                                                                             \
	X(PIECE_SETTINGS, false) /* repeat= and parameters of a workload, smaller */               \
	X(PIECE_SECTIONS, true)	 /* clients, @setup, @invariant ..., and each other directive */   \
	X(PIECE_TRANSACTIONS, true) /* from BEGIN to COMMIT */                                     \
	X(PIECE_STATEMENTS, true)   /* with the @may-fail before it */                             \
	X(PIECE_NAMES, false)	/* everything that names a table, index, ... that is created */    \
	X(PIECE_BRACKETS, true) /* BEGIN and COMMIT alone; @may-fail alone */                      \
	X(PIECE_WORDS, true)	/* pragmas and other k=v that are not needed */                    \
	X(PIECE_ROWS, true)	/* rows of VALUES */                                               \
	X(PIECE_NUMBERS, false) /* in statements */                                                \
	X(PIECE_STRINGS, false)

enum piece_kind {
#define X(kind, together) kind,
	PIECE_KINDS(X)
#undef X
	    PIECE_KIND_COUNT
};

/* What stands at begin..end becomes `text`; NULL: an item of a list goes, with one comma. */
struct piece_edit {
	size_t begin, end;
	char *text; /* owned */
};

struct piece {
	char *what; /* owned: "line 6: INSERT INTO t VALUES (1)"; one line of printable text */
	struct piece_edit *edits; /* owned, ascending */
	size_t edit_count, edit_cap;
};

struct pieces {
	struct piece *items; /* owned, in the order of the text */
	size_t count, cap;
};

bool piece_kind_together(enum piece_kind kind);

/* The pieces of a kind. ERR_INPUT where the text cannot be cut into items. The caller releases
 * *ret. */
int pieces_find(const char *text, enum piece_kind kind, struct pieces *ret, struct err *err);
void pieces_release(struct pieces *p); /* accepts a zeroed one */

/* The text without the pieces for which taken[i]; owned by the caller. It has no blank lines, no
 * comments between statements, and no section without a statement. */
char *pieces_apply(const char *text, const struct pieces *p, const bool *taken);

/* The text as pieces_apply() leaves it, with nothing taken. */
char *pieces_tidy(const char *text);

/* ---- for the finders (pieces_*.c) ---- */

struct scenario_items;

struct piece_finder {
	const char *text;
	const struct scenario_items *items;
	struct pieces *found;
};

/* A new piece, without edits; `line` and the first line of text[begin..end) say what it is. */
struct piece *piece_add(struct piece_finder *f, int line, size_t begin, size_t end);
/* The same, in other words; `what` becomes the piece's. */
struct piece *piece_add_named(struct piece_finder *f, char *what);
void piece_edit(struct piece *p, size_t begin, size_t end, char *text);

void pieces_find_sections(struct piece_finder *f);
void pieces_find_transactions(struct piece_finder *f);
void pieces_find_statements(struct piece_finder *f);
void pieces_find_names(struct piece_finder *f);
void pieces_find_brackets(struct piece_finder *f);
void pieces_find_words(struct piece_finder *f);
void pieces_find_rows(struct piece_finder *f);
void pieces_find_settings(struct piece_finder *f);
void pieces_find_numbers(struct piece_finder *f);
void pieces_find_strings(struct piece_finder *f);

/* Does this directive begin a section of statements? */
bool piece_opens_section(const char *word);

#endif
