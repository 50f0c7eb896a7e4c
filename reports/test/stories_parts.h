/*
 * What stories made by hand are put together from. Each function appends one part, and copies the
 * texts; NULL is a text that is not known.
 */
#ifndef REPORTS_TEST_STORIES_PARTS_H
#define REPORTS_TEST_STORIES_PARTS_H

#include "harness/case/story.h"

/* The caller owns it. */
char *story_copy(const char *text);

void story_add_file(struct story *s, const char *path, enum story_role role);
struct story_op *story_add_op(struct story *s, uint64_t position, const char *kind, size_t file,
			      const char *words, enum story_fate fate);
struct story_op *story_add_write(struct story *s, uint64_t position, size_t file, uint64_t offset,
				 uint64_t size, const char *words, enum story_fate fate,
				 uint64_t synced_by);
void story_add_statement(struct story *s, uint64_t position, uint64_t until, const char *source,
			 const char *sql, size_t transaction);
struct story_transaction *story_add_transaction(struct story *s, uint64_t begin, uint64_t end,
						uint64_t ack, enum story_presence presence,
						const char *changes);
void story_add_row(struct story *s, const char *where, const char *expected, const char *found);
void story_add_missing(struct story *s, const char *rule, const char *message, const char *target,
		       bool directory, uint64_t after, uint64_t before, bool matters);
void story_add_fix(struct story *s, const char *what, const char *where, const char *proof,
		   const char *command, bool fixed);
struct story_state *story_add_state(struct story *s, const char *count, enum grade grade,
				    const char *outcome, const char *oracle, bool this_one);
void story_add_fate(struct story_state *state, uint64_t position, enum story_fate fate);
void story_add_recovery(struct story *s, const char *text);
void story_add_decision(struct story *s, const char *question, uint32_t answer, uint32_t of,
			const char *words);
/* The lines of a scenario; `involved`: the numbers of lines, from 1, ending with 0. */
void story_add_source(struct story *s, const char *text, const int *involved);

#endif
