/*
 * The manual page and the shell completions, made of the tables that drive the parser and --help
 * (options.h): they cannot say anything else than the program does. Runs when plugpull is built,
 * and is not installed.
 *
 * The text that is in no table, the frame, stands in the file of each format.
 */
#ifndef CLI_GENERATE_H
#define CLI_GENERATE_H

#include "harness/cli/options.h"

#include <stdio.h>

void generate_man(FILE *out);
void generate_bash(FILE *out);
void generate_zsh(FILE *out);
void generate_fish(FILE *out);

/* What an option's argument can be. */
enum values {
	VALUES_NONE,  /* it takes no argument */
	VALUES_WORDS, /* one of some words */
	VALUES_LIST,  /* some of them, with commas */
	VALUES_FILE,
	VALUES_FOLDER,
	VALUES_COMMAND,
	VALUES_FREE, /* nobody can tell */
};
enum { VALUES_WORDS_SIZE = 512 };
/* `ret`: the words with blanks between them; "" for the other kinds. */
enum values generate_values(enum option_id id, char ret[VALUES_WORDS_SIZE]);

/* What a command's own arguments are. */
enum operands {
	OPERANDS_NONE,
	OPERANDS_FILES, /* and folders */
	OPERANDS_FOLDER,
	OPERANDS_CASE,	/* a token of .plugpull/cases, or a file */
	OPERANDS_WORDS, /* the first is one of some words, then files */
};
enum operands generate_operands(enum command_id id, char ret[VALUES_WORDS_SIZE]);

/* `text` for people in one line: up to the end of its first sentence, without backquotes. The
 * caller's. */
char *generate_sentence(const char *text);

#endif
