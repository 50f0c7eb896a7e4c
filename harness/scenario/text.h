/*
 * Small tools for text that people write by hand: words, numbers, UTF-8. scenario_text.c has them;
 * nothing here knows what a scenario is.
 */
#ifndef SCENARIO_TEXT_H
#define SCENARIO_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One word of a directive. Double quotes are taken away; `quoted[i]` is '1' where text[i] stood
 * inside them and '0' elsewhere, so that a quoted '=' or ',' separates nothing. */
struct text_word {
	char *text, *quoted; /* owned, equally long */
};

/* Cuts `rest` at blanks. Inside double quotes blanks belong to the word and "" is one quote.
 * Returns 0, or -1 when a quote is never closed. */
int text_words(const char *rest, struct text_word **ret_words, size_t *ret_count);
void text_words_free(struct text_word *words, size_t count);

/* Index of the first byte that is no valid UTF-8, or `size`. Refuses overlong forms, surrogates and
 * everything above U+10FFFF, as JSON writers do. */
size_t text_utf8_valid(const char *text, size_t size);
/* UTF-8 without control characters: fit for a line of output. */
bool text_printable(const char *text);

/* Puts '?' for every byte that is no valid UTF-8: messages that are cut to fit may end inside a
 * character, and they reach JSON. */
void text_repair(char *text);

/* The nearest of `names` within an edit distance of 2, or NULL. */
const char *text_suggest(const char *word, const char *const *names, size_t count);

/* Decimal digits only; -1 when it is not a number within [min, max]. */
int text_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret_number);

#endif
