/* Parts of stories; see stories_parts.h. */
#include "reports/test/stories_parts.h"

#include "faultinject/base/buf.h"

#include <string.h>

#define ADD(s, list, one)                                                                          \
	((s)->list = xgrow((s)->list, (s)->one##_count, &(s)->one##_cap, sizeof *(s)->list),       \
	 memset(&(s)->list[(s)->one##_count], 0, sizeof *(s)->list),                               \
	 &(s)->list[(s)->one##_count++])

char *story_copy(const char *text)
{
	return text == NULL ? NULL : xstrdup(text);
}

void story_add_file(struct story *s, const char *path, enum story_role role)
{
	struct story_file *f = ADD(s, files, file);

	f->path = story_copy(path);
	f->role = role;
}

struct story_op *story_add_op(struct story *s, uint64_t position, const char *kind, size_t file,
			      const char *words, enum story_fate fate)
{
	struct story_op *op = ADD(s, ops, op);

	op->position = position;
	op->kind = kind;
	op->file = file;
	op->process = op->thread = 1;
	op->connection = 2;
	op->words = story_copy(words);
	op->fate = fate;
	return op;
}

struct story_op *story_add_write(struct story *s, uint64_t position, size_t file, uint64_t offset,
				 uint64_t size, const char *words, enum story_fate fate,
				 uint64_t synced_by)
{
	struct story_op *op = story_add_op(s, position, "write", file, words, fate);

	op->offset = offset;
	op->size = size;
	op->parts = size > 4096 ? (uint32_t)(size / 4096) : 1;
	op->synced_by = synced_by;
	return op;
}

void story_add_statement(struct story *s, uint64_t position, uint64_t until, const char *source,
			 const char *sql, size_t transaction)
{
	struct story_statement *st = ADD(s, statements, statement);

	st->position = position;
	st->process = 1;
	st->connection = 2;
	st->source = story_copy(source);
	st->sql = story_copy(sql);
	st->transaction = transaction;
	st->until = until;
}

struct story_transaction *story_add_transaction(struct story *s, uint64_t begin, uint64_t end,
						uint64_t ack, enum story_presence presence,
						const char *changes)
{
	struct story_transaction *t = ADD(s, transactions, transaction);

	t->number = s->transaction_count;
	t->process = 1;
	t->connection = 2;
	t->begin = t->first_write = begin;
	t->end = end;
	t->ack = ack;
	t->committed = true;
	t->acked = ack != 0 && presence != STORY_LATER;
	t->presence = presence;
	t->changes = story_copy(changes);
	return t;
}

void story_add_row(struct story *s, const char *where, const char *expected, const char *found)
{
	struct story_row *row = ADD(s, rows, row);

	row->where = story_copy(where);
	row->expected = story_copy(expected);
	row->found = story_copy(found);
}

void story_add_missing(struct story *s, const char *rule, const char *message, const char *target,
		       bool directory, uint64_t after, uint64_t before, bool matters)
{
	struct story_missing *m = ADD(s, missing, missing);

	m->rule = story_copy(rule);
	m->message = story_copy(message);
	m->target = story_copy(target);
	m->directory = directory;
	m->after = after;
	m->before = before;
	m->matters = matters ? STORY_MATTERS : STORY_MATTERS_NOT;
}

void story_add_fix(struct story *s, const char *what, const char *where, const char *proof,
		   const char *command, bool fixed)
{
	struct story_fix *f = ADD(s, fixes, fix);

	f->what = story_copy(what);
	f->where = story_copy(where);
	f->proof = story_copy(proof);
	f->command = story_copy(command);
	f->fixed = fixed;
}

struct story_state *story_add_state(struct story *s, const char *count, enum grade grade,
				    const char *outcome, const char *oracle, bool this_one)
{
	struct story_state *state = ADD(s, states, state);

	state->count = story_copy(count);
	state->grade = grade;
	state->outcome = story_copy(outcome);
	state->oracle = story_copy(oracle);
	state->this_one = this_one;
	return state;
}

void story_add_fate(struct story_state *state, uint64_t position, enum story_fate fate)
{
	struct story_state_fate *f = ADD(state, fates, fate);

	f->position = position;
	f->fate = fate;
}

void story_add_recovery(struct story *s, const char *text)
{
	*ADD(s, recovery, recovery) = story_copy(text);
}

void story_add_decision(struct story *s, const char *question, uint32_t answer, uint32_t of,
			const char *words)
{
	struct story_decision *d = ADD(s, decisions, decision);

	d->question = story_copy(question);
	d->answer = answer;
	d->of = of;
	d->words = story_copy(words);
}

/* `involved`: the numbers of lines, from 1, ending with 0. */
void story_add_source(struct story *s, const char *text, const int *involved)
{
	int number = 1;

	for (const char *at = text; *at != '\0'; number++) {
		const char *end = strchr(at, '\n');
		struct story_line *line = ADD(s, source, source);

		line->text = strndup(at, (size_t)(end - at));
		for (const int *i = involved; *i != 0; i++)
			line->involved = line->involved || *i == number;
		at = end + 1;
	}
}
