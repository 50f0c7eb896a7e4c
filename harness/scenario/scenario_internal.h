/*
 * What the files of harness/scenario/ share among themselves: the one table of directives, the
 * reader that cuts a file into directives and statements, and small checks of text.
 *
 * Nobody outside this folder includes this.
 */
#ifndef SCENARIO_INTERNAL_H
#define SCENARIO_INTERNAL_H

#include "harness/scenario/scenario.h"
#include "harness/scenario/text.h"

enum {
	/* Every list of a scenario except its statements; keeps quadratic checks harmless. */
	SCENARIO_LIST_MAX = 256,
	SCENARIO_CONDITIONS_MAX = 16, /* of one rule */
	SCENARIO_PROCESS_MAX = 256,   /* process=P; also the most that defaults can reach */
};

/* id (names the function directive_<id>), word after '@', may it stand only once. */
#define SCENARIO_DIRECTIVES(X)                                                                     \
	X(scenario, "scenario", true)                                                              \
	X(pragma, "pragma", false)                                                                 \
	X(attach, "attach", false)                                                                 \
	X(models, "models", true)                                                                  \
	X(define_model, "define-model", false)                                                     \
	X(matrix, "matrix", false)                                                                 \
	X(require, "require", false)                                                               \
	X(expect, "expect", false)                                                                 \
	X(open, "open", true)                                                                      \
	X(load, "load", false)                                                                     \
	X(setup, "setup", true)                                                                    \
	X(client, "client", false)                                                                 \
	X(may_fail, "may-fail", false)                                                             \
	X(workload, "workload", true)                                                              \
	X(invariant, "invariant", false)                                                           \
	X(kill, "kill", true)                                                                      \
	X(batch, "batch", false)                                                                   \
	X(order, "order", false)                                                                   \
	X(schema_version, "schema-version", true)                                                  \
	X(clock, "clock", true)                                                                    \
	X(redundant, "redundant", false)                                                           \
	X(plant, "plant", true)

/* ---- scenario_text.c ---- */

enum text_kind { TEXT_END, TEXT_DIRECTIVE, TEXT_STATEMENT };

struct text_item {
	enum text_kind kind;
	int line;   /* where it starts, 1-based */
	char *name; /* TEXT_DIRECTIVE: the word after '@'; owned */
	char *rest; /* TEXT_DIRECTIVE: what follows the word, blanks trimmed; owned */
	char *sql;  /* TEXT_STATEMENT: from its first token to its ';'; owned */
};

struct text_reader {
	const char *path;	      /* for messages; borrowed */
	const char *begin, *at, *end; /* borrowed */
	int line;
};

/* Starts reading; a UTF-8 byte order mark is skipped. ERR_INPUT for what is no text: empty, larger
 * than SCENARIO_FILE_SIZE_MAX, a NUL byte, not UTF-8. */
int text_reader_init(struct text_reader *r, const char *path, const char *text, size_t size,
		     struct err *err);
/* The next directive or statement. ERR_INPUT for an incomplete statement, a comment that never
 * ends, and a directive that stands inside a statement or not at the start of its line. */
int text_reader_next(struct text_reader *r, struct text_item *ret_item, struct err *err);
void text_item_release(struct text_item *item);

/* ---- the parser: scenario_parse.c (sections, the file), scenario_directives.c ---- */

enum directive_id {
#define X(id, name, once) DIRECTIVE_##id,
	SCENARIO_DIRECTIVES(X)
#undef X
	    DIRECTIVE_COUNT
};

/* True when `sql` ends where a statement ends, by SQLite's own sqlite3_complete(). */
bool scenario_statement_complete(const char *sql);

enum section { SECTION_NONE, SECTION_OPEN, SECTION_SETUP, SECTION_CLIENT, SECTION_INVARIANT };

struct parser {
	const char *path;
	const struct scenario_vocabulary *vocabulary; /* may be NULL: everything is known */
	struct scenario *s;			      /* owned until the end of the file */
	struct err *err;
	bool only_invariants; /* scenario_parse_invariants() */

	/* The directive at hand. */
	int line;
	const char *name, *rest;
	struct text_word *words; /* owned */
	size_t word_count;

	enum section section;
	const char *section_name;
	int section_line;
	struct statement_list *statements; /* of the section; NULL in an invariant */
	int may_fail_line;		   /* a @may-fail that waits for its statement, or 0 */

	int seen_line[DIRECTIVE_COUNT]; /* 0 where not seen */
};

/* Reads the directive at hand into p->s. Errors: ERR_INPUT, "path:line: ...". */
#define X(id, name, once) int directive_##id(struct parser *p);
SCENARIO_DIRECTIVES(X)
#undef X

/* Sets "path:line: ..." and returns ERR_INPUT. */
int parser_fail(struct parser *p, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* "unknown <what> '<mark><word>'<of>", and the nearest name where one is near. */
int parser_fail_unknown(struct parser *p, const char *what, const char *mark, const char *word,
			const char *of, const char *const *names, size_t name_count);
/* Fails when a list of `count` items is full. */
int parser_list_room(struct parser *p, size_t count);
/* Fails unless there are `least` to `most` words, none of them empty. */
int parser_words_expect(struct parser *p, size_t least, size_t most, const char *usage);
/* Cuts "k=v" in two, in place; both halves are borrowed from the word. */
int parser_setting_split(struct parser *p, struct text_word *word, const char **ret_key,
			 char **ret_value);
/* Reads the words from `from` on as settings of the keys that the directive knows. values[i]
 * belongs to keys[i], is borrowed, and is left alone where the key is not given. */
int parser_known_settings(struct parser *p, size_t from, const char *const *keys, size_t key_count,
			  const char **values);
/* Appends a copy; fails for a key that stands there already. */
int parser_setting_add(struct parser *p, struct kv_list *list, const char *key, const char *value);
/* Appends a copy; fails for a string that stands there already. */
int parser_string_add(struct parser *p, char ***list, size_t *count, size_t *cap, const char *text);
/* scenario_setting_check() with the position in front. */
int parser_setting_check(struct parser *p, int line, const char *key, const char *value);

/* ---- scenario.c ---- */

void case_spec_release(struct case_spec *c);

/* Whether `key` can be a key: letters, digits, '_', '-', '.', not starting with a digit. */
bool scenario_key_valid(const char *key);

/* Asks the vocabulary about a key of @matrix, of a rule, or of --set: "model.X", "workload.X", or
 * the name of a pragma. Fails with `code`; the message has no position. */
int scenario_setting_check(const struct scenario_vocabulary *vocabulary, const char *workload,
			   const char *key, const char *value, int code, struct err *err);

/* A parameter of @kill: writers, readers or checkpointers. Fails with `code`. */
int scenario_kill_check(const char *key, const char *value, int code, struct err *err);

/* "sector" for "model.sector" and prefix "model."; NULL when the key has another prefix. */
const char *scenario_key_after(const char *key, const char *prefix);

/* The model of that name that the scenario defines, or NULL. */
const struct scenario_model *scenario_model_find(const struct scenario *s, const char *name);

/* Is `name` a model of the vocabulary, or one that was defined above? Fails with the line
 * otherwise. */
int parser_model_check(struct parser *p, int line, const char *name);

/* ---- scenario_redundant.c ---- */

void scenario_redundant_release(struct scenario_redundant *r);

#endif
