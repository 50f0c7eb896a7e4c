/* See story.h. */
#include "harness/case/story.h"

#include "faultinject/base/buf.h"

#include <stdlib.h>

struct story *story_create(void)
{
	struct story *s = xcalloc(1, sizeof *s);

	s->grade = GRADE_NONE;
	return s;
}

static void texts_free(char **const *texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(*texts[i]);
}

static void lists_free(struct story *s)
{
	for (size_t i = 0; i < s->file_count; i++)
		free(s->files[i].path);
	for (size_t i = 0; i < s->op_count; i++)
		free(s->ops[i].words);
	for (size_t i = 0; i < s->statement_count; i++) {
		free(s->statements[i].source);
		free(s->statements[i].sql);
	}
	for (size_t i = 0; i < s->transaction_count; i++)
		free(s->transactions[i].changes);
	for (size_t i = 0; i < s->decision_count; i++) {
		free(s->decisions[i].question);
		free(s->decisions[i].words);
	}
	for (size_t i = 0; i < s->recovery_count; i++)
		free(s->recovery[i]);
	for (size_t i = 0; i < s->row_count; i++) {
		free(s->rows[i].where);
		free(s->rows[i].expected);
		free(s->rows[i].found);
	}
	for (size_t i = 0; i < s->missing_count; i++) {
		free(s->missing[i].rule);
		free(s->missing[i].message);
		free(s->missing[i].target);
	}
	for (size_t i = 0; i < s->fix_count; i++) {
		free(s->fixes[i].what);
		free(s->fixes[i].where);
		free(s->fixes[i].proof);
		free(s->fixes[i].command);
	}
	for (size_t i = 0; i < s->state_count; i++) {
		free(s->states[i].count);
		free(s->states[i].outcome);
		free(s->states[i].oracle);
		free(s->states[i].fates);
	}
	for (size_t i = 0; i < s->source_count; i++)
		free(s->source[i].text);
}

void story_free(struct story *s)
{
	if (s == NULL)
		return;

	char **const texts[] = {
	    &s->token,	      &s->id,		&s->title,	&s->model,	  &s->model_words,
	    &s->oracle,	      &s->message,	&s->verdict,	&s->replay,	  &s->sqlite,
	    &s->plugpull,     &s->crash_words,	&s->allowed,	&s->rows_against, &s->fixes_words,
	    &s->states_total, &s->states_shown, &s->source_path};

	texts_free(texts, sizeof texts / sizeof texts[0]);
	lists_free(s);
	kv_release(&s->config);
	free(s->files);
	free(s->ops);
	free(s->statements);
	free(s->transactions);
	free(s->decisions);
	free(s->recovery);
	free(s->rows);
	free(s->missing);
	free(s->fixes);
	free(s->states);
	free(s->source);
	free(s);
}

const char *story_role_text(enum story_role role)
{
	static const char *const words[] = {
#define X(name, text) [name] = (text),
	    STORY_ROLES(X)
#undef X
	};

	return words[role];
}

const char *story_fate_text(enum story_fate fate)
{
	static const char *const words[] = {
#define X(name, text) [name] = (text),
	    STORY_FATES(X)
#undef X
	};

	return words[fate];
}

const char *story_presence_text(enum story_presence presence)
{
	static const char *const words[] = {
#define X(name, text) [name] = (text),
	    STORY_PRESENCE(X)
#undef X
	};

	return words[presence];
}
